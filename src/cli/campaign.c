/* certwright cert bulk …, bulk …, campaign … */
#include <unistd.h>

#include "base/encode.h"
#include "cli/cli.h"
#include "cli/found.h"

#define BULK      "/api/v1/bulk"
#define CAMPAIGNS "/api/v1/campaigns"
#define LOOK_US   200000

static long long number(const json_t *object, const char *path)
{
    return json_integer_value(cli_member(object, path));
}

/* --- what it means */

static const char *span_words(struct ctx *ctx, int64_t s)
{
    return s >= 2 * 86400 ? arena_printf(&ctx->arena, "%lld days", (long long)(s / 86400))
           : s >= 7200    ? arena_printf(&ctx->arena, "%lld hours", (long long)(s / 3600))
                          : arena_printf(&ctx->arena, "%lld minutes", (long long)((s + 59) / 60));
}

/* "  policy: 3 are forbidden (rule never: not now): a.example, b.example, …" */
static void print_policy(const json_t *impact)
{
    const json_t *list = json_object_get(impact, "policy");
    const long long judged = number(impact, "judged");
    if (judged && judged < number(impact, "certificates"))
        printf("  policy was asked about the first %lld of them\n", judged);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i), *names = json_object_get(v, "examples");
        const long long n = number(v, "certificates");
        const char *role = cli_text(v, "role"), *until = cli_text(v, "until");
        const char *rule = cli_text(v, "rule"), *words = cli_text(v, "words");
        const bool named = *words && strncmp(words, rule, strlen(rule)) == 0; /* words that begin with the rule's name */
        printf("  policy: %lld ", n);
        if (str_equal(cli_text(v, "verdict"), "approval"))
            printf("%s for approval by %lld%s%s", n == 1 ? "waits" : "wait", number(v, "approvals"), *role ? " of " : "", role);
        else
            printf("%s forbidden%s%s", n == 1 ? "is" : "are", *until ? " until " : "", until);
        printf(" (%s%s%s)", named ? "" : rule, named || !*words || !*rule ? "" : ": ", words);
        for (size_t k = 0; k < json_array_size(names); k++)
            printf("%s%s", k ? ", " : ": ", json_string_value(json_array_get(names, k)));
        puts((long long)json_array_size(names) < n ? ", …" : "");
    }
}

static struct rc print_impact(struct cli *cli, const json_t *impact)
{
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, impact, "certificates");
    const json_t *list = json_object_get(impact, "examples");
    const long long n = number(impact, "certificates"), lasts = number(impact, "lasts_s");
    printf("%lld certificate%s", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < json_array_size(list); i++)
        printf("%s%s", i ? ", " : ": ", json_string_value(json_array_get(list, i)));
    puts((long long)json_array_size(list) < n ? ", …" : "");
    printf("at %lld targets, seen at %lld endpoints\n", number(impact, "targets"), number(impact, "endpoints"));
    list = json_object_get(impact, "teams");
    for (size_t i = 0; i < json_array_size(list); i++)
        printf("  team %s: %lld\n", cli_text(json_array_get(list, i), "team"), number(json_array_get(list, i), "certificates"));
    list = json_object_get(impact, "issuers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *issuer = json_array_get(list, i), *limits = json_object_get(issuer, "limits");
        printf("  issuer %s: %lld\n", cli_text(issuer, "issuer"), number(issuer, "certificates"));
        for (size_t k = 0; k < json_array_size(limits); k++)
            printf("    %s\n", json_string_value(json_array_get(limits, k)));
    }
    print_policy(impact);
    if (lasts)
        printf("It takes %s at least.\n", span_words(cli->ctx, lasts));
    return RC_OK;
}

/* --- how it stands */

static struct rc print_state(struct cli *cli, const json_t *c)
{
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, c, "name");
    printf("%s is %s: %lld of %lld done, %lld under way, %lld failed, %lld left\n", cli_text(c, "name"), cli_text(c, "state"),
           number(c, "counts.done"), number(c, "total"), number(c, "counts.running"), number(c, "counts.failed"),
           number(c, "counts.waiting"));
    if (*cli_text(c, "why"))
        printf("  %s\n", cli_text(c, "why"));
    return RC_OK;
}

static struct rc print_failed(struct cli *cli, const char *base, const char *ref)
{
    static const struct cli_column columns[] = {
        {"NAME", "name", CLI_PLAIN}, {"WAVE", "wave", CLI_PLAIN}, {"SINCE", "at", CLI_AGO}, {"WHY", "why", CLI_PLAIN}};
    json_auto_t *failed = NULL;
    TRY(cli_all(cli, cli_path(cli, arena_printf(&cli->ctx->arena, "%s/", base), ref, "/members?state=failed"), 100, &failed));
    return json_array_size(failed) ? cli_print_list(cli, failed, columns, sizeof columns / sizeof *columns, "name") : RC_OK;
}

static struct rc show(struct cli *cli, const char *base)
{
    json_auto_t *c = NULL;
    const char *ref = NULL;
    TRY(cli_one_arg(cli, &ref));
    if (!ref)
        return ctx_fail(cli->ctx, E_USAGE, "say which one");
    TRY(cli_call(cli, "GET", cli_path(cli, arena_printf(&cli->ctx->arena, "%s/", base), ref, ""), (struct bytes){0}, &c));
    TRY(print_state(cli, c));
    if (cli->output != CLI_TABLE)
        return RC_OK;
    const json_t *waves = json_object_get(c, "by_wave");
    for (size_t i = 0; json_array_size(waves) > 1 && i < json_array_size(waves); i++) {
        const json_t *w = json_array_get(waves, i);
        printf("  wave %zu: %lld done, %lld under way, %lld failed, %lld left\n", i + 1, number(w, "done"), number(w, "running"),
               number(w, "failed"), number(w, "waiting"));
    }
    if (*cli_text(c, "rehearsed_at"))
        printf("  rehearsed at %s: %s\n", cli_text(c, "rehearsed_at"),
               *cli_text(c, "rehearsal_error") ? cli_text(c, "rehearsal_error") : "passed");
    if (*cli_text(c, "ends_at"))
        printf("  as it goes now it is done at %s\n", cli_text(c, "ends_at"));
    if (json_object_get(c, "impact"))
        TRY(print_impact(cli, json_object_get(c, "impact")));
    return print_failed(cli, base, ref);
}

static struct rc list(struct cli *cli, const char *base)
{
    static const struct cli_column columns[] = {{"NAME", "name", CLI_PLAIN},
                                                {"WHAT", "act", CLI_PLAIN},
                                                {"STATE", "state", CLI_PLAIN},
                                                {"DONE", "counts.done", CLI_PLAIN},
                                                {"FAILED", "counts.failed", CLI_PLAIN},
                                                {"OF", "total", CLI_PLAIN},
                                                {"BY", "asked_by", CLI_PLAIN},
                                                {"SINCE", "created_at", CLI_AGO}};
    return cli_list_some(cli, base, columns, sizeof columns / sizeof *columns, "name");
}

static struct rc say(struct cli *cli, const char *base, const char *verb)
{
    json_auto_t *c = NULL;
    const char *ref = NULL;
    TRY(cli_one_arg(cli, &ref));
    if (!ref)
        return ctx_fail(cli->ctx, E_USAGE, "say which one");
    const char *before = arena_printf(&cli->ctx->arena, "%s/", base), *after = arena_printf(&cli->ctx->arena, "/%s", verb);
    TRY(cli_call(cli, "POST", cli_path(cli, before, ref, after), (struct bytes){0}, &c));
    return print_state(cli, c);
}

/* --- bulk operations */

static struct rc bulk_body(struct cli *cli, struct cli_body *b)
{
    static const struct {
        const char *option, *field;
    } texts[] = {{"where", "where"},     {"name", "name"},       {"team", "team"},  {"reason", "reason"},
                 {"replace", "replace"}, {"to-team", "to_team"}, {"owner", "owner"}},
      lists[] = {{"add-tag", "add_tags"}, {"remove-tag", "remove_tags"}};
    struct str_list names = {0};
    cli_body_begin(cli, b);
    if (!cli->args.n)
        return ctx_fail(
            cli->ctx, E_USAGE,
            "say what: certwright cert bulk renew --where \"issuer.o = Example\"; or pause, resume, retry, revoke, assign, "
            "tag, remove");
    json_put_str(&b->j, "act", cli->args.v[0]);
    for (size_t i = 1; i < cli->args.n; i++)
        str_list_add(&cli->ctx->arena, &names, cli->args.v[i]);
    if (names.n)
        cli_body_list(b, "certificates", &names);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cli_body_text(b, texts[i].field, cli_opt(cli, texts[i].option));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct str_list l = cli_list_opt(cli, lists[i].option);
        if (l.n)
            cli_body_list(b, lists[i].field, &l);
    }
    if (cli_has(cli, "pace"))
        json_put_int(&b->j, "pace", cli_number(cli, "pace", 0));
    return RC_OK;
}

static bool is_over(const char *state)
{
    return str_equal(state, "done") || str_equal(state, "halted") || str_equal(state, "cancelled") || str_equal(state, "paused");
}

static struct rc bulk_wait(struct cli *cli, const char *id, const char *name)
{
    struct cli_leaver leaver;
    json_auto_t *c = NULL;
    const char *path = cli_path(cli, BULK "/", id, "");
    TRY(cli_leaver_start(cli, &leaver, arena_printf(&cli->ctx->arena, "It goes on; see: certwright bulk show %s", name)));
    struct rc rc = cli_call(cli, "GET", path, (struct bytes){0}, &c);
    while (rc_ok(rc) && !is_over(cli_text(c, "state"))) {
        usleep(LOOK_US);
        json_decref(c);
        c = NULL;
        rc = cli_call(cli, "GET", path, (struct bytes){0}, &c);
    }
    cli_leaver_stop(&leaver);
    TRY(rc);
    TRY(print_state(cli, c));
    if (cli->output == CLI_TABLE)
        TRY(print_failed(cli, BULK, id));
    const bool good = str_equal(cli_text(c, "state"), "done") && !number(c, "counts.failed");
    return good ? RC_OK : ctx_fail(cli->ctx, E_CONFLICT, "not all of it was done; see: certwright bulk show %s", name);
}

RC verb_cert_bulk(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *impact = NULL, *made = NULL;
    bool yes = false;
    TRY(bulk_body(cli, &b));
    const struct bytes body = cli_body_end(&b);
    const bool dry_run = cli_has(cli, "dry-run");
    if (dry_run || !cli_has(cli, "yes")) {
        TRY(cli_pointed_out(cli, cli_opt(cli, "where"), cli_call(cli, "POST", BULK "/plan", body, &impact)));
        TRY(print_impact(cli, impact));
    }
    if (dry_run)
        return RC_OK;
    TRY(cli_sure(cli, &yes, "Go on?"));
    if (!yes)
        return RC_OK;
    TRY(cli_pointed_out(cli, cli_opt(cli, "where"), cli_call(cli, "POST", BULK, body, &made)));
    if (cli_has(cli, "no-wait"))
        return print_state(cli, made);
    return bulk_wait(cli, cli_text(made, "id"), cli_text(made, "name"));
}

RC verb_bulk_list(struct cli *cli)
{
    return list(cli, BULK);
}
RC verb_bulk_show(struct cli *cli)
{
    return show(cli, BULK);
}
RC verb_bulk_pause(struct cli *cli)
{
    return say(cli, BULK, "pause");
}
RC verb_bulk_resume(struct cli *cli)
{
    return say(cli, BULK, "resume");
}
RC verb_bulk_cancel(struct cli *cli)
{
    return say(cli, BULK, "cancel");
}

/* --- campaigns */

/* "20%" or "50". */
static struct rc body_wave(struct cli *cli, struct cli_body *b)
{
    const char *wave = cli_opt(cli, "wave");
    if (!wave)
        return RC_OK;
    const size_t digits = strspn(wave, "0123456789");
    const bool percent = str_equal(wave + digits, "%");
    if (!digits || digits > 6 || (wave[digits] && !percent))
        return ctx_fail(cli->ctx, E_USAGE, "--wave is a number of certificates (50), or a part of all (20%%); not %s", wave);
    json_put_int(&b->j, percent ? "wave_percent" : "wave", strtol(wave, NULL, 10));
    return RC_OK;
}

RC verb_campaign_add(struct cli *cli)
{
    static const struct {
        const char *option, *field;
    } texts[] = {{"where", "where"}, {"team", "team"}, {"issuer", "issuer"}, {"key-kind", "key_kind"}, {"profile", "profile"}},
      numbers[] = {{"canary", "canary"}, {"pace", "pace"}, {"stop-failures", "stop_failures"}, {"stop-percent", "stop_percent"}};
    struct cli_body b;
    struct str_list names = {0};
    json_auto_t *got = NULL;
    const bool dry_run = cli_has(cli, "dry-run");
    cli_body_begin(cli, &b);
    if (!cli->args.n)
        return ctx_fail(cli->ctx, E_USAGE, "say what it is called: certwright campaign add move-to-ca2 --where … --issuer ca2");
    json_put_str(&b.j, "name", cli->args.v[0]);
    for (size_t i = 1; i < cli->args.n; i++)
        str_list_add(&cli->ctx->arena, &names, cli->args.v[i]);
    if (names.n)
        cli_body_list(&b, "certificates", &names);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cli_body_text(&b, texts[i].field, cli_opt(cli, texts[i].option));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (cli_has(cli, numbers[i].option))
            json_put_int(&b.j, numbers[i].field, cli_number(cli, numbers[i].option, 0));
    TRY(body_wave(cli, &b));
    TRY(cli_pointed_out(cli, cli_opt(cli, "where"),
                        cli_call(cli, "POST", dry_run ? CAMPAIGNS "/plan" : CAMPAIGNS, cli_body_end(&b), &got)));
    if (dry_run)
        return print_impact(cli, got);
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, got, "name");
    TRY(print_impact(cli, json_object_get(got, "impact")));
    cli_say(cli, "Nothing has begun; next: certwright campaign rehearse %s, then certwright campaign start %s",
            cli_text(got, "name"), cli_text(got, "name"));
    return RC_OK;
}

RC verb_campaign_list(struct cli *cli)
{
    return list(cli, CAMPAIGNS);
}
RC verb_campaign_show(struct cli *cli)
{
    return show(cli, CAMPAIGNS);
}
RC verb_campaign_rehearse(struct cli *cli)
{
    return say(cli, CAMPAIGNS, "rehearse");
}
RC verb_campaign_start(struct cli *cli)
{
    return say(cli, CAMPAIGNS, "start");
}
RC verb_campaign_pause(struct cli *cli)
{
    return say(cli, CAMPAIGNS, "pause");
}
RC verb_campaign_resume(struct cli *cli)
{
    return say(cli, CAMPAIGNS, "resume");
}
RC verb_campaign_cancel(struct cli *cli)
{
    return say(cli, CAMPAIGNS, "cancel");
}
