-- Teams, accounts, roles, grants, and the scopes that several teams make together.

-- query team_root : maybe
-- doc The team that holds everything.
-- out id text, name text
SELECT id, name FROM team WHERE parent_id IS NULL AND removed_at IS NULL ORDER BY number LIMIT 1;

-- query team_show : maybe
-- doc A team within a scope, by id or name; what it lies in as far as the scope knows.
-- in ref text, scope text
-- out id text, name text, parent_id text?, parent text?, revision i64, created_at i64
SELECT t.id, t.name, p.id AS parent_id, p.name AS parent, t.revision, t.created_at FROM team t
LEFT JOIN team p ON p.id = t.parent_id AND EXISTS (SELECT 1 FROM team_within v WHERE v.team_id = p.id AND v.ancestor_id = $scope)
WHERE (t.id = $ref OR (t.name = $ref AND t.removed_at IS NULL)) AND t.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN t.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query team_list : many
-- doc Teams within a scope.
-- in scope text, after text, limit i64
-- row team_show
SELECT t.id, t.name, p.id AS parent_id, p.name AS parent, t.revision, t.created_at FROM team t
LEFT JOIN team p ON p.id = t.parent_id AND EXISTS (SELECT 1 FROM team_within v WHERE v.team_id = p.id AND v.ancestor_id = $scope)
WHERE t.id > $after AND t.removed_at IS NULL AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.id AND w.ancestor_id = $scope)
ORDER BY t.id LIMIT $limit;

-- query team_insert : none
-- doc A new team; a name that is there is refused.
-- in id text, parent_id text, name text, now i64
INSERT INTO team (id, parent_id, name, created_at, number)
VALUES ($id, $parent_id, $name, $now, (SELECT COALESCE(MAX(number), 0) + 1 FROM team));

-- query team_update : exactly
-- doc Another name, or another team above it.
-- in id text, revision i64, name text, parent_id text?
UPDATE team SET name = $name, parent_id = $parent_id, revision = revision + 1
WHERE id = $id AND revision = $revision AND removed_at IS NULL;

-- query team_parent : one
-- doc The team above one; NULL: it is the one that holds everything.
-- in id text
-- out parent_id text?
SELECT parent_id FROM team WHERE id = $id;

-- query team_remove : exactly
-- doc Ends a team; its name may be given anew.  Its row stays, for what was in it and for its audit entries.
-- in id text, now i64
UPDATE team SET removed_at = $now, name = name || '~' || id WHERE id = $id AND removed_at IS NULL AND parent_id IS NOT NULL;

-- query team_within_end : none
-- doc A team that was removed is not within itself: nothing is found there.
-- in id text
DELETE FROM team_within WHERE team_id = $id AND ancestor_id = $id;

-- query team_within_cut : none
-- doc Takes a team, with all within it, out of what it lies in.
-- in team_id text
DELETE FROM team_within WHERE team_id IN (SELECT s.team_id FROM team_within s WHERE s.ancestor_id = $team_id)
  AND ancestor_id IN (SELECT a.ancestor_id FROM team_within a WHERE a.team_id = $team_id AND a.ancestor_id <> $team_id);

-- query team_within_join : none
-- doc Puts a team, with all within it, into another one and all that this one lies in.
-- in team_id text, parent_id text
INSERT INTO team_within (team_id, ancestor_id)
SELECT s.team_id, a.ancestor_id FROM team_within s CROSS JOIN team_within a WHERE s.ancestor_id = $team_id AND a.team_id = $parent_id
ON CONFLICT DO NOTHING;

-- query team_has : many
-- doc What is in a team itself, by its kind.
-- in id text, now i64, limit i64
-- out kind text, name text
SELECT kind, name FROM (
    SELECT 'team' AS kind, name FROM team WHERE parent_id = $id AND removed_at IS NULL
    UNION ALL SELECT 'user', name FROM user_account WHERE team_id = $id AND state <> 'removed'
    UNION ALL SELECT 'grant to', u.name FROM access_grant g JOIN user_account u ON u.id = g.user_id WHERE g.team_id = $id
    UNION ALL SELECT 'token', name FROM token WHERE team_id = $id AND revoked_at IS NULL AND expires_at > $now
    UNION ALL SELECT 'join token', name FROM join_token WHERE team_id = $id AND revoked_at IS NULL AND expires_at > $now
    UNION ALL SELECT 'agent', name FROM agent WHERE team_id = $id AND state <> 'removed'
    UNION ALL SELECT 'issuer', name FROM issuer WHERE team_id = $id AND removed_at IS NULL
    UNION ALL SELECT 'profile', name FROM profile WHERE team_id = $id AND removed_at IS NULL
    UNION ALL SELECT 'target', name FROM target WHERE team_id = $id AND removed_at IS NULL
    UNION ALL SELECT 'managed certificate', name FROM managed_certificate WHERE team_id = $id AND removed_at IS NULL
    UNION ALL SELECT 'DNS provider', name FROM dns_provider WHERE team_id = $id AND removed_at IS NULL
    UNION ALL SELECT 'collection', name FROM collection WHERE team_id = $id
    UNION ALL SELECT 'scan', name FROM scan WHERE team_id = $id
    UNION ALL SELECT 'request that waits', object_name FROM request WHERE team_id = $id AND state = 'waiting'
    UNION ALL SELECT 'rule', name FROM rule WHERE team_id = $id
    UNION ALL SELECT 'certificates in the inventory', '' FROM team t WHERE t.id = $id AND EXISTS (SELECT 1 FROM certificate c WHERE c.team = t.number)
    UNION ALL SELECT 'endpoints, e.g.', e.place FROM endpoint e
        WHERE e.id = (SELECT MIN(f.id) FROM endpoint f WHERE f.team = (SELECT t.number FROM team t WHERE t.id = $id))) x
LIMIT $limit;

-- query user_add : none
-- doc A new account.
-- in id text, team_id text, kind text, name text, display_name text, email text, now i64
INSERT INTO user_account (id, team_id, kind, name, display_name, email, state, revision, created_at, updated_at)
VALUES ($id, $team_id, $kind, $name, $display_name, $email, 'active', 1, $now, $now);

-- query user_get : maybe
-- doc An account by id or name, of a team within the scope or with a grant there; its team as far as the scope knows.
-- in ref text, scope text
-- out id text, team_id text, team text?, kind text, name text, display_name text, email text, state text, revision i64, created_at i64, updated_at i64
SELECT u.id, u.team_id, t.name AS team, u.kind, u.name, u.display_name, u.email, u.state, u.revision, u.created_at, u.updated_at
FROM user_account u
LEFT JOIN team t ON t.id = u.team_id AND EXISTS (SELECT 1 FROM team_within v WHERE v.team_id = t.id AND v.ancestor_id = $scope)
WHERE (u.id = $ref OR u.name = $ref) AND u.state <> 'removed' AND (t.id IS NOT NULL OR EXISTS (
    SELECT 1 FROM access_grant g JOIN team_within w ON w.team_id = g.team_id WHERE g.user_id = u.id AND w.ancestor_id = $scope))
ORDER BY CASE WHEN u.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query user_list : many
-- doc Accounts of teams within the scope or with a grant there.
-- in scope text, after text, limit i64
-- row user_get
SELECT u.id, u.team_id, t.name AS team, u.kind, u.name, u.display_name, u.email, u.state, u.revision, u.created_at, u.updated_at
FROM user_account u
LEFT JOIN team t ON t.id = u.team_id AND EXISTS (SELECT 1 FROM team_within v WHERE v.team_id = t.id AND v.ancestor_id = $scope)
WHERE u.id > $after AND u.state <> 'removed' AND (t.id IS NOT NULL OR EXISTS (
    SELECT 1 FROM access_grant g JOIN team_within w ON w.team_id = g.team_id WHERE g.user_id = u.id AND w.ancestor_id = $scope))
ORDER BY u.id LIMIT $limit;

-- query user_by_id : maybe
-- doc An account by its id, whoever asks.
-- in id text
-- out id text, team_id text, kind text, name text, display_name text, email text, state text, revision i64
SELECT id, team_id, kind, name, display_name, email, state, revision FROM user_account WHERE id = $id AND state <> 'removed';

-- query user_update : exactly
-- doc New words for an account, or another state.
-- in id text, revision i64, display_name text, email text, state text, now i64
UPDATE user_account SET email_verified = CASE WHEN email = $email THEN email_verified ELSE '' END,
    display_name = $display_name, email = $email, state = $state, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND state <> 'removed';

-- query user_remove : exactly
-- doc Ends an account: what says who it was is gone, its name may be given anew.
-- in id text, now i64
UPDATE user_account SET state = 'removed', name = name || '~' || id, display_name = '', email = '', email_verified = '', revision = revision + 1, updated_at = $now
WHERE id = $id AND state <> 'removed';

-- query user_tokens_end : none
-- doc Ends the tokens of an account.
-- in user_id text, now i64
UPDATE token SET revoked_at = $now WHERE user_id = $user_id AND revoked_at IS NULL;

-- query user_grants_end : none
-- doc Takes all grants of an account back.
-- in user_id text
DELETE FROM access_grant WHERE user_id = $user_id;

-- query grant_add : none
-- doc Gives an account a role in a team.
-- in id text, user_id text, role_id text, team_id text, source text, created_by text, now i64
INSERT INTO access_grant (id, user_id, role_id, team_id, source, created_by, created_at)
VALUES ($id, $user_id, $role_id, $team_id, $source, $created_by, $now);

-- query grant_list : many
-- doc The grants of an account within a scope.
-- in user_id text, scope text, limit i64
-- out id text, role text, team_id text, team text, source text, created_by text, created_at i64
SELECT g.id, r.name AS role, g.team_id, t.name AS team, g.source, g.created_by, g.created_at
FROM access_grant g JOIN role r ON r.id = g.role_id JOIN team t ON t.id = g.team_id
WHERE g.user_id = $user_id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = g.team_id AND w.ancestor_id = $scope)
ORDER BY g.id LIMIT $limit;

-- query grant_remove : exactly
-- doc Takes a grant back.
-- in id text
DELETE FROM access_grant WHERE id = $id;

-- query grants_of_user : many
-- doc What an account may do, and where.
-- in user_id text, limit i64
-- out team_id text, role text, permissions json
SELECT g.team_id, r.name AS role, r.permissions FROM access_grant g JOIN role r ON r.id = g.role_id
WHERE g.user_id = $user_id ORDER BY g.id LIMIT $limit;

-- query grants_of_user_in : many
-- doc What an account may do within a team: the part of each grant that lies there.
-- in user_id text, team_id text, limit i64
-- row grants_of_user
SELECT CASE WHEN i.team_id IS NOT NULL THEN g.team_id ELSE $team_id END AS team_id, r.name AS role, r.permissions
FROM access_grant g JOIN role r ON r.id = g.role_id
LEFT JOIN team_within i ON i.team_id = g.team_id AND i.ancestor_id = $team_id
LEFT JOIN team_within o ON o.team_id = $team_id AND o.ancestor_id = g.team_id
WHERE g.user_id = $user_id AND (i.team_id IS NOT NULL OR o.team_id IS NOT NULL) ORDER BY g.id LIMIT $limit;

-- query administrators : one
-- doc People who are administrators of a team, and may sign in.
-- in team_id text, role text
-- out n i64
SELECT COUNT(DISTINCT u.id) AS n FROM access_grant g JOIN role r ON r.id = g.role_id JOIN user_account u ON u.id = g.user_id
WHERE g.team_id = $team_id AND r.name = $role AND u.kind = 'person' AND u.state = 'active';

-- query users_granted_often : many
-- doc Accounts with several grants: what they see may be several teams as one.
-- in after text, limit i64
-- out id text
SELECT u.id FROM user_account u WHERE u.id > $after AND u.state <> 'removed'
  AND (SELECT COUNT(*) FROM access_grant g WHERE g.user_id = u.id) > 1
ORDER BY u.id LIMIT $limit;

-- query tokens_of_user : many
-- doc The tokens of an account that are good: where they are good, and what for.
-- in user_id text, now i64, limit i64
-- out team_id text, role_permissions json, permissions json?
SELECT t.team_id, r.permissions AS role_permissions, t.permissions FROM token t JOIN role r ON r.name = t.role
WHERE t.user_id = $user_id AND t.revoked_at IS NULL AND t.expires_at > $now ORDER BY t.id LIMIT $limit;

-- query scope_add : none
-- doc Teams that are seen as one.
-- in id text, teams json, now i64
INSERT INTO access_scope (id, teams, used_at) VALUES ($id, $teams, $now) ON CONFLICT (id) DO UPDATE SET used_at = excluded.used_at;

-- query scope_fill : none
-- doc What lies within a team lies within the scope.
-- in scope text, team_id text
INSERT INTO team_within (team_id, ancestor_id) SELECT w.team_id, $scope FROM team_within w WHERE w.ancestor_id = $team_id ON CONFLICT DO NOTHING;

-- query scope_empty : none
-- doc Nothing lies within a scope.
-- in scope text
DELETE FROM team_within WHERE ancestor_id = $scope;

-- query scopes_unused : many
-- doc Scopes that no grant has needed since.
-- in before i64, limit i64
-- out id text
SELECT id FROM access_scope WHERE used_at < $before LIMIT $limit;

-- query scope_remove : none
-- doc Ends a scope.
-- in id text
DELETE FROM access_scope WHERE id = $id;

-- query role_put : none
-- doc A built-in role, as this build has it.
-- in id text, name text, description text, permissions json, now i64
INSERT INTO role (id, name, description, built_in, permissions, revision, created_at, updated_at)
VALUES ($id, $name, $description, 1, $permissions, 1, $now, $now)
ON CONFLICT (name) DO UPDATE SET description = excluded.description, built_in = 1, permissions = excluded.permissions, revision = role.revision + 1,
    updated_at = excluded.updated_at
WHERE role.permissions <> excluded.permissions OR role.description <> excluded.description OR role.built_in <> 1;

-- query role_add : none
-- doc A new role.
-- in id text, name text, description text, permissions json, now i64
INSERT INTO role (id, name, description, built_in, permissions, revision, created_at, updated_at)
VALUES ($id, $name, $description, 0, $permissions, 1, $now, $now);

-- query role_get : maybe
-- doc A role by id or name.
-- in ref text
-- out id text, name text, description text, built_in bool, permissions json, revision i64, created_at i64, updated_at i64
SELECT id, name, description, built_in, permissions, revision, created_at, updated_at FROM role WHERE id = $ref OR name = $ref
ORDER BY CASE WHEN id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query role_list : many
-- doc All roles.
-- in after text, limit i64
-- row role_get
SELECT id, name, description, built_in, permissions, revision, created_at, updated_at FROM role WHERE id > $after ORDER BY id LIMIT $limit;

-- query role_update : exactly
-- doc Other permissions, or another description.
-- in id text, revision i64, description text, permissions json, now i64
UPDATE role SET description = $description, permissions = $permissions, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND built_in = 0;

-- query role_remove : exactly
-- doc Ends a role that nobody has.
-- in id text
DELETE FROM role WHERE id = $id AND built_in = 0;

-- query role_used : one
-- doc How many grants and tokens have a role.
-- in id text, name text, now i64
-- out grants i64, tokens i64
SELECT (SELECT COUNT(*) FROM access_grant WHERE role_id = $id) AS grants,
    (SELECT COUNT(*) FROM token WHERE role = $name AND revoked_at IS NULL AND expires_at > $now) AS tokens;
