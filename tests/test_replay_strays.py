"""Files that are no exposures: which night of an archive accounts for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from astropy.io import fits

from ssosd.analysis.painter.night import PaintedNight
from ssosd.errors import BadInput
from ssosd.intake import TakenIn
from ssosd.pipeline import Corridor
from ssosd.replay import account_for
from tests.replaying import ONE_FIELD, link, run
from tests.sky import shared_sky

pytestmark = pytest.mark.binaries
NIGHT_OF_ONE = "2026-11-14"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    """One field of four exposures; read-only."""
    return shared_sky(tmp_path_factory, **ONE_FIELD)


def test_files_that_are_no_exposures_are_accounted_for_in_the_nights_replayed(
    one: PaintedNight, tmp_path: Path
) -> None:
    """They were copied here today: nobody wants a folder for that."""
    raw = link(tmp_path / "raw", one.paths)
    with fits.open(one.paths[0]) as hdus:
        header = hdus[0].header.copy()
    header["IMAGETYP"] = "FLAT"
    fits.PrimaryHDU(np.zeros((64, 64), dtype=np.float32), header).writeto(raw / "flat.fits")
    del header["IMAGETYP"], header["CRVAL1"]
    fits.PrimaryHDU(np.zeros((64, 64), dtype=np.float32), header).writeto(raw / "nowcs.fits")
    (raw / "notes.fits").write_text("no image, only words\n")
    bias = fits.PrimaryHDU(np.zeros((64, 64), dtype=np.float32), fits.Header({"IMAGETYP": "BIAS"}))
    bias.writeto(raw / "bias.fits")
    out = run(tmp_path / "out", raw, reference=one.refcat)
    assert out.nights == [NIGHT_OF_ONE]
    summary = json.loads((out.target / NIGHT_OF_ONE / "summary.json").read_text())
    assert summary["audit"]["outcomes"] == {
        "exposure": len(one.paths), "duplicate": 0, "ignored": 2, "parked": 2, "gone": 0,
    }  # fmt: skip
    assert summary["audit"]["unaccounted"] == []


def test_a_flat_of_another_night_has_the_night_in_its_header(one: PaintedNight, tmp_path: Path) -> None:
    raw = link(tmp_path / "raw", one.paths)
    header = fits.Header({"IMAGETYP": "FLAT", "DATE-OBS": "2026-11-10T17:30:00.0"})
    fits.PrimaryHDU(np.zeros((64, 64), dtype=np.float32), header).writeto(raw / "flat.fits")
    out = run(tmp_path / "out", raw, reference=one.refcat)
    assert out.nights == ["2026-11-10", NIGHT_OF_ONE]
    assert json.loads((out.target / "2026-11-10" / "summary.json").read_text())["audit"]["files"] == 1


def test_a_name_that_is_not_utf_8_is_told_and_costs_nothing_else(one: PaintedNight, tmp_path: Path) -> None:
    folder = link(tmp_path / "raw", one.paths)
    odd = folder / os.fsdecode(b"caf\xe9.fits")
    odd.write_bytes(one.paths[0].read_bytes())
    done = run(tmp_path / "out", folder, reference=one.refcat).done
    told = f"{folder}/caf\\udce9.fits: passed over: its name is not UTF-8 (give it another name)"
    assert [str(taken.error) for taken in done.parked_files] == [told]
    assert done.n_extracted == len(one.paths)
    with pytest.raises(BadInput, match="its name is not UTF-8"):
        run(tmp_path / "other", odd, reference=one.refcat)


def test_undated_files_go_with_those_of_their_folder(tmp_path: Path) -> None:
    """The nearest night of all is another one."""
    recorded = {}

    class Record:
        def night_of_stray(self, _: TakenIn) -> str:
            return "2026-12-01"

        def record_taken(self, taken: TakenIn, *, night: str) -> None:
            recorded[taken.path.name] = night

    nights = {Path("/d/a/1.fits"): "2026-11-01", Path("/d/a/2.fits"): "2026-11-03"}
    nights |= {Path("/d/b/1.fits"): "2026-11-10"}
    strays = [
        TakenIn(path=Path(name), size_bytes=1, mtime_ns=1)
        for name in ("/d/a/lost.fits", "/d/b/gone.fits", "/d/c/far.fits")
    ]
    strays.append(TakenIn(path=Path("/d/a/flat.fits"), size_bytes=1, mtime_ns=1, taken_mjd=61375.5))
    account_for(strays, cast("Corridor", Record()), nights)
    assert recorded == {
        "lost.fits": "2026-11-03", "gone.fits": "2026-11-10", "far.fits": "2026-11-10",
        "flat.fits": "2026-12-01",
    }  # fmt: skip
