#include "agent/config_formats.h"
#include "base/json.h"

static RC put_value(struct config_reader *r, const char *key, const json_t *v);

/* false: a value of another kind, which is not for a line. */
static const char *scalar(struct config_reader *r, const json_t *v)
{
    struct arena *a = &config_reader_ctx(r)->arena;
    if (json_is_string(v))
        return arena_strdup(a, json_string_value(v));
    if (json_is_integer(v))
        return arena_printf(a, "%lld", (long long)json_integer_value(v));
    return json_is_true(v) ? "true" : json_is_false(v) ? "false" : NULL;
}

static RC put_list(struct config_reader *r, const char *key, const json_t *list)
{
    const json_t *v;
    size_t i, n = 0;
    json_array_foreach(list, i, v) {
        const char *word = scalar(r, v);
        if (word == NULL)
            continue;
        if (n == 0)
            TRY(config_put_word(r, key));
        TRY(config_put_word(r, word));
        if (++n == CONFIG_WORDS_MAX - 1) { /* the rest is a line of its own */
            TRY(config_put_line(r));
            n = 0;
        }
    }
    if (n > 0)
        TRY(config_put_line(r));
    json_array_foreach(list, i, v) if (json_is_object(v) || json_is_array(v)) TRY(put_value(r, key, v));
    return RC_OK;
}

static RC put_members(struct config_reader *r, const json_t *obj)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)obj, key, v) TRY(put_value(r, arena_strdup(&config_reader_ctx(r)->arena, key), v));
    return RC_OK;
}

static RC put_value(struct config_reader *r, const char *key, const json_t *v)
{
    if (json_is_array(v))
        return put_list(r, key, v);
    TRY(config_put_word(r, key));
    if (json_is_object(v)) {
        TRY(config_open(r));
        TRY(put_members(r, v));
        config_close(r);
        return RC_OK;
    }
    const char *word = scalar(r, v);
    if (word != NULL)
        TRY(config_put_word(r, word));
    return config_put_line(r);
}

RC config_json_read(struct config_reader *r, struct bytes text)
{
    json_auto_t *root = NULL;
    TRY(json_read(config_reader_ctx(r), text, &root));
    return json_is_object(root) ? put_members(r, root) : put_value(r, "", root);
}
