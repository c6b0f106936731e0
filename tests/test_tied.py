"""Positions tied to the reference stars: what all exposures have in common against them goes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd.linker.tied import tied_to_reference
from ssosd.sphere import from_offsets_arcsec, offsets_arcsec, separation_arcsec

HALF = 900.0  # arcsec


def field(dec: float, *, stars: int = 500) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Detections at their true places, the same bent by 0.08 arcsec in the corners, and reference stars."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-HALF, HALF, (2, stars))
    error = 0.03 * rng.standard_normal((2, stars))  # of the reference, arcsec
    ra, dec_ref = from_offsets_arcsec(x + error[0], y + error[1], 0.0, dec)
    reference = pd.DataFrame({"RA": ra, "DEC": dec_ref, "MAG": 15.0})
    u, v = x / HALF, y / HALF
    east, north = 0.04 * (u * v + u**2), 0.04 * (v**3 - u)

    def exposures(dx: np.ndarray | float, dy: np.ndarray | float) -> pd.DataFrame:
        ra, dec_now = from_offsets_arcsec(x + dx, y + dy, 0.0, dec)
        one = pd.DataFrame({"RA": ra, "DEC": dec_now, "SNR_WIN": 60.0, "FLAGS_EXTRACTION": 0})
        return pd.concat([one.assign(CATALOG_NUMBER=k) for k in (1, 2, 3)], ignore_index=True)

    return exposures(0.0, 0.0), exposures(east, north), reference


def off(table: pd.DataFrame, flat: pd.DataFrame) -> float:
    """Median distance from the true places, arcsec."""
    return float(np.median(separation_arcsec(table["RA"], table["DEC"], flat["RA"], flat["DEC"])))


@pytest.mark.parametrize("dec", [12.0, -89.97])  # the pole is in the second field
def test_a_pattern_of_the_field_goes(dec: float) -> None:
    flat, bent, reference = field(dec)
    tied = tied_to_reference(bent, reference)
    assert off(tied, flat) < 0.25 * off(bent, flat)


def test_what_is_at_rest_stays_at_rest() -> None:
    _, bent, reference = field(12.0)
    tied = tied_to_reference(bent, reference)
    x, y = offsets_arcsec(tied["RA"], tied["DEC"], 0.0, 12.0)
    assert np.ptp(np.reshape(x, (3, -1)), axis=0).max() < 1e-6
    assert np.ptp(np.reshape(y, (3, -1)), axis=0).max() < 1e-6


def test_faint_full_and_strange_detections_have_no_say() -> None:
    flat, bent, reference = field(12.0)
    wrong = bent.copy()
    wrong.loc[wrong.index % 4 == 0, "SNR_WIN"] = 8.0
    wrong.loc[wrong.index % 4 == 1, "FLAGS_EXTRACTION"] = 4
    wrong.loc[wrong.index % 4 < 2, "DEC"] += 0.5 / 3600.0
    strange = wrong.index % 20 == 2
    wrong.loc[strange, "RA"] -= 0.7 / 3600.0
    tied = tied_to_reference(wrong, reference)
    sound = (wrong.index % 4 > 1) & ~strange
    assert off(tied[sound], flat[sound]) < 0.35 * off(bent, flat)


def test_few_stars_change_nothing() -> None:
    _, bent, reference = field(12.0)
    pd.testing.assert_frame_equal(tied_to_reference(bent, reference.iloc[:20]), bent)
    pd.testing.assert_frame_equal(tied_to_reference(bent, reference.iloc[:0]), bent)
    pd.testing.assert_frame_equal(tied_to_reference(bent.iloc[:0], reference), bent.iloc[:0])


def test_rows_without_a_position_stay() -> None:
    _, bent, reference = field(12.0)
    bent.loc[3, "RA"] = float("nan")
    tied = tied_to_reference(bent, reference)
    assert np.isnan(tied["RA"].iloc[3])
    assert tied["DEC"].iloc[3] == bent["DEC"].iloc[3]
