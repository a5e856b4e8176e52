#include "core/rule.h"

#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/alert_own.h"
#include "core/audit.h"
#include "core/author.h"

static const struct {
    const char *name;
    bool enabled;
    const char *spec;
} built_in[] = {
#define RULE(name, enabled, spec) {name, enabled, spec},
#include "core/rules.def"
#undef RULE
};

struct rule_change {
    struct core *core;
    const char *ref, *id, *spec; /* spec: what is kept */
    struct rule_spec read;
    int64_t revision, limit;
    const struct rule_input *in;
    struct q_rule_list_row *rows;
    size_t n;
};

/* --- the built-in ones */

static struct rc start_one(struct ctx *ctx, struct txn *txn, const char *team, size_t at)
{
    struct api_rule_spec in;
    struct rule_spec spec;
    struct q_rule_built_in_row row;
    const char *json = NULL;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(ctx_wrap(ctx, rule_spec_api(ctx, built_in[at].spec, &in), "the built-in rule %s", built_in[at].name));
    TRY(ctx_wrap(ctx, rule_spec_of(ctx, &in, &spec), "the built-in rule %s", built_in[at].name));
    TRY(rule_spec_json(ctx, &in, &json));
    const int64_t *looks = spec.where ? &now : NULL;
    TRY(q_rule_built_in(ctx, txn, built_in[at].name, &row, &found));
    if (found)
        return !row.built_in || row.edited || str_equal(row.spec, json) ? RC_OK : q_rule_spec_set(ctx, txn, row.id, json, looks);
    const struct q_rule_add_in add = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                      .team_id = team,
                                      .name = built_in[at].name,
                                      .spec = json,
                                      .enabled = built_in[at].enabled,
                                      .built_in = true,
                                      .edited_by = "",
                                      .author_id = "",
                                      .author_person = "",
                                      .looks_at = looks,
                                      .now = now};
    return q_rule_add(ctx, txn, &add);
}

RC rule_start(struct ctx *ctx, struct txn *txn, const char *team)
{
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        TRY(start_one(ctx, txn, team, i));
    return RC_OK;
}

/* --- what people change */

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_rule_list_row *out)
{
    bool found = false;
    TRY(q_rule_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no rule is named %s; certwright rule list shows them", ref);
}

static struct rc exists(struct ctx *ctx, struct rc rc, const char *name)
{
    if (rc.e != E_EXISTS)
        return rc;
    ctx_forget(ctx);
    return ctx_fail(ctx, E_EXISTS, "a rule named %s is there already; change it with: certwright rule edit %s", name, name);
}

static struct bytes facts(struct ctx *ctx, const char *name, const char *spec, bool enabled)
{
    return audit_facts(ctx, "name", name, "spec:", spec, "enabled:", enabled ? "true" : "false", NULL);
}

/* What it will do by itself, whoever makes it has to be allowed. */
static struct rc may_all(struct ctx *ctx, struct core *core, struct txn *txn, const struct rule_spec *spec, const char *team)
{
    const struct permission_set needs = rule_needs(spec);
    return access_holds(ctx, core, txn, &needs, team);
}

/* Channels and agents that are named are there, and of this team or one within it. */
static struct rc named_are_there(struct ctx *ctx, struct txn *txn, const struct rule_spec *spec, const char *team)
{
    for (size_t i = 0; i < spec->steps_n; i++) {
        const struct rule_step *step = &spec->steps[i];
        struct q_channel_get_row channel;
        bool found = false;
        if (step->kind == RULE_RUN) {
            struct q_agent_get_row agent;
            TRY(q_agent_get(ctx, txn, step->agent, team, &agent, &found));
            if (!found)
                return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/spec/steps/%zu/agent", i),
                                      "the rule's team has no agent named %s; certwright agent list shows them", step->agent);
        }
        if (step->kind != RULE_NOTIFY || str_equal(step->notify, "team") || str_equal(step->notify, "owner") ||
            strchr(step->notify, '@'))
            continue;
        TRY(q_channel_get(ctx, txn, step->notify, team, &channel, &found));
        if (!found)
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/spec/steps/%zu/notify", i),
                                  "the rule's team has no channel named %s; certwright channel list shows them", step->notify);
    }
    return RC_OK;
}

/* Its alerts are closed, and nobody is told any more. */
static struct rc end_alerts(struct ctx *ctx, struct txn *txn, const char *rule, const char *why)
{
    TRY(q_alert_held_forget(ctx, txn, rule));
    TRY(q_alert_drop_counting(ctx, txn, rule));
    return q_alert_close_of_rule(ctx, txn, rule, ctx->principal->name, why, ctx_now_s(ctx));
}

static struct rc room(struct ctx *ctx, struct txn *txn, const char *team)
{
    struct q_rule_count_row count;
    TRY(q_rule_count(ctx, txn, team, &count));
    if (count.n >= RULES_MAX || count.in_team >= RULES_TEAM_MAX)
        return ctx_fail(ctx, E_CONFLICT, "there are %d rules in this team, or %d in all: remove some", RULES_TEAM_MAX, RULES_MAX);
    return RC_OK;
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct rule_change *c = arg;
    const char *team;
    struct author author;
    const int64_t now = ctx_now_s(ctx);
    const bool enabled = !c->in->has_enabled || c->in->enabled;
    TRY(access_team(ctx, txn, c->in->team, &team));
    TRY(decide(ctx, c->core, txn, "rule.create", team));
    TRY(may_all(ctx, c->core, txn, &c->read, team));
    TRY(named_are_there(ctx, txn, &c->read, team));
    TRY(room(ctx, txn, team));
    TRY(author_of(ctx, txn, &author));
    const struct q_rule_add_in add = {.id = c->id,
                                      .team_id = team,
                                      .name = c->in->name,
                                      .spec = c->spec,
                                      .enabled = enabled,
                                      .built_in = false,
                                      .edited_by = author.name,
                                      .author_kind = author.kind,
                                      .author_id = author.id,
                                      .author_person = author.person,
                                      .looks_at = c->read.where ? &now : NULL,
                                      .now = now};
    TRY(exists(ctx, q_rule_add(ctx, txn, &add), c->in->name));
    return audit_write(ctx, txn, "rule.create", "rule", c->id, team,
                       audit_change(ctx, (struct bytes){0}, facts(ctx, c->in->name, c->spec, enabled)));
}

static struct rc take_spec(struct ctx *ctx, struct rule_change *c)
{
    TRY(rule_spec_of(ctx, c->in->spec, &c->read));
    return rule_spec_json(ctx, c->in->spec, &c->spec);
}

RC rule_create(struct ctx *ctx, struct core *core, const struct rule_input *in, const char **id)
{
    struct rule_change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(take_spec(ctx, &c));
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc update(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct rule_change *c = arg;
    struct q_rule_list_row row;
    struct rule_spec spec = c->read;
    struct author author;
    const int64_t now = ctx_now_s(ctx);
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "rule.update", row.team_id));
    if (!c->in->spec)
        TRY(rule_spec_read(ctx, row.spec, &spec));
    const bool enabled = c->in->has_enabled ? c->in->enabled : row.enabled;
    /* Who only switches it off, or calls it something else, need not hold what it does, and is not who it acts for. */
    const bool takes_over = c->in->spec || (c->in->has_enabled && enabled && (!row.enabled || *row.halted));
    if (takes_over)
        TRY(may_all(ctx, c->core, txn, &spec, row.team_id));
    TRY(author_of(ctx, txn, &author));
    if (!takes_over)
        author = (struct author){(enum principal_kind)row.author_kind, row.author_id, row.edited_by, row.author_person};
    if (c->in->spec)
        TRY(named_are_there(ctx, txn, &spec, row.team_id));
    const struct q_rule_update_in in = {.id = row.id,
                                        .revision = c->revision ? c->revision : row.revision,
                                        .name = c->in->name ? c->in->name : row.name,
                                        .spec = c->in->spec ? c->spec : row.spec,
                                        .enabled = enabled,
                                        .edited = row.edited || c->in->spec,
                                        .edited_by = author.name,
                                        .author_kind = author.kind,
                                        .author_id = author.id,
                                        .author_person = author.person,
                                        .halted = takes_over ? "" : row.halted,
                                        .looks_at = spec.where ? &now : NULL,
                                        .now = now};
    if (row.built_in && !str_equal(in.name, row.name))
        return ctx_fail(ctx, E_CONFLICT, "%s is built in, and keeps its name", row.name);
    TRY(exists(ctx, q_rule_update(ctx, txn, &in), in.name));
    struct rule_spec was = {0};
    if (c->in->spec && rc_failed(rule_spec_read(ctx, row.spec, &was)))
        ctx_forget(ctx);
    if (row.enabled && !enabled)
        TRY(end_alerts(ctx, txn, row.id, "the rule was disabled"));
    else if (c->in->spec && (was.where != NULL) != (spec.where != NULL)) /* what they wait for does not come any more */
        TRY(end_alerts(ctx, txn, row.id, "the rule was changed"));
    if (takes_over && *row.halted)
        TRY(audit_write(ctx, txn, "rule.resumed", "rule", row.id, row.team_id, audit_facts(ctx, "name", in.name, NULL)));
    return audit_write(ctx, txn, "rule.update", "rule", row.id, row.team_id,
                       audit_change(ctx, facts(ctx, row.name, row.spec, row.enabled), facts(ctx, in.name, in.spec, in.enabled)));
}

RC rule_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct rule_input *in)
{
    struct rule_change c = {.core = core, .ref = ref, .revision = revision, .in = in};
    if (in->spec)
        TRY(take_spec(ctx, &c));
    return store_write(ctx, core->store, update, &c);
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct rule_change *c = arg;
    struct q_rule_list_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "rule.delete", row.team_id));
    if (row.built_in)
        return ctx_fail(ctx, E_CONFLICT, "%s is built in; to have it say nothing: certwright rule disable %s", row.name, row.name);
    TRY(end_alerts(ctx, txn, row.id, "the rule was removed"));
    TRY(q_rule_remove(ctx, txn, row.id));
    return audit_write(ctx, txn, "rule.delete", "rule", row.id, row.team_id,
                       audit_change(ctx, facts(ctx, row.name, row.spec, row.enabled), (struct bytes){0}));
}

RC rule_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct rule_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

static struct rc get(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct rule_change *c = arg;
    return find(ctx, txn, c->ref, c->rows);
}

RC rule_get(struct ctx *ctx, struct core *core, const char *ref, struct q_rule_list_row *out)
{
    struct rule_change c = {.core = core, .ref = ref, .rows = out};
    return store_read(ctx, core->store, get, &c);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct rule_change *c = arg;
    return q_rule_list(ctx, txn, access_scope(ctx), c->ref, c->limit, &c->rows, &c->n);
}

RC rule_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct q_rule_list_row **rows, size_t *n)
{
    struct rule_change c = {.core = core, .ref = after, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *rows = c.rows;
    *n = c.n;
    return RC_OK;
}
