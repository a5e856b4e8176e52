#include "core/live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/types.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "base/str.h"
#include "core/sign_in_throttle.h"
#include "pki/hpke.h"

#define SEALED_INFO BYTES_LIT("certwright live question v1")

struct kept { /* heap; wiped when it goes */
    char *text;
    size_t n;
};

struct question {
    char id[33];
    char place[ADDRESS_TEXT_MAX];
    char boot[33]; /* of the agent that has it; "": nobody yet */
    int64_t until_ms;
    bool open; /* this place is taken */
    bool lost;
    struct kept asked, sealed, note, answer;
};

struct live {
    pthread_mutex_t lock;
    _Atomic bool wanted;
    char told[65]; /* the life of the agent that knows that it is wanted */
    bool ready;    /* an agent has called, and can be sealed to */
    uint8_t key[HPKE_X25519_LEN];
    struct question v[LIVE_MOST];
};

/* --- memory */

static bool keep(struct kept *k, struct bytes b)
{
    k->text = malloc(b.n + 1);
    if (!k->text)
        return false;
    if (b.n)
        memcpy(k->text, b.p, b.n);
    k->text[b.n] = '\0';
    k->n = b.n;
    return true;
}

static void kept_free(struct kept *k)
{
    if (k->text)
        wipe(k->text, k->n);
    free(k->text);
    *k = (struct kept){0};
}

static void question_free(struct question *q)
{
    kept_free(&q->asked);
    kept_free(&q->sealed);
    kept_free(&q->note);
    kept_free(&q->answer);
    *q = (struct question){0};
}

RC live_open(struct ctx *ctx, struct core *core)
{
    struct live *l = calloc(1, sizeof *l);
    if (!l)
        return ctx_fail(ctx, E_NO_MEMORY, "no memory for live questions");
    pthread_mutex_init(&l->lock, NULL);
    core->live = l;
    return RC_OK;
}

void live_close(struct core *core)
{
    if (!core->live)
        return;
    for (size_t i = 0; i < LIVE_MOST; i++)
        question_free(&core->live->v[i]);
    pthread_mutex_destroy(&core->live->lock);
    free(core->live);
    core->live = NULL;
}

void live_want(struct core *core)
{
    if (core->live)
        atomic_store(&core->live->wanted, true);
}

bool live_wanted(const struct core *core)
{
    return core->live && atomic_load(&core->live->wanted);
}

bool live_news(struct core *core, const char *boot)
{
    struct live *l = core->live;
    if (!live_wanted(core))
        return false;
    pthread_mutex_lock(&l->lock);
    const bool news = !str_equal(l->told, boot);
    snprintf(l->told, sizeof l->told, "%s", boot);
    pthread_mutex_unlock(&l->lock);
    return news;
}

bool live_ready(struct core *core)
{
    if (!core->live)
        return false;
    pthread_mutex_lock(&core->live->lock);
    const bool is = core->live->ready;
    pthread_mutex_unlock(&core->live->lock);
    return is;
}

/* --- asking */

/* Under the lock: what nobody waited for to the end goes. */
static void sweep(struct live *l)
{
    const int64_t now = clock_mono_ms();
    for (size_t i = 0; i < LIVE_MOST; i++)
        if (l->v[i].open && l->v[i].until_ms + 1000 < now)
            question_free(&l->v[i]);
}

static struct question *find(struct live *l, const char *id)
{
    for (size_t i = 0; i < LIVE_MOST; i++)
        if (l->v[i].open && str_equal(l->v[i].id, id))
            return &l->v[i];
    return NULL;
}

static struct question *room(struct live *l, const char *place)
{
    struct question *free_one = NULL;
    size_t same = 0;
    for (size_t i = 0; i < LIVE_MOST; i++) {
        same += l->v[i].open && str_equal(l->v[i].place, place);
        if (!l->v[i].open)
            free_one = &l->v[i];
    }
    return *place && same >= LIVE_PER_ADDRESS ? NULL : free_one;
}

static struct rc keep_all(struct ctx *ctx, struct live *l, const struct question *as, struct bytes asked, struct bytes sealed,
                          const char *note)
{
    pthread_mutex_lock(&l->lock);
    sweep(l);
    struct question *q = room(l, as->place);
    bool kept = false;
    if (q) {
        *q = *as;
        kept = keep(&q->asked, asked) && keep(&q->sealed, sealed) && keep(&q->note, bytes_z(note));
        q->open = kept;
    }
    if (q && !kept)
        question_free(q);
    pthread_mutex_unlock(&l->lock);
    ctx->retry_after_s = q ? ctx->retry_after_s : 5;
    return !q     ? ctx_fail(ctx, E_BUSY, "too many wait for the directory at once; try again")
           : kept ? RC_OK
                  : ctx_fail(ctx, E_NO_MEMORY, "no memory for a live question");
}

static struct rc sealed_to(struct ctx *ctx, struct live *l, const char *id, const struct secret *password, struct bytes *out)
{
    uint8_t key[HPKE_X25519_LEN];
    pthread_mutex_lock(&l->lock);
    const bool is = l->ready;
    memcpy(key, l->key, sizeof key);
    pthread_mutex_unlock(&l->lock);
    ctx->retry_after_s = is ? ctx->retry_after_s : 5;
    if (!is)
        return ctx_fail(ctx, E_BUSY, "the hub's own agent does not wait for questions yet; try again");
    *out = (struct bytes){0};
    return password ? hpke_seal(ctx, bytes_of(key, sizeof key), SEALED_INFO, bytes_z(id), password, out) : RC_OK;
}

RC live_ask(struct ctx *ctx, struct core *core, const char *address, const struct secret *password,
            const struct api_live_question *question, const char *note, const char **id)
{
    struct question q = {.until_ms = clock_mono_ms() + LIVE_MS};
    struct bytes sealed;
    struct buf b;
    struct json_out j;
    *id = id_new(&ctx->arena, clock_unix_ms(ctx->clock));
    snprintf(q.id, sizeof q.id, "%s", *id);
    snprintf(q.place, sizeof q.place, "%s", throttle_place(ctx, address));
    buf_init_arena(&b, &ctx->arena, LIVE_QUESTION_MAX);
    json_begin(&j, &b);
    api_live_question_encode(&j, NULL, question);
    TRY(buf_status(&b));
    TRY(sealed_to(ctx, core->live, *id, password, &sealed));
    TRY(keep_all(ctx, core->live, &q, buf_bytes(&b), sealed, note));
    core->wake(core->wake_arg, LIVE_AGENT);
    return RC_OK;
}

const char *live_key(struct ctx *ctx, const char *id)
{
    return arena_printf(&ctx->arena, "live:%s", id);
}

/* --- looking */

static struct rc answer_read(struct ctx *ctx, struct bytes text, const struct api_live_answer **out)
{
    json_auto_t *root = NULL;
    struct api_live_answer *a = ARENA_NEW(&ctx->arena, struct api_live_answer);
    TRY(json_read(ctx, text, &root));
    TRY(api_live_answer_decode(ctx, root, a));
    if (a->error)
        return ctx_fail(ctx, err_by_name(a->error), "%s", a->why ? a->why : "the agent did not say why");
    *out = a;
    return RC_OK;
}

RC live_look(struct ctx *ctx, struct core *core, const char *id, bool last, const struct api_live_answer **out, const char **note)
{
    struct live *l = core->live;
    struct bytes text = {0};
    *out = NULL;
    *note = NULL;
    pthread_mutex_lock(&l->lock);
    struct question *q = find(l, id);
    const bool there = q != NULL, lost = there && q->lost, taken = there && *q->boot;
    if (q)
        *note = arena_strdup(&ctx->arena, q->note.text);
    if (q && q->answer.text)
        text = arena_bytes(&ctx->arena, bytes_of(q->answer.text, q->answer.n));
    if (q && (q->answer.text || q->lost || last))
        question_free(q);
    pthread_mutex_unlock(&l->lock);
    if (text.n)
        return answer_read(ctx, text, out);
    if (lost)
        return ctx_fail(ctx, E_BUSY, "the hub's own agent was started anew while the directory was asked; try again");
    if (!there || (last && taken))
        return ctx_fail(ctx, E_TIMEOUT, "the directory did not answer in time");
    if (last)
        return ctx_fail(ctx, E_BUSY, "the hub's own agent did not ask in time: it is busy or does not run");
    return RC_OK;
}

/* --- the agent's side */

static struct rc question_read(struct ctx *ctx, struct bytes text, struct api_live_question *out)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, text, &root));
    return api_live_question_decode(ctx, root, out);
}

struct taken {
    struct bytes asked, sealed;
    const char *id;
    int64_t left_ms;
};

/* Under the lock. */
static void hand_out(struct ctx *ctx, struct question *q, const char *boot, struct taken *out)
{
    snprintf(q->boot, sizeof q->boot, "%s", boot);
    *out = (struct taken){.asked = arena_bytes(&ctx->arena, bytes_of(q->asked.text, q->asked.n)),
                          .sealed = arena_bytes(&ctx->arena, bytes_of(q->sealed.text, q->sealed.n)),
                          .id = arena_strdup(&ctx->arena, q->id),
                          .left_ms = q->until_ms - clock_mono_ms()};
    kept_free(&q->sealed); /* once */
}

/* Under the lock: how many it has and has not answered. */
static size_t busy_with(const struct live *l, const char *boot)
{
    size_t n = 0;
    for (size_t i = 0; i < LIVE_MOST; i++)
        n += l->v[i].open && !l->v[i].answer.text && str_equal(l->v[i].boot, boot) && l->v[i].until_ms > clock_mono_ms();
    return n;
}

static struct rc key_check(struct ctx *ctx, struct bytes key)
{
    return key.n == HPKE_X25519_LEN
               ? hpke_public_check(ctx, HPKE_X25519, key)
               : ctx_fail(ctx, E_INVALID, "what is sealed to the relay needs a key of %d bytes", HPKE_X25519_LEN);
}

RC live_take(struct ctx *ctx, struct core *core, const char *boot, struct bytes seal_key, struct api_live_question **out, size_t *n)
{
    struct live *l = core->live;
    struct str_list wake = {0};
    struct taken *taken = arena_array(&ctx->arena, LIVE_MOST, sizeof *taken);
    size_t taken_n = 0;
    TRY(key_check(ctx, seal_key));
    if (!*boot || strlen(boot) > 32)
        return ctx_fail(ctx, E_INVALID, "an agent's life has an id of at most 32 letters");
    pthread_mutex_lock(&l->lock);
    sweep(l);
    const bool fresh = !l->ready;
    l->ready = true;
    memcpy(l->key, seal_key.p, seal_key.n);
    size_t busy = busy_with(l, boot);
    for (size_t i = 0; i < LIVE_MOST; i++) {
        struct question *q = &l->v[i];
        if (!q->open || q->answer.text || q->lost)
            continue;
        if (!*q->boot && q->until_ms > clock_mono_ms()) {
            if (busy++ < LIVE_AT_ONCE)
                hand_out(ctx, q, boot, &taken[taken_n++]);
        } else if (*q->boot && !str_equal(q->boot, boot)) {
            q->lost = true;
            str_list_add(&ctx->arena, &wake, live_key(ctx, q->id));
        }
    }
    pthread_mutex_unlock(&l->lock);
    if (fresh)
        core->wake(core->wake_arg, LIVE_READY);
    for (size_t i = 0; i < wake.n; i++)
        core->wake(core->wake_arg, wake.v[i]);
    *out = arena_array(&ctx->arena, taken_n + 1, sizeof **out);
    *n = taken_n;
    for (size_t i = 0; i < taken_n; i++) {
        TRY(question_read(ctx, taken[i].asked, &(*out)[i]));
        (*out)[i].id = taken[i].id;
        (*out)[i].sealed = taken[i].sealed;
        (*out)[i].left_ms = taken[i].left_ms > 0 ? taken[i].left_ms : 0;
    }
    return RC_OK;
}

RC live_answered(struct ctx *ctx, struct core *core, const char *boot, struct bytes seal_key, const struct api_live_answer *answer)
{
    struct live *l = core->live;
    struct buf b;
    struct json_out j;
    bool wanted = false;
    buf_init_arena(&b, &ctx->arena, LIVE_ANSWER_MAX);
    json_begin(&j, &b);
    api_live_answer_encode(&j, NULL, answer);
    TRY(buf_status(&b));
    TRY(key_check(ctx, seal_key));
    pthread_mutex_lock(&l->lock);
    memcpy(l->key, seal_key.p, seal_key.n);
    struct question *q = find(l, answer->id);
    if (q && !q->answer.text && str_equal(q->boot, boot))
        wanted = keep(&q->answer, buf_bytes(&b));
    pthread_mutex_unlock(&l->lock);
    if (wanted)
        core->wake(core->wake_arg, live_key(ctx, answer->id));
    core->wake(core->wake_arg, LIVE_AGENT); /* there is room for the next one */
    return RC_OK;
}
