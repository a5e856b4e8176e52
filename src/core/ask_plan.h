/* A filter as the database and the certificates themselves can be asked for it (core/ask.h). */
#ifndef CORE_ASK_PLAN_H
#define CORE_ASK_PLAN_H

#include "core/ask.h"

#define PLAN_WAYS_MAX    24
#define PLAN_ISSUERS_MAX 64 /* more issuers than these are asked for by their name at each certificate */

/* What has to be seen of the DER: as a filter, but whole parts of it that the database knows are one of its bits. */
struct plan_part {
    enum filter_kind kind;
    int bit; /* TEST: of select_hit.bits; -1: `test` */
    const struct filter *test;
    struct plan_part *first, *next;
};

/* A way to the certificates: the driver and what it needs. */
struct plan_way {
    enum select_driver by;
    const struct select_terms *terms;
    const char *text;
    int64_t check;
    const int64_t *numbers; /* SET: certificates; WITHIN: teams; ISSUERS: issuers */
    size_t n;
    int64_t looks; /* how far it is gone before others are tried; 0: as all */
};

struct plan {
    struct select_cond *where;          /* NULL: all pass */
    struct select_cond *where_issued;   /* what is left of it where the way is by issuers */
    struct plan_part *rest;             /* NULL: nothing */
    struct plan_part *rest_after_terms; /* what is left of it where the way is by terms */
    const struct select_cond *bits[SELECT_BITS_MAX];
    size_t bits_n;
    bool hashes;                         /* rest asks for hashes of the certificate */
    int64_t from, to;                    /* bounds of not_after */
    bool bounded;                        /* the filter has one */
    const char *scope;                   /* who asks sees this team and its subtree; NULL: all */
    struct plan_way ways[PLAN_WAYS_MAX]; /* newest first, all of them; the best first as far as can be said */
    size_t ways_n;
};

RC plan_make(struct ctx *ctx, struct core *core, struct txn *txn, const struct filter *filter, struct plan *out);

/* plan_sees says whether a certificate passes `part`. */
bool plan_sees(struct ctx *ctx, const struct plan_part *part, uint32_t bits, const struct cert_fields *cert,
               const struct cert_digests *digests);

#endif
