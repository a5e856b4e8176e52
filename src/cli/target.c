/* certwright target … */
#include <unistd.h>

#include "cli/cli.h"
#include "base/address.h"
#include "net/starttls.h"

#define TARGETS    "/api/v1/targets"
#define DISCOVER_S 30

static const struct cli_column columns[] = {
    {"NAME", "name", CLI_PLAIN},       {"CONNECTOR", "connector", CLI_PLAIN}, {"AGENT", "agent", CLI_PLAIN},
    {"ANSWERS TO", "names", CLI_JOIN}, {"MANAGED BY", "managed", CLI_PLAIN},  {"DESCRIPTION", "description", CLI_PLAIN},
};

static struct rc list(struct cli *cli)
{
    json_auto_t *all = NULL;
    TRY(cli_all(cli, TARGETS, INT64_MAX, &all));
    if (cli->output != CLI_JSON)
        for (size_t i = 0; i < json_array_size(all); i++) {
            json_t *t = json_array_get(all, i);
            json_object_set_new(t, "managed", json_string(cli_text(json_array_get(json_object_get(t, "managed_by"), 0), "name")));
        }
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_target_list(struct cli *cli)
{
    return list(cli);
}
RC verb_target_show(struct cli *cli)
{
    return cli_show_at(cli, TARGETS "/");
}

/* discovering counts the agents that still look. */
static struct rc discovering(struct cli *cli, int64_t since_s, size_t *n)
{
    json_auto_t *jobs = NULL;
    TRY(cli_all(cli, "/api/v1/jobs", 200, &jobs));
    *n = 0;
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *j = json_array_get(jobs, i);
        const char *state = cli_text(j, "state");
        if (!str_equal(cli_text(j, "kind"), "discover"))
            continue;
        *n += str_equal(state, "ready") || str_equal(state, "leased");
        int64_t made = 0;
        if (str_equal(state, "failed") && time_parse_rfc3339(bytes_z(cli_text(j, "created_at")), &made) && made >= since_s)
            return ctx_fail(cli->ctx, E_COMMAND_FAILED, "agent %s could not look: %s", cli_text(j, "agent"),
                            cli_text(json_object_get(j, "last_error"), "text"));
    }
    return RC_OK;
}

RC verb_target_discover(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    cli_body_text(&b, "agent", cli_opt(cli, "agent"));
    json_auto_t *asked = NULL;
    const int64_t since_s = clock_unix_s(cli->ctx->clock) - 1;
    TRY(cli_call(cli, "POST", TARGETS "/discover", cli_body_end(&b), &asked));
    if (cli_has(cli, "no-wait"))
        return cli_print_object(cli, asked, "asked");
    const int64_t until = clock_mono_ms() + DISCOVER_S * 1000;
    for (size_t open = 1; open;) {
        TRY(discovering(cli, since_s, &open));
        if (open && clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "%zu agents still look; see later: certwright target list", open);
        if (open)
            usleep(200 * 1000);
    }
    json_auto_t *found = NULL;
    TRY(cli_all(cli, TARGETS, 1, &found));
    if (!json_array_size(found) && cli->output == CLI_TABLE) {
        cli_say(cli, "Nothing is found: nginx is looked for server blocks with listen … ssl and ssl_certificate.  Other services "
                     "are named by hand: certwright target add");
        return RC_OK;
    }
    return list(cli);
}

RC cli_body_parameters(struct cli *cli, struct cli_body *b, const json_t *before)
{
    const char *kept;
    json_t *value;
    if (!cli_has(cli, "set"))
        return RC_OK;
    json_open_obj(&b->j, "parameters");
    json_object_foreach((json_t *)(uintptr_t)before, kept, value) {
        bool named = false;
        const size_t n = strlen(kept);
        for (size_t i = 0; i < cli->values_n; i++)
            named = named || (str_equal(cli->values[i].option->name, "set") && strncmp(cli->values[i].text, kept, n) == 0 &&
                              cli->values[i].text[n] == '=');
        if (!named)
            json_put_str(&b->j, kept, json_string_value(value));
    }
    for (size_t i = 0; i < cli->values_n; i++) {
        if (!str_equal(cli->values[i].option->name, "set"))
            continue;
        /* Not split at commas: a value may hold some. */
        struct bytes rest = bytes_z(cli->values[i].text), key;
        const size_t whole = rest.n;
        bytes_take_until(&rest, '=', &key);
        if (!key.n || key.n == whole)
            return ctx_fail(cli->ctx, E_USAGE, "--set takes KEY=VALUE, not \"%s\"", cli->values[i].text);
        if (rest.n || !before)
            json_put_bytes_str(&b->j, arena_str(&cli->ctx->arena, key), rest);
    }
    json_close(&b->j);
    return RC_OK;
}

/* "192.0.2.1:443", "[2001:db8::1]:443/www.example.org" or "smtp://192.0.2.1:25" (STARTTLS) */
static struct rc put_endpoints(struct cli *cli, struct cli_body *b, const struct str_list *names)
{
    const struct str_list given = cli_list_opt(cli, "endpoint");
    if (!given.n)
        return RC_OK;
    json_open_list(&b->j, "endpoints");
    for (size_t i = 0; i < given.n; i++) {
        struct bytes name = bytes_z(given.v[i]), place;
        const char *host = NULL, *scheme = strstr(given.v[i], "://");
        uint16_t port = 0;
        if (scheme)
            name = bytes_z(scheme + 3);
        bytes_take_until(&name, '/', &place);
        const char *protocol = scheme ? arena_str(&cli->ctx->arena, bytes_of(given.v[i], (size_t)(scheme - given.v[i]))) : "";
        const enum starttls spoken = starttls_by_name(protocol);
        if (spoken == STARTTLS_PROTOCOLS)
            return ctx_fail(cli->ctx, E_USAGE,
                            "%s:// is not known; these are: %s; none where TLS begins at once", protocol,
                            starttls_words(cli->ctx));
        TRY(address_parse_host_port(cli->ctx, place, starttls_port(spoken), &host, &port));
        json_open_obj(&b->j, NULL);
        json_put_str(&b->j, "address", host);
        json_put_int(&b->j, "port", port);
        json_put_str(&b->j, "name", name.n ? arena_str(&cli->ctx->arena, name) : names->n ? names->v[0] : "");
        if (scheme)
            json_put_str(&b->j, "starttls", protocol);
        json_close(&b->j);
    }
    json_close(&b->j);
    return RC_OK;
}

/* Not split at commas: the days of one stand between them. */
static void put_windows(struct cli *cli, struct cli_body *b)
{
    if (!cli_has(cli, "window"))
        return;
    json_open_list(&b->j, "windows");
    for (size_t i = 0; i < cli->values_n; i++)
        if (str_equal(cli->values[i].option->name, "window") && *cli->values[i].text)
            json_put_str(&b->j, NULL, cli->values[i].text);
    json_close(&b->j);
}

static struct rc body(struct cli *cli, struct cli_body *b, const json_t *before)
{
    const struct str_list names = cli_list_opt(cli, "names");
    TRY(cli_body_parameters(cli, b, before));
    TRY(put_endpoints(cli, b, &names));
    put_windows(cli, b);
    if (names.n)
        cli_body_list(b, "names", &names);
    cli_body_text(b, "description", cli_opt(cli, "description"));
    return RC_OK;
}

RC verb_target_add(struct cli *cli)
{
    if (!cli_has(cli, "connector"))
        return ctx_fail(cli->ctx, E_USAGE, "say what serves it: --connector nginx, --connector files, …");
    struct cli_body b;
    cli_body_begin(cli, &b);
    cli_body_text(&b, "name", cli->args.n ? cli->args.v[0] : NULL);
    cli_body_text(&b, "connector", cli_opt(cli, "connector"));
    cli_body_text(&b, "agent", cli_opt(cli, "agent"));
    TRY(body(cli, &b, NULL));
    json_auto_t *made = NULL;
    TRY(cli_call(cli, "POST", TARGETS, cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "Target %s is made; use it with: certwright cert add NAME --to %s", cli_text(made, "name"),
            cli_text(made, "name"));
    return RC_OK;
}

RC verb_target_edit(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *before = NULL, *made = NULL;
    if (cli_has(cli, "set"))
        TRY(cli_call(cli, "GET", cli_path(cli, TARGETS "/", cli->args.v[0], ""), (struct bytes){0}, &before));
    cli_body_begin(cli, &b);
    TRY(body(cli, &b, before ? json_object_get(before, "parameters") : NULL));
    TRY(cli_call(cli, "PATCH", cli_path(cli, TARGETS "/", cli->args.v[0], ""), cli_body_end(&b), &made));
    return cli_print_object(cli, made, "name");
}

RC verb_target_remove(struct cli *cli)
{
    return cli_remove_each(cli, TARGETS "/");
}
