/* An installation of an earlier release comes up: its tables become those of today, and what it holds is still there. */
#include "store_test.h"

#include <sqlite3.h>

#include "base/buf.h"
#include "base/str.h"
#include "store/copy.h"
#include "store/sql.h"

/* As the first release wrote it: a team below the root, a token of it, an agent, an issuer, what was done. %s: a digest. */
static const char seed[] =
    "INSERT INTO installation (one, name, epoch, created_at) VALUES (1, 'Old', 1, 100);"
    "INSERT INTO team (id, parent_id, name, created_at) VALUES ('0root', NULL, 'everything', 100), ('0web', '0root', 'web', 100);"
    "INSERT INTO team_within (team_id, ancestor_id) VALUES ('0root', '0root'), ('0web', '0web'), ('0web', '0root');"
    "INSERT INTO token (id, team_id, name, role, hash, created_at, expires_at) VALUES"
    " ('t1', '0web', 'deploy', 'administrator', %s, 100, 9000000000);"
    "INSERT INTO agent (id, team_id, name, identity, state, version, platform, capabilities, connectors, sandbox, boot_id, "
    "clock_skew_s,"
    " created_at, seen_at) VALUES ('a1', '0root', 'host1', 'unix:62005', 'active', '0.1', 'linux', '[]', '{}', '', '', 0, 100, "
    "200);"
    "INSERT INTO audit (at, principal, action, object_kind, object_id, team_id, request_id, detail) VALUES"
    " (150, 'uid:0', 'token.create', 'token', 't1', '0web', 'r1', '{}'), (160, 'hub', 'agent.approve', 'agent', 'a1', '0root', "
    "'r2', '{}');";

struct database {
    const struct store_config config;
    sqlite3 *sqlite; /* NULL: PostgreSQL */
};

static void run(const struct database *d, const char *sql)
{
    char *why = NULL;
    if (!d->sqlite) {
        assert_true(pg_server_sql(&pg, sql));
        return;
    }
    if (sqlite3_exec(d->sqlite, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
}

/* The database as the release of migration `n` left it. */
static void make(struct ctx *ctx, const struct database *d, unsigned n)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    buf_put_z(&b, d->sqlite
                      ? "PRAGMA synchronous=OFF; CREATE TABLE schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                        " checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT;"
                      : "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE schema_migration (number BIGINT"
                        " PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL);");
    for (unsigned i = 0; i < n; i++) {
        const struct sql_migration *m = &sql_migrations[i];
        buf_put_z(&b, d->sqlite ? m->sqlite : m->postgres);
        buf_printf(&b, ";INSERT INTO schema_migration VALUES (%lld, '%s', '%s', 100);", (long long)m->number, m->name, m->checksum);
        if (i == 0)
            buf_printf(&b, seed, d->sqlite ? "x'0102'" : "'\\x0102'");
    }
    assert_true(rc_ok(buf_status(&b)));
    run(d, buf_z(&b));
}

struct seen {
    bool web_in_root, root_in_web, token;
    struct q_token_by_hash_row row;
    struct q_audit_new_row *entries;
    size_t entries_n;
    struct q_agent_get_row agent;
    bool agent_found;
};

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct seen *s = arg;
    struct q_team_is_within_row in;
    const uint8_t hash[] = {1, 2};
    TRY(q_team_is_within(ctx, txn, "0web", "0root", &in, &s->web_in_root));
    TRY(q_team_is_within(ctx, txn, "0root", "0web", &in, &s->root_in_web));
    TRY(q_token_by_hash(ctx, txn, bytes_of(hash, sizeof hash), 1000, &s->row, &s->token));
    TRY(q_audit_new(ctx, txn, 10, &s->entries, &s->entries_n));
    return q_agent_get(ctx, txn, "host1", "0root", &s->agent, &s->agent_found);
}

static void upgraded(const struct database *d, unsigned from)
{
    struct ctx ctx;
    struct store *store = NULL;
    struct seen s = {0};
    ctx_init(&ctx, &clock_system);
    struct rc rc = store_open(&ctx, &d->config, &store);
    if (rc_failed(rc))
        fail_msg("from migration %u: %s", from, ctx_why(&ctx));
    must(&ctx, store_prepare_all(&ctx, store));
    must(&ctx, store_read(&ctx, store, look, &s));
    assert_true(s.web_in_root && !s.root_in_web);
    assert_true(s.token && str_equal(s.row.team_id, "0web") && str_equal(s.row.role, "administrator") && !s.row.user_id);
    assert_int_equal(s.entries_n, 2); /* the audit log takes them in when it runs */
    assert_true(s.agent_found && str_equal(s.agent.identity, "unix:62005"));
    store_close(store);
    ctx_free(&ctx);
}

static void sqlite_of_an_old_release_becomes_today_s(void **state)
{
    (void)state;
    for (unsigned from = 1; from <= sql_migrations_n; from += 2) {
        struct ctx ctx;
        char path[] = "/tmp/cw-upgrade-XXXXXX";
        const int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        struct database d = {.config = {.engine = STORE_SQLITE, .path = path}};
        ctx_init(&ctx, &clock_system);
        assert_int_equal(sqlite3_open(path, &d.sqlite), SQLITE_OK);
        make(&ctx, &d, from);
        sqlite3_close(d.sqlite);
        upgraded(&d, from);
        ctx_free(&ctx);
        sqlite_remove(path);
    }
}

/* --- a backup that an earlier release made */

struct piece {
    const char *kind, *name, *detail; /* of a section; NULL: data, or its end */
    struct bytes data;
};
struct backup {
    struct arena *arena;
    struct piece v[20000];
    size_t n;
    struct store_copied copied;
};

static struct piece *piece(struct backup *b)
{
    assert_true(b->n < sizeof b->v / sizeof *b->v);
    return &b->v[b->n++];
}

static struct rc section(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail)
{
    struct backup *b = arg;
    (void)ctx;
    *piece(b) = (struct piece){.kind = arena_strdup(b->arena, kind),
                               .name = arena_strdup(b->arena, name),
                               .detail = arena_strdup(b->arena, detail ? detail : "")};
    return RC_OK;
}

static struct rc data(struct ctx *ctx, void *arg, struct bytes bytes)
{
    struct backup *b = arg;
    (void)ctx;
    *piece(b) = (struct piece){.data = arena_bytes(b->arena, bytes)};
    return RC_OK;
}

static struct rc section_end(struct ctx *ctx, void *arg, int64_t count)
{
    (void)ctx;
    (void)count;
    *piece(arg) = (struct piece){0};
    return RC_OK;
}

/* As server/restore.c reads one. */
static struct rc load(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct backup *b = arg;
    struct store_loader *l = NULL;
    const struct piece *at = NULL;
    TRY(store_load_begin(ctx, txn, &l));
    for (size_t i = 0; i < b->n; i++) {
        const struct piece *p = &b->v[i];
        const bool table = at && str_equal(at->kind, STORE_COPY_TABLE);
        if (p->kind) {
            at = p;
            if (str_equal(p->kind, STORE_COPY_TABLE))
                TRY(store_load_table(ctx, l, p->name, p->detail));
        } else if (p->data.n) {
            TRY(table ? store_load_row(ctx, l, p->data) : store_load_sequence(ctx, l, at->name, p->data));
        } else if (table) {
            TRY(store_load_table_end(ctx, l));
        }
    }
    return store_load_end(ctx, l);
}

static void backed_up_and_put_back(const struct database *d, unsigned from)
{
    CTX_CLEANUP struct ctx ctx;
    struct store *store = NULL;
    struct store_config old = d->config;
    ctx_init(&ctx, &clock_system);
    struct backup *b = arena_alloc(&ctx.arena, sizeof *b);
    const struct store_copy_to to = {.arg = b, .section = section, .data = data, .end = section_end};
    b->arena = &ctx.arena;
    b->n = 0;
    old.migrations = sql_migrations[from - 1].number;
    must(&ctx, store_open(&ctx, &old, &store));
    must(&ctx, store_copy(&ctx, store, NULL, &to, &b->copied));
    assert_int_equal(b->copied.migrations, old.migrations);
    must(&ctx, store_drop_all(&ctx, store));
    store_close(store);
    must(&ctx, store_open(&ctx, &old, &store));
    must(&ctx, store_write(&ctx, store, load, b));
    store_close(store);
}

static void postgres_of_an_old_release_becomes_today_s(void **state)
{
    (void)state;
    for (unsigned from = 1; from <= sql_migrations_n; from += 11) {
        struct ctx ctx;
        const struct database d = {.config = {.engine = STORE_POSTGRES, .conninfo = pg.conninfo, .connections = 4}};
        ctx_init(&ctx, &clock_system);
        make(&ctx, &d, from);
        if (from > 30) /* once is enough, and it takes its time */
            backed_up_and_put_back(&d, from);
        upgraded(&d, from);
        ctx_free(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlite_of_an_old_release_becomes_today_s),
        cmocka_unit_test(postgres_of_an_old_release_becomes_today_s),
    };
    return cmocka_run_group_tests(tests, pg_up, pg_down);
}
