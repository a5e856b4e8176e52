/* An audit entry as text: the leaf of the log's Merkle tree, and what an export holds a line of.  Hub and command line share it.
 *
 * The text is JSON in one form alone: members in the order of their names, no blanks, escapes as base/json.h writes them. */
#ifndef API_AUDIT_ENTRY_H
#define API_AUDIT_ENTRY_H

#include "base/json.h"

#define AUDIT_ENTRY_MAX ((size_t)1 << 18)

struct audit_entry {
    int64_t at;
    const char *principal, *peer, *action, *object_kind, *object_id, *team_id, *request_id;
    const char *detail; /* JSON, as audit_detail_put writes it */
};

/* audit_detail_put writes an object in that one form; audit_detail makes it of any JSON text ({} where there is none). */
void audit_detail_put(struct buf *b, const json_t *detail);
RC audit_detail(struct ctx *ctx, struct bytes json, const char **out);
/* audit_entry_put writes the text; audit_entry_take reads what somebody has formatted anew: E_INVALID where it is no entry. */
void audit_entry_put(struct buf *b, const struct audit_entry *e);
RC audit_entry_take(struct ctx *ctx, const json_t *json, struct audit_entry *out);

#endif
