/* The server under threads: meant to run under ThreadSanitizer. */
#include "net/net_test.h"

#include <signal.h>
#include <stdatomic.h>

#define CLIENTS 8
#define ROUNDS  150

struct shared {
    struct ctx ctx;
    struct http_server *server;
    struct tls_server_ctx *tls[2];
    struct identity id;
    uint16_t plain, tls_port;
    atomic_int tickets[CLIENTS]; /* what the poll of a client waits for */
    atomic_bool stop;
    atomic_int lost;
};

/* Each poll waits for a ticket of its client; the handler looks, then parks: a wake between the two must not be lost. */
static struct rc handler(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp)
{
    struct shared *s = arg;
    int who = req->path[1] - '0';
    if (who < 0 || who >= CLIENTS)
        return RC_OK;
    if (atomic_load(&s->tickets[who]) > 0) {
        atomic_fetch_sub(&s->tickets[who], 1);
        buf_put_z(&resp->body, "ticket");
        return RC_OK;
    }
    if (req->expired) {
        buf_put_z(&resp->body, "expired");
        return RC_OK;
    }
    if (req->query.n)
        sched_yield();
    return http_park(resp, arena_printf(&ctx->arena, "client-%d", who), clock_mono_ms() + 5000);
}

static int setup(void **state)
{
    struct shared *s = calloc(1, sizeof *s);
    ctx_init(&s->ctx, &clock_system);
    s->id = identity_new(&s->ctx, "server", "DNS:localhost", -1, NULL, KEY_EC_P256);
    for (int i = 0; i < 2; i++)
        assert_true(rc_ok(tls_server_new(&s->ctx, s->id.key, &s->id.der, 1, NULL, 0, &s->tls[i])));
    struct http_listener listeners[] = {
        {.name = "plain", .fd = listen_tcp(&s->plain), .kind = HTTP_LISTENER_PLAIN},
        {.name = "tls", .fd = listen_tcp(&s->tls_port), .kind = HTTP_LISTENER_TLS},
    };
    struct http_server_config config = {.listeners = listeners,
                                        .listeners_n = 2,
                                        .handler = handler,
                                        .arg = s,
                                        .loops = 2,
                                        .workers_max = 6,
                                        .tls = s->tls[0],
                                        .drain_ms = 2000};
    assert_true(rc_ok(http_server_start(&s->ctx, &config, &s->server)));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct shared *s = *state;
    http_server_stop(s->server);
    for (int i = 0; i < 2; i++)
        tls_server_unref(s->tls[i]);
    identity_free(&s->id);
    ctx_free(&s->ctx);
    free(s);
    return 0;
}

struct poller {
    struct shared *s;
    int who;
    bool tls;
};

/* Asks, and has its ticket issued at a moment that moves across the handler's look and park. */
static void *poll_thread(void *arg)
{
    struct poller *p = arg;
    struct shared *s = p->s;
    char r[128], key[32], out[4096];
    int n = snprintf(r, sizeof r, "GET /%d?x HTTP/1.1\r\nHost: a\r\n\r\n", p->who);
    snprintf(key, sizeof key, "client-%d", p->who);
    struct client c = client_open(p->tls ? s->tls_port : s->plain, p->tls, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        client_send(&c, r, (size_t)n);
        for (volatile int spin = 0; spin < (i * 997) % 60000; spin++)
            ;
        atomic_fetch_add(&s->tickets[p->who], 1);
        http_wake(s->server, key);
        if (client_answer(&c, out, sizeof out) != 200 || !strstr(out, "\r\n\r\nticket"))
            atomic_fetch_add(&s->lost, 1);
    }
    client_close(&c);
    return NULL;
}

static void *swap_thread(void *arg)
{
    struct shared *s = arg;
    for (unsigned i = 0; !atomic_load(&s->stop); i++) {
        struct http_server_stats stats;
        http_server_set_tls(s->server, s->tls[i & 1]);
        http_server_stats(s->server, &stats);
        sleep_ms(1);
    }
    return NULL;
}

/* Clients that park and leave, and clients that only connect. */
static void *leave_thread(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; !atomic_load(&s->stop); i++) {
        struct client c = client_open(i & 1 ? s->tls_port : s->plain, i & 1, NULL);
        client_send(&c, "GET /7 HTTP/1.1\r\nHost: a\r\n\r\n", 28);
        if (i % 3 == 0)
            sleep_ms(2);
        if (i % 5 == 0)
            http_wake(s->server, "client-7");
        client_close(&c);
    }
    return NULL;
}

static void no_wake_is_lost_between_look_and_park(void **state)
{
    struct shared *s = *state;
    pthread_t threads[CLIENTS + 1];
    struct poller pollers[CLIENTS - 1];
    pthread_create(&threads[0], NULL, swap_thread, s);
    pthread_create(&threads[1], NULL, leave_thread, s);
    for (int i = 0; i < CLIENTS - 1; i++) {
        pollers[i] = (struct poller){s, i, i & 1};
        pthread_create(&threads[i + 2], NULL, poll_thread, &pollers[i]);
    }
    for (int i = 0; i < CLIENTS - 1; i++)
        pthread_join(threads[i + 2], NULL);
    atomic_store(&s->stop, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_int_equal(atomic_load(&s->lost), 0);
}

static void *load_thread(void *arg)
{
    struct shared *s = arg;
    char out[4096];
    struct client c = client_open(s->plain, false, NULL);
    while (client_send(&c, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", 28) && client_answer(&c, out, sizeof out) == 200)
        ;
    client_close(&c);
    return NULL;
}

static void stop_in_the_middle_of_traffic(void **state)
{
    struct shared *s = *state;
    pthread_t threads[4];
    struct client parked[8];
    for (int i = 0; i < 8; i++) {
        parked[i] = client_open(s->plain, false, NULL);
        client_send(&parked[i], "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n", 28);
    }
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, load_thread, s);
    sleep_ms(200);
    http_server_stop(s->server);
    s->server = NULL;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i++) {
        char out[4096];
        assert_int_equal(client_answer(&parked[i], out, sizeof out), 503);
        client_close(&parked[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_wake_is_lost_between_look_and_park, setup, teardown),
        cmocka_unit_test_setup_teardown(stop_in_the_middle_of_traffic, setup, teardown),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
