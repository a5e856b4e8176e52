/* Questions that somebody waits for: taken once, answered once, by the agent that has them, and gone with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/types.h"
#include "base/str.h"
#include "core/live.h"
#include "pki/hpke.h"

#define KEY hpke_key_public(relay)

static struct ctx ctx;
static struct core core;
static struct hpke_key *relay;
static struct str_list woken;

static void wake(void *arg, const char *key)
{
    (void)arg;
    str_list_add(&ctx.arena, &woken, arena_strdup(&ctx.arena, key));
}

static int setup(void **state)
{
    (void)state;
    ctx_init(&ctx, &clock_system);
    core = (struct core){.wake = wake, .clock = ctx.clock};
    woken = (struct str_list){0};
    assert_true(rc_ok(live_open(&ctx, &core)));
    return rc_ok(hpke_key_new(&ctx, HPKE_X25519, &relay)) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    live_close(&core);
    hpke_key_free(relay);
    ctx_free(&ctx);
    return 0;
}

static struct rc ask(const char *address, const char *password, const char **id)
{
    static const char *const urls[] = {"ldaps://ldap.example.org"};
    SECRET_CLEANUP struct secret s = {0};
    const struct api_live_question q = {
        .id = "", .user = "jane", .credential = "corp", .directory = {.urls = {urls, 1}, .base = "dc=example,dc=org"}};
    assert_true(rc_ok(secret_from(&ctx, &s, bytes_z(password))));
    return live_ask(&ctx, &core, address, &s, &q, "the note", id);
}

static size_t take(const char *boot, struct api_live_question **out)
{
    size_t n = 0;
    assert_true(rc_ok(live_take(&ctx, &core, boot, KEY, out, &n)));
    return n;
}

static struct rc look(const char *id, bool last, const struct api_live_answer **out)
{
    const char *note = NULL;
    return live_look(&ctx, &core, id, last, out, &note);
}

static void one_is_taken_and_answered_once(void **state)
{
    const char *id = NULL;
    struct api_live_question *q;
    const struct api_live_answer *a;
    SECRET_CLEANUP struct secret opened = {0};
    (void)state;
    assert_int_equal(ask("192.0.2.1", "otters", &id).e, E_BUSY); /* nobody waits for it yet */
    ctx_forget(&ctx);
    assert_false(live_ready(&core));
    assert_int_equal(take("boot-1", &q), 0);
    assert_true(live_ready(&core) && str_list_has(&woken, LIVE_READY));
    assert_true(rc_ok(ask("192.0.2.1", "otters", &id)));
    assert_true(str_list_has(&woken, LIVE_AGENT));
    assert_int_equal(take("boot-1", &q), 1);
    assert_string_equal(q[0].id, id);
    assert_string_equal(q[0].user, "jane");
    assert_string_equal(q[0].directory.base, "dc=example,dc=org");
    assert_true(rc_ok(hpke_open(&ctx, relay, BYTES_LIT("certwright live question v1"), bytes_z(id), q[0].sealed, &opened)));
    assert_true(bytes_equal_z(secret_use(&opened), "otters"));
    assert_int_equal(take("boot-1", &q), 0);
    assert_true(rc_ok(look(id, false, &a)) && a == NULL);
    const struct api_live_answer good = {.id = id, .state = "good", .subject = "one"}, other = {.id = "another", .state = "good"};
    assert_true(rc_ok(live_answered(&ctx, &core, "boot-1", KEY, &other)));
    assert_true(rc_ok(live_answered(&ctx, &core, "boot-2", KEY, &good))); /* not theirs */
    assert_true(rc_ok(look(id, false, &a)) && a == NULL);
    assert_true(rc_ok(live_answered(&ctx, &core, "boot-1", KEY, &good)));
    assert_true(str_list_has(&woken, live_key(&ctx, id)));
    assert_true(rc_ok(look(id, false, &a)) && a != NULL);
    assert_string_equal(a->subject, "one");
    assert_int_equal(look(id, false, &a).e, E_TIMEOUT);
}

static void an_error_comes_as_it_was_told(void **state)
{
    const char *id = NULL;
    struct api_live_question *q;
    const struct api_live_answer *a;
    (void)state;
    take("boot-1", &q);
    assert_true(rc_ok(ask("", "otters", &id)));
    take("boot-1", &q);
    const struct api_live_answer bad = {.id = id, .error = "tls", .why = "not one to be trusted"};
    assert_true(rc_ok(live_answered(&ctx, &core, "boot-1", KEY, &bad)));
    assert_int_equal(look(id, false, &a).e, E_TLS);
    assert_non_null(strstr(ctx_why(&ctx), "not one to be trusted"));
}

static void what_a_dead_agent_had_is_lost_and_what_nobody_took_ends(void **state)
{
    const char *first = NULL, *second = NULL;
    struct api_live_question *q;
    const struct api_live_answer *a;
    (void)state;
    take("boot-1", &q);
    assert_true(rc_ok(ask("192.0.2.1", "otters", &first)));
    assert_int_equal(take("boot-1", &q), 1);
    assert_true(rc_ok(ask("192.0.2.1", "badgers", &second)));
    assert_int_equal(take("boot-2", &q), 1); /* the second; the first is not asked again */
    assert_string_equal(q[0].id, second);
    assert_true(str_list_has(&woken, live_key(&ctx, first)));
    assert_int_equal(look(first, false, &a).e, E_BUSY);
    assert_int_equal(look(second, true, &a).e, E_TIMEOUT);
    const struct api_live_answer late = {.id = second, .state = "good"};
    assert_true(rc_ok(live_answered(&ctx, &core, "boot-2", KEY, &late)));
    assert_int_equal(look(second, false, &a).e, E_TIMEOUT);
}

static void there_is_room_for_so_many(void **state)
{
    const char *id = NULL;
    struct api_live_question *q;
    const struct api_live_answer *a;
    (void)state;
    take("boot-1", &q);
    for (int i = 0; i < LIVE_PER_ADDRESS; i++)
        assert_true(rc_ok(ask("2001:db8::1", "otters", &id)));
    assert_int_equal(ask("2001:db8::2", "otters", &id).e, E_BUSY); /* the same /64 */
    for (int i = LIVE_PER_ADDRESS; i < LIVE_MOST; i++)
        assert_true(rc_ok(ask(arena_printf(&ctx.arena, "192.0.2.%d", i), "otters", &id)));
    assert_int_equal(ask("198.51.100.1", "otters", &id).e, E_BUSY);
    /* The agent has so many at once, and the next with each that ends. */
    assert_int_equal(take("boot-1", &q), LIVE_AT_ONCE);
    const struct api_live_answer good = {.id = q[0].id, .state = "good"}, late = {.id = q[1].id, .state = "good"};
    assert_int_equal(take("boot-1", &q), 0);
    woken = (struct str_list){0};
    assert_true(rc_ok(live_answered(&ctx, &core, "boot-1", KEY, &good)));
    assert_true(str_list_has(&woken, LIVE_AGENT));
    assert_int_equal(take("boot-1", &q), 1);
    assert_int_equal(look(late.id, true, &a).e, E_TIMEOUT);
    assert_int_equal(take("boot-1", &q), 1);
    assert_true(rc_ok(ask("198.51.100.1", "otters", &id)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(one_is_taken_and_answered_once), TEST(an_error_comes_as_it_was_told),
                                       TEST(what_a_dead_agent_had_is_lost_and_what_nobody_took_ends),
                                       TEST(there_is_room_for_so_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
