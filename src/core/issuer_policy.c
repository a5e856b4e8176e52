#include "core/issuer_policy.h"

#include "base/str.h"

static const char *const kinds[] = {"account", "names", "domain", "failure"};
static const char *const exemptions[] = {"none", "renewal", "ari"};

void issuer_policy_encode(struct json_out *j, const char *key, const struct issuer_policy *p)
{
    json_open_obj(j, key);
    if (p->preset)
        json_put_str(j, "preset", p->preset);
    if (p->staging_url)
        json_put_str(j, "staging_url", p->staging_url);
    if (p->after)
        json_put_int(j, "after", p->after);
    if (p->within_s)
        json_put_int(j, "within_s", p->within_s);
    if (p->new_within_s)
        json_put_int(j, "new_within_s", p->new_within_s);
    if (p->no_rehearsal)
        json_put_bool(j, "no_rehearsal", true);
    json_open_list(j, "limits");
    for (size_t i = 0; i < p->limits_n; i++) {
        json_open_obj(j, NULL);
        json_put_str(j, "kind", p->limits[i].kind);
        json_put_int(j, "count", p->limits[i].count);
        json_put_int(j, "window_s", p->limits[i].window_s);
        json_put_str(j, "exempt", p->limits[i].exempt);
        json_close(j);
    }
    json_close(j);
    json_close(j);
}

RC issuer_policy_decode(struct ctx *ctx, const json_t *obj, struct issuer_policy *out)
{
    *out = (struct issuer_policy){0};
    const json_t *list = NULL;
    if (!obj)
        return RC_OK;
    TRY(json_get_str(ctx, obj, "preset", false, &out->preset));
    TRY(json_get_str(ctx, obj, "staging_url", false, &out->staging_url));
    TRY(json_get_int(ctx, obj, "after", false, &out->after));
    TRY(json_get_int(ctx, obj, "within_s", false, &out->within_s));
    TRY(json_get_int(ctx, obj, "new_within_s", false, &out->new_within_s));
    TRY(json_get_bool(ctx, obj, "no_rehearsal", false, &out->no_rehearsal));
    TRY(json_get_list(ctx, obj, "limits", false, &list));
    const size_t n = json_array_size(list);
    if (n > ISSUER_LIMITS_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "at most %d limits are kept of an issuer", ISSUER_LIMITS_MAX);
    out->limits = arena_array(&ctx->arena, n, sizeof *out->limits);
    for (size_t i = 0; i < n; i++) {
        struct issuer_limit *l = &out->limits[out->limits_n++];
        const json_t *o = json_array_get(list, i);
        *l = (struct issuer_limit){.exempt = "none"};
        TRY(json_get_str(ctx, o, "kind", true, &l->kind));
        TRY(json_get_int(ctx, o, "count", true, &l->count));
        TRY(json_get_int(ctx, o, "window_s", true, &l->window_s));
        TRY(json_get_str(ctx, o, "exempt", false, &l->exempt));
    }
    return RC_OK;
}

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(word, words[i]))
            return true;
    return false;
}

RC issuer_policy_check(struct ctx *ctx, const struct issuer_policy *p)
{
    for (size_t i = 0; i < p->limits_n; i++) {
        const struct issuer_limit *l = &p->limits[i];
        const char *at = arena_printf(&ctx->arena, "/limits/%zu", i);
        if (!is_one_of(l->kind, kinds, sizeof kinds / sizeof *kinds))
            return ctx_fail_field(ctx, at, "a limit is of kind account, names, domain or failure");
        if (!is_one_of(l->exempt, exemptions, sizeof exemptions / sizeof *exemptions))
            return ctx_fail_field(ctx, at, "what is exempt from a limit: none, renewal or ari");
        if (l->count < 1 || l->window_s < 1 || l->window_s > ISSUER_WINDOW_MAX_S)
            return ctx_fail_field(ctx, at, "a limit is a number above 0 in a time of at most 31 days");
    }
    if (p->after < 0 || p->after > 100)
        return ctx_fail_field(ctx, "/failover/after", "another issuer is asked after 1 to 100 failures");
    if (p->within_s < 0 || p->within_s > ISSUER_WINDOW_MAX_S)
        return ctx_fail_field(ctx, "/failover/within_s", "another issuer is asked within at most 31 days");
    if (p->new_within_s < 0 || p->new_within_s > ISSUER_WINDOW_MAX_S)
        return ctx_fail_field(ctx, "/failover/new_within_s", "another issuer is asked within at most 31 days");
    return RC_OK;
}
