#include "core/preset.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/yaml.h"
#include "os/file.h"

#define PRESET_MAX  65536
#define PRESETS_MAX 256

static struct rc read_span(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(obj, key);
    const char *text = json_string_value(v);
    if (json_is_integer(v))
        *out = json_integer_value(v);
    else if (!text || !str_parse_span(bytes_z(text), out))
        return yaml_fail(ctx, y, v ? v : obj, "%s is a time such as 3h or 7d", key);
    return RC_OK;
}

static struct rc read_limits(struct ctx *ctx, const struct yaml *y, struct issuer_preset *p)
{
    static const char *const keys[] = {"kind", "count", "window", "exempt", NULL};
    const json_t *list = NULL;
    TRY(json_get_list(ctx, y->root, "limits", false, &list));
    const size_t n = json_array_size(list);
    if (n > ISSUER_LIMITS_MAX)
        return yaml_fail(ctx, y, list, "at most %d limits", ISSUER_LIMITS_MAX);
    p->limits = arena_array(&ctx->arena, n, sizeof *p->limits);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(list, i);
        struct issuer_limit *l = &p->limits[p->limits_n++];
        *l = (struct issuer_limit){.exempt = "none"};
        TRY(yaml_only(ctx, y, o, keys));
        TRY(json_get_str(ctx, o, "kind", true, &l->kind));
        TRY(json_get_int(ctx, o, "count", true, &l->count));
        TRY(read_span(ctx, y, o, "window", &l->window_s));
        TRY(json_get_str(ctx, o, "exempt", false, &l->exempt));
    }
    const struct issuer_policy checked = {.limits = p->limits, .limits_n = p->limits_n};
    return issuer_policy_check(ctx, &checked);
}

static struct rc read_texts(struct ctx *ctx, const struct yaml *y, const char *key, size_t most, struct str_list *out)
{
    const json_t *list = NULL;
    TRY(json_get_list(ctx, y->root, key, false, &list));
    if (json_array_size(list) > most)
        return yaml_fail(ctx, y, list, "at most %zu %s", most, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || strlen(text) > 256)
            return yaml_fail(ctx, y, list, "%s are texts of at most 256 characters", key);
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, text));
    }
    return RC_OK;
}

static struct rc read_all(struct ctx *ctx, const struct yaml *y, struct issuer_preset *p)
{
    static const char *const keys[] = {"title",  "directory", "staging", "terms", "eab",   "eab_how",
                                       "limits", "profiles",  "chains",  "notes", "as_of", NULL};
    const struct {
        const char *key;
        bool need;
        size_t max;
        const char **to;
    } texts[] = {{"title", true, 128, &p->title},
                 {"directory", true, 2048, &p->directory_url},
                 {"staging", false, 2048, &p->staging_url},
                 {"terms", false, 2048, &p->terms_url},
                 {"eab", true, 16, &p->eab},
                 {"eab_how", false, 1000, &p->eab_how},
                 {"notes", false, 2000, &p->notes},
                 {"as_of", true, 10, &p->as_of}};
    if (!json_is_object(y->root))
        return yaml_fail(ctx, y, y->root, "a description of a CA is a map");
    TRY(yaml_only(ctx, y, y->root, keys));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        TRY(json_get_str(ctx, y->root, texts[i].key, texts[i].need, texts[i].to));
        if (*texts[i].to && strlen(*texts[i].to) > texts[i].max)
            return yaml_fail(ctx, y, json_object_get(y->root, texts[i].key), "%s is longer than %zu characters", texts[i].key,
                             texts[i].max);
    }
    if (!str_equal(p->eab, "none") && !str_equal(p->eab, "optional") && !str_equal(p->eab, "required"))
        return yaml_fail(ctx, y, json_object_get(y->root, "eab"), "eab is none, optional or required");
    if (strncmp(p->directory_url, "https://", 8) != 0)
        return yaml_fail(ctx, y, json_object_get(y->root, "directory"), "directory is a URL with https://");
    TRY(read_limits(ctx, y, p));
    TRY(read_texts(ctx, y, "profiles", 32, &p->profiles));
    return read_texts(ctx, y, "chains", 16, &p->chains);
}

RC preset_parse(struct ctx *ctx, const char *name, struct bytes text, struct issuer_preset *out)
{
    struct yaml y;
    *out = (struct issuer_preset){.name = name};
    TRY(yaml_read(ctx, arena_printf(&ctx->arena, "%s.yaml", name), text, &y));
    struct rc rc = read_all(ctx, &y, out);
    yaml_free(&y);
    return rc;
}

static struct rc preset_file(struct ctx *ctx, const struct core *core, const char *name, struct issuer_preset *out)
{
    struct bytes text;
    TRY(file_read(ctx, arena_printf(&ctx->arena, "%s/%s.yaml", core->presets_dir, name), PRESET_MAX, &text));
    return preset_parse(ctx, name, text, out);
}

RC preset_read(struct ctx *ctx, const struct core *core, const char *name, struct issuer_preset *out)
{
    struct rc rc = str_is_name(bytes_z(name)) && !strchr(name, '*') ? preset_file(ctx, core, name, out) : rc_of(E_NOT_FOUND);
    if (rc.e != E_NOT_FOUND)
        return rc;
    ctx_forget(ctx);
    return ctx_fail_field(ctx, "/preset", "no CA is described as %s in %s; certwright issuer presets lists them", name,
                          core->presets_dir);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

RC presets_list(struct ctx *ctx, const struct core *core, struct issuer_preset **out, size_t *n)
{
    struct str_list names = {0};
    struct dirent *e;
    *n = 0;
    DIR *dir = opendir(core->presets_dir);
    if (!dir && errno == ENOENT)
        return ctx_fail(ctx, E_NOT_FOUND, "%s, where CAs are described, is not there: name the folder with issuers_dir in hub.yaml "
                                          "and restart the hub", core->presets_dir);
    if (!dir)
        return ctx_fail_errno(ctx, "%s, where CAs are described", core->presets_dir);
    while ((e = readdir(dir)) && names.n < PRESETS_MAX) {
        const size_t len = strlen(e->d_name);
        if (len > 5 && str_equal(e->d_name + len - 5, ".yaml") && e->d_name[0] != '.')
            str_list_add(&ctx->arena, &names, arena_str(&ctx->arena, bytes_of(e->d_name, len - 5)));
    }
    closedir(dir);
    if (names.n)
        qsort(names.v, names.n, sizeof *names.v, by_name);
    *out = arena_array(&ctx->arena, names.n, sizeof **out);
    for (size_t i = 0; i < names.n; i++)
        TRY(preset_file(ctx, core, names.v[i], &(*out)[(*n)++]));
    return RC_OK;
}
