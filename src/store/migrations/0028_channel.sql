-- Channels over which people are told, and what they are told.  Credentials are named, never kept.
CREATE TABLE channel (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL,
    kind {TEXT} NOT NULL,                    -- a row of `channels` in the agent's agent.yaml
    agent_id {ID} NOT NULL REFERENCES agent (id),
    parameters {TEXT} NOT NULL,              -- JSON object of strings
    usual {INT} NOT NULL,                    -- what names no channel goes here
    daily {INT} NOT NULL,                    -- a sign of life once a day
    failures {INT} NOT NULL,                 -- tries in a row that failed
    failing_since {INT},                     -- told as failing, until something arrives
    ok_at {INT},
    error_code {TEXT},                       -- of the last try; NULL: it was good
    error {TEXT},
    error_at {INT},
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    removed_at {INT}
) {STRICT};
CREATE UNIQUE INDEX channel_name ON channel (name) WHERE removed_at IS NULL;
CREATE INDEX channel_of ON channel (team_id) WHERE removed_at IS NULL;

-- Whom a channel of e-mail writes to: nobody, until they have shown that they want to hear it.
CREATE TABLE channel_address (
    channel_id {ID} NOT NULL REFERENCES channel (id),
    address {TEXT} NOT NULL,
    confirmed_at {INT},
    code_hash {BLOB},                        -- SHA-256 of the code that was sent there
    code_until {INT},
    code_tries {INT} NOT NULL,
    PRIMARY KEY (channel_id, address)
) {STRICT};

CREATE TABLE notification (
    id {TEXT} PRIMARY KEY,                   -- hash of what makes it the same: alert, step, channel, state, recipient
    team_id {ID} NOT NULL REFERENCES team (id),
    channel_id {ID} NOT NULL REFERENCES channel (id),
    alert_id {ID},
    recipient {TEXT},                        -- of e-mail: this one alone; NULL: those of the channel
    what {TEXT} NOT NULL,                    -- opened, reminded, resolved, digest; test, confirm, alive
    payload {TEXT} NOT NULL,                 -- JSON: what is told
    state {TEXT} NOT NULL,                   -- waiting, sent, dead
    tries {INT} NOT NULL,
    next_at {INT},                           -- of the next try
    ends_at {INT} NOT NULL,                  -- dead then
    error_code {TEXT},
    error {TEXT},
    created_at {INT} NOT NULL,
    sent_at {INT}
) {STRICT};
CREATE INDEX notification_state ON notification (state, created_at);
CREATE INDEX notification_of ON notification (channel_id, created_at);
CREATE INDEX notification_alert ON notification (alert_id) WHERE alert_id IS NOT NULL;
