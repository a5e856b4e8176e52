/* Access tokens of OAuth 2.0: asked for at the token endpoint, sent as Bearer (RFC 6750). */
#ifndef AGENT_RELAY_AUTH_OAUTH2_H
#define AGENT_RELAY_AUTH_OAUTH2_H

#include "agent/relay/push.h"

/* oauth2_ask posts a form to the token endpoint and keeps what it answers (RFC 6749 section 5.1).  The endpoint's host must be one
 * of the credential's like any other.  E_DEPLOY_FAILED with the endpoint's own words where it refuses (section 5.2). */
RC oauth2_ask(struct ctx *ctx, struct push_session *s, const char *url, struct bytes form);
/* oauth2_take does so with an answer that somebody else has asked for; `url` is for messages. */
RC oauth2_take(struct ctx *ctx, struct push_session *s, const char *url, const struct push_answer *a);
/* oauth2_read takes access_token, token_type and expires_in out of an answer; *expires_s is 0 where it is not said. */
RC oauth2_read(struct ctx *ctx, struct bytes json, const char **token, int64_t *expires_s);
/* oauth2_put_member appends NAME=VALUE to a form, with '&' where there is something before it. */
void oauth2_put_member(struct buf *form, const char *name, struct bytes value);
/* oauth2_fresh says whether the token kept still lasts a minute. */
bool oauth2_fresh(const struct ctx *ctx, const struct push_session *s);
RC oauth2_sign(struct ctx *ctx, struct push_session *s, struct push_request *r);

#endif
