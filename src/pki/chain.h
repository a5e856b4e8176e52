/* Chains: putting certificates in order, and whether clients would believe them (RFC 5280 section 6, by OpenSSL). */
#ifndef PKI_CHAIN_H
#define PKI_CHAIN_H

#include "pki/cert.h"

enum chain_verdict {
    CHAIN_TRUSTED,
    CHAIN_EMPTY,
    CHAIN_UNKNOWN_ISSUER,  /* no way to a root that is believed */
    CHAIN_SELF_SIGNED,     /* the leaf is its own issuer and not believed */
    CHAIN_EXPIRED,
    CHAIN_NOT_YET_VALID,
    CHAIN_WRONG_NAME,      /* chain good, but not for this host */
    CHAIN_BAD_SIGNATURE,
    CHAIN_WRONG_USE,       /* usages, CA bit, path length */
    CHAIN_CONSTRAINED,     /* a CA's name constraints do not permit the name */
    CHAIN_WEAK,            /* key or hash too weak */
    CHAIN_INVALID,         /* anything else */
};

struct chain_result {
    enum chain_verdict verdict;
    const char *text; /* one sentence for people; "" where trusted */
    int at;           /* the certificate concerned, 0 the leaf; -1 none */
};

/* Certificates that are believed.  Made once and used by any thread. */
struct chain_roots;

/* chain_roots_system lends the system's roots, loaded once for the process.  chain_roots_load makes a set of the certificates in a
 * PEM text, together with the system's where `with_system`; free with chain_roots_free. */
RC chain_roots_system(struct ctx *ctx, const struct chain_roots **out);
RC chain_roots_load(struct ctx *ctx, struct bytes pem, bool with_system, struct chain_roots **out);
void chain_roots_free(struct chain_roots *roots);
void chain_roots_freep(struct chain_roots **roots);
#define CHAIN_ROOTS_CLEANUP __attribute__((cleanup(chain_roots_freep)))

/* chain_order arranges certificates as a server shows them: the one that is no issuer of another first, each followed by its
 * issuer; certificates that do not belong are an error, a self-signed root at the end is left out (`root` gets it, may be NULL). */
RC chain_order(struct ctx *ctx, const struct cert_chain *in, struct cert_chain *out, struct cert *root);

enum chain_use { CHAIN_FOR_SERVER, CHAIN_FOR_CLIENT, CHAIN_FOR_ANY };
/* chain_verify says what a client makes of a chain (leaf first) at `now`.  `host` is a DNS name or IP address in text; NULL: any.
 * Only a failure of the machinery is an error: a chain that is not believed is a result. */
RC chain_verify(struct ctx *ctx, const struct chain_roots *roots, const struct cert_chain *chain, const char *host, int64_t now,
                enum chain_use use, struct chain_result *out);
const char *chain_verdict_name(enum chain_verdict verdict); /* "trusted", "unknown-issuer" … */

/* chain_build is chain_verify for what is only looked at: any host, keys and hashes as weak as they were in their time, and `chain`
 * may hold candidates that do not belong, in any order behind the first.  `built` gets the DERs from the first to the root where it
 * is trusted, else as far as it came. */
RC chain_build(struct ctx *ctx, const struct chain_roots *roots, const struct cert_chain *chain, int64_t now, enum chain_use use,
               struct bytes **built, size_t *n, struct chain_result *out);
#define CHAIN_BUILD_MAX 64 /* certificates it begins with; those behind are left out */

#endif
