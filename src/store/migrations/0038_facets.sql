-- Certificates of an issuer, newest first; and those that end soon are asked for their issuer without a look at their rows.

-- only sqlite
CREATE INDEX certificate_issuer ON certificate (issuer_name_id); -- and by id, as every index is
DROP INDEX certificate_not_after;
CREATE INDEX certificate_not_after ON certificate (not_after, id, issuer_name_id);
-- end
-- only postgres
CREATE INDEX certificate_issuer ON certificate (issuer_name_id, id);
-- end
