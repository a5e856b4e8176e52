#include "agent/story.h"

#include "base/log.h"
#include "base/str.h"

void story_init(struct story *s)
{
    *s = (struct story){0};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->taken, NULL);
}

void story_free(struct story *s)
{
    pthread_cond_destroy(&s->taken);
    pthread_mutex_destroy(&s->lock);
    arena_free(&s->arena);
}

void story_add_quietly(struct ctx *ctx, struct story *s, const char *step, const char *text)
{
    pthread_mutex_lock(&s->lock);
    if (s->n == STORY_STEPS_MAX)
        s->n--;
    if (s->sent > s->n)
        s->sent = s->n;
    s->steps[s->n++] = (struct story_step){clock_unix_ms(ctx->clock), arena_strdup(&s->arena, step), arena_strdup(&s->arena, text)};
    pthread_mutex_unlock(&s->lock);
    log_event(LOG_DEBUG_, "job_step", "step", step, "text", text, NULL);
}

void story_add(struct ctx *ctx, struct story *s, const char *step, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(&ctx->arena, fmt, ap);
    va_end(ap);
    if (strlen(text) > 2000)
        text[2000] = '\0';
    story_add_quietly(ctx, s, step, text);
    if (s->changed != NULL)
        s->changed(s->arg);
}

static void take_url(struct story *s, const char **slot, const char *url)
{
    if (url == NULL || *url == '\0' || str_equal(*slot, url))
        return;
    *slot = arena_strdup(&s->arena, url);
    s->order_fresh = true;
}

void story_order(struct story *s, const char *account_url, const char *order_url, const char *finalize_url)
{
    pthread_mutex_lock(&s->lock);
    take_url(s, &s->account_url, account_url);
    take_url(s, &s->order_url, order_url);
    take_url(s, &s->finalize_url, finalize_url);
    pthread_mutex_unlock(&s->lock);
}

void story_order_known(struct story *s, const char *account_url, const char *order_url, const char *finalize_url)
{
    story_order(s, account_url, order_url, finalize_url);
    pthread_mutex_lock(&s->lock);
    s->order_fresh = false;
    pthread_mutex_unlock(&s->lock);
}

bool story_order_is_fresh(struct story *s)
{
    pthread_mutex_lock(&s->lock);
    const bool fresh = s->order_fresh;
    pthread_mutex_unlock(&s->lock);
    return fresh;
}

static void put_url(struct json_out *j, const char *key, const char *url)
{
    if (url != NULL)
        json_put_str(j, key, url);
}

void story_put(struct story *s, struct json_out *j, bool fresh_only)
{
    pthread_mutex_lock(&s->lock);
    json_open_list(j, "steps");
    for (size_t i = fresh_only ? s->sent : 0; i < s->n; i++) {
        json_open_obj(j, NULL);
        json_put_int(j, "at_ms", s->steps[i].at_ms);
        json_put_str(j, "step", s->steps[i].step);
        json_put_str(j, "text", s->steps[i].text);
        json_close(j);
    }
    json_close(j);
    s->sent = s->n;
    if (fresh_only && s->order_fresh) {
        json_open_obj(j, "order");
        put_url(j, "account_url", s->account_url);
        put_url(j, "order_url", s->order_url);
        put_url(j, "finalize_url", s->finalize_url);
        json_close(j);
        s->order_fresh = false;
    }
    if (fresh_only && s->batch != NULL) {
        json_put_raw(j, s->batch_key, bytes_z(s->batch));
        s->batch_told = true;
    }
    pthread_mutex_unlock(&s->lock);
}

RC story_hand_over(struct ctx *ctx, struct story *s, const char *batch) { return story_hand_over_as(ctx, s, "scan", batch); }

RC story_hand_over_as(struct ctx *ctx, struct story *s, const char *key, const char *batch)
{
    pthread_mutex_lock(&s->lock);
    s->batch_key = key;
    s->batch = batch;
    s->batch_told = false;
    pthread_mutex_unlock(&s->lock);
    if (s->changed != NULL)
        s->changed(s->arg);
    pthread_mutex_lock(&s->lock);
    while (s->batch != NULL && !s->dropped) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1; /* nobody tells that the lease was dropped */
        pthread_cond_timedwait(&s->taken, &s->lock, &until);
    }
    const bool taken = s->batch == NULL;
    s->batch = NULL;
    pthread_mutex_unlock(&s->lock);
    return taken ? RC_OK : ctx_fail(ctx, E_FENCED, "the hub has taken the job back");
}

void story_handed_over(struct story *s, bool answered)
{
    pthread_mutex_lock(&s->lock);
    if (s->batch_told && answered) {
        s->batch = NULL;
        pthread_cond_signal(&s->taken);
    }
    s->batch_told = false;
    pthread_mutex_unlock(&s->lock);
}

bool story_has_news(struct story *s)
{
    pthread_mutex_lock(&s->lock);
    bool news = s->sent < s->n || s->order_fresh || s->batch != NULL;
    pthread_mutex_unlock(&s->lock);
    return news;
}

bool story_dropped(struct story *s)
{
    pthread_mutex_lock(&s->lock);
    bool dropped = s->dropped;
    pthread_mutex_unlock(&s->lock);
    return dropped;
}
