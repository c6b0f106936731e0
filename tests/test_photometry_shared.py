"""Zero points, calibrated magnitudes and limits of the simulated night against its truth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from ssosd.analysis.photometry.calibrate import calibrate
from ssosd.sphere import unit_vectors

pytestmark = [pytest.mark.shared, pytest.mark.binaries]


@pytest.fixture(scope="module")
def night(sim2_linked):
    """Exposures and detections of both fields, calibrated."""
    done = []
    for linked in sim2_linked.values():
        photometry = calibrate(detections=linked.detections, reference=linked.reference, catalogue="Gaia3")
        done.append((photometry.exposures, photometry.apply(linked.detections)))
    return done


def test_zero_points_of_the_simulated_night(night, shared_data):
    truth = {
        e["image"]: e["zp"]
        for e in json.loads((shared_data / "sim2" / "night.json").read_text())["exposures"]
    }
    for table, _ in night:
        assert len(table) in (3, 5)
        # the truth's counts are electrons, ours ADU
        true = np.array([truth[name.removesuffix(".fz")] for name in table["IMAGE_FILENAME"]])
        off = table["ZP"].to_numpy() - (true - 2.5 * np.log10(1.5))
        assert np.abs(off).max() < 0.03
        assert np.std(off) < 0.005  # from exposure to exposure


def test_magnitudes_of_the_simulated_asteroids(night, shared_data):
    truth = pd.read_csv(shared_data / "sim2" / "truth.csv").query("detectable and unblended")
    pulls, errors = [], []
    for _, detections in night:
        for name, own in detections.groupby("IMAGE_FILENAME"):
            movers = truth[truth["image"] == str(name).removesuffix(".fz")]
            distance, row = cKDTree(unit_vectors(own["RA"], own["DEC"])).query(
                unit_vectors(movers["ra"], movers["dec"])
            )
            near = np.degrees(distance) * 3600.0 < 1.0
            found = own.iloc[row[near]]
            off = found["MAG_CALIB"].to_numpy() - movers["mag"].to_numpy()[near]
            pulls.append(off / found["MAG_CALIB_ERR"].to_numpy())
            errors.append(found["MAG_CALIB_ERR"].to_numpy())
    pull = np.concatenate(pulls)
    assert len(pull) > 250
    assert np.mean(np.abs(pull) < 2.0) >= 0.90
    assert np.median(np.concatenate(errors)) < 0.12  # not by being vague


def test_limits_of_the_simulated_night(night, shared_data):
    """Against what was painted: the fraction of all stars and galaxies of a magnitude that were detected."""
    stars = pd.read_csv(shared_data / "sim2" / "stars.csv")
    for field, (exposures, detections) in zip(("F01", "F02"), night, strict=True):
        for row in exposures.itertuples():
            own = detections[detections["CATALOG_NUMBER"] == row.CATALOG_NUMBER]
            inside = stars[
                (stars["field"] == field)
                & stars["ra"].between(own["RA"].min() + 0.01, own["RA"].max() - 0.01)
                & stars["dec"].between(own["DEC"].min() + 0.01, own["DEC"].max() - 0.01)
            ]
            distance, _ = cKDTree(unit_vectors(own["RA"], own["DEC"])).query(
                unit_vectors(inside["ra"], inside["dec"])
            )
            seen = pd.Series(np.degrees(distance) * 3600.0 < 1.5)
            share = seen.groupby(np.round(inside["mag"].to_numpy() * 4) / 4).mean()
            share = share[share.index > 19]
            true = float(share.index[share < 0.5][0]) - 0.125
            assert 0.0 < row.LIMIT_5SIGMA - true < 0.7
