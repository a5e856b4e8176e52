/* What an agent's scan has found: from the batch into the inventory. */
#include "base/address.h"
#include "base/encode.h"
#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "core/inventory.h"
#include "core/job.h"
#include "core/scan.h"
#include "core/scan_options.h"
#include "core/scan_part.h"
#include "pki/digest.h"

#define STALE_S      86400 /* an agent's clock is believed so far */
#define AGAIN        4     /* times that what a part holds may be told: an agent that was interrupted tells some again */
#define AGAIN_SMALL  8192  /* and so many more */
#define STILL_MAX    3600  /* batches in a row without moving: they come once a second */
#define COUNT_MAX    ((int64_t)1 << 53)
#define LEFT_OUT     "what the agent told of places that it was not asked for was left out"

/* An observation that may be taken. */
struct told {
    const struct api_observation *o;
    struct address address;
    const char *name;
};

struct taking {
    struct core *core;
    const char *agent;
    const struct api_job_progress *progress;
    const struct api_scan_batch *batch;
    struct q_job_get_row job;
    struct q_scan_part_list_row row;
    bool held; /* the lease: `job` and `row` are those of the batch, and it is a new one */
    struct scan_part *part;
    struct told *told;
    size_t told_n, left_out;
    struct inventory_batch ready;
    enum err refused;
    const char *why;
};

static struct rc chain_of(struct ctx *ctx, const struct api_scan_chain *c, struct bytes **out, size_t *n)
{
    *n = 0;
    *out = arena_array(&ctx->arena, c->fingerprints.n, sizeof **out);
    for (size_t i = 0; i < c->fingerprints.n; i++)
        if (get_hex(&ctx->arena, bytes_z(c->fingerprints.v[i]), &(*out)[*n]) && (*out)[*n].n == SHA256_LEN)
            ++*n;
        else
            return ctx_fail(ctx, E_BAD_ANSWER, "a chain of certificates names no SHA-256");
    return RC_OK;
}

/* The second chain of a server with two kinds of key: seen there, and not its place's current one. */
static struct rc other_chain(struct ctx *ctx, struct txn *txn, const struct api_scan_chain *c, int64_t endpoint, int64_t at)
{
    struct bytes *chain = NULL;
    size_t n = 0;
    TRY(chain_of(ctx, c, &chain, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_certificate_find_row known;
        bool found = false;
        TRY(q_certificate_find(ctx, txn, chain[i], &known, &found));
        if (!found)
            continue;
        if (at / 86400 > known.last_seen / 86400)
            TRY(q_certificate_seen(ctx, txn, known.id, at, known.flags));
        TRY(q_observation_put(ctx, txn, endpoint, known.id, (int64_t)i, at));
    }
    return RC_OK;
}

/* The row of an endpoint is read only where some of its options may stay. */
static struct rc options_of(struct ctx *ctx, struct taking *t, struct txn *txn, const char *team,
                            const struct inventory_sighting *s, const struct api_observation *o, const char **out)
{
    struct q_endpoint_options_row row;
    struct scan_options_before before = {0};
    bool found = false;
    if (scan_options_needs_before(t->part, o))
        TRY(q_endpoint_options(ctx, txn, inventory_place_word(s->kind), s->place, s->name, team, &row, &found));
    if (found) {
        before.options = row.options;
        before.same = s->n && bytes_equal(row.fingerprint, s->chain[0]);
    }
    return scan_options(ctx, t->part, o, &before, out);
}

static struct rc verified(struct ctx *ctx, struct taking *t, struct txn *txn, struct bytes leaf)
{
    int64_t id = 0;
    bool found = false;
    TRY(inventory_find(ctx, txn, leaf, &id, &found));
    return found ? inventory_flag(ctx, t->core, txn, id, CERTIFICATE_VERIFIED, 0) : RC_OK;
}

/* It serves TLS 1.3, and shows what it serves to nobody who asks as this agent does: `detail` says why, and what to do. */
static bool is_unread(const struct api_observation *o)
{
    const bool refused = str_equal(o->state, "alert") || str_equal(o->state, "bad_answer");
    for (size_t i = 0; i < o->versions.n && refused && !o->chains.n; i++)
        if (str_equal(o->versions.v[i], "TLSv1.3"))
            return true;
    return false;
}

static struct rc observe(struct ctx *ctx, struct taking *t, struct txn *txn, const char *team, const struct told *told)
{
    const struct api_observation *o = told->o;
    struct bytes *chain = NULL;
    const int64_t now = ctx_now_s(ctx);
    int64_t endpoint = 0;
    struct inventory_sighting s = {.kind = INVENTORY_TLS,
                                   .place = address_port_str(&ctx->arena, &told->address),
                                   .name = told->name,
                                   .agent_id = t->agent,
                                   .result = is_unread(o) ? "unread" : str_equal(o->state, "tls") ? "ok" : o->state,
                                   .error = o->detail && *o->detail ? o->detail : NULL,
                                   .at = o->seen_at <= now && o->seen_at > now - STALE_S ? o->seen_at : now};
    if (o->chains.n)
        TRY(chain_of(ctx, &o->chains.v[0], &chain, &s.n));
    s.chain = chain;
    TRY(options_of(ctx, t, txn, team, &s, o, &s.options));
    if (str_equal(o->state, "alert"))
        s.error = arena_printf(&ctx->arena, "TLS alert %lld%s%s", (long long)o->alert, s.error ? ": " : "", s.error ? s.error : "");
    TRY(inventory_observe(ctx, t->core, txn, team, &s, &endpoint, NULL));
    if (o->verified && t->part->verify && s.n)
        TRY(verified(ctx, t, txn, chain[0]));
    return o->chains.n > 1 ? other_chain(ctx, txn, &o->chains.v[1], endpoint, s.at) : RC_OK;
}

/* --- what is taken of a batch */

static bool not_asked(const struct api_observation *o) /* a remark, not a place */
{
    return str_equal(o->state, "not_granted") || str_equal(o->state, "unresolved");
}

/* An agent is believed what it saw, not where it looked: that was said to it. */
static void choose_places(struct ctx *ctx, struct taking *t)
{
    t->told = arena_array(&ctx->arena, t->batch->observations.n + 1, sizeof *t->told);
    for (size_t i = 0; i < t->batch->observations.n; i++) {
        const struct api_observation *o = &t->batch->observations.v[i];
        struct told *told = &t->told[t->told_n];
        *told = (struct told){.o = o, .name = scan_part_name(ctx, o->name)};
        if (not_asked(o))
            continue;
        if (address_parse(bytes_z(o->address), &told->address) && scan_part_has(t->part, &told->address, o->port, told->name)) {
            told->address.port = (uint16_t)o->port;
            t->told_n++;
        } else {
            t->left_out++;
        }
    }
}

/* Only certificates that were seen at one of the places. */
static struct rc choose_certificates(struct ctx *ctx, struct taking *t, struct inventory_item **items, size_t *n)
{
    size_t most = 0, prints_n = 0;
    for (size_t i = 0; i < t->told_n; i++)
        for (size_t k = 0; k < t->told[i].o->chains.n; k++)
            most += t->told[i].o->chains.v[k].fingerprints.n;
    uint8_t(*prints)[SHA256_LEN] = arena_array(&ctx->arena, most + 1, sizeof *prints);
    for (size_t i = 0; i < t->told_n; i++)
        for (size_t k = 0; k < t->told[i].o->chains.n; k++) {
            struct bytes *chain = NULL;
            size_t m = 0;
            TRY(chain_of(ctx, &t->told[i].o->chains.v[k], &chain, &m));
            for (size_t j = 0; j < m; j++)
                memcpy(prints[prints_n++], chain[j].p, SHA256_LEN);
        }
    return inventory_choose(ctx, &t->batch->certificates, prints, prints_n, items, n);
}

/* Whoever tells more than there can be, or never comes to an end, fills the inventory. */
static struct rc within_bounds(struct ctx *ctx, const struct taking *t)
{
    const struct api_scan_batch *b = t->batch;
    const struct q_scan_part_list_row *p = &t->row;
    const uint64_t most = AGAIN * t->part->places + AGAIN_SMALL;
    if ((uint64_t)b->total > t->part->positions || (p->total && b->total != p->total))
        return ctx_fail(ctx, E_INVALID, "agent %s counts %lld endpoints in its part of the scan, and there are not so many",
                        p->agent, (long long)b->total);
    if (b->position > b->total)
        return ctx_fail(ctx, E_INVALID, "agent %s is at %lld of %lld endpoints of its part of the scan", p->agent,
                        (long long)b->position, (long long)b->total);
    if ((uint64_t)p->told + t->told_n > most)
        return ctx_fail(ctx, E_TOO_LARGE, "agent %s tells of more than %llu endpoints: its part of the scan holds %llu", p->agent,
                        (unsigned long long)most, (unsigned long long)t->part->places);
    if (b->position == p->position && p->still >= STILL_MAX)
        return ctx_fail(ctx, E_INVALID, "agent %s does not come on: %d batches in a row end at %lld of %lld", p->agent, STILL_MAX,
                        (long long)b->position, (long long)b->total);
    return RC_OK;
}

/* Once: each port, and each batch, may say it again. */
static void remark(json_t *list, const char *text)
{
    const json_t *v;
    size_t at;
    json_array_foreach(list, at, v) if (str_equal(json_string_value(v), text)) return;
    if (json_array_size(list) < SCAN_REMARKS_MAX)
        json_array_append_new(list, json_string(text));
}

/* What was named singly and could not be asked at all: people want to know, and there is no place to keep it at. */
static void remark_not_asked(struct ctx *ctx, const struct taking *t, const struct api_observation *o, json_t *list)
{
    const bool unresolved = str_equal(o->state, "unresolved");
    const char *name = scan_part_name(ctx, o->name);
    struct address a;
    if (!not_asked(o) || (!scan_part_resolves(t->part, name) && (unresolved || !address_parse(bytes_z(o->address), &a) ||
                                                                 !scan_part_has(t->part, &a, o->port, name))))
        return;
    remark(list, arena_printf(&ctx->arena, "%s: %s%s%s", o->name && *o->name ? o->name : o->address,
                              unresolved ? "no address" : "may not be scanned from there", o->detail && *o->detail ? ": " : "",
                              o->detail ? o->detail : ""));
}

static void remark_unread(struct ctx *ctx, const struct told *told, json_t *list)
{
    if (is_unread(told->o))
        remark(list, arena_printf(&ctx->arena, "%s%s%s: %s", address_port_str(&ctx->arena, &told->address), *told->name ? " " : "",
                                  told->name, told->o->detail ? told->o->detail : "its certificate was not read"));
}

static struct rc remarks_of(struct ctx *ctx, const struct taking *t, const char *before, const char **out)
{
    const struct api_scan_batch *b = t->batch;
    json_auto_t *list = NULL;
    TRY(json_read(ctx, bytes_z(before), &list));
    const size_t had = json_array_size(list);
    if (t->left_out)
        remark(list, LEFT_OUT);
    for (size_t i = 0; i < b->observations.n; i++)
        remark_not_asked(ctx, t, &b->observations.v[i], list);
    for (size_t i = 0; i < t->told_n; i++)
        remark_unread(ctx, &t->told[i], list);
    *out = before;
    if (json_array_size(list) == had)
        return RC_OK;
    struct buf text;
    struct json_out j;
    buf_init_arena(&text, &ctx->arena, 1 << 20);
    json_begin(&j, &text);
    json_put_value(&j, NULL, list);
    TRY(buf_status(&text));
    *out = buf_z(&text);
    return RC_OK;
}

/* The position is in the job's own words too: should it be leased again, it goes on there. */
static struct rc payload_move(struct ctx *ctx, struct txn *txn, const struct q_job_get_row *job, int64_t position)
{
    json_auto_t *root = NULL;
    struct buf text;
    struct json_out j;
    TRY(json_read(ctx, bytes_z(job->payload), &root));
    json_object_set_new(root, "position", json_integer(position));
    buf_init_arena(&text, &ctx->arena, strlen(job->payload) + 4096);
    json_begin(&j, &text);
    json_put_value(&j, NULL, root);
    TRY(buf_status(&text));
    return q_job_payload(ctx, txn, job->id, job->fence, buf_z(&text));
}

/* Whether the agent holds the lease of this batch's job, and the batch is a new one; with what it may tell. */
static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    const struct api_scan_batch *b = t->batch;
    struct q_agent_scan_row agent;
    bool found = false;
    t->held = false;
    TRY(q_job_get(ctx, txn, t->progress->id, &t->job, &found));
    if (!found || t->job.fence != t->progress->fence || !str_equal(t->job.state, "leased") ||
        !str_equal(t->job.agent_id, t->agent) || !str_equal(t->job.kind, "scan"))
        return RC_OK;
    TRY(q_scan_part_get(ctx, txn, t->job.ref, &t->row, &found));
    if (!found || !str_equal(b->scan, t->row.id) || str_equal(b->batch, t->row.batch) || b->position < t->row.position)
        return RC_OK;
    t->held = true;
    if (t->part)
        return RC_OK;
    TRY(q_agent_scan(ctx, txn, t->agent, &agent));
    return scan_part_read(ctx, t->job.payload, agent.scan, &t->part);
}

static int64_t more(int64_t had, int64_t n)
{
    return n < COUNT_MAX - had ? n : COUNT_MAX - had;
}

static struct rc take_write(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    const struct api_scan_batch *b = t->batch;
    struct q_scan_by_id_row scan;
    int64_t unresolved = 0;
    bool found = false;
    TRY(look(ctx, txn, t));
    if (!t->held)
        return RC_OK;
    const struct q_scan_part_list_row *p = &t->row;
    TRY(within_bounds(ctx, t));
    TRY(q_scan_by_id(ctx, txn, p->scan_id, &scan, &found));
    const struct inventory_from from = {.source = INVENTORY_SCAN, .team_id = scan.team_id};
    TRY(inventory_put(ctx, t->core, txn, &from, &t->ready));
    struct q_scan_part_took_in took = {.id = p->id,
                                       .batch = b->batch,
                                       .position = b->position,
                                       .total = b->total,
                                       .probed = more(p->probed, b->probed),
                                       .found = more(p->found, b->found),
                                       .silent = more(p->silent, b->silent),
                                       .refused = more(p->refused, b->refused),
                                       .failed = more(p->failed, b->failed),
                                       .skipped = more(p->skipped, b->skipped),
                                       .rate = p->rate ? (3 * p->rate + b->rate) / 4 : b->rate,
                                       .told = (int64_t)t->told_n,
                                       .still = b->position == p->position ? p->still + 1 : 0,
                                       .now = ctx_now_s(ctx)};
    for (size_t i = 0; i < t->ready.n; i++)
        took.fresh += t->ready.ready[i].fresh;
    for (size_t i = 0; i < b->observations.n; i++) {
        took.unasked += not_asked(&b->observations.v[i]);
        unresolved += str_equal(b->observations.v[i].state, "unresolved"); /* which count as probed */
    }
    took.looked = b->probed > unresolved ? b->probed - unresolved : 0;
    for (size_t i = 0; i < t->told_n; i++)
        TRY(observe(ctx, t, txn, scan.team_id, &t->told[i]));
    TRY(remarks_of(ctx, t, p->remarks, &took.remarks));
    TRY(q_scan_part_took(ctx, txn, &took));
    return payload_move(ctx, txn, &t->job, b->position);
}

static struct rc refuse(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct taking *t = arg;
    struct q_job_get_row job;
    bool found = false;
    TRY(q_job_get(ctx, txn, t->progress->id, &job, &found));
    if (!found || job.fence != t->progress->fence || !str_equal(job.state, "leased") || !str_equal(job.agent_id, t->agent))
        return RC_OK;
    return job_refuse(ctx, t->core, txn, job.id, t->refused, t->why);
}

static struct rc take(struct ctx *ctx, struct taking *t)
{
    struct inventory_item *items = NULL;
    size_t n = 0;
    choose_places(ctx, t);
    if (t->left_out && !strstr(t->row.remarks, LEFT_OUT)) /* once: it may be in every batch */
        log_event(LOG_WARN_, "scan_places_left_out", "agent", t->row.agent, "job", t->progress->id, "places",
                  arena_printf(&ctx->arena, "%zu", t->left_out), NULL);
    TRY(within_bounds(ctx, t));
    TRY(choose_certificates(ctx, t, &items, &n));
    TRY(inventory_prepare(ctx, t->core, items, n, &t->ready));
    return store_write(ctx, t->core->store, take_write, t);
}

RC scan_took(struct ctx *ctx, struct core *core, const char *agent, const struct api_job_progress *p)
{
    if (!p->scan)
        return RC_OK;
    struct taking t = {.core = core, .agent = agent, .progress = p, .batch = p->scan};
    TRY(store_read(ctx, core->store, look, &t));
    if (!t.held)
        return RC_OK;
    struct rc rc = take(ctx, &t);
    FAILPOINT("core.scan_took");
    if (rc_ok(rc) || err_info(rc.e)->category == CAT_RESOURCE)
        return rc;
    /* It would come again and again: the scan goes on from the last position that is good, or is given up. */
    log_event(LOG_WARN_, "scan_batch_refused", "agent", agent, "job", p->id, "why", ctx_why(ctx), NULL);
    t.refused = rc.e;
    t.why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return store_write(ctx, core->store, refuse, &t);
}
