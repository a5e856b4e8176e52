/* certwright join: enrols this host with a hub, and writes what its agent needs. */
#include <unistd.h>

#include "agent/fleet.h"
#include "os/file.h"
#include "server/server.h"

#define TOKEN_MAX_ 256

/* From the file, or from standard input: never from the command line, where every user of the host may read it. */
static struct rc token_get(struct cli *cli, struct bytes *out)
{
    const char *path = cli_opt(cli, "token-file");
    if (path) {
        TRY(file_read(cli->ctx, path, TOKEN_MAX_, out));
    } else {
        char *text = arena_alloc(&cli->ctx->arena, TOKEN_MAX_);
        size_t n = 0;
        if (isatty(STDIN_FILENO))
            fprintf(stderr, "Join token: ");
        while (n < TOKEN_MAX_ - 1 && read(STDIN_FILENO, text + n, 1) == 1 && text[n] != '\n')
            n++;
        *out = bytes_of(text, n);
    }
    *out = bytes_trim(*out);
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] == '\n' || out->p[i] == '\r')
            out->n = i; /* a file ends with a line's end */
    return out->n ? RC_OK
                  : ctx_fail(cli->ctx, E_USAGE, "no join token came; make one at the hub with: certwright join-token add NAME, and "
                             "give it with --token-file or at standard input");
}

static struct rc config_write(struct cli *cli, const char *path, const char *hub, const char *name)
{
    struct ctx *ctx = cli->ctx;
    const char *state = cli_opt(cli, "state"), *connectors = cli_opt(cli, "connectors-dir");
    const char *slash = strrchr(path, '/');
    struct buf b;
    buf_init_arena(&b, &ctx->arena, 1 << 16);
    buf_put_z(&b, AGENT_YAML_HEAD);
    yaml_put_text(&b, "name", name);
    yaml_put_text(&b, "hub", hub);
    yaml_put_text(&b, "state", state ? state : "/var/lib/certwright/agent");
    yaml_put_text(&b, "connectors_dir", connectors ? connectors : "/usr/share/certwright/connectors");
    buf_put_z(&b, AGENT_YAML_GRANTS);
    TRY(buf_status(&b));
    if (slash && slash > path)
        TRY(file_mkdirs(ctx, arena_str(&ctx->arena, bytes_of(path, (size_t)(slash - path))), 0755));
    return file_write_atomic_path(ctx, path, buf_bytes(&b), (uid_t)-1, (gid_t)-1, 0644);
}

/* The URL without what people add to it. */
static struct rc hub_url(struct cli *cli, const char **out)
{
    struct bytes url = bytes_z(cli->args.n ? cli->args.v[0] : "");
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    *out = arena_str(&cli->ctx->arena, url);
    if (!bytes_starts_with(url, BYTES_LIT("https://")) || url.n == 8 || strpbrk(*out + 8, "/?#@ "))
        return ctx_fail(cli->ctx, E_USAGE, "the hub's URL is https://, its name, and the port of \"agents\" in its hub.yaml: "
                        "certwright join https://hub.example.org:8444");
    return RC_OK;
}

RC server_join(struct cli *cli)
{
    struct ctx *ctx = cli->ctx;
    const char *path = cli_opt(cli, "config"), *hub = NULL, *name = cli_opt(cli, "name");
    char host[65] = {0};
    struct agent_config cfg;
    struct fleet_joined joined;
    struct bytes token;
    TRY(hub_url(cli, &hub));
    path = path ? path : "/etc/certwright/agent.yaml";
    if (!name)
        name = gethostname(host, sizeof host - 1) == 0 ? host : "agent";
    TRY(token_get(cli, &token));
    const bool fresh = access(path, F_OK) != 0;
    if (fresh)
        TRY(config_write(cli, path, hub, name));
    TRY(agent_config_load(ctx, path, &cfg));
    if (!cfg.hub_url || !str_equal(cfg.hub_url, hub))
        return ctx_fail(ctx, E_CONFLICT, "%s names the hub %s: write \"hub: %s\" there, then join again", path,
                        cfg.hub_url ? cfg.hub_url : cfg.hub_socket, hub);
    const bool first = access(arena_printf(&ctx->arena, "%s/fleet", cfg.state_dir), F_OK) != 0;
    struct rc rc = fleet_join(ctx, &cfg, hub, token, name, &joined);
    if (rc_failed(rc)) {
        if (fresh)
            unlink(path); /* nothing has come of it */
        /* Where the answer may have been lost the hub knows the key, and takes it again. */
        const enum err_category category = err_info(rc.e)->category;
        if (first && (category == CAT_ACCESS || category == CAT_INPUT || category == CAT_STATE))
            fleet_undo_join(ctx, &cfg);
        return rc;
    }
    cli_say(cli, "Joined %s as %s.%s", hub, joined.name,
            str_equal(joined.state, "pending") ? "  At the hub: certwright agent approve NAME, with that name." : "");
    cli_say(cli, "%s says what the hub may do on this host; look at it, then start the agent:\n"
                 "    certwright run agent%s%s   (or: systemctl enable --now certwright-agent)",
            path, str_equal(path, "/etc/certwright/agent.yaml") ? "" : " --config ",
            str_equal(path, "/etc/certwright/agent.yaml") ? "" : path);
    return RC_OK;
}
