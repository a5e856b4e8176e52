-- Streams of the audit log over channels.

-- query audit_stream_add : none
-- doc A new stream.
-- in id text, name text, channel_id text, format text, place i64, now i64
INSERT INTO audit_stream (id, name, channel_id, format, place, lost, failures, next_at, created_at)
VALUES ($id, $name, $channel_id, $format, $place, 0, 0, $now, $now);

-- query audit_stream_list : many
-- doc All of them, with what they wait for: their job, if one is under way, and its agent.
-- in limit i64
-- out id text, name text, channel_id text, channel text, kind text, agent_id text, parameters json, format text, place i64, lost i64, failures i64, next_at i64, error_code text?, error text?, error_at i64?, sent_at i64?, created_at i64, job_agent text?
SELECT s.id, s.name, s.channel_id, c.name AS channel, c.kind, c.agent_id, c.parameters, s.format, s.place, s.lost, s.failures, s.next_at,
       s.error_code, s.error, s.error_at, s.sent_at, s.created_at,
       (SELECT j.agent_id FROM job j WHERE j.ref = s.id AND j.kind = 'audit_stream' AND j.state IN ('ready', 'leased') LIMIT 1) AS job_agent
FROM audit_stream s JOIN channel c ON c.id = s.channel_id ORDER BY s.id LIMIT $limit;

-- query audit_stream_get : maybe
-- doc One of them, by id or name.
-- in ref text
-- row audit_stream_list
SELECT s.id, s.name, s.channel_id, c.name AS channel, c.kind, c.agent_id, c.parameters, s.format, s.place, s.lost, s.failures, s.next_at,
       s.error_code, s.error, s.error_at, s.sent_at, s.created_at,
       (SELECT j.agent_id FROM job j WHERE j.ref = s.id AND j.kind = 'audit_stream' AND j.state IN ('ready', 'leased') LIMIT 1) AS job_agent
FROM audit_stream s JOIN channel c ON c.id = s.channel_id WHERE s.id = $ref OR s.name = $ref
ORDER BY CASE WHEN s.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query audit_stream_of : maybe
-- doc A stream that goes over a channel.
-- in channel_id text
-- out name text
SELECT name FROM audit_stream WHERE channel_id = $channel_id LIMIT 1;

-- query audit_stream_entries : many
-- doc Entries of the log from a place on, in its order.
-- in from_leaf i64, limit i64
-- row audit_list
SELECT seq, leaf, at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash FROM audit
WHERE leaf >= $from_leaf ORDER BY leaf LIMIT $limit;

-- query audit_stream_skip : exactly
-- doc Entries that are no longer kept are passed over.
-- in id text, was i64, place i64
UPDATE audit_stream SET place = $place, lost = lost + ($place - $was) WHERE id = $id AND place = $was;

-- query audit_stream_sent : none
-- doc A batch was taken.
-- in id text, was i64, place i64, now i64
UPDATE audit_stream SET place = $place, failures = 0, next_at = $now, error_code = NULL, error = NULL, error_at = NULL, sent_at = $now
WHERE id = $id AND place = $was;

-- query audit_stream_failed : none
-- doc A batch was not taken.
-- in id text, error_code text, error text, next_at i64, now i64
UPDATE audit_stream SET failures = failures + 1, next_at = $next_at, error_code = $error_code, error = $error, error_at = $now WHERE id = $id;

-- query audit_stream_remove : none
-- doc It is no more.
-- in id text
DELETE FROM audit_stream WHERE id = $id;
