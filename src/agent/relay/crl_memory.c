#include "agent/relay/crl_memory.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define WAIT_S 30 /* for another thread's fetch, which ends sooner */

struct crl_kept {
    char *url; /* NULL: free */
    uint8_t *body;
    size_t n;
    enum err e; /* how fetching failed */
    char *why;
    bool busy;      /* being fetched */
    unsigned users; /* threads that hold it */
    int64_t until, used;
};

struct crl_memory {
    pthread_mutex_t lock;
    pthread_cond_t fetched;
    size_t bytes;
    struct crl_kept v[CRL_KEPT_MAX];
};

struct crl_memory *crl_memory_new(void)
{
    struct crl_memory *m = calloc(1, sizeof *m);
    pthread_condattr_t attr;
    if (m == NULL)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->fetched, &attr);
    pthread_condattr_destroy(&attr);
    return m;
}

static void forget(struct crl_memory *m, struct crl_kept *k)
{
    m->bytes -= k->n;
    free(k->url);
    free(k->body);
    free(k->why);
    *k = (struct crl_kept){0};
}

void crl_memory_free(struct crl_memory *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < CRL_KEPT_MAX; i++)
        forget(m, &m->v[i]);
    pthread_cond_destroy(&m->fetched);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct crl_kept *find(struct crl_memory *m, const char *url)
{
    for (size_t i = 0; i < CRL_KEPT_MAX; i++)
        if (m->v[i].url != NULL && strcmp(m->v[i].url, url) == 0)
            return &m->v[i];
    return NULL;
}

/* The one that nobody holds and that was used longest ago; with `full`, only among those that hold bytes. */
static struct crl_kept *oldest(struct crl_memory *m, bool full)
{
    struct crl_kept *out = NULL;
    for (size_t i = 0; i < CRL_KEPT_MAX; i++) {
        struct crl_kept *k = &m->v[i];
        if (k->url != NULL && k->users == 0 && (!full || k->n > 0) && (out == NULL || k->used < out->used))
            out = k;
    }
    return out;
}

static struct crl_kept *place(struct crl_memory *m, const char *url)
{
    struct crl_kept *k = NULL;
    for (size_t i = 0; i < CRL_KEPT_MAX && k == NULL; i++)
        if (m->v[i].url == NULL)
            k = &m->v[i];
    if (k == NULL && (k = oldest(m, false)) != NULL)
        forget(m, k);
    if (k == NULL || (k->url = strdup(url)) == NULL)
        return NULL;
    k->busy = true;
    return k;
}

/* Under the lock.  False where there is no room. */
static bool keep(struct crl_memory *m, struct crl_kept *k, struct bytes body)
{
    struct crl_kept *old;
    while (m->bytes + body.n > CRL_KEPT_BYTES && (old = oldest(m, true)) != NULL)
        forget(m, old);
    if (m->bytes + body.n > CRL_KEPT_BYTES || (k->body = malloc(body.n + 1)) == NULL)
        return false;
    memcpy(k->body, body.p, body.n);
    k->n = body.n;
    m->bytes += body.n;
    return true;
}

/* This thread's turn: fetched without the lock; *kept is NULL where it cannot be kept. */
static struct rc fetch_into(struct ctx *ctx, struct crl_memory *m, struct crl_kept *k, struct crl_source from,
                            struct crl_kept **kept, struct bytes *body)
{
    struct rc rc = from.fetch(ctx, from.arg, k->url, body);
    pthread_mutex_lock(&m->lock);
    k->busy = false;
    k->until = ctx_now_s(ctx) + CRL_DOUBT_S;
    k->e = rc.e;
    k->why = rc_failed(rc) ? strdup(ctx_why(ctx)) : NULL;
    const bool lost = rc_failed(rc) ? k->why == NULL || rc.e == E_SHUTTING_DOWN : !keep(m, k, *body);
    *kept = rc_failed(rc) || lost ? NULL : k;
    if (*kept == NULL)
        k->users--;
    else
        *body = bytes_of(k->body, k->n);
    if (lost && k->users == 0)
        forget(m, k);
    else if (lost)
        k->until = 0; /* those that wait try for themselves */
    pthread_cond_broadcast(&m->fetched);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* Under the lock: until nobody fetches it.  False: that took too long. */
static bool wait_for(struct crl_memory *m, struct crl_kept *k)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    while (k->busy)
        if (pthread_cond_timedwait(&m->fetched, &m->lock, &until) == ETIMEDOUT)
            return !k->busy;
    return true;
}

RC crl_memory_take(struct ctx *ctx, struct crl_memory *m, const char *url, struct crl_source from,
                   struct crl_kept **kept, struct bytes *body)
{
    *kept = NULL;
    if (m == NULL)
        return from.fetch(ctx, from.arg, url, body);
    const int64_t now = ctx_now_s(ctx);
    struct rc rc = RC_OK;
    bool mine = false;
    pthread_mutex_lock(&m->lock);
    struct crl_kept *k = find(m, url);
    if (k != NULL && !k->busy && k->until <= now && k->users == 0) {
        forget(m, k);
        k = NULL;
    }
    if (k == NULL) {
        k = place(m, url);
        mine = k != NULL;
    }
    if (k != NULL) {
        k->users++;
        k->used = now;
    }
    if (k != NULL && !mine) {
        const bool came = wait_for(m, k);
        if (came && k->e != E_OK && k->until > now) {
            rc = ctx_fail(ctx, k->e, "%s", k->why);
        } else if (came && k->body != NULL) {
            *kept = k;
            *body = bytes_of(k->body, k->n);
        }
        if (*kept == NULL && --k->users == 0 && k->until <= now)
            forget(m, k);
        k = NULL;
    }
    pthread_mutex_unlock(&m->lock);
    if (rc_failed(rc) || *kept != NULL)
        return rc;
    return mine ? fetch_into(ctx, m, k, from, kept, body) : from.fetch(ctx, from.arg, url, body);
}

void crl_memory_give(struct ctx *ctx, struct crl_memory *m, struct crl_kept *k, bool good, int64_t next_update)
{
    if (k == NULL)
        return;
    const int64_t now = ctx_now_s(ctx);
    int64_t until = next_update > 0 ? next_update : now + CRL_UNDATED_S;
    if (until > now + CRL_KEPT_S)
        until = now + CRL_KEPT_S;
    pthread_mutex_lock(&m->lock);
    if (good && until > k->until)
        k->until = until;
    k->users--;
    pthread_mutex_unlock(&m->lock);
}
