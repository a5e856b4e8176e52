/* certwright issuer test, and the look of certwright cert add --dry-run */
#include "cli/preflight.h"

#include <unistd.h>

#define PREFLIGHTS "/api/v1/preflights/"
#define ISSUERS    "/api/v1/issuers/"
#define CERTS      "/api/v1/managed-certificates"
#define LOOK_S     60
#define ACCOUNT_S  60
#define POLL_US    100000

RC cli_preflight(struct cli *cli, const char *path, struct bytes body, json_t **findings)
{
    const int64_t until = clock_mono_ms() + LOOK_S * 1000;
    json_auto_t *begun = NULL;
    TRY(cli_call(cli, "POST", path, body, &begun));
    for (;;) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, PREFLIGHTS, cli_text(begun, "id"), ""), (struct bytes){0}, &now));
        if (str_equal(cli_text(now, "state"), "done")) {
            *findings = json_incref(json_object_get(now, "findings"));
            return RC_OK;
        }
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "the agents have not looked within %d s: are they running? certwright agent list",
                            LOOK_S);
        usleep(POLL_US);
    }
}

RC cli_preflight_print(struct cli *cli, const json_t *findings, const char *issuer)
{
    static const struct cli_column shown[] = {
        {"VERDICT", "verdict", CLI_PLAIN}, {"NAME", "name", CLI_PLAIN}, {"CHECK", "check", CLI_PLAIN}, {"TEXT", "text", CLI_PLAIN}};
    if (cli->output != CLI_TABLE)
        return cli_print_list(cli, findings, shown, sizeof shown / sizeof *shown, "name");
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *f = json_array_get(findings, i);
        const char *name = cli_text(f, "name");
        cli_say(cli, "  %-8s %s: %s: %s", cli_text(f, "verdict"), *name ? name : issuer, cli_text(f, "check"), cli_text(f, "text"));
    }
    return RC_OK;
}

RC cli_preflight_fails(struct cli *cli, const json_t *findings)
{
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *f = json_array_get(findings, i);
        const char *name = cli_text(f, "name");
        if (str_equal(cli_text(f, "verdict"), "fail"))
            return ctx_fail(cli->ctx, E_PREFLIGHT, "%s%s%s", name, *name ? ": " : "", cli_text(f, "text"));
    }
    return RC_OK;
}

/* The account, as the CA says that it is; one that is not there yet is made with the first order. */
static struct rc test_account(struct cli *cli, const char *name, json_t *findings)
{
    const int64_t until = clock_mono_ms() + ACCOUNT_S * 1000;
    const char *path = cli_path(cli, ISSUERS, name, "/account");
    json_auto_t *issuer = NULL, *asked = NULL, *now = NULL;
    const char *verdict = "ok", *text = "there is none yet; the first order makes it";
    for (size_t i = 0; i < json_array_size(findings); i++) /* what keeps it from being made is told already */
        if (str_equal(cli_text(json_array_get(findings, i), "check"), "account"))
            return RC_OK;
    TRY(cli_call(cli, "GET", cli_path(cli, ISSUERS, name, ""), (struct bytes){0}, &issuer));
    if (!str_equal(cli_text(issuer, "kind"), "acme"))
        return RC_OK;
    if (*cli_text(issuer, "account_url")) {
        TRY(cli_call(cli, "POST", path, BYTES_LIT("{\"verb\":\"show\"}"), &asked));
        for (;;) {
            json_decref(now);
            now = NULL;
            TRY(cli_call(cli, "GET", path, (struct bytes){0}, &now));
            if (!str_equal(cli_text(now, "state"), "asked") || clock_mono_ms() > until)
                break;
            usleep(POLL_US);
        }
        const bool good = str_equal(cli_text(now, "status"), "valid") && !*cli_text(now, "last_error.text");
        verdict = good ? "ok" : str_equal(cli_text(now, "state"), "asked") ? "unknown" : "fail";
        text = good                              ? arena_printf(&cli->ctx->arena, "%s is valid", cli_text(now, "account_url"))
               : str_equal(verdict, "unknown") ? arena_printf(&cli->ctx->arena, "%s: the CA has not answered yet",
                                                              cli_text(issuer, "account_url"))
                                               : arena_printf(&cli->ctx->arena, "%s%s%s: %s", cli_text(issuer, "account_url"),
                                                              *cli_text(now, "status") ? " is " : "", cli_text(now, "status"),
                                                              cli_text(now, "last_error.text"));
    }
    return json_array_append_new(
               findings, json_pack("{s:s, s:s, s:s, s:s}", "name", "", "check", "account", "verdict", verdict, "text", text)) == 0
               ? RC_OK
               : ctx_fail(cli->ctx, E_NO_MEMORY, "no memory for what was found");
}

RC verb_issuer_test(struct cli *cli)
{
    const char *name = cli->args.v[0];
    const struct str_list names = cli_list_opt(cli, "name");
    struct cli_body b;
    json_auto_t *findings = NULL;
    cli_body_begin(cli, &b);
    cli_body_list(&b, "names", &names);
    TRY(cli_preflight(cli, cli_path(cli, ISSUERS, name, "/preflight"), cli_body_end(&b), &findings));
    TRY(test_account(cli, name, findings));
    TRY(cli_preflight_print(cli, findings, name));
    return cli_preflight_fails(cli, findings);
}
