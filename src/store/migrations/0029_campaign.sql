-- What is done to many certificates at once: bulk operations, and campaigns, which go in waves (core/campaign.h).
CREATE TABLE campaign (
    id {ID} PRIMARY KEY,
    kind {TEXT} NOT NULL,                    -- bulk, campaign
    name {TEXT} NOT NULL UNIQUE,
    team_id {ID} NOT NULL REFERENCES team (id), -- its certificates lie within it
    act {TEXT} NOT NULL,                     -- core/campaign.c has the table
    filter {TEXT} NOT NULL,                  -- core/filter.h; empty: they were named
    params {TEXT} NOT NULL,                  -- JSON: what the act takes
    state {TEXT} NOT NULL,
    why {TEXT} NOT NULL,
    asker_kind {INT} NOT NULL,               -- in whose name it is done: enum principal_kind
    asker_id {TEXT} NOT NULL,
    asker {TEXT} NOT NULL,
    waves {INT} NOT NULL,
    wave {INT} NOT NULL,                     -- under way, from 1
    total {INT} NOT NULL,
    pace {INT} NOT NULL,                     -- members an hour; 0: as fast as can be
    stop_failures {INT} NOT NULL,            -- 0: no such number
    stop_percent {INT} NOT NULL,
    next_at {INT} NOT NULL,                  -- when it is looked at again
    rehearsal_id {ID},                       -- managed certificate that is issued and not deployed
    rehearsed_at {INT},
    rehearsal_error {TEXT},
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    started_at {INT},
    finished_at {INT}
) {STRICT};
CREATE INDEX campaign_active ON campaign (next_at) WHERE state IN ('rehearsing', 'running');

CREATE TABLE campaign_member (
    campaign_id {ID} NOT NULL REFERENCES campaign (id),
    number {INT} NOT NULL,                   -- in the order they come
    object {TEXT} NOT NULL,                  -- a managed certificate's id, or a fingerprint
    managed_id {ID} REFERENCES managed_certificate (id),
    name {TEXT} NOT NULL,
    team_id {ID} NOT NULL,
    wave {INT} NOT NULL,
    state {TEXT} NOT NULL,                   -- waiting, running, done, failed
    why {TEXT} NOT NULL,
    above {INT} NOT NULL,                    -- done when a version above it is served
    request_id {ID},                         -- what has to be approved first (core/request.h)
    at {INT} NOT NULL,
    PRIMARY KEY (campaign_id, number)
) {STRICT};
CREATE UNIQUE INDEX campaign_member_object ON campaign_member (campaign_id, object);
CREATE INDEX campaign_member_state ON campaign_member (campaign_id, state, wave, number);
CREATE INDEX campaign_member_managed ON campaign_member (managed_id) WHERE state IN ('running', 'failed');

-- Versions that are revoked once the next one is served.
CREATE TABLE revocation (
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    number {INT} NOT NULL,
    reason {INT} NOT NULL,                   -- RFC 5280 section 5.3.1
    asker {TEXT} NOT NULL,
    until {INT} NOT NULL,                    -- then it is given up
    created_at {INT} NOT NULL,
    PRIMARY KEY (managed_id, number)
) {STRICT};

-- Keys that somebody else may have: no certificate is asked for with one of them.
CREATE TABLE compromised_key (
    spki_sha256 {BLOB} PRIMARY KEY,
    asker {TEXT} NOT NULL,
    created_at {INT} NOT NULL
) {STRICT};
