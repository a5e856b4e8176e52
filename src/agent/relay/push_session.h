/* Inside the push engine only: what a session holds, and what its parts ask of each other. */
#ifndef AGENT_RELAY_PUSH_SESSION_H
#define AGENT_RELAY_PUSH_SESSION_H

#include "agent/relay/credential.h"
#include "agent/relay/push.h"

struct push_host {
    const struct agent_config *cfg;
    const struct credential_files *files;
};

struct push_value {
    const char *name;
    struct bytes value;
    bool secret; /* must not be repeated in messages */
};

/* Which certificate: exactly one of the first three, or none of them where there is no certificate. */
struct push_identity {
    const char *fingerprint, *serial; /* hex, lower case, no leading zeros in the serial; "" where not known */
    const char *other;                /* hash of what is there where that is no certificate; "" else */
};

struct push_room {
    struct push_room *next;
    struct buf buf;
};

/* What must be asked once: the answer to a request that may change something is kept before it is read, and given again.  `known`
 * leaves *found false where there is none; `request` is one of the session. */
struct push_keeper {
    RC (*known)(struct ctx *ctx, void *arg, const char *request, struct push_answer *out, bool *found);
    RC (*asking)(struct ctx *ctx, void *arg, const char *request);
    RC (*said)(struct ctx *ctx, void *arg, const char *request, const struct push_answer *a);
    void *arg;
};

enum push_list { PUSH_SEE, PUSH_INSTALL, PUSH_UNDO, PUSH_LOGIN };

struct push_session {
    const struct push_host *host;
    const struct push_wish *wish;
    struct connector connector;
    const struct push_desc *desc;
    const struct push_auth *auth;
    const struct push_transport *transport;
    void *state; /* the transport's */
    bool opened; /* the transport */
    struct http_client *http;
    struct address_grants grants;
    const struct agent_credential *credentials[CONNECTOR_PARAMS_MAX];
    size_t n_credentials;
    struct push_value values[PUSH_VALUES_MAX];
    size_t n_values;
    struct push_value settings[PUSH_PAIRS_MAX];
    size_t n_settings;
    struct push_room *rooms;
    enum push_list list;
    bool loaded;  /* `before` is known */
    int64_t wait_s; /* what the newest good answer asked to wait (Retry-After); 0: nothing */
    int refused;  /* the status of the newest refusal; 0: none */
    bool now_only; /* what changes something is made of what was there a moment ago: never sent again after a wait */
    bool touched; /* a step of this list that may change something has been sent */
    struct push_identity before, seen;
    const char *now; /* undo: "new", "previous", "absent" */
    const struct push_keeper *keeper; /* NULL: what was asked may be asked again */
    unsigned kept;                    /* requests that went by it */
    bool unanswered;                  /* the newest request failed after it, or a part of it, was sent */
    char boundary[40];
};

/* --- push.c */
/* push_run does a list of steps; what they read is "PREFIX.NAME" too (NULL: not).  `look`: it changes nothing. */
RC push_run(struct ctx *ctx, struct push_session *s, const struct push_step *steps, size_t n, const char *prefix, bool look);
/* push_forget drops all values whose name begins with this. */
void push_forget(struct push_session *s, const char *prefix);
/* push_pause waits; fails where the job's time would be over. */
RC push_pause(struct ctx *ctx, int64_t ms);

/* --- push_session.c */
RC push_set(struct ctx *ctx, struct push_session *s, const char *name, struct bytes value, bool secret);
/* push_copy keeps bytes as long as the session lives, wiped afterwards. */
RC push_copy(struct ctx *ctx, struct push_session *s, struct bytes in, struct bytes *out);

/* --- push_template.c */
/* push_expand fills in a template.  `path`: the method whose path it is; NULL: values stand as they are.  `in_pointer`: '~' and '/'
 * of values are escaped (RFC 6901). */
enum push_place { PUSH_PLAIN, PUSH_PATH, PUSH_POINTER };
RC push_expand(struct ctx *ctx, struct push_session *s, const char *text, enum push_place place, const char *method,
               struct bytes *out);
/* push_build makes the request of a step, without what the family adds. */
RC push_build(struct ctx *ctx, struct push_session *s, const struct push_step *step, struct push_request *out);
/* push_build_json fills in a tree, given as JSON text. */
RC push_build_json(struct ctx *ctx, struct push_session *s, const char *text, struct bytes *out);
RC push_add_query(struct ctx *ctx, struct push_session *s, const struct push_pairs *query, struct push_request *r);

/* --- push_answer.c */
/* push_find looks for a value in an answer; *found is false where it is not there. */
RC push_find(struct ctx *ctx, struct push_session *s, const struct push_from *from, const struct push_answer *a, bool tree,
             struct bytes *out, bool *found);
/* push_text_at finds a text in a tree; false where there is none. */
bool push_text_at(struct ctx *ctx, const json_t *root, const char *pointer, struct bytes *out);
/* push_read does the reads of a step; `lenient`: what is missing is empty. */
RC push_read(struct ctx *ctx, struct push_session *s, const struct push_step *step, const char *prefix, const struct push_answer *a,
             bool lenient);
/* push_identify works out which certificate the values see.certificate, see.fingerprint and see.serial mean. */
RC push_identify(struct ctx *ctx, struct push_session *s, struct push_identity *out);
/* push_words says in an answer's own words why it refused; never a secret. */
const char *push_words(struct ctx *ctx, struct push_session *s, const struct push_step *step, const struct push_answer *a);

#endif
