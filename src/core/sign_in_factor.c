#include "core/sign_in_factor.h"

#include "base/encode.h"
#include "base/random.h"
#include "base/str.h"
#include "base/uri.h"
#include "core/audit.h"
#include "pki/digest.h"
#include "pki/totp.h"
#include "store/queries.h"
#include "wire/messages.h"

struct change {
    struct core *core;
    const struct sign_in_from *from;
    const struct session *s;
    struct sign_in_account account;
    struct q_sign_in_label_row label;
    struct throttle throttle;
    const char *kept, *old; /* password: as it shall be kept, and as it was looked at */
    struct bytes sealed, hash;
    int64_t last, step;
    const char *id;
    struct q_passkey_list_row *rows;
    size_t n;
    const struct passkey_new *passkey;
    const struct sign_in_site *site;
    bool beside; /* good for nothing without a password */
    struct webauthn_made made;
    struct q_recovery_add_in *codes;
    struct signed_in *out;
};

static struct rc may_change(struct ctx *ctx, const struct session *s)
{
    if (s->stage == SESSION_SECOND)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "show your second factor first");
    return s->stage == SESSION_ENROL ? RC_OK : session_fresh(ctx, s);
}

static struct rc signed_in_and_fresh(struct ctx *ctx, const struct session *s)
{
    if (s->stage != SESSION_DONE)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "sign in to the end first: a second factor is missing");
    return session_fresh(ctx, s);
}

static struct rc account(struct ctx *ctx, struct txn *txn, struct change *c)
{
    bool found = false;
    struct q_identity_count_row bound;
    struct q_identity_ldap_count_row directories = {0};
    TRY(sign_in_account_get(ctx, txn, c->s->user, &c->account, &found));
    if (!found || !c->account.active)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "the account is disabled");
    /* Who knows the password alone must not add a factor beside those that were set up meanwhile. */
    if (c->s->stage == SESSION_ENROL && (c->account.totp || c->account.passkey))
        return ctx_fail(ctx, E_UNAUTHENTICATED, "a second factor was set up meanwhile; sign in with it");
    /* What somebody signs in with here alone would outlive their account at the provider. */
    TRY(q_identity_count(ctx, txn, c->account.id, &bound));
    if (bound.n && c->beside)
        TRY(q_identity_ldap_count(ctx, txn, c->account.id, &directories));
    if (bound.n && !directories.n && !c->account.password && !c->account.passkey)
        return ctx_fail(ctx, E_CONFLICT, "you sign in by an identity provider: passwords, passkeys and codes are its affair");
    return RC_OK;
}

static struct rc audit_factor(struct ctx *ctx, struct txn *txn, const struct change *c, const char *action, struct bytes detail)
{
    sign_in_act_as(ctx, c->core, c->account.id, c->account.name, c->account.team);
    return audit_write(ctx, txn, action, "user", c->account.id, c->account.team, detail);
}

/* A session that had to set up a factor is one that needs to show it no more; what was set up is proof enough. */
static struct rc enrolled(struct ctx *ctx, struct txn *txn, struct change *c)
{
    if (c->s->stage == SESSION_ENROL)
        TRY(session_end_all(ctx, txn, c->account.id, c->s->id));
    return sign_in_step(ctx, txn, c->from, c->s, SESSION_DONE, c->account.id, c->passkey ? "passkey" : "totp", c->out);
}

/* --- password */

static struct rc password_begin(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(account(ctx, txn, c));
    return throttle_begin(ctx, txn, c->from, c->account.name, c->account.id, false, &c->throttle);
}

static struct rc password_keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(account(ctx, txn, c));
    if (!str_equal(c->account.password, c->old))
        return ctx_fail(ctx, E_CONFLICT, "the password was changed meanwhile");
    TRY(throttle_passed(ctx, txn, &c->throttle));
    TRY(q_password_set(ctx, txn, c->account.id, c->kept, ctx_now_s(ctx)));
    TRY(session_end_all(ctx, txn, c->account.id, c->s->id));
    TRY(audit_factor(ctx, txn, c, "password.update", (struct bytes){0}));
    return sign_in_step(ctx, txn, c->from, c->s, c->s->stage, c->account.id, "password", c->out);
}

RC factor_password(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s, const char *old,
                   const char *password, struct signed_in *out)
{
    struct change c = {.core = core, .from = from, .s = s, .out = out};
    bool fits = false, weak = false;
    if (s->stage != SESSION_DONE)
        return ctx_fail(ctx, E_UNAUTHENTICATED, "sign in to the end first: a second factor is missing");
    TRY(sign_in_password_fits(ctx, s->name, password));
    TRY(store_write(ctx, core->store, password_begin, &c));
    c.old = c.account.password;
    if (c.old) {
        TRY(sign_in_check(ctx, core, c.old, old ? old : "", true, &fits, &weak));
        if (!fits)
            return ctx_fail_field(ctx, "/old", "this is not your password of now");
    } else {
        TRY(session_fresh(ctx, s));
    }
    TRY(sign_in_hash(ctx, core, password, &c.kept));
    return store_write(ctx, core->store, password_keep, &c);
}

/* --- authenticator apps */

static struct rc totp_put(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(account(ctx, txn, c));
    if (c->account.totp)
        return ctx_fail(ctx, E_EXISTS, "an authenticator app is set up already; remove it first");
    TRY(q_sign_in_label(ctx, txn, c->account.id, &c->label));
    return q_totp_begin(ctx, txn, c->account.id, c->sealed, ctx_now_s(ctx));
}

RC factor_totp_begin(struct ctx *ctx, struct core *core, const struct session *s, const char **text, const char **uri)
{
    struct change c = {.beside = true, .core = core, .s = s};
    SECRET_CLEANUP struct secret key = {0}, typed = {0};
    struct wire_signer_seal in = {.class = WIRE_signer_seal_class_totp_secret, .object = s->user};
    struct wire_signer_sealed sealed;
    TRY(may_change(ctx, s));
    TRY(secret_new(ctx, &key, TOTP_SECRET_LEN));
    random_fill(secret_fill(&key), TOTP_SECRET_LEN);
    TRY(totp_text_new(ctx, &key, &typed));
    TRY(secret_from(ctx, &in.plain, secret_use(&key)));
    struct rc rc = wire_call_signer_seal(ctx, core->signer, &in, &sealed);
    secret_free(&in.plain);
    TRY(rc);
    c.sealed = sealed.sealed;
    TRY(store_write(ctx, core->store, totp_put, &c));
    *text = arena_str(&ctx->arena, secret_use(&typed));
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 4096);
    buf_put_z(&b, "otpauth://totp/Certwright%20");
    put_percent(&b, bytes_z(core->name));
    buf_put_z(&b, ":");
    put_percent(&b, bytes_z(s->name));
    buf_put_z(&b, "?secret=");
    buf_put_z(&b, *text);
    buf_put_z(&b, "&issuer=Certwright%20");
    put_percent(&b, bytes_z(core->name));
    *uri = buf_z(&b);
    return buf_status(&b);
}

static struct rc totp_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    struct q_totp_get_row row;
    bool found = false;
    TRY(account(ctx, txn, c));
    TRY(q_totp_get(ctx, txn, c->account.id, &row, &found));
    if (!found)
        return ctx_fail(ctx, E_CONFLICT, "no authenticator app is being set up: POST /api/v1/me/totp");
    if (row.confirmed_at)
        return ctx_fail(ctx, E_EXISTS, "the authenticator app is set up already");
    c->sealed = row.sealed;
    c->last = row.last_step;
    return throttle_begin(ctx, txn, c->from, c->account.name, c->account.id, true, &c->throttle);
}

static struct rc totp_keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(account(ctx, txn, c));
    struct rc rc = q_totp_take(ctx, txn, c->account.id, c->sealed, c->step, ctx_now_s(ctx));
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_CONFLICT, "another secret was made meanwhile; scan that one");
    }
    TRY(rc);
    TRY(throttle_passed(ctx, txn, &c->throttle));
    TRY(audit_factor(ctx, txn, c, "totp.create", (struct bytes){0}));
    return enrolled(ctx, txn, c);
}

RC factor_totp_confirm(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                       const char *code, struct signed_in *out)
{
    struct change c = {.beside = true, .core = core, .from = from, .s = s, .out = out};
    TRY(may_change(ctx, s));
    TRY(store_write(ctx, core->store, totp_read, &c));
    TRY(sign_in_totp_look(ctx, core, s->user, c.sealed, code, c.last, &c.step));
    if (c.step == 0)
        return ctx_fail_field(ctx, "/code", "this is not the code of now; look at the clock of the device that shows it");
    return store_write(ctx, core->store, totp_keep, &c);
}

static struct rc totp_drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(account(ctx, txn, c));
    if (!c->account.totp)
        return ctx_fail(ctx, E_NOT_FOUND, "no authenticator app is set up");
    if (!c->account.passkey)
        return ctx_fail(ctx, E_CONFLICT, "it is your only second factor; add a passkey before you remove it");
    TRY(q_totp_remove(ctx, txn, c->account.id));
    return audit_factor(ctx, txn, c, "totp.delete", (struct bytes){0});
}

RC factor_totp_remove(struct ctx *ctx, struct core *core, const struct session *s)
{
    struct change c = {.beside = true, .core = core, .s = s};
    TRY(signed_in_and_fresh(ctx, s));
    return store_write(ctx, core->store, totp_drop, &c);
}

/* --- passkeys */

static struct rc passkeys_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    return q_passkey_list(ctx, txn, c->id, PASSKEYS_PER_USER, &c->rows, &c->n);
}

RC factor_passkeys(struct ctx *ctx, struct core *core, const char *user, struct passkey **out, size_t *n)
{
    struct change c = {.id = user};
    TRY(store_read(ctx, core->store, passkeys_read, &c));
    struct passkey *all = arena_array(&ctx->arena, c.n, sizeof *all);
    for (size_t i = 0; i < c.n; i++)
        all[i] = (struct passkey){.id = c.rows[i].id,
                                  .name = c.rows[i].name,
                                  .rp_id = c.rows[i].rp_id,
                                  .transports = c.rows[i].transports,
                                  .credential = c.rows[i].credential,
                                  .created_at = c.rows[i].created_at,
                                  .used_at = c.rows[i].used_at ? *c.rows[i].used_at : 0};
    *out = all;
    *n = c.n;
    return RC_OK;
}

static struct rc passkey_keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    const int64_t now = ctx_now_s(ctx);
    TRY(account(ctx, txn, c));
    struct rc rc = q_passkey_challenge_take(ctx, txn, c->hash, "make", c->s->id, now);
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_INVALID, "what the passkey signed was used already, or is older than %d minutes; begin again",
                        SIGN_IN_CHALLENGE_S / 60);
    }
    TRY(rc);
    TRY(q_passkey_list(ctx, txn, c->account.id, PASSKEYS_PER_USER, &c->rows, &c->n));
    if (c->n == PASSKEYS_PER_USER)
        return ctx_fail(ctx, E_CONFLICT, "there are %d passkeys already; remove one", PASSKEYS_PER_USER);
    const struct q_passkey_add_in in = {.id = c->id,
                                        .user_id = c->account.id,
                                        .name = c->passkey->name,
                                        .rp_id = c->site->rp_id,
                                        .credential = c->made.credential,
                                        .cose = c->made.cose,
                                        .sign_count = c->made.count,
                                        .transports = c->passkey->transports,
                                        .now = now};
    rc = q_passkey_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "the passkey is known already");
    }
    TRY(rc);
    TRY(audit_factor(ctx, txn, c, "passkey.create", audit_facts(ctx, "passkey", c->id, "name", c->passkey->name, NULL)));
    return enrolled(ctx, txn, c);
}

RC factor_passkey_add(struct ctx *ctx, struct core *core, const struct sign_in_from *from, const struct session *s,
                      const struct sign_in_site *site, const struct passkey_new *in, const char **id, struct signed_in *out)
{
    struct change c = {.core = core, .from = from, .s = s, .site = site, .passkey = in, .out = out};
    struct bytes challenge;
    TRY(may_change(ctx, s));
    if (!site->rp_id)
        return ctx_fail(ctx, E_UNSUPPORTED, "passkeys need the hub to be used by a name, not by an address");
    TRY(sign_in_challenge_read(ctx, in->client_data, &challenge, &c.hash));
    const struct webauthn_want want = {.origin = site->origin, .rp_id = site->rp_id, .challenge = challenge};
    TRY(webauthn_made_read(ctx, &want, in->client_data, in->attestation, &c.made));
    c.id = *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    return store_write(ctx, core->store, passkey_keep, &c);
}

static const struct q_passkey_list_row *passkey_of(const struct change *c, const char *id)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_equal(c->rows[i].id, id))
            return &c->rows[i];
    return NULL;
}

static struct rc passkey_drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(account(ctx, txn, c));
    TRY(q_passkey_list(ctx, txn, c->account.id, PASSKEYS_PER_USER, &c->rows, &c->n));
    const struct q_passkey_list_row *row = passkey_of(c, c->id);
    if (!row)
        return ctx_fail(ctx, E_NOT_FOUND, "none of your passkeys has this id");
    if (c->n == 1 && !c->account.totp)
        return ctx_fail(ctx, E_CONFLICT, "it is your only second factor; add another before you remove it");
    TRY(q_passkey_remove(ctx, txn, row->id, c->account.id));
    return audit_factor(ctx, txn, c, "passkey.delete", audit_facts(ctx, "passkey", row->id, "name", row->name, NULL));
}

RC factor_passkey_remove(struct ctx *ctx, struct core *core, const struct session *s, const char *id)
{
    struct change c = {.core = core, .s = s, .id = id};
    TRY(signed_in_and_fresh(ctx, s));
    return store_write(ctx, core->store, passkey_drop, &c);
}

/* --- recovery codes */

static struct rc recovery_keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct change *c = arg;
    TRY(account(ctx, txn, c));
    TRY(q_recovery_remove_all(ctx, txn, c->account.id));
    TRY(q_recovery_add(ctx, txn, c->codes, RECOVERY_CODES));
    return audit_factor(ctx, txn, c, "recovery-codes.create", (struct bytes){0});
}

RC factor_recovery(struct ctx *ctx, struct core *core, const struct session *s, const char *codes[RECOVERY_CODES])
{
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    struct change c = {.beside = true, .core = core, .s = s};
    uint8_t raw[RECOVERY_CODE_LETTERS];
    TRY(signed_in_and_fresh(ctx, s));
    c.codes = arena_array(&ctx->arena, RECOVERY_CODES, sizeof *c.codes);
    for (size_t i = 0; i < RECOVERY_CODES; i++) {
        char text[RECOVERY_CODE_LETTERS + 4];
        size_t n = 0;
        random_fill(raw, sizeof raw);
        for (size_t k = 0; k < sizeof raw; k++) {
            if (k && k % 4 == 0)
                text[n++] = '-';
            text[n++] = letters[raw[k] & 31];
        }
        text[n] = 0;
        codes[i] = arena_strdup(&ctx->arena, text);
        wipe(text, sizeof text);
        c.codes[i].user_id = s->user;
        TRY(sign_in_recovery_hash(ctx, s->user, codes[i], &c.codes[i].hash));
    }
    wipe(raw, sizeof raw);
    return store_write(ctx, core->store, recovery_keep, &c);
}

/* --- reset */

RC factor_reset(struct ctx *ctx, struct txn *txn, const char *user)
{
    TRY(q_password_remove(ctx, txn, user));
    TRY(q_totp_remove(ctx, txn, user));
    TRY(q_passkey_remove_all(ctx, txn, user));
    TRY(q_recovery_remove_all(ctx, txn, user));
    TRY(q_known_remove_all(ctx, txn, user));
    TRY(q_invitation_remove(ctx, txn, user));
    return session_end_all(ctx, txn, user, NULL);
}
