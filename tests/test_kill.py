"""kill -9 at random instants: after the last one the night is, byte for byte, that of an undisturbed run."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import socket

import pytest
from click.testing import CliRunner

from ssosd.cli import main
from ssosd.store import STORE_NAME, Store
from tests.killing import SETTINGS, Process, killed_run, odd_files, undisturbed_run
from tests.replaying import NIGHT, run
from tests.sky import shared_sky
from tests.stepping import results

pytestmark = pytest.mark.binaries
KILLS = 3  # benchmarks/kill9.py has fifty
SEED = 20261114


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return shared_sky(tmp_path_factory, **NIGHT)


@pytest.fixture(scope="module")
def files(night, tmp_path_factory):
    """Two fields of five exposures, a flat, and a file that is no FITS file."""
    return [*night.paths, *odd_files(tmp_path_factory.mktemp("odd"), night.paths[0])]


@pytest.fixture(scope="module")
def quiet(night, files, tmp_path_factory):
    """An undisturbed run: its folder, its results, and how it ended."""
    base = tmp_path_factory.mktemp("quiet")
    ended = undisturbed_run(files, base / "raw", base / "out", reference=night.refcat)
    return base, results(base / "out"), ended


def test_the_undisturbed_run_finds_what_was_painted(quiet):
    _, found, _ = quiet
    assert {row["field"]: (row["state"], row["n_candidates"]) for row in found["states"]} == {
        "F01": ("done", 2),
        "F02": ("done", 2),
    }
    audit = json.loads(found["2026-11-14/summary.json"])["audit"]
    assert audit["outcomes"] == {"exposure": 10, "duplicate": 0, "ignored": 1, "parked": 1, "gone": 0}
    assert audit["unaccounted"] == []


def test_sigterm_ends_it_at_once_and_leaves_its_farewell(quiet):
    base, _, (code, seconds) = quiet
    assert code == 0
    assert seconds < 10.0  # TimeoutStopSec is 60
    with Store(base / "out" / STORE_NAME) as store:
        assert store.rows("SELECT state FROM heartbeats") == [{"state": "stopped"}]
        assert store.rows("SELECT count(*) AS n FROM runs WHERE finished_at IS NULL") == [{"n": 0}]


def test_sigterm_in_the_midst_of_work_leaves_no_child(night, files, tmp_path):
    (tmp_path / "raw").mkdir()
    for path in files:
        shutil.copy2(path, tmp_path / "raw")
    process = Process(tmp_path / "raw", tmp_path / "out", reference=night.refcat)
    for line in process.child.stderr:
        if "linking" in line:
            break
    code, _ = process.terminate()
    assert code == 0
    with Store(tmp_path / "out" / STORE_NAME) as store:
        assert not [
            r for r in store.parked() if r.kind != "file"
        ]  # to be stopped is no fault of the sequence


def test_killed_at_random_instants(quiet, night, files, tmp_path):
    _, expected, _ = quiet
    kills = killed_run(
        files, tmp_path / "raw", tmp_path / "out",
        reference=night.refcat, rng=random.Random(SEED), kills=KILLS, longest_s=1.0,
    )  # fmt: skip
    assert kills >= 2
    assert results(tmp_path / "out") == expected


def test_a_replay_in_any_order_gives_the_same(quiet, night, tmp_path):
    """The files are handed to the corridor in a random order, in batches."""
    base, expected, _ = quiet
    rng = random.Random(SEED)
    paths = sorted((base / "raw").iterdir())
    rng.shuffle(paths)
    given = {name: value for name, value in SETTINGS.items() if name != "ASTREF_CATALOG"}
    for upto in (rng.randint(4, 8), len(paths)):
        batch = tmp_path / "raw"
        shutil.rmtree(batch, ignore_errors=True)
        batch.mkdir()
        for path in paths[:upto]:
            shutil.copy2(path, batch)
        run(tmp_path / "out", batch, reference=night.refcat, **given)
    assert results(tmp_path / "out") == expected


def test_what_systemd_hears(night, tmp_path):
    """READY, WATCHDOG, RELOADING twice (one configuration is refused), STATUS, STOPPING.

    Meanwhile a second daemon is told who is there already.
    """
    (tmp_path / "raw").mkdir()
    config = tmp_path / "default.ssos"
    config.write_text("OBSERVATORY_CODE 493\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(30.0)
        process = Process(
            tmp_path / "raw", tmp_path / "out", reference=night.refcat, without=("OBSERVATORY_CODE",),
            environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"},
            flags=("--log-format", "json"),
        )  # fmt: skip
        heard = [hear(bound, "READY"), hear(bound, "WATCHDOG")]
        second = ["run", str(tmp_path / "raw"), "-t", str(tmp_path / "out"), "--OBSERVATORY_CODE", "493"]
        refused = CliRunner().invoke(main, [*second, "--ASTREF_CATALOG", str(night.refcat)])
        assert refused.exit_code == 2
        assert f"in use by ssosd run, process {process.child.pid} " in " ".join(refused.output.split())
        for text in ("OBSERVATORY_CODE nowhere\n", "OBSERVATORY_CODE 568\n"):
            config.write_text(text)
            process.child.send_signal(signal.SIGHUP)
            heard += [hear(bound, "RELOADING"), hear(bound, "READY")]
        process.child.send_signal(signal.SIGTERM)
        heard.append(hear(bound, "STOPPING"))
        assert process.child.wait(30.0) == 0
        lines = [json.loads(line) for line in process.child.communicate()[1].splitlines()]
    unread = [line["message"] for line in lines if "refused, the old one kept" in line["message"]]
    assert (len(unread), {line["level"] for line in lines} <= {"INFO", "WARNING", "ERROR"}) == (1, True)
    assert {message["MAINPID"] for message in heard if "READY" in message} == {str(process.child.pid)}
    assert all("MONOTONIC_USEC" in message for message in heard if "RELOADING" in message)
    with Store(tmp_path / "out" / STORE_NAME) as store:
        said = [
            row["message"] for row in store.rows("SELECT message FROM events WHERE subject = 'configuration'")
        ]
        codes = [row["parameters"] for row in store.rows("SELECT parameters FROM runs ORDER BY id")]
    assert "refused, the old one kept" in said[0]
    assert said[1:] == ["read again"]
    assert [re.search(r"OBSERVATORY_CODE +(\S+)", text).group(1) for text in codes] == ["493", "568"]


def hear(bound: socket.socket, name: str) -> dict[str, str]:
    """The next message that has this field."""
    while True:
        message = dict(line.split("=", 1) for line in bound.recv(65536).decode().split("\n"))
        if name in message:
            return message
