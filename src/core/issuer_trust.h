/* How far issuers are believed, and the chains that lead from a certificate to a root.
 *
 * Worked out once an issuer, when its CA certificate is looked at, by OpenSSL over all that is known of it; certificates that it
 * issued then find the row by the issuer's Name and key identifier.  When the row changes, what they issued is looked at again. */
#ifndef CORE_ISSUER_TRUST_H
#define CORE_ISSUER_TRUST_H

#include "core/finding_rules.h"
#include "store/store.h"

struct trust {
    enum issuer_trust how;
    bool distrusted; /* by browsers, or by us: what was issued from `distrusted_from` on */
    int64_t distrusted_from;
    const char *root; /* its subject; "" where the chain ends before one */
    bool known;       /* there is a certificate of this issuer */
};

/* issuer_trust_of: of who issued `cert`. */
RC issuer_trust_of(struct ctx *ctx, struct core *core, struct txn *txn, const struct finding_policy *policy,
                   const struct cert_fields *cert, struct trust *out);

/* issuer_trust_work_out: of a CA certificate itself, by building its chains. */
RC issuer_trust_work_out(struct ctx *ctx, struct core *core, struct txn *txn, const struct finding_policy *policy,
                         const struct cert_fields *ca, struct trust *out);
/* issuer_trust_note writes that down.  Several certificates of one CA (cross-signs): the best counts.  Where it changes, what the
 * CA issued is looked at again. */
RC issuer_trust_note(struct ctx *ctx, struct txn *txn, int64_t certificate_id, const struct cert_fields *ca,
                     const struct trust *trust);

/* --- chains */

#define ISSUER_DEPTH_MAX  8  /* certificates above the first */
#define ISSUER_CHAINS_MAX 8  /* alternatives that are told */
#define ISSUER_SAME_MAX   16 /* CA certificates of one Name that are looked at */

struct issuer_chain {
    struct cert_fields cert[ISSUER_DEPTH_MAX + 1]; /* the certificate, its issuer, … */
    int64_t id[ISSUER_DEPTH_MAX + 1];              /* in the inventory */
    size_t n;
    bool whole; /* ends in a self-issued certificate, or below a root that is believed */
    enum issuer_trust trust;
    const char *root;    /* subject of the root that it ends in or below; "" */
    const char *verdict; /* of OpenSSL: chain_verdict_name(); "" where no root is known */
    const char *text;
};
struct issuer_chains {
    struct issuer_chain *v;
    size_t n;
    bool capped; /* there are more */
};
/* issuer_chains_of finds all ways up from a certificate, by Name and key identifier; the best first. */
RC issuer_chains_of(struct ctx *ctx, struct core *core, struct txn *txn, struct bytes der, struct issuer_chains *out);

/* issuer_known: whether CA certificates that may have issued `cert` are known, and whether one of them is a root. */
RC issuer_known(struct ctx *ctx, struct core *core, struct txn *txn, const struct cert_fields *cert, bool *known, bool *root);

/* issuer_may_be: by Name and key identifier.  Anybody can write those: cert_signed_by() (pki/signed_by.h) proves it. */
bool issuer_may_be(const struct cert_fields *issuer, const struct cert_fields *cert);

/* certificate_row_read reads a row of certificate_by_term; *read is false where it is damaged, which must not be told of others. */
RC certificate_row_read(struct ctx *ctx, struct core *core, int64_t dictionary, struct bytes packed, struct cert_fields *out,
                        bool *read);
/* issuer_signer_known: whether the one that did issue it is, whoever else has its name. */
RC issuer_signer_known(struct ctx *ctx, struct core *core, struct txn *txn, const struct cert_fields *cert, bool *known);
/* certificate_term_quoted is a term as certificate_by_term wants it. */
const char *certificate_term_quoted(struct ctx *ctx, struct core *core, const char *term);

#endif
