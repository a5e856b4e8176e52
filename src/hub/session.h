/* Sessions over HTTP: cookies, where a request comes from, and that another site's page has not sent it. */
#ifndef HUB_SESSION_H
#define HUB_SESSION_H

#include "core/sign_in.h"
#include "hub/hub.h"

#define SESSION_COOKIE        "__Host-certwright"
#define SESSION_DEVICE_COOKIE "__Host-certwright-device"
#define SESSION_CSRF_HEADER   "x-certwright-csrf"
#define SESSION_CLIENT_MAX    200 /* of User-Agent, what is kept */

/* session_cookie returns what the request's session cookie holds; NULL where there is none. */
const char *session_cookie(struct ctx *ctx, const struct http_request *req);
/* session_cookie_get does so for another cookie of ours. */
const char *session_cookie_get(struct ctx *ctx, const struct http_request *req, const char *name);
/* session_from says where a request comes from; session_site what its browser calls us: E_FORBIDDEN where Host is no name of ours
 * (https.names in hub.yaml). */
void session_from(struct ctx *ctx, const struct http_request *req, struct sign_in_from *out);
RC session_site(struct ctx *ctx, const struct hub *hub, const struct http_request *req, struct sign_in_site *out);
/* session_same_site is E_FORBIDDEN where a page of another origin sends the request; `must` wants to be told the origin. */
RC session_same_site(struct ctx *ctx, const struct hub *hub, const struct http_request *req, bool must);
/* session_of finds the session of a cookie for this request: unsafe methods come from our own page and carry the session's CSRF
 * value. */
RC session_of(struct ctx *ctx, struct hub *hub, const struct http_request *req, const char *cookie, const struct session **out);
/* session_set gives the browser its cookies; session_unset takes the session's away. */
void session_set(struct ctx *ctx, struct http_response *resp, const struct signed_in *in);
void session_unset(struct http_response *resp);

#endif
