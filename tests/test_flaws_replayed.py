"""Flaws through the whole corridor with the real programs: nothing false, no crash, and movers are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ssosd.analysis.painter.artefacts import add_satellites
from ssosd.analysis.painter.night import PaintedNight, PlacedMover
from ssosd.analysis.truth import compare_with_truth
from tests.replaying import Outcome, run
from tests.sky import small_sky

pytestmark = pytest.mark.binaries

#: From 12 to 300 arcsec/h.
MOVERS = tuple(
    PlacedMover(name=f"M{k}", east_arcsec=east, north_arcsec=north, rate_arcsec_h=rate, pa_deg=pa, mag=18.0)
    for k, (east, north, rate, pa) in enumerate(
        [
            (80.0, 120.0, 12.0, 70.0),
            (-110.0, 60.0, 40.0, 200.0),
            (90.0, -100.0, 110.0, 330.0),
            (0.0, 0.0, 300.0, 250.0),
        ]
    )
)
FIELD: dict[str, Any] = {
    "exposures": 5, "size_px": (512, 512), "stars": 250, "star_mags": (13.0, 22.5), "galaxies": 60,
    "galaxy_mags": (17.0, 22.0), "cosmics": 4.0, "hot_pixels": 20, "bad_columns": 1, "placed": (),
}  # fmt: skip
HOT = {"hot_pixels": 600, "bad_columns": 4, "dither_arcsec": 0.5, "pointing_error_arcsec": 1.0}
FLAWS: dict[str, dict[str, Any]] = {
    "hot pixels": HOT,
    "drifting hot pixels": HOT | {"drift_arcsec": (7.0, 3.0)},
    "satellite train": {},
    "a clouded frame": {"clouds": ((3, 3.0),)},
    "an opaque frame": {"clouds": ((3, 9.0),)},
    "the same instant": {"visit_offsets_min": (0.0, 15.0, 15.0, 30.0, 45.0), "jitter_s": 0.0},
}


def replayed(folder: Path, night: PaintedNight) -> Outcome:
    return run(folder / "out", night.directory, reference=night.refcat)


def add_train(night: PaintedNight) -> None:
    """Six parallel satellites, some so faint that they are detected in pieces, on other lines in each frame."""
    for number, path in enumerate(night.paths):
        with fits.open(path, mode="update") as hdus:
            image = hdus[0].data.astype(np.float64)
            for k, charge in enumerate((60.0, 80.0, 120.0, 200.0, 400.0, 900.0)):
                line = np.array([[100.0 + 50.0 * k + 23.0 * number, 256.0, 1.1 + 0.004 * k, 1.0]])
                add_satellites(image, line, sigma_px=1.1, charge_e=charge)
            hdus[0].data = np.clip(np.rint(image), 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("flaw", FLAWS)
def test_nothing_false(flaw: str, tmp_path: Path) -> None:
    """Nothing but the movers is found; one of the four may be behind a star or a flaw."""
    night = small_sky(tmp_path / "raw", **(FIELD | {"placed": MOVERS, "seed": 5} | FLAWS[flaw]))
    if flaw == "satellite train":
        add_train(night)
    outcome = replayed(tmp_path, night)
    assert outcome.states == {"F01": "done"}
    compared = compare_with_truth(outcome.candidates, night.truth)
    assert compared.n_false == 0
    assert compared.movers["found"].sum() >= 3


def test_hot_pixels_alone(tmp_path: Path) -> None:
    """A closed dome: no star can be matched; the sequence is parked, the night has no candidates."""
    dome = {"clouds": tuple((visit, 30.0) for visit in range(1, 6))}
    night = small_sky(tmp_path / "raw", **(FIELD | HOT | {"placed": MOVERS} | dome))
    outcome = replayed(tmp_path, night)
    assert outcome.states == {"F01": "parked"}
    assert outcome.done.n_extracted == 5
    assert outcome.done.n_candidates == 0


def test_stars_that_are_seen_now_and_then_are_no_slow_mover(tmp_path: Path) -> None:
    """A field visited again after five and a half hours: faint stars are detected now here, now there."""
    visits = (0.0, 10.0, 20.0, 30.0, 330.0, 340.0, 350.0, 360.0)
    night = small_sky(
        tmp_path / "raw",
        exposures=8, size_px=(640, 640), stars=450, star_mags=(12.0, 22.5), galaxies=100, cosmics=5.0,
        galaxy_mags=(17.0, 22.0), hot_pixels=30, bad_columns=1, curvature_per_h=0.003, placed=(), seed=12,
        visit_offsets_min=visits,
    )  # fmt: skip
    outcome = replayed(tmp_path, night)
    assert "light stays" in " ".join(outcome.ledger()["reason"])
    compared = compare_with_truth(outcome.candidates, night.truth)
    assert compared.n_false == 0
    assert compared.n_found >= compared.n_eligible - 1
