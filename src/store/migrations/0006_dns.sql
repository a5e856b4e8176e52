-- DNS providers: who may answer dns-01 challenges below which zones, and by which agent.  Credentials are named, never kept.
CREATE TABLE dns_provider (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL,
    provider {TEXT} NOT NULL,                -- a row of `dns` in the agent's agent.yaml
    agent_id {ID} NOT NULL REFERENCES agent (id),
    parameters {TEXT} NOT NULL,              -- JSON object of strings
    zones {TEXT} NOT NULL,                   -- JSON list: names at and below these
    tried_at {INT},                          -- when its credential was tried last
    error_code {TEXT},                       -- of that try; NULL: it was good
    error {TEXT},
    scope {TEXT} NOT NULL,                   -- what the credential may do, in the provider's words
    expires_at {INT},                        -- when the credential ends, where that is known
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    removed_at {INT}
) {STRICT};
CREATE UNIQUE INDEX dns_provider_name ON dns_provider (name) WHERE removed_at IS NULL;

-- One row a zone: the provider of a name is found by walking up its labels.
CREATE TABLE dns_zone (
    zone {TEXT} NOT NULL,
    provider_id {ID} NOT NULL REFERENCES dns_provider (id),
    PRIMARY KEY (zone, provider_id)
) {STRICT};
CREATE INDEX dns_zone_of ON dns_zone (provider_id);

ALTER TABLE challenge ADD COLUMN method {TEXT} NOT NULL DEFAULT 'http-01';
