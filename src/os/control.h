/* Inside os/ only: the channel between the parent and a role, on descriptor 3 of the role: datagrams with at most one descriptor.
 */
#ifndef OS_CONTROL_H
#define OS_CONTROL_H

#include "base/ctx.h"

#define CONTROL_FD       3
#define CONTROL_NAME_MAX 64
#define CONTROL_TEXT_MAX 4096

enum control_kind {
    /* parent → role */
    CONTROL_SETTING = 1, /* name=text */
    CONTROL_CONFIG,      /* descriptor */
    CONTROL_CLOCK,       /* descriptor of a file of 8 bytes */
    CONTROL_PEER,        /* name, descriptor of the connection; without one: it is away for now */
    CONTROL_LISTENER,    /* name, descriptor */
    CONTROL_CREDENTIAL,  /* name, descriptor */
    CONTROL_GO,
    CONTROL_STOP,
    CONTROL_PING,
    /* role → parent */
    CONTROL_READY,  /* text */
    CONTROL_FAILED, /* text */
    CONTROL_PONG,
    CONTROL_REST, /* descriptor: its connection, which the parent watches for it; the role ends after it */
};

struct control_message {
    enum control_kind kind;
    char name[CONTROL_NAME_MAX];
    char text[CONTROL_TEXT_MAX];
    int fd; /* the receiver's; -1 where there is none */
};

/* control_send never waits; false where it was not sent.  `fd` stays the caller's.  text is cut at CONTROL_TEXT_MAX. */
bool control_send(int sock, enum control_kind kind, const char *name, const char *text, int fd);
/* control_receive: 1 one came, 0 nothing for now (only with `no_wait`), -1 the other end has gone or broke the rules. */
int control_receive(int sock, bool no_wait, struct control_message *m);

#endif
