/* ACME orders (RFC 8555 section 7.4), from whatever state they are in. */
#ifndef AGENT_RELAY_ORDER_H
#define AGENT_RELAY_ORDER_H

#include "agent/relay/session.h"

/* relay_order_run does one phase of an order; see wire/relay.def.  `s` is open. */
RC relay_order_run(struct ctx *ctx, struct relay_session *s, const struct wire_relay_order *in, struct wire_relay_order_done *out);

#endif
