#include "core/scan_options.h"

#include "base/json.h"

#define OPTIONS_MAX 16384

static void set_text(json_t *to, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(to, key, json_string(text));
}

static void set_flag(json_t *to, const char *key, bool holds)
{
    if (holds)
        json_object_set_new(to, key, json_true());
}

static json_t *texts_of(const struct api_strings *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, json_string(s->v[i]));
    return list;
}

static void set_texts(json_t *to, const char *key, const struct api_strings *s)
{
    if (s->n)
        json_object_set_new(to, key, texts_of(s));
}

static void keep(json_t *to, const json_t *before, const char *key)
{
    json_t *v = json_object_get(before, key);
    if (v && !json_object_get(to, key))
        json_object_set(to, key, v);
}

static const char *leaf_of(const struct api_observation *o, size_t i)
{
    return i < o->chains.n && o->chains.v[i].fingerprints.n ? o->chains.v[i].fingerprints.v[0] : "";
}

/* All of both, where there are two: an intermediate certificate may be of either, or of both at different places. */
static void set_chains(json_t *to, const struct api_observation *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->chains.n; i++)
        json_array_append_new(list, texts_of(&o->chains.v[i].fingerprints));
    json_object_set_new(to, "chains", list);
    set_text(to, "other", leaf_of(o, 1));
}

/* `before` is NULL where another leaf was shown: then nothing of it stays. */
static void set_chain(json_t *to, const struct scan_part *part, const struct api_observation *o, const json_t *before)
{
    const struct api_scan_chain *first = &o->chains.v[0];
    set_text(to, "version", first->version);
    set_text(to, "cipher", first->cipher);
    set_text(to, "group", first->group);
    json_object_set_new(to, "chain", json_integer((json_int_t)first->fingerprints.n));
    if (*leaf_of(o, 1))
        set_chains(to, o);
    else if (!part->both_keys)
        keep(to, before, "chains"), keep(to, before, "other");
    set_flag(to, "verified", o->verified);
    if (!part->verify)
        keep(to, before, "verified");
}

static void set_details(json_t *to, const struct scan_part *part, const struct api_observation *o, const json_t *before)
{
    static const char *const keys[] = {"group", "alpn", "stapled", "asks_certificate", "versions", "groups"};
    set_text(to, "alpn", o->alpn);
    set_flag(to, "stapled", o->ocsp.n > 0);
    set_flag(to, "asks_certificate", o->asks_certificate);
    set_texts(to, "versions", &o->versions);
    set_texts(to, "groups", &o->groups);
    for (size_t i = 0; !part->details && i < sizeof keys / sizeof *keys; i++)
        keep(to, before, keys[i]);
}

bool scan_options_needs_before(const struct scan_part *part, const struct api_observation *o)
{
    return o->chains.n ? !part->details || !part->verify || !part->both_keys : o->versions.n > 0;
}

RC scan_options(struct ctx *ctx, const struct scan_part *part, const struct api_observation *o,
                const struct scan_options_before *before, const char **out)
{
    json_auto_t *was = NULL, *now = NULL;
    struct buf b;
    struct json_out j;
    *out = NULL;
    if (!o->chains.n && !o->versions.n)
        return RC_OK;
    if (before->options && rc_failed(json_read(ctx, bytes_z(before->options), &was)))
        ctx_forget(ctx);
    if (o->chains.n) {
        now = json_object();
        set_text(now, "starttls", o->starttls);
        set_chain(now, part, o, before->same ? was : NULL);
        set_details(now, part, o, was);
    } else { /* it shows no certificate, and tells what it takes: of what it showed before the rest stays */
        now = was ? json_deep_copy(was) : json_object();
        set_text(now, "starttls", o->starttls);
        json_object_set_new(now, "versions", texts_of(&o->versions));
        json_object_set_new(now, "groups", texts_of(&o->groups));
    }
    buf_init_arena(&b, &ctx->arena, OPTIONS_MAX);
    json_begin(&j, &b);
    json_put_value(&j, NULL, now);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}
