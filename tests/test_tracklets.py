"""The tracklet linker on made-up detections: everything that moves, nothing that does not."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from ssosd.errors import Misconfigured
from ssosd.filters.chain import ChainSettings, run_chain
from ssosd.linker.tracklets import pairs
from ssosd.linker.tracklets.link import Tracklets, link_tracklets
from ssosd.linker.tracklets.plane import project
from ssosd.linker.tracklets.table import SOURCE_COLUMNS
from ssosd.model import PIECES_FLAG
from ssosd.sphere import offsets_arcsec, wrap_deg
from tests.tracklets_sky import MJD0, Mover, Night, found, ring

FIVE = (0.0, 0.25, 0.5, 0.75, 1.0)


def link(table: pd.DataFrame, **changes: float) -> Tracklets:
    settings = {"pm_low": 0.5, "pm_up": 2000.0, "min_detections": 4, **changes}
    return link_tracklets(detections=table, **settings)


def all_found(night: Night, at_least: int, **changes: float) -> Tracklets:
    linked = link(night.table(), **changes)
    best, false = found(linked.detections, len(night.movers))
    assert min(best) >= at_least, best
    assert false == 0
    assert len(linked.sources) == len(night.movers)
    return linked


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ra": 0.0, "dec": -5.0},
        {"dec": 89.95},
        {"dec": -90.0},
        {"chips": 3},
        {"exptimes_s": (30.0, 180.0, 60.0), "filters": ("g", "r"), "zero_points": (0.0, 0.8, 0.3)},
        {"hours": (0.0, 0.1, 0.3, 0.9, 1.1)},
        {"hours": (0.0, 0.25, 0.5, 0.75, 1.0, 1.25), "dither": 0.0, "hot_pixels": 200},
    ],
    ids=["plain", "RA 0", "pole", "south pole", "mosaic", "unequal", "uneven", "no dither"],
)
def test_movers_from_3_to_300_arcsec_an_hour(changes):
    all_found(Night(movers=ring(16, (3.0, 300.0)), **changes), 5)


def test_slow_movers_are_not_eaten_with_the_stars():
    all_found(Night(movers=ring(12, (1.0, 6.0))), 5)


def test_a_very_slow_mover_needs_a_long_arc():
    slow = ring(6, (0.3, 1.0), snr=40.0)
    all_found(Night(movers=slow, hours=tuple(np.arange(10) * 0.8)), 8, pm_low=0.1)
    assert link(Night(movers=slow, hours=tuple(np.arange(5) * 0.02)).table()).sources.empty


def test_fast_movers():
    all_found(Night(movers=ring(8, (300.0, 1000.0), reach=100.0), exptimes_s=(60.0,)), 4)


def test_fast_movers_that_have_left_when_the_field_is_seen_again():
    """Four exposures within three minutes, others half an hour later: there a pair predicts nothing."""
    hours = tuple(k / 60.0 for k in (0, 1, 2, 3, 30, 31, 32, 33))
    early = 0.5 * (hours[0] + hours[3]) - 0.5 * (hours[0] + hours[-1])  # from the middle of the night
    movers = []
    for m in ring(10, (900.0, 1900.0), reach=300.0):
        pa, back = np.radians(m.pa), m.rate * early
        place = {"east": m.east - back * np.sin(pa), "north": m.north - back * np.cos(pa)}
        movers.append(Mover(**{**vars_of(m), **place}))
    all_found(Night(hours=hours, exptimes_s=(45.0,), movers=movers, noise=150), 4)


def test_fast_movers_in_a_crowd(monkeypatch):
    """Too many detections to pair all: beyond the reach only what is drawn out is sought, and a person is told."""
    night = Night(movers=ring(8, (500.0, 1200.0), reach=100.0), noise=700, exptimes_s=(60.0,), size=1500.0)
    monkeypatch.setattr(pairs, "BUDGET", 10_000_000)
    monkeypatch.setattr(pairs, "BUDGET_OF_TWO", 1_000_000)
    linked = all_found(night, 4)
    assert linked.unsought == ()
    monkeypatch.setattr(pairs, "BUDGET_OF_TWO", 4_000)
    crowded = all_found(night, 4)
    assert crowded.unsought[0].startswith("too crowded to seek all motions above 3")
    assert sorted(crowded.sources["PM"].round(1)) == sorted(linked.sources["PM"].round(1))


def test_where_stars_are_long_trails_that_is_said():
    """Stars of 2.4" FWHM, drawn out by 9.8" along position angle 70, as SExtractor has it."""
    drawn = Night().table().assign(AWIN_IMAGE=3.0, BWIN_IMAGE=1.0, THETAWIN_IMAGE=160.0)
    (said,) = link(drawn).unsought
    assert said.startswith("stars are trails of 10 arcsec or more")
    assert link(drawn.assign(AWIN_IMAGE=2.0)).unsought == ()


def test_one_absurd_shape_changes_nothing_for_the_others():
    """A detection with axes of 3000 pixels: how often others are as long as a trail is told as before."""
    table = Night(movers=ring(8, (300.0, 1000.0), reach=100.0), exptimes_s=(60.0,)).table()
    noise = table.index[(table["MOVER"] < 0) & (table["SNR_WIN"] < 6.0)][0]
    absurd = table.copy()
    absurd.loc[noise, "AWIN_IMAGE"] = 3000.0
    without = table.drop(index=noise).reset_index(drop=True)
    before, after = (np.sort(link(t).sources["SCORE"]) for t in (without, absurd))
    assert after == pytest.approx(before, abs=1.0)  # dex; it was 6.7


def test_faint_movers():
    all_found(Night(movers=ring(16, (8.0, 300.0), snr=6.0)), 5)


def test_rates_positions_and_errors():
    night = Night(ra=359.99, dec=70.0, movers=ring(16, (3.0, 300.0)))
    linked = all_found(night, 5)
    which = linked.detections.groupby("SOURCE_NUMBER")["MOVER"].agg(lambda m: m.mode()[0])
    sources = linked.sources.set_index("SOURCE_NUMBER").join(which)
    truth = [night.movers[k] for k in sources["MOVER"]]
    # position angles turn with RA near the pole: the rates are those at the source
    places = linked.detections.groupby("SOURCE_NUMBER")[["RA", "DEC"]].nth(2)
    turn = np.radians(wrap_deg(places["RA"].to_numpy() - 359.99)) * np.sin(np.radians(70.0))
    pa = np.radians([m.pa for m in truth]) + turn
    rate = np.array([m.rate for m in truth])
    for name, want in (("PMRA", rate * np.sin(pa)), ("PMDEC", rate * np.cos(pa))):
        pull = (sources[name] - want) / sources[f"{name}_ERR"]
        assert np.abs(pull).max() < 4.5
        assert np.abs(sources[name] - want).max() < 0.02 * rate.max()
    assert np.allclose(sources["PM"], np.hypot(sources["PMRA"], sources["PMDEC"]))
    assert (sources["CHI2_DOF"] < 3.0).all()
    assert (sources["N_DETECTIONS"] == 5).all()
    assert sources["SCORE"].is_monotonic_decreasing
    assert linked.n_false_expected < 0.1


def test_the_result_is_a_detections_table_that_the_chain_takes():
    table = Night(movers=ring(10, (10.0, 100.0))).table()
    before = table.copy()
    linked = link(table)
    pd.testing.assert_frame_equal(table, before)
    assert list(linked.detections.columns) == [*table.columns, "LINKED_BY"]
    assert list(linked.sources.columns) == list(SOURCE_COLUMNS)
    keys = linked.detections[["SOURCE_NUMBER", "CATALOG_NUMBER"]]
    assert not keys.duplicated().any()
    assert keys.equals(keys.sort_values(["SOURCE_NUMBER", "CATALOG_NUMBER"]))
    assert (linked.detections["FLAGS_SCAMP"] & 64 == 0).all()
    settings = ChainSettings(
        filter_detec=True, detections=(1, 2, 3), filter_pm=True, pm_low=1.0, pm_up=2000.0, pm_snr=20.0,
        filter_pixel=False, delta_pixel=2.0, filter_motion=True, motion_fit="SEED", identify_outlier=False,
        outlier_threshold=2.0, r_squ_m=0.9, filter_trail=False, ratio=0.25, filter_bright_sources=False,
        distance=10.0, mag_limits=(-99.0, 99.0),
    )  # fmt: skip
    assert run_chain(linked.detections, settings=settings).candidates["SOURCE_NUMBER"].nunique() >= 8


def test_order_of_rows_and_repetition_change_nothing():
    table = Night(movers=ring(12, (2.0, 500.0), reach=200.0), noise=300).table()
    first, again = link(table), link(table)
    pd.testing.assert_frame_equal(first.detections, again.detections)
    mixed = link(table.sample(frac=1.0, random_state=1))
    pd.testing.assert_frame_equal(first.sources, mixed.sources)
    pd.testing.assert_frame_equal(first.detections, mixed.detections)


def test_against_brute_force():
    """Every set of four detections on a line at a uniform rate, found by looking at all of them."""
    hours = (0.0, 0.3, 0.6, 0.9)
    night = Night(hours=hours, stars=0, noise=25, size=600.0, movers=ring(5, (10.0, 150.0), reach=150.0))
    table = night.table()
    x, y = offsets_arcsec(table["RA"].to_numpy(), table["DEC"].to_numpy(), night.ra, night.dec)
    frames = [np.flatnonzero(table["CATALOG_NUMBER"] == k + 1) for k in range(4)]
    sigma = table["ERRA_WORLD"].to_numpy() * 3600.0
    t = np.array(hours)
    lines = set()
    for chosen in itertools.product(*frames[:2]):
        i, j = chosen
        for k in frames[2]:
            if max(abs(2 * x[j] - x[i] - x[k]), abs(2 * y[j] - y[i] - y[k])) > 4.0:
                continue
            for m in frames[3]:
                rows = [i, j, k, m]
                chi2 = 0.0
                for v in (x, y):
                    fit = np.polyfit(t, v[rows], 1, w=1.0 / sigma[rows])
                    chi2 += float((((v[rows] - np.polyval(fit, t)) / sigma[rows]) ** 2).sum())
                if chi2 < 12.0:
                    lines.add(tuple(int(r) for r in rows))
    linked = link(table, max_chance=1e9)
    ours = set()
    for _, rows in linked.detections.groupby("SOURCE_NUMBER"):
        key = rows[["RA", "DEC"]].apply(tuple, axis=1)
        ours.add(tuple(int(table.index[(table["RA"] == r) & (table["DEC"] == d)][0]) for r, d in key))
    movers = {rows for rows in lines if (table["MOVER"].to_numpy()[list(rows)] >= 0).all()}
    assert len(movers) == 5
    assert movers <= ours
    assert len({r for rows in ours for r in rows}) == sum(len(rows) for rows in ours)


def test_curvature_grows_with_the_arc():
    """Parallax bends the path by 2 arcsec in 8 h; a kink is not taken for it."""
    bent = [Mover(**{**vars_of(m), "acceleration": 0.38}) for m in ring(10, (10.0, 40.0))]
    linked = all_found(Night(hours=tuple(np.linspace(0.0, 8.0, 12)), movers=bent), 12)
    assert linked.sources["ACCELERATION"].between(0.2, 0.6).all()
    all_found(Night(hours=(0.0, 0.2, 0.4, 4.0, 4.2, 4.4), movers=bent), 6)
    impossible = [Mover(**{**vars_of(m), "acceleration": 60.0}) for m in ring(6, (10.0, 40.0))]
    assert link(Night(hours=FIVE, movers=impossible, noise=0).table()).sources.empty


def test_near_a_standstill_the_parallax_of_a_near_object_is_no_kink():
    """What moves as the Earth does, 0.6 AU away, has the observer's parallax and hardly any motion of its own."""
    bent = [Mover(**{**vars_of(m), "acceleration": 0.8}) for m in ring(10, (3.0, 6.0))]
    all_found(Night(hours=tuple(np.linspace(0.0, 5.25, 8)), movers=bent), 8)


def vars_of(mover: Mover) -> dict[str, float]:
    return dict(mover.__dict__)


def test_three_exposures_and_many():
    all_found(Night(hours=(0.0, 0.3, 0.7), movers=ring(12, (8.0, 200.0), snr=30.0)), 3, min_detections=3)
    many = Night(hours=tuple(np.arange(100) * 0.02), stars=300, noise=50, movers=ring(8, (3.0, 300.0)))
    all_found(many, 95)


def test_a_clouded_frame_in_the_middle():
    """Five fields: chance may make one track in ten of them."""
    false = 0
    for seed in range(1, 6):
        night = Night(zero_points=(0.0, 0.0, 6.0, 0.0, 0.0), movers=ring(12, (3.0, 300.0)), seed=seed)
        best, extra = found(link(night.table()).detections, 12)
        assert min(best) >= 4
        false += extra
    assert false <= 1


def test_two_frames_of_the_same_instant():
    night = Night(hours=(0.0, 0.25, 0.25, 0.5, 0.75), movers=ring(12, (3.0, 300.0)))
    linked = all_found(night, 4)
    assert not linked.detections[["SOURCE_NUMBER", "MID_EXPOSURE_MJD"]].duplicated().any()
    assert link(Night(hours=(0.0,) * 5, movers=night.movers).table()).sources.empty


def test_what_may_not_be_linked_still_tells_how_deep_an_exposure_is():
    """With REMOVE_REF_SOURCES: without the stars all movers lost their detection in a clouded exposure."""
    night = Night(movers=ring(12, (20.0, 60.0), snr=40.0), zero_points=(0.0, 0.0, 2.5, 0.0, 0.0), noise=40)
    table = night.table()
    linkable = ((table["MOVER"] >= 0) | (table["SNR_WIN"] < 6.0)).to_numpy()
    linked = link_tracklets(
        detections=table, linkable=linkable, pm_low=0.5, pm_up=2000.0, min_detections=4
    ).detections
    assert found(linked, 12) == ([5] * 12, 0)
    assert set(zip(linked["RA"], linked["DEC"], strict=True)) <= set(
        zip(table["RA"][linkable], table["DEC"][linkable], strict=True)
    )


def test_nothing_to_link():
    for night in (Night(stars=0, noise=0), Night(noise=0), Night(hours=(0.0,)), Night(hours=(0.0, 0.2))):
        table = night.table()
        linked = link(table)
        assert linked.sources.empty
        assert linked.detections.empty
        assert linked.n_false_expected == 0.0
        assert list(linked.detections.columns) == [*table.columns, "LINKED_BY"]
        assert linked.detections["SOURCE_NUMBER"].dtype == np.int64


def test_rows_without_position_or_size_are_passed_over():
    night = Night(movers=ring(8, (10.0, 100.0)))
    table = night.table()
    broken = table.sample(60, random_state=2).index[:50]
    stars = broken[table.loc[broken, "MOVER"] < 0]
    table.loc[stars[:15], "RA"] = np.nan
    table.loc[stars[15:30], ["AWIN_IMAGE", "THETAWIN_IMAGE", "ERRA_WORLD", "MAG", "SNR_WIN"]] = np.nan
    linked = link(table)
    best, false = found(linked.detections, 8)
    assert min(best) >= 4
    assert false == 0


def test_what_it_needs():
    table = Night(stars=10).table()
    with pytest.raises(Misconfigured, match="SNR_WIN"):
        link(table.drop(columns="SNR_WIN"))
    with pytest.raises(Misconfigured, match="2 detections"):
        link(table, min_detections=2)
    with pytest.raises(Misconfigured, match="PM_LOW"):
        link(table, pm_low=3000.0)


def test_rates_beyond_the_limits_are_left_out():
    table = Night(movers=ring(12, (3.0, 300.0))).table()
    linked = link(table, pm_low=10.0, pm_up=100.0)
    assert linked.sources["PM"].between(10.0, 100.0).all()
    assert len(linked.sources) >= 6


def test_exposures_of_one_instant_are_one_epoch():
    table = Night(hours=(0.0, 1e-4, 0.3), stars=20, noise=0).table()
    plane = project(table)
    assert plane.n_epochs == 2
    assert np.allclose(np.diff(plane.times), 0.3)
    assert table["MID_EXPOSURE_MJD"].min() == MJD0


def test_frames_of_a_fast_camera_are_epochs():
    """Twelve frames 1.9 s after one another, two to an epoch."""
    hours = np.arange(12) * 1.9 / 3600.0
    plane = project(Night(hours=tuple(hours), stars=20, noise=0).table())
    assert np.allclose(plane.times - plane.times[0], hours[::2], atol=1e-6)


def test_pieces_of_a_trail_are_one_detection():
    """A trail of 33 arcsec falls into two pieces in every frame; their middle is the object's place."""
    rate, pa, exptime = 1000.0, 60.0, 120.0
    along = np.array([np.sin(np.radians(pa)), np.cos(np.radians(pa))])
    extra = {}
    for i, hour in enumerate(FIVE):
        centre = along * rate * (hour - 0.5)
        ends = np.array([centre - 9.0 * along, centre + 9.0 * along])
        extra[i] = pd.DataFrame({"x": ends[:, 0], "y": ends[:, 1], "snr": [20.0, 14.0], "a": 3.0,
                                 "theta": 90.0 - pa, "mover": 0})  # fmt: skip
    linked = link(Night(extra=extra, exptimes_s=(exptime,), size=1500.0).table())
    assert len(linked.sources) == 1
    assert linked.sources["N_PIECES"].iloc[0] == 5
    assert (linked.detections["FLAGS_SSOS"] & PIECES_FLAG != 0).all()
    x, y = offsets_arcsec(
        linked.detections["RA"].to_numpy(), linked.detections["DEC"].to_numpy(), 150.0, 20.0
    )
    want = np.outer(rate * (np.array(FIVE) - 0.5), along)
    assert np.hypot(x - want[:, 0], y - want[:, 1]).max() < 2.0
    assert linked.sources["PM"].iloc[0] == pytest.approx(rate, rel=0.01)
    assert linked.detections["FLUX"].to_numpy() == pytest.approx(34.0)
    # of 20 and 14 counts, each to one count: 34 to the root of 2
    assert linked.detections["MAGERR"].to_numpy() == pytest.approx(1.0857 * np.sqrt(2.0) / 34.0, rel=1e-3)
