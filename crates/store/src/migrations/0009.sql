-- Blob containers of workspaces: what batch jobs without a storage account read and write.
-- The bytes stand in files below `objects/`, each named by the id of one row here or there.

CREATE TABLE blob_containers (
    id           BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    workspace_id BLOB NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    created      INTEGER NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE container_blobs (
    id           BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    container_id BLOB NOT NULL REFERENCES blob_containers (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    size         INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    -- Another one after each write.
    etag         TEXT NOT NULL,
    created      INTEGER NOT NULL,
    modified     INTEGER NOT NULL,
    UNIQUE (container_id, name)
) STRICT;

-- The content of a blob, in order.
CREATE TABLE blob_segments (
    blob_id   BLOB NOT NULL REFERENCES container_blobs (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    -- The id of the block that it was put in place by; empty for a blob that was put whole.
    block     TEXT NOT NULL,
    object_id BLOB NOT NULL CHECK (length(object_id) = 16),
    size      INTEGER NOT NULL,
    PRIMARY KEY (blob_id, number)
) STRICT, WITHOUT ROWID;

-- Blobs on their way in, in blocks. One that was committed is remembered for a while, so that a
-- repeated commit is told apart from one of an upload that never was.
CREATE TABLE blob_uploads (
    id           BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    container_id BLOB NOT NULL REFERENCES blob_containers (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    -- Whether it is the one upload of whoever names the blob and no upload.
    shared       INTEGER NOT NULL,
    committed    INTEGER NOT NULL DEFAULT 0,
    modified     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX shared_blob_uploads ON blob_uploads (container_id, name) WHERE shared;
CREATE INDEX blob_uploads_by_container ON blob_uploads (container_id);

CREATE TABLE upload_blocks (
    upload_id BLOB NOT NULL REFERENCES blob_uploads (id) ON DELETE CASCADE,
    block     TEXT NOT NULL,
    object_id BLOB NOT NULL CHECK (length(object_id) = 16),
    size      INTEGER NOT NULL,
    PRIMARY KEY (upload_id, block)
) STRICT, WITHOUT ROWID;
