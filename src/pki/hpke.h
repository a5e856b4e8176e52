/* Hybrid Public Key Encryption (RFC 9180), base mode, one message for one key: what seals a private key from one host to another.
 *
 * DHKEM over X25519 or P-256 with HKDF-SHA256, and the three AEADs of the RFC; what Certwright itself writes is HPKE_OURS.  A
 * sealed message is the encapsulated key followed by the ciphertext with its tag ("enc || ct").  The sender is not authenticated:
 * whoever knows the public key can seal.  A key may be used by several threads at once. */
#ifndef PKI_HPKE_H
#define PKI_HPKE_H

#include "base/ctx.h"
#include "base/secret.h"

/* The numbers of the IANA registry "Hybrid Public Key Encryption" (RFC 9180 section 7). */
enum hpke_kem { HPKE_P256 = 0x0010, HPKE_X25519 = 0x0020 };
enum hpke_aead { HPKE_AES_128_GCM = 1, HPKE_AES_256_GCM = 2, HPKE_CHACHA20_POLY1305 = 3 };

struct hpke_suite {
    enum hpke_kem kem;
    enum hpke_aead aead;
};
#define HPKE_OURS ((struct hpke_suite){HPKE_X25519, HPKE_AES_256_GCM})

#define HPKE_SECRET_LEN 32     /* of a private key, either kind */
#define HPKE_X25519_LEN 32     /* of an X25519 public key, and of its encapsulated key */
#define HPKE_PUBLIC_MAX 65     /* of the longest public key: a point of P-256, uncompressed */
#define HPKE_PLAIN_MAX  262144 /* of what is sealed */
#define HPKE_INFO_MAX   4096   /* of info, and of aad */
#define HPKE_TAG_LEN    16

/* The length of a sealed message over that of its content, for HPKE_OURS. */
#define HPKE_OVERHEAD (HPKE_X25519_LEN + HPKE_TAG_LEN)

struct hpke_key;

/* hpke_key_new makes a key pair.  Free with hpke_key_free (NULL is fine) or HPKE_KEY_CLEANUP. */
RC hpke_key_new(struct ctx *ctx, enum hpke_kem kem, struct hpke_key **out);
/* hpke_key_from reads the private key's 32 bytes (RFC 9180 section 7.1.2); hpke_key_to writes them. */
RC hpke_key_from(struct ctx *ctx, enum hpke_kem kem, const struct secret *raw, struct hpke_key **out);
RC hpke_key_to(struct ctx *ctx, const struct hpke_key *key, struct secret *raw);
/* hpke_key_public is the public half as it travels; it lives as long as the key. */
struct bytes hpke_key_public(const struct hpke_key *key);
void hpke_key_free(struct hpke_key *key);
void hpke_key_freep(struct hpke_key **key);
#define HPKE_KEY_CLEANUP __attribute__((cleanup(hpke_key_freep)))

/* hpke_public_check says whether these bytes can be sealed to: their length, a point of the curve, none of the weak points of
 * X25519. */
RC hpke_public_check(struct ctx *ctx, enum hpke_kem kem, struct bytes public);

/* hpke_seal seals `plain` with HPKE_OURS to a public key; `out` is in the arena.  What is sealed opens only with the same `info`
 * and `aad`. */
RC hpke_seal(struct ctx *ctx, struct bytes public, struct bytes info, struct bytes aad, const struct secret *plain,
             struct bytes *out);
/* hpke_open fails with E_CRYPTO where key, info, aad or bytes are not those of hpke_seal, with E_PARSE where they are too few. */
RC hpke_open(struct ctx *ctx, const struct hpke_key *key, struct bytes info, struct bytes aad, struct bytes sealed,
             struct secret *out);

/* The same for any suite.  `ephemeral` is the sender's key: NULL, and one is made, but for the RFC's vectors. */
RC hpke_seal_with(struct ctx *ctx, struct hpke_suite suite, const struct hpke_key *ephemeral, struct bytes public,
                  struct bytes info, struct bytes aad, const struct secret *plain, struct bytes *out);
RC hpke_open_with(struct ctx *ctx, struct hpke_suite suite, const struct hpke_key *key, struct bytes info, struct bytes aad,
                  struct bytes sealed, struct secret *out);

#endif
