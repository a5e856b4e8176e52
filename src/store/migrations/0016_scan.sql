-- Scans of networks: what is asked for, and how far each agent's part of it has come.

ALTER TABLE agent ADD COLUMN scan {TEXT} NOT NULL DEFAULT '{}';  -- JSON: what its agent.yaml lets be scanned: networks, ports, rate

CREATE TABLE scan (
    id {ID} PRIMARY KEY,
    number {INT} NOT NULL UNIQUE,            -- those without a name of their own are called by it
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL UNIQUE,
    spec {TEXT} NOT NULL,                    -- JSON: ScanSpec of the API
    scope {ID} NOT NULL,                     -- team of whoever asked: its agents, and those within it, may do it
    every_s {INT} NOT NULL,                  -- 0: once
    state {TEXT} NOT NULL,                   -- running, paused, stopped, done, failed
    run {INT} NOT NULL,                      -- how often it was begun
    started_at {INT} NOT NULL,
    finished_at {INT},
    error {TEXT},                            -- why it could not begin again
    created_by {TEXT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL
) {STRICT};

CREATE TABLE scan_part (                     -- of the newest run: what one agent does of it
    id {ID} PRIMARY KEY,
    scan_id {ID} NOT NULL REFERENCES scan (id),
    agent_id {ID} NOT NULL REFERENCES agent (id),
    targets {TEXT} NOT NULL,                 -- JSON list
    seed {INT} NOT NULL,
    state {TEXT} NOT NULL,                   -- running, done, failed, stopped
    position {INT} NOT NULL,                 -- everything before it is done, and is in the inventory
    total {INT} NOT NULL,                    -- 0: not known yet
    batch {TEXT} NOT NULL,                   -- the last one taken: it may come again
    probed {INT} NOT NULL,
    found {INT} NOT NULL,
    silent {INT} NOT NULL,
    refused {INT} NOT NULL,
    failed {INT} NOT NULL,
    skipped {INT} NOT NULL,
    fresh {INT} NOT NULL,                    -- certificates that the inventory did not have
    rate {INT} NOT NULL,                     -- endpoints a second, smoothed
    remarks {TEXT} NOT NULL,                 -- JSON list: what was named singly and could not be asked
    told {INT} NOT NULL,                     -- endpoints, those that came again as well: there is a ceiling
    still {INT} NOT NULL,                    -- batches in a row that did not move the position
    failures {INT} NOT NULL,                 -- in a row
    error_code {TEXT},
    error {TEXT},
    heard_at {INT},                          -- the last batch
    finished_at {INT}
) {STRICT};
CREATE UNIQUE INDEX scan_part_agent ON scan_part (scan_id, agent_id);
CREATE INDEX scan_part_of_agent ON scan_part (agent_id);
