"""What is evidence of a mover and what is not: stars it passes, partners of blends, flips of hot pixels, cosmics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd.linker.tracklets.blends import looks_blended
from ssosd.linker.tracklets.link import Tracklets, link_tracklets
from tests.tracklets_sky import Mover, Night, found

STEP = 0.25  # hours between the five frames of a Night


def link(night: Night) -> Tracklets:
    return link_tracklets(detections=night.table(), pm_low=0.5, pm_up=2000.0, min_detections=4)


def extra(rows: dict[int, dict[str, float]]) -> dict[int, pd.DataFrame]:
    return {frame: pd.DataFrame(row, index=[0]) for frame, row in rows.items()}


def path(rate: float, frame: int) -> float:
    """Distance from the middle of the path, arcsec."""
    return rate * STEP * (frame - 2)


@pytest.mark.parametrize(("star_snr", "expected"), [(10.0, 5), (200.0, 4)], ids=["outshone", "outshining"])
def test_a_mover_in_front_of_a_star(star_snr: float, expected: int):
    """In the middle frame both are one detection; it is the mover's if the mover is the brighter one."""
    both = star_snr + 50.0
    rows = {
        frame: pd.DataFrame(
            {
                "x": [30.0 + path(40.0, frame), 30.0],
                "y": [10.0, 10.0],
                "snr": [50.0, star_snr],
                "mover": [0, -1],
            }
        )
        for frame in (0, 1, 3, 4)
    }
    rows[2] = pd.DataFrame({"x": [30.0], "y": [10.0], "snr": [both], "mover": [0]})
    linked = link(Night(stars=300, noise=20, extra=rows))
    assert found(linked.detections, 1) == ([expected], 0)


@pytest.mark.parametrize("partner", [False, True])
def test_what_stands_beside_a_slow_track_tells_a_blend(partner: bool):
    """One detection 1.5 arcsec beside the path, when the source is elsewhere on it."""
    beside = extra({4: {"x": path(8.0, 0), "y": 1.5, "snr": 8.0}}) if partner else {}
    slow = Mover(east=0.0, north=0.0, rate=8.0, pa=90.0)
    table = Night(stars=300, noise=0, movers=[slow], extra=beside).table()
    pool = link_tracklets(detections=table, pm_low=0.5, pm_up=2000.0, min_detections=4).pool
    own = np.flatnonzero(table["MOVER"].to_numpy()[pool.plane.rows[pool.members]] == 0)
    track = np.full((1, 5), -1, dtype=np.intp)
    track[0, pool.epoch[own]] = own
    assert (track >= 0).all()
    assert looks_blended(pool, track, np.array([8.0])).tolist() == [partner]
    assert not looks_blended(pool, track, np.array([60.0])).any()  # what moves far is not asked


def test_two_hot_pixels_side_by_side_are_no_mover():
    """Now the one, now the other is detected, while the field drifts."""
    drift = (7.0, 3.0)
    rows = extra(
        {
            frame: {"x": 40.0 + flip + drift[0] * frame, "y": 20.0 + drift[1] * frame, "snr": 15.0}
            for frame, flip in enumerate((0.0, 0.0, 1.2, 1.2, 0.0))
        }
    )
    assert link(Night(stars=300, noise=0, dither=0.0, drift=drift, extra=rows)).sources.empty


@pytest.mark.parametrize(("snr", "sources"), [(9.0, 1), (90.0, 0)])
def test_one_bright_flash_among_faint_detections_is_no_mover(snr: float, sources: int):
    rows = {
        frame: {"x": path(60.0, frame), "y": 0.0, "snr": snr if frame == 3 else 9.0} for frame in (0, 1, 3, 4)
    }
    assert len(link(Night(stars=300, noise=0, extra=extra(rows))).sources) == sources


def trail(pieces: int, far: tuple[float, ...]) -> pd.DataFrame:
    """Pieces along a trail of 45 arcsec, and more of them on its line."""
    s = np.array([*np.linspace(-20.0, 20.0, pieces), *far])
    return pd.DataFrame(
        {"x": 0.6 * s, "y": 0.8 * s, "snr": 9.0, "a": 3.0, "theta": np.degrees(np.arctan2(0.8, 0.6))}
    )


@pytest.mark.parametrize(
    ("far", "is_satellite"),
    [((), False), ((-300.0, 250.0), False), (tuple(np.linspace(-400.0, 400.0, 12)), True)],
    ids=["a mover's trail", "something else on its line", "a satellite"],
)
def test_a_trail_is_a_satellites_if_it_goes_on(far: tuple[float, ...], is_satellite: bool):
    linked = link(Night(stars=300, noise=30, extra={2: trail(5, far)}, exptimes_s=(120.0,)))
    assert any("satellite" in note for note in linked.notes) == is_satellite


def test_a_trail_that_crosses_a_satellites_is_left():
    """A fast mover is on a satellite's line in the third of four exposures, its own trail across it."""
    mover = Mover(east=0.8 * 50.0, north=-0.6 * 50.0, rate=600.0, pa=float(np.degrees(np.arctan2(0.8, -0.6))))
    satellite = trail(5, tuple(np.linspace(-400.0, 400.0, 12)))
    satellite = satellite[np.hypot(satellite["x"], satellite["y"]) > 5.0]
    hours = (0.0, 1 / 6, 1 / 3, 1 / 2)
    night = Night(hours=hours, movers=[mover], stars=300, noise=30, extra={1: satellite}, exptimes_s=(120.0,))
    linked = link(night)
    assert any("satellite" in note for note in linked.notes)
    best, false = found(linked.detections, 1)
    assert (best, false) == ([4], 0)
