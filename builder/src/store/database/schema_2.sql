-- Schema 2: signatures, and which paths were made here.

ALTER TABLE path ADD COLUMN ultimate INTEGER NOT NULL DEFAULT 0;  -- made here, not copied from elsewhere
UPDATE path SET ultimate = deriver IS NOT NULL;

CREATE TABLE signature (
    path      INTEGER NOT NULL REFERENCES path (id) ON DELETE CASCADE,
    signature TEXT NOT NULL,
    PRIMARY KEY (path, signature)
) STRICT, WITHOUT ROWID;
