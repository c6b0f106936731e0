"""SExtractor and SCAMP on the simulated night and on real frames, against their truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssosd import astromatic
from ssosd.ingest.exposure import read_exposure
from ssosd.linker.scamp.link import Linked, link
from ssosd.model import Exposure, HeaderKeywords
from ssosd.plumbing.resources import shipped
from ssosd.sphere import separation_arcsec
from tests.sky import catalogue_of

pytestmark = [pytest.mark.binaries, pytest.mark.shared]


def catalogue(path: Path, folder: Path, keywords: HeaderKeywords) -> tuple[Exposure, Path]:
    exposure = read_exposure(path, keywords=keywords, extensions=None)
    return exposure, catalogue_of(exposure, folder, config="seed.sex")


def run(frames: list[tuple[Exposure, Path]], folder: Path, **changes: object) -> Linked:
    folder.mkdir()
    arguments: dict[str, object] = {
        "exposures": [exposure for exposure, _ in frames],
        "catalogues": [path for _, path in frames],
        "binary": astromatic.find("scamp"),
        "config": shipped("semp/ssos.scamp"),
        "remove_ref_sources": False,
        "workdir": folder,
        "time_limit_s": 120.0,
    }
    return link(**{**arguments, **changes})


@pytest.fixture(scope="module")
def field(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sim2")
    paths = sorted((shared_data / "sim2").glob("*_F01_*.fits.fz"))
    return [catalogue(path, folder, HeaderKeywords()) for path in paths]


def movers_linked(linked: Linked, truth: pd.DataFrame) -> pd.DataFrame:
    """Sources of which 4 detections or more are one mover: MOVER, n, and motions found and true."""
    table = linked.detections.assign(MOVER="")
    for name, rows in table.groupby("IMAGE_FILENAME"):
        there = truth[(truth["image"] == name.removesuffix(".fz")) & truth["on_detector"]]
        apart = np.hypot(
            rows["XWIN_IMAGE"].to_numpy()[:, None] - there["x"].to_numpy(),
            rows["YWIN_IMAGE"].to_numpy()[:, None] - there["y"].to_numpy(),
        )
        best = apart.argmin(axis=1)
        own = (apart.min(axis=1) < 3.0) & (apart[:, best].argmin(axis=0) == np.arange(len(rows)))
        table.loc[rows.index[own], "MOVER"] = there["id"].to_numpy()[best[own]]
    found = table[table["MOVER"] != ""].groupby(["MOVER", "SOURCE_NUMBER"])
    sizes = found.agg(n=("PM", "size"), PMRA=("PMRA", "first"), PMDEC=("PMDEC", "first")).reset_index()
    rates = truth[truth["visit"] == 3].set_index("id")[["rate", "pa"]]
    return sizes[sizes["n"] >= 4].join(rates, on="MOVER")


@pytest.mark.parametrize(
    ("radius", "remove", "at_least"),
    [(10.0, False, 15), (25.0, False, 20), (40.0, False, 22), (40.0, True, 24)],
)
def test_movers_of_the_simulated_night(field, shared_data, tmp_path, radius, remove, at_least):
    """The seed's chain finds 29 of 113 at 10 arcsec, 37 at 25 and 40, in this field and another."""
    frames = field
    linked = run(
        frames,
        tmp_path / "out",
        reference=shared_data / "sim2" / "refcat_F01.cat",
        crossid_radius_arcsec=radius,
        remove_ref_sources=remove,
    )
    assert len(linked.exposures) == 5
    assert (linked.quality["N_MATCHED"] > 1500).all()
    truth = pd.read_csv(shared_data / "sim2" / "truth.csv")
    good = truth[(truth["field"] == "F01") & truth["on_detector"] & truth["unblended"] & (truth["snr"] > 5)]
    eligible = good.groupby("id").size().loc[lambda n: n >= 4].index
    movers = movers_linked(linked, truth)
    assert movers.loc[movers["MOVER"].isin(eligible), "MOVER"].nunique() >= at_least
    east = movers["rate"] * np.sin(np.radians(movers["pa"]))
    north = movers["rate"] * np.cos(np.radians(movers["pa"]))
    assert np.hypot(movers["PMRA"] - east, movers["PMDEC"] - north).median() < 0.3


def test_positions_of_the_simulated_stars(field, shared_data, tmp_path):
    frames = field
    linked = run(
        frames,
        tmp_path / "out",
        reference=shared_data / "sim2" / "refcat_F01.cat",
        crossid_radius_arcsec=10.0,
    )
    stars = pd.read_csv(shared_data / "sim2" / "stars.csv").query(
        "field == 'F01' and kind == 'star' and mag < 18"
    )
    bright = linked.detections[linked.detections["SNR_WIN"] > 50]
    apart = np.array(
        [
            separation_arcsec(bright["RA"], bright["DEC"], ra, dec).min()
            for ra, dec in stars[["ra", "dec"]].sample(150, random_state=1).to_numpy()
        ]
    )
    assert np.median(apart) < 0.05
    assert (apart < 0.5).mean() > 0.7


def test_real_frames(shared_data, tmp_path):
    """Frames with WCS numbers as strings, PV terms and an overscan; the three known movers are there."""
    keywords = HeaderKeywords(date_obs="DATE-OBS+UTC-OBS")
    paths = sorted((shared_data / "lowell12").glob("*.fits.fz"))[2:8]
    frames = [catalogue(path, tmp_path, keywords) for path in paths]
    linked = run(
        frames,
        tmp_path / "out",
        reference=shared_data / "lowell12" / "lowell5945_ref_ldac.cat",
        crossid_radius_arcsec=25.0,
    )
    assert len(linked.exposures) == 6
    truth = pd.read_csv(shared_data / "lowell12" / "truth_movers.csv")
    asteroid = truth[truth["mover"] == "A_5945"].set_index("image")
    table = linked.detections
    hits = []
    for name, rows in table.groupby("IMAGE_FILENAME"):
        there = asteroid.loc[name.removesuffix(".fz")]
        away = separation_arcsec(rows["RA"], rows["DEC"], there["ra_nbody"], there["dec_nbody"])
        hits.append((away.min(), int(rows["SOURCE_NUMBER"].iloc[int(away.argmin())])))
    assert np.mean([away for away, _ in hits]) < 0.15
    assert len({source for _, source in hits}) == 1
