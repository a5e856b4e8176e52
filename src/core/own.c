/* The hub's own jobs: what needs the signer and nobody else. */
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "core/access.h"
#include "core/ca_change.h"
#include "core/download.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/result.h"
#include "core/schedule.h"
#include "pki/csr.h"
#include "pki/pem.h"
#include "wire/messages.h"

static struct rc chain_pem_of(struct ctx *ctx, const struct wire_blobs *chain, const char **out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    for (size_t i = 0; i < chain->n; i++)
        pem_put(&b, PEM_CERTIFICATE, chain->v[i]);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static struct rc do_sign(struct ctx *ctx, struct core *core, const struct issuer_settings *s, struct checked_result *r)
{
    struct wish w;
    TRY(wish_decode(ctx, r->attempt.wish, &w));
    struct csr csr;
    TRY(csr_read(ctx, r->attempt.csr, &csr)); /* verified when it came */
    struct wire_signer_issue ask = {.request_id = r->attempt.id,
                                    .ca = s->ca,
                                    .profile = str_equal(w.usage, "tls-client")   ? WIRE_signer_issue_profile_tls_client
                                               : str_equal(w.usage, "tls-mutual") ? WIRE_signer_issue_profile_tls_mutual
                                                                                  : WIRE_signer_issue_profile_tls_server,
                                    .spki = csr.spki.der,
                                    .common_name = w.common_name,
                                    .validity_s = w.validity_s};
    struct name_list names = {0};
    TRY(name_list_parse(ctx, w.names.v, w.names.n, &names));
    ask.dns_names.v = arena_array(&ctx->arena, names.n, sizeof *ask.dns_names.v);
    ask.ip_addresses.v = arena_array(&ctx->arena, names.n, sizeof *ask.ip_addresses.v);
    for (size_t i = 0; i < names.n; i++)
        if (names.v[i].kind == NAME_IP)
            ask.ip_addresses.v[ask.ip_addresses.n++] = names.v[i].ip;
        else
            ask.dns_names.v[ask.dns_names.n++] = names.v[i].text;
    struct wire_signer_issued issued;
    TRY(wire_call_signer_issue(ctx, core->signer, &ask, &issued));
    const char *chain = NULL;
    TRY(chain_pem_of(ctx, &issued.chain, &chain));
    return issued_chain_check(ctx, &r->attempt, &w, issued.certificate, chain, &r->issued);
}

static struct rc do_pin(struct ctx *ctx, struct core *core, const struct issuer_settings *s, struct checked_result *r)
{
    const char *thumbprint = NULL;
    TRY(issuer_thumbprint(ctx, core, r->attempt.issuer_id, &thumbprint));
    struct wish w;
    TRY(wish_decode(ctx, r->attempt.wish, &w));
    struct name_list names = {0};
    TRY(name_list_parse(ctx, w.names.v, w.names.n, &names));
    struct wire_signer_acme_pin ask = {
        .attempt = r->attempt.id, .account = r->attempt.issuer_id, .csr_spki_hash = r->attempt.spki_sha256};
    ask.identifiers.v = arena_array(&ctx->arena, names.n, sizeof *ask.identifiers.v);
    for (size_t i = 0; i < names.n; i++)
        ask.identifiers.v[ask.identifiers.n++] = name_prefixed(&ctx->arena, &names.v[i]);
    (void)s;
    struct wire_signer_done done;
    return wire_call_signer_acme_pin(ctx, core->signer, &ask, &done);
}

static struct rc do_revoke(struct ctx *ctx, struct core *core, const struct issuer_settings *s, struct checked_result *r)
{
    (void)s;
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(r->job.payload), &root));
    struct wire_signer_revoke ask = {.request_id = r->job.id};
    const char *serial = NULL;
    TRY(json_get_str(ctx, root, "ca", true, &ask.ca));
    TRY(json_get_str(ctx, root, "serial", true, &serial));
    TRY(json_get_int(ctx, root, "reason", true, &ask.reason));
    if (!get_hex(&ctx->arena, bytes_z(serial), &ask.serial))
        return ctx_fail(ctx, E_BUG, "a revocation without a serial number");
    struct wire_signer_revoked done;
    TRY(wire_call_signer_revoke(ctx, core->signer, &ask, &done));
    if (core->revoked)
        core->revoked(core->wake_arg, ask.ca);
    return RC_OK;
}

static struct rc do_key(struct ctx *ctx, struct core *core, const struct issuer_settings *s, struct checked_result *r)
{
    json_auto_t *root = NULL;
    const char *reuse = NULL;
    struct bytes csr;
    (void)s;
    TRY(json_read(ctx, bytes_z(r->job.payload), &root));
    TRY(json_get_str(ctx, root, "reuse_attempt", false, &reuse));
    TRY(download_made(ctx, core, &r->attempt, reuse, &csr));
    return result_key_check(ctx, r, csr);
}

static struct rc do_destroy_key(struct ctx *ctx, struct core *core, const struct issuer_settings *s, struct checked_result *r)
{
    (void)s;
    const struct wire_signer_download_forget ask = {.attempt = r->job.ref};
    struct wire_signer_done done;
    return wire_call_signer_download_forget(ctx, core->signer, &ask, &done);
}

static struct rc do_ca_change(struct ctx *ctx, struct core *core, const struct issuer_settings *s, struct checked_result *r)
{
    (void)s;
    return ca_change_do(ctx, core, &r->job);
}

static const struct own_kind {
    const char *kind;
    bool of_attempt;
    struct rc (*act)(struct ctx *, struct core *, const struct issuer_settings *, struct checked_result *);
} own_kinds[] = {
    {"sign", true, do_sign},
    {"pin", true, do_pin},
    {"key", true, do_key},
    {"revoke", false, do_revoke},
    {"destroy_key", false, do_destroy_key},
    {"ca_change", false, do_ca_change},
};

static const struct own_kind *own_kind_of(const char *kind)
{
    for (size_t i = 0; i < sizeof own_kinds / sizeof *own_kinds; i++)
        if (str_equal(own_kinds[i].kind, kind))
            return &own_kinds[i];
    return NULL;
}

struct own {
    struct core *core;
    struct checked_result *results;
    struct issuer_settings *settings;
    const struct leased_job *jobs;
    size_t n;
};

static struct rc own_load(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct own *o = arg;
    for (size_t i = 0; i < o->n; i++) {
        struct checked_result *r = &o->results[i];
        *r = (struct checked_result){.id = o->jobs[i].id, .leased_here = true};
        TRY(q_job_get(ctx, txn, r->id, &r->job, &r->known));
        r->job.tries = o->jobs[i].tries;
        const struct own_kind *kind = own_kind_of(o->jobs[i].kind);
        if (!kind || !kind->of_attempt)
            continue;
        TRY(q_attempt_by_id(ctx, txn, o->jobs[i].ref, &r->attempt));
        struct payload_issuer ignored;
        TRY(issuer_for_job(ctx, txn, r->attempt.issuer_id, &o->settings[i], &ignored));
    }
    return RC_OK;
}

static void own_do(struct ctx *ctx, struct own *o, size_t i)
{
    struct checked_result *r = &o->results[i];
    const struct own_kind *kind = own_kind_of(o->jobs[i].kind);
    struct rc rc = kind ? kind->act(ctx, o->core, &o->settings[i], r) : rc_of(E_BUG);
    r->ok = rc_ok(rc);
    if (!r->ok) {
        r->e = rc.e;
        r->why = arena_strdup(&ctx->arena, ctx_why(ctx));
        ctx_forget(ctx);
    }
}

RC own_work(struct ctx *ctx, struct core *core, int64_t most, size_t *did)
{
    ctx->principal = access_hub(ctx, core);
    struct leased_job *jobs = NULL;
    *did = 0;
    struct own o = {.core = core};
    /* Without a lease: the signer does what it is asked twice once, and who commits second changes nothing. */
    TRY(job_ready(ctx, core, core->hub_agent, most, &jobs, &o.n));
    if (!o.n)
        return RC_OK;
    o.jobs = jobs;
    o.results = arena_array(&ctx->arena, o.n, sizeof *o.results);
    o.settings = arena_array(&ctx->arena, o.n, sizeof *o.settings);
    TRY(store_read(ctx, core->store, own_load, &o));
    for (size_t i = 0; i < o.n; i++)
        own_do(ctx, &o, i);
    *did = o.n;
    return job_apply(ctx, core, core->hub_agent, o.results, o.n);
}
