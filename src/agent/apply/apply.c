#include "agent/apply/apply.h"

#include <unistd.h>

#include "agent/apply/adopt.h"
#include "agent/apply/challenge.h"
#include "agent/apply/disk.h"
#include "agent/apply/dns_note.h"
#include "agent/apply/hosts.h"
#include "agent/apply/keystore.h"
#include "agent/apply/sharing.h"
#include "agent/apply/send.h"
#include "agent/apply/target.h"
#include "agent/lineage.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "wire/messages.h"

#define APPLY_THREADS 4 /* an RSA key takes seconds; other targets need not wait for it */

struct apply {
    const struct agent_config *cfg;
    const char *sandbox;
};

static const struct agent_config *config(void *arg) { return ((struct apply *)arg)->cfg; }

static struct wire_texts texts_of(const struct str_list *l) { return (struct wire_texts){l->v, l->n}; }

static RC on_key_make(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_key_make *m = in;
    struct wire_apply_key *o = out;
    struct keystore_wish wish = {m->attempt, m->key_kind, m->names.v, m->names.n, m->common_name, m->reuse_attempt};
    uint8_t *hash = arena_alloc(&ctx->arena, SHA256_LEN);
    TRY(keystore_make(ctx, config(arg), &wish, &o->csr, hash));
    o->spki_sha256 = bytes_of(hash, SHA256_LEN);
    FAILPOINT("apply.key_answer");
    return RC_OK;
}

static RC on_key_forget(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_key_forget *m = in;
    (void)out;
    return keystore_forget(ctx, config(arg), m->attempt);
}

static RC on_seal_key(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct wire_apply_seal_key_is *o = out;
    (void)in;
    return sharing_public(ctx, config(arg), &o->public);
}

static RC on_key_seal(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_key_seal *m = in;
    struct wire_apply_key_sealed *o = out;
    const struct sharing s = {m->installation, m->certificate, m->attempt, m->agent, m->spki_sha256};
    return sharing_seal(ctx, config(arg), &s, m->seal_key, &o->sealed);
}

static RC on_key_open(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_key_open *m = in;
    const struct sharing s = {m->installation, m->certificate, m->attempt, m->agent, m->spki_sha256};
    (void)out;
    return sharing_open(ctx, config(arg), &s, m->sealed);
}

static RC on_stage(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_stage *m = in;
    struct wire_apply_staged *o = out;
    struct stage_wish wish = {m->target,    m->deployment, m->fence,     m->connector, m->parameters,
                              m->attempt,   m->chain_pem,  m->roots_pem, m->plan,      m->dry_run};
    struct stage_result r;
    TRY(target_stage(ctx, config(arg), &wish, &r));
    *o = (struct wire_apply_staged){.generation = r.generation, .step = target_step_name(r.step), .files = texts_of(&r.files),
                                    .missing = r.missing, .same = r.same, .fingerprint = r.fingerprint, .previous = r.previous,
                                    .serial = r.serial, .keep_for = r.keep_for};
    return RC_OK;
}

/* install, rollback, undone and commit say the same three things. */
#define TARGET_HANDLER(verb)                                                        \
    static RC on_##verb(struct ctx *ctx, void *arg, const void *in, void *out)      \
    {                                                                               \
        const struct wire_apply_##verb *m = in;                                     \
        struct target_ref ref = {m->target, m->deployment, m->fence};               \
        (void)out;                                                                  \
        return target_##verb(ctx, config(arg), &ref);                               \
    }
TARGET_HANDLER(install)
TARGET_HANDLER(rollback)
TARGET_HANDLER(undone)
TARGET_HANDLER(commit)
TARGET_HANDLER(undo_begin)

static RC on_save(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_save *m = in;
    struct target_ref ref = {m->target, m->deployment, m->fence};
    (void)out;
    return target_save(ctx, config(arg), &ref, m->previous, m->kept);
}

static RC on_seal(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_seal *m = in;
    struct wire_apply_sealed *o = out;
    struct target_ref ref = {m->target, m->deployment, m->fence};
    return target_seal(ctx, config(arg), &ref, m->public, m->contents, &o->sealed);
}

static RC on_send(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_send *m = in;
    struct target_ref ref = {m->target, m->deployment, m->fence};
    (void)out;
    return send_steps(ctx, config(arg), &ref, m->connector, m->parameters);
}

static RC on_compare(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_compare *m = in;
    struct wire_apply_compared *o = out;
    struct target_ref ref = {m->target, m->deployment, 0};
    return target_compare(ctx, config(arg), &ref, &o->equal, &o->detail);
}

static RC on_state(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_state *m = in;
    struct wire_apply_state_is *o = out;
    struct target_state s;
    TRY(target_state(ctx, config(arg), m->target, &s));
    *o = (struct wire_apply_state_is){.step = target_step_name(s.last.step), .deployment = s.last.deployment, .fence = s.last.fence,
                                      .generation = s.last.generation, .plan = s.plan, .files = texts_of(&s.files),
                                      .fingerprint = s.fingerprint, .previous = s.previous, .serial = s.serial,
                                      .keep_for = s.keep_for};
    return RC_OK;
}

static RC on_unfinished(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct wire_apply_targets *o = out;
    struct str_list l = {0};
    (void)in;
    TRY(target_unfinished(ctx, config(arg), &l));
    o->targets = texts_of(&l);
    return RC_OK;
}

static RC on_close(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_close *m = in;
    (void)out;
    return target_close(ctx, config(arg), m->target, m->fence);
}

static RC on_challenge_put(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_challenge_put *m = in;
    struct challenge_wish wish = {m->token,        m->key_authorization, m->identifier,   m->connector,
                                  m->parameters,   m->conf_files.v,      m->conf_lines.v, m->conf_files.n,
                                  m->method};
    (void)out;
    if (m->conf_files.n != m->conf_lines.n)
        return ctx_fail(ctx, E_BUG, "%zu files, but %zu lines", m->conf_files.n, m->conf_lines.n);
    return challenge_put(ctx, config(arg), &wish);
}

static RC on_challenge_remove(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_challenge_remove *m = in;
    struct wire_apply_challenge_removed *o = out;
    return challenge_remove(ctx, config(arg), m->token, m->forget, &o->changed, &o->connector);
}

static RC on_challenge_list(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct wire_apply_challenges *o = out;
    struct challenge_list l;
    (void)in;
    TRY(challenge_list(ctx, config(arg), &l));
    o->tokens = (struct wire_texts){arena_array(&ctx->arena, l.n + 1, sizeof(char *)), l.n};
    o->key_authorizations = (struct wire_texts){arena_array(&ctx->arena, l.n + 1, sizeof(char *)), l.n};
    o->connectors = (struct wire_texts){arena_array(&ctx->arena, l.n + 1, sizeof(char *)), l.n};
    o->identifiers = (struct wire_texts){arena_array(&ctx->arena, l.n + 1, sizeof(char *)), l.n};
    o->methods = (struct wire_texts){arena_array(&ctx->arena, l.n + 1, sizeof(char *)), l.n};
    o->put_at_s = (struct wire_numbers){arena_array(&ctx->arena, l.n + 1, sizeof(int64_t)), l.n};
    for (size_t i = 0; i < l.n; i++) {
        o->tokens.v[i] = l.v[i].token;
        o->key_authorizations.v[i] = l.v[i].key_authorization;
        o->connectors.v[i] = l.v[i].connector;
        o->identifiers.v[i] = l.v[i].identifier;
        o->methods.v[i] = l.v[i].method;
        o->put_at_s.v[i] = l.v[i].put_at;
    }
    return RC_OK;
}

static RC on_dns_note(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)out;
    return dns_note_put(ctx, config(arg), in);
}

static RC on_dns_noted(struct ctx *ctx, void *arg, const void *in, void *out)
{
    return dns_note_get(ctx, config(arg), ((const struct wire_apply_dns_noted *)in)->key, out);
}

static RC on_dns_forget(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)out;
    return dns_note_forget(ctx, config(arg), ((const struct wire_apply_dns_forget *)in)->key);
}

static RC on_dns_list(struct ctx *ctx, void *arg, const void *in, void *out)
{
    (void)in;
    return dns_note_list(ctx, config(arg), out);
}

static RC on_hosts(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_hosts *m = in;
    struct wire_apply_hosts_are *o = out;
    const struct hosts_ask ask = {m->files.v, m->services.v, m->files.n, m->after};
    struct hosts_batch b;
    if (m->services.n != m->files.n)
        return ctx_fail(ctx, E_BUG, "%zu files, but %zu services", m->files.n, m->services.n);
    TRY(hosts_look(ctx, config(arg), &ask, &b));
    *o = (struct wire_apply_hosts_are){.json = b.json, .after = b.after, .looked = b.looked, .told = b.told,
                                       .certificates = b.certificates};
    return RC_OK;
}

static RC on_adopt_look(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_adopt_look *m = in;
    struct wire_apply_adopt_seen *o = out;
    struct adopt_seen seen;
    TRY(adopt_look(ctx, config(arg), m->path, &seen));
    *o = (struct wire_apply_adopt_seen){.json = seen.json, .paths = texts_of(&seen.paths)};
    return RC_OK;
}

static RC on_adopt(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_adopt *m = in;
    (void)out;
    return adopt_begin(ctx, config(arg), m->adoption, m->fence, m->path, m->digest);
}

static RC on_release(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct wire_apply_release *m = in;
    struct wire_apply_released *o = out;
    struct str_list done;
    TRY(adopt_release(ctx, config(arg), m->adoption, m->fence, m->keep_files, &done, &o->changed));
    o->done = texts_of(&done);
    return RC_OK;
}

static RC on_health(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct wire_apply_healthy *o = out;
    (void)ctx;
    (void)in;
    o->sandbox = ((struct apply *)arg)->sandbox;
    return RC_OK;
}

static const struct wire_route routes[] = {
    {WIRE_apply_key_make, on_key_make},
    {WIRE_apply_key_forget, on_key_forget},
    {WIRE_apply_seal_key, on_seal_key},
    {WIRE_apply_key_seal, on_key_seal},
    {WIRE_apply_key_open, on_key_open},
    {WIRE_apply_stage, on_stage},
    {WIRE_apply_install, on_install},
    {WIRE_apply_rollback, on_rollback},
    {WIRE_apply_undone, on_undone},
    {WIRE_apply_commit, on_commit},
    {WIRE_apply_send, on_send},
    {WIRE_apply_save, on_save},
    {WIRE_apply_undo_begin, on_undo_begin},
    {WIRE_apply_seal, on_seal},
    {WIRE_apply_compare, on_compare},
    {WIRE_apply_state, on_state},
    {WIRE_apply_unfinished, on_unfinished},
    {WIRE_apply_close, on_close},
    {WIRE_apply_challenge_put, on_challenge_put},
    {WIRE_apply_challenge_remove, on_challenge_remove},
    {WIRE_apply_challenge_list, on_challenge_list},
    {WIRE_apply_dns_note, on_dns_note},
    {WIRE_apply_dns_noted, on_dns_noted},
    {WIRE_apply_dns_forget, on_dns_forget},
    {WIRE_apply_dns_list, on_dns_list},
    {WIRE_apply_hosts, on_hosts},
    {WIRE_apply_adopt_look, on_adopt_look},
    {WIRE_apply_adopt, on_adopt},
    {WIRE_apply_release, on_release},
    {WIRE_apply_health, on_health},
};

RC apply_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const char *sandbox, unsigned threads)
{
    struct apply a = {cfg, sandbox};
    return wire_serve(ctx, server, routes, sizeof routes / sizeof *routes, threads, &a);
}

/* Whether a connector of this host talks to its service over a Unix socket: only then may apply. */
static bool sends(struct ctx *ctx, const struct agent_config *cfg)
{
    bool any = false;
    for (size_t i = 0; i < cfg->connectors.n; i++) {
        struct connector *c = ARENA_NEW(&ctx->arena, struct connector);
        any |= rc_ok(connector_load(ctx, cfg, cfg->connectors.v[i], c)) && c->send != NULL;
    }
    ctx_forget(ctx); /* a description that is wrong is told when it is used */
    return any;
}

/* What the inventory reads: no more than reading, where `paths` does not say otherwise. */
static void allow_inventory(const struct agent_config *cfg, struct sandbox *sb)
{
    for (size_t i = 0; i < cfg->inventory_folders.n; i++)
        sandbox_allow(sb, cfg->inventory_folders.v[i], SANDBOX_READ | SANDBOX_OPTIONAL);
    for (size_t i = 0; i < cfg->n_inventory_stores; i++) {
        sandbox_allow(sb, cfg->inventory_stores[i].file, SANDBOX_READ | SANDBOX_OPTIONAL);
        sandbox_allow(sb, cfg->inventory_stores[i].passphrase, SANDBOX_READ | SANDBOX_OPTIONAL);
    }
    for (const char *const *path = lineage_schedule_paths(); *path != NULL; path++)
        sandbox_allow(sb, *path, SANDBOX_READ | SANDBOX_OPTIONAL);
    sandbox_allow(sb, "/var/log/letsencrypt", SANDBOX_READ | SANDBOX_OPTIONAL);
}

RC apply_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb)
{
    struct agent_config cfg;
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    sandbox_allow(sb, cfg.state_dir, SANDBOX_READ | SANDBOX_WRITE);
    sandbox_allow(sb, cfg.connectors_dir, SANDBOX_READ);
    for (size_t i = 0; i < cfg.paths.n; i++) {
        if (access(cfg.paths.v[i], F_OK) != 0)
            log_event(LOG_WARN_, "path_missing", "path", cfg.paths.v[i], "remedy", "make the folder, then restart the agent", NULL);
        sandbox_allow(sb, cfg.paths.v[i], SANDBOX_READ | SANDBOX_WRITE | SANDBOX_OPTIONAL);
    }
    allow_inventory(&cfg, sb);
    sb->may |= SANDBOX_CHOWN;
    if (sends(ctx, &cfg))
        sb->may |= SANDBOX_UNIX;
    return RC_OK;
}

RC apply_enter(struct ctx *ctx, struct role_env *env)
{
    __attribute__((cleanup(connector_shelf_free))) struct connector_shelf shelf = CONNECTOR_SHELF_INIT;
    struct agent_config cfg;
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    cfg.shelf = &shelf;
    TRY(disk_resolve(ctx, cfg.state_dir, &cfg.state_dir));
    role_ready(env, role_sandbox_state(env));
    return apply_serve(ctx, role_server(env), &cfg, role_sandbox_state(env), APPLY_THREADS);
}
