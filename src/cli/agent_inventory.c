/* certwright agent inventory NAME... */
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

#define WAIT_S    600
#define SHOWN_MAX 10000 /* endpoints that are looked through for those of the agent */

/* Until the job is at its end; a failure is the agent's own words. */
static struct rc wait_for(struct cli *cli, const char *name, const char *job, int64_t until)
{
    for (;;) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, "/api/v1/jobs/", job, ""), (struct bytes){0}, &now));
        const char *state = cli_text(now, "state");
        if (str_equal(state, "failed") || str_equal(state, "cancelled"))
            return ctx_fail(cli->ctx, E_COMMAND_FAILED, "agent %s could not look: %s", name,
                            cli_text(json_object_get(now, "error"), "text"));
        if (!str_equal(state, "ready") && !str_equal(state, "leased"))
            return RC_OK;
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "agent %s still looks; see later: certwright job show %s", name, job);
        usleep(100 * 1000);
    }
}

static bool is_of(const json_t *endpoint, const struct str_list *names)
{
    const struct bytes place = bytes_z(cli_text(endpoint, "place"));
    const char *kind = cli_text(endpoint, "kind");
    if (!str_equal(kind, "file") && !str_equal(kind, "store"))
        return false;
    for (size_t i = 0; i < names->n; i++)
        if (bytes_starts_with(place, bytes_z(names->v[i])) && place.n > strlen(names->v[i]) && place.p[strlen(names->v[i])] == ':')
            return true;
    return false;
}

static struct rc show(struct cli *cli, const struct str_list *names)
{
    static const struct cli_column shown[] = {{"NUMBER", "id", CLI_PLAIN},       {"KIND", "kind", CLI_PLAIN},
                                              {"PLACE", "place", CLI_PLAIN},     {"STATE", "result", CLI_PLAIN},
                                              {"LAST SEEN", "last_seen", CLI_AGO}, {"SAYS", "error", CLI_PLAIN}};
    json_auto_t *all = NULL, *mine = json_array();
    const json_t *v;
    size_t i;
    TRY(cli_all(cli, "/api/v1/endpoints", SHOWN_MAX, &all));
    json_array_foreach(all, i, v)
        if (is_of(v, names))
            json_array_append(mine, (json_t *)(uintptr_t)v);
    if (json_array_size(all) >= SHOWN_MAX)
        cli_say(cli, "Of the newest %d endpoints:", SHOWN_MAX);
    return cli_print_list(cli, mine, shown, sizeof shown / sizeof *shown, "place");
}

RC verb_agent_inventory(struct cli *cli)
{
    struct str_list names = {0}, jobs = {0};
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *agent = NULL, *asked = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, "/api/v1/agents/", cli->args.v[i], ""), (struct bytes){0}, &agent));
        TRY(cli_call(cli, "POST", cli_path(cli, "/api/v1/agents/", cli->args.v[i], "/inventory"), (struct bytes){0}, &asked));
        str_list_add(&cli->ctx->arena, &names, arena_strdup(&cli->ctx->arena, cli_text(agent, "name")));
        str_list_add(&cli->ctx->arena, &jobs, arena_strdup(&cli->ctx->arena, cli_text(asked, "id")));
    }
    if (cli_has(cli, "no-wait")) {
        cli_say(cli, "%zu asked; certwright endpoint list shows what they find", names.n);
        return RC_OK;
    }
    const int64_t until = clock_mono_ms() + WAIT_S * 1000;
    for (size_t i = 0; i < jobs.n; i++)
        TRY(wait_for(cli, names.v[i], jobs.v[i], until));
    return show(cli, &names);
}
