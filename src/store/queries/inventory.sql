-- The inventory: certificates, their terms, findings, endpoints, counters.

-- query certificate_ids : many
-- doc Numbers for so many new certificates, rising.
-- in count i64
-- out id i64
WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < $count)
SELECT (SELECT COALESCE(MAX(id), 0) FROM certificate) + i AS id FROM s;
-- postgres:
SELECT nextval('certificate_ids') AS id FROM generate_series(1, $count);

-- query certificate_find : maybe
-- doc A certificate by its fingerprint.
-- in fingerprint blob
-- out id i64, flags i64, findings i64, last_seen i64, team i64, issuer_name_id i64
SELECT id, flags, findings, last_seen, team, issuer_name_id FROM certificate
WHERE substr(fingerprint, 1, 8) = substr($fingerprint, 1, 8) AND fingerprint = $fingerprint;

-- query certificate_get : maybe
-- doc A certificate of a team or one within it, with its DER.
-- in fingerprint blob, scope text
-- out id i64, fingerprint blob, first_seen i64, dictionary i64, packed blob
SELECT c.id, c.fingerprint, c.first_seen, d.dictionary, d.der AS packed
FROM certificate c JOIN certificate_der d ON d.id = c.id JOIN team t ON t.number = c.team
WHERE substr(c.fingerprint, 1, 8) = substr($fingerprint, 1, 8) AND c.fingerprint = $fingerprint
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.id AND w.ancestor_id = $scope);

-- query certificate_list : many
-- doc Certificates of a team and those within it, in the order of their fingerprints.
-- in scope text, after blob, limit i64
-- out id i64, fingerprint blob, first_seen i64, dictionary i64, packed blob
SELECT c.id, c.fingerprint, c.first_seen, d.dictionary, d.der AS packed
FROM certificate c JOIN certificate_der d ON d.id = c.id JOIN team t ON t.number = c.team
WHERE substr(c.fingerprint, 1, 8) >= substr($after, 1, 8) AND c.fingerprint > $after
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = t.id AND w.ancestor_id = $scope)
ORDER BY substr(c.fingerprint, 1, 8), c.fingerprint LIMIT $limit;

-- query certificate_heads : many
-- doc Certificates whose fingerprints begin with these 8 bytes.
-- in h0 blob, h1 blob, h2 blob, h3 blob, h4 blob, h5 blob, h6 blob, h7 blob, h8 blob, h9 blob, h10 blob, h11 blob, h12 blob, h13 blob, h14 blob, h15 blob, h16 blob, h17 blob, h18 blob, h19 blob, h20 blob, h21 blob, h22 blob, h23 blob, h24 blob, h25 blob, h26 blob, h27 blob, h28 blob, h29 blob, h30 blob, h31 blob, h32 blob, h33 blob, h34 blob, h35 blob, h36 blob, h37 blob, h38 blob, h39 blob, h40 blob, h41 blob, h42 blob, h43 blob, h44 blob, h45 blob, h46 blob, h47 blob, h48 blob, h49 blob, h50 blob, h51 blob, h52 blob, h53 blob, h54 blob, h55 blob, h56 blob, h57 blob, h58 blob, h59 blob, h60 blob, h61 blob, h62 blob, h63 blob
-- out id i64, fingerprint blob, flags i64, last_seen i64, team i64
SELECT id, fingerprint, flags, last_seen, team FROM certificate
WHERE substr(fingerprint, 1, 8) IN ($h0, $h1, $h2, $h3, $h4, $h5, $h6, $h7, $h8, $h9, $h10, $h11, $h12, $h13, $h14, $h15, $h16, $h17, $h18, $h19, $h20, $h21, $h22, $h23, $h24, $h25, $h26, $h27, $h28, $h29, $h30, $h31, $h32, $h33, $h34, $h35, $h36, $h37, $h38, $h39, $h40, $h41, $h42, $h43, $h44, $h45, $h46, $h47, $h48, $h49, $h50, $h51, $h52, $h53, $h54, $h55, $h56, $h57, $h58, $h59, $h60, $h61, $h62, $h63);

-- query certificate_row : maybe
-- doc A certificate's row by its number.
-- in id i64
-- out id i64, fingerprint blob, issuer_name_id i64, not_before i64, not_after i64, first_seen i64, last_seen i64, key_kind i64, key_bits i64, signature_kind i64, flags i64, findings i64, due_at i64, team i64, source i64
SELECT id, fingerprint, issuer_name_id, not_before, not_after, first_seen, last_seen, key_kind, key_bits, signature_kind, flags, findings, due_at, team, source
FROM certificate WHERE id = $id;

-- query certificate_after : many
-- doc Certificates in the order of their numbers, with their DER.
-- in after i64, limit i64
-- out id i64, fingerprint blob, issuer_name_id i64, not_before i64, not_after i64, first_seen i64, last_seen i64, key_kind i64, key_bits i64, signature_kind i64, flags i64, findings i64, due_at i64, team i64, source i64, dictionary i64, packed blob
SELECT c.id, c.fingerprint, c.issuer_name_id, c.not_before, c.not_after, c.first_seen, c.last_seen, c.key_kind, c.key_bits, c.signature_kind,
    c.flags, c.findings, c.due_at, c.team, c.source, d.dictionary, d.der AS packed
FROM certificate c JOIN certificate_der d ON d.id = c.id WHERE c.id > $after ORDER BY c.id LIMIT $limit;

-- query certificate_add : each
-- doc A certificate that is not there yet.
-- in id i64, fingerprint blob, issuer_name_id i64, not_before i64, not_after i64, seen i64, key_kind i64, key_bits i64, signature_kind i64, flags i64, findings i64, due_at i64, team i64, source i64
INSERT INTO certificate (id, fingerprint, issuer_name_id, not_before, not_after, first_seen, last_seen, key_kind, key_bits, signature_kind, flags,
    findings, due_at, team, source)
VALUES ($id, $fingerprint, $issuer_name_id, $not_before, $not_after, $seen, $seen, $key_kind, $key_bits, $signature_kind, $flags,
    $findings, $due_at, $team, $source);

-- query certificate_der_add : each
-- doc The DER of a certificate.
-- in id i64, dictionary i64, der blob
INSERT INTO certificate_der (id, dictionary, der) VALUES ($id, $dictionary, $der);

-- query certificate_der_get : maybe
-- doc The DER of a certificate.
-- in id i64
-- out dictionary i64, packed blob
SELECT dictionary, der AS packed FROM certificate_der WHERE id = $id;

-- query certificate_der_sample : many
-- doc Some of the newest certificates, to train a dictionary on.
-- in limit i64
-- out dictionary i64, packed blob
SELECT dictionary, der AS packed FROM certificate_der ORDER BY id DESC LIMIT $limit;

-- query certificate_term_add : each
-- doc What a certificate is found by.
-- in id i64, terms text
INSERT INTO certificate_term (rowid, terms) VALUES ($id, $terms);
-- postgres:
INSERT INTO certificate_term (certificate_id, terms) VALUES ($id, string_to_array($terms, ' '));

-- query certificate_term_drop : none
-- doc A certificate is found by these terms no more; all that it has must be named.
-- in id i64, terms text
INSERT INTO certificate_term (certificate_term, rowid, terms) VALUES ('delete', $id, $terms);
-- postgres:
DELETE FROM certificate_term WHERE certificate_id = $id AND $terms <> '';

-- query certificate_term_has : one
-- doc Whether one certificate is found by a term; quoted as the engine wants it: "term" for SQLite, {"term"} for PostgreSQL.
-- in id i64, quoted text
-- out n i64
SELECT COUNT(*) AS n FROM certificate_term WHERE certificate_term MATCH $quoted AND rowid = $id;
-- postgres:
SELECT COUNT(*) AS n FROM certificate_term WHERE certificate_id = $id AND terms @> CAST($quoted AS TEXT[]);

-- query certificate_due_add : each
-- doc When the clock changes a certificate's findings next.
-- in due_at i64, certificate_id i64
INSERT INTO certificate_due (due_at, certificate_id) VALUES ($due_at, $certificate_id) ON CONFLICT DO NOTHING;

-- query certificate_due_drop : none
-- doc The clock changes nothing then.
-- in due_at i64, certificate_id i64
DELETE FROM certificate_due WHERE due_at = $due_at AND certificate_id = $certificate_id;

-- query certificate_due : many
-- doc Certificates whose findings the clock has changed.
-- in now i64, limit i64
-- out id i64, fingerprint blob, issuer_name_id i64, not_before i64, not_after i64, first_seen i64, last_seen i64, key_kind i64, key_bits i64, signature_kind i64, flags i64, findings i64, due_at i64, team i64, source i64, dictionary i64, packed blob
SELECT c.id, c.fingerprint, c.issuer_name_id, c.not_before, c.not_after, c.first_seen, c.last_seen, c.key_kind, c.key_bits, c.signature_kind,
    c.flags, c.findings, c.due_at, c.team, c.source, d.dictionary, d.der AS packed
FROM certificate_due u JOIN certificate c ON c.id = u.certificate_id JOIN certificate_der d ON d.id = u.certificate_id
WHERE u.due_at <= $now ORDER BY u.due_at, u.certificate_id LIMIT $limit;

-- query certificate_findings_set : none
-- doc The findings of a certificate, and when the clock changes them next.
-- in id i64, findings i64, due_at i64
UPDATE certificate SET findings = $findings, due_at = $due_at WHERE id = $id;

-- query certificate_seen : none
-- doc A certificate was seen again, or more is known of it.
-- in id i64, last_seen i64, flags i64
UPDATE certificate SET last_seen = $last_seen, flags = $flags WHERE id = $id;

-- query certificate_team_set : none
-- doc Another team owns a certificate.
-- in id i64, team i64
UPDATE certificate SET team = $team WHERE id = $id;

-- query certificate_read_set : none
-- doc The columns of a certificate, read again.
-- in id i64, issuer_name_id i64, key_kind i64, key_bits i64, signature_kind i64, flags i64, findings i64, due_at i64
UPDATE certificate SET issuer_name_id = $issuer_name_id, key_kind = $key_kind, key_bits = $key_bits, signature_kind = $signature_kind,
    flags = $flags, findings = $findings, due_at = $due_at WHERE id = $id;

-- query certificate_reread : many
-- doc Certificates to be read again.
-- in limit i64
-- out id i64, fingerprint blob, issuer_name_id i64, not_before i64, not_after i64, first_seen i64, last_seen i64, key_kind i64, key_bits i64, signature_kind i64, flags i64, findings i64, due_at i64, team i64, source i64, dictionary i64, packed blob
SELECT c.id, c.fingerprint, c.issuer_name_id, c.not_before, c.not_after, c.first_seen, c.last_seen, c.key_kind, c.key_bits, c.signature_kind,
    c.flags, c.findings, c.due_at, c.team, c.source, d.dictionary, d.der AS packed
FROM certificate_reread r JOIN certificate c ON c.id = r.id JOIN certificate_der d ON d.id = r.id ORDER BY r.id LIMIT $limit;

-- query certificate_reread_done : none
-- doc A certificate was read again.
-- in id i64
DELETE FROM certificate_reread WHERE id = $id;

-- query certificate_drop : none
-- doc A certificate goes.
-- in id i64
DELETE FROM certificate WHERE id = $id;

-- query certificate_der_drop : none
-- doc The DER of a certificate goes.
-- in id i64
DELETE FROM certificate_der WHERE id = $id;

-- query issuer_name_add : none
-- doc The Name of an issuer, once.
-- in sha256 blob, dn blob, text text, organization text?, common_name text?
INSERT INTO issuer_name (sha256, dn, text, organization, common_name) VALUES ($sha256, $dn, $text, $organization, $common_name)
ON CONFLICT (sha256) DO NOTHING;

-- query issuer_name_find : maybe
-- doc The number of an issuer's Name.
-- in sha256 blob
-- out id i64
SELECT id FROM issuer_name WHERE sha256 = $sha256;

-- query issuer_name_get : maybe
-- doc The Name of an issuer.
-- in id i64
-- out sha256 blob, text text, organization text?, common_name text?
SELECT sha256, text, organization, common_name FROM issuer_name WHERE id = $id;

-- query team_number : one
-- doc The small number of a team.
-- in id text
-- out number i64
SELECT number FROM team WHERE id = $id;

-- query dictionary_add : none
-- doc A dictionary, once.
-- in id i64, bytes blob, certificates i64, now i64
INSERT INTO dictionary (id, bytes, certificates, created_at) VALUES ($id, $bytes, $certificates, $now) ON CONFLICT (id) DO NOTHING;

-- query dictionary_list : many
-- doc The dictionaries, newest first.
-- out id i64, bytes blob, certificates i64
SELECT id, bytes, certificates FROM dictionary ORDER BY id DESC LIMIT 100;

-- query dictionary_get : maybe
-- doc A dictionary.
-- in id i64
-- out bytes blob
SELECT bytes FROM dictionary WHERE id = $id;

-- query certificate_newest : one
-- doc The number of the newest certificate; 0: there is none.
-- out id i64
SELECT COALESCE(MAX(id), 0) AS id FROM certificate;

-- query inventory_waits : one
-- doc What there is to do.
-- in now i64
-- out due bool, folds bool, rereads bool
SELECT CASE WHEN EXISTS (SELECT 1 FROM certificate_due WHERE due_at <= $now) THEN 1 ELSE 0 END AS due,
    CASE WHEN EXISTS (SELECT 1 FROM counter_delta) THEN 1 ELSE 0 END AS folds,
    CASE WHEN EXISTS (SELECT 1 FROM certificate_reread) THEN 1 ELSE 0 END AS rereads;

-- query finding_add : each
-- doc A check holds.
-- in check_number i64, certificate_id i64, endpoint_id i64, since i64, detail text
INSERT INTO finding (check_number, certificate_id, endpoint_id, since, state, detail)
VALUES ($check_number, $certificate_id, $endpoint_id, $since, 0, $detail)
ON CONFLICT (check_number, certificate_id, endpoint_id) DO UPDATE SET detail = excluded.detail;

-- query finding_drop : none
-- doc A check holds no more.
-- in check_number i64, certificate_id i64, endpoint_id i64
DELETE FROM finding WHERE check_number = $check_number AND certificate_id = $certificate_id AND endpoint_id = $endpoint_id;

-- query finding_drop_all : none
-- doc A certificate goes, and what a check said of it at any endpoint.
-- in check_number i64, certificate_id i64
DELETE FROM finding WHERE check_number = $check_number AND certificate_id = $certificate_id;

-- query finding_any : one
-- doc At how many places a check holds for a certificate.
-- in check_number i64, certificate_id i64
-- out n i64
SELECT COUNT(*) AS n FROM finding WHERE check_number = $check_number AND certificate_id = $certificate_id;

-- query endpoint_put : one
-- doc An endpoint as it was looked at; its number, and since when it is known and shows its leaf.
-- in kind text, place text, name text, address blob?, port i64?, agent_id text?, team i64, certificate_id i64?, result text, error text?, options text?, at i64
-- out id i64, first_seen i64, changed_at i64
INSERT INTO endpoint (kind, place, name, address, port, agent_id, team, certificate_id, result, error, options, first_seen, last_seen, changed_at)
VALUES ($kind, $place, $name, $address, $port, $agent_id, $team, $certificate_id, $result, $error, COALESCE($options, '{}'), $at, $at, $at)
ON CONFLICT (kind, place, name, team) DO UPDATE SET agent_id = COALESCE(excluded.agent_id, endpoint.agent_id),
    changed_at = CASE WHEN excluded.certificate_id IS NULL OR excluded.certificate_id = endpoint.certificate_id
                      THEN endpoint.changed_at ELSE excluded.changed_at END,
    certificate_id = COALESCE(excluded.certificate_id, endpoint.certificate_id), result = excluded.result, error = excluded.error,
    options = COALESCE($options, endpoint.options), last_seen = excluded.last_seen
RETURNING id, first_seen, changed_at;

-- query endpoint_options : maybe
-- doc What was negotiated at an endpoint, and the leaf it showed.
-- in kind text, place text, name text, team_id text
-- out options text, fingerprint blob?
SELECT e.options, c.fingerprint FROM endpoint e JOIN team t ON t.number = e.team
LEFT JOIN certificate c ON c.id = e.certificate_id
WHERE e.kind = $kind AND e.place = $place AND e.name = $name AND t.id = $team_id;

-- query endpoint_without : none
-- doc Endpoints that showed a certificate last have none now: it goes.
-- in certificate_id i64
UPDATE endpoint SET certificate_id = NULL WHERE certificate_id = $certificate_id;

-- query observation_put : none
-- doc An endpoint showed a certificate.
-- in endpoint_id i64, certificate_id i64, position i64, at i64
INSERT INTO observation (endpoint_id, certificate_id, position, first_seen, last_seen)
VALUES ($endpoint_id, $certificate_id, $position, $at, $at)
ON CONFLICT (endpoint_id, certificate_id) DO UPDATE SET position = excluded.position, last_seen = excluded.last_seen
WHERE observation.last_seen < excluded.last_seen;

-- query observation_gone : maybe
-- doc When an endpoint showed a certificate last, if it showed another leaf since.
-- in endpoint_id i64, certificate_id i64, at i64
-- out first_seen i64, last_seen i64
SELECT o.first_seen, o.last_seen FROM observation o WHERE o.endpoint_id = $endpoint_id AND o.certificate_id = $certificate_id
  AND o.last_seen < $at AND EXISTS (SELECT 1 FROM observation b WHERE b.endpoint_id = $endpoint_id AND b.position = 0 AND b.last_seen > o.last_seen);

-- query observation_again : none
-- doc A certificate is shown again: its time begins anew.
-- in endpoint_id i64, certificate_id i64, at i64
UPDATE observation SET first_seen = $at, last_seen = $at, position = 0 WHERE endpoint_id = $endpoint_id AND certificate_id = $certificate_id;

-- query observation_before_put : none
-- doc A certificate was shown from one time to another, and others after it.
-- in endpoint_id i64, certificate_id i64, first_seen i64, last_seen i64, times i64
INSERT INTO observation_before (endpoint_id, certificate_id, first_seen, last_seen, times)
VALUES ($endpoint_id, $certificate_id, $first_seen, $last_seen, $times)
ON CONFLICT (endpoint_id, certificate_id, first_seen) DO UPDATE SET last_seen = excluded.last_seen, times = excluded.times;

-- query observation_before_of : many
-- doc When an endpoint showed a certificate before, the oldest first.
-- in endpoint_id i64, certificate_id i64, limit i64
-- out first_seen i64, last_seen i64, times i64
SELECT first_seen, last_seen, times FROM observation_before WHERE endpoint_id = $endpoint_id AND certificate_id = $certificate_id
ORDER BY first_seen LIMIT $limit;

-- query observation_before_drop : none
-- doc One of these times goes.
-- in endpoint_id i64, certificate_id i64, first_seen i64
DELETE FROM observation_before WHERE endpoint_id = $endpoint_id AND certificate_id = $certificate_id AND first_seen = $first_seen;

-- query observation_before_drop_of : none
-- doc A certificate goes, and when it was shown before.
-- in certificate_id i64
DELETE FROM observation_before WHERE certificate_id = $certificate_id;

-- query observation_before_drop_at : none
-- doc An endpoint goes, and what it showed before.
-- in endpoint_id i64
DELETE FROM observation_before WHERE endpoint_id = $endpoint_id;

-- query observation_before_expire : none
-- doc Forgets what endpoints have not shown since.
-- in from_id i64, to_id i64, before i64
DELETE FROM observation_before WHERE endpoint_id >= $from_id AND endpoint_id <= $to_id AND last_seen < $before;

-- query observation_drop_of : none
-- doc A certificate goes, and where it was seen.
-- in certificate_id i64
DELETE FROM observation WHERE certificate_id = $certificate_id;

-- query observation_showed : many
-- doc What an endpoint showed, of the certificates of a team and those within it.
-- in endpoint_id i64, scope text
-- out certificate_id i64
SELECT o.certificate_id FROM observation o JOIN certificate c ON c.id = o.certificate_id WHERE o.endpoint_id = $endpoint_id
  AND c.team IN (SELECT s.number FROM team_within w JOIN team s ON s.id = w.team_id WHERE w.ancestor_id = $scope)
ORDER BY o.certificate_id;

-- query observation_any : one
-- doc Whether a certificate was seen anywhere.
-- in certificate_id i64
-- out n i64
SELECT COUNT(*) AS n FROM (SELECT 1 FROM observation WHERE certificate_id = $certificate_id LIMIT 1) a;

-- query observation_drop_at : none
-- doc An endpoint goes, and what it showed.
-- in endpoint_id i64
DELETE FROM observation WHERE endpoint_id = $endpoint_id;

-- query endpoint_after : many
-- doc Endpoints in the order of their numbers.
-- in after i64, limit i64
-- out id i64, last_seen i64
SELECT id, last_seen FROM endpoint WHERE id > $after ORDER BY id LIMIT $limit;

-- query observation_expire : none
-- doc Forgets what endpoints have not shown since.
-- in from_id i64, to_id i64, before i64
DELETE FROM observation WHERE endpoint_id >= $from_id AND endpoint_id <= $to_id AND last_seen < $before;

-- query issuer_name_after : many
-- doc Names of issuers in the order of their numbers; used: certificates of it are here, or there were some since a day.
-- in since_day i64, after i64, limit i64
-- out id i64, used bool
SELECT i.id, CASE WHEN EXISTS (SELECT 1 FROM team t JOIN counter c ON c.dimension = 'issuer' AND c.team = t.number AND c.key = CAST(i.id AS TEXT)
        WHERE (c.day = 0 AND c.n <> 0) OR c.day >= $since_day) THEN 1 ELSE 0 END AS used
FROM issuer_name i WHERE i.id > $after ORDER BY i.id LIMIT $limit;

-- query issuer_name_drop : none
-- doc The name of an issuer goes.
-- in id i64
DELETE FROM issuer_name WHERE id = $id;

-- query counter_empty_drop : none
-- doc What is counted of an issuer of which nothing is here.
-- in id i64
DELETE FROM counter WHERE dimension = 'issuer' AND team IN (SELECT number FROM team) AND key = CAST($id AS TEXT);

-- query issuer_trust_expire : none
-- doc How far issuers are believed whose certificate is gone, and of which nothing else is here.
DELETE FROM issuer_trust WHERE certificate_id <> 0
  AND NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = issuer_trust.certificate_id)
  AND NOT EXISTS (SELECT 1 FROM issuer_name i WHERE i.sha256 = issuer_trust.name_sha256);

-- query endpoint_drop : none
-- doc An endpoint goes.
-- in id i64
DELETE FROM endpoint WHERE id = $id;

-- query counter_delta_add : each
-- doc A number changes.
-- in day i64, team i64, dimension text, key text, change i64
INSERT INTO counter_delta (day, team, dimension, key, n) VALUES ($day, $team, $dimension, $key, $change);

-- query counter_delta_last : one
-- doc The last of the oldest changes; 0: there is none.
-- in limit i64
-- out seq i64
SELECT COALESCE(MAX(seq), 0) AS seq FROM (SELECT seq FROM counter_delta ORDER BY seq LIMIT $limit) few;

-- query counter_fold : none
-- doc Changes up to a number go into what there is.
-- in last i64
INSERT INTO counter (dimension, team, key, day, n)
SELECT dimension, team, key, 0, CAST(SUM(n) AS BIGINT) FROM counter_delta WHERE seq <= $last GROUP BY dimension, team, key
ON CONFLICT (dimension, team, key, day) DO UPDATE SET n = counter.n + excluded.n;

-- query counter_fold_days : none
-- doc Changes up to a number go into what changed on their day.
-- in last i64
INSERT INTO counter (dimension, team, key, day, n)
SELECT dimension, team, key, day, CAST(SUM(n) AS BIGINT) FROM counter_delta WHERE seq <= $last GROUP BY dimension, team, key, day
ON CONFLICT (dimension, team, key, day) DO UPDATE SET n = counter.n + excluded.n;

-- query counter_delta_drop : none
-- doc Changes that were folded.
-- in last i64
DELETE FROM counter_delta WHERE seq <= $last;

-- query counter_carry : none
-- doc What changed on days before goes into day 1.
-- in before i64
INSERT INTO counter (dimension, team, key, day, n)
SELECT dimension, team, key, 1, CAST(SUM(n) AS BIGINT) FROM counter WHERE day > 1 AND day < $before GROUP BY dimension, team, key
ON CONFLICT (dimension, team, key, day) DO UPDATE SET n = counter.n + excluded.n;

-- query counter_expire : none
-- doc Forgets what changed on days before.
-- in before i64
DELETE FROM counter WHERE day > 1 AND day < $before;

-- query counter_days_wrong : many
-- doc Numbers that are not what changed on all days together.
-- in limit i64
-- out dimension text, team i64, key text, now i64, days i64
SELECT dimension, team, key, CAST(SUM(CASE WHEN day = 0 THEN n ELSE 0 END) AS BIGINT) AS now,
    CAST(SUM(CASE WHEN day = 0 THEN 0 ELSE n END) AS BIGINT) AS days
FROM counter GROUP BY dimension, team, key HAVING SUM(CASE WHEN day = 0 THEN n ELSE -n END) <> 0 ORDER BY dimension, team, key LIMIT $limit;

-- query counter_all : many
-- doc Every number there is, with what is not folded yet.
-- out dimension text, team i64, key text, n i64
SELECT dimension, team, key, CAST(SUM(n) AS BIGINT) AS n FROM (
    SELECT dimension, team, key, n FROM counter WHERE day = 0 UNION ALL SELECT dimension, team, key, n FROM counter_delta) a
GROUP BY dimension, team, key HAVING SUM(n) <> 0 ORDER BY dimension, team, key;

-- query counter_of : many
-- doc The numbers of one dimension in a team and those within it, largest first.
-- in dimension text, scope text, limit i64
-- out key text, n i64
SELECT c.key, CAST(SUM(c.n) AS BIGINT) AS n FROM counter c JOIN team t ON t.number = c.team
JOIN team_within w ON w.team_id = t.id AND w.ancestor_id = $scope
WHERE c.dimension = $dimension AND c.day = 0 GROUP BY c.key HAVING SUM(c.n) <> 0 ORDER BY 2 DESC, 1 LIMIT $limit;

-- query counter_days : many
-- doc How the numbers of one key changed by day, oldest first.
-- in dimension text, key text, scope text, since i64
-- out day i64, n i64
SELECT c.day, CAST(SUM(c.n) AS BIGINT) AS n FROM counter c JOIN team t ON t.number = c.team
JOIN team_within w ON w.team_id = t.id AND w.ancestor_id = $scope
WHERE c.dimension = $dimension AND c.key = $key AND c.day > 1 AND c.day >= $since GROUP BY c.day ORDER BY c.day;

-- query certificate_reread_get : maybe
-- doc Whether a certificate is to be read again.
-- in id i64
-- out id i64
SELECT id FROM certificate_reread WHERE id = $id;

-- query finding_tally : many
-- doc How many certificates have a finding of each check.
-- out check_number i64, n i64
SELECT check_number, COUNT(DISTINCT certificate_id) AS n FROM finding GROUP BY check_number ORDER BY check_number;

-- query certificate_due_tally : one
-- doc How many certificates are due at some time.
-- out n i64
SELECT COUNT(*) AS n FROM certificate_due u JOIN certificate c ON c.id = u.certificate_id AND c.due_at = u.due_at;

-- query inventory_orphans : many
-- doc Rows that name others that are not there, by kind.
-- out what text, n i64
SELECT 'certificates without their DER' AS what, COUNT(*) AS n FROM certificate c WHERE NOT EXISTS (SELECT 1 FROM certificate_der d WHERE d.id = c.id)
UNION ALL SELECT 'DERs without a certificate', COUNT(*) FROM certificate_der d WHERE NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = d.id)
UNION ALL SELECT 'DERs whose dictionary is not there', COUNT(*) FROM certificate_der d
    WHERE d.dictionary <> 0 AND NOT EXISTS (SELECT 1 FROM dictionary x WHERE x.id = d.dictionary)
UNION ALL SELECT 'certificates whose issuer is not there', COUNT(*) FROM certificate c
    WHERE c.issuer_name_id <> 0 AND NOT EXISTS (SELECT 1 FROM issuer_name i WHERE i.id = c.issuer_name_id)
UNION ALL SELECT 'certificates of a team that is not there', COUNT(*) FROM certificate c WHERE NOT EXISTS (SELECT 1 FROM team t WHERE t.number = c.team)
UNION ALL SELECT 'due times without a certificate', COUNT(*) FROM certificate_due u WHERE NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = u.certificate_id)
UNION ALL SELECT 'findings without a certificate', COUNT(*) FROM finding f WHERE NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = f.certificate_id)
UNION ALL SELECT 'findings at an endpoint that is not there', COUNT(*) FROM finding f
    WHERE f.endpoint_id <> 0 AND NOT EXISTS (SELECT 1 FROM endpoint e WHERE e.id = f.endpoint_id)
UNION ALL SELECT 'observations without a certificate', COUNT(*) FROM observation o WHERE NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = o.certificate_id)
UNION ALL SELECT 'observations without an endpoint', COUNT(*) FROM observation o WHERE NOT EXISTS (SELECT 1 FROM endpoint e WHERE e.id = o.endpoint_id)
UNION ALL SELECT 'earlier observations without a later one', COUNT(*) FROM observation_before b WHERE NOT EXISTS (
    SELECT 1 FROM observation o WHERE o.endpoint_id = b.endpoint_id AND o.certificate_id = b.certificate_id)
UNION ALL SELECT 'endpoints whose certificate is not there', COUNT(*) FROM endpoint e
    WHERE e.certificate_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = e.certificate_id)
UNION ALL SELECT 'versions whose certificate has another fingerprint, or is not known as ours', COUNT(*) FROM version v JOIN certificate c ON c.id = v.certificate_id
    WHERE c.fingerprint <> v.fingerprint OR c.flags & 2048 = 0
UNION ALL SELECT 'current versions that are not known as such', COUNT(*) FROM managed_certificate m
    JOIN version v ON v.managed_id = m.id AND v.number = m.version JOIN certificate c ON c.id = v.certificate_id
    WHERE m.removed_at IS NULL AND (c.flags & 8 = 0 OR c.flags & 4096 <> 0);
