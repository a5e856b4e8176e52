/* How fast certificates are taken into the inventory, and how much room they need there: parsed, with their findings, counters and all
 * indexes, durable.  The certificates are made apart from what is measured (lib/many_certs.h).
 *
 *     bench_inventory [MILLIONS] [sqlite|postgres] [FILE|"host=… dbname=…"]     3, both, a database of its own
 *
 * One line each half million and one for all:
 *
 *     inventory engine=sqlite n=… per_s=… sustained_per_s=… der_bytes=… disk_bytes=… times=… rss_mib=… cpu_us=… */
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "core/inventory.h"
#include "lib/many_certs.h"
#include "lib/pg_server.h"
#include "store/queries.h"

#define SLICE 500000

struct slice {
    uint8_t *bytes;
    struct inventory_item *items;
    size_t n, der_bytes;
};

static void slice_make(struct slice *s, uint64_t first, size_t n, int64_t now)
{
    uint8_t *p = s->bytes;
    s->n = n;
    s->der_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t size = many_cert(1, first + i, now, p);
        s->items[i] = (struct inventory_item){.der = bytes_of(p, size)};
        s->der_bytes += size;
        p += size;
    }
}

static struct rc team_make(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct core *core = arg;
    TRY(q_team_add(ctx, txn, core->team_root, NULL, "everyone", 1));
    return q_team_within_add(ctx, txn, core->team_root, core->team_root);
}

static struct rc open_core(struct ctx *ctx, const struct store_config *config, struct core *core)
{
    core->clock = ctx->clock;
    core->team_root = id_new(&ctx->arena, 1);
    TRY(store_open(ctx, config, &core->store));
    TRY(store_write(ctx, core->store, team_make, core));
    return inventory_open(ctx, core);
}

static double cpu_of(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double cpu_s(void)
{
    return cpu_of(RUSAGE_SELF);
}

static double rss_mib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

/* All of them; how long it took without making them. */
static struct rc take_all(struct ctx *ctx, struct core *core, const char *engine, uint64_t n, struct slice *s, double *took, double *cpu,
                          double *der_bytes)
{
    const struct inventory_from from = {.source = INVENTORY_IMPORT};
    *took = *cpu = *der_bytes = 0;
    for (uint64_t at = 0; at < n; at += SLICE) {
        const int64_t now = clock_unix_s(ctx->clock);
        slice_make(s, at, n - at < SLICE ? n - at : SLICE, now);
        const double cpu_before = cpu_s();
        const int64_t start = clock_mono_ms();
        TRY(inventory_bulk(ctx, core, &from, s->items, s->n, NULL, NULL));
        const double seconds = (double)(clock_mono_ms() - start) / 1000;
        *took += seconds;
        *cpu += cpu_s() - cpu_before;
        *der_bytes += (double)s->der_bytes;
        printf("inventory engine=%s at=%llu per_s=%.0f cpu_us=%.1f\n", engine, (unsigned long long)(at + s->n), (double)s->n / seconds,
               (cpu_s() - cpu_before) / (double)s->n * 1e6);
        fflush(stdout);
    }
    return RC_OK;
}

static double size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (double)st.st_size;
}

static bool engine_run(const struct store_config *config, const char *engine, uint64_t n)
{
    struct ctx CTX_CLEANUP ctx;
    struct core core = {0};
    ctx_init(&ctx, &clock_system);
    struct slice s = {.bytes = malloc((size_t)SLICE * MANY_CERT_MAX), .items = calloc(SLICE, sizeof *s.items)};
    double took = 0, cpu = 0, der_bytes = 0;
    struct rc rc = open_core(&ctx, config, &core);
    if (rc_ok(rc))
        rc = take_all(&ctx, &core, engine, n, &s, &took, &cpu, &der_bytes);
    if (rc_failed(rc))
        fprintf(stderr, "bench_inventory: %s\n", ctx_why(&ctx));
    inventory_close(&core);
    store_close(core.store);
    const double disk = config->path ? size_of(config->path) : 0;
    if (rc_ok(rc))
        printf("inventory engine=%s n=%llu sustained_per_s=%.0f der_bytes=%.0f disk_bytes=%.0f times=%.2f rss_mib=%.0f cpu_us=%.1f\n", engine,
               (unsigned long long)n, (double)n / took, der_bytes / (double)n, disk / (double)n, disk / der_bytes, rss_mib(),
               cpu / (double)n * 1e6);
    free(s.bytes);
    free(s.items);
    return rc_ok(rc);
}

static bool sqlite_run(uint64_t n, const char *file)
{
    char dir[] = "/tmp/cw-bench-XXXXXX", path[64];
    if (!file && !mkdtemp(dir))
        return false;
    snprintf(path, sizeof path, "%s/hub.db", dir);
    const struct store_config config = {.engine = STORE_SQLITE, .path = file ? file : path};
    const bool good = engine_run(&config, "sqlite", n);
    if (!file) {
        unlink(path);
        rmdir(dir);
    }
    return good;
}

static bool postgres_run(uint64_t n, const char *conninfo)
{
    struct pg_server pg;
    const struct store_config other = {.engine = STORE_POSTGRES, .conninfo = conninfo};
    if (conninfo)
        return engine_run(&other, "postgres", n);
    const bool up = pg_server_start_with(&pg, "128MB"); /* its default */
    const struct store_config config = {.engine = STORE_POSTGRES, .conninfo = pg.conninfo};
    const bool good = up && engine_run(&config, "postgres", n);
    if (up)
        pg_server_sql(&pg, "SELECT pg_database_size(current_database())");
    const double before = cpu_of(RUSAGE_CHILDREN);
    pg_server_stop(&pg);
    printf("inventory engine=postgres n=%llu server_cpu_us=%.1f\n", (unsigned long long)n,
           (cpu_of(RUSAGE_CHILDREN) - before) / (double)n * 1e6);
    return good;
}

int main(int argc, char **argv)
{
    const double millions = argc > 1 ? strtod(argv[1], NULL) : 3;
    const char *engine = argc > 2 ? argv[2] : "both";
    const uint64_t n = (uint64_t)(millions * 1e6);
    bool good = true;
    if (strcmp(engine, "postgres"))
        good = sqlite_run(n, argc > 3 ? argv[3] : NULL);
    if (strcmp(engine, "sqlite"))
        good = postgres_run(n, argc > 3 ? argv[3] : NULL) && good;
    return good ? 0 : 1;
}
