#include "net/http.h"

#include <strings.h>

#include "base/json.h"
#include "base/str.h"
#include "base/uri.h"

const char *http_headers_get(const struct http_headers *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcasecmp(h->v[i].name, name) == 0)
            return h->v[i].value;
    return NULL;
}

void http_headers_add(struct arena *a, struct http_headers *h, const char *name, const char *value)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 16;
        struct http_header *v = arena_array(a, cap, sizeof *v);
        if (h->n)
            memcpy(v, h->v, h->n * sizeof *v);
        h->v = v;
        h->cap = cap;
    }
    h->v[h->n++] = (struct http_header){name, value};
}

void http_response_init(struct http_response *r, struct arena *arena, size_t body_max)
{
    *r = (struct http_response){.status = 200, .arena = arena};
    buf_init_arena(&r->body, arena, body_max);
}

static bool is_token(const char *s)
{
    if (*s == 0)
        return false;
    for (; *s; s++) {
        bool alnum = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        if (!alnum && !strchr("!#$%&'*+-.^_`|~", *s))
            return false;
    }
    return true;
}

static bool is_field_value(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
            return false;
    return true;
}

void http_response_header(struct http_response *r, const char *name, const char *value)
{
    if (!is_token(name) || !is_field_value(value)) {
        r->broken = true;
        return;
    }
    http_headers_add(r->arena, &r->headers, arena_strdup(r->arena, name), arena_strdup(r->arena, value));
}

void http_response_json(struct http_response *r, int status)
{
    r->status = status;
    http_response_header(r, "Content-Type", "application/json");
}

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "";
}

static void problem(struct ctx *ctx, struct http_response *r, struct rc rc, const char *prefix, const char *type)
{
    const struct err_info *info = err_info(rc.e);
    size_t max = r->body.max;
    http_response_init(r, &ctx->arena, max);
    r->status = info->http;
    http_response_header(r, "Content-Type", "application/problem+json");
    if (ctx->retry_after_s > 0)
        http_response_header(r, "Retry-After", arena_printf(&ctx->arena, "%lld", (long long)ctx->retry_after_s));
    const char *why = ctx_why(ctx);
    struct json_out j;
    json_begin(&j, &r->body);
    json_open_obj(&j, NULL);
    json_put_str(&j, "type", arena_printf(&ctx->arena, "%s%s", prefix, type));
    json_put_str(&j, "title", info->text);
    json_put_int(&j, "status", info->http);
    json_put_str(&j, "detail", *why ? why : info->text);
    json_put_str(&j, "instance", arena_printf(&ctx->arena, HTTP_REQUEST_URN "%s", ctx->request_id));
    if (ctx->field)
        json_put_str(&j, "field", ctx->field);
    if (ctx->retry_after_s > 0)
        json_put_int(&j, "retry_after", ctx->retry_after_s);
    json_close(&j);
}

void http_problem(struct ctx *ctx, struct http_response *r, struct rc rc)
{
    problem(ctx, r, rc, HTTP_PROBLEM_TYPE, err_info(rc.e)->name);
}

void http_problem_acme(struct ctx *ctx, struct http_response *r, struct rc rc)
{
    problem(ctx, r, rc, "urn:ietf:params:acme:error:", err_info(rc.e)->acme);
}

static struct rc param_text(struct ctx *ctx, struct bytes text, const char **out)
{
    struct bytes decoded;
    if (!percent_decode(&ctx->arena, text, true, &decoded))
        return ctx_fail(ctx, E_INVALID, "a '%%' in the query is not followed by two hex digits");
    *out = str_is_utf8(decoded) ? str_z(&ctx->arena, decoded) : NULL;
    if (!*out)
        return ctx_fail(ctx, E_INVALID, "a parameter of the query is not UTF-8 text");
    return RC_OK;
}

RC http_params_parse(struct ctx *ctx, struct bytes query, struct http_params *out)
{
    struct bytes pair;
    size_t cap = 1;
    for (size_t i = 0; i < query.n; i++)
        cap += query.p[i] == '&';
    *out = (struct http_params){0};
    if (cap > HTTP_PARAMS_MAX)
        return ctx_fail(ctx, E_INVALID, "the query has more than %d parameters", HTTP_PARAMS_MAX);
    out->v = arena_array(&ctx->arena, cap, sizeof *out->v);
    while (bytes_take_until(&query, '&', &pair)) {
        struct bytes name;
        struct http_param p = {0};
        if (pair.n == 0)
            continue;
        bool valued = bytes_find(pair, BYTES_LIT("=")) != SIZE_MAX;
        if (!bytes_take_until(&pair, '=', &name))
            name = (struct bytes){0};
        TRY(param_text(ctx, name, &p.name));
        TRY(param_text(ctx, valued ? pair : (struct bytes){0}, &p.value));
        if (http_params_get(out, p.name))
            return ctx_fail(ctx, E_INVALID, "the parameter %s comes twice", p.name);
        out->v[out->n++] = p;
    }
    return RC_OK;
}

const char *http_params_get(const struct http_params *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_equal(p->v[i].name, name))
            return p->v[i].value;
    return NULL;
}
