/* Wire over real sockets, with real threads on both ends. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "wire/messages.h"

/* One end asks as the hub, the other answers as the signer. */
struct link {
    struct wire_server *server;
    struct wire_peer *hub_side, *signer_side;
    pthread_t serving;
    const struct wire_route *routes;
    size_t n_routes;
    unsigned threads;
};

static RC answer_keyauth(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)arg;
    const struct wire_signer_acme_keyauth *q = in;
    struct wire_signer_acme_keyauth_made *a = out;
    a->key_authorization = arena_printf(&ctx->arena, "%s.%s", q->token, q->account);
    return RC_OK;
}

static RC refuse_issue(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)arg, (void)out;
    const struct wire_signer_issue *q = in;
    ctx->field = "/names/0";
    ctx->retry_after_s = 7;
    return ctx_fail(ctx, E_CEILING, "%s is above the ceiling, request %s", q->dns_names.v[0], ctx->request_id);
}

static RC take_secret(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)arg;
    const struct wire_signer_seal *q = in;
    struct wire_signer_sealed *a = out;
    a->sealed = bytes_z(arena_printf(&ctx->arena, "%zu bytes of secret", secret_use(&q->plain).n));
    return RC_OK;
}

static RC answer_late(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx, (void)arg, (void)in, (void)out;
    usleep(300000);
    return RC_OK;
}

static const struct wire_route routes[] = {
    {WIRE_signer_acme_keyauth, answer_keyauth},
    {WIRE_signer_issue, refuse_issue},
    {WIRE_signer_seal, take_secret},
    {WIRE_signer_health, answer_late},
};

static void *serve(void *arg)
{
    struct link *l = arg;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    assert_true(rc_ok(wire_serve(&ctx, l->server, l->routes, l->n_routes, l->threads, NULL)));
    return NULL;
}

static void join_ends(struct link *l)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wire_peer_replace(l->hub_side, pair[0]);
    wire_peer_replace(l->signer_side, pair[1]);
}

static void link_up(struct link *l, unsigned threads)
{
    *l = (struct link){.routes = routes, .n_routes = sizeof routes / sizeof routes[0], .threads = threads};
    l->server = wire_server_new(&clock_system);
    l->hub_side = wire_peer_new("hub", "signer", NULL);
    l->signer_side = wire_peer_new("signer", "hub", l->server);
    join_ends(l);
    if (threads)
        pthread_create(&l->serving, NULL, serve, l);
}

static void link_down(struct link *l)
{
    wire_server_stop(l->server);
    if (l->threads)
        pthread_join(l->serving, NULL);
    wire_peer_free(l->hub_side);
    wire_peer_free(l->signer_side);
    wire_server_free(l->server);
}

struct caller {
    struct link *l;
    int number;
    atomic_int *good;
};

static void *call_many(void *arg)
{
    struct caller *c = arg;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    for (int i = 0; i < 200; i++) {
        ctx_reset(&ctx);
        char token[32], account[32], want[80];
        snprintf(token, sizeof token, "t%d-%d", c->number, i);
        snprintf(account, sizeof account, "a%d", c->number);
        snprintf(want, sizeof want, "%s.%s", token, account);
        struct wire_signer_acme_keyauth in = {.account = account, .token = token};
        struct wire_signer_acme_keyauth_made out;
        if (rc_ok(wire_call_signer_acme_keyauth(&ctx, c->l->hub_side, &in, &out)) && strcmp(out.key_authorization, want) == 0)
            atomic_fetch_add(c->good, 1);
    }
    return NULL;
}

static void many_threads_call_at_once_and_each_gets_its_own_answer(void **state)
{
    (void)state;
    struct link l;
    link_up(&l, 3);
    atomic_int good = 0;
    pthread_t ids[8];
    struct caller callers[8];
    for (int i = 0; i < 8; i++) {
        callers[i] = (struct caller){&l, i, &good};
        pthread_create(&ids[i], NULL, call_many, &callers[i]);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(ids[i], NULL);
    assert_int_equal(atomic_load(&good), 8 * 200);
    link_down(&l);
}

static void an_error_travels_with_code_words_field_and_retry_after(void **state)
{
    (void)state;
    struct link l;
    link_up(&l, 1);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    const char *names[] = {"www.example.org"};
    struct wire_signer_issue in = {.request_id = "r1", .ca = "issuing", .dns_names = {names, 1}, .validity_s = 3600};
    struct wire_signer_issued out;
    struct rc rc = wire_call_signer_issue(&ctx, l.hub_side, &in, &out);
    assert_int_equal(rc.e, E_CEILING);
    assert_non_null(strstr(ctx_why(&ctx), "www.example.org is above the ceiling"));
    assert_non_null(strstr(ctx_why(&ctx), ctx.request_id));
    assert_string_equal(ctx.field, "/names/0");
    assert_int_equal(ctx.retry_after_s, 7);
    link_down(&l);
}

static void a_secret_arrives_and_is_released_by_the_server(void **state)
{
    (void)state;
    struct link l;
    link_up(&l, 1);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct secret key SECRET_CLEANUP = {0};
    assert_true(rc_ok(secret_from(&ctx, &key, BYTES_LIT("0123456789abcdef"))));
    struct wire_signer_seal in = {.plain = key};
    struct wire_signer_sealed out;
    assert_true(rc_ok(wire_call_signer_seal(&ctx, l.hub_side, &in, &out)));
    assert_true(bytes_equal_z(out.sealed, "16 bytes of secret"));
    link_down(&l);
}

static void a_call_ends_at_its_deadline_and_the_late_answer_harms_nobody(void **state)
{
    (void)state;
    struct link l;
    link_up(&l, 1);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    ctx.deadline_ms = clock_mono_ms() + 50;
    struct wire_signer_healthy healthy;
    assert_int_equal(wire_call_signer_health(&ctx, l.hub_side, &(struct wire_signer_health){0}, &healthy).e, E_TIMEOUT);
    ctx.deadline_ms = 0;
    ctx_forget(&ctx);
    struct wire_signer_acme_keyauth in = {.account = "a", .token = "t"};
    struct wire_signer_acme_keyauth_made out;
    assert_true(rc_ok(wire_call_signer_acme_keyauth(&ctx, l.hub_side, &in, &out)));
    link_down(&l);
}

static void *replace_soon(void *arg)
{
    struct link *l = arg;
    usleep(100000);
    wire_peer_replace(l->signer_side, -1); /* dies */
    usleep(100000);
    join_ends(l); /* and its replacement comes */
    return NULL;
}

static void waiting_calls_fail_when_the_peer_dies_and_later_ones_wait_for_its_replacement(void **state)
{
    (void)state;
    struct link l;
    link_up(&l, 1);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    pthread_t id;
    pthread_create(&id, NULL, replace_soon, &l);
    struct wire_signer_healthy healthy;
    assert_int_equal(wire_call_signer_health(&ctx, l.hub_side, &(struct wire_signer_health){0}, &healthy).e, E_UNREACHABLE);
    struct wire_signer_acme_keyauth in = {.account = "a", .token = "t"};
    struct wire_signer_acme_keyauth_made out;
    assert_true(rc_ok(wire_call_signer_acme_keyauth(&ctx, l.hub_side, &in, &out)));
    pthread_join(id, NULL);
    link_down(&l);
}

static void without_a_peer_a_call_fails_at_its_deadline(void **state)
{
    (void)state;
    struct wire_peer *p = wire_peer_new("hub", "signer", NULL);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    ctx.deadline_ms = clock_mono_ms() + 50;
    struct wire_signer_healthy healthy;
    assert_int_equal(wire_call_signer_health(&ctx, p, &(struct wire_signer_health){0}, &healthy).e, E_UNREACHABLE);
    wire_peer_free(p);
}

static void what_a_role_may_not_send_is_refused_before_it_is_sent(void **state)
{
    (void)state;
    struct wire_peer *p = wire_peer_new("agent", "signer", NULL);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct wire_signer_healthy healthy;
    assert_int_equal(wire_call_signer_health(&ctx, p, &(struct wire_signer_health){0}, &healthy).e, E_BUG);
    wire_peer_free(p);
}

/* The receiver checks for itself: here the sender lies about who it is. */
static void a_peer_that_sends_what_its_role_may_not_is_cut_off(void **state)
{
    (void)state;
    struct wire_server *server = wire_server_new(&clock_system);
    struct wire_peer *liar = wire_peer_new("hub", "signer", NULL), *signer = wire_peer_new("signer", "agent", server);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    wire_peer_replace(liar, pair[0]);
    wire_peer_replace(signer, pair[1]);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct wire_signer_healthy healthy;
    assert_int_equal(wire_call_signer_health(&ctx, liar, &(struct wire_signer_health){0}, &healthy).e, E_UNREACHABLE);
    /* The receiver's thread ends the connection on its own time. */
    for (int i = 0; i < 500 && wire_peer_connected(signer); i++)
        usleep(10000);
    assert_false(wire_peer_connected(signer));
    wire_peer_free(liar);
    wire_peer_free(signer);
    wire_server_stop(server);
    wire_server_free(server);
}

static void *call_once(void *arg)
{
    struct caller *c = arg;
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    struct wire_signer_acme_keyauth in = {.account = "a", .token = "t"};
    struct wire_signer_acme_keyauth_made out;
    if (rc_ok(wire_call_signer_acme_keyauth(&ctx, c->l->hub_side, &in, &out)))
        atomic_fetch_add(c->good, 1);
    return NULL;
}

static void requests_that_wait_are_taken_as_one_batch_and_answered_each(void **state)
{
    (void)state;
    struct link l;
    link_up(&l, 0);
    atomic_int good = 0;
    pthread_t ids[6];
    struct caller c = {&l, 0, &good};
    for (int i = 0; i < 6; i++)
        pthread_create(&ids[i], NULL, call_once, &c);
    usleep(200000);
    struct wire_request *reqs[16];
    size_t n = wire_receive_batch(l.server, 16, reqs);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(reqs[i]->from, "hub");
        if (i == 2) {
            wire_answer_error(reqs[i], NULL, ctx_fail(&reqs[i]->ctx, E_BUSY, "not this one"));
            continue;
        }
        struct wire_signer_acme_keyauth_made out = {.key_authorization = "k"};
        wire_answer(reqs[i], &out);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(ids[i], NULL);
    assert_int_equal(atomic_load(&good), 5);
    wire_server_stop(l.server);
    assert_int_equal(wire_receive_batch(l.server, 16, reqs), 0);
    link_down(&l);
}

static void the_officer_gets_in_by_user_id_and_does_only_what_officers_may(void **state)
{
    (void)state;
    char path[] = "/tmp/wire-officer-XXXXXX";
    assert_true(mkstemp(path) >= 0);
    unlink(path);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, sizeof path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    struct link l;
    link_up(&l, 1);
    struct ctx ctx CTX_CLEANUP;
    ctx_init(&ctx, &clock_system);
    uid_t me[] = {getuid()}, other[] = {getuid() + 1};
    struct wire_listener *listener;
    struct wire_peer *officer;
    struct wire_signer_ceilings ceilings;
    struct wire_signer_ceilings_get in = {.ca = "issuing"};

    assert_true(rc_ok(wire_listener_start(&ctx, l.server, fd, "signer", "officer", me, 1, &listener)));
    assert_true(rc_ok(wire_connect(&ctx, path, "officer", "signer", &officer)));
    assert_int_equal(wire_call_signer_ceilings_get(&ctx, officer, &in, &ceilings).e, E_UNSUPPORTED); /* arrived, has no row here */
    struct wire_signer_healthy healthy;
    assert_int_equal(wire_call_signer_health(&ctx, officer, &(struct wire_signer_health){0}, &healthy).e, E_BUG);
    wire_peer_free(officer);
    wire_listener_stop(listener);

    assert_true(rc_ok(wire_listener_start(&ctx, l.server, fd, "signer", "officer", other, 1, &listener)));
    assert_true(rc_ok(wire_connect(&ctx, path, "officer", "signer", &officer)));
    ctx.deadline_ms = clock_mono_ms() + 2000;
    assert_int_equal(wire_call_signer_ceilings_get(&ctx, officer, &in, &ceilings).e, E_UNREACHABLE);
    wire_peer_free(officer);
    wire_listener_stop(listener);
    link_down(&l);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_call_at_once_and_each_gets_its_own_answer),
        cmocka_unit_test(an_error_travels_with_code_words_field_and_retry_after),
        cmocka_unit_test(a_secret_arrives_and_is_released_by_the_server),
        cmocka_unit_test(a_call_ends_at_its_deadline_and_the_late_answer_harms_nobody),
        cmocka_unit_test(waiting_calls_fail_when_the_peer_dies_and_later_ones_wait_for_its_replacement),
        cmocka_unit_test(without_a_peer_a_call_fails_at_its_deadline),
        cmocka_unit_test(what_a_role_may_not_send_is_refused_before_it_is_sent),
        cmocka_unit_test(a_peer_that_sends_what_its_role_may_not_is_cut_off),
        cmocka_unit_test(requests_that_wait_are_taken_as_one_batch_and_answered_each),
        cmocka_unit_test(the_officer_gets_in_by_user_id_and_does_only_what_officers_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
