/* certwright cert … */
#include <unistd.h>

#include "base/encode.h"
#include "cli/cli.h"
#include "cli/found.h"
#include "cli/preflight.h"
#include "cli/request.h"
#include "os/file.h"
#include "pki/pem.h"

#define CERTS "/api/v1/managed-certificates"

static const struct cli_column columns[] = {
    {"NAME", "name", CLI_PLAIN},     {"STATE", "", CLI_STATE},        {"EXPIRES", "current_version.not_after", CLI_AGO},
    {"RENEWS", "renew_at", CLI_AGO}, {"ISSUER", "issuers", CLI_JOIN}, {"TARGETS", "targets", CLI_JOIN},
};

RC verb_cert_list(struct cli *cli)
{
    if (cli_found_asked(cli))
        return cli_found_list(cli);
    if (cli->output >= CLI_PEM)
        return ctx_fail(cli->ctx, E_USAGE, "-o %s is for certificates of the inventory: --found, or --where \"managed\"",
                        cli_opt(cli, "output"));
    json_auto_t *all = NULL;
    TRY(cli_all(cli, CERTS, INT64_MAX, &all));
    if (!json_array_size(all) && cli->output == CLI_TABLE) {
        puts("No certificate is managed yet; begin with: certwright cert add www.example.org --to nginx");
        return RC_OK;
    }
    return cli_print_list(cli, all, columns, sizeof columns / sizeof *columns, "name");
}

RC verb_cert_show(struct cli *cli)
{
    bool shown = false;
    TRY(cli_found_show(cli, &shown));
    if (shown)
        return RC_OK;
    struct rc rc = cli_show_at(cli, CERTS "/");
    const char *ref = cli->args.n ? cli->args.v[0] : "";
    if (rc.e == E_NOT_FOUND && *ref && strlen(ref) < 8 && !ref[strspn(ref, "0123456789abcdefABCDEF:")]) {
        const char *why = arena_strdup(&cli->ctx->arena, ctx_why(cli->ctx));
        ctx_forget(cli->ctx);
        return ctx_fail(cli->ctx, E_NOT_FOUND, "%s; of a fingerprint give the first 8 digits at least", why);
    }
    return rc;
}

RC verb_cert_why(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *why = NULL;
        TRY(cli_call(cli, "GET", cli_path(cli, CERTS "/", cli->args.v[i], "/why"), (struct bytes){0}, &why));
        if (cli->output == CLI_JSON)
            TRY(cli_print_object(cli, why, "text"));
        else
            puts(cli_text(why, "text"));
    }
    return RC_OK;
}

/* --- what waits until it is served */

/* finish waits for what was begun on one and says how it stands; with --no-wait it prints the id. */
static struct rc finish(struct cli *cli, const json_t *managed, struct cli_follow *f)
{
    json_auto_t *made = NULL;
    if (cli_is_request(managed)) {
        const char *id = NULL;
        TRY(cli_request_wait(cli, managed, &id));
        TRY(cli_call(cli, "GET", cli_path(cli, CERTS "/", id, ""), (struct bytes){0}, &made));
        managed = made;
    }
    f->id = arena_strdup(&cli->ctx->arena, cli_text(managed, "id"));
    f->name = arena_strdup(&cli->ctx->arena, cli_text(managed, "name"));
    if (cli_has(cli, "no-wait")) {
        if (cli->output == CLI_JSON)
            return cli_print_object(cli, managed, "id");
        puts(f->id);
        return RC_OK;
    }
    TRY(cli_follow(cli, f));
    const char *path = cli_path(cli, CERTS "/", f->id, cli->output == CLI_TABLE ? "/why" : "");
    json_auto_t *now = NULL;
    TRY(cli_call(cli, "GET", path, (struct bytes){0}, &now));
    if (cli->output != CLI_TABLE)
        return cli->output == CLI_CSV ? RC_OK : cli_print_object(cli, now, "name");
    puts(cli_text(now, "text"));
    return RC_OK;
}

static void body_common(struct cli *cli, struct cli_body *b)
{
    static const struct {
        const char *option, *field;
    } lists[] = {{"to", "targets"}, {"issuer", "issuers"}},
      texts[] = {
          {"profile", "profile"}, {"key-kind", "key_kind"}, {"name", "name"}, {"team", "team"}, {"common-name", "common_name"},
          {"key-agent", "key_agent"}, {"acme-profile", "acme_profile"}, {"preferred-chain", "preferred_chain"},
          {"bad-name", "bad_name"}, {"preflight", "preflight"}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct str_list l = cli_list_opt(cli, lists[i].option);
        if (cli_has(cli, lists[i].option))
            cli_body_list(b, lists[i].field, &l);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cli_body_text(b, texts[i].field, cli_opt(cli, texts[i].option));
    if (cli_has(cli, "reuse-key"))
        json_put_bool(&b->j, "reuse_key", true);
    if (cli_has(cli, "download")) /* a flag where it is added, on or off where it is changed */
        json_put_bool(&b->j, "download", !str_equal(cli_opt(cli, "download"), "off"));
    const int64_t before = cli_number(cli, "renew-before", 0), percent = cli_number(cli, "renew-at", 0);
    if (cli_has(cli, "renew-before") && !before)
        json_put_null(&b->j, "renewal");
    else if (before || percent) {
        json_open_obj(&b->j, "renewal");
        if (before)
            json_put_int(&b->j, "before_s", before);
        if (percent)
            json_put_int(&b->j, "at_percent", percent);
        json_close(&b->j);
    }
}

/* PEM as most tools write it, or DER. */
static struct rc body_csr(struct cli *cli, struct cli_body *b)
{
    struct ctx *ctx = cli->ctx;
    const char *path = cli_opt(cli, "csr");
    struct bytes data, text;
    struct pem_block block;
    bool found = true;
    if (!path)
        return RC_OK;
    TRY(file_read(ctx, path, (size_t)1 << 16, &data));
    text = data;
    while (bytes_find(data, BYTES_LIT("-----BEGIN ")) != SIZE_MAX && found) {
        TRY(pem_next(ctx, &text, &block, &found));
        if (found && (bytes_equal_z(block.label, PEM_REQUEST) || bytes_equal_z(block.label, "NEW CERTIFICATE REQUEST"))) {
            json_put_base64(&b->j, "csr", block.der);
            return RC_OK;
        }
    }
    if (!found)
        return ctx_fail(ctx, E_USAGE, "%s holds no certificate request (BEGIN CERTIFICATE REQUEST)", path);
    json_put_base64(&b->j, "csr", data);
    return RC_OK;
}

/* "20%" or "5". */
static struct rc body_rollout(struct cli *cli, struct cli_body *b)
{
    const char *wave = cli_opt(cli, "wave");
    if (!cli_has(cli, "canary") && !wave && !cli_has(cli, "wave-pause"))
        return RC_OK;
    json_open_obj(&b->j, "rollout");
    if (cli_has(cli, "canary"))
        json_put_int(&b->j, "canary", cli_number(cli, "canary", 0));
    if (wave) {
        const size_t digits = strspn(wave, "0123456789");
        const bool percent = str_equal(wave + digits, "%");
        if (!digits || digits > 4 || (wave[digits] && !percent))
            return ctx_fail(cli->ctx, E_USAGE, "--wave is a number of targets (5), or a part of all (20%%); not %s", wave);
        json_put_int(&b->j, percent ? "wave_percent" : "wave", strtol(wave, NULL, 10));
    }
    if (cli_has(cli, "wave-pause"))
        json_put_int(&b->j, "pause_s", cli_number(cli, "wave-pause", 0));
    json_close(&b->j);
    return RC_OK;
}

static struct rc print_plan(struct cli *cli, struct bytes body)
{
    json_auto_t *plan = NULL, *findings = NULL, *issuers = NULL;
    TRY(cli_call(cli, "POST", CERTS "/plan", body, &plan));
    TRY(cli_preflight(cli, CERTS "/preflight", body, &findings, &issuers));
    if (cli->output != CLI_TABLE) {
        json_object_set(plan, "preflight", findings);
        if (issuers)
            json_object_set(plan, "issuers_in_order", issuers);
        TRY(cli_print_object(cli, plan, "name"));
        return cli_preflight_fails(cli, findings, issuers);
    }
    const json_t *steps = json_object_get(plan, "steps");
    puts("Nothing is done; this is what would be:");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *s = json_array_get(steps, i);
        printf("  %-10s %s\n", cli_text(s, "what"), cli_text(s, "detail"));
    }
    if (json_array_size(findings) == 0)
        return RC_OK;
    puts("What is in its way, as things are now:");
    TRY(cli_preflight_print(cli, findings));
    cli_preflight_issuers(cli, issuers);
    return cli_preflight_fails(cli, findings, issuers);
}

RC verb_cert_add(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    cli_body_list(&b, "names", &cli->args);
    body_common(cli, &b);
    TRY(body_rollout(cli, &b));
    TRY(body_csr(cli, &b));
    const struct bytes body = cli_body_end(&b);
    if (cli_has(cli, "dry-run"))
        return print_plan(cli, body);
    struct cli_follow f = {.started_ms = clock_unix_ms(cli->ctx->clock)};
    json_auto_t *managed = NULL;
    if (cli_has(cli, "ask")) {
        struct cli_body asked;
        cli_body_begin(cli, &asked);
        json_put_str(&asked.j, "kind", "create");
        json_put_bool(&asked.j, "approval", true);
        cli_body_text(&asked, "comment", cli_opt(cli, "comment"));
        json_put_raw(&asked.j, "certificate", body);
        TRY(cli_call(cli, "POST", "/api/v1/requests", cli_body_end(&asked), &managed));
    } else {
        TRY(cli_call(cli, "POST", CERTS, body, &managed));
    }
    return finish(cli, managed, &f);
}

RC verb_cert_edit(struct cli *cli)
{
    const char *path = cli_path(cli, CERTS "/", cli->args.v[0], ""), *download = cli_opt(cli, "download");
    struct cli_body b;
    if (download && !str_equal(download, "on") && !str_equal(download, "off"))
        return ctx_fail(cli->ctx, E_USAGE, "--download is on or off");
    cli_body_begin(cli, &b);
    const struct str_list names = cli_list_opt(cli, "names");
    if (names.n)
        cli_body_list(&b, "names", &names);
    body_common(cli, &b);
    TRY(body_rollout(cli, &b));
    TRY(body_csr(cli, &b));
    struct cli_follow f;
    TRY(cli_follow_from(cli, cli->args.v[0], &f));
    json_auto_t *managed = NULL;
    TRY(cli_call(cli, "PATCH", path, cli_body_end(&b), &managed));
    return finish(cli, managed, &f);
}

static struct rc act(struct cli *cli, const char *ref, const char *verb, struct bytes body)
{
    struct cli_follow f;
    TRY(cli_follow_from(cli, ref, &f));
    json_auto_t *managed = NULL;
    TRY(cli_call(cli, "POST", cli_path(cli, CERTS "/", ref, verb), body, &managed));
    return finish(cli, managed, &f);
}

static struct rc act_each(struct cli *cli, const char *verb)
{
    for (size_t i = 0; i < cli->args.n; i++)
        TRY(act(cli, cli->args.v[i], verb, (struct bytes){0}));
    return RC_OK;
}

RC verb_cert_renew(struct cli *cli)
{
    return act_each(cli, "/renew");
}
RC verb_cert_retry(struct cli *cli)
{
    return act_each(cli, cli_has(cli, "now") ? "/now" : "/retry");
}

RC verb_cert_csr(struct cli *cli)
{
    json_auto_t *got = NULL;
    TRY(cli_call(cli, "GET", cli_path(cli, CERTS "/", cli->args.v[0], "/request"), (struct bytes){0}, &got));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, got, "name");
    return cli_write_out(cli, bytes_z(cli_text(got, "csr_pem")), 0644);
}

RC verb_cert_take(struct cli *cli)
{
    struct cli_body b;
    const char *pem = NULL;
    TRY(cli_opt_file(cli, "chain", &pem));
    if (!pem)
        return ctx_fail(cli->ctx, E_USAGE, "--chain FILE: the certificate and those above it, PEM");
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "chain_pem", pem);
    return act(cli, cli->args.v[0], "/certificate", cli_body_end(&b));
}

RC verb_cert_rollback(struct cli *cli)
{
    struct cli_body b;
    cli_body_begin(cli, &b);
    json_put_int(&b.j, "version", cli_number(cli, "to", 0));
    return act(cli, cli->args.v[0], "/rollback", cli_body_end(&b));
}

static struct rc revocation_print(struct cli *cli, const json_t *items, bool dry_run)
{
    static const struct cli_column columns_of[] = {{"NAME", "name", CLI_PLAIN},
                                                   {"VERSION", "version", CLI_PLAIN},
                                                   {"ENDS", "not_after", CLI_AGO},
                                                   {"ISSUER", "issuer", CLI_PLAIN},
                                                   {"WHAT", "act", CLI_PLAIN},
                                                   {"WHY", "why", CLI_PLAIN}};
    if (dry_run)
        cli_say(cli, "Nothing is done; this is what would be:");
    return cli_print_list(cli, items, columns_of, sizeof columns_of / sizeof *columns_of, "fingerprint");
}

/* What was asked and did not come about is said by the exit code too. */
static struct rc revocation_end(struct cli *cli, const json_t *items)
{
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        if (!str_equal(cli_text(item, "act"), "none") && !json_is_true(json_object_get(item, "done")))
            return ctx_fail(cli->ctx, E_CONFLICT, "%s: %s", cli_text(item, "name"), cli_text(item, "why"));
    }
    return RC_OK;
}

RC verb_cert_revoke(struct cli *cli)
{
    struct cli_body b;
    json_auto_t *done = NULL;
    struct cli_follow f = {0};
    const bool dry_run = cli_has(cli, "dry-run");
    struct rc known = cli_follow_from(cli, cli->args.v[0], &f);
    if (known.e != E_NOT_FOUND)
        TRY(known);
    ctx_forget(cli->ctx); /* a fingerprint */
    cli_body_begin(cli, &b);
    json_put_str(&b.j, "certificate", cli->args.v[0]);
    json_put_int(&b.j, "version", cli_number(cli, "version", 0));
    cli_body_text(&b, "reason", cli_opt(cli, "reason"));
    cli_body_text(&b, "replace", cli_opt(cli, "replace"));
    json_put_bool(&b.j, "same_key", cli_has(cli, "same-key"));
    json_put_bool(&b.j, "dry_run", dry_run);
    TRY(cli_call(cli, "POST", "/api/v1/revocations", cli_body_end(&b), &done));
    if (cli_is_request(done))
        return finish(cli, done, &f);
    const json_t *items = json_object_get(done, "items"), *one = json_array_get(items, 0);
    const bool replaced = json_array_size(items) == 1 && strncmp(cli_text(one, "act"), "replace", 7) == 0;
    if (dry_run || !replaced || !rc_ok(known)) {
        TRY(revocation_print(cli, items, dry_run));
        return dry_run ? RC_OK : revocation_end(cli, items);
    }
    json_auto_t *managed = NULL;
    TRY(cli_call(cli, "GET", cli_path(cli, CERTS "/", cli_text(one, "managed_id"), ""), (struct bytes){0}, &managed));
    return finish(cli, managed, &f);
}

/* --- pause, resume, export, remove */

RC verb_cert_pause(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        struct cli_body b;
        cli_body_begin(cli, &b);
        cli_body_text(&b, "reason", cli_opt(cli, "reason"));
        TRY(cli_call(cli, "POST", cli_path(cli, CERTS "/", cli->args.v[i], "/pause"), cli_body_end(&b), NULL));
        cli_say(cli, "%s is paused; it goes on after: certwright cert resume %s", cli->args.v[i], cli->args.v[i]);
    }
    return RC_OK;
}

RC verb_cert_resume(struct cli *cli)
{
    for (size_t i = 0; i < cli->args.n; i++) {
        TRY(cli_call(cli, "POST", cli_path(cli, CERTS "/", cli->args.v[i], "/resume"), (struct bytes){0}, NULL));
        cli_say(cli, "%s goes on", cli->args.v[i]);
    }
    return RC_OK;
}

RC verb_cert_export(struct cli *cli)
{
    struct bytes pem;
    const char *query = arena_printf(&cli->ctx->arena, "/export?version=%lld", (long long)cli_number(cli, "version", 0));
    TRY(cli_call_raw(cli, "GET", cli_path(cli, CERTS "/", cli->args.v[0], query), &pem));
    return cli_write_out(cli, pem, 0644);
}

RC verb_cert_remove(struct cli *cli)
{
    return cli_remove_each(cli, CERTS "/");
}

/* --- history */

RC verb_cert_steps(struct cli *cli)
{
    const char *ref = cli->args.v[0];
    json_auto_t *events = NULL;
    if (cli_has(cli, "follow")) {
        struct cli_follow f = {.id = ref, .name = ref, .started_ms = clock_unix_ms(cli->ctx->clock)};
        TRY(cli_follow_from(cli, ref, &f));
        return cli_follow(cli, &f);
    }
    static const struct cli_column shown[] = {
        {"STEP", "step", CLI_PLAIN}, {"TIME", "time", CLI_PLAIN}, {"TEXT", "text", CLI_PLAIN}};
    json_auto_t *all = json_array();
    for (int64_t after = 0;;) {
        json_decref(events);
        events = NULL;
        const char *query = arena_printf(&cli->ctx->arena, "/events?after=%lld", (long long)after);
        TRY(cli_call(cli, "GET", cli_path(cli, CERTS "/", ref, query), (struct bytes){0}, &events));
        json_t *items = json_object_get(events, "items");
        for (size_t i = 0; i < json_array_size(items); i++) {
            json_t *e = json_array_get(items, i);
            struct buf b;
            buf_init_arena(&b, &cli->ctx->arena, 64);
            time_put_rfc3339(&b, json_integer_value(json_object_get(e, "at_ms")) / 1000);
            json_object_set_new(e, "time", json_string(buf_z(&b)));
        }
        json_array_extend(all, items);
        after = json_integer_value(json_object_get(events, "last"));
        if (!json_array_size(items))
            break;
    }
    return cli_print_list(cli, all, shown, 3, "step");
}

RC verb_cert_versions(struct cli *cli)
{
    static const struct cli_column shown[] = {{"VERSION", "number", CLI_PLAIN},
                                              {"ISSUER", "issuer", CLI_PLAIN},
                                              {"FROM", "not_before", CLI_DATE},
                                              {"UNTIL", "not_after", CLI_DATE},
                                              {"RENEWS", "renew_at", CLI_DATE},
                                              {"REVOKED", "revoked_at", CLI_DATE},
                                              {"FINGERPRINT", "fingerprint", CLI_SHORT_HEX}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, cli_path(cli, CERTS "/", cli->args.v[0], "/versions"), INT64_MAX, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "fingerprint");
}

RC verb_cert_attempts(struct cli *cli)
{
    static const struct cli_column shown[] = {{"ATTEMPT", "number", CLI_PLAIN},  {"STATE", "state", CLI_PLAIN},
                                              {"WHY", "reason", CLI_PLAIN},      {"ISSUER", "issuer", CLI_PLAIN},
                                              {"BEGUN", "created_at", CLI_DATE}, {"ERROR", "error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    TRY(cli_all(cli, cli_path(cli, CERTS "/", cli->args.v[0], "/attempts"), 1000, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "id");
}

RC verb_cert_deployments(struct cli *cli)
{
    static const struct cli_column shown[] = {{"CERTIFICATE", "managed_certificate", CLI_PLAIN},
                                              {"VERSION", "version", CLI_PLAIN},
                                              {"TARGET", "target", CLI_PLAIN},
                                              {"STATE", "state", CLI_PLAIN},
                                              {"BEGUN", "created_at", CLI_DATE},
                                              {"ERROR", "error.text", CLI_PLAIN}};
    json_auto_t *all = NULL;
    const char *path = "/api/v1/deployments";
    if (cli->args.n)
        path = cli_path(cli, "/api/v1/deployments?managed_certificate=", cli->args.v[0], "");
    TRY(cli_all(cli, path, 1000, &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "id");
}
