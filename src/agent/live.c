#include "agent/live.h"

#include <stdlib.h>
#include <unistd.h>

#include "agent/exchange.h"
#include "api/types.h"
#include "base/log.h"

#define LIVE_PATH "/agent/v1/live"
#define WAIT_S    25
#define PAUSE_MS  500

/* One question, handed to a worker. */
struct work {
    struct agent *agent;
    char *text; /* heap, JSON */
};

/* What the relay is sealed to; asked for anew each time, for a relay that was started anew has another. */
static RC key_get(struct ctx *ctx, struct agent *a, struct bytes *out)
{
    struct wire_relay_live_key in = {0};
    struct wire_relay_live_key_is is;
    TRY(HANDS_CALL(ctx, a->hands.relay, relay_live_key, &in, relay_live_key_is, &is));
    *out = is.public;
    return RC_OK;
}

static RC post(struct ctx *ctx, struct agent *a, const struct api_agent_live *in, struct bytes *reply)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, (size_t)512 << 10);
    json_begin(&j, &b);
    api_agent_live_encode(&j, NULL, in);
    TRY(buf_status(&b));
    return exchange_post(ctx, a->http, a->hub, LIVE_PATH, buf_bytes(&b), reply);
}

/* --- one question */

static struct wire_texts texts(const struct api_strings *s)
{
    return (struct wire_texts){(const char **)(uintptr_t)s->v, s->n};
}

static RC ask(struct ctx *ctx, struct agent *a, const struct api_live_question *q, struct wire_relay_ldap_done *out)
{
    const struct api_directory *d = &q->directory;
    const struct wire_relay_ldap in = {.id = q->id,
                                       .sealed = q->sealed,
                                       .left_ms = q->left_ms,
                                       .user = q->user,
                                       .urls = texts(&d->urls),
                                       .ca_pem = d->ca_pem,
                                       .credential = q->credential,
                                       .bind_name = d->bind_name,
                                       .base = d->base,
                                       .user_filter = d->user_filter,
                                       .subject_attribute = d->subject_attribute,
                                       .login_attribute = d->login_attribute,
                                       .name_attribute = d->name_attribute,
                                       .mail_attribute = d->mail_attribute,
                                       .group_attribute = d->group_attribute,
                                       .group_base = d->group_base,
                                       .group_filter = d->group_filter,
                                       .groups = texts(&q->groups)};
    if (q->left_ms <= 0)
        return ctx_fail(ctx, E_TIMEOUT, "it came too late");
    /* Once: a password that was shown a second time may lock its account. */
    return wire_call_relay_ldap(ctx, a->hands.relay, &in, out);
}

static RC question_read(struct ctx *ctx, const char *text, struct api_live_question *out)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(text), &root));
    TRY(api_live_question_decode(ctx, root, out));
    const char **optional[] = {&out->directory.ca_pem,          &out->directory.bind_name,
                               &out->directory.user_filter,     &out->directory.subject_attribute,
                               &out->directory.login_attribute, &out->directory.name_attribute,
                               &out->directory.mail_attribute,  &out->directory.group_attribute,
                               &out->directory.group_base,      &out->directory.group_filter};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        if (*optional[i] == NULL)
            *optional[i] = "";
    return RC_OK;
}

static void answer(struct ctx *ctx, struct agent *a, const struct api_live_question *q)
{
    struct wire_relay_ldap_done done = {0};
    struct bytes key = {0}, ignored;
    struct api_live_answer out = {.id = q->id};
    struct rc rc = ask(ctx, a, q, &done);
    if (rc_failed(rc)) {
        out.error = err_info(rc.e)->name;
        out.why = arena_printf(&ctx->arena, "%.1900s", ctx_why(ctx));
        ctx_forget(ctx);
    } else {
        out.state = wire_relay_ldap_done_state_word(done.state);
        out.why = done.why;
        out.server = done.server;
        out.dn = done.dn;
        out.subject = done.subject;
        out.login = done.login;
        out.name = done.name;
        out.mail = done.mail;
        out.groups = (struct api_strings){done.groups.v, done.groups.n};
    }
    if (rc_ok(rc) || rc.e != E_SHUTTING_DOWN)
        rc = key_get(ctx, a, &key);
    const struct api_agent_live in = {.boot_id = a->boot_id, .seal_key = key, .answer = &out};
    if (rc_ok(rc))
        rc = post(ctx, a, &in, &ignored);
    if (rc_failed(rc))
        log_event(LOG_WARN_, "live_answer_lost", "question", q->id, "why", ctx_why(ctx), NULL);
}

static void work(void *arg)
{
    struct work *w = arg;
    struct api_live_question q;
    CTX_CLEANUP struct ctx ctx;
    ctx_init(&ctx, w->agent->clock);
    if (rc_ok(question_read(&ctx, w->text, &q)))
        answer(&ctx, w->agent, &q);
    else
        log_event(LOG_WARN_, "live_question_unreadable", "why", ctx_why(&ctx), NULL);
    free(w->text);
    free(w);
}

/* --- waiting for them */

/* What there is no room for is not answered: who asked is told so at their deadline. */
static void hand_on(struct agent *a, const json_t *question)
{
    struct work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return;
    w->agent = a;
    w->text = json_dumps(question, JSON_COMPACT);
    if (w->text != NULL && pool_submit_first(a->relay_pool, work, w))
        return;
    log_event(LOG_WARN_, "live_question_dropped", NULL);
    free(w->text);
    free(w);
}

static RC wait_once(struct ctx *ctx, struct agent *a)
{
    struct api_agent_live in = {.boot_id = a->boot_id, .wait_s = WAIT_S};
    struct bytes reply;
    json_auto_t *root = NULL;
    const json_t *questions, *v;
    size_t i;
    TRY(key_get(ctx, a, &in.seal_key));
    TRY(post(ctx, a, &in, &reply));
    TRY(json_read(ctx, reply, &root));
    TRY(json_get_list(ctx, root, "questions", true, &questions));
    json_array_foreach((json_t *)(uintptr_t)questions, i, v) hand_on(a, v);
    return RC_OK;
}

static bool stopping(struct agent *a)
{
    pthread_mutex_lock(&a->lock);
    const bool stop = a->stop;
    pthread_mutex_unlock(&a->lock);
    return stop;
}

static void *loop(void *arg)
{
    struct agent *a = arg;
    CTX_CLEANUP struct ctx ctx;
    bool told = false;
    ctx_init(&ctx, a->clock);
    while (!stopping(a)) {
        ctx_reset(&ctx);
        struct rc rc = wait_once(&ctx, a);
        if (rc_failed(rc) && !told)
            log_event(LOG_WARN_, "live_questions_away", "why", ctx_why(&ctx), NULL);
        told = rc_failed(rc);
        if (told)
            usleep(PAUSE_MS * 1000);
    }
    return NULL;
}

void live_begin(struct agent *a)
{
    pthread_t thread;
    pthread_attr_t attr;
    if (a->live || a->stop || a->cfg->hub_url != NULL || pthread_attr_init(&attr) != 0)
        return;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    a->live = pthread_create(&thread, &attr, loop, a) == 0;
    pthread_attr_destroy(&attr);
}
