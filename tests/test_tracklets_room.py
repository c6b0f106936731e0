"""The tracklet linker in crowds and long sequences: what is worked on in one go has a bound."""

from __future__ import annotations

import numpy as np
import pytest

from ssosd.linker.tracklets import collect, streaks
from ssosd.linker.tracklets.link import link_tracklets
from ssosd.linker.tracklets.plane import Plane, project
from tests.tracklets_sky import Night, found, ring


@pytest.fixture(scope="module")
def crowd() -> Plane:
    """Some hundreds of pieces that point anywhere, and a dozen along one line of the first exposure."""
    plane = project(Night(hours=(0.0, 0.25), stars=0, noise=700, seed=5).table())
    rng = np.random.default_rng(6)
    plane.stretch[:] = rng.uniform(1.0, 3.0, plane.x.size) * np.exp(
        1j * rng.uniform(-np.pi, np.pi, plane.x.size)
    )
    plane.elongation[:] = 2.0
    line = np.flatnonzero(plane.epoch == 0)[:12]
    along = np.linspace(-500.0, 500.0, line.size)
    plane.x[line], plane.y[line] = along * np.cos(2.0), along * np.sin(2.0)
    plane.stretch[line] = 3.0 * np.exp(4j)
    return plane


def test_lines_of_a_crowd_are_compared_with_few_pieces_at_a_time(crowd: Plane, monkeypatch):
    """All lines against all pieces took 2.7 GB where 18,000 pieces were in an exposure."""
    pieces = np.flatnonzero(crowd.epoch == 0)
    rng = np.random.default_rng(7)
    angle = np.concatenate([rng.uniform(-np.pi, np.pi, 998), [2.0, 2.0 - np.pi]])
    at = rng.choice(pieces, angle.size)
    at[-2:] = pieces[0]
    x0, y0 = crowd.x[at], crowd.y[at]
    sizes = []
    offset = streaks._offset

    def seen(*args):
        sizes.append(args[1].size * args[2].size)
        return offset(*args)

    monkeypatch.setattr(streaks, "_offset", seen)
    on, far = streaks._pieces_on(crowd, pieces, (x0, y0, angle), 100.0)
    assert max(sizes) < 0.3 * streaks.AT_ONCE * pieces.size
    alone = [streaks._aligned(crowd, pieces, a) for a in angle]
    hit = np.array(alone) & (offset(crowd, pieces, x0, y0, angle) < streaks.HALF_WIDTH)
    reach = [
        np.abs((crowd.x[pieces] - x) * np.cos(a) + (crowd.y[pieces] - y) * np.sin(a))
        for x, y, a in zip(x0, y0, angle, strict=True)
    ]
    assert on.tolist() == hit.sum(axis=1).tolist()
    assert far.tolist() == (hit & (np.array(reach) > 100.0)).sum(axis=1).tolist()
    assert on[-1] == on[-2] >= 12


@pytest.mark.parametrize("most", [streaks.MANY_PAIRS, 8_000])
def test_a_satellite_in_a_crowd_is_found_with_a_sample_of_the_pairs(crowd: Plane, monkeypatch, most: int):
    monkeypatch.setattr(streaks, "MANY_PAIRS", most)
    everything = np.ones(crowd.x.size, dtype=bool)
    on, _ = streaks.satellite_trails(crowd, everything, longest=np.zeros(2))
    line = np.flatnonzero(crowd.epoch == 0)[:12]
    assert on[line].all()
    assert on.mean() < 0.1


def test_tracks_are_begun_a_few_pairs_at_a_time(monkeypatch):
    """Of many exposures fewer pairs, as a track has a place for each: the tracks are the same."""
    hours = np.linspace(0.0, 2.0, 20)
    table = Night(hours=hours.tolist(), stars=150, noise=20, movers=ring(4, (20.0, 200.0))).table()
    first_hits, lengths = collect.first_hits, []

    def seen(pool, pairs, **more):
        lengths.append(len(pairs))
        return first_hits(pool, pairs, **more)

    monkeypatch.setattr(collect, "first_hits", seen)
    linked = []
    for places in (collect.PLACES_AT_ONCE, 2_000):
        monkeypatch.setattr(collect, "PLACES_AT_ONCE", places)
        linked.append(link_tracklets(detections=table, pm_low=0.5, pm_up=2000.0, min_detections=4))
    assert max(lengths[1:]) == 100 < lengths[0]
    assert linked[0].detections.equals(linked[1].detections)
    assert min(found(linked[0].detections, 4)[0]) >= 18


def test_the_epochs_around_a_pair_are_the_nearest():
    rng = np.random.default_rng(8)
    for times in (np.arange(12.0), np.sort(rng.uniform(0.0, 9.0, 25)), np.arange(3.0), np.arange(2.0)):
        around = collect._epochs_around(times, 6)
        for i in range(times.size):
            for j in range(times.size):
                others = np.setdiff1d(np.arange(times.size), [i, j])
                away = np.abs(times[others] - 0.5 * (times[i] + times[j]))
                nearest = others[np.argsort(away, kind="stable")][: around.shape[2]]
                assert around[i, j].tolist() == nearest.tolist()
