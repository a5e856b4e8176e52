/* Sessions of people: what a cookie stands for.  Only the hash of what the cookie holds is kept.
 *
 * A session changes its name (the cookie) whenever what it may do changes: at sign-in, at the second factor, with the password.  It
 * ends after SESSION_IDLE_S without a request, SESSION_MOST_S after it began whatever happens, and at once with its account. */
#ifndef CORE_SESSION_H
#define CORE_SESSION_H

#include "core/core.h"

#define SESSION_IDLE_S    3600
#define SESSION_MOST_S    (12 * 3600)
#define SESSION_PENDING_S 600 /* to do the second factor, or set one up */
#define SESSION_FRESH_S   900 /* how long after a proof of who one is their factors may be changed */
#define SESSIONS_PER_USER 50
#define SESSION_TEXT_LEN  43

/* What a session may do: SECOND nothing but show a second factor, ENROL nothing but set one up, DONE all that its user may. */
enum session_stage { SESSION_SECOND, SESSION_ENROL, SESSION_DONE };
const char *session_stage_word(enum session_stage stage);

struct session {
    const char *id, *user, *name, *team; /* user: id of the account, name: what it is called, team: whose it is */
    enum session_stage stage;
    int64_t created_at, used_at, confirmed_at, ends_at;
    const char *address, *client;
    struct bytes hash;
};

/* session_text_new makes what a cookie holds, and its hash. */
RC session_text_new(struct ctx *ctx, const char **text, struct bytes *hash);
/* session_csrf makes the value of the header that unsafe requests of a session carry: nobody without the cookie can. */
RC session_csrf(struct ctx *ctx, const char *text, const char **out);

/* session_find looks a cookie up: E_UNAUTHENTICATED where it is of no session (any more).  When it was last used is noted to the
 * minute. */
RC session_find(struct ctx *ctx, struct core *core, const char *text, struct session *out);
/* session_principal makes its person the principal, with all that they may do now. */
RC session_principal(struct ctx *ctx, struct core *core, const struct session *s);
/* session_fresh is E_FORBIDDEN where its person has proved who they are too long ago. */
RC session_fresh(struct ctx *ctx, const struct session *s);

/* --- inside transactions */

struct session_new {
    const char *user, *address, *client;
    struct bytes hash;
    enum session_stage stage;
};
RC session_add(struct ctx *ctx, struct txn *txn, const struct session_new *in, const char **id);
/* session_rotate gives a session another cookie and stage. */
RC session_rotate(struct ctx *ctx, struct txn *txn, const struct session *s, struct bytes hash, enum session_stage stage);
/* session_end_all ends all of somebody's sessions but `keep` (NULL: all). */
RC session_end_all(struct ctx *ctx, struct txn *txn, const char *user, const char *keep);

/* --- for their person */

RC session_list(struct ctx *ctx, struct core *core, const char *user, struct session **out, size_t *n);
/* session_end ends one of the user's sessions: E_NOT_FOUND where it is none of theirs. */
RC session_end(struct ctx *ctx, struct core *core, const struct session *who, const char *id);
RC session_end_others(struct ctx *ctx, struct core *core, const struct session *who);

#endif
