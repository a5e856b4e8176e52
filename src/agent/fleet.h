/* Membership in the fleet of a hub on another host: the agent's key, its fleet certificate and the root of the fleet CA.
 *
 *     STATE/fleet/key.pem           made here, never leaves this host
 *     STATE/fleet/certificate.pem   renewed by the agent itself; what is enrolled is the key
 *     STATE/fleet/root.pem          what the hub's certificate is verified with */
#ifndef AGENT_FLEET_H
#define AGENT_FLEET_H

#include "agent/agent_config.h"
#include "base/secret.h"
#include "net/http_client.h"

struct fleet {
    const char *dir;
    struct bytes root_pem, chain_pem;
    struct secret key_pem;
    int64_t not_before, not_after; /* of the certificate */
};
void fleet_free(struct fleet *f);
#define FLEET_CLEANUP __attribute__((cleanup(fleet_free)))

/* fleet_open reads what `join` left; E_NOT_FOUND with the remedy where this host has not joined. */
RC fleet_open(struct ctx *ctx, const struct agent_config *cfg, struct fleet *out);
/* fleet_client makes the client that shows the certificate and believes the fleet CA alone. */
RC fleet_client(struct ctx *ctx, const struct fleet *f, struct http_client **out);
/* fleet_renew_due says whether it is time: a third of the lifetime is left, or the clock is outside of it. */
bool fleet_renew_due(const struct fleet *f, int64_t now);
/* fleet_renew asks the hub for another certificate and puts it in place of the old one; *f is then as fleet_open would read it. */
RC fleet_renew(struct ctx *ctx, struct fleet *f, struct http_client *http, const char *hub);

struct fleet_joined {
    const char *name, *state;
};
/* fleet_join makes a key where there is none, enrols it at `hub` ("https://host:port") with a join token, and keeps what comes
 * back. The token says which fleet CA the hub must belong to.  Safe to repeat: the same key joins once. */
RC fleet_join(struct ctx *ctx, const struct agent_config *cfg, const char *hub, struct bytes token, const char *name,
              struct fleet_joined *out);
/* fleet_undo_join takes away what a first join that the hub refused has left: its key, and folders that are empty then. */
void fleet_undo_join(struct ctx *ctx, const struct agent_config *cfg);

/* agent_platform names the system: "Linux 6.1.0 x86_64". */
const char *agent_platform(struct ctx *ctx);

#endif
