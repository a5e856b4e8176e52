#include "agent/push_reader.h"

#define DOCUMENT_MAX ((size_t)64 << 10)

RC push_document_text(struct ctx *ctx, const struct push_document *d, const char *dir, const char *name, const char **path,
                      struct bytes *text)
{
    if (!str_is_name(bytes_z(name)))
        return ctx_fail(ctx, E_INVALID, "%s is not the name of a description of a %s", name, d->what);
    *path = arena_printf(&ctx->arena, "%s/%s.yaml", dir, name);
    struct rc rc = agent_file_trusted(ctx, *path, DOCUMENT_MAX, text);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "the description of %s %s", d->what, name);
}

RC push_document_head(struct ctx *ctx, const struct yaml *y, const struct push_document *d, struct connector *out)
{
    const char *const keys[] = {d->name, "description", "parameters", d->section, NULL};
    const json_t *name = json_object_get(y->root, d->name), *text = json_object_get(y->root, "description");
    if (!json_is_object(y->root))
        return ctx_fail(ctx, E_INVALID, "%s: the description of a %s must hold %s, parameters and %s", y->name, d->what, d->name,
                        d->section);
    TRY(yaml_only(ctx, y, y->root, keys));
    if (!json_is_string(name) || !str_is_name(bytes_z(json_string_value(name))))
        return yaml_fail(ctx, y, name != NULL ? name : y->root, "%s must be a name", d->name);
    if (text != NULL && !json_is_string(text))
        return yaml_fail(ctx, y, text, "description must be a text");
    out->name = arena_strdup(&ctx->arena, json_string_value(name));
    out->description = text != NULL ? arena_strdup(&ctx->arena, json_string_value(text)) : NULL;
    return connector_read_params(ctx, y, out);
}

RC push_document_section(struct ctx *ctx, const struct push_document *d, struct connector *c, struct push_reader *r,
                         const json_t **section)
{
    const json_t *v = json_object_get(r->y->root, d->section), *base = json_object_get(v, "base");
    struct push_desc *relay = ARENA_NEW(&ctx->arena, struct push_desc);
    *relay = (struct push_desc){.transport = "https", .family = ""};
    c->relay = relay;
    r->c = c;
    r->d = relay;
    r->list = STEPS_LOGOUT;
    if (!json_is_object(v))
        return yaml_fail(ctx, r->y, v != NULL ? v : r->y->root, "%s must hold %s", d->section, d->must);
    TRY(yaml_only(ctx, r->y, v, d->keys));
    TRY(push_reader_parameters(ctx, r, v, d->taken));
    if (!json_is_string(base))
        return yaml_fail(ctx, r->y, base != NULL ? base : v, "base must be a text");
    relay->base = arena_strdup(&ctx->arena, json_string_value(base));
    TRY(push_reader_template(ctx, r, base, "base", relay->base));
    TRY(push_reader_auth(ctx, r, v));
    if (strncmp(relay->family, "ssh-", 4) == 0)
        return yaml_fail(ctx, r->y, json_object_get(v, "auth"), "family %s is for SSH", relay->family);
    *section = v;
    return RC_OK;
}
