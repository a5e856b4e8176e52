#include "hub/session.h"

#include "base/address.h"
#include "base/str.h"
#include "pki/name.h"

#define DEVICE_S 34560000 /* 400 days: the most that browsers keep */

const char *session_cookie_get(struct ctx *ctx, const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->headers.n; i++) {
        struct bytes rest = bytes_z(req->headers.v[i].value), pair, key;
        if (!str_equal(req->headers.v[i].name, "cookie"))
            continue;
        while (bytes_take_until(&rest, ';', &pair)) {
            pair = bytes_trim(pair);
            if (bytes_take_until(&pair, '=', &key) && bytes_equal_z(key, name) && pair.n == SESSION_TEXT_LEN)
                return arena_str(&ctx->arena, pair);
        }
    }
    return NULL;
}

const char *session_cookie(struct ctx *ctx, const struct http_request *req)
{
    return session_cookie_get(ctx, req, SESSION_COOKIE);
}

void session_from(struct ctx *ctx, const struct http_request *req, struct sign_in_from *out)
{
    const char *agent = http_request_header(req, "user-agent");
    struct bytes client = bytes_z(agent ? agent : "");
    if (client.n > SESSION_CLIENT_MAX)
        client.n = SESSION_CLIENT_MAX;
    char *text = arena_str(&ctx->arena, client);
    for (char *p = text; *p; p++) /* what is no ASCII stands there for nobody's good */
        *p = *p < 0x20 || *p > 0x7e ? '?' : *p;
    *out = (struct sign_in_from){
        .address = req->peer.address, .client = text, .device = session_cookie_get(ctx, req, SESSION_DEVICE_COOKIE)};
}

static bool is_ours(const struct hub_tls_settings *tls, const struct name *host)
{
    for (size_t i = 0; tls && host->kind == NAME_DNS && i < tls->dns_names_n; i++)
        if (bytes_equal_nocase(bytes_z(tls->dns_names[i]), bytes_z(host->text)))
            return true;
    for (size_t i = 0; tls && host->kind == NAME_IP && i < tls->ip_addresses_n; i++)
        if (bytes_equal(tls->ip_addresses[i], host->ip))
            return true;
    return false;
}

RC session_site(struct ctx *ctx, const struct hub *hub, const struct http_request *req, struct sign_in_site *out)
{
    const char *host = NULL;
    uint16_t port = 0;
    struct name name;
    *out = (struct sign_in_site){0};
    struct rc rc = address_parse_host_port(ctx, bytes_z(req->host), 443, &host, &port);
    if (rc_ok(rc))
        rc = name_parse(ctx, bytes_z(host), &name);
    if (rc_failed(rc) || !is_ours(hub->tls, &name)) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_FORBIDDEN, "%.253s is no name of this hub; those are https.names in hub.yaml", req->host);
    }
    out->rp_id = name.kind == NAME_DNS ? name.text : NULL;
    const char *shown = name.kind == NAME_IP && name.ip.n == 16 ? arena_printf(&ctx->arena, "[%s]", name.text) : name.text;
    out->origin =
        port == 443 ? arena_printf(&ctx->arena, "https://%s", shown) : arena_printf(&ctx->arena, "https://%s:%u", shown, port);
    return RC_OK;
}

RC session_same_site(struct ctx *ctx, const struct hub *hub, const struct http_request *req, bool must)
{
    const char *origin = http_request_header(req, "origin");
    struct sign_in_site site;
    if (!origin && !must)
        return RC_OK;
    TRY(session_site(ctx, hub, req, &site));
    if (!origin || !str_equal(origin, site.origin))
        return ctx_fail(ctx, E_FORBIDDEN, "the request does not come from a page of %s (Origin)", site.origin);
    return RC_OK;
}

RC session_of(struct ctx *ctx, struct hub *hub, const struct http_request *req, const char *cookie, const struct session **out)
{
    struct session *s = ARENA_NEW(&ctx->arena, struct session);
    const char *want = NULL, *have = http_request_header(req, SESSION_CSRF_HEADER);
    *out = NULL;
    if (!str_equal(req->method, "GET") && !str_equal(req->method, "HEAD")) {
        TRY(session_same_site(ctx, hub, req, true));
        TRY(session_csrf(ctx, cookie, &want));
        if (!have || !bytes_equal_secret(bytes_z(have), bytes_z(want)))
            return ctx_fail(ctx, E_FORBIDDEN, "the header X-Certwright-CSRF is not the session's; GET /api/v1/session says it");
    }
    TRY(session_find(ctx, hub->core, cookie, s));
    *out = s;
    return RC_OK;
}

void session_set(struct ctx *ctx, struct http_response *resp, const struct signed_in *in)
{
    http_response_header(resp, "Set-Cookie",
                         arena_printf(&ctx->arena, SESSION_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict", in->cookie));
    if (in->device)
        http_response_header(resp, "Set-Cookie",
                             arena_printf(&ctx->arena,
                                          SESSION_DEVICE_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%d",
                                          in->device, DEVICE_S));
}

void session_unset(struct http_response *resp)
{
    http_response_header(resp, "Set-Cookie", SESSION_COOKIE "=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
}
