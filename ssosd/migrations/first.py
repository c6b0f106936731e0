"""Tables of the first version, and what the daemon needs of them."""

from __future__ import annotations

from sqlite_utils import Database

from ssosd.migrations.registry import migrations

_TABLES = (
    """
    CREATE TABLE files (               -- every file ever seen, with its outcome: the audit of a night
      path         TEXT PRIMARY KEY,   -- absolute
      size_bytes   INTEGER NOT NULL,
      mtime_ns     INTEGER NOT NULL,
      read_with    TEXT NOT NULL,      -- digest of the parameters its header was read with
      outcome      TEXT NOT NULL CHECK (outcome IN ('exposure', 'duplicate', 'ignored', 'parked', 'gone')),
      exposure     TEXT REFERENCES exposures(digest),
      error_class  TEXT,               -- BadInput, Retriable ... when parked
      reason       TEXT,               -- why it is parked or ignored, for a person
      next_step    TEXT,               -- what a person can do about it
      tries        INTEGER NOT NULL DEFAULT 0,
      next_try_s   REAL,               -- when it is tried again, Unix time; NULL: not by itself
      seen_at_s    REAL NOT NULL       -- when it was recorded, Unix time
    ) STRICT
    """,
    """
    CREATE TABLE exposures (           -- one row per science exposure, by the digest of its bytes
      digest       TEXT PRIMARY KEY,   -- BLAKE2b-128, hex
      path         TEXT NOT NULL,      -- first of its files in alphabetical order
      night        TEXT NOT NULL,      -- ISO date of the local evening
      date_obs     TEXT NOT NULL,      -- start, UTC
      mjd_mid      REAL NOT NULL,      -- middle, UTC
      exptime_s    REAL NOT NULL,
      filter       TEXT NOT NULL,
      object       TEXT NOT NULL,
      telescope    TEXT NOT NULL,
      instrument   TEXT NOT NULL,
      ra_deg       REAL NOT NULL,      -- centre of the footprint, ICRS
      dec_deg      REAL NOT NULL,
      width_deg    REAL NOT NULL,
      height_deg   REAL NOT NULL,
      n_chips      INTEGER NOT NULL,
      warnings     TEXT NOT NULL,      -- JSON list: what was repaired or guessed in the header
      header       TEXT NOT NULL,      -- JSON of the whole Exposure
      state        TEXT NOT NULL CHECK (state IN ('read', 'extracting', 'extracted', 'parked')),
      catalogue    TEXT REFERENCES catalogues(key),
      error_class  TEXT,
      reason       TEXT,
      next_step    TEXT,
      tries        INTEGER NOT NULL DEFAULT 0,
      next_try_s   REAL
    ) STRICT
    """,
    """
    CREATE TABLE catalogues (          -- one row per SExtractor catalogue on disk
      key          TEXT PRIMARY KEY,   -- digest of all it depends on
      exposure     TEXT NOT NULL REFERENCES exposures(digest),
      path         TEXT NOT NULL,
      n_detections INTEGER NOT NULL,
      fwhm_px      REAL,
      background   REAL,
      log_tail     TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE sequences (           -- one field in one night
      id           INTEGER PRIMARY KEY,
      night        TEXT NOT NULL,
      field        TEXT NOT NULL,
      ra_deg       REAL NOT NULL,
      dec_deg      REAL NOT NULL,
      state        TEXT NOT NULL CHECK (state IN ('open', 'linking', 'done', 'parked')),
      fingerprint  TEXT,               -- digest of all its result depends on
      n_exposures  INTEGER NOT NULL,
      n_sources    INTEGER,            -- linked by SCAMP
      n_candidates INTEGER,            -- survived the chain
      funnel       TEXT,               -- JSON list of [filter, sources left]
      checked      INTEGER,            -- 1: compared with known objects, 0: still unchecked
      unchecked_because TEXT,
      folder       TEXT,               -- where its files are
      complete_because TEXT,           -- what told the daemon that it is complete
      error_class  TEXT,
      reason       TEXT,
      next_step    TEXT,
      tries        INTEGER NOT NULL DEFAULT 0,
      next_try_s   REAL,
      UNIQUE (night, field)
    ) STRICT
    """,
    """
    CREATE TABLE sequence_exposures (  -- which exposures a sequence has, and how each fared in it
      sequence     INTEGER NOT NULL REFERENCES sequences(id) ON DELETE CASCADE,
      exposure     TEXT NOT NULL REFERENCES exposures(digest),
      catalog_number INTEGER,          -- its number in the linked tables; NULL when it was dropped
      dropped_because TEXT,
      PRIMARY KEY (sequence, exposure)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE rejections (          -- the ledger: why each source that was linked is no candidate
      sequence     INTEGER NOT NULL REFERENCES sequences(id) ON DELETE CASCADE,
      source_number INTEGER NOT NULL,
      filter       TEXT NOT NULL,      -- name of the parameter that switches the filter
      reason       TEXT NOT NULL,
      measured     REAL,
      limit_value  REAL,
      n_detections INTEGER NOT NULL,
      PRIMARY KEY (sequence, source_number)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE candidates (          -- one row per source that survived the chain
      night        TEXT NOT NULL,
      candidate    TEXT NOT NULL,      -- unique in the night
      sequence     INTEGER NOT NULL REFERENCES sequences(id) ON DELETE CASCADE,
      source_number INTEGER NOT NULL,
      n_detections INTEGER NOT NULL,
      mjd_first    REAL NOT NULL,
      ra_deg       REAL NOT NULL,      -- at the first detection
      dec_deg      REAL NOT NULL,
      pm           REAL,               -- arcsec/h
      pm_ra        REAL,               -- arcsec/h, cos Dec applied
      pm_dec       REAL,
      mag          REAL,               -- median of its detections, instrumental
      match_state  TEXT NOT NULL,      -- matched, possible, unknown or unchecked
      known_number TEXT,
      known_name   TEXT,
      PRIMARY KEY (night, candidate)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE known_objects (       -- what was known to be in each exposure of a sequence
      sequence     INTEGER NOT NULL REFERENCES sequences(id) ON DELETE CASCADE,
      catalog_number INTEGER NOT NULL,
      number       TEXT NOT NULL,      -- "" when it has none
      name         TEXT NOT NULL,
      class        TEXT NOT NULL,
      mag          REAL,               -- predicted V
      ra_deg       REAL NOT NULL,      -- predicted, ICRS, for the exposure's middle
      dec_deg      REAL NOT NULL,
      pm_ra        REAL,               -- arcsec/h, cos Dec applied
      pm_dec       REAL,
      error_arcsec REAL,               -- of the prediction
      known_by     TEXT NOT NULL,
      PRIMARY KEY (sequence, catalog_number, name)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE verdicts (            -- what a person said of a candidate
      night        TEXT NOT NULL,
      candidate    TEXT NOT NULL,
      verdict      TEXT NOT NULL CHECK (verdict IN ('asteroid', 'artifact', 'unknown')),
      person       TEXT NOT NULL,
      at           TEXT NOT NULL,
      PRIMARY KEY (night, candidate)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE heartbeats (          -- how the daemon is, one row per process that ever ran
      pid          INTEGER NOT NULL,
      started_s    REAL NOT NULL,      -- Unix time
      beat_s       REAL NOT NULL,      -- Unix time of the last sign of life
      state        TEXT NOT NULL,      -- starting, watching, waiting, stopped
      detail       TEXT NOT NULL,
      settling     INTEGER NOT NULL,   -- files that are not yet at rest
      queued       INTEGER NOT NULL,   -- exposures handed to SExtractor
      linking      INTEGER NOT NULL,   -- sequences handed to the linker
      folder       TEXT NOT NULL,      -- what is watched
      PRIMARY KEY (pid, started_s)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE drafts (              -- files a person may send to the MPC
      night        TEXT NOT NULL,
      kind         TEXT NOT NULL,
      path         TEXT NOT NULL,
      n_observations INTEGER NOT NULL,
      digest       TEXT NOT NULL,      -- BLAKE2b-128 of the file
      PRIMARY KEY (night, kind)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE runs (                -- who ran when, with which parameters and versions
      id           INTEGER PRIMARY KEY,
      started_at   TEXT NOT NULL,
      finished_at  TEXT,
      command      TEXT NOT NULL,
      parameters   TEXT NOT NULL,
      versions     TEXT NOT NULL       -- JSON
    ) STRICT
    """,
    """
    CREATE TABLE events (              -- what happened, in order
      id           INTEGER PRIMARY KEY,
      at           TEXT NOT NULL,      -- UTC
      level        TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
      subject      TEXT NOT NULL,      -- an exposure's name, a sequence as night/field, a service
      message      TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX files_by_exposure ON files(exposure)",
    "CREATE INDEX files_by_outcome ON files(outcome)",
    "CREATE INDEX exposures_by_night ON exposures(night, mjd_mid)",
    "CREATE INDEX exposures_by_state ON exposures(state)",
    "CREATE INDEX sequence_exposures_by_exposure ON sequence_exposures(exposure)",
    "CREATE INDEX candidates_by_sequence ON candidates(sequence)",
    """
    CREATE VIEW parked AS              -- all that waits for a person, with the reason
      SELECT 'file' AS kind, path AS subject, error_class, reason, next_step, tries
        FROM files WHERE outcome = 'parked'
      UNION ALL SELECT 'exposure', path, error_class, reason, next_step, tries
        FROM exposures WHERE state = 'parked'
      UNION ALL SELECT 'sequence', night || '/' || field, error_class, reason, next_step, tries
        FROM sequences WHERE state = 'parked'
    """,
    """
    CREATE VIEW tonight AS             -- the latest night's sequences
      SELECT night, field, state, n_exposures, n_sources, n_candidates, checked, reason
        FROM sequences WHERE night = (SELECT max(night) FROM exposures)
    """,
)


@migrations()
def first_schema(db: Database) -> None:
    """Tables, indexes and views of the first version."""
    for statement in _TABLES:
        db.execute(statement)


_DAEMON = (
    "ALTER TABLE sequences ADD COLUMN partial INTEGER",  # 1: linked with fewer than EXPOSURES_PER_FIELD
    "ALTER TABLE exposures ADD COLUMN tried_with TEXT",  # catalogue key of the try that parked it
    """
    CREATE TABLE nights (              -- one row per night: whether its files follow from these tables
      night        TEXT PRIMARY KEY,
      written      INTEGER NOT NULL,   -- 1: candidates.csv, drafts and summary are those of these tables
      reported     INTEGER NOT NULL DEFAULT 0 -- 1: the summary is due, now and whenever something changes
    ) STRICT, WITHOUT ROWID
    """,
    "INSERT INTO nights (night, written) SELECT DISTINCT night, 0 FROM exposures",
    "CREATE INDEX catalogues_by_exposure ON catalogues(exposure)",
    "CREATE INDEX files_to_try ON files(next_try_s) WHERE next_try_s IS NOT NULL",
    "CREATE INDEX exposures_to_try ON exposures(next_try_s) WHERE next_try_s IS NOT NULL",
    "DROP VIEW tonight",
    """
    CREATE VIEW tonight AS             -- the latest night's sequences
      SELECT night, field, state, n_exposures, partial, n_sources, n_candidates, checked, complete_because,
             reason
        FROM sequences WHERE night = (SELECT max(night) FROM exposures)
    """,
)
_FILES_SPOIL = (
    """
    CREATE TRIGGER files_added AFTER INSERT ON files WHEN new.exposure IS NOT NULL BEGIN
      UPDATE nights SET written = 0 WHERE night = (SELECT night FROM exposures WHERE digest = new.exposure);
    END
    """,
    """
    CREATE TRIGGER files_changed AFTER UPDATE ON files
      WHEN new.outcome <> old.outcome OR new.exposure IS NOT old.exposure BEGIN
      UPDATE nights SET written = 0
        WHERE night IN (SELECT night FROM exposures WHERE digest IN (old.exposure, new.exposure));
    END
    """,
)
#: Whatever changes a night's exposures or sequences makes its files old, in the same transaction.
_SPOILED = """
    CREATE TRIGGER {table}_{what} AFTER {event} ON {table} BEGIN
      INSERT INTO nights (night, written) VALUES ({row}.night, 0)
        ON CONFLICT (night) DO UPDATE SET written = 0;
    END
"""
_SPOILERS = (
    ("added", "INSERT", "new"),
    ("changed", "UPDATE", "new"),
    ("moved", "UPDATE OF night", "old"),
    ("removed", "DELETE", "old"),
)


@migrations()
def for_the_daemon(db: Database) -> None:
    """Marks of partial sequences, of failed tries, and of nights whose files are to be written again."""
    for statement in (*_DAEMON, *_FILES_SPOIL):
        db.execute(statement)
    for table in ("exposures", "sequences"):
        for what, event, row in _SPOILERS:
            db.execute(_SPOILED.format(table=table, what=what, event=event, row=row))
