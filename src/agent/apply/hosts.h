/* The certificates that lie on this host: what job "inventory" reads (agent/inventory_job.h).
 *
 * Folders of agent.yaml (agent_config: inventory_folders) are walked, and files that services name are looked at; nothing is
 * written, and of a file that holds keys only its certificates leave apply.  A walk is cut into batches; it holds nothing between
 * them.  What is not read: links that lead out of the folder that is walked, what is no regular file, hashed links and bundles that
 * the system makes of its own store, files that are only one more form of a lineage, and files named otherwise than certificates
 * are that do not begin with one. */
#ifndef AGENT_APPLY_HOSTS_H
#define AGENT_APPLY_HOSTS_H

#include "agent/agent_config.h"

#define HOSTS_FILE_MAX    ((size_t)1 << 20)  /* a larger one is told and not read */
#define HOSTS_CERTS_MAX   32                 /* of one file; those behind are counted */
#define HOSTS_DEPTH_MAX   12
#define HOSTS_ENTRIES_MAX 10000              /* of one folder; those behind (by name) are left out, which is told */
#define HOSTS_BATCH_FILES 1000               /* looked at */
#define HOSTS_BATCH_READ  ((size_t)32 << 20) /* bytes read */
#define HOSTS_BATCH_JSON  ((size_t)2 << 20)

struct hosts_ask {
    const char *const *files;    /* that services name; absolute */
    const char *const *services; /* the connector of each */
    size_t n;
    const char *after; /* what the batch before said; "" at first */
};

struct hosts_batch {
    const char *json;  /* HostBatch of the API */
    const char *after; /* "" : this was the last */
    int64_t looked, told, certificates;
};

/* hosts_look makes the next batch. */
RC hosts_look(struct ctx *ctx, const struct agent_config *cfg, const struct hosts_ask *ask, struct hosts_batch *out);
/* hosts_store says whether a folder or a file below it is of the system's own store of trusted certificates. */
bool hosts_store(const char *path);

#endif
