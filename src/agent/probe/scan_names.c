#include "agent/probe/scan_names.h"

#include <pthread.h>
#include <unistd.h>

#include "net/dns.h"

#define THREADS_MAX 16
#define AHEAD       256
#define RESOLVE_MS  10000

struct resolved {
    enum scan_name_state state;
    bool begun;
    uint8_t n;
    struct address *v; /* heap */
};

struct scan_names {
    const char *const *names;
    size_t n;
    int wake;
    struct resolved *all;
    pthread_mutex_t lock; /* over what follows, and `all` */
    pthread_cond_t more;
    size_t next, until; /* to be resolved next; not beyond */
    bool stop;
    pthread_t threads[THREADS_MAX];
    size_t threads_n;
};

static struct resolved resolve(struct ctx *ctx, const char *name)
{
    struct dns_answer found;
    ctx_reset(ctx);
    ctx->deadline_ms = clock_mono_ms() + RESOLVE_MS;
    if (rc_failed(dns_resolve(ctx, name, 1, &found)))
        return (struct resolved){.state = SCAN_NAME_UNKNOWN, .begun = true};
    const size_t n = found.n < SCAN_NAME_ADDRESSES ? found.n : SCAN_NAME_ADDRESSES;
    struct resolved r = {SCAN_NAME_THERE, true, (uint8_t)n, calloc(n, sizeof *r.v)};
    if (r.v == NULL)
        return (struct resolved){.state = SCAN_NAME_UNKNOWN, .begun = true};
    memcpy(r.v, found.v, n * sizeof *r.v);
    return r;
}

static void *work(void *arg)
{
    struct scan_names *s = arg;
    CTX_CLEANUP struct ctx ctx;
    const uint64_t one = 1;
    ctx_init(&ctx, &clock_system);
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (s->next >= s->until) {
            pthread_cond_wait(&s->more, &s->lock);
            continue;
        }
        const size_t at = s->next++;
        if (s->all[at].begun)
            continue;
        s->all[at].begun = true;
        pthread_mutex_unlock(&s->lock);
        const struct resolved r = resolve(&ctx, s->names[at]);
        pthread_mutex_lock(&s->lock);
        s->all[at] = r;
        (void)!write(s->wake, &one, sizeof one);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

RC scan_names_start(struct ctx *ctx, const char *const *names, size_t n, int wake, struct scan_names **out)
{
    struct scan_names *s = calloc(1, sizeof *s);
    struct resolved *all = calloc(n + 1, sizeof *all);
    *out = NULL;
    if (s == NULL || all == NULL) {
        free(s);
        free(all);
        return ctx_fail(ctx, E_NO_MEMORY, "the names of a scan");
    }
    *s = (struct scan_names){.names = names, .n = n, .wake = wake, .all = all, .until = n < AHEAD ? n : AHEAD};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->more, NULL);
    while (s->threads_n < THREADS_MAX && s->threads_n < n && pthread_create(&s->threads[s->threads_n], NULL, work, s) == 0)
        s->threads_n++;
    *out = s;
    return s->threads_n > 0 || n == 0 ? RC_OK : ctx_fail(ctx, E_NO_MEMORY, "a thread to resolve names");
}

void scan_names_stop(struct scan_names *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->more);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->threads_n; i++)
        pthread_join(s->threads[i], NULL);
    for (size_t i = 0; i < s->n; i++)
        free(s->all[i].v);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s->all);
    free(s);
}

enum scan_name_state scan_names_look(struct scan_names *s, size_t at, struct address out[SCAN_NAME_ADDRESSES], size_t *n)
{
    pthread_mutex_lock(&s->lock);
    if (at + AHEAD > s->until && s->until < s->n) {
        s->until = at + AHEAD < s->n ? at + AHEAD : s->n;
        pthread_cond_broadcast(&s->more);
    }
    if (!s->all[at].begun) { /* a scan may be gone on with from the middle, and comes to the others later */
        s->next = at;
        pthread_cond_broadcast(&s->more);
    }
    const struct resolved r = s->all[at];
    *n = r.n;
    if (r.n > 0)
        memcpy(out, r.v, r.n * sizeof *out);
    pthread_mutex_unlock(&s->lock);
    return r.state;
}
