#include "core/audit.h"

#include "base/str.h"
#include "core/access.h"
#include "core/audit_log.h"
#include "core/request.h"

/* What the request of an Idempotency-Key changes is its object; a second request with the key, at the same time, changes another.
 */
static struct rc claim(struct ctx *ctx, struct txn *txn, const char *object_id)
{
    const struct principal *p = ctx->principal;
    struct q_idempotency_get_row row;
    bool found = false;
    TRY(q_idempotency_get(ctx, txn, p->id, p->once->key, &row, &found)); /* not by its name, which somebody else may get */
    if (found && row.status == 0 && str_equal(row.body, object_id))
        return RC_OK;
    if (found)
        return ctx_fail(ctx, E_CONFLICT,
                        "a request with this Idempotency-Key was carried out meanwhile; send it again for its answer");
    const struct q_idempotency_claim_in in = {.principal = p->id,
                                              .key = p->once->key,
                                              .request_hash = p->once->request_hash,
                                              .object_id = object_id,
                                              .now = ctx_now_s(ctx)};
    return q_idempotency_claim(ctx, txn, &in);
}

/* What is done is not refused for being too much to note. */
#define LEFT_OUT "{\"left_out\":\"too large\"}"

RC audit_write(struct ctx *ctx, struct txn *txn, const char *action, const char *object_kind, const char *object_id,
               const char *team, struct bytes detail)
{
    struct audit_entry e = {.at = ctx_now_s(ctx),
                            .principal = ctx->principal ? ctx->principal->name : "nobody",
                            .peer = ctx->peer ? ctx->peer : "",
                            .action = action,
                            .object_kind = object_kind,
                            .object_id = object_id,
                            .team_id = team,
                            .request_id = ctx->request_id};
    uint8_t hash[MERKLE_LEN];
    if (ctx->principal && ctx->principal->pass)
        detail = request_noted(ctx, ctx->principal->pass, detail);
    struct rc rc = audit_detail(ctx, detail, &e.detail);
    if (rc.e == E_TOO_LARGE) {
        ctx_forget(ctx);
        e.detail = LEFT_OUT;
    } else {
        TRY(rc);
    }
    TRY(audit_entry_hash(ctx, &e, hash));
    const struct q_audit_add_in in = {.at = e.at,
                                      .principal = e.principal,
                                      .peer = e.peer,
                                      .action = e.action,
                                      .object_kind = e.object_kind,
                                      .object_id = e.object_id,
                                      .team_id = e.team_id,
                                      .request_id = e.request_id,
                                      .detail = e.detail,
                                      .hash = bytes_of(hash, sizeof hash)};
    TRY(q_audit_add(ctx, txn, &in));
    return ctx->principal && ctx->principal->once ? claim(ctx, txn, object_id) : RC_OK;
}

/* --- what has changed */

static bool is_secret(const char *field)
{
    static const char *const words[] = {"secret", "password", "passphrase", "sealed", "private_key", "eab_key"};
    if (bytes_ends_with(bytes_z(field), BYTES_LIT("_file")) || bytes_ends_with(bytes_z(field), BYTES_LIT("_path")))
        return false; /* where it is */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(field, words[i]))
            return true;
    return false;
}

static void strip_secrets(json_t *value)
{
    const char *name;
    json_t *one;
    void *next;
    size_t i;
    json_object_foreach_safe(value, next, name, one)
    {
        if (is_secret(name))
            json_object_del(value, name);
        else
            strip_secrets(one);
    }
    json_array_foreach(value, i, one)
        strip_secrets(one);
}

static struct rc read_side(struct ctx *ctx, struct bytes text, json_t **out)
{
    if (!text.n)
        return RC_OK;
    TRY(json_read(ctx, text, out));
    if (!json_is_object(*out))
        return ctx_fail(ctx, E_BUG, "what changed is no object");
    strip_secrets(*out);
    return RC_OK;
}

static void put_side(struct json_out *j, const char *side, json_t *of, json_t *other)
{
    const char *name;
    json_t *value;
    if (!of)
        return;
    json_open_obj(j, side);
    json_object_foreach(of, name, value)
        if (!other || !json_equal(value, json_object_get(other, name)))
            json_put_value(j, name, value);
    json_close(j);
}

struct bytes audit_change(struct ctx *ctx, struct bytes before, struct bytes after)
{
    json_auto_t *was = NULL, *is = NULL;
    struct json_out j;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, AUDIT_ENTRY_MAX / 2);
    struct rc rc = read_side(ctx, before, &was);
    if (rc_ok(rc))
        rc = read_side(ctx, after, &is);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (rc_ok(rc)) {
        put_side(&j, "before", was, is);
        put_side(&j, "after", is, was);
    } else { /* the change itself must not fail for it */
        ctx_forget(ctx);
        json_put_str(&j, "unreadable", err_info(rc.e)->name);
    }
    json_close(&j);
    return rc_ok(buf_status(&b)) ? buf_bytes(&b) : BYTES_LIT(LEFT_OUT);
}

struct bytes audit_facts(struct ctx *ctx, ...)
{
    struct buf b;
    struct json_out j;
    va_list ap;
    buf_init_arena(&b, &ctx->arena, AUDIT_ENTRY_MAX / 2);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    va_start(ap, ctx);
    for (const char *key, *value; (key = va_arg(ap, const char *)) != NULL;) {
        const size_t n = strlen(key);
        value = va_arg(ap, const char *);
        if (!value)
            continue;
        if (n && key[n - 1] == ':')
            json_put_raw(&j, arena_str(&ctx->arena, bytes_of(key, n - 1)), bytes_z(value));
        else
            json_put_str(&j, key, value);
    }
    va_end(ap);
    json_close(&j);
    return rc_ok(buf_status(&b)) ? buf_bytes(&b) : BYTES_LIT(LEFT_OUT);
}

const char *audit_number(struct ctx *ctx, int64_t n)
{
    return arena_printf(&ctx->arena, "%lld", (long long)n);
}

struct bytes audit_field(struct ctx *ctx, const char *field, const char *before, const char *after)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 65536);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    const struct {
        const char *side, *value;
    } sides[] = {{"before", before}, {"after", after}};
    for (size_t i = 0; i < 2; i++)
        if (sides[i].value) {
            json_open_obj(&j, sides[i].side);
            json_put_str(&j, field, sides[i].value);
            json_close(&j);
        }
    json_close(&j);
    return buf_bytes(&b);
}

/* --- the story of a managed certificate */

RC step_write_at(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, int64_t at_ms,
                 const char *name, const char *text)
{
    const struct q_step_add_in in = {
        .managed_id = managed, .attempt_id = attempt, .deployment_id = deployment, .at_ms = at_ms, .name = name, .text = text};
    return q_step_add(ctx, txn, &in);
}

RC step_write(struct ctx *ctx, struct txn *txn, const char *managed, const char *attempt, const char *deployment, const char *name,
              const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    return step_write_at(ctx, txn, managed, attempt, deployment, clock_unix_ms(ctx->clock), name, text);
}
