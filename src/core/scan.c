#include "core/scan.h"

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "core/access.h"
#include "core/audit.h"
#include "core/heard.h"
#include "core/job.h"
#include "core/scan_plan.h"
#include "core/scope.h"
#include "pki/name.h"

#define SPEC_MAX    ((size_t)8 << 20)
#define SPEC_TOLD   32768 /* to the audit log; longer ones are too much for it */
#define PART_LOOK_S 60 /* whether whoever does a part is still there */
#define EVERY_MIN_S 300

/* --- what is kept as JSON */

static struct rc spec_text(struct ctx *ctx, const struct api_scan_spec *spec, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, SPEC_MAX);
    json_begin(&j, &b);
    api_scan_spec_encode(&j, NULL, spec);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static struct rc spec_read(struct ctx *ctx, const char *text, struct api_scan_spec *out)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(text), &root));
    return api_scan_spec_decode(ctx, root, out);
}

static struct rc list_text(struct ctx *ctx, const struct str_list *l, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, SPEC_MAX);
    json_begin(&j, &b);
    json_open_list(&j, NULL);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(&j, NULL, l->v[i]);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

static struct rc list_read(struct ctx *ctx, const char *text, struct api_strings *out)
{
    json_auto_t *root = NULL;
    struct str_list l = {0};
    const json_t *v;
    size_t i;
    TRY(json_read(ctx, bytes_z(text), &root));
    json_array_foreach(root, i, v) if (json_is_string(v))
        str_list_add(&ctx->arena, &l, arena_strdup(&ctx->arena, json_string_value(v)));
    *out = (struct api_strings){l.v, l.n};
    return RC_OK;
}

/* --- jobs */

/* What a part is gone on with, or begun. */
static struct rc job_payload(struct ctx *ctx, const struct q_scan_part_list_row *p, const struct api_scan_spec *spec, size_t parts,
                             int64_t position, struct bytes *out)
{
    struct api_job_scan job = {.scan = p->id,
                               .exclude = spec->exclude,
                               .ports = spec->ports,
                               .seed = p->seed,
                               .position = position,
                               .timeout_ms = spec->timeout_ms,
                               .both_keys = !spec->one_key,
                               .details = spec->details,
                               .verify = spec->verify};
    struct buf b;
    struct json_out j;
    if (spec->rate)
        job.rate = spec->rate > (int64_t)parts ? spec->rate / (int64_t)parts : 1;
    TRY(list_read(ctx, p->targets, &job.targets));
    buf_init_arena(&b, &ctx->arena, SPEC_MAX);
    json_begin(&j, &b);
    api_job_scan_encode(&j, NULL, &job);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static struct rc part_go_on(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_scan_part_list_row *p,
                            const struct api_scan_spec *spec, size_t parts, int64_t run_at)
{
    struct bytes payload;
    TRY(timer_arm(ctx, txn, "scan-part", p->id, ctx_now_s(ctx) + PART_LOOK_S));
    TRY(job_payload(ctx, p, spec, parts, p->position, &payload));
    return job_add(ctx, core, txn, "scan", p->agent_id, arena_printf(&ctx->arena, "scan:%s", p->id), p->id, payload, run_at);
}

static struct rc begin(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const struct api_scan_spec *spec,
                       const struct scan_plan *plan)
{
    size_t parts = 0;
    TRY(q_scan_jobs_cancel(ctx, txn, id, ctx_now_s(ctx)));
    TRY(q_scan_parts_drop(ctx, txn, id));
    TRY(q_scan_begin(ctx, txn, id, ctx_now_s(ctx)));
    TRY(timer_clear(ctx, txn, "scan", id));
    for (size_t i = 0; i < plan->n; i++)
        parts += plan->v[i].targets.n > 0;
    for (size_t i = 0; i < plan->n; i++) {
        struct q_scan_part_list_row p = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                         .agent_id = plan->v[i].id,
                                         .seed = (int64_t)random_below((uint64_t)1 << 53)};
        if (!plan->v[i].targets.n)
            continue;
        TRY(list_text(ctx, &plan->v[i].targets, &p.targets));
        TRY(q_scan_part_add(
            ctx, txn,
            &(struct q_scan_part_add_in){.id = p.id, .scan_id = id, .agent_id = p.agent_id, .targets = p.targets, .seed = p.seed}));
        TRY(part_go_on(ctx, core, txn, &p, spec, parts, 0));
    }
    return RC_OK;
}

static struct rc state_set(struct ctx *ctx, struct txn *txn, const char *id, const char *state, const int64_t *finished_at,
                           const char *why)
{
    const struct q_scan_state_in in = {.id = id, .state = state, .finished_at = finished_at, .error = why, .now = ctx_now_s(ctx)};
    return q_scan_state(ctx, txn, &in);
}

/* --- what people do */

struct scan_change {
    struct core *core;
    const char *ref, *id, *verb;
    const struct api_scan_new *in;
    const struct api_scan_patch *patch;
    struct scan_view *view, *views;
    int64_t before, limit;
    size_t n;
};

static struct rc find(struct ctx *ctx, struct txn *txn, const char *ref, struct q_scan_list_row *out)
{
    bool found = false;
    TRY(q_scan_get(ctx, txn, ref, access_scope(ctx), out, &found));
    return found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "no scan is named %s; certwright scan list shows them", ref);
}

static struct rc told(struct ctx *ctx, struct txn *txn, const char *action, const char *id, const char *team, const char *name,
                      const char *spec)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, SPEC_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "name", name);
    if (spec && strlen(spec) < SPEC_TOLD)
        json_put_raw(&j, "spec", bytes_z(spec));
    json_close(&j);
    TRY(buf_status(&b));
    const bool gone = str_equal(action, "scan.delete");
    return audit_write(ctx, txn, action, "scan", id, team,
                       audit_change(ctx, gone ? buf_bytes(&b) : (struct bytes){0}, gone ? (struct bytes){0} : buf_bytes(&b)));
}

/* Several teams as one are those of who asks today; the scan's own is for good. */
static const char *scope_of(const struct ctx *ctx, const char *team)
{
    return scope_is_several(access_scope(ctx)) ? team : access_scope(ctx);
}

static struct rc create(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct scan_change *c = arg;
    struct api_scan_spec spec = c->in->spec;
    struct q_scan_number_row number;
    struct scan_plan plan;
    const char *team, *text = NULL;
    TRY(access_team(ctx, txn, c->in->team, &team));
    TRY(decide(ctx, c->core, txn, "scan.create", team));
    TRY(scan_plan_make(ctx, c->core, txn, &spec, access_scope(ctx), &plan));
    spec.ports = (struct api_strings){plan.ports.v, plan.ports.n};
    TRY(spec_text(ctx, &spec, &text));
    TRY(q_scan_number(ctx, txn, &number));
    const struct q_scan_add_in in = {.id = c->id,
                                     .number = number.n,
                                     .team_id = team,
                                     .name =
                                         c->in->name ? c->in->name : arena_printf(&ctx->arena, "scan-%lld", (long long)number.n),
                                     .spec = text,
                                     .scope = scope_of(ctx, team),
                                     .every_s = c->in->every_s,
                                     .created_by = ctx->principal->name,
                                     .now = ctx_now_s(ctx)};
    struct rc rc = q_scan_add(ctx, txn, &in);
    if (rc.e == E_EXISTS) {
        ctx_forget(ctx);
        return ctx_fail(ctx, E_EXISTS, "a scan named %s is there already; begin it again with: certwright scan start %s", in.name,
                        in.name);
    }
    TRY(rc);
    TRY(begin(ctx, c->core, txn, c->id, &spec, &plan));
    return told(ctx, txn, "scan.create", c->id, team, in.name, text);
}

static struct rc every_check(struct ctx *ctx, int64_t every_s)
{
    return !every_s || every_s >= EVERY_MIN_S ? RC_OK
                                              : ctx_fail_field(ctx, "/every_s", "a scan is begun every five minutes at most");
}

RC scan_create(struct ctx *ctx, struct core *core, const struct api_scan_new *in, const char **id)
{
    struct scan_change c = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(every_check(ctx, in->every_s));
    if (in->name &&
        (!*in->name || strspn(in->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(in->name)))
        return ctx_fail_field(ctx, "/name", "a name is made of letters, digits, '.', '_' and '-'");
    TRY(store_write(ctx, core->store, create, &c));
    *id = c.id;
    return RC_OK;
}

static struct rc pause(struct ctx *ctx, struct txn *txn, const struct q_scan_list_row *row)
{
    TRY(q_scan_jobs_cancel(ctx, txn, row->id, ctx_now_s(ctx)));
    return state_set(ctx, txn, row->id, "paused", NULL, NULL);
}

static struct rc resume(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_scan_list_row *row,
                        const char *run_spec)
{
    struct q_scan_part_list_row *parts = NULL;
    struct api_scan_spec spec;
    size_t n = 0;
    TRY(spec_read(ctx, run_spec, &spec));
    TRY(q_scan_part_list(ctx, txn, row->id, &parts, &n));
    for (size_t i = 0; i < n; i++)
        if (str_equal(parts[i].state, "running"))
            TRY(part_go_on(ctx, core, txn, &parts[i], &spec, n, 0));
    return state_set(ctx, txn, row->id, "running", NULL, NULL);
}

static struct rc stop(struct ctx *ctx, struct txn *txn, const struct q_scan_list_row *row)
{
    const int64_t now = ctx_now_s(ctx);
    TRY(q_scan_jobs_cancel(ctx, txn, row->id, now));
    TRY(q_scan_parts_end(ctx, txn, row->id, "stopped", now));
    TRY(timer_clear(ctx, txn, "scan", row->id));
    return state_set(ctx, txn, row->id, "stopped", row->finished_at ? row->finished_at : &now, NULL);
}

static struct rc start(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *text, const char *scope)
{
    struct api_scan_spec spec;
    struct scan_plan plan;
    TRY(spec_read(ctx, text, &spec));
    TRY(scan_plan_make(ctx, core, txn, &spec, scope, &plan));
    return begin(ctx, core, txn, id, &spec, &plan);
}

static struct rc change(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct scan_change *c = arg;
    struct q_scan_list_row row;
    struct q_scan_by_id_row more;
    bool found = false;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "scan.update", row.team_id));
    TRY(q_scan_by_id(ctx, txn, row.id, &more, &found));
    const bool running = str_equal(row.state, "running"), paused = str_equal(row.state, "paused");
    if (str_equal(c->verb, "pause")) {
        if (paused)
            return RC_OK;
        if (!running)
            return ctx_fail(ctx, E_CONFLICT, "scan %s is %s: there is nothing to pause", row.name, row.state);
        TRY(pause(ctx, txn, &row));
    } else if (str_equal(c->verb, "resume")) {
        if (running)
            return RC_OK;
        if (!paused)
            return ctx_fail(ctx, E_CONFLICT, "scan %s is %s; begin it anew with: certwright scan start %s", row.name, row.state,
                            row.name);
        TRY(resume(ctx, c->core, txn, &row, more.run_spec));
    } else if (str_equal(c->verb, "stop")) {
        if (str_equal(row.state, "stopped"))
            return RC_OK;
        TRY(stop(ctx, txn, &row));
    } else if (str_equal(c->verb, "start")) {
        if (running || paused)
            return ctx_fail(ctx, E_CONFLICT, "scan %s is %s; stop it first: certwright scan stop %s", row.name, row.state,
                            row.name);
        TRY(start(ctx, c->core, txn, row.id, row.spec, more.scope));
    } else {
        return ctx_fail(ctx, E_NOT_FOUND, "a scan can be told to pause, resume, stop or start; %s is none of them", c->verb);
    }
    return told(ctx, txn, arena_printf(&ctx->arena, "scan.%s", c->verb), row.id, row.team_id, row.name, NULL);
}

RC scan_change(struct ctx *ctx, struct core *core, const char *ref, const char *verb)
{
    struct scan_change c = {.core = core, .ref = ref, .verb = verb};
    return store_write(ctx, core->store, change, &c);
}

/* --- another wish for the same scan */

static void spec_patch(const struct api_scan_patch *in, struct api_scan_spec *spec)
{
    if (in->has_targets)
        spec->targets = in->targets;
    if (in->has_exclude)
        spec->exclude = in->exclude;
    if (in->has_ports)
        spec->ports = in->ports;
    if (in->has_names)
        spec->names = in->names;
    if (in->has_agents)
        spec->agents = in->agents;
    if (in->has_rate)
        spec->rate = in->rate;
    if (in->has_timeout_ms)
        spec->timeout_ms = in->timeout_ms;
    if (in->has_one_key)
        spec->one_key = in->one_key;
    if (in->has_details)
        spec->details = in->details;
    if (in->has_verify)
        spec->verify = in->verify;
}

/* A run under way arms it at its end. */
static struct rc schedule_again(struct ctx *ctx, struct txn *txn, const struct q_scan_by_id_row *scan, int64_t every_s)
{
    const int64_t now = ctx_now_s(ctx), next = scan->started_at + every_s;
    if (!str_equal(scan->state, "done") && !str_equal(scan->state, "failed"))
        return RC_OK;
    return every_s ? timer_arm(ctx, txn, "scan", scan->id, next > now ? next : now + 1) : timer_clear(ctx, txn, "scan", scan->id);
}

static struct bytes edit_facts(struct ctx *ctx, const struct q_scan_list_row *row, const char *spec, int64_t every_s)
{
    return audit_facts(ctx, "name", row->name, "every_s:", audit_number(ctx, every_s),
                       "spec:", strlen(spec) < SPEC_TOLD ? spec : NULL, NULL);
}

static struct rc edit(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct scan_change *c = arg;
    struct q_scan_list_row row;
    struct q_scan_by_id_row scan;
    struct api_scan_spec spec;
    struct scan_plan plan;
    const char *text = NULL, *was = NULL;
    bool found = false;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "scan.update", row.team_id));
    TRY(q_scan_by_id(ctx, txn, row.id, &scan, &found));
    TRY(spec_read(ctx, scan.spec, &spec));
    TRY(spec_text(ctx, &spec, &was));
    spec_patch(c->patch, &spec);
    TRY(spec_text(ctx, &spec, &text));
    const int64_t every_s = c->patch->has_every_s ? c->patch->every_s : scan.every_s;
    const char *scope = scan.scope;
    if (!str_equal(text, was)) { /* by the agents of whoever wants it so, as if it were new */
        TRY(scan_plan_make(ctx, c->core, txn, &spec, access_scope(ctx), &plan));
        spec.ports = (struct api_strings){plan.ports.v, plan.ports.n};
        TRY(spec_text(ctx, &spec, &text));
        scope = scope_of(ctx, row.team_id);
    }
    TRY(q_scan_edit(ctx, txn,
                    &(struct q_scan_edit_in){
                        .id = row.id, .spec = text, .scope = scope, .every_s = every_s, .now = ctx_now_s(ctx)}));
    if (every_s != scan.every_s)
        TRY(schedule_again(ctx, txn, &scan, every_s));
    return audit_write(ctx, txn, "scan.update", "scan", row.id, row.team_id,
                       audit_change(ctx, edit_facts(ctx, &row, was, scan.every_s), edit_facts(ctx, &row, text, every_s)));
}

RC scan_edit(struct ctx *ctx, struct core *core, const char *ref, const struct api_scan_patch *in)
{
    struct scan_change c = {.core = core, .ref = ref, .patch = in};
    if (in->has_every_s)
        TRY(every_check(ctx, in->every_s));
    struct rc rc = store_write(ctx, core->store, edit, &c);
    if (ctx->field && bytes_starts_with(bytes_z(ctx->field), BYTES_LIT("/spec/")))
        ctx->field += strlen("/spec");
    return rc;
}

static struct rc drop(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct scan_change *c = arg;
    struct q_scan_list_row row;
    TRY(find(ctx, txn, c->ref, &row));
    TRY(decide(ctx, c->core, txn, "scan.delete", row.team_id));
    TRY(stop(ctx, txn, &row));
    TRY(q_scan_parts_drop(ctx, txn, row.id));
    TRY(q_scan_remove(ctx, txn, row.id));
    return told(ctx, txn, "scan.delete", row.id, row.team_id, row.name, NULL);
}

RC scan_remove(struct ctx *ctx, struct core *core, const char *ref)
{
    struct scan_change c = {.core = core, .ref = ref};
    return store_write(ctx, core->store, drop, &c);
}

/* --- showing */

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct scan_change *c = arg;
    TRY(find(ctx, txn, c->ref, &c->view->row));
    return q_scan_part_list(ctx, txn, c->view->row.id, &c->view->parts, &c->view->parts_n);
}

RC scan_show(struct ctx *ctx, struct core *core, const char *ref, struct scan_view *out)
{
    struct scan_change c = {.core = core, .ref = ref, .view = out};
    return store_read(ctx, core->store, show, &c);
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct scan_change *c = arg;
    struct q_scan_list_row *rows = NULL;
    TRY(q_scan_list(ctx, txn, access_scope(ctx), c->before, c->limit, &rows, &c->n));
    c->views = arena_array(&ctx->arena, c->n, sizeof *c->views);
    for (size_t i = 0; i < c->n; i++) {
        c->views[i].row = rows[i];
        TRY(q_scan_part_list(ctx, txn, rows[i].id, &c->views[i].parts, &c->views[i].parts_n));
    }
    return RC_OK;
}

RC scan_list(struct ctx *ctx, struct core *core, int64_t before, int64_t limit, struct scan_view **out, size_t *n)
{
    struct scan_change c = {.core = core, .before = before, .limit = limit};
    TRY(store_read(ctx, core->store, list, &c));
    *out = c.views;
    *n = c.n;
    return RC_OK;
}

RC scan_troubles(struct ctx *ctx, struct txn *txn, int64_t most, void *arg,
                 void (*add)(void *arg, const char *object, const char *text, const char *remedy))
{
    struct q_scan_troubled_row *rows = NULL;
    size_t n = 0;
    TRY(q_scan_troubled(ctx, txn, access_scope(ctx), most, &rows, &n));
    for (size_t i = 0; i < n; i++)
        add(arg, rows[i].name,
            arena_printf(&ctx->arena, "scan %s has failed: %s", rows[i].name, rows[i].error ? rows[i].error : "?"),
            arena_printf(&ctx->arena, "certwright scan show %s", rows[i].name));
    return RC_OK;
}

/* --- the schedule */

RC scan_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_scan_by_id_row row;
    bool found = false;
    TRY(q_scan_by_id(ctx, txn, id, &row, &found));
    if (!found || !row.every_s || (!str_equal(row.state, "done") && !str_equal(row.state, "failed")))
        return RC_OK; /* one that runs arms it at its end */
    struct rc rc = start(ctx, core, txn, row.id, row.spec, row.scope);
    if (rc_ok(rc) || err_info(rc.e)->category == CAT_RESOURCE)
        return rc;
    const int64_t now = ctx_now_s(ctx);
    const char *why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    TRY(state_set(ctx, txn, row.id, "failed", &now, why));
    return timer_arm(ctx, txn, "scan", row.id, now + row.every_s);
}

/* --- how a part ends */

#define FAILURES_MAX 10 /* in a row, without a batch between */
#define REMARKS_SAID 3

/* A scan of names that were all mistyped has looked at nothing: that is no success. */
static struct rc nothing_said(struct ctx *ctx, struct txn *txn, const char *scan_id, const char **why)
{
    struct q_scan_part_list_row *parts = NULL;
    struct buf b;
    size_t n = 0, said = 0;
    TRY(q_scan_part_list(ctx, txn, scan_id, &parts, &n));
    buf_init_arena(&b, &ctx->arena, 16384);
    buf_put_z(&b, "nothing was looked at");
    for (size_t i = 0; i < n; i++) {
        struct api_strings remarks;
        TRY(list_read(ctx, parts[i].remarks, &remarks));
        for (size_t k = 0; k < remarks.n && said < REMARKS_SAID; k++)
            buf_printf(&b, "%s%s", said++ ? "; " : ": ", remarks.v[k]);
    }
    TRY(buf_status(&b));
    *why = buf_z(&b);
    return RC_OK;
}

static struct rc part_ended(struct ctx *ctx, struct txn *txn, const char *scan_id)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_scan_parts_left_row left;
    struct q_scan_by_id_row scan;
    bool found = false;
    TRY(q_scan_parts_left(ctx, txn, scan_id, &left));
    TRY(q_scan_by_id(ctx, txn, scan_id, &scan, &found));
    if (!found || left.running)
        return RC_OK;
    const char *why = NULL;
    if (!left.failed && !left.looked && left.unasked)
        TRY(nothing_said(ctx, txn, scan_id, &why));
    TRY(state_set(ctx, txn, scan_id, left.failed || why ? "failed" : "done", &now, why));
    const int64_t next = scan.started_at + scan.every_s;
    return scan.every_s ? timer_arm(ctx, txn, "scan", scan_id, next > now ? next : now + 1) : RC_OK;
}

RC scan_job_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    const int64_t now = ctx_now_s(ctx);
    struct q_scan_part_list_row p, *all = NULL;
    struct q_scan_by_id_row scan;
    struct api_scan_spec spec;
    size_t n = 0;
    bool found = false;
    TRY(q_scan_part_get(ctx, txn, r->job.ref, &p, &found));
    if (!found || !str_equal(p.state, "running"))
        return RC_OK;
    if (r->ok) {
        TRY(q_scan_part_state(ctx, txn, p.id, "done", &now));
        return part_ended(ctx, txn, p.scan_id);
    }
    const int64_t failures = p.failures + (r->e != E_BUSY && r->e != E_FENCED);
    TRY(q_scan_part_trouble(ctx, txn, p.id, failures, err_info(r->e)->name, r->why));
    if ((!err_info(r->e)->retryable && r->e != E_FENCED) || failures >= FAILURES_MAX) {
        TRY(q_scan_part_state(ctx, txn, p.id, "failed", &now));
        return part_ended(ctx, txn, p.scan_id);
    }
    TRY(q_scan_by_id(ctx, txn, p.scan_id, &scan, &found));
    TRY(spec_read(ctx, scan.run_spec, &spec));
    TRY(q_scan_part_list(ctx, txn, p.scan_id, &all, &n));
    return part_go_on(ctx, core, txn, &p, &spec, n, now + 5 + 10 * failures);
}

/* --- whose agent is gone */

static struct rc is_gone(struct ctx *ctx, struct core *core, const char *agent, bool *gone)
{
    const char *const *silent = NULL;
    size_t n = 0;
    TRY(heard_silent(ctx, core, &silent, &n));
    *gone = false;
    for (size_t i = 0; i < n && !*gone; i++)
        *gone = str_equal(silent[i], agent);
    return RC_OK;
}

RC scan_part_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_scan_part_list_row p, *all = NULL;
    struct q_scan_by_id_row scan;
    struct api_scan_spec spec;
    struct api_strings targets;
    const char *other = NULL, *name = NULL;
    size_t n = 0;
    bool found = false, gone = false, there = false;
    TRY(q_scan_part_get(ctx, txn, id, &p, &found));
    if (!found || !str_equal(p.state, "running"))
        return RC_OK;
    TRY(q_scan_by_id(ctx, txn, p.scan_id, &scan, &found));
    if (!found || !str_equal(scan.state, "running"))
        return RC_OK; /* paused: to go on arms it again */
    TRY(spec_read(ctx, scan.run_spec, &spec));
    TRY(list_read(ctx, p.targets, &targets));
    TRY(is_gone(ctx, core, p.agent_id, &gone));
    TRY(scan_plan_other(ctx, core, txn, &spec, scan.scope, &targets, p.agent_id, &other, &name, &there));
    if (!other || (!gone && there))
        return timer_arm(ctx, txn, "scan-part", id, ctx_now_s(ctx) + PART_LOOK_S);
    const char *why = arena_printf(&ctx->arena, "agent %s was not heard of any more: %s goes on", p.agent, name);
    log_event(LOG_WARN_, "scan_part_moved", "scan", scan.name, "from", p.agent, "to", name, NULL);
    TRY(q_scan_part_job_cancel(ctx, txn, id, ctx_now_s(ctx)));
    TRY(q_scan_part_move(ctx, txn, id, other, why));
    TRY(q_scan_part_list(ctx, txn, p.scan_id, &all, &n));
    p.agent_id = other;
    return part_go_on(ctx, core, txn, &p, &spec, n, 0);
}
