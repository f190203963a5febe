-- The log of every task, and what its activities say about their invocations. The twin of migrations/sqlite.
-- Times are epoch milliseconds. Names chosen by users are looked up once; rows refer to each other by surrogate key.

-- One row: on which server, database and timeline the log was written last. Elsewhere (after a failover that may have lost commits, after a
-- restore) every log lives another life: what is seen as a task's epoch is its own one XOR `salt`, so that one row changes, not every task's.
CREATE TABLE store_identity (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    identity TEXT    NOT NULL,
    salt     BIGINT  NOT NULL CHECK (salt BETWEEN 0 AND 4294967295)
);

-- Rows of tasks and invocations change with every commit: the free space keeps their new versions on the same page (heap-only tuples),
-- because no indexed column but `listed_at` changes.
CREATE TABLE tasks (
    id               BIGINT  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name             TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128),
    epoch            BIGINT  NOT NULL CHECK (epoch BETWEEN 0 AND 4294967295),
    head             BIGINT  NOT NULL DEFAULT 0 CHECK (head BETWEEN 0 AND 9007199254740991),
    floor            BIGINT  NOT NULL DEFAULT 1 CHECK (floor BETWEEN 1 AND head + 1),
    title            TEXT,
    labels           JSONB   NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    status           TEXT    CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'lost')),
    pending          BIGINT  NOT NULL DEFAULT 0 CHECK (pending >= 0),
    running          BIGINT  NOT NULL DEFAULT 0 CHECK (running >= 0),
    completed        BIGINT  NOT NULL DEFAULT 0 CHECK (completed >= 0),
    failed           BIGINT  NOT NULL DEFAULT 0 CHECK (failed >= 0),
    cancelled        BIGINT  NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    lost             BIGINT  NOT NULL DEFAULT 0 CHECK (lost >= 0),
    created_at       BIGINT  NOT NULL CHECK (created_at >= 0),
    last_activity_at BIGINT  CHECK (last_activity_at >= 0),
    -- What lists are ordered by: the last activity, or the creation while there is none.
    listed_at        BIGINT  NOT NULL GENERATED ALWAYS AS (coalesce(last_activity_at, created_at)) STORED
) WITH (fillfactor = 50);

CREATE INDEX tasks_by_listed_at ON tasks (listed_at DESC, id DESC);
CREATE INDEX tasks_by_status ON tasks (status, listed_at DESC, id DESC);
-- Open tasks are read in pages, by key, when a node starts.
CREATE INDEX tasks_open ON tasks (id) WHERE status IN ('pending', 'running');

-- Keys of invocations are given out by the nodes, from blocks of a thousand that this hands to them.
CREATE SEQUENCE invocation_blocks;

CREATE TABLE invocations (
    id               BIGINT  PRIMARY KEY,
    task             BIGINT  NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    name             TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    status           TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'lost')),
    agent            TEXT,
    title            TEXT,
    exit_code        INTEGER,
    reason           TEXT,
    created_at       BIGINT  NOT NULL CHECK (created_at >= 0),
    started_at       BIGINT  CHECK (started_at >= 0),
    completed_at     BIGINT  CHECK (completed_at >= 0),
    -- The source of truth for silence; heartbeats have a column of their own.
    last_activity_at BIGINT  NOT NULL CHECK (last_activity_at >= 0),
    heartbeat_at     BIGINT  CHECK (heartbeat_at >= 0),
    usage            TEXT,
    UNIQUE (task, name)
) WITH (fillfactor = 70);

CREATE INDEX invocations_open ON invocations (id) WHERE status IN ('pending', 'running');

-- `data` is JSON text as it came, not normalized: what viewers get is byte for byte what was first encoded.
CREATE TABLE activities (
    task        BIGINT  NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    "offset"    BIGINT  NOT NULL CHECK ("offset" BETWEEN 1 AND 9007199254740991),
    invocation  BIGINT  NOT NULL REFERENCES invocations (id) ON DELETE CASCADE,
    event_id    UUID    NOT NULL,
    type        TEXT    NOT NULL CHECK (type IN ('status', 'message', 'thinking', 'tool_call', 'tool_result', 'output',
                                                 'progress', 'error', 'usage', 'custom')),
    timestamp   BIGINT  NOT NULL CHECK (timestamp BETWEEN 0 AND 9007199254740991),
    received_at BIGINT  NOT NULL CHECK (received_at BETWEEN 0 AND 9007199254740991),
    data        TEXT    NOT NULL,
    series      TEXT,
    series_ends BOOLEAN,
    PRIMARY KEY (task, "offset"),
    UNIQUE (task, event_id),
    CHECK ((series IS NULL) = (series_ends IS NULL))
);

CREATE INDEX activities_by_invocation ON activities (invocation, "offset");
CREATE INDEX activities_ending_series ON activities (invocation, series) WHERE series_ends;

-- What was refused of what agents published over Redis: why, and the shape of it, never its content. By name, because the task need not
-- exist. Bounded: the newest are kept (see src/store.rs).
CREATE TABLE rejects (
    id       BIGINT  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    task     TEXT    NOT NULL CHECK (length(task) BETWEEN 1 AND 128),
    at       BIGINT  NOT NULL CHECK (at >= 0),
    code     TEXT    NOT NULL,
    field    TEXT,
    message  TEXT    NOT NULL,
    event_id UUID,
    bytes    BIGINT  NOT NULL CHECK (bytes >= 0),
    excerpt  TEXT    NOT NULL
);

CREATE INDEX rejects_by_task ON rejects (task, id);
