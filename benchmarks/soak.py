"""Soak: tens of thousands of files arrive in every way there is, while the daemon is killed again and again.

`make soak` runs it with 30,000 files; `tests/test_soak_small.py` with a few hundred. A real daemon watches
the folder in a process of its own. Only extraction and linking are stubs, as this is about files. At the end
every file must be accounted for: as many exposures as there are different files, none twice, none half.

Bursts: the daemon is stopped (SIGSTOP), small files that are none of its business fill the kernel's queue of
events beyond its limit, and then thousands of exposures come of which it gets no event at all. A burst that
does not overflow the queue fails the soak.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BURSTS = (1 / 8, 3 / 8, 5 / 8)  # when they begin, as a share of all files
BURST = 5000  # exposures that come in one
QUEUE_LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
OVERFLOWED = b"Inotify queue overflowed; filesystem events were lost"  # watchdog's words, once for each
PROBE = "probe-"  # folders made to see whether the daemon watches
COUNTERS = struct.Struct("<qq")  # events that reached the daemon; the last probe of which it got one
BLOCK = 2880
PER_NIGHT = 1500
FIELDS_PER_NIGHT = 10
PARAMETERS = {
    "SETTLE_TIME": "1",
    "SETTLE_LIMIT": "60",
    "CROSSMATCH_SKYBOT": "False",
    "EXTRACT_CUTOUTS": "False",
    "FIXED_APER_MAGS": "False",
    "CHECKPLOTS": "False",
    "OBSERVATORY_CODE": "493",
    "MIN_FREE_DISK": "0",
    "WORKERS": "2",
}


# ---- the daemon's side ----------------------------------------------------------------------------------


def drive(root: Path, target: Path, counter: Path) -> int:
    """Watch a folder as `ssosd run` does, with stubs for extraction and linking."""
    sys.path.insert(0, str(ROOT))
    from ssosd import work
    from ssosd.astromatic import Binary
    from ssosd.config import load_config
    from ssosd.daemon import nightwatch
    from ssosd.daemon.loop import Daemon
    from ssosd.errors import BadInput
    from ssosd.model import Catalogue
    from ssosd.plumbing.files import atomic_write_text
    from ssosd.site import site_from
    from ssosd.station import Station

    def extract(exposure, *, night, key, station):
        path = station.catalogue_path(night, exposure.stem, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, exposure.digest)
        return Catalogue(path=str(path), key=key, n_detections=1, fwhm_px=2.0, background=1.0)

    def link(sequence, *_, **__):
        raise BadInput(f"{sequence.field}: not linked in the soak")

    def station() -> Station:
        config = load_config(None, overrides=PARAMETERS, cwd=target)
        programs = ("sextractor", "scamp")
        return Station(
            config=config,
            target=target,
            binaries={name: Binary(program=name, path="/bin/false", version="0") for name in programs},
            site=site_from("493", lon_deg=None, lat_deg=None, alt_m=None),
        )

    work.extract_exposure, work.link_sequence = extract, link
    with counter.open("r+b") as file, mmap.mmap(file.fileno(), COUNTERS.size) as shared:
        real = Daemon.hint

        def hint(self: Daemon, path: Path) -> None:
            hints, probe = COUNTERS.unpack_from(shared)
            if path.name.startswith(PROBE):
                COUNTERS.pack_into(shared, 0, hints, int(path.name.removeprefix(PROBE)))
            else:
                COUNTERS.pack_into(shared, 0, hints + 1, probe)
                real(self, path)

        Daemon.hint = hint  # type: ignore[method-assign]
        os._exit(1 if nightwatch.watch(root, load_station=station, command="soak") else 0)


class Keeper:
    """Starts the daemon, kills it, starts it again."""

    def __init__(self, root: Path, target: Path) -> None:
        self.root, self.target = root, target
        self.counter = target / "hints"
        self.counter.write_bytes(bytes(COUNTERS.size))
        self.log = target / "soak.log"
        self.starts = self.kills = self.probes = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait_s: float = 0.0) -> None:
        """Start it; returns when it watches, or after `wait_s`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--drive", self.root, self.target, self.counter],
                stdout=log,
                stderr=log,
            )
        self.starts += 1
        self.watches(wait_s)

    def watches(self, limit_s: float) -> bool:
        """Whether it gets the event of a folder that is made now, within so many seconds."""
        first = self.probes + 1

        def answered() -> bool:
            self.probes += 1
            probe = self.root / f"{PROBE}{self.probes}"
            probe.mkdir()
            probe.rmdir()
            return self._counters[1] >= first

        return _wait(answered, limit_s)

    def kill(self) -> None:
        """As a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.kills += 1

    def freeze(self) -> None:
        """Stop it from running, so that the kernel's queue of events overflows.

        RuntimeError when it does not watch within a minute.
        """
        assert self.process is not None
        if not self.watches(60.0):
            raise RuntimeError("the daemon does not watch")
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def check(self) -> None:
        """RuntimeError when it has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"the daemon ended by itself, exit code {self.process.returncode}:\n{tail}")

    def stop(self) -> int:
        """As systemd does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process = None
        return code

    def thaw(self, already: int) -> None:
        """Let it go on after a burst; RuntimeError when it says nothing of an overflow within a minute."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        if not _wait(lambda: self.overflows > already, 60.0):
            raise RuntimeError("the queue of events did not overflow in a burst")

    @property
    def hints(self) -> int:
        """Events that reached the daemon, all starts together."""
        return self._counters[0]

    @property
    def _counters(self) -> tuple[int, int]:
        hints, probe = COUNTERS.unpack(self.counter.read_bytes())
        return hints, probe

    @property
    def overflows(self) -> int:
        """How often the kernel's queue of events overflowed, as watchdog said."""
        return self.log.read_bytes().count(OVERFLOWED)


# ---- the telescope's side -------------------------------------------------------------------------------


def content(number: int) -> bytes:
    """A whole FITS file of two blocks, unlike every other."""
    night, k = divmod(number, PER_NIGHT)
    stamp = (datetime(2026, 1, 1) + timedelta(days=night, seconds=3 * 3600 + 20 * k)).isoformat()
    cards = [
        "SIMPLE  =                    T", "BITPIX  =                   16", "NAXIS   =                    2",
        "NAXIS1  =                   40", "NAXIS2  =                   36", f"DATE-OBS= '{stamp}.000'",
        "EXPTIME =                 15.0", "FILTER  = 'r       '", f"OBJECT  = 'F{k % FIELDS_PER_NIGHT:02d}'",
        "TELESCOP= 'Soak    '", "INSTRUME= 'Cam     '", "IMAGETYP= 'LIGHT   '", f"SEQNUM  = {number:20d}",
        "CTYPE1  = 'RA---TAN'", "CTYPE2  = 'DEC--TAN'",
        f"CRVAL1  = {10.0 * (k % FIELDS_PER_NIGHT):20.6f}", "CRVAL2  =                 10.0",
        "CRPIX1  =                 20.0", "CRPIX2  =                 18.0",
        "CD1_1   =              -0.0003", "CD2_2   =               0.0003",
        "CD1_2   =                  0.0", "CD2_1   =                  0.0", "END",
    ]  # fmt: skip
    head = "".join(card.ljust(80) for card in cards).ljust(BLOCK).encode("ascii")
    return head + np.random.default_rng(number).integers(1, 3000, 40 * 36).astype(">i2").tobytes()


@dataclass
class Telescope:
    """Delivers files into a folder, each batch in one of the ways in which files come."""

    root: Path
    staging: Path  # on the same file system
    foreign: Path  # on another one, where there is one
    rng: random.Random
    expected: dict[str, str] = field(default_factory=dict)  # digest to its first name
    names: int = 0  # files and links, all together
    ways: Counter[str] = field(default_factory=Counter)

    def deliver(self, numbers: list[int], way: str) -> None:
        """Deliver a batch."""
        folder = self.root / f"n{numbers[0] // PER_NIGHT:03d}"
        files = {f"f{number:06d}.fits": content(number) for number in numbers}
        for name, data in files.items():
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
            assert digest not in self.expected
            self.expected[digest] = name
        self.names += len(files)
        self.ways[way] += len(files)
        getattr(self, f"_by_{way}")(folder, files)

    def chatter(self, events: int) -> None:
        """Files of another kind that come and go, for more than so many events."""
        for n in range(events // 2 + 1):  # made and removed: two at least, none like the one before
            path = self.root / f"guider-{n}.log"
            path.touch()
            path.unlink()

    def _by_slow_write(self, folder: Path, files: dict[str, bytes]) -> None:
        """All at once and in pieces, flushed: headers, half of the pixels, the rest."""
        cuts = sorted(self.rng.sample(range(1, 2 * BLOCK), 3))
        for start, end in zip([0, *cuts], [*cuts, 2 * BLOCK], strict=True):
            for name, data in files.items():
                with (folder / name).open("ab") as file:
                    file.write(data[start:end])

    def _by_preallocation(self, folder: Path, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            with (folder / name).open("wb") as file:
                file.truncate(len(data))
        for end in (BLOCK, 2 * BLOCK):
            for name, data in files.items():
                with (folder / name).open("r+b") as file:
                    file.write(data[:end])

    def _by_rsync(self, folder: Path, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            hidden = folder / f".{name}.x{self.rng.randrange(10**6):06d}"
            hidden.write_bytes(data[:BLOCK])
            hidden.write_bytes(data)
            hidden.rename(folder / name)

    def _by_move(self, folder: Path, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            (self.staging / name).write_bytes(data)
            (self.staging / name).rename(folder / name)

    def _by_foreign_move(self, folder: Path, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            (self.foreign / name).write_bytes(data)
            shutil.move(self.foreign / name, folder / name)

    def _by_copied_folder(self, folder: Path, files: dict[str, bytes]) -> None:
        shutil.copytree(self._put_together(files), folder / next(iter(files))[:-5])

    def _by_moved_folder(self, folder: Path, files: dict[str, bytes]) -> None:
        self._put_together(files).rename(folder / next(iter(files))[:-5])

    def _put_together(self, files: dict[str, bytes]) -> Path:
        source = self.staging / f"d{next(iter(files))}"
        source.mkdir()
        for name, data in files.items():
            (source / name).write_bytes(data)
        return source

    def _by_hard_link(self, folder: Path, files: dict[str, bytes]) -> None:
        for name, path in self._hold(files):
            os.link(path, folder / name)

    def _by_symbolic_link(self, folder: Path, files: dict[str, bytes]) -> None:
        for name, path in self._hold(files):
            (folder / name).symlink_to(path)

    def _by_two_names(self, folder: Path, files: dict[str, bytes]) -> None:
        """Each under a second name: two files, one exposure."""
        self._by_move(folder, files)
        for name in files:
            os.link(folder / name, folder / f"copy-{name}")
        self.names += len(files)

    def _hold(self, files: dict[str, bytes]) -> Iterator[tuple[str, Path]]:
        for name, data in files.items():
            path = self.staging / f"held-{name}"
            path.write_bytes(data)
            yield name, path


WAYS = tuple(name.removeprefix("_by_") for name in vars(Telescope) if name.startswith("_by_"))


# ---- the soak -------------------------------------------------------------------------------------------


def soak(
    folder: Path,
    *,
    files: int,
    kills: int,
    seed: int = 1,
    scan_s: float = 15.0,
    patience_s: float = 3600.0,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, object]:
    """Run it and check the end.

    Raises
    ------
    AssertionError
        A file is not accounted for, taken twice or half.
    """
    rng = random.Random(seed)
    root, target, staging = (folder / name for name in ("data", "target", "staging"))
    nights = [root / f"n{night:03d}" for night in range(-(-files // PER_NIGHT))]
    for path in (root, target, staging, *nights):
        path.mkdir()
    (target / "default.ssos").write_text(f"SCAN_INTERVAL {scan_s:g}\n")
    shm = Path("/dev/shm")
    other = shm if os.access(shm, os.W_OK) and shm.stat().st_dev != folder.stat().st_dev else folder
    keeper = Keeper(root, target)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=other, prefix="ssosd-soak-") as foreign:
        telescope = Telescope(root=root, staging=staging, foreign=Path(foreign), rng=rng)
        batch = max(1, min(100, files // 44))
        batches = [list(range(files))[at : at + batch] for at in range(0, files, batch)]
        ways = [WAYS[k % len(WAYS)] for k in range(len(batches))]
        rng.shuffle(ways)
        plan = _plan(len(batches), kills, rng)
        queue_limit = int(QUEUE_LIMIT.read_text())
        overflows = 0
        say(f"in {len(BURSTS)} bursts the daemon is stopped while more than {queue_limit} events are queued")
        try:
            for k, (numbers, way) in enumerate(zip(batches, ways, strict=True)):
                if k == len(batches) // 20:
                    keeper.start(wait_s=30.0)  # what came before is already there at start
                telescope.deliver(numbers, way)
                keeper.check()
                order = plan.get(k)
                if order == "freeze":
                    keeper.freeze()
                    overflows = keeper.overflows
                    telescope.chatter(queue_limit)
                elif order == "thaw":
                    keeper.thaw(overflows)
                    say(f"burst over after {k + 1} of {len(batches)} batches, the queue of events overflowed")
                elif order == "kill":
                    enough = rng.random() * (k + 1) * batch
                    _wait(lambda count=enough: _count(target) >= count, 20.0)
                    keeper.kill()
                    say(f"killed after {k + 1} of {len(batches)} batches, {_count(target)} exposures then")
                elif order == "start":
                    keeper.start(wait_s=rng.choice([0.0, 0.7, 30.0, 30.0]))
            delivered_s = time.monotonic() - began
            say(f"delivered after {delivered_s:.0f} s, {_count(target)} exposures then")
            _wait_for_the_end(keeper, telescope, began + patience_s, say)
            done_s = time.monotonic() - began
            code = keeper.stop()
        finally:
            if keeper.process is not None:
                keeper.kill()
    figures = check(telescope, target)
    assert code == 0, f"SIGTERM: exit code {code}\n{keeper.log.read_text(errors='replace')[-2000:]}"
    return {
        "files": files,
        "names": telescope.names,
        **figures,
        "delivered_s": round(delivered_s, 1),
        "done_s": round(done_s, 1),
        "starts": keeper.starts,
        "kills": keeper.kills,
        "hints": keeper.hints,
        "queue_limit": queue_limit,
        "bursts": len(BURSTS),
        "overflows": keeper.overflows,
        "ways": dict(telescope.ways),
    }


def _plan(batches: int, kills: int, rng: random.Random) -> dict[int, str]:
    """What happens after which batch: the daemon is frozen during the bursts, and killed in between.

    One batch comes after each kill while nobody watches.
    """
    burst = min(BURST // 100, batches // 6)
    frozen = [range(at, at + burst + 1) for at in (int(batches * share) for share in BURSTS)]
    plan = {at: order for r in frozen for at, order in ((r[0], "freeze"), (r[-1], "thaw"))}
    free = [k for k in range(batches // 20 + 1, batches - 1, 2) if not any({k, k + 1} & {*r} for r in frozen)]
    for k in rng.sample(free, kills):
        plan |= {k: "kill", k + 1: "start"}
    return plan


def _rows(target: Path, sql: str) -> list[tuple]:
    path = target / "ssosd.db"
    if not path.exists():
        return []
    address = f"file:{path}?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True, timeout=30.0)) as connection,
        suppress(sqlite3.OperationalError),  # no tables yet
    ):
        return connection.execute(sql).fetchall()
    return []


def _count(target: Path, where: str = "1") -> int:
    found = _rows(target, f"SELECT count(*) FROM exposures WHERE {where}")
    return found[0][0] if found else 0


def _wait(done: Callable[[], bool], limit_s: float) -> bool:
    """Whether it is done before the time is up."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(0.1)
    return False


def _wait_for_the_end(keeper: Keeper, telescope: Telescope, until: float, say: Callable[[str], None]) -> None:
    told = time.monotonic()
    while True:
        keeper.check()
        rows = _rows(keeper.target, "SELECT count(*) FROM files WHERE outcome IN ('exposure', 'duplicate')")
        extracted = _count(keeper.target, "state = 'extracted'")
        if rows and rows[0][0] >= telescope.names and extracted >= len(telescope.expected):
            return
        if time.monotonic() > until:
            raise AssertionError(f"{rows} of {telescope.names} files, {extracted} extracted; no time left")
        if time.monotonic() - told > 15.0:
            told = time.monotonic()
            say(f"{rows[0][0] if rows else 0} of {telescope.names} files recorded, {extracted} extracted")
        time.sleep(0.3)


def check(telescope: Telescope, target: Path) -> dict[str, int]:
    """Compare the store with what was delivered, byte by byte."""
    exposures = {row[0]: row[1] for row in _rows(target, "SELECT digest, path FROM exposures")}
    assert set(exposures) == set(telescope.expected), "exposures are not the files that were delivered"
    files = _rows(target, "SELECT path, outcome, exposure, size_bytes, mtime_ns FROM files")
    on_disk = {str(path) for path in telescope.root.rglob("*.fits") if path.is_file()}
    assert {row[0] for row in files} == on_disk, "not every file has its row"
    holders: Counter[str] = Counter()
    for path, outcome, digest, size, mtime_ns in files:
        data = Path(path).read_bytes()
        assert hashlib.blake2b(data, digest_size=16).hexdigest() == digest, path
        assert (size, mtime_ns) == (len(data), Path(path).stat().st_mtime_ns), path
        holders[digest] += outcome == "exposure"
    assert set(holders.values()) == {1}, "an exposure has not exactly one file"
    outcomes = Counter(row[1] for row in files)
    return {"exposures": len(exposures), "rows": len(files), "duplicates": outcomes["duplicate"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=30_000)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="Where to work; emptied afterwards unless given.")
    parser.add_argument("--drive", nargs=3, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        return drive(*given.drive)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="ssosd-soak-", dir=given.folder) as folder:
        figures = soak(Path(folder), files=given.files, kills=given.kills, seed=given.seed, say=say)
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
