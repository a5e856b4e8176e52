#include "base/ctx.h"

#include <errno.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/random.h"

static void request_id_new(struct ctx *ctx)
{
    uint8_t raw[16];
    random_fill(raw, sizeof raw);
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof raw; i++) {
        ctx->request_id[2 * i] = digits[raw[i] >> 4];
        ctx->request_id[2 * i + 1] = digits[raw[i] & 15];
    }
}

void ctx_init(struct ctx *ctx, const struct clock *clock)
{
    *ctx = (struct ctx){.clock = clock};
    request_id_new(ctx);
}

void ctx_free(struct ctx *ctx)
{
    arena_free(&ctx->arena);
    ctx->trail = NULL;
}

void ctx_reset(struct ctx *ctx)
{
    arena_reset(&ctx->arena);
    ctx->deadline_ms = 0;
    ctx->principal = NULL;
    ctx->peer = NULL;
    ctx->pending = NULL;
    ctx->decoded = NULL;
    ctx_forget(ctx);
    request_id_new(ctx);
}

static struct rc trail_add(struct ctx *ctx, enum err e, const char *text)
{
    struct trail_entry *entry = ARENA_NEW(&ctx->arena, struct trail_entry), **end = &ctx->trail;
    *entry = (struct trail_entry){.e = e, .text = text};
    while (*end)
        end = &(*end)->next;
    *end = entry;
    return rc_of(e);
}

RC ctx_fail(struct ctx *ctx, enum err e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    return trail_add(ctx, e, text);
}

RC ctx_wrap(struct ctx *ctx, struct rc rc, const char *fmt, ...)
{
    if (rc_ok(rc))
        return rc;
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    return trail_add(ctx, rc.e, text);
}

static enum err err_of_errno(int no)
{
    switch (no) {
    case ENOSPC:
    case EDQUOT:
        return E_DISK_FULL;
    case ENOENT:
        return E_NOT_FOUND;
    case EEXIST:
        return E_EXISTS;
    case EACCES:
    case EPERM:
        return E_FORBIDDEN;
    case ENOMEM:
        return E_NO_MEMORY;
    case ETIMEDOUT:
        return E_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return E_UNREACHABLE;
    default:
        return E_IO;
    }
}

RC ctx_fail_errno(struct ctx *ctx, const char *fmt, ...)
{
    const int no = errno;
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    char words[128];
    return trail_add(ctx, err_of_errno(no), arena_printf(&ctx->arena, "%s: %s", text, strerror_r(no, words, sizeof words)));
}

RC ctx_fail_field(struct ctx *ctx, const char *pointer, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    ctx->field = arena_strdup(&ctx->arena, pointer);
    return trail_add(ctx, E_INVALID, text);
}

void ctx_forget(struct ctx *ctx)
{
    ctx->trail = NULL;
    ctx->field = NULL;
    ctx->retry_after_s = 0;
}

const char *ctx_why(struct ctx *ctx)
{
    const char *why = NULL;
    for (const struct trail_entry *e = ctx->trail; e; e = e->next)
        why = why ? arena_printf(&ctx->arena, "%s: %s", e->text, why) : e->text;
    return why ? why : "";
}

int64_t ctx_left_ms(const struct ctx *ctx, int64_t most)
{
    if (!ctx->deadline_ms)
        return most;
    const int64_t left = ctx->deadline_ms - clock_mono_ms();
    return left < 0 ? 0 : left < most ? left : most;
}
