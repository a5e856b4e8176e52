#include "agent/probe/scan_serve.h"

#include <pthread.h>

#include "agent/probe/scan_batch.h"
#include "base/log.h"
#include "base/random.h"

#define TURN_MS    100  /* of the engine */
#define BATCH_MS   1000 /* so often there is a batch, where there is news */

struct task {
    struct scans *all;
    char id[65];
    struct scan *scan; /* its thread's alone */
    struct scan_batch *batch; /* likewise */
    unsigned rate;            /* that was asked for */
    uint64_t total;
    pthread_t thread;
    /* under the lock: */
    bool stop, ended;
    int64_t asked_ms;
    struct rc rc;
    const char *why;  /* of rc; heap */
    char ready_id[ID_LEN + 1];
    struct buf ready; /* JSON */
    uint64_t ready_position;
    bool ready_last;
    struct task *next;
};

struct scans {
    const struct agent_config *cfg;
    struct cidr *granted; /* heap */
    size_t granted_n;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct task *tasks;
};

/* --- the thread of one scan */

struct telling {
    struct ctx ctx;
    struct task *task;
};

static bool tell(void *arg, const struct scan_result *r)
{
    struct telling *t = arg;
    scan_batch_add(&t->ctx, t->task->batch, r, ctx_now_s(&t->ctx));
    return !scan_batch_is_full(t->task->batch);
}

static struct scan_counts since(struct scan_counts now, struct scan_counts before)
{
    return (struct scan_counts){now.probed - before.probed,   now.found - before.found,     now.silent - before.silent,
                                now.refused - before.refused, now.failed - before.failed,   now.skipped - before.skipped,
                                now.connections - before.connections};
}

/* Waits until the batch before is taken; false: the end. */
static bool wait_taken(struct task *t)
{
    pthread_mutex_lock(&t->all->lock);
    while (!t->stop && t->ready_id[0] != '\0') {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&t->all->changed, &t->all->lock, &until);
        if (clock_mono_ms() - t->asked_ms > SCAN_ORPHAN_MS)
            t->stop = true;
    }
    if (clock_mono_ms() - t->asked_ms > SCAN_ORPHAN_MS)
        t->stop = true;
    const bool stop = t->stop;
    pthread_mutex_unlock(&t->all->lock);
    return !stop;
}

static RC hand_out(struct telling *w, struct scan_counts counts, int64_t ms, bool last)
{
    struct task *t = w->task;
    const char *id = id_new(&w->ctx.arena, clock_unix_ms(w->ctx.clock));
    const struct scan_batch_head head = {.scan = t->id,
                                         .id = id,
                                         .position = scan_position(t->scan),
                                         .total = t->total,
                                         .counts = counts,
                                         .rate = ms > 0 ? (int64_t)(counts.probed + counts.skipped) * 1000 / ms : 0};
    struct buf json;
    buf_init(&json, SCAN_BATCH_TEXT_MAX);
    struct rc rc = scan_batch_take(&w->ctx, t->batch, &head, &json);
    if (rc_failed(rc)) {
        buf_free(&json);
        return rc;
    }
    pthread_mutex_lock(&t->all->lock);
    buf_free(&t->ready);
    t->ready = json;
    t->ready_position = head.position;
    t->ready_last = last;
    snprintf(t->ready_id, sizeof t->ready_id, "%s", id);
    pthread_cond_broadcast(&t->all->changed);
    pthread_mutex_unlock(&t->all->lock);
    return RC_OK;
}

static size_t running(const struct scans *s)
{
    size_t n = 0;
    for (const struct task *t = s->tasks; t != NULL; t = t->next)
        n += !t->ended;
    return n;
}

/* What agent.yaml allows is for all scans together: each has its part of it. */
static bool take_part(struct task *t)
{
    pthread_mutex_lock(&t->all->lock);
    const size_t n = running(t->all);
    const bool stop = t->stop;
    pthread_mutex_unlock(&t->all->lock);
    const unsigned all = (unsigned)t->all->cfg->scan_rate, part = n > 1 ? all / (unsigned)n : all;
    scan_set_rate(t->scan, part == 0 ? 1 : t->rate < part ? t->rate : part);
    return !stop;
}

static RC scan_on(struct telling *w)
{
    struct task *t = w->task;
    struct scan_counts told = {0};
    int64_t told_ms = clock_mono_ms();
    for (bool last = false; !last && wait_taken(t);) {
        ctx_reset(&w->ctx);
        while (!scan_batch_is_full(t->batch) && !scan_is_done(t->scan) && clock_mono_ms() < told_ms + BATCH_MS) {
            if (!take_part(t))
                return RC_OK;
            TRY(scan_run(&w->ctx, t->scan, clock_mono_ms() + TURN_MS, tell, w));
        }
        const struct scan_counts now = scan_counts(t->scan);
        const int64_t now_ms = clock_mono_ms();
        last = scan_is_done(t->scan);
        TRY(hand_out(w, since(now, told), now_ms - told_ms, last));
        told = now;
        told_ms = now_ms;
    }
    return RC_OK;
}

static void *run(void *arg)
{
    struct task *t = arg;
    struct telling w = {.task = t};
    ctx_init(&w.ctx, &clock_system);
    struct rc rc = scan_on(&w);
    if (rc_failed(rc))
        log_event(LOG_WARN_, "scan_failed", "scan", t->id, "why", ctx_why(&w.ctx), NULL);
    scan_free(t->scan);
    t->scan = NULL;
    pthread_mutex_lock(&t->all->lock);
    t->rc = rc;
    t->why = rc_failed(rc) ? strdup(ctx_why(&w.ctx)) : NULL;
    t->ended = true;
    pthread_cond_broadcast(&t->all->changed);
    pthread_mutex_unlock(&t->all->lock);
    ctx_free(&w.ctx);
    return NULL;
}

/* --- the list of them */

static void task_free(struct task *t)
{
    scan_free(t->scan);
    scan_batch_free(t->batch);
    buf_free(&t->ready);
    free((void *)(uintptr_t)t->why);
    free(t);
}

/* Takes it off the list and waits for its thread, without the lock. */
static void retire(struct scans *s, struct task *t)
{
    for (struct task **at = &s->tasks; *at != NULL; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    t->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(t->thread, NULL);
    task_free(t);
    pthread_mutex_lock(&s->lock);
}

static struct task *find(struct scans *s, const char *id)
{
    struct task *t = s->tasks;
    while (t != NULL && strcmp(t->id, id) != 0)
        t = t->next;
    return t;
}

RC scans_new(struct ctx *ctx, const struct agent_config *cfg, struct scans **out)
{
    pthread_condattr_t mono;
    struct scans *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL || (s->granted = calloc(cfg->scan_networks.n + 1, sizeof *s->granted)) == NULL) {
        free(s);
        return ctx_fail(ctx, E_NO_MEMORY, "scans");
    }
    s->cfg = cfg;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, &mono);
    pthread_condattr_destroy(&mono);
    for (size_t i = 0; i < cfg->scan_networks.n; i++)
        if (!cidr_parse(bytes_z(cfg->scan_networks.v[i]), &s->granted[s->granted_n++])) {
            scans_free(s);
            return ctx_fail(ctx, E_INVALID, "%s: scan: networks: %s is not a network such as 192.0.2.0/24", cfg->file,
                            cfg->scan_networks.v[i]);
        }
    *out = s;
    return RC_OK;
}

void scans_free(struct scans *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    while (s->tasks != NULL)
        retire(s, s->tasks);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->granted);
    free(s);
}

/* --- beginning */

static RC read_ports(struct ctx *ctx, const struct scans *s, const struct wire_texts *texts, struct scan_port **out)
{
    *out = arena_array(&ctx->arena, texts->n + 1, sizeof **out);
    for (size_t i = 0; i < texts->n; i++) {
        TRY(scan_port_parse(ctx, texts->v[i], &(*out)[i]));
        if (!agent_config_scan_port(s->cfg, (*out)[i].port))
            return ctx_fail(ctx, E_NOT_GRANTED, "port %d may not be scanned from here: add it to ports of scan in %s",
                            (*out)[i].port, s->cfg->file);
    }
    return RC_OK;
}

static RC read_exclude(struct ctx *ctx, const struct wire_texts *texts, struct cidr **out)
{
    *out = arena_array(&ctx->arena, texts->n + 1, sizeof **out);
    for (size_t i = 0; i < texts->n; i++)
        if (!cidr_parse(bytes_z(texts->v[i]), &(*out)[i]))
            return ctx_fail(ctx, E_INVALID, "%s, to be left alone, is not a network such as 192.0.2.0/24", texts->v[i]);
    return RC_OK;
}

/* Whether a network may be scanned as a whole: known before the first packet. */
static RC check_granted(struct ctx *ctx, const struct scans *s, const struct scan_target *t)
{
    for (size_t i = 0; i < s->granted_n; i++)
        if (s->granted[i].bits <= t->net.bits && cidr_grants(&s->granted[i], &t->net.base))
            return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED, "%s/%d may not be scanned from here: add it to networks of scan in %s",
                    address_str(&ctx->arena, &t->net.base), t->net.bits, s->cfg->file);
}

static RC read_targets(struct ctx *ctx, const struct scans *s, const struct wire_texts *texts, struct scan_target **out)
{
    *out = arena_array(&ctx->arena, texts->n + 1, sizeof **out);
    for (size_t i = 0; i < texts->n; i++) {
        TRY(scan_target_parse(ctx, texts->v[i], &(*out)[i]));
        if ((*out)[i].net.base.len > 0)
            TRY(check_granted(ctx, s, &(*out)[i]));
    }
    return RC_OK;
}

static RC make(struct ctx *ctx, struct scans *s, const struct wire_probe_scan_begin *in, struct task **out)
{
    struct scan_target *targets;
    struct scan_port *ports;
    struct cidr *exclude;
    if (s->granted_n == 0)
        return ctx_fail(ctx, E_NOT_GRANTED, "nothing may be scanned from here: %s has no networks under scan", s->cfg->file);
    TRY(read_targets(ctx, s, &in->targets, &targets));
    TRY(read_ports(ctx, s, &in->ports, &ports));
    TRY(read_exclude(ctx, &in->exclude, &exclude));
    const int64_t most = s->cfg->scan_rate, rate = in->rate > 0 && in->rate < most ? in->rate : most;
    const struct scan_spec spec = {.targets = targets,
                                   .targets_n = in->targets.n,
                                   .exclude = exclude,
                                   .exclude_n = in->exclude.n,
                                   .granted = s->granted,
                                   .granted_n = s->granted_n,
                                   .ports = ports,
                                   .ports_n = in->ports.n,
                                   .rate = (unsigned)rate,
                                   .in_flight = (unsigned)(rate > 500 ? 4 * rate : 2048), /* silence lasts for three seconds */
                                   .connect_ms = (int)(in->timeout_ms > 0 && in->timeout_ms < 3000 ? in->timeout_ms : 3000),
                                   .answer_ms = (int)(in->timeout_ms > 0 ? in->timeout_ms : 5000),
                                   .seed = (uint64_t)in->seed,
                                   .position = (uint64_t)in->position,
                                   .both_keys = in->both_keys,
                                   .details = in->details,
                                   .verify = in->verify};
    struct task *t = calloc(1, sizeof *t);
    if (t == NULL || (t->batch = scan_batch_new()) == NULL) {
        free(t);
        return ctx_fail(ctx, E_NO_MEMORY, "a scan");
    }
    snprintf(t->id, sizeof t->id, "%s", in->scan);
    t->all = s;
    t->rate = spec.rate;
    t->asked_ms = clock_mono_ms();
    struct rc rc = scan_new(ctx, &spec, &t->scan);
    if (rc_failed(rc)) {
        task_free(t);
        return rc;
    }
    t->total = scan_total(t->scan);
    *out = t;
    return RC_OK;
}

RC scans_begin(struct ctx *ctx, struct scans *s, const struct wire_probe_scan_begin *in, struct wire_probe_scan_begun *out)
{
    struct task *t = NULL, *before;
    struct rc rc = RC_OK;
    TRY(make(ctx, s, in, &t));
    pthread_mutex_lock(&s->lock);
    for (struct task *old = s->tasks, *next; old != NULL; old = next) { /* nobody came for their last batch */
        next = old->next;
        if (old->ended && clock_mono_ms() - old->asked_ms > SCAN_ORPHAN_MS) {
            retire(s, old);
            next = s->tasks;
        }
    }
    while ((before = find(s, in->scan)) != NULL)
        retire(s, before);
    if (running(s) >= SCANS_MAX)
        rc = ctx_fail(ctx, E_BUSY, "%d scans run here already", SCANS_MAX);
    else if (pthread_create(&t->thread, NULL, run, t) != 0)
        rc = ctx_fail(ctx, E_NO_MEMORY, "a thread for the scan");
    if (rc_ok(rc)) {
        t->next = s->tasks;
        s->tasks = t;
        out->total = (int64_t)t->total;
    }
    pthread_mutex_unlock(&s->lock);
    if (rc_failed(rc))
        task_free(t);
    return rc;
}

/* --- asking */

static RC take_ready(struct ctx *ctx, struct scans *s, struct task *t, struct wire_probe_scan_batch *out)
{
    out->total = (int64_t)t->total;
    if (t->ready_id[0] != '\0') {
        out->batch = arena_strdup(&ctx->arena, t->ready_id);
        out->json = arena_str(&ctx->arena, buf_bytes(&t->ready));
        out->position = (int64_t)t->ready_position;
        out->done = t->ready_last;
        return RC_OK;
    }
    if (!t->ended)
        return RC_OK;
    const struct rc rc = t->rc;
    const char *why = arena_strdup(&ctx->arena, t->why);
    retire(s, t);
    return rc_failed(rc) ? ctx_fail(ctx, rc.e, "%s", why) : ctx_fail(ctx, E_NOT_FOUND, "this scan has ended");
}

RC scans_next(struct ctx *ctx, struct scans *s, const struct wire_probe_scan_next *in, struct wire_probe_scan_batch *out)
{
    const int64_t until_ms = clock_mono_ms() + in->wait_ms;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += in->wait_ms / 1000;
    until.tv_nsec += in->wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    *out = (struct wire_probe_scan_batch){.batch = "", .json = ""};
    pthread_mutex_lock(&s->lock);
    struct task *t = find(s, in->scan);
    if (t != NULL && *in->taken != '\0' && strcmp(t->ready_id, in->taken) == 0) {
        t->ready_id[0] = '\0';
        pthread_cond_broadcast(&s->changed);
    }
    while (t != NULL && t->ready_id[0] == '\0' && !t->ended && clock_mono_ms() < until_ms) {
        t->asked_ms = clock_mono_ms();
        pthread_cond_timedwait(&s->changed, &s->lock, &until);
        t = find(s, in->scan);
    }
    if (t != NULL)
        t->asked_ms = clock_mono_ms();
    struct rc rc = t != NULL ? take_ready(ctx, s, t, out) : ctx_fail(ctx, E_NOT_FOUND, "no scan %s runs here", in->scan);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void scans_stop(struct scans *s, const char *scan)
{
    pthread_mutex_lock(&s->lock);
    struct task *t = find(s, scan);
    if (t != NULL)
        retire(s, t);
    pthread_mutex_unlock(&s->lock);
}
