/* The steps of one job as people read them, with times: written by the worker, sent on by the exchange while the job still runs. */
#ifndef AGENT_STORY_H
#define AGENT_STORY_H

#include <pthread.h>

#include "base/ctx.h"
#include "base/json.h"

#define STORY_STEPS_MAX 256

struct story_step {
    int64_t at_ms; /* since 1970 UTC */
    const char *step, *text;
};

struct story {
    pthread_mutex_t lock;
    struct arena arena;
    struct story_step steps[STORY_STEPS_MAX];
    size_t n;
    size_t sent;      /* told to the hub as progress */
    const char *account_url, *order_url, *finalize_url; /* of an ACME order, as soon as known; NULL: not yet; in `arena` */
    bool order_fresh; /* one of them is not told yet */
    bool dropped;     /* the lease is no longer held */
    int64_t began_ms; /* clock_mono_ms: when the relay was first asked */
    int64_t again_ms; /* the CA is at it: to be gone on with then; 0: not so */
    const char *batch;    /* what a scan has found, JSON; its worker waits until the hub has it.  NULL: nothing */
    const char *batch_key; /* the member of the progress that it is */
    bool batch_told;      /* an exchange carries it just now */
    pthread_cond_t taken;
    void (*changed)(void *arg); /* called after each step, without the lock; may be NULL */
    void *arg;
};

void story_init(struct story *s);
void story_free(struct story *s);
/* story_add adds a step; beyond the ceiling the last is replaced. */
void story_add(struct ctx *ctx, struct story *s, const char *step, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* story_add_quietly does it for a text and without calling `changed`. */
void story_add_quietly(struct ctx *ctx, struct story *s, const char *step, const char *text);
/* story_put writes the list "steps": all of them, or those not told yet, which then count as told. */
void story_put(struct story *s, struct json_out *j, bool fresh_only);
/* story_order remembers what must not be forgotten of an ACME order; empty texts change nothing. */
void story_order(struct story *s, const char *account_url, const char *order_url, const char *finalize_url);
/* story_order_known: the same, of what the hub itself has said, which is not told again. */
void story_order_known(struct story *s, const char *account_url, const char *order_url, const char *finalize_url);
/* story_order_is_fresh says whether there is something of the order that the hub has not heard. */
bool story_order_is_fresh(struct story *s);
/* story_hand_over gives the hub a ScanBatch (JSON that was read), and waits until it has it.  E_FENCED: the lease is gone.
 * story_hand_over_as: another batch, as the member `key` of the progress. */
RC story_hand_over(struct ctx *ctx, struct story *s, const char *batch);
RC story_hand_over_as(struct ctx *ctx, struct story *s, const char *key, const char *batch);
/* story_handed_over: the exchange that carried it was answered, or not, and then it is told again. */
void story_handed_over(struct story *s, bool answered);
bool story_has_news(struct story *s);
bool story_dropped(struct story *s);

#endif
