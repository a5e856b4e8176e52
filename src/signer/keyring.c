#include "signer/keyring.h"

#include <errno.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "os/file.h"
#include "pki/seal.h"

#define SEALED_MAX ((size_t)64 << 10)

/* --- backend "file": PKCS #8, sealed, in keys/CLASS.OBJECT.key */

static RC ad_of(struct ctx *ctx, const struct keyring *ks, const char *class_, const char *object, struct seal_ad *ad)
{
    if (!str_is_name(bytes_z(object)))
        return ctx_fail(ctx, E_INVALID, "\"%s\" cannot name a key", object);
    *ad = (struct seal_ad){.class_ = class_, .object = object, .version = 1, .key_id = ks->kek_id};
    return RC_OK;
}

static RC file_keep(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, const struct key *key)
{
    struct seal_ad ad;
    TRY(ad_of(ctx, ks, class_, object, &ad));
    struct secret plain SECRET_CLEANUP = {0};
    struct bytes sealed;
    TRY(key_to_pkcs8(ctx, key, &plain));
    TRY(seal(ctx, &ks->kek, &ad, &plain, &sealed));
    TRY(file_write_atomic_path(ctx, arena_printf(&ctx->arena, "%s/%s.%s.key", ks->dir, class_, object), sealed, FILE_KEEP_UID,
                               FILE_KEEP_GID, 0600));
    FAILPOINT("signer.key_written");
    return RC_OK;
}

static RC file_destroy(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object)
{
    struct seal_ad ad;
    TRY(ad_of(ctx, ks, class_, object, &ad)); /* the name is one */
    const char *path = arena_printf(&ctx->arena, "%s/%s.%s.key", ks->dir, class_, object);
    return unlink(path) == 0 || errno == ENOENT ? RC_OK : ctx_fail_errno(ctx, "destroying the key %s", path);
}

static RC file_load(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct key **out)
{
    struct seal_ad ad;
    TRY(ad_of(ctx, ks, class_, object, &ad));
    struct secret plain SECRET_CLEANUP = {0};
    struct bytes sealed;
    TRY(file_read(ctx, arena_printf(&ctx->arena, "%s/%s.%s.key", ks->dir, class_, object), SEALED_MAX, &sealed));
    TRY(unseal(ctx, &ks->kek, &ad, sealed, &plain));
    return key_from_pkcs8(ctx, &plain, out);
}

static const struct key_backend backends[] = {
    {"file", file_keep, file_destroy, file_load},
};

/* --- the registry */

RC keyring_open(struct ctx *ctx, const char *backend, const char *dir, struct secret *kek, struct keyring *out)
{
    *out = (struct keyring){0};
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strcmp(backends[i].name, backend) == 0)
            out->backend = &backends[i];
    if (out->backend == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "no key backend is named %s", backend);
    if (kek->n != SEAL_KEK_LEN)
        return ctx_fail(ctx, E_INVALID, "the key-encryption key has %zu bytes, not %d", kek->n, SEAL_KEK_LEN);
    const char *id = NULL;
    TRY(seal_key_id(ctx, kek, &id));
    TRY(file_mkdirs(ctx, dir, 0700));
    out->dir = strdup(dir);
    if (out->dir == NULL || strlen(id) >= sizeof out->kek_id)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the keyring");
    memcpy(out->kek_id, id, strlen(id) + 1);
    out->kek = *kek;
    *kek = (struct secret){0};
    return RC_OK;
}

void keyring_close(struct keyring *ks)
{
    free(ks->dir);
    secret_free(&ks->kek);
    *ks = (struct keyring){0};
}

RC keyring_make(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, enum key_kind kind, struct key **out)
{
    struct key *key KEY_CLEANUP = NULL;
    TRY(key_generate(ctx, kind, &key));
    TRY(ks->backend->keep(ctx, ks, class_, object, key));
    *out = key;
    key = NULL;
    ks->keys++;
    return RC_OK;
}

RC keyring_keep(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, const struct key *key)
{
    return ks->backend->keep(ctx, ks, class_, object, key);
}

RC keyring_destroy(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object)
{
    return ks->backend->destroy(ctx, ks, class_, object);
}

RC keyring_load(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct key **out)
{
    struct rc rc = ks->backend->load(ctx, ks, class_, object, out);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the key of %s (%s) cannot be used", object, class_);
    ks->keys++;
    return RC_OK;
}

RC keyring_seal(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, const struct secret *plain,
                struct bytes *out)
{
    struct seal_ad ad;
    TRY(ad_of(ctx, ks, class_, object, &ad));
    return seal(ctx, &ks->kek, &ad, plain, out);
}

RC keyring_unseal(struct ctx *ctx, struct keyring *ks, const char *class_, const char *object, struct bytes sealed,
                  struct secret *out)
{
    struct seal_ad ad;
    TRY(ad_of(ctx, ks, class_, object, &ad));
    return unseal(ctx, &ks->kek, &ad, sealed, out);
}
