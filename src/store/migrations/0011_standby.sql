-- Several CAs: how one that failed is found well again, how long a certificate has waited, what a second choice is looked at with.
ALTER TABLE issuer ADD COLUMN failing_step {TEXT};                        -- where it failed last: order (it took none), issue (after that)
ALTER TABLE managed_wait ADD COLUMN since {INT} NOT NULL DEFAULT 0;       -- when it began to wait
ALTER TABLE preflight ADD COLUMN standby {INT} NOT NULL DEFAULT 0;        -- 1: the daily look at a second choice
ALTER TABLE managed_certificate ADD COLUMN rehearses {ID};                -- the one whose names it tries at a staging environment
ALTER TABLE managed_certificate ADD COLUMN paused_itself {INT} NOT NULL DEFAULT 0; -- 1: after failures; what mends those resumes it

CREATE TABLE standby_look (                  -- a certificate that would go to its second choice: looked at and rehearsed in turn
    issuer_id {ID} NOT NULL REFERENCES issuer (id),
    managed_id {ID} NOT NULL REFERENCES managed_certificate (id),
    looked_at {INT} NOT NULL,                -- its names' CAA records; 0: never
    error {TEXT},                            -- what forbids that CA; NULL: nothing
    rehearsed_at {INT} NOT NULL,             -- 0: never
    PRIMARY KEY (issuer_id, managed_id)
) {STRICT};

-- Second choices that are no ACME CA are looked at as well.
DELETE FROM timer WHERE kind = 'standby' AND ref IN (SELECT id FROM issuer WHERE kind = 'enroll');
INSERT INTO timer (kind, ref, due_at) SELECT 'standby', id, 0 FROM issuer WHERE kind = 'enroll' AND removed_at IS NULL;
