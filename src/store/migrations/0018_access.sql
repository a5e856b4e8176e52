-- Who may do what: accounts, roles and grants of roles in teams.

CREATE TABLE user_account (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id), -- whose administrators look after it; its rights are its grants
    kind {TEXT} NOT NULL,                    -- person, service
    name {TEXT} NOT NULL UNIQUE,
    display_name {TEXT} NOT NULL,
    email {TEXT} NOT NULL,
    state {TEXT} NOT NULL,                   -- active, disabled, removed
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL
) {STRICT};
CREATE INDEX user_account_team ON user_account (team_id);

CREATE TABLE role (
    id {ID} PRIMARY KEY,
    name {TEXT} NOT NULL UNIQUE,
    description {TEXT} NOT NULL,
    built_in {INT} NOT NULL,                 -- 1: of core/roles.def, written at each start
    permissions {TEXT} NOT NULL,             -- JSON list, sorted
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL
) {STRICT};

CREATE TABLE access_grant (
    id {ID} PRIMARY KEY,
    user_id {ID} NOT NULL REFERENCES user_account (id),
    role_id {ID} NOT NULL REFERENCES role (id),
    team_id {ID} NOT NULL REFERENCES team (id),
    source {TEXT} NOT NULL,                  -- local, sso
    created_by {TEXT} NOT NULL,
    created_at {INT} NOT NULL
) {STRICT};
CREATE UNIQUE INDEX access_grant_once ON access_grant (user_id, role_id, team_id, source);
CREATE INDEX access_grant_role ON access_grant (role_id);
CREATE INDEX access_grant_team ON access_grant (team_id);

-- A token of somebody is never more than its user; its scopes make it less.
ALTER TABLE token ADD COLUMN user_id {ID} REFERENCES user_account (id);
ALTER TABLE token ADD COLUMN permissions {TEXT};  -- JSON list; NULL: all that its role has
CREATE INDEX token_user ON token (user_id);

ALTER TABLE team ADD COLUMN revision {INT} NOT NULL DEFAULT 1;
ALTER TABLE team ADD COLUMN removed_at {INT};

-- Several teams as one: an ancestor that is no team (core/access.h), so team_within.ancestor_id names more than teams.
CREATE TABLE access_scope (
    id {ID} PRIMARY KEY,
    teams {TEXT} NOT NULL,                   -- JSON list of ids, sorted
    used_at {INT} NOT NULL                   -- when a grant last needed it
) {STRICT};

CREATE TABLE team_within_new (
    team_id {ID} NOT NULL REFERENCES team (id),
    ancestor_id {ID} NOT NULL,               -- a team, or an access_scope
    PRIMARY KEY (team_id, ancestor_id)
) {STRICT};
INSERT INTO team_within_new (team_id, ancestor_id) SELECT team_id, ancestor_id FROM team_within;
DROP TABLE team_within;
ALTER TABLE team_within_new RENAME TO team_within;
CREATE INDEX team_within_ancestor ON team_within (ancestor_id, team_id);
