#include "agent/relay/push_session.h"

#include "base/encode.h"
#include "base/random.h"
#include "os/file.h"

#define ROOTS_MAX ((size_t)1 << 20)

static const struct push_transport *const transports[] = {&push_https, &push_ssh};

/* --- memory and values */

struct buf *push_room(struct push_session *s, size_t max)
{
    struct push_room *r = calloc(1, sizeof *r);
    if (r == NULL)
        abort(); /* as an arena does */
    buf_init_secret(&r->buf, max);
    r->next = s->rooms;
    s->rooms = r;
    return &r->buf;
}

RC push_copy(struct ctx *ctx, struct push_session *s, struct bytes in, struct bytes *out)
{
    struct buf *b = push_room(s, PUSH_VALUE_MAX);
    buf_put(b, in);
    *out = buf_bytes(b);
    struct rc rc = buf_status(b);
    return rc_ok(rc) ? rc : ctx_fail(ctx, rc.e, "a value of %zu bytes is over the limit of %zu", in.n, PUSH_VALUE_MAX);
}

static struct push_value *find(const struct push_session *s, const char *name)
{
    for (size_t i = 0; i < s->n_values; i++)
        if (strcmp(s->values[i].name, name) == 0)
            return (struct push_value *)(uintptr_t)&s->values[i];
    return NULL;
}

RC push_set(struct ctx *ctx, struct push_session *s, const char *name, struct bytes value, bool secret)
{
    struct push_value *v = find(s, name);
    if (v == NULL && s->n_values == PUSH_VALUES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "connector %s reads more than %d values", s->connector.name, PUSH_VALUES_MAX);
    if (v == NULL)
        v = &s->values[s->n_values++];
    v->name = arena_strdup(&ctx->arena, name);
    v->secret = secret;
    return push_copy(ctx, s, value, &v->value);
}

bool push_get(const struct push_session *s, const char *name, struct bytes *out)
{
    const struct push_value *v = find(s, name);
    *out = v != NULL ? v->value : (struct bytes){0};
    return v != NULL;
}

RC push_keep(struct ctx *ctx, struct push_session *s, const char *name, struct bytes value)
{
    return push_set(ctx, s, arena_printf(&ctx->arena, "auth.%s", name), value, true);
}

struct bytes push_setting(const struct push_session *s, const char *name)
{
    for (size_t i = 0; i < s->n_settings; i++)
        if (strcmp(s->settings[i].name, name) == 0)
            return s->settings[i].value;
    return (struct bytes){0};
}

int64_t push_clock_s(const struct ctx *ctx)
{
    return ctx_now_s(ctx);
}
struct address_grants push_grants(const struct push_session *s)
{
    return s->grants;
}
void push_set_state(struct push_session *s, void *state)
{
    s->state = state;
}
void *push_state(const struct push_session *s)
{
    return s->state;
}
const struct push_desc *push_description(const struct push_session *s)
{
    return s->desc;
}
struct http_client *push_http(const struct push_session *s)
{
    return s->http;
}

/* --- where it may be sent */

RC push_check_host(struct ctx *ctx, const struct push_session *s, const char *host, uint16_t port)
{
    uint16_t usual = strcmp(s->transport->name, "ssh") == 0 ? 22 : 443;
    for (size_t i = 0; i < s->n_credentials; i++)
        if (!agent_credential_reaches(s->credentials[i], host, port, usual))
            return ctx_fail(ctx, E_NOT_GRANTED,
                            "credential %s may not be sent to %s port %d: add it to its hosts under "
                            "credentials in %s",
                            s->credentials[i]->name, host, port, s->host->cfg->file);
    return RC_OK;
}

RC push_check_path(struct ctx *ctx, const struct push_session *s, const char *path)
{
    for (size_t i = 0; i < s->n_credentials; i++)
        if (agent_credential_opens(s->credentials[i], path))
            return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED, "credential %s may not touch %s: add the file or its folder to its paths under credentials "
                    "in %s", s->credentials[0]->name, path, s->host->cfg->file);
}

static RC read_grants(struct ctx *ctx, struct push_session *s)
{
    const struct str_list *l = &s->host->cfg->relay_networks;
    struct cidr *v = arena_array(&ctx->arena, l->n + 1, sizeof *v);
    for (size_t i = 0; i < l->n; i++)
        if (!cidr_parse(bytes_z(l->v[i]), &v[i]))
            return ctx_fail(ctx, E_INVALID, "%s: networks: relay: %s is not a network such as 192.0.2.0/24", s->host->cfg->file,
                            l->v[i]);
    s->grants = (struct address_grants){v, l->n};
    return RC_OK;
}

static RC make_client(struct ctx *ctx, struct push_session *s)
{
    struct http_client_config config = {.grants = s->grants, .idle_handles = 1};
    for (size_t i = 0; i < s->n_credentials; i++) {
        const struct agent_credential *c = s->credentials[i];
        if (c->roots == NULL)
            continue;
        struct rc rc = file_read(ctx, c->roots, ROOTS_MAX, &config.roots_pem);
        if (rc_failed(rc))
            return ctx_wrap(ctx, rc, "the roots of credential %s, which the relay's user must be able to read", c->name);
        break;
    }
    return http_client_new(ctx, &config, &s->http);
}

/* --- opening */

static RC read_credential(struct ctx *ctx, struct push_session *s, const char *param, const char *name)
{
    SECRET_CLEANUP struct secret text = {0};
    const struct agent_credential *row;
    TRY(agent_config_credential(ctx, s->host->cfg, name, &row));
    TRY(credential_read(ctx, s->host->cfg, s->host->files, row, &text));
    s->credentials[s->n_credentials++] = row;
    return push_set(ctx, s, param, secret_use(&text), true);
}

static RC read_params(struct ctx *ctx, struct push_session *s)
{
    json_auto_t *params = NULL;
    TRY(json_read(ctx, bytes_z(s->wish->parameters), &params));
    TRY(connector_check_params(ctx, s->host->cfg, &s->connector, params));
    for (size_t i = 0; i < s->connector.n_params; i++) {
        const struct connector_param *p = &s->connector.params[i];
        const char *value = connector_param(params, p->name);
        if (value == NULL)
            value = p->default_value;
        if (p->type != PARAM_CREDENTIAL)
            TRY(push_set(ctx, s, p->name, bytes_z(value), false));
        else if (value != NULL)
            TRY(read_credential(ctx, s, p->name, value));
    }
    if (s->n_credentials == 0)
        return ctx_fail(ctx, E_INVALID, "the parameters of connector %s name no credential", s->connector.name);
    return RC_OK;
}

static const char *serial_text(struct ctx *ctx, struct bytes serial)
{
    while (serial.n > 1 && serial.p[0] == 0)
        bytes_skip(&serial, 1);
    const char *hex = hex_str(&ctx->arena, serial);
    return *hex == '0' ? hex + 1 : hex;
}

static RC set_facts(struct ctx *ctx, struct push_session *s)
{
    const char *fingerprint = hex_str(&ctx->arena, s->wish->fingerprint);
    TRY(push_set(ctx, s, "fingerprint", bytes_z(fingerprint), false));
    TRY(push_set(ctx, s, "id", bytes_of(fingerprint, strlen(fingerprint) < 16 ? strlen(fingerprint) : 16), false));
    TRY(push_set(ctx, s, "serial", bytes_z(serial_text(ctx, s->wish->serial)), false));
    TRY(push_set(ctx, s, "deployment", bytes_z(s->wish->deployment), false));
    return push_set(ctx, s, "target", bytes_z(s->wish->target), false);
}

static RC expand_settings(struct ctx *ctx, struct push_session *s)
{
    for (size_t i = 0; i < s->desc->settings.n; i++) {
        const struct push_pair *p = &s->desc->settings.v[i];
        struct push_value *v = &s->settings[s->n_settings++];
        v->name = p->name;
        TRY(push_expand(ctx, s, p->value, PUSH_PLAIN, NULL, &v->value));
    }
    return RC_OK;
}

static RC start(struct ctx *ctx, struct push_session *s)
{
    if (s->wish->description != NULL)
        s->connector = *s->wish->description;
    else
        TRY(connector_load(ctx, s->host->cfg, s->wish->connector, &s->connector));
    s->desc = s->connector.relay;
    if (s->desc == NULL)
        return ctx_fail(ctx, E_INVALID, "connector %s writes files on this host: nothing is sent", s->connector.name);
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++)
        if (strcmp(transports[i]->name, s->desc->transport) == 0)
            s->transport = transports[i];
    s->auth = push_auth_find(s->desc->family);
    if (s->transport == NULL || s->auth == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "this build has no %s %s", s->transport == NULL ? "transport" : "family",
                        s->transport == NULL ? s->desc->transport : s->desc->family);
    TRY(read_params(ctx, s));
    if (s->wish->description == NULL)
        TRY(set_facts(ctx, s));
    TRY(read_grants(ctx, s));
    TRY(make_client(ctx, s));
    TRY(expand_settings(ctx, s));
    snprintf(s->boundary, sizeof s->boundary, "certwright%016llx%08llx", (unsigned long long)random_u64(),
             (unsigned long long)random_below(UINT32_MAX));
    if (s->transport->open != NULL)
        TRY(s->transport->open(ctx, s));
    s->opened = true;
    s->list = PUSH_LOGIN;
    return s->auth->prepare != NULL ? s->auth->prepare(ctx, s) : RC_OK;
}

RC push_open(struct ctx *ctx, const struct push_host *host, const struct push_wish *wish, struct push_session **out)
{
    struct push_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a push");
    s->host = host;
    s->wish = wish;
    s->before = s->seen = (struct push_identity){"", "", ""};
    struct rc rc = start(ctx, s);
    *out = s;
    if (rc_ok(rc))
        return RC_OK;
    push_close(ctx, s);
    *out = NULL;
    return rc;
}

void push_close(struct ctx *ctx, struct push_session *s)
{
    if (s == NULL)
        return;
    struct trail_entry *trail = ctx->trail;
    if (s->opened && s->auth->leave != NULL && rc_failed(s->auth->leave(ctx, s)))
        ctx->trail = trail;
    if (s->transport != NULL && s->transport->close != NULL)
        s->transport->close(s);
    http_client_free(s->http);
    for (struct push_room *r = s->rooms, *next; r != NULL; r = next) {
        next = r->next;
        buf_free(&r->buf);
        free(r);
    }
    wipe(s, sizeof *s);
    free(s);
}

/* --- what apply keeps */

static RC load_identity(struct ctx *ctx, const json_t *obj, struct push_identity *out)
{
    *out = (struct push_identity){"", "", ""};
    TRY(json_get_str(ctx, obj, "fingerprint", false, &out->fingerprint));
    TRY(json_get_str(ctx, obj, "serial", false, &out->serial));
    return json_get_str(ctx, obj, "other", false, &out->other);
}

static RC load_values(struct ctx *ctx, struct push_session *s, const json_t *obj, const char *prefix)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)obj, name, v)
    {
        struct bytes value;
        TRY(json_get_base64(ctx, obj, name, true, &value));
        struct rc rc = push_set(ctx, s, arena_printf(&ctx->arena, "%s%s", prefix, name), value, true);
        wipe((void *)(uintptr_t)value.p, value.n);
        TRY(rc);
    }
    return RC_OK;
}

RC push_load(struct ctx *ctx, struct push_session *s, struct bytes text)
{
    json_auto_t *root = NULL;
    const json_t *before = NULL, *identity = NULL, *contents = NULL;
    TRY(json_read(ctx, text, &root));
    TRY(json_get_obj(ctx, root, "before", false, &before));
    TRY(json_get_obj(ctx, root, "identity", false, &identity));
    TRY(json_get_obj(ctx, root, "contents", false, &contents));
    if (contents != NULL)
        TRY(load_values(ctx, s, contents, ""));
    if (before == NULL || identity == NULL)
        return RC_OK;
    TRY(load_values(ctx, s, before, "before."));
    TRY(load_identity(ctx, identity, &s->before));
    s->loaded = true;
    const char *id = arena_str(&ctx->arena, bytes_of(s->before.fingerprint, strnlen(s->before.fingerprint, 16)));
    TRY(push_set(ctx, s, "before.fingerprint", bytes_z(s->before.fingerprint), false));
    TRY(push_set(ctx, s, "before.serial", bytes_z(s->before.serial), false));
    return push_set(ctx, s, "before.id", bytes_z(id), false);
}

RC push_save(struct ctx *ctx, struct push_session *s, struct buf *out)
{
    struct json_out j;
    json_begin(&j, out);
    json_open_obj(&j, NULL);
    json_open_obj(&j, "identity");
    json_put_str(&j, "fingerprint", s->seen.fingerprint);
    json_put_str(&j, "serial", s->seen.serial);
    json_put_str(&j, "other", s->seen.other);
    json_close(&j);
    json_open_obj(&j, "before");
    for (size_t i = 0; i < s->n_values; i++)
        if (strncmp(s->values[i].name, "see.", 4) == 0)
            json_put_base64(&j, s->values[i].name + 4, s->values[i].value);
    json_close(&j);
    json_close(&j);
    struct rc rc = buf_status(out);
    return rc_ok(rc) ? rc
                     : ctx_fail(ctx, E_TOO_LARGE, "what %s must remember of this target is over the limit of %zu bytes",
                                s->connector.name, PUSH_SEALED_MAX);
}
