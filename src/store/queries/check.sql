-- What certwright check looks at besides the inventory's own tables (inventory_orphans).

-- query remark_orphans : many
-- doc What was said or asked of certificates that are not there, and endpoints that nobody owns.
-- out what text, n i64
SELECT 'tags of a certificate that is not there' AS what, COUNT(*) AS n FROM certificate_tag t WHERE NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = t.certificate_id)
UNION ALL SELECT 'notes of a certificate that is not there', COUNT(*) FROM certificate_note o WHERE NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = o.certificate_id)
UNION ALL SELECT 'questions to others about a certificate that is not there', COUNT(*) FROM outside_ask a
    WHERE a.certificate_id <> 0 AND NOT EXISTS (SELECT 1 FROM certificate c WHERE c.id = a.certificate_id)
UNION ALL SELECT 'endpoints of a team that is not there', COUNT(*) FROM endpoint e WHERE NOT EXISTS (SELECT 1 FROM team t WHERE t.number = e.team);
