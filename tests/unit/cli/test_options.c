/* What command lines mean. */
#include "base/base_test.h"

#include "cli/cli.h"

struct parsed {
    struct ctx ctx;
    struct cli cli;
    struct rc rc;
};

#define PARSE(p, ...)                                                                                                              \
    do {                                                                                                                           \
        char *argv_[] = {(char *)"certwright", __VA_ARGS__, NULL};                                                                 \
        ctx_init(&(p)->ctx, &clock_system);                                                                                        \
        (p)->cli = (struct cli){.ctx = &(p)->ctx};                                                                                 \
        (p)->rc = cli_parse(&(p)->cli, (int)(sizeof argv_ / sizeof *argv_) - 1, argv_);                                            \
    } while (0)

static void a_noun_a_verb_names_and_options(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, (char *)"cert", (char *)"add", (char *)"a.example", (char *)"--to", (char *)"nginx,files", (char *)"b.example",
          (char *)"--to=other", (char *)"-ojson", (char *)"--timeout", (char *)"5m");
    assert_ok(p.rc);
    assert_string_equal(p.cli.verb->verb, "add");
    assert_int_equal(p.cli.args.n, 2);
    assert_string_equal(p.cli.args.v[1], "b.example");
    const struct str_list to = cli_list_opt(&p.cli, "to");
    assert_int_equal(to.n, 3);
    assert_string_equal(to.v[2], "other");
    assert_int_equal(p.cli.output, CLI_JSON);
    assert_int_equal(cli_number(&p.cli, "timeout", 0), 300);
    ctx_free(&p.ctx);
}

static void after_two_dashes_everything_is_a_name(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, (char *)"cert", (char *)"show", (char *)"--", (char *)"--odd");
    assert_ok(p.rc);
    assert_string_equal(p.cli.args.v[0], "--odd");
    ctx_free(&p.ctx);
}

static void mistakes_are_usage_and_name_what_is_wrong(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, (char *)"cert", (char *)"frobnicate");
    assert_err(p.rc, E_USAGE);
    assert_non_null(strstr(ctx_why(&p.ctx), "frobnicate"));
    ctx_free(&p.ctx);
    PARSE(&p, (char *)"cert", (char *)"add");
    assert_err(p.rc, E_USAGE);
    ctx_free(&p.ctx);
    PARSE(&p, (char *)"cert", (char *)"show", (char *)"a", (char *)"b");
    assert_err(p.rc, E_USAGE);
    ctx_free(&p.ctx);
    PARSE(&p, (char *)"cert", (char *)"list", (char *)"--to", (char *)"x");
    assert_err(p.rc, E_USAGE);
    ctx_free(&p.ctx);
    PARSE(&p, (char *)"cert", (char *)"add", (char *)"a", (char *)"--timeout", (char *)"soon");
    assert_err(p.rc, E_USAGE);
    ctx_free(&p.ctx);
    PARSE(&p, (char *)"status", (char *)"-o", (char *)"xml");
    assert_err(p.rc, E_USAGE);
    ctx_free(&p.ctx);
    PARSE(&p, (char *)"cert");
    assert_err(p.rc, E_USAGE);
    ctx_free(&p.ctx);
}

static void help_is_found_from_everywhere(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, (char *)"cert", (char *)"add", (char *)"--help");
    assert_ok(p.rc);
    assert_string_equal(p.cli.verb->verb, "help");
    assert_string_equal(p.cli.args.v[0], "cert");
    assert_string_equal(p.cli.args.v[1], "add");
    ctx_free(&p.ctx);
    PARSE(&p, (char *)"-h");
    assert_ok(p.rc);
    assert_string_equal(p.cli.verb->verb, "help");
    assert_int_equal(p.cli.args.n, 0);
    ctx_free(&p.ctx);
}

/* The table itself: options belong to verbs that are there, nouns have verbs, names are said once. */
static void the_table_is_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_options_n; i++) {
        const struct cli_option *o = &cli_options[i];
        assert_true((!*o->noun && !*o->verb) || cli_verb_find(o->noun, o->verb) != NULL);
        assert_true((o->kind == CLI_FLAG) == (*o->value == '\0'));
        for (size_t k = i + 1; k < cli_options_n; k++)
            assert_false(str_equal(o->noun, cli_options[k].noun) && str_equal(o->verb, cli_options[k].verb) &&
                         str_equal(o->name, cli_options[k].name));
    }
    for (size_t i = 0; i < cli_verbs_n; i++)
        assert_true(!*cli_verbs[i].noun || cli_noun_is(cli_verbs[i].noun));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_noun_a_verb_names_and_options),
        cmocka_unit_test(after_two_dashes_everything_is_a_name),
        cmocka_unit_test(mistakes_are_usage_and_name_what_is_wrong),
        cmocka_unit_test(help_is_found_from_everywhere),
        cmocka_unit_test(the_table_is_in_order),
    };
    return cmocka_run_group_tests_name("cli/options", tests, NULL, NULL);
}
