/* certwright channel … */
#include <unistd.h>

#include "cli/cli.h"
#include "cli/found.h"

#define CHANNELS      "/api/v1/channels"
#define ADDRESSES     "/api/v1/addresses"
#define NOTIFICATIONS "/api/v1/notifications"
#define TEST_S        90
#define POLL_US       200000

RC verb_channel_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"NAME", "name", CLI_PLAIN},   {"KIND", "kind", CLI_PLAIN},
                                              {"AGENT", "agent", CLI_PLAIN}, {"TO", "to", CLI_JOIN},
                                              {"STATE", "state", CLI_PLAIN}, {"ERROR", "last_error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, CHANNELS, INT64_MAX, &all));
    for (size_t i = 0; i < json_array_size(all) && cli->output != CLI_JSON; i++) {
        json_t *c = json_array_get(all, i), *to = json_array();
        const json_t *addresses = json_object_get(c, "addresses");
        for (size_t k = 0; k < json_array_size(addresses); k++) {
            const json_t *a = json_array_get(addresses, k);
            const bool confirmed = json_is_true(json_object_get(a, "confirmed"));
            json_array_append_new(to, json_string(arena_printf(&cli->ctx->arena, "%s%s", cli_text(a, "address"),
                                                               confirmed ? "" : " (not confirmed)")));
        }
        json_object_set_new(c, "to", to);
    }
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "name");
}

RC verb_channel_show(struct cli *cli)
{
    return cli_show_at(cli, CHANNELS "/");
}

static void say_codes(struct cli *cli, const char *name, const json_t *channel)
{
    const json_t *addresses = json_object_get(channel, "addresses");
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const json_t *a = json_array_get(addresses, i);
        if (!json_is_true(json_object_get(a, "confirmed")))
            cli_say(cli, "a code goes to %s; nothing else does before: certwright channel confirm %s CODE", cli_text(a, "address"),
                    name);
    }
}

static struct rc body(struct cli *cli, struct cli_body *b, const json_t *before)
{
    const struct str_list to = cli_list_opt(cli, "to");
    cli_body_text(b, "kind", cli_opt(cli, "kind"));
    cli_body_text(b, "agent", cli_opt(cli, "agent"));
    TRY(cli_body_parameters(cli, b, before));
    if (to.n)
        cli_body_list(b, "addresses", &to);
    return RC_OK;
}

RC verb_channel_add(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *made = NULL;
    if (!cli_has(cli, "kind"))
        return ctx_fail(cli->ctx, E_USAGE, "say how people are told: --kind, a row of channels in the agent's agent.yaml");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", cli->args.v[0]);
    cli_body_text(&b, "team", cli_opt(cli, "team"));
    TRY(body(cli, &b, NULL));
    if (cli_has(cli, "unusual"))
        json_put_bool(&b.j, "usual", false);
    if (cli_has(cli, "daily"))
        json_put_bool(&b.j, "daily", true);
    TRY(cli_call(cli, "POST", CHANNELS, cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "channel %s is made; try it: certwright channel test %s", cli->args.v[0], cli->args.v[0]);
    say_codes(cli, cli->args.v[0], made);
    return RC_OK;
}

static struct rc put_choice(struct cli *cli, struct cli_body *b, const char *name)
{
    const char *text = cli_opt(cli, name);
    if (text && !str_equal(text, "yes") && !str_equal(text, "no"))
        return ctx_fail(cli->ctx, E_USAGE, "--%s is yes or no", name);
    if (text)
        json_put_bool(&b->j, name, str_equal(text, "yes"));
    return RC_OK;
}

RC verb_channel_edit(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *before = NULL, *made = NULL;
    if (cli_has(cli, "set"))
        TRY(cli_call(cli, "GET", cli_path(cli, CHANNELS "/", cli->args.v[0], ""), (struct bytes){0}, &before));
    cli_body_begin(cli, &b);
    TRY(body(cli, &b, before ? json_object_get(before, "parameters") : NULL));
    TRY(put_choice(cli, &b, "usual"));
    TRY(put_choice(cli, &b, "daily"));
    TRY(cli_call(cli, "PATCH", cli_path(cli, CHANNELS "/", cli->args.v[0], ""), cli_body_end(&b), &made));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, made, "name");
    cli_say(cli, "channel %s is changed; try it: certwright channel test %s", cli->args.v[0], cli->args.v[0]);
    if (cli_has(cli, "to"))
        say_codes(cli, cli->args.v[0], made);
    return RC_OK;
}

/* Waits until it was tried. */
static struct rc wait_tried(struct cli *cli, const char *id, json_t **out)
{
    const int64_t until = clock_mono_ms() + TEST_S * 1000;
    for (;;) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, NOTIFICATIONS "/", id, ""), (struct bytes){0}, &now));
        if (!str_equal(cli_text(now, "state"), "waiting")) {
            *out = json_incref(now);
            return RC_OK;
        }
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "its agent has not sent it yet; see later: certwright channel notifications %s",
                            cli_text(now, "channel"));
        usleep(POLL_US);
    }
}

RC verb_channel_test(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *asked = NULL, *tried = NULL;
        TRY(cli_call(cli, "POST", cli_path(cli, CHANNELS "/", cli->args.v[i], "/test"), (struct bytes){0}, &asked));
        TRY(wait_tried(cli, cli_text(asked, "id"), &tried));
        if (cli->output != CLI_TABLE)
            TRY(cli_print_object(cli, tried, "id"));
        if (!str_equal(cli_text(tried, "state"), "sent"))
            return ctx_fail(cli->ctx, err_by_name(cli_text(tried, "last_error.code")), "channel %s does not work: %s",
                            cli->args.v[i], cli_text(tried, "last_error.text"));
        cli_say(cli, "channel %s works: see whether notification %s has come", cli->args.v[i], cli_text(tried, "id"));
    }
    return RC_OK;
}

static struct rc confirm_address(struct cli *cli, const char *address, struct bytes body)
{
    TRY(cli_call(cli, "POST", cli_path(cli, ADDRESSES "/", address, "/confirm"), body, NULL));
    cli_say(cli,
            cli->args.n > 1 ? "confirmed: rules and reports write to %s" : "a code goes to %s: certwright channel confirm %s CODE",
            address, address);
    return RC_OK;
}

RC verb_channel_addresses(struct cli *cli)
{
    static const struct cli_column shown[] = {{"ADDRESS", "address", CLI_PLAIN},    {"CONFIRMED", "confirmed", CLI_YES},
                                              {"TEAM", "team", CLI_PLAIN},          {"ASKED BY", "asked_by", CLI_PLAIN},
                                              {"CREATED", "created_at", CLI_AGO}};
    return cli_list_some(cli, ADDRESSES, shown, sizeof shown / sizeof *shown, "address");
}

RC verb_channel_forget(struct cli *cli)
{
    return cli_remove_each(cli, ADDRESSES "/");
}

RC verb_channel_confirm(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *now = NULL;
    cli_body_begin(cli, &b);
    cli_body_text(&b, "code", cli->args.n > 1 ? cli->args.v[1] : NULL);
    if (strchr(cli->args.v[0], '@'))
        return confirm_address(cli, cli->args.v[0], cli_body_end(&b));
    TRY(cli_call(cli, "POST", cli_path(cli, CHANNELS "/", cli->args.v[0], "/confirm"), cli_body_end(&b), &now));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, now, "name");
    if (cli->args.n > 1)
        cli_say(cli, "confirmed: channel %s writes there", cli->args.v[0]);
    else
        say_codes(cli, cli->args.v[0], now);
    return RC_OK;
}

RC verb_channel_remove(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        TRY(cli_call(cli, "DELETE", cli_path(cli, CHANNELS "/", cli->args.v[i], ""), (struct bytes){0}, NULL));
        cli_say(cli, "channel %s is removed", cli->args.v[i]);
    }
    return RC_OK;
}

RC verb_channel_notifications(struct cli *cli)
{
    static const struct cli_column shown[] = {
        {"ID", "id", CLI_PLAIN},       {"CREATED", "created_at", CLI_AGO},       {"CHANNEL", "channel", CLI_PLAIN},
        {"STATE", "state", CLI_PLAIN}, {"TRIES", "tries", CLI_PLAIN},            {"SUBJECT", "subject", CLI_PLAIN},
        {"ERROR", "last_error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    const char *state = cli_opt(cli, "state"), *path = NOTIFICATIONS "?";
    if (state)
        path = cli_path(cli, arena_printf(&cli->ctx->arena, "%sstate=", path), state, "&");
    if (cli->args.n)
        path = cli_path(cli, arena_printf(&cli->ctx->arena, "%schannel=", path), cli->args.v[0], "&");
    TRY(cli_all(cli, arena_printf(&cli->ctx->arena, "%.*s", (int)strlen(path) - 1, path), cli_number(cli, "limit", 100), &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "id");
}

RC verb_channel_resend(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "POST", cli_path(cli, NOTIFICATIONS "/", cli->args.v[i], "/send"), (struct bytes){0}, &now));
        cli_say(cli, "notification %s is sent once more over channel %s", cli->args.v[i], cli_text(now, "channel"));
    }
    return RC_OK;
}
