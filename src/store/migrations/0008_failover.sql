-- What is known of an issuer's health and of what it lets us ask for.
ALTER TABLE issuer ADD COLUMN failing_since {INT};                        -- the first of its failures in a row
ALTER TABLE issuer ADD COLUMN trips {INT} NOT NULL DEFAULT 0;             -- how often in a row it was left alone for a while
ALTER TABLE issuer ADD COLUMN trial_id {TEXT};                            -- the attempt that tries whether it works again
ALTER TABLE issuer ADD COLUMN trial_at {INT};
ALTER TABLE issuer ADD COLUMN standby_at {INT};                           -- when it was looked at last, as somebody's second choice
ALTER TABLE issuer ADD COLUMN standby_error {TEXT};                       -- what was wrong then; NULL: nothing
ALTER TABLE issuer ADD COLUMN terms_url {TEXT};                           -- of its terms of service, as its directory said last

CREATE TABLE issuer_use (                    -- one row an order and limit, as long as the longest published window
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    kind {TEXT} NOT NULL,                    -- account, names (exact set), domain (registered), failure
    what {TEXT} NOT NULL,                    -- '', hash of the set, the domain, the name that failed
    at {INT} NOT NULL,
    attempt_id {ID} NOT NULL
) {STRICT};
CREATE INDEX issuer_use_of ON issuer_use (issuer_id, kind, what, at);
CREATE INDEX issuer_use_age ON issuer_use (at);
CREATE INDEX issuer_use_attempt ON issuer_use (attempt_id);

CREATE TABLE issuer_hold (                   -- what an issuer said about one certificate alone: not before
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    until {INT} NOT NULL,
    why {TEXT} NOT NULL,
    PRIMARY KEY (issuer_id, managed_id)
) {STRICT};

CREATE TABLE managed_wait (                  -- a version is due, and no issuer can be asked for it now
    managed_id {ID} PRIMARY KEY REFERENCES managed_certificate (id),
    issuer_id {ID} NOT NULL,                 -- the one that is waited for
    until {INT} NOT NULL,
    why {TEXT} NOT NULL,
    remedy {TEXT} NOT NULL                   -- what people can do about it
) {STRICT};
CREATE INDEX managed_wait_of ON managed_wait (issuer_id);

CREATE TABLE bad_name (                      -- names of a managed certificate that the CA could not validate
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    name {TEXT} NOT NULL,
    failures {INT} NOT NULL,                 -- attempts in a row
    since {INT} NOT NULL,
    dropped {INT} NOT NULL,                  -- 1: left out until the next renewal
    why {TEXT} NOT NULL,
    PRIMARY KEY (managed_id, name)
) {STRICT};
