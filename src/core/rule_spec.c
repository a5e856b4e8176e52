#include "core/rule_spec.h"

#include "base/str.h"
#include "core/event.h"
#include "core/filter.h"

#define EVERY_MIN_S  300
#define DIGEST_MIN_S 300
#define WINDOWS_MOST 32 /* quiet hours that follow each other without a gap */

/* What may be done, and what it needs. */
static const struct {
    const char *word, *permissions[3];
} actions[] = {
    {"renew", {"managed-certificate.renew"}},
    {"retry", {"managed-certificate.renew"}},
    {"pause", {"managed-certificate.pause"}},
    {"resume", {"managed-certificate.pause"}},
    {"revoke", {"certificate.revoke"}},
    {"tag", {"certificate.update"}},
    {"untag", {"certificate.update"}},
    {"adopt", {"adoption.create", "target.create", "managed-certificate.create"}},
    {"request", {"request.create"}},
};

static struct rc span(struct ctx *ctx, const char *field, const char *text, int64_t least, int64_t *out)
{
    if (!str_parse_span(bytes_z(text), out))
        return ctx_fail_field(ctx, field, "%s is no length of time such as 30m, 4h, 2d", text);
    if (*out < least || *out > RULE_SPAN_MAX_S)
        return ctx_fail_field(ctx, field, "%s is not from %lld seconds to a year", text, (long long)least);
    return RC_OK;
}

static struct rc events_of(struct ctx *ctx, const char *what, const struct api_strings *in, struct str_list *out)
{
    for (size_t i = 0; i < in->n; i++) {
        if (!event_kind_of(in->v[i]))
            return ctx_fail_field(ctx, arena_printf(&ctx->arena, "/spec/%s/%zu", what, i),
                                  "there is no event %s; docs/ALERTS.md lists them", in->v[i]);
        str_list_add(&ctx->arena, out, in->v[i]);
    }
    return RC_OK;
}

static void need(struct permission_set *needs, const char *permission)
{
    size_t bit = 0;
    if (permission && api_permission_find(permission, &bit))
        permission_add(needs, bit);
}

/* need_action adds what an action needs; false: there is no such action. */
static bool need_action(struct permission_set *needs, const char *action)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (str_equal(actions[i].word, action)) {
            for (size_t k = 0; k < sizeof actions[i].permissions / sizeof *actions[i].permissions; k++)
                need(needs, actions[i].permissions[k]);
            return true;
        }
    return false;
}

static struct rc step_of(struct ctx *ctx, size_t at, const struct api_rule_step *in, struct rule_step *out)
{
    const char *field = arena_printf(&ctx->arena, "/spec/steps/%zu", at);
    if ((in->notify != NULL) + (in->wait != NULL) + (in->action != NULL) + (in->run != NULL) != 1)
        return ctx_fail_field(ctx, field, "step %zu: say one of notify, wait, action and run", at + 1);
    if ((in->run != NULL) != (in->agent != NULL))
        return ctx_fail_field(ctx, field, "step %zu: run is of an agent, and agent of run", at + 1);
    if (in->notify) {
        if (!*in->notify)
            return ctx_fail_field(ctx, field, "step %zu: notify whom?  A channel, team, owner, or an address", at + 1);
        out->kind = RULE_NOTIFY;
        out->notify = in->notify;
    } else if (in->wait) {
        out->kind = RULE_WAIT;
        TRY(span(ctx, arena_printf(&ctx->arena, "%s/wait", field), in->wait, 60, &out->wait_s));
    } else if (in->run) {
        out->kind = RULE_RUN;
        out->run = in->run;
        out->agent = in->agent;
        if (strncmp(in->run, RULE_COMMAND, strlen(RULE_COMMAND)) != 0)
            return ctx_fail_field(ctx, field, "step %zu: rules start commands whose name begins with " RULE_COMMAND, at + 1);
    } else {
        struct permission_set ignored = {0};
        const bool tags = str_equal(in->action, "tag") || str_equal(in->action, "untag");
        out->kind = RULE_ACT;
        out->action = in->action;
        if (!need_action(&ignored, in->action))
            return ctx_fail_field(ctx, field, "step %zu: there is no action %s", at + 1, in->action);
        if (tags != (in->tags.n > 0))
            return ctx_fail_field(ctx, field, "step %zu: %s", at + 1, tags ? "say which tags" : "only tag and untag have tags");
        if (in->issuer && !str_equal(in->action, "adopt") && !str_equal(in->action, "request"))
            return ctx_fail_field(ctx, field, "step %zu: only adopt and request have an issuer", at + 1);
        out->issuer = in->issuer;
        for (size_t i = 0; i < in->tags.n; i++)
            str_list_add(&ctx->arena, &out->tags, in->tags.v[i]);
    }
    return RC_OK;
}

static struct rc steps_of(struct ctx *ctx, const struct api_rule_spec *in, struct rule_spec *out)
{
    bool although = false;
    out->steps = arena_array(&ctx->arena, in->steps.n + 1, sizeof *out->steps);
    for (size_t i = 0; i < in->steps.n; i++) {
        TRY(step_of(ctx, i, &in->steps.v[i], &out->steps[i]));
        if (in->steps.v[i].unless)
            although = str_equal(in->steps.v[i].unless, "closed");
        out->steps[i].although_acknowledged = although;
    }
    out->steps_n = in->steps.n;
    if (!out->steps_n)
        out->steps[out->steps_n++] = (struct rule_step){.kind = RULE_NOTIFY, .notify = "team"};
    return RC_OK;
}

static struct rc quiet_of(struct ctx *ctx, const struct api_rule_spec *in, struct rule_spec *out)
{
    out->quiet = arena_array(&ctx->arena, in->quiet.n + 1, sizeof *out->quiet);
    for (size_t i = 0; i < in->quiet.n; i++) {
        struct rc rc = window_parse(ctx, in->quiet.v[i], &out->quiet[i]);
        if (rc.e == E_INVALID)
            ctx->field = arena_printf(&ctx->arena, "/spec/quiet/%zu", i);
        TRY(rc);
    }
    out->quiet_n = in->quiet.n;
    return RC_OK;
}

static struct rc when_of(struct ctx *ctx, const struct api_rule_spec *in, struct rule_spec *out)
{
    if ((in->on.n > 0) == (in->where != NULL))
        return ctx_fail_field(ctx, "/spec", "say either which events (on) or which certificates (where) it is about");
    TRY(events_of(ctx, "on", &in->on, &out->on));
    TRY(events_of(ctx, "closes", &in->closes, &out->closes));
    for (size_t i = 0; i < out->closes.n; i++)
        if (str_list_has(&out->on, out->closes.v[i]))
            return ctx_fail_field(ctx, "/spec/closes", "%s cannot open an alert and close it", out->closes.v[i]);
    if (in->where && (in->closes.n || in->times > 1 || in->within))
        return ctx_fail_field(ctx, "/spec", "closes, times and within are of events; a condition is over when it holds no more");
    if (!in->where && in->every)
        return ctx_fail_field(ctx, "/spec/every", "every is of a condition (where); events are seen as they come");
    out->times = in->times > 0 ? in->times : 1;
    if (in->within)
        TRY(span(ctx, "/spec/within", in->within, 60, &out->within_s));
    if (in->where) {
        struct filter *filter = NULL;
        struct rc rc = filter_parse(ctx, in->where, &filter);
        if (rc_failed(rc))
            ctx->field = "/spec/where";
        TRY(rc);
        out->where = in->where;
        out->every_s = RULE_EVERY_S;
        if (in->every)
            TRY(span(ctx, "/spec/every", in->every, EVERY_MIN_S, &out->every_s));
    }
    return RC_OK;
}

RC rule_spec_of(struct ctx *ctx, const struct api_rule_spec *in, struct rule_spec *out)
{
    *out = (struct rule_spec){.severity = -1, .limit = in->limit > 0 ? in->limit : RULE_LIMIT_USUAL};
    TRY(when_of(ctx, in, out));
    for (int s = SEVERITY_INFO; in->severity && s <= SEVERITY_CRITICAL; s++)
        if (str_equal(check_severity_word((enum check_severity)s), in->severity))
            out->severity = s;
    if (out->severity < 0 && in->where)
        out->severity = SEVERITY_WARNING;
    TRY(steps_of(ctx, in, out));
    TRY(quiet_of(ctx, in, out));
    return in->digest ? span(ctx, "/spec/digest", in->digest, DIGEST_MIN_S, &out->digest_s) : RC_OK;
}

RC rule_spec_api(struct ctx *ctx, const char *json, struct api_rule_spec *out)
{
    json_auto_t *root = NULL;
    TRY(json_read(ctx, bytes_z(json), &root));
    return api_rule_spec_decode(ctx, root, out);
}

RC rule_spec_read(struct ctx *ctx, const char *json, struct rule_spec *out)
{
    struct api_rule_spec in;
    TRY(rule_spec_api(ctx, json, &in));
    return rule_spec_of(ctx, &in, out);
}

RC rule_spec_json(struct ctx *ctx, const struct api_rule_spec *in, const char **out)
{
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &ctx->arena, RULE_SPEC_MAX);
    json_begin(&j, &b);
    api_rule_spec_encode(&j, NULL, in);
    TRY(buf_status(&b));
    *out = buf_z(&b);
    return RC_OK;
}

bool rule_opens(const struct rule_spec *s, const char *event)
{
    return str_list_has(&s->on, event);
}

bool rule_closes(const struct rule_spec *s, const char *event)
{
    return str_list_has(&s->closes, event);
}

bool rule_step_writes(const struct rule_step *step)
{
    return step->kind == RULE_NOTIFY && strchr(step->notify, '@');
}

struct permission_set rule_needs(const struct rule_spec *s)
{
    struct permission_set needs = {0};
    for (size_t i = 0; i < s->steps_n; i++) {
        const struct rule_step *step = &s->steps[i];
        if (step->kind == RULE_ACT)
            need_action(&needs, step->action);
        else if (step->kind == RULE_RUN)
            need(&needs, "agent.run");
        else if (rule_step_writes(step))
            need(&needs, "alert.read");
    }
    return needs;
}

int64_t rule_quiet_until(const struct rule_spec *s, int64_t at)
{
    for (int i = 0; i < WINDOWS_MOST; i++) {
        int64_t opens = 0, closes = 0;
        if (!s->quiet_n || !windows_next(s->quiet, s->quiet_n, at, &opens, &closes) || opens > at)
            break;
        at = closes;
    }
    return at;
}

int64_t rule_tells_at(const struct rule_spec *s, enum check_severity severity, int64_t now)
{
    if (severity == SEVERITY_CRITICAL)
        return now;
    const int64_t next = s->digest_s ? (now / s->digest_s + 1) * s->digest_s : now;
    return rule_quiet_until(s, next);
}

const char *rule_step_words(struct ctx *ctx, const struct rule_step *step)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 64);
    switch (step->kind) {
    case RULE_NOTIFY:
        if (str_equal(step->notify, "team"))
            return "tell the team's channel";
        if (str_equal(step->notify, "owner"))
            return "tell the owner";
        return arena_printf(&ctx->arena, "tell %s", step->notify);
    case RULE_WAIT:
        time_put_span_ms(&b, step->wait_s * 1000);
        return arena_printf(&ctx->arena, "wait %s", buf_z(&b));
    case RULE_RUN:
        return arena_printf(&ctx->arena, "run %s on %s", step->run, step->agent);
    case RULE_ACT:
        break;
    }
    return step->action;
}
