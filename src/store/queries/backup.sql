-- Backups, and what a restore changes.

-- query backup_add : none
-- doc A backup that is asked for, or begins.
-- in id text, state text, scheduled i64, asked_by text, now i64
INSERT INTO backup (id, state, scheduled, asked_by, began_at) VALUES ($id, $state, $scheduled, $asked_by, $now);

-- query backup_get : maybe
-- doc One backup.
-- in id text
-- out id text, state text, scheduled i64, asked_by text, began_at i64, ended_at i64?, bytes i64?, place text?, error text?
SELECT id, state, scheduled, asked_by, began_at, ended_at, bytes, place, error FROM backup WHERE id = $id;

-- query backup_list : many
-- doc Backups, newest first.
-- in limit i64
-- row backup_get
SELECT id, state, scheduled, asked_by, began_at, ended_at, bytes, place, error FROM backup ORDER BY began_at DESC, id DESC LIMIT $limit;

-- query backup_asked : maybe
-- doc The next one that somebody asked for.
-- row backup_get
SELECT id, state, scheduled, asked_by, began_at, ended_at, bytes, place, error FROM backup WHERE state = 'asked' ORDER BY began_at, id LIMIT 1;

-- query backup_running : exactly
-- doc A backup that was asked for is being made.
-- in id text
UPDATE backup SET state = 'running' WHERE id = $id AND state = 'asked';

-- query backup_ended : none
-- doc How it ended.
-- in id text, state text, now i64, bytes i64?, place text?, error text?
UPDATE backup SET state = $state, ended_at = $now, bytes = $bytes, place = $place, error = $error WHERE id = $id;

-- query backup_cut : none
-- doc Those that a hub did not bring to their end.
-- in now i64, before i64
UPDATE backup SET state = 'failed', ended_at = $now, error = 'the hub ended before the backup did'
WHERE state IN ('asked', 'running') AND began_at <= $before;

-- query backup_times : one
-- doc When the last good backup began, and when the last one on schedule was tried; 0: never.
-- out good_at i64, tried_at i64, scheduled_at i64
SELECT COALESCE((SELECT MAX(began_at) FROM backup WHERE state = 'done'), 0) AS good_at,
COALESCE((SELECT MAX(began_at) FROM backup WHERE scheduled = 1), 0) AS tried_at,
COALESCE((SELECT MAX(began_at) FROM backup WHERE scheduled = 1 AND state = 'done'), 0) AS scheduled_at;

-- query backup_trim : none
-- doc Rows of long ago.
-- in before i64
DELETE FROM backup WHERE began_at < $before AND state IN ('done', 'failed') AND began_at < (SELECT MAX(b.began_at) FROM backup b WHERE b.state = 'done');

-- query backup_told : one
-- doc When it was last said that backups are old.
-- out told_at i64
SELECT told_at FROM backup_watch WHERE one = 1;

-- query backup_told_set : none
-- doc It is said now.
-- in now i64
UPDATE backup_watch SET told_at = $now WHERE one = 1;

-- query restore_epoch : none
-- doc A new epoch: every fence given before is lower than those to come.
-- in epoch i64
UPDATE installation SET epoch = $epoch WHERE one = 1;

-- query restore_leases : none
-- doc Nobody holds what was leased before.
UPDATE job SET lease_until = 1 WHERE state = 'leased';

-- query restore_sessions : none
-- doc Everybody signs in again.
DELETE FROM session WHERE 1 = 1;

-- query restore_challenges : none
-- doc Nothing that was begun to be signed is good any more.
DELETE FROM passkey_challenge WHERE 1 = 1;

-- query restore_join_tokens : none
-- doc Join tokens end: who used them since is not known.
-- in now i64
UPDATE join_token SET revoked_at = $now WHERE revoked_at IS NULL;

-- query restore_backups : none
-- doc Backups that were under way when this one was made.
-- in now i64
UPDATE backup SET state = 'failed', ended_at = $now, error = 'the installation was restored' WHERE state IN ('asked', 'running');

-- query restore_add : none
-- doc This database came out of a backup.
-- in id text, backup_id text, made_at i64, restored_at i64, epoch i64, unknown text, signer_kept i64
INSERT INTO restore (id, backup_id, made_at, restored_at, epoch, unknown, signer_kept)
VALUES ($id, $backup_id, $made_at, $restored_at, $epoch, $unknown, $signer_kept);

-- query restore_pending : maybe
-- doc A restore that was not compared with the signer's journal yet.
-- out id text, backup_id text, made_at i64, restored_at i64, epoch i64, unknown text, signer_kept i64
SELECT id, backup_id, made_at, restored_at, epoch, unknown, signer_kept FROM restore WHERE done_at IS NULL ORDER BY id DESC LIMIT 1;

-- query restore_done : none
-- doc They were compared.
-- in now i64
UPDATE restore SET done_at = $now WHERE done_at IS NULL;

-- query restore_attempt : maybe
-- doc An attempt that still waits for what the signer made for it.
-- in id text
-- out state text
SELECT state FROM attempt WHERE id = $id AND state NOT IN ('issued', 'failed', 'cancelled');

-- query restore_version : many
-- doc Versions that have this serial number and are not revoked here.
-- in serial blob
-- out managed_id text, number i64, fingerprint blob
SELECT managed_id, number, fingerprint FROM version WHERE serial = $serial AND revoked_at IS NULL;

-- query restore_head : maybe
-- doc The newest head of the audit log that this database has.
-- out size i64, root blob
SELECT size, root FROM audit_head ORDER BY size DESC LIMIT 1;
