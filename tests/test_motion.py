"""Grouping, weighted fits and rates of all sources at once, against numpy, scipy and astropy one by one."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssosd import motion, sphere
from ssosd.grouping import Grouping

tables = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 6), st.floats(-1e3, 1e3), st.floats(0.01, 5.0)),
    min_size=1,
    max_size=40,
)


def grouped(rows):
    keys, t, y, sigma = (np.array(c) for c in zip(*rows, strict=True))
    groups = Grouping.of(keys, t, y, sigma)
    return groups, t[groups.order].astype(float), y[groups.order], sigma[groups.order]


@given(tables)
def test_grouping_is_a_sort_by_source_and_time(rows):
    groups, t, _, _ = grouped(rows)
    keys = np.array([r[0] for r in rows])
    assert groups.keys.tolist() == sorted(set(keys.tolist()))
    assert sorted(groups.order.tolist()) == list(range(len(rows)))
    for i, key in enumerate(groups.keys):
        own = slice(groups.starts[i], groups.starts[i] + groups.counts[i])
        assert (keys[groups.order[own]] == key).all()
        assert groups.counts[i] == (keys == key).sum()
        assert (np.diff(t[own]) >= 0).all()
        assert (groups.labels[own] == i).all()


@given(tables, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_even_with_equal_times(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = grouped(rows), grouped(shuffled)
    for a, b in zip(first[1:], second[1:], strict=True):
        np.testing.assert_array_equal(a, b)


@given(tables, st.data())
def test_select_split_and_restrict_agree_with_plain_lists(rows, data):
    groups, _, y, _ = grouped(rows)
    lists = [y[groups.labels == i].tolist() for i in range(groups.n_groups)]
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=groups.n_groups, max_size=groups.n_groups)))
    values = np.array([r[2] for r in rows])
    chosen = groups.select(keep)
    assert [values[chosen.order][chosen.labels == i].tolist() for i in range(chosen.n_groups)] == [
        own for own, k in zip(lists, keep, strict=True) if k
    ]
    flags = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    left, parents = groups.restrict(flags)
    assert [values[left.order][left.labels == i].tolist() for i in range(left.n_groups)] == [
        y[(groups.labels == i) & flags].tolist() for i in parents
    ]
    assert set(parents.tolist()) == set(groups.labels[flags].tolist())
    pieces, parents = groups.split(flags)
    rebuilt: dict[int, list[float]] = {}
    for i, parent in enumerate(parents):
        part = y[pieces.labels == i].tolist()
        rebuilt.setdefault(int(parent), []).extend(part)
        assert i == 0 or parent != parents[i - 1] or flags[pieces.starts[i]]
    assert [rebuilt[i] for i in range(groups.n_groups)] == lists


@given(tables)
def test_sums_extremes_and_medians_of_groups(rows):
    groups, _, y, _ = grouped(rows)
    own = [y[groups.labels == i] for i in range(groups.n_groups)]
    np.testing.assert_allclose(groups.sum(y), [v.sum() for v in own], atol=1e-9)
    assert groups.max(y).tolist() == [v.max() for v in own]
    assert groups.min(y).tolist() == [v.min() for v in own]
    np.testing.assert_allclose(groups.median(y), [np.median(v) for v in own], atol=1e-12)


def test_no_rows_at_all():
    groups = Grouping.of([], [])
    assert groups.n_groups == 0
    assert groups.sum([]).size == groups.max(np.empty(0)).size == groups.median(np.empty(0)).size == 0
    fit = motion.weighted_line_fit(groups, t=np.empty(0), y=np.empty(0), sigma=np.empty(0))
    assert fit.slope.size == fit.r2.size == 0


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_fit_is_numpys_weighted_polyfit(seed, t_zero, y_zero):
    rng = np.random.default_rng(seed)
    counts = rng.integers(3, 9, 5)
    keys = np.repeat(np.arange(5), counts)
    t = t_zero + np.concatenate([np.sort(rng.uniform(0, 3, n)) + 0.01 * np.arange(n) for n in counts])
    y = y_zero + rng.normal(0, 3, t.size) * (t - t_zero)
    sigma = rng.uniform(0.05, 2.0, t.size)
    groups = Grouping.of(keys, t)
    fit = motion.weighted_line_fit(groups, t=t, y=y, sigma=sigma)
    for i in range(5):
        own = keys == i
        x = t[own] - fit.t_mean[i]
        (slope, value), cov = np.polyfit(x, y[own], 1, w=1 / sigma[own], cov="unscaled")
        residual = y[own] - slope * x - value
        mean = np.average(y[own], weights=sigma[own] ** -2)
        r2 = 1 - (residual**2 / sigma[own] ** 2).sum() / ((y[own] - mean) ** 2 / sigma[own] ** 2).sum()
        assert fit.slope[i] == pytest.approx(slope, rel=1e-6, abs=1e-6)
        assert fit.value[i] == pytest.approx(value, rel=1e-9, abs=1e-6)
        assert fit.slope_err[i] == pytest.approx(np.sqrt(cov[0, 0]), rel=1e-6)
        assert fit.value_err[i] == pytest.approx(np.sqrt(cov[1, 1]), rel=1e-6)
        assert fit.chi2[i] == pytest.approx((residual**2 / sigma[own] ** 2).sum(), rel=1e-5, abs=1e-5)
        assert fit.r2[i] == pytest.approx(r2, abs=1e-6)
        assert fit.n[i] == own.sum()


def test_r2_of_equal_errors_is_pearsons_squared():
    rng = np.random.default_rng(5)
    t = np.tile(np.arange(6.0), 50)
    y = rng.normal(size=300) + np.repeat(rng.normal(size=50), 6) * t
    groups = Grouping.of(np.repeat(np.arange(50), 6), t)
    fit = motion.weighted_line_fit(groups, t=t, y=y, sigma=np.full(300, 0.3))
    expected = [stats.linregress(t[i : i + 6], y[i : i + 6]) for i in range(0, 300, 6)]
    np.testing.assert_allclose(fit.r2, [e.rvalue**2 for e in expected], atol=1e-12)
    np.testing.assert_allclose(fit.slope, [e.slope for e in expected], atol=1e-12)


def one(t, y, sigma):
    t, y, sigma = (np.asarray(v, dtype=float) for v in (t, y, sigma))
    return motion.weighted_line_fit(Grouping.of(np.ones(t.size), t), t=t, y=y, sigma=sigma)


def test_constant_single_and_simultaneous_points_are_defined():
    assert one([0, 1, 2], [5, 5, 5], [1, 1, 1]).r2[0] == 0.0
    assert one([0, 1, 2], [5, 5, 5], [1, 1, 1]).slope[0] == 0.0
    assert np.isnan(one([0], [5], [1]).slope[0])
    assert np.isnan(one([3, 3, 3], [1, 2, 3], [1, 1, 1]).r2[0])
    assert one([0, 1], [5, 7], [1, 1]).r2[0] == 1.0


def test_points_that_are_not_finite_are_left_out():
    fit = one([0, 1, 2, 3, np.inf], [0, 1, np.nan, 3, 4], [1, 1, 1, 1, 1])
    assert fit.n[0] == 3
    assert fit.slope[0] == pytest.approx(1.0)
    assert fit.r2[0] == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_an_unknown_error_counts_as_the_worst_of_its_source(bad):
    t, y = [0, 1, 2, 3], [0.0, 1.0, 5.0, 3.0]
    known, unknown = one(t, y, [0.1, 0.1, 0.4, 0.4]), one(t, y, [0.1, 0.1, bad, 0.4])
    assert unknown.slope[0] == known.slope[0]
    assert unknown.r2[0] == known.r2[0]
    assert one(t, y, [bad] * 4).slope[0] == one(t, y, [1] * 4).slope[0]


def test_errors_of_extreme_size_do_not_overflow():
    fit = one([0, 1, 2], [0, 1, 2.1], [1e-200, 1e-200, 1e200])
    assert fit.slope[0] == pytest.approx(1.0)
    assert 0.0 <= fit.r2[0] <= 1.0


@pytest.mark.parametrize("dec", [0.0, 45.0, 80.0, -80.0, 89.9])
@pytest.mark.parametrize("ra", [0.0, 359.9999, 187.0])
@pytest.mark.parametrize("pa", [0.0, 37.0, 90.0, 251.0])
def test_rates_of_great_circle_movers_anywhere_on_the_sphere(ra, dec, pa):
    start = SkyCoord(ra * u.deg, dec * u.deg)
    hours = np.array([-1.5, -0.5, 0.0, 0.5, 1.5])
    path = start.directional_offset_by(pa * u.deg, 100.0 * hours * u.arcsec)
    groups = Grouping.of(np.ones(5), hours)
    rates = motion.rates(
        groups,
        t_mjd=60000.0 + hours / 24.0,
        ra=path.ra.deg,
        dec=path.dec.deg,
        sigma_arcsec=np.full(5, 0.1),
    )
    assert rates.pm[0] == pytest.approx(100.0, rel=2e-6)
    assert rates.chi2[0] < 1e-4
    assert sphere.wrap_deg(rates.position_angle[0] - pa) == pytest.approx(0.0, abs=1e-3)
    assert np.hypot(rates.pmra[0], rates.pmdec[0]) == pytest.approx(rates.pm[0])
    sxx = ((hours - hours.mean()) ** 2).sum()
    assert rates.pm_err[0] == pytest.approx(0.1 / np.sqrt(sxx), rel=1e-6)


def test_rate_errors_are_what_repeated_observations_scatter():
    rng = np.random.default_rng(3)
    n, hours = 4000, np.array([0.0, 0.5, 1.0, 1.5])
    t = np.tile(60000.0 + hours / 24.0, n)
    sigma = np.tile([0.05, 0.1, 0.2, 0.1], n)
    ra = (359.9995 + (30 * np.tile(hours, n) + rng.normal(0, sigma)) / 3600 / np.cos(np.radians(70))) % 360
    dec = 70 + (40 * np.tile(hours, n) + rng.normal(0, sigma)) / 3600
    groups = Grouping.of(np.repeat(np.arange(n), 4), t)
    rates = motion.rates(groups, t_mjd=t, ra=ra, dec=dec, sigma_arcsec=sigma)
    assert rates.pmra.mean() == pytest.approx(30.0, abs=0.02)
    assert rates.pmdec.mean() == pytest.approx(40.0, abs=0.02)
    assert rates.pm.std() == pytest.approx(rates.pm_err[0], rel=0.05)
    assert rates.chi2.mean() == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("y", [-1e-17, -5e-324, -0.0, 0.0])
def test_right_ascension_is_never_a_whole_turn(y):
    ra, dec = sphere.to_radec([1.0, y, 0.0])
    assert (ra, dec) == (0.0, 0.0)


def test_positions_that_are_not_finite_do_not_move_the_centre():
    groups = Grouping.of([1, 1, 1], [0, 1, 2])
    plane = motion.tangent_plane(
        groups, ra=np.array([359.999, np.nan, 0.001]), dec=np.array([10.0, 50.0, 10.0])
    )
    assert sphere.wrap_deg(plane.ra0)[0] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(plane.xi[1])
    assert plane.xi[2] == pytest.approx(-plane.xi[0])


@pytest.mark.parametrize(
    ("ra", "dec"), [(0.0, 0.0), (90.0, 22.0), (90.0, -60.0), (213.0, 80.0), (310.0, -80.0)]
)
def test_turned_coordinates_are_astropys_ecliptic_ones(ra, dec):
    start = SkyCoord(ra * u.deg, dec * u.deg)
    path = start.directional_offset_by(63 * u.deg, [0.0, 5.0, 10.0] * u.arcsec)
    groups = Grouping.of(np.ones(3), np.arange(3.0))
    plane = motion.tangent_plane(groups, ra=path.ra.deg, dec=path.dec.deg)
    angle = motion.ecliptic_angle(plane.ra0, plane.dec0)[groups.labels]
    lon, lat = motion.rotate(plane.xi, plane.eta, angle)
    true = path.transform_to(BarycentricMeanEcliptic(equinox="J2000"))
    d_lon = (true.lon - true.lon[0]).wrap_at(180 * u.deg).arcsec * np.cos(true.lat[0].rad)
    np.testing.assert_allclose(lon - lon[0], d_lon, atol=2e-3)
    np.testing.assert_allclose(lat - lat[0], (true.lat - true.lat[0]).arcsec, atol=2e-3)
