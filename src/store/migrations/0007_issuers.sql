-- ACME accounts, renewal information (RFC 9773).
ALTER TABLE issuer ADD COLUMN eab_sealed {BLOB};                          -- key of the external account binding, for the signer alone

-- What the CA was asked about the account last, and what it said.
CREATE TABLE issuer_account (
    issuer_id {ID} PRIMARY KEY REFERENCES issuer (id),
    verb {TEXT} NOT NULL,                    -- show, renew, rollover, update, deactivate
    state {TEXT} NOT NULL,                   -- asked, done, failed
    asked_at {INT} NOT NULL,
    answered_at {INT},
    status {TEXT},                           -- valid, deactivated, revoked
    contacts {TEXT},                         -- JSON list
    profiles {TEXT},                         -- JSON list: what the CA offers
    terms_of_service {TEXT},
    error_code {TEXT},
    error {TEXT}
) {STRICT};

-- Renewal information: asked by issuer; `replaces` names what the same account has issued, once.
ALTER TABLE version ADD COLUMN account_url {TEXT};
ALTER TABLE version ADD COLUMN replaced_at {INT};
ALTER TABLE version ADD COLUMN ari_at {INT};                              -- when it is asked about next
ALTER TABLE version ADD COLUMN explanation_url {TEXT};
CREATE INDEX version_issuer ON version (issuer_id);
DELETE FROM timer WHERE kind = 'ari';
INSERT INTO timer (kind, ref, due_at) SELECT 'ari', id, 0 FROM issuer WHERE kind = 'acme' AND removed_at IS NULL;

-- Records of dns-persist-01: they stay, until they end by themselves.
CREATE TABLE persist_record (
    id {ID} PRIMARY KEY,
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    name {TEXT} NOT NULL,                    -- without _validation-persist and *
    account_url {TEXT} NOT NULL,
    issuer_domain {TEXT} NOT NULL,
    wildcard {INT} NOT NULL,
    value {TEXT} NOT NULL,
    until_at {INT} NOT NULL,
    agent_id {ID} NOT NULL REFERENCES agent (id),
    via {TEXT} NOT NULL,                     -- JSON: provider and parameters
    error {TEXT}                             -- of the last try to write it anew; NULL: it was good
) {STRICT};
CREATE UNIQUE INDEX persist_record_of ON persist_record (issuer_id, name);
