"""Places between three epochs: of smooth paths that are made up, and of real orbits; what cannot be held is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd import sphere
from ssosd.identify.between import interpolate
from ssosd.identify.known import known_table
from ssosd.identify.orbits import known_objects_from_orbits
from ssosd.identify.skybot import known_objects_for_exposures
from ssosd.site import site_from_code
from tests.skybot_service import SkybotService
from tests.test_skybot import exposure

MJD, RA, DEC = 61000.3, 80.0, 22.0
HOUR = 1.0 / 24.0
ARCSEC = np.radians(1.0 / 3600.0)


def path(mjd, *, rate, distance, phase=0.3, rate_error=0.0):
    """RA, Dec and rates of an object that moves evenly but for the turning Earth below the observer."""
    hours = (mjd - MJD) * 24.0
    turn = 2.0 * np.pi / 24.0
    parallax = 8.8 / distance
    xi = rate * hours + parallax * np.sin(turn * hours + phase)
    eta = 0.4 * rate * hours + 0.5 * parallax * np.cos(turn * hours)
    out = sphere.unit_vectors(RA, DEC)
    east = np.array([-np.sin(np.radians(RA)), np.cos(np.radians(RA)), 0.0])
    north = np.cross(out, east)
    vector = out + ARCSEC * (xi * east + eta * north)
    moving = ARCSEC * (
        (rate + parallax * turn * np.cos(turn * hours + phase)) * east
        + (0.4 * rate - 0.5 * parallax * turn * np.sin(turn * hours)) * north
    )
    length = np.linalg.norm(vector)
    ra, dec = sphere.to_radec(vector / length)
    there = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
    motion = moving / length / ARCSEC
    return (
        float(ra), float(dec), motion @ there + rate_error, motion @ np.cross(vector / length, there)
    )  # fmt: skip


def told(mjd, objects):
    rows = [(1, name, *path(mjd, **motion), 18.0, 0.1) for name, motion in objects.items()]
    columns = ["CATALOG_NUMBER", "NAME", "RA", "DEC", "PMRA", "PMDEC", "MAG", "ERR"]
    return known_table(pd.DataFrame(rows, columns=columns))


def between(objects, *, span_h=4.0, n=13, missing=None):
    times = MJD + np.linspace(0.0, span_h, n) * HOUR
    nodes = [(t, told(t, objects)) for t in (times[0], times[n // 2], times[-1])]
    if missing is not None:
        nodes[missing] = (nodes[missing][0], nodes[missing][1].iloc[:0])
    places = {"ra_deg": [RA] * n, "dec_deg": [DEC] * n, "radius_arcsec": [1500.0] * n}
    return times, interpolate(nodes, mjd=times, **places)


@pytest.mark.parametrize("objects", [
    {"belt": {"rate": -35.0, "distance": 1.6}, "far": {"rate": 3.0, "distance": 30.0}},
    {"near": {"rate": 200.0, "distance": 0.25}},
])  # fmt: skip
def test_smooth_paths_keep_a_tenth_of_an_arcsecond(objects):
    times, known = between(objects)
    assert known is not None
    assert known.checked == tuple(range(1, 14))
    for number, t in enumerate(times, start=1):
        rows = known.of(number).set_index("NAME")
        truth = told(t, objects).set_index("NAME").loc[rows.index]
        assert len(rows) == len(objects)
        away = sphere.separation_arcsec(rows["RA"], rows["DEC"], truth["RA"], truth["DEC"])
        assert away.max() < 0.1
        assert np.abs(rows["PMRA"] - truth["PMRA"]).max() < 0.5


@pytest.mark.parametrize("objects", [
    {"passing": {"rate": 500.0, "distance": 0.01}},
    {"belt": {"rate": -35.0, "distance": 1.6}, "misjudged": {"rate": 60.0, "distance": 1.0, "rate_error": 2.0}},
])  # fmt: skip
def test_what_is_not_steady_is_refused(objects):
    assert between(objects)[1] is None


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_one_that_is_not_told_of_at_all_epochs_is_refused(missing):
    assert between({"belt": {"rate": -35.0, "distance": 1.6}}, missing=missing)[1] is None


def test_an_empty_field_is_an_answer():
    _, known = between({})
    assert known is not None
    assert known.table.empty
    assert len(known.checked) == 13


@pytest.mark.shared
def test_real_orbits_as_a_service_would_tell_of_them(shared_data, tmp_path):
    """Twelve exposures in three hours: three questions, and what our own ephemerides say at each time."""
    site = site_from_code("688")
    orbits = shared_data / "orbits" / "aas247_mpcorb.dat"

    def ephemerides(shots):
        return known_objects_from_orbits(exposures=shots, site=site, orbits=orbits, cache=tmp_path).table

    exposures = [exposure(MJD + 0.25 * k * HOUR, ra=RA, dec=DEC, half_deg=1.5) for k in range(12)]

    def service(mjd):
        table = ephemerides([exposure(mjd, ra=RA, dec=DEC, half_deg=2.0)])
        names = {"NAME": "name", "NUMBER": "number", "RA": "ra", "DEC": "dec", "MAG": "Mv", "ERR": "unc"}
        return table.rename(columns={**names, "PMRA": "dra", "PMDEC": "ddec", "CLASS": "class"})

    with SkybotService(service) as stand_in:
        asked = known_objects_for_exposures(
            exposures=exposures, url=stand_in.url, observer="688", time_limit_s=60.0
        )
        assert len(stand_in.requests) == 3
    assert asked.checked == tuple(range(1, 13))
    truth = ephemerides(exposures).set_index(["CATALOG_NUMBER", "NAME"])
    rows = asked.table.set_index(["CATALOG_NUMBER", "NAME"])
    both = rows.join(truth.add_suffix("_TRUE"), how="inner")
    assert len(both) == len(rows) >= 12 * 20
    assert sphere.separation_arcsec(both["RA"], both["DEC"], both["RA_TRUE"], both["DEC_TRUE"]).max() < 0.1
