#include "core/host_inventory.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "core/access.h"
#include "core/agent.h"
#include "core/audit.h"
#include "core/inventory.h"
#include "core/job.h"
#include "core/schedule.h"
#include "pki/digest.h"
#include "store/queries.h"

#define KIND        "inventory"
#define ALL         "all"
#define LOOK_S      600
#define OPTIONS_MAX 16384
#define AGENTS_PAGE 1000
#define FILES_MAX   250000 /* told in one job: an agent that was interrupted begins again */

/* --- asking */

static struct rc job_of(struct ctx *ctx, struct core *core, struct txn *txn, const char *agent, const char **job)
{
    struct q_job_open_ref_row open;
    bool running = false;
    TRY(q_job_open_ref(ctx, txn, agent, KIND, &open, &running));
    if (!running) {
        TRY(job_add(ctx, core, txn, KIND, agent, arena_printf(&ctx->arena, KIND ":%s", agent), agent, BYTES_LIT("{}"), 0));
        TRY(q_job_open_ref(ctx, txn, agent, KIND, &open, &running));
    }
    if (!running)
        return ctx_fail(ctx, E_BUG, "the job for the inventory of agent %s is not there", agent);
    *job = open.id;
    return RC_OK;
}

struct asking {
    struct core *core;
    const char *ref, *job;
};

static struct rc ask_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct q_agent_get_row agent;
    bool found = false;
    TRY(q_agent_get(ctx, txn, a->ref, access_scope(ctx), &agent, &found));
    if (!found)
        return ctx_fail(ctx, E_NOT_FOUND, "no agent is named %s; certwright agent list shows them", a->ref);
    TRY(decide(ctx, a->core, txn, "agent.inventory", agent.team_id));
    if (!agent_names(ctx, agent.capabilities, KIND))
        return ctx_fail(ctx, E_UNSUPPORTED, "agent %s cannot look for certificates on its host: upgrade it, and see that it has "
                        "called since", agent.name);
    TRY(audit_write(ctx, txn, "agent.inventory", "agent", agent.id, agent.team_id, (struct bytes){0}));
    return job_of(ctx, a->core, txn, agent.id, &a->job);
}

RC host_inventory_ask(struct ctx *ctx, struct core *core, const char *ref, const char **job)
{
    struct asking a = {.core = core, .ref = ref};
    TRY(store_write(ctx, core->store, ask_write, &a));
    *job = a.job;
    return RC_OK;
}

/* --- daily */

RC host_inventory_start(struct ctx *ctx, struct txn *txn)
{
    struct q_timer_get_row timer;
    bool found = false;
    TRY(q_timer_get(ctx, txn, KIND, ALL, &timer, &found));
    return found ? RC_OK : timer_arm(ctx, txn, KIND, ALL, ctx_now_s(ctx) + LOOK_S);
}

/* Agents that came since get a timer of their own, at a time of its own: not all hosts read their disks at once. */
static struct rc find_new(struct ctx *ctx, struct txn *txn)
{
    struct q_agent_get_row *agents = NULL;
    const char *after = "";
    size_t n = 0;
    do {
        TRY(q_agent_list(ctx, txn, access_scope(ctx), after, AGENTS_PAGE, &agents, &n));
        for (size_t i = 0; i < n; i++) {
            struct q_timer_get_row timer;
            bool armed = false;
            after = agents[i].id;
            if (!str_equal(agents[i].state, "active") || !agent_names(ctx, agents[i].capabilities, KIND))
                continue;
            TRY(q_timer_get(ctx, txn, KIND, agents[i].id, &timer, &armed));
            if (!armed)
                TRY(timer_arm(ctx, txn, KIND, agents[i].id, ctx_now_s(ctx) + (int64_t)random_below(3600)));
        }
    } while (n == AGENTS_PAGE);
    return timer_arm(ctx, txn, KIND, ALL, ctx_now_s(ctx) + LOOK_S);
}

RC host_inventory_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref)
{
    struct q_agent_get_row agent;
    const char *job = NULL;
    bool found = false;
    if (str_equal(ref, ALL))
        return find_new(ctx, txn);
    TRY(q_agent_get(ctx, txn, ref, access_scope(ctx), &agent, &found));
    if (!found || !str_equal(agent.state, "active") || !agent_names(ctx, agent.capabilities, KIND))
        return RC_OK; /* it gets another timer when it is back */
    TRY(job_of(ctx, core, txn, agent.id, &job));
    return timer_arm(ctx, txn, KIND, agent.id, ctx_now_s(ctx) + HOST_INVENTORY_EVERY_S - 900 + (int64_t)random_below(1800));
}

/* --- taking */

struct taking {
    struct core *core;
    const char *agent;
    const struct api_job_progress *progress;
    const struct api_host_batch *batch;
    const struct api_host_file **files; /* that are taken */
    size_t files_n;
    struct inventory_batch ready;
    bool held;
    enum err refused;
    const char *why;
};

static struct rc options_of(struct ctx *ctx, const struct api_host_file *f, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, OPTIONS_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    if (f->format && *f->format)
        json_put_str(&j, "format", f->format);
    if (f->service && *f->service)
        json_put_str(&j, "service", f->service);
    if (f->renewal)
        api_host_renewal_encode(&j, "renewal", f->renewal);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static struct rc observe(struct ctx *ctx, struct taking *t, struct txn *txn, const struct q_agent_get_row *agent,
                         const struct api_host_file *f)
{
    struct bytes *chain = arena_array(&ctx->arena, f->fingerprints.n + 1, sizeof *chain);
    struct inventory_sighting s = {.kind = str_equal(f->kind, "store") ? INVENTORY_STORE : INVENTORY_FILE,
                                   .place = arena_printf(&ctx->arena, "%s:%s", agent->name, f->path),
                                   .name = "",
                                   .agent_id = agent->id,
                                   .result = f->state,
                                   .error = f->detail && *f->detail ? f->detail : NULL,
                                   .chain = chain};
    for (; s.n < f->fingerprints.n; s.n++)
        if (!get_hex(&ctx->arena, bytes_z(f->fingerprints.v[s.n]), &chain[s.n]) || chain[s.n].n != SHA256_LEN)
            return ctx_fail(ctx, E_BAD_ANSWER, "%s: its certificates are not named by their SHA-256", f->path);
    TRY(options_of(ctx, f, &s.options));
    return inventory_observe(ctx, t->core, txn, agent->team_id, &s, NULL, NULL);
}

static struct rc held(struct ctx *ctx, struct txn *txn, const struct taking *t, struct q_job_get_row *job, bool *yes)
{
    bool found = false;
    TRY(q_job_get(ctx, txn, t->progress->id, job, &found));
    *yes = found && job->fence == t->progress->fence && str_equal(job->state, "leased") && str_equal(job->agent_id, t->agent) &&
           str_equal(job->kind, KIND);
    return RC_OK;
}

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    struct q_job_get_row job;
    return held(ctx, txn, t, &job, &t->held);
}

/* A path: what is a place of this host's only, for no agent's name has a '/'. */
static void choose_files(struct ctx *ctx, struct taking *t)
{
    t->files = arena_array(&ctx->arena, t->batch->files.n + 1, sizeof *t->files);
    for (size_t i = 0; i < t->batch->files.n; i++)
        if (*t->batch->files.v[i].path == '/')
            t->files[t->files_n++] = &t->batch->files.v[i];
}

/* Only certificates that lie in one of the files. */
static struct rc choose_certificates(struct ctx *ctx, struct taking *t, struct inventory_item **items, size_t *n)
{
    size_t most = 0, prints_n = 0;
    for (size_t i = 0; i < t->files_n; i++)
        most += t->files[i]->fingerprints.n;
    uint8_t(*prints)[SHA256_LEN] = arena_array(&ctx->arena, most + 1, sizeof *prints);
    for (size_t i = 0; i < t->files_n; i++)
        for (size_t k = 0; k < t->files[i]->fingerprints.n; k++) {
            struct bytes print;
            if (get_hex(&ctx->arena, bytes_z(t->files[i]->fingerprints.v[k]), &print) && print.n == SHA256_LEN)
                memcpy(prints[prints_n++], print.p, SHA256_LEN);
        }
    return inventory_choose(ctx, &t->batch->certificates, prints, prints_n, items, n);
}

/* How many the job has told of is kept with the job. */
static struct rc count(struct ctx *ctx, struct txn *txn, const struct q_agent_get_row *agent, const struct q_job_get_row *job,
                       size_t n)
{
    json_auto_t *root = NULL;
    int64_t told = 0;
    TRY(json_read(ctx, bytes_z(job->payload), &root));
    if (json_is_integer(json_object_get(root, "told")))
        told = json_integer_value(json_object_get(root, "told"));
    told += (int64_t)n;
    if (told > FILES_MAX)
        return ctx_fail(ctx, E_TOO_LARGE, "agent %s tells of more than %d files in one job", agent->name, FILES_MAX);
    return q_job_payload(ctx, txn, job->id, job->fence, arena_printf(&ctx->arena, "{\"told\":%lld}", (long long)told));
}

static struct rc take_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    struct q_job_get_row job;
    struct q_agent_get_row agent;
    bool yes = false, found = false;
    TRY(held(ctx, txn, t, &job, &yes));
    if (!yes)
        return RC_OK;
    TRY(q_agent_get(ctx, txn, t->agent, t->core->team_root, &agent, &found));
    if (!found)
        return RC_OK;
    TRY(count(ctx, txn, &agent, &job, t->batch->files.n));
    const struct inventory_from from = {.source = INVENTORY_HOST, .team_id = agent.team_id};
    TRY(inventory_put(ctx, t->core, txn, &from, &t->ready));
    for (size_t i = 0; i < t->files_n; i++)
        TRY(observe(ctx, t, txn, &agent, t->files[i]));
    return RC_OK;
}

static struct rc refuse(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    struct q_job_get_row job;
    bool yes = false;
    TRY(held(ctx, txn, t, &job, &yes));
    return yes ? job_refuse(ctx, t->core, txn, job.id, t->refused, t->why) : RC_OK;
}

static struct rc take(struct ctx *ctx, struct taking *t)
{
    struct inventory_item *items = NULL;
    size_t n = 0;
    choose_files(ctx, t);
    TRY(choose_certificates(ctx, t, &items, &n));
    TRY(inventory_prepare(ctx, t->core, items, n, &t->ready));
    return store_write(ctx, t->core->store, take_write, t);
}

RC host_inventory_took(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_progress *p)
{
    if (!p->inventory)
        return RC_OK;
    struct taking t = {.core = core, .agent = agent, .progress = p, .batch = p->inventory};
    TRY(store_read(ctx, core->store, look, &t));
    if (!t.held)
        return RC_OK;
    struct rc rc = take(ctx, &t);
    if (rc_ok(rc) || err_info(rc.e)->category == CAT_RESOURCE)
        return rc;
    log_event(LOG_WARN_, "host_batch_refused", "agent", agent, "job", p->id, "why", ctx_why(ctx), NULL);
    t.refused = rc.e;
    t.why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return store_write(ctx, core->store, refuse, &t);
}
