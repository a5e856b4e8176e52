-- Rules and alerts (core/rule.h, core/alert.h): what somebody is to be told of, and what there is to tell now.
CREATE TABLE rule (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id), -- it looks at what belongs to this team and those within it
    name {TEXT} NOT NULL UNIQUE,
    spec {TEXT} NOT NULL,                    -- JSON: RuleSpec of the API
    enabled {INT} NOT NULL,
    built_in {INT} NOT NULL,                 -- 1: of core/rules.def, written at each start until somebody edits it
    edited {INT} NOT NULL,                   -- 1: somebody did
    edited_by {TEXT} NOT NULL,
    hour {INT} NOT NULL,                     -- of the notifications counted: hours since 1970
    sent {INT} NOT NULL,                     -- notifications in that hour
    looks_at {INT},                          -- a condition: when it is looked at next; NULL: it waits for events
    place {TEXT} NOT NULL,                   -- where that goes on; '': at the beginning
    pass {INT} NOT NULL,                     -- the number of the look
    trouble {TEXT} NOT NULL,                 -- why the last look came to nothing; '': it did not
    revision {INT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL
) {STRICT};
CREATE INDEX rule_team ON rule (team_id);
CREATE INDEX rule_looks ON rule (looks_at) WHERE looks_at IS NOT NULL AND enabled = 1;

CREATE TABLE alert (
    id {ID} PRIMARY KEY,
    rule_id {ID} NOT NULL,                   -- the rule may be gone
    rule_name {TEXT} NOT NULL,
    team_id {ID} NOT NULL REFERENCES team (id), -- of the object
    object_kind {TEXT} NOT NULL,
    object_id {TEXT} NOT NULL,
    object_name {TEXT} NOT NULL,
    severity {INT} NOT NULL,                 -- core/findings.h
    event {TEXT} NOT NULL,                   -- the last one; '': a condition holds
    words {TEXT} NOT NULL,
    why {TEXT} NOT NULL,
    opened_at {INT} NOT NULL,
    opened_event {INT} NOT NULL,             -- its number; 0: a condition
    last_at {INT} NOT NULL,
    count {INT} NOT NULL,
    pass {INT} NOT NULL,                     -- of the condition's look that found it last
    state {TEXT} NOT NULL,                   -- counting (not yet often enough), open, acknowledged, snoozed, closed
    step {INT} NOT NULL,                     -- of the rule, that is next
    round {INT} NOT NULL,                    -- the steps begin anew after a snooze
    due_at {INT},                            -- when that is; NULL: nothing is
    acted_by {TEXT} NOT NULL,                -- who acknowledged, snoozed or closed it; '': nobody, or it closed by itself
    reason {TEXT} NOT NULL,
    until_at {INT},                          -- snoozed
    closed_at {INT},
    revision {INT} NOT NULL
) {STRICT};
-- One for a rule and an object, however often it happens.
CREATE UNIQUE INDEX alert_one ON alert (rule_id, object_kind, object_id) WHERE state <> 'closed';
CREATE INDEX alert_open ON alert (id) WHERE state <> 'closed' AND state <> 'counting';
CREATE INDEX alert_due ON alert (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX alert_object ON alert (object_id) WHERE state <> 'closed';
CREATE INDEX alert_closed ON alert (closed_at) WHERE closed_at IS NOT NULL;

-- What was to be told and waits: for the end of quiet hours, for the next digest, for the next hour.
CREATE TABLE alert_held (
    alert_id {ID} NOT NULL,
    step {INT} NOT NULL,
    state {TEXT} NOT NULL,                   -- opened, reminded, resolved
    rule_id {ID} NOT NULL,
    team_id {ID} NOT NULL,
    channel {TEXT} NOT NULL,                 -- as the step says; '': the team's
    address {TEXT} NOT NULL,                 -- '': none
    severity {INT} NOT NULL,
    line {TEXT} NOT NULL,
    due_at {INT} NOT NULL,
    PRIMARY KEY (alert_id, step, state)
) {STRICT};
CREATE INDEX alert_held_due ON alert_held (due_at);
CREATE INDEX alert_held_rule ON alert_held (rule_id, due_at);

-- How far the log was looked at.
CREATE TABLE alert_place (
    one {INT} PRIMARY KEY CHECK (one = 1),
    leaf {INT} NOT NULL
) {STRICT};
INSERT INTO alert_place (one, leaf) SELECT 1, size FROM audit_tree;

-- When a certificate should have been renewed at the latest (core/late.c).
INSERT INTO timer (kind, ref, due_at)
SELECT 'late', m.id, v.not_after - (v.not_after - v.not_before) / 10 FROM managed_certificate m
JOIN version v ON v.managed_id = m.id AND v.number = m.version WHERE m.removed_at IS NULL;
