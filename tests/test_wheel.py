"""What a person installs: the wheel carries the set-up files, the units of systemd and default.ssos."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in this environment, as no network is needed then."""
    for module in ("build", "hatchling"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install -e '.[dev]'")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_file_that_ssosd_opens_is_in_the_wheel(unpacked: Path) -> None:
    for name in ("semp", "systemd"):
        there = contents(ROOT / name)
        assert there
        assert contents(unpacked / "ssosd" / name) == there
    templates = sorted(p.name for p in (ROOT / "ssosd" / "reports" / "templates").iterdir())
    assert sorted(p.name for p in (unpacked / "ssosd" / "reports" / "templates").iterdir()) == templates
    for path in (ROOT / "ssosd" / "web" / "static").iterdir():
        assert (unpacked / "ssosd" / "web" / "static" / path.name).read_bytes() == path.read_bytes()
    shipped = (unpacked / "ssosd" / "default.ssos").read_bytes()
    assert shipped == (ROOT / "ssosd" / "default.ssos").read_bytes()


def test_every_module_is_in_the_wheel_and_nothing_of_the_checkout(unpacked: Path) -> None:
    ours = {str(p.relative_to(ROOT)) for p in (ROOT / "ssosd").rglob("*.py")}
    theirs = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*.py")}
    assert theirs == ours
    assert not [p for p in unpacked.rglob("*") if "tests" in p.parts[len(unpacked.parts) :]]


def test_licence_and_command(unpacked: Path) -> None:
    (info,) = unpacked.glob("ssosd-*.dist-info")
    assert "ssosd = ssosd.cli:main" in (info / "entry_points.txt").read_text()
    metadata = (info / "METADATA").read_text()
    assert "License-Expression: BSD-3-Clause" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert list(info.rglob("LICENSE"))


def test_unpacked_wheel_finds_its_files(unpacked: Path, tmp_path: Path) -> None:
    """Imported from the wheel, not from the checkout, in a folder with a blank in its name."""
    program = (
        "import ssosd, ssosd.plumbing.resources as r\n"
        "print(ssosd.__file__)\n"
        "for name in ('default.ssos', 'semp/ssos.sex', 'semp/ssos.scamp', 'semp/ssos.swarp',"
        " 'semp/ssos.param', 'semp/default.nnw', 'semp/gauss_2.5_5x5.conv', 'semp/maps/omm.toml'):\n"
        "    print(r.shipped(name))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [Path(line) for line in ran.stdout.splitlines()]
    assert len(lines) == 9
    assert all(line.is_file() and line.is_relative_to(unpacked) for line in lines)


def test_init_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    ran = subprocess.run(
        [sys.executable, "-m", "ssosd.cli", "init"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "default.ssos").is_file()
    assert (tmp_path / "semp" / "ssos.sex").is_file()
