/* The relay against Pebble (Let's Encrypt's test CA, from Debian), which rejects every second nonce and takes its time to look at
 * challenges; requests are signed by a real signer in the same process. */
#include "../signer/signer_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "agent/relay/chain_check.h"
#include "agent/relay/relay.h"
#include "base/json.h"
#include "pki/jose.h"

#define LOOPBACK "127.0.0.1"

struct world {
    struct fixture *f;
    pid_t pebble, dns;
    uint16_t port, manage, http, dns_port;
    const char *directory;
    const char *roots_pem;
    struct relay_agent agent;
    struct http_client *client;
    int responder;
    pthread_t responder_thread;
    atomic_bool wrong_answers, stop;
    const char *thumbprint, *account;
    int signatures, finalizes, gets;
    struct relay_memory *memory; /* NULL: nothing is remembered */
    /* A relay of bytes between us and Pebble, for connections that are lost. */
    int proxy;
    uint16_t proxy_port;
    atomic_bool drop;    /* the next answer does not arrive, and its connection ends */
    unsigned drop_after; /* bits of operations: the answer to the first of each is lost */
};

/* --- the http-01 responder */

static void respond(struct world *w, int fd)
{
    char req[2048], reply[1024];
    ssize_t n = read(fd, req, sizeof req - 1);
    const char *prefix = "GET /.well-known/acme-challenge/";
    if (n <= 0)
        return;
    req[n] = 0;
    if (strncmp(req, prefix, strlen(prefix)) != 0)
        return;
    char *token = req + strlen(prefix), *end = strchr(token, ' ');
    if (end == NULL)
        return;
    *end = 0;
    char body[600];
    snprintf(body, sizeof body, "%.256s.%s", token, atomic_load(&w->wrong_answers) ? "wrong" : w->thumbprint);
    int len =
        snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(body), body);
    if (write(fd, reply, (size_t)len) != len)
        print_message("responder: short write\n");
}

static void *responder_loop(void *arg)
{
    struct world *w = arg;
    while (!atomic_load(&w->stop)) {
        int fd = accept(w->responder, NULL, NULL);
        if (fd < 0)
            break;
        respond(w, fd);
        close(fd);
    }
    return NULL;
}

static int listen_on(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t n = sizeof a;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static uint16_t free_port(void)
{
    uint16_t port = 0;
    close(listen_on(&port));
    return port;
}

/* --- lost connections */

struct pair {
    struct world *w;
    int here, there;
};

static bool pass(int from, int to)
{
    char data[16384];
    ssize_t n = read(from, data, sizeof data);
    return n > 0 && send(to, data, (size_t)n, MSG_NOSIGNAL) == n;
}

/* Answers are dropped only after a whole request went through: Pebble has done what it was asked. */
static void *pair_loop(void *arg)
{
    struct pair *p = arg;
    struct pollfd fds[2] = {{p->here, POLLIN, 0}, {p->there, POLLIN, 0}};
    for (bool on = true; on && poll(fds, 2, -1) > 0;) {
        if (fds[0].revents != 0)
            on = pass(p->here, p->there);
        if (on && fds[1].revents != 0)
            on = !atomic_exchange(&p->w->drop, false) && pass(p->there, p->here);
    }
    close(p->here);
    close(p->there);
    free(p);
    return NULL;
}

static int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

static void *proxy_loop(void *arg)
{
    struct world *w = arg;
    for (int fd; (fd = accept(w->proxy, NULL, NULL)) >= 0;) {
        struct pair *p = calloc(1, sizeof *p);
        pthread_t thread;
        *p = (struct pair){w, fd, connect_to(w->port)};
        if (pthread_create(&thread, NULL, pair_loop, p) == 0)
            pthread_detach(thread);
    }
    return NULL;
}

/* --- Pebble */

static void write_text(const char *path, struct bytes text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.p, 1, text.n, file), text.n);
    fclose(file);
}

/* Pebble's own HTTPS certificate, of a root made for the occasion. */
static void make_tls(struct world *w, const char *dir)
{
    struct ctx *ctx = &w->f->ctx;
    struct key *root_key KEY_CLEANUP = NULL, *key KEY_CLEANUP = NULL;
    struct bytes serial, tbs, root = {0}, leaf = {0};
    int64_t now = ctx_now_s(ctx);
    struct name name;
    assert_true(rc_ok(key_generate(ctx, KEY_EC_P256, &root_key)) && rc_ok(key_generate(ctx, KEY_EC_P256, &key)));
    assert_true(rc_ok(serial_new(ctx, &serial)));
    struct cert_intent intent = {.profile = PROFILE_CA_ROOT,
                                 .serial = serial,
                                 .common_name = "Pebble's HTTPS",
                                 .path_length = -1,
                                 .spki = key_spki(root_key),
                                 .not_before = now - 60,
                                 .not_after = now + 86400};
    assert_true(rc_ok(tbs_build(ctx, &intent, root_key, &tbs)) && rc_ok(tbs_sign(ctx, tbs, root_key, &root)));
    struct cert root_cert = read_cert(w->f, root);
    intent = (struct cert_intent){.profile = PROFILE_TLS_SERVER,
                                  .serial = serial,
                                  .issuer = &root_cert,
                                  .spki = key_spki(key),
                                  .not_before = now - 60,
                                  .not_after = now + 3600,
                                  .path_length = -1};
    assert_true(rc_ok(name_parse(ctx, BYTES_LIT(LOOPBACK), &name)));
    name_list_add(&ctx->arena, &intent.names, name);
    assert_true(rc_ok(tbs_build(ctx, &intent, root_key, &tbs)) && rc_ok(tbs_sign(ctx, tbs, root_key, &leaf)));
    struct cert_chain chain;
    struct buf pem;
    buf_init_arena(&pem, &ctx->arena, 65536);
    assert_true(rc_ok(cert_chain_parse_der(ctx, &leaf, 1, &chain)));
    cert_chain_put_pem(&pem, &chain);
    write_text(arena_printf(&ctx->arena, "%s/tls.pem", dir), buf_bytes(&pem));
    buf_init_arena(&pem, &ctx->arena, 65536);
    assert_true(rc_ok(key_to_pem(ctx, key, &pem)));
    write_text(arena_printf(&ctx->arena, "%s/tls.key", dir), buf_bytes(&pem));
    buf_init_arena(&pem, &ctx->arena, 65536);
    assert_true(rc_ok(cert_chain_parse_der(ctx, &root, 1, &chain)));
    cert_chain_put_pem(&pem, &chain);
    w->roots_pem = buf_z(&pem);
}

static pid_t start(char *const *argv, const char *log)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(out, 1);
        dup2(out, 2);
        setenv("PEBBLE_WFE_NONCEREJECT", "50", 1);
        setenv("PEBBLE_VA_SLEEPTIME", "3", 1);
        setenv("PEBBLE_AUTHZREUSE", "0", 1);
        execv(argv[0], argv);
        _exit(127);
    }
    return child;
}

static bool reachable(uint16_t port)
{
    int fd = connect_to(port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void start_pebble(struct world *w)
{
    struct arena *a = &w->f->ctx.arena;
    const char *dir = w->f->dir, *dns = arena_printf(a, LOOPBACK ":%u", w->dns_port);
    struct buf config;
    struct json_out j;
    make_tls(w, dir);
    buf_init_arena(&config, a, 65536);
    json_begin(&j, &config);
    json_open_obj(&j, NULL);
    json_open_obj(&j, "pebble");
    json_put_str(&j, "listenAddress", arena_printf(a, LOOPBACK ":%u", w->port));
    json_put_str(&j, "managementListenAddress", arena_printf(a, LOOPBACK ":%u", w->manage));
    json_put_str(&j, "certificate", arena_printf(a, "%s/tls.pem", dir));
    json_put_str(&j, "privateKey", arena_printf(a, "%s/tls.key", dir));
    json_put_int(&j, "httpPort", w->http);
    json_put_int(&j, "tlsPort", 1);
    json_close(&j);
    json_close(&j);
    const char *path = arena_printf(a, "%s/pebble.json", dir);
    write_text(path, buf_bytes(&config));
    char *pebble[] = {(char *)"/usr/bin/pebble", (char *)"-config", (char *)path, (char *)"-dnsserver", (char *)dns, NULL};
    char *server[] = {(char *)"/usr/bin/pebble-challtestsrv",
                      (char *)"-dns01",
                      (char *)dns,
                      (char *)"-http01",
                      (char *)"",
                      (char *)"-https01",
                      (char *)"",
                      (char *)"-tlsalpn01",
                      (char *)"",
                      (char *)"-management",
                      arena_printf(a, LOOPBACK ":%u", free_port()),
                      (char *)"-defaultIPv6",
                      (char *)"",
                      NULL};
    w->pebble = start(pebble, arena_printf(a, "%s/pebble.log", dir));
    w->dns = start(server, arena_printf(a, "%s/dns.log", dir));
    for (int i = 0; i < 3000 && !(reachable(w->port) && reachable(w->dns_port)); i++)
        usleep(10000);
    assert_true(reachable(w->port));
}

/* --- the agent's side */

static RC sign(struct ctx *ctx, void *arg, const struct wire_relay_sign *in, const char **body)
{
    struct world *w = arg;
    struct wire_signer_acme_sign m = {.account = w->account,
                                      .attempt = "t1",
                                      .job = in->job,
                                      .fence = in->fence,
                                      .operation = (enum wire_signer_acme_sign_operation)in->operation,
                                      .nonce = in->nonce,
                                      .url = in->url,
                                      .kid = in->kid == NULL ? "" : in->kid,
                                      .contacts = in->contacts,
                                      .terms_agreed = in->terms_agreed,
                                      .eab_kid = "",
                                      .identifiers = in->identifiers,
                                      .csr = in->csr,
                                      .certificate = in->certificate,
                                      .reason = in->reason,
                                      .replaces = in->replaces == NULL ? "" : in->replaces,
                                      .profile = in->profile == NULL ? "" : in->profile,
                                      .next_key = in->next_key,
                                      .only_existing = in->only_existing};
    struct wire_signer_acme_signed out = {0};
    struct work work = {.ctx = ctx, .type = WIRE_signer_acme_sign, .from = "hub", .in = &m, .out = &out};
    signer_work(w->f->s, &work, 1);
    *body = out.body;
    w->signatures++;
    if ((w->drop_after & 1U << in->operation) != 0) {
        w->drop_after &= ~(1U << in->operation);
        atomic_store(&w->drop, true);
    }
    w->finalizes += in->operation == WIRE_relay_sign_operation_finalize;
    w->gets += in->operation == WIRE_relay_sign_operation_get;
    return work.rc;
}

static void progress(struct ctx *ctx, void *arg, const struct wire_relay_progress *in)
{
    (void)ctx, (void)arg, (void)in;
}

static void new_client(struct world *w)
{
    struct cidr loopback;
    assert_true(cidr_parse(BYTES_LIT("127.0.0.0/8"), &loopback));
    struct http_client_config config = {.roots_pem = bytes_z(w->roots_pem), .grants = {&loopback, 1}};
    assert_true(rc_ok(http_client_new(&w->f->ctx, &config, &w->client)));
}

static int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    fixture_setup((void **)&w->f);
    struct arena *a = &w->f->ctx.arena;
    signal(SIGPIPE, SIG_IGN);
    w->port = free_port();
    w->manage = free_port();
    w->dns_port = free_port();
    w->responder = listen_on(&w->http);
    w->agent = (struct relay_agent){.sign = sign, .progress = progress, .arg = w};
    w->directory = arena_printf(a, "https://" LOOPBACK ":%u/dir", w->port);
    start_pebble(w);
    new_client(w);
    struct wire_signer_acme_account account = {.account = "acc", .directory_url = w->directory, .key_kind = "ec-p256"};
    struct wire_signer_acme_key *key = must_ask(w->f, "hub", WIRE_signer_acme_account, &account);
    w->thumbprint = key->thumbprint;
    w->account = "acc";
    assert_int_equal(pthread_create(&w->responder_thread, NULL, responder_loop, w), 0);
    *state = w;
    return 0;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    atomic_store(&w->stop, true);
    shutdown(w->responder, SHUT_RDWR);
    close(w->responder);
    pthread_join(w->responder_thread, NULL);
    end(w->pebble);
    end(w->dns);
    http_client_free(w->client);
    fixture_teardown((void **)&w->f);
    free(w);
    return 0;
}

#define PEBBLE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

/* --- what the tests say */

static const char *two[] = {"dns:www.example.org", "dns:example.org"};

static struct wire_relay_order order_wish(struct world *w, struct wire_texts names)
{
    struct ctx *ctx = &w->f->ctx;
    struct key *key KEY_CLEANUP = NULL;
    struct name_list list;
    struct bytes der = {0};
    struct csr csr;
    assert_true(rc_ok(key_generate(ctx, KEY_EC_P256, &key)) && rc_ok(name_list_parse(ctx, names.v, names.n, &list)));
    assert_true(rc_ok(csr_build(ctx, key, &list, NULL, &der)) && rc_ok(csr_parse(ctx, der, &csr)));
    struct wire_signer_acme_pin pin = {
        .attempt = "t1", .account = w->account, .identifiers = names, .csr_spki_hash = bytes_of(csr.spki_sha256, 32)};
    must_ask(w->f, "hub", WIRE_signer_acme_pin, &pin);
    return (struct wire_relay_order){.job = "j",
                                     .fence = 1,
                                     .attempt = "t1",
                                     .account = "acc",
                                     .directory_url = w->directory,
                                     .ca_roots_pem = w->roots_pem,
                                     .account_url = "",
                                     .terms_agreed = true,
                                     .identifiers = names,
                                     .csr = der,
                                     .order_url = "",
                                     .finalize_url = "",
                                     .profile = "",
                                     .replaces = "",
                                     .preferred_chain = ""};
}

static struct rc order(struct world *w, const struct wire_relay_order *in, struct wire_relay_order_done *out)
{
    struct relay_job job = {.http = w->client, .agent = &w->agent, .memory = w->memory};
    *out = (struct wire_relay_order_done){0};
    ctx_forget(&w->f->ctx);
    w->f->ctx.deadline_ms = clock_mono_ms() + 60000;
    return relay_do_order(&w->f->ctx, &job, in, out);
}

static void must_order(struct world *w, const struct wire_relay_order *in, struct wire_relay_order_done *out)
{
    struct rc rc = order(w, in, out);
    if (rc_failed(rc))
        print_message("%s: %s\n", err_info(rc.e)->name, ctx_why(&w->f->ctx));
    assert_int_equal(rc.e, E_OK);
}

/* The start phase, and the request for the other one. */
static struct wire_relay_order started(struct world *w)
{
    struct wire_relay_order in = order_wish(w, (struct wire_texts){two, 2});
    struct wire_relay_order_done out;
    must_order(w, &in, &out);
    assert_int_equal(out.state, WIRE_relay_order_done_state_challenges);
    assert_int_equal(out.urls.n, 2);
    in.phase = WIRE_relay_order_phase_finish;
    in.account_url = out.account_url;
    in.order_url = out.order_url;
    in.finalize_url = out.finalize_url;
    in.challenge_urls = out.urls;
    return in;
}

static void a_certificate_comes_from_a_ca_that_rejects_every_second_nonce(void **state)
{
    struct world *w = *state;
    struct wire_relay_order in = started(w);
    struct wire_relay_order_done out, again;
    must_order(w, &in, &out);
    assert_int_equal(out.state, WIRE_relay_order_done_state_valid);
    struct cert_chain chain;
    assert_true(rc_ok(relay_chain_check(&w->f->ctx, bytes_z(out.chain_pem), in.csr, two, 2, &chain)));
    assert_true(chain.n >= 2);
    int finalizes = w->finalizes;
    must_order(w, &in, &again); /* taken up again after the end: nothing is finalized twice */
    assert_int_equal(w->finalizes, finalizes);
    assert_string_equal(again.chain_pem, out.chain_pem);

    struct relay_job job = {.http = w->client, .agent = &w->agent};
    struct wire_relay_acme_revoke revoke = {.job = "j",
                                            .fence = 1,
                                            .account = "acc",
                                            .account_url = in.account_url,
                                            .directory_url = w->directory,
                                            .certificate = chain.v[0].der,
                                            .reason = 1};
    assert_true(rc_ok(relay_do_revoke(&w->f->ctx, &job, &revoke)));
    revoke.account_url = ""; /* found by its key */
    assert_true(rc_ok(relay_do_revoke(&w->f->ctx, &job, &revoke)));
}

static void wait_for_ca(struct world *w, bool forgets)
{
    w->memory = relay_memory_new();
    struct wire_relay_order in = started(w);
    struct wire_relay_order_done out;
    struct relay_known_order known;
    int waits = 0, gets = w->gets;
    must_order(w, &in, &out);
    assert_int_equal(w->gets, gets); /* what the start has seen is not asked for again */
    for (; out.state == WIRE_relay_order_done_state_waiting && waits < 100; waits++) {
        assert_string_equal(out.order_url, in.order_url);
        assert_true(out.wait_ms > 0 && out.wait_ms < 10000);
        usleep((useconds_t)out.wait_ms * 1000);
        if (forgets) {
            relay_memory_free(w->memory);
            w->memory = relay_memory_new();
        }
        must_order(w, &in, &out);
    }
    assert_true(waits > 0);
    assert_int_equal(out.state, WIRE_relay_order_done_state_valid);
    assert_false(relay_memory_order(&w->f->ctx, w->memory, in.order_url, &known));
    relay_memory_free(w->memory);
}

static void an_order_that_waits_is_given_back_and_gone_on_with(void **state) { wait_for_ca(*state, false); }

static void an_order_that_waits_is_gone_on_with_by_a_relay_that_forgot_it(void **state) { wait_for_ca(*state, true); }

static void an_order_is_taken_up_in_its_start_phase(void **state)
{
    struct world *w = *state;
    struct wire_relay_order in = started(w);
    struct wire_relay_order_done out;
    in.phase = WIRE_relay_order_phase_start;
    must_order(w, &in, &out);
    assert_string_equal(out.order_url, in.order_url);
    assert_int_equal(out.urls.n, 2);
    in.order_url = arena_printf(&w->f->ctx.arena, "https://" LOOPBACK ":%u/my-order/none", w->port);
    must_order(w, &in, &out); /* an order that is gone: another */
    assert_string_not_equal(out.order_url, in.order_url);
}

static void killed_at_any_point_the_order_ends_in_one_certificate(void **state)
{
    struct world *w = *state;
    struct wire_relay_order in = started(w);
    static const char *const points[] = {"relay.after_new_account=kill", "relay.after_challenge=kill", "relay.before_finalize=kill",
                                         "relay.after_finalize=kill", "relay.after_download=kill"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct wire_relay_order_done out;
            new_client(w);
            failpoint_set(points[i]);
            struct rc rc = order(w, &in, &out);
            _exit(rc_ok(rc) ? 1 : 2);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status))
            print_message("%s was not passed\n", points[i]);
        assert_true(WIFSIGNALED(status));
    }
    struct wire_relay_order_done out;
    must_order(w, &in, &out);
    assert_int_equal(w->finalizes, 0); /* the one before had done it */
}

static void a_refused_challenge_comes_with_the_cas_own_words(void **state)
{
    struct world *w = *state;
    struct wire_relay_order in = started(w);
    struct wire_relay_order_done out;
    atomic_store(&w->wrong_answers, true);
    struct rc rc = order(w, &in, &out);
    assert_int_equal(rc.e, E_CHALLENGE_FAILED);
    const char *why = ctx_why(&w->f->ctx);
    assert_non_null(strstr(why, "example.org"));
    assert_non_null(strstr(why, "unauthorized"));
}

static void the_order_outlives_connections_lost_after_each_kind_of_request(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    w->proxy = listen_on(&w->proxy_port);
    assert_int_equal(pthread_create(&thread, NULL, proxy_loop, w), 0);
    w->directory = arena_printf(&w->f->ctx.arena, "https://" LOOPBACK ":%u/dir", w->proxy_port);
    struct wire_signer_acme_account account = {.account = "proxied", .directory_url = w->directory, .key_kind = "ec-p256"};
    struct wire_signer_acme_key *key = must_ask(w->f, "hub", WIRE_signer_acme_account, &account);
    w->account = "proxied";
    w->thumbprint = key->thumbprint;
    w->drop_after = ~0U;
    struct wire_relay_order in = started(w);
    struct wire_relay_order_done out;
    must_order(w, &in, &out);
    assert_int_equal(out.state, WIRE_relay_order_done_state_valid);
    assert_int_equal(w->drop_after & 1U << WIRE_relay_sign_operation_finalize, 0);
    assert_true(w->finalizes >= 1);
    shutdown(w->proxy, SHUT_RDWR);
    close(w->proxy);
    pthread_join(thread, NULL);
}

static void an_account_that_the_ca_forgot_is_made_again(void **state)
{
    struct world *w = *state;
    struct wire_relay_order in = order_wish(w, (struct wire_texts){two, 2});
    struct wire_relay_order_done out;
    in.account_url = arena_printf(&w->f->ctx.arena, "https://" LOOPBACK ":%u/my-account/none", w->port);
    must_order(w, &in, &out);
    assert_string_not_equal(out.account_url, in.account_url);
}

static void a_wildcard_is_refused_where_only_dns_could_prove_it(void **state)
{
    static const char *wildcard[] = {"dns:*.example.org"};
    struct world *w = *state;
    struct wire_relay_order in = order_wish(w, (struct wire_texts){wildcard, 1});
    struct wire_relay_order_done out;
    assert_int_equal(order(w, &in, &out).e, E_UNSUPPORTED);
    assert_non_null(strstr(ctx_why(&w->f->ctx), "wildcard"));
}

static void a_ca_of_unknown_roots_or_at_a_private_address_is_not_spoken_to(void **state)
{
    struct world *w = *state;
    struct ctx *ctx = &w->f->ctx;
    struct wire_relay_acme_info in = {.directory_url = w->directory};
    struct wire_relay_acme_info_done out;
    struct relay_job job = {.http = w->client, .agent = &w->agent};
    assert_true(rc_ok(relay_do_info(ctx, &job, &in, &out)));
    assert_null(out.terms_of_service); /* Pebble's is a data: URL, which nobody should be sent to */
    assert_false(out.external_account_required);
    struct http_client *other = NULL;
    struct http_client_config nothing = {.roots_pem = bytes_z(w->roots_pem)};
    assert_true(rc_ok(http_client_new(ctx, &nothing, &other)));
    job.http = other;
    assert_int_equal(relay_do_info(ctx, &job, &in, &out).e, E_ADDRESS_REFUSED);
    http_client_free(other);
    struct cidr loopback;
    assert_true(cidr_parse(BYTES_LIT("127.0.0.0/8"), &loopback));
    struct http_client_config no_roots = {.grants = {&loopback, 1}};
    assert_true(rc_ok(http_client_new(ctx, &no_roots, &other)));
    job.http = other;
    assert_int_equal(relay_do_info(ctx, &job, &in, &out).e, E_TLS);
    http_client_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEBBLE_TEST(a_certificate_comes_from_a_ca_that_rejects_every_second_nonce),
        PEBBLE_TEST(an_order_that_waits_is_given_back_and_gone_on_with),
        PEBBLE_TEST(an_order_that_waits_is_gone_on_with_by_a_relay_that_forgot_it),
        PEBBLE_TEST(an_order_is_taken_up_in_its_start_phase),
        PEBBLE_TEST(killed_at_any_point_the_order_ends_in_one_certificate),
        PEBBLE_TEST(a_refused_challenge_comes_with_the_cas_own_words),
        PEBBLE_TEST(the_order_outlives_connections_lost_after_each_kind_of_request),
        PEBBLE_TEST(an_account_that_the_ca_forgot_is_made_again),
        PEBBLE_TEST(a_wildcard_is_refused_where_only_dns_could_prove_it),
        PEBBLE_TEST(a_ca_of_unknown_roots_or_at_a_private_address_is_not_spoken_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
