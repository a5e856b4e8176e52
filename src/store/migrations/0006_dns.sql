-- DNS providers: who may answer dns-01 challenges below which zones, and by which agent.  Credentials are named, never kept.
CREATE TABLE dns_provider (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL,
    provider {TEXT} NOT NULL,                -- a row of `dns` in the agent's agent.yaml
    agent_id {ID} NOT NULL REFERENCES agent (id),
    parameters {TEXT} NOT NULL,              -- JSON object of strings
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    removed_at {INT}
) {STRICT};
CREATE UNIQUE INDEX dns_provider_name ON dns_provider (name) WHERE removed_at IS NULL;

-- One row a zone: the provider of a name is found by walking up its labels.  Its credential is tried for each.
CREATE TABLE dns_zone (
    zone {TEXT} NOT NULL,                    -- lower case, no final dot
    provider_id {ID} NOT NULL REFERENCES dns_provider (id),
    trying {INT} NOT NULL,                   -- a job that tries it is under way
    tried_at {INT},
    failures {INT} NOT NULL,                 -- tries in a row that failed
    error_code {TEXT},                       -- of the last try; NULL: it was good
    error {TEXT},
    may {TEXT} NOT NULL,                     -- what the credential may do, in the provider's words
    expires_at {INT},                        -- when the credential ends, where that is known
    PRIMARY KEY (zone, provider_id)
) {STRICT};
CREATE INDEX dns_zone_of ON dns_zone (provider_id);

-- Who else may have challenges answered: a team (and those within it), or certificates whose key an agent makes.
CREATE TABLE dns_grant (
    id {ID} PRIMARY KEY,
    provider_id {ID} NOT NULL REFERENCES dns_provider (id),
    team_id {ID} REFERENCES team (id),
    agent_id {ID} REFERENCES agent (id),
    under {TEXT} NOT NULL,                   -- names at and below this
    created_at {INT} NOT NULL
) {STRICT};
CREATE INDEX dns_grant_of ON dns_grant (provider_id);

ALTER TABLE challenge ADD COLUMN method {TEXT} NOT NULL DEFAULT 'http-01';
ALTER TABLE challenge ADD COLUMN provider_id {ID};   -- of a DNS method: dns_provider
ALTER TABLE challenge ADD COLUMN error {TEXT};       -- state leftover: why it could not be taken away
CREATE INDEX challenge_leftover ON challenge (attempt_id) WHERE state = 'leftover';

-- Challenges of other ACME clients, answered for them.
CREATE TABLE managed_challenge (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    provider_id {ID} NOT NULL REFERENCES dns_provider (id),
    agent_id {ID} NOT NULL REFERENCES agent (id),
    via {TEXT} NOT NULL,                     -- JSON: connector and parameters that answer it
    name {TEXT} NOT NULL,                    -- without _acme-challenge and *
    value {TEXT} NOT NULL,
    state {TEXT} NOT NULL,                   -- presenting, presented, failed, cleaning, cleaned, leftover
    error_code {TEXT},
    error {TEXT},
    created_at {INT} NOT NULL,
    ends_at {INT} NOT NULL                   -- taken away then, whoever forgot it
) {STRICT};
CREATE INDEX managed_challenge_age ON managed_challenge (created_at);
