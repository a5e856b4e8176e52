/* Live questions: what somebody waits for at the hub while the relay of this host asks (openapi: AgentLive).  They are in memory
 * alone, and what is secret in them is sealed to the relay: this role carries what it cannot open. */
#ifndef AGENT_LIVE_H
#define AGENT_LIVE_H

struct agent; /* exchange.h */

/* live_begin has a thread wait for them from now on, for the life of the process; the agent's lock is held.  Once is enough. */
void live_begin(struct agent *a);

#endif
