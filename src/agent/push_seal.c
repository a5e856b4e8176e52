#include "agent/push_seal.h"

#include "base/buf.h"

static const struct bytes infos[] = {
    [PUSH_TO_RELAY] = BYTES_LIT("certwright push to relay v1"), [PUSH_TO_APPLY] = BYTES_LIT("certwright push to apply v1")};

static struct bytes bound_to(struct ctx *ctx, const char *target, const char *deployment)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 256);
    buf_put_z(&b, target);
    buf_put_u8(&b, 0);
    buf_put_z(&b, deployment);
    return buf_bytes(&b);
}

RC push_seal(struct ctx *ctx, enum push_way way, struct bytes public, const char *target, const char *deployment,
             struct bytes plain, struct bytes *out)
{
    SECRET_CLEANUP struct secret copy = {0};
    if (plain.n > HPKE_PLAIN_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "what target %s needs is over the limit of %d bytes", target, HPKE_PLAIN_MAX);
    TRY(secret_from(ctx, &copy, plain));
    return hpke_seal(ctx, public, infos[way], bound_to(ctx, target, deployment), &copy, out);
}

RC push_unseal(struct ctx *ctx, enum push_way way, const struct hpke_key *key, const char *target, const char *deployment,
               struct bytes sealed, struct secret *out)
{
    return hpke_open(ctx, key, infos[way], bound_to(ctx, target, deployment), sealed, out);
}
