/* What policy will say to each member, before anything is begun. */
#include "base/str.h"
#include "core/access.h"
#include "core/campaign.h"
#include "core/issuer.h"
#include "core/managed.h"
#include "core/request.h"

#define JUDGED_MAX 2000 /* members that it is asked about; of the others nothing is said */
#define PAGE       100
#define VERDICTS   20
#define EXAMPLES   5

struct judging {
    struct core *core;
    struct ctx *keep; /* what is told is in its memory; what is read of members is given back page by page */
    const struct campaign_act *act;
    const struct campaign_params *params;
    const struct q_campaign_member_add_in *members;
    size_t from, to;
    const char *profile; /* read last */
    struct profile_settings settings;
    struct campaign_impact *out;
};

/* As wish_resolve does, where the profile is still there: policy is asked of the lifetime that it names now. */
static struct rc profile_put(struct ctx *ctx, struct txn *txn, struct judging *j, struct wish *w)
{
    struct q_profile_get_row row;
    bool found = false;
    if (!str_equal(j->profile, w->profile)) {
        TRY(q_profile_get(ctx, txn, w->profile, access_scope(ctx), &row, &found));
        if (!found)
            return RC_OK;
        TRY(profile_settings_decode(j->keep, arena_strdup(&j->keep->arena, row.settings), &j->settings));
        j->profile = arena_strdup(&j->keep->arena, w->profile);
    }
    w->usage = j->settings.usage;
    w->validity_s = j->settings.validity_s;
    return RC_OK;
}

static struct rc wanted_of(struct ctx *ctx, struct txn *txn, struct judging *j, const struct q_managed_by_id_row *m, struct wish *w,
                           struct request_wanted *out)
{
    struct buf b;
    const struct campaign_params *p = j->params;
    const char *act = j->act->word;
    TRY(wish_decode(ctx, m->wish, w));
    *out = (struct request_wanted){.asked = {.act = POLICY_RENEW, .team = m->team_id, .managed = m->id, .wish = w}};
    if (str_equal(act, "revoke")) {
        out->asked.act = POLICY_REVOKE;
        out->renews = revocation_renews(p->code, p->when);
    }
    if (!str_equal(act, "replace"))
        return RC_OK;
    campaign_wish(ctx, p, w);
    TRY(profile_put(ctx, txn, j, w));
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    wish_encode(&b, w);
    TRY(buf_status(&b));
    if (!str_equal(buf_z(&b), m->wish))
        out->asked.act = POLICY_CHANGE;
    return RC_OK;
}

static struct campaign_verdict *verdict_like(struct judging *j, const struct policy_verdict *v)
{
    struct arena *a = &j->keep->arena;
    struct campaign_impact *out = j->out;
    const char *says = v->says == POLICY_FORBIDS ? "forbidden" : "approval";
    for (size_t i = 0; i < out->verdicts_n; i++) {
        struct campaign_verdict *have = &out->verdicts[i];
        if (str_equal(have->verdict, says) && str_equal(have->rule, v->rule) && str_equal(have->role, v->role) &&
            have->approvals == v->approvals && have->until == v->until)
            return have;
    }
    if (out->verdicts_n == VERDICTS)
        return NULL;
    struct campaign_verdict *new = &out->verdicts[out->verdicts_n++];
    *new = (struct campaign_verdict){.verdict = says,
                                     .rule = v->rule ? arena_strdup(a, v->rule) : NULL,
                                     .words = v->words ? arena_strdup(a, v->words) : NULL,
                                     .role = v->role ? arena_strdup(a, v->role) : NULL,
                                     .approvals = v->approvals,
                                     .until = v->until};
    return new;
}

static struct rc page_judge(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct judging *j = arg;
    for (size_t i = j->from; i < j->to; i++) {
        struct q_managed_by_id_row m;
        struct request_wanted wanted;
        struct policy_verdict v;
        struct wish w;
        TRY(q_managed_by_id(ctx, txn, j->members[i].managed_id, &m));
        TRY(wanted_of(ctx, txn, j, &m, &w, &wanted));
        TRY(request_verdict(ctx, j->core, txn, &wanted, &v));
        struct campaign_verdict *to = v.says == POLICY_ALLOWS ? NULL : verdict_like(j, &v);
        if (!to)
            continue;
        to->certificates++;
        if (to->examples.n < EXAMPLES)
            str_list_add(&j->keep->arena, &to->examples, arena_strdup(&j->keep->arena, m.name));
    }
    return RC_OK;
}

RC campaign_policy(struct ctx *ctx, struct core *core, const struct campaign_act *act, const struct campaign_params *p,
                   const struct q_campaign_member_add_in *members, size_t n, struct campaign_impact *out)
{
    struct judging j = {.core = core, .keep = ctx, .act = act, .params = p, .members = members, .out = out};
    if (!act->waits) /* of all others policy is not asked */
        return RC_OK;
    const size_t end = n < JUDGED_MAX ? n : JUDGED_MAX;
    out->verdicts = arena_array(&ctx->arena, VERDICTS, sizeof *out->verdicts);
    for (j.from = 0; j.from < end; j.from = j.to) {
        j.to = j.from + PAGE < end ? j.from + PAGE : end;
        TRY(campaign_page(ctx, core, page_judge, &j));
    }
    out->judged = (int64_t)end;
    return RC_OK;
}
