/* What issuers that are no ACME CA were asked for, and what they answered, on disk: an ACME order can be taken up again after a
 * crash, such a request cannot.  An answer is written down before it is told, and told again when the same job is done once more
 * (its agent was killed, or its lease had ended before the hub could be told); that one was asked and the answer was lost is said
 * at least, for the issuer may have issued a certificate that nobody has.
 *
 * A file a job beside the agent's results, as long as it may be needed (a week). */
#ifndef AGENT_ENROLL_JOURNAL_H
#define AGENT_ENROLL_JOURNAL_H

#include "agent/agent_config.h"
#include "wire/messages.h"

struct enroll_noted {
    int64_t asked_at; /* 0: never */
    bool answered;
    struct wire_relay_enroll_done answer;
};

/* enroll_journal_read finds what is noted of a job with this request; one with another was never asked. */
RC enroll_journal_read(struct ctx *ctx, const struct agent_config *cfg, const char *job, struct bytes csr,
                       struct enroll_noted *out);
/* enroll_journal_write notes it: durable when it returns. */
RC enroll_journal_write(struct ctx *ctx, const struct agent_config *cfg, const char *job, struct bytes csr,
                        const struct enroll_noted *noted);
/* enroll_journal_forget: the issuer was not reached, or refused. */
RC enroll_journal_forget(struct ctx *ctx, const struct agent_config *cfg, const char *job);

#endif
