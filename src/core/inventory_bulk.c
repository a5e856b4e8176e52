/* Very many certificates: while one thread writes a batch, the next one is made ready. */
#include <pthread.h>

#include "core/inventory.h"

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

static struct rc bulk(struct ctx *ctx, struct slot slots[2], const struct inventory_item *items, size_t n, inventory_each_fn *each,
                      void *arg)
{
    unsigned turn = 0;
    for (size_t at = 0; at < n; at += INVENTORY_BULK_MAX, turn ^= 1) {
        TRY(prepare(ctx, &slots[turn], items, n - at < INVENTORY_BULK_MAX ? n - at : INVENTORY_BULK_MAX, at));
        TRY(written(ctx, &slots[turn ^ 1], each, arg));
        TRY(begin(ctx, &slots[turn]));
    }
    return written(ctx, &slots[turn ^ 1], each, arg);
}

RC inventory_bulk(struct ctx *ctx, struct core *core, const struct inventory_from *from, const struct inventory_item *items,
                  size_t n, inventory_each_fn *each, void *arg)
{
    struct slot slots[2] = {{.core = core, .from = from}, {.core = core, .from = from}};
    for (unsigned i = 0; i < 2; i++) {
        ctx_init(&slots[i].ctx, ctx->clock);
        slots[i].ctx.principal = ctx->principal;
        slots[i].ctx.arena.max = (size_t)2 << 30; /* a batch of the largest there are */
    }
    store_bulk(core->store, true);
    struct rc rc = bulk(ctx, slots, items, n, each, arg);
    for (unsigned i = 0; i < 2; i++) {
        if (slots[i].writing)
            pthread_join(slots[i].thread, NULL);
        ctx_free(&slots[i].ctx);
    }
    store_bulk(core->store, false);
    return rc;
}
