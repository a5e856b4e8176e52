#include "core/sign_in_throttle.h"

#include "base/address.h"
#include "base/encode.h"
#include "base/str.h"
#include "pki/digest.h"
#include "store/queries.h"

static struct rc hashed(struct ctx *ctx, const char *text, const char **out)
{
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, bytes_z(text), hash));
    *out = hex_str(&ctx->arena, bytes_of(hash, sizeof hash));
    return RC_OK;
}

/* An address as it is counted. */
const char *throttle_place(struct ctx *ctx, const char *text)
{
    struct address a;
    if (!address_parse(bytes_z(text), &a))
        return text;
    for (size_t i = 8; a.len == 16 && i < 16; i++)
        a.ip[i] = 0;
    return address_str(&ctx->arena, &a);
}

struct marks {
    const char *v[2];
    size_t n;
};

static struct rc marks_of(struct ctx *ctx, const struct sign_in_from *from, struct marks *out)
{
    const char *hash = NULL;
    *out = (struct marks){0};
    if (from->device) {
        TRY(hashed(ctx, from->device, &hash));
        out->v[out->n++] = arena_printf(&ctx->arena, "device:%s", hash);
    }
    if (from->address[0])
        out->v[out->n++] = arena_printf(&ctx->arena, "address:%s", throttle_place(ctx, from->address));
    return RC_OK;
}

static int64_t wait_after(int64_t failures, int64_t free_ones)
{
    const int64_t over = failures - free_ones;
    if (over <= 0)
        return 0;
    return over > 9 ? THROTTLE_WAIT_MAX_S : (int64_t)1 << over;
}

/* Counts one more failure under a key, or says how long to wait. */
static struct rc count(struct ctx *ctx, struct txn *txn, const char *what, int64_t free_ones, bool *first_wait)
{
    struct q_failure_get_row row;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_failure_get(ctx, txn, what, &row, &found));
    /* A clock that went back must not make anybody wait for longer than it ever would. */
    if (found && row.until > now && row.until <= now + THROTTLE_WAIT_MAX_S) {
        ctx->retry_after_s = row.until - now;
        return ctx_fail(ctx, E_RATE_LIMITED, "too many failed sign-ins; try again in %lld seconds", (long long)(row.until - now));
    }
    const int64_t failures = found && row.last_at > now - THROTTLE_FORGET_S ? row.failures + 1 : 1;
    const int64_t wait = wait_after(failures, free_ones);
    *first_wait = *first_wait || (wait > 0 && wait_after(failures - 1, free_ones) == 0);
    return q_failure_set(ctx, txn, what, failures, now, wait ? now + wait : 0);
}

RC throttle_begin(struct ctx *ctx, struct txn *txn, const struct sign_in_from *from, const char *account, const char *user,
                  bool second, struct throttle *out)
{
    struct marks marks;
    const char *hash = NULL, *const kind = second ? "second" : "first";
    *out = (struct throttle){0};
    TRY(marks_of(ctx, from, &marks));
    for (size_t i = 0; user && i < marks.n && !out->own; i++) {
        struct q_known_get_row row;
        bool found = false;
        TRY(q_known_get(ctx, txn, user, marks.v[i], &row, &found));
        if (found && row.seen_at > ctx_now_s(ctx) - THROTTLE_KNOWN_S)
            out->own = arena_printf(&ctx->arena, "%s:known:%s:%s", kind, user, marks.v[i]);
    }
    out->known = out->own != NULL;
    TRY(hashed(ctx, account, &hash));
    if (!out->known) {
        out->own = arena_printf(&ctx->arena, "%s:account:%s", kind, hash);
        out->address = from->address[0] ? arena_printf(&ctx->arena, "address:%s", throttle_place(ctx, from->address)) : NULL;
    }
    TRY(count(ctx, txn, out->own, second ? THROTTLE_FREE_SECOND : THROTTLE_FREE, &out->first_wait));
    bool ignored = false;
    return out->address ? count(ctx, txn, out->address, THROTTLE_FREE_ADDRESS, &ignored) : RC_OK;
}

RC throttle_passed(struct ctx *ctx, struct txn *txn, const struct throttle *t)
{
    TRY(q_failure_forget(ctx, txn, t->own));
    /* Not forgotten: else one account of one's own would make tries at others free. */
    return t->address ? q_failure_less(ctx, txn, t->address) : RC_OK;
}

static struct rc person_key(struct ctx *ctx, const char *who, const char **out)
{
    const char *hash = NULL;
    TRY(hashed(ctx, who, &hash));
    *out = arena_printf(&ctx->arena, "first:person:%s", hash);
    return RC_OK;
}

RC throttle_person(struct ctx *ctx, struct txn *txn, const struct throttle *t, const char *who)
{
    const char *key = NULL;
    bool ignored = false;
    if (t->known) /* a place of theirs is counted for itself */
        return RC_OK;
    TRY(person_key(ctx, who, &key));
    return count(ctx, txn, key, THROTTLE_FREE_PERSON, &ignored);
}

RC throttle_person_passed(struct ctx *ctx, struct txn *txn, const struct throttle *t, const char *who)
{
    const char *key = NULL;
    if (t->known)
        return RC_OK;
    TRY(person_key(ctx, who, &key));
    return q_failure_forget(ctx, txn, key);
}

RC throttle_know(struct ctx *ctx, struct txn *txn, const struct sign_in_from *from, const char *user)
{
    struct marks marks;
    TRY(marks_of(ctx, from, &marks));
    for (size_t i = 0; i < marks.n; i++)
        TRY(q_known_set(ctx, txn, user, marks.v[i], ctx_now_s(ctx)));
    return q_known_trim(ctx, txn, user, THROTTLE_KNOWN_KEPT);
}
