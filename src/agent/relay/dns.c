#include "agent/relay/dns.h"

#include <pthread.h>
#include <time.h>

#include "acme/dns_proof.h"
#include "agent/relay/dns_set.h"
#include "agent/relay/dns_zone.h"
#include "base/failpoint.h"
#include "base/random.h"

#define LOCKS_MAX  64
#define KEY_MAX    384
#define ROUNDS_MAX 4
#define LOOKS_MAX  2
#define WHAT_MAX   200

/* --- one after the other */

struct dns_locks {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    char held[LOCKS_MAX][KEY_MAX]; /* "": free */
};

struct dns_locks *dns_locks_new(void)
{
    struct dns_locks *l = calloc(1, sizeof *l);
    pthread_condattr_t attr;
    if (l == NULL)
        return NULL;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->freed, &attr);
    pthread_condattr_destroy(&attr);
    return l;
}

void dns_locks_free(struct dns_locks *l)
{
    if (l == NULL)
        return;
    pthread_cond_destroy(&l->freed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* A free place, where nobody has this key; NULL: wait. */
static char *place_for(struct dns_locks *l, const char *key)
{
    char *place = NULL;
    for (size_t i = 0; i < LOCKS_MAX; i++) {
        if (strcmp(l->held[i], key) == 0)
            return NULL;
        if (l->held[i][0] == '\0')
            place = l->held[i];
    }
    return place;
}

/* Where an API replaces a zone whole, two names of it are each other's matter. */
static RC take_lock(struct ctx *ctx, struct dns_locks *l, const struct dns_desc *d, const struct wire_relay_dns *in, char **out)
{
    const char *key = arena_printf(&ctx->arena, "%s %s", in->provider, d->has_records ? in->zone : in->name);
    pthread_mutex_lock(&l->lock);
    while ((*out = place_for(l, key)) == NULL && ctx_left_ms(ctx, 1000) > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&l->freed, &l->lock, &until);
    }
    if (*out != NULL)
        memcpy(*out, key, strlen(key) + 1);
    pthread_mutex_unlock(&l->lock);
    return *out != NULL ? RC_OK : ctx_fail(ctx, E_TIMEOUT, "others are still working on the records of %s", in->name);
}

static void give_lock(struct dns_locks *l, char *place)
{
    if (place == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    *place = '\0';
    pthread_cond_broadcast(&l->freed);
    pthread_mutex_unlock(&l->lock);
}

/* --- what may be asked for */

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 253 || name[0] == '.' || name[n - 1] == '.' || strstr(name, "..") != NULL)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == n;
}

static RC check_wish(struct ctx *ctx, const struct agent_config *cfg, const struct wire_relay_dns *in)
{
    const struct agent_dns *row;
    bool test = in->verb == WIRE_relay_dns_verb_test;
    size_t name = strlen(in->name), zone = strlen(in->zone);
    if (!is_name(in->zone) || (!test && !is_name(in->name)))
        return ctx_fail(ctx, E_INVALID, "%s in zone %s is no name whose records can be changed", in->name, in->zone);
    if (!test &&
        (name < zone || strcmp(in->name + name - zone, in->zone) != 0 || (name > zone && in->name[name - zone - 1] != '.')))
        return ctx_fail(ctx, E_INVALID, "%s is not in zone %s", in->name, in->zone);
    if (!test && !acme_dns_value_is(in->value))
        return ctx_fail(ctx, E_INVALID, "the value for %s is not one of an ACME challenge", in->name);
    return agent_config_dns(ctx, cfg, in->provider, test && in->name[0] == '\0' ? in->zone : in->name, &row);
}

static RC set_names(struct ctx *ctx, struct push_session *s, const struct wire_relay_dns *in)
{
    size_t name = strlen(in->name), zone = strlen(in->zone);
    struct bytes rest = bytes_z(in->zone), label;
    TRY(push_set(ctx, s, "zone", bytes_z(in->zone), false));
    bytes_take_until(&rest, '.', &label);
    TRY(push_set(ctx, s, "zone_label", label, false));
    TRY(push_set(ctx, s, "zone_rest", rest, false));
    if (in->verb == WIRE_relay_dns_verb_test)
        return RC_OK;
    struct bytes relative = bytes_of(in->name, name > zone ? name - zone - 1 : 0);
    TRY(push_set(ctx, s, "name", bytes_z(in->name), false));
    TRY(push_set(ctx, s, "relative", relative, false));
    TRY(push_set(ctx, s, "relative_or_at", relative.n > 0 ? relative : BYTES_LIT("@"), false));
    return push_set(ctx, s, "value", bytes_z(in->value), false);
}

/* --- changing a name */

struct change {
    struct push_session *s;
    const struct dns_desc *d;
    const struct wire_relay_dns *in;
    struct dns_zone *seen; /* of a provider that replaces whole zones: the newest look */
};

/* Whether our value is at the name; where the provider tells nothing, *known is false. */
static RC look(struct ctx *ctx, const struct change *c, bool *known, bool *there)
{
    struct bytes id;
    push_forget(c->s, "see."); /* a value that is no longer there must not stay */
    *known = c->d->n_see > 0;
    *there = false;
    TRY(push_run(ctx, c->s, c->d->see, c->d->n_see, "see", true));
    if (c->d->has_values)
        return dns_set_read(ctx, c->s, c->d, c->in, there);
    if (c->d->has_records)
        return dns_zone_read(ctx, c->s, c->d, c->in, c->seen, there);
    push_get(c->s, "see.id", &id);
    *there = id.n > 0;
    return RC_OK;
}

/* Somebody else may have written the set at the same time, without what was ours; or the provider shows a change late. */
static RC settled(struct ctx *ctx, const struct change *c, bool want, bool *yes)
{
    bool known, there;
    *yes = !c->d->has_values;
    for (unsigned tries = 1; !*yes && tries <= LOOKS_MAX; tries++) {
        if (tries > 1)
            TRY(push_pause(ctx, 250 << tries));
        TRY(look(ctx, c, &known, &there));
        *yes = there == want;
    }
    return RC_OK;
}

/* The same where a whole zone was written: all that others have in it must be there still.  What is new is a change of somebody
 * else's that came after ours; what somebody wrote between our look and our change is lost, and nothing tells. */
static RC zone_settled(struct ctx *ctx, const struct change *c, const struct dns_zone *before, bool want, const char **what,
                       bool *yes)
{
    const char *lost = NULL;
    size_t more = 0;
    bool known, there;
    *yes = false;
    for (unsigned tries = 1; !*yes && tries <= LOOKS_MAX; tries++) {
        if (tries > 1)
            TRY(push_pause(ctx, 250 << tries));
        struct rc rc = look(ctx, c, &known, &there);
        if (rc_failed(rc))
            return ctx_wrap(ctx, rc, "looking at zone %s after it was written", c->in->zone);
        lost = dns_zone_lost(ctx, before, c->seen, &more);
        *yes = lost == NULL && there == want;
    }
    if (lost != NULL)
        return ctx_fail(ctx, E_BAD_ANSWER,
                        "after zone %s was written, records of others are gone or are not as they were: %s; compare the zone with "
                        "what should be in it", c->in->zone, lost);
    if (*yes && more > 0)
        *what = arena_printf(&ctx->arena, "%s; meanwhile somebody else added records: %zu", *what, more);
    return RC_OK;
}

/* An empty zone may be written as none, or refused, or as one with defaults. */
static RC refuse_last(struct ctx *ctx, const struct change *c)
{
    return !c->d->has_records || c->seen->n > 0
               ? RC_OK
               : ctx_fail(ctx, E_BAD_ANSWER, "the value is the last record of zone %s, which cannot be written without any; "
                          "nothing was changed", c->in->zone);
}

static RC change(struct ctx *ctx, const struct change *c, const char **what)
{
    bool add = c->in->verb == WIRE_relay_dns_verb_add, known, there, yes;
    c->s->now_only = c->d->has_records;
    TRY(push_run(ctx, c->s, c->d->zone, c->d->n_zone, "zone", true));
    for (unsigned round = 1; round <= ROUNDS_MAX; round++) {
        struct trail_entry *trail = ctx->trail;
        if (round > 1)
            TRY(push_pause(ctx, 100 * round + (int64_t)random_below(300)));
        TRY(look(ctx, c, &known, &there));
        *what = add ? "was there already" : "was gone already";
        if (known && there == add)
            return RC_OK;
        TRY(refuse_last(ctx, c));
        const struct dns_zone before = *c->seen;
        FAILPOINT("relay.dns_change");
        struct rc rc = add ? push_run(ctx, c->s, c->d->add, c->d->n_add, NULL, false)
                           : push_run(ctx, c->s, c->d->remove, c->d->n_remove, NULL, false);
        if (rc.e == E_CHANGED) {
            ctx->trail = trail;
            continue;
        }
        TRY(rc);
        *what = add ? "added" : "taken away";
        if (c->d->has_records)
            TRY(zone_settled(ctx, c, &before, add, what, &yes));
        else
            TRY(settled(ctx, c, add, &yes));
        if (yes)
            return RC_OK;
    }
    return ctx_fail(ctx, E_BUSY, "the values at %s were changed by somebody else each of %d times", c->in->name, ROUNDS_MAX);
}

/* --- testing a credential */

static const char *plain_text(struct ctx *ctx, struct bytes in)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, WHAT_MAX + 8);
    if (!str_is_utf8(in))
        return "";
    for (size_t i = 0; i < in.n && (b.n < WHAT_MAX || (in.p[i] & 0xc0) == 0x80); i++)
        buf_put_u8(&b, in.p[i] < 0x20 || in.p[i] == 0x7f ? ' ' : in.p[i]);
    return buf_z(&b);
}

static RC test(struct ctx *ctx, const struct change *c, struct wire_relay_dns_done *out)
{
    struct bytes expires, scope;
    TRY(push_run(ctx, c->s, c->d->test, c->d->n_test, "test", true));
    if (c->d->has_records)
        TRY(dns_zone_check(ctx, c->s, c->d, "test"));
    push_get(c->s, "test.scope", &scope);
    push_get(c->s, "test.expires", &expires);
    if (expires.n > 0 && !str_to_i64(expires, &out->expires_at) && !time_parse_rfc3339(expires, &out->expires_at))
        return ctx_fail(ctx, E_BAD_ANSWER, "the provider says that the credential ends at \"%s\", which is no time",
                        plain_text(ctx, expires));
    out->what = scope.n > 0 ? plain_text(ctx, scope) : "accepted";
    return RC_OK;
}

/* --- the message */

static bool is_within(struct bytes name, struct bytes above)
{
    return name.n >= above.n && bytes_equal_nocase(bytes_of(name.p + name.n - above.n, above.n), above) &&
           (name.n == above.n || name.p[name.n - above.n - 1] == '.');
}

/* The hub says the parameters: of one that the request names in place of the record it must be true that the record is there. */
static RC check_below(struct ctx *ctx, const struct change *c)
{
    struct bytes at;
    const bool test = c->in->verb == WIRE_relay_dns_verb_test;
    const struct bytes name = bytes_z(test && c->in->name[0] == '\0' ? c->in->zone : c->in->name);
    if (c->d->below == NULL)
        return RC_OK;
    TRY(push_expand(ctx, c->s, c->d->below, PUSH_PLAIN, NULL, &at));
    if (at.n > 0 && (is_within(name, at) || (test && is_within(at, name))))
        return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED, "it would change records of %s, and %s is not below that", arena_str(&ctx->arena, at),
                    arena_str(&ctx->arena, name));
}

static RC run(struct ctx *ctx, const struct change *c, struct wire_relay_dns_done *out)
{
    out->first_s = c->d->first_s;
    out->most_s = c->d->most_s;
    TRY(set_names(ctx, c->s, c->in));
    TRY(check_below(ctx, c));
    return c->in->verb == WIRE_relay_dns_verb_test ? test(ctx, c, out) : change(ctx, c, &out->what);
}

static RC with_session(struct ctx *ctx, const struct push_host *host, const struct dns_desc *d, const struct wire_relay_dns *in,
                       struct wire_relay_dns_done *out)
{
    const struct push_wish wish = {
        .description = &d->provider, .connector = d->provider.name, .parameters = in->parameters, .target = "", .deployment = ""};
    struct change c = {.d = d, .in = in, .seen = ARENA_NEW(&ctx->arena, struct dns_zone)};
    TRY(push_open(ctx, host, &wish, &c.s));
    struct rc rc = run(ctx, &c, out);
    push_close(ctx, c.s);
    return rc;
}

/* The words of errors are those of deployments, which this is not. */
static RC as_provider(struct ctx *ctx, struct rc rc, const struct wire_relay_dns *in)
{
    static const char *const doing[] = {[WIRE_relay_dns_verb_test] = "trying the credential of",
                                        [WIRE_relay_dns_verb_add] = "adding a value with",
                                        [WIRE_relay_dns_verb_remove] = "taking a value away with"};
    if (rc_ok(rc))
        return rc;
    if (rc.e == E_DEPLOY_FAILED)
        rc = rc_of(E_BAD_ANSWER);
    return in->verb == WIRE_relay_dns_verb_test
               ? ctx_wrap(ctx, rc, "%s DNS provider %s", doing[in->verb], in->provider)
               : ctx_wrap(ctx, rc, "%s DNS provider %s at %s", doing[in->verb], in->provider, in->name);
}

RC relay_dns_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files, struct dns_locks *locks,
                 const struct wire_relay_dns *in, struct wire_relay_dns_done *out)
{
    const struct push_host host = {cfg, files};
    struct dns_desc *d = ARENA_NEW(&ctx->arena, struct dns_desc);
    char *place = NULL;
    ctx->arena.wipe = true; /* answers are in it, and what they hold */
    *out = (struct wire_relay_dns_done){.what = ""};
    TRY(check_wish(ctx, cfg, in));
    TRY(dns_desc_load(ctx, cfg, in->provider, d));
    if (in->verb != WIRE_relay_dns_verb_test)
        TRY(take_lock(ctx, locks, d, in, &place));
    struct rc rc = with_session(ctx, &host, d, in, out);
    give_lock(locks, place);
    return as_provider(ctx, rc, in);
}
