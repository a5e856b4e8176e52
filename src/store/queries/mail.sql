-- Addresses that rules and reports write to, and the codes that were sent there.

-- query mail_code : maybe
-- doc The codes that were sent to an address.
-- in address text
-- out sent_at i64, in_a_row i64, day_at i64, day_n i64
SELECT sent_at, in_a_row, day_at, day_n FROM mail_code WHERE address = $address;

-- query mail_code_put : none
-- doc One more is sent.
-- in address text, now i64, in_a_row i64, day_at i64, day_n i64
INSERT INTO mail_code (address, sent_at, in_a_row, day_at, day_n) VALUES ($address, $now, $in_a_row, $day_at, $day_n)
ON CONFLICT (address) DO UPDATE SET sent_at = $now, in_a_row = $in_a_row, day_at = $day_at, day_n = $day_n;

-- query mail_code_good : none
-- doc One of them was brought: the pauses begin anew.
-- in address text
UPDATE mail_code SET in_a_row = 0 WHERE address = $address;

-- query mail_code_hour : one
-- doc How many were sent in an hour, to all.
-- out hour i64, n i64
SELECT hour, n FROM mail_code_hour WHERE one = 1;

-- query mail_code_hour_put : none
-- doc One more was sent.
-- in hour i64, sent i64
UPDATE mail_code_hour SET hour = $hour, n = $sent WHERE one = 1;

-- query mail_code_expire : many
-- doc Retention: addresses that no code was sent to for long.
-- in before i64, limit i64
-- out address text
DELETE FROM mail_code WHERE address IN (SELECT address FROM mail_code WHERE sent_at < $before ORDER BY sent_at LIMIT $limit)
RETURNING address;

-- query mail_address_add : none
-- doc Somebody wants to write there; nothing where it is known.
-- in team_id text, address text, asked_by text, now i64
INSERT INTO mail_address (team_id, address, asked_by, code_tries, created_at) VALUES ($team_id, $address, $asked_by, 0, $now)
ON CONFLICT DO NOTHING;

-- query mail_address_get : maybe
-- doc One of a team.
-- in team_id text, address text
-- out confirmed_at i64?, code_until i64?, code_tries i64
SELECT confirmed_at, code_until, code_tries FROM mail_address WHERE team_id = $team_id AND address = $address;

-- query mail_address_good : maybe
-- doc Whether a team, or one above it, may write there.
-- in team text, address text
-- out address text
SELECT m.address FROM mail_address m JOIN team_within w ON w.ancestor_id = m.team_id
WHERE m.address = $address AND m.confirmed_at IS NOT NULL AND w.team_id = $team LIMIT 1;

-- query mail_address_code : none
-- doc A new code was sent there.
-- in team_id text, address text, code_hash blob, code_until i64
UPDATE mail_address SET code_hash = $code_hash, code_until = $code_until, code_tries = 0
WHERE team_id = $team_id AND address = $address AND confirmed_at IS NULL;

-- query mail_address_tried : none
-- doc A code was tried that is not its.
-- in team_id text, address text
UPDATE mail_address SET code_tries = code_tries + 1 WHERE team_id = $team_id AND address = $address;

-- query mail_address_confirmed : none
-- doc Who reads there wants to hear from here.
-- in team_id text, address text, now i64
UPDATE mail_address SET confirmed_at = $now, code_hash = NULL, code_until = NULL WHERE team_id = $team_id AND address = $address;

-- query mail_address_forget : none
-- doc Nothing is written there any more.
-- in team_id text, address text
DELETE FROM mail_address WHERE team_id = $team_id AND address = $address;

-- query mail_address_list : many
-- doc Those within a team, behind a place of the list.
-- in scope text, after text, limit i64
-- out place text, team_id text, team text, address text, asked_by text, confirmed_at i64?, code_hash blob?, code_until i64?, code_tries i64, created_at i64
SELECT m.address || ' ' || m.team_id AS place, m.team_id, t.name AS team, m.address, m.asked_by, m.confirmed_at, m.code_hash, m.code_until,
    m.code_tries, m.created_at
FROM mail_address m JOIN team t ON t.id = m.team_id
WHERE m.address || ' ' || m.team_id > $after AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY place LIMIT $limit;

-- query mail_address_of : many
-- doc The same, of one address.
-- in scope text, address text
-- row mail_address_list
SELECT m.address || ' ' || m.team_id AS place, m.team_id, t.name AS team, m.address, m.asked_by, m.confirmed_at, m.code_hash, m.code_until,
    m.code_tries, m.created_at
FROM mail_address m JOIN team t ON t.id = m.team_id
WHERE m.address = $address AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.team_id LIMIT 100;

-- query user_by_verified : maybe
-- doc Somebody whose address an identity provider vouched for.
-- in address text
-- out id text
SELECT id FROM user_account WHERE email_verified = $address AND email_verified <> '' AND state = 'active' LIMIT 1;

-- query user_verified : none
-- doc A provider vouches for the address of an account.
-- in id text, email text, plain text
UPDATE user_account SET email_verified = $plain
WHERE id = $id AND LOWER(email) = LOWER($email) AND email_verified <> $plain;

-- query channel_mails : maybe
-- doc The channel of mail that is nearest to a team: its own, or of one above; one that works first.
-- in team text
-- out id text
SELECT c.id FROM channel c JOIN team_within w ON w.ancestor_id = c.team_id
WHERE w.team_id = $team AND c.removed_at IS NULL AND EXISTS (SELECT 1 FROM channel_address m WHERE m.channel_id = c.id)
ORDER BY CASE WHEN c.failing_since IS NULL THEN 0 ELSE 1 END,
    (SELECT COUNT(*) FROM team_within v WHERE v.team_id = c.team_id) DESC, c.id LIMIT 1;
