/* What the store does when a query fails, the disk is full, the server hangs up, or a row is not what was declared. */
#include "store/store_test.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/random.h"

static const char *const engine_names[] = {[STORE_SQLITE] = "SQLite", [STORE_POSTGRES] = "PostgreSQL"};

/* Where a test's database is: SQL beside the store, and the same database opened again. */
struct place {
    struct ctx ctx;
    struct store_config config;
    struct store *store;
};

static void place_open(struct place *p)
{
    must(&p->ctx, store_open(&p->ctx, &p->config, &p->store));
}

static void place_close(struct place *p)
{
    store_close(p->store);
    p->store = NULL;
}

/* Runs `sql` behind the store's back. */
static void place_sql(struct place *p, const char *sql)
{
    bool good = false;
    if (p->config.engine == STORE_POSTGRES) {
        good = pg_server_sql(&pg, sql);
    } else {
        sqlite3 *db = NULL;
        good = sqlite3_open(p->config.path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
        sqlite3_close(db);
    }
    if (!good)
        fail_msg("%s: %s", engine_names[p->config.engine], sql);
}

static void on(enum store_engine engine, void (*test)(struct place *))
{
    char path[] = "/tmp/cw-faults-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct place p = {.config = {.engine = engine, .path = path, .conninfo = pg.conninfo, .connections = 8}};
    ctx_init(&p.ctx, &clock_system);
    place_open(&p);
    test(&p);
    place_close(&p);
    ctx_free(&p.ctx);
    sqlite_remove(path);
}

static void on_each(void (*test)(struct place *))
{
    on(STORE_SQLITE, test);
    on(STORE_POSTGRES, test);
}

static const char *name_new(struct place *p)
{
    return id_new(&p->ctx.arena, clock_unix_ms(p->ctx.clock));
}

/* A closure's orders, and what came of them. */
struct order {
    struct place *place;
    const char *name;  /* of the timer or token it is about */
    struct bytes hash; /* of a token that is there already */
    struct rc inner;   /* of the query or the write inside */
    int effects;
    bool found;
};

static void effect(void *arg)
{
    ((struct order *)arg)->effects++;
}

static struct rc timer_set(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    TRY(txn_on_commit(ctx, txn, effect, o));
    return q_timer_set(ctx, txn, "fault", o->name, 1);
}

static struct rc timer_get(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    struct q_timer_get_row row;
    return q_timer_get(ctx, txn, "fault", o->name, &row, &o->found);
}

static bool timer_is_there(struct place *p, const char *name)
{
    struct order o = {.name = name};
    must(&p->ctx, store_read(&p->ctx, p->store, timer_get, &o));
    return o.found;
}

static struct rc token(struct ctx *ctx, struct txn *txn, const char *team, struct bytes hash)
{
    const char *name = id_new(&ctx->arena, 1);
    const struct q_token_add_in in = {
        .id = name, .team_id = team, .name = name, .role = "administrator", .hash = hash, .now = 1, .expires_at = 2};
    return q_token_add(ctx, txn, &in);
}

static struct rc team_and_token(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    TRY(q_team_add(ctx, txn, o->name, NULL, o->name, 1));
    return token(ctx, txn, o->name, o->hash);
}

/* --- a query that failed */

static struct rc ignores_a_refusal(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    TRY(timer_set(ctx, txn, o));
    o->inner = token(ctx, txn, o->name, o->hash);
    (void)!rc_ok(q_timer_set(ctx, txn, "fault", "later", 1));
    return RC_OK;
}

static struct rc goes_on_after_it_met_nothing(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    o->inner = q_token_revoke(ctx, txn, "nothing", 1);
    return timer_set(ctx, txn, o);
}

static void ignored_refusal(struct place *p)
{
    struct order there = {.name = name_new(p)};
    there.hash = bytes_z(there.name);
    must(&p->ctx, store_write(&p->ctx, p->store, team_and_token, &there));
    struct order o = {.name = there.name, .hash = there.hash};
    assert_int_equal(store_write(&p->ctx, p->store, ignores_a_refusal, &o).e, E_BUG);
    assert_int_equal(o.inner.e, E_EXISTS);
    assert_non_null(strstr(ctx_why(&p->ctx), "nothing was written"));
    assert_int_equal(o.effects, 0);
    assert_false(timer_is_there(p, o.name));
    assert_false(timer_is_there(p, "later"));
    must(&p->ctx, store_write(&p->ctx, p->store, timer_set, &o)); /* nobody after it suffers */
    assert_true(timer_is_there(p, o.name));
}

static void a_write_that_ignores_a_failed_query_is_not_told_that_it_committed(void **state)
{
    (void)state;
    on_each(ignored_refusal);
}

static void no_refusal(struct place *p)
{
    struct order o = {.name = name_new(p)};
    must(&p->ctx, store_write(&p->ctx, p->store, goes_on_after_it_met_nothing, &o));
    assert_int_equal(o.inner.e, E_CHANGED);
    assert_int_equal(o.effects, 1);
    assert_true(timer_is_there(p, o.name));
}

static void a_write_may_go_on_where_an_update_met_no_row(void **state)
{
    (void)state;
    on_each(no_refusal);
}

static struct rc writes_inside(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    TRY(timer_set(ctx, txn, o));
    struct order inside = {.name = "inside"};
    o->inner = store_write(ctx, o->place->store, timer_set, &inside);
    o->effects += inside.effects;
    return o->inner;
}

static void nested(struct place *p)
{
    struct order o = {.place = p, .name = name_new(p)};
    assert_int_equal(store_write(&p->ctx, p->store, writes_inside, &o).e, E_BUG);
    assert_int_equal(o.inner.e, E_BUG);
    assert_int_equal(o.effects, 0);
    assert_false(timer_is_there(p, o.name));
    assert_false(timer_is_there(p, "inside"));
    must(&p->ctx, store_write(&p->ctx, p->store, timer_set, &o));
}

static void a_write_inside_of_a_write_is_refused(void **state)
{
    (void)state;
    on_each(nested);
}

static void writes_again(void *arg)
{
    struct order *o = arg;
    o->inner = store_write(&o->place->ctx, o->place->store, timer_set, o);
}

static struct rc has_an_effect_that_writes(struct ctx *ctx, struct txn *txn, void *arg)
{
    (void)!rc_ok(txn_on_commit(ctx, txn, writes_again, arg));
    return q_timer_set(ctx, txn, "fault", "first", 1);
}

static void effect_writes(struct place *p)
{
    struct order o = {.place = p, .name = name_new(p), .inner = rc_of(E_BUG)};
    must(&p->ctx, store_write(&p->ctx, p->store, has_an_effect_that_writes, &o));
    must(&p->ctx, o.inner);
    assert_true(timer_is_there(p, o.name));
}

static void what_follows_a_commit_may_write(void **state)
{
    (void)state;
    on_each(effect_writes);
}

/* --- references */

static struct rc token_of_nobody(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    return token(ctx, txn, o->name, bytes_z(o->name));
}

static struct rc timer_clear(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    return q_timer_clear(ctx, txn, "fault", o->name);
}

static void references(struct place *p)
{
    struct order o = {.name = name_new(p)};
    assert_int_equal(store_write(&p->ctx, p->store, token_of_nobody, &o).e, E_NOT_FOUND);
    must(&p->ctx, store_write(&p->ctx, p->store, timer_set, &o));
    /* Nothing that the queries delete is named by others today. */
    place_sql(p, "CREATE TABLE holder (kind TEXT, ref TEXT, FOREIGN KEY (kind, ref) REFERENCES timer (kind, ref))");
    place_sql(p, "INSERT INTO holder SELECT kind, ref FROM timer WHERE kind = 'fault'");
    assert_int_equal(store_write(&p->ctx, p->store, timer_clear, &o).e, E_IN_USE);
    assert_true(timer_is_there(p, o.name));
    place_sql(p, "DROP TABLE holder");
    must(&p->ctx, store_write(&p->ctx, p->store, timer_clear, &o));
    assert_false(timer_is_there(p, o.name));
}

static void a_reference_to_nothing_is_not_found_and_what_others_name_is_in_use(void **state)
{
    (void)state;
    on_each(references);
}

/* --- rows that are not what was declared */

struct installation {
    struct q_installation_get_row row;
    bool found;
};

static struct rc installation(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct installation *i = arg;
    return q_installation_get(ctx, txn, &i->row, &i->found);
}

/* Reads the installation's row, whose `column` is `value` now. */
static enum err read_with(struct place *p, const char *column, const char *value, struct installation *i)
{
    static const char *const columns[][2] = {
        {"one", "1"},
        {"name", "CAST('n' AS TEXT)"},
        {"epoch", "CAST(7 AS BIGINT)"},
        {"seen_at", "CAST(0 AS BIGINT)"},
        {"issued", "CAST(0 AS BIGINT)"},
        {"fleet_sha256", "NULL"},
        {"created_at", "CAST(1 AS BIGINT)"},
    };
    char sql[512] = "CREATE VIEW installation AS SELECT ";
    for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
        const char *v = !strcmp(columns[k][0], column) ? value : columns[k][1];
        const size_t n = strlen(sql);
        snprintf(sql + n, sizeof sql - n, "%s%s AS %s", k ? ", " : "", v, columns[k][0]);
    }
    place_close(p); /* PostgreSQL would refuse a prepared query whose columns changed their types */
    place_sql(p, "ALTER TABLE installation RENAME TO installation_before");
    place_sql(p, sql);
    place_open(p);
    ctx_forget(&p->ctx);
    *i = (struct installation){0};
    const enum err e = store_read(&p->ctx, p->store, installation, i).e;
    place_close(p);
    place_sql(p, "DROP VIEW installation");
    place_sql(p, "ALTER TABLE installation_before RENAME TO installation");
    place_open(p);
    return e;
}

static void odd_columns(struct place *p)
{
    struct installation i;
    if (read_with(p, "", "", &i) != E_OK)
        fail_msg("%s", ctx_why(&p->ctx));
    assert_true(i.found);
    assert_string_equal(i.row.name, "n");
    assert_int_equal(i.row.epoch, 7);
    assert_int_equal(i.row.fleet_sha256.n, 0);
    assert_int_equal(read_with(p, "epoch", "CAST(NULL AS BIGINT)", &i), E_BUG);
    assert_false(i.found);
    assert_non_null(strstr(ctx_why(&p->ctx), "installation_get"));
    assert_int_equal(read_with(p, "name", "CAST(NULL AS TEXT)", &i), E_BUG);
    assert_int_equal(read_with(p, "epoch", "CAST('7' AS TEXT)", &i), E_BUG);
    assert_int_equal(read_with(p, "epoch", "1.5", &i), E_BUG);
    assert_int_equal(read_with(p, "name", "CAST(7 AS BIGINT)", &i), E_BUG);
    assert_int_equal(read_with(p, "fleet_sha256", "CAST('7' AS TEXT)", &i), E_BUG);
    assert_int_equal(read_with(p, "fleet_sha256", "1.5", &i), E_BUG); /* and not NULL, which it may be */
}

static void a_column_of_null_or_of_another_type_is_a_bug_and_not_a_zero(void **state)
{
    (void)state;
    on_each(odd_columns);
}

/* --- a full disk (SQLite) */

/* A disk on which no file grows beyond `end`, by way of the system calls of SQLite's own VFS. */
static struct {
    atomic_llong end, high;
} disk = {.end = INT64_MAX};

static ssize_t disk_write(int fd, const void *p, size_t n, off64_t at)
{
    if (at + (off64_t)n > atomic_load(&disk.end)) {
        errno = ENOSPC;
        return -1;
    }
    const ssize_t done = pwrite64(fd, p, n, at);
    if (at + (off64_t)n > atomic_load(&disk.high))
        atomic_store(&disk.high, at + (off64_t)n);
    return done;
}

static void disk_mount(bool on)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    assert_non_null(vfs);
    static const char *const names[] = {"pwrite", "pwrite64"};
    for (size_t i = 0; i < 2; i++)
        vfs->xSetSystemCall(vfs, names[i], on ? (sqlite3_syscall_ptr)disk_write : NULL);
    atomic_store(&disk.end, INT64_MAX);
    atomic_store(&disk.high, 0);
}

static int disk_up(void **state)
{
    (void)state;
    disk_mount(true);
    return 0;
}

static int disk_down(void **state)
{
    (void)state;
    disk_mount(false);
    return 0;
}

#define CLIENTS 9

struct crowd {
    struct store *store;
    atomic_int at_the_door;
    size_t large; /* what the one in the middle writes */
};

struct client {
    struct crowd *crowd;
    pthread_t thread;
    const char *name;
    size_t large;
    struct rc rc;
    char why[256];
};

static struct rc write_much(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct client *c = arg;
    char *much = arena_alloc(&ctx->arena, c->large + 1);
    memset(much, 'x', c->large);
    const struct q_audit_add_in in = {.at = 1,
                                      .peer = "",
                                      .principal = "test",
                                      .action = "write",
                                      .object_kind = "disk",
                                      .object_id = c->name,
                                      .team_id = "none",
                                      .request_id = "none",
                                      .detail = much};
    TRY(q_audit_add(ctx, txn, &in));
    return q_timer_set(ctx, txn, "fault", c->name, 1);
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    atomic_fetch_add(&c->crowd->at_the_door, 1);
    c->rc = store_write(&ctx, c->crowd->store, write_much, c);
    snprintf(c->why, sizeof c->why, "%s", ctx_why(&ctx));
    ctx_free(&ctx);
    return NULL;
}

/* Holds the writer until the others are in its queue, so that they share the next transaction. */
static struct rc hold(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct crowd *c = arg;
    (void)ctx;
    (void)txn;
    while (atomic_load(&c->at_the_door) < CLIENTS)
        usleep(1000);
    usleep(20000);
    return RC_OK;
}

static void *holder_main(void *arg)
{
    struct crowd *c = arg;
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    struct rc rc = store_write(&ctx, c->store, hold, c);
    ctx_free(&ctx);
    return rc_ok(rc) ? c : NULL;
}

/* One large closure among small ones on a disk that has room for the small ones. */
static void crowd_round(struct place *p, size_t large)
{
    struct crowd crowd = {.store = p->store};
    struct client clients[CLIENTS] = {0};
    pthread_t holder;
    assert_int_equal(pthread_create(&holder, NULL, holder_main, &crowd), 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.crowd = &crowd, .name = name_new(p), .large = i == CLIENTS / 2 ? large : 10};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
    }
    void *held = NULL;
    pthread_join(holder, &held);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
    assert_non_null(held);
    for (int i = 0; i < CLIENTS; i++) {
        const bool small = i != CLIENTS / 2;
        if (small && rc_failed(clients[i].rc))
            fail_msg("%s", clients[i].why);
        assert_int_equal(clients[i].rc.e, small ? E_OK : E_DISK_FULL);
        assert_int_equal(timer_is_there(p, clients[i].name), small);
        if (!small)
            assert_non_null(strstr(clients[i].why, p->config.path));
    }
}

/* Until the large one did share a transaction: whether it does is the scheduler's choice. */
static void full_disk(struct place *p, size_t large)
{
    struct store_stats st = {0};
    for (int i = 0; i < 20 && !st.retries; i++) {
        atomic_store(&disk.end, atomic_load(&disk.high) + 512 * 1024);
        crowd_round(p, large);
        store_stats(p->store, &st);
    }
    assert_true(st.retries > 0);
    atomic_store(&disk.end, INT64_MAX);
    struct client again = {.name = name_new(p), .large = large};
    must(&p->ctx, store_write(&p->ctx, p->store, write_much, &again));
    assert_null(store_trouble(&p->ctx, p->store));
}

static void full_in_a_query(struct place *p)
{
    full_disk(p, 4 << 20); /* more than the page cache holds: SQLite writes while the query runs, and ends the transaction */
}

static void full_in_the_commit(struct place *p)
{
    full_disk(p, 700 << 10);
}

static void one_write_too_large_for_the_disk_fails_no_other_of_its_transaction(void **state)
{
    (void)state;
    on(STORE_SQLITE, full_in_a_query);
}

static void one_write_too_large_for_the_disk_fails_no_other_of_its_commit(void **state)
{
    (void)state;
    on(STORE_SQLITE, full_in_the_commit);
}

static void full_and_room_again(struct place *p)
{
    struct order o = {.name = name_new(p)};
    assert_null(store_trouble(&p->ctx, p->store));
    atomic_store(&disk.end, 0);
    assert_int_equal(store_write(&p->ctx, p->store, timer_set, &o).e, E_DISK_FULL);
    assert_int_equal(o.effects, 0);
    assert_non_null(strstr(store_trouble(&p->ctx, p->store), p->config.path));
    assert_int_equal(store_write(&p->ctx, p->store, token_of_nobody, &o).e, E_NOT_FOUND);
    assert_non_null(store_trouble(&p->ctx, p->store)); /* that one says nothing of the disk */
    assert_false(timer_is_there(p, o.name));
    atomic_store(&disk.end, INT64_MAX);
    must(&p->ctx, store_write(&p->ctx, p->store, timer_set, &o));
    assert_null(store_trouble(&p->ctx, p->store));
    assert_true(timer_is_there(p, o.name));
}

static void a_full_disk_is_told_of_until_there_is_room_again(void **state)
{
    (void)state;
    on(STORE_SQLITE, full_and_room_again);
}

/* --- a server that hangs up (PostgreSQL) */

static const char hang_up[] = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                              " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

struct depth {
    struct place *place;
    int left;
};

/* Has as many connections as it is deep. */
static struct rc read_deeper(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct depth *d = arg;
    struct depth next = {d->place, d->left - 1};
    (void)txn;
    return next.left > 0 ? store_read(ctx, d->place->store, read_deeper, &next) : RC_OK;
}

static void dead_pool(struct place *p)
{
    struct depth d = {p, 6};
    must(&p->ctx, store_read(&p->ctx, p->store, read_deeper, &d));
    place_sql(p, hang_up);
    struct order o = {.name = name_new(p)};
    must(&p->ctx, store_write(&p->ctx, p->store, timer_set, &o));
    assert_int_equal(o.effects, 1);
    assert_true(timer_is_there(p, o.name));
    place_sql(p, hang_up);
    assert_true(timer_is_there(p, o.name));
    /* None of the dead is still counted: the whole pool is to be had. */
    d.left = 8;
    p->ctx.deadline_ms = clock_mono_ms() + 60000;
    must(&p->ctx, store_read(&p->ctx, p->store, read_deeper, &d));
    p->ctx.deadline_ms = 0;
    assert_string_equal(ctx_why(&p->ctx), "");
}

static void connections_that_died_in_the_pool_are_replaced_without_an_error(void **state)
{
    (void)state;
    on(STORE_POSTGRES, dead_pool);
}

static struct rc loses_its_connection(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    TRY(timer_set(ctx, txn, o));
    place_sql(o->place, hang_up);
    return q_timer_set(ctx, txn, "fault", "later", 1);
}

static void lost_within(struct place *p)
{
    struct order o = {.place = p, .name = name_new(p)};
    assert_int_equal(store_write(&p->ctx, p->store, loses_its_connection, &o).e, E_UNREACHABLE);
    assert_int_equal(o.effects, 0);
    assert_non_null(store_trouble(&p->ctx, p->store));
    assert_false(timer_is_there(p, o.name));
    must(&p->ctx, store_write(&p->ctx, p->store, timer_set, &o));
    assert_true(timer_is_there(p, o.name));
    assert_null(store_trouble(&p->ctx, p->store));
}

static void a_write_that_loses_its_connection_has_written_nothing(void **state)
{
    (void)state;
    on(STORE_POSTGRES, lost_within);
}

static struct rc loses_its_connection_at_the_end(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct order *o = arg;
    TRY(timer_set(ctx, txn, o));
    place_sql(o->place, hang_up);
    return RC_OK;
}

static void lost_in_commit(struct place *p)
{
    struct order o = {.place = p, .name = name_new(p)};
    assert_int_equal(store_write(&p->ctx, p->store, loses_its_connection_at_the_end, &o).e, E_DATABASE);
    assert_non_null(strstr(ctx_why(&p->ctx), "outcome unknown"));
    assert_int_equal(o.effects, 0);
    must(&p->ctx, store_write(&p->ctx, p->store, timer_set, &o)); /* the second try that the header advises */
}

static void a_commit_that_was_not_answered_has_an_unknown_outcome(void **state)
{
    (void)state;
    on(STORE_POSTGRES, lost_in_commit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_that_ignores_a_failed_query_is_not_told_that_it_committed),
        cmocka_unit_test(a_write_may_go_on_where_an_update_met_no_row),
        cmocka_unit_test(a_write_inside_of_a_write_is_refused),
        cmocka_unit_test(what_follows_a_commit_may_write),
        cmocka_unit_test(a_reference_to_nothing_is_not_found_and_what_others_name_is_in_use),
        cmocka_unit_test(a_column_of_null_or_of_another_type_is_a_bug_and_not_a_zero),
        cmocka_unit_test_setup_teardown(one_write_too_large_for_the_disk_fails_no_other_of_its_transaction, disk_up, disk_down),
        cmocka_unit_test_setup_teardown(one_write_too_large_for_the_disk_fails_no_other_of_its_commit, disk_up, disk_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_of_until_there_is_room_again, disk_up, disk_down),
        cmocka_unit_test(connections_that_died_in_the_pool_are_replaced_without_an_error),
        cmocka_unit_test(a_write_that_loses_its_connection_has_written_nothing),
        cmocka_unit_test(a_commit_that_was_not_answered_has_an_unknown_outcome),
    };
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
