#include "core/event.h"

#include "base/str.h"
#include "core/access.h"

#define LOOKS 2000 /* entries of the log for a page */

static const struct event_kind kinds[] = {
#define EVENT(action, severity, words) {action, SEVERITY_##severity, words},
#include "core/events.def"
#undef EVENT
};

const struct event_kind *event_kinds(size_t *n)
{
    *n = sizeof kinds / sizeof *kinds;
    return kinds;
}

const struct event_kind *event_kind_of(const char *action)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_equal(kinds[i].action, action))
            return &kinds[i];
    return NULL;
}

/* The number of an event is the place of its entry, plus one. */
RC event_page(struct ctx *ctx, struct txn *txn, int64_t after, int64_t limit, struct event_page *out)
{
    struct q_audit_tree_row tree;
    struct q_event_list_row *rows = NULL;
    size_t n = 0;
    TRY(q_audit_tree(ctx, txn, &tree));
    *out = (struct event_page){.last = tree.size};
    if (after < 0 || after >= tree.size)
        return RC_OK;
    const int64_t from = after > tree.kept_from ? after : tree.kept_from;
    const int64_t to = from + LOOKS < tree.size ? from + LOOKS : tree.size;
    TRY(q_event_list(ctx, txn, access_scope(ctx), from, to, &rows, &n));
    out->v = arena_array(&ctx->arena, n + 1, sizeof *out->v);
    out->last = to;
    for (size_t i = 0; i < n; i++) {
        const struct event_kind *kind = event_kind_of(rows[i].action);
        if (!kind)
            continue;
        if ((int64_t)out->n == limit) {
            out->last = out->v[out->n - 1].number;
            break;
        }
        out->v[out->n++] = (struct event){.kind = kind, .row = &rows[i], .number = rows[i].leaf + 1};
    }
    out->more = out->last < tree.size;
    return RC_OK;
}
