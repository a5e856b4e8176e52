/* Descriptions of channels: how one notification is told to a service over HTTPS, as data (channels/NAME.yaml, root-owned).
 *
 *     channel: example
 *     description: Example chat
 *     parameters:                          # as of connectors without an agent on their host; at least one credential
 *       token: {type: credential, required: true, description: …}
 *     notify:
 *       base: "{server}"
 *       auth: {family: bearer, token: "{token}"}
 *       send: [steps]
 *
 * The steps are those of agent/push_desc.h.  Names in them are listed in docs/ALERTS.md: {id}, {key}, {subject}, {text} …  Texts
 * in `json` bodies are written as JSON, whatever they hold.  A closed schema: anything else is refused with file, line and reason.
 * The hub sends only values of the parameters. */
#ifndef AGENT_CHANNEL_DESC_H
#define AGENT_CHANNEL_DESC_H

#include "agent/push_desc.h"

struct channel_desc {
    struct connector channel; /* name, description and parameters; relay: base and auth, without steps */
    struct push_step *send;
    size_t n_send;
};

/* channel_desc_parse reads a description; `file` is for messages. */
RC channel_desc_parse(struct ctx *ctx, const char *file, struct bytes text, struct channel_desc *out);
/* channel_desc_load reads that of `name` from agent.yaml's folder of them. */
RC channel_desc_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct channel_desc *out);

#endif
