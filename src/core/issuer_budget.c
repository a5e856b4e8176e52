#include "core/issuer_budget.h"

#include <stdlib.h>

#include "base/encode.h"
#include "core/registered_domain.h"
#include "pki/digest.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same for the same names in any order. */
static struct rc set_of(struct ctx *ctx, const struct str_list *names, const char **out)
{
    const char **sorted = arena_dup(&ctx->arena, names->v, names->n * sizeof *sorted);
    qsort(sorted, names->n, sizeof *sorted, by_text);
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    for (size_t i = 0; i < names->n; i++)
        buf_printf(&b, "%s\n", sorted[i]);
    TRY(buf_status(&b));
    uint8_t digest[32];
    TRY(digest_sha256(ctx, buf_bytes(&b), digest));
    *out = hex_str(&ctx->arena, bytes_of(digest, sizeof digest));
    return RC_OK;
}

/* What a limit counts of an order: the rows' `what`. */
static struct rc counted(struct ctx *ctx, const char *kind, const struct budget_ask *ask, struct str_list *out)
{
    *out = (struct str_list){0};
    if (str_equal(kind, "account")) {
        str_list_add(&ctx->arena, out, "");
    } else if (str_equal(kind, "names")) {
        const char *set = NULL;
        TRY(set_of(ctx, ask->names, &set));
        str_list_add(&ctx->arena, out, set);
    } else {
        for (size_t i = 0; i < ask->names->n; i++) {
            const char *what = str_equal(kind, "domain") ? registered_domain(ctx, ask->names->v[i]) : ask->names->v[i];
            if (!str_list_has(out, what))
                str_list_add(&ctx->arena, out, what);
        }
    }
    return RC_OK;
}

static bool is_exempt(const struct issuer_limit *l, const struct budget_ask *ask)
{
    if (str_equal(l->exempt, "renewal"))
        return ask->renewal || ask->replaces;
    return str_equal(l->exempt, "ari") && ask->replaces;
}

static const char *span(struct ctx *ctx, int64_t s)
{
    static const struct {
        int64_t s;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t i = 0;
    while (s % units[i].s)
        i++;
    return arena_printf(&ctx->arena, "%lld %s%s", (long long)(s / units[i].s), units[i].name, s == units[i].s ? "" : "s");
}

static const char *limit_words(struct ctx *ctx, const struct issuer_limit *l, const char *what)
{
    const long long n = l->count;
    const char *in = span(ctx, l->window_s);
    if (str_equal(l->kind, "account"))
        return arena_printf(&ctx->arena, "%lld order%s of the account in %s", n, n == 1 ? "" : "s", in);
    if (str_equal(l->kind, "names"))
        return arena_printf(&ctx->arena, "%lld certificates of exactly these names in %s", n, in);
    if (str_equal(l->kind, "domain"))
        return arena_printf(&ctx->arena, "%lld certificates below %s in %s", n, what, in);
    return arena_printf(&ctx->arena, "%lld failed validations of %s in %s", n, what, in);
}

RC budget_look(struct ctx *ctx, struct txn *txn, const struct issuer_policy *p, const struct budget_ask *ask, int64_t *until,
               const char **why)
{
    const int64_t now = ctx_now_s(ctx);
    *until = 0;
    *why = "";
    for (size_t i = 0; i < p->limits_n; i++) {
        const struct issuer_limit *l = &p->limits[i];
        struct str_list whats;
        if (is_exempt(l, ask))
            continue;
        TRY(counted(ctx, l->kind, ask, &whats));
        for (size_t k = 0; k < whats.n; k++) {
            const struct q_issuer_use_nth_in in = {
                .issuer_id = ask->issuer, .kind = l->kind, .what = whats.v[k], .since = now - l->window_s, .skip = l->count - 1};
            struct q_issuer_use_nth_row nth;
            bool full = false;
            TRY(q_issuer_use_nth(ctx, txn, &in, &nth, &full));
            if (full && nth.at + l->window_s + 1 > *until) {
                *until = nth.at + l->window_s + 1;
                *why = limit_words(ctx, l, whats.v[k]);
            }
        }
    }
    return RC_OK;
}

static struct rc use_add(struct ctx *ctx, struct txn *txn, const char *issuer, const char *kind, const char *what,
                         const char *attempt)
{
    const struct q_issuer_use_add_in in = {
        .issuer_id = issuer, .kind = kind, .what = what, .at = ctx_now_s(ctx), .attempt_id = attempt};
    return q_issuer_use_add(ctx, txn, &in);
}

RC budget_take(struct ctx *ctx, struct txn *txn, const struct issuer_policy *p, const struct budget_ask *ask, const char *attempt)
{
    struct str_list kinds = {0}, whats;
    for (size_t i = 0; i < p->limits_n; i++) {
        const struct issuer_limit *l = &p->limits[i];
        if (is_exempt(l, ask) || str_equal(l->kind, "failure") || str_list_has(&kinds, l->kind))
            continue; /* two windows of one kind count the same rows */
        str_list_add(&ctx->arena, &kinds, l->kind);
        TRY(counted(ctx, l->kind, ask, &whats));
        for (size_t k = 0; k < whats.n; k++)
            TRY(use_add(ctx, txn, ask->issuer, l->kind, whats.v[k], attempt));
    }
    return RC_OK;
}

RC budget_give_back(struct ctx *ctx, struct txn *txn, const char *attempt, bool ordered)
{
    return ordered ? q_issuer_use_undo(ctx, txn, attempt) : q_issuer_use_undo_all(ctx, txn, attempt);
}

RC budget_note_failure(struct ctx *ctx, struct txn *txn, const char *issuer, const char *attempt, const char *name)
{
    return use_add(ctx, txn, issuer, "failure", name, attempt);
}

RC budget_show(struct ctx *ctx, struct txn *txn, const struct issuer_policy *p, const char *issuer, struct budget_view **out,
               size_t *n)
{
    *n = 0;
    *out = arena_array(&ctx->arena, p->limits_n * BUDGET_SHOWN, sizeof **out);
    for (size_t i = 0; i < p->limits_n; i++) {
        const struct issuer_limit *l = &p->limits[i];
        struct q_issuer_use_most_row *most = NULL;
        size_t most_n = 0;
        TRY(q_issuer_use_most(ctx, txn, issuer, l->kind, ctx_now_s(ctx) - l->window_s, BUDGET_SHOWN, &most, &most_n));
        if (!most_n)
            (*out)[(*n)++] = (struct budget_view){.limit = l, .what = ""};
        for (size_t k = 0; k < most_n; k++)
            (*out)[(*n)++] =
                (struct budget_view){.limit = l, .what = most[k].what, .used = most[k].n, .frees_at = most[k].oldest + l->window_s};
    }
    return RC_OK;
}
