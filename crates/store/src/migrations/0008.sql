-- Batch jobs. All times are microseconds since 1970 by the ledger's own clock, which is the only
-- one that counts for leases.

CREATE TABLE jobs (
    -- Counts the jobs in the order in which they were submitted.
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    workspace_id BLOB NOT NULL CHECK (length(workspace_id) = 16),
    service_id   BLOB NOT NULL CHECK (length(service_id) = 16),
    -- It may be gone: then the job is cancelled, and removed once nothing of it is left behind.
    endpoint_id  BLOB NOT NULL CHECK (length(endpoint_id) = 16),
    -- The names of service and endpoint when it was submitted.
    label        TEXT NOT NULL,
    -- The revision that it runs, from when it first runs.
    revision_id  BLOB CHECK (length(revision_id) = 16),
    -- The version of the API that it was submitted by: 1 or 2.
    api_version  INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    -- 0 not started, 1 running, 2 failed, 3 cancelled, 4 finished, 5 queued.
    state        INTEGER NOT NULL,
    -- Its place in the queue, from when it was started.
    place        INTEGER,
    -- What was asked for, sealed: it has credentials. It goes once a job failed or was cancelled;
    -- that of a finished one says where the outputs are.
    request      BLOB,
    -- How it is cut, once that is known; JSON.
    plan         TEXT,
    -- Whether all chunks are in the ledger.
    indexed      INTEGER NOT NULL DEFAULT 0,
    -- Whether every chunk is done and the outputs are being put in place: only that goes on then.
    committing   INTEGER NOT NULL DEFAULT 0,
    -- Whether something of it may be left behind: staged parts, files.
    untidy       INTEGER NOT NULL DEFAULT 0,
    created      INTEGER NOT NULL,
    started      INTEGER,
    -- NULL for a job that is not at its end.
    ended        INTEGER,
    -- What it failed with: class, code, parameters and target, as JSON.
    fault        BLOB,
    -- The bytes of its inputs, once they are known.
    bytes_total  INTEGER,
    -- What it came to, when it ended; until then its chunks tell.
    bytes_read   INTEGER NOT NULL DEFAULT 0,
    row_count    INTEGER NOT NULL DEFAULT 0,
    rejected     INTEGER NOT NULL DEFAULT 0,
    chunk_count  INTEGER NOT NULL DEFAULT 0,
    -- Microseconds that containers were at work for it.
    compute      INTEGER NOT NULL DEFAULT 0,
    -- Counts those who held it; each write of a holder names the number it got.
    fence        INTEGER NOT NULL DEFAULT 0,
    -- The node that holds it.
    holder_id    BLOB CHECK (length(holder_id) = 16),
    lease_until  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX jobs_by_endpoint ON jobs (endpoint_id, number);
CREATE INDEX jobs_by_state ON jobs (state, place);
CREATE INDEX jobs_unfinished ON jobs (endpoint_id, state) WHERE ended IS NULL;
CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL;
CREATE INDEX jobs_untidy ON jobs (number) WHERE untidy = 1;

-- The outputs of a job that runs, by their position, with what is staged for them.
CREATE TABLE job_outputs (
    job_id    BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    -- What the place where it goes calls the parts that are staged there.
    token     TEXT NOT NULL,
    -- Its parts in their order, where no chunk has them; JSON.
    parts     TEXT,
    committed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

-- The chunks of a job that runs.
CREATE TABLE chunks (
    job_id      BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    -- The range of the input in bytes, and the line that its first record stands on.
    start       INTEGER NOT NULL,
    length      INTEGER NOT NULL,
    first_line  INTEGER NOT NULL,
    -- 0 waiting, 1 being worked on, 2 done, 3 failed.
    state       INTEGER NOT NULL DEFAULT 0,
    -- How often it was begun.
    attempt     INTEGER NOT NULL DEFAULT 0,
    -- As those of the job.
    fence       INTEGER NOT NULL DEFAULT 0,
    holder_id   BLOB CHECK (length(holder_id) = 16),
    lease_until INTEGER NOT NULL DEFAULT 0,
    row_count   INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0,
    compute     INTEGER NOT NULL DEFAULT 0,
    -- The parts that it staged, for each output a list; JSON.
    parts       TEXT,
    fault       BLOB,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;
