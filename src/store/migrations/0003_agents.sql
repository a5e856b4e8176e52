-- Agents on other hosts: what they may do was said by the token they joined with, and is bound to them.
ALTER TABLE agent ADD COLUMN granted {TEXT} NOT NULL DEFAULT '[]';      -- JSON list of kinds of job; empty: every kind
ALTER TABLE agent ADD COLUMN networks {TEXT} NOT NULL DEFAULT '[]';     -- JSON list of CIDR it may call from; empty: any
ALTER TABLE agent ADD COLUMN address {TEXT} NOT NULL DEFAULT '';        -- where it called from last
ALTER TABLE agent ADD COLUMN boots {TEXT} NOT NULL DEFAULT '[]';        -- JSON list of {id, until}: starts before the last one
ALTER TABLE agent ADD COLUMN join_token_id {TEXT} NOT NULL DEFAULT '';
ALTER TABLE agent ADD COLUMN certificate_ends_at {INT} NOT NULL DEFAULT 0; -- of its newest fleet certificate; 0: it has none
CREATE INDEX agent_state ON agent (state);

CREATE TABLE join_token (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL UNIQUE,
    hash {BLOB} NOT NULL UNIQUE,             -- SHA-256 of the token's text
    uses {INT} NOT NULL,                     -- how many agents may join with it
    used {INT} NOT NULL,
    networks {TEXT} NOT NULL,                -- JSON list of CIDR; empty: from anywhere
    name_pattern {TEXT} NOT NULL,            -- "web*"; empty: any name
    granted {TEXT} NOT NULL,                 -- JSON list of kinds of job; empty: every kind
    approval {INT} NOT NULL,                 -- 1: somebody has to approve each agent
    created_at {INT} NOT NULL,
    expires_at {INT} NOT NULL,
    revoked_at {INT}
) {STRICT};
