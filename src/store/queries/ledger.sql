-- query ledger_list : many
-- doc What the audit log has of a managed certificate: of itself, of requests for it, and of deployments to its targets; newest first, before a number.
-- in managed text, scope text, before i64, limit i64
-- row audit_list
WITH o(id) AS (SELECT CAST($managed AS TEXT) UNION SELECT r.id FROM request r WHERE r.object_id = $managed
    UNION SELECT r.id FROM request r WHERE r.result_id = $managed UNION SELECT d.target_id FROM deployment d WHERE d.managed_id = $managed)
SELECT a.seq, a.leaf, a.at, a.principal, a.peer, a.action, a.object_kind, a.object_id, a.team_id, a.request_id, a.detail, a.hash
FROM o JOIN audit a ON a.object_id = o.id
WHERE a.seq < $before AND (a.object_kind <> 'target' OR a.action IN ('certificate.deployed', 'deployment.failed', 'target.drift'))
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.seq DESC LIMIT $limit;

-- query ledger_export : many
-- doc The same in the order of the log, from a place in it on.
-- in managed text, scope text, from_leaf i64, to_leaf i64, limit i64
-- row audit_list
WITH o(id) AS (SELECT CAST($managed AS TEXT) UNION SELECT r.id FROM request r WHERE r.object_id = $managed
    UNION SELECT r.id FROM request r WHERE r.result_id = $managed UNION SELECT d.target_id FROM deployment d WHERE d.managed_id = $managed)
SELECT a.seq, a.leaf, a.at, a.principal, a.peer, a.action, a.object_kind, a.object_id, a.team_id, a.request_id, a.detail, a.hash
FROM o JOIN audit a ON a.object_id = o.id
WHERE a.leaf >= $from_leaf AND a.leaf < $to_leaf
  AND (a.object_kind <> 'target' OR a.action IN ('certificate.deployed', 'deployment.failed', 'target.drift'))
  AND EXISTS (SELECT 1 FROM team_within w WHERE w.team_id = a.team_id AND w.ancestor_id = $scope)
ORDER BY a.leaf LIMIT $limit;
