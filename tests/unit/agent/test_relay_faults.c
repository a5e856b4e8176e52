/* The relay and a CA that is slow, overloaded or lies.  Its faults are those that Pebble cannot be told to have; it stands for a CA
 * whose answers somebody has in his hands. */
#include "../net/net_test.h"

#include <stdatomic.h>

#include "agent/relay/order.h"
#include "agent/relay/relay.h"

struct scene {
    struct ctx ctx;
    struct identity root, id;
    struct tls_server_ctx *tls;
    struct http_server *server;
    struct http_client *client;
    uint16_t port;
    struct relay_agent agent;
    const char *base; /* "https://127.0.0.1:port" */
    /* What it does wrong. */
    atomic_int failures;     /* answers to new orders that are 503 first */
    const char *retry_after; /* with 503 and 429; NULL: none */
    int status;              /* of new orders, when the failures are over */
    const char *problem;     /* body with a status of 400 and more */
    const char *authz, *order_names, *order_state, *finalize;
    bool endless, no_nonce;
    atomic_int orders;
};

static void put(struct http_response *resp, const char *text)
{
    buf_put_z(&resp->body, text);
}

static struct rc answer_directory(struct scene *s, struct ctx *ctx, struct http_response *resp)
{
    put(resp, arena_printf(&ctx->arena,
                           "{\"newNonce\":\"%s/n\",\"newAccount\":\"%s/a\",\"newOrder\":\"%s/o\",\"revokeCert\":\"%s/r\","
                           "\"renewalInfo\":\"%s/ari\"}",
                           s->base, s->base, s->base, s->base, s->base));
    return RC_OK;
}

static struct rc answer_order(struct scene *s, struct ctx *ctx, struct http_response *resp)
{
    put(resp, arena_printf(&ctx->arena,
                           "{\"status\":\"%s\",\"identifiers\":[%s],\"authorizations\":[\"%s\"],\"finalize\":\"%s\","
                           "\"certificate\":\"%s/cert\"}",
                           s->order_state, s->order_names, s->authz, s->finalize, s->base));
    return RC_OK;
}

static struct rc answer_new_order(struct scene *s, struct ctx *ctx, struct http_response *resp)
{
    atomic_fetch_add(&s->orders, 1);
    bool failing = atomic_fetch_sub(&s->failures, 1) > 0;
    resp->status = failing ? 503 : s->status;
    if (resp->status >= 400 && s->retry_after != NULL)
        http_response_header(resp, "Retry-After", s->retry_after);
    if (resp->status >= 400) {
        put(resp, s->problem);
        return RC_OK;
    }
    http_response_header(resp, "Location", arena_printf(&ctx->arena, "%s/order/1", s->base));
    return answer_order(s, ctx, resp);
}

static struct rc handle(struct ctx *ctx, void *arg, const struct http_request *req, struct http_response *resp)
{
    struct scene *s = arg;
    if (!s->no_nonce)
        http_response_header(resp, "Replay-Nonce", "bm9uY2U");
    http_response_header(resp, "Content-Type",
                         strcmp(req->path, "/cert") == 0 ? "application/pem-certificate-chain" : "application/json");
    if (strcmp(req->path, "/dir") == 0)
        return answer_directory(s, ctx, resp);
    if (strcmp(req->path, "/o") == 0)
        return answer_new_order(s, ctx, resp);
    if (strcmp(req->path, "/order/1") == 0)
        return answer_order(s, ctx, resp);
    if (strcmp(req->path, "/a") == 0) {
        resp->status = 201;
        http_response_header(resp, "Location", arena_printf(&ctx->arena, "%s/acct/1", s->base));
        put(resp, "{\"status\":\"valid\"}");
    } else if (strcmp(req->path, "/cert") == 0) {
        for (int i = 0; i < 200000 && s->endless; i++)
            put(resp, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        put(resp, "no chain");
    } else if (strncmp(req->path, "/ari/", 5) == 0) {
        http_response_header(resp, "Retry-After", "7200");
        put(resp, "{\"suggestedWindow\":{\"start\":\"2026-12-01T00:00:00Z\",\"end\":\"2026-12-02T00:00:00Z\"}}");
    }
    return RC_OK;
}

static RC sign(struct ctx *ctx, void *arg, const struct wire_relay_sign *in, const char **body)
{
    (void)ctx, (void)arg, (void)in;
    *body = "{}"; /* the one who lies does not look at it */
    return RC_OK;
}

static void progress(struct ctx *ctx, void *arg, const struct wire_relay_progress *in)
{
    (void)ctx, (void)arg, (void)in;
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    struct cidr loopback;
    ctx_init(&s->ctx, &clock_system);
    s->root = identity_new(&s->ctx, "root", NULL, -1, NULL, KEY_EC_P256);
    s->id = identity_new(&s->ctx, "ca", "IP:127.0.0.1", -1, &s->root, KEY_EC_P256);
    assert_true(rc_ok(tls_server_new(&s->ctx, s->id.key, &s->id.der, 1, NULL, 0, &s->tls)));
    struct http_listener listener = {.name = "ca", .fd = listen_tcp(&s->port), .kind = HTTP_LISTENER_TLS};
    struct http_server_config config = {
        .listeners = &listener, .listeners_n = 1, .handler = handle, .arg = s, .tls = s->tls, .response_max = 64 << 20};
    assert_true(rc_ok(http_server_start(&s->ctx, &config, &s->server)));
    assert_true(cidr_parse(BYTES_LIT("127.0.0.0/8"), &loopback));
    struct http_client_config client = {.roots_pem = bytes_of(s->root.pem, s->root.pem_n), .grants = {&loopback, 1}};
    assert_true(rc_ok(http_client_new(&s->ctx, &client, &s->client)));
    s->base = arena_printf(&s->ctx.arena, "https://127.0.0.1:%u", s->port);
    s->agent = (struct relay_agent){.sign = sign, .progress = progress};
    s->status = 201;
    s->problem = "{}";
    s->authz = arena_printf(&s->ctx.arena, "%s/authz/1", s->base);
    s->finalize = arena_printf(&s->ctx.arena, "%s/finalize/1", s->base);
    s->order_names = "{\"type\":\"dns\",\"value\":\"www.example.org\"}";
    s->order_state = "ready";
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    http_client_free(s->client);
    http_server_stop(s->server);
    tls_server_unref(s->tls);
    identity_free(&s->id);
    identity_free(&s->root);
    ctx_free(&s->ctx);
    free(s);
    return 0;
}

static struct rc order(struct scene *s, int64_t within_ms, struct wire_relay_order_done *out)
{
    static const char *names[] = {"dns:www.example.org"};
    struct wire_relay_order in = {.job = "j",
                                  .attempt = "t",
                                  .account = "acc",
                                  .account_url = "",
                                  .terms_agreed = true,
                                  .directory_url = arena_printf(&s->ctx.arena, "%s/dir", s->base),
                                  .identifiers = {names, 1},
                                  .order_url = "",
                                  .replaces = "",
                                  .profile = "",
                                  .preferred_chain = ""};
    struct relay_job job = {.http = s->client, .agent = &s->agent};
    *out = (struct wire_relay_order_done){0};
    s->ctx.deadline_ms = clock_mono_ms() + within_ms;
    return relay_do_order(&s->ctx, &job, &in, out);
}

static void a_ca_that_fails_twice_is_asked_again(void **state)
{
    struct scene *s = *state;
    struct wire_relay_order_done out;
    atomic_store(&s->failures, 2);
    s->retry_after = "1";
    int64_t begun = clock_mono_ms();
    assert_int_equal(order(s, 60000, &out).e, E_OK);
    assert_int_equal(atomic_load(&s->orders), 3);
    assert_true(clock_mono_ms() - begun >= 2000);
    assert_int_equal(out.state, WIRE_relay_order_done_state_ready);
}

static void a_ca_that_keeps_failing_is_left_alone(void **state)
{
    struct scene *s = *state;
    struct wire_relay_order_done out;
    atomic_store(&s->failures, 1000);
    s->problem = "{\"type\":\"urn:ietf:params:acme:error:serverInternal\",\"detail\":\"maintenance until noon\"}";
    s->retry_after = "0";
    assert_int_equal(order(s, 60000, &out).e, E_ISSUER_FAILED);
    assert_non_null(strstr(ctx_why(&s->ctx), "maintenance until noon"));
    assert_int_equal(atomic_load(&s->orders), SESSION_TRIES_MAX);
}

static void a_rate_limit_is_told_with_the_time_to_wait(void **state)
{
    struct scene *s = *state;
    struct wire_relay_order_done out;
    s->status = 429;
    s->retry_after = "3600";
    s->problem = "{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":\"too many orders this week\"}";
    assert_int_equal(order(s, 60000, &out).e, E_RATE_LIMITED);
    assert_int_equal(s->ctx.retry_after_s, 3600);
    assert_non_null(strstr(ctx_why(&s->ctx), "too many orders this week"));
    assert_int_equal(atomic_load(&s->orders), 1);
}

static void urls_into_other_hosts_are_not_followed(void **state)
{
    static const char *const urls[] = {"https://10.0.0.1/z", "https://127.0.0.1:1/z", "http://127.0.0.1/z",
                                       "https://169.254.169.254/z"};
    struct scene *s = *state;
    struct wire_relay_order_done out;
    for (size_t i = 0; i < 4; i++) {
        s->order_state = "pending";
        s->authz = urls[i];
        ctx_forget(&s->ctx);
        assert_int_equal(order(s, 60000, &out).e, E_BAD_ANSWER);
        assert_non_null(strstr(ctx_why(&s->ctx), "not at the host of its directory"));
    }
    s->finalize = urls[0];
    assert_int_equal(order(s, 60000, &out).e, E_BAD_ANSWER);
}

static void an_order_for_other_names_is_not_gone_on_with(void **state)
{
    struct scene *s = *state;
    struct wire_relay_order_done out;
    s->order_names = "{\"type\":\"dns\",\"value\":\"evil.example\"}";
    assert_int_equal(order(s, 60000, &out).e, E_BAD_ANSWER);
    assert_non_null(strstr(ctx_why(&s->ctx), "other names"));
}

static void an_endless_body_is_cut_short(void **state)
{
    struct scene *s = *state;
    struct wire_relay_order_done out;
    s->order_state = "valid";
    s->endless = true;
    assert_int_equal(order(s, 20000, &out).e, E_BAD_ANSWER);
}

static void an_order_that_is_never_done_ends_with_the_job(void **state)
{
    struct scene *s = *state;
    static const char *names[] = {"dns:www.example.org"};
    struct wire_relay_order in = {.job = "j",
                                  .attempt = "t",
                                  .account = "acc",
                                  .terms_agreed = true,
                                  .account_url = arena_printf(&s->ctx.arena, "%s/acct/1", s->base),
                                  .phase = WIRE_relay_order_phase_finish,
                                  .directory_url = arena_printf(&s->ctx.arena, "%s/dir", s->base),
                                  .identifiers = {names, 1},
                                  .order_url = arena_printf(&s->ctx.arena, "%s/order/1", s->base),
                                  .replaces = "",
                                  .profile = "",
                                  .preferred_chain = ""};
    struct wire_relay_order_done out = {0};
    struct relay_job job = {.http = s->client, .agent = &s->agent};
    s->order_state = "processing";
    s->ctx.deadline_ms = clock_mono_ms() + 1500;
    assert_int_equal(relay_do_order(&s->ctx, &job, &in, &out).e, E_TIMEOUT);
    assert_non_null(strstr(ctx_why(&s->ctx), "taken up again"));
}

static void a_ca_without_nonces_is_a_bad_answer(void **state)
{
    struct scene *s = *state;
    struct wire_relay_order_done out;
    s->no_nonce = true;
    assert_int_equal(order(s, 3000, &out).e, E_BAD_ANSWER);
    assert_non_null(strstr(ctx_why(&s->ctx), "nonce"));
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(a_ca_that_fails_twice_is_asked_again),          FAULT_TEST(a_ca_that_keeps_failing_is_left_alone),
        FAULT_TEST(a_rate_limit_is_told_with_the_time_to_wait),    FAULT_TEST(urls_into_other_hosts_are_not_followed),
        FAULT_TEST(an_order_for_other_names_is_not_gone_on_with),  FAULT_TEST(an_endless_body_is_cut_short),
        FAULT_TEST(an_order_that_is_never_done_ends_with_the_job), FAULT_TEST(a_ca_without_nonces_is_a_bad_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
