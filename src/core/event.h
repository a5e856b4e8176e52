/* What happened, in the order of the log: for pages that live, and for whoever is to be told. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core/core.h"
#include "core/findings.h"
#include "store/queries.h"

struct event_kind {
    const char *action;
    enum check_severity severity;
    const char *words;
};
/* event_kind_of returns the row of an action; NULL: no event. */
const struct event_kind *event_kind_of(const char *action);
/* event_kinds returns all rows. */
const struct event_kind *event_kinds(size_t *n);

#define EVENT_PAGE_MAX 500
#define EVENTS_KEY     "events" /* what is woken when there may be new ones */

/* Events have numbers, from 1, in the order of the log, with gaps.  event_page reads those after `after` that the caller's scope
 * shows.  `last`: the number to ask after next, which may be larger than that of the last row, so that a page costs a bounded
 * number of looks; `more`: ask at once.  An `after` below 0 gives `last` alone: what there is now. */
struct event {
    const struct event_kind *kind;
    const struct q_event_list_row *row;
    int64_t number;
};
struct event_page {
    struct event *v;
    size_t n;
    int64_t last;
    bool more;
};
RC event_page(struct ctx *ctx, struct txn *txn, int64_t after, int64_t limit, struct event_page *out);

#endif
