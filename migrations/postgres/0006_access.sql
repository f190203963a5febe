-- Tokens that were taken back before their time: all of a subject's that were made until then, or one by its name.
CREATE TABLE revocations (
    id      BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    subject TEXT CHECK (length(subject) BETWEEN 1 AND 256),
    token   TEXT CHECK (length(token) BETWEEN 1 AND 128),
    at      BIGINT NOT NULL CHECK (at >= 0),
    until   BIGINT CHECK (until >= 0),
    CHECK ((subject IS NULL) <> (token IS NULL))
);

-- What a browser shows instead of a token where a token would be written down, once and soon. By hash: who reads this table cannot use them.
CREATE TABLE tickets (
    sha256     TEXT   PRIMARY KEY CHECK (length(sha256) = 64),
    caller     TEXT   NOT NULL,
    expires_at BIGINT NOT NULL CHECK (expires_at >= 0)
);

CREATE INDEX tickets_by_end ON tickets (expires_at);
