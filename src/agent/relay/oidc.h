/* The message relay_oidc: what an OpenID provider says of itself (OpenID Connect Discovery 1.0), its keys, and the exchange of an
 * authorization code for an ID token (OpenID Connect Core 1.0 section 3.1.3).  Nothing is believed here: the hub looks at the token
 * with the provider's keys. */
#ifndef AGENT_RELAY_OIDC_H
#define AGENT_RELAY_OIDC_H

#include "agent/relay/credential.h"
#include "base/address.h"
#include "wire/messages.h"

/* relay_oidc_run reaches what `grants` allow.  The client's secret goes to the hosts of its row of credentials alone.  Fails with
 * E_NOT_GRANTED, E_BAD_ANSWER (the provider says what it must not), E_UNAUTHENTICATED (it does not take the code). */
RC relay_oidc_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                  const struct address_grants *grants, const struct wire_relay_oidc *in, struct wire_relay_oidc_done *out);

/* relay_oidc_read reads a provider's configuration for `issuer`: for tests and fuzzing. */
RC relay_oidc_read(struct ctx *ctx, const char *issuer, struct bytes text, struct wire_relay_oidc_done *out);
/* relay_oidc_token takes the ID token out of what a token endpoint answered. */
RC relay_oidc_token(struct ctx *ctx, struct bytes text, const char **id_token);

#endif
