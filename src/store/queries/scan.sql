-- Scans of networks, and lists that are brought in.

-- query agent_scan_set : none
-- doc What an agent lets be scanned.
-- in id text, scan json
UPDATE agent SET scan = $scan WHERE id = $id AND scan <> $scan;

-- query agent_scanners : many
-- doc Agents within a team that let something be scanned, the oldest first.
-- in scope text, limit i64
-- out id text, name text, scan json, seen_at i64
SELECT a.id, a.name, a.scan, a.seen_at FROM agent a
WHERE a.state = 'active' AND a.scan <> '{}'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.id LIMIT $limit;

-- query agent_scan : one
-- doc What an agent lets be scanned.
-- in id text
-- out name text, scan json
SELECT name, scan FROM agent WHERE id = $id;

-- query scan_number : one
-- doc The number of the next scan.
-- out n i64
SELECT COALESCE(MAX(number), 0) + 1 AS n FROM scan;

-- query scan_add : none
-- doc A new scan.
-- in id text, number i64, team_id text, name text, spec json, scope text, every_s i64, created_by text, now i64
INSERT INTO scan (id, number, team_id, name, spec, scope, every_s, state, run, started_at, created_by, created_at, updated_at)
VALUES ($id, $number, $team_id, $name, $spec, $scope, $every_s, 'running', 0, $now, $created_by, $now, $now);

-- query scan_list : many
-- doc Scans within a team, the newest first; with when the schedule begins them again.
-- in scope text, before i64, limit i64
-- out id text, number i64, team_id text, team text, name text, spec json, every_s i64, state text, run i64, started_at i64, finished_at i64?, error text?, created_by text, created_at i64, next_at i64?
SELECT s.id, s.number, s.team_id, t.name AS team, s.name, s.spec, s.every_s, s.state, s.run, s.started_at, s.finished_at, s.error, s.created_by, s.created_at,
    (SELECT m.due_at FROM timer m WHERE m.kind = 'scan' AND m.ref = s.id) AS next_at
FROM scan s JOIN team t ON t.id = s.team_id
WHERE s.number < $before AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = s.team_id AND w.ancestor_id = $scope)
ORDER BY s.number DESC LIMIT $limit;

-- query scan_get : maybe
-- doc One scan within a team, by id or name.
-- in ref text, scope text
-- row scan_list
SELECT s.id, s.number, s.team_id, t.name AS team, s.name, s.spec, s.every_s, s.state, s.run, s.started_at, s.finished_at, s.error, s.created_by, s.created_at,
    (SELECT m.due_at FROM timer m WHERE m.kind = 'scan' AND m.ref = s.id) AS next_at
FROM scan s JOIN team t ON t.id = s.team_id
WHERE (s.id = $ref OR s.name = $ref) AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = s.team_id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN s.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query scan_by_id : maybe
-- doc One scan, whoever asks.
-- in id text
-- out id text, team_id text, name text, spec json, run_spec json, scope text, every_s i64, state text, run i64, started_at i64
SELECT id, team_id, name, spec, COALESCE(run_spec, spec) AS run_spec, scope, every_s, state, run, started_at FROM scan WHERE id = $id;

-- query scan_edit : none
-- doc A scan is to be done otherwise from its next run on; one under way goes on as it was begun.
-- in id text, spec json, scope text, every_s i64, now i64
UPDATE scan SET run_spec = CASE WHEN state IN ('running', 'paused') THEN COALESCE(run_spec, spec) ELSE NULL END,
    spec = $spec, scope = $scope, every_s = $every_s, updated_at = $now WHERE id = $id;

-- query scan_begin : none
-- doc A scan begins, again.
-- in id text, now i64
UPDATE scan SET state = 'running', run = run + 1, run_spec = NULL, started_at = $now, finished_at = NULL, error = NULL, updated_at = $now
WHERE id = $id;

-- query scan_state : none
-- doc How a scan stands.
-- in id text, state text, finished_at i64?, error text?, now i64
UPDATE scan SET state = $state, error = $error, finished_at = $finished_at, updated_at = $now WHERE id = $id;

-- query scan_remove : none
-- doc A scan goes; what it has found stays.
-- in id text
DELETE FROM scan WHERE id = $id;

-- query scan_parts_drop : none
-- doc The parts of a scan go.
-- in scan_id text
DELETE FROM scan_part WHERE scan_id = $scan_id;

-- query scan_old : many
-- doc Scans that run no more, and ended so long ago.
-- in before i64, limit i64
-- out id text
SELECT id FROM scan WHERE every_s = 0 AND state IN ('done', 'failed', 'stopped') AND finished_at < $before ORDER BY id LIMIT $limit;

-- query scan_part_add : none
-- doc What one agent does of a scan.
-- in id text, scan_id text, agent_id text, targets json, seed i64
INSERT INTO scan_part (id, scan_id, agent_id, targets, seed, state, position, total, batch, probed, found, silent, refused, failed, skipped, fresh,
    rate, remarks, failures, told, still)
VALUES ($id, $scan_id, $agent_id, $targets, $seed, 'running', 0, 0, '', 0, 0, 0, 0, 0, 0, 0, 0, '[]', 0, 0, 0);

-- query scan_part_list : many
-- doc The parts of a scan.
-- in scan_id text
-- out id text, scan_id text, agent_id text, agent text, targets json, seed i64, state text, position i64, total i64, batch text, probed i64, found i64, silent i64, refused i64, failed i64, skipped i64, fresh i64, rate i64, remarks json, failures i64, error_code text?, error text?, heard_at i64?, finished_at i64?, told i64, still i64
SELECT p.id, p.scan_id, p.agent_id, a.name AS agent, p.targets, p.seed, p.state, p.position, p.total, p.batch, p.probed, p.found, p.silent, p.refused,
    p.failed, p.skipped, p.fresh, p.rate, p.remarks, p.failures, p.error_code, p.error, p.heard_at, p.finished_at, p.told, p.still
FROM scan_part p JOIN agent a ON a.id = p.agent_id WHERE p.scan_id = $scan_id ORDER BY a.name LIMIT 1000;

-- query scan_part_get : maybe
-- doc One part of a scan.
-- in id text
-- row scan_part_list
SELECT p.id, p.scan_id, p.agent_id, a.name AS agent, p.targets, p.seed, p.state, p.position, p.total, p.batch, p.probed, p.found, p.silent, p.refused,
    p.failed, p.skipped, p.fresh, p.rate, p.remarks, p.failures, p.error_code, p.error, p.heard_at, p.finished_at, p.told, p.still
FROM scan_part p JOIN agent a ON a.id = p.agent_id WHERE p.id = $id;

-- query scan_part_took : none
-- doc A batch was taken: everything before its position is in the inventory.
-- in id text, batch text, position i64, total i64, probed i64, found i64, silent i64, refused i64, failed i64, skipped i64, fresh i64, rate i64, remarks json, told i64, still i64, looked i64, unasked i64, now i64
UPDATE scan_part SET batch = $batch, position = $position, total = $total, probed = probed + $probed, found = found + $found,
    silent = silent + $silent, refused = refused + $refused, failed = failed + $failed, skipped = skipped + $skipped, fresh = fresh + $fresh,
    rate = $rate, remarks = $remarks, told = told + $told, still = $still, looked = looked + $looked, unasked = unasked + $unasked, failures = 0, error_code = NULL, error = NULL, heard_at = $now
WHERE id = $id;

-- query scan_part_state : none
-- doc How a part of a scan stands.
-- in id text, state text, finished_at i64?
UPDATE scan_part SET state = $state, rate = 0, finished_at = $finished_at WHERE id = $id;

-- query scan_part_trouble : none
-- doc What kept an agent from going on with its part.
-- in id text, failures i64, error_code text?, error text?
UPDATE scan_part SET failures = $failures, error_code = $error_code, error = $error, rate = 0 WHERE id = $id;

-- query scan_part_move : none
-- doc Another agent goes on with a part, where the first one was.
-- in id text, agent_id text, why text
UPDATE scan_part SET agent_id = $agent_id, rate = 0, batch = '', failures = 0, still = 0, error_code = 'unreachable', error = $why WHERE id = $id;

-- query scan_part_job_cancel : none
-- doc Takes the job of a part back.
-- in id text, now i64
UPDATE job SET state = 'cancelled', lease_until = NULL, finished_at = $now WHERE kind = 'scan' AND state IN ('ready', 'leased') AND ref = $id;

-- query scan_parts_end : none
-- doc What is not done of a scan is not done any more.
-- in scan_id text, state text, now i64
UPDATE scan_part SET state = $state, rate = 0, finished_at = $now WHERE scan_id = $scan_id AND state = 'running';

-- query scan_parts_left : one
-- doc How many parts of a scan are not at their end, and how many have failed; what they looked at, and what they could not.
-- in scan_id text
-- out running i64, failed i64, looked i64, unasked i64
SELECT COUNT(CASE WHEN state = 'running' THEN 1 END) AS running, COUNT(CASE WHEN state = 'failed' THEN 1 END) AS failed,
    CAST(COALESCE(SUM(looked), 0) AS BIGINT) AS looked, CAST(COALESCE(SUM(unasked), 0) AS BIGINT) AS unasked
FROM scan_part WHERE scan_id = $scan_id;

-- query scan_jobs_cancel : none
-- doc Takes the jobs of a scan back, those under way as well.
-- in scan_id text, now i64
UPDATE job SET state = 'cancelled', lease_until = NULL, finished_at = $now
WHERE kind = 'scan' AND state IN ('ready', 'leased') AND ref IN (SELECT id FROM scan_part WHERE scan_id = $scan_id);

-- query scan_troubled : many
-- doc Scheduled scans of a team and those within it that have failed, and why.
-- in scope text, limit i64
-- out name text, error text?
SELECT s.name, COALESCE(s.error, (SELECT a.name || ': ' || p.error FROM scan_part p JOIN agent a ON a.id = p.agent_id
    WHERE p.scan_id = s.id AND p.state = 'failed' ORDER BY p.id LIMIT 1)) AS error
FROM scan s WHERE s.state = 'failed' AND s.every_s > 0
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = s.team_id AND w.ancestor_id = $scope)
ORDER BY s.id LIMIT $limit;

-- query import_shown : many
-- doc Certificates of a team and those within it that are shown at a place of theirs, or to a name (port 0: at any port).
-- in place text, name text, port i64, scope text
-- out certificate_id i64, fingerprint blob
SELECT c.id AS certificate_id, c.fingerprint FROM certificate c JOIN team t ON t.number = c.team
JOIN team_within w ON w.team_id = t.id AND w.ancestor_id = $scope
WHERE c.id IN (SELECT e.certificate_id FROM endpoint e JOIN team s ON s.number = e.team JOIN team_within v ON v.team_id = s.id
        WHERE e.kind = 'tls' AND e.place = $place AND e.certificate_id IS NOT NULL AND v.ancestor_id = $scope
    UNION SELECT e.certificate_id FROM endpoint e JOIN team s ON s.number = e.team JOIN team_within v ON v.team_id = s.id
        WHERE e.kind = 'tls' AND e.name = $name AND e.name <> '' AND e.certificate_id IS NOT NULL AND v.ancestor_id = $scope
        AND ($port = 0 OR e.port = $port))
ORDER BY c.id LIMIT 100;

-- query import_listed : maybe
-- doc What a list of a team says of a place.
-- in list text, name text, team_id text
-- out options json
SELECT options FROM endpoint WHERE kind = 'list' AND place = $list AND name = $name AND team = (SELECT number FROM team WHERE id = $team_id);
