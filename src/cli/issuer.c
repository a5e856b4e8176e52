/* certwright issuer …, certwright profile … */
#include "cli/cli.h"

#define ISSUERS  "/api/v1/issuers"
#define PROFILES "/api/v1/profiles"

RC verb_issuer_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},
                                              {"KIND", "kind", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},
                                              {"DIRECTORY", "directory_url", CLI_PLAIN},
                                              {"ERROR", "last_error", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, ISSUERS, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_issuer_show(struct cli *cli)
{
    return cli_show_at(cli, ISSUERS "/");
}

/* A bare mail address is meant as a mailto: URL. */
static struct str_list contacts(struct cli *cli)
{
    struct str_list out = {0}, given = cli_list_opt(cli, "contact");
    for (size_t i = 0; i < given.n; i++)
        str_list_add(&cli->ctx->arena, &out,
                     strchr(given.v[i], ':') ? given.v[i] : arena_printf(&cli->ctx->arena, "mailto:%s", given.v[i]));
    return out;
}

/* "domain=50/7d" or, where renewals are exempt, "domain=50/7d/renewal" (or /ari). */
static struct rc limit_put(struct cli *cli, struct json_out *j, const char *text)
{
    struct bytes rest = bytes_z(text), kind, count, window;
    uint64_t n = 0;
    int64_t s = 0;
    const bool shaped =
        bytes_take_until(&rest, '=', &kind) && bytes_take_until(&rest, '/', &count) && bytes_take_until(&rest, '/', &window);
    if (!shaped || !str_to_u64(count, &n) || !n || n > 1000000 || !str_parse_span(window, &s))
        return ctx_fail(cli->ctx, E_USAGE, "--limit %s: say it as KIND=NUMBER/SPAN, such as domain=50/7d", text);
    json_open_obj(j, NULL);
    json_put_bytes_str(j, "kind", kind);
    json_put_int(j, "count", (int64_t)n);
    json_put_int(j, "window_s", s);
    if (rest.n)
        json_put_bytes_str(j, "exempt", rest);
    json_close(j);
    return RC_OK;
}

/* What is not said stays as `before` has it (NULL: a new issuer). */
static void failover_body(struct cli *cli, struct cli_body *b, const json_t *before)
{
    static const struct {
        const char *option, *key;
    } parts[] = {{"failover-after", "after"}, {"failover-within", "within_s"}, {"failover-new", "new_within_s"}};
    bool any = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        any = any || cli_has(cli, parts[i].option);
    if (!any)
        return;
    json_open_obj(&b->j, "failover");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *was = json_object_get(before, parts[i].key);
        if (cli_has(cli, parts[i].option))
            json_put_int(&b->j, parts[i].key, cli_number(cli, parts[i].option, 0));
        else if (was)
            json_put_int(&b->j, parts[i].key, json_integer_value(was));
    }
    json_close(&b->j);
}

static struct rc policy_body(struct cli *cli, struct cli_body *b, const json_t *before)
{
    const struct str_list limits = cli_list_opt(cli, "limit");
    cli_body_text(b, "staging_url", cli_opt(cli, "staging"));
    if (limits.n) {
        json_open_list(&b->j, "limits");
        for (size_t i = 0; i < limits.n; i++)
            TRY(limit_put(cli, &b->j, limits.v[i]));
        json_close(&b->j);
    }
    if (cli_has(cli, "rehearsal")) {
        const char *word = cli_opt(cli, "rehearsal");
        if (!str_equal(word, "on") && !str_equal(word, "off"))
            return ctx_fail(cli->ctx, E_USAGE, "--rehearsal is on or off");
        json_put_bool(&b->j, "rehearsal", str_equal(word, "on"));
    }
    failover_body(cli, b, before ? json_object_get(before, "failover") : NULL);
    return RC_OK;
}

RC verb_issuer_presets(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},
                                              {"CA", "title", CLI_PLAIN},
                                              {"DIRECTORY", "directory_url", CLI_PLAIN},
                                              {"EAB", "eab", CLI_PLAIN},
                                              {"AS OF", "as_of", CLI_PLAIN}};
    json_auto_t *got = NULL;
    const char *one = NULL;
    TRY(cli_one_arg(cli, &one));
    TRY(cli_call(cli, "GET", "/api/v1/issuer-presets", (struct bytes){0}, &got));
    const json_t *items = cli_member(got, "items");
    if (!one)
        return cli_print_list(cli, items, shown, sizeof shown / sizeof *shown, "name");
    for (size_t i = 0; i < json_array_size(items); i++)
        if (str_equal(cli_text(json_array_get(items, i), "name"), one))
            return cli_print_object(cli, json_array_get(items, i), "name");
    return ctx_fail(cli->ctx, E_NOT_FOUND, "no CA is described as %s; certwright issuer presets lists those that are", one);
}

/* How names are proved; what is not said stays as `before` has it (NULL: a new issuer). */
static struct rc put_challenge(struct cli *cli, struct cli_body *b, const json_t *before)
{
    const struct {
        const char *option, *key;
    } parts[] = {{"challenge", "method"}, {"via", "via"}, {"webroot", "webroot"}, {"challenge-agent", "agent"}};
    bool any = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        any = any || cli_has(cli, parts[i].option);
    if (!any)
        return RC_OK;
    if (!before && cli_has(cli, "challenge-agent") && !cli_has(cli, "webroot") && !cli_has(cli, "via") &&
        !cli_has(cli, "challenge"))
        return ctx_fail(cli->ctx, E_USAGE, "--challenge-agent goes with --via listener or --webroot DIR");
    json_open_obj(&b->j, "challenge");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *value = cli_opt(cli, parts[i].option);
        if (!value && str_equal(parts[i].key, "via") && cli_has(cli, "webroot"))
            value = "webroot";
        if (!value && before)
            value = json_string_value(json_object_get(before, parts[i].key));
        cli_body_text(b, parts[i].key, value);
    }
    json_close(&b->j);
    return RC_OK;
}

/* The CA's key comes from a file: an argument can be seen by everybody on the host. */
static struct rc put_binding(struct cli *cli, struct cli_body *b)
{
    const char *kid = cli_opt(cli, "eab-kid"), *key = NULL;
    TRY(cli_opt_file(cli, "eab-key-file", &key));
    if (!kid != !key)
        return ctx_fail(cli->ctx, E_USAGE, "an external account binding needs both --eab-kid KID and --eab-key-file FILE");
    if (kid) {
        json_open_obj(&b->j, "eab");
        json_put_str(&b->j, "kid", kid);
        json_put_bytes_str(&b->j, "key", bytes_of(key, strcspn(key, " \t\r\n"))); /* a line's end is no part of it */
        json_close(&b->j);
    }
    if (cli_has(cli, "drafts"))
        json_put_bool(&b->j, "drafts", true);
    return RC_OK;
}

static struct rc issuer_body(struct cli *cli, struct cli_body *b, const json_t *before)
{
    const char *roots = NULL;
    TRY(cli_opt_file(cli, "roots", &roots));
    const struct str_list mails = contacts(cli), networks = cli_list_opt(cli, "grant");
    TRY(policy_body(cli, b, before));
    cli_body_text(b, "directory_url", cli_opt(cli, "acme"));
    cli_body_text(b, "ca_roots_pem", roots);
    cli_body_text(b, "acme_profile", cli_opt(cli, "acme-profile"));
    cli_body_text(b, "preflight", cli_opt(cli, "preflight"));
    cli_body_text(b, "preferred_chain", cli_opt(cli, "preferred-chain"));
    TRY(put_binding(cli, b));
    cli_body_text(b, "agent", cli_opt(cli, "agent"));
    if (mails.n)
        cli_body_list(b, "contacts", &mails);
    if (networks.n)
        cli_body_list(b, "granted_networks", &networks);
    if (cli_has(cli, "agree"))
        json_put_bool(&b->j, "terms_agreed", true);
    return put_challenge(cli, b, before ? json_object_get(before, "challenge") : NULL);
}

RC verb_issuer_add(struct cli *cli)
{
    const bool acme = cli_has(cli, "acme") || cli_has(cli, "preset");
    const bool asked = cli_has(cli, "by"), manual = cli_has(cli, "manual");
    if (acme + cli_has(cli, "ca") + asked + manual != 1)
        return ctx_fail(cli->ctx, E_USAGE,
                        "say which kind: --preset NAME or --acme URL of the CA's directory, --ca NAME of our own CA, --by PROTOCOL "
                        "(vault-pki, est, ad-cs), or --manual");
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "kind", acme ? "acme" : asked ? "enroll" : manual ? "manual" : "ca");
    cli_body_text(&b, "protocol", cli_opt(cli, "by"));
    TRY(cli_body_parameters(cli, &b, NULL));
    cli_body_text(&b, "preset", cli_opt(cli, "preset"));
    cli_body_text(&b, "ca", cli_opt(cli, "ca"));
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    TRY(issuer_body(cli, &b, NULL));
    const char *account_key = NULL;
    TRY(cli_opt_file(cli, "account-key-file", &account_key));
    cli_body_text(&b, "account_key", account_key);
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "POST", ISSUERS, cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "Issuer %s is made; use it with: certwright cert add NAME --issuer %s", cli->args.v[0], cli->args.v[0]);
    return RC_OK;
}

RC verb_issuer_edit(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *before = NULL, *made = NULL;
    TRY(cli_call(cli, "GET", cli_path(cli, ISSUERS "/", cli->args.v[0], ""), (struct bytes){0}, &before));
    cli_body_begin(cli, &b);
    TRY(issuer_body(cli, &b, before));
    TRY(cli_body_parameters(cli, &b, json_object_get(before, "parameters")));
    if (cli_has(cli, "dry-run"))
        json_put_bool(&b.j, "dry_run", true);
    TRY(cli_call(cli, "PATCH", cli_path(cli, ISSUERS "/", cli->args.v[0], ""), cli_body_end(&b), &made));
    const json_t *warnings = json_object_get(made, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++)
        cli_say(cli, "Warning: %s", json_string_value(json_array_get(warnings, i)));
    if (!cli_has(cli, "dry-run"))
        return cli_print_object(cli, made, "name");
    cli_say(cli, "Nothing was changed.%s", json_array_size(warnings) ? "" : "  Nothing speaks against it.");
    return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, made, "name");
}

RC verb_issuer_remove(struct cli *cli)
{
    int64_t records = 0;
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *done = NULL;
        TRY(cli_call(cli, "DELETE", cli_path(cli, ISSUERS "/", cli->args.v[i], ""), (struct bytes){0}, &done));
        records += json_integer_value(json_object_get(done, "records"));
        cli_say(cli, "%s is removed", cli->args.v[i]);
    }
    if (records)
        cli_say(cli,
                "%lld record%s of dns-persist-01, which let%s its account have certificates, %s being taken away; certwright "
                "status tells of those that stay",
                (long long)records, records == 1 ? "" : "s", records == 1 ? "s" : "", records == 1 ? "is" : "are");
    return RC_OK;
}

/* --- profiles */

RC verb_profile_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},
                                              {"USAGE", "usage", CLI_PLAIN},
                                              {"VALIDITY", "validity_s", CLI_SPAN_S},
                                              {"KEYS", "key_kinds", CLI_JOIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, PROFILES, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_profile_show(struct cli *cli)
{
    return cli_show_at(cli, PROFILES "/");
}

static void profile_body(struct cli *cli, struct cli_body *b)
{
    const struct str_list kinds = cli_list_opt(cli, "key-kind");
    if (kinds.n)
        cli_body_list(b, "key_kinds", &kinds);
    if (cli_has(cli, "validity"))
        json_put_int(&b->j, "validity_s", cli_number(cli, "validity", 0));
    if (cli_has(cli, "common-name"))
        json_put_bool(&b->j, "common_name", true);
}

RC verb_profile_add(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "usage", cli_opt(cli, "usage") ? cli_opt(cli, "usage") : "tls-server");
    profile_body(cli, &b);
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "POST", PROFILES, cli_body_end(&b), &made));
    return cli_print_object(cli, made, "name");
}

RC verb_profile_edit(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    profile_body(cli, &b);
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "PATCH", cli_path(cli, PROFILES "/", cli->args.v[0], ""), cli_body_end(&b), &made));
    return cli_print_object(cli, made, "name");
}

RC verb_profile_remove(struct cli *cli)
{
    return cli_remove_each(cli, PROFILES "/");
}
