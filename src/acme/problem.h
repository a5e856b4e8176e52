/* Problem documents of ACME servers (RFC 7807, RFC 8555 section 6.7): the CA's own words, made safe to show. */
#ifndef ACME_PROBLEM_H
#define ACME_PROBLEM_H

#include "base/json.h"

#define ACME_SUBPROBLEMS_MAX 100
#define ACME_TEXT_MAX        2048 /* bytes of one detail that are kept */

struct acme_subproblem {
    const char *type;       /* as in struct acme_problem */
    const char *detail;     /* "" where none */
    const char *identifier; /* "dns:www.example.org"; "" where none */
};

/* All-zero but for pointers is valid once acme_problem_init() was called. */
struct acme_problem {
    const char *type;   /* without "urn:ietf:params:acme:error:"; another URI as it stands; "" where none */
    const char *detail; /* "" where none */
    int status;         /* HTTP status that the document names, 0 where none */
    struct acme_subproblem *sub;
    size_t n_sub;
};

/* acme_problem_from_json reads a problem object; what it does not name stays empty.  Never fails: an object that is none yields an
 * empty problem.  Control characters become '?', details are cut at ACME_TEXT_MAX. */
void acme_problem_from_json(struct ctx *ctx, const json_t *obj, struct acme_problem *out);
/* acme_problem_parse does the same from the body of an answer; a body that is no JSON object (a proxy's page) yields an empty
 * problem with the first line of the body as detail. */
void acme_problem_parse(struct ctx *ctx, struct bytes body, struct acme_problem *out);
/* acme_problem_is compares the type: acme_problem_is(&p, "badNonce"). */
bool acme_problem_is(const struct acme_problem *p, const char *type);
/* acme_problem_put appends the whole as one line: "rateLimited: too many orders (dns:www.example.org: caa: …)". */
void acme_problem_put(struct buf *b, const struct acme_problem *p);
const char *acme_problem_text(struct ctx *ctx, const struct acme_problem *p);
/* acme_problem_err is the error that the problem means to us; `status` is that of the answer. */
enum err acme_problem_err(const struct acme_problem *p, int status);

#endif
