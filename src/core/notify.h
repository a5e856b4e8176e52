/* Notifications: what somebody is told over a channel (core/channel.h), once for each step of an alert.
 *
 * A notification is a row with a stable id, made of alert, step, channel, state and recipient: made once more in another
 * transaction it is the same.  It is sent at least once, by a job "notify" of the channel's agent in a lane of the channel, so that
 * one that hangs delays no other; tried again with backoff for a day; then it is dead, is shown, and is sent again when somebody
 * says so.  The receiver sees the id in each try, and can tell a second one from the first. */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include "core/core.h"
#include "store/queries.h"

struct checked_result;

#define NOTIFY_FOR_S     86400
#define NOTIFY_KEPT_S    (30 * 86400) /* after that it is forgotten */
#define NOTIFY_SUBJECT_MAX 250        /* bytes; longer ones are cut */
#define NOTIFY_TEXT_MAX    8192

struct notify_what {
    const char *alert;    /* id; NULL: of none, and told again at each call */
    const char *channel;  /* id or name; NULL: the team's default, the usual channels of the nearest team above which has any */
    const char *to;       /* a mail address (core/mail_address.h); where it is not confirmed the channels above are told; NULL:
                             whom the channel writes to */
    const char *asks, *asks_team; /* of `to`: who wants to write there, for people and as a team; NULL: the team */
    const char **note;            /* gets words for people where `to` was not told; NULL: they are not wanted */
    const char *subject;  /* one line */
    const char *text;     /* plain words, several lines */
    const char *url_path; /* at the hub, from "/"; NULL: none */
    const char *severity; /* word of a severity (core/findings.h) */
    const char *state;    /* opened | reminded | resolved | digest */
    const char *object_kind, *object_id, *object_name; /* may be NULL */
    const char *team;
    int64_t step;
};
/* notify_send makes the rows in the caller's transaction; a second call for the same alert, step, channel and state changes
 * nothing.  Where the team has no channel, or the channel was removed, is of a team that has nothing to do with this one, or is not
 * confirmed, nobody is told, and that is no failure: the alert is there.  What is told of a channel (object_kind "channel") without
 * naming one goes over all others. */
RC notify_send(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_what *what);

/* notify_row makes one notification for this channel, whatever its addresses have confirmed; for core/channel.c.  `only_once`: it
 * is not tried again.  `code`: stands in the mail for "{code}", and nowhere else. */
struct notify_row {
    const struct notify_what *what;
    const char *id, *channel, *recipient, *code;
    bool only_once;
};
RC notify_row(struct ctx *ctx, struct core *core, struct txn *txn, const struct notify_row *n);

/* notify_list reads notifications that the caller sees, newest first; "" is any.  `before_at` INT64_MAX: from the newest. */
RC notify_list(struct ctx *ctx, struct core *core, const char *state, const char *channel, const char *alert, int64_t before_at,
               const char *before_id, int64_t limit, struct q_notification_get_row **out, size_t *n);
RC notify_show(struct ctx *ctx, struct core *core, const char *id, struct q_notification_get_row *out);
/* notify_again sends one that is dead, or was sent, once more. */
RC notify_again(struct ctx *ctx, struct core *core, const char *id);

/* --- what follows from jobs and timers, in their transactions */
RC notify_ended(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);
/* notify_due: timer "notification": its day is over, whatever its agent is doing. */
RC notify_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);
/* notify_drop ends what waits to be told over a channel that is removed. */
RC notify_drop(struct ctx *ctx, struct txn *txn, const char *channel);

#endif
