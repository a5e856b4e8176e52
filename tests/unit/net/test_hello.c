/* Our own ClientHello and the reader of what a server answers to it: with OpenSSL on the other side, in pieces of any size, and with
 * answers that nobody should believe. */
#include "net/net_test.h"

#include <openssl/err.h>

#include "net/hello.h"
#include "net/tls_look.h"

static int setup(void **state)
{
    struct ctx *ctx = calloc(1, sizeof *ctx);
    ctx_init(ctx, &clock_system);
    *state = ctx;
    return 0;
}

static int teardown(void **state)
{
    ctx_free(*state);
    free(*state);
    return 0;
}

#define EACH(i, table) (size_t i = 0; i < sizeof(table) / sizeof *(table); i++)

/* ---- servers: OpenSSL with an ECDSA and an RSA certificate ---- */

struct fixture {
    struct identity ec, rsa;
    SSL_CTX *ssl;
};

static int choose(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    assert_true(in_n >= 3);
    *out = in + 1;
    *n = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static int staple(SSL *ssl, void *arg)
{
    (void)arg;
    unsigned char *answer = OPENSSL_malloc(5);
    memcpy(answer, "stapl", 5);
    SSL_set_tlsext_status_ocsp_resp(ssl, answer, 5);
    return SSL_TLSEXT_ERR_OK;
}

static struct fixture server(struct ctx *ctx, int least, int most)
{
    struct fixture f = {.ec = identity_new(ctx, "ec", "DNS:ec.example.org", -1, NULL, KEY_EC_P256),
                        .rsa = identity_new(ctx, "rsa", "DNS:rsa.example.org", -1, NULL, KEY_RSA_2048),
                        .ssl = SSL_CTX_new(TLS_server_method())};
    SSL_CTX_set_security_level(f.ssl, 0);
    SSL_CTX_set_min_proto_version(f.ssl, least);
    SSL_CTX_set_max_proto_version(f.ssl, most);
    assert_int_equal(SSL_CTX_set_cipher_list(f.ssl, "ALL:@SECLEVEL=0"), 1);
    assert_int_equal(SSL_CTX_use_certificate(f.ssl, f.ec.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(f.ssl, key_evp(f.ec.key)), 1);
    assert_int_equal(SSL_CTX_use_certificate(f.ssl, f.rsa.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(f.ssl, key_evp(f.rsa.key)), 1);
    SSL_CTX_set_verify(f.ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_select_cb(f.ssl, choose, NULL);
    SSL_CTX_set_tlsext_status_cb(f.ssl, staple);
    return f;
}

static void server_free(struct fixture *f)
{
    SSL_CTX_free(f->ssl);
    identity_free(&f->ec);
    identity_free(&f->rsa);
}

/* What the server says to these bytes. */
static struct bytes answer(struct ctx *ctx, SSL *ssl, struct bytes said)
{
    char *p;
    BIO *in = SSL_get_rbio(ssl), *out = SSL_get_wbio(ssl);
    assert_int_equal(BIO_write(in, said.p, (int)said.n), (int)said.n);
    SSL_do_handshake(ssl);
    ERR_clear_error();
    const long n = BIO_get_mem_data(out, &p);
    const struct bytes all = arena_bytes(&ctx->arena, bytes_of(p, (size_t)n));
    (void)BIO_reset(out);
    return all;
}

static SSL *accepting(const struct fixture *f)
{
    SSL *ssl = SSL_new(f->ssl);
    BIO *in = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl);
    return ssl;
}

static struct bytes ask(struct ctx *ctx, const struct fixture *f, const struct hello_ask *a)
{
    struct buf b;
    SSL *ssl = accepting(f);
    buf_init_arena(&b, &ctx->arena, HELLO_ASK_MAX);
    hello_put(&b, a);
    assert_true(rc_ok(buf_status(&b)));
    const struct bytes out = answer(ctx, ssl, buf_bytes(&b));
    SSL_free(ssl);
    return out;
}

static enum hello_state read_by(struct hello_reader *r, struct bytes in, size_t step)
{
    enum hello_state s = HELLO_MORE;
    struct bytes part;
    while (in.n > 0 && s == HELLO_MORE) {
        assert_true(bytes_take(&in, in.n < step ? in.n : step, &part));
        s = hello_read(r, part);
    }
    return s;
}

static void a_server_shows_the_certificate_of_each_kind_of_key(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f = server(ctx, TLS1_VERSION, TLS1_3_VERSION);
    static const enum hello_keys kinds[] = {HELLO_ANY_KEY, HELLO_ECDSA, HELLO_RSA};
    static const char *const names[] = {NULL, "", "www.example.org"};
    for EACH(i, kinds)
        for EACH(k, names) {
            struct hello_reader r = {.until = HELLO_UNTIL_CERTIFICATE};
            struct bytes chain[HELLO_CHAIN_MAX];
            const struct hello_ask a = {.version = 0x0303, .keys = kinds[i], .sni = names[k]};
            assert_int_equal(read_by(&r, ask(ctx, &f, &a), 65536), HELLO_DONE);
            assert_int_equal(r.version, 0x0303);
            assert_int_equal(hello_chain(&r, chain), 1);
            assert_true(bytes_equal(chain[0], kinds[i] == HELLO_RSA ? f.rsa.der : f.ec.der));
            assert_int_equal(hello_suite_keys(r.suite), kinds[i] == HELLO_RSA ? HELLO_RSA : HELLO_ECDSA);
            assert_non_null(hello_suite_name(r.suite));
            hello_free(&r);
        }
    server_free(&f);
}

static void pieces_of_any_size_say_the_same(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f = server(ctx, TLS1_VERSION, TLS1_2_VERSION);
    const struct hello_ask a = {.version = 0x0303, .details = true};
    SSL_CTX_set_max_send_fragment(f.ssl, 512); /* messages run over records */
    const struct bytes all = ask(ctx, &f, &a);
    for (size_t step = 1; step <= all.n; step += step < 20 ? 1 : 97) {
        struct hello_reader r = {.until = HELLO_UNTIL_DONE};
        struct bytes chain[HELLO_CHAIN_MAX];
        assert_int_equal(read_by(&r, all, step), HELLO_DONE);
        assert_int_equal(hello_chain(&r, chain), 1);
        assert_true(bytes_equal(chain[0], f.ec.der));
        assert_true(r.asks_certificate);
        assert_string_equal(hello_group_name(r.group), "x25519");
        assert_true(bytes_equal(hello_bytes(&r, r.ocsp), BYTES_LIT("stapl")));
        assert_true(bytes_equal(hello_bytes(&r, r.alpn), BYTES_LIT("h2")));
        hello_free(&r);
    }
    /* And cut anywhere it is not an answer yet. */
    for (size_t n = 0; n < all.n; n += 7) {
        struct hello_reader r = {.until = HELLO_UNTIL_DONE};
        assert_int_equal(read_by(&r, bytes_of(all.p, n), 65536), HELLO_MORE);
        hello_free(&r);
    }
    server_free(&f);
}

static void each_version_is_asked_for(void **state)
{
    struct ctx *ctx = *state;
    static const struct {
        int of_server;
        uint16_t asked, answered; /* 0: an alert */
    } rows[] = {
        {TLS1_VERSION, 0x0301, 0x0301},   {TLS1_VERSION, 0x0303, 0x0301},   {TLS1_1_VERSION, 0x0302, 0x0302},
        {TLS1_1_VERSION, 0x0301, 0},      {TLS1_2_VERSION, 0x0303, 0x0303}, {TLS1_2_VERSION, 0x0302, 0},
        {TLS1_3_VERSION, 0x0304, 0x0304}, {TLS1_3_VERSION, 0x0303, 0},      {TLS1_2_VERSION, 0x0304, 0},
    };
    for EACH(i, rows) {
        struct fixture f = server(ctx, rows[i].of_server, rows[i].of_server);
        struct hello_reader r = {.until = HELLO_UNTIL_HELLO};
        const struct hello_ask a = {.version = rows[i].asked};
        const enum hello_state s = read_by(&r, ask(ctx, &f, &a), 65536);
        assert_int_equal(s, rows[i].answered ? HELLO_DONE : HELLO_ALERT);
        if (rows[i].answered)
            assert_int_equal(r.version, rows[i].answered);
        else
            assert_int_equal(r.alert, 70); /* protocol_version */
        if (rows[i].answered == 0x0304) {
            assert_true(r.retry);
            assert_string_equal(hello_group_name(r.group), "x25519");
        }
        hello_free(&r);
        server_free(&f);
    }
}

static void a_server_without_post_quantum_groups_says_so(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f = server(ctx, TLS1_3_VERSION, TLS1_3_VERSION);
    struct hello_reader r = {.until = HELLO_UNTIL_HELLO};
    const struct hello_ask a = {.version = 0x0304, .post_quantum = true};
    assert_int_equal(read_by(&r, ask(ctx, &f, &a), 65536), HELLO_ALERT);
    assert_int_equal(r.alert, 40);
    hello_free(&r);
    server_free(&f);
}

/* ---- answers made by hand ---- */

#define RANDOM "0123456789abcdef0123456789abcdef"
#define HELLO_BODY "\x03\x03" RANDOM "\x00\xc0\x2b\x00"
#define HELLO "\x02\x00\x00\x26" HELLO_BODY
#define CHAIN "\x0b\x00\x00\x09\x00\x00\x06\x00\x00\x03" "abc"
#define SHARE "\x00\x33\x00\x02\x11\xec"
#define VERSIONS "\x00\x2b\x00\x02\x03\x04"
#define RETRY                                                                                                                      \
    "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"                                                               \
    "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

static struct bytes record(struct ctx *ctx, uint8_t type, struct bytes content)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 80000);
    buf_put_u8(&b, type);
    buf_put_u16(&b, 0x0303);
    buf_put_u16(&b, (uint16_t)content.n);
    buf_put(&b, content);
    return buf_bytes(&b);
}

static void what_breaks_the_rules_is_named(void **state)
{
    struct ctx *ctx = *state;
    static const struct {
        struct bytes said; /* in one handshake record */
        const char *why;
    } rows[] = {
#define ROW(s, why) {{(const uint8_t *)(s), sizeof(s) - 1}, why}
        ROW(CHAIN, "does not begin with a ServerHello"),
        ROW("\x02\x00\x00\x25\x03\x03" RANDOM "\x00\xc0\x2b", "ServerHello is cut short"),
        ROW("\x02\x00\x00\x00", "ServerHello is cut short"),
        ROW("\x02\x00\x00\x26\x04\x03" RANDOM "\x00\xc0\x2b\x00", "no version of TLS"),
        ROW("\x02\x00\x00\x26\x02\x00" RANDOM "\x00\xc0\x2b\x00", "no version of TLS"),
        ROW("\x02\x00\x00\x47\x03\x03" RANDOM "\x21" RANDOM "x" "\xc0\x2b\x00", "cut short"),
        ROW("\x02\x00\x00\x28" HELLO_BODY "\x00\x01", "extensions of its ServerHello"),
        ROW("\x02\x00\x00\x29" HELLO_BODY "\x00\x00\x00", "extensions of its ServerHello"),
        ROW("\x02\x00\x00\x2b" HELLO_BODY "\x00\x03\x00\x10\x00", "an extension"),
        ROW("\x02\x00\x00\x2e" HELLO_BODY "\x00\x06\x00\x10\x00\x02\x00\x05", "an extension"),
        ROW("\x02\x00\x00\x2e" HELLO_BODY "\x00\x06" VERSIONS, "not offered"),
        ROW("\x02\x00\x00\x26\x03\x03" RETRY "\x00\xc0\x2b\x00", "not offered"),
        ROW(HELLO "\x0e\x00\x00\x00", "without a certificate"),
        ROW(HELLO HELLO, "without a certificate"),
        ROW(HELLO "\x0b\x00\x00\x03\x00\x00\x00", "no certificate"),
        ROW(HELLO "\x0b\x00\x00\x00", "Certificate message is cut short"),
        ROW(HELLO "\x0b\x00\x00\x0a\x00\x00\x06\x00\x00\x03" "abcd", "Certificate message is cut short"),
        ROW(HELLO "\x0b\x00\x00\x09\x00\x00\x06\x00\x00\x04" "abc", "a certificate of its chain"),
        ROW(HELLO "\x0b\x00\x00\x06\x00\x00\x03\x00\x00\x00", "a certificate of its chain"),
        ROW(HELLO CHAIN CHAIN, "does not belong"),
        ROW(HELLO "\x0b\x01\x00\x01", "more than 64 KiB"),
    };
    for EACH(i, rows)
        for (size_t step = 1; step < 70000; step += 65535) {
            struct hello_reader r = {.until = HELLO_UNTIL_DONE};
            const enum hello_state s = read_by(&r, record(ctx, 22, rows[i].said), step);
            if (s != HELLO_BAD || strstr(r.why, rows[i].why) == NULL)
                fail_msg("row %zu: %d %s", i, s, r.why ? r.why : "");
            hello_free(&r);
        }
}

static void records_that_do_not_belong_are_told_from_other_protocols(void **state)
{
    static const struct {
        struct bytes said;
        enum hello_state state;
    } rows[] = {
        {BYTES_LIT("HTTP/1.1 400 Bad Request\r\n"), HELLO_NOT_TLS},
        {BYTES_LIT("SSH-2.0-OpenSSH"), HELLO_NOT_TLS},
        {BYTES_LIT("\n\n"), HELLO_NOT_TLS},
        {BYTES_LIT("\x80\x2e\x01\x00\x02"), HELLO_NOT_TLS}, /* SSL 2.0 */
        {BYTES_LIT("\x16\x02\x00\x00\x01"), HELLO_NOT_TLS},
        {BYTES_LIT("\x17\x03\x03\x00\x01x"), HELLO_NOT_TLS},
        {BYTES_LIT("\x16\x03\x03\x40\x01"), HELLO_BAD},
        {BYTES_LIT("\x15\x03\x03\x00\x02\x02\x28"), HELLO_ALERT},
        {BYTES_LIT("\x15\x03\x03\x00\x01\x02\x15\x03\x03\x00\x01\x28"), HELLO_ALERT},
        {BYTES_LIT("\x15\x03\x03\x00\x02\x01\x00"), HELLO_ALERT}, /* close_notify */
        {BYTES_LIT("\x15\x03\x03\x00\x02\x01\x70"), HELLO_MORE},  /* a warning */
        {BYTES_LIT("\x15\x03\x03\x00\x02\x01\x70HTTP/"), HELLO_BAD},
        {BYTES_LIT("\x16\x03\x03\x00\x00\x16\x03\x03\x00\x00"), HELLO_MORE},
        {BYTES_LIT(""), HELLO_MORE},
        {BYTES_LIT("\x16"), HELLO_MORE},
    };
    (void)state;
    for EACH(i, rows)
        for (size_t step = 1; step < 70000; step += 65535) {
            struct hello_reader r = {.until = HELLO_UNTIL_CERTIFICATE};
            const enum hello_state s = read_by(&r, rows[i].said, step);
            if (s != rows[i].state)
                fail_msg("row %zu: %d", i, s);
            hello_free(&r);
        }
}

static void warnings_come_before_the_answer(void **state)
{
    struct ctx *ctx = *state;
    struct hello_reader r = {.until = HELLO_UNTIL_CERTIFICATE};
    struct bytes chain[HELLO_CHAIN_MAX];
    assert_int_equal(hello_read(&r, BYTES_LIT("\x15\x03\x03\x00\x02\x01\x70")), HELLO_MORE);
    assert_int_equal(hello_read(&r, record(ctx, 22, BYTES_LIT("\x00\x00\x00\x00" HELLO CHAIN))), HELLO_DONE);
    assert_int_equal(hello_chain(&r, chain), 1);
    assert_true(bytes_equal(chain[0], BYTES_LIT("abc")));
    hello_free(&r);
}

static void a_post_quantum_group_is_read_from_the_retry(void **state)
{
    struct ctx *ctx = *state;
    struct hello_reader r = {.until = HELLO_UNTIL_HELLO};
    const struct bytes retry = BYTES_LIT("\x02\x00\x00\x34\x03\x03" RETRY "\x00\x13\x01\x00\x00\x0c" VERSIONS SHARE);
    assert_int_equal(hello_read(&r, record(ctx, 22, retry)), HELLO_DONE);
    assert_string_equal(hello_version_name(r.version), "TLSv1.3");
    assert_string_equal(hello_group_name(r.group), "X25519MLKEM768");
    assert_string_equal(hello_suite_name(r.suite), "TLS_AES_128_GCM_SHA256");
    hello_free(&r);
}

static void who_goes_on_and_on_is_left(void **state)
{
    struct ctx *ctx = *state;
    uint8_t much[16384] = {0};
    struct hello_reader r = {.until = HELLO_UNTIL_CERTIFICATE};
    enum hello_state s = hello_read(&r, record(ctx, 22, BYTES_LIT(HELLO "\x0b\x00\xff\xff")));
    for (int i = 0; i < 4 && s == HELLO_MORE; i++)
        s = hello_read(&r, record(ctx, 22, bytes_of(much, sizeof much)));
    assert_int_equal(s, HELLO_BAD);
    assert_non_null(strstr(r.why, "more than 64 KiB"));
    hello_free(&r);
    for (s = HELLO_MORE; s == HELLO_MORE;) /* records without content */
        s = hello_read(&r, BYTES_LIT("\x16\x03\x03\x00\x00"));
    assert_int_equal(s, HELLO_BAD);
    hello_free(&r);
}

static void a_long_chain_is_cut_and_memory_used_again(void **state)
{
    struct ctx *ctx = *state;
    struct hello_reader r = {.until = HELLO_UNTIL_CERTIFICATE};
    struct bytes chain[HELLO_CHAIN_MAX];
    struct buf b;
    for (int round = 0; round < 3; round++) {
        buf_init_arena(&b, &ctx->arena, 1024);
        buf_put(&b, BYTES_LIT(HELLO "\x0b\x00\x00\x67\x00\x00\x64"));
        for (int i = 0; i < 25; i++)
            buf_put(&b, BYTES_LIT("\x00\x00\x01x"));
        assert_int_equal(hello_read(&r, record(ctx, 22, buf_bytes(&b))), HELLO_DONE);
        assert_int_equal(hello_chain(&r, chain), HELLO_CHAIN_MAX);
        hello_reuse(&r, HELLO_UNTIL_CERTIFICATE);
    }
    hello_free(&r);
}

/* ---- by OpenSSL, where the certificate is encrypted ---- */

static enum tls_look_state look_at(struct ctx *ctx, const struct fixture *f, struct tls_look *l, bool *finished)
{
    SSL *ssl = accepting(f);
    struct bytes say, in = {0};
    enum tls_look_state s = TLS_LOOK_MORE;
    for (int i = 0; i < 20 && s == TLS_LOOK_MORE; i++) {
        s = tls_look_feed(l, in, &say);
        in = answer(ctx, ssl, say);
    }
    *finished = SSL_is_init_finished(ssl);
    SSL_free(ssl);
    return s;
}

static void a_handshake_stops_once_the_chain_is_there(void **state)
{
    struct ctx *ctx = *state;
    struct fixture f = server(ctx, TLS1_3_VERSION, TLS1_3_VERSION);
    struct tls_looks *looks;
    static const enum hello_keys kinds[] = {HELLO_ANY_KEY, HELLO_ECDSA, HELLO_RSA};
    assert_true(rc_ok(tls_looks_new(ctx, &looks)));
    for EACH(i, kinds)
        for (int whole = 0; whole < 2; whole++) {
            struct bytes chain[HELLO_CHAIN_MAX];
            const struct tls_look_ask a = {.sni = "www.example.org", .keys = kinds[i], .whole = whole, .details = true};
            struct tls_look *l = tls_look_new(looks, &a);
            bool finished;
            assert_int_equal(look_at(ctx, &f, l, &finished), TLS_LOOK_DONE);
            assert_int_equal(finished, whole); /* as the server sees it */
            assert_int_equal(tls_look_chain(l, chain), 1);
            assert_true(bytes_equal(chain[0], kinds[i] == HELLO_RSA ? f.rsa.der : f.ec.der));
            assert_int_equal(tls_look_keys(l), kinds[i] == HELLO_RSA ? HELLO_RSA : HELLO_ECDSA);
            assert_string_equal(tls_look_version(l), "TLSv1.3");
            assert_string_equal(tls_look_cipher(l), "TLS_AES_256_GCM_SHA384");
            assert_string_equal(tls_look_group(l), "x25519");
            assert_true(tls_look_asks(l));
            assert_true(bytes_equal(tls_look_alpn(l), BYTES_LIT("h2")));
            assert_true(bytes_equal(tls_look_ocsp(l), BYTES_LIT("stapl")));
            tls_look_free(l);
        }
    tls_looks_free(looks);
    server_free(&f);
}

static void a_server_that_will_not_is_told_with_its_alert(void **state)
{
    struct ctx *ctx = *state;
    struct tls_looks *looks;
    struct bytes say;
    assert_true(rc_ok(tls_looks_new(ctx, &looks)));
    struct tls_look *l = tls_look_new(looks, &(struct tls_look_ask){0});
    assert_int_equal(tls_look_feed(l, (struct bytes){0}, &say), TLS_LOOK_MORE);
    assert_int_equal(tls_look_feed(l, BYTES_LIT("\x15\x03\x03\x00\x02\x02\x28"), &say), TLS_LOOK_FAILED);
    assert_int_equal(tls_look_alert(l), 40);
    tls_look_free(l);
    tls_looks_free(looks);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_server_shows_the_certificate_of_each_kind_of_key),
        TEST(pieces_of_any_size_say_the_same),
        TEST(each_version_is_asked_for),
        TEST(a_server_without_post_quantum_groups_says_so),
        TEST(what_breaks_the_rules_is_named),
        TEST(records_that_do_not_belong_are_told_from_other_protocols),
        TEST(warnings_come_before_the_answer),
        TEST(a_post_quantum_group_is_read_from_the_retry),
        TEST(who_goes_on_and_on_is_left),
        TEST(a_long_chain_is_cut_and_memory_used_again),
        TEST(a_handshake_stops_once_the_chain_is_there),
        TEST(a_server_that_will_not_is_told_with_its_alert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
