"""The SkyBoT client against a loopback stand-in of the service and the recorded real reply."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd import sphere
from ssosd.errors import Misconfigured, ServiceUnavailable
from ssosd.identify.known import KNOWN_COLUMNS, KnownObjects, unchecked
from ssosd.identify.skybot import Question, known_objects_for_exposures
from ssosd.identify.skybot_reply import parse_reply
from ssosd.model import Chip, Exposure
from ssosd.plumbing.fetch import fetch
from tests.skybot_service import SkybotService, moved, votable

MJD = 61358.834029247686
RA, DEC = 34.5, 13.6


def objects(ra=RA, dec=DEC, offsets=((0.0, 0.0), (300.0, -200.0), (-5000.0, 0.0))):
    xi, eta = np.array(offsets).T
    at_ra, at_dec = moved(np.full(len(xi), ra), np.full(len(xi), dec), xi, eta)
    n = len(xi)
    return pd.DataFrame(
        {
            "name": ["2015 LA1", "2015 LB2", "1998 LX7"][:n],
            "number": [np.nan, 100001.0, np.nan][:n],
            "mjd_mid": MJD,
            "ra": at_ra,
            "dec": at_dec,
            "Mv": [21.99, 20.03, 18.5][:n],
            "dra": [-44.5096, 1800.0, 0.5][:n],
            "ddec": [-9.974, -900.0, 0.25][:n],
            "unc": [0.114, 0.342, 95.0][:n],
        }
    )


def ask(service, **changes):
    question = {
        "url": service.url,
        "ra_deg": RA,
        "dec_deg": DEC,
        "radius_arcsec": 1200.0,
        "mjd_mid": MJD,
        "observer": "688",
    }
    time_limit_s = changes.pop("time_limit_s", 30.0)
    number = changes.pop("catalog_number", 1)
    asked = Question(**{**question, **changes})
    return asked.read(fetch(asked.address, time_limit_s), catalog_number=number)


ASKED = {"observer": "688", "mjd_mid": MJD, "ra_deg": RA, "dec_deg": DEC}


def reply(found):
    """A whole answer to `ASKED`, to be spoiled."""
    asked = {"-ra": f"{RA:.7f}", "-dec": f"{DEC:.7f}", "-rs": "9000", "-ep": f"{MJD + 2400000.5:.9f}"}
    return votable(found.assign(d=1.0), asked=asked, observer="688", mjd=MJD)


def exposure(mjd=MJD, ra=RA, dec=DEC, half_deg=0.3):
    corners = moved(
        np.full(4, ra),
        np.full(4, dec),
        3600.0 * half_deg * np.array([-1, 1, 1, -1]),
        3600.0 * half_deg * np.array([-1, -1, 1, 1]),
    )
    chip = Chip(
        hdu=0,
        width_px=2048,
        height_px=2048,
        ra_deg=ra,
        dec_deg=dec,
        corners_deg=tuple(zip(*(c.tolist() for c in corners), strict=True)),
        scale_arcsec=1.0,
    )
    return Exposure(
        path="/data/a.fits",
        digest="00",
        date_obs="2026-11-14T20:00:00.127",
        mjd_start=mjd - 0.0007,
        mjd_mid=mjd,
        exptime_s=120.0,
        filter="r",
        object="F01",
        telescope="",
        instrument="",
        ra_deg=ra,
        dec_deg=dec,
        width_deg=2 * half_deg,
        height_deg=2 * half_deg,
        chips=(chip,),
    )


def ask_all(service, exposures, **changes):
    paused = []
    known = known_objects_for_exposures(
        exposures=exposures,
        **{"url": service and service.url, "observer": "688", "time_limit_s": 30.0, "pause": paused.append}
        | changes,
    )
    return known, paused


# ---- one question ------------------------------------------------------------------------------------------


def test_what_is_asked_and_what_is_read():
    with SkybotService(objects()) as service:
        known = ask(service, catalog_number=3)
    (asked,) = service.requests
    assert asked["-observer"] == "688"
    assert "-loc" not in asked
    assert float(asked["-ep"]) - 2400000.5 == pytest.approx(MJD, abs=1e-8)  # a millisecond
    assert (float(asked["-ra"]), float(asked["-dec"])) == (RA, DEC)
    assert float(asked["-rs"]) == 1200.0
    assert asked["-objFilter"] == "111"
    assert known.checked == (3,)
    assert known.because == ""

    table = known.table
    assert list(table.columns) == list(KNOWN_COLUMNS)
    assert table["CATALOG_NUMBER"].tolist() == [3, 3]
    assert table["NAME"].tolist() == ["2015 LA1", "2015 LB2"]
    assert pd.isna(table["NUMBER"][0])
    assert table["NUMBER"][1] == "100001"
    assert table["MAG"].tolist() == [21.99, 20.03]
    assert table["PMRA"].tolist() == [-44.5096, 1800.0]
    assert table["PMDEC"].tolist() == [-9.974, -900.0]
    assert table["ERR"].tolist() == [0.114, 0.342]
    assert set(table["SOURCE"]) == {"SKYBOT"}
    xi, eta = sphere.offsets_arcsec(table["RA"], table["DEC"], RA, DEC)
    np.testing.assert_allclose(xi, [0.0, 300.0], atol=1e-4)
    np.testing.assert_allclose(eta, [0.0, -200.0], atol=1e-4)


def test_positions_are_those_of_the_epoch_asked_for():
    later = MJD + 0.5 / 24.0
    with SkybotService(objects()) as service:
        table = ask(service, mjd_mid=later, radius_arcsec=3000.0).table.set_index("NAME")
    xi, eta = sphere.offsets_arcsec(table["RA"]["2015 LB2"], table["DEC"]["2015 LB2"], RA, DEC)
    assert (float(xi), float(eta)) == pytest.approx((300.0 + 900.0, -200.0 - 450.0), abs=0.5)


def test_box_is_asked_for_as_it_is_given():
    with SkybotService(objects()) as service:
        known = ask(service, radius_arcsec=None, box_deg=(3.0, 0.01))
    assert service.requests[0]["-bd"] == "3x0.01"
    assert "-rs" not in service.requests[0]
    assert known.table["NAME"].tolist() == ["2015 LA1", "1998 LX7"]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("http500", "HTTP 500"),
        ("hang", "no complete answer within 0.5 s"),
        ("drip", "no complete answer within 0.5 s"),
        ("drip-headers", "no complete answer within 0.5 s"),
        ("drop", "dropped"),
        ("flag-1", "Flag: -1"),
        ("html", "no VOTable but '<!DOCTYPE html>"),
        ("json", "no VOTable but '{"),
        ("truncated", "broken or cut short"),
        ("short", "cut short"),
        ("nothing", "the answer is empty"),
        ("geocentric", "asked for observer 688, answered for 500"),
        ("other-epoch", "asked for epoch"),
        ("fewer-rows", "5 rows announced, 2 are in the answer"),
    ],
)
def test_each_failure_is_service_unavailable_with_its_reason(way, reason):
    limit = 0.5 if way in ("hang", "drip", "drip-headers") else 30.0
    with SkybotService(objects(), way=way) as service:
        with pytest.raises(
            ServiceUnavailable, match="(?i)" + reason.replace("[", r"\[").replace("{", r"\{")
        ) as caught:
            ask(service, time_limit_s=limit)
        assert len(caught.value.message) < 200
        service.way = "right"
        assert len(ask(service).table) == 2  # recovers without further ado


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('unit="deg" value="34.5000000"', 'unit="deg" value=""'),
        ('unit="deg" value="34.5000000"', 'unit="deg" value="here"'),
        ('ucd="meta.id;meta.number" datatype="char" arraysize="6"', 'datatype="int"'),
        ('name="dDEC" datatype="double"', 'name="dDEC" datatype="double" arraysize="2"'),
        ('datatype="float" width="13" precision="2"', 'datatype="floatComplex"'),
    ],
)
def test_a_field_of_another_kind_is_service_unavailable(there, instead):
    page = reply(found=objects().assign(number=[5, 100001, 7]))
    assert there.encode() in page
    with pytest.raises(ServiceUnavailable, match=r"cannot be read|broken") as caught:
        parse_reply(page.replace(there.encode(), instead.encode()), **ASKED)
    assert len(caught.value.message) < 200


def test_a_number_longer_than_its_column_is_whole():
    page = reply(found=objects().assign(number=[999999, 1000001, np.nan], name=["Short", "L" * 40, "2015 A"]))
    assert b'arraysize="6"' in page
    table = parse_reply(page, **ASKED)
    assert table["NUMBER"].fillna("").tolist() == ["999999", "1000001", ""]
    assert table["NAME"][1] == "L" * 40


@pytest.mark.parametrize("way", ["none-as-text", "none-as-error", "none-as-table"])
def test_no_objects_is_an_answer(way):
    with SkybotService(objects(), way=way) as service:
        known = ask(service)
    assert known.checked == (1,)
    assert known.table.empty
    assert list(known.table.columns) == list(KNOWN_COLUMNS)


def test_nobody_listens():
    with SkybotService() as service:
        url = service.url
    with pytest.raises(ServiceUnavailable, match="no connection"):
        fetch(url, 30.0)


def test_a_proxy_is_not_for_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    with SkybotService(objects()) as service:
        assert len(ask(service).table) == 2


def test_bad_arguments_are_named():
    with SkybotService(objects()) as service:
        with pytest.raises(Misconfigured, match="OBSERVATORY_CODE '68'"):
            ask(service, observer="68")
        with pytest.raises(Misconfigured, match="not a web address"):
            ask(service, url="skybot.example")
    assert service.requests == []


# ---- the recorded reply of the real service ----------------------------------------------------------------


@pytest.fixture
def recorded(shared_data):
    return (shared_data / "skybot" / "skybot_query.vot").read_bytes()


QUESTION = {"observer": "500", "mjd_mid": 60677.0, "ra_deg": 81.2833, "dec_deg": 4.49278}


@pytest.mark.shared
def test_recorded_reply_is_read(recorded):
    table = parse_reply(recorded, **QUESTION)
    assert table["NAME"].tolist() == ["G!kun||'homdima", "2014 UP224", "2019 RB21", "2007 TE366"]
    assert table["NUMBER"].fillna("").tolist() == ["229762", "523748", "", ""]
    assert table["CLASS"].tolist() == ["KBO>Detached", "KBO>Classical>Main", "MB>Middle", "Mars-Crosser"]
    assert table["MAG"].tolist() == [19.6, 22.1, 22.1, 21.6]
    assert table["PMRA"].tolist() == [-2.9183, -2.9962, -28.3830, -30.6513]
    assert table["PMDEC"].tolist() == [0.419, 0.215, 8.157, -6.155]
    assert table["ERR"].tolist() == [0.025, 0.070, 0.077, 0.148]
    # its sexagesimal columns are an independent record of the positions, rounded to 1.5 mas
    from astropy.coordinates import SkyCoord

    printed = SkyCoord(
        ["05 25 12.7657 +04 29 25.081", "05 25 5.8105 +04 31 3.866"], unit=("hourangle", "deg"), frame="icrs"
    )
    away = sphere.separation_arcsec(table["RA"][:2], table["DEC"][:2], printed.ra.deg, printed.dec.deg)
    assert away.max() < 0.0015
    # and its column of distances from the centre checks them again
    away = sphere.separation_arcsec(table["RA"], table["DEC"], QUESTION["ra_deg"], QUESTION["dec_deg"])
    np.testing.assert_allclose(away, [71.942, 95.597, 564.902, 635.204], atol=0.02)


@pytest.mark.shared
def test_recorded_reply_without_degrees_columns(recorded):
    whole = parse_reply(recorded, **QUESTION)
    older = parse_reply(recorded.replace(b'ID="_raj2000"', b'ID="other"'), **QUESTION)
    assert sphere.separation_arcsec(whole["RA"], whole["DEC"], older["RA"], older["DEC"]).max() < 0.0015


@pytest.mark.shared
def test_recorded_reply_cut_anywhere_is_refused(recorded):
    for length in range(0, len(recorded) - 1, 97):
        with pytest.raises(ServiceUnavailable):
            parse_reply(recorded[:length], **QUESTION)


@pytest.mark.shared
@pytest.mark.parametrize("other", [{"observer": "688"}, {"mjd_mid": 60677.0001}, {"ra_deg": 81.30}])
def test_recorded_reply_to_another_question_is_refused(recorded, other):
    with pytest.raises(ServiceUnavailable, match="asked for"):
        parse_reply(recorded, **QUESTION | other)


@pytest.mark.shared
def test_stand_in_has_the_structure_of_the_recorded_reply(recorded):
    import io

    from astropy.io import votable

    from tests.skybot_service import votable as made

    asked = {"-ra": "81.2833", "-dec": "4.49278", "-rs": "720", "-ep": "2460677.5"}
    ours = made(objects().assign(d=1.0), asked=asked, observer="500", mjd=60677.0)

    def fields(body):
        resource = votable.parse(io.BytesIO(body), verify="ignore").resources[0]
        return [(f.ID, f.name, f.datatype, f.unit) for f in resource.tables[0].fields], [
            (p.ID, p.name) for p in resource.params
        ]

    assert fields(ours) == fields(recorded)


# ---- all exposures of a sequence ---------------------------------------------------------------------------


def test_one_query_per_exposure_at_its_own_time_two_at_a_time():
    exposures = [exposure(MJD + i * 0.01) for i in range(5)]
    with SkybotService(objects()) as service:
        known, paused = ask_all(service, exposures)
        assert service.most_at_once <= 2
    assert sorted(float(r["-ep"]) for r in service.requests) == pytest.approx(
        [e.mjd_mid + 2400000.5 for e in exposures], abs=1e-8
    )
    assert known.checked == (1, 2, 3, 4, 5)
    assert known.unchecked == {}
    assert paused == []
    fast = known.table[known.table["NAME"] == "2015 LB2"].sort_values("CATALOG_NUMBER")
    step = sphere.separation_arcsec(fast["RA"][:-1], fast["DEC"][:-1], fast["RA"][1:], fast["DEC"][1:])
    np.testing.assert_allclose(step, np.hypot(1800.0, 900.0) * 0.24, rtol=1e-4)


@pytest.mark.parametrize("dec", [13.6, 1.5708, 80.0, -89.9])
def test_cone_covers_the_real_footprint_and_the_margin(dec):
    shot = exposure(dec=dec, half_deg=0.3)
    with SkybotService() as service:
        ask_all(service, [shot], margin_arcsec=60.0)
        ask_all(service, [shot], fov_dimensions_deg=(0.0, 0.0))
    radius = float(service.requests[0]["-rs"])
    assert radius == pytest.approx(0.3 * np.sqrt(2) * 3600.0 + 60.0, rel=0.001)
    assert float(service.requests[1]["-rs"]) > radius  # the margin of its own


def test_fov_dimensions_set_the_box():
    with SkybotService(objects()) as service:
        narrow, _ = ask_all(service, [exposure()], fov_dimensions_deg=(0.1, 0.05))
        wide, _ = ask_all(service, [exposure()], fov_dimensions_deg=(4.0, 1.0))
    assert [r["-bd"] for r in service.requests] == ["0.1x0.05", "4x1"]
    assert (len(narrow.table), len(wide.table)) == (1, 3)


def test_a_failure_is_asked_again_with_growing_pauses_and_another_radius():
    with SkybotService(objects(), plan=["flag-1", "http500", "right"]) as service:
        known, paused = ask_all(service, [exposure()])
    assert known.checked == (1,)
    assert paused == [2.0, 6.0]
    assert len({r["-rs"] for r in service.requests}) == 3


def test_no_pause_reaches_over_the_time_limit():
    now = iter(np.arange(0.0, 100.0, 1.5))
    with SkybotService(objects(), way="http500") as service:
        known, _ = ask_all(
            service, [exposure()], time_limit_s=10.0, retries=9, clock=lambda: float(next(now)), at_once=1
        )
        assert "HTTP 500" in known.because
        assert 1 < len(service.requests) < 9


def test_one_exposure_without_an_answer_costs_no_other():
    exposures = [exposure(MJD + i * 0.01) for i in range(4)]
    bad = {f"{e.mjd_mid + 2400000.5:.9f}" for e in exposures[1:2]}
    with SkybotService(objects()) as service:

        def sometimes(url, time_limit_s):
            if any(epoch in url for epoch in bad):
                raise ServiceUnavailable("SkyBoT: # Flag: -1")
            return fetch(url, time_limit_s)

        known, _ = ask_all(service, exposures, fetch=sometimes)
    assert known.checked == (1, 3, 4)
    assert dict(known.unchecked) == {2: "SkyBoT: # Flag: -1"}
    assert known.because == "1 of 4 exposures unchecked: SkyBoT: # Flag: -1"
    assert set(known.table["CATALOG_NUMBER"]) == {1, 3, 4}


def test_a_dead_service_is_not_asked_for_every_exposure():
    exposures = [exposure(MJD + i * 0.01) for i in range(9)]
    with SkybotService(objects(), way="http500") as service:
        known, _ = ask_all(service, exposures, retries=1)
        assert not known.checked
        assert "HTTP 500" in known.because
        assert len(service.requests) == 4  # two exposures, each asked twice
        service.way = "right"
        known, _ = ask_all(service, exposures)
    assert known.checked == tuple(range(1, 10))


def test_without_any_connection_it_is_tried_once_more():
    with SkybotService(objects()) as service:
        gone = service.url
    for retries, pauses in ((2, [2.0]), (0, [])):
        known, paused = ask_all(None, [exposure()], url=gone, retries=retries)
        assert "no connection" in known.because
        assert paused == pauses


def test_a_service_that_dies_on_the_way_leaves_the_rest_unchecked():
    exposures = [exposure(MJD + i * 0.01) for i in range(7)]
    with SkybotService(objects(), plan=["right", "right"], way="html") as service:
        known, _ = ask_all(service, exposures, retries=0)
    assert known.checked == (1, 4)  # of the first, the middle and the last
    assert sorted(known.unchecked) == [2, 3, 5, 6, 7]
    assert known.unchecked[6].startswith("not asked after: SkyBoT: no VOTable")


def test_why_is_told_in_one_sentence():
    assert unchecked({1: "HTTP 500", 2: "HTTP 500"}).because == "HTTP 500"
    assert KnownObjects.joined([]).because == ""


def test_no_exposures_is_no_question():
    with SkybotService(objects()) as service:
        known, _ = ask_all(service, [])
    assert service.requests == []
    assert known.checked == ()
    assert known.table.empty


@pytest.mark.shared
def test_simulated_night_through_the_service(shared_data):
    known = pd.read_csv(shared_data / "sim2" / "known.csv")
    field = known[known["field"] == "F02"]
    times = np.sort(field["mjd_mid"].unique())
    with SkybotService(known) as service:
        answer, _ = ask_all(service, [exposure(mjd, ra=95.0, dec=38.0, half_deg=0.4) for mjd in times])
    assert answer.checked == (1, 2, 3, 4, 5)
    told = answer.table.assign(mjd=times[answer.table["CATALOG_NUMBER"] - 1])
    both = told.merge(field, left_on=["NAME", "mjd"], right_on=["name", "mjd_mid"])
    assert len(both) == len(told) == len(field)
    assert sphere.separation_arcsec(both["RA"], both["DEC"], both["ra"], both["dec"]).max() < 1e-3
    np.testing.assert_allclose(both["PMRA"], both["dra"], atol=1e-4)
    numbered = both["number"].notna()
    assert both["NUMBER"].notna().equals(numbered)
    assert (both["NUMBER"][numbered].astype(float) == both["number"][numbered]).all()
