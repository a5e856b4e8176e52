-- With whose rights a rule acts and a report is sent (core/author.h): who edited it last, asked anew each time.
ALTER TABLE rule ADD COLUMN author_kind {INT} NOT NULL DEFAULT 0;          -- enum principal_kind; 0: nobody, it is built in
ALTER TABLE rule ADD COLUMN author_id {TEXT} NOT NULL DEFAULT '';
ALTER TABLE rule ADD COLUMN author_person {TEXT} NOT NULL DEFAULT '';      -- who does not approve what it asks for; '': not known
ALTER TABLE rule ADD COLUMN halted {TEXT} NOT NULL DEFAULT '';             -- why it only tells its team any more; '': it does all it says
CREATE INDEX rule_halted ON rule (id) WHERE halted <> '';
UPDATE rule SET author_kind = 1, author_id = edited_by, author_person = edited_by WHERE edited_by LIKE 'uid:%';
UPDATE rule SET author_kind = 5, author_id = (SELECT u.id FROM user_account u WHERE 'user:' || u.name = rule.edited_by),
    author_person = (SELECT u.id FROM user_account u WHERE 'user:' || u.name = rule.edited_by)
WHERE edited_by IN (SELECT 'user:' || name FROM user_account);
UPDATE rule SET author_kind = 2, author_id = (SELECT t.id FROM token t WHERE 'token:' || t.name = rule.edited_by AND t.revoked_at IS NULL),
    author_person = COALESCE((SELECT t.made_by FROM token t WHERE 'token:' || t.name = rule.edited_by AND t.revoked_at IS NULL), '')
WHERE edited_by IN (SELECT 'token:' || name FROM token WHERE revoked_at IS NULL);

ALTER TABLE report_schedule ADD COLUMN author {TEXT} NOT NULL DEFAULT '';  -- as the audit log names them
ALTER TABLE report_schedule ADD COLUMN author_kind {INT} NOT NULL DEFAULT 0;
ALTER TABLE report_schedule ADD COLUMN author_id {TEXT} NOT NULL DEFAULT '';
ALTER TABLE report_schedule ADD COLUMN halted {TEXT} NOT NULL DEFAULT '';  -- why it is not sent any more; '': it is
CREATE INDEX report_schedule_halted ON report_schedule (id) WHERE halted <> '';
UPDATE report_schedule SET author = COALESCE((SELECT MAX(a.principal) FROM audit a
    WHERE a.object_id = report_schedule.id AND a.action = 'report.schedule'), '');
UPDATE report_schedule SET author_kind = 1, author_id = author WHERE author LIKE 'uid:%';
UPDATE report_schedule SET author_kind = 5, author_id = (SELECT u.id FROM user_account u WHERE 'user:' || u.name = report_schedule.author)
WHERE author IN (SELECT 'user:' || name FROM user_account);
UPDATE report_schedule SET author_kind = 2,
    author_id = (SELECT t.id FROM token t WHERE 'token:' || t.name = report_schedule.author AND t.revoked_at IS NULL)
WHERE author IN (SELECT 'token:' || name FROM token WHERE revoked_at IS NULL);

-- What people are to know of how an alert was told or acted on.
ALTER TABLE alert ADD COLUMN note {TEXT} NOT NULL DEFAULT '';

-- Addresses that rules and reports write to and no channel names (core/mail_address.h): nobody hears anything before they confirmed.
CREATE TABLE mail_address (
    team_id {ID} NOT NULL REFERENCES team (id), -- whose rules and reports, and those of the teams within it
    address {TEXT} NOT NULL,
    asked_by {TEXT} NOT NULL,                -- the rule or report that wanted to write there first
    confirmed_at {INT},
    code_hash {BLOB},                        -- SHA-256 of the code that was sent there
    code_until {INT},
    code_tries {INT} NOT NULL,
    created_at {INT} NOT NULL,
    PRIMARY KEY (team_id, address)
) {STRICT};
CREATE INDEX mail_address_of ON mail_address (address);
-- Codes that were sent to an address, whoever wanted it.
CREATE TABLE mail_code (
    address {TEXT} PRIMARY KEY,
    sent_at {INT} NOT NULL,
    in_a_row {INT} NOT NULL,                 -- since one was confirmed
    day_at {INT} NOT NULL,                   -- when the day of day_n began
    day_n {INT} NOT NULL
) {STRICT};
CREATE INDEX mail_code_sent ON mail_code (sent_at);
CREATE TABLE mail_code_hour (
    one {INT} PRIMARY KEY CHECK (one = 1),
    hour {INT} NOT NULL,                     -- hours since 1970
    n {INT} NOT NULL
) {STRICT};
INSERT INTO mail_code_hour (one, hour, n) VALUES (1, 0, 0);

-- The address that an identity provider vouched for when this account signed in last.
ALTER TABLE user_account ADD COLUMN email_verified {TEXT} NOT NULL DEFAULT '';
CREATE INDEX user_account_verified ON user_account (email_verified) WHERE email_verified <> '';
