/* The password of a key store that apply writes: on the host alone, in a file that agent.yaml's `paths` cover. */
#ifndef AGENT_APPLY_PASSWORD_H
#define AGENT_APPLY_PASSWORD_H

#include "agent/agent_config.h"
#include "base/secret.h"

#define PASSWORD_FILE_MAX 1024

/* password_read takes the first line of `path` (at most PASSWORD_FILE_MAX bytes in all).  A file that is not there (E_NOT_FOUND),
 * that others than its owner may read or write, or whose first line is empty (E_INVALID) is refused with the remedy. */
RC password_read(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct secret *out);
/* password_read_given does it for a path that agent.yaml itself names: it need not be below `paths`. */
RC password_read_given(struct ctx *ctx, const char *path, struct secret *out);

#endif
