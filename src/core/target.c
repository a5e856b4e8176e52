#include "core/target.h"

#include "base/json.h"
#include "base/random.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/audit.h"
#include "core/hold.h"
#include "core/job.h"
#include "core/managed.h"
#include "core/payload.h"
#include "pki/digest.h"
#include "pki/name.h"

/* One target a place: agent, connector and parameters, the parameters in one order whatever order they came in. */
static struct rc place_hash(struct ctx *ctx, const char *agent, const char *connector, const char *parameters, struct bytes *out)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(parameters), &root));
    char *sorted = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    if (!sorted)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for a target");
    const char *text = arena_printf(&ctx->arena, "%s\n%s\n%s", agent, connector, sorted);
    free(sorted);
    return digest_sha256_new(ctx, bytes_z(text), out);
}

struct target_change {
    struct core *core;
    const char *ref, *id;
    const struct target_input *in;
    int64_t revision;
    size_t n;
};

static struct rc target_add(struct ctx *ctx, struct core *core, struct txn *txn, const struct target_input *t, const char *id,
                            const char *agent, const char *name, const char *team)
{
    (void)core;
    struct bytes place;
    TRY(place_hash(ctx, agent, t->connector, t->parameters, &place));
    const struct q_target_add_in in = {.id = id,
                                       .team_id = team,
                                       .agent_id = agent,
                                       .name = name,
                                       .connector = t->connector,
                                       .parameters = t->parameters,
                                       .parameters_hash = place,
                                       .endpoints = t->endpoints ? t->endpoints : "[]",
                                       .names = t->names ? t->names : "[]",
                                       .description = t->description ? t->description : "",
                                       .windows = t->windows ? t->windows : "[]",
                                       .found = t->found,
                                       .now = ctx_now_s(ctx)};
    TRY(q_target_add(ctx, txn, &in));
    return audit_write(ctx, txn, "target.create", "target", id, team,
                       audit_change(ctx, (struct bytes){0},
                                    audit_facts(ctx, "name", name, "agent", agent, "connector", t->connector, "parameters:",
                                                in.parameters, "endpoints:", in.endpoints, "names:", in.names, "windows:",
                                                in.windows, NULL)));
}

/* A parameter that the connector does not have is a slip of the pen, found now or at the next renewal. */
static struct rc check_names(struct ctx *ctx, const json_t *connector, json_t *parameters)
{
    const json_t *names = json_object_get(connector, "parameters");
    const char *key;
    json_t *value;
    struct buf known;
    if (!json_array_size(names))
        return RC_OK;
    buf_init_arena(&known, &ctx->arena, 4096);
    for (size_t i = 0; i < json_array_size(names); i++)
        buf_printf(&known, "%s%s", i ? ", " : "", json_string_value(json_array_get(names, i)));
    json_object_foreach(parameters, key, value) {
        bool there = false;
        for (size_t i = 0; i < json_array_size(names) && !there; i++)
            there = str_equal(json_string_value(json_array_get(names, i)), key);
        if (!there)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/parameters/%s", key),
                                  "connector %s has no parameter %s; it has: %s",
                                  json_string_value(json_object_get(connector, "name")), key, buf_z(&known));
    }
    return RC_OK;
}

/* What the agent has told of its host: an unknown connector or command is better refused now than at the first renewal.  An agent
 * that has told nothing yet refuses it then. */
static struct rc check_told(struct ctx *ctx, struct txn *txn, const char *agent, const char *agent_name,
                            const struct target_input *t)
{
    struct q_agent_connectors_row row;
    TRY(q_agent_connectors(ctx, txn, agent, &row));
    json_auto_t *told = NULL, *parameters = NULL;
    TRY(json_read(ctx, bytes_z(row.connectors), &told));
    TRY(json_read(ctx, bytes_z(t->parameters), &parameters));
    const json_t *list = json_object_get(told, "connectors"), *commands = json_object_get(told, "commands");
    const char *known = "", *one;
    for (size_t i = 0; i < json_array_size(list); i++) {
        one = json_string_value(json_object_get(json_array_get(list, i), "name"));
        const char *trouble = json_string_value(json_object_get(json_array_get(list, i), "trouble"));
        if (str_equal(one, t->connector) && trouble)
            return ctx_fail_field(ctx, "/connector", "connector %s of agent %s cannot be used: %s", one, agent_name, trouble);
        if (trouble)
            continue;
        if (str_equal(one, t->connector)) {
            known = NULL;
            TRY(check_names(ctx, json_array_get(list, i), parameters));
        }
        if (known && one)
            known = arena_printf(&ctx->arena, "%s%s%s", known, *known ? ", " : "", one);
    }
    if (known && *known)
        return ctx_fail_field(ctx, "/connector", "agent %s has no connector %s; it has: %s", agent_name, t->connector, known);
    static const char *const keys[] = {"check", "reload"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys && json_array_size(list); i++) {
        one = json_string_value(json_object_get(parameters, keys[i]));
        if (one && *one && !json_object_get(commands, one))
            return ctx_fail_field(ctx, "/parameters", "no command of agent %s is named %s: add it to commands in its agent.yaml",
                                  agent_name, one);
    }
    return RC_OK;
}

/* One target a place. */
static struct rc check_free(struct ctx *ctx, struct txn *txn, const char *agent, const struct target_input *t)
{
    struct q_target_by_place_row there;
    struct q_target_get_row seen;
    struct bytes place;
    bool taken = false, visible = false;
    TRY(place_hash(ctx, agent, t->connector, t->parameters, &place));
    TRY(q_target_by_place(ctx, txn, place, &there, &taken));
    if (!taken)
        return RC_OK;
    TRY(q_target_get(ctx, txn, there.id, access_scope(ctx), &seen, &visible));
    return ctx_fail(ctx, E_EXISTS, "target %s is at that place already (same agent, connector and parameters)",
                    visible ? there.name : "of another team");
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct target_change *c = arg;
    const char *team = NULL, *agent = NULL, *agent_name = NULL;
    TRY(access_team(ctx, txn, c->in->team, &team));
    TRY(decide(ctx, c->core, txn, "target.create", team));
    TRY(agent_meant(ctx, txn, c->in->agent, &agent, &agent_name));
    TRY(check_told(ctx, txn, agent, agent_name, c->in));
    const char *name =
        c->in->name ? c->in->name : arena_printf(&ctx->arena, "%s:%s:%.6s", agent_name, c->in->connector, c->id + 20);
    TRY(check_free(ctx, txn, agent, c->in));
    struct rc rc = target_add(ctx, c->core, txn, c->in, c->id, agent, name, team);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a target is named %s already; certwright target list shows them", name);
    }
    return rc;
}

RC target_put(struct ctx *ctx, struct core *core, struct txn *txn, const struct target_input *in, const char *agent,
              const char *agent_name, const char *team, const char **id)
{
    *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    TRY(check_told(ctx, txn, agent, agent_name, in));
    TRY(check_free(ctx, txn, agent, in));
    return target_add(ctx, core, txn, in, *id, agent, in->name, team);
}

RC target_at(struct ctx *ctx, struct txn *txn, const char *agent, const char *connector, const char *parameters, const char **id,
             const char **name)
{
    struct q_target_by_place_row row;
    struct bytes place;
    bool found = false;
    TRY(place_hash(ctx, agent, connector, parameters, &place));
    TRY(q_target_by_place(ctx, txn, place, &row, &found));
    *id = found ? row.id : NULL;
    *name = found ? row.name : NULL;
    return RC_OK;
}

RC target_create(struct ctx *ctx, struct core *core, const struct target_input *in, const char **id)
{
    if (!str_is_name(bytes_z(in->connector)))
        return ctx_fail_field(ctx, "/connector", "name a connector, such as nginx or files");
    TRY(hold_windows_check(ctx, in->windows ? in->windows : "[]"));
    struct target_change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc target_find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_target_get_row *out)
{
    bool found = false;
    TRY(q_target_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no target is named %s; certwright target list shows them", ref);
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct target_change *c = arg;
    struct q_target_get_row row;
    TRY(target_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "target.update", row.team_id));
    const char *parameters = c->in->parameters ? c->in->parameters : row.parameters;
    if (c->in->parameters) {
        const struct target_input wished = {.connector = row.connector, .parameters = parameters};
        TRY(check_told(ctx, txn, row.agent_id, row.agent, &wished));
    }
    struct bytes place;
    TRY(place_hash(ctx, row.agent_id, row.connector, parameters, &place));
    const struct q_target_update_in in = {.id = row.id,
                                          .parameters = parameters,
                                          .parameters_hash = place,
                                          .endpoints = c->in->endpoints ? c->in->endpoints : row.endpoints,
                                          .names = c->in->names ? c->in->names : row.names,
                                          .description = c->in->description ? c->in->description : row.description,
                                          .windows = c->in->windows ? c->in->windows : row.windows,
                                          .revision = c->revision ? c->revision : row.revision,
                                          .now = ctx_now_s(ctx)};
    TRY(q_target_update(ctx, txn, &in));
    if (!str_equal(in.windows, row.windows))
        TRY(hold_target(ctx, c->core, txn, row.id));
    return audit_write(ctx, txn, "target.update", "target", row.id, row.team_id,
                       audit_change(ctx,
                                    audit_facts(ctx, "parameters:", row.parameters, "endpoints:", row.endpoints, "names:",
                                                row.names, "description", row.description, "windows:", row.windows, NULL),
                                    audit_facts(ctx, "parameters:", parameters, "endpoints:", in.endpoints, "names:", in.names,
                                                "description", in.description, "windows:", in.windows, NULL)));
}

RC target_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct target_input *in)
{
    TRY(hold_windows_check(ctx, in->windows ? in->windows : "[]"));
    struct target_change c = {.core = core, .ref = ref, .in = in, .revision = revision};
    return store_write(ctx, core->store, update, &c);
}

RC target_settle(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed)
{
    struct q_managed_by_id_row m;
    struct q_attempt_list_row *last = NULL;
    size_t n = 0;
    TRY(q_managed_by_id(ctx, txn, managed, &m));
    if (!m.failures || m.removed_at)
        return RC_OK;
    TRY(q_attempt_list(ctx, txn, managed, INT64_MAX, 1, &last, &n));
    return n && str_equal(last->state, "issued") ? managed_note_success(ctx, core, txn, managed) : RC_OK;
}

RC target_forget(struct ctx *ctx, struct txn *txn, const char *id)
{
    TRY(q_placement_drop(ctx, txn, id));
    TRY(q_target_endpoint_clear(ctx, txn, id));
    TRY(timer_clear(ctx, txn, "verify", id));
    TRY(timer_clear(ctx, txn, "redeploy", id));
    TRY(q_managed_target_drop_all(ctx, txn, id));
    return q_target_remove(ctx, txn, id, ctx_now_s(ctx));
}

/* Its agent stops managing it. */
static struct rc undeploy(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *agent,
                          const char *connector, const char *parameters)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "target", id);
    json_put_str(&j, "connector", connector);
    json_put_raw(&j, "parameters", bytes_z(parameters));
    json_close(&j);
    TRY(buf_status(&b));
    TRY(job_add(ctx, core, txn, "undeploy", agent, arena_printf(&ctx->arena, "target:%s", id), id, buf_bytes(&b), 0));
    return target_forget(ctx, txn, id);
}

RC target_leave(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_target_by_id_row row;
    struct q_target_used_row used;
    bool found = false;
    TRY(q_target_used(ctx, txn, id, &used, &found));
    if (found)
        return RC_OK; /* somebody gave it to another certificate meanwhile */
    TRY(q_target_by_id(ctx, txn, id, &row));
    return undeploy(ctx, core, txn, id, row.agent_id, row.connector, row.parameters);
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct target_change *c = arg;
    struct q_target_get_row row;
    TRY(target_find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "target.delete", row.team_id));
    struct q_target_used_row used;
    bool found = false;
    TRY(q_target_used(ctx, txn, row.id, &used, &found));
    if (found)
        return ctx_fail(ctx, E_IN_USE, "%s serves %s; remove or move that first", row.name, used.name);
    TRY(undeploy(ctx, c->core, txn, row.id, row.agent_id, row.connector, row.parameters));
    return audit_write(ctx, txn, "target.delete", "target", row.id, row.team_id,
                       audit_change(ctx,
                                    audit_facts(ctx, "name", row.name, "connector", row.connector, "parameters:",
                                                row.parameters, NULL),
                                    (struct bytes){0}));
}

RC target_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct target_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

struct target_read {
    struct core *core;
    const char *ref;
    int64_t limit;
    struct target_view *out;
    size_t n;
};

static struct rc read_one(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct target_read *r = arg;
    TRY(decide(ctx, r->core, txn, "target.read", NULL));
    TRY(target_find(ctx, txn, r->ref, &r->out->row));
    return q_target_managed_by(ctx, txn, r->out->row.id, 100, &r->out->managed_by, &r->out->managed_by_n);
}

RC target_show(struct ctx *ctx, struct core *core, const char *ref, struct target_view *out)
{
    struct target_read r = {.core = core, .ref = ref, .out = out};
    return store_read(ctx, core->store, read_one, &r);
}

static struct rc read_page(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct target_read *r = arg;
    TRY(decide(ctx, r->core, txn, "target.read", NULL));
    struct q_target_get_row *rows = NULL;
    TRY(q_target_list(ctx, txn, access_scope(ctx), r->ref, r->limit, &rows, &r->n));
    r->out = arena_array(&ctx->arena, r->n, sizeof *r->out);
    for (size_t i = 0; i < r->n; i++) {
        r->out[i].row = rows[i];
        TRY(q_target_managed_by(ctx, txn, rows[i].id, 100, &r->out[i].managed_by, &r->out[i].managed_by_n));
    }
    return RC_OK;
}

RC target_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct target_view **out, size_t *n)
{
    struct target_read r = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, read_page, &r));
    *out = r.out;
    *n = r.n;
    return RC_OK;
}

static struct rc discover(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct target_change *c = arg;
    c->n = 0;
    TRY(decide(ctx, c->core, txn, "target.discover", NULL));
    struct q_agent_get_row *agents = NULL;
    size_t n = 0;
    TRY(q_agent_list(ctx, txn, access_scope(ctx), "", 1000, &agents, &n));
    for (size_t i = 0; i < n; i++) {
        if (c->ref && !str_equal(c->ref, agents[i].id) && !str_equal(c->ref, agents[i].name))
            continue;
        struct q_job_open_ref_row open;
        bool running = false;
        TRY(q_job_open_ref(ctx, txn, agents[i].id, "discover", &open, &running));
        c->n++;
        if (!running)
            TRY(job_add(ctx, c->core, txn, "discover", agents[i].id, arena_printf(&ctx->arena, "discover:%s", agents[i].id),
                        agents[i].id, BYTES_LIT("{}"), 0));
    }
    return c->n || !c->ref ? RC_OK
                           : ctx_fail(ctx, E_NOT_FOUND, "no agent is named %s; certwright agent list shows them", c->ref);
}

RC target_discover(struct ctx *ctx, struct core *core, const char *agent, size_t *asked)
{
    struct target_change c = {.core = core, .ref = agent};
    TRY(store_write(ctx, core->store, discover, &c));
    *asked = c.n;
    return RC_OK;
}

/* What an agent calls what it has found is a word of that host: it must not be taken for another one's, nor for a connector. */
static const char *found_name(struct ctx *ctx, const struct q_agent_of_row *agent, const struct target_input *t)
{
    const char *name = t->name;
    const size_t n = strlen(name);
    if (!n || n > 180 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*:") != n ||
        str_equal(name, t->connector))
        name = arena_printf(&ctx->arena, "%s-found", t->connector);
    const bool own = bytes_starts_with(bytes_z(agent->identity), BYTES_LIT("unix:"));
    return own ? name : arena_printf(&ctx->arena, "%s:%s", agent->name, name);
}

static struct rc found_one(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const struct target_input *t)
{
    struct bytes place;
    struct q_agent_of_row of;
    TRY(q_agent_of(ctx, txn, agent, &of));
    TRY(place_hash(ctx, agent, t->connector, t->parameters, &place));
    struct q_target_by_place_row have;
    bool known = false;
    TRY(q_target_by_place(ctx, txn, place, &have, &known));
    if (!known) {
        const char *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)), *name = found_name(ctx, &of, t);
        struct q_target_get_row taken;
        bool there = false;
        TRY(q_target_get(ctx, txn, name, core->team_root, &taken, &there));
        if (there)
            name = arena_printf(&ctx->arena, "%s-%.6s", name, id + 20);
        return target_add(ctx, core, txn, t, id, agent, name, of.team_id);
    }
    if (!have.found || (str_equal(have.endpoints, t->endpoints) && str_equal(have.names, t->names)))
        return RC_OK;
    const struct q_target_update_in in = {.id = have.id,
                                          .parameters = t->parameters,
                                          .parameters_hash = place,
                                          .endpoints = t->endpoints,
                                          .names = t->names,
                                          .description = t->description,
                                          .windows = have.windows,
                                          .revision = have.revision,
                                          .now = ctx_now_s(ctx)};
    return q_target_update(ctx, txn, &in);
}

RC target_found(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const struct target_input *found, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(found_one(ctx, core, txn, agent, &found[i]));
    core_wake_after_commit(ctx, core, txn, "discover:", agent);
    return RC_OK;
}

/* Whether a service that answers to `served` (JSON list) answers to a name. */
static bool answers_to(struct ctx *ctx, const char *served, const char *name)
{
    json_auto_t *list = NULL;
    struct rc rc = json_read(ctx, bytes_z(served), &list);
    bool yes = false;
    for (size_t i = 0; rc_ok(rc) && i < json_array_size(list) && !yes; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        yes = s && (str_equal(s, name) || name_covers(bytes_z(s), bytes_z(name)) || name_covers(bytes_z(name), bytes_z(s)));
    }
    ctx_forget(ctx);
    return yes;
}

/* "nginx": what the hub's own host serves with it; "web1:nginx": what that agent does.  Another host's word that it serves a name
 * is never enough. */
static struct rc resolve_connector(struct ctx *ctx, struct txn *txn, const char *ref, const struct str_list *names, const char **id,
                                   const char **name)
{
    const char *colon = strchr(ref, ':');
    const char *agent = colon ? arena_str(&ctx->arena, bytes_of(ref, (size_t)(colon - ref))) : "";
    const char *connector = colon ? colon + 1 : ref;
    struct q_target_named_like_row *rows = NULL;
    size_t n = 0, fit = 0;
    TRY(q_target_named_like(ctx, txn, connector, agent, access_scope(ctx), 1000, &rows, &n));
    if (!n)
        return ctx_fail(
            ctx, E_NOT_FOUND,
            "no target is named %s, and none of that connector is known%s; look for some with: certwright target discover", ref,
            colon ? "" : " on the hub's own host (on another: AGENT:CONNECTOR)");
    for (size_t i = 0; i < n; i++) {
        bool any = false;
        for (size_t k = 0; k < names->n; k++)
            any = any || answers_to(ctx, rows[i].names, names->v[k]);
        if (!any)
            continue;
        fit++;
        *id = rows[i].id;
        *name = rows[i].name;
    }
    if (fit == 1)
        return RC_OK;
    if (!fit && n > 1)
        return ctx_fail(ctx, E_NOT_FOUND,
                        "none of the %zu %s targets answers to %s: give a server that name and look again (certwright target "
                        "discover), or name the target itself "
                        "(certwright target list)",
                        n, connector, names->v[0]);
    if (!fit && n == 1)
        return ctx_fail(ctx, E_NOT_FOUND, "the %s target %s does not answer to %s; name it itself to deploy there all the same",
                        connector, rows[0].name, names->v[0]);
    return ctx_fail(ctx, fit ? E_CONFLICT : E_NOT_FOUND, "%zu %s targets answer to %s; name one of them (certwright target list)",
                    fit, connector, names->v[0]);
}

RC target_resolve(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref, const struct str_list *names,
                  const char **id, const char **name)
{
    (void)core;
    struct q_target_get_row row;
    bool found = false;
    TRY(q_target_get(ctx, txn, ref, access_scope(ctx), &row, &found));
    if (!found)
        return resolve_connector(ctx, txn, ref, names, id, name);
    *id = row.id;
    *name = row.name;
    return RC_OK;
}
