/* A key on its way from one host to another: what opens it, and what does not. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/apply/keystore.h"
#include "agent/apply/sharing.h"
#include "os/file.h"

struct world {
    struct ctx ctx;
    struct agent_config maker, receiver;
    char folders[2][32];
    struct sharing s;
    struct bytes sealed, public;
};

#define ATTEMPT "attempt1"
#define assert_rc(expr, code)                                                                                                      \
    do {                                                                                                                           \
        struct rc rc_ = (expr);                                                                                                    \
        if (rc_.e != (code))                                                                                                       \
            fail_msg("%s gave %s: %s", #expr, err_info(rc_.e)->name, ctx_why(&w->ctx));                                            \
    } while (0)

static void make_key(struct world *w, const struct agent_config *cfg, const char *attempt, uint8_t hash[SHA256_LEN])
{
    static const char *const names[] = {"dns:www.example.org"};
    const struct keystore_wish wish = {.attempt = attempt, .key_kind = "ec-p256", .names = names, .n_names = 1};
    struct bytes csr;
    assert_rc(keystore_make(&w->ctx, cfg, &wish, &csr, hash), E_OK);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct agent_config *hosts[] = {&w->maker, &w->receiver};
    uint8_t *hash;
    ctx_init(&w->ctx, &clock_system);
    for (size_t i = 0; i < 2; i++) {
        snprintf(w->folders[i], sizeof w->folders[i], "/tmp/cw-sharing-XXXXXX");
        assert_non_null(mkdtemp(w->folders[i]));
        *hosts[i] = (struct agent_config){.file = "agent.yaml", .state_dir = w->folders[i], .share_keys = true};
    }
    hash = arena_alloc(&w->ctx.arena, SHA256_LEN);
    make_key(w, &w->maker, ATTEMPT, hash);
    w->s = (struct sharing){"installation1", "managed1", ATTEMPT, "agent2", bytes_of(hash, SHA256_LEN)};
    assert_rc(sharing_public(&w->ctx, &w->receiver, &w->public), E_OK);
    assert_rc(sharing_seal(&w->ctx, &w->maker, &w->s, w->public, &w->sealed), E_OK);
    *state = w;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(nftw(w->folders[i], remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    ctx_free(&w->ctx);
    free(w);
    return 0;
}

static void what_was_made_on_one_host_is_kept_on_another(void **state)
{
    struct world *w = *state;
    KEY_CLEANUP struct key *here = NULL, *there = NULL;
    struct bytes again;
    struct stat st;
    assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, w->sealed), E_OK);
    assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, w->sealed), E_OK);
    assert_rc(keystore_load(&w->ctx, &w->maker, ATTEMPT, &here), E_OK);
    assert_rc(keystore_load(&w->ctx, &w->receiver, ATTEMPT, &there), E_OK);
    assert_true(key_same(here, there) && key_is_private(there));
    assert_rc(sharing_public(&w->ctx, &w->receiver, &again), E_OK);
    assert_true(bytes_equal(again, w->public));
    assert_int_equal(stat(arena_printf(&w->ctx.arena, "%s/keys/seal.x25519", w->folders[1]), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
}

static void it_opens_for_nothing_else_than_it_was_sealed_for(void **state)
{
    struct world *w = *state;
    const char **fields[] = {&w->s.installation, &w->s.certificate, &w->s.attempt, &w->s.agent};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *was = *fields[i];
        *fields[i] = "other";
        assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, w->sealed), E_CRYPTO);
        *fields[i] = was;
    }
    const struct bytes was = w->s.spki_sha256;
    w->s.spki_sha256 = bytes_of(w->public.p, 32);
    assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, w->sealed), E_CRYPTO);
    w->s.spki_sha256 = was;
    assert_rc(sharing_open(&w->ctx, &w->maker, &w->s, w->sealed), E_CRYPTO); /* another host */
    assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, bytes_of(w->sealed.p, w->sealed.n - 1)), E_CRYPTO);
    assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, bytes_of(w->sealed.p, 20)), E_PARSE);
    struct key *none = NULL;
    assert_rc(keystore_load(&w->ctx, &w->receiver, ATTEMPT, &none), E_NOT_FOUND);
}

static void a_key_that_is_kept_is_never_replaced_by_another(void **state)
{
    struct world *w = *state;
    uint8_t own[SHA256_LEN];
    make_key(w, &w->receiver, ATTEMPT, own); /* its own, for the same attempt */
    assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, w->sealed), E_CONFLICT);
    KEY_CLEANUP struct key *kept = NULL;
    uint8_t now[SHA256_LEN];
    assert_rc(keystore_load(&w->ctx, &w->receiver, ATTEMPT, &kept), E_OK);
    assert_rc(digest_sha256(&w->ctx, key_spki(kept), now), E_OK);
    assert_memory_equal(now, own, SHA256_LEN);
}

static void only_a_host_that_grants_it_seals_and_only_the_key_that_is_meant(void **state)
{
    struct world *w = *state;
    struct bytes out;
    w->maker.share_keys = false;
    assert_rc(sharing_seal(&w->ctx, &w->maker, &w->s, w->public, &out), E_NOT_GRANTED);
    assert_non_null(strstr(ctx_why(&w->ctx), "share_keys: true in agent.yaml"));
    w->maker.share_keys = true;
    w->receiver.share_keys = false;
    assert_rc(sharing_open(&w->ctx, &w->receiver, &w->s, w->sealed), E_NOT_GRANTED);
    w->receiver.share_keys = true;
    const struct bytes was = w->s.spki_sha256;
    w->s.spki_sha256 = bytes_of(w->public.p, 32);
    assert_rc(sharing_seal(&w->ctx, &w->maker, &w->s, w->public, &out), E_INVALID);
    w->s.spki_sha256 = was;
    w->s.attempt = "attempt2";
    assert_rc(sharing_seal(&w->ctx, &w->maker, &w->s, w->public, &out), E_NOT_FOUND);
    w->s.attempt = "../keys/seal";
    assert_rc(sharing_seal(&w->ctx, &w->maker, &w->s, w->public, &out), E_INVALID);
    w->s.attempt = ATTEMPT;
    const uint8_t zero[32] = {0};
    assert_rc(sharing_seal(&w->ctx, &w->maker, &w->s, bytes_of(zero, 32), &out), E_CRYPTO);
}

static void a_damaged_sealing_key_is_told_and_not_replaced(void **state)
{
    struct world *w = *state;
    const char *path = arena_printf(&w->ctx.arena, "%s/keys/seal.x25519", w->folders[1]);
    struct bytes out;
    assert_int_equal(truncate(path, 31), 0);
    assert_rc(sharing_public(&w->ctx, &w->receiver, &out), E_PARSE);
    assert_non_null(strstr(ctx_why(&w->ctx), "is damaged; remove it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_made_on_one_host_is_kept_on_another, setup, teardown),
        cmocka_unit_test_setup_teardown(it_opens_for_nothing_else_than_it_was_sealed_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_kept_is_never_replaced_by_another, setup, teardown),
        cmocka_unit_test_setup_teardown(only_a_host_that_grants_it_seals_and_only_the_key_that_is_meant, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_sealing_key_is_told_and_not_replaced, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
