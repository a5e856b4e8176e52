/* Results and errors.
 *
 * A function that can fail returns struct rc and is declared with RC, so that the compiler refuses a result nobody looks at.
 * The result holds one code of base/errors.def; what happened, to what, and the other side's words go to the trail of the
 * struct ctx (base/ctx.h).  Data never travels in the result. */
#ifndef BASE_RC_H
#define BASE_RC_H

#include <stdbool.h>

enum err {
#define ERROR(name, word, category, retryable, http, acme, exit, text) E_##name,
#include "base/errors.def"
#undef ERROR
    E_COUNT
};

enum err_category { CAT_NONE, CAT_INPUT, CAT_ACCESS, CAT_STATE, CAT_PEER, CAT_RESOURCE, CAT_BUG };

/* One row of errors.def. */
struct err_info {
    const char *name;          /* "not_found": log code and the last part of the problem type */
    enum err_category category;
    bool retryable;            /* whether the same call may succeed later without anybody changing anything */
    int http;                  /* HTTP status (RFC 9110) */
    const char *acme;          /* ACME problem type without its prefix (RFC 8555 section 6.7) */
    int exit;                  /* exit code of the command line */
    const char *text;          /* what it means, for people */
};

struct rc {
    enum err e;
};

#define RC __attribute__((warn_unused_result)) struct rc
#define RC_OK ((struct rc){E_OK})

static inline bool rc_failed(struct rc rc) { return rc.e != E_OK; }
static inline bool rc_ok(struct rc rc) { return rc.e == E_OK; }
static inline struct rc rc_of(enum err e) { return (struct rc){e}; }

/* err_info returns the row of `e`; never NULL (a code out of range yields that of E_BUG). */
const struct err_info *err_info(enum err e);

/* err_by_name returns the code whose name is `name`, or E_BUG where there is none: for codes that travelled as text. */
enum err err_by_name(const char *name);

/* TRY leaves the function with the result of `expr` unless it succeeded. */
#define TRY(expr)                      \
    do {                               \
        struct rc try_rc_ = (expr);    \
        if (rc_failed(try_rc_))        \
            return try_rc_;            \
    } while (0)

#endif
