-- The tables of the first release.  Times are seconds since 1970 UTC unless the column says _ms.

CREATE TABLE installation (
    one {INT} PRIMARY KEY CHECK (one = 1),
    name {TEXT} NOT NULL,
    epoch {INT} NOT NULL,                    -- rises at every restore: the high part of every fence
    created_at {INT} NOT NULL
) {STRICT};

-- Teams form a tree; team_within holds every (team, ancestor) pair, a team being its own ancestor.
CREATE TABLE team (
    id {ID} PRIMARY KEY,
    parent_id {ID} REFERENCES team (id),
    name {TEXT} NOT NULL UNIQUE,
    created_at {INT} NOT NULL
) {STRICT};

CREATE TABLE team_within (
    team_id {ID} NOT NULL REFERENCES team (id),
    ancestor_id {ID} NOT NULL REFERENCES team (id),
    PRIMARY KEY (team_id, ancestor_id)
) {STRICT};

CREATE TABLE token (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL,
    role {TEXT} NOT NULL,
    hash {BLOB} NOT NULL UNIQUE,             -- SHA-256 of the token
    created_at {INT} NOT NULL,
    expires_at {INT} NOT NULL,
    used_at {INT},
    revoked_at {INT}
) {STRICT};
CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked_at IS NULL;

CREATE TABLE agent (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL UNIQUE,
    identity {TEXT} NOT NULL UNIQUE,         -- "unix:UID" for the hub's own agent
    state {TEXT} NOT NULL,                   -- active, drained, removed
    version {TEXT} NOT NULL,
    platform {TEXT} NOT NULL,
    capabilities {TEXT} NOT NULL,            -- JSON list
    connectors {TEXT} NOT NULL,              -- JSON: what each connector writes and runs there, for dry runs
    sandbox {TEXT} NOT NULL,
    boot_id {TEXT} NOT NULL,
    clock_skew_s {INT} NOT NULL,
    created_at {INT} NOT NULL,
    seen_at {INT} NOT NULL
) {STRICT};

CREATE TABLE issuer (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL,
    kind {TEXT} NOT NULL,                    -- ca, acme
    settings {TEXT} NOT NULL,                -- JSON: the issuer as the API shows it
    account_url {TEXT},
    failures {INT} NOT NULL,
    last_error {TEXT},
    retry_at {INT},                          -- no order before this time
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    removed_at {INT}
) {STRICT};
CREATE UNIQUE INDEX issuer_name ON issuer (name) WHERE removed_at IS NULL;

CREATE TABLE profile (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL,
    settings {TEXT} NOT NULL,
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    removed_at {INT}
) {STRICT};
CREATE UNIQUE INDEX profile_name ON profile (name) WHERE removed_at IS NULL;

CREATE TABLE target (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    agent_id {ID} NOT NULL REFERENCES agent (id),
    name {TEXT} NOT NULL,
    connector {TEXT} NOT NULL,
    parameters {TEXT} NOT NULL,              -- JSON object of strings
    parameters_hash {BLOB} NOT NULL,         -- agent, connector and parameters: one target a place
    endpoints {TEXT} NOT NULL,               -- JSON list
    names {TEXT} NOT NULL,                   -- JSON list: what the service answers to, as found
    description {TEXT} NOT NULL,
    found {INT} NOT NULL,                    -- offered by discovery rather than entered by hand
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    removed_at {INT}
) {STRICT};
CREATE UNIQUE INDEX target_name ON target (name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX target_place ON target (parameters_hash) WHERE removed_at IS NULL;

CREATE TABLE managed_certificate (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    name {TEXT} NOT NULL,
    wish {TEXT} NOT NULL,                    -- JSON: names, profile, key, issuers in order, renewal policy
    wish_hash {BLOB} NOT NULL,               -- of what a new version is needed for when it changes
    first_name {TEXT} NOT NULL,
    paused_reason {TEXT},
    paused_at {INT},
    failures {INT} NOT NULL,                 -- in a row
    refusals {INT} NOT NULL,                 -- of them, those that trying again does not mend
    error_code {TEXT},
    error {TEXT},
    failed_at {INT},
    version {INT} NOT NULL,                  -- the current one; 0: none yet
    attempts {INT} NOT NULL,                 -- number of the newest attempt
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL,
    removed_at {INT}
) {STRICT};
CREATE UNIQUE INDEX managed_name ON managed_certificate (name) WHERE removed_at IS NULL;
CREATE INDEX managed_failing ON managed_certificate (failed_at) WHERE failures > 0 AND removed_at IS NULL;
CREATE INDEX managed_paused ON managed_certificate (paused_at) WHERE paused_at IS NOT NULL AND removed_at IS NULL;

CREATE TABLE managed_issuer (
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    position {INT} NOT NULL,
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    PRIMARY KEY (managed_id, position)
) {STRICT};
CREATE INDEX managed_issuer_of ON managed_issuer (issuer_id);

CREATE TABLE managed_target (
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    target_id {ID} NOT NULL REFERENCES target (id),
    PRIMARY KEY (managed_id, target_id)
) {STRICT};
CREATE INDEX managed_target_of ON managed_target (target_id);

-- Immutable: what was seen or issued.
CREATE TABLE certificate (
    fingerprint {BLOB} PRIMARY KEY,          -- SHA-256
    der {BLOB} NOT NULL,
    serial {BLOB} NOT NULL,
    subject {TEXT} NOT NULL,
    issuer {TEXT} NOT NULL,
    names {TEXT} NOT NULL,                   -- JSON list
    key_kind {TEXT} NOT NULL,
    spki_sha256 {BLOB} NOT NULL,
    not_before {INT} NOT NULL,
    not_after {INT} NOT NULL,
    created_at {INT} NOT NULL
) {STRICT};

-- The certificates above a leaf, once.
CREATE TABLE chain (
    sha256 {BLOB} PRIMARY KEY,
    pem {TEXT} NOT NULL
) {STRICT};

CREATE TABLE version (
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    number {INT} NOT NULL,
    attempt_id {ID} NOT NULL,
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    fingerprint {BLOB} NOT NULL REFERENCES certificate (fingerprint),
    chain_sha256 {BLOB} NOT NULL REFERENCES chain (sha256),
    wish_hash {BLOB} NOT NULL,
    not_before {INT} NOT NULL,
    not_after {INT} NOT NULL,
    renew_at {INT} NOT NULL,
    revoked_at {INT},
    revoke_reason {INT},
    created_at {INT} NOT NULL,
    PRIMARY KEY (managed_id, number)
) {STRICT};
CREATE INDEX version_fingerprint ON version (fingerprint);

CREATE TABLE attempt (
    id {ID} PRIMARY KEY,
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    number {INT} NOT NULL,
    state {TEXT} NOT NULL,                   -- core/attempt.c holds the table of transitions
    reason {TEXT} NOT NULL,
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    agent_id {ID} NOT NULL REFERENCES agent (id),
    wish {TEXT} NOT NULL,                    -- as it was when the attempt began
    wish_hash {BLOB} NOT NULL,
    csr {BLOB},
    spki_sha256 {BLOB},
    order_url {TEXT},
    finalize_url {TEXT},
    certificate_url {TEXT},
    version {INT},
    error_code {TEXT},
    error {TEXT},
    created_at {INT} NOT NULL,
    finished_at {INT}
) {STRICT};
CREATE UNIQUE INDEX attempt_number ON attempt (managed_id, number);
CREATE UNIQUE INDEX attempt_open ON attempt (managed_id) WHERE finished_at IS NULL;

CREATE TABLE challenge (
    attempt_id {ID} NOT NULL REFERENCES attempt (id),
    url {TEXT} NOT NULL,
    authorization_url {TEXT} NOT NULL,
    identifier {TEXT} NOT NULL,
    token {TEXT} NOT NULL,
    key_authorization {TEXT} NOT NULL,
    agent_id {ID} NOT NULL REFERENCES agent (id),
    via {TEXT} NOT NULL,                     -- JSON: connector and parameters that answer it
    state {TEXT} NOT NULL,                   -- presenting, presented, cleaning, cleaned
    PRIMARY KEY (attempt_id, url)
) {STRICT};

CREATE TABLE deployment (
    id {ID} PRIMARY KEY,
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    version {INT} NOT NULL,
    target_id {ID} NOT NULL REFERENCES target (id),
    state {TEXT} NOT NULL,                   -- core/deployment.c holds the table of transitions
    reason {TEXT} NOT NULL,
    tries {INT} NOT NULL,
    served {TEXT} NOT NULL,                  -- JSON list: the proof
    rolled_back {INT} NOT NULL,
    error_code {TEXT},
    error {TEXT},
    retry_at {INT},
    created_at {INT} NOT NULL,
    finished_at {INT}
) {STRICT};
CREATE INDEX deployment_of ON deployment (managed_id, id);
CREATE INDEX deployment_target ON deployment (target_id, id);
CREATE INDEX deployment_open ON deployment (target_id) WHERE finished_at IS NULL;

-- What is at a target now: its newest deployment that was proved.
CREATE TABLE placement (
    target_id {ID} PRIMARY KEY REFERENCES target (id),
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    version {INT} NOT NULL,
    fingerprint {BLOB} NOT NULL,
    at {INT} NOT NULL
) {STRICT};
CREATE INDEX placement_of ON placement (managed_id);

-- What was seen at an endpoint of a target: one row an endpoint, not one a sighting.
CREATE TABLE observation (
    target_id {ID} NOT NULL REFERENCES target (id),
    address {TEXT} NOT NULL,
    port {INT} NOT NULL,
    name {TEXT} NOT NULL,
    verdict {TEXT} NOT NULL,                 -- served, untrusted, other, unreachable, installed
    fingerprint {BLOB},
    detail {TEXT} NOT NULL,
    first_seen {INT} NOT NULL,
    last_seen {INT} NOT NULL,
    PRIMARY KEY (target_id, address, port, name)
) {STRICT};
CREATE INDEX observation_bad ON observation (verdict) WHERE verdict NOT IN ('served', 'installed');

-- The story of a managed certificate, step by step, as people follow it.
CREATE TABLE step (
    seq {SERIAL},
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    attempt_id {ID},
    deployment_id {ID},
    at_ms {INT} NOT NULL,
    name {TEXT} NOT NULL,
    text {TEXT} NOT NULL
) {STRICT};
CREATE INDEX step_of ON step (managed_id, seq);

CREATE TABLE job (
    id {ID} PRIMARY KEY,
    kind {TEXT} NOT NULL,
    agent_id {ID} NOT NULL REFERENCES agent (id),
    lane {TEXT} NOT NULL,                    -- at most one leased job a lane; fences rise within it
    ref {ID} NOT NULL,                       -- attempt, deployment, target or issuer, by kind
    payload {TEXT} NOT NULL,
    state {TEXT} NOT NULL,                   -- ready, leased, done, failed, cancelled
    fence {INT} NOT NULL,
    lease_until {INT},
    run_at {INT} NOT NULL,
    tries {INT} NOT NULL,
    error_code {TEXT},
    error {TEXT},
    created_at {INT} NOT NULL,
    finished_at {INT}
) {STRICT};
CREATE INDEX job_ready ON job (agent_id, run_at) WHERE state = 'ready';
CREATE INDEX job_lane ON job (lane, fence);
CREATE UNIQUE INDEX job_lane_leased ON job (lane) WHERE state = 'leased';
CREATE INDEX job_leased ON job (lease_until) WHERE state = 'leased';
CREATE INDEX job_ref ON job (ref);
CREATE INDEX job_finished ON job (finished_at) WHERE finished_at IS NOT NULL;

-- What is due when: one row a kind and object.
CREATE TABLE timer (
    kind {TEXT} NOT NULL,                    -- core/schedule.c holds the table of kinds
    ref {ID} NOT NULL,
    due_at {INT} NOT NULL,
    PRIMARY KEY (kind, ref)
) {STRICT};
CREATE INDEX timer_due ON timer (due_at);

CREATE TABLE audit (
    seq {SERIAL},
    at {INT} NOT NULL,
    principal {TEXT} NOT NULL,
    action {TEXT} NOT NULL,
    object_kind {TEXT} NOT NULL,
    object_id {TEXT} NOT NULL,
    team_id {ID} NOT NULL,
    request_id {TEXT} NOT NULL,
    detail {TEXT} NOT NULL                   -- JSON: before and after, no secrets
) {STRICT};
CREATE INDEX audit_object ON audit (object_id, seq);

CREATE TABLE idempotency (
    principal {TEXT} NOT NULL,
    key {TEXT} NOT NULL,
    request_hash {BLOB} NOT NULL,
    status {INT} NOT NULL,
    body {TEXT} NOT NULL,
    created_at {INT} NOT NULL,
    PRIMARY KEY (principal, key)
) {STRICT};
CREATE INDEX idempotency_age ON idempotency (created_at);
