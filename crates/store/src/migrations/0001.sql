-- The first schema. Times are microseconds since 1970-01-01 UTC. Ids are 16 bytes, digests and
-- hashes 32. Columns that end in _key hold what names are compared by; beside them the name stands
-- as it was given.

CREATE TABLE installation (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workspaces (
    id                 BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    subscription       TEXT NOT NULL,
    subscription_key   TEXT NOT NULL,
    resource_group     TEXT NOT NULL,
    resource_group_key TEXT NOT NULL,
    name               TEXT NOT NULL,
    name_key           TEXT NOT NULL,
    created            INTEGER NOT NULL,
    UNIQUE (subscription_key, resource_group_key, name_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE services (
    id                 BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    subscription       TEXT NOT NULL,
    subscription_key   TEXT NOT NULL,
    resource_group     TEXT NOT NULL,
    resource_group_key TEXT NOT NULL,
    name               TEXT NOT NULL,
    name_key           TEXT NOT NULL,
    location           TEXT NOT NULL,
    tags               TEXT NOT NULL,
    workspace_id       BLOB NOT NULL REFERENCES workspaces (id),
    read_only          INTEGER NOT NULL,
    created            INTEGER NOT NULL,
    modified           INTEGER NOT NULL,
    -- Counts the writes to this service other than to its keys; a writer names the one it has seen.
    version            INTEGER NOT NULL,
    -- The number of the newest revision ever made, so that numbers are not used twice.
    last_revision      INTEGER NOT NULL,
    UNIQUE (subscription_key, resource_group_key, name_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX services_by_workspace ON services (workspace_id);

CREATE TABLE revisions (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    service_id BLOB NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    definition TEXT NOT NULL,
    -- Secrets taken out of the definition, sealed; NULL where there were none.
    secrets    BLOB,
    created    INTEGER NOT NULL,
    UNIQUE (service_id, number)
) STRICT;

CREATE TABLE resources (
    revision_id BLOB NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    asset_id    TEXT NOT NULL,
    sha256      BLOB NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (revision_id, asset_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX resources_by_blob ON resources (sha256);

CREATE TABLE endpoints (
    id                   BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    service_id           BLOB NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    name                 TEXT NOT NULL,
    name_key             TEXT NOT NULL,
    -- What calls to this endpoint are answered by.
    revision_id          BLOB NOT NULL REFERENCES revisions (id),
    primary_sealed       BLOB NOT NULL,
    secondary_sealed     BLOB NOT NULL,
    primary_digest       BLOB NOT NULL CHECK (length(primary_digest) = 32),
    secondary_digest     BLOB NOT NULL CHECK (length(secondary_digest) = 32),
    max_concurrent_calls INTEGER NOT NULL,
    created              INTEGER NOT NULL,
    UNIQUE (service_id, name_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX endpoints_by_revision ON endpoints (revision_id);

-- One line for each change: who did what to which.
CREATE TABLE audit (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;
