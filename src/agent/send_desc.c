#include "agent/send_desc.h"

bool send_next(struct ctx *ctx, struct bytes *rest, struct send_piece *out, bool *bad)
{
    *out = (struct send_piece){.name = ""};
    *bad = false;
    if (rest->n == 0)
        return false;
    size_t open = bytes_find(*rest, BYTES_LIT("{"));
    if (open != 0)
        return bytes_take(rest, open == SIZE_MAX ? rest->n : open, &out->literal);
    size_t close = bytes_find(*rest, BYTES_LIT("}"));
    if (close == SIZE_MAX) {
        *bad = true;
        return false;
    }
    struct bytes inside = bytes_of(rest->p + 1, close - 1);
    bytes_skip(rest, close + 1);
    out->file = bytes_starts_with(inside, BYTES_LIT("file:"));
    if (out->file)
        bytes_skip(&inside, 5);
    out->name = arena_str(&ctx->arena, inside);
    *bad = *out->name == '\0';
    return !*bad;
}

static bool is_written(const struct connector *c, const char *param)
{
    for (size_t i = 0; i < c->n_files; i++)
        if (str_equal(c->files[i].path_param, param))
            return true;
    return false;
}

static RC check_text(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, const char *text)
{
    struct bytes rest = bytes_z(text);
    struct send_piece piece;
    bool bad;
    while (send_next(ctx, &rest, &piece, &bad)) {
        if (*piece.name == '\0')
            continue;
        if (connector_find(c, piece.name) == NULL)
            return yaml_fail(ctx, y, v, "text: no parameter %s", piece.name);
        if (piece.file && !is_written(c, piece.name))
            return yaml_fail(ctx, y, v, "text: {file:%s}: the description writes no such file", piece.name);
    }
    return bad ? yaml_fail(ctx, y, v, "text: a brace is not closed, or holds nothing") : RC_OK;
}

static RC read_step(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct send_step *out)
{
    static const char *const keys[] = {"text", "expect", NULL};
    const json_t *text = json_object_get(v, "text"), *expect = json_object_get(v, "expect");
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "a step of send must hold text and perhaps expect");
    TRY(yaml_only(ctx, y, v, keys));
    if (!json_is_string(text) || json_string_length(text) == 0 || json_string_length(text) > SEND_TEXT_MAX)
        return yaml_fail(ctx, y, text != NULL ? text : v, "text must be what is sent, at most %d bytes", SEND_TEXT_MAX);
    if (expect != NULL && (!json_is_string(expect) || json_string_length(expect) == 0))
        return yaml_fail(ctx, y, expect, "expect must be a text that is in a good answer");
    *out = (struct send_step){.text = arena_strdup(&ctx->arena, json_string_value(text)),
                              .expect = arena_strdup(&ctx->arena, json_string_value(expect)),
                              .line = yaml_line(y, v)};
    return check_text(ctx, y, c, text, out->text);
}

RC send_desc_read(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct send_desc *out)
{
    static const char *const keys[] = {"socket", "steps", NULL};
    const json_t *socket = json_object_get(v, "socket"), *steps = json_object_get(v, "steps"), *one;
    size_t i;
    *out = (struct send_desc){0};
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "send must hold socket and steps");
    TRY(yaml_only(ctx, y, v, keys));
    const struct connector_param *p = json_is_string(socket) ? connector_find(c, json_string_value(socket)) : NULL;
    if (p == NULL || p->type != PARAM_PATH || !p->required)
        return yaml_fail(ctx, y, socket != NULL ? socket : v, "socket must name a required parameter of type path");
    out->socket_param = p->name;
    if (!json_is_array(steps) || json_array_size(steps) == 0 || json_array_size(steps) > SEND_STEPS_MAX)
        return yaml_fail(ctx, y, steps != NULL ? steps : v, "steps must be a list of one to %d", SEND_STEPS_MAX);
    json_array_foreach(steps, i, one) TRY(read_step(ctx, y, c, one, &out->steps[out->n++]));
    return RC_OK;
}
