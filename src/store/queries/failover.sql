-- Health of issuers, what they let us ask for, names that fail.

-- query issuer_health : one
-- doc How an issuer is doing; trial_open says whether the attempt that tries it is still under way, trial_asks whether the issuer has it in hand.
-- in id text
-- out name text, team_id text, kind text, settings json, failures i64, failing_since i64?, failing_step text?, trips i64, last_error text?, retry_at i64?, trial_id text?, trial_at i64?, trial_open bool, trial_asks bool, standby_at i64?, standby_error text?, terms_url text?, removed_at i64?
SELECT name, team_id, kind, settings, failures, failing_since, failing_step, trips, last_error, retry_at, trial_id, trial_at,
    CASE WHEN EXISTS (SELECT 1 FROM attempt a WHERE a.id = i.trial_id AND a.finished_at IS NULL) THEN 1 ELSE 0 END AS trial_open,
    CASE WHEN EXISTS (SELECT 1 FROM attempt a WHERE a.id = i.trial_id AND a.state IN ('order', 'finalize', 'enroll', 'sign')) THEN 1 ELSE 0 END AS trial_asks,
    standby_at, standby_error, terms_url, removed_at
FROM issuer i WHERE i.id = $id;

-- query issuer_health_set : none
-- doc An issuer that failed, in its own words, and when it may be asked again.
-- in id text, failures i64, failing_since i64, failing_step text, trips i64, error text, retry_at i64?
UPDATE issuer SET failures = $failures, failing_since = $failing_since, failing_step = $failing_step, trips = $trips, last_error = $error,
    retry_at = $retry_at, trial_id = NULL, trial_at = NULL WHERE id = $id;

-- query issuer_error_set : none
-- doc The newest words of an issuer that is left alone already.
-- in id text, error text, retry_at i64?
UPDATE issuer SET failures = failures + 1, last_error = $error, retry_at = $retry_at WHERE id = $id;

-- query issuer_healthy : none
-- doc An issuer that answers as it should.
-- in id text
UPDATE issuer SET failures = 0, failing_since = NULL, failing_step = NULL, trips = 0, last_error = NULL, retry_at = NULL, trial_id = NULL, trial_at = NULL
WHERE id = $id AND (failures > 0 OR retry_at IS NOT NULL OR trial_id IS NOT NULL);

-- query issuer_trial : none
-- doc An attempt tries whether an issuer works again.
-- in id text, attempt_id text, now i64
UPDATE issuer SET trial_id = $attempt_id, trial_at = $now WHERE id = $id;

-- query issuer_trial_over : none
-- doc The attempt that tries an issuer waits for something else: another one may try, from then on.
-- in id text, retry_at i64
UPDATE issuer SET retry_at = $retry_at, trial_id = NULL, trial_at = NULL WHERE id = $id;

-- query issuer_let_through : none
-- doc A person wants the issuers of a managed certificate asked now.
-- in managed_id text
UPDATE issuer SET retry_at = 0 WHERE retry_at IS NOT NULL AND id IN (SELECT mi.issuer_id FROM managed_issuer mi WHERE mi.managed_id = $managed_id);

-- query issuer_ask_again : none
-- doc An issuer whose settings have changed may be asked now, once.
-- in id text
UPDATE issuer SET retry_at = 0 WHERE id = $id AND retry_at IS NOT NULL;

-- query issuer_hold_set : none
-- doc What an issuer said about one certificate alone.
-- in issuer_id text, managed_id text, until i64, why text
INSERT INTO issuer_hold (issuer_id, managed_id, until, why) VALUES ($issuer_id, $managed_id, $until, $why)
ON CONFLICT (issuer_id, managed_id) DO UPDATE SET until = excluded.until, why = excluded.why;

-- query issuer_hold_get : maybe
-- doc What an issuer said about one certificate alone.
-- in issuer_id text, managed_id text
-- out until i64, why text
SELECT until, why FROM issuer_hold WHERE issuer_id = $issuer_id AND managed_id = $managed_id;

-- query issuer_hold_clear : none
-- doc Forgets what issuers said about one certificate.
-- in managed_id text
DELETE FROM issuer_hold WHERE managed_id = $managed_id;

-- query managed_wait_set : none
-- doc A managed certificate waits for an issuer.
-- in managed_id text, issuer_id text, until i64, why text, remedy text, now i64
INSERT INTO managed_wait (managed_id, issuer_id, until, why, remedy, since) VALUES ($managed_id, $issuer_id, $until, $why, $remedy, $now)
ON CONFLICT (managed_id) DO UPDATE SET issuer_id = excluded.issuer_id, until = excluded.until, why = excluded.why, remedy = excluded.remedy;

-- query managed_wait_get : maybe
-- doc What a managed certificate waits for.
-- in managed_id text
-- out issuer_id text, until i64, why text, remedy text, since i64
SELECT issuer_id, until, why, remedy, since FROM managed_wait WHERE managed_id = $managed_id;

-- query managed_waiting : many
-- doc Who waits for which issuer, but for those of which it is known that they fail.
-- in scope text, limit i64
-- out issuer text, n i64, managed text, until i64, why text, remedy text
SELECT i.name AS issuer, COUNT(*) AS n, MIN(m.name) AS managed, MIN(w.until) AS until, MIN(w.why) AS why, MIN(w.remedy) AS remedy
FROM managed_wait w CROSS JOIN issuer i CROSS JOIN managed_certificate m
WHERE i.id = w.issuer_id AND m.id = w.managed_id AND m.removed_at IS NULL AND m.paused_at IS NULL AND m.failures = 0
  AND EXISTS (SELECT 1 FROM team_within t WHERE t.team_id = m.team_id AND t.ancestor_id = $scope)
GROUP BY i.name ORDER BY i.name LIMIT $limit;

-- query managed_paused_by_issuer : many
-- doc Managed certificates that paused after an attempt with an issuer failed.
-- in issuer_id text
-- out id text
SELECT m.id FROM managed_certificate m JOIN managed_issuer mi ON mi.managed_id = m.id
WHERE mi.issuer_id = $issuer_id AND m.removed_at IS NULL AND m.paused_at IS NOT NULL AND (m.paused_itself = 1 OR m.error_code = 'account')
  AND EXISTS (SELECT 1 FROM attempt a WHERE a.managed_id = m.id AND a.number = m.attempts AND a.issuer_id = $issuer_id)
ORDER BY m.id LIMIT 100000;

-- query step_failover : maybe
-- doc Why an attempt asks another issuer than the first.
-- in managed_id text, attempt_id text
-- out text text
SELECT text FROM step WHERE managed_id = $managed_id AND attempt_id = $attempt_id AND name = 'failover' ORDER BY seq LIMIT 1;

-- query managed_wait_clear : none
-- doc A managed certificate waits for no issuer.
-- in managed_id text
DELETE FROM managed_wait WHERE managed_id = $managed_id;

-- query managed_waiting_for : many
-- doc Who waits for an issuer.
-- in issuer_id text
-- out managed_id text
SELECT w.managed_id FROM managed_wait w JOIN managed_certificate m ON m.id = w.managed_id
WHERE w.issuer_id = $issuer_id AND m.removed_at IS NULL AND m.paused_at IS NULL ORDER BY w.managed_id LIMIT 100000;

-- query attempt_recent : many
-- doc The newest attempts that ended, newest first: to which issuer, and how.
-- in managed_id text
-- out issuer_id text, state text, error_code text?
SELECT issuer_id, state, error_code FROM attempt WHERE managed_id = $managed_id AND finished_at IS NOT NULL ORDER BY number DESC LIMIT 64;

-- query issuer_use_add : none
-- doc Something that a published limit counts.
-- in issuer_id text, kind text, what text, at i64, attempt_id text
INSERT INTO issuer_use (issuer_id, kind, what, at, attempt_id) VALUES ($issuer_id, $kind, $what, $at, $attempt_id);

-- query issuer_use_nth : maybe
-- doc When the use before the `skip` newest was; where there are fewer, none.
-- in issuer_id text, kind text, what text, since i64, skip i64
-- out at i64
SELECT at FROM issuer_use WHERE issuer_id = $issuer_id AND kind = $kind AND what = $what AND at > $since ORDER BY at DESC LIMIT 1 OFFSET $skip;

-- query issuer_use_most : many
-- doc What was used most since a time.
-- in issuer_id text, kind text, since i64, limit i64
-- out what text, n i64, oldest i64
SELECT what, COUNT(*) AS n, MIN(at) AS oldest FROM issuer_use WHERE issuer_id = $issuer_id AND kind = $kind AND at > $since
GROUP BY what ORDER BY COUNT(*) DESC, what LIMIT $limit;

-- query issuer_use_undo : none
-- doc An attempt that got no certificate used none up.
-- in attempt_id text
DELETE FROM issuer_use WHERE attempt_id = $attempt_id AND kind IN ('names', 'domain');

-- query issuer_use_undo_all : none
-- doc An attempt that made no order used nothing up.
-- in attempt_id text
DELETE FROM issuer_use WHERE attempt_id = $attempt_id AND kind <> 'failure';

-- query issuer_use_expire : none
-- doc Forgets what no window reaches any more.
-- in before i64
DELETE FROM issuer_use WHERE at < $before;

-- query bad_name_note : none
-- doc A name that the CA could not validate, once more.
-- in managed_id text, name text, why text, now i64
INSERT INTO bad_name (managed_id, name, failures, since, dropped, why) VALUES ($managed_id, $name, 1, $now, 0, $why)
ON CONFLICT (managed_id, name) DO UPDATE SET failures = bad_name.failures + 1, why = excluded.why;

-- query bad_name_list : many
-- doc The names of a managed certificate that failed and have not worked since.
-- in managed_id text
-- out name text, failures i64, since i64, dropped bool, why text
SELECT name, failures, since, dropped, why FROM bad_name WHERE managed_id = $managed_id ORDER BY name LIMIT 1000;

-- query bad_name_dropped : none
-- doc Leaves a name out, or takes it in again.
-- in managed_id text, name text, dropped i64
UPDATE bad_name SET dropped = $dropped WHERE managed_id = $managed_id AND name = $name;

-- query bad_name_all_back : none
-- doc All names are asked for again.
-- in managed_id text
UPDATE bad_name SET dropped = 0 WHERE managed_id = $managed_id;

-- query bad_name_forget : none
-- doc A name that works, or is no longer wished.
-- in managed_id text, name text
DELETE FROM bad_name WHERE managed_id = $managed_id AND name = $name;

-- query bad_name_status : many
-- doc Certificates that are served without some of their names.
-- in scope text, limit i64
-- out managed text, n i64, first text, why text
SELECT m.name AS managed, COUNT(*) AS n, MIN(b.name) AS first, MIN(b.why) AS why FROM bad_name b CROSS JOIN managed_certificate m
WHERE m.id = b.managed_id AND b.dropped = 1 AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
GROUP BY m.name ORDER BY m.name LIMIT $limit;

-- query issuer_standby_set : none
-- doc What a look at a second choice has shown.
-- in id text, error text?, terms_url text?, now i64
UPDATE issuer SET standby_at = $now, standby_error = $error, terms_url = COALESCE($terms_url, terms_url) WHERE id = $id;

-- query issuer_is_standby : one
-- doc Whether an issuer is somebody's second choice.
-- in id text
-- out n i64
SELECT COUNT(*) AS n FROM managed_issuer mi JOIN managed_certificate m ON m.id = mi.managed_id
WHERE mi.issuer_id = $id AND mi.position > 0 AND m.removed_at IS NULL;

-- query issuer_standby_bad : many
-- doc Second choices that would not work now.
-- in scope text, limit i64
-- out name text, standby_error text
SELECT name, standby_error FROM issuer i WHERE i.standby_error IS NOT NULL AND i.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = i.team_id AND w.ancestor_id = $scope)
ORDER BY name LIMIT $limit;

-- query version_names : one
-- doc The names that a version is for.
-- in managed_id text, number i64
-- out names json
SELECT v.names FROM version v WHERE v.managed_id = $managed_id AND v.number = $number;

-- query issuer_standby_clear : none
-- doc An issuer that is nobody's second choice any more.
-- in id text
UPDATE issuer SET standby_at = NULL, standby_error = NULL WHERE id = $id;

-- query issuer_terms_forget : none
-- doc The terms of today are agreed to, whatever they are.
-- in id text
UPDATE issuer SET terms_url = NULL, standby_error = NULL WHERE id = $id;

-- query managed_of_issuer : many
-- doc The certificates that name an issuer.
-- in issuer_id text
-- out id text, name text, team_id text, wish json
SELECT m.id, m.name, m.team_id, m.wish FROM managed_issuer mi JOIN managed_certificate m ON m.id = mi.managed_id
WHERE mi.issuer_id = $issuer_id AND m.removed_at IS NULL ORDER BY m.name LIMIT 100000;

-- query standby_next : many
-- doc Certificates that would go to an issuer if their first one failed; those first whose names were looked at longest ago.
-- in issuer_id text, limit i64
-- out id text, team_id text, wish json
SELECT m.id, m.team_id, m.wish FROM managed_issuer mi JOIN managed_certificate m ON m.id = mi.managed_id
LEFT JOIN standby_look l ON l.issuer_id = mi.issuer_id AND l.managed_id = m.id
WHERE mi.issuer_id = $issuer_id AND mi.position > 0 AND m.removed_at IS NULL
ORDER BY COALESCE(l.looked_at, 0), m.id LIMIT $limit;

-- query rehearsal_next : many
-- doc The same; those first that were rehearsed longest ago.
-- in issuer_id text, limit i64
-- row standby_next
SELECT m.id, m.team_id, m.wish FROM managed_issuer mi JOIN managed_certificate m ON m.id = mi.managed_id
LEFT JOIN standby_look l ON l.issuer_id = mi.issuer_id AND l.managed_id = m.id
WHERE mi.issuer_id = $issuer_id AND mi.position > 0 AND m.removed_at IS NULL AND m.rehearses IS NULL
ORDER BY COALESCE(l.rehearsed_at, 0), m.id LIMIT $limit;

-- query standby_look_begun : none
-- doc The names of a certificate are being looked at for its second choice.
-- in issuer_id text, managed_id text, now i64
INSERT INTO standby_look (issuer_id, managed_id, looked_at, rehearsed_at) VALUES ($issuer_id, $managed_id, $now, 0)
ON CONFLICT (issuer_id, managed_id) DO UPDATE SET looked_at = excluded.looked_at;

-- query standby_look_rehearsed : none
-- doc A certificate's names are being rehearsed for its second choice.
-- in issuer_id text, managed_id text, now i64
INSERT INTO standby_look (issuer_id, managed_id, looked_at, rehearsed_at) VALUES ($issuer_id, $managed_id, 0, $now)
ON CONFLICT (issuer_id, managed_id) DO UPDATE SET rehearsed_at = excluded.rehearsed_at;

-- query standby_look_error : none
-- doc What keeps a certificate's second choice from issuing.
-- in issuer_id text, managed_id text, error text?
UPDATE standby_look SET error = $error WHERE issuer_id = $issuer_id AND managed_id = $managed_id;

-- query standby_looked : many
-- doc Whose names one look was at.
-- in issuer_id text, looked_at i64
-- out managed_id text, wish json
SELECT l.managed_id, m.wish FROM standby_look l JOIN managed_certificate m ON m.id = l.managed_id
WHERE l.issuer_id = $issuer_id AND l.looked_at = $looked_at AND m.removed_at IS NULL ORDER BY l.managed_id LIMIT 1000;

-- query standby_look_tidy : none
-- doc Forgets certificates of which an issuer is the second choice no more.
-- in issuer_id text
DELETE FROM standby_look WHERE issuer_id = $issuer_id AND NOT EXISTS (SELECT 1 FROM managed_issuer mi JOIN managed_certificate m ON m.id = mi.managed_id
    WHERE mi.issuer_id = standby_look.issuer_id AND mi.managed_id = standby_look.managed_id AND mi.position > 0 AND m.removed_at IS NULL);

-- query standby_look_bad : many
-- doc Second choices that could not issue for some certificates.
-- in scope text, limit i64
-- out issuer text, n i64, managed text, error text
SELECT i.name AS issuer, COUNT(*) AS n, MIN(m.name) AS managed, MIN(l.error) AS error FROM standby_look l CROSS JOIN issuer i
CROSS JOIN managed_certificate m CROSS JOIN managed_issuer mi
WHERE i.id = l.issuer_id AND m.id = l.managed_id AND mi.managed_id = l.managed_id AND mi.issuer_id = l.issuer_id AND l.error IS NOT NULL AND mi.position > 0 AND m.removed_at IS NULL AND i.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
GROUP BY i.name ORDER BY i.name LIMIT $limit;

-- query standby_look_of : many
-- doc The certificates that an issuer, as their second choice, could not issue for.
-- in issuer_id text, scope text, limit i64
-- out managed text, error text
SELECT m.name AS managed, l.error FROM standby_look l JOIN managed_certificate m ON m.id = l.managed_id
JOIN managed_issuer mi ON mi.managed_id = l.managed_id AND mi.issuer_id = l.issuer_id
WHERE l.issuer_id = $issuer_id AND l.error IS NOT NULL AND mi.position > 0 AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.name LIMIT $limit;

-- query rehearsal_get : maybe
-- doc What an issuer's staging environment is rehearsed with: by whom it was begun, and how it stands.
-- in name text, staging text
-- out id text, name text, team_id text, rehearses text?, wish json, revision i64, paused_at i64?, paused_itself bool, version i64, failures i64, error text?, failed_at i64?, begun_at i64, under_way bool
SELECT m.id, m.name, m.team_id, m.rehearses, m.wish, m.revision, m.paused_at, m.paused_itself, m.version, m.failures, m.error, m.failed_at,
    COALESCE((SELECT MAX(a.created_at) FROM attempt a WHERE a.managed_id = m.id), 0) AS begun_at,
    CASE WHEN EXISTS (SELECT 1 FROM attempt a WHERE a.managed_id = m.id AND a.finished_at IS NULL) THEN 1 ELSE 0 END AS under_way
FROM managed_certificate m JOIN managed_issuer mi ON mi.managed_id = m.id JOIN issuer i ON i.id = mi.issuer_id
WHERE m.name = $name AND m.removed_at IS NULL AND i.name = $staging AND i.removed_at IS NULL;

-- query rehearsal_set : exactly
-- doc Whose names a rehearsal is for, and so of which team it is.
-- in id text, rehearses text, team_id text
UPDATE managed_certificate SET rehearses = $rehearses, team_id = $team_id WHERE id = $id;
