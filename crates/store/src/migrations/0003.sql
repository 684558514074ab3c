-- Operations that go on after their call was answered, and regional definitions.

CREATE TABLE operations (
    id                 BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    kind               TEXT NOT NULL CHECK (kind IN ('create', 'update', 'delete', 'regional')),
    -- The web service, as its name was given, with its ids.
    subscription       TEXT NOT NULL,
    resource_group     TEXT NOT NULL,
    name               TEXT NOT NULL,
    service_id         BLOB NOT NULL CHECK (length(service_id) = 16),
    workspace_id       BLOB NOT NULL CHECK (length(workspace_id) = 16),
    state              TEXT NOT NULL CHECK (state IN ('Provisioning', 'Succeeded', 'Failed')),
    -- What it failed with: class, code, parameters and target, as JSON.
    fault              BLOB,
    started            INTEGER NOT NULL,
    ended              INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_by_state ON operations (state, ended);

-- A web service as it was asked for and is not yet: under way, or failed before it ever answered
-- a call.
CREATE TABLE drafts (
    subscription       TEXT NOT NULL,
    subscription_key   TEXT NOT NULL,
    resource_group     TEXT NOT NULL,
    resource_group_key TEXT NOT NULL,
    name               TEXT NOT NULL,
    name_key           TEXT NOT NULL,
    operation_id       BLOB NOT NULL CHECK (length(operation_id) = 16),
    service_id         BLOB NOT NULL CHECK (length(service_id) = 16),
    workspace_id       BLOB NOT NULL CHECK (length(workspace_id) = 16),
    location           TEXT NOT NULL,
    tags               TEXT NOT NULL,
    definition         TEXT NOT NULL,
    failed             INTEGER NOT NULL,
    created            INTEGER NOT NULL,
    modified           INTEGER NOT NULL,
    PRIMARY KEY (subscription_key, resource_group_key, name_key)
) STRICT, WITHOUT ROWID;

-- Copies of definitions whose secrets are sealed for another region, by its name in lower case.
CREATE TABLE regional_definitions (
    service_id BLOB NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    region     TEXT NOT NULL,
    definition TEXT NOT NULL,
    created    INTEGER NOT NULL,
    PRIMARY KEY (service_id, region)
) STRICT, WITHOUT ROWID;
