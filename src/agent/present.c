#include "agent/present.h"

#include "agent/connector.h"
#include "agent/nginx_conf.h"
#include "agent/present_alpn.h"
#include "base/failpoint.h"

#define BLOCKS_MAX 64
#define ANSWER_MS 10000
#define STEADY_MS 250
#define STALE_S 86400
#define CHANGED_TRIES 3

struct present {
    struct hands *h;
    struct story *story;
    const char *token, *key_authorization, *identifier;
    const char *proves; /* the identifier with "dns:" or "ip:" */
    const char *method;
    const char *connector, *parameters;
    const json_t *params;
    struct connector desc;
};

static RC read_body(struct ctx *ctx, const json_t *body, struct present *p)
{
    const json_t *via;
    TRY(json_get_str(ctx, body, "token", true, &p->token));
    TRY(json_get_str(ctx, body, "key_authorization", true, &p->key_authorization));
    TRY(json_get_str(ctx, body, "identifier", true, &p->identifier));
    TRY(json_get_obj(ctx, body, "via", true, &via));
    TRY(json_get_str(ctx, via, "connector", true, &p->connector));
    TRY(json_get_obj(ctx, via, "parameters", false, &p->params));
    TRY(json_get_obj_text(ctx, via, "parameters", false, &p->parameters));
    p->method = "http-01";
    TRY(json_get_str(ctx, body, "method", false, &p->method));
    p->proves = p->identifier;
    if (strncmp(p->identifier, "dns:", 4) == 0)
        p->identifier += 4;
    else if (strncmp(p->identifier, "ip:", 3) == 0)
        p->identifier += 3;
    return connector_load(ctx, p->h->cfg, p->connector, &p->desc);
}

static RC put(struct ctx *ctx, const struct present *p, struct wire_texts files, struct wire_numbers lines)
{
    struct wire_apply_challenge_put in = {p->token, p->key_authorization, p->identifier, p->connector, p->parameters, files, lines,
                                          ""};
    struct wire_apply_challenge_remove anew = {p->token, true};
    struct wire_apply_challenge_removed removed;
    struct wire_apply_done done;
    struct rc rc = HANDS_CALL(ctx, p->h->apply, apply_challenge_put, &in, apply_done, &done);
    if (rc.e != E_EXISTS)
        return rc;
    /* An apply that died while it did it has been asked again: what is half done is undone first. */
    ctx_forget(ctx);
    TRY(HANDS_CALL(ctx, p->h->apply, apply_challenge_remove, &anew, apply_challenge_removed, &removed));
    return HANDS_CALL(ctx, p->h->apply, apply_challenge_put, &in, apply_done, &done);
}

static RC take_away(struct ctx *ctx, struct hands *h, const char *token, bool forget, struct wire_apply_challenge_removed *out)
{
    struct wire_apply_challenge_remove in = {token, forget};
    return HANDS_CALL(ctx, h->apply, apply_challenge_remove, &in, apply_challenge_removed, out);
}

static RC listen_for(struct ctx *ctx, struct hands *h, const char *token, const char *key_authorization)
{
    struct wire_probe_challenge_put in = {token, key_authorization};
    struct wire_probe_done done;
    return HANDS_CALL(ctx, h->probe, probe_challenge_put, &in, probe_done, &done);
}

/* --- through nginx */

static const char *reachable(const char *listen)
{
    return strcmp(listen, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(listen, "::") == 0 ? "::1" : listen;
}

/* Asks until the answer is the key authorization and stays so: for a tenth of a second after a reload nginx lets the workers of
 * both configurations answer, and the CA asks only once.  `*reached`: the port answered at all (it may not be granted to probe). */
static RC ask_until(struct ctx *ctx, const struct present *p, const char *address, bool *right, bool *reached, const char **last)
{
    const bool v6 = strchr(p->identifier, ':') != NULL;
    const char *host = v6 ? arena_printf(&ctx->arena, "[%s]", p->identifier) : p->identifier;
    struct wire_probe_http in = {.address = address, .port = p->h->cfg->http01_port, .host = host, .timeout_ms = 3000,
                                 .path = arena_printf(&ctx->arena, "/.well-known/acme-challenge/%s", p->token)};
    struct wire_probe_http_seen seen;
    int64_t until = clock_mono_ms() + ANSWER_MS, pause = 20, right_since = 0;
    for (;;) {
        TRY(HANDS_CALL(ctx, p->h->probe, probe_http, &in, probe_http_seen, &seen));
        *reached = seen.status != 0;
        *right = seen.status == 200 && bytes_equal_z(bytes_trim(seen.body), p->key_authorization);
        *last = *reached ? arena_printf(&ctx->arena, "status %d", (int)seen.status) : seen.detail;
        const int64_t now = clock_mono_ms();
        if (!*right)
            right_since = 0;
        else if (right_since == 0)
            right_since = now;
        if ((*right && now - right_since >= STEADY_MS) || !*reached || now >= until)
            return RC_OK;
        if (*right)
            pause = 40;
        nanosleep(&(struct timespec){.tv_nsec = pause * 1000000}, NULL);
        pause = pause * 2 < 500 ? pause * 2 : 500;
    }
}

static RC self_check(struct ctx *ctx, const struct present *p, const struct nginx_server *s)
{
    for (size_t i = 0; i < s->n_listens; i++) {
        bool right, reached;
        const char *last = "";
        if (s->listens[i].port != p->h->cfg->http01_port || s->listens[i].ssl)
            continue;
        const char *address = reachable(s->listens[i].address);
        TRY(ask_until(ctx, p, address, &right, &reached, &last));
        if (right)
            story_add(ctx, p->story, "present", "%s answers with the token", address);
        else if (!reached)
            story_add(ctx, p->story, "present", "%s could not be asked: %s", address, last);
        else
            return ctx_fail(ctx, E_CHALLENGE_FAILED, "nginx at %s port %d does not answer with the token for %s: %s", address,
                            p->h->cfg->http01_port, p->identifier, last);
    }
    return RC_OK;
}

static RC nginx_blocks(struct ctx *ctx, const struct present *p, const struct nginx_server ***found, size_t *n)
{
    struct bytes dump;
    struct nginx_conf *conf = ARENA_NEW(&ctx->arena, struct nginx_conf);
    if (p->desc.discover_command == NULL)
        return ctx_fail(ctx, E_UNSUPPORTED, "connector %s names no command that prints the configuration", p->connector);
    TRY(hands_output(ctx, p->h, p->desc.discover_command, &dump));
    TRY(nginx_conf_read(ctx, dump, conf));
    *found = nginx_find_http01(ctx, conf, p->identifier, p->h->cfg->http01_port, n);
    if (*n == 0)
        return ctx_fail(ctx, E_NOT_FOUND,
                        "nginx does not listen on port %d for plain HTTP: add a server block or answer with the listener",
                        p->h->cfg->http01_port);
    return RC_OK;
}

static RC nginx_edit(struct ctx *ctx, const struct present *p, const struct nginx_server **found, size_t n)
{
    struct wire_texts files = {arena_array(&ctx->arena, BLOCKS_MAX, sizeof(char *)), 0};
    struct wire_numbers lines = {arena_array(&ctx->arena, BLOCKS_MAX, sizeof(int64_t)), 0};
    for (size_t i = 0; i < n && files.n < BLOCKS_MAX; i++) {
        bool seen = false;
        for (size_t k = 0; k < files.n; k++)
            seen |= strcmp(files.v[k], found[i]->file) == 0 && lines.v[k] == found[i]->line;
        if (seen)
            continue;
        files.v[files.n++] = found[i]->file;
        lines.v[lines.n++] = found[i]->line;
    }
    return put(ctx, p, files, lines);
}

/* What present put is taken away again when it cannot be made to work. */
static RC give_up(struct ctx *ctx, const struct present *p, struct rc why)
{
    struct trail_entry *trail = ctx->trail;
    ctx->trail = NULL;
    if (rc_failed(present_clean(ctx, p->h, p->story, p->token)))
        story_add(ctx, p->story, "clean", "%s", ctx_why(ctx));
    ctx->trail = trail;
    return why;
}

static RC nginx_serve(struct ctx *ctx, const struct present *p, const struct nginx_server **found, size_t n)
{
    const char *check = connector_command(p->params, p->desc.check), *reload = connector_command(p->params, p->desc.reload);
    FAILPOINT("agent.present_edited");
    if (check != NULL)
        TRY(hands_command(ctx, p->h, check));
    if (reload != NULL)
        TRY(hands_command(ctx, p->h, reload));
    FAILPOINT("agent.present_reloaded");
    for (size_t i = 0; i < n; i++)
        TRY(self_check(ctx, p, found[i]));
    return RC_OK;
}

static RC nginx_present(struct ctx *ctx, const struct present *p)
{
    const struct nginx_server **found = NULL;
    size_t n = 0;
    struct rc rc;
    /* A configuration that is broken already would keep its old self at the reload: its owner must mend it first. */
    if (p->desc.check != NULL)
        TRY(hands_command(ctx, p->h, connector_command(p->params, p->desc.check)));
    for (int i = 0;; i++) {
        struct trail_entry *trail = ctx->trail;
        TRY(nginx_blocks(ctx, p, &found, &n));
        rc = nginx_edit(ctx, p, found, n);
        if (rc.e != E_CHANGED || i == CHANGED_TRIES) /* edited by somebody between the dump and us: look again */
            break;
        struct wire_apply_challenge_removed removed;
        TRY(take_away(ctx, p->h, p->token, true, &removed));
        ctx->trail = trail;
    }
    if (rc_failed(rc))
        return give_up(ctx, p, rc);
    story_add(ctx, p->story, "present", "token put into %zu server block%s of nginx", n, n == 1 ? "" : "s");
    rc = nginx_serve(ctx, p, found, n);
    return rc_failed(rc) ? give_up(ctx, p, rc) : RC_OK;
}

RC present_run(struct ctx *ctx, struct hands *h, struct story *story, const json_t *body)
{
    struct present p = {.h = h, .story = story};
    struct wire_apply_challenge_removed before;
    struct wire_texts no_files = {0};
    struct wire_numbers no_lines = {0};
    TRY(read_body(ctx, body, &p));
    TRY(take_away(ctx, h, p.token, true, &before)); /* an earlier try that was interrupted */
    if (strcmp(p.method, METHOD_TLS_ALPN) == 0) {
        struct rc rc = present_alpn(ctx, h, story, p.proves, p.token, p.key_authorization);
        return rc_failed(rc) ? give_up(ctx, &p, rc) : RC_OK;
    }
    switch (p.desc.challenge) {
    case CHALLENGE_NGINX: return nginx_present(ctx, &p);
    case CHALLENGE_WEBROOT:
        TRY(put(ctx, &p, no_files, no_lines));
        story_add(ctx, story, "present", "token written below %s", connector_param(p.params, "root"));
        return RC_OK;
    case CHALLENGE_LISTENER:
        TRY(put(ctx, &p, no_files, no_lines));
        struct rc rc = listen_for(ctx, h, p.token, p.key_authorization);
        if (rc_failed(rc))
            return give_up(ctx, &p, rc);
        story_add(ctx, story, "present", "listening on port %d", h->cfg->http01_port);
        return RC_OK;
    case CHALLENGE_NONE: break;
    }
    return ctx_fail(ctx, E_UNSUPPORTED, "connector %s cannot answer challenges", p.connector);
}

/* The configuration is clean already; a server that cannot read it now will when its owner has mended it. */
static void reread(struct ctx *ctx, struct hands *h, struct story *story, const char *connector)
{
    struct connector desc;
    struct trail_entry *trail = ctx->trail;
    ctx->trail = NULL;
    struct rc rc = connector_load(ctx, h->cfg, connector, &desc);
    if (rc_ok(rc) && desc.check != NULL && *desc.check != '{')
        rc = hands_command(ctx, h, desc.check);
    if (rc_ok(rc) && desc.reload != NULL && *desc.reload != '{')
        rc = hands_command(ctx, h, desc.reload);
    if (rc_failed(rc))
        story_add(ctx, story, "clean", "the token is out of the configuration, but it was not read again: %s", ctx_why(ctx));
    ctx->trail = trail;
}

RC present_clean(struct ctx *ctx, struct hands *h, struct story *story, const char *token)
{
    struct wire_apply_challenge_removed removed, forgotten;
    struct wire_probe_challenge_remove quiet = {token};
    struct wire_probe_done done;
    TRY(take_away(ctx, h, token, false, &removed));
    if (*removed.connector == '\0')
        return RC_OK;
    FAILPOINT("agent.clean_edited");
    if (removed.changed)
        reread(ctx, h, story, removed.connector);
    TRY(HANDS_CALL(ctx, h->probe, probe_challenge_remove, &quiet, probe_done, &done));
    FAILPOINT("agent.clean_reloaded");
    TRY(take_away(ctx, h, token, true, &forgotten));
    story_add(ctx, story, "clean", "token taken away");
    return RC_OK;
}

RC present_restore(struct ctx *ctx, struct hands *h, size_t *listening, size_t *kept)
{
    struct wire_apply_challenge_list in = {0};
    struct wire_apply_challenges all;
    *listening = 0;
    TRY(HANDS_CALL(ctx, h->apply, apply_challenge_list, &in, apply_challenges, &all));
    *kept = all.tokens.n;
    for (size_t i = 0; i < all.tokens.n; i++) {
        struct connector desc;
        struct trail_entry *trail = ctx->trail;
        if (all.put_at_s.v[i] + STALE_S < ctx_now_s(ctx)) {
            struct story story;
            story_init(&story);
            struct rc rc = present_clean(ctx, h, &story, all.tokens.v[i]);
            story_free(&story);
            TRY(rc);
        } else if (rc_ok(connector_load(ctx, h->cfg, all.connectors.v[i], &desc)) && desc.challenge == CHALLENGE_LISTENER) {
            if (strcmp(all.methods.v[i], METHOD_TLS_ALPN) == 0)
                TRY(present_alpn_again(ctx, h, all.identifiers.v[i], all.tokens.v[i], all.key_authorizations.v[i]));
            else
                TRY(listen_for(ctx, h, all.tokens.v[i], all.key_authorizations.v[i]));
            (*listening)++;
        }
        ctx->trail = trail;
    }
    return RC_OK;
}
