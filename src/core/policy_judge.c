/* Asking a policy document. */
#include "base/clock.h"
#include "base/str.h"
#include "core/policy_own.h"

#define SHOWN 5 /* of a list, in words */

/* What is asked, with what is worked out of it once. */
struct asking {
    struct ctx *ctx;
    const struct policy_doc *doc;
    const struct policy_facts *f;
    const struct wish *w;
    enum policy_act act;
    int *teams; /* places in the document's list, nearest first; only those that it names */
    size_t teams_n;
};

/* --- what is there */

static bool below(const char *name, size_t n, const struct policy_suffix *s)
{
    return n >= s->n && !memcmp(name + n - s->n, s->text, s->n) && (n == s->n || name[n - s->n - 1] == '.');
}

static bool name_among(const char *name, const struct policy_suffixes *s)
{
    const size_t n = strlen(name);
    struct address address = {0};
    const bool ip =
        n && ((name[n - 1] >= '0' && name[n - 1] <= '9') || strchr(name, ':')) && address_parse(bytes_z(name), &address);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].ip ? ip && cidr_has(&s->v[i].net, &address) : !ip && below(name, n, &s->v[i]))
            return true;
    return false;
}

/* The first name that is not among them. */
static const char *name_outside(const struct wish *w, const struct policy_suffixes *s)
{
    for (size_t i = 0; i < w->names.n; i++)
        if (!name_among(w->names.v[i], s))
            return w->names.v[i];
    return NULL;
}

static bool any_under(const struct wish *w, const struct policy_suffixes *s)
{
    for (size_t i = 0; i < w->names.n; i++)
        if (name_among(w->names.v[i], s))
            return true;
    return false;
}

static const char *wildcard_of(const struct wish *w)
{
    for (size_t i = 0; i < w->names.n; i++)
        if (w->names.v[i][0] == '*')
            return w->names.v[i];
    return NULL;
}

static bool any_issuer(const struct wish *w, const struct str_list *l)
{
    for (size_t i = 0; i < w->issuers.n; i++)
        if (str_list_has(l, w->issuers.v[i]))
            return true;
    return false;
}

static const char *other_issuer(const struct wish *w, const struct str_list *l)
{
    for (size_t i = 0; i < w->issuers.n; i++)
        if (!str_list_has(l, w->issuers.v[i]))
            return w->issuers.v[i];
    return NULL;
}

static bool without_owner(const struct asking *a)
{
    return a->f->teams_n <= 1;
}

/* Of the lifetime that its profile names; the usual one is two thirds, or half below ten days. */
static int64_t renewed_at_percent(const struct wish *w)
{
    if (w->renew_before_s && w->validity_s > 0)
        return w->renew_before_s >= w->validity_s ? 0 : 100 - w->renew_before_s * 100 / w->validity_s;
    if (w->renew_percent)
        return w->renew_percent;
    return w->validity_s && w->validity_s < 10 * 86400 ? 50 : 66;
}

/* --- rules */

static bool tri_fits(enum policy_tri asked, bool is)
{
    return asked == POLICY_UNSAID || (asked == POLICY_YES) == is;
}

static bool list_fits(const struct str_list *l, bool any)
{
    return !l->n || any;
}

static bool when_fits(const struct asking *a, const struct policy_when *q)
{
    const struct wish *w = a->w;
    return tri_fits(q->wildcard, wildcard_of(w)) && tri_fits(q->key_reuse, w->reuse_key && !w->csr.n) &&
           tri_fits(q->csr, w->csr.n) && tri_fits(q->download, w->download) && tri_fits(q->without_owner, without_owner(a)) &&
           (!q->names_over || (int64_t)w->names.n > q->names_over) && (!q->validity_over || w->validity_s > q->validity_over) &&
           list_fits(&q->issuers, any_issuer(w, &q->issuers)) &&
           list_fits(&q->issuers_except, other_issuer(w, &q->issuers_except)) &&
           list_fits(&q->keys, str_list_has(&q->keys, w->key_kind)) &&
           list_fits(&q->keys_except, !str_list_has(&q->keys_except, w->key_kind)) &&
           list_fits(&q->profiles, str_list_has(&q->profiles, w->profile)) &&
           list_fits(&q->profiles_except, !str_list_has(&q->profiles_except, w->profile)) &&
           (!q->under.n || any_under(w, &q->under)) && (!q->outside.n || name_outside(w, &q->outside));
}

static bool of_teams(const struct asking *a, const struct policy_teams *t)
{
    for (size_t i = 0; i < a->teams_n; i++)
        for (size_t k = 0; k < t->n; k++)
            if (a->teams[i] == t->v[k])
                return true;
    return false;
}

static const struct policy_rule *rule_of(const struct asking *a)
{
    for (size_t i = 0; i < a->doc->rules_n; i++) {
        const struct policy_rule *r = &a->doc->rules[i];
        /* Nobody is there to be asked for what is due by itself. */
        if (!(r->acts & 1U << a->act) || (a->f->asked->by_itself && r->says == POLICY_NEEDS))
            continue;
        if ((!r->teams.n || of_teams(a, &r->teams)) && when_fits(a, &r->when))
            return r;
    }
    return NULL;
}

static void by_rule(const struct asking *a, const struct policy_rule *r, struct policy_verdict *out)
{
    struct arena *m = &a->ctx->arena;
    *out = (struct policy_verdict){.says = r->says, .rule = arena_strdup(m, r->name), .words = arena_strdup(m, r->words)};
    if (r->says != POLICY_NEEDS)
        return;
    out->approvals = r->approvals;
    out->role = arena_strdup(m, r->role);
    if (!out->words)
        out->words = arena_printf(m, "%s: %lld ha%s to approve", r->name, (long long)r->approvals, r->approvals == 1 ? "s" : "ve");
}

/* --- limits */

static const char *joined(struct ctx *ctx, const struct policy_bound *b)
{
    struct buf out;
    const size_t n = b->names.n ? b->names.n : b->words.n;
    buf_init_arena(&out, &ctx->arena, 4096);
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        buf_put_z(&out, i ? ", " : "");
        buf_put_z(&out, b->names.n ? b->names.v[i].text : b->words.v[i]);
    }
    if (n > SHOWN)
        buf_printf(&out, " and %zu more", n - SHOWN);
    return n ? buf_z(&out) : "none";
}

static const char *whose(const struct asking *a, const struct policy_bound *b)
{
    return b->team < 0 ? "" : arena_printf(&a->ctx->arena, " team %s", a->doc->names[POLICY_TEAM].v[b->team].name);
}

static const char *span_text(struct ctx *ctx, int64_t s)
{
    return s % 86400 ? arena_printf(&ctx->arena, "%lld hours", (long long)(s / 3600))
                     : arena_printf(&ctx->arena, "%lld days", (long long)(s / 86400));
}

/* What is beyond a limit, in words; NULL: nothing. */
static const char *beyond(const struct asking *a, enum policy_limit limit, const struct policy_bound *b)
{
    struct arena *m = &a->ctx->arena;
    const struct wish *w = a->w;
    const char *which = NULL;
    switch (limit) {
    case POLICY_LIMIT_NAMES:
        which = name_outside(w, &b->names);
        if (which && !b->names.n)
            return arena_printf(m, "%s may have no names, and so not %s", b->team < 0 ? "everybody" : whose(a, b) + 1, which);
        return which ? arena_printf(m, "%s is not among the names of%s: %s, with what is below them", which,
                                    b->team < 0 ? " everybody" : whose(a, b), joined(a->ctx, b))
                     : NULL;
    case POLICY_LIMIT_ISSUERS:
        which = other_issuer(w, &b->words);
        return which ? arena_printf(m, "issuer %s is not one of those that%s may ask: %s", which,
                                    b->team < 0 ? " everybody" : whose(a, b), joined(a->ctx, b))
                     : NULL;
    case POLICY_LIMIT_KEYS:
        return str_list_has(&b->words, w->key_kind)
                   ? NULL
                   : arena_printf(m, "%s is not one of the kinds of key that%s may have: %s", w->key_kind,
                                  b->team < 0 ? " everybody" : whose(a, b), joined(a->ctx, b));
    case POLICY_LIMIT_PROFILES:
        return str_list_has(&b->words, w->profile)
                   ? NULL
                   : arena_printf(m, "profile %s is not one of those that%s may use: %s", w->profile,
                                  b->team < 0 ? " everybody" : whose(a, b), joined(a->ctx, b));
    case POLICY_LIMIT_VALIDITY:
        return w->validity_s > b->number ? arena_printf(m, "profile %s makes certificates of %s, and%s may have at most %s",
                                                        w->profile, span_text(a->ctx, w->validity_s),
                                                        b->team < 0 ? " everybody" : whose(a, b), span_text(a->ctx, b->number))
                                         : NULL;
    case POLICY_LIMIT_WILDCARDS:
        which = wildcard_of(w);
        return which ? arena_printf(m, "%s is a wildcard", which) : NULL;
    case POLICY_LIMIT_REUSE:
        return w->reuse_key && !w->csr.n ? "its key would be kept when it is renewed" : NULL;
    case POLICY_LIMIT_CSR:
        return w->csr.n ? "its key was made elsewhere: a request (CSR) was brought along" : NULL;
    case POLICY_LIMIT_DOWNLOAD:
        return w->download ? "its key would be made by the signer, to be downloaded" : NULL;
    case POLICY_LIMIT_OWNER:
        return without_owner(a) ? "it is of no team but the one that holds everything: say whose it is" : NULL;
    default:
        return NULL;
    }
}

/* The limit as it is for the nearest team that it speaks of. */
static const struct policy_bound *bound_of(const struct asking *a, const struct policy_bounds *l)
{
    const struct policy_bound *all = NULL;
    for (size_t i = 0; i < a->teams_n; i++)
        for (size_t k = 0; k < l->n; k++)
            if (l->v[k].team == a->teams[i])
                return &l->v[k];
    for (size_t k = 0; k < l->n; k++)
        if (l->v[k].team == POLICY_EVERYBODY)
            all = &l->v[k];
    return all;
}

static enum policy_says limit_says(enum policy_limit limit, const struct policy_bound *b)
{
    switch (limit) {
    case POLICY_LIMIT_WILDCARDS:
    case POLICY_LIMIT_REUSE:
    case POLICY_LIMIT_CSR:
    case POLICY_LIMIT_DOWNLOAD:
    case POLICY_LIMIT_OWNER:
        return b->says;
    default:
        return POLICY_FORBIDS;
    }
}

static bool renewal_outside(const struct asking *a, struct policy_verdict *out)
{
    const struct policy_doc *d = a->doc;
    const int64_t at = renewed_at_percent(a->w);
    if ((!d->renew_from || at >= d->renew_from) && (!d->renew_to || at <= d->renew_to))
        return false;
    *out = (struct policy_verdict){
        .says = POLICY_FORBIDS,
        .rule = "renewal",
        .words = arena_printf(&a->ctx->arena,
                              "it would be renewed at %lld percent of its life, and from %lld to %lld is "
                              "allowed",
                              (long long)at, (long long)d->renew_from, (long long)(d->renew_to ? d->renew_to : 100))};
    return true;
}

/* The first limit that forbids; else in `out` the first that asks for approval. */
static void by_limits(const struct asking *a, struct policy_verdict *out)
{
    struct policy_verdict needs = {0};
    for (unsigned k = 0; k < POLICY_LIMITS; k++) {
        const enum policy_limit limit = (enum policy_limit)k;
        const struct policy_bound *b = bound_of(a, &a->doc->limits[k]);
        const enum policy_says says = b ? limit_says(limit, b) : POLICY_ALLOWS;
        if (says == POLICY_ALLOWS || (says == POLICY_NEEDS && (needs.rule || a->f->asked->by_itself)))
            continue;
        const char *words = beyond(a, limit, b);
        if (!words)
            continue;
        const struct policy_verdict v = {
            .says = says, .rule = policy_limit_names[k], .words = words, .approvals = says == POLICY_NEEDS};
        if (says == POLICY_FORBIDS) {
            *out = v;
            return;
        }
        needs = v;
    }
    if (!renewal_outside(a, out) && needs.rule)
        *out = needs;
}

/* --- freezes */

static const char *time_text(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 32);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

/* Until when it holds what is asked; 0: it does not. */
static int64_t frozen_until(const struct asking *a, const struct policy_freeze *z)
{
    const struct policy_asked *q = a->f->asked;
    const int64_t now = a->f->now;
    if (now < z->from || now >= z->to || (z->teams.n && !of_teams(a, &z->teams)) || of_teams(a, &z->except))
        return 0;
    if (a->act == POLICY_REVOKE || a->act == POLICY_EXPORT || a->act == POLICY_ROLLBACK)
        return 0;
    if (!q->by_itself)
        return z->to;
    if (!z->renewals || q->not_after <= q->not_before)
        return 0;
    const int64_t part = (q->not_after - q->not_before) / POLICY_LAST_PART;
    const int64_t last = q->not_after - (part > POLICY_LAST_S ? part : POLICY_LAST_S);
    return now >= last ? 0 : z->to < last ? z->to : last;
}

static bool by_freeze(const struct asking *a, struct policy_verdict *out)
{
    struct arena *m = &a->ctx->arena;
    for (size_t i = 0; i < a->doc->freezes_n; i++) {
        const struct policy_freeze *z = &a->doc->freezes[i];
        const int64_t until = frozen_until(a, z);
        if (!until)
            continue;
        *out = (struct policy_verdict){.says = POLICY_FORBIDS, .rule = arena_printf(m, "freeze %s", z->name), .until = until};
        out->words = a->f->asked->by_itself
                         ? arena_printf(m, "held by freeze %s until %s", z->name, time_text(a->ctx, until))
                         : arena_printf(m, "nothing is changed by hand until %s: freeze %s", time_text(a->ctx, until), z->name);
        return true;
    }
    return false;
}

void policy_doc_judge(struct ctx *ctx, const struct policy_doc *doc, const struct policy_facts *f, struct policy_verdict *out)
{
    struct asking a = {.ctx = ctx, .doc = doc, .f = f, .w = f->asked->wish, .act = f->asked->act};
    a.teams = arena_array(&ctx->arena, f->teams_n + 1, sizeof *a.teams);
    for (size_t i = 0; doc->team_ids && i < f->teams_n; i++)
        for (size_t k = 0; k < doc->names[POLICY_TEAM].n; k++)
            if (doc->team_ids[k] && str_equal(doc->team_ids[k], f->teams[i])) {
                a.teams[a.teams_n++] = (int)k;
                break;
            }
    *out = (struct policy_verdict){.says = POLICY_ALLOWS};
    if (by_freeze(&a, out))
        return;
    const struct policy_rule *r = rule_of(&a);
    if (r)
        by_rule(&a, r, out);
    if (a.act > POLICY_CHANGE || (r && r->says != POLICY_NEEDS))
        return;
    struct policy_verdict limits = {0};
    by_limits(&a, &limits);
    if (limits.says == POLICY_FORBIDS || (limits.says == POLICY_NEEDS && !r))
        *out = limits;
}
