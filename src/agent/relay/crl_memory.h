/* Lists of revoked certificates, kept until their next update: certificates of one issuer name the same, and it is read once for
 * all.
 *
 * What is kept is what a URL gave, not that it is true: whoever takes one verifies it.  A failure is kept as well, for a while, so
 * that a server that is broken is not asked once a certificate.  Bounded in places and bytes; what was used longest ago goes.
 * All of it may be lost at any time.  Any thread. */
#ifndef AGENT_RELAY_CRL_MEMORY_H
#define AGENT_RELAY_CRL_MEMORY_H

#include "base/ctx.h"

#define CRL_KEPT_MAX   64
#define CRL_KEPT_BYTES ((size_t)64 << 20)
#define CRL_DOUBT_S    600         /* what failed, or was of no use, is fetched again after this */
#define CRL_UNDATED_S  3600        /* without a next update */
#define CRL_KEPT_S     (7 * 86400) /* whatever the list says */

struct crl_memory;
struct crl_memory *crl_memory_new(void); /* NULL: no memory */
void crl_memory_free(struct crl_memory *m);

/* How a list is fetched: into ctx's arena. */
struct crl_source {
    struct rc (*fetch)(struct ctx *ctx, void *arg, const char *url, struct bytes *body);
    void *arg;
};

struct crl_kept;
/* crl_memory_take gives what `url` said; one thread fetches it while others wait.  *kept may be NULL (no place): the body is in the
 * arena then.  Otherwise the body stays until crl_memory_give().  Fails as fetching did, also where that was some minutes ago. */
RC crl_memory_take(struct ctx *ctx, struct crl_memory *m, const char *url, struct crl_source from,
                   struct crl_kept **kept, struct bytes *body);
/* crl_memory_give: `good`: it was verified, and is kept until next_update (0: it has none). */
void crl_memory_give(struct ctx *ctx, struct crl_memory *m, struct crl_kept *kept, bool good, int64_t next_update);

#endif
