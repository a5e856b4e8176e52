/* A port that is open only while there is something to answer on it: what answers http-01 and tls-alpn-01 have in common.
 *
 * One thread serves it.  Anybody may connect: a connection gets five seconds, and when too many are open the oldest goes. */
#ifndef AGENT_PROBE_DOOR_H
#define AGENT_PROBE_DOOR_H

#include "base/address.h"

struct door;

/* What is done with those who come.  All but `wanted` is called by the door's thread alone; `arg` is that of door_new. */
struct door_work {
    const char *what, *instead; /* for messages: "http-01"; what else can be done where another program has the port */
    bool (*wanted)(void *arg);  /* whether the port is to be open; must not call the door */
    void *(*begin)(void *arg, int fd); /* what belongs to a connection; NULL: it is closed */
    /* The connection can go on (*events: POLLIN, and what it waits for next); false: it is over. */
    bool (*go_on)(void *arg, void *conn, int fd, short *events);
    void (*end)(void *conn); /* before it is closed */
};

RC door_new(struct ctx *ctx, struct address listen, const struct door_work *work, void *arg, struct door **out);
void door_free(struct door *d); /* NULL is fine */
/* door_admit opens the port where it is closed (E_IN_USE where another program has it), and calls `add` before it can be closed
 * again. */
RC door_admit(struct ctx *ctx, struct door *d, RC (*add)(struct ctx *ctx, void *what), void *what);
/* door_look has the thread ask `wanted` anew. */
void door_look(struct door *d);
uint16_t door_port(struct door *d); /* bound to; 0 while closed */

#endif
