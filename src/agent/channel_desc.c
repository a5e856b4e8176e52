#include "agent/channel_desc.h"

#include "agent/push_reader.h"

/* What a template may name, and a parameter cannot be called (agent/relay/channel.c sets them). */
static const char *const known[] = {"id",       "key",         "time",  "subject", "headline", "text",     "short",
                                    "link",     "severity",    "state", "team",    "resolved", "source",   "unresolved",
                                    "priority", "urgency",     "level", "color",   "object_id", "object_kind",
                                    "object_name", "color_number", NULL};

static bool one_of(const char *const *words, struct bytes word)
{
    for (; *words != NULL; words++)
        if (bytes_equal_z(word, *words))
            return true;
    return false;
}

static const char *channel_name_wrong(struct ctx *ctx, struct push_reader *r, struct bytes name)
{
    struct bytes rest = name, step;
    if (bytes_find(name, BYTES_LIT(".")) == SIZE_MAX) {
        if (connector_find(r->c, arena_str(&ctx->arena, name)) != NULL)
            return NULL;
        if (r->list != STEPS_SEND)
            return "is no parameter";
        return one_of(known, name) ? NULL : "is no parameter, and nothing that is known of a notification";
    }
    bytes_take_until(&rest, '.', &step);
    if (bytes_equal_z(step, "auth")) {
        bool there = strcmp(r->d->family, "session-login") != 0 || r->list == STEPS_LOGIN ||
                     push_reader_has(r->d->login, r->d->n_login, NULL, rest);
        return there ? NULL : "is read by no step of login";
    }
    return push_reader_has(r->steps, r->n, arena_str(&ctx->arena, step), rest) ? NULL : "is read by no step before this one";
}

static const char *const section_keys[] = {"base", "auth", "send", NULL};
static const struct push_document document = {.what = "channel",
                                              .name = "channel",
                                              .section = "notify",
                                              .must = "base, auth and send",
                                              .keys = section_keys,
                                              .taken = known};

RC channel_desc_parse(struct ctx *ctx, const char *file, struct bytes text, struct channel_desc *out)
{
    __attribute__((cleanup(yaml_free))) struct yaml y = {0};
    struct push_reader r = {.y = &y, .arg = out, .name_wrong = channel_name_wrong};
    const json_t *section = NULL;
    *out = (struct channel_desc){0};
    TRY(yaml_read(ctx, file, text, &y));
    TRY(push_document_head(ctx, &y, &document, &out->channel));
    TRY(push_document_section(ctx, &document, &out->channel, &r, &section));
    return push_reader_steps(ctx, &r, section, STEPS_SEND, &out->send, &out->n_send);
}

RC channel_desc_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct channel_desc *out)
{
    struct bytes text;
    const char *path = NULL;
    TRY(push_document_text(ctx, &document, cfg->channels_dir, name, &path, &text));
    TRY(channel_desc_parse(ctx, path, text, out));
    if (!str_equal(out->channel.name, name))
        return ctx_fail(ctx, E_INVALID, "%s describes channel %s, not %s", path, out->channel.name, name);
    return RC_OK;
}
