-- Lineages of other ACME clients: looked at, taken over, given back (core/adopt.h).

CREATE TABLE adoption (
    id {ID} PRIMARY KEY,
    team_id {ID} NOT NULL REFERENCES team (id),
    agent_id {ID} NOT NULL REFERENCES agent (id),
    endpoint_id {INT} NOT NULL,              -- of the inventory; it may be gone
    path {TEXT} NOT NULL,                    -- the file that the lineage is known by
    client {TEXT} NOT NULL,
    name {TEXT} NOT NULL,
    state {TEXT} NOT NULL,                   -- looking, seen, adopting, adopted, releasing, released, failed
    plan {TEXT} NOT NULL,                    -- JSON: JobAdopted of the API, as it was seen last
    managed_id {ID} REFERENCES managed_certificate (id),
    target_id {ID} REFERENCES target (id),   -- made for it, and removed with it
    wish_hash {BLOB},                        -- what the certificate that was there is good for
    hold_until {INT} NOT NULL,               -- it is used until then
    keep_files {INT} NOT NULL,
    done {TEXT} NOT NULL,                    -- JSON list: what giving it back has done
    error_code {TEXT},
    error {TEXT},
    created_by {TEXT} NOT NULL,
    created_at {INT} NOT NULL,
    updated_at {INT} NOT NULL
) {STRICT};
CREATE UNIQUE INDEX adoption_place ON adoption (agent_id, path);
CREATE INDEX adoption_managed ON adoption (managed_id) WHERE managed_id IS NOT NULL;
CREATE INDEX adoption_endpoint ON adoption (endpoint_id);
