#include "core/look.h"

#include "base/encode.h"
#include "base/log.h"
#include "core/finding_rules.h"
#include "core/inventory_own.h"
#include "core/issuer_trust.h"
#include "core/outside.h"
#include "pki/weak.h"

#define PEERS_MAX 16 /* others with the same key that are looked at */

/* A certificate as it was read. */
struct subject {
    int64_t id, not_after, last_seen, flags, findings, due_at, dictionary;
    struct bytes packed;
};

/* What came of it. */
struct looked {
    struct subject of;
    struct bytes der;
    bool gone;    /* so old that it goes */
    bool damaged; /* cannot be read: certwright check says so */
    bool ca;
    struct cert_fields cert;
    struct trust trust, ca_trust;
    struct trust issuer; /* whoever claims to have issued it */
    int64_t decided, mask; /* bits of checks that were made; those that hold */
    int64_t next;          /* when the clock has something to do */
    int64_t peers[PEERS_MAX];
    size_t peers_n;
    const char *rogue; /* the name that is ours */
};

/* Issuers of one turn: they are few. */
#define ISSUERS_KEPT 64
struct issuer_kept {
    struct bytes name, key_id;
    struct trust trust;
};

struct looking {
    struct core *core;
    struct finding_policy policy; /* as it is when they are read: a change of it has them looked at again */
    struct finding_limits limits;
    struct looked *v;
    size_t n;
    bool more;
    struct q_finding_sweep_next_row sweep;
    bool sweeping;
    struct issuer_kept *kept;
    size_t kept_n;
};

/* What the write adds at its end, many rows at once. */
struct adding {
    struct counter_sum sum;
    struct q_finding_add_in *findings;
    struct q_certificate_due_add_in *dues;
    size_t findings_n, dues_n;
};

/* --- looking: no write */

static struct rc look_at_key(struct ctx *ctx, const struct finding_rules *rules, struct looked *l)
{
    int64_t mask = 0;
    struct rc rc =
        findings_deep(ctx, &l->cert, rules ? (const struct weak_list *const *)rules->weak : NULL, rules ? rules->weak_n : 0, &mask);
    l->decided |= findings_of_keys();
    if (rc.e == E_PARSE || rc.e == E_UNSUPPORTED || rc.e == E_BAD_CERTIFICATE) {
        ctx_forget(ctx); /* no key that could be looked at */
        return RC_OK;
    }
    l->mask |= mask;
    return rc;
}

/* Others that have its key, and other names: renewals with the same key are none. */
static struct rc look_for_peers(struct ctx *ctx, struct core *core, struct txn *txn, struct looked *l)
{
    uint8_t hash[SHA256_LEN];
    struct q_certificate_by_term_row *rows = NULL;
    size_t n = 0;
    l->decided |= CHECK_BIT(CHECK_SHARED_KEY);
    if (!l->cert.key.der.n || !finding_is_leaf(&l->cert))
        return RC_OK;
    TRY(digest_sha256(ctx, l->cert.key.der, hash));
    const char *term = arena_printf(&ctx->arena, "k:%s", hex_str(&ctx->arena, bytes_of(hash, 8)));
    TRY(q_certificate_by_term(ctx, txn, certificate_term_quoted(ctx, core, term), PEERS_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        struct cert_fields other;
        bool read = false;
        if (rows[i].id == l->of.id)
            continue;
        TRY(certificate_row_read(ctx, core, rows[i].dictionary, rows[i].packed, &other, &read));
        if (!read || !finding_is_leaf(&other) || (other.extensions & EXT_POISON) || !finding_names_differ(&l->cert, &other))
            continue;
        l->mask |= CHECK_BIT(CHECK_SHARED_KEY);
        if (!(rows[i].findings & CHECK_BIT(CHECK_SHARED_KEY)))
            l->peers[l->peers_n++] = rows[i].id;
    }
    return RC_OK;
}

/* Anybody can write an allowed issuer's name and key identifier: for our own names its signature is checked as well. */
static struct rc look_for_forgery(struct ctx *ctx, const struct looking *k, struct txn *txn, struct looked *l)
{
    struct issuer_chains chains;
    const char *name = NULL;
    if (!(l->decided & CHECK_BIT(CHECK_ROGUE)) || (l->mask & CHECK_BIT(CHECK_ROGUE)) || !(l->mask & CHECK_BIT(CHECK_UNMANAGED)) ||
        !k->policy.issuers.n || !finding_rules_ours(ctx, &k->policy, &l->cert, &name))
        return RC_OK;
    TRY(issuer_chains_of(ctx, k->core, txn, l->der, &chains));
    if (chains.n && str_equal(chains.v[0].verdict, chain_verdict_name(CHAIN_BAD_SIGNATURE))) {
        l->mask |= CHECK_BIT(CHECK_ROGUE);
        l->rogue = arena_printf(&ctx->arena, "%s, and its issuer did not sign it", name);
    }
    return RC_OK;
}

/* What is known beside it: managed or not, whose names, which issuer. */
static void look_at_standing(struct ctx *ctx, const struct looking *k, struct looked *l)
{
    const struct finding_policy *policy = &k->policy;
    const struct cert_fields *c = &l->cert;
    const bool managed = l->of.flags & (CERTIFICATE_MANAGED | CERTIFICATE_SUPERSEDED), ours = l->of.flags & CERTIFICATE_OURS;
    const bool serves = finding_is_leaf(c) && !(c->extensions & EXT_POISON) && c->not_after >= ctx_now_s(ctx);
    const struct {
        unsigned check;
        bool holds;
    } rows[] = {
        {CHECK_UNMANAGED, serves && !managed},
        {CHECK_UNKNOWN_ISSUER, k->core->rules && !c->self_issued && l->trust.how == ISSUER_NOT_KNOWN},
        {CHECK_DISTRUSTED_ISSUER,
         l->trust.distrusted && finding_is_leaf(c) && !c->self_issued && c->not_before >= l->trust.distrusted_from},
        {CHECK_ROGUE, policy->domains.n && policy->issuers.n && serves && !ours &&
                          !finding_rules_allowed(ctx, policy, &c->issuer) && finding_rules_ours(ctx, policy, c, &l->rogue)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        l->decided |= CHECK_BIT(rows[i].check);
        if (rows[i].holds)
            l->mask |= CHECK_BIT(rows[i].check);
    }
}

static bool has_gone(const struct ctx *ctx, const struct subject *s)
{
    const int64_t seen = s->last_seen > s->not_after ? s->last_seen : s->not_after;
    return !(s->flags & CERTIFICATE_OURS) && s->not_after != CERT_NO_EXPIRY && seen + INVENTORY_KEPT_S <= ctx_now_s(ctx);
}

static struct rc trust_of(struct ctx *ctx, struct txn *txn, struct looking *k, const struct cert_fields *cert, struct trust *out)
{
    for (size_t i = 0; i < k->kept_n; i++)
        if (bytes_equal(k->kept[i].name, cert->issuer.der) && bytes_equal(k->kept[i].key_id, cert->aki)) {
            *out = k->kept[i].trust;
            return RC_OK;
        }
    TRY(issuer_trust_of(ctx, k->core, txn, &k->policy, cert, out));
    if (!k->kept)
        k->kept = arena_array(&ctx->arena, ISSUERS_KEPT, sizeof *k->kept);
    if (k->kept_n < ISSUERS_KEPT)
        k->kept[k->kept_n++] = (struct issuer_kept){cert->issuer.der, cert->aki, *out};
    return RC_OK;
}

static struct rc look_at_sound(struct ctx *ctx, struct txn *txn, struct looking *k, bool deep, const struct subject *s,
                               struct looked *l)
{
    struct core *core = k->core;
    const struct finding_rules *rules = core->rules;
    struct findings f;
    *l = (struct looked){.of = *s, .gone = has_gone(ctx, s)};
    TRY(certificate_der(ctx, core, s->dictionary, s->packed, &l->der));
    TRY(cert_read(ctx, l->der, &l->cert));
    if (l->gone)
        return RC_OK;
    const bool leaf = finding_is_leaf(&l->cert);
    l->ca = l->cert.is_ca && !(leaf && l->cert.self_issued);
    TRY(trust_of(ctx, txn, k, &l->cert, &l->trust));
    l->issuer = l->trust;
    if (l->ca)
        TRY(issuer_trust_work_out(ctx, core, txn, &k->policy, &l->cert, &l->ca_trust));
    if (l->ca && !leaf) /* itself, not whoever claims to have issued it */
        l->trust = l->ca_trust;
    const struct finding_context context = {.now = ctx_now_s(ctx),
                                            .flags = s->flags,
                                            .trust = l->trust.how,
                                            .inner = k->policy.inner_names.v,
                                            .inner_n = k->policy.inner_names.n,
                                            .limits = &k->limits};
    findings_of(&l->cert, &context, &f);
    l->decided = findings_own();
    l->mask = f.mask;
    const int64_t next = inventory_due(f.due_at, s->not_after, s->last_seen, s->flags);
    l->next = next > context.now ? next : 0;
    if (deep || !(s->flags & CERTIFICATE_LOOKED))
        TRY(look_at_key(ctx, rules, l));
    look_at_standing(ctx, k, l);
    TRY(look_for_forgery(ctx, k, txn, l));
    return look_for_peers(ctx, core, txn, l);
}

#define DAMAGED_AGAIN_S 86400

/* One that is damaged must not keep the others from being looked at. */
static struct rc look_at(struct ctx *ctx, struct txn *txn, struct looking *k, bool deep, const struct subject *s, struct looked *l)
{
    struct rc rc = look_at_sound(ctx, txn, k, deep, s, l);
    if (rc.e != E_PARSE && !(rc.e == E_DATABASE && !l->der.n))
        return rc;
    log_event(LOG_WARN_, "certificate_damaged", "id", arena_printf(&ctx->arena, "%lld", (long long)s->id), "why", ctx_why(ctx),
              NULL);
    ctx_forget(ctx);
    *l = (struct looked){.of = *s, .damaged = true, .next = ctx_now_s(ctx) + DAMAGED_AGAIN_S};
    return RC_OK;
}

/* --- what to look at */

static struct rc policy_read(struct ctx *ctx, struct txn *txn, struct looking *k)
{
    TRY(finding_policy_read(ctx, txn, &k->policy));
    k->limits = finding_policy_clock_limits(&k->policy);
    return RC_OK;
}

static struct rc due_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *k = arg;
    struct q_certificate_due_row *rows = NULL;
    size_t n = 0;
    TRY(q_certificate_due(ctx, txn, ctx_now_s(ctx), LOOK_MOST, &rows, &n));
    TRY(policy_read(ctx, txn, k));
    k->v = arena_array(&ctx->arena, n, sizeof *k->v);
    k->more = n == LOOK_MOST;
    for (k->n = 0; k->n < n; k->n++) {
        const struct q_certificate_due_row *r = &rows[k->n];
        const struct subject s = {r->id, r->not_after, r->last_seen, r->flags, r->findings, r->due_at, r->dictionary, r->packed};
        TRY(look_at(ctx, txn, k, false, &s, &k->v[k->n]));
    }
    return RC_OK;
}

static struct rc sweep_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *k = arg;
    struct q_certificate_sweep_row *by = NULL;
    struct q_certificate_after_row *all = NULL;
    size_t n = 0;
    TRY(q_finding_sweep_next(ctx, txn, &k->sweep, &k->sweeping));
    if (!k->sweeping)
        return RC_OK;
    TRY(policy_read(ctx, txn, k));
    const bool every = !*k->sweep.term;
    if (every)
        TRY(q_certificate_after(ctx, txn, k->sweep.after_id, LOOK_MOST, &all, &n));
    else
        TRY(q_certificate_sweep(ctx, txn, certificate_term_quoted(ctx, k->core, k->sweep.term), k->sweep.after_id, LOOK_MOST, &by,
                                &n));
    k->v = arena_array(&ctx->arena, n, sizeof *k->v);
    k->more = n == LOOK_MOST;
    for (k->n = 0; k->n < n; k->n++) {
        const size_t i = k->n;
        const struct subject s = every ? (struct subject){all[i].id,       all[i].not_after, all[i].last_seen,  all[i].flags,
                                                          all[i].findings, all[i].due_at,    all[i].dictionary, all[i].packed}
                                       : (struct subject){by[i].id,       by[i].not_after, by[i].last_seen,  by[i].flags,
                                                          by[i].findings, by[i].due_at,    by[i].dictionary, by[i].packed};
        TRY(look_at(ctx, txn, k, k->sweep.deep, &s, &k->v[i]));
    }
    return RC_OK;
}

/* --- writing down */

static const char *detail_of(const struct looked *l, unsigned check)
{
    if (check == CHECK_ROGUE && l->rogue)
        return l->rogue;
    return check == CHECK_DISTRUSTED_ISSUER ? l->trust.root : "";
}

static void findings_count(struct ctx *ctx, struct counter_sum *sum, int64_t team, int64_t came, int64_t went)
{
    for (unsigned k = 1; k <= CHECK_NUMBER_MAX; k++) {
        const struct check_info *info = findings_check(k);
        if (info && (came | went) & CHECK_BIT(k))
            counter_add(ctx, sum, team, COUNTER_FINDING, info->id, came & CHECK_BIT(k) ? 1 : -1);
    }
}

static struct rc note(struct ctx *ctx, struct core *core, struct txn *txn, struct adding *add, const struct looked *l)
{
    struct q_certificate_row_row row;
    bool found = false;
    TRY(q_certificate_row(ctx, txn, l->of.id, &row, &found));
    if (!found || row.due_at != l->of.due_at || row.flags != l->of.flags || !row.issuer_name_id)
        return found ? look_again(ctx, txn, row.id) : RC_OK; /* it has changed meanwhile */
    if (l->damaged) {
        TRY(inventory_due_move(ctx, txn, row.id, row.due_at, l->next));
        return q_certificate_looked(ctx, txn, row.id, row.findings, l->next, row.flags);
    }
    if (l->gone)
        return inventory_drop(ctx, txn, &add->sum, &row, l->der);
    const int64_t findings = (row.findings & ~l->decided) | l->mask, came = findings & ~row.findings,
                  went = row.findings & ~findings;
    findings_count(ctx, &add->sum, row.team, came, went);
    for (unsigned k = 1; k <= CHECK_NUMBER_MAX; k++) {
        if (came & CHECK_BIT(k))
            add->findings[add->findings_n++] = (struct q_finding_add_in){k, row.id, 0, ctx_now_s(ctx), detail_of(l, k)};
        if (went & CHECK_BIT(k))
            TRY(q_finding_drop(ctx, txn, k, row.id, 0));
    }
    if (row.due_at != l->next) {
        if (row.due_at)
            TRY(q_certificate_due_drop(ctx, txn, row.due_at, row.id));
        if (l->next)
            add->dues[add->dues_n++] = (struct q_certificate_due_add_in){l->next, row.id};
    }
    const int64_t flags = row.flags | CERTIFICATE_LOOKED;
    if (findings != row.findings || l->next != row.due_at || flags != row.flags)
        TRY(q_certificate_looked(ctx, txn, row.id, findings, l->next, flags));
    TRY(outside_wish(ctx, core, txn, &row, &l->cert, &l->issuer));
    if (l->ca)
        TRY(issuer_trust_note(ctx, txn, row.id, &l->cert, &l->ca_trust));
    return RC_OK;
}

#define ROWS_AT_ONCE 64

static struct rc add_all(struct ctx *ctx, struct txn *txn, struct adding *add)
{
    for (size_t i = 0; i < add->findings_n; i += ROWS_AT_ONCE)
        TRY(q_finding_add(ctx, txn, add->findings + i, add->findings_n - i < ROWS_AT_ONCE ? add->findings_n - i : ROWS_AT_ONCE));
    for (size_t i = 0; i < add->dues_n; i += ROWS_AT_ONCE)
        TRY(q_certificate_due_add(ctx, txn, add->dues + i, add->dues_n - i < ROWS_AT_ONCE ? add->dues_n - i : ROWS_AT_ONCE));
    return counter_write(ctx, txn, &add->sum);
}

/* Peers come last: their own rows are as the rest has left them. */
static struct rc peers_note(struct ctx *ctx, struct core *core, struct txn *txn, const struct looked *l)
{
    for (size_t i = 0; i < l->peers_n; i++) {
        struct rc rc = inventory_finding(ctx, core, txn, l->peers[i], 0, CHECK_SHARED_KEY, true, "");
        if (rc.e != E_NOT_FOUND)
            TRY(rc);
        else
            ctx_forget(ctx);
    }
    return RC_OK;
}

static struct rc note_all(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *k = arg;
    struct adding add = {.findings = arena_array(&ctx->arena, k->n * CHECK_NUMBER_MAX, sizeof *add.findings),
                         .dues = arena_array(&ctx->arena, k->n, sizeof *add.dues)};
    struct q_finding_policy_get_row row;
    bool found = false;
    TRY(q_finding_policy_get(ctx, txn, &row, &found));
    if ((found ? row.revision : 0) != k->policy.revision)
        return RC_OK; /* they were judged by another one: they are looked at again */
    for (size_t i = 0; i < k->n; i++)
        TRY(note(ctx, k->core, txn, &add, &k->v[i]));
    TRY(add_all(ctx, txn, &add));
    for (size_t i = 0; i < k->n; i++)
        TRY(peers_note(ctx, k->core, txn, &k->v[i]));
    if (k->sweeping && k->more)
        TRY(q_finding_sweep_move(ctx, txn, k->sweep.term, k->sweep.after_id, k->v[k->n - 1].of.id));
    else if (k->sweeping)
        TRY(q_finding_sweep_done(ctx, txn, k->sweep.term, k->sweep.after_id));
    return RC_OK;
}

static struct rc turn(struct ctx *ctx, struct core *core, struct rc (*read)(struct ctx *, struct txn *, void *), bool *more)
{
    struct looking k = {.core = core};
    TRY(store_read(ctx, core->store, read, &k));
    if (k.n || k.sweeping)
        TRY(store_write(ctx, core->store, note_all, &k));
    *more |= k.more;
    return RC_OK;
}

struct waiting {
    struct q_finding_waits_row row;
    struct q_inventory_waits_row due;
};

static struct rc waits_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct waiting *w = arg;
    TRY(q_inventory_waits(ctx, txn, ctx_now_s(ctx), &w->due));
    return q_finding_waits(ctx, txn, ctx_now_s(ctx), &w->row);
}

RC look_tick(struct ctx *ctx, struct core *core, bool *more)
{
    struct waiting w;
    TRY(store_read(ctx, core->store, waits_read, &w));
    if (w.due.due)
        TRY(turn(ctx, core, due_read, more));
    if (w.row.endpoints)
        TRY(look_endpoints(ctx, core, more));
    TRY(store_read(ctx, core->store, waits_read, &w)); /* what came first may have begun one */
    if (w.row.sweeps) {
        TRY(turn(ctx, core, sweep_read, more));
        *more = true;
    }
    if (w.row.asks)
        TRY(outside_tick(ctx, core));
    return RC_OK;
}

RC look_again(struct ctx *ctx, struct txn *txn, int64_t id)
{
    struct q_certificate_row_row row;
    bool found = false;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_certificate_row(ctx, txn, id, &row, &found));
    if (!found || (row.due_at && row.due_at <= now))
        return RC_OK;
    TRY(inventory_due_move(ctx, txn, id, row.due_at, now));
    return q_certificate_findings_set(ctx, txn, id, row.findings, now);
}

RC look_sweep(struct ctx *ctx, struct txn *txn, const char *term, bool deep)
{
    return q_finding_sweep_put(ctx, txn, term, deep);
}
