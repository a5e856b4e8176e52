-- Channels over which people are told, whom they write to, and what was told.

-- query channel_add : none
-- doc A new channel.
-- in id text, team_id text, name text, kind text, agent_id text, parameters json, usual bool, daily bool, now i64
INSERT INTO channel (id, team_id, name, kind, agent_id, parameters, usual, daily, failures, revision, created_at, updated_at)
VALUES ($id, $team_id, $name, $kind, $agent_id, $parameters, $usual, $daily, 0, 1, $now, $now);

-- query channel_update : exactly
-- doc Changes a channel that nobody has changed since.
-- in id text, kind text, agent_id text, parameters json, usual bool, daily bool, revision i64, now i64
UPDATE channel SET kind = $kind, agent_id = $agent_id, parameters = $parameters, usual = $usual, daily = $daily,
    revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND removed_at IS NULL;

-- query channel_remove : none
-- doc Removes a channel.
-- in id text, now i64
UPDATE channel SET removed_at = $now, revision = revision + 1 WHERE id = $id;

-- query channel_list : many
-- doc Channels within a team.
-- in scope text, after text, limit i64
-- row channel_get
SELECT c.id, c.team_id, c.name, c.kind, c.agent_id, a.name AS agent, a.state AS agent_state, c.parameters, c.usual, c.daily, c.failures,
       c.failing_since, c.ok_at, c.error_code, c.error, c.error_at, c.revision, c.created_at, c.updated_at
FROM channel c JOIN agent a ON a.id = c.agent_id
WHERE c.id > $after AND c.removed_at IS NULL AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY c.id LIMIT $limit;

-- query channel_get : maybe
-- doc One channel within a team, by id or name.
-- in ref text, scope text
-- out id text, team_id text, name text, kind text, agent_id text, agent text, agent_state text, parameters json, usual bool, daily bool, failures i64, failing_since i64?, ok_at i64?, error_code text?, error text?, error_at i64?, revision i64, created_at i64, updated_at i64
SELECT c.id, c.team_id, c.name, c.kind, c.agent_id, a.name AS agent, a.state AS agent_state, c.parameters, c.usual, c.daily, c.failures,
       c.failing_since, c.ok_at, c.error_code, c.error, c.error_at, c.revision, c.created_at, c.updated_at
FROM channel c JOIN agent a ON a.id = c.agent_id
WHERE (c.id = $ref OR (c.name = $ref AND c.removed_at IS NULL)) AND c.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN c.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query channel_by_id : maybe
-- doc One channel, removed or not, for the hub's own work.
-- in id text
-- out id text, team_id text, name text, kind text, agent_id text, parameters json, daily bool, failures i64, failing_since i64?, removed_at i64?
SELECT id, team_id, name, kind, agent_id, parameters, daily, failures, failing_since, removed_at FROM channel WHERE id = $id;

-- query channel_usual : many
-- doc The usual channels of the nearest team that has any that can be used: of a team itself, or of those above it.
-- in team text
-- out id text, name text
SELECT c.id, c.name FROM channel c JOIN team_within w ON w.ancestor_id = c.team_id
WHERE w.team_id = $team AND c.usual = 1 AND c.removed_at IS NULL
  AND (NOT EXISTS (SELECT 1 FROM channel_address m WHERE m.channel_id = c.id)
       OR EXISTS (SELECT 1 FROM channel_address m WHERE m.channel_id = c.id AND m.confirmed_at IS NOT NULL))
  AND NOT EXISTS (SELECT 1 FROM channel d JOIN team_within v ON v.ancestor_id = d.team_id
                  WHERE v.team_id = $team AND d.usual = 1 AND d.removed_at IS NULL AND d.team_id <> c.team_id
                    AND EXISTS (SELECT 1 FROM team_within y WHERE y.team_id = d.team_id AND y.ancestor_id = c.team_id)
                    AND (NOT EXISTS (SELECT 1 FROM channel_address m WHERE m.channel_id = d.id)
       OR EXISTS (SELECT 1 FROM channel_address m WHERE m.channel_id = d.id AND m.confirmed_at IS NOT NULL)))
ORDER BY c.id LIMIT 16;

-- query channel_others : many
-- doc All channels of a team and those above it but one, those that work first: who is told that this one does not.
-- in team text, but text
-- out id text, name text
SELECT c.id, c.name FROM channel c JOIN team_within w ON w.ancestor_id = c.team_id
WHERE w.team_id = $team AND c.id <> $but AND c.removed_at IS NULL
  AND (NOT EXISTS (SELECT 1 FROM channel_address m WHERE m.channel_id = c.id)
       OR EXISTS (SELECT 1 FROM channel_address m WHERE m.channel_id = c.id AND m.confirmed_at IS NOT NULL))
ORDER BY CASE WHEN c.failing_since IS NULL THEN 0 ELSE 1 END, c.id LIMIT 16;

-- query channel_hears : maybe
-- doc A channel by id or name, where it is one of a team's: its own, of a team above, or of one within it.
-- in ref text, team text
-- out id text
SELECT c.id FROM channel c WHERE (c.id = $ref OR (c.name = $ref AND c.removed_at IS NULL)) AND c.removed_at IS NULL
  AND (EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = $team AND w.ancestor_id = c.team_id)
       OR EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $team))
ORDER BY CASE WHEN c.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query channel_of_address : maybe
-- doc A channel of a team or one above it that writes to an address which has confirmed that; one that works first.
-- in team text, address text
-- out id text
SELECT c.id FROM channel c JOIN channel_address m ON m.channel_id = c.id JOIN team_within w ON w.ancestor_id = c.team_id
WHERE w.team_id = $team AND m.address = $address AND m.confirmed_at IS NOT NULL AND c.removed_at IS NULL
ORDER BY CASE WHEN c.failing_since IS NULL THEN 0 ELSE 1 END, c.id LIMIT 1;

-- query channel_good : none
-- doc Something has arrived.
-- in id text, now i64
UPDATE channel SET failures = 0, failing_since = NULL, ok_at = $now, error_code = NULL, error = NULL, error_at = NULL WHERE id = $id;

-- query channel_bad : none
-- doc A try has failed.
-- in id text, failing_since i64?, error_code text, error text, now i64
UPDATE channel SET failures = failures + 1, failing_since = $failing_since, error_code = $error_code, error = $error, error_at = $now
WHERE id = $id;

-- query channel_trouble : many
-- doc Channels within a team that fail, or whose agent was removed.
-- in scope text, limit i64
-- out name text, agent text, agent_state text, failing_since i64?, error text?
SELECT c.name, a.name AS agent, a.state AS agent_state, c.failing_since, c.error
FROM channel c JOIN agent a ON a.id = c.agent_id
WHERE c.removed_at IS NULL AND (c.failing_since IS NOT NULL OR a.state = 'removed')
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY c.name LIMIT $limit;

-- query channel_address_add : none
-- doc Somebody more to write to; nothing where they are there.
-- in channel_id text, address text
INSERT INTO channel_address (channel_id, address, code_tries) VALUES ($channel_id, $address, 0) ON CONFLICT DO NOTHING;

-- query channel_address_drop : none
-- doc Somebody who is not written to any more.
-- in channel_id text, address text
DELETE FROM channel_address WHERE channel_id = $channel_id AND address = $address;

-- query channel_address_list : many
-- doc Whom a channel writes to.
-- in channel_id text
-- out address text, confirmed_at i64?, code_hash blob?, code_until i64?, code_tries i64
SELECT address, confirmed_at, code_hash, code_until, code_tries FROM channel_address WHERE channel_id = $channel_id ORDER BY address LIMIT 32;

-- query channel_code_set : none
-- doc A new code was sent to an address.
-- in channel_id text, address text, code_hash blob, code_until i64
UPDATE channel_address SET code_hash = $code_hash, code_until = $code_until, code_tries = 0
WHERE channel_id = $channel_id AND address = $address AND confirmed_at IS NULL;

-- query channel_code_tried : none
-- doc A code was tried that is not the one of any address of the channel.
-- in channel_id text
UPDATE channel_address SET code_tries = code_tries + 1 WHERE channel_id = $channel_id AND confirmed_at IS NULL;

-- query channel_confirmed : none
-- doc Who reads this address wants to.
-- in channel_id text, address text, now i64
UPDATE channel_address SET confirmed_at = $now, code_hash = NULL, code_until = NULL
WHERE channel_id = $channel_id AND address = $address;

-- query notification_add : none
-- doc What is to be told; nothing where it is there.
-- in id text, team_id text, channel_id text, alert_id text?, recipient text?, what text, payload json, ends_at i64, now i64
INSERT INTO notification (id, team_id, channel_id, alert_id, recipient, what, payload, state, tries, next_at, ends_at, created_at)
VALUES ($id, $team_id, $channel_id, $alert_id, $recipient, $what, $payload, 'waiting', 0, $now, $ends_at, $now) ON CONFLICT DO NOTHING;

-- query notification_by_id : maybe
-- doc One notification, for the hub's own work.
-- in id text
-- out id text, team_id text, channel_id text, alert_id text?, recipient text?, what text, payload json, state text, tries i64, ends_at i64, created_at i64
SELECT id, team_id, channel_id, alert_id, recipient, what, payload, state, tries, ends_at, created_at FROM notification WHERE id = $id;

-- query notification_list : many
-- doc Notifications within a team, over channels within it, newest first: of a state, of a channel and of an alert, where they are named.
-- in scope text, state text, channel text, alert text, before_at i64, before_id text, limit i64
-- row notification_get
SELECT n.id, n.team_id, n.channel_id, c.name AS channel, n.alert_id, n.recipient, n.what, n.payload, n.state, n.tries, n.next_at, n.ends_at,
       n.error_code, n.error, n.created_at, n.sent_at
FROM notification n JOIN channel c ON c.id = n.channel_id
WHERE ($state = '' OR n.state = $state) AND ($channel = '' OR n.channel_id = $channel OR c.name = $channel) AND ($alert = '' OR n.alert_id = $alert)
  AND (n.created_at < $before_at OR (n.created_at = $before_at AND n.id < $before_id))
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = n.team_id AND w.ancestor_id = $scope)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY n.created_at DESC, n.id DESC LIMIT $limit;

-- query notification_get : maybe
-- doc One notification within a team, over a channel within it.
-- in id text, scope text
-- out id text, team_id text, channel_id text, channel text, alert_id text?, recipient text?, what text, payload json, state text, tries i64, next_at i64?, ends_at i64, error_code text?, error text?, created_at i64, sent_at i64?
SELECT n.id, n.team_id, n.channel_id, c.name AS channel, n.alert_id, n.recipient, n.what, n.payload, n.state, n.tries, n.next_at, n.ends_at,
       n.error_code, n.error, n.created_at, n.sent_at
FROM notification n JOIN channel c ON c.id = n.channel_id
WHERE n.id = $id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = n.team_id AND w.ancestor_id = $scope)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope);

-- query notification_sent : none
-- doc It has arrived.
-- in id text, now i64
UPDATE notification SET state = 'sent', sent_at = $now, tries = tries + 1, next_at = NULL, error_code = NULL, error = NULL WHERE id = $id;

-- query notification_failed : none
-- doc A try has failed; the next one is due, or there is none.
-- in id text, state text, next_at i64?, error_code text, error text
UPDATE notification SET state = $state, tries = tries + 1, next_at = $next_at, error_code = $error_code, error = $error WHERE id = $id;

-- query notification_again : none
-- doc It is told once more.
-- in id text, ends_at i64, now i64
UPDATE notification SET state = 'waiting', tries = 0, next_at = $now, ends_at = $ends_at WHERE id = $id;

-- query notification_waiting_of : many
-- doc What waits to be told over a channel.
-- in channel_id text, limit i64
-- out id text
SELECT id FROM notification WHERE channel_id = $channel_id AND state = 'waiting' ORDER BY created_at LIMIT $limit;

-- query notification_dead_count : many
-- doc How many notifications nobody got, a channel; tests that somebody made are none.
-- in scope text, since i64, limit i64
-- out channel text, n i64
SELECT c.name AS channel, COUNT(*) AS n FROM notification n JOIN channel c ON c.id = n.channel_id
WHERE n.state = 'dead' AND n.created_at >= $since AND n.what <> 'test' AND c.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = n.team_id AND w.ancestor_id = $scope)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
GROUP BY c.name ORDER BY c.name LIMIT $limit;

-- query notification_expire : many
-- doc Forgets what was told, or could not be, long ago.
-- in before i64, limit i64
-- out id text
DELETE FROM notification WHERE id IN (SELECT id FROM notification WHERE state IN ('sent', 'dead') AND created_at < $before ORDER BY created_at LIMIT $limit)
RETURNING id;
