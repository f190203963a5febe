-- A task's newest runs, and those of them that run, are looked at whenever lists tell of the task: whose agents they are, and whether they are stalled. Neither
-- index has a column that changes; `status` decides over another index already, so rows are updated in their page as before.
CREATE INDEX invocations_of_task ON invocations (task, created_at DESC, id DESC);
CREATE INDEX invocations_running_of_task ON invocations (task, id) WHERE status = 'running';
