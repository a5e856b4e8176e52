/* The client and the handshake against our own server, and against a server that lies. */
#include "net/net_test.h"

#include <signal.h>

#include "net/handshake.h"
#include "net/http_client.h"

struct fixture {
    struct ctx ctx;
    struct identity root, id, rsa, expired;
    struct tls_server_ctx *tls;
    struct http_server *server;
    uint16_t plain, tls_port;
    char unix_path[64];
    struct cidr loopback;
    char seen[512]; /* authorization header of the last request */
    int requests;
};

static struct rc handler(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp)
{
    struct fixture *f = arg;
    const char *authorization = http_request_header(req, "authorization");
    snprintf(f->seen, sizeof f->seen, "%s %s", req->method, authorization ? authorization : "-");
    f->requests++;
    if (strcmp(req->path, "/echo") == 0) {
        buf_put(&resp->body, req->body);
    } else if (strcmp(req->path, "/headers") == 0) {
        http_response_header(resp, "Content-Type", "Application/JSON; charset=utf-8");
        http_response_header(resp, "Retry-After", "120");
        http_response_header(resp, "Replay-Nonce", "abc_-9");
        http_response_header(resp, "Location", "../acct/1");
        http_response_header(resp, "Link", "<https://ca/index>;rel=\"index\", </cert/2>; title=\"a, b\"; rel=alternate");
        http_response_header(resp, "Link", "</cert/3>;rel=up");
    } else if (strcmp(req->path, "/date") == 0) {
        struct buf b;
        buf_init_arena(&b, &ctx->arena, 100);
        time_put_http(&b, ctx_now_s(ctx) + 60);
        http_response_header(resp, "Retry-After", buf_z(&b));
        http_response_header(resp, "Replay-Nonce", "not a nonce");
    } else if (strcmp(req->path, "/loop") == 0) {
        resp->status = 302;
        http_response_header(resp, "Location", "/loop");
    } else if (strcmp(req->path, "/away") == 0) {
        resp->status = 302;
        http_response_header(resp, "Location", arena_printf(&ctx->arena, "http://localhost:%u/echo", f->plain));
    } else if (strcmp(req->path, "/metadata") == 0) {
        resp->status = 302;
        http_response_header(resp, "Location", "http://169.254.169.254/latest");
    } else if (strcmp(req->path, "/file") == 0) {
        resp->status = 302;
        http_response_header(resp, "Location", "file:///etc/passwd");
    } else if (strcmp(req->path, "/big") == 0) {
        for (int i = 0; i < 3000; i++)
            buf_put_z(&resp->body, "0123456789");
    } else if (strcmp(req->path, "/slow") == 0) {
        sleep_ms(600);
    } else if (strcmp(req->path, "/manyheaders") == 0) {
        for (int i = 0; i < 60; i++)
            http_response_header(resp, arena_printf(&ctx->arena, "X-%d", i), arena_printf(&ctx->arena, "%0200d", i));
    }
    return RC_OK;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    ctx_init(&f->ctx, &clock_system);
    snprintf(f->unix_path, sizeof f->unix_path, "/tmp/net-test-c%d.sock", getpid());
    f->root = identity_new(&f->ctx, "test root", NULL, -1, NULL, KEY_EC_P256);
    f->id = identity_new(&f->ctx, "server", "DNS:localhost,IP:127.0.0.1", -1, &f->root, KEY_EC_P256);
    f->rsa = identity_new(&f->ctx, "server", "DNS:localhost", -1, &f->root, KEY_RSA_2048);
    f->expired = identity_new(&f->ctx, "server", "DNS:localhost", -60, &f->root, KEY_EC_P256);
    assert_true(rc_ok(tls_server_new(&f->ctx, f->id.key, &f->id.der, 1, NULL, 0, &f->tls)));
    struct http_listener listeners[] = {
        {.name = "public", .fd = listen_tcp(&f->plain), .kind = HTTP_LISTENER_PLAIN},
        {.name = "api", .fd = listen_tcp(&f->tls_port), .kind = HTTP_LISTENER_TLS},
        {.name = "admin", .fd = listen_unix(f->unix_path), .kind = HTTP_LISTENER_UNIX},
    };
    struct http_server_config config = {.listeners = listeners, .listeners_n = 3, .handler = handler, .arg = f, .tls = f->tls};
    assert_true(rc_ok(http_server_start(&f->ctx, &config, &f->server)));
    assert_true(cidr_parse(BYTES_LIT("127.0.0.0/8"), &f->loopback));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_server_stop(f->server);
    tls_server_unref(f->tls);
    identity_free(&f->root);
    identity_free(&f->id);
    identity_free(&f->rsa);
    identity_free(&f->expired);
    unlink(f->unix_path);
    ctx_free(&f->ctx);
    free(f);
    return 0;
}

static struct http_client *client_for(struct fixture *f, bool granted, bool roots)
{
    struct http_client *c;
    struct http_client_config config = {.roots_pem = roots ? bytes_of(f->root.pem, f->root.pem_n) : (struct bytes){0}};
    if (granted)
        config.grants = (struct address_grants){&f->loopback, 1};
    assert_true(rc_ok(http_client_new(&f->ctx, &config, &c)));
    return c;
}

static const char *url(struct fixture *f, bool tls, const char *path)
{
    return arena_printf(&f->ctx.arena, "%s://127.0.0.1:%u%s", tls ? "https" : "http", tls ? f->tls_port : f->plain, path);
}

static enum err call(struct fixture *f, struct http_client *c, struct http_call call, struct http_answer *a)
{
    ctx_forget(&f->ctx);
    return http_client_call(&f->ctx, c, &call, a).e;
}

static void answers_come_with_their_headers_understood(void **state)
{
    struct fixture *f = *state;
    struct http_client *c = client_for(f, true, true);
    struct http_answer a;
    for (int tls = 0; tls < 2; tls++) {
        assert_int_equal(call(f, c, (struct http_call){.url = url(f, tls, "/dir/../headers")}, &a), E_OK);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.content_type, "application/json");
        assert_int_equal(a.retry_after_s, 120);
        assert_string_equal(a.replay_nonce, "abc_-9");
        assert_string_equal(a.location, url(f, tls, "/acct/1"));
        assert_string_equal(http_answer_link(&a, "index"), "https://ca/index");
        assert_string_equal(http_answer_link(&a, "alternate"), url(f, tls, "/cert/2"));
        assert_string_equal(http_answer_link(&a, "up"), url(f, tls, "/cert/3"));
        assert_null(http_answer_link(&a, "next"));
    }
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/date")}, &a), E_OK);
    assert_in_range(a.retry_after_s, 58, 60);
    assert_null(a.replay_nonce);
    struct http_header headers[] = {{"Content-Type", "application/jose+json"}, {"Authorization", "Bearer x"}};
    assert_int_equal(
        call(f, c,
             (struct http_call){
                 .method = "POST", .url = url(f, true, "/echo"), .headers = headers, .headers_n = 2, .body = BYTES_LIT("hello")},
             &a),
        E_OK);
    assert_true(bytes_equal_z(a.body, "hello"));
    assert_string_equal(f->seen, "POST Bearer x");
    assert_int_equal(call(f, c, (struct http_call){.method = "HEAD", .url = url(f, true, "/big")}, &a), E_OK);
    assert_int_equal(a.body.n, 0);
    assert_int_equal(call(f, c, (struct http_call){.method = "DELETE", .url = url(f, true, "/big")}, &a), E_OK);
    http_client_free(c);
}

static void guard_refuses_at_connect_what_is_not_granted(void **state)
{
    struct fixture *f = *state;
    struct http_client *c = client_for(f, false, false);
    struct http_answer a;
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/echo")}, &a), E_ADDRESS_REFUSED);
    assert_non_null(strstr(ctx_why(&f->ctx), "127.0.0.1 is a loopback address"));
    const char *by_name = arena_printf(&f->ctx.arena, "http://localhost:%u/", f->plain);
    assert_int_equal(call(f, c, (struct http_call){.url = by_name}, &a), E_ADDRESS_REFUSED);
    assert_int_equal(call(f, c, (struct http_call){.url = "http://0.0.0.0/"}, &a), E_ADDRESS_REFUSED);
    assert_int_equal(f->requests, 0);
    http_client_free(c);
}

static void a_strangers_url_leads_to_no_other_port(void **state)
{
    struct fixture *f = *state;
    struct http_client *c;
    struct http_answer a;
    const struct http_client_config config = {.grants = {&f->loopback, 1}, .web_ports = true};
    assert_true(rc_ok(http_client_new(&f->ctx, &config, &c)));
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/echo")}, &a), E_OK); /* granted with all ports */
    const struct http_call out = {.url = "http://1.1.1.1:22/", .connect_ms = 100, .total_ms = 100};
    assert_int_equal(call(f, c, out, &a), E_ADDRESS_REFUSED);
    assert_non_null(strstr(ctx_why(&f->ctx), "ports 80 and 443"));
    http_client_free(c);
}

static void redirects_are_followed_as_far_as_allowed_and_checked_again(void **state)
{
    struct fixture *f = *state;
    struct http_client *c = client_for(f, true, true);
    struct http_answer a;
    struct http_header secret = {"Authorization", "Bearer x"};
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/loop")}, &a), E_OK);
    assert_int_equal(a.status, 302);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/loop"), .redirects = 5}, &a), E_BAD_ANSWER);
    assert_int_equal(f->requests, 7);
    assert_int_equal(
        call(f, c, (struct http_call){.url = url(f, false, "/away"), .redirects = 1, .headers = &secret, .headers_n = 1}, &a),
        E_OK);
    assert_string_equal(f->seen, "GET -");
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, true, "/away"), .redirects = 1}, &a), E_BAD_ANSWER);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/metadata"), .redirects = 1}, &a), E_ADDRESS_REFUSED);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/file"), .redirects = 1}, &a), E_BAD_ANSWER);
    http_client_free(c);
}

static void answers_over_a_ceiling_or_too_late_are_refused(void **state)
{
    struct fixture *f = *state;
    struct http_client *c = client_for(f, true, true);
    struct http_answer a;
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/big"), .body_max = 29999}, &a), E_BAD_ANSWER);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/big"), .body_max = 30000}, &a), E_OK);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/manyheaders"), .head_max = 4096}, &a), E_BAD_ANSWER);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/manyheaders")}, &a), E_OK);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/slow"), .total_ms = 200}, &a), E_TIMEOUT);
    assert_true(a.sent);
    assert_int_equal(call(f, c, (struct http_call){.url = "http://127.0.0.1:1/"}, &a), E_UNREACHABLE);
    assert_false(a.sent);
    assert_int_equal(call(f, c, (struct http_call){.url = "http://u:p@127.0.0.1/"}, &a), E_INVALID);
    assert_int_equal(call(f, c, (struct http_call){.url = "http://does-not-exist.invalid/"}, &a), E_DNS);
    struct http_header split = {"X", "a\r\nY: b"};
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, false, "/"), .headers = &split, .headers_n = 1}, &a), E_INVALID);
    http_client_free(c);
}

static void certificate_of_the_server_is_verified(void **state)
{
    struct fixture *f = *state;
    struct http_client *c = client_for(f, true, false);
    struct http_answer a;
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, true, "/echo")}, &a), E_TLS);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, true, "/echo"), .skip_verify = true}, &a), E_OK);
    assert_int_equal(call(f, c, (struct http_call){.url = url(f, true, "/echo")}, &a), E_TLS);
    http_client_free(c);
}

static void unix_socket_is_the_only_way_where_it_is_set(void **state)
{
    struct fixture *f = *state;
    struct http_client *c;
    struct http_client_config config = {.unix_socket = f->unix_path};
    struct http_answer a;
    assert_true(rc_ok(http_client_new(&f->ctx, &config, &c)));
    assert_int_equal(call(f, c, (struct http_call){.method = "POST", .url = "http://hub/echo", .body = BYTES_LIT("x")}, &a), E_OK);
    assert_true(bytes_equal_z(a.body, "x"));
    assert_string_equal(a.address, "");
    http_client_free(c);
}

/* ---- servers that lie ---- */

struct liar {
    int fd;
    const char *text;
    bool endless;
};

static void *lie(void *arg)
{
    struct liar *l = arg;
    char b[4096];
    int fd = accept(l->fd, NULL, NULL);
    (void)!recv(fd, b, sizeof b, 0);
    do {
        if (send(fd, l->text, strlen(l->text), MSG_NOSIGNAL) < 0)
            break;
    } while (l->endless);
    close(fd);
    return NULL;
}

static void lying_servers_are_seen_through(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        bool endless;
    } lies[] = {
        {"", false},
        {"hello\r\n", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false},
        {"X-Endless: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", true},
        {"HTTP/1.1 200 OK\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
        {"HTTP/1.1 100 Continue\r\n\r\n", true},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct http_client *c = client_for(f, true, false);
        struct http_answer a;
        uint16_t port;
        struct liar l = {listen_tcp(&port), lies[i].text, lies[i].endless};
        pthread_t t;
        pthread_create(&t, NULL, lie, &l);
        const char *u = arena_printf(&f->ctx.arena, "http://127.0.0.1:%u/", port);
        enum err e = call(f, c, (struct http_call){.url = u, .total_ms = 3000}, &a);
        if (e != E_BAD_ANSWER)
            fail_msg("lie %zu: %s", i, ctx_why(&f->ctx));
        assert_true(a.sent);
        http_client_free(c);
        pthread_join(t, NULL);
        close(l.fd);
    }
}

/* ---- the handshake ---- */

static struct handshake_request probe_of(struct fixture *f, const struct address_grants *grants, const char *name)
{
    struct handshake_request r = {.grants = grants, .sni = name, .timeout_ms = 3000};
    assert_true(address_parse(BYTES_LIT("127.0.0.1"), &r.address));
    r.address.port = f->tls_port;
    return r;
}

static void handshake_shows_what_is_served(void **state)
{
    struct fixture *f = *state;
    struct address_grants grants = {&f->loopback, 1};
    struct tls_trust *trust, *none;
    struct handshake_result r;
    const char *alpn[] = {"h2", "http/1.1", NULL};
    assert_true(rc_ok(tls_trust_new(&f->ctx, false, bytes_of(f->root.pem, f->root.pem_n), &trust)));
    assert_true(rc_ok(tls_trust_new(&f->ctx, false, (struct bytes){0}, &none)));
    struct handshake_request q = probe_of(f, &grants, "localhost");
    q.alpn = alpn;
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_OK);
    assert_int_equal(r.chain_n, 1);
    assert_true(bytes_equal(r.chain[0], f->id.der));
    assert_string_equal(r.version, "TLSv1.3");
    assert_string_equal(r.alpn, "http/1.1");
    assert_string_equal(r.group, "x25519");
    assert_int_equal(r.ocsp.n, 0);
    assert_int_equal(r.verdict, HANDSHAKE_TRUSTED);
    q.name = "127.0.0.1";
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_OK);
    assert_int_equal(r.verdict, HANDSHAKE_TRUSTED);
    q.name = "www.example.org";
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_OK);
    assert_int_equal(r.verdict, HANDSHAKE_WRONG_NAME);
    assert_int_equal(handshake_probe(&f->ctx, none, &q, &r).e, E_OK);
    assert_int_equal(r.verdict, HANDSHAKE_CHAIN_INCOMPLETE);
    q.keys = HANDSHAKE_RSA;
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_TLS);
    q.keys = HANDSHAKE_ECDSA;
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_OK);
    struct tls_server_ctx *tls;
    assert_true(rc_ok(tls_server_new(&f->ctx, f->rsa.key, &f->rsa.der, 1, NULL, 0, &tls)));
    http_server_set_tls(f->server, tls);
    tls_server_unref(tls);
    q = probe_of(f, &grants, "localhost");
    q.keys = HANDSHAKE_RSA;
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_OK);
    assert_true(bytes_equal(r.chain[0], f->rsa.der));
    q.keys = HANDSHAKE_ECDSA;
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_TLS);
    assert_true(rc_ok(tls_server_new(&f->ctx, f->expired.key, &f->expired.der, 1, NULL, 0, &tls)));
    http_server_set_tls(f->server, tls);
    tls_server_unref(tls);
    q.keys = HANDSHAKE_ANY_KEY;
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_OK);
    assert_int_equal(r.verdict, HANDSHAKE_EXPIRED);
    assert_true(rc_ok(tls_server_new(&f->ctx, f->root.key, &f->root.der, 1, NULL, 0, &tls)));
    http_server_set_tls(f->server, tls);
    tls_server_unref(tls);
    assert_int_equal(handshake_probe(&f->ctx, none, &q, &r).e, E_OK);
    assert_int_equal(r.verdict, HANDSHAKE_SELF_SIGNED);
    tls_trust_free(trust);
    tls_trust_free(none);
}

static void handshake_with_hostile_or_silent_peers_ends(void **state)
{
    struct fixture *f = *state;
    struct address_grants grants = {&f->loopback, 1};
    struct tls_trust *trust;
    struct handshake_result r;
    assert_true(rc_ok(tls_trust_new(&f->ctx, false, (struct bytes){0}, &trust)));
    struct handshake_request q = probe_of(f, NULL, "localhost");
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_ADDRESS_REFUSED);
    q = probe_of(f, &grants, "localhost");
    q.address.port = 1;
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_UNREACHABLE);
    q.address.port = f->plain;
    q.timeout_ms = 400;
    enum err e = handshake_probe(&f->ctx, trust, &q, &r).e;
    assert_true(e == E_TLS || e == E_TIMEOUT);
    int fd = listen_tcp(&q.address.port); /* accepts in the kernel alone, and says nothing */
    int64_t start = clock_mono_ms();
    assert_int_equal(handshake_probe(&f->ctx, trust, &q, &r).e, E_TIMEOUT);
    assert_in_range(clock_mono_ms() - start, 300, 1500);
    close(fd);
    tls_trust_free(trust);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers_come_with_their_headers_understood),
        TEST(guard_refuses_at_connect_what_is_not_granted),
        TEST(a_strangers_url_leads_to_no_other_port),
        TEST(redirects_are_followed_as_far_as_allowed_and_checked_again),
        TEST(answers_over_a_ceiling_or_too_late_are_refused),
        TEST(certificate_of_the_server_is_verified),
        TEST(unix_socket_is_the_only_way_where_it_is_set),
        TEST(lying_servers_are_seen_through),
        TEST(handshake_shows_what_is_served),
        TEST(handshake_with_hostile_or_silent_peers_ends),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
