/* certwright import FILE|DIR…: rows go to the hub in pieces; each is whole there before the next is sent. */
#include <unistd.h>

#include "base/secret.h"
#include "cli/import.h"
#include "os/file.h"

#define ROWS_MAX  1000
#define BODY_MAX  ((size_t)1 << 20) /* the hub's ceiling */
#define BODY_SENT ((size_t)640 << 10)
#define DER_MAX   65536
#define TELL_ROWS 1000

struct importing {
    struct import_sink sink;
    struct cli *cli;
    struct ctx *outer;
    const char *list;
    bool dry, line;
    struct buf body; /* heap */
    struct json_out j;
    size_t n;
    int64_t rows, fresh, changed, known, wrong;
    json_t *remarks; /* of -o json; NULL otherwise */
    struct cli_leaver leaver;
};

static void chunk_begin(struct importing *m)
{
    buf_free(&m->body);
    buf_init(&m->body, BODY_MAX);
    json_begin(&m->j, &m->body);
    json_open_obj(&m->j, NULL);
    json_put_str(&m->j, "list", m->list);
    if (cli_opt(m->cli, "team"))
        json_put_str(&m->j, "team", cli_opt(m->cli, "team"));
    json_put_bool(&m->j, "dry_run", m->dry);
    json_open_list(&m->j, "rows");
    m->n = 0;
}

/* Errors are told as they come, and the differences of a dry run. */
static void remark(struct importing *m, const char *row, const char *verdict, const char *fingerprint, const char *text)
{
    const bool wrong = str_equal(verdict, "error");
    if (m->line)
        fprintf(stderr, "\r\033[K");
    if (m->remarks) {
        json_t *o = json_object();
        json_object_set_new(o, "row", json_string(row));
        json_object_set_new(o, "verdict", json_string(verdict));
        if (*fingerprint)
            json_object_set_new(o, "fingerprint", json_string(fingerprint));
        json_object_set_new(o, "text", json_string(text));
        json_array_append_new(m->remarks, o);
    } else if (!wrong) {
        cli_say(m->cli, "%c %s  %.12s  %s", str_equal(verdict, "new") ? '+' : '~', row, fingerprint, text);
    }
    if (wrong)
        fprintf(stderr, "%s: %s\n", row, text);
}

static void progress(const struct importing *m, bool last)
{
    if (!m->line)
        return;
    fprintf(stderr, "\r%lld rows, %lld new, %lld changed, %lld wrong\033[K%s", (long long)m->rows, (long long)m->fresh,
            (long long)m->changed, (long long)m->wrong, last ? "\n" : "");
    fflush(stderr);
}

/* What is said where somebody leaves by Ctrl-C. */
static const char *left_text(const struct importing *m)
{
    return m->dry ? "Nothing was changed."
                  : arena_printf(&m->outer->arena, "%lld row%s, %lld new, were taken; the same again goes on.", (long long)m->rows,
                                 m->rows == 1 ? "" : "s", (long long)m->fresh);
}

static struct rc send_chunk(struct importing *m)
{
    json_auto_t *done = NULL;
    if (!m->n)
        return RC_OK;
    json_close(&m->j);
    json_close(&m->j);
    TRY(buf_status(&m->body));
    TRY(cli_call(m->cli, "POST", "/api/v1/imports", buf_bytes(&m->body), &done));
    m->fresh += json_integer_value(json_object_get(done, "fresh"));
    m->changed += json_integer_value(json_object_get(done, "changed"));
    m->known += json_integer_value(json_object_get(done, "known"));
    m->wrong += json_integer_value(json_object_get(done, "wrong"));
    const json_t *remarks = json_object_get(done, "remarks");
    for (size_t i = 0; i < json_array_size(remarks); i++) {
        const json_t *r = json_array_get(remarks, i);
        remark(m, cli_text(r, "row"), cli_text(r, "verdict"), cli_text(r, "fingerprint"), cli_text(r, "text"));
    }
    progress(m, false);
    m->leaver.hint = left_text(m);
    chunk_begin(m);
    return RC_OK;
}

/* --- rows */

static struct rc wrong(struct import_sink *sink, const char *row, const char *why)
{
    struct importing *m = (struct importing *)sink;
    m->rows++;
    m->wrong++;
    remark(m, row, "error", "", why);
    return RC_OK;
}

static void tags_put(struct importing *m, const char *tags)
{
    json_open_list(&m->j, "tags");
    for (; *tags; tags += strspn(tags, IMPORT_TAG_ENDS)) {
        const size_t one = strcspn(tags, IMPORT_TAG_ENDS);
        if (one)
            json_put_bytes_str(&m->j, NULL, bytes_of(tags, one));
        tags += one;
    }
    json_close(&m->j);
}

static struct rc take(struct import_sink *sink, const struct import_item *item)
{
    struct importing *m = (struct importing *)sink;
    const char *tags = item->tags ? item->tags : cli_opt(m->cli, "tags"),
               *owner = item->owner ? item->owner : cli_opt(m->cli, "owner");
    if (item->der.n > DER_MAX)
        return wrong(sink, item->row, "the certificate is larger than 64 KiB");
    m->rows++;
    json_open_obj(&m->j, NULL);
    json_put_str(&m->j, "row", item->row);
    if (item->der.n)
        json_put_base64(&m->j, "der", item->der);
    if (item->fingerprint.n)
        json_put_hex(&m->j, "fingerprint", item->fingerprint);
    if (item->place)
        json_put_str(&m->j, "place", item->place);
    if (owner)
        json_put_str(&m->j, "owner", owner);
    if (item->note)
        json_put_str(&m->j, "note", item->note);
    if (tags)
        tags_put(m, tags);
    json_close(&m->j);
    return ++m->n == ROWS_MAX || m->body.n > BODY_SENT ? send_chunk(m) : RC_OK;
}

static struct rc settle(struct import_sink *sink)
{
    struct importing *m = (struct importing *)sink;
    if (m->rows % 64 == 0)
        ctx_reset(m->cli->ctx);
    return RC_OK;
}

/* --- the verb */

static struct rc password_of(struct cli *cli, struct secret *out)
{
    const char *path = cli_opt(cli, "password-file");
    struct bytes text;
    if (!path)
        return RC_OK;
    TRY(file_read(cli->ctx, path, 4096, &text));
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
        text.n--;
    return text.n ? secret_from(cli->ctx, out, text) : ctx_fail(cli->ctx, E_INVALID, "%s is empty", path);
}

static const char *list_name(struct cli *cli)
{
    const char *name = cli_opt(cli, "list");
    if (name)
        return name;
    struct bytes path = bytes_z(cli->args.v[0]), part, last = {0};
    while (bytes_take_until(&path, '/', &part))
        last = part.n && !(part.n == 1 && part.p[0] == '.') ? part : last;
    return last.n ? arena_printf(&cli->ctx->arena, "%.*s", (int)(last.n < 200 ? last.n : 200), (const char *)last.p) : "import";
}

static struct rc summary(struct importing *m)
{
    if (m->remarks) {
        json_auto_t *o = json_object();
        json_object_set_new(o, "list", json_string(m->list));
        json_object_set_new(o, "dry_run", json_boolean(m->dry));
        json_object_set_new(o, "rows", json_integer(m->rows));
        json_object_set_new(o, "fresh", json_integer(m->fresh));
        json_object_set_new(o, "changed", json_integer(m->changed));
        json_object_set_new(o, "known", json_integer(m->known));
        json_object_set_new(o, "wrong", json_integer(m->wrong));
        json_object_set(o, "remarks", m->remarks);
        TRY(cli_print_object(m->cli, o, "list"));
    }
    cli_say(m->cli, "%s%lld row%s: %lld new, %lld changed, %lld known already, %lld wrong.", m->dry ? "Nothing was changed.  " : "",
            (long long)m->rows, m->rows == 1 ? "" : "s", (long long)m->fresh, (long long)m->changed, (long long)m->known,
            (long long)m->wrong);
    if (m->sink.skipped)
        cli_say(m->cli, "%zu files hold no certificate.", m->sink.skipped);
    return m->wrong ? ctx_fail(m->cli->ctx, E_INVALID, "%lld of %lld rows could not be taken%s", (long long)m->wrong,
                               (long long)m->rows, m->wrong < m->rows && !m->dry ? "; the others were" : "")
                    : RC_OK;
}

static struct rc read_all(struct importing *m, struct str_list *args)
{
    for (size_t i = 0; i < args->n; i++)
        TRY(import_read(&m->sink, args->v[i]));
    TRY(send_chunk(m));
    progress(m, true);
    return RC_OK;
}

RC verb_import(struct cli *cli)
{
    SECRET_CLEANUP struct secret password = {0};
    CTX_CLEANUP struct ctx turn; /* its memory is given back as rows go out */
    const char *as = cli_opt(cli, "as");
    struct importing m = {
        .sink =
            {.cli = cli, .take = take, .wrong = wrong, .settle = settle, .map = cli_list_opt(cli, "map"), .password = &password},
        .cli = cli,
        .outer = cli->ctx,
        .list = list_name(cli),
        .dry = cli_has(cli, "dry-run"),
        .line = cli->tty && isatty(STDERR_FILENO)};
    ctx_init(&turn, cli->ctx->clock);
    if (as && !str_equal(as, "csv"))
        return ctx_fail(cli->ctx, E_USAGE, "--as takes csv, not \"%s\"; the other kinds of file are told apart by what is in them",
                        as);
    m.sink.as_csv = as != NULL || m.sink.map.n > 0;
    TRY(password_of(cli, &password));
    TRY(cli_connect(cli));
    if (cli->output == CLI_JSON)
        m.remarks = json_array();
    TRY(cli_leaver_start(cli, &m.leaver, left_text(&m)));
    chunk_begin(&m);
    cli->ctx = &turn;
    struct rc rc = read_all(&m, &cli->args);
    cli_leaver_stop(&m.leaver);
    cli->ctx = m.outer;
    buf_free(&m.body);
    if (rc_failed(rc))
        rc = ctx_fail(cli->ctx, rc.e, "%s%s", ctx_why(&turn),
                      m.rows > 0 && !m.dry ? "; what was sent before is in: the same again goes on" : "");
    else
        rc = summary(&m);
    json_decref(m.remarks);
    return rc;
}
