/* Where the signer's private keys are: one vtable, one file a backend, one row in the registry (keyring.c).
 *
 * A key belongs to an object of a class ("ca-key": the CA's name, "acme-account": the account).  Keys are made here, or an
 * account's is brought along, and never leave; but those that people may download ("download": the attempt; download.c). */
#ifndef SIGNER_KEYRING_H
#define SIGNER_KEYRING_H

#include "base/ctx.h"
#include "base/secret.h"
#include "pki/key.h"

#define KEY_CLASS_CA   "ca-key"
#define KEY_CLASS_ACME "acme-account"
#define KEY_CLASS_AUDIT "audit-log"
#define KEY_CLASS_DOWNLOAD "download"

struct keyring;

struct key_backend {
    const char *name;
    /* keep keeps a key, replacing one of the same object that was never acknowledged; load gets one back (E_NOT_FOUND), and the
     * key is the caller's; destroy forgets it, also where there is none. */
    RC (*keep)(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, const struct key *key);
    RC (*destroy)(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object);
    RC (*load)(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct key **out);
};

struct keyring {
    const struct key_backend *backend;
    char *dir;         /* "file": folder of the sealed keys */
    struct secret kek; /* key-encryption key */
    char kek_id[65];
    int64_t keys; /* in memory */
};

/* keyring_open takes the key-encryption key over from `kek` (SEAL_KEK_LEN bytes) and makes `dir` where it is missing. */
RC keyring_open(struct ctx *ctx, const char *backend, const char *dir, struct secret *kek, struct keyring *out);
void keyring_close(struct keyring *ks); /* wipes; all-zero is fine */
/* keyring_make generates a key and keeps it; keyring_keep keeps one that is there; keyring_destroy forgets one, also where there is
 * none. */
RC keyring_keep(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, const struct key *key);
RC keyring_destroy(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object);
RC keyring_make(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, enum key_kind kind, struct key **out);
RC keyring_load(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct key **out);

/* Secrets that the hub keeps for the signer (invariant 1): sealed under the same key; only the signer opens them again. */
RC keyring_seal(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, const struct secret *plain,
                struct bytes *out);
RC keyring_unseal(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct bytes sealed,
                  struct secret *out);

#endif
