/* agent.yaml, connector descriptions, results that outlive the agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/connector.h"
#include "agent/results.h"

static const char good[] =
    "name: web1\nhub: /run/x.sock\nstate: /var/lib/x\nconnectors_dir: connectors\nconnectors: [nginx, files, webroot, listener]\n"
    "paths: [/etc/ssl/x, /srv/www/]\nusers: [root]\ngroups: [root]\nnetworks: {probe: [127.0.0.0/8], relay: [], outside: [10.1.0.0/16]}\n"
    "commands:\n  a: [/bin/true, -x, 3]\n  b: {run: [/bin/false], user: root, timeout_s: 5}\nhttp01: {port: 5002}\nworkers: 3\n";

static void a_full_file_is_read(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct agent_config c;
    const struct agent_command *cmd;
    (void)state;
    ctx_init(&ctx, &clock_system);
    struct rc rc = agent_config_parse(&ctx, "agent.yaml", bytes_z(good), &c);
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(&ctx));
    assert_string_equal(c.name, "web1");
    assert_int_equal(c.http01_port, 5002);
    assert_int_equal(c.tls_alpn_port, 0); /* only where it stands */
    assert_int_equal(c.workers, 3);
    assert_true(rc_ok(agent_config_command(&ctx, &c, "a", &cmd)));
    assert_string_equal(cmd->argv[2], "3");
    assert_null(cmd->argv[3]);
    assert_true(rc_ok(agent_config_command(&ctx, &c, "b", &cmd)));
    assert_int_equal(cmd->timeout_s, 5);
    assert_int_equal(agent_config_command(&ctx, &c, "c", &cmd).e, E_NOT_GRANTED);
}

static void mistakes_are_refused_with_file_and_line(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"name: a\nsecret: x\n", "agent.yaml:2"},
        {"commands: {x: /bin/sh -c true}\n", "agent.yaml:1"},
        {"commands:\n  x: [sh, -c, ls]\n", "absolute path"},
        {"paths: [etc]\n", "paths: etc"},
        {"paths: [/]\n", "paths: /"},
        {"paths: [/a/../b]\n", "paths: /a/../b"},
        {"workers: 0\n", "workers must be"},
        {"http01: {port: 99999}\n", "port must be"},
        {"tls_alpn: 443\n", "tls_alpn must hold"},
        {"tls_alpn: {port: 0}\n", "port must be"},
        {"scan: all\n", "scan must hold"},
        {"inventory: all\n", "inventory must hold"},
        {"inventory: {folders: [ssl]}\n", "ssl is not an absolute path"},
        {"inventory: {usual: 1}\n", "usual must be true or false"},
        {"inventory: {stores: [{file: /a}]}\n", "absolute paths of files"},
        {"scan: {networks: [10.0.0.1/8]}\n", "10.0.0.1/8 is not a network"},
        {"scan: {ports: [0]}\n", "ports must be"},
        {"scan: {ports: [9-8]}\n", "ports must be"},
        {"scan: {ports: [1-65536]}\n", "ports must be"},
        {"scan: {ports: [[1]]}\n", "ports must be"},
        {"scan: {rate: 0}\n", "rate must be"},
        {"scan: {speed: 1}\n", "speed"},
        {"- a\n", "agent.yaml"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct agent_config c;
        ctx_init(&ctx, &clock_system);
        assert_true(rc_failed(agent_config_parse(&ctx, "agent.yaml", bytes_z(rows[i].text), &c)));
        if (strstr(ctx_why(&ctx), rows[i].says) == NULL)
            fail_msg("%s: %s", rows[i].text, ctx_why(&ctx));
    }
}

static void ports_may_be_scanned_where_they_are_granted(void **state)
{
    static const struct {
        const char *text;
        uint16_t port;
        bool granted;
    } rows[] = {
        {"scan: {networks: [10.0.0.0/8]}\n", 1, true},          {"scan: {ports: [443, 8000-8999]}\n", 443, true},
        {"scan: {ports: [443, 8000-8999]}\n", 444, false},      {"scan: {ports: [443, 8000-8999]}\n", 8000, true},
        {"scan: {ports: [443, 8000-8999]}\n", 8999, true},      {"scan: {ports: [443, 8000-8999]}\n", 9000, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct agent_config c;
        ctx_init(&ctx, &clock_system);
        assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", bytes_z(rows[i].text), &c)));
        assert_int_equal(agent_config_scan_port(&c, rows[i].port), rows[i].granted);
        assert_int_equal(c.scan_rate, 500);
    }
}

static void only_paths_below_a_grant_are_allowed(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct agent_config c;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", bytes_z(good), &c)));
    assert_true(agent_config_path_allowed(&c, "/etc/ssl/x/a.pem"));
    assert_true(agent_config_path_allowed(&c, "/srv/www/a"));
    assert_false(agent_config_path_allowed(&c, "/etc/ssl/xy/a.pem"));
    assert_false(agent_config_path_allowed(&c, "/etc/ssl/x/../y"));
    assert_false(agent_config_path_allowed(&c, "/etc/ssl/x//a"));
    assert_false(agent_config_path_allowed(&c, "etc/ssl/x/a"));
    assert_false(agent_config_path_allowed(&c, "/etc/ssl/x/a/"));
}

static void a_file_that_others_may_write_is_not_trusted(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct agent_config c;
    char path[] = "/tmp/cw-config-XXXXXX";
    (void)state;
    ctx_init(&ctx, &clock_system);
    int fd = mkstemp(path);
    assert_true(write(fd, good, sizeof good - 1) > 0);
    assert_true(rc_ok(agent_config_load(&ctx, path, &c)));
    assert_int_equal(fchmod(fd, 0660), 0);
    assert_int_equal(agent_config_load(&ctx, path, &c).e, E_NOT_GRANTED);
    close(fd);
    unlink(path);
    assert_int_equal(agent_config_load(&ctx, path, &c).e, E_NOT_FOUND);
}

static void the_connectors_that_come_along_are_good(void **state)
{
    static const char *const names[] = {"nginx", "files", "webroot", "listener"};
    CTX_CLEANUP struct ctx ctx;
    struct agent_config cfg;
    struct connector c;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", bytes_z(good), &cfg)));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (rc_failed(connector_load(&ctx, &cfg, names[i], &c)))
            fail_msg("%s", ctx_why(&ctx));
    assert_int_equal(connector_load(&ctx, &cfg, "../x", &c).e, E_NOT_GRANTED);
    cfg.connectors.n = 1;
    assert_int_equal(connector_load(&ctx, &cfg, "files", &c).e, E_NOT_GRANTED);
}

static void a_description_outside_the_schema_is_refused_with_its_line(void **state)
{
    static const char *const bad[] = {
        "connector: x\nrun: [/bin/sh]\n",
        "connector: x\nparameters: {p: {type: path}}\nfiles:\n  - {content: key, path: p, mode: \"0644\"}\n",
        "connector: x\nparameters: {p: {type: path}}\nfiles:\n  - {content: wrong, path: p, mode: \"0644\"}\n",
        "connector: x\nfiles:\n  - {content: leaf, path: p, mode: \"0644\"}\n",
        "connector: x\nparameters: {p: {type: path}}\ncheck: \"{p}\"\n",
        "connector: x\nparameters: {p: {type: argv}}\n",
        "connector: x\ndiscover: {command: c, reader: none}\n",
        "connector: x\nchallenge: webroot\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct connector c;
        ctx_init(&ctx, &clock_system);
        assert_int_equal(connector_parse(&ctx, "x.yaml", bytes_z(bad[i]), &c).e, E_INVALID);
        if (strstr(ctx_why(&ctx), "x.yaml:") == NULL)
            fail_msg("%s: %s", bad[i], ctx_why(&ctx));
    }
}

static void parameters_are_checked_against_description_and_grants(void **state)
{
    static const struct {
        const char *params;
        enum err e;
    } rows[] = {
        {"{\"certificate\":\"/etc/ssl/x/c\",\"key\":\"/etc/ssl/x/k\"}", E_OK},
        {"{\"certificate\":\"/etc/ssl/x/c\",\"key\":\"/etc/ssl/x/k\",\"owner\":\"root\"}", E_OK},
        {"{\"certificate\":\"/etc/ssl/x/c\"}", E_INVALID},
        {"{\"certificate\":\"/etc/ssl/x/c\",\"key\":\"/etc/shadow\"}", E_NOT_GRANTED},
        {"{\"certificate\":\"/etc/ssl/x/c\",\"key\":\"/etc/ssl/x/k\",\"owner\":\"nobody\"}", E_NOT_GRANTED},
        {"{\"certificate\":\"/etc/ssl/x/c\",\"key\":\"/etc/ssl/x/k\",\"argv\":\"x\"}", E_INVALID},
        {"{\"certificate\":7,\"key\":\"/etc/ssl/x/k\"}", E_INVALID},
    };
    CTX_CLEANUP struct ctx ctx;
    struct agent_config cfg;
    struct connector c;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", bytes_z(good), &cfg)));
    assert_true(rc_ok(connector_load(&ctx, &cfg, "nginx", &c)));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *params = NULL;
        assert_true(rc_ok(json_read(&ctx, bytes_z(rows[i].params), &params)));
        assert_int_equal(connector_check_params(&ctx, &cfg, &c, params).e, rows[i].e);
        json_decref(params);
    }
}

static void put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_description_is_kept_and_yet_read_as_it_stands_now(void **state)
{
    static const char first[] = "connector: nginx\nparameters:\n  a: {type: path, required: true}\nfiles:\n"
                                "  - {content: key, path: a, mode: \"0600\"}\n";
    static const char then[] = "connector: nginx\nparameters:\n  b: {type: path, required: true}\nfiles:\n"
                               "  - {content: key, path: b, mode: \"0600\"}\n";
    CTX_CLEANUP struct ctx ctx;
    __attribute__((cleanup(connector_shelf_free))) struct connector_shelf shelf = CONNECTOR_SHELF_INIT;
    struct agent_config cfg;
    struct connector c, again;
    char folder[] = "/tmp/cw-connectors-XXXXXX";
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(agent_config_parse(&ctx, "agent.yaml", bytes_z(good), &cfg)));
    assert_non_null(mkdtemp(folder));
    cfg.connectors_dir = folder;
    cfg.shelf = &shelf;
    const char *path = arena_printf(&ctx.arena, "%s/nginx.yaml", folder);
    put_text(path, first);
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(rc_ok(connector_use(&ctx, &cfg, "nginx", &c)));
    assert_true(rc_ok(connector_use(&ctx, &cfg, "nginx", &again)));
    assert_int_equal(shelf.n, 1);
    assert_string_equal(again.params[0].name, "a");
    put_text(path, then);
    assert_true(rc_ok(connector_use(&ctx, &cfg, "nginx", &again)));
    assert_string_equal(again.params[0].name, "b");
    assert_string_equal(c.params[0].name, "a"); /* whoever works with the one before still has it */
    put_text(path, "connector: nginx\nargv: x\n");
    assert_int_equal(connector_use(&ctx, &cfg, "nginx", &again).e, E_INVALID);
    put_text(path, first);
    assert_int_equal(chmod(path, 0666), 0); /* kept or not: others may change it */
    assert_int_equal(connector_use(&ctx, &cfg, "nginx", &again).e, E_NOT_GRANTED);
    assert_int_equal(shelf.n, 2);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void remove_folder(struct ctx *ctx, const char *folder)
{
    assert_int_equal(unlink(arena_printf(&ctx->arena, "%s/log", folder)), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void results_are_read_back_until_they_are_acknowledged(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct results r;
    char folder[] = "/tmp/cw-results-XXXXXX";
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_non_null(mkdtemp(folder));
    assert_true(rc_ok(results_open(&ctx, folder, &r)));
    assert_true(rc_ok(results_add(&ctx, &r, "job1", 1, "{\"id\":\"job1\",\"fence\":1,\"ok\":true}")));
    assert_true(rc_ok(results_add(&ctx, &r, "job2", 5, "{\"id\":\"job2\",\"fence\":5,\"ok\":false}")));
    assert_true(rc_ok(results_add(&ctx, &r, "job1", 2, "{\"id\":\"job1\",\"fence\":2,\"ok\":true}")));
    assert_true(rc_ok(results_add(&ctx, &r, "job1", 1, "{\"id\":\"job1\",\"fence\":1,\"ok\":true}"))); /* an older lease's */
    results_free(&r);
    assert_true(rc_ok(results_open(&ctx, folder, &r)));
    assert_non_null(r.first);
    assert_non_null(r.first->next);
    assert_null(r.first->next->next);
    results_acked(&ctx, &r, "job1", 1); /* replaced since: stays */
    results_acked(&ctx, &r, "job2", 5);
    results_free(&r);
    assert_true(rc_ok(results_open(&ctx, folder, &r)));
    assert_string_equal(r.first->id, "job1");
    assert_int_equal(r.first->fence, 2);
    assert_null(r.first->next);
    results_acked(&ctx, &r, "job1", 2);
    results_free(&r);
    assert_true(rc_ok(results_open(&ctx, folder, &r)));
    assert_null(r.first);
    results_free(&r);
    remove_folder(&ctx, folder);
}

static void a_torn_end_of_the_log_loses_nothing_but_itself(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct results r;
    char folder[] = "/tmp/cw-results-XXXXXX";
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_non_null(mkdtemp(folder));
    assert_true(rc_ok(results_open(&ctx, folder, &r)));
    assert_true(rc_ok(results_add(&ctx, &r, "job1", 1, "{\"id\":\"job1\",\"fence\":1,\"ok\":true}")));
    assert_int_equal(write(r.fd, "garbage\n{\"id\":\"job2\",\"fe", 25), 25);
    results_free(&r);
    assert_true(rc_ok(results_open(&ctx, folder, &r)));
    assert_string_equal(r.first->id, "job1");
    assert_null(r.first->next);
    assert_true(rc_ok(results_add(&ctx, &r, "job3", 3, "{\"id\":\"job3\",\"fence\":3,\"ok\":true}")));
    results_free(&r);
    assert_true(rc_ok(results_open(&ctx, folder, &r)));
    assert_string_equal(r.first->next->id, "job3");
    results_free(&r);
    remove_folder(&ctx, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_file_is_read),
        cmocka_unit_test(mistakes_are_refused_with_file_and_line),
        cmocka_unit_test(ports_may_be_scanned_where_they_are_granted),
        cmocka_unit_test(only_paths_below_a_grant_are_allowed),
        cmocka_unit_test(a_file_that_others_may_write_is_not_trusted),
        cmocka_unit_test(the_connectors_that_come_along_are_good),
        cmocka_unit_test(a_description_outside_the_schema_is_refused_with_its_line),
        cmocka_unit_test(parameters_are_checked_against_description_and_grants),
        cmocka_unit_test(a_description_is_kept_and_yet_read_as_it_stands_now),
        cmocka_unit_test(results_are_read_back_until_they_are_acknowledged),
        cmocka_unit_test(a_torn_end_of_the_log_loses_nothing_but_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
