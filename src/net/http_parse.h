/* Reading HTTP/1.1 messages (RFC 9112) strictly: what two readers could understand differently is refused.
 *
 * Refused besides what the RFC's grammar excludes: bare LF and bare CR, line folding, space before the colon, Content-Length
 * together with Transfer-Encoding, more than one of either or of Host, codings other than chunked, Transfer-Encoding in HTTP/1.0.
 */
#ifndef NET_HTTP_PARSE_H
#define NET_HTTP_PARSE_H

#include "net/http.h"

#define HTTP_HEADERS_MAX 100
#define HTTP_TARGET_MAX  8192

enum http_parse {
    HTTP_PARSE_MORE, /* not complete: call again with more bytes */
    HTTP_PARSE_DONE,
    HTTP_PARSE_BAD, /* answer with the status given and close: what follows cannot be understood */
};

/* What the head says about the message around it. */
struct http_framing {
    bool http_1_0;
    bool keep_alive;
    bool head_only;       /* HEAD: the response has no body */
    bool expect_continue; /* the client waits for 100 (Continue) */
    bool chunked;
    uint64_t length; /* of the body, 0 where chunked */
    int status;      /* for HTTP_PARSE_BAD: 400, 413, 414, 417, 431, 501, 505 */
    const char *why; /* for HTTP_PARSE_BAD, static text */
};

/* http_parse_head reads a request's head from the front of `in`.  `*scanned` is the parser's memory between calls with the same,
 * growing bytes: 0 at first.  On DONE `*used` is the length of the head, and the request's strings are in the arena. */
enum http_parse http_parse_head(struct bytes in, size_t *scanned, size_t head_max, uint64_t body_max, struct arena *arena,
                                struct http_request *req, struct http_framing *framing, size_t *used);

/* Decoder of chunked bodies (RFC 9112 section 7.1), fed as bytes come.  All-zero is the start. */
struct http_chunked {
    int state;
    int digits;
    uint64_t left; /* of the current chunk */
    uint64_t total;
    size_t overhead; /* bytes of trailers and extensions so far, at most HTTP_CHUNK_OVERHEAD_MAX */
    bool line_has_bytes;
};
#define HTTP_CHUNK_OVERHEAD_MAX 8192

/* http_chunked_feed takes bytes from the front of `in` and appends what they carry to `body`.  DONE after the last trailer; what
 * is left in `in` belongs to the next request.  Trailers are checked for line ends and dropped.  On BAD `*status` is 400 or 413. */
enum http_parse http_chunked_feed(struct http_chunked *c, struct bytes *in, uint64_t body_max, struct buf *body, int *status);

#endif
