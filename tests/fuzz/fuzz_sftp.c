/* What an SFTP server may answer, on any bytes: the first says what is asked of it, the rest are its packets, each as type, length
 * (two bytes) and what follows the id, which is put in as the question had it; with the highest bit of the first byte set, they are
 * bytes as they come.  Whatever it is, it ends, ceilings hold, and what stands in the message can be printed. */
#include <stdint.h>

#include "agent/relay/sftp.h"

#define FILE_MAX 70000

struct server {
    struct bytes left; /* of the input */
    bool raw;
    uint8_t id[4];     /* of the last question */
    struct buf packet; /* what of an answer has not been taken */
};

static RC hear(struct ctx *ctx, void *arg, struct bytes data)
{
    struct server *s = arg;
    (void)ctx;
    if (data.n >= 9)
        memcpy(s->id, data.p + 5, 4);
    return RC_OK;
}

static bool next_packet(struct server *s)
{
    uint8_t type;
    uint16_t n;
    struct bytes body;
    if (!bytes_take_u8(&s->left, &type) || !bytes_take_u16(&s->left, &n))
        return false;
    if (!bytes_take(&s->left, n < s->left.n ? n : s->left.n, &body))
        return false;
    bool version = type == 2;
    buf_put_u32(&s->packet, (uint32_t)(body.n + (version ? 1 : 5)));
    buf_put_u8(&s->packet, type);
    if (!version)
        buf_put_mem(&s->packet, s->id, 4);
    buf_put(&s->packet, body);
    return true;
}

static RC speak(struct ctx *ctx, void *arg, uint8_t *out, size_t n)
{
    struct server *s = arg;
    struct bytes piece;
    if (s->raw) {
        if (!bytes_take(&s->left, n, &piece))
            return ctx_fail(ctx, E_UNREACHABLE, "it is gone");
        memcpy(out, piece.p, n);
        return RC_OK;
    }
    while (s->packet.n < n)
        if (!next_packet(s))
            return ctx_fail(ctx, E_UNREACHABLE, "it is gone");
    memcpy(out, s->packet.p, n);
    buf_drop_front(&s->packet, n);
    return RC_OK;
}

static struct rc ask(struct ctx *ctx, struct sftp *f, unsigned what)
{
    BUF_CLEANUP struct buf b = {0};
    bool found;
    struct rc rc;
    buf_init(&b, FILE_MAX);
    switch (what) {
    case 0:
        rc = sftp_read(ctx, f, "/etc/a.pem", FILE_MAX, &b, &found);
        if (rc_ok(rc) && b.n > FILE_MAX)
            abort();
        return rc;
    case 1: return sftp_write(ctx, f, "/etc/a.pem", BYTES_LIT("new"), -1);
    case 2: return sftp_keep(ctx, f, "/etc/a.pem", "ab12");
    default: return sftp_restore(ctx, f, "/etc/a.pem", "ab12");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct sftp f = {0};
    ctx_init(&ctx, &clock_system);
    if (n == 0 || n > 1 << 20)
        return 0;
    struct server s = {.left = bytes_of(data + 1, n - 1), .raw = (data[0] & 0x80) != 0};
    buf_init(&s.packet, 1 << 20);
    struct rc rc = sftp_open(&ctx, &f, (struct sftp_io){hear, speak, &s});
    if (rc_ok(rc))
        rc = ask(&ctx, &f, data[0] & 3);
    if (rc_failed(rc) && ctx.trail == NULL)
        abort(); /* a failure without a word */
    for (const char *c = ctx_why(&ctx); *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            abort();
    sftp_free(&f);
    buf_free(&s.packet);
    return 0;
}
