/* The messages relay_live_key and relay_ldap: somebody who signs in is looked for in a directory (net/directory.h), and their
 * password is shown to it.  The password comes sealed to a key that lives as long as this relay: nobody between the hub and here
 * sees it. */
#ifndef AGENT_RELAY_LDAP_H
#define AGENT_RELAY_LDAP_H

#include "agent/relay/credential.h"
#include "base/address.h"
#include "wire/messages.h"

struct relay_live_key;
struct relay_live_key *relay_live_key_new(void);
void relay_live_key_free(struct relay_live_key *k); /* NULL is fine */
RC relay_live_key_give(struct ctx *ctx, struct relay_live_key *k, struct wire_relay_live_key_is *out);

/* relay_ldap_run connects to hosts that both `grants` and the row of credentials allow.  Fails with E_NOT_GRANTED, E_UNREACHABLE,
 * E_TLS, E_CRYPTO (sealed to a relay that is no more), and with what the directory says of a question that it does not take. */
RC relay_ldap_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files, struct relay_live_key *key,
                  const struct address_grants *grants, const struct wire_relay_ldap *in, struct wire_relay_ldap_done *out);

#endif
