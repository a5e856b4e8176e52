/* Programs that change DNS: how they are called, and which are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/run/dns.h"
#include "base/buf.h"
#include "os/file.h"

struct env {
    char dir[64];
    struct ctx ctx;
    struct agent_config cfg;
};

static void program(struct env *e, const char *name, const char *text, mode_t mode)
{
    const char *path = arena_printf(&e->ctx.arena, "%s/%s", e->dir, name);
    assert_true(rc_ok(file_write_atomic_path(&e->ctx, path, bytes_z(text), FILE_KEEP_UID, FILE_KEEP_GID, 0700)));
    assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    assert_non_null(e);
    ctx_init(&e->ctx, &clock_system);
    snprintf(e->dir, sizeof e->dir, "/tmp/cw-run-dns-XXXXXX");
    assert_non_null(mkdtemp(e->dir));
    program(e, "echo", "#!/bin/sh\necho \"$# $1 $2 $3\"; cat; echo to-err >&2; env | sort\n", 0755);
    program(e, "fails", "#!/bin/sh\necho no money >&2; exit 3\n", 0755);
    program(e, "sleeps", "#!/bin/sh\nsleep 60\n", 0755);
    program(e, "noisy", "#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2; echo done\n", 0755);
    program(e, "open", "#!/bin/sh\nexit 0\n", 0777);
    program(e, "text", "#!/bin/sh\nexit 0\n", 0644);
    const char *text = arena_printf(&e->ctx.arena,
                                    "{\"dns\": {"
                                    "\"own\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/echo\", \"first\"], \"protocol\": \"certwright\"},"
                                    "\"lego\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/echo\"], \"protocol\": \"lego\"},"
                                    "\"certbot\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/echo\"], \"protocol\": \"certbot\","
                                    " \"cleanup\": [\"%1$s/echo\"]},"
                                    "\"certbot-fails\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/fails\"], \"protocol\": \"certbot\","
                                    " \"cleanup\": [\"%1$s/noisy\"]},"
                                    "\"fails\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/fails\"], \"protocol\": \"lego\"},"
                                    "\"sleeps\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/sleeps\"], \"protocol\": \"lego\", \"timeout_s\": 1},"
                                    "\"open\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/open\"], \"protocol\": \"lego\"},"
                                    "\"text\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/text\"], \"protocol\": \"lego\"},"
                                    "\"gone\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/gone\"], \"protocol\": \"lego\"},"
                                    "\"nobody\": {\"zones\": [\"example.org\"], \"program\": [\"%1$s/echo\"], \"protocol\": \"lego\", \"user\": \"no-such\"},"
                                    "\"rfc2136\": {\"zones\": [\"example.org\"]}}}",
                                    e->dir);
    struct rc rc = agent_config_parse(&e->ctx, "agent.yaml", bytes_z(text), &e->cfg);
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(&e->ctx));
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct env *e = *state;
    static const char *const names[] = {"echo", "fails", "sleeps", "noisy", "open", "text"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(arena_printf(&e->ctx.arena, "%s/%s", e->dir, names[i]));
    rmdir(e->dir);
    ctx_free(&e->ctx);
    free(e);
    return 0;
}

static const char *said(struct env *e, int verb, const char *provider, const char *name, const char *text, enum err expected)
{
    const struct wire_run_dns in = {.verb = verb, .provider = provider, .zone = "example.org", .name = name, .domain = "www.example.org",
                                    .value = "va-lue_1", .said = text};
    struct wire_run_done out = {0};
    ctx_forget(&e->ctx);
    struct rc rc = run_dns(&e->ctx, &e->cfg, &in, &out);
    if (rc.e != expected)
        fail_msg("%s: %s %s", provider, err_info(rc.e)->name, ctx_why(&e->ctx));
    if (rc_failed(rc))
        return ctx_why(&e->ctx);
    return arena_printf(&e->ctx.arena, "%d%s|%.*s", (int)out.exit_code, out.timed_out ? " timed out" : "", (int)out.output.n,
                        (const char *)out.output.p);
}

#define NAME    "_acme-challenge.www.example.org"
#define PRESENT WIRE_run_dns_verb_present
#define CLEAN   WIRE_run_dns_verb_clean
#define TEST    WIRE_run_dns_verb_test
#define ENV     "LANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\n"

static void each_protocol_is_spoken_to_the_letter(void **state)
{
    struct env *e = *state;
    assert_string_equal(said(e, PRESENT, "own", NAME, "", E_OK),
                        "0|2 first present \n{\"zone\":\"example.org\",\"name\":\"" NAME "\",\"value\":\"va-lue_1\",\"domain\":\"www.example.org\"}\n"
                        "to-err\n" ENV);
    assert_string_equal(said(e, CLEAN, "own", NAME, "", E_OK),
                        "0|2 first clean \n{\"zone\":\"example.org\",\"name\":\"" NAME "\",\"value\":\"va-lue_1\",\"domain\":\"www.example.org\"}\n"
                        "to-err\n" ENV);
    assert_string_equal(said(e, TEST, "own", "", "", E_OK), "0|2 first test \n{\"zone\":\"example.org\"}\nto-err\n" ENV);
    assert_string_equal(said(e, PRESENT, "lego", NAME, "", E_OK), "0|3 present " NAME ". va-lue_1\nto-err\n" ENV);
    assert_string_equal(said(e, CLEAN, "lego", NAME, "", E_OK), "0|3 cleanup " NAME ". va-lue_1\nto-err\n" ENV);
    assert_string_equal(said(e, PRESENT, "certbot", NAME, "", E_OK),
                        "0|0   \nCERTBOT_ALL_DOMAINS=www.example.org\nCERTBOT_DOMAIN=www.example.org\nCERTBOT_REMAINING_CHALLENGES=0\n"
                        "CERTBOT_VALIDATION=va-lue_1\n" ENV);
    assert_string_equal(said(e, CLEAN, "certbot", NAME, "\n id 7\n", E_OK),
                        "0|0   \nCERTBOT_ALL_DOMAINS=www.example.org\nCERTBOT_AUTH_OUTPUT=id 7\nCERTBOT_DOMAIN=www.example.org\n"
                        "CERTBOT_REMAINING_CHALLENGES=0\nCERTBOT_VALIDATION=va-lue_1\n" ENV);
    assert_non_null(strstr(said(e, TEST, "lego", "", "", E_OK), "/echo is there"));
}

static void what_it_says_when_it_fails_is_told(void **state)
{
    struct env *e = *state;
    assert_string_equal(said(e, PRESENT, "fails", NAME, "", E_OK), "3|no money\n");
    assert_string_equal(said(e, PRESENT, "certbot-fails", NAME, "", E_OK), "3|no money\n");
    assert_string_equal(said(e, CLEAN, "certbot-fails", NAME, "", E_OK), "0|done\n"); /* and a full standard error holds nothing up */
    assert_string_equal(said(e, PRESENT, "sleeps", NAME, "", E_OK), "-1 timed out|");
}

static void programs_that_others_could_change_and_names_that_are_not_granted_are_refused(void **state)
{
    struct env *e = *state;
    assert_non_null(strstr(said(e, PRESENT, "open", NAME, "", E_NOT_GRANTED), "others may change it: chown root, chmod go-w"));
    assert_non_null(strstr(said(e, TEST, "text", NAME, "", E_NOT_GRANTED), "is not a program: chmod +x"));
    assert_non_null(strstr(said(e, TEST, "gone", NAME, "", E_NOT_FOUND), "/gone"));
    assert_non_null(strstr(said(e, PRESENT, "nobody", NAME, "", E_NOT_FOUND), "no user is named so"));
    assert_non_null(strstr(said(e, PRESENT, "rfc2136", NAME, "", E_NOT_GRANTED), "has no program"));
    assert_non_null(strstr(said(e, PRESENT, "other", NAME, "", E_NOT_GRANTED), "not allowed on this host"));
    assert_non_null(strstr(said(e, PRESENT, "lego", "_acme-challenge.example.net", "", E_NOT_GRANTED), "add its zone to dns"));
    assert_non_null(strstr(said(e, PRESENT, "lego", "a\nb.example.org", "", E_INVALID), "is no name"));
    assert_non_null(strstr(said(e, PRESENT, "lego", "$(id).example.org", "", E_INVALID), "is no name"));
    struct wire_run_dns in = {.verb = PRESENT, .provider = "lego", .zone = "example.org", .name = NAME, .domain = "www.example.org", .said = ""};
    struct wire_run_done out = {0};
    static const char *const values[] = {"$(id)", "`id`", "a b", "a;id", "a\nb", "v=spf1 -all", ""};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        in.value = values[i];
        assert_int_equal(run_dns(&e->ctx, &e->cfg, &in, &out).e, E_INVALID);
    }
    in.value = "ok";
    in.domain = "a;id";
    assert_int_equal(run_dns(&e->ctx, &e->cfg, &in, &out).e, E_INVALID);
    assert_non_null(strstr(said(e, PRESENT, "certbot", "alias.example.org", "", E_UNSUPPORTED), "use protocol certwright"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_protocol_is_spoken_to_the_letter, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_says_when_it_fails_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(programs_that_others_could_change_and_names_that_are_not_granted_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
