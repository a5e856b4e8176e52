/* The state that is wished for as files: what kinds of objects they hold, and how these travel. */
#ifndef CLI_DESIRED_H
#define CLI_DESIRED_H

#include "api/codec.h"
#include "cli/cli.h"

struct desired_kind {
    const char *key; /* of files: "certificates" */
    const char *one; /* in messages */
    const char *path;
    const struct api_schema *made, *patch; /* what makes one, and what of it can change */
    /* What is left to do to make what the API shows like what files say.  NULL: nothing. */
    void (*like_file)(const json_t *seen, json_t *out);
    bool whole;     /* objects in it are replaced whole, not member by member */
    bool built_ins; /* those that are built in can be changed */
    /* Fields of `made` that no file may hold or that cannot be seen, secrets above all; NULL-terminated. */
    const char *const *not_here;
};
/* In the order in which they need each other. */
extern const struct desired_kind desired_kinds[];
extern const size_t desired_kinds_n;

/* desired_teams maps the ids of teams to their names, and "" to that of the one that holds everything. */
RC desired_teams(struct cli *cli, json_t **out);
/* desired_read fetches what there is of a kind: an object by name, each with the fields that files have (`whole` false: without
 * those that are as they would be anyway).  `kept` has the names of those that are never removed, since every installation has them
 * or an agent has found them: true where they do not belong into a file either. */
RC desired_read(struct cli *cli, const struct desired_kind *kind, const json_t *teams, bool whole, json_t **out, json_t **kept);
/* desired_hidden says whether a field of `made` is one that files do not hold. */
bool desired_hidden(const struct desired_kind *kind, const char *field);

/* desired_said drops the members of an object that are as they would be anyway, also within those within it. */
json_t *desired_said(const struct api_schema *schema, const json_t *object);

/* The document of policy is a file of its own beside the others, as it is. */
#define DESIRED_POLICY      "policy.yaml"
#define DESIRED_POLICY_PATH "/api/v1/policy"

#endif
