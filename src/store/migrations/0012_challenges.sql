-- Who may have challenges answered, and what goes when that ends.

-- A record of dns-persist-01 that nobody may have any more is taken away.
ALTER TABLE persist_record ADD COLUMN provider_id {ID};  -- who wrote it; NULL: written before this column
ALTER TABLE persist_record ADD COLUMN leaving_at {INT};  -- since when it is being taken away; NULL: it stays

-- A token of role challenges is for the clients on one agent's host: they may have answered what is granted to that agent.
ALTER TABLE token ADD COLUMN agent_id {ID} REFERENCES agent (id);
ALTER TABLE managed_challenge ADD COLUMN asker_id {ID};  -- the agent whose token asked; NULL: the team
ALTER TABLE managed_challenge ADD COLUMN story {TEXT} NOT NULL DEFAULT '[]';  -- JSON list: what was done for it, a line a step
