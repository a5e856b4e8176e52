#include "agent/apply/sharing.h"

#include "agent/apply/disk.h"
#include "agent/apply/keystore.h"
#include "base/buf.h"
#include "base/failpoint.h"
#include "base/str.h"
#include "pki/digest.h"
#include "pki/hpke.h"

static void put_counted(struct buf *b, const char *text)
{
    struct bytes v = bytes_z(text);
    buf_put_u32(b, (uint32_t)v.n);
    buf_put(b, v);
}

/* Each part with its length in front, so that no two different sets of parts give the same bytes. */
static RC info_of(struct ctx *ctx, const struct sharing *s, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, HPKE_INFO_MAX);
    buf_put_z(&b, "certwright shared key v1");
    put_counted(&b, s->installation);
    put_counted(&b, s->certificate);
    put_counted(&b, s->attempt);
    put_counted(&b, s->agent);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static RC seal_key(struct ctx *ctx, const struct agent_config *cfg, struct hpke_key **out)
{
    SECRET_CLEANUP struct secret raw = {0};
    __attribute__((cleanup(disk_close))) int lock = -1;
    const char *path = arena_printf(&ctx->arena, "%s/keys/seal.x25519", cfg->state_dir);
    TRY(disk_mkdir(ctx, arena_printf(&ctx->arena, "%s/keys", cfg->state_dir), 0700));
    TRY(disk_lock(ctx, arena_printf(&ctx->arena, "%s/locks", cfg->state_dir), "seal.x25519", &lock));
    struct rc rc = disk_read_secret(ctx, path, 64, &raw);
    if (rc_ok(rc)) {
        rc = hpke_key_from(ctx, HPKE_X25519, &raw, out);
        return rc_ok(rc)
                   ? rc
                   : ctx_wrap(ctx, rc, "%s is damaged; remove it, restart the agent, and let an administrator approve the new one",
                              path);
    }
    if (rc.e != E_NOT_FOUND)
        return rc;
    HPKE_KEY_CLEANUP struct hpke_key *key = NULL;
    TRY(hpke_key_new(ctx, HPKE_X25519, &key));
    TRY(hpke_key_to(ctx, key, &raw));
    TRY(disk_replace(ctx, path, secret_use(&raw), (struct disk_attr){(uid_t)-1, (gid_t)-1, 0600}));
    *out = key;
    key = NULL;
    return RC_OK;
}

RC sharing_public(struct ctx *ctx, const struct agent_config *cfg, struct bytes *out)
{
    HPKE_KEY_CLEANUP struct hpke_key *key = NULL;
    TRY(seal_key(ctx, cfg, &key));
    *out = arena_bytes(&ctx->arena, hpke_key_public(key));
    return RC_OK;
}

static RC check_spki(struct ctx *ctx, const struct key *key, const struct sharing *s, enum err e)
{
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, key_spki(key), hash));
    return bytes_equal(bytes_of(hash, sizeof hash), s->spki_sha256)
               ? RC_OK
               : ctx_fail(ctx, e, "the key kept for attempt %s is another one than its certificate's", s->attempt);
}

RC sharing_seal(struct ctx *ctx, const struct agent_config *cfg, const struct sharing *s, struct bytes to, struct bytes *out)
{
    KEY_CLEANUP struct key *key = NULL;
    SECRET_CLEANUP struct secret pkcs8 = {0};
    struct bytes info;
    /* The hub says for whom: whether a key may leave this host at all is not its to say (invariant 5). */
    if (!cfg->share_keys)
        return ctx_fail(ctx, E_NOT_GRANTED,
                        "keys made on this host may not be sealed to others: set share_keys: true in %s and restart the agent",
                        cfg->file);
    TRY(info_of(ctx, s, &info));
    TRY(keystore_load(ctx, cfg, s->attempt, &key));
    TRY(check_spki(ctx, key, s, E_INVALID));
    TRY(key_to_pkcs8(ctx, key, &pkcs8));
    return hpke_seal(ctx, to, info, s->spki_sha256, &pkcs8, out);
}

RC sharing_open(struct ctx *ctx, const struct agent_config *cfg, const struct sharing *s, struct bytes sealed)
{
    HPKE_KEY_CLEANUP struct hpke_key *own = NULL;
    KEY_CLEANUP struct key *key = NULL;
    SECRET_CLEANUP struct secret pkcs8 = {0};
    struct bytes info;
    if (!cfg->share_keys)
        return ctx_fail(ctx, E_NOT_GRANTED,
                        "keys made on other hosts may not be put here: set share_keys: true in %s and restart the agent",
                        cfg->file);
    TRY(info_of(ctx, s, &info));
    TRY(seal_key(ctx, cfg, &own));
    struct rc rc = hpke_open(ctx, own, info, s->spki_sha256, sealed, &pkcs8);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "the shared key of attempt %s", s->attempt);
    TRY(key_from_pkcs8(ctx, &pkcs8, &key));
    TRY(check_spki(ctx, key, s, E_BAD_ANSWER));
    FAILPOINT("apply.key_opened");
    return keystore_put(ctx, cfg, s->attempt, key);
}
