/* certwright issuer rehearse: a real order, a real proof and a real certificate, from the CA's staging environment, again and
 * again.
 *
 * It is an issuer like any other, with the same agent and the same way to prove names, and a managed certificate like any other
 * that is deployed nowhere: where it stops working, the status says so as of every certificate. */
#include "cli/cli.h"

#define ISSUERS "/api/v1/issuers"
#define CERTS   "/api/v1/managed-certificates"
/* Renewed at the earliest part of its life that a certificate may be. */
#define AT_PERCENT 10

static struct rc staging_body(struct cli *cli, const json_t *issuer, const char *name, struct cli_body *b)
{
    static const char *const same[] = {"challenge", "agent", "contacts", "granted_networks", "acme_profile"};
    const char *roots = NULL, *kid = cli_opt(cli, "eab-kid"), *key = NULL;
    TRY(cli_opt_file(cli, "roots", &roots));
    TRY(cli_opt_file(cli, "eab-key-file", &key));
    if (!kid != !key)
        return ctx_fail(cli->ctx, E_USAGE, "--eab-kid and --eab-key-file go together");
    json_put_str(&b->j, "name", name);
    json_put_str(&b->j, "kind", "acme");
    json_put_str(&b->j, "directory_url", cli_text(issuer, "staging_url"));
    json_put_str(&b->j, "team", cli_text(issuer, "team_id"));
    json_put_bool(&b->j, "terms_agreed", json_is_true(json_object_get(issuer, "terms_agreed")));
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (json_object_get(issuer, same[i]))
            json_put_value(&b->j, same[i], json_object_get(issuer, same[i]));
    if (roots)
        json_put_str(&b->j, "ca_roots_pem", roots);
    else if (json_object_get(issuer, "ca_roots_pem"))
        json_put_value(&b->j, "ca_roots_pem", json_object_get(issuer, "ca_roots_pem"));
    if (kid) {
        json_open_obj(&b->j, "eab");
        json_put_str(&b->j, "kid", kid);
        json_put_bytes_str(&b->j, "key", bytes_of(key, strcspn(key, " \t\r\n"))); /* a line's end is no part of it */
        json_close(&b->j);
    }
    return RC_OK;
}

RC verb_issuer_rehearse(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const struct str_list names = {.v = cli->args.v + 1, .n = cli->args.n - 1};
    const char *issuer = cli->args.v[0], *staging = arena_printf(&ctx->arena, "%s-staging", issuer);
    json_auto_t *of = NULL, *made = NULL, *managed = NULL;
    struct cli_body b;
    if (!names.n)
        return ctx_fail(ctx, E_USAGE, "say for which name: certwright issuer rehearse %s NAME", issuer);
    TRY(cli_call(cli, "GET", cli_path(cli, ISSUERS "/", issuer, ""), (struct bytes){0}, &of));
    if (!*cli_text(of, "staging_url"))
        return ctx_fail(ctx, E_USAGE, "%s has no staging environment: certwright issuer edit %s --staging URL of its directory",
                        issuer, issuer);
    cli_body_begin(cli, &b);
    TRY(staging_body(cli, of, staging, &b));
    struct rc rc = cli_call(cli, "POST", ISSUERS, cli_body_end(&b), &made);
    if (rc.e != E_EXISTS)
        TRY(rc);
    ctx_forget(ctx);
    struct cli_follow f = {.started_ms = clock_unix_ms(ctx->clock)};
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "name", arena_printf(&ctx->arena, "%s-rehearsal", issuer));
    json_put_str(&b.j, "team", cli_text(of, "team_id"));
    cli_body_list(&b, "names", &names);
    cli_body_list(&b, "issuers", &(struct str_list){.v = &staging, .n = 1});
    json_open_obj(&b.j, "renewal");
    json_put_int(&b.j, "at_percent", AT_PERCENT);
    json_close(&b.j);
    TRY(cli_call(cli, "POST", CERTS, cli_body_end(&b), &managed));
    f.id = cli_text(managed, "id");
    f.name = cli_text(managed, "name");
    return cli_follow(cli, &f);
}
