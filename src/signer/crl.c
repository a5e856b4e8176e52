/* Revocations and the lists that tell of them (RFC 5280 section 5). */
#include "pki/crl.h"

#include "base/failpoint.h"
#include "os/file.h"
#include "signer/work.h"

#define CRL_LIFE_S ((int64_t)7 * 86400)

/* --- revoking */

static const struct revoked *find_revoked(const struct ca *ca, struct bytes serial)
{
    for (size_t i = 0; i < ca->revoked_n; i++)
        if (bytes_equal(bytes_of(ca->revoked[i].serial, ca->revoked[i].serial_n), serial))
            return &ca->revoked[i];
    return NULL;
}

static RC revoke_answer(struct signer *s, struct work *w)
{
    const struct wire_signer_revoke *in = w->in;
    struct wire_signer_revoked *out = w->out;
    struct ca *ca = NULL;
    TRY(state_ca(w->ctx, s, in->ca, &ca));
    const struct revoked *r = find_revoked(ca, in->serial);
    /* It may have expired and left the list since. */
    out->revoked_at = r != NULL ? r->at : clock_unix_s(s->clock);
    out->replayed = w->state != NULL;
    return RC_OK;
}

RC revoke_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_revoke *in = w->in;
    struct ca *ca = NULL;
    uint8_t key[INDEX_KEY_LEN];
    TRY(state_ca_ready(w->ctx, s, in->ca, &ca));
    /* Hold cannot be taken back here, 7 is none, and removing is for delta CRLs. */
    if (in->reason == 6 || in->reason == 7 || in->reason == 8)
        return ctx_fail(w->ctx, E_INVALID, "%lld (%s) is no reason to revoke here", (long long)in->reason,
                        crl_reason_name((int)in->reason));
    TRY(state_serial_key(w->ctx, in->ca, in->serial, key));
    const struct index_entry *e = index_find(&s->serials, key);
    if (e == NULL)
        return ctx_fail(w->ctx, E_NOT_FOUND, "the CA %s has issued no certificate with this serial that is still valid", in->ca);
    w->answer = revoke_answer;
    if (e->b == 1) {
        w->state = w; /* replayed */
        return RC_OK;
    }
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 4096);
    record_put_text(&b, in->ca);
    record_put_blob(&b, in->serial);
    buf_put_u64(&b, (uint64_t)clock_unix_s(s->clock));
    buf_put_u8(&b, (uint8_t)in->reason);
    buf_put_u64(&b, e->a);
    return work_journal(s, w, RECORD_REVOKED, &b);
}

/* --- lists */

static bool due(const struct ca *ca, int64_t now)
{
    return ca->crl.n == 0 || ca->crl_stale || now >= ca->crl_this + (ca->crl_next - ca->crl_this) / 2 || now < ca->crl_this;
}

static RC crl_answer(struct signer *s, struct work *w)
{
    (void)s;
    const struct ca *ca = w->state;
    struct wire_signer_crl_made *out = w->out;
    *out = (struct wire_signer_crl_made){
        .crl = arena_bytes(&w->ctx->arena, ca->crl), .number = ca->crl_number, .next_update = ca->crl_next};
    return RC_OK;
}

/* The number is on the disk before anything bears it; a list that a crash loses leaves a gap, never a number used twice. */
static RC crl_sign(struct signer *s, struct work *w)
{
    struct ca *ca = w->state;
    struct ctx *ctx = w->ctx;
    const struct key *key = NULL;
    struct crl_entry *entries = arena_array(&ctx->arena, ca->revoked_n + 1, sizeof *entries);
    for (size_t i = 0; i < ca->revoked_n; i++)
        entries[i] = (struct crl_entry){.serial = bytes_of(ca->revoked[i].serial, ca->revoked[i].serial_n),
                                        .revoked_at = ca->revoked[i].at,
                                        .reason = ca->revoked[i].reason};
    struct crl_intent intent = {.issuer = &ca->cert,
                                .number = ca->crl_number,
                                .this_update = ca->crl_this,
                                .next_update = ca->crl_next,
                                .entries = entries,
                                .n = ca->revoked_n};
    struct bytes der;
    TRY(state_ca_key(ctx, s, ca, &key));
    TRY(crl_build(ctx, &intent, key, &der));
    FAILPOINT("signer.crl_signed");
    TRY(file_write_atomic_path(ctx, arena_printf(&ctx->arena, "%s/crl/%s.der", s->dir, ca->f.name), der, FILE_KEEP_UID,
                               FILE_KEEP_GID, 0600));
    uint8_t *copy = malloc(der.n);
    if (copy == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory to keep the CRL of %s", ca->f.name);
    memcpy(copy, der.p, der.n);
    free((void *)(uintptr_t)ca->crl.p);
    ca->crl = bytes_of(copy, der.n);
    return RC_OK;
}

RC crl_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_crl *in = w->in;
    struct ca *ca = NULL;
    TRY(state_ca_ready(w->ctx, s, in->ca, &ca));
    int64_t now = clock_unix_s(s->clock);
    w->state = ca;
    w->answer = crl_answer;
    if (!in->force && !due(ca, now))
        return RC_OK;
    int64_t end = now + CRL_LIFE_S < ca->cert.not_after ? now + CRL_LIFE_S : ca->cert.not_after;
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 4096);
    record_put_text(&b, in->ca);
    buf_put_u64(&b, (uint64_t)(ca->crl_number + 1));
    buf_put_u64(&b, (uint64_t)now);
    buf_put_u64(&b, (uint64_t)end);
    w->sign = crl_sign;
    return work_journal(s, w, RECORD_CRL, &b);
}
