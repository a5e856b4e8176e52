/* certwright request … */
#include "cli/request.h"

#define REQUESTS    "/api/v1/requests"
#define DELEGATIONS "/api/v1/delegations"
#define WAIT_S      30
#define TIMEOUT_S   (14 * 86400)

static const struct cli_column columns[] = {
    {"ID", "id", CLI_PLAIN},       {"KIND", "kind", CLI_PLAIN},          {"OF", "object", CLI_PLAIN},
    {"STATE", "state", CLI_PLAIN}, {"ASKED BY", "requester", CLI_PLAIN}, {"MISSING", "missing", CLI_PLAIN},
    {"ROLE", "role", CLI_PLAIN},   {"ASKED", "created_at", CLI_DATE},    {"EXPIRES", "expires_at", CLI_AGO}};

RC verb_request_list(struct cli *cli)
{
    json_auto_t *all = NULL;
    const char *state = cli_opt(cli, "state");
    const char *path = arena_printf(&cli->ctx->arena, REQUESTS "?mine=%s&my_turn=%s%s%s", cli_has(cli, "mine") ? "true" : "false",
                                    cli_has(cli, "my-turn") ? "true" : "false", state ? "&state=" : "", state ? state : "");
    TRY(cli_all(cli, path, cli_number(cli, "limit", 100), &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "id");
}

static const char *list_text(struct cli *cli, const json_t *list)
{
    const char *text = "";
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        text = arena_printf(&cli->ctx->arena, "%s%s%s", text, i ? ", " : "", one ? one : "");
    }
    return text;
}

/* "names: a.example, b.example (was a.example)" */
static void print_wanted(struct cli *cli, const json_t *request)
{
    static const char *const members[] = {"names",    "common_name", "profile", "key_kind",   "reuse_key", "key_elsewhere",
                                          "download", "issuers",     "targets", "validity_s", "version",   "format",
                                          "reason"};
    const json_t *wanted = json_object_get(request, "wanted"), *before = json_object_get(request, "before");
    for (const char *line = cli_text(wanted, "change"); *line; line += strspn(line, "\n")) {
        const int n = (int)strcspn(line, "\n");
        printf("  %-14s %.*s\n", "change", n, line);
        line += n;
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *now = json_object_get(wanted, members[i]), *was = json_object_get(before, members[i]);
        const char *texts[2] = {"", ""};
        for (int k = 0; k < 2; k++) {
            const json_t *v = k ? was : now;
            texts[k] = json_is_array(v)     ? list_text(cli, v)
                       : json_is_string(v)  ? json_string_value(v)
                       : json_is_integer(v) ? arena_printf(&cli->ctx->arena, "%lld", (long long)json_integer_value(v))
                       : json_is_true(v)    ? "yes"
                                            : "";
        }
        if (!*texts[0] && !*texts[1])
            continue;
        printf("  %-14s %s", members[i], *texts[0] ? texts[0] : "none");
        if (before && !str_equal(texts[0], texts[1]))
            printf("   (now: %s)", *texts[1] ? texts[1] : "none");
        putchar('\n');
    }
}

static void print_one_line(const char *text)
{
    for (const char *p = text; *p; p++)
        putchar((unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p);
}

static void print_request(struct cli *cli, const json_t *r)
{
    const json_t *said = json_object_get(r, "said");
    const json_int_t missing = json_integer_value(json_object_get(r, "missing"));
    printf("%s %s: %s\n", cli_text(r, "kind"), cli_text(r, "object"), cli_text(r, "state"));
    printf("  %-14s %s, in team %s\n", "asked by", cli_text(r, "requester"), cli_text(r, "team"));
    if (*cli_text(r, "comment")) {
        printf("  %-14s ", "because");
        print_one_line(cli_text(r, "comment"));
        putchar('\n');
    }
    print_wanted(cli, r);
    if (*cli_text(r, "rule") || *cli_text(r, "words")) {
        printf("  %-14s ", "policy says");
        if (*cli_text(r, "rule"))
            printf("rule %s: ", cli_text(r, "rule"));
        print_one_line(cli_text(r, "words"));
        putchar('\n');
    }
    if (str_equal(cli_text(r, "state"), "waiting"))
        printf("  %-14s %lld of %s; who may: %s\n", "missing", (long long)missing,
               *cli_text(r, "role") ? cli_text(r, "role") : "those who may approve",
               json_array_size(json_object_get(r, "approvers")) ? list_text(cli, json_object_get(r, "approvers"))
                                                                : "nobody has the rights yet");
    for (size_t i = 0; i < json_array_size(said); i++) {
        const json_t *s = json_array_get(said, i);
        const char *word = cli_text(s, "verdict");
        printf("  %-14s %s",
               str_equal(word, "approve")  ? "approved by"
               : str_equal(word, "refuse") ? "refused by"
                                           : "comment",
               cli_text(s, "who"));
        if (*cli_text(s, "on_behalf_of"))
            printf(" for %s", cli_text(s, "on_behalf_of"));
        if (str_equal(word, "approve") && !json_is_true(json_object_get(s, "counts")))
            printf(" (it was something else then)");
        if (*cli_text(s, "comment")) {
            printf(": ");
            print_one_line(cli_text(s, "comment"));
        }
        putchar('\n');
    }
    if (*cli_text(r, "error")) {
        printf("  %-14s ", "why");
        print_one_line(cli_text(r, "error"));
        putchar('\n');
    }
    printf("  %-14s %s\n", "hash", cli_text(r, "hash"));
}

static struct rc show(struct cli *cli, const json_t *r)
{
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, r, "id");
    print_request(cli, r);
    return RC_OK;
}

static struct rc get(struct cli *cli, const char *id, const char *query, json_t **out)
{
    return cli_call(cli, "GET", cli_path(cli, REQUESTS "/", id, query), (struct bytes){0}, out);
}

bool cli_is_request(const json_t *answer)
{
    return json_is_integer(json_object_get(answer, "needs")) && json_is_string(json_object_get(answer, "hash"));
}

/* What became of one that is decided. */
static struct rc outcome(struct cli *cli, const json_t *r)
{
    const char *state = cli_text(r, "state"), *why = cli_text(r, "error");
    if (str_equal(state, "done"))
        return RC_OK;
    const enum err e = str_equal(state, "failed") ? err_by_name(cli_text(r, "error_code")) : E_POLICY;
    return ctx_fail(cli->ctx, e == E_OK ? E_POLICY : e, "the request for %s is %s%s%s; see: certwright request show %s",
                    cli_text(r, "object"), state, *why ? ": " : "", why, cli_text(r, "id"));
}

RC cli_request_wait(struct cli *cli, const json_t *request, const char **result)
{
    const char *id = arena_strdup(&cli->ctx->arena, cli_text(request, "id"));
    const char *name = arena_strdup(&cli->ctx->arena, cli_text(request, "object")), *role = cli_text(request, "role");
    const json_int_t missing = json_integer_value(json_object_get(request, "missing"));
    struct cli_leaver leaver;
    struct rc rc = RC_OK;
    bool over = !str_equal(cli_text(request, "state"), "waiting");
    *result = arena_strdup(&cli->ctx->arena, cli_text(request, "result_id"));
    if (over)
        return outcome(cli, request);
    const char *says = arena_printf(&cli->ctx->arena, "%s waits for approval by %lld%s%s: certwright request show %s", name,
                                    (long long)missing, *role ? " of " : "", role, id);
    if (!cli_has(cli, "wait")) {
        if (cli->output != CLI_TABLE)
            TRY(cli_print_object(cli, request, "id"));
        return ctx_fail(cli->ctx, E_PENDING, "%s", says);
    }
    cli_say(cli, "%s", says);
    fflush(stdout);
    TRY(cli_leaver_start(cli, &leaver,
                         arena_printf(&cli->ctx->arena, "Left.  It waits at the hub; see: certwright request show %s", id)));
    const int64_t until = clock_mono_ms() + cli_number(cli, "timeout", TIMEOUT_S) * 1000;
    for (json_int_t revision = 0; !over && rc_ok(rc);) {
        json_auto_t *now = NULL;
        if (clock_mono_ms() >= until) {
            rc = ctx_fail(cli->ctx, E_PENDING, "%s", says);
            break;
        }
        rc = get(cli, id, arena_printf(&cli->ctx->arena, "?revision=%lld&wait=%d", (long long)revision, WAIT_S), &now);
        if (rc_failed(rc))
            break;
        revision = json_integer_value(json_object_get(now, "revision"));
        over = !str_equal(cli_text(now, "state"), "waiting");
        *result = arena_strdup(&cli->ctx->arena, cli_text(now, "result_id"));
        if (over)
            rc = outcome(cli, now);
    }
    cli_leaver_stop(&leaver);
    return rc;
}

RC verb_request_show(struct cli *cli)
{
    const char *id = NULL, *result = NULL;
    json_auto_t *r = NULL, *now = NULL;
    TRY(cli_one_arg(cli, &id));
    TRY(get(cli, id, "", &r));
    if (!cli_has(cli, "wait"))
        return show(cli, r);
    TRY(cli_request_wait(cli, r, &result));
    TRY(get(cli, id, "", &now));
    return show(cli, now);
}

static struct rc decide(struct cli *cli, const char *id, const char *verb, const char *hash)
{
    struct cli_body b;
    json_auto_t *r = NULL;
    cli_body_begin(cli, &b);
    cli_body_text(&b, "hash", hash);
    cli_body_text(&b, "comment", cli_opt(cli, "comment"));
    cli_body_text(&b, "on_behalf_of", cli_opt(cli, "for"));
    TRY(cli_call(cli, "POST", cli_path(cli, REQUESTS "/", id, verb), cli_body_end(&b), &r));
    return show(cli, r);
}

RC verb_request_approve(struct cli *cli)
{
    const char *id = NULL, *hash = cli_opt(cli, "hash");
    json_auto_t *seen = NULL;
    TRY(cli_one_arg(cli, &id));
    if (!hash) {
        TRY(get(cli, id, "", &seen));
        hash = cli_text(seen, "hash");
    }
    return decide(cli, id, "/approve", hash);
}

RC verb_request_refuse(struct cli *cli)
{
    const char *id = NULL;
    TRY(cli_one_arg(cli, &id));
    return decide(cli, id, "/refuse", cli_opt(cli, "hash"));
}

RC verb_request_withdraw(struct cli *cli)
{
    const char *id = NULL;
    TRY(cli_one_arg(cli, &id));
    return decide(cli, id, "/withdraw", NULL);
}

RC verb_request_comment(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *r = NULL;
    if (cli->args.n != 2)
        return ctx_fail(cli->ctx, E_USAGE, "certwright request comment ID TEXT");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "comment", cli->args.v[1]);
    TRY(cli_call(cli, "POST", cli_path(cli, REQUESTS "/", cli->args.v[0], "/comments"), cli_body_end(&b), &r));
    return show(cli, r);
}

RC verb_request_delegate(struct cli *cli)
{
    json_auto_t *d = NULL;
    if (!cli->args.n) {
        TRY(cli_call(cli, "GET", DELEGATIONS, (struct bytes){0}, &d));
        return cli_print_object(cli, d, "mine");
    }
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "to", cli->args.v[0]);
    if (!cli_has(cli, "stop"))
        json_put_time(&b.j, "until", clock_unix_s(cli->ctx->clock) + cli_number(cli, "for", 14 * 86400));
    TRY(cli_call(cli, "PUT", DELEGATIONS, cli_body_end(&b), &d));
    return cli_print_object(cli, d, "mine");
}
