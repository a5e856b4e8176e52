/* Targets without an agent on their host: descriptions with mistakes, templates, answers, and where credentials may go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/push_seal.h"
#include "agent/relay/push_session.h"

#define HEAD                                                                                                                       \
    "connector: x\nparameters:\n  server: {type: url, required: true}\n  token: {type: credential, required: true}\n"              \
    "  other: {type: text}\n"
#define AUTH_OK "  auth: {family: bearer, token: \"{token}\"}\n"
#define SEE_OK  "  see: [{method: GET, path: /s, read: {certificate: {json: /c}}}]\n"
#define REST_OK "  install: [{method: POST, path: /i}]\n  undo: [{method: POST, path: /u}]\n"
#define RELAY   HEAD "relay:\n  base: \"{server}\"\n"
/* Line 9 is the one after RELAY and AUTH_OK. */
#define STEPS RELAY AUTH_OK

static const struct {
    const char *text, *says;
} mistakes[] = {
    {HEAD "relay: x\n", "x.yaml:6: relay must hold"},
    {HEAD "relay: {run: /bin/sh}\n", "x.yaml:6: run is not a setting here"},
    {HEAD "files: []\ncheck: c\nrelay: {}\n", "a description holds either relay, or"},
    {"connector: x\nparameters: {p: {type: path}}\nrelay: {}\n", "parameter p: a target without an agent has no paths"},
    {"connector: x\nparameters: {key: {type: text}}\nrelay: {}\n", "parameter key must have another name"},
    {"connector: x\nparameters: {serial: {type: text}}\nrelay: {}\n", "parameter serial must have another name"},
    {"connector: x\nparameters: {p: {type: text}}\nrelay: {}\n", "needs a parameter of type credential"},
    {HEAD "relay: {transport: telnet}\n", "transport must be one of https, ssh"},
    {HEAD "relay: {transport: ssh}\n", "transport ssh needs host"},
    {HEAD "relay: {host: \"{server}\"}\n", "host is for transport ssh"},
    {HEAD "relay: {base: \"{nobody}\"}\n", "base: {nobody} is no parameter, content or fact"},
    {HEAD "relay: {base: \"{server\"}\n", "a { without its }"},
    {HEAD "relay: {base: \"{server}}\"}\n", "a } without its {"},
    {HEAD "relay: {base: \"{}\"}\n", "{} names nothing"},
    {HEAD "relay: {base: \"{server|rot13}\"}\n", "no filter is named rot13"},
    {RELAY, "auth must hold family"},
    {RELAY "  auth: {family: magic}\n", "no family is named magic; there are"},
    {RELAY "  auth: {family: bearer}\n", "family bearer needs token"},
    {RELAY "  auth: {family: bearer, token: \"{token}\", user: x}\n", "family bearer has no setting user"},
    {RELAY "  auth: {family: bearer, token: \"{key}\"}\n", "is a content of the new certificate, which only install has"},
    {RELAY "  auth: {family: session-login}\n", "login is missing"},
    {RELAY "  auth: {family: session-login, login: {method: POST, path: /l, read: {sid: {json: /s}}}, sign: {headers: {A: "
           "\"{auth.no}\"}}}\n",
     "{auth.no} is read by no step of login"},
    {STEPS, "see is missing"},
    {STEPS "  see: []\n", "x.yaml:9: see must be a list of 1 to 32 steps"},
    {STEPS "  see: [x]\n", "a step of see must hold method and path"},
    {STEPS "  see: [{method: GET, path: /s}]\n", "see must read certificate, fingerprint or serial"},
    {STEPS "  see:\n    - {method: SEND, path: /s}\n", "x.yaml:10: method must be one of GET, HEAD"},
    {STEPS "  see:\n    - {method: PUT, path: /s}\n", "see must not change anything: no PUT"},
    {STEPS "  see:\n    - {method: GET}\n", "a step needs a path"},
    {STEPS "  see:\n    - {method: GET, path: s}\n", "x.yaml:10: path must begin with /"},
    {STEPS "  see:\n    - {method: GET, path: /s, url: \"https://x/\"}\n", "a step needs a path, or over https a url instead"},
    {STEPS "  see:\n    - {method: GET, path: /s, run: x}\n", "x.yaml:10: run is not a setting here"},
    {STEPS "  see:\n    - {method: GET, path: /s, mode: \"0600\"}\n", "mode is for WRITE"},
    {STEPS "  see:\n    - {method: GET, path: \"/{see.x}\"}\n", "{see.x} is read by no step of see"},
    {STEPS "  see:\n    - {method: GET, path: \"/{before.x}\"}\n", "is known in install and undo alone"},
    {STEPS "  see:\n    - {method: GET, path: \"/{key}\"}\n", "which only install has"},
    {STEPS "  see:\n    - {method: GET, path: /s, headers: {Host: x}}\n", "Host cannot be a header here"},
    {STEPS "  see:\n    - {method: GET, path: /s, headers: {\"A B\": x}}\n", "A B cannot be a header here"},
    {STEPS "  see:\n    - {method: GET, path: /s, expect: [1000]}\n", "expect must be a list of numbers from 0 to 599"},
    {STEPS "  see:\n    - {method: GET, path: /s, expect: 200}\n", "expect must be a list"},
    {STEPS "  see:\n    - {method: GET, path: /s, read: {a b: {json: /x}}}\n", "a b must be a word"},
    {STEPS "  see:\n    - {method: GET, path: /s, read: {a: {}}}\n", "one of json, header, between, body and value"},
    {STEPS "  see:\n    - {method: GET, path: /s, read: {a: {json: /x, header: y}}}\n", "one of json, header"},
    {STEPS "  see:\n    - {method: GET, path: /s, read: {a: {json: /x, as: [zip]}}}\n", "as: zip is none of base64"},
    {STEPS "  see:\n    - {method: GET, path: /s, read: {a: {json: /x, find: /y}}}\n", "find goes with where and json"},
    {STEPS "  see:\n    - {method: GET, path: /s, read: {a: {between: [x]}}}\n", "between must be two texts"},
    {STEPS "  see:\n    - {method: POST, path: /s, body: {json: {a: \"{no}\"}}}\n", "json: {no} is no parameter"},
    {STEPS "  see:\n    - {method: POST, path: /s, body: {json: {\"{no}\": a}}}\n", "json: {no} is no parameter"},
    {STEPS "  see:\n    - {method: POST, path: /s, body: x}\n", "body must hold one of"},
    {STEPS "  see:\n    - {method: POST, path: /s, body: {xml: x}}\n", "xml is not a setting here"},
    {STEPS "  see:\n    - {method: GET, path: /s, poll: {json: /x}}\n", "poll must say in `done`"},
    {STEPS "  see:\n    - {method: POST, path: /s, poll: {json: /x, done: [a]}}\n", "only a GET can be asked again"},
    {STEPS "  see:\n    - {method: GET, path: /s, fail_if: {json: /x}}\n", "fail_if must hold one of is, not and unless"},
    {STEPS "  see:\n    - {method: GET, path: /s, when: {before: absent}}\n", "before is known in install and undo alone"},
    {STEPS "  see:\n    - {method: GET, path: /s, when: {set: nobody}}\n", "set: nobody is no parameter"},
    {STEPS "  see:\n    - {name: see, method: GET, path: /s}\n", "see cannot name a step"},
    {STEPS SEE_OK "  install:\n    - {method: POST, path: /s, absent: [404]}\n", "absent is for see"},
    {STEPS SEE_OK "  install:\n    - {method: POST, path: /s, when: {now: new}}\n", "now is for undo"},
    {STEPS SEE_OK "  install:\n    - {method: POST, path: \"/{see.no}\"}\n", "{see.no} is read by no step of see"},
    {STEPS SEE_OK "  install:\n    - {name: a, method: POST, path: \"/{a.x}\", read: {x: {json: /x}}}\n",
     "by no step before this one"},
    {STEPS SEE_OK "  install: [{method: POST, path: /i}]\n", "undo is missing"},
    {STEPS SEE_OK "  install: [{method: POST, path: /i}]\n  undo: [{method: POST, path: \"/{key}\"}]\n", "which only install has"},
    {STEPS SEE_OK "  install: [{method: POST, path: /i}]\n  undo: [{method: POST, path: \"/{passphrase}\"}]\n", "in install alone"},
};

static void every_mistake_is_refused_with_file_line_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct connector c;
        ctx_init(&ctx, &clock_system);
        struct rc rc = connector_parse(&ctx, "x.yaml", bytes_z(mistakes[i].text), &c);
        if (rc.e != E_INVALID)
            fail_msg("row %zu is error %d, not E_INVALID (%s):\n%s", i, (int)rc.e, ctx_why(&ctx), mistakes[i].text);
        if (strstr(ctx_why(&ctx), mistakes[i].says) == NULL || strstr(ctx_why(&ctx), "x.yaml") == NULL)
            fail_msg("row %zu:\n%s\nsays: %s\nshould: %s", i, mistakes[i].text, ctx_why(&ctx), mistakes[i].says);
    }
}

static void a_whole_description_is_read(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct connector c;
    (void)state;
    ctx_init(&ctx, &clock_system);
    struct rc rc = connector_parse(
        &ctx, "x.yaml",
        BYTES_LIT(
            STEPS SEE_OK
            "  install:\n    - {method: POST, path: /i, body: {json: {a: \"{key}{fullchain|base64}\", b: \"{passphrase}\"}}}\n"
            "  undo: [{method: POST, path: \"/{before.id}/{see.serial}\"}]\n"),
        &c);
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(&ctx));
    assert_non_null(c.relay);
    assert_int_equal(c.relay->contents.n, 3);
    assert_string_equal(c.relay->contents.v[2], "passphrase");
    assert_int_equal(c.relay->install[0].line, 11);
}

/* --- a session without a network */

static const struct push_desc empty_desc = {.transport = "https", .family = "header", .base = "https://x.example.org/v1/"};

static struct push_session *session(struct ctx *ctx)
{
    struct push_session *s = calloc(1, sizeof *s);
    ctx_init(ctx, &clock_system);
    s->desc = &empty_desc;
    s->transport = &push_https;
    s->connector.name = "x";
    s->before = s->seen = (struct push_identity){"", "", ""};
    return s;
}

static void set(struct ctx *ctx, struct push_session *s, const char *name, const char *value)
{
    assert_true(rc_ok(push_set(ctx, s, name, bytes_z(value), false)));
}

static void templates_are_filled_in_and_escaped_for_their_place(void **state)
{
    static const struct {
        const char *text, *is;
        enum push_place place;
    } rows[] = {
        {"plain", "plain", PUSH_PLAIN},
        {"{{x}}", "{x}", PUSH_PLAIN},
        {"<{a}>", "<a b/c>", PUSH_PLAIN},
        {"/x/{a}", "/x/a%20b%2Fc", PUSH_PATH},
        {"/x/{a|raw}", "/x/a b/c", PUSH_PATH},
        {"/x/{a|segments}", "/x/a%20b/c", PUSH_PATH},
        {"/{a}/x", "/a b~1c/x", PUSH_POINTER},
        {"{a|base64}", "YSBiL2M=", PUSH_PLAIN},
        {"{a|base64url|upper}", "YSBIL2M", PUSH_PLAIN},
        {"{a|hex}", "6120622f63", PUSH_PLAIN},
        {"{q|json}", "\\\"<\\n&'", PUSH_PLAIN},
        {"{q|xml}", "&quot;&lt;\n&amp;&#39;", PUSH_PLAIN},
        {"{q|nonl}", "\"<\\n&'", PUSH_PLAIN},
        {"{q|url}", "%22%3C%0A%26%27", PUSH_PLAIN},
        {"{a|range}", "0-4/5", PUSH_PLAIN},
        {"{none}", "", PUSH_PLAIN},
    };
    struct ctx ctx;
    struct push_session *s = session(&ctx);
    (void)state;
    set(&ctx, s, "a", "a b/c");
    set(&ctx, s, "q", "\"<\n&'");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes out;
        struct rc rc = push_expand(&ctx, s, rows[i].text, rows[i].place, "GET", &out);
        if (rc_failed(rc) || !bytes_equal_z(out, rows[i].is))
            fail_msg("%s gives \"%.*s\" (%s), not %s", rows[i].text, (int)out.n, (const char *)out.p, ctx_why(&ctx), rows[i].is);
    }
    push_close(&ctx, s);
    ctx_free(&ctx);
}

static void what_leads_out_of_a_path_is_refused(void **state)
{
    static const char *const values[] = {"..", ".", "", "a/../b", "/a", "a//b", "a/"};
    struct ctx ctx;
    struct push_session *s = session(&ctx);
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct bytes out;
        set(&ctx, s, "a", values[i]);
        assert_true(rc_failed(push_expand(&ctx, s, "/x/{a|segments}", PUSH_PATH, "GET", &out)));
        if (strchr(values[i], '/') == NULL)
            assert_true(rc_failed(push_expand(&ctx, s, "/x/{a}", PUSH_PATH, "GET", &out)));
    }
    push_close(&ctx, s);
    ctx_free(&ctx);
}

static void a_request_is_built_of_its_step(void **state)
{
    struct push_step step = {.method = "POST",
                             .path = "/x/{a}",
                             .kind = PUSH_BODY_JSON,
                             .body = "{\"{a}\": \"{a}\", \"n\": \"{n|int}\", \"no\": \"{none|null}\", \"t\": \"{t|tree}\", \"b\": "
                                     "\"{b|bool}\", \"x\": [1, \"v{n}\"]}",
                             .query = {{{"q", "{a}"}, {"left-out", "{none}"}, {"z", "1"}}, 3},
                             .headers = {{{"X-A", "{a}"}, {"X-None", "{none}"}}, 2}};
    struct push_request r;
    struct ctx ctx;
    struct push_session *s = session(&ctx);
    (void)state;
    set(&ctx, s, "a", "a\"&b");
    set(&ctx, s, "n", "42");
    set(&ctx, s, "b", "true");
    set(&ctx, s, "t", "{\"deep\": [1]}");
    struct rc rc = push_build(&ctx, s, &step, &r);
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(&ctx));
    assert_string_equal(r.url, "https://x.example.org/v1/x/a%22%26b?q=a%22%26b&z=1");
    assert_true(
        bytes_equal_z(r.body, "{\"a\\\"&b\":\"a\\\"&b\",\"n\":42,\"no\":null,\"t\":{\"deep\":[1]},\"b\":true,\"x\":[1,\"v42\"]}"));
    assert_int_equal(r.n_headers, 2);
    assert_string_equal(r.headers[1].value, "application/json");
    set(&ctx, s, "n", "4x");
    assert_int_equal(push_build(&ctx, s, &step, &r).e, E_BAD_ANSWER);
    set(&ctx, s, "n", "4");
    set(&ctx, s, "a", "a\r\nX-Evil: 1");
    assert_int_equal(push_build(&ctx, s, &step, &r).e, E_INVALID);
    push_close(&ctx, s);
    ctx_free(&ctx);
}

static void multipart_and_forms_are_built(void **state)
{
    struct push_step step = {.method = "POST", .path = "/x", .kind = PUSH_BODY_FORM, .form = {{{"a", "{a}"}, {"c", "d e"}}, 2}};
    struct push_request r;
    struct ctx ctx;
    struct push_session *s = session(&ctx);
    (void)state;
    set(&ctx, s, "a", "1&2");
    memcpy(s->boundary, "BOUND", 6);
    assert_true(rc_ok(push_build(&ctx, s, &step, &r)));
    assert_true(bytes_equal_z(r.body, "a=1%262&c=d%20e"));
    step.kind = PUSH_BODY_MULTIPART;
    step.parts[0] = (struct push_part){.name = "f", .filename = "{a}.pem", .type = "text/plain", .text = "<{a}>"};
    step.n_parts = 1;
    assert_true(rc_ok(push_build(&ctx, s, &step, &r)));
    assert_true(bytes_equal_z(r.body,
                              "--BOUND\r\nContent-Disposition: form-data; name=\"f\"; filename=\"1&2.pem\"\r\nContent-Type: "
                              "text/plain\r\n\r\n<1&2>\r\n--BOUND--\r\n"));
    set(&ctx, s, "a", "x\"; y=\"");
    assert_int_equal(push_build(&ctx, s, &step, &r).e, E_INVALID);
    push_close(&ctx, s);
    ctx_free(&ctx);
}

static void values_are_found_in_answers(void **state)
{
    static const char body[] =
        "{\"a\": {\"b/c\": [\"x\", 7, true, null]}, \"l\": [{\"n\": \"one\", \"v\": 1}, {\"n\": \"two\", \"v\": 2}], "
        "\"<k>\": \"<r>in</r>\"}";
    static const struct {
        struct push_from from;
        bool tree;
        const char *is; /* NULL: not there */
    } rows[] = {
        {{.json = "/a/b~1c/0"}, false, "x"},
        {{.json = "/a/b~1c/1"}, false, "7"},
        {{.json = "/a/b~1c/2"}, false, "true"},
        {{.json = "/a/b~1c/3"}, false, NULL},
        {{.json = "/a/b~1c/4"}, false, NULL},
        {{.json = "/a/{p}/0"}, false, "x"},
        {{.json = "/a"}, true, "{\"b/c\":[\"x\",7,true,null]}"},
        {{.json = "/none/at/all"}, false, NULL},
        {{.json = "/v", .find = "/l", .where = {{{"/n", "t{w}"}}, 1}}, false, "2"},
        {{.json = "/v", .find = "/l", .where = {{{"/n", "three"}}, 1}}, false, NULL},
        {{.between = {"<r>", "</r>"}}, false, "in"},
        {{.between = {"<s>", "</s>"}}, false, NULL},
        {{.value = "yes"}, false, "yes"},
    };
    struct ctx ctx;
    struct push_session *s = session(&ctx);
    const struct push_answer a = {.status = 200, .body = bytes_z(body)};
    (void)state;
    set(&ctx, s, "p", "b/c");
    set(&ctx, s, "w", "wo");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes out;
        bool found = false;
        struct rc rc = push_find(&ctx, s, &rows[i].from, &a, rows[i].tree, &out, &found);
        if (rc_failed(rc) || found != (rows[i].is != NULL) || (found && !bytes_equal_z(out, rows[i].is)))
            fail_msg("row %zu: found %d \"%.*s\" %s", i, found, (int)out.n, (const char *)out.p, ctx_why(&ctx));
    }
    struct push_from whole = {.json = "/a"};
    struct bytes out;
    bool found;
    assert_int_equal(push_find(&ctx, s, &whole, &a, false, &out, &found).e, E_BAD_ANSWER);
    push_close(&ctx, s);
    ctx_free(&ctx);
}

static void certificates_are_told_apart(void **state)
{
    static const char hex[] = "AB:cd:ef:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc";
    struct push_identity id;
    struct ctx ctx;
    struct push_session *s = session(&ctx);
    (void)state;
    assert_true(rc_ok(push_identify(&ctx, s, &id)));
    assert_string_equal(id.fingerprint, "");
    set(&ctx, s, "see.serial", "00:0A:FF");
    assert_true(rc_ok(push_identify(&ctx, s, &id)));
    assert_string_equal(id.serial, "aff");
    set(&ctx, s, "see.fingerprint", hex);
    assert_true(rc_ok(push_identify(&ctx, s, &id)));
    assert_string_equal(id.fingerprint, "abcdef00112233445566778899aabbccddeeff00112233445566778899aabbcc");
    set(&ctx, s, "see.fingerprint", "abcd");
    assert_int_equal(push_identify(&ctx, s, &id).e, E_BAD_ANSWER);
    set(&ctx, s, "see.certificate", "a placeholder");
    assert_true(rc_ok(push_identify(&ctx, s, &id)));
    assert_int_equal(strlen(id.other), 64);
    push_close(&ctx, s);
    ctx_free(&ctx);
}

static void an_answer_that_repeats_a_secret_is_not_shown(void **state)
{
    struct push_step step = {0};
    struct ctx ctx;
    struct push_session *s = session(&ctx);
    struct push_answer a = {.status = 400, .body = BYTES_LIT("bad token: hvs.verysecret!")};
    (void)state;
    assert_non_null(strstr(push_words(&ctx, s, &step, &a), "bad token"));
    assert_true(rc_ok(push_set(&ctx, s, "token", BYTES_LIT("hvs.verysecret"), true)));
    assert_null(strstr(push_words(&ctx, s, &step, &a), "verysecret"));
    a.body = BYTES_LIT("-----BEGIN PRIVATE KEY-----");
    assert_null(strstr(push_words(&ctx, s, &step, &a), "PRIVATE"));
    push_close(&ctx, s);
    ctx_free(&ctx);
}

static void a_credential_reaches_its_hosts_and_no_other(void **state)
{
    static const char *const hosts[] = {"a.example.org", "b.example.org:8200", "*.c.example.org", "192.0.2.1:6443",
                                        "[2001:db8::1]:6443"};
    static const struct {
        const char *host;
        uint16_t port;
        bool yes;
    } rows[] = {
        {"a.example.org", 443, true},   {"a.example.org", 8443, false}, {"A.example.org", 443, true},
        {"xa.example.org", 443, false}, {"b.example.org", 8200, true},  {"b.example.org", 443, false},
        {"x.c.example.org", 443, true}, {"c.example.org", 443, false},  {"x.y.c.example.org", 443, true},
        {"xc.example.org", 443, false}, {"192.0.2.1", 6443, true},      {"192.0.2.1", 443, false},
        {"2001:db8::1", 6443, true},    {"2001:db8::2", 6443, false},   {"", 443, false},
    };
    struct agent_credential c = {.name = "x", .hosts = {(const char **)(uintptr_t)hosts, sizeof hosts / sizeof *hosts, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (agent_credential_reaches(&c, rows[i].host, rows[i].port, 443) != rows[i].yes)
            fail_msg("%s port %d", rows[i].host, rows[i].port);
}

static void parameters_are_checked_by_their_type(void **state)
{
    static const struct {
        enum connector_type type;
        const char *value;
        bool good;
    } rows[] = {
        {PARAM_URL, "https://x.example.org:8200/a", true},
        {PARAM_URL, "http://x.example.org", false},
        {PARAM_URL, "https://u:p@x.example.org", false},
        {PARAM_URL, "https://x.example.org/?a", false},
        {PARAM_HOST, "x.example.org", true},
        {PARAM_HOST, "192.0.2.1", true},
        {PARAM_HOST, "2001:db8::1", true},
        {PARAM_HOST, "x y", false},
        {PARAM_HOST, "x..y", false},
        {PARAM_HOST, "-oProxyCommand=x", false},
        {PARAM_TEXT, "any text", true},
        {PARAM_TEXT, "a\nb", false},
        {PARAM_NUMBER, "8200", true},
        {PARAM_NUMBER, "-1", false},
        {PARAM_NUMBER, "99999999999", false},
        {PARAM_WORD, "web-tls.1", true},
        {PARAM_WORD, "a/b", false},
        {PARAM_WORD, "..", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        if (rc_ok(push_param_check(&ctx, rows[i].type, "/parameters/x", rows[i].value)) != rows[i].good)
            fail_msg("%s", rows[i].value);
    }
}

static void what_is_sealed_opens_for_its_deployment_alone(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    HPKE_KEY_CLEANUP struct hpke_key *key = NULL;
    struct bytes sealed;
    struct secret out;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(hpke_key_new(&ctx, HPKE_X25519, &key)));
    assert_true(rc_ok(push_seal(&ctx, PUSH_TO_RELAY, hpke_key_public(key), "t1", "d1", BYTES_LIT("key"), &sealed)));
    assert_true(rc_ok(push_unseal(&ctx, PUSH_TO_RELAY, key, "t1", "d1", sealed, &out)));
    assert_true(bytes_equal_z(secret_use(&out), "key"));
    secret_free(&out);
    assert_true(rc_failed(push_unseal(&ctx, PUSH_TO_RELAY, key, "t1", "d2", sealed, &out)));
    assert_true(rc_failed(push_unseal(&ctx, PUSH_TO_RELAY, key, "t2", "d1", sealed, &out)));
    assert_true(rc_failed(push_unseal(&ctx, PUSH_TO_APPLY, key, "t1", "d1", sealed, &out)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_is_refused_with_file_line_and_reason),
        cmocka_unit_test(a_whole_description_is_read),
        cmocka_unit_test(templates_are_filled_in_and_escaped_for_their_place),
        cmocka_unit_test(what_leads_out_of_a_path_is_refused),
        cmocka_unit_test(a_request_is_built_of_its_step),
        cmocka_unit_test(multipart_and_forms_are_built),
        cmocka_unit_test(values_are_found_in_answers),
        cmocka_unit_test(certificates_are_told_apart),
        cmocka_unit_test(an_answer_that_repeats_a_secret_is_not_shown),
        cmocka_unit_test(a_credential_reaches_its_hosts_and_no_other),
        cmocka_unit_test(parameters_are_checked_by_their_type),
        cmocka_unit_test(what_is_sealed_opens_for_its_deployment_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
