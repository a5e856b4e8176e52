-- The inventory: every certificate there is, found or issued, once.

-- Teams have a small number: the inventory names a team in every row.
ALTER TABLE team ADD COLUMN number {INT};
UPDATE team SET number = (SELECT COUNT(*) FROM team t WHERE t.id <= team.id);
CREATE UNIQUE INDEX team_number ON team (number);

-- What was seen at an endpoint of a target makes room for what was seen anywhere.
ALTER TABLE observation RENAME TO target_endpoint;
DROP INDEX observation_bad;
CREATE INDEX target_endpoint_bad ON target_endpoint (verdict) WHERE verdict NOT IN ('served', 'installed');

ALTER TABLE certificate RENAME TO certificate_before;

-- What is asked for most, in rows so narrow that some forty share a page.  The rest is read from the DER again (core/inventory.h).
CREATE TABLE certificate (
    id {INT} PRIMARY KEY,                    -- rises: newest first is by id
    fingerprint {BLOB} NOT NULL,             -- SHA-256; once, which the writer sees to
    issuer_name_id {INT} NOT NULL,           -- 0: not read yet
    not_before {INT} NOT NULL,
    not_after {INT} NOT NULL,                -- 253402300799: has no end
    first_seen {INT} NOT NULL,
    last_seen {INT} NOT NULL,                -- written once a day at most
    key_kind {INT} NOT NULL,                 -- KEY_KIND() of core/inventory.h
    key_bits {INT} NOT NULL,
    signature_kind {INT} NOT NULL,           -- enum cert_signature
    flags {INT} NOT NULL,                    -- CERTIFICATE_ bits of core/inventory.h
    findings {INT} NOT NULL,                 -- bit (number - 1) for each check of core/checks.def that holds
    due_at {INT} NOT NULL,                   -- its row in certificate_due; 0: none
    team {INT} NOT NULL,                     -- number of the team
    source {INT} NOT NULL                    -- enum inventory_source: who brought it first
) {STRICT};
-- Eight bytes of the fingerprint find it: keys come in random order, and a small index stays in memory three times as long.
CREATE INDEX certificate_fingerprint ON certificate (substr(fingerprint, 1, 8));
CREATE INDEX certificate_not_after ON certificate (not_after, id);
CREATE INDEX certificate_team ON certificate (team, id);
CREATE INDEX certificate_managed ON certificate (id) WHERE (flags & 8) <> 0; -- as store/select.c asks

CREATE TABLE certificate_der (
    id {INT} PRIMARY KEY,
    dictionary {INT} NOT NULL,               -- of table dictionary; 0: the DER as it is
    der {BLOB} NOT NULL
) {STRICT};

-- Of zstd, trained on certificates of this inventory.  One stays as long as rows name it.
CREATE TABLE dictionary (
    id {INT} PRIMARY KEY,
    bytes {BLOB} NOT NULL,
    certificates {INT} NOT NULL,             -- in the inventory when it was trained
    created_at {INT} NOT NULL
) {STRICT};

DROP INDEX issuer_name; -- the name is wanted for the table below
CREATE UNIQUE INDEX issuer_named ON issuer (name) WHERE removed_at IS NULL;
CREATE TABLE issuer_name (
    id {SERIAL},
    sha256 {BLOB} NOT NULL UNIQUE,           -- of dn; its first 8 bytes in hex are the term i:…
    dn {BLOB} NOT NULL,                      -- the Name as it stands in certificates
    text {TEXT} NOT NULL,
    organization {TEXT},
    common_name {TEXT}
) {STRICT};
CREATE INDEX issuer_name_organization ON issuer_name (organization);
CREATE INDEX issuer_name_common_name ON issuer_name (common_name);

-- Terms of certificates (inventory_terms() in core/inventory.h): what equality and words are searched by.
-- only sqlite
CREATE VIRTUAL TABLE certificate_term USING fts5 (terms, content='', columnsize=0, detail=none,
    tokenize="ascii tokenchars '.-_:=*@'");
INSERT INTO certificate_term (certificate_term, rank) VALUES ('pgsz', 4040);
-- end
-- only postgres
CREATE TABLE certificate_term (
    certificate_id BIGINT PRIMARY KEY,
    terms TEXT[] NOT NULL
);
CREATE INDEX certificate_term_of ON certificate_term USING GIN (terms);
CREATE SEQUENCE certificate_ids;
-- end

-- The next change of a certificate's findings that the clock makes.
CREATE TABLE certificate_due (
    due_at {INT} NOT NULL,
    certificate_id {INT} NOT NULL,
    PRIMARY KEY (due_at, certificate_id)
-- only sqlite
) STRICT, WITHOUT ROWID;
-- end
-- only postgres
);
-- end

-- What is wrong with a certificate, or (endpoint_id not 0) with an endpoint that serves it.
CREATE TABLE finding (
    check_number {INT} NOT NULL,             -- of core/checks.def
    certificate_id {INT} NOT NULL,
    endpoint_id {INT} NOT NULL,
    since {INT} NOT NULL,
    state {INT} NOT NULL,                    -- 0: open, 1: accepted
    detail {TEXT} NOT NULL,
    accepted_by {TEXT},
    accepted_at {INT},
    PRIMARY KEY (check_number, certificate_id, endpoint_id)
-- only sqlite
) STRICT, WITHOUT ROWID;
-- end
-- only postgres
);
-- end
CREATE INDEX finding_endpoint ON finding (endpoint_id) WHERE endpoint_id <> 0;

-- Where certificates are: a TLS endpoint, a file, a store, a list.
CREATE TABLE endpoint (
    id {SERIAL},
    kind {TEXT} NOT NULL,                    -- tls, file, store, list, log
    place {TEXT} NOT NULL,                   -- 192.0.2.1:443, [2001:db8::1]:443, host:/path, name of the list
    name {TEXT} NOT NULL,                    -- the name asked for (SNI), alias in a store; or ''
    address {BLOB},                          -- of kind tls: 16 bytes, IPv4 mapped: ranges are by their order
    port {INT},
    agent_id {ID} REFERENCES agent (id),     -- who sees it
    team {INT} NOT NULL,
    certificate_id {INT},                    -- the leaf it shows now
    result {TEXT} NOT NULL,                  -- ok, or how it failed
    error {TEXT},
    options {TEXT} NOT NULL,                 -- JSON: what was negotiated there
    first_seen {INT} NOT NULL,
    last_seen {INT} NOT NULL,                -- looked at
    changed_at {INT} NOT NULL                -- the leaf became another one
) {STRICT};
CREATE UNIQUE INDEX endpoint_place ON endpoint (kind, place, name, team); -- what one team sees does not change what another sees
CREATE INDEX endpoint_address ON endpoint (address, port) WHERE address IS NOT NULL;
CREATE INDEX endpoint_team ON endpoint (team, id);
CREATE INDEX endpoint_name ON endpoint (name) WHERE name <> '';
CREATE INDEX endpoint_certificate ON endpoint (certificate_id) WHERE certificate_id IS NOT NULL;

-- Which certificates an endpoint showed, and when first and last: not a row a sighting.
CREATE TABLE observation (
    endpoint_id {INT} NOT NULL,
    certificate_id {INT} NOT NULL,
    position {INT} NOT NULL,                 -- in the chain; 0: the leaf
    first_seen {INT} NOT NULL,
    last_seen {INT} NOT NULL,
    PRIMARY KEY (endpoint_id, certificate_id)
-- only sqlite
) STRICT, WITHOUT ROWID;
-- end
-- only postgres
);
-- end
CREATE INDEX observation_certificate ON observation (certificate_id);

-- Numbers of people's interest.  Transactions append what they change; within seconds it is folded into counter.
CREATE TABLE counter_delta (
    seq {SERIAL},
    day {INT} NOT NULL,                      -- since 1970
    team {INT} NOT NULL,
    dimension {TEXT} NOT NULL,               -- core/counter.h
    key {TEXT} NOT NULL,
    n {INT} NOT NULL
) {STRICT};
CREATE TABLE counter (
    dimension {TEXT} NOT NULL,
    team {INT} NOT NULL,
    key {TEXT} NOT NULL,
    day {INT} NOT NULL,                      -- 0: how many there are; else: how that changed on the day
    n {INT} NOT NULL,
    PRIMARY KEY (dimension, team, key, day)
-- only sqlite
) STRICT, WITHOUT ROWID;
-- end
-- only postgres
);
-- end
CREATE INDEX counter_day ON counter (day);

-- What people say of a certificate: tags, who owns it, a note.
CREATE TABLE certificate_tag (
    tag {TEXT} NOT NULL,
    certificate_id {INT} NOT NULL,
    PRIMARY KEY (tag, certificate_id)
-- only sqlite
) STRICT, WITHOUT ROWID;
-- end
-- only postgres
);
-- end
CREATE INDEX certificate_tag_of ON certificate_tag (certificate_id);
CREATE TABLE certificate_note (
    certificate_id {INT} PRIMARY KEY,
    owner {TEXT},
    note {TEXT},
    changed_by {TEXT} NOT NULL,
    changed_at {INT} NOT NULL
) {STRICT};
CREATE INDEX certificate_note_owner ON certificate_note (owner, certificate_id) WHERE owner IS NOT NULL;

-- Filters that were given a name.
CREATE TABLE collection (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL UNIQUE,
    filter {TEXT} NOT NULL,                  -- core/filter.h
    description {TEXT} NOT NULL,
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL
) {STRICT};

-- Certificates whose columns, terms and counters are to be made from their DER (again).
CREATE TABLE certificate_reread (
    id {INT} PRIMARY KEY
) {STRICT};

-- What was issued before goes over.
INSERT INTO certificate (id, fingerprint, issuer_name_id, not_before, not_after, first_seen, last_seen, key_kind, key_bits, signature_kind,
    flags, findings, due_at, team, source)
SELECT ROW_NUMBER() OVER (ORDER BY created_at, fingerprint), fingerprint, 0, not_before, not_after, created_at, created_at, 0, 0, 0, 8, 0, 0,
    COALESCE((SELECT t.number FROM version v JOIN managed_certificate m ON m.id = v.managed_id JOIN team t ON t.id = m.team_id
              WHERE v.fingerprint = b.fingerprint ORDER BY v.created_at LIMIT 1), 1), 1
FROM certificate_before b;
INSERT INTO certificate_der (id, dictionary, der)
SELECT c.id, 0, b.der FROM certificate c JOIN certificate_before b ON b.fingerprint = c.fingerprint;
INSERT INTO certificate_reread (id) SELECT id FROM certificate;

-- A version names its certificate by id, and has what is shown of it most.
-- only sqlite
CREATE TABLE version_after (
    managed_id TEXT NOT NULL REFERENCES managed_certificate (id),
    number INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    issuer_id TEXT NOT NULL REFERENCES issuer (id),
    certificate_id INTEGER NOT NULL REFERENCES certificate (id),
    fingerprint BLOB NOT NULL,
    serial BLOB NOT NULL,
    names TEXT NOT NULL,
    chain_sha256 BLOB NOT NULL REFERENCES chain (sha256),
    wish_hash BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    renew_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revoke_reason INTEGER,
    created_at INTEGER NOT NULL,
    account_url TEXT,
    replaced_at INTEGER,
    ari_at INTEGER,
    explanation_url TEXT,
    PRIMARY KEY (managed_id, number)
) STRICT;
INSERT INTO version_after (managed_id, number, attempt_id, issuer_id, certificate_id, fingerprint, serial, names, chain_sha256, wish_hash,
    not_before, not_after, renew_at, revoked_at, revoke_reason, created_at, account_url, replaced_at, ari_at, explanation_url)
SELECT v.managed_id, v.number, v.attempt_id, v.issuer_id, c.id, v.fingerprint, b.serial, b.names, v.chain_sha256, v.wish_hash,
    v.not_before, v.not_after, v.renew_at, v.revoked_at, v.revoke_reason, v.created_at, v.account_url, v.replaced_at, v.ari_at, v.explanation_url
FROM version v JOIN certificate c ON c.fingerprint = v.fingerprint JOIN certificate_before b ON b.fingerprint = v.fingerprint;
DROP TABLE version;
ALTER TABLE version_after RENAME TO version;
CREATE INDEX version_fingerprint ON version (fingerprint);
CREATE INDEX version_issuer ON version (issuer_id);
-- end
-- only postgres
ALTER TABLE version ADD COLUMN certificate_id BIGINT REFERENCES certificate (id);
ALTER TABLE version ADD COLUMN serial BYTEA;
ALTER TABLE version ADD COLUMN names TEXT COLLATE "C";
UPDATE version SET certificate_id = c.id, serial = b.serial, names = b.names
FROM certificate c JOIN certificate_before b ON b.fingerprint = c.fingerprint WHERE c.fingerprint = version.fingerprint;
ALTER TABLE version ALTER COLUMN certificate_id SET NOT NULL, ALTER COLUMN serial SET NOT NULL, ALTER COLUMN names SET NOT NULL;
ALTER TABLE version DROP CONSTRAINT version_fingerprint_fkey;
SELECT setval('certificate_ids', (SELECT COALESCE(MAX(id), 0) + 1 FROM certificate), false);
-- end
CREATE INDEX version_certificate ON version (certificate_id);
DROP TABLE certificate_before;
