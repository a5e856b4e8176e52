/* HTTP requests and responses as handlers see them (RFC 9110), queries, and problem documents (RFC 9457). */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/ctx.h"

/* A header.  Names of requests and answers read by us are in lower case.  Values hold no control characters but tabs. */
struct http_header {
    const char *name;
    const char *value;
};
struct http_headers {
    struct http_header *v;
    size_t n, cap;
};
/* http_headers_get returns the first value of `name` (any case), or NULL. */
const char *http_headers_get(const struct http_headers *h, const char *name);
/* http_headers_add keeps the pointers given, the list itself is in the arena. */
void http_headers_add(struct arena *a, struct http_headers *h, const char *name, const char *value);

/* Who is on the other end. */
struct http_peer {
    const char *listener; /* the name of the listener that took the connection */
    const char *address;  /* "192.0.2.1"; "" on a Unix socket */
    uint16_t port;
    bool is_tls;
    bool is_unix;
    uid_t uid; /* of a Unix socket's peer when it connected (SO_PEERCRED); (uid_t)-1 elsewhere */
    gid_t gid;
    pid_t pid;
    struct bytes certificate;    /* DER of the TLS client certificate, empty where none came.  Possession of its key is proved. */
    bool certificate_verified; /* it chains to the roots of the listener's tls_server_ctx, its dates aside; false: trust nothing in
                                  it */
    const char *certificate_why; /* why not, for logs */
};

struct http_request {
    const char *method; /* as sent: "GET" */
    const char *target; /* request target as sent */
    const char *host;   /* of Host or the absolute target, with port if any, lower case; "" in HTTP/1.0 without */
    const char *path;   /* begins with '/', or is "*"; still percent-encoded, escapes checked; no "." or ".." segments, no %00 */
    struct bytes query; /* without '?', still encoded */
    struct http_headers headers;
    struct bytes body;
    struct http_peer peer;
    /* For a request that was parked (see http_server.h). */
    bool woken;               /* runs again because its key was woken */
    bool expired;             /* runs for the last time: its deadline came; parking again is an error */
    int64_t park_deadline_ms; /* the deadline it was parked with, 0 at the first run */
    const char *park_key;     /* the key it was parked on last, NULL at the first run */
};

/* http_request_header returns the first value of `name` (any case), or NULL. */
static inline const char *http_request_header(const struct http_request *r, const char *name)
{
    return http_headers_get(&r->headers, name);
}

struct http_response {
    int status; /* 200 until the handler says otherwise */
    struct http_headers headers;
    struct buf body;      /* in the ctx's arena, with the server's ceiling on responses */
    bool close;           /* close the connection after this response */
    const char *park_key; /* set by http_park() */
    int64_t park_deadline_ms;
    struct arena *arena;
    bool broken; /* a header that cannot be sent was added: the client gets 500 */
};

void http_response_init(struct http_response *r, struct arena *arena, size_t body_max);
/* http_response_header adds a header, copied.  Content-Length, Transfer-Encoding, Connection and Date are the server's own.  A name
 * that is not a token or a value with control characters breaks the response: it must not come from outside unchecked. */
void http_response_header(struct http_response *r, const char *name, const char *value);
/* http_response_json sets status and Content-Type: application/json; the body is then written to r->body. */
void http_response_json(struct http_response *r, int status);
const char *http_status_text(int status); /* "Not Found"; "" for one that is not known */

/* http_problem replaces the response by application/problem+json for a failure: type, title and status of errors.def, detail from
 * the ctx's trail, instance with the request's id, `field` and `retry_after` where the ctx has them (Retry-After too). */
#define HTTP_PROBLEM_TYPE "urn:certwright:problem:"
#define HTTP_REQUEST_URN  "urn:certwright:request:"
void http_problem(struct ctx *ctx, struct http_response *r, struct rc rc);
/* http_problem_acme does the same with the types of RFC 8555 section 6.7. */
void http_problem_acme(struct ctx *ctx, struct http_response *r, struct rc rc);

/* The parameters of a query or form, decoded. */
struct http_param {
    const char *name;
    const char *value; /* "" where there is no '=' */
};
struct http_params {
    struct http_param *v;
    size_t n;
};
#define HTTP_PARAMS_MAX 100
/* http_params_parse fails with E_INVALID on broken escapes, NUL, bytes that are not UTF-8, a name that comes twice, or more than
 * HTTP_PARAMS_MAX. */
RC http_params_parse(struct ctx *ctx, struct bytes query, struct http_params *out);
const char *http_params_get(const struct http_params *p, const char *name); /* NULL where absent */

#endif
