"""sd_notify: what a real socket of the kind systemd opens receives."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys

import pytest

from ssosd.plumbing.notify import Notifier


@pytest.fixture
def manager(tmp_path):
    """A socket such as systemd's, at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(10.0)
        yield bound, {"NOTIFY_SOCKET": str(tmp_path / "notify")}


def received(bound):
    """The next message as a mapping."""
    return dict(line.split("=", 1) for line in bound.recv(65536).decode().split("\n"))


def nothing_waits(bound):
    bound.setblocking(False)
    try:
        bound.recv(65536)
    except BlockingIOError:
        return True
    finally:
        bound.settimeout(10.0)
    return False


def test_ready_status_and_stopping(manager):
    bound, environment = manager
    notifier = Notifier(environment)
    notifier.ready("watching /data")
    assert received(bound) == {"READY": "1", "STATUS": "watching /data", "MAINPID": str(os.getpid())}
    notifier.status("3 sequences linking, é")
    assert received(bound) == {"STATUS": "3 sequences linking, é"}
    notifier.stopping()
    assert received(bound)["STOPPING"] == "1"
    assert nothing_waits(bound)


def test_reloading_names_the_moment_and_is_ended_by_ready(manager):
    bound, environment = manager
    notifier = Notifier(environment)
    notifier.reloading(1234567)
    assert received(bound) == {"RELOADING": "1", "MONOTONIC_USEC": "1234567"}
    notifier.ready("again")
    assert received(bound)["READY"] == "1"


def test_each_round_feeds_the_watchdog_when_there_is_one(manager):
    bound, environment = manager
    notifier = Notifier({**environment, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_s == 60.0
    for _ in range(2):
        notifier.progress()
        assert received(bound) == {"WATCHDOG": "1"}
    assert nothing_waits(bound)  # one ping a round, none from anywhere else


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}],
    ids=["none", "blank", "another process's"],
)
def test_no_watchdog_is_not_fed(manager, watchdog):
    bound, environment = manager
    notifier = Notifier({**environment, **watchdog})
    assert notifier.watchdog_s is None
    notifier.progress()
    assert nothing_waits(bound)


def test_the_watchdog_without_a_pid_is_ours(manager):
    assert Notifier({**manager[1], "WATCHDOG_USEC": "5000000"}).watchdog_s == 5.0


def test_a_status_of_several_lines_stays_one_field(manager):
    """A message with a line end in it must not become fields of its own."""
    bound, environment = manager
    Notifier(environment).status("SExtractor said\nWATCHDOG=trigger\n")
    assert set(received(bound)) == {"STATUS"}


def test_a_socket_with_an_abstract_name():
    name = f"ssosd-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"\0{name}")
        bound.settimeout(10.0)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready("here")
        assert received(bound)["READY"] == "1"


def test_without_systemd_nothing_happens():
    notifier = Notifier({})
    notifier.ready("")
    notifier.progress()
    notifier.stopping()


def test_a_manager_that_is_gone_does_no_harm(tmp_path):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000000"})
    notifier.ready("")
    notifier.progress()


def test_the_environment_of_the_process_counts(manager):
    """As systemd starts it: the variables come with the process, and its own pid is the one that counts."""
    bound, environment = manager
    script = (
        "import os; os.environ['WATCHDOG_PID'] = str(os.getpid())\n"
        "from ssosd.plumbing.notify import Notifier\n"
        "n = Notifier(); n.ready('up'); n.progress(); n.stopping()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, **environment, "WATCHDOG_USEC": "1000000"}
    )
    first, second, third = (received(bound) for _ in range(3))
    assert child.wait() == 0
    assert (first["READY"], first["MAINPID"]) == ("1", str(child.pid))
    assert (second, third["STOPPING"]) == ({"WATCHDOG": "1"}, "1")
