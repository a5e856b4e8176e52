-- Findings: how far issuers are believed, and what is to be looked at.

-- query certificate_by_term : many
-- doc A few certificates with a term that few have, the oldest first, with their DER; quoted as certificate_term_has wants it.
-- in quoted text, limit i64
-- out id i64, not_after i64, last_seen i64, flags i64, findings i64, due_at i64, dictionary i64, packed blob
SELECT c.id, c.not_after, c.last_seen, c.flags, c.findings, c.due_at, d.dictionary, d.der AS packed
FROM (SELECT rowid AS id FROM certificate_term WHERE certificate_term MATCH $quoted ORDER BY rowid LIMIT $limit) t
JOIN certificate c ON c.id = t.id JOIN certificate_der d ON d.id = t.id ORDER BY c.id;
-- postgres:
WITH t AS MATERIALIZED (SELECT certificate_id AS id FROM certificate_term WHERE terms @> CAST($quoted AS TEXT[]))
SELECT c.id, c.not_after, c.last_seen, c.flags, c.findings, c.due_at, d.dictionary, d.der AS packed
FROM (SELECT id FROM t ORDER BY id LIMIT $limit) t
JOIN certificate c ON c.id = t.id JOIN certificate_der d ON d.id = t.id ORDER BY c.id;

-- query certificate_sweep : many
-- doc Certificates with a term, slice by slice in the order of their numbers, with their DER.
-- in quoted text, after i64, limit i64
-- out id i64, not_after i64, last_seen i64, flags i64, findings i64, due_at i64, dictionary i64, packed blob
SELECT c.id, c.not_after, c.last_seen, c.flags, c.findings, c.due_at, d.dictionary, d.der AS packed
FROM (SELECT rowid AS id FROM certificate_term WHERE certificate_term MATCH $quoted AND rowid > $after ORDER BY rowid LIMIT $limit) t
JOIN certificate c ON c.id = t.id JOIN certificate_der d ON d.id = t.id ORDER BY c.id;
-- postgres:
SELECT c.id, c.not_after, c.last_seen, c.flags, c.findings, c.due_at, d.dictionary, d.der AS packed
FROM certificate_term t JOIN certificate c ON c.id = t.certificate_id JOIN certificate_der d ON d.id = t.certificate_id
WHERE t.terms @> CAST($quoted AS TEXT[]) AND t.certificate_id > $after ORDER BY t.certificate_id LIMIT $limit;

-- query certificate_looked : none
-- doc What a look at a certificate found.
-- in id i64, findings i64, due_at i64, flags i64
UPDATE certificate SET findings = $findings, due_at = $due_at, flags = $flags WHERE id = $id;

-- query issuer_trust_get : maybe
-- doc How far an issuer is believed.
-- in name_sha256 blob, key_id blob
-- out trust i64, certificate_id i64, distrusted_from i64?, root text
SELECT trust, certificate_id, distrusted_from, root FROM issuer_trust WHERE name_sha256 = $name_sha256 AND key_id = $key_id;

-- query issuer_trust_any : maybe
-- doc How far an issuer is believed whose key is not named: as far as the best of that name.
-- in name_sha256 blob
-- out trust i64, certificate_id i64, distrusted_from i64?, root text
SELECT trust, certificate_id, distrusted_from, root FROM issuer_trust WHERE name_sha256 = $name_sha256 ORDER BY trust DESC, key_id LIMIT 1;

-- query issuer_trust_put : none
-- doc An issuer is believed so far.
-- in name_sha256 blob, key_id blob, trust i64, certificate_id i64, distrusted_from i64?, root text
INSERT INTO issuer_trust (name_sha256, key_id, trust, certificate_id, distrusted_from, root)
VALUES ($name_sha256, $key_id, $trust, $certificate_id, $distrusted_from, $root)
ON CONFLICT (name_sha256, key_id) DO UPDATE SET trust = excluded.trust, certificate_id = excluded.certificate_id,
    distrusted_from = excluded.distrusted_from, root = excluded.root;

-- query endpoint_look_add : none
-- doc An endpoint was looked at.
-- in endpoint_id i64
INSERT INTO endpoint_look (endpoint_id) VALUES ($endpoint_id) ON CONFLICT DO NOTHING;

-- query endpoint_look_done : none
-- doc The findings of an endpoint are as it was seen.
-- in endpoint_id i64
DELETE FROM endpoint_look WHERE endpoint_id = $endpoint_id;

-- query endpoint_look_next : many
-- doc Endpoints whose findings are to follow; certificate_id is 0 where the leaf went.
-- in limit i64
-- out id i64, kind text, name text, options text, certificate_id i64, last_seen i64
SELECT l.endpoint_id AS id, COALESCE(e.kind, '') AS kind, COALESCE(e.name, '') AS name, COALESCE(e.options, '{}') AS options,
    COALESCE(e.certificate_id, 0) AS certificate_id, COALESCE(e.last_seen, 0) AS last_seen
FROM endpoint_look l LEFT JOIN endpoint e ON e.id = l.endpoint_id ORDER BY l.endpoint_id LIMIT $limit;

-- query endpoint_chain : many
-- doc What an endpoint showed when it was last looked at, in its order.
-- in endpoint_id i64, last_seen i64
-- out id i64, position i64, dictionary i64, packed blob
SELECT o.certificate_id AS id, o.position, d.dictionary, d.der AS packed FROM observation o JOIN certificate_der d ON d.id = o.certificate_id
WHERE o.endpoint_id = $endpoint_id AND o.last_seen = $last_seen ORDER BY o.position LIMIT 32;

-- query certificate_shown : maybe
-- doc One of the certificates that an endpoint showed when it was last looked at.
-- in endpoint_id i64, fingerprint blob, last_seen i64
-- out id i64, dictionary i64, packed blob
SELECT c.id, d.dictionary, d.der AS packed FROM certificate c JOIN observation o ON o.certificate_id = c.id JOIN certificate_der d ON d.id = c.id
WHERE c.fingerprint = $fingerprint AND o.endpoint_id = $endpoint_id AND o.last_seen = $last_seen;

-- query endpoint_findings : many
-- doc What is wrong with an endpoint now.
-- in endpoint_id i64
-- out check_number i64, certificate_id i64
SELECT check_number, certificate_id FROM finding WHERE endpoint_id = $endpoint_id AND endpoint_id <> 0 ORDER BY check_number, certificate_id;

-- query certificate_superseded : maybe
-- doc The managed certificate that a superseded certificate was a version of; whether the current version is an older one.
-- in certificate_id i64
-- out name text, back bool
SELECT m.name, m.version < v.number AS back FROM version v JOIN managed_certificate m ON m.id = v.managed_id
JOIN certificate c ON c.id = v.certificate_id
WHERE v.certificate_id = $certificate_id AND c.flags & 4096 <> 0 ORDER BY m.id LIMIT 1;

-- query finding_sweep_put : none
-- doc Certificates are to be looked at again, from the first on.
-- in term text, deep bool
INSERT INTO finding_sweep (term, after_id, deep) VALUES ($term, 0, $deep)
ON CONFLICT (term) DO UPDATE SET after_id = 0, deep = CASE WHEN excluded.deep > finding_sweep.deep THEN excluded.deep ELSE finding_sweep.deep END;

-- query finding_sweep_next : maybe
-- doc What is being looked at again.
-- out term text, after_id i64, deep bool
SELECT term, after_id, deep FROM finding_sweep ORDER BY term DESC LIMIT 1;

-- query finding_sweep_move : none
-- doc It has come so far; unless it began anew meanwhile.
-- in term text, was i64, after_id i64
UPDATE finding_sweep SET after_id = $after_id WHERE term = $term AND after_id = $was;

-- query finding_sweep_done : none
-- doc It came to the end; unless it began anew meanwhile.
-- in term text, was i64
DELETE FROM finding_sweep WHERE term = $term AND after_id = $was;

-- query finding_waits : one
-- doc What there is to look at.
-- in now i64
-- out endpoints bool, sweeps bool, asks bool
SELECT CASE WHEN EXISTS (SELECT 1 FROM endpoint_look) THEN 1 ELSE 0 END AS endpoints,
    CASE WHEN EXISTS (SELECT 1 FROM finding_sweep) THEN 1 ELSE 0 END AS sweeps,
    CASE WHEN EXISTS (SELECT 1 FROM outside_ask WHERE due_at <= $now) THEN 1 ELSE 0 END AS asks;

-- query finding_rules_get : maybe
-- doc What the findings were made by.
-- out rules blob, keys blob
SELECT rules, keys FROM finding_rules WHERE id = 1;

-- query finding_rules_put : none
-- doc What the findings are made by from now on.
-- in rules blob, keys blob
INSERT INTO finding_rules (id, rules, keys) VALUES (1, $rules, $keys)
ON CONFLICT (id) DO UPDATE SET rules = excluded.rules, keys = excluded.keys;

-- query outside_ask_add : none
-- doc Others are to be asked; once.
-- in ref text, certificate_id i64, url text, due_at i64
INSERT INTO outside_ask (ref, certificate_id, url, due_at, failures) VALUES ($ref, $certificate_id, $url, $due_at, 0) ON CONFLICT DO NOTHING;

-- query outside_ask_want : none
-- doc A certificate misses its issuer.  What was asked for another one, and was not its issuer, is asked again a day after that.
-- in ref text, for_id i64, url text, due_at i64
INSERT INTO outside_ask (ref, certificate_id, url, due_at, failures, for_id) VALUES ($ref, 0, $url, $due_at, 0, $for_id)
ON CONFLICT (ref) DO UPDATE SET for_id = excluded.for_id,
    due_at = CASE WHEN outside_ask.failures > 0 OR outside_ask.due_at <= outside_ask.asked_at + 86400 THEN outside_ask.due_at
                  WHEN outside_ask.asked_at + 86400 > excluded.due_at THEN outside_ask.asked_at + 86400
                  ELSE excluded.due_at END;

-- query outside_ask_due : many
-- doc What others are to be asked now.
-- in now i64, limit i64
-- out ref text, certificate_id i64, url text, failures i64, for_id i64
SELECT ref, certificate_id, url, failures, for_id FROM outside_ask WHERE due_at <= $now ORDER BY due_at, ref LIMIT $limit;

-- query outside_ask_made : none
-- doc A job asks; it is made again where nobody ends it.
-- in ref text, due_at i64, asked_at i64
UPDATE outside_ask SET due_at = $due_at, asked_at = $asked_at, error = NULL WHERE ref = $ref;

-- query outside_ask_wait : none
-- doc Not now, and why.
-- in ref text, due_at i64, error text?
UPDATE outside_ask SET due_at = $due_at, error = $error WHERE ref = $ref;

-- query outside_hour_get : maybe
-- doc How much was asked in an hour.
-- in host text
-- out hour i64, n i64
SELECT hour, n FROM outside_hour WHERE host = $host;

-- query outside_hour_put : none
-- doc How much was asked in an hour.
-- in host text, hour i64, asked i64
INSERT INTO outside_hour (host, hour, n) VALUES ($host, $hour, $asked) ON CONFLICT (host) DO UPDATE SET hour = excluded.hour, n = excluded.n;

-- query outside_hour_drop : none
-- doc Hours that are over.
-- in hour i64
DELETE FROM outside_hour WHERE hour < $hour;

-- query outside_hour_full : many
-- doc Who had to wait, in this hour and the one before it.
-- in hour i64, issuers_host i64, issuers i64, revocation_host i64, revocation i64, limit i64
-- out host text, n i64
SELECT host, n FROM outside_hour WHERE hour >= $hour - 1
    AND n > CASE WHEN host = 'issuer' THEN $issuers WHEN host = 'revocation' THEN $revocation
                 WHEN host LIKE 'issuer %' THEN $issuers_host ELSE $revocation_host END
ORDER BY host LIMIT $limit;

-- query outside_ask_get : maybe
-- doc What others were asked, and how that stands.
-- in ref text
-- out certificate_id i64, url text, failures i64, status text?, said_at i64?, revoked_at i64?, reason i64?, error text?, for_id i64
SELECT certificate_id, url, failures, status, said_at, revoked_at, reason, error, for_id FROM outside_ask WHERE ref = $ref;

-- query outside_ask_next : none
-- doc When others are asked again, and why not before.
-- in ref text, due_at i64, failures i64, error text?
UPDATE outside_ask SET due_at = $due_at, failures = $failures, error = $error WHERE ref = $ref;

-- query outside_ask_said : none
-- doc What others said of a certificate.
-- in ref text, url text, due_at i64, status text, said_at i64, revoked_at i64?, reason i64?
UPDATE outside_ask SET url = $url, due_at = $due_at, failures = 0, error = NULL, status = $status, said_at = $said_at,
    revoked_at = $revoked_at, reason = $reason WHERE ref = $ref;

-- query outside_ask_drop : none
-- doc Nobody is asked any more.
-- in ref text
DELETE FROM outside_ask WHERE ref = $ref;

-- query outside_ask_drop_of : none
-- doc A certificate goes.
-- in certificate_id i64
DELETE FROM outside_ask WHERE certificate_id = $certificate_id AND certificate_id <> 0;

-- query finding_policy_get : maybe
-- doc What people have set of the checks.
-- out revision i64, document text, file text, changed_by text, changed_at i64
SELECT revision, document, file, changed_by, changed_at FROM finding_policy WHERE id = 1;

-- query finding_policy_put : none
-- doc What people set of the checks.
-- in revision i64, document text, file text, changed_by text, now i64
INSERT INTO finding_policy (id, revision, document, file, changed_by, changed_at) VALUES (1, $revision, $document, $file, $changed_by, $now)
ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, document = excluded.document, file = excluded.file,
    changed_by = excluded.changed_by, changed_at = excluded.changed_at;
