-- What one person has asked for and a second one has to agree to. One text for SQLite and PostgreSQL.

CREATE TABLE requests (
    id TEXT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    program TEXT NOT NULL,
    scope TEXT NOT NULL,
    detail TEXT NOT NULL,
    act TEXT NOT NULL,
    state TEXT NOT NULL,
    decided_by TEXT,
    decided_ms BIGINT
);

CREATE INDEX requests_by_state ON requests (state, at_ms);
