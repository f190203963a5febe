-- How many bytes the payloads of a task's log have, from its floor to `through`. Counted by retention where a rule bounds them: each activity is looked at
-- once, when it is new, and taken off again in the transaction that removes it. Nothing is written here by an append.
CREATE TABLE log_sizes (
    task    INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    through INTEGER NOT NULL CHECK (through >= 0),
    bytes   INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;
