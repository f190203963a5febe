-- What Durable Streams' clients have made of a task's log (docs/durable-streams.md). A row is written in the commit of the activities that it goes with.
-- Without a `content_type` the log is a stream of whole activities. `closed_at` is the offset that nothing comes after.
CREATE TABLE streams (
    task         INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    content_type TEXT    CHECK (length(content_type) BETWEEN 1 AND 256),
    seq          TEXT    CHECK (length(seq) BETWEEN 1 AND 256),
    closed_at    INTEGER CHECK (closed_at > 0)
) STRICT;

-- How far each idempotent producer has come, so that what it sends again is not stored again, and what an earlier life of it sends is refused.
CREATE TABLE stream_producers (
    task  INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    name  TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
    epoch INTEGER NOT NULL CHECK (epoch BETWEEN 0 AND 9007199254740991),
    seq   INTEGER NOT NULL CHECK (seq BETWEEN 0 AND 9007199254740991),
    PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;
