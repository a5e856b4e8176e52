#include "core/persist.h"

#include "acme/dns_proof.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/job.h"
#include "core/payload.h"
#include "core/solver.h"
#include "pki/digest.h"
#include "pki/name.h"

#define LIFE_S  (365 * 86400)
#define EARLY_S (30 * 86400) /* before its end it is written anew */
#define TELL_S  (14 * 86400) /* before its end people are told */

static const char *name_of(const char *identifier)
{
    return strncmp(identifier, "dns:", 4) == 0 ? identifier + 4 : identifier;
}

/* So that the challenges of one order, checked one after the other, ask for one record. */
static int64_t whole_day(int64_t at)
{
    return at - at % 86400;
}

struct lookup {
    const char *issuer, *name, *account_url;
    struct q_persist_get_row row;
    bool found;
};

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct lookup *l = arg;
    struct q_issuer_by_id_row issuer;
    TRY(q_issuer_by_id(ctx, txn, l->issuer, &issuer));
    l->account_url = issuer.account_url;
    return q_persist_get(ctx, txn, l->issuer, l->name, &l->row, &l->found);
}

/* The CA has no token for it; the job is called by one all the same. */
static struct rc token_of(struct ctx *ctx, const char *issuer, const char *name, const char **out)
{
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, bytes_z(arena_printf(&ctx->arena, "%s\n%s", issuer, name)), hash));
    *out = base64url_str(&ctx->arena, bytes_of(hash, sizeof hash));
    return RC_OK;
}

RC persist_prove(struct ctx *ctx, struct core *core, const struct q_attempt_by_id_row *a, const struct wish *w,
                 const char *identifier, const char *account_url, const char *issuer_domain, struct order_challenge *out)
{
    struct lookup l = {.issuer = a->issuer_id, .name = name_of(identifier)};
    if (!account_url)
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent does not say which account shall stand in the record of %s", l.name);
    TRY(store_read(ctx, core->store, look, &l));
    if (l.account_url && !str_equal(l.account_url, account_url)) /* whoever it belongs to could have certificates from then on */
        return ctx_fail(ctx, E_BAD_ANSWER, "the agent names another account (%s) than the issuer's (%s): nothing is written for it",
                        account_url, l.account_url);
    /* One record for the name and what is below it. */
    const bool wildcard = str_list_has(&w->names, arena_printf(&ctx->arena, "*.%s", l.name));
    const bool good = l.found && !l.row.leaving_at && str_equal(l.row.account_url, account_url) &&
                      str_equal(l.row.issuer_domain, issuer_domain) && l.row.until_at > ctx_now_s(ctx) + EARLY_S &&
                      (l.row.wildcard || !wildcard);
    if (good)
        out->key_authorization = l.row.value;
    else
        TRY(acme_persist_value(ctx, issuer_domain, account_url, wildcard, whole_day(ctx_now_s(ctx) + LIFE_S),
                               &out->key_authorization));
    if (strlen(out->key_authorization) > ACME_DNS_VALUE_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the record that would prove %s is longer than %d bytes", l.name, ACME_DNS_VALUE_MAX);
    if (!acme_dns_value_is(out->key_authorization))
        return ctx_fail(ctx, E_UNSUPPORTED,
                        "%s cannot be proved by a record that persists: no record is written with an account's URL like %s; use "
                        "dns-01: certwright issuer edit NAME --challenge dns-01",
                        l.name, account_url);
    return token_of(ctx, a->issuer_id, l.name, &out->token);
}

/* --- taking away */

static const char *identifier_of(struct ctx *ctx, const char *name)
{
    return arena_printf(&ctx->arena, "dns:%s", name);
}

static struct rc clean_job(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_persist_by_id_row *r)
{
    struct bytes payload;
    struct q_challenge_list_row c = {
        .url = "", .identifier = identifier_of(ctx, r->name), .key_authorization = r->value, .method = ACME_DNS_PERSIST};
    TRY(token_of(ctx, r->issuer_id, r->name, &c.token));
    TRY(solver_via_now(ctx, txn, r->provider_id, r->agent_id, r->via, &c.via));
    TRY(payload_challenge(ctx, "", &c, r->account_url, NULL, &payload));
    return job_add(ctx, core, txn, "dns_clean", r->agent_id, solver_lane(ctx, r->provider_id, c.identifier, r->id), r->id, payload,
                   0);
}

static struct rc audited(struct ctx *ctx, struct txn *txn, const char *action, const struct q_persist_by_id_row *r)
{
    struct buf b;
    struct json_out j;
    struct q_issuer_by_id_row issuer;
    TRY(q_issuer_by_id(ctx, txn, r->issuer_id, &issuer));
    buf_init_arena(&b, &ctx->arena, 4096);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "name", r->name);
    json_put_str(&j, "value", r->value);
    json_put_str(&j, "issuer", r->issuer_id);
    json_close(&j);
    TRY(buf_status(&b));
    return audit_write(ctx, txn, action, "persistent-record", r->id, issuer.team_id, buf_bytes(&b));
}

/* What is not gone in a day is tried again by the timer. */
static struct rc leave(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_persist_by_id_row *r)
{
    if (!r->leaving_at)
        TRY(audited(ctx, txn, "persistent-record.revoke", r));
    TRY(q_persist_leave(ctx, txn, r->id, ctx_now_s(ctx)));
    TRY(q_job_cancel_ref(ctx, txn, r->id, "dns_persist", ctx_now_s(ctx)));
    TRY(q_job_cancel_ref(ctx, txn, r->id, "dns_clean", ctx_now_s(ctx)));
    TRY(timer_arm(ctx, txn, "persist", r->id, ctx_now_s(ctx) + 86400));
    return clean_job(ctx, core, txn, r);
}

RC persist_cleaned(struct ctx *ctx, struct txn *txn, const char *id, const char *error)
{
    struct q_persist_by_id_row r;
    bool found = false;
    TRY(q_persist_by_id(ctx, txn, id, &r, &found));
    if (!found || !r.leaving_at) /* wanted again meanwhile, or it was the one before */
        return RC_OK;
    if (error)
        return q_persist_failed(ctx, txn, id, error);
    TRY(audited(ctx, txn, "persistent-record.delete", &r));
    TRY(timer_clear(ctx, txn, "persist", id));
    return q_persist_remove(ctx, txn, id);
}

/* --- keeping */

static struct rc keep(struct ctx *ctx, struct txn *txn, const struct q_persist_keep_in *in)
{
    TRY(q_persist_keep(ctx, txn, in));
    struct q_persist_get_row row;
    bool found = false;
    TRY(q_persist_get(ctx, txn, in->issuer_id, in->name, &row, &found));
    return found ? timer_arm(ctx, txn, "persist", row.id, in->until_at - EARLY_S) : RC_OK;
}

static struct rc keep_challenge(struct ctx *ctx, struct txn *txn, const char *issuer, const struct q_challenge_list_row *c)
{
    struct acme_persist said;
    TRY(acme_persist_parse(ctx, c->key_authorization, &said));
    const struct q_persist_keep_in in = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                         .issuer_id = issuer,
                                         .name = name_of(c->identifier),
                                         .account_url = said.account_url,
                                         .issuer_domain = said.issuer_domain,
                                         .wildcard = said.wildcard,
                                         .value = c->key_authorization,
                                         .until_at = said.until,
                                         .agent_id = c->agent_id,
                                         .via = c->via,
                                         .provider_id = c->provider_id};
    return keep(ctx, txn, &in);
}

RC persist_keep(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, const struct q_challenge_list_row *c)
{
    struct q_persist_get_row was;
    struct q_persist_by_id_row r;
    bool found = false;
    TRY(q_persist_get(ctx, txn, issuer, name_of(c->identifier), &was, &found));
    if (found) {
        TRY(q_persist_by_id(ctx, txn, was.id, &r, &found));
        TRY(q_job_cancel_ref(ctx, txn, r.id, "dns_clean", ctx_now_s(ctx)));
    }
    if (found && !str_equal(r.value, c->key_authorization)) /* of an account of before, or for fewer names: it goes */
        TRY(clean_job(ctx, core, txn, &r));
    return keep_challenge(ctx, txn, issuer, c);
}

/* Whether somebody who needs it may have it answered, and by whom then. */
static struct rc answered(struct ctx *ctx, struct txn *txn, const struct q_persist_by_id_row *r, struct solver_owner *owner,
                          struct q_dns_answering_row *by, bool *found)
{
    struct q_persist_needed_row *needed = NULL;
    size_t n = 0;
    *found = false;
    TRY(q_persist_needed(ctx, txn, r->issuer_id, arena_printf(&ctx->arena, "%%%s\"%%", r->name), &needed, &n));
    for (size_t i = 0; i < n && !*found; i++) {
        struct wish w;
        struct q_managed_targets_row *rows = NULL;
        struct str_list targets = {0};
        size_t k = 0;
        TRY(wish_decode(ctx, needed[i].wish, &w));
        TRY(q_managed_targets(ctx, txn, needed[i].id, &rows, &k));
        for (size_t t = 0; t < k; t++)
            str_list_add(&ctx->arena, &targets, rows[t].target_id);
        TRY(solver_owner_wished(ctx, txn, needed[i].team_id, &w, &targets, owner));
        TRY(solver_provider(ctx, txn, owner, r->name, by, found));
    }
    return RC_OK;
}

static struct rc write_job(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_persist_by_id_row *r,
                           const struct q_dns_answering_row *by, const char *via)
{
    struct buf b;
    struct json_out j;
    const char *value = NULL, *token = NULL;
    TRY(acme_persist_value(ctx, r->issuer_domain, r->account_url, r->wildcard != 0, whole_day(ctx_now_s(ctx) + LIFE_S), &value));
    TRY(token_of(ctx, r->issuer_id, r->name, &token));
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "attempt", "");
    json_put_str(&j, "identifier", identifier_of(ctx, r->name));
    json_put_str(&j, "token", token);
    json_put_str(&j, "key_authorization", value);
    json_put_str(&j, "method", ACME_DNS_PERSIST);
    json_put_str(&j, "account_url", r->account_url);
    json_put_raw(&j, "via", bytes_z(via));
    if (!str_equal(value, r->value))
        json_put_str(&j, "replaces", r->value);
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, "dns_persist", by->agent_id, arena_printf(&ctx->arena, "persist:%s", r->id), r->id,
                   buf_bytes(&b), 0);
}

/* `left`: it is being taken away. */
static struct rc look_after(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, bool *left)
{
    struct q_persist_by_id_row r;
    struct q_issuer_by_id_row issuer;
    struct q_dns_answering_row by;
    struct solver_owner owner;
    const char *via = NULL;
    bool found = false, any = false;
    *left = false;
    TRY(q_persist_by_id(ctx, txn, id, &r, &found));
    if (!found)
        return RC_OK;
    if (r.leaving_at && r.until_at < ctx_now_s(ctx)) /* it has ended by itself, wherever it is */
        return q_persist_remove(ctx, txn, id);
    TRY(q_issuer_by_id(ctx, txn, r.issuer_id, &issuer));
    TRY(answered(ctx, txn, &r, &owner, &by, &any));
    *left = r.leaving_at || !any || issuer.removed_at || !str_equal(issuer.account_url, r.account_url);
    if (*left)
        return leave(ctx, core, txn, &r);
    if (r.until_at - EARLY_S > ctx_now_s(ctx))
        return timer_arm(ctx, txn, "persist", id, r.until_at - EARLY_S);
    TRY(solver_via_dns(ctx, txn, &owner, &by, &via));
    TRY(q_persist_via(ctx, txn, id, by.agent_id, via, by.id));
    TRY(timer_arm(ctx, txn, "persist", id, ctx_now_s(ctx) + 86400)); /* where it fails */
    return write_job(ctx, core, txn, &r, &by, via);
}

RC persist_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    bool left = false;
    return look_after(ctx, core, txn, id, &left);
}

static const char *below(const char *name)
{
    return strncmp(name, "*.", 2) == 0 ? name + 2 : name;
}

RC persist_review(struct ctx *ctx, struct core *core, struct txn *txn, const struct str_list *names, size_t *n)
{
    const struct principal *caller = ctx->principal;
    struct q_persist_all_row *all = NULL;
    size_t rows = 0;
    struct rc rc = RC_OK;
    *n = 0;
    TRY(q_persist_all(ctx, txn, &all, &rows));
    ctx->principal = access_hub(ctx, core); /* who needs a record may be of a team that the caller does not see */
    for (size_t i = 0; i < rows && rc_ok(rc); i++)
        for (size_t k = 0; k < names->n && rc_ok(rc); k++)
            if (name_within(bytes_z(all[i].name), bytes_z(below(names->v[k])))) {
                bool left = false;
                rc = look_after(ctx, core, txn, all[i].id, &left);
                *n += left;
                break;
            }
    ctx->principal = caller;
    return rc;
}

RC persist_issuer_gone(struct ctx *ctx, struct core *core, struct txn *txn, const char *issuer, size_t *n)
{
    const struct principal *caller = ctx->principal;
    struct q_persist_of_issuer_row *rows = NULL;
    size_t all = 0;
    struct rc rc = RC_OK;
    *n = 0;
    TRY(q_persist_of_issuer(ctx, txn, issuer, &rows, &all));
    ctx->principal = access_hub(ctx, core);
    for (size_t i = 0; i < all && rc_ok(rc); i++) {
        bool left = false;
        rc = look_after(ctx, core, txn, rows[i].id, &left);
        *n += left;
    }
    ctx->principal = caller;
    return rc;
}

/* Certificates whose stories tell of a record. */
#define TOLD_MAX 5

RC persist_told(struct ctx *ctx, struct txn *txn, const char *id, const struct str_list *lines)
{
    struct q_persist_by_id_row r;
    struct q_persist_needed_row *needed = NULL;
    size_t n = 0, told = 0;
    bool found = false;
    TRY(q_persist_by_id(ctx, txn, id, &r, &found));
    if (!found)
        return RC_OK;
    TRY(q_persist_needed(ctx, txn, r.issuer_id, arena_printf(&ctx->arena, "%%%s\"%%", r.name), &needed, &n));
    for (size_t i = 0; i < n && told < TOLD_MAX; i++) {
        struct wish w;
        TRY(wish_decode(ctx, needed[i].wish, &w));
        if (!str_list_has(&w.names, r.name) && !str_list_has(&w.names, arena_printf(&ctx->arena, "*.%s", r.name)))
            continue;
        told++;
        for (size_t k = 0; k < lines->n; k++)
            TRY(step_write(ctx, txn, needed[i].id, NULL, NULL, "persist", "%s", lines->v[k]));
    }
    return RC_OK;
}

RC persist_written(struct ctx *ctx, struct txn *txn, const char *id, const char *payload, const char *why)
{
    struct q_persist_by_id_row r;
    json_auto_t *asked = NULL;
    bool found = false;
    TRY(q_persist_by_id(ctx, txn, id, &r, &found));
    if (!found)
        return RC_OK;
    if (why)
        return q_persist_failed(ctx, txn, id, why);
    struct q_challenge_list_row c = {.identifier = r.name, .agent_id = r.agent_id, .via = r.via, .provider_id = r.provider_id};
    TRY(json_read(ctx, bytes_z(payload), &asked));
    TRY(json_get_str(ctx, asked, "key_authorization", true, &c.key_authorization));
    TRY(keep_challenge(ctx, txn, r.issuer_id, &c));
    return r.leaving_at ? timer_arm(ctx, txn, "persist", id, ctx_now_s(ctx)) : RC_OK; /* it was under way: this one goes too */
}

RC persist_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_persist_ending_row *rows = NULL;
    size_t n = 0;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_persist_ending(ctx, txn, access_scope(ctx), now + TELL_S, most, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        const int64_t days = (rows[i].until_at - now) / 86400;
        if (rows[i].leaving_at) {
            add(arg, rows[i].name,
                arena_printf(&ctx->arena,
                             "the record _validation-persist.%s, which proves it to %s, is being taken away, for nobody needs "
                             "it, or may have it answered, any more%s%s",
                             rows[i].name, rows[i].issuer, rows[i].error ? ": " : "", rows[i].error ? rows[i].error : ""),
                "it is tried again daily; or take it out of the zone by hand");
            continue;
        }
        const char *when = days < 0 ? "has ended" : arena_printf(&ctx->arena, "ends in %lld days", (long long)days);
        add(arg, rows[i].name,
            arena_printf(&ctx->arena, "the record _validation-persist.%s, which proves it to %s, %s%s%s", rows[i].name,
                         rows[i].issuer, when, rows[i].error ? " and could not be written anew: " : "",
                         rows[i].error ? rows[i].error : ""),
            "look at the DNS provider: certwright dns list; it is tried again daily");
    }
    return RC_OK;
}
