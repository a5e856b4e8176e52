#include "base/csv.h"

struct csv csv_begin(struct bytes text)
{
    static const uint8_t separators[] = {',', ';', '\t', '|'};
    size_t counts[4] = {0}, best = 0;
    bool quoted = false;
    if (bytes_starts_with(text, BYTES_LIT("\xef\xbb\xbf")))
        bytes_skip(&text, 3);
    for (size_t i = 0; i < text.n && (quoted || (text.p[i] != '\n' && text.p[i] != '\r')); i++) {
        quoted ^= text.p[i] == '"';
        for (size_t k = 0; k < 4 && !quoted; k++)
            counts[k] += text.p[i] == separators[k];
    }
    for (size_t k = 1; k < 4; k++)
        if (counts[k] > counts[best])
            best = k;
    return (struct csv){.rest = text, .separator = separators[best], .next_line = 1};
}

static bool ends_line(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* The end of a line: CR, LF or both. */
static void take_end(struct csv *csv)
{
    if (!csv->rest.n)
        return;
    const bool cr = csv->rest.p[0] == '\r';
    bytes_skip(&csv->rest, 1);
    if (cr && csv->rest.n && csv->rest.p[0] == '\n')
        bytes_skip(&csv->rest, 1);
    csv->next_line++;
}

static void skip_line(struct csv *csv)
{
    size_t i = 0;
    while (i < csv->rest.n && !ends_line(csv->rest.p[i]))
        i++;
    bytes_skip(&csv->rest, i);
    take_end(csv);
}

static struct rc take_quoted(struct ctx *ctx, struct csv *csv, struct bytes *out)
{
    const uint8_t *p = csv->rest.p;
    const size_t n = csv->rest.n;
    size_t i = 1, doubled = 0, lines = 0;
    for (; i < n && (p[i] != '"' || (i + 1 < n && p[i + 1] == '"')); i++) {
        if (p[i] == '"')
            doubled++, i++;
        else
            lines += p[i] == '\n' || (p[i] == '\r' && (i + 1 == n || p[i + 1] != '\n'));
        if (i > 2 * CSV_FIELD_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "line %lld: a field of more than %zu bytes, or its quote is not closed",
                            (long long)csv->line, CSV_FIELD_MAX);
    }
    if (i >= n)
        return ctx_fail(ctx, E_PARSE, "line %lld: a quote is not closed", (long long)csv->line);
    if (i + 1 < n && p[i + 1] != csv->separator && !ends_line(p[i + 1]))
        return ctx_fail(ctx, E_PARSE, "line %lld: something stands behind a field in quotes", (long long)csv->line);
    *out = bytes_of(p + 1, i - 1);
    if (doubled) {
        uint8_t *copy = arena_alloc(&ctx->arena, out->n);
        size_t m = 0;
        for (size_t k = 0; k < out->n; k++) {
            copy[m++] = out->p[k];
            k += out->p[k] == '"';
        }
        *out = bytes_of(copy, m);
    }
    csv->next_line += (int64_t)lines;
    bytes_skip(&csv->rest, i + 1);
    return RC_OK;
}

static struct rc take_field(struct ctx *ctx, struct csv *csv, struct bytes *out)
{
    if (csv->rest.n && csv->rest.p[0] == '"')
        TRY(take_quoted(ctx, csv, out));
    else {
        size_t i = 0;
        while (i < csv->rest.n && csv->rest.p[i] != csv->separator && !ends_line(csv->rest.p[i]))
            i++;
        *out = bytes_of(csv->rest.p, i);
        bytes_skip(&csv->rest, i);
    }
    return out->n <= CSV_FIELD_MAX
               ? RC_OK
               : ctx_fail(ctx, E_TOO_LARGE, "line %lld: a field of more than %zu bytes", (long long)csv->line, CSV_FIELD_MAX);
}

static struct rc take_record(struct ctx *ctx, struct csv *csv, struct bytes fields[CSV_FIELDS_MAX], size_t *n)
{
    for (;;) {
        if (*n == CSV_FIELDS_MAX)
            return ctx_fail(ctx, E_TOO_LARGE, "line %lld: more than %d fields", (long long)csv->line, CSV_FIELDS_MAX);
        TRY(take_field(ctx, csv, &fields[(*n)++]));
        if (!csv->rest.n || csv->rest.p[0] != csv->separator)
            return RC_OK;
        bytes_skip(&csv->rest, 1);
    }
}

RC csv_next(struct ctx *ctx, struct csv *csv, struct bytes fields[CSV_FIELDS_MAX], size_t *n, bool *found)
{
    *n = 0;
    while (csv->rest.n && ends_line(csv->rest.p[0]))
        take_end(csv);
    csv->line = csv->next_line;
    *found = csv->rest.n > 0;
    if (!*found)
        return RC_OK;
    struct rc rc = take_record(ctx, csv, fields, n);
    if (rc_failed(rc))
        skip_line(csv);
    else
        take_end(csv);
    return rc;
}
