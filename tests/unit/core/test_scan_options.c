/* What an endpoint keeps of a scan: nothing is lost because the next one asks less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"
#include "core/scan_options.h"

static const char *const prints[] = {"aa", "bb", "cc"};

static struct api_observation observation(struct api_scan_chain *chains, size_t n)
{
    for (size_t i = 0; i < n; i++)
        chains[i] = (struct api_scan_chain){
            .fingerprints = {(const char **)(uintptr_t)&prints[i], 2}, .version = "TLSv1.2", .cipher = "C"};
    return (struct api_observation){.address = "192.0.2.1", .port = 443, .state = n ? "tls" : "alert", .chains = {chains, n}};
}

static const char *now(struct ctx *ctx, const struct scan_part *part, const struct api_observation *o, const char *before,
                       bool same)
{
    const struct scan_options_before was = {before, same};
    const char *out = NULL;
    if (rc_failed(scan_options(ctx, part, o, &was, &out)))
        fail_msg("%s", ctx_why(ctx));
    return out ? out : "";
}

static void has(const char *options, const char *what, bool wanted)
{
    if ((strstr(options, what) != NULL) != wanted)
        fail_msg("%s: %s%s", options, wanted ? "no " : "", what);
}

static void what_was_not_asked_stays(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct api_scan_chain chains[2];
    const char *versions[] = {"TLSv1.2", "TLSv1.3"}, *groups[] = {"x25519", "X25519MLKEM768"};
    const struct scan_part all = {.both_keys = true, .details = true, .verify = true}, little = {.both_keys = true}, one = {0};
    (void)state;
    ctx_init(&ctx, &clock_system);
    struct api_observation o = observation(chains, 2), plain = observation(chains, 2);
    o.versions = (struct api_strings){versions, 2};
    o.groups = (struct api_strings){groups, 2};
    o.alpn = "h2";
    o.ocsp = BYTES_LIT("response");
    o.asks_certificate = o.verified = true;
    o.starttls = plain.starttls = "smtp";
    assert_false(scan_options_needs_before(&all, &o));
    assert_true(scan_options_needs_before(&little, &o));
    const char *full = now(&ctx, &all, &o, NULL, false), *details[] = {"MLKEM", "TLSv1.3", "h2", "stapled", "asks_certificate"};
    assert_string_equal(now(&ctx, &little, &plain, full, true), full);
    for (size_t i = 0; i < 5; i++) {
        has(full, details[i], true);
        has(now(&ctx, &little, &plain, full, false), details[i], true);
        has(now(&ctx, &all, &plain, full, true), details[i], false); /* asked, and not there any more */
    }
    has(now(&ctx, &little, &plain, full, true), "verified", true);
    has(now(&ctx, &little, &plain, full, false), "verified", false); /* that was another key */
    has(now(&ctx, &all, &plain, full, true), "verified", false);
    /* The second chain: gone where it was asked for. */
    plain.chains.n = 1;
    has(now(&ctx, &one, &plain, full, true), "\"chains\":[[\"aa\",\"bb\"],[\"bb\",\"cc\"]]", true);
    has(now(&ctx, &one, &plain, full, false), "chains", false);
    has(now(&ctx, &little, &plain, full, true), "chains", false);
    has(now(&ctx, &little, &plain, full, true), "other", false);
}

static void what_shows_no_certificate_leaves_what_it_did(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct api_scan_chain chains[2];
    const char *versions[] = {"TLSv1.3"}, *groups[] = {"X25519MLKEM768"};
    const struct scan_part all = {.both_keys = true, .details = true, .verify = true};
    (void)state;
    ctx_init(&ctx, &clock_system);
    struct api_observation o = observation(chains, 1), none = observation(chains, 0);
    assert_false(scan_options_needs_before(&all, &none));
    assert_string_equal(now(&ctx, &all, &none, "{\"cipher\":\"C\"}", false), "");
    none.versions = (struct api_strings){versions, 1};
    none.groups = (struct api_strings){groups, 1};
    assert_true(scan_options_needs_before(&all, &none));
    assert_string_equal(now(&ctx, &all, &none, NULL, false), "{\"versions\":[\"TLSv1.3\"],\"groups\":[\"X25519MLKEM768\"]}");
    const char *both = now(&ctx, &all, &none, now(&ctx, &all, &o, NULL, false), false);
    has(both, "MLKEM", true);
    has(both, "\"cipher\":\"C\"", true);
    has(now(&ctx, &all, &none, "no JSON", false), "MLKEM", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_asked_stays),
        cmocka_unit_test(what_shows_no_certificate_leaves_what_it_did),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
