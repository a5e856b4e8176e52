-- ACME accounts, renewal information, records that persist.

-- query issuer_eab_set : none
-- doc The sealed key of the external account binding.
-- in id text, eab_sealed blob?
UPDATE issuer SET eab_sealed = $eab_sealed WHERE id = $id;

-- query issuer_eab : one
-- doc The sealed key of the external account binding.
-- in id text
-- out eab_sealed blob?
SELECT eab_sealed FROM issuer WHERE id = $id;

-- query issuer_account_asked : none
-- doc The CA is being asked about an account.
-- in issuer_id text, verb text, now i64
INSERT INTO issuer_account (issuer_id, verb, state, asked_at) VALUES ($issuer_id, $verb, 'asked', $now)
ON CONFLICT (issuer_id) DO UPDATE SET verb = $verb, state = 'asked', asked_at = $now, error_code = NULL, error = NULL;

-- query issuer_account_said : none
-- doc What the CA said of an account.
-- in issuer_id text, status text, contacts json, profiles json, terms_of_service text?, now i64
UPDATE issuer_account SET state = 'done', answered_at = $now, status = $status, contacts = $contacts, profiles = $profiles,
    terms_of_service = $terms_of_service WHERE issuer_id = $issuer_id;

-- query issuer_account_failed : none
-- doc The CA could not be asked about an account, or refused.
-- in issuer_id text, error_code text, error text, now i64
UPDATE issuer_account SET state = 'failed', answered_at = $now, error_code = $error_code, error = $error WHERE issuer_id = $issuer_id;

-- query issuer_account_get : maybe
-- doc What is known of an account.
-- in issuer_id text
-- out verb text, state text, asked_at i64, answered_at i64?, status text?, contacts json?, profiles json?, terms_of_service text?, error_code text?, error text?
SELECT verb, state, asked_at, answered_at, status, contacts, profiles, terms_of_service, error_code, error
FROM issuer_account WHERE issuer_id = $issuer_id;

-- query managed_paused_by_account : many
-- doc Managed certificates that paused because their only issuer did not accept the account.
-- in issuer_id text
-- out id text
SELECT m.id FROM managed_certificate m JOIN managed_issuer i ON i.managed_id = m.id
WHERE i.issuer_id = $issuer_id AND m.removed_at IS NULL AND m.paused_at IS NOT NULL AND m.error_code = 'account' ORDER BY m.id;

-- query version_account : none
-- doc Which account has issued a version, and when its issuer is asked about it.
-- in managed_id text, number i64, account_url text?, ari_at i64
UPDATE version SET account_url = $account_url, ari_at = $ari_at WHERE managed_id = $managed_id AND number = $number;

-- query version_replaced : none
-- doc Another one stands for it at the CA.
-- in managed_id text, number i64, now i64
UPDATE version SET replaced_at = $now WHERE managed_id = $managed_id AND number = $number AND replaced_at IS NULL;

-- query version_predecessor : maybe
-- doc The certificate that an order of this issuer may name as replaced: the current one, issued by the same account, not replaced yet.
-- in managed_id text, number i64, issuer_id text
-- out number i64, dictionary i64, packed blob, account_url text?
SELECT v.number, d.dictionary, d.der AS packed, v.account_url FROM version v JOIN issuer i ON i.id = v.issuer_id JOIN certificate_der d ON d.id = v.certificate_id
WHERE v.managed_id = $managed_id AND v.number = $number AND v.issuer_id = $issuer_id AND v.replaced_at IS NULL
  AND i.kind = 'acme' AND i.account_url IS NOT NULL AND v.account_url = i.account_url;

-- query ari_due : many
-- doc Current versions of an issuer that it is asked about now.
-- in issuer_id text, now i64, limit i64
-- out managed_id text, number i64, dictionary i64, packed blob
SELECT v.managed_id, v.number, d.dictionary, d.der AS packed FROM version v JOIN managed_certificate m ON m.id = v.managed_id AND m.version = v.number
JOIN certificate_der d ON d.id = v.certificate_id
WHERE v.issuer_id = $issuer_id AND m.removed_at IS NULL AND v.revoked_at IS NULL AND v.not_after > $now
  AND (v.ari_at IS NULL OR v.ari_at <= $now) ORDER BY v.managed_id LIMIT $limit;

-- query ari_open : maybe
-- doc A batch of an issuer that has not been answered yet.
-- in issuer_id text
-- out id text
SELECT id FROM job WHERE ref = $issuer_id AND kind = 'renewal_info' AND state IN ('ready', 'leased') LIMIT 1;

-- query ari_next : maybe
-- doc When an issuer is asked next about one of its current versions.
-- in issuer_id text, now i64
-- out at i64
SELECT COALESCE(v.ari_at, 0) AS at FROM version v JOIN managed_certificate m ON m.id = v.managed_id AND m.version = v.number
WHERE v.issuer_id = $issuer_id AND m.removed_at IS NULL AND v.revoked_at IS NULL AND v.not_after > $now
ORDER BY COALESCE(v.ari_at, 0) LIMIT 1;

-- query ari_asked : none
-- doc When an issuer is asked again about a version.
-- in managed_id text, number i64, ari_at i64
UPDATE version SET ari_at = $ari_at WHERE managed_id = $managed_id AND number = $number;

-- query ari_explained : none
-- doc Why an issuer suggests a time for renewal, for people.
-- in managed_id text, number i64, explanation_url text?
UPDATE version SET explanation_url = $explanation_url WHERE managed_id = $managed_id AND number = $number;

-- query ari_versions : many
-- doc The versions that have a certificate.
-- in fingerprint blob, issuer_id text
-- out managed_id text, number i64, explanation_url text?
SELECT managed_id, number, explanation_url FROM version WHERE fingerprint = $fingerprint AND issuer_id = $issuer_id;

-- query persist_get : maybe
-- doc The record that persists for a name and an issuer.
-- in issuer_id text, name text
-- out id text, account_url text, issuer_domain text, wildcard i64, value text, until_at i64, leaving_at i64?
SELECT id, account_url, issuer_domain, wildcard, value, until_at, leaving_at FROM persist_record WHERE issuer_id = $issuer_id AND name = $name;

-- query persist_keep : none
-- doc A record that persists, as it was written last.
-- in id text, issuer_id text, name text, account_url text, issuer_domain text, wildcard i64, value text, until_at i64, agent_id text, via json, provider_id text?
INSERT INTO persist_record (id, issuer_id, name, account_url, issuer_domain, wildcard, value, until_at, agent_id, via, provider_id)
VALUES ($id, $issuer_id, $name, $account_url, $issuer_domain, $wildcard, $value, $until_at, $agent_id, $via, $provider_id)
ON CONFLICT (issuer_id, name) DO UPDATE SET account_url = $account_url, issuer_domain = $issuer_domain, wildcard = $wildcard, value = $value,
    until_at = $until_at, agent_id = $agent_id, via = $via, provider_id = $provider_id, error = NULL, leaving_at = NULL;

-- query persist_by_id : maybe
-- doc A record that persists.
-- in id text
-- out id text, issuer_id text, name text, account_url text, issuer_domain text, wildcard i64, value text, until_at i64, agent_id text, via json, provider_id text?, leaving_at i64?
SELECT id, issuer_id, name, account_url, issuer_domain, wildcard, value, until_at, agent_id, via, provider_id, leaving_at FROM persist_record WHERE id = $id;

-- query persist_all : many
-- doc The records that persist, but those that are being taken away.
-- out id text, name text
SELECT id, name FROM persist_record WHERE leaving_at IS NULL ORDER BY id LIMIT 10000;

-- query persist_of_issuer : many
-- doc The records that persist for an issuer.
-- in issuer_id text
-- out id text
SELECT id FROM persist_record WHERE issuer_id = $issuer_id ORDER BY id LIMIT 10000;

-- query persist_leave : none
-- doc It is being taken away from now on.
-- in id text, now i64
UPDATE persist_record SET leaving_at = $now, error = NULL WHERE id = $id AND leaving_at IS NULL;

-- query persist_via : none
-- doc Who writes it from now on.
-- in id text, agent_id text, via json, provider_id text
UPDATE persist_record SET agent_id = $agent_id, via = $via, provider_id = $provider_id WHERE id = $id;

-- query persist_failed : none
-- doc It could not be written anew, or not be taken away.
-- in id text, error text
UPDATE persist_record SET error = $error WHERE id = $id;

-- query persist_remove : none
-- doc A record that was taken away.
-- in id text
DELETE FROM persist_record WHERE id = $id;

-- query persist_needed : many
-- doc Managed certificates of the issuer that may have the name.
-- in issuer_id text, part text
-- out id text, team_id text, wish json
SELECT m.id, m.team_id, m.wish FROM managed_certificate m JOIN managed_issuer i ON i.managed_id = m.id
WHERE i.issuer_id = $issuer_id AND m.removed_at IS NULL AND m.wish LIKE $part ORDER BY m.id LIMIT 1000;

-- query persist_ending : many
-- doc Records that persist and end soon, or are being taken away.
-- in scope text, before i64, limit i64
-- out name text, issuer text, until_at i64, error text?, leaving_at i64?
SELECT p.name, i.name AS issuer, p.until_at, p.error, p.leaving_at FROM persist_record p JOIN issuer i ON i.id = p.issuer_id
WHERE (p.until_at < $before AND i.removed_at IS NULL OR p.leaving_at IS NOT NULL)
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = i.team_id AND w.ancestor_id = $scope) ORDER BY p.until_at LIMIT $limit;
