/* Files under a password that hold a private key with its chain: what PKCS #12 (pki/pkcs12.h) and JKS (pki/jks.h) have in common.
 *
 * The same key, chain, name and password always make the same bytes: whoever installs such a file can then say "it is there
 * already", and a hash of it can be compared later, without asking for the password again.  Random salts would make each writing
 * differ.  So salts and initialization vectors come by HKDF from the private key and from all that is written under them.  Nobody
 * without the key can foresee or relate them; two contents that differ in anything have different salts, and so different keys. */
#ifndef PKI_CONTAINER_H
#define PKI_CONTAINER_H

#include "base/buf.h"
#include "pki/cert.h"
#include "pki/key.h"

#define CONTAINER_MAX ((size_t)1 << 20) /* bytes of a file */
#define CONTAINER_CERTS_MAX 100
#define CONTAINER_PASSWORD_MAX 256

/* What is written.  `alias` names the entry (friendlyName of PKCS #12): printable ASCII. */
struct container {
    const struct key *key;
    const struct cert_chain *chain; /* leaf first */
    const char *alias;
    const struct secret *password; /* UTF-8, 1 to CONTAINER_PASSWORD_MAX bytes without control characters */
};

/* container_check refuses what cannot be written (E_INVALID, with the reason). */
RC container_check(struct ctx *ctx, const struct container *c);
/* container_utf16 is the password as UTF-16, big-endian; with a NUL character at its end where `nul`.  E_INVALID: not UTF-8. */
RC container_utf16(struct ctx *ctx, const struct secret *password, bool nul, struct secret *out);
/* container_salt fills `n` bytes (at most 64) for one use, named by `label`, of the key `pkcs8` over `plain` and `password`. */
RC container_salt(struct ctx *ctx, struct bytes pkcs8, const char *label, struct bytes plain, const struct secret *password,
                  uint8_t *out, size_t n);

#endif
