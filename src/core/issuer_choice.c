#include "core/issuer_choice.h"

#include "base/encode.h"
#include "base/random.h"
#include "core/ari.h"
#include "core/audit.h"
#include "core/issuer.h"
#include "core/issuer_health.h"
#include "core/job.h"

/* A current version that ends sooner than this after an issuer could be asked, or than a tenth of its life, is not waited with. */
#define MARGIN_S (2 * 86400)

/* One issuer of the list. */
struct candidate {
    const char *id, *name;
    int64_t level;    /* how often its turn for this certificate was used up */
    int64_t until;    /* cannot be asked before; 0: now */
    int64_t leave_at; /* from when another one may be asked instead; 0: now */
    const char *why, *remedy;
    bool trial;
    struct issuer_policy policy;
    struct budget_ask ask;
};

struct choosing {
    struct core *core;
    const struct q_managed_by_id_row *m;
    const struct wish *w;
    struct q_version_get_row current;
    bool any;        /* there is one */
    bool same_names; /* and it has exactly the wished names */
    struct q_attempt_recent_row *recent;
    size_t recent_n;
    int64_t since; /* it waits since then; now, where it does not */
};

static const char *when(struct ctx *ctx, int64_t at)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    time_put_rfc3339(&b, at);
    return buf_z(&b);
}

/* Until when a version can be waited with. */
static int64_t waits_until(const struct q_version_get_row *v)
{
    const int64_t tenth = (v->not_after - v->not_before) / 10;
    return v->not_after - (tenth < MARGIN_S ? tenth : MARGIN_S);
}

/* Too soon before the end of a version to wait until then. */
static bool ends_before(const struct q_version_get_row *v, int64_t at) { return waits_until(v) < at; }

/* How many attempts in a row failed with an issuer, in its turns: a refusal uses up a whole turn. */
static int64_t level_of(const struct choosing *c, const char *issuer, int64_t after)
{
    int64_t failed = 0;
    for (size_t i = 0; i < c->recent_n && !str_equal(c->recent[i].state, "issued"); i++)
        if (str_equal(c->recent[i].issuer_id, issuer) && str_equal(c->recent[i].state, "failed"))
            failed += c->recent[i].error_code && !err_info(err_by_name(c->recent[i].error_code))->retryable ? after : 1;
    return failed / after;
}

static void later(struct candidate *c, int64_t until, const char *why, const char *remedy)
{
    if (until <= c->until)
        return;
    c->until = until;
    c->why = why;
    c->remedy = remedy;
}

static struct rc look_at(struct ctx *ctx, struct txn *txn, const struct choosing *ch, const struct q_managed_issuers_row *row,
                         struct candidate *c)
{
    struct q_issuer_health_row h;
    struct issuer_settings s;
    struct issuer_verdict v;
    const int64_t now = ctx_now_s(ctx);
    const char *retry = arena_printf(&ctx->arena, "at once: certwright cert retry %s", ch->m->name);
    *c = (struct candidate){.id = row->issuer_id, .name = row->name, .why = "", .remedy = ""};
    TRY(q_issuer_health(ctx, txn, row->issuer_id, &h));
    TRY(issuer_settings_decode(ctx, h.kind, h.settings, &s));
    c->policy = s.policy;
    const int64_t after = issuer_policy_after(&s.policy);
    const int64_t within = ch->any ? issuer_policy_within_s(&s.policy) : issuer_policy_new_s(&s.policy);
    c->level = level_of(ch, row->issuer_id, after);
    TRY(issuer_verdict_of(ctx, &h, &s.policy, &v));
    c->trial = v.trial;
    later(c, v.until, v.why, retry);
    struct q_issuer_hold_get_row hold;
    bool found = false;
    TRY(q_issuer_hold_get(ctx, txn, row->issuer_id, ch->m->id, &hold, &found));
    if (found && hold.until > now)
        later(c, hold.until, arena_printf(&ctx->arena, "%s asked to wait: %s", row->name, hold.why), retry);
    const bool renewal = ch->same_names && str_equal(ch->current.issuer_id, row->issuer_id);
    c->ask = (struct budget_ask){.issuer = row->issuer_id, .names = &ch->w->names, .renewal = renewal};
    if (s.policy.limits_n) {
        const struct q_attempt_by_id_row would = {.managed_id = ch->m->id, .issuer_id = row->issuer_id};
        const char *replaced = NULL;
        TRY(ari_replaces(ctx, ch->core, txn, &would, ch->w, &replaced));
        c->ask.replaces = replaced != NULL;
    }
    int64_t fits = 0;
    const char *limit = "";
    TRY(budget_look(ctx, txn, &s.policy, &c->ask, &fits, &limit));
    if (fits > now)
        later(c, fits, arena_printf(&ctx->arena, "the limit of %s is reached: %s", row->name, limit),
              arena_printf(&ctx->arena, "where it allows more: certwright issuer edit %s --limit KIND=N/SPAN", row->name));
    /* When it is left for the next one. */
    const bool ends = ch->any && ends_before(&ch->current, c->until);
    const int64_t from = h.failing_since && *h.failing_since < ch->since ? *h.failing_since : ch->since;
    if (h.failures < after && c->until - now < within && !ends)
        c->leave_at = from + within < c->until ? from + within : c->until;
    if (h.failures >= after && h.last_error && !*c->why)
        c->why = v.why;
    return RC_OK;
}

static struct rc same_names(struct ctx *ctx, const char *names_json, const struct str_list *wished, bool *same)
{
    json_auto_t *list = NULL;
    TRY(json_read(ctx, bytes_z(names_json), &list));
    *same = json_array_size(list) == wished->n;
    for (size_t i = 0; *same && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        *same = name && str_list_has(wished, name);
    }
    return RC_OK;
}

static struct rc choosing_read(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
                               const struct wish *w, struct choosing *c)
{
    struct q_managed_wait_get_row wait;
    bool waits = false;
    *c = (struct choosing){.core = core, .m = m, .w = w, .since = ctx_now_s(ctx)};
    TRY(q_managed_wait_get(ctx, txn, m->id, &wait, &waits));
    if (waits && wait.since && wait.since < c->since)
        c->since = wait.since;
    if (m->version)
        TRY(q_version_get(ctx, txn, m->id, m->version, &c->current, &c->any));
    if (c->any) {
        struct q_version_names_row names;
        TRY(q_version_names(ctx, txn, m->id, m->version, &names));
        TRY(same_names(ctx, names.names, &w->names, &c->same_names));
    }
    return q_attempt_recent(ctx, txn, m->id, &c->recent, &c->recent_n);
}

/* By how often their turns were used up, then as the list has them. */
static void in_order(struct candidate *c, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && c[k].level < c[k - 1].level; k--) {
            const struct candidate kept = c[k];
            c[k] = c[k - 1];
            c[k - 1] = kept;
        }
}

static void take(const struct candidate *c, const char *first, const char *why, int64_t wait_until, struct issuer_choice *out)
{
    *out = (struct issuer_choice){.id = c->id,
                                  .name = c->name,
                                  .wait_until = wait_until,
                                  .why = why,
                                  .remedy = c->remedy,
                                  .instead = !str_equal(c->id, first),
                                  .trial = c->trial,
                                  .policy = c->policy,
                                  .ask = c->ask};
}

RC issuer_choose(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, const struct wish *w,
                 struct issuer_choice *out)
{
    struct q_managed_issuers_row *rows = NULL;
    size_t n = 0;
    struct choosing ch;
    const int64_t now = ctx_now_s(ctx);
    TRY(q_managed_issuers(ctx, txn, m->id, &rows, &n));
    if (!n)
        return ctx_fail(ctx, E_CONFLICT, "%s names no issuer", m->name);
    TRY(choosing_read(ctx, core, txn, m, w, &ch));
    struct candidate *c = arena_array(&ctx->arena, n, sizeof *c);
    for (size_t i = 0; i < n; i++)
        TRY(look_at(ctx, txn, &ch, &rows[i], &c[i]));
    const char *first = c[0].id, *why = c[0].why, *name = c[0].name;
    if (c[0].level && !*why)
        why = arena_printf(&ctx->arena, "%s was asked and it failed", name);
    in_order(c, n);
    const struct candidate *soonest = &c[0];
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        if (c[i].until <= now) {
            take(&c[i], first, why, 0, out);
            return RC_OK;
        }
        if (c[i].until < at) {
            at = c[i].until;
            soonest = &c[i];
        }
        if (i + 1 < n && c[i].leave_at > now) { /* too soon to leave it */
            if (c[i].leave_at < at)
                at = c[i].leave_at;
            if (at < c[i].until)
                c[i].why = arena_printf(&ctx->arena, "%s, until %s; %s is asked instead before that", c[i].why,
                                        when(ctx, c[i].until), c[i + 1].name);
            soonest = &c[i];
            break;
        }
    }
    take(soonest, first, soonest->why, at, out);
    return RC_OK;
}

static struct bytes failover_detail(struct ctx *ctx, const struct issuer_choice *c)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "issuer", c->name);
    json_put_str(&j, "why", c->why);
    json_close(&j);
    return rc_ok(buf_status(&b)) ? buf_bytes(&b) : (struct bytes){0};
}

RC issuer_chosen(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, const struct issuer_choice *c,
                 const char *attempt)
{
    TRY(q_managed_wait_clear(ctx, txn, m->id));
    if (c->trial)
        TRY(q_issuer_trial(ctx, txn, c->id, attempt, ctx_now_s(ctx)));
    TRY(budget_take(ctx, txn, &c->policy, &c->ask, attempt));
    if (!c->instead)
        return RC_OK;
    TRY(step_write(ctx, txn, m->id, attempt, NULL, "failover", "%s%s%s is asked instead", c->why, *c->why ? "; " : "", c->name));
    return audit_write(ctx, txn, "issuer.failover", "managed-certificate", m->id, m->team_id, failover_detail(ctx, c));
}

RC issuer_wait(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
               const struct issuer_choice *c)
{
    struct q_managed_wait_get_row had;
    bool waits = false;
    TRY(q_managed_wait_get(ctx, txn, m->id, &had, &waits));
    const struct q_managed_wait_set_in in = {
        .managed_id = m->id, .issuer_id = c->id, .until = c->wait_until, .why = c->why, .remedy = c->remedy, .now = ctx_now_s(ctx)};
    TRY(q_managed_wait_set(ctx, txn, &in));
    /* Not everybody who waits at the same second. */
    TRY(timer_arm(ctx, txn, "retry", m->id, c->wait_until + (int64_t)random_below(10)));
    core_wake_after_commit(ctx, core, txn, "managed:", m->id);
    if (waits && str_equal(had.issuer_id, c->id) && had.until + 60 > c->wait_until)
        return RC_OK;
    return step_write(ctx, txn, m->id, NULL, NULL, "waiting", "%s; not before %s", c->why, when(ctx, c->wait_until));
}

RC issuer_other_ready(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, const char *issuer, bool *other)
{
    struct q_managed_by_id_row m;
    struct wish w;
    struct issuer_choice c;
    *other = false;
    TRY(q_managed_by_id(ctx, txn, managed, &m));
    if (m.removed_at || m.paused_at)
        return RC_OK;
    TRY(wish_decode(ctx, m.wish, &w));
    TRY(issuer_choose(ctx, core, txn, &m, &w, &c));
    *other = !c.wait_until && !str_equal(c.id, issuer);
    return RC_OK;
}

/* Whether there is another issuer for the certificate of an attempt, and its current version. */
static struct rc others_and_version(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, bool *others,
                                    struct q_version_get_row *v, bool *found)
{
    struct q_managed_by_id_row m;
    struct q_managed_issuers_row *issuers = NULL;
    size_t n = 0;
    *found = false;
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    TRY(q_managed_issuers(ctx, txn, m.id, &issuers, &n));
    *others = n > 1;
    return *others && m.version ? q_version_get(ctx, txn, m.id, m.version, v, found) : RC_OK;
}

RC issuer_waited_out(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t again_at, const char **why)
{
    struct q_version_get_row v;
    bool others = false, found = false;
    *why = NULL;
    TRY(others_and_version(ctx, txn, a, &others, &v, &found));
    if (found && ends_before(&v, again_at))
        *why = arena_printf(&ctx->arena, "the issuer has not decided since %s, and the certificate that is there ends at %s",
                            when(ctx, a->created_at), when(ctx, v.not_after));
    return RC_OK;
}

RC issuer_patience(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, int64_t *until, const char **why)
{
    struct q_issuer_by_id_row row;
    struct issuer_settings s;
    struct q_version_get_row v;
    bool others = false, found = false;
    *until = 0;
    *why = arena_printf(&ctx->arena, "nobody has brought a certificate since %s", when(ctx, a->created_at));
    TRY(others_and_version(ctx, txn, a, &others, &v, &found));
    if (!others)
        return RC_OK;
    TRY(q_issuer_by_id(ctx, txn, a->issuer_id, &row));
    TRY(issuer_settings_decode(ctx, row.kind, row.settings, &s));
    const int64_t within = !found && s.policy.new_within_s ? s.policy.new_within_s : s.policy.within_s;
    if (within)
        *until = a->created_at + within;
    if (found && (!*until || waits_until(&v) < *until)) {
        *until = waits_until(&v);
        *why = arena_printf(&ctx->arena, "%s, and the certificate that is there ends at %s", *why, when(ctx, v.not_after));
    }
    return RC_OK;
}
