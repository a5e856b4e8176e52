-- Managed certificates, their versions, attempts, challenges, deployments and steps.

-- query managed_add : none
-- doc A new managed certificate.
-- in id text, team_id text, name text, wish json, wish_hash blob, first_name text, now i64
INSERT INTO managed_certificate (id, team_id, name, wish, wish_hash, first_name, failures, refusals, version, attempts, revision, created_at, updated_at)
VALUES ($id, $team_id, $name, $wish, $wish_hash, $first_name, 0, 0, 0, 0, 1, $now, $now);

-- query managed_issuer_add : none
-- doc The issuer at a position of the order.
-- in managed_id text, position i64, issuer_id text
INSERT INTO managed_issuer (managed_id, position, issuer_id) VALUES ($managed_id, $position, $issuer_id);

-- query managed_issuers_clear : none
-- doc Forgets the order of issuers.
-- in managed_id text
DELETE FROM managed_issuer WHERE managed_id = $managed_id;

-- query managed_issuers : many
-- doc The issuers of a managed certificate, in order.
-- in managed_id text
-- out issuer_id text, name text, kind text
SELECT mi.issuer_id, i.name, i.kind FROM managed_issuer mi JOIN issuer i ON i.id = mi.issuer_id
WHERE mi.managed_id = $managed_id ORDER BY mi.position LIMIT 100;

-- query managed_target_add : none
-- doc A target of a managed certificate.
-- in managed_id text, target_id text
INSERT INTO managed_target (managed_id, target_id) VALUES ($managed_id, $target_id) ON CONFLICT DO NOTHING;

-- query managed_target_drop : none
-- doc A target is no longer one of a managed certificate's.
-- in managed_id text, target_id text
DELETE FROM managed_target WHERE managed_id = $managed_id AND target_id = $target_id;

-- query managed_target_drop_all : none
-- doc A target serves nothing any more.
-- in target_id text
DELETE FROM managed_target WHERE target_id = $target_id;

-- query managed_targets : many
-- doc The targets of a managed certificate.
-- in managed_id text
-- out target_id text, name text, agent_id text
SELECT mt.target_id, t.name, t.agent_id FROM managed_target mt JOIN target t ON t.id = mt.target_id
WHERE mt.managed_id = $managed_id ORDER BY t.name LIMIT 10000;

-- query managed_out : maybe
-- doc Whether a key of a managed certificate has ever left for a target or for somebody who downloads.
-- in managed_id text
-- out id text
SELECT m.id FROM managed_certificate m WHERE m.id = $managed_id AND (EXISTS (SELECT 1 FROM managed_target t WHERE t.managed_id = m.id)
    OR EXISTS (SELECT 1 FROM deployment d WHERE d.managed_id = m.id)
    OR EXISTS (SELECT 1 FROM version v JOIN download_key k ON k.attempt_id = v.attempt_id WHERE v.managed_id = m.id));

-- query managed_get : maybe
-- doc One managed certificate within a team, by id or name.
-- in ref text, scope text
-- out id text, team_id text, name text, wish json, wish_hash blob, paused_reason text?, paused_at i64?, failures i64, refusals i64, error_code text?, error text?, failed_at i64?, version i64, attempts i64, revision i64, created_at i64, updated_at i64
SELECT id, team_id, name, wish, wish_hash, paused_reason, paused_at, failures, refusals, error_code, error, failed_at, version, attempts, revision, created_at, updated_at
FROM managed_certificate m
WHERE (m.id = $ref OR (m.name = $ref AND m.removed_at IS NULL)) AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
LIMIT 1;

-- query managed_by_id : one
-- doc One managed certificate, for the hub's own work (also a removed one).
-- in id text
-- out id text, team_id text, name text, wish json, wish_hash blob, paused_at i64?, failures i64, refusals i64, version i64, renew_above i64, attempts i64, revision i64, rehearses text?, removed_at i64?
SELECT id, team_id, name, wish, wish_hash, paused_at, failures, refusals, version, renew_above, attempts, revision, rehearses, removed_at
FROM managed_certificate WHERE id = $id;

-- query managed_list : many
-- doc Managed certificates within a team, in the order of their ids.
-- in scope text, after text, limit i64
-- row managed_get
SELECT id, team_id, name, wish, wish_hash, paused_reason, paused_at, failures, refusals, error_code, error, failed_at, version, attempts, revision, created_at, updated_at
FROM managed_certificate m
WHERE m.id > $after AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.id LIMIT $limit;

-- query managed_update : exactly
-- doc A new wish for a managed certificate whose revision is the one seen.
-- in id text, wish json, wish_hash blob, first_name text, revision i64, now i64
UPDATE managed_certificate SET wish = $wish, wish_hash = $wish_hash, first_name = $first_name, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision AND removed_at IS NULL;

-- query managed_attempt_begun : exactly
-- doc Counts an attempt.
-- in id text, attempts i64
UPDATE managed_certificate SET attempts = $attempts WHERE id = $id AND attempts = $attempts - 1;

-- query managed_version_set : exactly
-- doc Which version is the current one.
-- in id text, version i64, now i64
UPDATE managed_certificate SET version = $version, revision = revision + 1, updated_at = $now WHERE id = $id;

-- query managed_renew_above : exactly
-- doc A version above this number is wished.
-- in id text, renew_above i64
UPDATE managed_certificate SET renew_above = $renew_above WHERE id = $id;

-- query managed_succeeded : exactly
-- doc Everything went well: failures are forgotten.
-- in id text
UPDATE managed_certificate SET failures = 0, refusals = 0, error_code = NULL, error = NULL, failed_at = NULL WHERE id = $id;

-- query managed_failed : exactly
-- doc A try failed.
-- in id text, refusals i64, error_code text, error text, now i64
UPDATE managed_certificate SET failures = failures + 1, refusals = $refusals, error_code = $error_code, error = $error, failed_at = $now
WHERE id = $id;

-- query managed_pause : exactly
-- doc Pauses: no attempt begins until it is resumed.
-- in id text, reason text, now i64
UPDATE managed_certificate SET paused_reason = $reason, paused_at = $now, paused_itself = 0, revision = revision + 1, updated_at = $now WHERE id = $id;

-- query managed_pause_itself : exactly
-- doc Pauses after failures: no attempt begins until it is resumed, or what made it fail has changed.
-- in id text, reason text, now i64
UPDATE managed_certificate SET paused_reason = $reason, paused_at = $now, paused_itself = 1, revision = revision + 1, updated_at = $now WHERE id = $id;

-- query managed_resume : exactly
-- doc Ends a pause.
-- in id text, now i64
UPDATE managed_certificate SET paused_reason = NULL, paused_at = NULL, paused_itself = 0, refusals = 0, revision = revision + 1, updated_at = $now WHERE id = $id;

-- query managed_remove : exactly
-- doc Removes a managed certificate; what is served stays as it is.
-- in id text, now i64
UPDATE managed_certificate SET removed_at = $now, revision = revision + 1, updated_at = $now WHERE id = $id AND removed_at IS NULL;

-- query managed_failing : many
-- doc Managed certificates whose last try failed, newest first.
-- in scope text, limit i64
-- out id text, name text, failures i64, error text?, paused_reason text?, version i64
SELECT id, name, failures, error, paused_reason, version FROM managed_certificate m
WHERE m.failures > 0 AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.failed_at DESC LIMIT $limit;

-- query managed_paused : many
-- doc Managed certificates that are paused.
-- in scope text, limit i64
-- out id text, name text, paused_reason text?, version i64
SELECT id, name, paused_reason, version FROM managed_certificate m
WHERE m.paused_at IS NOT NULL AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.paused_at DESC LIMIT $limit;

-- query managed_count : one
-- doc How many there are, up to a ceiling: a status line needs no more.
-- in scope text, most i64
-- out n i64
SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM managed_certificate m WHERE m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope) LIMIT $most) few;

-- query version_add : none
-- doc A version: a certificate this managed certificate got.
-- in managed_id text, number i64, attempt_id text, issuer_id text, certificate_id i64, fingerprint blob, serial blob, names json, chain_sha256 blob, wish_hash blob, not_before i64, not_after i64, renew_at i64, now i64
INSERT INTO version (managed_id, number, attempt_id, issuer_id, certificate_id, fingerprint, serial, names, chain_sha256, wish_hash, not_before, not_after,
    renew_at, created_at)
VALUES ($managed_id, $number, $attempt_id, $issuer_id, $certificate_id, $fingerprint, $serial, $names, $chain_sha256, $wish_hash, $not_before, $not_after,
    $renew_at, $now);

-- query version_certificate : maybe
-- doc The certificate of a version.
-- in managed_id text, number i64
-- out certificate_id i64
SELECT certificate_id FROM version WHERE managed_id = $managed_id AND number = $number;

-- query version_get : maybe
-- doc One version with its certificate and issuer.
-- in managed_id text, number i64
-- out number i64, attempt_id text, issuer_id text, issuer text, issuer_kind text, fingerprint blob, dictionary i64, packed blob, serial blob, chain_sha256 blob, wish_hash blob, not_before i64, not_after i64, renew_at i64, revoked_at i64?, revoke_reason i64?, created_at i64
SELECT v.number, v.attempt_id, v.issuer_id, i.name AS issuer, i.kind AS issuer_kind, v.fingerprint, d.dictionary, d.der AS packed, v.serial, v.chain_sha256, v.wish_hash,
    v.not_before, v.not_after, v.renew_at, v.revoked_at, v.revoke_reason, v.created_at
FROM version v JOIN issuer i ON i.id = v.issuer_id JOIN certificate_der d ON d.id = v.certificate_id
WHERE v.managed_id = $managed_id AND v.number = $number;

-- query version_list : many
-- doc Versions, newest first, before a number.
-- in managed_id text, before i64, limit i64
-- out number i64, attempt_id text, issuer text, fingerprint blob, serial blob, not_before i64, not_after i64, renew_at i64, revoked_at i64?, revoke_reason i64?, created_at i64
SELECT v.number, v.attempt_id, i.name AS issuer, v.fingerprint, v.serial, v.not_before, v.not_after, v.renew_at, v.revoked_at, v.revoke_reason, v.created_at
FROM version v JOIN issuer i ON i.id = v.issuer_id
WHERE v.managed_id = $managed_id AND v.number < $before ORDER BY v.number DESC LIMIT $limit;

-- query version_newest : maybe
-- doc The number of the newest version.
-- in managed_id text
-- out number i64
SELECT number FROM version WHERE managed_id = $managed_id ORDER BY number DESC LIMIT 1;

-- query version_renew_at : none
-- doc A new time to renew, as the issuer's ARI says.
-- in managed_id text, number i64, renew_at i64
UPDATE version SET renew_at = $renew_at WHERE managed_id = $managed_id AND number = $number;

-- query version_revoked : none
-- doc A version is revoked.
-- in managed_id text, number i64, reason i64, now i64
UPDATE version SET revoked_at = $now, revoke_reason = $reason WHERE managed_id = $managed_id AND number = $number AND revoked_at IS NULL;

-- query attempt_add : none
-- doc A new attempt.
-- in id text, managed_id text, number i64, state text, reason text, issuer_id text, agent_id text, wish json, wish_hash blob, now i64
INSERT INTO attempt (id, managed_id, number, state, reason, issuer_id, agent_id, wish, wish_hash, created_at)
VALUES ($id, $managed_id, $number, $state, $reason, $issuer_id, $agent_id, $wish, $wish_hash, $now);

-- query attempt_by_id : one
-- doc One attempt, for the hub's own work.
-- in id text
-- out id text, managed_id text, number i64, state text, reason text, issuer_id text, agent_id text, wish json, wish_hash blob, csr blob?, spki_sha256 blob?, order_url text?, finalize_url text?, certificate_url text?, version i64?, error_code text?, error text?, created_at i64, finished_at i64?
SELECT id, managed_id, number, state, reason, issuer_id, agent_id, wish, wish_hash, csr, spki_sha256, order_url, finalize_url, certificate_url, version, error_code, error, created_at, finished_at
FROM attempt WHERE id = $id;

-- query attempt_open : maybe
-- doc The attempt of a managed certificate that is under way.
-- in managed_id text
-- out id text, number i64, state text, reason text, wish_hash blob, created_at i64
SELECT id, number, state, reason, wish_hash, created_at FROM attempt WHERE managed_id = $managed_id AND finished_at IS NULL;

-- query attempt_old : many
-- doc Attempts within a team that have been under way since before a time, and those that wait for people.
-- in before i64, scope text, limit i64
-- out managed_id text, managed text, number i64, state text, created_at i64, version i64, failures i64
SELECT m.id AS managed_id, m.name AS managed, a.number, a.state, a.created_at, m.version, m.failures
FROM attempt a JOIN managed_certificate m ON m.id = a.managed_id
WHERE a.finished_at IS NULL AND (a.created_at < $before OR a.state = 'manual')
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY a.created_at LIMIT $limit;

-- query attempt_state : exactly
-- doc One transition: only from the state it was in.
-- in id text, from text, to text, finished_at i64?
UPDATE attempt SET state = $to, finished_at = $finished_at WHERE id = $id AND state = $from;

-- query attempt_key : exactly
-- doc The request for the key that was made.
-- in id text, csr blob, spki_sha256 blob
UPDATE attempt SET csr = $csr, spki_sha256 = $spki_sha256 WHERE id = $id;

-- query attempt_order : exactly
-- doc Where the order is; a word not said leaves the old one.
-- in id text, order_url text?, finalize_url text?, certificate_url text?
UPDATE attempt SET order_url = COALESCE($order_url, order_url), finalize_url = COALESCE($finalize_url, finalize_url),
    certificate_url = COALESCE($certificate_url, certificate_url) WHERE id = $id;

-- query attempt_version : exactly
-- doc The version an attempt led to.
-- in id text, version i64
UPDATE attempt SET version = $version WHERE id = $id;

-- query attempt_error : exactly
-- doc Why an attempt failed.
-- in id text, error_code text, error text
UPDATE attempt SET error_code = $error_code, error = $error WHERE id = $id;

-- query attempt_list : many
-- doc Attempts of a managed certificate, newest first.
-- in managed_id text, before i64, limit i64
-- out id text, number i64, state text, reason text, issuer text, order_url text?, version i64?, error_code text?, error text?, created_at i64, finished_at i64?
SELECT a.id, a.number, a.state, a.reason, i.name AS issuer, a.order_url, a.version, a.error_code, a.error, a.created_at, a.finished_at
FROM attempt a JOIN issuer i ON i.id = a.issuer_id
WHERE a.managed_id = $managed_id AND a.number < $before ORDER BY a.number DESC LIMIT $limit;

-- query attempt_show : maybe
-- doc One attempt within a team.
-- in id text, scope text
-- out id text, managed_id text, managed text, number i64, state text, reason text, issuer text, order_url text?, version i64?, error_code text?, error text?, created_at i64, finished_at i64?
SELECT a.id, a.managed_id, m.name AS managed, a.number, a.state, a.reason, i.name AS issuer, a.order_url, a.version, a.error_code, a.error, a.created_at, a.finished_at
FROM attempt a JOIN issuer i ON i.id = a.issuer_id JOIN managed_certificate m ON m.id = a.managed_id
WHERE a.id = $id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope);

-- query challenge_add : none
-- doc A challenge that is to be answered.
-- in attempt_id text, url text, authorization_url text, identifier text, token text, key_authorization text, agent_id text, via json, method text, provider_id text?
INSERT INTO challenge (attempt_id, url, authorization_url, identifier, token, key_authorization, agent_id, via, state, method, provider_id)
VALUES ($attempt_id, $url, $authorization_url, $identifier, $token, $key_authorization, $agent_id, $via, 'presenting', $method, $provider_id)
ON CONFLICT DO NOTHING;

-- query challenge_list : many
-- doc The challenges of an attempt.
-- in attempt_id text
-- out url text, authorization_url text, identifier text, token text, key_authorization text, agent_id text, via json, state text, method text, provider_id text?
SELECT url, authorization_url, identifier, token, key_authorization, agent_id, via, state, method, provider_id FROM challenge
WHERE attempt_id = $attempt_id ORDER BY url LIMIT 200;

-- query challenge_state : none
-- doc Where a challenge stands.
-- in attempt_id text, url text, state text
UPDATE challenge SET state = $state WHERE attempt_id = $attempt_id AND url = $url;

-- query challenge_cleaned : none
-- doc Retention: challenges taken away are forgotten.
-- in attempt_id text
DELETE FROM challenge WHERE attempt_id = $attempt_id AND state = 'cleaned';

-- query deployment_add : none
-- doc A version on its way to a target.
-- in id text, managed_id text, version i64, target_id text, reason text, tries i64, now i64
INSERT INTO deployment (id, managed_id, version, target_id, state, reason, tries, served, rolled_back, created_at)
VALUES ($id, $managed_id, $version, $target_id, 'waiting', $reason, $tries, '[]', 0, $now);

-- query deployment_by_id : one
-- doc One deployment, for the hub's own work.
-- in id text
-- out id text, managed_id text, version i64, target_id text, state text, reason text, tries i64, created_at i64, finished_at i64?
SELECT id, managed_id, version, target_id, state, reason, tries, created_at, finished_at FROM deployment WHERE id = $id;

-- query deployment_state : exactly
-- doc One transition: only from the state it was in.
-- in id text, from text, to text, finished_at i64?
UPDATE deployment SET state = $to, finished_at = $finished_at WHERE id = $id AND state = $from;

-- query deployment_proof : exactly
-- doc How a deployment ended: what was seen, and why it failed where it did.
-- in id text, served json, rolled_back i64, error_code text?, error text?, retry_at i64?
UPDATE deployment SET served = $served, rolled_back = $rolled_back, error_code = $error_code, error = $error, retry_at = $retry_at
WHERE id = $id;

-- query deployment_open_of_target : many
-- doc What is on its way to a target.
-- in target_id text
-- out id text, managed_id text, version i64, state text
SELECT id, managed_id, version, state FROM deployment WHERE target_id = $target_id AND finished_at IS NULL ORDER BY id LIMIT 100;

-- query deployment_open_of_managed : many
-- doc What is on its way for a managed certificate.
-- in managed_id text
-- out id text, target_id text, target text, agent_id text, agent text, agent_state text, agent_seen_at i64, version i64, state text, tries i64, hold_until i64?
SELECT d.id, d.target_id, t.name AS target, a.id AS agent_id, a.name AS agent, a.state AS agent_state, a.seen_at AS agent_seen_at, d.version, d.state, d.tries, d.hold_until
FROM deployment d JOIN target t ON t.id = d.target_id JOIN agent a ON a.id = t.agent_id
WHERE d.managed_id = $managed_id AND d.finished_at IS NULL ORDER BY d.id LIMIT 10000;

-- query deployment_held : one
-- doc What a deployment waits for.
-- in id text
-- out reason text, hold_until i64?
SELECT reason, hold_until FROM deployment WHERE id = $id;

-- query deployment_hold : exactly
-- doc A deployment waits for a maintenance window, or no more.
-- in id text, hold_until i64?
UPDATE deployment SET hold_until = $hold_until WHERE id = $id;

-- query deployment_newest : maybe
-- doc The newest deployment of a managed certificate to a target.
-- in managed_id text, target_id text
-- out id text, version i64, state text, tries i64, error_code text?, error text?, retry_at i64?, rolled_back i64, finished_at i64?
SELECT id, version, state, tries, error_code, error, retry_at, rolled_back, finished_at FROM deployment
WHERE managed_id = $managed_id AND target_id = $target_id ORDER BY id DESC LIMIT 1;

-- query deployment_list : many
-- doc Deployments within a team, newest first.
-- in scope text, before text, limit i64
-- row deployment_show
SELECT d.id, d.managed_id, m.name AS managed, d.version, t.name AS target, d.state, d.reason, d.tries, d.served, d.rolled_back, d.error_code, d.error, d.retry_at, d.created_at, d.finished_at
FROM deployment d JOIN managed_certificate m ON m.id = d.managed_id JOIN target t ON t.id = d.target_id
WHERE d.id < $before
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY d.id DESC LIMIT $limit;

-- query deployment_list_of : many
-- doc Deployments of a managed certificate, newest first.
-- in managed_id text, before text, limit i64
-- row deployment_show
SELECT d.id, d.managed_id, m.name AS managed, d.version, t.name AS target, d.state, d.reason, d.tries, d.served, d.rolled_back, d.error_code, d.error, d.retry_at, d.created_at, d.finished_at
FROM deployment d JOIN managed_certificate m ON m.id = d.managed_id JOIN target t ON t.id = d.target_id
WHERE d.managed_id = $managed_id AND d.id < $before
ORDER BY d.id DESC LIMIT $limit;

-- query deployment_show : maybe
-- doc One deployment within a team.
-- in id text, scope text
-- out id text, managed_id text, managed text, version i64, target text, state text, reason text, tries i64, served json, rolled_back i64, error_code text?, error text?, retry_at i64?, created_at i64, finished_at i64?
SELECT d.id, d.managed_id, m.name AS managed, d.version, t.name AS target, d.state, d.reason, d.tries, d.served, d.rolled_back, d.error_code, d.error, d.retry_at, d.created_at, d.finished_at
FROM deployment d JOIN managed_certificate m ON m.id = d.managed_id JOIN target t ON t.id = d.target_id
WHERE d.id = $id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope);

-- query placement_set : none
-- doc What is at a target now.
-- in target_id text, managed_id text, version i64, fingerprint blob, now i64
INSERT INTO placement (target_id, managed_id, version, fingerprint, at) VALUES ($target_id, $managed_id, $version, $fingerprint, $now)
ON CONFLICT (target_id) DO UPDATE SET managed_id = excluded.managed_id, version = excluded.version, fingerprint = excluded.fingerprint, at = excluded.at;

-- query placement_get : maybe
-- doc What is at a target now.
-- in target_id text
-- out managed_id text, version i64, fingerprint blob, at i64
SELECT managed_id, version, fingerprint, at FROM placement WHERE target_id = $target_id;

-- query placement_versions : many
-- doc The versions of a managed certificate that are at its targets.
-- in managed_id text, limit i64
-- out version i64
SELECT DISTINCT version FROM placement WHERE managed_id = $managed_id ORDER BY version LIMIT $limit;

-- query placement_drop : none
-- doc A target is no longer ours.
-- in target_id text
DELETE FROM placement WHERE target_id = $target_id;

-- query target_endpoint_set : none
-- doc What was seen at an endpoint; first_seen stays while the same is seen.
-- in target_id text, address text, port i64, name text, verdict text, fingerprint blob?, detail text, now i64
INSERT INTO target_endpoint (target_id, address, port, name, verdict, fingerprint, detail, first_seen, last_seen)
VALUES ($target_id, $address, $port, $name, $verdict, $fingerprint, $detail, $now, $now)
ON CONFLICT (target_id, address, port, name) DO UPDATE SET
    first_seen = CASE WHEN target_endpoint.fingerprint = excluded.fingerprint AND target_endpoint.verdict = excluded.verdict
                      THEN target_endpoint.first_seen ELSE excluded.first_seen END,
    verdict = excluded.verdict, fingerprint = excluded.fingerprint, detail = excluded.detail, last_seen = excluded.last_seen;

-- query target_endpoint_clear : none
-- doc Forgets what was seen at a target.
-- in target_id text
DELETE FROM target_endpoint WHERE target_id = $target_id;

-- query target_endpoint_of_managed : many
-- doc What was seen at the targets of a managed certificate.
-- in managed_id text
-- out target text, target_id text, address text, port i64, name text, verdict text, fingerprint blob?, detail text, first_seen i64, last_seen i64
SELECT t.name AS target, o.target_id, o.address, o.port, o.name, o.verdict, o.fingerprint, o.detail, o.first_seen, o.last_seen
FROM managed_target mt JOIN target_endpoint o ON o.target_id = mt.target_id JOIN target t ON t.id = mt.target_id
WHERE mt.managed_id = $managed_id ORDER BY t.name, o.address, o.port, o.name LIMIT 10000;

-- query target_endpoint_bad : many
-- doc Endpoints of managed certificates where something else than the right certificate was seen last.
-- in scope text, limit i64
-- out managed text, target text, address text, port i64, name text, verdict text, detail text, last_seen i64
SELECT m.name AS managed, t.name AS target, o.address, o.port, o.name, o.verdict, o.detail, o.last_seen
FROM target_endpoint o CROSS JOIN managed_target mt CROSS JOIN managed_certificate m CROSS JOIN target t
WHERE mt.target_id = o.target_id AND m.id = mt.managed_id AND t.id = o.target_id AND o.verdict NOT IN ('served', 'installed') AND m.removed_at IS NULL
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY m.name LIMIT $limit;

-- query step_add : none
-- doc One step of the story.
-- in managed_id text, attempt_id text?, deployment_id text?, at_ms i64, name text, text text
INSERT INTO step (managed_id, attempt_id, deployment_id, at_ms, name, text)
VALUES ($managed_id, $attempt_id, $deployment_id, $at_ms, $name, $text);

-- query step_list : many
-- doc The story of a managed certificate after a number.
-- in managed_id text, after i64, limit i64
-- out seq i64, attempt_id text?, deployment_id text?, at_ms i64, name text, text text
SELECT seq, attempt_id, deployment_id, at_ms, name, text FROM step
WHERE managed_id = $managed_id AND seq > $after ORDER BY seq LIMIT $limit;

-- query step_last : one
-- doc The number of the newest step of a managed certificate.
-- in managed_id text
-- out seq i64
SELECT COALESCE(MAX(seq), 0) AS seq FROM step WHERE managed_id = $managed_id;

-- query step_expire : many
-- doc Retention: the story older than a time.
-- in before_ms i64, limit i64
-- out seq i64
DELETE FROM step WHERE seq IN (SELECT seq FROM step ORDER BY seq LIMIT $limit) AND at_ms < $before_ms RETURNING seq;

-- query step_count : one
-- doc How many steps of an attempt are kept, no further than a number.
-- in managed_id text, attempt_id text, most i64
-- out n i64
SELECT COUNT(*) AS n FROM (SELECT 1 FROM step WHERE managed_id = $managed_id AND attempt_id = $attempt_id LIMIT $most) x;

-- query step_there : maybe
-- doc Whether a step was told already: progress and the result may both bring it.
-- in managed_id text, at_ms i64, name text, text text
-- out seq i64
SELECT seq FROM step WHERE managed_id = $managed_id AND at_ms = $at_ms AND name = $name AND text = $text LIMIT 1;
