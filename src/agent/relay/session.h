/* One job's conversation with an ACME server (RFC 8555 section 6): nonces, signed requests, retries, URLs that are checked. */
#ifndef AGENT_RELAY_SESSION_H
#define AGENT_RELAY_SESSION_H

#include "acme/objects.h"
#include "agent/relay/memory.h"
#include "net/http_client.h"
#include "base/uri.h"
#include "wire/messages.h"

/* How the relay asks the agent; replaced in tests. */
struct relay_agent {
    /* sign returns the body of the request that `in` describes. */
    RC (*sign)(struct ctx *ctx, void *arg, const struct wire_relay_sign *in, const char **body);
    void (*progress)(struct ctx *ctx, void *arg, const struct wire_relay_progress *in);
    void *arg;
};

struct relay_session {
    struct http_client *http;
    const struct relay_agent *agent;
    struct relay_memory *memory; /* NULL: nothing is remembered */
    const char *job;
    int64_t fence;
    const char *directory_url;
    struct uri origin; /* of the directory: every URL that the CA names must have the same */
    struct acme_directory directory;
    const char *account_url, *order_url, *finalize_url; /* NULL until known */
    const char *nonce;                                  /* NULL: ask for one */
    struct acme_problem problem;                        /* of the last answer that was one */
    int status;                                         /* of the last answer */
};

#define SESSION_BODY_MAX ((size_t)256 << 10)
/* A CA that rejects every second nonce (Pebble can be told to) refuses twenty in a row once in a million requests. */
#define SESSION_NONCES_MAX 20
#define SESSION_TRIES_MAX  4

/* relay_open fetches the directory, where it is not remembered.  The fields up to directory_url are the caller's. */
RC relay_open(struct ctx *ctx, struct relay_session *s);
/* relay_close remembers the nonce that is left; after a failure the directory is forgotten. */
void relay_close(struct relay_session *s, struct rc how);
/* relay_check_url refuses a URL that is not https, too long, or at another host than the directory (E_BAD_ANSWER): account keys
 * are pinned to that host. */
RC relay_check_url(struct ctx *ctx, const struct relay_session *s, const char *what, const char *url);

/* relay_post sends one signed request; `req` says what (job, fence, nonce and kid are filled in here).  A nonce that is refused is
 * replaced; 5xx answers and lost connections are tried again within limits and the deadline (not `finalize` that was lost on its
 * way: the order's state tells what came of it); what the CA asks us to wait is waited for where it is short, else left in
 * ctx->retry_after_s.  Any other failure is told with the CA's own words, `what` in front; s->problem then says which. */
RC relay_post(struct ctx *ctx, struct relay_session *s, struct wire_relay_sign *req, const char *what, struct http_answer *out);
/* relay_fetch is POST-as-GET (section 6.3); relay_get an unsigned GET. */
RC relay_fetch(struct ctx *ctx, struct relay_session *s, const char *url, const char *what, struct http_answer *out);
RC relay_get(struct ctx *ctx, struct relay_session *s, const char *url, const char *what, struct http_answer *out);

/* relay_account finds or makes the account where its URL is not known (section 7.3). */
RC relay_account(struct ctx *ctx, struct relay_session *s, struct wire_texts contacts, bool terms_agreed);
/* relay_account_find asks for the account of the key, or of the key that shall follow, and makes none (section 7.3.1).  *found is
 * false where the CA knows none; then s->account_url is as before. */
RC relay_account_find(struct ctx *ctx, struct relay_session *s, bool next_key, bool *found);
/* relay_account_refused says whether the last failure was one of the account: deactivated, revoked or unknown (section 7.3.6). */
bool relay_account_refused(const struct relay_session *s);

/* relay_wait sleeps; E_TIMEOUT where the deadline comes first. */
RC relay_wait(struct ctx *ctx, int64_t ms);
/* relay_poll_ms says how long until the next look: what the CA said, or longer each time; relay_poll_wait sleeps so long. */
int64_t relay_poll_ms(const struct http_answer *last, unsigned round);
RC relay_poll_wait(struct ctx *ctx, const struct http_answer *last, unsigned round);
void relay_tell(struct ctx *ctx, struct relay_session *s, const char *step, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
