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
    struct bytes fingerprint, previous, serial;
    /* A target without an agent on its host (agent/apply/push.h): no files, but what its contents are made of. */
    bool relay;
    const char *connector, *attempt, *chain_pem, *roots_pem;
    struct bytes keep_for, keep_key; /* the two halves of the key that is for what the relay reads there */
};

/* stage_build checks parameters and grants, that the key is the leaf's and the chain in order (E_BAD_CERTIFICATE), and that no two
 * contents go to one file. */
RC stage_build(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, struct stage *out);
/* stage_content makes one content by its word ("fullchain", …); containers are under `passphrase`. */
RC stage_content(struct ctx *ctx, const struct agent_config *cfg, const struct stage_wish *wish, const char *word,
                 const char *passphrase, struct bytes *out);

#endif
