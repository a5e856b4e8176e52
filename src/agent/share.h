/* Keys that several hosts share, as the agent sees them: it carries what only apply can open. */
#ifndef AGENT_SHARE_H
#define AGENT_SHARE_H

#include "agent/hands.h"
#include "base/json.h"

/* share_put_key tells the public half of this host's sealing key ("seal_key"); without a word where apply has none. */
void share_put_key(struct ctx *ctx, struct hands *h, struct json_out *j);
/* share_seal does the job `seal`: the key of an attempt, sealed to each receiver. */
RC share_seal(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member);
/* share_open gives apply the key that a deployment brought along ("sealed_key"), where it did. */
RC share_open(struct ctx *ctx, struct hands *h, const char *attempt, const json_t *deploy);

#endif
