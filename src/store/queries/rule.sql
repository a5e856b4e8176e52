-- Rules and alerts.

-- query rule_add : none
-- doc A new rule.
-- in id text, team_id text, name text, spec json, enabled bool, built_in bool, edited_by text, author_kind i64, author_id text, author_person text, looks_at i64?, now i64
INSERT INTO rule (id, team_id, name, spec, enabled, built_in, edited, edited_by, author_kind, author_id, author_person, hour, sent, looks_at,
    place, pass, trouble, revision, created_at, updated_at)
VALUES ($id, $team_id, $name, $spec, $enabled, $built_in, 0, $edited_by, $author_kind, $author_id, $author_person, 0, 0, $looks_at,
    '', 0, '', 1, $now, $now);

-- query rule_built_in : maybe
-- doc A rule by its name, at the start of the hub.
-- in name text
-- out id text, spec json, enabled bool, built_in bool, edited bool
SELECT id, spec, enabled, built_in, edited FROM rule WHERE name = $name;

-- query rule_list : many
-- doc Rules within a team.
-- in scope text, after text, limit i64
-- out id text, team_id text, team text, name text, spec json, enabled bool, built_in bool, edited bool, edited_by text, author_kind i64, author_id text, author_person text, halted text, trouble text, looks_at i64?, alerts i64, revision i64, created_at i64, updated_at i64
SELECT r.id, r.team_id, t.name AS team, r.name, r.spec, r.enabled, r.built_in, r.edited, r.edited_by, r.author_kind, r.author_id,
    r.author_person, r.halted, r.trouble, r.looks_at,
    (SELECT COUNT(*) FROM alert a WHERE a.rule_id = r.id AND a.state <> 'closed' AND a.state <> 'counting') AS alerts,
    r.revision, r.created_at, r.updated_at
FROM rule r JOIN team t ON t.id = r.team_id
WHERE r.id > $after AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = r.team_id AND w.ancestor_id = $scope)
ORDER BY r.id LIMIT $limit;

-- query rule_get : maybe
-- doc One rule within a team, by id or name.
-- in ref text, scope text
-- row rule_list
SELECT r.id, r.team_id, t.name AS team, r.name, r.spec, r.enabled, r.built_in, r.edited, r.edited_by, r.author_kind, r.author_id,
    r.author_person, r.halted, r.trouble, r.looks_at,
    (SELECT COUNT(*) FROM alert a WHERE a.rule_id = r.id AND a.state <> 'closed' AND a.state <> 'counting') AS alerts,
    r.revision, r.created_at, r.updated_at
FROM rule r JOIN team t ON t.id = r.team_id
WHERE (r.id = $ref OR r.name = $ref) AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = r.team_id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN r.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query rule_count : one
-- doc How many rules there are, and of them in one team.
-- in team_id text
-- out n i64, in_team i64
SELECT COUNT(*) AS n, COUNT(CASE WHEN team_id = $team_id THEN 1 END) AS in_team FROM rule;

-- query rule_update : exactly
-- doc Changes a rule; a condition begins anew.
-- in id text, revision i64, name text, spec json, enabled bool, edited bool, edited_by text, author_kind i64, author_id text, author_person text, halted text, looks_at i64?, now i64
UPDATE rule SET name = $name, spec = $spec, enabled = $enabled, edited = $edited, edited_by = $edited_by, author_kind = $author_kind,
    author_id = $author_id, author_person = $author_person, halted = $halted, looks_at = $looks_at, place = '', trouble = '', revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision;

-- query rule_spec_set : exactly
-- doc A built-in rule as this build has it.
-- in id text, spec json, looks_at i64?
UPDATE rule SET spec = $spec, looks_at = $looks_at, place = '' WHERE id = $id;

-- query rule_author : maybe
-- doc With whose rights a rule acts.
-- in id text
-- out team_id text, name text, spec json, enabled bool, built_in bool, edited bool, edited_by text, author_kind i64, author_id text, author_person text, halted text
SELECT team_id, name, spec, enabled, built_in, edited, edited_by, author_kind, author_id, author_person, halted FROM rule WHERE id = $id;

-- query rule_halt : none
-- doc It does nothing any more but tell its team.
-- in id text, why text
UPDATE rule SET halted = $why WHERE id = $id;

-- query rule_halted : many
-- doc Rules within a team that were halted.
-- in scope text, limit i64
-- out name text, halted text
SELECT r.name, r.halted FROM rule r
WHERE r.halted <> '' AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = r.team_id AND w.ancestor_id = $scope)
ORDER BY r.id LIMIT $limit;

-- query rule_remove : none
-- doc Takes a rule away.
-- in id text
DELETE FROM rule WHERE id = $id;

-- query rule_enabled : many
-- doc The rules that are enabled, oldest first.
-- in limit i64
-- out id text, team_id text, name text, spec json, hour i64, sent i64
SELECT id, team_id, name, spec, hour, sent FROM rule WHERE enabled = 1 ORDER BY id LIMIT $limit;

-- query rule_by_id : maybe
-- doc One rule, for the hub itself.
-- in id text
-- out id text, team_id text, name text, spec json, enabled bool, hour i64, sent i64, looks_at i64?, place text, pass i64
SELECT id, team_id, name, spec, enabled, hour, sent, looks_at, place, pass FROM rule WHERE id = $id;

-- query rule_sent : none
-- doc How much a rule has told in this hour.
-- in id text, hour i64, sent i64
UPDATE rule SET hour = $hour, sent = $sent WHERE id = $id;

-- query rule_looks_due : many
-- doc Conditions that are to be looked at.
-- in now i64, limit i64
-- out id text
SELECT id FROM rule WHERE looks_at IS NOT NULL AND enabled = 1 AND looks_at <= $now ORDER BY looks_at LIMIT $limit;

-- query rule_looked : exactly
-- doc A condition was looked at, up to a place.
-- in id text, was_place text, was_pass i64, place text, pass i64, looks_at i64, trouble text
UPDATE rule SET place = $place, pass = $pass, looks_at = $looks_at, trouble = $trouble
WHERE id = $id AND place = $was_place AND pass = $was_pass;

-- query rule_events : many
-- doc Entries of the log between two places, with the name that their object has now.
-- in from_leaf i64, to_leaf i64
-- out leaf i64, at i64, action text, object_kind text, object_id text, team_id text, name text?, detail json
SELECT a.leaf, a.at, a.action, a.object_kind, a.object_id, a.team_id, COALESCE(m.name, t.name, i.name, g.name, n.name, c.name, q.object_name, d.name, r.name, s.name) AS name, a.detail
FROM audit a
LEFT JOIN managed_certificate m ON a.object_kind = 'managed-certificate' AND m.id = a.object_id
LEFT JOIN target t ON a.object_kind = 'target' AND t.id = a.object_id
LEFT JOIN issuer i ON a.object_kind = 'issuer' AND i.id = a.object_id
LEFT JOIN agent g ON a.object_kind = 'agent' AND g.id = a.object_id
LEFT JOIN channel n ON a.object_kind = 'channel' AND n.id = a.object_id
LEFT JOIN campaign c ON a.object_kind IN ('campaign', 'bulk') AND c.id = a.object_id
LEFT JOIN request q ON a.object_kind = 'request' AND q.id = a.object_id
LEFT JOIN dns_provider d ON a.object_kind = 'dns-provider' AND d.id = a.object_id
LEFT JOIN rule r ON a.object_kind = 'rule' AND r.id = a.object_id
LEFT JOIN report_schedule s ON a.object_kind = 'report' AND s.id = a.object_id
WHERE a.leaf >= $from_leaf AND a.leaf < $to_leaf ORDER BY a.leaf;

-- query rule_event_at : maybe
-- doc When the entry of a place was written.
-- in leaf i64
-- out at i64
SELECT at FROM audit WHERE leaf = $leaf;

-- query alert_place : one
-- doc How far the log was looked at.
-- out leaf i64
SELECT leaf FROM alert_place WHERE one = 1;

-- query alert_place_move : exactly
-- doc The log was looked at further.
-- in was i64, leaf i64
UPDATE alert_place SET leaf = $leaf WHERE one = 1 AND leaf = $was;

-- query alert_add : none
-- doc A new alert.
-- in id text, rule_id text, rule_name text, team_id text, object_kind text, object_id text, object_name text, severity i64, event text, words text, why text, opened_event i64, count i64, pass i64, state text, due_at i64?, now i64
INSERT INTO alert (id, rule_id, rule_name, team_id, object_kind, object_id, object_name, severity, event, words, why, opened_at, opened_event,
    last_at, count, pass, state, step, round, due_at, acted_by, reason, until_at, closed_at, revision)
VALUES ($id, $rule_id, $rule_name, $team_id, $object_kind, $object_id, $object_name, $severity, $event, $words, $why, $now, $opened_event,
    $now, $count, $pass, $state, 0, 0, $due_at, '', '', NULL, NULL, 1);

-- query alert_of : maybe
-- doc The alert of a rule for an object that is not closed.
-- in rule_id text, object_kind text, object_id text
-- row alert_by_id
SELECT id, rule_id, rule_name, team_id, object_kind, object_id, object_name, severity, event, words, why, opened_at, last_at, count, state,
    step, round, due_at, until_at
FROM alert WHERE rule_id = $rule_id AND object_kind = $object_kind AND object_id = $object_id AND state <> 'closed';

-- query alert_by_id : maybe
-- doc One alert, for the hub itself.
-- in id text
-- out id text, rule_id text, rule_name text, team_id text, object_kind text, object_id text, object_name text, severity i64, event text, words text, why text, opened_at i64, last_at i64, count i64, state text, step i64, round i64, due_at i64?, until_at i64?
SELECT id, rule_id, rule_name, team_id, object_kind, object_id, object_name, severity, event, words, why, opened_at, last_at, count, state,
    step, round, due_at, until_at
FROM alert WHERE id = $id;

-- query alert_again : exactly
-- doc It happened again.
-- in id text, severity i64, event text, words text, why text, last_at i64, count i64, opened_at i64, state text, due_at i64?
UPDATE alert SET severity = $severity, event = $event, words = $words, why = $why, last_at = $last_at, count = $count, opened_at = $opened_at,
    state = $state, due_at = $due_at
WHERE id = $id;

-- query alert_drop : none
-- doc It never happened often enough.
-- in id text
DELETE FROM alert WHERE id = $id;

-- query alert_holds : none
-- doc A condition holds still.
-- in id text, pass i64, last_at i64
UPDATE alert SET pass = $pass, last_at = $last_at WHERE id = $id;

-- query alert_held_no_more : many
-- doc Alerts of a condition that a look did not find.
-- in rule_id text, pass i64, limit i64
-- out id text
SELECT id FROM alert WHERE rule_id = $rule_id AND state <> 'closed' AND pass < $pass ORDER BY id LIMIT $limit;

-- query alert_of_rule : many
-- doc The alerts of a rule that are not closed.
-- in rule_id text, limit i64
-- out id text
SELECT id FROM alert WHERE rule_id = $rule_id AND state <> 'closed' ORDER BY id LIMIT $limit;

-- query alert_count_of_rule : one
-- doc How many alerts of a rule are not closed.
-- in rule_id text
-- out n i64
SELECT COUNT(*) AS n FROM alert WHERE rule_id = $rule_id AND state <> 'closed';

-- query alert_of_object : many
-- doc Alerts of an object that are not closed.
-- in object_kind text, object_id text, limit i64
-- out id text
SELECT id FROM alert WHERE object_id = $object_id AND object_kind = $object_kind AND state <> 'closed' ORDER BY id LIMIT $limit;

-- query alert_due : many
-- doc Alerts whose next step is due.
-- in now i64, limit i64
-- out id text
SELECT id FROM alert WHERE due_at IS NOT NULL AND due_at <= $now ORDER BY due_at, id LIMIT $limit;

-- query alert_step : exactly
-- doc Which step of an alert is next, and when.
-- in id text, was_due i64, state text, step i64, round i64, due_at i64?, until_at i64?
UPDATE alert SET state = $state, step = $step, round = $round, due_at = $due_at, until_at = $until_at WHERE id = $id AND due_at = $was_due;

-- query alert_note : none
-- doc What people are to know of how it was told or acted on.
-- in id text, note text
UPDATE alert SET note = $note WHERE id = $id;

-- query alert_state : exactly
-- doc What somebody, or its end, makes of an alert.
-- in id text, state text, due_at i64?, acted_by text, reason text, until_at i64?, closed_at i64?
UPDATE alert SET state = $state, due_at = $due_at, acted_by = $acted_by, reason = $reason, until_at = $until_at, closed_at = $closed_at,
    revision = revision + 1
WHERE id = $id;

-- query alert_list : many
-- doc Alerts within a team, newest first; '' asks for any state or object.
-- in scope text, before text, state text, object text, limit i64
-- out id text, rule_id text, rule_name text, team_id text, team text, object_kind text, object_id text, object_name text, severity i64, event text, words text, why text, note text, opened_at i64, last_at i64, count i64, state text, step i64, due_at i64?, acted_by text, reason text, until_at i64?, closed_at i64?, revision i64
SELECT a.id, a.rule_id, a.rule_name, a.team_id, t.name AS team, a.object_kind, a.object_id, a.object_name, a.severity, a.event, a.words, a.why,
    a.note, a.opened_at, a.last_at, a.count, a.state, a.step, a.due_at, a.acted_by, a.reason, a.until_at, a.closed_at, a.revision
FROM alert a JOIN team t ON t.id = a.team_id
WHERE a.id < $before AND a.state <> 'counting' AND ($state = '' OR a.state = $state)
  AND ($object = '' OR a.object_id = $object OR a.object_name = $object)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.id DESC LIMIT $limit;

-- query alert_list_open : many
-- doc The same, of those that are not closed.
-- in scope text, before text, object text, limit i64
-- row alert_list
SELECT a.id, a.rule_id, a.rule_name, a.team_id, t.name AS team, a.object_kind, a.object_id, a.object_name, a.severity, a.event, a.words, a.why,
    a.note, a.opened_at, a.last_at, a.count, a.state, a.step, a.due_at, a.acted_by, a.reason, a.until_at, a.closed_at, a.revision
FROM alert a JOIN team t ON t.id = a.team_id
WHERE a.id < $before AND a.state <> 'closed' AND a.state <> 'counting'
  AND ($object = '' OR a.object_id = $object OR a.object_name = $object)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.id DESC LIMIT $limit;

-- query alert_get : maybe
-- doc One alert within a team, by its id.
-- in id text, scope text
-- row alert_list
SELECT a.id, a.rule_id, a.rule_name, a.team_id, t.name AS team, a.object_kind, a.object_id, a.object_name, a.severity, a.event, a.words, a.why,
    a.note, a.opened_at, a.last_at, a.count, a.state, a.step, a.due_at, a.acted_by, a.reason, a.until_at, a.closed_at, a.revision
FROM alert a JOIN team t ON t.id = a.team_id
WHERE a.id = $id AND a.state <> 'counting'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope);

-- query alert_open_count : one
-- doc How many alerts within a team are open and nobody has taken up, at most.
-- in scope text, limit i64
-- out n i64
SELECT COUNT(*) AS n FROM (SELECT 1 FROM alert a WHERE a.state = 'open'
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope) LIMIT $limit) x;

-- query alert_expire : many
-- doc Retention: alerts that were closed long ago.
-- in before i64, limit i64
-- out id text
DELETE FROM alert WHERE id IN (SELECT id FROM alert WHERE closed_at IS NOT NULL AND closed_at < $before ORDER BY closed_at LIMIT $limit)
RETURNING id;

-- query alert_held_add : none
-- doc What is told later.
-- in alert_id text, step i64, state text, rule_id text, team_id text, channel text, address text, severity i64, line text, due_at i64
INSERT INTO alert_held (alert_id, step, state, rule_id, team_id, channel, address, severity, line, due_at)
VALUES ($alert_id, $step, $state, $rule_id, $team_id, $channel, $address, $severity, $line, $due_at)
ON CONFLICT (alert_id, step, state) DO NOTHING;

-- query alert_held_take : many
-- doc What was not told yet of an alert need not be told any more.
-- in alert_id text
-- out step i64
DELETE FROM alert_held WHERE alert_id = $alert_id RETURNING step;

-- query alert_held_due : many
-- doc To whom something is to be told now that had to wait.
-- in now i64, limit i64
-- out rule_id text, team_id text, channel text, address text, n i64, severity i64
SELECT rule_id, team_id, channel, address, COUNT(*) AS n, MAX(severity) AS severity FROM alert_held WHERE due_at <= $now
GROUP BY rule_id, team_id, channel, address ORDER BY rule_id, team_id, channel, address LIMIT $limit;

-- query alert_held_lines : many
-- doc What that is, worst first.
-- in rule_id text, team_id text, channel text, address text, now i64, limit i64
-- out alert_id text, step i64, state text, line text
SELECT alert_id, step, state, line FROM alert_held
WHERE rule_id = $rule_id AND team_id = $team_id AND channel = $channel AND address = $address AND due_at <= $now
ORDER BY severity DESC, alert_id LIMIT $limit;

-- query alert_held_told : none
-- doc It was told.
-- in rule_id text, team_id text, channel text, address text, now i64
DELETE FROM alert_held
WHERE rule_id = $rule_id AND team_id = $team_id AND channel = $channel AND address = $address AND due_at <= $now;

-- query alert_held_later : none
-- doc It has to wait longer.
-- in rule_id text, team_id text, channel text, address text, now i64, due_at i64
UPDATE alert_held SET due_at = $due_at
WHERE rule_id = $rule_id AND team_id = $team_id AND channel = $channel AND address = $address AND due_at <= $now;

-- query alert_owner : maybe
-- doc Who is noted as the owner of a certificate.
-- in fingerprint blob
-- out owner text
SELECT n.owner FROM certificate c JOIN certificate_note n ON n.certificate_id = c.id
WHERE substr(c.fingerprint, 1, 8) = substr($fingerprint, 1, 8) AND c.fingerprint = $fingerprint AND n.owner IS NOT NULL;

-- query alert_owner_address : maybe
-- doc The mail address of an account that works.
-- in name text
-- out email text
SELECT email FROM user_account WHERE name = $name AND state = 'active' AND email <> '';

-- query alert_names : maybe
-- doc What was found: the certificate and its team.
-- in fingerprint blob
-- out team text, dictionary i64, packed blob
SELECT t.name AS team, d.dictionary, d.der AS packed
FROM certificate c JOIN team t ON t.number = c.team JOIN certificate_der d ON d.id = c.id
WHERE substr(c.fingerprint, 1, 8) = substr($fingerprint, 1, 8) AND c.fingerprint = $fingerprint;

-- query alert_served : maybe
-- doc The certificate that a managed certificate has now.
-- in managed_id text
-- out fingerprint blob
SELECT v.fingerprint FROM managed_certificate m JOIN version v ON v.managed_id = m.id AND v.number = m.version WHERE m.id = $managed_id;

-- query alert_held_forget : none
-- doc Nothing of a rule is told any more.
-- in rule_id text
DELETE FROM alert_held WHERE rule_id = $rule_id;

-- query alert_close_of_rule : none
-- doc The alerts of a rule that goes are closed.
-- in rule_id text, acted_by text, reason text, now i64
UPDATE alert SET state = 'closed', due_at = NULL, acted_by = $acted_by, reason = $reason, until_at = NULL, closed_at = $now, revision = revision + 1
WHERE rule_id = $rule_id AND state <> 'closed';

-- query alert_managed : maybe
-- doc The managed certificate whose current one this is.
-- in fingerprint blob
-- out id text
SELECT m.id FROM version v JOIN managed_certificate m ON m.id = v.managed_id AND m.version = v.number
WHERE v.fingerprint = $fingerprint AND m.removed_at IS NULL LIMIT 1;

-- query alert_drop_counting : none
-- doc What did not happen often enough is not counted any more.
-- in rule_id text
DELETE FROM alert WHERE rule_id = $rule_id AND state = 'counting';
