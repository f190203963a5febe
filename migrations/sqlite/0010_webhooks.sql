-- What webhooks have yet to be told of: a row for each move of a run, written in the commit that moves it, in order of a task's log. `data` is JSON.
CREATE TABLE transitions (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL CHECK (length(task) BETWEEN 1 AND 128),
    data TEXT NOT NULL
) STRICT;

-- Whether anybody wants such rows: some node with webhooks said so, for the time until then. Since when stalled runs are told of, too.
CREATE TABLE webhook_wish (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    since INTEGER NOT NULL CHECK (since >= 0),
    until INTEGER NOT NULL CHECK (until >= since)
) STRICT;

-- What is to be sent to an endpoint. Those of one `run` go in the order of their ids; none before it is due.
CREATE TABLE deliveries (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL CHECK (length(endpoint) BETWEEN 1 AND 64),
    event    TEXT NOT NULL CHECK (length(event) BETWEEN 1 AND 64),
    run      TEXT NOT NULL CHECK (length(run) BETWEEN 1 AND 512),
    at       INTEGER NOT NULL CHECK (at >= 0),
    body     TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at   INTEGER NOT NULL DEFAULT 0 CHECK (due_at >= 0)
) STRICT;

CREATE INDEX deliveries_in_order ON deliveries (endpoint, id);
CREATE INDEX deliveries_of_run ON deliveries (endpoint, run, id);

-- From when on a run was told to be stalled, so that it is told once.
CREATE TABLE told_stalls (
    run          INTEGER PRIMARY KEY,
    stalled_from INTEGER NOT NULL CHECK (stalled_from >= 0)
) STRICT;
