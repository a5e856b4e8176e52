#include "net/dnssec.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unbound.h>
#include <unistd.h>

#include "os/library.h"

#define CLASS_IN  1
#define WORDS_MAX 600

#define UB_FUNCTIONS(X)                                                                                                            \
    X(ub_ctx_create)                                                                                                               \
    X(ub_ctx_delete)                                                                                                               \
    X(ub_ctx_set_option)                                                                                                           \
    X(ub_ctx_set_fwd)                                                                                                              \
    X(ub_ctx_add_ta)                                                                                                               \
    X(ub_ctx_add_ta_file)                                                                                                          \
    X(ub_ctx_async)                                                                                                                \
    X(ub_fd)                                                                                                                       \
    X(ub_process)                                                                                                                  \
    X(ub_resolve_async)                                                                                                            \
    X(ub_resolve_free)                                                                                                             \
    X(ub_strerror)

/* libunbound, loaded by dnssec_load(). */
static struct {
#define X(f) __typeof__(f) *f;
    UB_FUNCTIONS(X)
#undef X
    bool loaded;
} lib;

void dnssec_load(struct ctx *ctx)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const struct library_function functions[] = {
#define X(f) {#f, (void **)&lib.f},
        UB_FUNCTIONS(X)
#undef X
    };
    struct trail_entry *trail = ctx->trail;
    pthread_mutex_lock(&lock);
    if (!lib.loaded)
        lib.loaded = rc_ok(library_load(ctx, "libunbound.so.8", "libunbound8", functions, sizeof functions / sizeof *functions));
    ctx->trail = trail;
    pthread_mutex_unlock(&lock);
}

struct answer {
    bool done;
    int error;
    bool secure, bogus;
    const char *why;
    struct ctx *ctx;
};

static void answered(void *arg, int error, struct ub_result *r)
{
    struct answer *a = arg;
    a->done = true;
    a->error = error;
    if (r == NULL)
        return;
    a->secure = error == 0 && r->secure;
    a->bogus = error == 0 && r->bogus;
    if (a->bogus && r->why_bogus != NULL)
        a->why = arena_str(&a->ctx->arena, bytes_of(r->why_bogus, strnlen(r->why_bogus, WORDS_MAX)));
    lib.ub_resolve_free(r);
}

/* The thread of libunbound does the work; this one waits no longer than it was told. */
static bool ask_for(struct ub_ctx *ub, const char *name, enum dns_type type, int64_t until, struct answer *a)
{
    int id;
    if (lib.ub_resolve_async(ub, *name != '\0' ? name : ".", (int)type, CLASS_IN, a, answered, &id) != 0)
        return false;
    while (!a->done) {
        struct pollfd p = {.fd = lib.ub_fd(ub), .events = POLLIN};
        const int64_t left = until - clock_mono_ms();
        const int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return false;
        if (ready > 0 && lib.ub_process(ub) != 0)
            return false;
    }
    return a->error == 0;
}

static bool set_up(struct ctx *ctx, struct ub_ctx *ub, const struct dnssec_ask *ask, const char **why)
{
    int failed = lib.ub_ctx_set_option(ub, "do-not-query-localhost:", "no");
    for (size_t i = 0; i < ask->n && failed == 0; i++)
        failed = lib.ub_ctx_set_fwd(
            ub, arena_printf(&ctx->arena, "%s@%u", address_str(&ctx->arena, &ask->resolvers[i]), ask->resolvers[i].port));
    for (size_t i = 0; i < ask->anchors->n && failed == 0; i++)
        failed = lib.ub_ctx_add_ta(ub, ask->anchors->v[i]);
    if (failed == 0 && ask->anchors->n == 0) {
        if (access(DNSSEC_ROOT_KEY, R_OK) != 0) {
            *why = "there is no trust anchor: install dns-root-data, or say trust_anchors in agent.yaml";
            return false;
        }
        failed = lib.ub_ctx_add_ta_file(ub, DNSSEC_ROOT_KEY);
    }
    if (failed == 0)
        failed = lib.ub_ctx_async(ub, 1);
    if (failed != 0)
        *why = arena_printf(&ctx->arena, "libunbound: %s", lib.ub_strerror(failed));
    return failed == 0;
}

static enum dnssec_verdict look(struct ctx *ctx, struct ub_ctx *ub, const struct dnssec_ask *ask, const char **why)
{
    const int64_t until = clock_mono_ms() + ask->timeout_ms;
    struct answer a = {.why = "", .ctx = ctx}, root = a;
    if (!set_up(ctx, ub, ask, why))
        return DNSSEC_UNKNOWN;
    if (!ask_for(ub, ask->name, ask->type, until, &a)) {
        *why = "no resolver answers in time";
        return DNSSEC_UNKNOWN;
    }
    if (!a.bogus)
        return a.secure ? DNSSEC_SECURE : DNSSEC_INSECURE;
    /* A resolver that takes signatures out makes everything look so, the root too. */
    if (ask->anchors->n == 0 && (!ask_for(ub, "", DNS_SOA, until, &root) || !root.secure)) {
        *why = "the resolver does not pass DNSSEC signatures on";
        return DNSSEC_UNKNOWN;
    }
    *why = a.why;
    return DNSSEC_BOGUS;
}

enum dnssec_verdict dnssec_look(struct ctx *ctx, const struct dnssec_ask *ask, const char **why)
{
    *why = "";
    if (!lib.loaded) {
        *why = "libunbound is not there: install libunbound8";
        return DNSSEC_UNKNOWN;
    }
    struct ub_ctx *ub = lib.ub_ctx_create();
    if (ub == NULL) {
        *why = "no memory for libunbound";
        return DNSSEC_UNKNOWN;
    }
    const enum dnssec_verdict v = look(ctx, ub, ask, why);
    lib.ub_ctx_delete(ub);
    return v;
}
