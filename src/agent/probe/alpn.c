#include "agent/probe/alpn.h"

#include <poll.h>

#include "agent/probe/door.h"
#include "net/tls_alpn.h"

struct alpn {
    struct door *door;
    struct tls_alpn *tls;
};

static bool wanted(void *arg)
{
    return tls_alpn_open(((struct alpn *)arg)->tls) > 0;
}

static void *begin(void *arg, int fd)
{
    return tls_alpn_conn(((struct alpn *)arg)->tls, fd);
}

/* One handshake, and nothing else. */
static bool go_on(void *arg, void *conn, int fd, short *events)
{
    (void)arg, (void)fd;
    const enum tls_io io = tls_conn_handshake(conn);
    if (io == TLS_IO_OK)
        tls_conn_close(conn);
    *events = io == TLS_IO_WANT_WRITE ? POLLOUT : POLLIN;
    return io == TLS_IO_WANT_READ || io == TLS_IO_WANT_WRITE;
}

static void end(void *conn)
{
    tls_conn_free(conn);
}

RC alpn_new(struct ctx *ctx, struct address listen, struct alpn **out)
{
    static const struct door_work work = {
        "tls-alpn-01",
        "prove the name by http-01 or dns-01, or let a front end pass acme-tls/1 on to another port and name that in tls_alpn of "
        "agent.yaml",
        wanted, begin, go_on, end};
    struct alpn *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the listener of tls-alpn-01");
    struct rc rc = tls_alpn_new(ctx, &a->tls);
    if (rc_ok(rc))
        rc = door_new(ctx, listen, &work, a, &a->door);
    if (rc_failed(rc)) {
        alpn_free(a);
        return rc;
    }
    *out = a;
    return RC_OK;
}

void alpn_free(struct alpn *a)
{
    if (a == NULL)
        return;
    door_free(a->door);
    tls_alpn_free(a->tls);
    free(a);
}

struct proof {
    struct alpn *alpn;
    struct name name;
    const char *token, *key_authorization;
};

static RC add(struct ctx *ctx, void *what)
{
    const struct proof *p = what;
    return tls_alpn_put(ctx, p->alpn->tls, &p->name, p->token, p->key_authorization);
}

RC alpn_put(struct ctx *ctx, struct alpn *a, const char *identifier, const char *token, const char *key_authorization)
{
    struct proof p = {.alpn = a, .token = token, .key_authorization = key_authorization};
    TRY(name_parse(ctx, bytes_z(identifier), &p.name));
    return door_admit(ctx, a->door, add, &p);
}

void alpn_remove(struct alpn *a, const char *token)
{
    tls_alpn_remove(a->tls, token);
    door_look(a->door);
}

uint16_t alpn_port(struct alpn *a)
{
    return door_port(a->door);
}
