"""The store: one row per exposure whatever its names, short transactions, results replaced as a whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from ssosd.errors import BadInput, Misconfigured, Retriable, ServiceUnavailable
from ssosd.migrations import migrations
from ssosd.model import Catalogue
from ssosd.store import Patience, Store, base, read_only
from tests.known_rows import known_rows
from tests.test_sequence import exposure

STAMP = {"size_bytes": 10, "mtime_ns": 5, "read_with": "k"}


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "ssosd.db", clock=lambda: datetime(2026, 11, 22, tzinfo=UTC)) as opened:
        yield opened


def test_opening_twice_applies_the_schema_once(tmp_path):
    for _ in range(2):
        with Store(tmp_path / "s.db") as opened:
            assert opened.rows("SELECT count(*) AS n FROM exposures") == [{"n": 0}]


def test_two_who_open_a_new_store_at_once_both_have_it(tmp_path, monkeypatch):
    pending, meanwhile = type(migrations).pending, []

    def looked_at(self, db):
        found = pending(self, db)
        if found and not meanwhile:
            meanwhile.append(found)
            Store(tmp_path / "s.db").close()  # another process is faster
        return found

    monkeypatch.setattr(type(migrations), "pending", looked_at)
    with Store(tmp_path / "s.db") as opened:
        assert opened.nights() == []
    assert meanwhile


def test_an_upgrade_is_done_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    last = migrations._migrations[-1]
    with monkeypatch.context() as older:
        older.setattr(migrations, "_migrations", migrations._migrations[:2])
        Store(tmp_path / "s.db").close()
    with monkeypatch.context() as broken:
        broken.setattr(last, "fn", lambda db: db.execute("SELECT broken"))
        with pytest.raises(Misconfigured, match="no such column: broken"):
            Store(tmp_path / "s.db")
    with closing(sqlite3.connect(tmp_path / "s.db")) as plain:
        assert plain.execute("SELECT count(*) FROM _sqlite_migrations").fetchone() == (2,)
    Store(tmp_path / "s.db").close()


def test_a_store_of_a_later_version_is_left_alone(tmp_path):
    Store(tmp_path / "s.db").close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as later, later:
        later.execute(
            "INSERT INTO _sqlite_migrations VALUES (NULL, 'ssosd', 'of_the_year_2030', '2030-01-01')"
        )
    with pytest.raises(Misconfigured, match=r"s\.db: a later version of ssosd has worked with it"):
        Store(tmp_path / "s.db")


def test_a_file_that_is_no_store_is_refused_clearly(tmp_path):
    (tmp_path / "s.db").write_text("not a database, " * 100)
    with pytest.raises(Misconfigured, match=r"s\.db: cannot be used as the store"):
        Store(tmp_path / "s.db")


def test_who_may_not_write_is_told_whom_to_be(tmp_path, monkeypatch):
    path = tmp_path / "s.db"

    def write():
        with Store(path) as opened:
            opened.db.execute("PRAGMA query_only = ON")  # SQLite says the same as of a file that is not ours
            opened.take_up_again([])

    with pytest.raises(
        Misconfigured, match=r"s\.db: cannot be used as the store: attempt to write a readonly"
    ):
        write()
    monkeypatch.setattr(base.os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(Misconfigured, match=rf"s\.db: only the user {path.owner()} may write to it") as told:
        write()
    assert told.value.next_step == f"run it as the user of the service: sudo -u {path.owner()} ssosd ..."


def test_a_store_that_somebody_holds_for_too_long_is_to_be_tried_again(store, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "_BUSY_TIMEOUT_S", 0.0)
    with (
        store.db.atomic(),
        pytest.raises(Retriable, match=r"ssosd\.db: another process has held it for too long \(try again\)"),
        Store(tmp_path / "ssosd.db") as other,
    ):
        other.take_up_again([])


def test_a_store_knows_whether_it_is_still_in_its_place(tmp_path):
    path, aside = tmp_path / "t" / "s.db", tmp_path / "aside"
    path.parent.mkdir()
    with Store(path) as opened:
        assert opened.is_in_place
        path.parent.rename(aside)
        assert not opened.is_in_place
        path.parent.mkdir()
        with Store(path) as another:
            assert another.is_in_place
            assert not opened.is_in_place
        path.unlink()
        path.parent.rmdir()
        aside.rename(path.parent)
        assert opened.is_in_place


def test_errors_of_ours_pass_as_they_are(tmp_path):
    with pytest.raises(sqlite3.OperationalError, match="no such column"), Store(tmp_path / "s.db") as opened:
        opened.rows("SELECT absent FROM files")


def test_the_same_bytes_under_two_names_are_one_exposure(store):
    first = exposure(1, 10.0, 5.0)
    for path in ("/d/b.fits", "/d/a.fits", "/d/c.fits"):
        store.record_exposure(first.at(path), night="n", **STAMP)
    assert [e.path for e in store.exposures().values()] == ["/d/a.fits"]
    outcomes = {path: row.outcome for path, row in store.files().items()}
    assert outcomes == {"/d/a.fits": "exposure", "/d/b.fits": "duplicate", "/d/c.fits": "duplicate"}
    store.forget_files(["/d/a.fits"])
    assert [e.path for e in store.exposures().values()] == ["/d/b.fits"]


def test_a_file_that_changes_leaves_its_former_exposure(store):
    store.record_exposure(exposure(1, 10.0, 5.0).at("/d/a.fits"), night="n", **STAMP)
    store.record_exposure(exposure(2, 10.0, 5.0).at("/d/a.fits"), night="n", **STAMP)
    assert [e.digest for e in store.exposures().values()] == [f"{2:032x}"]
    assert len(store.files()) == 1


def test_reading_with_other_keywords_updates_the_exposure_and_its_night(store):
    before = exposure(1, 10.0, 5.0)
    store.record_exposure(before, night="2023-02-24", **STAMP)
    store.record_exposure(replace(before, mjd_mid=before.mjd_mid + 1.0), night="2023-02-25", **STAMP)
    assert store.nights() == ["2023-02-25"]


def test_a_parked_file_says_why_and_counts_its_tries(store):
    for _ in range(2):
        error = BadInput("x.fits: no WCS", next_step="solve it")
        store.park_file(Path("/d/x.fits"), error=error, night="n", **STAMP)
    assert store.rows("SELECT * FROM parked") == [
        {"kind": "file", "subject": "/d/x.fits", "error_class": "BadInput", "reason": "x.fits: no WCS",
         "next_step": "solve it", "tries": 2}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (ServiceUnavailable("no connection"), [60.0, 120.0, 480.0, 480.0, 480.0]),
        (Retriable("killed"), [60.0, 120.0, None]),
    ],
    ids=["a service", "a child"],
)
def test_what_waits_for_a_service_is_never_given_up(store, error, pauses):
    """The network may be away for the whole night; all else has its TRIES alone."""
    patience = Patience(tries=3, delay_s=60.0)
    for pause in pauses:
        store.park_file(Path("/d/x.fits"), error=error, patience=patience, night="n", **STAMP)
        at = store.file("/d/x.fits").next_try_s
        assert (None if at is None else at - store.now_s) == pause


def test_other_bytes_of_a_parked_file_have_all_their_tries_before_them(store):
    error, patience = Retriable("x.fits: 2 HDUs"), Patience(tries=2, delay_s=60.0)
    again = []
    for stamp in (STAMP, STAMP, {**STAMP, "size_bytes": STAMP["size_bytes"] + 1}):
        store.park_file(Path("/d/x.fits"), error=error, patience=patience, night="n", **stamp)
        again.append(store.file("/d/x.fits").next_try_s is not None)
    assert again == [True, False, True]


def test_regrouping_keeps_results_of_unchanged_sequences_only(store):
    for n in range(4):
        store.record_exposure(exposure(n, 10.0, 5.0), night="n", **STAMP)
    digests = [f"{n:032x}" for n in range(4)]
    store.regroup("n", {"A": (10.0, 5.0, digests[:3]), "B": (12.0, 5.0, digests[3:])})
    first = store.sequences(night="n")[0]
    result = {
        "fingerprint": "f", "columns": {"n_sources": 3, "folder": "/x"}, "catalog_numbers": {digests[0]: 1},
        "dropped": {digests[1]: "clouds"},
        "ledger": pd.DataFrame({"SOURCE_NUMBER": [7], "FILTER": ["FILTER_PM"], "REASON": ["PM above PM_UP"],
                                "MEASURED": [float("nan")], "LIMIT": [300.0], "N_DETECTIONS": [4]}),
        "candidates": [], "known": known_rows(), "delay_s": 60.0,
        "completeness": pd.DataFrame({"mag_low": [19.0], "mag_high": [19.5], "rate_low": [5.0],
                                      "rate_high": [20.0], "n_injected": [7], "n_found": [6]}),
        "quality": pd.DataFrame({"exposure": [digests[0]], "catalog_number": [1], "seeing_arcsec": [2.1],
                                 "n_detections": [70], "zero_point": [float("nan")], "n_zp_stars": [0],
                                 "band": [""], "why_not": ["no stars"]}),
    }  # fmt: skip
    store.record_sequence(first.id, **result)
    store.record_sequence(first.id, **result)  # idempotent
    assert store.rows("SELECT count(*) AS n FROM rejections") == [{"n": 1}]
    assert store.rows("SELECT rate_high, n_injected, n_found FROM completeness") == [
        {"rate_high": 20.0, "n_injected": 7, "n_found": 6}
    ]
    assert store.rows("SELECT seeing_arcsec, zero_point, band, phot_cat, why_not FROM exposure_quality") == [
        {"seeing_arcsec": 2.1, "zero_point": None, "band": None, "phot_cat": None, "why_not": "no stars"}
    ]
    assert store.regroup("n", {"A": (10.0, 5.0, digests[:3]), "B": (12.0, 5.0, digests[3:])}) == []
    assert [s.state for s in store.sequences()] == ["done", "open"]
    ended = store.regroup("n", {"A": (10.0, 5.0, digests)})
    assert [row.field for row in ended] == ["B"]
    assert [(s.field, s.state, len(s.exposures)) for s in store.sequences()] == [("A", "open", 4)]


def test_parking_a_sequence_withdraws_its_results(store):
    store.record_exposure(exposure(1, 10.0, 5.0), night="n", **STAMP)
    store.regroup("n", {"A": (10.0, 5.0, [f"{1:032x}"])})
    number = store.sequences()[0].id
    store.park_sequence(number, BadInput("n/A: too few"))
    row = store.rows("SELECT state, reason, n_candidates, tries FROM sequences")[0]
    assert row == {"state": "parked", "reason": "n/A: too few", "n_candidates": None, "tries": 1}


def test_a_catalogue_whose_file_is_gone_does_not_count(store, tmp_path):
    store.record_exposure(exposure(1, 10.0, 5.0), night="n", **STAMP)
    file = tmp_path / "a.cat"
    file.write_text("x")
    made = Catalogue(path=str(file), key="k", n_detections=3, fwhm_px=float("nan"), background=1.0)
    store.record_catalogue(f"{1:032x}", made)
    assert store.catalogue("k").n_detections == 3
    file.unlink()
    assert store.catalogue("k") is None


def test_a_reader_sees_the_store_while_a_writer_holds_it(store, tmp_path):
    store.event("info", "a", "b")
    with store.db.atomic():
        store.db["events"].insert({"at": "t", "level": "info", "subject": "c", "message": "d"})
        with read_only(tmp_path / "ssosd.db") as reader:
            assert [row["subject"] for row in reader.execute("SELECT subject FROM events")] == ["a"]
            with pytest.raises(sqlite3.OperationalError):
                reader.execute("DELETE FROM events")


def test_no_store_is_said_clearly(tmp_path):
    with pytest.raises(Misconfigured, match="no store here"):
        read_only(tmp_path / "none.db")
