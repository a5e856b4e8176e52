/* The API: a request becomes a typed call of the handler that the table of routes names (openapi/certwright.yaml).
 *
 *     route → authenticate → decide → decode → handler → encode
 *
 * Handlers are one file a resource; they ask core and fill in the reply.  Core decides again, with the team of the object. */
#ifndef HUB_API_H
#define HUB_API_H

#include "base/str.h"
#include "core/access.h"
#include "hub/hub.h"
#include "hub/routes.h"

#define API_PATH_MAX 4

struct api_call {
    struct ctx *ctx;
    struct core *core;
    struct hub *hub;
    const struct api_route *route;
    const struct http_request *req;
    struct http_response *resp;
    const char *path[API_PATH_MAX]; /* values of the path's parameters, decoded, in their order */
    const void *query;              /* struct api_<operation>_query; NULL where the route has none */
    const struct session *session;  /* of a person's browser (hub/session.h); NULL: another kind of caller */
    bool has_revision;              /* If-Match names a revision */
    int64_t revision;
};

/* api_handle answers a request for a path of the API. */
RC api_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp);

/* What the routes about sessions share: a step's answer with its cookies; bytes as base64url; passkeys as browsers want them. */
struct signed_in;
struct passkey;
RC api_session_step(struct api_call *call, const struct signed_in *in, struct api_session *out);
RC api_base64url(struct ctx *ctx, const char *pointer, const char *text, struct bytes *out);
RC api_passkey_descriptors(struct api_call *call, const struct passkey *keys, size_t n, const char *rp_id,
                           struct api_passkey_descriptor_list *out);

/* What is wished of a managed certificate, from a body; api_managed_merge puts what a body names into the wish there is. */
struct managed_input;
struct managed_input api_managed_input(struct ctx *ctx, const struct api_managed_certificate_new *in);
RC api_managed_merge(struct api_call *call, const char *ref, const struct api_managed_certificate_patch *in, const char **id,
                     struct managed_input *m);
/* api_request_waits answers 202 with a request that was made instead of what was asked for; false: there is none. */
RC api_request_waits(struct api_call *call, const char *id, bool *answered);

/* api_match finds the route of a path: E_NOT_FOUND, or E_METHOD with the methods there are in `allow`.  Nothing is allocated; the
 * parameters point into `path`, still encoded. */
RC api_match(struct ctx *ctx, const char *method, const char *path, unsigned listener, const struct api_route **out,
             struct bytes params[API_PATH_MAX], size_t *n, const char **allow);

/* api_agent_identity says who an agent's connection is: "unix:UID", or "key:…" of the fleet certificate whose key it has shown. One
 * that has ended is taken only where another is asked for. */
RC api_agent_identity(struct ctx *ctx, const struct http_request *req, bool ended_too, const char **out);

/* Cursors are opaque to clients: base64url of the last item's key.  api_cursor_read gives "" where there is none. */
RC api_cursor_read(struct ctx *ctx, const char *cursor, const char **after);
RC api_cursor_read_number(struct ctx *ctx, const char *cursor, int64_t if_none, int64_t *out);
const char *api_cursor_make(struct ctx *ctx, const char *last);
const char *api_cursor_make_number(struct ctx *ctx, int64_t last);

/* What handlers need again and again.  api_list_of and api_strings_of copy between core's lists and the API's. */
struct api_strings api_strings_of(const struct str_list *l);
struct str_list api_list_of(struct ctx *ctx, const struct api_strings *s);
/* These read JSON that core keeps as text, and write it. */
RC api_strings_of_json(struct ctx *ctx, const char *json, struct api_strings *out);
RC api_parameters_of_json(struct ctx *ctx, const char *json, struct api_parameters *out);
RC api_endpoints_of_json(struct ctx *ctx, const char *json, struct api_job_endpoint_list *out);
RC api_served_of_json(struct ctx *ctx, const char *json, struct api_job_served_list *out);
const char *api_parameters_json(struct ctx *ctx, const struct api_parameters *p);
const char *api_endpoints_json(struct ctx *ctx, const struct api_job_endpoint_list *l);
const char *api_strings_json(struct ctx *ctx, const struct api_strings *s);
/* api_error_of makes the error of a row; NULL where there is none. */
const struct api_last_error *api_error_of(struct ctx *ctx, const char *code, const char *text, int64_t at);
/* api_token_out shows a token; also one that is a key. */
struct q_token_get_row;
RC api_token_out(struct ctx *ctx, const struct q_token_get_row *r, struct api_token *out);
/* api_park parks the request on `key`; woken by it and parked on it again, it waits no longer than it would have at first. */
RC api_park(struct api_call *call, const char *key, int64_t wait_ms);
/* api_pem makes the PEM of a certificate. */
RC api_pem(struct ctx *ctx, const char *label, struct bytes der, const char **out);

#endif
