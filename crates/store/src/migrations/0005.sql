-- Endpoints of the classic API: several to a service, each with settings of its own and, once a
-- model of it was replaced, with a revision of its own.

ALTER TABLE endpoints ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN throttle_level TEXT NOT NULL DEFAULT 'High'
    CHECK (throttle_level IN ('Low', 'High'));
-- NULL where the package says it.
ALTER TABLE endpoints ADD COLUMN diagnostics_level TEXT
    CHECK (diagnostics_level IN ('None', 'Error', 'All'));
-- NULL for never.
ALTER TABLE endpoints ADD COLUMN diagnostics_expiry INTEGER;
ALTER TABLE endpoints ADD COLUMN prevent_update INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN sample_data INTEGER NOT NULL DEFAULT 1;
-- Counts the writes to this endpoint other than to its keys.
ALTER TABLE endpoints ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE endpoints ADD COLUMN modified INTEGER NOT NULL DEFAULT 0;
UPDATE endpoints SET modified = created;
-- The revision of the service that the endpoint is a copy of, which may be gone; NULL for the
-- default endpoint, whose revisions are the service's.
ALTER TABLE endpoints ADD COLUMN base_revision BLOB CHECK (length(base_revision) = 16);

-- The endpoint that a revision was made for; NULL for a revision of the service.
ALTER TABLE revisions ADD COLUMN endpoint_id BLOB CHECK (length(endpoint_id) = 16);

-- Resources that an endpoint has in the stead of its base revision's, by the name of the asset.
CREATE TABLE endpoint_resources (
    endpoint_id       BLOB NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    asset_name        TEXT NOT NULL,
    sha256            BLOB NOT NULL CHECK (length(sha256) = 32),
    -- Where it was taken from, without the signature.
    base_location     TEXT NOT NULL,
    relative_location TEXT NOT NULL,
    updated           INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, asset_name)
) STRICT, WITHOUT ROWID;
