#include "agent/scan.h"

#include "base/failpoint.h"

#define WAIT_MS   2000
#define STARTS_MAX 20 /* of a probe that dies again and again before it has told anything */

static RC texts_of(struct ctx *ctx, const json_t *body, const char *key, bool need, struct wire_texts *out)
{
    const json_t *list = NULL, *v;
    struct str_list l = {0};
    size_t i;
    TRY(json_get_list(ctx, body, key, need, &list));
    json_array_foreach(list, i, v) if (json_is_string(v)) str_list_add(&ctx->arena, &l, json_string_value(v));
    *out = (struct wire_texts){l.v, l.n};
    return RC_OK;
}

static RC read_body(struct ctx *ctx, const json_t *body, struct wire_probe_scan_begin *in)
{
    *in = (struct wire_probe_scan_begin){.both_keys = true};
    TRY(json_get_str(ctx, body, "scan", true, &in->scan));
    TRY(texts_of(ctx, body, "targets", true, &in->targets));
    TRY(texts_of(ctx, body, "exclude", false, &in->exclude));
    TRY(texts_of(ctx, body, "ports", true, &in->ports));
    TRY(json_get_int(ctx, body, "rate", false, &in->rate));
    TRY(json_get_int(ctx, body, "seed", false, &in->seed));
    TRY(json_get_int(ctx, body, "position", false, &in->position));
    TRY(json_get_int(ctx, body, "timeout_ms", false, &in->timeout_ms));
    TRY(json_get_bool(ctx, body, "both_keys", false, &in->both_keys));
    TRY(json_get_bool(ctx, body, "details", false, &in->details));
    return json_get_bool(ctx, body, "verify", false, &in->verify);
}

/* The hub gets what the probe wrote as it stands: it must be one value of JSON, lest it says more in this agent's name. */
static RC check_batch(struct ctx *ctx, const struct wire_probe_scan_batch *b)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(b->json), &root));
    return json_is_object(root) ? RC_OK : ctx_fail(ctx, E_BAD_ANSWER, "what the scan found is no object");
}

struct going {
    struct hands *h;
    struct story *story;
    struct wire_probe_scan_begin begin;
    char taken[32]; /* the batch that the hub has */
    int starts;
    int64_t total;
    bool done;
};

static RC begin(struct ctx *ctx, struct going *g)
{
    struct wire_probe_scan_begun begun;
    if (++g->starts > STARTS_MAX)
        return ctx_fail(ctx, E_UNREACHABLE, "the probe has ended %d times at endpoint %lld of the scan", STARTS_MAX,
                        (long long)g->begin.position);
    TRY(HANDS_CALL(ctx, g->h->probe, probe_scan_begin, &g->begin, probe_scan_begun, &begun));
    g->total = begun.total;
    g->taken[0] = '\0';
    return RC_OK;
}

static RC go_on(struct ctx *ctx, struct going *g)
{
    const struct wire_probe_scan_next next = {.scan = g->begin.scan, .taken = g->taken, .wait_ms = WAIT_MS};
    struct wire_probe_scan_batch batch;
    if (story_dropped(g->story))
        return ctx_fail(ctx, E_FENCED, "the hub has taken the scan back");
    struct rc rc = HANDS_CALL(ctx, g->h->probe, probe_scan_next, &next, probe_scan_batch, &batch);
    if (rc.e == E_NOT_FOUND) { /* another probe than before */
        ctx_forget(ctx);
        return begin(ctx, g);
    }
    TRY(rc);
    if (*batch.batch == '\0')
        return RC_OK;
    TRY(check_batch(ctx, &batch));
    FAILPOINT("agent.scan_batch");
    TRY(story_hand_over(ctx, g->story, batch.json));
    snprintf(g->taken, sizeof g->taken, "%s", batch.batch);
    g->begin.position = batch.position;
    g->starts = 0;
    g->done = batch.done;
    return RC_OK;
}

RC scan_job(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member)
{
    struct going g = {.h = h, .story = story};
    struct wire_probe_done none;
    struct json_out j;
    TRY(read_body(ctx, body, &g.begin));
    const struct wire_probe_scan_stop stop = {.scan = g.begin.scan};
    TRY(begin(ctx, &g));
    story_add(ctx, story, "scan", "%lld endpoints, from %lld on", (long long)g.total, (long long)g.begin.position);
    struct rc rc = RC_OK;
    while (rc_ok(rc) && !g.done) {
        CTX_CLEANUP struct ctx turn; /* a scan may last for days */
        ctx_init(&turn, ctx->clock);
        rc = go_on(&turn, &g);
        if (rc_failed(rc))
            rc = ctx_fail(ctx, rc.e, "%s", ctx_why(&turn));
    }
    struct rc stopped = HANDS_CALL(ctx, h->probe, probe_scan_stop, &stop, probe_done, &none);
    TRY(rc);
    if (rc_failed(stopped))
        ctx_forget(ctx);
    story_add(ctx, story, "scan", "all %lld endpoints are done", (long long)g.total);
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_put_int(&j, "position", g.total);
    json_put_int(&j, "total", g.total);
    json_close(&j);
    return RC_OK;
}
