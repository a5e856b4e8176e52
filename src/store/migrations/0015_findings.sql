-- What is wrong: what it takes to know it, and what is to be looked at (again).

-- Issuers by Name and key identifier: how far they are believed (core/issuer_trust.h).
CREATE TABLE issuer_trust (
    name_sha256 {BLOB} NOT NULL,             -- of the Name, as issuer_name.sha256
    key_id {BLOB} NOT NULL,                  -- subject key identifier; empty where there is none
    trust {INT} NOT NULL,                    -- enum issuer_trust
    certificate_id {INT} NOT NULL,           -- the CA certificate that says so
    distrusted_from {INT},                   -- what it issued from then on is not believed by browsers; NULL: all is
    root {TEXT} NOT NULL,                    -- where its chain ends; '' where nowhere
    PRIMARY KEY (name_sha256, key_id)
-- only sqlite
) STRICT, WITHOUT ROWID;
-- end
-- only postgres
);
-- end

-- Endpoints that were looked at, and whose findings are to follow.
CREATE TABLE endpoint_look (
    endpoint_id {INT} PRIMARY KEY
) {STRICT};

-- Certificates to be looked at again, slice by slice in the order of their numbers.
CREATE TABLE finding_sweep (
    term {TEXT} PRIMARY KEY,                 -- those found by it; '': all
    after_id {INT} NOT NULL,                 -- how far it has come
    deep {INT} NOT NULL                      -- 1: keys too
) {STRICT};

-- What the findings were made by: other rules, another look.
CREATE TABLE finding_rules (
    id {INT} PRIMARY KEY,                    -- 1
    rules {BLOB} NOT NULL,                   -- SHA-256 of the settings and roots
    keys {BLOB} NOT NULL                     -- SHA-256 of the lists of weak keys
) {STRICT};

-- Why a finding is accepted, and until when: then it is open again by itself.
ALTER TABLE finding ADD COLUMN accepted_why {TEXT};
ALTER TABLE finding ADD COLUMN accepted_until {INT};

-- What others are asked of certificates, through an agent: an issuer's certificate (by its URL), or whether one is revoked.
CREATE TABLE outside_ask (
    ref {TEXT} PRIMARY KEY,                  -- "issuer:" and a hash of the URL, "revocation:" and the certificate's number
    certificate_id {INT} NOT NULL,           -- 0: of an issuer
    url {TEXT} NOT NULL,                     -- of an issuer; else where the last answer came from
    due_at {INT} NOT NULL,
    failures {INT} NOT NULL,                 -- in a row
    error {TEXT},
    status {TEXT},                           -- good, revoked, unknown
    said_at {INT},
    revoked_at {INT},
    reason {INT},
    for_id {INT} NOT NULL DEFAULT 0,         -- of an issuer: the certificate that misses it
    asked_at {INT} NOT NULL DEFAULT 0        -- when a job was last made
) {STRICT};
CREATE INDEX outside_ask_due ON outside_ask (due_at);
CREATE INDEX outside_ask_of ON outside_ask (certificate_id) WHERE certificate_id <> 0;

-- How much was asked in an hour, of everybody and of each host: certificates are anybody's, and so are the places that they name.
CREATE TABLE outside_hour (
    host {TEXT} PRIMARY KEY,                 -- "issuer" or "revocation", and behind a space the host; alone: all of them
    hour {INT} NOT NULL,                     -- since 1970
    n {INT} NOT NULL                         -- one more than may be: something had to wait
) {STRICT};
