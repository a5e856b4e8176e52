#include "core/restore.h"

#include "base/encode.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/inventory.h"
#include "core/outside.h"
#include "pki/cert.h"
#include "pki/digest.h"
#include "store/queries.h"
#include "wire/messages.h"

/* Looked at from so long before the backup on: what the signer had signed may have reached the database later than that. */
#define MARGIN_S   86400
#define SIGNER_MS  20000
#define SUPERSEDED 4 /* RFC 5280 section 5.3.1 */
#define NAMED_MAX  20

struct comparing {
    struct core *core;
    struct q_restore_pending_row row;
    bool found;
    /* one page */
    const struct wire_signer_history_page *page;
    struct inventory_item *items; /* of it: what is not known */
    struct bytes *serials;
    const char **cas;
    size_t items_n;
    /* in all */
    int64_t unknown, revoked;
    struct str_list named;
};

static struct rc pending(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct comparing *c = arg;
    return q_restore_pending(ctx, txn, &c->row, &c->found);
}

/* What the inventory does not have, and no attempt will ask for again. */
static struct rc choose(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct comparing *c = arg;
    const struct wire_signer_history_page *p = c->page;
    c->items_n = 0;
    for (size_t i = 0; i < p->cas.n; i++) {
        struct q_restore_attempt_row attempt;
        struct bytes fingerprint;
        struct cert cert;
        int64_t id = 0;
        bool found = false;
        if (p->revoked.v[i] || str_equal(p->cas.v[i], "fleet"))
            continue;
        TRY(digest_sha256_new(ctx, p->data.v[i], &fingerprint));
        TRY(inventory_find(ctx, txn, fingerprint, &id, &found));
        if (!found)
            TRY(q_restore_attempt(ctx, txn, p->requests.v[i], &attempt, &found));
        if (found || rc_failed(cert_parse(ctx, p->data.v[i], &cert))) {
            ctx_forget(ctx);
            continue;
        }
        c->items[c->items_n] = (struct inventory_item){.der = p->data.v[i]};
        c->serials[c->items_n] = cert.serial;
        c->cas[c->items_n++] = p->cas.v[i];
    }
    return RC_OK;
}

static struct rc unknown_revoke(struct ctx *ctx, struct comparing *c, size_t i)
{
    const struct wire_signer_revoke ask = {.request_id =
                                               arena_printf(&ctx->arena, "restore:%s", hex_str(&ctx->arena, c->serials[i])),
                                           .ca = c->cas[i],
                                           .serial = c->serials[i],
                                           .reason = SUPERSEDED};
    struct wire_signer_revoked done;
    ctx->deadline_ms = clock_mono_ms() + SIGNER_MS;
    struct rc rc = wire_call_signer_revoke(ctx, c->core->signer, &ask, &done);
    ctx->deadline_ms = 0;
    if (rc.e != E_NOT_FOUND) /* it has ended */
        return rc;
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc revoked_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct comparing *c = arg;
    const struct wire_signer_history_page *p = c->page;
    int64_t revoked = 0;
    for (size_t i = 0; i < p->cas.n; i++) {
        struct q_restore_version_row *rows = NULL;
        size_t n = 0;
        if (!p->revoked.v[i])
            continue;
        TRY(q_restore_version(ctx, txn, p->data.v[i], &rows, &n));
        for (size_t k = 0; k < n; k++, revoked++) {
            TRY(q_version_revoked(ctx, txn, rows[k].managed_id, rows[k].number, p->reasons.v[i], p->times.v[i]));
            TRY(outside_revoked(ctx, c->core, txn, rows[k].fingerprint, p->reasons.v[i]));
        }
    }
    for (size_t i = 0; i < c->items_n && str_equal(c->row.unknown, "revoke"); i++) {
        struct bytes fingerprint;
        TRY(digest_sha256_new(ctx, c->items[i].der, &fingerprint));
        TRY(outside_revoked(ctx, c->core, txn, fingerprint, SUPERSEDED));
    }
    c->revoked += revoked;
    return RC_OK;
}

static struct rc page_take(struct ctx *ctx, struct comparing *c)
{
    struct inventory_batch batch;
    const struct inventory_from from = {.source = INVENTORY_ISSUED};
    TRY(store_read(ctx, c->core->store, choose, c));
    if (c->items_n)
        TRY(inventory_take(ctx, c->core, &from, c->items, c->items_n, &batch));
    for (size_t i = 0; i < c->items_n && str_equal(c->row.unknown, "revoke"); i++)
        TRY(unknown_revoke(ctx, c, i));
    const int64_t before = c->revoked;
    struct rc rc = store_write(ctx, c->core->store, revoked_write, c);
    if (rc_failed(rc))
        c->revoked = before;
    return rc;
}

static struct rc compare(struct ctx *ctx, struct comparing *c, struct wire_signer_history *ask, bool *more)
{
    struct ctx CTX_CLEANUP one;
    struct wire_signer_history_page page;
    ctx_init(&one, ctx->clock);
    one.principal = ctx->principal;
    one.deadline_ms = clock_mono_ms() + SIGNER_MS;
    struct rc rc = wire_call_signer_history(&one, c->core->signer, ask, &page);
    one.deadline_ms = 0;
    c->page = &page;
    c->items = arena_array(&one.arena, 101, sizeof *c->items);
    c->serials = arena_array(&one.arena, 101, sizeof *c->serials);
    c->cas = arena_array(&one.arena, 101, sizeof *c->cas);
    if (rc_ok(rc))
        rc = page_take(&one, c);
    if (rc_failed(rc))
        return ctx_fail(ctx, rc.e, "%s", ctx_why(&one));
    for (size_t i = 0; i < c->items_n; i++)
        if (c->unknown++ < NAMED_MAX)
            str_list_add(&ctx->arena, &c->named, hex_str(&ctx->arena, c->serials[i]));
    ask->frame = page.frame;
    ask->skip = page.skip;
    *more = page.more;
    return RC_OK;
}

static struct rc done(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct comparing *c = arg;
    struct buf b, at;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    buf_init_arena(&at, &ctx->arena, 64);
    time_put_rfc3339(&at, c->row.made_at);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < c->named.n; i++)
        json_put_str(&j, NULL, c->named.v[i]);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(q_restore_done(ctx, txn, ctx_now_s(ctx)));
    return audit_write(ctx, txn, "installation.restored", "installation", c->core->name, c->core->team_root,
                       audit_facts(ctx, "name", c->core->name, "backup", c->row.backup_id, "made_at", buf_z(&at),
                                   "epoch:", audit_number(ctx, c->row.epoch), "signer", c->row.signer_kept ? "kept" : "restored",
                                   "unknown_certificates:", audit_number(ctx, c->unknown), "serials:", buf_z(&b), "they_are",
                                   c->unknown ? (str_equal(c->row.unknown, "revoke") ? "revoked" : "in the inventory") : NULL,
                                   "revocations:", audit_number(ctx, c->revoked), NULL));
}

RC restore_reconcile(struct ctx *ctx, struct core *core)
{
    struct comparing c = {.core = core};
    bool more = true;
    TRY(store_read(ctx, core->store, pending, &c));
    if (!c.found)
        return RC_OK;
    struct wire_signer_history ask = {.since = c.row.made_at - MARGIN_S};
    while (more)
        TRY(ctx_wrap(ctx, compare(ctx, &c, &ask, &more), "comparing the restored database with the signer's journal"));
    TRY(store_write(ctx, core->store, done, &c));
    log_event(LOG_INFO_, "restored", "unknown", log_num(c.unknown), "revocations", log_num(c.revoked), NULL);
    return RC_OK;
}

/* --- before the first start */

struct marking {
    const struct restore_facts *facts;
    const char *id;
};

static struct rc mark(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct marking *m = arg;
    const struct restore_facts *f = m->facts;
    const int64_t now = ctx_now_s(ctx);
    struct q_installation_get_row row;
    bool found = false;
    TRY(q_installation_get(ctx, txn, &row, &found));
    if (!found)
        return ctx_fail(ctx, E_DATABASE, "the database of the backup names no installation");
    const int64_t epoch = (row.epoch > f->epoch ? row.epoch : f->epoch) + 1;
    TRY(q_restore_epoch(ctx, txn, epoch));
    TRY(q_restore_leases(ctx, txn));
    TRY(q_restore_sessions(ctx, txn));
    TRY(q_restore_challenges(ctx, txn));
    TRY(q_restore_join_tokens(ctx, txn, now));
    TRY(q_restore_backups(ctx, txn, now));
    TRY(q_restore_done(ctx, txn, now)); /* one that was never compared: this one is */
    return q_restore_add(ctx, txn,
                         &(struct q_restore_add_in){.id = m->id,
                                                    .backup_id = f->backup_id,
                                                    .made_at = f->made_at,
                                                    .restored_at = now,
                                                    .epoch = epoch,
                                                    .unknown = f->unknown,
                                                    .signer_kept = f->signer_kept});
}

RC restore_mark(struct ctx *ctx, struct store *store, const struct restore_facts *facts)
{
    struct marking m = {.facts = facts, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    return store_write(ctx, store, mark, &m);
}

struct head {
    uint64_t size;
    uint8_t *root;
};

static struct rc head_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct head *h = arg;
    struct q_restore_head_row row;
    bool found = false;
    TRY(q_restore_head(ctx, txn, &row, &found));
    if (!found || row.root.n != SHA256_LEN)
        return RC_OK;
    h->size = (uint64_t)row.size;
    memcpy(h->root, row.root.p, SHA256_LEN);
    return RC_OK;
}

RC restore_audit_head(struct ctx *ctx, struct store *store, uint64_t *size, uint8_t root[32])
{
    struct head h = {.root = root};
    memset(root, 0, SHA256_LEN);
    TRY(store_read(ctx, store, head_read, &h));
    *size = h.size;
    return RC_OK;
}
