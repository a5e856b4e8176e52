/* A pool of worker threads: see pool.h. */
#include "os/pool.h"

#include <errno.h>
#include <pthread.h>

#define RING_LEAST 64

struct closure {
    void (*fn)(void *arg);
    void *arg;
};

/* Grows with what waits: an agent that waits for work has room for twenty thousand jobs, and none. */
struct ring {
    struct closure *v;
    size_t size, first, n;
};

enum { FIRST, USUAL };

struct pool {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work, idle;
    struct ring rings[2]; /* those of FIRST before those of USUAL; at most `cap` places each */
    size_t cap, n, busy;  /* n: of both */
    bool draining, ended;
    pthread_t *threads; /* started one by one, when there is more to do than those there are can take */
    unsigned n_threads, max_threads, waiting;
    size_t stack;
};

static struct closure take(struct pool *p)
{
    struct ring *r = &p->rings[p->rings[FIRST].n ? FIRST : USUAL];
    struct closure c = r->v[r->first];
    r->first = (r->first + 1) % r->size;
    r->n--;
    p->n--;
    return c;
}

static void *pool_main(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        p->waiting++;
        while (!p->n && !p->ended)
            pthread_cond_wait(&p->work, &p->lock);
        p->waiting--;
        if (!p->n)
            break;
        struct closure c = take(p);
        p->busy++;
        pthread_mutex_unlock(&p->lock);
        c.fn(c.arg);
        pthread_mutex_lock(&p->lock);
        p->busy--;
        if (!p->n && !p->busy)
            pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* With the lock held, or before there is another thread. */
static int start_one(struct pool *p)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    int e = pthread_attr_setstacksize(&attr, p->stack);
    if (!e)
        e = pthread_create(&p->threads[p->n_threads], &attr, pool_main, p);
    pthread_attr_destroy(&attr);
    p->n_threads += !e;
    return e;
}

struct rc pool_new(struct ctx *ctx, unsigned threads, size_t queue, size_t stack_kib, struct pool **out)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p || threads < 1 || queue < 1) {
        free(p);
        return ctx_fail(ctx, p ? E_BUG : E_NO_MEMORY, "a pool of %u threads with a queue of %zu", threads, queue);
    }
    p->threads = calloc(threads, sizeof *p->threads);
    p->cap = queue;
    p->max_threads = threads;
    p->stack = (stack_kib ? stack_kib : 512) * 1024;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, &mono);
    pthread_condattr_destroy(&mono);
    int e = p->threads ? start_one(p) : ENOMEM;
    if (e) {
        pool_free(p);
        errno = e;
        return ctx_fail_errno(ctx, "cannot start a worker thread");
    }
    *out = p;
    return RC_OK;
}

static bool make_room(struct ring *r, size_t cap)
{
    if (r->n < r->size)
        return true;
    size_t size = r->size ? r->size * 2 : RING_LEAST;
    if (size > cap)
        size = cap;
    struct closure *v = r->n < size ? calloc(size, sizeof *v) : NULL;
    if (!v)
        return false;
    for (size_t i = 0; i < r->n; i++)
        v[i] = r->v[(r->first + i) % r->size];
    free(r->v);
    *r = (struct ring){v, size, 0, r->n};
    return true;
}

static bool submit(struct pool *p, struct ring *r, struct closure c)
{
    pthread_mutex_lock(&p->lock);
    bool room = !p->draining && make_room(r, p->cap);
    if (room) {
        r->v[(r->first + r->n) % r->size] = c;
        r->n++;
        p->n++;
        pthread_cond_signal(&p->work);
        if (p->n > p->waiting && p->n_threads < p->max_threads)
            (void)start_one(p); /* where it cannot be, those there are do it later */
    }
    pthread_mutex_unlock(&p->lock);
    return room;
}

bool pool_submit(struct pool *p, void (*fn)(void *arg), void *arg)
{
    return submit(p, &p->rings[USUAL], (struct closure){fn, arg});
}

bool pool_submit_first(struct pool *p, void (*fn)(void *arg), void *arg)
{
    return submit(p, &p->rings[FIRST], (struct closure){fn, arg});
}

size_t pool_waiting(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->n;
    pthread_mutex_unlock(&p->lock);
    return n;
}

size_t pool_busy(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->busy;
    pthread_mutex_unlock(&p->lock);
    return n;
}

bool pool_drain(struct pool *p, int64_t timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    struct timespec at = {.tv_sec = until / 1000, .tv_nsec = (until % 1000) * 1000000};
    pthread_mutex_lock(&p->lock);
    p->draining = true;
    while ((p->n || p->busy) && clock_mono_ms() < until)
        pthread_cond_timedwait(&p->idle, &p->lock, &at);
    bool done = !p->n && !p->busy;
    pthread_mutex_unlock(&p->lock);
    return done;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->draining = p->ended = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->idle);
    free(p->rings[FIRST].v);
    free(p->rings[USUAL].v);
    free(p->threads);
    free(p);
}
