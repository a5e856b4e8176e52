/* What an issuer has answered is told again for the same job and request, and for no other; the journal is in /tmp. */
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
    char dir[32], folder[64];
    struct agent_config cfg;
};

static void place_make(struct place *p)
{
    *p = (struct place){.dir = "/tmp/cw-enroll-XXXXXX"};
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->folder, sizeof p->folder, "%s/enroll", p->dir);
    assert_int_equal(mkdir(p->folder, 0700), 0);
    p->cfg.state_dir = p->dir;
}

static void place_end(struct ctx *ctx, struct place *p)
{
    FD_CLEANUP int dir = -1;
    struct str_list names = {0};
    must(ctx, file_open_dir(ctx, p->folder, &dir));
    must(ctx, file_list(ctx, dir, &names));
    for (size_t i = 0; i < names.n; i++)
        must(ctx, file_remove(ctx, dir, names.v[i]));
    rmdir(p->folder);
    rmdir(p->dir);
}

static struct enroll_journal noted(struct ctx *ctx, const struct place *p, const char *job, const char *csr)
{
    struct enroll_journal j;
    must(ctx, enroll_journal_open(ctx, &p->cfg, job, bytes_z(csr), &j));
    return j;
}

static void nothing_is_noted(struct ctx *ctx, const struct place *p, const char *job, const char *csr)
{
    const struct enroll_journal j = noted(ctx, p, job, csr);
    assert_true(!j.answered && j.n == 0 && *j.asking == '\0' && *j.answer.chain_pem == '\0');
}

static void an_answer_is_of_one_job_and_request(void **state)
{
    static struct http_header headers[] = {{"location", "https://ca/7\xff"}, {"set-cookie", "session=1"}};
    CTX_CLEANUP struct ctx ctx;
    struct place p;
    struct enroll_journal j;
    (void)state;
    ctx_init(&ctx, &clock_moved);
    place_make(&p);
    nothing_is_noted(&ctx, &p, JOB, "request");
    j = noted(&ctx, &p, JOB, "request");
    must(&ctx, enroll_journal_asking(&ctx, &j, "1 POST https://ca/"));
    assert_string_equal(noted(&ctx, &p, JOB, "request").asking, "1 POST https://ca/");
    const struct enroll_said said = {.request = "1 POST https://ca/",
                                     .status = 202,
                                     .retry_after_s = -1,
                                     .headers = {headers, 2, 2},
                                     .body = BYTES_LIT("\0any bytes\xff")};
    must(&ctx, enroll_journal_said(&ctx, &j, &said));
    j = noted(&ctx, &p, JOB, "request");
    const struct enroll_said *is = enroll_journal_find(&j, "1 POST https://ca/");
    assert_non_null(is);
    assert_true(is->status == 202 && is->retry_after_s == -1 && bytes_equal(is->body, said.body) && *j.asking == '\0');
    assert_string_equal(http_headers_get(&is->headers, "Location"), "https://ca/7\xff");
    assert_null(http_headers_get(&is->headers, "set-cookie")); /* whoever reads the file gets no session */
    assert_null(enroll_journal_find(&j, "2 POST https://ca/"));
    const struct wire_relay_enroll_done done = {
        .state = WIRE_relay_enroll_done_state_pending, .chain_pem = "", .reference = "42", .retry_after_s = 9};
    must(&ctx, enroll_journal_answered(&ctx, &j, &done));
    j = noted(&ctx, &p, JOB, "request");
    assert_true(j.answered && j.answer.state == WIRE_relay_enroll_done_state_pending && j.answer.retry_after_s == 9 && j.n == 0);
    assert_string_equal(j.answer.reference, "42");
    nothing_is_noted(&ctx, &p, JOB, "another request");
    nothing_is_noted(&ctx, &p, "01other", "request");
    must(&ctx, enroll_journal_forget(&ctx, &j));
    nothing_is_noted(&ctx, &p, JOB, "request");
    /* A job cannot name a file elsewhere. */
    assert_true(rc_failed(enroll_journal_open(&ctx, &p.cfg, "../log", BYTES_LIT("request"), &j)));
    ctx_forget(&ctx);
    place_end(&ctx, &p);
}

static void what_is_too_much_is_not_kept(void **state)
{
    CTX_CLEANUP struct ctx ctx;
    struct place p;
    struct enroll_said said = {.request = "1 POST https://ca/", .status = 200};
    (void)state;
    ctx_init(&ctx, &clock_moved);
    place_make(&p);
    struct enroll_journal j = noted(&ctx, &p, JOB, "request");
    said.body = (struct bytes){arena_array(&ctx.arena, ENROLL_BODY_MAX + 1, 1), ENROLL_BODY_MAX + 1};
    must(&ctx, enroll_journal_said(&ctx, &j, &said));
    nothing_is_noted(&ctx, &p, JOB, "request");
    said.body.n--;
    for (size_t i = 0; i < ENROLL_SAID_MAX + 2; i++)
        must(&ctx, enroll_journal_said(&ctx, &j, &said));
    assert_int_equal(noted(&ctx, &p, JOB, "request").n, ENROLL_SAID_MAX);
    place_end(&ctx, &p);
}

static void what_cannot_be_read_says_nothing(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{\"asking\": \"x\"}", "{\"csr_sha256\": 7, \"asking\": \"x\"}",
        "{%s}", "{%s, \"asking\": \"x\"}", "{%s, \"asking\": \"x\", \"said\": 7}",
        "{%s, \"asking\": \"x\", \"said\": [{\"request\": \"x\", \"status\": 7, \"retry_after_s\": 0, \"body\": \"\", \"headers\": []}]}",
        "{%s, \"asking\": \"x\", \"said\": [{\"request\": \"x\", \"status\": 200, \"retry_after_s\": 0, \"body\": \"*\", \"headers\": []}]}",
        "{%s, \"asking\": \"x\", \"said\": [{\"request\": \"x\", \"status\": 200, \"retry_after_s\": 0, \"body\": \"\", \"headers\": [7]}]}"};
    CTX_CLEANUP struct ctx ctx;
    struct place p;
    char path[128];
    (void)state;
    ctx_init(&ctx, &clock_moved);
    place_make(&p);
    snprintf(path, sizeof path, "%s/" JOB ".json", p.folder);
    const char *hash = arena_printf(&ctx.arena, "\"csr_sha256\": \"%s\"", noted(&ctx, &p, JOB, "request").hash);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *at = strstr(texts[i], "%s");
        const char *text = at == NULL ? texts[i] : arena_printf(&ctx.arena, "{%s%s", hash, at + 2);
        must(&ctx, file_write_atomic_path(&ctx, path, bytes_z(text), FILE_KEEP_UID, FILE_KEEP_GID, 0600));
        nothing_is_noted(&ctx, &p, JOB, "request");
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
    struct enroll_journal j = noted(&ctx, &p, JOB, "request"), next = noted(&ctx, &p, "01next", "request");
    must(&ctx, enroll_journal_asking(&ctx, &j, "x"));
    moved_s = 6 * 86400;
    must(&ctx, enroll_journal_asking(&ctx, &next, "x"));
    assert_string_equal(noted(&ctx, &p, JOB, "request").asking, "x");
    moved_s = 8 * 86400;
    must(&ctx, enroll_journal_asking(&ctx, &next, "x"));
    nothing_is_noted(&ctx, &p, JOB, "request");
    moved_s = 0;
    place_end(&ctx, &p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_of_one_job_and_request),
        cmocka_unit_test(what_is_too_much_is_not_kept),
        cmocka_unit_test(what_cannot_be_read_says_nothing),
        cmocka_unit_test(it_is_forgotten_after_a_week),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
