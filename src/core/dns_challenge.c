#include "core/dns_challenge.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/dns_provider.h"
#include "core/job.h"
#include "core/payload.h"
#include "core/persist.h"
#include "core/shared_answer.h"
#include "core/solver.h"
#include "pki/digest.h"

/* One that failed was perhaps half done: it is taken away soon. */
#define FAILED_S  600
#define STORY_MAX 40

struct challenging {
    struct core *core;
    const char *id, *name, *value, *team;
    int64_t limit;
    struct q_managed_challenge_get_row *rows;
    size_t n;
};

static struct rc work(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_challenge_get_row *c,
                      const char *kind)
{
    struct bytes payload;
    struct q_challenge_list_row row = {.url = "",
                                       .identifier = arena_printf(&ctx->arena, "dns:%s", c->name),
                                       .token = c->id,
                                       .key_authorization = "",
                                       .method = "dns-01"};
    TRY(solver_via_now(ctx, txn, c->provider_id, c->agent_id, c->via, &row.via));
    TRY(payload_challenge(ctx, c->id, &row, NULL, c->value, &payload));
    return job_add(ctx, core, txn, kind, c->agent_id, solver_lane(ctx, c->provider_id, row.identifier, c->id), c->id, payload, 0);
}

static struct rc audited(struct ctx *ctx, struct txn *txn, const char *action, const struct q_managed_challenge_get_row *c)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 4096);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "name", c->name);
    json_put_str(&j, "value", c->value);
    json_put_str(&j, "provider", c->provider_id);
    json_close(&j);
    TRY(buf_status(&b));
    return audit_write(ctx, txn, action, "challenge", c->id, c->team_id, buf_bytes(&b));
}

/* A token of an agent's host has what is granted to that agent, and nothing of its team. */
static struct solver_owner asks_for(struct ctx *ctx, const char *team)
{
    struct solver_owner owner = {.team = *access_agent_of(ctx) ? "" : team};
    if (*access_agent_of(ctx))
        str_list_add(&ctx->arena, &owner.agents, access_agent_of(ctx));
    return owner;
}

static struct rc ungranted_for(struct ctx *ctx, struct txn *txn, const struct solver_owner *owner, const char *name,
                               const struct q_dns_answering_row *above, const char **out)
{
    struct q_agent_of_row agent;
    if (!owner->agents.n)
        return solver_ungranted(ctx, txn, owner, name, above, out);
    TRY(q_agent_of(ctx, txn, owner->agents.v[0], &agent));
    *out = arena_printf(&ctx->arena,
                        "no DNS provider is granted to agent %s for it: certwright dns grant PROVIDER --agent %s --under %s",
                        agent.name, agent.name, name);
    return RC_OK;
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct challenging *c = arg;
    struct q_managed_challenge_get_row same;
    struct q_managed_challenge_count_row count;
    struct q_dns_answering_row by;
    const char *ungranted = NULL;
    bool found = false;
    TRY(access_team(ctx, txn, c->team, &c->team));
    const struct solver_owner owner = asks_for(ctx, c->team);
    TRY(decide(ctx, c->core, txn, "challenge.create", c->team));
    TRY(solver_provider(ctx, txn, &owner, c->name, &by, &found));
    if (!found) {
        TRY(ungranted_for(ctx, txn, &owner, c->name, &by, &ungranted));
        return ctx_fail(ctx, E_FORBIDDEN, "%s: %s", c->name, ungranted);
    }
    TRY(q_managed_challenge_same(ctx, txn, c->team, access_agent_of(ctx), c->name, c->value, &same, &found));
    if (found) {
        c->id = same.id;
        return RC_OK;
    }
    TRY(q_managed_challenge_count(ctx, txn, c->team, access_agent_of(ctx), &count));
    if (count.n >= DNS_CHALLENGES_MAX)
        return ctx_fail(ctx, E_CONFLICT, "%lld challenges are not taken away yet; take some away: certwright challenge clean ID",
                        (long long)count.n);
    const char *via = NULL;
    const int64_t now = ctx_now_s(ctx);
    TRY(solver_via_dns(ctx, txn, &owner, &by, &via));
    const struct q_managed_challenge_add_in in = {.id = c->id,
                                                  .team_id = c->team,
                                                  .provider_id = by.id,
                                                  .agent_id = by.agent_id,
                                                  .via = via,
                                                  .asker_id = *access_agent_of(ctx) ? access_agent_of(ctx) : NULL,
                                                  .name = c->name,
                                                  .value = c->value,
                                                  .now = now,
                                                  .ends_at = now + DNS_CHALLENGE_S};
    const struct q_managed_challenge_get_row row = {.id = in.id,
                                                    .team_id = in.team_id,
                                                    .provider_id = in.provider_id,
                                                    .agent_id = in.agent_id,
                                                    .via = in.via,
                                                    .name = in.name,
                                                    .value = in.value};
    TRY(q_managed_challenge_add(ctx, txn, &in));
    TRY(timer_arm(ctx, txn, "challenge", in.id, in.ends_at));
    TRY(audited(ctx, txn, "challenge.create", &row));
    return work(ctx, c->core, txn, &row, "dns_present");
}

RC dns_challenge_create(struct ctx *ctx, struct core *core, const char *name, const char *value, const char *team,
                        const char **id)
{
    struct challenging c = {
        .core = core, .value = value, .team = team, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    struct bytes digest;
    TRY(dns_name_of(ctx, "/name", name, &c.name));
    /* Nothing else is written there for anybody. */
    if (!get_base64url(&ctx->arena, bytes_z(value), &digest) || digest.n != SHA256_LEN)
        return ctx_fail_field(ctx, "/value", "the text of a dns-01 record is 43 characters of base64url (RFC 8555 section 8.4)");
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc find(struct ctx *ctx, struct txn *txn, const char *id, struct q_managed_challenge_get_row *out)
{
    bool found = false;
    TRY(q_managed_challenge_get(ctx, txn, id, access_scope(ctx), access_agent_of(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no challenge %s is there; certwright challenge list shows them", id);
}

static struct rc read_one(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct challenging *c = arg;
    TRY(decide(ctx, c->core, txn, "challenge.read", NULL));
    return find(ctx, txn, c->id, c->rows);
}

RC dns_challenge_show(struct ctx *ctx, struct core *core, const char *id, struct q_managed_challenge_get_row *out)
{
    struct challenging c = {.core = core, .id = id, .rows = out};
    return store_read(ctx, core->store, read_one, &c);
}

static struct rc read_page(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct challenging *c = arg;
    TRY(decide(ctx, c->core, txn, "challenge.read", NULL));
    return q_managed_challenge_list(ctx, txn, access_scope(ctx), access_agent_of(ctx), c->id, c->limit, &c->rows, &c->n);
}

RC dns_challenge_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit,
                      struct q_managed_challenge_get_row **out, size_t *n)
{
    struct challenging c = {.core = core, .id = after, .limit = limit};
    TRY(store_read(ctx, core->store, read_page, &c));
    *out = c.rows;
    *n = c.n;
    return RC_OK;
}

/* --- taking away */

static struct rc clean(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_challenge_get_row *c)
{
    if (str_equal(c->state, "cleaning") || str_equal(c->state, "cleaned"))
        return RC_OK;
    const struct shared_answer a = {.owner = c->id,
                                    .identifier = arena_printf(&ctx->arena, "dns:%s", c->name),
                                    .method = "dns-01",
                                    .provider = c->provider_id,
                                    .value = c->value};
    struct str_list told = {0};
    bool needed = false;
    TRY(q_job_cancel_ref(ctx, txn, c->id, "dns_present", ctx_now_s(ctx)));
    TRY(timer_clear(ctx, txn, "challenge", c->id));
    TRY(shared_answer_needed(ctx, txn, &a, &needed));
    if (needed) {
        str_list_add(&ctx->arena, &told, "the value stays: somebody else needs the same");
        TRY(dns_challenge_told(ctx, txn, c->id, &told));
        return q_managed_challenge_state(ctx, txn, c->id, "cleaned", NULL, NULL);
    }
    TRY(q_managed_challenge_state(ctx, txn, c->id, "cleaning", NULL, NULL));
    return work(ctx, core, txn, c, "dns_clean");
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct challenging *c = arg;
    struct q_managed_challenge_get_row row;
    TRY(find(ctx, txn, c->id, &row));
    TRY(decide(ctx, c->core, txn, "challenge.delete", row.team_id));
    TRY(clean(ctx, c->core, txn, &row));
    return audited(ctx, txn, "challenge.delete", &row);
}

RC dns_challenge_remove(struct ctx *ctx, struct core *core, const char *id)
{
    struct challenging c = {.core = core, .id = id};
    return store_write(ctx, core->store, drop, &c);
}

RC dns_challenge_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_managed_challenge_get_row row;
    bool found = false;
    TRY(q_managed_challenge_by_id(ctx, txn, id, &row, &found));
    return found ? clean(ctx, core, txn, &row) : RC_OK;
}

RC dns_challenge_sweep(struct ctx *ctx, struct core *core, struct txn *txn, const char *provider, size_t *n)
{
    struct q_managed_challenge_get_row *rows = NULL;
    TRY(q_managed_challenge_open_of(ctx, txn, provider, &rows, n));
    for (size_t i = 0; i < *n; i++) {
        TRY(q_job_put_off(ctx, txn, rows[i].id, "dns_clean", ctx_now_s(ctx)));
        TRY(clean(ctx, core, txn, &rows[i]));
    }
    return RC_OK;
}

/* --- results */

RC dns_challenge_told(struct ctx *ctx, struct txn *txn, const char *id, const struct str_list *lines)
{
    struct q_managed_challenge_get_row row;
    json_auto_t *was = NULL;
    const json_t *v;
    struct str_list all = {0};
    struct buf b;
    struct json_out j;
    bool found = false;
    size_t i;
    TRY(q_managed_challenge_by_id(ctx, txn, id, &row, &found));
    if (!found)
        return persist_told(ctx, txn, id, lines);
    TRY(json_read(ctx, bytes_z(row.story), &was));
    json_array_foreach(was, i, v)
    {
        if (json_is_string(v))
            str_list_add(&ctx->arena, &all, json_string_value(v));
    }
    for (i = 0; i < lines->n; i++)
        str_list_add(&ctx->arena, &all, lines->v[i]);
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (i = all.n > STORY_MAX ? all.n - STORY_MAX : 0; i < all.n; i++)
        json_put_str(&j, NULL, all.v[i]);
    json_close(&j);
    TRY(buf_status(&b));
    return q_managed_challenge_told(ctx, txn, id, buf_z(&b));
}

RC dns_challenge_presented(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *error_code,
                           const char *error)
{
    struct q_managed_challenge_get_row row;
    bool found = false;
    TRY(q_managed_challenge_by_id(ctx, txn, id, &row, &found));
    if (!found || !str_equal(row.state, "presenting")) /* taken back meanwhile; dns_clean follows in the lane */
        return RC_OK;
    if (error_code) {
        TRY(timer_arm(ctx, txn, "challenge", id, ctx_now_s(ctx) + FAILED_S));
        TRY(dns_test_due(ctx, core, txn, row.provider_id));
    }
    return q_managed_challenge_state(ctx, txn, id, error_code ? "failed" : "presented", error_code, error);
}

RC dns_challenge_cleaned(struct ctx *ctx, struct txn *txn, const char *id, const char *error_code, const char *error)
{
    struct q_managed_challenge_get_row row;
    bool found = false;
    TRY(q_managed_challenge_by_id(ctx, txn, id, &row, &found));
    if (!found)
        return persist_cleaned(ctx, txn, id, error);
    if (error_code)
        TRY(timer_arm(ctx, txn, "challenge", id, ctx_now_s(ctx) + DNS_CHALLENGE_S));
    return q_managed_challenge_state(ctx, txn, id, error_code ? "leftover" : "cleaned", error_code, error);
}
