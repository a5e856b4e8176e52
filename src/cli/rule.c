/* certwright rule …: what there is an alert of, and who is told. */
#include <stdio.h>

#include "base/yaml.h"
#include "cli/cli.h"
#include "cli/found.h"
#include "os/file.h"

#define RULES    "/api/v1/rules"
#define FILE_MAX ((size_t)65536)

RC verb_rule_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},       {"TEAM", "team", CLI_PLAIN},
                                                {"ENABLED", "enabled", CLI_YES},   {"BUILT IN", "built_in", CLI_YES},
                                                {"ALERTS", "alerts", CLI_PLAIN},   {"EVENTS", "spec.on", CLI_JOIN},
                                                {"CERTIFICATES", "spec.where", CLI_PLAIN}, {"HALTED", "halted", CLI_PLAIN},
                                                {"TROUBLE", "trouble", CLI_PLAIN}};
    return cli_list_some(cli, RULES, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_rule_show(struct cli *cli)
{
    return cli_show_at(cli, RULES "/");
}

/* A file is a rule as docs/ALERTS.md has it: its name and team, and beside them what the API has as its spec. */
static struct rc body_of(struct cli *cli, const char *path, const char *name, bool is_new, struct bytes *out, const char **where)
{
    static const char *const outer[] = {"name", "team", "enabled"};
    struct ctx *ctx = cli->ctx;
    struct bytes text;
    struct yaml y;
    struct cli_body b;
    TRY(file_read(ctx, path, FILE_MAX, &text));
    TRY(yaml_read(ctx, path, text, &y));
    struct rc rc = RC_OK;
    if (!json_is_object(y.root)) {
        rc = ctx_fail(ctx, E_INVALID, "%s is no rule: docs/ALERTS.md shows some", path);
    } else {
        cli_body_begin(cli, &b);
        for (size_t i = 0; i < sizeof outer / sizeof *outer; i++) {
            const json_t *value = json_object_get(y.root, outer[i]);
            const bool mine = i == 0 && name;
            if (mine)
                json_put_str(&b.j, "name", name);
            else if (value && (is_new || i != 1))
                json_put_value(&b.j, outer[i], value);
            json_object_del(y.root, outer[i]);
        }
        json_put_value(&b.j, "spec", y.root);
        *out = cli_body_end(&b);
        *where = arena_strdup(&ctx->arena, cli_text(y.root, "where"));
    }
    yaml_free(&y);
    return rc;
}

static struct rc show_made(struct cli *cli, const json_t *rule)
{
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, rule, "name");
    cli_say(cli, "To see what it would have told in the last week: certwright rule try %s", cli_text(rule, "name"));
    return RC_OK;
}

RC verb_rule_add(struct cli *cli)
{
    struct bytes body;
    const char *path, *where = NULL;
    json_auto_t *made = NULL;
    TRY(cli_one_arg(cli, &path));
    if (!path)
        return ctx_fail(cli->ctx, E_USAGE, "a file: certwright rule add rule.yaml");
    TRY(body_of(cli, path, cli_opt(cli, "name"), true, &body, &where));
    TRY(cli_pointed_out(cli, where, cli_call(cli, "POST", RULES, body, &made)));
    return show_made(cli, made);
}

RC verb_rule_edit(struct cli *cli)
{
    struct bytes body;
    const char *where = NULL;
    json_auto_t *now = NULL;
    if (cli->args.n != 2)
        return ctx_fail(cli->ctx, E_USAGE, "a rule and a file: certwright rule edit issuer-failing rule.yaml");
    TRY(body_of(cli, cli->args.v[1], cli_opt(cli, "name"), false, &body, &where));
    TRY(cli_pointed_out(cli, where, cli_call(cli, "PATCH", cli_path(cli, RULES "/", cli->args.v[0], ""), body, &now)));
    return show_made(cli, now);
}

static struct rc switch_each(struct cli *cli, bool on)
{
    if (!cli->args.n)
        return ctx_fail(cli->ctx, E_USAGE, "say which: certwright rule list shows them");
    for (size_t i = 0; i < cli->args.n; i++) {
        struct cli_body b;
        cli_body_begin(cli, &b);
        json_put_bool(&b.j, "enabled", on);
        TRY(cli_call(cli, "PATCH", cli_path(cli, RULES "/", cli->args.v[i], ""), cli_body_end(&b), NULL));
    }
    return RC_OK;
}

RC verb_rule_enable(struct cli *cli)
{
    return switch_each(cli, true);
}

RC verb_rule_disable(struct cli *cli)
{
    return switch_each(cli, false);
}

RC verb_rule_remove(struct cli *cli)
{
    return cli_remove_each(cli, RULES "/");
}

static struct rc since_of(struct cli *cli, const char **out)
{
    const char *text = cli_opt(cli, "since");
    struct buf at;
    int64_t t = 0, span = 0;
    *out = NULL;
    if (!text)
        return RC_OK;
    if (!time_parse_rfc3339(bytes_z(text), &t) &&
        !time_parse_rfc3339(bytes_z(arena_printf(&cli->ctx->arena, "%sT00:00:00Z", text)), &t)) {
        if (!str_parse_span(bytes_z(text), &span))
            return ctx_fail(cli->ctx, E_USAGE,
                            "--since is a day (2026-11-21), a time (2026-11-21T04:25:21Z), or how long ago (7d)");
        t = ctx_now_s(cli->ctx) - span;
    }
    buf_init_arena(&at, &cli->ctx->arena, 64);
    time_put_rfc3339(&at, t);
    *out = buf_z(&at);
    return RC_OK;
}

static void say_alert(struct cli *cli, const json_t *a)
{
    const char *name = cli_text(a, "object"), *closed = cli_text(a, "closed_at");
    const json_int_t count = json_integer_value(json_object_get(a, "count"));
    const json_t *steps = json_object_get(a, "steps");
    cli_say(cli, "%s  %-8s  %s %s %s%s", cli_text(a, "opened_at"), cli_text(a, "severity"), cli_text(a, "object_kind"),
            *name ? name : cli_text(a, "object_id"), cli_text(a, "words"),
            count > 1 ? arena_printf(&cli->ctx->arena, " (%lld times)", (long long)count) : "");
    for (size_t i = 0; i < json_array_size(steps); i++)
        cli_say(cli, "    %s  %s", cli_text(json_array_get(steps, i), "at"), cli_text(json_array_get(steps, i), "what"));
    if (*closed)
        cli_say(cli, "    %s  over", closed);
}

static struct rc try_page(struct cli *cli, const char *since, int64_t after, json_t **out)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    cli_body_text(&b, "since", since);
    if (after)
        json_put_int(&b.j, "after", after);
    return cli_call(cli, "POST", cli_path(cli, RULES "/", cli->args.v[0], "/try"), cli_body_end(&b), out);
}

RC verb_rule_try(struct cli *cli)
{
    const char *since;
    int64_t after = 0, events = 0;
    size_t n = 0;
    if (cli->args.n != 1)
        return ctx_fail(cli->ctx, E_USAGE, "say which: certwright rule try issuer-failing --since 30d");
    TRY(since_of(cli, &since));
    json_auto_t *all = json_array();
    for (bool more = true; more;) {
        json_auto_t *page = NULL;
        TRY(try_page(cli, since, after, &page));
        const json_t *items = json_object_get(page, "items");
        const int64_t was = after;
        for (size_t i = 0; i < json_array_size(items); i++)
            say_alert(cli, json_array_get(items, i));
        n += json_array_size(items);
        json_array_extend(all, json_object_get(page, "items"));
        events += json_integer_value(json_object_get(page, "events"));
        after = json_integer_value(json_object_get(page, "last"));
        more = json_is_true(json_object_get(page, "more")) && after > was;
    }
    if (cli->output != CLI_TABLE)
        return cli_print_list(cli, all, NULL, 0, "object_id");
    cli_say(cli, "%zu alert%s of %lld event%s.  Nobody was told.", n, n == 1 ? "" : "s", (long long)events, events == 1 ? "" : "s");
    return RC_OK;
}
