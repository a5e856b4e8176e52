/* Configuration files as the output of a command: `read` of agent.yaml, for services that have no tool of their own to print all of
 * it.  run does it, for it may read the whole host but the agent's state. */
#ifndef AGENT_RUN_READ_H
#define AGENT_RUN_READ_H

#include "agent/agent_config.h"
#include "base/buf.h"

#define READ_FILES_MAX 2000
#define READ_DEPTH_MAX 10

/* read_files writes the text of each file to `out`, with the marks of agent/config_text.h between them; directives of `include` are
 * replaced by the files they name (patterns; relative ones are below the folder of the file they stand in).  A file that is not
 * there is left out, unless none is. */
RC read_files(struct ctx *ctx, const struct agent_reading *r, struct buf *out);

#endif
