"""Archives as they are: nested folders, packed files, calibrations and strangers in between, copies, odd OBJECTs."""

from __future__ import annotations

import bz2
import gzip
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from ssosd.analysis.painter.night import PaintedNight
from ssosd.cli import main
from ssosd.config import load_config
from ssosd.crew import gather
from ssosd.replay import Planned, estimate, survey
from ssosd.replay.estimate import BYTES_PER_MEGAPIXEL, SECONDS_PER_MEGAPIXEL
from ssosd.station import Station
from ssosd.store import Measured, Store, measured, read_only
from tests.replaying import ONE_FIELD, QUICK, Outcome, run
from tests.sky import shared_sky

pytestmark = pytest.mark.binaries
OBJECTS = ("NGC 1", "ngc_1", "NGC1 ", "")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    return shared_sky(tmp_path_factory, **ONE_FIELD)


@pytest.fixture(scope="module")
def archive(one: PaintedNight, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four exposures of a field, each packed and named in its own way, among all that an archive has."""
    root = tmp_path_factory.mktemp("archive")
    night = root / "2026" / "11" / "camera one"
    for folder in (night / "science", night / "calib", root / "backup", root / "2026" / "other"):
        folder.mkdir(parents=True)
    science = []
    for path, target in zip(one.paths, OBJECTS, strict=True):
        with fits.open(path) as hdus:
            head, data = hdus[0].header.copy(), hdus[0].data.copy()
        head["OBJECT"] = target
        if not target:
            del head["OBJECT"]
        science.append((path.stem, head, data))
        fits.PrimaryHDU(data, head).writeto(night / "science" / path.name)
    plain, zipped, bzipped, tiled = (night / "science" / f"{stem}.fits" for stem, _, _ in science)
    (night / "science" / f"{zipped.name}.gz").write_bytes(gzip.compress(zipped.read_bytes()))
    (night / "science" / f"{bzipped.name}.bz2").write_bytes(bz2.compress(bzipped.read_bytes()))
    for file, index in ((tiled.with_name(f"{tiled.name}.fz"), 3), (root / "backup" / f"{plain.name}.fz", 0)):
        _, head, data = science[index]
        packed = fits.CompImageHDU(data, head, quantize_level=0, compression_type="GZIP_1")
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(file)
    shutil.copyfile(plain, root / "backup" / "copy of 1.fits")
    for file in (zipped, bzipped, tiled):
        file.unlink()
    for number, kind in enumerate(("Bias Frame", "FLAT", "dark")):
        calibration = fits.Header({"IMAGETYP": kind, "DATE-OBS": "2026-11-14T16:00:00"})
        fits.PrimaryHDU(np.zeros((32, 32), "f4"), calibration).writeto(night / "calib" / f"c{number}.fits")
    _, head, data = science[0]
    head = head.copy()
    head["OBJECT"], head["CRVAL2"] = "another", head["CRVAL2"] + 3.0
    fits.PrimaryHDU(data, head).writeto(root / "2026" / "other" / "x.fits")
    (root / "2026" / "other" / "cut.fits").write_bytes(plain.read_bytes()[:20000])
    (root / "2026" / "other" / "log.txt").write_text("no FITS file\n")
    return root


@pytest.fixture(scope="module")
def replayed(one: PaintedNight, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(tmp_path_factory.mktemp("replayed") / "out", archive, reference=one.refcat)


def test_an_archive_gives_what_the_clean_folder_gives(one, replayed, tmp_path):
    clean = run(tmp_path / "clean", one.directory, reference=one.refcat).candidates
    found = replayed.candidates
    assert len(found) == len(clean) > 0
    assert set(found["FIELD"]) == {"NGC_1"}
    for name in ("RA", "DEC", "MID_EXPOSURE_MJD", "MAG"):
        assert np.sort(found[name]) == pytest.approx(np.sort(clean[name]), abs=1e-6)


def test_every_file_of_it_is_accounted_for(replayed):
    with Store(replayed.target / "ssosd.db") as store:
        counts = {
            row["outcome"]: row["n"]
            for row in store.rows("SELECT outcome, count(*) n FROM files GROUP BY outcome")
        }
    assert counts == {"exposure": 6, "duplicate": 1, "ignored": 3, "parked": 1}
    assert replayed.states == {"NGC_1": "done", "another": "parked"}


def test_a_frame_in_two_packings_counts_once(replayed):
    """Its bytes differ, so it is another exposure; linked with itself it would be a mover that stands still."""
    with read_only(replayed.target / "ssosd.db") as db:
        rows = db.execute(
            "SELECT e.path, m.dropped_because FROM sequence_exposures m JOIN exposures e ON e.digest = m.exposure"
            " JOIN sequences s ON s.id = m.sequence WHERE s.field = 'NGC_1'"
        ).fetchall()
    dropped = [reason for _, reason in rows if reason]
    assert len(rows) == 5
    assert len(dropped) == 1
    assert "the same frame as" in dropped[0]


def test_a_frame_in_two_packings_is_not_two_of_min_exposures(one, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in one.paths[:2]:
        shutil.copyfile(path, raw / path.name)
    (raw / f"{one.paths[0].name}.gz").write_bytes(gzip.compress(one.paths[0].read_bytes()))
    out = run(tmp_path / "out", raw, reference=one.refcat)
    assert set(out.states.values()) == {"parked"}
    assert "2 usable exposures, 3 are needed" in next(iter(out.done.why_parked))


def plan(archive: Path, target: Path, **parameters: object) -> tuple[Station, list[Planned], object]:
    config = load_config(None, overrides={**QUICK, **parameters}, cwd=archive)
    station = Station.to_look(config, target)
    found = survey(
        [archive], station=station, console=quiet(), crew=lambda n: gather(n, station=station, size=1)
    )
    return station, found.planned, found


def quiet():
    from rich.console import Console

    return Console(quiet=True)


def test_a_survey_finds_what_the_replay_did(archive, replayed, tmp_path):
    _, planned, found = plan(archive, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert {(p.sequence.night, p.sequence.field) for p in planned} == {
        (replayed.night, field) for field in replayed.states
    }
    assert {p.sequence.field: p.too_few for p in planned} == {"NGC_1": False, "another": True}
    assert {p.sequence.field: len(p.sequence.exposures) for p in planned} == {"NGC_1": 5, "another": 1}
    assert [copy.name for copy, _ in found.duplicates] == [sorted_copies(archive)[1]]
    assert found.ignored.total() == 3
    assert found.parked.total() == 1
    assert "truncated" in next(iter(found.parked))
    assert found.size_bytes == sum(p.stat().st_size for p in archive.rglob("*.fits*"))


def sorted_copies(archive: Path) -> list[str]:
    plain = [p for p in archive.rglob("*.fits") if p.stat().st_size > 100_000 and p.name != "x.fits"]
    return [p.name for p in sorted(plain, key=str)]


def test_a_dry_run_says_it_and_writes_nothing(archive, replayed, one):
    """Also where there is a store: from it come the figures."""
    before = {p: p.stat().st_mtime_ns for p in replayed.target.rglob("*")}
    arguments = ["replay", str(archive), "-t", str(replayed.target), "--dry-run", "--jobs", "1"]
    asked = ["--ASTREF_CATALOG", str(one.refcat), "--DETECTIONS", "1,2,3,4,5"]
    result = CliRunner().invoke(main, [*arguments, *asked])
    assert result.exit_code == 0, result.output
    assert "1 sequence has fewer than the 6 detections of a candidate" in result.output
    assert {p: p.stat().st_mtime_ns for p in replayed.target.rglob("*")} == before
    for said in ("NGC_1", "5 exposures", "another", "too few", "duplicates 1 file,", "ignored", "parked",
                 "truncated", "nothing was written", "with 1 worker,"):  # fmt: skip
        assert said in result.output
    assert "Bias Frame" in result.output


def test_a_dry_run_of_one_exposure_counts_in_the_singular(one, tmp_path):
    said = CliRunner().invoke(
        main, ["replay", str(one.paths[0]), "-t", str(tmp_path / "out"), "--dry-run", "--jobs", "1"]
    )
    assert re.search(r"^2026-11-14  F01 +1 exposure  ", said.output, re.MULTILINE)
    assert not re.search(r"\b1 \w+s\b", said.output)


def test_a_dry_run_of_nothing(tmp_path):
    (tmp_path / "a.fits").write_text("nothing\n")
    result = CliRunner().invoke(main, ["replay", str(tmp_path), "-t", str(tmp_path / "out"), "--dry-run"])
    assert result.exit_code == 1
    assert "no file is a usable exposure" in result.output


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--night", "2026-11-13"), "no exposures of the night 2026-11-13; there are 2026-11-14\n"),
        (("--field", "nofield"), "no field 'nofield'\n       the fields are NGC_1, another\n"),
    ],
)
def test_a_dry_run_of_what_is_not_there(archive, tmp_path, asked, said):
    result = CliRunner().invoke(
        main, ["replay", str(archive), "-t", str(tmp_path / "out"), "--dry-run", "--jobs", "1", *asked]
    )
    assert (result.exit_code, result.stderr) == (1, f"ssosd: {said}")


def test_what_was_measured(replayed):
    figures = measured(replayed.target)
    assert figures is not None
    assert figures.n_exposures == 6
    megapixels = 384 * 384 / 1e6
    assert 0.1 < figures.seconds_per_megapixel * 6 * megapixels < 600.0
    written = sum(p.stat().st_size for p in (replayed.target / replayed.night).rglob("*") if p.is_file())
    assert figures.bytes_per_megapixel * 6 * megapixels > written
    assert measured(replayed.target.parent) is None


def test_the_estimate_follows_what_was_measured(archive, tmp_path):
    _, planned, _ = plan(archive, tmp_path / "none")
    pixels = 6 * 384 * 384 / 1e6
    rough = estimate(planned, workers=2, measured=None)
    assert rough.seconds > SECONDS_PER_MEGAPIXEL * pixels / 2
    assert rough.size_bytes == pytest.approx(BYTES_PER_MEGAPIXEL * pixels)
    told = Measured(n_exposures=500, seconds_per_megapixel=3.0, bytes_per_megapixel=1e6)
    better = estimate(planned, workers=2, measured=told)
    assert better.seconds == pytest.approx(3.0 * pixels)
    assert better.size_bytes == pytest.approx(1e6 * pixels)
    assert "500 exposures" in better.measured_on
    few = Measured(n_exposures=5, seconds_per_megapixel=3.0, bytes_per_megapixel=1e6)
    assert estimate(planned, workers=2, measured=few) == rough
