#include "signer/issue.h"

#include "base/failpoint.h"
#include "pki/digest.h"
#include "pki/lint.h"
#include "signer/ceilings.h"

#define BACKDATE_S 300

/* A request to issue, whichever message it came in. */
struct issue {
    const char *request_id, *profile; /* profile: as the ceilings name it */
    enum cert_profile kind;
    const char *common_name;
    struct bytes spki;
    struct name_list names;
    int64_t validity_s;
    struct ca *ca;
    uint8_t key[INDEX_KEY_LEN];
    struct intent intent;
    struct bytes tbs, certificate;
    bool replayed;
};

RC issue_serial(struct ctx *ctx, const struct signer *s, const char *ca, struct bytes *out)
{
    uint8_t key[INDEX_KEY_LEN];
    for (int tries = 0; tries < 4; tries++) {
        TRY(serial_new(ctx, out));
        TRY(state_serial_key(ctx, ca, *out, key));
        if (index_find(&s->serials, key) == NULL)
            return RC_OK;
    }
    return ctx_fail(ctx, E_BUG, "random serials repeat");
}

RC issue_validity(struct ctx *ctx, int64_t now, int64_t validity_s, const struct cert *issuer, int64_t *not_before,
                  int64_t *not_after)
{
    if (issuer != NULL && now < issuer->not_before)
        return ctx_fail(ctx, E_CONFLICT, "the clock of this host is before the CA's own certificate began: set the clock right");
    int64_t back = validity_s / 10 < BACKDATE_S ? validity_s / 10 : BACKDATE_S;
    *not_before = now - back;
    if (issuer != NULL && *not_before < issuer->not_before)
        *not_before = issuer->not_before;
    *not_after = *not_before + validity_s - 1;
    if (issuer != NULL && *not_after > issuer->not_after)
        *not_after = issuer->not_after;
    if (*not_after < now + 50)
        return ctx_fail(ctx, E_CONFLICT, "the CA's own certificate ends too soon to issue from it: renew the CA first");
    return RC_OK;
}

RC issue_weak(struct ctx *ctx, const struct signer *s, struct bytes spki)
{
    const struct weak_list *lists[BLOCKLISTS_MAX];
    for (size_t i = 0; i < s->blocklists_n; i++)
        lists[i] = s->blocklists[i];
    return weak_check(ctx, spki, lists, s->blocklists_n);
}

static RC read_names(struct ctx *ctx, struct wire_texts dns, struct wire_blobs ips, struct name_list *out)
{
    *out = (struct name_list){0};
    for (size_t i = 0; i < dns.n; i++) {
        struct name name;
        TRY(name_parse_dns(ctx, bytes_z(dns.v[i]), &name));
        name_list_add(&ctx->arena, out, name);
    }
    for (size_t i = 0; i < ips.n; i++) {
        struct name name;
        TRY(name_parse_ip(ctx, ips.v[i], &name));
        name_list_add(&ctx->arena, out, name);
    }
    return RC_OK;
}

/* The digest tells a replay from another request that took the same id. */
static RC digest_of(struct ctx *ctx, const struct issue *i, uint8_t out[32])
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, (size_t)1 << 20);
    record_put_text(&b, i->ca->f.name);
    record_put_text(&b, i->profile);
    record_put_text(&b, i->common_name);
    record_put_blob(&b, i->spki);
    buf_put_u64(&b, (uint64_t)i->validity_s);
    for (size_t k = 0; k < i->names.n; k++)
        record_put_text(&b, i->names.v[k].text);
    TRY(buf_status(&b));
    return digest_sha256(ctx, buf_bytes(&b), out);
}

/* A common name that looks like a host must be one of the names, or people take it for one that was checked. */
static RC check_common_name(struct ctx *ctx, const struct issue *i)
{
    struct name name;
    if (i->common_name == NULL || i->kind == PROFILE_FLEET_AGENT || i->kind == PROFILE_FLEET_HUB)
        return RC_OK;
    if (rc_failed(name_parse(ctx, bytes_z(i->common_name), &name))) {
        ctx_forget(ctx);
        return RC_OK;
    }
    bool host = name.kind == NAME_IP || strchr(name.text, '.') != NULL || i->kind != PROFILE_TLS_CLIENT;
    if (host && !name_list_has(&i->names, &name))
        return ctx_fail(ctx, E_POLICY, "the common name %s is not among the names", i->common_name);
    return RC_OK;
}

static RC build(struct ctx *ctx, struct signer *s, struct issue *i)
{
    const struct key *key = NULL;
    struct cert_intent intent = {
        .profile = i->kind,
        .serial = i->intent.serial,
        .issuer = &i->ca->cert,
        .common_name = i->common_name,
        .spki = i->spki,
        .names = i->names,
        .not_before = i->intent.not_before,
        .not_after = i->intent.not_after,
        .path_length = -1,
        .crl_url = i->ca->f.own_crl_url,
        .issuer_url = i->ca->f.own_issuer_url,
    };
    TRY(state_ca_key(ctx, s, i->ca, &key));
    TRY(tbs_build(ctx, &intent, key, &i->tbs));
    return lint_tbs(ctx, i->tbs, i->kind, &i->ca->cert, clock_unix_s(s->clock));
}

/* A request id that was used before: the same answer, or the rest of what was begun. */
static RC resume(struct ctx *ctx, struct signer *s, struct issue *i, const struct index_entry *e, const uint8_t digest[32])
{
    struct signer_record record;
    TRY(signer_journal_read(ctx, s->journal, e->a - 1, &record));
    TRY(intent_take(ctx, record.content, &i->intent));
    if (memcmp(i->intent.digest, digest, 32) != 0 || strcmp(i->intent.request_id, i->request_id) != 0)
        return ctx_fail(ctx, E_CONFLICT, "the request id %s was used for another certificate", i->request_id);
    if (e->b == 0)
        return RC_OK;
    TRY(signer_journal_read(ctx, s->journal, e->b - 1, &record));
    struct bytes in = record.content, key;
    const char *name = NULL;
    if (record.type != RECORD_ISSUED || !record_take_blob(&ctx->arena, &in, &key) || !record_take_text(&ctx->arena, &in, &name) ||
        !record_take_blob(&ctx->arena, &in, &i->certificate))
        return ctx_fail(ctx, E_IO, "the journal's record of the request %s cannot be read", i->request_id);
    i->replayed = true;
    return RC_OK;
}

static RC new_intent(struct signer *s, struct work *w, struct issue *i, const uint8_t digest[32])
{
    int64_t now = clock_unix_s(s->clock);
    struct intent *t = &i->intent;
    *t = (struct intent){.key = bytes_of(i->key, sizeof i->key),
                         .request_id = i->request_id,
                         .ca = i->ca->f.name,
                         .profile = i->profile,
                         .subject = i->common_name != NULL ? i->common_name
                                    : i->names.n > 0       ? i->names.v[0].text
                                                           : ""};
    memcpy(t->digest, digest, 32);
    TRY(issue_validity(w->ctx, now, i->validity_s, &i->ca->cert, &t->not_before, &t->not_after));
    TRY(issue_serial(w->ctx, s, i->ca->f.name, &t->serial));
    TRY(build(w->ctx, s, i));
    TRY(ceilings_count(w->ctx, i->ca, now));
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 65536);
    intent_put(&b, t);
    return work_journal(s, w, RECORD_INTENT, &b);
}

static RC issue_sign(struct signer *s, struct work *w)
{
    struct issue *i = w->state;
    const struct key *key = NULL;
    TRY(state_ca_key(w->ctx, s, i->ca, &key));
    TRY(tbs_sign(w->ctx, i->tbs, key, &i->certificate));
    FAILPOINT("signer.signed");
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 65536);
    record_put_blob(&b, bytes_of(i->key, sizeof i->key));
    record_put_text(&b, i->ca->f.name);
    record_put_blob(&b, i->certificate);
    return work_journal(s, w, RECORD_ISSUED, &b);
}

static RC issue_answer(struct signer *s, struct work *w)
{
    (void)s;
    struct issue *i = w->state;
    const struct ca_facts *f = &i->ca->f;
    struct wire_signer_issued *out = w->out;
    bool is_root = f->root.n > 0 && bytes_equal(f->root, f->certificate);
    out->certificate = i->certificate;
    out->replayed = i->replayed;
    if (is_root)
        return RC_OK;
    struct bytes *chain = arena_array(&w->ctx->arena, f->chain_n + 1, sizeof *chain);
    chain[0] = f->certificate;
    for (size_t k = 0; k < f->chain_n; k++)
        chain[k + 1] = f->chain[k];
    out->chain = (struct wire_blobs){chain, f->chain_n + 1};
    return RC_OK;
}

static RC begin(struct signer *s, struct work *w, struct issue *i)
{
    struct ctx *ctx = w->ctx;
    if (i->request_id[0] == 0)
        return ctx_fail(ctx, E_INVALID, "a request to issue needs a request id");
    if (i->common_name != NULL && i->common_name[0] == 0)
        i->common_name = NULL;
    uint8_t digest[32];
    TRY(digest_of(ctx, i, digest));
    TRY(index_key(ctx, 'i', bytes_z(i->request_id), (struct bytes){0}, i->key));
    w->state = i;
    w->answer = issue_answer;
    const struct index_entry *e = index_find(&s->requests, i->key);
    if (e != NULL && e->a != 0) {
        TRY(resume(ctx, s, i, e, digest));
        if (i->replayed)
            return RC_OK;
    }
    TRY(issue_weak(ctx, s, i->spki));
    TRY(check_common_name(ctx, i));
    w->sign = issue_sign;
    /* An intent that was kept has been within the ceilings when it was; its serial and dates stay. */
    if (e != NULL && e->a != 0)
        return build(ctx, s, i);
    return new_intent(s, w, i, digest);
}

RC issue_begin(struct signer *s, struct work *w)
{
    static const enum cert_profile kinds[] = {PROFILE_TLS_SERVER, PROFILE_TLS_CLIENT, PROFILE_TLS_MUTUAL};
    const struct wire_signer_issue *in = w->in;
    if (strcmp(in->ca, CA_NAME_FLEET) == 0)
        return ctx_fail(w->ctx, E_CEILING, "no profile can name the fleet CA");
    struct issue *i = ARENA_NEW(&w->ctx->arena, struct issue);
    *i = (struct issue){.request_id = in->request_id,
                        .profile = profile_name(kinds[in->profile]),
                        .kind = kinds[in->profile],
                        .common_name = in->common_name,
                        .spki = in->spki,
                        .validity_s = in->validity_s};
    TRY(state_ca_ready(w->ctx, s, in->ca, &i->ca));
    TRY(read_names(w->ctx, in->dns_names, in->ip_addresses, &i->names));
    TRY(ceilings_check(w->ctx, i->ca, i->profile, &i->names, i->validity_s));
    return begin(s, w, i);
}

RC issue_fleet_begin(struct signer *s, struct work *w)
{
    const struct wire_signer_issue_fleet *in = w->in;
    bool hub = in->kind == WIRE_signer_issue_fleet_kind_hub;
    struct issue *i = ARENA_NEW(&w->ctx->arena, struct issue);
    *i = (struct issue){.request_id = in->request_id,
                        .profile = profile_name(hub ? PROFILE_FLEET_HUB : PROFILE_FLEET_AGENT),
                        .kind = hub ? PROFILE_FLEET_HUB : PROFILE_FLEET_AGENT,
                        .common_name = in->id,
                        .spki = in->spki,
                        .validity_s = in->validity_s};
    if (!str_is_name(bytes_z(in->id)))
        return ctx_fail(w->ctx, E_INVALID, "a fleet certificate needs an id");
    TRY(state_ca_ready(w->ctx, s, CA_NAME_FLEET, &i->ca));
    TRY(read_names(w->ctx, in->dns_names, in->ip_addresses, &i->names));
    if (!hub && i->names.n > 0)
        return ctx_fail(w->ctx, E_CEILING, "an agent's fleet certificate holds no names: its key is its identity");
    if (i->validity_s > i->ca->ceilings.max_validity_s)
        return ctx_fail(w->ctx, E_CEILING, "the fleet CA is not permitted to issue for longer than %lld s",
                        (long long)i->ca->ceilings.max_validity_s);
    TRY(ceilings_check_names(w->ctx, i->ca, &i->names));
    return begin(s, w, i);
}
