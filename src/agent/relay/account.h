/* The account at an ACME CA (RFC 8555 section 7.3): what the CA says of it, another key or account, its end. */
#ifndef AGENT_RELAY_ACCOUNT_H
#define AGENT_RELAY_ACCOUNT_H

#include "agent/relay/session.h"

/* relay_account_run does one verb on an open session.  E_ACCOUNT with the CA's words where it no longer accepts the account;
 * E_NOT_FOUND where it knows none of this key. */
RC relay_account_run(struct ctx *ctx, struct relay_session *s, const struct wire_relay_acme_account *in,
                     struct wire_relay_acme_account_done *out);

/* relay_account_look reads the account of the session. */
RC relay_account_look(struct ctx *ctx, struct relay_session *s, struct acme_account *out);
/* relay_account_blame finds out whether a failure that the CA calls unauthorized is one of the account as a whole, and then makes
 * it E_ACCOUNT. */
RC relay_account_blame(struct ctx *ctx, struct relay_session *s, struct rc rc);

#endif
