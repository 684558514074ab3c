-- Web-service groups and model packages.

CREATE TABLE web_service_groups (
    id             BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    workspace_id   BLOB NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    -- Whether test calls need no credentials.
    anonymous_test INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    modified       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX web_service_groups_by_workspace ON web_service_groups (workspace_id);

CREATE TABLE model_packages (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    group_id BLOB NOT NULL REFERENCES web_service_groups (id) ON DELETE CASCADE,
    -- InTesting, ReadyForProduction or Retired. Whether it is deployed to production is told by
    -- the services, so that the two cannot differ.
    status   TEXT NOT NULL,
    -- The package as it was sent, sealed: parameters and signatures in it are secrets.
    document BLOB NOT NULL,
    created  INTEGER NOT NULL,
    modified INTEGER NOT NULL
) STRICT;

CREATE INDEX model_packages_by_group ON model_packages (group_id);

CREATE TABLE model_package_resources (
    package_id BLOB NOT NULL REFERENCES model_packages (id) ON DELETE CASCADE,
    asset_id   TEXT NOT NULL,
    -- DataSource, TrainedModel or Transform.
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    -- Where it is, without a signature.
    uri        TEXT NOT NULL,
    -- NULL for one that is elsewhere until the package is published.
    sha256     BLOB CHECK (length(sha256) = 32),
    PRIMARY KEY (package_id, asset_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX model_package_resources_by_blob ON model_package_resources (sha256);

-- The services of a group: at most one of each slot (Staging, Production).
CREATE TABLE group_services (
    service_id BLOB PRIMARY KEY NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    group_id   BLOB NOT NULL REFERENCES web_service_groups (id) ON DELETE CASCADE,
    slot       TEXT NOT NULL,
    UNIQUE (group_id, slot)
) STRICT, WITHOUT ROWID;

-- The revisions that were made from a model package. One that was deployed otherwise has no row.
CREATE TABLE published_revisions (
    revision_id BLOB PRIMARY KEY NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    package_id  BLOB NOT NULL REFERENCES model_packages (id) ON DELETE CASCADE,
    -- The diagnostics settings, without their connection string; JSON.
    settings    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX published_revisions_by_package ON published_revisions (package_id);
