-- A task's newest runs, and those of them that run, are looked at whenever lists tell of the task: whose agents they are, and whether they are stalled.
-- (The rowid comes last in every index, so both are in the order in which the runs were made.)
CREATE INDEX invocations_of_task ON invocations (task);
CREATE INDEX invocations_running_of_task ON invocations (task) WHERE status = 'running';
