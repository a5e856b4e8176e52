/* The agent's side of its hands: who they are, and calls that outlive the death of one of them. */
#ifndef AGENT_HANDS_H
#define AGENT_HANDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/agent_config.h"
#include "agent/story.h"
#include "wire/messages.h"

#define HANDS_BUSY_MAX 128

struct hands {
    const struct agent_config *cfg;
    struct wire_peer *apply, *run, *probe, *relay; /* relay may be NULL in tests */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    const char *busy[HANDS_BUSY_MAX]; /* targets somebody works on; see hands_enter */
    size_t n_busy;
    atomic_bool noted; /* apply may hold notes of challenges to be looked after: at first, and after each job that makes some */
};

void hands_init(struct hands *h, const struct agent_config *cfg);
void hands_free(struct hands *h);

/* hands_call asks a hand.  Everything the agent asks can be asked again, so where the hand died or was replaced meanwhile it does,
 * until HANDS_PATIENCE_MS or the ctx's deadline. */
#define HANDS_PATIENCE_MS 60000
RC hands_call(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in, uint16_t reply_type, void *out);
#define HANDS_CALL(ctx, peer, message, in, reply, out) hands_call((ctx), (peer), WIRE_##message, (in), WIRE_##reply, (out))

/* hands_command starts a command of agent.yaml and fails with E_COMMAND_FAILED and its words unless it ended with 0. */
RC hands_command(struct ctx *ctx, struct hands *h, const char *name);
/* hands_output starts it and returns what it printed. */
RC hands_output(struct ctx *ctx, struct hands *h, const char *name, struct bytes *out);

/* hands_enter waits until nobody else works on `target`; hands_leave lets the next in.  `target` must live until then. */
RC hands_enter(struct ctx *ctx, struct hands *h, const char *target);
void hands_leave(struct hands *h, const char *target);

/* Where a certificate is served, and what was seen there. */
struct endpoint {
    const char *address;
    int port;
    const char *name;
    const char *starttls; /* "smtp", "imap" … (net/starttls.h); "": TLS from the start */
};
enum verdict { VERDICT_SERVED, VERDICT_UNTRUSTED, VERDICT_OTHER, VERDICT_UNREACHABLE, VERDICT_INSTALLED };
struct served {
    struct endpoint at;
    enum verdict verdict;
    struct bytes fingerprint; /* of the certificate shown */
    const char *detail;
};
const char *verdict_name(enum verdict v);

/* hands_read_endpoints reads a list of {address, port, name, starttls}; at most `max`. */
RC hands_read_endpoints(struct ctx *ctx, const json_t *list, size_t max, struct endpoint *out, size_t *n);
/* hands_prove shakes hands with each endpoint, again and again until it shows `fingerprint` several times
 * in a row or `wait_ms` are over (0: once).  What
 * was seen last is in `out`; true: all of them show it. */
RC hands_prove(struct ctx *ctx, struct hands *h, const struct endpoint *ends, size_t n, struct bytes fingerprint,
               const char *roots_pem,
               int64_t wait_ms, struct served *out, bool *all);
void hands_put_served(struct json_out *j, struct ctx *ctx, const struct served *v, size_t n);

/* Short forms of what a command said, for texts: control characters out, at most `max` bytes, the end kept. */
const char *words_of(struct ctx *ctx, struct bytes output, size_t max);

#endif
