-- Since when an agent does not call: what is told once when it begins, and once when it is over.
ALTER TABLE agent ADD COLUMN silent_since {INT};
CREATE INDEX agent_silent ON agent (id) WHERE silent_since IS NOT NULL;
