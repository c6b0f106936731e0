"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ssosd.errors import Misconfigured, Retriable
from ssosd.plumbing.files import (
    atomic_path,
    atomic_write_bytes,
    atomic_write_text,
    free_bytes,
    is_temporary,
    room_to_write,
)


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_writes_bytes_and_text_and_makes_folders(tmp_path: Path) -> None:
    target = tmp_path / "a b" / "2026-11-14" / "candidates.csv"
    atomic_write_bytes(target, b"\x00\xff\r\n")
    assert target.read_bytes() == b"\x00\xff\r\n"
    atomic_write_text(target, "Ø\n")
    assert target.read_bytes() == "Ø\n".encode()
    assert listing(target.parent) == ["candidates.csv"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        atomic_write_text(tmp_path / "x", "1")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_an_error_in_the_body_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("old")

    def interrupted() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            assert is_temporary(temporary.name)
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".csv"
            raise KeyError("boom")

    with pytest.raises(KeyError):
        interrupted()
    assert target.read_text() == "old"
    assert listing(tmp_path) == ["x.csv"]


def test_nothing_written_is_an_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("old")
    with pytest.raises(Retriable, match="nothing was written"), atomic_path(target):
        pass
    assert target.read_text() == "old"


def test_full_disk_is_retriable(tmp_path: Path) -> None:
    with pytest.raises(Retriable, match=r"x\.csv"), atomic_path(tmp_path / "x.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_really_full_device_is_retriable(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")

    def fill() -> None:
        with atomic_path(tmp_path / "x.csv") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_text("a" * 100_000)

    with pytest.raises(Retriable, match="No space"):
        fill()
    assert listing(tmp_path) == []


def test_a_file_where_a_folder_should_be_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "night").write_text("a file")
    with pytest.raises(Misconfigured, match="night"):
        atomic_write_text(tmp_path / "night" / "x.csv", "1")


def test_a_folder_in_the_place_of_the_file_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(Misconfigured, match=r"x\.csv"):
        atomic_write_text(tmp_path / "x.csv", "1")
    assert listing(tmp_path) == ["x.csv"]


def test_a_folder_that_cannot_be_written_to_is_named_and_not_the_trial_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match=f"^{tmp_path}/file: cannot be written"):
        room_to_write(tmp_path / "file")


def test_long_names_still_fit(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 246 + ".csv")
    atomic_write_text(target, "1")
    assert listing(tmp_path) == [target.name]


def test_killed_writer_leaves_the_old_bytes(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("old")
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from ssosd.plumbing.files import atomic_path
        with atomic_path(Path(sys.argv[1])) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(target)],
        cwd=Path(__file__).resolve().parents[1],
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    rest = [name for name in listing(tmp_path) if name != "x.csv"]
    assert len(rest) == 1
    assert is_temporary(rest[0])


def test_free_bytes_of_a_folder_not_yet_made(tmp_path: Path) -> None:
    figures = os.statvfs(tmp_path)
    measured = free_bytes(tmp_path / "not" / "yet")
    assert abs(measured - figures.f_bavail * figures.f_frsize) < 1 << 30
