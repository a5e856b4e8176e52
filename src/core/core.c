#include "core/core.h"

#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/heard.h"
#include "core/host_inventory.h"
#include "core/inventory.h"
#include "core/issuer.h"
#include "core/job.h"
#include "core/policy.h"
#include "core/role.h"
#include "core/rule.h"
#include "core/scope.h"
#include "core/watch.h"
#include "pki/digest.h"
#include "pki/pem.h"
#include "store/queries.h"
#include "wire/messages.h"

#define YEAR_S ((int64_t)365 * 86400)

struct waking {
    struct core *core;
    const char *key;
};

static void wake(void *arg)
{
    const struct waking *w = arg;
    if (w->core->wake)
        w->core->wake(w->core->wake_arg, w->key);
}

void core_wake_after_commit(struct ctx *ctx, struct core *core, struct txn *txn, const char *prefix, const char *id)
{
    struct waking *w = ARENA_NEW(&ctx->arena, struct waking);
    *w = (struct waking){core, arena_printf(&ctx->arena, "%s%s", prefix, id)};
    struct rc rc = txn_on_commit(ctx, txn, wake, w);
    if (rc_failed(rc))
        log_event(LOG_WARN_, "wake_lost", "key", w->key, NULL);
}

/* --- the rows that are always there */

struct starting {
    struct core *core;
    const struct core_settings *s;
    const char *team, *hub;
    const char *root_pem;
};

static struct rc agent_row(struct ctx *ctx, struct txn *txn, const char *team, const char *name, const char *identity,
                           const char **id)
{
    struct q_agent_by_identity_row have;
    bool found = false;
    TRY(q_agent_by_identity(ctx, txn, identity, &have, &found));
    if (found) {
        *id = have.id;
        return RC_OK;
    }
    *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    const struct q_agent_add_in in = {.id = *id,
                                      .team_id = team,
                                      .name = name,
                                      .identity = identity,
                                      .state = "active",
                                      .version = "",
                                      .platform = "",
                                      .granted = "[]",
                                      .networks = "[]",
                                      .address = "",
                                      .join_token_id = "",
                                      .now = ctx_now_s(ctx)};
    return q_agent_add(ctx, txn, &in);
}

static struct rc rows_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct starting *st = arg;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_installation_add(ctx, txn, st->s->name, 1, now));
    struct q_team_root_row team;
    bool found = false;
    TRY(q_team_root(ctx, txn, &team, &found));
    if (found) {
        st->team = team.id;
    } else {
        st->team = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
        TRY(q_team_add(ctx, txn, st->team, NULL, "everyone", now));
        TRY(q_team_within_add(ctx, txn, st->team, st->team));
    }
    TRY(role_start(ctx, txn));
    TRY(scopes_start(ctx, txn));
    TRY(rule_start(ctx, txn, st->team));
    TRY(agent_row(ctx, txn, st->team, "hub", "hub", &st->hub));
    const char *own = NULL;
    if (st->s->agent_identity)
        TRY(agent_row(ctx, txn, st->team, st->s->agent_name, st->s->agent_identity, &own));
    TRY(host_inventory_start(ctx, txn));
    struct q_timer_get_row timer;
    TRY(q_timer_get(ctx, txn, "retention", "all", &timer, &found));
    return found ? RC_OK : timer_arm(ctx, txn, "retention", "all", now + 600);
}

static struct rc epoch_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct core *core = arg;
    struct q_installation_get_row row;
    bool found = false;
    TRY(q_installation_get(ctx, txn, &row, &found));
    if (!found)
        return ctx_fail(ctx, E_BUG, "the installation has no row");
    core->epoch = row.epoch;
    return RC_OK;
}

/* --- CAs: made by the signer once, named here */

static const char *url(struct ctx *ctx, const char *base, const char *what, const char *ca, const char *ending)
{
    return arena_printf(&ctx->arena, "%s/%s/%s.%s", base, what, ca, ending);
}

static struct rc ca_make(struct ctx *ctx, struct core *core, const struct core_settings *s, struct wire_signer_ca_create in,
                         struct wire_signer_ca *out)
{
    in.request_id = arena_printf(&ctx->arena, "ca:%s", in.ca);
    in.organization = s->organization ? s->organization : "";
    in.own_crl_url = url(ctx, s->status_url, "crl", in.ca, "crl");
    in.own_issuer_url = url(ctx, s->status_url, "ca", in.ca, "cer");
    if (in.parent) {
        in.crl_url = url(ctx, s->status_url, "crl", in.parent, "crl");
        in.issuer_url = url(ctx, s->status_url, "ca", in.parent, "cer");
    }
    return wire_call_signer_ca_create(ctx, core->signer, &in, out);
}

static struct rc cas_make(struct ctx *ctx, struct core *core, struct starting *st)
{
    const struct core_settings *s = st->s;
    struct wire_signer_ca ca;
    TRY(ca_make(ctx, core, s,
                (struct wire_signer_ca_create){.ca = "fleet",
                                               .key_kind = "ec-p256",
                                               .common_name = arena_printf(&ctx->arena, "%.40s fleet CA", s->name),
                                               .validity_s = 20 * YEAR_S,
                                               .path_length = 0},
                &ca));
    uint8_t fleet[SHA256_LEN];
    TRY(digest_sha256(ctx, ca.certificate, fleet));
    TRY(watch_fleet(ctx, core, fleet));
    struct wire_signer_ca_create issuing = {.ca = "issuing",
                                            .key_kind = "ec-p256",
                                            .common_name = arena_printf(&ctx->arena, "%.40s issuing CA", s->name),
                                            .validity_s = 10 * YEAR_S,
                                            .path_length = 0,
                                            .permitted_dns = {(const char **)(uintptr_t)s->permitted_dns, s->permitted_dns_n}};
    if (s->external_root) {
        issuing.external = true;
    } else {
        TRY(ca_make(ctx, core, s,
                    (struct wire_signer_ca_create){.ca = "root",
                                                   .key_kind = "ec-p384",
                                                   .common_name = arena_printf(&ctx->arena, "%.40s root CA", s->name),
                                                   .validity_s = 20 * YEAR_S,
                                                   .path_length = 1},
                    &ca));
        issuing.parent = "root";
    }
    TRY(ca_make(ctx, core, s, issuing, &ca));
    if (!ca.root.n)
        return RC_OK;
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    pem_put(&b, PEM_CERTIFICATE, ca.root);
    TRY(buf_status(&b));
    st->root_pem = buf_z(&b);
    return RC_OK;
}

/* --- the issuer and the profiles that are there from the start */

static struct rc is_there(struct ctx *ctx, struct rc rc, bool *there)
{
    *there = rc_ok(rc);
    if (rc.e != E_NOT_FOUND)
        return rc;
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc defaults_make(struct ctx *ctx, struct core *core, const struct starting *st)
{
    static const struct {
        const char *name;
        int64_t days;
    } rows[] = {{"tls-server", 90}, {"tls-client", 90}, {"tls-mutual", 90}};
    bool there = false;
    const char *id = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct profile_view p;
        TRY(is_there(ctx, profile_show(ctx, core, rows[i].name, &p), &there));
        struct profile_settings s = {.usage = rows[i].name, .validity_s = rows[i].days * 86400};
        static const char *const kinds[] = {"ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096"};
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            str_list_add(&ctx->arena, &s.key_kinds, kinds[k]);
        if (!there)
            TRY(profile_create(ctx, core, rows[i].name, core->team_root, &s, &id));
    }
    struct issuer_view issuer;
    TRY(is_there(ctx, issuer_show(ctx, core, "ca", &issuer), &there));
    struct issuer_settings s = {.kind = "ca", .ca = "issuing", .ca_roots_pem = st->root_pem};
    if (!there)
        return issuer_create(ctx, core, "ca", core->team_root, &s, &(struct issuer_secrets){0}, &id);
    /* An external root answered since the last start. */
    if (st->root_pem && !str_equal(issuer.settings.ca_roots_pem, st->root_pem))
        return issuer_update(ctx, core, "ca", 0, &s, &(struct issuer_secrets){0});
    return RC_OK;
}

RC core_start(struct ctx *ctx, struct core *core, const struct core_settings *settings)
{
    struct starting st = {.core = core, .s = settings};
    TRY(store_write(ctx, core->store, rows_make, &st));
    TRY(store_read(ctx, core->store, epoch_read, core));
    /* These live as long as the process. */
    core->team_root = strdup(st.team);
    core->hub_agent = strdup(st.hub);
    core->roles = role_cache_new();
    core->policy = policy_cache_new();
    ctx->principal = access_hub(ctx, core);
    TRY(heard_start(ctx, core));
    TRY(watch_start(ctx, core));
    TRY(inventory_open(ctx, core));
    TRY(cas_make(ctx, core, &st));
    return defaults_make(ctx, core, &st);
}
