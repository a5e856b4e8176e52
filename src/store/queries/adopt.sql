-- Lineages of other ACME clients.

-- query lineage_list : many
-- doc Files of other clients' lineages that were seen since, of one client or name (each '' for any) and one agent ('' for any), within a team.
-- in scope text, like text, agent text, since i64, limit i64
-- out endpoint_id i64, agent_id text, agent text, capabilities json, place text, options json, team_id text
SELECT e.id AS endpoint_id, a.id AS agent_id, a.name AS agent, a.capabilities, e.place, e.options, t.id AS team_id
FROM endpoint e JOIN agent a ON a.id = e.agent_id JOIN certificate c ON c.id = e.certificate_id JOIN team t ON t.number = c.team
WHERE e.kind = 'file' AND e.last_seen > $since AND e.options LIKE $like AND a.state = 'active' AND ($agent = '' OR a.id = $agent)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.id AND w.ancestor_id = $scope)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY e.place LIMIT $limit;

-- query lineage_of_certificate : many
-- doc The same, of the files that hold one certificate.
-- in scope text, certificate_id i64, agent text, since i64, limit i64
-- row lineage_list
SELECT e.id AS endpoint_id, a.id AS agent_id, a.name AS agent, a.capabilities, e.place, e.options, t.id AS team_id
FROM endpoint e JOIN agent a ON a.id = e.agent_id JOIN certificate c ON c.id = e.certificate_id JOIN team t ON t.number = c.team
WHERE e.certificate_id = $certificate_id AND e.kind = 'file' AND e.last_seen > $since AND a.state = 'active'
  AND ($agent = '' OR a.id = $agent)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.id AND w.ancestor_id = $scope)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY e.place LIMIT $limit;

-- query adoption_add : none
-- doc A lineage is looked at.
-- in id text, team_id text, agent_id text, endpoint_id i64, path text, client text, name text, created_by text, now i64
INSERT INTO adoption (id, team_id, agent_id, endpoint_id, path, client, name, state, plan, hold_until, keep_files, done, created_by, created_at, updated_at)
VALUES ($id, $team_id, $agent_id, $endpoint_id, $path, $client, $name, 'looking', '{}', 0, 0, '[]', $created_by, $now, $now);

-- query adoption_at : maybe
-- doc The adoption of a place.
-- in agent_id text, path text
-- out id text, team_id text, state text
SELECT id, team_id, state FROM adoption WHERE agent_id = $agent_id AND path = $path;

-- query adoption_drop : none
-- doc It is forgotten.
-- in id text
DELETE FROM adoption WHERE id = $id;

-- query adoption_get : maybe
-- doc One adoption within a team, by id.
-- in id text, scope text
-- out id text, team_id text, team text, agent_id text, agent text, endpoint_id i64, path text, client text, name text, state text, plan json, managed_id text?, managed text?, target_id text?, hold_until i64, keep_files i64, done json, error_code text?, error text?, created_by text, created_at i64, updated_at i64
SELECT d.id, d.team_id, t.name AS team, d.agent_id, a.name AS agent, d.endpoint_id, d.path, d.client, d.name, d.state, d.plan, d.managed_id, m.name AS managed, d.target_id, d.hold_until,
    d.keep_files, d.done, d.error_code, d.error, d.created_by, d.created_at, d.updated_at
FROM adoption d JOIN team t ON t.id = d.team_id JOIN agent a ON a.id = d.agent_id LEFT JOIN managed_certificate m ON m.id = d.managed_id
WHERE d.id = $id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = d.team_id AND w.ancestor_id = $scope);

-- query adoption_of_managed : maybe
-- doc The adoption that a managed certificate is from.
-- in managed_id text
-- row adoption_get
SELECT d.id, d.team_id, t.name AS team, d.agent_id, a.name AS agent, d.endpoint_id, d.path, d.client, d.name, d.state, d.plan, d.managed_id, m.name AS managed, d.target_id, d.hold_until,
    d.keep_files, d.done, d.error_code, d.error, d.created_by, d.created_at, d.updated_at
FROM adoption d JOIN team t ON t.id = d.team_id JOIN agent a ON a.id = d.agent_id JOIN managed_certificate m ON m.id = d.managed_id
WHERE d.managed_id = $managed_id;

-- query adoption_list : many
-- doc Adoptions within a team, the newest first.
-- in scope text, before text, limit i64
-- row adoption_get
SELECT d.id, d.team_id, t.name AS team, d.agent_id, a.name AS agent, d.endpoint_id, d.path, d.client, d.name, d.state, d.plan, d.managed_id, m.name AS managed, d.target_id, d.hold_until,
    d.keep_files, d.done, d.error_code, d.error, d.created_by, d.created_at, d.updated_at
FROM adoption d JOIN team t ON t.id = d.team_id JOIN agent a ON a.id = d.agent_id LEFT JOIN managed_certificate m ON m.id = d.managed_id
WHERE d.id < $before AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = d.team_id AND w.ancestor_id = $scope)
ORDER BY d.id DESC LIMIT $limit;

-- query adoption_state : exactly
-- doc It goes on from one state to the next.
-- in id text, was text, state text, error_code text?, error text?, now i64
UPDATE adoption SET state = $state, error_code = $error_code, error = $error, updated_at = $now WHERE id = $id AND state = $was;

-- query adoption_seen : exactly
-- doc What taking it over would change.
-- in id text, plan json
UPDATE adoption SET plan = $plan WHERE id = $id;

-- query adoption_managed : exactly
-- doc What was made for it; NULL where that is gone.
-- in id text, managed_id text?, target_id text?
UPDATE adoption SET managed_id = $managed_id, target_id = $target_id WHERE id = $id;

-- query adoption_hold_set : exactly
-- doc How long the certificate that was there is used, and for which wish.
-- in id text, hold_until i64, wish_hash blob
UPDATE adoption SET hold_until = $hold_until, wish_hash = $wish_hash WHERE id = $id;

-- query adoption_hold_clear : none
-- doc The certificate that was there will not do any more.
-- in managed_id text
UPDATE adoption SET hold_until = 0 WHERE managed_id = $managed_id;

-- query adoption_hold : maybe
-- doc Until when the certificate that was there will do for this wish.
-- in managed_id text, wish_hash blob
-- out hold_until i64, client text, agent text
SELECT d.hold_until, d.client, a.name AS agent FROM adoption d JOIN agent a ON a.id = d.agent_id
WHERE d.managed_id = $managed_id AND d.wish_hash = $wish_hash AND d.state = 'adopted';

-- query adoption_release : exactly
-- doc It is to be given back.
-- in id text, keep_files i64
UPDATE adoption SET keep_files = $keep_files, done = '[]' WHERE id = $id;

-- query adoption_done : exactly
-- doc What giving it back has done.
-- in id text, done json
UPDATE adoption SET done = $done WHERE id = $id;

-- query adoption_of_endpoint : maybe
-- doc Whether the lineage of a file is ours now.
-- in endpoint_id i64
-- out state text
SELECT state FROM adoption WHERE endpoint_id = $endpoint_id AND state IN ('adopting', 'adopted', 'releasing') LIMIT 1;
