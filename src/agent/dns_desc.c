#include "agent/dns_desc.h"

#include "agent/dns_records.h"

static const char *const of_zone[] = {"zone", "zone_label", "zone_rest", NULL};
static const char *const of_name[] = {"zone", "zone_label", "zone_rest", "name", "relative", "relative_or_at", NULL};
static const char *const of_value[] = {"zone", "zone_label", "zone_rest", "name", "relative", "relative_or_at", "value", NULL};
static const char *const of_set[] = {"values", "others", "was", NULL};
/* What a parameter cannot be called. */
static const char *const taken[] = {"zone",   "name", "relative", "relative_or_at", "value",      "values",
                                    "others", "was",  "item",     "member",         "zone_label", "zone_rest", NULL};

static bool one_of(const char *const *words, struct bytes word)
{
    for (; *words != NULL; words++)
        if (bytes_equal_z(word, *words))
            return true;
    return false;
}

static const char *plain_wrong(struct push_reader *r, struct bytes name)
{
    const struct dns_desc *d = r->arg;
    bool changes = r->list == STEPS_ADD || r->list == STEPS_REMOVE, see = r->list == STEPS_SEE;
    if (bytes_equal_z(name, "member"))
        return r->member ? NULL : "is there in a step with `over` alone";
    if (one_of(of_set, name))
        return changes && (d->has_values || d->has_records) ? NULL : "is there in add and remove, where see reads values";
    if (r->list == STEPS_TEST)
        return one_of(of_zone, name) ? NULL : "is no parameter, and not known in test";
    if (r->list == STEPS_ZONE)
        return one_of(of_name, name) ? NULL : "is no parameter, and not known in zone";
    if (changes || see)
        return one_of(of_value, name) ? NULL : "is no parameter, and nothing that is known of the record";
    return "is no parameter";
}

static const char *dns_name_wrong(struct ctx *ctx, struct push_reader *r, struct bytes name)
{
    const struct dns_desc *d = r->arg;
    bool changes = r->list == STEPS_ADD || r->list == STEPS_REMOVE, login = r->list == STEPS_LOGIN || r->list == STEPS_LOGOUT;
    struct bytes rest = name, step;
    if (bytes_find(name, BYTES_LIT(".")) == SIZE_MAX)
        return connector_find(r->c, arena_str(&ctx->arena, name)) != NULL ? NULL : plain_wrong(r, name);
    bytes_take_until(&rest, '.', &step);
    if (bytes_equal_z(step, "auth")) {
        bool known = strcmp(r->d->family, "session-login") != 0 || r->list == STEPS_LOGIN ||
                     push_reader_has(r->d->login, r->d->n_login, NULL, rest);
        return known ? NULL : "is read by no step of login";
    }
    if (bytes_equal_z(step, "zone") && !login && r->list != STEPS_TEST) {
        bool own = r->list == STEPS_ZONE;
        bool known = own ? push_reader_has(r->steps, r->n, NULL, rest) : push_reader_has(d->zone, d->n_zone, NULL, rest);
        return known ? NULL : "is read by no step of zone";
    }
    if (bytes_equal_z(step, "see") && (changes || r->list == STEPS_SEE)) {
        bool known = changes ? push_reader_has(d->see, d->n_see, NULL, rest) : push_reader_has(r->steps, r->n, NULL, rest);
        return known ? NULL : "is read by no step of see";
    }
    return push_reader_has(r->steps, r->n, arena_str(&ctx->arena, step), rest) ? NULL : "is read by no step before this one";
}

static const char *item_wrong(struct ctx *ctx, struct push_reader *r, struct bytes name)
{
    return bytes_equal_z(name, "item") || connector_find(r->c, arena_str(&ctx->arena, name)) != NULL
               ? NULL
               : "is no parameter, and not item";
}

/* --- each */

/* Where {item} is, as a JSON pointer. */
static bool item_at(struct ctx *ctx, const json_t *v, const char *here, const char **out)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(v) && strstr(json_string_value(v), "{item") != NULL) {
        *out = here;
        return true;
    }
    if (json_is_object(v))
        json_object_foreach((json_t *)(uintptr_t)v, key, member)
        {
            if (strpbrk(key, "~/") == NULL && item_at(ctx, member, arena_printf(&ctx->arena, "%s/%s", here, key), out))
                return true;
        }
    else if (json_is_array(v))
        json_array_foreach(v, i, member)
        {
            if (item_at(ctx, member, arena_printf(&ctx->arena, "%s/%zu", here, i), out))
                return true;
        }
    return false;
}

static RC read_each(struct ctx *ctx, struct push_reader *r, const json_t *section, struct dns_desc *d)
{
    json_t *each = json_object_get(section, "each"), *text = json_object_get(section, "each_text");
    if ((each != NULL || text != NULL) && !d->has_values)
        return yaml_fail(ctx, r->y, section, "each and each_text are for a provider whose see reads values");
    if (each != NULL && text != NULL)
        return yaml_fail(ctx, r->y, text, "a description holds either each or each_text");
    d->each = "\"{item}\"";
    d->item_pointer = "";
    r->name_wrong = item_wrong;
    if (text != NULL) {
        if (!json_is_string(text) || strstr(json_string_value(text), "{item") == NULL)
            return yaml_fail(ctx, r->y, text, "each_text must be a text with {item} in it");
        d->each_text = arena_strdup(&ctx->arena, json_string_value(text));
        return push_reader_template(ctx, r, text, "each_text", d->each_text);
    }
    if (each == NULL)
        return RC_OK;
    TRY(push_reader_tree(ctx, r, each, &d->each));
    if (!item_at(ctx, each, "", &d->item_pointer))
        return yaml_fail(ctx, r->y, each, "each must say with {item} where the value stands");
    return RC_OK;
}

/* --- the section */

static RC read_seconds(struct ctx *ctx, const struct yaml *y, const json_t *obj, const char *key, int *out)
{
    const json_t *v = json_object_get(obj, key);
    if (v != NULL && (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 7200))
        return yaml_fail(ctx, y, v, "%s must be a number from 0 to 7200", key);
    *out = v != NULL ? (int)json_integer_value(v) : 0;
    return RC_OK;
}

static RC read_publish(struct ctx *ctx, const struct yaml *y, const json_t *section, struct dns_desc *d)
{
    static const char *const keys[] = {"first_s", "most_s", NULL};
    const json_t *v = json_object_get(section, "publish");
    if (v == NULL)
        return RC_OK;
    if (!json_is_object(v))
        return yaml_fail(ctx, y, v, "publish must hold first_s and most_s");
    TRY(yaml_only(ctx, y, v, keys));
    TRY(read_seconds(ctx, y, v, "first_s", &d->first_s));
    TRY(read_seconds(ctx, y, v, "most_s", &d->most_s));
    return d->most_s == 0 || d->first_s <= d->most_s ? RC_OK : yaml_fail(ctx, y, v, "first_s must not be more than most_s");
}

static RC read_below(struct ctx *ctx, struct push_reader *r, const json_t *section, struct dns_desc *d)
{
    const json_t *v = json_object_get(section, "below");
    if (v == NULL)
        return RC_OK;
    if (!json_is_string(v))
        return yaml_fail(ctx, r->y, v, "below must be a name");
    d->below = arena_strdup(&ctx->arena, json_string_value(v));
    return push_reader_template(ctx, r, v, "below", d->below);
}

static RC read_lists(struct ctx *ctx, struct push_reader *r, const json_t *section, struct dns_desc *d)
{
    const json_t *remove = json_object_get(section, "remove");
    TRY(push_reader_steps(ctx, r, section, STEPS_TEST, &d->test, &d->n_test));
    if (json_object_get(section, "zone") != NULL)
        TRY(push_reader_steps(ctx, r, section, STEPS_ZONE, &d->zone, &d->n_zone));
    if (json_object_get(section, "see") != NULL)
        TRY(push_reader_steps(ctx, r, section, STEPS_SEE, &d->see, &d->n_see));
    d->has_id = push_reader_has(d->see, d->n_see, NULL, BYTES_LIT("id"));
    d->has_values = push_reader_has(d->see, d->n_see, NULL, BYTES_LIT("values"));
    d->has_records = push_reader_has(d->see, d->n_see, NULL, BYTES_LIT("records"));
    if (d->n_see > 0 && d->has_id + d->has_values + d->has_records != 1)
        return yaml_fail(ctx, r->y, json_object_get(section, "see"),
                         "see must read either id or values, or records of the whole zone");
    TRY(push_reader_steps(ctx, r, section, STEPS_ADD, &d->add, &d->n_add));
    /* Where the provider drops old values by itself nothing is to be done. */
    if (json_is_array(remove) && json_array_size(remove) == 0 && d->n_see == 0)
        return RC_OK;
    return push_reader_steps(ctx, r, section, STEPS_REMOVE, &d->remove, &d->n_remove);
}

static const char *const section_keys[] = {"base", "auth",      "below",   "publish", "test",   "zone", "see",
                                           "each", "each_text", "records", "add",     "remove", NULL};
static const struct push_document document = {.what = "DNS provider",
                                              .name = "provider",
                                              .section = "dns",
                                              .must = "base, auth, test, add and remove",
                                              .keys = section_keys,
                                              .taken = taken};

RC dns_desc_parse(struct ctx *ctx, const char *file, struct bytes text, struct dns_desc *out)
{
    __attribute__((cleanup(yaml_free))) struct yaml y = {0};
    struct push_reader r = {.y = &y, .arg = out, .name_wrong = dns_name_wrong};
    const json_t *section = NULL;
    *out = (struct dns_desc){0};
    TRY(yaml_read(ctx, file, text, &y));
    TRY(push_document_head(ctx, &y, &document, &out->provider));
    TRY(push_document_section(ctx, &document, &out->provider, &r, &section));
    TRY(read_publish(ctx, &y, section, out));
    TRY(read_below(ctx, &r, section, out));
    TRY(read_lists(ctx, &r, section, out));
    TRY(dns_records_read(ctx, &r, section, out));
    return read_each(ctx, &r, section, out);
}

RC dns_desc_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct dns_desc *out)
{
    struct bytes text;
    const char *path = NULL;
    TRY(push_document_text(ctx, &document, cfg->dns_dir, name, &path, &text));
    TRY(dns_desc_parse(ctx, path, text, out));
    if (!str_equal(out->provider.name, name))
        return ctx_fail(ctx, E_INVALID, "%s describes provider %s, not %s", path, out->provider.name, name);
    return RC_OK;
}
