/* What is heard before TLS, on any bytes: the first says which protocol, the rest is what the server says, each turn up to the
 * bytes fe fe, the next once the client has spoken.  Whatever it is, the conversation ends without waiting, and what stands in the
 * message can be printed. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/starttls.h"

#define SAID_MAX    65536 /* what the buffer of a socket surely takes */
#define TURNS_MAX   8
#define PATIENCE_MS 5     /* of the server, where both wait for each other; it then closes */

struct server {
    int fd;
    struct bytes left;
};

static void *speak(void *arg)
{
    struct server *s = arg;
    uint8_t heard[256];
    for (int i = 0; i < TURNS_MAX && s->left.n > 0; i++) {
        size_t n = bytes_find(s->left, BYTES_LIT("\xfe\xfe")), rest = 2;
        struct pollfd asked = {.fd = s->fd, .events = POLLIN};
        if (i > 0 && (poll(&asked, 1, PATIENCE_MS) != 1 || recv(s->fd, heard, sizeof heard, 0) <= 0))
            break;
        if (n == SIZE_MAX)
            n = s->left.n, rest = 0;
        if (n > 0 && send(s->fd, s->left.p, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
        bytes_skip(&s->left, n + rest);
    }
    shutdown(s->fd, SHUT_WR);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CTX_CLEANUP struct ctx ctx = {0};
    int here[2];
    pthread_t thread;
    ctx_init(&ctx, &clock_system);
    if (n == 0 || n > SAID_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, here) != 0)
        return 0;
    const enum starttls protocol = (enum starttls)(data[0] % STARTTLS_PROTOCOLS);
    struct server server = {here[1], bytes_of(data + 1, n - 1)};
    if (fcntl(here[0], F_SETFL, O_NONBLOCK) != 0 || pthread_create(&thread, NULL, speak, &server) != 0)
        abort();
    struct rc rc = starttls_begin(&ctx, protocol, here[0], clock_mono_ms() + 10000, "192.0.2.1:25");
    if (rc.e == E_TIMEOUT)
        abort();
    shutdown(here[0], SHUT_WR);
    pthread_join(thread, NULL);
    for (const char *c = ctx_why(&ctx); *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            abort();
    close(here[0]);
    close(here[1]);
    return 0;
}
