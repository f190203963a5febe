-- What webhooks have yet to be told of: a row for each move of a run, written in the commit that moves it, in order of a task's log. `data` is JSON.
CREATE TABLE transitions (
    id   BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    task TEXT   NOT NULL CHECK (length(task) BETWEEN 1 AND 128),
    data TEXT   NOT NULL
);

-- Whether anybody wants such rows: some node with webhooks said so, for the time until then. Since when stalled runs are told of, too.
CREATE TABLE webhook_wish (
    id    SMALLINT PRIMARY KEY CHECK (id = 1),
    since BIGINT   NOT NULL CHECK (since >= 0),
    until BIGINT   NOT NULL CHECK (until >= since)
);

-- What is to be sent to an endpoint. Those of one `run` go in the order of their ids; none before it is due.
CREATE TABLE deliveries (
    id       BIGINT  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    endpoint TEXT    NOT NULL CHECK (length(endpoint) BETWEEN 1 AND 64),
    event    TEXT    NOT NULL CHECK (length(event) BETWEEN 1 AND 64),
    run      TEXT    NOT NULL CHECK (length(run) BETWEEN 1 AND 512),
    at       BIGINT  NOT NULL CHECK (at >= 0),
    body     TEXT    NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at   BIGINT  NOT NULL DEFAULT 0 CHECK (due_at >= 0)
);

CREATE INDEX deliveries_in_order ON deliveries (endpoint, id);
CREATE INDEX deliveries_of_run ON deliveries (endpoint, run, id);

-- From when on a run was told to be stalled, so that it is told once.
CREATE TABLE told_stalls (
    run          BIGINT PRIMARY KEY,
    stalled_from BIGINT NOT NULL CHECK (stalled_from >= 0)
);
