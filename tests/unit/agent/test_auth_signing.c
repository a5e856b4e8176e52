/* The families that sign requests, each held against signatures that its maker has published:
 *   edgegrid   AkamaiOPEN-edgegrid-python, akamai/edgegrid/test/testdata.json and testcases.json
 *   ovh        "First steps with the OVHcloud APIs", section "Signing requests"
 *   dnsme      DNS Made Easy REST API documentation V2.0, "Authentication"
 *   tc3        Tencent Cloud API 3.0, "Signature v3": the GET of 2018-10-09, the POST of 2019-02-25
 *   aliyun     Alibaba Cloud SDK, "V3 request structure and signature", fixed example
 *   huawei     Huawei Cloud "API Request Signing Guide", step 1 to 3; huaweicloud-sdk-java-v3, TestAKSKSigner
 *   oci        Oracle Cloud Infrastructure "Request Signatures", "Test Values"
 *   transip    github.com/transip/gotransip, authenticator/sign_test.go, testdata/signature.key */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/relay/auth_hmac.h"
#include "agent/relay/auth_rsa.h"
#include "agent/relay/totp.h"
#include "base/encode.h"
#include "pki/sha1.h"

static void good(struct ctx *ctx, struct rc rc)
{
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(ctx));
}

static void edgegrid_has_akamais_signatures(void **state)
{
    static char exact[2048], larger[2049];
    const struct {
        const char *name, *method, *path, *query;
        struct bytes body;
        const char *signature;
    } rows[] = {
        {"simple GET", "GET", "/", NULL, {0}, "tL+y4hxyHxgWVD30X3pWnGKHcPzmrIF+LThiAOhMxYU="},
        {"GET with querystring", "GET", "/testapi/v1/t1", "p1=1&p2=2", {0}, "hKDH1UlnQySSHjvIcZpDMbQHihTQ0XyVAKZaApabdeA="},
        {"reserved characters",
         "GET",
         "/testapi/v1/configs/111;222;333",
         "from=12345&limit=200000",
         {0},
         "pmQF7Is2+O4r/mMojPR4yeF58BrempNNoBX5/DT0Fxs="},
        {"POST inside limit", "POST", "/testapi/v1/t3", NULL, BYTES_LIT("datadatadatadatadatadatadatadata"),
         "hXm4iCxtpN22m4cbZb4lVLW5rhX8Ca82vCFqXzSTPe4="},
        {"POST length equals max_body", "POST", "/testapi/v1/t3", NULL, bytes_of(exact, sizeof exact),
         "6Q6PiTipLae6n4GsSIDTCJ54bEbHUBp+4MUXrbQCBoY="},
        {"POST too large", "POST", "/testapi/v1/t3", NULL, bytes_of(larger, sizeof larger),
         "6Q6PiTipLae6n4GsSIDTCJ54bEbHUBp+4MUXrbQCBoY="},
        {"POST empty body", "POST", "/testapi/v1/t6", NULL, {0}, "1gEDxeQGD5GovIkJJGcBaKnZ+VaPtrc4qBUHixjsPCQ="},
        {"PUT test", "PUT", "/testapi/v1/t6", NULL, BYTES_LIT("PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP"),
         "GNBWEYSEWOLtu+7dD52da2C39aX/Jchpon3K/AmBqBU="},
        {"PATCH test", "PATCH", "/testapi/v1/t6", NULL, BYTES_LIT("PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP"),
         "JIl05ImY1AOnMtmw+9LKgaFA8mnzsEKabbnHmI8LsQ4="},
    };
    static const char start[] = "EG1-HMAC-SHA256 client_token=akab-client-token-xxx-xxxxxxxxxxxxxxxx;"
                                "access_token=akab-access-token-xxx-xxxxxxxxxxxxxxxx;timestamp=20140321T19:34:21+0000;"
                                "nonce=nonce-xx-xxxx-xxxx-xxxx-xxxxxxxxxxxx;signature=";
    (void)state;
    memset(exact, 'd', sizeof exact);
    memset(larger, 'd', sizeof larger);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct buf out;
        ctx_init(&ctx, &clock_system);
        buf_init_arena(&out, &ctx.arena, 4096);
        const struct canon in = {.method = rows[i].method,
                                 .host = "akaa-baseurl-xxxxxxxxxxx-xxxxxxxxxxxxx.luna.akamaiapis.net",
                                 .path = rows[i].path,
                                 .query = rows[i].query,
                                 .body = rows[i].body,
                                 .now_s = 1395430461, /* 2014-03-21T19:34:21Z */
                                 .nonce = "nonce-xx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"};
        good(&ctx, edgegrid_sign(&ctx, &in, BYTES_LIT("akab-client-token-xxx-xxxxxxxxxxxxxxxx"),
                                 BYTES_LIT("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx="),
                                 BYTES_LIT("akab-access-token-xxx-xxxxxxxxxxxxxxxx"), 2048, &out));
        if (strncmp(buf_z(&out), start, sizeof start - 1) != 0 || strcmp(buf_z(&out) + sizeof start - 1, rows[i].signature) != 0)
            fail_msg("%s: %s", rows[i].name, buf_z(&out));
    }
}

static void ovh_and_dns_made_easy_have_their_published_signatures(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct buf ovh, dnsme, bad;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&ovh, &ctx.arena, 256);
    buf_init_arena(&dnsme, &ctx.arena, 256);
    buf_init_arena(&bad, &ctx.arena, 8);
    good(&ctx, ovh_sign(&ctx, "GET", "https://eu.api.ovh.com/1.0/domains/", (struct bytes){0}, 1366560945,
                        BYTES_LIT("EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF"), BYTES_LIT("MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1"), &ovh));
    assert_string_equal(buf_z(&ovh), "$1$d3705e8afb27a0d2970a322b96550abfc67bb798");
    good(&ctx,
         dnsme_sign(&ctx, BYTES_LIT("Sat, 12 Feb 2011 20:59:04 GMT"), BYTES_LIT("c9b5625f-9834-4ff8-baba-4ed5f32cae55"), &dnsme));
    assert_string_equal(buf_z(&dnsme), "b3502e6116a324f3cf4a8ed693d78bcee8d8fe3c");
    assert_true(rc_failed(dnsme_sign(&ctx, (struct bytes){0}, (struct bytes){0}, &bad)));
}

/* RFC 2202 section 3, test cases 2 and 6; RFC 3174 section 7.3. */
static void sha1_is_that_of_the_rfcs(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    uint8_t out[SHA1_LEN], key[80];
    (void)state;
    ctx_init(&ctx, &clock_system);
    memset(key, 0xaa, sizeof key);
    good(&ctx, sha1_hmac(&ctx, BYTES_LIT("Jefe"), BYTES_LIT("what do ya want for nothing?"), out));
    assert_memory_equal(out, "\xef\xfc\xdf\x6a\xe5\xeb\x2f\xa2\xd2\x74\x16\xd5\xf1\x84\xdf\x9c\x25\x9a\x7c\x79", sizeof out);
    good(&ctx,
         sha1_hmac(&ctx, bytes_of(key, sizeof key), BYTES_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), out));
    assert_memory_equal(out, "\xaa\x4a\xe5\xe1\x52\x72\xd0\x0e\x95\x70\x56\x37\xce\x8a\x3b\x55\xed\x40\x21\x12", sizeof out);
    good(&ctx, sha1_digest(&ctx, BYTES_LIT("abc"), out));
    assert_memory_equal(out, "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d", sizeof out);
}

static void tc3_has_tencents_signatures(void **state)
{
    static const struct http_header get[] = {{"Content-Type", "application/x-www-form-urlencoded"}};
    static const struct http_header post[] = {
        {"X-TC-Action", "DescribeInstances"}, {"Content-Type", "application/json; charset=utf-8"}, {"X-TC-Version", "2017-03-12"}};
    const struct {
        struct canon in;
        const char *id, *key, *authorization;
    } rows[] = {
        {{.method = "GET", .query = "Limit=10&Offset=0", .headers = get, .n_headers = 1, .now_s = 1539084154},
         "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
         "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
         "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2018-10-09/cvm/tc3_request, "
         "SignedHeaders=content-type;host, Signature=5da7a33f6993f0614b047e5df4582db9e9bf4672ba50567dba16c6ccf174c474"},
        {{.method = "POST",
          .headers = post,
          .n_headers = 3,
          .now_s = 1551113065,
          .body =
              BYTES_LIT("{\"Limit\": 1, \"Filters\": [{\"Values\": [\"\\u672a\\u547d\\u540d\"], \"Name\": \"instance-name\"}]}")},
         "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******",
         "Gu5t9xGARNpq86cd98joQYCN3*******",
         "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, "
         "SignedHeaders=content-type;host;x-tc-action, Signature=be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3"},
        {{.method = "POST",
          .headers = post,
          .n_headers = 3,
          .now_s = 1551113065,
          .body =
              BYTES_LIT("{\"Limit\": 1, \"Filters\": [{\"Values\": [\"\\u672a\\u547d\\u540d\"], \"Name\": \"instance-name\"}]}")},
         "AKID********************************",
         "********************************",
         "TC3-HMAC-SHA256 Credential=AKID********************************/2019-02-25/cvm/tc3_request, "
         "SignedHeaders=content-type;host;x-tc-action, Signature=10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct canon in = rows[i].in;
        struct buf out;
        ctx_init(&ctx, &clock_system);
        buf_init_arena(&out, &ctx.arena, 4096);
        in.host = "cvm.tencentcloudapi.com";
        good(&ctx, tc3_sign(&ctx, &in, bytes_z(rows[i].id), bytes_z(rows[i].key), "cvm", &out));
        assert_string_equal(buf_z(&out), rows[i].authorization);
    }
}

static void aliyun_has_alibabas_signature(void **state)
{
    static const struct http_header headers[] = {
        {"x-acs-action", "RunInstances"},
        {"User-Agent", "not signed"},
        {"x-acs-version", "2014-05-26"},
        {"X-Acs-Date", "2023-10-26T10:22:32Z"},
        {"x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"},
        {"x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}};
    CTX_CLEANUP struct ctx ctx;
    struct buf out;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&out, &ctx.arena, 4096);
    const struct canon in = {.method = "POST",
                             .host = "ecs.cn-shanghai.aliyuncs.com",
                             .path = "/",
                             .query = "RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
                             .headers = headers,
                             .n_headers = sizeof headers / sizeof *headers};
    good(&ctx, aliyun_sign(&ctx, &in, BYTES_LIT("YourAccessKeyId"), BYTES_LIT("YourAccessKeySecret"), &out));
    assert_string_equal(
        buf_z(&out), "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
                     "x-acs-signature-nonce;x-acs-version,Signature="
                     "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0");
}

static void huawei_has_huaweis_signature(void **state)
{
    static const struct http_header headers[] = {{"Content-Type", "application/json"}, {"X-Sdk-Date", "20191115T033655Z"}};
    CTX_CLEANUP struct ctx ctx;
    struct buf out;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&out, &ctx.arena, 4096);
    const struct canon in = {.method = "GET",
                             .host = "service.region.example.com",
                             .path = "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
                             .query = "marker=13551d6b-755d-4757-b956-536f674975c0&limit=2",
                             .headers = headers,
                             .n_headers = 2};
    good(&ctx,
         huawei_sign(&ctx, &in, BYTES_LIT("QTWAOYTTINDUT2QVKYUC"), BYTES_LIT("MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"), &out));
    assert_string_equal(buf_z(&out), "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=content-type;host;x-sdk-date, "
                                     "Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe");
}

/* The public half of Oracle's test key, which is too short to be loaded as a private one. */
static const char oci_public[] = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C36rPJj+CvfSC8+q28hxA161QF"
                                 "NUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv"
                                 "8FPGfJTotc+2xjJwoYi+1hqp1fIekaxsyQIDAQAB";
#define OCI_KEY_ID                                                                                                                 \
    "ocid1.tenancy.oc1..aaaaaaaaba3pv6wkcr4jqae5f15p2b2m2yt2j6rx32uzr4h25vqstifsfdsq/"                                             \
    "ocid1.user.oc1..aaaaaaaat5nvwcna5j6aqzjcaty5eqbb6qt2jvpkanghtgdaqedqw3rynjq/20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
#define OCI_BODY                                                                                                                   \
    "{\n"                                                                                                                          \
    "    \"compartmentId\": \"ocid1.compartment.oc1..aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa\",\n"            \
    "    \"instanceId\": \"ocid1.instance.oc1.phx.abuw4ljrlsfiqw6vzzxb43vyypt4pkodawglp3wqxjqofakrwvou52gb6s5a\",\n"               \
    "    \"volumeId\": \"ocid1.volume.oc1.phx.abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q\"\n"                    \
    "}"

static const char transip_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCZT5Eh9PmQ3flx\n"
                                  "uFJyVG55A/RuxbYb5qv/1SBcPSZajBogtgEKvw7lcKLhkXLDSCN0pQGABRl6vTgP\n"
                                  "aSi/s3wrKA3n9tpVa0VAQi9QGP7oVQeq3UxJ0L+yEX5HsuqYRw+mFEqxkXcdYxeV\n"
                                  "3xGF8eB01cBOles2H5JUOMeKTyT4VQxNe+gqyG09Ia8aPDocvERBmCAdrZBSLEdH\n"
                                  "fxGxTVzhwFh81qpR9CD8q7Q8nX7Tk0a8s42WozXu8pHQhTMHPdRkxLFxGab0p/AT\n"
                                  "jNzG2nLi5LXS3rCSkQeHJjbPZP0T3m2OehNk40uXthH9BHgOMfyGXbX8BA8EgOeG\n"
                                  "BCp6TNHTAgMBAAECggEANQ/4AJPEiSJ7AqQ0TQPyFIqM4IYnyLJnF64RfDth+fcB\n"
                                  "2A6Gf8yvADSi+4WW/gYK14WA5mldb0DslVDlXKxnrpw3a/Dhkq0FE/+UVpnAKHO9\n"
                                  "qqLbk7TflGc/mNtRHRGDVg0x6RGa853nfOTvMLgN4wJUhB6ZgWsd/26DidhoyFZG\n"
                                  "P3Poz1u4VCsupfvxr2wo/u1vAQzAG6fVIFDTVWYtAp6nRCSg5kORIALpeNEoSMj0\n"
                                  "JWaUoA0LiUjV6JnagMQmQtkb5ScoFMpQOoNmRdJHsJTF62lWwKSarMWHq6eEpdXG\n"
                                  "O+Zl9CcE1/wmnY0+rVMeTJxbWn7gVXoxKG75C5jSQQKBgQDGlYvCiy6Ap/WjtrEg\n"
                                  "Jr0aVpSSf0LkKYnvWvW7/kZJBz5KC6mEG/jW16CnA9ZnMAOTs+HKOQCYd+vPMhvz\n"
                                  "XBNoyNxF8MrPn/lTD+3EH4sV6ZXxnLM4kpJiAEgoRSB49W4nRI6F72nUT+KakUVq\n"
                                  "LQurujv69mxowF+W8QpnluncYQKBgQDFow6mZ6DKILqQ4425NpxZqCDXUnb71UyS\n"
                                  "iq0dg+Fd0BsstqGqUIVeiC3I0guqMwmQ8l/o6xvXr4UVA0m26MqF5OPix6KDRfu4\n"
                                  "Dqy1qWRFNQcj0wrFen0gAmbIEX6C6EW5wmQQ46YIym1yGOXAU7owV4pF5cZL32h3\n"
                                  "OrhahTH6swKBgGW8YZB2S4mgAqkvxEirb//ZUV5IElXfrgnQ+Mmp+Aobyt6WYO8M\n"
                                  "gYxXhbdqsOHGaF64LjmywEpcTZOloUoo5sys8qRmOxDpbQsPwwjR/ChqteXFGNAn\n"
                                  "zxSj/lObLoqpehhl9/pH8FjT4Ey9lelSUINW8rmcm2eC/rXOoTz2xLKhAoGARYLG\n"
                                  "AkzsRmsgcxk1nXDRqM7zTggZBRXOKrRPktPxjddF14IcdhR/8/GdeMY3iBMPSEWW\n"
                                  "6grW7hMzkWJoqMZThKguZnKke9s/X0r5/6KmO5kc+8KcRTyBiaKOl8tfXZdn/p+a\n"
                                  "Jj6LBQh9WeXb2LsZ/yqq3U6lYcYfrd+fO2chXvUCgYA0RxpJpa8TxwCPjS7u8mZm\n"
                                  "enKsThRtC63+IWfaoGv3JkNiNbchpWcMDi7k0aAwT5aS1kbHMoGiCmnVTPmFYshS\n"
                                  "fXxzeTpm7N5Oa2kABzA6KZot1ckfA9x5Cv/6HMToNiuKmwScx4x7ASwiLSNwuxA5\n"
                                  "AeN9hjadhpK2ql+X9qnmkw==\n"
                                  "-----END PRIVATE KEY-----\n";

static void read_key(struct ctx *ctx, const char *text, struct key **out)
{
    SECRET_CLEANUP struct secret pem = {0};
    good(ctx, secret_from(ctx, &pem, bytes_z(text)));
    good(ctx, key_from_pem(ctx, &pem, out));
}

static void oci_is_as_oracle_has_signed_it(void **state)
{
    static const struct http_header headers[] = {{"Date", "Thu, 05 Jan 2014 21:31:40 GMT"},
                                                 {"Content-Type", "application/json"},
                                                 {"X-Content-SHA256", "V9Z20UJTvkvpJ50flBzKE32+6m2zJjweHpDMX/U4Uy0="}};
    static const struct {
        struct canon in;
        const char *headers, *signature;
    } rows[] = {
        {{.method = "GET",
          .path = "/20160918/instances",
          .query = "availabilityDomain=Pjwf%3A%20PHX-AD-1&compartmentId=ocid1.compartment.oc1.."
                   "aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa&displayName=TeamXInstances&"
                   "volumeId=ocid1.volume.oc1.phx.abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q",
          .headers = headers,
          .n_headers = 1},
         "date (request-target) host",
         "GBas7grhyrhSKHP6AVIj/h5/Vp8bd/peM79H9Wv8kjoaCivujVXlpbKLjMPeDUhxkFIWtTtLBj3sUzaFj34XE6YZAHc9r2DmE4pMwOAy/"
         "kiITcZxa1oHPOeRheC0"
         "jP2dqbTll8fmTZVwKZOKHYPtrLJIJQHJjNvxFWeHQjMaR7M="},
        {{.method = "POST", .path = "/20160918/volumeAttachments", .headers = headers, .n_headers = 3, .body = BYTES_LIT(OCI_BODY)},
         "date (request-target) host content-length content-type x-content-sha256",
         "Mje8vIDPlwIHmD/cTDwRxE7HaAvBg16JnVcsuqaNRim23fFPgQfLoOOxae6WqKb1uPjYEl0qIdazWaBy/Ml8DRhqlocMwoSXv0fbukP8J5N80LCmzT/"
         "FFBvIvTB9"
         "1XuXI3hYfP9Zt1l7S6ieVadHUfqBedWH0itrtPJBgKmrWso="},
    };
    CTX_CLEANUP struct ctx ctx;
    KEY_CLEANUP struct key *theirs = NULL, *ours = NULL, *ec = NULL;
    struct bytes spki;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(get_base64(&ctx.arena, bytes_z(oci_public), &spki));
    good(&ctx, key_from_spki(&ctx, spki, &theirs));
    read_key(&ctx, transip_key, &ours);
    good(&ctx, key_generate(&ctx, KEY_EC_P256, &ec));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct canon in = rows[i].in;
        struct buf text, out, none;
        struct bytes signature;
        in.host = "iaas.us-phoenix-1.oraclecloud.com";
        buf_init_arena(&text, &ctx.arena, 4096);
        buf_init_arena(&out, &ctx.arena, 4096);
        buf_init_arena(&none, &ctx.arena, 4096);
        good(&ctx, oci_put_text(&in, &text));
        assert_true(get_base64(&ctx.arena, bytes_z(rows[i].signature), &signature));
        good(&ctx, key_verify_own(&ctx, theirs, buf_bytes(&text), signature));
        /* The header around it, with a key that can sign. */
        const char *start = arena_printf(&ctx.arena,
                                         "Signature version=\"1\",headers=\"%s\",keyId=\"" OCI_KEY_ID "\","
                                         "algorithm=\"rsa-sha256\",signature=\"",
                                         rows[i].headers);
        good(&ctx, oci_sign(&ctx, &in, OCI_KEY_ID, ours, &out));
        struct bytes rest = buf_bytes(&out);
        assert_true(bytes_starts_with(rest, bytes_z(start)) && bytes_ends_with(rest, BYTES_LIT("\"")));
        rest = bytes_of(rest.p + strlen(start), rest.n - strlen(start) - 1);
        assert_true(get_base64(&ctx.arena, rest, &signature));
        good(&ctx, key_verify_own(&ctx, ours, buf_bytes(&text), signature));
        assert_int_equal(oci_sign(&ctx, &in, OCI_KEY_ID, ec, &none).e, E_UNSUPPORTED);
    }
}

static void transip_has_transips_signature(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    KEY_CLEANUP struct key *key = NULL, *ec = NULL;
    struct buf out;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&out, &ctx.arena, 1024);
    read_key(&ctx, transip_key, &key);
    good(&ctx, transip_sign(&ctx,
                            BYTES_LIT("{\"login\":\"test-user\",\"nonce\":\"98475920834\",\"read_only\":false,"
                                      "\"expiration_time\":\"\",\"global_key\":false}"),
                            key, &out));
    assert_string_equal(buf_z(&out),
                        "TKjrjkdRqJLTQJI9QtI3JETV554bnrCmWUbUNdpUg/9OwOYHmtK76gjGs5nyWHVgOBHO9KZ15bCjkup/mzZP2sBnUtqfXxqX"
                        "BfSh6bn/7a/1gOJzK71RtO84S0q1x7+DGago1OuYSMOdj8mgEMBUtY4aHHpHEy7eCahsCJCTEfMUb05Cq87mhE4XrjjGN2BJ"
                        "8tEHPMxpWHjEtX1Z8uyaL0XY5l6dBmy1QP+ChyISrNe1n3gYZs9tyyPA9vgW+TqEVgq7mHL8l+g2Va1BwxR+rChoa5gTiJcA"
                        "9fKJ8evVIBfcocXjRduMFzQW/SMp/yp3I4P7J0lUO0vDWVjEO8LX4A==");
    good(&ctx, key_generate(&ctx, KEY_EC_P256, &ec));
    assert_int_equal(transip_sign(&ctx, BYTES_LIT("{}"), ec, &out).e, E_UNSUPPORTED);
}

static void transips_answer_is_read_strictly(void **state)
{
    static const char *const bad[] = {"", "<html>", "[]", "{}", "{\"token\": 7}", "{\"token\": \"\"}", "{\"token\": null}"};
    CTX_CLEANUP struct ctx ctx;
    const char *token = NULL;
    (void)state;
    ctx_init(&ctx, &clock_system);
    good(&ctx, transip_read(&ctx, BYTES_LIT("{\"token\": \"a.b.c\"}"), &token));
    assert_string_equal(token, "a.b.c");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(rc_failed(transip_read(&ctx, bytes_z(bad[i]), &token)));
}

static void what_is_too_much_is_refused(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct http_header many[CANON_HEADERS_MAX + 1];
    struct buf lines, names, out;
    (void)state;
    ctx_init(&ctx, &clock_system);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = (struct http_header){"x-acs-a", "b"};
    buf_init_arena(&lines, &ctx.arena, 65536);
    buf_init_arena(&names, &ctx.arena, 65536);
    buf_init_arena(&out, &ctx.arena, 65536);
    assert_int_equal(canon_put_headers(&ctx, many, CANON_HEADERS_MAX + 1, &lines, &names).e, E_TOO_LARGE);
    const struct canon in = {.method = "GET", .host = "h", .path = "/", .query = "a=%zz", .headers = many, .n_headers = 1};
    assert_int_equal(aliyun_sign(&ctx, &in, BYTES_LIT("a"), BYTES_LIT("b"), &out).e, E_INVALID);
    assert_int_equal(huawei_sign(&ctx, &in, BYTES_LIT("a"), BYTES_LIT("b"), &out).e, E_INVALID);
    assert_int_equal(tc3_sign(&ctx, &in, BYTES_LIT("a"), BYTES_LIT("b"), "s", &out).e, E_INVALID);
}

/* RFC 6238 appendix B, SHA-1, the last six of its eight digits; the secret is "12345678901234567890". */
static void a_second_factor_has_the_codes_of_rfc6238(void **state)
{
    static const struct {
        int64_t now_s;
        const char *code;
    } rows[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
                {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
    static const char *const same[] = {"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
                                       "GEZDGNBV-GY3TQOJQ-GEZDGNBV-GY3TQOJQ===="};
    static const char *const bad[] = {"", "====", "12345678", "GEZDGNBVGY3TQOJQ!", "G"};
    char longest[400];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof same / sizeof *same; k++) {
            CTX_CLEANUP struct ctx ctx;
            struct buf out;
            ctx_init(&ctx, &clock_system);
            buf_init_arena(&out, &ctx.arena, 16);
            good(&ctx, totp_put(&ctx, bytes_z(same[k]), rows[i].now_s, &out));
            assert_string_equal(buf_z(&out), rows[i].code);
        }
    CTX_CLEANUP struct ctx ctx;
    struct buf out;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&out, &ctx.arena, 16);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(totp_put(&ctx, bytes_z(bad[i]), 59, &out).e, E_INVALID);
    memset(longest, 'A', sizeof longest);
    assert_int_equal(totp_put(&ctx, bytes_of(longest, sizeof longest), 59, &out).e, E_INVALID);
}

static void a_request_is_taken_apart(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct canon a, b;
    struct push_request r = {.method = "GET", .url = "https://dns.example.org:8443/v2/zones?name=a.b", .n_headers = 1};
    (void)state;
    ctx_init(&ctx, &clock_system);
    r.headers[0] = (struct http_header){"Content-Type", "application/json"};
    good(&ctx, canon_of(&ctx, &r, &a));
    good(&ctx, canon_of(&ctx, &r, &b));
    assert_string_equal(a.host, "dns.example.org:8443");
    assert_string_equal(a.path, "/v2/zones");
    assert_string_equal(a.query, "name=a.b");
    assert_string_equal(canon_header(&a, "content-type"), "application/json");
    assert_int_equal(strlen(a.nonce), CANON_NONCE_LEN);
    assert_true(a.nonce[14] == '4' && strchr("89ab", a.nonce[19]) != NULL && strcmp(a.nonce, b.nonce) != 0);
    r.url = "https://[2001:db8::1]/";
    good(&ctx, canon_of(&ctx, &r, &a));
    assert_string_equal(a.host, "[2001:db8::1]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edgegrid_has_akamais_signatures),
        cmocka_unit_test(ovh_and_dns_made_easy_have_their_published_signatures),
        cmocka_unit_test(sha1_is_that_of_the_rfcs),
        cmocka_unit_test(tc3_has_tencents_signatures),
        cmocka_unit_test(aliyun_has_alibabas_signature),
        cmocka_unit_test(huawei_has_huaweis_signature),
        cmocka_unit_test(oci_is_as_oracle_has_signed_it),
        cmocka_unit_test(transip_has_transips_signature),
        cmocka_unit_test(transips_answer_is_read_strictly),
        cmocka_unit_test(what_is_too_much_is_refused),
        cmocka_unit_test(a_second_factor_has_the_codes_of_rfc6238),
        cmocka_unit_test(a_request_is_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
