-- What people have set of the checks, and by what certificates are judged: everybody's, so one row.
CREATE TABLE finding_policy (
    id {INT} PRIMARY KEY,                    -- 1
    revision {INT} NOT NULL,
    document {TEXT} NOT NULL,                -- JSON: FindingRules of the API, with what differs from the usual alone
    file {TEXT} NOT NULL,                    -- JSON: what hub.yaml says, as it was taken over last
    changed_by {TEXT} NOT NULL,
    changed_at {INT} NOT NULL
) {STRICT};

-- A scan that was changed while it runs goes on as it was begun.
ALTER TABLE scan ADD COLUMN run_spec {TEXT};                        -- JSON: ScanSpec of the run under way; NULL: as spec
ALTER TABLE scan_part ADD COLUMN looked {INT} NOT NULL DEFAULT 0;   -- endpoints that a connection was begun to
ALTER TABLE scan_part ADD COLUMN unasked {INT} NOT NULL DEFAULT 0;  -- named singly, and without an address or not permitted
