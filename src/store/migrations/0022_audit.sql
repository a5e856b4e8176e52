-- The audit log as a Merkle tree (RFC 9162): entries are written in the transaction that they speak of, and get their place in the
-- log within seconds (core/audit_log.h).  Entries go when they are old; the hashes stay.
ALTER TABLE audit ADD COLUMN peer {TEXT} NOT NULL DEFAULT '';  -- where the request came from: an address, "local"; '': nobody asked
ALTER TABLE audit ADD COLUMN hash {BLOB};                      -- of its leaf; NULL: written by an older release
ALTER TABLE audit ADD COLUMN leaf {INT};                       -- its place in the log, from 0; NULL: not folded in yet
CREATE INDEX audit_new ON audit (seq) WHERE leaf IS NULL;
CREATE UNIQUE INDEX audit_leaf ON audit (leaf) WHERE leaf IS NOT NULL;
CREATE INDEX audit_principal ON audit (principal, seq);
CREATE INDEX audit_action ON audit (action, seq);

CREATE TABLE audit_tree (
    id {INT} PRIMARY KEY CHECK (id = 1),
    size {INT} NOT NULL,                     -- leaves
    kept_from {INT} NOT NULL,                -- entries before it went by retention
    holder {TEXT} NOT NULL,                  -- who folds: one process at a time
    held_until {INT} NOT NULL
) {STRICT};
INSERT INTO audit_tree (id, size, kept_from, holder, held_until) VALUES (1, 0, 0, '', 0);

CREATE TABLE audit_tile (                    -- hashes of 256 complete subtrees of 2^(8 * level) leaves; the last of a level grows
    level {INT} NOT NULL,
    number {INT} NOT NULL,
    hashes {BLOB} NOT NULL,
    PRIMARY KEY (level, number)
) {STRICT};

CREATE TABLE audit_head (                    -- signed by the signer
    size {INT} PRIMARY KEY,
    root {BLOB} NOT NULL,
    at {INT} NOT NULL,
    signature {BLOB} NOT NULL,
    key {BLOB} NOT NULL                      -- SubjectPublicKeyInfo
) {STRICT};
