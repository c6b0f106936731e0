"""`ssosd status`: it tells how the daemon is and how the night goes, quickly, and leaves no trace."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import ssosd
from ssosd import status as status_room
from ssosd.config import load_config
from ssosd.errors import Misconfigured
from ssosd.status import read_status, render_status, watch_status
from ssosd.status.run import read_parameters, site_longitude_deg
from ssosd.status.snapshot import look
from ssosd.store import STORE_NAME, Store
from tests.night_store import (
    BROKEN,
    NIGHT,
    NOW_S,
    beat,
    event,
    exposure_row,
    file_row,
    insert,
    key_paths,
    night_of_work,
    ran,
)

REPOSITORY = Path(__file__).resolve().parents[1]

HOLDER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from ssosd.plumbing.lock import TargetLock
with TargetLock(Path(sys.argv[1]), purpose=sys.argv[2], now=datetime(2026, 11, 14, 18, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path):
    """An empty store with the schema of today."""
    folder = tmp_path / "results of a night"
    folder.mkdir()
    Store(folder / STORE_NAME).close()
    return folder


@pytest.fixture
def hold(target):
    """Let another process hold the target's lock; returns it."""
    children = []

    def start(purpose="run"):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(target), purpose],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        children.append(child)
        assert child.stdout.readline() == "held\n"
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


# ---- the daemon --------------------------------------------------------------------------------------


def test_a_daemon_at_work_is_fine(target, hold):
    ran(target)
    beat(target, hold().pid)
    status = read_status(target, now_s=NOW_S)
    assert (status["exit_code"], status["verdict"], status["because"]) == (0, "fine", [])
    daemon = status["daemon"]
    assert (daemon["state"], daemon["folder"], daemon["beat_age_s"]) == ("watching", "/data", 3.0)
    assert status["queue"]["settling"] == 2
    text = render_status(status)
    assert "watching /data" in text
    assert f"process {daemon['pid']}" in text
    assert "2026-11-15 01:00:00 UTC" in text  # since when


def test_it_says_so_when_the_daemon_is_dead(target, hold):
    child = hold()
    beat(target, child.pid)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    status = read_status(target, now_s=NOW_S)
    assert (status["exit_code"], status["daemon"]["state"]) == (2, "dead")
    assert "dead: no sign of life since 2026-11-15 01:59:57 UTC" in status["because"][0]
    assert f"ssosd run /data -t '{target}')" in render_status(status)
    assert status["queue"]["settling"] == 0  # nobody looks at files any more


def test_the_command_that_starts_it_again_has_all_its_flags(target):
    beat(target, 77, state="stopped")
    with Store(target / STORE_NAME) as store:
        store.begin_run(command="run data -t out -c 'my night.ssos'", parameters="", versions={})
    text = render_status(read_status(target, now_s=NOW_S))
    assert "(or, from the same folder: ssosd run data -t out -c 'my night.ssos')" in text


def test_a_daemon_that_was_stopped_is_not_called_dead(target):
    beat(target, 77, state="stopped")
    status = read_status(target, now_s=NOW_S)
    assert (status["exit_code"], status["daemon"]["state"]) == (2, "stopped")


@pytest.mark.parametrize(("age_s", "state", "code"), [(59.0, "watching", 0), (61.0, "stalled", 2)])
def test_a_daemon_without_a_sign_of_life_for_a_minute_is_stalled(target, hold, age_s, state, code):
    beat(target, hold().pid, beat_s=NOW_S - age_s)
    status = read_status(target, now_s=NOW_S)
    assert (status["daemon"]["state"], status["exit_code"]) == (state, code)


def test_a_daemon_that_has_not_beaten_yet_is_starting_whatever_the_last_one_left(target, hold):
    child = hold()
    beat(target, child.pid + 1, beat_s=NOW_S - 5000)
    status = read_status(target, now_s=NOW_S)
    assert (status["daemon"]["state"], status["daemon"]["pid"]) == ("starting", child.pid)
    assert status["exit_code"] == 0
    assert "starting" in render_status(status)


def test_a_replay_is_no_daemon(target, hold):
    hold("replay")
    status = read_status(target, now_s=NOW_S)
    assert (status["exit_code"], status["daemon"]["state"]) == (2, "never")
    assert "in use by ssosd replay" in status["because"][0]
    assert "start it with" not in render_status(status)


def test_the_latest_daemon_counts(target):
    beat(target, 5, started_s=NOW_S - 9000, beat_s=NOW_S - 8000, state="watching")
    beat(target, 4, started_s=NOW_S - 100, beat_s=NOW_S - 50, state="stopped")
    assert read_status(target, now_s=NOW_S)["daemon"]["state"] == "stopped"


def test_a_daemon_of_a_time_when_the_clock_was_ahead_does_not_count(target, hold):
    beat(target, 3, started_s=NOW_S + 9e8, beat_s=NOW_S + 9e8, state="watching")
    beat(target, hold().pid, state="waiting", detail="no room")
    daemon = read_status(target, now_s=NOW_S)["daemon"]
    assert (daemon["state"], daemon["detail"]) == ("waiting", "no room")


def test_a_daemon_of_an_earlier_boot_with_the_same_number_does_not_count(target, hold):
    at_work = hold()
    beat(target, at_work.pid, started_s=NOW_S - 90000, beat_s=NOW_S - 80000, state="watching")
    beat(target, 7, started_s=NOW_S - 40000, beat_s=NOW_S - 30000, state="stopped")
    assert read_status(target, now_s=NOW_S)["daemon"]["state"] == "starting"


def test_a_daemon_that_waits_is_trouble(target, hold):
    beat(target, hold().pid, state="waiting", detail="less than 1 GB free")
    status = read_status(target, now_s=NOW_S)
    assert (status["exit_code"], status["because"]) == (1, ["the daemon waits: less than 1 GB free"])


def test_a_short_disk_is_trouble(target, hold):
    ran(target, MIN_FREE_DISK="1000000")
    beat(target, hold().pid)
    status = read_status(target, now_s=NOW_S)
    assert status["exit_code"] == 1
    assert status["disk"]["short"]
    assert status["disk"]["least_bytes"] == 10**15
    assert "less than MIN_FREE_DISK" in status["because"][0]


# ---- the night ---------------------------------------------------------------------------------------


def test_tonight_at_a_glance(target):
    night_of_work(target)
    status = read_status(target, now_s=NOW_S)
    assert status["night"] == NIGHT
    assert status["files"] == {
        "seen": 9, "exposure": 5, "duplicate": 1, "ignored": 1, "parked": 2, "gone": 0
    }  # fmt: skip
    assert status["exposures"] == {"total": 5, "read": 0, "extracting": 1, "extracted": 3, "parked": 1}
    assert status["sequences"] == {
        "total": 3, "open": 1, "linking": 0, "done": 1, "parked": 1, "partial": 1
    }  # fmt: skip
    assert status["candidates"] == {"total": 3, "matched": 1, "possible": 0, "unknown": 1, "unchecked": 1}
    queue = status["queue"]
    assert (queue["exposures"], queue["oldest_age_s"], queue["retries"], queue["next_retry_in_s"]) == (
        1, 500.0, 1, 30.0
    )  # fmt: skip
    first = status["fields"][0]
    assert (first["field"], first["n_linked"], first["n_dropped"], first["partial"]) == ("A", 3, 1, True)
    assert first["complete_because"] == "all 4 exposures are here"
    skybot = status["services"]["skybot"]
    assert (skybot["state"], skybot["unchecked"]) == ("unchecked", 1)
    assert skybot["because"] == ["SkyBoT does not answer"]
    assert [(p["kind"], p["subject"]) for p in status["parked"]] == [
        ("sequence", f"{NIGHT}/C"), ("exposure", "/data/e4.fits"), ("file", "/data/x.fits"),
        ("file", "/data/y.fits"),
    ]  # fmt: skip
    assert (status["parked_total"], status["parked_elsewhere"]) == (4, 1)
    assert status["run"]["versions"] == {"scamp": "2.10.0", "ssosd": "0.1.0"}
    assert status["drafts"] == [{"kind": "mpc80", "path": "/r/mpc80.txt", "n_observations": 9}]
    assert [n["night"] for n in status["nights"]] == [NIGHT, "2026-11-13"]
    assert (status["nights"][0]["n_done"], status["nights"][0]["n_candidates"]) == (1, 3)


def test_the_screen_says_it_all(target):
    night_of_work(target)
    text = render_status(read_status(target, now_s=NOW_S))
    for words in (
        "night 2026-11-14", "9 seen: 5 exposures, 1 duplicate, 1 ignored, 2 parked, 0 gone",
        "3: 1 open, 0 linking, 1 done (1 partial), 1 parked", "the oldest came 8 min 20 s ago",
        "SkyBoT: 1 sequence unchecked: SkyBoT does not answer", "partial: 3 linked", "1 left out",
        "parked (4)", "x.fits: no WCS", "next: solve it", f"retry --all -t '{target}'", "ssosd 0.1.0",
        "/r/mpc80.txt", "2026-11-13 (0 candidates)", "parked in other nights: 1",
        "sequence 2026-11-14/C", "\n      2 usable exposures, 3 are needed\n", f"{NIGHT}/C: 2 usable exposures",
    ):  # fmt: skip
        assert words in text
    assert "\x1b" not in text
    assert "\x1b" in render_status(read_status(target, now_s=NOW_S), colour=True)


def test_only_a_daemon_is_said_to_ask_again(target, hold):
    night_of_work(target)
    insert(target, "services", {"name": "SkyBoT", "state": "resting", "detail": "HTTP 503", "failures": 3,
                                "next_try_s": NOW_S + 90})  # fmt: skip
    with Store(target / STORE_NAME) as store:
        store.begin_run(command="replay raw -t out", parameters="", versions={})
    promises = (
        "asked again in 1 min 30 s",
        "2 tries, again in 30 s",
        "the next in 30 s",
        "retry --all",
    )
    instead = (
        "; no daemon asks again, but, from the same folder: ssosd replay raw -t out\n",
        "1 to be tried again, by the next run\n",
        "try all again, from the same folder, with: ssosd replay raw -t out\n",
    )
    left_alone = render_status(read_status(target, now_s=NOW_S))
    assert [text for text in instead if text not in left_alone] == []
    assert not any(text in left_alone for text in promises)
    beat(target, hold().pid)
    kept = render_status(read_status(target, now_s=NOW_S))
    assert [text for text in promises if text not in kept] == []
    assert not any(text in kept for text in instead)


def test_another_night_has_its_own_files_alone(target):
    night_of_work(target)
    status = read_status(target, night="2026-11-13", now_s=NOW_S)
    assert (status["night"], status["exposures"]["total"]) == ("2026-11-13", 1)
    assert status["files"]["parked"] == 1
    assert [p["subject"] for p in status["parked"]] == ["/data/broken yesterday.fits"]
    assert status["last_error"] is None


def test_a_night_that_never_was_is_empty_and_a_bad_date_refused(target):
    night_of_work(target)
    assert read_status(target, night="2020-01-01", now_s=NOW_S)["exposures"]["total"] == 0
    with pytest.raises(Misconfigured, match="not a date"):
        read_status(target, night="last", now_s=NOW_S)


def test_an_evening_on_which_no_file_can_be_read_is_trouble(target, hold):
    """Files without an exposure have no night: those since the latest night began count."""
    beat(target, hold().pid)
    insert(target, "files", file_row("x.fits", "parked", **BROKEN))
    status = read_status(target, now_s=NOW_S)
    assert (status["night"], status["exit_code"], status["because"]) == (None, 1, ["1 parked"])
    assert "no exposures yet" in render_status(status)


def test_errors_stand_until_something_puts_them_right(target, hold):
    night_of_work(target)
    beat(target, hold().pid)
    status = read_status(target, now_s=NOW_S)
    assert status["because"] == ["4 parked", f"an error of {NIGHT}/C stands"]
    assert status["last_error"]["standing"]
    assert status["last_error"]["at"] == "2026-11-14T23:00:00.000+00:00"
    connection = sqlite3.connect(target / STORE_NAME)
    with connection:
        connection.execute("UPDATE sequences SET state = 'done', n_exposures = 4 WHERE field = 'C'")
        connection.execute("DELETE FROM files WHERE outcome = 'parked'")
        connection.execute("UPDATE exposures SET state = 'read' WHERE state = 'parked'")
    connection.close()
    status = read_status(target, now_s=NOW_S)
    assert (status["exit_code"], status["because"]) == (0, [])
    assert not status["last_error"]["standing"]
    assert "put right since" in render_status(status)
    insert(target, "events", event("15T01:00", "error", "configuration", "refused"))
    assert read_status(target, now_s=NOW_S)["because"] == ["an error of configuration stands"]
    insert(target, "events", event("15T01:01", "info", "configuration", "read again"))
    assert read_status(target, now_s=NOW_S)["exit_code"] == 0


def test_a_mended_file_does_not_stand(target, hold):
    beat(target, hold().pid)
    insert(target, "events", event("15T01:00", "error", "e1.fits", "truncated"))
    assert read_status(target, now_s=NOW_S)["last_error"]["standing"] is False
    insert(target, "files", file_row("e1.fits", "parked", **BROKEN))
    assert read_status(target, now_s=NOW_S)["last_error"]["standing"] is True


def test_thousands_of_parked_files_stay_readable(target):
    insert(target, "files", *(file_row(f"{n:05d}.fits", "parked", **BROKEN) for n in range(1000)))
    status = read_status(target, now_s=NOW_S)
    assert (status["parked_total"], len(status["parked"])) == (1000, 200)
    text = render_status(status)
    assert "and 992 more" in text
    assert len(text.splitlines()) < 60


def test_parameters_are_read_from_the_record_of_the_run(tmp_path):
    config = load_config(
        None, overrides={"OBSERVATORY_CODE": "688", "EXPOSURES_PER_FIELD": "7"}, cwd=tmp_path
    )
    parameters = read_parameters(config.as_text())
    assert parameters == {name: config.text(name) for name in config}
    assert site_longitude_deg(parameters) == pytest.approx(-111.5355)
    own = {"SITE_LON": "12.5", "SITE_LAT": "1", "SITE_ALT": "0"}
    assert (
        site_longitude_deg(read_parameters(load_config(None, overrides=own, cwd=tmp_path).as_text())) == 12.5
    )
    assert site_longitude_deg({"OBSERVATORY_CODE": "!!!"}) == 0.0


def test_a_night_begins_at_noon_of_its_site(target):
    """In Arizona 2026-11-14's night begins at 19:26 UTC; a file parked an hour before belongs to the 13th."""
    ran(target, OBSERVATORY_CODE="688")
    insert(target, "exposures", exposure_row("e1"))
    noon_s = datetime(2026, 11, 14, 19, 26, tzinfo=UTC).timestamp()
    insert(target, "files", file_row("a.fits", "parked", seen_at_s=noon_s - 600, **BROKEN),
           file_row("b.fits", "parked", seen_at_s=noon_s + 600, **BROKEN))  # fmt: skip
    assert [p["subject"] for p in read_status(target, now_s=NOW_S)["parked"]] == ["/data/b.fits"]


# ---- the store ---------------------------------------------------------------------------------------


def test_no_store_has_the_same_keys(target, tmp_path):
    missing = read_status(tmp_path / "nowhere", now_s=NOW_S)
    assert (missing["exit_code"], missing["verdict"]) == (3, "no store")
    assert "no store here" in missing["because"][0]
    assert missing.keys() == read_status(target, now_s=NOW_S).keys()
    render_status(missing)


def test_what_is_no_store_is_said(tmp_path):
    (tmp_path / STORE_NAME).write_text("not a database, " * 100)
    status = read_status(tmp_path, now_s=NOW_S)
    assert status["exit_code"] == 3
    assert "cannot be read" in status["because"][0]


def test_the_store_has_the_name_that_the_daemon_gives_it():
    assert status_room.STORE_NAME == STORE_NAME


def listing(folder):
    return {p.relative_to(folder): (p.stat().st_size, p.stat().st_mtime_ns, p.stat().st_ino)
            for p in folder.rglob("*")}  # fmt: skip


def test_it_leaves_no_trace(target):
    night_of_work(target)
    before = listing(target)
    read_status(target, now_s=NOW_S)
    assert listing(target) == before
    assert [p.name for p in target.iterdir()] == [STORE_NAME]


def test_it_answers_while_the_daemon_writes(target):
    night_of_work(target)
    writer = sqlite3.connect(target / STORE_NAME, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE exposures SET state = 'read'")
    assert read_status(target, now_s=NOW_S)["exposures"]["extracted"] == 3
    writer.execute("COMMIT")
    assert read_status(target, now_s=NOW_S)["exposures"]["extracted"] == 0
    writer.close()


def test_it_reads_what_a_killed_writer_left_in_the_journal(target):
    script = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute(\"INSERT INTO events (at, level, subject, message) VALUES ('2026-11-15', 'error', 's', 'm')\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target / STORE_NAME)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (target / f"{STORE_NAME}-wal").stat().st_size > 0
    assert read_status(target, now_s=NOW_S)["last_error"]["message"] == "m"


def test_a_writer_that_comes_meanwhile_is_seen(target):
    """A store read as an immutable file is read again when somebody has opened it."""
    writers = []

    def question(snapshot):
        if not writers:
            writers.append(sqlite3.connect(target / STORE_NAME))
            with writers[0]:
                writers[0].execute(
                    "INSERT INTO events (at, level, subject, message) VALUES ('', 'info', '', '')"
                )
        return snapshot.value("SELECT count(*) FROM events")

    assert look(target / STORE_NAME, question) == 1
    writers[0].close()


def test_a_path_with_marks_of_its_own_is_read(tmp_path):
    folder = tmp_path / "50% of what? #1"
    folder.mkdir()
    Store(folder / STORE_NAME).close()
    assert read_status(folder, now_s=NOW_S)["exit_code"] == 2


# ---- around it ---------------------------------------------------------------------------------------


def test_nothing_slow_is_imported():
    script = (
        "import sys, time; from pathlib import Path; from ssosd.status import read_status, render_status;"
        f"render_status(read_status(Path({str(REPOSITORY)!r}), now_s=time.time()));"
        "print(*sys.modules, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "sqlite3" in loaded
    assert not loaded & {"numpy", "pandas", "astropy", "scipy", "matplotlib", "sqlite_utils", "rich", "watchdog",
                         "apscheduler", "requests"}  # fmt: skip
    assert Path(ssosd.__file__).is_relative_to(REPOSITORY)


def test_watch_redraws_until_ctrl_c(target):
    screens, waits = [], []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    code = watch_status(
        lambda: read_status(target, now_s=NOW_S), show=render_status, write=screens.append, wait=wait
    )
    assert (code, waits) == (2, [2.0, 2.0, 2.0])
    assert len(screens) == 3
    assert all(screen.startswith("\x1b[H\x1b[J") for screen in screens)


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_who_wants_no_colours_gets_none(target, no_color, coloured):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ssosd.cli", "status", "-t", target]
    subprocess.run(command, stdout=theirs, env=os.environ | {"NO_COLOR": no_color}, check=False)
    os.close(theirs)
    said = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"not running" in said
    assert (b"\x1b[" in said) == coloured


def test_every_key_is_documented_and_every_documented_key_is_there(target, hold):
    night_of_work(target)
    beat(target, hold().pid)
    text = (REPOSITORY / "docs" / "json.md").read_text(encoding="utf-8")
    text = text.split("## summary.json", 1)[0]
    documented = re.findall(r"^\| `([a-z_\[\].0-9]+)` \|", text, flags=re.MULTILINE)
    assert len(documented) == len(set(documented))
    status = json.loads(json.dumps(read_status(target, now_s=NOW_S)))
    assert set(documented) == key_paths(status)
    codes = (REPOSITORY / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for code, verdict in enumerate(("fine", "trouble", "not running", "no store")):
        assert re.search(rf"^\| {code} \| {verdict} \|", codes, flags=re.MULTILINE)
