#include "core/silent.h"

#include "base/str.h"
#include "core/audit.h"
#include "core/heard.h"
#include "store/queries.h"

#define AT_ONCE   100
#define KNOWN_MAX 20000

struct looking {
    struct core *core;
    const char *const *ids; /* heard_silent() */
    size_t ids_n, changes;
    bool writes; /* else it only counts what there would be to write */
};

static bool works(const char *state)
{
    return str_equal(state, "active") || str_equal(state, "draining");
}

static struct rc tell(struct ctx *ctx, struct txn *txn, struct looking *l, const char *id, const char *team, const char *name,
                      int64_t seen_at, bool silent)
{
    const int64_t now = ctx_now_s(ctx), last = heard_at(l->core, id, seen_at);
    l->changes++;
    if (!l->writes)
        return RC_OK;
    TRY(q_agent_silent_set(ctx, txn, id, silent ? &now : NULL));
    return audit_write(ctx, txn, silent ? "agent.silent" : "agent.back", "agent", id, team,
                       audit_facts(ctx, "name", name, "heard_at:", audit_number(ctx, last), NULL));
}

static int by_id(const void *id, const void *row)
{
    return strcmp(id, ((const struct q_agent_silent_known_row *)row)->id);
}

/* Those that are silent and were not told; those that were told, and have called since or work no more. */
static struct rc look(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct looking *l = arg;
    struct q_agent_silent_known_row *known = NULL;
    size_t n = 0;
    l->changes = 0;
    TRY(q_agent_silent_known(ctx, txn, KNOWN_MAX, &known, &n)); /* in the order of their ids */
    for (size_t i = 0; i < l->ids_n && l->changes < AT_ONCE; i++) {
        struct q_agent_silent_get_row a;
        bool found = false;
        if (n && bsearch(l->ids[i], known, n, sizeof *known, by_id))
            continue;
        TRY(q_agent_silent_get(ctx, txn, l->ids[i], &a, &found));
        if (found && !a.silent_since && works(a.state))
            TRY(tell(ctx, txn, l, l->ids[i], a.team_id, a.name, a.seen_at, true));
    }
    for (size_t i = 0; i < n && l->changes < AT_ONCE; i++) {
        const int64_t last = heard_at(l->core, known[i].id, known[i].seen_at);
        if (!works(known[i].state)) {
            l->changes++;
            if (l->writes)
                TRY(q_agent_silent_set(ctx, txn, known[i].id, NULL));
        } else if (last >= ctx_now_s(ctx) - HEARD_SILENT_S) {
            TRY(tell(ctx, txn, l, known[i].id, known[i].team_id, known[i].name, known[i].seen_at, false));
        }
    }
    return RC_OK;
}

RC silent_tick(struct ctx *ctx, struct core *core)
{
    struct looking l = {.core = core};
    if (clock_mono_ms() < core->watch.silent_ms)
        return RC_OK;
    core->watch.silent_ms = clock_mono_ms() + SILENT_LOOK_MS;
    TRY(heard_silent(ctx, core, &l.ids, &l.ids_n));
    TRY(store_read(ctx, core->store, look, &l));
    l.writes = true;
    return l.changes ? store_write(ctx, core->store, look, &l) : RC_OK;
}
