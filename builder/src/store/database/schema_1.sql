-- Schema 1 of a store's database. Times are seconds since 1970; paths are base names (HASH-NAME).

CREATE TABLE path (
    id              INTEGER PRIMARY KEY,
    base_name       TEXT NOT NULL UNIQUE,
    nar_hash        TEXT NOT NULL,   -- sha256:BASE16
    nar_size        INTEGER NOT NULL,
    registered      INTEGER NOT NULL,
    deriver         TEXT,
    content_address TEXT,
    -- The boot of the kernel during which the files were written, until they are known to be on disk; or 'going ' and the
    -- boot during which they were to be removed.
    unsynced        TEXT
) STRICT;

CREATE INDEX path_unsynced ON path (unsynced) WHERE unsynced IS NOT NULL;
CREATE INDEX path_deriver ON path (deriver) WHERE deriver IS NOT NULL;

CREATE TABLE reference (
    referrer  INTEGER NOT NULL REFERENCES path (id) ON DELETE CASCADE,
    reference INTEGER NOT NULL REFERENCES path (id) ON DELETE RESTRICT,
    PRIMARY KEY (referrer, reference)
) STRICT, WITHOUT ROWID;

CREATE INDEX reference_reference ON reference (reference);

-- What each output of a derivation was built to, whether or not that is valid now.
CREATE TABLE realisation (
    derivation TEXT NOT NULL,
    output     TEXT NOT NULL,
    path       TEXT NOT NULL,
    PRIMARY KEY (derivation, output)
) STRICT, WITHOUT ROWID;

CREATE INDEX realisation_path ON realisation (path);

-- How long and how large the last build of a derivation's name was.
CREATE TABLE history (
    name             TEXT PRIMARY KEY,
    milliseconds     INTEGER NOT NULL,
    peak_kibibytes   INTEGER NOT NULL,
    finished         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
