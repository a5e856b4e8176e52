/* The verbs without a noun: status, version, help, completion; and what every noun needs. */
#include <unistd.h>

#include "base/version.h"
#include "cli/cli.h"

RC verb_init(struct cli *cli)
{
    return cli->hooks->init ? cli->hooks->init(cli) : ctx_fail(cli->ctx, E_UNSUPPORTED, "this program only talks to a hub");
}

RC verb_run(struct cli *cli)
{
    return cli->hooks->run ? cli->hooks->run(cli) : ctx_fail(cli->ctx, E_UNSUPPORTED, "this program only talks to a hub");
}

RC verb_join(struct cli *cli)
{
    return cli->hooks->join ? cli->hooks->join(cli) : ctx_fail(cli->ctx, E_UNSUPPORTED, "this program only talks to a hub");
}

RC verb_check(struct cli *cli)
{
    return cli->hooks->check ? cli->hooks->check(cli) : ctx_fail(cli->ctx, E_UNSUPPORTED, "this program only talks to a hub");
}

RC verb_status(struct cli *cli)
{
    json_auto_t *status = NULL;
    TRY(cli_call(cli, "GET", "/api/v1/status", (struct bytes){0}, &status));
    if (cli->output == CLI_JSON)
        return cli_print_object(cli, status, "text");
    const json_t *problems = json_object_get(status, "problems");
    if (cli->output != CLI_TABLE) {
        static const struct cli_column shown[] = {
            {"OBJECT", "object", CLI_PLAIN}, {"TEXT", "text", CLI_PLAIN}, {"COMMAND", "command", CLI_PLAIN}};
        return cli_print_list(cli, problems, shown, 3, "object");
    }
    cli_say(cli, "%s", cli_text(status, "text"));
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const json_t *p = json_array_get(problems, i);
        const bool named = strstr(cli_text(p, "text"), cli_text(p, "object")) != NULL;
        cli_say(cli, "  %s%s%s%s%s", named ? "" : cli_text(p, "object"), named ? "" : ": ", cli_text(p, "text"),
                *cli_text(p, "command") ? "  →  " : "", cli_text(p, "command"));
    }
    return RC_OK;
}

RC verb_version(struct cli *cli)
{
    printf("certwright %s\n", CERTWRIGHT_VERSION);
    json_auto_t *status = NULL;
    struct rc rc = cli_call(cli, "GET", "/api/v1/status", (struct bytes){0}, &status);
    if (rc_ok(rc))
        printf("hub %s at %s\n", cli_text(status, "version"), cli->where);
    ctx_forget(cli->ctx); /* a version needs no hub */
    return RC_OK;
}

/* --- help */

static void print_verb(const struct cli_verb *v)
{
    const char *gap = *v->noun ? " " : "";
    const char *args = *v->arguments ? " " : "";
    const int used = printf("  certwright %s%s%s%s%s", v->noun, gap, v->verb, args, v->arguments);
    printf("%*s %s\n", used < 46 ? 46 - used : 1, "", v->text);
}

static void print_option(const struct cli_option *o)
{
    const int used = printf("  %s--%s%s%s", str_equal(o->name, "output") ? "-o, " : "", o->name, *o->value ? " " : "", o->value);
    printf("%*s %s\n", used < 30 ? 30 - used : 1, "", o->text);
}

static void print_options(const struct cli_verb *v)
{
    bool any = false;
    for (size_t i = 0; i < cli_options_n; i++) {
        const struct cli_option *o = &cli_options[i];
        if ((!*o->noun && !*o->verb) || !str_equal(o->noun, v->noun) || !str_equal(o->verb, v->verb))
            continue;
        if (!any)
            puts("");
        any = true;
        print_option(o);
    }
    puts("\nEvery command takes:");
    for (size_t i = 0; i < cli_options_n; i++)
        if (!*cli_options[i].noun && !*cli_options[i].verb)
            print_option(&cli_options[i]);
}

RC verb_help(struct cli *cli)
{
    const char *first = cli->args.n ? cli->args.v[0] : NULL, *second = cli->args.n > 1 ? cli->args.v[1] : NULL;
    const struct cli_verb *v = first && second ? cli_verb_find(first, second) : NULL;
    if (first && !v && (!second || !cli_noun_is(first)))
        v = cli_verb_find("", first); /* "help run hub" is about run */
    if (v) {
        printf("%s\n\n", v->text);
        print_verb(v);
        if (!*v->noun && cli_noun_is(v->verb))
            for (size_t i = 0; i < cli_verbs_n; i++)
                if (str_equal(cli_verbs[i].noun, v->verb))
                    print_verb(&cli_verbs[i]);
        print_options(v);
        return RC_OK;
    }
    if (first && !cli_noun_is(first))
        return ctx_fail(cli->ctx, E_USAGE, "there is no command \"%s\"; see: certwright help", first);
    if (first && second)
        return ctx_fail(cli->ctx, E_USAGE, "certwright %s has no verb \"%s\"; see: certwright help %s", first, second, first);
    if (!first)
        puts("Certwright keeps every certificate valid: it issues, installs, reloads, proves by a handshake, or puts back what was "
             "there.\n\n"
             "  certwright cert add www.example.org --to nginx       does all of it\n");
    for (size_t i = 0; i < cli_verbs_n; i++)
        if (first ? str_equal(cli_verbs[i].noun, first) : !*cli_verbs[i].noun)
            print_verb(&cli_verbs[i]);
    if (!first) {
        puts("");
        for (size_t i = 0; i < cli_nouns_n; i++)
            printf("  certwright help %-20s %s\n", cli_nouns[i].noun, cli_nouns[i].text);
    }
    return RC_OK;
}

/* --- completion: the shell calls us with the words so far, "certwright completion bash WORD..." */

static void offer(const char *word, const char *begun)
{
    if (bytes_starts_with(bytes_z(word), bytes_z(begun)))
        puts(word);
}

static void offer_names(struct cli *cli, const char *noun, const char *begun)
{
    static const struct {
        const char *noun, *path;
    } rows[] = {{"cert", "/api/v1/managed-certificates"},
                {"issuer", "/api/v1/issuers"},
                {"profile", "/api/v1/profiles"},
                {"target", "/api/v1/targets"},
                {"agent", "/api/v1/agents"},
                {"token", "/api/v1/tokens"},
                {"ca", "/api/v1/cas"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!str_equal(rows[i].noun, noun))
            continue;
        json_auto_t *page = NULL;
        /* A hub that is not there completes nothing, and says nothing. */
        cli->ctx->deadline_ms = clock_mono_ms() + 1500;
        if (rc_failed(cli_call(cli, "GET", rows[i].path, (struct bytes){0}, &page)))
            ctx_forget(cli->ctx);
        const json_t *items = json_object_get(page, "items");
        for (size_t k = 0; k < json_array_size(items); k++)
            offer(cli_text(json_array_get(items, k), "name"), begun);
    }
}

static void offer_options(const char *noun, const char *verb, const char *begun)
{
    for (size_t i = 0; i < cli_options_n; i++) {
        const struct cli_option *o = &cli_options[i];
        char word[80];
        if ((*o->noun || *o->verb) && (!str_equal(o->noun, noun) || !str_equal(o->verb, verb)))
            continue;
        snprintf(word, sizeof word, "--%s", o->name);
        offer(word, begun);
    }
}

static void complete(struct cli *cli, const char *const *words, size_t n)
{
    const char *begun = n ? words[n - 1] : "", *noun = n > 1 ? words[0] : "";
    const bool both = n > 1 && cli_noun_is(noun) && cli_verb_find("", noun); /* "scan 10.0.0.0/8" beside "scan list" */
    const bool bare = n > 1 && (!cli_noun_is(noun) || (both && (begun[0] == '-' || n > 2) && !cli_verb_find(noun, words[1])));
    if (n <= 1) {
        for (size_t i = 0; i < cli_nouns_n; i++)
            offer(cli_nouns[i].noun, begun);
        for (size_t i = 0; i < cli_verbs_n; i++)
            if (!*cli_verbs[i].noun)
                offer(cli_verbs[i].verb, begun);
    } else if (begun[0] == '-') {
        offer_options(bare ? "" : noun, bare ? noun : n > 2 ? words[1] : "", begun);
    } else if (n == 2 && !bare) {
        for (size_t i = 0; i < cli_verbs_n; i++)
            if (str_equal(cli_verbs[i].noun, noun))
                offer(cli_verbs[i].verb, begun);
    } else if (!bare) {
        offer_names(cli, str_equal(words[n - 2], "--to") ? "target" : str_equal(words[n - 2], "--issuer") ? "issuer" : noun, begun);
    }
}

RC verb_completion(struct cli *cli)
{
    if (!str_equal(cli->args.v[0], "bash"))
        return ctx_fail(cli->ctx, E_USAGE, "completion is there for bash");
    const char *const *words = cli->args.v + 1;
    if (cli->args.n > 1)
        complete(cli, words, cli->args.n - 1);
    else
        puts("_certwright() {\n"
             "    local IFS=$'\\n'\n"
             "    COMPREPLY=($(certwright completion -- bash \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
             "}\n"
             "complete -o default -F _certwright certwright");
    return RC_OK;
}

/* --- what most nouns share */

RC cli_one_arg(struct cli *cli, const char **out)
{
    *out = cli->args.n ? cli->args.v[0] : NULL;
    return cli->args.n <= 1 ? RC_OK : ctx_fail(cli->ctx, E_USAGE, "\"%s\" is too much", cli->args.v[1]);
}

RC cli_show_at(struct cli *cli, const char *before)
{
    json_auto_t *object = NULL;
    TRY(cli_call(cli, "GET", cli_path(cli, before, cli->args.v[0], ""), (struct bytes){0}, &object));
    return cli_print_object(cli, object, "name");
}

RC cli_remove_each(struct cli *cli, const char *before)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        TRY(cli_call(cli, "DELETE", cli_path(cli, before, cli->args.v[i], ""), (struct bytes){0}, NULL));
        cli_say(cli, "%s is removed", cli->args.v[i]);
    }
    return RC_OK;
}
