#include "agent/agent.h"


#include "agent/connector.h"
#include "agent/exchange.h"
#include "agent/present.h"
#include "agent/present_dns.h"
#include "agent/relay_link.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/random.h"
#include "os/file.h"

#define WAIT_S 25
#define BACKOFF_LEAST_MS 100
#define BACKOFF_MOST_MS 15000
#define RESTORE_MS 2000
#define RESTORE_SELDOM_MS 50000 /* less than rest_s usually is: apply does not rest for a moment */
#define DRAIN_MS 5000
#define RELAY_DRAIN_MS 200 /* an order goes on where its CA has it */
#define RELAYED_MAX 16 /* as many threads as the relay has */
#define UNPARK_LEAST_MS 20 /* what is due nearly at once is taken up at once */

static void wait_ms(struct agent *a, pthread_cond_t *on, int64_t ms)
{
    struct timespec t;
    if (ms < 1)
        ms = 1;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(on, &a->lock, &t);
}

static bool stopping(struct agent *a)
{
    pthread_mutex_lock(&a->lock);
    bool stop = a->stop;
    pthread_mutex_unlock(&a->lock);
    return stop;
}

void agent_poke(void *agent)
{
    struct agent *a = agent;
    pthread_mutex_lock(&a->lock);
    a->news = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

/* A step of a job: told soon, together with those that follow it. */
static void on_step(void *agent)
{
    struct agent *a = agent;
    pthread_mutex_lock(&a->lock);
    if (a->steps_due_ms == 0) {
        a->steps_due_ms = clock_mono_ms() + AGENT_STEPS_MS;
        pthread_cond_signal(&a->wake);
    }
    pthread_mutex_unlock(&a->lock);
}

/* --- jobs */

static void running_free(struct running *r)
{
    story_free(&r->story);
    json_decref(r->job);
    free(r->id);
    free(r->kind);
    free(r->target);
    free(r);
}

/* Keeps the result and takes the job off the list, in one step: so that it is always in one of them. */
static void finish(struct ctx *ctx, struct running *r, const char *json)
{
    struct agent *a = r->agent;
    pthread_mutex_lock(&a->lock);
    if (json != NULL && rc_failed(results_add(ctx, &a->results, r->id, r->fence, json)))
        log_event(LOG_ERROR_, "result_lost", "job", r->id, "why", ctx_why(ctx), NULL);
    for (struct running **at = &a->running; *at != NULL; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    if (!r->relayed && a->n_running-- == (size_t)a->cfg->workers)
        pthread_cond_broadcast(&a->room);
    a->news = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    running_free(r);
}

static int64_t current_fence(struct running *r)
{
    pthread_mutex_lock(&r->agent->lock);
    int64_t fence = r->fence;
    pthread_mutex_unlock(&r->agent->lock);
    return fence;
}

static void tell_end(struct ctx *ctx, const struct running *r, struct rc rc)
{
    if (rc_ok(rc))
        log_event(LOG_INFO_, "job_done", "job", r->id, "kind", r->kind, NULL);
    else
        log_event(LOG_WARN_, "job_failed", "job", r->id, "kind", r->kind, "error", err_info(rc.e)->name, "why", ctx_why(ctx), NULL);
}

/* What a CA is at waits without a thread; with the end of the agent it is taken up again by the next one. */
static void park(struct running *r)
{
    struct agent *a = r->agent;
    pthread_mutex_lock(&a->lock);
    r->parked = true;
    pthread_cond_signal(&a->parked);
    pthread_mutex_unlock(&a->lock);
}

static void work(void *arg)
{
    struct running *r = arg;
    CTX_CLEANUP struct ctx ctx;
    BUF_CLEANUP struct buf member, result;
    ctx_init(&ctx, r->agent->clock);
    buf_init(&member, (size_t)2 << 20);
    buf_init(&result, (size_t)4 << 20);
    struct job job = {.id = r->id, .kind = r->kind, .fence = current_fence(r), .body = json_object_get(r->job, r->kind)};
    struct rc rc = job.body != NULL ? jobs_run(&ctx, &r->agent->hands, &r->story, &job, &member)
                                    : ctx_fail(&ctx, E_INVALID, "job %s of kind %s says nothing to do", r->id, r->kind);
    if (rc_ok(rc) && r->story.again_ms != 0) {
        park(r);
        return;
    }
    tell_end(&ctx, r, rc);
    jobs_put_result(&ctx, &result, r->id, current_fence(r), r->kind, rc, &r->story, &member);
    finish(&ctx, r, buf_z(&result));
}

/* A deployment that was interrupted: its result is told under the lease it had. */
static void work_resume(void *arg)
{
    struct running *r = arg;
    struct lease lease = {0};
    CTX_CLEANUP struct ctx ctx;
    BUF_CLEANUP struct buf member, result;
    ctx_init(&ctx, r->agent->clock);
    buf_init(&member, (size_t)2 << 20);
    buf_init(&result, (size_t)4 << 20);
    struct rc rc = deploy_resume(&ctx, &r->agent->hands, &r->story, r->target, &lease, &member);
    bool known = *r->id != '\0' && lease.job != NULL && *lease.job != '\0';
    tell_end(&ctx, r, rc);
    if (known)
        jobs_put_result(&ctx, &result, r->id, current_fence(r), "deploy", rc, &r->story, &member);
    finish(&ctx, r, known ? buf_z(&result) : NULL);
}

static struct running *running_new(struct agent *a, const char *id, const char *kind)
{
    struct running *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->agent = a;
    r->id = strdup(id);
    r->kind = strdup(kind);
    story_init(&r->story);
    r->story.changed = on_step;
    r->story.arg = a;
    if (r->id == NULL || r->kind == NULL) {
        running_free(r);
        return NULL;
    }
    return r;
}

static void queue(struct agent *a, struct running *r, void (*fn)(void *))
{
    r->next = a->running;
    a->running = r;
    r->relayed = jobs_relayed(r->kind, json_object_get(r->job, r->kind));
    a->n_running += !r->relayed;
    /* Orders that the CA has go before those that it is yet to get: what is begun is ended. */
    const bool begun = r->relayed && json_object_get(json_object_get(r->job, r->kind), "order_url") != NULL;
    if (begun ? pool_submit_first(a->relay_pool, fn, r) : pool_submit(r->relayed ? a->relay_pool : a->pool, fn, r))
        return;
    a->running = r->next; /* the pool is full or stops: the hub leases it again */
    a->n_running -= !r->relayed;
    running_free(r);
}

void agent_start_job(struct agent *a, const json_t *job)
{
    const char *id = json_string_value(json_object_get(job, "id")), *kind = json_string_value(json_object_get(job, "kind"));
    int64_t fence = json_integer_value(json_object_get(job, "fence"));
    if (id == NULL || kind == NULL || a->stop)
        return;
    for (struct running *r = a->running; r != NULL; r = r->next)
        if (strcmp(r->id, id) == 0) { /* leased anew while we are at it: the result goes under the new lease */
            r->fence = fence > r->fence ? fence : r->fence;
            pthread_mutex_lock(&r->story.lock);
            r->story.dropped = false;
            pthread_mutex_unlock(&r->story.lock);
            return;
        }
    for (const struct result *done = a->results.first; done != NULL; done = done->next)
        if (strcmp(done->id, id) == 0 && done->fence >= fence)
            return; /* the answer that came later is the older one: it was done under the newer lease */
    struct running *r = running_new(a, id, kind);
    if (r == NULL)
        return;
    r->fence = fence;
    r->job = json_deep_copy(job);
    log_event(LOG_INFO_, "job_begin", "job", id, "kind", kind, NULL);
    queue(a, r, work);
}

/* --- the loops */

static int64_t backoff(int failures)
{
    int64_t most = BACKOFF_LEAST_MS;
    for (int i = 1; i < failures && most < BACKOFF_MOST_MS; i++)
        most *= 2;
    if (most > BACKOFF_MOST_MS)
        most = BACKOFF_MOST_MS;
    return most / 2 + (int64_t)random_below((uint64_t)most / 2 + 1);
}

/* Says it once, not at every try. */
static void tell_hub_state(struct ctx *ctx, struct rc rc, int *failures)
{
    if (rc_ok(rc) && *failures > 0)
        log_event(LOG_INFO_, "hub_back", NULL);
    if (rc_failed(rc) && *failures == 0)
        log_event(LOG_WARN_, "hub_away", "why", ctx_why(ctx), NULL);
    *failures = rc_ok(rc) ? 0 : *failures + 1;
}

static void pause_after(struct agent *a, struct rc rc, int failures)
{
    if (rc_ok(rc))
        return;
    int64_t until = clock_mono_ms() + backoff(failures);
    pthread_mutex_lock(&a->lock);
    while (!a->stop && clock_mono_ms() < until)
        wait_ms(a, &a->room, until - clock_mono_ms());
    pthread_mutex_unlock(&a->lock);
}

/* Waits at the hub for jobs.  With no capacity there is nothing to wait for. */
static void *poll_loop(void *arg)
{
    struct agent *a = arg;
    CTX_CLEANUP struct ctx ctx;
    int failures = 0;
    ctx_init(&ctx, a->clock);
    while (!stopping(a)) {
        pthread_mutex_lock(&a->lock);
        while (a->n_running >= (size_t)a->cfg->workers && !a->stop)
            wait_ms(a, &a->room, 1000);
        pthread_mutex_unlock(&a->lock);
        if (stopping(a))
            break;
        ctx_reset(&ctx);
        /* The first comes back soon: whether the hub takes us should be known, and logged, before the first long wait. */
        struct rc rc = exchange_once(&ctx, a, a->introduced ? WAIT_S : 1);
        tell_hub_state(&ctx, rc, &failures);
        pause_after(a, rc, failures);
    }
    return NULL;
}

/* With every worker busy nothing waits at the hub: it hears of us all the same, and the leases that are held go on. */
static bool is_quiet(const struct agent *a, int64_t told_ms)
{
    return a->n_running >= (size_t)a->cfg->workers && clock_mono_ms() >= told_ms + WAIT_S * 1000;
}

/* The end has begun, and jobs that run may still have something to tell. */
static void drain_wait(struct agent *a)
{
    pthread_mutex_lock(&a->lock);
    if (!a->news && a->stop && !a->drained)
        wait_ms(a, &a->wake, 100);
    pthread_mutex_unlock(&a->lock);
}

/* Carries results and progress as they come. */
static void *send_loop(void *arg)
{
    struct agent *a = arg;
    CTX_CLEANUP struct ctx ctx;
    int failures = 0;
    bool stop = false;
    int64_t told_ms = clock_mono_ms();
    ctx_init(&ctx, a->clock);
    while (!stop) {
        pthread_mutex_lock(&a->lock);
        while (!a->news && !a->stop && !is_quiet(a, told_ms) && (a->steps_due_ms == 0 || clock_mono_ms() < a->steps_due_ms))
            wait_ms(a, &a->wake, a->steps_due_ms == 0 ? 10000 : a->steps_due_ms - clock_mono_ms());
        stop = a->stop && (a->running == NULL || a->drained);
        bool last_word = a->news || a->steps_due_ms != 0 || is_quiet(a, told_ms);
        pthread_mutex_unlock(&a->lock);
        if (!last_word) {
            if (!stop)
                drain_wait(a);
            continue;
        }
        ctx_reset(&ctx);
        struct rc rc = exchange_once(&ctx, a, 0);
        told_ms = clock_mono_ms();
        failures = rc_ok(rc) ? 0 : failures + 1;
        if (rc_failed(rc)) {
            if (stopping(a))
                break; /* kept on disk: told at the next start */
            pthread_mutex_lock(&a->lock);
            a->news = true;
            if (failures == 1) /* they may have to wait for days */
                results_sync(&a->results);
            pthread_mutex_unlock(&a->lock);
        }
        pause_after(a, rc, failures);
    }
    return NULL;
}

/* Another certificate for the same key; calls that run on the old one end as they would have.  Tried again at the next look. */
static void renew(struct ctx *ctx, struct agent *a)
{
    struct http_client *next = NULL;
    struct fleet f = a->fleet;
    struct rc rc = fleet_renew(ctx, &f, a->http, a->hub);
    if (rc_ok(rc))
        rc = fleet_client(ctx, &f, &next);
    if (rc_failed(rc)) {
        log_event(LOG_WARN_, "fleet_certificate_not_renewed", "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
        return;
    }
    http_client_free(a->http_before);
    a->http_before = a->http;
    a->http = next;
    a->fleet = f;
    log_event(LOG_INFO_, "fleet_certificate_renewed", "not_after", log_num(f.not_after), NULL);
}

/* Brings the listener's challenges back into a probe that died, and takes away what nobody asks for any more.  Where there was
 * nothing and no job has made anything since, apply is left alone: it may rest.  Returns when to look again. */
static int64_t restore(struct ctx *ctx, struct agent *a)
{
    size_t listening = 0, kept = 0, in_dns = 0;
    if (!atomic_exchange(&a->hands.noted, false))
        return RESTORE_SELDOM_MS;
    struct rc rc = present_restore(ctx, &a->hands, &listening, &kept);
    if (rc_failed(rc))
        log_event(LOG_WARN_, "challenges_not_restored", "why", ctx_why(ctx), NULL);
    struct rc swept = present_dns_sweep(ctx, &a->hands, &in_dns);
    if (rc_failed(swept))
        log_event(LOG_WARN_, "dns_leftovers_not_swept", "why", ctx_why(ctx), NULL);
    if (rc_failed(rc) || rc_failed(swept) || kept + in_dns > 0)
        atomic_store(&a->hands.noted, true);
    return listening > 0 ? RESTORE_MS : RESTORE_SELDOM_MS;
}

static void *restore_loop(void *arg)
{
    struct agent *a = arg;
    CTX_CLEANUP struct ctx ctx, kept; /* kept: holds the newest certificate */
    ctx_init(&ctx, a->clock);
    ctx_init(&kept, a->clock);
    while (!stopping(a)) {
        ctx_reset(&ctx);
        if (a->cfg->hub_url != NULL && fleet_renew_due(&a->fleet, ctx_now_s(&ctx)))
            renew(&kept, a);
        int64_t until = clock_mono_ms() + restore(&ctx, a);
        pthread_mutex_lock(&a->lock);
        while (!a->stop && clock_mono_ms() < until)
            wait_ms(a, &a->room, 1000);
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

/* Takes up what is parked and due; returns when it has to look again. */
static int64_t unpark(struct agent *a)
{
    const int64_t now_ms = clock_mono_ms();
    int64_t next_ms = now_ms + 60000;
    for (struct running *r = a->running; r != NULL; r = r->next) {
        if (!r->parked)
            continue;
        if (r->story.again_ms <= now_ms && pool_submit_first(a->relay_pool, work, r))
            r->parked = false;
        else if (r->story.again_ms < next_ms)
            next_ms = r->story.again_ms;
    }
    return next_ms > now_ms + UNPARK_LEAST_MS ? next_ms : now_ms + UNPARK_LEAST_MS;
}

static void *unpark_loop(void *arg)
{
    struct agent *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        const int64_t next_ms = unpark(a);
        wait_ms(a, &a->parked, next_ms - clock_mono_ms());
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Whose job an unfinished deployment is: told to the hub as held from the first exchange on, so that it is not leased anew. */
static RC lease_at(struct ctx *ctx, struct agent *a, const char *target, const char **job, int64_t *fence)
{
    struct wire_apply_state in = {.target = target};
    struct wire_apply_state_is state;
    json_t *plan = NULL;
    TRY(HANDS_CALL(ctx, a->hands.apply, apply_state, &in, apply_state_is, &state));
    *fence = state.fence;
    TRY(json_read(ctx, bytes_z(state.plan), &plan));
    struct rc rc = json_get_str(ctx, plan, "job", true, job);
    json_decref(plan);
    return rc;
}

static RC resume_all(struct ctx *ctx, struct agent *a)
{
    struct wire_apply_unfinished in = {0};
    struct wire_apply_targets all;
    TRY(HANDS_CALL(ctx, a->hands.apply, apply_unfinished, &in, apply_targets, &all));
    for (size_t i = 0; i < all.targets.n; i++) {
        const char *job = "";
        int64_t fence = 0;
        if (rc_failed(lease_at(ctx, a, all.targets.v[i], &job, &fence))) {
            log_event(LOG_WARN_, "plan_unreadable", "target", all.targets.v[i], "why", ctx_why(ctx), NULL);
            ctx_forget(ctx);
        }
        pthread_mutex_lock(&a->lock);
        struct running *r = running_new(a, job, "deploy");
        if (r != NULL && (r->target = strdup(all.targets.v[i])) != NULL) {
            r->fence = fence;
            log_event(LOG_WARN_, "deployment_unfinished", "target", r->target, "job", job, NULL);
            queue(a, r, work_resume);
        } else if (r != NULL) {
            running_free(r);
        }
        pthread_mutex_unlock(&a->lock);
    }
    return RC_OK;
}

/* --- the role */

static RC learn_self(struct ctx *ctx, struct agent *a, struct role_env *env)
{
    struct wire_apply_health ask_apply = {0};
    struct wire_run_health ask_run = {0};
    struct wire_probe_health ask_probe = {0};
    struct wire_relay_health ask_relay = {0};
    struct wire_apply_healthy apply;
    struct wire_run_healthy run;
    struct wire_probe_healthy probe;
    struct wire_relay_healthy relay;
    TRY(HANDS_CALL(ctx, a->hands.apply, apply_health, &ask_apply, apply_healthy, &apply));
    TRY(HANDS_CALL(ctx, a->hands.run, run_health, &ask_run, run_healthy, &run));
    TRY(HANDS_CALL(ctx, a->hands.probe, probe_health, &ask_probe, probe_healthy, &probe));
    TRY(HANDS_CALL(ctx, a->hands.relay, relay_health, &ask_relay, relay_healthy, &relay));
    const char *text = arena_printf(&ctx->arena, "agent: %s; apply: %s; run: %s; probe: %s; relay: %s", role_sandbox_state(env),
                                    apply.sandbox, run.sandbox, probe.sandbox, relay.sandbox);
    a->sandbox = words_of(ctx, bytes_z(text), 250);
    a->boot_id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    a->platform = agent_platform(ctx);
    return RC_OK;
}

static void on_stop(void *arg)
{
    struct agent *a = arg;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->wake);
    pthread_cond_broadcast(&a->room);
    pthread_cond_signal(&a->parked);
    pthread_mutex_unlock(&a->lock);
}

static RC hub_open(struct ctx *ctx, struct agent *a)
{
    struct http_client *http = NULL;
    a->hub = a->cfg->hub_url != NULL ? a->cfg->hub_url : "http://hub";
    if (a->cfg->hub_url != NULL) {
        TRY(fleet_open(ctx, a->cfg, &a->fleet));
        TRY(fleet_client(ctx, &a->fleet, &http));
    } else {
        TRY(http_client_new(ctx, &(struct http_client_config){.unix_socket = a->cfg->hub_socket, .idle_handles = 8}, &http));
    }
    a->http = http;
    return RC_OK;
}

static RC prepare(struct ctx *ctx, struct agent *a, struct role_env *env)
{
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->wake, NULL);
    pthread_cond_init(&a->room, NULL);
    pthread_cond_init(&a->parked, NULL);
    hands_init(&a->hands, a->cfg);
    a->hands.apply = role_peer(env, "apply");
    a->hands.run = role_peer(env, "run");
    a->hands.probe = role_peer(env, "probe");
    a->hands.relay = role_peer(env, "relay");
    if (a->hands.apply == NULL || a->hands.run == NULL || a->hands.probe == NULL || a->hands.relay == NULL)
        return ctx_fail(ctx, E_BUG, "the plan gives the agent no way to one of its hands");
    TRY(hub_open(ctx, a));
    TRY(results_open(ctx, arena_printf(&ctx->arena, "%s/results", a->cfg->state_dir), &a->results));
    a->news = a->results.first != NULL;
    a->missed = 1; /* what the process before us was given */
    TRY(pool_new(ctx, RELAYED_MAX, 20000, 512, &a->relay_pool));
    return pool_new(ctx, (unsigned)a->cfg->workers, 20000, 512, &a->pool);
}

static RC run_loops(struct ctx *ctx, struct agent *a, struct role_env *env)
{
    void *(*const loops[])(void *) = {poll_loop, send_loop, restore_loop, unpark_loop};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, loops[i], a) != 0)
            return ctx_fail(ctx, E_NO_MEMORY, "a thread of the agent"); /* the process ends, and its threads with it */
    role_on_stop(env, on_stop, a);
    struct rc rc = relay_serve_agent(ctx, role_server(env), a); /* returns when the role is asked to stop */
    on_stop(a);
    role_on_stop(env, NULL, NULL);
    bool drained = pool_drain(a->relay_pool, RELAY_DRAIN_MS);
    drained = pool_drain(a->pool, DRAIN_MS) && drained;
    if (!drained)
        role_leave_threads(env); /* what is cut short then goes on from its journal */
    pthread_mutex_lock(&a->lock);
    a->drained = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    /* A long poll ends by itself at the hub's side or with the process. */
    pthread_join(threads[1], NULL);
    return rc;
}

RC agent_enter(struct ctx *ctx, struct role_env *env)
{
    /* For the life of the process: the thread that waits at the hub may still do so when the role ends. */
    struct agent *a = calloc(1, sizeof *a);
    struct agent_config *cfg = ARENA_NEW(&ctx->arena, struct agent_config);
    if (a == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "the agent");
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), cfg));
    pthread_mutex_init(&a->shelf.lock, NULL);
    cfg->shelf = &a->shelf;
    a->cfg = cfg;
    a->clock = role_clock(env);
    TRY(prepare(ctx, a, env));
    /* The hands start beside us: their first answer may take a moment. */
    TRY(learn_self(ctx, a, env));
    connectors_tell(ctx, cfg);
    TRY(resume_all(ctx, a));
    role_ready(env, role_sandbox_state(env));
    return run_loops(ctx, a, env);
}

RC agent_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb)
{
    struct agent_config cfg;
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    TRY(http_client_load(ctx));
    sandbox_allow(sb, arena_printf(&ctx->arena, "%s/results", cfg.state_dir), SANDBOX_READ | SANDBOX_WRITE);
    sandbox_allow(sb, cfg.connectors_dir, SANDBOX_READ);
    if (cfg.hub_url != NULL) {
        sandbox_allow(sb, arena_printf(&ctx->arena, "%s/fleet", cfg.state_dir), SANDBOX_READ | SANDBOX_WRITE);
        sb->may |= SANDBOX_CONNECT_TCP | SANDBOX_UDP;
        return RC_OK;
    }
    const char *slash = strrchr(cfg.hub_socket, '/');
    if (slash != cfg.hub_socket)
        sandbox_allow(sb, arena_str(&ctx->arena, bytes_of(cfg.hub_socket, (size_t)(slash - cfg.hub_socket))),
                      SANDBOX_READ | SANDBOX_OPTIONAL);
    sb->may |= SANDBOX_UNIX;
    return RC_OK;
}
