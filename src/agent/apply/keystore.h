/* Keys that were made on this host, or sealed to it by the one that made them (sharing.h): state_dir/keys, 0600, a file for each
 * attempt, with the request where it was made here. */
#ifndef AGENT_APPLY_KEYSTORE_H
#define AGENT_APPLY_KEYSTORE_H

#include "agent/agent_config.h"
#include "pki/digest.h"
#include "pki/key.h"

struct keystore_wish {
    const char *attempt;
    const char *key_kind;
    const char *const *names;
    size_t n_names;
    const char *common_name; /* NULL or "": empty subject */
    const char *reuse_attempt; /* whose key is to be taken again, where it is here and of that kind; NULL or "": a new one */
};

/* keystore_make makes the key of an attempt and its request, both on disk before it returns; again: the same two. */
RC keystore_make(struct ctx *ctx, const struct agent_config *cfg, const struct keystore_wish *wish, struct bytes *csr,
                 uint8_t spki_sha256[SHA256_LEN]);
/* keystore_load reads the key of an attempt; E_NOT_FOUND says that it was made elsewhere or forgotten. */
RC keystore_load(struct ctx *ctx, const struct agent_config *cfg, const char *attempt, struct key **out);
/* keystore_put keeps a key that came from another host under its attempt; one that is there stays. */
RC keystore_put(struct ctx *ctx, const struct agent_config *cfg, const char *attempt, const struct key *key);
RC keystore_forget(struct ctx *ctx, const struct agent_config *cfg, const char *attempt);

#endif
