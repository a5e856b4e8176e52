#include "core/permission.h"

#include "base/json.h"
#include "base/log.h"

struct permission_set permission_both(const struct permission_set *a, const struct permission_set *b)
{
    struct permission_set out = *a;
    for (size_t i = 0; i < PERMISSION_WORDS; i++)
        out.bits[i] &= b->bits[i];
    return out;
}

void permission_join(struct permission_set *to, const struct permission_set *more)
{
    for (size_t i = 0; i < PERMISSION_WORDS; i++)
        to->bits[i] |= more->bits[i];
}

const char *permission_beyond(const struct permission_set *s, const struct permission_set *limit)
{
    for (size_t i = 0; i < PERMISSIONS_N; i++)
        if (permission_in(s, i) && !permission_in(limit, i))
            return api_permissions[i];
    return NULL;
}

RC permission_set_read(struct ctx *ctx, const char *json, const char *whose, struct permission_set *out)
{
    json_auto_t *list = NULL;
    *out = (struct permission_set){0};
    TRY(json_read(ctx, bytes_z(json), &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t bit;
        if (name && api_permission_find(name, &bit))
            permission_add(out, bit);
        else
            log_event(LOG_WARN_, "permission_unknown", "of", whose, "permission", name ? name : "", NULL);
    }
    return RC_OK;
}

/* read_of finds the permission to read what `name` is about. */
static bool read_of(struct ctx *ctx, const char *name, size_t *bit)
{
    const char *dot = strchr(name, '.');
    return dot && api_permission_find(arena_printf(&ctx->arena, "%.*s.read", (int)(dot - name), name), bit);
}

RC permission_set_of(struct ctx *ctx, const char *const *names, size_t n, const char *field, struct permission_set *out)
{
    size_t bit;
    *out = (struct permission_set){0};
    for (size_t i = 0; i < n; i++) {
        if (!api_permission_find(names[i], &bit))
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "%s/%zu", field, i),
                                  "%s is no permission; certwright role permissions shows them", names[i]);
        permission_add(out, bit);
    }
    for (size_t i = 0; i < n; i++)
        if (read_of(ctx, names[i], &bit) && !permission_in(out, bit))
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "%s/%zu", field, i), "%s needs %s as well", names[i],
                                  api_permissions[bit]);
    return RC_OK;
}

static bool matches(struct bytes pattern, struct bytes name)
{
    struct bytes noun, verb = name;
    const bool whole = bytes_equal(pattern, BYTES_LIT("*")) || bytes_equal(pattern, name);
    if (whole || !bytes_take_until(&verb, '.', &noun))
        return whole;
    if (bytes_starts_with(pattern, BYTES_LIT("*.")))
        return bytes_equal(bytes_of(pattern.p + 2, pattern.n - 2), verb);
    return pattern.n == noun.n + 2 && bytes_starts_with(pattern, noun) && pattern.p[noun.n] == '.' && pattern.p[noun.n + 1] == '*';
}

bool permission_set_match(const char *pattern, struct permission_set *s)
{
    const bool away = *pattern == '-';
    bool any = false;
    for (size_t i = 0; i < PERMISSIONS_N; i++) {
        if (!matches(bytes_z(pattern + away), bytes_z(api_permissions[i])))
            continue;
        any = true;
        if (away)
            s->bits[i / 64] &= ~((uint64_t)1 << (i % 64));
        else
            permission_add(s, i);
    }
    return any;
}

struct str_list permission_set_names(struct ctx *ctx, const struct permission_set *s)
{
    struct str_list out = {0};
    for (size_t i = 0; i < PERMISSIONS_N; i++)
        if (permission_in(s, i))
            str_list_add(&ctx->arena, &out, api_permissions[i]);
    return out;
}

const char *permission_set_json(struct ctx *ctx, const struct permission_set *s)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 16); /* names are of this build: it cannot run over */
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < PERMISSIONS_N; i++)
        if (permission_in(s, i))
            json_put_str(&j, NULL, api_permissions[i]);
    json_close(&j);
    return buf_z(&b);
}
