/* What the relay remembers of CAs from one job to the next: directories, nonces that are not used up, and orders that wait.
 *
 * All of it may be lost at any time (a relay that dies, a place that is taken by another): the CA is asked again.  Any thread. */
#ifndef AGENT_RELAY_MEMORY_H
#define AGENT_RELAY_MEMORY_H

#include "base/ctx.h"
#include "base/str.h"

struct relay_memory;
struct relay_memory *relay_memory_new(void); /* NULL: no memory */
void relay_memory_free(struct relay_memory *m);

/* Who was asked: a directory by one set of roots and networks. */
struct relay_ca {
    const void *client;
    const char *directory_url;
};

/* The directory as it was read, for DIRECTORY_FRESH_MS; *found is false where there is none. */
#define DIRECTORY_FRESH_MS (10 * 60 * 1000)
void relay_memory_directory(struct ctx *ctx, struct relay_memory *m, struct relay_ca ca, struct bytes *body, bool *found);
void relay_memory_keep_directory(struct relay_memory *m, struct relay_ca ca, struct bytes body);
void relay_memory_forget_ca(struct relay_memory *m, struct relay_ca ca); /* its nonces too */

/* A nonce that nobody has used, the newest first, at most NONCE_FRESH_MS old; NULL: none. */
#define NONCE_FRESH_MS (2 * 60 * 1000)
const char *relay_memory_nonce(struct ctx *ctx, struct relay_memory *m, struct relay_ca ca);
void relay_memory_keep_nonce(struct relay_memory *m, struct relay_ca ca, const char *nonce);
/* relay_memory_forget_nonces: after an answer that says that they are worth nothing. */
void relay_memory_forget_nonces(struct relay_memory *m, struct relay_ca ca);

/* An order that we have made or looked at, until it ends: its challenges that are to be answered, one place each in the lists. */
struct relay_known_order {
    struct str_list urls, authorization_urls, identifiers, types;
    bool said;      /* the CA was told that they are answered */
    unsigned round; /* how often it was looked at since */
};
bool relay_memory_order(struct ctx *ctx, struct relay_memory *m, const char *order_url, struct relay_known_order *out);
void relay_memory_keep_order(struct relay_memory *m, const char *order_url, const struct relay_known_order *o);
void relay_memory_forget_order(struct relay_memory *m, const char *order_url);

#endif
