/* Very many certificates: while some batches are written (the database may take those that wait in one transaction), the next one
 * is made ready. */
#include <pthread.h>

#include "core/inventory.h"

enum { SLOTS = 4 };

struct slot {
    struct ctx ctx;
    struct core *core;
    const struct inventory_from *from;
    struct inventory_batch batch;
    size_t first;
    struct rc rc;
    pthread_t thread;
    bool writing;
};

static struct rc put(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct slot *s = arg;
    return inventory_put(ctx, s->core, txn, s->from, &s->batch);
}

static void *write_main(void *arg)
{
    struct slot *s = arg;
    s->rc = store_write(&s->ctx, s->core->store, put, s);
    return NULL;
}

static struct rc written(struct ctx *ctx, struct slot *s, inventory_each_fn *each, void *arg)
{
    if (!s->writing)
        return RC_OK;
    pthread_join(s->thread, NULL);
    s->writing = false;
    if (rc_failed(s->rc))
        return ctx_fail(ctx, s->rc.e, "%s", ctx_why(&s->ctx));
    return each ? each(ctx, arg, &s->batch, s->first) : RC_OK;
}

static struct rc begin(struct ctx *ctx, struct slot *s)
{
    if (pthread_create(&s->thread, NULL, write_main, s))
        return ctx_fail(ctx, E_NO_MEMORY, "no thread to write certificates with");
    s->writing = true;
    return RC_OK;
}

static struct rc prepare(struct ctx *ctx, struct slot *s, const struct inventory_item *items, size_t n, size_t first)
{
    ctx_reset(&s->ctx);
    s->first = first;
    struct rc rc = inventory_prepare(&s->ctx, s->core, items + first, n, &s->batch);
    return rc_failed(rc) ? ctx_fail(ctx, rc.e, "%s", ctx_why(&s->ctx)) : RC_OK;
}

/* Slots go round: one is made ready while the others are written, in their order. */
static struct rc bulk(struct ctx *ctx, struct slot *slots, unsigned slots_n, const struct inventory_item *items, size_t n,
                      inventory_each_fn *each, void *arg)
{
    unsigned turn = 0;
    for (size_t at = 0; at < n; at += INVENTORY_BULK_MAX, turn = (turn + 1) % slots_n) {
        TRY(written(ctx, &slots[turn], each, arg));
        TRY(prepare(ctx, &slots[turn], items, n - at < INVENTORY_BULK_MAX ? n - at : INVENTORY_BULK_MAX, at));
        TRY(begin(ctx, &slots[turn]));
    }
    for (unsigned i = 0; i < slots_n; i++)
        TRY(written(ctx, &slots[(turn + i) % slots_n], each, arg));
    return RC_OK;
}

RC inventory_bulk(struct ctx *ctx, struct core *core, const struct inventory_from *from, const struct inventory_item *items,
                  size_t n, inventory_each_fn *each, void *arg)
{
    /* PostgreSQL would run them side by side, and again, as each reads what the others write. */
    const unsigned slots_n = store_engine_of(core->store) == STORE_SQLITE ? SLOTS : 2;
    struct slot slots[SLOTS] = {0};
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i].core = core;
        slots[i].from = from;
        ctx_init(&slots[i].ctx, ctx->clock);
        slots[i].ctx.principal = ctx->principal;
        slots[i].ctx.arena.max = (size_t)2 << 30; /* a batch of the largest there are */
    }
    store_bulk(core->store, true);
    struct rc rc = bulk(ctx, slots, slots_n, items, n, each, arg);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].writing)
            pthread_join(slots[i].thread, NULL);
        ctx_free(&slots[i].ctx);
    }
    store_bulk(core->store, false);
    return rc;
}
