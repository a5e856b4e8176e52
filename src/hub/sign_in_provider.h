/* Signing in at an OpenID provider, as a browser does it: /sign-in/oidc/NAME sends it there, /sign-in/oidc/NAME/callback is where
 * it comes back to.  What is answered is a page: these are addresses that people see. */
#ifndef HUB_SIGN_IN_PROVIDER_H
#define HUB_SIGN_IN_PROVIDER_H

#include "hub/hub.h"

#define SIGN_IN_PROVIDER        "/sign-in/oidc/"
#define SIGN_IN_PROVIDER_COOKIE "__Host-certwright-provider"

RC sign_in_provider_handle(struct ctx *ctx, struct hub *hub, const struct http_request *req, struct http_response *resp);

#endif
