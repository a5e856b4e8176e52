/* certwright policy … */
#include "cli/cli.h"
#include "os/file.h"

#define POLICY       "/api/v1/policy"
#define DOCUMENT_MAX ((size_t)256 << 10)
#define EXAMPLES     10

static struct rc version_get(struct cli *cli, const char *version, json_t **out)
{
    return cli_call(cli, "GET", version ? cli_path(cli, POLICY "/versions/", version, "") : POLICY, (struct bytes){0}, out);
}

RC verb_policy_show(struct cli *cli)
{
    json_auto_t *got = NULL;
    TRY(version_get(cli, cli_opt(cli, "version"), &got));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, got, "revision");
    const char *text = cli_text(got, "document");
    if (!*text)
        cli_say(cli, "# There is no policy: everything is allowed that somebody may do.");
    else
        printf("%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
    return RC_OK;
}

RC verb_policy_versions(struct cli *cli)
{
    static const struct cli_column columns[] = {{"VERSION", "version", CLI_PLAIN},
                                                {"IN FORCE", "in_force", CLI_YES},
                                                {"BY", "created_by", CLI_PLAIN},
                                                {"AT", "created_at", CLI_DATE},
                                                {"COMMENT", "comment", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, POLICY "/versions", INT64_MAX, &all));
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "version");
}

/* The document of a file, or with --version an older one. */
static struct rc document(struct cli *cli, const char **text, json_t **kept)
{
    const char *file = NULL, *version = cli_opt(cli, "version");
    struct bytes data;
    TRY(cli_one_arg(cli, &file));
    if (!file == !version)
        return ctx_fail(cli->ctx, E_USAGE, "name a file, or with --version an older version that shall be in force again");
    if (version) {
        TRY(version_get(cli, version, kept));
        *text = cli_text(*kept, "document");
        return RC_OK;
    }
    TRY(file_read(cli->ctx, str_equal(file, "-") ? "/dev/stdin" : file, DOCUMENT_MAX, &data));
    *text = str_z(&cli->ctx->arena, data);
    return *text ? RC_OK : ctx_fail(cli->ctx, E_INVALID, "%s holds a NUL byte", file);
}

RC verb_policy_put(struct cli *cli)
{
    const char *text = NULL, *version = cli_opt(cli, "version"), *comment = cli_opt(cli, "comment");
    json_auto_t *kept = NULL, *got = NULL;
    struct cli_body b;
    TRY(document(cli, &text, &kept));
    if (version && !comment)
        comment = arena_printf(&cli->ctx->arena, "version %s again", version);
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "document", text);
    cli_body_text(&b, "comment", comment);
    if (cli_has(cli, "replaces"))
        json_put_int(&b.j, "replaces", cli_number(cli, "replaces", 0));
    TRY(cli_call(cli, "PUT", POLICY, cli_body_end(&b), &got));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, got, "revision");
    cli_say(cli, "Version %lld is in force.", (long long)json_integer_value(json_object_get(got, "revision")));
    return RC_OK;
}

/* --- a trial: pages, added up here */

static void add_up(json_t *sums, const json_t *counts)
{
    for (size_t i = 0; i < json_array_size(counts); i++) {
        const json_t *c = json_array_get(counts, i);
        json_t *there = NULL;
        for (size_t k = 0; k < json_array_size(sums) && !there; k++) {
            json_t *s = json_array_get(sums, k);
            if (str_equal(cli_text(s, "name"), cli_text(c, "name")) && str_equal(cli_text(s, "verdict"), cli_text(c, "verdict")))
                there = s;
        }
        if (there)
            json_object_set_new(there, "certificates",
                                json_integer(json_integer_value(json_object_get(there, "certificates")) +
                                             json_integer_value(json_object_get(c, "certificates"))));
        else
            json_array_append_new(sums, json_copy((json_t *)(uintptr_t)c));
    }
}

static struct rc problems(struct cli *cli, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        fprintf(stderr, "line %lld, column %lld: %s\n", (long long)json_integer_value(json_object_get(p, "line")),
                (long long)json_integer_value(json_object_get(p, "column")), cli_text(p, "words"));
    }
    return ctx_fail(cli->ctx, E_INVALID, "the document has %zu problem%s", json_array_size(list),
                    json_array_size(list) == 1 ? "" : "s");
}

struct trial {
    json_t *rules, *teams, *examples, *problems;
    int64_t looked;
};

static struct rc page(struct cli *cli, const char *text, const char **cursor, struct trial *t)
{
    json_auto_t *got = NULL;
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "document", text);
    cli_body_text(&b, "cursor", *cursor);
    TRY(cli_call(cli, "POST", POLICY "/check", cli_body_end(&b), &got));
    t->looked += json_integer_value(json_object_get(got, "looked"));
    add_up(t->rules, json_object_get(got, "rules"));
    add_up(t->teams, json_object_get(got, "teams"));
    const json_t *examples = json_object_get(got, "examples");
    const size_t most = (size_t)cli_number(cli, "examples", EXAMPLES);
    for (size_t i = 0; i < json_array_size(examples) && json_array_size(t->examples) < most; i++)
        json_array_append(t->examples, json_array_get(examples, i));
    json_array_extend(t->problems, json_object_get(got, "problems"));
    const char *next = cli_text(got, "next");
    *cursor = *next ? arena_strdup(&cli->ctx->arena, next) : NULL;
    return RC_OK;
}

static struct rc trial_print(struct cli *cli, struct trial *t)
{
    static const struct cli_column counted[] = {
        {"RULE", "name", CLI_PLAIN}, {"VERDICT", "verdict", CLI_PLAIN}, {"CERTIFICATES", "certificates", CLI_PLAIN}};
    static const struct cli_column of_teams[] = {
        {"TEAM", "name", CLI_PLAIN}, {"VERDICT", "verdict", CLI_PLAIN}, {"CERTIFICATES", "certificates", CLI_PLAIN}};
    static const struct cli_column shown[] = {{"CERTIFICATE", "certificate", CLI_PLAIN},
                                              {"TEAM", "team", CLI_PLAIN},
                                              {"VERDICT", "verdict", CLI_PLAIN},
                                              {"RULE", "rule", CLI_PLAIN},
                                              {"WHY", "words", CLI_PLAIN}};
    if (cli->output != CLI_TABLE) {
        json_auto_t *all = json_object();
        json_object_set(all, "problems", t->problems);
        json_object_set_new(all, "looked", json_integer(t->looked));
        json_object_set(all, "rules", t->rules);
        json_object_set(all, "teams", t->teams);
        json_object_set(all, "examples", t->examples);
        return cli_print_object(cli, all, "looked");
    }
    if (!json_array_size(t->rules)) {
        cli_say(cli, "The document is sound; of %lld managed certificates it touches none.", (long long)t->looked);
        return RC_OK;
    }
    cli_say(cli, "The document is sound.  If the %lld managed certificates were asked for now:\n", (long long)t->looked);
    TRY(cli_print_list(cli, t->rules, counted, sizeof counted / sizeof *counted, "name"));
    cli_say(cli, "%s", "");
    TRY(cli_print_list(cli, t->teams, of_teams, sizeof of_teams / sizeof *of_teams, "name"));
    cli_say(cli, "%s", "");
    TRY(cli_print_list(cli, t->examples, shown, sizeof shown / sizeof *shown, "certificate"));
    cli_say(cli, "\nWhat is there goes on being renewed.");
    return RC_OK;
}

static struct rc trial(struct cli *cli, const char *text, struct trial *t)
{
    const char *cursor = NULL;
    do {
        TRY(page(cli, text, &cursor, t));
        if (cli->tty && cursor)
            fprintf(stderr, "\r%lld managed certificates …", (long long)t->looked);
    } while (cursor && !json_array_size(t->problems));
    if (cli->tty && t->looked > 200)
        fprintf(stderr, "\r\033[K");
    if (json_array_size(t->problems) && cli->output == CLI_TABLE)
        return problems(cli, t->problems);
    TRY(trial_print(cli, t));
    return json_array_size(t->problems) ? ctx_fail(cli->ctx, E_INVALID, "the document has problems") : RC_OK;
}

RC verb_policy_check(struct cli *cli)
{
    json_auto_t *kept = NULL, *rules = json_array(), *teams = json_array(), *examples = json_array(), *found = json_array();
    struct trial t = {.rules = rules, .teams = teams, .examples = examples, .problems = found};
    const char *text = NULL;
    TRY(document(cli, &text, &kept));
    return trial(cli, text, &t);
}

/* --- a question */

RC verb_policy_explain(struct cli *cli)
{
    json_auto_t *got = NULL;
    struct cli_body b;
    const struct str_list issuers = cli_list_opt(cli, "issuer");
    if (!cli->args.n == !cli_has(cli, "cert"))
        return ctx_fail(cli->ctx, E_USAGE, "say which names are asked for, or with --cert which certificate is meant");
    cli_body_begin(cli, &b);
    cli_body_text(&b, "act", cli_opt(cli, "act"));
    cli_body_text(&b, "certificate", cli_opt(cli, "cert"));
    if (cli->args.n)
        cli_body_list(&b, "names", &cli->args);
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    cli_body_text(&b, "profile", cli_opt(cli, "profile"));
    cli_body_text(&b, "key_kind", cli_opt(cli, "key-kind"));
    if (issuers.n)
        cli_body_list(&b, "issuers", &issuers);
    if (cli_has(cli, "reuse-key"))
        json_put_bool(&b.j, "reuse_key", true);
    if (cli_has(cli, "download"))
        json_put_bool(&b.j, "download", true);
    TRY(cli_call(cli, "POST", POLICY "/explain", cli_body_end(&b), &got));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, got, "verdict");
    const char *rule = cli_text(got, "rule"), *words = cli_text(got, "words"), *role = cli_text(got, "role"), *who = "";
    if (json_object_get(got, "approvals"))
        who = arena_printf(&cli->ctx->arena, " of %lld%s%s", (long long)json_integer_value(json_object_get(got, "approvals")),
                           *role ? " with the role " : "", role);
    cli_say(cli, "%s%s%s%s%s%s", cli_text(got, "verdict"), who, *rule ? " by " : "", rule, *words ? ": " : "", words);
    return RC_OK;
}
