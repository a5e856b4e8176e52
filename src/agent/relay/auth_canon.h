/* What the families that sign a request have in common: the request as they see it, and the pieces of the text that they hash. */
#ifndef AGENT_RELAY_AUTH_CANON_H
#define AGENT_RELAY_AUTH_CANON_H

#include "agent/relay/push.h"
#include "pki/digest.h"

#define CANON_HEADERS_MAX (PUSH_HEADERS_MAX + 8)
#define CANON_QUERY_MAX   64 /* members of a query */
#define CANON_TEXT_MAX    ((size_t)256 << 10)
#define CANON_NONCE_LEN   36

struct canon {
    const char *method, *host;         /* host as in the header: with the port where it is not the usual one */
    const char *path, *query;          /* as they are sent; query without '?', NULL for none */
    const struct http_header *headers; /* of the request */
    size_t n_headers;
    struct bytes body;
    int64_t now_s;
    const char *nonce; /* new for each request */
};

/* canon_of takes a request apart; the time is now and the nonce a random UUID (RFC 9562 section 5.4). */
RC canon_of(struct ctx *ctx, const struct push_request *r, struct canon *out);
/* canon_header returns the value of the request's first header of this name in any case; NULL where there is none. */
const char *canon_header(const struct canon *in, const char *name);

/* canon_put_query appends the members sorted, each encoded anew (RFC 3986).  E_INVALID for broken percent-encoding. */
RC canon_put_query(struct ctx *ctx, const char *query, struct buf *out);
/* canon_put_headers appends "name:value\n" for each, names in lower case and sorted, runs of spaces as one, values of one name
 * joined by ','; and the names alone, with ';' between. */
RC canon_put_headers(struct ctx *ctx, const struct http_header *v, size_t n, struct buf *lines, struct buf *names);
/* canon_put_hash appends SHA-256 in hex. */
RC canon_put_hash(struct ctx *ctx, struct bytes data, struct buf *out);
/* canon_put_request appends the text that most hash: METHOD, path, query, headers, names, hash of the body, a line each. */
RC canon_put_request(struct ctx *ctx, const struct canon *in, const char *path, const struct http_header *v, size_t n,
                     struct buf *names, struct buf *out);
/* canon_hmac_chain is HMAC-SHA256 of the first part under PREFIX + secret, of the next under what came out, and so on. */
RC canon_hmac_chain(struct ctx *ctx, const char *prefix, struct bytes secret, const struct bytes *parts, size_t n,
                    uint8_t out[SHA256_LEN]);

#endif
