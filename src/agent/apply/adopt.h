/* Taking a lineage of another ACME client over, and giving it back: what the hand apply does on the disk.
 *
 * Everything that is needed to give back is in state_dir/adoptions/ID before anything is changed: the files of the lineage with
 * owner and mode, and each line that is edited with what it was.  It is of root's, 0600, for it holds the key.
 *
 *     adopting → adopted → releasing → released
 *         └→ (undone at once where it fails)
 *
 * Where a release fails it is adopted again, every file as it was right before.
 *
 * Each step can be done again after kill -9.  The contents go with the last step; what was done is kept, so that it can be told
 * again.  Only below the paths of agent.yaml is anything written, and no link leads out of them. */
#ifndef AGENT_APPLY_ADOPT_H
#define AGENT_APPLY_ADOPT_H

#include "agent/agent_config.h"
#include "base/str.h"

#define ADOPT_FILES_MAX 5
#define ADOPT_SEEN_MAX  ((size_t)256 << 10) /* bytes of the JSON */

/* adopt_look says what an adoption of the lineage known by the file `path` would find and change: `json` is JobAdopted of the API
 * without its services.  E_NOT_GRANTED says what agent.yaml lacks.  `paths` are the lineage's files, as services may name them. */
struct adopt_seen {
    const char *json;
    struct str_list paths;
};
RC adopt_look(struct ctx *ctx, const struct agent_config *cfg, const char *path, struct adopt_seen *out);

/* adopt_begin keeps what is there and switches the other client off.  E_CHANGED where it is not as `digest` (hex, of adopt_look)
 * says any more, E_BUSY while certbot runs.  Done before: nothing. */
RC adopt_begin(struct ctx *ctx, const struct agent_config *cfg, const char *id, int64_t fence, const char *path,
               const char *digest);

/* adopt_release gives back: the files, unless `keep_files`, then the other client's renewal.  `done` says so, line by line;
 * `changed`: a file is another one now, so that its service should read it again.  Files whose links lead elsewhere now, for their
 * client renewed them, stay.  E_NOT_FOUND where nothing is kept of `id`. */
RC adopt_release(struct ctx *ctx, const struct agent_config *cfg, const char *id, int64_t fence, bool keep_files,
                 struct str_list *done, bool *changed);

#endif
