#include "signer/index.h"

#include "base/log.h"
#include "pki/digest.h"

RC index_key(struct ctx *ctx, char kind, struct bytes first, struct bytes second, uint8_t key[INDEX_KEY_LEN])
{
    struct buf b BUF_CLEANUP = {0};
    buf_init(&b, 8192);
    buf_put_u8(&b, (uint8_t)kind);
    buf_put_u32(&b, (uint32_t)first.n);
    buf_put(&b, first);
    buf_put(&b, second);
    TRY(buf_status(&b));
    uint8_t hash[SHA256_LEN];
    TRY(digest_sha256(ctx, buf_bytes(&b), hash));
    memcpy(key, hash, INDEX_KEY_LEN);
    key[0] |= 1; /* never all zero */
    return RC_OK;
}

/* Keys are hashes already: any of their bits will do as the place. */
static size_t place(const struct index *t, const uint8_t *key)
{
    uint64_t h = 0;
    memcpy(&h, key + 4, sizeof h);
    return (size_t)h & (t->cap - 1);
}

static struct index_entry *slot(const struct index *t, const uint8_t *key)
{
    size_t i = place(t, key);
    while (t->v[i].key[0] != 0 && memcmp(t->v[i].key, key, INDEX_KEY_LEN) != 0)
        i = (i + 1) & (t->cap - 1);
    return &t->v[i];
}

struct index_entry *index_find(const struct index *t, const uint8_t key[INDEX_KEY_LEN])
{
    if (t->cap == 0)
        return NULL;
    struct index_entry *e = slot(t, key);
    return e->key[0] != 0 ? e : NULL;
}

static void grow(struct index *t)
{
    struct index bigger = {.cap = t->cap == 0 ? 256 : t->cap * 2};
    bigger.v = calloc(bigger.cap, sizeof *bigger.v);
    if (bigger.v == NULL) {
        log_event(LOG_ERROR_, "out_of_memory", "what", "index of the journal", NULL);
        abort();
    }
    for (size_t i = 0; i < t->cap; i++)
        if (t->v[i].key[0] != 0)
            *slot(&bigger, t->v[i].key) = t->v[i];
    bigger.n = t->n;
    free(t->v);
    *t = bigger;
}

struct index_entry *index_put(struct index *t, const uint8_t key[INDEX_KEY_LEN])
{
    if (t->n + 1 > t->cap - t->cap / 4)
        grow(t);
    struct index_entry *e = slot(t, key);
    if (e->key[0] == 0) {
        memcpy(e->key, key, INDEX_KEY_LEN);
        t->n++;
    }
    return e;
}

void index_free(struct index *t)
{
    free(t->v);
    *t = (struct index){0};
}
