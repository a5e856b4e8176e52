-- A renewal that was asked for lasts until it is done: a version with a number above this one is wished.
ALTER TABLE managed_certificate ADD COLUMN renew_above {INT} NOT NULL DEFAULT 0;

-- What an agent has to say of its host ("the disk … is full"); empty: nothing.
ALTER TABLE agent ADD COLUMN trouble {TEXT} NOT NULL DEFAULT '';

-- What the hub must be able to tell after a restore: the latest time it knew, the fleet CA it knew, and how much the signer had issued.
ALTER TABLE installation ADD COLUMN seen_at {INT} NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN issued {INT} NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN fleet_sha256 {BLOB};

-- Jobs that did not work yet and are tried again.
CREATE INDEX job_trouble ON job (created_at) WHERE finished_at IS NULL AND error IS NOT NULL;
CREATE INDEX attempt_age ON attempt (created_at) WHERE finished_at IS NULL;
