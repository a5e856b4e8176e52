#include "core/audit_log.h"

#include <stdatomic.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/event.h"
#include "wire/messages.h"

#define FOLD_MAX     1000
#define HOLD_S       2
#define SIGNER_MS    5000
#define LOOK_MS      60000 /* how often the signer is asked although nothing is new */
#define HEADS_KEPT_S 86400 /* longer than an export takes */
#define EXPORT_BYTES ((size_t)8 << 20) /* of a page */
#define EXPIRE_MAX   5000

/* --- entries */

struct audit_entry audit_entry_of(const struct q_audit_list_row *row)
{
    return (struct audit_entry){.at = row->at,
                                .principal = row->principal,
                                .peer = row->peer,
                                .action = row->action,
                                .object_kind = row->object_kind,
                                .object_id = row->object_id,
                                .team_id = row->team_id,
                                .request_id = row->request_id,
                                .detail = row->detail};
}

static struct rc entry_text(struct ctx *ctx, const struct audit_entry *e, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, AUDIT_ENTRY_MAX);
    audit_entry_put(&b, e);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

RC audit_entry_hash(struct ctx *ctx, const struct audit_entry *e, uint8_t out[MERKLE_LEN])
{
    struct bytes text;
    TRY(entry_text(ctx, e, &text));
    return merkle_leaf(ctx, text, out);
}

/* --- the sequencer: entries get their places */

struct folding {
    struct core *core;
    bool waits; /* there is something to fold */
    bool more;
    struct q_audit_tree_row tree;
    struct q_audit_head_last_row head;
    bool some;
};

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct folding *f = arg;
    struct q_audit_new_row *rows = NULL;
    size_t n = 0;
    TRY(q_audit_new(ctx, txn, 1, &rows, &n));
    f->waits = n > 0;
    TRY(q_audit_tree(ctx, txn, &f->tree));
    return q_audit_head_last(ctx, txn, &f->head, &f->some);
}

/* An entry of an older release has no hash, and its detail is as it was written. */
static struct rc hash_late(struct ctx *ctx, struct txn *txn, int64_t seq, uint8_t out[MERKLE_LEN])
{
    struct q_audit_list_row row;
    TRY(q_audit_one(ctx, txn, seq, &row));
    struct audit_entry e = audit_entry_of(&row);
    TRY(audit_detail(ctx, bytes_z(row.detail), &e.detail));
    TRY(audit_entry_hash(ctx, &e, out));
    return q_audit_hash(ctx, txn, seq, bytes_of(out, MERKLE_LEN), e.detail);
}

static struct rc fold(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct folding *f = arg;
    struct q_audit_new_row *rows = NULL;
    struct q_audit_placed_row last;
    size_t n = 0;
    bool placed = false;
    const int64_t now = ctx_now_s(ctx);
    struct audit_tiles tiles = {.txn = txn};
    f->more = false;
    TRY(q_audit_tree_hold(ctx, txn, f->core->audit.holder, now, now + HOLD_S));
    TRY(q_audit_tree(ctx, txn, &f->tree));
    TRY(q_audit_new(ctx, txn, FOLD_MAX, &rows, &n));
    if (n == 0)
        return RC_OK;
    const int64_t size = f->tree.size;
    for (size_t i = 0; i < n; i++) {
        uint8_t hash[MERKLE_LEN];
        if (rows[i].hash.n == MERKLE_LEN)
            memcpy(hash, rows[i].hash.p, MERKLE_LEN);
        else
            TRY(hash_late(ctx, txn, rows[i].seq, hash));
        TRY(audit_tiles_append(ctx, &tiles, (uint64_t)size + i, hash));
    }
    TRY(q_audit_place(ctx, txn, size, rows[n - 1].seq));
    TRY(q_audit_placed(ctx, txn, rows[n - 1].seq, &last, &placed));
    if (!placed || last.leaf != size + (int64_t)n - 1)
        return ctx_fail(ctx, E_BUG, "%zu audit entries have not got their places", n);
    TRY(audit_tiles_write(ctx, &tiles));
    TRY(q_audit_tree_grow(ctx, txn, f->core->audit.holder, size, size + (int64_t)n));
    f->tree.size = size + (int64_t)n;
    f->more = n == FOLD_MAX;
    return RC_OK;
}

/* --- heads are signed */

struct proving {
    int64_t old, size;
    uint8_t root[MERKLE_LEN];
    struct merkle_path path;
};

static struct rc prove(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct proving *p = arg;
    struct audit_tiles tiles = {.txn = txn};
    TRY(merkle_root(ctx, audit_tiles_node, &tiles, (uint64_t)p->size, p->root));
    return merkle_consistency(ctx, audit_tiles_node, &tiles, (uint64_t)p->old, (uint64_t)p->size, &p->path);
}

struct keeping {
    struct core *core;
    const struct wire_signer_audit_signed *made;
    bool accepted; /* an officer had said where the log goes on: that is in it from here */
    int64_t from;
};

static struct rc keep_head(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct keeping *k = arg;
    const struct wire_signer_audit_signed *s = k->made;
    const struct q_audit_head_add_in in = {
        .size = s->size, .root = s->root, .at = s->at, .signature = s->signature, .key = s->key};
    TRY(q_audit_head_add(ctx, txn, &in));
    if (k->accepted)
        TRY(audit_write(ctx, txn, "audit.accept", "audit", "", k->core->team_root,
                        audit_facts(ctx, "from:", audit_number(ctx, k->from), NULL)));
    return q_audit_head_expire(ctx, txn, ctx_now_s(ctx) - HEADS_KEPT_S);
}

static void alarm_set(struct core *core, enum audit_alarm alarm, const char *what, int64_t size, int64_t was)
{
    if (atomic_exchange(&core->audit.alarm, (int)alarm) != (int)alarm && alarm != AUDIT_FINE)
        log_event(LOG_ERROR_, "audit_log_not_signed", "why", what, "entries", log_num(size), "signed", log_num(was), NULL);
}

static struct rc sign_head(struct ctx *ctx, struct core *core, const struct folding *f)
{
    const struct wire_signer_audit_last ask = {.log = MERKLE_AUDIT_LOG};
    struct wire_signer_audit_signed last, made;
    TRY(wire_call_signer_audit_last(ctx, core->signer, &ask, &last));
    FAILPOINT("audit.asked");
    atomic_store(&core->audit.signed_size, last.size);
    if (f->some && last.key.n && !bytes_equal(f->head.key, last.key)) {
        alarm_set(core, AUDIT_KEY_LOST, "the signer's key is another", f->tree.size, last.size);
        return RC_OK;
    }
    if (last.size > f->tree.size) {
        alarm_set(core, AUDIT_OLDER, "the database is older than the last head", f->tree.size, last.size);
        return RC_OK;
    }
    if (f->tree.size == 0)
        return RC_OK;
    struct proving p = {.old = last.size, .size = f->tree.size};
    TRY(store_read(ctx, core->store, prove, &p));
    struct bytes *hashes = arena_array(&ctx->arena, p.path.n + 1, sizeof *hashes);
    for (size_t i = 0; i < p.path.n; i++)
        hashes[i] = bytes_of(p.path.hash[i], MERKLE_LEN);
    const struct wire_signer_audit_head in = {
        .log = MERKLE_AUDIT_LOG, .size = p.size, .root = bytes_of(p.root, MERKLE_LEN), .proof = {hashes, p.path.n}};
    struct rc rc = wire_call_signer_audit_head(ctx, core->signer, &in, &made);
    if (rc.e == E_CONFLICT) {
        alarm_set(core, AUDIT_FORKED, ctx_why(ctx), f->tree.size, last.size);
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    FAILPOINT("audit.signed");
    struct keeping k = {.core = core, .made = &made, .accepted = last.root.n && !last.signature.n, .from = last.size};
    TRY(store_write(ctx, core->store, keep_head, &k));
    FAILPOINT("audit.kept");
    atomic_store(&core->audit.signed_size, made.size);
    alarm_set(core, AUDIT_FINE, "", 0, 0);
    return RC_OK;
}

static struct rc tick(struct ctx *ctx, struct core *core, bool *more)
{
    struct folding f = {.core = core};
    if (!core->audit.holder[0])
        snprintf(core->audit.holder, sizeof core->audit.holder, "%s",
                 store_engine_of(core->store) == STORE_SQLITE ? "hub" /* there is no other */
                                                              : id_new(&ctx->arena, clock_unix_ms(ctx->clock)));
    TRY(store_read(ctx, core->store, look, &f));
    if (f.waits) {
        FAILPOINT("audit.waits");
        struct rc rc = store_write(ctx, core->store, fold, &f);
        if (rc.e == E_CHANGED) { /* another process folds */
            ctx_forget(ctx);
            return RC_OK;
        }
        TRY(rc);
        if (core->wake)
            core->wake(core->wake_arg, EVENTS_KEY);
        FAILPOINT("audit.folded");
    }
    *more = f.more;
    const bool unsigned_yet = f.tree.size > (f.some ? f.head.size : 0);
    const bool wrong = atomic_load(&core->audit.alarm) != AUDIT_FINE;
    if (f.more || clock_mono_ms() < core->audit.rest_until_ms ||
        (!unsigned_yet && !wrong && clock_mono_ms() < core->audit.look_ms))
        return RC_OK;
    const int64_t deadline_ms = ctx->deadline_ms;
    ctx->deadline_ms = clock_mono_ms() + SIGNER_MS;
    struct rc rc = sign_head(ctx, core, &f);
    ctx->deadline_ms = deadline_ms;
    if (rc_failed(rc)) {
        log_event(LOG_WARN_, "audit_head_failed", "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
        core->audit.rest_until_ms = clock_mono_ms() + SIGNER_MS; /* the other timers must not wait for a signer that hangs */
    }
    core->audit.look_ms = clock_mono_ms() + LOOK_MS;
    return RC_OK;
}

void audit_tick(struct ctx *ctx, struct core *core, bool *more)
{
    *more = false;
    struct rc rc = tick(ctx, core, more);
    if (rc_ok(rc))
        return;
    if (err_info(rc.e)->category != CAT_RESOURCE) /* those are told of the database */
        alarm_set(core, AUDIT_STUCK, ctx_why(ctx), 0, 0);
    else
        log_event(LOG_WARN_, "audit_not_folded", "why", ctx_why(ctx), NULL);
    ctx_forget(ctx);
}

void audit_troubles(struct ctx *ctx, struct core *core, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    const char *restore = "restore the newest copy of the database; where that is lost: certwright audit accept";
    const long long was = (long long)atomic_load(&core->audit.signed_size);
    switch ((enum audit_alarm)atomic_load(&core->audit.alarm)) {
    case AUDIT_OLDER:
        add(arg, "audit",
            arena_printf(&ctx->arena,
                         "the audit log has fewer entries than the signer has signed (%lld): the database is an older copy; "
                         "nothing of it is signed any more",
                         was),
            restore);
        break;
    case AUDIT_FORKED:
        add(arg, "audit",
            arena_printf(&ctx->arena,
                         "the audit log does not extend what the signer has signed (%lld entries): the database was put back to an "
                         "older copy, or its entries were changed; nothing of it is signed any more",
                         was),
            restore);
        break;
    case AUDIT_KEY_LOST:
        add(arg, "audit", "the signer's key for the audit log is another one than before: its folder is not that of this database",
            "restore the signer's folder and the database from the same backup");
        break;
    case AUDIT_STUCK:
        add(arg, "audit", "the audit log does not go on: its tables are damaged; entries are noted and wait for their places",
            "the hub's log says why (audit_log_not_signed); restore the newest copy of the database");
        break;
    case AUDIT_FINE:
        break;
    }
}

/* --- reading */

struct reading {
    int64_t size, old;
    struct audit_state *out;
    struct merkle_path *path;
};

static struct rc head_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct reading *r = arg;
    struct q_audit_tree_row tree;
    struct q_audit_head_last_row row;
    TRY(q_audit_tree(ctx, txn, &tree));
    *r->out = (struct audit_state){.tree = tree.size, .kept_from = tree.kept_from};
    TRY(r->size ? q_audit_head_at(ctx, txn, r->size, &row, &r->out->some) : q_audit_head_last(ctx, txn, &row, &r->out->some));
    if (!r->out->some)
        return RC_OK;
    if (row.root.n != MERKLE_LEN)
        return ctx_fail(ctx, E_DATABASE, "a head of the audit log has a root of %zu bytes: the database is damaged", row.root.n);
    r->out->last = (struct audit_signed){
        .head = {.log = MERKLE_AUDIT_LOG, .size = (uint64_t)row.size, .at = row.at}, .signature = row.signature, .key = row.key};
    memcpy(r->out->last.head.root, row.root.p, MERKLE_LEN);
    return RC_OK;
}

RC audit_head(struct ctx *ctx, struct core *core, int64_t size, struct audit_state *out)
{
    struct reading r = {.size = size, .out = out};
    TRY(store_read(ctx, core->store, head_read, &r));
    if (size && !out->some)
        return ctx_fail(ctx, E_NOT_FOUND, "no signed head of %lld entries is kept; leave the size out for the newest",
                        (long long)size);
    return RC_OK;
}

static struct rc consistency_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct reading *r = arg;
    struct audit_tiles tiles = {.txn = txn};
    struct q_audit_tree_row tree;
    TRY(q_audit_tree(ctx, txn, &tree));
    if (r->size > tree.size || r->old > r->size)
        return ctx_fail(ctx, E_INVALID, "the audit log has %lld entries", (long long)tree.size);
    return merkle_consistency(ctx, audit_tiles_node, &tiles, (uint64_t)r->old, (uint64_t)r->size, r->path);
}

RC audit_consistency(struct ctx *ctx, struct core *core, int64_t old, int64_t size, struct merkle_path *out)
{
    struct reading r = {.old = old, .size = size, .path = out};
    return store_read(ctx, core->store, consistency_read, &r);
}

RC audit_root(struct ctx *ctx, struct core *core, int64_t size, struct bytes *out)
{
    struct proving p = {.old = 0, .size = size};
    TRY(store_read(ctx, core->store, prove, &p));
    *out = arena_bytes(&ctx->arena, bytes_of(p.root, MERKLE_LEN));
    return RC_OK;
}

RC audit_list(struct ctx *ctx, struct txn *txn, const struct audit_filter *f, int64_t before, int64_t limit,
              struct q_audit_list_row **rows, size_t *n)
{
    const char *scope = access_scope(ctx);
    /* By what is rarest, as a rule: each has an index of its own. */
    if (*f->object) {
        const struct q_audit_by_object_in in = {.scope = scope,
                                                .before = before,
                                                .object = f->object,
                                                .principal = f->principal,
                                                .action = f->action,
                                                .since = f->since,
                                                .until = f->until,
                                                .limit = limit};
        return q_audit_by_object(ctx, txn, &in, rows, n);
    }
    if (*f->principal) {
        const struct q_audit_by_principal_in in = {.scope = scope,
                                                   .before = before,
                                                   .principal = f->principal,
                                                   .action = f->action,
                                                   .since = f->since,
                                                   .until = f->until,
                                                   .limit = limit};
        return q_audit_by_principal(ctx, txn, &in, rows, n);
    }
    if (*f->action) {
        const struct q_audit_by_action_in in = {
            .scope = scope, .before = before, .action = f->action, .since = f->since, .until = f->until, .limit = limit};
        return q_audit_by_action(ctx, txn, &in, rows, n);
    }
    const struct q_audit_list_in in = {.scope = scope,
                                       .before = before,
                                       .principal = "",
                                       .action = "",
                                       .object = "",
                                       .since = f->since,
                                       .until = f->until,
                                       .limit = limit};
    return q_audit_list(ctx, txn, &in, rows, n);
}

/* --- exports */

struct exporting {
    struct core *core;
    const struct audit_filter *filter;
    int64_t size, from, limit;
    struct audit_line *lines;
    size_t n;
    bool more;
};

bool audit_sees_all(const struct ctx *ctx, const struct core *core)
{
    return str_equal(access_scope(ctx), core->team_root);
}

static struct rc export_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct exporting *x = arg;
    const struct audit_filter *f = x->filter;
    struct audit_tiles tiles = {.txn = txn};
    struct q_audit_tree_row tree;
    struct q_audit_list_row *rows = NULL;
    struct merkle_walk walk;
    struct merkle_path path;
    uint8_t root[MERKLE_LEN] = {0};
    TRY(q_audit_tree(ctx, txn, &tree));
    if (x->size > tree.size)
        return ctx_fail(ctx, E_INVALID, "the audit log has %lld entries", (long long)tree.size);
    const struct q_audit_export_in in = {.scope = access_scope(ctx),
                                         .everything = audit_sees_all(ctx, x->core),
                                         .from_leaf = x->from,
                                         .to_leaf = x->size,
                                         .principal = f->principal,
                                         .action = f->action,
                                         .object = f->object,
                                         .since = f->since,
                                         .until = f->until,
                                         .limit = x->limit};
    const struct q_ledger_export_in of_one = {
        .managed = f->certificate, .scope = access_scope(ctx), .from_leaf = x->from, .to_leaf = x->size, .limit = x->limit};
    TRY(f->certificate ? q_ledger_export(ctx, txn, &of_one, &rows, &x->n) : q_audit_export(ctx, txn, &in, &rows, &x->n));
    x->more = (int64_t)x->n == x->limit;
    x->lines = arena_array(&ctx->arena, x->n + 1, sizeof *x->lines);
    merkle_walk_begin(&walk, (uint64_t)x->size, root);
    size_t bytes = 0;
    for (size_t i = 0; i < x->n; i++) {
        const struct audit_entry e = audit_entry_of(&rows[i]);
        struct bytes text;
        if (bytes > EXPORT_BYTES) {
            x->n = i;
            x->more = true;
            break;
        }
        TRY(entry_text(ctx, &e, &text));
        bytes += text.n;
        TRY(merkle_walk_path(ctx, &walk, audit_tiles_node, &tiles, (uint64_t)rows[i].leaf[0], &path));
        x->lines[i] = (struct audit_line){.n = *rows[i].leaf,
                                          .entry = arena_str(&ctx->arena, text),
                                          .path = arena_bytes(&ctx->arena, bytes_of(path.hash, path.n * MERKLE_LEN))};
    }
    return RC_OK;
}

RC audit_export(struct ctx *ctx, struct core *core, const struct audit_filter *f, int64_t size, int64_t from, int64_t limit,
                struct audit_line **lines, size_t *n, bool *more)
{
    struct exporting x = {.core = core, .filter = f, .size = size, .from = from, .limit = limit};
    TRY(store_read(ctx, core->store, export_read, &x));
    *lines = x.lines;
    *n = x.n;
    *more = x.more;
    return RC_OK;
}

/* --- retention */

RC audit_expire(struct ctx *ctx, struct core *core, struct txn *txn)
{
    struct q_audit_tree_row tree;
    struct q_audit_head_last_row head;
    struct q_audit_old_row old;
    bool some = false, found = false;
    if (!core->audit.keep_s)
        return RC_OK;
    TRY(q_audit_tree(ctx, txn, &tree));
    TRY(q_audit_head_last(ctx, txn, &head, &some));
    int64_t to = tree.kept_from + EXPIRE_MAX;
    if (!some) /* nothing goes that no head has proved */
        return RC_OK;
    if (to > head.size)
        to = head.size;
    TRY(q_audit_old(ctx, txn, ctx_now_s(ctx) - core->audit.keep_s, tree.kept_from, to, &old, &found));
    if (!found)
        return RC_OK;
    TRY(q_audit_expire(ctx, txn, old.leaf));
    TRY(q_audit_kept_from(ctx, txn, old.leaf));
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 256);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_open_obj(&j, "before");
    json_put_int(&j, "kept_from", tree.kept_from);
    json_close(&j);
    json_open_obj(&j, "after");
    json_put_int(&j, "kept_from", old.leaf);
    json_close(&j);
    json_close(&j);
    return audit_write(ctx, txn, "audit.expire", "audit", "", core->team_root, buf_bytes(&b));
}
