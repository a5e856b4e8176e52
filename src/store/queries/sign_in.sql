-- How people prove who they are, and their sessions.

-- query sign_in_account : maybe
-- doc Somebody by name, with what they can sign in with.
-- in name text
-- out id text, team_id text, name text, kind text, state text, password text?, totp i64, passkeys i64, codes i64
SELECT u.id, u.team_id, u.name, u.kind, u.state, p.hash AS password,
    (SELECT COUNT(*) FROM user_totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL) AS totp,
    (SELECT COUNT(*) FROM user_passkey k WHERE k.user_id = u.id) AS passkeys,
    (SELECT COUNT(*) FROM user_recovery_code c WHERE c.user_id = u.id AND c.used_at IS NULL) AS codes
FROM user_account u LEFT JOIN user_password p ON p.user_id = u.id WHERE u.name = $name;

-- query sign_in_account_id : maybe
-- doc The same by id.
-- in id text
-- row sign_in_account
SELECT u.id, u.team_id, u.name, u.kind, u.state, p.hash AS password,
    (SELECT COUNT(*) FROM user_totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL) AS totp,
    (SELECT COUNT(*) FROM user_passkey k WHERE k.user_id = u.id) AS passkeys,
    (SELECT COUNT(*) FROM user_recovery_code c WHERE c.user_id = u.id AND c.used_at IS NULL) AS codes
FROM user_account u LEFT JOIN user_password p ON p.user_id = u.id WHERE u.id = $id;

-- query sign_in_label : one
-- doc How somebody is called on pages.
-- in id text
-- out display_name text, email text
SELECT display_name, email FROM user_account WHERE id = $id;

-- query password_set : none
-- doc Somebody's password from now on.
-- in user_id text, hash text, now i64
INSERT INTO user_password (user_id, hash, changed_at) VALUES ($user_id, $hash, $now)
ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at;

-- query password_upgrade : none
-- doc The same password hashed anew, unless it was changed meanwhile.
-- in user_id text, old text, hash text
UPDATE user_password SET hash = $hash WHERE user_id = $user_id AND hash = $old;

-- query password_remove : none
-- doc No password any more.
-- in user_id text
DELETE FROM user_password WHERE user_id = $user_id;

-- query totp_begin : none
-- doc A new secret that no code was shown of yet; one that is confirmed stays (0 rows).
-- in user_id text, sealed blob, now i64
INSERT INTO user_totp (user_id, sealed, confirmed_at, last_step, created_at) VALUES ($user_id, $sealed, NULL, 0, $now)
ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at WHERE user_totp.confirmed_at IS NULL;

-- query totp_get : maybe
-- doc The secret of an authenticator app.
-- in user_id text
-- out sealed blob, confirmed_at i64?, last_step i64
SELECT sealed, confirmed_at, last_step FROM user_totp WHERE user_id = $user_id;

-- query totp_take : exactly
-- doc A code was shown: no other of its step or before.
-- in user_id text, sealed blob, step i64, now i64
UPDATE user_totp SET last_step = $step, confirmed_at = COALESCE(confirmed_at, $now)
WHERE user_id = $user_id AND sealed = $sealed AND last_step < $step;

-- query totp_remove : none
-- doc No authenticator app any more.
-- in user_id text
DELETE FROM user_totp WHERE user_id = $user_id;

-- query passkey_add : none
-- doc A passkey that was made.
-- in id text, user_id text, name text, rp_id text, credential blob, cose blob, sign_count i64, transports json, now i64
INSERT INTO user_passkey (id, user_id, name, rp_id, credential, cose, sign_count, transports, created_at)
VALUES ($id, $user_id, $name, $rp_id, $credential, $cose, $sign_count, $transports, $now);

-- query passkey_list : many
-- doc Somebody's passkeys.
-- in user_id text, limit i64
-- out id text, user_id text, name text, rp_id text, credential blob, cose blob, sign_count i64, transports json, created_at i64, used_at i64?
SELECT id, user_id, name, rp_id, credential, cose, sign_count, transports, created_at, used_at FROM user_passkey
WHERE user_id = $user_id ORDER BY id LIMIT $limit;

-- query passkey_by_credential : maybe
-- doc Whose passkey it is.
-- in credential blob
-- row passkey_list
SELECT id, user_id, name, rp_id, credential, cose, sign_count, transports, created_at, used_at FROM user_passkey WHERE credential = $credential;

-- query passkey_used : exactly
-- doc It was used: its count rises, or is none.
-- in id text, old i64, sign_count i64, now i64
UPDATE user_passkey SET sign_count = $sign_count, used_at = $now WHERE id = $id AND sign_count = $old;

-- query passkey_remove : exactly
-- doc One passkey less.
-- in id text, user_id text
DELETE FROM user_passkey WHERE id = $id AND user_id = $user_id;

-- query passkey_remove_all : none
-- doc No passkeys any more.
-- in user_id text
DELETE FROM user_passkey WHERE user_id = $user_id;

-- query passkey_challenge_add : none
-- doc What an authenticator has to sign.
-- in hash blob, purpose text, session_id text, address text, expires_at i64
INSERT INTO passkey_challenge (hash, purpose, session_id, address, expires_at) VALUES ($hash, $purpose, $session_id, $address, $expires_at);

-- query passkey_challenge_count : one
-- doc How many are open of an address.
-- in address text, now i64
-- out open i64
SELECT COUNT(*) AS open FROM passkey_challenge WHERE address = $address AND expires_at > $now;

-- query passkey_challenge_take : exactly
-- doc It was signed, this once.
-- in hash blob, purpose text, session_id text, now i64
DELETE FROM passkey_challenge WHERE hash = $hash AND purpose = $purpose AND session_id = $session_id AND expires_at > $now;

-- query recovery_add : each
-- doc New recovery codes: only their hashes.
-- in user_id text, hash blob
INSERT INTO user_recovery_code (user_id, hash) VALUES ($user_id, $hash) ON CONFLICT DO NOTHING;

-- query recovery_take : exactly
-- doc A recovery code is good once.
-- in user_id text, hash blob, now i64
UPDATE user_recovery_code SET used_at = $now WHERE user_id = $user_id AND hash = $hash AND used_at IS NULL;

-- query recovery_remove_all : none
-- doc No recovery codes any more.
-- in user_id text
DELETE FROM user_recovery_code WHERE user_id = $user_id;

-- query invitation_set : none
-- doc The one link that somebody has; the one before is good no more.
-- in user_id text, hash blob, created_by text, now i64, expires_at i64
INSERT INTO user_invitation (user_id, hash, created_by, created_at, expires_at) VALUES ($user_id, $hash, $created_by, $now, $expires_at)
ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, created_by = excluded.created_by, created_at = excluded.created_at,
    expires_at = excluded.expires_at;

-- query invitation_by_hash : maybe
-- doc Whom a link is for, while it is good.
-- in hash blob, now i64
-- out user_id text
SELECT i.user_id FROM user_invitation i JOIN user_account u ON u.id = i.user_id
WHERE i.hash = $hash AND i.expires_at > $now AND u.state = 'active' AND u.kind = 'person';

-- query invitation_take : exactly
-- doc A link is good once.
-- in hash blob
DELETE FROM user_invitation WHERE hash = $hash;

-- query invitation_remove_of_others : none
-- doc The link that somebody else has made is good no more.
-- in user_id text, created_by text
DELETE FROM user_invitation WHERE user_id = $user_id AND created_by <> $created_by;

-- query invitation_remove_of_role : none
-- doc The links that others have made to accounts with a role are good no more.
-- in role_id text, created_by text
DELETE FROM user_invitation WHERE created_by <> $created_by AND user_id IN (SELECT user_id FROM access_grant WHERE role_id = $role_id);

-- query invitation_remove : none
-- doc No link any more.
-- in user_id text
DELETE FROM user_invitation WHERE user_id = $user_id;

-- query session_add : none
-- doc Somebody signed in.
-- in id text, user_id text, hash blob, stage text, now i64, ends_at i64, address text, client text
INSERT INTO session (id, user_id, hash, stage, created_at, used_at, confirmed_at, ends_at, address, client)
VALUES ($id, $user_id, $hash, $stage, $now, $now, $now, $ends_at, $address, $client);

-- query session_trim : none
-- doc The newest of somebody's sessions stay.
-- in user_id text, keep i64
DELETE FROM session WHERE user_id = $user_id
  AND id NOT IN (SELECT k.id FROM session k WHERE k.user_id = $user_id ORDER BY k.created_at DESC, k.id DESC LIMIT $keep);

-- query session_by_hash : maybe
-- doc A session that has not ended, of somebody who may sign in.
-- in hash blob, now i64, idle_since i64
-- out id text, user_id text, name text, team_id text, stage text, created_at i64, used_at i64, confirmed_at i64, ends_at i64, address text, client text
SELECT s.id, s.user_id, u.name, u.team_id, s.stage, s.created_at, s.used_at, s.confirmed_at, s.ends_at, s.address, s.client
FROM session s JOIN user_account u ON u.id = s.user_id
WHERE s.hash = $hash AND s.ends_at > $now AND s.used_at > $idle_since AND u.state = 'active' AND u.kind = 'person';

-- query session_list : many
-- doc Somebody's sessions, the newest first.
-- in user_id text, now i64, idle_since i64, limit i64
-- row session_by_hash
SELECT s.id, s.user_id, u.name, u.team_id, s.stage, s.created_at, s.used_at, s.confirmed_at, s.ends_at, s.address, s.client
FROM session s JOIN user_account u ON u.id = s.user_id
WHERE s.user_id = $user_id AND s.ends_at > $now AND s.used_at > $idle_since ORDER BY s.id DESC LIMIT $limit;

-- query session_used : none
-- doc When it was last used, to the minute.
-- in id text, now i64
UPDATE session SET used_at = $now WHERE id = $id AND used_at < $now;

-- query session_rotate : exactly
-- doc The same session under another name in the cookie.
-- in id text, old blob, hash blob, stage text, now i64, ends_at i64
UPDATE session SET hash = $hash, stage = $stage, used_at = $now, confirmed_at = $now, ends_at = $ends_at WHERE id = $id AND hash = $old;

-- query session_remove : exactly
-- doc One session ends.
-- in id text, user_id text
DELETE FROM session WHERE id = $id AND user_id = $user_id;

-- query session_remove_others : none
-- doc All of somebody's sessions but one; '' for all.
-- in user_id text, keep text
DELETE FROM session WHERE user_id = $user_id AND id <> $keep;

-- query failure_get : maybe
-- doc How often somebody has failed.
-- in what text
-- out failures i64, last_at i64, until i64
SELECT failures, last_at, until FROM sign_in_failure WHERE what = $what;

-- query failure_set : none
-- doc It failed, or will have unless it is taken back.
-- in what text, failures i64, now i64, until i64
INSERT INTO sign_in_failure (what, failures, last_at, until) VALUES ($what, $failures, $now, $until)
ON CONFLICT (what) DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at, until = excluded.until;

-- query failure_forget : none
-- doc It went well: nothing is held against it.
-- in what text
DELETE FROM sign_in_failure WHERE what = $what;

-- query failure_less : none
-- doc One try was none.
-- in what text
UPDATE sign_in_failure SET failures = failures - 1, until = 0 WHERE what = $what AND failures > 0;

-- query known_set : none
-- doc Somebody signed in from there.
-- in user_id text, mark text, now i64
INSERT INTO sign_in_known (user_id, mark, seen_at) VALUES ($user_id, $mark, $now)
ON CONFLICT (user_id, mark) DO UPDATE SET seen_at = excluded.seen_at;

-- query known_get : maybe
-- doc Whether somebody signed in from there before.
-- in user_id text, mark text
-- out seen_at i64
SELECT seen_at FROM sign_in_known WHERE user_id = $user_id AND mark = $mark;

-- query known_trim : none
-- doc The latest places of somebody stay.
-- in user_id text, keep i64
DELETE FROM sign_in_known WHERE user_id = $user_id
  AND mark NOT IN (SELECT k.mark FROM sign_in_known k WHERE k.user_id = $user_id ORDER BY k.seen_at DESC, k.mark LIMIT $keep);

-- query known_remove_all : none
-- doc Nowhere is known any more.
-- in user_id text
DELETE FROM sign_in_known WHERE user_id = $user_id;

-- query session_expire : none
-- doc Sessions that have ended.
-- in now i64, idle_since i64
DELETE FROM session WHERE ends_at <= $now OR used_at <= $idle_since;

-- query passkey_challenge_expire : none
-- doc What was not signed in time.
-- in now i64
DELETE FROM passkey_challenge WHERE expires_at <= $now;

-- query failure_expire : none
-- doc Failures of long ago.
-- in before i64
DELETE FROM sign_in_failure WHERE last_at < $before;

-- query known_expire : none
-- doc Places of long ago.
-- in before i64
DELETE FROM sign_in_known WHERE seen_at < $before;

-- query invitation_expire : none
-- doc Links that were not used in time.
-- in now i64
DELETE FROM user_invitation WHERE expires_at <= $now;
