/* Reports as text. */
#include <string.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "core/report.h"

static const char *time_text(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

static const char *cell(const struct report_table *t, size_t r, size_t c)
{
    return t->cells[r * t->columns_n + c];
}

/* --- CSV */

/* Spreadsheets take a cell that begins like one for a formula: a name of somebody else's certificate could be one. */
static void csv_cell(struct buf *b, const char *text, bool number)
{
    const bool formula = !number && *text && strchr("=+-@\t\r", *text);
    if (!formula && !strpbrk(text, ",\"\r\n")) {
        buf_put_z(b, text);
        return;
    }
    buf_put_u8(b, '"');
    if (formula)
        buf_put_u8(b, '\'');
    for (const char *s = text; *s; s++) {
        if (*s == '"')
            buf_put_u8(b, '"');
        buf_put_u8(b, (uint8_t)*s);
    }
    buf_put_u8(b, '"');
}

void report_csv(struct ctx *ctx, struct buf *b, const struct report *r)
{
    (void)ctx;
    for (size_t i = 0; i < r->tables_n; i++) {
        const struct report_table *t = &r->tables[i];
        if (r->tables_n > 1) {
            buf_put_z(b, i ? "\r\n" : "");
            csv_cell(b, t->title, false);
            buf_put_z(b, "\r\n");
        }
        for (size_t c = 0; c < t->columns_n; c++)
            buf_printf(b, "%s%s", c ? "," : "", t->columns[c].name);
        buf_put_z(b, "\r\n");
        for (size_t k = 0; k < t->rows; k++) {
            for (size_t c = 0; c < t->columns_n; c++) {
                buf_put_z(b, c ? "," : "");
                csv_cell(b, cell(t, k, c), t->columns[c].number);
            }
            buf_put_z(b, "\r\n");
        }
    }
}

/* --- JSON */

void report_json(struct ctx *ctx, struct buf *b, const struct report *r)
{
    struct json_out j;
    (void)ctx;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "report", r->name);
    json_put_str(&j, "title", r->title);
    json_put_str(&j, "team", r->team);
    json_put_time(&j, "at", r->at);
    json_open_list(&j, "tables");
    for (size_t i = 0; i < r->tables_n; i++) {
        const struct report_table *t = &r->tables[i];
        json_open_obj(&j, NULL);
        json_put_str(&j, "title", t->title);
        if (t->note)
            json_put_str(&j, "note", t->note);
        json_open_list(&j, "rows");
        for (size_t k = 0; k < t->rows; k++) {
            json_open_obj(&j, NULL);
            for (size_t c = 0; c < t->columns_n; c++)
                if (t->columns[c].number)
                    json_put_raw(&j, t->columns[c].name, bytes_z(cell(t, k, c)));
                else
                    json_put_str(&j, t->columns[c].name, cell(t, k, c));
            json_close(&j);
        }
        json_close(&j);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
}

/* --- HTML: one file, without scripts, that prints well */

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{color:#555;margin:.25rem 0}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;"
    "vertical-align:top;overflow-wrap:anywhere}th{border-bottom:2px solid #999}.n{text-align:right;font-variant-numeric:"
    "tabular-nums;white-space:nowrap}@media(prefers-color-scheme:dark){body{color:#eee;background:#16181c}p{color:#aaa}"
    "th,td{border-color:#444}}";

static const char *heading(struct ctx *ctx, const char *column)
{
    char *out = arena_strdup(&ctx->arena, column);
    for (char *s = out; *s; s++)
        if (*s == '_')
            *s = ' ';
    return out;
}

static void html_table(struct ctx *ctx, struct buf *b, const struct report_table *t)
{
    buf_put_z(b, "<h2>");
    put_markup(b, bytes_z(t->title));
    buf_put_z(b, "</h2>\n");
    if (t->note) {
        buf_put_z(b, "<p>");
        put_markup(b, bytes_z(t->note));
        buf_put_z(b, "</p>\n");
    }
    if (!t->rows) {
        buf_put_z(b, "<p>None.</p>\n");
        return;
    }
    buf_put_z(b, "<table>\n<thead><tr>");
    for (size_t c = 0; c < t->columns_n; c++) {
        buf_put_z(b, t->columns[c].number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        put_markup(b, bytes_z(heading(ctx, t->columns[c].name)));
        buf_put_z(b, "</th>");
    }
    buf_put_z(b, "</tr></thead>\n<tbody>\n");
    for (size_t k = 0; k < t->rows; k++) {
        buf_put_z(b, "<tr>");
        for (size_t c = 0; c < t->columns_n; c++) {
            buf_put_z(b, t->columns[c].number ? "<td class=\"n\">" : "<td>");
            put_markup(b, bytes_z(cell(t, k, c)));
            buf_put_z(b, "</td>");
        }
        buf_put_z(b, "</tr>\n");
    }
    buf_put_z(b, "</tbody></table>\n");
}

void report_html(struct ctx *ctx, struct buf *b, const struct report *r)
{
    buf_put_z(b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                 "content=\"width=device-width\"><title>");
    put_markup(b, bytes_z(r->title));
    buf_printf(b, "</title><style>%s</style></head><body>\n<h1>", style);
    put_markup(b, bytes_z(r->title));
    buf_put_z(b, "</h1>\n<p>Team ");
    put_markup(b, bytes_z(r->team));
    buf_printf(b, ", with those within it; %s.</p>\n", time_text(ctx, r->at));
    for (size_t i = 0; i < r->tables_n; i++)
        html_table(ctx, b, &r->tables[i]);
    buf_put_z(b, "</body></html>\n");
}

/* --- lines for a terminal and for mail */

static void plain_table(struct buf *b, const struct report_table *t)
{
    size_t width[REPORT_COLUMNS_MAX];
    for (size_t c = 0; c < t->columns_n; c++) {
        width[c] = strlen(t->columns[c].name);
        for (size_t k = 0; k < t->rows; k++)
            if (strlen(cell(t, k, c)) > width[c])
                width[c] = strlen(cell(t, k, c));
    }
    buf_printf(b, "\n%s\n", t->title);
    if (t->note)
        buf_printf(b, "(%s)\n", t->note);
    for (size_t k = 0; k <= t->rows; k++) {
        for (size_t c = 0; c < t->columns_n; c++) {
            const char *text = k ? cell(t, k - 1, c) : t->columns[c].name;
            const int w = c + 1 == t->columns_n && !t->columns[c].number ? 0 : (int)width[c];
            buf_printf(b, t->columns[c].number ? "%s%*s" : "%s%-*s", c ? "  " : "", w, text);
        }
        buf_put_z(b, "\n");
    }
    if (!t->rows)
        buf_put_z(b, "none\n");
}

void report_plain(struct ctx *ctx, struct buf *b, const struct report *r)
{
    buf_printf(b, "%s of team %s, with those within it, at %s\n", r->title, r->team, time_text(ctx, r->at));
    for (size_t i = 0; i < r->tables_n; i++)
        plain_table(b, &r->tables[i]);
}
