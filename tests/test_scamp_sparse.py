"""Fields with few reference stars: the joint solution must not bend to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssosd.analysis.painter.options import MoverClass
from ssosd.analysis.truth import compare_with_truth
from ssosd.sphere import separation_arcsec
from tests.replaying import run
from tests.sky import small_sky


@pytest.mark.binaries
def test_twenty_stars_do_not_bend_a_field(tmp_path: Path) -> None:
    """Pairs within a CROSSID_RADIUS of 10 arcsec leave small residuals and places that are 0.7 arcsec off."""
    sky = small_sky(
        tmp_path / "raw", size_px=(600, 600), stars=20, star_mags=(12.0, 18.0), galaxies=5, galaxy_mags=(17.0, 22.0),
        exposures=5, cosmics=5.0, hot_pixels=50, bad_columns=1, placed=(), curvature_per_h=0.003, seed=4,
        movers=(MoverClass(name="m", count=20, rate_arcsec_h=(20.0, 60.0), mag=(16.0, 20.0)),),
    )  # fmt: skip
    outcome = run(tmp_path / "out", sky.directory, reference=sky.refcat)
    compared = compare_with_truth(outcome.candidates, sky.truth)
    assert compared.n_false <= 1
    assert compared.n_found >= compared.n_eligible - 1
    pairs = outcome.candidates.merge(sky.truth, left_on="IMAGE_FILENAME", right_on="image")
    off = separation_arcsec(pairs["RA"], pairs["DEC"], pairs["ra"], pairs["dec"])
    near = off < 3.0
    assert np.median(off[near]) < 0.1
    assert np.mean(off[near] > 3.0 * np.sqrt(2.0) * pairs["ERR_POSITION"].to_numpy()[near]) < 0.03
