-- Keys that several hosts share, and roll-outs in waves.

-- The public half of the key that an agent's apply opens sealed keys with: what it told first counts.  Another one it tells later is
-- only offered, until somebody says that it is right.
ALTER TABLE agent ADD COLUMN seal_key {BLOB};
ALTER TABLE agent ADD COLUMN seal_key_offered {BLOB};

-- A private key on its way: HPKE (RFC 9180) to the seal_key of one agent.  The hub can open none of them.
CREATE TABLE sealed_key (
    attempt_id {ID} NOT NULL REFERENCES attempt (id),
    agent_id {ID} NOT NULL REFERENCES agent (id),
    sealed {BLOB} NOT NULL,
    created_at {INT} NOT NULL,
    PRIMARY KEY (attempt_id, agent_id)
) {STRICT};
CREATE INDEX sealed_key_agent ON sealed_key (agent_id);

-- The newest roll-out of a managed certificate that is made in waves.
CREATE TABLE rollout (
    managed_id {ID} PRIMARY KEY REFERENCES managed_certificate (id),
    id {ID} NOT NULL,
    version {INT} NOT NULL,
    reason {TEXT} NOT NULL,
    state {TEXT} NOT NULL,                   -- running, halted, done
    canary {INT} NOT NULL,                   -- targets of the first wave
    size {INT} NOT NULL,                     -- targets of each further one
    pause_s {INT} NOT NULL,                  -- between two waves
    wave {INT} NOT NULL,                     -- under way, from 1
    tries {INT} NOT NULL,                    -- roll-outs of this version before this one
    why {TEXT} NOT NULL,                     -- what halted it
    resume_at {INT},                         -- when the next wave, or the next try, begins
    created_at {INT} NOT NULL
) {STRICT};

-- Which wave of which roll-out a deployment belongs to, and the version that was at its target before.
ALTER TABLE deployment ADD COLUMN rollout_id {ID};
ALTER TABLE deployment ADD COLUMN wave {INT};
ALTER TABLE deployment ADD COLUMN version_before {INT};
CREATE INDEX deployment_rollout ON deployment (rollout_id) WHERE rollout_id IS NOT NULL;
