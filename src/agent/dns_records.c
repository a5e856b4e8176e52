#include "agent/dns_records.h"

static RC not_text(struct ctx *ctx, const struct push_reader *r, const json_t *v, const char *key)
{
    return yaml_fail(ctx, r->y, v, "records: %s must hold texts, at most %d", key, PUSH_PAIRS_MAX);
}

static RC read_pairs(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key, bool templates,
                     struct push_pairs *out)
{
    json_t *all = json_object_get(obj, key), *v;
    const char *name;
    if (!json_is_object(all) || json_object_size(all) == 0 || json_object_size(all) > PUSH_PAIRS_MAX)
        return not_text(ctx, r, all != NULL ? all : obj, key);
    json_object_foreach(all, name, v)
    {
        if (!json_is_string(v))
            return not_text(ctx, r, all, key);
        struct push_pair *p = &out->v[out->n++];
        *p = (struct push_pair){arena_strdup(&ctx->arena, name), arena_strdup(&ctx->arena, json_string_value(v))};
        if (templates)
            TRY(push_reader_template(ctx, r, all, key, p->value));
    }
    return RC_OK;
}

static RC read_texts(struct ctx *ctx, struct push_reader *r, const json_t *all, const char *key, struct push_texts *out)
{
    json_t *v;
    size_t i;
    if (!json_is_array(all) || json_array_size(all) > PUSH_PAIRS_MAX)
        return not_text(ctx, r, all, key);
    json_array_foreach(all, i, v)
    {
        if (!json_is_string(v))
            return not_text(ctx, r, all, key);
        out->v[out->n] = arena_strdup(&ctx->arena, json_string_value(v));
        TRY(push_reader_template(ctx, r, all, key, out->v[out->n++]));
    }
    return RC_OK;
}

static RC read_allowed(struct ctx *ctx, struct push_reader *r, const json_t *obj, const char *key, struct dns_allowed *out,
                       size_t *n)
{
    json_t *all = json_object_get(obj, key), *v;
    const char *name;
    if (all == NULL)
        return RC_OK;
    if (!json_is_object(all) || json_object_size(all) > PUSH_PAIRS_MAX)
        return yaml_fail(ctx, r->y, all, "records: %s must be at most %d names, each with a list of texts", key, PUSH_PAIRS_MAX);
    json_object_foreach(all, name, v)
    {
        out[*n].name = arena_strdup(&ctx->arena, name);
        TRY(read_texts(ctx, r, v, key, &out[(*n)++].values));
    }
    return RC_OK;
}

static bool is_ours(const struct dns_records *d, const char *member)
{
    for (size_t i = 0; i < d->ours.n; i++)
        if (str_equal(d->ours.v[i].name, member))
            return true;
    return false;
}

static RC check_members(struct ctx *ctx, struct push_reader *r, const json_t *v, const struct dns_desc *d)
{
    const struct dns_records *all = &d->records;
    for (size_t i = 0; i < all->same.n; i++)
        if (!is_ours(all, all->same.v[i]))
            return yaml_fail(ctx, r->y, v, "records: %s of same is no member of ours", all->same.v[i]);
    for (size_t i = 0; i < all->send.n; i++)
        if (!is_ours(all, all->send.v[i].value))
            return yaml_fail(ctx, r->y, v, "records: %s of send is no member of ours", all->send.v[i].value);
    for (size_t i = 0; i < all->n_must; i++)
        if (!push_reader_has(d->see, d->n_see, NULL, bytes_z(all->must[i].name)))
            return yaml_fail(ctx, r->y, v, "records: %s of must is read by no step of see", all->must[i].name);
    return is_ours(all, all->text) ? RC_OK : yaml_fail(ctx, r->y, v, "records: text must name a member of ours");
}

RC dns_records_read(struct ctx *ctx, struct push_reader *r, const json_t *section, struct dns_desc *d)
{
    static const char *const keys[] = {"ours", "same", "text", "send", "only", "must", NULL};
    const json_t *v = json_object_get(section, "records"), *same = json_object_get(v, "same"), *text = json_object_get(v, "text");
    if (v == NULL && !d->has_records)
        return RC_OK;
    if (!d->has_records)
        return yaml_fail(ctx, r->y, v, "records is for a provider whose see reads records");
    if (!json_is_object(v))
        return yaml_fail(ctx, r->y, v != NULL ? v : section, "records must hold ours, same, text and send");
    TRY(yaml_only(ctx, r->y, v, keys));
    r->list = STEPS_ADD;
    TRY(read_pairs(ctx, r, v, "ours", true, &d->records.ours));
    TRY(read_pairs(ctx, r, v, "send", false, &d->records.send));
    TRY(read_texts(ctx, r, same != NULL ? same : v, "same", &d->records.same));
    TRY(read_allowed(ctx, r, v, "only", d->records.only, &d->records.n_only));
    TRY(read_allowed(ctx, r, v, "must", d->records.must, &d->records.n_must));
    if (!json_is_string(text))
        return yaml_fail(ctx, r->y, v, "records: text must name a member of ours");
    d->records.text = arena_strdup(&ctx->arena, json_string_value(text));
    return check_members(ctx, r, v, d);
}
