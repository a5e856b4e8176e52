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
/* recovery_split makes `n` parts of it that are all needed, in eleven groups of four: which part of how many it is, a mark that all
 * parts of one split have, a share (the key is the exclusive or of them), and a checksum.  Fewer than all tell nothing of the key.
 */
#define RECOVERY_PARTS_MAX 8
RC recovery_split(struct ctx *ctx, const struct secret *text, size_t n, struct secret parts[]);
/* recovery_join takes what people type one after the other, the key itself or its parts in any order; `*text` is the key once
 * nothing is missing (`*whole`).  E_INVALID where it has a typing error, E_CONFLICT where it is a part of another split, or one
 * that was there already: it is not counted, and the right one may follow.  All-zero to begin with; recovery_join_end wipes it. */
struct recovery_join {
    struct secret raw;
    uint8_t mark[3];
    unsigned count, have; /* parts that there are (0: none was read), and the bits of those that were read */
};
RC recovery_join(struct ctx *ctx, struct recovery_join *j, const struct secret *typed, bool *whole, struct secret *text);
const char *recovery_missing(struct ctx *ctx, const struct recovery_join *j); /* "part 2 of 3", "parts 2 and 3 of 3" */
void recovery_join_end(struct recovery_join *j);
/* recovery_hpke derives the key pair (X25519, pki/hpke.h) that backups are sealed to: its public half is kept (recovery.pub), and
 * the recovery key alone has the other one. */
struct hpke_key;
RC recovery_hpke(struct ctx *ctx, const struct secret *text, struct hpke_key **out);

#endif
