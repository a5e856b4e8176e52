/* What happens to a certificate after it has come: other owners, other findings, and its end. */
#include "base/log.h"
#include "core/findings.h"
#include "core/inventory_own.h"
#include "core/look.h"

#define TICK_MOST 1000

static struct rc row_get(struct ctx *ctx, struct txn *txn, int64_t id, struct q_certificate_row_row *row)
{
    bool found = false;
    TRY(q_certificate_row(ctx, txn, id, row, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "the inventory has no certificate %lld", (long long)id);
}

static const char *finding_key(unsigned check)
{
    const struct check_info *info = findings_check(check);
    return info ? info->id : "other";
}

RC inventory_assign(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, const char *team_id)
{
    struct q_certificate_row_row row;
    struct counter_sum sum = {0};
    int64_t team = 0;
    TRY(inventory_team_number(ctx, core, txn, team_id, &team));
    TRY(row_get(ctx, txn, id, &row));
    if (row.team == team)
        return RC_OK;
    struct counted c = {row.team,     row.issuer_name_id, row.not_before, row.not_after, row.key_kind,
                        row.key_bits, row.signature_kind, row.flags,      row.findings,  row.source};
    inventory_count(ctx, &sum, &c, -1);
    c.team = team;
    inventory_count(ctx, &sum, &c, 1);
    TRY(q_certificate_team_set(ctx, txn, id, team));
    return counter_write(ctx, txn, &sum);
}

RC inventory_flag(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, int64_t set, int64_t clear)
{
    (void)core;
    struct q_certificate_row_row row;
    struct counter_sum sum = {0};
    TRY(row_get(ctx, txn, id, &row));
    const int64_t flags = (row.flags & ~(clear & CERTIFICATE_KNOWN_MASK)) | (set & CERTIFICATE_KNOWN_MASK);
    if (flags == row.flags)
        return RC_OK;
    if ((flags ^ row.flags) & CERTIFICATE_MANAGED)
        counter_add(ctx, &sum, row.team, COUNTER_MANAGED, "", flags & CERTIFICATE_MANAGED ? 1 : -1);
    if ((flags ^ row.flags) & CERTIFICATE_SUPERSEDED)
        counter_add(ctx, &sum, row.team, COUNTER_SUPERSEDED, "", flags & CERTIFICATE_SUPERSEDED ? 1 : -1);
    TRY(q_certificate_seen(ctx, txn, id, row.last_seen, flags));
    if ((flags ^ row.flags) & (CERTIFICATE_MANAGED | CERTIFICATE_SUPERSEDED))
        TRY(look_again(ctx, txn, id));
    return counter_write(ctx, txn, &sum);
}

RC inventory_version(struct ctx *ctx, struct core *core, struct txn *txn, const char *managed, int64_t number,
                     enum inventory_version what)
{
    static const int64_t flags[] = {[VERSION_CURRENT] = CERTIFICATE_MANAGED | CERTIFICATE_OURS,
                                    [VERSION_SUPERSEDED] = CERTIFICATE_SUPERSEDED,
                                    [VERSION_LEFT] = 0};
    struct q_version_certificate_row v;
    bool found = false;
    TRY(q_version_certificate(ctx, txn, managed, number, &v, &found));
    if (!found)
        return RC_OK;
    TRY(inventory_flag(ctx, core, txn, v.certificate_id, flags[what],
                       (CERTIFICATE_MANAGED | CERTIFICATE_SUPERSEDED) & ~flags[what]));
    /* Nobody is harmed by what is revoked and not in use. */
    return what == VERSION_SUPERSEDED ? inventory_finding(ctx, core, txn, v.certificate_id, 0, CHECK_REVOKED, false, "") : RC_OK;
}

RC inventory_finding(struct ctx *ctx, struct core *core, struct txn *txn, int64_t id, int64_t endpoint_id, unsigned check,
                     bool holds, const char *detail)
{
    (void)core;
    struct q_certificate_row_row row;
    struct counter_sum sum = {0};
    if (check < 1 || check > CHECK_NUMBER_MAX)
        return ctx_fail(ctx, E_BUG, "no check has the number %u", check);
    TRY(row_get(ctx, txn, id, &row));
    const struct q_finding_add_in in = {
        .check_number = check, .certificate_id = id, .endpoint_id = endpoint_id, .since = ctx_now_s(ctx), .detail = detail};
    if (holds)
        TRY(q_finding_add(ctx, txn, &in, 1));
    else
        TRY(q_finding_drop(ctx, txn, check, id, endpoint_id));
    struct q_finding_any_row any;
    TRY(q_finding_any(ctx, txn, check, id, &any));
    const int64_t bit = CHECK_BIT(check), findings = any.n ? row.findings | bit : row.findings & ~bit;
    if (findings == row.findings)
        return RC_OK;
    counter_add(ctx, &sum, row.team, COUNTER_FINDING, finding_key(check), any.n ? 1 : -1);
    TRY(q_certificate_findings_set(ctx, txn, id, findings, row.due_at));
    return counter_write(ctx, txn, &sum);
}

/* --- what is due */

RC inventory_due_move(struct ctx *ctx, struct txn *txn, int64_t id, int64_t from, int64_t to)
{
    if (from == to)
        return RC_OK;
    if (from)
        TRY(q_certificate_due_drop(ctx, txn, from, id));
    const struct q_certificate_due_add_in in = {to, id};
    return to ? q_certificate_due_add(ctx, txn, &in, 1) : RC_OK;
}

/* It goes, with all that was known of it. */
RC inventory_drop(struct ctx *ctx, struct txn *txn, struct counter_sum *sum, const struct q_certificate_row_row *row,
                  struct bytes der)
{
    struct inventory_ready r;
    TRY(inventory_read_one(ctx, der, row->flags, &r));
    const struct counted c = {row->team,     row->issuer_name_id, row->not_before, row->not_after, row->key_kind,
                              row->key_bits, row->signature_kind, row->flags,      row->findings,  row->source};
    inventory_count(ctx, sum, &c, -1);
    for (unsigned k = 1; k <= CHECK_NUMBER_MAX; k++)
        if (row->findings & CHECK_BIT(k))
            TRY(q_finding_drop_all(ctx, txn, k, row->id));
    TRY(inventory_due_move(ctx, txn, row->id, row->due_at, 0));
    TRY(q_observation_drop_of(ctx, txn, row->id));
    TRY(q_observation_before_drop_of(ctx, txn, row->id));
    TRY(q_endpoint_without(ctx, txn, row->id));
    TRY(q_outside_ask_drop_of(ctx, txn, row->id));
    TRY(q_certificate_said_drop(ctx, txn, row->id));
    TRY(q_certificate_note_drop(ctx, txn, row->id));
    TRY(q_certificate_term_drop(ctx, txn, row->id, r.terms));
    TRY(q_certificate_der_drop(ctx, txn, row->id));
    return q_certificate_drop(ctx, txn, row->id);
}

struct ticking {
    struct core *core;
    int64_t newest;
    bool folds, looks, rereads, more;
};

/* One that came over from an older release: it has its DER, and nothing that was read from it. */
static struct rc reread_one(struct ctx *ctx, struct core *core, struct txn *txn, struct counter_sum *sum,
                            const struct q_certificate_reread_row *row)
{
    struct bytes der;
    struct inventory_ready r;
    int64_t issuer = 0;
    TRY(certificate_der(ctx, core, row->dictionary, row->packed, &der));
    TRY(inventory_read_one(ctx, der, row->flags, &r));
    TRY(inventory_issuer_of(ctx, txn, r.issuer, &issuer));
    const int64_t due = ctx_now_s(ctx); /* the look at it follows */
    const struct q_certificate_read_set_in in = {.id = row->id,
                                                 .issuer_name_id = issuer,
                                                 .key_kind = r.key_kind,
                                                 .key_bits = r.key_bits,
                                                 .signature_kind = r.signature_kind,
                                                 .flags = r.flags,
                                                 .findings = r.findings,
                                                 .due_at = due};
    TRY(q_certificate_read_set(ctx, txn, &in));
    const struct q_certificate_term_add_in terms = {row->id, r.terms};
    TRY(q_certificate_term_add(ctx, txn, &terms, 1));
    TRY(inventory_due_move(ctx, txn, row->id, row->due_at, due));
    TRY(inventory_findings_add(ctx, txn, row->id, r.findings, ctx_now_s(ctx)));
    const struct counted c = {row->team,  issuer,           row->not_before, row->not_after, r.key_kind,
                              r.key_bits, r.signature_kind, r.flags,         r.findings,     row->source};
    inventory_count(ctx, sum, &c, 1);
    return q_certificate_reread_done(ctx, txn, row->id);
}

static struct rc reread_do(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct ticking *t = arg;
    struct q_certificate_reread_row *rows = NULL;
    struct counter_sum sum = {0};
    size_t n = 0;
    TRY(q_certificate_reread(ctx, txn, TICK_MOST, &rows, &n));
    for (size_t i = 0; i < n; i++)
        TRY(reread_one(ctx, t->core, txn, &sum, &rows[i]));
    t->more |= n == TICK_MOST;
    return counter_write(ctx, txn, &sum);
}

static struct rc fold_do(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct ticking *t = arg;
    bool more = false;
    TRY(counter_fold(ctx, txn, &more));
    t->more |= more;
    return RC_OK;
}

/* A look costs nothing where nothing is to be done: no write, every second. */
static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct ticking *t = arg;
    struct q_certificate_newest_row newest;
    struct q_inventory_waits_row waits;
    TRY(q_certificate_newest(ctx, txn, &newest));
    TRY(q_inventory_waits(ctx, txn, ctx_now_s(ctx), &waits));
    t->newest = newest.id;
    t->folds = waits.folds;
    t->looks = waits.due;
    t->rereads = waits.rereads;
    return RC_OK;
}

RC inventory_tick(struct ctx *ctx, struct core *core, bool *more)
{
    struct ticking t = {.core = core};
    TRY(store_read(ctx, core->store, look, &t));
    if (t.rereads)
        TRY(store_write(ctx, core->store, reread_do, &t));
    TRY(look_tick(ctx, core, &t.more));
    if (t.folds || t.looks || t.rereads)
        TRY(store_write(ctx, core->store, fold_do, &t));
    *more = t.more;
    return inventory_dictionary_look(ctx, core, t.newest);
}
