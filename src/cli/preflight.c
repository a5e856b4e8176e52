/* certwright issuer test, and the look of certwright cert add --dry-run */
#include "cli/preflight.h"

#include <unistd.h>

#define PREFLIGHTS "/api/v1/preflights/"
#define ISSUERS    "/api/v1/issuers/"
#define CERTS      "/api/v1/managed-certificates"
#define LOOK_S     60
#define ACCOUNT_S  60
#define POLL_US    100000

RC cli_preflight(struct cli *cli, const char *path, struct bytes body, json_t **findings, json_t **issuers)
{
    const int64_t until = clock_mono_ms() + LOOK_S * 1000;
    json_auto_t *begun = NULL;
    TRY(cli_call(cli, "POST", path, body, &begun));
    for (;;) {
        json_auto_t *now = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, PREFLIGHTS, cli_text(begun, "id"), ""), (struct bytes){0}, &now));
        if (str_equal(cli_text(now, "state"), "done")) {
            *findings = json_incref(json_object_get(now, "findings"));
            if (issuers)
                *issuers = json_incref(json_object_get(now, "issuers"));
            return RC_OK;
        }
        if (clock_mono_ms() > until)
            return ctx_fail(cli->ctx, E_TIMEOUT, "the agents have not looked within %d s: are they running? certwright agent list",
                            LOOK_S);
        usleep(POLL_US);
    }
}

static bool told_before(const json_t *findings, size_t at)
{
    static const char *const same[] = {"name", "check", "verdict", "text"};
    const json_t *f = json_array_get(findings, at);
    for (size_t i = 0; *cli_text(f, "name") && i < at; i++) {
        size_t k = 0;
        while (k < sizeof same / sizeof *same && str_equal(cli_text(f, same[k]), cli_text(json_array_get(findings, i), same[k])))
            k++;
        if (k == sizeof same / sizeof *same)
            return true;
    }
    return false;
}

RC cli_preflight_print(struct cli *cli, const json_t *findings)
{
    static const struct cli_column shown[] = {
        {"VERDICT", "verdict", CLI_PLAIN}, {"NAME", "name", CLI_PLAIN}, {"CHECK", "check", CLI_PLAIN}, {"TEXT", "text", CLI_PLAIN}};
    if (cli->output != CLI_TABLE)
        return cli_print_list(cli, findings, shown, sizeof shown / sizeof *shown, "name");
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *f = json_array_get(findings, i);
        const char *name = cli_text(f, "name"), *issuer = cli_text(f, "issuer");
        if (!told_before(findings, i))
            cli_say(cli, "  %-8s %s: %s: %s", cli_text(f, "verdict"), *name ? name : *issuer ? issuer : "the issuer",
                    cli_text(f, "check"), cli_text(f, "text"));
    }
    return RC_OK;
}

void cli_preflight_issuers(struct cli *cli, const json_t *issuers)
{
    static const struct {
        const char *role, *words;
    } roles[] = {{"asked", "would be asked"}, {"waits", "could be asked in its place"}, {"unfit", "would not issue"}};
    if (json_array_size(issuers) < 2)
        return;
    cli_say(cli, "Which issuer:");
    for (size_t i = 0; i < json_array_size(issuers); i++) {
        const json_t *v = json_array_get(issuers, i);
        const char *words = cli_text(v, "role"), *why = cli_text(v, "why");
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
            if (str_equal(cli_text(v, "role"), roles[k].role))
                words = roles[k].words;
        cli_say(cli, "  %-8s %s%s%s", cli_text(v, "issuer"), words, *why ? ": " : "", why);
    }
}

RC cli_preflight_fails(struct cli *cli, const json_t *findings, const json_t *issuers)
{
    for (size_t i = 0; json_array_size(issuers) > 1 && i < json_array_size(issuers); i++)
        if (str_equal(cli_text(json_array_get(issuers, i), "role"), "asked"))
            return RC_OK;
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
    json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", "", "issuer", name, "check", "account", "verdict", verdict, "text",
                            text);
    return json_array_append_new(findings, one) == 0 ? RC_OK : ctx_fail(cli->ctx, E_NO_MEMORY, "no memory for what was found");
}

RC verb_issuer_test(struct cli *cli)
{
    const char *name = cli->args.v[0];
    const struct str_list names = cli_list_opt(cli, "name");
    struct cli_body b;
    json_auto_t *findings = NULL;
    cli_body_begin(cli, &b);
    cli_body_list(&b, "names", &names);
    TRY(cli_preflight(cli, cli_path(cli, ISSUERS, name, "/preflight"), cli_body_end(&b), &findings, NULL));
    TRY(test_account(cli, name, findings));
    TRY(cli_preflight_print(cli, findings));
    return cli_preflight_fails(cli, findings, NULL);
}
