/* What other clients' files say. */
#include <ctype.h>
#include <stdlib.h>

#include "agent/hands.h"
#include "agent/lineage.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"

#define DAY_S 86400
#define SPAN_MAX_S (INT64_C(3650) * DAY_S)

static bool next_line(struct bytes *text, struct bytes *line)
{
    if (text->n == 0)
        return false;
    if (!bytes_take_line(text, line)) {
        *line = *text;
        *text = (struct bytes){0};
    }
    return true;
}

/* "key = value", also without spaces; quotes around the value go. */
static bool setting(struct bytes line, struct bytes *key, struct bytes *value)
{
    struct bytes rest = bytes_trim(line);
    if (rest.n == 0 || *rest.p == '#' || memchr(rest.p, '=', rest.n) == NULL || !bytes_take_until(&rest, '=', key))
        return false;
    *key = bytes_trim(*key);
    *value = bytes_trim(rest);
    if (value->n > 1 && (value->p[0] == '\'' || value->p[0] == '"') && value->p[value->n - 1] == value->p[0])
        *value = bytes_of(value->p + 1, value->n - 2);
    return key->n > 0;
}

static const char *text_of(struct ctx *ctx, struct bytes value) { return words_of(ctx, value, LINEAGE_TEXT_MAX); }

/* "30 days", "12 hours": as certbot's users write it. */
static bool span_of(struct bytes text, int64_t *seconds)
{
    static const struct {
        char letter;
        int64_t s;
    } units[] = {{'m', 60}, {'h', 3600}, {'d', DAY_S}, {'w', 7 * DAY_S}, {'y', 365 * DAY_S}};
    int64_t n = 0;
    size_t i = 0;
    for (; i < text.n && isdigit(text.p[i]) && n < 100000; i++)
        n = n * 10 + (text.p[i] - '0');
    if (i == 0)
        return false;
    while (i < text.n && text.p[i] == ' ')
        i++;
    if (i == text.n)
        return false;
    const bool month = i + 2 < text.n && text.p[i] == 'm' && text.p[i + 1] == 'o';
    for (size_t k = 0; k < sizeof units / sizeof *units; k++)
        if (units[k].letter == text.p[i] && n * (month ? 30 * DAY_S : units[k].s) <= SPAN_MAX_S) {
            *seconds = n * (month ? 30 * DAY_S : units[k].s);
            return true;
        }
    return false;
}

/* What certbot does where its file is silent: until version 4 thirty days before the end, then after two thirds of the life, or
 * half of one under ten days. */
static int64_t certbot_usual(int version, int64_t not_before, int64_t not_after)
{
    const int64_t life = not_after - not_before;
    if (version < 4)
        return not_after - 30 * DAY_S;
    return not_after - (life < 10 * DAY_S ? life / 2 : life / 3);
}

void lineage_text_certbot(struct ctx *ctx, struct bytes conf, int64_t not_before, int64_t not_after, struct lineage *out)
{
    struct bytes line, key, value;
    int64_t before = -1;
    int version = 0;
    while (next_line(&conf, &line)) {
        if (!setting(line, &key, &value))
            continue;
        if (bytes_equal_z(key, "version"))
            for (size_t i = 0; i < value.n && isdigit(value.p[i]) && version < 1000; i++)
                version = version * 10 + (value.p[i] - '0');
        else if (bytes_equal_z(key, "server"))
            out->ca = text_of(ctx, value);
        else if (bytes_equal_z(key, "autorenew"))
            out->off = bytes_equal_nocase(value, BYTES_LIT("false"));
        else if (bytes_equal_z(key, "renew_before_expiry") && !span_of(value, &before))
            out->error = arena_printf(&ctx->arena, "renew_before_expiry is \"%s\"", text_of(ctx, value));
    }
    out->renew_at = before >= 0 ? not_after - before : certbot_usual(version, not_before, not_after);
}

/* The last line that says it counts: a log holds one run, at times several. */
void lineage_text_certbot_log(struct ctx *ctx, struct bytes log, struct lineage *out)
{
    const char *said = arena_printf(&ctx->arena, "Failed to renew certificate %s with error: ", out->name);
    struct bytes line;
    while (next_line(&log, &line)) {
        size_t at = bytes_find(line, bytes_z(said));
        if (at < line.n && bytes_skip(&line, at + strlen(said)))
            out->error = text_of(ctx, line);
    }
}

/* acme.sh wraps values that a shell could misread. */
static struct bytes unwrapped(struct ctx *ctx, struct bytes value)
{
    static const char before[] = "__ACME_BASE64__START_", after[] = "__ACME_BASE64__END_";
    struct bytes out;
    if (!bytes_starts_with(value, bytes_z(before)) || !bytes_ends_with(value, bytes_z(after)) ||
        value.n < sizeof before + sizeof after - 2)
        return value;
    const struct bytes inner = bytes_of(value.p + sizeof before - 1, value.n - (sizeof before + sizeof after - 2));
    return get_base64(&ctx->arena, inner, &out) ? out : value;
}

void lineage_text_acme_sh(struct ctx *ctx, struct bytes conf, struct lineage *out)
{
    struct bytes line, key, value;
    while (next_line(&conf, &line)) {
        if (!setting(line, &key, &value))
            continue;
        value = unwrapped(ctx, value);
        if (bytes_equal_z(key, "Le_NextRenewTime") && (!str_to_i64(value, &out->renew_at) || out->renew_at < 0))
            out->renew_at = 0;
        else if (bytes_equal_z(key, "Le_API"))
            out->ca = text_of(ctx, value);
        else if (bytes_equal_z(key, "Le_Domain"))
            out->name = text_of(ctx, value);
    }
}

void lineage_text_dehydrated(struct ctx *ctx, struct bytes conf, int64_t not_after, struct lineage *out)
{
    struct bytes line, key, value;
    int64_t days = 32, read = 0;
    while (next_line(&conf, &line)) {
        if (!setting(line, &key, &value))
            continue;
        if (bytes_equal_z(key, "RENEW_DAYS") && str_to_i64(value, &read) && read >= 0 && read <= 3650)
            days = read;
        else if (bytes_equal_z(key, "CA"))
            out->ca = text_of(ctx, value);
    }
    out->renew_at = not_after - days * DAY_S;
}

static struct bytes member(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_string(v) ? bytes_of(json_string_value(v), json_string_length(v)) : (struct bytes){0};
}

/* Caddy keeps what the CA's renewal information said, and the time that it has chosen in it. */
static void caddy_times(const json_t *root, int64_t not_before, int64_t not_after, struct lineage *out)
{
    const json_t *info = json_object_get(json_object_get(root, "issuer_data"), "renewal_info");
    if (!time_parse_rfc3339(member(info, "_selectedTime"), &out->renew_at) || out->renew_at <= 0)
        out->renew_at = not_after - (not_after - not_before) / 3;
}

void lineage_text_json(struct ctx *ctx, struct bytes json, int64_t not_before, int64_t not_after, struct lineage *out)
{
    json_auto_t *root = NULL;
    if (rc_failed(json_read(ctx, json, &root)) || !json_is_object(root)) {
        ctx_forget(ctx);
        out->error = "its settings are no JSON";
        return;
    }
    if (out->client == LINEAGE_CADDY) {
        const struct bytes ca = member(json_object_get(root, "issuer_data"), "ca");
        if (ca.n > 0)
            out->ca = text_of(ctx, ca);
        caddy_times(root, not_before, not_after, out);
        return;
    }
    const struct bytes domain = member(root, "domain");
    if (domain.n > 0)
        out->name = text_of(ctx, domain);
    struct bytes url = member(root, "certStableUrl"), scheme, host;
    if (url.n == 0)
        url = member(root, "certUrl");
    /* It notes where the certificate is, not the directory: whose host it is says as much. */
    if (bytes_take_until(&url, '/', &scheme) && bytes_skip(&url, 1) && bytes_take_until(&url, '/', &host))
        out->ca = arena_printf(&ctx->arena, "%s//%s", text_of(ctx, scheme), text_of(ctx, host));
}
