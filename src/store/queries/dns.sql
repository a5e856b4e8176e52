-- DNS providers, whom they are granted to, and challenges that are answered for other clients.

-- query dns_provider_add : none
-- doc A new DNS provider.
-- in id text, team_id text, name text, provider text, agent_id text, parameters json, now i64
INSERT INTO dns_provider (id, team_id, name, provider, agent_id, parameters, revision, created_at, updated_at)
VALUES ($id, $team_id, $name, $provider, $agent_id, $parameters, 1, $now, $now);

-- query dns_provider_update : exactly
-- doc Changes a DNS provider that nobody has changed since.
-- in id text, provider text, agent_id text, parameters json, revision i64, now i64
UPDATE dns_provider SET provider = $provider, agent_id = $agent_id, parameters = $parameters, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND removed_at IS NULL;

-- query dns_provider_remove : none
-- doc Removes a DNS provider.
-- in id text, now i64
UPDATE dns_provider SET removed_at = $now, revision = revision + 1 WHERE id = $id;

-- query dns_provider_list : many
-- doc DNS providers within a team.
-- in scope text, after text, limit i64
-- row dns_provider_get
SELECT p.id, p.team_id, p.name, p.provider, p.agent_id, a.name AS agent, a.state AS agent_state, p.parameters, p.revision, p.created_at, p.updated_at
FROM dns_provider p JOIN agent a ON a.id = p.agent_id
WHERE p.id > $after AND p.removed_at IS NULL AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = p.team_id AND w.ancestor_id = $scope)
ORDER BY p.id LIMIT $limit;

-- query dns_provider_get : maybe
-- doc One DNS provider within a team, by id or name.
-- in ref text, scope text
-- out id text, team_id text, name text, provider text, agent_id text, agent text, agent_state text, parameters json, revision i64, created_at i64, updated_at i64
SELECT p.id, p.team_id, p.name, p.provider, p.agent_id, a.name AS agent, a.state AS agent_state, p.parameters, p.revision, p.created_at, p.updated_at
FROM dns_provider p JOIN agent a ON a.id = p.agent_id
WHERE (p.id = $ref OR (p.name = $ref AND p.removed_at IS NULL)) AND p.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = p.team_id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN p.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query dns_provider_by_id : maybe
-- doc One DNS provider, removed or not, for the hub's own work.
-- in id text
-- out id text, team_id text, name text, provider text, agent_id text, parameters json, removed_at i64?
SELECT id, team_id, name, provider, agent_id, parameters, removed_at FROM dns_provider WHERE id = $id;

-- query dns_zone_add : none
-- doc A zone below which a DNS provider answers; nothing where it is there.
-- in zone text, provider_id text
INSERT INTO dns_zone (zone, provider_id, trying, failures, may) VALUES ($zone, $provider_id, 0, 0, '') ON CONFLICT DO NOTHING;

-- query dns_zone_drop : none
-- doc A zone that a DNS provider answers for no more.
-- in zone text, provider_id text
DELETE FROM dns_zone WHERE zone = $zone AND provider_id = $provider_id;

-- query dns_zone_list : many
-- doc The zones of a DNS provider, and how its credential did there.
-- in provider_id text
-- out zone text, trying bool, tried_at i64?, failures i64, error_code text?, error text?, may text, expires_at i64?
SELECT zone, trying, tried_at, failures, error_code, error, may, expires_at FROM dns_zone WHERE provider_id = $provider_id ORDER BY zone LIMIT 100;

-- query dns_zone_trying : none
-- doc The credential of a DNS provider is being tried.
-- in provider_id text
UPDATE dns_zone SET trying = 1 WHERE provider_id = $provider_id;

-- query dns_zone_good : none
-- doc The credential is good for a zone.
-- in zone text, provider_id text, may text, expires_at i64?, now i64
UPDATE dns_zone SET trying = 0, tried_at = $now, failures = 0, error_code = NULL, error = NULL, may = $may, expires_at = $expires_at
WHERE zone = $zone AND provider_id = $provider_id;

-- query dns_zone_bad : none
-- doc The credential is not good for a zone.
-- in zone text, provider_id text, error_code text, error text, now i64
UPDATE dns_zone SET trying = 0, tried_at = $now, failures = failures + 1, error_code = $error_code, error = $error
WHERE zone = $zone AND provider_id = $provider_id;

-- query dns_answering : many
-- doc Who may answer for names below a zone: the team's providers, and what is granted to the team or to an agent; under is empty where the provider is its agent's own team's.  above: it is a team's above, and not granted: it may not.
-- in zone text, team_id text, agent_id text
-- out id text, name text, provider text, agent_id text, agent text, parameters json, failures i64, under text, above i64
SELECT p.id, p.name, p.provider, p.agent_id, a.name AS agent, p.parameters, z.failures, CASE WHEN a.team_id = p.team_id THEN '' ELSE z.zone END AS under,
       CASE WHEN p.team_id = $team_id THEN 0 ELSE 1 END AS above
FROM dns_zone z JOIN dns_provider p ON p.id = z.provider_id JOIN agent a ON a.id = p.agent_id
WHERE z.zone = $zone AND p.removed_at IS NULL AND a.state <> 'removed'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = $team_id AND w.ancestor_id = p.team_id)
UNION ALL
SELECT p.id, p.name, p.provider, p.agent_id, a.name AS agent, p.parameters, z.failures, g.under, 0 AS above
FROM dns_zone z JOIN dns_provider p ON p.id = z.provider_id JOIN agent a ON a.id = p.agent_id JOIN dns_grant g ON g.provider_id = p.id
WHERE z.zone = $zone AND p.removed_at IS NULL AND a.state <> 'removed'
  AND (g.agent_id = $agent_id OR EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = $team_id AND w.ancestor_id = g.team_id))
ORDER BY 7, 2, 1, 8 LIMIT 1000;

-- query dns_reach : many
-- doc Below which names a provider may change records for a team, or for what an agent makes keys for: its zones where it is the team's own, and what is granted.
-- in provider_id text, team_id text, agent_id text
-- out name text
SELECT z.zone AS name FROM dns_zone z JOIN dns_provider p ON p.id = z.provider_id
WHERE p.id = $provider_id AND p.team_id = $team_id
UNION
SELECT g.under AS name FROM dns_grant g
WHERE g.provider_id = $provider_id
  AND (g.agent_id = $agent_id OR EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = $team_id AND w.ancestor_id = g.team_id))
ORDER BY 1 LIMIT 1000;

-- query dns_trouble : many
-- doc Zones within a team whose DNS provider's credential failed, or ends soon, or whose agent was removed.
-- in scope text, before i64, limit i64
-- out provider text, zone text, agent text, agent_state text, failures i64, error text?, expires_at i64?
SELECT p.name AS provider, z.zone, a.name AS agent, a.state AS agent_state, z.failures, z.error, z.expires_at
FROM dns_zone z JOIN dns_provider p ON p.id = z.provider_id JOIN agent a ON a.id = p.agent_id
WHERE p.removed_at IS NULL AND (z.error_code IS NOT NULL OR a.state = 'removed' OR z.expires_at < $before)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = p.team_id AND w.ancestor_id = $scope)
ORDER BY p.name, z.zone LIMIT $limit;

-- query dns_grant_add : none
-- doc A team, or an agent, may have challenges answered below a name.
-- in id text, provider_id text, team_id text?, agent_id text?, under text, now i64
INSERT INTO dns_grant (id, provider_id, team_id, agent_id, under, created_at) VALUES ($id, $provider_id, $team_id, $agent_id, $under, $now);

-- query dns_grant_list : many
-- doc Whom a DNS provider is granted to.
-- in provider_id text
-- out id text, team_id text?, team text?, agent_id text?, agent text?, under text, created_at i64
SELECT g.id, g.team_id, t.name AS team, g.agent_id, a.name AS agent, g.under, g.created_at
FROM dns_grant g LEFT JOIN team t ON t.id = g.team_id LEFT JOIN agent a ON a.id = g.agent_id
WHERE g.provider_id = $provider_id ORDER BY g.id LIMIT 1000;

-- query dns_grant_drop : exactly
-- doc Takes a grant back.
-- in id text, provider_id text
DELETE FROM dns_grant WHERE id = $id AND provider_id = $provider_id;

-- query dns_grant_drop_all : none
-- doc The DNS provider is gone.
-- in provider_id text
DELETE FROM dns_grant WHERE provider_id = $provider_id;

-- query team_get : maybe
-- doc A team within another, by id or name.
-- in ref text, scope text
-- out id text, name text
SELECT t.id, t.name FROM team t WHERE (t.id = $ref OR (t.name = $ref AND t.removed_at IS NULL)) AND t.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN t.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query challenge_left : none
-- doc The answer to a challenge could not be taken away.
-- in attempt_id text, url text, error text
UPDATE challenge SET state = 'leftover', error = $error WHERE attempt_id = $attempt_id AND url = $url;

-- query challenge_leftover_of : many
-- doc What an attempt, or a DNS provider, has left behind.
-- in attempt_id text, provider_id text
-- out attempt_id text, url text, authorization_url text, identifier text, token text, key_authorization text, agent_id text, via json, state text, method text, provider_id text?
SELECT attempt_id, url, authorization_url, identifier, token, key_authorization, agent_id, via, state, method, provider_id FROM challenge
WHERE (attempt_id = $attempt_id AND state = 'leftover') OR (provider_id = $provider_id AND state = 'leftover') ORDER BY attempt_id, url LIMIT 1000;

-- query challenge_leftovers : many
-- doc Answers to challenges within a team that could not be taken away.
-- in scope text, limit i64
-- out managed text, identifier text, method text, provider text?, agent text, error text?
SELECT m.name AS managed, c.identifier, c.method, p.name AS provider, a.name AS agent, c.error
FROM challenge c JOIN attempt t ON t.id = c.attempt_id JOIN managed_certificate m ON m.id = t.managed_id JOIN agent a ON a.id = c.agent_id
LEFT JOIN dns_provider p ON p.id = c.provider_id
WHERE c.state = 'leftover' AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.name, c.url LIMIT $limit;

-- query challenge_cleaning_of : many
-- doc Attempts whose answers a DNS provider is to take away, and has not yet.
-- in provider_id text
-- out attempt_id text
SELECT DISTINCT attempt_id FROM challenge WHERE provider_id = $provider_id AND state = 'cleaning' ORDER BY attempt_id LIMIT 1000;

-- query challenge_of_provider : one
-- doc How many answers to challenges a DNS provider has at work, and how many it left behind.
-- in provider_id text
-- out working i64, leftover i64
SELECT (SELECT COUNT(*) FROM challenge c WHERE c.provider_id = $provider_id AND c.state <> 'leftover')
     + (SELECT COUNT(*) FROM managed_challenge m WHERE m.provider_id = $provider_id AND m.state IN ('presenting', 'presented', 'cleaning')) AS working,
       (SELECT COUNT(*) FROM challenge c WHERE c.provider_id = $provider_id AND c.state = 'leftover')
     + (SELECT COUNT(*) FROM managed_challenge m WHERE m.provider_id = $provider_id AND m.state = 'leftover') AS leftover;

-- query challenge_open_at : many
-- doc Answers to challenges for a name that are in place, or about to be.
-- in identifier text
-- out attempt_id text, token text, key_authorization text, agent_id text, via json, method text, provider_id text?
SELECT attempt_id, token, key_authorization, agent_id, via, method, provider_id FROM challenge
WHERE identifier = $identifier AND state IN ('presenting', 'presented') ORDER BY attempt_id LIMIT 1000;

-- query challenge_disown : none
-- doc Answers left behind by a DNS provider that is gone are forgotten.
-- in provider_id text
DELETE FROM challenge WHERE provider_id = $provider_id AND state = 'leftover';

-- query managed_challenge_add : none
-- doc A challenge of another client.
-- in id text, team_id text, provider_id text, agent_id text, via json, asker_id text?, name text, value text, now i64, ends_at i64
INSERT INTO managed_challenge (id, team_id, provider_id, agent_id, via, asker_id, name, value, state, created_at, ends_at)
VALUES ($id, $team_id, $provider_id, $agent_id, $via, $asker_id, $name, $value, 'presenting', $now, $ends_at);

-- query managed_challenge_get : maybe
-- doc A challenge of another client within a team; asker: only those that a token of this agent has asked for.
-- in id text, scope text, asker text
-- out id text, team_id text, provider_id text, agent_id text, via json, name text, value text, state text, error_code text?, error text?, story json, created_at i64, ends_at i64
SELECT id, team_id, provider_id, agent_id, via, name, value, state, error_code, error, story, created_at, ends_at FROM managed_challenge c
WHERE c.id = $id AND ($asker = '' OR c.asker_id = $asker)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope);

-- query managed_challenge_list : many
-- doc Challenges of other clients within a team; asker: only those that a token of this agent has asked for.
-- in scope text, asker text, after text, limit i64
-- row managed_challenge_get
SELECT id, team_id, provider_id, agent_id, via, name, value, state, error_code, error, story, created_at, ends_at FROM managed_challenge c
WHERE c.id > $after AND ($asker = '' OR c.asker_id = $asker)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY c.id LIMIT $limit;

-- query managed_challenge_same : maybe
-- doc The same challenge, asked for before and not taken back.
-- in team_id text, asker text, name text, value text
-- row managed_challenge_get
SELECT id, team_id, provider_id, agent_id, via, name, value, state, error_code, error, story, created_at, ends_at FROM managed_challenge
WHERE team_id = $team_id AND COALESCE(asker_id, '') = $asker AND name = $name AND value = $value AND state IN ('presenting', 'presented')
ORDER BY id LIMIT 1;

-- query managed_challenge_holding : maybe
-- doc A challenge of another client, but one, that needs a value to stay where it is.
-- in id text, provider_id text, name text, value text
-- out id text
SELECT id FROM managed_challenge
WHERE name = $name AND value = $value AND provider_id = $provider_id AND id <> $id AND state IN ('presenting', 'presented', 'failed')
ORDER BY id LIMIT 1;

-- query managed_challenge_by_id : maybe
-- doc A challenge of another client, for the hub's own work.
-- in id text
-- row managed_challenge_get
SELECT id, team_id, provider_id, agent_id, via, name, value, state, error_code, error, story, created_at, ends_at FROM managed_challenge WHERE id = $id;

-- query managed_challenge_count : one
-- doc How many challenges of other clients a team has that are not taken away; asker: those that a token of this agent has asked for.
-- in team_id text, asker text
-- out n i64
SELECT COUNT(*) AS n FROM managed_challenge WHERE team_id = $team_id AND COALESCE(asker_id, '') = $asker AND state <> 'cleaned';

-- query managed_challenge_state : none
-- doc Where a challenge of another client stands.
-- in id text, state text, error_code text?, error text?
UPDATE managed_challenge SET state = $state, error_code = $error_code, error = $error WHERE id = $id;

-- query managed_challenge_told : none
-- doc What was done for a challenge of another client so far.
-- in id text, story json
UPDATE managed_challenge SET story = $story WHERE id = $id;

-- query managed_challenge_leftovers : many
-- doc Challenges of other clients within a team that could not be taken away.
-- in scope text, limit i64
-- out id text, name text, provider text, error text?
SELECT c.id, c.name, p.name AS provider, c.error FROM managed_challenge c JOIN dns_provider p ON p.id = c.provider_id
WHERE c.state = 'leftover' AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY c.id LIMIT $limit;

-- query managed_challenge_open_of : many
-- doc What a DNS provider left behind, or is to take away and has not yet.
-- in provider_id text
-- row managed_challenge_get
SELECT id, team_id, provider_id, agent_id, via, name, value, state, error_code, error, story, created_at, ends_at FROM managed_challenge
WHERE provider_id = $provider_id AND state IN ('leftover', 'cleaning') ORDER BY id LIMIT 1000;

-- query managed_challenge_expire : many
-- doc Retention: challenges of other clients that were taken away.
-- in before i64, limit i64
-- out id text
DELETE FROM managed_challenge WHERE id IN (SELECT id FROM managed_challenge WHERE created_at < $before AND state = 'cleaned' LIMIT $limit) RETURNING id;

-- query managed_challenge_disown : none
-- doc What a DNS provider that is gone left behind is forgotten.
-- in provider_id text
DELETE FROM managed_challenge WHERE provider_id = $provider_id AND state = 'leftover';

-- query managed_acme : many
-- doc Managed certificates of ACME issuers, whose names have to be proved.
-- out id text, name text, team_id text, wish json
SELECT m.id, m.name, m.team_id, m.wish FROM managed_certificate m
WHERE m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM managed_issuer mi JOIN issuer i ON i.id = mi.issuer_id WHERE mi.managed_id = m.id AND i.kind = 'acme')
ORDER BY m.name LIMIT 10000;
