/* Secrets at rest (invariant 1): AES-256-GCM under a data key of their own, which is wrapped by the key-encryption key, with class,
 * object, version and key id as associated data.  What is sealed opens only for the same four.
 *
 * Layout: "CWSEAL" 01 | length and text of the key id | nonce, wrapped data key, tag (12 + 32 + 16) | nonce, ciphertext, tag. */
#ifndef PKI_SEAL_H
#define PKI_SEAL_H

#include "base/ctx.h"
#include "base/secret.h"

#define SEAL_KEK_LEN 32
#define SEAL_KEY_ID_MAX 64

struct seal_ad {
    const char *class_; /* "ca-key", "acme-account" … (docs/SECRETS.md) */
    const char *object; /* id or name of what it belongs to */
    int64_t version;
    const char *key_id; /* of the key-encryption key: seal_key_id() */
};

/* seal_key_new makes a key-encryption key.  seal_key_id returns its id, 16 hex digits that tell nothing about it. */
RC seal_key_new(struct ctx *ctx, struct secret *kek);
RC seal_key_id(struct ctx *ctx, const struct secret *kek, const char **out);

RC seal(struct ctx *ctx, const struct secret *kek, const struct seal_ad *ad, const struct secret *plain, struct bytes *out);
/* unseal fails with E_CRYPTO where key, associated data or bytes are not those of seal(), and says which key it was sealed with. */
RC unseal(struct ctx *ctx, const struct secret *kek, const struct seal_ad *ad, struct bytes sealed, struct secret *out);
/* seal_sealed_by returns the key id that sealed bytes name; E_PARSE where they are no seal. */
RC seal_sealed_by(struct ctx *ctx, struct bytes sealed, const char **key_id);

/* The recovery key: shown once at init, 160 random bits in nine groups of four ("7Q2M-…"), the last a checksum; letters of
 * Crockford's base32.  It opens a copy of the key-encryption key. */
RC recovery_key_new(struct ctx *ctx, struct secret *text);
/* recovery_wrap / recovery_unwrap: the text may be typed in any case, with or without '-' and spaces, O for 0, I and L for 1.
 * E_INVALID where it has a typing error, E_CRYPTO where it is another key's. */
RC recovery_wrap(struct ctx *ctx, const struct secret *kek, const struct secret *text, struct bytes *out);
RC recovery_unwrap(struct ctx *ctx, struct bytes wrapped, const struct secret *text, struct secret *kek);
/* recovery_hpke derives the key pair (X25519, pki/hpke.h) that backups are sealed to: its public half is kept (recovery.pub), and
 * the recovery key alone has the other one. */
struct hpke_key;
RC recovery_hpke(struct ctx *ctx, const struct secret *text, struct hpke_key **out);

#endif
