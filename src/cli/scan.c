/* certwright scan … */
#include <unistd.h>

#include "cli/cli.h"

#define SCANS   "/api/v1/scans"
#define LOOK_MS 500
#define TELL_MS 30000 /* where nobody watches a terminal */

static const struct cli_column columns[] = {
    {"NAME", "name", CLI_PLAIN},      {"STATE", "state", CLI_PLAIN}, {"TARGETS", "spec.targets", CLI_JOIN},
    {"DONE", "percent", CLI_PLAIN},   {"FOUND", "found", CLI_PLAIN}, {"NEW", "new_certificates", CLI_PLAIN},
    {"BEGUN", "started_at", CLI_AGO}, {"NEXT", "next_at", CLI_AGO},
};

static int64_t number(const json_t *scan, const char *key)
{
    return json_integer_value(json_object_get(scan, key));
}

RC verb_scan_list(struct cli *cli)
{
    json_auto_t *all = NULL;
    TRY(cli_all(cli, SCANS, INT64_MAX, &all));
    if (cli->output != CLI_JSON)
        for (size_t i = 0; i < json_array_size(all); i++) {
            json_t *s = json_array_get(all, i);
            const int64_t total = number(s, "total");
            json_object_set_new(
                s, "percent",
                json_string(total ? arena_printf(&cli->ctx->arena, "%lld %%", (long long)(number(s, "done") * 100 / total)) : ""));
        }
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

/* --- watching */

static const char *grouped(struct cli *cli, int64_t n)
{
    const char *plain = arena_printf(&cli->ctx->arena, "%lld", (long long)n);
    const size_t len = strlen(plain);
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, 64);
    for (size_t i = 0; i < len; i++)
        buf_printf(&b, "%s%c", i && (len - i) % 3 == 0 ? "," : "", plain[i]);
    return buf_z(&b);
}

static void tell(struct cli *cli, const json_t *s, bool line)
{
    const int64_t total = number(s, "total"), done = number(s, "done"), rate = number(s, "rate");
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, 400);
    buf_printf(&b, "%s: ", cli_text(s, "name"));
    if (!str_equal(cli_text(s, "state"), "running"))
        buf_printf(&b, "%s, ", cli_text(s, "state"));
    if (!total)
        buf_printf(&b, "waiting for %s", cli_text(json_array_get(json_object_get(s, "parts"), 0), "agent"));
    else
        buf_printf(&b, "%s of %s (%lld %%), %s with a certificate, %s new", grouped(cli, done), grouped(cli, total),
                   (long long)(done * 100 / total), grouped(cli, number(s, "found")), grouped(cli, number(s, "new_certificates")));
    if (rate)
        buf_printf(&b, ", %s a second", grouped(cli, rate));
    if (json_object_get(s, "left_s")) {
        buf_printf(&b, ", ");
        time_put_span_ms(&b, number(s, "left_s") * 1000);
        buf_printf(&b, " left");
    }
    fprintf(stderr, line ? "\r%s\033[K" : "%s\n", buf_z(&b));
    fflush(stderr);
}

/* What became of it, for people and as the exit code. */
static struct rc outcome(struct cli *cli, const json_t *s)
{
    const json_t *parts = json_object_get(s, "parts");
    const char *name = cli_text(s, "name");
    if (cli->output != CLI_TABLE)
        TRY(cli_print_object(cli, s, "name"));
    cli_say(cli,
            "%s: %s.  %s endpoints: %s with a certificate, %s silent, %s refused, %s failed otherwise%s; %s certificates are new.",
            name, cli_text(s, "state"), grouped(cli, number(s, "done")), grouped(cli, number(s, "found")),
            grouped(cli, number(s, "silent")), grouped(cli, number(s, "refused")), grouped(cli, number(s, "failed")),
            number(s, "skipped") ? arena_printf(&cli->ctx->arena, ", %s left alone", grouped(cli, number(s, "skipped"))) : "",
            grouped(cli, number(s, "new_certificates")));
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *remarks = json_object_get(json_array_get(parts, i), "remarks");
        for (size_t k = 0; k < json_array_size(remarks); k++)
            cli_say(cli, "  %s", json_string_value(json_array_get(remarks, k)));
    }
    if (!str_equal(cli_text(s, "state"), "failed"))
        return RC_OK;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *p = json_array_get(parts, i), *e = json_object_get(p, "last_error");
        if (str_equal(cli_text(p, "state"), "failed"))
            return ctx_fail(cli->ctx, err_by_name(cli_text(e, "code")), "%s: agent %s: %s", name, cli_text(p, "agent"),
                            cli_text(e, "text"));
    }
    return ctx_fail(cli->ctx, E_NOT_GRANTED, "%s: %s", name, cli_text(s, "error"));
}

struct watching {
    const char *name;
    int64_t told_ms;
    bool line, over;
};

static struct rc look(struct cli *cli, struct watching *w)
{
    json_auto_t *s = NULL;
    TRY(cli_call(cli, "GET", cli_path(cli, SCANS "/", w->name, ""), (struct bytes){0}, &s));
    w->over = !str_equal(cli_text(s, "state"), "running");
    if (w->line || (!w->over && clock_mono_ms() - w->told_ms >= TELL_MS)) {
        tell(cli, s, w->line);
        w->told_ms = clock_mono_ms();
    }
    if (w->over && w->line)
        fputc('\n', stderr);
    return w->over ? outcome(cli, s) : RC_OK;
}

static struct rc follow(struct cli *cli, const char *name)
{
    struct cli_leaver leaver;
    struct ctx *ctx = cli->ctx;
    struct watching w = {.name = name, .told_ms = clock_mono_ms(), .line = cli->tty && isatty(STDERR_FILENO)};
    struct rc rc = RC_OK;
    TRY(cli_connect(cli));
    TRY(cli_leaver_start(cli, &leaver,
                         arena_printf(&ctx->arena, "Left.  It goes on; see: certwright scan show %s --follow", name)));
    while (rc_ok(rc) && !w.over) {
        CTX_CLEANUP struct ctx turn; /* a scan may last for days */
        ctx_init(&turn, ctx->clock);
        cli->ctx = &turn;
        rc = look(cli, &w);
        cli->ctx = ctx;
        if (rc_failed(rc))
            rc = ctx_fail(ctx, rc.e, "%s", ctx_why(&turn));
        else if (!w.over)
            usleep(LOOK_MS * 1000);
    }
    cli_leaver_stop(&leaver);
    return rc;
}

RC verb_scan_show(struct cli *cli)
{
    return cli_has(cli, "follow") ? follow(cli, cli->args.v[0]) : cli_show_at(cli, SCANS "/");
}

/* --- beginning */

static void put_list(struct cli *cli, struct cli_body *b, const char *key, const char *option)
{
    const struct str_list l = cli_list_opt(cli, option);
    if (l.n)
        cli_body_list(b, key, &l);
}

static void put_number(const struct cli *cli, struct cli_body *b, const char *key, const char *option)
{
    if (cli_has(cli, option))
        json_put_int(&b->j, key, cli_number(cli, option, 0));
}

static void put_flag(const struct cli *cli, struct cli_body *b, const char *key, const char *option)
{
    if (cli_has(cli, option))
        json_put_bool(&b->j, key, true);
}

RC verb_scan(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    cli_body_begin(cli, &b);
    cli_body_text(&b, "name", cli_opt(cli, "as"));
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    put_number(cli, &b, "every_s", "every");
    json_open_obj(&b.j, "spec");
    cli_body_list(&b, "targets", &cli->args);
    put_list(cli, &b, "exclude", "exclude");
    put_list(cli, &b, "ports", "ports");
    put_list(cli, &b, "names", "name");
    put_list(cli, &b, "agents", "agent");
    put_number(cli, &b, "rate", "rate");
    put_number(cli, &b, "timeout_ms", "timeout");
    put_flag(cli, &b, "one_key", "one-key");
    put_flag(cli, &b, "details", "details");
    put_flag(cli, &b, "verify", "verify");
    json_close(&b.j);
    TRY(cli_call(cli, "POST", SCANS, cli_body_end(&b), &made));
    const char *name = arena_strdup(&cli->ctx->arena, cli_text(made, "name"));
    if (!cli_has(cli, "no-wait"))
        return follow(cli, name);
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "%s has begun; see: certwright scan show %s --follow", name, name);
    return RC_OK;
}

static struct rc each(struct cli *cli, const char *verb)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "POST", cli_path(cli, SCANS "/", cli->args.v[i], arena_printf(&cli->ctx->arena, "/%s", verb)),
                     (struct bytes){0}, &now));
        if (cli->output != CLI_TABLE)
            TRY(cli_print_object(cli, now, "name"));
        else
            cli_say(cli, "%s is %s%s%s.", cli->args.v[i], cli_text(now, "state"),
                    str_equal(verb, "pause") ? "; it goes on after: certwright scan resume " : "",
                    str_equal(verb, "pause") ? cli->args.v[i] : "");
    }
    return RC_OK;
}

RC verb_scan_pause(struct cli *cli)
{
    return each(cli, "pause");
}

RC verb_scan_resume(struct cli *cli)
{
    return each(cli, "resume");
}

RC verb_scan_stop(struct cli *cli)
{
    return each(cli, "stop");
}

RC verb_scan_start(struct cli *cli)
{
    json_auto_t *now = NULL;
    TRY(cli_call(cli, "POST", cli_path(cli, SCANS "/", cli->args.v[0], "/start"), (struct bytes){0}, &now));
    return cli_has(cli, "no-wait") ? RC_OK : follow(cli, cli->args.v[0]);
}

RC verb_scan_edit(struct cli *cli)
{
    static const struct {
        const char *option, *key;
        bool list;
    } rows[] = {{"target", "targets", true},      {"ports", "ports", true},   {"exclude", "exclude", true},
                {"name", "names", true},          {"agent", "agents", true},  {"rate", "rate", false},
                {"timeout", "timeout_ms", false}, {"every", "every_s", false}};
    struct cli_body b;
    json_auto_t *now = NULL;
    bool any = cli_has(cli, "once");
    if (any && cli_has(cli, "every"))
        return ctx_fail(cli->ctx, E_USAGE, "--every or --once, not both");
    cli_body_begin(cli, &b);
    if (any)
        json_put_int(&b.j, "every_s", 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!cli_has(cli, rows[i].option))
            continue;
        any = true;
        if (rows[i].list) {
            const struct str_list l = cli_list_opt(cli, rows[i].option);
            cli_body_list(&b, rows[i].key, &l);
        } else {
            put_number(cli, &b, rows[i].key, rows[i].option);
        }
    }
    if (!any)
        return ctx_fail(cli->ctx, E_USAGE, "say what: --target, --ports, --exclude, --agent, --rate, --every, …");
    TRY(cli_call(cli, "PATCH", cli_path(cli, SCANS "/", cli->args.v[0], ""), cli_body_end(&b), &now));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, now, "name");
    if (str_equal(cli_text(now, "state"), "running") || str_equal(cli_text(now, "state"), "paused"))
        cli_say(cli, "%s goes on as it was begun; the next run takes it.", cli_text(now, "name"));
    return RC_OK;
}

RC verb_scan_remove(struct cli *cli)
{
    return cli_remove_each(cli, SCANS "/");
}
