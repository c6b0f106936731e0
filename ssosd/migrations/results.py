"""What the store has learnt to keep since: quality, known objects, verdicts, completeness, drafts."""

from __future__ import annotations

from sqlite_utils import Database

from ssosd.migrations.registry import migrations


@migrations()
def quality_of_exposures(db: Database) -> None:
    """How good each exposure of a linked sequence is, and what its magnitudes rest on."""
    db.execute(
        """
        CREATE TABLE exposure_quality (  -- one row per exposure that a sequence was linked with
          sequence     INTEGER NOT NULL REFERENCES sequences(id) ON DELETE CASCADE,
          exposure     TEXT NOT NULL REFERENCES exposures(digest) ON DELETE CASCADE,
          catalog_number INTEGER NOT NULL, -- its number in the linked tables
          seeing_arcsec REAL,              -- FWHM of its stars
          sky          REAL,               -- median background, counts per pixel
          n_detections INTEGER NOT NULL,   -- in its catalogue
          rms_ref_arcsec REAL,             -- scatter of the reference stars about the solution, per axis
          n_matched    INTEGER,            -- reference stars found again in it
          zero_point   REAL,               -- magnitude of one count per second, for the Sun's colour
          zero_point_err REAL,             -- its standard error
          n_zp_stars   INTEGER NOT NULL,   -- reference stars that made it
          colour_term  REAL,               -- mag per mag of BP - RP; 0 where it could not be fitted
          band         TEXT,               -- the MPC's letter; NULL without a calibration
          phot_cat     TEXT,               -- the MPC's name of the reference catalogue
          limit_5sigma REAL,               -- magnitude of a point-like object with a ratio of 5
          limit_50     REAL,               -- magnitude at which half of what is there is detected
          why_not      TEXT,               -- why there is no calibration; NULL when there is one
          PRIMARY KEY (sequence, exposure)
        ) STRICT, WITHOUT ROWID
        """
    )


_KNOWLEDGE = (
    "ALTER TABLE sequences ADD COLUMN identified_with TEXT",  # digest of what its known objects come from
    "ALTER TABLE sequences ADD COLUMN known_limit REAL",  # V of the faintest that should have been seen
    "ALTER TABLE sequences ADD COLUMN known_limit_by TEXT",  # what that limit rests on
    "ALTER TABLE sequence_exposures ADD COLUMN n_known INTEGER",  # detections of known objects in it
    "ALTER TABLE sequence_exposures ADD COLUMN known_offset_ra REAL",  # mean observed - predicted, arcsec
    "ALTER TABLE sequence_exposures ADD COLUMN known_offset_dec REAL",
    "ALTER TABLE sequence_exposures ADD COLUMN known_rms_ra REAL",  # scatter about that mean, arcsec
    "ALTER TABLE sequence_exposures ADD COLUMN known_rms_dec REAL",
    "ALTER TABLE candidates ADD COLUMN known_nearby TEXT",  # other known objects near it, with the distance
    """
    CREATE TABLE expected (            -- what should have been seen: one row per known object of a sequence
      sequence     INTEGER NOT NULL REFERENCES sequences(id) ON DELETE CASCADE,
      number       TEXT NOT NULL,      -- "" when it has none
      name         TEXT NOT NULL,
      class        TEXT NOT NULL,
      mag          REAL,               -- predicted V, median over the exposures
      rate         REAL,               -- predicted, arcsec/h
      error_arcsec REAL,               -- of the prediction, one sigma
      known_by     TEXT NOT NULL,
      n_predicted  INTEGER NOT NULL,   -- exposures with its predicted place on a chip
      n_detected   INTEGER NOT NULL,   -- of these, with a detection there that is no star
      outcome      TEXT NOT NULL CHECK (outcome IN ('recovered', 'possible', 'rejected', 'not linked',
                     'not matched', 'blended', 'few detections', 'too faint', 'off the detector',
                     'uncertain')),
      candidate    TEXT,               -- as which it was recovered, or whose motion does not agree
      source_number INTEGER,           -- linked source with most of its detections
      filter       TEXT,               -- that rejected this source
      reason       TEXT NOT NULL,      -- for a person; "" when it was recovered
      measured     REAL,               -- what the reason compares
      limit_value  REAL,
      PRIMARY KEY (sequence, number, name)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE asking (              -- sequences for which a source of knowledge has yet to answer
      sequence     INTEGER PRIMARY KEY REFERENCES sequences(id) ON DELETE CASCADE,
      reason       TEXT NOT NULL,      -- why it did not
      tries        INTEGER NOT NULL,
      next_try_s   REAL NOT NULL       -- when it is asked again at the earliest, Unix time
    ) STRICT
    """,
    """
    CREATE TABLE skybot_answers (      -- what SkyBoT said, kept so that no question is asked twice
      question     TEXT PRIMARY KEY,   -- digest of address, epoch, place, size and observer
      exposure     TEXT NOT NULL,      -- digest of the exposure that it was asked for
      asked_s      REAL NOT NULL,      -- Unix time of the answer
      reply        BLOB NOT NULL       -- its bytes, compressed with zlib
    ) STRICT
    """,
    "CREATE INDEX skybot_answers_by_exposure ON skybot_answers(exposure)",
    """
    CREATE TABLE services (            -- how each source of knowledge is
      name         TEXT PRIMARY KEY,   -- SkyBoT, ORBITS, COMETS
      state        TEXT NOT NULL CHECK (state IN ('answering', 'failing', 'resting')),
      detail       TEXT NOT NULL,      -- why it fails, or where the file is
      failures     INTEGER NOT NULL,   -- in a row
      answered_s   REAL,               -- last answer, or age of the file, Unix time
      failed_s     REAL,               -- last failure
      next_try_s   REAL                -- when it is asked again, while it rests
    ) STRICT, WITHOUT ROWID
    """,
)


@migrations()
def knowledge_of_known_objects(db: Database) -> None:
    """What should have been seen, what is to be asked again, and how the sources of knowledge are."""
    for statement in _KNOWLEDGE:
        db.execute(statement)


_VERDICTS = (
    "DROP TABLE verdicts",
    """
    CREATE TABLE judged (              -- each candidate that a person ever gave a verdict on
      id           INTEGER PRIMARY KEY,
      night        TEXT NOT NULL,
      candidate    TEXT,               -- its name now; NULL: the night has none at its place any more
      mjd          REAL NOT NULL,      -- its first detection when it was judged first, UTC
      ra_deg       REAL NOT NULL,
      dec_deg      REAL NOT NULL,
      UNIQUE (night, candidate)
    ) STRICT
    """,
    """
    CREATE TABLE judgements (          -- every verdict ever given or taken back; the latest of each counts
      id           INTEGER PRIMARY KEY, -- the verdict's version
      judged       INTEGER NOT NULL REFERENCES judged(id),
      verdict      TEXT CHECK (verdict IN ('asteroid', 'artifact', 'unknown')), -- NULL: none any more
      person       TEXT NOT NULL,
      at           TEXT NOT NULL,      -- UTC
      undoes       INTEGER REFERENCES judgements(id) -- the judgement that was taken back
    ) STRICT
    """,
    "CREATE INDEX judgements_by_judged ON judgements(judged)",
    """
    CREATE TRIGGER judgements_added AFTER INSERT ON judgements BEGIN
      UPDATE nights SET written = 0 WHERE night = (SELECT night FROM judged WHERE id = new.judged);
    END
    """,
    """
    CREATE VIEW verdicts AS            -- what people say of the candidates, as it counts now
      SELECT d.night, d.candidate, j.verdict, j.person, j.at, j.id AS version
        FROM judged d JOIN judgements j ON j.id = (SELECT max(id) FROM judgements WHERE judged = d.id)
        WHERE d.candidate IS NOT NULL AND j.verdict IS NOT NULL
    """,
    "ALTER TABLE runs ADD COLUMN folders TEXT",  # JSON list: data folders that summaries account for
)


@migrations()
def verdicts_with_history(db: Database) -> None:
    """Verdicts of several people, none of which is lost, on candidates that may be linked anew."""
    for statement in _VERDICTS:
        db.execute(statement)


@migrations()
def for_the_linkers(db: Database) -> None:
    """Who linked a candidate, how good it is, and how many false ones are to be expected in a sequence."""
    for statement in (
        "ALTER TABLE candidates ADD COLUMN linked_by TEXT",  # SCAMP, TRACKLET or BOTH
        "ALTER TABLE candidates ADD COLUMN score REAL",  # minus log10 of n_chance
        "ALTER TABLE candidates ADD COLUMN n_chance REAL",  # such sources that chance would make
        "ALTER TABLE candidates ADD COLUMN chi2_dof REAL",  # of the motion on a great circle
        "ALTER TABLE sequences ADD COLUMN n_false_expected REAL",  # chance tracks among the candidates
    ):
        db.execute(statement)


_STRAYS = (
    "ALTER TABLE files ADD COLUMN night TEXT",  # that accounts for a file without an exposure
    "UPDATE files SET read_with = '' WHERE exposure IS NULL",  # read again, to know it
    "CREATE INDEX files_by_night ON files(night) WHERE night IS NOT NULL",
    """
    CREATE TRIGGER files_left AFTER UPDATE OF night ON files
      WHEN old.night IS NOT NULL AND new.night IS NOT old.night BEGIN
      UPDATE nights SET written = 0 WHERE night = old.night;
    END
    """,
)


@migrations()
def nights_of_strays(db: Database) -> None:
    """Which night accounts for a file that is no exposure, as its time of change may be that of a copy."""
    for statement in _STRAYS:
        db.execute(statement)


@migrations()
def completeness(db: Database) -> None:
    """How many synthetic movers were painted into copies of a sequence's exposures, and found again."""
    db.execute(
        """
        CREATE TABLE completeness (      -- one row per bin that has movers; the same bins for all sequences
          sequence     INTEGER NOT NULL REFERENCES sequences(id) ON DELETE CASCADE,
          mag_low      REAL NOT NULL,      -- calibrated magnitude, from
          mag_high     REAL NOT NULL,      -- and below
          rate_low     REAL NOT NULL,      -- arcsec/h, from
          rate_high    REAL NOT NULL,      -- and below
          n_injected   INTEGER NOT NULL,   -- movers that were there often enough to be found
          n_found      INTEGER NOT NULL,   -- those that are a candidate in the copies
          PRIMARY KEY (sequence, mag_low, rate_low)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def morning_mail(db: Database) -> None:
    """Whether those who want it were told of a night."""
    db.execute("ALTER TABLE nights ADD COLUMN mailed INTEGER NOT NULL DEFAULT 0")


@migrations()
def drafts_of_groups(db: Database) -> None:
    """Scores of what is not known, and what a person says was sent to the MPC."""
    db.execute("ALTER TABLE candidates ADD COLUMN neo_score REAL")  # digest2's NEO no-id score, 0 to 100
    db.execute("DELETE FROM drafts")  # of one kind; the nights are written again
    db.execute("UPDATE nights SET written = 0")
    db.execute(
        """
        CREATE TABLE sent_positions (    -- what a person says was sent: the ledger of submissions
          night        TEXT NOT NULL,
          draft        TEXT NOT NULL,      -- its group
          key          TEXT NOT NULL,      -- designation in the draft
          stn          TEXT NOT NULL,      -- observatory code
          mjd          REAL NOT NULL,      -- UTC
          ra_deg       REAL NOT NULL,      -- ICRS
          dec_deg      REAL NOT NULL,
          at           TEXT NOT NULL,      -- when that was said
          PRIMARY KEY (stn, mjd, ra_deg, dec_deg)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def extended_candidates(db: Database) -> None:
    """Which candidates look like comets."""
    db.execute("ALTER TABLE candidates ADD COLUMN extended REAL")  # mag above the light in the stars' shape


@migrations()
def notes_of_fields(db: Database) -> None:
    """What a person should know of how a sequence was linked."""
    db.execute("ALTER TABLE sequences ADD COLUMN notes TEXT")  # JSON: a list of sentences


@migrations()
def who_was_told(db: Database) -> None:
    """By which ways people were told of a night so far, while others are still tried."""
    db.execute("ALTER TABLE nights ADD COLUMN told TEXT NOT NULL DEFAULT '[]'")  # JSON list of parameters
