/* Deployments against a real nginx: the hands run in threads of one process, joined by real wire sockets; what is killed is a
 * forked process that holds all of them, at a failpoint, and another one goes on from the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/apply/apply.h"
#include "agent/deploy.h"
#include "agent/discover.h"
#include "agent/jobs.h"
#include "agent/present.h"
#include "agent/probe/probe.h"
#include "agent/run/run.h"
#include "base/encode.h"
#include "base/failpoint.h"
#include "os/file.h"
#include "os/spawn.h"
#include "pki/cert.h"

struct env {
    struct ctx ctx;
    char dir[64];
    int tls_port, http_port;
    pid_t nginx;
    int versions; /* attempts so far */
};

static const char *path_of(struct env *e, const char *name) { return arena_printf(&e->ctx.arena, "%s/%s", e->dir, name); }

static void put(struct env *e, const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(path_of(e, name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path_of(e, name), mode), 0);
}

static const char *get(struct env *e, const char *name)
{
    struct bytes b;
    if (rc_failed(file_read(&e->ctx, path_of(e, name), 1 << 20, &b)))
        return NULL;
    return arena_str(&e->ctx.arena, b);
}

static struct bytes run_program(struct env *e, const char *const *argv)
{
    struct spawn s = {.argv = argv, .timeout_ms = 20000};
    struct spawn_result r;
    struct rc rc = spawn_run(&e->ctx, &s, &r);
    if (rc_failed(rc) || r.exit_code != 0)
        fail_msg("%s %s: %s %.*s", argv[0], argv[1], ctx_why(&e->ctx), (int)r.out.n, (const char *)r.out.p);
    return r.out;
}

static int free_port(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    close(fd);
    return ntohs(sa.sin_port);
}

/* --- the host */

static void make_nginx(struct env *e)
{
    put(e, "web/nginx.conf", arena_printf(&e->ctx.arena,
        "daemon off; pid %1$s/nginx.pid; error_log %1$s/error.log; %4$s\nevents {}\nhttp {\n access_log off;\n"
        " client_body_temp_path %1$s/t1; proxy_temp_path %1$s/t2; fastcgi_temp_path %1$s/t3; uwsgi_temp_path %1$s/t4;"
        " scgi_temp_path %1$s/t5;\n"
        " server { listen 127.0.0.1:%2$d ssl; server_name www.example.org;\n"
        "  ssl_certificate %1$s/web/site.pem; ssl_certificate_key %1$s/web/site.key; }\n"
        " server { listen 127.0.0.1:%3$d; server_name www.example.org; return 301 https://$host$request_uri; }\n}\n",
        e->dir, e->tls_port, e->http_port, geteuid() == 0 ? "user root;" : ""), 0644);
    const char *argv[] = {"/usr/sbin/nginx", "-c", path_of(e, "web/nginx.conf"), "-p", e->dir, NULL};
    fflush(NULL);
    e->nginx = fork();
    if (e->nginx == 0) {
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    for (int i = 0; i < 500 && access(path_of(e, "nginx.pid"), F_OK) != 0; i++)
        usleep(10000);
}

static void make_config(struct env *e)
{
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    const char *nginx = arena_printf(&e->ctx.arena, "/usr/sbin/nginx -c %s/web/nginx.conf -p %s", e->dir, e->dir);
    /* poison: good only while the certificate is the one in that file; keep: reload does nothing */
    put(e, "check", arena_printf(&e->ctx.arena,
                                 "#!/bin/sh\n%s -t || exit 1\n[ ! -e %s/poison ] || cmp -s %s/poison %s/web/site.pem || "
        "{ echo the poison works; exit 3; }\n", nginx, e->dir, e->dir, e->dir), 0755);
    put(e, "reload", arena_printf(&e->ctx.arena, "#!/bin/sh\n[ -e %s/keep ] || exec %s -s reload\n", e->dir, nginx), 0755);
    put(e, "agent.yaml", arena_printf(&e->ctx.arena,
        "name: host\nstate: %1$s/state\nconnectors_dir: %2$s/connectors\nconnectors: [nginx, files, webroot, listener]\n"
        "paths: [%1$s/web]\nusers: [root]\ngroups: [root]\nnetworks: {probe: [127.0.0.0/8]}\n"
        "http01: {port: %3$d, address: \"127.0.0.1\"}\n"
        "commands:\n  nginx-check: [%1$s/check]\n  nginx-reload: [%1$s/reload]\n"
        "  nginx-dump: [/usr/sbin/nginx, -T, -c, %1$s/web/nginx.conf, -p, %1$s]\n", e->dir, here, e->http_port), 0600);
}

static int setup(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    ctx_init(&e->ctx, &clock_system);
    snprintf(e->dir, sizeof e->dir, "/tmp/cw-deploy-XXXXXX");
    assert_non_null(mkdtemp(e->dir));
    assert_int_equal(chmod(e->dir, 0755), 0);
    assert_int_equal(mkdir(path_of(e, "web"), 0755) | mkdir(path_of(e, "state"), 0755), 0);
    e->tls_port = free_port();
    e->http_port = free_port();
    const char *ca[] = {"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj",
                        "/CN=Test root", "-days", "30", "-keyout", path_of(e, "ca.key"), "-out", path_of(e, "ca.pem"), NULL};
    const char *first[] = {"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj",
                           "/CN=www.example.org", "-days", "1", "-keyout", path_of(e, "web/site.key"), "-out",
                           path_of(e, "web/site.pem"), NULL};
    run_program(e, ca);
    run_program(e, first);
    assert_int_equal(chmod(path_of(e, "web/site.key"), 0640), 0);
    make_config(e);
    make_nginx(e);
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct env *e = *state;
    kill(e->nginx, SIGTERM);
    waitpid(e->nginx, NULL, 0);
    const char *argv[] = {"/bin/rm", "-rf", e->dir, NULL};
    run_program(e, argv);
    ctx_free(&e->ctx);
    free(e);
    return 0;
}

/* --- the hands, in a process of their own */

struct hand {
    RC (*serve)(struct ctx *, struct wire_server *, const struct agent_config *, const char *, unsigned);
    struct wire_server *server;
    const struct agent_config *cfg;
};

static void *hand_thread(void *arg)
{
    struct hand *h = arg;
    CTX_CLEANUP struct ctx ctx;
    ctx_init(&ctx, &clock_system);
    if (rc_failed(h->serve(&ctx, h->server, h->cfg, "none", 2)))
        fprintf(stderr, "hand: %s\n", ctx_why(&ctx));
    return NULL;
}

static struct wire_peer *start_hand(struct ctx *ctx, const char *name, const struct agent_config *cfg,
                                    RC (*serve)(struct ctx *, struct wire_server *, const struct agent_config *, const char *,
                                                unsigned))
{
    struct hand *h = ARENA_NEW(&ctx->arena, struct hand);
    int pair[2];
    pthread_t thread;
    *h = (struct hand){serve, wire_server_new(&clock_system), cfg};
    struct wire_peer *ours = wire_peer_new("agent", name, NULL), *theirs = wire_peer_new(name, "agent", h->server);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        abort();
    wire_peer_replace(ours, pair[0]);
    wire_peer_replace(theirs, pair[1]);
    if (pthread_create(&thread, NULL, hand_thread, h) != 0)
        abort();
    return ours;
}

struct child {
    struct env *e;
    struct ctx *ctx;
    struct hands hands;
    struct story story;
};

/* Runs `fn` in a process with fresh hands.  Returns the error code, or -1 where it was killed by a signal. */
static int in_child(struct env *e, const char *failpoint, RC (*fn)(struct child *c, void *arg), void *arg)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct ctx ctx;
        struct agent_config cfg;
        struct child c = {.e = e, .ctx = &ctx};
        alarm(120);
        failpoint_set(failpoint);
        ctx_init(&ctx, &clock_system);
        if (rc_failed(agent_config_load(&ctx, path_of(e, "agent.yaml"), &cfg))) {
            fprintf(stderr, "%s\n", ctx_why(&ctx));
            _exit(250);
        }
        hands_init(&c.hands, &cfg);
        c.hands.apply = start_hand(&ctx, "apply", &cfg, apply_serve);
        c.hands.run = start_hand(&ctx, "run", &cfg, run_serve);
        c.hands.probe = start_hand(&ctx, "probe", &cfg, probe_serve);
        story_init(&c.story);
        struct rc rc = fn(&c, arg);
        FILE *f = fopen(path_of(e, "why"), "w");
        for (size_t i = 0; f != NULL && i < c.story.n; i++)
            fprintf(f, "%s: %s\n", c.story.steps[i].step, c.story.steps[i].text);
        if (f != NULL) {
            fprintf(f, "%s\n", ctx_why(&ctx));
            fclose(f);
        }
        _exit((int)rc.e);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define WORKS(code) \
    do { \
        int code_ = (code); \
        if (code_ != 0) \
            fail_msg("%s: %s", code_ < 0 ? "killed" : err_info((enum err)code_)->name, get(e, "why")); \
    } while (0)

/* --- one version */

struct version {
    char attempt[32];
    int64_t fence;
    const char *chain; /* PEM; NULL until signed */
    const char *connector, *parameters, *endpoints;
};

static RC make_key(struct child *c, void *arg)
{
    struct version *v = arg;
    const char *names[] = {"dns:www.example.org"};
    struct wire_apply_key_make in = {v->attempt, "ec-p256", {names, 1}, "", ""};
    struct wire_apply_key out;
    TRY(HANDS_CALL(c->ctx, c->hands.apply, apply_key_make, &in, apply_key, &out));
    return file_write_atomic_path(c->ctx, path_of(c->e, "request.der"), out.csr, FILE_KEEP_UID, FILE_KEEP_GID, 0600);
}

static struct version *new_version(struct env *e)
{
    struct version *v = ARENA_NEW(&e->ctx.arena, struct version);
    snprintf(v->attempt, sizeof v->attempt, "attempt%d", ++e->versions);
    v->fence = e->versions;
    v->connector = "nginx";
    v->parameters = arena_printf(&e->ctx.arena, "{\"certificate\":\"%s/web/site.pem\",\"key\":\"%s/web/site.key\"}", e->dir,
                                 e->dir);
    v->endpoints = arena_printf(&e->ctx.arena, "[{\"address\":\"127.0.0.1\",\"port\":%d,\"name\":\"www.example.org\"}]",
                                e->tls_port);
    WORKS(in_child(e, NULL, make_key, v));
    const char *sign[] = {"/usr/bin/openssl", "x509", "-req", "-inform", "DER", "-in", path_of(e, "request.der"), "-CA",
                          path_of(e, "ca.pem"), "-CAkey", path_of(e,
                                                                  "ca.key"), "-copy_extensions", "copyall", "-days", "10", "-out",
                          path_of(e, "leaf.pem"), NULL};
    run_program(e, sign);
    v->chain = get(e, "leaf.pem");
    return v;
}

static json_t *body_of(struct ctx *ctx, struct env *e, const struct version *v)
{
    struct buf b;
    struct json_out j;
    json_t *out = NULL;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "deployment", v->attempt);
    json_put_str(&j, "target", "target1");
    json_put_str(&j, "target_name", "the web server");
    json_put_str(&j, "connector", v->connector);
    json_put_raw(&j, "parameters", bytes_z(v->parameters));
    json_put_str(&j, "attempt", v->attempt);
    json_put_int(&j, "version", 1);
    json_put_str(&j, "chain_pem", v->chain);
    json_put_str(&j, "roots_pem", get(e, "ca.pem"));
    json_put_raw(&j, "endpoints", bytes_z(v->endpoints));
    json_close(&j);
    if (rc_failed(json_read(ctx, buf_bytes(&b), &out)))
        abort();
    return out;
}

static RC deploy(struct child *c, void *arg)
{
    struct version *v = arg;
    struct buf member;
    buf_init_arena(&member, &c->ctx->arena, 1 << 20);
    struct rc rc = deploy_run(c->ctx, &c->hands, &c->story, (struct lease){"job1", v->fence}, body_of(c->ctx, c->e, v), &member);
    put(c->e, "member.json", buf_z(&member), 0600);
    return rc;
}

/* What an agent does at its start, then the job again as the hub would lease it. */
static RC resume(struct child *c, void *arg)
{
    struct wire_apply_unfinished in = {0};
    struct wire_apply_targets all;
    struct buf member;
    struct lease lease;
    (void)arg;
    buf_init_arena(&member, &c->ctx->arena, 1 << 20);
    TRY(HANDS_CALL(c->ctx, c->hands.apply, apply_unfinished, &in, apply_targets, &all));
    for (size_t i = 0; i < all.targets.n; i++)
        TRY(deploy_resume(c->ctx, &c->hands, &c->story, all.targets.v[i], &lease, &member));
    return RC_OK;
}

static const char *served_now(struct env *e)
{
    const char *argv[] = {"/usr/bin/openssl", "s_client", "-connect", arena_printf(&e->ctx.arena, "127.0.0.1:%d", e->tls_port),
                          "-servername", "www.example.org", NULL};
    struct cert_chain chain;
    struct bytes out = run_program(e, argv);
    if (rc_failed(cert_chain_parse_pem(&e->ctx, out, 10, &chain)))
        fail_msg("%s", ctx_why(&e->ctx));
    return hex_str(&e->ctx.arena, bytes_of(chain.v[0].fingerprint, SHA256_LEN));
}

static const char *print_of(struct env *e, const char *pem)
{
    struct cert_chain chain;
    assert_true(rc_ok(cert_chain_parse_pem(&e->ctx, bytes_z(pem), 10, &chain)));
    return hex_str(&e->ctx.arena, bytes_of(chain.v[0].fingerprint, SHA256_LEN));
}

static void assert_served(struct env *e, const char *pem)
{
    const char *now = served_now(e);
    for (int i = 0; i < 100 && strcmp(now, print_of(e, pem)) != 0; i++) { /* old workers of nginx may still accept for a moment */
        usleep(20000);
        now = served_now(e);
    }
    assert_string_equal(now, print_of(e, pem));
}

static void assert_no_leftovers(struct env *e)
{
    const char *argv[] = {"/usr/bin/find", path_of(e, "web"), "-name", ".certwright*", NULL};
    assert_int_equal(run_program(e, argv).n, 0);
}

static unsigned mode_of(struct env *e, const char *name)
{
    struct stat st;
    assert_int_equal(stat(path_of(e, name), &st), 0);
    return st.st_mode & 07777;
}

/* --- the stories */

static void new_certificate_is_installed_and_proved(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e);
    WORKS(in_child(e, NULL, deploy, v));
    assert_served(e, v->chain);
    assert_non_null(strstr(get(e, "member.json"), "\"verdict\":\"served\""));
    assert_int_equal(mode_of(e, "web/site.key"), 0640); /* as it was */
    assert_int_equal(mode_of(e, "web/site.pem"), 0644);
    /* the same job again does nothing but prove it */
    v->fence += 100;
    WORKS(in_child(e, NULL, deploy, v));
    assert_non_null(strstr(get(e, "why"), "installed already"));
}

static void a_dry_run_shows_files_and_commands_and_does_nothing(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e);
    const char *before = get(e, "web/site.pem");
    struct version dry = *v;
    dry.endpoints = arena_printf(&e->ctx.arena, "%s,\"dry_run\":true", v->endpoints);
    WORKS(in_child(e, NULL, deploy, &dry));
    assert_non_null(strstr(get(e, "member.json"), "nginx-reload: "));
    assert_non_null(strstr(get(e, "member.json"), "web/site.key"));
    assert_string_equal(get(e, "web/site.pem"), before);
    assert_int_not_equal(access(path_of(e, "state/targets"), F_OK), 0);
}

static void configuration_broken_before_is_left_alone_and_named(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e);
    const char *conf = get(e, "web/nginx.conf"), *pem = get(e, "web/site.pem"), *key = get(e, "web/site.key");
    put(e, "web/nginx.conf", arena_printf(&e->ctx.arena, "%s nonsense;\n", conf), 0644);
    assert_int_equal(in_child(e, NULL, deploy, v), E_DEPLOY_FAILED);
    assert_non_null(strstr(get(e, "why"), "broken before"));
    assert_non_null(strstr(get(e, "why"), "unknown directive \"nonsense\"")); /* nginx's own words */
    assert_string_equal(get(e, "web/site.pem"), pem);
    assert_string_equal(get(e, "web/site.key"), key);
    assert_served(e, pem);
    put(e, "web/nginx.conf", conf, 0644);
    v->fence++;
    WORKS(in_child(e, NULL, deploy, v));
    assert_served(e, v->chain);
}

static void what_the_check_refuses_is_rolled_back(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e);
    const char *pem = get(e, "web/site.pem"), *key = get(e, "web/site.key");
    put(e, "poison", pem, 0644);
    assert_int_equal(in_child(e, NULL, deploy, v), E_DEPLOY_FAILED);
    assert_non_null(strstr(get(e, "why"), "the poison works"));
    assert_non_null(strstr(get(e, "member.json"), "\"rolled_back\":true"));
    assert_string_equal(get(e, "web/site.pem"), pem);
    assert_string_equal(get(e, "web/site.key"), key);
    assert_int_equal(mode_of(e, "web/site.key"), 0640);
    assert_served(e, pem);
    assert_no_leftovers(e);
    assert_int_equal(unlink(path_of(e, "poison")), 0);
    v->fence++;
    WORKS(in_child(e, NULL, deploy, v)); /* the next try of the same deployment begins anew */
    assert_served(e, v->chain);
}

static void a_reload_that_keeps_the_old_certificate_is_rolled_back(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e);
    const char *pem = get(e, "web/site.pem");
    put(e, "keep", "", 0644);
    assert_int_equal(in_child(e, NULL, deploy, v), E_NOT_SERVED);
    assert_non_null(strstr(get(e, "why"), "shows another certificate"));
    assert_string_equal(get(e, "web/site.pem"), pem);
    assert_int_equal(unlink(path_of(e, "keep")), 0);
}

static void certificate_for_another_key_is_refused_before_anything_is_written(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e), *w = new_version(e);
    const char *pem = get(e, "web/site.pem");
    v->chain = w->chain;
    assert_int_equal(in_child(e, NULL, deploy, v), E_BAD_CERTIFICATE);
    assert_string_equal(get(e, "web/site.pem"), pem);
}

static void path_that_is_not_granted_is_refused(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e);
    v->connector = "files";
    v->endpoints = "[]";
    v->parameters = arena_printf(&e->ctx.arena, "{\"leaf\":\"%s/web/../outside.pem\"}", e->dir);
    assert_int_equal(in_child(e, NULL, deploy, v), E_NOT_GRANTED);
    /* a link inside that leads out */
    assert_int_equal(symlink(path_of(e, "outside.pem"), path_of(e, "web/link.pem")), 0);
    put(e, "outside.pem", "x", 0644);
    v->parameters = arena_printf(&e->ctx.arena, "{\"leaf\":\"%s/web/link.pem\"}", e->dir);
    v->fence++;
    assert_int_equal(in_child(e, NULL, deploy, v), E_NOT_GRANTED);
    assert_string_equal(get(e, "outside.pem"), "x");
}

static void files_connector_writes_every_form_and_proves_it_by_reading_back(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e);
    v->connector = "files";
    v->endpoints = "[]";
    v->parameters = arena_printf(&e->ctx.arena,
                                 "{\"leaf\":\"%1$s/web/leaf\",\"key\":\"%1$s/web/key\",\"combined\":\"%1$s/web/all\","
                                 "\"root\":\"%1$s/web/root\",\"mode\":\"0444\",\"owner\":\"root\"}", e->dir);
    WORKS(in_child(e, NULL, deploy, v));
    assert_string_equal(get(e, "web/leaf"), v->chain);
    assert_string_equal(get(e, "web/root"), get(e, "ca.pem"));
    assert_string_equal(get(e, "web/all"), arena_printf(&e->ctx.arena, "%s%s", get(e, "web/key"), v->chain));
    assert_int_equal(mode_of(e, "web/leaf"), 0444);
    assert_int_equal(mode_of(e, "web/key"), 0600);
    assert_non_null(strstr(get(e, "member.json"), "\"verdict\":\"installed\""));
}

static void a_lower_fence_is_refused(void **state)
{
    struct env *e = *state;
    struct version *v = new_version(e), *w = new_version(e);
    WORKS(in_child(e, NULL, deploy, w));
    v->fence = w->fence - 1;
    assert_int_equal(in_child(e, NULL, deploy, v), E_FENCED);
    assert_served(e, w->chain);
}

static void killed_anywhere_the_deployment_is_finished_at_the_next_start(void **state)
{
    static const char *const points[] = {
        "apply.stage_begin", "apply.staged", "apply.saved",
        "apply.install_prepared", "apply.install_one", "apply.install_one@2", "apply.install_written", "apply.installed",
        "apply.commit_begin", "apply.committed", "apply.journal_before", "apply.journal_after", "apply.journal_before@3",
        "agent.install_before", "agent.install_after", "agent.check_before", "agent.reload_before", "agent.reload_after",
        "agent.prove_before", "agent.commit_before", "agent.commit_after", "run.before@2", "run.after@3", "probe.endpoint"};
    struct env *e = *state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct version *v = new_version(e);
        int code = in_child(e, arena_printf(&e->ctx.arena, "%s=kill", points[i]), deploy, v);
        if (code != -1)
            fail_msg("%s was not passed: %s", points[i], get(e, "why"));
        WORKS(in_child(e, NULL, resume, NULL));
        v->fence = ++e->versions;
        WORKS(in_child(e, NULL, deploy, v));
        assert_served(e, v->chain);
        assert_string_equal(get(e, "web/site.pem"), v->chain);
        assert_no_leftovers(e);
    }
}

static void killed_while_undoing_the_previous_files_are_back_at_the_next_start(void **state)
{
    static const char *const points[] = {"agent.undo_before", "apply.rollback_begin", "apply.rollback_one", "apply.rollback_one@2",
                                         "apply.rollback_restored", "apply.undone", "agent.undo_after", "agent.undo_close_before",
                                         "apply.failed", "agent.undo_close_after"};
    struct env *e = *state;
    const char *pem = get(e, "web/site.pem"), *key = get(e, "web/site.key");
    put(e, "poison", pem, 0644);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct version *v = new_version(e);
        int code = in_child(e, arena_printf(&e->ctx.arena, "%s=kill", points[i]), deploy, v);
        if (code != -1)
            fail_msg("%s was not passed: %s", points[i], get(e, "why"));
        code = in_child(e, NULL, resume, NULL);
        assert_true(code == E_OK || code == E_DEPLOY_FAILED);
        WORKS(in_child(e, NULL, resume, NULL)); /* nothing is left to do */
        assert_string_equal(get(e, "web/site.pem"), pem);
        assert_string_equal(get(e, "web/site.key"), key);
        assert_int_equal(mode_of(e, "web/site.key"), 0640);
        assert_no_leftovers(e);
    }
    assert_served(e, pem);
    assert_int_equal(unlink(path_of(e, "poison")), 0);
}

static void the_same_attempt_gives_the_same_key_and_request_after_a_kill(void **state)
{
    static const char *const points[] = {"apply.key_made", "apply.key_stored", "apply.key_answer"};
    struct env *e = *state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct version v = {.fence = 1};
        snprintf(v.attempt, sizeof v.attempt, "key%zu", i);
        assert_int_equal(in_child(e, arena_printf(&e->ctx.arena, "%s=kill", points[i]), make_key, &v), -1);
        const char *stored = get(e, arena_printf(&e->ctx.arena, "state/keys/%s.key", v.attempt));
        WORKS(in_child(e, NULL, make_key, &v));
        const char *key = get(e, arena_printf(&e->ctx.arena, "state/keys/%s.key", v.attempt));
        if (stored != NULL)
            assert_string_equal(stored, key);
        struct bytes one, two;
        assert_true(rc_ok(file_read(&e->ctx, path_of(e, "request.der"), 65536, &one)));
        WORKS(in_child(e, NULL, make_key, &v));
        assert_true(rc_ok(file_read(&e->ctx, path_of(e, "request.der"), 65536, &two)));
        assert_true(bytes_equal(one, two));
    }
}

/* --- challenges */

struct challenge {
    const char *connector, *parameters;
};

static RC present(struct child *c, void *arg)
{
    struct challenge *ch = arg;
    json_t *body = NULL;
    const char *text = arena_printf(&c->ctx->arena, "{\"attempt\":\"a\",\"identifier\":\"www.example.org\",\"token\":\"Tok_en-1\","
                                    "\"key_authorization\":\"Tok_en-1.thumb\",\"method\":\"http-01\",\"via\":{\"connector\":\"%s\","
                                    "\"parameters\":%s}}", ch->connector, ch->parameters);
    TRY(json_read(c->ctx, bytes_z(text), &body));
    TRY(present_run(c->ctx, &c->hands, &c->story, body));
    if (strcmp(ch->connector, "webroot") == 0)
        return RC_OK;
    struct wire_probe_http in = {"127.0.0.1", c->e->http_port, "www.example.org", "/.well-known/acme-challenge/Tok_en-1", 2000};
    struct wire_probe_http_seen seen;
    TRY(HANDS_CALL(c->ctx, c->hands.probe, probe_http, &in, probe_http_seen, &seen));
    if (seen.status != 200 || !bytes_equal_z(seen.body, "Tok_en-1.thumb"))
        return ctx_fail(c->ctx, E_CHALLENGE_FAILED, "status %d: %s", (int)seen.status, seen.detail);
    return RC_OK;
}

static RC clean(struct child *c, void *arg)
{
    (void)arg;
    return present_clean(c->ctx, &c->hands, &c->story, "Tok_en-1");
}

static void nginx_that_redirects_everything_serves_the_token_and_is_left_as_it_was(void **state)
{
    struct env *e = *state;
    struct challenge ch = {"nginx", "{}"};
    const char *conf = get(e, "web/nginx.conf");
    WORKS(in_child(e, NULL, present, &ch));
    assert_string_not_equal(get(e, "web/nginx.conf"), conf);
    WORKS(in_child(e, NULL, present, &ch)); /* again, as after a lost lease */
    WORKS(in_child(e, NULL, clean, NULL));
    assert_string_equal(get(e, "web/nginx.conf"), conf);
    WORKS(in_child(e, NULL, clean, NULL));
}

static void token_is_taken_away_after_a_kill_anywhere(void **state)
{
    static const char *const points[] = {"apply.challenge_recorded", "apply.challenge_edited", "agent.present_edited",
                                         "agent.present_reloaded", "probe.http"};
    static const char *const undoing[] = {"apply.challenge_removed_one", "apply.challenge_removed", "agent.clean_edited",
                                          "agent.clean_reloaded"};
    struct env *e = *state;
    struct challenge ch = {"nginx", "{}"};
    const char *conf = get(e, "web/nginx.conf");
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        assert_int_equal(in_child(e, arena_printf(&e->ctx.arena, "%s=kill", points[i]), present, &ch), -1);
        WORKS(in_child(e, NULL, clean, NULL));
        assert_string_equal(get(e, "web/nginx.conf"), conf);
    }
    for (size_t i = 0; i < sizeof undoing / sizeof *undoing; i++) {
        WORKS(in_child(e, NULL, present, &ch));
        assert_int_equal(in_child(e, arena_printf(&e->ctx.arena, "%s=kill", undoing[i]), clean, NULL), -1);
        WORKS(in_child(e, NULL, clean, NULL));
        assert_string_equal(get(e, "web/nginx.conf"), conf);
    }
    assert_no_leftovers(e);
}

static void webroot_gets_a_file_and_loses_it_again(void **state)
{
    struct env *e = *state;
    struct challenge ch = {"webroot", arena_printf(&e->ctx.arena, "{\"root\":\"%s/web\"}", e->dir)};
    WORKS(in_child(e, NULL, present, &ch));
    assert_string_equal(get(e, "web/.well-known/acme-challenge/Tok_en-1"), "Tok_en-1.thumb");
    WORKS(in_child(e, NULL, clean, NULL));
    assert_int_not_equal(access(path_of(e, "web/.well-known"), F_OK), 0);
}

static void listener_says_when_another_program_has_the_port(void **state)
{
    struct env *e = *state;
    struct challenge ch = {"listener", "{}"};
    assert_int_equal(in_child(e, NULL, present, &ch), E_IN_USE);
    assert_non_null(strstr(get(e, "why"), "another program listens"));
    kill(e->nginx, SIGTERM);
    waitpid(e->nginx, NULL, 0);
    WORKS(in_child(e, NULL, present, &ch));
    make_nginx(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dry_run_shows_files_and_commands_and_does_nothing),
        cmocka_unit_test(new_certificate_is_installed_and_proved),
        cmocka_unit_test(configuration_broken_before_is_left_alone_and_named),
        cmocka_unit_test(what_the_check_refuses_is_rolled_back),
        cmocka_unit_test(a_reload_that_keeps_the_old_certificate_is_rolled_back),
        cmocka_unit_test(certificate_for_another_key_is_refused_before_anything_is_written),
        cmocka_unit_test(a_lower_fence_is_refused),
        cmocka_unit_test(killed_anywhere_the_deployment_is_finished_at_the_next_start),
        cmocka_unit_test(killed_while_undoing_the_previous_files_are_back_at_the_next_start),
        cmocka_unit_test(the_same_attempt_gives_the_same_key_and_request_after_a_kill),
        cmocka_unit_test(path_that_is_not_granted_is_refused),
        cmocka_unit_test(files_connector_writes_every_form_and_proves_it_by_reading_back),
        cmocka_unit_test(nginx_that_redirects_everything_serves_the_token_and_is_left_as_it_was),
        cmocka_unit_test(token_is_taken_away_after_a_kill_anywhere),
        cmocka_unit_test(webroot_gets_a_file_and_loses_it_again),
        cmocka_unit_test(listener_says_when_another_program_has_the_port),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
