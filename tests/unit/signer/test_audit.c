/* Heads of the audit log: each extends the one before, or is not signed. */
#include "signer_fixture.h"

#define LEAVES 20

static struct rc node_of(struct ctx *ctx, void *arg, unsigned level, uint64_t index, uint8_t out[MERKLE_LEN])
{
    const char *salt = arg;
    uint8_t left[MERKLE_LEN], right[MERKLE_LEN];
    if (level == 0)
        return merkle_leaf(ctx, bytes_z(arena_printf(&ctx->arena, "%s %llu", index < 5 ? "" : salt, (unsigned long long)index)), out);
    TRY(node_of(ctx, arg, level - 1, index * 2, left));
    TRY(node_of(ctx, arg, level - 1, index * 2 + 1, right));
    return merkle_node(ctx, left, right, out);
}

/* Asks for the head of the first `size` leaves, with the proof that it extends the `last` ones. */
static struct wire_signer_audit_signed *head(struct fixture *f, const char *salt, uint64_t last, uint64_t size)
{
    struct merkle_path p = {0};
    uint8_t *root = arena_alloc(&f->ctx.arena, MERKLE_LEN);
    assert_true(rc_ok(merkle_root(&f->ctx, node_of, (void *)(uintptr_t)salt, size, root)));
    if (last <= size)
        assert_true(rc_ok(merkle_consistency(&f->ctx, node_of, (void *)(uintptr_t)salt, last, size, &p)));
    struct bytes *v = arena_array(&f->ctx.arena, p.n + 1, sizeof *v);
    for (size_t i = 0; i < p.n; i++)
        v[i] = bytes_of(arena_dup(&f->ctx.arena, p.hash[i], MERKLE_LEN), MERKLE_LEN);
    struct wire_signer_audit_head in = {
        .log = MERKLE_AUDIT_LOG, .size = (int64_t)size, .root = bytes_of(root, MERKLE_LEN), .proof = {v, p.n}};
    return ask(f, "hub", WIRE_signer_audit_head, &in);
}

static void assert_signed(struct fixture *f, const struct wire_signer_audit_signed *out, int64_t size)
{
    struct key *key KEY_CLEANUP = NULL;
    struct merkle_head h = {.log = MERKLE_AUDIT_LOG, .size = (uint64_t)out->size, .at = out->at};
    struct buf text;
    if (rc_failed(f->rc))
        print_message("%s\n", ctx_why(&f->ctx));
    assert_int_equal(f->rc.e, E_OK);
    assert_int_equal(out->size, size);
    assert_int_equal(out->root.n, MERKLE_LEN);
    memcpy(h.root, out->root.p, MERKLE_LEN);
    buf_init_arena(&text, &f->ctx.arena, 1024);
    merkle_head_put(&text, &h);
    assert_true(rc_ok(key_from_spki(&f->ctx, out->key, &key)));
    assert_true(rc_ok(key_verify_own(&f->ctx, key, buf_bytes(&text), out->signature)));
}

static void a_head_is_signed_where_it_extends_the_last(void **state)
{
    struct fixture *f = *state;
    assert_signed(f, head(f, "a", 0, 3), 3);
    for (uint64_t size = 3; size < LEAVES; size += 3)
        assert_signed(f, head(f, "a", size, size + 3), (int64_t)size + 3);
}

static void the_same_head_is_the_same_bytes_also_after_a_restart(void **state)
{
    struct fixture *f = *state;
    const struct wire_signer_audit_signed *first = head(f, "a", 0, 7);
    assert_signed(f, first, 7);
    f->offset += 100;
    const struct wire_signer_audit_signed *again = head(f, "a", 7, 7);
    assert_true(bytes_equal(first->signature, again->signature));
    fixture_reopen(f);
    again = head(f, "a", 7, 7);
    assert_true(bytes_equal(first->signature, again->signature));
    assert_true(bytes_equal(first->key, again->key));
    struct wire_signer_audit_last in = {.log = MERKLE_AUDIT_LOG};
    again = must_ask(f, "hub", WIRE_signer_audit_last, &in);
    assert_signed(f, again, 7);
    assert_int_equal(again->at, first->at);
}

static void what_does_not_extend_the_last_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_signed(f, head(f, "a", 0, 12), 12);
    fixture_reopen(f);
    assert_true(rc_ok(state_compact(&f->ctx, f->s)));
    head(f, "a", 99, 11); /* an older copy */
    assert_int_equal(f->rc.e, E_CONFLICT);
    head(f, "b", 12, 12); /* another past, as long */
    assert_int_equal(f->rc.e, E_CONFLICT);
    head(f, "b", 12, 15); /* and longer */
    assert_int_equal(f->rc.e, E_CONFLICT);
    head(f, "a", 11, 15); /* a proof of something else */
    assert_int_equal(f->rc.e, E_CONFLICT);
    assert_signed(f, head(f, "a", 12, 15), 15);
}

static void an_officer_says_where_the_log_goes_on(void **state)
{
    struct fixture *f = *state;
    uint8_t root[MERKLE_LEN];
    assert_signed(f, head(f, "a", 0, 12), 12);
    head(f, "b", 9, 10);
    assert_int_equal(f->rc.e, E_CONFLICT);
    assert_true(rc_ok(merkle_root(&f->ctx, node_of, (void *)(uintptr_t) "b", 9, root)));
    struct wire_signer_audit_accept in = {.log = MERKLE_AUDIT_LOG, .size = 9, .root = bytes_of(root, MERKLE_LEN)};
    ask(f, "hub", WIRE_signer_audit_accept, &in);
    assert_int_equal(f->rc.e, E_FORBIDDEN);
    must_ask(f, "officer", WIRE_signer_audit_accept, &in);
    fixture_reopen(f);
    assert_signed(f, head(f, "b", 9, 9), 9);
    assert_signed(f, head(f, "b", 9, 10), 10);
}

static void there_is_one_log_and_a_root_has_32_bytes(void **state)
{
    struct fixture *f = *state;
    struct wire_signer_audit_head in = {.log = "another", .size = 1, .root = BYTES_LIT("0123456789abcdef0123456789abcdef")};
    ask(f, "hub", WIRE_signer_audit_head, &in);
    assert_int_equal(f->rc.e, E_NOT_FOUND);
    in = (struct wire_signer_audit_head){.log = MERKLE_AUDIT_LOG, .size = 1, .root = BYTES_LIT("short")};
    ask(f, "hub", WIRE_signer_audit_head, &in);
    assert_int_equal(f->rc.e, E_INVALID);
    struct wire_signer_audit_last last = {.log = MERKLE_AUDIT_LOG};
    const struct wire_signer_audit_signed *none = must_ask(f, "hub", WIRE_signer_audit_last, &last);
    assert_int_equal(none->size, 0);
    assert_int_equal(none->key.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNER_TEST(a_head_is_signed_where_it_extends_the_last),
        SIGNER_TEST(the_same_head_is_the_same_bytes_also_after_a_restart),
        SIGNER_TEST(what_does_not_extend_the_last_is_refused),
        SIGNER_TEST(an_officer_says_where_the_log_goes_on),
        SIGNER_TEST(there_is_one_log_and_a_root_has_32_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
