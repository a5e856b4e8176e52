/* A policy document (docs/POLICY.md), read and asked.  No database here: whoever keeps it says which teams its names mean.
 *
 *     freezes   nothing is changed by hand while one is on
 *     rules     in order; the first that fits says allow, forbid or approve
 *     limits    what may be asked for: for everybody, or team by team, of which the nearest counts
 *
 * A rule that allows is an exception from the limits; one that asks for approval is not: nobody approves what a limit forbids. */
#ifndef CORE_POLICY_DOC_H
#define CORE_POLICY_DOC_H

#include "base/address.h"
#include "core/policy.h"

#define POLICY_TEXT_MAX     ((size_t)256 << 10)
#define POLICY_PROBLEMS_MAX 20
/* A renewal that is due is held back by no freeze in the last tenth of a certificate's life, nor in its last three days. */
#define POLICY_LAST_PART 10
#define POLICY_LAST_S    (3 * 86400)

struct policy_problem {
    int64_t line, column; /* from 1; 0: of the document as a whole */
    const char *words;
};

struct policy_doc;

/* policy_doc_read reads a document; an empty one allows everything.  What is wrong with it, at most POLICY_PROBLEMS_MAX, is put to
 * `problems` in ctx's arena; then `*out` is NULL.  Otherwise it is the caller's, to be given to policy_doc_drop. */
RC policy_doc_read(struct ctx *ctx, struct bytes text, struct policy_problem **problems, size_t *n, struct policy_doc **out);
/* Documents are shared by threads: the last one to drop it frees it. */
struct policy_doc *policy_doc_keep(struct policy_doc *doc);
void policy_doc_drop(struct policy_doc *doc);

/* What a document names, each once, and where it does first.  Teams have their place in policy_doc_bind's list. */
enum policy_noun { POLICY_TEAM, POLICY_ISSUER, POLICY_PROFILE, POLICY_ROLE, POLICY_NOUNS };
struct policy_named {
    const char *name;
    int64_t line, column;
};
void policy_doc_names(const struct policy_doc *doc, enum policy_noun noun, const struct policy_named **out, size_t *n);
/* policy_doc_bind says what the names of teams mean: an id each, in the order of policy_doc_names; NULL: nobody. */
void policy_doc_bind(struct policy_doc *doc, const char *const *ids);

/* What is asked, with all that a document can ask about. */
struct policy_facts {
    const struct policy_asked *asked;
    const char *const *teams; /* ids: the one whose it is, and those that it lies in, nearest first; the last holds everything */
    size_t teams_n;
    int64_t now; /* INT64_MIN: whatever the time, so that no freeze is on */
};
/* policy_doc_judge: `out` is in ctx's arena, and has no version. */
void policy_doc_judge(struct ctx *ctx, const struct policy_doc *doc, const struct policy_facts *f, struct policy_verdict *out);

#endif
