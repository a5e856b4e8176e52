#include "agent/hands.h"

#include <errno.h>

#include "base/encode.h"
#include "base/random.h"

void hands_init(struct hands *h, const struct agent_config *cfg)
{
    *h = (struct hands){.cfg = cfg, .noted = true};
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->freed, NULL);
}

void hands_free(struct hands *h)
{
    pthread_cond_destroy(&h->freed);
    pthread_mutex_destroy(&h->lock);
}

static void sleep_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

RC hands_call(struct ctx *ctx, struct wire_peer *peer, uint16_t type, const void *in, uint16_t reply_type, void *out)
{
    int64_t until = clock_mono_ms() + ctx_left_ms(ctx, HANDS_PATIENCE_MS);
    for (;;) {
        struct trail_entry *trail = ctx->trail;
        bool answered; /* what a hand could not reach is its answer, and not asked again */
        struct rc rc = wire_call_answered(ctx, peer, type, in, reply_type, out, &answered);
        if (rc.e != E_UNREACHABLE || answered || clock_mono_ms() >= until)
            return rc;
        ctx->trail = trail; /* it is asked again: the other's death is no news */
        sleep_ms(20);
    }
}

const char *words_of(struct ctx *ctx, struct bytes output, size_t max)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, max + 8);
    while (output.n > 0 && (output.p[output.n - 1] == '\n' || output.p[output.n - 1] == ' '))
        output.n--;
    if (output.n > max) {
        bytes_skip(&output, output.n - max);
        while (output.n > 0 && (output.p[0] & 0xc0) == 0x80) /* not in the middle of a character */
            bytes_skip(&output, 1);
        buf_put_z(&b, "…");
    }
    for (size_t i = 0; i < output.n; i++)
        buf_put_u8(&b, output.p[i] >= 0x20 && output.p[i] != 0x7f ? output.p[i] : ' ');
    return str_is_utf8(buf_bytes(&b)) ? buf_z(&b) : "(its words are not UTF-8)";
}

RC hands_command(struct ctx *ctx, struct hands *h, const char *name)
{
    struct wire_run_command in = {.name = name};
    struct wire_run_done done;
    TRY(HANDS_CALL(ctx, h->run, run_command, &in, run_done, &done));
    if (done.exit_code == 0)
        return RC_OK;
    const char *words = words_of(ctx, done.output, 1500);
    if (done.timed_out)
        return ctx_fail(ctx, E_COMMAND_FAILED, "%s did not end within its time: %s", name, words);
    if (done.exit_code < 0)
        return ctx_fail(ctx, E_COMMAND_FAILED, "%s was ended by signal %d: %s", name, (int)done.signal, words);
    return ctx_fail(ctx, E_COMMAND_FAILED, "%s says: %s (exit code %d)", name, *words != '\0' ? words : "nothing",
                    (int)done.exit_code);
}

RC hands_output(struct ctx *ctx, struct hands *h, const char *name, struct bytes *out)
{
    struct wire_run_command in = {.name = name, .whole = true};
    struct wire_run_done done;
    TRY(HANDS_CALL(ctx, h->run, run_command, &in, run_done, &done));
    if (done.exit_code != 0) /* what went wrong stands on standard error: ask for that */
        return rc_failed(hands_command(ctx, h, name)) ? rc_of(E_COMMAND_FAILED)
                                                      : ctx_fail(ctx, E_COMMAND_FAILED, "%s failed, then did not", name);
    *out = done.output;
    return RC_OK;
}

static bool is_busy(const struct hands *h, const char *target)
{
    for (size_t i = 0; i < h->n_busy; i++)
        if (strcmp(h->busy[i], target) == 0)
            return true;
    return h->n_busy == HANDS_BUSY_MAX;
}

RC hands_enter(struct ctx *ctx, struct hands *h, const char *target)
{
    int64_t until = clock_mono_ms() + ctx_left_ms(ctx, 10 * 60 * 1000);
    struct rc rc = RC_OK;
    pthread_mutex_lock(&h->lock);
    while (is_busy(h, target) && rc_ok(rc)) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec++;
        pthread_cond_timedwait(&h->freed, &h->lock, &soon);
        if (clock_mono_ms() >= until)
            rc = rc_of(E_BUSY);
    }
    if (rc_ok(rc))
        h->busy[h->n_busy++] = target;
    pthread_mutex_unlock(&h->lock);
    return rc_ok(rc) ? RC_OK : ctx_fail(ctx, E_BUSY, "another deployment works on target %s", target);
}

void hands_leave(struct hands *h, const char *target)
{
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->n_busy; i++)
        if (strcmp(h->busy[i], target) == 0) {
            h->busy[i] = h->busy[--h->n_busy];
            break;
        }
    pthread_cond_broadcast(&h->freed);
    pthread_mutex_unlock(&h->lock);
}

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {"served", "untrusted", "other", "unreachable", "installed"};
    return names[v];
}

RC hands_read_endpoints(struct ctx *ctx, const json_t *list, size_t max, struct endpoint *out, size_t *n)
{
    const json_t *row;
    size_t i;
    *n = 0;
    json_array_foreach(list, i, row) {
        struct endpoint *e = &out[*n];
        int64_t port = 0;
        if (i >= max)
            return ctx_fail_field(ctx, "/endpoints", "more than %zu endpoints", max);
        e->name = e->starttls = "";
        TRY(json_get_str(ctx, row, "address", true, &e->address));
        TRY(json_get_int(ctx, row, "port", true, &port));
        TRY(json_get_str(ctx, row, "name", false, &e->name));
        TRY(json_get_str(ctx, row, "starttls", false, &e->starttls));
        if (port < 1 || port > 65535)
            return ctx_fail_field(ctx, "/endpoints", "%lld is no port", (long long)port);
        e->port = (int)port;
        (*n)++;
    }
    return RC_OK;
}

static RC look(struct ctx *ctx, struct hands *h, struct bytes fingerprint, const char *roots_pem, int64_t timeout_ms,
               struct served *s)
{
    struct wire_probe_endpoint in = {.address = s->at.address, .port = s->at.port, .name = s->at.name, .starttls = s->at.starttls,
                                     .roots_pem = roots_pem, .timeout_ms = timeout_ms};
    struct wire_probe_seen seen;
    TRY(HANDS_CALL(ctx, h->probe, probe_endpoint, &in, probe_seen, &seen));
    bool ours = seen.reached && bytes_equal(seen.fingerprint, fingerprint);
    s->verdict = !seen.reached ? VERDICT_UNREACHABLE : !ours ? VERDICT_OTHER : seen.trusted ? VERDICT_SERVED : VERDICT_UNTRUSTED;
    s->fingerprint = seen.fingerprint;
    s->detail = seen.detail;
    return RC_OK;
}

static bool shown(const struct served *s) { return s->verdict == VERDICT_SERVED || s->verdict == VERDICT_UNTRUSTED; }

/* After a reload the workers of before still take connections for a moment: one sighting of the new certificate proves nothing yet.
 */
#define SIGHTINGS 5
#define SIGHTING_GAP_MS 30

RC hands_prove(struct ctx *ctx, struct hands *h, const struct endpoint *ends, size_t n, struct bytes fingerprint,
               const char *roots_pem,
               int64_t wait_ms, struct served *out, bool *all)
{
    int64_t until = clock_mono_ms() + wait_ms;
    *all = true;
    for (size_t i = 0; i < n; i++) {
        int64_t pause = 20;
        int in_a_row = 0;
        out[i] = (struct served){.at = ends[i]};
        for (;;) {
            int64_t left = until - clock_mono_ms();
            TRY(look(ctx, h, fingerprint, roots_pem, left < 1000 ? 1000 : left > 5000 ? 5000 : left, &out[i]));
            in_a_row = shown(&out[i]) ? in_a_row + 1 : 0;
            if (in_a_row >= SIGHTINGS || wait_ms == 0 || clock_mono_ms() >= until)
                break;
            sleep_ms(in_a_row > 0 ? SIGHTING_GAP_MS : pause);
            pause = pause * 3 / 2 < 500 ? pause * 3 / 2 : 500;
        }
        *all &= shown(&out[i]);
    }
    return RC_OK;
}

void hands_put_served(struct json_out *j, struct ctx *ctx, const struct served *v, size_t n)
{
    json_open_list(j, "served");
    for (size_t i = 0; i < n; i++) {
        json_open_obj(j, NULL);
        json_put_str(j, "address", v[i].at.address);
        json_put_int(j, "port", v[i].at.port);
        json_put_str(j, "name", v[i].at.name);
        json_put_str(j, "verdict", verdict_name(v[i].verdict));
        if (v[i].fingerprint.n > 0)
            json_put_hex(j, "fingerprint", v[i].fingerprint);
        if (v[i].detail != NULL && *v[i].detail != '\0')
            json_put_str(j, "detail", words_of(ctx, bytes_z(v[i].detail), 900));
        json_close(j);
    }
    json_close(j);
}
