/* Fields of messages: writing and reading, with every ceiling. */
#include "base/str.h"
#include "wire/conn.h"

static struct rc too_long(struct ctx *ctx, const char *field, size_t n, size_t max)
{
    return ctx_fail(ctx, E_INVALID, "%s: %zu bytes, at most %zu are allowed", field, n, max);
}

static struct rc too_many(struct ctx *ctx, const char *field, size_t n, size_t max)
{
    return ctx_fail(ctx, E_INVALID, "%s: %zu items, at most %zu are allowed", field, n, max);
}

struct rc wire_put_bytes(struct ctx *ctx, struct buf *out, const char *field, struct bytes v, size_t max)
{
    if (v.n > max)
        return too_long(ctx, field, v.n, max);
    buf_put_u32(out, (uint32_t)v.n);
    buf_put(out, v);
    return RC_OK;
}

struct rc wire_put_text(struct ctx *ctx, struct buf *out, const char *field, const char *v, size_t max)
{
    struct bytes b = bytes_z(v);
    if (!str_is_utf8(b))
        return ctx_fail(ctx, E_INVALID, "%s: not UTF-8", field);
    return wire_put_bytes(ctx, out, field, b, max);
}

struct rc wire_put_i64(struct ctx *ctx, struct buf *out, const char *field, int64_t v, int64_t least, int64_t most)
{
    if (v < least || v > most)
        return ctx_fail(ctx, E_INVALID, "%s: %lld is not in %lld..%lld", field, (long long)v, (long long)least, (long long)most);
    buf_put_u64(out, (uint64_t)v);
    return RC_OK;
}

struct rc wire_put_texts(struct ctx *ctx, struct buf *out, const char *field, struct wire_texts v, size_t max, size_t count)
{
    if (v.n > count)
        return too_many(ctx, field, v.n, count);
    buf_put_u32(out, (uint32_t)v.n);
    for (size_t i = 0; i < v.n; i++)
        TRY(wire_put_text(ctx, out, field, v.v[i], max));
    return RC_OK;
}

struct rc wire_put_blobs(struct ctx *ctx, struct buf *out, const char *field, struct wire_blobs v, size_t max, size_t count)
{
    if (v.n > count)
        return too_many(ctx, field, v.n, count);
    buf_put_u32(out, (uint32_t)v.n);
    for (size_t i = 0; i < v.n; i++)
        TRY(wire_put_bytes(ctx, out, field, v.v[i], max));
    return RC_OK;
}

struct rc wire_put_numbers(struct ctx *ctx, struct buf *out, const char *field, struct wire_numbers v, int64_t least, int64_t most,
                           size_t count)
{
    if (v.n > count)
        return too_many(ctx, field, v.n, count);
    buf_put_u32(out, (uint32_t)v.n);
    for (size_t i = 0; i < v.n; i++)
        TRY(wire_put_i64(ctx, out, field, v.v[i], least, most));
    return RC_OK;
}

static struct rc cut_short(struct ctx *ctx, const char *field)
{
    return ctx_fail(ctx, E_INVALID, "%s: the message ends before it", field);
}

/* The bytes stay where they are. */
static struct rc take_raw(struct ctx *ctx, struct bytes *in, const char *field, struct bytes *v, size_t max)
{
    uint32_t n;
    if (!bytes_take_u32(in, &n))
        return cut_short(ctx, field);
    if (n > max)
        return too_long(ctx, field, n, max);
    if (!bytes_take(in, n, v))
        return cut_short(ctx, field);
    return RC_OK;
}

struct rc wire_take_text(struct ctx *ctx, struct bytes *in, const char *field, const char **v, size_t max)
{
    struct bytes raw;
    TRY(take_raw(ctx, in, field, &raw, max));
    if (!str_is_utf8(raw))
        return ctx_fail(ctx, E_INVALID, "%s: not UTF-8", field);
    *v = str_z(&ctx->arena, raw);
    if (!*v)
        return ctx_fail(ctx, E_INVALID, "%s: has a NUL in it", field);
    return RC_OK;
}

struct rc wire_take_bytes(struct ctx *ctx, struct bytes *in, const char *field, struct bytes *v, size_t max)
{
    struct bytes raw;
    TRY(take_raw(ctx, in, field, &raw, max));
    *v = arena_bytes(&ctx->arena, raw);
    return RC_OK;
}

struct rc wire_take_secret(struct ctx *ctx, struct bytes *in, const char *field, struct secret *v, size_t max)
{
    struct bytes raw;
    TRY(take_raw(ctx, in, field, &raw, max));
    if (raw.n == 0) {
        *v = (struct secret){0};
        return RC_OK;
    }
    return secret_from(ctx, v, raw);
}

struct rc wire_take_i64(struct ctx *ctx, struct bytes *in, const char *field, int64_t *v, int64_t least, int64_t most)
{
    uint64_t u;
    if (!bytes_take_u64(in, &u))
        return cut_short(ctx, field);
    *v = (int64_t)u;
    if (*v < least || *v > most)
        return ctx_fail(ctx, E_INVALID, "%s: %lld is not in %lld..%lld", field, (long long)*v, (long long)least, (long long)most);
    return RC_OK;
}

struct rc wire_take_bool(struct ctx *ctx, struct bytes *in, const char *field, bool *v)
{
    uint8_t u;
    if (!bytes_take_u8(in, &u))
        return cut_short(ctx, field);
    if (u > 1)
        return ctx_fail(ctx, E_INVALID, "%s: neither true nor false", field);
    *v = u == 1;
    return RC_OK;
}

struct rc wire_take_enum(struct ctx *ctx, struct bytes *in, const char *field, unsigned *v, unsigned count)
{
    uint8_t u;
    if (!bytes_take_u8(in, &u))
        return cut_short(ctx, field);
    if (u >= count)
        return ctx_fail(ctx, E_INVALID, "%s: %u is no word of this enum", field, u);
    *v = u;
    return RC_OK;
}

/* A count is believed only as far as the bytes that follow can hold so many items. */
static struct rc take_count(struct ctx *ctx, struct bytes *in, const char *field, size_t count, size_t least_each, size_t *n)
{
    uint32_t u;
    if (!bytes_take_u32(in, &u))
        return cut_short(ctx, field);
    if (u > count)
        return too_many(ctx, field, u, count);
    if (u > in->n / least_each)
        return cut_short(ctx, field);
    *n = u;
    return RC_OK;
}

struct rc wire_take_texts(struct ctx *ctx, struct bytes *in, const char *field, struct wire_texts *v, size_t max, size_t count)
{
    TRY(take_count(ctx, in, field, count, 4, &v->n));
    v->v = arena_array(&ctx->arena, v->n, sizeof *v->v);
    for (size_t i = 0; i < v->n; i++)
        TRY(wire_take_text(ctx, in, field, &v->v[i], max));
    return RC_OK;
}

struct rc wire_take_blobs(struct ctx *ctx, struct bytes *in, const char *field, struct wire_blobs *v, size_t max, size_t count)
{
    TRY(take_count(ctx, in, field, count, 4, &v->n));
    v->v = arena_array(&ctx->arena, v->n, sizeof *v->v);
    for (size_t i = 0; i < v->n; i++)
        TRY(wire_take_bytes(ctx, in, field, &v->v[i], max));
    return RC_OK;
}

struct rc wire_take_numbers(struct ctx *ctx, struct bytes *in, const char *field, struct wire_numbers *v, int64_t least,
                            int64_t most, size_t count)
{
    TRY(take_count(ctx, in, field, count, 8, &v->n));
    v->v = arena_array(&ctx->arena, v->n, sizeof *v->v);
    for (size_t i = 0; i < v->n; i++)
        TRY(wire_take_i64(ctx, in, field, &v->v[i], least, most));
    return RC_OK;
}

struct rc wire_take_end(struct ctx *ctx, struct bytes in)
{
    if (in.n)
        return ctx_fail(ctx, E_INVALID, "%zu bytes follow the end of the message", in.n);
    return RC_OK;
}

/* An error must always get through, so its words are cut rather than refused. */
static void put_cut(struct buf *out, struct bytes v, size_t max)
{
    if (v.n > max) {
        v.n = max;
        while (v.n && (v.p[v.n] & 0xc0) == 0x80)
            v.n--;
    }
    if (!str_is_utf8(v))
        v = BYTES_LIT("(words that are not UTF-8)");
    buf_put_u32(out, (uint32_t)v.n);
    buf_put(out, v);
}

void error_encode(struct ctx *ctx, struct rc rc, struct buf *out)
{
    if (rc_ok(rc))
        rc = rc_of(E_BUG);
    put_cut(out, bytes_z(err_info(rc.e)->name), 64);
    put_cut(out, bytes_z(ctx_why(ctx)), 7000);
    put_cut(out, bytes_z(ctx->field), 256);
    buf_put_u64(out, (uint64_t)(ctx->retry_after_s > 0 ? ctx->retry_after_s : 0));
}

struct rc error_decode(struct ctx *ctx, struct bytes in, const char *from)
{
    const char *code, *text, *field;
    int64_t retry_after_s;
    TRY(wire_take_text(ctx, &in, "code", &code, 64));
    TRY(wire_take_text(ctx, &in, "text", &text, 7000));
    TRY(wire_take_text(ctx, &in, "field", &field, 256));
    TRY(wire_take_i64(ctx, &in, "retry_after", &retry_after_s, 0, INT64_MAX));
    TRY(wire_take_end(ctx, in));
    enum err e = err_by_name(code);
    if (e == E_OK)
        return ctx_fail(ctx, E_BAD_ANSWER, "the %s sent an error that is none", from);
    if (*field)
        ctx->field = field;
    ctx->retry_after_s = retry_after_s;
    return ctx_fail(ctx, e, "%s", *text ? text : err_info(e)->text);
}
