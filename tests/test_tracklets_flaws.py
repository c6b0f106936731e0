"""The tracklet linker where there is nothing that moves: no false sources, whatever the detector does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ssosd.linker.tracklets.link import Tracklets, link_tracklets
from ssosd.model import STANDING_FLAG
from ssosd.sphere import offsets_arcsec
from tests.tracklets_sky import Night, found, ring, sky

FIVE = (0.0, 0.25, 0.5, 0.75, 1.0)


def link(night: Night) -> Tracklets:
    return link_tracklets(detections=night.table(), pm_low=0.5, pm_up=2000.0, min_detections=4)


@pytest.mark.parametrize(
    "night",
    [
        Night(stars=0, noise=0, hot_pixels=400),
        Night(stars=0, noise=0, hot_pixels=400, dither=0.0),
        Night(hot_pixels=400, drift=(7.0, 3.0), dither=0.0),
        Night(hot_pixels=400, drift=(1.0, 0.5), dither=0.1),
        Night(hot_pixels=400, drift=(7.0, 3.0), dither=0.0, hours=tuple(np.arange(12) * 0.1)),
        Night(stars=2000, noise=300),
        Night(stars=200, noise=300, hours=tuple(np.arange(12) * 0.5)),
    ],
    ids=["hot only", "hot at rest", "hot drift", "slow drift", "12 frames", "noise", "6 h"],
)
def test_no_false_sources(night):
    linked = link(night)
    assert linked.sources.empty
    assert linked.detections.empty


def test_where_there_are_hot_pixels_only_these_are_left_to_their_light():
    """Without a star nothing tells how sharp a star is; none of them is linked with another."""
    linked = link(Night(stars=0, noise=0, hot_pixels=400, drift=(7.0, 3.0), dither=0.5)).detections
    assert ((linked["FLAGS_SSOS"] & STANDING_FLAG) != 0).all()


def test_movers_between_drifting_hot_pixels():
    night = Night(hot_pixels=300, drift=(7.0, 3.0), dither=0.5, movers=ring(10, (40.0, 200.0)))
    best, false = found(link(night).detections, 10)
    assert min(best) >= 4
    assert false == 0


QUAD_AND_ONE = tuple(k / 60.0 for k in (0, 1, 2, 3, 60))


def seen_in_one_visit(n: int) -> dict[int, pd.DataFrame]:
    """Faint sources at rest that are above the limit in the first four frames only, as centroids wander."""
    rng = np.random.default_rng(3)
    at = rng.uniform(-550.0, 550.0, (2, n))
    frames = {}
    for frame in range(4):
        off = rng.normal(0.0, 0.25, (2, n))
        frames[frame] = pd.DataFrame(
            {"x": at[0] + off[0], "y": at[1] + off[1], "snr": rng.uniform(4.0, 5.5, n)}
        )
    return frames


def test_what_is_seen_at_rest_in_one_visit_is_no_mover_with_noise_in_the_next():
    """A quad of exposures in three minutes and one an hour later: a line through two things fits anything."""
    faint = seen_in_one_visit(500)
    alone = link(Night(hours=QUAD_AND_ONE, stars=400, noise=400, extra=faint))
    assert len(alone.sources) <= 1
    movers = ring(12, (25.0, 90.0), reach=300.0)
    best, _ = found(link(Night(hours=QUAD_AND_ONE, noise=400, extra=faint, movers=movers)).detections, 12)
    assert min(best) >= 4


def trains(n_lines: int, n_pieces: int = 40) -> dict[int, pd.DataFrame]:
    """Parallel trails across the field on nearly the same lines in all frames, each in many pieces."""
    rng = np.random.default_rng(5)
    frames = {}
    for frame in range(5):
        rows = []
        for line in range(n_lines):
            angle = 0.5 + 0.01 * line
            s = np.sort(rng.uniform(-700.0, 700.0, n_pieces))
            rows.append(
                pd.DataFrame(
                    {
                        "x": -100.0 + 80.0 * line + s * np.cos(angle),
                        "y": 50.0 + s * np.sin(angle),
                        "snr": rng.uniform(8.0, 20.0, n_pieces),
                        "a": rng.uniform(2.0, 6.0, n_pieces),
                        "theta": np.degrees(angle),
                    }
                )
            )
        frames[frame] = pd.concat(rows, ignore_index=True)
    return frames


@pytest.mark.parametrize("n_lines", [1, 3, 8])
def test_satellite_trains(n_lines):
    quiet = Night(extra=trains(n_lines))
    linked = link(quiet)
    assert linked.sources.empty
    assert any("satellite" in note for note in linked.notes)


def test_movers_beside_a_satellite_train():
    night = Night(extra=trains(3), movers=ring(10, (5.0, 200.0)))
    best, false = found(link(night).detections, 10)
    assert sum(n >= 4 for n in best) >= 9
    assert false == 0


def test_deblending_flips_are_no_slow_movers():
    """Pairs of stars of which now the one, now the other, now both together are detected."""
    rng = np.random.default_rng(8)
    x, y = rng.uniform(-500.0, 500.0, (2, 200))
    angle = rng.uniform(0.0, 2.0 * np.pi, 200)
    extra = {}
    for frame in range(5):
        step = rng.choice([0.0, 0.75, 1.5], 200)
        extra[frame] = pd.DataFrame(
            {
                "x": x + step * np.cos(angle),
                "y": y + step * np.sin(angle),
                "snr": rng.uniform(10.0, 30.0, 200),
            }
        )
    linked = link(Night(extra=extra))
    assert len(linked.sources) <= 1


def test_wandering_centroids_are_no_slow_movers():
    """Galaxies whose centroids scatter three times as much as they claim."""
    rng = np.random.default_rng(9)
    x, y = rng.uniform(-500.0, 500.0, (2, 400))
    extra = {
        frame: pd.DataFrame(
            {"x": x + rng.normal(0.0, 0.4, 400), "y": y + rng.normal(0.0, 0.4, 400), "snr": 8.0}
        )
        for frame in range(5)
    }
    assert len(link(Night(extra=extra)).sources) <= 1


def test_a_column_of_detections_is_no_mover():
    """A bad column breaks into pieces at other places in every frame, while the field drifts across it."""
    rng = np.random.default_rng(10)
    night = Night(drift=(0.0, 5.0), dither=0.0)
    extra = {
        frame: pd.DataFrame(
            {"x": 100.0, "y": rng.uniform(-590.0, 560.0, 60), "snr": 10.0, "a": 3.0, "theta": 90.0}
        )
        for frame in range(5)
    }
    linked = link(replace(night, extra=extra))
    assert linked.sources.empty


def test_expected_false_tracks_follow_the_density():
    movers = ring(8, (20.0, 150.0), snr=5.0)  # as bright as the noise: brightness says nothing
    thin = link(Night(movers=movers, noise=100))
    thick = link(Night(movers=movers, noise=1000))
    assert thin.n_false_expected < thick.n_false_expected
    shared = min(len(thin.sources), len(thick.sources))
    assert thin.sources["SCORE"].head(shared).median() > thick.sources["SCORE"].head(shared).median()


@pytest.mark.parametrize("pixel_arcsec", [1.0, 6.0])
def test_stars_on_coarse_pixels_are_at_rest(pixel_arcsec: float):
    """Their centroids err in proportion: 7 % of the detections were left as movers' on pixels of 6 arcsec."""
    table = Night(stars=3000, noise=100, seed=2, movers=ring(6, (15.0, 60.0))).table()
    x, y = (pixel_arcsec * v for v in offsets_arcsec(table["RA"], table["DEC"], 150.0, 20.0))
    ra, dec = sky(x, y, 150.0, 20.0)
    errors = {name: pixel_arcsec * table[name] for name in ("ERRA_WORLD", "ERRB_WORLD")}
    table = table.assign(RA=ra, DEC=dec, **errors)
    linked = link_tracklets(detections=table, pm_low=0.5, pm_up=2000.0, min_detections=4)
    at_rest = int(linked.notes[0].split()[0])
    assert at_rest > 0.94 * len(table), linked.notes
    best, false = found(linked.detections, 6)
    assert min(best) >= 4
    assert false == 0
