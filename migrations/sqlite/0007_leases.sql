-- What one node at a time does: who does it now, and until when by this machine's clock. `token` grows with every change of the holder, and with
-- every gap that counts: what was decided before is refused by it. Since `since` a node had the lease without such a gap.
CREATE TABLE leases (
    name       TEXT    PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    holder     TEXT    CHECK (length(holder) BETWEEN 1 AND 512),
    token      INTEGER NOT NULL CHECK (token >= 1),
    since      INTEGER NOT NULL CHECK (since >= 0),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0)
) STRICT, WITHOUT ROWID;

-- Runs that have not ended are gone through by key, but those that were recorded afterwards. (Postgres has had such an index from the beginning.)
CREATE INDEX invocations_open ON invocations (backfilled) WHERE status IN ('pending', 'running');
