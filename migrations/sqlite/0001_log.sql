-- The log of every task, and what its activities say about their invocations.
-- Times are epoch milliseconds. Names chosen by users are looked up once; rows refer to each other by surrogate key.

-- One row: which opening of this file wrote last. A copy put in its place does not know it (see src/store/sqlite/open.rs).
CREATE TABLE store_identity (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    opening   TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
    id               INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128),
    epoch            INTEGER NOT NULL CHECK (epoch BETWEEN 0 AND 4294967295),
    head             INTEGER NOT NULL DEFAULT 0 CHECK (head BETWEEN 0 AND 9007199254740991),
    floor            INTEGER NOT NULL DEFAULT 1 CHECK (floor BETWEEN 1 AND head + 1),
    title            TEXT,
    labels           TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(labels)),
    status           TEXT    CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'lost')),
    pending          INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    running          INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    completed        INTEGER NOT NULL DEFAULT 0 CHECK (completed >= 0),
    failed           INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    cancelled        INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    lost             INTEGER NOT NULL DEFAULT 0 CHECK (lost >= 0),
    created_at       INTEGER NOT NULL CHECK (created_at >= 0),
    last_activity_at INTEGER CHECK (last_activity_at >= 0),
    -- What lists are ordered by: the last activity, or the creation while there is none.
    listed_at        INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(last_activity_at, created_at)) VIRTUAL
) STRICT;

CREATE INDEX tasks_by_listed_at ON tasks (listed_at DESC, id DESC);
CREATE INDEX tasks_by_status ON tasks (status, listed_at DESC, id DESC);

CREATE TABLE invocations (
    id               INTEGER PRIMARY KEY,
    task             INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    name             TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    status           TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'lost')),
    agent            TEXT,
    title            TEXT,
    exit_code        INTEGER,
    reason           TEXT,
    created_at       INTEGER NOT NULL CHECK (created_at >= 0),
    started_at       INTEGER CHECK (started_at >= 0),
    completed_at     INTEGER CHECK (completed_at >= 0),
    -- The source of truth for silence; heartbeats have a column of their own.
    last_activity_at INTEGER NOT NULL CHECK (last_activity_at >= 0),
    heartbeat_at     INTEGER CHECK (heartbeat_at >= 0),
    usage            TEXT,
    UNIQUE (task, name)
) STRICT;

CREATE INDEX invocations_running ON invocations (last_activity_at) WHERE status IN ('pending', 'running');

-- `data` is JSON text as it came, not normalized: what viewers get is byte for byte what was first encoded.
CREATE TABLE activities (
    task        INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    "offset"    INTEGER NOT NULL CHECK ("offset" BETWEEN 1 AND 9007199254740991),
    invocation  INTEGER NOT NULL REFERENCES invocations (id) ON DELETE CASCADE,
    event_id    BLOB    NOT NULL CHECK (length(event_id) = 16),
    type        TEXT    NOT NULL CHECK (type IN ('status', 'message', 'thinking', 'tool_call', 'tool_result', 'output',
                                                 'progress', 'error', 'usage', 'custom')),
    timestamp   INTEGER NOT NULL CHECK (timestamp BETWEEN 0 AND 9007199254740991),
    received_at INTEGER NOT NULL CHECK (received_at BETWEEN 0 AND 9007199254740991),
    data        TEXT    NOT NULL,
    series      TEXT,
    series_ends INTEGER CHECK (series_ends IN (0, 1)),
    PRIMARY KEY (task, "offset"),
    UNIQUE (task, event_id),
    CHECK ((series IS NULL) = (series_ends IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX activities_by_invocation ON activities (invocation, "offset");
CREATE INDEX activities_ending_series ON activities (invocation, series) WHERE series_ends = 1;
