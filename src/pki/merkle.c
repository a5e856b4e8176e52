#include "pki/merkle.h"

#include "base/encode.h"
#include "pki/alg.h"

ALG_DEFINE_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free);

/* --- hashes */

RC merkle_leaf(struct ctx *ctx, struct bytes data, uint8_t out[MERKLE_LEN])
{
    static const uint8_t prefix = 0;
    EVP_MD_CTX *c ALG_CLEANUP(EVP_MD_CTX) = EVP_MD_CTX_new();
    if (!c || EVP_DigestInit_ex2(c, alg_get()->sha256, NULL) != 1 || EVP_DigestUpdate(c, &prefix, 1) != 1 ||
        EVP_DigestUpdate(c, data.p, data.n) != 1 || EVP_DigestFinal_ex(c, out, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    return RC_OK;
}

RC merkle_node(struct ctx *ctx, const uint8_t left[MERKLE_LEN], const uint8_t right[MERKLE_LEN], uint8_t out[MERKLE_LEN])
{
    uint8_t both[1 + 2 * MERKLE_LEN] = {1};
    memcpy(both + 1, left, MERKLE_LEN);
    memcpy(both + 1 + MERKLE_LEN, right, MERKLE_LEN);
    if (EVP_Digest(both, sizeof both, out, NULL, alg_get()->sha256, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    return RC_OK;
}

RC merkle_empty(struct ctx *ctx, uint8_t out[MERKLE_LEN])
{
    if (EVP_Digest("", 0, out, NULL, alg_get()->sha256, NULL) != 1)
        return alg_fail(ctx, E_CRYPTO, "hashing failed");
    return RC_OK;
}

/* --- proofs are made */

/* The largest power of two smaller than n, which is 2 or more: where RFC 9162 divides n leaves. */
static uint64_t split_of(uint64_t n)
{
    return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

struct source {
    merkle_node_fn *node;
    void *arg;
};

/* The hash of leaves from..to: `from` is a multiple of a power of two that is not smaller than their number. */
static struct rc range(struct ctx *ctx, const struct source *s, uint64_t from, uint64_t to, uint8_t out[MERKLE_LEN])
{
    const uint64_t n = to - from;
    if ((n & (n - 1)) == 0) {
        const unsigned level = (unsigned)__builtin_ctzll(n);
        return s->node(ctx, s->arg, level, from >> level, out);
    }
    uint8_t left[MERKLE_LEN], right[MERKLE_LEN];
    const uint64_t middle = from + split_of(n);
    TRY(range(ctx, s, from, middle, left));
    TRY(range(ctx, s, middle, to, right));
    return merkle_node(ctx, left, right, out);
}

RC merkle_root(struct ctx *ctx, merkle_node_fn *node, void *arg, uint64_t size, uint8_t out[MERKLE_LEN])
{
    const struct source s = {node, arg};
    return size ? range(ctx, &s, 0, size, out) : merkle_empty(ctx, out);
}

static void turn(struct merkle_path *p)
{
    for (size_t i = 0; i < p->n / 2; i++) {
        uint8_t keep[MERKLE_LEN];
        memcpy(keep, p->hash[i], MERKLE_LEN);
        memcpy(p->hash[i], p->hash[p->n - 1 - i], MERKLE_LEN);
        memcpy(p->hash[p->n - 1 - i], keep, MERKLE_LEN);
    }
}

RC merkle_inclusion(struct ctx *ctx, merkle_node_fn *node, void *arg, uint64_t n, uint64_t size, struct merkle_path *out)
{
    const struct source s = {node, arg};
    out->n = 0;
    if (n >= size || size > INT64_MAX)
        return ctx_fail(ctx, E_INVALID, "a tree of %llu leaves has no leaf %llu", (unsigned long long)size, (unsigned long long)n);
    for (uint64_t from = 0, to = size; to - from > 1;) {
        const uint64_t middle = from + split_of(to - from);
        if (n < middle) {
            TRY(range(ctx, &s, middle, to, out->hash[out->n++]));
            to = middle;
        } else {
            TRY(range(ctx, &s, from, middle, out->hash[out->n++]));
            from = middle;
        }
    }
    turn(out);
    return RC_OK;
}

RC merkle_consistency(struct ctx *ctx, merkle_node_fn *node, void *arg, uint64_t old, uint64_t size, struct merkle_path *out)
{
    const struct source s = {node, arg};
    bool whole = true; /* the old tree is the subtree looked at: whoever checks knows its hash */
    uint64_t from = 0, to = size;
    out->n = 0;
    if (old > size || size > INT64_MAX)
        return ctx_fail(ctx, E_INVALID, "a tree of %llu leaves has none of %llu before it", (unsigned long long)size,
                        (unsigned long long)old);
    if (old == 0 || old == size)
        return RC_OK;
    while (old < to) {
        const uint64_t middle = from + split_of(to - from);
        if (old <= middle) {
            TRY(range(ctx, &s, middle, to, out->hash[out->n++]));
            to = middle;
        } else {
            TRY(range(ctx, &s, from, middle, out->hash[out->n++]));
            from = middle;
            whole = false;
        }
    }
    if (!whole)
        TRY(range(ctx, &s, from, to, out->hash[out->n++]));
    turn(out);
    return RC_OK;
}

/* --- and checked */

static struct rc wrong(struct ctx *ctx)
{
    return ctx_fail(ctx, E_INVALID, "the proof does not hold");
}

RC merkle_inclusion_check(struct ctx *ctx, uint64_t n, uint64_t size, const uint8_t leaf[MERKLE_LEN],
                          const struct merkle_path *path, const uint8_t root[MERKLE_LEN])
{
    uint8_t r[MERKLE_LEN];
    if (n >= size)
        return wrong(ctx);
    uint64_t fn = n, sn = size - 1;
    memcpy(r, leaf, MERKLE_LEN);
    for (size_t i = 0; i < path->n; i++) {
        if (sn == 0)
            return wrong(ctx);
        if ((fn & 1) || fn == sn) {
            TRY(merkle_node(ctx, path->hash[i], r, r));
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            TRY(merkle_node(ctx, r, path->hash[i], r));
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(r, root, MERKLE_LEN) == 0 ? RC_OK : wrong(ctx);
}

RC merkle_consistency_check(struct ctx *ctx, uint64_t old, uint64_t size, const uint8_t old_root[MERKLE_LEN],
                            const uint8_t root[MERKLE_LEN], const struct merkle_path *path)
{
    uint8_t fr[MERKLE_LEN], sr[MERKLE_LEN];
    if (old > size)
        return wrong(ctx);
    if (old == size)
        return path->n == 0 && memcmp(old_root, root, MERKLE_LEN) == 0 ? RC_OK : wrong(ctx);
    if (old == 0) { /* every tree extends the empty one */
        TRY(merkle_empty(ctx, fr));
        return path->n == 0 && memcmp(old_root, fr, MERKLE_LEN) == 0 ? RC_OK : wrong(ctx);
    }
    /* Where the old tree is a complete subtree, its root is the first hash. */
    const bool complete = (old & (old - 1)) == 0;
    size_t i = 0;
    if (path->n < (complete ? 0 : 1))
        return wrong(ctx);
    memcpy(fr, complete ? old_root : path->hash[i++], MERKLE_LEN);
    memcpy(sr, fr, MERKLE_LEN);
    uint64_t fn = old - 1, sn = size - 1;
    for (; fn & 1; fn >>= 1)
        sn >>= 1;
    for (; i < path->n; i++) {
        if (sn == 0)
            return wrong(ctx);
        if ((fn & 1) || fn == sn) {
            TRY(merkle_node(ctx, path->hash[i], fr, fr));
            TRY(merkle_node(ctx, path->hash[i], sr, sr));
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            TRY(merkle_node(ctx, sr, path->hash[i], sr));
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(fr, old_root, MERKLE_LEN) == 0 && memcmp(sr, root, MERKLE_LEN) == 0 ? RC_OK : wrong(ctx);
}

/* --- walks */

static void begin_at_root(struct merkle_walk *w)
{
    w->known_n = w->size ? 1 : 0;
    w->known[0] = (struct merkle_known){.from = 0, .to = w->size};
    memcpy(w->known[0].hash, w->root, MERKLE_LEN);
}

void merkle_walk_begin(struct merkle_walk *w, uint64_t size, const uint8_t root[MERKLE_LEN])
{
    *w = (struct merkle_walk){.size = size};
    memcpy(w->root, root, MERKLE_LEN);
    begin_at_root(w);
}

/* The smallest known subtree that holds leaf n; NULL where a walk has gone past it. */
static struct merkle_known *known_of(struct merkle_walk *w, uint64_t n, size_t *at)
{
    if (n < w->next || n >= w->size)
        return NULL;
    for (size_t i = w->known_n; i-- > 0;)
        if (n < w->known[i].to) {
            *at = i;
            return &w->known[i];
        }
    return NULL;
}

static size_t depth_of(uint64_t from, uint64_t to, uint64_t n)
{
    size_t depth = 0;
    for (; to - from > 1; depth++) {
        const uint64_t middle = from + split_of(to - from);
        if (n < middle)
            to = middle;
        else
            from = middle;
    }
    return depth;
}

/* Takes the place of known[at] and those before it: what lies right of n. */
static void pass(struct merkle_walk *w, size_t at, uint64_t n, const struct merkle_path *path)
{
    uint64_t from = w->known[at].from, to = w->known[at].to;
    w->known_n = at;
    for (size_t i = 0; to - from > 1; i++) {
        const uint64_t middle = from + split_of(to - from);
        if (n < middle) {
            struct merkle_known *k = &w->known[w->known_n++];
            *k = (struct merkle_known){.from = middle, .to = to};
            memcpy(k->hash, path->hash[i], MERKLE_LEN);
            to = middle;
        } else {
            from = middle;
        }
    }
    w->next = n + 1;
}

RC merkle_walk_path(struct ctx *ctx, struct merkle_walk *w, merkle_node_fn *node, void *arg, uint64_t n, struct merkle_path *out)
{
    const struct source s = {node, arg};
    size_t at = 0;
    const struct merkle_known *k = known_of(w, n, &at);
    out->n = 0;
    if (!k)
        return ctx_fail(ctx, E_INVALID, "a walk goes from left to right: leaf %llu is not ahead", (unsigned long long)n);
    for (uint64_t from = k->from, to = k->to; to - from > 1;) {
        const uint64_t middle = from + split_of(to - from);
        const bool left = n < middle;
        TRY(range(ctx, &s, left ? middle : from, left ? to : middle, out->hash[out->n++]));
        if (left)
            to = middle;
        else
            from = middle;
    }
    pass(w, at, n, out);
    return RC_OK;
}

/* Goes up again the way that led down to leaf n, beginning below `depth` halvings. */
static struct rc climb(struct ctx *ctx, uint64_t from, uint64_t to, uint64_t n, const struct merkle_path *path,
                       uint8_t r[MERKLE_LEN])
{
    bool left[MERKLE_PATH_MAX];
    size_t depth = 0;
    for (; to - from > 1; depth++) {
        const uint64_t middle = from + split_of(to - from);
        left[depth] = n < middle;
        if (left[depth])
            to = middle;
        else
            from = middle;
    }
    while (depth-- > 0)
        TRY(merkle_node(ctx, left[depth] ? r : path->hash[depth], left[depth] ? path->hash[depth] : r, r));
    return RC_OK;
}

RC merkle_walk_check(struct ctx *ctx, struct merkle_walk *w, uint64_t n, const uint8_t leaf[MERKLE_LEN],
                     const struct merkle_path *path, bool *proved)
{
    uint8_t r[MERKLE_LEN];
    size_t at = 0;
    const struct merkle_known *k = known_of(w, n, &at);
    *proved = false;
    if (!k)
        return RC_OK;
    const bool anew = path->n != depth_of(k->from, k->to, n);
    if (anew && path->n != depth_of(0, w->size, n))
        return RC_OK;
    memcpy(r, leaf, MERKLE_LEN);
    TRY(climb(ctx, anew ? 0 : k->from, anew ? w->size : k->to, n, path, r));
    if (memcmp(r, anew ? w->root : k->hash, MERKLE_LEN) != 0)
        return RC_OK;
    if (anew) {
        begin_at_root(w);
        at = 0;
    }
    pass(w, at, n, path);
    *proved = true;
    return RC_OK;
}

/* --- heads */

void merkle_head_put(struct buf *b, const struct merkle_head *h)
{
    buf_printf(b, "%s\n%llu\n", h->log, (unsigned long long)h->size);
    put_base64(b, bytes_of(h->root, MERKLE_LEN));
    buf_printf(b, "\ntime %lld\n", (long long)h->at);
}
