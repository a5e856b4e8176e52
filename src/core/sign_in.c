#include "core/sign_in.h"

#include <errno.h>
#include <pthread.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/provider_sign_in.h"
#include "pki/digest.h"
#include "pki/password.h"
#include "store/queries.h"
#include "wire/messages.h"

#define WRONG "this is not how anybody signs in here: look at name, password and code"

/* --- hashing, a few at a time */

struct sign_in {
    pthread_mutex_t lock;
    pthread_cond_t turn;
    unsigned running, strangers, waiting;
};

RC sign_in_open(struct ctx *ctx, struct core *core)
{
    struct sign_in *s = calloc(1, sizeof *s);
    pthread_condattr_t monotonic;
    if (!s)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for sign-ins");
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->turn, &monotonic);
    pthread_condattr_destroy(&monotonic);
    core->sign_in = s;
    return RC_OK;
}

void sign_in_close(struct core *core)
{
    free(core->sign_in);
    core->sign_in = NULL;
}

static bool may_run(const struct sign_in *s, bool known)
{
    return s->running < SIGN_IN_HASHES && (known || s->strangers < SIGN_IN_HASHES_STRANGERS);
}

static struct rc turn_take(struct ctx *ctx, struct sign_in *s, bool known)
{
    const int64_t left = ctx_left_ms(ctx, 10000);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += left / 1000;
    until.tv_nsec += left % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&s->lock);
    bool mine = may_run(s, known);
    if (!mine && s->waiting < SIGN_IN_WAITING) {
        s->waiting++;
        for (int e = 0; !mine && e != ETIMEDOUT; mine = may_run(s, known))
            e = pthread_cond_timedwait(&s->turn, &s->lock, &until);
        s->waiting--;
    }
    if (mine) {
        s->running++;
        s->strangers += !known;
    }
    pthread_mutex_unlock(&s->lock);
    ctx->retry_after_s = mine ? ctx->retry_after_s : 2;
    return mine ? RC_OK : ctx_fail(ctx, E_BUSY, "too many sign in at once; try again");
}

static void turn_give(struct sign_in *s, bool known)
{
    pthread_mutex_lock(&s->lock);
    s->running--;
    s->strangers -= !known;
    pthread_cond_broadcast(&s->turn);
    pthread_mutex_unlock(&s->lock);
}

/* Takes a password out of the request: what is left there is wiped. */
static struct rc secret_take(struct ctx *ctx, const char *text, struct secret *out)
{
    const size_t n = strlen(text);
    if (n > PASSWORD_BYTES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "a password has at most %d bytes", PASSWORD_BYTES_MAX);
    struct rc rc = secret_from(ctx, out, bytes_of(text, n));
    wipe((void *)(uintptr_t)text, n);
    return rc;
}

RC sign_in_hash(struct ctx *ctx, struct core *core, const char *password, const char **kept)
{
    SECRET_CLEANUP struct secret s = {0};
    TRY(secret_take(ctx, password, &s));
    TRY(turn_take(ctx, core->sign_in, true));
    struct rc rc = password_hash(ctx, &s, kept);
    turn_give(core->sign_in, true);
    return rc;
}

/* What is checked where nothing is kept: it costs the same, and nobody knows its password. */
static const char *nothing_kept(struct ctx *ctx)
{
    return arena_printf(&ctx->arena, "$argon2id$v=19$m=%d,t=%d,p=1$Y2VydHdyaWdodC1ub2JvZA$%s", PASSWORD_MEMORY_KIB, PASSWORD_PASSES,
                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
}

RC sign_in_check(struct ctx *ctx, struct core *core, const char *kept, const char *password, bool known, bool *fits, bool *weak)
{
    SECRET_CLEANUP struct secret s = {0};
    *fits = *weak = false;
    TRY(secret_take(ctx, password, &s));
    TRY(turn_take(ctx, core->sign_in, known));
    struct rc rc = password_check(ctx, kept ? kept : nothing_kept(ctx), &s, fits, weak);
    turn_give(core->sign_in, known);
    *fits = *fits && kept;
    return rc;
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

RC sign_in_password_fits(struct ctx *ctx, const char *name, const char *password)
{
    bool seen[256] = {false};
    int different = 0;
    if (characters(password) < PASSWORD_CHARACTERS_MIN)
        return ctx_fail_field(ctx, "/password", "a password has at least %d characters; several words make a good one",
                              PASSWORD_CHARACTERS_MIN);
    for (const char *p = password; *p; p++) {
        different += !seen[(uint8_t)*p];
        seen[(uint8_t)*p] = true;
    }
    if (different < 6)
        return ctx_fail_field(ctx, "/password", "the password repeats a few characters; several words make a good one");
    const struct bytes p = bytes_z(password), n = bytes_z(name);
    for (size_t i = 0; n.n >= 3 && i + n.n <= p.n; i++)
        if (bytes_equal_nocase(bytes_of(p.p + i, n.n), n) && p.n - n.n < PASSWORD_CHARACTERS_MIN)
            return ctx_fail_field(ctx, "/password", "the password is little more than the name; several words make a good one");
    return RC_OK;
}

/* --- accounts */

void sign_in_act_as(struct ctx *ctx, const struct core *core, const char *user, const char *name, const char *team)
{
    const struct principal p = {.kind = PRINCIPAL_USER,
                                .id = user,
                                .name = arena_printf(&ctx->arena, "user:%s", name),
                                .team = team,
                                .role = "",
                                .user = user};
    (void)core;
    ctx->principal = arena_dup(&ctx->arena, &p, sizeof p);
}

static struct sign_in_account account_of(const struct q_sign_in_account_row *r)
{
    return (struct sign_in_account){.id = r->id,
                                    .team = r->team_id,
                                    .name = r->name,
                                    .password = r->password,
                                    .active = str_equal(r->state, "active") && str_equal(r->kind, "person"),
                                    .totp = r->totp > 0,
                                    .passkey = r->passkeys > 0,
                                    .recovery = r->codes > 0};
}

RC sign_in_account_get(struct ctx *ctx, struct txn *txn, const char *id, struct sign_in_account *out, bool *found)
{
    struct q_sign_in_account_row row;
    *out = (struct sign_in_account){0};
    TRY(q_sign_in_account_id(ctx, txn, id, &row, found));
    if (*found)
        *out = account_of(&row);
    return RC_OK;
}

/* --- steps */

RC sign_in_step(struct ctx *ctx, struct txn *txn, const struct sign_in_from *from, const struct session *s,
                enum session_stage stage, const char *user, const char *by, struct signed_in *out)
{
    struct sign_in_account a;
    bool found = false;
    struct bytes hash, device_hash;
    const char *id = s ? s->id : NULL;
    TRY(sign_in_account_get(ctx, txn, user, &a, &found));
    if (!found || !a.active)
        return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
    *out = (struct signed_in){.totp = a.totp, .passkey = a.passkey, .recovery = a.recovery};
    TRY(session_text_new(ctx, &out->cookie, &hash));
    if (s) {
        TRY(session_rotate(ctx, txn, s, hash, stage));
    } else {
        const struct session_new in = {
            .user = user, .address = from->address, .client = from->client, .hash = hash, .stage = stage};
        TRY(session_add(ctx, txn, &in, &id));
    }
    struct q_session_by_hash_row row;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_session_by_hash(ctx, txn, hash, now, now - SESSION_IDLE_S, &row, &found));
    if (!found)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the session has ended meanwhile; sign in again");
    out->session = (struct session){.id = id,
                                    .user = user,
                                    .name = a.name,
                                    .team = a.team,
                                    .stage = stage,
                                    .created_at = row.created_at,
                                    .used_at = row.used_at,
                                    .confirmed_at = row.confirmed_at,
                                    .ends_at = row.ends_at,
                                    .address = row.address,
                                    .client = row.client,
                                    .hash = hash};
    if (stage != SESSION_DONE)
        return RC_OK;
    struct sign_in_from known = *from;
    if (!known.device) {
        TRY(session_text_new(ctx, &out->device, &device_hash));
        known.device = out->device;
    }
    TRY(throttle_know(ctx, txn, &known, user));
    sign_in_act_as(ctx, NULL, user, a.name, a.team);
    const bool anew = s && s->stage == SESSION_DONE;
    return audit_write(ctx, txn, anew ? "session.confirm" : "session.create", "session", id, a.team,
                       audit_facts(ctx, "by", by, "client", from->client, NULL));
}

struct step {
    struct core *core;
    const struct sign_in_from *from;
    const struct session *s;
    const char *name, *user;
    bool second;
    struct throttle throttle;
    struct sign_in_account account;
    bool found, weak;
    const char *kept, *fresh; /* the password's hash as it was looked at, and made anew */
    struct bytes sealed, hash;
    int64_t last, step;
    struct signed_in *out;
};

/* Counts the try, and reads what it is to be held against. */
static struct rc step_begin(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    struct q_sign_in_account_row row;
    st->found = false;
    if (st->s)
        TRY(q_sign_in_account_id(ctx, txn, st->s->user, &row, &st->found));
    else
        TRY(q_sign_in_account(ctx, txn, st->name, &row, &st->found));
    st->account = st->found ? account_of(&row) : (struct sign_in_account){0};
    TRY(throttle_begin(ctx, txn, st->from, st->s ? st->s->name : st->name, st->account.id, st->second, &st->throttle));
    if (!st->throttle.first_wait || !st->found)
        return RC_OK;
    sign_in_act_as(ctx, st->core, st->account.id, st->account.name, st->account.team);
    return audit_write(ctx, txn, "session.throttle", "user", st->account.id, st->account.team, (struct bytes){0});
}

/* It was not looked at: nothing is held against anybody. */
static struct rc step_undo(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct step *st = arg;
    TRY(q_failure_less(ctx, txn, st->throttle.own));
    return st->throttle.address ? q_failure_less(ctx, txn, st->throttle.address) : RC_OK;
}

/* Ends a look that failed; one that was not finished counts as none. */
static struct rc step_failed(struct ctx *ctx, struct step *st, struct rc why)
{
    if (rc_ok(why))
        return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
    TRY(store_write(ctx, st->core->store, step_undo, st));
    return why;
}

/* --- passwords */

static struct rc password_take(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    struct sign_in_account now;
    bool found = false;
    TRY(sign_in_account_get(ctx, txn, st->account.id, &now, &found));
    if (!found || !now.active || !str_equal(now.password, st->kept))
        return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
    TRY(throttle_passed(ctx, txn, &st->throttle));
    if (st->fresh)
        TRY(q_password_upgrade(ctx, txn, now.id, st->kept, st->fresh));
    const enum session_stage stage = st->s ? st->s->stage : now.totp || now.passkey ? SESSION_SECOND : SESSION_ENROL;
    return sign_in_step(ctx, txn, st->from, st->s, stage, now.id, "password", st->out);
}

static struct rc password_step(struct ctx *ctx, struct step *st, const char *password)
{
    bool fits = false;
    SECRET_CLEANUP struct secret again = {0};
    TRY(store_write(ctx, st->core->store, step_begin, st));
    TRY(secret_from(ctx, &again, bytes_z(password)));
    st->kept = st->account.active ? st->account.password : NULL;
    struct rc rc = sign_in_check(ctx, st->core, st->kept, password, st->throttle.known, &fits, &st->weak);
    if (rc_failed(rc) || !fits)
        return step_failed(ctx, st, rc);
    if (st->weak) {
        TRY(turn_take(ctx, st->core->sign_in, true));
        rc = password_hash(ctx, &again, &st->fresh);
        turn_give(st->core->sign_in, true);
        TRY(rc);
    }
    return store_write(ctx, st->core->store, password_take, st);
}

RC sign_in_password(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const char *name, const char *password,
                    struct signed_in *out)
{
    struct step st = {.core = core, .from = from, .name = name, .out = out};
    return password_step(ctx, &st, password);
}

RC sign_in_confirm(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                   const char *password, struct signed_in *out)
{
    struct step st = {.core = core, .from = from, .s = s, .out = out};
    return password_step(ctx, &st, password);
}

/* --- codes */

RC sign_in_totp_look(struct ctx *ctx, struct core *core, const char *user, struct bytes sealed, const char *code, int64_t last,
                     int64_t *step)
{
    const struct wire_signer_totp_check in = {.object = user, .sealed = sealed, .code = code, .after = last};
    struct wire_signer_totp_checked out = {0};
    *step = 0;
    TRY(wire_call_signer_totp_check(ctx, core->signer, &in, &out));
    *step = out.step;
    return RC_OK;
}

static struct rc totp_begin(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    struct q_totp_get_row row;
    bool found = false;
    TRY(step_begin(ctx, txn, arg));
    TRY(q_totp_get(ctx, txn, st->s->user, &row, &found));
    st->sealed = found && row.confirmed_at ? row.sealed : (struct bytes){0};
    st->last = found ? row.last_step : 0;
    return RC_OK;
}

static struct rc used_already(struct ctx *ctx, struct rc rc)
{
    if (rc.e != E_CHANGED)
        return rc;
    ctx_forget(ctx);
    return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
}

static struct rc totp_taken(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    TRY(used_already(ctx, q_totp_take(ctx, txn, st->s->user, st->sealed, st->step, ctx_now_s(ctx))));
    TRY(throttle_passed(ctx, txn, &st->throttle));
    return sign_in_step(ctx, txn, st->from, st->s, SESSION_DONE, st->s->user, "totp", st->out);
}

RC sign_in_totp(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s, const char *code,
                struct signed_in *out)
{
    struct step st = {.core = core, .from = from, .s = s, .second = true, .out = out};
    if (s->stage == SESSION_ENROL)
        return ctx_fail(ctx, E_CONFLICT, "no second factor is set up yet: POST /api/v1/me/totp");
    TRY(store_write(ctx, core->store, totp_begin, &st));
    struct rc rc = st.sealed.n ? sign_in_totp_look(ctx, core, s->user, st.sealed, code, st.last, &st.step) : RC_OK;
    if (rc_failed(rc) || st.step == 0)
        return step_failed(ctx, &st, rc);
    return store_write(ctx, core->store, totp_taken, &st);
}

RC sign_in_recovery_hash(struct ctx *ctx, const char *user, const char *code, struct bytes *hash)
{
    char text[RECOVERY_CODE_LETTERS];
    size_t n = 0;
    for (; *code; code++) {
        if (*code == '-' || *code == ' ')
            continue;
        if (n == sizeof text)
            return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
        text[n++] = *code >= 'a' && *code <= 'z' ? (char)(*code - 'a' + 'A') : *code;
    }
    if (n != sizeof text)
        return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
    uint8_t *mac = arena_alloc(&ctx->arena, SHA256_LEN);
    struct rc rc = digest_hmac_sha256(ctx, bytes_z(user), bytes_of(text, n), mac);
    wipe(text, sizeof text);
    *hash = bytes_of(mac, SHA256_LEN);
    return rc;
}

static struct rc recovery_taken(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct step *st = arg;
    TRY(used_already(ctx, q_recovery_take(ctx, txn, st->s->user, st->hash, ctx_now_s(ctx))));
    TRY(throttle_passed(ctx, txn, &st->throttle));
    return sign_in_step(ctx, txn, st->from, st->s, SESSION_DONE, st->s->user, "recovery-code", st->out);
}

RC sign_in_recovery(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s, const char *code,
                    struct signed_in *out)
{
    struct step st = {.core = core, .from = from, .s = s, .second = true, .out = out};
    if (s->stage != SESSION_SECOND)
        return ctx_fail(ctx, E_CONFLICT, "a recovery code stands in for the second factor when one signs in");
    TRY(store_write(ctx, core->store, step_begin, &st));
    TRY(sign_in_recovery_hash(ctx, s->user, code, &st.hash));
    return store_write(ctx, core->store, recovery_taken, &st);
}

/* --- passkeys */

struct passkey_step {
    struct core *core;
    const struct sign_in_from *from;
    const struct session *s;
    const char *purpose;
    struct bytes credential, hash;
    struct q_passkey_list_row key;
    struct webauthn_used used;
    bool found;
    struct signed_in *out;
};

static struct rc challenge_keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct passkey_step *st = arg;
    struct q_passkey_challenge_count_row row;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_passkey_challenge_count(ctx, txn, st->from->address, now, &row));
    if (row.open >= SIGN_IN_CHALLENGES_PER_ADDRESS) {
        ctx->retry_after_s = 60;
        return ctx_fail(ctx, E_RATE_LIMITED, "too many sign-ins were begun from this address; try again in a minute");
    }
    const struct q_passkey_challenge_add_in in = {.hash = st->hash,
                                                  .purpose = st->purpose,
                                                  .session_id = st->s ? st->s->id : "",
                                                  .address = st->from->address,
                                                  .expires_at = now + SIGN_IN_CHALLENGE_S};
    return q_passkey_challenge_add(ctx, txn, &in);
}

RC sign_in_challenge(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                     const char *purpose, struct bytes *challenge)
{
    struct passkey_step st = {.core = core, .from = from, .s = s, .purpose = purpose};
    uint8_t *raw = arena_alloc(&ctx->arena, WEBAUTHN_CHALLENGE_LEN);
    random_fill(raw, WEBAUTHN_CHALLENGE_LEN);
    *challenge = bytes_of(raw, WEBAUTHN_CHALLENGE_LEN);
    TRY(digest_sha256_new(ctx, *challenge, &st.hash));
    return store_write(ctx, core->store, challenge_keep, &st);
}

RC sign_in_challenge_read(struct ctx *ctx, struct bytes client_data, struct bytes *challenge, struct bytes *hash)
{
    json_auto_t *root = NULL;
    const char *text = NULL;
    if (client_data.n > WEBAUTHN_CLIENT_DATA_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "clientDataJSON is longer than %d bytes", WEBAUTHN_CLIENT_DATA_MAX);
    TRY(json_read(ctx, client_data, &root));
    TRY(json_get_str(ctx, root, "challenge", true, &text));
    if (!get_base64url(&ctx->arena, bytes_z(text), challenge) || challenge->n != WEBAUTHN_CHALLENGE_LEN)
        return ctx_fail(ctx, E_INVALID, "the passkey's answer is to no challenge of ours");
    return digest_sha256_new(ctx, *challenge, hash);
}

static struct rc passkey_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct passkey_step *st = arg;
    return q_passkey_by_credential(ctx, txn, st->credential, &st->key, &st->found);
}

static struct rc passkey_taken(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct passkey_step *st = arg;
    const int64_t now = ctx_now_s(ctx);
    struct rc rc = q_passkey_challenge_take(ctx, txn, st->hash, "use", st->s ? st->s->id : "", now);
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_UNAUTHENTICATED,
                        "what the passkey signed was used already, or is older than %d minutes; begin again",
                        SIGN_IN_CHALLENGE_S / 60);
    }
    TRY(rc);
    rc = q_passkey_used(ctx, txn, st->key.id, st->key.sign_count, st->used.count, now);
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the passkey was used elsewhere at the same time; begin again");
    }
    TRY(rc);
    return sign_in_step(ctx, txn, st->from, st->s, SESSION_DONE, st->key.user_id, "passkey", st->out);
}

static struct rc copied_note(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct passkey_step *st = arg;
    struct sign_in_account a;
    bool found = false;
    TRY(sign_in_account_get(ctx, txn, st->key.user_id, &a, &found));
    if (!found)
        return RC_OK;
    sign_in_act_as(ctx, st->core, a.id, a.name, a.team);
    return audit_write(ctx, txn, "passkey.copied", "passkey", st->key.id, a.team, (struct bytes){0});
}

RC sign_in_passkey(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                   const struct sign_in_site *site, const struct passkey_answer *answer, struct signed_in *out)
{
    struct passkey_step st = {.core = core, .from = from, .s = s, .credential = answer->credential, .out = out};
    struct bytes challenge;
    if (s && s->stage == SESSION_ENROL)
        return ctx_fail(ctx, E_CONFLICT, "no second factor is set up yet: POST /api/v1/me/passkeys");
    if (!site->rp_id)
        return ctx_fail(ctx, E_UNSUPPORTED, "passkeys need the hub to be used by a name, not by an address");
    TRY(sign_in_challenge_read(ctx, answer->client_data, &challenge, &st.hash));
    TRY(store_read(ctx, core->store, passkey_read, &st));
    if (!st.found || (s && !str_equal(st.key.user_id, s->user)))
        return ctx_fail(ctx, E_UNAUTHENTICATED, WRONG);
    const struct webauthn_want want = {.origin = site->origin, .rp_id = site->rp_id, .challenge = challenge, .user_verified = !s};
    struct rc rc =
        webauthn_used_read(ctx, &want, st.key.cose, answer->client_data, answer->authenticator_data, answer->signature, &st.used);
    if (rc_failed(rc) && err_info(rc.e)->category == CAT_INPUT) {
        const char *why = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the passkey was not accepted: %s", why);
    }
    TRY(rc);
    if (!webauthn_count_fits((uint32_t)st.key.sign_count, st.used.count)) {
        TRY(store_write(ctx, core->store, copied_note, &st));
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the passkey counts less uses than were seen: there is a copy of it; remove it");
    }
    return store_write(ctx, core->store, passkey_taken, &st);
}

/* --- the end */

static struct rc out_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct session *s = arg;
    struct rc rc = q_session_remove(ctx, txn, s->id, s->user);
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    return audit_write(ctx, txn, "session.end", "session", s->id, s->team, (struct bytes){0});
}

RC sign_in_out(struct ctx *ctx, struct core *core, const struct session *s)
{
    struct session copy = *s;
    return store_write(ctx, core->store, out_write, &copy);
}

RC sign_in_expire(struct ctx *ctx, struct txn *txn)
{
    const int64_t now = ctx_now_s(ctx);
    TRY(q_session_expire(ctx, txn, now, now - SESSION_IDLE_S));
    TRY(q_passkey_challenge_expire(ctx, txn, now));
    TRY(q_failure_expire(ctx, txn, now - THROTTLE_FORGET_S));
    TRY(q_known_expire(ctx, txn, now - THROTTLE_KNOWN_S));
    TRY(provider_sign_in_expire(ctx, txn));
    return q_invitation_expire(ctx, txn, now);
}
