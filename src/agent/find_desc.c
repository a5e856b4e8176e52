#include "agent/find.h"
#include "net/starttls.h"

struct word {
    const char *word;
    int value;
};
static const struct word formats[] = {{"lines", CONFIG_LINES}, {"json", CONFIG_JSON}, {"xml", CONFIG_XML}, {NULL, 0}};
static const struct word blocks[] = {
    {"none", CONFIG_BLOCKS_NONE}, {"angle", CONFIG_BLOCKS_ANGLE}, {"brace", CONFIG_BLOCKS_BRACE}, {NULL, 0}};
static const struct word continued[] = {
    {"no", CONFIG_CONTINUED_NO}, {"backslash", CONFIG_CONTINUED_BACKSLASH}, {"indent", CONFIG_CONTINUED_INDENT}, {NULL, 0}};

static RC read_word(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, const struct word *words, int *out)
{
    const json_t *v = json_object_get(obj, key);
    struct buf known;
    if (v == NULL)
        return RC_OK;
    buf_init_arena(&known, &ctx->arena, 512);
    for (const struct word *w = words; w->word != NULL; w++) {
        *out = w->value;
        if (json_is_string(v) && strcmp(w->word, json_string_value(v)) == 0)
            return RC_OK;
        buf_printf(&known, "%s%s", w == words ? "" : ", ", w->word);
    }
    return yaml_fail(ctx, y, v, "%s must be one of %s", key, buf_z(&known));
}

static RC read_flag(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, bool *out)
{
    const json_t *v = json_object_get(obj, key);
    if (v != NULL && !json_is_boolean(v))
        return yaml_fail(ctx, y, v, "%s must be true or false", key);
    *out = json_is_true(v);
    return RC_OK;
}

static RC read_signs(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, const char **out)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL)
        return RC_OK;
    const char *text = json_string_value(v);
    if (text == NULL || *text == '\0' || strlen(text) > 4)
        return yaml_fail(ctx, y, v, "%s must be one to four signs", key);
    for (const char *p = text; *p != '\0'; p++)
        if (strchr("#;!%:=", *p) == NULL)
            return yaml_fail(ctx, y, v, "%s must be made of # ; ! %% : =", key);
    *out = arena_strdup(&ctx->arena, text);
    return RC_OK;
}

static RC read_words(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, size_t max, bool empty,
                     struct str_list *out)
{
    const json_t *list = json_object_get(obj, key), *v;
    size_t i;
    if (list == NULL)
        return RC_OK;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > max)
        return yaml_fail(ctx, y, list, "%s must be a list of one to %zu words", key, max);
    json_array_foreach(list, i, v) {
        const char *text = json_string_value(v);
        if (text == NULL || (*text == '\0' && !empty) || strlen(text) > 255)
            return yaml_fail(ctx, y, list, "%s must be a list of words", key);
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, text));
    }
    return RC_OK;
}

static RC read_list(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, size_t max, struct str_list *out)
{
    return read_words(ctx, y, obj, key, max, false, out);
}

static RC read_syntax(struct ctx *ctx, const struct yaml *y, const json_t *obj, struct config_syntax *out)
{
    static const char *const keys[] = {"format",   "comment",   "assign",  "blocks", "headings",
                                       "continued", "options",  "commas",  "nocase", NULL};
    const json_t *v = json_object_get(obj, "text");
    int format = 0, kind = 0, more = 0;
    if (v == NULL)
        return RC_OK;
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "text must say how the configuration is written: comment, assign, blocks and so on");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_word(ctx, y, v, "format", formats, &format));
    TRY(read_signs(ctx, y, v, "comment", &out->comment));
    TRY(read_signs(ctx, y, v, "assign", &out->assign));
    TRY(read_word(ctx, y, v, "blocks", blocks, &kind));
    TRY(read_word(ctx, y, v, "continued", continued, &more));
    TRY(read_list(ctx, y, v, "headings", 64, &out->headings));
    TRY(read_flag(ctx, y, v, "options", &out->options));
    TRY(read_flag(ctx, y, v, "commas", &out->commas));
    TRY(read_flag(ctx, y, v, "nocase", &out->nocase));
    out->format = (enum config_format)format;
    out->blocks = (enum config_blocks)kind;
    out->continued = (enum config_continued)more;
    if (out->headings.n > 0 && out->blocks != CONFIG_BLOCKS_NONE)
        return yaml_fail(ctx, y, v, "a configuration has headings or blocks, not both");
    if (out->format != CONFIG_LINES && json_object_size(v) > (out->nocase ? 2U : 1U))
        return yaml_fail(ctx, y, v, "of a document (json, xml) nothing else is to be said but nocase");
    return RC_OK;
}

/* "=word", "[Block/]Directive", "… 2", "… after". */
static RC read_find_text(struct ctx *ctx, const struct yaml *y, const json_t *v, const char *text, const char *key,
                         struct find_text *out)
{
    uint64_t position;
    struct bytes rest = bytes_z(text), first, second;
    *out = (struct find_text){.how = FIND_ALL};
    if (rest.n == 0 || rest.n > 255)
        return yaml_fail(ctx, y, v, "%s must say where it is found: a directive, and perhaps the number of its word or the "
                         "word before it",
                         key);
    if (*text == '=') {
        out->how = FIND_LITERAL;
        out->word = arena_strdup(&ctx->arena, text + 1);
        return RC_OK;
    }
    bytes_take_until(&rest, ' ', &first);
    second = bytes_trim(rest);
    size_t slash = bytes_find(first, BYTES_LIT("/"));
    if (slash != SIZE_MAX) {
        out->block = arena_str(&ctx->arena, bytes_of(first.p, slash));
        bytes_skip(&first, slash + 1);
    }
    out->directive = arena_str(&ctx->arena, first);
    if (first.n == 0 || slash == 0 || bytes_find(first, BYTES_LIT("/")) != SIZE_MAX ||
        bytes_find(second, BYTES_LIT(" ")) != SIZE_MAX)
        return yaml_fail(ctx, y, v, "%s: %s is no directive with at most one word after it", key, text);
    if (second.n == 0)
        return RC_OK;
    if (!str_to_u64(second, &position)) {
        out->how = FIND_AFTER;
        out->word = arena_str(&ctx->arena, second);
        return RC_OK;
    }
    if (position == 0 || position > 99)
        return yaml_fail(ctx, y, v, "%s: the words of %s are counted from 1", key, out->directive);
    out->how = FIND_POSITION;
    out->position = (size_t)position;
    return RC_OK;
}

static RC read_value(struct ctx *ctx, const struct yaml *y, const json_t *v, const char *key, struct find_value *out)
{
    const json_t *one;
    size_t i;
    if (v == NULL)
        return RC_OK;
    if (json_is_string(v)) {
        out->n = 1;
        return read_find_text(ctx, y, v, json_string_value(v), key, &out->v[0]);
    }
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > FIND_TEXTS_MAX)
        return yaml_fail(ctx, y, v, "%s must be a text, or a list of at most %d", key, FIND_TEXTS_MAX);
    json_array_foreach(v, i, one) {
        if (!json_is_string(one))
            return yaml_fail(ctx, y, v, "%s must be a list of texts", key);
        TRY(read_find_text(ctx, y, one, json_string_value(one), key, &out->v[out->n++]));
    }
    return RC_OK;
}

static RC read_whens(struct ctx *ctx, const struct yaml *y, const json_t *obj, struct find_whens *out)
{
    json_t *all = json_object_get(obj, "when"), *v;
    const char *what;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) == 0 || json_object_size(all) > FIND_TEXTS_MAX)
        return yaml_fail(ctx, y, all, "when must be at most %d directives, each with the words it may have", FIND_TEXTS_MAX);
    json_object_foreach(all, what, v) {
        struct find_when *w = &out->v[out->n++];
        w->what.n = 1;
        TRY(read_find_text(ctx, y, all, what, "when", &w->what.v[0]));
        if (!json_is_null(v))
            TRY(read_words(ctx, y, all, what, FIND_TEXTS_MAX, true, &w->is));
    }
    return RC_OK;
}

static bool is_known(const struct find_set *set, struct bytes name)
{
    static const char *const parts[] = {"", ".name", ".stem"};
    for (size_t i = 0; set != NULL && i < set->n; i++)
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            struct bytes rest = name, param = bytes_z(set->v[i].name);
            if (bytes_starts_with(name, param) && bytes_skip(&rest, param.n) && bytes_equal_z(rest, parts[k]))
                return true;
        }
    return bytes_equal_z(name, "folder") || bytes_equal_z(name, "folder.up");
}

/* What stands in braces in a "=word" is known; `set`: the parameters before it. */
static RC check_templates(struct ctx *ctx, const struct yaml *y, const json_t *v, const struct find_value *value,
                          const struct find_set *set)
{
    for (size_t i = 0; i < value->n; i++) {
        struct bytes rest = bytes_z(value->v[i].how == FIND_LITERAL ? value->v[i].word : ""), name;
        size_t n;
        while ((n = bytes_find(rest, BYTES_LIT("{"))) != SIZE_MAX) {
            bytes_skip(&rest, n + 1);
            n = bytes_find(rest, BYTES_LIT("}"));
            if (n == SIZE_MAX || !bytes_take(&rest, n, &name) || !is_known(set, name))
                return yaml_fail(ctx, y, v, "=%s: in braces there can be folder, folder.up, or a parameter before this one, "
                                 "perhaps with .name or .stem",
                                 value->v[i].word);
        }
    }
    return RC_OK;
}

static RC read_params(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, bool perhaps,
                      struct find_set *out)
{
    const char *name;
    json_t *from;
    if (!json_is_object(v) || json_object_size(v) == 0 || json_object_size(v) > FIND_TEXTS_MAX)
        return yaml_fail(ctx, y, v, "parameters must be at most %d names, each with where it is found", FIND_TEXTS_MAX);
    json_object_foreach((json_t *)(uintptr_t)v, name, from) {
        if (!perhaps && (strcmp(name, "when") == 0 || strcmp(name, "perhaps") == 0))
            continue;
        const struct connector_param *p = connector_find(c, name);
        if (p == NULL || (p->type != PARAM_PATH && p->type != PARAM_NAME))
            return yaml_fail(ctx, y, from, "parameters: no parameter %s of type path or name", name);
        if (out->n == FIND_TEXTS_MAX)
            return yaml_fail(ctx, y, v, "parameters must be at most %d names", FIND_TEXTS_MAX);
        struct find_param *to = &out->v[out->n];
        *to = (struct find_param){.name = p->name, .perhaps = perhaps};
        TRY(read_value(ctx, y, from, name, &to->value));
        TRY(check_templates(ctx, y, from, &to->value, out));
        out->n++;
    }
    return RC_OK;
}

static RC read_set(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct find_set *out)
{
    const json_t *perhaps = json_object_get(v, "perhaps");
    TRY(read_params(ctx, y, c, v, false, out));
    TRY(read_whens(ctx, y, v, &out->when));
    if (out->n == 0)
        return yaml_fail(ctx, y, v, "parameters must name what makes it a place");
    if (perhaps != NULL)
        TRY(read_params(ctx, y, c, perhaps, true, out));
    for (size_t i = 0; i < c->n_params; i++)
        if (c->params[i].required && json_object_get(v, c->params[i].name) == NULL)
            return yaml_fail(ctx, y, v, "parameters: %s is required, but nothing says where it is found", c->params[i].name);
    return RC_OK;
}

static RC read_sets(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *obj, struct find_desc *out)
{
    const json_t *v = json_object_get(obj, "parameters"), *one;
    size_t i;
    if (v == NULL)
        return yaml_fail(ctx, y, obj, "discover needs parameters: where each of a place's is found");
    if (!json_is_array(v)) {
        out->n_sets = 1;
        return read_set(ctx, y, c, v, &out->sets[0]);
    }
    if (json_array_size(v) == 0 || json_array_size(v) > FIND_SETS_MAX)
        return yaml_fail(ctx, y, v, "parameters must be at most %d choices", FIND_SETS_MAX);
    json_array_foreach(v, i, one) TRY(read_set(ctx, y, c, one, &out->sets[out->n_sets++]));
    return RC_OK;
}

static RC read_listen(struct ctx *ctx, const struct yaml *y, const json_t *v, struct find_listen *out)
{
    static const char *const keys[] = {"at", "port", "address", "scheme", "usual", "starttls", "when", "otherwise", NULL};
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "a row of listen must hold at, or port and perhaps address");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_value(ctx, y, json_object_get(v, "at"), "at", &out->at));
    TRY(read_value(ctx, y, json_object_get(v, "port"), "port", &out->port));
    TRY(read_value(ctx, y, json_object_get(v, "address"), "address", &out->address));
    TRY(read_whens(ctx, y, v, &out->when));
    TRY(read_flag(ctx, y, v, "otherwise", &out->otherwise));
    if ((out->at.n > 0) == (out->port.n > 0) || (out->at.n > 0 && out->address.n > 0))
        return yaml_fail(ctx, y, v, "a row of listen holds either at, or port and perhaps address");
    const json_t *starttls = json_object_get(v, "starttls"), *scheme = json_object_get(v, "scheme");
    const json_t *usual = json_object_get(v, "usual");
    out->starttls = out->scheme = "";
    if (scheme != NULL && (json_string_length(scheme) == 0 || out->at.n == 0))
        return yaml_fail(ctx, y, scheme, "scheme must be the beginning of the URLs that at finds, without ://");
    if (scheme != NULL)
        out->scheme = arena_strdup(&ctx->arena, json_string_value(scheme));
    if (usual != NULL && (json_integer_value(usual) < 1 || json_integer_value(usual) > 65535 || scheme == NULL))
        return yaml_fail(ctx, y, usual, "usual must be the port of URLs that name none, beside scheme");
    out->usual = (int)json_integer_value(usual);
    if (starttls == NULL)
        return RC_OK;
    if (json_string_length(starttls) == 0 || starttls_by_name(json_string_value(starttls)) == STARTTLS_PROTOCOLS)
        return yaml_fail(ctx, y, starttls, "starttls: no such protocol is known");
    out->starttls = arena_strdup(&ctx->arena, json_string_value(starttls));
    return RC_OK;
}

static RC read_linked(struct ctx *ctx, const struct yaml *y, const json_t *obj, struct find_desc *out)
{
    json_t *v = json_object_get(obj, "linked"), *there;
    const char *here;
    if (v == NULL)
        return RC_OK;
    if (json_object_size(v) != 1)
        return yaml_fail(ctx, y, v, "linked must hold one pair: a directive of the place, and the one elsewhere that names it");
    json_object_foreach(v, here, there) {
        out->linked_here.n = 1;
        TRY(read_find_text(ctx, y, v, here, "linked", &out->linked_here.v[0]));
        TRY(read_value(ctx, y, there, "linked", &out->linked_there));
    }
    const struct find_text *t = &out->linked_there.v[0];
    if (out->linked_there.n != 1 || t->how != FIND_ALL || t->block != NULL)
        return yaml_fail(ctx, y, v, "linked: what names the place is one directive");
    return RC_OK;
}

static RC read_listed(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *obj, struct find_desc *out)
{
    static const char *const keys[] = {"files", "parameter", NULL};
    const json_t *v = json_object_get(obj, "listed");
    if (v == NULL)
        return RC_OK;
    const char *name = json_string_value(json_object_get(v, "parameter"));
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "listed must hold files and parameter");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_value(ctx, y, json_object_get(v, "files"), "files", &out->listed));
    const struct connector_param *p = name != NULL ? connector_find(c, name) : NULL;
    if (out->listed.n == 0 || p == NULL || p->type != PARAM_PATH)
        return yaml_fail(ctx, y, v, "listed must hold files, where they are named, and parameter, one of type path");
    out->listed_param = p->name;
    return RC_OK;
}

static RC read_also(struct ctx *ctx, const struct yaml *y, const json_t *obj, struct find_desc *out)
{
    const json_t *v = json_object_get(obj, "also");
    if (v == NULL)
        return RC_OK;
    if (!json_is_string(v) || !str_is_name(bytes_z(json_string_value(v))) || out->syntax.format != CONFIG_LINES)
        return yaml_fail(ctx, y, v, "also must name a second command, of a configuration that is read by lines");
    out->also = arena_strdup(&ctx->arena, json_string_value(v));
    return RC_OK;
}

RC find_desc_read(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct find_desc *out)
{
    static const char *const keys[] = {"command",    "text", "places", "through", "alone", "when",
                                       "parameters", "base", "names",  "listen",  "linked", "listed", "also", NULL};
    const json_t *listen = json_object_get(v, "listen"), *one;
    size_t i;
    *out = (struct find_desc){0};
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_syntax(ctx, y, v, &out->syntax));
    TRY(read_list(ctx, y, v, "places", 16, &out->places));
    TRY(read_list(ctx, y, v, "through", 16, &out->through));
    TRY(read_flag(ctx, y, v, "alone", &out->alone));
    TRY(read_whens(ctx, y, v, &out->when));
    TRY(read_sets(ctx, y, c, v, out));
    TRY(read_value(ctx, y, json_object_get(v, "base"), "base", &out->base));
    TRY(check_templates(ctx, y, json_object_get(v, "base"), &out->base, NULL));
    TRY(read_value(ctx, y, json_object_get(v, "names"), "names", &out->names));
    TRY(read_linked(ctx, y, v, out));
    TRY(read_listed(ctx, y, c, v, out));
    TRY(read_also(ctx, y, v, out));
    if (listen == NULL)
        return RC_OK;
    if (!json_is_array(listen) || json_array_size(listen) > FIND_LISTENS_MAX)
        return yaml_fail(ctx, y, listen, "listen must be a list of at most %d", FIND_LISTENS_MAX);
    json_array_foreach(listen, i, one) TRY(read_listen(ctx, y, one, &out->listen[out->n_listen++]));
    return RC_OK;
}
