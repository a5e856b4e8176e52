/* certwright check: on the hub's host, beside the hub or without it. */
#include <unistd.h>

#include "core/check.h"
#include "core/inventory.h"
#include "server/server.h"

#define TELL_EVERY 100000

static void tell(void *arg, int64_t done)
{
    if (done % TELL_EVERY == 0)
        cli_say(arg, "%lld certificates", (long long)done);
}

static struct rc say(struct cli *cli, const struct check_result *r)
{
    json_auto_t *told = json_pack("{s:I, s:I, s:I, s:[]}", "certificates", (json_int_t)r->certificates, "terms",
                                  (json_int_t)r->terms, "wrong", (json_int_t)r->wrong, "what");
    json_t *what = json_object_get(told, "what");
    for (size_t i = 0; i < r->shown_n; i++)
        json_array_append_new(what, json_string(r->shown[i]));
    return cli_print_object(cli, told, "wrong");
}

static struct rc show(struct cli *cli, const struct check_result *r)
{
    if (cli->output != CLI_TABLE)
        TRY(say(cli, r));
    for (size_t i = 0; i < r->shown_n && cli->output == CLI_TABLE; i++)
        printf("%s\n", r->shown[i]);
    if (r->wrong > (int64_t)r->shown_n && cli->output == CLI_TABLE)
        printf("and %lld more\n", (long long)r->wrong - (long long)r->shown_n);
    if (r->wrong)
        return ctx_fail(cli->ctx, E_DATABASE,
                        "%lld things in the inventory do not fit together: restore the database from a backup",
                        (long long)r->wrong);
    if (cli->output != CLI_TABLE)
        return RC_OK;
    printf("%lld certificates and all that follows from them fit together (terms of %lld looked up)\n", (long long)r->certificates,
           (long long)r->terms);
    return RC_OK;
}

RC server_check(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *path = cli_opt(cli, "config");
    struct hub_config c;
    TRY(hub_config_load(ctx, path ? path : "/etc/certwright/hub.yaml", &c));
    const char *file = arena_printf(&ctx->arena, "%s/hub/certwright.db", c.state);
    if (!c.database && access(file, R_OK | W_OK)) /* one that is not there would be made */
        return ctx_fail_errno(ctx, "cannot open %s", file);
    const struct store_config db = {
        .engine = c.database ? STORE_POSTGRES : STORE_SQLITE, .path = file, .conninfo = c.database, .connections = 2};
    struct core core = {.clock = ctx->clock, .name = c.name};
    struct check_result r = {0};
    struct rc rc = store_open(ctx, &db, &core.store);
    if (rc_ok(rc))
        rc = inventory_open(ctx, &core);
    if (rc_ok(rc))
        rc = check_run(ctx, &core, cli_has(cli, "all"), cli->tty ? tell : NULL, cli, &r);
    inventory_close(&core);
    store_close(core.store);
    TRY(rc);
    return show(cli, &r);
}
