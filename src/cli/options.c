/* The table of verbs, and reading argv by it. */
#include "cli/cli.h"
#include "os/file.h"

/* Names may begin as tokens do; they are shorter. */
#define TOKEN_LEAST 40
#define VALUE_LEAST 30

#define NOUN(noun, text) {noun, text},
#define OPTION(noun, verb, name, value, kind, text)
#define VERB(noun, verb, function, arguments, text)
const struct cli_noun cli_nouns[] = {
#include "cli/verbs.def"
};
#undef NOUN
#undef VERB
#define NOUN(noun, text)
#define VERB(noun, verb, function, arguments, text) {noun, verb, function, arguments, text},
const struct cli_verb cli_verbs[] = {
#include "cli/verbs.def"
};
#undef OPTION
#undef VERB
#define OPTION(noun, verb, name, value, kind, text) {noun, verb, name, value, CLI_##kind, text},
#define VERB(noun, verb, function, arguments, text)
const struct cli_option cli_options[] = {
#include "cli/verbs.def"
};
const size_t cli_nouns_n = sizeof cli_nouns / sizeof *cli_nouns;
const size_t cli_verbs_n = sizeof cli_verbs / sizeof *cli_verbs;
const size_t cli_options_n = sizeof cli_options / sizeof *cli_options;

const struct cli_verb *cli_verb_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < cli_verbs_n; i++)
        if (str_equal(cli_verbs[i].noun, noun) && str_equal(cli_verbs[i].verb, verb))
            return &cli_verbs[i];
    return NULL;
}

bool cli_noun_is(const char *word)
{
    for (size_t i = 0; i < cli_nouns_n; i++)
        if (str_equal(cli_nouns[i].noun, word))
            return true;
    return false;
}

static const struct cli_option *option_find(const struct cli_verb *verb, struct bytes name)
{
    for (size_t i = 0; i < cli_options_n; i++) {
        const struct cli_option *o = &cli_options[i];
        const bool common = !*o->noun && !*o->verb;
        const bool own = verb && str_equal(o->noun, verb->noun) && str_equal(o->verb, verb->verb);
        if ((common || own) && bytes_equal_z(name, o->name))
            return o;
    }
    return NULL;
}

const struct cli_option *cli_option_of(const struct cli_verb *verb, const char *name)
{
    const struct cli_option *o = option_find(verb, bytes_z(name));
    return o && *o->noun + *o->verb ? o : NULL;
}

static struct rc keep(struct cli *cli, const struct cli_option *o, const char *text)
{
    struct cli_value v = {.option = o, .text = text};
    struct bytes b = bytes_z(text);
    if (o->kind == CLI_NUMBER && !str_to_i64(b, &v.number))
        return ctx_fail(cli->ctx, E_USAGE, "--%s takes a number, not \"%s\"", o->name, text);
    if (o->kind == CLI_SPAN && !str_parse_span(b, &v.number))
        return ctx_fail(cli->ctx, E_USAGE, "--%s takes a span like 90s, 15m, 12h or 30d, not \"%s\"", o->name, text);
    cli->values[cli->values_n++] = v;
    return RC_OK;
}

/* take_option reads argv[*i], which begins with '-'. */
static struct rc take_option(struct cli *cli, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    struct bytes rest, name;
    bool with_value = false;
    if (word[1] == '-') {
        rest = bytes_z(word + 2);
        const size_t before = rest.n;
        bytes_take_until(&rest, '=', &name);
        with_value = name.n < before;
    } else {
        static const struct {
            char letter;
            const char *name;
        } letters[] = {{'o', "output"}, {'h', "help"}, {'f', "file"}};
        name = (struct bytes){0};
        for (size_t k = 0; k < sizeof letters / sizeof *letters; k++)
            if (word[1] == letters[k].letter)
                name = bytes_z(letters[k].name);
        rest = bytes_z(word + 2);
        with_value = rest.n > 0;
    }
    const struct cli_option *o = option_find(cli->verb, name);
    const struct cli_verb *bare = !o && !cli->verb && cli->noun_asked ? cli_verb_find("", cli->noun_asked) : NULL;
    if (bare && (o = option_find(bare, name)))
        cli->verb = bare;
    if (!o)
        return ctx_fail(cli->ctx, E_USAGE, "%s is not an option here; see: certwright help%s%s%s%s", word,
                        cli->verb && *cli->verb->noun ? " " : "", cli->verb ? cli->verb->noun : "", cli->verb ? " " : "",
                        cli->verb ? cli->verb->verb : "");
    if (o->kind == CLI_FLAG)
        return with_value ? ctx_fail(cli->ctx, E_USAGE, "--%s takes no value", o->name) : keep(cli, o, "");
    if (with_value)
        return keep(cli, o, arena_str(&cli->ctx->arena, rest));
    if (*i + 1 >= argc)
        return ctx_fail(cli->ctx, E_USAGE, "--%s needs a value: %s", o->name, o->value);
    return keep(cli, o, argv[++*i]);
}

static bool has_certificates(const struct cli_verb *verb)
{
    return verb && (str_equal(verb->noun, "cert") || str_equal(verb->noun, "endpoint") || str_equal(verb->noun, "finding"));
}

static bool has_hosts(const struct cli_verb *verb)
{
    return verb && str_equal(verb->verb, "list") && (str_equal(verb->noun, "cert") || str_equal(verb->noun, "endpoint"));
}

static struct rc output_of(struct cli *cli)
{
    static const char *const words[] = {[CLI_TABLE] = "table", [CLI_JSON] = "json", [CLI_CSV] = "csv", [CLI_NAME] = "name",
                                        [CLI_JSONL] = "jsonl", [CLI_PEM] = "pem", [CLI_TENABLE] = "tenable",
                                        [CLI_RAPID7] = "rapid7", [CLI_QUALYS] = "qualys"};
    const char *word = cli_opt(cli, "output");
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (str_equal(words[i], word)) {
            cli->output = (enum cli_output)i;
            if (cli->output == CLI_PEM && !has_certificates(cli->verb))
                return ctx_fail(cli->ctx, E_USAGE, "only certificates, endpoints and findings are written as PEM");
            if (cli->output > CLI_PEM && !has_hosts(cli->verb))
                return ctx_fail(cli->ctx, E_USAGE, "-o %s is for: certwright cert list --found, certwright endpoint list", word);
            return RC_OK;
        }
    return word ? ctx_fail(cli->ctx, E_USAGE, "-o takes table, json, jsonl, csv or name (certificates also pem), not \"%s\"", word)
                : RC_OK;
}

/* arguments_check compares what was given with what the table says: "NAME", "[NAME]", "NAME...". */
static struct rc arguments_check(struct cli *cli)
{
    size_t least = 0, most = 0;
    struct bytes rest = bytes_z(cli->verb->arguments), word;
    while (bytes_take_until(&rest, ' ', &word)) {
        const bool many = bytes_find(word, BYTES_LIT("...")) != SIZE_MAX;
        least += !bytes_starts_with(word, BYTES_LIT("["));
        most = many ? SIZE_MAX : most + 1;
    }
    const char *gap = *cli->verb->noun ? " " : "";
    if (cli->args.n < least)
        return ctx_fail(cli->ctx, E_USAGE, "something is missing; usage: certwright %s%s%s %s", cli->verb->noun, gap,
                        cli->verb->verb, cli->verb->arguments);
    if (cli->args.n > most)
        return ctx_fail(cli->ctx, E_USAGE, "\"%s\" is too much; usage: certwright %s%s%s %s", cli->args.v[most], cli->verb->noun,
                        gap, cli->verb->verb, cli->verb->arguments);
    return RC_OK;
}

/* A token that was typed is read by every user of this host (ps) and kept by the shell: it is not repeated, and is to be ended. */
static struct rc token_refuse(struct ctx *ctx, const char *word)
{
    static const struct {
        const char *prefix, *noun;
    } kinds[] = {{"cwj_", "join-token"}, {"cwt_", "token"}};
    const char *value = *word == '-' && strchr(word, '=') ? strchr(word, '=') + 1 : word;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(value, kinds[i].prefix, 4) == 0 && strlen(value) >= TOKEN_LEAST)
            return ctx_fail(ctx, E_USAGE,
                            "a token does not belong on the command line, where other users and the shell's history have it now; "
                            "end it with: certwright %s revoke NAME, make another, and give that with --token-file FILE",
                            kinds[i].noun);
    return RC_OK;
}

/* What a client is to show in DNS is base64url, so one of 64 begins with a hyphen: where the table says VALUE a word as long as no
 * option is one. */
static bool is_value(const struct cli *cli, const char *word)
{
    struct bytes rest = bytes_z(cli->verb ? cli->verb->arguments : ""), name;
    for (size_t i = 0; bytes_take_until(&rest, ' ', &name); i++)
        if (i == cli->args.n)
            return bytes_find(name, BYTES_LIT("VALUE")) != SIZE_MAX && strlen(word) > VALUE_LEAST && !strchr(word, '=');
    return false;
}

RC cli_parse(struct cli *cli, int argc, char **argv)
{
    struct ctx *ctx = cli->ctx;
    for (int i = 1; i < argc; i++)
        TRY(token_refuse(ctx, argv[i]));
    cli->values = arena_array(&ctx->arena, (size_t)argc + 1, sizeof *cli->values);
    bool only_arguments = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!only_arguments && str_equal(word, "--"))
            only_arguments = true;
        else if (!only_arguments && word[0] == '-' && word[1] && !is_value(cli, word))
            TRY(take_option(cli, argc, argv, &i));
        else if (!cli->verb && !cli->noun_asked && cli_noun_is(word))
            cli->noun_asked = word;
        else if (!cli->verb) {
            cli->verb = cli_verb_find(cli->noun_asked ? cli->noun_asked : "", word);
            if (!cli->verb && cli->noun_asked && (cli->verb = cli_verb_find("", cli->noun_asked))) /* "scan 10.0.0.0/8" */
                str_list_add(&ctx->arena, &cli->args, word);
            if (!cli->verb)
                return ctx_fail(ctx, E_USAGE, "certwright%s%s has no verb \"%s\"; see: certwright help%s%s",
                                cli->noun_asked ? " " : "", cli->noun_asked ? cli->noun_asked : "", word,
                                cli->noun_asked ? " " : "", cli->noun_asked ? cli->noun_asked : "");
        } else
            str_list_add(&ctx->arena, &cli->args, word);
    }
    if (!cli->verb || cli_has(cli, "help")) {
        if (!cli->verb && !cli_has(cli, "help") && cli->noun_asked)
            return ctx_fail(ctx, E_USAGE, "what shall be done? see: certwright help %s", cli->noun_asked);
        const struct cli_verb *about = cli->verb;
        cli->args = (struct str_list){0};
        if (about && *about->noun)
            str_list_add(&ctx->arena, &cli->args, about->noun);
        else if (!about && cli->noun_asked)
            str_list_add(&ctx->arena, &cli->args, cli->noun_asked);
        if (about)
            str_list_add(&ctx->arena, &cli->args, about->verb);
        cli->verb = cli_verb_find("", "help");
        return RC_OK;
    }
    TRY(output_of(cli));
    return arguments_check(cli);
}

static const struct cli_value *value_find(const struct cli *cli, const char *name)
{
    const struct cli_value *found = NULL;
    for (size_t i = 0; i < cli->values_n; i++)
        if (str_equal(cli->values[i].option->name, name))
            found = &cli->values[i]; /* the last one counts */
    return found;
}

const char *cli_opt(const struct cli *cli, const char *name)
{
    const struct cli_value *v = value_find(cli, name);
    return v ? v->text : NULL;
}

bool cli_has(const struct cli *cli, const char *name)
{
    return value_find(cli, name) != NULL;
}

int64_t cli_number(const struct cli *cli, const char *name, int64_t if_absent)
{
    const struct cli_value *v = value_find(cli, name);
    return v ? v->number : if_absent;
}

struct str_list cli_list_opt(struct cli *cli, const char *name)
{
    struct str_list out = {0};
    for (size_t i = 0; i < cli->values_n; i++) {
        if (!str_equal(cli->values[i].option->name, name))
            continue;
        struct bytes rest = bytes_z(cli->values[i].text), item;
        while (bytes_take_until(&rest, ',', &item))
            if (bytes_trim(item).n)
                str_list_add(&cli->ctx->arena, &out, arena_str(&cli->ctx->arena, bytes_trim(item)));
    }
    return out;
}

RC cli_opt_file(struct cli *cli, const char *name, const char **text)
{
    const char *path = cli_opt(cli, name);
    *text = NULL;
    if (!path)
        return RC_OK;
    struct bytes data;
    TRY(file_read(cli->ctx, path, (size_t)1 << 20, &data));
    *text = str_z(&cli->ctx->arena, data);
    return *text ? RC_OK : ctx_fail(cli->ctx, E_INVALID, "%s is not a text", path);
}
