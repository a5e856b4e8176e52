/* The channel between parent and role: see control.h. */
#include "os/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

bool control_send(int sock, enum control_kind kind, const char *name, const char *text, int fd)
{
    uint8_t body[1 + CONTROL_NAME_MAX + CONTROL_TEXT_MAX];
    size_t name_n = name ? strnlen(name, CONTROL_NAME_MAX - 1) : 0, text_n = text ? strnlen(text, CONTROL_TEXT_MAX - 1) : 0;
    body[0] = (uint8_t)kind;
    if (name_n)
        memcpy(body + 1, name, name_n);
    body[1 + name_n] = 0;
    if (text_n)
        memcpy(body + 2 + name_n, text, text_n);
    struct iovec iov = {body, 2 + name_n + text_n};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } aside = {{0}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = aside.space;
        m.msg_controllen = sizeof aside.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)iov.iov_len;
}

int control_receive(int sock, bool no_wait, struct control_message *out)
{
    uint8_t body[1 + CONTROL_NAME_MAX + CONTROL_TEXT_MAX];
    struct iovec iov = {body, sizeof body};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } aside = {{0}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = aside.space, .msg_controllen = sizeof aside.space};
    ssize_t n;
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | (no_wait ? MSG_DONTWAIT : 0));
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    *out = (struct control_message){.fd = -1};
    if (n <= 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(&out->fd, CMSG_DATA(c), sizeof(int));
    uint8_t *nul = n > 1 ? memchr(body + 1, 0, (size_t)n - 1) : NULL;
    size_t name_n = nul ? (size_t)(nul - body - 1) : 0;
    if (!nul || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || name_n >= CONTROL_NAME_MAX ||
        (size_t)n - name_n - 2 >= CONTROL_TEXT_MAX) {
        if (out->fd >= 0)
            close(out->fd);
        out->fd = -1;
        return -1;
    }
    out->kind = (enum control_kind)body[0];
    memcpy(out->name, body + 1, name_n);
    memcpy(out->text, nul + 1, (size_t)n - name_n - 2);
    return 1;
}
