/* The part of a target without an agent on its host: apply writes no file for it, but keeps its journal and seals what the relay is
 * to send.  agent/push_seal.h says how. */
#ifndef AGENT_APPLY_PUSH_H
#define AGENT_APPLY_PUSH_H

#include "agent/apply/stage.h"

/* push_stage prepares a stage whose connector has a section `relay`: a key of its own for what is to be kept. */
RC push_stage(struct ctx *ctx, const struct stage_wish *wish, struct stage *out);
/* push_journal_put and push_journal_get write and read the member "relay" of the journal's line. */
void push_journal_put(struct json_out *j, const struct stage *s);
RC push_journal_get(struct ctx *ctx, const json_t *line, struct stage *out);

/* push_sealed seals to `public` what `kept` holds and, where asked, the contents that the description's install names. */
RC push_sealed(struct ctx *ctx, const struct agent_config *cfg, const struct target_ref *ref, const struct stage *s,
               struct bytes kept, bool contents, struct bytes public, struct bytes *out);

#endif
