-- What somebody wants to be done and others have to approve first (core/request.h).
CREATE TABLE request (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    kind {TEXT} NOT NULL,                    -- core/request_kind.c has the table
    object_id {ID},                          -- what it is about; NULL: there is none yet
    object_name {TEXT} NOT NULL,
    payload {TEXT} NOT NULL,                 -- JSON: what is done once it is approved
    hash {BLOB} NOT NULL,                    -- SHA-256 of kind, team, object and payload: what approvals are for
    state {TEXT} NOT NULL,                   -- waiting, refused, withdrawn, expired, done, failed
    asker_kind {INT} NOT NULL,               -- with whose rights it is done: enum principal_kind
    asker_id {TEXT} NOT NULL,
    asker {TEXT} NOT NULL,                   -- as the audit log names them
    user_id {ID},                            -- whose account or token it was; NULL: nobody's
    maker {TEXT} NOT NULL,                   -- of a token of nobody: the person who made it; '': not known
    comment {TEXT} NOT NULL,
    minimum {INT} NOT NULL,                  -- approvals even where policy wants none
    policy_version {INT} NOT NULL,           -- what policy said last
    rule {TEXT},
    words {TEXT},
    needs {INT} NOT NULL,
    role {TEXT},
    reminders {INT} NOT NULL,                -- written so far
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    expires_at {INT} NOT NULL,
    decided_at {INT},
    result_id {ID},
    error_code {TEXT},
    error {TEXT}
) {STRICT};
CREATE INDEX request_team ON request (team_id, id);
CREATE INDEX request_waiting ON request (hash) WHERE state = 'waiting';
CREATE INDEX request_user ON request (user_id, id);
CREATE INDEX request_decided ON request (decided_at) WHERE decided_at IS NOT NULL;
CREATE INDEX request_asker ON request (asker_id, id);

-- What people said of it.
CREATE TABLE request_said (
    id {ID} PRIMARY KEY,
    request_id {ID} NOT NULL REFERENCES request (id),
    verdict {TEXT} NOT NULL,                 -- approve, refuse, comment
    principal {TEXT} NOT NULL,               -- as the audit log names who said it
    person {TEXT} NOT NULL,                  -- who said it: an account's id, or "uid:N" of the admin socket; '': not a person
    counts_for {TEXT} NOT NULL,              -- whose approval it is: the same, or who is stood for
    counts_name {TEXT} NOT NULL,
    comment {TEXT} NOT NULL,
    hash {BLOB} NOT NULL,                    -- of what was seen
    void {INT} NOT NULL,                     -- 1: the request was changed since
    at {INT} NOT NULL
) {STRICT};
CREATE INDEX request_said_of ON request_said (request_id, id);
CREATE UNIQUE INDEX request_said_once ON request_said (request_id, counts_for) WHERE verdict = 'approve' AND void = 0;

-- Who approves in whose stead.
CREATE TABLE delegation (
    from_user {ID} NOT NULL REFERENCES user_account (id),
    to_user {ID} NOT NULL REFERENCES user_account (id),
    until {INT} NOT NULL,
    created_at {INT} NOT NULL,
    PRIMARY KEY (from_user, to_user)
) {STRICT};
CREATE INDEX delegation_to ON delegation (to_user);

-- Who made a token of nobody does not approve what is asked for with it: an account's id, or "uid:N" of the admin socket.
ALTER TABLE token ADD COLUMN made_by {TEXT};
