/* What travels between agent and hub.  A small HTTP server on a Unix socket stands for the hub; jobs run without hands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/exchange.h"
#include "net/http_server.h"

struct hub {
    pthread_mutex_t lock;
    char last[65536];   /* body of the last request */
    const char *answer; /* of the next */
    int status;
};

static RC hub_handler(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp)
{
    struct hub *h = arg;
    pthread_mutex_lock(&h->lock);
    snprintf(h->last, sizeof h->last, "%.*s", (int)req->body.n, (const char *)req->body.p);
    http_response_json(resp, 200);
    buf_put_z(&resp->body, h->answer);
    int status = h->status;
    pthread_mutex_unlock(&h->lock);
    return status == 200 ? RC_OK : ctx_fail(ctx, E_BUSY, "the hub is busy");
}

struct env {
    struct ctx ctx;
    char dir[64];
    struct hub hub;
    struct http_server *server;
    struct agent agent;
    struct agent_config cfg;
};

static int setup(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    ctx_init(&e->ctx, &clock_system);
    snprintf(e->dir, sizeof e->dir, "/tmp/cw-exchange-XXXXXX");
    assert_non_null(mkdtemp(e->dir));
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s/hub.sock", e->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 16), 0);
    pthread_mutex_init(&e->hub.lock, NULL);
    e->hub.status = 200;
    e->hub.answer = "{\"agent_id\":\"a\",\"epoch\":1,\"jobs\":[],\"dropped\":[]}";
    struct http_listener listener = {.name = "agent", .fd = fd, .kind = HTTP_LISTENER_UNIX};
    struct http_server_config config = {.listeners = &listener, .listeners_n = 1, .handler = hub_handler, .arg = &e->hub};
    assert_true(rc_ok(http_server_start(&e->ctx, &config, &e->server)));
    struct agent *a = &e->agent;
    struct http_client_config config_of = {.unix_socket = sa.sun_path};
    e->cfg = (struct agent_config){.name = "host", .workers = 2, .file = "agent.yaml"};
    a->cfg = &e->cfg;
    a->clock = &clock_system;
    a->boot_id = "boot";
    a->platform = a->sandbox = "test";
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->wake, NULL);
    pthread_cond_init(&a->room, NULL);
    hands_init(&a->hands, &e->cfg);
    const char *results = arena_printf(&e->ctx.arena, "%s/results", e->dir);
    assert_int_equal(mkdir(results, 0700), 0);
    assert_true(rc_ok(results_open(&e->ctx, results, &a->results)));
    struct http_client *http = NULL;
    assert_true(rc_ok(http_client_new(&e->ctx, &config_of, &http)));
    a->http = http;
    a->hub = "http://hub";
    assert_true(rc_ok(pool_new(&e->ctx, 2, 100, 0, &a->pool)));
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct env *e = *state;
    pool_free(e->agent.pool);
    http_client_free(e->agent.http);
    http_server_stop(e->server);
    results_free(&e->agent.results);
    hands_free(&e->agent.hands);
    unlink(arena_printf(&e->ctx.arena, "%s/hub.sock", e->dir));
    unlink(arena_printf(&e->ctx.arena, "%s/results/log", e->dir));
    rmdir(arena_printf(&e->ctx.arena, "%s/results", e->dir));
    rmdir(e->dir);
    ctx_free(&e->ctx);
    free(e);
    return 0;
}

static void a_result_stays_until_the_hub_has_answered(void **state)
{
    struct env *e = *state;
    assert_true(rc_ok(results_add(&e->ctx, &e->agent.results, "job1", 7,
                                  "{\"id\":\"job1\",\"fence\":7,\"ok\":true,\"steps\":[]}")));
    e->hub.status = 503;
    assert_int_equal(exchange_once(&e->ctx, &e->agent, 0).e, E_BUSY);
    assert_non_null(e->agent.results.first);
    assert_non_null(strstr(e->hub.last, "\"results\":[{\"id\":\"job1\""));
    e->hub.status = 200;
    assert_true(rc_ok(exchange_once(&e->ctx, &e->agent, 0)));
    assert_null(e->agent.results.first);
    assert_true(rc_ok(exchange_once(&e->ctx, &e->agent, 0)));
    assert_non_null(strstr(e->hub.last, "\"results\":[]"));
    assert_non_null(strstr(e->hub.last, "\"capacity\":2"));
}

static void a_job_of_an_unknown_kind_is_refused_and_told(void **state)
{
    struct env *e = *state;
    e->hub.answer = "{\"agent_id\":\"a\",\"epoch\":1,\"jobs\":[{\"id\":\"job2\",\"kind\":\"fly\",\"lane\":\"l\",\"fence\":9,"
                    "\"lease_s\":60,\"fly\":{}}],\"dropped\":[]}";
    assert_true(rc_ok(exchange_once(&e->ctx, &e->agent, 1)));
    e->hub.answer = "{\"agent_id\":\"a\",\"epoch\":1,\"jobs\":[],\"dropped\":[],\"unknown\":{}}";
    for (int i = 0; i < 500 && e->agent.results.first == NULL; i++)
        usleep(10000);
    assert_true(rc_ok(exchange_once(&e->ctx, &e->agent, 0)));
    assert_non_null(strstr(e->hub.last, "\"id\":\"job2\",\"fence\":9,\"ok\":false"));
    assert_non_null(strstr(e->hub.last, "\"code\":\"unsupported\""));
    assert_int_equal(e->agent.n_running, 0);
}

#define MANY 2500

/* Marks which of the jobs "j0" … the last request says are held, and counts them. */
static size_t held_said(struct env *e, bool said[MANY])
{
    const char *at = strstr(e->hub.last, "\"holding\":[");
    size_t n = 0;
    assert_non_null(at);
    for (; (at = strstr(at, "{\"id\":\"j")) != NULL; at++, n++) {
        const unsigned long i = strtoul(at + 8, NULL, 10);
        assert_true(i < MANY);
        said[i] = true;
    }
    return n;
}

static void thousands_that_wait_for_a_ca_are_said_in_turn(void **state)
{
    struct env *e = *state;
    struct agent *a = &e->agent;
    struct running *many = calloc(MANY, sizeof *many);
    bool said[MANY] = {false};
    for (size_t i = 0; i < MANY; i++) {
        many[i] = (struct running){.agent = a, .id = arena_printf(&e->ctx.arena, "j%zu", i), .kind = "order", .fence = 1, .relayed = true};
        story_init(&many[i].story);
        many[i].next = i + 1 < MANY ? &many[i + 1] : NULL;
    }
    a->running = many;
    a->holding_due_ms = 0;
    assert_true(rc_ok(exchange_once(&e->ctx, a, 0)));
    assert_int_equal(held_said(e, said), 1000);
    assert_true(rc_ok(exchange_once(&e->ctx, a, 0)));
    assert_int_equal(held_said(e, said), 0); /* the hub has just heard them */
    for (int i = 0; i < 2; i++) {
        a->holding_due_ms = 0;
        assert_true(rc_ok(exchange_once(&e->ctx, a, 0)));
        assert_int_equal(held_said(e, said), 1000);
    }
    for (size_t i = 0; i < MANY; i++)
        assert_true(said[i]);
    e->hub.status = 503;
    assert_int_equal(exchange_once(&e->ctx, a, 0).e, E_BUSY);
    e->hub.status = 200;
    assert_true(rc_ok(exchange_once(&e->ctx, a, 0)));
    assert_int_equal(held_said(e, said), 1000); /* what is not said would be given again */
    a->running = &many[MANY - 3];
    assert_true(rc_ok(exchange_once(&e->ctx, a, 0)));
    assert_int_equal(held_said(e, said), 3); /* few are always said */
    a->running = NULL;
    for (size_t i = 0; i < MANY; i++)
        story_free(&many[i].story);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_stays_until_the_hub_has_answered),
        cmocka_unit_test(a_job_of_an_unknown_kind_is_refused_and_told),
        cmocka_unit_test(thousands_that_wait_for_a_ca_are_said_in_turn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
