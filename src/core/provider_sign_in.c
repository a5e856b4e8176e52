#include "core/provider_sign_in.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "base/uri.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/identity_provider.h"
#include "core/job.h"
#include "core/mail_address.h"
#include "core/result.h"
#include "core/role.h"
#include "core/scope.h"
#include "core/sign_in_factor.h"
#include "pki/digest.h"
#include "pki/id_token.h"
#include "store/queries.h"

#define AGAIN "; begin again where you signed in"

/* What the exchange brought, looked at: who it is, or in words why not. */
struct provider_said {
    struct q_provider_sign_in_get_row sign_in;
    struct q_identity_provider_get_row provider;
    struct id_token token;
    const char *fresh_keys; /* NULL: none were asked for */
};

/* --- the way out */

/* State, nonce and verifier are all of the cookie: who has one of them knows nothing of the others. */
static struct rc derived(struct ctx *ctx, const char *purpose, const char *provider, const char *cookie, const char **out)
{
    uint8_t hash[SHA256_LEN];
    const char *text = arena_printf(&ctx->arena, "certwright sign-in %s\n%s\n%s", purpose, provider, cookie);
    TRY(digest_sha256(ctx, bytes_z(text), hash));
    *out = base64url_str(&ctx->arena, bytes_of(hash, sizeof hash));
    return RC_OK;
}

static struct rc provider_of(struct ctx *ctx, struct txn *txn, const char *name, struct q_identity_provider_get_row *out)
{
    bool found = false;
    TRY(q_identity_provider_get(ctx, txn, name, out, &found));
    if (!found || !str_equal(out->name, name) || !str_equal(out->state, "active") || !str_equal(out->kind, "oidc"))
        return ctx_fail(ctx, E_NOT_FOUND, "nobody signs in by %.64s here", name);
    return RC_OK;
}

struct begin {
    const char *name;
    struct q_identity_provider_get_row row;
};

static struct rc begin_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct begin *b = arg;
    return provider_of(ctx, txn, b->name, &b->row);
}

static void member(struct buf *b, const char *name, const char *value)
{
    buf_put_u8(b, '&');
    buf_put_z(b, name);
    buf_put_u8(b, '=');
    put_percent(b, bytes_z(value));
}

static struct rc words_of(struct ctx *ctx, const char *json, struct str_list *out)
{
    json_auto_t *list = NULL;
    *out = (struct str_list){0};
    TRY(json_read(ctx, bytes_z(json), &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(json_array_get(list, i))));
    return RC_OK;
}

static const char *joined(struct ctx *ctx, const struct str_list *l)
{
    const char *out = "";
    for (size_t i = 0; i < l->n; i++)
        out = arena_printf(&ctx->arena, "%s%s%s", out, i ? " " : "", l->v[i]);
    return out;
}

RC provider_sign_in_begin(struct ctx *ctx, struct core *core, const char *provider, const char *callback, const char **cookie,
                          const char **location)
{
    struct begin b = {.name = provider};
    struct bytes unused;
    struct str_list scopes, acr;
    uint8_t hash[SHA256_LEN];
    const char *state = NULL, *nonce = NULL, *verifier = NULL;
    struct buf url;
    TRY(store_read(ctx, core->store, begin_read, &b));
    const struct q_identity_provider_get_row *p = &b.row;
    if (!*p->authorization_endpoint)
        return ctx_fail(ctx, E_BUSY, "%s was not reached yet; certwright identity-provider show %s says why", p->name, p->name);
    TRY(session_text_new(ctx, cookie, &unused));
    TRY(derived(ctx, "state", p->id, *cookie, &state));
    TRY(derived(ctx, "nonce", p->id, *cookie, &nonce));
    TRY(derived(ctx, "verifier", p->id, *cookie, &verifier));
    TRY(digest_sha256(ctx, bytes_z(verifier), hash));
    TRY(words_of(ctx, p->scopes, &scopes));
    TRY(words_of(ctx, p->acr, &acr));
    buf_init_arena(&url, &ctx->arena, 16384);
    buf_put_z(&url, p->authorization_endpoint);
    buf_put_u8(&url, strchr(p->authorization_endpoint, '?') ? '&' : '?');
    buf_put_z(&url, "response_type=code");
    member(&url, "client_id", p->client_id);
    member(&url, "redirect_uri", callback);
    member(&url, "scope", joined(ctx, &scopes));
    member(&url, "state", state);
    member(&url, "nonce", nonce);
    member(&url, "code_challenge", base64url_str(&ctx->arena, bytes_of(hash, sizeof hash)));
    member(&url, "code_challenge_method", "S256");
    if (acr.n)
        member(&url, "acr_values", joined(ctx, &acr));
    TRY(buf_status(&url));
    *location = buf_z(&url);
    return RC_OK;
}

/* --- the way back */

struct back {
    struct core *core;
    const char *name, *callback, *cookie, *id;
    const struct sign_in_from *from;
    const struct provider_answer *answer;
    bool last;
    struct bytes hash;
    struct q_identity_provider_get_row provider;
    struct provider_step *out;
    enum err e; /* what the browser is told; the row says that it was */
    const char *why;
};

static struct rc refused(struct ctx *ctx, const char *why)
{
    return ctx_fail(ctx, E_UNAUTHENTICATED, "%s" AGAIN, why);
}

/* What a provider says in an address is a stranger's text. */
static const char *plain(struct ctx *ctx, const char *text)
{
    char *out = arena_printf(&ctx->arena, "%.200s", text ? text : "");
    for (char *p = out; *p; p++)
        *p = *p < 0x20 || *p > 0x7e ? '?' : *p;
    return out;
}

static struct rc step_to(struct ctx *ctx, struct txn *txn, const char *id, const char *was, const char *state, const char *user,
                         const char *error)
{
    const struct q_provider_sign_in_step_in in = {.id = id, .was = was, .state = state, .user_id = user, .error = error};
    return q_provider_sign_in_step(ctx, txn, &in);
}

/* Before anything is asked of the provider: the answer is of this browser's beginning, and of this provider. */
static struct rc check_answer(struct ctx *ctx, const struct back *b)
{
    const struct provider_answer *a = b->answer;
    const char *want = NULL;
    if (!b->cookie)
        return refused(ctx, "this browser did not begin this sign-in, or more than ten minutes ago");
    TRY(derived(ctx, "state", b->provider.id, b->cookie, &want));
    if (!a->state || !bytes_equal_secret(bytes_z(a->state), bytes_z(want)))
        return refused(ctx, "the answer is not of the sign-in that this browser began");
    /* RFC 9207 section 2.4: another provider's answer must not be taken for this one's. */
    if ((a->iss && !str_equal(a->iss, b->provider.issuer)) || (!a->iss && b->provider.tells_issuer))
        return refused(ctx, "the answer is of another identity provider");
    if (a->error)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "%s did not sign you in: %s%s%s", b->provider.name, plain(ctx, a->error),
                        a->description ? ": " : "", plain(ctx, a->description));
    return a->code && *a->code && strlen(a->code) <= 4096 ? RC_OK : refused(ctx, "the answer holds no code");
}

static struct rc put_keys(struct ctx *ctx, struct json_out *j, const char *jwks)
{
    json_auto_t *set = NULL;
    json_open_list(j, "keys");
    if (*jwks)
        TRY(json_read(ctx, bytes_z(jwks), &set));
    const json_t *keys = json_object_get(set, "keys");
    for (size_t i = 0; i < json_array_size(keys) && i < 100; i++) {
        const char *kid = json_string_value(json_object_get(json_array_get(keys, i), "kid"));
        if (kid && strlen(kid) <= 256)
            json_put_str(j, NULL, kid);
    }
    json_close(j);
    return RC_OK;
}

static struct rc exchange(struct ctx *ctx, struct txn *txn, const struct back *b)
{
    struct buf out;
    struct json_out j;
    const struct q_identity_provider_get_row *p = &b->provider;
    const char *verifier = NULL;
    const int64_t now = ctx_now_s(ctx);
    const bool refresh = p->keys_at + IDENTITY_KEYS_PACE_S <= now || p->keys_at > now;
    TRY(derived(ctx, "verifier", p->id, b->cookie, &verifier));
    buf_init_arena(&out, &ctx->arena, 65536);
    json_begin(&j, &out);
    json_open_obj(&j, NULL);
    json_put_str(&j, "issuer", p->issuer);
    json_put_str(&j, "credential", p->credential);
    json_put_str(&j, "client_id", p->client_id);
    json_put_str(&j, "token_endpoint", p->token_endpoint);
    json_put_str(&j, "jwks_uri", p->jwks_uri);
    json_put_bool(&j, "basic", p->basic);
    json_put_str(&j, "code", b->answer->code);
    json_put_str(&j, "redirect_uri", b->callback);
    json_put_str(&j, "verifier", verifier);
    TRY(put_keys(ctx, &j, p->jwks));
    json_put_bool(&j, "refresh", refresh);
    json_close(&j);
    TRY(buf_status(&out));
    const char *lane = arena_printf(&ctx->arena, "oidc:%s:%d", p->id, b->id[strlen(b->id) - 1] % PROVIDER_LANES);
    return identity_provider_ask(ctx, b->core, txn, "oidc_exchange", lane, b->id, buf_bytes(&out));
}

/* Its exchange is not asked for any more; where it is under way, nobody looks at what it brings. */
static struct rc let_go(struct ctx *ctx, struct txn *txn, const char *id, const char *to, const char *why)
{
    TRY(q_job_cancel_ref(ctx, txn, id, "oidc_exchange", ctx_now_s(ctx)));
    TRY(q_job_empty(ctx, txn, id, "oidc_exchange"));
    return step_to(ctx, txn, id, "asking", to, NULL, why);
}

/* Only so many are under way at once: who brings more from one address pushes their own out, and nobody else's. */
static struct rc room_make(struct ctx *ctx, struct txn *txn, const struct back *b, const char *place)
{
    struct q_provider_sign_in_asking_row n;
    struct q_provider_sign_in_oldest_row oldest;
    bool found = false;
    TRY(q_provider_sign_in_asking(ctx, txn, place, &n));
    if (n.all_of < PROVIDER_UNDER_WAY && n.own < PROVIDER_OWN)
        return RC_OK;
    TRY(q_provider_sign_in_oldest(ctx, txn, place, ctx_now_s(ctx) - 2 * PROVIDER_WAIT_S, &oldest, &found));
    if (!found) {
        ctx->retry_after_s = PROVIDER_WAIT_S;
        return ctx_fail(ctx, E_RATE_LIMITED, "too many sign in at once; try again in a minute");
    }
    core_wake_after_commit(ctx, b->core, txn, "sign-in:", oldest.id);
    return let_go(ctx, txn, oldest.id, "failed", "too many sign-ins from your address at once" AGAIN);
}

static struct rc begun(struct ctx *ctx, struct txn *txn, const struct back *b)
{
    struct q_provider_sign_in_recent_row recent;
    const char *nonce = NULL;
    const int64_t now = ctx_now_s(ctx);
    const char *place = throttle_place(ctx, b->from->address);
    TRY(q_provider_sign_in_recent(ctx, txn, place, now - 600, &recent));
    if (recent.n >= PROVIDER_PER_ADDRESS) {
        ctx->retry_after_s = 600;
        return ctx_fail(ctx, E_RATE_LIMITED, "too many sign-ins from your address; try again in ten minutes");
    }
    TRY(room_make(ctx, txn, b, place));
    TRY(derived(ctx, "nonce", b->provider.id, b->cookie, &nonce));
    const struct q_provider_sign_in_add_in in = {
        .id = b->id, .hash = b->hash, .provider_id = b->provider.id, .nonce = nonce, .address = place, .now = now};
    TRY(q_provider_sign_in_add(ctx, txn, &in));
    return exchange(ctx, txn, b);
}

/* The exchange is over and was good: the browser that began gets its session, once. */
static struct rc take(struct ctx *ctx, struct txn *txn, const struct back *b, const struct q_provider_sign_in_get_row *row)
{
    const char *by = identity_provider_grant_source(ctx, b->provider.name);
    TRY(step_to(ctx, txn, row->id, "ready", "done", row->user_id, NULL));
    return sign_in_step(ctx, txn, b->from, NULL, SESSION_DONE, row->user_id, by, &b->out->done);
}

static struct rc give_up(struct ctx *ctx, struct txn *txn, struct back *b, const struct q_provider_sign_in_get_row *row)
{
    b->e = E_TIMEOUT;
    b->why =
        arena_printf(&ctx->arena, "%s was not asked in time: the hub's own agent is busy or does not run" AGAIN, b->provider.name);
    return let_go(ctx, txn, row->id, "done", b->why);
}

static struct rc back(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct back *b = arg;
    struct q_provider_sign_in_get_row row;
    bool found = false;
    *b->out = (struct provider_step){0};
    b->why = NULL;
    TRY(provider_of(ctx, txn, b->name, &b->provider));
    TRY(check_answer(ctx, b));
    TRY(q_provider_sign_in_get(ctx, txn, b->hash, &row, &found));
    if (!found) {
        TRY(begun(ctx, txn, b));
        b->out->wait_for = arena_printf(&ctx->arena, "sign-in:%s", b->id);
        return RC_OK;
    }
    if (!str_equal(row.provider_id, b->provider.id)) /* who holds the cookie can make the state of any provider */
        return refused(ctx, "the answer is of another identity provider");
    if (str_equal(row.state, "asking") && b->last)
        return give_up(ctx, txn, b, &row);
    if (str_equal(row.state, "asking")) {
        b->out->wait_for = arena_printf(&ctx->arena, "sign-in:%s", row.id);
        return RC_OK;
    }
    if (str_equal(row.state, "ready") && row.created_at + PROVIDER_SIGN_IN_S > ctx_now_s(ctx))
        return take(ctx, txn, b, &row);
    if (!str_equal(row.state, "failed"))
        return refused(ctx, "this answer was used already");
    b->e = E_UNAUTHENTICATED;
    b->why = row.error ? row.error : "the sign-in failed";
    return step_to(ctx, txn, row.id, "failed", "done", NULL, row.error);
}

RC provider_sign_in_return(struct ctx *ctx, struct core *core, const char *provider, const char *callback,
                           const struct sign_in_from *from, const char *cookie, const struct provider_answer *answer, bool last,
                           struct provider_step *out)
{
    struct back b = {.core = core,
                     .name = provider,
                     .callback = callback,
                     .cookie = cookie,
                     .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                     .from = from,
                     .answer = answer,
                     .last = last,
                     .out = out};
    TRY(digest_sha256_new(ctx, bytes_z(cookie ? cookie : ""), &b.hash));
    ctx->principal = access_hub(ctx, core);
    TRY(store_write(ctx, core->store, back, &b));
    return b.why ? ctx_fail(ctx, b.e, "%s", b.why) : RC_OK;
}

RC provider_sign_in_expire(struct ctx *ctx, struct txn *txn)
{
    return q_provider_sign_in_expire(ctx, txn, ctx_now_s(ctx) - PROVIDER_KEPT_S, PROVIDER_ROWS_MAX);
}

/* --- what came of the exchange: looked at outside the transaction */

struct lookup {
    const char *id;
    struct provider_said *said;
    bool found;
};

static struct rc lookup(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct lookup *l = arg;
    TRY(q_provider_sign_in_by_id(ctx, txn, l->id, &l->said->sign_in, &l->found));
    if (l->found)
        TRY(q_identity_provider_get(ctx, txn, l->said->sign_in.provider_id, &l->said->provider, &l->found));
    return RC_OK;
}

static bool one_of(const struct str_list *wanted, const struct str_list *said)
{
    for (size_t i = 0; i < said->n; i++)
        if (str_list_has(wanted, said->v[i]))
            return true;
    return wanted->n == 0;
}

/* How they were asked for who they are there: the second factor is the provider's. */
static struct rc check_strength(struct ctx *ctx, const struct provider_said *s)
{
    struct str_list acr, amr, said = {0};
    TRY(words_of(ctx, s->provider.acr, &acr));
    TRY(words_of(ctx, s->provider.amr, &amr));
    if (s->token.acr)
        str_list_add(&ctx->arena, &said, s->token.acr);
    if (!one_of(&acr, &said) || !one_of(&amr, &s->token.amr))
        return ctx_fail(ctx, E_UNAUTHENTICATED,
                        "%s did not ask for as much proof as is wanted here, such as a second factor: sign in "
                        "there with it",
                        s->provider.name);
    return RC_OK;
}

RC provider_exchange_check(struct ctx *ctx, struct core *core, struct checked_result *r)
{
    const struct api_job_oidc_done *done = r->raw->oidc_exchange;
    struct provider_said *s = ARENA_NEW(&ctx->arena, struct provider_said);
    struct lookup l = {.id = r->job.ref, .said = s};
    TRY(store_read(ctx, core->store, lookup, &l));
    if (!l.found)
        return ctx_fail(ctx, E_NOT_FOUND, "nobody waits for this sign-in any more");
    if (!done || !done->id_token)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent brought no token");
    s->fresh_keys = done->jwks && *done->jwks ? done->jwks : NULL;
    const struct id_token_expect expect = {.issuer = s->provider.issuer,
                                           .client_id = s->provider.client_id,
                                           .nonce = s->sign_in.nonce,
                                           .groups = *s->provider.group_claim ? s->provider.group_claim : NULL};
    r->login = s; /* also where the token is refused: keys were asked for */
    struct rc rc = id_token_verify(ctx, bytes_z(done->id_token), bytes_z(s->fresh_keys ? s->fresh_keys : s->provider.jwks), &expect,
                                   &s->token);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the identity provider's token is signed with a key that it does not publish");
    }
    TRY(rc);
    for (const char *p = s->token.subject; *p; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f) /* it is shown to people */
            return ctx_fail(ctx, E_UNAUTHENTICATED, "the identity provider's token has a subject with control characters");
    return check_strength(ctx, s);
}

/* --- whom the provider means */

/* What somebody calls themselves there, as a name here: the part before '@', in lower case. */
static const char *name_of(struct ctx *ctx, const struct id_token *t)
{
    struct bytes rest = bytes_z(t->username ? t->username : t->email ? t->email : ""), part = rest;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 80);
    (void)bytes_take_until(&rest, '@', &part);
    for (size_t i = 0; i < part.n && b.n < 60; i++) {
        const uint8_t c = part.p[i] >= 'A' && part.p[i] <= 'Z' ? (uint8_t)(part.p[i] + 32) : part.p[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (letter || (b.n && (c == '.' || c == '_' || c == '-')))
            buf_put_u8(&b, c);
    }
    return rc_ok(buf_status(&b)) && b.n && str_is_name(buf_bytes(&b)) ? buf_z(&b) : NULL;
}

/* A provider's text as it may be shown: no control characters, cut at a character's end. */
static const char *shown(struct ctx *ctx, const char *text, size_t most)
{
    char *out = arena_strdup(&ctx->arena, text ? text : "");
    size_t n = strlen(out);
    if (n > most)
        for (n = most; n && ((uint8_t)out[n] & 0xc0) == 0x80;)
            n--;
    out[n] = '\0';
    for (char *p = out; *p; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return out;
}

struct meant {
    struct core *core;
    const struct provider_said *s;
    const char *source;
    struct q_identity_group_list_row *groups; /* those that they are in */
    size_t n;
    const char *user, *team; /* the account */
    const char *why;         /* in words, where there is none */
};

static struct rc groups_of(struct ctx *ctx, struct txn *txn, struct meant *m)
{
    struct q_identity_group_list_row *all = NULL;
    size_t n = 0;
    TRY(q_identity_group_list(ctx, txn, m->s->provider.id, &all, &n));
    m->groups = arena_array(&ctx->arena, n, sizeof *m->groups);
    for (size_t i = 0; i < n; i++)
        if (str_list_has(&m->s->token.groups, all[i].name))
            m->groups[m->n++] = all[i];
    return RC_OK;
}

/* What an administrator would type.  A subject is the provider's text, and a command is copied into a shell. */
static const char *bind_command(struct ctx *ctx, const struct meant *m, const char *name)
{
    const char *subject = m->s->token.subject;
    for (const char *p = subject; *p; p++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@|:/+=-", *p))
            return arena_printf(&ctx->arena, "certwright user bind %s --provider %s --subject SUB (the log has it)", name,
                                m->s->provider.name);
    return arena_printf(&ctx->arena, "certwright user bind %s --provider %s --subject '%s'", name, m->s->provider.name, subject);
}

/* Why somebody who is not known yet gets no account; NULL: nothing is in the way. */
static struct rc why_not(struct ctx *ctx, struct txn *txn, const struct meant *m, const char *name, const char **why)
{
    const struct q_identity_provider_get_row *p = &m->s->provider;
    struct q_sign_in_account_row taken;
    struct q_team_show_row team;
    bool found = false;
    const char *reason = !p->create_accounts            ? "no account here is bound to who you are there"
                         : !name                        ? "the identity provider gave no name that an account could have"
                         : *p->group_claim && m->n == 0 ? "none of your groups there is let in here"
                                                        : NULL;
    if (reason) {
        *why = arena_printf(&ctx->arena, "%s; an administrator lets you in: %s", reason, bind_command(ctx, m, "NAME"));
        return RC_OK;
    }
    TRY(q_team_show(ctx, txn, p->team_id, m->core->team_root, &team, &found));
    *why = found ? NULL : "the team that accounts are made in is there no more; an administrator names another one";
    if (!found)
        return RC_OK;
    TRY(q_sign_in_account(ctx, txn, name, &taken, &found));
    if (found) /* a name, or an address, is no proof of who somebody is */
        *why = arena_printf(&ctx->arena,
                            "an account named %s is there already and not bound to you; where it is yours, an administrator "
                            "binds it: %s",
                            name, bind_command(ctx, m, name));
    return RC_OK;
}

static struct rc account_make(struct ctx *ctx, struct txn *txn, struct meant *m)
{
    const struct q_identity_provider_get_row *p = &m->s->provider;
    const struct id_token *t = &m->s->token;
    const char *name = name_of(ctx, t);
    TRY(why_not(ctx, txn, m, name, &m->why));
    if (m->why)
        return RC_OK;
    const int64_t now = ctx_now_s(ctx);
    m->user = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    m->team = p->team_id;
    const struct q_user_add_in user = {.id = m->user,
                                       .team_id = p->team_id,
                                       .kind = "person",
                                       .name = name,
                                       .display_name = shown(ctx, t->name, 200),
                                       .email = t->email && strlen(t->email) <= 254 ? shown(ctx, t->email, 254) : "",
                                       .now = now};
    TRY(q_user_add(ctx, txn, &user));
    const struct q_identity_add_in identity = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                               .user_id = m->user,
                                               .provider_id = p->id,
                                               .subject = t->subject,
                                               .created_by = m->source,
                                               .now = now};
    TRY(q_identity_add(ctx, txn, &identity));
    const struct bytes is = audit_facts(ctx, "name", name, "kind", "person", "display_name", user.display_name, "email", user.email,
                                        "provider", p->name, "subject", t->subject, NULL);
    return audit_write(ctx, txn, "user.create", "user", m->user, m->team, audit_change(ctx, (struct bytes){0}, is));
}

/* What a provider vouches for need not be confirmed with a code (core/mail_address.h). */
static struct rc address_vouched(struct ctx *ctx, struct txn *txn, const struct meant *m)
{
    const char *email = m->s->token.email, *plain = email ? mail_address_plain(ctx, email) : NULL;
    return plain && m->user ? q_user_verified(ctx, txn, m->user, email, plain) : RC_OK;
}

static struct rc account_find(struct ctx *ctx, struct txn *txn, struct meant *m)
{
    struct q_identity_find_row identity;
    struct sign_in_account account;
    bool found = false;
    TRY(q_identity_find(ctx, txn, m->s->provider.id, m->s->token.subject, &identity, &found));
    if (!found)
        return account_make(ctx, txn, m);
    TRY(sign_in_account_get(ctx, txn, identity.user_id, &account, &found));
    if (!found || !account.active) {
        m->why = "the account here that you are bound to is disabled";
        return RC_OK;
    }
    m->user = account.id;
    m->team = account.team;
    return q_identity_used(ctx, txn, identity.id, ctx_now_s(ctx));
}

static struct rc grant_told(struct ctx *ctx, struct txn *txn, const struct meant *m, bool gone, const char *role, const char *team,
                            const char *team_id)
{
    const struct bytes grant = audit_facts(ctx, "role", role, "team", team, "by", m->source, NULL), none = {0};
    return audit_write(ctx, txn, gone ? "user.revoke" : "user.grant", "user", m->user, team_id,
                       gone ? audit_change(ctx, grant, none) : audit_change(ctx, none, grant));
}

static bool still_given(const struct meant *m, const struct q_grants_by_provider_row *g)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_equal(m->groups[i].role_id, g->role_id) && str_equal(m->groups[i].team_id, g->team_id))
            return true;
    return false;
}

static struct rc give(struct ctx *ctx, struct txn *txn, const struct meant *m, const char *role_id, const char *team_id)
{
    const struct q_grant_add_in in = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                      .user_id = m->user,
                                      .role_id = role_id,
                                      .team_id = team_id,
                                      .source = "sso",
                                      .created_by = m->source,
                                      .now = ctx_now_s(ctx)};
    return q_grant_add(ctx, txn, &in);
}

/* The last administrator stays, whatever a provider's groups say: somebody has to be able to let others in. */
static struct rc take_back(struct ctx *ctx, struct txn *txn, const struct meant *m, const struct q_grants_by_provider_row *g)
{
    struct q_administrators_row was, now;
    TRY(q_administrators(ctx, txn, m->core->team_root, ROLE_ADMINISTRATOR, &was));
    TRY(q_grant_remove(ctx, txn, g->id));
    TRY(q_administrators(ctx, txn, m->core->team_root, ROLE_ADMINISTRATOR, &now));
    if (was.n && !now.n)
        return give(ctx, txn, m, g->role_id, g->team_id);
    return grant_told(ctx, txn, m, true, g->role, g->team, g->team_id);
}

static struct rc grants_follow(struct ctx *ctx, struct txn *txn, struct meant *m)
{
    struct q_grants_by_provider_row *had = NULL;
    struct access_right *rights = NULL;
    struct q_grant_count_sso_row there;
    size_t n = 0, held = 0, changed = 0;
    TRY(q_grants_by_provider(ctx, txn, m->user, m->source, &had, &n));
    for (size_t i = 0; i < n; i++)
        if (!still_given(m, &had[i])) {
            TRY(take_back(ctx, txn, m, &had[i]));
            changed++;
        }
    TRY(access_rights_of(ctx, m->core, txn, m->user, NULL, NULL, &rights, &held));
    for (size_t i = 0; i < m->n && held < ACCESS_RIGHTS_MAX; i++) {
        const struct q_identity_group_list_row *g = &m->groups[i];
        TRY(q_grant_count_sso(ctx, txn, m->user, g->role_id, g->team_id, &there));
        if (there.n)
            continue;
        TRY(give(ctx, txn, m, g->role_id, g->team_id));
        TRY(grant_told(ctx, txn, m, false, g->role, g->team, g->team_id));
        changed++;
        held++;
    }
    if (!changed)
        return RC_OK;
    TRY(invitation_narrow(ctx, txn, m->user));
    return scopes_of_user(ctx, m->core, txn, m->user);
}

RC provider_account(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_identity_provider_get_row *provider,
                    const struct id_token *who, const char **user, const char **why)
{
    struct provider_said said = {.provider = *provider, .token = *who};
    struct meant m = {.core = core, .s = &said, .source = identity_provider_grant_source(ctx, provider->name)};
    TRY(groups_of(ctx, txn, &m));
    TRY(account_find(ctx, txn, &m));
    if (!m.why)
        TRY(grants_follow(ctx, txn, &m));
    *user = m.user;
    *why = m.why;
    return RC_OK;
}

static struct rc good(struct ctx *ctx, struct txn *txn, struct meant *m)
{
    TRY(groups_of(ctx, txn, m));
    TRY(account_find(ctx, txn, m));
    if (m->why)
        return RC_OK;
    TRY(address_vouched(ctx, txn, m));
    TRY(grants_follow(ctx, txn, m));
    return step_to(ctx, txn, m->s->sign_in.id, "asking", "ready", m->user, NULL);
}

static struct rc ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_provider_sign_in_get_row row;
    struct q_identity_provider_get_row provider;
    bool found = false;
    TRY(q_provider_sign_in_by_id(ctx, txn, r->job.ref, &row, &found));
    if (!found || !str_equal(row.state, "asking"))
        return RC_OK;
    TRY(q_identity_provider_get(ctx, txn, row.provider_id, &provider, &found));
    if (r->login && r->login->fresh_keys)
        TRY(q_identity_provider_keys(ctx, txn, row.provider_id, r->login->fresh_keys, ctx_now_s(ctx)));
    struct meant m = {.core = core, .s = r->login, .why = r->ok && r->login ? NULL : r->why ? r->why : "the sign-in failed"};
    if (!found || !str_equal(provider.state, "active"))
        m.why = "nobody signs in by this identity provider any more";
    m.source = found ? identity_provider_grant_source(ctx, provider.name) : "";
    if (!m.why)
        TRY(good(ctx, txn, &m));
    if (!m.why)
        return RC_OK;
    TRY(step_to(ctx, txn, row.id, "asking", "failed", NULL, m.why));
    if (!r->login) /* anybody can bring a code that is none */
        return RC_OK;
    return audit_write(ctx, txn, "session.refused", "identity-provider", row.provider_id, core->team_root,
                       audit_facts(ctx, "by", m.source, "why", m.why, "subject", r->login->token.subject, NULL));
}

RC provider_exchange_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    const struct principal *agent = ctx->principal;
    ctx->principal = access_hub(ctx, core); /* the hub decides; the agent has brought the token alone */
    struct rc rc = ended(ctx, core, txn, r);
    ctx->principal = agent;
    TRY(rc);
    TRY(q_job_empty(ctx, txn, r->job.ref, "oidc_exchange")); /* the code is used: nothing of it stays */
    core_wake_after_commit(ctx, core, txn, "sign-in:", r->job.ref);
    return RC_OK;
}
