#include "agent/exchange.h"

#include "agent/live.h"
#include "agent/push_desc.h"
#include "agent/send_desc.h"
#include "agent/share.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/version.h"

#define HOLDING_MAX 1000 /* what is said to be held in one exchange; the API's ceiling is 1,024 */
#define HOLDING_FEW 24   /* so many are always said, more only now and then */
#define HOLDING_MS  2000

static void put_sends(struct ctx *ctx, const struct send_desc *d, struct json_out *j)
{
    json_put_str(j, "socket", d->socket_param);
    json_open_list(j, "sends");
    for (size_t i = 0; i < d->n; i++) {
        struct bytes rest = bytes_z(d->steps[i].text), line;
        if (bytes_take_until(&rest, '\n', &line))
            json_put_str(j, NULL, arena_printf(&ctx->arena, "%.250s", arena_str(&ctx->arena, line)));
    }
    json_close(j);
}

static void put_connector(struct ctx *ctx, const struct agent *a, const char *name, struct json_out *j)
{
    struct connector c;
    struct rc rc = connector_load(ctx, a->cfg, name, &c);
    json_open_obj(j, NULL);
    if (rc_failed(rc)) {
        json_put_str(j, "name", str_is_name(bytes_z(name)) ? name : "?");
        json_put_str(j, "trouble", arena_printf(&ctx->arena, "%.900s", ctx_why(ctx)));
        json_close(j);
        ctx_forget(ctx);
        return;
    }
    json_put_str(j, "name", c.name);
    json_open_list(j, "parameters");
    for (size_t i = 0; i < c.n_params; i++)
        json_put_str(j, NULL, c.params[i].name);
    json_close(j);
    json_open_list(j, "files");
    for (size_t i = 0; i < c.n_files; i++) {
        json_open_obj(j, NULL);
        json_put_str(j, "content", connector_content_name(c.files[i].content));
        json_put_str(j, "parameter", c.files[i].path_param);
        json_close(j);
    }
    json_close(j);
    if (c.check)
        json_put_str(j, "check", c.check);
    if (c.reload)
        json_put_str(j, "reload", c.reload);
    if (c.send)
        put_sends(ctx, c.send, j);
    if (c.relay)
        json_put_str(j, "transport", c.relay->transport);
    json_close(j);
}

/* What this host's connectors write and run: told once, so that a dry run can show it. */
static void put_connectors(struct ctx *ctx, const struct agent *a, struct json_out *j)
{
    json_open_list(j, "connectors");
    for (size_t i = 0; i < a->cfg->connectors.n && i < 64; i++)
        put_connector(ctx, a, a->cfg->connectors.v[i], j);
    json_close(j);
    json_open_list(j, "commands");
    for (size_t i = 0; i < a->cfg->n_commands && i < 256; i++) {
        struct buf line;
        buf_init_arena(&line, &ctx->arena, 4000);
        for (const char *const *word = a->cfg->commands[i].argv; *word; word++)
            buf_printf(&line, "%s%s", line.n ? " " : "", *word);
        json_open_obj(j, NULL);
        json_put_str(j, "name", a->cfg->commands[i].name);
        json_put_str(j, "line", buf_z(&line));
        json_close(j);
    }
    json_close(j);
}

/* What may be scanned from here: the hub gives out no scan that would be refused. */
static void put_scan(const struct agent *a, struct json_out *j)
{
    json_open_obj(j, "scan");
    json_open_list(j, "networks");
    for (size_t i = 0; i < a->cfg->scan_networks.n && i < 1000; i++)
        json_put_str(j, NULL, a->cfg->scan_networks.v[i]);
    json_close(j);
    json_open_list(j, "ports");
    for (size_t i = 0; i < a->cfg->scan_ports.n && i < 1000; i++)
        json_put_str(j, NULL, a->cfg->scan_ports.v[i]);
    json_close(j);
    json_put_int(j, "rate", a->cfg->scan_rate);
    json_close(j);
}

static void put_self(struct ctx *ctx, struct agent *a, struct json_out *j, bool introduce)
{
    json_open_obj(j, "agent");
    json_put_str(j, "name", a->cfg->name);
    json_put_str(j, "version", CERTWRIGHT_VERSION);
    json_put_str(j, "platform", a->platform);
    json_open_list(j, "capabilities");
    for (const char *const *k = jobs_kinds(); *k != NULL; k++)
        json_put_str(j, NULL, *k);
    for (size_t i = 0; i < a->cfg->connectors.n && i < 40; i++)
        json_put_str(j, NULL, arena_printf(&ctx->arena, "connector:%s", a->cfg->connectors.v[i]));
    json_close(j);
    json_put_str(j, "boot_id", a->boot_id);
    json_put_str(j, "sandbox", a->sandbox);
    json_put_int(j, "now_s", ctx_now_s(ctx));
    if (introduce) {
        put_connectors(ctx, a, j);
        put_scan(a, j);
        share_put_key(ctx, &a->hands, j);
    }
    json_close(j);
}

/* As many as fit; `told` remembers which. */
static size_t put_results(struct ctx *ctx, struct agent *a, struct json_out *j, struct told told[RESULTS_BATCH])
{
    size_t n = 0, bytes = 0;
    json_open_list(j, "results");
    for (struct result *r = a->results.first; r != NULL && n < RESULTS_BATCH && bytes < RESULTS_BATCH_BYTES; r = r->next) {
        json_put_raw(j, NULL, bytes_of(r->json, r->n));
        told[n++] = (struct told){arena_strdup(&ctx->arena, r->id), r->fence};
        bytes += r->n;
    }
    json_close(j);
    return n;
}

static void put_progress(struct agent *a, struct json_out *j)
{
    json_open_list(j, "progress");
    for (struct running *r = a->running; r != NULL; r = r->next) {
        if (r->done || *r->id == '\0' || !story_has_news(&r->story))
            continue;
        json_open_obj(j, NULL);
        json_put_str(j, "id", r->id);
        json_put_int(j, "fence", r->fence);
        story_put(&r->story, j, true);
        json_close(j);
    }
    json_close(j);
}

static void put_held(struct json_out *j, const char *id, int64_t fence)
{
    json_open_obj(j, NULL);
    json_put_str(j, "id", id);
    json_put_int(j, "fence", fence);
    json_close(j);
}

static size_t held_n(const struct agent *a)
{
    size_t n = 0;
    for (const struct running *r = a->running; r != NULL; r = r->next)
        n += !r->done && *r->id != '\0';
    for (const struct result *r = a->results.first; r != NULL; r = r->next)
        n++;
    return n;
}

/* Whether number `i` of `n` that are held is among the HOLDING_MAX from `from` on, round and round. */
static bool in_turn(size_t i, size_t n, size_t from)
{
    return (i + n - from) % n < HOLDING_MAX;
}

/* Hundreds wait where a CA is slow: said in each exchange, they would cost more than all else.  A lease lasts for many rounds. */
static void put_holding(struct agent *a, struct json_out *j)
{
    const size_t n = held_n(a), from = n > HOLDING_MAX ? a->holding_from % n : 0;
    const int64_t now_ms = clock_mono_ms();
    size_t i = 0;
    json_open_list(j, "holding");
    if (n > HOLDING_FEW && a->missed == a->recovered && now_ms < a->holding_due_ms) {
        json_close(j);
        return;
    }
    for (struct running *r = a->running; r != NULL; r = r->next)
        if (!r->done && *r->id != '\0' && in_turn(i++, n, from))
            put_held(j, r->id, r->fence);
    /* A result that is still to be told is held too: else the hub would lease the job again. */
    for (struct result *r = a->results.first; r != NULL; r = r->next)
        if (in_turn(i++, n, from))
            put_held(j, r->id, r->fence);
    json_close(j);
    a->holding_due_ms = now_ms + HOLDING_MS;
    a->holding_from = from + HOLDING_MAX;
}

static size_t put_request(struct ctx *ctx, struct agent *a, int wait_s, struct buf *b, struct told told[RESULTS_BATCH],
                          unsigned *missed)
{
    struct json_out j;
    size_t n = 0;
    json_begin(&j, b);
    json_open_obj(&j, NULL);
    pthread_mutex_lock(&a->lock);
    bool introduce = !a->introduced;
    pthread_mutex_unlock(&a->lock);
    put_self(ctx, a, &j, introduce);
    pthread_mutex_lock(&a->lock);
    size_t workers = (size_t)a->cfg->workers;
    if (wait_s == 0) {
        n = put_results(ctx, a, &j, told);
        put_progress(a, &j);
        a->news = false;
        a->steps_due_ms = 0;
    }
    put_holding(a, &j);
    if (a->missed != a->recovered)
        json_put_bool(&j, "recover", true);
    *missed = a->missed;
    json_put_int(&j, "capacity", a->n_running < workers && !a->stop ? (int64_t)(workers - a->n_running) : 0);
    pthread_mutex_unlock(&a->lock);
    json_put_int(&j, "wait_s", wait_s);
    json_close(&j);
    return n;
}

RC exchange_post(struct ctx *ctx, struct http_client *http, const char *hub, const char *path, struct bytes body,
                 struct bytes *answer)
{
    static const struct http_header json_type = {"Content-Type", "application/json"};
    struct http_answer reply;
    /* Once: an answer that is lost must be noticed, it may carry leases. */
    struct http_call call = {.method = "POST",
                             .url = arena_printf(&ctx->arena, "%s%s", hub, path),
                             .headers = &json_type,
                             .headers_n = 1,
                             .body = body,
                             .once = true,
                             .total_ms = 90000,
                             .body_max = (size_t)32 << 20};
    TRY(http_client_call(ctx, http, &call, &reply));
    *answer = reply.body;
    if (reply.status == 200)
        return RC_OK;
    /* A problem document names the error; its own type is the last part of "type". */
    json_t *problem = NULL;
    const char *detail = "", *type = "";
    struct rc rc = json_read(ctx, reply.body, &problem);
    if (rc_ok(rc)) {
        rc = json_get_str(ctx, problem, "detail", false, &detail);
        if (rc_ok(rc))
            rc = json_get_str(ctx, problem, "type", false, &type);
    }
    json_decref(problem);
    if (rc_failed(rc))
        ctx_forget(ctx);
    bool known = strncmp(type, HTTP_PROBLEM_TYPE, strlen(HTTP_PROBLEM_TYPE)) == 0;
    enum err e = known ? err_by_name(type + strlen(HTTP_PROBLEM_TYPE)) : reply.status >= 500 ? E_UNREACHABLE : E_BAD_ANSWER;
    if (reply.retry_after_s > 0)
        ctx->retry_after_s = reply.retry_after_s;
    if (reply.status == 404 && e == E_NOT_FOUND && strncmp(detail, "there is nothing at", 19) == 0)
        return ctx_fail(ctx, E_BAD_ANSWER, "%s is not where a hub takes agents; that is the agents' port of hub.yaml (setting "
                        "\"agents\", 8444)", hub);
    return ctx_fail(ctx, e, "the hub answered %d: %s", reply.status, *detail != '\0' ? detail : http_status_text(reply.status));
}

static void drop(struct agent *a, const char *id)
{
    for (struct running *r = a->running; r != NULL; r = r->next)
        if (strcmp(r->id, id) == 0) {
            pthread_mutex_lock(&r->story.lock);
            const bool known = r->story.dropped; /* each exchange says so until it has ended */
            r->story.dropped = true;
            pthread_mutex_unlock(&r->story.lock);
            if (!known)
                log_event(LOG_INFO_, "job_dropped", "job", id, NULL);
        }
}

/* A lease that is over, and the same job in the same answer: it goes on. */
static bool leased_again(const json_t *jobs, const char *id)
{
    const json_t *v;
    size_t i;
    json_array_foreach(jobs, i, v)
        if (str_equal(json_string_value(json_object_get(v, "id")), id))
            return true;
    return false;
}

static RC take_reply(struct ctx *ctx, struct agent *a, const json_t *reply, const struct told *told, size_t n)
{
    const json_t *jobs, *dropped, *v;
    size_t i;
    TRY(json_get_list(ctx, reply, "jobs", true, &jobs));
    TRY(json_get_list(ctx, reply, "dropped", true, &dropped));
    pthread_mutex_lock(&a->lock);
    for (i = 0; i < n; i++)
        results_acked(ctx, &a->results, told[i].id, told[i].fence);
    json_array_foreach(dropped, i, v) {
        const json_t *id = json_object_get(v, "id");
        if (json_is_string(id) && !leased_again(jobs, json_string_value(id)))
            drop(a, json_string_value(id));
    }
    json_array_foreach(jobs, i, v) agent_start_job(a, v);
    if (json_is_true(json_object_get(reply, "live")))
        live_begin(a);
    if (a->results.first != NULL && n > 0)
        a->news = true; /* more than one exchange could carry */
    pthread_mutex_unlock(&a->lock);
    return RC_OK;
}

static RC exchange_try(struct ctx *ctx, struct agent *a, int wait_s, unsigned *missed)
{
    BUF_CLEANUP struct buf request;
    struct told told[RESULTS_BATCH];
    struct bytes answer;
    json_t *reply = NULL;
    buf_init(&request, (size_t)32 << 20);
    size_t n = put_request(ctx, a, wait_s, &request, told, missed);
    TRY(buf_status(&request));
    FAILPOINT("agent.exchange_before");
    TRY(exchange_post(ctx, a->http, a->hub, "/agent/v1/exchange", buf_bytes(&request), &answer));
    FAILPOINT("agent.exchange_after");
    TRY(json_read(ctx, answer, &reply));
    struct rc rc = take_reply(ctx, a, reply, told, n);
    json_decref(reply);
    return rc;
}

RC exchange_once(struct ctx *ctx, struct agent *a, int wait_s)
{
    unsigned missed = 0;
    struct rc rc = exchange_try(ctx, a, wait_s, &missed);
    pthread_mutex_lock(&a->lock);
    for (struct running *r = a->running; r != NULL && wait_s == 0; r = r->next)
        story_handed_over(&r->story, rc_ok(rc));
    if (rc_failed(rc)) {
        a->missed++; /* an answer that was lost may have carried leases */
    } else {
        a->recovered = missed;
        if (!a->introduced)
            log_event(LOG_INFO_, "hub_reached", "hub", a->hub, NULL);
        a->introduced = true;
    }
    pthread_mutex_unlock(&a->lock);
    return rc;
}
