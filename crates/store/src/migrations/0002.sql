-- Identities, and an audit trail that says from where and with what result.

ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN result TEXT NOT NULL DEFAULT 'done';

-- Credentials of the management APIs beside the operator's own. The token itself is not kept.
CREATE TABLE tokens (
    id        BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name      TEXT NOT NULL,
    name_key  TEXT NOT NULL,
    digest    BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    role      TEXT NOT NULL,
    scope     TEXT NOT NULL,
    created   INTEGER NOT NULL,
    -- NULL for never.
    expires   INTEGER,
    -- When it was revoked; NULL for one that is not.
    revoked   INTEGER,
    -- The day on which it last signed somebody in, counted from 1970-01-01.
    last_used INTEGER
) STRICT, WITHOUT ROWID;

-- A name belongs to one token at a time; a revoked one gives it up.
CREATE UNIQUE INDEX tokens_by_name ON tokens (name_key) WHERE revoked IS NULL;
