#include "core/bad_name.h"

#include "base/random.h"
#include "core/audit.h"
#include "core/issuer_budget.h"
#include "core/managed.h"

/* A name that is served is left out when it failed so often in a row; one that never was, at once. */
#define SERVED_FAILURES 2
/* A name that failed so often, and for so long, leads to us no more. */
#define GONE_FAILURES 12
#define GONE_S        (7 * 86400)

static const char *wish_text(struct ctx *ctx, const struct wish *w)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 18);
    wish_encode(&b, w);
    return buf_z(&b);
}

/* The wish without `names` (or, `only`, with nothing but them). */
static void wish_filter(struct ctx *ctx, struct wish *w, const struct str_list *names, bool only)
{
    struct str_list kept = {0};
    for (size_t i = 0; i < w->names.n; i++)
        if (str_list_has(names, w->names.v[i]) == only)
            str_list_add(&ctx->arena, &kept, w->names.v[i]);
    w->names = kept;
    if (w->common_name && !str_list_has(&kept, w->common_name))
        w->common_name = kept.n ? kept.v[0] : NULL;
}

RC bad_names_leave_out(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, const char *reason, struct wish *w,
                       bool *changed)
{
    struct q_bad_name_list_row *rows = NULL;
    size_t n = 0;
    struct str_list dropped = {0};
    *changed = false;
    TRY(q_bad_name_list(ctx, txn, m->id, &rows, &n));
    if (!n)
        return RC_OK;
    if (!str_equal(reason, "retry") || !str_equal(w->bad_name, "drop"))
        return q_bad_name_all_back(ctx, txn, m->id);
    for (size_t i = 0; i < n; i++)
        if (rows[i].dropped && str_list_has(&w->names, rows[i].name))
            str_list_add(&ctx->arena, &dropped, rows[i].name);
    if (!dropped.n || dropped.n >= w->names.n)
        return RC_OK;
    wish_filter(ctx, w, &dropped, false);
    *changed = true;
    return RC_OK;
}

/* "a.example.org", "a.example.org and 3 more" */
static const char *some(struct ctx *ctx, const struct str_list *names)
{
    return names->n == 1 ? names->v[0]
                         : arena_printf(&ctx->arena, "%s and %zu more name%s", names->v[0], names->n - 1, names->n == 2 ? "" : "s");
}

/* --- split */

/* The name of the certificate that takes them: the first of them, where that is free. */
static struct rc apart_name(struct ctx *ctx, struct core *core, struct txn *txn, const char *first, const char **name)
{
    for (int i = 1; i < 10; i++) {
        struct q_managed_get_row row;
        bool taken = false;
        *name = i == 1 ? first : arena_printf(&ctx->arena, "%s-%d", first, i);
        TRY(q_managed_get(ctx, txn, *name, core->team_root, &row, &taken));
        if (!taken)
            return RC_OK;
    }
    return ctx_fail(ctx, E_EXISTS, "%s is managed already", first);
}

static struct rc apart_make(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m,
                            const struct wish *from, const struct str_list *names, const char **name)
{
    struct wish w = *from;
    const char *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    struct q_managed_issuers_row *issuers = NULL;
    size_t n = 0;
    struct bytes hash;
    wish_filter(ctx, &w, names, true);
    w.targets = (struct str_list){0};
    w.bad_name = "drop"; /* the first that works again need not wait for the others */
    TRY(wish_hash(ctx, &w, &hash));
    TRY(apart_name(ctx, core, txn, names->v[0], name));
    const struct q_managed_add_in in = {.id = id,
                                        .team_id = m->team_id,
                                        .name = *name,
                                        .wish = wish_text(ctx, &w),
                                        .wish_hash = hash,
                                        .first_name = w.names.v[0],
                                        .now = ctx_now_s(ctx)};
    TRY(q_managed_add(ctx, txn, &in));
    TRY(q_managed_issuers(ctx, txn, m->id, &issuers, &n));
    for (size_t i = 0; i < n; i++)
        TRY(q_managed_issuer_add(ctx, txn, id, (int64_t)i, issuers[i].issuer_id));
    TRY(audit_write(ctx, txn, "managed-certificate.create", "managed-certificate", id, m->team_id,
                    audit_change(ctx, (struct bytes){0}, bytes_z(in.wish))));
    TRY(step_write(ctx, txn, id, NULL, NULL, "added", "taken out of %s, whose CA could not validate %s", m->name,
                   some(ctx, names)));
    return managed_reconcile(ctx, core, txn, id, "new", false);
}

static struct rc split(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_managed_by_id_row *m, struct wish *w,
                       const struct str_list *names, const char *attempt)
{
    const char *apart = NULL;
    struct bytes hash;
    TRY(apart_make(ctx, core, txn, m, w, names, &apart));
    wish_filter(ctx, w, names, false);
    TRY(wish_hash(ctx, w, &hash));
    const struct q_managed_update_in in = {.id = m->id,
                                           .wish = wish_text(ctx, w),
                                           .wish_hash = hash,
                                           .first_name = w->names.v[0],
                                           .revision = m->revision,
                                           .now = ctx_now_s(ctx)};
    TRY(q_managed_update(ctx, txn, &in));
    for (size_t i = 0; i < names->n; i++)
        TRY(q_bad_name_forget(ctx, txn, m->id, names->v[i]));
    TRY(audit_write(ctx, txn, "managed-certificate.split", "managed-certificate", m->id, m->team_id,
                    audit_change(ctx, bytes_z(m->wish), bytes_z(in.wish))));
    return step_write(ctx, txn, m->id, attempt, NULL, "split", "%s: now the managed certificate %s, which is tried by itself",
                      some(ctx, names), apart);
}

/* --- what the CA said */

/* "dns:www.example.org: dns: no such name" → the name as the wish has it, and why. */
static bool refused_name(struct ctx *ctx, const struct api_job_step *s, const struct wish *w, const char **name, const char **why)
{
    if (!str_equal(s->step, BAD_NAME_STEP) || !s->text)
        return false;
    struct bytes rest = bytes_z(s->text), kind, is;
    if (!bytes_take_until(&rest, ':', &kind))
        return false;
    const char *after = strstr((const char *)rest.p, ": "); /* an IPv6 address has colons of its own */
    is = after ? bytes_of(rest.p, (size_t)(after - (const char *)rest.p)) : rest;
    *name = arena_str(&ctx->arena, is);
    *why = after ? after + 2 : "";
    return str_list_has(&w->names, *name);
}

static struct rc note_names(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a, const struct api_job_result *raw,
                            struct str_list *refused)
{
    struct wish asked;
    TRY(wish_decode(ctx, a->wish, &asked));
    for (size_t i = 0; raw && i < raw->steps.n; i++) {
        const char *name = NULL, *why = NULL;
        if (!refused_name(ctx, &raw->steps.v[i], &asked, &name, &why) || str_list_has(refused, name))
            continue;
        str_list_add(&ctx->arena, refused, name);
        TRY(q_bad_name_note(ctx, txn, a->managed_id, name, why, ctx_now_s(ctx)));
        if (!raw->preflight) /* else the CA was not asked (core/preflight.h) */
            TRY(budget_note_failure(ctx, txn, a->issuer_id, a->id, name));
    }
    return RC_OK;
}

/* Which of those that were just refused shall be asked for no longer; `*gone` is one that leads to us no more. */
static struct rc judged(struct ctx *ctx, struct txn *txn, const struct q_managed_by_id_row *m, const struct str_list *refused,
                        struct str_list *out, const struct q_bad_name_list_row **gone)
{
    struct q_bad_name_list_row *rows = NULL;
    size_t n = 0;
    TRY(q_bad_name_list(ctx, txn, m->id, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        if (!str_list_has(refused, rows[i].name))
            continue;
        if (!m->version || rows[i].failures >= SERVED_FAILURES)
            str_list_add(&ctx->arena, out, rows[i].name);
        if (rows[i].failures >= GONE_FAILURES && rows[i].since < ctx_now_s(ctx) - GONE_S)
            *gone = &rows[i];
    }
    return RC_OK;
}

RC bad_names_note(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_attempt_by_id_row *a,
                  const struct api_job_result *raw, bool *others)
{
    struct q_managed_by_id_row m;
    struct wish w, asked;
    struct str_list refused = {0}, out = {0};
    const struct q_bad_name_list_row *gone = NULL;
    *others = false;
    TRY(note_names(ctx, txn, a, raw, &refused));
    if (!refused.n)
        return RC_OK;
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    if (m.removed_at)
        return RC_OK;
    TRY(wish_decode(ctx, m.wish, &w));
    TRY(wish_decode(ctx, a->wish, &asked));
    TRY(judged(ctx, txn, &m, &refused, &out, &gone));
    const bool some_stay = out.n && out.n < asked.names.n && !w.csr.n;
    if (some_stay && str_equal(w.bad_name, "drop")) {
        for (size_t i = 0; i < out.n; i++)
            TRY(q_bad_name_dropped(ctx, txn, m.id, out.v[i], 1));
        *others = true;
        return step_write(ctx, txn, m.id, a->id, NULL, "dropped", "%s: left out until the next renewal", some(ctx, &out));
    }
    if (some_stay && str_equal(w.bad_name, "split")) {
        *others = true;
        return split(ctx, core, txn, &m, &w, &out, a->id);
    }
    if (!gone || m.paused_at)
        return RC_OK;
    const char *why = arena_printf(&ctx->arena, "%s could not be validated %lld times in a row, for more than a week: %s",
                                   gone->name, (long long)gone->failures, gone->why);
    TRY(step_write(ctx, txn, m.id, a->id, NULL, "paused", "%s", why));
    return q_managed_pause_itself(ctx, txn, m.id, why, ctx_now_s(ctx));
}

RC bad_names_issued(struct ctx *ctx, struct txn *txn, const struct q_attempt_by_id_row *a)
{
    struct q_bad_name_list_row *rows = NULL;
    struct q_managed_by_id_row m;
    struct wish got, wished;
    size_t n = 0;
    TRY(q_bad_name_list(ctx, txn, a->managed_id, &rows, &n));
    if (!n)
        return RC_OK;
    TRY(q_managed_by_id(ctx, txn, a->managed_id, &m));
    TRY(wish_decode(ctx, a->wish, &got));
    TRY(wish_decode(ctx, m.wish, &wished));
    for (size_t i = 0; i < n; i++)
        if (str_list_has(&got.names, rows[i].name) || !str_list_has(&wished.names, rows[i].name))
            TRY(q_bad_name_forget(ctx, txn, a->managed_id, rows[i].name));
    return RC_OK;
}

RC bad_names_words(struct ctx *ctx, struct txn *txn, const char *managed, const char **out)
{
    struct q_bad_name_list_row *rows = NULL;
    struct str_list dropped = {0};
    const char *why = "";
    size_t n = 0;
    *out = "";
    TRY(q_bad_name_list(ctx, txn, managed, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (rows[i].dropped) {
            if (!dropped.n)
                why = rows[i].why;
            str_list_add(&ctx->arena, &dropped, rows[i].name);
        }
    if (dropped.n)
        *out = arena_printf(&ctx->arena, "without %s (%s) until the next renewal", some(ctx, &dropped), why);
    return RC_OK;
}
