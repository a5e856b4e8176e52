-- Old versions of our certificates are told from the one in use; indexes of what was gone through as a whole.

DROP INDEX campaign_member_managed;
CREATE INDEX campaign_member_managed ON campaign_member (managed_id, state);
CREATE INDEX version_attempt ON version (attempt_id);
CREATE INDEX challenge_provider ON challenge (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX target_agent ON target (agent_id, name) WHERE removed_at IS NULL;
CREATE INDEX standby_look_bad ON standby_look (issuer_id, managed_id, error) WHERE error IS NOT NULL;

-- Which certificates are versions of ours (2048), which of these are in use (8), and which another one took the place of (4096).
UPDATE certificate SET flags = (flags & ~8) | 2048 WHERE id IN (SELECT certificate_id FROM version);
UPDATE certificate SET flags = flags | 8 WHERE id IN (SELECT v.certificate_id FROM version v
    JOIN managed_certificate m ON m.id = v.managed_id AND m.version = v.number WHERE m.removed_at IS NULL);
UPDATE certificate SET flags = flags | 4096 WHERE flags & 8 = 0 AND id IN (SELECT v.certificate_id FROM version v
    JOIN managed_certificate m ON m.id = v.managed_id AND m.version <> v.number);
DELETE FROM counter_delta WHERE dimension = 'managed';
DELETE FROM counter WHERE dimension = 'managed';
INSERT INTO counter (dimension, team, key, day, n) SELECT 'managed', team, '', 0, COUNT(*) FROM certificate WHERE flags & 8 <> 0 GROUP BY team;
INSERT INTO counter (dimension, team, key, day, n) SELECT 'superseded', team, '', 0, COUNT(*) FROM certificate WHERE flags & 4096 <> 0 GROUP BY team;
DELETE FROM certificate_due WHERE certificate_id IN (SELECT id FROM certificate WHERE flags & 2048 <> 0 AND flags & 8 = 0);
INSERT INTO certificate_due (due_at, certificate_id) SELECT 1, id FROM certificate WHERE flags & 2048 <> 0 AND flags & 8 = 0;
UPDATE certificate SET due_at = 1 WHERE flags & 2048 <> 0 AND flags & 8 = 0;
