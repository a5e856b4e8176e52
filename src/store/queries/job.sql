-- Jobs and timers.

-- query job_add : none
-- doc A new job, ready at run_at.
-- in id text, kind text, agent_id text, lane text, ref text, payload json, run_at i64, now i64
INSERT INTO job (id, kind, agent_id, lane, ref, payload, state, fence, run_at, tries, created_at)
VALUES ($id, $kind, $agent_id, $lane, $ref, $payload, 'ready', 0, $run_at, 0, $now);

-- query job_ready : many
-- doc Jobs an agent may lease now: due, nobody holds their lane, and their maintenance window has been looked at.
-- in agent_id text, now i64, limit i64
-- out id text, kind text, lane text, ref text, tries i64
SELECT id, kind, lane, ref, tries FROM job j
WHERE j.agent_id = $agent_id AND j.state = 'ready' AND j.run_at <= $now
  AND NOT EXISTS (SELECT 1 FROM job l WHERE l.lane = j.lane AND l.state = 'leased')
  AND NOT EXISTS (SELECT 1 FROM timer w WHERE w.kind = 'window' AND w.ref = j.ref AND w.due_at <= $now)
ORDER BY j.run_at, j.id LIMIT $limit;

-- query job_lane_fence : one
-- doc The highest fence given in a lane.
-- in lane text
-- out fence i64
SELECT COALESCE(MAX(fence), 0) AS fence FROM job WHERE lane = $lane;

-- query job_lease : exactly
-- doc Leases a ready job.
-- in id text, fence i64, lease_until i64
UPDATE job SET state = 'leased', fence = $fence, lease_until = $lease_until, tries = tries + 1 WHERE id = $id AND state = 'ready';

-- query job_carries : one
-- doc What a job that is given out carries: read for it alone, not for all that were looked at.
-- in id text
-- out payload json
SELECT payload FROM job WHERE id = $id;

-- query job_extend : none
-- doc Keeps a lease that is still held.
-- in id text, fence i64, lease_until i64
UPDATE job SET lease_until = $lease_until WHERE id = $id AND fence = $fence AND state = 'leased';

-- query job_get : maybe
-- doc A job by its id.
-- in id text
-- out id text, kind text, agent_id text, lane text, ref text, payload json, state text, fence i64, tries i64, lease_until i64?
SELECT id, kind, agent_id, lane, ref, payload, state, fence, tries, lease_until FROM job WHERE id = $id;

-- query job_payload : none
-- doc What a leased job carries should it be leased again.
-- in id text, fence i64, payload json
UPDATE job SET payload = $payload WHERE id = $id AND fence = $fence AND state = 'leased';

-- query job_finish : exactly
-- doc Ends a leased job whose fence is the one held.  What was done need not be kept any longer.
-- in id text, fence i64, state text, error_code text?, error text?, now i64
UPDATE job SET state = $state, error_code = $error_code, error = $error, lease_until = NULL, finished_at = $now,
    payload = CASE WHEN $error IS NULL THEN '{}' ELSE payload END
WHERE id = $id AND fence = $fence AND state = 'leased';

-- query job_again : exactly
-- doc Gives a leased job back, to run again later.
-- in id text, fence i64, run_at i64, error_code text?, error text?
UPDATE job SET state = 'ready', lease_until = NULL, run_at = $run_at, error_code = $error_code, error = $error
WHERE id = $id AND fence = $fence AND state = 'leased';

-- query job_expired : many
-- doc Leases that ran out.
-- in now i64, limit i64
-- out id text, kind text, agent_id text, ref text, fence i64, tries i64
SELECT id, kind, agent_id, ref, fence, tries FROM job WHERE state = 'leased' AND lease_until < $now ORDER BY lease_until LIMIT $limit;

-- query job_held : many
-- doc The leases that an agent holds.
-- in agent_id text
-- out id text, fence i64, lease_until i64
SELECT id, fence, lease_until FROM job WHERE agent_id = $agent_id AND state = 'leased' LIMIT 10000;

-- query job_release_agent : many
-- doc Leases an agent held before it was started anew and no longer knows of.
-- in agent_id text
-- out id text, fence i64
SELECT id, fence FROM job WHERE agent_id = $agent_id AND state = 'leased' LIMIT 10000;

-- query job_cancel_ref : none
-- doc Cancels what is not yet leased for an object.
-- in ref text, kind text, now i64
UPDATE job SET state = 'cancelled', finished_at = $now WHERE ref = $ref AND kind = $kind AND state = 'ready';

-- query job_put_off : none
-- doc What is not yet leased for an object is due at another time.
-- in ref text, kind text, run_at i64
UPDATE job SET run_at = $run_at WHERE ref = $ref AND kind = $kind AND state = 'ready';

-- query job_open_ref : maybe
-- doc The open job of a kind for an object.
-- in ref text, kind text
-- out id text, state text
SELECT id, state FROM job WHERE ref = $ref AND kind = $kind AND state IN ('ready', 'leased') LIMIT 1;

-- query job_next_due : maybe
-- doc When the next job of an agent that waits for its time is due.
-- in agent_id text, now i64
-- out run_at i64
SELECT run_at FROM job WHERE agent_id = $agent_id AND state = 'ready' AND run_at > $now ORDER BY run_at LIMIT 1;

-- query job_trouble : many
-- doc Jobs of attempts within a team that did not work yet and are tried again.
-- in scope text, limit i64
-- out managed text, kind text, tries i64, run_at i64, error text?
SELECT m.name AS managed, j.kind, j.tries, j.run_at, j.error FROM job j
JOIN attempt a ON a.id = j.ref JOIN managed_certificate m ON m.id = a.managed_id
WHERE j.finished_at IS NULL AND j.error IS NOT NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY j.created_at LIMIT $limit;

-- query job_of : maybe
-- doc The open job of an object that is first to be done, with the words of its last try.
-- in ref text
-- out kind text, state text, agent text, agent_id text, agent_seen_at i64, run_at i64, tries i64, error text?, created_at i64
SELECT j.kind, j.state, a.name AS agent, j.agent_id, a.seen_at AS agent_seen_at, j.run_at, j.tries, j.error, j.created_at
FROM job j JOIN agent a ON a.id = j.agent_id WHERE j.ref = $ref AND j.finished_at IS NULL ORDER BY j.id LIMIT 1;

-- query job_list : many
-- doc Jobs of the agents within a team, newest first.
-- in scope text, before text, limit i64
-- row job_show
SELECT j.id, j.kind, a.name AS agent, j.agent_id, j.lane, j.ref, j.state, j.fence, j.tries, j.run_at, j.error_code, j.error, j.created_at, j.finished_at
FROM job j JOIN agent a ON a.id = j.agent_id
WHERE j.id < $before AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY j.id DESC LIMIT $limit;

-- query job_show : maybe
-- doc One job within a team.
-- in id text, scope text
-- out id text, kind text, agent text, agent_id text, lane text, ref text, state text, fence i64, tries i64, run_at i64, error_code text?, error text?, created_at i64, finished_at i64?
SELECT j.id, j.kind, a.name AS agent, j.agent_id, j.lane, j.ref, j.state, j.fence, j.tries, j.run_at, j.error_code, j.error, j.created_at, j.finished_at
FROM job j JOIN agent a ON a.id = j.agent_id
WHERE j.id = $id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope);

-- query job_expire : many
-- doc Retention: finished jobs, but the newest of each lane, whose fence counts.
-- in before i64, limit i64
-- out id text
DELETE FROM job WHERE id IN (SELECT j.id FROM job j WHERE j.finished_at < $before
  AND EXISTS (SELECT 1 FROM job n WHERE n.lane = j.lane AND n.fence > j.fence) LIMIT $limit) RETURNING id;

-- query timer_set : none
-- doc Sets when something is due; the newest word counts.
-- in kind text, ref text, due_at i64
INSERT INTO timer (kind, ref, due_at) VALUES ($kind, $ref, $due_at)
ON CONFLICT (kind, ref) DO UPDATE SET due_at = excluded.due_at;

-- query timer_clear : none
-- doc Nothing is due any more.
-- in kind text, ref text
DELETE FROM timer WHERE kind = $kind AND ref = $ref;

-- query timer_take : none
-- doc Takes a timer that fires; nothing where it was set anew meanwhile.
-- in kind text, ref text, due_at i64
DELETE FROM timer WHERE kind = $kind AND ref = $ref AND due_at = $due_at;

-- query timer_get : maybe
-- doc When something is due.
-- in kind text, ref text
-- out due_at i64
SELECT due_at FROM timer WHERE kind = $kind AND ref = $ref;

-- query timer_due : many
-- doc What is due now.
-- in now i64, limit i64
-- out kind text, ref text, due_at i64
SELECT kind, ref, due_at FROM timer WHERE due_at <= $now ORDER BY due_at LIMIT $limit;

-- query timer_next : maybe
-- doc When the next timer is due.
-- out due_at i64
SELECT due_at FROM timer ORDER BY due_at LIMIT 1;
