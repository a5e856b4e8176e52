/* What a deployment wants written: each destination with its content, owner and mode, worked out and checked, nothing written. */
#ifndef AGENT_APPLY_STAGE_H
#define AGENT_APPLY_STAGE_H

#include "agent/apply/disk.h"
#include "agent/apply/target.h"

struct stage_file {
    const char *path; /* symbolic links followed */
    struct disk_attr attr;
    struct bytes content; /* empty where the journal no longer keeps it */
    struct bytes sha256;  /* of the content */
};

struct stage {
    struct stage_file files[CONNECTOR_FILES_MAX];
    size_t n;
    bool missing, same;
    struct bytes fingerprint, previous;
};

/* stage_build checks parameters and grants, that the key is the leaf's and the chain in order (E_BAD_CERTIFICATE), and that no two
 * contents go to one file. */
RC stage_build(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct stage *out);

#endif
