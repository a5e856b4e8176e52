#include "net/dns.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>

#define DNS_MOST_MS 10000

/* getaddrinfo cannot be interrupted, so it runs on a thread of its own that may outlive the question: whoever comes last frees. */
struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done, abandoned;
    int error;
    struct addrinfo *found;
    char host[256];
};

static void lookup_free(struct lookup *l)
{
    if (l->found)
        freeaddrinfo(l->found);
    pthread_cond_destroy(&l->done_cond);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void *lookup_run(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(l->host, NULL, &hints, &found);
    pthread_mutex_lock(&l->lock);
    l->error = error;
    l->found = error == 0 ? found : NULL;
    l->done = true;
    bool last = l->abandoned;
    pthread_cond_signal(&l->done_cond);
    pthread_mutex_unlock(&l->lock);
    if (last)
        lookup_free(l);
    return NULL;
}

static struct lookup *lookup_start(const char *host)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    snprintf(l->host, sizeof l->host, "%s", host);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->done_cond, &mono);
    pthread_condattr_destroy(&mono);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, (size_t)256 << 10);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int failed = pthread_create(&thread, &attr, lookup_run, l);
    pthread_attr_destroy(&attr);
    if (failed) {
        lookup_free(l);
        return NULL;
    }
    return l;
}

/* False where the deadline came first; the lookup then belongs to its thread. */
static bool lookup_wait(struct lookup *l, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&l->lock);
    while (!l->done && pthread_cond_timedwait(&l->done_cond, &l->lock, &until) != ETIMEDOUT)
        ;
    bool done = l->done;
    l->abandoned = !done;
    pthread_mutex_unlock(&l->lock);
    return done;
}

static void collect(struct arena *arena, const struct addrinfo *found, uint16_t port, struct dns_answer *out)
{
    struct address *v = arena_array(arena, DNS_ADDRESSES_MAX, sizeof *v);
    out->v = v;
    for (; found && out->n < DNS_ADDRESSES_MAX; found = found->ai_next) {
        struct address a;
        bool known = false;
        if (!address_from_sockaddr(found->ai_addr, &a))
            continue;
        a.port = port;
        for (size_t i = 0; i < out->n; i++)
            known = known || (v[i].len == a.len && memcmp(v[i].ip, a.ip, a.len) == 0);
        if (!known)
            v[out->n++] = a;
    }
}

RC dns_resolve(struct ctx *ctx, const char *host, uint16_t port, struct dns_answer *out)
{
    struct address literal;
    *out = (struct dns_answer){0};
    if (address_parse(bytes_z(host), &literal)) {
        literal.port = port;
        out->v = arena_dup(&ctx->arena, &literal, sizeof literal);
        out->n = 1;
        return RC_OK;
    }
    if (strlen(host) > 255 || host[0] == 0)
        return ctx_fail(ctx, E_INVALID, "a host name has 1 to 253 characters");
    if (ctx_left_ms(ctx, DNS_MOST_MS) <= 0)
        return ctx_fail(ctx, E_TIMEOUT, "looking up %s: no time is left", host);
    struct lookup *l = lookup_start(host);
    if (!l)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory or thread for looking up %s", host);
    if (!lookup_wait(l, ctx_left_ms(ctx, DNS_MOST_MS)))
        return ctx_fail(ctx, E_TIMEOUT, "looking up %s: the resolver did not answer in time", host);
    if (l->error == 0)
        collect(&ctx->arena, l->found, port, out);
    int error = l->error;
    lookup_free(l);
    if (error == EAI_AGAIN)
        return ctx_fail(ctx, E_DNS, "looking up %s: %s; check /etc/resolv.conf and the network", host, gai_strerror(error));
    if (error)
        return ctx_fail(ctx, E_DNS, "looking up %s: %s", host, gai_strerror(error));
    if (out->n == 0)
        return ctx_fail(ctx, E_DNS, "%s has no IP address", host);
    return RC_OK;
}
