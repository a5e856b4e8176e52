-- query report_schedule_add : none
-- doc A report is sent by itself from now on.
-- in id text, name text, team_id text, report text, channel text, recipient text, every_s i64, next_at i64, author text, author_kind i64, author_id text, now i64
INSERT INTO report_schedule (id, name, team_id, report, channel, recipient, every_s, next_at, author, author_kind, author_id, created_at)
VALUES ($id, $name, $team_id, $report, $channel, $recipient, $every_s, $next_at, $author, $author_kind, $author_id, $now);

-- query report_schedule_list : many
-- doc Those within a team.
-- in scope text, after text, limit i64
-- out id text, name text, team_id text, team text, report text, channel text, recipient text, every_s i64, next_at i64, author text, author_kind i64, author_id text, halted text, created_at i64
SELECT s.id, s.name, s.team_id, t.name AS team, s.report, s.channel, s.recipient, s.every_s, s.next_at,
    s.author, s.author_kind, s.author_id, s.halted, s.created_at
FROM report_schedule s JOIN team t ON t.id = s.team_id
WHERE s.id > $after AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = s.team_id AND w.ancestor_id = $scope)
ORDER BY s.id LIMIT $limit;

-- query report_schedule_get : maybe
-- doc One within a team, by id or name.
-- in ref text, scope text
-- row report_schedule_list
SELECT s.id, s.name, s.team_id, t.name AS team, s.report, s.channel, s.recipient, s.every_s, s.next_at,
    s.author, s.author_kind, s.author_id, s.halted, s.created_at
FROM report_schedule s JOIN team t ON t.id = s.team_id
WHERE (s.id = $ref OR s.name = $ref) AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = s.team_id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN s.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query report_schedule_next : exactly
-- doc When it is sent next.
-- in id text, next_at i64
UPDATE report_schedule SET next_at = $next_at WHERE id = $id;

-- query report_schedule_remove : none
-- doc It is sent no more.
-- in id text
DELETE FROM report_schedule WHERE id = $id;

-- query report_schedule_halt : none
-- doc It is sent no more until somebody schedules it anew.
-- in id text, why text
UPDATE report_schedule SET halted = $why WHERE id = $id;

-- query report_schedule_halted : many
-- doc Those within a team that were halted.
-- in scope text, limit i64
-- out name text, report text, halted text
SELECT s.name, s.report, s.halted FROM report_schedule s
WHERE s.halted <> '' AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = s.team_id AND w.ancestor_id = $scope)
ORDER BY s.id LIMIT $limit;
