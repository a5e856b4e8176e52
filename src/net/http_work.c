#include <errno.h>
#include <strings.h>

#include "base/json.h"
#include "base/log.h"
#include "net/http_internal.h"

#define WORKER_STACK  ((size_t)512 << 10)
#define WORKER_IDLE_S 20
#define SLOW_US       200
#define SLOW_SHARE    256
#define HEAD_OUT_MAX  ((size_t)64 << 10)

/* ---- responses ---- */

static bool is_ours(const char *name)
{
    static const char *const ours[] = {"content-length", "transfer-encoding", "connection", "date", "keep-alive"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return false;
}

static void put_number(struct buf *b, uint64_t n)
{
    uint8_t digits[20];
    size_t i = sizeof digits;
    do
        digits[--i] = (uint8_t)('0' + n % 10);
    while (n /= 10);
    buf_put_mem(b, digits + i, sizeof digits - i);
}

static void date_update(struct date *date, const struct clock *clock)
{
    int64_t now = clock_unix_s(clock);
    if (now == date->unix_s && date->text[0])
        return;
    struct buf b BUF_CLEANUP;
    buf_init(&b, sizeof date->text - 1);
    time_put_http(&b, now);
    snprintf(date->text, sizeof date->text, "%s", buf_z(&b));
    date->unix_s = now;
}

static void put_head(struct buf *out, const struct date *date, const struct http_response *r, bool close)
{
    buf_put_z(out, "HTTP/1.1 ");
    put_number(out, (uint64_t)r->status);
    buf_put_u8(out, ' ');
    buf_put_z(out, http_status_text(r->status));
    buf_put_z(out, "\r\nDate: ");
    buf_put_z(out, date->text);
    buf_put_z(out, "\r\n");
    for (size_t i = 0; i < r->headers.n; i++) {
        if (is_ours(r->headers.v[i].name))
            continue;
        buf_put_z(out, r->headers.v[i].name);
        buf_put_z(out, ": ");
        buf_put_z(out, r->headers.v[i].value);
        buf_put_z(out, "\r\n");
    }
    if (r->status != 204 && r->status != 304) {
        buf_put_z(out, "Content-Length: ");
        put_number(out, r->body.n);
        buf_put_z(out, "\r\n");
    }
    if (close)
        buf_put_z(out, "Connection: close\r\n");
    buf_put_z(out, "\r\n");
}

void http_put_response(struct buf *out, const struct date *date, const struct http_response *r, bool head_only, bool close)
{
    put_head(out, date, r, close);
    if (!head_only && r->status != 204 && r->status != 304)
        buf_put(out, buf_bytes(&r->body));
}

/* RFC 9457 section 4.2.1: nothing more is known than the status says. */
void http_put_refusal(struct buf *out, const struct clock *clock, int status, const char *why)
{
    struct arena arena ARENA_CLEANUP = {0};
    struct date date = {0};
    struct http_response r;
    struct json_out j;
    http_response_init(&r, &arena, 4096);
    r.status = status;
    http_response_header(&r, "Content-Type", "application/problem+json");
    json_begin(&j, &r.body);
    json_open_obj(&j, NULL);
    json_put_str(&j, "type", "about:blank");
    json_put_str(&j, "title", http_status_text(status));
    json_put_int(&j, "status", status);
    json_put_str(&j, "detail", why);
    json_close(&j);
    date_update(&date, clock);
    http_put_response(out, &date, &r, false, true);
}

/* ---- parked requests ---- */

RC http_park(struct http_response *resp, const char *key, int64_t deadline_ms)
{
    size_t n = strlen(key);
    if (n == 0 || n > HTTP_KEY_MAX)
        return rc_of(E_BUG);
    resp->park_key = arena_strdup(resp->arena, key);
    resp->park_deadline_ms = deadline_ms;
    return RC_OK;
}

bool park_init(struct http_server *s)
{
    s->park.next_deadline_ms = INT64_MAX;
    atomic_init(&s->park.seq, 0);
    return pthread_mutex_init(&s->park.lock, NULL) == 0;
}

static unsigned bucket_of(const char *key)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (; *key; key++)
        h = (h ^ (uint8_t)*key) * 16777619U;
    return (h ^ h >> 16) % PARK_BUCKETS;
}

static void park_unlink(struct park_table *t, struct exchange *x)
{
    if (x->prev)
        x->prev->next = x->next;
    else
        t->first[bucket_of(x->park_key)] = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->next = x->prev = NULL;
    x->parked = false;
    t->count--;
}

enum parked { PARKED, PARK_AGAIN, PARK_LEFT, PARK_STOPPED };

/* A wake since the handler was started may concern what it has looked at already: then it looks again instead of parking. */
static enum parked park_add(struct http_server *s, struct exchange *x, const char *key, int64_t deadline_ms)
{
    struct park_table *t = &s->park;
    unsigned bucket = bucket_of(key);
    enum parked result = PARKED;
    bool sooner = false;
    free(x->park_key);
    x->park_key = strdup(key);
    x->req.park_deadline_ms = deadline_ms;
    x->req.park_key = x->park_key;
    pthread_mutex_lock(&t->lock);
    if (t->closed || !x->park_key) {
        result = PARK_STOPPED;
    } else if (x->left) {
        result = PARK_LEFT;
    } else if (t->last_wake[bucket] > x->seq) {
        result = PARK_AGAIN;
    } else {
        x->parked = true;
        x->next = t->first[bucket];
        if (x->next)
            x->next->prev = x;
        t->first[bucket] = x;
        t->count++;
        sooner = deadline_ms < t->next_deadline_ms;
        if (sooner)
            t->next_deadline_ms = deadline_ms;
    }
    pthread_mutex_unlock(&t->lock);
    if (sooner)
        uv_async_send(&s->loops[0].mail);
    return result;
}

bool park_leave(struct http_server *s, struct exchange *x)
{
    pthread_mutex_lock(&s->park.lock);
    bool parked = x->parked;
    if (parked)
        park_unlink(&s->park, x);
    x->left = true;
    pthread_mutex_unlock(&s->park.lock);
    return parked;
}

/* Takes the parked requests that `take` wants out of one bucket, linked by next. */
static void park_take(struct park_table *t, unsigned bucket, bool (*take)(const struct exchange *, const void *), const void *arg,
                      struct exchange **list)
{
    for (struct exchange *x = t->first[bucket], *next; x; x = next) {
        next = x->next;
        if (!take(x, arg))
            continue;
        park_unlink(t, x);
        x->next = *list;
        *list = x;
    }
}

static void pool_push(struct http_server *s, struct exchange *x);

static void push_list(struct http_server *s, struct exchange *list)
{
    while (list) {
        struct exchange *next = list->next;
        list->next = NULL;
        pool_push(s, list);
        list = next;
    }
}

static bool has_key(const struct exchange *x, const void *key)
{
    return strcmp(x->park_key, key) == 0;
}
static bool is_due(const struct exchange *x, const void *now)
{
    return x->req.park_deadline_ms <= *(const int64_t *)now;
}
static bool any(const struct exchange *x, const void *arg)
{
    return x && !arg;
}

void http_wake(struct http_server *s, const char *key)
{
    struct park_table *t = &s->park;
    unsigned bucket = bucket_of(key);
    struct exchange *woken = NULL;
    pthread_mutex_lock(&t->lock);
    t->last_wake[bucket] = atomic_fetch_add(&t->seq, 1) + 1;
    park_take(t, bucket, has_key, key, &woken);
    pthread_mutex_unlock(&t->lock);
    for (struct exchange *x = woken; x; x = x->next)
        x->req.woken = true;
    push_list(s, woken);
}

int64_t park_expire(struct http_server *s)
{
    struct park_table *t = &s->park;
    struct exchange *due = NULL;
    int64_t now = clock_mono_ms(), next = INT64_MAX;
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; t->next_deadline_ms <= now && i < PARK_BUCKETS; i++) {
        park_take(t, i, is_due, &now, &due);
        for (const struct exchange *x = t->first[i]; x; x = x->next)
            next = x->req.park_deadline_ms < next ? x->req.park_deadline_ms : next;
    }
    if (t->next_deadline_ms <= now)
        t->next_deadline_ms = next;
    next = t->next_deadline_ms;
    pthread_mutex_unlock(&t->lock);
    for (struct exchange *x = due; x; x = x->next)
        x->req.expired = true;
    push_list(s, due);
    return next;
}

void park_close(struct http_server *s)
{
    struct park_table *t = &s->park;
    struct exchange *all = NULL;
    pthread_mutex_lock(&t->lock);
    t->closed = true;
    for (unsigned i = 0; i < PARK_BUCKETS; i++)
        park_take(t, i, any, NULL, &all);
    pthread_mutex_unlock(&t->lock);
    for (struct exchange *x = all; x; x = x->next)
        x->stopped = true;
    push_list(s, all);
}

/* ---- workers ---- */

static struct rc shutting_down(struct ctx *ctx)
{
    return ctx_fail(ctx, E_SHUTTING_DOWN, "the server is shutting down; ask again in a few seconds");
}

/* Runs the handler until there is a response.  False where the request was parked, and is nobody's business here any more. */
static bool run_handler(struct http_server *s, struct ctx *ctx, struct exchange *x, struct http_response *resp)
{
    for (;;) {
        ctx_reset(ctx);
        ctx->deadline_ms = clock_mono_ms() + s->config.handler_ms;
        x->seq = atomic_load(&s->park.seq);
        http_response_init(resp, &ctx->arena, s->config.response_max);
        struct rc rc = x->stopped ? shutting_down(ctx) : s->config.handler(ctx, s->config.arg, &x->req, resp);
        if (rc_ok(rc) && resp->park_key && x->req.expired)
            rc = ctx_fail(ctx, E_BUG, "a request was parked again after its deadline");
        if (rc_ok(rc) && resp->park_key) {
            switch (park_add(s, x, resp->park_key, resp->park_deadline_ms)) {
            case PARKED:
                return false;
            case PARK_AGAIN:
                x->req.woken = true;
                continue;
            case PARK_LEFT:
                resp->status = 0;
                return true;
            case PARK_STOPPED:
                rc = shutting_down(ctx);
            }
        }
        if (rc_ok(rc) && (resp->broken || rc_failed(buf_status(&resp->body)) || resp->status < 200 || resp->status > 599))
            rc = ctx_fail(ctx, E_BUG, "the response is larger than allowed or holds what HTTP cannot carry");
        if (rc_failed(rc))
            http_problem(ctx, resp, rc);
        return true;
    }
}

static void run_exchange(struct http_server *s, struct ctx *ctx, struct date *date, struct exchange *x)
{
    struct http_response resp;
    if (!run_handler(s, ctx, x, &resp))
        return;
    x->close = !x->framing.keep_alive || resp.close || atomic_load(&s->stopping);
    buf_init_secret(&x->out, s->config.response_max + HEAD_OUT_MAX);
    if (resp.status) {
        buf_reserve(&x->out, 512 + resp.body.n);
        date_update(date, s->config.clock);
        http_put_response(&x->out, date, &resp, x->framing.head_only, x->close);
    }
    if (rc_failed(buf_status(&x->out))) {
        buf_free(&x->out);
        buf_init(&x->out, HEAD_OUT_MAX);
        x->close = true;
        http_put_refusal(&x->out, s->config.clock, 500, "the headers of the response are too large");
    }
    loop_post(x->loop, x);
}

static struct timespec idle_limit(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += WORKER_IDLE_S;
    return t;
}

/* The next exchange, or NULL when this worker is not needed any more.  Called and left with the lock held. */
static struct exchange *pool_next(struct worker_pool *p)
{
    struct timespec limit = idle_limit();
    bool late = false;
    while (!p->head && !p->stopping && !late) {
        p->idle++;
        late = pthread_cond_timedwait(&p->work, &p->lock, &limit) == ETIMEDOUT;
        p->idle--;
        p->called -= p->called > 0 && !late;
    }
    struct exchange *x = p->head;
    if (x) {
        p->head = x->next;
        if (!p->head)
            p->tail = NULL;
        x->next = NULL;
        p->queued--;
    }
    return x;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct http_server *s = w->server;
    struct worker_pool *p = &s->pool;
    struct date date = {0};
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, s->config.clock);
    ctx.arena.wipe = true; /* what people show to prove who they are passes through it */
    pthread_mutex_lock(&p->lock);
    p->called -= p->called > 0;
    for (struct exchange *x; (x = pool_next(p)) != NULL;) {
        p->running++;
        p->requests++;
        pthread_mutex_unlock(&p->lock);
        int64_t start_us = clock_mono_us();
        run_exchange(s, &ctx, &date, x);
        arena_reset(&ctx.arena);
        int64_t took_us = clock_mono_us() - start_us;
        pthread_mutex_lock(&p->lock);
        p->slow += ((took_us >= SLOW_US ? 1024 : 0) - p->slow) / 16;
        p->running--;
    }
    p->workers--;
    w->next = p->finished;
    p->finished = w;
    pthread_cond_signal(&p->gone);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void join_finished(struct worker *w)
{
    while (w) {
        struct worker *next = w->next;
        pthread_join(w->thread, NULL);
        free(w);
        w = next;
    }
}

/* Signals are for the main thread. */
static int start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int failed = pthread_create(thread, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return failed;
}

/* With the lock held, so that the worker sees its own thread id written. */
static void spawn_worker(struct http_server *s)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return;
    w->server = s;
    if (start_thread(&w->thread, worker_main, w) != 0) {
        free(w);
        if (s->pool.workers == 0)
            log_event(LOG_ERROR_, "worker_not_started", "why", "the system refuses another thread", NULL);
        return;
    }
    s->pool.workers++;
    s->pool.called++;
}

/* With the lock held. */
static void add_worker(struct http_server *s, unsigned wanted)
{
    if (wanted <= s->pool.idle) {
        s->pool.called++;
        pthread_cond_signal(&s->pool.work);
    } else if (s->pool.workers < s->config.workers_max) {
        spawn_worker(s);
    }
}

/* While handlers are quick, a worker that runs takes the next request sooner than another one wakes up, and waking it for each
 * request doubles the CPU a request costs.  Where they are slow, each request gets its worker at once.  A wrong guess costs
 * POOL_NUDGE_MS. */
static bool push_locked(struct http_server *s, struct exchange *x, bool may_defer)
{
    struct worker_pool *p = &s->pool;
    x->queued_us = clock_mono_us();
    if (p->tail)
        p->tail->next = x;
    else
        p->head = x;
    p->tail = x;
    p->queued++;
    if (may_defer && p->running + p->called && p->slow < SLOW_SHARE)
        return true;
    add_worker(s, p->queued);
    return false;
}

static void pool_push(struct http_server *s, struct exchange *x)
{
    pthread_mutex_lock(&s->pool.lock);
    struct worker *finished = s->pool.finished;
    s->pool.finished = NULL;
    push_locked(s, x, false);
    pthread_mutex_unlock(&s->pool.lock);
    join_finished(finished);
}

enum pushed http_pool_submit(struct http_server *s, struct exchange *x)
{
    enum pushed result = PUSH_FULL;
    pthread_mutex_lock(&s->pool.lock);
    struct worker *finished = s->pool.finished;
    s->pool.finished = NULL;
    if (s->pool.queued < s->config.queue_max)
        result = push_locked(s, x, true) ? PUSH_DEFERRED : PUSH_DONE;
    pthread_mutex_unlock(&s->pool.lock);
    join_finished(finished);
    return result;
}

bool pool_nudge(struct http_server *s)
{
    struct worker_pool *p = &s->pool;
    pthread_mutex_lock(&p->lock);
    if (p->head && clock_mono_us() - p->head->queued_us >= POOL_NUDGE_MS * 1000 - 500) {
        p->called = 0; /* whoever was called should have come by now */
        add_worker(s, p->queued);
    }
    bool waiting = p->head != NULL;
    pthread_mutex_unlock(&p->lock);
    return waiting;
}

bool http_pool_init(struct http_server *s)
{
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    int failed =
        pthread_mutex_init(&s->pool.lock, NULL) | pthread_cond_init(&s->pool.work, &mono) | pthread_cond_init(&s->pool.gone, &mono);
    pthread_condattr_destroy(&mono);
    return failed == 0;
}

void http_pool_stop(struct http_server *s)
{
    struct worker_pool *p = &s->pool;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    while (p->workers)
        pthread_cond_wait(&p->gone, &p->lock);
    struct worker *finished = p->finished;
    p->finished = NULL;
    pthread_mutex_unlock(&p->lock);
    join_finished(finished);
}

void http_pool_free(struct http_server *s)
{
    pthread_cond_destroy(&s->pool.work);
    pthread_cond_destroy(&s->pool.gone);
    pthread_mutex_destroy(&s->pool.lock);
    pthread_mutex_destroy(&s->park.lock);
}
