#include "hub/api_chain.h"

#include "core/issuer_trust.h"
#include "core/outside.h"
#include "hub/api_usage.h"
#include "pki/crl.h"
#include "pki/name_text.h"

struct asked {
    struct core *core;
    int64_t id;
    struct bytes der;
    struct issuer_chains chains;
    struct q_outside_ask_get_row said;
    bool any;
};

static struct rc chains_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asked *a = arg;
    TRY(q_outside_ask_get(ctx, txn, outside_revocation_ref(ctx, a->id), &a->said, &a->any));
    return issuer_chains_of(ctx, a->core, txn, a->der, &a->chains);
}

static struct rc chain_put(struct ctx *ctx, const struct issuer_chain *c, struct api_certificate_chain *out)
{
    static const char *const words[] = {[ISSUER_NOT_KNOWN] = "unknown", [ISSUER_PRIVATE] = "private", [ISSUER_PUBLIC] = "public"};
    struct api_certificate_above *above = arena_array(&ctx->arena, c->n, sizeof *above);
    for (size_t i = 1; i < c->n; i++) {
        struct bytes fingerprint;
        TRY(digest_sha256_new(ctx, c->cert[i].der, &fingerprint));
        above[i - 1] = (struct api_certificate_above){.fingerprint = fingerprint,
                                                      .subject = name_text_dn(&ctx->arena, &c->cert[i].subject),
                                                      .not_after = c->cert[i].not_after};
    }
    *out = (struct api_certificate_chain){.certificates = {above, c->n - 1},
                                          .root = *c->root ? c->root : NULL,
                                          .trust = words[c->trust],
                                          .complete = c->whole,
                                          .verdict = *c->verdict ? c->verdict : NULL,
                                          .why = *c->text ? c->text : NULL};
    return RC_OK;
}

static void revocation_put(struct ctx *ctx, const struct q_outside_ask_get_row *said, struct api_certificate_shown *out)
{
    struct api_certificate_revocation *r = ARENA_NEW(&ctx->arena, struct api_certificate_revocation);
    *r = (struct api_certificate_revocation){.status = said->status,
                                             .source = *said->url ? said->url : NULL,
                                             .has_checked_at = said->said_at != NULL,
                                             .checked_at = said->said_at ? *said->said_at : 0,
                                             .has_revoked_at = said->revoked_at != NULL,
                                             .revoked_at = said->revoked_at ? *said->revoked_at : 0,
                                             .reason = said->reason ? crl_reason_name((int)*said->reason) : NULL,
                                             .error = said->error};
    out->revocation = r;
}

RC api_chains_put(struct ctx *ctx, struct core *core, int64_t id, struct bytes der, struct api_certificate_shown *out)
{
    struct asked a = {.core = core, .id = id, .der = der};
    TRY(store_read(ctx, core->store, chains_read, &a));
    struct api_certificate_chain *chains = arena_array(&ctx->arena, a.chains.n, sizeof *chains);
    for (size_t i = 0; i < a.chains.n; i++)
        TRY(chain_put(ctx, &a.chains.v[i], &chains[i]));
    out->chains = (struct api_certificate_chain_list){chains, a.chains.n};
    if (a.any && (a.said.status || a.said.error))
        revocation_put(ctx, &a.said, out);
    return api_usage_put(ctx, der, out);
}
