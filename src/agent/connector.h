/* Connector descriptions: how to install a certificate into one kind of service, as data (connectors/NAME.yaml, root-owned).
 *
 *     connector: nginx
 *     description: …
 *     discover: {command: nginx-dump, reader: nginx}          # offers targets; agent/find.h says how to do without a reader
 *     parameters:
 *       certificate: {type: path, required: true, description: …}
 *     files:                                                   # what to write, in this order
 *       - {content: fullchain, path: certificate, mode: "0644"}
 *       - {content: key, path: key, mode: "0600", owner: owner}
 *       - {content: pkcs12, path: keystore, mode: "0600", password: password_file, alias: alias}
 *     check: nginx-check             # a command of agent.yaml; "{name}": the command that the parameter names, or its default
 *     reload: nginx-reload
 *     send: …                        # instead of reload: what is said over the service's Unix socket (agent/send_desc.h)
 *     challenge: nginx               # http-01: nginx, webroot or listener
 *
 * `path`, `owner`, `group`, `mode`, `password` and `alias` of a file name parameters; a file whose path parameter is not given is
 * not written.  A closed schema: anything else is refused with file, line and reason.  The hub never sends any of this (invariant
 * 5). */
#ifndef AGENT_CONNECTOR_H
#define AGENT_CONNECTOR_H

#include <pthread.h>

#include "agent/agent_config.h"
#include "base/json.h"

/* The last six are for targets without an agent on their host (agent/push_desc.h). */
enum connector_type { PARAM_PATH, PARAM_COMMAND, PARAM_USER, PARAM_GROUP, PARAM_MODE, PARAM_NAME,
                      PARAM_URL, PARAM_HOST, PARAM_TEXT, PARAM_NUMBER, PARAM_WORD, PARAM_CREDENTIAL };
/* From CONTENT_PKCS12 on: under a password (pki/container.h). */
enum connector_content { CONTENT_FULLCHAIN, CONTENT_LEAF, CONTENT_CHAIN, CONTENT_KEY, CONTENT_COMBINED, CONTENT_ROOT,
                         CONTENT_LEAF_DER, CONTENT_KEY_DER, CONTENT_PKCS12, CONTENT_PKCS12_LEGACY, CONTENT_JKS };
enum connector_challenge { CHALLENGE_NONE, CHALLENGE_NGINX, CHALLENGE_WEBROOT, CHALLENGE_LISTENER };

struct connector_param {
    const char *name;
    const char *description;
    enum connector_type type;
    bool required;
    const char *default_value; /* of a command, or of the last six types; NULL: none */
};

struct connector_file {
    enum connector_content content;
    const char *path_param;
    const char *owner_param, *group_param, *mode_param; /* NULL: none */
    unsigned mode;                                      /* where no parameter says another and the file was not there */
    const char *password_param; /* of what is under a password: a path, of the file that holds it; else NULL */
    const char *alias_param;    /* the name of the entry in it; NULL: none */
};

#define CONNECTOR_PARAMS_MAX 32
#define CONNECTOR_FILES_MAX 16
struct connector {
    const char *name;
    const char *description;
    const char *discover_command; /* NULL: finds nothing by itself */
    struct find_desc *find;       /* how its places are found (agent/find.h); NULL: by a reader of their own */
    struct connector_param params[CONNECTOR_PARAMS_MAX];
    size_t n_params;
    struct connector_file files[CONNECTOR_FILES_MAX];
    size_t n_files;
    const char *check, *reload; /* NULL: none */
    struct send_desc *send;     /* instead of reload: steps over the service's socket (agent/send_desc.h); NULL: none */
    enum connector_challenge challenge;
    struct push_desc *relay; /* steps over HTTPS or SSH, for a target without an agent on its host; NULL: files on this one */
    uint8_t digest[32]; /* SHA-256 of the description, as installed; zero from connector_parse */
};

struct yaml;
/* connector_read_params reads the member `parameters` of a description; what is without an agent has it too (agent/dns_desc.h). */
RC connector_read_params(struct ctx *ctx, const struct yaml *y, struct connector *c);

const char *connector_content_name(enum connector_content content);
bool connector_content_has_key(enum connector_content content);

/* connector_parse reads a description; `file` is for messages. */
RC connector_parse(struct ctx *ctx, const char *file, struct bytes text, struct connector *out);
/* connector_load finds `name` among those agent.yaml allows, reads its file from the connectors' folder. */
RC connector_load(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct connector *out);
/* connector_use is connector_load for what is done for each certificate: the file is read and looked at as ever, but a text that is
 * on cfg->shelf is not parsed again.  Threads may share a shelf; what it keeps lives until connector_shelf_free. */
struct connector_shelf {
    pthread_mutex_t lock;
    struct connector_kept *first;
    size_t n;
};
#define CONNECTOR_SHELF_INIT {.lock = PTHREAD_MUTEX_INITIALIZER}
RC connector_use(struct ctx *ctx, const struct agent_config *cfg, const char *name, struct connector *out);
void connector_shelf_free(struct connector_shelf *shelf);
/* connectors_tell logs a warning for each connector of agent.yaml that cannot be used, with what is wrong. */
void connectors_tell(struct ctx *ctx, const struct agent_config *cfg);

/* connector_check_params checks parameters (a JSON object of strings) against the description and the grants of agent.yaml: known,
 * of their type, required ones there.  The failure's field is "/parameters/NAME". */
RC connector_check_params(struct ctx *ctx, const struct agent_config *cfg, const struct connector *c, const json_t *params);
/* connector_find returns the description of a parameter, NULL where there is none of that name. */
const struct connector_param *connector_find(const struct connector *c, const char *name);
/* connector_param returns the value of a parameter, NULL where it is not given or empty. */
const char *connector_param(const json_t *params, const char *name);
/* connector_command works out which command of agent.yaml `spec` (check or reload) means; NULL for none. */
const char *connector_command(const json_t *params, const char *spec);

#endif
