/* certwright run: the parent's plan, made of hub.yaml or agent.yaml. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/plan.h"
#include "base/log.h"
#include "hub/role.h"
#include "os/file.h"
#include "server/server.h"
#include "signer/signer.h"

void server_roles(struct role roles[SERVER_ROLES])
{
    roles[0] = (struct role){.name = "hub", .confine = hub_confine, .enter = hub_run};
    roles[1] = (struct role){.name = "signer", .confine = signer_confine, .enter = signer_run};
    for (size_t i = 0; i < AGENT_ROLES; i++)
        roles[2 + i] = agent_roles[i];
}

struct plan {
    struct parent_role roles[SERVER_ROLES];
    struct parent_listener listeners[8];
    struct parent_credential credentials[2];
    struct parent_plan p;
};

static struct parent_user user_of(struct ctx *ctx, const struct hub_config *c, const char *role)
{
    struct parent_user u = {.uid_base = (uid_t)c->uid_base};
    if (c->users)
        u.user = arena_printf(&ctx->arena, "%s-%s", c->users, role);
    return u;
}

static void put_list(struct json_out *j, const char *key, const struct str_list *l)
{
    json_open_list(j, key);
    for (size_t i = 0; i < l->n; i++)
        json_put_str(j, NULL, l->v[i]);
    json_close(j);
}

static struct rc hub_json(struct ctx *ctx, const struct hub_config *c, const char *agent_name, uid_t agent_uid, struct bytes *out)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 20);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "name", c->name);
    json_put_str(&j, "state", arena_printf(&ctx->arena, "%s/hub", c->state));
    if (c->organization)
        json_put_str(&j, "organization", c->organization);
    json_put_str(&j, "status_url", c->status_url);
    if (c->https_names.n && c->https_port) {
        const char *host = c->https_names.v[0];
        json_put_str(&j, "url", arena_printf(&ctx->arena, strchr(host, ':') ? "https://[%s]:%lld" : "https://%s:%lld", host,
                                             (long long)c->https_port));
    }
    if (c->issuers_dir)
        json_put_str(&j, "issuers_dir", c->issuers_dir);
    if (c->preflight)
        json_put_str(&j, "preflight", c->preflight);
    if (c->database)
        json_put_str(&j, "conninfo", c->database);
    else
        json_put_str(&j, "database", arena_printf(&ctx->arena, "%s/hub/certwright.db", c->state));
    if (agent_name) {
        json_put_str(&j, "agent_name", agent_name);
        json_put_str(&j, "agent_identity", arena_printf(&ctx->arena, "unix:%u", agent_uid));
    }
    if (c->https_certificate) {
        json_put_str(&j, "certificate_file", c->https_certificate);
        json_put_str(&j, "key_file", c->https_key);
    }
    json_put_bool(&j, "external_root", c->external_root);
    json_put_int(&j, "admin_uid", getuid());
    put_list(&j, "permitted_dns", &c->permitted_dns);
    put_list(&j, "names", &c->https_names);
    json_put_bool(&j, "client_keys", c->client_keys);
    json_put_int(&j, "audit_keep_days", c->audit_keep_days);
    json_open_obj(&j, "findings");
    put_list(&j, "domains", &c->findings.domains);
    put_list(&j, "issuers", &c->findings.issuers);
    put_list(&j, "inner_names", &c->findings.inner_names);
    if (c->findings.roots)
        json_put_str(&j, "roots", c->findings.roots);
    if (c->findings.public_roots)
        json_put_str(&j, "public_roots", c->findings.public_roots);
    if (c->findings.weak_keys)
        json_put_str(&j, "weak_keys", c->findings.weak_keys);
    json_close(&j);
    TRY(server_backup_json(ctx, c, &j));
    json_close(&j);
    *out = buf_bytes(&b);
    return buf_status(&b);
}

static struct bytes signer_json(struct ctx *ctx, const struct hub_config *c)
{
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    struct json_out j;
    json_begin(&j, &b);
    json_open_obj(&j, NULL);
    json_put_str(&j, "state", arena_printf(&ctx->arena, "%s/signer", c->state));
    json_put_int(&j, "officer_uid", c->officer_uid ? c->officer_uid : getuid());
    if (c->blocklists)
        json_put_str(&j, "blocklists", c->blocklists);
    json_close(&j);
    return buf_bytes(&b);
}

/* The folder of a role: made, and given to its user. */
static struct rc folder(struct ctx *ctx, struct plan *p, const char *parent, const char *name, const char *role)
{
    uid_t uid;
    gid_t gid;
    TRY(parent_uid(ctx, &p->p, role, &uid, &gid));
    FD_CLEANUP int dir = -1;
    TRY(file_open_dir(ctx, parent, &dir));
    TRY(file_mkdir(ctx, dir, name, uid, gid, 0700));
    if (geteuid() == 0 && fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW))
        return ctx_fail_errno(ctx, "%s/%s", parent, name);
    return RC_OK;
}

static struct rc backup_folder_make(struct ctx *ctx, struct plan *p, const struct hub_config *c)
{
    uid_t uid;
    gid_t gid;
    struct stat st;
    if (!c->backup_to || !stat(c->backup_to, &st))
        return RC_OK;
    TRY(parent_uid(ctx, &p->p, "hub", &uid, &gid));
    TRY(file_mkdirs(ctx, c->backup_to, 0700));
    return geteuid() == 0 && lchown(c->backup_to, uid, gid) ? ctx_fail_errno(ctx, "%s", c->backup_to) : RC_OK;
}

/* Where backups on schedule go: one that is there stays as it is, for it may be a mount; the hub's user must be able to write.
 * Without one the hub starts all the same, for renewals matter more: the backups fail, and that is told. */
static void backup_folder(struct ctx *ctx, struct plan *p, const struct hub_config *c)
{
    if (rc_ok(backup_folder_make(ctx, p, c)))
        return;
    log_event(LOG_WARN_, "no_backup_folder", "folder", c->backup_to, "why", ctx_why(ctx), NULL);
    ctx_forget(ctx);
}

RC server_owner(struct ctx *ctx, const struct hub_config *c, const char *role, uid_t *uid, gid_t *gid)
{
    struct plan p = {0};
    static const char *const roles[] = {"signer", "hub"}; /* as run_hub() has them: user ids count from uid_base on */
    p.p.roles = p.roles;
    for (size_t i = 0; i < 2; i++)
        p.roles[p.p.n_roles++] = (struct parent_role){.name = roles[i], .user = user_of(ctx, c, roles[i])};
    return parent_uid(ctx, &p.p, role, uid, gid);
}

/* What init left for the hub was written by whoever called it. */
static struct rc sign_in_give(struct ctx *ctx, const struct plan *p, const char *state)
{
    uid_t uid;
    gid_t gid;
    TRY(parent_uid(ctx, &p->p, "hub", &uid, &gid));
    const char *path = arena_printf(&ctx->arena, "%s/hub/sign-in", state);
    if (geteuid() == 0 && lchown(path, uid, gid) && errno != ENOENT)
        return ctx_fail_errno(ctx, "%s", path);
    return RC_OK;
}

static struct rc listeners_add(struct ctx *ctx, const struct hub_config *c, struct plan *p, uid_t agent_uid, gid_t agent_gid)
{
    size_t n = 0;
    p->listeners[n++] = (struct parent_listener){.name = "admin",
                                                 .path = arena_printf(&ctx->arena, "%s/admin.sock", c->run),
                                                 .mode = 0600,
                                                 .uid = (uid_t)-1,
                                                 .gid = (gid_t)-1};
    p->listeners[n++] = (struct parent_listener){.name = "officer",
                                                 .path = arena_printf(&ctx->arena, "%s/officer.sock", c->run),
                                                 .mode = 0600,
                                                 .uid = c->officer_uid ? (uid_t)c->officer_uid : (uid_t)-1,
                                                 .gid = (gid_t)-1};
    if (c->agent)
        p->listeners[n++] = (struct parent_listener){.name = "agent",
                                                     .path = arena_printf(&ctx->arena, "%s/agent.sock", c->run),
                                                     .mode = 0600,
                                                     .uid = agent_uid,
                                                     .gid = agent_gid};
    p->listeners[n++] =
        (struct parent_listener){.name = "status", .address = c->status_address, .port = (uint16_t)c->status_port};
    if (c->https_port)
        p->listeners[n++] = (struct parent_listener){.name = "https", .address = c->https_address, .port = (uint16_t)c->https_port};
    if (c->agents_port)
        p->listeners[n++] =
            (struct parent_listener){.name = "fleet", .address = c->agents_address, .port = (uint16_t)c->agents_port};
    p->p.listeners = p->listeners;
    p->p.n_listeners = n;
    return RC_OK;
}

static const char *kek_path(struct ctx *ctx, const struct hub_config *c)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    return c->kek ? c->kek : folder ? arena_printf(&ctx->arena, "%s/kek", folder) : NULL;
}

static struct rc agent_add(struct ctx *ctx, const char *path, const struct agent_plan_users *users, struct plan *p,
                           struct agent_config *cfg)
{
    struct bytes text;
    TRY(agent_file_trusted(ctx, path, 1 << 20, &text));
    TRY(agent_config_parse(ctx, path, text, cfg));
    agent_plan_add(p->roles, &p->p.n_roles, cfg, text, users);
    return RC_OK;
}

static struct rc agent_prepare(struct ctx *ctx, struct plan *p, const struct agent_config *cfg, uid_t *uid, gid_t *gid)
{
    struct agent_plan_owner relay;
    TRY(parent_uid(ctx, &p->p, "agent", uid, gid));
    TRY(parent_uid(ctx, &p->p, "relay", &relay.uid, &relay.gid));
    return agent_plan_prepare(ctx, cfg, (struct agent_plan_owner){*uid, *gid}, relay);
}

static void say_ready(void *arg)
{
    (void)arg;
    log_event(LOG_INFO_, "ready", NULL);
}

static void plan_common(struct cli *cli, struct plan *p)
{
    p->p.roles = p->roles;
    p->p.no_sandbox = cli_has(cli, "no-sandbox");
    p->p.log_json = cli_has(cli, "log-json");
    p->p.log_least = LOG_INFO_;
    p->p.clock_file = cli_opt(cli, "clock-file");
    p->p.on_ready = say_ready;
    log_init("parent", LOG_INFO_, p->p.log_json);
}

static struct rc run_hub(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *path = cli_opt(cli, "config");
    struct hub_config c;
    TRY(hub_config_load(ctx, path ? path : "/etc/certwright/hub.yaml", &c));
    const char *kek = kek_path(ctx, &c);
    if (!kek)
        return ctx_fail(ctx, E_INVALID, "%s names no kek, and systemd gave no credential of that name", c.file);
    if (!access(arena_printf(&ctx->arena, "%s/" RESTORE_MARK, c.state), F_OK))
        return ctx_fail(ctx, E_CONFLICT, "a restore into %s was not brought to its end: run certwright restore again", c.state);
    struct plan p = {0};
    plan_common(cli, &p);
    TRY(file_mkdirs(ctx, c.state, 0711));
    TRY(file_mkdirs(ctx, c.run, 0711));
    p.roles[p.p.n_roles++] = (struct parent_role){.name = "signer",
                                                  .user = user_of(ctx, &c, "signer"),
                                                  .config = signer_json(ctx, &c),
                                                  .peers = {"hub"},
                                                  .listeners = {"officer"},
                                                  .credentials = {"kek"}};
    struct parent_role *hub = &p.roles[p.p.n_roles++];
    *hub = (struct parent_role){.name = "hub", .user = user_of(ctx, &c, "hub"), .listeners = {"admin", "status"}};
    size_t n = 2;
    if (c.https_port)
        hub->listeners[n++] = "https";
    if (c.agents_port)
        hub->listeners[n++] = "fleet";
    uid_t agent_uid = (uid_t)-1;
    gid_t agent_gid = (gid_t)-1;
    struct agent_config agent = {0};
    if (c.agent) {
        hub->listeners[n++] = "agent";
        const struct agent_plan_users users = {.agent = user_of(ctx, &c, "agent").user,
                                               .relay = user_of(ctx, &c, "relay").user,
                                               .probe = user_of(ctx, &c, "probe").user,
                                               .uid_base = (uid_t)c.uid_base};
        TRY(agent_add(ctx, c.agent, &users, &p, &agent));
        TRY(agent_prepare(ctx, &p, &agent, &agent_uid, &agent_gid));
    }
    TRY(hub_json(ctx, &c, c.agent ? agent.name : NULL, agent_uid == (uid_t)-1 ? getuid() : agent_uid, &hub->config));
    TRY(folder(ctx, &p, c.state, "signer", "signer"));
    TRY(folder(ctx, &p, c.state, "hub", "hub"));
    backup_folder(ctx, &p, &c);
    TRY(sign_in_give(ctx, &p, c.state));
    TRY(listeners_add(ctx, &c, &p, agent_uid, agent_gid));
    p.credentials[0] = (struct parent_credential){.name = "kek", .path = kek};
    p.p.credentials = p.credentials;
    p.p.n_credentials = 1;
    return parent_run(ctx, &p.p);
}

static struct rc run_agent(struct cli *cli)
{
    const char *path = cli_opt(cli, "config");
    struct plan p = {0};
    plan_common(cli, &p);
    struct agent_config cfg;
    struct bytes text;
    path = path ? path : "/etc/certwright/agent.yaml";
    TRY(agent_file_trusted(cli->ctx, path, 1 << 20, &text));
    TRY(agent_config_parse(cli->ctx, path, text, &cfg));
    const bool own = cfg.uid_base == 0 && geteuid() == 0;
    const struct agent_plan_users users = {.agent = own ? "certwright-agent" : NULL,
                                           .relay = own ? "certwright-relay" : NULL,
                                           .probe = own ? "certwright-probe" : NULL,
                                           .uid_base = (uid_t)cfg.uid_base};
    agent_plan_add(p.roles, &p.p.n_roles, &cfg, text, &users);
    uid_t uid;
    gid_t gid;
    TRY(agent_prepare(cli->ctx, &p, &cfg, &uid, &gid));
    return parent_run(cli->ctx, &p.p);
}

RC server_run(struct cli *cli)
{
    const char *what = NULL;
    TRY(cli_one_arg(cli, &what));
    if (str_equal(what, "hub"))
        return run_hub(cli);
    if (str_equal(what, "agent"))
        return run_agent(cli);
    return ctx_fail(cli->ctx, E_USAGE, "run what? certwright run hub, or certwright run agent");
}
