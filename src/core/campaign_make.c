/* Who the members of a campaign are, and what it means. */
#include "base/encode.h"
#include "base/random.h"
#include "core/access.h"
#include "core/ask.h"
#include "core/audit.h"
#include "core/campaign.h"
#include "core/issuer.h"
#include "core/managed.h"
#include "pki/name_text.h"
#include "pki/spki.h"

#define PAGES_MAX 400 /* of the inventory that are gone through: a filter that finds less has to say more */
#define EXAMPLES  10
#define NAME_MAX_ 64

struct making {
    struct core *core;
    struct ctx *keep; /* members are in its memory; what is read of certificates is given back page by page */
    const struct campaign_input *in;
    struct campaign_params params;
    const struct campaign_act *act;
    const char *id, *team, *where, *name;
    struct q_campaign_member_add_in *members;
    size_t n, cap;
    bool dry_run, undone;
    struct campaign_impact *impact;
    const char *after;
    bool end;
};

static struct rc add(struct ctx *ctx, struct making *m, const char *object, const char *managed, const char *name, const char *team)
{
    struct arena *a = &m->keep->arena;
    if (m->n == CAMPAIGN_MEMBERS_MAX)
        return ctx_fail_field(ctx, "/where", "these are more than %d certificates; say it in parts", CAMPAIGN_MEMBERS_MAX);
    if (m->n == m->cap) {
        const size_t cap = m->cap ? 2 * m->cap : 256;
        struct q_campaign_member_add_in *v = arena_array(a, cap, sizeof *v);
        if (m->n)
            memcpy(v, m->members, m->n * sizeof *v);
        m->members = v;
        m->cap = cap;
    }
    m->members[m->n++] = (struct q_campaign_member_add_in){.campaign_id = m->id,
                                                           .object = arena_strdup(a, object),
                                                           .managed_id = managed ? arena_strdup(a, managed) : NULL,
                                                           .name = arena_strdup(a, name),
                                                           .team_id = arena_strdup(a, team),
                                                           .at = ctx_now_s(ctx)};
    return RC_OK;
}

/* --- choosing */

static struct rc add_managed(struct ctx *ctx, struct making *m, const struct q_managed_get_row *row)
{
    return add(ctx, m, row->id, row->id, row->name, row->team_id);
}

static struct rc add_found(struct ctx *ctx, struct txn *txn, struct making *m, const struct ask_row *r)
{
    struct q_team_get_row team;
    bool found = false;
    struct bytes rest = r->cert.san.der;
    struct cert_general_name name;
    struct buf b;
    TRY(q_team_get(ctx, txn, r->row->team, access_scope(ctx), &team, &found));
    buf_init_arena(&b, &ctx->arena, 16384);
    const char *called = name_text_dn(&ctx->arena, &r->cert.subject);
    if (cert_next_general_name(&rest, &name)) {
        name_text_put_general(&b, &name);
        called = strchr(buf_z(&b), ':') ? strchr(buf_z(&b), ':') + 1 : buf_z(&b);
    }
    return add(ctx, m, hex_str(&ctx->arena, r->row->fingerprint), NULL, called, found ? team.id : m->team);
}

static struct rc row_choose(struct ctx *ctx, struct txn *txn, struct making *m, const struct ask_row *r)
{
    struct q_managed_of_certificate_row *v = NULL;
    struct q_managed_get_row row;
    struct q_managed_by_id_row own;
    size_t n = 0;
    bool found = false;
    if (m->act->about == CAMPAIGN_FOUND)
        return add_found(ctx, txn, m, r);
    TRY(q_managed_of_certificate(ctx, txn, r->row->id, &v, &n));
    for (size_t i = 0; i < n; i++) {
        if (v[i].removed_at || v[i].version != v[i].number)
            continue;
        TRY(q_managed_get(ctx, txn, v[i].managed_id, access_scope(ctx), &row, &found));
        if (!found)
            continue;
        TRY(q_managed_by_id(ctx, txn, row.id, &own));
        if (!own.rehearses) /* what a rehearsal made goes by itself */
            TRY(add_managed(ctx, m, &row));
    }
    return RC_OK;
}

static struct rc page_choose(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct making *m = arg;
    const struct ask ask = {.where = m->where, .order = ASK_NEWEST, .after = m->after, .limit = ASK_LIMIT_MAX};
    struct ask_page page;
    TRY(ask_page(ctx, m->core, txn, &ask, &page));
    for (size_t i = 0; i < page.n; i++)
        TRY(row_choose(ctx, txn, m, &page.rows[i]));
    m->after = page.next ? arena_strdup(&m->keep->arena, page.next) : NULL;
    m->end = !page.next;
    return RC_OK;
}

static struct rc named_choose(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct making *m = arg;
    for (size_t i = 0; i < m->in->objects.n; i++) {
        const char *object = m->in->objects.v[i];
        struct q_managed_get_row row;
        struct ask_row one;
        if (m->act->about == CAMPAIGN_FOUND) {
            TRY(ask_one(ctx, m->core, txn, object, &one));
            TRY(add_found(ctx, txn, m, &one));
        } else {
            TRY(managed_find(ctx, txn, object, &row));
            TRY(add_managed(ctx, m, &row));
        }
    }
    return RC_OK;
}

static int by_object(const void *x, const void *y)
{
    const struct q_campaign_member_add_in *a = x, *b = y;
    const int order = strcmp(a->object, b->object);
    return order ? order : a->number < b->number ? -1 : 1;
}

static int by_number(const void *x, const void *y)
{
    const struct q_campaign_member_add_in *a = x, *b = y;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Each once, and numbered in its order. */
static void members_once(struct making *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++)
        m->members[i].number = (int64_t)i + 1;
    if (!m->n)
        return;
    qsort(m->members, m->n, sizeof *m->members, by_object);
    for (size_t i = 0; i < m->n; i++)
        if (!i || strcmp(m->members[i].object, m->members[kept - 1].object))
            m->members[kept++] = m->members[i];
    m->n = kept;
    qsort(m->members, m->n, sizeof *m->members, by_number);
    for (size_t i = 0; i < m->n; i++)
        m->members[i].number = (int64_t)i + 1;
}

/* Which wave each one is in: the canaries, and the others in parts. */
static struct rc waves_put(struct ctx *ctx, struct making *m, int64_t *waves)
{
    const struct campaign_params *p = &m->params;
    const int64_t total = (int64_t)m->n, canary = p->canary < total ? p->canary : total;
    int64_t size = p->wave ? p->wave : p->wave_percent ? (total * p->wave_percent + 99) / 100 : total - canary;
    if (size < 1)
        size = 1;
    const int64_t first = canary ? 1 : 0;
    *waves = 1;
    for (int64_t i = 0; i < total; i++) {
        const int64_t wave = i < canary ? 1 : 1 + first + (i - canary) / size;
        m->members[i].wave = wave;
        *waves = wave > *waves ? wave : *waves;
    }
    return *waves > CAMPAIGN_WAVES_MAX
               ? ctx_fail_field(ctx, "/wave", "these would be %lld waves; %d are the most", (long long)*waves, CAMPAIGN_WAVES_MAX)
               : RC_OK;
}

RC campaign_page(struct ctx *ctx, struct core *core, store_fn *fn, void *arg)
{
    CTX_CLEANUP struct ctx own;
    ctx_init(&own, ctx->clock);
    own.principal = ctx->principal;
    struct rc rc = store_read(&own, core->store, fn, arg);
    return rc_ok(rc) ? RC_OK : ctx_fail(ctx, rc.e, "%s", ctx_why(&own));
}

/* choose goes through the inventory page by page, each on a snapshot of its own: nobody waits for it. */
static struct rc choose(struct ctx *ctx, struct making *m)
{
    const char *where = m->in->where && *m->in->where ? m->in->where : NULL;
    if (!where == !m->in->objects.n)
        return ctx_fail_field(ctx, "/where", "say which certificates: by a filter, or by their names");
    if (!where) {
        TRY(store_read(ctx, m->core->store, named_choose, m));
    } else {
        struct filter *filter = NULL;
        TRY(filter_parse(ctx, where, &filter)); /* for itself: "ca) or (ca" is none */
        m->where = m->act->about == CAMPAIGN_FOUND ? where : arena_printf(&ctx->arena, "(%s) and managed", where);
        for (int i = 0; !m->end; i++) {
            if (i == PAGES_MAX)
                return ctx_fail_field(ctx, "/where",
                                      "the filter finds too few among too many certificates; say more, as team or issuer");
            TRY(campaign_page(ctx, m->core, page_choose, m));
        }
    }
    members_once(m);
    return m->n ? RC_OK
                : ctx_fail_field(ctx, "/where", "no %scertificate is meant", m->act->about == CAMPAIGN_FOUND ? "" : "managed ");
}

/* --- what was asked */

static struct rc params_check(struct ctx *ctx, struct txn *txn, struct making *m)
{
    struct campaign_params *p = &m->params;
    bool found = false;
    if (p->issuer) {
        struct q_issuer_get_row row;
        TRY(q_issuer_get(ctx, txn, p->issuer, access_scope(ctx), &row, &found));
        if (!found)
            return ctx_fail_field(ctx, "/issuer", "no issuer is named %s; certwright issuer list shows them", p->issuer);
        p->issuer = row.name;
    }
    if (p->profile) {
        struct q_profile_get_row row;
        TRY(q_profile_get(ctx, txn, p->profile, access_scope(ctx), &row, &found));
        if (!found)
            return ctx_fail_field(ctx, "/profile", "no profile is named %s; certwright profile list shows them", p->profile);
    }
    if (p->key_kind && key_kind_by_name(p->key_kind) == KEY_OTHER)
        return ctx_fail_field(ctx, "/key_kind", "%s is no kind of key; ec-p256, ec-p384, rsa-2048, rsa-3072 and rsa-4096 are",
                              p->key_kind);
    if (p->to_team) {
        const char *team;
        TRY(access_team(ctx, txn, p->to_team, &team));
    }
    if (str_equal(m->act->word, "assign") && !p->to_team && !p->owner)
        return ctx_fail_field(ctx, "/to_team", "say to whom: a team, or an owner");
    if (str_equal(m->act->word, "tag") && !p->add.n && !p->remove.n)
        return ctx_fail_field(ctx, "/add_tags", "say which tags");
    return RC_OK;
}

static struct rc begin(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct making *m = arg;
    TRY(access_team(ctx, txn, m->in->team, &m->team));
    TRY(decide(ctx, m->core, txn, str_equal(m->in->kind, "bulk") ? "bulk.create" : "campaign.create", m->team));
    TRY(decide(ctx, m->core, txn, m->act->permission, m->team));
    return params_check(ctx, txn, m);
}

/* --- what it means */

static const char *limit_words(struct ctx *ctx, const struct issuer_limit *l, int64_t used)
{
    const char *what = str_equal(l->kind, "account")  ? "orders"
                       : str_equal(l->kind, "names")  ? "certificates of the same names"
                       : str_equal(l->kind, "domain") ? "certificates below one registered domain"
                                                      : "failed validations of a name";
    return arena_printf(&ctx->arena, "%lld %s in %lld h, %lld of them used%s", (long long)l->count, what,
                        (long long)(l->window_s / 3600), (long long)used,
                        str_equal(l->exempt, "none") || !l->exempt ? "" : "; renewals are not counted");
}

/* How long its limits make `n` orders last at the least. */
static int64_t limit_lasts(const struct issuer_limit *l, int64_t n, int64_t used)
{
    const int64_t left = l->count > used ? l->count - used : 0;
    if (!str_equal(l->kind, "account") || (l->exempt && !str_equal(l->exempt, "none")) || l->count < 1 || n <= left)
        return 0;
    return (n - left + l->count - 1) / l->count * l->window_s;
}

static struct rc issuer_means(struct ctx *ctx, struct txn *txn, const char *id, const char *name, int64_t n,
                              struct campaign_impact *out)
{
    struct q_issuer_by_id_row row;
    struct issuer_settings s;
    struct budget_view *b = NULL;
    size_t b_n = 0;
    struct campaign_issuer *i = &out->issuers[out->issuers_n++];
    *i = (struct campaign_issuer){.name = name, .certificates = n};
    TRY(q_issuer_by_id(ctx, txn, id, &row));
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    TRY(budget_show(ctx, txn, &s.policy, id, &b, &b_n));
    for (size_t k = 0; k < s.policy.limits_n; k++) {
        const struct issuer_limit *l = &s.policy.limits[k];
        int64_t used = 0;
        for (size_t v = 0; v < b_n; v++)
            if (b[v].limit == l && b[v].used > used)
                used = b[v].used;
        str_list_add(&ctx->arena, &i->limits, limit_words(ctx, l, used));
        const int64_t lasts = limit_lasts(l, n, used);
        out->lasts_s = lasts > out->lasts_s ? lasts : out->lasts_s;
    }
    return RC_OK;
}

RC campaign_impact(struct ctx *ctx, struct txn *txn, const struct q_campaign_get_row *row, const struct campaign_params *p,
                   struct campaign_impact *out)
{
    struct q_campaign_targets_row at;
    struct q_campaign_issuers_row *issuers = NULL;
    size_t n = 0;
    const struct campaign_act *act = campaign_act_named(row->act);
    *out = (struct campaign_impact){.certificates = row->total, .lasts_s = row->pace ? row->total * 3600 / row->pace : 0};
    TRY(q_campaign_targets(ctx, txn, row->id, &at));
    out->targets = at.targets;
    out->endpoints = at.endpoints;
    TRY(q_campaign_teams(ctx, txn, row->id, &out->teams, &out->teams_n));
    TRY(q_campaign_members(ctx, txn,
                           &(struct q_campaign_members_in){.id = row->id, .state = "", .scope = row->team_id, .limit = EXAMPLES},
                           &out->examples, &out->examples_n));
    if (!act || !act->waits)
        return RC_OK;
    TRY(q_campaign_issuers(ctx, txn, row->id, &issuers, &n));
    out->issuers = arena_array(&ctx->arena, n + 1, sizeof *out->issuers);
    if (p->issuer) {
        struct q_issuer_get_row to;
        bool found = false;
        TRY(q_issuer_get(ctx, txn, p->issuer, row->team_id, &to, &found));
        if (!found) /* of a team above */
            return RC_OK;
        return issuer_means(ctx, txn, to.id, to.name, row->total, out);
    }
    for (size_t i = 0; i < n; i++)
        TRY(issuer_means(ctx, txn, issuers[i].issuer_id, issuers[i].name, issuers[i].n, out));
    return RC_OK;
}

/* --- keeping it */

static const char *name_made(struct ctx *ctx, const struct making *m)
{
    return m->in->name ? m->in->name : arena_printf(&ctx->arena, "%s-%s", m->in->act, m->id);
}

static struct rc keep(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct making *m = arg;
    const bool bulk = str_equal(m->in->kind, "bulk");
    const struct principal *by = ctx->principal;
    const int64_t now = ctx_now_s(ctx);
    struct q_campaign_get_row row;
    int64_t waves = 1;
    bool found = false;
    TRY(begin(ctx, txn, m)); /* again: their rights may have changed since */
    TRY(waves_put(ctx, m, &waves));
    const char *params = campaign_params_text(ctx, &m->params);
    const struct q_campaign_add_in in = {
        .id = m->id,
        .kind = m->in->kind,
        .name = m->name,
        .team_id = m->team,
        .act = m->act->word,
        .filter = m->in->where ? m->in->where : "",
        .params = params,
        .state = bulk ? "running" : "draft",
        .asker_kind = by->kind,
        .asker_id = by->id,
        .asker = by->name,
        .waves = waves,
        .total = (int64_t)m->n,
        .pace = m->in->pace,
        .stop_failures = m->in->stop_failures,
        .stop_percent = bulk || m->in->stop_percent || m->in->stop_failures ? m->in->stop_percent : CAMPAIGN_STOP_PERCENT,
        .now = now,
        .started_at = bulk ? &now : NULL};
    struct rc rc = q_campaign_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a campaign or bulk operation named %s is there already", m->name);
    }
    TRY(rc);
    TRY(q_campaign_member_add(ctx, txn, m->members, m->n));
    TRY(q_campaign_by_id(ctx, txn, m->id, &row, &found));
    TRY(campaign_impact(ctx, txn, &row, &m->params, m->impact));
    if (m->dry_run) { /* asked of the tables as it would be, and undone */
        m->undone = true;
        return ctx_fail(ctx, E_CONFLICT, "nothing is kept of what was only tried");
    }
    m->undone = false;
    core_wake_after_commit(ctx, m->core, txn, CORE_SCHEDULE_KEY, "");
    return audit_write(ctx, txn, bulk ? "bulk.create" : "campaign.create", bulk ? "bulk" : "campaign", m->id, m->team,
                       audit_facts(ctx, "name", m->name, "act", m->act->word, "filter", m->in->where, "params:", params,
                                   "certificates:", audit_number(ctx, (int64_t)m->n), NULL));
}

/* The strings of the impact outlive the transaction: they are in the arena. */
RC campaign_make(struct ctx *ctx, struct core *core, const struct campaign_input *in, bool dry_run, const char **id,
                 struct campaign_impact *out)
{
    struct making m = {.core = core,
                       .keep = ctx,
                       .in = in,
                       .params = in->params,
                       .act = campaign_act_named(in->act),
                       .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                       .dry_run = dry_run,
                       .impact = out};
    *id = NULL;
    *out = (struct campaign_impact){0};
    if (!m.act)
        return ctx_fail_field(ctx, "/act", "%s is nothing that is done to many", in->act);
    if (in->name && !str_is_name(bytes_z(in->name)))
        return ctx_fail_field(ctx, "/name", "a name is 1 to %d letters, digits, dots, hyphens and underscores", NAME_MAX_);
    m.name = name_made(ctx, &m);
    TRY(store_read(ctx, core->store, begin, &m));
    /* Members are of the team and those within it, whatever else the caller may see. */
    const struct principal *as = ctx->principal;
    struct principal within = *as;
    within.team = m.team;
    ctx->principal = &within;
    struct rc rc = choose(ctx, &m);
    ctx->principal = as;
    TRY(rc);
    rc = store_write(ctx, core->store, keep, &m);
    if (m.undone && rc_failed(rc)) {
        ctx_forget(ctx);
        return campaign_policy(ctx, core, m.act, &m.params, m.members, m.n, out);
    }
    TRY(rc);
    *id = m.id;
    return RC_OK;
}
