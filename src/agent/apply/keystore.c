#include "agent/apply/keystore.h"

#include "agent/apply/disk.h"
#include "base/failpoint.h"
#include "pki/csr.h"

static RC store_path(struct ctx *ctx, const struct agent_config *cfg, const char *id, const char *suffix, const char **out)
{
    if (id == NULL || !str_is_name(bytes_z(id)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a key", id != NULL ? id : "nothing");
    *out = arena_printf(&ctx->arena, "%s/keys/%s%s", cfg->state_dir, id, suffix);
    return RC_OK;
}

/* Two leases of one job must not make two keys.  A few locks for all attempts: an RSA key takes seconds, others need not wait. */
static const char *lock_path(struct ctx *ctx, const struct agent_config *cfg, const char *attempt)
{
    unsigned sum = 0;
    for (const char *p = attempt; *p != '\0'; p++)
        sum = sum * 31 + (unsigned char)*p;
    return arena_printf(&ctx->arena, "%s/keys/.lock-%u", cfg->state_dir, sum % 16);
}

static RC key_read(struct ctx *ctx, const char *path, struct key **out)
{
    SECRET_CLEANUP struct secret pem = {0};
    TRY(disk_read_secret(ctx, path, 65536, &pem));
    return key_from_pem(ctx, &pem, out);
}

static RC key_write(struct ctx *ctx, const char *path, const struct key *key)
{
    BUF_CLEANUP struct buf pem;
    buf_init_secret(&pem, 65536);
    TRY(key_to_pem(ctx, key, &pem));
    TRY(buf_status(&pem));
    return disk_create(ctx, path, buf_bytes(&pem));
}

/* The certificate's last key, where it is wanted again and of the right kind. */
static RC key_again(struct ctx *ctx, const struct agent_config *cfg, const struct keystore_wish *wish, struct key **out)
{
    struct bytes last;
    const char *path;
    if (!wish->reuse_key)
        return RC_OK;
    TRY(store_path(ctx, cfg, wish->certificate, ".last", &path));
    struct rc rc = disk_read(ctx, path, 128, &last, NULL);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    TRY(store_path(ctx, cfg, arena_str(&ctx->arena, last), ".key", &path));
    rc = key_read(ctx, path, out);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    if (key_kind_of(*out) != key_kind_by_name(wish->key_kind)) {
        key_free(*out);
        *out = NULL;
    }
    return RC_OK;
}

static RC key_obtain(struct ctx *ctx, const struct agent_config *cfg, const struct keystore_wish *wish, const char *path,
                     struct key **out)
{
    enum key_kind kind = key_kind_by_name(wish->key_kind);
    struct rc rc = key_read(ctx, path, out);
    if (rc.e != E_NOT_FOUND)
        return rc;
    if (kind == KEY_OTHER)
        return ctx_fail(ctx, E_UNSUPPORTED, "no key is of kind %s", wish->key_kind);
    KEY_CLEANUP struct key *fresh = NULL;
    TRY(key_again(ctx, cfg, wish, &fresh));
    if (fresh == NULL)
        TRY(key_generate(ctx, kind, &fresh));
    FAILPOINT("apply.key_made");
    TRY(key_write(ctx, path, fresh));
    FAILPOINT("apply.key_stored");
    return key_read(ctx, path, out); /* what is on disk is the truth: two calls at once agree on it */
}

RC keystore_make(struct ctx *ctx, const struct agent_config *cfg, const struct keystore_wish *wish, struct bytes *csr,
                 uint8_t spki_sha256[SHA256_LEN])
{
    KEY_CLEANUP struct key *key = NULL;
    const char *key_path, *csr_path, *last_path;
    __attribute__((cleanup(disk_close))) int lock = -1;
    TRY(store_path(ctx, cfg, wish->attempt, ".key", &key_path));
    TRY(store_path(ctx, cfg, wish->attempt, ".csr", &csr_path));
    TRY(store_path(ctx, cfg, wish->certificate, ".last", &last_path));
    TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/keys", cfg->state_dir), 0700));
    TRY(disk_lock(ctx, lock_path(ctx, cfg, wish->attempt), &lock));
    TRY(key_obtain(ctx, cfg, wish, key_path, &key));
    TRY(digest_sha256(ctx, key_spki(key), spki_sha256));
    struct rc rc = disk_read(ctx, csr_path, CSR_MAX, csr, NULL);
    if (rc.e == E_NOT_FOUND) {
        struct name_list names = {0};
        struct bytes der;
        const char *cn = wish->common_name != NULL && *wish->common_name != '\0' ? wish->common_name : NULL;
        TRY(name_list_parse(ctx, wish->names, wish->n_names, &names));
        TRY(csr_build(ctx, key, &names, cn, &der));
        TRY(disk_create(ctx, csr_path, der));
        FAILPOINT("apply.csr_stored");
        rc = disk_read(ctx, csr_path, CSR_MAX, csr, NULL);
    }
    TRY(rc);
    return disk_replace(ctx, last_path, bytes_z(wish->attempt), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600});
}

RC keystore_load(struct ctx *ctx, const struct agent_config *cfg, const char *attempt, struct key **out)
{
    const char *path;
    TRY(store_path(ctx, cfg, attempt, ".key", &path));
    struct rc rc = key_read(ctx, path, out);
    if (rc.e == E_NOT_FOUND)
        return ctx_fail(ctx, E_NOT_FOUND, "the key of attempt %s is not on this host: issue again from here", attempt);
    return rc;
}

RC keystore_forget(struct ctx *ctx, const struct agent_config *cfg, const char *attempt)
{
    const char *path;
    TRY(store_path(ctx, cfg, attempt, ".key", &path));
    TRY(disk_remove(ctx, path));
    TRY(store_path(ctx, cfg, attempt, ".csr", &path));
    return disk_remove(ctx, path);
}
