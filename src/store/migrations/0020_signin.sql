-- How people prove who they are, and the sessions that follow.

CREATE TABLE user_password (
    user_id {ID} PRIMARY KEY REFERENCES user_account (id),
    hash {TEXT} NOT NULL,                    -- Argon2id with its parameters
    changed_at {INT} NOT NULL
) {STRICT};

CREATE TABLE user_totp (
    user_id {ID} PRIMARY KEY REFERENCES user_account (id),
    sealed {BLOB} NOT NULL,                  -- by the signer, class totp-secret
    confirmed_at {INT},                      -- NULL: no code was shown yet; it counts for nothing
    last_step {INT} NOT NULL,                -- of the last code taken: none is taken twice
    created_at {INT} NOT NULL
) {STRICT};

CREATE TABLE user_passkey (
    id {ID} PRIMARY KEY,
    user_id {ID} NOT NULL REFERENCES user_account (id),
    name {TEXT} NOT NULL,
    rp_id {TEXT} NOT NULL,                   -- the hub's name that it is for
    credential {BLOB} NOT NULL UNIQUE,
    cose {BLOB} NOT NULL,                    -- its public key
    sign_count {INT} NOT NULL,
    transports {TEXT} NOT NULL,              -- JSON list
    created_at {INT} NOT NULL,
    used_at {INT}
) {STRICT};
CREATE INDEX user_passkey_user ON user_passkey (user_id);

CREATE TABLE user_recovery_code (
    user_id {ID} NOT NULL REFERENCES user_account (id),
    hash {BLOB} NOT NULL,
    used_at {INT},
    PRIMARY KEY (user_id, hash)
) {STRICT};

-- The link by which somebody sets their password: the first time, or after a reset.
CREATE TABLE user_invitation (
    user_id {ID} PRIMARY KEY REFERENCES user_account (id),
    hash {BLOB} NOT NULL UNIQUE,
    created_by {TEXT} NOT NULL,
    created_at {INT} NOT NULL,
    expires_at {INT} NOT NULL
) {STRICT};

CREATE TABLE session (
    id {ID} PRIMARY KEY,
    user_id {ID} NOT NULL REFERENCES user_account (id),
    hash {BLOB} NOT NULL UNIQUE,             -- SHA-256 of what the cookie holds
    stage {TEXT} NOT NULL,                   -- second: a second factor has to follow; enrol: one has to be set up; done
    created_at {INT} NOT NULL,
    used_at {INT} NOT NULL,                  -- to the minute
    confirmed_at {INT} NOT NULL,             -- when its person last proved who they are
    ends_at {INT} NOT NULL,
    address {TEXT} NOT NULL,
    client {TEXT} NOT NULL                   -- User-Agent
) {STRICT};
CREATE INDEX session_of_user ON session (user_id);
CREATE INDEX session_ends ON session (ends_at);

-- What authenticators have to sign, each once.
CREATE TABLE passkey_challenge (
    hash {BLOB} PRIMARY KEY,
    purpose {TEXT} NOT NULL,                 -- make, use
    session_id {ID} NOT NULL,                -- '': of nobody yet
    address {TEXT} NOT NULL,
    expires_at {INT} NOT NULL
) {STRICT};
CREATE INDEX passkey_challenge_address ON passkey_challenge (address);

-- Failures since the last success, by whom they are counted against (core/sign_in_throttle.h).
CREATE TABLE sign_in_failure (
    what {TEXT} PRIMARY KEY,
    failures {INT} NOT NULL,
    last_at {INT} NOT NULL,
    until {INT} NOT NULL                     -- no try before
) {STRICT};
CREATE INDEX sign_in_failure_last ON sign_in_failure (last_at);

-- From where somebody has signed in before: these have a budget of their own.
CREATE TABLE sign_in_known (
    user_id {ID} NOT NULL REFERENCES user_account (id),
    mark {TEXT} NOT NULL,                    -- "device:HASH", "address:ADDRESS"
    seen_at {INT} NOT NULL,
    PRIMARY KEY (user_id, mark)
) {STRICT};
