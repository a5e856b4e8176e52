-- Keys that people download.

-- query download_key_add : none
-- doc The signer is to make a key for an attempt.
-- in attempt_id text, managed_id text, now i64
INSERT INTO download_key (attempt_id, managed_id, state, taken, created_at) VALUES ($attempt_id, $managed_id, 'kept', 0, $now);

-- query download_key_get : maybe
-- doc How the key of an attempt stands.
-- in attempt_id text
-- out attempt_id text, managed_id text, state text, why text?, taken i64, taken_at i64?, taken_by text?, ended_at i64?
SELECT attempt_id, managed_id, state, why, taken, taken_at, taken_by, ended_at FROM download_key WHERE attempt_id = $attempt_id;

-- query download_key_kept : many
-- doc The keys of a managed certificate that are kept.
-- in managed_id text
-- out attempt_id text
SELECT attempt_id FROM download_key WHERE managed_id = $managed_id AND state = 'kept' ORDER BY attempt_id LIMIT 1000;

-- query download_key_taken : none
-- doc It is handed out.
-- in attempt_id text, taken_by text, now i64
UPDATE download_key SET taken = taken + 1, taken_at = $now, taken_by = $taken_by WHERE attempt_id = $attempt_id AND state = 'kept';

-- query download_key_leaves : none
-- doc It is to be destroyed; nobody gets it any more.
-- in attempt_id text, why text, now i64
UPDATE download_key SET state = 'leaving', why = $why, ended_at = $now WHERE attempt_id = $attempt_id AND state = 'kept';

-- query download_key_gone : none
-- doc The signer has destroyed it.
-- in attempt_id text
UPDATE download_key SET state = 'gone' WHERE attempt_id = $attempt_id AND state = 'leaving';

-- query download_grant_set : none
-- doc Somebody may download a key once.
-- in managed_id text, version i64, format text, person text, ends_at i64
INSERT INTO download_grant (managed_id, version, format, person, ends_at) VALUES ($managed_id, $version, $format, $person, $ends_at)
ON CONFLICT (managed_id, version, format, person) DO UPDATE SET ends_at = excluded.ends_at;

-- query download_grant_get : maybe
-- doc Whether somebody may, until when.
-- in managed_id text, version i64, format text, person text, now i64
-- out ends_at i64
SELECT ends_at FROM download_grant
WHERE managed_id = $managed_id AND version = $version AND format = $format AND person = $person AND ends_at > $now;

-- query download_grant_spend : none
-- doc It is used up; and those that nobody used in time go.
-- in managed_id text, version i64, format text, person text, now i64
DELETE FROM download_grant
WHERE ends_at <= $now OR (managed_id = $managed_id AND version = $version AND format = $format AND person = $person);
