/* What policy says to what somebody wants, before it happens: on every way in. */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include "core/core.h"
#include "core/wish.h"

enum policy_act { POLICY_CREATE, POLICY_CHANGE, POLICY_RENEW, POLICY_REVOKE, POLICY_EXPORT, POLICY_ROLLBACK, POLICY_ACTS };

/* What is wanted.  `wish` is as it would be afterwards, resolved and checked (wish_resolve, wish_check). */
struct policy_asked {
    enum policy_act act;
    const char *team;    /* id */
    const char *managed; /* id; NULL: there is none yet */
    const struct wish *wish;
    bool by_itself; /* of the hub's own accord: a renewal that is due.  Nobody's approval is asked for it */
    int64_t not_before, not_after; /* of a renewal by itself: the certificate that is there */
};

enum policy_says { POLICY_ALLOWS, POLICY_FORBIDS, POLICY_NEEDS };

struct policy_verdict {
    enum policy_says says;
    const char *rule;  /* its name; NULL: none applied */
    const char *words; /* of POLICY_FORBIDS and POLICY_NEEDS: why, for people */
    /* Of POLICY_NEEDS: so many who hold this role (NULL: who may approve at all) in the team or above it, never who asked. */
    int64_t approvals;
    const char *role;
    int64_t version; /* of the document; 0: there is none */
    int64_t until;   /* of POLICY_FORBIDS by a freeze: when it ends, or for a renewal by itself goes on; 0: by something else */
};

/* policy_decide says what the document in force says.  Cheap enough for every write: the document is kept parsed. */
RC policy_decide(struct ctx *ctx, struct core *core, struct txn *txn, const struct policy_asked *asked, struct policy_verdict *out);

/* --- the document kept parsed: one a process, for all its threads. */
struct policy_cache;
struct policy_cache *policy_cache_new(void);
void policy_cache_free(struct policy_cache *c);

/* --- its versions.  Reading and changing them takes the permission in the team that holds everything: a document names teams. */
struct policy_version {
    int64_t version; /* 0: there is none, and everything is allowed */
    const char *document, *comment, *created_by;
    int64_t created_at;
    bool in_force;
};
/* policy_show gives a version (0: the one in force, or an empty one). */
RC policy_show(struct ctx *ctx, struct core *core, int64_t version, struct policy_version *out);
/* policy_list gives versions before a number, newest first, without their documents. */
RC policy_list(struct ctx *ctx, struct core *core, int64_t before, int64_t limit, struct policy_version **out, size_t *n);
/* policy_put has a document in force from now on.  E_CHANGED where `seen` is not the version in force; E_INVALID at /document with
 * the line of what is wrong. */
RC policy_put(struct ctx *ctx, struct core *core, const int64_t *seen, const char *document, const char *comment);

/* --- asking.  policy_explain says what policy says to what somebody might ask for, or (`managed`) to what is there. */
struct managed_input;
RC policy_explain(struct ctx *ctx, struct core *core, enum policy_act act, const char *managed, const struct managed_input *in,
                  struct policy_verdict *out);
/* policy_act_named reads "create"; POLICY_ACTS where it is none. */
enum policy_act policy_act_named(const char *word);

/* policy_check reads a document and, where it is sound, tries it on managed certificates as if each were asked for now: those after
 * `after` (an id), at most `limit`.  What the caller may see alone. */
struct policy_trial {
    const char *name, *team;
    struct policy_verdict verdict;
};
struct policy_checked {
    struct policy_problem *problems; /* core/policy_doc.h */
    size_t problems_n;
    struct policy_trial *touched; /* that it forbids, or asks approval for */
    size_t touched_n, looked;
    const char *next; /* NULL: that was all */
};
RC policy_check(struct ctx *ctx, struct core *core, const char *document, const char *after, int64_t limit,
                struct policy_checked *out);

#endif
