/* AWS Signature Version 4, in the Authorization header, for services other than S3 (whose paths are encoded once only). */
#ifndef AGENT_RELAY_AUTH_SIGV4_H
#define AGENT_RELAY_AUTH_SIGV4_H

#include "agent/relay/push.h"

#define SIGV4_HEADERS_MAX (PUSH_HEADERS_MAX + 3)

struct sigv4 {
    const char *method, *host;         /* host as in the header: with the port where it is not the usual one */
    const char *path, *query;          /* as they are sent; query without '?', NULL for none */
    const struct http_header *headers; /* all are signed; host, date and token are added */
    size_t n_headers;
    struct bytes body;
    struct bytes access_key, secret_key, token; /* token: of a temporary credential, empty for none */
    const char *region, *service;
    int64_t now_s;
};

/* sigv4_sign writes the values of x-amz-date and Authorization; both buffers come empty from the caller. */
RC sigv4_sign(struct ctx *ctx, const struct sigv4 *in, struct buf *date, struct buf *authorization);

#endif
