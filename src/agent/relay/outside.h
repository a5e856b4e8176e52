/* What others say of certificates that were found: their issuers' certificates, and whether they are revoked.
 *
 * The URLs are those in the certificates, and so anybody's: they lead to public addresses, ports 80 and 443, and where `networks:
 * outside` of agent.yaml grants more, there; each redirect again.  Answers are bounded, and of revocation checked with the issuer's
 * key and against the clock before they count.  What goes back of a failure has fixed words. */
#ifndef AGENT_RELAY_OUTSIDE_H
#define AGENT_RELAY_OUTSIDE_H

#include "agent/relay/crl_memory.h"
#include "net/http_client.h"
#include "pki/cert.h"
#include "wire/messages.h"

#define OUTSIDE_TOTAL_MS   20000
#define OUTSIDE_ISSUER_MAX ((size_t)256 << 10)

struct outside {
    struct http_client *http; /* with web_ports, and the grants for outside alone */
    struct crl_memory *crls;  /* NULL: lists are not kept */
};

/* outside_fetch_issuer: DER, PEM, or PKCS #7 without a signature.  E_BAD_ANSWER where it is none of them. */
RC outside_fetch_issuer(struct ctx *ctx, const struct outside *o, const struct wire_relay_fetch_issuer *in,
                        struct wire_relay_fetch_issuer_done *out);
/* outside_revocation asks the OCSP responder, and reads the CRL where there is none or it does not answer.  E_UNSUPPORTED where the
 * certificate names neither; otherwise how the last one failed. */
RC outside_revocation(struct ctx *ctx, const struct outside *o, const struct wire_relay_revocation *in,
                      struct wire_relay_revocation_done *out);

/* outside_issuers reads what a server gave for an issuer: for tests and fuzzing. */
RC outside_issuers(struct ctx *ctx, struct bytes body, struct wire_blobs *out);
/* outside_crl says what a CRL of `url` tells of a certificate; E_PEER_IDENTITY where somebody else signed it, E_BAD_ANSWER where it
 * is malformed, of another issuer, for other certificates, or out of its time. */
RC outside_crl(struct ctx *ctx, struct bytes der, struct bytes url, const struct cert *cert, const struct cert *issuer, int64_t now,
               struct wire_relay_revocation_done *out);

#endif
