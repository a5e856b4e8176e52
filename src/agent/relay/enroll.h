/* The message relay_enroll: a request becomes a certificate at an issuer that a description says how to speak with
 * (agent/enroll_desc.h).  What it returns is checked as an ACME CA's chain is, and put in order. */
#ifndef AGENT_RELAY_ENROLL_H
#define AGENT_RELAY_ENROLL_H

#include "agent/relay/credential.h"
#include "wire/messages.h"

/* relay_enroll_run fails with E_NOT_GRANTED, E_ISSUER_REFUSED (in the issuer's words), E_BAD_CERTIFICATE, E_BAD_ANSWER. */
RC relay_enroll_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                    const struct wire_relay_enroll *in, struct wire_relay_enroll_done *out);

#endif
