/* Inside the readers of descriptions only: what the sections `relay` (agent/push_desc.h), `dns` (agent/dns_desc.h), `enroll`
 * (agent/enroll_desc.h) and `notify` (agent/channel_desc.h) have in common. */
#ifndef AGENT_PUSH_READER_H
#define AGENT_PUSH_READER_H

#include "agent/push_desc.h"

enum push_steps { STEPS_SEE, STEPS_INSTALL, STEPS_UNDO, STEPS_LOGIN, STEPS_LOGOUT, STEPS_TEST, STEPS_ZONE, STEPS_ADD,
                  STEPS_REMOVE, STEPS_ENROLL, STEPS_COLLECT, STEPS_REVOKE, STEPS_SEND };

/* Where in the description the reader is; what names may be used depends on it. */
struct push_reader {
    const struct yaml *y;
    const struct connector *c;
    struct push_desc *d;
    enum push_steps list;
    const struct push_step *steps; /* of this list, so far */
    size_t n;
    bool member;     /* {member} is there: the step has `over` */
    const void *arg; /* of name_wrong */
    /* NULL where a template may name this here, else why not. */
    const char *(*name_wrong)(struct ctx *ctx, struct push_reader *r, struct bytes name);
};

/* push_reader_template checks the names and filters of one; `what` is for messages. */
RC push_reader_template(struct ctx *ctx, struct push_reader *r, const json_t *node, const char *what, const char *text);
/* push_reader_tree checks all texts of a tree, and writes it as JSON text. */
RC push_reader_tree(struct ctx *ctx, struct push_reader *r, json_t *tree, const char **out);
/* push_reader_auth reads the member `auth` of a section. */
RC push_reader_auth(struct ctx *ctx, struct push_reader *r, const json_t *section);
/* push_reader_steps reads the member of `obj` that holds this list; it must be there, but for `logout`. */
RC push_reader_steps(struct ctx *ctx, struct push_reader *r, const json_t *obj, enum push_steps list, struct push_step **out,
                     size_t *n);
/* push_reader_has says whether a step (of this name; NULL: any) reads a value of this name. */
bool push_reader_has(const struct push_step *steps, size_t n, const char *step, struct bytes name);
/* A description that is a file of its own, of something else than a target: its name, what it is for people, its parameters, and
 * one section with requests over HTTPS (agent/dns_desc.h, agent/enroll_desc.h). */
struct push_document {
    const char *what;               /* for messages: "DNS provider", "issuer" */
    const char *name, *section;     /* keys: "provider" and "dns", "issuer" and "enroll" */
    const char *must;               /* what the section must hold, for messages */
    const char *const *keys;        /* what it may hold */
    const char *const *taken;       /* what a parameter cannot be called */
};
/* push_document_text reads the trusted file DIR/NAME.yaml; `path` is for messages. */
RC push_document_text(struct ctx *ctx, const struct push_document *d, const char *dir, const char *name, const char **path,
                      struct bytes *text);
/* push_document_head reads name, description and parameters. */
RC push_document_head(struct ctx *ctx, const struct yaml *y, const struct push_document *d, struct connector *out);
/* push_document_section begins with the section: its keys, base and auth; `r` has y, arg and name_wrong set, and is good for its
 * lists of steps afterwards. */
RC push_document_section(struct ctx *ctx, const struct push_document *d, struct connector *c, struct push_reader *r,
                         const json_t **section);

/* push_reader_parameter fails where a parameter is none for a request to another host, or has a name that means something else. */
RC push_reader_parameters(struct ctx *ctx, const struct push_reader *r, const json_t *section, const char *const *taken);

#endif
