/* Committed writes a second of the store, at 1, 16 and 64 clients: each writes a job and its audit row in one closure, as the hub
 * does when something is due.  Beside it, of the same run and folder: how often a second one thread can append a page to a file
 * and have it on disk.  More writes than that are served because several share a commit.  Meanwhile the audit log's sequencer gives
 * the entries their places, once a second, or at once where it has more; `folded` is how many of a hundred have theirs when the
 * clients end, `lag_ms` how long it takes until all have.  One line an engine and number of clients:
 *
 *     store engine=sqlite clients=16 writes_per_s=… commits_per_s=… retries=… fsyncs_per_s=… folded=… lag_ms=… */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/audit_log.h"
#include "lib/pg_server.h"
#include "store/queries.h"
#include "store/store.h"

#define SECONDS     3
#define CLIENTS_MAX 64
#define PAGE        4096

struct run {
    struct store *store;
    const char *agent;
    struct core core;
    atomic_bool over;
    atomic_llong writes, failures;
};

struct wish {
    const struct run *run;
    const char *id, *ref;
};

static struct rc agent_add(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct wish *w = arg;
    TRY(q_team_add(ctx, txn, w->id, NULL, w->id, 1));
    const struct q_agent_add_in in = {.id = w->id,
                                      .team_id = w->id,
                                      .name = w->id,
                                      .identity = w->id,
                                      .state = "active",
                                      .version = "1",
                                      .platform = "linux",
                                      .granted = "[]",
                                      .networks = "[]",
                                      .address = "",
                                      .join_token_id = "",
                                      .now = 1};
    return q_agent_add(ctx, txn, &in);
}

static struct rc job_and_audit(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct wish *w = arg;
    const int64_t now = ctx_now_s(ctx);
    const struct q_job_add_in job = {.id = w->id,
                                     .kind = "key",
                                     .agent_id = w->run->agent,
                                     .lane = w->ref,
                                     .ref = w->ref,
                                     .payload = "{\"names\":[\"www.example.org\"],\"key\":\"ec-p256\"}",
                                     .run_at = now,
                                     .now = now};
    TRY(q_job_add(ctx, txn, &job));
    return audit_write(ctx, txn, "attempt.begin", "attempt", w->ref, w->run->agent, BYTES_LIT("{\"reason\":\"due\"}"));
}

static void *client(void *arg)
{
    struct run *r = arg;
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    while (!atomic_load(&r->over)) {
        const int64_t now_ms = clock_unix_ms(ctx.clock);
        ctx.principal = access_hub(&ctx, &r->core);
        struct wish w = {.run = r, .id = id_new(&ctx.arena, now_ms), .ref = id_new(&ctx.arena, now_ms)};
        struct rc rc = store_write(&ctx, r->store, job_and_audit, &w);
        atomic_fetch_add(rc_ok(rc) ? &r->writes : &r->failures, 1);
        if (rc_failed(rc))
            fprintf(stderr, "bench_store: %s\n", ctx_why(&ctx));
        ctx_reset(&ctx);
    }
    ctx_free(&ctx);
    return NULL;
}

/* As the hub's schedule does. */
static void *sequencer(void *arg)
{
    struct run *r = arg;
    struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    for (bool last = false, more = false; !last || more;) {
        last = atomic_load(&r->over);
        ctx.principal = access_hub(&ctx, &r->core);
        audit_tick(&ctx, &r->core, &more);
        ctx_reset(&ctx);
        for (int i = 0; !more && i < 100 && !atomic_load(&r->over); i++)
            usleep(10000);
    }
    ctx_free(&ctx);
    return NULL;
}

static int64_t places(struct run *r)
{
    struct ctx CTX_CLEANUP ctx;
    struct audit_state state = {0};
    ctx_init(&ctx, &clock_system);
    return rc_ok(audit_head(&ctx, &r->core, 0, &state)) ? state.tree : 0;
}

/* What one thread can have on disk: pages a second, each appended and synced. */
static double fsyncs_a_second(const char *dir)
{
    char path[128];
    static const uint8_t page[PAGE] = {1};
    snprintf(path, sizeof path, "%s/fsync", dir);
    const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    const int64_t start = clock_mono_ms();
    int64_t n = 0;
    while (fd >= 0 && clock_mono_ms() - start < SECONDS * 1000) {
        if (write(fd, page, sizeof page) != sizeof page || fsync(fd))
            break;
        n++;
    }
    const int64_t ms = clock_mono_ms() - start;
    if (fd >= 0)
        close(fd);
    unlink(path);
    return (double)n * 1000 / (double)(ms ? ms : 1);
}

/* False where a write failed. */
static bool measure(struct store *store, const char *agent, const char *engine, unsigned clients, double fsyncs)
{
    struct run r = {.store = store, .agent = agent};
    pthread_t folder;
    r.core.store = store;
    r.core.clock = &clock_system;
    r.core.team_root = agent;
    r.core.audit.rest_until_ms = INT64_MAX; /* there is no signer */
    struct store_stats before, after;
    store_stats(store, &before);
    pthread_t threads[CLIENTS_MAX];
    unsigned made = 0;
    const int64_t had = places(&r);
    const bool folds = !pthread_create(&folder, NULL, sequencer, &r);
    const int64_t start = clock_mono_ms();
    while (made < clients && !pthread_create(&threads[made], NULL, client, &r))
        made++;
    while (clock_mono_ms() - start < SECONDS * 1000)
        usleep(10000);
    atomic_store(&r.over, true);
    for (unsigned i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    const double s = (double)(clock_mono_ms() - start) / 1000;
    store_stats(store, &after);
    const int64_t folded = places(&r) - had, ended = clock_mono_ms();
    if (folds)
        pthread_join(folder, NULL);
    printf("store engine=%s clients=%u writes_per_s=%.0f commits_per_s=%.0f retries=%lld fsyncs_per_s=%.0f folded=%.0f lag_ms=%lld\n",
           engine, made,
           (double)r.writes / s, (double)(after.commits - before.commits) / s, (long long)(after.retries - before.retries), fsyncs,
           100.0 * (double)folded / (double)(r.writes ? r.writes : 1), (long long)(clock_mono_ms() - ended));
    fflush(stdout);
    return made == clients && folds && !r.failures && places(&r) - had == r.writes;
}

static bool engine_run(const struct store_config *config, const char *engine, const char *dir)
{
    static const unsigned clients[] = {1, 16, CLIENTS_MAX};
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, &clock_system);
    const double fsyncs = fsyncs_a_second(dir);
    struct store *store = NULL;
    struct wish first = {.id = id_new(&ctx.arena, clock_unix_ms(ctx.clock))};
    struct rc rc = store_open(&ctx, config, &store);
    if (rc_ok(rc))
        rc = store_write(&ctx, store, agent_add, &first);
    bool good = rc_ok(rc);
    if (!good)
        fprintf(stderr, "bench_store: %s\n", ctx_why(&ctx));
    for (size_t i = 0; good && i < sizeof clients / sizeof *clients; i++)
        good = measure(store, first.id, engine, clients[i], fsyncs);
    store_close(store);
    return good;
}

static bool sqlite_run(void)
{
    char dir[] = "/tmp/cw-bench-XXXXXX", path[64];
    if (!mkdtemp(dir))
        return false;
    snprintf(path, sizeof path, "%s/hub.db", dir);
    const struct store_config config = {.engine = STORE_SQLITE, .path = path};
    const bool good = engine_run(&config, "sqlite", dir);
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s/hub.db%s", dir, ends[i]);
        unlink(path);
    }
    rmdir(dir);
    return good;
}

static bool postgres_run(void)
{
    struct pg_server pg;
    const bool up = pg_server_start(&pg);
    const struct store_config config = {.engine = STORE_POSTGRES, .conninfo = pg.conninfo};
    const bool good = up && engine_run(&config, "postgres", pg.dir);
    pg_server_stop(&pg);
    return good;
}

int main(void)
{
    const bool lite = sqlite_run(), postgres = postgres_run();
    return lite && postgres ? 0 : 1;
}
