/* What travels between the agent and the hub: building a request, reading the answer (POST /agent/v1/exchange). */
#ifndef AGENT_EXCHANGE_H
#define AGENT_EXCHANGE_H

#include <pthread.h>

#include "agent/connector.h"
#include "agent/fleet.h"
#include "agent/jobs.h"
#include "agent/results.h"
#include "net/http_client.h"
#include "os/pool.h"

/* So long a step waits for those that follow it. */
#define AGENT_STEPS_MS 50

/* A job that is being done, or waits for a worker. */
struct running {
    struct agent *agent;
    char *id, *kind;     /* heap */
    int64_t fence;       /* of the newest lease */
    json_t *job;         /* owned; NULL for what was taken up from the journal */
    char *target;        /* heap; of what was taken up from the journal, else NULL */
    struct story story;
    bool relayed;        /* done by the relay */
    bool parked;         /* waits for story.again_ms, and holds no thread */
    bool done;           /* its result is kept; freed at the next look */
    struct running *next;
};

struct agent {
    const struct agent_config *cfg;
    struct connector_shelf shelf;
    const struct clock *clock;
    struct hands hands;
    const char *hub;         /* "https://hub.example.org:8444", or "http://hub" over its socket */
    struct http_client *_Atomic http;
    struct http_client *http_before; /* with the certificate before: a call may still run on it until the next renewal */
    struct fleet fleet;      /* where the hub is on another host */
    struct pool *pool;       /* what is done on this host */
    struct pool *relay_pool; /* what waits for a CA: one that is silent must not keep a renewal elsewhere waiting */
    const char *boot_id, *platform, *sandbox;
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t wake;  /* the sender: a result, progress, or the end */
    pthread_cond_t room;  /* the others: a worker is free, or the end */
    pthread_cond_t parked; /* who takes up what is parked: one more, or the end */
    struct running *running;
    size_t n_running;        /* on this host; those that wait for a CA are not counted */
    struct results results;
    bool news;            /* results to be carried now */
    int64_t steps_due_ms; /* steps to be told by then (clock_mono_ms); 0: none */
    int64_t holding_due_ms; /* what is held is said again by then, where it is much */
    size_t holding_from;    /* from where on, where it is more than an exchange says */
    unsigned missed, recovered; /* answers that may have been missed so far; how many of them the hub was told of */
    bool introduced;     /* the hub knows what our connectors do */
    bool live;           /* a thread waits for live questions (agent/live.h) */
    bool stop;
    bool drained;         /* what still runs is not waited for */
};

struct told {
    const char *id;
    int64_t fence;
};

/* exchange_once does one exchange.  `wait_s` 0: carries results and progress and comes back at once; else it only waits for jobs.
 * */
RC exchange_once(struct ctx *ctx, struct agent *a, int wait_s);
/* exchange_post sends another request of the agent API to `hub`. */
RC exchange_post(struct ctx *ctx, struct http_client *http, const char *hub, const char *path, struct bytes body,
                 struct bytes *answer);

/* agent_start_job queues one (the lock is held); agent_poke has the sender carry now what there is. */
void agent_start_job(struct agent *a, const json_t *job);
void agent_poke(void *agent);

#endif
