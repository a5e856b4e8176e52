/* Certificate signing requests: PKCS #10 (RFC 2986) with the names as an extension request. */
#ifndef PKI_CSR_H
#define PKI_CSR_H

#include "pki/cert.h"
#include "pki/key.h"

#define CSR_MAX ((size_t)16 << 10) /* bytes */
#define CSR_NAMES_MAX 100

struct csr {
    struct bytes der;
    struct cert_dn subject;
    struct spki spki;
    uint8_t spki_sha256[SHA256_LEN];
    struct name_list names; /* of the SAN asked for; and the common name where it is a DNS name that is not among them */
    bool asks_ca;           /* basic constraints with cA asked for */
};

/* csr_build makes a request signed by `key`.  `common_name` NULL: empty subject. */
RC csr_build(struct ctx *ctx, const struct key *key, const struct name_list *names, const char *common_name, struct bytes *der);
/* csr_build_ca makes the request of a CA whose root is elsewhere. */
RC csr_build_ca(struct ctx *ctx, const struct key *key, const char *organization, const char *common_name, int path_length,
                struct bytes *der);
/* csr_parse reads a request and verifies its signature.  E_BAD_CSR says what is wrong with it: a broken signature, a name that is
 * malformed or of another kind than DNS and IP, more than CSR_NAMES_MAX names, a key that is not of enum key_kind. */
RC csr_parse(struct ctx *ctx, struct bytes der, struct csr *out);
/* csr_read does so without the signature, of a request whose signature was verified when it was taken. */
RC csr_read(struct ctx *ctx, struct bytes der, struct csr *out);

#endif
