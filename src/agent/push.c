#include "agent/push.h"

#include <time.h>

#include "base/failpoint.h"

#define DEAD_TRIES    5 /* a relay that died is there again within a second */
#define CHANGED_TRIES 3

static void sleep_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* "Cannot be reached" is said by the relay of the other side as well: only where it is the relay that died it is asked again. */
static bool died(const struct push_target *p, struct rc rc)
{
    return rc.e == E_UNREACHABLE && !wire_peer_connected(p->h->relay);
}

static struct wire_relay_push wish(const struct push_target *p, int verb)
{
    return (struct wire_relay_push){.verb = verb,
                                    .connector = p->connector,
                                    .parameters = p->parameters,
                                    .target = p->target,
                                    .deployment = p->deployment,
                                    .fingerprint = p->fingerprint,
                                    .serial = p->serial};
}

static RC see(struct ctx *ctx, const struct push_target *p, struct bytes keep_for, struct wire_relay_pushed *out)
{
    struct wire_relay_push in = wish(p, WIRE_relay_push_verb_see);
    in.keep_for = keep_for;
    for (unsigned tries = 1;; tries++) {
        struct trail_entry *trail = ctx->trail;
        struct rc rc = wire_call(ctx, p->h->relay, WIRE_relay_push, &in, WIRE_relay_pushed, out);
        if (!died(p, rc) || tries == DEAD_TRIES)
            return rc;
        ctx->trail = trail;
        sleep_ms(200 * tries);
    }
}

static void tell(const struct wire_relay_pushed *in, struct push_look *out)
{
    *out = (struct push_look){.is_new = in->state == WIRE_relay_pushed_state_new,
                              .is_other = in->state == WIRE_relay_pushed_state_other,
                              .fingerprint = in->fingerprint,
                              .what = in->what};
}

RC push_at_look(struct ctx *ctx, const struct push_target *p, struct push_look *out)
{
    struct wire_relay_pushed seen;
    TRY(see(ctx, p, (struct bytes){0}, &seen));
    tell(&seen, out);
    return RC_OK;
}

RC push_at_begin(struct ctx *ctx, struct push_target *p, struct bytes *previous)
{
    struct wire_relay_pushed seen;
    struct wire_apply_done done;
    TRY(see(ctx, p, p->keep_for, &seen));
    struct wire_apply_save save = {p->target, p->deployment, p->fence, seen.fingerprint, seen.kept};
    TRY(HANDS_CALL(ctx, p->h->apply, apply_save, &save, apply_done, &done));
    FAILPOINT("agent.push_saved");
    story_add(ctx, p->story, "see", "there is %s", seen.what);
    *previous = seen.fingerprint;
    p->begun = true;
    return RC_OK;
}

/* One round with the relay; where it dies the key is gone with it, and all is asked anew: the steps can be repeated. */
static RC ask(struct ctx *ctx, const struct push_target *p, int verb, struct wire_relay_pushed *out)
{
    for (unsigned tries = 1;; tries++) {
        struct trail_entry *trail = ctx->trail;
        struct wire_relay_push_key get = {0};
        struct wire_relay_push_key_is key;
        struct wire_apply_sealed sealed;
        struct wire_relay_push in = wish(p, verb);
        TRY(HANDS_CALL(ctx, p->h->relay, relay_push_key, &get, relay_push_key_is, &key));
        struct wire_apply_seal seal = {p->target, p->deployment, p->fence, key.public, verb == WIRE_relay_push_verb_install};
        TRY(HANDS_CALL(ctx, p->h->apply, apply_seal, &seal, apply_sealed, &sealed));
        in.session = key.session;
        in.sealed = sealed.sealed;
        struct rc rc = wire_call(ctx, p->h->relay, WIRE_relay_push, &in, WIRE_relay_pushed, out);
        if ((!died(p, rc) && rc.e != E_NOT_FOUND) || tries == DEAD_TRIES)
            return rc;
        ctx->trail = trail;
        sleep_ms(200 * tries);
    }
}

RC push_at_install(struct ctx *ctx, struct push_target *p, struct bytes *previous)
{
    struct wire_relay_pushed out;
    for (unsigned tries = 1;; tries++) {
        struct trail_entry *trail = ctx->trail;
        struct rc rc = ask(ctx, p, WIRE_relay_push_verb_install, &out);
        if (rc.e != E_CHANGED) {
            TRY(rc);
            story_add(ctx, p->story, "install", "sent; there is %s", out.what);
            return RC_OK;
        }
        if (!p->begun || tries == CHANGED_TRIES)
            return ctx_wrap(ctx, rc_of(E_DEPLOY_FAILED), "somebody else changes this target at the same time");
        story_add(ctx, p->story, "install", "%s: looked at again", ctx_why(ctx));
        ctx->trail = trail;
        TRY(push_at_begin(ctx, p, previous));
    }
}

RC push_at_prove(struct ctx *ctx, struct push_target *p, int64_t wait_ms)
{
    int64_t until = clock_mono_ms() + wait_ms, pause = 200;
    struct push_look look;
    for (;;) {
        TRY(push_at_look(ctx, p, &look));
        if (look.is_new)
            break;
        if (clock_mono_ms() >= until)
            return ctx_fail(ctx, E_NOT_SERVED, "there is %s, not the one that was sent", look.what);
        sleep_ms(pause);
        pause = pause * 2 < 3000 ? pause * 2 : 3000;
    }
    story_add(ctx, p->story, "prove", "the target holds the new certificate");
    return RC_OK;
}

RC push_at_undo(struct ctx *ctx, struct push_target *p, struct bytes *previous, bool *left)
{
    struct wire_relay_pushed out;
    struct wire_apply_undo_begin begin = {p->target, p->deployment, p->fence};
    struct wire_apply_done done;
    TRY(HANDS_CALL(ctx, p->h->apply, apply_undo_begin, &begin, apply_done, &done));
    FAILPOINT("agent.push_undo");
    TRY(ask(ctx, p, WIRE_relay_push_verb_undo, &out));
    *left = out.state == WIRE_relay_pushed_state_other;
    if (*left)
        *previous = out.fingerprint;
    story_add(ctx, p->story, "undo", *left ? "there is %s: it is somebody else's and stays" : "taken back; there is %s", out.what);
    return RC_OK;
}
