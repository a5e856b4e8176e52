-- Whether somebody else needs what is to be taken away.
CREATE INDEX challenge_identifier ON challenge (identifier);
CREATE INDEX managed_challenge_name ON managed_challenge (name);
