/* The engine of targets without an agent on their host: does the steps of a description's section `relay` (agent/push_desc.h) over
 * HTTPS or SSH.
 *
 * A session is one look, one installation or one undoing.  It holds every value that templates may name, in memory that is wiped
 * when it ends: credentials, the new certificate's contents, what answers said.  Answers come from outside: all have ceilings, and
 * nothing they say changes where a request goes without the same checks.  A request goes only to hosts that agent.yaml binds to
 * every credential the session uses (E_NOT_GRANTED), and to addresses that are public or granted (E_ADDRESS_REFUSED). */
#ifndef AGENT_RELAY_PUSH_H
#define AGENT_RELAY_PUSH_H

#include "agent/agent_config.h"
#include "agent/push_desc.h"
#include "base/secret.h"
#include "net/http_client.h"

#define PUSH_BODY_MAX    ((size_t)2 << 20) /* of a request and of an answer */
#define PUSH_VALUE_MAX   ((size_t)2 << 20) /* of one value */
#define PUSH_VALUES_MAX  256
#define PUSH_HEADERS_MAX 32
#define PUSH_HEADER_MAX  16384 /* of a header's value */

/* A request before it is sent: expanded, not signed.  `method`, `url` and names live in the ctx's arena; header values and body are
 * secret and live in the session. */
struct push_request {
    const char *method;
    const char *url;  /* https: absolute, with query.  ssh: the path (READ, WRITE), the command line (RUN) */
    const char *mode; /* ssh WRITE; NULL: not given */
    struct http_header headers[PUSH_HEADERS_MAX];
    size_t n_headers;
    struct bytes body;
    bool has_body; /* an empty body is sent too */
};

struct push_answer {
    int status;                         /* https: of HTTP; ssh: exit code, 404 for READ of a file that is not there */
    const struct http_headers *headers; /* NULL: none */
    struct bytes body;
    int64_t retry_after_s; /* -1: not said */
};

struct push_session;

/* A family of authentication.  Everything is called by one thread at a time. */
struct push_auth {
    const char *name; /* as in descriptions */
    /* Before the first request: logs in, asks for a token.  May use push_send(), push_get(), push_keep().  NULL: nothing to do. */
    RC (*prepare)(struct ctx *ctx, struct push_session *s);
    /* Adds what proves who we are: push_header(), or a changed URL.  The last thing done to a request.  NULL: nothing. */
    RC (*sign)(struct ctx *ctx, struct push_session *s, struct push_request *r);
    /* The answer was 401: *again says whether it is worth signing and sending once more (asked once a request).  NULL: it is not.
     */
    RC (*refused)(struct ctx *ctx, struct push_session *s, const struct push_answer *a, bool *again);
    /* At the end of the session: logs out; a failure changes nothing.  NULL: nothing to do. */
    RC (*leave)(struct ctx *ctx, struct push_session *s);
};
/* push_auth_find returns the family of this name, NULL where there is none (agent/relay/auth.c, made from auth.def). */
const struct push_auth *push_auth_find(const char *name);

/* A way to the other side.  open() is called before the first send(); close() always, after what leave() does. */
struct push_transport {
    const char *name;
    RC (*open)(struct ctx *ctx, struct push_session *s);
    RC (*send)(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out);
    void (*close)(struct push_session *s);
    /* How a template's value stands in `path`: percent-encoded for https; as it is, or quoted as one word of a command line (RUN),
     * for ssh.  Refuses what cannot be said (E_INVALID). */
    RC (*put_value)(struct ctx *ctx, const char *method, struct bytes value, struct buf *out);
};
extern const struct push_transport push_https, push_ssh;

/* --- what families and transports may use */

/* push_setting returns the expanded setting of `auth` or of the transport's own (host, port, user, host_key); empty where it is not
 * given.  Secret, lives as long as the session. */
struct bytes push_setting(const struct push_session *s, const char *name);
/* push_clock_s is the time to sign with (seconds since 1970 UTC). */
int64_t push_clock_s(const struct ctx *ctx);
/* push_keep stores a value of the family's own, as "auth.NAME" in templates; the same name again replaces it.  push_get finds any
 * value by its name in templates ("auth.sid", "before.version", "token"); false where there is none. */
RC push_keep(struct ctx *ctx, struct push_session *s, const char *name, struct bytes value);
bool push_get(const struct push_session *s, const char *name, struct bytes *out);
/* push_room returns a buffer of the session's, wiped when it ends: for anything secret that is built. */
struct buf *push_room(struct push_session *s, size_t max);
/* push_header adds a header; refuses values with control characters (E_INVALID). */
RC push_header(struct ctx *ctx, struct push_session *s, struct push_request *r, const char *name, struct bytes value);
/* push_repeats_secret says whether a text of the other side holds a credential, or another secret of the session, as it stands. */
bool push_repeats_secret(const struct push_session *s, struct bytes text);
/* push_send sends a request as it is, not signed: hosts and addresses are checked as for any other. */
RC push_send(struct ctx *ctx, struct push_session *s, const struct push_request *r, struct push_answer *out);
/* push_steps runs steps of the description (session-login): what they read becomes "PREFIX.NAME". */
RC push_steps(struct ctx *ctx, struct push_session *s, const struct push_step *steps, size_t n, const char *prefix);
/* push_check_host fails with E_NOT_GRANTED unless every credential of the session may be sent to this host and port. */
RC push_check_host(struct ctx *ctx, const struct push_session *s, const char *host, uint16_t port);
/* push_check_path fails with E_NOT_GRANTED unless a credential of the session may open this file of the host's. */
RC push_check_path(struct ctx *ctx, const struct push_session *s, const char *path);
/* push_grants: which private networks may be reached. */
struct address_grants push_grants(const struct push_session *s);
/* The transport's own state, kept between open() and close(). */
void push_set_state(struct push_session *s, void *state);
void *push_state(const struct push_session *s);
const struct push_desc *push_description(const struct push_session *s);
struct http_client *push_http(const struct push_session *s);

/* --- sessions */

/* What the relay holds for all pushes: which credentials there are. */
struct push_host;

struct push_wish {
    const struct connector *description; /* of a DNS provider (agent/dns_desc.h), read already: it has no certificate; else NULL */
    const char *connector, *parameters; /* JSON object of strings */
    const char *target, *deployment;
    struct bytes fingerprint, serial; /* of the certificate that is to be there; empty: not known */
};

/* What `see` found. */
struct push_seen {
    enum { PUSH_ABSENT, PUSH_NEW, PUSH_PREVIOUS, PUSH_OTHER } state; /* PREVIOUS only where `before` was given */
    struct bytes fingerprint;                                        /* SHA-256 of the leaf there; empty where it is not known */
    const char *what; /* in words: "SHA-256 ab12…", "serial 01ff", "no certificate" */
};

/* push_open reads the description and the credentials, logs in.  push_close logs out and wipes.  `secrets` of push_open holds what
 * push_load() makes of it: contents of the new certificate and what see read before. */
RC push_open(struct ctx *ctx, const struct push_host *host, const struct push_wish *wish, struct push_session **out);
void push_close(struct ctx *ctx, struct push_session *s); /* NULL is fine */
#define PUSH_SEALED_MAX ((size_t)256 << 10)
/* push_load takes {"identity": {…}, "before": {name: base64}, "contents": {word: base64}} as the agent's hand `apply` keeps it. */
RC push_load(struct ctx *ctx, struct push_session *s, struct bytes json);
/* push_save writes what the newest see read, as push_load() takes it, without contents. */
RC push_save(struct ctx *ctx, struct push_session *s, struct buf *out);

RC push_see(struct ctx *ctx, struct push_session *s, struct push_seen *out);
/* push_install does the steps of `install`; E_CHANGED where an answer said that somebody changed it since see.  push_undo those of
 * `undo`, after push_see(). */
RC push_install(struct ctx *ctx, struct push_session *s);
RC push_undo(struct ctx *ctx, struct push_session *s, const struct push_seen *now);

#endif
