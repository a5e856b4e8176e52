#include "agent/relay/dns_set.h"

#include "agent/relay/dns_text.h"

#define MEMBERS_MAX 1000

struct set {
    struct push_session *s;
    const struct dns_desc *d;
    const struct wire_relay_dns *in;
};

static RC not_known(struct ctx *ctx, const struct set *c)
{
    return ctx_fail(ctx, E_BAD_ANSWER,
                    "the provider tells the values at %s in another form than its description knows; nothing was changed",
                    c->in->name);
}

/* One string of several is not the whole value. */
static bool is_alone(struct ctx *ctx, const json_t *member, const char *pointer)
{
    const char *slash = strrchr(pointer, '/');
    struct bytes ignored;
    return slash == NULL || strcmp(slash, "/0") != 0 ||
           !push_text_at(ctx, member, arena_printf(&ctx->arena, "%.*s/1", (int)(slash - pointer), pointer), &ignored);
}

static RC look_at_member(struct ctx *ctx, const struct set *c, const json_t *member, struct bytes *text, bool *ours)
{
    if (!push_text_at(ctx, member, c->d->item_pointer, text))
        return not_known(ctx, c);
    *ours = dns_text_is(*text, bytes_z(c->in->value)) && is_alone(ctx, member, c->d->item_pointer);
    return RC_OK;
}

static RC put_text(struct ctx *ctx, const struct set *c, struct bytes item, struct buf *out)
{
    struct bytes text;
    TRY(push_set(ctx, c->s, "item", item, true));
    TRY(push_expand(ctx, c->s, c->d->each_text, PUSH_PLAIN, NULL, &text));
    buf_put(out, text);
    return buf_status(out);
}

static RC own_member(struct ctx *ctx, const struct set *c, struct bytes *json)
{
    TRY(push_set(ctx, c->s, "item", bytes_z(c->in->value), false));
    return push_build_json(ctx, c->s, c->d->each, json);
}

/* Writes the set into the value `name`: those at the name but for ours (others), those that are there (was), or as it shall be. */
enum which { OTHERS, WAS, AS_WISHED };
static RC set_as_text(struct ctx *ctx, const struct set *c, const json_t *list, enum which which, const char *name)
{
    struct buf *b = push_room(c->s, PUSH_VALUE_MAX);
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        struct bytes text;
        bool ours;
        TRY(look_at_member(ctx, c, v, &text, &ours));
        if (!ours || which == WAS)
            TRY(put_text(ctx, c, text, b));
    }
    if (which == AS_WISHED && c->in->verb == WIRE_relay_dns_verb_add)
        TRY(put_text(ctx, c, bytes_z(arena_printf(&ctx->arena, "\"%s\"", c->in->value)), b));
    TRY(buf_status(b));
    return push_set(ctx, c->s, name, buf_bytes(b), true);
}

static RC set_as_json(struct ctx *ctx, const struct set *c, const json_t *list, enum which which, const char *name)
{
    struct buf *b = push_room(c->s, PUSH_VALUE_MAX);
    struct json_out j;
    const json_t *v;
    size_t i, n = 0;
    json_begin(&j, b);
    json_open_list(&j, NULL);
    json_array_foreach(list, i, v)
    {
        struct bytes text;
        bool ours;
        TRY(look_at_member(ctx, c, v, &text, &ours));
        if (ours && which != WAS)
            continue;
        json_put_value(&j, NULL, v);
        n++;
    }
    if (which == AS_WISHED && c->in->verb == WIRE_relay_dns_verb_add) {
        struct bytes own;
        TRY(own_member(ctx, c, &own));
        json_put_raw(&j, NULL, own);
        n++;
    }
    json_close(&j);
    TRY(buf_status(b));
    return push_set(ctx, c->s, name, n > 0 ? buf_bytes(b) : (struct bytes){0}, true);
}

static RC set_values(struct ctx *ctx, const struct set *c, const json_t *list)
{
    static const char *const names[] = {[OTHERS] = "others", [WAS] = "was", [AS_WISHED] = "values"};
    for (enum which w = OTHERS; w <= AS_WISHED; w++)
        TRY(c->d->each_text != NULL ? set_as_text(ctx, c, list, w, names[w]) : set_as_json(ctx, c, list, w, names[w]));
    return RC_OK;
}

RC dns_set_read(struct ctx *ctx, struct push_session *s, const struct dns_desc *d, const struct wire_relay_dns *in, bool *there)
{
    const struct set set = {s, d, in};
    json_auto_t *list = NULL;
    struct bytes text;
    const json_t *v;
    size_t i;
    *there = false;
    push_get(s, "see.values", &text);
    TRY(json_read(ctx, text.n > 0 ? text : BYTES_LIT("[]"), &list));
    if (!json_is_array(list) || json_array_size(list) > MEMBERS_MAX)
        return not_known(ctx, &set);
    json_array_foreach(list, i, v)
    {
        bool ours;
        TRY(look_at_member(ctx, &set, v, &text, &ours));
        *there |= ours;
    }
    return set_values(ctx, &set, list);
}
