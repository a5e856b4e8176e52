/* What people say of certificates: whose they are, tags, notes, and findings that they accept. */
#ifndef CORE_REMARK_H
#define CORE_REMARK_H

#include "base/str.h"
#include "core/core.h"

#define REMARK_TAGS_MAX 100 /* of one certificate */

struct remark_input {  /* NULL: as it is */
    const char *team;  /* id or name */
    const char *owner; /* "": nobody */
    const char *note;
    struct str_list add, remove; /* tags */
};
/* remark_put says something of the certificate whose fingerprint begins with `digits`. */
RC remark_put(struct ctx *ctx, struct core *core, const char *digits, const struct remark_input *in);
/* remark_put_in is the same in a transaction. */
RC remark_put_in(struct ctx *ctx, struct core *core, struct txn *txn, const char *digits, const struct remark_input *in);

struct remark_acceptance {
    const char *check;
    bool accept;        /* false: no longer */
    const char *why;    /* NULL: not told */
    int64_t until;      /* then it is listed again by itself; 0: for good */
};
/* remark_accept takes what a check says of a certificate as it is, wherever it is seen. */
RC remark_accept(struct ctx *ctx, struct core *core, const char *digits, const struct remark_acceptance *in);

#endif
