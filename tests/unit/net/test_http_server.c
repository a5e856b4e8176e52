/* The server against raw bytes: strictness, limits, deadlines, parking, TLS.  Every row of the table runs over TLS and in clear. */
#include "net/net_test.h"

#include <signal.h>

struct fixture {
    struct ctx ctx;
    struct identity id, other, client_root, client;
    struct tls_server_ctx *tls;
    struct http_server *server;
    uint16_t plain, tls_port;
    char unix_path[64];
    pthread_mutex_t lock;
    int parked_runs, woken_runs, expired_runs, body_seen;
    bool data_ready;
    struct http_peer last_peer; /* strings copied below */
    char last_path[256], last_why[128];
};

static struct rc park_handler(struct ctx *ctx, struct fixture *f, const struct http_request *req, struct http_response *resp)
{
    (void)ctx;
    pthread_mutex_lock(&f->lock);
    f->parked_runs++;
    f->woken_runs += req->woken;
    f->expired_runs += req->expired;
    bool ready = f->data_ready;
    pthread_mutex_unlock(&f->lock);
    if (ready || req->expired) {
        buf_put_z(&resp->body, ready ? "data" : "nothing");
        return RC_OK;
    }
    int64_t deadline = req->park_deadline_ms ? req->park_deadline_ms : clock_mono_ms() + (req->query.n ? 200 : 20000);
    return http_park(resp, "key", deadline);
}

static struct rc handler(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp)
{
    struct fixture *f = arg;
    pthread_mutex_lock(&f->lock);
    f->last_peer = req->peer;
    snprintf(f->last_path, sizeof f->last_path, "%s|%s", req->host, req->path);
    snprintf(f->last_why, sizeof f->last_why, "%s", req->peer.certificate_why ? req->peer.certificate_why : "");
    f->body_seen = (int)req->body.n;
    pthread_mutex_unlock(&f->lock);
    if (strcmp(req->path, "/park") == 0)
        return park_handler(ctx, f, req, resp);
    if (strcmp(req->path, "/fail") == 0) {
        ctx->retry_after_s = 7;
        return ctx_fail(ctx, E_NOT_FOUND, "no issuer is named %s", "acme");
    }
    if (strcmp(req->path, "/slow") == 0)
        sleep_ms(150);
    if (strcmp(req->path, "/inject") == 0)
        http_response_header(resp, "X-A", "b\r\nSet-Cookie: c");
    if (strcmp(req->path, "/large") == 0)
        for (int i = 0; i < 40000; i++)
            buf_put_z(&resp->body, "0123456789abcdefghijklmnopqrstuvwxyz\n");
    if (strcmp(req->path, "/echo") == 0)
        buf_put(&resp->body, req->body);
    else
        buf_put_z(&resp->body, req->method);
    return RC_OK;
}

static void start(struct fixture *f, struct http_server_config config)
{
    struct http_listener listeners[] = {
        {.name = "public", .fd = listen_tcp(&f->plain), .kind = HTTP_LISTENER_PLAIN},
        {.name = "api", .fd = listen_tcp(&f->tls_port), .kind = HTTP_LISTENER_TLS, .ask_client_certificate = true},
        {.name = "admin", .fd = listen_unix(f->unix_path), .kind = HTTP_LISTENER_UNIX},
    };
    config.listeners = listeners;
    config.listeners_n = 3;
    config.handler = handler;
    config.arg = f;
    config.tls = f->tls;
    config.loops = 2;
    config.drain_ms = 1000;
    struct rc rc = http_server_start(&f->ctx, &config, &f->server);
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(&f->ctx));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    ctx_init(&f->ctx, &clock_system);
    pthread_mutex_init(&f->lock, NULL);
    snprintf(f->unix_path, sizeof f->unix_path, "/tmp/net-test-%d.sock", getpid());
    f->id = identity_new(&f->ctx, "server", "DNS:localhost,IP:127.0.0.1", -1, NULL, KEY_EC_P256);
    f->other = identity_new(&f->ctx, "other", "DNS:localhost,IP:127.0.0.1", -1, NULL, KEY_EC_P256);
    f->client_root = identity_new(&f->ctx, "root", NULL, -1, NULL, KEY_EC_P256);
    f->client = identity_new(&f->ctx, "agent-7", NULL, -1, &f->client_root, KEY_EC_P256);
    assert_true(rc_ok(tls_server_new(&f->ctx, f->id.key, &f->id.der, 1, &f->client_root.der, 1, &f->tls)));
    start(f, (struct http_server_config){0});
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_server_stop(f->server);
    tls_server_unref(f->tls);
    identity_free(&f->id);
    identity_free(&f->other);
    identity_free(&f->client_root);
    identity_free(&f->client);
    unlink(f->unix_path);
    ctx_free(&f->ctx);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void restart(struct fixture *f, struct http_server_config config)
{
    http_server_stop(f->server);
    start(f, config);
}

/* What is sent, what comes back, and whether the connection stays open after it. */
static const struct row {
    const char *name, *send;
    size_t n; /* 0: strlen */
    int status;
    bool open;
} rows[] = {
    {"plain GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, true},
    {"HTTP/1.0 is answered and closed", "GET / HTTP/1.0\r\n\r\n", 0, 200, false},
    {"HTTP/1.0 keep-alive is closed too", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, 200, false},
    {"Connection: close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", 0, 200, false},
    {"absolute form", "GET http://example.org/x?y HTTP/1.1\r\nHost: b\r\n\r\n", 0, 200, true},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, true},
    {"empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, true},
    {"CL body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 0, 200, true},
    {"chunked body", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0, 200, true},
    {"chunk extension and trailer",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", 0, 200, true},
    {"CL and TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400, false},
    {"TE and CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 0, 400, false},
    {"two CL, different", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 0, 400, false},
    {"two CL, same", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0, 400, false},
    {"CL list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 0, 400, false},
    {"negative CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", 0, 400, false},
    {"CL +5", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 0, 400, false},
    {"CL 5abc", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5abc\r\n\r\nhello", 0, 400, false},
    {"CL empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello", 0, 400, false},
    {"CL over 2^64", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello", 0, 413, false},
    {"space before colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello", 0, 400, false},
    {"TE xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, 501, false},
    {"TE gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, 501, false},
    {"two TE", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400,
     false},
    {"TE in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400, false},
    {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 0, 400, false},
    {"bare LF in headers", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 0, 400, false},
    {"bare CR", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 0, 400, false},
    {"obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 0, 400, false},
    {"huge chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n", 0, 413, false},
    {"chunk 2^64-1", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", 0, 413, false},
    {"chunk 0x5", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 0, 400, false},
    {"chunk with bare LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 0, 400, false},
    {"chunk longer than said", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n", 0, 400,
     false},
    {"chunk without size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n", 0, 400, false},
    {"NUL in value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 36, 400, false},
    {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 0, 400, false},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 0, 400, false},
    {"Host with user name", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 0, 400, false},
    {"Host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, 400, false},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505, false},
    {"no version", "GET /\r\n\r\n", 0, 400, false},
    {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, false},
    {"bad method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, false},
    {"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 501, false},
    {"dot segments", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, false},
    {"escaped dot segments", "GET /a/%2e%2E/b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, false},
    {"escaped NUL", "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, false},
    {"broken escape", "GET /a%4 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, false},
    {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, false},
    {"other expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 0, 417, false},
    {"body over the ceiling", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 0, 413, false},
    {"failure is a problem document", "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n", 0, 404, true},
    {"header that would split the response", "GET /inject HTTP/1.1\r\nHost: a\r\n\r\n", 0, 500, true},
};

static void run_row(struct fixture *f, const struct row *r, bool tls)
{
    char out[8192];
    struct client c = client_open(tls ? f->tls_port : f->plain, tls, tls ? &f->client : NULL);
    assert_true(client_send(&c, r->send, r->n ? r->n : strlen(r->send)));
    int status = client_answer(&c, out, sizeof out);
    if (status != r->status)
        fail_msg("%s (%s): %d instead of %d: %s", r->name, tls ? "TLS" : "plain", status, r->status, out);
    assert_true(r->open || strstr(out, "Connection: close"));
    if (r->open) {
        assert_true(client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27));
        status = client_answer(&c, out, sizeof out);
        if (status != 200)
            fail_msg("%s: the connection does not go on: %d", r->name, status);
    } else {
        (void)client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27); /* may have been closed already */
        if (client_answer(&c, out, sizeof out) != 0)
            fail_msg("%s: the connection goes on", r->name);
    }
    client_close(&c);
}

static void every_row_of_strictness_over_tls(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        run_row(*state, &rows[i], true);
}

static void every_row_of_strictness_in_clear(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        run_row(*state, &rows[i], false);
}

static void rows_dripped_byte_by_byte_give_the_same(void **state)
{
    struct fixture *f = *state;
    char out[8192];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct client c = client_open(f->plain, false, NULL);
        int one = 1;
        setsockopt(c.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
        for (size_t j = 0, n = r->n ? r->n : strlen(r->send); j < n && client_send(&c, r->send + j, 1); j++)
            ;
        int status = client_answer(&c, out, sizeof out);
        if (status != r->status)
            fail_msg("%s: %d instead of %d", r->name, status, r->status);
        client_close(&c);
    }
}

static void absolute_form_goes_before_host(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = client_open(f->plain, false, NULL);
    const char *r = "GET http://Example.org/x?y HTTP/1.1\r\nHost: b\r\n\r\n";
    client_send(&c, r, strlen(r));
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_string_equal(f->last_path, "example.org|/x");
    client_close(&c);
}

static void head_has_the_length_and_no_body(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = client_open(f->tls_port, true, &f->client);
    const char *r = "HEAD / HTTP/1.1\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n";
    client_send(&c, r, strlen(r));
    assert_int_equal(client_answer_to(&c, out, sizeof out, true), 200);
    assert_non_null(strstr(out, "Content-Length: 4\r\n"));
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_non_null(strstr(out, "\r\n\r\nGET"));
    client_close(&c);
}

static void expect_continue_is_answered_before_the_body(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = client_open(f->tls_port, true, &f->client);
    const char *r = "POST /echo HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client_send(&c, r, strlen(r));
    assert_int_equal(client_answer(&c, out, sizeof out), 100);
    client_send(&c, "hello", 5);
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_non_null(strstr(out, "\r\n\r\nhello"));
    client_close(&c);
}

static void expect_continue_over_the_ceiling_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = client_open(f->tls_port, true, &f->client);
    const char *r = "POST /echo HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n";
    client_send(&c, r, strlen(r));
    assert_int_equal(client_answer(&c, out, sizeof out), 413);
    client_close(&c);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    for (int tls = 0; tls < 2; tls++) {
        char out[4096];
        struct client c = client_open(tls ? f->tls_port : f->plain, tls, tls ? &f->client : NULL);
        const char *r = "POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\n1"
                        "GET /slow HTTP/1.1\r\nHost: b\r\n\r\n"
                        "POST /echo HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n3\r\n0\r\n\r\n"
                        "POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\n4";
        const char *expected[] = {"\r\n\r\n1", "\r\n\r\nGET", "\r\n\r\n3", "\r\n\r\n4"};
        client_send(&c, r, strlen(r));
        for (int i = 0; i < 4; i++) {
            assert_int_equal(client_answer(&c, out, sizeof out), 200);
            assert_non_null(strstr(out, expected[i]));
        }
        client_close(&c);
    }
}

static void many_pipelined_requests_in_one_write(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct buf b BUF_CLEANUP;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 500; i++)
        buf_put_z(&b, "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: b\r\n\r\n");
    struct client c = client_open(f->tls_port, true, &f->client);
    assert_true(client_send(&c, b.p, b.n));
    for (int i = 0; i < 500; i++)
        assert_int_equal(client_answer(&c, out, sizeof out), 200);
    client_close(&c);
}

static void a_stranger_may_not_send_much_where_certificates_are_asked_for(void **state)
{
    struct fixture *f = *state;
    const struct identity *ids[] = {NULL, &f->other};
    for (size_t i = 0; i < 2; i++) {
        char out[4096];
        struct client c = client_open(f->tls_port, true, ids[i]);
        const char *r = "POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 65537\r\n\r\n";
        client_send(&c, r, strlen(r));
        assert_int_equal(client_answer(&c, out, sizeof out), 413);
        client_close(&c);
    }
}

static void large_bodies_go_both_ways(void **state)
{
    struct fixture *f = *state;
    for (int tls = 0; tls < 2; tls++) {
        size_t n = 1 << 20, max = n + 65536;
        char *body = malloc(n), *out = malloc(max + (1 << 20));
        memset(body, 'x', n);
        struct client c = client_open(tls ? f->tls_port : f->plain, tls, tls ? &f->client : NULL);
        const char *r = "POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 1048576\r\n\r\n";
        client_send(&c, r, strlen(r));
        assert_true(client_send(&c, body, n));
        assert_int_equal(client_answer(&c, out, max), 200);
        assert_int_equal(f->body_seen, 1 << 20);
        r = "GET /large HTTP/1.1\r\nHost: b\r\n\r\n";
        client_send(&c, r, strlen(r));
        assert_int_equal(client_answer(&c, out, max + (1 << 20)), 200);
        assert_non_null(strstr(out, "Content-Length: 1480003\r\n"));
        client_close(&c);
        free(body);
        free(out);
    }
}

static void too_many_header_bytes_give_431(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct buf b BUF_CLEANUP;
    buf_init(&b, 1 << 20);
    buf_put_z(&b, "GET / HTTP/1.1\r\nHost: b\r\n");
    for (int i = 0; i < 30; i++)
        buf_printf(&b, "X-%d: %0600d\r\n", i, i);
    for (int tls = 0; tls < 2; tls++) {
        struct client c = client_open(tls ? f->tls_port : f->plain, tls, tls ? &f->client : NULL);
        client_send(&c, b.p, b.n);
        assert_int_equal(client_answer(&c, out, sizeof out), 431);
        client_close(&c);
    }
    buf_reset(&b);
    buf_printf(&b, "GET /%09000d HTTP/1.1\r\nHost: b\r\n\r\n", 0);
    struct client c = client_open(f->plain, false, NULL);
    client_send(&c, b.p, b.n);
    assert_int_equal(client_answer(&c, out, sizeof out), 414);
    client_close(&c);
    buf_reset(&b);
    buf_put_z(&b, "GET / HTTP/1.1\r\nHost: b\r\n");
    for (int i = 0; i < 101; i++)
        buf_put_z(&b, "X: y\r\n");
    buf_put_z(&b, "\r\n");
    c = client_open(f->plain, false, NULL);
    client_send(&c, b.p, b.n);
    assert_int_equal(client_answer(&c, out, sizeof out), 431);
    client_close(&c);
}

static void problem_document_says_what_happened(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = client_open(f->plain, false, NULL);
    const char *r = "GET /fail HTTP/1.1\r\nHost: b\r\n\r\n";
    client_send(&c, r, strlen(r));
    assert_int_equal(client_answer(&c, out, sizeof out), 404);
    assert_non_null(strstr(out, "Content-Type: application/problem+json\r\n"));
    assert_non_null(strstr(out, "Retry-After: 7\r\n"));
    assert_non_null(strstr(out, "\"type\":\"" HTTP_PROBLEM_TYPE "not_found\""));
    assert_non_null(strstr(out, "\"detail\":\"no issuer is named acme\""));
    assert_non_null(strstr(out, "\"instance\":\"" HTTP_REQUEST_URN));
    assert_non_null(strstr(out, "\"retry_after\":7"));
    client_close(&c);
}

/* ---- deadlines ---- */

/* Sends `text` and then a byte of `drip` every 50 ms; returns after how many ms the server gave up, -1 where it did not in 3 s. */
static int64_t drip(struct client *c, const char *text, const char *drip_byte)
{
    int64_t start = clock_mono_ms();
    client_send(c, text, strlen(text));
    while (clock_mono_ms() - start < 3000) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 50) == 1)
            return clock_mono_ms() - start;
        client_send(c, drip_byte, strlen(drip_byte));
    }
    return -1;
}

static void dripped_head_and_body_meet_their_deadline(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    restart(f, (struct http_server_config){.head_ms = 400, .body_ms = 400, .idle_ms = 300, .hello_ms = 300});
    for (int tls = 0; tls < 2; tls++) {
        struct client c = client_open(tls ? f->tls_port : f->plain, tls, tls ? &f->client : NULL);
        int64_t ms = drip(&c, "GET / HTTP/1.1\r\nHost: b\r\n", "a");
        assert_in_range(ms, 300, 1500);
        assert_int_equal(client_answer(&c, out, sizeof out), 408);
        client_close(&c);
        c = client_open(tls ? f->tls_port : f->plain, tls, tls ? &f->client : NULL);
        ms = drip(&c, "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 60000\r\n\r\n", "a");
        assert_in_range(ms, 300, 1500);
        assert_int_equal(client_answer(&c, out, sizeof out), 408);
        client_close(&c);
    }
}

static void silence_is_ended_without_hello_without_request_and_between_requests(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    restart(f, (struct http_server_config){.head_ms = 300, .idle_ms = 300, .hello_ms = 300});
    struct client c = {.fd = dial(f->tls_port)};
    assert_true(client_sees_end(&c, 1500));
    client_close(&c);
    c = client_open(f->plain, false, NULL);
    assert_true(client_sees_end(&c, 1500));
    client_close(&c);
    c = client_open(f->plain, false, NULL);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_true(client_sees_end(&c, 1500));
    client_close(&c);
}

static void a_client_that_does_not_read_is_dropped(void **state)
{
    struct fixture *f = *state;
    restart(f, (struct http_server_config){.write_ms = 400});
    struct client c = client_open(f->plain, false, NULL);
    for (int i = 0; i < 20; i++)
        client_send(&c, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", 32);
    struct http_server_stats stats;
    for (int i = 0; i < 60; i++) {
        sleep_ms(500);
        http_server_stats(f->server, &stats);
        if (stats.connections == 0)
            break;
    }
    assert_int_equal(stats.connections, 0);
    client_close(&c);
}

static void connections_over_the_limit_of_an_address_are_refused(void **state)
{
    struct fixture *f = *state;
    struct client c[6];
    int refused = 0;
    restart(f, (struct http_server_config){.connections_per_address = 4});
    for (int i = 0; i < 6; i++)
        c[i] = client_open(f->plain, false, NULL);
    for (int i = 0; i < 6; i++)
        refused += client_sees_end(&c[i], 150);
    assert_int_equal(refused, 2);
    for (int i = 0; i < 6; i++)
        client_close(&c[i]);
    for (int i = 0; i < 100; i++) {
        struct http_server_stats stats;
        http_server_stats(f->server, &stats);
        if (stats.connections == 0)
            break;
        sleep_ms(10);
    }
    char out[4096];
    struct client again = client_open(f->plain, false, NULL);
    client_send(&again, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    assert_int_equal(client_answer(&again, out, sizeof out), 200);
    client_close(&again);
}

/* A connection that lingers after its answer counts until it is gone. */
static bool wait_open(struct fixture *f, unsigned n)
{
    struct http_server_stats stats;
    for (int i = 0; i < 300; i++) {
        http_server_stats(f->server, &stats);
        if (stats.connections == n)
            return true;
        sleep_ms(10);
    }
    return false;
}

static void strangers_of_an_address_are_few_and_stay_for_one_answer(void **state)
{
    struct fixture *f = *state;
    const char *get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char out[4096];
    restart(f, (struct http_server_config){.strangers_per_address = 2});
    struct client mine[8];
    for (int i = 0; i < 8; i++) { /* who shows a certificate is a stranger in the handshake alone */
        mine[i] = client_open(f->tls_port, true, &f->client);
        client_send(&mine[i], get, strlen(get));
        assert_int_equal(client_answer(&mine[i], out, sizeof out), 200);
    }
    struct client c[2] = {client_open(f->tls_port, true, NULL), client_open(f->tls_port, true, &f->other)};
    struct client third = {.fd = dial(f->tls_port)};
    assert_true(client_sees_end(&third, 2000));
    client_close(&third);
    client_send(&mine[0], get, strlen(get));
    assert_int_equal(client_answer(&mine[0], out, sizeof out), 200);
    for (int i = 0; i < 2; i++) {
        client_send(&c[i], get, strlen(get));
        assert_int_equal(client_answer(&c[i], out, sizeof out), 200);
        assert_non_null(strstr(out, "Connection: close"));
        assert_true(client_sees_end(&c[i], 2000));
        client_close(&c[i]);
    }
    assert_true(wait_open(f, 8));
    struct client again = client_open(f->tls_port, true, NULL); /* there is room */
    client_close(&again);
    for (int i = 0; i < 8; i++)
        client_close(&mine[i]);
}

/* ---- parked requests ---- */

static bool wait_parked(struct fixture *f, unsigned n)
{
    struct http_server_stats stats;
    for (int i = 0; i < 300; i++) {
        http_server_stats(f->server, &stats);
        if (stats.parked == n)
            return true;
        sleep_ms(10);
    }
    return false;
}

static struct client park(struct fixture *f, bool tls, const char *target)
{
    struct client c = client_open(tls ? f->tls_port : f->plain, tls, tls ? &f->client : NULL);
    char r[256];
    int n = snprintf(r, sizeof r, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    client_send(&c, r, (size_t)n);
    return c;
}

static void parked_requests_are_woken_together_and_hold_no_thread(void **state)
{
    struct fixture *f = *state;
    struct client c[20];
    char out[4096];
    restart(f, (struct http_server_config){.workers_max = 2});
    for (int i = 0; i < 20; i++)
        c[i] = park(f, i & 1, "/park");
    assert_true(wait_parked(f, 20));
    struct client busy = client_open(f->plain, false, NULL);
    client_send(&busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    assert_int_equal(client_answer(&busy, out, sizeof out), 200);
    client_close(&busy);
    http_wake(f->server, "another key");
    assert_true(wait_parked(f, 20));
    pthread_mutex_lock(&f->lock);
    f->data_ready = true;
    pthread_mutex_unlock(&f->lock);
    http_wake(f->server, "key");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(client_answer(&c[i], out, sizeof out), 200);
        assert_non_null(strstr(out, "\r\n\r\ndata"));
        client_close(&c[i]);
    }
    assert_int_equal(f->woken_runs, 20);
}

static void parked_request_runs_once_more_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = park(f, true, "/park?short");
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_non_null(strstr(out, "\r\n\r\nnothing"));
    assert_int_equal(f->expired_runs, 1);
    client_close(&c);
}

static void parked_request_of_a_client_that_leaves_is_dropped_at_once(void **state)
{
    struct fixture *f = *state;
    for (int tls = 0; tls < 2; tls++) {
        struct client c = park(f, tls, "/park");
        assert_true(wait_parked(f, 1));
        client_close(&c);
        assert_true(wait_parked(f, 0));
        struct http_server_stats stats = {.connections = 1};
        for (int i = 0; i < 300 && stats.connections != 0; i++, sleep_ms(10)) /* the request ends a moment before its connection */
            http_server_stats(f->server, &stats);
        assert_int_equal(stats.connections, 0);
    }
    assert_int_equal(f->parked_runs, 2);
}

static void pipelined_request_behind_a_parked_one_waits(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = park(f, true, "/park");
    assert_true(wait_parked(f, 1));
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    sleep_ms(100);
    assert_true(wait_parked(f, 1));
    pthread_mutex_lock(&f->lock);
    f->data_ready = true;
    pthread_mutex_unlock(&f->lock);
    http_wake(f->server, "key");
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_non_null(strstr(out, "\r\n\r\ndata"));
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_non_null(strstr(out, "\r\n\r\nGET"));
    client_close(&c);
}

static void *stop_server(void *arg)
{
    struct fixture *f = arg;
    http_server_stop(f->server);
    f->server = NULL;
    return NULL;
}

static void stop_answers_parked_with_503_and_finishes_running_ones(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client parked = park(f, true, "/park"), slow = park(f, false, "/slow"), idle = client_open(f->plain, false, NULL);
    assert_true(wait_parked(f, 1));
    sleep_ms(30);
    pthread_t thread;
    pthread_create(&thread, NULL, stop_server, f);
    assert_int_equal(client_answer(&parked, out, sizeof out), 503);
    assert_non_null(strstr(out, "shutting_down"));
    assert_int_equal(client_answer(&slow, out, sizeof out), 200);
    assert_non_null(strstr(out, "Connection: close"));
    assert_true(client_sees_end(&idle, 1000));
    pthread_join(thread, NULL);
    client_close(&parked);
    client_close(&slow);
    client_close(&idle);
}

/* ---- who is there ---- */

static void unix_socket_shows_the_peer_s_credentials(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct client c = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", f->unix_path);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&un, sizeof un), 0);
    client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    assert_int_equal(client_answer(&c, out, sizeof out), 200);
    assert_true(f->last_peer.is_unix);
    assert_int_equal(f->last_peer.uid, getuid());
    assert_int_equal(f->last_peer.pid, getpid());
    assert_string_equal(f->last_peer.listener, "admin");
    client_close(&c);
}

static void client_certificates_are_shown_and_judged(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    const struct identity *ids[] = {NULL, &f->other, &f->client};
    for (int i = 0; i < 3; i++) {
        struct client c = client_open(f->tls_port, true, ids[i]);
        client_send(&c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
        assert_int_equal(client_answer(&c, out, sizeof out), 200);
        assert_int_equal(f->last_peer.certificate.n, ids[i] ? ids[i]->der.n : 0);
        assert_int_equal(f->last_peer.certificate_verified, i == 2);
        if (i == 1)
            assert_non_null(strstr(f->last_why, "self"));
        client_close(&c);
    }
}

static void new_certificate_is_served_without_disturbing_open_connections(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    struct tls_server_ctx *tls;
    struct client old = client_open(f->tls_port, true, NULL);
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(old.ssl), f->id.x), 0);
    assert_true(rc_ok(tls_server_new(&f->ctx, f->other.key, &f->other.der, 1, NULL, 0, &tls)));
    http_server_set_tls(f->server, tls);
    tls_server_unref(tls);
    struct client new = client_open(f->tls_port, true, NULL);
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(new.ssl), f->other.x), 0);
    client_send(&old, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    assert_int_equal(client_answer(&old, out, sizeof out), 200);
    client_close(&old);
    client_close(&new);
}

static void key_that_is_not_the_certificate_s_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_server_ctx *tls;
    assert_true(rc_failed(tls_server_new(&f->ctx, f->other.key, &f->id.der, 1, NULL, 0, &tls)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_row_of_strictness_over_tls),
        TEST(every_row_of_strictness_in_clear),
        TEST(rows_dripped_byte_by_byte_give_the_same),
        TEST(absolute_form_goes_before_host),
        TEST(head_has_the_length_and_no_body),
        TEST(expect_continue_is_answered_before_the_body),
        TEST(expect_continue_over_the_ceiling_is_refused_at_once),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(many_pipelined_requests_in_one_write),
        TEST(large_bodies_go_both_ways),
        TEST(a_stranger_may_not_send_much_where_certificates_are_asked_for),
        TEST(strangers_of_an_address_are_few_and_stay_for_one_answer),
        TEST(too_many_header_bytes_give_431),
        TEST(problem_document_says_what_happened),
        TEST(dripped_head_and_body_meet_their_deadline),
        TEST(silence_is_ended_without_hello_without_request_and_between_requests),
        TEST(a_client_that_does_not_read_is_dropped),
        TEST(connections_over_the_limit_of_an_address_are_refused),
        TEST(parked_requests_are_woken_together_and_hold_no_thread),
        TEST(parked_request_runs_once_more_at_its_deadline),
        TEST(parked_request_of_a_client_that_leaves_is_dropped_at_once),
        TEST(pipelined_request_behind_a_parked_one_waits),
        TEST(stop_answers_parked_with_503_and_finishes_running_ones),
        TEST(unix_socket_shows_the_peer_s_credentials),
        TEST(client_certificates_are_shown_and_judged),
        TEST(new_certificate_is_served_without_disturbing_open_connections),
        TEST(key_that_is_not_the_certificate_s_is_refused),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
