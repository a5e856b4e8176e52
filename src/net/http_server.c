#include <sys/resource.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/log.h"
#include "net/http_internal.h"

#define ACCEPT_ROUNDS   64
#define ACCEPT_PAUSE_MS 100
#define SPARE_MAX       32
#define LOOP_STACK      ((size_t)512 << 10)

/* ---- connections an address ---- */

/* An IPv4 address counts for itself, an IPv6 address for its /64: whoever has one has all of them. */
static void count_key(const struct address *a, uint8_t key[9])
{
    memset(key, 0, 9);
    key[0] = a->len;
    memcpy(key + 1, a->ip, a->len == 4 ? 4 : 8);
}

static struct address_count **count_find(struct connection_counts *t, const uint8_t key[9])
{
    uint32_t h = 2166136261U;
    for (int i = 0; i < 9; i++)
        h = (h ^ key[i]) * 16777619U;
    struct address_count **at = &t->first[(h ^ h >> 16) % COUNT_BUCKETS];
    while (*at && memcmp((*at)->key, key, 9) != 0)
        at = &(*at)->next;
    return at;
}

static bool count_address(struct http_server *s, const struct address *a, bool stranger)
{
    uint8_t key[9];
    count_key(a, key);
    struct address_count **at = count_find(&s->counts, key);
    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at)
            return false;
        memcpy((*at)->key, key, 9);
    }
    if ((*at)->n >= s->config.connections_per_address || (stranger && (*at)->strangers >= s->config.strangers_per_address))
        return false;
    (*at)->n++;
    (*at)->strangers += stranger;
    return true;
}

bool counts_add(struct http_server *s, const struct address *a, bool stranger)
{
    pthread_mutex_lock(&s->counts.lock);
    /* Local sockets have room that the network cannot take: the administrator must get in while it is flooded. */
    const unsigned most = s->config.connections_max - (a->len ? s->config.connections_max / 8 : 0);
    /* And strangers of all addresses together take no more than half: who is known must get in. */
    bool ok = s->counts.total < most && !(stranger && s->counts.strangers >= s->config.connections_max / 2) &&
              (a->len == 0 || count_address(s, a, stranger));
    if (ok) {
        s->counts.total++;
        s->counts.strangers += stranger;
    } else
        s->counts.refused++;
    pthread_mutex_unlock(&s->counts.lock);
    return ok;
}

void counts_known(struct http_server *s, const struct address *a)
{
    uint8_t key[9];
    pthread_mutex_lock(&s->counts.lock);
    s->counts.strangers--;
    if (a->len) {
        count_key(a, key);
        struct address_count *node = *count_find(&s->counts, key);
        if (node)
            node->strangers--;
    }
    pthread_mutex_unlock(&s->counts.lock);
}

void counts_remove(struct http_server *s, const struct address *a, bool stranger)
{
    pthread_mutex_lock(&s->counts.lock);
    s->counts.total--;
    s->counts.strangers -= stranger;
    if (a->len) {
        uint8_t key[9];
        count_key(a, key);
        struct address_count **at = count_find(&s->counts, key), *node = *at;
        if (node)
            node->strangers -= stranger;
        if (node && --node->n == 0) {
            *at = node->next;
            free(node);
        }
    }
    pthread_mutex_unlock(&s->counts.lock);
}

/* ---- exchanges ---- */

struct exchange *exchange_new(struct http_loop *loop)
{
    struct exchange *x = loop->spare;
    if (x) {
        loop->spare = x->next;
        loop->spare_n--;
        x->next = NULL;
        return x;
    }
    x = calloc(1, sizeof *x);
    if (x) {
        x->loop = loop;
        x->arena.wipe = true; /* cookies and tokens stand in headers */
    }
    return x;
}

void exchange_free(struct exchange *x)
{
    struct http_loop *loop = x->loop;
    buf_free(&x->body);
    buf_free(&x->out);
    free(x->park_key);
    arena_reset(&x->arena);
    struct arena arena = x->arena;
    *x = (struct exchange){.loop = loop, .arena = arena};
    if (loop->spare_n < SPARE_MAX) {
        x->next = loop->spare;
        loop->spare = x;
        loop->spare_n++;
        return;
    }
    arena_free(&x->arena);
    free(x);
}

void loop_post(struct http_loop *loop, struct exchange *x)
{
    pthread_mutex_lock(&loop->lock);
    bool was_empty = loop->mail_head == NULL;
    x->next = NULL;
    if (loop->mail_tail)
        loop->mail_tail->next = x;
    else
        loop->mail_head = x;
    loop->mail_tail = x;
    pthread_mutex_unlock(&loop->lock);
    if (was_empty)
        uv_async_send(&loop->mail);
}

/* ---- the loop ---- */

static void pool_timer_cb(uv_timer_t *timer)
{
    struct http_loop *loop = timer->data;
    if (!pool_nudge(loop->server))
        uv_timer_stop(timer);
}

void loop_watch_pool(struct http_loop *loop)
{
    if (!uv_is_active((uv_handle_t *)&loop->pool_timer))
        uv_timer_start(&loop->pool_timer, pool_timer_cb, POOL_NUDGE_MS, POOL_NUDGE_MS);
}

static void accept_cb(uv_poll_t *poll, int status, int events);

static void accept_arm(struct http_loop *loop, bool on)
{
    for (size_t i = 0; i < loop->listeners_n && !loop->draining; i++) {
        if (on)
            uv_poll_start(&loop->listeners[i].poll, UV_READABLE, accept_cb);
        else
            uv_poll_stop(&loop->listeners[i].poll);
    }
}

static void accept_again_cb(uv_timer_t *timer)
{
    accept_arm(timer->data, true);
}

static void accept_cb(uv_poll_t *poll, int status, int events)
{
    struct loop_listener *l = poll->data;
    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPT_ROUNDS; i++) {
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        struct address address;
        int fd = accept4(l->listener->config.fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_event(LOG_WARN_, "accept_paused", "listener", l->listener->config.name, "why", strerrordesc_np(errno), NULL);
                accept_arm(l->loop, false);
                uv_timer_start(&l->loop->accept_timer, accept_again_cb, ACCEPT_PAUSE_MS, 0);
            }
            if (errno != ECONNABORTED && errno != EINTR)
                return;
            continue;
        }
        address_from_sockaddr((struct sockaddr *)&sa, &address);
        http_conn_new(l->loop, l->listener, fd, &address);
    }
}

static void park_timer_cb(uv_timer_t *timer);

static void loop_check_parked(struct http_loop *loop)
{
    int64_t next = park_expire(loop->server);
    if (next == INT64_MAX) {
        uv_timer_stop(&loop->park_timer);
        return;
    }
    int64_t in = next - clock_mono_ms();
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->park_timer, park_timer_cb, in > 0 ? (uint64_t)in : 0, 0);
}

static void park_timer_cb(uv_timer_t *timer)
{
    loop_check_parked(timer->data);
}

static void loop_report_drained(struct http_loop *loop)
{
    struct http_server *s = loop->server;
    if (!loop->draining || loop->closed || loop->conns)
        return;
    loop->closed = true;
    uv_timer_stop(&loop->drain_timer);
    pthread_mutex_lock(&s->drained_lock);
    s->drained++;
    pthread_cond_signal(&s->drained_cond);
    pthread_mutex_unlock(&s->drained_lock);
}

static void drain_cb(uv_timer_t *timer)
{
    struct http_loop *loop = timer->data;
    while (loop->conns)
        conn_destroy(loop->conns);
}

static void loop_start_draining(struct http_loop *loop)
{
    accept_arm(loop, false);
    loop->draining = true;
    for (size_t i = 0; i < loop->listeners_n; i++)
        uv_close((uv_handle_t *)&loop->listeners[i].poll, NULL);
    for (struct conn *c = loop->conns, *next; c; c = next) {
        next = c->next;
        if (conn_is_idle(c))
            conn_destroy(c);
    }
    uv_timer_start(&loop->drain_timer, drain_cb, (uint64_t)loop->server->config.drain_ms, 0);
}

static void loop_quit(struct http_loop *loop)
{
    uv_close((uv_handle_t *)&loop->mail, NULL);
    uv_close((uv_handle_t *)&loop->park_timer, NULL);
    uv_close((uv_handle_t *)&loop->accept_timer, NULL);
    uv_close((uv_handle_t *)&loop->drain_timer, NULL);
    uv_close((uv_handle_t *)&loop->pool_timer, NULL);
}

static void mail_cb(uv_async_t *async)
{
    struct http_loop *loop = async->data;
    pthread_mutex_lock(&loop->lock);
    struct exchange *x = loop->mail_head;
    loop->mail_head = loop->mail_tail = NULL;
    pthread_mutex_unlock(&loop->lock);
    while (x) {
        struct exchange *next = x->next;
        x->next = NULL;
        conn_answer(x);
        x = next;
    }
    if (loop->number == 0)
        loop_check_parked(loop);
    if (atomic_load(&loop->server->stopping) && !loop->draining)
        loop_start_draining(loop);
    if (atomic_load(&loop->server->quitting) && !uv_is_closing((uv_handle_t *)&loop->mail))
        loop_quit(loop);
}

/* Runs once an iteration: connections end in many places, this one sees when the last has. */
static void *loop_main(void *arg)
{
    struct http_loop *loop = arg;
    while (uv_run(&loop->uv, UV_RUN_ONCE))
        loop_report_drained(loop);
    return NULL;
}

static struct rc loop_start(struct ctx *ctx, struct http_server *s, unsigned number)
{
    struct http_loop *loop = &s->loops[number];
    loop->number = number;
    loop->listeners = calloc(s->listeners_n, sizeof *loop->listeners);
    if (!loop->listeners || uv_loop_init(&loop->uv) != 0)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for an event loop");
    if (uv_async_init(&loop->uv, &loop->mail, mail_cb) != 0) {
        uv_loop_close(&loop->uv);
        return ctx_fail(ctx, E_NO_MEMORY, "no descriptor for an event loop");
    }
    pthread_mutex_init(&loop->lock, NULL);
    loop->server = s; /* from here on loop_free() is for it */
    uv_timer_init(&loop->uv, &loop->park_timer);
    uv_timer_init(&loop->uv, &loop->accept_timer);
    uv_timer_init(&loop->uv, &loop->drain_timer);
    uv_timer_init(&loop->uv, &loop->pool_timer);
    loop->pool_timer.data = loop;
    loop->mail.data = loop->park_timer.data = loop->accept_timer.data = loop->drain_timer.data = loop;
    for (size_t i = 0; i < s->listeners_n; i++, loop->listeners_n++) {
        struct loop_listener *l = &loop->listeners[i];
        l->loop = loop;
        l->listener = &s->listeners[i];
        if (uv_poll_init(&loop->uv, &l->poll, l->listener->config.fd) != 0)
            return ctx_fail(ctx, E_IO, "the listener %s has no descriptor that can be waited on", l->listener->config.name);
        l->poll.data = l;
    }
    accept_arm(loop, true);
    return RC_OK;
}

static struct rc loop_start_thread(struct ctx *ctx, struct http_loop *loop)
{
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, LOOP_STACK);
    /* Signals are for the main thread; SIGPIPE, which OpenSSL's writes can raise, is for nobody. */
    pthread_sigmask(SIG_BLOCK, &all, &old);
    loop->started = pthread_create(&loop->thread, &attr, loop_main, loop) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return loop->started ? RC_OK : ctx_fail(ctx, E_NO_MEMORY, "the system refuses a thread for the event loop");
}

static void loop_free(struct http_loop *loop)
{
    free(loop->listeners);
    if (!loop->server)
        return;
    while (loop->spare) {
        struct exchange *x = loop->spare;
        loop->spare = x->next;
        arena_free(&x->arena);
        free(x);
    }
    uv_loop_close(&loop->uv);
    pthread_mutex_destroy(&loop->lock);
}

/* ---- the server ---- */

/* Descriptors are for more than connections: files, the database, the other roles. */
static unsigned connections_possible(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 20000)
        return 10000;
    return limit.rlim_cur < 512 ? 128 : (unsigned)limit.rlim_cur / 2;
}

/* What a ceiling of the caller's own may be beside a server with connections_possible(): the rest, without what files need. */
static unsigned connections_beside(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > (1U << 24))
        return 1U << 24;
    const rlim_t others = connections_possible() + limit.rlim_cur / 8;
    return limit.rlim_cur > others + 64 ? (unsigned)(limit.rlim_cur - others) : 64;
}

static void apply_defaults(struct http_server_config *c)
{
    const unsigned most = connections_beside();
    if (c->connections_max > most)
        c->connections_max = most;
#define DEFAULT(field, value)                                                                                                      \
    if (!c->field)                                                                                                                 \
    c->field = (value)
    DEFAULT(clock, &clock_system);
    DEFAULT(loops, 1);
    DEFAULT(workers_max, 32);
    DEFAULT(connections_max, connections_possible());
    DEFAULT(connections_per_address, 1000);
    DEFAULT(strangers_per_address, 1000);
    DEFAULT(queue_max, 4096);
    DEFAULT(head_max, (size_t)16 << 10);
    DEFAULT(response_max, (size_t)64 << 20);
    DEFAULT(hello_ms, 5000);
    DEFAULT(head_ms, 10000);
    DEFAULT(body_ms, 30000);
    DEFAULT(write_ms, 30000);
    DEFAULT(idle_ms, 75000);
    DEFAULT(handler_ms, 60000);
    DEFAULT(drain_ms, 10000);
#undef DEFAULT
}

/* What is written to the connections comes in one piece, so waiting for more (Nagle) only costs. */
static struct rc copy_listeners(struct ctx *ctx, struct http_server *s)
{
    s->listeners = calloc(s->config.listeners_n, sizeof *s->listeners);
    if (!s->listeners)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the listeners");
    for (size_t i = 0; i < s->config.listeners_n; i++, s->listeners_n++) {
        struct http_listener *l = &s->listeners[i].config;
        int one = 1;
        *l = s->config.listeners[i];
        l->name = strdup(l->name);
        if (!l->name)
            return ctx_fail(ctx, E_NO_MEMORY, "no memory for the listeners");
        l->body_max = l->body_max ? l->body_max : 1 << 20;
        if (l->kind == HTTP_LISTENER_TLS && !s->tls)
            return ctx_fail(ctx, E_INVALID, "the listener %s speaks TLS, and there is no certificate for it", l->name);
        int flags = fcntl(l->fd, F_GETFL);
        if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) != 0)
            return ctx_fail_errno(ctx, "the descriptor of the listener %s", l->name);
        if (l->kind != HTTP_LISTENER_UNIX)
            setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return RC_OK;
}

static void server_free(struct http_server *s, bool close_listeners)
{
    for (unsigned i = 0; s->loops && i < s->config.loops; i++)
        loop_free(&s->loops[i]);
    for (size_t i = 0; i < s->listeners_n; i++) {
        if (close_listeners)
            close(s->listeners[i].config.fd);
        free((char *)s->listeners[i].config.name);
    }
    http_pool_free(s);
    pthread_mutex_destroy(&s->tls_lock);
    pthread_mutex_destroy(&s->counts.lock);
    pthread_mutex_destroy(&s->drained_lock);
    pthread_cond_destroy(&s->drained_cond);
    tls_server_unref(s->tls);
    free(s->listeners);
    free(s->loops);
    free(s);
}

static void wake_loops(struct http_server *s)
{
    for (unsigned i = 0; i < s->config.loops; i++)
        uv_async_send(&s->loops[i].mail);
}

/* Ends the threads of the loops that run; those that do not are emptied here, so that their handles are closed. */
static void join_loops(struct http_server *s)
{
    atomic_store(&s->stopping, true);
    atomic_store(&s->quitting, true);
    for (unsigned i = 0; i < s->config.loops; i++) {
        struct http_loop *loop = &s->loops[i];
        if (!loop->server)
            continue;
        uv_async_send(&loop->mail);
        if (loop->started)
            pthread_join(loop->thread, NULL);
        else
            loop_main(loop);
    }
}

static struct rc start_loops(struct ctx *ctx, struct http_server *s)
{
    s->loops = calloc(s->config.loops, sizeof *s->loops);
    if (!s->loops)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the event loops");
    for (unsigned i = 0; i < s->config.loops; i++)
        TRY(loop_start(ctx, s, i));
    for (unsigned i = 0; i < s->config.loops; i++)
        TRY(loop_start_thread(ctx, &s->loops[i]));
    return RC_OK;
}

RC http_server_start(struct ctx *ctx, const struct http_server_config *config, struct http_server **out)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the HTTP server");
    s->config = *config;
    apply_defaults(&s->config);
    s->tls = tls_server_ref(config->tls);
    pthread_mutex_init(&s->tls_lock, NULL);
    pthread_mutex_init(&s->counts.lock, NULL);
    pthread_mutex_init(&s->drained_lock, NULL);
    pthread_cond_init(&s->drained_cond, NULL);
    struct rc rc = http_pool_init(s) && park_init(s) ? RC_OK : ctx_fail(ctx, E_NO_MEMORY, "no memory for the workers");
    if (rc_ok(rc))
        rc = copy_listeners(ctx, s);
    if (rc_ok(rc))
        rc = start_loops(ctx, s);
    if (rc_failed(rc)) {
        if (s->loops)
            join_loops(s);
        server_free(s, false);
        return rc;
    }
    *out = s;
    return RC_OK;
}

void http_server_stop(struct http_server *s)
{
    if (!s)
        return;
    atomic_store(&s->stopping, true);
    park_close(s);
    wake_loops(s);
    pthread_mutex_lock(&s->drained_lock);
    while (s->drained < s->config.loops)
        pthread_cond_wait(&s->drained_cond, &s->drained_lock);
    pthread_mutex_unlock(&s->drained_lock);
    /* Handlers whose clients are gone may still run; their loops must be there to take the exchanges back. */
    http_pool_stop(s);
    join_loops(s);
    server_free(s, true);
}

void http_server_set_tls(struct http_server *s, struct tls_server_ctx *tls)
{
    tls_server_ref(tls);
    pthread_mutex_lock(&s->tls_lock);
    struct tls_server_ctx *old = s->tls;
    s->tls = tls;
    pthread_mutex_unlock(&s->tls_lock);
    tls_server_unref(old);
}

void http_server_stats(struct http_server *s, struct http_server_stats *out)
{
    *out = (struct http_server_stats){0};
    pthread_mutex_lock(&s->counts.lock);
    out->connections = s->counts.total;
    out->refused = s->counts.refused;
    pthread_mutex_unlock(&s->counts.lock);
    pthread_mutex_lock(&s->park.lock);
    out->parked = s->park.count;
    pthread_mutex_unlock(&s->park.lock);
    pthread_mutex_lock(&s->pool.lock);
    out->running = s->pool.running;
    out->queued = s->pool.queued;
    out->workers = s->pool.workers;
    out->requests = s->pool.requests;
    pthread_mutex_unlock(&s->pool.lock);
}
