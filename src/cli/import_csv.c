/* Lists as CSV: which column is what. */
#include "base/address.h"
#include "base/csv.h"
#include "base/encode.h"
#include "cli/import.h"
#include "pki/pem.h"

#define NOTE_MAX 4000

enum column { CERTIFICATE, FINGERPRINT, PLACE, PORT, OWNER, NOTE, TAGS, COLUMNS };

/* What a column may be called where --map does not say. */
static const struct {
    enum column column;
    const char *name;
} names[] = {
    {CERTIFICATE, "certificate"},
    {CERTIFICATE, "pem"},
    {CERTIFICATE, "der"},
    {FINGERPRINT, "fingerprint"},
    {FINGERPRINT, "sha256"},
    {PLACE, "place"},
    {PLACE, "endpoint"},
    {PLACE, "host"},
    {PLACE, "hostname"},
    {PLACE, "name"},
    {PLACE, "address"},
    {PLACE, "ip"},
    {PORT, "port"},
    {OWNER, "owner"},
    {NOTE, "note"},
    {NOTE, "notes"},
    {NOTE, "comment"},
    {NOTE, "description"},
    {TAGS, "tags"},
    {TAGS, "tag"},
};
static const char *const fields[COLUMNS] = {"certificate", "fingerprint", "place", "port", "owner", "note", "tags"};

struct layout {
    size_t at[COLUMNS]; /* SIZE_MAX: none */
};

static struct bytes trimmed(struct bytes b)
{
    while (b.n && strchr(" \t\r\n", b.p[0]) && b.p[0])
        bytes_skip(&b, 1);
    while (b.n && b.p[b.n - 1] && strchr(" \t\r\n", b.p[b.n - 1]))
        b.n--;
    return b;
}

static bool is(struct bytes title, const char *name)
{
    title = trimmed(title);
    return title.n == strlen(name) && strncasecmp((const char *)title.p, name, title.n) == 0;
}

static const char *titles(struct ctx *ctx, const struct bytes *header, size_t n)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 600);
    for (size_t i = 0; i < n && b.n < 400; i++)
        buf_printf(&b, "%s%.*s", i ? ", " : "", (int)(header[i].n < 60 ? header[i].n : 60), (const char *)header[i].p);
    return buf_z(&b);
}

static struct rc mapped(struct import_sink *s, const char *path, const char *entry, const struct bytes *header, size_t n,
                        struct layout *out)
{
    struct bytes column = bytes_z(entry), field;
    size_t k = 0, i = 0;
    if (!bytes_take_until(&column, '=', &field) || !column.n)
        return ctx_fail(s->cli->ctx, E_USAGE, "--map takes FIELD=COLUMN, as in certificate=PEM,place=Server; not \"%s\"", entry);
    while (k < COLUMNS && !is(field, fields[k]))
        k++;
    if (k == COLUMNS)
        return ctx_fail(s->cli->ctx, E_USAGE,
                        "--map %s: a field is one of certificate, fingerprint, place, port, owner, note, tags", entry);
    while (i < n && !is(header[i], arena_str(&s->cli->ctx->arena, column)))
        i++;
    if (i == n)
        return ctx_fail(s->cli->ctx, E_USAGE, "%s has no column %.*s; its first line names: %s", path, (int)column.n,
                        (const char *)column.p, titles(s->cli->ctx, header, n));
    out->at[k] = i;
    return RC_OK;
}

static struct rc layout_of(struct import_sink *s, const char *path, const struct bytes *header, size_t n, struct layout *out)
{
    for (size_t k = 0; k < COLUMNS; k++)
        out->at[k] = SIZE_MAX;
    for (size_t i = 0; i < s->map.n; i++)
        TRY(mapped(s, path, s->map.v[i], header, n, out));
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (size_t i = 0; i < n && out->at[names[k].column] == SIZE_MAX; i++)
            if (is(header[i], names[k].name))
                out->at[names[k].column] = i;
    if (out->at[CERTIFICATE] == SIZE_MAX && out->at[FINGERPRINT] == SIZE_MAX && out->at[PLACE] == SIZE_MAX)
        return ctx_fail(
            s->cli->ctx, E_USAGE,
            "%s: say which column holds certificates, fingerprints or places: --map certificate=COLUMN,…; its first line names: %s",
            path, titles(s->cli->ctx, header, n));
    return RC_OK;
}

/* PEM with its lines, or base64 alone. */
static const char *certificate(struct ctx *ctx, struct bytes text, struct bytes *out)
{
    struct pem_block b;
    bool found = false;
    if (bytes_find(text, BYTES_LIT("-----BEGIN")) == SIZE_MAX)
        return get_base64_pem(&ctx->arena, text, out) && out->n ? NULL : "the certificate is neither PEM nor base64";
    if (rc_ok(pem_next(ctx, &text, &b, &found)) && found) {
        *out = b.der;
        return NULL;
    }
    ctx_forget(ctx);
    return "the certificate's PEM cannot be read";
}

static const char *fingerprint(struct ctx *ctx, struct bytes text, struct bytes *out)
{
    char *digits = arena_alloc(&ctx->arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != ':' && text.p[i] != ' ')
            digits[n++] = (char)text.p[i];
    return get_hex(&ctx->arena, bytes_of(digits, n), out) && out->n == 32 ? NULL
                                                                          : "the fingerprint is no SHA-256 in hexadecimal digits";
}

static struct bytes cell(const struct layout *l, enum column column, const struct bytes *cells, size_t n)
{
    return l->at[column] < n ? trimmed(cells[l->at[column]]) : (struct bytes){0};
}

static bool has_control(struct bytes b, bool lines)
{
    for (size_t i = 0; i < b.n; i++)
        if ((b.p[i] < 0x20 && !(lines && strchr("\n\r\t", b.p[i]))) || b.p[i] == 0x7f)
            return true;
    return false;
}

/* The hub would refuse all rows for one with too many. */
static const char *tags_why(const char *tags)
{
    size_t n = 0;
    for (; tags && *tags; tags += strspn(tags, IMPORT_TAG_ENDS)) {
        const size_t one = strcspn(tags, IMPORT_TAG_ENDS);
        if (one > IMPORT_TAG_MAX || (n += one > 0) > IMPORT_TAGS_MAX)
            return "a row has 100 tags of 64 characters at most";
        tags += one;
    }
    return NULL;
}

/* An empty cell says nothing: what is known stays. */
static const char *text_of(struct ctx *ctx, struct bytes b, size_t most, const char *what, const char **why)
{
    if (!b.n)
        return NULL;
    const char *text = str_z(&ctx->arena, b);
    if (!text || !str_is_utf8(b))
        *why = arena_printf(&ctx->arena, "the %s is not UTF-8: save the file as UTF-8", what);
    else if (has_control(b, most == NOTE_MAX))
        *why = arena_printf(&ctx->arena, "the %s holds a control character", what);
    else if (b.n > most)
        *why = arena_printf(&ctx->arena, "the %s has more than %zu bytes", what, most);
    return text;
}

static struct rc row(struct import_sink *s, const char *path, int64_t line, const struct layout *l, const struct bytes *cells,
                     size_t n)
{
    struct ctx *ctx = s->cli->ctx;
    struct import_item item = {.row = arena_printf(&ctx->arena, "%.900s:%lld", path, (long long)line)};
    const struct bytes cert = cell(l, CERTIFICATE, cells, n), print = cell(l, FINGERPRINT, cells, n),
                       port = cell(l, PORT, cells, n);
    const char *why = NULL;
    struct address literal;
    int64_t number = 0;
    if (cert.n)
        why = certificate(ctx, cert, &item.der);
    if (!why && print.n)
        why = fingerprint(ctx, print, &item.fingerprint);
    if (!why)
        item.place = text_of(ctx, cell(l, PLACE, cells, n), 500, "place", &why);
    if (!why && port.n && (!str_to_i64(port, &number) || number < 1 || number > 65535))
        why = "the port is no number from 1 to 65535";
    if (!why && item.place && port.n)
        item.place = arena_printf(&ctx->arena,
                                  address_parse(bytes_z(item.place), &literal) && strchr(item.place, ':') ? "[%s]:%lld" : "%s:%lld",
                                  item.place, (long long)number);
    if (!why)
        item.owner = text_of(ctx, cell(l, OWNER, cells, n), 200, "owner", &why);
    if (!why)
        item.note = text_of(ctx, cell(l, NOTE, cells, n), NOTE_MAX, "note", &why);
    if (!why)
        item.tags = text_of(ctx, cell(l, TAGS, cells, n), 8000, "tags", &why);
    if (!why)
        why = tags_why(item.tags);
    return why ? s->wrong(s, item.row, why) : s->take(s, &item);
}

RC import_csv(struct import_sink *s, const char *path, struct bytes text)
{
    struct csv csv = csv_begin(text);
    struct bytes *cells = malloc(CSV_FIELDS_MAX * sizeof *cells);
    struct layout layout = {{0}};
    size_t n = 0;
    bool found = false;
    if (!cells)
        return ctx_fail(s->cli->ctx, E_NO_MEMORY, "%s", path);
    struct rc rc = csv_next(s->cli->ctx, &csv, cells, &n, &found);
    if (rc_ok(rc))
        rc = found ? layout_of(s, path, cells, n, &layout) : ctx_fail(s->cli->ctx, E_USAGE, "%s is empty", path);
    while (rc_ok(rc)) {
        rc = csv_next(s->cli->ctx, &csv, cells, &n, &found);
        if (rc_failed(rc)) {
            const char *why = arena_strdup(&s->cli->ctx->arena, ctx_why(s->cli->ctx));
            ctx_forget(s->cli->ctx);
            rc = s->wrong(s, path, why);
        } else if (!found) {
            break;
        } else {
            rc = row(s, path, csv.line, &layout, cells, n);
        }
        if (rc_ok(rc))
            rc = s->settle(s);
    }
    free(cells);
    return rc;
}
