/* Is the chain that a CA returned the one that was asked for? */
#ifndef AGENT_RELAY_CHAIN_CHECK_H
#define AGENT_RELAY_CHAIN_CHECK_H

#include "pki/cert.h"

#define CHAIN_CERTIFICATES_MAX 10

/* relay_chain_check reads the PEM text of an answer and refuses it with E_BAD_CERTIFICATE unless the leaf holds the key of `csr`
 * (DER) and exactly `names` ("dns:…", "ip:…"), is not over, and each certificate is issued and signed by the next. */
RC relay_chain_check(struct ctx *ctx, struct bytes pem, struct bytes csr, const char *const *names, size_t n,
                     struct cert_chain *out);
/* relay_chain_is says whether the chain is the one that is preferred: the common name of the CA that issued its last certificate,
 * or "sha256:" and the hash of a SubjectPublicKeyInfo in hexadecimal: of one of its CAs, or of the root among `roots_pem` that its
 * last certificate leads to. */
bool relay_chain_is(struct ctx *ctx, const struct cert_chain *chain, const char *preferred, const char *roots_pem);

#endif
