#include "hub/idempotency.h"

#include "pki/digest.h"
#include "store/queries.h"

#define KEY_MAX       128
#define BODY_KEPT_MAX ((size_t)1 << 20)

struct lookup {
    const char *principal;
    const struct idempotency *seen;
    struct q_idempotency_get_row row;
    bool found;
    int status;
    const char *body;
};

static struct rc request_hash(struct api_call *call, struct bytes *out)
{
    struct ctx *ctx = call->ctx;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, call->req->body.n + 16384);
    buf_put_z(&b, call->req->method);
    buf_put_u8(&b, ' ');
    buf_put_z(&b, call->req->path);
    buf_put_u8(&b, '\n');
    buf_put(&b, call->req->body);
    TRY(buf_status(&b));
    uint8_t *digest = arena_alloc(&ctx->arena, SHA256_LEN);
    TRY(digest_sha256(ctx, buf_bytes(&b), digest));
    *out = bytes_of(digest, SHA256_LEN);
    return RC_OK;
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct lookup *l = arg;
    return q_idempotency_get(ctx, txn, l->principal, l->seen->once.key, &l->row, &l->found);
}

RC idempotency_begin(struct api_call *call, struct idempotency *seen)
{
    struct ctx *ctx = call->ctx;
    const char *key = http_request_header(call->req, "idempotency-key");
    if (!key)
        return RC_OK;
    if (!*key || strlen(key) > KEY_MAX)
        return ctx_fail(ctx, E_INVALID, "an Idempotency-Key is 1 to %d characters", KEY_MAX);
    seen->once.key = key;
    TRY(request_hash(call, &seen->once.request_hash));
    struct lookup l = {.principal = ctx->principal->id, .seen = seen};
    TRY(store_read(ctx, call->core->store, look, &l));
    struct principal *p = arena_dup(&ctx->arena, ctx->principal, sizeof *ctx->principal);
    p->once = &seen->once;
    ctx->principal = p;
    if (!l.found)
        return RC_OK;
    if (!bytes_equal(l.row.request_hash, seen->once.request_hash))
        return ctx_fail(ctx, E_CONFLICT, "this Idempotency-Key was used for another request");
    http_response_header(call->resp, "Idempotency-Replayed", "true");
    if (l.row.status == 0) {
        seen->object = l.row.body;
        return RC_OK;
    }
    http_response_json(call->resp, (int)l.row.status);
    buf_put_z(&call->resp->body, l.row.body);
    seen->answered = true;
    return buf_status(&call->resp->body);
}

static struct rc keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct lookup *l = arg;
    const struct q_idempotency_answer_in in = {.principal = l->principal,
                                               .key = l->seen->once.key,
                                               .request_hash = l->seen->once.request_hash,
                                               .status = l->status,
                                               .body = l->body,
                                               .now = ctx_now_s(ctx)};
    return q_idempotency_answer(ctx, txn, &in);
}

RC idempotency_end(struct api_call *call, const struct idempotency *seen)
{
    struct bytes body = buf_bytes(&call->resp->body);
    if (!seen->once.key || body.n > BODY_KEPT_MAX)
        return RC_OK;
    struct lookup l = {.principal = call->ctx->principal->id,
                       .seen = seen,
                       .status = call->resp->status,
                       .body = arena_str(&call->ctx->arena, body)};
    return store_write(call->ctx, call->core->store, keep, &l);
}
