#include "agent/relay/push_session.h"

#include "base/uri.h"

/* Done by the client itself, connection by connection. */
const struct push_auth auth_ntlm = {.name = "ntlm"};

static const char *text_of(struct push_session *s, const char *setting)
{
    struct buf *b = push_room(s, PUSH_HEADER_MAX);
    buf_put(b, push_setting(s, setting));
    return buf_z(b);
}

static RC https_send(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out)
{
    struct http_answer *answer = ARENA_NEW(&ctx->arena, struct http_answer);
    struct uri uri;
    TRY(uri_parse(ctx, bytes_z(r->url), &uri));
    if (!uri.https)
        return ctx_fail(ctx, E_INVALID, "%s is not https: keys and credentials go nowhere else", r->url);
    TRY(push_check_host(ctx, s, uri.host, uri.port));
    bool look = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
    struct http_call call = {.method = r->method,
                             .url = r->url,
                             .headers = r->headers,
                             .headers_n = r->n_headers,
                             .body = r->body,
                             .total_ms = 30000,
                             .body_max = PUSH_BODY_MAX,
                             .once = !look};
    if (s->auth == &auth_ntlm) {
        call.ntlm_user = text_of(s, "user");
        call.ntlm_password = text_of(s, "password");
    }
    struct rc rc = http_client_call(ctx, s->http, &call, answer);
    s->unanswered = rc_failed(rc) && answer->sent;
    TRY(rc);
    *out = (struct push_answer){answer->status, &answer->headers, answer->body, answer->retry_after_s};
    return RC_OK;
}

static RC https_put_value(struct ctx *ctx, const char *method, struct bytes value, struct buf *out)
{
    (void)method;
    if (value.n == 0 || bytes_equal_z(value, ".") || bytes_equal_z(value, ".."))
        return ctx_fail(ctx, E_INVALID, "\"%.*s\" cannot be part of an address", (int)value.n, (const char *)value.p);
    put_percent(out, value);
    return RC_OK;
}

const struct push_transport push_https = {.name = "https", .send = https_send, .put_value = https_put_value};
