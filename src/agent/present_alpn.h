/* tls-alpn-01 (RFC 8737): the probe answers on the address and port of tls_alpn in agent.yaml. */
#ifndef AGENT_PRESENT_ALPN_H
#define AGENT_PRESENT_ALPN_H

#include "agent/hands.h"
#include "agent/story.h"

#define METHOD_TLS_ALPN "tls-alpn-01"

/* present_alpn puts the answer in place, on record first; `identifier` is "dns:…" or "ip:…".  present_clean() takes it away. */
RC present_alpn(struct ctx *ctx, struct hands *h, struct story *story, const char *identifier, const char *token,
                const char *key_authorization);
/* present_alpn_again lets the probe answer what is on record. */
RC present_alpn_again(struct ctx *ctx, struct hands *h, const char *identifier, const char *token, const char *key_authorization);

#endif
