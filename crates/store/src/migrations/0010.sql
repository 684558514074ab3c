-- What the packages of revisions say of diagnostics, so that the directory knows it without reading
-- packages. A row is there where something is to be recorded. Triggers keep it, so that no write of
-- a definition can forget it. Names of members are read in any case, as everywhere in a definition.

CREATE TABLE revision_diagnostics (
    revision_id BLOB PRIMARY KEY NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    level       TEXT NOT NULL CHECK (level IN ('Error', 'All')),
    -- As the package has it; NULL for never.
    expiry      TEXT
) STRICT, WITHOUT ROWID;

CREATE TRIGGER revisions_inserted AFTER INSERT ON revisions BEGIN
    INSERT INTO revision_diagnostics (revision_id, level, expiry)
    SELECT new.id, level, expiry FROM (
        SELECT CASE lower(trim(max(value) FILTER (WHERE name = 'level')))
                   WHEN 'error' THEN 'Error'
                   WHEN 'all' THEN 'All'
               END AS level,
               nullif(trim(max(value) FILTER (WHERE name = 'expiry')), '') AS expiry
        FROM (SELECT lower(member.key) AS name, member.value AS value
              FROM json_each(iif(json_valid(new.definition), new.definition, '{}')) AS top,
                   json_each(iif(top.type = 'object', top.value, '{}')) AS member
              WHERE lower(top.key) = 'diagnostics' AND member.type = 'text'))
    WHERE level IS NOT NULL;
END;

CREATE TRIGGER revisions_redefined AFTER UPDATE OF definition ON revisions BEGIN
    DELETE FROM revision_diagnostics WHERE revision_id = new.id;
    INSERT INTO revision_diagnostics (revision_id, level, expiry)
    SELECT new.id, level, expiry FROM (
        SELECT CASE lower(trim(max(value) FILTER (WHERE name = 'level')))
                   WHEN 'error' THEN 'Error'
                   WHEN 'all' THEN 'All'
               END AS level,
               nullif(trim(max(value) FILTER (WHERE name = 'expiry')), '') AS expiry
        FROM (SELECT lower(member.key) AS name, member.value AS value
              FROM json_each(iif(json_valid(new.definition), new.definition, '{}')) AS top,
                   json_each(iif(top.type = 'object', top.value, '{}')) AS member
              WHERE lower(top.key) = 'diagnostics' AND member.type = 'text'))
    WHERE level IS NOT NULL;
END;

-- Those that are there already go the same way.
UPDATE revisions SET definition = definition;
