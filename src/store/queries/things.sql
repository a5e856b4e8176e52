-- Issuers, profiles and targets: what managed certificates refer to.

-- query issuer_add : none
-- doc A new issuer.
-- in id text, team_id text, name text, kind text, settings json, now i64
INSERT INTO issuer (id, team_id, name, kind, settings, failures, revision, created_at, updated_at)
VALUES ($id, $team_id, $name, $kind, $settings, 0, 1, $now, $now);

-- query issuer_get : maybe
-- doc One issuer within a team, by id or name, or of one above it: those below use it.
-- in ref text, scope text
-- out id text, team_id text, name text, kind text, settings json, account_url text?, failures i64, last_error text?, retry_at i64?, revision i64, created_at i64, updated_at i64
SELECT id, team_id, name, kind, settings, account_url, failures, last_error, retry_at, revision, created_at, updated_at FROM issuer i
WHERE (i.id = $ref OR (i.name = $ref AND i.removed_at IS NULL)) AND i.removed_at IS NULL
  AND (EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = i.team_id AND w.ancestor_id = $scope) OR EXISTS (
    SELECT 1 FROM team_within m JOIN team_within w ON w.team_id = m.team_id WHERE m.ancestor_id = $scope AND w.ancestor_id = i.team_id))
LIMIT 1;

-- query issuer_by_id : one
-- doc One issuer, for the hub's own work.
-- in id text
-- out id text, team_id text, name text, kind text, settings json, account_url text?, failures i64, retry_at i64?, removed_at i64?
SELECT id, team_id, name, kind, settings, account_url, failures, retry_at, removed_at FROM issuer WHERE id = $id;

-- query issuer_list : many
-- doc Issuers within a team, or of one above it: those below use it.
-- in scope text, after text, limit i64
-- row issuer_get
SELECT id, team_id, name, kind, settings, account_url, failures, last_error, retry_at, revision, created_at, updated_at FROM issuer i
WHERE i.id > $after AND i.removed_at IS NULL
  AND (EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = i.team_id AND w.ancestor_id = $scope) OR EXISTS (
    SELECT 1 FROM team_within m JOIN team_within w ON w.team_id = m.team_id WHERE m.ancestor_id = $scope AND w.ancestor_id = i.team_id))
ORDER BY id LIMIT $limit;

-- query issuer_update : exactly
-- doc New settings for an issuer whose revision is the one seen.
-- in id text, settings json, revision i64, now i64
UPDATE issuer SET settings = $settings, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND removed_at IS NULL;

-- query issuer_account : none
-- doc The account URL that an ACME server gave us.
-- in id text, account_url text
UPDATE issuer SET account_url = $account_url WHERE id = $id AND (account_url IS NULL OR account_url <> $account_url);

-- query issuer_used : maybe
-- doc Whether a managed certificate still names the issuer.
-- in id text
-- out name text
SELECT m.name FROM managed_issuer mi JOIN managed_certificate m ON m.id = mi.managed_id
WHERE mi.issuer_id = $id AND m.removed_at IS NULL LIMIT 1;

-- query issuer_remove : exactly
-- doc Removes an issuer; what it issued stays.
-- in id text, now i64
UPDATE issuer SET removed_at = $now WHERE id = $id AND removed_at IS NULL;

-- query issuer_failing : many
-- doc Issuers that failed and have not worked since.
-- in scope text, limit i64
-- out id text, name text, failures i64, last_error text?, retry_at i64?
SELECT id, name, failures, last_error, retry_at FROM issuer i WHERE i.failures > 0 AND i.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = i.team_id AND w.ancestor_id = $scope)
ORDER BY name LIMIT $limit;

-- query profile_add : none
-- doc A new profile; does nothing where the name is there.
-- in id text, team_id text, name text, settings json, now i64
INSERT INTO profile (id, team_id, name, settings, revision, created_at, updated_at)
VALUES ($id, $team_id, $name, $settings, 1, $now, $now);

-- query profile_get : maybe
-- doc One profile within a team, by id or name, or of one above it: those below use it.
-- in ref text, scope text
-- out id text, team_id text, name text, settings json, revision i64, created_at i64, updated_at i64
SELECT id, team_id, name, settings, revision, created_at, updated_at FROM profile p
WHERE (p.id = $ref OR (p.name = $ref AND p.removed_at IS NULL)) AND p.removed_at IS NULL
  AND (EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = p.team_id AND w.ancestor_id = $scope) OR EXISTS (
    SELECT 1 FROM team_within m JOIN team_within w ON w.team_id = m.team_id WHERE m.ancestor_id = $scope AND w.ancestor_id = p.team_id))
LIMIT 1;

-- query profile_list : many
-- doc Profiles within a team, or of one above it: those below use it.
-- in scope text, after text, limit i64
-- row profile_get
SELECT id, team_id, name, settings, revision, created_at, updated_at FROM profile p
WHERE p.id > $after AND p.removed_at IS NULL
  AND (EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = p.team_id AND w.ancestor_id = $scope) OR EXISTS (
    SELECT 1 FROM team_within m JOIN team_within w ON w.team_id = m.team_id WHERE m.ancestor_id = $scope AND w.ancestor_id = p.team_id))
ORDER BY id LIMIT $limit;

-- query profile_update : exactly
-- doc New settings for a profile whose revision is the one seen.
-- in id text, settings json, revision i64, now i64
UPDATE profile SET settings = $settings, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND removed_at IS NULL;

-- query profile_used : maybe
-- doc Whether a managed certificate still names the profile, of which `member` is how it stands in a wish: "profile":"NAME".
-- in member text
-- out name text
SELECT name FROM managed_certificate WHERE REPLACE(wish, $member, '') <> wish AND removed_at IS NULL LIMIT 1;

-- query profile_remove : exactly
-- doc Removes a profile.
-- in id text, now i64
UPDATE profile SET removed_at = $now WHERE id = $id AND removed_at IS NULL;

-- query target_add : none
-- doc A new target.
-- in id text, team_id text, agent_id text, name text, connector text, parameters json, parameters_hash blob, endpoints json, names json, description text, windows json, found i64, now i64
INSERT INTO target (id, team_id, agent_id, name, connector, parameters, parameters_hash, endpoints, names, description, windows, found, revision, created_at, updated_at)
VALUES ($id, $team_id, $agent_id, $name, $connector, $parameters, $parameters_hash, $endpoints, $names, $description, $windows, $found, 1, $now, $now);

-- query target_get : maybe
-- doc One target within a team, by id or name.
-- in ref text, scope text
-- out id text, team_id text, agent_id text, agent text, name text, connector text, parameters json, endpoints json, names json, description text, windows json, found i64, revision i64, created_at i64, updated_at i64
SELECT t.id, t.team_id, t.agent_id, a.name AS agent, t.name, t.connector, t.parameters, t.endpoints, t.names, t.description, t.windows, t.found, t.revision, t.created_at, t.updated_at
FROM target t JOIN agent a ON a.id = t.agent_id
WHERE (t.id = $ref OR (t.name = $ref AND t.removed_at IS NULL)) AND t.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
LIMIT 1;

-- query target_by_id : one
-- doc One target, for the hub's own work (also a removed one).
-- in id text
-- out id text, team_id text, agent_id text, name text, connector text, parameters json, endpoints json, names json, windows json, removed_at i64?
SELECT id, team_id, agent_id, name, connector, parameters, endpoints, names, windows, removed_at FROM target WHERE id = $id;

-- query target_by_place : maybe
-- doc The target at a place (agent, connector and parameters).
-- in parameters_hash blob
-- out id text, name text, endpoints json, names json, windows json, found i64, revision i64
SELECT id, name, endpoints, names, windows, found, revision FROM target WHERE parameters_hash = $parameters_hash AND removed_at IS NULL;

-- query target_named_like : many
-- doc Targets of a connector within a team, on one agent; on the hub's own where none is named.
-- in connector text, agent text, scope text, limit i64
-- out id text, name text, names json
SELECT t.id, t.name, t.names FROM target t JOIN agent a ON a.id = t.agent_id
WHERE t.connector = $connector AND t.removed_at IS NULL
  AND CASE WHEN $agent = '' THEN a.identity LIKE 'unix:%' ELSE a.name = $agent END
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
ORDER BY t.name LIMIT $limit;

-- query target_list : many
-- doc Targets within a team.
-- in scope text, after text, limit i64
-- row target_get
SELECT t.id, t.team_id, t.agent_id, a.name AS agent, t.name, t.connector, t.parameters, t.endpoints, t.names, t.description, t.windows, t.found, t.revision, t.created_at, t.updated_at
FROM target t JOIN agent a ON a.id = t.agent_id
WHERE t.id > $after AND t.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
ORDER BY t.id LIMIT $limit;

-- query target_update : exactly
-- doc New settings for a target whose revision is the one seen.
-- in id text, parameters json, parameters_hash blob, endpoints json, names json, description text, windows json, revision i64, now i64
UPDATE target SET parameters = $parameters, parameters_hash = $parameters_hash, endpoints = $endpoints, names = $names,
    description = $description, windows = $windows, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND removed_at IS NULL;

-- query target_used : maybe
-- doc Whether a managed certificate is deployed to the target.
-- in id text
-- out name text
SELECT m.name FROM managed_target mt JOIN managed_certificate m ON m.id = mt.managed_id
WHERE mt.target_id = $id AND m.removed_at IS NULL LIMIT 1;

-- query target_managed_by : many
-- doc The managed certificates of a target.
-- in target_id text, limit i64
-- out id text, name text, target text
SELECT m.id, m.name, t.name AS target FROM managed_target mt JOIN managed_certificate m ON m.id = mt.managed_id
JOIN target t ON t.id = mt.target_id
WHERE mt.target_id = $target_id AND m.removed_at IS NULL ORDER BY m.name LIMIT $limit;

-- query target_remove : exactly
-- doc Removes a target; what it serves stays as it is.
-- in id text, now i64
UPDATE target SET removed_at = $now WHERE id = $id AND removed_at IS NULL;

-- query chain_add : none
-- doc A chain, once.
-- in sha256 blob, pem text
INSERT INTO chain (sha256, pem) VALUES ($sha256, $pem) ON CONFLICT DO NOTHING;

-- query chain_get : one
-- doc A chain.
-- in sha256 blob
-- out pem text
SELECT pem FROM chain WHERE sha256 = $sha256;
