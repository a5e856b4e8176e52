/* PKCS #12 (RFC 7292): one key with its chain, under one password, for privacy and for integrity.
 *
 * PKCS12_MODERN: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC, MAC with SHA-256; what OpenSSL 3 and Java 12 and later write too.
 * PKCS12_LEGACY: pbeWithSHAAnd3-KeyTripleDES-CBC, MAC with SHA-1; for Java before 8u301, Windows before Server 2019, and
 * appliances. */
#ifndef PKI_PKCS12_H
#define PKI_PKCS12_H

#include "pki/container.h"

enum pkcs12_kind { PKCS12_MODERN, PKCS12_LEGACY };

/* pkcs12_build appends the file; `out` comes from buf_init_secret() or an arena. */
RC pkcs12_build(struct ctx *ctx, enum pkcs12_kind kind, const struct container *what, struct buf *out);

/* What was read.  The certificates point into the arena; leaf: the one that the key's entry belongs to, else the first. */
struct pkcs12 {
    struct cert_chain certs;
    size_t leaf;
};

/* pkcs12_read reads a file in DER of at most CONTAINER_MAX bytes, as the above, OpenSSL and Java write it: PBES2 with AES or 3DES,
 * or 3DES with SHA-1; at most PKCS12_ITERATIONS_MAX rounds, for a file must not be able to keep the reader busy for hours.  The MAC
 * is checked first: E_FORBIDDEN where it does not fit (another password, or a damaged file).  `key`: the private key, to be freed
 * with key_free(); where NULL, it is not even decrypted.  E_PARSE and E_UNSUPPORTED otherwise. */
#define PKCS12_ITERATIONS_MAX 5000000
RC pkcs12_read(struct ctx *ctx, struct bytes file, const struct secret *password, struct pkcs12 *out, struct key **key);

#endif
