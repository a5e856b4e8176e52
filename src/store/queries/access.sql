-- Who may do what: installation, teams, tokens, agents.

-- query installation_get : maybe
-- doc The one row that says which installation this is.
-- out name text, epoch i64, seen_at i64, issued i64, fleet_sha256 blob?, created_at i64
SELECT name, epoch, seen_at, issued, fleet_sha256, created_at FROM installation WHERE one = 1;

-- query installation_watch : exactly
-- doc The latest time the hub knew, and how much the signer had issued.
-- in seen_at i64, issued i64
UPDATE installation SET seen_at = $seen_at, issued = $issued WHERE one = 1;

-- query installation_fleet : exactly
-- doc The fleet CA of this installation, once.
-- in fleet_sha256 blob
UPDATE installation SET fleet_sha256 = $fleet_sha256 WHERE one = 1 AND fleet_sha256 IS NULL;

-- query installation_add : none
-- doc First start: the installation's row; does nothing where it is there.
-- in name text, epoch i64, now i64
INSERT INTO installation (one, name, epoch, created_at) VALUES (1, $name, $epoch, $now) ON CONFLICT DO NOTHING;

-- query team_add : none
-- doc A team; does nothing where its name is there.
-- in id text, parent_id text?, name text, now i64
INSERT INTO team (id, parent_id, name, created_at, number) VALUES ($id, $parent_id, $name, $now, (SELECT COALESCE(MAX(number), 0) + 1 FROM team))
ON CONFLICT (name) DO NOTHING;

-- query team_within_add : none
-- doc States that a team lies within another.
-- in team_id text, ancestor_id text
INSERT INTO team_within (team_id, ancestor_id) VALUES ($team_id, $ancestor_id) ON CONFLICT DO NOTHING;

-- query team_by_name : maybe
-- doc A team by its name.
-- in name text
-- out id text
SELECT id FROM team WHERE name = $name;

-- query team_name : one
-- doc The name of a team.
-- in id text
-- out name text
SELECT name FROM team WHERE id = $id;

-- query team_is_within : maybe
-- doc Whether a team lies within another (or is it).
-- in team_id text, ancestor_id text
-- out found i64
SELECT 1 AS found FROM team_within WHERE team_id = $team_id AND ancestor_id = $ancestor_id;

-- query token_add : none
-- doc A new bearer token: only its hash is kept.
-- in id text, team_id text, name text, role text, agent_id text?, user_id text?, permissions json?, hash blob, spki_sha256 blob?, now i64, expires_at i64
INSERT INTO token (id, team_id, name, role, agent_id, user_id, permissions, hash, spki_sha256, created_at, expires_at)
VALUES ($id, $team_id, $name, $role, $agent_id, $user_id, $permissions, $hash, $spki_sha256, $now, $expires_at);

-- query token_by_hash : maybe
-- doc A token that is neither revoked nor expired, with its role; one for an agent's host ends with the agent, one of an account is good
-- as long as that is active.
-- in hash blob, now i64
-- out id text, team_id text, name text, role text, agent_id text?, user_id text?, permissions json?, expires_at i64, used_at i64?, role_permissions json?
SELECT t.id, t.team_id, t.name, t.role, t.agent_id, t.user_id, t.permissions, t.expires_at, t.used_at,
    r.permissions AS role_permissions
FROM token t LEFT JOIN role r ON r.name = t.role
WHERE t.hash = $hash AND t.revoked_at IS NULL AND t.expires_at > $now
  AND NOT EXISTS (SELECT 1 FROM agent a WHERE a.id = t.agent_id AND a.state = 'removed')
  AND NOT EXISTS (SELECT 1 FROM user_account u WHERE u.id = t.user_id AND u.state <> 'active');

-- query token_used : none
-- doc When a token was last used; written at most once an hour.
-- in id text, now i64
UPDATE token SET used_at = $now WHERE id = $id AND (used_at IS NULL OR used_at < $now - 3600);

-- query token_list : many
-- doc Tokens within a team, newest first.
-- in scope text, after text, limit i64
-- row token_get
SELECT t.id, t.team_id, t.name, t.role, a.name AS agent, u.name AS of_user, t.permissions, t.created_at, t.expires_at, t.used_at, t.revoked_at
FROM token t LEFT JOIN agent a ON a.id = t.agent_id LEFT JOIN user_account u ON u.id = t.user_id
WHERE t.id > $after AND t.role <> 'sign-in-link' AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
ORDER BY t.id LIMIT $limit;

-- query token_get : maybe
-- doc One token within a team, by id or name.
-- in ref text, scope text
-- out id text, team_id text, name text, role text, agent text?, of_user text?, permissions json?, created_at i64, expires_at i64, used_at i64?, revoked_at i64?
SELECT t.id, t.team_id, t.name, t.role, a.name AS agent, u.name AS of_user, t.permissions, t.created_at, t.expires_at, t.used_at, t.revoked_at
FROM token t LEFT JOIN agent a ON a.id = t.agent_id LEFT JOIN user_account u ON u.id = t.user_id
WHERE (t.id = $ref OR (t.name = $ref AND t.revoked_at IS NULL))
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
LIMIT 1;

-- query token_revoke : exactly
-- doc Ends a token.
-- in id text, now i64
UPDATE token SET revoked_at = $now WHERE id = $id AND revoked_at IS NULL;

-- query agent_by_identity : maybe
-- doc An agent by what proves who it is.
-- in identity text
-- out id text, team_id text, name text, state text, boot_id text, boots json, version text, sandbox text, granted json, networks json, address text, trouble text, join_token_id text, seen_at i64
SELECT id, team_id, name, state, boot_id, boots, version, sandbox, granted, networks, address, trouble, join_token_id, seen_at
FROM agent WHERE identity = $identity;

-- query agent_add : none
-- doc A new agent.
-- in id text, team_id text, name text, identity text, state text, version text, platform text, granted json, networks json, address text, join_token_id text, now i64
INSERT INTO agent (id, team_id, name, identity, state, version, platform, capabilities, connectors, sandbox, boot_id, clock_skew_s,
    granted, networks, address, join_token_id, created_at, seen_at)
VALUES ($id, $team_id, $name, $identity, $state, $version, $platform, '[]', '{}', '', '', 0,
    $granted, $networks, $address, $join_token_id, $now, $now);

-- query agent_seen : none
-- doc What an agent said of itself at its start.
-- in id text, version text, platform text, capabilities json, sandbox text, boot_id text, boots json, clock_skew_s i64, address text, now i64
UPDATE agent SET version = $version, platform = $platform, capabilities = $capabilities, sandbox = $sandbox,
    boot_id = $boot_id, boots = $boots, clock_skew_s = $clock_skew_s, address = $address, seen_at = $now
WHERE id = $id;

-- query agent_state : exactly
-- doc An agent's life: pending, active, draining, suspended, removed; what a state before had to say is forgotten.
-- in id text, state text, trouble text
UPDATE agent SET state = $state, trouble = $trouble, boots = '[]' WHERE id = $id;

-- query agent_trouble : none
-- doc What an agent that works has to say of its host; empty where all is well.
-- in id text, trouble text
UPDATE agent SET trouble = $trouble WHERE id = $id AND state IN ('active', 'draining') AND trouble <> $trouble;

-- query agent_gone : exactly
-- doc Ends an agent; its name may be given anew, and its key never comes back.
-- in id text
UPDATE agent SET state = 'removed', trouble = '', name = name || '~' || id WHERE id = $id;

-- query agent_certificate : none
-- doc When the newest fleet certificate of an agent ends.
-- in id text, ends_at i64
UPDATE agent SET certificate_ends_at = $ends_at WHERE id = $id AND certificate_ends_at <> $ends_at;

-- query agent_connectors_set : none
-- doc What an agent's connectors write and run.
-- in id text, connectors json
UPDATE agent SET connectors = $connectors WHERE id = $id;

-- query agent_connectors : one
-- doc What an agent's connectors write and run.
-- in id text
-- out connectors json
SELECT connectors FROM agent WHERE id = $id;

-- query agent_list : many
-- doc Agents within a team.
-- in scope text, after text, limit i64
-- row agent_get
SELECT id, team_id, name, identity, state, version, platform, capabilities, granted, networks, address, sandbox, clock_skew_s, trouble, certificate_ends_at, created_at, seen_at
FROM agent a
WHERE a.id > $after AND a.state <> 'removed' AND a.identity <> 'hub'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY id LIMIT $limit;

-- query agent_list_all : many
-- doc Every agent, for the hub's own memory of when they called.
-- in after text, limit i64
-- out id text, seen_at i64
SELECT id, seen_at FROM agent WHERE id > $after AND state <> 'removed' AND identity <> 'hub' ORDER BY id LIMIT $limit;

-- query agent_get : maybe
-- doc One agent within a team, by id or name.
-- in ref text, scope text
-- out id text, team_id text, name text, identity text, state text, version text, platform text, capabilities json, granted json, networks json, address text, sandbox text, clock_skew_s i64, trouble text, certificate_ends_at i64, created_at i64, seen_at i64
SELECT id, team_id, name, identity, state, version, platform, capabilities, granted, networks, address, sandbox, clock_skew_s, trouble, certificate_ends_at, created_at, seen_at
FROM agent a
WHERE (a.id = $ref OR a.name = $ref) AND a.state <> 'removed'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN a.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query agent_of : one
-- doc What an agent may do, for the hub's own work.
-- in id text
-- out name text, identity text, team_id text, state text, version text, capabilities json, granted json
SELECT name, identity, team_id, state, version, capabilities, granted FROM agent WHERE id = $id;

-- query agent_first : maybe
-- doc The agent that does what names no other: the hub's own, else the oldest active one.
-- out id text, name text
SELECT id, name FROM agent WHERE state = 'active' AND identity <> 'hub'
ORDER BY CASE WHEN identity LIKE 'unix:%' THEN 0 ELSE 1 END, id LIMIT 1;

-- query agent_count : one
-- doc How many agents there are within a team, no further than a number.
-- in scope text, limit i64
-- out n i64
SELECT COUNT(*) AS n FROM (SELECT 1 FROM agent a WHERE a.state <> 'removed' AND a.identity <> 'hub'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope) LIMIT $limit) x;

-- query agent_troubled : many
-- doc Agents within a team that wait for somebody, or have something to say.
-- in scope text, limit i64
-- out id text, name text, state text, trouble text, address text, seen_at i64, clock_skew_s i64
SELECT id, name, state, trouble, address, seen_at, clock_skew_s FROM agent a
WHERE a.state <> 'removed' AND a.identity <> 'hub'
  AND (a.state IN ('pending', 'suspended') OR a.trouble <> '' OR a.clock_skew_s > 120 OR a.clock_skew_s < -120)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.name LIMIT $limit;

-- query agent_targets : many
-- doc The services of an agent's host: found, or entered by hand.
-- in agent_id text, limit i64
-- out id text, name text, connector text
SELECT id, name, connector FROM target WHERE agent_id = $agent_id AND removed_at IS NULL ORDER BY name LIMIT $limit;

-- query agent_serves : maybe
-- doc A managed certificate that is served by a target of this agent.
-- in agent_id text
-- out target text, managed text
SELECT t.name AS target, m.name AS managed FROM target t JOIN managed_target mt ON mt.target_id = t.id
JOIN managed_certificate m ON m.id = mt.managed_id
WHERE t.agent_id = $agent_id AND t.removed_at IS NULL AND m.removed_at IS NULL LIMIT 1;

-- query agent_jobs_open : many
-- doc What an agent holds or was to do.
-- in agent_id text, limit i64
-- out id text, lane text, kind text, ref text, state text, fence i64, tries i64
SELECT id, lane, kind, ref, state, fence, tries FROM job WHERE agent_id = $agent_id AND finished_at IS NULL ORDER BY id LIMIT $limit;

-- query join_token_add : none
-- doc A token that agents may join with.
-- in id text, team_id text, name text, hash blob, uses i64, networks json, name_pattern text, granted json, approval i64, now i64, expires_at i64
INSERT INTO join_token (id, team_id, name, hash, uses, used, networks, name_pattern, granted, approval, created_at, expires_at)
VALUES ($id, $team_id, $name, $hash, $uses, 0, $networks, $name_pattern, $granted, $approval, $now, $expires_at);

-- query join_token_by_hash : maybe
-- doc A join token by its hash, whatever has become of it.
-- in hash blob
-- out id text, team_id text, name text, uses i64, used i64, networks json, name_pattern text, granted json, approval i64, expires_at i64, revoked_at i64?
SELECT id, team_id, name, uses, used, networks, name_pattern, granted, approval, expires_at, revoked_at FROM join_token WHERE hash = $hash;

-- query join_token_use : exactly
-- doc One use less.
-- in id text
UPDATE join_token SET used = used + 1 WHERE id = $id AND used < uses;

-- query join_token_list : many
-- doc Join tokens within a team.
-- in scope text, after text, limit i64
-- row join_token_get
SELECT id, team_id, name, uses, used, networks, name_pattern, granted, approval, created_at, expires_at, revoked_at FROM join_token t
WHERE t.id > $after AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
ORDER BY id LIMIT $limit;

-- query join_token_get : maybe
-- doc One join token within a team, by id or name.
-- in ref text, scope text
-- out id text, team_id text, name text, uses i64, used i64, networks json, name_pattern text, granted json, approval i64, created_at i64, expires_at i64, revoked_at i64?
SELECT id, team_id, name, uses, used, networks, name_pattern, granted, approval, created_at, expires_at, revoked_at FROM join_token t
WHERE (t.id = $ref OR t.name = $ref) AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
LIMIT 1;

-- query join_token_revoke : exactly
-- doc Ends a join token; the agents that joined with it stay.
-- in id text, now i64
UPDATE join_token SET revoked_at = $now WHERE id = $id AND revoked_at IS NULL;

-- query join_token_expire : many
-- doc Retention: join tokens long after their end.
-- in before i64, limit i64
-- out id text
DELETE FROM join_token WHERE id IN (SELECT id FROM join_token WHERE expires_at < $before LIMIT $limit) RETURNING id;

-- query idempotency_get : maybe
-- doc The answer that a request with this key got before.
-- in principal text, key text
-- out request_hash blob, status i64, body text
SELECT request_hash, status, body FROM idempotency WHERE principal = $principal AND key = $key;

-- query idempotency_claim : none
-- doc The request of a key changed an object: written with the change, until its answer is known (status 0).
-- in principal text, key text, request_hash blob, object_id text, now i64
INSERT INTO idempotency (principal, key, request_hash, status, body, created_at)
VALUES ($principal, $key, $request_hash, 0, $object_id, $now);

-- query idempotency_answer : none
-- doc Keeps the answer of a request.
-- in principal text, key text, request_hash blob, status i64, body text, now i64
INSERT INTO idempotency (principal, key, request_hash, status, body, created_at)
VALUES ($principal, $key, $request_hash, $status, $body, $now)
ON CONFLICT (principal, key) DO UPDATE SET status = excluded.status, body = excluded.body;

-- query idempotency_expire : none
-- doc Retention: answers older than a day.
-- in before i64
DELETE FROM idempotency WHERE created_at < $before;

-- query agent_silent_get : maybe
-- doc Since when an agent is known to be silent.
-- in id text
-- out name text, team_id text, state text, seen_at i64, silent_since i64?
SELECT name, team_id, state, seen_at, silent_since FROM agent WHERE id = $id;

-- query agent_silent_known : many
-- doc Agents that were told to be silent.
-- in limit i64
-- out id text, name text, team_id text, state text, seen_at i64
SELECT id, name, team_id, state, seen_at FROM agent WHERE silent_since IS NOT NULL ORDER BY id LIMIT $limit;

-- query agent_silent_set : exactly
-- doc An agent is silent since then, or (NULL) no more.
-- in id text, since i64?
UPDATE agent SET silent_since = $since WHERE id = $id;
