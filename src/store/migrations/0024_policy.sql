-- Policy: what may be asked for, as one document.  Every version of it is kept, and the newest one is in force.
CREATE TABLE policy (
    version {INT} PRIMARY KEY,
    document {TEXT} NOT NULL,                -- YAML, as it was written
    teams {TEXT} NOT NULL,                   -- JSON: names of teams in it, each with the id of the team that was meant
    hash {BLOB} NOT NULL,                    -- SHA-256 of both
    comment {TEXT} NOT NULL,
    created_by {TEXT} NOT NULL,
    created_at {INT} NOT NULL
) {STRICT};

CREATE TABLE policy_hold (                   -- renewals that are due and that policy holds back
    managed_id {ID} PRIMARY KEY REFERENCES managed_certificate (id),
    rule {TEXT} NOT NULL,
    until {INT} NOT NULL,                    -- when it is looked at again
    ends {INT} NOT NULL,                     -- 1: then it goes on; 0: a rule forbids it, and the certificate ends
    why {TEXT} NOT NULL,
    since {INT} NOT NULL
) {STRICT};
