/* The ledger of one managed certificate: requested, approved, issued, stored, installed, served; who, when, and the evidence.
 *
 * It is a view of the audit log: each line is an entry with its place in the log, so that an export of them (audit_export) proves
 * each to the signed head, without a hub. */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include "core/core.h"
#include "store/queries.h"

struct ledger_line {
    const char *step;  /* requested, approved, refused, issued, served, not_served, drifted, revoked, changed, … */
    const char *words; /* a sentence */
    int64_t version;   /* 0: of none */
    const struct q_audit_list_row *entry;
};

/* ledger_find gives the id of a managed certificate by id or name; one that is gone by its id. */
RC ledger_find(struct ctx *ctx, struct core *core, const char *ref, const char **managed);
/* ledger_list gives a page, newest first, of entries with a number below `before`; `last`: the number to go on before, 0 at the
 * end. */
RC ledger_list(struct ctx *ctx, struct core *core, const char *managed, int64_t before, int64_t limit, struct ledger_line **out,
               size_t *n, int64_t *last);

#endif
