"""Wall time, processor time and peaks of memory of what is run here."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: What is changed of the default configuration: no service is asked.
FLAGS = ("--CROSSMATCH_SKYBOT", "False")
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Took:
    """Times of one piece of work."""

    wall: float  # s
    cpu: float  # s, of this process and of those below it that have ended

    def __add__(self, other: Took) -> Took:
        return Took(wall=self.wall + other.wall, cpu=self.cpu + other.cpu)


NOTHING = Took(wall=0.0, cpu=0.0)


class Watch:
    """A stopwatch that runs from its making."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu()

    def read(self) -> Took:
        """Time since it was made."""
        return Took(wall=time.perf_counter() - self._wall, cpu=_cpu() - self._cpu)


def _cpu() -> float:
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + below.ru_utime + below.ru_stime


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What a replay took."""

    took: Took  # with all processes
    driver_mb: float  # peak of the process that is started
    largest_mb: float  # peak of the largest process: driver, worker, SExtractor or SCAMP


def replay(
    night: Path, target: Path, *, workers: int, flags: Sequence[str] = FLAGS, path: str | None = None
) -> Replay:
    """Replay a painted night into an empty target; by default no service is asked.

    Programs are looked for in `path`, where it is given, instead of in the environment's PATH.

    Raises
    ------
    SystemExit
        It did not end well.
    """
    words = [sys.executable, __file__, target.with_name(f"{target.name}.json"), "replay", night, "-t", target]
    words += ["--WORKERS", workers, "--ASTREF_CATALOG", night / "refcat.cat", *flags]
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    done = subprocess.run(
        [str(w) for w in words], env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    if done.returncode != 0:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    found = json.loads(words[2].read_text(encoding="utf-8"))
    return Replay(took=Took(**found.pop("took")), **found)


def _watch_over(report: Path, arguments: list[str]) -> int:
    """Run ssosd in a process below this one, which inherits and waits for all that it leaves behind."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    watch = Watch()
    code = subprocess.run([sys.executable, __file__, "--run", report, *arguments], check=False).returncode
    wall = watch.read().wall
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "took": {"wall": wall, "cpu": below.ru_utime + below.ru_stime},
        "driver_mb": float(report.read_text(encoding="utf-8")),
        "largest_mb": below.ru_maxrss / 1024.0,
    }
    report.write_text(json.dumps(found), encoding="utf-8")
    return code


def _run(report: Path, arguments: list[str]) -> None:
    from ssosd.cli import main

    try:
        main(arguments)
    finally:
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report.write_text(f"{peak_kb / 1024.0}", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        _run(Path(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(_watch_over(Path(sys.argv[1]), sys.argv[2:]))
