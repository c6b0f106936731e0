"""What a person sees when nothing can be done: one clear line, no traceback, an exit code that tells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from ssosd import work
from ssosd.analysis.painter.night import PaintedNight
from ssosd.cli import main
from ssosd.errors import ServiceUnavailable
from ssosd.replay.absent import no_night
from tests.replaying import ONE_FIELD, link, run
from tests.sky import shared_sky

OTHER = 1
MISCONFIGURED = 2


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    return shared_sky(tmp_path_factory, **ONE_FIELD)


def fail_with(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


class Failed:
    """A run of the command `ssosd` that has failed, as a person and a script see it."""

    def __init__(self, *arguments: object, cwd: Path, **environment: str) -> None:
        with chdir(cwd):
            ran = CliRunner().invoke(main, [*map(str, arguments)], env={"COLUMNS": "80", **environment})
        # anything but an exit would have been a traceback
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exc_info
        self.code, self.stdout, self.stderr = ran.exit_code, ran.stdout, ran.stderr
        self.lines = [line for line in ran.stderr.splitlines() if line.strip()]
        assert self.lines[0].startswith("ssosd: "), ran.output
        # one line that says what is wrong, and at most one that says what to do
        assert len(self.lines) <= 2, ran.stderr
        assert all(line.startswith("       ") for line in self.lines[1:])

    @property
    def line(self) -> str:
        return self.lines[0]


def replay(raw: Path, tmp_path: Path, *arguments: object, target: Path | None = None, **environment: str):
    common = ["replay", raw, "-t", target or tmp_path / "out", "--CROSSMATCH_SKYBOT", "False"]
    return Failed(*common, *arguments, cwd=tmp_path, **environment)


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "raw"
    made.mkdir()
    return made


def test_empty_folder(tmp_path: Path) -> None:
    failed = replay(folder(tmp_path), tmp_path)
    assert failed.code == OTHER
    assert f"{tmp_path / 'raw'}: no FITS files here" in failed.line


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    """What the other tests see inside this process, seen from outside: the code, stderr, nothing else."""
    command = [sys.executable, "-m", "ssosd.cli", "replay", folder(tmp_path), "-t", tmp_path / "out"]
    root = str(Path(__file__).parents[1])
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ran.returncode, ran.stdout) == (OTHER, "")
    assert ran.stderr.splitlines() == [
        f"ssosd: {tmp_path / 'raw'}: no FITS files here",
        "       looked for .fits, .fit, .fts and these with .gz, .bz2 or .fz, in all subfolders",
    ]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    failed = replay(tmp_path / "nowhere", tmp_path)
    assert failed.code == OTHER
    assert "nowhere: no such file or folder" in failed.line


def test_file_that_is_no_fits_file_by_name(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"PNG")
    failed = replay(tmp_path / "image.png", tmp_path)
    assert failed.code == OTHER
    assert "image.png: not named like a FITS file" in failed.line
    assert ".fz" in failed.lines[1]


def test_text_file_named_fits(tmp_path: Path) -> None:
    (folder(tmp_path) / "notes.fits").write_text("seeing was bad\n" * 300)
    failed = replay(tmp_path / "raw", tmp_path)
    assert failed.code == OTHER
    assert "notes.fits" in failed.line
    assert "FITS" in failed.line.replace("notes.fits", "")


def test_empty_file(tmp_path: Path) -> None:
    (folder(tmp_path) / "a.fits").write_bytes(b"")
    failed = replay(tmp_path / "raw", tmp_path)
    assert failed.code == OTHER
    assert "a.fits" in failed.line


@pytest.mark.parametrize("where", ["header", "pixels"])
def test_truncated_fits_file(one: PaintedNight, tmp_path: Path, where: str) -> None:
    whole = one.paths[0].read_bytes()
    (folder(tmp_path) / "half.fits").write_bytes(whole[: 1500 if where == "header" else len(whole) // 2])
    failed = replay(tmp_path / "raw", tmp_path)
    assert failed.code == OTHER
    assert "half.fits" in failed.line
    assert re.search("truncated|ends|cut|short|incomplete|bytes", failed.line)


def test_frames_without_wcs(one: PaintedNight, tmp_path: Path) -> None:
    raw = folder(tmp_path)
    for path in one.paths:
        with fits.open(path) as hdus:
            header = hdus[0].header.copy()
            for keyword in ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"):
                del header[keyword]
            fits.PrimaryHDU(hdus[0].data.copy(), header).writeto(raw / path.name)
    failed = replay(raw, tmp_path)
    assert failed.code == OTHER
    assert "no usable exposure in 4 files" in failed.line
    assert "WCS" in failed.line
    assert "and 1 more" in failed.line


def test_calibration_frames_alone(tmp_path: Path) -> None:
    header = fits.Header({"IMAGETYP": "Dark Frame"})
    fits.PrimaryHDU(np.zeros((8, 8), dtype=np.int16), header).writeto(folder(tmp_path) / "a.fits")
    failed = replay(tmp_path / "raw", tmp_path)
    assert failed.code == OTHER
    assert "1 file left out by CALIBRATION or a header map" in failed.line


@pytest.mark.binaries
def test_other_settings_leave_no_exposure(one: PaintedNight, tmp_path: Path) -> None:
    """Of a target that has some: the reason is that of the files, there is no sequence to have one."""
    raw = link(tmp_path / "raw", one.paths)
    run(tmp_path / "out", raw, reference=one.refcat)
    failed = replay(raw, tmp_path, "--SCI_EXTENSION", 3, "--field", "F01")
    assert failed.code == OTHER
    assert "no sequence could be linked: " in failed.line
    assert "SCI_EXTENSION 3: the file has HDUs 0 to 0" in failed.line
    assert failed.line.endswith("; and 1 more")
    (tmp_path / "map.toml").write_text('[[instrument]]\nmatch = { NAXIS = "*" }\nignore = { OBJECT = "*" }\n')
    failed = replay(raw, tmp_path, "--HEADER_MAP", tmp_path / "map.toml")
    assert failed.code == OTHER
    assert failed.line.endswith(": 4 files left out by CALIBRATION or a header map")


@pytest.mark.parametrize("missing", ["source-extractor", "scamp", "SWarp"])
def test_missing_binary(one: PaintedNight, tmp_path: Path, missing: str) -> None:
    """A PATH with all programs but one."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in {"source-extractor", "scamp", "SWarp"} - {missing}:
        found = [Path(d) / name for d in os.environ["PATH"].split(os.pathsep) if (Path(d) / name).is_file()]
        if not found:
            pytest.skip(f"{name} is not installed under this name")
        (bin_ / name).symlink_to(found[0])
    failed = replay(one.directory, tmp_path, "--CUTOUT_RESAMPLER", "SWARP", PATH=str(bin_))
    assert failed.code == MISCONFIGURED
    assert missing.split("-")[-1].lower() in failed.line.lower()
    assert "apt" in failed.lines[1]
    assert not (tmp_path / "out").exists()


def test_swarp_is_needed_for_pictures_alone(one: PaintedNight, tmp_path: Path) -> None:
    failed = replay(one.directory, tmp_path, "--EXTRACT_CUTOUTS", "False", PATH=str(tmp_path))
    assert "swarp" not in failed.line.lower()


@pytest.mark.binaries
def test_reference_catalogue_of_another_sky(one: PaintedNight, tmp_path_factory, tmp_path: Path) -> None:
    other = shared_sky(tmp_path_factory, **{**ONE_FIELD, "centers_deg": ((80.0, -30.0),)})
    failed = replay(one.directory, tmp_path, "--ASTREF_CATALOG", other.refcat)
    assert failed.code == OTHER
    assert "no sequence could be linked" in failed.line
    assert "refcat.cat" in failed.line
    assert "star" in failed.line
    assert (tmp_path / "out" / "2026-11-14" / "candidates.csv").read_text().count("\n") == 1


def test_reference_catalogue_that_is_not_there(one: PaintedNight, tmp_path: Path) -> None:
    failed = replay(one.directory, tmp_path, "--ASTREF_CATALOG", "nowhere/ref.cat")
    assert failed.code == MISCONFIGURED
    assert "ASTREF_CATALOG" in failed.line
    assert "nowhere/ref.cat" in failed.line


@pytest.mark.binaries
def test_reference_catalogue_that_is_none(one: PaintedNight, tmp_path: Path) -> None:
    (tmp_path / "ref.cat").write_text("ra dec mag\n")
    failed = replay(one.directory, tmp_path, "--ASTREF_CATALOG", "ref.cat")
    assert failed.code in (OTHER, MISCONFIGURED)
    assert "ref.cat" in failed.line


def test_target_that_cannot_be_written(one: PaintedNight, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    failed = replay(one.directory, tmp_path, target=tmp_path / "file" / "out")
    assert failed.code == MISCONFIGURED
    assert f"{tmp_path / 'file' / 'out'}: cannot write here" in failed.line
    assert "-t" in failed.lines[1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_target_on_a_file_system_without_files(one: PaintedNight, tmp_path: Path) -> None:
    failed = replay(one.directory, tmp_path, target=Path("/proc/ssosd"))
    assert failed.code == MISCONFIGURED
    assert "/proc/ssosd: cannot write here" in failed.line


def test_target_whose_store_is_none(one: PaintedNight, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ssosd.db").write_text("not a data base, but long enough to look like one\n" * 100)
    failed = replay(one.directory, tmp_path)
    assert failed.code == MISCONFIGURED
    assert "ssosd.db" in failed.line


def test_configuration_that_is_not_there(one: PaintedNight, tmp_path: Path) -> None:
    failed = replay(one.directory, tmp_path, "-c", "mine.ssos")
    assert failed.code == MISCONFIGURED
    assert "mine.ssos: No such file" in failed.line
    assert "ssosd init" in failed.lines[1]


def test_bad_value_in_the_configuration(one: PaintedNight, tmp_path: Path) -> None:
    (tmp_path / "mine.ssos").write_text("PM_LOW 1\nPM_UP  fast   # how fast?\n")
    failed = replay(one.directory, tmp_path, "-c", "mine.ssos")
    assert failed.code == MISCONFIGURED
    assert "mine.ssos, line 2: PM_UP: found fast" in failed.line.replace("'", "").replace('"', "")


def test_unknown_name_in_the_configuration(one: PaintedNight, tmp_path: Path) -> None:
    (tmp_path / "default.ssos").write_text("FILTER_MOTOIN True\n")
    failed = replay(one.directory, tmp_path)
    assert failed.code == MISCONFIGURED
    assert "line 1" in failed.line
    assert "FILTER_MOTION" in failed.line


def test_bad_flag(one: PaintedNight, tmp_path: Path) -> None:
    failed = replay(one.directory, tmp_path, "--PM_LOW", "5000")
    assert failed.code == MISCONFIGURED
    assert "PM_LOW" in failed.line
    assert "PM_UP" in failed.line


def test_broken_set_up_of_sextractor(one: PaintedNight, tmp_path: Path) -> None:
    """It concerns every exposure: the run stops and says so, instead of parking them one by one."""
    (tmp_path / "mine.sex").write_text("DETECT_MINAREA  many\n")
    failed = replay(one.directory, tmp_path, "--SEX_CONFIG", "mine.sex")
    assert failed.code in (OTHER, MISCONFIGURED)
    assert "mine.sex" in failed.line or "DETECT_MINAREA" in failed.line


@pytest.mark.binaries
def test_column_that_the_chain_needs(one: PaintedNight, tmp_path: Path) -> None:
    from ssosd.plumbing.resources import shipped

    text = shipped("semp/ssos.param").read_text()
    (tmp_path / "few.param").write_text(text.replace("\nAWIN_IMAGE", "\n#AWIN_IMAGE"))
    arguments = ["--SEX_PARAMS", "few.param", "--FILTER_TRAIL", "True", "--ASTREF_CATALOG", one.refcat]
    failed = replay(one.directory, tmp_path, *arguments)
    assert failed.code == MISCONFIGURED
    assert "AWIN_IMAGE" in failed.line


def test_unknown_observatory(one: PaintedNight, tmp_path: Path) -> None:
    failed = replay(one.directory, tmp_path, "--OBSERVATORY_CODE", "@@@")
    assert failed.code == MISCONFIGURED
    assert "OBSERVATORY_CODE" in failed.line


@pytest.mark.binaries
def test_unknown_night_and_field(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)
    failed = replay(raw, tmp_path, "--night", "2020-01-01")
    assert failed.code == OTHER
    assert "no exposures of the night 2020-01-01; there are 2026-11-14" in failed.line
    failed = replay(raw, tmp_path, "--field", "F77")
    assert failed.code == OTHER
    assert "no field 'F77'" in failed.line
    assert "F01" in failed.lines[1]


@pytest.mark.parametrize("looks", [(), ("--dry-run",)])
def test_a_night_that_is_no_date(tmp_path: Path, looks: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(main, ["replay", str(tmp_path), "--night", "2026-13-45", *looks])
    assert ran.exit_code == MISCONFIGURED
    assert "Invalid value for '--night': '2026-13-45' does not match" in ran.stderr


def test_a_handful_of_those_that_are_there() -> None:
    nights = [f"2026-{month:02d}-14" for month in range(1, 13)]
    assert no_night("2026-11-15", nights).message.endswith(
        "there are 2026-01-14, 2026-09-14, 2026-10-14, 2026-11-14, 2026-12-14 and 7 more"
    )


def test_target_in_use(one: PaintedNight, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from ssosd.plumbing.lock import TargetLock

    (tmp_path / "out").mkdir()
    with TargetLock(tmp_path / "out", purpose="run", now=datetime(2026, 11, 14, tzinfo=UTC)):
        failed = replay(one.directory, tmp_path)
    assert failed.code == MISCONFIGURED
    assert f"in use by ssosd run, process {os.getpid()}" in failed.line


@pytest.mark.binaries
@pytest.mark.parametrize(
    "error", [ServiceUnavailable("no connection"), TypeError("a fault")], ids=["service", "fault"]
)
def test_what_fails_for_a_while_takes_no_results_away(
    one: PaintedNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Other parameters, and what linking needs does not answer, or we fail; later all is well."""
    first = run(tmp_path / "out", one.directory, reference=one.refcat)
    again = {"reference": one.refcat, "PM_UP": 250}
    with monkeypatch.context() as patched:
        patched.setattr(work.sequence, "link_candidates", fail_with(error))
        failed = run(tmp_path / "out", one.directory, **again)
    assert failed.states == {"F01": "parked"}
    assert failed.csv.read_bytes() == first.csv.read_bytes() != b""
    assert failed.draft == first.draft != ""
    assert len(failed.candidates) > 0
    mended = run(tmp_path / "out", one.directory, **again)
    assert mended.states == {"F01": "done"}
    fresh = run(tmp_path / "fresh", one.directory, **again)
    assert mended.csv.read_bytes() == fresh.csv.read_bytes()
