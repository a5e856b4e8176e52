/* The language in which certificates are asked for: by the API, the command line and collections.
 *
 *     expires < 30d and issuer.o = "Let's Encrypt" and not managed and name under example.org
 *
 *     filter   = term *("or" term)            term = factor *("and" factor)
 *     factor   = "not" factor / "(" filter ")" / test
 *     test     = field operator value / field "in" "(" value *("," value) ")" / field (flags)
 *     operator = "=" / "!=" / "<" / "<=" / ">" / ">=" / "~" / "under"
 *     value    = word / '"' text '"' / "'" text "'"        a backslash takes the character behind it as it is
 *
 * Fields, their types and operators are a table (filter_fields.def).  Times: "30d" and "-30d" are counted from now when the filter
 * is used, not when it is read; so are "now", "now-12h", "now+30d".  "2026-12-31", "2026-12" and "2026" are a day, month or year as
 * a whole (UTC): "= 2026" is within it, "> 2026" behind its end.  An absolute moment is "2026-12-31T10:00:00Z". */
#ifndef CORE_FILTER_H
#define CORE_FILTER_H

#include "base/address.h"
#include "base/ctx.h"

#define FILTER_TEXT_MAX  4096 /* bytes of a filter */
#define FILTER_DEPTH_MAX 32   /* parentheses and "not" within each other */
#define FILTER_TESTS_MAX 64   /* tests, each value of "in (…)" counted */
#define FILTER_VALUE_MAX 512  /* bytes of a value */

enum filter_field {
#define FIELD(ident, word, type, text) FILTER_##ident,
#include "api/filter_fields.def"
#undef FIELD
    FILTER_FIELDS
};
enum filter_type {
    FILTER_TYPE_NAME,
    FILTER_TYPE_TIME,
    FILTER_TYPE_PAST,
    FILTER_TYPE_SPAN,
    FILTER_TYPE_NUMBER,
    FILTER_TYPE_TEXT,
    FILTER_TYPE_KEY,
    FILTER_TYPE_CHOICE,
    FILTER_TYPE_RANK,
    FILTER_TYPE_HEX,
    FILTER_TYPE_FLAG,
    FILTER_TYPE_LABEL,
    FILTER_TYPE_TREE,
    FILTER_TYPE_PLACE,
    FILTER_TYPES
};
enum filter_op { FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE, FILTER_HAS, FILTER_UNDER, FILTER_OPS };
enum filter_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TEST };

struct filter_value {
    const char *text; /* as written, without quotes; names, keys and hexadecimal digits in lower case, without colons */
    int64_t number;   /* NUMBER, SPAN (seconds), CHOICE and RANK (index of filter_choice), FLAG (0, 1) */
    bool relative;    /* TIME, PAST: from and to are counted from now */
    int64_t from, to; /* TIME, PAST: the moment, or the first and the last second of a period */
    struct cidr net;  /* NAME, PLACE: where it is an address or a network; else net.base.len is 0 */
    uint16_t port;    /* PLACE: where one is named, else 0 */
};

struct filter {
    enum filter_kind kind;
    struct filter *first, *next; /* what AND, OR and NOT are about; the next beside this one */
    enum filter_field field;     /* TEST, as the rest */
    enum filter_op op;
    struct filter_value value;
    unsigned column; /* where it stands, in characters, from 1 */
};

/* filter_parse reads a filter; an empty one gives NULL, which everything passes.  E_INVALID names the column and what was expected
 * there, for the field "/where" of a request. */
RC filter_parse(struct ctx *ctx, const char *text, struct filter **out);

/* filter_text writes it as filter_parse would read it. */
const char *filter_text(struct ctx *ctx, const struct filter *f);

/* What the table says. */
const char *filter_field_word(enum filter_field field);
const char *filter_field_text(enum filter_field field);
enum filter_type filter_field_type(enum filter_field field);
/* filter_choice gives the words of a CHOICE or RANK, by their index; NULL behind the last.  A RANK's begin with the least. */
const char *filter_choice(enum filter_field field, unsigned index);
/* filter_bounds gives the first and the last second of the times that pass a test of TIME or PAST; from > to where none does.
 * Not for FILTER_NE. */
void filter_bounds(const struct filter *test, int64_t now, int64_t *from, int64_t *to);

#endif
