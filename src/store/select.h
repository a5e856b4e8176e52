/* Questions about the inventory that are only known when they are asked: put together as SQL with parameters, for either engine.
 *
 * A question has a driver, which gives certificates in its order, and conditions that are looked at for each: `where`, which says
 * whether it passes, and `bits`, which are told of each row (for who asks knows more than the database does, see core/ask.h).  The
 * driver is stopped after `limit` certificates, passing or not: no question costs more than it may. */
#ifndef STORE_SELECT_H
#define STORE_SELECT_H

#include "store/store.h"

/* --- conditions: what the database knows of a certificate */

enum select_test {
    SELECT_NOT_AFTER,
    SELECT_NOT_BEFORE,
    SELECT_FIRST_SEEN,
    SELECT_LAST_SEEN,
    SELECT_LIFETIME,
    SELECT_KEY_BITS, /* from..to */
    SELECT_KEY_TYPE,
    SELECT_KEY_KIND,
    SELECT_SIGNATURE,
    SELECT_SOURCE, /* from..to */
    SELECT_FLAGS,
    SELECT_FINDINGS, /* one of the bits of `from` */
    SELECT_ISSUER,   /* one of `numbers` */
    SELECT_PRINT,    /* fingerprint within low..high */
    SELECT_ISSUER_O,
    SELECT_ISSUER_CN, /* text */
    SELECT_TEAM,
    SELECT_WITHIN,       /* text: a team's name; the id of a team in whose subtree it lies */
    SELECT_WITHIN_NAMED, /* text: the name of such a team */
    SELECT_TAG,
    SELECT_OWNER,      /* text; NULL: anybody */
    SELECT_SEEN_AT,    /* at an endpoint of address low..high and port from..to */
    SELECT_SEEN_PORT,  /* port from..to */
    SELECT_SEEN_PLACE, /* text: at an endpoint of this place */
    SELECT_SEEN_NAME,  /* text: asked for by this name; of port from..to */
    SELECT_SEEN_HOST,  /* text: in a file or store of this host */
    SELECT_SEEN_LISTED, /* text: a list names it, with a port */
    SELECT_SEEN_UNDER, /* text: the name, or one that ends with "." and it */
    SELECT_TESTS
};
enum select_kind { SELECT_ALL, SELECT_ANY, SELECT_NONE, SELECT_TEST }; /* and, or, not; of `first` and those after it */

struct select_cond {
    enum select_kind kind;
    struct select_cond *first, *next;
    enum select_test test;
    int64_t from, to;
    struct bytes low, high; /* inclusive */
    const char *text;
    const int64_t *numbers;
    size_t n;
};

/* --- terms (table certificate_term) */

struct select_terms {
    enum select_kind kind; /* SELECT_ALL, SELECT_ANY, or SELECT_TEST: a term */
    struct select_terms *first, *next;
    const char *term;
};

/* --- drivers: in which order certificates come */

enum select_driver {
    SELECT_BY_ID, /* newest first, as are those up to SELECT_BY_WITHIN */
    SELECT_BY_TERMS,
    SELECT_BY_FINDING, /* check */
    SELECT_BY_TAG,     /* text */
    SELECT_BY_OWNER,   /* text */
    SELECT_BY_MANAGED,
    SELECT_BY_ISSUERS,   /* `numbers`, at most SELECT_ISSUERS_MAX */
    SELECT_BY_WITHIN,    /* of the teams `teams` */
    SELECT_BY_NOT_AFTER, /* soonest first, from..to */
    SELECT_BY_LAST,      /* the same, latest first */
    SELECT_BY_SET,       /* of the numbers `ids`, newest first; at most SELECT_SET_MAX */
    SELECT_DRIVERS
};
#define SELECT_SET_MAX   1000
#define SELECT_TEAMS_MAX 16
#define SELECT_ISSUERS_MAX 16
#define SELECT_BITS_MAX  30

struct select_ask {
    enum select_driver by;
    const struct select_terms *terms;
    const char *text;
    int64_t check, from, to;
    const int64_t *ids; /* SET */
    const int64_t *teams, *issuers;
    size_t n;                        /* of ids, teams or issuers */
    bool after;                      /* behind this one */
    int64_t after_id, after_key;     /* key: not_after, where that is the order */
    const struct select_cond *where; /* NULL: all pass */
    const struct select_cond *const *bits;
    size_t bits_n;
    const char *scope; /* conditions on endpoints see those of this team (its id) and its subtree; NULL: all */
    int64_t limit;     /* certificates looked at */
    int64_t most;      /* of them that pass, then it stops */
    bool tally;        /* what facets are made of is read too */
};

/* The columns that facets are made of. */
struct select_tally {
    int64_t issuer_name_id, not_after, key_kind, key_bits, signature, flags, findings, source, team; /* team: its number */
};
/* One that passes. */
struct select_hit {
    int64_t id, key; /* key: not_after, where that is the order; else 0 */
    uint32_t bits;
    const struct select_tally *tally; /* NULL where it was not asked for */
};
struct select_answer {
    struct select_hit *hits;
    size_t n;
    int64_t seen;              /* certificates looked at */
    int64_t last_id, last_key; /* the last of them: go on after it */
    bool end;                  /* there are no more */
};
RC select_run(struct ctx *ctx, struct txn *txn, const struct select_ask *ask, struct select_answer *out);

/* select_ids gives the numbers of certificates that meet a condition which is found without looking at others (SELECT_PRINT,
 * SELECT_SEEN_…), newest first; `scope` as in select_ask.  None, and `all` false, where they, or the endpoints that are looked at
 * for them, would be more than SELECT_SET_MAX. */
RC select_ids(struct ctx *ctx, struct txn *txn, const struct select_cond *cond, const char *scope, int64_t **ids, size_t *n,
              bool *all);

/* --- rows */

struct select_row {
    int64_t id, issuer_name_id, not_before, not_after, first_seen, last_seen, key_kind, key_bits, signature, flags, findings,
        source;
    struct bytes fingerprint;
    const char *team;   /* its name */
    int64_t dictionary; /* as the DER, where it was asked for */
    struct bytes der;
    const char *tags;  /* separated by one space */
    const char *owner; /* NULL: nobody is said */
};
/* select_rows reads certificates by number, in the order of `ids`; those that are gone are left out.  `n` is at most
 * SELECT_SET_MAX. */
RC select_rows(struct ctx *ctx, struct txn *txn, const int64_t *ids, size_t n, bool der, struct select_row **rows, size_t *got);

/* --- other lists */

struct select_endpoint {
    int64_t id, port, first_seen, last_seen, changed_at; /* port 0: none */
    const char *kind, *place, *name, *result, *error, *options, *agent, *team;
    struct bytes fingerprint; /* of the leaf it shows; empty: none yet */
};
struct select_endpoints_ask {
    const char *scope;              /* id of the team whose subtree is seen; NULL: all */
    const struct select_cond *seen; /* SELECT_SEEN_…; NULL: all */
    int64_t id;                     /* this one alone; 0: any */
    int64_t after, limit;           /* by number, newest first; after 0: from the newest */
};
/* SELECT_LOOKS endpoints are looked at: there may be fewer than `limit`, and yet more.  `next`: go on after it; 0: that was all. */
#define SELECT_LOOKS 20000
RC select_endpoints(struct ctx *ctx, struct txn *txn, const struct select_endpoints_ask *ask, struct select_endpoint **rows,
                    size_t *n, int64_t *next);

#endif
