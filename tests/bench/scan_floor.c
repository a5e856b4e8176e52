/* What a scan is held against, on blocking sockets, each of N addresses of 127.0.0.0/8 at PORT:
 *
 *     scan_floor bare PORT N       connect, send a ClientHello, receive once, close: nothing else
 *     scan_floor openssl PORT N    a full handshake by OpenSSL, which gives the same certificates */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/hello.h"

#define WINDOW 64

static int dial(uint32_t host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f010000 + host)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof in) == 0)
        return fd;
    perror("connect");
    exit(1);
}

/* Many at a time, so that next to nothing is spent on waiting: this is the least that so many system calls cost. */
static size_t bare(uint16_t port, uint32_t n)
{
    const struct hello_ask ask = {.version = 0x0303};
    static uint8_t received[65536];
    size_t good = 0;
    struct buf b;
    int fd[WINDOW];
    buf_init(&b, HELLO_ASK_MAX);
    hello_put(&b, &ask);
    for (uint32_t i = 0; i < n; i += WINDOW) {
        const uint32_t m = n - i < WINDOW ? n - i : WINDOW;
        for (uint32_t k = 0; k < m; k++)
            fd[k] = dial(i + k, port);
        for (uint32_t k = 0; k < m; k++)
            good += send(fd[k], b.p, b.n, 0) == (ssize_t)b.n;
        for (uint32_t k = 0; k < m; k++) {
            good -= recv(fd[k], received, sizeof received, 0) <= 0;
            close(fd[k]);
        }
    }
    buf_free(&b);
    return good;
}

static size_t openssl(uint16_t port, uint32_t n)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    size_t good = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int fd = dial(i, port);
        SSL *ssl = SSL_new(c);
        SSL_set_fd(ssl, fd);
        good += SSL_connect(ssl) == 1 && SSL_get0_peer_certificate(ssl) != NULL;
        SSL_free(ssl);
        close(fd);
    }
    SSL_CTX_free(c);
    return good;
}

int main(int argc, char **argv)
{
    int64_t port, n;
    struct rusage use, before;
    if (argc != 4 || !str_to_i64(bytes_z(argv[2]), &port) || !str_to_i64(bytes_z(argv[3]), &n))
        return 2;
    getrusage(RUSAGE_SELF, &before);
    const int64_t begin = clock_mono_us();
    const size_t good = (str_equal(argv[1], "bare") ? bare : openssl)((uint16_t)port, (uint32_t)n);
    const double seconds = (double)(clock_mono_us() - begin) / 1e6;
    getrusage(RUSAGE_SELF, &use);
    const double cpu = (double)(use.ru_utime.tv_sec - before.ru_utime.tv_sec + use.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1e6 +
                       (double)(use.ru_utime.tv_usec - before.ru_utime.tv_usec + use.ru_stime.tv_usec - before.ru_stime.tv_usec);
    printf("probed %ld found %zu seconds %.3f cpu_us %.2f\n", (long)n, good, seconds, cpu / (double)n);
    return 0;
}
