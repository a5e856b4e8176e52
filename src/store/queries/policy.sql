-- Policy (core/policy.h).

-- query policy_in_force : many
-- doc The policy in force, once for each team that a team lies in, itself first; team_id is NULL where a row is of none.
-- in team text
-- out version i64, hash blob, team_id text?
SELECT p.version, p.hash, t.id AS team_id
FROM policy p LEFT JOIN team_within w ON w.team_id = $team LEFT JOIN team t ON t.id = w.ancestor_id
WHERE p.version = (SELECT MAX(version) FROM policy)
ORDER BY (SELECT COUNT(*) FROM team_within d WHERE d.team_id = w.ancestor_id) DESC;

-- query policy_get : maybe
-- doc A version; 0: the one in force.
-- in version i64
-- out version i64, document text, teams json, hash blob, comment text, created_by text, created_at i64
SELECT version, document, teams, hash, comment, created_by, created_at FROM policy
WHERE version = CASE WHEN $version = 0 THEN (SELECT MAX(version) FROM policy) ELSE $version END;

-- query policy_list : many
-- doc Versions, newest first, before a number.
-- in before i64, limit i64
-- out version i64, comment text, created_by text, created_at i64
SELECT version, comment, created_by, created_at FROM policy WHERE version < $before ORDER BY version DESC LIMIT $limit;

-- query policy_add : none
-- doc A new version, in force from now on.
-- in version i64, document text, teams json, hash blob, comment text, created_by text, now i64
INSERT INTO policy (version, document, teams, hash, comment, created_by, created_at)
VALUES ($version, $document, $teams, $hash, $comment, $created_by, $now);

-- query policy_team : maybe
-- doc The id of a team.
-- in name text
-- out id text
SELECT id FROM team WHERE name = $name AND removed_at IS NULL;

-- query policy_issuer : maybe
-- doc Whether an issuer is there.
-- in name text
-- out id text
SELECT id FROM issuer WHERE name = $name AND removed_at IS NULL LIMIT 1;

-- query policy_profile : maybe
-- doc Whether a profile is there.
-- in name text
-- out id text
SELECT id FROM profile WHERE name = $name AND removed_at IS NULL LIMIT 1;

-- query policy_managed : many
-- doc Managed certificates within a scope, after an id: whose, and what is wished.
-- in scope text, after text, limit i64
-- out id text, name text, team_id text, team text, wish json
SELECT m.id, m.name, m.team_id, t.name AS team, m.wish FROM managed_certificate m JOIN team t ON t.id = m.team_id
WHERE m.id > $after AND m.removed_at IS NULL AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.id LIMIT $limit;

-- query policy_teams_above : many
-- doc The teams that a team lies in, itself first.
-- in team text
-- out id text
SELECT t.id FROM team_within w JOIN team t ON t.id = w.ancestor_id WHERE w.team_id = $team
ORDER BY (SELECT COUNT(*) FROM team_within d WHERE d.team_id = w.ancestor_id) DESC;

-- query policy_hold_set : none
-- doc A renewal is held back.
-- in managed_id text, rule text, until i64, ends bool, why text, now i64
INSERT INTO policy_hold (managed_id, rule, until, ends, why, since) VALUES ($managed_id, $rule, $until, $ends, $why, $now)
ON CONFLICT (managed_id) DO UPDATE SET rule = excluded.rule, until = excluded.until, ends = excluded.ends, why = excluded.why;

-- query policy_hold_get : maybe
-- doc What holds a renewal back.
-- in managed_id text
-- out rule text, until i64, why text, since i64
SELECT rule, until, why, since FROM policy_hold WHERE managed_id = $managed_id;

-- query policy_hold_ending : many
-- doc Managed certificates whose renewal a rule forbids, and when what is there ends.
-- in scope text, limit i64
-- out managed text, why text, not_after i64
SELECT m.name AS managed, h.why, v.not_after FROM policy_hold h CROSS JOIN managed_certificate m CROSS JOIN version v
WHERE m.id = h.managed_id AND v.managed_id = m.id AND v.number = m.version AND h.ends = 0 AND m.removed_at IS NULL AND m.paused_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY v.not_after LIMIT $limit;

-- query policy_hold_clear : none
-- doc Nothing holds it back.
-- in managed_id text
DELETE FROM policy_hold WHERE managed_id = $managed_id;

-- query policy_hold_look : none
-- doc What is held back is looked at now.
-- in now i64
UPDATE timer SET due_at = $now WHERE kind = 'renew' AND due_at > $now AND ref IN (SELECT managed_id FROM policy_hold);
