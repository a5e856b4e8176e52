#include "core/issuer.h"

#include "base/random.h"
#include "base/uri.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/audit.h"
#include "core/issuer_account.h"
#include "base/encode.h"
#include "pki/digest.h"
#include "core/enroll.h"
#include "core/job.h"
#include "core/persist.h"
#include "core/standby_look.h"
#include "pki/cert.h"
#include "wire/messages.h"

static void put_list(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(j, NULL, l->v[i]);
    json_close(j);
}

static struct rc get_list(struct ctx *ctx, const json_t *obj, const char *key, struct str_list *out)
{
    const json_t *list = NULL;
    TRY(json_get_list(ctx, obj, key, false, &list));
    for (size_t i = 0; list && i < json_array_size(list); i++)
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(json_array_get(list, i))));
    return RC_OK;
}

void issuer_settings_encode(struct buf *b, const struct issuer_settings *s)
{
    struct json_out j;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    const struct {
        const char *key, *value;
    } texts[] = {{"ca", s->ca},
                 {"protocol", s->protocol},
                 {"parameters", s->parameters},
                 {"directory_url", s->directory_url},
                 {"ca_roots_pem", s->ca_roots_pem},
                 {"acme_profile", s->acme_profile},
                 {"challenge_method", s->challenge_method},
                 {"preferred_chain", s->preferred_chain},
                 {"eab_kid", s->eab_kid},
                 {"challenge_via", s->challenge_via},
                 {"preflight", s->preflight},
                 {"challenge_agent", s->challenge_agent},
                 {"webroot", s->webroot},
                 {"agent", s->agent}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].value)
            json_put_str(&j, texts[i].key, texts[i].value);
    json_put_bool(&j, "terms_agreed", s->terms_agreed);
    if (s->drafts)
        json_put_bool(&j, "drafts", true);
    put_list(&j, "contacts", &s->contacts);
    put_list(&j, "networks", &s->networks);
    issuer_policy_encode(&j, "policy", &s->policy);
    json_close(&j);
}

static struct rc settings_read(struct ctx *ctx, const char *kind, const char *json, struct issuer_settings *out)
{
    *out = (struct issuer_settings){.kind = kind};
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(json), &root));
    TRY(json_get_str(ctx, root, "ca", false, &out->ca));
    TRY(json_get_str(ctx, root, "protocol", false, &out->protocol));
    TRY(json_get_str(ctx, root, "parameters", false, &out->parameters));
    TRY(json_get_str(ctx, root, "directory_url", false, &out->directory_url));
    TRY(json_get_str(ctx, root, "ca_roots_pem", false, &out->ca_roots_pem));
    TRY(json_get_str(ctx, root, "acme_profile", false, &out->acme_profile));
    TRY(json_get_str(ctx, root, "challenge_method", false, &out->challenge_method));
    TRY(json_get_str(ctx, root, "preferred_chain", false, &out->preferred_chain));
    TRY(json_get_str(ctx, root, "eab_kid", false, &out->eab_kid));
    TRY(json_get_bool(ctx, root, "drafts", false, &out->drafts));
    TRY(json_get_str(ctx, root, "challenge_via", false, &out->challenge_via));
    TRY(json_get_str(ctx, root, "preflight", false, &out->preflight));
    TRY(json_get_str(ctx, root, "challenge_agent", false, &out->challenge_agent));
    TRY(json_get_str(ctx, root, "webroot", false, &out->webroot));
    TRY(json_get_str(ctx, root, "agent", false, &out->agent));
    TRY(json_get_bool(ctx, root, "terms_agreed", false, &out->terms_agreed));
    TRY(get_list(ctx, root, "contacts", &out->contacts));
    const json_t *policy = NULL;
    TRY(json_get_obj(ctx, root, "policy", false, &policy));
    TRY(issuer_policy_decode(ctx, policy, &out->policy));
    return get_list(ctx, root, "networks", &out->networks);
}

/* An attempt's step asks for the same settings many times, and an exchange brings the steps of many attempts. */
struct decoded {
    const char *json;
    struct issuer_settings settings;
    const struct decoded *next;
};

RC issuer_settings_decode(struct ctx *ctx, const char *kind, const char *json, struct issuer_settings *out)
{
    for (const struct decoded *d = ctx->decoded; d; d = d->next)
        if (str_equal(d->json, json)) {
            *out = d->settings;
            out->kind = kind;
            return RC_OK;
        }
    TRY(settings_read(ctx, kind, json, out));
    struct decoded *d = ARENA_NEW(&ctx->arena, struct decoded);
    *d = (struct decoded){arena_strdup(&ctx->arena, json), *out, ctx->decoded};
    ctx->decoded = d;
    return RC_OK;
}

RC preferred_chain_check(struct ctx *ctx, const char *text)
{
    struct bytes rest = bytes_z(text), hash;
    if (!bytes_starts_with(rest, BYTES_LIT("sha256:")))
        return *text ? RC_OK : ctx_fail_field(ctx, "/preferred_chain", "a chain is named by its root, or by sha256:HASH");
    bytes_skip(&rest, strlen("sha256:"));
    return get_hex(&ctx->arena, rest, &hash) && hash.n == SHA256_LEN
               ? RC_OK
               : ctx_fail_field(ctx, "/preferred_chain", "sha256: is followed by the hash of a CA's public key, 64 digits");
}

static struct rc settings_check(struct ctx *ctx, const struct issuer_settings *s)
{
    TRY(issuer_policy_check(ctx, &s->policy));
    if (str_equal(s->kind, "ca"))
        return s->ca ? RC_OK : ctx_fail_field(ctx, "/ca", "say which CA of the signer issues; certwright ca list shows them");
    if (str_equal(s->kind, "manual"))
        return RC_OK;
    if (str_equal(s->kind, "enroll"))
        return s->protocol ? RC_OK
                           : ctx_fail_field(ctx, "/protocol",
                                            "say how the issuer is asked: a description of the agent's host, such as vault-pki");
    if (!str_equal(s->kind, "acme"))
        return ctx_fail_field(ctx, "/kind", "an issuer is of kind ca, acme, enroll or manual");
    if (!s->directory_url || !bytes_starts_with(bytes_z(s->directory_url), BYTES_LIT("https://")))
        return ctx_fail_field(ctx, "/directory_url", "an ACME issuer needs the https:// URL of its directory");
    if (!s->terms_agreed)
        return ctx_fail_field(ctx, "/terms_agreed",
                              "the CA's terms of service must be agreed to: add --agree once you have read them");
    if (s->ca_roots_pem) {
        struct cert_chain roots;
        if (rc_failed(cert_chain_parse_pem(ctx, bytes_z(s->ca_roots_pem), 100, &roots)) || roots.n == 0)
            return ctx_fail_field(ctx, "/ca_roots_pem", "not certificates in PEM");
    }
    if (s->preferred_chain)
        TRY(preferred_chain_check(ctx, s->preferred_chain));
    if (!s->drafts && (str_equal(s->challenge_method, "dns-account-01") || str_equal(s->challenge_method, "dns-persist-01")))
        return ctx_fail_field(ctx, "/challenge/method", "%s is a draft still; add --drafts where the CA offers it",
                              s->challenge_method);
    if (s->challenge_via && str_equal(s->challenge_via, "webroot") && !s->webroot)
        return ctx_fail_field(ctx, "/challenge/webroot", "challenges by webroot need the folder that is served");
    return RC_OK;
}

struct issuer_change {
    struct core *core;
    const char *ref, *name, *team, *id;
    const struct issuer_settings *s;
    int64_t revision;
    struct bytes eab; /* sealed; empty: as it is */
    size_t records;   /* in DNS, that are taken away with it */
};

static struct bytes encoded(struct ctx *ctx, const struct issuer_settings *s)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    issuer_settings_encode(&b, s);
    return buf_bytes(&b);
}

static struct rc eab_keep(struct ctx *ctx, struct txn *txn, const char *id, const struct issuer_change *c)
{
    if (!c->s->eab_kid)
        return q_issuer_eab_set(ctx, txn, id, (struct bytes){0});
    return c->eab.n ? q_issuer_eab_set(ctx, txn, id, c->eab) : RC_OK;
}

/* With whose credentials, and below whose folders, it is done: not with those of other teams. */
static struct rc agents_check(struct ctx *ctx, struct txn *txn, const struct issuer_settings *s)
{
    const char *id = NULL, *name = NULL;
    ctx->field = "/agent";
    if (s->agent || str_equal(s->kind, "enroll"))
        TRY(agent_meant(ctx, txn, s->agent, &id, &name));
    ctx->field = "/challenge/agent";
    if (s->challenge_agent)
        TRY(agent_meant(ctx, txn, s->challenge_agent, &id, &name));
    ctx->field = NULL;
    return RC_OK;
}

static struct rc issuer_add(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct issuer_change *c = arg;
    TRY(access_team(ctx, txn, c->team, &c->team));
    TRY(decide(ctx, c->core, txn, "issuer.create", c->team));
    if (str_equal(c->s->kind, "ca")) /* our CAs are of no team: who lends one has the right everywhere */
        TRY(access_everywhere(ctx, c->core, txn, "issuer.create"));
    TRY(agents_check(ctx, txn, c->s));
    const struct q_issuer_add_in in = {.id = c->id,
                                       .team_id = c->team,
                                       .name = c->name,
                                       .kind = c->s->kind,
                                       .settings = arena_str(&ctx->arena, encoded(ctx, c->s)),
                                       .now = ctx_now_s(ctx)};
    struct rc rc = q_issuer_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "an issuer named %s is there already", c->name);
    }
    TRY(rc);
    TRY(eab_keep(ctx, txn, c->id, c));
    return audit_write(ctx, txn, "issuer.create", "issuer", c->id, c->team,
                       audit_change(ctx, (struct bytes){0}, encoded(ctx, c->s)));
}

/* Before anything of theirs reaches the signer. */
static struct rc may_add(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct issuer_change *c = arg;
    TRY(access_team(ctx, txn, c->team, &c->team));
    return decide(ctx, c->core, txn, "issuer.create", c->team);
}

RC issuer_create(struct ctx *ctx, struct core *core, const char *name, const char *team, const struct issuer_settings *s,
                 const struct issuer_secrets *secrets, const char **id)
{
    TRY(settings_check(ctx, s));
    struct issuer_change c = {.core = core,
                              .name = name,
                              .team = team ? team : access_scope(ctx),
                              .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                              .s = s};
    if (secrets->eab_key || secrets->account_key)
        TRY(store_read(ctx, core->store, may_add, &c));
    if (secrets->eab_key)
        TRY(issuer_seal_eab(ctx, core, c.id, secrets->eab_key, &c.eab));
    if (secrets->account_key)
        TRY(issuer_import_key(ctx, core, c.id, s->directory_url, secrets->account_key));
    TRY(store_write(ctx, core->store, issuer_add, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc issuer_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_issuer_get_row *out)
{
    bool found = false;
    TRY(q_issuer_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no issuer is named %s; certwright issuer list shows them", ref);
}

static struct rc issuer_set(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct issuer_change *c = arg;
    struct q_issuer_get_row row;
    TRY(issuer_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "issuer.update", row.team_id));
    if (!str_equal(row.kind, c->s->kind))
        return ctx_fail_field(ctx, "/kind", "the kind of an issuer cannot change; make another");
    TRY(agents_check(ctx, txn, c->s));
    struct rc rc = q_issuer_update(ctx, txn, row.id, arena_str(&ctx->arena, encoded(ctx, c->s)),
                                   c->revision ? c->revision : row.revision, ctx_now_s(ctx));
    TRY(rc);
    TRY(eab_keep(ctx, txn, row.id, c));
    return audit_write(ctx, txn, "issuer.update", "issuer", row.id, row.team_id,
                       audit_change(ctx, bytes_z(row.settings), encoded(ctx, c->s)));
}

static struct rc may_set(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct issuer_change *c = arg;
    struct q_issuer_get_row row;
    TRY(issuer_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "issuer.update", row.team_id));
    return agents_check(ctx, txn, c->s);
}

RC issuer_check(struct ctx *ctx, struct core *core, const char *ref, const struct issuer_settings *s)
{
    struct issuer_change c = {.core = core, .ref = ref, .s = s};
    TRY(settings_check(ctx, s));
    return store_read(ctx, core->store, may_set, &c);
}

RC issuer_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct issuer_settings *s,
                 const struct issuer_secrets *secrets)
{
    TRY(settings_check(ctx, s));
    struct issuer_change c = {.core = core, .ref = ref, .s = s, .revision = revision};
    if (secrets->eab_key)
        TRY(store_read(ctx, core->store, may_set, &c));
    if (secrets->eab_key) /* ref is the id here: the caller has looked */
        TRY(issuer_seal_eab(ctx, core, ref, secrets->eab_key, &c.eab));
    return store_write(ctx, core->store, issuer_set, &c);
}

static struct rc issuer_drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct issuer_change *c = arg;
    struct q_issuer_get_row row;
    TRY(issuer_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "issuer.delete", row.team_id));
    struct q_issuer_used_row used;
    bool found = false;
    TRY(q_issuer_used(ctx, txn, row.id, &used, &found));
    if (found)
        return ctx_fail(ctx, E_IN_USE, "%s is the issuer of %s; give that another first", row.name, used.name);
    TRY(q_issuer_remove(ctx, txn, row.id, ctx_now_s(ctx)));
    TRY(persist_issuer_gone(ctx, c->core, txn, row.id, &c->records));
    TRY(timer_arm(ctx, txn, "rehearsal", row.id, ctx_now_s(ctx))); /* what was made for it goes too */
    return audit_write(ctx, txn, "issuer.delete", "issuer", row.id, row.team_id,
                       audit_change(ctx, bytes_z(row.settings), (struct bytes){0}));
}

RC issuer_remove(struct ctx *ctx, struct core *core, const char *ref, size_t *records)
{
    struct issuer_change c = {.core = core, .ref = ref};
    TRY(store_write(ctx, core->store, issuer_drop, &c));
    *records = c.records;
    return RC_OK;
}

struct issuer_read {
    struct core *core;
    const char *ref;
    int64_t limit;
    struct issuer_view *out;
    size_t n;
};

static struct rc issuer_fill(struct ctx *ctx, struct txn *txn, const struct q_issuer_get_row *r, struct issuer_view *v)
{
    struct q_issuer_health_row h;
    TRY(q_issuer_health(ctx, txn, r->id, &h));
    *v = (struct issuer_view){.id = r->id,
                              .name = r->name,
                              .team_id = r->team_id,
                              .account_url = r->account_url,
                              .last_error = r->last_error,
                              .failures = r->failures,
                              .retry_at = r->retry_at ? *r->retry_at : 0,
                              .revision = r->revision,
                              .created_at = r->created_at,
                              .updated_at = r->updated_at,
                              .failing_since = h.failing_since ? *h.failing_since : 0,
                              .standby_at = h.standby_at ? *h.standby_at : 0,
                              .standby_error = h.standby_error};
    return issuer_settings_decode(ctx, r->kind, r->settings, &v->settings);
}

static struct rc issuer_read_one(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct issuer_read *r = arg;
    TRY(decide(ctx, r->core, txn, "issuer.read", NULL));
    struct q_issuer_get_row row;
    TRY(issuer_find(ctx, txn, r->ref, &row));
    TRY(issuer_fill(ctx, txn, &row, r->out));
    TRY(rehearsal_show(ctx, txn, row.id, &r->out->settings, &r->out->rehearsal));
    TRY(standby_look_words(ctx, txn, row.id, &r->out->standby_names));
    return budget_show(ctx, txn, &r->out->settings.policy, row.id, &r->out->budget, &r->out->budget_n);
}

RC issuer_show(struct ctx *ctx, struct core *core, const char *ref, struct issuer_view *out)
{
    struct issuer_read r = {.core = core, .ref = ref, .out = out};
    return store_read(ctx, core->store, issuer_read_one, &r);
}

static struct rc issuer_read_page(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct issuer_read *r = arg;
    TRY(decide(ctx, r->core, txn, "issuer.read", NULL));
    struct q_issuer_get_row *rows = NULL;
    TRY(q_issuer_list(ctx, txn, access_scope(ctx), r->ref, r->limit, &rows, &r->n));
    r->out = arena_array(&ctx->arena, r->n, sizeof *r->out);
    for (size_t i = 0; i < r->n; i++)
        TRY(issuer_fill(ctx, txn, &rows[i], &r->out[i]));
    return RC_OK;
}

RC issuer_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct issuer_view **out, size_t *n)
{
    struct issuer_read r = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, issuer_read_page, &r));
    *out = r.out;
    *n = r.n;
    return RC_OK;
}

RC issuer_for_job(struct ctx *ctx, struct txn *txn, const char *id, struct issuer_settings *settings, struct payload_issuer *out)
{
    struct q_issuer_by_id_row row;
    TRY(q_issuer_by_id(ctx, txn, id, &row));
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, settings));
    *out = (struct payload_issuer){.account = row.id,
                                   .directory_url = settings->directory_url,
                                   .ca_roots_pem = settings->ca_roots_pem,
                                   .account_url = row.account_url,
                                   .contacts = settings->contacts,
                                   .networks = settings->networks,
                                   .terms_agreed = settings->terms_agreed,
                                   .acme_profile = settings->acme_profile,
                                   .preferred_chain = settings->preferred_chain};
    return RC_OK;
}

RC issuer_account_keep(struct ctx *ctx, struct txn *txn, const char *issuer, const char *url)
{
    struct issuer_settings s;
    struct payload_issuer p;
    struct uri directory, account;
    TRY(issuer_for_job(ctx, txn, issuer, &s, &p));
    if (str_equal(p.account_url, url))
        return RC_OK;
    TRY(uri_parse(ctx, bytes_z(s.directory_url), &directory));
    TRY(uri_parse(ctx, bytes_z(url), &account));
    if (!uri_same_origin(&directory, &account))
        return ctx_fail(ctx, E_BAD_ANSWER, "the account %s is not at %s", url, s.directory_url);
    TRY(q_issuer_account(ctx, txn, issuer, url));
    /* On record, with who says so: with dns-persist-01 the account in a record may have certificates. */
    struct q_issuer_by_id_row row;
    struct buf detail;
    struct json_out j;
    TRY(q_issuer_by_id(ctx, txn, issuer, &row));
    buf_init_arena(&detail, &ctx->arena, 8192);
    json_begin(&j, &detail);
    json_open_obj(&j, NULL);
    json_put_str(&j, "account_url", url);
    json_close(&j);
    return audit_write(ctx, txn, "issuer.account", "issuer", issuer, row.team_id,
                       audit_change(ctx, (struct bytes){0}, buf_bytes(&detail)));
}

RC issuer_agent(struct ctx *ctx, struct txn *txn, const struct issuer_settings *s, const char **agent)
{
    bool found = false;
    if (s->agent)
        return agent_named(ctx, txn, s->agent, agent);
    struct q_agent_first_row first;
    TRY(q_agent_first(ctx, txn, &first, &found));
    if (!found)
        return ctx_fail(ctx, E_CONFLICT, "no agent is there to talk to the CA; start one with: certwright run agent");
    *agent = first.id;
    return RC_OK;
}

RC issuer_via(struct ctx *ctx, const struct issuer_settings *s, const char *how, const struct q_target_by_id_row *target,
              const char **via)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 17);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (target) {
        json_put_str(&j, "connector", target->connector);
        json_put_raw(&j, "parameters", bytes_z(target->parameters));
    } else {
        json_put_str(&j, "connector", how);
        json_open_obj(&j, "parameters");
        if (str_equal(how, "webroot"))
            json_put_str(&j, "root", s->webroot);
        json_close(&j);
    }
    json_close(&j);
    TRY(buf_status(&b));
    *via = buf_z(&b);
    return RC_OK;
}

/* Challenges answered by the service itself: by the first target of the managed certificate. */
static struct rc first_target(struct ctx *ctx, struct txn *txn, const char *managed, struct q_target_by_id_row *out)
{
    struct q_managed_targets_row *targets = NULL;
    struct q_managed_by_id_row m;
    size_t n = 0;
    TRY(q_managed_by_id(ctx, txn, managed, &m));
    TRY(q_managed_targets(ctx, txn, m.rehearses ? m.rehearses : managed, &targets, &n)); /* it has the way, where this has none */
    if (!n)
        return ctx_fail(ctx, E_CONFLICT,
                        "challenges are to be answered by the target, and there is none; name one with --to, or set the "
                        "issuer's challenge to listener or webroot");
    return q_target_by_id(ctx, txn, targets[0].target_id, out);
}

RC issuer_challenge_via(struct ctx *ctx, struct txn *txn, const struct issuer_settings *s, const char *managed,
                        const char *attempt_agent, const char **agent, const char **via)
{
    struct q_target_by_id_row target;
    *agent = attempt_agent;
    if (s->challenge_agent)
        TRY(agent_named(ctx, txn, s->challenge_agent, agent));
    else if (s->agent)
        TRY(issuer_agent(ctx, txn, s, agent));
    const char *how = s->challenge_via ? s->challenge_via : "target";
    if (!str_equal(how, "target"))
        return issuer_via(ctx, s, how, NULL, via);
    TRY(first_target(ctx, txn, managed, &target));
    *agent = target.agent_id;
    return issuer_via(ctx, s, how, &target, via);
}

RC issuer_roots(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const char **pem)
{
    (void)core;
    struct q_issuer_by_id_row row;
    TRY(q_issuer_by_id(ctx, txn, issuer, &row));
    struct issuer_settings s;
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    *pem = s.ca_roots_pem ? s.ca_roots_pem : "";
    return RC_OK;
}

struct thumbprint {
    const char *issuer;
    struct issuer_settings settings;
};

static struct rc thumbprint_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct thumbprint *t = arg;
    struct payload_issuer ignored;
    return issuer_for_job(ctx, txn, t->issuer, &t->settings, &ignored);
}

RC issuer_thumbprint(struct ctx *ctx, struct core *core, const char *issuer, const char **out)
{
    struct thumbprint t = {.issuer = issuer};
    TRY(store_read(ctx, core->store, thumbprint_read, &t));
    /* Making the account key again gives the one that is there. */
    const struct wire_signer_acme_account ask = {
        .account = issuer, .directory_url = t.settings.directory_url, .key_kind = "ec-p256"};
    struct wire_signer_acme_key key;
    TRY(wire_call_signer_acme_account(ctx, core->signer, &ask, &key));
    *out = key.thumbprint;
    return RC_OK;
}

RC issuer_revoke_job(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const char *managed, struct bytes der,
                     struct bytes serial, int64_t reason)
{
    struct issuer_settings s;
    struct payload_issuer p;
    TRY(issuer_for_job(ctx, txn, issuer, &s, &p));
    const bool own = str_equal(s.kind, "ca");
    if (str_equal(s.kind, "manual")) /* who revokes it there is who has it issued there */
        return RC_OK;
    if (str_equal(s.kind, "enroll")) {
        struct bytes payload;
        const char *asks = NULL;
        TRY(issuer_agent(ctx, txn, &s, &asks));
        TRY(enroll_revoke_payload(ctx, &s, der, reason, &payload));
        return job_add(ctx, core, txn, "enroll_revoke", asks, arena_printf(&ctx->arena, "revoke:%s", managed), managed, payload, 0);
    }
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_int(&j, "reason", reason);
    const char *agent = core->hub_agent;
    if (own) {
        json_put_str(&j, "ca", s.ca);
        json_put_hex(&j, "serial", serial);
    } else {
        TRY(issuer_agent(ctx, txn, &s, &agent));
        json_put_str(&j, "account", p.account);
        if (p.account_url)
            json_put_str(&j, "account_url", p.account_url);
        json_put_str(&j, "directory_url", p.directory_url);
        if (p.ca_roots_pem)
            json_put_str(&j, "ca_roots_pem", p.ca_roots_pem);
        put_list(&j, "granted_networks", &p.networks);
        json_put_base64(&j, "certificate", der);
    }
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, own ? "revoke" : "acme_revoke", agent, arena_printf(&ctx->arena, "revoke:%s", managed), managed,
                   buf_bytes(&b), 0);
}
