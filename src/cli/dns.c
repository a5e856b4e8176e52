/* certwright dns …, certwright challenge … */
#include <unistd.h>

#include "cli/cli.h"

#define PROVIDERS  "/api/v1/dns-providers"
#define CHALLENGES "/api/v1/challenges"
#define TEST_S     60
#define PRESENT_S  300
#define POLL_US    200000

RC verb_dns_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},   {"PROVIDER", "provider", CLI_PLAIN},
                                              {"AGENT", "agent", CLI_PLAIN}, {"ZONES", "names", CLI_JOIN},
                                              {"STATE", "state", CLI_PLAIN}, {"ERROR", "error", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, PROVIDERS, INT64_MAX, &all));
    for (size_t i = 0; i < json_array_size(all) && cli->output != CLI_JSON; i++) {
        json_t *p = json_array_get(all, i), *names = json_array();
        const json_t *zones = json_object_get(p, "zones");
        for (size_t k = 0; k < json_array_size(zones); k++) {
            const json_t *z = json_array_get(zones, k);
            json_array_append(names, json_object_get(z, "zone"));
            if (*cli_text(z, "last_error.text"))
                json_object_set(p, "error", json_object_get(json_object_get(z, "last_error"), "text"));
        }
        json_object_set_new(p, "names", names);
    }
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_dns_show(struct cli *cli)
{
    return cli_show_at(cli, PROVIDERS "/");
}

/* What the try of a credential has shown, in words; fails as the first of its zones did. */
static struct rc told(struct cli *cli, const char *name, const json_t *provider)
{
    const json_t *zones = json_object_get(provider, "zones");
    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t *z = json_array_get(zones, i);
        const char *may = cli_text(z, "may"), *ends = cli_text(z, "expires_at");
        if (str_equal(cli_text(z, "state"), "good"))
            cli_say(cli, "%s: the credential is good%s%s%s%.10s", cli_text(z, "zone"), *may ? ": " : "", may,
                    *ends ? "; it ends on " : "", ends);
    }
    for (size_t i = 0; i < json_array_size(zones); i++) {
        const json_t *z = json_array_get(zones, i);
        if (!str_equal(cli_text(z, "state"), "failing"))
            continue;
        const enum err e = err_by_name(cli_text(z, "last_error.code"));
        return ctx_fail(cli->ctx, e,
                        "DNS provider %s is kept, but its credential failed for %s: %s; when mended: certwright dns test %s", name,
                        cli_text(z, "zone"), cli_text(z, "last_error.text"), name);
    }
    return RC_OK;
}

static bool any_fails(const json_t *provider)
{
    const json_t *zones = json_object_get(provider, "zones");
    for (size_t i = 0; i < json_array_size(zones); i++)
        if (str_equal(cli_text(json_array_get(zones, i), "state"), "failing"))
            return true;
    return false;
}

/* Waits until the credential was tried for every zone. */
static struct rc wait_tried(struct cli *cli, const char *name, json_t **out)
{
    const int64_t until = clock_mono_ms() + TEST_S * 1000;
    for (;;) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, PROVIDERS "/", name, ""), (struct bytes){0}, &now));
        if (!str_equal(cli_text(now, "state"), "trying")) {
            *out = json_incref(now);
            return RC_OK;
        }
        if (clock_mono_ms() > until && any_fails(now)) { /* which says more */
            *out = json_incref(now);
            return RC_OK;
        }
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT,
                            "agent %s has not tried the credential of %s yet; see later: certwright dns show %s",
                            cli_text(now, "agent"), name, name);
        usleep(POLL_US);
    }
}

static struct rc report(struct cli *cli, const char *name, const json_t *made)
{
    json_auto_t *tried = NULL;
    if (cli_has(cli, "no-test"))
        return cli->output == CLI_TABLE ? RC_OK : cli_print_object(cli, made, "name");
    TRY(wait_tried(cli, name, &tried));
    if (cli->output != CLI_TABLE)
        TRY(cli_print_object(cli, tried, "name"));
    return told(cli, name, tried);
}

static struct rc body(struct cli *cli, struct cli_body *b, const json_t *before)
{
    const struct str_list zones = cli_list_opt(cli, "zone");
    cli_body_text(b, "provider", cli_opt(cli, "provider"));
    cli_body_text(b, "agent", cli_opt(cli, "agent"));
    TRY(cli_body_parameters(cli, b, before));
    if (zones.n)
        cli_body_list(b, "zones", &zones);
    if (cli_has(cli, "no-test"))
        json_put_bool(&b->j, "no_test", true);
    return RC_OK;
}

RC verb_dns_add(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (!cli_has(cli, "provider") || !cli_has(cli, "zone"))
        return ctx_fail(cli->ctx, E_USAGE, "say who keeps the records and below which name: --provider rfc2136 --zone example.org");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    TRY(body(cli, &b, NULL));
    TRY(cli_call(cli, "POST", PROVIDERS, cli_body_end(&b), &made));
    cli_say(cli, "DNS provider %s is made%s", cli->args.v[0], cli_has(cli, "no-test") ? "" : "; its credential is tried …");
    return report(cli, cli->args.v[0], made);
}

RC verb_dns_edit(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *before = NULL, *made = NULL;
    if (cli_has(cli, "set"))
        TRY(cli_call(cli, "GET", cli_path(cli, PROVIDERS "/", cli->args.v[0], ""), (struct bytes){0}, &before));
    cli_body_begin(cli, &b);
    TRY(body(cli, &b, before ? json_object_get(before, "parameters") : NULL));
    TRY(cli_call(cli, "PATCH", cli_path(cli, PROVIDERS "/", cli->args.v[0], ""), cli_body_end(&b), &made));
    return report(cli, cli->args.v[0], made);
}

RC verb_dns_test(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *asked = NULL;
        TRY(cli_call(cli, "POST", cli_path(cli, PROVIDERS "/", cli->args.v[i], "/test"), (struct bytes){0}, &asked));
        TRY(report(cli, cli->args.v[i], asked));
    }
    return RC_OK;
}

RC verb_dns_grant(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (cli_has(cli, "team") == cli_has(cli, "agent") || !cli_has(cli, "under"))
        return ctx_fail(cli->ctx, E_USAGE,
                        "say to whom and for which names: --team TEAM (or --agent AGENT) --under shop.example.org");
    cli_body_begin(cli, &b);
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    cli_body_text(&b, "agent", cli_opt(cli, "agent"));
    cli_body_text(&b, "under", cli_opt(cli, "under"));
    TRY(cli_call(cli, "POST", cli_path(cli, PROVIDERS "/", cli->args.v[0], "/grants"), cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "%s answers for %s as well, below %s", cli->args.v[0],
            cli_opt(cli, "team") ? cli_opt(cli, "team") : cli_opt(cli, "agent"), cli_opt(cli, "under"));
    return RC_OK;
}

static bool fits(struct cli *cli, const json_t *grant)
{
    const char *team = cli_opt(cli, "team"), *agent = cli_opt(cli, "agent"), *under = cli_opt(cli, "under");
    return (!team || str_equal(team, cli_text(grant, "team")) || str_equal(team, cli_text(grant, "team_id"))) &&
           (!agent || str_equal(agent, cli_text(grant, "agent"))) && (!under || str_equal(under, cli_text(grant, "under")));
}

RC verb_dns_revoke(struct cli *cli)
{
    json_auto_t *p = NULL;
    size_t n = 0;
    int64_t records = 0;
    if (!cli_has(cli, "team") && !cli_has(cli, "agent") && !cli_has(cli, "under"))
        return ctx_fail(cli->ctx, E_USAGE, "say which: --team TEAM, --agent AGENT, --under NAME; certwright dns show %s lists them",
                        cli->args.v[0]);
    TRY(cli_call(cli, "GET", cli_path(cli, PROVIDERS "/", cli->args.v[0], ""), (struct bytes){0}, &p));
    const json_t *grants = json_object_get(p, "grants");
    for (size_t i = 0; i < json_array_size(grants); i++)
        if (fits(cli, json_array_get(grants, i))) {
            const char *before = cli_path(cli, PROVIDERS "/", cli->args.v[0], "/grants/");
            json_auto_t *done = NULL;
            TRY(cli_call(cli, "DELETE", cli_path(cli, before, cli_text(json_array_get(grants, i), "id"), ""), (struct bytes){0},
                         &done));
            records += json_integer_value(json_object_get(done, "records"));
            n++;
        }
    if (!n)
        return ctx_fail(cli->ctx, E_NOT_FOUND, "%s has no such grant; certwright dns show %s lists them", cli->args.v[0],
                        cli->args.v[0]);
    cli_say(cli, "%zu grant%s of %s taken back", n, n == 1 ? "" : "s", cli->args.v[0]);
    if (records)
        cli_say(cli, "%lld record%s of dns-persist-01 %s being taken away; certwright status tells of those that stay",
                (long long)records, records == 1 ? "" : "s", records == 1 ? "is" : "are");
    return RC_OK;
}

RC verb_dns_sweep(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *done = NULL;
        TRY(cli_call(cli, "POST", cli_path(cli, PROVIDERS "/", cli->args.v[i], "/sweep"), (struct bytes){0}, &done));
        if (cli->output != CLI_TABLE)
            TRY(cli_print_object(cli, done, "records"));
        const int64_t n = json_integer_value(json_object_get(done, "records"));
        cli_say(cli,
                n ? "%s: %lld record%s being taken away; certwright status tells of those that stay" : "%s: nothing is left behind",
                cli->args.v[i], (long long)n, n == 1 ? " is" : "s are");
    }
    return RC_OK;
}

RC verb_dns_remove(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++)
        TRY(cli_call(cli, "DELETE", cli_path(cli, PROVIDERS "/", cli->args.v[i], cli_has(cli, "force") ? "?force=true" : ""),
                     (struct bytes){0}, NULL));
    return RC_OK;
}

/* --- challenges of other clients */

RC verb_challenge_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"ID", "id", CLI_PLAIN},
                                              {"NAME", "name", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},
                                              {"ENDS", "ends_at", CLI_AGO},
                                              {"ERROR", "last_error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, CHALLENGES, INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "id");
}

RC verb_challenge_show(struct cli *cli)
{
    return cli_show_at(cli, CHALLENGES "/");
}

/* Waits until it is in state `good`, or failed. */
static struct rc wait_challenge(struct cli *cli, const char *id, const char *good)
{
    const int64_t until = clock_mono_ms() + cli_number(cli, "timeout", PRESENT_S) * 1000;
    for (;;) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, CHALLENGES "/", id, ""), (struct bytes){0}, &now));
        const char *state = cli_text(now, "state");
        if (str_equal(state, good))
            return RC_OK;
        if (str_equal(state, "failed") || str_equal(state, "leftover"))
            return ctx_fail(cli->ctx, err_by_name(cli_text(now, "last_error.code")), "challenge %s for %s: %s", id,
                            cli_text(now, "name"), cli_text(now, "last_error.text"));
        if (!str_equal(state, "presenting") && !str_equal(state, "cleaning"))
            return ctx_fail(cli->ctx, E_CONFLICT, "challenge %s for %s is %s", id, cli_text(now, "name"), state);
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "challenge %s for %s is still %s; see later: certwright challenge show %s", id,
                            cli_text(now, "name"), state, id);
        usleep(POLL_US);
    }
}

RC verb_challenge_present(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    json_put_str(&b.j, "value", cli->args.v[1]);
    TRY(cli_call(cli, "POST", CHALLENGES, cli_body_end(&b), &made));
    const char *id = arena_strdup(&cli->ctx->arena, cli_text(made, "id"));
    TRY(wait_challenge(cli, id, "presented"));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "id");
    cli_say(cli, "%s", id);
    return RC_OK;
}

/* A name as the hub keeps it. */
static const char *name_of(struct cli *cli, const char *given)
{
    char *name = arena_strdup(&cli->ctx->arena, given);
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    if (strncasecmp(name, "_acme-challenge.", 16) == 0)
        name += 16;
    for (char *s = name; *s; s++)
        *s = (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s);
    const size_t n = strlen(name);
    if (n > 1 && name[n - 1] == '.')
        name[n - 1] = '\0';
    return name;
}

static struct rc challenge_of(struct cli *cli, const char **id)
{
    json_auto_t *all = NULL;
    *id = cli->args.v[0];
    if (cli->args.n < 2)
        return RC_OK;
    const char *name = name_of(cli, cli->args.v[0]);
    TRY(cli_all(cli, CHALLENGES, INT64_MAX, &all));
    for (size_t i = json_array_size(all); i > 0; i--) { /* the newest is meant */
        const json_t *c = json_array_get(all, i - 1);
        if (str_equal(cli_text(c, "name"), name) && str_equal(cli_text(c, "value"), cli->args.v[1])) {
            *id = arena_strdup(&cli->ctx->arena, cli_text(c, "id"));
            return RC_OK;
        }
    }
    return ctx_fail(cli->ctx, E_NOT_FOUND, "no such challenge for %s; certwright challenge list shows them", name);
}

RC verb_challenge_clean(struct cli *cli)
{
    const char *id = NULL;
    TRY(challenge_of(cli, &id));
    TRY(cli_call(cli, "DELETE", cli_path(cli, CHALLENGES "/", id, ""), (struct bytes){0}, NULL));
    return cli_has(cli, "no-wait") ? RC_OK : wait_challenge(cli, id, "cleaned");
}
