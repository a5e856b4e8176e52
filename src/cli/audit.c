/* certwright audit …: who did what, and the proof of it. */
#include <stdio.h>
#include <unistd.h>

#include "api/audit_cef.h"
#include "base/encode.h"
#include "base/uri.h"
#include "cli/audit_file.h"
#include "cli/ca.h"
#include "cli/cli.h"
#include "os/file.h"
#include "pki/merkle.h"
#include "wire/messages.h"

#define ENTRIES  "/api/v1/audit-entries"
#define EXPORT   "/api/v1/audit-export"
#define HEAD     "/api/v1/audit-head"
#define HEAD_MAX ((size_t)1 << 20)

/* --- filters */

/* A time is RFC 3339, a day, or a span back from now. */
static struct rc time_of(struct cli *cli, const char *option, int64_t *out)
{
    const char *text = cli_opt(cli, option);
    int64_t span = 0;
    if (time_parse_rfc3339(bytes_z(text), out) ||
        time_parse_rfc3339(bytes_z(arena_printf(&cli->ctx->arena, "%sT00:00:00Z", text)), out))
        return RC_OK;
    if (!str_parse_span(bytes_z(text), &span))
        return ctx_fail(cli->ctx, E_USAGE, "--%s is a day (2026-11-21), a time (2026-11-21T04:25:21Z), or how long ago (7d)",
                        option);
    *out = ctx_now_s(cli->ctx) - span;
    return RC_OK;
}

static void put_query(struct buf *b, const char *name, const char *value)
{
    buf_put_u8(b, b->n ? '&' : '?');
    buf_put_z(b, name);
    buf_put_u8(b, '=');
    put_percent(b, bytes_z(value));
}

static struct rc put_filters(struct cli *cli, struct buf *b)
{
    static const struct {
        const char *option, *name;
    } texts[] = {{"by", "principal"}, {"action", "action"}, {"object", "object"}, {"certificate", "certificate"}},
      times[] = {{"since", "since"}, {"until", "until"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (cli_opt(cli, texts[i].option))
            put_query(b, texts[i].name, cli_opt(cli, texts[i].option));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct buf at;
        int64_t t = 0;
        if (!cli_opt(cli, times[i].option))
            continue;
        TRY(time_of(cli, times[i].option, &t));
        buf_init_arena(&at, &cli->ctx->arena, 64);
        time_put_rfc3339(&at, t);
        put_query(b, times[i].name, buf_z(&at));
    }
    return buf_status(b);
}

RC verb_audit_list(struct cli *cli)
{
    static const struct cli_column shown[] = {{"WHEN", "at", CLI_DATE},           {"WHO", "principal", CLI_PLAIN},
                                              {"FROM", "peer", CLI_PLAIN},        {"WHAT", "action", CLI_PLAIN},
                                              {"OBJECT", "object_id", CLI_PLAIN}, {"REQUEST", "request_id", CLI_PLAIN}};
    json_auto_t *all = NULL;
    struct buf query;
    buf_init_arena(&query, &cli->ctx->arena, 4096);
    TRY(put_filters(cli, &query));
    TRY(cli_all(cli, arena_printf(&cli->ctx->arena, ENTRIES "%s", buf_z(&query)), cli_number(cli, "limit", 100), &all));
    return cli_print_list(cli, all, shown, sizeof shown / sizeof *shown, "seq");
}

/* --- exports: JSON lines that prove themselves, or CEF for a SIEM */

static struct rc put_cef(struct cli *cli, struct buf *b, const json_t *line)
{
    struct audit_entry e;
    json_auto_t *json = NULL;
    TRY(json_read(cli->ctx, bytes_z(cli_text(line, "entry")), &json));
    TRY(audit_entry_take(cli->ctx, json, &e));
    audit_cef_put(b, &e, json_integer_value(json_object_get(line, "n")));
    buf_put_u8(b, '\n');
    return buf_status(b);
}

static struct rc put_line(struct cli *cli, struct buf *b, const json_t *line)
{
    const json_t *proof = json_object_get(line, "proof");
    buf_printf(b, "{\"n\":%lld,\"proof\":[", (long long)json_integer_value(json_object_get(line, "n")));
    for (size_t i = 0; i < json_array_size(proof); i++) {
        const char *hash = json_string_value(json_array_get(proof, i));
        struct bytes bytes;
        if (!hash || !get_base64(&cli->ctx->arena, bytes_z(hash), &bytes))
            return ctx_fail(cli->ctx, E_BAD_ANSWER, "the hub's answer has a proof that is none");
        buf_put_z(b, i ? ",\"" : "\"");
        put_base64(b, bytes);
        buf_put_u8(b, '"');
    }
    buf_put_z(b, "],\"entry\":");
    buf_put_z(b, cli_text(line, "entry"));
    buf_put_z(b, "}\n");
    return buf_status(b);
}

static void put_first(struct buf *b, const json_t *page, int64_t from)
{
    struct json_out j;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "certwright", "audit-export");
    json_put_int(&j, "version", 1);
    json_put_bool(&j, "all", json_is_true(json_object_get(page, "all")));
    json_put_int(&j, "from", from);
    json_put_value(&j, "head", json_object_get(page, "head"));
    json_close(&j);
    buf_put_u8(b, '\n');
}

struct exporting {
    FILE *to;
    bool cef;
    int64_t from, size;
    const char *filters;
};

/* One page; memory is given back after each. */
static struct rc export_page(struct cli *cli, struct exporting *x, bool first, bool *more)
{
    struct ctx *ctx = cli->ctx;
    json_auto_t *page = NULL;
    const json_t *line;
    size_t i;
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, (size_t)512 << 20);
    TRY(cli_call(cli, "GET",
                 arena_printf(&ctx->arena, EXPORT "%s%climit=1000&size=%lld&from=%lld", x->filters, *x->filters ? '&' : '?',
                              (long long)x->size, (long long)x->from),
                 (struct bytes){0}, &page));
    const int64_t kept = json_integer_value(json_object_get(page, "kept_from"));
    x->size = json_integer_value(cli_member(page, "head.size"));
    if (first && !x->cef)
        put_first(&b, page, x->from > kept ? x->from : kept);
    json_array_foreach(json_object_get(page, "items"), i, line) TRY(x->cef ? put_cef(cli, &b, line) : put_line(cli, &b, line));
    if (fwrite(b.p, 1, b.n, x->to) != b.n)
        return ctx_fail_errno(ctx, "cannot write the export");
    *more = json_is_integer(json_object_get(page, "next"));
    x->from = json_integer_value(json_object_get(page, "next"));
    return RC_OK;
}

static void file_closep(FILE **f)
{
    if (*f && *f != stdout && *f != stdin)
        fclose(*f);
}

RC verb_audit_export(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *format = cli_opt(cli, "format") ? cli_opt(cli, "format") : "jsonl", *path = cli_opt(cli, "out");
    struct buf query;
    FILE *to __attribute__((cleanup(file_closep))) = stdout;
    if (!str_equal(format, "jsonl") && !str_equal(format, "cef"))
        return ctx_fail(ctx, E_USAGE, "--format is jsonl (with proofs) or cef");
    buf_init_arena(&query, &ctx->arena, 4096);
    TRY(put_filters(cli, &query));
    const char *part = path ? arena_printf(&ctx->arena, "%s.part", path) : NULL;
    if (path && !(to = fopen(part, "wex")) && !(unlink(part) == 0 && (to = fopen(part, "wex"))))
        return ctx_fail_errno(ctx, "cannot write %s", part);
    struct exporting x = {.to = to, .cef = str_equal(format, "cef"), .from = cli_number(cli, "from", 0), .filters = buf_z(&query)};
    for (bool first = true, more = true; more; first = false)
        TRY(export_page(cli, &x, first, &more));
    if (fflush(to) || (path && (fsync(fileno(to)) || rename(part, path))))
        return ctx_fail_errno(ctx, "cannot write %s", path ? path : "to standard output");
    if (path)
        cli_say(cli, "%s: the log as the head of %lld entries says.%s", path, (long long)x.size,
                x.cef ? "" : "  It proves itself: certwright audit verify FILE");
    return RC_OK;
}

/* --- verifying */

static struct rc head_of_file(struct cli *cli, const char *path, struct audit_file_head *out)
{
    struct bytes text, line;
    TRY(file_read(cli->ctx, path, HEAD_MAX, &text));
    struct bytes rest = text;
    /* The first line of an export, or a document of its own. */
    if (bytes_starts_with(text, BYTES_LIT("{\"certwright\"")) && bytes_take_line(&rest, &line))
        text = line;
    return ctx_wrap(cli->ctx, audit_file_head_read(cli->ctx, text, out), "%s", path);
}

static struct rc read_lines(struct cli *cli, FILE *from, struct audit_file *f)
{
    struct ctx *ctx = cli->ctx;
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, AUDIT_LINE_MAX * 4);
    size_t at = 0; /* of the line that is next */
    for (bool end = false; !end;) {
        uint8_t *room = buf_reserve(&b, AUDIT_LINE_MAX);
        if (!room)
            return buf_status(&b);
        const size_t n = fread(room, 1, AUDIT_LINE_MAX, from);
        buf_commit(&b, n);
        end = n == 0;
        if (end && ferror(from))
            return ctx_fail_errno(ctx, "cannot read the export");
        const uint8_t *newline;
        while (at < b.n && ((newline = memchr(b.p + at, '\n', b.n - at)) || end)) {
            const size_t length = newline ? (size_t)(newline - b.p) - at : b.n - at;
            TRY(audit_file_line(ctx, f, bytes_of(b.p + at, length)));
            at += length + 1;
        }
        if (b.n > at && b.n - at > AUDIT_LINE_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "line %lld is longer than any of an export", (long long)f->lines + 1);
        if (at > b.n)
            at = b.n;
        buf_drop_front(&b, at);
        at = 0;
    }
    return audit_file_finish(ctx, f);
}

static void audit_file_endp(struct audit_file **f)
{
    if (*f) {
        audit_file_end(*f);
        free(*f);
    }
}

RC verb_audit_verify(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    struct audit_file *f __attribute__((cleanup(audit_file_endp))) = calloc(1, sizeof *f);
    FILE *from __attribute__((cleanup(file_closep))) = NULL;
    const char *path = NULL, *key = cli_opt(cli, "key");
    struct audit_file_head after;
    TRY(cli_one_arg(cli, &path));
    if (!f)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory");
    if (!path)
        return ctx_fail(ctx, E_USAGE, "name the file of an export, or - for standard input");
    audit_file_begin(f, ctx->clock);
    if (cli_opt(cli, "after")) {
        TRY(head_of_file(cli, cli_opt(cli, "after"), &after));
        audit_file_after(f, &after.head);
    }
    from = str_equal(path, "-") ? stdin : fopen(path, "re");
    if (!from)
        return ctx_fail_errno(ctx, "cannot read %s", path);
    TRY(read_lines(cli, from, f));
    const char *known = hex_str(&ctx->arena, bytes_of(f->head.key_sha256, 32));
    if (key && strcasecmp(key, known) != 0)
        return ctx_fail(ctx, E_INVALID, "the head is signed by another key than the one named: %s", known);
    if (cli_opt(cli, "after") && !bytes_equal(after.key, f->head.key))
        return ctx_fail(ctx, E_INVALID, "the head is signed by another key than that of %s: %s", cli_opt(cli, "after"), known);
    struct cli_body b;
    json_auto_t *json = NULL;
    struct buf at;
    buf_init_arena(&at, &ctx->arena, 64);
    time_put_rfc3339(&at, f->head.head.at);
    if (cli->output == CLI_TABLE) {
        cli_say(cli, "%lld entries of a log of %llu are what was logged%s.", (long long)f->entries,
                (unsigned long long)f->head.head.size,
                !f->all   ? "; it is a selection: what is missing is not seen"
                : f->from ? ", none is missing after those that are no longer kept, or not asked for"
                          : ", none is missing");
        cli_say(cli, "The head was signed %s by the key %s%s.", buf_z(&at), known,
                key ? "" : ": compare it with that of certwright audit head, or name it with --key");
        if (f->extended)
            cli_say(cli, "The log extends that of %llu entries in %s.", (unsigned long long)f->after.size, cli_opt(cli, "after"));
        return RC_OK;
    }
    cli_body_begin(cli, &b);
    json_put_int(&b.j, "entries", f->entries);
    json_put_int(&b.j, "size", (int64_t)f->head.head.size);
    json_put_bool(&b.j, "all", f->all);
    json_put_int(&b.j, "from", f->from);
    json_put_str(&b.j, "at", buf_z(&at));
    json_put_str(&b.j, "key_sha256", known);
    TRY(json_read(ctx, cli_body_end(&b), &json));
    return cli_print_object(cli, json, "size");
}

/* --- heads */

static struct rc since_check(struct cli *cli, const json_t *now, const struct audit_file_head *old)
{
    struct ctx *ctx = cli->ctx;
    struct audit_file_head head;
    struct merkle_path path = {0};
    struct bytes hash;
    const json_t *list = json_object_get(now, "consistency");
    char *text = json_dumps(now, 0);
    struct rc rc = text ? audit_file_head_read(ctx, bytes_z(text), &head) : ctx_fail(ctx, E_NO_MEMORY, "no memory");
    free(text);
    TRY(rc);
    if (!bytes_equal(head.key, old->key))
        return ctx_fail(ctx, E_INVALID, "the head is signed by another key than the older one");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (path.n == MERKLE_PATH_MAX || !s || !get_base64(&ctx->arena, bytes_z(s), &hash) || hash.n != MERKLE_LEN)
            return ctx_fail(ctx, E_BAD_ANSWER, "the hub's answer has a proof that is none");
        memcpy(path.hash[path.n++], hash.p, MERKLE_LEN);
    }
    rc = merkle_consistency_check(ctx, old->head.size, head.head.size, old->head.root, head.head.root, &path);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the log of %llu entries does not extend that of %llu", (unsigned long long)head.head.size,
                        (unsigned long long)old->head.size);
    cli_say(cli, "The log of %llu entries extends that of %llu.", (unsigned long long)head.head.size,
            (unsigned long long)old->head.size);
    return RC_OK;
}

RC verb_audit_head(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    struct audit_file_head old, head;
    json_auto_t *now = NULL;
    const char *since = cli_opt(cli, "since");
    if (since)
        TRY(head_of_file(cli, since, &old));
    TRY(cli_call(cli, "GET", since ? arena_printf(&ctx->arena, HEAD "?old=%llu", (unsigned long long)old.head.size) : HEAD,
                 (struct bytes){0}, &now));
    if (since)
        TRY(since_check(cli, now, &old));
    if (cli->output != CLI_TABLE)
        return cli_print_object(cli, now, "head.size");
    if (*cli_text(now, "trouble"))
        cli_say(cli, "trouble    %s", cli_text(now, "trouble"));
    cli_say(cli, "entries    %lld", (long long)json_integer_value(json_object_get(now, "entries")));
    if (!json_object_get(now, "head")) {
        cli_say(cli, "signed     nothing yet");
        return RC_OK;
    }
    char *text = json_dumps(now, 0);
    struct rc rc = text ? audit_file_head_read(ctx, bytes_z(text), &head) : ctx_fail(ctx, E_NO_MEMORY, "no memory");
    free(text);
    TRY(rc);
    cli_say(cli, "signed     %llu, at %s", (unsigned long long)head.head.size, cli_text(now, "head.at"));
    cli_say(cli, "root       %s", cli_text(now, "head.root"));
    cli_say(cli, "key        %s (SHA-256)", hex_str(&ctx->arena, bytes_of(head.key_sha256, 32)));
    return RC_OK;
}

/* The database had to be put back to an older copy: an officer says that the log goes on from what it is now. */
RC verb_audit_accept(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    json_auto_t *now = NULL;
    struct bytes root;
    struct wire_peer *signer __attribute__((cleanup(cli_officer_free))) = NULL;
    struct wire_signer_audit_signed last, made;
    TRY(cli_call(cli, "GET", HEAD, (struct bytes){0}, &now));
    const int64_t size = json_integer_value(json_object_get(now, "entries"));
    if (!*cli_text(now, "trouble"))
        return ctx_fail(ctx, E_CONFLICT, "the audit log and the signer agree: there is nothing to accept");
    if (!get_base64(&ctx->arena, bytes_z(cli_text(now, "root")), &root))
        return ctx_fail(ctx, E_BAD_ANSWER, "the hub's answer has no root");
    TRY(cli_officer(cli, &signer));
    const struct wire_signer_audit_last ask = {.log = MERKLE_AUDIT_LOG};
    TRY(wire_call_signer_audit_last(ctx, signer, &ask, &last));
    const struct wire_signer_audit_accept in = {.log = MERKLE_AUDIT_LOG, .size = size, .root = root};
    TRY(cli_officer_change(cli, signer, WIRE_signer_audit_accept, &in, WIRE_signer_audit_signed, &made));
    cli_say(cli, "The log goes on from entry %lld.  The signer had signed %lld: exports of then are not extended by it; keep them.",
            (long long)size, (long long)last.size);
    return RC_OK;
}
