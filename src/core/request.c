#include "core/request.h"

#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/audit.h"
#include "core/job.h"
#include "pki/digest.h"

/* When somebody is reminded of what waits: seconds after it began to. */
static const int64_t reminders[] = {86400, 3 * 86400, 7 * 86400};
#define WAITING_MAX 1000              /* of one who asks */
#define KEPT_S      (2 * 366 * 86400) /* decided ones; the audit log has them longer */
#define SLICE       1000
#define REMINDERS_N ((int64_t)(sizeof reminders / sizeof *reminders))

const char *request_stands_for(const struct principal *p, const char *action)
{
    return p->pass && str_equal(p->pass->permission, action) ? "request.create" : action;
}

struct bytes request_noted(struct ctx *ctx, const struct request_pass *pass, struct bytes detail)
{
    json_auto_t *said = NULL;
    const char *name;
    const json_t *value;
    struct buf b;
    struct json_out j;
    if (pass->mode != REQUEST_PERFORMS)
        return detail;
    buf_init_arena(&b, &ctx->arena, detail.n + 8192);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "request", pass->id);
    json_put_str(&j, "approved_by", pass->approved_by ? pass->approved_by : "");
    if (detail.n && rc_failed(json_read(ctx, detail, &said)))
        ctx_forget(ctx); /* what is not read is not told; the rest is */
    json_object_foreach(said, name, value) json_put_value(&j, name, value);
    json_close(&j);
    return rc_ok(buf_status(&b)) ? buf_bytes(&b) : detail;
}

/* --- the gate */

static struct rc wanted_hash(struct ctx *ctx, const struct request_wanted *w, struct bytes *out)
{
    struct buf b;
    struct json_out j;
    uint8_t *digest = arena_alloc(&ctx->arena, SHA256_LEN);
    buf_init_arena(&b, &ctx->arena, w->payload.n + 4096);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "kind", w->kind);
    json_put_str(&j, "team", w->asked.team);
    json_put_str(&j, "object", w->asked.managed);
    json_put_raw(&j, "wanted", w->payload);
    json_close(&j);
    TRY(buf_status(&b));
    TRY(digest_sha256(ctx, buf_bytes(&b), digest));
    *out = bytes_of(digest, SHA256_LEN);
    return RC_OK;
}

static const char *verdict_rule(struct ctx *ctx, const struct policy_verdict *v)
{
    return v->rule    ? arena_printf(&ctx->arena, "rule %s%s%s", v->rule, v->words ? ": " : "", v->words ? v->words : "")
           : v->words ? v->words
                      : "the policy in force";
}

/* "2 of approver", "1" */
static const char *needs_words(struct ctx *ctx, int64_t needs, const char *role)
{
    return role ? arena_printf(&ctx->arena, "%lld of %s", (long long)needs, role)
                : arena_printf(&ctx->arena, "%lld who may approve", (long long)needs);
}

static struct rc forbidden(struct ctx *ctx, const struct policy_verdict *v)
{
    return ctx_fail(ctx, E_POLICY,
                    "policy forbids it (%s); ask for something that it allows, or have it changed: certwright policy show",
                    verdict_rule(ctx, v));
}

static struct rc pending(struct ctx *ctx, const char *name, int64_t needs, const char *role, const char *id)
{
    ctx->pending = id;
    return ctx_fail(ctx, E_PENDING, "%s waits for approval by %s: certwright request show %s", name, needs_words(ctx, needs, role),
                    id);
}

/* The row for what is wanted, with whoever asks now. */
static struct rc row_add(struct ctx *ctx, struct txn *txn, const struct request_wanted *w, const struct policy_verdict *v,
                         struct bytes hash, int64_t needs, const struct request_pass *pass, const char *id, const char *state)
{
    const struct principal *p = ctx->principal;
    const int64_t now = ctx_now_s(ctx);
    const char *maker = NULL;
    TRY(request_maker(ctx, txn, &maker));
    const struct q_request_add_in in = {.id = id,
                                        .team_id = w->asked.team,
                                        .kind = w->kind,
                                        .object_id = w->asked.managed,
                                        .object_name = w->name,
                                        .payload = arena_str(&ctx->arena, w->payload),
                                        .hash = hash,
                                        .state = state,
                                        .asker_kind = p->kind,
                                        .asker_id = p->id,
                                        .asker = p->name,
                                        .user_id = p->user,
                                        .maker = maker,
                                        .comment = pass && pass->comment ? pass->comment : "",
                                        .minimum = pass ? pass->minimum : 0,
                                        .policy_version = v->version,
                                        .rule = v->rule,
                                        .words = v->words,
                                        .needs = needs,
                                        .role = v->says == POLICY_NEEDS ? v->role : NULL,
                                        .now = now,
                                        .expires_at = now + (pass && pass->lives_s ? pass->lives_s : REQUEST_LIVES_S)};
    return q_request_add(ctx, txn, &in);
}

static int64_t reminder_at(int64_t created, int64_t written, int64_t expires)
{
    const int64_t next = written < REMINDERS_N ? created + reminders[written] : expires;
    return next < expires ? next : expires;
}

static struct bytes facts_of(struct ctx *ctx, const struct request_wanted *w, const struct policy_verdict *v, struct bytes hash,
                             int64_t needs)
{
    struct buf hex;
    buf_init_arena(&hex, &ctx->arena, 128);
    for (size_t i = 0; i < hash.n; i++)
        buf_printf(&hex, "%02x", hash.p[i]);
    return audit_facts(ctx, "kind", w->kind, "name", w->name, "wanted:", arena_str(&ctx->arena, w->payload), "hash", buf_z(&hex),
                       "rule", v->rule, "needs:", audit_number(ctx, needs), "role", v->role, NULL);
}

/* What policy wants approved is kept, or is waiting already. */
static struct rc keep(struct ctx *ctx, struct core *core, struct txn *txn, const struct request_wanted *w,
                      const struct policy_verdict *v, struct bytes hash, int64_t needs, struct request_pass *pass)
{
    struct q_request_same_row same;
    bool found = false;
    const char *role = v->says == POLICY_NEEDS ? v->role : NULL;
    TRY(q_request_same(ctx, txn, hash, &same, &found));
    const char *id = found ? same.id : pass ? pass->id : id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    if (pass)
        pass->id = id;
    if (!found) {
        const int64_t now = ctx_now_s(ctx);
        struct q_request_waiting_of_row waiting;
        TRY(q_request_waiting_of(ctx, txn, ctx->principal->id, &waiting));
        if (waiting.n >= WAITING_MAX)
            return ctx_fail(ctx, E_CONFLICT, "%d requests of %s wait already; withdraw those that are not needed any more",
                            WAITING_MAX, ctx->principal->name);
        TRY(row_add(ctx, txn, w, v, hash, needs, pass, id, "waiting"));
        TRY(timer_arm(ctx, txn, "request", id,
                      reminder_at(now, 0, now + (pass && pass->lives_s ? pass->lives_s : REQUEST_LIVES_S))));
    }
    if (found)
        TRY(q_request_shared(ctx, txn, id));
    core_wake_after_commit(ctx, core, txn, "request:", id);
    /* The Idempotency-Key of who asked is for the request. */
    const struct principal *p = ctx->principal;
    struct principal *keyed = arena_dup(&ctx->arena, p, sizeof *p);
    if (pass)
        keyed->once = pass->once;
    ctx->principal = keyed;
    struct rc rc = audit_write(ctx, txn, found ? "request.again" : "request.create", "request", id, w->asked.team,
                               facts_of(ctx, w, v, hash, needs));
    ctx->principal = p;
    TRY(rc);
    return pending(ctx, w->name, needs, role, id);
}

/* Another thing is wanted now, or the same thing means another: what was approved before was not this. */
static struct rc keep_change(struct ctx *ctx, struct txn *txn, const struct request_wanted *w, const struct policy_verdict *v,
                             struct bytes hash, int64_t needs, const struct request_pass *pass)
{
    const struct q_request_by_id_row *r = pass->row;
    const int64_t now = ctx_now_s(ctx), expires = now + (pass->lives_s ? pass->lives_s : r->expires_at - r->created_at);
    const struct q_request_wants_in in = {.id = r->id,
                                          .object_name = w->name,
                                          .payload = arena_str(&ctx->arena, w->payload),
                                          .hash = hash,
                                          .comment = pass->comment ? pass->comment : r->comment,
                                          .policy_version = v->version,
                                          .rule = v->rule,
                                          .words = v->words,
                                          .needs = needs,
                                          .role = v->says == POLICY_NEEDS ? v->role : NULL,
                                          .asker_kind = ctx->principal->kind,
                                          .asker_id = ctx->principal->id,
                                          .asker = ctx->principal->name,
                                          .expires_at = pass->mode == REQUEST_EDITS ? expires : r->expires_at};
    TRY(q_request_wants(ctx, txn, &in));
    if (!bytes_equal(hash, r->hash))
        TRY(q_request_said_void(ctx, txn, r->id));
    return RC_OK;
}

static int64_t needs_of(const struct policy_verdict *v)
{
    return v->says != POLICY_NEEDS ? 0 : v->approvals > 0 ? v->approvals : 1;
}

/* What policy says; of a revocation that is a renewal too, to both (`both`: both want approvals).  What is forbidden counts before
 * what waits, and the renewal's approvals are waited for once the revocation's are there. */
static struct rc verdict_of(struct ctx *ctx, struct core *core, struct txn *txn, const struct request_wanted *w,
                            struct policy_verdict *v, bool *both)
{
    const struct request_pass *pass = ctx->principal ? ctx->principal->pass : NULL;
    struct policy_asked renewal = w->asked;
    struct policy_verdict also;
    int64_t have = 0;
    *both = false;
    if (w->says) {
        *v = *w->says;
        return RC_OK;
    }
    TRY(policy_decide(ctx, core, txn, &w->asked, v));
    if (!w->renews || v->says == POLICY_FORBIDS)
        return RC_OK;
    renewal.act = POLICY_RENEW;
    TRY(policy_decide(ctx, core, txn, &renewal, &also));
    *both = needs_of(v) && needs_of(&also);
    if (*both && pass && pass->mode == REQUEST_PERFORMS)
        TRY(request_count(ctx, core, txn, pass->row, v->role, &have, NULL));
    if (also.says != POLICY_ALLOWS && (also.says == POLICY_FORBIDS || have >= needs_of(v)))
        *v = also;
    return RC_OK;
}

RC request_gate(struct ctx *ctx, struct core *core, struct txn *txn, const struct request_wanted *w)
{
    struct request_pass *pass = ctx->principal ? ctx->principal->pass : NULL;
    struct policy_verdict v;
    struct bytes hash;
    int64_t have = 0, all = 0;
    bool both = false;
    TRY(verdict_of(ctx, core, txn, w, &v, &both));
    if (v.says == POLICY_FORBIDS)
        return forbidden(ctx, &v);
    int64_t needs = needs_of(&v);
    if (!pass && !needs)
        return RC_OK;
    const char *role = needs ? v.role : NULL;
    if (pass && needs < pass->minimum)
        needs = pass->minimum;
    if (w->cannot_wait)
        return !needs ? RC_OK
                      : ctx_fail(ctx, E_POLICY,
                                 "policy wants this approved by %s (%s), and it cannot wait for that here; ask for it alone: "
                                 "certwright cert add --ask",
                                 needs_words(ctx, needs, role), verdict_rule(ctx, &v));
    TRY(wanted_hash(ctx, w, &hash));
    if (!pass)
        return keep(ctx, core, txn, w, &v, hash, needs, NULL);
    pass->asked = true;
    pass->wanted = *w;
    pass->verdict = v;
    pass->hash = hash;
    pass->needs = needs;
    if (pass->mode == REQUEST_ASKS)
        return needs ? keep(ctx, core, txn, w, &v, hash, needs, pass) : RC_OK;
    if (!str_equal(w->asked.team, pass->row->team_id))
        return ctx_fail(ctx, E_CHANGED, "%s belongs to another team by now; ask again", w->name);
    pass->changed = !bytes_equal(hash, pass->row->hash);
    const bool counts = pass->mode == REQUEST_PERFORMS && !pass->changed;
    if (counts)
        TRY(request_count(ctx, core, txn, pass->row, role, &have, both ? NULL : &pass->approved_by));
    if (counts && both) /* what one of the two roles approved is not void for the other */
        TRY(request_count(ctx, core, txn, pass->row, NULL, &all, &pass->approved_by));
    if (have >= needs && !(pass->mode == REQUEST_PERFORMS && pass->changed))
        return RC_OK;
    TRY(keep_change(ctx, txn, w, &v, hash, needs, pass));
    return pending(ctx, w->name, needs, role, pass->id);
}

RC request_verdict(struct ctx *ctx, struct core *core, struct txn *txn, const struct request_wanted *w, struct policy_verdict *out)
{
    bool both = false;
    TRY(verdict_of(ctx, core, txn, w, out, &both));
    if (out->says == POLICY_NEEDS)
        out->approvals = needs_of(out);
    return RC_OK;
}

RC request_says(struct ctx *ctx, struct core *core, struct txn *txn, const struct policy_asked *asked, const char **out)
{
    struct policy_verdict v;
    *out = NULL;
    TRY(policy_decide(ctx, core, txn, asked, &v));
    if (v.says == POLICY_FORBIDS)
        *out = arena_printf(&ctx->arena, "forbids it (%s)", verdict_rule(ctx, &v));
    else if (v.says == POLICY_NEEDS)
        *out = arena_printf(&ctx->arena, "wants it approved by %s (%s)",
                            needs_words(ctx, needs_of(&v), v.role), verdict_rule(ctx, &v));
    else if (v.version)
        *out = arena_printf(&ctx->arena, "allows it%s%s", v.rule ? ": rule " : "", v.rule ? v.rule : "");
    return RC_OK;
}

struct writing {
    store_fn *fn;
    void *arg;
    struct rc rc;
};

static struct rc write_through(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct writing *w = arg;
    if (w->rc.e == E_PENDING) /* it runs again: once said is enough */
        ctx_forget(ctx);
    ctx->pending = NULL;
    w->rc = w->fn(ctx, txn, w->arg);
    return w->rc.e == E_PENDING ? RC_OK : w->rc;
}

RC request_write(struct ctx *ctx, struct store *store, store_fn *fn, void *arg)
{
    struct writing w = {.fn = fn, .arg = arg};
    TRY(store_write(ctx, store, write_through, &w));
    return w.rc;
}

/* --- running a kind */

RC request_run(struct ctx *ctx, struct core *core, struct txn *txn, const struct principal *who, const struct request_kind *kind,
               struct request_pass *pass, struct request_work *work)
{
    const struct principal *caller = ctx->principal;
    struct principal *p = arena_dup(&ctx->arena, who, sizeof *who);
    bool holds = false;
    p->once = NULL; /* what the key is for is the request */
    p->pass = pass;
    ctx->principal = p;
    pass->permission = NULL;
    struct rc rc = access_has(ctx, core, txn, kind->permission, work->team, &holds);
    if (rc_ok(rc) && !holds) {
        pass->permission = kind->permission;
        pass->minimum = pass->minimum > 0 ? pass->minimum : 1;
    }
    if (rc_ok(rc))
        rc = access_enter(ctx, core, kind->permission);
    if (rc_ok(rc))
        rc = kind->perform(ctx, core, txn, work);
    ctx->principal = caller;
    return rc;
}

/* --- asking */

struct asking {
    struct core *core;
    const char *id, *comment;
    const struct request_input *in;
    const struct request_kind *kind;
    const char *made;
};

static struct rc kind_find(struct ctx *ctx, const char *name, const struct request_kind **out)
{
    *out = request_kind_of(name);
    return *out ? RC_OK : ctx_fail_field(ctx, "/kind", "%s cannot be asked for", name);
}

/* Whose what is asked for is, within what the caller may ask for. */
static struct rc place(struct ctx *ctx, struct txn *txn, const struct asking *a, struct request_work *work)
{
    struct q_managed_get_row row;
    work->in = a->in->in;
    if (!a->kind->about)
        return access_team(ctx, txn, a->in->team, &work->team);
    if (!a->in->object)
        return ctx_fail_field(ctx, "/object", "say which managed certificate");
    TRY(managed_find(ctx, txn, a->in->object, &row));
    TRY(decide(ctx, a->core, txn, "managed-certificate.read", row.team_id)); /* the request shows what is there */
    work->team = row.team_id;
    work->object = row.id;
    return RC_OK;
}

static struct rc done_row(struct ctx *ctx, struct txn *txn, const struct request_pass *pass, const struct request_work *work)
{
    TRY(row_add(ctx, txn, &pass->wanted, &pass->verdict, pass->hash, 0, pass, pass->id, "waiting"));
    const struct q_request_ends_in end = {
        .id = pass->id, .state = "done", .now = ctx_now_s(ctx), .result_id = work->result ? work->result : work->object};
    TRY(q_request_ends(ctx, txn, &end));
    return audit_write(ctx, txn, "request.done", "request", pass->id, work->team,
                       facts_of(ctx, &pass->wanted, &pass->verdict, pass->hash, 0));
}

static struct rc ask(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct request_work work = {0};
    struct request_pass *pass = ARENA_NEW(&ctx->arena, struct request_pass);
    TRY(place(ctx, txn, a, &work));
    TRY(decide(ctx, a->core, txn, "request.create", work.team));
    *pass = (struct request_pass){.mode = REQUEST_ASKS,
                                  .id = a->id,
                                  .minimum = a->in->approval ? 1 : 0,
                                  .comment = a->in->comment,
                                  .lives_s = a->in->lives_s,
                                  .once = ctx->principal->once};
    struct rc rc = request_run(ctx, a->core, txn, ctx->principal, a->kind, pass, &work);
    a->made = pass->id;
    TRY(rc);
    return pass->asked ? done_row(ctx, txn, pass, &work)
                       : ctx_fail(ctx, E_CONFLICT, "there is nothing to be done: it is so already");
}

static struct rc input_check(struct ctx *ctx, const struct request_input *in)
{
    return !in->lives_s || (in->lives_s >= REQUEST_LIVES_MIN_S && in->lives_s <= REQUEST_LIVES_MAX_S)
               ? RC_OK
               : ctx_fail_field(ctx, "/expires_s", "a request waits %d seconds to %d days", REQUEST_LIVES_MIN_S,
                                REQUEST_LIVES_MAX_S / 86400);
}

RC request_ask(struct ctx *ctx, struct core *core, const struct request_input *in, const char **id)
{
    struct asking a = {.core = core, .in = in, .id = id_new(&ctx->arena, clock_unix_ms(ctx->clock))};
    TRY(input_check(ctx, in));
    TRY(kind_find(ctx, in->kind, &a.kind));
    struct rc rc = request_write(ctx, core->store, ask, &a);
    *id = a.made;
    if (rc.e != E_PENDING)
        return rc;
    ctx_forget(ctx); /* it is what was asked for */
    return RC_OK;
}

static struct rc mine(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *verb,
                      struct q_request_by_id_row *out)
{
    TRY(request_find(ctx, core, txn, id, out));
    if (!request_is_mine(ctx, out))
        return ctx_fail(ctx, E_FORBIDDEN, "only %s, who asked, may %s this request", out->asker, verb);
    return str_equal(out->state, "waiting")
               ? RC_OK
               : ctx_fail(ctx, E_CONFLICT, "the request is %s; it waits for nobody any more", out->state);
}

static struct rc edit(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct asking *a = arg;
    struct q_request_by_id_row *row = ARENA_NEW(&ctx->arena, struct q_request_by_id_row);
    struct request_work work = {.in = a->in->in};
    struct request_pass *pass = ARENA_NEW(&ctx->arena, struct request_pass);
    const char *maker = NULL;
    TRY(mine(ctx, a->core, txn, a->id, "change", row));
    TRY(request_maker(ctx, txn, &maker));
    if (!str_equal(maker, row->maker)) /* else whoever is behind this change could approve it */
        return ctx_fail(ctx, E_FORBIDDEN, "it was asked with a token that somebody else made; withdraw it and ask anew");
    TRY(kind_find(ctx, row->kind, &a->kind));
    work.team = row->team_id;
    work.object = row->object_id;
    TRY(decide(ctx, a->core, txn, "request.create", work.team));
    *pass = (struct request_pass){.mode = REQUEST_EDITS,
                                  .id = row->id,
                                  .minimum = row->minimum,
                                  .comment = a->in->comment,
                                  .lives_s = a->in->lives_s,
                                  .row = row};
    struct rc rc = request_run(ctx, a->core, txn, ctx->principal, a->kind, pass, &work);
    core_wake_after_commit(ctx, a->core, txn, "request:", row->id);
    if (rc.e != E_PENDING)
        TRY(rc);
    if (!pass->asked)
        return ctx_fail(ctx, E_CONFLICT, "there is nothing to be done: it is so already");
    TRY(audit_write(ctx, txn, "request.update", "request", row->id, row->team_id,
                    facts_of(ctx, &pass->wanted, &pass->verdict, pass->hash, pass->needs)));
    if (rc.e == E_PENDING)
        return timer_arm(ctx, txn, "request", row->id, ctx_now_s(ctx)); /* it works out by itself when it is next */
    TRY(keep_change(ctx, txn, &pass->wanted, &pass->verdict, pass->hash, 0, pass));
    return request_end_write(ctx, a->core, txn, row, "done", "request.done", work.result ? work.result : work.object, RC_OK, NULL);
}

RC request_edit(struct ctx *ctx, struct core *core, const char *id, const struct request_input *in)
{
    struct asking a = {.core = core, .in = in, .id = id};
    TRY(input_check(ctx, in));
    TRY(store_write(ctx, core->store, edit, &a));
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc withdraw(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct asking *a = arg;
    struct q_request_by_id_row row;
    TRY(mine(ctx, a->core, txn, a->id, "withdraw", &row));
    return request_end_write(ctx, a->core, txn, &row, "withdrawn", "request.withdraw", NULL, RC_OK, a->comment);
}

RC request_withdraw(struct ctx *ctx, struct core *core, const char *id, const char *comment)
{
    struct asking a = {.core = core, .id = id, .comment = comment};
    return store_write(ctx, core->store, withdraw, &a);
}

RC request_drop(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, const char *words, bool *dropped)
{
    struct q_request_alone_row alone;
    struct q_request_by_id_row row;
    bool found = false;
    TRY(q_request_alone(ctx, txn, id, &alone, dropped));
    if (!*dropped)
        return RC_OK;
    TRY(q_request_by_id(ctx, txn, id, &row, &found));
    return request_end_write(ctx, core, txn, &row, "withdrawn", "request.withdraw", NULL, RC_OK, words);
}

/* --- its end, and what happens until then */

RC request_end_write(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r, const char *state,
                     const char *action, const char *result, struct rc why, const char *words)
{
    const struct q_request_ends_in end = {.id = r->id,
                                          .state = state,
                                          .now = ctx_now_s(ctx),
                                          .result_id = result,
                                          .error_code = rc_failed(why) ? err_info(why.e)->name : NULL,
                                          .error = words};
    TRY(q_request_ends(ctx, txn, &end));
    TRY(timer_clear(ctx, txn, "request", r->id));
    core_wake_after_commit(ctx, core, txn, "request:", r->id);
    return audit_write(ctx, txn, action, "request", r->id, r->team_id,
                       audit_facts(ctx, "kind", r->kind, "name", r->object_name, "result", result, "why", words, NULL));
}

RC request_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id)
{
    struct q_request_by_id_row r;
    const int64_t now = ctx_now_s(ctx);
    bool found = false;
    TRY(q_request_by_id(ctx, txn, id, &r, &found));
    if (!found || !str_equal(r.state, "waiting"))
        return RC_OK;
    if (now >= r.expires_at)
        return request_end_write(ctx, core, txn, &r, "expired", "request.expire", NULL, RC_OK, "nobody decided it in time");
    int64_t written = r.reminders;
    if (written < REMINDERS_N && now >= r.created_at + reminders[written]) {
        TRY(q_request_reminded(ctx, txn, id));
        TRY(audit_write(ctx, txn, "request.reminder", "request", id, r.team_id,
                        audit_facts(ctx, "kind", r.kind, "name", r.object_name, "asked_by", r.asker, "approvals:",
                                    audit_number(ctx, r.approvals), "needs:", audit_number(ctx, r.needs), "role", r.role, NULL)));
        /* Where the hub was away for days there is one reminder, not three. */
        for (written++; written < REMINDERS_N && now >= r.created_at + reminders[written]; written++)
            TRY(q_request_reminded(ctx, txn, id));
    }
    return timer_arm(ctx, txn, "request", id, reminder_at(r.created_at, written, r.expires_at));
}

RC request_expire(struct ctx *ctx, struct txn *txn, bool *more)
{
    struct q_request_old_row *old = NULL;
    size_t n = 0;
    TRY(q_request_old(ctx, txn, ctx_now_s(ctx) - KEPT_S, SLICE, &old, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(q_request_said_drop(ctx, txn, old[i].id));
        TRY(q_request_drop(ctx, txn, old[i].id));
    }
    *more |= n == SLICE;
    return RC_OK;
}
