-- Looks before ordering: one row while jobs of it run, and for a day.
CREATE TABLE preflight (
    id {ID} PRIMARY KEY,                     -- of the attempt; or its own
    team_id {ID} NOT NULL REFERENCES team (id),
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    attempt {INT} NOT NULL,                  -- 1: an attempt waits for it
    open {INT} NOT NULL,                     -- jobs that have not ended
    findings {TEXT} NOT NULL,                -- JSON list of {name, check, verdict, text}
    created_at {INT} NOT NULL
) {STRICT};
CREATE INDEX preflight_age ON preflight (created_at);
