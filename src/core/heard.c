#include "core/heard.h"

#include <pthread.h>

#include "base/random.h"
#include "base/str.h"
#include "store/queries.h"

#define BUCKETS 4096
#define PAGE    1000

struct one {
    struct one *next;
    int64_t at;
    char id[ID_LEN + 1];
};

struct heard {
    pthread_mutex_t lock;
    int64_t started_at;
    size_t n;
    struct one *first[BUCKETS];
};

static struct one **find(struct heard *h, const char *id)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *p = id; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619U;
    struct one **at = &h->first[(hash ^ hash >> 16) % BUCKETS];
    while (*at && !str_equal((*at)->id, id))
        at = &(*at)->next;
    return at;
}

static void note(struct core *core, const char *id, int64_t at)
{
    struct heard *h = core->heard;
    if (!h || strlen(id) > ID_LEN)
        return;
    pthread_mutex_lock(&h->lock);
    struct one **place = find(h, id);
    if (!*place && (*place = calloc(1, sizeof **place))) { /* without memory for it the row alone counts */
        memcpy((*place)->id, id, strlen(id));
        h->n++;
    }
    if (*place)
        (*place)->at = at;
    pthread_mutex_unlock(&h->lock);
}

struct page {
    struct core *core;
    const char *after;
    struct q_agent_list_all_row *rows;
    size_t n;
};

static struct rc page_read(struct ctx *ctx, struct txn *txn, void *arg)
{
    struct page *p = arg;
    return q_agent_list_all(ctx, txn, p->after, PAGE, &p->rows, &p->n);
}

RC heard_start(struct ctx *ctx, struct core *core)
{
    struct page p = {.core = core, .after = "", .n = PAGE};
    if (!core->heard) {
        core->heard = calloc(1, sizeof *core->heard);
        if (!core->heard)
            return ctx_fail(ctx, E_NO_MEMORY, "no memory for the times of agents");
        pthread_mutex_init(&core->heard->lock, NULL);
    }
    core->heard->started_at = ctx_now_s(ctx);
    while (p.n == PAGE) {
        TRY(store_read(ctx, core->store, page_read, &p));
        for (size_t i = 0; i < p.n; i++)
            note(core, p.rows[i].id, p.rows[i].seen_at);
        if (p.n)
            p.after = p.rows[p.n - 1].id;
    }
    return RC_OK;
}

void heard_free(struct heard *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct one *o = h->first[i], *next; o; o = next) {
            next = o->next;
            free(o);
        }
    pthread_mutex_destroy(&h->lock);
    free(h);
}

void heard_note(struct ctx *ctx, struct core *core, const char *agent)
{
    note(core, agent, ctx_now_s(ctx));
}

void heard_forget(struct core *core, const char *agent)
{
    struct heard *h = core->heard;
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    struct one **place = find(h, agent), *gone = *place;
    if (gone) {
        *place = gone->next;
        free(gone);
        h->n--;
    }
    pthread_mutex_unlock(&h->lock);
}

int64_t heard_at(struct core *core, const char *agent, int64_t row)
{
    struct heard *h = core->heard;
    int64_t at = row;
    if (!h)
        return row;
    pthread_mutex_lock(&h->lock);
    const struct one *o = *find(h, agent);
    if (o && o->at > at)
        at = o->at;
    pthread_mutex_unlock(&h->lock);
    return at;
}

bool heard_away(struct ctx *ctx, struct core *core, const char *agent, int64_t row)
{
    const int64_t now = ctx_now_s(ctx), at = heard_at(core, agent, row);
    if (core->heard && now >= core->heard->started_at && now < core->heard->started_at + HEARD_AWAY_S)
        return false;
    return at < now - HEARD_AWAY_S;
}

static int by_time(const void *a, const void *b)
{
    const struct one *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

RC heard_silent(struct ctx *ctx, struct core *core, const char *const **ids, size_t *n)
{
    struct heard *h = core->heard;
    const int64_t before = ctx_now_s(ctx) - HEARD_SILENT_S;
    *n = 0;
    *ids = NULL;
    if (!h || h->started_at > before)
        return RC_OK;
    pthread_mutex_lock(&h->lock);
    struct one *found = arena_array(&ctx->arena, h->n + 1, sizeof *found);
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct one *o = h->first[i]; o; o = o->next)
            if (o->at < before)
                found[(*n)++] = *o;
    pthread_mutex_unlock(&h->lock);
    qsort(found, *n, sizeof *found, by_time);
    const char **list = arena_array(&ctx->arena, *n + 1, sizeof *list);
    for (size_t i = 0; i < *n; i++)
        list[i] = found[i].id;
    *ids = list;
    return RC_OK;
}
