/* Keys on their way between hosts: sealed where they were made, opened where they are served (HPKE, RFC 9180).
 *
 * This host's sealing key is state_dir/keys/seal.x25519 (0600): 32 bytes, made once, never told.  What is sealed is the PKCS #8 of
 * a key, with the SHA-256 of its SubjectPublicKeyInfo as associated data; `info` is "certwright shared key v1" and, each with its
 * length, installation, certificate, attempt and receiving agent, so that it opens for nothing else. */
#ifndef AGENT_APPLY_SHARING_H
#define AGENT_APPLY_SHARING_H

#include "agent/agent_config.h"
#include "base/bytes.h"
#include "base/ctx.h"

struct sharing {
    const char *installation, *certificate, *attempt, *agent;
    struct bytes spki_sha256;
};

/* sharing_public returns the public half of this host's sealing key. */
RC sharing_public(struct ctx *ctx, const struct agent_config *cfg, struct bytes *out);
/* sharing_seal seals the key of an attempt that is on this host.  E_NOT_GRANTED where agent.yaml does
 * not say share_keys, E_NOT_FOUND where the key is not here, E_INVALID where it is another one. */
RC sharing_seal(struct ctx *ctx, const struct agent_config *cfg, const struct sharing *s, struct bytes seal_key, struct bytes *out);
/* sharing_open opens what was sealed to this host and keeps the key in the key store.  E_CRYPTO where it was sealed to another key
 * or for something else, E_BAD_ANSWER where what is inside is not the key that is meant. */
RC sharing_open(struct ctx *ctx, const struct agent_config *cfg, const struct sharing *s, struct bytes sealed);

#endif
