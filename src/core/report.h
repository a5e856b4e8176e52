/* Reports: the numbers that people carry to others.  All of them are counters (core/counter.h): a report costs the same with five
 * hundred certificates as with five hundred million. */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include "core/core.h"

#define REPORT_COLUMNS_MAX 8

/* A table; cells row by row, numbers as their text. */
struct report_table {
    const char *title, *note; /* note: a sentence; NULL: none */
    struct {
        const char *name; /* as CSV and JSON call it: "certificates" */
        bool number;
    } columns[REPORT_COLUMNS_MAX];
    size_t columns_n;
    const char **cells;
    size_t rows, rows_max;
};

struct report {
    const char *name, *title;
    const char *team; /* whose numbers: a team with those within it */
    int64_t at;
    struct report_table *tables;
    size_t tables_n;
};

struct report_kind {
    const char *name, *title, *text;
};
/* report_kinds returns the reports there are. */
const struct report_kind *report_kinds(size_t *n);

/* report_make makes one, of a team and those within it (NULL: all that the caller may see): E_NOT_FOUND names those there are. */
RC report_make(struct ctx *ctx, struct core *core, const char *name, const char *team, struct report *out);
RC report_make_in(struct ctx *ctx, struct txn *txn, const char *name, const char *team, struct report *out);

/* As text: CSV (RFC 4180; tables one after the other, each under its title), JSON, a page that needs nothing else, or plain lines
 * for mail. */
void report_csv(struct ctx *ctx, struct buf *b, const struct report *r);
void report_json(struct ctx *ctx, struct buf *b, const struct report *r);
void report_html(struct ctx *ctx, struct buf *b, const struct report *r);
void report_plain(struct ctx *ctx, struct buf *b, const struct report *r);

#endif
