/* The HTTP parser on any bytes: it never reads past its input, it decides the same however the bytes are cut, and what it accepts
 * has one meaning.  Also URLs, addresses and queries, which come from the same hands. */
#include <stdint.h>

#include "net/http_parse.h"
#include "base/uri.h"

#define HEAD_MAX 4096
#define BODY_MAX 65536

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* One message, as the server reads it. */
struct outcome {
    enum http_parse result;
    int status;
    size_t used;
    struct http_framing framing;
    struct buf body;
};

/* The whole input is there, but shown in steps of `step` bytes; copies on the heap, so that the sanitizer sees every bound. */
static void read_message(struct bytes all, size_t step, struct arena *arena, struct http_request *req, struct outcome *o)
{
    size_t scanned = 0, shown = 0, head = 0;
    struct http_chunked chunked = {0};
    *o = (struct outcome){.result = HTTP_PARSE_MORE};
    buf_init(&o->body, BODY_MAX);
    while (o->result == HTTP_PARSE_MORE && shown < all.n) {
        shown = all.n - shown < step ? all.n : shown + step;
        uint8_t *copy = malloc(shown);
        memcpy(copy, all.p, shown);
        o->result = http_parse_head(bytes_of(copy, shown), &scanned, HEAD_MAX, BODY_MAX, arena, req, &o->framing, &head);
        free(copy);
    }
    o->status = o->framing.status;
    o->used = head;
    if (o->result != HTTP_PARSE_DONE)
        return;
    struct bytes rest = bytes_of(all.p + head, all.n - head);
    if (!o->framing.chunked) {
        size_t n = o->framing.length < rest.n ? (size_t)o->framing.length : rest.n;
        buf_put_mem(&o->body, rest.p, n);
        o->used += n;
        o->result = n == o->framing.length ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
        return;
    }
    o->result = HTTP_PARSE_MORE;
    while (o->result == HTTP_PARSE_MORE && rest.n) {
        size_t n = rest.n < step ? rest.n : step;
        struct bytes part = bytes_of(rest.p, n);
        o->result = http_chunked_feed(&chunked, &part, BODY_MAX, &o->body, &o->status);
        o->used += n - part.n;
        bytes_skip(&rest, n - part.n);
    }
}

static void check_request(const struct http_request *r, const struct http_framing *f)
{
    check(r->method && *r->method && r->path && (*r->path == '/' || strcmp(r->path, "*") == 0) && r->host);
    check(!f->chunked || f->length == 0);
    check(!strchr(r->path, ' ') && !strchr(r->path, '?') && !strstr(r->path, "/../"));
    check(f->length <= BODY_MAX);
    for (size_t i = 0; i < r->headers.n; i++) {
        const struct http_header *h = &r->headers.v[i];
        check(*h->name && !strpbrk(h->name, " \t\r\n:") && !strpbrk(h->value, "\r\n"));
    }
}

static void fuzz_message(struct bytes all)
{
    struct arena a1 ARENA_CLEANUP = {0}, a2 ARENA_CLEANUP = {0};
    struct http_request r1, r2;
    struct outcome whole, dripped;
    read_message(all, all.n ? all.n : 1, &a1, &r1, &whole);
    read_message(all, 1, &a2, &r2, &dripped);
    check(whole.used <= all.n);
    check(whole.body.n <= BODY_MAX);
    if (whole.result == HTTP_PARSE_DONE)
        check_request(&r1, &whole.framing);
    /* More bytes may show at once what is wrong further on; but nothing is accepted in one way and not in the other. */
    check(whole.result == dripped.result);
    if (whole.result == HTTP_PARSE_DONE) {
        check(whole.used == dripped.used && bytes_equal(buf_bytes(&whole.body), buf_bytes(&dripped.body)));
        check(strcmp(r1.path, r2.path) == 0 && strcmp(r1.host, r2.host) == 0 && bytes_equal(r1.query, r2.query));
    }
    if (whole.result == HTTP_PARSE_BAD)
        check(whole.status >= 400 && whole.status <= 599);
    buf_free(&whole.body);
    buf_free(&dripped.body);
}

/* What uri_put writes is read again as the same. */
static void fuzz_texts(struct bytes all)
{
    struct ctx ctx CTX_CLEANUP;
    struct uri u, again;
    struct http_params params;
    struct buf text, text2;
    ctx_init(&ctx, &clock_system);
    if (rc_ok(uri_parse(&ctx, all, &u))) {
        buf_init_arena(&text, &ctx.arena, 8192);
        buf_init_arena(&text2, &ctx.arena, 8192);
        uri_put(&text, &u);
        check(u.port != 0 && u.path[0] == '/' && *u.host);
        if (text.n <= URI_MAX) {
            check(rc_ok(uri_parse(&ctx, buf_bytes(&text), &again)));
            uri_put(&text2, &again);
            check(bytes_equal(buf_bytes(&text), buf_bytes(&text2)) && uri_same_origin(&u, &again));
        }
    }
    if (rc_ok(http_params_parse(&ctx, all, &params)))
        check(params.n <= HTTP_PARAMS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 16384)
        return 0;
    fuzz_message(bytes_of(data, size));
    fuzz_texts(bytes_of(data, size));
    return 0;
}
