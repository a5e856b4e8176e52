/* OCSP (RFC 6960): what to ask, and what an answer says about one certificate.  Reading and checking are OpenSSL's. */
#ifndef PKI_OCSP_H
#define PKI_OCSP_H

#include "pki/cert.h"

enum ocsp_status { OCSP_IS_GOOD, OCSP_IS_REVOKED, OCSP_IS_UNKNOWN };

struct ocsp_answer {
    enum ocsp_status status;
    int64_t this_update, next_update; /* next_update 0 where absent */
    int64_t revoked_at;               /* 0 where not revoked */
    int reason;                       /* RFC 5280 section 5.3.1; 0 where none is given */
};

#define OCSP_MAX ((size_t)65536)

/* ocsp_request makes a request about `cert`, which `issuer` issued: SHA-1 in the CertID, as RFC 5019 section 2.1.1 wants, and no
 * nonce, so that caches may answer. */
RC ocsp_request(struct ctx *ctx, const struct cert *cert, const struct cert *issuer, struct bytes *der);
/* ocsp_read reads an answer and checks it: it is about `cert`, signed by its issuer or by a responder that the issuer named (RFC
 * 6960 section 4.2.2.2), and not from before or after its time.  E_PEER_IDENTITY where somebody else signed, E_BAD_ANSWER where
 * it is malformed, about something else or out of its time, E_UNREACHABLE where the responder has no answer now, E_NOT_FOUND
 * where it says that it gives none about this certificate. */
RC ocsp_read(struct ctx *ctx, struct bytes der, const struct cert *cert, const struct cert *issuer, int64_t now,
             struct ocsp_answer *out);

#endif
