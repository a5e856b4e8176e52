-- Maintenance windows: when something may be changed at a target.
ALTER TABLE target ADD COLUMN windows {TEXT} NOT NULL DEFAULT '[]';     -- JSON list, as core/window.h reads them; empty: at any time
ALTER TABLE deployment ADD COLUMN hold_until {INT};                     -- when the window opens that it waits for; NULL: it does not
