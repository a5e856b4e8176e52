-- Bulk operations, campaigns, and revocations that wait.

-- query campaign_add : none
-- doc A new bulk operation or campaign.
-- in id text, kind text, name text, team_id text, act text, filter text, params json, state text, asker_kind i64, asker_id text, asker text, waves i64, total i64, pace i64, stop_failures i64, stop_percent i64, now i64, started_at i64?
INSERT INTO campaign (id, kind, name, team_id, act, filter, params, state, why, asker_kind, asker_id, asker, waves, wave, total, pace,
    stop_failures, stop_percent, next_at, revision, created_at, updated_at, started_at)
VALUES ($id, $kind, $name, $team_id, $act, $filter, $params, $state, '', $asker_kind, $asker_id, $asker, $waves, 1, $total, $pace,
    $stop_failures, $stop_percent, $now, 1, $now, $now, $started_at);

-- query campaign_member_add : each
-- doc What it is done to.
-- in campaign_id text, number i64, object text, managed_id text?, name text, team_id text, wave i64, at i64
INSERT INTO campaign_member (campaign_id, number, object, managed_id, name, team_id, wave, state, why, above, at)
VALUES ($campaign_id, $number, $object, $managed_id, $name, $team_id, $wave, 'waiting', '', 0, $at);

-- query campaign_get : maybe
-- doc One within a team, by id or name.
-- in ref text, kind text, scope text
-- out id text, kind text, name text, team_id text, team text, act text, filter text, params json, state text, why text, asker_kind i64, asker_id text, asker text, waves i64, wave i64, total i64, pace i64, stop_failures i64, stop_percent i64, next_at i64, rehearsal_id text?, rehearsed_at i64?, rehearsal_error text?, revision i64, created_at i64, updated_at i64, started_at i64?, finished_at i64?
SELECT c.id, c.kind, c.name, c.team_id, t.name AS team, c.act, c.filter, c.params, c.state, c.why, c.asker_kind, c.asker_id, c.asker, c.waves, c.wave, c.total,
    c.pace, c.stop_failures, c.stop_percent, c.next_at, c.rehearsal_id, c.rehearsed_at, c.rehearsal_error, c.revision, c.created_at, c.updated_at,
    c.started_at, c.finished_at
FROM campaign c JOIN team t ON t.id = c.team_id
WHERE (c.id = $ref OR c.name = $ref) AND c.kind = $kind
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
LIMIT 1;

-- query campaign_by_id : maybe
-- doc One, for the hub's own work.
-- in id text
-- row campaign_get
SELECT c.id, c.kind, c.name, c.team_id, t.name AS team, c.act, c.filter, c.params, c.state, c.why, c.asker_kind, c.asker_id, c.asker, c.waves, c.wave, c.total,
    c.pace, c.stop_failures, c.stop_percent, c.next_at, c.rehearsal_id, c.rehearsed_at, c.rehearsal_error, c.revision, c.created_at, c.updated_at,
    c.started_at, c.finished_at
FROM campaign c JOIN team t ON t.id = c.team_id WHERE c.id = $id;

-- query campaign_list : many
-- doc Those of a kind within a team, newest first.
-- in kind text, scope text, before text, limit i64
-- row campaign_get
SELECT c.id, c.kind, c.name, c.team_id, t.name AS team, c.act, c.filter, c.params, c.state, c.why, c.asker_kind, c.asker_id, c.asker, c.waves, c.wave, c.total,
    c.pace, c.stop_failures, c.stop_percent, c.next_at, c.rehearsal_id, c.rehearsed_at, c.rehearsal_error, c.revision, c.created_at, c.updated_at,
    c.started_at, c.finished_at
FROM campaign c JOIN team t ON t.id = c.team_id
WHERE c.kind = $kind AND c.id < $before
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY c.id DESC LIMIT $limit;

-- query campaign_due : many
-- doc Those that are to be looked at.
-- in now i64, limit i64
-- out id text
SELECT id FROM campaign WHERE state IN ('rehearsing', 'running') AND next_at <= $now ORDER BY next_at LIMIT $limit;

-- query campaign_halted : many
-- doc Those within a team that stopped and wait for somebody.
-- in scope text, limit i64
-- out kind text, name text, why text
SELECT c.kind, c.name, c.why FROM campaign c
WHERE c.state = 'halted' AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY c.id LIMIT $limit;

-- query campaign_move : exactly
-- doc One step of its life: only from the state it was in.
-- in id text, from text, to text, why text, now i64
UPDATE campaign SET state = $to, why = $why, next_at = $now, revision = revision + 1, updated_at = $now,
    started_at = CASE WHEN $to = 'running' THEN COALESCE(started_at, $now) ELSE started_at END,
    finished_at = CASE WHEN $to IN ('done', 'cancelled') THEN CAST($now AS BIGINT) ELSE finished_at END
WHERE id = $id AND state = $from;

-- query campaign_next : none
-- doc When a running one is looked at again.
-- in id text, next_at i64
UPDATE campaign SET next_at = $next_at WHERE id = $id;

-- query campaign_wave : exactly
-- doc The next wave begins.
-- in id text, from i64, now i64
UPDATE campaign SET wave = $from + 1, next_at = $now, revision = revision + 1, updated_at = $now WHERE id = $id AND wave = $from AND state = 'running';

-- query campaign_rehearsal : exactly
-- doc What it is rehearsed with, and how that ended.
-- in id text, rehearsal_id text?, rehearsed_at i64?, error text?
UPDATE campaign SET rehearsal_id = $rehearsal_id, rehearsed_at = $rehearsed_at, rehearsal_error = $error WHERE id = $id;

-- query campaign_counts : many
-- doc How many of its members are in which state, in each wave.
-- in id text
-- out wave i64, state text, n i64
SELECT wave, state, COUNT(*) AS n FROM campaign_member WHERE campaign_id = $id GROUP BY wave, state ORDER BY wave, state LIMIT 100000;

-- query campaign_sum : many
-- doc How many of its members are in which state.
-- in id text
-- out state text, n i64
SELECT state, COUNT(*) AS n FROM campaign_member WHERE campaign_id = $id GROUP BY state LIMIT 10;

-- query campaign_members : many
-- doc Its members, in their order, of teams within one; of one state, or of all.
-- in id text, state text, after i64, scope text, limit i64
-- out number i64, object text, managed_id text?, name text, team text, wave i64, state text, why text, at i64
SELECT m.number, m.object, m.managed_id, m.name, t.name AS team, m.wave, m.state, m.why, m.at
FROM campaign_member m JOIN team t ON t.id = m.team_id
WHERE m.campaign_id = $id AND m.number > $after AND ($state = '' OR m.state = $state)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.number LIMIT $limit;

-- query campaign_teams : many
-- doc Whose its members are.
-- in id text
-- out team text, n i64
SELECT t.name AS team, COUNT(*) AS n FROM campaign_member m JOIN team t ON t.id = m.team_id
WHERE m.campaign_id = $id GROUP BY t.name ORDER BY n DESC, t.name LIMIT 100;

-- query campaign_targets : one
-- doc At how many targets, and endpoints seen there, its members are served.
-- in id text
-- out targets i64, endpoints i64
SELECT (SELECT COUNT(*) FROM campaign_member m JOIN managed_target mt ON mt.managed_id = m.managed_id WHERE m.campaign_id = $id) AS targets,
    (SELECT COUNT(*) FROM campaign_member m JOIN managed_target mt ON mt.managed_id = m.managed_id
     JOIN target_endpoint o ON o.target_id = mt.target_id WHERE m.campaign_id = $id) AS endpoints;

-- query campaign_issuers : many
-- doc The first issuers of its members.
-- in id text
-- out issuer_id text, name text, kind text, n i64
SELECT i.id AS issuer_id, i.name, i.kind, COUNT(*) AS n FROM campaign_member m JOIN managed_issuer mi ON mi.managed_id = m.managed_id AND mi.position = 0
JOIN issuer i ON i.id = mi.issuer_id WHERE m.campaign_id = $id GROUP BY i.id, i.name, i.kind ORDER BY n DESC LIMIT 20;

-- query campaign_waiting : many
-- doc The next members of a wave.
-- in id text, wave i64, limit i64
-- out number i64, object text, managed_id text?, name text, above i64
SELECT number, object, managed_id, name, above FROM campaign_member
WHERE campaign_id = $id AND state = 'waiting' AND wave = $wave ORDER BY number LIMIT $limit;

-- query campaign_member_set : exactly
-- doc One step of a member: only from the state it was in.
-- in campaign_id text, number i64, from text, to text, why text, above i64, at i64
UPDATE campaign_member SET state = $to, why = $why, above = $above, at = $at WHERE campaign_id = $campaign_id AND number = $number AND state = $from;

-- query campaign_served : many
-- doc Everything serves a version: who waited for one above another is done, also where it had failed before.
-- in managed_id text, version i64, at i64
-- out campaign_id text
UPDATE campaign_member SET state = 'done', why = '', at = $at
WHERE managed_id = $managed_id AND state IN ('running', 'failed') AND above < $version
  AND EXISTS (SELECT 1 FROM campaign c WHERE c.id = campaign_member.campaign_id AND c.state <> 'done') RETURNING campaign_id;

-- query campaign_failed : many
-- doc Something went wrong with one that is waited for; not with one that was not begun, for it waits for approval.
-- in managed_id text, why text, at i64
-- out campaign_id text
UPDATE campaign_member SET state = 'failed', why = $why, at = $at WHERE managed_id = $managed_id AND state = 'running'
  AND NOT EXISTS (SELECT 1 FROM request r WHERE r.id = campaign_member.request_id AND r.state = 'waiting') RETURNING campaign_id;

-- query campaign_lost : many
-- doc Members that are waited for, and whose managed certificate was removed or paused, or whose request came to nothing.
-- in id text, limit i64
-- out number i64, above i64, removed_at i64?, paused_reason text?, request_id text?, request text?
SELECT m.number, m.above, c.removed_at, c.paused_reason, m.request_id, r.state AS request FROM campaign_member m
JOIN managed_certificate c ON c.id = m.managed_id LEFT JOIN request r ON r.id = m.request_id
WHERE m.campaign_id = $id AND m.state = 'running' AND (c.removed_at IS NOT NULL OR c.paused_at IS NOT NULL
    OR r.state IN ('refused', 'withdrawn', 'expired', 'failed')) ORDER BY m.number LIMIT $limit;

-- query campaign_asked : many
-- doc Members whose requests wait still, also of those that were done or failed otherwise.
-- in id text, limit i64
-- out number i64, state text, above i64, request_id text
SELECT m.number, m.state, m.above, m.request_id FROM campaign_member m JOIN request r ON r.id = m.request_id
WHERE m.campaign_id = $id AND r.state = 'waiting' ORDER BY m.number LIMIT $limit;

-- query campaign_member_asked : exactly
-- doc A member waits for an approval.
-- in campaign_id text, number i64, request_id text?, why text
UPDATE campaign_member SET request_id = $request_id, why = $why WHERE campaign_id = $campaign_id AND number = $number AND state = 'running';

-- query campaign_again : none
-- doc What failed is done again.
-- in id text, at i64
UPDATE campaign_member SET state = 'waiting', why = '', request_id = NULL, at = $at WHERE campaign_id = $id AND state = 'failed';

-- query campaign_old : many
-- doc Those that ended before a time.
-- in before i64, limit i64
-- out id text
SELECT id FROM campaign WHERE finished_at < $before ORDER BY finished_at LIMIT $limit;

-- query campaign_members_drop : none
-- doc Retention: what it was done to.
-- in id text
DELETE FROM campaign_member WHERE campaign_id = $id;

-- query campaign_drop : none
-- doc Retention: it goes.
-- in id text
DELETE FROM campaign WHERE id = $id;

-- query managed_of_certificate : many
-- doc Versions that a certificate is, with the managed certificate, also a removed one.
-- in certificate_id i64
-- out managed_id text, number i64, name text, team_id text, issuer_id text, issuer text, issuer_kind text, version i64, revoked_at i64?, removed_at i64?, first_name text
SELECT v.managed_id, v.number, m.name, m.team_id, v.issuer_id, i.name AS issuer, i.kind AS issuer_kind, m.version, v.revoked_at, m.removed_at, m.first_name
FROM version v JOIN managed_certificate m ON m.id = v.managed_id JOIN issuer i ON i.id = v.issuer_id
WHERE v.certificate_id = $certificate_id ORDER BY v.managed_id LIMIT 100;

-- query token_by_id : maybe
-- doc As token_by_hash, for what was asked for with it and is done later.
-- in id text, now i64
-- row token_by_hash
SELECT t.id, t.team_id, t.name, t.role, t.agent_id, t.user_id, t.permissions, t.expires_at, t.used_at,
    r.permissions AS role_permissions
FROM token t LEFT JOIN role r ON r.name = t.role
WHERE t.id = $id AND t.revoked_at IS NULL AND t.expires_at > $now
  AND NOT EXISTS (SELECT 1 FROM agent a WHERE a.id = t.agent_id AND a.state = 'removed')
  AND NOT EXISTS (SELECT 1 FROM user_account u WHERE u.id = t.user_id AND u.state <> 'active');

-- query revocation_add : none
-- doc A version is revoked once the next one is served.
-- in managed_id text, number i64, reason i64, asker text, until i64, now i64
INSERT INTO revocation (managed_id, number, reason, asker, until, created_at) VALUES ($managed_id, $number, $reason, $asker, $until, $now)
ON CONFLICT (managed_id, number) DO UPDATE SET reason = excluded.reason, asker = excluded.asker, until = excluded.until;

-- query revocation_of : many
-- doc What waits to be revoked of a managed certificate.
-- in managed_id text
-- out number i64, reason i64, asker text, until i64
SELECT number, reason, asker, until FROM revocation WHERE managed_id = $managed_id ORDER BY number LIMIT 100;

-- query revocation_drop : none
-- doc It waits no more.
-- in managed_id text, number i64
DELETE FROM revocation WHERE managed_id = $managed_id AND number = $number;

-- query compromised_key_add : none
-- doc A key that somebody else may have.
-- in spki_sha256 blob, asker text, now i64
INSERT INTO compromised_key (spki_sha256, asker, created_at) VALUES ($spki_sha256, $asker, $now) ON CONFLICT DO NOTHING;

-- query compromised_key_get : maybe
-- doc Whether a key is known to be with somebody else.
-- in spki_sha256 blob
-- out asker text, created_at i64
SELECT asker, created_at FROM compromised_key WHERE spki_sha256 = $spki_sha256;
