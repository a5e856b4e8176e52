#include "signer/signer.h"

#include <unistd.h>

#include "base/encode.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "os/file.h"
#include "pki/seal.h"
#include "signer/people.h"

#define BATCH_MAX 64

/* --- one batch */

RC work_journal(struct signer *s, struct work *w, enum record_type type, const struct buf *content)
{
    TRY(buf_status(content));
    w->would = true;
    if (w->dry)
        return RC_OK;
    struct work_record *r = ARENA_NEW(&w->ctx->arena, struct work_record);
    int64_t now = clock_unix_s(s->clock);
    r->record =
        (struct signer_record){.type = (uint8_t)type, .time = now, .content = arena_bytes(&w->ctx->arena, buf_bytes(content))};
    r->record.offset = signer_journal_append(s->journal, (uint8_t)type, now, r->record.content);
    if (w->last != NULL)
        w->last->next = r;
    else
        w->records = r;
    w->last = r;
    return RC_OK;
}

static RC health_begin(struct signer *s, struct work *w)
{
    struct wire_signer_healthy *out = w->out;
    *out =
        (struct wire_signer_healthy){.keys = s->keys.keys, .journal_bytes = signer_journal_size(s->journal), .sandbox = s->sandbox};
    return RC_OK;
}

/* One row a message.  Two requests of the same group about the same object do not stand in one batch: the second sees what the
 * first did; of GROUP_PEOPLE no two at all.  With `change` it is an officer's, which two people may be needed for. */
enum group { GROUP_NONE, GROUP_REQUEST, GROUP_CA, GROUP_ACCOUNT, GROUP_ATTEMPT, GROUP_LOG, GROUP_DOWNLOAD, GROUP_PEOPLE };
#define OBJECT(message, member) offsetof(struct wire_##message, member)
static const struct row {
    uint16_t type;
    enum group group;
    size_t object; /* where its name stands in the message: const char * */
    RC (*begin)(struct signer *s, struct work *w);
    bool change;
} rows[] = {
    {WIRE_signer_ca_create, GROUP_CA, OBJECT(signer_ca_create, ca), ca_create_begin, false},
    {WIRE_signer_ca_import, GROUP_CA, OBJECT(signer_ca_import, ca), ca_import_begin, true},
    {WIRE_signer_ca_show, GROUP_NONE, 0, ca_show_begin, false},
    {WIRE_signer_ca_list, GROUP_NONE, 0, ca_list_begin, false},
    {WIRE_signer_issue, GROUP_REQUEST, OBJECT(signer_issue, request_id), issue_begin, false},
    {WIRE_signer_issue_fleet, GROUP_REQUEST, OBJECT(signer_issue_fleet, request_id), issue_fleet_begin, false},
    {WIRE_signer_revoke, GROUP_REQUEST, OBJECT(signer_revoke, request_id), revoke_begin, false},
    {WIRE_signer_crl, GROUP_CA, OBJECT(signer_crl, ca), crl_begin, false},
    {WIRE_signer_ceilings_get, GROUP_NONE, 0, ceilings_get_begin, false},
    {WIRE_signer_ceilings_set, GROUP_CA, OBJECT(signer_ceilings_set, ca), ceilings_set_begin, true},
    {WIRE_signer_acme_account, GROUP_ACCOUNT, OBJECT(signer_acme_account, account), acme_account_begin, false},
    {WIRE_signer_acme_change_key, GROUP_ACCOUNT, OBJECT(signer_acme_change_key, account), acme_change_key_begin, false},
    {WIRE_signer_acme_pin, GROUP_ATTEMPT, OBJECT(signer_acme_pin, attempt), acme_pin_begin, false},
    {WIRE_signer_acme_sign, GROUP_NONE, 0, acme_sign_begin, false},
    {WIRE_signer_acme_keyauth, GROUP_NONE, 0, acme_keyauth_begin, false},
    {WIRE_signer_audit_head, GROUP_LOG, OBJECT(signer_audit_head, log), audit_head_begin, false},
    {WIRE_signer_audit_last, GROUP_NONE, 0, audit_last_begin, false},
    {WIRE_signer_audit_accept, GROUP_LOG, OBJECT(signer_audit_accept, log), audit_accept_begin, true},
    {WIRE_signer_seal, GROUP_NONE, 0, seal_begin, false},
    {WIRE_signer_totp_check, GROUP_NONE, 0, totp_check_begin, false},
    {WIRE_signer_download_make, GROUP_DOWNLOAD, OBJECT(signer_download_make, attempt), download_make_begin, false},
    {WIRE_signer_download_take, GROUP_DOWNLOAD, OBJECT(signer_download_take, attempt), download_take_begin, false},
    {WIRE_signer_download_forget, GROUP_DOWNLOAD, OBJECT(signer_download_forget, attempt), download_forget_begin, false},
    {WIRE_signer_copy_list, GROUP_NONE, 0, copy_list_begin, false},
    {WIRE_signer_copy_read, GROUP_NONE, 0, copy_read_begin, false},
    {WIRE_signer_history, GROUP_NONE, 0, history_begin, false},
    {WIRE_signer_protect, GROUP_PEOPLE, 0, protect_begin, true},
    {WIRE_signer_protection_get, GROUP_NONE, 0, protection_get_begin, false},
    {WIRE_signer_proposal_list, GROUP_NONE, 0, proposal_list_begin, false},
    {WIRE_signer_approve, GROUP_PEOPLE, 0, approve_begin, false},
    {WIRE_signer_withdraw, GROUP_PEOPLE, 0, withdraw_begin, false},
    {WIRE_signer_health, GROUP_NONE, 0, health_begin, false},
};

static const struct row *row_of(uint16_t type)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].type == type)
            return &rows[i];
    return NULL;
}

static const char *object_of(const struct work *w, const struct row *row)
{
    const char *name = NULL;
    memcpy(&name, (const char *)w->in + row->object, sizeof name);
    return name;
}

static bool meets(const struct work *works, size_t n, const struct work *w)
{
    const struct row *row = row_of(w->type);
    if (row == NULL || row->group == GROUP_NONE)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct row *other = row_of(works[i].type);
        if (other == NULL || other->group == GROUP_NONE)
            continue;
        /* What two people change may be of any object. */
        if (row->change || row->group == GROUP_PEOPLE ? other->change || other->group == GROUP_PEOPLE : false)
            return true;
        if (other->group == row->group && strcmp(object_of(&works[i], other), object_of(w, row)) == 0)
            return true;
    }
    return false;
}

/* The wire has checked who may ask what; so does the signer. */
static RC work_begin(struct signer *s, struct work *w)
{
    const struct wire_codec *codec = wire_codec_of(w->type);
    const struct row *row = row_of(w->type);
    if (row == NULL || codec == NULL)
        return ctx_fail(w->ctx, E_UNSUPPORTED, "the signer does not know this message");
    if ((codec->from & wire_role_bit(w->from)) == 0)
        return ctx_fail(w->ctx, E_FORBIDDEN, "%s is for %s", codec->name,
                        strcmp(w->from, "hub") == 0 ? "CA officers alone" : "the hub");
    return row->change && s->protect_on ? people_keep(s, w, row->begin) : row->begin(s, w);
}

people_begin_fn *people_row(const char *message, uint16_t *type)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].change && strcmp(wire_codec_of(rows[i].type)->name, message) == 0) {
            *type = rows[i].type;
            return rows[i].begin;
        }
    return NULL;
}

/* Brings to the disk what the works have put into the journal, and takes it into the state. */
static void work_commit(struct signer *s, struct work *works, size_t n)
{
    struct ctx ctx CTX_CLEANUP = {0};
    ctx_init(&ctx, s->clock);
    bool some = false;
    for (size_t i = 0; i < n; i++)
        some |= works[i].records != NULL;
    if (!some)
        return;
    struct rc rc = signer_journal_commit(&ctx, s->journal);
    for (size_t i = 0; i < n; i++) {
        struct work *w = &works[i];
        for (struct work_record *r = w->records; r != NULL; r = r->next) {
            if (rc_failed(rc)) {
                if (rc_ok(w->rc))
                    w->rc = ctx_fail(w->ctx, rc.e, "%s", ctx_why(&ctx));
                break;
            }
            /* On the disk and not in the state: only a restart can tell what holds. */
            struct rc applied = state_apply(w->ctx, s, &r->record);
            if (rc_failed(applied)) {
                log_event(LOG_ERROR_, "journal_record_not_applied", "why", ctx_why(w->ctx), NULL);
                abort();
            }
        }
        w->records = w->last = NULL;
    }
}

static void work_batch(struct signer *s, struct work *works, size_t n)
{
    for (size_t i = 0; i < n; i++)
        works[i].rc = work_begin(s, &works[i]);
    work_commit(s, works, n);
    FAILPOINT("signer.intent_written");
    for (size_t i = 0; i < n; i++)
        if (rc_ok(works[i].rc) && works[i].sign != NULL)
            works[i].rc = works[i].sign(s, &works[i]);
    work_commit(s, works, n);
    FAILPOINT("signer.result_written");
    for (size_t i = 0; i < n; i++)
        if (rc_ok(works[i].rc) && works[i].answer != NULL)
            works[i].rc = works[i].answer(s, &works[i]);
    for (struct ca *ca = s->cas; ca != NULL; ca = ca->next)
        ca->issuing = 0;
    s->taking = 0;
}

void signer_work(struct signer *s, struct work *works, size_t n)
{
    size_t from = 0;
    for (size_t i = 1; i <= n; i++)
        if (i == n || meets(works + from, i - from, &works[i])) {
            work_batch(s, works + from, i - from);
            from = i;
        }
}

/* --- the loop */

static void answer_all(struct wire_request **reqs, struct work *works, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rc_ok(works[i].rc))
            wire_answer(reqs[i], works[i].out);
        else
            wire_answer_error(reqs[i], NULL, works[i].rc);
    }
}

RC signer_serve(struct ctx *ctx, struct signer *s, struct wire_server *server)
{
    struct wire_request *reqs[BATCH_MAX];
    for (size_t n; (n = wire_receive_batch(server, BATCH_MAX, reqs)) > 0;) {
        struct work works[BATCH_MAX] = {0};
        for (size_t i = 0; i < n; i++) {
            const struct wire_codec *codec = wire_codec_of(reqs[i]->type);
            const struct wire_codec *reply = codec == NULL ? NULL : wire_codec_of(codec->reply);
            works[i] = (struct work){.ctx = &reqs[i]->ctx,
                                     .type = reqs[i]->type,
                                     .from = reqs[i]->from,
                                     .uid = reqs[i]->uid,
                                     .in = reqs[i]->in,
                                     .out = arena_alloc(&reqs[i]->ctx.arena, reply == NULL ? 1 : reply->size)};
        }
        signer_work(s, works, n);
        FAILPOINT("signer.before_answer");
        answer_all(reqs, works, n);
        if (signer_journal_size(s->journal) > s->compact_at) {
            struct rc rc = state_compact(ctx, s);
            if (rc_failed(rc)) {
                log_event(LOG_ERROR_, "journal_not_compacted", "why", ctx_why(ctx), NULL);
                s->compact_at = signer_journal_size(s->journal) * 2;
            }
            ctx_reset(ctx);
        }
    }
    return RC_OK;
}

static RC read_kek(struct ctx *ctx, struct role_env *env, struct secret *out)
{
    struct secret file SECRET_CLEANUP = {0};
    int fd FD_CLEANUP = role_credential(env, SIGNER_CREDENTIAL);
    if (fd < 0)
        return ctx_fail(ctx, E_NOT_FOUND, "the signer was given no key-encryption key");
    TRY(file_read_secret(ctx, fd, "the key-encryption key", 4096, &file));
    struct bytes text = secret_use(&file);
    if (text.n == SEAL_KEK_LEN)
        return secret_from(ctx, out, text);
    while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
        text.n--;
    if (text.n != (size_t)2 * SEAL_KEK_LEN)
        return ctx_fail(ctx, E_INVALID, "the key-encryption key is neither 32 bytes nor 64 hex digits");
    TRY(secret_new(ctx, out, SEAL_KEK_LEN));
    uint8_t *p = secret_fill(out);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0)
            return ctx_fail(ctx, E_INVALID, "the key-encryption key is neither 32 bytes nor 64 hex digits");
        p[i / 2] = (uint8_t)(p[i / 2] << 4 | digit);
    }
    return RC_OK;
}

RC signer_run(struct ctx *ctx, struct role_env *env)
{
    struct signer_settings settings;
    struct secret kek SECRET_CLEANUP = {0};
    struct signer *s = NULL;
    struct wire_listener *listener = NULL;
    TRY(signer_settings_read(ctx, role_config(env), &settings));
    TRY(read_kek(ctx, env, &kek));
    struct signer_config config = {.dir = settings.state,
                                   .blocklists = settings.blocklists,
                                   .officer = settings.officer,
                                   .clock = role_clock(env),
                                   .sandbox = role_sandbox_state(env)};
    TRY(signer_open(ctx, &config, &kek, &s));
    struct rc rc = RC_OK;
    int socket = role_listener(env, SIGNER_LISTENER);
    if (socket >= 0) {
        uid_t officers[] = {0, settings.officer};
        rc = wire_listener_start(ctx, role_server(env), socket, "signer", "officer", officers, 2, &listener);
    }
    if (rc_ok(rc)) {
        struct ctx own CTX_CLEANUP = {0};
        ctx_init(&own, role_clock(env));
        role_ready(env, "signer ready");
        rc = signer_serve(&own, s, role_server(env));
    }
    if (listener != NULL)
        wire_listener_stop(listener);
    signer_close(s);
    return rc;
}
