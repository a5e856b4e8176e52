/* certwright event …: what happens, as it happens. */
#include <stdio.h>

#include "base/encode.h"
#include "cli/cli.h"

#define WAIT_S 30

static struct rc ask(struct cli *cli, int64_t after, int64_t wait_s, json_t **out)
{
    const char *path =
        arena_printf(&cli->ctx->arena, "/api/v1/events?after=%lld&wait=%lld&limit=200", (long long)after, (long long)wait_s);
    return cli_call(cli, "GET", path, (struct bytes){0}, out);
}

static const char *name_of(const json_t *event)
{
    const char *name = cli_text(event, "object");
    return *name ? name : cli_text(event, "object_id");
}

static void say(struct cli *cli, const json_t *event)
{
    if (cli->output == CLI_JSON) {
        json_dumpf(event, stdout, JSON_COMPACT);
        printf("\n");
    } else {
        printf("%s  %-8s  %s %s %s\n", cli_text(event, "at"), cli_text(event, "severity"), cli_text(event, "object_kind"),
               name_of(event), cli_text(event, "words"));
    }
    fflush(stdout);
}

/* Where to begin: what was asked for, else with the next one. */
static struct rc begin(struct cli *cli, bool follow, int64_t *after)
{
    json_auto_t *now = NULL;
    if (cli_has(cli, "after") || !follow) {
        *after = cli_number(cli, "after", 0);
        return RC_OK;
    }
    TRY(ask(cli, -1, 0, &now));
    *after = json_integer_value(json_object_get(now, "last"));
    return RC_OK;
}

RC verb_event_list(struct cli *cli)
{
    const bool follow = cli_has(cli, "follow");
    int64_t after = 0;
    TRY(begin(cli, follow, &after));
    for (bool more = true; more || follow;) {
        json_auto_t *page = NULL;
        TRY(ask(cli, after, follow ? WAIT_S : 0, &page));
        const json_t *items = json_object_get(page, "items");
        for (size_t i = 0; i < json_array_size(items); i++)
            say(cli, json_array_get(items, i));
        after = json_integer_value(json_object_get(page, "last"));
        more = json_is_true(json_object_get(page, "more"));
    }
    return RC_OK;
}
