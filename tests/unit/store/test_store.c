#include "store/store_test.h"

#include <sqlite3.h>

#include "base/random.h"
#include "base/str.h"

struct team {
    const char *id, *name;
    bool found, fail;
    int effects;
};

static void effect(void *arg)
{
    ((struct team *)arg)->effects++;
}

static struct rc add(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct team *t = arg;
    TRY(txn_on_commit(ctx, txn, effect, t));
    TRY(q_team_add(ctx, txn, t->id, NULL, t->name, 1));
    return t->fail ? ctx_fail(ctx, E_POLICY, "not this one") : RC_OK;
}

static struct rc find(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct team *t = arg;
    struct q_team_by_name_row row;
    return q_team_by_name(ctx, txn, t->name, &row, &t->found);
}

static struct team fresh(struct ctx *ctx)
{
    const char *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    return (struct team){.id = id, .name = id};
}

static void queries_prepare(struct ctx *ctx, struct store *store)
{
    must(ctx, store_prepare_all(ctx, store));
}

static void every_query_is_understood_by_both_engines(void **state)
{
    (void)state;
    on_both(queries_prepare);
}

static void write_read(struct ctx *ctx, struct store *store)
{
    struct team t = fresh(ctx);
    must(ctx, store_write(ctx, store, add, &t));
    must(ctx, store_read(ctx, store, find, &t));
    assert_true(t.found);
    assert_int_equal(t.effects, 1);
}

static void what_was_written_is_there_and_its_effect_follows(void **state)
{
    (void)state;
    on_both(write_read);
}

static void failed_closure(struct ctx *ctx, struct store *store)
{
    struct team t = fresh(ctx);
    t.fail = true;
    assert_int_equal(store_write(ctx, store, add, &t).e, E_POLICY);
    must(ctx, store_read(ctx, store, find, &t));
    assert_false(t.found);
    assert_int_equal(t.effects, 0);
    t.fail = false;
    must(ctx, store_write(ctx, store, add, &t));
}

static void closure_that_fails_changes_nothing_and_has_no_effect(void **state)
{
    (void)state;
    on_both(failed_closure);
}

static struct rc token(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct team *t = arg;
    const struct q_token_add_in in = {.id = id_new(&ctx->arena, 1),
                                      .team_id = t->id,
                                      .name = t->name,
                                      .role = "administrator",
                                      .hash = bytes_z(t->name),
                                      .now = 1,
                                      .expires_at = 2};
    return q_token_add(ctx, txn, &in);
}

static void twice(struct ctx *ctx, struct store *store)
{
    struct team t = fresh(ctx), nobody = fresh(ctx);
    must(ctx, store_write(ctx, store, add, &t));
    must(ctx, store_write(ctx, store, token, &t));
    assert_int_equal(store_write(ctx, store, token, &t).e, E_EXISTS);
    ctx_forget(ctx);
    assert_int_equal(store_write(ctx, store, token, &nobody).e, E_NOT_FOUND);
    assert_non_null(strstr(ctx_why(ctx), "token_add")); /* the query's name, and nothing that was written */
    assert_null(strstr(ctx_why(ctx), nobody.id));
}

static void same_key_twice_and_a_reference_to_nothing_are_told_apart(void **state)
{
    (void)state;
    on_both(twice);
}

struct values {
    struct bytes print, dn;
    struct q_certificate_find_row found_row;
    struct q_certificate_row_row row;
    struct q_issuer_name_find_row issuer;
    struct q_issuer_name_get_row name_row;
    struct q_token_by_hash_row token;
    bool found;
    const char *name;
};

static struct rc values_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct values *v = arg;
    struct q_certificate_ids_row *ids = NULL;
    size_t n = 0;
    const struct q_issuer_name_add_in name = {.sha256 = v->print, .dn = v->dn, .text = v->name, .organization = NULL};
    TRY(q_issuer_name_add(ctx, txn, &name));
    TRY(q_certificate_find(ctx, txn, v->print, &v->found_row, &v->found));
    if (v->found)
        return RC_OK;
    TRY(q_certificate_ids(ctx, txn, 1, &ids, &n));
    const struct q_certificate_add_in in = {
        .id = ids[0].id, .fingerprint = v->print, .not_before = -5, .not_after = INT64_MAX, .seen = 7};
    return q_certificate_add(ctx, txn, &in, 1);
}

static struct rc values_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct values *v = arg;
    bool found = false;
    TRY(q_issuer_name_find(ctx, txn, v->print, &v->issuer, &found));
    TRY(q_issuer_name_get(ctx, txn, v->issuer.id, &v->name_row, &found));
    TRY(q_certificate_row(ctx, txn, v->found_row.id, &v->row, &found));
    return q_token_by_hash(ctx, txn, v->print, 1, &v->token, &v->found);
}

static void kinds(struct ctx *ctx, struct store *store)
{
    uint8_t print[32];
    random_fill(print, sizeof print);
    struct values v = {.print = bytes_of(print, 32), .dn = BYTES_LIT("\x30\0\xff"), .name = "CN=Zoë \xe2\x82\xac"};
    must(ctx, store_write(ctx, store, values_write, &v));
    must(ctx, store_write(ctx, store, values_write, &v)); /* once is enough, twice is harmless */
    assert_true(v.found);
    must(ctx, store_read(ctx, store, values_read, &v));
    assert_true(bytes_equal(v.row.fingerprint, v.print));
    assert_int_equal(v.row.not_before, -5);
    assert_true(v.row.not_after == INT64_MAX);
    assert_string_equal(v.name_row.text, v.name);
    assert_null(v.name_row.organization);
    assert_false(v.found);
}

static void blobs_negative_numbers_and_umlauts_pass_through(void **state)
{
    (void)state;
    on_both(kinds);
}

static struct rc take_timer(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    TRY(q_timer_set(ctx, txn, "t", "r", 10));
    TRY(q_timer_set(ctx, txn, "t", "r", 20));
    struct q_timer_get_row row;
    bool found = false;
    TRY(q_timer_get(ctx, txn, "t", "r", &row, &found));
    assert_true(found);
    assert_int_equal(row.due_at, 20);
    return q_timer_clear(ctx, txn, "t", "r");
}

static void timers(struct ctx *ctx, struct store *store)
{
    must(ctx, store_write(ctx, store, take_timer, NULL));
}

static void newest_word_on_a_timer_counts(void **state)
{
    (void)state;
    on_both(timers);
}

static struct rc finish_nothing(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)arg;
    return q_token_revoke(ctx, txn, "nothing", 1);
}

static void exactly_one(struct ctx *ctx, struct store *store)
{
    assert_int_equal(store_write(ctx, store, finish_nothing, NULL).e, E_CHANGED);
}

static void an_update_that_meets_no_row_says_that_it_changed(void **state)
{
    (void)state;
    on_both(exactly_one);
}

static void database_that_is_not_one_is_refused_with_its_name(void **state)
{
    (void)state;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    struct store *store = NULL;
    const struct store_config none = {.engine = STORE_SQLITE, .path = "/nowhere/at/all.db"};
    assert_true(rc_failed(store_open(&ctx, &none, &store)));
    assert_non_null(strstr(ctx_why(&ctx), "/nowhere/at/all.db"));
    ctx_reset(&ctx);
    const struct store_config away = {.engine = STORE_POSTGRES, .conninfo = "host=/nowhere connect_timeout=2"};
    assert_true(rc_failed(store_open(&ctx, &away, &store)));
}

/* What FTS5 was told of merges: "" where it was told nothing. */
static void merges_of(const char *path, char out[16])
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    *out = 0;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT v FROM certificate_term_config WHERE k = 'automerge'", -1, &s, NULL), SQLITE_OK);
    if (sqlite3_step(s) == SQLITE_ROW)
        snprintf(out, 16, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* The writer has set itself up for what was said before the write. */
static void bulk_and_write(struct ctx *ctx, struct store *store, bool begin)
{
    struct team t = fresh(ctx);
    store_bulk(store, begin);
    must(ctx, store_write(ctx, store, add, &t));
}

static void a_load_that_was_cut_off_leaves_no_settings(void **state)
{
    (void)state;
    char path[] = "/tmp/cw-store-XXXXXX", merges[16];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const struct store_config config = {.engine = STORE_SQLITE, .path = path};
    struct ctx ctx;
    struct store *store = NULL;
    ctx_init(&ctx, &clock_system);
    must(&ctx, store_open(&ctx, &config, &store));
    bulk_and_write(&ctx, store, true);
    merges_of(path, merges);
    assert_string_equal(merges, "16");
    bulk_and_write(&ctx, store, false);
    merges_of(path, merges);
    assert_string_equal(merges, "4");
    bulk_and_write(&ctx, store, true);
    store_close(store); /* in the midst of it */
    merges_of(path, merges);
    assert_string_equal(merges, "16");
    must(&ctx, store_open(&ctx, &config, &store));
    merges_of(path, merges);
    assert_string_equal(merges, "4");
    store_close(store);
    ctx_free(&ctx);
    sqlite_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_query_is_understood_by_both_engines),
        cmocka_unit_test(a_load_that_was_cut_off_leaves_no_settings),
        cmocka_unit_test(what_was_written_is_there_and_its_effect_follows),
        cmocka_unit_test(closure_that_fails_changes_nothing_and_has_no_effect),
        cmocka_unit_test(same_key_twice_and_a_reference_to_nothing_are_told_apart),
        cmocka_unit_test(blobs_negative_numbers_and_umlauts_pass_through),
        cmocka_unit_test(newest_word_on_a_timer_counts),
        cmocka_unit_test(an_update_that_meets_no_row_says_that_it_changed),
        cmocka_unit_test(database_that_is_not_one_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
