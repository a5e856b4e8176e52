#include "base/base_test.h"

#include <signal.h>
#include <stdalign.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"

static void memory_is_zeroed_and_aligned_for_any_type(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    for (size_t n = 0; n < 5000; n += 37) {
        const uint8_t *p = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset((void *)(uintptr_t)p, 0xff, n);
    }
}

static void pieces_do_not_overlap(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    uint8_t *v[500];
    for (size_t i = 0; i < 500; i++) {
        v[i] = arena_alloc(&a, i + 1);
        memset(v[i], (int)(i & 255), i + 1);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t k = 0; k <= i; k++)
            assert_int_equal(v[i][k], i & 255);
}

static void reset_gives_zeroed_memory_again_and_keeps_the_first_block(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    uint8_t *first = arena_alloc(&a, 100);
    memset(first, 0xaa, 100);
    (void)arena_alloc(&a, 1 << 20);
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    const uint8_t *again = arena_alloc(&a, 100);
    assert_ptr_equal(again, first);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(again[i], 0);
}

static void an_empty_arena_can_be_reset_and_freed_twice(void **state)
{
    (void)state;
    struct arena a = {0};
    arena_reset(&a);
    arena_free(&a);
    (void)arena_alloc(&a, 1);
    arena_free(&a);
    arena_free(&a);
    assert_int_equal(a.used, 0);
}

static void strings_are_copied_with_a_nul_added_and_embedded_nuls_kept(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    const char *s = arena_str(&a, BYTES_LIT("a\0b"));
    assert_memory_equal(s, "a\0b\0", 4);
    assert_null(arena_strdup(&a, NULL));
    assert_string_equal(arena_strdup(&a, "text"), "text");
    assert_bytes(arena_bytes(&a, BYTES_LIT("x\0y")), "x\0y");
}

static void long_formatted_text_is_whole(void **state)
{
    (void)state;
    struct arena ARENA_CLEANUP a = {0};
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    const char *s = arena_printf(&a, "%0500d|%s", 1, "end");
    assert_int_equal(strlen(s), 504);
    assert_string_equal(s + 499, "1|end");
}

/* Runs `fn` in a child; returns the signal that ended it. */
static int signal_of(void (*fn)(void))
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void take_too_much(void)
{
    struct arena a = {.max = 10000};
    for (int i = 0; i < 200; i++)
        (void)arena_alloc(&a, 100);
}

static void take_too_many(void)
{
    struct arena a = {0};
    (void)arena_array(&a, SIZE_MAX / 2, 3);
}

static void over_the_ceiling_the_process_ends(void **state)
{
    (void)state;
    assert_int_equal(signal_of(take_too_much), SIGABRT);
}

static void an_array_whose_size_overflows_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(signal_of(take_too_many), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned_for_any_type),
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(reset_gives_zeroed_memory_again_and_keeps_the_first_block),
        cmocka_unit_test(an_empty_arena_can_be_reset_and_freed_twice),
        cmocka_unit_test(strings_are_copied_with_a_nul_added_and_embedded_nuls_kept),
        cmocka_unit_test(long_formatted_text_is_whole),
        cmocka_unit_test(over_the_ceiling_the_process_ends),
        cmocka_unit_test(an_array_whose_size_overflows_ends_the_process),
    };
    return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
