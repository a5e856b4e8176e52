#include "net/http_parse.h"

#include "base/address.h"

/* Character classes: T token (RFC 9110 section 5.6.2), V field value, P path, Q query (RFC 3986, and what browsers leave). */
enum { T = 1, V = 2, P = 4, Q = 8 };

static uint8_t class_of(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return T | V | P | Q;
    switch (c) {
    case '!':
    case '$':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '.':
    case '_':
    case '~':
    case '%':
        return T | V | P | Q;
    case '(':
    case ')':
    case ',':
    case ';':
    case '=':
    case ':':
    case '@':
    case '/':
        return V | P | Q;
    case '^':
    case '|':
    case '`':
        return T | V | Q;
    case '?':
    case '[':
    case ']':
    case '{':
    case '}':
        return V | Q;
    case '#':
        return T | V;
    case '"':
    case '<':
    case '>':
    case '\\':
    case ' ':
    case '\t':
        return V;
    default:
        return c >= 0x80 ? V : 0;
    }
}

static bool all(struct bytes b, uint8_t class)
{
    for (size_t i = 0; i < b.n; i++)
        if (!(class_of(b.p[i]) & class))
            return false;
    return true;
}

static enum http_parse bad(struct http_framing *f, int status, const char *why)
{
    f->status = status;
    f->why = why;
    return HTTP_PARSE_BAD;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escapes_ok(struct bytes b, bool no_nul)
{
    for (size_t i = 0; i < b.n; i++) {
        if (b.p[i] != '%')
            continue;
        if (b.n - i < 3 || !is_hex(b.p[i + 1]) || !is_hex(b.p[i + 2]))
            return false;
        if (no_nul && b.p[i + 1] == '0' && b.p[i + 2] == '0')
            return false;
    }
    return true;
}

/* No segment is "." or "..", also when the dots are escaped: a router and a proxy in front could read them differently. */
static bool no_dot_segments(struct bytes path)
{
    struct bytes segment;
    while (bytes_take_until(&path, '/', &segment)) {
        size_t dots = 0;
        for (size_t i = 0; i < segment.n; dots++) {
            if (segment.p[i] == '.')
                i++;
            else if (segment.n - i >= 3 && segment.p[i] == '%' && segment.p[i + 1] == '2' && (segment.p[i + 2] | 0x20) == 'e')
                i += 3;
            else
                break;
            if (i == segment.n && dots < 2)
                return false;
        }
    }
    return true;
}

/* RFC 9110 section 7.2: host and port, no user name. */
static bool authority_ok(struct bytes a)
{
    struct bytes port = {0};
    if (a.n && a.p[0] == '[') {
        size_t end = bytes_find(a, BYTES_LIT("]"));
        struct address ip;
        if (end == SIZE_MAX || !address_parse(bytes_of(a.p + 1, end - 1), &ip) || ip.len != 16)
            return false;
        port = bytes_of(a.p + end + 1, a.n - end - 1);
        if (port.n && port.p[0] != ':')
            return false;
        if (port.n)
            bytes_skip(&port, 1);
    } else {
        size_t colon = bytes_find(a, BYTES_LIT(":"));
        struct bytes host = bytes_of(a.p, colon == SIZE_MAX ? a.n : colon);
        if (host.n == 0 || !all(host, T))
            return false;
        if (colon != SIZE_MAX)
            port = bytes_of(a.p + colon + 1, a.n - colon - 1);
    }
    for (size_t i = 0; i < port.n; i++)
        if (port.p[i] < '0' || port.p[i] > '9')
            return false;
    return port.n <= 5;
}

static const char *lower(struct arena *arena, struct bytes b)
{
    char *s = arena_str(arena, b);
    for (size_t i = 0; i < b.n; i++)
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char)(s[i] | 0x20);
    return s;
}

/* The four forms of RFC 9112 section 3.2; the authority form is for CONNECT, which is not served. */
static enum http_parse parse_target(struct bytes target, struct arena *arena, struct http_request *req, struct http_framing *f)
{
    struct bytes rest = target;
    if (bytes_equal_z(target, "*")) {
        if (strcmp(req->method, "OPTIONS") != 0)
            return bad(f, 400, "the target * is for OPTIONS");
        req->path = "*";
        return HTTP_PARSE_DONE;
    }
    if (target.p[0] != '/') {
        size_t scheme = 0;
        if (target.n > 7 && bytes_equal_nocase(bytes_of(target.p, 7), BYTES_LIT("http://")))
            scheme = 7;
        else if (target.n > 8 && bytes_equal_nocase(bytes_of(target.p, 8), BYTES_LIT("https://")))
            scheme = 8;
        else
            return bad(f, 400, "the request target is neither a path nor an http URL");
        bytes_skip(&rest, scheme);
        size_t end = 0;
        while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
            end++;
        struct bytes authority = bytes_of(rest.p, end);
        if (!authority_ok(authority))
            return bad(f, 400, "the host in the request target is not valid");
        req->host = lower(arena, authority);
        bytes_skip(&rest, end);
    }
    size_t mark = bytes_find(rest, BYTES_LIT("?"));
    struct bytes path = mark == SIZE_MAX ? rest : bytes_of(rest.p, mark);
    struct bytes query = mark == SIZE_MAX ? (struct bytes){0} : bytes_of(rest.p + mark + 1, rest.n - mark - 1);
    if (!all(path, P) || !all(query, Q) || !escapes_ok(path, true) || !escapes_ok(query, false))
        return bad(f, 400, "the request target holds characters that must be percent-encoded, or a broken escape");
    if (!no_dot_segments(path))
        return bad(f, 400, "the path holds . or .. segments");
    req->path = path.n ? arena_str(arena, path) : "/";
    req->query = arena_bytes(arena, query);
    return HTTP_PARSE_DONE;
}

static enum http_parse parse_version(struct bytes v, struct http_framing *f)
{
    bool shape = v.n == 8 && memcmp(v.p, "HTTP/", 5) == 0 && v.p[5] >= '0' && v.p[5] <= '9' && v.p[6] == '.' && v.p[7] >= '0' &&
                 v.p[7] <= '9';
    if (!shape)
        return bad(f, 400, "the request line does not end with an HTTP version");
    if (v.p[5] != '1')
        return bad(f, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    f->http_1_0 = v.p[7] == '0';
    return HTTP_PARSE_DONE;
}

static enum http_parse parse_request_line(struct bytes line, struct arena *arena, struct http_request *req, struct http_framing *f)
{
    struct bytes method, target;
    if (!bytes_take_until(&line, ' ', &method) || method.n == 0 || method.n > 32 || !all(method, T))
        return bad(f, 400, "the request line does not begin with a method");
    if (!bytes_take_until(&line, ' ', &target) || target.n == 0)
        return bad(f, 400, "the request line has no target");
    if (target.n > HTTP_TARGET_MAX)
        return bad(f, 414, "the request target is too long");
    if (parse_version(line, f) != HTTP_PARSE_DONE)
        return HTTP_PARSE_BAD;
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= ' ' || target.p[i] >= 0x7f)
            return bad(f, 400, "the request target holds characters that must be percent-encoded");
    req->method = arena_str(arena, method);
    if (strcmp(req->method, "CONNECT") == 0)
        return bad(f, 501, "CONNECT is not served");
    f->head_only = strcmp(req->method, "HEAD") == 0;
    req->target = arena_str(arena, target);
    return parse_target(target, arena, req, f);
}

/* What was seen of the headers that frame the message. */
struct seen {
    bool length, coding, host, expect, close, keep_alive;
    int too_large;
};

static enum http_parse framing_length(struct bytes v, uint64_t body_max, struct seen *seen, struct http_framing *f)
{
    if (seen->length)
        return bad(f, 400, "Content-Length comes twice");
    seen->length = true;
    if (v.n == 0)
        return bad(f, 400, "Content-Length is not a number");
    uint64_t n = 0;
    bool over = false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return bad(f, 400, "Content-Length is not a number");
        over = over || n > (UINT64_MAX - 9) / 10;
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    f->length = n;
    seen->too_large = over || n > body_max;
    return HTTP_PARSE_DONE;
}

static enum http_parse framing_coding(struct bytes v, struct seen *seen, struct http_framing *f)
{
    if (seen->coding)
        return bad(f, 400, "Transfer-Encoding comes twice");
    seen->coding = true;
    if (!bytes_equal_nocase(v, BYTES_LIT("chunked")))
        return bad(f, 501, "the only transfer coding known here is chunked");
    f->chunked = true;
    return HTTP_PARSE_DONE;
}

static void framing_connection(struct bytes v, struct seen *seen)
{
    struct bytes option;
    while (bytes_take_until(&v, ',', &option)) {
        option = bytes_trim(option);
        seen->close = seen->close || bytes_equal_nocase(option, BYTES_LIT("close"));
        seen->keep_alive = seen->keep_alive || bytes_equal_nocase(option, BYTES_LIT("keep-alive"));
    }
}

static enum http_parse parse_field(struct bytes line, uint64_t body_max, struct arena *arena, struct http_request *req,
                                   struct seen *seen, struct http_framing *f)
{
    size_t colon = bytes_find(line, BYTES_LIT(":"));
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(f, 400, "folded header lines are not accepted");
    if (colon == SIZE_MAX || colon == 0 || !all(bytes_of(line.p, colon), T))
        return bad(f, 400, "a header line is not a name, a colon and a value");
    struct bytes value = bytes_trim(bytes_of(line.p + colon + 1, line.n - colon - 1));
    if (!all(value, V))
        return bad(f, 400, "a header's value holds control characters");
    if (req->headers.n == HTTP_HEADERS_MAX)
        return bad(f, 431, "too many headers");
    const char *name = lower(arena, bytes_of(line.p, colon));
    http_headers_add(arena, &req->headers, name, arena_str(arena, value));
    if (strcmp(name, "content-length") == 0)
        return framing_length(value, body_max, seen, f);
    if (strcmp(name, "transfer-encoding") == 0)
        return framing_coding(value, seen, f);
    if (strcmp(name, "connection") == 0)
        framing_connection(value, seen);
    if (strcmp(name, "expect") == 0) {
        if (!bytes_equal_nocase(value, BYTES_LIT("100-continue")))
            return bad(f, 417, "the only expectation known here is 100-continue");
        seen->expect = true;
    }
    if (strcmp(name, "host") == 0) {
        if (seen->host)
            return bad(f, 400, "Host comes twice");
        seen->host = true;
        if (!authority_ok(value) && value.n)
            return bad(f, 400, "Host is not valid");
        if (!req->host) /* an absolute target goes before Host (RFC 9112 section 3.2.2) */
            req->host = lower(arena, value);
    }
    return HTTP_PARSE_DONE;
}

static enum http_parse check_framing(const struct seen *seen, struct http_request *req, struct http_framing *f)
{
    if (seen->length && seen->coding)
        return bad(f, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (seen->coding && f->http_1_0)
        return bad(f, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (!seen->host && !f->http_1_0)
        return bad(f, 400, "Host is missing");
    if (seen->too_large)
        return bad(f, 413, "the body is larger than this listener accepts");
    f->keep_alive = !f->http_1_0 && !seen->close;
    f->expect_continue = seen->expect && !f->http_1_0 && (f->chunked || f->length > 0);
    if (!req->host)
        req->host = "";
    return HTTP_PARSE_DONE;
}

/* Finds the end of the head: every line ends with CRLF, the last one is empty.  An empty line before the request line is skipped
 * (RFC 9112 section 2.2).  Control characters are refused as early as their line is complete. */
static enum http_parse find_head(struct bytes in, size_t *scanned, size_t head_max, struct http_framing *f, size_t *end)
{
    size_t limit = in.n < head_max ? in.n : head_max;
    while (*scanned < limit) {
        const uint8_t *start = in.p + *scanned, *lf = memchr(start, '\n', limit - *scanned);
        if (!lf)
            break;
        size_t n = (size_t)(lf - start);
        if (n == 0 || start[n - 1] != '\r')
            return bad(f, 400, "a line ends without CR LF");
        if (memchr(start, '\r', n - 1) || memchr(start, 0, n))
            return bad(f, 400, "a line holds control characters");
        *scanned += n + 1;
        if (n == 1 && *scanned > 2) {
            *end = *scanned;
            return HTTP_PARSE_DONE;
        }
    }
    if (in.n < head_max)
        return HTTP_PARSE_MORE;
    return *scanned == 0 ? bad(f, 414, "the request line is too long") : bad(f, 431, "the headers are too large");
}

enum http_parse http_parse_head(struct bytes in, size_t *scanned, size_t head_max, uint64_t body_max, struct arena *arena,
                                struct http_request *req, struct http_framing *framing, size_t *used)
{
    *framing = (struct http_framing){0};
    enum http_parse r = find_head(in, scanned, head_max, framing, used);
    if (r != HTTP_PARSE_DONE)
        return r;
    struct bytes head = bytes_of(in.p, *used), line;
    struct seen seen = {0};
    *req = (struct http_request){0};
    bool more = bytes_take_line(&head, &line);
    if (more && line.n == 0)
        more = bytes_take_line(&head, &line);
    if (!more || line.n == 0)
        return bad(framing, 400, "the request line is empty");
    if (parse_request_line(line, arena, req, framing) != HTTP_PARSE_DONE)
        return HTTP_PARSE_BAD;
    while (bytes_take_line(&head, &line) && line.n)
        if (parse_field(line, body_max, arena, req, &seen, framing) != HTTP_PARSE_DONE)
            return HTTP_PARSE_BAD;
    return check_framing(&seen, req, framing);
}

/* A state for each place in the grammar chunk = size [ext] CRLF data CRLF, last-chunk = 0 [ext] CRLF, trailers, CRLF. */
enum { C_SIZE, C_EXT, C_SIZE_LF, C_DATA, C_DATA_CR, C_DATA_LF, C_TRAILER, C_TRAILER_LF, C_END };

static enum http_parse chunk_bad(int *status, int code)
{
    *status = code;
    return HTTP_PARSE_BAD;
}

/* One byte outside of chunk data. */
static enum http_parse chunk_byte(struct http_chunked *c, uint8_t b, uint64_t body_max, int *status)
{
    switch (c->state) {
    case C_SIZE:
        if (is_hex(b)) {
            c->left = c->left << 4 | (uint64_t)(b <= '9' ? b - '0' : (b | 0x20) - 'a' + 10);
            /* No more than 16 digits fit, zeros in front included. */
            if (++c->digits > 16 || c->left > body_max || c->total + c->left > body_max)
                return chunk_bad(status, 413);
            return HTTP_PARSE_MORE;
        }
        if (c->digits == 0 || (b != '\r' && b != ';'))
            return chunk_bad(status, 400);
        c->state = b == ';' ? C_EXT : C_SIZE_LF;
        return HTTP_PARSE_MORE;
    case C_EXT:
        if (b == '\r')
            c->state = C_SIZE_LF;
        else if (!(class_of(b) & V))
            return chunk_bad(status, 400);
        return HTTP_PARSE_MORE;
    case C_SIZE_LF:
        if (b != '\n')
            return chunk_bad(status, 400);
        c->digits = 0;
        c->line_has_bytes = false;
        c->state = c->left ? C_DATA : C_TRAILER;
        return HTTP_PARSE_MORE;
    case C_DATA_CR:
        c->state = C_DATA_LF;
        return b == '\r' ? HTTP_PARSE_MORE : chunk_bad(status, 400);
    case C_DATA_LF:
        c->state = C_SIZE;
        return b == '\n' ? HTTP_PARSE_MORE : chunk_bad(status, 400);
    case C_TRAILER:
        if (b == '\r')
            c->state = C_TRAILER_LF;
        else if (!(class_of(b) & V) || (!c->line_has_bytes && !(class_of(b) & T)))
            return chunk_bad(status, 400);
        else
            c->line_has_bytes = true;
        return HTTP_PARSE_MORE;
    case C_TRAILER_LF:
        if (b != '\n')
            return chunk_bad(status, 400);
        c->state = c->line_has_bytes ? C_TRAILER : C_END;
        c->line_has_bytes = false;
        return c->state == C_END ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
    default:
        return HTTP_PARSE_DONE;
    }
}

enum http_parse http_chunked_feed(struct http_chunked *c, struct bytes *in, uint64_t body_max, struct buf *body, int *status)
{
    while (in->n && c->state != C_END) {
        if (c->state == C_DATA) {
            size_t n = in->n < c->left ? in->n : (size_t)c->left;
            buf_put_mem(body, in->p, n);
            bytes_skip(in, n);
            c->left -= n;
            c->total += n;
            if (c->left == 0)
                c->state = C_DATA_CR;
            if (rc_failed(buf_status(body)))
                return chunk_bad(status, 413);
            continue;
        }
        uint8_t b;
        bytes_take_u8(in, &b);
        if ((c->state == C_EXT || c->state == C_TRAILER) && ++c->overhead > HTTP_CHUNK_OVERHEAD_MAX)
            return chunk_bad(status, 413);
        enum http_parse r = chunk_byte(c, b, body_max, status);
        if (r != HTTP_PARSE_MORE)
            return r;
    }
    return c->state == C_END ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}
