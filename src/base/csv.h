/* CSV (RFC 4180), as spreadsheets and asset databases write it: also with semicolons, tabs or bars, a byte order mark, and any end
 * of line. */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include "base/bytes.h"
#include "base/ctx.h"

#define CSV_FIELDS_MAX 256
#define CSV_FIELD_MAX  ((size_t)1 << 20)

struct csv {
    struct bytes rest;
    uint8_t separator;
    int64_t line; /* of the record read last, from 1 */
    int64_t next_line;
};

/* csv_begin takes the text, which must outlive the reading; the separator is the one of , ; tab | that its first line has most of.
 */
struct csv csv_begin(struct bytes text);
/* csv_next reads one record, empty lines are passed over; `found` is false at the end.  Fields point into the text, or into the
 * arena where they had doubled quotes.  E_PARSE for a quote that is not closed or has something behind it, E_TOO_LARGE; the record
 * is then skipped up to the end of its line where there is one. */
RC csv_next(struct ctx *ctx, struct csv *csv, struct bytes fields[CSV_FIELDS_MAX], size_t *n, bool *found);

#endif
