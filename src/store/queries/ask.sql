-- Asking the inventory: what store/select.c does not put together itself.

-- query issuer_name_of : many
-- doc Issuers by their organization, or by their common name.
-- in organization text?, common_name text?, limit i64
-- out id i64, sha256 blob
SELECT id, sha256 FROM (SELECT i.id, i.sha256 FROM issuer_name i WHERE i.organization = $organization
    UNION ALL SELECT j.id, j.sha256 FROM issuer_name j WHERE j.common_name = $common_name) x LIMIT $limit;

-- query issuer_name_first : many
-- doc The issuers known first, with their names.
-- in limit i64
-- out id i64, sha256 blob, text text, organization text?, common_name text?
SELECT id, sha256, text, organization, common_name FROM issuer_name ORDER BY id LIMIT $limit;

-- query team_numbers : many
-- doc The small numbers of a team and those within it.
-- in scope text, limit i64
-- out number i64
SELECT t.number FROM team_within w JOIN team t ON t.id = w.team_id WHERE w.ancestor_id = $scope AND t.number IS NOT NULL LIMIT $limit;

-- query certificate_tag_add : none
-- doc Gives a certificate a tag.
-- in tag text, certificate_id i64
INSERT INTO certificate_tag (tag, certificate_id) VALUES ($tag, $certificate_id) ON CONFLICT DO NOTHING;

-- query certificate_tag_drop : none
-- doc Takes a tag away.
-- in tag text, certificate_id i64
DELETE FROM certificate_tag WHERE tag = $tag AND certificate_id = $certificate_id;

-- query certificate_tags : many
-- doc The tags of a certificate.
-- in certificate_id i64
-- out tag text
SELECT tag FROM certificate_tag WHERE certificate_id = $certificate_id ORDER BY tag LIMIT 101;

-- query certificate_note_put : none
-- doc What is noted of a certificate.
-- in certificate_id i64, owner text?, note text?, changed_by text, now i64
INSERT INTO certificate_note (certificate_id, owner, note, changed_by, changed_at)
VALUES ($certificate_id, $owner, $note, $changed_by, $now)
ON CONFLICT (certificate_id) DO UPDATE SET owner = excluded.owner, note = excluded.note, changed_by = excluded.changed_by,
    changed_at = excluded.changed_at;

-- query certificate_note_get : maybe
-- doc What is noted of a certificate.
-- in certificate_id i64
-- out owner text?, note text?, changed_by text, changed_at i64
SELECT owner, note, changed_by, changed_at FROM certificate_note WHERE certificate_id = $certificate_id;

-- query certificate_said_drop : none
-- doc A certificate goes, and its tags.
-- in certificate_id i64
DELETE FROM certificate_tag WHERE certificate_id = $certificate_id;

-- query certificate_note_drop : none
-- doc A certificate goes, and what is noted of it.
-- in certificate_id i64
DELETE FROM certificate_note WHERE certificate_id = $certificate_id;

-- query certificate_versions : many
-- doc The managed certificates that a certificate is a version of; as far as those of a team may know.
-- in certificate_id i64, scope text
-- out managed text, version i64
SELECT m.name AS managed, v.number AS version FROM version v JOIN managed_certificate m ON m.id = v.managed_id
WHERE v.certificate_id = $certificate_id AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = m.team_id AND w.ancestor_id = $scope)
ORDER BY v.number DESC LIMIT 10;

-- query finding_of : many
-- doc What checks say of a certificate; as far as those of a team may know.
-- in check_number i64, certificate_id i64, scope text, now i64
-- out endpoint_id i64, place text?, name text?, since i64, state i64, detail text, accepted_by text?, accepted_at i64?, accepted_why text?, accepted_until i64?
SELECT f.endpoint_id, e.place, e.name, f.since, CASE WHEN f.accepted_until <= $now THEN 0 ELSE f.state END AS state, f.detail, f.accepted_by, f.accepted_at,
    f.accepted_why, f.accepted_until
FROM finding f LEFT JOIN endpoint e ON e.id = f.endpoint_id
  AND e.team IN (SELECT s.number FROM team_within w JOIN team s ON s.id = w.team_id WHERE w.ancestor_id = $scope)
WHERE f.check_number = $check_number AND f.certificate_id = $certificate_id AND (f.endpoint_id = 0 OR e.id IS NOT NULL)
ORDER BY f.endpoint_id LIMIT 100;

-- query finding_nth : maybe
-- doc How far some findings of one check reach, newest certificates first: the last of them.
-- in check_number i64, before i64, before_endpoint i64, skip i64
-- out certificate_id i64, endpoint_id i64
SELECT certificate_id, endpoint_id FROM finding
WHERE check_number = $check_number AND (certificate_id, endpoint_id) < ($before, $before_endpoint)
ORDER BY certificate_id DESC, endpoint_id DESC LIMIT 1 OFFSET $skip;

-- query finding_list : many
-- doc What one check says, newest certificates first, down to a last one; as far as those of a team may know.
-- in check_number i64, scope text, accepted bool, before i64, before_endpoint i64, to i64, to_endpoint i64, limit i64, now i64
-- out certificate_id i64, endpoint_id i64, fingerprint blob, not_after i64, place text?, name text?, since i64, state i64, detail text, accepted_by text?, accepted_at i64?, accepted_why text?, accepted_until i64?, team text?
SELECT f.certificate_id, f.endpoint_id, c.fingerprint, c.not_after, e.place, e.name, f.since, CASE WHEN f.accepted_until <= $now THEN 0 ELSE f.state END AS state,
    f.detail, f.accepted_by, f.accepted_at, f.accepted_why, f.accepted_until, t.name AS team
FROM finding f CROSS JOIN certificate c LEFT JOIN endpoint e ON e.id = f.endpoint_id
  AND e.team IN (SELECT v.number FROM team_within x JOIN team v ON v.id = x.team_id WHERE x.ancestor_id = $scope)
LEFT JOIN team t ON t.number = c.team
WHERE f.check_number = $check_number AND (f.certificate_id, f.endpoint_id) < ($before, $before_endpoint)
  AND (f.certificate_id, f.endpoint_id) >= ($to, $to_endpoint) AND c.id = f.certificate_id AND (f.endpoint_id = 0 OR e.id IS NOT NULL)
  AND (f.state = 0 OR f.accepted_until <= $now OR $accepted = 1)
  AND c.team IN (SELECT s.number FROM team_within w JOIN team s ON s.id = w.team_id WHERE w.ancestor_id = $scope)
ORDER BY f.certificate_id DESC, f.endpoint_id DESC LIMIT $limit;

-- query finding_accept : none
-- doc Somebody accepts what a check says of a certificate, wherever those of a team may know it; or no longer.
-- in check_number i64, certificate_id i64, scope text, state i64, accepted_by text?, accepted_at i64?, accepted_why text?, accepted_until i64?
UPDATE finding SET state = $state, accepted_by = $accepted_by, accepted_at = $accepted_at, accepted_why = $accepted_why,
    accepted_until = $accepted_until
WHERE check_number = $check_number AND certificate_id = $certificate_id AND (endpoint_id = 0 OR EXISTS (
    SELECT 1 FROM endpoint e JOIN team s ON s.number = e.team JOIN team_within w ON w.team_id = s.id
    WHERE e.id = finding.endpoint_id AND w.ancestor_id = $scope));

-- query observation_of : many
-- doc Where a certificate was seen, the latest first; as far as those of a team may know.
-- in certificate_id i64, scope text, limit i64
-- out endpoint_id i64, kind text, place text, name text, position i64, first_seen i64, last_seen i64, shows_now bool
SELECT e.id AS endpoint_id, e.kind, e.place, e.name, o.position,
    COALESCE((SELECT MIN(b.first_seen) FROM observation_before b WHERE b.endpoint_id = o.endpoint_id AND b.certificate_id = o.certificate_id),
             o.first_seen) AS first_seen, o.last_seen,
    CASE WHEN e.certificate_id = o.certificate_id OR o.last_seen >= e.last_seen OR (e.kind = 'list' AND e.certificate_id IS NULL)
         THEN 1 ELSE 0 END AS shows_now
FROM observation o JOIN endpoint e ON e.id = o.endpoint_id WHERE o.certificate_id = $certificate_id
  AND e.team IN (SELECT s.number FROM team_within w JOIN team s ON s.id = w.team_id WHERE w.ancestor_id = $scope)
ORDER BY o.last_seen DESC, e.id LIMIT $limit;

-- query observation_at : many
-- doc What an endpoint showed, the latest first; as far as those of a team may know.  times: of those it showed others after (0: not).
-- in endpoint_id i64, scope text, limit i64
-- out fingerprint blob, not_after i64, position i64, first_seen i64, last_seen i64, times i64
SELECT c.fingerprint, c.not_after, o.position, o.first_seen, o.last_seen, o.times
FROM (SELECT certificate_id, position, first_seen, last_seen, 0 AS times FROM observation WHERE endpoint_id = $endpoint_id
      UNION ALL SELECT certificate_id, 0, first_seen, last_seen, times FROM observation_before WHERE endpoint_id = $endpoint_id) o
JOIN certificate c ON c.id = o.certificate_id
WHERE c.team IN (SELECT s.number FROM team_within w JOIN team s ON s.id = w.team_id WHERE w.ancestor_id = $scope)
ORDER BY o.last_seen DESC, o.position, c.id, o.first_seen DESC LIMIT $limit;

-- query collection_add : none
-- doc A new collection.
-- in id text, team_id text, name text, filter text, description text, now i64
INSERT INTO collection (id, team_id, name, filter, description, revision, created_at, updated_at)
VALUES ($id, $team_id, $name, $filter, $description, 1, $now, $now);

-- query collection_list : many
-- doc Collections within a team.
-- in scope text, after text, limit i64
-- out id text, team_id text, team text, name text, filter text, description text, revision i64, created_at i64, updated_at i64
SELECT c.id, c.team_id, t.name AS team, c.name, c.filter, c.description, c.revision, c.created_at, c.updated_at
FROM collection c JOIN team t ON t.id = c.team_id
WHERE c.id > $after AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY c.id LIMIT $limit;

-- query collection_get : maybe
-- doc One collection within a team, by id or name.
-- in ref text, scope text
-- row collection_list
SELECT c.id, c.team_id, t.name AS team, c.name, c.filter, c.description, c.revision, c.created_at, c.updated_at
FROM collection c JOIN team t ON t.id = c.team_id
WHERE (c.id = $ref OR c.name = $ref) AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = c.team_id AND w.ancestor_id = $scope)
ORDER BY CASE WHEN c.id = $ref THEN 0 ELSE 1 END LIMIT 1;

-- query collection_update : exactly
-- doc Changes a collection.
-- in id text, revision i64, name text, filter text, description text, now i64
UPDATE collection SET name = $name, filter = $filter, description = $description, revision = revision + 1, updated_at = $now
WHERE id = $id AND revision = $revision;

-- query collection_remove : none
-- doc Takes a collection away.
-- in id text
DELETE FROM collection WHERE id = $id;

-- query counter_teams : many
-- doc How many of one dimension each team has, of a team and those within it, largest first.
-- in dimension text, scope text, limit i64
-- out name text, n i64
SELECT t.name, CAST(SUM(c.n) AS BIGINT) AS n FROM counter c JOIN team t ON t.number = c.team
JOIN team_within w ON w.team_id = t.id AND w.ancestor_id = $scope
WHERE c.dimension = $dimension AND c.day = 0 GROUP BY t.name HAVING SUM(c.n) <> 0 ORDER BY 2 DESC, 1 LIMIT $limit;

-- query counter_teams_of : many
-- doc How many of one key each team has, of a team and those within it, largest first.
-- in dimension text, key text, scope text, limit i64
-- row counter_teams
SELECT t.name, CAST(SUM(c.n) AS BIGINT) AS n FROM counter c JOIN team t ON t.number = c.team
JOIN team_within w ON w.team_id = t.id AND w.ancestor_id = $scope
WHERE c.dimension = $dimension AND c.key = $key AND c.day = 0 GROUP BY t.name HAVING SUM(c.n) <> 0 ORDER BY 2 DESC, 1 LIMIT $limit;

-- query team_of_number : maybe
-- doc The name of a team by its small number.
-- in number i64
-- out name text
SELECT name FROM team WHERE number = $number;
