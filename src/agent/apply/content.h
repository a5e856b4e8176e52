/* What a file of a target may hold: contents made from the chain, the key and the roots; and the leaf found in what was there. */
#ifndef AGENT_APPLY_CONTENT_H
#define AGENT_APPLY_CONTENT_H

#include "agent/connector.h"
#include "base/secret.h"
#include "pki/chain.h"
#include "pki/key.h"

/* What contents are made of.  Free with content_parts_free(); all-zero is fine. */
struct content_parts {
    struct cert_chain chain; /* leaf first */
    struct bytes leaf, rest, key_pem, roots; /* PEM */
    struct key *key; /* NULL: it is with whoever made the request */
};
void content_parts_free(struct content_parts *p);
#define CONTENT_PARTS_CLEANUP __attribute__((cleanup(content_parts_free)))

/* content_make makes one, in the arena.  `password` and `alias` (NULL: "certwright") are for what is under a password.  E_INVALID
 * where the content holds the key and it is elsewhere.  The same parts and password make the same bytes (pki/container.h). */
RC content_make(struct ctx *ctx, const struct content_parts *p, enum connector_content what, const struct secret *password,
                const char *alias, struct bytes *out);
/* content_leaf finds the fingerprint of the leaf in a file that was there: `out` is empty where it holds none, where `what` has
 * none, or where another password than `password` (may be NULL) guards it. */
void content_leaf(struct ctx *ctx, enum connector_content what, struct bytes old, const struct secret *password, struct bytes *out);

#endif
