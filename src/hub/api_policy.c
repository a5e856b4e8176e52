/* The policy (core/policy.h). */
#include "core/managed.h"
#include "core/policy_doc.h"
#include "hub/api.h"

static const char *const says[] = {[POLICY_ALLOWS] = "allowed", [POLICY_FORBIDS] = "forbidden", [POLICY_NEEDS] = "approval"};

static struct rc reply(struct api_call *call, int64_t version, struct api_policy *out)
{
    struct policy_version v;
    TRY(policy_show(call->ctx, call->core, version, &v));
    *out = (struct api_policy){.revision = v.version,
                               .document = v.document,
                               .comment = v.comment,
                               .created_by = v.version ? v.created_by : NULL,
                               .created_at = v.created_at,
                               .has_created_at = v.version != 0,
                               .in_force = v.in_force};
    return RC_OK;
}

RC api_policy_get(struct api_call *call, struct api_policy *out)
{
    return reply(call, 0, out);
}

RC api_policy_version_get(struct api_call *call, struct api_policy *out)
{
    int64_t version = 0;
    if (!str_to_i64(bytes_z(call->path[0]), &version) || version < 1)
        return ctx_fail(call->ctx, E_NOT_FOUND, "the policy has no version %s; certwright policy versions shows them",
                        call->path[0]);
    return reply(call, version, out);
}

RC api_policy_version_list(struct api_call *call, struct api_policy_version_page *out)
{
    struct ctx *ctx = call->ctx;
    const struct api_policy_version_list_query *q = call->query;
    struct policy_version *v = NULL;
    int64_t before = 0;
    size_t n = 0;
    TRY(api_cursor_read_number(ctx, q->cursor, INT64_MAX, &before));
    TRY(policy_list(ctx, call->core, before, q->limit, &v, &n));
    struct api_policy_version *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_policy_version){.version = v[i].version,
                                               .comment = v[i].comment,
                                               .created_by = v[i].created_by,
                                               .created_at = v[i].created_at,
                                               .in_force = v[i].in_force};
    out->items = (struct api_policy_version_list){items, n};
    if ((int64_t)n == q->limit)
        out->next = api_cursor_make_number(ctx, items[n - 1].version);
    return RC_OK;
}

RC api_policy_put(struct api_call *call, const struct api_policy_put *in, struct api_policy *out)
{
    const int64_t *seen = call->has_revision ? &call->revision : in->has_replaces ? &in->replaces : NULL;
    TRY(policy_put(call->ctx, call->core, seen, in->document, in->comment));
    return reply(call, 0, out);
}

/* --- a trial */

struct counts {
    struct api_policy_count *v;
    size_t n;
};

static void count(struct counts *c, const char *name, enum policy_says verdict)
{
    size_t i = 0;
    while (i < c->n && !(str_equal(c->v[i].name, name) && c->v[i].verdict == says[verdict]))
        i++;
    if (i == c->n)
        c->v[c->n++] = (struct api_policy_count){.name = name, .verdict = says[verdict]};
    c->v[i].certificates++;
}

RC api_policy_check(struct api_call *call, const struct api_policy_check *in, struct api_policy_checked *out)
{
    struct arena *a = &call->ctx->arena;
    struct policy_checked c;
    const char *after = NULL;
    TRY(api_cursor_read(call->ctx, in->cursor, &after));
    TRY(policy_check(call->ctx, call->core, in->document, after, in->limit, &c));
    struct api_policy_problem *problems = arena_array(a, c.problems_n, sizeof *problems);
    for (size_t i = 0; i < c.problems_n; i++)
        problems[i] = (struct api_policy_problem){c.problems[i].line, c.problems[i].column, c.problems[i].words};
    struct counts rules = {arena_array(a, c.touched_n, sizeof *rules.v), 0},
                  teams = {arena_array(a, c.touched_n, sizeof *teams.v), 0};
    struct api_policy_example *examples = arena_array(a, c.touched_n, sizeof *examples);
    for (size_t i = 0; i < c.touched_n; i++) {
        const struct policy_trial *t = &c.touched[i];
        count(&rules, t->verdict.rule, t->verdict.says);
        count(&teams, t->team, t->verdict.says);
        examples[i] = (struct api_policy_example){.certificate = t->name,
                                                  .team = t->team,
                                                  .verdict = says[t->verdict.says],
                                                  .rule = t->verdict.rule,
                                                  .words = t->verdict.words};
    }
    *out = (struct api_policy_checked){.problems = {problems, c.problems_n},
                                       .looked = (int64_t)c.looked,
                                       .rules = {rules.v, rules.n},
                                       .teams = {teams.v, teams.n},
                                       .examples = {examples, c.touched_n},
                                       .next = c.next ? api_cursor_make(call->ctx, c.next) : NULL};
    return RC_OK;
}

/* --- a question */

RC api_policy_explain(struct api_call *call, const struct api_policy_asked *in, struct api_policy_verdict *out)
{
    struct policy_verdict v;
    const struct api_renewal *r = in->renewal;
    const struct managed_input asked = {.team = in->team,
                                        .wish = {.names = api_list_of(call->ctx, &in->names),
                                                 .profile = in->profile,
                                                 .issuers = api_list_of(call->ctx, &in->issuers),
                                                 .key_kind = in->key_kind,
                                                 .reuse_key = in->reuse_key,
                                                 .download = in->download,
                                                 .csr = in->csr,
                                                 .renew_percent = r && r->has_at_percent ? r->at_percent : 0,
                                                 .renew_before_s = r && r->has_before_s ? r->before_s : 0}};
    TRY(policy_explain(call->ctx, call->core, policy_act_named(in->act), in->certificate, &asked, &v));
    *out = (struct api_policy_verdict){.verdict = says[v.says],
                                       .rule = v.rule,
                                       .words = v.words,
                                       .approvals = v.approvals,
                                       .has_approvals = v.approvals != 0,
                                       .role = v.role,
                                       .until = v.until,
                                       .has_until = v.until != 0,
                                       .version = v.version};
    return RC_OK;
}
