/* Private and public keys, over OpenSSL.
 *
 * Decoding in OpenSSL 3.0 is slow, so keys are built from their numbers and DER is read and written here; make a key once and keep
 * it.  A key may be used by several threads at once. */
#ifndef PKI_KEY_H
#define PKI_KEY_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/secret.h"
#include "pki/spki.h"

struct key;
struct evp_pkey_st;

/* key_generate makes a private key.  Free with key_free (NULL is fine) or KEY_CLEANUP. */
RC key_generate(struct ctx *ctx, enum key_kind kind, struct key **out);
void key_free(struct key *key);
void key_freep(struct key **key);
#define KEY_CLEANUP __attribute__((cleanup(key_freep)))

/* PKCS #8 (RFC 5958, unencrypted).  key_from_pkcs8 also reads the older RSAPrivateKey and ECPrivateKey (RFC 8017, RFC 5915). */
RC key_to_pkcs8(struct ctx *ctx, const struct key *key, struct secret *out);
RC key_from_pkcs8(struct ctx *ctx, const struct secret *der, struct key **out);
/* key_to_pem appends a "PRIVATE KEY" block: `out` comes from buf_init_secret().  key_from_pem reads the first key of a text. */
RC key_to_pem(struct ctx *ctx, const struct key *key, struct buf *out);
RC key_from_pem(struct ctx *ctx, const struct secret *pem, struct key **out);
/* key_from_spki makes a public key; the point of an EC key is checked to be on its curve. */
RC key_from_spki(struct ctx *ctx, struct bytes spki, struct key **out);

enum key_kind key_kind_of(const struct key *key);
bool key_is_private(const struct key *key);
/* key_spki returns the SubjectPublicKeyInfo; it lives as long as the key.  key_public is the same, parsed. */
struct bytes key_spki(const struct key *key);
const struct spki *key_public(const struct key *key);
/* key_same says whether two keys have the same public part. */
bool key_same(const struct key *a, const struct key *b);

/* key_signature_algorithm is the AlgorithmIdentifier of what key_sign makes: ECDSA with SHA-256 (P-256) or SHA-384 (P-384), RSA
 * PKCS #1 v1.5 with SHA-256. */
struct bytes key_signature_algorithm(const struct key *key);
/* key_sign signs `data` (it is hashed here).  ECDSA signatures are DER (RFC 3279 section 2.2.3). */
RC key_sign(struct ctx *ctx, const struct key *key, struct bytes data, struct bytes *signature);
/* key_sign_sha512 is RSA PKCS #1 v1.5 with SHA-512, for protocols that want it; E_UNSUPPORTED for a key that is not RSA. */
RC key_sign_sha512(struct ctx *ctx, const struct key *key, struct bytes data, struct bytes *signature);
/* key_verify checks a signature made with `algorithm` (AlgorithmIdentifier; ECDSA or RSA PKCS #1 with SHA-256, 384 or 512).
 * E_UNSUPPORTED for other algorithms, E_INVALID for a signature that is wrong. */
RC key_verify(struct ctx *ctx, const struct key *key, struct bytes algorithm, struct bytes data, struct bytes signature);
/* key_verify_own is key_verify with the key's own algorithm. */
RC key_verify_own(struct ctx *ctx, const struct key *key, struct bytes data, struct bytes signature);

/* key_evp lends the OpenSSL object (net/tls). */
struct evp_pkey_st *key_evp(const struct key *key);

#endif
