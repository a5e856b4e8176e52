/* Inside wire/ only: one connection, its reader thread, and what its frames become. */
#ifndef WIRE_CONN_H
#define WIRE_CONN_H

#include <pthread.h>
#include <stdatomic.h>

#include "wire/wire.h"

#define WIRE_ROLE_MAX  32
#define WIRE_HEADER    56
#define WIRE_ID_LEN    32
#define WIRE_ERROR_MAX 8192
#define WIRE_STALL_MS  10000 /* a peer that takes nothing for so long is dead */

enum { WIRE_FLAG_ANSWER = 1 };

/* What is done where a connection brings nothing for so long; see wire_peer_on_quiet. */
struct wire_quiet {
    int after_ms; /* 0: nothing */
    void (*fn)(void *arg, int fd);
    void *arg;
};

struct wire_frame {
    uint16_t type;
    uint16_t flags;
    uint32_t call_id;
    uint64_t left_ms;
    char request_id[WIRE_ID_LEN + 1];
    const struct wire_codec *codec; /* NULL for WIRE_ERROR */
    struct bytes body;              /* malloc'd; whoever takes the frame frees it with frame_free() */
};
void frame_free(struct wire_frame *f);

struct wire_conn {
    int fd; /* closed with the last reference */
    atomic_int refs;
    atomic_bool dead;
    pthread_mutex_t write_lock;
    pthread_t reader;
    bool has_reader;
    uint64_t self_bit, other_bit;
    char other[WIRE_ROLE_MAX];
    uid_t uid;
    struct wire_server *server;
    struct wire_peer *peer; /* NULL on accepted connections */
    struct wire_quiet quiet;
    atomic_bool finished;   /* the reader has returned */
};

/* conn_new takes `fd`; one reference, the caller's.  conn_start starts the reader. */
struct wire_conn *conn_new(int fd, const char *self, const char *other, uid_t uid, struct wire_server *server,
                           struct wire_peer *peer);
RC conn_start(struct ctx *ctx, struct wire_conn *c);
/* conn_end shuts it, joins the reader and drops the caller's reference.  Not from the reader. */
void conn_end(struct wire_conn *c);
void conn_ref(struct wire_conn *c);
void conn_unref(struct wire_conn *c);
void conn_shut(struct wire_conn *c);
RC conn_send(struct ctx *ctx, struct wire_conn *c, uint16_t type, uint16_t flags, uint32_t call_id, struct bytes body);

/* peer_answered hands an answer to the call that waits for it; false: of a type nobody asked for.  peer_lost: the reader has ended.
 */
bool peer_answered(struct wire_peer *peer, struct wire_conn *c, struct wire_frame *f);
void peer_lost(struct wire_peer *peer, struct wire_conn *c);
/* server_push queues what was asked, or refuses it. */
void server_push(struct wire_server *s, struct wire_conn *c, struct wire_frame *f);

void error_encode(struct ctx *ctx, struct rc rc, struct buf *out);
/* error_decode records the failure that came and returns it. */
RC error_decode(struct ctx *ctx, struct bytes in, const char *from);

/* cond_init_mono makes a condition variable on the monotonic clock; cond_wait_until waits until then, false when that time has
 * come. */
void cond_init_mono(pthread_cond_t *c);
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t mono_ms);

#endif
