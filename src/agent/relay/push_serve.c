#include "agent/relay/push_serve.h"

#include <pthread.h>

#include "agent/push_seal.h"
#include "agent/relay/push_session.h"
#include "base/failpoint.h"
#include "base/random.h"

#define KEYS_MAX    64
#define KEY_LIFE_MS (10 * 60 * 1000)

struct push_keys {
    pthread_mutex_t lock;
    struct {
        char session[ID_LEN + 1];
        struct hpke_key *key; /* NULL: free */
        int64_t born_ms;
    } v[KEYS_MAX];
};

struct push_keys *push_keys_new(void)
{
    struct push_keys *k = calloc(1, sizeof *k);
    if (k != NULL)
        pthread_mutex_init(&k->lock, NULL);
    return k;
}

void push_keys_free(struct push_keys *k)
{
    if (k == NULL)
        return;
    for (size_t i = 0; i < KEYS_MAX; i++)
        hpke_key_free(k->v[i].key);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

RC push_keys_give(struct ctx *ctx, struct push_keys *k, struct wire_relay_push_key_is *out)
{
    struct hpke_key *key = NULL;
    int64_t now = clock_mono_ms();
    size_t at = 0;
    TRY(hpke_key_new(ctx, HPKE_X25519, &key));
    out->public = arena_bytes(&ctx->arena, hpke_key_public(key));
    out->session = id_new(&ctx->arena, now);
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < KEYS_MAX; i++) { /* what is over is free; where all are taken the oldest goes */
        if (k->v[i].key != NULL && now - k->v[i].born_ms > KEY_LIFE_MS) {
            hpke_key_free(k->v[i].key);
            k->v[i].key = NULL;
        }
        if (k->v[i].key == NULL || (k->v[at].key != NULL && k->v[i].born_ms < k->v[at].born_ms))
            at = i;
    }
    hpke_key_free(k->v[at].key);
    k->v[at].key = key;
    k->v[at].born_ms = now;
    memcpy(k->v[at].session, out->session, sizeof k->v[at].session);
    pthread_mutex_unlock(&k->lock);
    return RC_OK;
}

static struct hpke_key *take(struct push_keys *k, const char *session)
{
    struct hpke_key *key = NULL;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < KEYS_MAX; i++)
        if (k->v[i].key != NULL && strcmp(k->v[i].session, session) == 0) {
            key = k->v[i].key;
            k->v[i].key = NULL;
            break;
        }
    pthread_mutex_unlock(&k->lock);
    return key;
}

static RC load(struct ctx *ctx, struct push_keys *keys, const struct wire_relay_push *in, struct push_session *s)
{
    HPKE_KEY_CLEANUP struct hpke_key *key = take(keys, in->session);
    SECRET_CLEANUP struct secret plain = {0};
    if (key == NULL)
        return ctx_fail(ctx, E_NOT_FOUND, "the relay was started anew, or the key was used already: ask for another");
    TRY(push_unseal(ctx, PUSH_TO_RELAY, key, in->target, in->deployment, in->sealed, &plain));
    return push_load(ctx, s, secret_use(&plain));
}

static RC see(struct ctx *ctx, struct push_session *s, const struct wire_relay_push *in, struct push_seen *seen,
              struct wire_relay_pushed *out)
{
    BUF_CLEANUP struct buf plain = {0};
    TRY(push_see(ctx, s, seen));
    if (in->keep_for.n == 0)
        return RC_OK;
    buf_init_secret(&plain, PUSH_SEALED_MAX);
    TRY(push_save(ctx, s, &plain));
    return push_seal(ctx, PUSH_TO_APPLY, in->keep_for, in->target, in->deployment, buf_bytes(&plain), &out->kept);
}

static RC undo(struct ctx *ctx, struct push_session *s, struct push_seen *seen)
{
    TRY(push_see(ctx, s, seen));
    if (seen->state == PUSH_OTHER)
        return RC_OK;
    TRY(push_undo(ctx, s, seen));
    return push_see(ctx, s, seen);
}

static RC run(struct ctx *ctx, struct push_keys *keys, struct push_session *s, const struct wire_relay_push *in,
              struct push_seen *seen, struct wire_relay_pushed *out)
{
    switch (in->verb) {
    case WIRE_relay_push_verb_see:
        return see(ctx, s, in, seen, out);
    case WIRE_relay_push_verb_install:
        TRY(load(ctx, keys, in, s));
        FAILPOINT("relay.push_install");
        TRY(push_install(ctx, s));
        FAILPOINT("relay.push_installed");
        return push_see(ctx, s, seen);
    default:
        TRY(load(ctx, keys, in, s));
        FAILPOINT("relay.push_undo");
        return undo(ctx, s, seen);
    }
}

RC push_serve(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files, struct push_keys *keys,
              const struct wire_relay_push *in, struct wire_relay_pushed *out)
{
    static const int states[] = {[PUSH_ABSENT] = WIRE_relay_pushed_state_absent,
                                 [PUSH_NEW] = WIRE_relay_pushed_state_new,
                                 [PUSH_PREVIOUS] = WIRE_relay_pushed_state_previous,
                                 [PUSH_OTHER] = WIRE_relay_pushed_state_other};
    const struct push_host host = {cfg, files};
    const struct push_wish wish = {NULL, in->connector, in->parameters, in->target, in->deployment, in->fingerprint, in->serial};
    struct push_session *s = NULL;
    struct push_seen seen = {0};
    ctx->arena.wipe = true; /* answers are in it, and what they hold */
    TRY(push_open(ctx, &host, &wish, &s));
    struct rc rc = run(ctx, keys, s, in, &seen, out);
    push_close(ctx, s);
    out->state = states[seen.state];
    out->fingerprint = seen.fingerprint;
    out->what = seen.what;
    return rc;
}
