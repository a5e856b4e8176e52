/* Merkle trees of RFC 9162 section 2.1, with SHA-256: hashes, proofs, and what checks them.  Pure: no files, no database.
 *
 * Leaves are numbered from 0.  A subtree is complete where it has 2^level leaves and begins at a multiple of that: its hash never
 * changes again, and is what a store keeps (merkle_node_fn).  Hashes of a path stand one after the other, 32 bytes each. */
#ifndef PKI_MERKLE_H
#define PKI_MERKLE_H

#include "base/buf.h"
#include "base/ctx.h"

#define MERKLE_LEN      32
#define MERKLE_PATH_MAX 64 /* hashes of a path: trees of up to 2^63 leaves */

struct merkle_path {
    size_t n; /* hashes */
    uint8_t hash[MERKLE_PATH_MAX][MERKLE_LEN];
};

/* merkle_leaf hashes a leaf (0x00 before it), merkle_node two subtrees (0x01 before them); merkle_empty is the root of none. */
RC merkle_leaf(struct ctx *ctx, struct bytes data, uint8_t out[MERKLE_LEN]);
RC merkle_node(struct ctx *ctx, const uint8_t left[MERKLE_LEN], const uint8_t right[MERKLE_LEN], uint8_t out[MERKLE_LEN]);
RC merkle_empty(struct ctx *ctx, uint8_t out[MERKLE_LEN]);

/* Gives the hash of the complete subtree of 2^level leaves from (index << level) on. */
typedef struct rc merkle_node_fn(struct ctx *ctx, void *arg, unsigned level, uint64_t index, uint8_t out[MERKLE_LEN]);

/* What is proved of a tree of `size` leaves whose complete subtrees `node` gives: O(log size) of them are asked for.
 * merkle_root       MTH(D_size)
 * merkle_inclusion  PATH(n, D_size) of section 2.1.3.1, from the leaf upwards; n < size
 * merkle_consistency  PROOF(old, D_size) of section 2.1.4.1; empty where old is 0 or size
 * E_INVALID where the numbers do not fit. */
RC merkle_root(struct ctx *ctx, merkle_node_fn *node, void *arg, uint64_t size, uint8_t out[MERKLE_LEN]);
RC merkle_inclusion(struct ctx *ctx, merkle_node_fn *node, void *arg, uint64_t n, uint64_t size, struct merkle_path *out);
RC merkle_consistency(struct ctx *ctx, merkle_node_fn *node, void *arg, uint64_t old, uint64_t size, struct merkle_path *out);

/* The checks of sections 2.1.3.2 and 2.1.4.2: E_INVALID where the proof does not hold. */
RC merkle_inclusion_check(struct ctx *ctx, uint64_t n, uint64_t size, const uint8_t leaf[MERKLE_LEN],
                          const struct merkle_path *path, const uint8_t root[MERKLE_LEN]);
RC merkle_consistency_check(struct ctx *ctx, uint64_t old, uint64_t size, const uint8_t old_root[MERKLE_LEN],
                            const uint8_t root[MERKLE_LEN], const struct merkle_path *path);

/* A walk over leaves from left to right, each proved by what its predecessors have proved already: the path of a leaf goes from the
 * smallest subtree that is known down to the leaf (top first), and makes the subtrees right of it known.  A walk over all leaves
 * thus needs one hash a leaf, and the first leaf that is not what the root says is known exactly.  Leaves may be left out. */
struct merkle_walk {
    uint64_t size, next;             /* next: the smallest number that may come */
    uint8_t root[MERKLE_LEN];
    size_t known_n;                  /* subtrees to come, the leftmost last */
    struct merkle_known {
        uint64_t from, to;
        uint8_t hash[MERKLE_LEN];
    } known[MERKLE_PATH_MAX + 1];
};
void merkle_walk_begin(struct merkle_walk *w, uint64_t size, const uint8_t root[MERKLE_LEN]);
/* merkle_walk_path makes the path of leaf `n` (w->next ≤ n < size) and goes past it, without looking at the leaf. */
RC merkle_walk_path(struct ctx *ctx, struct merkle_walk *w, merkle_node_fn *node, void *arg, uint64_t n, struct merkle_path *out);
/* merkle_walk_check proves leaf `n` and goes past it.  `*proved` false: the leaf, or its path, is not what was logged, and the walk
 * has not moved.  A path that begins at the root is taken as well (a walk that was begun anew there). */
RC merkle_walk_check(struct ctx *ctx, struct merkle_walk *w, uint64_t n, const uint8_t leaf[MERKLE_LEN],
                     const struct merkle_path *path, bool *proved);

/* A head of a log: what is signed (core/audit_log.h).  Its text is a checkpoint as transparency logs write them: name of the log,
 * number of leaves, root in base64, and a line "time SECONDS", each ended by a newline. */
#define MERKLE_AUDIT_LOG "certwright-audit" /* the one log there is */
struct merkle_head {
    const char *log;
    uint64_t size;
    uint8_t root[MERKLE_LEN];
    int64_t at; /* seconds since 1970 UTC */
};
void merkle_head_put(struct buf *b, const struct merkle_head *h);

#endif
