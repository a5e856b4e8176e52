#include "agent/run/run.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "agent/run/dns.h"
#include "agent/run/read.h"
#include "base/failpoint.h"
#include "os/spawn.h"
#include "wire/messages.h"

#define RUN_THREADS 4
#define OUTPUT_TAIL 4096
#define OUTPUT_WHOLE ((size_t)4 << 20)

struct run {
    const struct agent_config *cfg;
    const char *sandbox;
};

/* The text of files, cut as the output of a program is. */
static RC on_reading(struct ctx *ctx, const struct agent_command *cmd, bool whole, struct wire_run_done *out)
{
    struct buf text;
    int64_t begun = clock_mono_ms();
    buf_init_arena(&text, &ctx->arena, OUTPUT_WHOLE);
    struct rc rc = read_files(ctx, cmd->reading, &text);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "command %s", cmd->name);
    struct bytes all = buf_bytes(&text);
    if (!whole && all.n > OUTPUT_TAIL)
        bytes_skip(&all, all.n - OUTPUT_TAIL);
    *out = (struct wire_run_done){.output = all, .took_ms = clock_mono_ms() - begun};
    return RC_OK;
}

static RC on_command(struct ctx *ctx, void *arg, const void *in, void *out)
{
    const struct run *r = arg;
    const struct wire_run_command *m = in;
    struct wire_run_done *o = out;
    const struct agent_command *cmd;
    struct spawn_result res;
    TRY(agent_config_command(ctx, r->cfg, m->name, &cmd));
    if (cmd->reading != NULL)
        return on_reading(ctx, cmd, m->whole, o);
    struct spawn s = {.argv = cmd->argv, .timeout_ms = (int64_t)cmd->timeout_s * 1000, .only_stdout = m->whole,
        .keep_end = !m->whole,
                      .max_out = m->whole ? OUTPUT_WHOLE : OUTPUT_TAIL};
    TRY(spawn_as(ctx, &s, cmd->user, arena_printf(&ctx->arena, "command %s", cmd->name)));
    FAILPOINT("run.before");
    struct rc rc = spawn_run(ctx, &s, &res);
    if (rc_failed(rc))
        return ctx_wrap(ctx, rc, "command %s of %s", cmd->name, r->cfg->file);
    FAILPOINT("run.after");
    if (m->whole && res.cut)
        return ctx_fail(ctx, E_TOO_LARGE, "command %s printed more than %zu bytes", cmd->name, OUTPUT_WHOLE);
    *o = (struct wire_run_done){.exit_code = res.exit_code, .signal = res.signal, .timed_out = res.timed_out, .output = res.out,
                                .took_ms = res.took_ms};
    return RC_OK;
}

static RC on_dns(struct ctx *ctx, void *arg, const void *in, void *out)
{
    return run_dns(ctx, ((struct run *)arg)->cfg, in, out);
}

static RC on_health(struct ctx *ctx, void *arg, const void *in, void *out)
{
    struct wire_run_healthy *o = out;
    (void)ctx;
    (void)in;
    o->sandbox = ((struct run *)arg)->sandbox;
    return RC_OK;
}

static const struct wire_route routes[] = {{WIRE_run_command, on_command}, {WIRE_run_dns, on_dns}, {WIRE_run_health, on_health}};

RC run_serve(struct ctx *ctx, struct wire_server *server, const struct agent_config *cfg, const char *sandbox, unsigned threads)
{
    struct run r = {cfg, sandbox};
    return wire_serve(ctx, server, routes, sizeof routes / sizeof *routes, threads, &r);
}

/* The programs started need most of the host, but never our state: every folder on the way to it is opened entry by entry, all but
 * the one that leads on.  Where a folder has too many entries for the sandbox's table the level is opened as a whole, which the
 * state's own modes then guard. */
#define LEVEL_MOST 24

static RC allow_beside(struct ctx *ctx, struct sandbox *sb, const char *folder, struct bytes leads_on, bool *descend)
{
    const unsigned everything = SANDBOX_READ | SANDBOX_WRITE | SANDBOX_EXECUTE | SANDBOX_OPTIONAL;
    struct str_list others = {0};
    const struct dirent *e;
    DIR *dir = opendir(folder);
    *descend = dir != NULL;
    if (dir == NULL)
        return RC_OK;
    while ((e = readdir(dir)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !bytes_equal_z(leads_on, e->d_name))
            str_list_add(&ctx->arena, &others,
                         arena_printf(&ctx->arena, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, e->d_name));
    closedir(dir);
    *descend = others.n <= LEVEL_MOST && sb->n_paths + others.n + 1 < SANDBOX_PATHS_MAX;
    if (!*descend)
        sandbox_allow(sb, arena_strdup(&ctx->arena, folder), everything);
    for (size_t i = 0; *descend && i < others.n; i++)
        sandbox_allow(sb, others.v[i], everything);
    return RC_OK;
}

RC run_confine(struct ctx *ctx, struct role_env *env, struct sandbox *sb)
{
    struct agent_config cfg;
    struct bytes rest, part;
    const char *folder = "/";
    bool descend = true;
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    rest = bytes_z(cfg.state_dir);
    bytes_skip(&rest, rest.n > 0 ? 1 : 0);
    while (descend && bytes_take_until(&rest, '/', &part)) {
        TRY(allow_beside(ctx, sb, folder, part, &descend));
        folder = arena_printf(&ctx->arena, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, arena_str(&ctx->arena, part));
    }
    sb->may |= SANDBOX_EXEC | SANDBOX_UNIX | SANDBOX_CONNECT_TCP | SANDBOX_BIND_TCP | SANDBOX_UDP | SANDBOX_CHOWN;
    return RC_OK;
}

RC run_enter(struct ctx *ctx, struct role_env *env)
{
    struct agent_config cfg;
    TRY(agent_config_parse(ctx, "agent.yaml", role_config(env), &cfg));
    role_ready(env, role_sandbox_state(env));
    return run_serve(ctx, role_server(env), &cfg, role_sandbox_state(env), RUN_THREADS);
}
