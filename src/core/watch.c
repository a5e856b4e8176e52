#include "core/watch.h"

#include "base/log.h"
#include "pki/digest.h"
#include "store/queries.h"
#include "wire/messages.h"

/* A clock that goes back by less is corrected, not wrong. */
#define BACK_S 300
/* After this long the earlier time is believed. */
#define BELIEVE_S 3600
/* How long an answer of the signer is waited for. */
#define SIGNER_MS 5000

struct watching {
    struct core *core;
    struct q_installation_get_row row;
    bool found;
    int64_t now, issued;
    struct bytes fleet;
};

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct watching *w = arg;
    return q_installation_get(ctx, txn, &w->row, &w->found);
}

static struct rc ask_ca(struct ctx *ctx, struct core *core, const char *name, struct wire_signer_ca *out)
{
    const struct wire_signer_ca_show ask = {.ca = name};
    const int64_t deadline_ms = ctx->deadline_ms;
    ctx->deadline_ms = clock_mono_ms() + SIGNER_MS;
    struct rc rc = wire_call_signer_ca_show(ctx, core->signer, &ask, out);
    ctx->deadline_ms = deadline_ms;
    return rc;
}

RC watch_start(struct ctx *ctx, struct core *core)
{
    struct watching w = {.core = core};
    struct wire_signer_ca fleet, issuing;
    uint8_t sha256[SHA256_LEN];
    TRY(store_read(ctx, core->store, look, &w));
    struct rc rc = ask_ca(ctx, core, "fleet", &fleet);
    if (rc_failed(rc) && rc.e != E_NOT_FOUND)
        return rc;
    if (!w.row.fleet_sha256.n) {
        if (rc_ok(rc) && rc_ok(ask_ca(ctx, core, "issuing", &issuing)) && issuing.issued > 0) {
            log_event(LOG_WARN_, "database_new", "issued", log_num(issuing.issued), NULL);
            core->watch.foreign = issuing.issued;
        }
        ctx_forget(ctx);
        return RC_OK;
    }
    const char *remedy = "restore the signer's folder from the backup that the database is of";
    if (rc_failed(rc))
        return ctx_fail(ctx, E_CONFLICT, "the signer has no CA, but this installation had its own: %s", remedy);
    TRY(digest_sha256(ctx, fleet.certificate, sha256));
    if (!bytes_equal(w.row.fleet_sha256, bytes_of(sha256, sizeof sha256)))
        return ctx_fail(ctx, E_CONFLICT, "the signer's CAs are not those of this installation: %s", remedy);
    return RC_OK;
}

static struct rc fleet_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct watching *w = arg;
    return q_installation_fleet(ctx, txn, w->fleet);
}

RC watch_fleet(struct ctx *ctx, struct core *core, const uint8_t sha256[32])
{
    struct watching w = {.core = core, .fleet = bytes_of(sha256, SHA256_LEN)};
    TRY(store_read(ctx, core->store, look, &w));
    return w.row.fleet_sha256.n ? RC_OK : store_write(ctx, core->store, fleet_write, &w);
}

static struct rc mark(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct watching *w = arg;
    return q_installation_watch(ctx, txn, w->now, w->issued > w->row.issued ? w->issued : w->row.issued);
}

RC watch_tick(struct ctx *ctx, struct core *core)
{
    struct watching w = {.core = core, .now = ctx_now_s(ctx)};
    struct wire_signer_ca issuing;
    TRY(store_read(ctx, core->store, look, &w));
    struct rc rc = ask_ca(ctx, core, "issuing", &issuing);
    if (rc_failed(rc))
        ctx_forget(ctx); /* status asks the signer itself */
    w.issued = rc_ok(rc) ? issuing.issued : w.row.issued;
    core->watch.lost = w.row.issued > w.issued ? w.row.issued - w.issued : 0;
    const int64_t back = w.row.seen_at - w.now;
    if (back > BACK_S && core->watch.back_since_ms == 0) {
        log_event(LOG_WARN_, "clock_went_back", "by_s", log_num(back), NULL);
        core->watch.back_since_ms = clock_mono_ms();
    }
    core->watch.back_s = back > BACK_S ? back : 0;
    if (core->watch.back_s && clock_mono_ms() - core->watch.back_since_ms < (int64_t)BELIEVE_S * 1000)
        w.now = w.row.seen_at;
    else
        core->watch.back_s = core->watch.back_since_ms = 0;
    return store_write(ctx, core->store, mark, &w);
}

void watch_troubles(struct ctx *ctx, struct core *core, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    const char *unwritten = store_trouble(ctx, core->store);
    if (unwritten)
        add(arg, "database",
            arena_printf(&ctx->arena, "the hub cannot write: %s; nothing is begun or noted until it can", unwritten),
            store_engine_of(core->store) == STORE_SQLITE
                ? "make room where hub.yaml's database is, or restore it where it is damaged"
                : "look at the PostgreSQL server of hub.yaml");
    if (core->watch.back_s) {
        struct buf span;
        buf_init_arena(&span, &ctx->arena, 64);
        time_put_span_ms(&span, core->watch.back_s * 1000);
        add(arg, "clock",
            arena_printf(&ctx->arena, "the clock of this host went back by %s: certificates made before may not be valid yet",
                         buf_z(&span)),
            "set the clock right (timedatectl); where it is right now, wait an hour");
    }
    if (core->watch.lost)
        add(arg, "signer",
            arena_printf(&ctx->arena, "the signer knows of %lld certificates less than it has issued: its folder is an old copy",
                         (long long)core->watch.lost),
            "restore the newest copy of the signer's folder");
    if (core->watch.foreign)
        add(arg, "database",
            arena_printf(&ctx->arena, "the signer has issued %lld certificates before this database was made: is it the right one?",
                         (long long)core->watch.foreign),
            "restore the hub's database from its backup");
}
