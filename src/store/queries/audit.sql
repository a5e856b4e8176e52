-- query audit_add : none
-- doc One audit entry, in the transaction that it speaks of.
-- in at i64, principal text, peer text, action text, object_kind text, object_id text, team_id text, request_id text, detail json, hash blob
INSERT INTO audit (at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash)
VALUES ($at, $principal, $peer, $action, $object_kind, $object_id, $team_id, $request_id, $detail, $hash);

-- query audit_list : many
-- doc Audit entries within a team, newest first, before a number; '' and 0 ask for anything.
-- in scope text, before i64, principal text, action text, object text, since i64, until i64, limit i64
-- out seq i64, leaf i64?, at i64, principal text, peer text, action text, object_kind text, object_id text, team_id text, request_id text, detail json, hash blob?
SELECT seq, leaf, at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash FROM audit a
WHERE a.seq < $before AND ($principal = '' OR a.principal = $principal) AND ($action = '' OR a.action = $action)
  AND ($object = '' OR a.object_id = $object) AND a.at >= $since AND a.at < $until
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY seq DESC LIMIT $limit;

-- query audit_by_principal : many
-- doc As audit_list, of one who acted.
-- in scope text, before i64, principal text, action text, since i64, until i64, limit i64
-- row audit_list
SELECT seq, leaf, at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash FROM audit a
WHERE a.principal = $principal AND a.seq < $before AND ($action = '' OR a.action = $action) AND a.at >= $since AND a.at < $until
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY seq DESC LIMIT $limit;

-- query audit_by_action : many
-- doc As audit_list, of one action.
-- in scope text, before i64, action text, since i64, until i64, limit i64
-- row audit_list
SELECT seq, leaf, at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash FROM audit a
WHERE a.action = $action AND a.seq < $before AND a.at >= $since AND a.at < $until
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY seq DESC LIMIT $limit;

-- query audit_by_object : many
-- doc As audit_list, of one object.
-- in scope text, before i64, object text, principal text, action text, since i64, until i64, limit i64
-- row audit_list
SELECT seq, leaf, at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash FROM audit a
WHERE a.object_id = $object AND a.seq < $before AND ($principal = '' OR a.principal = $principal)
  AND ($action = '' OR a.action = $action) AND a.at >= $since AND a.at < $until
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY seq DESC LIMIT $limit;

-- query audit_export : many
-- doc Audit entries within a team, or all, in the order of the log, from a place in it on.
-- in scope text, everything bool, from_leaf i64, to_leaf i64, principal text, action text, object text, since i64, until i64, limit i64
-- row audit_list
SELECT seq, leaf, at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash FROM audit a
WHERE a.leaf >= $from_leaf AND a.leaf < $to_leaf AND ($principal = '' OR a.principal = $principal)
  AND ($action = '' OR a.action = $action) AND ($object = '' OR a.object_id = $object) AND a.at >= $since AND a.at < $until
  AND ($everything = 1 OR EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope))
ORDER BY leaf LIMIT $limit;

-- query audit_new : many
-- doc Entries that have no place in the log yet, in their order.
-- in limit i64
-- out seq i64, hash blob?
SELECT seq, hash FROM audit WHERE leaf IS NULL ORDER BY seq LIMIT $limit;

-- query audit_one : one
-- doc One entry, whole.
-- in seq i64
-- row audit_list
SELECT seq, leaf, at, principal, peer, action, object_kind, object_id, team_id, request_id, detail, hash FROM audit WHERE seq = $seq;

-- query audit_hash : exactly
-- doc The hash of an entry of an older release, and its detail in the canonical form.
-- in seq i64, hash blob, detail json
UPDATE audit SET hash = $hash, detail = $detail WHERE seq = $seq AND leaf IS NULL;

-- query audit_place : none
-- doc Gives the entries that have none, up to one of them, their places in the log.
-- in from_leaf i64, last_seq i64
UPDATE audit SET leaf = n.place FROM
  (SELECT seq AS of_seq, $from_leaf + ROW_NUMBER() OVER (ORDER BY seq) - 1 AS place FROM audit WHERE leaf IS NULL AND seq <= $last_seq) n
WHERE audit.seq = n.of_seq AND audit.leaf IS NULL;

-- query audit_placed : maybe
-- doc The place of an entry.
-- in seq i64
-- out leaf i64
SELECT leaf FROM audit WHERE seq = $seq AND leaf IS NOT NULL;

-- query audit_tree : one
-- doc The log's tree.
-- out size i64, kept_from i64, holder text, held_until i64
SELECT size, kept_from, holder, held_until FROM audit_tree WHERE id = 1;

-- query audit_tree_hold : exactly
-- doc Takes or keeps the lease of folding.
-- in holder text, now i64, until i64
UPDATE audit_tree SET holder = $holder, held_until = $until WHERE id = 1 AND (holder = $holder OR held_until <= $now OR held_until > $now + 60);

-- query audit_tree_grow : exactly
-- doc The tree has more leaves.
-- in holder text, size i64, size_now i64
UPDATE audit_tree SET size = $size_now WHERE id = 1 AND size = $size AND holder = $holder;

-- query audit_tile : maybe
-- doc A tile of hashes.
-- in level i64, number i64
-- out hashes blob
SELECT hashes FROM audit_tile WHERE level = $level AND number = $number;

-- query audit_tile_put : none
-- doc A tile that has grown.
-- in level i64, number i64, hashes blob
INSERT INTO audit_tile (level, number, hashes) VALUES ($level, $number, $hashes)
ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes;

-- query audit_head_last : maybe
-- doc The newest signed head.
-- out size i64, root blob, at i64, signature blob, key blob
SELECT size, root, at, signature, key FROM audit_head ORDER BY size DESC LIMIT 1;

-- query audit_head_at : maybe
-- doc The signed head of a size.
-- in size i64
-- row audit_head_last
SELECT size, root, at, signature, key FROM audit_head WHERE size = $size;

-- query audit_head_add : none
-- doc A head that was signed.
-- in size i64, root blob, at i64, signature blob, key blob
INSERT INTO audit_head (size, root, at, signature, key) VALUES ($size, $root, $at, $signature, $key)
ON CONFLICT (size) DO UPDATE SET root = excluded.root, at = excluded.at, signature = excluded.signature, key = excluded.key;

-- query audit_head_expire : none
-- doc Retention: heads; what they proved, a later one proves too.
-- in before i64
DELETE FROM audit_head WHERE size IN
  (SELECT size FROM (SELECT size, at FROM audit_head ORDER BY size LIMIT 20) h WHERE h.at < $before);

-- query audit_old : maybe
-- doc The place after the last entry that is older, of some.
-- in before i64, from_leaf i64, to_leaf i64
-- out leaf i64
SELECT leaf + 1 AS leaf FROM audit WHERE leaf >= $from_leaf AND leaf < $to_leaf AND at < $before ORDER BY leaf DESC LIMIT 1;

-- query audit_expire : none
-- doc Retention: entries before a place in the log; their hashes stay.
-- in before_leaf i64
DELETE FROM audit WHERE leaf < $before_leaf;

-- query audit_kept_from : exactly
-- doc Where the entries that are still there begin.
-- in kept_from i64
UPDATE audit_tree SET kept_from = $kept_from WHERE id = 1;

-- query event_list : many
-- doc Entries of the log within a team between two places, with the name that their object has now.
-- in scope text, from_leaf i64, to_leaf i64
-- out leaf i64, at i64, action text, object_kind text, object_id text, name text?, detail json
SELECT a.leaf, a.at, a.action, a.object_kind, a.object_id, COALESCE(m.name, t.name, i.name, g.name, c.name, q.object_name, n.name) AS name, a.detail FROM audit a
LEFT JOIN managed_certificate m ON a.object_kind = 'managed-certificate' AND m.id = a.object_id
LEFT JOIN target t ON a.object_kind = 'target' AND t.id = a.object_id
LEFT JOIN issuer i ON a.object_kind = 'issuer' AND i.id = a.object_id
LEFT JOIN agent g ON a.object_kind = 'agent' AND g.id = a.object_id
LEFT JOIN campaign c ON a.object_kind IN ('campaign', 'bulk') AND c.id = a.object_id
LEFT JOIN request q ON a.object_kind = 'request' AND q.id = a.object_id
LEFT JOIN channel n ON a.object_kind = 'channel' AND n.id = a.object_id
WHERE a.leaf >= $from_leaf AND a.leaf < $to_leaf
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.leaf;
