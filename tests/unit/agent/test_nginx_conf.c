/* The reader of `nginx -T` and the challenge lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/discover.h"
#include "agent/nginx_conf.h"

static const char dump[] =
    "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"
    "# configuration file /etc/nginx/nginx.conf:\n"
    "events { worker_connections 10; }\n"
    "stream { server { listen 993 ssl; ssl_certificate /s/mail.pem; ssl_certificate_key /s/mail.key; } }\n"
    "http {\n"
    "    ssl_certificate shared.pem; ssl_certificate_key \"shared.key\";\n"
    "    map $host $x { default 'a b;{'; \"~^(?<n>\\w{2})$\" 1; }\n"
    "    include sites/*.conf;\n"
    "}\n"
    "\n"
    "# configuration file /etc/nginx/sites/a.conf:\n"
    "# server { listen 1; }\n"
    "server {\n"
    "    listen 80; listen [::]:80 default_server;\n"
    "    server_name a.example *.a.example;\n"
    "    return 301 https://$host${request_uri};\n"
    "}\n"
    "server { listen 443 ssl; listen [::]:443 ssl; server_name a.example;\n"
    "  include snippets/tls.conf;\n"
    "  location / { content_by_lua_block { if x then y(\"}\") end -- }\n } } }\n"
    "# configuration file /etc/nginx/snippets/tls.conf:\n"
    "ssl_certificate /etc/ssl/a.pem;\n"
    "ssl_certificate_key /etc/ssl/a.key;\n"
    "# configuration file /etc/nginx/sites/b.conf:\n"
    "server { server_name b.example; listen 127.0.0.1:8443 ssl; }\n"
    "server { server_name c.example; listen 8444 ssl; ssl_certificate /x/$ssl_server_name.pem; ssl_certificate_key k; }\n";

static void reads_blocks_includes_and_inherited_files(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct nginx_conf conf;
    (void)state;
    ctx_init(&ctx, &clock_system);
    struct rc rc = nginx_conf_read(&ctx, bytes_z(dump), &conf);
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(&ctx));
    assert_int_equal(conf.n, 5);
    assert_false(conf.servers[0].http);
    assert_string_equal(conf.servers[1].file, "/etc/nginx/sites/a.conf");
    assert_int_equal(conf.servers[1].line, 2);
    assert_int_equal(conf.servers[1].names.n, 2);
    assert_int_equal(conf.servers[1].n_listens, 2);
    assert_string_equal(conf.servers[2].pairs[0].certificate, "/etc/ssl/a.pem");
    assert_string_equal(conf.servers[2].pairs[0].key, "/etc/ssl/a.key");
    assert_true(conf.servers[2].listens[0].ssl);
    assert_string_equal(conf.servers[3].pairs[0].certificate, "/etc/nginx/shared.pem");
    assert_string_equal(conf.servers[3].listens[0].address, "127.0.0.1");
    assert_int_equal(conf.servers[3].listens[0].port, 8443);
    assert_int_equal(conf.servers[4].n_pairs, 0);
}

static void offers_a_target_for_each_pair_of_files(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    BUF_CLEANUP struct buf b;
    struct nginx_conf conf;
    struct json_out j;
    json_t *list;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init(&b, 65536);
    assert_true(rc_ok(nginx_conf_read(&ctx, bytes_z(dump), &conf)));
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    discover_put_nginx(&ctx, &j, "nginx", &conf);
    json_close(&j);
    assert_true(rc_ok(json_read(&ctx, buf_bytes(&b), &list)));
    assert_int_equal(json_array_size(list), 3);
    const json_t *a = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(a, "name")), "a.example");
    const json_t *ends = json_object_get(a, "endpoints");
    assert_int_equal(json_array_size(ends), 1); /* [::] is the same listener to a client here */
    assert_string_equal(json_string_value(json_object_get(json_array_get(ends, 0), "address")), "127.0.0.1");
    json_decref(list);
}

static void finds_the_blocks_that_answer_http01(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct nginx_conf conf;
    size_t n;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(nginx_conf_read(&ctx, bytes_z(dump), &conf)));
    const struct nginx_server **found = nginx_find_http01(&ctx, &conf, "x.A.example", 80, &n);
    assert_int_equal(n, 1);
    assert_int_equal(found[0]->line, 2);
    nginx_find_http01(&ctx, &conf, "nobody.example", 80, &n); /* the default server */
    assert_int_equal(n, 1);
    nginx_find_http01(&ctx, &conf, "a.example", 81, &n);
    assert_int_equal(n, 0);
}

static void refuses_what_is_not_nginx(void **state)
{
    static const char *const bad[] = {"hello", "# configuration file /x:\nhttp {", "# configuration file /x:\n}",
        "# configuration file /x:\na 'b",
                                      "# configuration file /x:\nlisten 80", "# configuration file /x:\n{}"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct nginx_conf conf;
        ctx_init(&ctx, &clock_system);
        assert_int_equal(nginx_conf_read(&ctx, bytes_z(bad[i]), &conf).e, E_PARSE);
    }
}

static void an_include_of_itself_ends(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct nginx_conf conf;
    (void)state;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_failed(nginx_conf_read(&ctx, bytes_z("# configuration file /x:\ninclude /x; include /x;\n"), &conf)));
}

/* Inserts two challenges, takes them away in both orders, and what is left is byte for byte what was there. */
static void round_trip(const char *text, int line)
{
    for (int order = 0; order < 2; order++) {
        CTX_CLEANUP struct ctx ctx;
        struct buf one, two, three, four;
        size_t at;
        ctx_init(&ctx, &clock_system);
        buf_init_arena(&one, &ctx.arena, 65536);
        buf_init_arena(&two, &ctx.arena, 65536);
        buf_init_arena(&three, &ctx.arena, 65536);
        buf_init_arena(&four, &ctx.arena, 65536);
        assert_true(rc_ok(nginx_block_offset(&ctx, "f", bytes_z(text), line, &at)));
        assert_true(rc_ok(nginx_challenge_insert(&ctx, bytes_z(text), at, "tok1", "tok1.AbC", &one)));
        assert_true(rc_ok(nginx_block_offset(&ctx, "f", buf_bytes(&one), line, &at)));
        assert_true(rc_ok(nginx_challenge_insert(&ctx, buf_bytes(&one), at, "tok2", "tok2.AbC", &two)));
        assert_int_equal(nginx_challenge_remove(buf_bytes(&two), order == 0 ? "tok1" : "tok2", &three), 1);
        assert_int_equal(nginx_challenge_remove(buf_bytes(&three), "nothing", &four), 0);
        buf_reset(&four);
        assert_int_equal(nginx_challenge_remove(buf_bytes(&three), order == 0 ? "tok2" : "tok1", &four), 1);
        assert_string_equal(buf_z(&four), text);
    }
}

static void challenge_lines_leave_no_trace(void **state)
{
    (void)state;
    round_trip("server {\n    listen 80;\n}\n", 1);
    round_trip("server { listen 80; return 301 https://x; }", 1);
    round_trip("http {\n server\n {listen 80;}\n}\n", 2);
    round_trip("server {\r\n listen 80;\r\n}\r\n", 1);
    round_trip("server {}", 1);
    round_trip("server { # main\n listen 80; }\n", 1);
}

static void edits_of_others_stay_when_the_challenge_goes(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct buf one, two;
    size_t at;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&one, &ctx.arena, 65536);
    buf_init_arena(&two, &ctx.arena, 65536);
    assert_true(rc_ok(nginx_block_offset(&ctx, "f", BYTES_LIT("server { listen 80; }\n"), 1, &at)));
    assert_true(rc_ok(nginx_challenge_insert(&ctx, BYTES_LIT("server { listen 80; }\n"), at, "t", "t.k", &one)));
    buf_put_z(&one, "server { listen 81; }\n");
    assert_int_equal(nginx_challenge_remove(buf_bytes(&one), "t", &two), 1);
    assert_string_equal(buf_z(&two), "server { listen 80; }\nserver { listen 81; }\n");
    /* a comment that somebody wrote behind the brace must not swallow what stood there */
    buf_reset(&one);
    buf_reset(&two);
    buf_put_z(&one, "server { # note\n    if ($uri = \"/x\") { return 200 \"y\"; } # certwright t+\n listen 80; }\n");
    assert_int_equal(nginx_challenge_remove(buf_bytes(&one), "t", &two), 1);
    assert_string_equal(buf_z(&two), "server { # note\n listen 80; }\n");
}

static void a_token_that_could_be_configuration_is_refused(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct buf b;
    (void)state;
    ctx_init(&ctx, &clock_system);
    buf_init_arena(&b, &ctx.arena, 65536);
    assert_int_equal(nginx_challenge_insert(&ctx, BYTES_LIT("server {}"), 8, "a\"; }", "x", &b).e, E_INVALID);
    assert_int_equal(nginx_challenge_insert(&ctx, BYTES_LIT("server {}"), 8, "a", "$x", &b).e, E_INVALID);
    assert_int_equal(nginx_challenge_insert(&ctx, BYTES_LIT("server {}"), 8, "", "x", &b).e, E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_blocks_includes_and_inherited_files),
        cmocka_unit_test(offers_a_target_for_each_pair_of_files),
        cmocka_unit_test(finds_the_blocks_that_answer_http01),
        cmocka_unit_test(refuses_what_is_not_nginx),
        cmocka_unit_test(an_include_of_itself_ends),
        cmocka_unit_test(challenge_lines_leave_no_trace),
        cmocka_unit_test(edits_of_others_stay_when_the_challenge_goes),
        cmocka_unit_test(a_token_that_could_be_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
