"""Whoever does the work of a replay, however many, whoever of them dies: the same bytes."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ssosd.crew import gather
from ssosd.crew import threads as crew_of_threads
from ssosd.crew.memory import available_bytes
from ssosd.crew.processes import Processes
from ssosd.crew.there import Orders, do_there
from ssosd.crew.threads import Threads
from ssosd.errors import BadInput, Misconfigured, Retriable, SsosdError
from ssosd.station import Station
from ssosd.store import STORE_NAME, read_only
from tests.replaying import NIGHT, QUICK, run
from tests.sky import shared_sky

pytestmark = pytest.mark.binaries


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return shared_sky(tmp_path_factory, **NIGHT)


@pytest.fixture(scope="module")
def alone(night, tmp_path_factory):
    """The night replayed by one thread."""
    return run(tmp_path_factory.mktemp("alone") / "out", night.directory, reference=night.refcat).results


@dataclass(frozen=True)
class Errand:
    """A job of the tests: adds, fails, waits, or kills the process that does it."""

    what: str
    note: str = ""
    needs_bytes: int = 0

    @property
    def subject(self) -> str:
        return self.what

    def do(self, station: Station) -> Any:
        if self.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "die once" and not Path(self.note).exists():
            Path(self.note).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "die while telling" and not Path(self.note).exists():
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
            Path(self.note).touch()
            return bytes(1 << 24)  # more than a connection holds: nobody reads it
        if self.what == "fault":
            raise ZeroDivisionError("of the tests")
        return (self.what, os.getpid(), station.target)

    def failed(self, error: SsosdError) -> SsosdError:
        return error


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    from ssosd.config import load_config

    folder = tmp_path_factory.mktemp("station")
    return Station.open(load_config(None, overrides=QUICK, cwd=folder), folder / "out")


@pytest.fixture(scope="module")
def processes(station):
    with Processes(station=station, size=2) as crew:
        yield crew


def outcomes(crew, *jobs):
    for job in jobs:
        crew.give(job)
    done = dict(crew.take() for _ in jobs)
    assert crew.in_hand == 0
    return done


def test_processes_do_their_jobs_elsewhere(processes, station):
    done = outcomes(processes, *(Errand(f"job {i}") for i in range(9)))
    assert {job.what: outcome[0] for job, outcome in done.items()} == {
        f"job {i}": f"job {i}" for i in range(9)
    }
    assert {outcome[2] for outcome in done.values()} == {station.target}
    pids = {outcome[1] for outcome in done.values()}
    assert os.getpid() not in pids
    assert len(pids) <= 2


def test_a_job_whose_worker_dies_is_done_again(processes, tmp_path):
    done = outcomes(processes, Errand("die once", str(tmp_path / "died")), Errand("job"))
    assert sorted(outcome[0] for outcome in done.values()) == ["die once", "job"]


def test_a_worker_that_dies_in_the_middle_of_its_outcome_is_replaced(processes, tmp_path):
    processes.give(Errand("die while telling", str(tmp_path / "died")))
    (worker,) = processes._busy
    worker.process.join(30.0)
    assert worker.process.exitcode == -signal.SIGKILL
    assert processes.take()[1][0] == "die while telling"


def test_a_job_that_kills_workers_is_given_up_with_its_name(processes):
    done = {job.what: outcome for job, outcome in outcomes(processes, Errand("die"), Errand("job")).items()}
    assert isinstance(done["die"], Retriable)
    assert done["die"].message == "die: 3 workers died with it, the last was killed by SIGKILL"
    assert done["job"][0] == "job"


@pytest.mark.parametrize("where", ["threads", "processes"])
def test_a_fault_of_ours_costs_its_job_alone(where, processes, station):
    with Threads(station=station, size=2) as threads:
        crew = threads if where == "threads" else processes
        done = {job.what: outcome for job, outcome in outcomes(crew, Errand("fault"), Errand("job")).items()}
    assert isinstance(done["fault"], BadInput)
    assert "ZeroDivisionError: of the tests" in done["fault"].message
    assert done["job"][0] == "job"


def test_threads_that_wait_for_a_service_are_left_behind(station, monkeypatch):
    """At the end of a replay that was stopped; what nobody has begun is not begun any more."""
    begun, answered = [], threading.Event()

    def wait(job, _station):
        begun.append(job.what)
        answered.wait()

    monkeypatch.setattr(crew_of_threads, "done", wait)
    monkeypatch.setattr(crew_of_threads, "_END_S", 0.05)
    crew = Threads(station=station, size=1)
    crew.give(Errand("job"))
    while not begun:
        threading.Event().wait(0.01)
    crew.give(Errand("another"))
    crew.close()
    answered.set()
    crew.take()
    assert begun == ["job"]


def test_without_memory_for_two_one_works(processes):
    big = available_bytes() + (1 << 40)
    done = outcomes(processes, *(Errand("job", str(i), needs_bytes=big) for i in range(3)))
    assert len(done) == 3
    assert len({outcome[1] for outcome in done.values()}) <= 2
    for i in range(2):
        processes.give(Errand("job", str(i), needs_bytes=big))
    assert len(processes.pids) == 1
    for _ in range(2):
        processes.take()


@pytest.mark.parametrize(
    ("meminfo", "group", "expected"),
    [
        ("MemTotal: 9 kB\nMemAvailable:  2000 kB\n", None, 2_048_000),
        ("MemAvailable: 2000 kB\n", ("max", "5", "0"), 2_048_000),
        ("MemAvailable: 2000 kB\n", ("1000000", "900000", "50000"), 150_000),
        (None, None, None),
    ],
)
def test_available_memory(meminfo, group, expected, tmp_path):
    if meminfo is not None:
        (tmp_path / "meminfo").write_text(meminfo)
    if group is not None:
        limit, current, inactive = group
        (tmp_path / "memory.max").write_text(limit + "\n")
        (tmp_path / "memory.current").write_text(current + "\n")
        (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\nactive_file 7\n")
    assert available_bytes(meminfo=tmp_path / "meminfo", group=tmp_path) == expected


def test_who_is_gathered(station):
    for n_files, size, expected in ((10, None, Threads), (10, 2, Processes), (500, 1, Threads)):
        with gather(n_files, station=station, size=size) as crew:
            assert type(crew) is expected


def test_an_interrupt_while_workers_import_is_not_theirs(tmp_path):
    """It goes to the whole process group: workers would answer with a traceback each."""
    (tmp_path / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    program = (
        "from ssosd.plumbing.forkserver import start_fork_server\n"
        "worker = start_fork_server('slow').Process(target=print, args=('at work',))\n"
        "worker.start()\n"
        "worker.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("at work\n", "")


# ---- whole nights ------------------------------------------------------------------------------------


def test_the_last_sequences_are_linked_side_by_side(night, alone, tmp_path):
    """One after the other, the last would be linked by one worker while the other one is idle."""
    given = []

    class Noted(Threads):
        def give(self, job):
            given.append(type(job).__name__)
            super().give(job)

    out = run(
        tmp_path / "out",
        night.directory,
        reference=night.refcat,
        crew=lambda station: Noted(station=station, size=2),
    )
    assert given[-3:] == ["Extract", "Link", "Link"]
    assert out.results == alone


def test_two_processes_one_of_them_killed(night, alone, tmp_path):
    crews, killed = [], threading.Event()

    def crew(station):
        crews.append(Processes(station=station, size=2))
        return crews[0]

    def kill(linked):
        if not killed.is_set():
            killed.set()
            for pid in crews[0].pids:  # in the middle of extracting or linking the other field
                os.kill(pid, signal.SIGKILL)

    out = run(tmp_path / "out", night.directory, reference=night.refcat, crew=crew, on_sequence=kill)
    assert out.results == alone
    assert killed.is_set()
    assert not list((out.target / ".ssosd" / "scratch").iterdir())


def command(night, target, *more):
    given = {**QUICK, "ASTREF_CATALOG": night.refcat}
    flags = [f"--{name}={value}" for name, value in given.items()]
    return [
        sys.executable,
        "-m",
        "ssosd.cli",
        "replay",
        str(night.directory),
        "-t",
        str(target),
        *flags,
        *more,
    ]


def n_extracted(target):
    """Exposures whose catalogue the store has."""
    if not (target / STORE_NAME).exists():
        return 0
    try:
        with read_only(target / STORE_NAME) as connection:
            return connection.execute("SELECT count(*) FROM exposures WHERE state = 'extracted'").fetchone()[
                0
            ]
    except sqlite3.OperationalError:  # it is just being made
        return 0


def ended_by(number, arguments, target):
    """A replay that is sent a signal when it has done something; its exit code and its last words."""
    before = n_extracted(target)
    child = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while child.poll() is None and n_extracted(target) == before:
        time.sleep(0.02)
    child.send_signal(number)
    said = child.communicate(timeout=60)[1]
    return child.returncode, said


def test_the_client_killed_or_stopped_goes_on_where_it_was(night, alone, tmp_path):
    target = tmp_path / "out"
    assert ended_by(signal.SIGKILL, command(night, target, "-j", "2"), target)[0] == -9
    code, said = ended_by(signal.SIGTERM, command(night, target, "-j", "2"), target)
    assert code == 130
    assert "the same command goes on from here" in said
    last = run(target, night.directory, reference=night.refcat)
    assert last.done.n_reused >= 2
    assert last.results == alone


def test_a_stopped_client_does_not_wait_for_its_threads(night, tmp_path):
    """Python waits at its end for the threads of pools, such as the one that makes large cutouts."""
    program = (
        "import sys, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from ssosd import work\n"
        "def extract(*_, **__):\n"
        "    with ThreadPoolExecutor() as pool:\n"
        "        waits = pool.submit(time.sleep, 60)\n"
        "        print('at work', flush=True)\n"
        "        waits.result()\n"
        "work.extract_exposure = extract\n"
        "from ssosd.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    _, _, _, *arguments = command(night, tmp_path / "out", "-j", "1", "-q")
    child = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "at work\n"
    child.send_signal(signal.SIGTERM)
    said = child.communicate(timeout=30)[1]
    assert (child.returncode, said) == (130, "ssosd: stopped; the same command goes on from here\n")


# ---- a Dask cluster ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on this machine."""
    distributed = pytest.importorskip("distributed", reason="needs ssosd[cluster]")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as local:
        yield local


def test_a_cluster_one_of_its_workers_killed(night, alone, cluster, tmp_path):
    from distributed import Client

    killed = []

    def kill(_):
        if not killed:
            with Client(cluster.scheduler_address) as client:
                killed.extend(client.run(os.getpid).values())
            os.kill(killed[0], signal.SIGKILL)

    out = run(
        tmp_path / "out",
        night.directory,
        reference=night.refcat,
        crew=lambda station: gather(10, station=station, dask=cluster.scheduler_address),
        on_sequence=kill,
    )
    assert len(killed) == 2
    assert out.results == alone
    assert not list((out.target / ".ssosd" / "scratch").iterdir())


def test_a_cluster_whose_client_is_killed_and_comes_again(night, alone, cluster, tmp_path):
    target = tmp_path / "out"
    arguments = command(night, target, "--dask", cluster.scheduler_address)
    assert ended_by(signal.SIGKILL, arguments, target)[0] == -9
    last = run(
        target,
        night.directory,
        reference=night.refcat,
        crew=lambda station: gather(10, station=station, dask=cluster.scheduler_address),
    )
    assert last.done.n_reused >= 1
    assert last.results == alone


def test_a_worker_that_does_not_see_the_same_is_told_so(station):
    orders = Orders.of(station)
    assert do_there(Errand("job"), orders)[0] == "job"
    for change, said in (
        ({"text": "another"}, "not the same folder"),
        ({"settings": "others"}, "other binaries or set-up files"),
        ({"version": "0.0"}, "0.0 at home"),
    ):
        with pytest.raises(Misconfigured, match=said):
            do_there(Errand("job"), replace(orders, **change))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere.json", "no such scheduler file"),
        ("slurmm:x.toml", "no queue 'slurmm'"),
        ("slurm:missing.toml", "No such file"),
    ],
)
def test_a_cluster_that_is_none(address, said, station):
    with pytest.raises(Misconfigured, match=said):
        gather(10, station=station, dask=address)


SBATCH = """#!/bin/sh
cp "$1" "{log}.sh"
setsid sh "{log}.sh" >"{log}" 2>&1 &
echo "Submitted batch job $!"
"""


def test_a_batch_queue(night, alone, tmp_path, monkeypatch):
    """The commands of Slurm, played by the shell: what is submitted runs at once on this machine."""
    pytest.importorskip("dask_jobqueue", reason="needs ssosd[cluster]")
    for name, text in (
        ("sbatch", SBATCH.format(log=tmp_path / "job.log")),
        ("scancel", '#!/bin/sh\nkill -- -"$1"\n'),
    ):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "cluster.toml").write_text(
        'jobs = 1\n[worker]\ncores = 1\nmemory = "2GB"\ninterface = "lo"\nwalltime = "00:05:00"\n'
    )
    out = run(
        tmp_path / "out",
        night.directory,
        reference=night.refcat,
        crew=lambda station: gather(10, station=station, dask=f"slurm:{tmp_path / 'cluster.toml'}"),
    )
    assert out.results == alone
