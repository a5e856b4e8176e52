#include "agent/enroll_journal.h"

#include <sys/stat.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/str.h"
#include "os/file.h"
#include "pki/digest.h"

#define PREFIX    "enroll-"
#define ENTRY_MAX ((size_t)512 << 10)
#define KEPT_S    (7 * 86400)

static RC folder(struct ctx *ctx, const struct agent_config *cfg, int *fd)
{
    return file_open_dir(ctx, arena_printf(&ctx->arena, "%s/results", cfg->state_dir), fd);
}

static RC name_of(struct ctx *ctx, const char *job, const char **out)
{
    if (!str_is_name(bytes_z(job)))
        return ctx_fail(ctx, E_INVALID, "%s cannot name a job", job);
    *out = arena_printf(&ctx->arena, PREFIX "%s.json", job);
    return RC_OK;
}

static RC hash_of(struct ctx *ctx, struct bytes csr, const char **out)
{
    uint8_t digest[SHA256_LEN];
    TRY(digest_sha256(ctx, csr, digest));
    *out = hex_str(&ctx->arena, bytes_of(digest, sizeof digest));
    return RC_OK;
}

static RC parse(struct ctx *ctx, struct bytes text, const char *hash, struct enroll_noted *out)
{
    json_auto_t *j = NULL;
    const char *of = NULL, *state = NULL;
    TRY(json_read(ctx, text, &j));
    TRY(json_get_str(ctx, j, "csr_sha256", true, &of));
    if (!str_equal(of, hash))
        return RC_OK;
    out->answer.chain_pem = out->answer.reference = "";
    TRY(json_get_int(ctx, j, "asked_at", true, &out->asked_at));
    TRY(json_get_str(ctx, j, "state", false, &state));
    TRY(json_get_str(ctx, j, "chain_pem", false, &out->answer.chain_pem));
    TRY(json_get_str(ctx, j, "reference", false, &out->answer.reference));
    TRY(json_get_int(ctx, j, "retry_after_s", false, &out->answer.retry_after_s));
    out->answered = state != NULL;
    out->answer.state = str_equal(state, "pending") ? WIRE_relay_enroll_done_state_pending : WIRE_relay_enroll_done_state_issued;
    return RC_OK;
}

RC enroll_journal_read(struct ctx *ctx, const struct agent_config *cfg, const char *job, struct bytes csr, struct enroll_noted *out)
{
    FD_CLEANUP int dir = -1;
    struct bytes text;
    const char *name, *hash;
    *out = (struct enroll_noted){0};
    TRY(name_of(ctx, job, &name));
    TRY(hash_of(ctx, csr, &hash));
    TRY(folder(ctx, cfg, &dir));
    struct rc rc = file_read_at(ctx, dir, name, ENTRY_MAX, &text);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    rc = parse(ctx, text, hash, out);
    if (rc_failed(rc)) { /* what cannot be read says nothing */
        *out = (struct enroll_noted){0};
        ctx_forget(ctx);
    }
    return RC_OK;
}

/* Those that no job asks for any more. */
static RC tidy(struct ctx *ctx, int dir)
{
    struct str_list names = {0};
    TRY(file_list(ctx, dir, &names));
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        if (!bytes_starts_with(bytes_z(names.v[i]), BYTES_LIT(PREFIX)) || fstatat(dir, names.v[i], &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (st.st_mtime < ctx_now_s(ctx) - KEPT_S)
            TRY(file_remove(ctx, dir, names.v[i]));
    }
    return RC_OK;
}

RC enroll_journal_write(struct ctx *ctx, const struct agent_config *cfg, const char *job, struct bytes csr,
                        const struct enroll_noted *noted)
{
    FD_CLEANUP int dir = -1;
    struct buf b;
    struct json_out j;
    const char *name, *hash;
    TRY(name_of(ctx, job, &name));
    TRY(hash_of(ctx, csr, &hash));
    TRY(folder(ctx, cfg, &dir));
    buf_init_arena(&b, &ctx->arena, ENTRY_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "csr_sha256", hash);
    json_put_int(&j, "asked_at", noted->asked_at);
    if (noted->answered) {
        json_put_str(&j, "state", wire_relay_enroll_done_state_word(noted->answer.state));
        json_put_str(&j, "chain_pem", noted->answer.chain_pem);
        json_put_str(&j, "reference", noted->answer.reference);
        json_put_int(&j, "retry_after_s", noted->answer.retry_after_s);
    }
    json_close(&j);
    TRY(buf_status(&b));
    if (!noted->answered)
        TRY(tidy(ctx, dir));
    return file_write_atomic(ctx, dir, name, buf_bytes(&b), FILE_KEEP_UID, FILE_KEEP_GID, 0600);
}

RC enroll_journal_forget(struct ctx *ctx, const struct agent_config *cfg, const char *job)
{
    FD_CLEANUP int dir = -1;
    const char *name;
    TRY(name_of(ctx, job, &name));
    TRY(folder(ctx, cfg, &dir));
    return file_remove(ctx, dir, name);
}
