/* The message relay_dns for provider "rfc2136": a DNS server that takes updates signed with a key (RFC 2136, RFC 8945), BIND, Knot,
 * PowerDNS and others.  Parameters:
 *
 *     server     host, host:port or address of the zone's primary server; port 53
 *     key        name of the TSIG key
 *     algorithm  hmac-sha256 (default), hmac-sha224, hmac-sha384, hmac-sha512
 *     secret     credential of agent.yaml: the key in base64; its row names the server, e.g. hosts: ["ns1.example.org:53"]
 *     ttl        of the records, in seconds; 60
 *
 * An update names the one value that it adds or deletes, so others are never touched. */
#ifndef AGENT_RELAY_RFC2136_H
#define AGENT_RELAY_RFC2136_H

#include "agent/relay/credential.h"
#include "base/address.h"
#include "wire/messages.h"

#define RFC2136 "rfc2136" /* name of the row in agent.yaml */

/* rfc2136_run fails with E_NOT_GRANTED where agent.yaml does not grant the name, the credential or the server, and E_BAD_ANSWER
 * where the server refuses, with its word for it and the remedy. */
RC rfc2136_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
               const struct address_grants *grants, const struct wire_relay_dns *in, struct wire_relay_dns_done *out);

#endif
