/* Who may approve, what they say, and what follows. */
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "core/audit.h"
#include "core/request.h"
#include "core/user.h"

#define SAID_MAX       1000
#define COMMENTS_MAX   900 /* approvals and refusals fit in what is left */
#define DELEGATIONS    32
#define DELEGATE_MAX_S (366 * 86400)

#define PERMISSION "request.approve"

/* --- who may */

RC request_person(struct ctx *ctx, struct txn *txn, const char **person, const char **name)
{
    const struct principal *p = ctx->principal;
    struct q_user_by_id_row user;
    bool found = false;
    *person = "";
    *name = p->name;
    if (p->kind == PRINCIPAL_OWNER)
        *person = p->id;
    if (!p->user)
        return RC_OK;
    TRY(q_user_by_id(ctx, txn, p->user, &user, &found));
    if (!found || !str_equal(user.kind, "person"))
        return RC_OK;
    *person = user.id;
    *name = user.name;
    return RC_OK;
}

/* A service account is nobody who could approve: behind its tokens is who made them; behind a rule, who edited it last. */
RC request_maker(struct ctx *ctx, struct txn *txn, const char **person)
{
    const struct principal *p = ctx->principal;
    const char *name = NULL;
    struct q_token_maker_row row;
    struct q_rule_author_row rule;
    bool found = false;
    TRY(request_person(ctx, txn, person, &name));
    if (p->kind == PRINCIPAL_RULE) {
        TRY(q_rule_author(ctx, txn, p->id, &rule, &found));
        *person = found ? rule.author_person : "";
        return RC_OK;
    }
    if (**person || p->kind != PRINCIPAL_TOKEN)
        return RC_OK;
    TRY(q_token_maker(ctx, txn, p->id, &row, &found));
    *person = found && row.made_by ? row.made_by : "";
    return RC_OK;
}

bool request_is_mine(const struct ctx *ctx, const struct q_request_by_id_row *r)
{
    const struct principal *p = ctx->principal;
    return (p->user && r->user_id && str_equal(p->user, r->user_id)) ||
           ((int64_t)p->kind == r->asker_kind && str_equal(p->id, r->asker_id));
}

static bool is_owner(const char *person)
{
    return strncmp(person, "uid:", 4) == 0;
}

/* The permission that its approval takes; `*owner` says whether the admin socket has it. */
static const char *approval_of(const struct q_request_by_id_row *r, bool *owner)
{
    const struct request_kind *kind = request_kind_of(r->kind);
    *owner = !kind || !kind->approval;
    return *owner ? PERMISSION : kind->approval;
}

static struct rc rights_stand(struct ctx *ctx, struct txn *txn, const struct access_right *rights, size_t n,
                              const struct q_request_by_id_row *r, const char *role, bool *out)
{
    bool may = false, has_role = role == NULL, owner = false;
    const char *team = r->team_id;
    size_t bit = 0;
    *out = false;
    if (!api_permission_find(approval_of(r, &owner), &bit))
        return RC_OK;
    for (size_t i = 0; i < n && !(may && has_role); i++) {
        struct q_team_is_within_row row;
        bool there = str_equal(team, rights[i].team);
        if (!there)
            TRY(q_team_is_within(ctx, txn, team, rights[i].team, &row, &there));
        may |= there && permission_in(&rights[i].may, bit);
        has_role |= there && role && str_equal(rights[i].role, role);
    }
    *out = may && has_role;
    return RC_OK;
}

RC request_stands(struct ctx *ctx, struct core *core, struct txn *txn, const char *person, const struct q_request_by_id_row *r,
                  const char *role, bool *out)
{
    struct q_user_by_id_row user;
    struct access_right *rights = NULL;
    size_t n = 0;
    bool found = false, owner = false;
    (void)approval_of(r, &owner);
    *out = is_owner(person) && owner;
    if (is_owner(person) || !*person)
        return RC_OK;
    TRY(q_user_by_id(ctx, txn, person, &user, &found));
    if (!found || !str_equal(user.state, "active") || !str_equal(user.kind, "person"))
        return RC_OK;
    TRY(access_rights_of(ctx, core, txn, person, NULL, NULL, &rights, &n));
    return rights_stand(ctx, txn, rights, n, r, role, out);
}

/* The same for whoever is calling: of a token no more than the token may. */
static struct rc caller_stands(struct ctx *ctx, struct txn *txn, const char *person, const struct q_request_by_id_row *r,
                               const char *role, bool *out)
{
    const struct principal *p = ctx->principal;
    bool owner = false;
    (void)approval_of(r, &owner);
    *out = is_owner(person) && owner;
    return is_owner(person) || !*person ? RC_OK : rights_stand(ctx, txn, p->rights, p->rights_n, r, role, out);
}

/* What a token is not for, it is not for in another's stead either. */
static struct rc token_serves(struct ctx *ctx, struct txn *txn, const struct q_request_by_id_row *r, bool *out)
{
    const struct principal *p = ctx->principal;
    const char *team = r->team_id;
    struct q_team_is_within_row row;
    size_t bit = 0;
    bool owner = false;
    *out = !p->most;
    if (*out || !api_permission_find(approval_of(r, &owner), &bit) || !permission_in(p->most, bit))
        return RC_OK;
    *out = str_equal(team, p->most_team);
    return *out ? RC_OK : q_team_is_within(ctx, txn, team, p->most_team, &row, out);
}

RC request_count(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r, const char *role,
                 int64_t *n, const char **by)
{
    struct q_request_said_of_row *said = NULL;
    size_t said_n = 0;
    const char *names = NULL;
    *n = 0;
    TRY(q_request_said_of(ctx, txn, r->id, SAID_MAX, &said, &said_n));
    for (size_t i = 0; i < said_n; i++) {
        bool stands = false;
        if (!str_equal(said[i].verdict, "approve") || said[i].is_void || !bytes_equal(said[i].hash, r->hash))
            continue;
        TRY(request_stands(ctx, core, txn, said[i].counts_for, r, role, &stands));
        if (!stands && by) /* for good: a role that comes back does not bring old approvals with it */
            TRY(q_request_said_lapsed(ctx, txn, said[i].id));
        if (!stands)
            continue;
        ++*n;
        const char *who = str_equal(said[i].person, said[i].counts_for)
                              ? said[i].principal
                              : arena_printf(&ctx->arena, "%s for %s", said[i].principal, said[i].counts_name);
        names = names ? arena_printf(&ctx->arena, "%s, %s", names, who) : who;
    }
    if (by)
        *by = names;
    return RC_OK;
}

/* Each person once, however many they stand for, and nobody is stood for twice. */
static bool has_approved(const struct q_request_said_of_row *said, size_t n, const char *person)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(said[i].verdict, "approve") && !said[i].is_void &&
            (str_equal(said[i].person, person) || str_equal(said[i].counts_for, person)))
            return true;
    return false;
}

static struct rc by_delegation(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r,
                               const char *on_behalf_of, const struct q_request_said_of_row *said, size_t said_n,
                               struct request_counts *out)
{
    struct q_delegations_to_row *from = NULL;
    size_t n = 0;
    bool serves = false;
    TRY(token_serves(ctx, txn, r, &serves));
    if (is_owner(out->person) || !serves)
        return RC_OK;
    TRY(q_delegations_to(ctx, txn, out->person, ctx_now_s(ctx), DELEGATIONS, &from, &n));
    for (size_t i = 0; i < n && !out->counts_for; i++) {
        bool stands = false;
        if ((on_behalf_of && !str_equal(on_behalf_of, from[i].name)) || str_equal(from[i].id, r->user_id) ||
            str_equal(from[i].id, r->maker) || has_approved(said, said_n, from[i].id))
            continue;
        TRY(request_stands(ctx, core, txn, from[i].id, r, r->role, &stands));
        if (stands) {
            out->counts_for = from[i].id;
            out->counts_name = from[i].name;
        }
    }
    return RC_OK;
}

RC request_for(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r, const char *on_behalf_of,
               struct request_counts *out)
{
    struct q_request_said_of_row *said = NULL;
    size_t n = 0;
    const char *name = NULL;
    bool stands = false;
    *out = (struct request_counts){0};
    TRY(request_person(ctx, txn, &out->person, &name));
    if (!*out->person)
        return ctx_fail(ctx, E_FORBIDDEN, "%s is not a person; somebody who signs in approves or refuses", ctx->principal->name);
    if (request_is_mine(ctx, r) || str_equal(out->person, r->maker))
        return ctx_fail(ctx, E_FORBIDDEN,
                        "nobody decides on their own request; %s asked for this one (who may: certwright request show %s; "
                        "to take it back: certwright request withdraw %s)", r->asker, r->id, r->id);
    TRY(q_request_said_of(ctx, txn, r->id, SAID_MAX, &said, &n));
    if (has_approved(said, n, out->person))
        return ctx_fail(ctx, E_CONFLICT, "%s has approved this already; somebody else has to", name);
    if (!on_behalf_of || str_equal(on_behalf_of, name))
        TRY(caller_stands(ctx, txn, out->person, r, r->role, &stands));
    if (stands) {
        out->counts_for = out->person;
        out->counts_name = name;
        return RC_OK;
    }
    TRY(by_delegation(ctx, core, txn, r, on_behalf_of, said, n, out));
    if (out->counts_for)
        return RC_OK;
    return on_behalf_of ? ctx_fail(ctx, E_FORBIDDEN, "%s cannot stand for %s here", ctx->principal->name, on_behalf_of)
                        : ctx_fail(ctx, E_FORBIDDEN, "%s may not approve in team %s%s%s", ctx->principal->name, r->team,
                                   r->role ? "; it takes the role " : "", r->role ? r->role : "");
}

RC request_find(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, struct q_request_by_id_row *out)
{
    struct q_delegations_to_row *from = NULL;
    const char *person = NULL, *name = NULL;
    size_t n = 0;
    bool found = false;
    TRY(q_request_in(ctx, txn, id, access_scope(ctx), out, &found));
    if (found)
        return RC_OK;
    TRY(q_request_by_id(ctx, txn, id, out, &found));
    if (found && request_is_mine(ctx, out))
        return RC_OK;
    TRY(request_person(ctx, txn, &person, &name));
    if (found && *person)
        TRY(q_delegations_to(ctx, txn, person, ctx_now_s(ctx), DELEGATIONS, &from, &n));
    for (size_t i = 0; i < n; i++) {
        bool stands = false;
        TRY(request_stands(ctx, core, txn, from[i].id, out, NULL, &stands));
        if (stands)
            return RC_OK;
    }
    return ctx_fail(ctx, E_NOT_FOUND, "there is no request %s; certwright request list shows them", id);
}

/* --- saying it */

struct deciding {
    struct core *core;
    const char *id;
    const struct request_decision *d;
    bool performing, changed;
    /* Of a try that failed for good: what it failed with. */
    struct rc failed;
    const char *why;
};

static struct rc said(struct ctx *ctx, struct txn *txn, const struct q_request_by_id_row *r, const char *verdict,
                      const struct request_counts *c, const char *comment)
{
    struct q_request_said_count_row count;
    TRY(q_request_said_count(ctx, txn, r->id, &count));
    if (count.n >= (str_equal(verdict, "comment") ? COMMENTS_MAX : SAID_MAX))
        return ctx_fail(ctx, E_CONFLICT, "too much was said of this request; ask for it anew");
    const struct q_request_said_add_in in = {.id = id_new(&ctx->arena, clock_unix_ms(ctx->clock)),
                                             .request_id = r->id,
                                             .verdict = verdict,
                                             .principal = ctx->principal->name,
                                             .person = c->person,
                                             .counts_for = c->counts_for,
                                             .counts_name = c->counts_name,
                                             .comment = comment ? comment : "",
                                             .hash = r->hash,
                                             .now = ctx_now_s(ctx)};
    TRY(q_request_said_add(ctx, txn, &in));
    return q_request_touched(ctx, txn, r->id);
}

static struct rc begin(struct ctx *ctx, struct txn *txn, const struct deciding *d, struct q_request_by_id_row *r,
                       struct request_counts *counts)
{
    TRY(request_find(ctx, d->core, txn, d->id, r));
    TRY(request_for(ctx, d->core, txn, r, d->d->on_behalf_of, counts));
    if (!str_equal(r->state, "waiting"))
        return ctx_fail(ctx, E_CONFLICT, "the request is %s; it waits for nobody any more", r->state);
    if (ctx_now_s(ctx) >= r->expires_at)
        return ctx_fail(ctx, E_CONFLICT, "the request has expired; it has to be asked for again");
    if (d->d->hash.n && !bytes_equal(d->d->hash, r->hash))
        return ctx_fail(ctx, E_CHANGED, "the request was changed since you saw it; look at it again: certwright request show %s",
                        r->id);
    return RC_OK;
}

static struct rc approval_write(struct ctx *ctx, struct txn *txn, const struct deciding *d, const struct q_request_by_id_row *r,
                                const struct request_counts *c)
{
    TRY(said(ctx, txn, r, "approve", c, d->d->comment));
    return audit_write(ctx, txn, "request.approve", "request", r->id, r->team_id,
                       audit_facts(ctx, "kind", r->kind, "name", r->object_name, "asked_by", r->asker, "stands_for",
                                   str_equal(c->person, c->counts_for) ? NULL : c->counts_name, "comment", d->d->comment, NULL));
}

/* What was asked for is done, with the rights that its asker has now, where this was the last approval. */
static struct rc perform(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r,
                         struct deciding *d)
{
    const struct request_kind *kind = request_kind_of(r->kind);
    const struct principal *who = NULL;
    json_auto_t *payload = NULL;
    if (!kind)
        return ctx_fail(ctx, E_UNSUPPORTED, "this release does not know requests of kind %s", r->kind);
    TRY(access_again(ctx, core, txn, (enum principal_kind)r->asker_kind, r->asker_id, &who));
    TRY(json_read(ctx, bytes_z(r->payload), &payload));
    struct request_work work = {.team = r->team_id, .object = r->object_id, .payload = payload};
    struct request_pass *pass = ARENA_NEW(&ctx->arena, struct request_pass);
    *pass = (struct request_pass){.mode = REQUEST_PERFORMS, .id = r->id, .minimum = r->minimum, .row = r};
    struct rc rc = request_run(ctx, core, txn, who, kind, pass, &work);
    d->changed = pass->changed;
    if (rc.e == E_PENDING) {
        ctx_forget(ctx);
        return RC_OK;
    }
    TRY(rc);
    return request_end_write(ctx, core, txn, r, "done", "request.done", work.result ? work.result : work.object, RC_OK, NULL);
}

static struct rc approve(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct deciding *d = arg;
    struct q_request_by_id_row r;
    struct request_counts counts;
    d->performing = d->changed = false;
    TRY(begin(ctx, txn, d, &r, &counts));
    TRY(approval_write(ctx, txn, d, &r, &counts));
    core_wake_after_commit(ctx, d->core, txn, "request:", r.id);
    d->performing = true;
    return perform(ctx, d->core, txn, &r, d);
}

/* It cannot be done: the approval is kept, and so is why. */
static struct rc approve_failed(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct deciding *d = arg;
    struct q_request_by_id_row r;
    struct request_counts counts;
    TRY(begin(ctx, txn, d, &r, &counts));
    TRY(approval_write(ctx, txn, d, &r, &counts));
    return request_end_write(ctx, d->core, txn, &r, "failed", "request.failed", NULL, d->failed, d->why);
}

RC request_approve(struct ctx *ctx, struct core *core, const char *id, const struct request_decision *decision)
{
    struct deciding d = {.core = core, .id = id, .d = decision};
    if (!decision->hash.n)
        return ctx_fail_field(ctx, "/hash", "say what is approved: the request's hash as it was seen");
    struct rc rc = store_write(ctx, core->store, approve, &d);
    if (rc_ok(rc) && d.changed)
        return ctx_fail(ctx, E_CHANGED,
                        "it would be something else by now (its profile was changed); look at it again: "
                        "certwright request show %s",
                        id);
    const struct err_info *info = err_info(rc.e);
    if (rc_ok(rc) || !d.performing || info->retryable || info->category == CAT_RESOURCE || info->category == CAT_BUG)
        return rc;
    d.failed = rc;
    d.why = arena_strdup(&ctx->arena, ctx_why(ctx));
    ctx_forget(ctx);
    return store_write(ctx, core->store, approve_failed, &d);
}

static struct rc refuse(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct deciding *d = arg;
    struct q_request_by_id_row r;
    struct request_counts counts;
    TRY(begin(ctx, txn, d, &r, &counts));
    TRY(said(ctx, txn, &r, "refuse", &counts, d->d->comment));
    return request_end_write(ctx, d->core, txn, &r, "refused", "request.refuse", NULL, RC_OK,
                             d->d->comment && *d->d->comment ? d->d->comment : NULL);
}

RC request_refuse(struct ctx *ctx, struct core *core, const char *id, const struct request_decision *decision)
{
    struct deciding d = {.core = core, .id = id, .d = decision};
    return store_write(ctx, core->store, refuse, &d);
}

static struct rc comment(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct deciding *d = arg;
    struct q_request_by_id_row r;
    const char *person = NULL, *name = NULL;
    bool may = false;
    TRY(request_find(ctx, d->core, txn, d->id, &r));
    TRY(request_person(ctx, txn, &person, &name));
    if (request_is_mine(ctx, &r))
        may = true;
    else
        TRY(access_has(ctx, d->core, txn, "request.create", r.team_id, &may));
    if (!may)
        TRY(access_has(ctx, d->core, txn, PERMISSION, r.team_id, &may));
    if (!may)
        return ctx_fail(ctx, E_FORBIDDEN, "%s may look at this request only", ctx->principal->name);
    const struct request_counts nobody = {.person = person, .counts_for = "", .counts_name = ""};
    TRY(said(ctx, txn, &r, "comment", &nobody, d->d->comment));
    core_wake_after_commit(ctx, d->core, txn, "request:", r.id);
    return audit_write(ctx, txn, "request.comment", "request", r.id, r.team_id, audit_facts(ctx, "comment", d->d->comment, NULL));
}

RC request_comment(struct ctx *ctx, struct core *core, const char *id, const char *text)
{
    const struct request_decision decision = {.comment = text};
    struct deciding d = {.core = core, .id = id, .d = &decision};
    if (!text || !*text)
        return ctx_fail_field(ctx, "/comment", "say something");
    return store_write(ctx, core->store, comment, &d);
}

/* --- standing in for each other */

struct delegating {
    struct core *core;
    const char *to;
    int64_t until;
    struct request_delegations *out;
};

static struct rc self(struct ctx *ctx, struct txn *txn, const char **person, const char **name)
{
    TRY(request_person(ctx, txn, person, name));
    return **person && !is_owner(*person)
               ? RC_OK
               : ctx_fail(ctx, E_FORBIDDEN, "%s is nobody whom somebody could stand for; sign in as a person",
                          ctx->principal->name);
}

static struct rc delegate(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct delegating *d = arg;
    const char *person = NULL, *name = NULL;
    struct q_user_get_row to;
    TRY(self(ctx, txn, &person, &name));
    TRY(user_find(ctx, txn, d->to, &to));
    if (!str_equal(to.kind, "person") || str_equal(to.id, person))
        return ctx_fail_field(ctx, "/to", "%s cannot stand for %s: it has to be another person", to.name, name);
    if (d->until)
        TRY(q_delegation_put(ctx, txn, person, to.id, d->until, ctx_now_s(ctx)));
    else
        TRY(q_delegation_drop(ctx, txn, person, to.id, ctx_now_s(ctx)));
    return audit_write(ctx, txn, d->until ? "request.delegate" : "request.undelegate", "user", to.id, access_scope(ctx),
                       audit_facts(ctx, "from", name, "to", to.name, "until:", audit_number(ctx, d->until), NULL));
}

RC request_delegate(struct ctx *ctx, struct core *core, const char *to, int64_t until)
{
    struct delegating d = {.core = core, .to = to, .until = until};
    const int64_t now = ctx_now_s(ctx);
    if (until && (until <= now || until > now + DELEGATE_MAX_S))
        return ctx_fail_field(ctx, "/until", "somebody stands for another until a time within a year from now");
    return store_write(ctx, core->store, delegate, &d);
}

static struct rc delegations(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct request_delegations *out = arg;
    const char *person = NULL, *name = NULL;
    TRY(request_person(ctx, txn, &person, &name));
    if (!*person || is_owner(person))
        return RC_OK;
    TRY(q_delegations_from(ctx, txn, person, ctx_now_s(ctx), DELEGATIONS, &out->to, &out->to_n));
    return q_delegations_to(ctx, txn, person, ctx_now_s(ctx), DELEGATIONS, &out->from, &out->from_n);
}

RC request_delegations(struct ctx *ctx, struct core *core, struct request_delegations *out)
{
    *out = (struct request_delegations){0};
    return store_read(ctx, core->store, delegations, out);
}
