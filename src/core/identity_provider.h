/* OpenID providers and directories: where people may sign in, and what the groups they are in there give them here.
 *
 * They are of no team: whoever changes one can let people in as anybody, so it takes the permission everywhere, and all that its
 * groups give.  What a provider says of itself and its keys are asked for by the hub's own agent alone, whose word is then believed
 * about who somebody is. */
#ifndef CORE_IDENTITY_PROVIDER_H
#define CORE_IDENTITY_PROVIDER_H

#include "base/str.h"
#include "core/core.h"
#include "store/queries.h"

#define IDENTITY_GROUPS_MAX  100
#define IDENTITY_LOOK_S      86400 /* how often its configuration and keys are asked for anyway */
#define IDENTITY_KEYS_PACE_S 60    /* an unknown key has them asked for again, but not more often than this */

struct identity_group {
    const char *name, *role, *team;
};

struct api_directory;
struct identity_provider_input { /* NULL: as it is, or what is usual */
    const char *name, *kind, *issuer, *client_id;
    const struct api_directory *directory; /* all of it */
    const char *credential, *group_claim; /* "": none */
    const struct str_list *scopes, *acr, *amr;
    const struct identity_group *groups;
    size_t groups_n;
    bool has_groups;
    const bool *create_accounts;
    const char *team, *state;
};
RC identity_provider_create(struct ctx *ctx, struct core *core, const struct identity_provider_input *in, const char **id);
/* identity_provider_update changes anything but name and issuer: accounts are bound to these. */
RC identity_provider_update(struct ctx *ctx, struct core *core, const char *ref, int64_t revision,
                            const struct identity_provider_input *in);
/* identity_provider_remove ends what accounts are bound to there, and what its groups gave. */
RC identity_provider_remove(struct ctx *ctx, struct core *core, const char *ref);
RC identity_provider_show(struct ctx *ctx, struct core *core, const char *ref, struct q_identity_provider_get_row *out,
                          struct q_identity_group_list_row **groups, size_t *n);
RC identity_provider_list(struct ctx *ctx, struct core *core, const char *after, int64_t limit,
                          struct q_identity_provider_get_row **rows, size_t *n);
/* identity_provider_open lists the names of those where anybody may sign in: for a page that nobody is known to yet. */
RC identity_provider_open(struct ctx *ctx, struct core *core, struct q_identity_provider_open_row **rows, size_t *n);
/* identity_provider_look has its configuration and keys asked for now. */
RC identity_provider_look(struct ctx *ctx, struct core *core, const char *ref);

/* identity_provider_grant_source is what grants of its groups have as who made them. */
const char *identity_provider_grant_source(struct ctx *ctx, const char *name);

/* identity_provider_directory reads what is kept of a directory, with what is usual where nothing is said. */
RC identity_provider_directory(struct ctx *ctx, const struct q_identity_provider_get_row *row, struct api_directory *out);

/* --- accounts that are bound to what a provider says */

RC identity_bind(struct ctx *ctx, struct core *core, const char *user, const char *provider, const char *subject);
RC identity_of_user(struct ctx *ctx, struct core *core, const char *user, struct q_identity_list_row **rows, size_t *n);
RC identity_unbind(struct ctx *ctx, struct core *core, const char *user, const char *id);

/* --- inside transactions */

/* identity_provider_ask makes a job of the hub's own agent, one of a lane at a time; E_CONFLICT where there is none. */
RC identity_provider_ask(struct ctx *ctx, struct core *core, struct txn *txn, const char *kind, const char *lane,
                         const char *ref, struct bytes payload);
struct checked_result;
RC identity_provider_looked(struct ctx *ctx, struct core *core, struct txn *txn, const struct checked_result *r);
RC identity_provider_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *id);

#endif
