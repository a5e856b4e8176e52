/* The HTTP server: loop threads do the I/O, handlers run as straight-line blocking code on workers that are started when needed.
 *
 * Memory that a request, its answer or its handler's arena lay in is wiped when it is given back: cookies, tokens and passwords
 * come this way.
 *
 * A connection belongs to one loop.  Each phase has an absolute deadline that no byte extends.  A request that has to wait parks:
 *     static struct rc poll_job(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp) {
 *         if (find_job(...)) return answer(...);
 *         if (req->expired) { resp->status = 204; return RC_OK; }
 *         return http_park(resp, "jobs:agent-7", req->woken ? req->park_deadline_ms : clock_mono_ms() + 30000);
 *     }
 * A parked request holds no thread.  http_wake() runs the handlers of all requests parked on a key again; a wake that comes after
 * a handler was started is never lost: should the handler then park on that key, it is run again at once.  So the order is: change
 * the data, commit, wake; and in the handler: look at the data, park. */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "net/http.h"
#include "net/tls.h"

struct http_server;

#define HTTP_STRANGER_BODY_MAX ((uint64_t)64 << 10)

enum http_listener_kind { HTTP_LISTENER_TLS, HTTP_LISTENER_PLAIN, HTTP_LISTENER_UNIX };

struct http_listener {
    const char *name;
    int fd; /* listening already; owned by the server from a successful start on */
    enum http_listener_kind kind;
    uint64_t body_max;           /* ceiling of a request's body; 0: 1 MiB */
    /* TLS: ask, do not insist; handlers look at request->peer.certificate_verified.  Who shows none that verifies is a stranger:
     * may send HTTP_STRANGER_BODY_MAX at most, is let go after one answer, and has strangers_per_address connections. */
    bool ask_client_certificate;
    bool take_client_certificate; /* TLS: ask as well, but who shows none is as everybody */
};

/* A handler fills in the response or fails; a failure becomes a problem document.  It is called on any worker.  ctx has a fresh
 * request id and the handler's deadline; everything in its arena is gone when the response is built. */
typedef struct rc http_handler(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp);

/* All-zero fields take the values given here. */
struct http_server_config {
    const struct http_listener *listeners;
    size_t listeners_n;
    http_handler *handler;
    void *arg;
    const struct clock *clock;        /* clock_system */
    struct tls_server_ctx *tls;       /* needed with a TLS listener; the server takes its own reference */
    unsigned loops;                   /* 1 */
    unsigned workers_max;             /* 32 */
    unsigned connections_max; /* 10,000 over all listeners, never more than descriptors allow; an eighth for Unix sockets alone */
    unsigned connections_per_address; /* 1,000; an IPv6 /64 counts as one; Unix sockets are not counted */
    unsigned strangers_per_address;   /* of those, without a client certificate (ask_client_certificate); 1,000 */
    unsigned queue_max;               /* 4,096 requests that wait for a worker, then 503 */
    size_t head_max;                  /* 16 KiB */
    size_t response_max;              /* 64 MiB */
    int64_t hello_ms;                 /* 5,000: TLS handshake */
    int64_t head_ms;                  /* 10,000 */
    int64_t body_ms;                  /* 30,000, and a second more for each 64 KiB announced (or allowed, where chunked) */
    int64_t write_ms;                 /* 30,000, and a second more for each 64 KiB */
    int64_t idle_ms;                  /* 75,000 between requests */
    int64_t handler_ms;               /* 60,000: the ctx's deadline */
    int64_t drain_ms;                 /* 10,000: what a stop waits for open requests */
};

/* http_server_start begins to serve.  The config and its strings may go afterwards; `arg` must outlive the server. */
RC http_server_start(struct ctx *ctx, const struct http_server_config *config, struct http_server **out);
/* http_server_stop closes the listeners, finishes running requests, answers parked ones with 503, waits at most drain_ms for
 * clients, then closes what is left; it returns when the last handler has.  Frees the server; NULL is fine. */
void http_server_stop(struct http_server *server);

/* http_server_set_tls makes new connections use another certificate; open ones go on.  From any thread. */
void http_server_set_tls(struct http_server *server, struct tls_server_ctx *tls);

/* http_park makes the handler's result "not yet": return what it returns.  `key` at most HTTP_KEY_MAX bytes, copied into the
 * response's arena; `deadline_ms` is of clock_mono_ms().  The ctx is reset; the handler starts from its beginning next time. */
#define HTTP_KEY_MAX 200
RC http_park(struct http_response *resp, const char *key, int64_t deadline_ms);
/* http_wake runs every request parked on `key` again.  From any thread, handlers too; cheap where nobody waits. */
void http_wake(struct http_server *server, const char *key);

struct http_server_stats {
    unsigned connections, parked, running, queued, workers;
    uint64_t requests, refused; /* since start; refused: connections over a limit */
};
void http_server_stats(struct http_server *server, struct http_server_stats *out);

#endif
