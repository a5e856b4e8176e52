#include "core/forget.h"

#include "core/access.h"
#include "core/ask.h"
#include "core/audit.h"
#include "core/counter.h"
#include "core/inventory_own.h"
#include "store/select.h"

struct forgetting {
    struct core *core;
    const char *at;
    bool dry;
    int64_t *after;
    int64_t next;
    struct forgotten *out;
};

static bool goes(const struct q_certificate_row_row *row)
{
    return !(row->flags & CERTIFICATE_OURS) && (row->source == INVENTORY_SCAN || row->source == INVENTORY_HOST);
}

/* Certificates that nobody sees any more. */
static struct rc drop_unseen(struct ctx *ctx, struct forgetting *f, struct txn *txn, const struct q_observation_showed_row *seen,
                             size_t n)
{
    struct counter_sum sum = {0};
    for (size_t i = 0; i < n; i++) {
        struct q_certificate_row_row row;
        struct q_certificate_der_get_row packed;
        struct q_observation_any_row any;
        struct bytes der;
        bool found = false;
        TRY(q_certificate_row(ctx, txn, seen[i].certificate_id, &row, &found));
        if (!found || !goes(&row))
            continue;
        TRY(q_observation_any(ctx, txn, row.id, &any));
        if (any.n)
            continue;
        TRY(q_certificate_der_get(ctx, txn, row.id, &packed, &found));
        if (!found)
            continue;
        TRY(certificate_der(ctx, f->core, packed.dictionary, packed.packed, &der));
        TRY(inventory_drop(ctx, txn, &sum, &row, der));
        f->out->certificates++;
    }
    return counter_write(ctx, txn, &sum);
}

static struct rc forget(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct forgetting *f = arg;
    struct select_endpoints_ask ask = {.scope = access_scope(ctx), .limit = FORGET_MOST, .after = *f->after};
    struct select_endpoint *rows = NULL;
    struct select_cond *seen = NULL;
    size_t n = 0;
    *f->out = (struct forgotten){0};
    TRY(decide(ctx, f->core, txn, "endpoint.delete", NULL));
    TRY(ask_place(ctx, f->at, &seen));
    ask.seen = seen;
    TRY(select_endpoints(ctx, txn, &ask, &rows, &n, &f->next));
    f->out->endpoints = (int64_t)n;
    f->out->more = f->next != 0;
    if (f->dry || !n)
        return RC_OK;
    for (size_t i = 0; i < n; i++) {
        struct q_observation_showed_row *of = NULL;
        size_t of_n = 0;
        TRY(q_observation_showed(ctx, txn, rows[i].id, access_scope(ctx), &of, &of_n));
        TRY(inventory_endpoint_drop(ctx, f->core, txn, rows[i].id));
        TRY(q_observation_drop_at(ctx, txn, rows[i].id));
        TRY(q_observation_before_drop_at(ctx, txn, rows[i].id));
        TRY(drop_unseen(ctx, f, txn, of, of_n));
    }
    return audit_write(ctx, txn, "endpoint.delete", "endpoint", "", access_scope(ctx),
                       audit_facts(ctx, "at", f->at, "endpoints:", audit_number(ctx, f->out->endpoints),
                                   "certificates:", audit_number(ctx, f->out->certificates), NULL));
}

RC forget_places(struct ctx *ctx, struct core *core, const char *at, bool dry, int64_t *after, struct forgotten *out)
{
    struct forgetting f = {.core = core, .at = at, .dry = dry, .after = after, .out = out};
    if (!at || !*at)
        return ctx_fail_field(ctx, "/at", "which? an address, a network, host:port, or a name with those below it");
    TRY(dry ? store_read(ctx, core->store, forget, &f) : store_write(ctx, core->store, forget, &f));
    *after = f.next;
    return RC_OK;
}
