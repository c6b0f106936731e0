"""The log: priorities for the journal, JSON for programs, a file for each run."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import warnings
from datetime import UTC, datetime

import pytest

from ssosd.errors import Misconfigured
from ssosd.plumbing.logs import run_log, start_logging, stop_logging

log = logging.getLogger("ssosd.daemon")


@pytest.fixture(autouse=True)
def clean():
    """Leave the loggers as they were."""
    root, ours = logging.getLogger(), logging.getLogger("ssosd")
    levels = root.level, ours.level
    yield
    stop_logging()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def lines_of(**options):
    stream = io.StringIO()
    start_logging(stream=stream, **options)
    return lambda: stream.getvalue().splitlines()


def test_text_has_time_level_logger_and_ids():
    lines = lines_of(level="INFO")
    log.info("linked: %d candidates", 3, extra={"sequence": "2026-11-14/A", "exposure": "a.fits"})
    log.debug("not wanted")
    time, rest = lines()[0].split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo == UTC
    assert time[-5] == "."  # milliseconds
    assert rest == "INFO ssosd.daemon: linked: 3 candidates [exposure=a.fits sequence=2026-11-14/A]"
    assert len(lines()) == 1


def test_json_is_one_object_a_line_whatever_the_message_holds():
    lines = lines_of(level="DEBUG", format="json")
    log.debug('two\nlines, "quotes" and é', extra={"exposure": "a.fits", "night": "2026-11-14"})
    try:
        int("why")
    except ValueError:
        log.exception("broken")
    first, second = (json.loads(line) for line in lines())
    assert {k: first[k] for k in ("level", "logger", "message", "exposure", "night")} == {
        "level": "DEBUG",
        "logger": "ssosd.daemon",
        "message": 'two\nlines, "quotes" and é',
        "exposure": "a.fits",
        "night": "2026-11-14",
    }
    assert "sequence" not in first
    assert datetime.fromisoformat(first["time"]).tzinfo == UTC
    assert (second["level"], "ValueError: invalid literal" in second["exception"]) == ("ERROR", True)


def test_libraries_are_heard_from_warnings_up():
    lines = lines_of(level="DEBUG")
    logging.getLogger("apscheduler").info("no")
    logging.getLogger("apscheduler").warning("missed by 0:00:02")
    warnings.warn("strange header", UserWarning, stacklevel=1)
    assert [("apscheduler: missed" in line, "strange header" in line) for line in lines()[:2]] == [
        (True, False),
        (False, True),
    ]


def test_starting_again_replaces_what_was_there():
    first = lines_of(level="INFO")
    second = lines_of(level="WARNING", format="json")
    log.info("no")
    log.warning("yes")
    assert first() == []
    assert [json.loads(line)["message"] for line in second()] == ["yes"]


def test_an_unknown_level_is_refused():
    with pytest.raises(Misconfigured, match="log level 'LOUD'"):
        start_logging(level="LOUD")


JOURNAL = """
import logging, os, sys
from ssosd.plumbing.logs import start_logging
stat = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{stat.st_dev}:{stat.st_ino}"
start_logging(level="DEBUG", format=sys.argv[1])
log = logging.getLogger("ssosd.x")
for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
    log.log(level, "m", extra={"exposure": "a.fits"})
log.warning("two\\nlines")
"""


def to_the_journal(form):
    """What a process writes to a stderr that is the journal's socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.run([sys.executable, "-c", JOURNAL, form], stderr=theirs, check=True)
        theirs.close()
        return ours.makefile(encoding="utf-8").read().splitlines()


def test_the_journal_gets_priorities_and_no_time():
    lines = to_the_journal("text")
    assert lines[:5] == [f"<{p}>ssosd.x: m [exposure=a.fits]" for p in (7, 6, 4, 3, 2)]
    assert lines[5:] == ["<4>ssosd.x: two", "<4>lines"]


def test_json_for_the_journal_has_its_priority_before_it():
    line = to_the_journal("json")[2]
    assert line.startswith("<4>")
    assert json.loads(line[3:])["level"] == "WARNING"


def test_a_stream_that_is_not_the_journals_gets_no_priorities(tmp_path):
    """JOURNAL_STREAM is inherited by processes whose stderr was redirected to a file."""
    with (tmp_path / "err").open("w") as stream:
        start_logging(level="INFO", stream=stream, environment={"JOURNAL_STREAM": "1:2"})
        log.info("m")
    assert " INFO ssosd.daemon: m" in (tmp_path / "err").read_text()


def test_a_file_beside_the_stream(tmp_path):
    file = tmp_path / "new" / "ssosd.log"
    lines = lines_of(level="INFO", file=file)
    log.info("one")
    file.rename(file.with_name("rotated"))  # as logrotate does
    log.info("two")
    assert "one" in file.with_name("rotated").read_text()
    assert "two" in file.read_text()
    assert len(lines()) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_costs_the_lines_of_the_file_alone(tmp_path, capsys):
    file = tmp_path / "log"
    file.symlink_to("/dev/full")
    lines = lines_of(level="INFO", file=file)
    log.info("one")
    log.info("two")
    assert len(lines()) == 2
    assert capsys.readouterr().err == ""


def test_a_folder_that_goes_away_does_not_stop_the_daemon(tmp_path):
    file = tmp_path / "logs" / "log"
    lines = lines_of(level="INFO", file=file)
    log.info("one")
    shutil.rmtree(file.parent)
    log.info("two")
    assert len(lines()) == 2


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "plain").write_text("")
    with pytest.raises(Misconfigured, match="cannot be written"):
        start_logging(level="INFO", file=tmp_path / "plain" / "log")


def test_each_run_has_its_own_file_and_the_console_stays_quiet(tmp_path, capsys):
    first = run_log(tmp_path, level="INFO", started=datetime(2026, 11, 15, 2, 3, 4, tzinfo=UTC))
    log.info("%s parked", "A", extra={"sequence": "2026-11-14/A"})
    log.debug("no")
    second = run_log(tmp_path, level="DEBUG", started=datetime(2026, 11, 15, 2, 3, 5, tzinfo=UTC))
    log.debug("yes")
    assert first == tmp_path / "logs" / "ssosd_20261115020304.log"
    assert first.read_text().endswith("INFO ssosd.daemon: A parked [sequence=2026-11-14/A]\n")
    assert len(first.read_text().splitlines()) == 1
    assert "DEBUG ssosd.daemon: yes" in second.read_text()
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
