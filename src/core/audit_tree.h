/* The tree of the audit log in the database: tiles of 256 hashes.  A tile of level 0 holds the hashes of 256 leaves, one of level L
 * those of 256 complete subtrees of 2^(8 L) leaves: what a proof asks for is in a handful of rows, whatever the log's size. */
#ifndef CORE_AUDIT_TREE_H
#define CORE_AUDIT_TREE_H

#include "core/core.h"
#include "pki/merkle.h"

#define TILE_HEIGHT 8
#define TILE_WIDTH  (1 << TILE_HEIGHT)

/* Tiles that a transaction has read, or made; all-zero but for `txn`. */
struct audit_tiles {
    struct txn *txn;
    struct audit_tile_held *held;
};

/* audit_tiles_node is a merkle_node_fn; `arg` is a struct audit_tiles. */
RC audit_tiles_node(struct ctx *ctx, void *arg, unsigned level, uint64_t index, uint8_t out[MERKLE_LEN]);
/* audit_tiles_append adds the hash of leaf number `size`; audit_tiles_write writes what has grown. */
RC audit_tiles_append(struct ctx *ctx, struct audit_tiles *t, uint64_t size, const uint8_t leaf[MERKLE_LEN]);
RC audit_tiles_write(struct ctx *ctx, struct audit_tiles *t);

#endif
