#include "lib/made_cert.h"

#include <string.h>

static struct bytes tlv(struct ctx *ctx, uint8_t tag, struct bytes content)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, content.n + 16);
    buf_put_u8(&b, tag);
    if (content.n < 128) {
        buf_put_u8(&b, (uint8_t)content.n);
    } else {
        buf_put_u8(&b, 0x82);
        buf_put_u16(&b, (uint16_t)content.n);
    }
    buf_put(&b, content);
    return buf_bytes(&b);
}

/* The parts one after the other, within an element. */
#define SEQ(ctx, tag, ...)                                                                                                         \
    together((ctx), (tag), (const struct bytes[]){__VA_ARGS__}, sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes))

static struct bytes together(struct ctx *ctx, uint8_t tag, const struct bytes *parts, size_t n)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 65536);
    for (size_t i = 0; i < n; i++)
        buf_put(&b, parts[i]);
    return tlv(ctx, tag, buf_bytes(&b));
}

static struct bytes oid(struct ctx *ctx, const char *content)
{
    return tlv(ctx, 0x06, bytes_z(content));
}

static struct bytes name(struct ctx *ctx, const char *o, const char *cn)
{
    struct bytes parts[2];
    size_t n = 0;
    if (o)
        parts[n++] = SEQ(ctx, 0x31, SEQ(ctx, 0x30, oid(ctx, "\x55\x04\x0a"), tlv(ctx, 0x0c, bytes_z(o))));
    if (cn)
        parts[n++] = SEQ(ctx, 0x31, SEQ(ctx, 0x30, oid(ctx, "\x55\x04\x03"), tlv(ctx, 0x0c, bytes_z(cn))));
    return together(ctx, 0x30, parts, n);
}

static struct bytes when(struct ctx *ctx, int64_t at)
{
    const struct civil c = civil_from_unix(at);
    const char *text =
        arena_printf(&ctx->arena, "%04d%02d%02d%02d%02d%02dZ", (int)c.year, c.month, c.day, c.hour, c.minute, c.second);
    return c.year < 2050 ? tlv(ctx, 0x17, bytes_z(text + 2)) : tlv(ctx, 0x18, bytes_z(text));
}

static struct bytes spki(struct ctx *ctx, const struct made_cert *c)
{
    uint8_t point[66] = {0, 4};
    struct buf modulus;
    if (!c->rsa_bits) {
        memcpy(point + 2, &c->key, sizeof c->key);
        return SEQ(ctx, 0x30,
                   SEQ(ctx, 0x30, oid(ctx, "\x2a\x86\x48\xce\x3d\x02\x01"), oid(ctx, "\x2a\x86\x48\xce\x3d\x03\x01\x07")),
                   tlv(ctx, 0x03, bytes_of(point, sizeof point)));
    }
    buf_init_arena(&modulus, &ctx->arena, 4096);
    buf_put_u8(&modulus, 0);
    buf_put_u8(&modulus, 0x80);
    for (unsigned i = 2; i < c->rsa_bits / 8; i++)
        buf_put_u8(&modulus, i < 10 ? (uint8_t)(c->key >> (i - 2) * 8) : (uint8_t)(i * 37 | 1));
    buf_put_u8(&modulus, 0x01);
    const struct bytes key = SEQ(ctx, 0x30, tlv(ctx, 0x02, buf_bytes(&modulus)), tlv(ctx, 0x02, BYTES_LIT("\x01\x00\x01")));
    return SEQ(ctx, 0x30, SEQ(ctx, 0x30, oid(ctx, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), tlv(ctx, 0x05, (struct bytes){0})),
               SEQ(ctx, 0x03, BYTES_LIT("\0"), key));
}

static struct bytes extensions(struct ctx *ctx, const struct made_cert *c)
{
    struct buf names, all;
    buf_init_arena(&names, &ctx->arena, 65536);
    buf_init_arena(&all, &ctx->arena, 65536);
    for (size_t i = 0; i < c->names_n; i++)
        buf_put(&names, tlv(ctx, strchr(c->names[i], '@') ? 0x81 : 0x82, bytes_z(c->names[i])));
    if (c->ipv4)
        buf_put(&names, tlv(ctx, 0x87, bytes_of(c->ipv4, 4)));
    if (names.n)
        buf_put(&all, SEQ(ctx, 0x30, oid(ctx, "\x55\x1d\x11"), tlv(ctx, 0x04, tlv(ctx, 0x30, buf_bytes(&names)))));
    if (c->is_ca)
        buf_put(&all, SEQ(ctx, 0x30, oid(ctx, "\x55\x1d\x13"), BYTES_LIT("\x01\x01\xff"),
                          tlv(ctx, 0x04, BYTES_LIT("\x30\x03\x01\x01\xff"))));
    return all.n ? tlv(ctx, 0xa3, tlv(ctx, 0x30, buf_bytes(&all))) : (struct bytes){0};
}

struct bytes made_cert(struct ctx *ctx, const struct made_cert *c)
{
    uint8_t serial[9] = {0};
    for (unsigned i = 0; i < 8; i++)
        serial[i + 1] = (uint8_t)(c->serial >> (56 - 8 * i));
    struct bytes number = bytes_of(serial, 9);
    while (number.n > 1 && !number.p[0] && !(number.p[1] & 0x80))
        (void)bytes_skip(&number, 1);
    const struct bytes alg = SEQ(ctx, 0x30, oid(ctx, "\x2a\x86\x48\xce\x3d\x04\x03\x02"));
    const struct bytes tbs =
        SEQ(ctx, 0x30, BYTES_LIT("\xa0\x03\x02\x01\x02"), tlv(ctx, 0x02, number), alg, name(ctx, c->issuer_o, c->issuer_cn),
            SEQ(ctx, 0x30, when(ctx, c->not_before), when(ctx, c->not_after)), name(ctx, c->subject_o, c->subject_cn), spki(ctx, c),
            extensions(ctx, c));
    return SEQ(ctx, 0x30, tbs, alg, tlv(ctx, 0x03, BYTES_LIT("\0signature")));
}
