/* The certificate that answers a tls-alpn-01 challenge (RFC 8737 section 3, RFC 8738 section 6). */
#ifndef PKI_ALPN_CERT_H
#define PKI_ALPN_CERT_H

#include "pki/key.h"
#include "pki/name.h"

/* alpn_cert_make signs, by the key itself, a certificate for this one name with the hash of the key authorization in it. */
RC alpn_cert_make(struct ctx *ctx, const struct key *key, const struct name *name, const char *key_authorization,
                  struct bytes *der);
/* alpn_cert_sni is the server name that a CA asks for: the name itself, or the address as in reverse DNS (RFC 8738 section 6). */
const char *alpn_cert_sni(struct arena *a, const struct name *name);

#endif
