/* How everything is: one sentence, then a problem a line with the command that mends it. */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include "core/core.h"

struct status_problem {
    const char *object; /* what has it: the name of a managed certificate, an issuer, an agent, "hub" */
    const char *text;   /* a sentence */
    const char *remedy; /* a command, or what to do */
};

struct status {
    const char *text;
    struct status_problem *problems;
    size_t n;
    size_t agents_silent; /* of the problems */
};

/* core_status looks at what is bad, never at everything: its cost does not grow with the inventory. */
RC core_status(struct ctx *ctx, struct core *core, struct status *out);

#endif
