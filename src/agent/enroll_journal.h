/* What issuers that are no ACME CA were asked for, and what they answered, on the relay's disk: an ACME order can be taken up again
 * after a crash, such a request cannot.  Each answer to a request that may change something is written down as it came, before it
 * is read, and what became of the whole before it is told to the agent: the same job done once more (its agent or this relay was
 * killed, its lease had ended before the hub could be told) asks for nothing a second time.  That a request was sent and its answer
 * never came to be on disk is said at least, for the issuer may have issued a certificate that nobody has.
 *
 * A file a job in the folder `enroll`, the relay's own (0600), as long as it may be needed (a week). */
#ifndef AGENT_ENROLL_JOURNAL_H
#define AGENT_ENROLL_JOURNAL_H

#include "agent/agent_config.h"
#include "net/http.h"
#include "wire/messages.h"

#define ENROLL_SAID_MAX  8                   /* answers kept of one job */
#define ENROLL_BODY_MAX  ((size_t)512 << 10) /* of one of them: certificates are smaller by far */

/* One answer. */
struct enroll_said {
    const char *request; /* which one: its place in the list, method and URL */
    int status;
    int64_t retry_after_s; /* -1: not said */
    struct http_headers headers;
    struct bytes body;
};

struct enroll_journal {
    const struct agent_config *cfg;
    const char *job, *hash; /* of the request: another one was never asked */
    const char *asking;     /* a request that was sent and whose answer is not here; "": none */
    struct enroll_said said[ENROLL_SAID_MAX];
    size_t n;
    bool answered;
    struct wire_relay_enroll_done answer;
};

/* enroll_journal_open finds what is noted of a job with this request, nothing where nothing is. */
RC enroll_journal_open(struct ctx *ctx, const struct agent_config *cfg, const char *job, struct bytes csr,
                       struct enroll_journal *out);
/* enroll_journal_find returns the answer to a request; NULL: there is none. */
const struct enroll_said *enroll_journal_find(const struct enroll_journal *j, const char *request);
/* Each is durable when it returns.  _asking: this will be sent now ("": it was not); what is older than a week goes.  _said: this
 * was answered (one that is too large is not kept, and would be lost).  _answered: all is done.  _forget: the issuer refused, and
 * issued nothing. */
RC enroll_journal_asking(struct ctx *ctx, struct enroll_journal *j, const char *request);
RC enroll_journal_said(struct ctx *ctx, struct enroll_journal *j, const struct enroll_said *said);
RC enroll_journal_answered(struct ctx *ctx, struct enroll_journal *j, const struct wire_relay_enroll_done *answer);
RC enroll_journal_forget(struct ctx *ctx, struct enroll_journal *j);

#endif
