-- Backups that were made here or are being made, and the restores that this database came out of (core/backup.h, core/restore.h).
CREATE TABLE backup (
    id {ID} PRIMARY KEY,
    state {TEXT} NOT NULL,                   -- asked, running, done, failed
    scheduled {INT} NOT NULL,                -- 1: into the folder of hub.yaml
    asked_by {TEXT} NOT NULL,
    began_at {INT} NOT NULL,
    ended_at {INT},
    bytes {INT},
    place {TEXT},                            -- file name
    error {TEXT}
) {STRICT};
CREATE INDEX backup_state ON backup (state, ended_at);

CREATE TABLE backup_watch (
    one {INT} PRIMARY KEY CHECK (one = 1),
    told_at {INT} NOT NULL                   -- when it was last said that backups are old
) {STRICT};
INSERT INTO backup_watch (one, told_at) VALUES (1, 0);

CREATE TABLE restore (
    id {ID} PRIMARY KEY,
    backup_id {TEXT} NOT NULL,
    made_at {INT} NOT NULL,                  -- of the backup
    restored_at {INT} NOT NULL,
    epoch {INT} NOT NULL,                    -- the new one
    unknown {TEXT} NOT NULL,                 -- keep, revoke: certificates that only the signer knows of
    signer_kept {INT} NOT NULL,              -- 1: the signer's folder was not of the backup
    done_at {INT}                            -- compared with the signer's journal
) {STRICT};
