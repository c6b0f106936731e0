"""The sieve and its scan against a brute-force twin; the watcher against the real file system's events."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.ingest import watcher
from ssosd.ingest.watcher import Sieve, Watcher
from ssosd.model import is_fits_name

ROOT = Path("/data/nights")
PARTS = st.sampled_from(
    ["a", "b.fits", "c_flat.fits", ".hid", "2026-11-14", "x y", "n1", "d.fit.gz", "e.txt", "[z].fits"]
)
PATTERNS = st.lists(
    st.sampled_from(
        ["*", "a", "*.fits", ".*", "n1/*", "*/b.fits", "?", "[a-b].fits", "2026*", "a/n1", "*y*"]
    ),
    max_size=3,
)


def twin(relative: str, include, exclude) -> bool:
    """As the parameter's description has it, pattern by pattern."""
    if not is_fits_name(relative.split("/")[-1]):
        return False
    here = Path(relative)
    names = [*here.parts, relative, *(str(folder) for folder in here.parents)][:-1]

    def hits(patterns):
        return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)

    return hits(include) and not hits(exclude)


@given(parts=st.lists(PARTS, min_size=1, max_size=4), include=PATTERNS.filter(bool), exclude=PATTERNS)
@settings(max_examples=400, deadline=None)
def test_patterns(parts, include, exclude):
    relative = "/".join(parts)
    sieve = Sieve(ROOT, include=include, exclude=exclude)
    assert sieve(str(ROOT / relative)) == twin(relative, include, exclude)


@given(parts=st.lists(PARTS, min_size=2, max_size=4), exclude=PATTERNS)
@settings(max_examples=300, deadline=None)
def test_a_folder_that_is_not_entered_holds_nothing_wanted(parts, exclude):
    sieve = Sieve(ROOT, include=["*"], exclude=exclude)
    if sieve(str(ROOT.joinpath(*parts))):
        for depth in range(1, len(parts)):
            assert sieve.enters(str(ROOT.joinpath(*parts[:depth])))


def test_scan_finds_what_walking_finds(tmp_path):
    for k in range(40):
        path = tmp_path / f"n{k % 5}" / f"m{k % 3}" / f"{k}.{'fits' if k % 4 else 'txt'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * k)
    expected = {str(p): p.stat().st_size for p in tmp_path.rglob("*.fits")}
    sieve = Sieve(tmp_path, include=["*"], exclude=[])
    assert {path: stat.st_size for path, stat in sieve.scan()} == expected
    below = {p: s for p, s in expected.items() if "/n3/" in p}
    assert {path: stat.st_size for path, stat in sieve.scan(str(tmp_path / "n3"))} == below


def test_a_scan_passes_over_what_it_cannot_read_and_remembers_it(tmp_path, monkeypatch):
    for name in ("good", "bad", "gone", "listed", "lost+found", ".hid"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.fits").touch()
    fails = {"bad": 13, "gone": 2, "lost+found": 13, ".hid": 13}
    real = os.scandir

    def scandir(path):
        if Path(path).name in fails:
            raise OSError(fails[Path(path).name], "as the system says")
        return real(path)

    monkeypatch.setattr(watcher.os, "scandir", scandir)
    (tmp_path / "listed").chmod(0o400)
    sieve = Sieve(tmp_path, include=["*"], exclude=[".*"])
    found = sorted(Path(path).parent.name for path, _ in sieve.scan())
    denied = {str(tmp_path / "bad"): "as the system says"}
    if os.geteuid():  # whom modes concern
        denied[str(tmp_path / "listed")] = "Permission denied"
    assert found == ["good"] if os.geteuid() else ["good", "listed"]
    assert sieve.unreadable == denied
    fails.clear()
    (tmp_path / "listed").chmod(0o700)
    assert len(list(sieve.scan())) == 5
    assert sieve.unreadable == {}
    assert list(Sieve(tmp_path / "gone", include=["*"], exclude=[]).scan(str(tmp_path / "never"))) == []


class Hints:
    """Collects hints; waits for one with a deadline."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self._came = threading.Condition()

    def __call__(self, path: Path) -> None:
        with self._came:
            self.paths.append(path)
            self._came.notify_all()

    def wait_for(self, path: Path) -> bool:
        with self._came:
            return self._came.wait_for(lambda: path in self.paths, timeout=20.0)


@pytest.fixture
def watched(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    hints = Hints()
    events = Watcher(root, hint=hints)
    assert events.start() == ""
    yield root, hints
    events.stop()


def test_hints_of_files_written_renamed_linked_and_changed(watched, tmp_path):
    root, hints = watched
    (root / "written.fits").write_bytes(b"x")
    assert hints.wait_for(root / "written.fits")
    (root / ".part.fits.X1").write_bytes(b"x")
    (root / ".part.fits.X1").rename(root / "renamed.fits")
    assert hints.wait_for(root / "renamed.fits")
    (tmp_path / "outside.fits").write_bytes(b"x")
    (tmp_path / "outside.fits").rename(root / "moved.fits")
    assert hints.wait_for(root / "moved.fits")
    os.link(root / "moved.fits", root / "hard.fits")
    assert hints.wait_for(root / "hard.fits")
    (root / "soft.fits").symlink_to(root / "moved.fits")
    assert hints.wait_for(root / "soft.fits")
    hints.paths.clear()
    with (root / "written.fits").open("ab") as file:
        file.write(b"more")
    assert hints.wait_for(root / "written.fits")


def test_hints_below_a_link(tmp_path):
    (tmp_path / "disk" / "night").mkdir(parents=True)
    root = tmp_path / "data"
    root.symlink_to("disk")
    hints = Hints()
    events = Watcher(root, hint=hints)
    assert events.start() == ""
    try:
        for path in (root / "a.fits", root / "night" / "b.fits"):
            path.write_bytes(b"x")
            assert hints.wait_for(path)
        (tmp_path / "disk2").mkdir()
        root.unlink()
        root.symlink_to("disk2")
        assert events.renew() == ""
        (root / "c.fits").write_bytes(b"x")
        assert hints.wait_for(root / "c.fits")
    finally:
        events.stop()


@pytest.mark.parametrize("way", ["another", "the same", "deleted", "mounted over"])
def test_another_folder_in_the_place_of_the_one_that_is_watched(tmp_path, way):
    root, hints = tmp_path / "data", Hints()
    root.mkdir()
    events = Watcher(root, hint=hints)
    assert events.start() == ""
    mounted = False
    try:
        if way == "mounted over":
            done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root], capture_output=True, check=False)
            mounted = done.returncode == 0
            if not mounted:
                pytest.skip(f"mount: {done.stderr.decode().strip()}")
        elif way == "deleted":
            root.rmdir()
            for emitter in events._observer.emitters:
                emitter.join(20.0)
            root.mkdir()
        else:
            away = root.rename(tmp_path / "away")
            assert events.renew() == ""
            away.rename(root) if way == "the same" else root.mkdir()
        assert events.renew() == ""
        (root / "a.fits").write_bytes(b"x")
        assert hints.wait_for(root / "a.fits")
        watching = events._observer
        assert events.renew() == ""
        assert events._observer is watching
    finally:
        events.stop()
        if mounted:
            subprocess.run(["umount", root], check=True)


def test_hints_of_folders_that_come_whole(watched, tmp_path):
    root, hints = watched
    (tmp_path / "night" / "sub").mkdir(parents=True)
    (tmp_path / "night" / "sub" / "a.fits").write_bytes(b"x")
    shutil.copytree(tmp_path / "night", root / "copied")
    assert hints.wait_for(root / "copied")
    (tmp_path / "night").rename(root / "moved")
    assert hints.wait_for(root / "moved")
    (root / "moved" / "sub" / "b.fits").write_bytes(b"x")
    assert hints.wait_for(root / "moved" / "sub" / "b.fits"), "folders that came later are watched too"


def test_other_files_give_no_hints(watched):
    root, hints = watched
    (root / "notes.txt").write_text("x")
    (root / "a.fits").write_bytes(b"x")
    assert hints.wait_for(root / "a.fits")
    assert root / "notes.txt" not in hints.paths


def test_no_events_is_said_and_no_error(tmp_path, monkeypatch):
    class Blind:
        def schedule(self, *_, **__):
            raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(watcher, "Observer", Blind)
    events = Watcher(tmp_path, hint=lambda _: None)
    assert events.start() == (
        f"no file events in {tmp_path} (inotify watch limit reached): the scan alone finds files"
    )
    events.stop()
