/* Requests, approvals, delegations. */
#include "core/ca_change.h"
#include "hub/api.h"

static struct rc wish_out(struct ctx *ctx, const char *text, struct api_request_wanted *out)
{
    struct wish w;
    TRY(wish_decode(ctx, text, &w));
    out->names = api_strings_of(&w.names);
    out->common_name = w.common_name;
    out->profile = w.profile;
    out->key_kind = w.key_kind;
    out->reuse_key = w.reuse_key;
    out->key_elsewhere = w.csr.n != 0;
    out->download = w.download;
    out->issuers = api_strings_of(&w.issuers);
    out->targets = api_strings_of(&w.targets);
    out->validity_s = w.validity_s;
    out->has_validity_s = true;
    return RC_OK;
}

static struct rc wanted_out(struct ctx *ctx, const char *payload, struct api_request *out)
{
    struct api_request_wanted *wanted = ARENA_NEW(&ctx->arena, struct api_request_wanted), *before = NULL;
    const char *wish = NULL, *was = NULL;
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(payload), &root));
    if (json_object_get(root, "wish")) {
        TRY(json_get_obj_text(ctx, root, "wish", true, &wish));
        TRY(wish_out(ctx, wish, wanted));
    }
    TRY(json_get_str(ctx, root, "name", false, &wanted->name));
    TRY(json_get_str(ctx, root, "before", false, &was));
    TRY(json_get_str(ctx, root, "format", false, &wanted->format));
    TRY(json_get_str(ctx, root, "words", false, &wanted->change));
    if (was) {
        before = ARENA_NEW(&ctx->arena, struct api_request_wanted);
        TRY(wish_out(ctx, was, before));
    }
    wanted->has_version = json_object_get(root, "version") != NULL;
    wanted->has_reason = json_object_get(root, "reason") != NULL;
    TRY(json_get_int(ctx, root, "version", false, &wanted->version));
    TRY(json_get_int(ctx, root, "reason", false, &wanted->reason));
    out->wanted = wanted;
    out->before = before;
    return RC_OK;
}

static struct rc row_out(struct ctx *ctx, const struct q_request_by_id_row *r, struct api_request *out)
{
    const bool waits = str_equal(r->state, "waiting");
    *out = (struct api_request){
        .id = r->id,
        .kind = r->kind,
        .state = r->state,
        .team = r->team,
        .team_id = r->team_id,
        .object = r->object_name,
        .object_id = r->object_id,
        .requester = r->asker,
        .comment = r->comment,
        .hash = r->hash,
        .policy_version = r->policy_version,
        .rule = r->rule,
        .words = r->words,
        .needs = r->needs,
        .role = r->role,
        .approvals = r->approvals,
        .missing = waits && r->needs > r->approvals ? r->needs - r->approvals : 0,
        .created_at = r->created_at,
        .expires_at = r->expires_at,
        .decided_at = r->decided_at ? *r->decided_at : 0,
        .has_decided_at = r->decided_at != NULL,
        .result_id = r->result_id,
        .error = r->error,
        .error_code = r->error_code,
        .revision = r->revision,
    };
    return wanted_out(ctx, r->payload, out);
}

static struct rc view_out(struct ctx *ctx, const struct request_view *v, struct api_request *out)
{
    TRY(row_out(ctx, &v->row, out));
    struct api_request_said *said = arena_array(&ctx->arena, v->said_n, sizeof *said);
    for (size_t i = 0; i < v->said_n; i++) {
        const struct q_request_said_of_row *s = &v->said[i];
        const bool approves = str_equal(s->verdict, "approve");
        said[i] = (struct api_request_said){.verdict = s->verdict,
                                            .who = s->principal,
                                            .on_behalf_of =
                                                *s->counts_for && !str_equal(s->counts_for, s->person) ? s->counts_name : NULL,
                                            .comment = s->comment,
                                            .at = s->at,
                                            .counts = approves && !s->is_void && bytes_equal(s->hash, v->row.hash)};
    }
    out->said = (struct api_request_said_list){said, v->said_n};
    out->approvers = api_strings_of(&v->approvers);
    out->approvals = v->standing;
    out->missing = str_equal(v->row.state, "waiting") && v->row.needs > v->standing ? v->row.needs - v->standing : 0;
    out->mine = v->mine;
    out->my_turn = v->my_turn;
    return RC_OK;
}

static struct rc reply(struct api_call *call, const char *id, struct api_request *out)
{
    struct request_view v;
    TRY(request_show(call->ctx, call->core, id, &v));
    return view_out(call->ctx, &v, out);
}

static const char *location(struct api_call *call, const char *id)
{
    return arena_printf(&call->ctx->arena, "/api/v1/requests/%s", id);
}

RC api_request_waits(struct api_call *call, const char *id, bool *answered)
{
    struct ctx *ctx = call->ctx;
    struct api_request out;
    struct json_out j;
    *answered = false;
    if (!id || call->route->reply == &api_request_schema)
        return RC_OK;
    struct rc rc = reply(call, id, &out);
    if (rc.e == E_NOT_FOUND) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    http_response_json(call->resp, 202);
    http_response_header(call->resp, "Cache-Control", "no-store");
    http_response_header(call->resp, "Location", location(call, id));
    json_begin(&j, &call->resp->body);
    api_encode(&j, NULL, &api_request_schema, &out);
    *answered = true;
    return buf_status(&call->resp->body);
}

RC api_request_list(struct api_call *call, struct api_request_page *out)
{
    const struct api_request_list_query *q = call->query;
    struct ctx *ctx = call->ctx;
    struct q_request_by_id_row *rows = NULL;
    size_t n = 0;
    const char *before = NULL;
    const enum request_whose whose = q->my_turn ? REQUESTS_MY_TURN : q->mine ? REQUESTS_MINE : REQUESTS_ALL;
    TRY(api_cursor_read(ctx, q->cursor, &before));
    TRY(request_list(ctx, call->core, whose, q->state, before, q->limit, &rows, &n));
    struct api_request *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        TRY(row_out(ctx, &rows[i], &items[i]));
        items[i].mine = request_is_mine(ctx, &rows[i]);
        items[i].my_turn = q->my_turn;
    }
    out->items = (struct api_request_list){items, n};
    if ((int64_t)n == q->limit && !q->my_turn)
        out->next = api_cursor_make(ctx, items[n - 1].id);
    return RC_OK;
}

RC api_request_get(struct api_call *call, struct api_request *out)
{
    const struct api_request_get_query *q = call->query; /* NULL: shown instead of being done again */
    TRY(reply(call, call->path[0], out));
    if (q && q->revision && q->revision == out->revision && q->wait && !call->req->expired) {
        const int64_t deadline = call->req->park_deadline_ms ? call->req->park_deadline_ms : clock_mono_ms() + q->wait * 1000;
        return http_park(call->resp, arena_printf(&call->ctx->arena, "request:%s", out->id), deadline);
    }
    return RC_OK;
}

/* What each kind takes of a body. */
struct body {
    const struct api_managed_certificate_new *certificate;
    const struct api_managed_certificate_patch *change;
    int64_t version, reason;
    const char *replace;
    struct managed_input managed;
    struct request_revocation revocation;
};

static struct rc body_in(struct api_call *call, const char *kind, const char *object, struct body *b, struct request_input *in)
{
    struct ctx *ctx = call->ctx;
    const char *id = NULL;
    in->kind = kind;
    in->object = object;
    if (str_equal(kind, "create")) {
        if (!b->certificate)
            return ctx_fail_field(ctx, "/certificate", "say which certificate is asked for");
        b->managed = api_managed_input(ctx, b->certificate);
        in->team = b->managed.team;
        in->in = &b->managed;
    } else if (str_equal(kind, "change")) {
        if (!b->change || !object)
            return ctx_fail_field(ctx, b->change ? "/object" : "/change", "say which managed certificate is changed, and how");
        TRY(api_managed_merge(call, object, b->change, &id, &b->managed));
        in->object = id;
        in->in = &b->managed;
    } else if (str_equal(kind, "revoke") || str_equal(kind, "rollback")) {
        b->revocation = (struct request_revocation){.version = b->version,
                                                    .code = b->reason,
                                                    .when = str_equal(b->replace, "first") ? REVOCATION_FIRST
                                                            : str_equal(b->replace, "now") ? REVOCATION_NOW
                                                                                           : REVOCATION_USUAL};
        in->in = &b->revocation;
    }
    return RC_OK;
}

RC api_request_create(struct api_call *call, const struct api_request_new *in, struct api_request *out)
{
    struct request_input r = {.comment = in->comment, .approval = in->approval, .lives_s = in->expires_s};
    struct body b = {
        .certificate = in->certificate, .change = in->change, .version = in->version, .reason = in->reason, .replace = in->replace};
    const char *id = NULL;
    TRY(body_in(call, in->kind, in->object, &b, &r));
    TRY(request_ask(call->ctx, call->core, &r, &id));
    http_response_header(call->resp, "Location", location(call, id));
    return reply(call, id, out);
}

RC api_request_update(struct api_call *call, const struct api_request_edit *in, struct api_request *out)
{
    struct request_view v;
    struct request_input r = {.comment = in->comment};
    struct body b = {
        .certificate = in->certificate, .change = in->change, .version = in->version, .reason = in->reason, .replace = in->replace};
    TRY(request_show(call->ctx, call->core, call->path[0], &v));
    TRY(body_in(call, v.row.kind, v.row.object_id, &b, &r));
    TRY(request_edit(call->ctx, call->core, v.row.id, &r));
    return reply(call, v.row.id, out);
}

RC api_request_approve(struct api_call *call, const struct api_request_approval *in, struct api_request *out)
{
    const struct request_decision d = {.comment = in->comment, .hash = in->hash, .on_behalf_of = in->on_behalf_of};
    TRY(request_approve(call->ctx, call->core, call->path[0], &d));
    return reply(call, call->path[0], out);
}

RC api_request_refuse(struct api_call *call, const struct api_request_refusal *in, struct api_request *out)
{
    const struct request_decision d = {.comment = in->comment, .hash = in->hash, .on_behalf_of = in->on_behalf_of};
    TRY(request_refuse(call->ctx, call->core, call->path[0], &d));
    return reply(call, call->path[0], out);
}

RC api_request_withdraw(struct api_call *call, const struct api_request_comment *in, struct api_request *out)
{
    TRY(request_withdraw(call->ctx, call->core, call->path[0], in->comment));
    return reply(call, call->path[0], out);
}

RC api_request_comment(struct api_call *call, const struct api_request_comment *in, struct api_request *out)
{
    TRY(request_comment(call->ctx, call->core, call->path[0], in->comment));
    return reply(call, call->path[0], out);
}

/* --- changes of CAs */

RC api_ca_proposal_list(struct api_call *call, struct api_ca_proposal_page *out)
{
    const struct wire_signer_protection_get get = {0};
    const struct wire_signer_proposal_list in = {.id = ""};
    struct wire_signer_protection p;
    struct wire_signer_proposals all;
    TRY(wire_call_signer_protection_get(call->ctx, call->core->signer, &get, &p));
    TRY(wire_call_signer_proposal_list(call->ctx, call->core->signer, &in, &all));
    struct api_ca_proposal *items = arena_array(&call->ctx->arena, all.ids.n, sizeof *items);
    for (size_t i = 0; i < all.ids.n; i++)
        items[i] = (struct api_ca_proposal){.id = all.ids.v[i],
                                            .state = all.states.v[i],
                                            .change = all.changes.v[i],
                                            .words = all.words.v[i],
                                            .uid = all.uids.v[i],
                                            .hash = all.hashes.v[i],
                                            .created_at = all.times.v[i],
                                            .expires_at = all.expires.v[i],
                                            .ended_at = all.ended.v[i],
                                            .has_ended_at = all.ended.v[i] != 0,
                                            .by = *all.by.v[i] ? all.by.v[i] : NULL,
                                            .request = *all.requests.v[i] ? all.requests.v[i] : NULL};
    out->two_people = p.on;
    out->items = (struct api_ca_proposal_list){items, all.ids.n};
    return RC_OK;
}

RC api_ca_proposal_ask(struct api_call *call, const struct api_request_comment *in, struct api_request *out)
{
    const char *id = NULL;
    TRY(ca_change_ask(call->ctx, call->core, call->path[0], in->comment, &id));
    http_response_header(call->resp, "Location", location(call, id));
    return reply(call, id, out);
}

/* --- delegations */

static struct api_delegation_list delegations_out(struct ctx *ctx, const struct q_delegations_to_row *rows, size_t n)
{
    struct api_delegation *items = arena_array(&ctx->arena, n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct api_delegation){.name = rows[i].name, .until = rows[i].until};
    return (struct api_delegation_list){items, n};
}

RC api_delegation_list(struct api_call *call, struct api_delegations *out)
{
    struct request_delegations d;
    TRY(request_delegations(call->ctx, call->core, &d));
    out->mine = delegations_out(call->ctx, d.to, d.to_n);
    out->others = delegations_out(call->ctx, d.from, d.from_n);
    return RC_OK;
}

RC api_delegation_put(struct api_call *call, const struct api_delegation_new *in, struct api_delegations *out)
{
    TRY(request_delegate(call->ctx, call->core, in->to, in->has_until ? in->until : 0));
    return api_delegation_list(call, out);
}
