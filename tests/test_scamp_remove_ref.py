"""REMOVE_REF_SOURCES with the real SCAMP: the stars go, the movers near them stay, nothing moves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd.sphere import separation_arcsec, unit_vectors
from tests.ldac_sky import Mover, Sky, link_sky, of_movers

pytestmark = pytest.mark.binaries


def nearest_star_arcsec(table: pd.DataFrame, stars: pd.DataFrame) -> np.ndarray:
    """Brute force."""
    cosine = unit_vectors(table["RA"], table["DEC"]) @ unit_vectors(stars["RA"], stars["DEC"]).T
    best = cosine.argmax(axis=1)
    return separation_arcsec(
        table["RA"], table["DEC"], stars["RA"].to_numpy()[best], stars["DEC"].to_numpy()[best]
    )


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Movers among 1,500 stars of which each exposure shows six in ten: SCAMP joins movers to the others."""
    rng = np.random.default_rng(2)

    def lose_stars(index, chip, header, objects):
        lost = np.random.default_rng(index).random(len(objects)) < 0.4
        return objects[~lost | (objects["MAG_AUTO"] == np.float32(18.0))]

    movers = [
        Mover(ra=34.5 + 0.024 * (i % 8 - 3.5), dec=13.6 + 0.03 * (i // 8 - 2.0), pmra=p, pmdec=q)
        for i, (p, q) in enumerate(rng.uniform(-55.0, 55.0, (40, 2)))
    ]
    folder = tmp_path_factory.mktemp("crowded")
    written = Sky(ra=34.5, dec=13.6, movers=movers, n_stars=1500, spoil=lose_stars)
    written = written.write(folder / "in")
    one = link_sky(written, folder / "one", crossid_radius_arcsec=25.0)
    two = link_sky(written, folder / "two", crossid_radius_arcsec=25.0, remove_ref_sources=True)
    return written, one, two


def test_exactly_the_detections_of_stars_are_removed(crowded):
    written, one, two = crowded
    away = nearest_star_arcsec(one.detections, written.stars)
    key = ["CATALOG_NUMBER", "EXTENSION", "NUMBER"]
    expected = one.detections.loc[away > 1.5, key].sort_values(key, ignore_index=True)
    assert 100 < len(expected) < 0.1 * len(one.detections)
    pd.testing.assert_frame_equal(two.detections[key].sort_values(key, ignore_index=True), expected)


def test_positions_and_identities_stay_those_of_the_first_pass(crowded):
    _, one, two = crowded
    key = ["CATALOG_NUMBER", "EXTENSION", "NUMBER"]
    both = two.detections.merge(one.detections, on=key, suffixes=("", "_one"), validate="one_to_one")
    assert len(both) == len(two.detections)
    assert separation_arcsec(both["RA"], both["DEC"], both["RA_one"], both["DEC_one"]).max() < 1e-4
    for name in ("XWIN_IMAGE", "YWIN_IMAGE", "FLUX", "MAG", "IMAGE_FILENAME", "MID_EXPOSURE_MJD"):
        np.testing.assert_array_equal(both[name].to_numpy(), both[f"{name}_one"].to_numpy())
    assert one.solved == two.solved
    pd.testing.assert_frame_equal(one.quality, two.quality)


def test_more_movers_are_linked_than_among_the_stars(crowded):
    written, one, two = crowded

    def whole(linked):
        found = of_movers(linked, written)
        sizes = found.groupby(["MOVER", "SOURCE_NUMBER"]).agg(n=("PMRA", "size"), pmra=("PMRA", "first"))
        return sizes[sizes["n"] == 4].reset_index()

    among, alone = whole(one), whole(two)
    assert len(alone) >= 30
    assert len(alone) > len(among) + 5


def test_rates_are_free_of_the_reference(crowded, tmp_path):
    """A mover that SCAMP joins to a star of 2016 seems to stand still; in the second pass it does not."""
    written, _, two = crowded
    found = of_movers(two, written)
    hours = found["MJD_TRUE"] * 24.0
    for _, rows in found.groupby("MOVER"):
        if rows["SOURCE_NUMBER"].nunique() > 1 or len(rows) < 3:
            continue
        true = np.polyfit(
            hours[rows.index] - hours[rows.index].mean(),
            (rows["DEC_TRUE"] - rows["DEC_TRUE"].mean()) * 3600.0,
            1,
        )
        assert rows["PMDEC"].iloc[0] == pytest.approx(true[0], abs=0.8)


def test_no_detection_left_is_a_normal_night(tmp_path):
    written = Sky(ra=34.5, dec=13.6).write(tmp_path / "in")
    linked = link_sky(written, tmp_path / "out", remove_ref_sources=True)
    assert linked.detections.empty
    assert list(linked.detections.columns)[:3] == ["SOURCE_NUMBER", "CATALOG_NUMBER", "EXTENSION"]
    assert linked.detections["SOURCE_NUMBER"].dtype == np.int64
    assert len(linked.exposures) == 4
    assert len(linked.reference) > 100
