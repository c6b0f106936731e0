"""Files of orbits, the cache between nights, and which objects are in a footprint."""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ssosd.errors import BadInput, Misconfigured
from ssosd.identify.known import KNOWN_COLUMNS
from ssosd.identify.orbits import known_objects_from_orbits, prepare
from ssosd.identify.orbits.comets import read_comets
from ssosd.identify.orbits.footprint import exactly, objects_in_circle
from ssosd.identify.orbits.kepler import GM_SUN, drift, states_from_mean_anomaly
from ssosd.identify.orbits.mpcorb import read_mpcorb
from ssosd.identify.orbits.naming import classes, number_and_name
from ssosd.identify.orbits.observe import magnitude_comet, observer_at, see
from ssosd.identify.orbits.planets import ErfaEphemeris
from ssosd.identify.orbits.prepare import midnight_of, prepare_night
from ssosd.identify.orbits.uncertainty import heliocentric_error_arcsec, runoff_arcsec_per_year
from ssosd.inquiry import Inquiry
from ssosd.model import Exposure
from ssosd.site import site_from_code
from ssosd.sphere import separation_arcsec, to_radec
from ssosd.store import STORE_NAME, Store
from ssosd.work import Access, ask_all
from ssosd.work.orbits import prepare as prepare_orbits
from ssosd.work.orbits import refresh
from tests.orbit_lines import elements_of, line, served
from tests.watched import station_for

SITE = site_from_code("688")
HALLEY = (
    "0001P         2061 08 31.8266  0.583972  0.967311  112.5470   59.6368  162.2146  20250501   4.0  6.0  "
    "1P/Halley                                                 98, 1083\n"
)
CERES = (
    "00001    3.34  0.15 K2555 188.70269   73.27343   80.25221   10.58780  0.0794013  0.21424651   2.7660512"
    "  0 E2024-V47  7330 125 1801-2024 0.80 M-v 30k MPCLINUX   4000      (1) Ceres              20241101"
)
CERES_SHORT = (
    "00001    3.35  0.15 K25BL 231.53975   73.29974   80.24963   10.58789  0.0795763  0.21429712   2.7656157"
    "  0 MPO950947  7369 126 1801-2025 0.69 M-v 30k 4000 Ceres"
)


@pytest.fixture(scope="module")
def orbits(tmp_path_factory):
    """400 orbits from Earth crossers to beyond Neptune, and Ceres."""
    rng, n = np.random.default_rng(11), 400
    a = rng.choice([1.1, 1.6, 2.3, 2.7, 3.1, 5.2, 40.0], n) * rng.uniform(0.98, 1.02, n)
    e = np.where(a < 2.0, rng.uniform(0.05, 0.6, n), rng.uniform(0.0, 0.25, n))
    angles = rng.uniform(0.0, 359.9, (3, n))
    grades = rng.choice(list("0123456"), n)
    lines = [
        line(i, a[i], e[i], rng.uniform(0.0, 25.0), *angles[:, i], h=rng.uniform(5, 22), grade=grades[i])
        for i in range(n)
    ]
    path = tmp_path_factory.mktemp("orbits") / "MPCORB.DAT"
    path.write_text("MPCORB, made up\n\n" + "-" * 160 + "\n" + "\n".join([*lines, "", CERES, ""]))
    return path


@pytest.fixture(scope="module")
def night(orbits, tmp_path_factory):
    return prepare_night(
        orbits=orbits,
        cache=tmp_path_factory.mktemp("cache"),
        site=SITE,
        midnight_utc=midnight_of(61058.2, SITE),
        ephemeris=ErfaEphemeris(),
    )


def frame(mjd, ra, dec, size=0.5):
    words = dict.fromkeys(("digest", "date_obs", "filter", "object", "telescope", "instrument"), "")
    return Exposure(
        path="/a.fits",
        mjd_start=mjd,
        mjd_mid=mjd,
        exptime_s=1.0,
        ra_deg=float(ra),
        dec_deg=float(dec),
        width_deg=size,
        height_deg=size,
        chips=(),
        **words,
    )


def test_columns_are_read_to_the_last_digit(orbits):
    read = read_mpcorb(orbits)
    text = [row for row in orbits.read_text().splitlines() if row[20:21] == "K"]
    assert len(read) == len(text) == 401
    columns = {"mean_anomaly": (26, 35), "peri": (37, 46), "node": (48, 57), "incl": (59, 68), "e": (70, 79)}
    values = {name: np.array([float(row[i:j]) for row in text]) for name, (i, j) in columns.items()}
    axis = np.array([float(row[92:103]) for row in text])
    expected = states_from_mean_anomaly(a=axis, **values)
    assert_allclose(
        read.state / np.abs(expected).max(axis=1, keepdims=True),
        expected / np.abs(expected).max(axis=1, keepdims=True),
        atol=3e-7,
    )
    assert_allclose(read.h, [float(row[8:13]) for row in text], rtol=1e-6)
    assert read.epoch.tolist() == [61000.0] * 400 + [60800.0]
    assert read.last.tolist() == [60949.0] * 400 + [60615.0]  # 2025-10-01, 2024-11-01
    assert read.packed[0] == text[0][:7].encode()


def test_both_layouts_of_names(tmp_path):
    path = tmp_path / "orbits.dat"
    path.write_text(f"Des'n  AbsMag\n{CERES}\n{CERES_SHORT}\n")
    read = read_mpcorb(path)
    assert read.readable.tolist() == [b"(1) Ceres", b"Ceres"]
    assert [number_and_name("00001", name.decode()) for name in read.readable] == [("1", "Ceres")] * 2
    assert read.last.tolist() == [60615.0, 60857.0]  # the day, or the middle of the year
    squeezed = tmp_path / "orbits.dat.gz"
    squeezed.write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(read_mpcorb(squeezed).state, read.state)


@pytest.mark.parametrize("chunk", [300, 4096])
def test_lines_cut_by_a_chunk_are_whole(orbits, monkeypatch, chunk):
    whole = read_mpcorb(orbits)
    monkeypatch.setattr("ssosd.identify.orbits.columns._CHUNK", chunk)
    cut = read_mpcorb(orbits)
    assert np.array_equal(cut.readable, whole.readable)
    assert_allclose(cut.state, whole.state, rtol=0.0, atol=1e-12)  # sines of one or many differ by an ulp


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [(slice(8, 13), "     ", np.nan), (slice(8, 13), " x.y ", np.nan), (slice(14, 19), " 0.40", 0.40)],
)
def test_a_missing_magnitude_costs_nobody_else(tmp_path, field, value, expected):
    path = tmp_path / "orbits.dat"
    path.write_text(f"{CERES[: field.start]}{value}{CERES[field.stop :]}\n{CERES}\n")
    read = read_mpcorb(path)
    got = read.h if field.start == 8 else read.g
    assert_allclose(got, [expected, 3.34 if field.start == 8 else 0.15], rtol=1e-6)


@pytest.mark.parametrize(
    "epoch", ["     ", "K25  ", "K2   ", "K25D1", "K25BW", "K25B0", "k25BL", "K:5BL", "Z99CV", "A00CV"]
)
def test_an_orbit_of_no_epoch_costs_nobody_else(tmp_path, epoch):
    path = tmp_path / "orbits.dat"
    path.write_text(f"{CERES}\n{CERES[:20]}{epoch}{CERES[25:]}\n{CERES}\n")
    read = read_mpcorb(path)
    assert read.epoch.tolist() == [60800.0, 60800.0]
    assert read.state.shape == (6, 2)
    assert read.readable.tolist() == [b"(1) Ceres"] * 2


def test_files_that_are_none(tmp_path):
    cache = {"cache": tmp_path / "cache", "site": SITE, "midnight_utc": 61058.3}
    with pytest.raises(Misconfigured, match=r"ORBITS .*nowhere"):
        prepare_night(orbits=tmp_path / "nowhere", **cache)
    page = tmp_path / "page.html"
    page.write_text("<html>Not found" + " " * 300 + "</html>\n" * 40)
    with pytest.raises(BadInput, match=r"ORBITS .*page\.html"):
        prepare_night(orbits=page, **cache)
    good = tmp_path / "good.dat"
    good.write_text(CERES + "\n")
    with pytest.raises(Misconfigured, match=r"COMETS .*nowhere"):
        prepare_night(orbits=good, comets=tmp_path / "nowhere", **cache)
    with pytest.raises(BadInput, match=r"COMETS .*page\.html: no line"):
        prepare_night(orbits=good, comets=page, **cache)
    cut = tmp_path / "cut.dat.gz"
    cut.write_bytes(gzip.compress((CERES + "\n").encode() * 50)[:-40])
    with pytest.raises(Misconfigured, match="cut"):
        prepare_night(orbits=cut, **cache)
    damaged = tmp_path / "damaged.dat.gz"
    damaged.write_bytes(spoiled(CERES))
    with pytest.raises(Misconfigured, match=r"damaged.*cannot be read"):
        prepare_night(orbits=damaged, **cache)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(Misconfigured, match="file"):
        prepare_night(orbits=good, **{**cache, "cache": in_the_way})


def spoiled(orbit):
    """A compressed file of an orbit whose deflated data are damaged, with its header and its end as they were."""
    packed = gzip.compress((orbit + "\n").encode() * 50)
    return packed[:10] + b"\xff" * 20 + packed[30:]


def test_a_damaged_file_is_replaced_by_a_whole_one_alone(tmp_path):
    whole, web = gzip.compress((CERES + "\n").encode()), tmp_path / "web"
    web.mkdir()
    with served(web) as address:
        station = station_for(tmp_path, ORBITS="DOWNLOAD", ORBITS_URL=f"{address}/MPCORB.DAT.gz")
        path = station.orbit_file("ORBITS")
        path.parent.mkdir(parents=True)
        path.write_bytes(spoiled(CERES))
        (web / "MPCORB.DAT.gz").write_bytes(whole)
        assert refresh("ORBITS", station=station, now_s=1.8e9) == path
        assert path.read_bytes() == whole
        (web / "MPCORB.DAT.gz").write_bytes(spoiled(CERES))
        assert isinstance(refresh("ORBITS", station=station, now_s=1.8e9), Misconfigured)
        assert path.read_bytes() == whole


def test_names_and_numbers():
    assert number_and_name("~0000", "") == ("620000", "(620000)")
    assert number_and_name("K07Tf8A", "2007 TA418") == ("", "2007 TA418")
    assert number_and_name("K07Tf8A", "") == ("", "2007 TA418")
    assert number_and_name("CK23A030", "C/2023 A3 (Tsuchinshan-ATLAS)")[1] == "C/2023 A3 (Tsuchinshan-ATLAS)"
    assert number_and_name("0001P", "1P/Halley") == ("1P", "Halley")
    assert number_and_name("A0345", "(100345) 1995 QQ") == ("100345", "1995 QQ")


def test_classes():
    known = {  # a, e of objects whose class is beyond doubt
        "NEA>Aten": (0.922, 0.191),  # Apophis
        "NEA>Apollo": (1.078, 0.827),  # Icarus
        "NEA>Amor": (1.919, 0.435),  # Amor
        "Hungaria": (1.944, 0.074),
        "MB>Inner": (2.362, 0.090),  # Vesta
        "MB>Middle": (2.766, 0.079),  # Ceres
        "MB>Outer": (3.142, 0.112),  # Hygiea
        "MB>Hilda": (3.97, 0.14),
        "Trojan": (5.276, 0.066),  # Agamemnon
        "Centaur": (20.3, 0.572),  # Pholus
        "KBO": (44.2, 0.073),  # Albion
    }
    a, e = np.array(list(known.values()), dtype=np.float32).T
    assert classes(a, e, np.zeros(len(a), dtype=bool)).tolist() == list(known)
    assert classes(np.array([-2.0]), np.array([1.2]), np.array([False])).tolist() == ["Comet"]


def test_comets(tmp_path, orbits):
    path = tmp_path / "CometEls.txt"
    path.write_text(HALLEY)
    halley = read_comets(path)
    assert halley is not None
    assert halley.epoch.tolist() == [60796.0]
    assert np.linalg.norm(halley.state[:3, 0]) == pytest.approx(35.1, abs=0.05)  # aphelion was in 2023-12
    path.write_text("\n")
    assert read_comets(path) is None
    path.write_text(HALLEY)
    observer = observer_at(60796.2, site=SITE, ephemeris=ErfaEphemeris())
    seen = see(drift(halley.state, observer.mjd_tt - 60796.0), observer)
    mag = magnitude_comet(h=halley.h, slope=halley.g, from_sun=seen.from_sun, distance=seen.distance)
    assert mag[0] == pytest.approx(4.0 + 5 * np.log10(seen.distance[0]) + 15 * np.log10(seen.from_sun[0]))
    found = known_objects_from_orbits(
        exposures=[frame(60796.2, seen.ra[0], seen.dec[0])],
        site=SITE,
        orbits=orbits,
        comets=path,
        cache=tmp_path / "cache",
        ephemeris=ErfaEphemeris(),
    ).table
    row = found[found["NUMBER"] == "1P"].iloc[0]
    assert (row["NAME"], row["CLASS"]) == ("Halley", "Comet")
    assert separation_arcsec(row["RA"], row["DEC"], seen.ra[0], seen.dec[0]) < 0.01


def test_a_file_that_holds_no_comets_costs_no_asteroid(tmp_path):
    """Of comets in a page instead of a file: the asteroids are named, and why no comets are is told once."""
    orbits, comets = tmp_path / "MPCORB.DAT", tmp_path / "CometEls.txt"
    orbits.write_text(CERES + "\n")
    comets.write_text("<html>Log in" + " " * 300 + "</html>\n" * 9)
    station = station_for(
        tmp_path,
        CROSSMATCH_SKYBOT="False",
        FOV_DIMENSIONS="1x1",
        ORBITS=str(orbits),
        COMETS=str(comets),
        OBSERVATORY_CODE="493",
    )
    place = known_objects_from_orbits(
        exposures=[frame(60796.2, 0.0, 0.0, size=350.0)],
        site=station.site,
        orbits=orbits,
        cache=station.orbit_cache,
    ).table
    there = place[place["NUMBER"] == "1"].iloc[0]
    answers = ask_all([frame(60796.2, there["RA"], there["DEC"])], station, Access())
    assert answers.known.checked == (1,)
    assert "1" in answers.known.table["NUMBER"].tolist()
    assert (answers.answered, list(answers.failures), answers.wants) == (("ORBITS",), ["COMETS"], "")
    ready = prepare_orbits(60796.2, station=station)
    assert ready is not None
    assert ready[1] == answers.failures["COMETS"]
    with Store(tmp_path / STORE_NAME) as store:
        for heard in (answers, answers, replace(answers, failures={})):
            Inquiry(store).heard(heard, station)
        told = [row["message"] for row in store.rows("SELECT message FROM events WHERE subject = 'COMETS'")]
    assert told == [
        f"asteroids alone are known: COMETS {comets}: no line is a comet in the format of CometEls.txt",
        "the comets are known again",
    ]


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("2061 08 31.8266", "2061 13 31.8266"),
        ("2061 08 31.8266", "   a line of words"),
        ("20250501", "20259901"),
        ("0.583972", "0.000000"),
        ("0.583972", "     nan"),
        ("162.2146", "     inf"),
        (HALLEY, "CometEls.txt, as of today\n"),
    ],
)
def test_a_line_that_is_no_comet_costs_no_other(tmp_path, there, instead):
    path = tmp_path / "CometEls.txt"
    assert there in HALLEY
    path.write_text(HALLEY.replace(there, instead) + HALLEY)
    read = read_comets(path)
    assert read is not None
    assert read.readable.tolist() == [b"1P/Halley"]
    assert np.isfinite(read.state).all()


@pytest.mark.parametrize(
    "name",
    [
        "C/2019 A\xe9 (Fran\xe7ois)",
        "C/2025 \xc3\x85 (Angstrom)",
        "C/2023 A3 (" + "Tsuchinshan-" * 3 + "ATLAS)",
    ],
)
def test_a_comet_has_its_whole_name_in_any_letters(tmp_path, name):
    path = tmp_path / "CometEls.txt"
    path.write_bytes(HALLEY.replace(f"{'1P/Halley':56s}", f"{name:56s}").encode("latin-1") + HALLEY.encode())
    read = read_comets(path)
    assert read is not None
    assert [found.decode("latin-1") for found in read.readable.tolist()] == [name, "1P/Halley"]


def test_a_parabolic_comet_near_the_sun_takes_fast_steps(tmp_path, orbits):
    """Eccentricity 1 leaves the perihelion out of axis times (1 - e); slow steps pass the Earth by 2 arcmin."""
    path = tmp_path / "CometEls.txt"
    of = {"0.967311": "1P/Halley", "1.000000": "C/2026 A1 (Parabola)", "1.200000": "C/2026 B1 (Hyperbola)"}
    path.write_text(
        "".join(
            HALLEY.replace("0.967311", e).replace(f"{'1P/Halley':56s}", f"{n:56s}") for e, n in of.items()
        )
    )
    comets = read_comets(path)
    assert comets is not None
    assert_allclose(comets.q, 0.583972, rtol=1e-6)
    night = prepare_night(
        orbits=orbits,
        comets=path,
        cache=tmp_path / "cache",
        site=SITE,
        midnight_utc=midnight_of(60796.2, SITE),
        ephemeris=ErfaEphemeris(),
    )
    assert night.fast[night.orbits.comet[night.rows]].tolist() == [True] * len(of)


@pytest.mark.parametrize(
    ("offset", "radius"), [(-0.45, 20.0), (-0.1, 3.0), (0.0, 60.0), (0.3, 1.0), (0.49, 10.0)]
)
def test_footprint_finds_what_looking_at_every_orbit_finds(night, offset, radius):
    mjd = night.midnight_utc + offset
    everything = exactly(
        night, np.arange(len(night.rows)), observer_at(mjd, site=SITE, ephemeris=night.ephemeris)
    )
    rng = np.random.default_rng(int(radius))
    total = 0
    for centre in rng.integers(0, len(night.rows), 25):
        ra, dec = float(everything.seen.ra[centre]) + rng.uniform(-1, 1), float(everything.seen.dec[centre])
        away = separation_arcsec(ra, dec, everything.seen.ra, everything.seen.dec)
        reach = radius * 3600.0 + np.minimum(3.0 * everything.error, 900.0)
        expected = everything.rows[(away <= reach) & (everything.error <= 300.0)]
        found = objects_in_circle(night, ra_deg=ra, dec_deg=dec, radius_arcsec=radius * 3600.0, mjd_utc=mjd)
        assert sorted(found.rows) == sorted(expected)
        total += len(expected)
        bright = objects_in_circle(
            night, ra_deg=ra, dec_deg=dec, radius_arcsec=radius * 3600.0, mjd_utc=mjd, limit_mag=18.0
        )
        mags = everything.mag[np.searchsorted(everything.rows, expected)]
        assert sorted(bright.rows) == sorted(expected[mags <= 18.0])
    assert total >= 20


@pytest.mark.parametrize("offset", [-0.49, 0.49])
def test_every_object_is_found_where_it_is(night, offset):
    """Through parallax, curved motion and its own uncertainty, in a circle of one arcsecond."""
    mjd = night.midnight_utc + offset
    observer = observer_at(mjd, site=SITE, ephemeris=night.ephemeris)
    everything = exactly(night, np.arange(len(night.rows)), observer)
    near = np.argsort(everything.seen.distance)[:40]
    fast = np.argsort(-np.hypot(everything.seen.pm_ra, everything.seen.pm_dec))[:40]
    for i in {*near.tolist(), *fast.tolist(), *range(0, len(night.rows), 10)}:
        place = {"ra_deg": float(everything.seen.ra[i]), "dec_deg": float(everything.seen.dec[i])}
        found = objects_in_circle(night, **place, radius_arcsec=1.0, mjd_utc=mjd, max_error_arcsec=1e9)
        assert everything.rows[i] in found.rows


@pytest.mark.parametrize(
    ("away", "faster"),
    [((0.02, 0.01, 0.02), 1.1), ((0.015, 0.01, 0.015), 1.02), ((0.021, 0.005, 0.005), 1.15)],
)
def test_one_that_passes_the_earth_is_found_all_night(tmp_path, away, faster):
    """At 0.03 AU, with parallax of 5' and motion that turns in the course of the night."""
    ephemeris = ErfaEphemeris()
    before, earth, after = ephemeris.heliocentric(np.array([60999.99, 61000.0, 61000.01]))[:, 8]
    orbit = elements_of(np.concatenate([earth + np.array(away), faster * (after - before) / 0.02]))
    path = tmp_path / "orbits.dat"
    path.write_text(line(0, **orbit, grade="0") + "\n")
    night = prepare_night(
        orbits=path,
        cache=tmp_path / "c",
        site=SITE,
        midnight_utc=midnight_of(61000.2, SITE),
        ephemeris=ephemeris,
    )
    for offset in (-0.49, -0.3, 0.0, 0.25, 0.49):
        mjd = night.midnight_utc + offset
        there = exactly(night, np.array([0]), observer_at(mjd, site=SITE, ephemeris=ephemeris)).seen
        assert 0.02 < there.distance[0] < 0.04
        guess = to_radec(night.sky[:3, 0] + offset * night.sky[3:, 0])
        off = separation_arcsec(*guess, there.ra[0], there.dec[0])
        assert 100.0 < off < np.degrees(night.slack[0]) * 3600.0
        place = {"ra_deg": float(there.ra[0]), "dec_deg": float(there.dec[0])}
        assert len(objects_in_circle(night, **place, radius_arcsec=1.0, mjd_utc=mjd).rows) == 1


def test_the_mean_motion_adds_digits_to_the_axis(tmp_path):
    path = tmp_path / "orbits.dat"
    axes = [0.91234567890, 1.1234567890, 2.1234567890]
    path.write_text("".join(line(i, a, 0.3, 1.0, 2.0, 3.0, 4.0) + "\n" for i, a in enumerate(axes)))
    state = read_mpcorb(path).state
    radius = np.linalg.norm(state[:3], axis=0)
    from_state = 1.0 / (2.0 / radius - np.sum(state[3:] ** 2, axis=0) / GM_SUN)
    assert (
        np.abs(from_state / axes - 1.0) < 1.5e-8 * np.array([0.5, 0.5, 1.0])
    ).all()  # the axis alone: 2.5e-8


def test_an_orbit_not_lost_any_more_is_carried_again(tmp_path):
    path = tmp_path / "orbits.dat"
    path.write_text(
        line(0, 2.5, 0.1, 5.0, 40.0, 50.0, 60.0)
        + "\n"
        + line(1, 2.6, 0.1, 5.0, 4.0, 5.0, 6.0, grade="8")
        + "\n"
    )
    carried = {}
    for mjd in (61150.2, 61125.2):
        carried[mjd] = prepare_night(
            orbits=path,
            cache=tmp_path / "c",
            site=SITE,
            midnight_utc=midnight_of(mjd, SITE),
            ephemeris=ErfaEphemeris(),
        ).rows.tolist()
    assert carried == {61150.2: [0], 61125.2: [0, 1]}


def test_next_nights_go_on_from_the_kept_states(orbits, tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(prepare, "read_mpcorb", lambda path: reads.append(path) or read_mpcorb(path))
    nights = {}
    for days in (0, 1, 9, 3, 0):
        nights[days] = prepare_night(
            orbits=orbits,
            cache=tmp_path / "one",
            site=SITE,
            midnight_utc=midnight_of(61030.2 + days, SITE),
            ephemeris=ErfaEphemeris(),
        )
    assert len(reads) == 1
    fresh = prepare_night(
        orbits=orbits,
        cache=tmp_path / "two",
        site=SITE,
        midnight_utc=midnight_of(61039.2, SITE),
        ephemeris=ErfaEphemeris(),
    )
    assert np.abs(fresh.state - nights[9].state).max() < 1e-12
    assert np.array_equal(fresh.sky, nights[9].sky)
    assert (fresh.rows == nights[9].rows).all()


def test_damage_and_new_files_are_noticed(orbits, tmp_path):
    cache, mine = tmp_path / "cache", tmp_path / "orbits.dat"
    mine.write_bytes(orbits.read_bytes())
    words = {
        "cache": cache,
        "site": SITE,
        "midnight_utc": midnight_of(61058.2, SITE),
        "ephemeris": ErfaEphemeris(),
    }
    first = prepare_night(orbits=mine, **words)
    for path in cache.glob("*.npz"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (cache / "digests.json").write_text("[1, 2")
    again = prepare_night(orbits=mine, **words)
    assert np.array_equal(first.state, again.state)
    assert np.array_equal(first.mag, again.mag)
    mine.write_text(CERES + "\n")
    assert len(prepare_night(orbits=mine, **words).orbits) == 1
    for day in range(1, 40):
        prepare_night(orbits=mine, **{**words, "midnight_utc": words["midnight_utc"] + day})
    kinds = [path.name.partition("-")[0] for path in cache.glob("*.npz")]
    assert (kinds.count("orbits"), kinds.count("grid"), kinds.count("night")) == (2, 3, 4)
    assert not list(cache.glob(".tmp-*"))


def test_a_sequence_gives_skybots_table(night, orbits, tmp_path):
    ceres = int(np.flatnonzero(night.rows == 400)[0])
    ra, dec = to_radec(night.sky[:3, ceres].astype(np.float64))
    times = [night.midnight_utc + days for days in (-0.1, 0.0, 0.1, 20.0)]
    words = {"site": SITE, "orbits": orbits, "cache": tmp_path, "ephemeris": ErfaEphemeris()}
    exposures = [frame(mjd, ra, dec) for mjd in times]
    known = known_objects_from_orbits(exposures=exposures, **words)
    assert known.checked == (1, 2, 3, 4)
    assert list(known.table.columns) == list(KNOWN_COLUMNS)
    assert {name: str(kind) for name, kind in known.table.dtypes.items()} == KNOWN_COLUMNS
    found = known.table[known.table["NUMBER"] == "1"]
    assert found["CATALOG_NUMBER"].tolist() == [1, 2, 3]  # by the fourth it has left
    assert found["MAG"].between(6.5, 9.5).all()
    assert found["ERR"].between(0.05, 0.5).all()
    rate = separation_arcsec(*found[["RA", "DEC"]].to_numpy()[[0, 2]].ravel()) / 4.8
    assert rate == pytest.approx(np.hypot(found["PMRA"], found["PMDEC"]).mean(), rel=0.05)
    assert found["NAME"].tolist() == ["Ceres"] * 3
    assert not known_objects_from_orbits(exposures=[], **words).checked
    empty = known_objects_from_orbits(exposures=[frame(times[0], 10.0, -89.0, 0.1)], **words)
    assert empty.checked == (1,)
    assert len(empty.table) == 0
    outside = [frame(times[1], ra, dec + 0.3, 0.2)]
    for margin, there in ((60.0, False), (1200.0, True)):
        table = known_objects_from_orbits(exposures=outside, margin_arcsec=margin, **words).table
        assert (table["NUMBER"] == "1").any() == there


def test_planets_have_their_names(orbits, tmp_path):
    from astropy.coordinates import get_body
    from astropy.time import Time
    from astropy.utils import iers

    mjd = 61058.2
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        mars = get_body("mars", Time(mjd, format="mjd", scale="utc"), ephemeris="builtin")
    table = known_objects_from_orbits(
        exposures=[frame(mjd, mars.ra.deg, mars.dec.deg)],
        site=SITE,
        orbits=orbits,
        cache=tmp_path,
        ephemeris=ErfaEphemeris(),
    ).table
    row = table[table["CLASS"] == "Planet"].iloc[0]
    assert row["NAME"] == "Mars"
    assert separation_arcsec(row["RA"], row["DEC"], mars.ra.deg, mars.dec.deg) < 60.0  # aberration is 20"
    assert 0.5 < row["MAG"] < 1.8  # near its conjunction of 2026-01-09
    assert 5.0 < row["ERR"] < 40.0


def test_uncertainty_grows_outside_the_arc_with_u():
    grades = np.frombuffer(b"0123456789", dtype=np.uint8)
    runoff = runoff_arcsec_per_year(uncertainty=grades, arc_days=np.full(10, 3000.0))
    limits = np.array([1.0, 4.4, 19.6, 86.5, 382.0, 1692.0, 7488.0, 33121.0, 146502.0])  # arcsec per decade
    assert (runoff[:-1] * 10.0 < limits).all()
    assert (runoff[1:] * 10.0 > limits).all()
    letters = np.frombuffer(b"E   ", dtype=np.uint8)
    unknown = runoff_arcsec_per_year(uncertainty=letters, arc_days=np.array([2.0, 20.0, 100.0, 900.0]))
    assert (np.diff(unknown) < 0.0).all()
    ends = {"first": np.array([50000.0]), "last": np.array([60000.0]), "epoch": np.array([60000.0])}
    one = {"runoff": np.array([80.0]), **ends, "drift": 0.0}
    assert heliocentric_error_arcsec(**one, mjd=55000.0)[0] == pytest.approx(0.1)
    assert heliocentric_error_arcsec(**one, mjd=60000.0 + 365.25)[0] == pytest.approx(80.0, rel=1e-3)
    assert heliocentric_error_arcsec(**one, mjd=50000.0 - 365.25)[0] == pytest.approx(80.0, rel=1e-3)


def test_the_lost_are_not_named_and_the_vague_carry_their_error(tmp_path):
    lines = [line(i, 2.5, 0.1, 5.0, 40.0, 50.0, 60.0, grade=grade) for i, grade in enumerate("0459")]
    path = tmp_path / "orbits.dat"
    path.write_text("\n".join(lines) + "\n")
    mjd = 61180.2  # 5.8 months after the last observation
    night = prepare_night(
        orbits=path,
        cache=tmp_path / "c",
        site=SITE,
        midnight_utc=midnight_of(mjd, SITE),
        ephemeris=ErfaEphemeris(),
    )
    assert night.rows.tolist() == [0, 1, 2]
    seen = exactly(night, np.arange(1), observer_at(mjd, site=SITE, ephemeris=night.ephemeris)).seen
    table = known_objects_from_orbits(
        exposures=[frame(mjd, seen.ra[0], seen.dec[0], 0.1)],
        site=SITE,
        orbits=path,
        cache=tmp_path / "c",
        ephemeris=ErfaEphemeris(),
    ).table
    errors = dict(zip(table["NAME"], table["ERR"], strict=True))
    assert len(errors) == 3
    low, middle, high = sorted(errors.values())
    assert low < 0.5
    assert 5.0 < middle < 40.0
    assert 3.0 < high / middle < 6.0  # a class of U is a factor of 4.4
