/* The signer's loop over real sockets: the hub's requests in batches, and officers on their own socket. */
#include "signer_fixture.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "signer/signer.h"

#define THREADS 8
#define EACH    16

struct scene {
    struct fixture *f;
    struct wire_server *server;
    struct wire_peer *to_hub, *hub; /* the signer's end and the hub's */
    struct wire_listener *officers;
    int listening;
    char path[96];
    pthread_t loop;
};

static void *serve(void *arg)
{
    struct scene *s = arg;
    CTX_CLEANUP struct ctx ctx;
    ctx_init(&ctx, &s->f->clock);
    assert_true(rc_ok(signer_serve(&ctx, s->f->s, s->server)));
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    int ends[2];
    uid_t me = getuid();
    fixture_setup((void **)&s->f);
    make_cas(s->f);
    s->server = wire_server_new(&s->f->clock);
    s->to_hub = wire_peer_new("signer", "hub", s->server);
    s->hub = wire_peer_new("hub", "signer", NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    wire_peer_replace(s->to_hub, ends[0]);
    wire_peer_replace(s->hub, ends[1]);
    snprintf(s->path, sizeof s->path, "%s/signer.sock", s->f->dir);
    s->listening = listen_at(s->path);
    assert_true(rc_ok(wire_listener_start(&s->f->ctx, s->server, s->listening, "signer", "officer", &me, 1, &s->officers)));
    assert_int_equal(pthread_create(&s->loop, NULL, serve, s), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    wire_server_stop(s->server);
    pthread_join(s->loop, NULL);
    wire_listener_stop(s->officers);
    close(s->listening);
    wire_peer_free(s->hub);
    wire_peer_free(s->to_hub);
    wire_server_free(s->server);
    fixture_teardown((void **)&s->f);
    free(s);
    return 0;
}

struct asker {
    struct scene *s;
    int number;
    uint8_t serials[EACH][SERIAL_MAX];
    int good;
};

static void *ask_many(void *arg)
{
    struct asker *a = arg;
    for (int i = 0; i < EACH; i++) {
        CTX_CLEANUP struct ctx ctx;
        ctx_init(&ctx, &a->s->f->clock);
        struct key *key KEY_CLEANUP = NULL;
        struct wire_signer_issued out;
        struct cert cert;
        static const char *names[] = {"www.example.org"};
        if (rc_failed(key_generate(&ctx, KEY_EC_P256, &key)))
            return NULL;
        struct wire_signer_issue in = {.request_id = arena_printf(&ctx.arena, "%d-%d", a->number, i),
                                       .ca = "issuing",
                                       .profile = WIRE_signer_issue_profile_tls_server,
                                       .spki = key_spki(key),
                                       .common_name = "",
                                       .dns_names = {names, 1},
                                       .validity_s = 86400};
        struct rc rc = wire_call_signer_issue(&ctx, a->s->hub, &in, &out);
        if (rc_failed(rc) || rc_failed(cert_parse(&ctx, out.certificate, &cert)) || cert.serial.n > SERIAL_MAX)
            return NULL;
        memcpy(a->serials[i], cert.serial.p, cert.serial.n);
        a->good += bytes_equal(cert.spki.der, key_spki(key));
    }
    return NULL;
}

static void many_callers_get_each_their_own_certificate(void **state)
{
    struct scene *s = *state;
    static struct asker askers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.s = s, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].good, EACH);
    }
    for (int i = 0; i < THREADS * EACH; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(askers[i / EACH].serials[i % EACH], askers[k / EACH].serials[k % EACH], SERIAL_MAX);
}

static void only_an_officer_changes_ceilings_and_everybody_sees_them(void **state)
{
    struct scene *s = *state;
    struct ctx *ctx = &s->f->ctx;
    static const char *profiles[] = {"tls-client"};
    struct wire_signer_ceilings_set in = {.ca = "issuing", .max_validity_s = 86400, .per_hour = 7, .profiles = {profiles, 1}};
    struct wire_signer_ceilings out;
    assert_true(rc_failed(wire_call_signer_ceilings_set(ctx, s->hub, &in, &out)));
    ctx_forget(ctx);
    struct wire_peer *officer = NULL;
    assert_true(rc_ok(wire_connect(ctx, s->path, "officer", "signer", &officer)));
    assert_true(rc_ok(wire_call_signer_ceilings_set(ctx, officer, &in, &out)));
    assert_int_equal(out.per_hour, 7);
    struct wire_signer_issue issue = {.request_id = "x", .ca = "issuing", .spki = new_spki(s->f), .validity_s = 3600};
    struct wire_signer_issued issued;
    assert_true(rc_failed(wire_call_signer_issue(ctx, officer, &issue, &issued))); /* that is the hub's */
    wire_peer_free(officer);
}

static void health_tells_of_keys_and_journal(void **state)
{
    struct scene *s = *state;
    struct wire_signer_health in = {0};
    struct wire_signer_healthy out;
    assert_true(rc_ok(wire_call_signer_health(&s->f->ctx, s->hub, &in, &out)));
    assert_true(out.keys >= 1 && out.journal_bytes > 0);
    assert_string_equal(out.sandbox, "test");
}

#define SERVE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVE_TEST(many_callers_get_each_their_own_certificate),
        SERVE_TEST(only_an_officer_changes_ceilings_and_everybody_sees_them),
        SERVE_TEST(health_tells_of_keys_and_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
