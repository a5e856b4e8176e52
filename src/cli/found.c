#include "cli/found.h"

#include "cli/assets.h"

#define CERTS      "/api/v1/certificates"
#define TABLE_ROWS 100
#define PAGE_ITEMS 500

/* --- page by page */

/* The failure of a page becomes that of the command. */
static struct rc page_failed(struct cli *cli, struct ctx *page, struct rc rc)
{
    return ctx_fail(cli->ctx, rc.e, "%s", ctx_why(page));
}

static struct rc page_get(struct cli *cli, const char *path, int64_t limit, const char *cursor, cli_page_fn *fn, void *arg,
                          int64_t *n, const char **next, int64_t *looks)
{
    json_auto_t *page = NULL;
    const char *here = arena_printf(&cli->ctx->arena, "%s%slimit=%lld%s%s", path, strchr(path, '?') ? "&" : "?", (long long)limit,
                                    *cursor ? "&cursor=" : "", cursor);
    TRY(cli_call(cli, "GET", here, (struct bytes){0}, &page));
    const json_t *items = json_object_get(page, "items");
    *n = (int64_t)json_array_size(items);
    *looks += json_integer_value(json_object_get(page, "looked_at"));
    *next = arena_strdup(&cli->ctx->arena, cli_text(page, "next"));
    return *n ? fn(cli, arg, items) : RC_OK;
}

RC cli_pages(struct cli *cli, const char *path, int64_t most, cli_page_fn *fn, void *arg, bool *more)
{
    char cursor[512] = "";
    int64_t given = 0, looks = 0;
    bool told = false;
    TRY(cli_connect(cli));
    while (given < most) {
        CTX_CLEANUP struct ctx ctx;
        struct cli page = *cli;
        const char *next = "";
        int64_t n = 0;
        ctx_init(&ctx, cli->ctx->clock);
        page.ctx = &ctx;
        struct rc rc =
            page_get(&page, path, most - given < PAGE_ITEMS ? most - given : PAGE_ITEMS, cursor, fn, arg, &n, &next, &looks);
        if (rc_failed(rc))
            return page_failed(cli, &ctx, rc);
        cli->answered = page.answered;
        given += n;
        snprintf(cursor, sizeof cursor, "%s", next);
        if (!*cursor)
            break;
        if (cli->tty && n == 0) { /* it goes on, and may take a while */
            fprintf(stderr, "\r%lld certificates looked at …", (long long)looks);
            told = true;
        }
    }
    if (told)
        fputs("\r\033[K", stderr);
    if (more)
        *more = *cursor != 0;
    return RC_OK;
}

struct some {
    const struct cli_column *columns;
    size_t n;
    const char *name_path;
    bool begun;
    json_t *table; /* all rows of it, for its widths */
    json_t *told;  /* PEM: fingerprints that were written; assets: hosts */
    struct cli_assets assets;
};

/* The certificate of a row: in it, or that which it names, each once. */
static struct rc some_pem(struct cli *cli, struct some *s, const json_t *row)
{
    const char *pem = cli_text(row, "pem"), *print = cli_text(row, "fingerprint");
    struct bytes got;
    if (*pem)
        fputs(pem, stdout);
    if (*pem || !*print || json_object_get(s->told, print))
        return RC_OK;
    if (json_object_set_new(s->told, print, json_true()))
        return ctx_fail(cli->ctx, E_NO_MEMORY, "no memory for the list");
    TRY(cli_call_raw(cli, "GET", cli_path(cli, "/api/v1/certificates/", print, "/download"), &got));
    fwrite(got.p, 1, got.n, stdout);
    return RC_OK;
}

static struct rc some_page(struct cli *cli, void *arg, const json_t *items)
{
    struct some *s = arg;
    const bool begun = s->begun;
    s->begun = true;
    if (cli->output == CLI_TABLE)
        return json_array_extend(s->table, (json_t *)(uintptr_t)items) ? ctx_fail(cli->ctx, E_NO_MEMORY, "no memory for the list")
                                                                       : RC_OK;
    if (cli_assets_asked(cli))
        return cli_assets_put(cli, &s->assets, items);
    for (size_t i = 0; cli->output == CLI_PEM && i < json_array_size(items); i++)
        TRY(some_pem(cli, s, json_array_get(items, i)));
    if (cli->output == CLI_PEM)
        return RC_OK;
    if (cli->output != CLI_JSON)
        return begun ? cli_print_more(cli, items, s->columns, s->n, s->name_path)
                     : cli_print_list(cli, items, s->columns, s->n, s->name_path);
    for (size_t i = 0; i < json_array_size(items); i++) { /* one array, without keeping it */
        fputs(begun || i ? ",\n  " : "[\n  ", stdout);
        json_dumpf(json_array_get(items, i), stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    }
    return RC_OK;
}

RC cli_list_some(struct cli *cli, const char *path, const struct cli_column *columns, size_t n, const char *name_path)
{
    json_auto_t *table = json_array(), *told = json_object();
    struct some s = {
        .columns = columns, .n = n, .name_path = name_path, .table = table, .told = told, .assets = {.told = told}};
    bool more = false;
    const int64_t most = cli_number(cli, "limit", cli->output == CLI_TABLE ? TABLE_ROWS : INT64_MAX);
    if (most < 1)
        return ctx_fail(cli->ctx, E_USAGE, "--limit takes a number from 1, not %lld", (long long)most);
    TRY(cli_pages(cli, path, most, some_page, &s, &more));
    if (cli->output == CLI_TABLE)
        TRY(cli_print_list(cli, table, columns, n, name_path));
    else if (cli->output == CLI_JSON)
        puts(s.begun ? "\n]" : "[]");
    else if (cli_assets_asked(cli))
        cli_assets_end(cli, &s.assets);
    else if (cli->output == CLI_CSV && !s.begun)
        TRY(cli_print_list(cli, table, columns, n, name_path)); /* titles alone */
    if (ferror(stdout) || fflush(stdout))
        return ctx_fail_errno(cli->ctx, "cannot write to standard output");
    if (more && cli->output == CLI_TABLE)
        fprintf(stderr, "There are more: --limit %lld, or all of them with -o csv or -o jsonl.\n", (long long)most * 10);
    return RC_OK;
}

/* --- certificates */

bool cli_found_asked(const struct cli *cli)
{
    static const char *const options[] = {"found", "where", "collection", "sort", "limit", "facets", "fields"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (cli_has(cli, options[i]))
            return true;
    return false;
}

RC cli_pointed_out(struct cli *cli, const char *where, struct rc rc)
{
    const char *at = rc_failed(rc) ? strstr(ctx_why(cli->ctx), "column ") : NULL;
    int column = 0;
    if (!where || !at || cli->output != CLI_TABLE || strlen(where) > 200)
        return rc;
    for (at += 7; *at >= '0' && *at <= '9' && column < 10000; at++)
        column = column * 10 + *at - '0';
    if (!column)
        return rc;
    fputs("  ", stderr);
    for (const unsigned char *p = (const unsigned char *)where; *p; p++)
        fputc(*p < 0x20 || *p == 0x7f ? ' ' : *p, stderr);
    fprintf(stderr, "\n  %*s^\n", column - 1, "");
    return rc;
}

/* The path with what is asked for. */
static const char *asked(struct cli *cli, const char *path)
{
    static const char *const options[] = {"where", "collection", "sort"};
    const char *join = "?";
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const char *value = cli_opt(cli, options[i]);
        if (!value)
            continue;
        path = cli_path(cli, arena_printf(&cli->ctx->arena, "%s%s%s=", path, join, options[i]), value, "");
        join = "&";
    }
    return path;
}

/* "1,000,000" */
static const char *grouped(struct cli *cli, int64_t n)
{
    const char *digits = arena_printf(&cli->ctx->arena, "%lld", (long long)(n < 0 ? -n : n));
    const size_t len = strlen(digits);
    struct buf b;
    buf_init_arena(&b, &cli->ctx->arena, 64);
    if (n < 0)
        buf_put_z(&b, "-");
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf_put_z(&b, ",");
        buf_put_u8(&b, (uint8_t)digits[i]);
    }
    return buf_z(&b);
}

static struct rc facets(struct cli *cli)
{
    json_auto_t *got = NULL;
    TRY(cli_pointed_out(cli, cli_opt(cli, "where"), cli_call(cli, "GET", asked(cli, CERTS "/facets"), (struct bytes){0}, &got)));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, got, "total");
    const bool more = json_is_true(json_object_get(got, "more"));
    const json_t *all = json_object_get(got, "facets");
    const int64_t total = json_integer_value(json_object_get(got, "total"));
    printf("%s%s certificate%s\n", grouped(cli, total), more ? "+" : "", total == 1 ? "" : "s");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *facet = json_array_get(all, i), *counts = json_object_get(facet, "counts");
        if (json_array_size(counts))
            printf("\n%s\n", cli_text(facet, "name"));
        for (size_t k = 0; k < json_array_size(counts); k++) {
            const json_t *c = json_array_get(counts, k);
            const bool words = !str_equal(cli_text(c, "key"), cli_text(c, "text"));
            printf("%12s  %s%s%s\n", grouped(cli, json_integer_value(json_object_get(c, "n"))), cli_text(c, "key"),
                   words ? ": " : "", words ? cli_text(c, "text") : "");
        }
    }
    if (more)
        puts("\nMore certificates pass; these numbers are of the first ones.");
    return RC_OK;
}

/* A table of the fields; the hub's own, in words of this release. */
static void fields(void)
{
    static const struct {
        const char *word, *text;
    } rows[] = {
#define FIELD(ident, word, type, text) {word, text},
#include "api/filter_fields.def"
#undef FIELD
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("%-12s %s\n", rows[i].word, rows[i].text);
    puts("\nFor example: expires < 30d and issuer.o = \"Let's Encrypt\" and not managed and name under example.org");
}

RC cli_found_list(struct cli *cli)
{
    static const struct cli_column columns[] = {{"NAMES", "names", CLI_NAMES},
                                                {"EXPIRES", "not_after", CLI_AGO},
                                                {"ISSUER", "issuer", CLI_PLAIN},
                                                {"KEY", "key_kind", CLI_PLAIN},
                                                {"MANAGED", "managed", CLI_YES},
                                                {"FINDINGS", "findings", CLI_JOIN},
                                                {"FINGERPRINT", "fingerprint", CLI_SHORT_HEX}};
    static const struct cli_column all[] = {{"fingerprint", "fingerprint", CLI_PLAIN},
                                            {"names", "names", CLI_JOIN},
                                            {"subject", "subject", CLI_PLAIN},
                                            {"issuer", "issuer", CLI_PLAIN},
                                            {"serial", "serial", CLI_PLAIN},
                                            {"not_before", "not_before", CLI_PLAIN},
                                            {"not_after", "not_after", CLI_PLAIN},
                                            {"key", "key_kind", CLI_PLAIN},
                                            {"signature", "signature", CLI_PLAIN},
                                            {"managed", "managed", CLI_YES},
                                            {"ca", "is_ca", CLI_YES},
                                            {"self_signed", "self_signed", CLI_YES},
                                            {"revoked", "revoked", CLI_YES},
                                            {"team", "team", CLI_PLAIN},
                                            {"source", "source", CLI_PLAIN},
                                            {"findings", "findings", CLI_JOIN},
                                            {"tags", "tags", CLI_JOIN},
                                            {"owner", "owner", CLI_PLAIN},
                                            {"first_seen", "created_at", CLI_PLAIN},
                                            {"last_seen", "last_seen", CLI_PLAIN},
                                            {"spki_sha256", "spki_sha256", CLI_PLAIN}};
    const bool csv = cli->output == CLI_CSV;
    if (cli_has(cli, "fields")) {
        fields();
        return RC_OK;
    }
    if (cli_has(cli, "facets"))
        return facets(cli);
    const char *path = asked(cli, CERTS);
    if (cli->output == CLI_PEM)
        path = arena_printf(&cli->ctx->arena, "%s%spem=true", path, strchr(path, '?') ? "&" : "?");
    return cli_pointed_out(cli, cli_opt(cli, "where"),
                           cli_list_some(cli, path, csv ? all : columns,
                                         csv ? sizeof all / sizeof *all : sizeof columns / sizeof *columns, "fingerprint"));
}

RC verb_cert_days(struct cli *cli)
{
    static const struct cli_column columns[] = {
        {"DAY", "day", CLI_PLAIN}, {"CHANGE", "change", CLI_PLAIN}, {"CERTIFICATES", "n", CLI_PLAIN}};
    static const char *const options[] = {"of", "key", "team"};
    json_auto_t *got = NULL;
    const char *path = arena_printf(&cli->ctx->arena, CERTS "/days?days=%lld", (long long)cli_number(cli, "days", 90));
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (cli_opt(cli, options[i]))
            path = cli_path(cli, arena_printf(&cli->ctx->arena, "%s&%s=", path, options[i]), cli_opt(cli, options[i]), "");
    TRY(cli_call(cli, "GET", path, (struct bytes){0}, &got));
    if (cli->output == CLI_JSON)
        return cli_print_object(cli, got, "n");
    return cli_print_list(cli, json_object_get(got, "days"), columns, sizeof columns / sizeof *columns, "day");
}

/* 8 digits and more, perhaps with colons between them: the digits alone; else NULL. */
static const char *fingerprint_of(struct cli *cli, const char *text)
{
    char *out = arena_strdup(&cli->ctx->arena, text);
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        if (*p == ':')
            continue;
        if (!strchr("0123456789abcdefABCDEF", *p))
            return NULL;
        out[n++] = *p;
    }
    out[n] = 0;
    return n >= 8 && n <= 64 ? out : NULL;
}

RC cli_found_show(struct cli *cli, bool *shown)
{
    const char *digits = fingerprint_of(cli, cli->args.v[0]);
    json_auto_t *got = NULL;
    *shown = false;
    if (!digits)
        return cli->output == CLI_PEM ? ctx_fail(cli->ctx, E_USAGE, "-o pem wants a fingerprint; else: certwright cert export NAME")
                                      : RC_OK;
    struct rc rc = cli_call(cli, "GET", cli_path(cli, CERTS "/", digits, ""), (struct bytes){0}, &got);
    if (rc.e == E_NOT_FOUND && cli->output != CLI_PEM) { /* a managed one may be called so */
        ctx_forget(cli->ctx);
        rc = cli_show_at(cli, "/api/v1/managed-certificates/");
        if (rc.e == E_NOT_FOUND) {
            ctx_forget(cli->ctx);
            return ctx_fail(cli->ctx, E_NOT_FOUND, "no certificate has the fingerprint %s, and none that is managed is named so",
                            cli->args.v[0]);
        }
        *shown = rc_ok(rc);
        return rc;
    }
    TRY(rc);
    *shown = true;
    if (cli->output != CLI_PEM)
        return cli_print_object(cli, got, "fingerprint");
    fputs(cli_text(got, "pem"), stdout);
    return RC_OK;
}

RC verb_cert_assign(struct cli *cli)
{
    static const char *const texts[] = {"team", "owner", "note"}, *const lists[] = {"tag", "untag"};
    struct cli_body b;
    bool any = false;
    cli_body_begin(cli, &b);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cli_body_text(&b, texts[i], cli_opt(cli, texts[i]));
        any |= cli_has(cli, texts[i]);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct str_list l = cli_list_opt(cli, lists[i]);
        if (l.n)
            cli_body_list(&b, i ? "remove_tags" : "add_tags", &l);
        any |= l.n > 0;
    }
    if (!any)
        return ctx_fail(cli->ctx, E_USAGE, "say what: --team, --owner, --note, --tag or --untag");
    const struct bytes body = cli_body_end(&b);
    for (size_t i = 0; i < cli->args.n; i++) {
        json_auto_t *got = NULL;
        TRY(cli_call(cli, "PATCH", cli_path(cli, CERTS "/", cli->args.v[i], ""), body, &got));
        if (cli->output == CLI_JSON || cli->output == CLI_JSONL)
            TRY(cli_print_object(cli, got, "fingerprint"));
    }
    return RC_OK;
}
