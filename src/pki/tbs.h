/* Building certificates from intent: nothing in them comes from a request's bytes but the public key and checked names.
 *
 * The order is: tbs_build, lint_tbs (lint.h), journal, tbs_sign. */
#ifndef PKI_TBS_H
#define PKI_TBS_H

#include "pki/cert.h"
#include "pki/key.h"
#include "pki/profile.h"

struct cert_intent {
    enum cert_profile profile;
    struct bytes serial;          /* of serial_new() */
    const struct cert *issuer;    /* its certificate; NULL: self-signed */
    const char *organization;     /* of the subject; NULL: none */
    const char *common_name;      /* NULL: none.  With neither the subject is empty and the SAN critical */
    struct bytes spki;            /* SubjectPublicKeyInfo */
    struct name_list names;       /* SAN */
    int64_t not_before, not_after; /* seconds since 1970 UTC, both inclusive */
    int path_length;              /* of a CA; -1: not stated */
    struct str_list permitted_dns; /* of a CA: critical name constraints; none where empty */
    const char *crl_url;          /* where the issuer's CRL is published; NULL or "": none */
    const char *issuer_url;       /* where the issuer's certificate is published; NULL or "": none */
};

/* serial_new returns 20 random bytes: positive, under 2^159, 158 random bits (RFC 5280 section 4.1.2.2, BR 7.1). */
RC serial_new(struct ctx *ctx, struct bytes *out);
/* tbs_build makes the TBSCertificate; `signer` is the key that will sign it (its kind decides the signature algorithm). */
RC tbs_build(struct ctx *ctx, const struct cert_intent *intent, const struct key *signer, struct bytes *tbs);
/* tbs_sign signs it and returns the certificate. */
RC tbs_sign(struct ctx *ctx, struct bytes tbs, const struct key *signer, struct bytes *der);

#endif
