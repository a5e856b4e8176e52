-- Numbers of certificates by how long they live: see COUNTER_LIFETIME in core/counter.h.
INSERT INTO counter (dimension, team, key, day, n)
SELECT 'lifetime', team, CASE WHEN not_after - not_before < 4060800 THEN '47' WHEN not_after - not_before < 8640000 THEN '100'
    WHEN not_after - not_before < 17280000 THEN '200' WHEN not_after - not_before < 34387200 THEN '398' ELSE 'longer' END AS steps, 0, COUNT(*)
FROM certificate WHERE (flags & 1) = 0 AND issuer_name_id <> 0 GROUP BY 2, 3;

-- Requests for a managed certificate, for its ledger.
CREATE INDEX request_object ON request (object_id) WHERE object_id IS NOT NULL;
CREATE INDEX request_result ON request (result_id) WHERE result_id IS NOT NULL;

-- Reports that are sent by themselves (core/report_schedule.h).
CREATE TABLE report_schedule (
    id {ID} PRIMARY KEY,
    name {TEXT} NOT NULL,
    team_id {ID} NOT NULL REFERENCES team (id), -- whose numbers
    report {TEXT} NOT NULL,
    channel {TEXT} NOT NULL,                 -- id; '': the team's usual ones
    recipient {TEXT} NOT NULL,               -- a mail address; '': whom the channel writes to
    every_s {INT} NOT NULL,
    next_at {INT} NOT NULL,
    created_at {INT} NOT NULL
) {STRICT};
CREATE UNIQUE INDEX report_schedule_name ON report_schedule (name);

-- Streams of the audit log (core/audit_stream.h).
CREATE TABLE audit_stream (
    id {ID} PRIMARY KEY,
    name {TEXT} NOT NULL,
    channel_id {ID} NOT NULL REFERENCES channel (id),
    format {TEXT} NOT NULL CHECK (format IN ('syslog', 'cef')),
    place {INT} NOT NULL,                    -- of the next entry: all before it were handed over
    lost {INT} NOT NULL,                     -- entries that were no longer kept when their turn came
    failures {INT} NOT NULL,                 -- in a row
    next_at {INT} NOT NULL,                  -- not before
    error_code {TEXT},
    error {TEXT},
    error_at {INT},
    sent_at {INT},
    created_at {INT} NOT NULL
) {STRICT};
CREATE UNIQUE INDEX audit_stream_name ON audit_stream (name);
CREATE INDEX audit_stream_channel ON audit_stream (channel_id);
