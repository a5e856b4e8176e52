-- Roll-outs in waves, and keys that several hosts share.

-- query rollout_set : none
-- doc A roll-out in waves; the one before is forgotten.
-- in managed_id text, id text, version i64, reason text, canary i64, size i64, pause_s i64, tries i64, now i64
INSERT INTO rollout (managed_id, id, version, reason, state, canary, size, pause_s, wave, tries, why, resume_at, created_at)
VALUES ($managed_id, $id, $version, $reason, 'running', $canary, $size, $pause_s, 0, $tries, '', NULL, $now)
ON CONFLICT (managed_id) DO UPDATE SET id = excluded.id, version = excluded.version, reason = excluded.reason, state = excluded.state, canary = excluded.canary,
    size = excluded.size, pause_s = excluded.pause_s, wave = excluded.wave, tries = excluded.tries, why = excluded.why,
    resume_at = excluded.resume_at, created_at = excluded.created_at;

-- query rollout_get : maybe
-- doc The newest roll-out in waves of a managed certificate.
-- in managed_id text
-- out id text, version i64, reason text, state text, canary i64, size i64, pause_s i64, wave i64, tries i64, why text, resume_at i64?, created_at i64
SELECT id, version, reason, state, canary, size, pause_s, wave, tries, why, resume_at, created_at FROM rollout WHERE managed_id = $managed_id;

-- query rollout_state : exactly
-- doc Where a roll-out stands: only from the state it was in.
-- in managed_id text, id text, from text, to text, why text, resume_at i64?
UPDATE rollout SET state = $to, why = $why, resume_at = $resume_at WHERE managed_id = $managed_id AND id = $id AND state = $from;

-- query rollout_wave : exactly
-- doc The next wave of a roll-out begins.
-- in managed_id text, id text, wave i64
UPDATE rollout SET wave = $wave, resume_at = NULL WHERE managed_id = $managed_id AND id = $id AND wave = $wave - 1 AND state = 'running';

-- query rollout_drop : none
-- doc Forgets the roll-out of a managed certificate.
-- in managed_id text
DELETE FROM rollout WHERE managed_id = $managed_id;

-- query rollout_deployments : many
-- doc The deployments of a roll-out, by wave.
-- in rollout_id text
-- out id text, target_id text, target text, state text, wave i64, version_before i64, error text?, finished_at i64?
SELECT d.id, d.target_id, t.name AS target, d.state, d.wave, d.version_before, d.error, d.finished_at
FROM deployment d JOIN target t ON t.id = d.target_id WHERE d.rollout_id = $rollout_id ORDER BY d.wave, t.name, d.id LIMIT 10000;

-- query deployment_wave_set : exactly
-- doc Which wave a deployment belongs to, and what was at its target before.
-- in id text, rollout_id text, wave i64, version_before i64
UPDATE deployment SET rollout_id = $rollout_id, wave = $wave, version_before = $version_before WHERE id = $id;

-- query deployment_wave : one
-- doc Which wave a deployment belongs to.
-- in id text
-- out rollout_id text?, wave i64?, version_before i64?
SELECT rollout_id, wave, version_before FROM deployment WHERE id = $id;

-- query target_endpoint_of_target : many
-- doc What was seen at a target last.
-- in target_id text
-- out verdict text
SELECT verdict FROM target_endpoint WHERE target_id = $target_id LIMIT 1000;

-- query managed_makers : many
-- doc The agents of a managed certificate's targets: those that work and were heard of lately first, in the order of the targets' names.
-- in managed_id text, since i64, limit i64
-- out agent_id text, target_id text
SELECT t.agent_id, mt.target_id FROM managed_target mt JOIN target t ON t.id = mt.target_id JOIN agent a ON a.id = t.agent_id
WHERE mt.managed_id = $managed_id
ORDER BY CASE WHEN a.state = 'active' AND a.seen_at >= $since THEN 0 WHEN a.state = 'active' THEN 1 ELSE 2 END, t.name LIMIT $limit;

-- query agent_seal_key : one
-- doc The key that is sealed to for an agent.
-- in id text
-- out name text, state text, seal_key blob?, seal_key_offered blob?
SELECT name, state, seal_key, seal_key_offered FROM agent WHERE id = $id;

-- query agent_seal_key_set : exactly
-- doc The key that is sealed to for an agent from now on.
-- in id text, seal_key blob
UPDATE agent SET seal_key = $seal_key, seal_key_offered = NULL WHERE id = $id;

-- query agent_seal_key_offer : exactly
-- doc An agent tells another sealing key than the one that counts; empty: it tells that one again.
-- in id text, offered blob?
UPDATE agent SET seal_key_offered = $offered WHERE id = $id;

-- query agent_seal_keys_offered : many
-- doc Agents within a team that tell another sealing key than the one that counts.
-- in scope text, limit i64
-- out name text
SELECT name FROM agent a WHERE a.seal_key_offered IS NOT NULL AND a.state IN ('active', 'draining')
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.name LIMIT $limit;

-- query sealed_key_set : none
-- doc The key of an attempt, sealed to one agent.
-- in attempt_id text, agent_id text, sealed blob, now i64
INSERT INTO sealed_key (attempt_id, agent_id, sealed, created_at) VALUES ($attempt_id, $agent_id, $sealed, $now)
ON CONFLICT (attempt_id, agent_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at;

-- query sealed_key_get : maybe
-- doc The key of an attempt, sealed to one agent.
-- in attempt_id text, agent_id text
-- out sealed blob, created_at i64
SELECT sealed, created_at FROM sealed_key WHERE attempt_id = $attempt_id AND agent_id = $agent_id;

-- query sealed_key_agents : many
-- doc Agents that the key of an attempt was sealed to.
-- in attempt_id text
-- out agent_id text
SELECT agent_id FROM sealed_key WHERE attempt_id = $attempt_id ORDER BY agent_id LIMIT 10000;

-- query sealed_key_drop : none
-- doc The version is retired: its key is sealed to nobody any more.
-- in attempt_id text
DELETE FROM sealed_key WHERE attempt_id = $attempt_id;

-- query sealed_key_drop_agent : none
-- doc What was sealed to an agent's former key is of no use.
-- in agent_id text
DELETE FROM sealed_key WHERE agent_id = $agent_id;

-- query sealed_key_drop_managed : none
-- doc Nothing of a managed certificate is sealed any more.
-- in managed_id text
DELETE FROM sealed_key WHERE attempt_id IN (SELECT id FROM attempt WHERE managed_id = $managed_id);

-- query deployment_unsealed : many
-- doc Deployments of an attempt's version that wait for its key to be sealed to their agent.
-- in attempt_id text
-- out id text, managed_id text, version i64, target_id text, agent_id text, state text, created_at i64
SELECT d.id, d.managed_id, d.version, d.target_id, t.agent_id, d.state, d.created_at
FROM version v JOIN deployment d ON d.managed_id = v.managed_id AND d.version = v.number JOIN target t ON t.id = d.target_id
WHERE v.attempt_id = $attempt_id AND d.finished_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM job j WHERE j.ref = d.id AND j.kind = 'deploy')
ORDER BY d.id LIMIT 10000;
