#include "core/ca_change.h"

#include "base/encode.h"
#include "base/failpoint.h"
#include "core/audit.h"
#include "core/job.h"

#define PAYLOAD_MAX ((size_t)512 << 10)

/* What a request of this kind asks for: a proposal as the signer has it. */
struct proposal {
    const char *id, *hash, *words; /* hash: hex */
    int64_t uid, expires_at;
};

static const char *line_of(struct ctx *ctx, const char *words)
{
    return arena_printf(&ctx->arena, "%.*s", (int)strcspn(words, "\n"), words);
}

static struct rc payload_make(struct ctx *ctx, const struct proposal *p, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, PAYLOAD_MAX);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "proposal", p->id);
    json_put_str(&j, "signer_hash", p->hash);
    json_put_str(&j, "words", p->words);
    json_put_int(&j, "uid", p->uid);
    json_put_int(&j, "until", p->expires_at);
    json_close(&j);
    TRY(buf_status(&b));
    *out = buf_bytes(&b);
    return RC_OK;
}

static struct rc payload_read(struct ctx *ctx, const json_t *payload, struct proposal *out)
{
    TRY(json_get_str(ctx, payload, "proposal", true, &out->id));
    TRY(json_get_str(ctx, payload, "signer_hash", true, &out->hash));
    TRY(json_get_str(ctx, payload, "words", true, &out->words));
    TRY(json_get_int(ctx, payload, "uid", true, &out->uid));
    return json_get_int(ctx, payload, "until", true, &out->expires_at);
}

static struct rc job_make(struct ctx *ctx, struct core *core, struct txn *txn, const struct proposal *p)
{
    const struct request_pass *pass = ctx->principal->pass;
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, 16384);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "hash", p->hash);
    json_put_str(&j, "change", line_of(ctx, p->words));
    json_put_str(&j, "proposal", p->id);
    json_put_str(&j, "approved_by", pass->approved_by ? pass->approved_by : "");
    json_close(&j);
    TRY(buf_status(&b));
    return job_add(ctx, core, txn, "ca_change", core->hub_agent, "ca", pass->id, buf_bytes(&b), 0);
}

RC ca_change_perform(struct ctx *ctx, struct core *core, struct txn *txn, struct request_work *w)
{
    const struct request_pass *pass = ctx->principal->pass;
    const char *maker = NULL;
    struct proposal p = {0};
    struct bytes payload;
    if (w->in)
        p = *(const struct proposal *)w->in;
    else if (w->payload)
        TRY(payload_read(ctx, w->payload, &p));
    else
        return ctx_fail(ctx, E_INVALID, "a change of a CA is asked for at the signer: certwright ca");
    TRY(access_everywhere(ctx, core, txn, "ca.update"));
    TRY(payload_make(ctx, &p, &payload));
    TRY(request_maker(ctx, txn, &maker));
    /* Root may be any of its people: then two others are needed, for one of them may be the same. */
    const bool known = *maker && strncmp(maker, "uid:", 4);
    const struct policy_verdict two = {.says = POLICY_NEEDS, .approvals = known ? 1 : 2, .words = "changes of CAs need two people"};
    const struct request_wanted wanted = {.kind = CA_CHANGE,
                                          .asked = {.team = w->team, .managed = p.id},
                                          .name = line_of(ctx, p.words),
                                          .payload = payload,
                                          .says = &two};
    TRY(request_gate(ctx, core, txn, &wanted));
    if (!pass || pass->mode != REQUEST_PERFORMS)
        return ctx_fail(ctx, E_BUG, "a change of a CA that nobody approved");
    TRY(job_make(ctx, core, txn, &p));
    return ctx_fail(ctx, E_PENDING, "the signer is told");
}

/* --- asking */

static struct rc proposal_find(struct ctx *ctx, struct core *core, const char *id, struct proposal *out, const char **state)
{
    const struct wire_signer_proposal_list in = {.id = id};
    struct wire_signer_proposals all;
    if (!*id || strlen(id) > 64)
        return ctx_fail(ctx, E_NOT_FOUND, "the signer keeps no such proposal");
    TRY(wire_call_signer_proposal_list(ctx, core->signer, &in, &all));
    if (all.ids.n != 1 || !str_equal(all.ids.v[0], id))
        return ctx_fail(ctx, E_NOT_FOUND, "the signer keeps no proposal %s", id);
    *out = (struct proposal){.id = all.ids.v[0],
                             .hash = hex_str(&ctx->arena, all.hashes.v[0]),
                             .words = all.words.v[0],
                             .uid = all.uids.v[0],
                             .expires_at = all.expires.v[0]};
    *state = all.states.v[0];
    return RC_OK;
}

struct gone {
    struct core *core;
    const struct proposal *p;
    const char *state;
};

static struct rc gone(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct gone *g = arg;
    struct q_request_of_row *rows = NULL;
    size_t n = 0;
    TRY(access_everywhere(ctx, g->core, txn, "ca.update"));
    TRY(q_request_of(ctx, txn, g->p->id, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        struct q_request_by_id_row r;
        bool found = false;
        TRY(q_request_by_id(ctx, txn, rows[i].id, &r, &found));
        if (!found || !str_equal(r.state, "waiting") || !str_equal(r.kind, CA_CHANGE))
            continue;
        const bool expired = str_equal(g->state, "expired");
        TRY(request_end_write(ctx, g->core, txn, &r, expired ? "expired" : "withdrawn",
                              expired ? "request.expire" : "request.withdraw", NULL, RC_OK,
                              arena_printf(&ctx->arena, "the signer says that its proposal is %s", g->state)));
    }
    return RC_OK;
}

static struct rc may_ask(struct ctx *ctx, struct txn *txn, void *arg)
{
    return access_everywhere(ctx, arg, txn, "ca.update");
}

RC ca_change_ask(struct ctx *ctx, struct core *core, const char *proposal, const char *comment, const char **request)
{
    struct proposal p;
    const char *state = NULL;
    const int64_t now = ctx_now_s(ctx);
    TRY(store_read(ctx, core->store, may_ask, core));
    TRY(proposal_find(ctx, core, proposal, &p, &state));
    struct gone g = {.core = core, .p = &p, .state = state};
    if (str_equal(state, "withdrawn") || str_equal(state, "expired"))
        TRY(store_write(ctx, core->store, gone, &g));
    if (!str_equal(state, "open"))
        return ctx_fail(ctx, E_CONFLICT, "proposal %s is %s", proposal, state);
    const int64_t left = p.expires_at - now;
    const struct request_input in = {.kind = CA_CHANGE,
                                     .team = core->team_root,
                                     .in = &p,
                                     .comment = comment,
                                     .lives_s = left < REQUEST_LIVES_MIN_S ? REQUEST_LIVES_MIN_S : left};
    return request_ask(ctx, core, &in, request);
}

/* --- telling the signer */

struct standing {
    const char *id;
    bool waits;
};

static struct rc waits(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct standing *s = arg;
    struct q_request_by_id_row r;
    bool found = false;
    TRY(q_request_by_id(ctx, txn, s->id, &r, &found));
    s->waits = found && str_equal(r.state, "waiting");
    return RC_OK;
}

RC ca_change_do(struct ctx *ctx, struct core *core, const struct q_job_get_row *job)
{
    struct standing s = {.id = job->ref};
    struct wire_signer_approve in = {.request = job->ref};
    struct wire_signer_approved done;
    json_auto_t *root = NULL;
    const char *hash = NULL;
    TRY(store_read(ctx, core->store, waits, &s));
    if (!s.waits)
        return ctx_fail(ctx, E_CONFLICT, "the request was withdrawn, or has ended otherwise");
    TRY(json_read(ctx, bytes_z(job->payload), &root));
    TRY(json_get_str(ctx, root, "hash", true, &hash));
    TRY(json_get_str(ctx, root, "approved_by", true, &in.approver));
    if (!get_hex(&ctx->arena, bytes_z(hash), &in.hash))
        return ctx_fail(ctx, E_BUG, "an approval without a hash");
    if (strlen(in.approver) > 1024)
        in.approver = arena_printf(&ctx->arena, "%.1000s, …", in.approver);
    TRY(wire_call_signer_approve(ctx, core->signer, &in, &done));
    FAILPOINT("core.ca_change_told");
    return RC_OK;
}

RC ca_change_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r)
{
    struct q_request_by_id_row row;
    json_auto_t *root = NULL;
    const char *change = NULL, *by = NULL, *proposal = NULL;
    bool found = false;
    TRY(json_read(ctx, bytes_z(r->job.payload), &root));
    TRY(json_get_str(ctx, root, "change", true, &change));
    TRY(json_get_str(ctx, root, "approved_by", true, &by));
    TRY(json_get_str(ctx, root, "proposal", true, &proposal));
    TRY(q_request_by_id(ctx, txn, r->job.ref, &row, &found));
    if (!found)
        return RC_OK;
    const bool waiting = str_equal(row.state, "waiting");
    if (r->ok)
        TRY(audit_write(ctx, txn, "ca.changed", "request", row.id, row.team_id,
                        audit_facts(ctx, "change", change, "proposal", proposal, "asked_by", row.asker, "approved_by", by, NULL)));
    if (!waiting)
        return RC_OK;
    return r->ok ? request_end_write(ctx, core, txn, &row, "done", "request.done", row.object_id, RC_OK, NULL)
                 : request_end_write(ctx, core, txn, &row, "failed", "request.failed", NULL, rc_of(r->e), r->why);
}
