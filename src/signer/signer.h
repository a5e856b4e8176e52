/* The role `signer`: holds the keys, applies its own ceilings, and has no network (invariant 3).
 *
 * Asked over wire by the hub (peer "hub"), and by CA officers on its own socket (listener "officer"; user ids 0 and officer_uid of
 * SO_PEERCRED).  The key-encryption key comes on the credential "kek": 32 bytes, or 64 hex digits.  Its configuration is JSON:
 *
 *     {"state": "/var/lib/certwright/signer", "officer_uid": 1000, "blocklists": "/usr/share/certwright/blocklists"}
 *
 * officer_uid (default: only root) and blocklists (a folder with lists of weak keys, pki/weak.h) may be absent. */
#ifndef SIGNER_SIGNER_H
#define SIGNER_SIGNER_H

#include "os/role.h"

#define SIGNER_LISTENER   "officer"
#define SIGNER_CREDENTIAL "kek"

struct signer_settings {
    const char *state, *blocklists; /* blocklists: NULL where absent */
    uid_t officer;
};
RC signer_settings_read(struct ctx *ctx, struct bytes json, struct signer_settings *out);

/* The role's row: confine and enter of struct role. */
RC signer_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb);
RC signer_run(struct ctx *ctx, struct role_env *env);

struct signer;
/* signer_serve is the role's work without the role, for tests: answers until the server is stopped. */
RC signer_serve(struct ctx *ctx, struct signer *s, struct wire_server *server);

#endif
