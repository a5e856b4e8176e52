/* Descriptions of issuers: those that are shipped are good, and mistakes are told with file, line and reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/enroll_desc.h"
#include "agent/relay/enroll.h"
#include "pki/csr.h"
#include "pki/pkcs7.h"

static void shipped_descriptions_are_good(void **state)
{
    static const char *const names[] = {"vault-pki", "est", "ad-cs"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct enroll_desc d;
        ctx_init(&ctx, &clock_system);
        struct agent_config cfg = {.file = "agent.yaml", .enroll_dir = "enroll"};
        struct rc rc = enroll_desc_load(&ctx, &cfg, names[i], &d);
        assert_int_equal(rc.e, E_NOT_GRANTED);
        ctx_forget(&ctx);
        struct agent_enroll row = {.protocol = names[i]};
        cfg.enroll = &row;
        cfg.n_enroll = 1;
        if (rc_failed(enroll_desc_load(&ctx, &cfg, names[i], &d)))
            fail_msg("%s", ctx_why(&ctx));
        assert_true(d.n_enroll > 0);
    }
}

static void mistakes_are_told_with_their_line(void **state)
{
    static const char head[] = "issuer: x\nparameters:\n  token: {type: credential, required: true}\nenroll:\n  base: https://a\n"
                               "  auth: {family: bearer, token: \"{token}\"}\n";
    static const struct {
        const char *rest, *says;
    } bad[] = {
        {"  test: [{method: GET, path: /}]\n", "x.yaml:4: enroll is missing"},
        {"  test: [{method: GET, path: /}]\n  enroll: [{method: POST, path: /}]\n", "enroll must read the certificate"},
        {"  test: [{method: GET, path: \"/{csr}\"}]\n  enroll: [{method: POST, path: /}]\n", "x.yaml:7: path: {csr} is no parameter"},
        {"  test: [{method: GET, path: /}]\n  enroll: [{method: POST, path: \"/{serial}\"}]\n", "nothing that is known here"},
        {"  wait_s: 0\n", "x.yaml:7: wait_s must be a number from 1 to 86400"},
        {"  steps: []\n", "x.yaml:"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        struct enroll_desc d;
        ctx_init(&ctx, &clock_system);
        const char *text = arena_printf(&ctx.arena, "%s%s", head, bad[i].rest);
        assert_true(rc_failed(enroll_desc_parse(&ctx, "x.yaml", bytes_z(text), &d)));
        if (strstr(ctx_why(&ctx), bad[i].says) == NULL)
            fail_msg("\"%s\" is told as: %s", bad[i].rest, ctx_why(&ctx));
    }
}

static void other_bytes_are_no_pkcs7(void **state)
{
    static const uint8_t data[] = {0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
    CTX_CLEANUP struct ctx ctx = {0};
    struct cert_chain chain;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_int_equal(pkcs7_certificates(&ctx, BYTES_LIT(""), &chain).e, E_PARSE);
    assert_int_equal(pkcs7_certificates(&ctx, BYTES_LIT("-----BEGIN"), &chain).e, E_PARSE);
    assert_int_equal(pkcs7_certificates(&ctx, bytes_of(data, sizeof data), &chain).e, E_PARSE); /* ContentInfo: data */
}

/* A hub in wrong hands has the credential of an issuer used for host names alone. */
static void a_request_for_something_else_is_not_sent(void **state)
{
    static const struct {
        const char *asked, *in_request;
        bool ca;
        enum err e;
    } rows[] = {
        {"dns:a.example.org", "a.example.org", false, E_NOT_GRANTED}, /* as far as the description, which is not granted */
        {"dns:a.example.org", "b.example.org", false, E_BAD_CSR},
        {"dns:a.example.org", "a.example.org", true, E_BAD_CSR},
        {"dns:a,b.example.org", "a.example.org", false, E_INVALID},
        {"upn:administrator", "a.example.org", false, E_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx = {0};
        KEY_CLEANUP struct key *key = NULL;
        struct name_list names = {0};
        struct wire_relay_enroll_done out;
        struct credential_files files = {0};
        const struct agent_config cfg = {.file = "agent.yaml"};
        struct wire_relay_enroll in = {.verb = WIRE_relay_enroll_verb_enroll, .protocol = "est", .parameters = "{}", .reference = ""};
        const char *asked[] = {rows[i].asked};
        ctx_init(&ctx, &clock_system);
        assert_true(rc_ok(key_generate(&ctx, KEY_EC_P256, &key)));
        assert_true(rc_ok(name_list_parse(&ctx, &rows[i].in_request, 1, &names)));
        assert_true(rc_ok(rows[i].ca ? csr_build_ca(&ctx, key, "x", "x", 0, &in.csr) : csr_build(&ctx, key, &names, NULL, &in.csr)));
        in.identifiers = (struct wire_texts){asked, 1};
        const struct rc rc = relay_enroll_run(&ctx, &cfg, &files, &in, &out);
        if (rc.e != rows[i].e)
            fail_msg("row %zu: %s: %s", i, err_info(rc.e)->name, ctx_why(&ctx));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_descriptions_are_good),
        cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(other_bytes_are_no_pkcs7),
        cmocka_unit_test(a_request_for_something_else_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
