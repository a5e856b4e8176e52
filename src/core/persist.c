#include "core/persist.h"

#include "acme/dns_proof.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/job.h"
#include "pki/digest.h"

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
    const bool good = l.found && str_equal(l.row.account_url, account_url) && str_equal(l.row.issuer_domain, issuer_domain) &&
                      l.row.until_at > ctx_now_s(ctx) + EARLY_S && (l.row.wildcard || !wildcard);
    if (good)
        out->key_authorization = l.row.value;
    else
        TRY(acme_persist_value(ctx, issuer_domain, account_url, wildcard, whole_day(ctx_now_s(ctx) + LIFE_S),
                               &out->key_authorization));
    if (strlen(out->key_authorization) > ACME_DNS_VALUE_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "the record that would prove %s is longer than %d bytes", l.name, ACME_DNS_VALUE_MAX);
    return token_of(ctx, a->issuer_id, l.name, &out->token);
}

static struct rc keep(struct ctx *ctx, struct txn *txn, const struct q_persist_keep_in *in)
{
    TRY(q_persist_keep(ctx, txn, in));
    struct q_persist_get_row row;
    bool found = false;
    TRY(q_persist_get(ctx, txn, in->issuer_id, in->name, &row, &found));
    return found ? timer_arm(ctx, txn, "persist", row.id, in->until_at - EARLY_S) : RC_OK;
}

RC persist_keep(struct ctx *ctx, struct txn *txn, const char *issuer, const struct q_challenge_list_row *c)
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
                                         .via = c->via};
    return keep(ctx, txn, &in);
}

RC persist_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_persist_by_id_row r;
    struct q_persist_needed_row needed;
    struct q_issuer_by_id_row issuer;
    struct buf b;
    struct json_out j;
    const char *value = NULL, *token = NULL;
    bool found = false, any = false;
    const int64_t until = whole_day(ctx_now_s(ctx) + LIFE_S);
    TRY(q_persist_by_id(ctx, txn, id, &r, &found));
    if (!found)
        return RC_OK;
    TRY(q_issuer_by_id(ctx, txn, r.issuer_id, &issuer));
    TRY(q_persist_needed(ctx, txn, r.issuer_id, arena_printf(&ctx->arena, "%%%s\"%%", r.name), &needed, &any));
    if (!any || issuer.removed_at || !str_equal(issuer.account_url, r.account_url)) /* the next order makes another one */
        return q_persist_remove(ctx, txn, id);
    TRY(acme_persist_value(ctx, r.issuer_domain, r.account_url, r.wildcard != 0, until, &value));
    TRY(token_of(ctx, r.issuer_id, r.name, &token));
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "attempt", "");
    json_put_str(&j, "identifier", arena_printf(&ctx->arena, "dns:%s", r.name));
    json_put_str(&j, "token", token);
    json_put_str(&j, "key_authorization", value);
    json_put_str(&j, "method", ACME_DNS_PERSIST);
    json_put_str(&j, "account_url", r.account_url);
    json_put_raw(&j, "via", bytes_z(r.via));
    if (!str_equal(value, r.value))
        json_put_str(&j, "replaces", r.value);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(timer_arm(ctx, txn, "persist", id, ctx_now_s(ctx) + 86400)); /* where it fails */
    return job_add(ctx, core, txn, "dns_persist", r.agent_id, arena_printf(&ctx->arena, "persist:%s", id), id, buf_bytes(&b), 0);
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
    struct q_challenge_list_row c = {.identifier = r.name, .agent_id = r.agent_id, .via = r.via};
    TRY(json_read(ctx, bytes_z(payload), &asked));
    TRY(json_get_str(ctx, asked, "key_authorization", true, &c.key_authorization));
    return persist_keep(ctx, txn, r.issuer_id, &c);
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
        const char *when = days < 0 ? "has ended" : arena_printf(&ctx->arena, "ends in %lld days", (long long)days);
        add(arg, rows[i].name,
            arena_printf(&ctx->arena, "the record _validation-persist.%s, which proves it to %s, %s%s%s", rows[i].name,
                         rows[i].issuer, when, rows[i].error ? " and could not be written anew: " : "",
                         rows[i].error ? rows[i].error : ""),
            "look at the DNS provider: certwright dns list; it is tried again daily");
    }
    return RC_OK;
}
