/* CAA records (RFC 8659): where those of a name are, and whether they let one CA issue for it, with the parameters of RFC 8657. */
#ifndef NET_CAA_H
#define NET_CAA_H

#include "base/str.h"
#include "net/dns_wire.h"

#define CAA_RECORDS_MAX 100

/* caa_climb finds the records that count for `name` (lower case, without "*."): its own, else those of the nearest name above it.
 * `look` asks a resolver for the CAA records of one name.  `*at` is where they are, NULL where there are none up to the root; an
 * answer other than NOERROR and NXDOMAIN is E_DNS. */
typedef struct rc caa_look(struct ctx *ctx, void *arg, const char *name, struct dns_reply *out);
RC caa_climb(struct ctx *ctx, const char *name, caa_look *look, void *arg, const char **at, struct bytes **records, size_t *n);

struct caa_ask {
    const struct str_list *identities; /* how the CA calls itself in CAA records: caaIdentities of its directory; empty: not told */
    const char *account_url;           /* "": there is none yet */
    const char *method;                /* "http-01" */
    bool wildcard;
};
/* CAA_UNCLEAR: whether it is allowed cannot be seen from here. */
enum caa_verdict { CAA_ALLOWS, CAA_UNCLEAR, CAA_FORBIDS };
/* caa_judge says whether the records (their data, RFC 8659 section 4.1) let the CA issue, and why not, in words that go on from
 * "the CAA records of example.org".  Any bytes are fine: what cannot be read allows nothing, as the RFC says. */
enum caa_verdict caa_judge(struct ctx *ctx, const struct bytes *records, size_t n, const struct caa_ask *ask, const char **why);

#endif
