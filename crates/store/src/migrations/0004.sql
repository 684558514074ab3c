-- Commitment plans, and workspaces as resources.

ALTER TABLE workspaces ADD COLUMN location TEXT NOT NULL DEFAULT 'local';
-- A JSON object.
ALTER TABLE workspaces ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE workspaces ADD COLUMN owner_email TEXT NOT NULL DEFAULT '';
ALTER TABLE workspaces ADD COLUMN storage_account TEXT NOT NULL DEFAULT '';
ALTER TABLE workspaces ADD COLUMN key_vault TEXT;
ALTER TABLE workspaces ADD COLUMN state TEXT NOT NULL DEFAULT 'Enabled';
ALTER TABLE workspaces ADD COLUMN type TEXT NOT NULL DEFAULT 'Production';
ALTER TABLE workspaces ADD COLUMN sku_name TEXT;
ALTER TABLE workspaces ADD COLUMN sku_tier TEXT;
-- NULL only until the first start: what was made before there were tokens gets them then.
ALTER TABLE workspaces ADD COLUMN primary_sealed BLOB;
ALTER TABLE workspaces ADD COLUMN secondary_sealed BLOB;
ALTER TABLE workspaces ADD COLUMN primary_digest BLOB CHECK (length(primary_digest) = 32);
ALTER TABLE workspaces ADD COLUMN secondary_digest BLOB CHECK (length(secondary_digest) = 32);
ALTER TABLE workspaces ADD COLUMN modified INTEGER NOT NULL DEFAULT 0;
-- Counts the writes to this workspace other than to its tokens; a writer names the one it has seen.
ALTER TABLE workspaces ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
UPDATE workspaces SET modified = created;

CREATE TABLE plans (
    id                 BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    subscription       TEXT NOT NULL,
    subscription_key   TEXT NOT NULL,
    resource_group     TEXT NOT NULL,
    resource_group_key TEXT NOT NULL,
    name               TEXT NOT NULL,
    name_key           TEXT NOT NULL,
    location           TEXT NOT NULL,
    tags               TEXT NOT NULL,
    sku                TEXT NOT NULL,
    capacity           INTEGER NOT NULL,
    -- Another one after each write.
    etag               BLOB NOT NULL CHECK (length(etag) = 16),
    created            INTEGER NOT NULL,
    UNIQUE (subscription_key, resource_group_key, name_key)
) STRICT, WITHOUT ROWID;

-- The SKUs that a plan has had, each from its time on.
CREATE TABLE plan_terms (
    plan_id  BLOB NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    since    INTEGER NOT NULL,
    sku      TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    PRIMARY KEY (plan_id, since)
) STRICT, WITHOUT ROWID;

-- Which plan the use of a service counts against.
CREATE TABLE plan_associations (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    plan_id    BLOB NOT NULL REFERENCES plans (id),
    service_id BLOB NOT NULL UNIQUE REFERENCES services (id) ON DELETE CASCADE,
    etag       BLOB NOT NULL CHECK (length(etag) = 16),
    created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX plan_associations_by_plan ON plan_associations (plan_id, id);

-- What endpoints were used. Days are counted from 1970-01-01 UTC. A line outlives its endpoint.
CREATE TABLE usage (
    day          INTEGER NOT NULL,
    endpoint_id  BLOB NOT NULL CHECK (length(endpoint_id) = 16),
    -- The names of service and endpoint when the line was last written.
    label        TEXT NOT NULL,
    transactions INTEGER NOT NULL,
    -- Microseconds.
    compute      INTEGER NOT NULL,
    PRIMARY KEY (day, endpoint_id)
) STRICT, WITHOUT ROWID;

-- The same by the plan that the service was associated with at the time.
CREATE TABLE plan_usage (
    plan_id      BLOB NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    day          INTEGER NOT NULL,
    transactions INTEGER NOT NULL,
    compute      INTEGER NOT NULL,
    PRIMARY KEY (plan_id, day)
) STRICT, WITHOUT ROWID;
