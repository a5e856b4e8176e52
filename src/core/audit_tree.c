#include "core/audit_tree.h"

#include "store/queries.h"

struct audit_tile_held {
    unsigned level;
    uint64_t number;
    size_t n; /* hashes */
    bool grown;
    uint8_t hash[TILE_WIDTH][MERKLE_LEN];
    struct audit_tile_held *next;
};

/* Those used last stand first: a walk over leaves asks for the same few again and again. */
static struct rc tile_of(struct ctx *ctx, struct audit_tiles *t, unsigned level, uint64_t number, struct audit_tile_held **out)
{
    for (struct audit_tile_held **at = &t->held; *at; at = &(*at)->next) {
        struct audit_tile_held *h = *at;
        if (h->level != level || h->number != number)
            continue;
        *at = h->next;
        h->next = t->held;
        t->held = *out = h;
        return RC_OK;
    }
    struct q_audit_tile_row row;
    bool found = false;
    TRY(q_audit_tile(ctx, t->txn, (int64_t)level, (int64_t)number, &row, &found));
    struct audit_tile_held *h = ARENA_NEW(&ctx->arena, struct audit_tile_held);
    h->level = level;
    h->number = number;
    if (found) {
        if (row.hashes.n % MERKLE_LEN || row.hashes.n > sizeof h->hash)
            return ctx_fail(ctx, E_DATABASE, "a tile of the audit log has %zu bytes: the database is damaged", row.hashes.n);
        h->n = row.hashes.n / MERKLE_LEN;
        memcpy(h->hash, row.hashes.p, row.hashes.n);
    }
    h->next = t->held;
    t->held = *out = h;
    return RC_OK;
}

/* The root of a complete subtree of 2^height hashes of a tile. */
static struct rc within(struct ctx *ctx, const struct audit_tile_held *h, unsigned height, size_t at, uint8_t out[MERKLE_LEN])
{
    uint8_t left[MERKLE_LEN], right[MERKLE_LEN];
    if (height == 0) {
        memcpy(out, h->hash[at], MERKLE_LEN);
        return RC_OK;
    }
    TRY(within(ctx, h, height - 1, at * 2, left));
    TRY(within(ctx, h, height - 1, at * 2 + 1, right));
    return merkle_node(ctx, left, right, out);
}

RC audit_tiles_node(struct ctx *ctx, void *arg, unsigned level, uint64_t index, uint8_t out[MERKLE_LEN])
{
    struct audit_tiles *t = arg;
    struct audit_tile_held *h = NULL;
    const unsigned height = level % TILE_HEIGHT;
    const uint64_t first = index << height;
    TRY(tile_of(ctx, t, level / TILE_HEIGHT, first / TILE_WIDTH, &h));
    if (first % TILE_WIDTH + ((size_t)1 << height) > h->n)
        return ctx_fail(ctx, E_DATABASE, "the audit log lacks hashes (level %u, %llu): the database is damaged", level,
                        (unsigned long long)index);
    return within(ctx, h, height, index % (TILE_WIDTH >> height), out);
}

RC audit_tiles_append(struct ctx *ctx, struct audit_tiles *t, uint64_t size, const uint8_t leaf[MERKLE_LEN])
{
    uint8_t hash[MERKLE_LEN];
    memcpy(hash, leaf, MERKLE_LEN);
    for (unsigned level = 0;; level++, size /= TILE_WIDTH) {
        struct audit_tile_held *h = NULL;
        TRY(tile_of(ctx, t, level, size / TILE_WIDTH, &h));
        if (h->n != size % TILE_WIDTH)
            return ctx_fail(ctx, E_DATABASE, "a tile of the audit log has %zu hashes, not %llu: the database is damaged", h->n,
                            (unsigned long long)(size % TILE_WIDTH));
        memcpy(h->hash[h->n++], hash, MERKLE_LEN);
        h->grown = true;
        if (h->n < TILE_WIDTH)
            return RC_OK;
        TRY(within(ctx, h, TILE_HEIGHT, 0, hash));
    }
}

RC audit_tiles_write(struct ctx *ctx, struct audit_tiles *t)
{
    for (struct audit_tile_held *h = t->held; h; h = h->next)
        if (h->grown) {
            TRY(q_audit_tile_put(ctx, t->txn, (int64_t)h->level, (int64_t)h->number, bytes_of(h->hash, h->n * MERKLE_LEN)));
            h->grown = false;
        }
    return RC_OK;
}
