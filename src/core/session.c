#include "core/session.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "pki/digest.h"
#include "store/queries.h"

static const char *const stages[] = {[SESSION_SECOND] = "second-factor", [SESSION_ENROL] = "enrolment", [SESSION_DONE] = "done"};

const char *session_stage_word(enum session_stage stage)
{
    return stages[stage];
}

/* A word that is not known may do the least. */
static enum session_stage stage_of(const char *word)
{
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (str_equal(stages[i], word))
            return (enum session_stage)i;
    return SESSION_SECOND;
}

RC session_text_new(struct ctx *ctx, const char **text, struct bytes *hash)
{
    uint8_t raw[32];
    random_fill(raw, sizeof raw);
    *text = base64url_str(&ctx->arena, bytes_of(raw, sizeof raw));
    wipe(raw, sizeof raw);
    return digest_sha256_new(ctx, bytes_z(*text), hash);
}

RC session_csrf(struct ctx *ctx, const char *text, const char **out)
{
    uint8_t mac[SHA256_LEN];
    TRY(digest_hmac_sha256(ctx, bytes_z(text), BYTES_LIT("certwright csrf"), mac));
    *out = base64url_str(&ctx->arena, bytes_of(mac, sizeof mac));
    return RC_OK;
}

static struct session session_of(const struct q_session_by_hash_row *r)
{
    return (struct session){.id = r->id,
                            .user = r->user_id,
                            .name = r->name,
                            .team = r->team_id,
                            .stage = stage_of(r->stage),
                            .created_at = r->created_at,
                            .used_at = r->used_at,
                            .confirmed_at = r->confirmed_at,
                            .ends_at = r->ends_at,
                            .address = r->address,
                            .client = r->client};
}

struct looking {
    struct core *core;
    struct bytes hash;
    const char *user, *id;
    const struct session *who;
    struct q_session_by_hash_row row, *rows;
    size_t n;
    bool found;
};

static struct rc find_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    const int64_t now = ctx_now_s(ctx);
    return q_session_by_hash(ctx, txn, l->hash, now, now - SESSION_IDLE_S, &l->row, &l->found);
}

static struct rc note_use(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct looking *l = arg;
    return q_session_used(ctx, txn, l->row.id, ctx_now_s(ctx));
}

RC session_find(struct ctx *ctx, struct core *core, const char *text, struct session *out)
{
    struct looking l = {0};
    if (strlen(text) == SESSION_TEXT_LEN) {
        TRY(digest_sha256_new(ctx, bytes_z(text), &l.hash));
        TRY(store_read(ctx, core->store, find_read, &l));
    }
    if (!l.found)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the session has ended; sign in again");
    if (l.row.used_at <= ctx_now_s(ctx) - 60)
        TRY(store_write(ctx, core->store, note_use, &l));
    *out = session_of(&l.row);
    out->hash = l.hash;
    return RC_OK;
}

static struct rc principal_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct looking *l = arg;
    return access_user(ctx, l->core, txn, l->who->user, &ctx->principal);
}

RC session_principal(struct ctx *ctx, struct core *core, const struct session *s)
{
    struct looking l = {.core = core, .who = s};
    return store_read(ctx, core->store, principal_read, &l);
}

RC session_fresh(struct ctx *ctx, const struct session *s)
{
    if (s->confirmed_at > ctx_now_s(ctx) - SESSION_FRESH_S)
        return RC_OK;
    return ctx_fail(ctx, E_FORBIDDEN,
                    "show your password or a passkey again before you change how you sign in: POST /api/v1/session/confirm");
}

RC session_add(struct ctx *ctx, struct txn *txn, const struct session_new *in, const char **id)
{
    const int64_t now = ctx_now_s(ctx);
    const char *const new_id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    const struct q_session_add_in row = {.id = new_id,
                                         .user_id = in->user,
                                         .hash = in->hash,
                                         .stage = session_stage_word(in->stage),
                                         .now = now,
                                         .ends_at = now + (in->stage == SESSION_DONE ? SESSION_MOST_S : SESSION_PENDING_S),
                                         .address = in->address,
                                         .client = in->client};
    TRY(q_session_add(ctx, txn, &row));
    *id = new_id;
    return q_session_trim(ctx, txn, in->user, SESSIONS_PER_USER);
}

RC session_rotate(struct ctx *ctx, struct txn *txn, const struct session *s, struct bytes hash, enum session_stage stage)
{
    const int64_t now = ctx_now_s(ctx);
    const bool begins = stage == SESSION_DONE && s->stage != SESSION_DONE;
    const struct q_session_rotate_in row = {.id = s->id,
                                            .old = s->hash,
                                            .hash = hash,
                                            .stage = session_stage_word(stage),
                                            .now = now,
                                            .ends_at = begins ? now + SESSION_MOST_S : s->ends_at};
    struct rc rc = q_session_rotate(ctx, txn, &row);
    if (rc.e != E_CHANGED)
        return rc;
    ctx_forget(ctx);
    return ctx_fail(ctx, E_UNAUTHENTICATED, "the session has ended meanwhile; sign in again");
}

RC session_end_all(struct ctx *ctx, struct txn *txn, const char *user, const char *keep)
{
    return q_session_remove_others(ctx, txn, user, keep ? keep : "");
}

static struct rc list_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    const int64_t now = ctx_now_s(ctx);
    return q_session_list(ctx, txn, l->user, now, now - SESSION_IDLE_S, SESSIONS_PER_USER, &l->rows, &l->n);
}

RC session_list(struct ctx *ctx, struct core *core, const char *user, struct session **out, size_t *n)
{
    struct looking l = {.user = user};
    TRY(store_read(ctx, core->store, list_read, &l));
    struct session *all = arena_array(&ctx->arena, l.n, sizeof *all);
    for (size_t i = 0; i < l.n; i++)
        all[i] = session_of(&l.rows[i]);
    *out = all;
    *n = l.n;
    return RC_OK;
}

static struct rc end_one(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct looking *l = arg;
    struct rc rc = q_session_remove(ctx, txn, l->id, l->who->user);
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_NOT_FOUND, "none of your sessions has this id");
    }
    TRY(rc);
    return audit_write(ctx, txn, "session.end", "session", l->id, l->who->team, (struct bytes){0});
}

RC session_end(struct ctx *ctx, struct core *core, const struct session *who, const char *id)
{
    struct looking l = {.who = who, .id = id};
    return store_write(ctx, core->store, end_one, &l);
}

static struct rc end_others(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct looking *l = arg;
    TRY(session_end_all(ctx, txn, l->who->user, l->who->id));
    return audit_write(ctx, txn, "session.end-others", "user", l->who->user, l->who->team, (struct bytes){0});
}

RC session_end_others(struct ctx *ctx, struct core *core, const struct session *who)
{
    struct looking l = {.who = who};
    return store_write(ctx, core->store, end_others, &l);
}
