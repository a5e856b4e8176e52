-- Keys that people may download: made and kept by the signer, one an attempt (core/download.h).  No key is here.
CREATE TABLE download_key (
    attempt_id {ID} PRIMARY KEY REFERENCES attempt (id),
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    state {TEXT} NOT NULL,                   -- kept, leaving, gone
    why {TEXT},                              -- it is or was destroyed
    taken {INT} NOT NULL,                    -- how often it was downloaded
    taken_at {INT},                          -- last
    taken_by {TEXT},
    created_at {INT} NOT NULL,
    ended_at {INT}                           -- left the state kept
) {STRICT};
CREATE INDEX download_key_kept ON download_key (managed_id) WHERE state = 'kept';

-- Downloads that policy wanted approved, and that were: one each.
CREATE TABLE download_grant (
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    version {INT} NOT NULL,
    format {TEXT} NOT NULL,
    person {TEXT} NOT NULL,                  -- account, or whoever asked without one
    ends_at {INT} NOT NULL,
    PRIMARY KEY (managed_id, version, format, person)
) {STRICT};
