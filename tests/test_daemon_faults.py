"""What goes wrong at night: each fault costs what it concerns and no more, and passes when its cause does."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from astropy.io import fits

from ssosd import work
from ssosd.plumbing.notify import Notifier
from tests.test_notify import manager  # noqa: F401

pytestmark = pytest.mark.binaries
#: A program that is the real one but for one image or field; the case is in a file beside it.
STAND_IN = """#!/bin/sh
case "$1" in --version) exec {real} --version;; esac
if [ -e {here}/fault ] && {{ [ ! -s {here}/only ] || readlink image.fits | grep -q -f {here}/only; }}; then
    . {here}/fault
fi
exec {real} "$@"
"""


class Faulty:
    """A folder for PATH in which one program is a stand-in."""

    def __init__(self, folder: Path, program: str, name: str) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        real = shutil.which(name)
        assert real
        script = self.folder / name
        script.write_text(STAND_IN.format(real=real, here=self.folder))
        script.chmod(0o755)
        self.path = f"{self.folder}:{os.environ['PATH']}"

    def breaks(self, what: str, *, only: str = "") -> None:
        (self.folder / "only").write_text(only)
        (self.folder / "fault").write_text(what + "\n")

    def works(self) -> None:
        (self.folder / "fault").unlink()


@pytest.fixture
def sextractor(tmp_path):
    return Faulty(tmp_path, "sextractor", "source-extractor")


@pytest.fixture
def scamp(tmp_path):
    return Faulty(tmp_path, "scamp", "scamp")


# ---- programs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("exec sleep 100", "ran over its time limit of 0.5 s"),
        ("sleep 100 & wait", "ran over its time limit of 0.5 s"),
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("echo '> *Error*: Not enough memory' >&2; exit 1", "Not enough memory"),
    ],
    ids=["hangs", "child hangs", "killed", "crashes", "no memory"],
)
def test_sextractor_fails_for_a_while(rig, one, sextractor, undisturbed, fault, says):
    live = rig(one, EXPOSURES_PER_FIELD=5, SEX_TIME_LIMIT=0.5, search_path=sextractor.path)
    sextractor.breaks(fault, only="_003.fits")
    live.come(*one.paths)
    live.go(20)
    row = live.exposures[one.paths[2].name]
    assert (row["state"], row["error_class"], row["tries"]) == ("parked", "Retriable", 1)
    assert says in row["reason"]
    assert row["next_try_s"] is not None
    assert live.states == {"F01": "done"}  # the rest of the night went on
    assert live.sequences["F01"]["partial"] == 1
    sextractor.works()
    live.parameters["SEX_TIME_LIMIT"] = "60"
    live.daemon.use(live.station())
    live.go(90)
    assert live.exposures[one.paths[2].name]["state"] == "extracted"
    assert (live.states, live.sequences["F01"]["partial"]) == ({"F01": "done"}, 0)
    assert live.in_the_morning() == undisturbed


def test_tries_are_counted_with_growing_pauses_then_it_is_parked_for_good(rig, one, sextractor):
    live = rig(one, search_path=sextractor.path, TRIES=3, RETRY_DELAY=60)
    sextractor.breaks("kill -KILL $$")
    live.come(one.paths[0])
    at = []
    for _ in range(80):
        live.go(5)
        tries = live.exposures[one.paths[0].name]["tries"] if live.exposures else 0
        if tries > len(at):
            at.append(live.clock.now)
    pauses = [(b - a).total_seconds() for a, b in pairwise(at)]
    assert len(at) == 3
    assert 60 <= pauses[0] <= 95
    assert 120 <= pauses[1] <= 155
    row = live.exposures[one.paths[0].name]
    assert (row["state"], row["next_try_s"]) == ("parked", None)
    sextractor.works()
    live.store.take_up_again(live.store.parked())
    live.daemon.look_at_the_time()
    live.go(15)
    row = live.exposures[one.paths[0].name]
    assert (row["state"], row["tries"], row["reason"]) == ("extracted", 0, None)


def test_what_sextractor_refuses_is_parked_at_once_and_tried_when_something_changed(rig, one, sextractor):
    live = rig(one, EXPOSURES_PER_FIELD=5, search_path=sextractor.path)
    sextractor.breaks("echo '> *Error*: not a good image' >&2; exit 1", only="_003.fits")
    live.come(*one.paths)
    live.go(5 * 60)
    row = live.exposures[one.paths[2].name]
    assert (row["state"], row["error_class"], row["tries"]) == ("parked", "BadInput", 1)
    assert live.states == {"F01": "done"}
    live.restart()
    live.go(60)
    assert live.exposures[one.paths[2].name]["tries"] == 1
    other = live.root.parent / "other.param"
    other.write_text((Path(live.station().config["SEX_PARAMS"])).read_text() + "\nKRON_RADIUS\n")
    sextractor.works()
    live.daemon.use(live.station(SEX_PARAMS=other))
    live.go(60)
    assert live.exposures[one.paths[2].name]["state"] == "extracted"
    assert live.sequences["F01"]["partial"] == 0


@pytest.mark.parametrize("fault", ["exec sleep 100", "kill -KILL $$"], ids=["hangs", "killed"])
def test_scamp_fails_for_a_while(rig, one, scamp, undisturbed, fault):
    live = rig(one, EXPOSURES_PER_FIELD=5, SCAMP_TIME_LIMIT=1, search_path=scamp.path)
    scamp.breaks(fault)
    live.come(*one.paths)
    live.go(15)
    row = live.sequences["F01"]
    assert (row["state"], row["error_class"], row["tries"]) == ("parked", "Retriable", 1)
    assert not any(live.target.glob("*/.staging-*"))
    scamp.works()
    live.go(90)
    assert live.states == {"F01": "done"}
    assert live.in_the_morning() == undisturbed


def test_scamp_that_crashes_parks_the_field_with_its_last_words(rig, one, scamp):
    live = rig(one, EXPOSURES_PER_FIELD=5, search_path=scamp.path)
    scamp.breaks("echo '> *Error*: bad luck' >&2; exit 1")
    live.come(*one.paths)
    live.go(60)
    row = live.sequences["F01"]
    assert (row["state"], row["error_class"], row["next_try_s"]) == ("parked", "BadInput", None)
    assert row["reason"]
    live.go(10 * 60)
    assert live.sequences["F01"]["tries"] == 1
    scamp.works()
    live.store.take_up_again(live.store.parked())
    live.daemon.look_at_the_time()
    live.go(15)
    assert live.states == {"F01": "done"}


def test_a_program_that_is_replaced_halts_the_work_and_blames_no_exposure(rig, one, sextractor, undisturbed):
    live = rig(one, EXPOSURES_PER_FIELD=5, search_path=sextractor.path)
    away = sextractor.folder / "source-extractor.away"
    (sextractor.folder / "source-extractor").rename(away)
    live.come(*one.paths)
    live.go(20)
    assert not live.store.parked()
    live.daemon.beat()
    assert live.beat["state"] == "waiting"
    assert "source-extractor" in live.beat["detail"]
    away.rename(sextractor.folder / "source-extractor")
    live.go(120)
    assert live.states == {"F01": "done"}
    assert any("work goes on" in message for message in live.events("daemon"))
    assert live.in_the_morning() == undisturbed


def test_the_memory_limit_ends_the_child_not_the_night(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5, MEMORY_LIMIT=0.02)
    live.come(*one.paths)
    live.go(20)
    assert {row["state"] for row in live.exposures.values()} == {"parked"}
    assert all(row["reason"] for row in live.exposures.values())


def test_an_error_that_nobody_has_foreseen_costs_one_exposure(rig, one, monkeypatch, caplog):
    real = work.extract_exposure

    def fragile(exposure, **options):
        if exposure.name == one.paths[1].name:
            raise ZeroDivisionError("a fault of ours")
        return real(exposure, **options)

    monkeypatch.setattr(work, "extract_exposure", fragile)
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(20)
    row = live.exposures[one.paths[1].name]
    assert (row["state"], row["error_class"]) == ("parked", "Unforeseen")
    assert "ZeroDivisionError: a fault of ours" in row["reason"]
    assert "report it" in row["next_step"]
    assert "Traceback" in caplog.text
    assert live.states == {"F01": "done"}


@pytest.mark.parametrize("name", ["take_in", "admit"])
def test_a_file_that_breaks_the_reader_is_parked(rig, one, monkeypatch, name):
    from ssosd import intake

    real = getattr(intake, name)

    def fragile(path, **options):
        if path.name == one.paths[1].name:
            raise RecursionError("deep header")
        return real(path, **options)

    monkeypatch.setattr(intake, name, fragile)
    live = rig(one, SEQUENCE_TIMEOUT=5)
    live.come(*one.paths)
    live.go(6 * 60)
    assert [(row.kind, Path(row.subject).name) for row in live.store.parked()] == [
        ("file", one.paths[1].name)
    ]
    assert live.states == {"F01": "done"}


@pytest.mark.parametrize("restart", [False, True])
def test_a_file_that_could_not_be_opened_is_taken_up_as_soon_as_it_can(rig, one, monkeypatch, restart):
    """`chmod` changes neither size nor time of change, and a group that the user joins tells nobody."""
    live = rig(one, SETTLE_LIMIT=30)
    opens, may = Path.open, os.access
    barred = live.root / one.paths[0].name

    def open_(path, *args, **options):
        return (
            fail(PermissionError(13, "Permission denied"))
            if path == barred
            else opens(path, *args, **options)
        )

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_)
        patch.setattr(os, "access", lambda path, mode: str(path) != str(barred) and may(path, mode))
        live.come(*one.paths)
        live.go(120)
        assert live.events(barred.name) == [
            f"{barred.name}: cannot be read: Permission denied (let the user of the daemon read it (docs/daemon.md))"
        ]
        live.go(600)
        assert len(live.events(barred.name)) == 1
    if restart:
        live.restart()
    live.go(60)
    assert len(live.exposures) == 5
    assert live.store.parked() == []


def test_the_log_has_the_notes_of_a_field_such_as_that_nothing_can_be_found_in_it(rig, one, caplog):
    live = rig(one, EXPOSURES_PER_FIELD=3)
    live.come(*one.paths[:3])
    with caplog.at_level("INFO", logger="ssosd.daemon"):
        live.go(120)
    (said,) = (
        r.getMessage() for r in caplog.records if "no candidate can come of 3 exposures" in r.getMessage()
    )
    assert said.startswith("2026-11-14/F01: ")
    live.daemon.report()
    live.go(60)
    for name in ("summary.txt", "report.html"):
        assert "no candidate can come of 3 exposures" in (live.night / name).read_text()


def test_a_parked_file_that_is_taken_away_troubles_nobody_any_more(rig, one):
    live = rig(one)
    bad = live.root / "x.fits"
    bad.write_text("hello")
    live.go(300)
    assert [Path(row.subject).name for row in live.store.parked()] == ["x.fits"]
    night = live.store.rows("SELECT night FROM files")[0]["night"]
    live.daemon.report()
    live.go(120)
    told = live.target / night / "summary.txt"
    assert "1 parked" in told.read_text()
    bad.unlink()
    live.go(120)
    assert live.store.parked() == []
    assert "0 parked, 1 gone" in told.read_text()


def test_a_name_that_is_not_utf_8_is_told_once_and_costs_nothing_else(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    odd = live.root / os.fsdecode(b"caf\xe9.fits")
    odd.write_bytes(one.paths[0].read_bytes())
    live.daemon.hint(odd)
    live.come(*one.paths)
    live.go(120)
    assert live.states == {"F01": "done"}
    assert live.events("files") == [
        f"{live.root}/caf\\udce9.fits: passed over: its name is not UTF-8 (give it another name)"
    ]


def test_names_of_files_and_objects_as_long_as_may_be(rig, one):
    """A file's name of 255 bytes, an OBJECT that goes on over CONTINUE cards."""
    live = rig(one, EXPOSURES_PER_FIELD=5)
    for path in one.paths[1:]:
        with fits.open(path) as hdus:
            hdus[0].header["OBJECT"] = "a field with a very long name " * 20
            hdus.writeto(live.root / path.name, output_verify="silentfix")
    name = "n" * 250 + ".fits"
    shutil.copy2(one.paths[0], live.root / name)
    live.go(120)
    assert live.states == {"a_field_with_a_very_long_name_a_field_with_a_very_long_name_a_field": "done"}
    (folder,) = (path for path in live.night.iterdir() if path.is_dir() and path.name != "drafts")
    assert len(list((folder / "cats").glob("*.ahead"))) == 5


def test_skybot_that_does_not_answer_is_asked_again_later(rig, one):
    """Two misses in a row and it is left alone; then it is tried ever more rarely, without a new exposure."""
    live = rig(
        one,
        EXPOSURES_PER_FIELD=3,
        CROSSMATCH_SKYBOT=True,
        SKYBOT_URL="http://127.0.0.1:9/",
        SKYBOT_TIME_LIMIT=1,
    )
    asked = []
    run = live.daemon.corridor.run
    live.daemon.corridor.run = lambda job, **given: (asked.append(job.access.skybot), run(job, **given))[1]
    for path in one.paths:
        live.come(path)
        live.go(10)
    assert asked == [True, True, False]
    row = live.sequences["F01"]
    assert (row["state"], row["checked"]) == ("done", 0)
    assert row["unchecked_because"]
    live.go(16 * 60)
    assert 2 <= asked[3:].count(True) <= 5


# ---- the watchdog -------------------------------------------------------------------------------------


def test_a_stalled_loop_stops_the_pings(rig, one, manager):  # noqa: F811
    bound, environment = manager
    live = rig(one, notifier=Notifier({**environment, "WATCHDOG_USEC": "3000000"}))
    stalled, go_on = threading.Event(), threading.Event()

    def blocks():
        stalled.set()
        go_on.wait(60.0)

    loop = threading.Thread(target=live.daemon.run)
    loop.start()
    try:
        assert pinged(bound, within_s=10.0)
        live.daemon.inbox.put(blocks)
        assert stalled.wait(10.0)
        while pinged(bound, within_s=0.01):
            pass  # those that were sent before
        assert not pinged(bound, within_s=1.5)  # three rounds of the loop
        go_on.set()
        assert pinged(bound, within_s=10.0)
    finally:
        go_on.set()
        live.daemon.inbox.put(live.daemon.stop)
        loop.join(10.0)
    assert not loop.is_alive()


def test_what_takes_the_loop_long_feeds_the_watchdog_meanwhile(rig, one):
    """A scan of a million files, the files of a night of thousands of candidates: more than WatchdogSec."""
    fed = []

    class Fed(Notifier):
        def progress(self):
            fed.append(self)

    live = rig(one, notifier=Fed({}))
    live.rounds()
    for long in (live.daemon.scan, partial(live.daemon.nights._write_if_due, "2026-11-14")):
        live.store.report_night("2026-11-14")
        fed.clear()
        long()
        assert fed


def test_a_night_that_takes_long_to_write_leaves_time_for_other_work(rig, one, monkeypatch):
    live = rig(one)
    live.rounds()
    written = []

    def finish(night, **_):
        written.append(night)
        live.clock.advance(20.0)

    monkeypatch.setattr(live.daemon.corridor, "finish", finish)
    live.store.spoil_night("2026-11-14")
    for passing_s, times in [(0.0, 1), (0.0, 1), (39.0, 1), (1.0, 2)]:
        live.clock.advance(passing_s)
        live.daemon.nights._write_if_due("2026-11-14")
        assert len(written) == times


def pinged(bound: socket.socket, *, within_s: float) -> bool:
    bound.settimeout(within_s)
    try:
        while b"WATCHDOG=1" not in bound.recv(65536):
            pass
    except TimeoutError:
        return False
    return True


def test_the_status_line_says_what_is_waited_for(rig, one, manager, monkeypatch):  # noqa: F811
    bound, environment = manager
    live = rig(one, notifier=Notifier(environment))
    monkeypatch.setattr(
        type(live.store), "files", lambda _: fail(sqlite3.OperationalError("database or disk is full"))
    )
    live.daemon.turn()
    assert b"STATUS=work waits: the store cannot be used: database or disk is full" in bound.recv(65536)


def fail(error):
    raise error
