/* A pool of worker threads: see pool.h. */
#include "os/pool.h"

#include <errno.h>
#include <pthread.h>

struct closure {
    void (*fn)(void *arg);
    void *arg;
};

struct pool {
    pthread_mutex_t lock; /* of all below but threads */
    pthread_cond_t work, idle;
    struct closure *ring;
    size_t cap, first, n, busy;
    bool draining, ended;
    pthread_t *threads;
    unsigned n_threads;
};

static void *pool_main(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->n && !p->ended)
            pthread_cond_wait(&p->work, &p->lock);
        if (!p->n)
            break;
        struct closure c = p->ring[p->first];
        p->first = (p->first + 1) % p->cap;
        p->n--;
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

struct rc pool_new(struct ctx *ctx, unsigned threads, size_t queue, size_t stack_kib, struct pool **out)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p || threads < 1 || queue < 1) {
        free(p);
        return ctx_fail(ctx, p ? E_BUG : E_NO_MEMORY, "a pool of %u threads with a queue of %zu", threads, queue);
    }
    p->ring = calloc(queue, sizeof *p->ring);
    p->threads = calloc(threads, sizeof *p->threads);
    p->cap = queue;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, &mono);
    pthread_condattr_destroy(&mono);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    int e = p->ring && p->threads ? pthread_attr_setstacksize(&attr, (stack_kib ? stack_kib : 512) * 1024) : ENOMEM;
    while (!e && p->n_threads < threads) {
        e = pthread_create(&p->threads[p->n_threads], &attr, pool_main, p);
        if (!e)
            p->n_threads++;
    }
    pthread_attr_destroy(&attr);
    if (e) {
        pool_free(p);
        errno = e;
        return ctx_fail_errno(ctx, "cannot start %u worker threads", threads);
    }
    *out = p;
    return RC_OK;
}

bool pool_submit(struct pool *p, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&p->lock);
    bool room = p->n < p->cap && !p->draining;
    if (room) {
        p->ring[(p->first + p->n) % p->cap] = (struct closure){fn, arg};
        p->n++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return room;
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
    free(p->ring);
    free(p->threads);
    free(p);
}
