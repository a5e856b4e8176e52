#include "hub/role.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/version.h"
#include "core/backup.h"
#include "core/finding_rules.h"
#include "core/heard.h"
#include "core/inventory.h"
#include "core/ldap_sign_in.h"
#include "core/live.h"
#include "core/preset.h"
#include "core/registered_domain.h"
#include "core/restore.h"
#include "core/schedule.h"
#include "core/sign_in.h"
#include "hub/backup.h"
#include "hub/hub.h"
#include "hub/packed.h"
#include "hub/sign_in.h"
#include "hub/status.h"
#include "pki/name.h"

#define OWN_BATCH 16
#define TICK_MS 1000
#define TLS_TICK_MS 2000

struct settings {
    const char *name, *state, *organization, *status_url, *url, *database, *conninfo;
    const char *agent_name, *agent_identity, *presets_dir, *preflight;
    const char *certificate_file, *key_file;
    bool external_root, client_keys;
    struct str_list permitted_dns, names;
    int64_t admin_uid, audit_keep_days;
    struct finding_settings findings;
    struct backup_settings backup;
};

static struct rc read_list(struct ctx *ctx, const json_t *root, const char *key, struct str_list *out)
{
    const json_t *list = NULL;
    TRY(json_get_list(ctx, root, key, false, &list));
    for (size_t i = 0; list && i < json_array_size(list); i++)
        str_list_add(&ctx->arena, out, arena_strdup(&ctx->arena, json_string_value(json_array_get(list, i))));
    return RC_OK;
}

static struct rc backup_read_settings(struct ctx *ctx, const json_t *root, struct settings *s)
{
    const json_t *o = NULL;
    TRY(json_get_obj(ctx, root, "backup", false, &o));
    const char *scratch = arena_printf(&ctx->arena, "%s/backup", s->state);
    s->backup = (struct backup_settings){.scratch = scratch, .version = CERTWRIGHT_VERSION};
    if (!o)
        return RC_OK;
    TRY(json_get_str(ctx, o, "dir", false, &s->backup.dir));
    TRY(json_get_int(ctx, o, "every_s", false, &s->backup.every_s));
    TRY(json_get_bool(ctx, o, "elsewhere", false, &s->backup.elsewhere));
    TRY(json_get_int(ctx, o, "keep", false, &s->backup.keep));
    TRY(json_get_base64(ctx, o, "recovery", false, &s->backup.recovery));
    return json_get_base64(ctx, o, "configuration", false, &s->backup.configuration);
}

static struct rc settings_read(struct ctx *ctx, struct bytes json, struct settings *s)
{
    *s = (struct settings){0};
    json_auto_t *root = NULL;
    TRY(json_read(ctx, json, &root));
    const struct {
        const char *key;
        bool need;
        const char **to;
    } texts[] = {{"name", true, &s->name},
                 {"state", true, &s->state},
                 {"organization", false, &s->organization},
                 {"status_url", true, &s->status_url},
                 {"url", false, &s->url},
                 {"database", false, &s->database},
                 {"conninfo", false, &s->conninfo},
                 {"agent_name", false, &s->agent_name},
                 {"agent_identity", false, &s->agent_identity},
                 {"issuers_dir", false, &s->presets_dir},
                 {"preflight", false, &s->preflight},
                 {"certificate_file", false, &s->certificate_file},
                 {"key_file", false, &s->key_file}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        TRY(json_get_str(ctx, root, texts[i].key, texts[i].need, texts[i].to));
    if (!s->presets_dir)
        s->presets_dir = PRESETS_DIR;
    TRY(json_get_bool(ctx, root, "external_root", false, &s->external_root));
    TRY(json_get_bool(ctx, root, "client_keys", false, &s->client_keys));
    TRY(json_get_int(ctx, root, "admin_uid", false, &s->admin_uid));
    TRY(json_get_int(ctx, root, "audit_keep_days", false, &s->audit_keep_days));
    TRY(read_list(ctx, root, "permitted_dns", &s->permitted_dns));
    const json_t *findings = NULL;
    TRY(json_get_obj(ctx, root, "findings", false, &findings));
    TRY(finding_settings_read(ctx, findings, &s->findings));
    TRY(backup_read_settings(ctx, root, s));
    return read_list(ctx, root, "names", &s->names);
}

/* The folder of a path; "/" where it has none. */
static const char *folder_of(struct ctx *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? arena_str(&ctx->arena, bytes_of(path, (size_t)(slash - path))) : "/";
}

RC hub_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb)
{
    struct settings s;
    TRY(settings_read(ctx, role_config(env), &s));
    sandbox_allow(sb, s.state, SANDBOX_READ | SANDBOX_WRITE);
    if (s.backup.dir)
        sandbox_allow(sb, s.backup.dir, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_OPTIONAL);
    if (s.database && !str_equal(folder_of(ctx, s.database), s.state))
        sandbox_allow(sb, folder_of(ctx, s.database), SANDBOX_READ | SANDBOX_WRITE);
    TRY(store_load(ctx, s.conninfo ? STORE_POSTGRES : STORE_SQLITE));
    if (s.conninfo) {
        sb->may |= SANDBOX_CONNECT_TCP | SANDBOX_UNIX;
        sandbox_allow(sb, "/run/postgresql", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_OPTIONAL);
        /* A socket folder that the connection string names. */
        const char *host = strstr(s.conninfo, "host=/");
        if (host) {
            struct bytes rest = bytes_z(host + 5), path;
            if (bytes_take_until(&rest, ' ', &path))
                sandbox_allow(sb, arena_str(&ctx->arena, path), SANDBOX_READ | SANDBOX_WRITE | SANDBOX_OPTIONAL);
        }
    }
    TRY(registered_domain_load(ctx));
    TRY(inventory_load(ctx));
    TRY(packed_load(ctx));
    sandbox_allow(sb, s.presets_dir, SANDBOX_READ | SANDBOX_OPTIONAL);
    const char *const of_findings[] = {s.findings.roots, s.findings.public_roots, s.findings.weak_keys};
    for (size_t i = 0; i < sizeof of_findings / sizeof *of_findings; i++)
        if (of_findings[i])
            sandbox_allow(sb, of_findings[i], SANDBOX_READ | SANDBOX_OPTIONAL);
    if (s.certificate_file)
        sandbox_allow(sb, folder_of(ctx, s.certificate_file), SANDBOX_READ | SANDBOX_OPTIONAL);
    if (s.key_file)
        sandbox_allow(sb, folder_of(ctx, s.key_file), SANDBOX_READ | SANDBOX_OPTIONAL);
    return RC_OK;
}

/* --- the hub's own threads */

struct worker {
    struct hub *hub;
    struct role_env *env;
    pthread_mutex_t lock;
    pthread_cond_t work, end;
    uint64_t asked; /* wakes so far */
    bool stop, due; /* due: something of the schedule is, before its next tick */
};

/* core's wake: parked requests, and the hub's own jobs. */
struct waker {
    struct hub *hub;
    struct worker *own;
    const char *own_key;
};

static void wake_all(void *arg, const char *key)
{
    struct waker *w = arg;
    if (str_equal(key, w->own_key)) {
        pthread_mutex_lock(&w->own->lock);
        w->own->asked++;
        pthread_cond_broadcast(&w->own->work);
        pthread_mutex_unlock(&w->own->lock);
        return;
    }
    if (str_equal(key, CORE_SCHEDULE_KEY)) {
        pthread_mutex_lock(&w->own->lock);
        w->own->due = true;
        pthread_cond_broadcast(&w->own->end);
        pthread_mutex_unlock(&w->own->lock);
        return;
    }
    hub_wake(w->hub, key);
}

static void revoked(void *arg, const char *ca)
{
    const struct waker *w = arg;
    status_forget(w->hub, ca);
}

static void *own_main(void *arg)
{
    struct worker *w = arg;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, w->hub->core->clock);
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        const uint64_t seen = w->asked;
        pthread_mutex_unlock(&w->lock);
        size_t did = 0;
        struct rc rc = own_work(&ctx, w->hub->core, OWN_BATCH, &did);
        if (rc_failed(rc)) {
            log_event(LOG_WARN_, "own_work_failed", "why", ctx_why(&ctx), NULL);
            usleep(200000);
        }
        ctx_reset(&ctx);
        pthread_mutex_lock(&w->lock);
        if (did || w->asked != seen || w->stop)
            continue;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 2; /* jobs given back wait for their time */
        pthread_cond_timedwait(&w->work, &w->lock, &until);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Waits for the next tick, or until the hub is to end. */
static void tick_wait(struct worker *w, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->lock);
    if (!w->stop && !w->due)
        pthread_cond_timedwait(&w->end, &w->lock, &until);
    w->due = false;
    pthread_mutex_unlock(&w->lock);
}

static void *tick_main(void *arg)
{
    struct worker *w = arg;
    struct ctx CTX_CLEANUP ctx;
    ctx_init(&ctx, w->hub->core->clock);
    int64_t tls_at = clock_mono_ms() + TLS_TICK_MS;
    while (!role_stopping(w->env)) {
        int64_t next_ms = TICK_MS;
        struct rc rc = schedule_tick(&ctx, w->hub->core, &next_ms);
        if (rc_failed(rc))
            log_event(LOG_WARN_, "schedule_failed", "why", ctx_why(&ctx), NULL);
        ctx_reset(&ctx);
        if (clock_mono_ms() >= tls_at) {
            rc = hub_tls_tick(&ctx, w->hub);
            if (rc_failed(rc))
                log_event(LOG_WARN_, "tls_failed", "why", ctx_why(&ctx), NULL);
            ctx_reset(&ctx);
            tls_at = clock_mono_ms() + TLS_TICK_MS;
        }
        tick_wait(w, next_ms < 10 ? 10 : next_ms);
    }
    return NULL;
}

/* --- start and stop */

static struct rc names_split(struct ctx *ctx, const struct str_list *names, struct hub_tls_settings *tls)
{
    const char **dns = arena_array(&ctx->arena, names->n + 1, sizeof *dns);
    struct bytes *ips = arena_array(&ctx->arena, names->n + 1, sizeof *ips);
    for (size_t i = 0; i < names->n; i++) {
        struct name name;
        TRY(name_parse(ctx, bytes_z(names->v[i]), &name));
        if (name.kind == NAME_IP)
            ips[tls->ip_addresses_n++] = name.ip;
        else
            dns[tls->dns_names_n++] = name.text;
    }
    tls->dns_names = dns;
    tls->ip_addresses = ips;
    return RC_OK;
}

static int64_t port_of(int fd)
{
    struct sockaddr_storage a;
    struct address address;
    socklen_t n = sizeof a;
    return !getsockname(fd, (struct sockaddr *)&a, &n) && address_from_sockaddr((struct sockaddr *)&a, &address) ? address.port : 0;
}

static struct rc server_start(struct ctx *ctx, struct role_env *env, struct hub *hub)
{
    static const struct {
        const char *name;
        enum http_listener_kind kind;
        uint64_t body_max;
    } rows[] = {{HUB_LISTENER_ADMIN, HTTP_LISTENER_UNIX, 1 << 20},
                {HUB_LISTENER_AGENT, HTTP_LISTENER_UNIX, 16 << 20},
                {HUB_LISTENER_HTTPS, HTTP_LISTENER_TLS, 1 << 20},
                {HUB_LISTENER_STATUS, HTTP_LISTENER_PLAIN, 1024}};
    struct http_listener listeners[sizeof rows / sizeof *rows];
    size_t n = 0;
    struct tls_server_ctx *tls = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int fd = role_listener(env, rows[i].name);
        if (fd < 0)
            continue;
        if (rows[i].kind == HTTP_LISTENER_TLS) {
            hub->https_port = port_of(fd);
            TRY(hub_tls_make(ctx, hub, &tls));
        }
        listeners[n++] = (struct http_listener){.name = rows[i].name,
                                                .fd = fd,
                                                .kind = rows[i].kind,
                                                .body_max = rows[i].body_max,
                                                .take_client_certificate = hub->client_keys};
    }
    const struct http_server_config config = {
        .listeners = listeners, .listeners_n = n, .handler = hub_handle, .arg = hub, .clock = hub->core->clock, .tls = tls};
    struct rc rc = http_server_start(ctx, &config, &hub->server);
    tls_server_unref(tls);
    return rc;
}

/* Agents wait by the thousand, and each holds one connection or two; many may come from one address.  Who has shown no certificate
 * yet is another matter: enough for a site behind one address that starts all at once. */
#define FLEET_CONNECTIONS 40000
#define FLEET_STRANGERS   1000
#define FLEET_BODY_MAX    ((uint64_t)32 << 20)

static struct rc fleet_start(struct ctx *ctx, struct role_env *env, struct hub *hub)
{
    const int fd = role_listener(env, HUB_LISTENER_FLEET);
    struct tls_server_ctx *tls = NULL;
    if (fd < 0)
        return RC_OK;
    TRY(hub_tls_fleet(ctx, hub, &tls));
    const struct http_listener listener = {.name = HUB_LISTENER_FLEET,
                                           .fd = fd,
                                           .kind = HTTP_LISTENER_TLS,
                                           .body_max = FLEET_BODY_MAX,
                                           .ask_client_certificate = true};
    const struct http_server_config config = {.listeners = &listener,
                                              .listeners_n = 1,
                                              .handler = hub_handle,
                                              .arg = hub,
                                              .clock = hub->core->clock,
                                              .tls = tls,
                                              .connections_max = FLEET_CONNECTIONS,
                                              .connections_per_address = FLEET_CONNECTIONS,
                                              .strangers_per_address = FLEET_STRANGERS};
    struct rc rc = http_server_start(ctx, &config, &hub->fleet);
    tls_server_unref(tls);
    return rc;
}

static struct rc core_open(struct ctx *ctx, struct role_env *env, const struct settings *s, struct core *core)
{
    const struct store_config db = {
        .engine = s->conninfo ? STORE_POSTGRES : STORE_SQLITE, .path = s->database, .conninfo = s->conninfo, .connections = 0};
    core->clock = role_clock(env);
    core->signer = role_peer(env, "signer");
    core->name = s->name;
    core->status_url = s->status_url;
    core->url = s->url;
    core->presets_dir = s->presets_dir;
    core->preflight = s->preflight;
    core->audit.keep_s = s->audit_keep_days * 86400;
    core->backup = &s->backup;
    TRY(store_open(ctx, &db, &core->store));
    const struct core_settings start = {.name = s->name,
                                        .status_url = s->status_url,
                                        .organization = s->organization,
                                        .external_root = s->external_root,
                                        .permitted_dns = s->permitted_dns.v,
                                        .permitted_dns_n = s->permitted_dns.n,
                                        .agent_name = s->agent_name,
                                        .agent_identity = s->agent_identity};
    TRY(core_start(ctx, core, &start));
    TRY(finding_rules_open(ctx, core, &s->findings));
    TRY(restore_reconcile(ctx, core));
    TRY(sign_in_open(ctx, core));
    TRY(live_open(ctx, core));
    TRY(ldap_start(ctx, core));
    return sign_in_take(ctx, core, s->state);
}

static struct rc serve(struct ctx *ctx, struct role_env *env, struct hub *hub, struct worker *worker)
{
    pthread_t own, tick;
    struct rc swept = backup_start(ctx, hub->core);
    if (rc_failed(swept)) {
        log_event(LOG_WARN_, "backups_not_started", "why", ctx_why(ctx), NULL);
        ctx_forget(ctx);
    }
    TRY(server_start(ctx, env, hub));
    struct rc rc = fleet_start(ctx, env, hub);
    const bool working = rc_ok(rc) && !pthread_create(&own, NULL, own_main, worker);
    const bool ticking = rc_ok(rc) && !pthread_create(&tick, NULL, tick_main, worker);
    if (rc_ok(rc) && !(working && ticking))
        rc = ctx_fail(ctx, E_NO_MEMORY, "no thread for the hub's own work");
    if (rc_ok(rc))
        rc = hub_backup_begin(ctx, hub, &hub->backup);
    if (rc_ok(rc)) {
        role_ready(env, arena_printf(&ctx->arena, "sandbox: %s", role_sandbox_state(env)));
        role_wait_stop(env);
    }
    atomic_store(&hub->draining, true);
    pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    pthread_cond_broadcast(&worker->work);
    pthread_cond_broadcast(&worker->end);
    pthread_mutex_unlock(&worker->lock);
    if (working)
        pthread_join(own, NULL);
    if (ticking && role_stopping(env))
        pthread_join(tick, NULL);
    http_server_stop(hub->fleet);
    hub->fleet = NULL;
    http_server_stop(hub->server);
    hub->server = NULL;
    hub_backup_end(hub->backup);
    hub->backup = NULL;
    return rc;
}

RC hub_run(struct ctx *ctx, struct role_env *env)
{
    umask(077);
    json_set_alloc_funcs(malloc, wipe_free); /* passwords pass through this role as JSON */
    struct settings s;
    TRY(settings_read(ctx, role_config(env), &s));
    struct hub_tls_settings tls = {.certificate_file = s.certificate_file, .key_file = s.key_file};
    TRY(names_split(ctx, &s.names, &tls));
    struct core core = {0};
    struct hub hub = {
        .core = &core, .admin_uids = &s.admin_uid, .admin_uids_n = 1, .sandbox = role_sandbox_state(env), .tls = &tls,
        .client_keys = s.client_keys};
    struct worker worker = {.hub = &hub, .env = env};
    struct waker waker = {.hub = &hub, .own = &worker};
    pthread_mutex_init(&hub.published_lock, NULL);
    pthread_mutex_init(&worker.lock, NULL);
    /* Not the wall clock: waits must end when they should, however that is moved. */
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&worker.work, &monotonic);
    pthread_cond_init(&worker.end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    struct rc rc = core_open(ctx, env, &s, &core);
    if (rc_ok(rc)) {
        waker.own_key = arena_printf(&ctx->arena, "agent:%s", core.hub_agent);
        core.wake = wake_all;
        core.revoked = revoked;
        core.wake_arg = &waker;
        hub.started_at = clock_unix_s(core.clock);
        ctx->principal = NULL;
        rc = serve(ctx, env, &hub, &worker);
    }
    status_free(&hub);
    heard_free(core.heard);
    finding_rules_close(&core);
    inventory_close(&core);
    sign_in_close(&core);
    live_close(&core);
    store_close(core.store);
    return rc;
}
