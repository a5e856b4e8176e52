-- Earlier times of a certificate at an endpoint, where it came back after another one: observation has the last time.  Eight of a
-- certificate at an endpoint; of more the oldest ones are one row.
CREATE TABLE observation_before (
    endpoint_id {INT} NOT NULL,
    certificate_id {INT} NOT NULL,
    first_seen {INT} NOT NULL,
    last_seen {INT} NOT NULL,
    times {INT} NOT NULL,                    -- how many times it came within
    PRIMARY KEY (endpoint_id, certificate_id, first_seen)
-- only sqlite
) STRICT, WITHOUT ROWID;
-- end
-- only postgres
);
-- end
CREATE INDEX observation_before_certificate ON observation_before (certificate_id);

-- What changed on days that are forgotten, or are not known, is of day 1: so all days of a number together are the number.
INSERT INTO counter (dimension, team, key, day, n)
SELECT dimension, team, key, 1, CAST(SUM(CASE WHEN day = 0 THEN n ELSE -n END) AS BIGINT) FROM counter
GROUP BY dimension, team, key HAVING SUM(CASE WHEN day = 0 THEN n ELSE -n END) <> 0;
