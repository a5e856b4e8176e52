-- What is known of an issuer's health and of what it lets us ask for.
CREATE TABLE issuer_use (                    -- one row an order, as long as the longest published window
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    kind {TEXT} NOT NULL,                    -- account, names (exact set), domain (registered), failure
    what {TEXT} NOT NULL,                    -- '', hash of the set, the domain
    at {INT} NOT NULL,
    attempt_id {ID} NOT NULL
) {STRICT};
CREATE INDEX issuer_use_of ON issuer_use (issuer_id, kind, what, at);
CREATE INDEX issuer_use_age ON issuer_use (at);
