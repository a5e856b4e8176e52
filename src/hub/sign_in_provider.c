#include "hub/sign_in_provider.h"

#include "base/log.h"
#include "base/str.h"
#include "base/encode.h"
#include "core/provider_sign_in.h"
#include "hub/session.h"

/* Lax: the provider's page sends the browser back here, and the cookie has to come along. */
#define COOKIE_ATTRIBUTES "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="

static struct rc page(struct http_response *resp, int status, const char *title, const char *text)
{
    resp->status = status;
    http_response_header(resp, "Content-Type", "text/html; charset=utf-8");
    http_response_header(resp, "Content-Security-Policy", "default-src 'none'; form-action 'none'; frame-ancestors 'none'");
    buf_put_z(&resp->body, "<!doctype html><html lang=\"en\"><title>Certwright</title><h1>");
    put_markup(&resp->body, bytes_z(title));
    buf_put_z(&resp->body, "</h1><p>");
    put_markup(&resp->body, bytes_z(text));
    return buf_status(&resp->body);
}

static void cookie_set(struct ctx *ctx, struct http_response *resp, const char *value, int life_s)
{
    http_response_header(resp, "Set-Cookie",
                         arena_printf(&ctx->arena, SIGN_IN_PROVIDER_COOKIE "=%s" COOKIE_ATTRIBUTES "%d", value, life_s));
}

static const char *param(const struct http_params *p, const char *name)
{
    return http_params_get(p, name);
}

static struct rc begin(struct ctx *ctx, struct hub *hub, const char *name, const char *callback, struct http_response *resp)
{
    const char *cookie = NULL, *location = NULL;
    TRY(provider_sign_in_begin(ctx, hub->core, name, callback, &cookie, &location));
    cookie_set(ctx, resp, cookie, PROVIDER_SIGN_IN_S);
    http_response_header(resp, "Location", location);
    return page(resp, 303, "Certwright", "You are sent on to where you sign in.");
}

static struct rc back(struct ctx *ctx, struct hub *hub, const struct http_request *req, const char *name, const char *callback,
                      struct http_response *resp)
{
    struct sign_in_from from;
    struct provider_step step;
    struct http_params p;
    TRY(http_params_parse(ctx, req->query, &p));
    session_from(ctx, req, &from);
    const struct provider_answer answer = {.code = param(&p, "code"),
                                           .state = param(&p, "state"),
                                           .iss = param(&p, "iss"),
                                           .error = param(&p, "error"),
                                           .description = param(&p, "error_description")};
    const char *cookie = session_cookie_get(ctx, req, SIGN_IN_PROVIDER_COOKIE);
    TRY(provider_sign_in_return(ctx, hub->core, name, callback, &from, cookie, &answer, req->expired, &step));
    if (step.wait_for)
        return http_park(resp, step.wait_for,
                         req->park_deadline_ms ? req->park_deadline_ms : clock_mono_ms() + PROVIDER_WAIT_S * 1000);
    session_set(ctx, resp, &step.done);
    cookie_set(ctx, resp, "", 0);
    return page(resp, 200, "You are signed in",
                arena_printf(&ctx->arena, "Certwright knows you as %s now.", step.done.session.name));
}

/* NAME or NAME/callback; what is no name is nowhere. */
static bool path_of(struct ctx *ctx, const char *path, const char **name, bool *is_back)
{
    struct bytes rest = bytes_z(path + strlen(SIGN_IN_PROVIDER)), part;
    if (!bytes_take_until(&rest, '/', &part) || !str_is_name(part))
        return false;
    *name = arena_str(&ctx->arena, part);
    *is_back = bytes_equal_z(rest, "callback");
    return *is_back || (!rest.n && path[strlen(path) - 1] != '/');
}

static struct rc handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp)
{
    struct sign_in_site site;
    const char *name = NULL;
    bool is_back = false;
    if (!path_of(ctx, req->path, &name, &is_back))
        return ctx_fail(ctx, E_NOT_FOUND, "there is nothing at %s", req->path);
    if (!str_equal(req->method, "GET"))
        return ctx_fail(ctx, E_METHOD, "GET alone");
    TRY(session_site(ctx, hub, req, &site));
    const char *callback = arena_printf(&ctx->arena, "%s" SIGN_IN_PROVIDER "%s/callback", site.origin, name);
    return is_back ? back(ctx, hub, req, name, callback, resp) : begin(ctx, hub, name, callback, resp);
}

RC sign_in_provider_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp)
{
    struct rc rc = handle(ctx, hub, req, resp);
    if (rc_ok(rc) && resp->park_key)
        return rc;
    http_response_header(resp, "Cache-Control", "no-store");
    http_response_header(resp, "Referrer-Policy", "no-referrer"); /* the address holds the code */
    log_event(rc_ok(rc) ? LOG_DEBUG_ : LOG_INFO_, "sign_in_provider", "path", req->path, "peer", req->peer.address, "why",
              rc_failed(rc) ? ctx_why(ctx) : NULL, NULL);
    if (rc_ok(rc) || (rc.e != E_NOT_FOUND && err_info(rc.e)->http >= 500 && rc.e != E_BUSY && rc.e != E_TIMEOUT))
        return rc;
    if (rc.e == E_RATE_LIMITED && ctx->retry_after_s > 0)
        http_response_header(resp, "Retry-After", arena_printf(&ctx->arena, "%lld", (long long)ctx->retry_after_s));
    const char *why = ctx_why(ctx);
    ctx_forget(ctx);
    return page(resp, err_info(rc.e)->http, "You are not signed in", why);
}
