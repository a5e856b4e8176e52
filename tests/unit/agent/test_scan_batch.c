/* What a scan has found, on its way to the hub: always what the API takes, whatever the servers sent, and never more than one message
 * carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/probe/scan_batch.h"
#include "api/types.h"
#include "base/json.h"
#include "base/random.h"
#include "pki/digest.h"

static struct scan_result tls(const char *address, struct bytes leaf)
{
    struct scan_result r = {.name = "www.example.org", .state = SCAN_TLS, .detail = "", .chains_n = 1};
    assert_true(address_parse(bytes_z(address), &r.address));
    r.address.port = 443;
    r.chains[0] = (struct scan_chain){.n = 1, .version = "TLSv1.2", .cipher = "TLS_RSA_WITH_AES_128_CBC_SHA", .group = ""};
    r.chains[0].v[0] = leaf;
    return r;
}

static struct api_scan_batch take(struct ctx *ctx, struct scan_batch *b)
{
    const struct scan_batch_head head = {.scan = "s1", .id = id_new(&ctx->arena, 1), .position = 7, .total = 9,
                                         .counts = {.probed = 5, .found = 1, .silent = 4}, .rate = 3};
    struct api_scan_batch out;
    struct buf text;
    json_t *root;
    buf_init_arena(&text, &ctx->arena, SCAN_BATCH_TEXT_MAX);
    assert_true(rc_ok(scan_batch_take(ctx, b, &head, &text)));
    assert_true(rc_ok(json_read(ctx, buf_bytes(&text), &root)));
    if (rc_failed(api_scan_batch_decode(ctx, root, &out)))
        fail_msg("%s\n%.2000s", ctx_why(ctx), buf_z(&text));
    json_decref(root);
    return out;
}

static void what_was_found_is_what_the_api_takes(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct scan_batch *b = scan_batch_new();
    (void)state;
    ctx_init(&ctx, &clock_system);
    struct scan_result r = tls("2001:db8::1", BYTES_LIT("leaf"));
    r.starttls = STARTTLS_SMTP;
    r.verified = r.asks_certificate = true;
    r.alpn = BYTES_LIT("h2");
    r.ocsp = BYTES_LIT("ocsp");
    r.versions[r.versions_n++] = "TLSv1.2";
    r.groups[r.groups_n++] = "x25519";
    r.chains[1] = r.chains[0];
    r.chains[1].v[0] = BYTES_LIT("other");
    r.chains_n = 2;
    scan_batch_add(&ctx, b, &r, 1800000000);
    const struct api_scan_batch got = take(&ctx, b);
    assert_int_equal(got.position, 7);
    assert_int_equal(got.silent, 4);
    assert_int_equal(got.observations.n, 1);
    const struct api_observation *o = &got.observations.v[0];
    assert_string_equal(o->address, "2001:db8::1");
    assert_string_equal(o->starttls, "smtp");
    assert_string_equal(o->state, "tls");
    assert_true(o->verified && o->asks_certificate);
    assert_int_equal(o->chains.n, 2);
    assert_int_equal(got.certificates.n, 2);
    uint8_t print[SHA256_LEN];
    struct bytes told;
    assert_true(rc_ok(digest_sha256(&ctx, BYTES_LIT("leaf"), print)));
    struct buf hex;
    struct json_out j;
    buf_init_arena(&hex, &ctx.arena, 100);
    json_begin(&j, &hex);
    json_put_hex(&j, NULL, bytes_of(print, sizeof print));
    told = bytes_of(hex.p + 1, hex.n - 2);
    assert_true(bytes_equal_z(told, o->chains.v[0].fingerprints.v[0]));
    assert_true(bytes_equal_z(got.certificates.v[0].der, "leaf"));
    scan_batch_free(b);
}

static void every_way_to_end_has_a_word_in_the_api(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct scan_batch *b = scan_batch_new();
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (int i = SCAN_ALERT; i < SCAN_STATES; i++) {
        struct scan_result r = tls("192.0.2.1", BYTES_LIT("x"));
        r.state = (enum scan_state)i;
        r.alert = 40;
        r.detail = "it said something";
        r.single = true;
        if (i == SCAN_UNRESOLVED)
            r.address.len = 0;
        scan_batch_add(&ctx, b, &r, 1800000000);
        r.single = false;
        r.detail = "not told";
        if (i == SCAN_SILENT || i == SCAN_REFUSED || i == SCAN_UNREACHABLE)
            scan_batch_add(&ctx, b, &r, 1800000000);
    }
    const struct api_scan_batch got = take(&ctx, b);
    assert_int_equal(got.observations.n, SCAN_STATES - 1);
    assert_int_equal(got.certificates.n, 0);
    scan_batch_free(b);
}

static void a_certificate_is_told_once(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct scan_batch *b = scan_batch_new();
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (int batch = 0; batch < 2; batch++) {
        for (int i = 0; i < 100; i++) {
            const struct scan_result r = tls("192.0.2.1", i % 2 ? BYTES_LIT("one") : BYTES_LIT("two"));
            scan_batch_add(&ctx, b, &r, 1800000000);
        }
        const struct api_scan_batch got = take(&ctx, b);
        assert_int_equal(got.observations.n, 100);
        assert_int_equal(got.certificates.n, batch == 0 ? 2 : 0);
    }
    scan_batch_free(b);
}

/* Chains of sixteen certificates that fill 64 KiB, a stapled answer that is too long, a protocol that was never offered. */
/* They are added up for as long as a scan goes on. */
static void numbers_that_an_agent_makes_up_have_a_ceiling(void **state)
{
    (void)state;
    CTX_CLEANUP struct ctx ctx;
    static const char *const rows[] = {"position", "total", "probed", "found", "silent", "refused", "failed", "skipped", "rate"};
    ctx_init(&ctx, &clock_system);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int wrong = 0; wrong < 2; wrong++) {
            struct api_scan_batch out;
            json_t *root = json_pack("{s:s, s:s, s:i, s:i}", "scan", "s", "batch", "b", "position", 1, "total", 2);
            json_object_set_new(root, rows[i], json_integer(wrong ? INT64_MAX : 1000000));
            assert_int_equal(rc_failed(api_scan_batch_decode(&ctx, root, &out)), wrong);
            json_decref(root);
        }
}

static void hostile_servers_neither_overfill_nor_break_a_batch(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct scan_batch *b = scan_batch_new();
    static uint8_t junk[65536];
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (int batch = 0; batch < 3; batch++) {
        int n = 0;
        for (; !scan_batch_is_full(b); n++) {
            struct scan_result r = tls("192.0.2.1", (struct bytes){0});
            random_fill(junk, sizeof junk);
            r.chains_n = 2;
            for (int c = 0; c < 2; c++) {
                r.chains[c] = (struct scan_chain){.n = HELLO_CHAIN_MAX, .version = "", .cipher = "", .group = ""};
                for (int i = 0; i < HELLO_CHAIN_MAX; i++)
                    r.chains[c].v[i] = bytes_of(junk + i * 4096 + c, 4095);
            }
            r.ocsp = bytes_of(junk, 60000);
            r.alpn = BYTES_LIT("\x01\xff\x1b[2J");
            scan_batch_add(&ctx, b, &r, 1800000000);
        }
        assert_true(n >= 1);
        const struct api_scan_batch got = take(&ctx, b);
        assert_int_equal(got.observations.n, n);
        assert_int_equal(got.certificates.n, n * 32);
    }
    for (int n = 0; n < 3000 && !scan_batch_is_full(b); n++) {
        struct scan_result r = tls("192.0.2.1", BYTES_LIT("x"));
        r.state = SCAN_NOT_TLS;
        scan_batch_add(&ctx, b, &r, 1800000000);
    }
    assert_true(take(&ctx, b).observations.n < 2000);
    scan_batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_found_is_what_the_api_takes),
        cmocka_unit_test(every_way_to_end_has_a_word_in_the_api),
        cmocka_unit_test(a_certificate_is_told_once),
        cmocka_unit_test(numbers_that_an_agent_makes_up_have_a_ceiling),
        cmocka_unit_test(hostile_servers_neither_overfill_nor_break_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
