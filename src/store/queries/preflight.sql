-- Looks before ordering.

-- query preflight_add : none
-- doc A look that begins, with so many jobs.
-- in id text, team_id text, issuer_id text, attempt bool, standby bool, open i64, findings json, now i64
INSERT INTO preflight (id, team_id, issuer_id, attempt, standby, open, findings, created_at)
VALUES ($id, $team_id, $issuer_id, $attempt, $standby, $open, $findings, $now);

-- query preflight_set : none
-- doc What has been found so far.
-- in id text, open i64, findings json
UPDATE preflight SET open = $open, findings = $findings WHERE id = $id;

-- query preflight_by_id : maybe
-- doc One look, for the hub's own work.
-- in id text
-- out id text, team_id text, issuer_id text, attempt bool, standby bool, open i64, findings json, created_at i64
SELECT id, team_id, issuer_id, attempt, standby, open, findings, created_at FROM preflight WHERE id = $id;

-- query preflight_get : maybe
-- doc One look within a team.
-- in id text, scope text
-- out id text, team_id text, issuer_id text, attempt bool, open i64, findings json, created_at i64
SELECT p.id, p.team_id, p.issuer_id, p.attempt, p.open, p.findings, p.created_at FROM preflight p
WHERE p.id = $id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = p.team_id AND w.ancestor_id = $scope);

-- query preflight_expire : none
-- doc Forgets what is older.
-- in before i64
DELETE FROM preflight WHERE created_at < $before;
