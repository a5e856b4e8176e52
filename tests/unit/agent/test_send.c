/* What a service may do to us over its socket: say no, say too much, say nothing, or be somebody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/apply/send.h"

static const char description[] =
    "connector: x\nparameters: {file: {type: path, required: true}, socket: {type: path, required: true}, other: {type: path}}\n"
    "files: [{content: combined, path: file, mode: \"0600\"}, {content: leaf, path: other, mode: \"0644\"}]\nsend:\n  socket: socket\n"
    "  steps:\n    - {text: \"hello {file}\\n\"}\n    - {text: \"set {file} <<\\n{file:file}\\n\\n\", expect: good}\n";

struct bench {
    struct ctx ctx;
    struct agent_config cfg;
    char folder[64], file[96], socket[96];
    int listener;
    pthread_t thread;
    /* What the service does: answers `answer` `times` times, and stays open where `stays`. */
    const char *answer;
    size_t times;
    bool stays;
    char heard[4096];
    size_t heard_n;
};

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void *serve(void *arg)
{
    struct bench *b = arg;
    for (int one; (one = accept(b->listener, NULL, NULL)) >= 0;) {
        ssize_t n = recv(one, b->heard + b->heard_n, sizeof b->heard - b->heard_n - 1, 0);
        b->heard_n += n > 0 ? (size_t)n : 0;
        bool first = bytes_starts_with(bytes_of(b->heard + b->heard_n - (n > 0 ? n : 0), n > 0 ? (size_t)n : 0), BYTES_LIT("hello"));
        for (size_t i = 0; !first && i < b->times && send(one, b->answer, strlen(b->answer), MSG_NOSIGNAL) > 0; i++)
            ;
        while (!first && b->stays && recv(one, &(char){0}, 1, 0) > 0)
            ;
        close(one);
    }
    return NULL;
}

static void bench_start(struct bench *b, const char *answer, size_t times, bool stays)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    *b = (struct bench){.folder = "/tmp/cw-send-XXXXXX", .answer = answer, .times = times, .stays = stays};
    ctx_init(&b->ctx, &clock_system);
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->file, sizeof b->file, "%s/site.pem", b->folder);
    snprintf(b->socket, sizeof b->socket, "%s/s", b->folder);
    put(arena_printf(&b->ctx.arena, "%s/x.yaml", b->folder), description, 0644);
    put(b->file, "\nKEY\n\n \nLEAF\n\n", 0600);
    const char *text = arena_printf(&b->ctx.arena, "state: %s/state\nconnectors_dir: %s\nconnectors: [x]\npaths: [%s]\n", b->folder,
                                    b->folder, b->folder);
    assert_true(rc_ok(agent_config_parse(&b->ctx, "agent.yaml", bytes_z(text), &b->cfg)));
    assert_int_equal(mkdir(b->cfg.state_dir, 0700), 0);
    memcpy(a.sun_path, b->socket, strlen(b->socket));
    b->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(b->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(b->listener, 8), 0);
    assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
}

static int drop_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void bench_stop(struct bench *b)
{
    shutdown(b->listener, SHUT_RDWR);
    pthread_join(b->thread, NULL);
    close(b->listener);
    nftw(b->folder, drop_one, 8, FTW_DEPTH | FTW_PHYS);
    ctx_free(&b->ctx);
}

static struct rc tell(struct bench *b, const char *file, const char *socket_path)
{
    struct target_ref ref = {"t", "", 0};
    const char *params = arena_printf(&b->ctx.arena, "{\"file\":\"%s\",\"socket\":\"%s\"}", file, socket_path);
    return send_steps(&b->ctx, &b->cfg, &ref, "x", params);
}

static void says(struct bench *b, struct rc rc, enum err e, const char *words)
{
    if (rc.e != e || strstr(ctx_why(&b->ctx), words) == NULL)
        fail_msg("error %d (%s) is not %d with \"%s\"", (int)rc.e, ctx_why(&b->ctx), (int)e, words);
}

static void what_is_sent_is_the_file_without_its_empty_lines(void **state)
{
    struct bench b;
    (void)state;
    bench_start(&b, "all good\n", 1, true); /* it is not waited for that it closes */
    says(&b, tell(&b, b.file, b.socket), E_OK, "");
    const char *wanted = arena_printf(&b.ctx.arena, "hello %s\nset %s <<\nKEY\nLEAF\n\n", b.file, b.file);
    shutdown(b.listener, SHUT_RDWR);
    assert_string_equal(b.heard, wanted);
    bench_stop(&b);
}

static void an_answer_that_is_not_good_is_told_in_its_words(void **state)
{
    static const struct {
        const char *answer;
        size_t times;
        bool stays;
        int64_t patience_ms;
        enum err e;
        const char *words;
    } rows[] = {
        {"Permission denied\n", 1, false, 0, E_DEPLOY_FAILED, "Permission denied"},
        {"", 0, false, 0, E_DEPLOY_FAILED, "says: nothing"},
        {"\x1b[31mred\r\n\xff", 1, false, 0, E_DEPLOY_FAILED, " [31mred"},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", SIZE_MAX, false, 0,
         E_TOO_LARGE, "answers with more than"},
        {"go", 1, true, 300, E_TIMEOUT, "does not answer"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench b;
        bench_start(&b, rows[i].answer, rows[i].times, rows[i].stays);
        if (rows[i].patience_ms > 0)
            b.ctx.deadline_ms = clock_mono_ms() + rows[i].patience_ms;
        says(&b, tell(&b, b.file, b.socket), rows[i].e, rows[i].words);
        bench_stop(&b);
    }
}

static void only_sockets_and_words_that_are_granted_are_used(void **state)
{
    struct bench b;
    (void)state;
    bench_start(&b, "good", 1, false);
    says(&b, tell(&b, b.file, "/run/some.sock"), E_NOT_GRANTED, "/run/some.sock");
    ctx_forget(&b.ctx);
    says(&b, tell(&b, b.file, arena_printf(&b.ctx.arena, "%s/none", b.folder)), E_UNREACHABLE, "does the service run");
    ctx_forget(&b.ctx);
    says(&b, tell(&b, b.file, b.file), E_INVALID, "is not a socket");
    ctx_forget(&b.ctx);
    /* A link that leads elsewhere. */
    const char *link_path = arena_printf(&b.ctx.arena, "%s/link", b.folder);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    says(&b, tell(&b, b.file, link_path), E_NOT_GRANTED, "/etc/passwd");
    ctx_forget(&b.ctx);
    says(&b, tell(&b, arena_printf(&b.ctx.arena, "%s/a;b", b.folder), b.socket), E_INVALID, "would not be taken as part of a word");
    ctx_forget(&b.ctx);
    says(&b, tell(&b, arena_printf(&b.ctx.arena, "%s/absent", b.folder), b.socket), E_NOT_FOUND, "is not there");
    ctx_forget(&b.ctx);
    /* An old lease. */
    struct target_ref ref = {"t", "other", 0};
    assert_int_equal(send_steps(&b.ctx, &b.cfg, &ref, "x", "{}").e, E_CONFLICT);
    bench_stop(&b);
}

static void a_key_is_not_sent_to_somebody_who_may_not_read_it(void **state)
{
    struct bench b;
    (void)state;
    if (geteuid() != 0)
        return; /* another user cannot be played */
    bench_start(&b, "good", 1, false);
    /* Who listens counts, as of the call of listen(): a child of another user takes the socket's place. */
    assert_int_equal(chmod(b.folder, 0777), 0);
    assert_int_equal(unlink(b.socket), 0);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        memcpy(a.sun_path, b.socket, strlen(b.socket));
        if (setgid(65534) != 0 || setuid(65534) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 8) != 0)
            _exit(1);
        (void)!write(ready[1], "x", 1);
        for (int one; (one = accept(fd, NULL, NULL)) >= 0; close(one))
            (void)!recv(one, &(char[4096]){0}, 4096, 0);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &(char){0}, 1), 1);
    says(&b, tell(&b, b.file, b.socket), E_NOT_GRANTED, "listened on by user 65534");
    ctx_forget(&b.ctx);
    /* The file's owner could read it anyway. */
    assert_int_equal(chown(b.file, 65534, 65534), 0);
    says(&b, tell(&b, b.file, b.socket), E_DEPLOY_FAILED, "says: nothing");
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
    bench_stop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_the_file_without_its_empty_lines),
        cmocka_unit_test(an_answer_that_is_not_good_is_told_in_its_words),
        cmocka_unit_test(only_sockets_and_words_that_are_granted_are_used),
        cmocka_unit_test(a_key_is_not_sent_to_somebody_who_may_not_read_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
