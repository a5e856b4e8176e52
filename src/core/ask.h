/* Asking the inventory: a filter becomes the cheapest way through the tables, page by page.
 *
 * Each certificate of a page is read from its DER; so is what a filter asks that only the DER tells (names, subject, serial
 * number). The rest the database looks at (store/select.h).  The way is chosen by trying: each that could lead there is gone a
 * little, and the one that yields most is gone on with; a page costs a bounded number of looks, whatever the inventory holds, and
 * may so be short and yet have a next one. */
#ifndef CORE_ASK_H
#define CORE_ASK_H

#include "core/filter.h"
#include "core/findings.h"
#include "core/inventory.h"
#include "store/select.h"

#define ASK_LIMIT_MAX  1000
#define ASK_LOOKS      20000 /* certificates looked at for a page */
#define ASK_READ_LOOKS 4000  /* the same, where the DER of each has to be read */

enum ask_order { ASK_ANY, ASK_NEWEST, ASK_SOONEST, ASK_LATEST }; /* ANY: as is cheapest; by first sight, by end */

struct ask {
    const char *where; /* a filter; NULL or "": all */
    enum ask_order order;
    const char *after; /* ask_page.next of the page before; NULL or "": the first */
    size_t limit;      /* rows wanted: 1 to ASK_LIMIT_MAX */
};

struct ask_row {
    const struct select_row *row;
    struct bytes der;
    struct cert_fields cert; /* all zero where it cannot be read any more */
};
struct ask_page {
    struct ask_row *rows;
    size_t n;
    const char *next; /* NULL: that was all */
    int64_t looks;    /* certificates looked at */
};
/* ask_page finds certificates of the caller's teams.  E_INVALID for a filter that is none, or a foreign `after`. */
RC ask_page(struct ctx *ctx, struct core *core, struct txn *txn, const struct ask *ask, struct ask_page *out);

/* ask_one reads one certificate by the first digits of its fingerprint (8 at least): E_NOT_FOUND, or E_CONFLICT where several begin
 * so. */
RC ask_one(struct ctx *ctx, struct core *core, struct txn *txn, const char *digits, struct ask_row *out);

/* Facets: how many there are of each kind. */
struct ask_count {
    const char *key;  /* as a filter takes it */
    const char *text; /* for people */
    int64_t n;
};
struct ask_facet {
    const char *name; /* "issuer", "key", "signature", "finding", "team", "source", "managed", "expires" (by month) */
    struct ask_count *v;
    size_t n;
};
#define ASK_FACETS     8
#define ASK_FACET_ROWS 1000 /* certificates that the facets of a filter are made of */
#define ASK_FACET_KEYS 50   /* of one facet, largest first */
struct ask_facets {
    struct ask_facet v[ASK_FACETS];
    size_t n;
    int64_t total;
    bool more; /* there are more certificates than were counted */
};
/* ask_facets: without a filter the counters, exact but for the last seconds; else of the first ASK_FACET_ROWS. */
RC ask_facets(struct ctx *ctx, struct core *core, struct txn *txn, const char *where, struct ask_facets *out);

/* ask_place reads where endpoints are asked for as filters have it: "10.0.0.0/8", "www.example.org:443", a name and those below it;
 * NULL where `text` is empty.  E_INVALID. */
RC ask_place(struct ctx *ctx, const char *text, struct select_cond **out);

#endif
