"""One writer per target: the second is refused and told who holds it; death frees the lock."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from ssosd.errors import Misconfigured
from ssosd.plumbing import lock as lock_module
from ssosd.plumbing.lock import TargetLock, holder, is_held

NOW = datetime(2026, 11, 14, 18, 0, tzinfo=UTC)
HOLDER = """
import subprocess, sys
from datetime import datetime, UTC
from pathlib import Path
from ssosd.plumbing.lock import TargetLock
with TargetLock(Path(sys.argv[1]), purpose="run", now=datetime(2026, 11, 14, 17, tzinfo=UTC)):
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) if "child" in sys.argv else None
    print(child.pid if child else "held", flush=True)
    sys.stdin.read()
"""  # fmt: skip


@pytest.fixture
def hold(tmp_path):
    """Another process that holds the lock of tmp_path."""
    started = []

    def start(*arguments):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(child)
        return child, child.stdout.readline().strip()

    yield start
    for child in started:
        child.kill()
        child.communicate()


def take(folder):
    return TargetLock(folder, purpose="replay", now=NOW)


def test_the_second_is_refused_and_told_who_is_first(tmp_path, hold):
    child, _ = hold()
    with pytest.raises(Misconfigured) as refused, take(tmp_path):
        pass
    said = (
        f"in use by ssosd run, process {child.pid} on {socket.gethostname()} since 2026-11-14T17:00:00+00:00"
    )
    assert said in refused.value.message
    assert str(tmp_path) in refused.value.message
    assert refused.value.next_step


def test_being_refused_does_not_overwrite_the_holders_note(tmp_path, hold):
    child, _ = hold()
    for _ in range(2):
        with pytest.raises(Misconfigured, match=f"process {child.pid} "), take(tmp_path):
            pass


def test_kill_9_frees_it(tmp_path, hold):
    child, _ = hold()
    assert is_held(tmp_path / ".ssosd" / "lock")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not is_held(tmp_path / ".ssosd" / "lock")
    with take(tmp_path):
        assert f"ssosd replay, process {os.getpid()} " in holder(tmp_path / ".ssosd" / "lock")


def test_a_child_that_outlives_its_killed_parent_does_not_keep_it(tmp_path, hold):
    """SExtractor may live on after kill -9 of the daemon: the lock must not be inherited."""
    child, grandchild = hold("child")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    try:
        os.kill(int(grandchild), 0)  # still there, or it proves nothing
        with take(tmp_path):
            pass
    finally:
        os.kill(int(grandchild), signal.SIGKILL)


def test_leaving_frees_it_even_by_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), take(tmp_path):
        (tmp_path / "nothing").read_text()
    assert not is_held(tmp_path / ".ssosd" / "lock")


def test_two_targets_do_not_disturb_each_other(tmp_path):
    with take(tmp_path / "a"), take(tmp_path / "b"):
        pass


def test_it_tells_people_who_holds_it(tmp_path):
    with take(tmp_path):
        note = json.loads((tmp_path / ".ssosd" / "lock").read_text(encoding="utf-8"))
    assert note == {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "purpose": "replay",
        "since": NOW.isoformat(),
    }


def test_asking_does_not_take_it_nor_make_it(tmp_path):
    path = tmp_path / ".ssosd" / "lock"
    assert not is_held(path)
    assert not path.parent.exists()
    with take(tmp_path):
        pass
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert not is_held(path)
    with take(tmp_path):
        pass
    assert (before[0], not is_held(path)) == (path.read_bytes(), True)


def test_a_daemon_that_starts_while_somebody_asks_gets_it(tmp_path, monkeypatch):
    """`ssosd status` looks at the lock by taking it for an instant; that must not refuse a start."""
    with take(tmp_path):
        pass
    asking = (tmp_path / ".ssosd" / "lock").open()
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr(lock_module, "sleep", lambda _: asking.close())
    with take(tmp_path):
        assert is_held(tmp_path / ".ssosd" / "lock")


def test_a_holder_that_has_not_written_its_note_yet(tmp_path):
    path = tmp_path / ".ssosd" / "lock"
    path.parent.mkdir()
    path.write_text("", encoding="utf-8")
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Misconfigured, match=re.escape("in use by another process")), take(tmp_path):
            pass


def test_where_there_can_be_no_lock(tmp_path):
    """As where the folder is another user's, who ran it once with sudo."""
    (tmp_path / ".ssosd" / "lock").mkdir(parents=True)
    with (
        pytest.raises(Misconfigured, match=r"\.ssosd/lock: cannot be written: Is a directory"),
        take(tmp_path),
    ):
        pass
