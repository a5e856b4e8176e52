#include "core/dns_provider.h"

#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/attempt.h"
#include "core/audit.h"
#include "core/dns_challenge.h"
#include "core/job.h"
#include "core/payload.h"
#include "core/persist.h"
#include "core/solver.h"
#include "pki/name.h"

#define TEST_EVERY_S  86400
#define TEST_SPREAD_S 3600
/* A credential that ends sooner than this is told. */
#define ENDS_SOON_S (30 * 86400)

RC dns_name_of(struct ctx *ctx, const char *field, const char *text, const char **out)
{
    struct name name;
    struct bytes b = bytes_z(text);
    if (b.n >= 2 && memcmp(b.p, "*.", 2) == 0)
        b = bytes_of(b.p + 2, b.n - 2);
    if (b.n > 16 && memcmp(b.p, "_acme-challenge.", 16) == 0)
        b = bytes_of(b.p + 16, b.n - 16);
    if (b.n > 1 && b.p[b.n - 1] == '.')
        b.n--;
    struct rc rc = name_parse_dns(ctx, b, &name);
    if (rc_failed(rc)) {
        ctx->field = field;
        return rc;
    }
    *out = name.text;
    return RC_OK;
}

struct dns_change {
    struct core *core;
    const char *ref, *id, *team, *agent, *under;
    const struct dns_provider_input *in;
    struct str_list zones;
    int64_t revision;
    bool force;
    size_t n;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_dns_provider_get_row *out)
{
    bool found = false;
    TRY(q_dns_provider_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no DNS provider is named %s; certwright dns list shows them", ref);
}

static struct rc zones_of(struct ctx *ctx, const struct str_list *given, struct str_list *out)
{
    if (given->n > DNS_ZONES_MAX)
        return ctx_fail_field(ctx, "/zones", "at most %d zones; make another provider for the rest", DNS_ZONES_MAX);
    for (size_t i = 0; i < given->n; i++) {
        const char *zone = NULL;
        TRY(dns_name_of(ctx, arena_printf(&ctx->arena, "/zones/%zu", i), given->v[i], &zone));
        if (!str_list_has(out, zone))
            str_list_add(&ctx->arena, out, zone);
    }
    return RC_OK;
}

static struct rc told(struct ctx *ctx, const char *provider, const char *agent, const char *parameters,
                      const struct str_list *zones, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "provider", provider);
    json_put_str(&j, "agent", agent);
    json_put_raw(&j, "parameters", bytes_z(parameters));
    if (zones->n) /* else they stay */
        json_open_list(&j, "zones");
    for (size_t i = 0; i < zones->n; i++)
        json_put_str(&j, NULL, zones->v[i]);
    if (zones->n)
        json_close(&j);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

/* --- trying */

/* One zone after the other: it is the same credential, and providers count calls. */
static struct rc test_begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_dns_provider_by_id_row p;
    struct q_dns_zone_list_row *zones = NULL;
    bool found = false;
    size_t n = 0;
    TRY(q_dns_provider_by_id(ctx, txn, id, &p, &found));
    if (!found || p.removed_at)
        return RC_OK;
    TRY(q_dns_zone_list(ctx, txn, id, &zones, &n));
    TRY(q_job_cancel_ref(ctx, txn, id, "dns_test", ctx_now_s(ctx)));
    TRY(q_dns_zone_trying(ctx, txn, id));
    for (size_t i = 0; i < n; i++) {
        struct bytes payload;
        TRY(payload_dns_test(ctx, p.provider, p.parameters, zones[i].zone, &payload));
        TRY(job_add(ctx, core, txn, "dns_test", p.agent_id, arena_printf(&ctx->arena, "dns-test:%s", id), id, payload, 0));
    }
    return timer_arm(ctx, txn, "dns-test", id, ctx_now_s(ctx) + TEST_EVERY_S + (int64_t)random_below(TEST_SPREAD_S));
}

RC dns_test_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    return test_begin(ctx, core, txn, id);
}

static bool ends_soon(const int64_t *expires_at, int64_t at)
{
    return expires_at && *expires_at < at + ENDS_SOON_S;
}

/* What changed since it was tried last is an event. */
static struct rc tell_change(struct ctx *ctx, struct txn *txn, const char *id, const struct dns_tried *t)
{
    struct q_dns_provider_by_id_row p;
    struct q_dns_zone_list_row *zones = NULL;
    size_t n = 0, at = 0;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_dns_provider_by_id(ctx, txn, id, &p, &found));
    TRY(q_dns_zone_list(ctx, txn, id, &zones, &n));
    while (at < n && !str_equal(zones[at].zone, t->zone))
        at++;
    if (!found || at == n)
        return RC_OK;
    const bool failed = zones[at].failures > 0, fails = t->error_code != NULL;
    const bool was_soon = zones[at].tried_at && ends_soon(zones[at].expires_at, *zones[at].tried_at);
    const bool soon = !fails && ends_soon(t->expires_at ? &t->expires_at : NULL, now);
    const char *action = fails && !failed      ? "dns-provider.failing"
                         : !fails && failed    ? "dns-provider.healthy"
                         : soon && !was_soon   ? "dns-provider.ending"
                         : fails || soon == was_soon ? NULL
                                               : "dns-provider.renewed";
    if (!action)
        return RC_OK;
    return audit_write(ctx, txn, action, "dns-provider", id, p.team_id,
                       audit_facts(ctx, "zone", t->zone, "why", fails ? t->error : NULL, "ends_at:",
                                   t->expires_at ? audit_number(ctx, t->expires_at) : NULL, NULL));
}

RC dns_provider_tried(struct ctx *ctx, struct txn *txn, const char *id, const struct dns_tried *t)
{
    TRY(tell_change(ctx, txn, id, t));
    if (t->error_code)
        return q_dns_zone_bad(ctx, txn,
                              &(struct q_dns_zone_bad_in){.zone = t->zone,
                                                          .provider_id = id,
                                                          .error_code = t->error_code,
                                                          .error = t->error ? t->error : "?",
                                                          .now = ctx_now_s(ctx)});
    return q_dns_zone_good(ctx, txn,
                           &(struct q_dns_zone_good_in){.zone = t->zone,
                                                        .provider_id = id,
                                                        .may = t->may ? t->may : "",
                                                        .expires_at = t->expires_at ? &t->expires_at : NULL,
                                                        .now = ctx_now_s(ctx)});
}

static struct rc test(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_change *c = arg;
    struct q_dns_provider_get_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "dns-provider.test", row.team_id));
    return test_begin(ctx, c->core, txn, row.id);
}

RC dns_provider_test(struct ctx *ctx, struct core *core, const char *ref)
{
    struct dns_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, test, &c);
}

/* --- making and changing */

static struct rc zones_keep(struct ctx *ctx, struct txn *txn, const char *id, const struct str_list *zones,
                            struct str_list *dropped)
{
    struct q_dns_zone_list_row *have = NULL;
    size_t n = 0;
    *dropped = (struct str_list){0};
    TRY(q_dns_zone_list(ctx, txn, id, &have, &n));
    for (size_t i = 0; i < n; i++)
        if (!str_list_has(zones, have[i].zone)) {
            TRY(q_dns_zone_drop(ctx, txn, have[i].zone, id));
            str_list_add(&ctx->arena, dropped, have[i].zone);
        }
    for (size_t i = 0; i < zones->n; i++)
        TRY(q_dns_zone_add(ctx, txn, zones->v[i], id));
    return RC_OK;
}

/* What cannot be proved anyway, for want of a grant, is no reason to keep a provider. */
static struct rc unproved_now(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, struct str_list *out)
{
    struct q_dns_zone_list_row *have = NULL;
    struct str_list zones = {0};
    size_t n = 0;
    TRY(q_dns_zone_list(ctx, txn, id, &have, &n));
    for (size_t i = 0; i < n; i++)
        str_list_add(&ctx->arena, &zones, have[i].zone);
    return solver_unproved(ctx, core, txn, &zones, out);
}

static struct rc zones_had(struct ctx *ctx, struct txn *txn, const char *id, struct str_list *out)
{
    struct q_dns_zone_list_row *have = NULL;
    size_t n = 0;
    *out = (struct str_list){0};
    TRY(q_dns_zone_list(ctx, txn, id, &have, &n));
    for (size_t i = 0; i < n; i++)
        str_list_add(&ctx->arena, out, have[i].zone);
    return RC_OK;
}

static struct rc agent_of(struct ctx *ctx, struct txn *txn, const char *ref, const char **id)
{
    const char *name = NULL;
    struct rc rc = agent_meant(ctx, txn, ref, id, &name);
    if (rc_failed(rc))
        ctx->field = "/agent";
    return rc;
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_change *c = arg;
    const char *agent = NULL, *parameters = c->in->parameters ? c->in->parameters : "{}";
    struct bytes detail;
    TRY(access_team(ctx, txn, c->team, &c->team));
    TRY(decide(ctx, c->core, txn, "dns-provider.create", c->team));
    TRY(agent_of(ctx, txn, c->in->agent, &agent));
    const struct q_dns_provider_add_in in = {.id = c->id,
                                             .team_id = c->team,
                                             .name = c->in->name,
                                             .provider = c->in->provider,
                                             .agent_id = agent,
                                             .parameters = parameters,
                                             .now = ctx_now_s(ctx)};
    struct rc rc = q_dns_provider_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a DNS provider named %s is there already; change it with: certwright dns edit %s",
                        c->in->name, c->in->name);
    }
    TRY(rc);
    struct str_list none;
    TRY(zones_keep(ctx, txn, c->id, &c->zones, &none));
    TRY(told(ctx, c->in->provider, agent, parameters, &c->zones, &detail));
    TRY(audit_write(ctx, txn, "dns-provider.create", "dns-provider", c->id, c->team, audit_change(ctx, (struct bytes){0}, detail)));
    return c->in->no_test ? timer_arm(ctx, txn, "dns-test", c->id, ctx_now_s(ctx) + TEST_EVERY_S)
                          : test_begin(ctx, c->core, txn, c->id);
}

static struct rc provider_check(struct ctx *ctx, const char *provider)
{
    return str_is_name(bytes_z(provider))
               ? RC_OK
               : ctx_fail_field(ctx, "/provider", "name a row of dns in the agent's agent.yaml, such as rfc2136 or cloudflare");
}

RC dns_provider_create(struct ctx *ctx, struct core *core, const struct dns_provider_input *in, const char **id)
{
    struct dns_change c = {.core = core,
                           .in = in,
                           .team = in->team ? in->team : access_scope(ctx),
                           .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(provider_check(ctx, in->provider));
    if (!in->zones.n)
        return ctx_fail_field(ctx, "/zones", "say below which names it answers: --zone example.org");
    TRY(zones_of(ctx, &in->zones, &c.zones));
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_change *c = arg;
    struct q_dns_provider_get_row row;
    struct bytes detail;
    const char *agent = NULL;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "dns-provider.update", row.team_id));
    /* The one that it has too: more zones, or another credential, are what its owner would have to grant. */
    TRY(agent_of(ctx, txn, c->in->agent ? c->in->agent : row.agent_id, &agent));
    const struct q_dns_provider_update_in in = {.id = row.id,
                                                .provider = c->in->provider ? c->in->provider : row.provider,
                                                .agent_id = agent,
                                                .parameters = c->in->parameters ? c->in->parameters : row.parameters,
                                                .revision = c->revision ? c->revision : row.revision,
                                                .now = ctx_now_s(ctx)};
    TRY(q_dns_provider_update(ctx, txn, &in));
    struct str_list dropped = {0}, unproved = {0}, had;
    struct bytes before;
    TRY(zones_had(ctx, txn, row.id, &had));
    TRY(told(ctx, row.provider, row.agent_id, row.parameters, &had, &before));
    if (c->zones.n)
        TRY(unproved_now(ctx, c->core, txn, row.id, &unproved));
    if (c->zones.n)
        TRY(zones_keep(ctx, txn, row.id, &c->zones, &dropped));
    if (dropped.n) {
        size_t left = 0;
        TRY(solver_still_proves(ctx, c->core, txn, &dropped, &unproved));
        TRY(persist_review(ctx, c->core, txn, &dropped, &left));
    }
    TRY(told(ctx, in.provider, agent, in.parameters, c->zones.n ? &c->zones : &had, &detail));
    TRY(audit_write(ctx, txn, "dns-provider.update", "dns-provider", row.id, row.team_id,
                    audit_change(ctx, before, detail)));
    return c->in->no_test ? RC_OK : test_begin(ctx, c->core, txn, row.id);
}

RC dns_provider_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct dns_provider_input *in)
{
    struct dns_change c = {.core = core, .ref = ref, .in = in, .revision = revision};
    if (in->provider)
        TRY(provider_check(ctx, in->provider));
    TRY(zones_of(ctx, &in->zones, &c.zones));
    return store_write(ctx, core->store, update, &c);
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_change *c = arg;
    struct q_dns_provider_get_row row;
    struct q_challenge_of_provider_row at_work;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "dns-provider.delete", row.team_id));
    TRY(q_challenge_of_provider(ctx, txn, row.id, &at_work));
    if (!c->force && at_work.working)
        return ctx_fail(ctx, E_IN_USE, "%s answers %lld challenge%s at the moment; try again when they are done", row.name,
                        (long long)at_work.working, at_work.working == 1 ? "" : "s");
    if (!c->force && at_work.leftover)
        return ctx_fail(ctx, E_IN_USE, "%s has left %lld record%s behind: certwright dns sweep %s; or --force, to forget them",
                        row.name, (long long)at_work.leftover, at_work.leftover == 1 ? "" : "s", row.name);
    TRY(q_challenge_disown(ctx, txn, row.id));
    TRY(q_managed_challenge_disown(ctx, txn, row.id));
    struct str_list dropped, unproved = {0}, had;
    struct bytes before;
    TRY(zones_had(ctx, txn, row.id, &had));
    TRY(told(ctx, row.provider, row.agent_id, row.parameters, &had, &before));
    if (!c->force)
        TRY(unproved_now(ctx, c->core, txn, row.id, &unproved));
    TRY(zones_keep(ctx, txn, row.id, &(struct str_list){0}, &dropped));
    TRY(q_dns_grant_drop_all(ctx, txn, row.id));
    struct rc rc = c->force ? RC_OK : solver_still_proves(ctx, c->core, txn, &dropped, &unproved);
    if (rc.e == E_IN_USE)
        return ctx_wrap(ctx, rc, "%s answers in DNS; enter another one first, or --force", row.name);
    TRY(rc);
    TRY(q_job_cancel_ref(ctx, txn, row.id, "dns_test", ctx_now_s(ctx)));
    TRY(timer_clear(ctx, txn, "dns-test", row.id));
    TRY(q_dns_provider_remove(ctx, txn, row.id, ctx_now_s(ctx)));
    size_t left = 0;
    TRY(persist_review(ctx, c->core, txn, &dropped, &left));
    return audit_write(ctx, txn, "dns-provider.delete", "dns-provider", row.id, row.team_id,
                       audit_change(ctx, before, (struct bytes){0}));
}

RC dns_provider_remove(struct ctx *ctx, struct core *core, const char *ref, bool force)
{
    struct dns_change c = {.core = core, .ref = ref, .force = force};
    return store_write(ctx, core->store, drop, &c);
}

/* --- what was left behind */

static struct rc sweep(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_change *c = arg;
    struct q_dns_provider_get_row row;
    struct q_challenge_leftover_of_row *left = NULL;
    struct q_challenge_cleaning_of_row *waiting = NULL;
    size_t n = 0, others = 0;
    c->n = 0;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "dns-provider.sweep", row.team_id));
    /* What waits for its next try is due now. */
    TRY(q_challenge_cleaning_of(ctx, txn, row.id, &waiting, &n));
    for (size_t i = 0; i < n; i++)
        TRY(q_job_put_off(ctx, txn, waiting[i].attempt_id, "clean", ctx_now_s(ctx)));
    c->n += n;
    TRY(q_challenge_leftover_of(ctx, txn, "", row.id, &left, &n));
    for (size_t i = 0; i < n; i++)
        TRY(attempt_leftover_clean(ctx, c->core, txn, &left[i]));
    c->n += n;
    TRY(dns_challenge_sweep(ctx, c->core, txn, row.id, &others));
    c->n += others;
    core_wake_after_commit(ctx, c->core, txn, "agent:", row.agent_id);
    return audit_write(ctx, txn, "dns-provider.sweep", "dns-provider", row.id, row.team_id,
                       audit_facts(ctx, "records:", audit_number(ctx, (int64_t)c->n), NULL));
}

RC dns_provider_sweep(struct ctx *ctx, struct core *core, const char *ref, size_t *n)
{
    struct dns_change c = {.core = core, .ref = ref};
    TRY(store_write(ctx, core->store, sweep, &c));
    *n = c.n;
    return RC_OK;
}

/* --- grants */

static struct rc granted_below(struct ctx *ctx, struct txn *txn, const struct q_dns_provider_get_row *row, const char *under)
{
    struct q_dns_zone_list_row *zones = NULL;
    size_t n = 0;
    TRY(q_dns_zone_list(ctx, txn, row->id, &zones, &n));
    for (size_t i = 0; i < n; i++)
        if (name_within(bytes_z(under), bytes_z(zones[i].zone)))
            return RC_OK;
    return ctx_fail_field(ctx, "/under", "%s is not below a zone of %s; certwright dns show %s lists them", under, row->name,
                          row->name);
}

static struct rc grant_agent(struct ctx *ctx, struct txn *txn, const char *ref, const char **agent)
{
    struct q_agent_first_row own;
    bool found = false;
    struct rc rc = agent_named(ctx, txn, ref, agent);
    if (rc_failed(rc)) {
        ctx->field = "/agent";
        return rc;
    }
    TRY(q_agent_first(ctx, txn, &own, &found));
    if (!found || !str_equal(own.id, *agent))
        return RC_OK;
    ctx->field = "/agent";
    return ctx_fail(ctx, E_FORBIDDEN,
                    "agent %s makes the keys of every team's certificates that name no other, so that every team would have it; "
                    "grant it to a team: --team TEAM",
                    own.name);
}

static struct rc grant_whom(struct ctx *ctx, struct txn *txn, const struct dns_change *c, const char **team, const char **agent)
{
    return c->agent ? grant_agent(ctx, txn, c->agent, agent) : access_team(ctx, txn, c->team, team);
}

static struct rc grant(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_change *c = arg;
    struct q_dns_provider_get_row row;
    struct q_dns_grant_list_row *have = NULL;
    const char *team = NULL, *agent = NULL;
    size_t n = 0;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "dns-provider.grant", row.team_id));
    TRY(granted_below(ctx, txn, &row, c->under));
    TRY(grant_whom(ctx, txn, c, &team, &agent));
    TRY(q_dns_grant_list(ctx, txn, row.id, &have, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(have[i].under, c->under) && (team ? str_equal(have[i].team_id, team) : str_equal(have[i].agent_id, agent))) {
            c->id = have[i].id;
            return RC_OK;
        }
    if (n >= DNS_GRANTS_MAX)
        return ctx_fail(ctx, E_CONFLICT, "%s is granted %zu times, and that is the most; grant it to a team above", row.name, n);
    const struct q_dns_grant_add_in in = {
        .id = c->id, .provider_id = row.id, .team_id = team, .agent_id = agent, .under = c->under, .now = ctx_now_s(ctx)};
    TRY(q_dns_grant_add(ctx, txn, &in));
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 4096);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "grant", c->id);
    json_put_str(&j, team ? "team" : "agent", team ? team : agent);
    json_put_str(&j, "under", c->under);
    json_close(&j);
    TRY(buf_status(&b));
    return audit_write(ctx, txn, "dns-provider.grant", "dns-provider", row.id, row.team_id,
                       audit_change(ctx, (struct bytes){0}, buf_bytes(&b)));
}

RC dns_grant_add(struct ctx *ctx, struct core *core, const char *ref, const char *team, const char *agent, const char *under,
                 const char **id)
{
    struct dns_change c = {
        .core = core, .ref = ref, .team = team, .agent = agent, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    if (!team == !agent)
        return ctx_fail_field(ctx, "/team", "grant it to a team or to an agent, one of the two");
    TRY(dns_name_of(ctx, "/under", under, &c.under));
    TRY(store_write(ctx, core->store, grant, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc grant_drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_change *c = arg;
    struct q_dns_provider_get_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "dns-provider.grant", row.team_id));
    struct q_dns_grant_list_row *have = NULL;
    struct str_list under = {0};
    size_t n = 0;
    TRY(q_dns_grant_list(ctx, txn, row.id, &have, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(have[i].id, c->id))
            str_list_add(&ctx->arena, &under, have[i].under);
    struct rc rc = q_dns_grant_drop(ctx, txn, c->id, row.id);
    if (rc.e == E_CHANGED) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_NOT_FOUND, "%s has no grant %s; certwright dns show %s lists them", row.name, c->id, row.name);
    }
    TRY(rc);
    TRY(persist_review(ctx, c->core, txn, &under, &c->n));
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1024);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "grant", c->id);
    json_close(&j);
    TRY(buf_status(&b));
    return audit_write(ctx, txn, "dns-provider.revoke", "dns-provider", row.id, row.team_id,
                       audit_change(ctx, buf_bytes(&b), (struct bytes){0}));
}

RC dns_grant_remove(struct ctx *ctx, struct core *core, const char *ref, const char *grant, size_t *records)
{
    struct dns_change c = {.core = core, .ref = ref, .id = grant};
    TRY(store_write(ctx, core->store, grant_drop, &c));
    *records = c.n;
    return RC_OK;
}

/* --- reading */

struct dns_read {
    struct core *core;
    const char *ref;
    int64_t limit;
    struct dns_provider_view *out;
    size_t n;
};

static struct rc fill(struct ctx *ctx, struct txn *txn, struct dns_provider_view *v)
{
    TRY(q_dns_zone_list(ctx, txn, v->row.id, &v->zones, &v->zones_n));
    return q_dns_grant_list(ctx, txn, v->row.id, &v->grants, &v->grants_n);
}

static struct rc read_one(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_read *r = arg;
    TRY(decide(ctx, r->core, txn, "dns-provider.read", NULL));
    TRY(find(ctx, txn, r->ref, &r->out->row));
    return fill(ctx, txn, r->out);
}

RC dns_provider_show(struct ctx *ctx, struct core *core, const char *ref, struct dns_provider_view *out)
{
    struct dns_read r = {.core = core, .ref = ref, .out = out};
    return store_read(ctx, core->store, read_one, &r);
}

static struct rc read_page(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct dns_read *r = arg;
    struct q_dns_provider_get_row *rows = NULL;
    TRY(decide(ctx, r->core, txn, "dns-provider.read", NULL));
    TRY(q_dns_provider_list(ctx, txn, access_scope(ctx), r->ref, r->limit, &rows, &r->n));
    r->out = arena_array(&ctx->arena, r->n, sizeof *r->out);
    for (size_t i = 0; i < r->n; i++) {
        r->out[i] = (struct dns_provider_view){.row = rows[i]};
        TRY(fill(ctx, txn, &r->out[i]));
    }
    return RC_OK;
}

RC dns_provider_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct dns_provider_view **out,
                     size_t *n)
{
    struct dns_read r = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, read_page, &r));
    *out = r.out;
    *n = r.n;
    return RC_OK;
}

/* --- status */

static void credential_trouble(struct ctx *ctx, const struct q_dns_trouble_row *t, void *arg,
                               void (*add)(void *, const char *, const char *, const char *))
{
    const int64_t left = t->expires_at ? *t->expires_at - ctx_now_s(ctx) : 0;
    if (str_equal(t->agent_state, "removed"))
        add(arg, t->provider,
            arena_printf(&ctx->arena, "DNS provider %s works by agent %s, which was removed", t->provider, t->agent),
            arena_printf(&ctx->arena, "certwright dns edit %s --agent AGENT", t->provider));
    else if (t->error)
        add(arg, t->provider,
            arena_printf(&ctx->arena, "DNS provider %s: its credential failed for %s (%lld tr%s): %s", t->provider, t->zone,
                         (long long)t->failures, t->failures == 1 ? "y" : "ies", t->error),
            arena_printf(&ctx->arena,
                         "mend it (certwright dns edit; or dns and credentials in agent.yaml on %s, then restart its agent), then: "
                         "certwright dns test %s",
                         t->agent, t->provider));
    else if (left <= 0)
        add(arg, t->provider, arena_printf(&ctx->arena, "DNS provider %s: its credential for %s has ended", t->provider, t->zone),
            arena_printf(&ctx->arena, "put a new one on %s, then: certwright dns test %s", t->agent, t->provider));
    else
        add(arg, t->provider,
            arena_printf(&ctx->arena, "DNS provider %s: its credential for %s ends in %lld days", t->provider, t->zone,
                         (long long)left / 86400),
            arena_printf(&ctx->arena, "put a new one on %s, then: certwright dns test %s", t->agent, t->provider));
}

RC dns_provider_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                         void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_dns_trouble_row *bad = NULL;
    struct q_challenge_leftovers_row *left = NULL;
    struct q_managed_challenge_leftovers_row *others = NULL;
    size_t n = 0;
    TRY(q_dns_trouble(ctx, txn, access_scope(ctx), ctx_now_s(ctx) + ENDS_SOON_S, limit, &bad, &n));
    for (size_t i = 0; i < n; i++)
        credential_trouble(ctx, &bad[i], arg, add);
    TRY(q_challenge_leftovers(ctx, txn, access_scope(ctx), limit, &left, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, left[i].managed,
            arena_printf(&ctx->arena, "%s: the answer to a %s challenge for %s was left behind: %s", left[i].managed,
                         left[i].method, left[i].identifier, left[i].error ? left[i].error : "?"),
            left[i].provider ? arena_printf(&ctx->arena, "certwright dns sweep %s; it is tried daily as well", left[i].provider)
                             : arena_printf(&ctx->arena, "it is tried again daily by agent %s", left[i].agent));
    TRY(q_managed_challenge_leftovers(ctx, txn, access_scope(ctx), limit, &others, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, others[i].name,
            arena_printf(&ctx->arena, "the answer to a challenge of another client for %s was left behind: %s", others[i].name,
                         others[i].error ? others[i].error : "?"),
            arena_printf(&ctx->arena, "certwright dns sweep %s; it is tried daily as well", others[i].provider));
    return RC_OK;
}
