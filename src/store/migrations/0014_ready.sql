-- In the order in which jobs are given out: else all that became ready in one second are read and sorted for each look.
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (agent_id, run_at, id) WHERE state = 'ready';
