/* Wire: typed messages between roles of one binary on one host, over a stream socket.
 *
 * The table of messages is in wire/NAME.def; tools/gen-wire.py makes "wire/messages.h" of it: one struct a message, its codec, who
 * may send it to whom, and a typed wrapper wire_call_NAME().  Both ends are the same build, so there are no versions; every frame
 * carries a hash of the table, and another build's frame ends the connection.
 *
 * A frame, big-endian: u32 hash of the table, u32 length of the body, u16 type, u16 flags (1: an answer), u32 call id, u64
 * milliseconds left until the caller's deadline (0: none), 32 bytes request id for logs; then the body.  A length is compared with
 * the message's own ceiling before memory is taken for it.  A frame that breaks the rules (unknown type, not permitted, too long)
 * ends the connection: the peer is not what it should be.  A body that breaks a field's ceiling is answered with E_INVALID.
 *
 * A connection carries calls both ways: a peer (struct wire_peer) sends and waits for answers; a server (struct wire_server) takes
 * what peers ask. */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/ctx.h"
#include "base/secret.h"

/* --- fields of generated structs: text is a NUL-terminated string (NULL is sent as ""; never NULL when received) */
struct wire_texts {
    const char **v;
    size_t n;
};
struct wire_blobs {
    struct bytes *v;
    size_t n;
};
struct wire_numbers {
    int64_t *v;
    size_t n;
};

/* One row of the generated table. */
struct wire_codec {
    const char *name;
    size_t size;      /* of the struct */
    size_t max;       /* ceiling of the encoded body, in bytes */
    uint16_t reply;   /* type of the answer; 0 for notifications, and for messages that only answer */
    bool answer_only; /* cannot be sent but as an answer */
    bool secret;      /* its bytes are wiped everywhere */
    uint64_t from;    /* bits of wire_role_bit(): who may send it unasked */
    uint64_t to;
    RC (*encode)(struct ctx *ctx, const void *in, struct buf *out);
    RC (*decode)(struct ctx *ctx, struct bytes in, void *out); /* copies to ctx->arena */
    void (*wipe)(void *msg);                                   /* frees its secrets; NULL where there are none */
};

#define WIRE_ERROR 1 /* type of the built-in message that carries an error */
/* wire_codec_of returns the row of `type`, or NULL; wire_role_bit the bit of a role's name, 0 where no message names it. */
const struct wire_codec *wire_codec_of(uint16_t type);
uint64_t wire_role_bit(const char *role);
uint32_t wire_table_hash(void);

/* --- asking */

struct wire_peer;
struct wire_server;

/* wire_peer_new makes a peer without a connection.  `self` and `name` are roles, copied.  What it asks us goes to `server`; where
 * that is NULL it is refused.  Safe for any number of threads. */
struct wire_peer *wire_peer_new(const char *self, const char *name, struct wire_server *server);
/* wire_peer_replace gives it a connection, which it owns from now on (-1: none).  Calls that wait on the one before fail with
 * E_UNREACHABLE. */
void wire_peer_replace(struct wire_peer *peer, int fd);
/* wire_peer_on_quiet: where nothing comes on the connection `fd` for `after_ms`, again and again, `fn` is called by its reader,
 * which meanwhile reads nothing of it.  Before the first wire_peer_replace(). */
void wire_peer_on_quiet(struct wire_peer *peer, int after_ms, void (*fn)(void *arg, int fd), void *arg);
bool wire_peer_connected(struct wire_peer *peer);
const char *wire_peer_name(const struct wire_peer *peer);
/* wire_peer_end fails every call to it, those under way and those to come: for a process that ends with threads left behind. */
void wire_peer_end(struct wire_peer *peer);
/* wire_peer_free ends the connection and its thread.  No call may be under way. */
void wire_peer_free(struct wire_peer *peer);

/* wire_call sends `in` (the struct of `type`) and waits for the answer, which it decodes into `out` (zeroed first; strings in
 * ctx->arena; secrets in it are the caller's to free).  Many threads may call at once.  Without a connection it waits for one until
 * the deadline, at most WIRE_CONNECT_MS.  E_UNREACHABLE: the peer died or is away (a retry may succeed, and the call may have taken
 * effect); E_TIMEOUT: the deadline of ctx, or WIRE_CALL_MOST_MS, has passed; otherwise the error the other side returned, its words
 * in the trail. */
#define WIRE_CONNECT_MS   5000
#define WIRE_CALL_MOST_MS (15 * 60 * 1000)
RC wire_call(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in, uint16_t reply_type, void *out);
/* wire_call_answered tells as well whether the other role has answered: then an error is what it said, and not that it has gone. */
RC wire_call_answered(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in, uint16_t reply_type, void *out,
                      bool *answered);
/* wire_notify sends a message that has no answer. */
RC wire_notify(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in);

/* --- answering */

/* One thing asked.  Ends with exactly one wire_answer() or wire_answer_error(), from any thread, which gives it back. */
struct wire_request {
    uint16_t type;
    const char *from; /* role of who asks */
    uid_t uid;        /* of who asks, on a listening socket; else (uid_t)-1 */
    struct ctx ctx;   /* its own: arena, the caller's deadline and request id */
    void *in;         /* the decoded struct, in ctx.arena; its secrets are freed with the request */
    struct wire_conn *conn_;
    uint32_t call_id_;
    struct wire_request *next_;
    struct bytes body_;
};

struct wire_server *wire_server_new(const struct clock *clock);
/* wire_server_free: after wire_server_stop(), and after its peers and listeners are freed. */
void wire_server_free(struct wire_server *s);
/* wire_server_stop: what comes from now on is refused with E_SHUTTING_DOWN; receivers get what is queued, then nothing. */
void wire_server_stop(struct wire_server *s);

/* wire_server_busy says whether something that was asked has not been answered yet, or `holds` says so: what was asked before
 * lives on (a port is open).  wire_server_holds sets it; NULL: nothing does. */
bool wire_server_busy(struct wire_server *s);
void wire_server_holds(struct wire_server *s, bool (*holds)(void *arg), void *arg);

/* wire_receive_batch waits until something is asked and takes all that waits, at most `max`.  Returns how many; 0: stopped. */
size_t wire_receive_batch(struct wire_server *s, size_t max, struct wire_request **reqs);
/* wire_answer sends `out` (the reply struct of req->type; ignored for notifications) and frees the secrets in it. */
void wire_answer(struct wire_request *req, void *out);
/* wire_answer_error sends the failure `rc` with the trail of `ctx` (&req->ctx where NULL). */
void wire_answer_error(struct wire_request *req, struct ctx *ctx, struct rc rc);

/* A row of a server's table.  The handler returns RC_OK with `out` filled in (zeroed before; secrets in it are freed after
 * sending), or fails.  Memory from ctx->arena.
 *     static RC handle_health(struct ctx *ctx, void *arg, const void *in, void *out)
 *     {
 *         struct wire_signer_healthy *o = out; … */
typedef RC wire_handler(struct ctx *ctx, void *arg, const void *in, void *out);
struct wire_route {
    uint16_t type;
    wire_handler *handle;
};
/* wire_serve answers with `threads` threads (at least 1; the caller's is one of them) until wire_server_stop(). A message without
 * a row is refused with E_UNSUPPORTED. */
RC wire_serve(struct ctx *ctx, struct wire_server *s, const struct wire_route *routes, size_t n, unsigned threads, void *arg);
/* wire_dispatch answers one request by the table: for servers with their own loop. */
void wire_dispatch(struct wire_request *req, const struct wire_route *routes, size_t n, void *arg);

/* --- over a listening Unix socket (the signer's officer socket) */

struct wire_listener;
/* wire_listener_start accepts on `fd` (owned by the caller, outlives the listener) in a thread of its own; only user ids in `uids`
 * (SO_PEERCRED, copied) get in, as role `role`.  At most WIRE_LISTENER_MAX connections at once. */
#define WIRE_LISTENER_MAX 32
RC wire_listener_start(struct ctx *ctx, struct wire_server *s, int fd, const char *self, const char *role, const uid_t *uids,
                       size_t n, struct wire_listener **out);
void wire_listener_stop(struct wire_listener *l); /* ends its connections and frees it */
/* wire_connect is the client's side: role `self` asks role `name` at the socket `path`.  Freed by wire_peer_free(). */
RC wire_connect(struct ctx *ctx, const char *path, const char *self, const char *name, struct wire_peer **out);

/* --- for generated code: readers and writers of fields.  Readers check ceilings and copy to ctx->arena. */
RC wire_put_text(struct ctx *ctx, struct buf *out, const char *field, const char *v, size_t max);
RC wire_put_bytes(struct ctx *ctx, struct buf *out, const char *field, struct bytes v, size_t max);
RC wire_put_i64(struct ctx *ctx, struct buf *out, const char *field, int64_t v, int64_t least, int64_t most);
RC wire_put_texts(struct ctx *ctx, struct buf *out, const char *field, struct wire_texts v, size_t max, size_t count);
RC wire_put_blobs(struct ctx *ctx, struct buf *out, const char *field, struct wire_blobs v, size_t max, size_t count);
RC wire_put_numbers(struct ctx *ctx, struct buf *out, const char *field, struct wire_numbers v, int64_t least, int64_t most,
                    size_t count);
RC wire_take_text(struct ctx *ctx, struct bytes *in, const char *field, const char **v, size_t max);
RC wire_take_bytes(struct ctx *ctx, struct bytes *in, const char *field, struct bytes *v, size_t max);
RC wire_take_secret(struct ctx *ctx, struct bytes *in, const char *field, struct secret *v, size_t max);
RC wire_take_i64(struct ctx *ctx, struct bytes *in, const char *field, int64_t *v, int64_t least, int64_t most);
RC wire_take_bool(struct ctx *ctx, struct bytes *in, const char *field, bool *v);
RC wire_take_enum(struct ctx *ctx, struct bytes *in, const char *field, unsigned *v, unsigned count);
RC wire_take_texts(struct ctx *ctx, struct bytes *in, const char *field, struct wire_texts *v, size_t max, size_t count);
RC wire_take_blobs(struct ctx *ctx, struct bytes *in, const char *field, struct wire_blobs *v, size_t max, size_t count);
RC wire_take_numbers(struct ctx *ctx, struct bytes *in, const char *field, struct wire_numbers *v, int64_t least, int64_t most,
                     size_t count);
RC wire_take_end(struct ctx *ctx, struct bytes in);

#endif
