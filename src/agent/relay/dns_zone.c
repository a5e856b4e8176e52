#include "agent/relay/dns_zone.h"

#include "agent/relay/dns_text.h"
#include "base/uri.h"

#define RECORDS_MAX 1000
#define LABEL_MAX   100
#define SHOWN_MAX   3

/* Words from outside, fit for a message. */
static const char *plain(struct ctx *ctx, struct bytes in)
{
    char *out = arena_str(&ctx->arena, bytes_of(in.p, in.n < LABEL_MAX ? in.n : LABEL_MAX));
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            *p = '?';
    return out;
}

static RC read_list(struct ctx *ctx, struct push_session *s, const char *prefix, json_t **out)
{
    struct bytes text;
    push_get(s, arena_printf(&ctx->arena, "%s.records", prefix), &text);
    TRY(json_read(ctx, text.n > 0 ? text : BYTES_LIT("[]"), out));
    if (!json_is_array(*out) || json_array_size(*out) > RECORDS_MAX)
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider tells the zone's records in another form than its description knows");
    /* Neither is there such a zone here, nor may the answer to a fault be taken for one. */
    if (json_array_size(*out) == 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider tells no record at all of the zone; where that is so, give it one first");
    return RC_OK;
}

/* --- is it of the form that is known? */

static RC is_allowed(struct ctx *ctx, struct push_session *s, const struct dns_allowed *a, struct bytes value, bool *yes)
{
    *yes = a->values.n == 0;
    for (size_t i = 0; i < a->values.n && !*yes; i++) {
        struct bytes good;
        TRY(push_expand(ctx, s, a->values.v[i], PUSH_PLAIN, NULL, &good));
        *yes = bytes_equal_nocase(good, value);
    }
    return RC_OK;
}

static const struct dns_allowed *find_allowed(const struct dns_allowed *all, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(all[i].name, name))
            return &all[i];
    return NULL;
}

static bool is_ours_member(const struct dns_records *r, const char *name)
{
    for (size_t i = 0; i < r->ours.n; i++)
        if (str_equal(r->ours.v[i].name, name))
            return true;
    return false;
}

static struct bytes member(const json_t *record, const char *name)
{
    const json_t *v = json_object_get(record, name);
    return json_is_string(v) ? bytes_of(json_string_value(v), json_string_length(v)) : (struct bytes){0};
}

static const char *label_of(struct ctx *ctx, const struct dns_records *r, const json_t *record)
{
    const char *out = "";
    for (size_t i = 0; i < r->same.n; i++)
        out = arena_printf(&ctx->arena, "%s%s%s", out, i > 0 ? " " : "", plain(ctx, member(record, r->same.v[i])));
    return *out != '\0' ? out : "a record without a name";
}

static RC check_record(struct ctx *ctx, struct push_session *s, const struct dns_records *r, json_t *record)
{
    const char *name, *label = label_of(ctx, r, record);
    json_t *v;
    if (!json_is_object(record))
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider tells a record in another form than its description knows");
    for (size_t i = 0; i < r->ours.n; i++)
        if (member(record, r->ours.v[i].name).n == 0)
            return ctx_fail(ctx, E_BAD_ANSWER, "the provider tells no %s of the zone's record %s", r->ours.v[i].name, label);
    json_object_foreach(record, name, v)
    {
        const struct dns_allowed *a = find_allowed(r->only, r->n_only, name);
        bool yes = true;
        if (!json_is_string(v) || (a == NULL && !is_ours_member(r, name)))
            return ctx_fail(ctx, E_BAD_ANSWER,
                            "the zone's record %s has %s, which the description does not know and could not write back", label,
                            plain(ctx, bytes_z(name)));
        if (a != NULL)
            TRY(is_allowed(ctx, s, a, member(record, name), &yes));
        if (!yes)
            return ctx_fail(ctx, E_BAD_ANSWER, "the zone's record %s has %s \"%s\", which could not be written back as it is",
                            label, plain(ctx, bytes_z(name)), plain(ctx, member(record, name)));
    }
    return RC_OK;
}

static RC check_list(struct ctx *ctx, struct push_session *s, const struct dns_records *r, const char *prefix, const json_t *list)
{
    json_t *record;
    size_t i;
    for (i = 0; i < r->n_must; i++) {
        struct bytes value;
        bool yes;
        if (!push_get(s, arena_printf(&ctx->arena, "%s.%s", prefix, r->must[i].name), &value))
            continue;
        TRY(is_allowed(ctx, s, &r->must[i], value, &yes));
        if (!yes)
            return ctx_fail(ctx, E_BAD_ANSWER, "the provider says of %s \"%s\", with which its description cannot change the zone",
                            r->must[i].name, plain(ctx, value));
    }
    json_array_foreach(list, i, record) TRY(check_record(ctx, s, r, record));
    return RC_OK;
}

RC dns_zone_check(struct ctx *ctx, struct push_session *s, const struct dns_desc *d, const char *prefix)
{
    json_auto_t *list = NULL;
    struct bytes ignored;
    if (!push_get(s, arena_printf(&ctx->arena, "%s.records", prefix), &ignored))
        return RC_OK;
    TRY(read_list(ctx, s, prefix, &list));
    return check_list(ctx, s, &d->records, prefix, list);
}

/* --- writing it */

static RC own_record(struct ctx *ctx, struct push_session *s, const struct dns_records *r, json_t *out)
{
    for (size_t i = 0; i < r->ours.n; i++) {
        struct bytes value;
        TRY(push_expand(ctx, s, r->ours.v[i].value, PUSH_PLAIN, NULL, &value));
        if (json_object_set_new(out, r->ours.v[i].name, json_stringn((const char *)value.p, value.n)) != 0)
            return ctx_fail(ctx, E_INVALID, "%s of the record is no text", r->ours.v[i].name);
    }
    return RC_OK;
}

static bool is_same(const struct dns_records *r, const json_t *record, const json_t *own, const char *value)
{
    for (size_t i = 0; i < r->same.n; i++)
        if (!bytes_equal_nocase(member(record, r->same.v[i]), member(own, r->same.v[i])))
            return false;
    return dns_text_is(member(record, r->text), bytes_z(value));
}

static void put_record(struct buf *b, const struct dns_records *r, const json_t *record, size_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", number);
    for (size_t i = 0; i < r->send.n; i++) {
        if (b->n > 0)
            buf_put_u8(b, '&');
        put_percent(b, bytes_z(r->send.v[i].name));
        buf_put_z(b, digits);
        buf_put_u8(b, '=');
        put_percent(b, member(record, r->send.v[i].value));
    }
}

struct zone {
    const struct dns_records *r;
    const json_t *list, *own;
    const char *value;
};

enum which { OTHERS, WAS, AS_WISHED };
static RC set_form(struct ctx *ctx, struct push_session *s, const struct zone *z, enum which which, bool add, const char *name)
{
    struct buf *b = push_room(s, PUSH_VALUE_MAX);
    json_t *record;
    size_t i, n = 0;
    json_array_foreach(z->list, i, record) if (which == WAS || !is_same(z->r, record, z->own, z->value))
        put_record(b, z->r, record, ++n);
    if (which == AS_WISHED && add)
        put_record(b, z->r, z->own, ++n);
    TRY(buf_status(b));
    return push_set(ctx, s, name, buf_bytes(b), true);
}

static RC keep(struct ctx *ctx, struct push_session *s, const struct zone *z, struct dns_zone *out)
{
    json_t *record;
    size_t i;
    out->others = arena_array(&ctx->arena, json_array_size(z->list) + 1, sizeof *out->others);
    out->rest = arena_array(&ctx->arena, PUSH_VALUES_MAX, sizeof *out->rest);
    json_array_foreach(z->list, i, record)
    {
        struct buf *b = push_room(s, PUSH_VALUE_MAX);
        if (is_same(z->r, record, z->own, z->value))
            continue;
        put_record(b, z->r, record, 0);
        TRY(buf_status(b));
        out->others[out->n++] = (struct dns_zone_record){buf_bytes(b), label_of(ctx, z->r, record)};
    }
    for (i = 0; i < s->n_values; i++)
        if (strncmp(s->values[i].name, "see.", 4) == 0 && strcmp(s->values[i].name, "see.records") != 0)
            out->rest[out->n_rest++] = s->values[i];
    return RC_OK;
}

RC dns_zone_read(struct ctx *ctx, struct push_session *s, const struct dns_desc *d, const struct wire_relay_dns *in,
                 struct dns_zone *out, bool *there)
{
    static const char *const names[] = {[OTHERS] = "others", [WAS] = "was", [AS_WISHED] = "values"};
    json_auto_t *list = NULL, *own = json_object();
    *out = (struct dns_zone){0};
    *there = false;
    TRY(read_list(ctx, s, "see", &list));
    TRY(check_list(ctx, s, &d->records, "see", list));
    TRY(own_record(ctx, s, &d->records, own));
    const struct zone z = {&d->records, list, own, in->value};
    TRY(keep(ctx, s, &z, out));
    *there = out->n < json_array_size(list);
    for (enum which w = OTHERS; w <= AS_WISHED; w++)
        TRY(set_form(ctx, s, &z, w, in->verb == WIRE_relay_dns_verb_add, names[w]));
    return RC_OK;
}

/* --- comparing */

static const char *list_label(struct ctx *ctx, const char *list, size_t n, const char *label)
{
    if (n > SHOWN_MAX)
        return list;
    return arena_printf(&ctx->arena, "%s%s%s", list, n > 1 ? ", " : "", n == SHOWN_MAX ? "…" : label);
}

const char *dns_zone_lost(struct ctx *ctx, const struct dns_zone *before, const struct dns_zone *after, size_t *more)
{
    bool *used = arena_array(&ctx->arena, after->n + 1, sizeof *used);
    const char *list = "";
    size_t lost = 0;
    *more = after->n;
    for (size_t i = 0; i < before->n; i++) {
        size_t k = 0;
        while (k < after->n && (used[k] || !bytes_equal(before->others[i].text, after->others[k].text)))
            k++;
        if (k < after->n) {
            used[k] = true;
            (*more)--;
        } else {
            lost++;
            list = list_label(ctx, list, lost, before->others[i].label);
        }
    }
    for (size_t i = 0; i < before->n_rest; i++) {
        const struct push_value *v = &before->rest[i];
        bool same = false;
        for (size_t k = 0; k < after->n_rest && !same; k++)
            same = strcmp(v->name, after->rest[k].name) == 0 && bytes_equal(v->value, after->rest[k].value);
        if (!same)
            list = list_label(ctx, list, ++lost, v->name + 4);
    }
    return lost > 0 ? list : NULL;
}
