/* What taking a lineage over would find and change (agent/apply/adopt.h): everything is read, nothing written. */
#ifndef AGENT_APPLY_ADOPT_LOOK_H
#define AGENT_APPLY_ADOPT_LOOK_H

#include "agent/adopt_edit.h"
#include "agent/agent_config.h"
#include "agent/apply/adopt.h"
#include "agent/apply/disk.h"
#include "base/json.h"

/* One file of a lineage. */
struct adopt_file {
    const char *content; /* as the connector `files` calls it */
    const char *path;    /* as the client names it */
    const char *real;    /* links followed */
    struct disk_attr attr;
    struct bytes data;
};

struct adopt_plan {
    struct lineage is;
    struct adopt_file files[ADOPT_FILES_MAX];
    size_t n_files;
    struct adopt_edit edits[ADOPT_EDITS_MAX];
    size_t n_edits;
    struct str_list by_hand, notes, missing;
    struct bytes leaf;
    const char *digest;
    const char *earlier; /* the record of an adoption that the hub knows nothing of; NULL: none */
};

/* adopt_see fills it.  E_NOT_GRANTED says what agent.yaml lacks; E_NOT_FOUND where the lineage is not there. */
RC adopt_see(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct adopt_plan *out);

/* adopt_earlier takes what is to be undone from what this host keeps of an earlier adoption of the same files
 * (agent/apply/adopt.c); for a lineage that is switched off already. */
RC adopt_earlier(struct ctx *ctx, const struct agent_config *cfg, struct adopt_plan *l);

const char *adopt_folder(struct ctx *ctx, const char *path); /* that a file is in; "" where its path has none */
void adopt_put_texts(struct json_out *j, const char *key, const struct str_list *l);

#endif
