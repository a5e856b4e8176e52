/* URLs of the schemes http and https (RFC 3986, RFC 9110 section 4.2): strict reading, for checks before anything is fetched. */
#ifndef BASE_URI_H
#define BASE_URI_H

#include "base/buf.h"
#include "base/ctx.h"

struct uri {
    bool https;
    const char *host; /* lower case; an IPv6 literal without brackets */
    bool host_is_ip;
    uint16_t port;     /* filled in where the text has none */
    const char *path;  /* begins with '/'; percent-encoding kept, dot segments removed */
    const char *query; /* without '?'; NULL where there is none */
};

#define URI_MAX 8448 /* what our own server takes (HTTP_TARGET_MAX), with a scheme and a host: filters are long */

/* uri_parse reads an absolute URL.  Refused with E_INVALID: other schemes, user names and passwords, fragments, empty hosts, hosts
 * that a lax reader would take for an IP address ("127.1", "0x7f000001"), port 0, control characters, spaces, characters that
 * RFC 3986 does not allow, broken percent-encoding, more than URI_MAX bytes.  The result lives in the arena. */
RC uri_parse(struct ctx *ctx, struct bytes text, struct uri *out);
/* uri_put appends the normalised text: default ports left out. */
void uri_put(struct buf *b, const struct uri *u);
/* uri_same_origin compares scheme, host and port (RFC 6454). */
bool uri_same_origin(const struct uri *a, const struct uri *b);

/* percent_decode undoes percent-encoding, and '+' for a space where `plus` says so (forms and queries).  False where a '%' is not
 * followed by two hex digits. */
bool percent_decode(struct arena *a, struct bytes text, bool plus, struct bytes *out);
/* put_percent appends with everything but unreserved characters encoded. */
void put_percent(struct buf *b, struct bytes data);

#endif
