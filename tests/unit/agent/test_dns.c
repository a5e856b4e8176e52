/* DNS providers as data: descriptions with mistakes, how values are compared and sets are written.
 *
 * Given arguments it is what tests/e2e/test_dns_rest.py drives the engine with: `unit_agent_test_dns AGENT.YAML` reads messages
 * from its standard input, a JSON object a line, does all of them at once, and writes what came of each. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/dns_desc.h"
#include "agent/relay/dns.h"
#include "agent/relay/dns_text.h"
#include "net/http_client.h"

#define HEAD                                                                                                                       \
    "provider: x\nparameters:\n  server: {type: url, required: true}\n  token: {type: credential, required: true}\ndns:\n"         \
    "  base: \"{server}\"\n  auth: {family: bearer, token: \"{token}\"}\n"
#define TEST_OK HEAD "  test: [{method: GET, path: /t}]\n"
/* Line 9 comes after it. */
#define ADD_OK  "  add: [{method: POST, path: /a}]\n"
#define REST_OK ADD_OK "  remove: [{method: DELETE, path: /r}]\n"
#define WHOLE                                                                                                                      \
    TEST_OK "  see: [{method: GET, path: /s, read: {records: {element: Z, children: h}, e: {element: Z, attribute: E}}}]\n" REST_OK
#define VALUES  TEST_OK "  see: [{method: GET, path: /s, read: {values: {json: /v, as: [tree]}}}]\n" REST_OK

static const struct {
    const char *text, *says;
} mistakes[] = {
    {"[]\n", "must hold provider, parameters and dns"},
    {"provider: a/b\n", "x.yaml:1: provider must be a name"},
    {"provider: x\nconnector: x\n", "x.yaml:2: connector is not a setting here"},
    {"provider: x\n", "dns must hold base"},
    {"provider: x\ndns: {}\n", "a DNS provider needs a parameter of type credential"},
    {"provider: x\nparameters: {p: {type: path}}\ndns: {}\n", "parameter p: a DNS provider has no paths"},
    {"provider: x\nparameters: {zone: {type: text}}\ndns: {}\n", "parameter zone must have another name"},
    {"provider: x\nparameters: {t: {type: credential}}\ndns: {}\n", "base must be a text"},
    {HEAD, "test is missing"},
    {HEAD "  run: /bin/sh\n", "x.yaml:8: run is not a setting here"},
    {HEAD "  publish: {first_s: 9, most_s: 5}\n", "first_s must not be more than most_s"},
    {HEAD "  publish: {most_s: -1}\n", "most_s must be a number"},
    {HEAD "  below: 5\n", "below must be a name"},
    {HEAD "  below: \"{nothing}\"\n", "{nothing}"},
    {HEAD "  test: [{method: POST, path: \"/{value}\"}]\n", "{value} is no parameter, and not known in test"},
    {HEAD "  test: [{method: DELETE, path: /t}]\n", "test must not change anything: no DELETE"},
    {HEAD "  test: [{method: GET, path: \"/{zone.id}\"}]\n", "by no step before this one"},
    {TEST_OK, "add is missing"},
    {TEST_OK ADD_OK, "remove is missing"},
    {TEST_OK ADD_OK "  remove: []\n  each: x\n", "each and each_text are for a provider whose see reads values"},
    {TEST_OK "  zone: [{method: PUT, path: /z}]\n", "zone must not change anything: no PUT"},
    {TEST_OK "  zone: [{method: GET, path: \"/{value}\"}]\n", "not known in zone"},
    {TEST_OK "  see: [{method: GET, path: /s}]\n", "see must read either id or values"},
    {TEST_OK "  see: [{method: GET, path: \"/{zone.id}\"}]\n", "{zone.id} is read by no step of zone"},
    {TEST_OK "  see: [{method: GET, path: /s, over: see.l, read: {id: {json: /i}}}]\n", "see.l is read by no step of see"},
    {TEST_OK "  see: [{method: GET, path: \"/{member}\", read: {id: {json: /i}}}]\n", "{member} is there in a step with `over`"},
    {TEST_OK "  see: [{method: GET, path: /s, next: {query: c, json: /n}, read: {id: {json: /i}}}]\n", "it must be optional"},
    {TEST_OK "  see: [{method: POST, path: /s, next: {query: c, json: /n}, read: {id: {json: /i, optional: true}}}]\n",
     "are for a GET"},
    {TEST_OK "  see: [{method: GET, path: /s, read: {id: {txt: /i}}}]\n", "one of json"},
    {TEST_OK "  see: [{method: GET, path: /s, read: {id: {every: [a], json: /x}}}]\n", "every must be two texts"},
    {TEST_OK "  see: [{method: GET, path: /s, read: {id: {json: /i}}}]\n  add: [{method: POST, path: \"/{values}\"}]\n",
     "where see reads values"},
    {TEST_OK "  add: [{method: POST, path: \"/{see.id}\"}]\n", "{see.id} is read by no step of see"},
    {TEST_OK "  add: [{method: POST, path: \"/{key}\"}]\n", "{key} is no parameter, and nothing that is known of the record"},
    {TEST_OK "  add: [{method: POST, path: /a, when: {before: absent}}]\n", "before is known in install and undo alone"},
    {TEST_OK "  add: [{method: POST, path: /a, over: server}]\n", "over, pages and next are for a GET"},
    {VALUES "  each: {a: \"{other}\"}\n", "{other} is no parameter, and not item"},
    {VALUES "  each: {a: b}\n", "each must say with {item}"},
    {VALUES "  each_text: x\n", "each_text must be a text with {item}"},
    {VALUES "  records: {}\n", "records is for a provider whose see reads records"},
    {TEST_OK "  see: [{method: GET, path: /s, read: {id: {element: Z}}}]\n", "element goes with attribute or children"},
    {TEST_OK "  see: [{method: GET, path: /s, read: {id: {json: /a, attribute: Z}}}]\n", "element goes with attribute or children"},
    {WHOLE, "records must hold ours, same, text and send"},
    {WHOLE "  records: {ours: {N: \"{nothing}\"}}\n", "{nothing} is no parameter"},
    {WHOLE "  records: {ours: {N: x, A: \"{value}\"}, send: {H: B}, same: [N], text: A}\n", "B of send is no member of ours"},
    {WHOLE "  records: {ours: {N: x, A: \"{value}\"}, send: {H: N}, same: [B], text: A}\n", "B of same is no member of ours"},
    {WHOLE "  records: {ours: {N: x, A: \"{value}\"}, send: {H: N}, same: [N], text: B}\n", "text must name a member of ours"},
    {WHOLE "  records: {ours: {N: x}, send: {H: N}, same: [N], text: N, must: {f: [y]}}\n", "f of must is read by no step of see"},
    {WHOLE "  records: {ours: {N: x}, send: {H: N}, same: [N], text: N, only: {N: y}}\n", "only must hold texts"},
    {VALUES "  each: \"{item}\"\n  each_text: \"{item}\"\n", "either each or each_text"},
};

static void every_mistake_is_refused_with_file_line_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct dns_desc d;
        ctx_init(&ctx, &clock_system);
        struct rc rc = dns_desc_parse(&ctx, "x.yaml", bytes_z(mistakes[i].text), &d);
        if (rc.e != E_INVALID)
            fail_msg("row %zu is error %d, not E_INVALID (%s):\n%s", i, (int)rc.e, ctx_why(&ctx), mistakes[i].text);
        if (strstr(ctx_why(&ctx), mistakes[i].says) == NULL || strstr(ctx_why(&ctx), "x.yaml") == NULL)
            fail_msg("row %zu:\n%s\nsays: %s\nshould: %s", i, mistakes[i].text, ctx_why(&ctx), mistakes[i].says);
    }
}

static void where_the_text_of_a_member_is_follows_from_each(void **state)
{
    static const struct {
        const char *each, *pointer;
    } rows[] = {
        {"", ""},
        {"  each: \"\\\"{item}\\\"\"\n", ""},
        {"  each: {content: \"\\\"{item}\\\"\", disabled: false}\n", "/content"},
        {"  each: {value: [\"{item}\"]}\n", "/value/0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct dns_desc d;
        ctx_init(&ctx, &clock_system);
        const char *text = arena_printf(&ctx.arena, "%s%s", VALUES, rows[i].each);
        if (rc_failed(dns_desc_parse(&ctx, "x.yaml", bytes_z(text), &d)))
            fail_msg("%s", ctx_why(&ctx));
        assert_string_equal(d.item_pointer, rows[i].pointer);
    }
}

static void values_are_compared_without_their_quotes(void **state)
{
    static const struct {
        const char *text, *value;
        bool same;
    } rows[] = {
        {"abc", "abc", true},
        {"\"abc\"", "abc", true},
        {"\"ab\" \"c\"", "abc", true},
        {"\"a\\098\\c\"", "abc", true},
        {"\"abc", "abc", false},
        {"\"ab\\", "ab", false},
        {"\"ab\\9\"", "ab9", true},
        {"\"a\\999\"", "a", false},
        {"\"abcd\"", "abc", false},
        {"\"ab\"", "abc", false},
        {"abc", "ab", false},
        {"ABC", "abc", false},
        {"\"abc\"x", "abc", false},
        {"\"", "", false},
        {"\"\"", "", true},
        {"", "", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dns_text_is(bytes_z(rows[i].text), bytes_z(rows[i].value)) != rows[i].same)
            fail_msg("%s and %s", rows[i].text, rows[i].value);
}

/* --- what may be asked for */

static const char *wrong_wish(enum wire_relay_dns_verb verb, const char *zone, const char *name, const char *value, enum err e)
{
    static char why[1000];
    CTX_CLEANUP struct ctx ctx;
    struct agent_config cfg;
    struct credential_files files = {0};
    struct dns_locks *locks = dns_locks_new();
    struct wire_relay_dns_done out;
    const struct wire_relay_dns in = {verb, "x", "{}", zone, name, value};
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(
        agent_config_parse(&ctx, "agent.yaml",
                           BYTES_LIT("dns_dir: /nowhere\ndns: {x: {zones: [example.org, _acme-challenge.example.net]}}\n"), &cfg)));
    struct rc rc = relay_dns_run(&ctx, &cfg, &files, locks, &in, &out);
    snprintf(why, sizeof why, "%s", ctx_why(&ctx));
    if (rc.e != e)
        fail_msg("error %d: %s", (int)rc.e, why);
    dns_locks_free(locks);
    return why;
}

static void only_what_is_granted_and_is_a_challenges_value_is_done(void **state)
{
    (void)state;
    const enum wire_relay_dns_verb add = WIRE_relay_dns_verb_add;
    char longest[257];
    memset(longest, 'a', 256);
    longest[256] = '\0';
    wrong_wish(add, "example.com", "_acme-challenge.example.com", "v", E_NOT_GRANTED);
    wrong_wish(add, "example.net", "www.example.net", "v", E_NOT_GRANTED);
    wrong_wish(add, "example.org", "_acme-challenge.example.net", "v", E_INVALID);
    wrong_wish(add, "example.org", "xexample.org", "v", E_INVALID);
    wrong_wish(add, "example.org", "a..example.org", "v", E_INVALID);
    wrong_wish(add, "example.org", "A.example.org", "v", E_INVALID);
    wrong_wish(add, "example.org", "a/b.example.org", "v", E_INVALID);
    wrong_wish(add, "", "", "v", E_INVALID);
    wrong_wish(add, "example.org", "a.example.org", "", E_INVALID);
    wrong_wish(add, "example.org", "a.example.org", "a\"b", E_INVALID);
    wrong_wish(add, "example.org", "a.example.org", "a\\b", E_INVALID);
    wrong_wish(add, "example.org", "a.example.org", "a\nb", E_INVALID);
    /* what others would take for a word of the domain's owner */
    wrong_wish(add, "example.org", "example.org", "v=spf1 include:mail.example -all", E_INVALID);
    wrong_wish(add, "example.org", "a._domainkey.example.org", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", E_INVALID);
    wrong_wish(add, "example.org", "_dmarc.example.org", "v=DMARC1; p=none", E_INVALID);
    wrong_wish(add, "example.org", "example.org", "some-site-verification=abc", E_INVALID);
    wrong_wish(add, "example.org", "a.example.org", "; accounturi=https://ca.example/1", E_INVALID);
    wrong_wish(add, "example.org", "a.example.org", longest, E_INVALID);
    longest[255] = '\0';
    /* As far as the description, which is not there. */
    assert_non_null(strstr(wrong_wish(add, "example.org", "a.example.org", longest, E_NOT_FOUND), "description of DNS provider x"));
    wrong_wish(add, "example.org", "a.example.org", "ca.example; accounturi=https://ca.example/1; policy=wildcard", E_NOT_FOUND);
    wrong_wish(add, "example.net", "_acme-challenge.example.net", "v", E_NOT_FOUND);
}

static void descriptions_are_beside_the_connectors(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct agent_config cfg;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", BYTES_LIT("connectors_dir: /opt/cw/connectors\n"), &cfg)));
    assert_string_equal(cfg.dns_dir, "/opt/cw/dns");
    assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", BYTES_LIT("name: h\n"), &cfg)));
    assert_string_equal(cfg.dns_dir, "/usr/share/certwright/dns");
    assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", BYTES_LIT("dns_dir: /etc/cw/dns\n"), &cfg)));
    assert_string_equal(cfg.dns_dir, "/etc/cw/dns");
}

/* --- the driver */

#define DRIVEN_MAX 16

struct driven {
    const struct agent_config *cfg;
    struct dns_locks *locks;
    char line[70000], says[4096];
};

static RC drive(struct ctx *ctx, struct driven *d, struct wire_relay_dns_done *out)
{
    static const char *const verbs[] = {"test", "add", "remove"};
    json_auto_t *root = NULL;
    struct credential_files files = {0};
    struct wire_relay_dns in = {.zone = "", .name = "", .value = ""};
    const char *verb;
    const json_t *parameters;
    TRY(json_read(ctx, bytes_z(d->line), &root));
    TRY(json_get_str(ctx, root, "verb", true, &verb));
    TRY(json_get_str(ctx, root, "provider", true, &in.provider));
    TRY(json_get_str(ctx, root, "zone", true, &in.zone));
    TRY(json_get_str(ctx, root, "name", false, &in.name));
    TRY(json_get_str(ctx, root, "value", false, &in.value));
    TRY(json_get_obj(ctx, root, "parameters", true, &parameters));
    char *text = json_dumps(parameters, JSON_COMPACT);
    in.parameters = arena_strdup(&ctx->arena, text);
    free(text);
    for (int i = 0; i < 3; i++)
        if (strcmp(verbs[i], verb) == 0)
            in.verb = (enum wire_relay_dns_verb)i;
    ctx->deadline_ms = clock_mono_ms() + 60000;
    return relay_dns_run(ctx, d->cfg, &files, d->locks, &in, out);
}

static void *drive_one(void *arg)
{
    CTX_CLEANUP struct ctx ctx;
    struct driven *d = arg;
    struct wire_relay_dns_done out = {.what = ""};
    ctx_init(&ctx, &clock_system);
    struct rc rc = drive(&ctx, d, &out);
    json_auto_t *says =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "error", rc_ok(rc) ? "" : err_info(rc.e)->name, "why", ctx_why(&ctx),
                  "what", out.what, "expires_at", (json_int_t)out.expires_at, "first_s", (json_int_t)out.first_s, "most_s",
                  (json_int_t)out.most_s, "retry_after_s", (json_int_t)ctx.retry_after_s);
    char *text = json_dumps(says, JSON_COMPACT);
    snprintf(d->says, sizeof d->says, "%s", text != NULL ? text : "{}");
    free(text);
    return NULL;
}

static int drive_all(const char *path)
{
    CTX_CLEANUP struct ctx ctx;
    struct agent_config cfg;
    pthread_t threads[DRIVEN_MAX];
    struct driven *all = calloc(DRIVEN_MAX, sizeof *all);
    size_t n = 0;
    ctx_init(&ctx, &clock_system);
    if (all == NULL || rc_failed(agent_config_load(&ctx, path, &cfg)) || rc_failed(http_client_load(&ctx))) {
        fprintf(stderr, "%s\n", ctx_why(&ctx));
        free(all);
        return 1;
    }
    struct dns_locks *locks = dns_locks_new();
    while (n < DRIVEN_MAX && fgets(all[n].line, sizeof all[n].line, stdin) != NULL) {
        all[n].cfg = &cfg;
        all[n].locks = locks;
        pthread_create(&threads[n], NULL, drive_one, &all[n]);
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        puts(all[i].says);
    }
    dns_locks_free(locks);
    free(all);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_is_refused_with_file_line_and_reason),
        cmocka_unit_test(where_the_text_of_a_member_is_follows_from_each),
        cmocka_unit_test(values_are_compared_without_their_quotes),
        cmocka_unit_test(only_what_is_granted_and_is_a_challenges_value_is_done),
        cmocka_unit_test(descriptions_are_beside_the_connectors),
    };
    if (argc > 1)
        return drive_all(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
