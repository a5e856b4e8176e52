#include "agent/relay/memory.h"

#include <pthread.h>

#include "base/buf.h"

#define CAS_MAX       16
#define NONCES_MAX    128
#define NONCE_MAX     512
#define ORDERS_MAX    8192 /* places: two orders of one place forget each other */
#define DIRECTORY_MAX ((size_t)256 << 10)
#define ORDER_MAX     ((size_t)1 << 20)

struct nonce {
    char *text;
    int64_t at_ms;
};

struct ca {
    const void *client;
    char *url;
    char *directory;
    size_t directory_n;
    int64_t read_ms;
    struct nonce nonces[NONCES_MAX];
    size_t n_nonces;
};

/* Its lists lie in `text` one after another, each part with a NUL: the URL of the order, then four of a challenge. */
struct order {
    char *text;
    size_t n; /* challenges */
    bool said;
    unsigned round;
};

struct relay_memory {
    pthread_mutex_t lock;
    struct ca cas[CAS_MAX];
    size_t next; /* the place that is given up for another CA */
    struct order orders[ORDERS_MAX];
};

struct relay_memory *relay_memory_new(void)
{
    struct relay_memory *m = calloc(1, sizeof *m);
    if (m != NULL)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void nonces_free(struct ca *c)
{
    while (c->n_nonces > 0)
        free(c->nonces[--c->n_nonces].text);
}

static void ca_free(struct ca *c)
{
    nonces_free(c);
    free(c->directory);
    free(c->url);
    *c = (struct ca){0};
}

void relay_memory_free(struct relay_memory *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < CAS_MAX; i++)
        ca_free(&m->cas[i]);
    for (size_t i = 0; i < ORDERS_MAX; i++)
        free(m->orders[i].text);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* --- CAs */

static struct ca *ca_find(struct relay_memory *m, struct relay_ca ca)
{
    for (size_t i = 0; i < CAS_MAX; i++)
        if (m->cas[i].url != NULL && m->cas[i].client == ca.client && strcmp(m->cas[i].url, ca.directory_url) == 0)
            return &m->cas[i];
    return NULL;
}

static struct ca *ca_make(struct relay_memory *m, struct relay_ca ca)
{
    struct ca *c = ca_find(m, ca);
    if (c != NULL)
        return c;
    c = &m->cas[m->next++ % CAS_MAX];
    ca_free(c);
    c->client = ca.client;
    c->url = strdup(ca.directory_url);
    return c->url != NULL ? c : NULL;
}

void relay_memory_directory(struct ctx *ctx, struct relay_memory *m, struct relay_ca ca, struct bytes *body, bool *found)
{
    pthread_mutex_lock(&m->lock);
    const struct ca *c = ca_find(m, ca);
    *found = c != NULL && c->directory != NULL && clock_mono_ms() - c->read_ms < DIRECTORY_FRESH_MS;
    if (*found)
        *body = arena_bytes(&ctx->arena, bytes_of(c->directory, c->directory_n));
    pthread_mutex_unlock(&m->lock);
}

void relay_memory_keep_directory(struct relay_memory *m, struct relay_ca ca, struct bytes body)
{
    char *copy = body.n > 0 && body.n <= DIRECTORY_MAX ? malloc(body.n) : NULL;
    if (copy == NULL)
        return;
    memcpy(copy, body.p, body.n);
    pthread_mutex_lock(&m->lock);
    struct ca *c = ca_make(m, ca);
    if (c != NULL) {
        free(c->directory);
        c->directory = copy;
        c->directory_n = body.n;
        c->read_ms = clock_mono_ms();
        copy = NULL;
    }
    pthread_mutex_unlock(&m->lock);
    free(copy);
}

void relay_memory_forget_ca(struct relay_memory *m, struct relay_ca ca)
{
    pthread_mutex_lock(&m->lock);
    struct ca *c = ca_find(m, ca);
    if (c != NULL)
        ca_free(c);
    pthread_mutex_unlock(&m->lock);
}

const char *relay_memory_nonce(struct ctx *ctx, struct relay_memory *m, struct relay_ca ca)
{
    const char *out = NULL;
    pthread_mutex_lock(&m->lock);
    struct ca *c = ca_find(m, ca);
    if (c != NULL && c->n_nonces > 0 && clock_mono_ms() - c->nonces[c->n_nonces - 1].at_ms < NONCE_FRESH_MS) {
        struct nonce *newest = &c->nonces[--c->n_nonces];
        out = arena_strdup(&ctx->arena, newest->text);
        free(newest->text);
    } else if (c != NULL) {
        nonces_free(c); /* the others are older still */
    }
    pthread_mutex_unlock(&m->lock);
    return out;
}

void relay_memory_keep_nonce(struct relay_memory *m, struct relay_ca ca, const char *nonce)
{
    char *copy = strlen(nonce) <= NONCE_MAX ? strdup(nonce) : NULL;
    if (copy == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    struct ca *c = ca_make(m, ca);
    if (c != NULL && c->n_nonces < NONCES_MAX) {
        c->nonces[c->n_nonces++] = (struct nonce){copy, clock_mono_ms()};
        copy = NULL;
    }
    pthread_mutex_unlock(&m->lock);
    free(copy);
}

void relay_memory_forget_nonces(struct relay_memory *m, struct relay_ca ca)
{
    pthread_mutex_lock(&m->lock);
    struct ca *c = ca_find(m, ca);
    if (c != NULL)
        nonces_free(c);
    pthread_mutex_unlock(&m->lock);
}

/* --- orders */

/* FNV-1a: who can choose its URLs can make us forget orders, which costs requests to the CA alone. */
static struct order *place(struct relay_memory *m, const char *url)
{
    uint64_t h = 14695981039346656037u;
    for (const char *c = url; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    return &m->orders[h % ORDERS_MAX];
}

static void order_clear(struct order *o)
{
    free(o->text);
    *o = (struct order){0};
}

/* Takes the next part out of `at`, to the arena. */
static const char *part(struct ctx *ctx, const char **at)
{
    const char *text = arena_strdup(&ctx->arena, *at);
    *at += strlen(*at) + 1;
    return text;
}

bool relay_memory_order(struct ctx *ctx, struct relay_memory *m, const char *order_url, struct relay_known_order *out)
{
    struct arena *a = &ctx->arena;
    pthread_mutex_lock(&m->lock);
    const struct order *o = place(m, order_url);
    const bool found = o->text != NULL && strcmp(o->text, order_url) == 0;
    *out = (struct relay_known_order){0};
    if (found) {
        const char *at = o->text + strlen(o->text) + 1;
        for (size_t i = 0; i < o->n; i++) {
            str_list_add(a, &out->urls, part(ctx, &at));
            str_list_add(a, &out->authorization_urls, part(ctx, &at));
            str_list_add(a, &out->identifiers, part(ctx, &at));
            str_list_add(a, &out->types, part(ctx, &at));
        }
        out->said = o->said;
        out->round = o->round;
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

static void put_part(struct buf *b, const char *text)
{
    buf_put_mem(b, text, strlen(text) + 1);
}

void relay_memory_keep_order(struct relay_memory *m, const char *order_url, const struct relay_known_order *o)
{
    BUF_CLEANUP struct buf b = {0};
    buf_init(&b, ORDER_MAX);
    put_part(&b, order_url);
    for (size_t i = 0; i < o->urls.n; i++) {
        put_part(&b, o->urls.v[i]);
        put_part(&b, o->authorization_urls.v[i]);
        put_part(&b, o->identifiers.v[i]);
        put_part(&b, o->types.v[i]);
    }
    const struct bytes all = buf_bytes(&b);
    char *text = rc_ok(buf_status(&b)) ? malloc(all.n) : NULL;
    if (text != NULL)
        memcpy(text, all.p, all.n);
    pthread_mutex_lock(&m->lock);
    struct order *at = place(m, order_url);
    order_clear(at);
    if (text != NULL)
        *at = (struct order){text, o->urls.n, o->said, o->round};
    pthread_mutex_unlock(&m->lock);
}

void relay_memory_forget_order(struct relay_memory *m, const char *order_url)
{
    pthread_mutex_lock(&m->lock);
    struct order *o = place(m, order_url);
    if (o->text != NULL && strcmp(o->text, order_url) == 0)
        order_clear(o);
    pthread_mutex_unlock(&m->lock);
}
