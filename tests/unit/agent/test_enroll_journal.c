/* What an issuer has answered is told again for the same job and request, and for no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/enroll_journal.h"
#include "os/file.h"

#define JOB "01job"

static volatile int64_t moved_s;
static const struct clock clock_moved = {&moved_s};

static void must(struct ctx *ctx, struct rc rc)
{
    if (rc_failed(rc))
        fail_msg("%s", ctx_why(ctx));
}

struct place {
    char dir[32], results[64];
    struct agent_config cfg;
};

static void place_make(struct place *p)
{
    *p = (struct place){.dir = "/tmp/cw-enroll-XXXXXX"};
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->results, sizeof p->results, "%s/results", p->dir);
    assert_int_equal(mkdir(p->results, 0700), 0);
    p->cfg.state_dir = p->dir;
}

static void place_end(struct ctx *ctx, struct place *p)
{
    FD_CLEANUP int dir = -1;
    struct str_list names = {0};
    must(ctx, file_open_dir(ctx, p->results, &dir));
    must(ctx, file_list(ctx, dir, &names));
    for (size_t i = 0; i < names.n; i++)
        must(ctx, file_remove(ctx, dir, names.v[i]));
    rmdir(p->results);
    rmdir(p->dir);
}

static struct enroll_noted noted(struct ctx *ctx, const struct place *p, const char *job, const char *csr)
{
    struct enroll_noted n;
    must(ctx, enroll_journal_read(ctx, &p->cfg, job, bytes_z(csr), &n));
    return n;
}

static void an_answer_is_of_one_job_and_request(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct place p;
    (void)state;
    ctx_init(&ctx, &clock_moved);
    place_make(&p);
    assert_int_equal(noted(&ctx, &p, JOB, "request").asked_at, 0);
    struct enroll_noted n = {.asked_at = 7};
    must(&ctx, enroll_journal_write(&ctx, &p.cfg, JOB, BYTES_LIT("request"), &n));
    assert_true(noted(&ctx, &p, JOB, "request").asked_at == 7 && !noted(&ctx, &p, JOB, "request").answered);
    n.answered = true;
    n.answer = (struct wire_relay_enroll_done){
        .state = WIRE_relay_enroll_done_state_pending, .chain_pem = "", .reference = "42", .retry_after_s = 9};
    must(&ctx, enroll_journal_write(&ctx, &p.cfg, JOB, BYTES_LIT("request"), &n));
    n = noted(&ctx, &p, JOB, "request");
    assert_true(n.answered && n.answer.state == WIRE_relay_enroll_done_state_pending && n.answer.retry_after_s == 9);
    assert_string_equal(n.answer.reference, "42");
    assert_int_equal(noted(&ctx, &p, JOB, "another request").asked_at, 0);
    assert_int_equal(noted(&ctx, &p, "01other", "request").asked_at, 0);
    must(&ctx, enroll_journal_forget(&ctx, &p.cfg, JOB));
    assert_int_equal(noted(&ctx, &p, JOB, "request").asked_at, 0);
    /* A job cannot name a file elsewhere. */
    assert_true(rc_failed(enroll_journal_read(&ctx, &p.cfg, "../log", BYTES_LIT("request"), &n)));
    ctx_forget(&ctx);
    place_end(&ctx, &p);
}

static void what_cannot_be_read_says_nothing(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{\"asked_at\": 7}", "{\"csr_sha256\": 7, \"asked_at\": 7}"};
    CTX_CLEANUP struct ctx ctx;
    struct place p;
    char path[128];
    (void)state;
    ctx_init(&ctx, &clock_moved);
    place_make(&p);
    snprintf(path, sizeof path, "%s/enroll-" JOB ".json", p.results);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        must(&ctx, file_write_atomic_path(&ctx, path, bytes_z(texts[i]), FILE_KEEP_UID, FILE_KEEP_GID, 0600));
        const struct enroll_noted n = noted(&ctx, &p, JOB, "request");
        assert_true(n.asked_at == 0 && !n.answered);
    }
    place_end(&ctx, &p);
}

static void it_is_forgotten_after_a_week(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct place p;
    (void)state;
    ctx_init(&ctx, &clock_moved);
    place_make(&p);
    const struct enroll_noted n = {.asked_at = 7};
    must(&ctx, enroll_journal_write(&ctx, &p.cfg, JOB, BYTES_LIT("request"), &n));
    moved_s = 6 * 86400;
    must(&ctx, enroll_journal_write(&ctx, &p.cfg, "01next", BYTES_LIT("request"), &n));
    assert_int_equal(noted(&ctx, &p, JOB, "request").asked_at, 7);
    moved_s = 8 * 86400;
    must(&ctx, enroll_journal_write(&ctx, &p.cfg, "01last", BYTES_LIT("request"), &n));
    assert_int_equal(noted(&ctx, &p, JOB, "request").asked_at, 0);
    moved_s = 0;
    place_end(&ctx, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_of_one_job_and_request),
        cmocka_unit_test(what_cannot_be_read_says_nothing),
        cmocka_unit_test(it_is_forgotten_after_a_week),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
