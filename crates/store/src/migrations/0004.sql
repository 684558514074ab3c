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
