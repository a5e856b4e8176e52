/* Every message's decoder on any bytes: the first two choose the message; what is accepted comes out the same when it is encoded.
 */
#include "wire/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(struct ctx *ctx, const struct wire_codec *codec, const void *msg, struct buf *out)
{
    buf_init(out, codec->max);
    if (rc_failed(codec->encode(ctx, msg, out)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    uint16_t choice;
    if (!bytes_take_u16(&in, &choice))
        return 0;
    const struct wire_codec *codec = wire_codec_of((uint16_t)(16 + choice % (WIRE_TYPE_END - 16)));
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    void *msg = arena_alloc(&ctx.arena, codec->size);
    if (in.n <= codec->max && rc_ok(codec->decode(&ctx, in, msg))) {
        struct buf again BUF_CLEANUP;
        encode(&ctx, codec, msg, &again);
        if (!bytes_equal(buf_bytes(&again), in))
            abort();
    }
    if (codec->wipe)
        codec->wipe(msg);
    return 0;
}
