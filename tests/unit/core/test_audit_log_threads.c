/* The audit log on both engines: entries that many write at once get one place each, and tiles say what the leaves say. */
#include <pthread.h>

#include "store/store_test.h"

#include "base/random.h"
#include "base/str.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/audit_log.h"

#define WRITERS 6
#define EACH    60

struct world {
    struct core core;
    const char *team;
    struct bytes hash; /* of the entry to write; empty: an older release's */
};

static struct rc team_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct world *w = arg;
    TRY(q_team_add(ctx, txn, w->team, NULL, w->team, 1));
    return q_team_within_add(ctx, txn, w->team, w->team);
}

static void world_open(struct ctx *ctx, struct store *store, struct world *w)
{
    *w = (struct world){.core = {.store = store, .clock = &clock_system}};
    w->team = id_new(&ctx->arena, 1);
    w->core.team_root = w->team;
    w->core.audit.rest_until_ms = INT64_MAX; /* heads are the signer's business */
    ctx->principal = access_hub(ctx, &w->core);
    must(ctx, store_write(ctx, store, team_make, w));
}

static struct rc entry_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct world *w = arg;
    return audit_write(ctx, txn, "test.write", "test", ctx->request_id, w->team, BYTES_LIT("{\"b\":1,\"a\":[true,null]}"));
}

static struct rc older_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct world *w = arg;
    const struct q_audit_add_in in = {.at = 5, .principal = "hub", .peer = "", .action = "old", .object_kind = "test",
                                      .object_id = "x", .team_id = w->team, .request_id = "r", .detail = "{\"b\": 1, \"a\": 2}"};
    return q_audit_add(ctx, txn, &in);
}

static void tick(struct ctx *ctx, struct core *core)
{
    for (bool more = true; more;) {
        audit_tick(ctx, core, &more);
        ctx_forget(ctx);
    }
}

static const struct audit_filter anything = {.principal = "", .action = "", .object = "", .until = INT64_MAX};

/* Exports all pages, proves every line to the root that the tiles give, and returns how many there were. */
static uint64_t prove_all(struct ctx *ctx, struct world *w, uint64_t size)
{
    struct bytes root;
    struct merkle_walk walk;
    uint64_t n = 0;
    must(ctx, audit_root(ctx, &w->core, (int64_t)size, &root));
    merkle_walk_begin(&walk, size, root.p);
    for (bool more = true; more;) {
        struct audit_line *lines = NULL;
        size_t count = 0;
        must(ctx, audit_export(ctx, &w->core, &anything, (int64_t)size, (int64_t)n, 100, &lines, &count, &more));
        for (size_t i = 0; i < count; i++, n++) {
            struct merkle_path path = {.n = lines[i].path.n / MERKLE_LEN};
            uint8_t leaf[MERKLE_LEN];
            bool proved = false;
            assert_int_equal(lines[i].n, n);
            memcpy(path.hash, lines[i].path.p, lines[i].path.n);
            must(ctx, merkle_leaf(ctx, bytes_z(lines[i].entry), leaf));
            must(ctx, merkle_walk_check(ctx, &walk, n, leaf, &path, &proved));
            assert_true(proved);
        }
    }
    return n;
}

struct thread {
    pthread_t id;
    struct world *w;
    struct core other; /* another process on the same database */
    bool *stop;
};

static void *writer(void *arg)
{
    struct thread *t = arg;
    for (int i = 0; i < EACH; i++) {
        struct ctx ctx;
        ctx_init(&ctx, &clock_system);
        ctx.principal = access_hub(&ctx, &t->w->core);
        struct rc rc = store_write(&ctx, t->w->core.store, entry_write, t->w);
        if (rc_failed(rc))
            print_error("%s\n", ctx_why(&ctx));
        assert_true(rc_ok(rc));
        ctx_free(&ctx);
    }
    return NULL;
}

static void *folder(void *arg)
{
    struct thread *t = arg;
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    while (!__atomic_load_n(t->stop, __ATOMIC_ACQUIRE)) {
        ctx.principal = access_hub(&ctx, &t->other);
        tick(&ctx, &t->other);
        ctx_reset(&ctx);
        usleep(1000);
    }
    ctx_free(&ctx);
    return NULL;
}

static void each_entry_gets_one_place(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct thread writers[WRITERS], folders[2];
    bool stop = false;
    struct audit_state state;
    world_open(ctx, store, &w);
    for (size_t i = 0; i < 2; i++) {
        folders[i] = (struct thread){.w = &w, .stop = &stop};
        folders[i].other.store = store;
        folders[i].other.clock = &clock_system;
        folders[i].other.team_root = w.team;
        folders[i].other.audit.rest_until_ms = INT64_MAX;
        assert_int_equal(pthread_create(&folders[i].id, NULL, folder, &folders[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct thread){.w = &w};
        assert_int_equal(pthread_create(&writers[i].id, NULL, writer, &writers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i].id, NULL);
    for (int i = 0; i < 5000; i++) { /* until one of the two has folded the last */
        must(ctx, audit_head(ctx, &w.core, 0, &state));
        if (state.tree == WRITERS * EACH)
            break;
        usleep(1000);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < 2; i++)
        pthread_join(folders[i].id, NULL);
    assert_int_equal(state.tree, WRITERS * EACH);
    assert_int_equal(prove_all(ctx, &w, WRITERS * EACH), WRITERS * EACH);
    for (uint64_t size = 1; size < WRITERS * EACH; size += 37)
        assert_int_equal(prove_all(ctx, &w, size), size);
}

static void entries_of_an_older_release_are_hashed_when_they_are_folded(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct audit_line *lines = NULL;
    size_t n = 0;
    bool more = false;
    world_open(ctx, store, &w);
    must(ctx, store_write(ctx, store, older_write, &w));
    must(ctx, store_write(ctx, store, entry_write, &w));
    tick(ctx, &w.core);
    must(ctx, audit_export(ctx, &w.core, &anything, 2, 0, 10, &lines, &n, &more));
    assert_int_equal(n, 2);
    assert_non_null(strstr(lines[0].entry, "\"detail\":{\"a\":2,\"b\":1}"));
    assert_non_null(strstr(lines[1].entry, "\"detail\":{\"a\":[true,null],\"b\":1}"));
    assert_int_equal(prove_all(ctx, &w, 2), 2);
}

static struct rc much_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct world *w = arg;
    char *much = arena_alloc(&ctx->arena, AUDIT_ENTRY_MAX + 1);
    memset(much, 'x', AUDIT_ENTRY_MAX);
    const struct bytes after = audit_facts(ctx, "name", "a", "password", "planted", "private_key_path", "/etc/x", NULL);
    TRY(audit_write(ctx, txn, "test.much", "test", "much", w->team,
                    bytes_z(arena_printf(&ctx->arena, "{\"after\":{\"text\":\"%s\"}}", much))));
    TRY(audit_write(ctx, txn, "test.secret", "test", "secret", w->team,
                    audit_change(ctx, audit_facts(ctx, "name", "a", "size:", audit_number(ctx, 5), NULL), after)));
    return audit_write(ctx, txn, "test.gone", "test", "gone", w->team, audit_change(ctx, after, (struct bytes){0}));
}

static void what_changed_is_noted_without_secrets_and_never_too_large(struct ctx *ctx, struct store *store)
{
    struct world w;
    struct audit_line *lines = NULL;
    size_t n = 0;
    bool more = false;
    world_open(ctx, store, &w);
    must(ctx, store_write(ctx, store, much_write, &w));
    tick(ctx, &w.core);
    must(ctx, audit_export(ctx, &w.core, &anything, 3, 0, 10, &lines, &n, &more));
    assert_int_equal(n, 3);
    assert_non_null(strstr(lines[0].entry, "\"detail\":{\"left_out\":\"too large\"}"));
    assert_non_null(strstr(lines[1].entry, "\"detail\":{\"after\":{\"private_key_path\":\"/etc/x\"},\"before\":{\"size\":5}}"));
    assert_non_null(strstr(lines[2].entry, "\"detail\":{\"before\":{\"name\":\"a\",\"private_key_path\":\"/etc/x\"}}"));
}

/* Over the edge of a tile of the second level: 65,536 leaves and some. */
struct growing {
    uint64_t from, to;
    uint8_t root[MERKLE_LEN];
    struct merkle_path path;
};

static struct rc leaf_of(struct ctx *ctx, void *arg, unsigned level, uint64_t index, uint8_t out[MERKLE_LEN])
{
    (void)arg;
    uint8_t left[MERKLE_LEN], right[MERKLE_LEN];
    if (level == 0) {
        memset(out, 0, MERKLE_LEN);
        memcpy(out, &index, sizeof index);
        return RC_OK;
    }
    TRY(leaf_of(ctx, arg, level - 1, index * 2, left));
    TRY(leaf_of(ctx, arg, level - 1, index * 2 + 1, right));
    return merkle_node(ctx, left, right, out);
}

static struct rc tiles_grow(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct growing *g = arg;
    struct audit_tiles tiles = {.txn = txn};
    for (uint64_t i = g->from; i < g->to; i++) {
        uint8_t leaf[MERKLE_LEN];
        TRY(leaf_of(ctx, NULL, 0, i, leaf));
        TRY(audit_tiles_append(ctx, &tiles, i, leaf));
    }
    return audit_tiles_write(ctx, &tiles);
}

static struct rc tiles_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct growing *g = arg;
    struct audit_tiles tiles = {.txn = txn};
    TRY(merkle_root(ctx, audit_tiles_node, &tiles, g->to, g->root));
    return merkle_consistency(ctx, audit_tiles_node, &tiles, g->from, g->to, &g->path);
}

static void tiles_say_what_the_leaves_say(struct ctx *ctx, struct store *store)
{
    static const uint64_t sizes[] = {1, 255, 256, 257, 512, 5000, 65535, 65536, 65537, 66000};
    uint8_t was[MERKLE_LEN], root[MERKLE_LEN];
    struct growing g = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        g.from = g.to;
        g.to = sizes[i];
        must(ctx, store_write(ctx, store, tiles_grow, &g));
        must(ctx, store_read(ctx, store, tiles_read, &g));
        must(ctx, merkle_root(ctx, leaf_of, NULL, g.to, root));
        assert_memory_equal(g.root, root, MERKLE_LEN);
        must(ctx, merkle_root(ctx, leaf_of, NULL, g.from, was));
        must(ctx, merkle_consistency_check(ctx, g.from, g.to, was, root, &g.path));
    }
    g.from = 5;
    g.to = 6;
    assert_int_equal(store_write(ctx, store, tiles_grow, &g).e, E_DATABASE); /* leaves come one after the other */
}

#define ON_BOTH(name)              \
    static void name##_(void **state) \
    {                              \
        (void)state;               \
        assert_true(pg_server_sql(&pg, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")); \
        on_both(name);             \
    }
ON_BOTH(each_entry_gets_one_place)
ON_BOTH(entries_of_an_older_release_are_hashed_when_they_are_folded)
ON_BOTH(tiles_say_what_the_leaves_say)
ON_BOTH(what_changed_is_noted_without_secrets_and_never_too_large)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_say_what_the_leaves_say_),
        cmocka_unit_test(entries_of_an_older_release_are_hashed_when_they_are_folded_),
        cmocka_unit_test(what_changed_is_noted_without_secrets_and_never_too_large_),
        cmocka_unit_test(each_entry_gets_one_place_),
    };
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
