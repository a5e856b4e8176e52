#include "agent/plan.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/apply/apply.h"
#include "agent/probe/probe.h"
#include "agent/relay/relay.h"
#include "agent/run/run.h"
#include "os/file.h"

#define CAP(name) (UINT64_C(1) << (name))

const struct role agent_roles[AGENT_ROLES] = {
    {"agent", agent_confine, agent_enter, 0},
    {"relay", relay_confine, relay_enter, 0},
    {"probe", probe_confine, probe_enter, CAP(CAP_NET_BIND_SERVICE)},
    {"apply", apply_confine, apply_enter, CAP(CAP_CHOWN) | CAP(CAP_FOWNER) | CAP(CAP_DAC_OVERRIDE)},
    {"run", run_confine, run_enter, ROLE_CAP_ALL},
};

void agent_plan_add(struct parent_role *roles, size_t *n, const struct agent_config *cfg, struct bytes text,
                    const struct agent_plan_users *users)
{
    const struct parent_user relay = {.user = users->relay, .uid_base = users->uid_base},
                             probe = {.user = users->probe, .uid_base = users->uid_base}, root = {.keep_root = true};
    const struct parent_role hands[] = {{.name = "relay", .user = relay},
                                        {.name = "probe", .user = probe},
                                        {.name = "apply", .user = root},
                                        {.name = "run", .user = root}};
    for (size_t i = 0; i < sizeof hands / sizeof *hands; i++) {
        struct parent_role *r = &roles[(*n)++];
        *r = hands[i];
        r->config = text;
        r->rest_ms = cfg->rest_s * 1000; /* an agent has work for seconds a day */
    }
    /* After its hands, as the last is the first to be stopped: what it does then is finished with them. */
    roles[(*n)++] = (struct parent_role){.name = "agent",
                                         .user = {.user = users->agent, .uid_base = users->uid_base},
                                         .config = text,
                                         .peers = {"relay", "probe", "apply", "run"}};
}

/* What `join` wrote as root, for the role that uses it. */
static const char *const fleet_files[] = {"fleet/key.pem", "fleet/certificate.pem", "fleet/root.pem"};

static RC give(struct ctx *ctx, const struct agent_config *cfg, int dir, const char *name, uid_t uid, gid_t gid)
{
    if (geteuid() == 0 && uid != (uid_t)-1 && fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
        return ctx_fail_errno(ctx, "%s/%s", cfg->state_dir, name);
    return RC_OK;
}

RC agent_plan_prepare(struct ctx *ctx, const struct agent_config *cfg, struct agent_plan_owner agent,
                      struct agent_plan_owner relay)
{
    FD_CLEANUP int dir = -1;
    TRY(file_mkdirs(ctx, cfg->state_dir, 0711)); /* the agent must get through to its results */
    TRY(file_open_dir(ctx, cfg->state_dir, &dir));
    TRY(file_mkdir(ctx, dir, "keys", FILE_KEEP_UID, FILE_KEEP_GID, 0700));
    TRY(file_mkdir(ctx, dir, "targets", FILE_KEEP_UID, FILE_KEEP_GID, 0700));
    TRY(file_mkdir(ctx, dir, "challenges", FILE_KEEP_UID, FILE_KEEP_GID, 0700));
    TRY(file_mkdir(ctx, dir, "results", agent.uid, agent.gid, 0700));
    TRY(file_mkdir(ctx, dir, "fleet", agent.uid, agent.gid, 0700));
    TRY(file_mkdir(ctx, dir, "enroll", relay.uid, relay.gid, 0700));
    TRY(give(ctx, cfg, dir, "fleet", agent.uid, agent.gid));
    for (size_t i = 0; i < sizeof fleet_files / sizeof *fleet_files; i++)
        TRY(give(ctx, cfg, dir, fleet_files[i], agent.uid, agent.gid));
    /* A demonstration may have been started by another user before. */
    TRY(give(ctx, cfg, dir, "results", agent.uid, agent.gid));
    return give(ctx, cfg, dir, "enroll", relay.uid, relay.gid);
}
