"""A star in the light of a mover: it is known from the other exposures, and taken out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd.linker.errors import with_position_errors
from ssosd.linker.swallowed import without_swallowed_stars
from ssosd.linker.tracklets.link import link_tracklets
from ssosd.model import SWALLOWED_FLAG
from ssosd.sphere import separation_arcsec
from tests.tracklets_sky import Mover, Night

MOVER = Mover(east=60.0, north=-40.0, rate=20.0, pa=70.0, snr=30.0)
BESIDE = (1.4, 1.9)  # arcsec east and north of the mover's place in the third exposure of five
CHANGED = {"RA", "DEC", "ERR_POSITION", "ERRA_WORLD", "ERRB_WORLD", "MAG", "MAGERR", "FLUX", "FLAGS_SSOS"}


def night(*, star_snr: float = 40.0, alone_in: tuple[int, ...] = (0, 1, 3, 4)) -> pd.DataFrame:
    """Detections with errors; the third of the mover is one with a star's that no other exposure has so."""
    star = pd.DataFrame({"x": [MOVER.east + BESIDE[0]], "y": [MOVER.north + BESIDE[1]], "snr": [star_snr]})
    table = Night(movers=(MOVER,), extra=dict.fromkeys(alone_in, star)).table().reset_index(drop=True)
    both = at(table)
    true = float(table.loc[both, "RA"]), float(table.loc[both, "DEC"])
    share = star_snr / (star_snr + MOVER.snr)
    cos = np.cos(np.radians(true[1]))
    table.loc[both, "RA"] += share * BESIDE[0] / cos / 3600.0
    table.loc[both, "DEC"] += share * BESIDE[1] / 3600.0
    table.loc[both, "FLUX"] += star_snr
    table.loc[both, "MAG"] = -2.5 * np.log10(star_snr + MOVER.snr)
    table.attrs["true"] = true
    return with_position_errors(table)


def at(table: pd.DataFrame) -> int:
    """Row of the mover in the third exposure."""
    return int(np.flatnonzero((table["MOVER"] == 0) & (table["CATALOG_NUMBER"] == 3))[0])


def test_place_and_light_of_the_mover_are_left():
    before = night()
    both, true = at(before), before.attrs["true"]
    kept = before.copy(deep=True)
    after = without_swallowed_stars(before)
    pd.testing.assert_frame_equal(before, kept)
    row, old = after.loc[both], before.loc[both]
    assert separation_arcsec(old["RA"], old["DEC"], *true) > 1.2
    assert separation_arcsec(row["RA"], row["DEC"], *true) < 0.3
    assert row["ERR_POSITION"] > 5.0 * old["ERR_POSITION"]
    assert row["FLUX"] == pytest.approx(MOVER.snr, rel=0.05)
    assert row["MAG"] == pytest.approx(-2.5 * np.log10(MOVER.snr), abs=0.05)
    assert row["FLAGS_SSOS"] == SWALLOWED_FLAG
    differs = (after != before) & ~(after.isna() & before.isna())
    assert list(np.flatnonzero(differs.any(axis=1))) == [both]
    assert set(differs.columns[differs.any()]) == CHANGED


def test_it_is_linked_then_in_all_exposures():
    def detections(table: pd.DataFrame) -> int:
        return int((linked(table)["MOVER"] == 0).sum())

    def linked(table: pd.DataFrame) -> pd.DataFrame:
        return link_tracklets(detections=table, pm_low=0.5, pm_up=300.0, min_detections=4).detections

    before = night()
    assert detections(before) == 4
    assert detections(without_swallowed_stars(before)) == 5


@pytest.mark.parametrize(
    "options",
    [
        {"alone_in": (0, 1, 2, 3, 4)},  # the star has a detection of its own
        {"alone_in": ()},  # there is no star
        {"star_snr": 400.0},  # what is left would be the star's noise
    ],
)
def test_without_a_star_in_it_nothing_changes(options):
    table = night(**options)
    pd.testing.assert_frame_equal(without_swallowed_stars(table), table)


def test_a_full_star_is_no_measure():
    table = night()
    close = separation_arcsec(table["RA"], table["DEC"], *table.attrs["true"]) < 4.0
    full = table.assign(
        FLAGS_EXTRACTION=np.where(close & (table["MOVER"] != 0), 4, table["FLAGS_EXTRACTION"])
    )
    assert (full["FLAGS_EXTRACTION"] == 4).sum() == 4
    pd.testing.assert_frame_equal(without_swallowed_stars(full), full)


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_tables_with_hardly_a_row(rows):
    table = with_position_errors(Night(movers=(MOVER,)).table().head(rows))
    pd.testing.assert_frame_equal(without_swallowed_stars(table), table)
