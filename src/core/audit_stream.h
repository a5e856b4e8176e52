/* The audit log as a stream: every entry goes, in the order of the log, over a channel of kind syslog to somebody else's collector.
 *
 * A stream has a place in the log: all before it were handed over.  The entries from there on go in batches, each a job
 * "audit_stream" of the channel's agent; the next one is made when the one before was taken, and the place moves in the transaction
 * that notes that.  So each entry goes at least once; a batch whose end nobody knows goes again, and its entries are told apart by
 * their places.  One that hangs delays nobody: its jobs have a lane of their own.  Entries that retention takes before their turn
 * are counted as lost, never waited for.
 *
 * The whole log is that of the team that holds everything: only who has "audit.stream" there makes streams, over a channel of that
 * team, and only they change such a channel. */
#ifndef CORE_AUDIT_STREAM_H
#define CORE_AUDIT_STREAM_H

#include "core/core.h"
#include "store/queries.h"

struct checked_result;

#define AUDIT_STREAMS_MAX 20
#define AUDIT_STREAM_BATCH 100 /* entries */

struct audit_stream_input {
    const char *name, *channel; /* channel: name or id */
    const char *format;         /* syslog | cef */
    int64_t from;               /* place of the first one; -1: what is noted from now on */
};
struct audit_stream_view {
    struct q_audit_stream_list_row row;
    int64_t lag; /* entries that were not handed over yet */
};
RC audit_stream_create(struct ctx *ctx, struct core *core, const struct audit_stream_input *in, struct audit_stream_view *out);
RC audit_stream_list(struct ctx *ctx, struct core *core, struct audit_stream_view **out, size_t *n);
RC audit_stream_remove(struct ctx *ctx, struct core *core, const char *ref);
/* audit_stream_lags is audit_stream_list for the metrics: nothing for who does not see the whole log. */
RC audit_stream_lags(struct ctx *ctx, struct core *core, struct txn *txn, struct audit_stream_view **out, size_t *n);

/* audit_stream_channel is asked before the channel `id` is changed; `gone`: removed, which is E_IN_USE. */
RC audit_stream_channel(struct ctx *ctx, struct core *core, struct txn *txn, const char *id, bool gone);

/* audit_stream_tick makes the jobs that are due. */
RC audit_stream_tick(struct ctx *ctx, struct core *core);
RC audit_stream_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);

#endif
