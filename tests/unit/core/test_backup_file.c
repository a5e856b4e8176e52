/* The file of a backup: what went in comes out, and nothing that was changed does. */
#include <fcntl.h>
#include <unistd.h>

#include "../pki/pki_test.h"

#include "core/backup_file.h"
#include "pki/hpke.h"
#include "pki/seal.h"
#include "pki/stream.h"

#define ok(expr) assert_true(rc_ok(expr))

struct got {
    struct buf text;
    int64_t count;
};

static struct rc section(struct ctx *ctx, void *arg, const char *kind, const char *name, const char *detail)
{
    struct got *g = arg;
    (void)ctx;
    buf_printf(&g->text, "[%s %s%s%s]", kind, name, detail ? " " : "", detail ? detail : "");
    return RC_OK;
}

static struct rc data(struct ctx *ctx, void *arg, struct bytes bytes)
{
    struct got *g = arg;
    (void)ctx;
    g->count += (int64_t)bytes.n;
    if (bytes.n < 20)
        buf_put(&g->text, bytes);
    return RC_OK;
}

static void made(struct ctx *ctx, const char *path, struct bytes public)
{
    struct backup_writer *w = NULL;
    const struct backup_head head = {.id = "b1", .installation = "Test", .version = "1", .engine = "sqlite", .made_at = 1700000000};
    int64_t bytes = 0;
    uint8_t *much = calloc(1, 1 << 20);
    assert_non_null(much);
    for (size_t i = 0; i < 1 << 20; i++)
        much[i] = (uint8_t)(i * 2654435761u >> 13);
    ok(backup_write(ctx, path, &head, public, &w));
    ok(backup_section(ctx, w, "table", "team", "[\"id\"]"));
    ok(backup_data(ctx, w, BYTES_LIT("one")));
    ok(backup_data(ctx, w, (struct bytes){0}));
    ok(backup_section_end(ctx, w, 2));
    ok(backup_section(ctx, w, "signer", "journal", NULL));
    ok(backup_data(ctx, w, bytes_of(much, 1 << 20))); /* over several blocks */
    ok(backup_section_end(ctx, w, 1 << 20));
    ok(backup_write_end(ctx, w, BYTES_LIT("{\"epoch\":7}"), &bytes));
    backup_writer_free(w);
    free(much);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(bytes > 1000);
}

static enum err tried(struct ctx *ctx, const char *path, const struct secret *key, struct got *g)
{
    const struct backup_visitor v = {.arg = g, .section = section, .data = data};
    struct backup_head head = {0};
    struct backup_reader *r = NULL;
    json_auto_t *manifest = NULL;
    struct rc rc = backup_open(ctx, path, &head, &r);
    if (rc_ok(rc))
        rc = backup_unlock(ctx, r, key);
    if (rc_ok(rc))
        rc = backup_read(ctx, r, &v, &manifest);
    if (rc_ok(rc))
        assert_int_equal(json_integer_value(json_object_get(json_object_get(manifest, "facts"), "epoch")), 7);
    backup_reader_free(r);
    return rc.e;
}

static void what_went_in_comes_out_and_nothing_else_does(void **state)
{
    struct ctx CTX_CLEANUP ctx;
    SECRET_CLEANUP struct secret key = {0}, other = {0};
    HPKE_KEY_CLEANUP struct hpke_key *pair = NULL;
    char path[] = "/tmp/certwright-backup-XXXXXX";
    struct got g = {0};
    (void)state;
    ctx_init(&ctx, &clock_system);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    ok(recovery_key_new(&ctx, &key));
    ok(recovery_key_new(&ctx, &other));
    ok(recovery_hpke(&ctx, &key, &pair));
    made(&ctx, path, hpke_key_public(pair));
    buf_init(&g.text, 4096);
    assert_int_equal(tried(&ctx, path, &key, &g), E_OK);
    assert_string_equal(buf_z(&g.text), "[table team [\"id\"]]one[signer journal]");
    assert_int_equal(g.count, 3 + (1 << 20));
    assert_int_equal(tried(&ctx, path, &other, &g), E_CRYPTO);
    /* Each byte of it counts: a stride of them, and the end. */
    const int file = open(path, O_RDWR);
    const off_t size = lseek(file, 0, SEEK_END);
    for (off_t at = 0; at < size; at += at < 600 ? 7 : size / 50) {
        uint8_t b = 0;
        assert_int_equal(pread(file, &b, 1, at), 1);
        b ^= 1;
        assert_int_equal(pwrite(file, &b, 1, at), 1);
        assert_int_not_equal(tried(&ctx, path, &key, &g), E_OK);
        b ^= 1;
        assert_int_equal(pwrite(file, &b, 1, at), 1);
        ctx_forget(&ctx);
    }
    assert_int_equal(tried(&ctx, path, &key, &g), E_OK);
    assert_int_equal(ftruncate(file, size - 1), 0);
    assert_int_not_equal(tried(&ctx, path, &key, &g), E_OK);
    close(file);
    unlink(path);
    buf_free(&g.text);
}

static void chunks_open_in_their_place_alone(void **state)
{
    struct ctx CTX_CLEANUP ctx;
    SECRET_CLEANUP struct secret key = {0};
    struct buf one BUF_CLEANUP = {0}, two BUF_CLEANUP = {0};
    struct bytes plain;
    (void)state;
    ctx_init(&ctx, &clock_system);
    ok(seal_key_new(&ctx, &key));
    struct stream out = {.key = &key}, in = {.key = &key};
    buf_init(&one, 1000);
    buf_init(&two, 1000);
    ok(stream_seal(&ctx, &out, BYTES_LIT("first"), false, &one));
    ok(stream_seal(&ctx, &out, BYTES_LIT(""), true, &two));
    assert_int_equal(stream_seal(&ctx, &out, BYTES_LIT("late"), true, &two).e, E_BUG);
    assert_int_equal(stream_open(&ctx, &in, buf_bytes(&two), true, &plain).e, E_CRYPTO); /* another place */
    assert_int_equal(stream_open(&ctx, &in, buf_bytes(&one), true, &plain).e, E_CRYPTO); /* cut off behind it */
    ok(stream_open(&ctx, &in, buf_bytes(&one), false, &plain));
    assert_true(bytes_equal(plain, BYTES_LIT("first")));
    assert_int_equal(stream_open(&ctx, &in, buf_bytes(&two), false, &plain).e, E_CRYPTO);
    ok(stream_open(&ctx, &in, buf_bytes(&two), true, &plain));
    assert_true(in.ended && plain.n == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_went_in_comes_out_and_nothing_else_does),
                                       cmocka_unit_test(chunks_open_in_their_place_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
