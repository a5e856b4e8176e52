/* Answering http-01 challenges from this host (RFC 8555 section 8.3): jobs "present" and "clean". */
#ifndef AGENT_PRESENT_H
#define AGENT_PRESENT_H

#include "agent/hands.h"

/* present_run puts the answer in place and, through nginx, waits until nginx gives it.  Again for the same token: begins anew. */
RC present_run(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body);
/* present_clean takes it away; where there is none that is a success. */
RC present_clean(struct ctx *ctx, struct hands *h, struct story *story, const char *token);
/* present_restore brings the listener's answers back into a probe that was started anew, and takes away what has stood for more
 * than
 * a day.  `*listening`: how many the listener has; `*kept`: how many there are. */
RC present_restore(struct ctx *ctx, struct hands *h, size_t *listening, size_t *kept);

#endif
