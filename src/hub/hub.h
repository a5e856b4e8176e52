/* What the hub's faces share: one a process. */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/core.h"
#include "net/http_server.h"

/* Names of the hub's listeners: what each of them may reach is in the table of routes, and in api.c. */
#define HUB_LISTENER_ADMIN "admin"   /* Unix socket: root and the hub's own user are administrators */
#define HUB_LISTENER_AGENT "agent"   /* Unix socket: agents, known by their user id */
#define HUB_LISTENER_FLEET "fleet"   /* mutual TLS: agents on other hosts, known by the key that was enrolled */
#define HUB_LISTENER_HTTPS "https"
#define HUB_LISTENER_STATUS "status" /* plain HTTP: CRLs, CA certificates, health */

/* What is published for everybody, kept in memory: made anew by status.c when it is due. */
#define HUB_PUBLISHED_MAX 64
struct hub_published {
    char name[68];    /* file name: "issuing.crl" */
    uint8_t *data;    /* heap */
    size_t n;
    int64_t fresh_until;
};

struct hub_backup;
struct hub {
    struct core *core;
    struct hub_backup *backup;      /* makes backups (hub/backup.h); NULL: none */
    struct http_server *server;     /* set before the first request is parked */
    struct http_server *fleet;      /* of the agents' listener, apart: ten thousand of them must not take people's connections */
    const int64_t *admin_uids;      /* administrators on the admin socket, besides root and our own user */
    size_t admin_uids_n;
    bool client_keys;               /* https asks for a certificate: an enrolled key is as good as a token */
    int64_t https_port;             /* where people's browsers come; 0: nowhere */
    const char *sandbox;            /* what confines us, as status shows it */
    int64_t started_at;
    atomic_bool draining;           /* /readyz answers 503 */

    pthread_mutex_t published_lock;
    struct hub_published published[HUB_PUBLISHED_MAX];
    size_t published_n;

    const struct hub_tls_settings *tls;
    int64_t tls_not_after, tls_renew_at; /* of what is presented now */
    int64_t fleet_renew_at;
    const char *fleet_root_pem;     /* told to everybody who asks; heap, constant from before the agents' listener is served */
    int64_t tls_files_mtime;
};

/* hub_handle is the handler of all listeners; `arg` is the struct hub. */
http_handler hub_handle;
/* hub_wake wakes what waits for `key`: core's wake function, `arg` is the struct hub. */
void hub_wake(void *arg, const char *key);

/* The hub's own HTTPS certificate (tls.c). */
struct hub_tls_settings {
    const char *certificate_file; /* PEM, leaf first; with key_file: used instead of the fleet CA, and swapped when they change */
    const char *key_file;
    const char *const *dns_names; /* names and addresses that people use for the hub */
    size_t dns_names_n;
    const struct bytes *ip_addresses; /* 4 or 16 bytes each */
    size_t ip_addresses_n;
};
/* hub_tls_make makes what the HTTPS listener presents: a key made here and never written, with a certificate of the fleet CA; or
 * what the files hold. */
RC hub_tls_make(struct ctx *ctx, struct hub *hub, struct tls_server_ctx **out);
/* hub_tls_fleet makes what agents see: always of the fleet CA, and it is that CA alone that their certificates are of. */
RC hub_tls_fleet(struct ctx *ctx, struct hub *hub, struct tls_server_ctx **out);
/* hub_tls_tick swaps it where it is due (daily) or the files changed; called every minute or so. */
RC hub_tls_tick(struct ctx *ctx, struct hub *hub);

#endif
