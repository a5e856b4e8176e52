#include "agent/present_dns.h"

#include "acme/dns_proof.h"
#include "base/encode.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "net/dns_wire.h"
#include "pki/digest.h"

#define STALE_S      86400 /* then nobody asks for a value any more */
#define OFTEN_S      600   /* for so long it is tried with each sweep, */
#define SELDOM_S     3600  /* then once so often, */
#define WEEK_S       (7 * 86400) /* and so long at all */
#define SWEEP_S      90
#define MOST_S       180  /* until a value is seen, where nobody says */
#define LEAST_S      60   /* what a description says may be an average */
#define MOST_MAX_S   900
#define SILENT_MS    8000 /* how long a server that does not answer is waited for where another shows the value */
#define BLIND_S      30   /* waited where no server can be asked */
#define STEADY_MS    100
#define STEADY_MAX_S 5
#define SHORT        200
#define SAID_MAX     4000 /* of what a program printed, kept for its clean-up */

struct proof {
    struct hands *h;
    struct story *story;
    const char *domain;     /* what is proved */
    const char *provider, *parameters;
    const char *owner;      /* where the CA looks */
    const char *value;
    const json_t *within;   /* below which names the record may be; NULL: anywhere that agent.yaml grants */
    bool stays;
    const char *replaces;   /* a value of before that goes when this one can be seen; NULL: none */
    const char *key;        /* of the note */
    const char *target, *zone; /* where aliases from `owner` lead */
    struct wire_probe_dns_zone_is found;
    int64_t first_s, most_s;
    const char *said;
};

bool present_dns_method(const char *method) { return strncmp(method, "dns-", 4) == 0; }

/* --- reading a job */

/* The same value at the same name by the same provider is the same thing, whoever asks for it. */
static RC key_of(struct ctx *ctx, struct proof *p)
{
    struct bytes hash;
    TRY(digest_sha256_new(ctx, bytes_z(arena_printf(&ctx->arena, "%s\n%s\n%s", p->provider, p->owner, p->value)), &hash));
    p->key = hex_str(&ctx->arena, hash);
    return RC_OK;
}

static RC read_body(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct proof *p)
{
    const json_t *via;
    const char *identifier, *method = "dns-01", *account_url = "", *key_authorization = "", *value = NULL;
    struct acme_dns_proof proof;
    *p = (struct proof){.h = h, .story = story, .said = ""};
    TRY(json_get_str(ctx, body, "identifier", true, &identifier));
    TRY(json_get_str(ctx, body, "method", false, &method));
    TRY(json_get_str(ctx, body, "account_url", false, &account_url));
    TRY(json_get_str(ctx, body, "key_authorization", false, &key_authorization));
    TRY(json_get_str(ctx, body, "value", false, &value));
    TRY(json_get_str(ctx, body, "replaces", false, &p->replaces));
    TRY(json_get_obj(ctx, body, "via", true, &via));
    TRY(json_get_str(ctx, via, "connector", true, &p->provider));
    TRY(json_get_obj_text(ctx, via, "parameters", false, &p->parameters));
    TRY(json_get_list(ctx, via, "within", false, &p->within));
    p->domain = strncmp(identifier, "dns:", 4) == 0 ? identifier + 4 : identifier;
    p->domain += strncmp(p->domain, "*.", 2) == 0 ? 2 : 0;
    TRY(acme_dns_proof(ctx, method, p->domain, account_url, key_authorization, &proof));
    p->owner = proof.owner;
    p->value = value != NULL && *value != '\0' ? value : proof.value;
    p->stays = proof.stays;
    return key_of(ctx, p);
}

/* --- where it belongs */

/* Whoever has the name can make it an alias of any other; the credential is good for more names than were granted. */
static RC check_alias(struct ctx *ctx, const struct proof *p)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)p->within, i, v)
    {
        const char *name = json_string_value(v);
        if (name != NULL && dns_name_within(p->target, name))
            return RC_OK;
    }
    if (p->within == NULL)
        return RC_OK;
    return ctx_fail(ctx, E_NOT_GRANTED,
                    "DNS provider %s is not granted for %s: certwright dns grant PROVIDER --team TEAM --under %s", p->provider,
                    p->target, p->target);
}

static RC find_zone(struct ctx *ctx, struct proof *p, const struct agent_dns **row)
{
    struct wire_probe_dns_zone in = {p->owner};
    TRY(HANDS_CALL(ctx, p->h->probe, probe_dns_zone, &in, probe_dns_zone_is, &p->found));
    p->target = p->found.target;
    p->zone = p->found.zone;
    const bool aliased = strcmp(p->target, p->owner) != 0;
    if (aliased)
        story_add(ctx, p->story, "present", "%s is an alias of %s", p->owner, p->target);
    struct rc rc = agent_config_dns(ctx, p->h->cfg, p->provider, p->target, row);
    if (rc_ok(rc) && aliased)
        rc = check_alias(ctx, p);
    return rc_failed(rc) && aliased ? ctx_wrap(ctx, rc, "%s is an alias of %s", p->owner, p->target) : rc;
}

/* --- adding and taking away */

static RC note(struct ctx *ctx, const struct proof *p)
{
    struct wire_apply_dns_note in = {p->key, p->provider, p->parameters, p->zone, p->target, p->domain, p->value, p->said};
    struct wire_apply_done done;
    return HANDS_CALL(ctx, p->h->apply, apply_dns_note, &in, apply_done, &done);
}

static RC forget(struct ctx *ctx, struct hands *h, const char *key)
{
    struct wire_apply_dns_forget in = {key};
    struct wire_apply_done done;
    return HANDS_CALL(ctx, h->apply, apply_dns_forget, &in, apply_done, &done);
}

static RC by_relay(struct ctx *ctx, struct proof *p, bool add)
{
    struct wire_relay_dns in = {.verb = add ? WIRE_relay_dns_verb_add : WIRE_relay_dns_verb_remove,
                                .provider = p->provider,
                                .parameters = p->parameters,
                                .zone = p->zone,
                                .name = p->target,
                                .value = p->value};
    struct wire_relay_dns_done done;
    TRY(HANDS_CALL(ctx, p->h->relay, relay_dns, &in, relay_dns_done, &done));
    p->first_s = done.first_s;
    p->most_s = done.most_s;
    story_add(ctx, p->story, add ? "present" : "clean", "value at %s in zone %s: %s with %s", p->target, p->zone,
              *done.what != '\0' ? done.what : add ? "added" : "taken away", p->provider);
    return RC_OK;
}

static RC program_ended(struct ctx *ctx, const char *provider, const struct wire_run_done *done)
{
    const char *words = words_of(ctx, done->output, 1500);
    if (done->exit_code == 0)
        return RC_OK;
    if (done->timed_out)
        return ctx_fail(ctx, E_COMMAND_FAILED, "the program of DNS provider %s did not end within its time: %s", provider, words);
    if (done->exit_code < 0)
        return ctx_fail(ctx, E_COMMAND_FAILED, "the program of DNS provider %s was ended by signal %d: %s", provider,
                        (int)done->signal, words);
    return ctx_fail(ctx, E_COMMAND_FAILED, "the program of DNS provider %s says: %s (exit code %d)", provider,
                    *words != '\0' ? words : "nothing", (int)done->exit_code);
}

/* Each line it printed is a line of the story. */
static void tell_lines(struct ctx *ctx, const struct proof *p, const char *step, struct bytes output)
{
    struct bytes line;
    for (int i = 0; i < 20 && bytes_take_until(&output, '\n', &line); i++) {
        const char *words = words_of(ctx, line, SHORT);
        if (*words != '\0')
            story_add(ctx, p->story, step, "%s", words);
    }
}

/* One at a time: hooks that rewrite a set of records lose what another adds meanwhile. */
static RC by_program(struct ctx *ctx, struct proof *p, bool add)
{
    struct wire_run_dns in = {.verb = add ? WIRE_run_dns_verb_present : WIRE_run_dns_verb_clean,
                              .provider = p->provider,
                              .zone = p->zone,
                              .name = p->target,
                              .domain = p->domain,
                              .value = p->value,
                              .said = p->said};
    struct wire_run_done done;
    const char *step = add ? "present" : "clean", *turn = arena_printf(&ctx->arena, "dns:%s", p->provider);
    TRY(hands_enter(ctx, p->h, turn));
    struct rc rc = HANDS_CALL(ctx, p->h->run, run_dns, &in, run_done, &done);
    hands_leave(p->h, turn);
    TRY(rc);
    TRY(program_ended(ctx, p->provider, &done));
    tell_lines(ctx, p, step, done.output);
    story_add(ctx, p->story, step, "the program of DNS provider %s ended well for %s", p->provider, p->target);
    const char *said = str_is_utf8(done.output) && done.output.n <= SAID_MAX ? str_z(&ctx->arena, done.output) : NULL;
    p->said = add && said != NULL ? said : p->said;
    return RC_OK;
}

static RC change(struct ctx *ctx, struct proof *p, const struct agent_dns *row, bool add)
{
    return row->program != NULL ? by_program(ctx, p, add) : by_relay(ctx, p, add);
}

/* --- waiting until it can be seen */

static void pause_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static RC wait_unless_dropped(struct ctx *ctx, const struct proof *p, int64_t ms)
{
    for (const int64_t until = clock_mono_ms() + ms; clock_mono_ms() < until;) {
        int64_t left = until - clock_mono_ms();
        if (story_dropped(p->story))
            return ctx_fail(ctx, E_FENCED, "the job was given to somebody else, or is not wanted any more");
        pause_ms(left < 200 ? left : 200);
    }
    return RC_OK;
}

struct sight {
    size_t shows, lacks, silent;
    const char *lacking, *not_answering; /* in words */
};

static RC look(struct ctx *ctx, const struct proof *p, struct sight *out)
{
    struct wire_probe_dns_txt in = {p->target, p->value, p->found.servers};
    struct wire_probe_dns_txt_seen seen;
    struct buf lacking, silent;
    buf_init_arena(&lacking, &ctx->arena, 65536);
    buf_init_arena(&silent, &ctx->arena, 65536);
    TRY(HANDS_CALL(ctx, p->h->probe, probe_dns_txt, &in, probe_dns_txt_seen, &seen));
    *out = (struct sight){0};
    for (size_t i = 0; i < seen.states.n && i < p->found.servers.n && i < seen.details.n; i++) {
        out->shows += seen.states.v[i] == 1;
        out->lacks += seen.states.v[i] == 0;
        out->silent += seen.states.v[i] == 2;
        struct buf *b = seen.states.v[i] == 0 ? &lacking : &silent;
        if (seen.states.v[i] != 1)
            buf_printf(b, "%s%s (%s): %s", b->n > 0 ? "; " : "", p->found.server_names.v[i], p->found.servers.v[i],
                       seen.details.v[i]);
    }
    out->lacking = words_of(ctx, buf_bytes(&lacking), 1500);
    out->not_answering = words_of(ctx, buf_bytes(&silent), 1500);
    return RC_OK;
}

/* Several machines may stand behind one address: it must be seen again a while later. */
static int64_t steady_ms(const struct proof *p)
{
    return p->first_s <= 0 ? STEADY_MS : (p->first_s < STEADY_MAX_S ? p->first_s : STEADY_MAX_S) * 1000;
}

static RC not_seen(struct ctx *ctx, const struct proof *p, const struct sight *s, int64_t most_s)
{
    if (s->lacks == 0)
        return ctx_fail(ctx, E_DNS, "no server of zone %s answers: %s", p->zone, s->not_answering);
    return ctx_fail(ctx, E_CHALLENGE_FAILED,
                    "the value was added with %s, but not all servers of zone %s show it at %s after %lld s: %s%s%s; publish_s "
                    "in agent.yaml gives them longer",
                    p->provider, p->zone, p->target, (long long)most_s, s->lacking, *s->not_answering != '\0' ? "; " : "",
                    s->not_answering);
}

static int64_t most_wait_s(const struct proof *p, const struct agent_dns *row)
{
    if (row->publish_s > 0)
        return row->publish_s;
    return p->most_s <= 0 ? MOST_S : p->most_s < LEAST_S ? LEAST_S : p->most_s > MOST_MAX_S ? MOST_MAX_S : p->most_s;
}

static RC wait_seen(struct ctx *ctx, const struct proof *p, const struct agent_dns *row)
{
    const int64_t most_s = most_wait_s(p, row);
    const int64_t begun = clock_mono_ms();
    int64_t pause = 100, since = 0;
    struct sight s;
    if (p->found.servers.n == 0) {
        int64_t wait_s = row->publish_s > 0 ? row->publish_s : p->first_s > 0 ? p->first_s : BLIND_S;
        story_add(ctx, p->story, "present", "the servers of zone %s cannot be asked from this host (%s): waiting %lld s instead",
                  p->zone, words_of(ctx, bytes_z(p->found.detail), SHORT), (long long)wait_s);
        return wait_unless_dropped(ctx, p, wait_s * 1000);
    }
    for (;;) {
        TRY(look(ctx, p, &s));
        const int64_t now = clock_mono_ms();
        const bool all = s.shows > 0 && s.lacks == 0 && (s.silent == 0 || now - begun >= SILENT_MS);
        since = !all ? 0 : since == 0 ? now : since;
        if (all && now - since >= steady_ms(p))
            break;
        if (!all && now - begun >= most_s * 1000)
            return not_seen(ctx, p, &s, most_s);
        TRY(wait_unless_dropped(ctx, p, all ? steady_ms(p) : pause));
        pause = pause * 3 / 2 < 5000 ? pause * 3 / 2 : 5000;
    }
    if (s.shows == 1)
        story_add(ctx, p->story, "present", "the server of zone %s shows it", p->zone);
    else
        story_add(ctx, p->story, "present", "all %zu addresses of the servers of zone %s show it", s.shows, p->zone);
    if (s.silent > 0)
        story_add(ctx, p->story, "present", "does not answer: %s", s.not_answering);
    return RC_OK;
}

/* --- the jobs */

static RC remove_noted(struct ctx *ctx, struct proof *p, const struct agent_dns *row)
{
    TRY(change(ctx, p, row, false));
    FAILPOINT("agent.dns_removed");
    return forget(ctx, p->h, p->key);
}

/* Whether DNS itself says that a change that was refused both ways has left nothing: then there is nothing to remember. */
static bool surely_absent(struct ctx *ctx, const struct proof *p, struct rc why)
{
    struct sight s;
    if (why.e == E_TIMEOUT || why.e == E_UNREACHABLE || p->found.servers.n == 0)
        return false;
    return rc_ok(look(ctx, p, &s)) && s.lacks > 0 && s.shows == 0;
}

/* What could not be made visible is taken away; where that fails too the note stays, and `clean` tries again. */
static RC give_up(struct ctx *ctx, struct proof *p, const struct agent_dns *row, struct rc why)
{
    struct trail_entry *trail = ctx->trail;
    const int64_t retry_after_s = ctx->retry_after_s;
    ctx->trail = NULL;
    if (!p->stays && rc_failed(remove_noted(ctx, p, row))) {
        const char *words = words_of(ctx, bytes_z(ctx_why(ctx)), 900);
        if (surely_absent(ctx, p, why) && rc_ok(forget(ctx, p->h, p->key)))
            story_add(ctx, p->story, "clean", "no server shows the value");
        else
            story_add(ctx, p->story, "clean", "%s", words);
    }
    ctx->trail = trail;
    ctx->retry_after_s = retry_after_s;
    return why;
}

static RC add_and_wait(struct ctx *ctx, struct proof *p, const struct agent_dns *row)
{
    TRY(change(ctx, p, row, true));
    if (row->program != NULL && !p->stays && *p->said != '\0')
        TRY(note(ctx, p)); /* its clean-up may want what it said */
    FAILPOINT("agent.dns_added");
    return wait_seen(ctx, p, row);
}

/* By the note alone: aliases may lead elsewhere by now. */
static RC clean_noted(struct ctx *ctx, struct proof *p, const struct wire_apply_dns_noted_is *note)
{
    const struct agent_dns *row = NULL;
    p->provider = note->provider;
    p->zone = note->zone;
    p->target = note->name;
    p->domain = note->domain;
    p->value = note->value;
    p->said = note->said;
    if (p->parameters == NULL) /* else those of the job, which may be newer */
        p->parameters = note->parameters;
    TRY(agent_config_dns(ctx, p->h->cfg, p->provider, p->target, &row));
    return remove_noted(ctx, p, row);
}

static RC noted(struct ctx *ctx, const struct proof *p, struct wire_apply_dns_noted_is *out)
{
    struct wire_apply_dns_noted in = {p->key};
    return HANDS_CALL(ctx, p->h->apply, apply_dns_noted, &in, apply_dns_noted_is, out);
}

static RC clean_key(struct ctx *ctx, struct proof *p)
{
    struct wire_apply_dns_noted_is was;
    TRY(noted(ctx, p, &was));
    return was.found ? clean_noted(ctx, p, &was) : RC_OK;
}

/* An earlier try that was interrupted, when the aliases led elsewhere. */
static RC clean_elsewhere(struct ctx *ctx, const struct proof *p)
{
    struct wire_apply_dns_noted_is was;
    struct proof before = *p;
    TRY(noted(ctx, p, &was));
    return was.found && strcmp(was.name, p->target) != 0 ? clean_noted(ctx, &before, &was) : RC_OK;
}

/* The new one is there, which is what was asked for; one that is left over does no harm. */
static void remove_replaced(struct ctx *ctx, const struct proof *p, const struct agent_dns *row)
{
    struct trail_entry *trail = ctx->trail;
    struct proof before = *p;
    before.value = p->replaces;
    if (before.value == NULL || *before.value == '\0' || strcmp(before.value, p->value) == 0)
        return;
    ctx->trail = NULL;
    if (rc_failed(change(ctx, &before, row, false)))
        story_add(ctx, p->story, "clean", "the value of before stays: %s", words_of(ctx, bytes_z(ctx_why(ctx)), 900));
    ctx->trail = trail;
}

RC present_dns_run(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body)
{
    struct proof p;
    const struct agent_dns *row = NULL;
    TRY(read_body(ctx, h, story, body, &p));
    TRY(find_zone(ctx, &p, &row));
    if (!p.stays) {
        TRY(clean_elsewhere(ctx, &p));
        TRY(note(ctx, &p));
    }
    FAILPOINT("agent.dns_noted");
    struct rc rc = add_and_wait(ctx, &p, row);
    FAILPOINT("agent.dns_seen");
    if (rc_failed(rc))
        return give_up(ctx, &p, row, rc);
    remove_replaced(ctx, &p, row);
    return RC_OK;
}

/* A value that stays has no note; who asks for it to go has another one in its place. */
static RC clean_staying(struct ctx *ctx, struct proof *p)
{
    const struct agent_dns *row = NULL;
    TRY(find_zone(ctx, p, &row));
    return change(ctx, p, row, false);
}

RC present_dns_clean(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body)
{
    struct proof p;
    TRY(read_body(ctx, h, story, body, &p));
    return p.stays ? clean_staying(ctx, &p) : clean_key(ctx, &p);
}

RC present_dns_sweep(struct ctx *ctx, struct hands *h, size_t *kept)
{
    struct wire_apply_dns_list in = {0};
    struct wire_apply_dns_keys all;
    TRY(HANDS_CALL(ctx, h->apply, apply_dns_list, &in, apply_dns_keys, &all));
    *kept = all.keys.n;
    for (size_t i = 0; i < all.keys.n && i < all.put_at_s.n; i++) {
        struct story story;
        struct trail_entry *trail = ctx->trail;
        const int64_t over_s = ctx_now_s(ctx) - all.put_at_s.v[i] - STALE_S;
        if (over_s < 0 || (over_s > OFTEN_S && over_s % SELDOM_S >= SWEEP_S))
            continue;
        story_init(&story);
        struct proof p = {.h = h, .story = &story, .key = all.keys.v[i]};
        struct rc rc = clean_key(ctx, &p);
        if (rc_failed(rc))
            log_event(LOG_WARN_, "dns_leftover", "name", p.target != NULL ? p.target : "", "why", ctx_why(ctx), NULL);
        if (rc_failed(rc) && over_s > WEEK_S)
            TRY(forget(ctx, h, p.key));
        story_free(&story);
        ctx->trail = trail;
    }
    return RC_OK;
}

static RC test_program(struct ctx *ctx, struct hands *h, const char *provider, const char *zone, const char **what)
{
    struct wire_run_dns in = {.verb = WIRE_run_dns_verb_test, .provider = provider, .zone = zone, .name = zone};
    struct wire_run_done done;
    TRY(HANDS_CALL(ctx, h->run, run_dns, &in, run_done, &done));
    TRY(program_ended(ctx, provider, &done));
    *what = words_of(ctx, done.output, 300);
    return RC_OK;
}

/* What is granted may lie below the zone that the provider knows.  Without resolvers nothing can be proved here, and the provider,
 * asked by its name, would only take longer to say so. */
static RC zone_above(struct ctx *ctx, struct hands *h, const char *name, const char **zone)
{
    struct wire_probe_dns_zone in = {name};
    struct wire_probe_dns_zone_is found;
    struct trail_entry *trail = ctx->trail;
    struct rc rc = HANDS_CALL(ctx, h->probe, probe_dns_zone, &in, probe_dns_zone_is, &found);
    if (rc.e == E_TIMEOUT || rc.e == E_UNREACHABLE)
        return rc;
    if (rc_ok(rc) && strcmp(found.target, name) == 0)
        *zone = found.zone;
    ctx->trail = trail;
    return RC_OK;
}

RC present_dns_test(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body, struct buf *member)
{
    struct wire_relay_dns in = {.verb = WIRE_relay_dns_verb_test};
    struct wire_relay_dns_done done = {.what = ""};
    const struct agent_dns *row;
    struct json_out j;
    TRY(json_get_str(ctx, body, "provider", true, &in.provider));
    TRY(json_get_str(ctx, body, "zone", true, &in.zone));
    TRY(json_get_obj_text(ctx, body, "parameters", false, &in.parameters));
    TRY(agent_config_dns(ctx, h->cfg, in.provider, in.zone, &row));
    in.name = in.zone;
    if (row->program != NULL) {
        TRY(test_program(ctx, h, in.provider, in.name, &done.what));
    } else {
        TRY(zone_above(ctx, h, in.name, &in.zone));
        TRY(HANDS_CALL(ctx, h->relay, relay_dns, &in, relay_dns_done, &done));
    }
    story_add(ctx, story, "dns_test", "%s for %s: %s", in.provider, in.zone, done.what);
    json_begin(&j, member);
    json_open_obj(&j, NULL);
    json_put_str(&j, "what", done.what);
    if (done.expires_at > 0)
        json_put_time(&j, "expires_at", done.expires_at);
    json_close(&j);
    return RC_OK;
}
