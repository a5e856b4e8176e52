/* Watching a managed certificate until it is as it should be. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "cli/cli.h"

#define WAIT_S    30
#define TIMEOUT_S 600

/* --- Ctrl-C while waiting: the work goes on at the hub, so leaving is no failure of it.  A thread takes the signal, as nothing
 * that a handler may do is enough to say so. */

static void *leave_on_interrupt(void *arg)
{
    const struct cli_leaver *l = arg;
    sigset_t set;
    int which = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    if (sigwait(&set, &which) == 0) {
        fprintf(stderr, "\n%s\n", l->hint);
        _exit(130);
    }
    return NULL;
}

RC cli_leaver_start(struct cli *cli, struct cli_leaver *l, const char *hint)
{
    l->hint = hint;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) || pthread_create(&l->thread, NULL, leave_on_interrupt, l))
        return ctx_fail(cli->ctx, E_NO_MEMORY, "cannot start a thread");
    return RC_OK;
}

void cli_leaver_stop(struct cli_leaver *l)
{
    pthread_cancel(l->thread);
    pthread_join(l->thread, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* --- the story */

static const char *events_path(struct cli *cli, const char *id, int64_t after, int64_t wait_s)
{
    return cli_path(cli, "/api/v1/managed-certificates/", id,
                    arena_printf(&cli->ctx->arena, "/events?after=%lld&wait=%lld", (long long)after, (long long)wait_s));
}

RC cli_follow_from(struct cli *cli, const char *ref, struct cli_follow *f)
{
    json_auto_t *events = NULL;
    TRY(cli_call(cli, "GET", events_path(cli, ref, -1, 0), (struct bytes){0}, &events));
    f->after = json_integer_value(json_object_get(events, "last"));
    f->started_ms = clock_unix_ms(cli->ctx->clock);
    return RC_OK;
}

/* Steps go to standard error unless the output is for people: -o json shall stay JSON. */
static void print_step(struct cli *cli, const struct cli_follow *f, const json_t *event)
{
    struct buf elapsed;
    buf_init_arena(&elapsed, &cli->ctx->arena, 64);
    const int64_t ms = json_integer_value(json_object_get(event, "at_ms")) - f->started_ms;
    time_put_span_ms(&elapsed, ms < 0 ? 0 : ms);
    FILE *out = cli->output == CLI_TABLE ? stdout : stderr;
    char *text = arena_strdup(&cli->ctx->arena, cli_text(event, "text"));
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    fprintf(out, "%9s  %-10s %s\n", buf_z(&elapsed), cli_text(event, "step"), text);
    fflush(out);
}

static struct rc outcome(struct cli *cli, const struct cli_follow *f, const json_t *events)
{
    if (str_equal(cli_text(events, "state"), "done"))
        return RC_OK;
    if (str_equal(cli_text(events, "state"), "waiting")) {
        cli_say(cli, "%s: %s", f->name, cli_text(events, "text"));
        return RC_OK;
    }
    /* Whatever else goes wrong, what was served is still served; but not where it was not seen again. */
    const enum err code = err_by_name(cli_text(events, "code"));
    const int exit = err_info(code)->exit;
    return ctx_fail(
        cli->ctx, exit == 3 || exit == 5 || exit == 6 || code == E_NOT_PROVED || code == E_ROLLBACK_FAILED ? code : E_ISSUER_FAILED,
        "%s: %s; see: certwright cert why %s", f->name, *cli_text(events, "text") ? cli_text(events, "text") : "it did not work",
        f->name);
}

RC cli_follow(struct cli *cli, struct cli_follow *f)
{
    struct cli_leaver leaver;
    struct arena *a = &cli->ctx->arena;
    const char *hint = arena_printf(a, "Left.  The hub goes on with it; see: certwright cert steps %s --follow", f->name);
    TRY(cli_leaver_start(cli, &leaver, hint));
    const int64_t until = clock_mono_ms() + cli_number(cli, "timeout", TIMEOUT_S) * 1000;
    struct rc rc = RC_OK;
    for (bool over = false; !over;) {
        json_auto_t *events = NULL;
        const int64_t left_s = (until - clock_mono_ms()) / 1000;
        if (left_s <= 0) {
            rc = ctx_fail(cli->ctx, E_TIMEOUT, "%s is still being worked on; see: certwright cert steps %s --follow", f->name,
                          f->name);
            break;
        }
        rc = cli_call(cli, "GET", events_path(cli, f->id, f->after, left_s < WAIT_S ? left_s : WAIT_S), (struct bytes){0}, &events);
        if (rc_failed(rc))
            break;
        const json_t *items = json_object_get(events, "items");
        for (size_t i = 0; i < json_array_size(items); i++)
            print_step(cli, f, json_array_get(items, i));
        const int64_t last = json_integer_value(json_object_get(events, "last"));
        /* A full page means that there is more to show, whatever the state is. */
        over = !str_equal(cli_text(events, "state"), "working") && (last == f->after || json_array_size(items) < 500);
        f->after = last;
        if (over)
            rc = outcome(cli, f, events);
    }
    cli_leaver_stop(&leaver);
    return rc;
}
