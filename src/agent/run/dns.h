/* Programs that change DNS: rows of agent.yaml's `dns` with a program, for providers that no description covers.  Started without a
 * shell, as the row's user, with a small environment of its own; a challenge's value is public, so arguments may hold it.
 *
 *     certwright  PROGRAM present|clean, on standard input {"name", "zone", "value", "domain"} as JSON, with a newline at its end;
 *                 PROGRAM test with {"zone"}
 *     lego        PROGRAM present|cleanup NAME. VALUE (lego's provider "exec")
 *     certbot     PROGRAM with CERTBOT_DOMAIN, CERTBOT_VALIDATION, CERTBOT_REMAINING_CHALLENGES=0 and CERTBOT_ALL_DOMAINS
 *                 (--manual-auth-hook); the clean-up hook gets CERTBOT_AUTH_OUTPUT besides
 *
 * Exit code 0 is success; what is printed is told as the story. */
#ifndef AGENT_RUN_DNS_H
#define AGENT_RUN_DNS_H

#include "agent/agent_config.h"
#include "wire/messages.h"

/* run_dns fails with E_NOT_GRANTED where agent.yaml does not grant the name; what the program did is in `out`. */
RC run_dns(struct ctx *ctx, const struct agent_config *cfg, const struct wire_run_dns *in, struct wire_run_done *out);

#endif
