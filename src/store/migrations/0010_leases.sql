-- The leases of one agent are looked at in each of its exchanges; those that ran out, of all, once in a while.
DROP INDEX job_leased;
CREATE INDEX job_leased ON job (agent_id, lease_until) WHERE state = 'leased';
