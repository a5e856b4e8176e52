/* What is asked of one name of a DNS provider is done one after the other, whoever asks, and different names at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/relay/dns.h"
#include "net/http_client.h"

#define THREADS 8
#define ROUNDS  20

static const char description[] =
    "provider: x\nparameters: {token: {type: credential, required: true}}\n"
    "dns:\n  base: \"https://127.0.0.1:9\"\n  auth: {family: bearer, token: \"{token}\"}\n  test: [{method: GET, path: /t}]\n"
    "  see: [{method: GET, path: /s, read: {id: {json: /id}}}]\n"
    "  add: [{method: POST, path: /a}]\n  remove: [{method: DELETE, path: /r}]\n";

struct world {
    char folder[64], files[2][96];
    struct ctx ctx;
    struct agent_config cfg;
    struct dns_locks *locks;
};

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void world_open(struct world *w)
{
    *w = (struct world){.folder = "/tmp/cw-dns-XXXXXX"};
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->files[0], sizeof w->files[0], "%s/x.yaml", w->folder);
    snprintf(w->files[1], sizeof w->files[1], "%s/token", w->folder);
    write_file(w->files[0], description);
    write_file(w->files[1], "secret-token\n");
    ctx_init(&w->ctx, &clock_system);
    const char *config = arena_printf(&w->ctx.arena,
                                      "dns_dir: %s\ndns: {x: {zones: [example.org]}}\n"
                                      "credentials: {t: {file: %s, hosts: [elsewhere.example]}}\n",
                                      w->folder, w->files[1]);
    assert_true(rc_ok(agent_config_parse(&w->ctx, "agent.yaml", bytes_z(config), &w->cfg)));
    assert_true(rc_ok(http_client_load(&w->ctx)));
    w->locks = dns_locks_new();
    assert_non_null(w->locks);
}

static void world_close(struct world *w)
{
    dns_locks_free(w->locks);
    unlink(w->files[0]);
    unlink(w->files[1]);
    rmdir(w->folder);
    ctx_free(&w->ctx);
}

/* It goes as far as the host, where the credential may not be sent: with the name taken, and given back. */
static void *ask(void *arg)
{
    struct world *w = arg;
    static const char *const names[] = {"_acme-challenge.example.org", "_acme-challenge.www.example.org"};
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        CTX_CLEANUP struct ctx ctx;
        struct credential_files files = {0};
        struct wire_relay_dns_done out;
        const struct wire_relay_dns in = {WIRE_relay_dns_verb_add, "x", "{\"token\": \"t\"}", "example.org", names[i % 2], "v"};
        ctx_init(&ctx, &clock_system);
        wrong += relay_dns_run(&ctx, &w->cfg, &files, w->locks, &in, &out).e != E_NOT_GRANTED;
    }
    return (void *)wrong;
}

static void many_ask_for_two_names(void **state)
{
    struct world w;
    pthread_t threads[THREADS];
    (void)state;
    world_open(&w);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &w), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_ask_for_two_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
