#include "core/check.h"

#include "base/buf.h"
#include "base/str.h"
#include "core/findings.h"
#include "core/inventory_own.h"

#define SLICE 1000
#define SAMPLE 100 /* one in so many has its terms looked up */

struct checking {
    struct core *core;
    bool all;
    void (*progress)(void *arg, int64_t done);
    void *arg;
    struct check_result *out;
    struct ctx own;          /* of a slice of certificates */
    struct counter_sum sum;  /* what the counters should be */
    int64_t bits[CHECK_NUMBER_MAX + 1]; /* certificates that have the bit of a check */
    int64_t dues;
};

static void wrong(struct ctx *ctx, struct checking *c, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void wrong(struct ctx *ctx, struct checking *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (c->out->shown_n < CHECK_SHOWN_MAX)
        c->out->shown[c->out->shown_n++] = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    c->out->wrong++;
}

/* --- one certificate; `ctx` is of the slice, `keep` lasts */

/* Every term at once: the engines quote them differently. */
static struct rc terms_check(struct ctx *ctx, struct ctx *keep, struct txn *txn, struct checking *c, int64_t id, const char *terms)
{
    const bool lite = store_engine_of(c->core->store) == STORE_SQLITE;
    struct bytes rest = bytes_z(terms), term;
    struct buf quoted;
    struct q_certificate_term_has_row row;
    buf_init_arena(&quoted, &ctx->arena, 1 << 16);
    buf_put_z(&quoted, lite ? "" : "{");
    for (bool first = true; bytes_take_until(&rest, ' ', &term); first = false) {
        buf_put_z(&quoted, first ? "\"" : lite ? " \"" : ",\"");
        buf_put(&quoted, term);
        buf_put_z(&quoted, "\"");
    }
    buf_put_z(&quoted, lite ? "" : "}");
    TRY(buf_status(&quoted));
    TRY(q_certificate_term_has(ctx, txn, id, buf_z(&quoted), &row));
    c->out->terms++;
    if (row.n != 1)
        wrong(keep, c, "certificate %lld is not found by all of its terms", (long long)id);
    return RC_OK;
}

static void columns_check(struct ctx *keep, struct checking *c, const struct q_certificate_after_row *row,
                          const struct inventory_ready *r)
{
    const struct {
        const char *name;
        int64_t is, should;
    } v[] = {{"not_before", row->not_before, r->not_before},
             {"not_after", row->not_after, r->not_after},
             {"key_kind", row->key_kind, r->key_kind},
             {"key_bits", row->key_bits, r->key_bits},
             {"signature_kind", row->signature_kind, r->signature_kind},
             {"flags", row->flags & ~(int64_t)CERTIFICATE_KNOWN_MASK, r->flags & ~(int64_t)CERTIFICATE_KNOWN_MASK}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        if (v[i].is != v[i].should)
            wrong(keep, c, "certificate %lld: %s is %lld, and should be %lld", (long long)row->id, v[i].name, (long long)v[i].is,
                  (long long)v[i].should);
}

static struct rc findings_check_rows(struct ctx *ctx, struct ctx *keep, struct txn *txn, struct checking *c,
                                     const struct q_certificate_after_row *row)
{
    for (unsigned k = 1; k <= CHECK_NUMBER_MAX; k++) {
        struct q_finding_any_row any;
        if (!(row->findings & CHECK_BIT(k)))
            continue;
        c->bits[k]++;
        TRY(q_finding_any(ctx, txn, k, row->id, &any));
        if (!any.n)
            wrong(keep, c, "certificate %lld has the finding %u without a row", (long long)row->id, k);
    }
    return RC_OK;
}

static struct rc one(struct ctx *ctx, struct ctx *keep, struct txn *txn, struct checking *c,
                     const struct q_certificate_after_row *row)
{
    struct bytes der;
    struct inventory_ready r;
    struct q_certificate_reread_get_row later;
    bool waits = false;
    c->out->certificates++;
    c->dues += row->due_at != 0;
    TRY(findings_check_rows(ctx, keep, txn, c, row));
    struct rc rc = certificate_der(ctx, c->core, row->dictionary, row->packed, &der);
    if (rc_ok(rc))
        rc = inventory_read_one(ctx, der, row->flags, &r);
    if (rc_failed(rc)) {
        wrong(keep, c, "certificate %lld cannot be read: %s", (long long)row->id, ctx_why(ctx));
        ctx_forget(ctx);
        return RC_OK;
    }
    if (!bytes_equal(row->fingerprint, bytes_of(r.print, SHA256_LEN)))
        wrong(keep, c, "certificate %lld: the fingerprint is of another certificate", (long long)row->id);
    if (!row->issuer_name_id) /* it came over from an older release, and is read in a moment */
        TRY(q_certificate_reread_get(ctx, txn, row->id, &later, &waits));
    if (waits)
        return RC_OK;
    columns_check(keep, c, row, &r);
    const struct counted counted = {row->team,     row->issuer_name_id, row->not_before, row->not_after, row->key_kind,
                                    row->key_bits, row->signature_kind, row->flags,      row->findings,  row->source};
    inventory_count(ctx, &c->sum, &counted, 1);
    return c->all || row->id % SAMPLE == 0 ? terms_check(ctx, keep, txn, c, row->id, r.terms) : RC_OK;
}

static struct rc certificates(struct ctx *keep, struct txn *txn, struct checking *c)
{
    struct counter_sum all = {0};
    int64_t after = 0;
    for (size_t n = SLICE; n == SLICE;) {
        struct q_certificate_after_row *rows = NULL;
        ctx_reset(&c->own);
        struct rc rc = q_certificate_after(&c->own, txn, after, SLICE, &rows, &n);
        for (size_t i = 0; i < n && rc_ok(rc); i++)
            rc = one(&c->own, keep, txn, c, &rows[i]);
        if (rc_failed(rc))
            return ctx_fail(keep, rc.e, "%s", ctx_why(&c->own));
        counter_merge(keep, &all, &c->sum);
        c->sum = (struct counter_sum){0};
        after = n ? rows[n - 1].id : after;
        if (c->progress)
            c->progress(c->arg, c->out->certificates);
    }
    c->sum = all;
    return RC_OK;
}

/* --- what follows from all */

static bool is_ours(const char *dimension)
{
    static const char *const ours[] = {COUNTER_TOTAL,   COUNTER_ISSUER,     COUNTER_KEY,     COUNTER_SIGNATURE, COUNTER_FINDING,
                                       COUNTER_MANAGED, COUNTER_SUPERSEDED, COUNTER_EXPIRES, COUNTER_SOURCE,    COUNTER_LIFETIME};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (str_equal(ours[i], dimension))
            return true;
    return false;
}

/* Taken off from what should be: what is left is wrong. */
static struct rc counters(struct ctx *ctx, struct txn *txn, struct checking *c)
{
    struct q_counter_all_row *rows = NULL;
    size_t n = 0;
    TRY(q_counter_all(ctx, txn, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (is_ours(rows[i].dimension))
            counter_add(ctx, &c->sum, rows[i].team, rows[i].dimension, rows[i].key, -rows[i].n);
    for (size_t i = 0; i < c->sum.n; i++) {
        const struct counter_change *v = &c->sum.v[i];
        if (v->n)
            wrong(ctx, c, "the counter %s %s of team %lld is %lld too %s", v->dimension, v->key, (long long)v->team,
                  (long long)(v->n < 0 ? -v->n : v->n), v->n < 0 ? "high" : "low");
    }
    return RC_OK;
}

/* What is known of days that are forgotten is of day 1: see counter_expire(). */
static struct rc days(struct ctx *ctx, struct txn *txn, struct checking *c)
{
    struct q_counter_days_wrong_row *rows = NULL;
    size_t n = 0;
    TRY(q_counter_days_wrong(ctx, txn, SLICE, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (is_ours(rows[i].dimension))
            wrong(ctx, c, "the counter %s %s of team %lld is %lld, and all its days together %lld", rows[i].dimension, rows[i].key,
                  (long long)rows[i].team, (long long)rows[i].now, (long long)rows[i].days);
    return RC_OK;
}

static struct rc tallies(struct ctx *ctx, struct txn *txn, struct checking *c)
{
    struct q_finding_tally_row *rows = NULL;
    struct q_certificate_due_tally_row due;
    size_t n = 0;
    TRY(q_finding_tally(ctx, txn, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (rows[i].check_number < 1 || rows[i].check_number > CHECK_NUMBER_MAX || c->bits[rows[i].check_number] != rows[i].n)
            wrong(ctx, c, "%lld certificates have rows of finding %lld, and others its bit", (long long)rows[i].n,
                  (long long)rows[i].check_number);
    TRY(q_certificate_due_tally(ctx, txn, &due));
    if (due.n != c->dues)
        wrong(ctx, c, "%lld certificates are due at some time, and %lld rows say so", (long long)c->dues, (long long)due.n);
    return RC_OK;
}

static struct rc references(struct ctx *ctx, struct txn *txn, struct checking *c)
{
    struct q_inventory_orphans_row *rows = NULL;
    struct q_remark_orphans_row *said = NULL;
    size_t n = 0, said_n = 0;
    TRY(q_inventory_orphans(ctx, txn, &rows, &n));
    for (size_t i = 0; i < n; i++)
        if (rows[i].n)
            wrong(ctx, c, "%lld %s", (long long)rows[i].n, rows[i].what);
    TRY(q_remark_orphans(ctx, txn, &said, &said_n));
    for (size_t i = 0; i < said_n; i++)
        if (said[i].n)
            wrong(ctx, c, "%lld %s", (long long)said[i].n, said[i].what);
    return RC_OK;
}

static struct rc run(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct checking *c = arg;
    TRY(certificates(ctx, txn, c));
    TRY(counters(ctx, txn, c));
    TRY(days(ctx, txn, c));
    TRY(tallies(ctx, txn, c));
    return references(ctx, txn, c);
}

RC check_run(struct ctx *ctx, struct core *core, bool all, void (*progress)(void *arg, int64_t done), void *arg,
             struct check_result *out)
{
    struct checking c = {.core = core, .all = all, .progress = progress, .arg = arg, .out = out};
    *out = (struct check_result){0};
    ctx_init(&c.own, ctx->clock);
    struct rc rc = store_read(ctx, core->store, run, &c);
    ctx_free(&c.own);
    return rc;
}
