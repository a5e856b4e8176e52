#include "agent/apply/keystore.h"

#include "agent/apply/disk.h"
#include "base/failpoint.h"
#include "pki/csr.h"
#include "pki/pem.h"

static RC store_path(struct ctx *ctx, const struct agent_config *cfg, const char *attempt, const char **out)
{
    if (attempt == NULL || !str_is_name(bytes_z(attempt)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a key", attempt != NULL ? attempt : "nothing");
    *out = arena_printf(&ctx->arena, "%s/keys/%s.key", cfg->state_dir, attempt);
    return RC_OK;
}

/* The file of an attempt: its request, then its key. */
static RC key_file_read(struct ctx *ctx, const char *path, struct key **key, struct bytes *csr)
{
    SECRET_CLEANUP struct secret pem = {0};
    struct pem_block request;
    bool found = false;
    TRY(disk_read_secret(ctx, path, 65536, &pem));
    TRY(key_from_pem(ctx, &pem, key));
    if (csr == NULL)
        return RC_OK;
    struct bytes text = secret_use(&pem);
    TRY(pem_next(ctx, &text, &request, &found));
    if (!found || !bytes_equal_z(request.label, PEM_REQUEST))
        return ctx_fail(ctx, E_PARSE, "%s does not begin with a certificate request", path);
    *csr = request.der;
    return RC_OK;
}

static RC key_file_write(struct ctx *ctx, const char *path, const struct key *key, struct bytes csr)
{
    BUF_CLEANUP struct buf pem;
    buf_init_secret(&pem, 65536);
    pem_put(&pem, PEM_REQUEST, csr);
    TRY(key_to_pem(ctx, key, &pem));
    TRY(buf_status(&pem));
    return disk_replace(ctx, path, buf_bytes(&pem), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600});
}

/* The key of an earlier attempt, where it is wanted again, still here and of the right kind. */
static RC key_again(struct ctx *ctx, const struct agent_config *cfg, const struct keystore_wish *wish, struct key **out)
{
    const char *path;
    if (wish->reuse_attempt == NULL || *wish->reuse_attempt == '\0')
        return RC_OK;
    TRY(store_path(ctx, cfg, wish->reuse_attempt, &path));
    struct rc rc = key_file_read(ctx, path, out, NULL);
    if (rc.e == E_NOT_FOUND)
        return RC_OK;
    TRY(rc);
    if (key_kind_of(*out) != key_kind_by_name(wish->key_kind)) {
        key_free(*out);
        *out = NULL;
    }
    return RC_OK;
}

static RC key_make(struct ctx *ctx, const struct agent_config *cfg, const struct keystore_wish *wish, struct key **out,
                   struct bytes *csr)
{
    enum key_kind kind = key_kind_by_name(wish->key_kind);
    const char *cn = wish->common_name != NULL && *wish->common_name != '\0' ? wish->common_name : NULL;
    struct name_list names = {0};
    if (kind == KEY_OTHER)
        return ctx_fail(ctx, E_UNSUPPORTED, "no key is of kind %s", wish->key_kind);
    TRY(name_list_parse(ctx, wish->names, wish->n_names, &names));
    TRY(key_again(ctx, cfg, wish, out));
    if (*out == NULL)
        TRY(key_generate(ctx, kind, out));
    return csr_build(ctx, *out, &names, cn, csr);
}

RC keystore_make(struct ctx *ctx, const struct agent_config *cfg, const struct keystore_wish *wish, struct bytes *csr,
                 uint8_t spki_sha256[SHA256_LEN])
{
    KEY_CLEANUP struct key *key = NULL;
    const char *path;
    __attribute__((cleanup(disk_close))) int lock = -1;
    TRY(store_path(ctx, cfg, wish->attempt, &path));
    TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/keys", cfg->state_dir), 0700));
    /* Two leases of one job must not make two keys. */
    TRY(disk_lock(ctx, arena_printf(&ctx->arena, "%s/locks", cfg->state_dir), wish->attempt, &lock));
    struct rc rc = key_file_read(ctx, path, &key, csr);
    if (rc.e == E_NOT_FOUND) {
        TRY(key_make(ctx, cfg, wish, &key, csr));
        FAILPOINT("apply.key_made");
        rc = key_file_write(ctx, path, key, *csr);
        FAILPOINT("apply.key_stored");
    }
    TRY(rc);
    return digest_sha256(ctx, key_spki(key), spki_sha256);
}

RC keystore_load(struct ctx *ctx, const struct agent_config *cfg, const char *attempt, struct key **out)
{
    const char *path;
    TRY(store_path(ctx, cfg, attempt, &path));
    struct rc rc = key_file_read(ctx, path, out, NULL);
    if (rc.e == E_NOT_FOUND)
        return ctx_fail(ctx, E_NOT_FOUND, "the key of attempt %s is not on this host: issue again from here", attempt);
    return rc;
}

RC keystore_put(struct ctx *ctx, const struct agent_config *cfg, const char *attempt, const struct key *key)
{
    KEY_CLEANUP struct key *have = NULL;
    const char *path;
    BUF_CLEANUP struct buf pem;
    __attribute__((cleanup(disk_close))) int lock = -1;
    TRY(store_path(ctx, cfg, attempt, &path));
    TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/keys", cfg->state_dir), 0700));
    TRY(disk_lock(ctx, arena_printf(&ctx->arena, "%s/locks", cfg->state_dir), attempt, &lock));
    struct rc rc = key_file_read(ctx, path, &have, NULL);
    if (rc_ok(rc) && key_same(have, key))
        return RC_OK;
    if (rc_ok(rc))
        return ctx_fail(ctx, E_CONFLICT, "another key is kept for attempt %s on this host", attempt);
    if (rc.e != E_NOT_FOUND)
        return rc;
    buf_init_secret(&pem, 65536);
    TRY(key_to_pem(ctx, key, &pem));
    TRY(buf_status(&pem));
    return disk_replace(ctx, path, buf_bytes(&pem), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600});
}

RC keystore_forget(struct ctx *ctx, const struct agent_config *cfg, const char *attempt)
{
    const char *path;
    TRY(store_path(ctx, cfg, attempt, &path));
    return disk_remove(ctx, path);
}
