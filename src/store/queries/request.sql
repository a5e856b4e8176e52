-- Requests, what people said of them, and who approves in whose stead.

-- query request_add : none
-- doc A new request.
-- in id text, team_id text, kind text, object_id text?, object_name text, payload json, hash blob, state text, asker_kind i64, asker_id text, asker text, user_id text?, maker text, comment text, minimum i64, policy_version i64, rule text?, words text?, needs i64, role text?, now i64, expires_at i64
INSERT INTO request (id, team_id, kind, object_id, object_name, payload, hash, state, asker_kind, asker_id, asker, user_id, maker, comment, minimum,
    policy_version, rule, words, needs, role, reminders, revision, created_at, expires_at)
VALUES ($id, $team_id, $kind, $object_id, $object_name, $payload, $hash, $state, $asker_kind, $asker_id, $asker, $user_id, $maker, $comment, $minimum,
    $policy_version, $rule, $words, $needs, $role, 0, 1, $now, $expires_at);

-- query request_by_id : maybe
-- doc One request, whoever asks.
-- in id text
-- out id text, team_id text, team text, kind text, object_id text?, object_name text, payload json, hash blob, state text, asker_kind i64, asker_id text, asker text, user_id text?, maker text, comment text, minimum i64, policy_version i64, rule text?, words text?, needs i64, role text?, reminders i64, revision i64, created_at i64, expires_at i64, decided_at i64?, result_id text?, error_code text?, error text?, approvals i64
SELECT r.id, r.team_id, t.name AS team, r.kind, r.object_id, r.object_name, r.payload, r.hash, r.state, r.asker_kind, r.asker_id, r.asker, r.user_id,
    r.maker, r.comment, r.minimum, r.policy_version, r.rule, r.words, r.needs, r.role, r.reminders, r.revision, r.created_at, r.expires_at, r.decided_at,
    r.result_id, r.error_code, r.error,
    (SELECT COUNT(*) FROM request_said s WHERE s.request_id = r.id AND s.verdict = 'approve' AND s.void = 0) AS approvals
FROM request r JOIN team t ON t.id = r.team_id WHERE r.id = $id;

-- query request_in : maybe
-- doc One request within a team.
-- in id text, scope text
-- row request_by_id
SELECT r.id, r.team_id, t.name AS team, r.kind, r.object_id, r.object_name, r.payload, r.hash, r.state, r.asker_kind, r.asker_id, r.asker, r.user_id,
    r.maker, r.comment, r.minimum, r.policy_version, r.rule, r.words, r.needs, r.role, r.reminders, r.revision, r.created_at, r.expires_at, r.decided_at,
    r.result_id, r.error_code, r.error,
    (SELECT COUNT(*) FROM request_said s WHERE s.request_id = r.id AND s.verdict = 'approve' AND s.void = 0) AS approvals
FROM request r JOIN team t ON t.id = r.team_id
WHERE r.id = $id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = r.team_id AND w.ancestor_id = $scope);

-- query request_list : many
-- doc Requests within a team, the newest first.
-- in scope text, state text, before text, limit i64
-- row request_by_id
SELECT r.id, r.team_id, t.name AS team, r.kind, r.object_id, r.object_name, r.payload, r.hash, r.state, r.asker_kind, r.asker_id, r.asker, r.user_id,
    r.maker, r.comment, r.minimum, r.policy_version, r.rule, r.words, r.needs, r.role, r.reminders, r.revision, r.created_at, r.expires_at, r.decided_at,
    r.result_id, r.error_code, r.error,
    (SELECT COUNT(*) FROM request_said s WHERE s.request_id = r.id AND s.verdict = 'approve' AND s.void = 0) AS approvals
FROM request r JOIN team t ON t.id = r.team_id
WHERE ($state = '' OR r.state = $state) AND ($before = '' OR r.id < $before)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = r.team_id AND w.ancestor_id = $scope)
ORDER BY r.id DESC LIMIT $limit;

-- query request_mine : many
-- doc Requests of one who asked, the newest first: of a person also those of their tokens.
-- in user_id text, asker_id text, state text, before text, limit i64
-- row request_by_id
SELECT r.id, r.team_id, t.name AS team, r.kind, r.object_id, r.object_name, r.payload, r.hash, r.state, r.asker_kind, r.asker_id, r.asker, r.user_id,
    r.maker, r.comment, r.minimum, r.policy_version, r.rule, r.words, r.needs, r.role, r.reminders, r.revision, r.created_at, r.expires_at, r.decided_at,
    r.result_id, r.error_code, r.error,
    (SELECT COUNT(*) FROM request_said s WHERE s.request_id = r.id AND s.verdict = 'approve' AND s.void = 0) AS approvals
FROM request r JOIN team t ON t.id = r.team_id
WHERE (r.user_id = $user_id OR r.asker_id = $asker_id) AND ($state = '' OR r.state = $state) AND ($before = '' OR r.id < $before)
ORDER BY r.id DESC LIMIT $limit;

-- query request_same : maybe
-- doc A request for the same that waits.
-- in hash blob
-- out id text, team_id text
SELECT id, team_id FROM request WHERE hash = $hash AND state = 'waiting' ORDER BY id LIMIT 1;

-- query request_shared : none
-- doc It was asked for again while it waits.
-- in id text
UPDATE request SET shared = 1 WHERE id = $id;

-- query request_alone : maybe
-- doc Whether a request waits, and was asked for once.
-- in id text
-- out id text
SELECT id FROM request WHERE id = $id AND state = 'waiting' AND shared = 0;

-- query request_waiting_of : one
-- doc How many requests of one who asked wait.
-- in asker_id text
-- out n i64
SELECT COUNT(*) AS n FROM request WHERE asker_id = $asker_id AND state = 'waiting';

-- query request_old : many
-- doc Requests that were decided before a time.
-- in before i64, limit i64
-- out id text
SELECT id FROM request WHERE state <> 'waiting' AND decided_at < $before LIMIT $limit;

-- query request_drop : none
-- doc Forgets a request.
-- in id text
DELETE FROM request WHERE id = $id;

-- query request_said_drop : none
-- doc Forgets what was said of a request.
-- in id text
DELETE FROM request_said WHERE request_id = $id;

-- query request_said_count : one
-- doc How much was said of a request.
-- in id text
-- out n i64
SELECT COUNT(*) AS n FROM request_said WHERE request_id = $id;

-- query request_wants : exactly
-- doc What is wanted, and what policy says of it, is another now.
-- in id text, object_name text, payload json, hash blob, comment text, policy_version i64, rule text?, words text?, needs i64, role text?, asker_kind i64, asker_id text, asker text, expires_at i64
UPDATE request SET object_name = $object_name, payload = $payload, hash = $hash, comment = $comment, policy_version = $policy_version, rule = $rule,
    words = $words, needs = $needs, role = $role, asker_kind = $asker_kind, asker_id = $asker_id, asker = $asker, expires_at = $expires_at, revision = revision + 1
WHERE id = $id AND state = 'waiting';

-- query request_ends : exactly
-- doc What became of it.
-- in id text, state text, now i64, result_id text?, error_code text?, error text?
UPDATE request SET state = $state, decided_at = $now, result_id = $result_id, error_code = $error_code, error = $error, revision = revision + 1
WHERE id = $id AND state = 'waiting';

-- query request_touched : exactly
-- doc Something was said of it.
-- in id text
UPDATE request SET revision = revision + 1 WHERE id = $id;

-- query request_reminded : exactly
-- doc A reminder was written.
-- in id text
UPDATE request SET reminders = reminders + 1 WHERE id = $id AND state = 'waiting';

-- query request_said_add : none
-- doc Somebody says something of a request.
-- in id text, request_id text, verdict text, principal text, person text, counts_for text, counts_name text, comment text, hash blob, now i64
INSERT INTO request_said (id, request_id, verdict, principal, person, counts_for, counts_name, comment, hash, void, at)
VALUES ($id, $request_id, $verdict, $principal, $person, $counts_for, $counts_name, $comment, $hash, 0, $now);

-- query request_said_of : many
-- doc What was said of a request, in order.
-- in request_id text, limit i64
-- out id text, verdict text, principal text, person text, counts_for text, counts_name text, comment text, hash blob, is_void bool, at i64
SELECT id, verdict, principal, person, counts_for, counts_name, comment, hash, void AS is_void, at FROM request_said WHERE request_id = $request_id
ORDER BY id LIMIT $limit;

-- query request_said_void : none
-- doc What is wanted was changed: it was not this that was approved.
-- in request_id text
UPDATE request_said SET void = 1 WHERE request_id = $request_id AND verdict = 'approve';

-- query request_said_lapsed : exactly
-- doc Who gave an approval may not approve any more.
-- in id text
UPDATE request_said SET void = 1 WHERE id = $id;

-- query request_people : many
-- doc People with a role in a team or above it, and what it lets them do.
-- in team_id text, limit i64
-- out id text, name text, role text, permissions json
SELECT u.id, u.name, r.name AS role, r.permissions FROM access_grant g
JOIN user_account u ON u.id = g.user_id JOIN role r ON r.id = g.role_id
WHERE u.kind = 'person' AND u.state = 'active'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = $team_id AND w.ancestor_id = g.team_id)
ORDER BY u.name, g.id LIMIT $limit;

-- query token_made_by : none
-- doc Who made a token.
-- in id text, made_by text?
UPDATE token SET made_by = $made_by WHERE id = $id;

-- query token_maker : maybe
-- doc Who made a token.
-- in id text
-- out made_by text?
SELECT made_by FROM token WHERE id = $id;

-- query delegation_put : none
-- doc Somebody else approves in one's stead.
-- in from_user text, to_user text, until i64, now i64
INSERT INTO delegation (from_user, to_user, until, created_at) VALUES ($from_user, $to_user, $until, $now)
ON CONFLICT (from_user, to_user) DO UPDATE SET until = excluded.until, created_at = excluded.created_at;

-- query delegation_drop : none
-- doc Nobody approves in one's stead any more; of those that have ended as well.
-- in from_user text, to_user text, now i64
DELETE FROM delegation WHERE (from_user = $from_user AND to_user = $to_user) OR until <= $now;

-- query delegations_to : many
-- doc Whom somebody may stand for now.
-- in to_user text, now i64, limit i64
-- out id text, name text, until i64
SELECT u.id, u.name, d.until FROM delegation d JOIN user_account u ON u.id = d.from_user
WHERE d.to_user = $to_user AND d.until > $now AND u.state = 'active' ORDER BY u.name LIMIT $limit;

-- query delegations_from : many
-- doc Who may stand for somebody now.
-- in from_user text, now i64, limit i64
-- row delegations_to
SELECT u.id, u.name, d.until FROM delegation d JOIN user_account u ON u.id = d.to_user
WHERE d.from_user = $from_user AND d.until > $now AND u.state = 'active' ORDER BY u.name LIMIT $limit;

-- query request_of : many
-- doc What waits for the approval of one thing.
-- in object_id text
-- out id text
SELECT id FROM request WHERE object_id = $object_id AND state = 'waiting' ORDER BY id;
