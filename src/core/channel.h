/* Channels: over what people are told (core/notify.h tells them), and whether that arrives.
 *
 * A channel is a row of `channels` in agent.yaml of its agent, with parameters.  Credentials are on that host and are only named in
 * parameters: the database holds none.  A channel of e-mail has addresses; each is written to when who reads it has confirmed it
 * with a code that was sent there, and nothing but that code goes there before.  One that fails (CHANNEL_FAILS tries in a row) is
 * told as event "channel.failing", over the others; the first thing that arrives again ends that ("channel.healthy"). */
#ifndef CORE_CHANNEL_H
#define CORE_CHANNEL_H

#include "base/str.h"
#include "core/core.h"
#include "store/queries.h"

#define CHANNEL_ADDRESSES_MAX 32
#define CHANNEL_FAILS         3

struct channel_input {
    const char *name, *team;   /* of a new one; team NULL: the caller's */
    const char *kind;          /* NULL (update): as it is */
    const char *agent;         /* name or id; NULL: the default one (update: as it is) */
    const char *parameters;    /* JSON object of strings; NULL: none (update: as they are) */
    struct str_list addresses; /* of e-mail */
    bool has_addresses;        /* update: else they stay */
    int usual, daily;          /* -1 (update): as it is */
};
struct channel_view {
    struct q_channel_get_row row;
    struct q_channel_address_list_row *addresses;
    size_t addresses_n;
};
/* channel_create, and channel_update for new addresses, send codes to those that are not confirmed. */
RC channel_create(struct ctx *ctx, struct core *core, const struct channel_input *in, const char **id);
RC channel_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision, const struct channel_input *in);
/* channel_remove ends what waits to be told over it. */
RC channel_remove(struct ctx *ctx, struct core *core, const char *ref);
RC channel_show(struct ctx *ctx, struct core *core, const char *ref, struct channel_view *out);
RC channel_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit, struct channel_view **out, size_t *n);
/* channel_test sends a notification that says so, once; `id` is the notification's. */
RC channel_test(struct ctx *ctx, struct core *core, const char *ref, const char **id);
/* channel_confirm takes a code: E_INVALID at /code where it is not (or no longer) that of an address.  Code NULL: new codes are
 * sent to the addresses that are not confirmed. */
RC channel_confirm(struct ctx *ctx, struct core *core, const char *ref, const char *code);
/* channel_ref finds a channel that the caller sees, by name or id. */
RC channel_ref(struct ctx *ctx, struct txn *txn, const char *ref, const char **id, const char **team);

/* --- what follows from jobs and timers, in their transactions */
RC channel_arrived(struct ctx *ctx, struct txn *txn, const char *id);
/* channel_failed counts a try that failed; `lost`: something was not told at all, which makes it failing at once. */
RC channel_failed(struct ctx *ctx, struct txn *txn, const char *id, enum err e, const char *why, bool lost);
/* channel_life_due is the sign of life: timer "channel-life". */
RC channel_life_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);

/* channel_troubles calls `add` for channels that fail, and for what nobody was told. */
RC channel_troubles(struct ctx *ctx, struct txn *txn, int64_t limit, void *arg,
                    void (*add)(void *arg, const char *object, const char *text, const char *remedy));

#endif
