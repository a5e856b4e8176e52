#include "net/dns_query.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include "base/random.h"
#include "os/file.h"

#define ASK_MS     5000
#define TRY_MS     1000 /* the first time round; twice that the second */
#define ROUNDS     2
#define UPDATE_MS  15000
#define DATAGRAM_MAX 4096 /* more than we say we take */
#define STRAYS_MAX 1000 /* datagrams that answer nothing we asked */
#define RESOLVERS_MAX 8

static RC wait_for(struct ctx *ctx, int fd, short events, int64_t until, const char *peer)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left = until - clock_mono_ms();
        int ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (ready > 0)
            return RC_OK;
        if (ready == 0 || left <= 0)
            return ctx_fail(ctx, E_TIMEOUT, "%s does not answer", peer);
        if (errno != EINTR)
            return ctx_fail_errno(ctx, "waiting for %s", peer);
    }
}

static RC unreachable(struct ctx *ctx, const char *peer)
{
    return ctx_fail(ctx, E_UNREACHABLE, "%s: %s", peer, strerrordesc_np(errno));
}

static RC open_to(struct ctx *ctx, const struct address *a, const struct address_grants *grants, int type, int64_t until, int *out)
{
    FD_CLEANUP int fd = -1;
    struct sockaddr_storage sa;
    const socklen_t n = address_to_sockaddr(a, &sa);
    const char *peer = address_port_str(&ctx->arena, a);
    int error = 0;
    socklen_t error_n = sizeof error;
    if (grants != NULL)
        TRY(address_check(ctx, a, grants));
    fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return unreachable(ctx, peer);
    if (connect(fd, (struct sockaddr *)&sa, n) != 0) {
        if (errno != EINPROGRESS)
            return unreachable(ctx, peer);
        TRY(wait_for(ctx, fd, POLLOUT, until, peer));
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_n) != 0 || error != 0) {
            errno = error != 0 ? error : errno;
            return unreachable(ctx, peer);
        }
    }
    *out = fd;
    fd = -1;
    return RC_OK;
}

/* --- datagrams */

static RC ask_udp(struct ctx *ctx, const struct address *a, const struct address_grants *grants, struct bytes query, int64_t until,
                  struct bytes *reply)
{
    FD_CLEANUP int fd = -1;
    const char *peer = address_port_str(&ctx->arena, a);
    uint8_t *room = arena_alloc(&ctx->arena, DATAGRAM_MAX);
    TRY(open_to(ctx, a, grants, SOCK_DGRAM, until, &fd));
    if (send(fd, query.p, query.n, MSG_NOSIGNAL) < 0)
        return unreachable(ctx, peer);
    for (int i = 0; i < STRAYS_MAX; i++) {
        TRY(wait_for(ctx, fd, POLLIN, until, peer));
        ssize_t n = recv(fd, room, DATAGRAM_MAX, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0)
            return unreachable(ctx, peer);
        *reply = bytes_of(room, (size_t)n);
        if (dns_answers(query, *reply))
            return RC_OK;
    }
    return ctx_fail(ctx, E_BAD_ANSWER, "%s says much that was not asked", peer);
}

/* --- streams */

static RC send_all(struct ctx *ctx, int fd, struct bytes data, int64_t until, const char *peer)
{
    while (data.n > 0) {
        ssize_t n = send(fd, data.p, data.n, MSG_NOSIGNAL);
        if (n > 0)
            bytes_skip(&data, (size_t)n);
        else if (errno == EAGAIN)
            TRY(wait_for(ctx, fd, POLLOUT, until, peer));
        else if (errno != EINTR)
            return unreachable(ctx, peer);
    }
    return RC_OK;
}

static RC receive_all(struct ctx *ctx, int fd, uint8_t *to, size_t want, int64_t until, const char *peer)
{
    while (want > 0) {
        ssize_t n = recv(fd, to, want, 0);
        if (n == 0)
            return ctx_fail(ctx, E_UNREACHABLE, "%s closed the connection", peer);
        if (n > 0) {
            to += n;
            want -= (size_t)n;
        } else if (errno == EAGAIN) {
            TRY(wait_for(ctx, fd, POLLIN, until, peer));
        } else if (errno != EINTR) {
            return unreachable(ctx, peer);
        }
    }
    return RC_OK;
}

static RC ask_tcp(struct ctx *ctx, const struct address *a, const struct address_grants *grants, struct bytes query, int64_t until,
                  struct bytes *reply)
{
    FD_CLEANUP int fd = -1;
    const char *peer = address_port_str(&ctx->arena, a);
    struct buf b;
    uint8_t length[2];
    buf_init_arena(&b, &ctx->arena, DNS_MESSAGE_MAX + 2);
    buf_put_u16(&b, (uint16_t)query.n);
    buf_put(&b, query);
    TRY(buf_status(&b));
    TRY(open_to(ctx, a, grants, SOCK_STREAM, until, &fd));
    TRY(send_all(ctx, fd, buf_bytes(&b), until, peer));
    TRY(receive_all(ctx, fd, length, 2, until, peer));
    size_t n = (size_t)(length[0] << 8 | length[1]);
    uint8_t *room = arena_alloc(&ctx->arena, n + 1);
    TRY(receive_all(ctx, fd, room, n, until, peer));
    *reply = bytes_of(room, n);
    return dns_answers(query, *reply) ? RC_OK : ctx_fail(ctx, E_BAD_ANSWER, "%s answers what was not asked", peer);
}

/* --- questions */

static RC ask_one(struct ctx *ctx, const struct dns_ask *q, const struct address *a, bool edns, int64_t until,
                  struct dns_reply *out)
{
    struct buf query;
    struct bytes reply;
    const char *peer = address_port_str(&ctx->arena, a);
    buf_init_arena(&query, &ctx->arena, DNS_MESSAGE_MAX);
    TRY(dns_put_question(ctx, &query, (uint16_t)random_below(65536), q->name, q->type, q->recurse, edns));
    TRY(ask_udp(ctx, a, q->grants, buf_bytes(&query), until, &reply));
    struct rc rc = dns_reply_read(ctx, reply, out);
    if (rc_ok(rc) && out->truncated) {
        TRY(ask_tcp(ctx, a, q->grants, buf_bytes(&query), until + 2 * TRY_MS, &reply));
        rc = dns_reply_read(ctx, reply, out);
    }
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "%s", peer);
}

/* A server of old that knows nothing of EDNS says FORMERR or NOTIMP. */
static RC ask_either(struct ctx *ctx, const struct dns_ask *q, const struct address *a, int64_t until, struct dns_reply *out)
{
    TRY(ask_one(ctx, q, a, true, until, out));
    return out->rcode == DNS_FORMERR || out->rcode == DNS_NOTIMP ? ask_one(ctx, q, a, false, until, out) : RC_OK;
}

RC dns_ask(struct ctx *ctx, const struct dns_ask *q, struct dns_reply *out)
{
    const int64_t until = clock_mono_ms() + ctx_left_ms(ctx, q->timeout_ms > 0 ? q->timeout_ms : ASK_MS);
    struct trail_entry *trail = ctx->trail;
    struct rc rc = rc_of(E_DNS);
    bool answered = false;
    if (q->n == 0)
        return ctx_fail(ctx, E_DNS, "there is no DNS server to ask for %s", q->name);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < q->n; i++) {
            struct dns_reply reply;
            int64_t soon = clock_mono_ms() + TRY_MS * (round + 1);
            if (clock_mono_ms() >= until)
                break;
            ctx->trail = trail;
            rc = ask_either(ctx, q, &q->servers[i], soon < until ? soon : until, &reply);
            if (rc_failed(rc))
                continue;
            *out = reply;
            answered = true;
            if (reply.rcode == DNS_NOERROR || reply.rcode == DNS_NXDOMAIN)
                return RC_OK;
        }
    }
    if (answered)
        ctx->trail = trail;
    else if (ctx->trail == trail)
        return ctx_fail(ctx, E_TIMEOUT, "no time is left to ask for %s", q->name);
    return answered ? RC_OK : rc;
}

/* --- signed */

static RC exchange_signed(struct ctx *ctx, const struct address *server, const struct address_grants *grants,
                          const struct dns_key *key, struct buf *query, struct dns_reply *out)
{
    const char *peer = address_port_str(&ctx->arena, server);
    struct bytes mac, reply;
    TRY(dns_sign(ctx, query, key, ctx_now_s(ctx), &mac));
    TRY(ask_tcp(ctx, server, grants, buf_bytes(query), clock_mono_ms() + ctx_left_ms(ctx, UPDATE_MS), &reply));
    struct rc rc = dns_reply_read(ctx, reply, out);
    if (rc_ok(rc) && out->rcode == DNS_NOERROR)
        rc = dns_verify(ctx, reply, out, key, mac, ctx_now_s(ctx));
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "%s", peer);
}

RC dns_update(struct ctx *ctx, const struct address *server, const struct address_grants *grants, const struct dns_key *key,
              const struct dns_change *change, struct dns_reply *out)
{
    struct buf query;
    buf_init_arena(&query, &ctx->arena, DNS_MESSAGE_MAX);
    TRY(dns_put_update(ctx, &query, (uint16_t)random_below(65536), change));
    return exchange_signed(ctx, server, grants, key, &query, out);
}

RC dns_ask_signed(struct ctx *ctx, const struct address *server, const struct address_grants *grants, const struct dns_key *key,
                  const char *name, enum dns_type type, struct dns_reply *out)
{
    struct buf query;
    buf_init_arena(&query, &ctx->arena, DNS_MESSAGE_MAX);
    TRY(dns_put_question(ctx, &query, (uint16_t)random_below(65536), name, type, false, false));
    return exchange_signed(ctx, server, grants, key, &query, out);
}

/* --- the system's resolvers */

RC dns_resolvers(struct ctx *ctx, struct bytes text, struct address **out, size_t *n)
{
    struct bytes line, word;
    *out = arena_array(&ctx->arena, RESOLVERS_MAX + 1, sizeof **out);
    *n = 0;
    while (text.n > 0 && *n < RESOLVERS_MAX) {
        if (!bytes_take_line(&text, &line)) {
            line = text;
            text.n = 0;
        }
        struct address *a = &(*out)[*n];
        if (!bytes_starts_with(line, BYTES_LIT("nameserver")) || !bytes_skip(&line, 10) || line.n == 0 ||
            (line.p[0] != ' ' && line.p[0] != '\t'))
            continue;
        line = bytes_trim(line);
        size_t end = 0;
        while (end < line.n && line.p[end] != ' ' && line.p[end] != '\t')
            end++;
        line.n = end;
        if (bytes_take_until(&line, '%', &word) && address_parse(word, a)) {
            a->port = 53;
            a->scope = line.n > 0 ? if_nametoindex(arena_str(&ctx->arena, line)) : 0;
            (*n)++;
        }
    }
    if (*n == 0) { /* resolv.conf(5) */
        (void)address_parse(BYTES_LIT("127.0.0.1"), &(*out)[0]);
        (*out)[(*n)++].port = 53;
    }
    return RC_OK;
}
