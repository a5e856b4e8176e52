-- What /metrics tells: counted no further than a number, along the partial indexes that hold only what is looked for.

-- query metric_failing : one
-- doc How many managed certificates failed last.
-- in scope text, most i64
-- out n i64
SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM managed_certificate m WHERE m.failures > 0 AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope) LIMIT $most) few;

-- query metric_paused : one
-- doc How many managed certificates are paused.
-- in scope text, most i64
-- out n i64
SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM managed_certificate m WHERE m.paused_at IS NOT NULL AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope) LIMIT $most) few;

-- query metric_jobs : one
-- doc Jobs of the agents within a team that are due and that are taken, and since when the oldest is due.
-- in now i64, scope text, most i64
-- out ready i64, leased i64, oldest i64?
SELECT (SELECT COUNT(*) FROM (SELECT 1 AS one FROM job j JOIN agent a ON a.id = j.agent_id WHERE j.state = 'ready' AND j.run_at <= $now
          AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope) LIMIT $most) r) AS ready,
       (SELECT COUNT(*) FROM (SELECT 1 AS one FROM job j JOIN agent a ON a.id = j.agent_id WHERE j.state = 'leased'
          AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope) LIMIT $most) l) AS leased,
       (SELECT MIN(j.run_at) FROM job j JOIN agent a ON a.id = j.agent_id WHERE j.state = 'ready' AND j.run_at <= $now
          AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)) AS oldest;

-- query counter_attempt : none
-- doc Counts an attempt that ended, for the team of its managed certificate.
-- in day i64, id text, dimension text, key text
INSERT INTO counter_delta (day, team, dimension, key, n) SELECT $day, t.number, $dimension, $key, 1
FROM attempt a JOIN managed_certificate m ON m.id = a.managed_id JOIN team t ON t.id = m.team_id WHERE a.id = $id;

-- query counter_deployment : none
-- doc Counts a deployment that ended, for the team of its managed certificate.
-- in day i64, id text, dimension text, key text
INSERT INTO counter_delta (day, team, dimension, key, n) SELECT $day, t.number, $dimension, $key, 1
FROM deployment d JOIN managed_certificate m ON m.id = d.managed_id JOIN team t ON t.id = m.team_id WHERE d.id = $id;
