/* The section `send` of a connector's description: a service that takes a certificate over its Unix socket, without reading its
 * configuration again.  apply does it (agent/apply/send.h), for what is sent holds the key.
 *
 *     send:
 *       socket: socket                       # a parameter of type path
 *       steps:                               # each over a connection of its own
 *         - {text: "set ssl cert {combined} <<\n{file:combined}\n\n", expect: "Transaction"}
 *         - {text: "commit ssl cert {combined}\n", expect: "Success!"}
 *
 * `{NAME}` is the value of a parameter, which must be a plain word; `{file:NAME}` what the file holds that the parameter names, one
 * of those the description writes, without empty lines and without the end of its last line.  So the same steps serve to undo: the
 * previous file is back by then.  A step without `expect` may be answered by anything. */
#ifndef AGENT_SEND_DESC_H
#define AGENT_SEND_DESC_H

#include "agent/connector.h"
#include "base/yaml.h"

#define SEND_STEPS_MAX 16
#define SEND_TEXT_MAX 4096

struct send_step {
    const char *text, *expect; /* expect: NULL: anything */
    int line;
};
struct send_desc {
    const char *socket_param;
    struct send_step steps[SEND_STEPS_MAX];
    size_t n;
};

/* A piece of a step's text: literal where `name` is empty. */
struct send_piece {
    struct bytes literal;
    const char *name;
    bool file;
};
/* send_next takes the next piece off `rest`; false at the end, and where a brace is not closed (*bad). */
bool send_next(struct ctx *ctx, struct bytes *rest, struct send_piece *out, bool *bad);

/* send_desc_read reads `v`, the member "send" of the description `c`, whose parameters and files are read already. */
RC send_desc_read(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct send_desc *out);

#endif
