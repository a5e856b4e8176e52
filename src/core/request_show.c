#include "base/str.h"
#include "core/request.h"
#include "core/role.h"

#define PEOPLE_MAX  200
#define NAMES_MAX   20
#define SAID_MAX    1000
#define TURN_MAX    1000
#define DELEGATIONS 32

struct showing {
    struct core *core;
    const char *id;
    struct request_view *out;
};

static bool said_by(const struct request_view *v, const char *person)
{
    for (size_t i = 0; i < v->said_n; i++)
        if (str_equal(v->said[i].verdict, "approve") && !v->said[i].is_void && str_equal(v->said[i].counts_for, person))
            return true;
    return false;
}

/* Who may approve still: people with a role that lets them, there or above. */
static struct rc approvers(struct ctx *ctx, struct core *core, struct txn *txn, struct request_view *v)
{
    struct q_request_people_row *people = NULL;
    size_t n = 0;
    TRY(q_request_people(ctx, txn, v->row.team_id, PEOPLE_MAX, &people, &n));
    for (size_t i = 0; i < n && v->approvers.n < NAMES_MAX; i++) {
        bool stands = false;
        if (str_list_has(&v->approvers, people[i].name) || str_equal(people[i].id, v->row.user_id) ||
            str_equal(people[i].id, v->row.maker) || said_by(v, people[i].id) || (i && str_equal(people[i].id, people[i - 1].id)))
            continue;
        TRY(request_stands(ctx, core, txn, people[i].id, &v->row, v->row.role, &stands));
        if (stands)
            str_list_add(&ctx->arena, &v->approvers, people[i].name);
    }
    return RC_OK;
}

/* `*turn` says whether the caller may approve it: every reason why not is an answer, not a failure. */
static struct rc my_turn(struct ctx *ctx, struct core *core, struct txn *txn, const struct q_request_by_id_row *r, bool *turn)
{
    struct request_counts counts;
    *turn = false;
    if (!str_equal(r->state, "waiting"))
        return RC_OK;
    struct rc rc = request_for(ctx, core, txn, r, NULL, &counts);
    *turn = rc_ok(rc);
    if (rc.e != E_FORBIDDEN && rc.e != E_CONFLICT)
        return rc;
    ctx_forget(ctx);
    return RC_OK;
}

static struct rc show(struct ctx *ctx, struct txn *txn, void *arg)
{
    const struct showing *s = arg;
    struct request_view *v = s->out;
    *v = (struct request_view){0};
    TRY(request_find(ctx, s->core, txn, s->id, &v->row));
    TRY(q_request_said_of(ctx, txn, v->row.id, SAID_MAX, &v->said, &v->said_n));
    TRY(request_count(ctx, s->core, txn, &v->row, v->row.role, &v->standing, NULL));
    v->mine = request_is_mine(ctx, &v->row);
    TRY(my_turn(ctx, s->core, txn, &v->row, &v->my_turn));
    return str_equal(v->row.state, "waiting") ? approvers(ctx, s->core, txn, v) : RC_OK;
}

RC request_show(struct ctx *ctx, struct core *core, const char *id, struct request_view *out)
{
    struct showing s = {.core = core, .id = id, .out = out};
    return store_read(ctx, core->store, show, &s);
}

struct listing {
    struct core *core;
    enum request_whose whose;
    const char *state, *before;
    int64_t limit;
    struct q_request_by_id_row *rows;
    size_t n;
};

static void add_once(struct listing *l, const struct q_request_by_id_row *r)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_equal(l->rows[i].id, r->id))
            return;
    l->rows[l->n++] = *r;
}

static struct rc turns_in(struct ctx *ctx, struct txn *txn, struct listing *l, const char *scope)
{
    struct q_request_by_id_row *rows = NULL;
    size_t n = 0;
    TRY(q_request_list(ctx, txn, scope, "waiting", "", TURN_MAX, &rows, &n));
    for (size_t i = 0; i < n && (int64_t)l->n < l->limit; i++) {
        bool turn = false;
        TRY(my_turn(ctx, l->core, txn, &rows[i], &turn));
        if (turn)
            add_once(l, &rows[i]);
    }
    return RC_OK;
}

/* What waits for the caller, or for somebody whom they stand for. */
static struct rc turns(struct ctx *ctx, struct txn *txn, struct listing *l)
{
    const char *person = NULL, *name = NULL;
    struct q_delegations_to_row *from = NULL;
    size_t n = 0;
    l->rows = arena_array(&ctx->arena, (size_t)l->limit, sizeof *l->rows);
    l->n = 0;
    TRY(turns_in(ctx, txn, l, access_scope(ctx)));
    TRY(request_person(ctx, txn, &person, &name));
    if (*person)
        TRY(q_delegations_to(ctx, txn, person, ctx_now_s(ctx), DELEGATIONS, &from, &n));
    for (size_t i = 0; i < n; i++) {
        struct access_right *rights = NULL;
        size_t rights_n = 0;
        TRY(access_rights_of(ctx, l->core, txn, from[i].id, NULL, NULL, &rights, &rights_n));
        for (size_t k = 0; k < rights_n; k++)
            TRY(turns_in(ctx, txn, l, rights[k].team));
    }
    return RC_OK;
}

static struct rc list(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct listing *l = arg;
    const struct principal *p = ctx->principal;
    if (l->whose == REQUESTS_MY_TURN)
        return turns(ctx, txn, l);
    const struct q_request_mine_in mine = {
        .user_id = p->user ? p->user : "", .asker_id = p->id, .state = l->state, .before = l->before, .limit = l->limit};
    if (l->whose == REQUESTS_MINE)
        return q_request_mine(ctx, txn, &mine, &l->rows, &l->n);
    return q_request_list(ctx, txn, access_scope(ctx), l->state, l->before, l->limit, &l->rows, &l->n);
}

RC request_list(struct ctx *ctx, struct core *core, enum request_whose whose, const char *state, const char *before, int64_t limit,
                struct q_request_by_id_row **rows, size_t *n)
{
    struct listing l = {.core = core, .whose = whose, .state = state ? state : "", .before = before, .limit = limit};
    TRY(store_read(ctx, core->store, list, &l));
    *rows = l.rows;
    *n = l.n;
    return RC_OK;
}
