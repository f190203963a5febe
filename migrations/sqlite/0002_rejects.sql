-- What was refused of what agents published over Redis: why, and the shape of it, never its content. By name, because the task need not
-- exist. Bounded: the newest are kept (see src/store.rs).
CREATE TABLE rejects (
    id       INTEGER PRIMARY KEY,
    task     TEXT    NOT NULL CHECK (length(task) BETWEEN 1 AND 128),
    at       INTEGER NOT NULL CHECK (at >= 0),
    code     TEXT    NOT NULL,
    field    TEXT,
    message  TEXT    NOT NULL,
    event_id BLOB    CHECK (length(event_id) = 16),
    bytes    INTEGER NOT NULL CHECK (bytes >= 0),
    excerpt  TEXT    NOT NULL
) STRICT;

CREATE INDEX rejects_by_task ON rejects (task, id);

-- Open tasks are read in pages, by key, when a node starts.
CREATE INDEX tasks_open ON tasks (id) WHERE status IN ('pending', 'running');
