/* What can be asked for, and how each is done.  A row adds a kind: perform() calls what the way in calls, which passes the gate. */
#include "base/str.h"
#include "core/ca_change.h"
#include "core/download.h"
#include "core/request.h"
#include "core/revocation.h"

/* {"name": …, "wish": {…}} */
static struct rc read_wish(struct ctx *ctx, const json_t *payload, struct managed_input *out)
{
    const char *wish = NULL;
    TRY(json_get_str(ctx, payload, "name", false, &out->name));
    TRY(json_get_obj_text(ctx, payload, "wish", true, &wish));
    return wish_decode(ctx, wish, &out->wish);
}

static struct rc create(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    struct managed_input in = {0};
    if (w->in)
        in = *(const struct managed_input *)w->in;
    else
        TRY(read_wish(ctx, w->payload, &in));
    in.team = w->team;
    return managed_add(ctx, core, txn, &in, NULL, &w->result);
}

static struct rc change(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    struct managed_input in = {0};
    if (w->in)
        return managed_update_in(ctx, core, txn, w->object, w->in);
    TRY(read_wish(ctx, w->payload, &in));
    /* What was seen is what it was then: somebody else's change since is not undone by an old request. */
    struct q_managed_get_row row;
    const char *before = NULL;
    TRY(managed_find(ctx, txn, w->object, &row));
    TRY(json_get_str(ctx, w->payload, "before", true, &before));
    if (!str_equal(before, row.wish))
        return ctx_fail(ctx, E_CHANGED, "%s was changed since this was asked for; ask again", row.name);
    return managed_update_in(ctx, core, txn, w->object, &in);
}

static struct rc renew(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    return managed_act_in(ctx, core, txn, MANAGED_RENEW, w->object, NULL, 0, REVOCATION_USUAL);
}

/* {}, or {"now": true} for what waits for a maintenance window */
static struct rc retry(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    const bool now = json_is_true(json_object_get(w->payload, "now"));
    return managed_act_in(ctx, core, txn, now ? MANAGED_NOW : MANAGED_RETRY, w->object, NULL, 0, REVOCATION_USUAL);
}

/* {"version": …, "from": …}: the one that was current has to be so still, else it is another thing. */
static struct rc rollback(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    const struct request_revocation *in = w->in;
    int64_t version = in ? in->version : 0;
    if (w->payload)
        TRY(json_get_int(ctx, w->payload, "version", true, &version));
    return managed_rollback_in(ctx, core, txn, w->object, version);
}

static struct rc revoke(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    struct request_revocation r = {0};
    int64_t when = REVOCATION_USUAL;
    if (w->in)
        r = *(const struct request_revocation *)w->in;
    else {
        TRY(json_get_int(ctx, w->payload, "version", true, &r.version));
        TRY(json_get_int(ctx, w->payload, "reason", true, &r.code));
        TRY(json_get_int(ctx, w->payload, "when", true, &when));
        r.when = (enum revocation_when)when;
    }
    return managed_revoke_in(ctx, core, txn, w->object, r.version, r.code, r.when);
}

/* {"version": …, "format": …, "person": …}: approval lets who asked take it once. */
static struct rc export(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    int64_t version = 0;
    const char *format = NULL;
    if (!w->payload)
        return ctx_fail(ctx, E_INVALID, "a key is asked for where it is downloaded: certwright cert export-key");
    TRY(json_get_int(ctx, w->payload, "version", true, &version));
    TRY(json_get_str(ctx, w->payload, "format", true, &format));
    return download_allow(ctx, core, txn, w->object, version, format);
}

static const struct request_kind kinds[] = {
    {"create", "managed-certificate.create", false, NULL, create},
    {"change", "managed-certificate.update", true, NULL, change},
    {"renew", "managed-certificate.renew", true, NULL, renew},
    {"revoke", "certificate.revoke", true, NULL, revoke},
    {"retry", "managed-certificate.renew", true, NULL, retry},
    {"rollback", "managed-certificate.rollback", true, NULL, rollback},
    {"export", "private-key.export", true, NULL, export},
    {CA_CHANGE, "ca.update", false, "ca.approve", ca_change_perform},
};

const struct request_kind *request_kind_of(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_equal(kinds[i].kind, kind))
            return &kinds[i];
    return NULL;
}
