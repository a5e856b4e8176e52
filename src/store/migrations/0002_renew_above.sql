-- A renewal that was asked for lasts until it is done: a version with a number above this one is wished.
ALTER TABLE managed_certificate ADD COLUMN renew_above {INT} NOT NULL DEFAULT 0;

-- What an agent has to say of its host ("the disk … is full"); empty: nothing.
ALTER TABLE agent ADD COLUMN trouble {TEXT} NOT NULL DEFAULT '';
