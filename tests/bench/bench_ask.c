/* How long people wait for an answer of the inventory: pages of lists, searches by suffix, word and number, facets and the numbers
 * of an overview, each asked many times with other values.  The inventories are made by bench_inventory (which keeps the file that
 * it is given), and the same questions are put to a small one and a large one, by turns, so that both have the same moments:
 *
 *     bench_inventory 0.1 sqlite small.db; bench_inventory 10 sqlite large.db
 *     bench_ask SMALL.db LARGE.db [ROUNDS [QUESTION…]]
 *
 * Instead of a file, "host=… dbname=…" of a PostgreSQL (bench_inventory 10 postgres "host=…" fills it); its CPU is not counted.
 *
 * One line a question: milliseconds at the median and the 99th percentile, on the clock and of CPU, of SMALL and LARGE; looks is
 * certificates looked at for a page. */
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "core/access.h"
#include "core/ask.h"
#include "core/counter.h"
#include "lib/many_certs.h"
#include "store/queries.h"

#define ROUNDS 300

struct inventory_file {
    struct ctx ctx;
    struct core core;
    struct principal principal;
    uint64_t certificates;
};

struct question {
    struct inventory_file *file;
    struct ask ask;
    struct ask_page page;
    struct ask_facets facets;
    uint64_t dice;
    int64_t looks, rows;
};

static uint64_t roll(struct question *q)
{
    uint64_t z = q->dice += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    return (z ^ z >> 27) * 0x94d049bb133111eb;
}

/* The name of some certificate that is there. */
static const char *some_name(struct ctx *ctx, struct question *q)
{
    char *name = arena_alloc(&ctx->arena, 64);
    many_cert_name(1, roll(q) % q->file->certificates, name);
    return name;
}

static struct rc page(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct question *q = arg;
    if (!q->ask.limit)
        q->ask.limit = 50;
    TRY(ask_page(ctx, &q->file->core, txn, &q->ask, &q->page));
    q->looks += q->page.looks;
    q->rows += (int64_t)q->page.n;
    return RC_OK;
}

static struct rc facets(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct question *q = arg;
    return ask_facets(ctx, &q->file->core, txn, q->ask.where, &q->facets);
}

static struct rc overview(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct question *q = arg;
    struct q_counter_days_row *days = NULL;
    size_t n = 0;
    TRY(ask_facets(ctx, &q->file->core, txn, NULL, &q->facets));
    return q_counter_days(ctx, txn, COUNTER_TOTAL, "", access_scope(ctx), ctx_now_s(ctx) / 86400 - 90, &days, &n);
}

static void newest(struct ctx *ctx, struct question *q)
{
    (void)ctx, (void)q;
}
static void deep(struct ctx *ctx, struct question *q)
{
    q->ask.after = arena_printf(&ctx->arena, "n%llu.0", (unsigned long long)(roll(q) % q->file->certificates));
}
static void soonest(struct ctx *ctx, struct question *q)
{
    (void)ctx;
    q->ask.order = ASK_SOONEST;
}
static void suffix(struct ctx *ctx, struct question *q)
{
    const char *name = some_name(ctx, q);
    for (int i = 0; i < 2 && strchr(name, '.'); i++) /* the domain of the name */
        name = strchr(name, '.') + 1;
    q->ask.where = arena_printf(&ctx->arena, "name under %s", name);
}
static void exact(struct ctx *ctx, struct question *q)
{
    q->ask.where = arena_printf(&ctx->arena, "name = %s", some_name(ctx, q));
}
static void word(struct ctx *ctx, struct question *q)
{
    static const char *const words[] = {"shop", "mail", "api", "portal", "intranet", "git", "billing", "cloud"};
    q->ask.where = arena_printf(&ctx->arena, "name ~ %s", words[roll(q) % 8]);
}
static void rare_word(struct ctx *ctx, struct question *q)
{
    const char *name = strchr(some_name(ctx, q), '-') + 1;
    q->ask.where = arena_printf(&ctx->arena, "name ~ %.*s", (int)strcspn(name, "."), name);
}
static void two_words(struct ctx *ctx, struct question *q)
{
    const char *name = some_name(ctx, q);
    q->ask.where = arena_printf(&ctx->arena, "name ~ %.*s and name ~ cdn and key = rsa-2048", (int)strcspn(name, "-"), name);
}
static void issuer(struct ctx *ctx, struct question *q)
{
    q->ask.where = arena_printf(&ctx->arena, "issuer.o = \"Public Trust %llu\"", (unsigned long long)(roll(q) % 4));
}
static void issuer_soonest(struct ctx *ctx, struct question *q)
{
    issuer(ctx, q);
    q->ask.order = ASK_SOONEST;
}
static void suffix_soonest(struct ctx *ctx, struct question *q)
{
    suffix(ctx, q);
    q->ask.order = ASK_SOONEST;
}
static void soon(struct ctx *ctx, struct question *q)
{
    q->ask.where = arena_printf(&ctx->arena, "expires > now and expires < %llud", (unsigned long long)(1 + roll(q) % 60));
}
static void soon_issuer(struct ctx *ctx, struct question *q)
{
    q->ask.where =
        arena_printf(&ctx->arena, "expires > now and expires < %llud and issuer.o = \"Public Trust %llu\" and not managed",
                     (unsigned long long)(1 + roll(q) % 60), (unsigned long long)(roll(q) % 4));
}
static void all_of_it(struct ctx *ctx, struct question *q)
{
    suffix(ctx, q);
    q->ask.where =
        arena_printf(&ctx->arena, "expires < 30d and issuer.o = \"Public Trust 1\" and not managed and %s", q->ask.where);
}
static void finding(struct ctx *ctx, struct question *q)
{
    static const char *const checks[] = {"expired", "expiring", "short_key", "self_signed"};
    q->ask.where = arena_printf(&ctx->arena, "finding = %s", checks[roll(q) % 4]);
}
static void not_term(struct ctx *ctx, struct question *q)
{
    q->ask.where = arena_printf(&ctx->arena, "not name ~ shop and not key = rsa");
}

static const struct {
    const char *name;
    void (*make)(struct ctx *ctx, struct question *q);
    store_fn *ask;
} questions[] = {
    {"list", newest, page},
    {"list_deep", deep, page},
    {"list_expires", soonest, page},
    {"suffix", suffix, page},
    {"name", exact, page},
    {"word", word, page},
    {"rare_word", rare_word, page},
    {"two_words_key", two_words, page},
    {"issuer", issuer, page},
    {"issuer_soonest", issuer_soonest, page},
    {"suffix_soonest", suffix_soonest, page},
    {"expires", soon, page},
    {"expires_issuer", soon_issuer, page},
    {"all_of_it", all_of_it, page},
    {"finding", finding, page},
    {"nothing_of", not_term, page},
    {"facets", newest, facets},
    {"facets_suffix", suffix, facets},
    {"facets_word", word, facets},
    {"facets_issuer", issuer, facets},
    {"overview", newest, overview},
};

static struct rc team_find(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct inventory_file *f = arg;
    struct q_team_by_name_row team;
    struct q_certificate_newest_row newest_row;
    bool found = false;
    TRY(q_team_by_name(ctx, txn, "everyone", &team, &found));
    TRY(q_certificate_newest(ctx, txn, &newest_row));
    f->core.team_root = found ? arena_strdup(&f->ctx.arena, team.id) : "";
    f->certificates = (uint64_t)newest_row.id;
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "not made by bench_inventory");
}

/* What goes on by itself in a hub.  The looks that are due are not taken: they would be at all certificates. */
static struct rc fold(struct ctx *ctx, struct txn *txn, void *more)
{
    return counter_fold(ctx, txn, more);
}

static struct rc file_open(struct inventory_file *f, const char *path)
{
    ctx_init(&f->ctx, &clock_system);
    const bool postgres = !strncmp(path, "host=", 5);
    const struct store_config config = {
        .engine = postgres ? STORE_POSTGRES : STORE_SQLITE, .path = postgres ? NULL : path, .conninfo = postgres ? path : NULL};
    f->core.clock = f->ctx.clock;
    TRY(inventory_load(&f->ctx));
    TRY(store_open(&f->ctx, &config, &f->core.store));
    TRY(store_read(&f->ctx, f->core.store, team_find, f));
    f->principal = (struct principal){
        .kind = PRINCIPAL_OWNER, .id = "bench", .name = "bench", .team = f->core.team_root, .role = "administrator"};
    TRY(inventory_open(&f->ctx, &f->core));
    for (bool more = true; more;)
        TRY(store_write(&f->ctx, f->core.store, fold, &more));
    return RC_OK;
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* One question, with a request's memory. */
static bool ask_once(struct inventory_file *f, size_t kind, uint64_t round, double *ms, double *cpu, int64_t *looks, int64_t *rows)
{
    CTX_CLEANUP struct ctx ctx;
    struct question q = {.file = f, .dice = round * 7919 + kind};
    ctx_init(&ctx, &clock_system);
    ctx.principal = &f->principal;
    questions[kind].make(&ctx, &q);
    const double cpu_start = cpu_ms();
    const int64_t start = clock_mono_us();
    struct rc rc = store_read(&ctx, f->core.store, questions[kind].ask, &q);
    *ms = (double)(clock_mono_us() - start) / 1000;
    *cpu = cpu_ms() - cpu_start; /* this thread's: a reader is no other one */
    *looks += q.looks;
    *rows += q.rows;
    if (rc_failed(rc))
        fprintf(stderr, "bench_ask: %s: %s\n", q.ask.where ? q.ask.where : "", ctx_why(&ctx));
    return rc_ok(rc);
}

/* Whether a question is meant: none is named, or this one. */
static bool is_asked(int argc, char **argv, const char *name)
{
    for (int i = 4; i < argc; i++)
        if (str_equal(argv[i], name))
            return true;
    return argc <= 4;
}

int main(int argc, char **argv)
{
    struct inventory_file files[2] = {0};
    const size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : ROUNDS;
    if (argc < 3 || rounds < 1) {
        fprintf(stderr, "usage: bench_ask SMALL.db LARGE.db [ROUNDS [QUESTION...]]\n");
        return 2;
    }
    for (int i = 0; i < 2; i++)
        if (rc_failed(file_open(&files[i], argv[i + 1]))) {
            fprintf(stderr, "bench_ask: %s: %s\n", argv[i + 1], ctx_why(&files[i].ctx));
            return 1;
        }
    double *ms[2], *cpu[2];
    for (int i = 0; i < 2; i++) {
        ms[i] = calloc(rounds, sizeof(double));
        cpu[i] = calloc(rounds, sizeof(double));
    }
    for (size_t kind = 0; kind < sizeof questions / sizeof *questions; kind++) {
        int64_t looks[2] = {0}, rows[2] = {0};
        if (!is_asked(argc, argv, questions[kind].name))
            continue;
        for (size_t round = 0; round < rounds; round++)
            for (int i = 0; i < 2; i++)
                if (!ask_once(&files[i], kind, round, &ms[i][round], &cpu[i][round], &looks[i], &rows[i]))
                    return 1;
        for (int i = 0; i < 2; i++) {
            qsort(ms[i], rounds, sizeof(double), by_size);
            qsort(cpu[i], rounds, sizeof(double), by_size);
            printf(
                "ask question=%s n=%llu p50_ms=%.2f p99_ms=%.2f max_ms=%.2f cpu_p50_ms=%.2f cpu_p99_ms=%.2f looks=%.0f rows=%.1f\n",
                questions[kind].name, (unsigned long long)files[i].certificates, ms[i][rounds / 2], ms[i][rounds * 99 / 100],
                ms[i][rounds - 1], cpu[i][rounds / 2], cpu[i][rounds * 99 / 100], (double)looks[i] / (double)rounds,
                (double)rows[i] / (double)rounds);
        }
        fflush(stdout);
    }
    for (int i = 0; i < 2; i++) {
        free(ms[i]);
        free(cpu[i]);
        inventory_close(&files[i].core);
        store_close(files[i].core.store);
        ctx_free(&files[i].ctx);
    }
    return 0;
}
