/* The families of authentication that sign: held against the published vectors of AWS Signature Version 4 (aws-sig-v4-test-suite)
 * and of RFC 7515; and what token endpoints may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/relay/auth_canon.h"
#include "agent/relay/auth_jwt.h"
#include "agent/relay/auth_oauth2.h"
#include "agent/relay/auth_sigv4.h"

static const struct {
    const char *name, *method, *path, *query;
    struct http_header headers[4];
    size_t n_headers;
    const char *body, *signature;
} suite[] = {
    {"get-vanilla", "GET", "/", NULL, {{0}}, 0, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla", "POST", "/", NULL, {{0}}, 0, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-unreserved",
     "GET",
     "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     NULL,
     {{0}},
     0,
     "",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8", "GET", "/\xe1\x88\xb4", NULL, {{0}}, 0, "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-space", "GET", "/example space/", NULL, {{0}}, 0, "", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-slash", "GET", "//", NULL, {{0}}, 0, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slashes", "GET", "//example//", NULL, {{0}}, 0, "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"get-slash-dot-slash", "GET", "/./", NULL, {{0}}, 0, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-pointless-dot",
     "GET",
     "/./example",
     NULL,
     {{0}},
     0,
     "",
     "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
    {"get-relative", "GET", "/example/..", NULL, {{0}}, 0, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative-relative",
     "GET",
     "/example1/example2/../..",
     NULL,
     {{0}},
     0,
     "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     {{0}},
     0,
     "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-order-value",
     "GET",
     "/",
     "Param1=value2&Param1=value1",
     {{0}},
     0,
     "",
     "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     "Param1=value1",
     {{0}},
     0,
     "",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-utf8-query",
     "GET",
     "/",
     "\xe1\x88\xb4=bar",
     {{0}},
     0,
     "",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-header-value-order",
     "GET",
     "/",
     NULL,
     {{"My-Header1", "value4"}, {"My-Header1", "value1"}, {"My-Header1", "value3"}, {"My-Header1", "value2"}},
     4,
     "",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     NULL,
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     3,
     "",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-trim",
     "GET",
     "/",
     NULL,
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     2,
     "",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     NULL,
     {{"Content-Type", "application/x-www-form-urlencoded"}},
     1,
     "Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-x-www-form-urlencoded-parameters",
     "POST",
     "/",
     NULL,
     {{"Content-Type", "application/x-www-form-urlencoded; charset=utf8"}},
     1,
     "Param1=value1",
     "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"},
};

#define NOON_20150830 1440938160 /* 2015-08-30T12:36:00Z */

static struct sigv4 request(size_t i)
{
    return (struct sigv4){.method = suite[i].method,
                          .host = "example.amazonaws.com",
                          .path = suite[i].path,
                          .query = suite[i].query,
                          .headers = suite[i].headers,
                          .n_headers = suite[i].n_headers,
                          .body = bytes_z(suite[i].body),
                          .access_key = BYTES_LIT("AKIDEXAMPLE"),
                          .secret_key = BYTES_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                          .region = "us-east-1",
                          .service = "service",
                          .now_s = NOON_20150830};
}

static const char *signed_by(struct ctx *ctx, const struct sigv4 *in)
{
    struct buf date, authorization;
    buf_init_arena(&date, &ctx->arena, 64);
    buf_init_arena(&authorization, &ctx->arena, 4096);
    struct rc rc = sigv4_sign(ctx, in, &date, &authorization);
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(ctx));
    assert_string_equal(buf_z(&date), "20150830T123600Z");
    return buf_z(&authorization);
}

static void every_request_of_the_suite_has_its_published_signature(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof suite / sizeof *suite; i++) {
        CTX_CLEANUP struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        struct sigv4 in = request(i);
        const char *is = signed_by(&ctx, &in), *at = strstr(is, "Signature=");
        if (at == NULL || strcmp(at + 10, suite[i].signature) != 0)
            fail_msg("%s: %s", suite[i].name, is);
        assert_non_null(strstr(is, "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "));
    }
}

static void a_temporary_credentials_token_is_signed(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct sigv4 in = request(0);
    (void)state;
    ctx_init(&ctx, &clock_system);
    in.token = BYTES_LIT("6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267");
    assert_string_equal(signed_by(&ctx, &in), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                                              "SignedHeaders=host;x-amz-date;x-amz-security-token, "
                                              "Signature=07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8");
}

static void what_cannot_be_signed_is_refused(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct buf date, authorization;
    char many[CANON_QUERY_MAX * 2 + 4], deep[300];
    struct sigv4 in = request(0);
    (void)state;
    ctx_init(&ctx, &clock_system);
    memset(deep, 'a', sizeof deep);
    for (size_t i = 0; i < sizeof deep; i += 2)
        deep[i] = '/';
    deep[sizeof deep - 1] = '\0';
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = i % 2 == 0 ? 'a' : '&';
    many[sizeof many - 1] = '\0';
    buf_init_arena(&date, &ctx.arena, 64);
    buf_init_arena(&authorization, &ctx.arena, 4096);
    in.query = "a=%4";
    assert_int_equal(sigv4_sign(&ctx, &in, &date, &authorization).e, E_INVALID);
    buf_reset(&date);
    in.query = many;
    assert_int_equal(sigv4_sign(&ctx, &in, &date, &authorization).e, E_TOO_LARGE);
    buf_reset(&date);
    in.query = NULL;
    in.path = deep;
    assert_int_equal(sigv4_sign(&ctx, &in, &date, &authorization).e, E_TOO_LARGE);
}

/* RFC 7515 appendix A.2. */
static const char rfc7515_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n"
                                  "jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n"
                                  "aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n"
                                  "juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n"
                                  "ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n"
                                  "toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n"
                                  "VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n"
                                  "PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n"
                                  "O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n"
                                  "kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n"
                                  "XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n"
                                  "4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n"
                                  "pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n"
                                  "0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n"
                                  "lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n"
                                  "kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n"
                                  "rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n"
                                  "kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n"
                                  "5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n"
                                  "9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n"
                                  "evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n"
                                  "yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n"
                                  "OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n"
                                  "tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n"
                                  "ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n"
                                  "03k2+ZQwVK0JKSHuLFkuQ3U=\n"
                                  "-----END PRIVATE KEY-----\n";
static const char rfc7515_a2[] =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
    "nVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb"
    "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6"
    "_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw";

static void a_token_is_signed_as_rfc7515_does(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    SECRET_CLEANUP struct secret pem = {0};
    KEY_CLEANUP struct key *rsa = NULL, *ec = NULL;
    struct buf out;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&out, &ctx.arena, 4096);
    assert_true(rc_ok(secret_from(&ctx, &pem, bytes_z(rfc7515_key))));
    assert_true(rc_ok(key_from_pem(&ctx, &pem, &rsa)));
    assert_true(
        rc_ok(jwt_sign(&ctx, rsa, BYTES_LIT("{\"alg\":\"RS256\"}"),
                       BYTES_LIT("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"), &out)));
    assert_string_equal(buf_z(&out), rfc7515_a2);
    assert_true(rc_ok(key_generate(&ctx, KEY_EC_P256, &ec)));
    assert_int_equal(jwt_sign(&ctx, ec, BYTES_LIT("{}"), BYTES_LIT("{}"), &out).e, E_UNSUPPORTED);
}

static void a_token_endpoints_answer_is_read_strictly(void **state)
{
    static const struct {
        const char *text;
        enum err e;
        int64_t life;
    } rows[] = {
        {"{\"access_token\": \"a.b\", \"token_type\": \"Bearer\", \"expires_in\": 3599}", E_OK, 3599},
        {"{\"access_token\": \"a.b\", \"token_type\": \"Bearer\", \"expires_in\": \"86399\"}", E_OK, 86399}, /* Azure's IMDS */
        {"{\"access_token\": \"a.b\", \"token_type\": \"Bearer\", \"expires_in\": \"-1\"}", E_BAD_ANSWER, 0},
        {"{\"access_token\": \"a.b\", \"token_type\": \"bearer\"}", E_OK, 0},
        {"{\"access_token\": \"a.b\", \"token_type\": \"mac\"}", E_BAD_ANSWER, 0},
        {"{\"access_token\": \"\", \"token_type\": \"Bearer\"}", E_BAD_ANSWER, 0},
        {"{\"access_token\": \"a\", \"token_type\": \"Bearer\", \"expires_in\": -5}", E_BAD_ANSWER, 0},
        {"[]", E_BAD_ANSWER, 0},
    };
    static const char *const bad[] = {"", "<html>", "{}", "{\"access_token\": 7, \"token_type\": \"Bearer\"}",
                                      "{\"access_token\": \"a\", \"token_type\": \"Bearer\", \"expires_in\": \"soon\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        const char *token = NULL;
        int64_t life = -1;
        ctx_init(&ctx, &clock_system);
        assert_int_equal(oauth2_read(&ctx, bytes_z(rows[i].text), &token, &life).e, rows[i].e);
        if (rows[i].e == E_OK)
            assert_int_equal(life, rows[i].life);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CTX_CLEANUP struct ctx ctx;
        const char *token = NULL;
        int64_t life;
        ctx_init(&ctx, &clock_system);
        assert_true(rc_failed(oauth2_read(&ctx, bytes_z(bad[i]), &token, &life)));
    }
}

static void a_form_is_encoded(void **state)
{
    struct buf form BUF_CLEANUP = {0};
    (void)state;
    buf_init(&form, 256);
    oauth2_put_member(&form, "scope", BYTES_LIT("https://vault.azure.net/.default"));
    oauth2_put_member(&form, "client_secret", BYTES_LIT("a+b&c=d ~"));
    assert_string_equal(buf_z(&form), "scope=https%3A%2F%2Fvault.azure.net%2F.default&client_secret=a%2Bb%26c%3Dd%20~");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_of_the_suite_has_its_published_signature),
        cmocka_unit_test(a_temporary_credentials_token_is_signed),
        cmocka_unit_test(what_cannot_be_signed_is_refused),
        cmocka_unit_test(a_token_is_signed_as_rfc7515_does),
        cmocka_unit_test(a_token_endpoints_answer_is_read_strictly),
        cmocka_unit_test(a_form_is_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
