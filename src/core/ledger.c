#include "core/ledger.h"

#include "base/json.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit_log.h"
#include "core/managed.h"

static const struct step {
    const char *action, *step, *words;
} steps[] = {
    {"request.create", "requested", "asked for"},
    {"request.update", "requested", "asked for otherwise: approvals before are void"},
    {"request.approve", "approved", "approved"},
    {"request.refuse", "refused", "refused"},
    {"request.withdraw", "withdrawn", "withdrawn by who asked"},
    {"request.expire", "expired", "nobody approved in time"},
    {"request.done", "approved", "all approvals were there: done as asked"},
    {"managed-certificate.create", "requested", "managed from then on"},
    {"managed-certificate.update", "changed", "what is wished for was changed"},
    {"managed-certificate.renew", "requested", "renewal asked for"},
    {"managed-certificate.pause", "paused", "paused"},
    {"managed-certificate.resume", "resumed", "goes on"},
    {"managed-certificate.rollback", "rolled_back", "went back to an earlier version"},
    {"managed-certificate.delete", "removed", "managed no more"},
    {"attempt.failed", "failed", "could not be had"},
    {"certificate.issued", "issued", "issued, checked against names and key, and stored"},
    {"certificate.taken", "issued", "brought by somebody, checked and stored"},
    {"certificate.deployed", "served", "installed, and proved to be served"},
    {"deployment.failed", "not_served", "not served there"},
    {"target.drift", "drifted", "another certificate was served there"},
    {"certificate.revoke", "revoked", "revoked"},
    {"certificate.export-key", "downloaded", "the key was downloaded"},
};

static const struct step *step_of(const char *action)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (str_equal(steps[i].action, action))
            return &steps[i];
    return NULL;
}

struct listing {
    const char *managed;
    int64_t before, limit, last;
    struct ledger_line *lines;
    size_t n;
};

/* A target may have served other certificates as well: what its entries speak of is in their detail. */
static struct rc line_of(struct ctx *ctx, struct listing *l, const struct q_audit_list_row *row)
{
    json_auto_t *detail = NULL;
    const struct step *s = step_of(row->action);
    TRY(json_read(ctx, bytes_z(row->detail), &detail));
    if (str_equal(row->object_kind, "target") &&
        !str_equal(json_string_value(json_object_get(detail, "managed_certificate")), l->managed))
        return RC_OK;
    struct ledger_line *line = &l->lines[l->n++];
    *line = (struct ledger_line){.step = s ? s->step : "other", .words = s ? s->words : row->action, .entry = row};
    line->version = json_integer_value(json_object_get(detail, "version"));
    return RC_OK;
}

static struct rc list_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct listing *l = arg;
    struct q_audit_list_row *rows = NULL;
    size_t n = 0;
    l->n = 0;
    TRY(q_ledger_list(ctx, txn, l->managed, access_scope(ctx), l->before, l->limit, &rows, &n));
    l->lines = arena_array(&ctx->arena, n + 1, sizeof *l->lines);
    for (size_t i = 0; i < n; i++)
        TRY(line_of(ctx, l, &rows[i]));
    l->last = (int64_t)n == l->limit ? rows[n - 1].seq : 0;
    return RC_OK;
}

RC ledger_list(struct ctx *ctx, struct core *core, const char *managed, int64_t before, int64_t limit, struct ledger_line **out,
               size_t *n, int64_t *last)
{
    struct listing l = {.managed = managed, .before = before, .limit = limit};
    TRY(store_read(ctx, core->store, list_read, &l));
    *out = l.lines;
    *n = l.n;
    *last = l.last;
    return RC_OK;
}

struct finding_it {
    const char *ref, *managed;
};

static struct rc find_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct finding_it *f = arg;
    struct q_managed_get_row row;
    struct q_audit_list_row *rows = NULL;
    size_t n = 0;
    struct rc rc = managed_find(ctx, txn, f->ref, &row);
    f->managed = row.id;
    if (rc.e != E_NOT_FOUND)
        return rc;
    const char *why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    TRY(q_ledger_list(ctx, txn, f->ref, access_scope(ctx), INT64_MAX, 1, &rows, &n));
    if (!n || !str_equal(rows[0].object_kind, "managed-certificate"))
        return ctx_fail(ctx, E_NOT_FOUND,
                        "%s; of one that is gone, give its id: certwright audit list --action managed-certificate.delete", why);
    f->managed = f->ref;
    return RC_OK;
}

RC ledger_find(struct ctx *ctx, struct core *core, const char *ref, const char **managed)
{
    struct finding_it f = {.ref = ref};
    TRY(store_read(ctx, core->store, find_read, &f));
    *managed = f.managed;
    return RC_OK;
}
