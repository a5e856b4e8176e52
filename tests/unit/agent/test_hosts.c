/* Certificates that lie on a host: what of a folder is read, in how many batches, and what is told of what cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/apply/hosts.h"
#include "base/encode.h"
#include "base/json.h"
#include "os/file.h"
#include "pki/pem.h"
#include "lib/made_cert.h"

struct host {
    struct ctx ctx;
    char dir[64];
    struct agent_config cfg;
    json_t *files;  /* all that was told */
    size_t batches, certs;
};

static int drop_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

static void host_done(struct host *h)
{
    json_decref(h->files);
    assert_int_equal(nftw(h->dir, drop_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    ctx_free(&h->ctx);
}
#define HOST __attribute__((cleanup(host_done))) struct host

static void configure(struct host *h, const char *more)
{
    const char *text = arena_printf(&h->ctx.arena, "inventory: {usual: false, folders: [%s/a, %s/a/b]%s}\n", h->dir, h->dir, more);
    if (rc_failed(agent_config_parse(&h->ctx, "agent.yaml", bytes_z(text), &h->cfg)))
        fail_msg("%s", ctx_why(&h->ctx));
}

static void host_make(struct host *h)
{
    *h = (struct host){.dir = "/tmp/cw-hosts-XXXXXX"};
    ctx_init(&h->ctx, &clock_system);
    assert_non_null(mkdtemp(h->dir));
    assert_true(rc_ok(file_mkdirs(&h->ctx, arena_printf(&h->ctx.arena, "%s/a/b", h->dir), 0755)));
    configure(h, "");
}

static const char *path_of(struct host *h, const char *name) { return arena_printf(&h->ctx.arena, "%s/%s", h->dir, name); }

static const char *put(struct host *h, const char *name, struct bytes content)
{
    const char *path = path_of(h, name);
    if (rc_failed(file_write_atomic_path(&h->ctx, path, content, FILE_KEEP_UID, FILE_KEEP_GID, 0600)))
        fail_msg("%s", ctx_why(&h->ctx));
    return path;
}

static struct bytes der_of(struct host *h, uint64_t serial)
{
    const char *names[] = {"www.example.org"};
    const struct made_cert c = {.serial = serial, .issuer_cn = "CA", .subject_cn = "www", .names = names, .names_n = 1,
                                .not_before = 1790000000, .not_after = 1797776000};
    return made_cert(&h->ctx, &c);
}

static struct bytes pem_of(struct host *h, uint64_t serial)
{
    struct buf b;
    buf_init_arena(&b, &h->ctx.arena, 1 << 16);
    pem_put(&b, PEM_KEY, BYTES_LIT("secret secret"));
    pem_put(&b, PEM_CERTIFICATE, der_of(h, serial));
    return buf_bytes(&b);
}

/* All batches; no file may come twice. */
static void look(struct host *h, const char *const *files, const char *const *services, size_t n)
{
    struct hosts_ask ask = {.files = files, .services = services, .n = n, .after = ""};
    struct hosts_batch b;
    json_decref(h->files);
    h->files = json_object();
    h->batches = h->certs = 0;
    do {
        json_auto_t *root = NULL;
        const json_t *f;
        size_t i;
        if (rc_failed(hosts_look(&h->ctx, &h->cfg, &ask, &b)) || rc_failed(json_read(&h->ctx, bytes_z(b.json), &root)))
            fail_msg("%s", ctx_why(&h->ctx));
        assert_null(strstr(b.json, "c2VjcmV0")); /* "secret" */
        json_array_foreach(json_object_get(root, "files"), i, f) {
            const char *path = json_string_value(json_object_get(f, "path"));
            if (json_object_get(h->files, path) != NULL)
                fail_msg("%s is told twice", path);
            json_object_set(h->files, path, (json_t *)(uintptr_t)f);
        }
        h->certs += json_array_size(json_object_get(root, "certificates"));
        ask.after = b.after;
        assert_true(++h->batches < 100);
    } while (*b.after != '\0');
}

static const char *told(struct host *h, const char *name, const char *key)
{
    const char *v = json_string_value(json_object_get(json_object_get(h->files, path_of(h, name)), key));
    return v != NULL ? v : "-";
}

static void certificates_are_found_and_keys_stay(void **state)
{
    HOST h;
    (void)state;
    host_make(&h);
    put(&h, "a/one.pem", pem_of(&h, 1));
    put(&h, "a/b/two.der", der_of(&h, 2));
    put(&h, "a/noname", pem_of(&h, 3));
    struct buf quoted;
    buf_init_arena(&quoted, &h.ctx.arena, 1 << 16);
    buf_put_z(&quoted, "it said:\n");
    buf_put(&quoted, pem_of(&h, 5));
    put(&h, "a/some.log", buf_bytes(&quoted));
    put(&h, "a/empty.pem", (struct bytes){0});
    put(&h, "a/5ad8a5d6.0", pem_of(&h, 4));
    look(&h, NULL, NULL, 0);
    assert_int_equal(json_object_size(h.files), 3);
    assert_string_equal(told(&h, "a/one.pem", "state"), "ok");
    assert_string_equal(told(&h, "a/one.pem", "kind"), "file");
    assert_string_equal(told(&h, "a/b/two.der", "format"), "der");
    assert_string_equal(told(&h, "a/noname", "format"), "pem");
    assert_int_equal(h.certs, 3);
}

/* More than one batch holds, in folders and beside them: each once, none left out. */
static void a_walk_goes_on_where_the_batch_before_ended(void **state)
{
    HOST h;
    (void)state;
    host_make(&h);
    for (unsigned i = 0; i < 2 * HOSTS_BATCH_FILES + 3; i++)
        put(&h, arena_printf(&h.ctx.arena, "a/%s%u", i % 3 == 0 ? "b/" : "", i), pem_of(&h, i + 1));
    put(&h, "a/b.pem", pem_of(&h, 9001)); /* sorts behind the folder's name, and before what is in it as text */
    put(&h, "a/zzz.pem", pem_of(&h, 9002));
    look(&h, NULL, NULL, 0);
    assert_int_equal(h.batches, 3);
    assert_int_equal(json_object_size(h.files), 2 * HOSTS_BATCH_FILES + 3 + 2);
    assert_int_equal(h.certs, 2 * HOSTS_BATCH_FILES + 3 + 2);
}

static void what_services_name_is_told_with_their_name(void **state)
{
    HOST h;
    static const char *const services[] = {"nginx", "apache", "nginx", "nginx", "nginx"};
    (void)state;
    host_make(&h);
    put(&h, "outside.pem", pem_of(&h, 2));
    assert_int_equal(mkfifo(path_of(&h, "a/pipe.pem"), 0600), 0);
    assert_int_equal(symlink(path_of(&h, "outside.pem"), path_of(&h, "a/link.pem")), 0);
    const char *files[] = {put(&h, "a/one.pem", pem_of(&h, 1)), path_of(&h, "outside.pem"), path_of(&h, "a/gone.pem"),
                           path_of(&h, "a/pipe.pem"), put(&h, "a/key.pem", BYTES_LIT("no certificate"))};
    look(&h, files, services, 5);
    assert_string_equal(told(&h, "a/one.pem", "service"), "nginx");
    assert_string_equal(told(&h, "outside.pem", "state"), "not_granted");
    assert_non_null(strstr(told(&h, "outside.pem", "detail"), "inventory: folders"));
    assert_string_equal(told(&h, "a/gone.pem", "state"), "gone");
    assert_string_equal(told(&h, "a/pipe.pem", "state"), "unreadable");
    assert_int_equal(json_object_size(h.files), 4); /* neither the key nor the link that leads out */
    assert_int_equal(h.certs, 1);
}

static void what_lies_in_the_way_is_bounded_and_said(void **state)
{
    HOST h;
    struct buf many;
    (void)state;
    host_make(&h);
    put(&h, "a/huge.pem", pem_of(&h, 1));
    assert_int_equal(truncate(path_of(&h, "a/huge.pem"), INT64_C(1) << 40), 0);
    put(&h, "a/huge.bin", pem_of(&h, 1));
    assert_int_equal(truncate(path_of(&h, "a/huge.bin"), INT64_C(1) << 40), 0);
    assert_int_equal(symlink("loop.pem", path_of(&h, "a/loop.pem")), 0);
    assert_int_equal(symlink(path_of(&h, "a"), path_of(&h, "a/b/up")), 0);
    put(&h, "a/broken.pem", BYTES_LIT("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"));
    put(&h, "a/endless.pem", BYTES_LIT("-----BEGIN CERTIFICATE-----\nMIIB\n"));
    buf_init_arena(&many, &h.ctx.arena, 1 << 20);
    for (uint64_t i = 1; i <= HOSTS_CERTS_MAX + 8; i++)
        buf_put(&many, pem_of(&h, i));
    put(&h, "a/many.pem", buf_bytes(&many));
    put(&h, "a/\xff.pem", pem_of(&h, 7));
    look(&h, NULL, NULL, 0);
    assert_string_equal(told(&h, "a/huge.pem", "state"), "too_large");
    assert_string_equal(told(&h, "a/huge.bin", "state"), "-");
    assert_string_equal(told(&h, "a/loop.pem", "state"), "unreadable");
    assert_string_equal(told(&h, "a/broken.pem", "state"), "bad_file");
    assert_string_equal(told(&h, "a/endless.pem", "detail"), "a certificate in it has no end");
    assert_string_equal(told(&h, "a/many.pem", "detail"), "8 more certificates are in it");
    assert_int_equal(h.certs, HOSTS_CERTS_MAX);
    assert_int_equal(json_object_size(h.files), 5);
    if (geteuid() == 0) { /* root reads everything: as somebody else */
        assert_int_equal(chmod(h.dir, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
        look(&h, NULL, NULL, 0);
        assert_int_equal(seteuid(0), 0);
        assert_string_equal(told(&h, "a/many.pem", "state"), "unreadable");
        assert_string_equal(told(&h, "a/many.pem", "detail"), "Permission denied");
    }
}

static const char *store_at(struct host *h, const char *password)
{
    return arena_printf(&h->ctx.arena, ", stores: [{file: %s/a/s.p12, passphrase: %s/%s}]", h->dir, h->dir, password);
}

static void openssl(const char *const *argv)
{
    char *environment[] = {NULL};
    pid_t child = 0;
    int status = 0;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawnp(&child, "openssl", &quiet, NULL, (char *const *)(uintptr_t)argv, environment), 0);
    posix_spawn_file_actions_destroy(&quiet);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void key_stores_want_their_passphrase(void **state)
{
    HOST h;
    (void)state;
    host_make(&h);
    const char *key = path_of(&h, "k"), *cert = path_of(&h, "c");
    openssl((const char *[]){"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                             key, "-out", cert, "-subj", "/CN=x", NULL});
    for (const char *to = "s"; to != NULL; to = *to == 's' ? "t" : NULL)
        openssl((const char *[]){"openssl", "pkcs12", "-export", "-inkey", key, "-in", cert, "-passout", "pass:right", "-out",
                                 path_of(&h, arena_printf(&h.ctx.arena, "a/%s.p12", to)), NULL});
    put(&h, "right", BYTES_LIT("right\n"));
    put(&h, "wrong", BYTES_LIT("wrong\n"));
    configure(&h, store_at(&h, "right"));
    look(&h, NULL, NULL, 0);
    assert_string_equal(told(&h, "a/s.p12", "state"), "ok");
    assert_string_equal(told(&h, "a/s.p12", "format"), "pkcs12");
    assert_string_equal(told(&h, "a/t.p12", "state"), "locked");
    assert_non_null(strstr(told(&h, "a/t.p12", "detail"), "inventory: stores"));
    configure(&h, store_at(&h, "wrong"));
    look(&h, NULL, NULL, 0);
    assert_string_equal(told(&h, "a/s.p12", "state"), "locked");
    configure(&h, store_at(&h, "none"));
    look(&h, NULL, NULL, 0);
    assert_non_null(strstr(told(&h, "a/s.p12", "detail"), "none is not there"));
}

static void a_position_of_somebodys_making_is_refused(void **state)
{
    static const char *const rows[] = {"x", "99:/", ":", "18446744073709551616:/a"};
    HOST h;
    struct hosts_batch b;
    (void)state;
    host_make(&h);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct hosts_ask ask = {.after = rows[i]};
        assert_int_equal(hosts_look(&h.ctx, &h.cfg, &ask, &b).e, E_INVALID);
    }
    const struct hosts_ask outside = {.after = "0:/etc/ssl/x"};
    assert_true(rc_ok(hosts_look(&h.ctx, &h.cfg, &outside, &b)));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_found_and_keys_stay), cmocka_unit_test(a_walk_goes_on_where_the_batch_before_ended),
        cmocka_unit_test(what_services_name_is_told_with_their_name), cmocka_unit_test(what_lies_in_the_way_is_bounded_and_said),
        cmocka_unit_test(key_stores_want_their_passphrase), cmocka_unit_test(a_position_of_somebodys_making_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
