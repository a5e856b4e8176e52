/* What the bare verbs `run` and `init` do: the only code that knows all roles. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/secret.h"
#include "cli/cli.h"
#include "core/finding_rules.h"
#include "os/parent.h"
#include "os/role.h"

#define SERVER_ROLES 7
/* server_roles fills in the program's table of roles. */
void server_roles(struct role roles[SERVER_ROLES]);

/* hub.yaml:
 *
 *     name: Example                       # of the installation
 *     organization: Example Ltd           # in the CAs' names
 *     state: /var/lib/certwright          # folders hub, signer, agent below it
 *     run: /run/certwright                # sockets: admin.sock, agent.sock, officer.sock
 *     database: "host=/run/postgresql dbname=certwright"   # absent: SQLite in state/hub
 *     https: {address: "0.0.0.0", port: 8443, names: [hub.example.org], certificate: FILE, key: FILE,
 *             client_keys: true}          # programs may show an enrolled key in TLS instead of a token; browsers are asked as well
 *     agents: {address: "0.0.0.0", port: 8444}   # agents on other hosts; the names are those of https
 *     status: {address: "0.0.0.0", port: 8080, url: "http://hub.example.org:8080"}
 *     kek: /etc/certwright/kek            # absent: the systemd credential "kek"
 *     blocklists: /usr/share/certwright/blocklists
 *     issuers_dir: /usr/share/certwright/issuers   # CAs that are described ready-made
 *     preflight: fail               # or warn, off: what a look before a first order leads to (core/preflight.h)
 *     agent: /etc/certwright/agent.yaml   # the hub's own agent; absent: none
 *     officer_uid: 0
 *     users: certwright                   # prefix: certwright-hub, certwright-signer …; or uid_base: 62000 for demonstrations
 *     external_root: false
 *     permitted_dns: [example.org]
 *     audit:
 *       keep_days: 2555             # audit entries older go, their hashes stay; not there: none go
 *     backup: {to: /var/backups/certwright, every: 1d, keep: 14}   # docs/BACKUP.md
 *     findings:                           # what the inventory's findings are made by (core/finding_rules.h)
 *       domains: [example.org]            # ours
 *       issuers: ["Let's Encrypt", "Example CA"]   # who may issue for them, by O or CN
 *       inner_names: [corp.example.org]   # exist only inside
 *       roots: /etc/certwright/roots.pem  # CAs of our own
 *       public_roots: FILE                # absent: the system's
 *       weak_keys: DIR                    # absent: blocklists */
struct hub_config {
    const char *file;
    const char *name, *organization, *state, *run, *database, *kek, *blocklists, *issuers_dir, *preflight, *agent, *users;
    const char *https_address, *https_certificate, *https_key, *agents_address, *status_address, *status_url;
    int64_t https_port, agents_port, status_port, uid_base, officer_uid; /* port 0: none */
    struct str_list https_names, permitted_dns;
    bool external_root, client_keys;
    struct finding_settings findings;
    int64_t audit_keep_days; /* 0: for ever */
    const char *backup_to;   /* NULL: none on schedule */
    bool backup_elsewhere;   /* others see to it */
    int64_t backup_every_s, backup_keep;
};
RC hub_config_load(struct ctx *ctx, const char *path, struct hub_config *out);

/* What init and join write into a new agent.yaml: the hub's own host, or another, begins with the same grants. */
#define AGENT_YAML_HEAD \
    "# What certwright may do on this host.  The hub names a connector and its parameters; paths and commands are " \
    "decided here.\n"
#define AGENT_YAML_GRANTS \
    "connectors: [nginx, files, webroot, listener]\n" \
    "paths: [/etc/nginx, /etc/ssl/certwright]\n" \
    "users: [root, www-data]\n" \
    "groups: [root, www-data]\n" \
    "networks:\n" \
    "  probe: [127.0.0.0/8, \"::1/128\", 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \"fc00::/7\"]\n" \
    "  relay: []\n" \
    "commands:\n" \
    "  nginx-dump: [/usr/sbin/nginx, -T]\n" \
    "  nginx-check: [/usr/sbin/nginx, -t]\n" \
    "  nginx-reload: [/usr/sbin/nginx, -s, reload]\n" \
    "  # Another service: allow its connector and folders above; the head of its description names its commands.\n" \
    "share_keys: false    # true: keys go to, and come from, other hosts that serve the same certificate\n"
/* yaml_put_text appends `key: "value"` and a line's end. */
void yaml_put_text(struct buf *b, const char *key, const char *value);

/* certwright run hub | agent. */
RC server_run(struct cli *cli);
/* certwright init. */
RC server_init(struct cli *cli);
/* certwright check: whether what the inventory derives follows from its certificates. */
RC server_check(struct cli *cli);
/* certwright restore, verify-backup (core/backup_file.h). */
RC server_restore(struct cli *cli);
RC server_verify_backup(struct cli *cli);
/* server_recovery_key reads the recovery key from files, or from standard input where there are none: the key, or its parts one
 * after the other (a file or a line for each).  server_recovery_public writes its public half into the folder of the configuration:
 * to whom backups are encrypted. */
RC server_recovery_key(struct ctx *ctx, const struct str_list *files, struct secret *out);
/* server_recovery_show shows it in `n` parts, on a terminal one at a time; server_recovery_parts reads how many an option asks for
 * (0: it is not given). */
RC server_recovery_show(struct ctx *ctx, const struct secret *recovery, size_t n);
RC server_recovery_parts(struct cli *cli, const char *option, size_t *n);
/* certwright recovery split. */
RC server_recovery_split(struct cli *cli);
#define RECOVERY_PUBLIC "recovery.pub"
RC server_recovery_public(struct ctx *ctx, const char *dir, const struct secret *recovery);
/* server_owner gives the user that a role runs as. */
RC server_owner(struct ctx *ctx, const struct hub_config *c, const char *role, uid_t *uid, gid_t *gid);
/* A restore that was not brought to its end leaves this file in the folder `state`: no hub starts there. */
#define RESTORE_MARK "restore-unfinished"
/* server_backup_json puts what the hub needs to make backups into its configuration: the configuration itself is sealed here, where
 * it may be read, and the hub sees nothing of it. */
RC server_backup_json(struct ctx *ctx, const struct hub_config *c, struct json_out *j);
/* certwright join: enrols this host with a hub, and writes what its agent needs. */
RC server_join(struct cli *cli);

#endif
