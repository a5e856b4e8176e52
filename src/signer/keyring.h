/* Where the signer's private keys are: one vtable, one file a backend, one row in the registry (keyring.c).
 *
 * A key belongs to an object of a class ("ca-key": the CA's name, "acme-account": the account).  Keys are made here and never
 * leave. */
#ifndef SIGNER_KEYRING_H
#define SIGNER_KEYRING_H

#include "base/ctx.h"
#include "base/secret.h"
#include "pki/key.h"

#define KEY_CLASS_CA   "ca-key"
#define KEY_CLASS_ACME "acme-account"

struct keyring;

struct key_backend {
    const char *name;
    /* make generates and keeps a key, replacing one of the same object that was never acknowledged; load gets one back
     * (E_NOT_FOUND).  The key is the caller's. */
    RC (*make)(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, enum key_kind kind, struct key **out);
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
RC keyring_make(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, enum key_kind kind, struct key **out);
RC keyring_load(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct key **out);

/* Secrets that the hub keeps for the signer (invariant 1): sealed under the same key; only the signer opens them again. */
RC keyring_seal(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, const struct secret *plain,
                struct bytes *out);
RC keyring_unseal(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct bytes sealed,
                  struct secret *out);

#endif
