#include "hub/api.h"

#include <unistd.h>

#include "base/encode.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "core/agent.h"
#include "hub/idempotency.h"
#include "hub/session.h"
#include "hub/sign_in.h"
#include "hub/sign_in_provider.h"
#include "hub/status.h"
#include "pki/cert.h"

/* Here alone a fleet certificate that has ended is good enough. */
#define AGENT_CERTIFICATE_PATH "/agent/v1/certificate"

/* The permission of routes that are about the caller alone: whoever is signed in, by a session. */
#define API_SELF "self"

/* How long the work of one request may take; what waits longer is parked. */
#define REQUEST_MS 12000

/* --- routes */

/* take_segment takes the next segment of a path, without its slash. */
static bool take_segment(struct bytes *path, struct bytes *out)
{
    if (!path->n || path->p[0] != '/')
        return false;
    bytes_skip(path, 1);
    size_t n = 0;
    while (n < path->n && path->p[n] != '/')
        n++;
    *out = bytes_of(path->p, n);
    return bytes_skip(path, n);
}

static bool match_path(const char *template, const char *path, struct bytes params[API_PATH_MAX], size_t *n)
{
    struct bytes t = bytes_z(template), p = bytes_z(path), want, have;
    *n = 0;
    while (t.n && p.n) {
        if (!take_segment(&t, &want) || !take_segment(&p, &have))
            return false;
        if (want.n && want.p[0] == '{') {
            if (!have.n || *n == API_PATH_MAX)
                return false;
            params[(*n)++] = have;
        } else if (!bytes_equal(want, have)) {
            return false;
        }
    }
    return !t.n && !p.n;
}

RC api_match(struct ctx *ctx, const char *method, const char *path, unsigned listener, const struct api_route **out,
             struct bytes params[API_PATH_MAX], size_t *n, const char **allow)
{
    const bool head = str_equal(method, "HEAD");
    *out = NULL;
    *allow = NULL;
    for (size_t i = 0; i < api_routes_n; i++) {
        const struct api_route *r = &api_routes[i];
        /* What is spelled out hides what matches anything: the table is sorted so. */
        if (!(r->listeners & listener) || !match_path(r->path, path, params, n))
            continue;
        if (str_equal(r->method, method) || (head && str_equal(r->method, "GET"))) {
            *out = r;
            return RC_OK;
        }
        *allow = *allow ? arena_printf(&ctx->arena, "%s, %s", *allow, r->method) : r->method;
    }
    if (*allow)
        return ctx_fail(ctx, E_METHOD, "%s is not a method of %s; these are: %s", method, path, *allow);
    return ctx_fail(ctx, E_NOT_FOUND, "there is nothing at %s", path);
}

/* --- who is calling */

static unsigned listener_of(const struct http_peer *peer)
{
    static const struct {
        const char *name;
        unsigned bit;
    } rows[] = {{HUB_LISTENER_ADMIN, API_ON_ADMIN},
                {HUB_LISTENER_HTTPS, API_ON_HTTPS},
                {HUB_LISTENER_AGENT, API_ON_AGENT},
                {HUB_LISTENER_FLEET, API_ON_AGENT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_equal(rows[i].name, peer->listener))
            return rows[i].bit;
    return 0;
}

static bool is_owner(const struct hub *hub, uid_t uid)
{
    if (uid == 0 || uid == getuid())
        return true;
    for (size_t i = 0; i < hub->admin_uids_n; i++)
        if (hub->admin_uids[i] == (int64_t)uid)
            return true;
    return false;
}

RC api_agent_identity(struct ctx *ctx, const struct http_request *req, bool ended_too, const char **out)
{
    const struct http_peer *peer = &req->peer;
    struct cert cert;
    if (peer->is_unix) {
        *out = arena_printf(&ctx->arena, "unix:%lld", (long long)peer->uid);
        return RC_OK;
    }
    if (!peer->certificate.n || !peer->certificate_verified)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "an agent shows its fleet certificate: %s; to get one: certwright join",
                        peer->certificate_why ? peer->certificate_why : "none came");
    TRY(cert_parse(ctx, peer->certificate, &cert));
    if (!ended_too && cert.not_after < ctx_now_s(ctx))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the agent's fleet certificate has ended; it asks for another by itself");
    return agent_identity(ctx, cert.spki.der, out);
}

/* The person of a session.  One that waits for its second factor may do nothing else, and one that has none yet sets one up. */
static struct rc authenticate_session(struct api_call *call, const char *cookie)
{
    struct ctx *ctx = call->ctx;
    TRY(session_of(ctx, call->hub, call->req, cookie, &call->session));
    const enum session_stage stage = call->session->stage;
    if (stage == SESSION_SECOND || (stage == SESSION_ENROL && !str_equal(call->route->permission, API_SELF)))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "sign in to the end first: a second factor is missing");
    return session_principal(ctx, call->core, call->session);
}

/* A key that was shown in TLS.  A browser shows one without being asked by whoever looks at the page, also for what a page of
 * another site sends: so what comes from a browser is not taken. */
static struct rc authenticate_key(struct api_call *call)
{
    struct ctx *ctx = call->ctx;
    struct cert cert;
    if (http_request_header(call->req, "origin") || http_request_header(call->req, "sec-fetch-site"))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "a client certificate is for programs; in a browser sign in");
    TRY(cert_parse(ctx, call->req->peer.certificate, &cert));
    return access_client_key(ctx, call->core, bytes_of(cert.spki_sha256, sizeof cert.spki_sha256), &ctx->principal);
}

static struct rc authenticate(struct api_call *call, unsigned listener)
{
    struct ctx *ctx = call->ctx;
    struct hub *hub = call->hub;
    const struct http_request *req = call->req;
    if (listener == API_ON_AGENT) {
        const char *identity = NULL;
        TRY(api_agent_identity(ctx, req, str_equal(req->path, AGENT_CERTIFICATE_PATH), &identity));
        return access_agent_by_identity(ctx, hub->core, identity, &ctx->principal);
    }
    const char *header = http_request_header(req, "authorization");
    if (header) {
        struct bytes h = bytes_z(header), scheme;
        if (!bytes_take_until(&h, ' ', &scheme) || !bytes_equal_nocase(scheme, BYTES_LIT("bearer")))
            return ctx_fail(ctx, E_UNAUTHENTICATED, "Authorization must be: Bearer, a space, and a token");
        return access_token(ctx, hub->core, bytes_trim(h), &ctx->principal);
    }
    const char *cookie = listener == API_ON_HTTPS ? session_cookie(ctx, req) : NULL;
    if (cookie)
        return authenticate_session(call, cookie);
    if (listener == API_ON_HTTPS && hub->client_keys && req->peer.certificate.n)
        return authenticate_key(call);
    if (listener == API_ON_ADMIN && req->peer.is_unix && is_owner(hub, req->peer.uid)) {
        ctx->principal = access_owner(ctx, hub->core, (int64_t)req->peer.uid);
        return RC_OK;
    }
    return ctx_fail(ctx, E_UNAUTHENTICATED, "%s",
                    listener == API_ON_ADMIN
                        ? "only root and the user of the hub need no token here; make one with: certwright token add NAME"
                        : "a bearer token is needed; make one with: certwright token add NAME");
}

/* --- decoding */

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* decode_segment undoes percent-encoding (its syntax and %00 were checked by the server) and refuses what no name holds. */
static struct rc decode_segment(struct ctx *ctx, struct bytes in, const char **out)
{
    if (in.n > 1024)
        return ctx_fail(ctx, E_NOT_FOUND, "not there");
    char *text = arena_alloc(&ctx->arena, in.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (c == '%' && i + 2 < in.n && hex_digit(in.p[i + 1]) >= 0 && hex_digit(in.p[i + 2]) >= 0) {
            c = (uint8_t)(hex_digit(in.p[i + 1]) * 16 + hex_digit(in.p[i + 2]));
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return ctx_fail(ctx, E_INVALID, "the path holds a control character");
        text[n++] = (char)c;
    }
    if (n > 253 || !str_is_utf8(bytes_of(text, n)))
        return ctx_fail(ctx, E_NOT_FOUND, "not there");
    *out = text;
    return RC_OK;
}

static struct rc decode_query(struct api_call *call)
{
    struct ctx *ctx = call->ctx;
    const struct api_schema *schema = call->route->query;
    if (!schema) {
        if (call->req->query.n)
            return ctx_fail(ctx, E_INVALID, "%s %s takes no query", call->route->method, call->route->path);
        return RC_OK;
    }
    void *query = arena_alloc(&ctx->arena, schema->size);
    api_defaults(schema, query);
    struct http_params params;
    TRY(http_params_parse(ctx, call->req->query, &params));
    for (size_t i = 0; i < params.n; i++)
        TRY(api_decode_text(ctx, schema, params.v[i].name, params.v[i].value, query));
    call->query = query;
    return RC_OK;
}

static bool is_json(const char *content_type)
{
    struct bytes rest = bytes_z(content_type), type;
    return bytes_take_until(&rest, ';', &type) && bytes_equal_nocase(bytes_trim(type), BYTES_LIT("application/json"));
}

static struct rc decode_body(struct api_call *call, void **out)
{
    struct ctx *ctx = call->ctx;
    const struct api_schema *schema = call->route->body;
    *out = NULL;
    if (!schema) {
        if (call->req->body.n)
            return ctx_fail(ctx, E_INVALID, "%s %s takes no body", call->route->method, call->route->path);
        return RC_OK;
    }
    /* No body at all means {}: most bodies of verbs have only optional fields. */
    struct bytes text = call->req->body.n ? call->req->body : BYTES_LIT("{}");
    const char *type = http_request_header(call->req, "content-type");
    if (call->req->body.n && (!type || !is_json(type)))
        return ctx_fail(ctx, E_MEDIA_TYPE, "the body must be application/json");
    json_auto_t *json = NULL;
    TRY(json_read(ctx, text, &json));
    *out = arena_alloc(&ctx->arena, schema->size);
    return api_decode(ctx, schema, json, *out);
}

/* The ETag of an object is its revision: "r7". */
static struct rc decode_if_match(struct api_call *call)
{
    const char *header = http_request_header(call->req, "if-match");
    if (!header || str_equal(header, "*"))
        return RC_OK;
    struct bytes h = bytes_trim(bytes_z(header));
    if (h.n < 4 || !bytes_starts_with(h, BYTES_LIT("\"r")) || h.p[h.n - 1] != '"' ||
        !str_to_i64(bytes_of(h.p + 2, h.n - 3), &call->revision))
        return ctx_fail(call->ctx, E_CHANGED, "If-Match is not an ETag given here; look at the object again");
    call->has_revision = true;
    return RC_OK;
}

/* --- answering */

static struct rc answer(struct api_call *call, const void *out)
{
    const struct api_route *route = call->route;
    struct http_response *resp = call->resp;
    if (route->raw)
        return RC_OK;
    resp->status = route->status;
    if (!route->reply)
        return RC_OK;
    http_response_json(resp, route->status);
    http_response_header(resp, "Cache-Control", "no-store");
    const struct api_field *revision = api_schema_field(route->reply, "revision");
    if (revision)
        http_response_header(
            resp, "ETag",
            arena_printf(&call->ctx->arena, "\"r%lld\"", (long long)*(const int64_t *)((const uint8_t *)out + revision->offset)));
    struct json_out j;
    json_begin(&j, &resp->body);
    api_encode(&j, NULL, route->reply, out);
    return buf_status(&resp->body);
}

/* Answers with the object of the collection that the request is about, instead of carrying it out again. */
static struct rc show_instead(struct api_call *call, unsigned listener, const char *id, void *out)
{
    struct ctx *ctx = call->ctx;
    struct api_call get = {.ctx = ctx, .core = call->core, .hub = call->hub, .req = call->req, .resp = call->resp, .path = {id}};
    struct bytes rest = bytes_z(call->req->path), segment, params[API_PATH_MAX];
    size_t n = 0;
    const char *allow = NULL, *path = "";
    for (int i = 0; i < 3 && take_segment(&rest, &segment); i++) /* /api/v1/collection */
        path = arena_printf(&ctx->arena, "%s/%s", path, arena_str(&ctx->arena, segment));
    TRY(api_match(ctx, "GET", arena_printf(&ctx->arena, "%s/%s", path, id), listener, &get.route, params, &n, &allow));
    if (get.route->reply != call->route->reply)
        return ctx_fail(ctx, E_BUG, "%s does not answer with what it changes", call->route->operation);
    return get.route->handler(&get, NULL, out);
}

static struct rc run(struct api_call *call, unsigned listener)
{
    struct ctx *ctx = call->ctx;
    if (!str_equal(call->route->permission, "public")) {
        TRY(authenticate(call, listener));
        if (!str_equal(call->route->permission, API_SELF))
            TRY(access_enter(ctx, call->core, call->route->permission));
        else if (!call->session)
            return ctx_fail(ctx, E_FORBIDDEN, "this is for somebody who is signed in; a token is nobody");
    }
    void *in = NULL;
    TRY(decode_query(call));
    TRY(decode_if_match(call));
    TRY(decode_body(call, &in));
    struct idempotency seen = {0};
    if (call->route->idempotent)
        TRY(idempotency_begin(call, &seen));
    if (seen.answered)
        return RC_OK;
    void *out = call->route->reply ? arena_alloc(&ctx->arena, call->route->reply->size) : NULL;
    bool waits = false;
    TRY(api_request_waits(call, seen.object, &waits));
    struct rc rc = waits         ? RC_OK
                   : seen.object ? show_instead(call, listener, seen.object, out)
                                 : call->route->handler(call, in, out);
    if (rc.e == E_PENDING && ctx->pending) {
        ctx_forget(ctx);
        TRY(api_request_waits(call, ctx->pending, &waits));
        rc = waits ? RC_OK : ctx_fail(ctx, E_CONFLICT, "it has to be approved first, and nothing could be asked for here");
    }
    TRY(rc);
    if (seen.once.key)
        FAILPOINT("api.changed");
    if (call->resp->park_key && call->route->parkable)
        return RC_OK;
    if (call->resp->park_key) {
        call->resp->park_key = NULL;
        return ctx_fail(ctx, E_BUG, "%s is not described as one that waits", call->route->operation);
    }
    if (!waits)
        TRY(answer(call, out));
    return idempotency_end(call, &seen);
}

RC api_park(struct api_call *call, const char *key, int64_t wait_ms)
{
    const struct http_request *req = call->req;
    const bool same = req->park_key && str_equal(req->park_key, key);
    return http_park(call->resp, key, same ? req->park_deadline_ms : clock_mono_ms() + wait_ms);
}

static void log_request(struct ctx *ctx, const struct http_request *req, const struct http_response *resp, struct rc rc)
{
    const bool reads = str_equal(req->method, "GET") || str_equal(req->method, "HEAD") ||
                       str_equal(req->path, "/agent/v1/exchange") || str_equal(req->path, "/agent/v1/live") ||
                       str_equal(req->path, "/agent/v1/acme/sign"); /* eight or nine an order, whose steps are told */
    const bool ours = rc_failed(rc) && resp->status >= 500;
    log_event(ours    ? LOG_WARN_
              : reads ? LOG_DEBUG_
                      : LOG_INFO_,
              "request", "method", req->method, "path", req->path, "status", log_num(resp->status), "principal",
              ctx->principal ? ctx->principal->name : NULL, "request_id", ctx->request_id, "why",
              rc_failed(rc) ? ctx_why(ctx) : NULL, NULL);
}

RC api_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp)
{
    struct api_call call = {.ctx = ctx, .core = hub->core, .hub = hub, .req = req, .resp = resp};
    struct bytes params[API_PATH_MAX];
    size_t n = 0;
    const char *allow = NULL;
    const unsigned listener = listener_of(&req->peer);
    struct rc rc = api_match(ctx, req->method, req->path, listener, &call.route, params, &n, &allow);
    for (size_t i = 0; i < n && rc_ok(rc); i++)
        rc = decode_segment(ctx, params[i], &call.path[i]);
    if (rc_ok(rc))
        rc = run(&call, listener);
    if (rc_ok(rc) && resp->park_key)
        return rc;
    if (rc_failed(rc))
        http_problem(ctx, resp, rc);
    if (rc.e == E_METHOD && allow)
        http_response_header(resp, "Allow", allow);
    if (rc.e == E_UNAUTHENTICATED)
        http_response_header(resp, "WWW-Authenticate", "Bearer");
    http_response_header(resp, "Request-Id", ctx->request_id);
    log_request(ctx, req, resp, rc);
    return RC_OK;
}

/* --- all listeners */

struct rc hub_handle(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp)
{
    struct hub *hub = arg;
    struct bytes path = bytes_z(req->path);
    ctx->peer = req->peer.is_unix ? "local" : req->peer.address;
    /* A signer or a database that hangs must not keep every worker. */
    if (!ctx->deadline_ms)
        ctx->deadline_ms = clock_mono_ms() + REQUEST_MS;
    if (str_equal(req->path, "/healthz") || str_equal(req->path, "/readyz"))
        return status_health(ctx, hub, req, resp);
    if (str_equal(req->peer.listener, HUB_LISTENER_STATUS))
        return status_handle(ctx, hub, req, resp);
    if (bytes_starts_with(path, BYTES_LIT("/api/")) || bytes_starts_with(path, BYTES_LIT("/agent/")) ||
        str_equal(req->path, "/metrics"))
        return api_handle(ctx, hub, req, resp);
    if (str_equal(req->path, "/sign-in") && str_equal(req->peer.listener, HUB_LISTENER_HTTPS))
        return sign_in_handle(ctx, hub, req, resp);
    if (bytes_starts_with(path, BYTES_LIT(SIGN_IN_PROVIDER)) && str_equal(req->peer.listener, HUB_LISTENER_HTTPS))
        return sign_in_provider_handle(ctx, hub, req, resp);
    return ctx_fail(ctx, E_NOT_FOUND, "there is nothing at %s; the API is under /api/v1, described at /api/openapi.json",
                    req->path);
}

void hub_wake(void *arg, const char *key)
{
    struct hub *hub = arg;
    if (hub->server)
        http_wake(hub->server, key);
    if (hub->fleet)
        http_wake(hub->fleet, key);
}
