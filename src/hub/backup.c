#include "hub/backup.h"

#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "core/backup.h"

#define LOOK_S  1
#define RETRY_S 10 /* where the database refuses */

struct hub_backup {
    struct core *core;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    uint64_t asked;
    bool stop;
};

static void wait_some(struct hub_backup *b, uint64_t seen, int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    if (!b->stop && b->asked == seen)
        pthread_cond_timedwait(&b->work, &b->lock, &until);
}

static void *backup_main(void *arg)
{
    struct hub_backup *b = arg;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, b->core->clock);
    pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        const uint64_t seen = b->asked;
        bool did = false;
        pthread_mutex_unlock(&b->lock);
        struct rc rc = backup_work(&ctx, b->core, &did);
        if (rc_failed(rc))
            log_event(LOG_WARN_, "backup_work_failed", "why", ctx_why(&ctx), NULL);
        ctx_reset(&ctx);
        pthread_mutex_lock(&b->lock);
        if (rc_failed(rc) || !did)
            wait_some(b, seen, rc_failed(rc) ? RETRY_S : LOOK_S);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

RC hub_backup_begin(struct ctx *ctx, struct hub *hub, struct hub_backup **out)
{
    struct hub_backup *b = calloc(1, sizeof *b);
    pthread_condattr_t monotonic;
    if (!b)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for the thread that makes backups");
    b->core = hub->core;
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&b->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&b->thread, NULL, backup_main, b)) {
        free(b);
        return ctx_fail(ctx, E_NO_MEMORY, "no thread to make backups");
    }
    *out = b;
    return RC_OK;
}

void hub_backup_wake(struct hub_backup *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->asked++;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
}

void hub_backup_end(struct hub_backup *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    b->core->backup_stop = true;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->work);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
