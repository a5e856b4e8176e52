/* By what findings are made. */
#include "core/finding_policy.h"
#include "hub/api.h"

static struct api_finding_limit_list limits_out(struct ctx *ctx, const struct finding_policy *p, const struct check_info *check)
{
    struct api_finding_limit *v = arena_array(&ctx->arena, CHECK_LIMITS, sizeof *v);
    size_t n = 0;
    for (unsigned k = 0; k < CHECK_LIMITS; k++) {
        const struct check_limit_info *l = findings_limit((enum check_limit)k);
        if (l->check == check->number)
            v[n++] = (struct api_finding_limit){
                .name = l->id, .value = p->limits.v[k], .usual = l->usual, .has_usual = true, .words = l->words};
    }
    return (struct api_finding_limit_list){v, n};
}

static struct rc reply(struct api_call *call, struct api_finding_rules *out)
{
    struct ctx *ctx = call->ctx;
    struct finding_policy p;
    size_t n = 0;
    const struct check_info *checks = findings_checks(&n);
    struct api_finding_rule *rules = arena_array(&ctx->arena, n, sizeof *rules);
    TRY(finding_policy_show(ctx, call->core, &p));
    for (size_t i = 0; i < n; i++)
        rules[i] = (struct api_finding_rule){.check = checks[i].id,
                                             .state = finding_policy_is_on(&p, &checks[i]) ? "on" : "off",
                                             .severity = check_severity_word(p.severity[checks[i].number]),
                                             .usual_severity = check_severity_word(checks[i].severity),
                                             .limits = limits_out(ctx, &p, &checks[i]),
                                             .words = finding_policy_words(ctx, &p, &checks[i])};
    *out = (struct api_finding_rules){.revision = p.revision,
                                      .changed_by = p.changed_by,
                                      .changed_at = p.changed_at,
                                      .has_changed_at = p.changed_by != NULL,
                                      .domains = api_strings_of(&p.domains),
                                      .issuers = api_strings_of(&p.issuers),
                                      .inner_names = api_strings_of(&p.inner_names),
                                      .distrusted = api_strings_of(&p.distrusted),
                                      .checks = {rules, n}};
    return RC_OK;
}

RC api_finding_rules_get(struct api_call *call, struct api_finding_rules *out)
{
    return reply(call, out);
}

RC api_finding_rules_update(struct api_call *call, const struct api_finding_rules_patch *in, struct api_finding_rules *out)
{
    TRY(finding_policy_change(call->ctx, call->core, call->has_revision ? call->revision : 0, in));
    return reply(call, out);
}
