"""A real `ssosd run` that is killed again and again, and what its night must be like in the end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from astropy.io import fits

from tests.replaying import QUICK

SETTINGS = {
    **QUICK,
    "SETTLE_TIME": "0.3",
    "SETTLE_LIMIT": "1",
    "SCAN_INTERVAL": "1",
    "MIN_FREE_DISK": "0",
    "EXPOSURES_PER_FIELD": "5",
}
_DEADLINE_S = 60.0
_MIDNIGHT_S = 1794700800.0  # 2026-11-15T00:00:00Z, in the night that is painted


class Process:
    """`ssosd run` on a folder, from its first word on."""

    def __init__(
        self,
        root: Path,
        target: Path,
        *,
        reference: Path,
        without: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        settings = {**SETTINGS, "ASTREF_CATALOG": reference}
        given = [f"--{name}={value}" for name, value in settings.items() if name not in without]
        self.child = subprocess.Popen(
            [sys.executable, "-m", "ssosd.cli", "run", root, "-t", target, *given, *flags],
            stderr=subprocess.PIPE, text=True, cwd=root.parent,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        assert self.child.stderr is not None
        for line in self.child.stderr:
            if "watching" in line:
                return
        raise AssertionError(f"it ended with {self.child.wait()} before it began")

    def kill(self) -> None:
        """As kill -9; nothing when it has ended."""
        if self.child.poll() is None:
            self.child.kill()
            self.child.communicate()

    def terminate(self) -> tuple[int, float]:
        """Its exit code and how long it took to end."""
        began = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        self.child.communicate(timeout=30.0)
        return self.child.returncode, time.monotonic() - began


def odd_files(folder: Path, one_exposure: Path) -> list[Path]:
    """A flat, and a file that is no FITS file, both written in the painted night."""
    flat, broken = folder / "flat_r_001.fits", folder / "broken.fits"
    with fits.open(one_exposure) as hdus:
        hdus[0].header["IMAGETYP"] = "FLAT"
        hdus.writeto(flat)
    broken.write_bytes(b"not a FITS file " * 1000)
    for path in (flat, broken):
        os.utime(path, (_MIDNIGHT_S, _MIDNIGHT_S))
    return [flat, broken]


def arrive(path: Path, root: Path) -> None:
    """A file comes whole into the data folder."""
    hidden = root / f".{path.name}.part"
    shutil.copy2(path, hidden)
    hidden.rename(root / path.name)


def is_finished(target: Path, *, n_files: int) -> bool:
    """Whether everything that arrived has an outcome and the night's files are written."""
    try:
        connection = sqlite3.connect(f"file:{target / 'ssosd.db'}?mode=ro", uri=True, timeout=5.0)
        with connection:
            counts = [
                connection.execute(sql).fetchone()[0]
                for sql in (
                    "SELECT count(*) FROM files",
                    "SELECT count(*) FROM exposures WHERE state IN ('read', 'extracting')",
                    "SELECT count(*) FROM sequences WHERE state NOT IN ('done', 'parked')",
                    "SELECT count(*) FROM nights WHERE written <> 1 OR reported = 0",
                )
            ]
        connection.close()
    except sqlite3.OperationalError:  # it is just being made
        return False
    return counts == [n_files, 0, 0, 0]


def wait_for_the_end(target: Path, *, n_files: int) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not is_finished(target, n_files=n_files):
        if time.monotonic() > deadline:
            raise AssertionError(f"{target}: not finished after {_DEADLINE_S:g} s")
        time.sleep(0.05)


def undisturbed_run(files: Sequence[Path], root: Path, target: Path, *, reference: Path) -> tuple[int, float]:
    """One run over files that are all there; returns its exit code and the time it took to stop."""
    root.mkdir(parents=True)
    for path in files:
        arrive(path, root)
    return _to_the_end(Process(root, target, reference=reference), target, n_files=len(files))


def killed_run(
    files: Sequence[Path],
    root: Path,
    target: Path,
    *,
    reference: Path,
    rng: random.Random,
    kills: int,
    longest_s: float,
) -> int:
    """Files arrive in random order while the daemon is killed at random instants; returns the number of kills.

    It is killed `kills` times, or until the night is finished, and then left to end by itself.
    """
    root.mkdir(parents=True)
    waiting = list(files)
    rng.shuffle(waiting)
    done = 0
    while done < kills and not (not waiting and is_finished(target, n_files=len(files))):
        for path in waiting[: rng.randint(0, 4)]:
            arrive(path, root)
            waiting.remove(path)
        process = Process(root, target, reference=reference)
        time.sleep(rng.uniform(0.0, longest_s))
        process.kill()
        done += 1
    for path in waiting:
        arrive(path, root)
    _to_the_end(Process(root, target, reference=reference), target, n_files=len(files))
    return done


def _to_the_end(process: Process, target: Path, *, n_files: int) -> tuple[int, float]:
    """Let a process finish the night and stop it; returns its exit code and how long stopping took."""
    try:
        wait_for_the_end(target, n_files=n_files)
        return process.terminate()
    finally:
        process.kill()
