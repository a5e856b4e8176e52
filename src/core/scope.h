/* Several teams seen as one: the $scope of a list is one value, also where somebody may do something in teams that do not lie
 * within each other.  Its id is made of the ids of the teams; team_within holds what lies below any of them.  One without rows
 * shows nothing. */
#ifndef CORE_SCOPE_H
#define CORE_SCOPE_H

#include "core/access.h"

/* scope_of_teams gives the team itself where there is one, `root` where it is among them, else the id of all of them together; NULL
 * where there is none.  Asks no database. */
RC scope_of_teams(struct ctx *ctx, const char *root, const char **teams, size_t n, const char **out);
/* scope_is_several says that a scope is no team: what is made has to name one. */
bool scope_is_several(const char *scope);

/* scopes_of_user makes the scopes that an account and its tokens need: in the transaction that changes its grants. */
RC scopes_of_user(struct ctx *ctx, struct core *core, struct txn *txn, const char *user_id);
/* scopes_of_all makes those of every account: in the transaction that moves a team or changes a role. */
RC scopes_of_all(struct ctx *ctx, struct core *core, struct txn *txn);
/* scopes_due is the timer "scopes": once a day those end that nobody needs.  scopes_start arms it at the start of the hub. */
RC scopes_due(struct ctx *ctx, struct core *core, struct txn *txn, const char *ref);
RC scopes_start(struct ctx *ctx, struct txn *txn);

#endif
