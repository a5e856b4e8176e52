#include "core/revocation.h"

#include "base/encode.h"
#include "base/str.h"
#include "core/access.h"
#include "core/ask.h"
#include "core/audit.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/outside.h"
#include "pki/crl.h"
#include "pki/name_text.h"

#define LOOK_AGAIN_S 600 /* served is told at once; this is for what was not */

enum { KEY_COMPROMISE = 1, AFFILIATION_CHANGED = 3, SUPERSEDED = 4, CESSATION = 5 };

/* Those that a subscriber may state (RFC 5280 section 5.3.1). */
static const struct {
    const char *word;
    int64_t code;
} reasons[] = {
    {"unspecified", 0},         {"keyCompromise", KEY_COMPROMISE},   {"affiliationChanged", AFFILIATION_CHANGED},
    {"superseded", SUPERSEDED}, {"cessationOfOperation", CESSATION}, {"privilegeWithdrawn", 9},
};

RC revocation_reason(struct ctx *ctx, const char *word, int64_t *code)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (str_equal(reasons[i].word, word)) {
            *code = reasons[i].code;
            return RC_OK;
        }
    return ctx_fail_field(ctx, "/reason",
                          "a reason is unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or "
                          "privilegeWithdrawn; not %s",
                          word);
}

RC revocation_check(struct ctx *ctx, int64_t code)
{
    if (code < 0 || code > 10 || code == 7 || code == 8)
        return ctx_fail_field(ctx, "/reason", "reasons of revocation are 0 to 6, 9 and 10 (RFC 5280 section 5.3.1)");
    return RC_OK;
}

bool revocation_waits(int64_t code, enum revocation_when when)
{
    return when == REVOCATION_FIRST ||
           (when == REVOCATION_USUAL && (code == AFFILIATION_CHANGED || code == SUPERSEDED || code == CESSATION));
}

bool revocation_renews(int64_t code, enum revocation_when when)
{
    return code == SUPERSEDED || revocation_waits(code, when);
}

/* --- one version */

RC revocation_key_is_known(struct ctx *ctx, struct txn *txn, struct bytes spki_sha256, bool *known)
{
    struct q_compromised_key_get_row row;
    *known = false;
    return spki_sha256.n ? q_compromised_key_get(ctx, txn, spki_sha256, &row, known) : RC_OK;
}

static struct rc key_of(struct ctx *ctx, struct bytes der, struct bytes *spki_sha256)
{
    CERT_HASHER_CLEANUP struct cert_hasher *hasher = NULL;
    struct cert_fields cert;
    struct cert_digests digests;
    TRY(cert_read(ctx, der, &cert));
    TRY(cert_hasher_new(ctx, &hasher));
    TRY(cert_digest(ctx, hasher, &cert, &digests));
    *spki_sha256 = arena_bytes(&ctx->arena, bytes_of(digests.spki_sha256, SHA256_LEN));
    return RC_OK;
}

static struct rc key_note(struct ctx *ctx, struct txn *txn, struct bytes der, int64_t code)
{
    struct bytes spki;
    if (code != KEY_COMPROMISE)
        return RC_OK;
    TRY(key_of(ctx, der, &spki));
    return q_compromised_key_add(ctx, txn, spki, ctx->principal ? ctx->principal->name : "hub", ctx_now_s(ctx));
}

static struct rc version_read(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *name,
                              int64_t number, struct q_version_get_row *v, struct bytes *der)
{
    bool found = false;
    TRY(q_version_get(ctx, txn, managed, number, v, &found));
    if (!found)
        return number ? ctx_fail(ctx, E_NOT_FOUND, "%s has no version %lld", name, (long long)number)
                      : ctx_fail(ctx, E_NOT_FOUND, "%s has no certificate yet", name);
    return certificate_der(ctx, core, v->dictionary, v->packed, der);
}

RC revocation_do(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *name, int64_t number,
                 int64_t code, bool *done)
{
    struct q_version_get_row v;
    struct bytes der;
    TRY(version_read(ctx, core, txn, managed, name, number, &v, &der));
    TRY(key_note(ctx, txn, der, code));
    *done = !v.revoked_at;
    TRY(q_revocation_drop(ctx, txn, managed, number));
    if (v.revoked_at)
        return RC_OK;
    TRY(q_version_revoked(ctx, txn, managed, number, code, ctx_now_s(ctx)));
    TRY(outside_revoked(ctx, core, txn, v.fingerprint, code));
    TRY(issuer_revoke_job(ctx, core, txn, v.issuer_id, managed, der, v.serial, code));
    return step_write(ctx, txn, managed, NULL, NULL, "revoked", "version %lld is revoked (%s)", (long long)number,
                      crl_reason_name((int)code));
}

RC revocation_wait(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_get_row *m, int64_t code)
{
    struct q_version_get_row v;
    struct bytes der;
    const int64_t now = ctx_now_s(ctx);
    TRY(version_read(ctx, core, txn, m->id, m->name, m->version, &v, &der));
    if (v.revoked_at)
        return RC_OK;
    if (m->paused_at)
        return ctx_fail(ctx, E_PAUSED,
                        "%s is paused, and is not replaced: resume it with: certwright cert resume %s, or revoke what it serves "
                        "at once (--replace now)",
                        m->name, m->name);
    TRY(key_note(ctx, txn, der, code));
    const struct q_revocation_add_in in = {.managed_id = m->id,
                                           .number = m->version,
                                           .reason = code,
                                           .asker = ctx->principal ? ctx->principal->name : "hub",
                                           .until = now + REVOCATION_WAITS_S,
                                           .now = now};
    TRY(q_revocation_add(ctx, txn, &in));
    TRY(timer_arm(ctx, txn, "revoke", m->id, now + LOOK_AGAIN_S));
    TRY(step_write(ctx, txn, m->id, NULL, NULL, "revoke", "version %lld will be revoked (%s) once the next one is served",
                   (long long)m->version, crl_reason_name((int)code)));
    return managed_reconcile(ctx, core, txn, m->id, "revoked", true);
}

/* Whether a version is served nowhere any more: there is a newer one, and each target has it. */
static struct rc replaced(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, int64_t number, bool *out)
{
    struct q_managed_targets_row *targets = NULL;
    struct q_placement_get_row placed;
    size_t n = 0;
    bool any = false;
    *out = m->removed_at || m->version > number;
    if (!*out)
        return RC_OK;
    TRY(q_managed_targets(ctx, txn, m->id, &targets, &n));
    for (size_t i = 0; i < n && *out; i++) {
        TRY(q_placement_get(ctx, txn, targets[i].target_id, &placed, &any));
        *out = any && str_equal(placed.managed_id, m->id) && placed.version != number;
    }
    return RC_OK;
}

RC revocation_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed)
{
    struct q_revocation_of_row *rows = NULL;
    struct q_managed_by_id_row m;
    size_t n = 0, left = 0;
    TRY(q_revocation_of(ctx, txn, managed, &rows, &n));
    if (!n)
        return RC_OK;
    TRY(q_managed_by_id(ctx, txn, managed, &m));
    for (size_t i = 0; i < n; i++) {
        bool now = false, done = false;
        TRY(replaced(ctx, txn, &m, rows[i].number, &now));
        struct bytes told = audit_facts(ctx, "version:", audit_number(ctx, rows[i].number), "reason",
                                        crl_reason_name((int)rows[i].reason), "asked_by", rows[i].asker, NULL);
        if (now) {
            TRY(revocation_do(ctx, core, txn, managed, m.name, rows[i].number, rows[i].reason, &done));
            TRY(audit_write(ctx, txn, "certificate.revoke", "managed-certificate", managed, m.team_id, told));
        } else if (rows[i].until <= ctx_now_s(ctx)) {
            TRY(q_revocation_drop(ctx, txn, managed, rows[i].number));
            TRY(step_write(ctx, txn, managed, NULL, NULL, "revoke", "version %lld is not revoked: it could not be replaced in time",
                           (long long)rows[i].number));
            TRY(audit_write(ctx, txn, "certificate.not-revoked", "managed-certificate", managed, m.team_id, told));
        } else {
            left++;
        }
    }
    return left ? timer_arm(ctx, txn, "revoke", managed, ctx_now_s(ctx) + LOOK_AGAIN_S) : RC_OK;
}

RC revocation_served(struct ctx *ctx, struct txn *txn, const char *managed)
{
    struct q_revocation_of_row *rows = NULL;
    size_t n = 0;
    TRY(q_revocation_of(ctx, txn, managed, &rows, &n));
    return n ? timer_arm(ctx, txn, "revoke", managed, ctx_now_s(ctx)) : RC_OK;
}

/* --- what somebody asks for */

struct asking {
    struct core *core;
    const struct revocation_input *in;
    struct revocation_item *items;
    size_t n;
    const struct revocation_item *one;
};

static struct rc first_name(struct ctx *ctx, const struct ask_row *r, const char **out)
{
    struct bytes rest = r->cert.san.der;
    struct cert_general_name name;
    struct buf b;
    *out = name_text_dn(&ctx->arena, &r->cert.subject);
    if (!cert_next_general_name(&rest, &name))
        return RC_OK;
    buf_init_arena(&b, &ctx->arena, 16384);
    name_text_put_general(&b, &name);
    TRY(buf_status(&b));
    const char *colon = strchr(buf_z(&b), ':');
    *out = colon ? colon + 1 : buf_z(&b);
    return RC_OK;
}

/* What becomes of one certificate: of several versions that it is, the one that somebody manages counts. */
static struct rc item_of(struct ctx *ctx, struct txn *txn, const struct asking *a, const struct ask_row *r,
                         struct revocation_item *out)
{
    struct q_managed_of_certificate_row *v = NULL;
    size_t n = 0, chosen = 0;
    *out = (struct revocation_item){.fingerprint = hex_str(&ctx->arena, r->row->fingerprint),
                                    .issuer = name_text_dn(&ctx->arena, &r->cert.issuer),
                                    .act = "none",
                                    .why = "",
                                    .not_after = r->row->not_after};
    TRY(first_name(ctx, r, &out->name));
    TRY(q_managed_of_certificate(ctx, txn, r->row->id, &v, &n));
    if (!n) {
        out->why = arena_printf(&ctx->arena, "it was not issued through this installation: ask %s", out->issuer);
        return RC_OK;
    }
    for (size_t i = 0; i < n; i++)
        if (!v[i].removed_at && v[i].version == v[i].number)
            chosen = i;
    struct rc may = decide(ctx, a->core, txn, "certificate.revoke", v[chosen].team_id);
    if (rc_failed(may)) { /* of another team: who has it is not said */
        ctx_forget(ctx);
        out->why = "it is not yours to revoke";
        return err_info(may.e)->category == CAT_RESOURCE ? may : RC_OK;
    }
    const struct q_managed_of_certificate_row *m = &v[chosen];
    out->managed = m->managed_id;
    out->name = m->name;
    out->issuer = m->issuer;
    out->version = m->number;
    const bool current = !m->removed_at && m->version == m->number;
    out->act = !current ? "revoke" : revocation_waits(a->in->code, a->in->when) ? "replace-first" : "replace-now";
    if (m->revoked_at) {
        out->act = "none";
        out->why = "it is revoked already";
    } else if (str_equal(m->issuer_kind, "manual")) {
        out->why = arena_printf(&ctx->arena, "who issued it by hand (%s) has to be told by hand as well", m->issuer);
    }
    return RC_OK;
}

static struct rc given(struct ctx *ctx, struct txn *txn, const struct asking *a, struct ask_row *out)
{
    struct q_managed_get_row m;
    struct q_version_get_row v;
    bool found = false;
    TRY(q_managed_get(ctx, txn, a->in->ref, access_scope(ctx), &m, &found));
    if (!found) {
        const size_t n = strlen(a->in->ref);
        if (n < 8 || strspn(a->in->ref, "0123456789abcdefABCDEF:") != n)
            return ctx_fail(ctx, E_NOT_FOUND,
                            "no managed certificate is named %s; of a fingerprint give the first 8 digits at least", a->in->ref);
        return ask_one(ctx, a->core, txn, a->in->ref, out);
    }
    const int64_t number = a->in->version ? a->in->version : m.version;
    TRY(q_version_get(ctx, txn, m.id, number, &v, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, number ? "%s has no version %lld" : "%s has no certificate yet", m.name,
                        (long long)number);
    return ask_one(ctx, a->core, txn, hex_str(&ctx->arena, v.fingerprint), out);
}

static struct rc find(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct ask_row one;
    struct bytes spki;
    TRY(given(ctx, txn, a, &one));
    struct ask_page page = {.rows = &one, .n = 1};
    a->items = arena_array(&ctx->arena, REVOCATION_ITEMS_MAX, sizeof *a->items);
    if (a->in->key) {
        TRY(key_of(ctx, one.der, &spki));
        const struct ask ask = {.where = arena_printf(&ctx->arena, "spki = \"%s\" and expires > now", hex_str(&ctx->arena, spki)),
                                .limit = REVOCATION_ITEMS_MAX};
        TRY(ask_page(ctx, a->core, txn, &ask, &page));
    }
    a->n = 0;
    for (size_t i = 0; i < page.n; i++)
        TRY(item_of(ctx, txn, a, &page.rows[i], &a->items[a->n++]));
    return RC_OK;
}

/* A version of what is managed no longer: nothing is replaced. */
static struct rc revoke_gone(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct asking *a = arg;
    struct q_managed_by_id_row m;
    bool done = false;
    TRY(q_managed_by_id(ctx, txn, a->one->managed, &m));
    TRY(decide(ctx, a->core, txn, "certificate.revoke", m.team_id));
    TRY(revocation_do(ctx, a->core, txn, m.id, m.name, a->one->version, a->in->code, &done));
    return audit_write(
        ctx, txn, "certificate.revoke", "managed-certificate", m.id, m.team_id,
        audit_facts(ctx, "version:", audit_number(ctx, a->one->version), "reason", crl_reason_name((int)a->in->code), NULL));
}

static struct rc gone(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct q_managed_by_id_row m;
    TRY(q_managed_by_id(ctx, txn, a->one->managed, &m));
    return m.removed_at ? ctx_fail(ctx, E_NOT_FOUND, "%s is managed no longer", m.name) : RC_OK;
}

static struct rc item_do(struct ctx *ctx, struct asking *a, struct revocation_item *item)
{
    a->one = item;
    struct rc there = store_read(ctx, a->core->store, gone, a);
    if (there.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return store_write(ctx, a->core->store, revoke_gone, a);
    }
    TRY(there);
    return managed_revoke(ctx, a->core, item->managed, item->version, a->in->code, a->in->when);
}

/* The key is noted also where none of its certificates is ours to revoke. */
static struct rc note(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct asking *a = arg;
    struct ask_row one;
    TRY(given(ctx, txn, a, &one));
    TRY(key_note(ctx, txn, one.der, a->in->code));
    return audit_write(ctx, txn, "key.compromised", "certificate", hex_str(&ctx->arena, one.row->fingerprint), access_scope(ctx),
                       (struct bytes){0});
}

RC revocation_ask(struct ctx *ctx, struct core *core, const struct revocation_input *in, struct revocation_item **items, size_t *n)
{
    struct asking a = {.core = core, .in = in};
    bool any = false;
    TRY(revocation_check(ctx, in->code));
    TRY(store_read(ctx, core->store, find, &a));
    for (size_t i = 0; i < a.n && !in->dry_run; i++) {
        struct revocation_item *item = &a.items[i];
        if (str_equal(item->act, "none"))
            continue;
        struct rc rc = item_do(ctx, &a, item);
        item->done = rc_ok(rc);
        any |= item->done;
        if (rc_ok(rc))
            continue;
        if (a.n == 1 || err_info(rc.e)->category == CAT_RESOURCE)
            return rc;
        item->why = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
    }
    if (in->code == KEY_COMPROMISE && !in->dry_run && !any)
        TRY(store_write(ctx, core->store, note, &a));
    *items = a.items;
    *n = a.n;
    return RC_OK;
}
