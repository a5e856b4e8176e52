#include "pki/merkle.h"
#include "pki_test.h"

#define MOST 200

/* A tree of which every leaf is known: its complete subtrees are hashed anew whenever they are asked for. */
struct tree {
    uint8_t leaf[MOST][MERKLE_LEN];
};

static struct rc node_of(struct ctx *ctx, void *arg, unsigned level, uint64_t index, uint8_t out[MERKLE_LEN])
{
    const struct tree *t = arg;
    uint8_t left[MERKLE_LEN], right[MERKLE_LEN];
    assert_true(((index + 1) << level) <= MOST);
    if (level == 0) {
        memcpy(out, t->leaf[index], MERKLE_LEN);
        return RC_OK;
    }
    TRY(node_of(ctx, arg, level - 1, index * 2, left));
    TRY(node_of(ctx, arg, level - 1, index * 2 + 1, right));
    return merkle_node(ctx, left, right, out);
}

/* MTH as section 2.1.1 writes it down. */
static void mth(const struct tree *t, uint64_t from, uint64_t n, uint8_t out[MERKLE_LEN])
{
    uint8_t left[MERKLE_LEN], right[MERKLE_LEN];
    uint64_t k = 1;
    if (n == 1) {
        memcpy(out, t->leaf[from], MERKLE_LEN);
        return;
    }
    while (k * 2 < n)
        k *= 2;
    mth(t, from, k, left);
    mth(t, from + k, n - k, right);
    assert_ok(merkle_node(&test_ctx, left, right, out));
}

static void grow(struct tree *t)
{
    for (size_t i = 0; i < MOST; i++)
        assert_ok(merkle_leaf(&test_ctx, bytes_z(arena_printf(&test_ctx.arena, "entry %zu", i)), t->leaf[i]));
}

static void assert_hex(const uint8_t hash[MERKLE_LEN], const char *hex)
{
    assert_string_equal(hex_str(&test_ctx.arena, bytes_of(hash, MERKLE_LEN)), hex);
}

/* The leaves and roots that implementations of Certificate Transparency share. */
static void the_roots_of_one_to_eight_leaves_are_as_known(void **state)
{
    static const char *const leaves[] = {"",         "00",       "10",
                                         "2021",     "3031",     "40414243",
                                         "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[] = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct tree t = {0};
    uint8_t root[MERKLE_LEN];
    (void)state;
    assert_ok(merkle_root(&test_ctx, node_of, &t, 0, root));
    assert_hex(root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t n = 1; n <= 8; n++) {
        assert_ok(merkle_leaf(&test_ctx, from_hex(leaves[n - 1]), t.leaf[n - 1]));
        assert_ok(merkle_root(&test_ctx, node_of, &t, n, root));
        assert_hex(root, roots[n - 1]);
    }
}

/* RFC 9162 section 2.1.5: a tree of seven leaves, and the trees of three, four and six before it. */
static void the_proofs_of_the_example_are_those_of_the_rfc(void **state)
{
    struct tree t;
    uint8_t g[MERKLE_LEN], h[MERKLE_LEN], i[MERKLE_LEN], k[MERKLE_LEN], l[MERKLE_LEN];
    struct merkle_path p;
    (void)state;
    grow(&t);
    mth(&t, 0, 2, g);
    mth(&t, 2, 2, h);
    mth(&t, 4, 2, i);
    mth(&t, 0, 4, k);
    mth(&t, 4, 3, l);
    const uint8_t *const b = t.leaf[1], *const c = t.leaf[2], *const d = t.leaf[3], *const e = t.leaf[4], *const f = t.leaf[5],
                        *const j = t.leaf[6];
    const struct {
        uint64_t n;
        const uint8_t *path[3];
        size_t count;
    } inclusion[] = {{0, {b, h, l}, 3}, {3, {c, g, l}, 3}, {4, {f, j, k}, 3}, {6, {i, k}, 2}};
    for (size_t x = 0; x < sizeof inclusion / sizeof *inclusion; x++) {
        assert_ok(merkle_inclusion(&test_ctx, node_of, &t, inclusion[x].n, 7, &p));
        assert_int_equal(p.n, inclusion[x].count);
        for (size_t y = 0; y < p.n; y++)
            assert_memory_equal(p.hash[y], inclusion[x].path[y], MERKLE_LEN);
    }
    const struct {
        uint64_t old;
        const uint8_t *path[4];
        size_t count;
    } consistency[] = {{3, {c, d, g, l}, 4}, {4, {l}, 1}, {6, {i, j, k}, 3}};
    for (size_t x = 0; x < sizeof consistency / sizeof *consistency; x++) {
        assert_ok(merkle_consistency(&test_ctx, node_of, &t, consistency[x].old, 7, &p));
        assert_int_equal(p.n, consistency[x].count);
        for (size_t y = 0; y < p.n; y++)
            assert_memory_equal(p.hash[y], consistency[x].path[y], MERKLE_LEN);
    }
    (void)e;
}

static void every_proof_of_every_tree_holds_and_no_other_does(void **state)
{
    struct tree t;
    uint8_t root[MERKLE_LEN], was[MERKLE_LEN], same[MERKLE_LEN];
    struct merkle_path p;
    (void)state;
    grow(&t);
    for (uint64_t size = 1; size <= MOST; size++) {
        assert_ok(merkle_root(&test_ctx, node_of, &t, size, root));
        mth(&t, 0, size, same);
        assert_memory_equal(root, same, MERKLE_LEN);
        for (uint64_t n = 0; n < size; n++) {
            assert_ok(merkle_inclusion(&test_ctx, node_of, &t, n, size, &p));
            assert_ok(merkle_inclusion_check(&test_ctx, n, size, t.leaf[n], &p, root));
            assert_fails(merkle_inclusion_check(&test_ctx, n, size, t.leaf[(n + 1) % MOST], &p, root), E_INVALID);
            if (size > 1) {
                assert_fails(merkle_inclusion_check(&test_ctx, (n + 1) % size, size, t.leaf[n], &p, root), E_INVALID);
                p.hash[n % p.n][5] ^= 1;
                assert_fails(merkle_inclusion_check(&test_ctx, n, size, t.leaf[n], &p, root), E_INVALID);
                p.n--;
                assert_fails(merkle_inclusion_check(&test_ctx, n, size, t.leaf[n], &p, root), E_INVALID);
            }
        }
        assert_fails(merkle_inclusion(&test_ctx, node_of, &t, size, size, &p), E_INVALID);
        for (uint64_t old = 0; old <= size; old++) {
            assert_ok(merkle_root(&test_ctx, node_of, &t, old, was));
            assert_ok(merkle_consistency(&test_ctx, node_of, &t, old, size, &p));
            assert_ok(merkle_consistency_check(&test_ctx, old, size, was, root, &p));
            was[3] ^= 1;
            assert_fails(merkle_consistency_check(&test_ctx, old, size, was, root, &p), E_INVALID);
            was[3] ^= 1;
            if (p.n) {
                p.hash[old % p.n][7] ^= 1;
                assert_fails(merkle_consistency_check(&test_ctx, old, size, was, root, &p), E_INVALID);
                p.hash[old % p.n][7] ^= 1;
            }
            p.n++;
            assert_fails(merkle_consistency_check(&test_ctx, old, size, was, root, &p), E_INVALID);
        }
        assert_fails(merkle_consistency(&test_ctx, node_of, &t, size + 1, size, &p), E_INVALID);
        ctx_reset(&test_ctx);
    }
}

/* Every leaf, every third, and those from the middle on; and a walk that is begun anew at the root. */
static void a_walk_proves_each_leaf_by_those_before_it(void **state)
{
    struct tree t;
    uint8_t root[MERKLE_LEN];
    struct merkle_path p;
    bool proved;
    (void)state;
    grow(&t);
    for (uint64_t size = 1; size <= MOST; size++)
        for (uint64_t step = 1; step <= 3; step += 2)
            for (uint64_t first = 0; first < size; first += size / 2 + 1) {
                struct merkle_walk made, checked;
                size_t hashes = 0;
                assert_ok(merkle_root(&test_ctx, node_of, &t, size, root));
                merkle_walk_begin(&made, size, root);
                merkle_walk_begin(&checked, size, root);
                for (uint64_t n = first; n < size; n += step) {
                    if (n > size / 3 && n <= size / 3 + step)
                        merkle_walk_begin(&made, size, root);
                    made.next = n;
                    assert_ok(merkle_walk_path(&test_ctx, &made, node_of, &t, n, &p));
                    hashes += p.n;
                    assert_ok(merkle_walk_check(&test_ctx, &checked, n, t.leaf[(n + 1) % MOST], &p, &proved));
                    assert_false(proved);
                    if (p.n) {
                        p.hash[n % p.n][0] ^= 1;
                        assert_ok(merkle_walk_check(&test_ctx, &checked, n, t.leaf[n], &p, &proved));
                        assert_false(proved);
                        p.hash[n % p.n][0] ^= 1;
                    }
                    assert_ok(merkle_walk_check(&test_ctx, &checked, n, t.leaf[n], &p, &proved));
                    assert_true(proved);
                    assert_ok(merkle_walk_check(&test_ctx, &checked, n, t.leaf[n], &p, &proved));
                    assert_false(proved); /* it is behind */
                }
                if (step == 1 && first == 0)
                    assert_true(hashes <= size + 16);
                assert_fails(merkle_walk_path(&test_ctx, &made, node_of, &t, size, &p), E_INVALID);
            }
}

static void a_head_is_a_checkpoint(void **state)
{
    struct merkle_head h = {.log = "certwright/audit", .size = 12345, .at = 1764000000};
    struct buf b;
    (void)state;
    buf_init_arena(&b, &test_ctx.arena, 1024);
    merkle_head_put(&b, &h);
    assert_string_equal(buf_z(&b), "certwright/audit\n12345\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\ntime 1764000000\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PKI_TEST(the_roots_of_one_to_eight_leaves_are_as_known),
        PKI_TEST(the_proofs_of_the_example_are_those_of_the_rfc),
        PKI_TEST(every_proof_of_every_tree_holds_and_no_other_does),
        PKI_TEST(a_walk_proves_each_leaf_by_those_before_it),
        PKI_TEST(a_head_is_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
