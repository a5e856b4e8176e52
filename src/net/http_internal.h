/* What the files of the HTTP server share: http_server.c (start, loops, stop), http_conn.c (a connection's life on its loop),
 * http_work.c (workers, parked requests, writing responses down).
 *
 * Who may touch what: a conn belongs to its loop's thread.  An exchange belongs to the loop while it is read, to the worker while
 * the handler runs, to the park table (under its lock) while it is parked, and to the loop again when it is done; whoever takes it
 * out of the park table owns it. */
#ifndef NET_HTTP_INTERNAL_H
#define NET_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/address.h"
#include "net/http_parse.h"
#include "net/http_server.h"

struct http_loop;
struct conn;

/* A request on its way through the server, and its response. */
struct exchange {
    struct exchange *next; /* in the queue of workers, the mailbox of a loop or the list of parked ones */
    struct exchange *prev; /* parked */
    struct http_loop *loop;
    struct conn *conn;  /* for the loop alone; NULL once the connection is gone */
    struct arena arena; /* the request */
    struct http_request req;
    struct http_framing framing;
    struct http_chunked chunked;
    struct buf body;
    struct buf out;    /* the response as it is sent; empty: drop the connection */
    bool close;        /* after this response */
    int64_t queued_us; /* when it was put in the queue of workers */
    uint64_t seq;      /* of the park table when the handler was started */
    char *park_key;    /* heap */
    /* Under the park table's lock. */
    bool parked;
    bool left;    /* the client went away while the handler ran */
    bool stopped; /* woken by the server's end */
};

#define PARK_BUCKETS 256
struct park_table {
    pthread_mutex_t lock;
    struct exchange *first[PARK_BUCKETS];
    uint64_t last_wake[PARK_BUCKETS]; /* of any key in the bucket: one that is too many costs one more look */
    atomic_uint_fast64_t seq;         /* written under the lock */
    int64_t next_deadline_ms;         /* what loop 0's timer is set to, INT64_MAX for none */
    unsigned count;
    bool closed;
};

struct worker {
    struct worker *next;
    pthread_t thread;
    struct http_server *server;
};

struct worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, gone;
    struct exchange *head, *tail;
    unsigned queued, idle, running, workers;
    struct worker *finished; /* to be joined */
    uint64_t requests;
    unsigned called; /* workers that were woken or started and have not come yet */
    int slow;        /* how many handlers of 1,024 are slow, a moving average */
    bool stopping;
};

struct listener {
    struct http_listener config; /* name on the heap */
};

/* How many connections an address has: one node an address. */
struct address_count {
    struct address_count *next;
    uint8_t key[9];
    unsigned n, strangers;
};
#define COUNT_BUCKETS 512
struct connection_counts {
    pthread_mutex_t lock;
    struct address_count *first[COUNT_BUCKETS];
    unsigned total, strangers;
    uint64_t refused;
};

struct loop_listener {
    uv_poll_t poll;
    struct http_loop *loop;
    const struct listener *listener;
};

struct http_loop {
    struct http_server *server;
    unsigned number;
    pthread_t thread;
    bool started;
    uv_loop_t uv;
    uv_async_t mail;
    uv_timer_t park_timer;   /* loop 0 alone */
    uv_timer_t accept_timer; /* when descriptors ran out */
    uv_timer_t drain_timer;
    uv_timer_t pool_timer; /* while requests wait for workers that are busy */
    struct loop_listener *listeners;
    size_t listeners_n; /* those whose handles exist */
    struct conn *conns;
    struct exchange *spare; /* exchanges kept for reuse */
    unsigned spare_n;
    bool draining, closed;
    pthread_mutex_t lock; /* of the mailbox */
    struct exchange *mail_head, *mail_tail;
    uint8_t scratch[32768];
};

struct http_server {
    struct http_server_config config; /* listeners: see below; tls: under tls_lock */
    struct listener *listeners;
    size_t listeners_n;
    struct http_loop *loops;
    pthread_mutex_t tls_lock;
    struct tls_server_ctx *tls;
    struct park_table park;
    struct worker_pool pool;
    struct connection_counts counts;
    atomic_bool stopping, quitting;
    pthread_mutex_t drained_lock;
    pthread_cond_t drained_cond;
    unsigned drained; /* loops without connections */
};

enum phase {
    PHASE_HELLO, /* TLS handshake */
    PHASE_IDLE,  /* between requests */
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_HANDLER, /* queued, running or parked */
    PHASE_WRITE,
    PHASE_LINGER, /* refused: what still comes is read and dropped, or a reset would destroy our answer on its way */
};

struct conn {
    struct conn *prev, *next;
    struct http_loop *loop;
    const struct listener *listener;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
    int fd;
    int armed; /* events asked of poll */
    enum phase phase;
    bool closing, close_after, linger, counted;
    bool stranger; /* was asked for a client certificate, and has shown none that verifies */
    int64_t deadline_ms; /* of uv_now(), 0 for none */
    int64_t timer_ms;    /* when the timer goes off, 0 when it is not set */
    struct tls_conn *tls;
    struct buf in; /* received, not used yet */
    size_t scanned;
    struct exchange *x;
    struct buf out;
    size_t sent, lingered;
    struct address address;
    char address_text[ADDRESS_TEXT_MAX];
    uid_t uid;
    gid_t gid;
    pid_t pid;
    uint8_t *certificate; /* heap */
    size_t certificate_n;
    bool certificate_verified;
    const char *certificate_why;
};

/* http_conn.c; loop thread.  http_conn_new owns the descriptor from the start. */
void http_conn_new(struct http_loop *loop, const struct listener *listener, int fd, const struct address *address);
void conn_answer(struct exchange *x); /* a response came back from the workers */
void conn_destroy(struct conn *c);
bool conn_is_idle(const struct conn *c);

/* http_server.c */
bool counts_add(struct http_server *s, const struct address *a, bool stranger);
void counts_remove(struct http_server *s, const struct address *a, bool stranger);
void counts_known(struct http_server *s, const struct address *a); /* a stranger no more */
void loop_watch_pool(struct http_loop *loop);               /* loop thread: see http_pool_submit */
void loop_post(struct http_loop *loop, struct exchange *x); /* any thread */
struct exchange *exchange_new(struct http_loop *loop);      /* loop thread; NULL when out of memory */
void exchange_free(struct exchange *x);                     /* loop thread */

/* http_work.c */
bool http_pool_init(struct http_server *s);
/* http_pool_submit says PUSH_DEFERRED where a worker that is running is expected to take the request soon: call pool_nudge() in
 * POOL_NUDGE_MS, and again while it returns true. */
enum pushed { PUSH_DONE, PUSH_DEFERRED, PUSH_FULL };
#define POOL_NUDGE_MS 2
enum pushed http_pool_submit(struct http_server *s, struct exchange *x);
bool pool_nudge(struct http_server *s);
void http_pool_stop(struct http_server *s); /* runs what is queued, returns when all workers have ended */
void http_pool_free(struct http_server *s);
bool park_init(struct http_server *s);
bool park_leave(struct http_server *s, struct exchange *x); /* the client left; true: it was parked and is the caller's now */
int64_t park_expire(struct http_server *s);                 /* runs those whose time has come; returns the next deadline */
void park_close(struct http_server *s);
/* The Date of responses, written once a second. */
struct date {
    int64_t unix_s;
    char text[40];
};
/* http_put_response writes the status line, headers and body; `close` adds Connection: close. */
void http_put_response(struct buf *out, const struct date *date, const struct http_response *r, bool head_only, bool close);
/* http_put_refusal writes a whole response for a request that no handler sees. */
void http_put_refusal(struct buf *out, const struct clock *clock, int status, const char *why);

#endif
