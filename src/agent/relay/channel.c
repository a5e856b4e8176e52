#include "agent/relay/channel.h"

#include "agent/channel_desc.h"
#include "agent/relay/notice.h"
#include "agent/relay/push_session.h"
#include "base/failpoint.h"
#include "net/deliver.h"

RC channel_confine(struct ctx *ctx, struct sandbox *sb, const struct agent_config *cfg)
{
    if (cfg->n_channels > 0)
        TRY(deliver_load(ctx));
    sandbox_allow(sb, cfg->channels_dir, SANDBOX_READ | SANDBOX_OPTIONAL);
    for (size_t i = 0; i < cfg->n_channels; i++)
        if (cfg->channels[i].roots != NULL)
            sandbox_allow(sb, cfg->channels[i].roots, SANDBOX_READ | SANDBOX_OPTIONAL);
    return RC_OK;
}

/* --- what may not be told */

const char *channel_hide(struct ctx *ctx, const char *text)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, strlen(text) * 2 + 16);
    for (;;) {
        const char *scheme = strstr(text, "://");
        if (scheme == NULL)
            break;
        const char *path = scheme + 3 + strcspn(scheme + 3, "/?# \"'");
        const char *end = path + strcspn(path, " \"'");
        if (end > path && end[-1] == ':' && *end == ' ')
            end--;
        buf_put(&b, bytes_of(text, (size_t)(path - text)));
        if (end > path + 1)
            buf_put_z(&b, "/…");
        text = end;
    }
    buf_put_z(&b, text);
    return buf_z(&b);
}

/* Many services take who we are in the address, which failures name. */
static RC hide(struct ctx *ctx, const struct push_session *s, struct rc rc)
{
    const int64_t retry_after_s = ctx->retry_after_s;
    const char *words = channel_hide(ctx, ctx_why(ctx));
    if (s != NULL && push_repeats_secret(s, bytes_z(words)))
        words = "what it says repeats a secret, and is not shown";
    if (rc.e == E_DEPLOY_FAILED) /* the words of errors are those of deployments, which this is not */
        rc = rc_of(E_BAD_ANSWER);
    ctx_forget(ctx);
    rc = ctx_fail(ctx, rc.e, "%s", words);
    ctx->retry_after_s = retry_after_s;
    return rc;
}

/* --- over HTTPS */

static RC set_values(struct ctx *ctx, struct push_session *s, const struct notice *n)
{
    static const char *const colors[] = {"", "175cd3", "f79009", "f04438", "7a271a"};
    static const char *const numbers[] = {"", "1531091", "16224265", "15746104", "8005402"}; /* the same */
    static const char *const urgency[] = {"", "3", "3", "2", "1"};
    const char *level = arena_printf(&ctx->arena, "%d", n->level);
    const struct {
        const char *name, *value;
    } all[] = {{"id", n->id},
               {"key", n->key},
               {"time", n->time},
               {"subject", n->subject},
               {"headline", n->headline},
               {"text", n->text},
               {"short", n->brief},
               {"link", n->url},
               {"source", *n->object_name != '\0' ? n->object_name : "certwright"},
               {"severity", n->severity},
               {"state", n->state},
               {"object_kind", n->object_kind},
               {"object_id", n->object_id},
               {"object_name", n->object_name},
               {"team", n->team},
               {"resolved", n->resolved ? "true" : ""},
               {"unresolved", n->resolved ? "" : "true"},
               {"level", level},
               {"priority", arena_printf(&ctx->arena, "%d", n->resolved ? 4 : 5 - n->level)},
               {"urgency", urgency[n->level]},
               {"color", n->resolved ? "17b26a" : colors[n->level]},
               {"color_number", n->resolved ? "1553002" : numbers[n->level]}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        TRY(push_set(ctx, s, all[i].name, bytes_z(all[i].value), false));
    return RC_OK;
}

static RC by_description(struct ctx *ctx, const struct notice_way *w, const struct notice *n, const char **what)
{
    const struct push_host host = {w->cfg, w->files};
    struct channel_desc *d = ARENA_NEW(&ctx->arena, struct channel_desc);
    struct push_session *s = NULL;
    struct buf parameters;
    struct json_out j;
    if (n->in->to.n > 0)
        return ctx_fail(ctx, E_INVALID, "channel %s takes no addresses", w->row->name);
    buf_init_arena(&parameters, &ctx->arena, 65536);
    json_begin(&j, &parameters);
    json_put_value(&j, NULL, w->parameters);
    TRY(buf_status(&parameters));
    TRY(channel_desc_load(ctx, w->cfg, w->row->use, d));
    const struct push_wish wish = {.description = &d->channel,
                                   .connector = d->channel.name,
                                   .parameters = buf_z(&parameters),
                                   .target = "",
                                   .deployment = ""};
    struct rc rc = push_open(ctx, &host, &wish, &s);
    if (rc_ok(rc))
        rc = set_values(ctx, s, n);
    FAILPOINT("relay.notify_send");
    if (rc_ok(rc))
        rc = push_run(ctx, s, d->send, d->n_send, NULL, false);
    if (rc_failed(rc))
        rc = hide(ctx, s, rc);
    push_close(ctx, s);
    *what = "the service has taken it";
    return rc;
}

/* --- the message */

/* What agent.yaml says of a parameter holds; the hub may leave it out. */
static RC with_fixed(struct ctx *ctx, const struct agent_config *cfg, const struct agent_channel *row, json_t *parameters)
{
    for (size_t i = 0; i < row->keys.n; i++) {
        const json_t *asked = json_object_get(parameters, row->keys.v[i]);
        if (asked != NULL && !str_equal(json_string_value(asked), row->values.v[i]))
            return ctx_fail(ctx, E_NOT_GRANTED, "parameter %s of channel %s must be %s here: %s says so", row->keys.v[i], row->name,
                            row->values.v[i], cfg->file);
        if (json_object_set_new(parameters, row->keys.v[i], json_string(row->values.v[i])) != 0)
            return ctx_fail(ctx, E_INVALID, "%s: parameter %s of channel %s is no text", cfg->file, row->keys.v[i], row->name);
    }
    return RC_OK;
}

RC relay_notify_run(struct ctx *ctx, const struct agent_config *cfg, const struct credential_files *files,
                    const struct address_grants *grants, const struct wire_relay_notify *in, struct wire_relay_notified *out)
{
    struct notice_way w = {.cfg = cfg, .files = files, .grants = grants};
    json_auto_t *parameters = NULL;
    struct notice n;
    ctx->arena.wipe = true; /* answers are in it, and what they hold */
    *out = (struct wire_relay_notified){.what = ""};
    TRY(agent_config_channel(ctx, cfg, in->channel, &w.row));
    TRY(notice_of(ctx, in, &n));
    TRY(json_read(ctx, bytes_z(in->parameters), &parameters));
    if (!json_is_object(parameters))
        return ctx_fail(ctx, E_INVALID, "parameters must be texts by name");
    TRY(with_fixed(ctx, cfg, w.row, parameters));
    w.parameters = parameters;
    struct rc rc = str_equal(w.row->use, "smtp")     ? channel_mail(ctx, &w, &n, &out->what)
                   : str_equal(w.row->use, "syslog") ? channel_syslog(ctx, &w, &n, &out->what)
                                                     : by_description(ctx, &w, &n, &out->what);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "channel %s", w.row->name);
}

RC relay_stream_run(struct ctx *ctx, const struct agent_config *cfg, const struct address_grants *grants,
                    const struct wire_relay_stream *in, struct wire_relay_streamed *out)
{
    struct notice_way w = {.cfg = cfg, .grants = grants};
    json_auto_t *parameters = NULL;
    *out = (struct wire_relay_streamed){.what = ""};
    TRY(agent_config_channel(ctx, cfg, in->channel, &w.row));
    if (!str_equal(w.row->use, "syslog"))
        return ctx_fail(ctx, E_INVALID, "channel %s is %s: the audit log goes over syslog", w.row->name, w.row->use);
    TRY(json_read(ctx, bytes_z(in->parameters), &parameters));
    if (!json_is_object(parameters))
        return ctx_fail(ctx, E_INVALID, "parameters must be texts by name");
    TRY(with_fixed(ctx, cfg, w.row, parameters));
    w.parameters = parameters;
    struct rc rc = channel_stream(ctx, &w, in, &out->what);
    return rc_ok(rc) ? rc : ctx_wrap(ctx, rc, "channel %s", w.row->name);
}
