#include "core/rule_author.h"

#include "base/str.h"
#include "core/audit.h"
#include "core/author.h"
#include "core/rule_spec.h"
#include "store/queries.h"

RC rule_acts(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const struct principal **out, const char **why)
{
    struct q_rule_author_row row;
    struct rule_spec spec;
    bool found = false;
    *why = NULL;
    TRY(q_rule_author(ctx, txn, id, &row, &found));
    if (!found || !row.enabled)
        *why = "the rule was disabled or removed";
    else if (*row.halted)
        *why = arena_printf(&ctx->arena, "the rule is halted: %s", row.halted);
    if (*why)
        return RC_OK;
    TRY(rule_spec_read(ctx, row.spec, &spec));
    const struct author author = {.kind = (enum principal_kind)row.author_kind, .id = row.author_id, .name = row.edited_by};
    struct access_right *right = ARENA_NEW(&ctx->arena, struct access_right);
    *right = (struct access_right){.team = row.team_id, .role = "rule", .may = rule_needs(&spec)};
    if (!row.built_in || row.edited) /* those that we wrote only tell */
        TRY(author_lacks(ctx, core, txn, &author, &right->may, row.team_id, why));
    const struct principal p = {.kind = PRINCIPAL_RULE,
                                .id = arena_strdup(&ctx->arena, id),
                                .name = arena_printf(&ctx->arena, "rule:%s", row.name),
                                .team = row.team_id,
                                .role = "rule",
                                .rights = right,
                                .rights_n = 1};
    *out = arena_dup(&ctx->arena, &p, sizeof p);
    return RC_OK;
}

RC rule_halt(struct ctx *ctx, struct txn *txn, const char *id, const char *why)
{
    struct q_rule_author_row row;
    bool found = false;
    TRY(q_rule_author(ctx, txn, id, &row, &found));
    if (!found || !row.enabled || *row.halted)
        return RC_OK;
    TRY(q_rule_halt(ctx, txn, id, why));
    return audit_write(ctx, txn, "rule.halted", "rule", id, row.team_id, audit_facts(ctx, "name", row.name, "why", why, NULL));
}

RC rule_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                 void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_rule_halted_row *rules = NULL;
    struct q_report_schedule_halted_row *reports = NULL;
    size_t n = 0;
    TRY(q_rule_halted(ctx, txn, access_scope(ctx), limit, &rules, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, rules[i].name,
            arena_printf(&ctx->arena, "rule %s only tells its team, and does nothing else: %s", rules[i].name, rules[i].halted),
            arena_printf(&ctx->arena,
                         "somebody who may do what it does takes it over: certwright rule edit %s FILE, or as it is: "
                         "certwright rule enable %s",
                         rules[i].name, rules[i].name));
    TRY(q_report_schedule_halted(ctx, txn, access_scope(ctx), limit, &reports, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, reports[i].name, arena_printf(&ctx->arena, "report %s is not sent: %s", reports[i].name, reports[i].halted),
            arena_printf(&ctx->arena,
                         "somebody who may read it schedules it anew: certwright report unschedule %s, then: certwright "
                         "report schedule %s --report %s",
                         reports[i].name, reports[i].name, reports[i].report));
    return RC_OK;
}
