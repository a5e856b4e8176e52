/* agent.yaml: what this host allows (invariant 5).  Root-owned; the agent and each of its hands reads the same file and refuses,
 * each for itself, what is not granted there.
 *
 *     name: web1                            # default: the host's name
 *     hub: https://hub.example.org:8444     # where the hub takes agents (certwright join), or its socket on the same host
 *     state: /var/lib/certwright/agent
 *     connectors_dir: /usr/share/certwright/connectors   # dns_dir: the folder dns beside it
 *     connectors: [nginx, files, webroot, listener]
 *     paths: [/etc/ssl/certwright]          # where apply may write
 *     users: [root, www-data]               # owners it may give to files
 *     groups: [root, www-data]
 *     networks: {probe: [127.0.0.0/8], relay: []}   # private ranges granted, besides public addresses; `outside`: where URLs of
 *                                                   # certificates may lead, besides ports 80 and 443 of public addresses
 *     commands:
 *       nginx-check: [/usr/sbin/nginx, -t]
 *       nginx-reload: {run: [/usr/sbin/nginx, -s, reload], user: root, timeout_s: 30}
 *       haproxy-dump: {read: [/etc/haproxy/haproxy.cfg]}   # no program: the text of files (agent/run/read.h)
 *     credentials:                          # for targets without an agent on their host
 *       vault-token: {file: /etc/certwright/credentials/vault-token, hosts: ["vault.example.org:8200"], roots: /etc/ssl/vault.pem}
 *     dns:                                  # TXT records that may be changed from here, to answer challenges
 *       cloudflare: {zones: [example.org]}  # a description of dns/, or rfc2136
 *       by-hook: {zones: [example.net], program: [/usr/local/bin/hook], protocol: lego}
 *                                           # publish_s: how long until all servers of the zone must show a value
 *     enroll:                               # issuers that are no ACME CA and may be asked from here (enroll/NAME.yaml)
 *       ad-cs: {names: [corp.example.org], parameters: {template: WebServer}}
 *     channels:                             # how people are told from here (docs/ALERTS.md): smtp, syslog, or descriptions
 *       mail: {use: smtp, hosts: ["mail.example.org:587"], to: [example.org], parameters: {from: certwright@example.org}}
 *       slack: {}                           # channels/slack.yaml, whose credential says where it may be sent
 *     resolvers: ["127.0.0.1:5353"]         # instead of those of /etc/resolv.conf
 *     trust_anchors: ["example.org. IN DS …"]  # of DNSSEC, instead of the root's (net/dnssec.h)
 *     http01: {port: 80, address: "0.0.0.0"}
 *     tls_alpn: {port: 443, address: "0.0.0.0"}   # only where it stands: tls-alpn-01, on a port that nothing else has
 *     workers: 8
 *     uid_base: 62000                       # roles run as this user id and those after it, where they have no users of their own
 *     scan:                                 # what may be scanned from here; without networks: nothing
 *       networks: [10.0.0.0/8]
 *       ports: [443, 8000-8999]             # without: any
 *       rate: 500                           # connections a second, at most
 *     inventory:                            # where certificates are looked for on this host (agent/inventory_job.h)
 *       folders: [/srv/tls]                 # besides the usual ones
 *       usual: true                         # false: not in those
 *       stores:                             # PKCS #12 and JKS, each with a file that holds its passphrase in its first line
 *         - {file: /srv/app/store.p12, passphrase: /etc/certwright/store.pass}
 *     prove_s: 15
 *     rest_s: 60                            # a hand without work ends after so long, and is started by the next (0: never)
 *     share_keys: true                      # keys go to, and come from, other hosts that serve the same certificate */
#ifndef AGENT_AGENT_CONFIG_H
#define AGENT_AGENT_CONFIG_H

#include "base/ctx.h"
#include "base/str.h"

/* `read` of a row: configuration files that discovery looks into (agent/run/read.h). */
struct agent_reading {
    struct str_list files;   /* absolute paths or patterns (glob(7)); each file is a configuration of its own */
    struct str_list include; /* directives of these files that name others to be read in their place */
    struct str_list list;    /* paths or patterns of files that are only named */
    bool together;           /* all files are one configuration */
};

/* One row of `commands`: started as it stands, without a shell. */
struct agent_command {
    const char *name;
    const char *const *argv; /* NULL-terminated; argv[0] is an absolute path */
    const struct agent_reading *reading; /* instead of a program: files whose text is the output; argv is for people then */
    const char *user;        /* NULL: whom the role runs as */
    int timeout_s;
};

/* One row of `credentials`: what the relay may show, and to whom.  The hub names a credential and where to send it; this row says
 * which hosts may get it, and the private key that goes with it. */
#define AGENT_CREDENTIALS_MAX 64
struct agent_credential {
    const char *name;
    const char *file;
    struct str_list hosts; /* "name", "name:port", "*.suffix", "*.suffix:port"; without a port: 443, or 22 for SSH */
    const char *roots;     /* PEM file of the CAs of these hosts; NULL: the system's */
    struct str_list paths; /* over SSH: files and folders of those hosts that may be read and replaced with it */
    struct str_list host_keys; /* over SSH: fingerprints of those hosts' keys; empty: what the target says is good */
};

/* One row of `dns`: whose TXT records may be changed with what. */
#define AGENT_DNS_MAX 64
struct agent_dns {
    const char *provider;          /* its name: of a description, "rfc2136", or of the program */
    struct str_list zones;         /* names at and below these may be changed; at least one, lower case, no final dot */
    const char *const *program;    /* NULL: no program; else as agent_command's argv */
    const char *const *cleanup;    /* protocol certbot: the hook that takes the value away */
    const char *protocol;          /* of the program: "certwright", "lego", "certbot" */
    const char *user;              /* NULL: whom the role runs as */
    int timeout_s;
    int publish_s;                 /* how long until all servers of the zone must show a value; 0: what the description says */
};

/* One row of `enroll`: for which names an issuer may be asked, and with which values of its parameters alone. */
struct agent_enroll {
    const char *protocol;           /* its description */
    struct str_list names;          /* names at and below these; "*": any name or address */
    struct str_list keys, values;   /* parameters that the hub cannot choose, one place each */
};

/* One row of `channels`: over what people may be told from here, and with which parameters alone. */
struct agent_channel {
    const char *name;             /* what channels of the hub name */
    const char *use;              /* "smtp", "syslog", or a description; where the row is silent, its name */
    struct str_list hosts;        /* smtp, syslog: where it may connect, as of credentials; the rest is bound by credentials */
    struct str_list to;           /* smtp: addresses at and below these domains; "*": any */
    const char *roots;            /* smtp, syslog: PEM file of the CAs of these hosts; NULL: the system's */
    struct str_list keys, values; /* parameters that the hub cannot choose, one place each */
};

/* One row of `inventory: stores`. */
#define AGENT_STORES_MAX 32
struct agent_store {
    const char *file, *passphrase;
};

struct connector_shelf; /* agent/connector.h */

struct agent_config {
    struct connector_shelf *shelf; /* descriptions that were read already; NULL: none is kept */
    const char *file;
    const char *name;
    const char *hub_socket; /* NULL: the hub is on another host */
    const char *hub_url;    /* "https://hub.example.org:8444"; NULL: on this one */
    const char *state_dir;
    const char *connectors_dir;
    const char *enroll_dir; /* descriptions of issuers that are no ACME CA: the folder enroll beside connectors_dir */
    struct agent_enroll *enroll;
    size_t n_enroll;
    const char *dns_dir; /* descriptions of DNS providers; where the file is silent: the folder dns beside connectors_dir */
    const char *channels_dir; /* descriptions of channels; the same */
    struct agent_channel *channels;
    size_t n_channels;
    struct str_list connectors;
    struct str_list paths; /* absolute, without a slash at the end */
    struct str_list users, groups;
    struct str_list probe_networks, relay_networks, outside_networks; /* CIDR */
    struct agent_command *commands;
    size_t n_commands;
    struct agent_credential *credentials;
    size_t n_credentials;
    struct agent_dns *dns;
    size_t n_dns;
    struct str_list resolvers; /* "address" or "address:port"; empty: the system's */
    struct str_list trust_anchors; /* DS or DNSKEY records; empty: the root's */
    struct str_list scan_networks; /* CIDR */
    struct str_list scan_ports;    /* "443", "8000-8999"; empty: any */
    int scan_rate;                 /* connections a second */
    struct str_list inventory_folders; /* absolute, none below another; the usual ones among them unless they are not wished */
    struct agent_store *inventory_stores;
    size_t n_inventory_stores;
    const char *http01_address;
    int http01_port;
    const char *tls_alpn_address;
    int tls_alpn_port; /* 0: no tls-alpn-01 from this host */
    int workers; /* 1..64: jobs done at a time, besides those that wait for a CA */
    int uid_base; /* 0: the users certwright-agent, certwright-relay and certwright-probe */
    bool share_keys; /* whether apply may seal keys made here to other hosts, and put keys made there */
    int prove_s; /* 1..300: how long a service may take until it shows its new certificate */
    int rest_s;  /* 0..86400: after how long without work a hand ends (os/parent.h: rest_ms) */
};

/* agent_config_parse reads `text`; `file` is what messages call it.  Strings live in ctx->arena. */
RC agent_config_parse(struct ctx *ctx, const char *file, struct bytes text, struct agent_config *out);
/* agent_config_load reads the file and refuses one that others than root or the running user own, or that group or others may
 * write. */
RC agent_config_load(struct ctx *ctx, const char *path, struct agent_config *out);

/* agent_config_command returns the command, or fails with E_NOT_GRANTED and the remedy. */
RC agent_config_command(struct ctx *ctx, const struct agent_config *c, const char *name, const struct agent_command **out);
/* agent_config_credential returns the row, or fails with E_NOT_GRANTED and the remedy. */
RC agent_config_credential(struct ctx *ctx, const struct agent_config *c, const char *name, const struct agent_credential **out);
/* agent_config_dns returns the row of `provider`, or fails with E_NOT_GRANTED and the remedy; also where `name` (lower case, no
 * final dot) is not at or below one of its zones. */
RC agent_config_dns(struct ctx *ctx, const struct agent_config *c, const char *provider, const char *name,
                    const struct agent_dns **out);
/* agent_config_enroll returns the row of `protocol`, or fails with E_NOT_GRANTED and the remedy; so does agent_enroll_check for an
 * identifier ("dns:…", "ip:…") that the row does not grant. */
RC agent_config_enroll(struct ctx *ctx, const struct agent_config *c, const char *protocol, const struct agent_enroll **out);
RC agent_enroll_check(struct ctx *ctx, const struct agent_config *c, const struct agent_enroll *row, const char *identifier);
/* agent_config_channel returns the row, or fails with E_NOT_GRANTED and the remedy; so do agent_channel_reaches for a host that it
 * does not name, and agent_channel_writes for a mail address. */
RC agent_config_channel(struct ctx *ctx, const struct agent_config *c, const char *name, const struct agent_channel **out);
RC agent_channel_reaches(struct ctx *ctx, const struct agent_config *c, const struct agent_channel *row, const char *host,
                         uint16_t port);
RC agent_channel_writes(struct ctx *ctx, const struct agent_config *c, const struct agent_channel *row, const char *address);
/* agent_credential_reaches says whether it may be sent to `host` (lower case) at `port`; `usual` is the port of rows without
 * one. */
bool agent_credential_reaches(const struct agent_credential *c, const char *host, uint16_t port, uint16_t usual);
/* agent_credential_opens says whether `path` (plain, as above) is on or below one of its `paths`. */
bool agent_credential_opens(const struct agent_credential *c, const char *path);
/* agent_config_scan_port says whether a port may be scanned. */
bool agent_config_scan_port(const struct agent_config *c, uint16_t port);
/* agent_config_path_allowed says whether `path` (absolute, no "." or ".." or empty element) is on or below one of `paths`. */
bool agent_config_path_allowed(const struct agent_config *c, const char *path);
/* agent_config_check_path fails with E_NOT_GRANTED and the remedy where it is not. */
RC agent_config_check_path(struct ctx *ctx, const struct agent_config *c, const char *path);

/* agent_file_trusted reads a whole file of at most `max` bytes that must be a regular file owned by root or the running user and
 * writable by its owner alone; E_NOT_GRANTED otherwise. */
RC agent_file_trusted(struct ctx *ctx, const char *path, size_t max, struct bytes *out);

#endif
