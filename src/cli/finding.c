/* certwright finding … */
#include "cli/found.h"

#define FINDINGS "/api/v1/findings"

/* What is looked at; as a table without what holds nowhere. */
static struct rc checks(struct cli *cli)
{
    static const struct cli_column columns[] = {{"CHECK", "check", CLI_PLAIN},
                                                {"SEVERITY", "severity", CLI_PLAIN},
                                                {"CERTIFICATES", "certificates", CLI_PLAIN},
                                                {"MEANS", "words", CLI_PLAIN},
                                                {"REMEDY", "remedy", CLI_PLAIN}};
    json_auto_t *got = NULL, *holding = json_array();
    TRY(cli_call(cli, "GET", "/api/v1/checks", (struct bytes){0}, &got));
    const json_t *all = json_object_get(got, "items");
    for (size_t i = 0; i < json_array_size(all); i++)
        if (json_integer_value(json_object_get(json_array_get(all, i), "certificates")) > 0)
            json_array_append(holding, json_array_get(all, i));
    if (cli->output == CLI_TABLE && !json_array_size(holding)) {
        puts("Nothing is wrong with any certificate that is known.");
        return RC_OK;
    }
    return cli_print_list(cli, cli->output == CLI_TABLE ? holding : all, columns, sizeof columns / sizeof *columns, "check");
}

static const struct cli_column finding_columns[] = {
    {"CHECK", "check", CLI_PLAIN},       {"SEVERITY", "severity", CLI_PLAIN}, {"CERTIFICATE", "fingerprint", CLI_SHORT_HEX},
    {"ENDPOINT", "endpoint", CLI_PLAIN}, {"EXPIRES", "not_after", CLI_AGO},   {"TEAM", "team", CLI_PLAIN},
    {"SINCE", "since", CLI_AGO},         {"DETAIL", "detail", CLI_PLAIN},     {"ACCEPTED BY", "accepted_by", CLI_PLAIN}};
#define FINDING_COLUMNS (sizeof finding_columns / sizeof *finding_columns)

RC verb_finding_list(struct cli *cli)
{
    const char *check = NULL;
    TRY(cli_one_arg(cli, &check));
    if (!check && !cli_has(cli, "accepted") && !cli_has(cli, "limit") && cli->output != CLI_PEM)
        return checks(cli);
    const char *path = check ? cli_path(cli, FINDINGS "?check=", check, "") : FINDINGS;
    if (cli_has(cli, "accepted"))
        path = arena_printf(&cli->ctx->arena, "%s%saccepted=true", path, check ? "&" : "?");
    return cli_list_some(cli, path, finding_columns, FINDING_COLUMNS, "fingerprint");
}

RC verb_finding_accept(struct cli *cli)
{
    if (cli->args.n < 2)
        return ctx_fail(cli->ctx, E_USAGE, "name the check and a certificate: certwright finding accept self_signed FINGERPRINT");
    json_auto_t *said = json_array();
    for (size_t i = 1; i < cli->args.n; i++) {
        struct cli_body b;
        json_auto_t *got = NULL;
        cli_body_begin(cli, &b);
        json_put_str(&b.j, "check", cli->args.v[0]);
        json_put_str(&b.j, "fingerprint", cli->args.v[i]);
        json_put_bool(&b.j, "accept", !cli_has(cli, "undo"));
        if (cli_opt(cli, "reason"))
            json_put_str(&b.j, "reason", cli_opt(cli, "reason"));
        if (cli_has(cli, "for"))
            json_put_int(&b.j, "for_s", cli_number(cli, "for", 0));
        TRY(cli_call(cli, "POST", FINDINGS "/accept", cli_body_end(&b), &got));
        const json_t *all = json_object_get(got, "findings");
        for (size_t k = 0; k < json_array_size(all); k++)
            if (str_equal(cli_text(json_array_get(all, k), "check"), cli->args.v[0]))
                json_array_append(said, json_array_get(all, k));
    }
    if (cli->output != CLI_TABLE)
        return cli_print_list(cli, said, finding_columns, FINDING_COLUMNS, "fingerprint");
    for (size_t i = 1; i < cli->args.n; i++)
        cli_say(cli, cli_has(cli, "undo") ? "%s of %.16s is told of again." : "%s of %.16s is accepted: lists leave it out.",
                cli->args.v[0], cli->args.v[i]);
    return RC_OK;
}

/* --- rules */

#define RULES "/api/v1/finding-rules"

static const char *limits_text(struct cli *cli, const json_t *limits)
{
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, 1024);
    for (size_t i = 0; i < json_array_size(limits); i++) {
        const json_t *l = json_array_get(limits, i);
        const json_int_t value = json_integer_value(json_object_get(l, "value")),
                         usual = json_integer_value(json_object_get(l, "usual"));
        buf_printf(&b, "%s%s=%lld", i ? " " : "", cli_text(l, "name"), (long long)value);
        if (value != usual)
            buf_printf(&b, " (%lld)", (long long)usual);
    }
    return buf_z(&b);
}

static void say_list(struct cli *cli, const json_t *rules, const char *key, const char *what)
{
    const json_t *list = json_object_get(rules, key);
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, (size_t)1 << 20);
    for (size_t i = 0; i < json_array_size(list); i++)
        buf_printf(&b, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
    cli_say(cli, "%s: %s", what, b.n ? buf_z(&b) : "none");
}

/* What is not as usual has the usual one behind it. */
static struct rc rules_print(struct cli *cli, const json_t *rules)
{
    static const struct cli_column columns[] = {{"CHECK", "check", CLI_PLAIN},
                                                {"STATE", "state", CLI_PLAIN},
                                                {"SEVERITY", "severity_shown", CLI_PLAIN},
                                                {"LIMITS", "limits_shown", CLI_PLAIN},
                                                {"MEANS", "words", CLI_PLAIN}};
    const json_t *checks = json_object_get(rules, "checks");
    if (cli->output != CLI_TABLE && cli->output != CLI_CSV && cli->output != CLI_NAME)
        return cli_print_object(cli, rules, "revision");
    for (size_t i = 0; i < json_array_size(checks); i++) {
        json_t *c = json_array_get(checks, i);
        const char *severity = cli_text(c, "severity"), *usual = cli_text(c, "usual_severity");
        const char *shown = str_equal(severity, usual) ? severity : arena_printf(&cli->ctx->arena, "%s (%s)", severity, usual);
        json_object_set_new(c, "severity_shown", json_string(shown));
        json_object_set_new(c, "limits_shown", json_string(limits_text(cli, json_object_get(c, "limits"))));
    }
    TRY(cli_print_list(cli, checks, columns, sizeof columns / sizeof *columns, "check"));
    say_list(cli, rules, "domains", "\nOur domains");
    say_list(cli, rules, "issuers", "May issue for them");
    say_list(cli, rules, "inner_names", "Names that exist only inside end with");
    say_list(cli, rules, "distrusted", "Not believed, besides those that browsers do not believe");
    return RC_OK;
}

RC verb_finding_rules(struct cli *cli)
{
    json_auto_t *got = NULL;
    TRY(cli_call(cli, "GET", RULES, (struct bytes){0}, &got));
    return rules_print(cli, got);
}

/* Not split at commas: names of organizations have some. */
static void put_names(struct cli *cli, struct cli_body *b, const char *key, const char *option)
{
    if (!cli_has(cli, option))
        return;
    json_open_list(&b->j, key);
    for (size_t i = 0; i < cli->values_n; i++)
        if (str_equal(cli->values[i].option->name, option) && *cli->values[i].text)
            json_put_str(&b->j, NULL, cli->values[i].text);
    json_close(&b->j);
}

static struct rc put_limits(struct cli *cli, struct cli_body *b)
{
    const struct str_list given = cli_list_opt(cli, "limit");
    json_open_list(&b->j, "limits");
    for (size_t i = 0; i < given.n; i++) {
        struct bytes rest = bytes_z(given.v[i]), name;
        int64_t value = 0;
        if (bytes_find(rest, BYTES_LIT("=")) == SIZE_MAX || !bytes_take_until(&rest, '=', &name) || !str_to_i64(rest, &value))
            return ctx_fail(cli->ctx, E_USAGE, "--limit takes NAME=NUMBER such as days=30, not \"%s\"", given.v[i]);
        json_open_obj(&b->j, NULL);
        json_put_bytes_str(&b->j, "name", name);
        json_put_int(&b->j, "value", value);
        json_close(&b->j);
    }
    json_close(&b->j);
    return RC_OK;
}

static struct rc put_checks(struct cli *cli, struct cli_body *b)
{
    static const char *const states[] = {"on", "off", "usual"};
    const char *state = NULL;
    bool any = cli_has(cli, "severity") || cli_has(cli, "limit");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (!cli_has(cli, states[i]))
            continue;
        if (state)
            return ctx_fail(cli->ctx, E_USAGE, "--on, --off or --usual, not two of them");
        state = states[i];
        any = true;
    }
    if (any != (cli->args.n > 0))
        return ctx_fail(cli->ctx, E_USAGE,
                        any ? "name the check: certwright finding set expiring --limit days=30"
                            : "say what: --on, --off, --severity, --limit or --usual");
    if (!any)
        return RC_OK;
    json_open_list(&b->j, "checks");
    for (size_t i = 0; i < cli->args.n; i++) {
        json_open_obj(&b->j, NULL);
        json_put_str(&b->j, "check", cli->args.v[i]);
        cli_body_text(b, "state", state);
        cli_body_text(b, "severity", cli_opt(cli, "severity"));
        TRY(put_limits(cli, b));
        json_close(&b->j);
    }
    json_close(&b->j);
    return RC_OK;
}

RC verb_finding_set(struct cli *cli)
{
    static const struct {
        const char *option, *key;
    } lists[] = {{"domain", "domains"}, {"issuer", "issuers"}, {"inner-name", "inner_names"}, {"distrust", "distrusted"}};
    struct cli_body b;
    json_auto_t *got = NULL;
    bool any = cli->args.n > 0;
    cli_body_begin(cli, &b);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        put_names(cli, &b, lists[i].key, lists[i].option);
        any |= cli_has(cli, lists[i].option);
    }
    TRY(put_checks(cli, &b));
    if (!any)
        return ctx_fail(cli->ctx, E_USAGE, "say what: a check with --on, --off, --severity or --limit; --domain, --issuer, …");
    TRY(cli_call(cli, "PATCH", RULES, cli_body_end(&b), &got));
    return cli->output == CLI_TABLE ? RC_OK : rules_print(cli, got);
}
