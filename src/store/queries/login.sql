-- OpenID providers, whom they mean, and sign-ins there.

-- query identity_provider_get : maybe
-- doc One by id or name.
-- in ref text
-- out id text, name text, kind text, directory json?, issuer text, client_id text, credential text, scopes json, group_claim text, acr json, amr json, create_accounts bool, team_id text, team text, state text, authorization_endpoint text, token_endpoint text, jwks_uri text, basic bool, tells_issuer bool, jwks text, keys_at i64, looked_at i64?, error text?, revision i64, created_at i64, updated_at i64
SELECT p.id, p.name, p.kind, p.directory, p.issuer, p.client_id, p.credential, p.scopes, p.group_claim, p.acr, p.amr, p.create_accounts, p.team_id, t.name AS team, p.state,
    p.authorization_endpoint, p.token_endpoint, p.jwks_uri, p.basic, p.tells_issuer, p.jwks, p.keys_at, p.looked_at, p.error, p.revision, p.created_at, p.updated_at
FROM identity_provider p JOIN team t ON t.id = p.team_id WHERE p.id = $ref OR p.name = $ref
ORDER BY CASE WHEN p.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query identity_provider_list : many
-- doc All of them.
-- in after text, limit i64
-- row identity_provider_get
SELECT p.id, p.name, p.kind, p.directory, p.issuer, p.client_id, p.credential, p.scopes, p.group_claim, p.acr, p.amr, p.create_accounts, p.team_id, t.name AS team, p.state,
    p.authorization_endpoint, p.token_endpoint, p.jwks_uri, p.basic, p.tells_issuer, p.jwks, p.keys_at, p.looked_at, p.error, p.revision, p.created_at, p.updated_at
FROM identity_provider p JOIN team t ON t.id = p.team_id WHERE p.id > $after ORDER BY p.id LIMIT $limit;

-- query identity_provider_open : many
-- doc Where anybody may sign in.
-- out name text, kind text
SELECT name, kind FROM identity_provider WHERE state = 'active' ORDER BY name LIMIT 100;

-- query identity_provider_add : none
-- doc A new one, not looked at yet.
-- in id text, name text, kind text, directory json?, issuer text, client_id text, credential text, scopes json, group_claim text, acr json, amr json, create_accounts bool, team_id text, state text, now i64
INSERT INTO identity_provider (id, name, kind, directory, issuer, client_id, credential, scopes, group_claim, acr, amr, create_accounts, team_id, state,
    authorization_endpoint, token_endpoint, jwks_uri, basic, tells_issuer, jwks, keys_at, revision, created_at, updated_at)
VALUES ($id, $name, $kind, $directory, $issuer, $client_id, $credential, $scopes, $group_claim, $acr, $amr, $create_accounts, $team_id, $state,
    '', '', '', 1, 0, '', 0, 1, $now, $now);

-- query identity_provider_update : exactly
-- doc What people set of it.
-- in id text, revision i64, directory json?, client_id text, credential text, scopes json, group_claim text, acr json, amr json, create_accounts bool, team_id text, state text, now i64
UPDATE identity_provider SET directory = $directory, client_id = $client_id, credential = $credential, scopes = $scopes, group_claim = $group_claim, acr = $acr,
    amr = $amr, create_accounts = $create_accounts, team_id = $team_id, state = $state, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision;

-- query identity_provider_looked : none
-- doc What it says of itself.
-- in id text, authorization_endpoint text, token_endpoint text, jwks_uri text, basic bool, tells_issuer bool, jwks text, now i64
UPDATE identity_provider SET authorization_endpoint = $authorization_endpoint, token_endpoint = $token_endpoint, jwks_uri = $jwks_uri,
    basic = $basic, tells_issuer = $tells_issuer, jwks = $jwks, keys_at = $now, looked_at = $now, error = NULL WHERE id = $id;

-- query identity_provider_keys : none
-- doc Its keys, asked for anew.
-- in id text, jwks text, now i64
UPDATE identity_provider SET jwks = $jwks, keys_at = $now WHERE id = $id;

-- query identity_provider_failed : none
-- doc It could not be looked at; what is known stays.
-- in id text, error text, now i64
UPDATE identity_provider SET error = $error, looked_at = $now WHERE id = $id;

-- query identity_provider_reached : none
-- doc It answers; written every few minutes, or where it did not before.
-- in id text, now i64, before i64
UPDATE identity_provider SET error = NULL, looked_at = $now WHERE id = $id AND (error IS NOT NULL OR looked_at IS NULL OR looked_at < $before);

-- query identity_provider_remove : none
-- doc Removes it, when nothing speaks of it any more.
-- in id text
DELETE FROM identity_provider WHERE id = $id;

-- query identity_group_list : many
-- doc Which groups have which roles where; what is there no more is left out.
-- in provider_id text
-- out name text, role_id text, role text, permissions json, team_id text, team text
SELECT g.name, g.role_id, r.name AS role, r.permissions, g.team_id, t.name AS team
FROM identity_group g JOIN role r ON r.id = g.role_id JOIN team t ON t.id = g.team_id AND t.removed_at IS NULL
WHERE g.provider_id = $provider_id ORDER BY g.name, r.name, t.name LIMIT 1000;

-- query identity_group_clear : none
-- doc No groups any more.
-- in provider_id text
DELETE FROM identity_group WHERE provider_id = $provider_id;

-- query identity_group_add : none
-- doc A group has a role in a team.
-- in provider_id text, name text, role_id text, team_id text
INSERT INTO identity_group (provider_id, name, role_id, team_id) VALUES ($provider_id, $name, $role_id, $team_id) ON CONFLICT DO NOTHING;

-- query identity_find : maybe
-- doc Whom a provider means.
-- in provider_id text, subject text
-- out id text, user_id text
SELECT id, user_id FROM user_identity WHERE provider_id = $provider_id AND subject = $subject;

-- query identity_add : none
-- doc Binds an account to what a provider says.
-- in id text, user_id text, provider_id text, subject text, created_by text, now i64
INSERT INTO user_identity (id, user_id, provider_id, subject, created_by, created_at)
VALUES ($id, $user_id, $provider_id, $subject, $created_by, $now);

-- query identity_used : none
-- doc Somebody signed in by it.
-- in id text, now i64
UPDATE user_identity SET used_at = $now WHERE id = $id;

-- query identity_login : none
-- doc What they typed there.
-- in provider_id text, subject text, login text
UPDATE user_identity SET login = $login WHERE provider_id = $provider_id AND subject = $subject;

-- query identity_by_login : maybe
-- doc Who typed this there last.
-- in provider_id text, login text
-- out user_id text
SELECT user_id FROM user_identity WHERE provider_id = $provider_id AND login = $login ORDER BY used_at DESC LIMIT 1;

-- query identity_ldap_count : one
-- doc How often an account is bound to directories that leave the second factor to this hub.
-- in user_id text
-- out n i64
SELECT COUNT(*) AS n FROM user_identity i JOIN identity_provider p ON p.id = i.provider_id WHERE i.user_id = $user_id AND p.kind = 'ldap';

-- query identity_ldap_any : one
-- doc Whether there is a directory.
-- out n i64
SELECT COUNT(*) AS n FROM identity_provider WHERE kind = 'ldap';

-- query identity_list : many
-- doc What an account is bound to.
-- in user_id text
-- out id text, provider text, issuer text, subject text, created_by text, created_at i64, used_at i64?
SELECT i.id, p.name AS provider, p.issuer, i.subject, i.created_by, i.created_at, i.used_at
FROM user_identity i JOIN identity_provider p ON p.id = i.provider_id WHERE i.user_id = $user_id ORDER BY i.id LIMIT 100;

-- query identity_count : one
-- doc How often an account is bound.
-- in user_id text
-- out n i64
SELECT COUNT(*) AS n FROM user_identity WHERE user_id = $user_id;

-- query identity_remove : exactly
-- doc Ends it.
-- in id text, user_id text
DELETE FROM user_identity WHERE id = $id AND user_id = $user_id;

-- query identity_end_user : none
-- doc An account is bound to nothing any more.
-- in user_id text
DELETE FROM user_identity WHERE user_id = $user_id;

-- query identity_end_provider : none
-- doc Nobody is bound to a provider any more.
-- in provider_id text
DELETE FROM user_identity WHERE provider_id = $provider_id;

-- query identity_users : many
-- doc Who is bound to a provider.
-- in provider_id text, after text, limit i64
-- out user_id text
SELECT DISTINCT user_id FROM user_identity WHERE provider_id = $provider_id AND user_id > $after ORDER BY user_id LIMIT $limit;

-- query grants_by_provider : many
-- doc What an account has by a provider's groups.
-- in user_id text, created_by text
-- out id text, role_id text, role text, team_id text, team text
SELECT g.id, g.role_id, r.name AS role, g.team_id, t.name AS team FROM access_grant g JOIN role r ON r.id = g.role_id JOIN team t ON t.id = g.team_id
WHERE g.user_id = $user_id AND g.source = 'sso' AND g.created_by = $created_by ORDER BY g.id LIMIT 100;

-- query grant_count_sso : one
-- doc Whether an account has a grant by some provider's groups.
-- in user_id text, role_id text, team_id text
-- out n i64
SELECT COUNT(*) AS n FROM access_grant WHERE user_id = $user_id AND role_id = $role_id AND team_id = $team_id AND source = 'sso';

-- query provider_sign_in_add : none
-- doc A browser came back with a code.
-- in id text, hash blob, provider_id text, nonce text, address text, now i64
INSERT INTO provider_sign_in (id, hash, provider_id, nonce, state, address, created_at)
VALUES ($id, $hash, $provider_id, $nonce, 'asking', $address, $now);

-- query provider_sign_in_get : maybe
-- doc By what the browser's cookie holds.
-- in hash blob
-- out id text, provider_id text, nonce text, state text, user_id text?, error text?, created_at i64
SELECT id, provider_id, nonce, state, user_id, error, created_at FROM provider_sign_in WHERE hash = $hash;

-- query provider_sign_in_by_id : maybe
-- doc The one of a job.
-- in id text
-- row provider_sign_in_get
SELECT id, provider_id, nonce, state, user_id, error, created_at FROM provider_sign_in WHERE id = $id;

-- query provider_sign_in_step : exactly
-- doc On to the next state, from one alone.
-- in id text, was text, state text, user_id text?, error text?
UPDATE provider_sign_in SET state = $state, user_id = $user_id, error = $error WHERE id = $id AND state = $was;

-- query provider_sign_in_recent : one
-- doc How many came from an address of late.
-- in address text, since i64
-- out n i64
SELECT COUNT(*) AS n FROM provider_sign_in WHERE address = $address AND created_at > $since;

-- query provider_sign_in_asking : one
-- doc How many are under way, and how many of them from an address.
-- in address text
-- out all_of i64, own i64
SELECT COUNT(*) AS all_of, COALESCE(SUM(CASE WHEN address = $address THEN 1 ELSE 0 END), 0) AS own FROM provider_sign_in WHERE state = 'asking';

-- query provider_sign_in_oldest : maybe
-- doc Which of those under way goes first: the oldest of an address, else one that nobody waits for any more.
-- in address text, before i64
-- out id text
SELECT id FROM provider_sign_in WHERE state = 'asking' AND (address = $address OR created_at < $before)
ORDER BY CASE WHEN address = $address THEN 0 ELSE 1 END, created_at, id LIMIT 1;

-- query provider_sign_in_expire : none
-- doc Old ones, and the oldest where there are more than so many.
-- in before i64, most i64
DELETE FROM provider_sign_in WHERE created_at < $before
    OR created_at < (SELECT p.created_at FROM provider_sign_in p ORDER BY p.created_at DESC LIMIT 1 OFFSET $most);

-- query provider_sign_in_end : none
-- doc Those of a provider.
-- in provider_id text
DELETE FROM provider_sign_in WHERE provider_id = $provider_id;

-- query job_empty : none
-- doc What jobs of a kind for an object carried: nothing any more.
-- in ref text, kind text
UPDATE job SET payload = '{}' WHERE ref = $ref AND kind = $kind;

-- query token_by_spki : maybe
-- doc A token that is a key: as token_by_hash.
-- in spki_sha256 blob, now i64
-- row token_by_hash
SELECT t.id, t.team_id, t.name, t.role, t.agent_id, t.user_id, t.permissions, t.expires_at, t.used_at,
    r.permissions AS role_permissions
FROM token t LEFT JOIN role r ON r.name = t.role
WHERE t.spki_sha256 = $spki_sha256 AND t.revoked_at IS NULL AND t.expires_at > $now
  AND EXISTS (SELECT 1 FROM user_account u WHERE u.id = t.user_id AND u.state = 'active');

-- query client_key_list : many
-- doc The keys of an account by which the API may be used, within a scope.
-- in user_id text, scope text
-- out id text, name text, role text, team text, permissions json?, spki_sha256 blob, created_at i64, expires_at i64, used_at i64?, revoked_at i64?
SELECT t.id, t.name, t.role, m.name AS team, t.permissions, t.spki_sha256, t.created_at, t.expires_at, t.used_at, t.revoked_at
FROM token t JOIN team m ON m.id = t.team_id WHERE t.user_id = $user_id AND t.spki_sha256 IS NOT NULL AND t.revoked_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.team_id AND w.ancestor_id = $scope)
ORDER BY t.id LIMIT 1000;

-- query token_spki_taken : maybe
-- doc Whether a key is enrolled.
-- in spki_sha256 blob
-- out id text
SELECT id FROM token WHERE spki_sha256 = $spki_sha256 AND revoked_at IS NULL LIMIT 1;
