-- Signing in at somebody else's: OpenID providers, who is bound to what they say, and sign-ins that are under way.
CREATE TABLE identity_provider (
    id {ID} PRIMARY KEY,
    name {TEXT} NOT NULL UNIQUE,
    issuer {TEXT} NOT NULL,                  -- its identifier, to the byte; stays as it is
    client_id {TEXT} NOT NULL,
    credential {TEXT} NOT NULL,              -- a row of credentials in agent.yaml of the hub's own agent; '': a client without a secret
    scopes {TEXT} NOT NULL,                  -- JSON list
    group_claim {TEXT} NOT NULL,             -- '': none is looked at
    acr {TEXT} NOT NULL,                     -- JSON lists: one of each has to be said, where there is any
    amr {TEXT} NOT NULL,
    create_accounts {INT} NOT NULL,
    team_id {ID} NOT NULL REFERENCES team (id), -- of the accounts that are made
    state {TEXT} NOT NULL,                   -- active, disabled
    authorization_endpoint {TEXT} NOT NULL,  -- as it says; '': not looked at yet
    token_endpoint {TEXT} NOT NULL,
    jwks_uri {TEXT} NOT NULL,
    basic {INT} NOT NULL,
    tells_issuer {INT} NOT NULL,
    jwks {TEXT} NOT NULL,                    -- JWK Set; public
    keys_at {INT} NOT NULL,                  -- when its keys were asked for last
    looked_at {INT},
    error {TEXT},                            -- of the last look
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL
) {STRICT};

CREATE TABLE identity_group (                -- who is in a group of the provider has a role in a team
    provider_id {ID} NOT NULL REFERENCES identity_provider (id),
    name {TEXT} NOT NULL,
    role_id {ID} NOT NULL,                   -- one that is removed gives nothing any more; so a team
    team_id {ID} NOT NULL,
    PRIMARY KEY (provider_id, name, role_id, team_id)
) {STRICT};

CREATE TABLE user_identity (                 -- whom a provider means by a subject
    id {ID} PRIMARY KEY,
    user_id {ID} NOT NULL REFERENCES user_account (id),
    provider_id {ID} NOT NULL REFERENCES identity_provider (id),
    subject {TEXT} NOT NULL,
    created_by {TEXT} NOT NULL,
    created_at {INT} NOT NULL,
    used_at {INT}
) {STRICT};
CREATE UNIQUE INDEX user_identity_subject ON user_identity (provider_id, subject);
CREATE INDEX user_identity_user ON user_identity (user_id);

CREATE TABLE provider_sign_in (              -- from the browser's return on
    id {ID} PRIMARY KEY,
    hash {BLOB} NOT NULL UNIQUE,             -- SHA-256 of what the browser's cookie holds: each is good once
    provider_id {ID} NOT NULL REFERENCES identity_provider (id),
    nonce {TEXT} NOT NULL,
    state {TEXT} NOT NULL,                   -- asking, ready, failed, done
    user_id {ID},
    error {TEXT},
    address {TEXT} NOT NULL,
    created_at {INT} NOT NULL
) {STRICT};
CREATE INDEX provider_sign_in_address ON provider_sign_in (address, created_at);
CREATE INDEX provider_sign_in_created ON provider_sign_in (created_at);

-- A token that is a key: whoever shows it in TLS has it.
ALTER TABLE token ADD COLUMN spki_sha256 {BLOB};
CREATE UNIQUE INDEX token_spki ON token (spki_sha256) WHERE spki_sha256 IS NOT NULL AND revoked_at IS NULL;
