#include "hub/metrics.h"

#include <inttypes.h>
#include <sys/resource.h>

#include "base/str.h"
#include "base/version.h"
#include "core/ask.h"
#include "core/audit_stream.h"
#include "core/backup.h"
#include "core/counter.h"
#include "core/status.h"
#include "hub/api.h"
#include "store/queries.h"

#define METRICS_MAX   ((size_t)1 << 20)
#define COUNTED_MOST  100000 /* what is counted row by row is counted so far */
#define ISSUERS_MOST  200
#define OUTCOMES_MOST 64

/* --- the format */

static void put_label(struct buf *b, const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p == '\\' || *p == '"')
            buf_put(b, bytes_of((const uint8_t[]){'\\', (uint8_t)*p}, 2));
        else if (*p == '\n')
            buf_put_z(b, "\\n");
        else
            buf_put_mem(b, p, 1);
}

void metric_family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_name(struct buf *b, const char *name, const char *label, const char *value)
{
    buf_put_z(b, name);
    if (!label)
        return;
    buf_printf(b, "{%s=\"", label);
    put_label(b, value);
    buf_put_z(b, "\"}");
}

void metric_sample(struct buf *b, const char *name, const char *label, const char *value, int64_t n)
{
    put_name(b, name, label, value);
    buf_printf(b, " %" PRId64 "\n", n);
}

void metric_seconds(struct buf *b, const char *name, int64_t us)
{
    buf_printf(b, "%s %" PRId64 ".%06" PRId64 "\n", name, us / 1000000, us % 1000000);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, int64_t n)
{
    metric_family(b, name, type, help);
    metric_sample(b, name, NULL, NULL, n);
}

/* --- the hub's process */

static int64_t cpu_us(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0)
        return 0;
    return ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void put_server(struct buf *b, struct hub *hub)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset;
        bool wide;
    } rows[] = {
#define FIELD(name, type, help, field, wide) {"certwright_http_" name, type, help, offsetof(struct http_server_stats, field), wide}
        FIELD("connections", "gauge", "Open connections.", connections, false),
        FIELD("parked_requests", "gauge", "Requests that wait for something to happen, and hold no thread.", parked, false),
        FIELD("running_requests", "gauge", "Requests that are answered just now.", running, false),
        FIELD("queued_requests", "gauge", "Requests that wait for a thread.", queued, false),
        FIELD("workers", "gauge", "Threads that answer.", workers, false),
        FIELD("requests_total", "counter", "Requests since the start.", requests, true),
        FIELD("refused_connections_total", "counter", "Connections over a limit, since the start.", refused, true),
#undef FIELD
    };
    struct http_server_stats people = {0}, agents = {0};
    if (hub->server)
        http_server_stats(hub->server, &people);
    if (hub->fleet)
        http_server_stats(hub->fleet, &agents);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct http_server_stats *of[] = {&people, &agents};
        metric_family(b, rows[i].name, rows[i].type, rows[i].help);
        for (int k = 0; k < (hub->fleet ? 2 : 1); k++) {
            const uint8_t *field = (const uint8_t *)of[k] + rows[i].offset;
            const int64_t n = rows[i].wide ? (int64_t) * (const uint64_t *)field : (int64_t) * (const unsigned *)field;
            metric_sample(b, rows[i].name, "server", k ? "agents" : "people", n);
        }
    }
}

static void put_process(struct ctx *ctx, struct buf *b, struct api_call *call)
{
    struct store_stats st;
    store_stats(call->core->store, &st);
    metric_family(b, "certwright_build_info", "gauge", "The version that runs.");
    metric_sample(b, "certwright_build_info", "version", CERTWRIGHT_VERSION, 1);
    one(b, "process_start_time_seconds", "gauge", "Start of the hub's process, as Unix time.", call->hub->started_at);
    metric_family(b, "process_cpu_seconds_total", "counter", "CPU time of the hub's process.");
    metric_seconds(b, "process_cpu_seconds_total", cpu_us());
    put_server(b, call->hub);
    one(b, "certwright_store_writes_total", "counter", "Writes since the start.", st.writes);
    one(b, "certwright_store_commits_total", "counter", "Commits since the start: each holds one write or more.", st.commits);
    one(b, "certwright_store_retries_total", "counter", "Writes that ran again because others were in their way.", st.retries);
    one(b, "certwright_store_trouble", "gauge", "1 where the last write failed for want of disk or database.",
        store_trouble(ctx, call->core->store) != NULL);
}

/* --- what is in the database */

struct seen {
    struct core *core;
    int64_t managed, failing, paused, agents;
    int64_t silent;
    struct ask_facets facets;
    struct q_issuer_get_row *issuers;
    size_t issuers_n;
    struct q_metric_jobs_row jobs;
    struct q_counter_of_row *attempts, *deployments;
    size_t attempts_n, deployments_n;
    struct audit_stream_view *streams;
    size_t streams_n;
};

static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct seen *s = arg;
    const char *scope = access_scope(ctx);
    struct q_managed_count_row managed;
    struct q_metric_failing_row failing;
    struct q_metric_paused_row paused;
    struct q_agent_count_row agents;
    TRY(q_managed_count(ctx, txn, scope, COUNTED_MOST, &managed));
    TRY(q_metric_failing(ctx, txn, scope, COUNTED_MOST, &failing));
    TRY(q_metric_paused(ctx, txn, scope, COUNTED_MOST, &paused));
    TRY(q_agent_count(ctx, txn, scope, COUNTED_MOST, &agents));
    TRY(q_metric_jobs(ctx, txn, ctx_now_s(ctx), scope, COUNTED_MOST, &s->jobs));
    TRY(q_issuer_list(ctx, txn, scope, "", ISSUERS_MOST, &s->issuers, &s->issuers_n));
    TRY(q_counter_of(ctx, txn, COUNTER_ATTEMPT, scope, OUTCOMES_MOST, &s->attempts, &s->attempts_n));
    TRY(q_counter_of(ctx, txn, COUNTER_DEPLOYMENT, scope, OUTCOMES_MOST, &s->deployments, &s->deployments_n));
    TRY(audit_stream_lags(ctx, s->core, txn, &s->streams, &s->streams_n));
    s->managed = managed.n;
    s->failing = failing.n;
    s->paused = paused.n;
    s->agents = agents.n;
    return ask_facets(ctx, s->core, txn, NULL, &s->facets);
}

/* Two issuers may have the same words, and a sample is there once. */
static void put_facet(struct buf *b, const char *name, const char *label, const struct ask_facet *f, bool text)
{
    for (size_t i = 0; i < f->n; i++) {
        const char *value = text ? f->v[i].text : f->v[i].key;
        int64_t n = f->v[i].n;
        bool before = false;
        for (size_t k = 0; text && k < f->n; k++)
            if (k != i && str_equal(f->v[k].text, value)) {
                before = before || k < i;
                n += f->v[k].n;
            }
        if (!before)
            metric_sample(b, name, label, value, n);
    }
}

static void put_inventory(struct buf *b, const struct ask_facets *facets)
{
    static const struct {
        const char *facet, *name, *label, *help;
        bool text;
    } rows[] = {
        {"issuer", "certwright_certificates_by_issuer", "issuer", "Certificates in the inventory by who issued them; the largest.",
         true},
        {"key", "certwright_certificates_by_key", "key", "Certificates in the inventory by kind of key.", false},
        {"expires", "certwright_certificates_by_expiry", "month", "Certificates in the inventory by the month in which they end.",
         false},
        {"finding", "certwright_findings", "check", "Certificates in the inventory that something is wrong with, by what.", false},
    };
    one(b, "certwright_certificates", "gauge", "Certificates in the inventory.", facets->total);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < facets->n; k++) {
            const struct ask_facet *f = &facets->v[k];
            if (!str_equal(f->name, rows[i].facet))
                continue;
            metric_family(b, rows[i].name, "gauge", rows[i].help);
            put_facet(b, rows[i].name, rows[i].label, f, rows[i].text);
        }
}

static void put_outcomes(struct buf *b, const char *name, const char *help, const struct q_counter_of_row *v, size_t n)
{
    metric_family(b, name, "counter", help);
    for (size_t i = 0; i < n; i++)
        metric_sample(b, name, "outcome", v[i].key, v[i].n);
}

static void put_work(struct ctx *ctx, struct buf *b, const struct seen *s)
{
    one(b, "certwright_managed_certificates", "gauge", "Managed certificates.", s->managed);
    one(b, "certwright_managed_certificates_failing", "gauge", "Managed certificates whose last try failed.", s->failing);
    one(b, "certwright_managed_certificates_paused", "gauge", "Managed certificates that are paused.", s->paused);
    one(b, "certwright_agents", "gauge", "Agents.", s->agents);
    one(b, "certwright_agents_silent", "gauge", "Agents that should call and do not.", s->silent);
    metric_family(b, "certwright_jobs", "gauge", "Jobs by state: ready (due, nobody has taken them), leased.");
    metric_sample(b, "certwright_jobs", "state", "ready", s->jobs.ready);
    metric_sample(b, "certwright_jobs", "state", "leased", s->jobs.leased);
    one(b, "certwright_jobs_oldest_ready_seconds", "gauge", "For how long the oldest of the jobs that are due has been waiting.",
        s->jobs.oldest ? ctx_now_s(ctx) - *s->jobs.oldest : 0);
    put_outcomes(b, "certwright_attempts_total", "Attempts that ended, ever: issued, or with an error.", s->attempts,
                 s->attempts_n);
    put_outcomes(b, "certwright_deployments_total", "Deployments that ended, ever, by how.", s->deployments, s->deployments_n);
    metric_family(b, "certwright_issuer_failures", "gauge", "Failures in a row of an issuer; 0 while it works.");
    for (size_t i = 0; i < s->issuers_n; i++)
        metric_sample(b, "certwright_issuer_failures", "issuer", s->issuers[i].name, s->issuers[i].failures);
    if (s->streams_n)
        metric_family(b, "certwright_audit_stream_lag_entries", "gauge",
                      "Entries of the audit log that a stream has not handed over.");
    for (size_t i = 0; i < s->streams_n; i++)
        metric_sample(b, "certwright_audit_stream_lag_entries", "stream", s->streams[i].row.name, s->streams[i].lag);
}

RC api_metrics_get(struct api_call *call)
{
    struct ctx *ctx = call->ctx;
    struct seen s = {.core = call->core};
    struct status st;
    struct buf b;
    TRY(core_status(ctx, call->core, &st));
    TRY(store_read(ctx, call->core->store, look, &s));
    s.silent = (int64_t)st.agents_silent;
    buf_init_arena(&b, &ctx->arena, METRICS_MAX);
    put_process(ctx, &b, call);
    int64_t backup_at = 0;
    TRY(backup_last(ctx, call->core, &backup_at));
    one(&b, "certwright_backup_last_success_timestamp_seconds", "gauge", "When the last good backup began, as Unix time; 0: never.",
        backup_at);
    one(&b, "certwright_problems", "gauge", "Lines of certwright status; 0: all is well.", (int64_t)st.n);
    put_work(ctx, &b, &s);
    put_inventory(&b, &s.facets);
    TRY(buf_status(&b));
    call->resp->status = 200;
    http_response_header(call->resp, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    http_response_header(call->resp, "Cache-Control", "no-store");
    buf_put(&call->resp->body, buf_bytes(&b));
    return buf_status(&call->resp->body);
}
