/* The section `relay` of a connector's description: a target without an agent on its host, as data.
 *
 *     relay:
 *       transport: https                        # or ssh
 *       base: "{server}"                        # https: origin and path prefix
 *       auth: {family: bearer, token: "{token}"}
 *       see:     [steps]                        # which certificate is there?  Changes nothing
 *       install: [steps]
 *       undo:    [steps]
 *
 * A step is a request: method, path (or url), query, headers, body, which statuses are good, what to read from the answer.  All
 * texts are templates: "{name|filter}".  A name is a parameter, a content or fact of the new certificate, or what an answer said;
 * one that cannot be there is refused when the description is read, with file, line and reason.  docs/CONNECTORS.md describes all
 * of it. */
#ifndef AGENT_PUSH_DESC_H
#define AGENT_PUSH_DESC_H

#include "agent/connector.h"
#include "base/yaml.h"

#define PUSH_STEPS_MAX    32
#define PUSH_PAIRS_MAX    24
#define PUSH_READS_MAX    24
#define PUSH_STATUSES_MAX 16
#define PUSH_TEMPLATE_MAX 4096

struct push_pair {
    const char *name, *value; /* value: a template */
};
struct push_pairs {
    struct push_pair v[PUSH_PAIRS_MAX];
    size_t n;
};

struct push_texts {
    const char *v[PUSH_PAIRS_MAX];
    size_t n;
};

struct push_statuses {
    int v[PUSH_STATUSES_MAX];
    size_t n;
};

/* Where in an answer a value is: one of json, header, between, element, body and value. */
struct push_from {
    const char *json;        /* JSON pointer (RFC 6901), a template; NULL: not this */
    const char *find;        /* with json: the list or object whose first member is meant that fits `where` */
    struct push_pairs where; /* pointer in the member: template it must equal */
    const char *txt;         /* section `dns`: pointer in the member (or answer) to a TXT value that must be ours */
    const char *header;
    const char *between[2]; /* templates */
    const char *every[2];   /* all that is between these two (inside `between`), as a JSON list; XML's entities taken out */
    const char *element;    /* XML: the one element of this name */
    const char *attribute;  /* with element: its attribute */
    const char *children;   /* with element: those of this name, whose attributes are the objects of a JSON list; the only ones */
    bool body;
    const char *value; /* a template: not in the answer at all, but there where the answer was good */
};

struct push_read {
    const char *name;
    struct push_from from;
    struct push_texts as;
    bool optional;
    const char *default_value; /* a template; NULL: "" */
};

enum push_body { PUSH_BODY_NONE, PUSH_BODY_JSON, PUSH_BODY_TEXT, PUSH_BODY_FORM, PUSH_BODY_MULTIPART };
struct push_part {
    const char *name, *filename, *type, *text; /* templates; filename and type may be NULL */
};

enum push_was { PUSH_WAS_ANY, PUSH_WAS_PRESENT, PUSH_WAS_ABSENT };
struct push_step {
    const char *name; /* NULL: what it reads is not named */
    int line;
    enum push_was before;
    const char *now;         /* undo: "new", "previous", "absent"; NULL: any */
    const char *set, *unset; /* names of values; NULL: none */
    const char *method, *path, *url, *mode;
    struct push_pairs query, headers;
    enum push_body kind;
    const char *body; /* PUSH_BODY_JSON: the tree as JSON text; PUSH_BODY_TEXT: a template */
    struct push_pairs form;
    struct push_part parts[PUSH_PAIRS_MAX];
    size_t n_parts;
    struct push_statuses expect, absent, conflict, done;
    struct push_read reads[PUSH_READS_MAX];
    size_t n_reads;
    struct push_from poll, fail_if, conflict_if, message;
    bool has_poll, has_fail_if, has_conflict_if, has_message;
    struct push_texts poll_done, poll_failed, fail_is, fail_not, fail_unless;
    bool fail_there; /* fail_if: that it is there says no, but where it is one of fail_unless */
    /* Of a look that takes several requests, until its first read finds something: */
    const char *over;       /* a value that is a JSON list: a request for each {member} */
    struct push_from more;  /* how many pages there are, or the cursor of the next one */
    const char *more_query; /* what names the page, or takes the cursor; NULL: an answer is whole */
    bool more_counts;       /* pages are counted */
    const char *conflict_has;
    int poll_every_s, poll_most_s;
};

struct push_desc {
    const char *transport; /* "https", "ssh" */
    const char *base;      /* https; a template */
    const char *family;
    struct push_pairs settings; /* of family and transport */
    struct push_step *see, *install, *undo, *login, *logout;
    size_t n_see, n_install, n_undo, n_login, n_logout;
    struct push_pairs sign_headers, sign_query; /* session-login */
    struct push_texts contents;                 /* content words that install names */
};

/* push_param_check checks the value of a parameter of type url, host, text, number or word. */
RC push_param_check(struct ctx *ctx, enum connector_type type, const char *pointer, const char *value);
/* push_desc_read reads `v`, the member "relay" of the description `c`, whose parameters are read already. */
RC push_desc_read(struct ctx *ctx, const struct yaml *y, const struct connector *c, const json_t *v, struct push_desc *out);
/* push_template_next takes the next piece of a template: literal text (*name is empty), or a name with its filters ("a|b"; no
 * filters: empty).  False at the end, and where *bad says what is wrong with it. */
bool push_template_next(struct bytes *rest, struct bytes *literal, struct bytes *name, struct bytes *filters, const char **bad);

#endif
