/* agent.yaml: what this host allows (invariant 5).  Root-owned; the agent and each of its hands reads the same file and refuses,
 * each for itself, what is not granted there.
 *
 *     name: web1                            # default: the host's name
 *     hub: /run/certwright/agent.sock       # the hub's socket for agents
 *     state: /var/lib/certwright/agent
 *     connectors_dir: /usr/share/certwright/connectors
 *     connectors: [nginx, files, webroot, listener]
 *     paths: [/etc/ssl/certwright]          # where apply may write
 *     users: [root, www-data]               # owners it may give to files
 *     groups: [root, www-data]
 *     networks: {probe: [127.0.0.0/8], relay: []}   # private ranges granted, besides public addresses
 *     commands:
 *       nginx-check: [/usr/sbin/nginx, -t]
 *       nginx-reload: {run: [/usr/sbin/nginx, -s, reload], user: root, timeout_s: 30}
 *     http01: {port: 80, address: "0.0.0.0"}
 *     workers: 8
 *     prove_s: 15 */
#ifndef AGENT_AGENT_CONFIG_H
#define AGENT_AGENT_CONFIG_H

#include "base/ctx.h"
#include "base/str.h"

/* One row of `commands`: started as it stands, without a shell. */
struct agent_command {
    const char *name;
    const char *const *argv; /* NULL-terminated; argv[0] is an absolute path */
    const char *user;        /* NULL: whom the role runs as */
    int timeout_s;
};

struct agent_config {
    const char *file;
    const char *name;
    const char *hub_socket;
    const char *state_dir;
    const char *connectors_dir;
    struct str_list connectors;
    struct str_list paths; /* absolute, without a slash at the end */
    struct str_list users, groups;
    struct str_list probe_networks, relay_networks; /* CIDR */
    struct agent_command *commands;
    size_t n_commands;
    const char *http01_address;
    int http01_port;
    int workers; /* 1..64: jobs done at a time, besides those that wait for a CA */
    int prove_s; /* 1..300: how long a service may take until it shows its new certificate */
};

/* agent_config_parse reads `text`; `file` is what messages call it.  Strings live in ctx->arena. */
RC agent_config_parse(struct ctx *ctx, const char *file, struct bytes text, struct agent_config *out);
/* agent_config_load reads the file and refuses one that others than root or the running user own, or that group or others may
 * write. */
RC agent_config_load(struct ctx *ctx, const char *path, struct agent_config *out);

/* agent_config_command returns the command, or fails with E_NOT_GRANTED and the remedy. */
RC agent_config_command(struct ctx *ctx, const struct agent_config *c, const char *name, const struct agent_command **out);
/* agent_config_path_allowed says whether `path` (absolute, no "." or ".." or empty element) is on or below one of `paths`. */
bool agent_config_path_allowed(const struct agent_config *c, const char *path);
/* agent_config_check_path fails with E_NOT_GRANTED and the remedy where it is not. */
RC agent_config_check_path(struct ctx *ctx, const struct agent_config *c, const char *path);

/* agent_file_trusted reads a whole file of at most `max` bytes that must be a regular file owned by root or the running user and
 * writable by its owner alone; E_NOT_GRANTED otherwise. */
RC agent_file_trusted(struct ctx *ctx, const char *path, size_t max, struct bytes *out);

#endif
