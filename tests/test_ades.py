"""ADES drafts against the IAU's own schema and converters, and against the 80 columns."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from ssosd.config.tables.images import SCAMP_CATALOGUES
from ssosd.errors import BadInput
from ssosd.model import SWALLOWED_FLAG
from ssosd.reports.ades.digits import dec_text, magnitude_text, ra_text, time_text
from ssosd.reports.ades.draft import render_ades
from ssosd.reports.ades.rows import BANDS, FIELDS, time_decimals
from ssosd.reports.context import Context, catalogue_code
from ssosd.reports.designation import Designation, known_designation, pack_number, pack_provisional
from ssosd.reports.lint import draft as linter
from ssosd.reports.lint.fields import mjd_of
from ssosd.reports.mpc80 import render_draft
from ssosd.reports.mpc_values import CATALOGUES, OLD_CATALOGUES
from ssosd.reports.obs80 import Precision, format_date, format_dec, format_magnitude, format_ra
from ssosd.reports.position_errors import position_errors, pull_of_known
from ssosd.reports.unpack import unpack

#: The linter long after the nights here, whatever the day is.
lint_text = partial(linter.lint_text, now=datetime(2100, 1, 1, tzinfo=UTC))

CONTEXT = Context(
    submitter="A. Nobody",
    observers=("A. Nobody",),
    measurers=("A. Nobody", "B. Célèbre"),
    design="Reflector",
    aperture_m=0.6,
    f_ratio=4.0,
    detector="CCD",
    institution="Anywhere",
    contact="1 Some Street",
    email="nobody@example.org",
    funding="none|at all",
    comments=("Two fields | of one night",),
    software=(("astrometry", "SCAMP 2.10"),),
)
PACKAGE = Path(str(distribution("iau-ades").locate_file("ades")))
KNOWN = [("5945", "Roachapproach"), ("712345", "x"), ("-", "2015 LA1"), ("-", "2026 CZ6190"), ("29P", "29P")]
KNOWN += [("-", "C/2019 Y4"), ("-", "2040 P-L"), ("-", "A908 CJ"), ("73P-C", "73P-C")]


def detections(n=4, candidate="F01-0001", seed=1, **columns):
    """One candidate of the night of 2026-11-14, moving, with everything a draft can use."""
    rng = np.random.default_rng(seed)
    hours = np.arange(n) * 0.25
    table = pd.DataFrame(
        {
            "CANDIDATE": candidate,
            "MID_EXPOSURE_MJD": 61358.834029247686 + hours / 24,
            "RA": 34.5272519 + seed * 0.01 - 0.008 * hours,
            "DEC": 13.5662712 - 0.004 * hours,
            "DATE-OBS": "2026-11-14T20:00:00.127",
            "EXPTIME": 120.0,
            "ERRA_WORLD": rng.uniform(0.05, 0.2, n) / 3600,
            "ERRB_WORLD": rng.uniform(0.02, 0.05, n) / 3600,
            "ERRTHETA_WORLD": rng.uniform(-90, 90, n),
            "MAG_CALIB": rng.uniform(15, 20, n),
            "MAG_CALIB_ERR": rng.uniform(0.01, 0.3, n),
            "BAND": "r",
            "PHOT_CAT": "Gaia3",
            "SNR_WIN": rng.uniform(5, 500, n),
            "SEEING": 2.41,
            "FLAGS_SSOS": 0,
            "MATCHED": False,
            "SKYBOT_NUMBER": "",
            "SKYBOT_NAME": "",
        }
    )
    return table.assign(**columns)


def night_of_all_kinds():
    known = [
        detections(seed=i + 2, candidate=f"K{i}", MATCHED=True, SKYBOT_NUMBER=number, SKYBOT_NAME=name)
        for i, (number, name) in enumerate(KNOWN)
    ]
    beside_a_star = detections(FLAGS_SSOS=[0, SWALLOWED_FLAG, 64, 0])
    return pd.concat([beside_a_star, *known], ignore_index=True)


def render(table, **kwargs):
    given = {"code": "493", "night": "2026-11-14", "context": CONTEXT, "ast_cat": "Gaia3"} | kwargs
    return render_ades(candidates=table, **given)


def rows(psv):
    lines = [line for line in psv.splitlines() if not line.startswith(("#", "!"))]
    names = [name.strip() for name in lines[0].split("|")]
    return [dict(zip(names, (v.strip() for v in line.split("|")), strict=True)) for line in lines[1:]]


def official(script, *arguments):
    """Run one of the package's programs: they keep their state in globals, so each in its own process."""
    done = subprocess.run(
        [sys.executable, str(PACKAGE / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def schemas(shared):
    yield PACKAGE / "data" / "xsd" / "submit.xsd"
    if (shared / "ades" / "submit.xsd").is_file():
        yield shared / "ades" / "submit.xsd"


def test_both_forms_are_valid_and_say_the_same(tmp_path):
    draft = render(night_of_all_kinds())
    assert draft.problems == ()
    assert draft.n_observations == 4 * (1 + len(KNOWN))
    (tmp_path / "a.psv").write_text(draft.psv, encoding="utf-8")
    official("psvtoxml.py", tmp_path / "a.psv", tmp_path / "converted.xml")
    converted = etree.parse(tmp_path / "converted.xml")
    ours = etree.fromstring(draft.xml.encode("utf-8"))
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    for path in schemas(shared):
        schema = etree.XMLSchema(etree.parse(path))
        for tree in (converted, ours):
            assert schema.validate(tree), schema.error_log

    def flat(root):
        return [
            [(e.tag, (e.text or "").strip()) for e in optical] for optical in root.iter("optical")
        ], sorted((e.tag, (e.text or "").strip()) for e in root.find(".//obsContext").iter())

    assert flat(ours) == flat(converted.getroot())
    assert "Célèbre" in draft.psv
    assert not lint_text(draft.psv)
    assert not lint_text(draft.xml)


def test_the_official_conversion_of_our_psv_is_our_80_columns(tmp_path):
    table = night_of_all_kinds()
    (tmp_path / "a.psv").write_text(render(table).psv, encoding="utf-8")
    official("psvtoxml.py", tmp_path / "a.psv", tmp_path / "a.xml")
    official("xmltompc80col.py", tmp_path / "a.xml", tmp_path / "a.txt")
    theirs = [line for line in (tmp_path / "a.txt").read_text().splitlines() if len(line) == 80]
    draft = render_draft(candidates=table, code="493", night="2026-11-14")
    ours = [line for line in draft.text.splitlines() if len(line) == 80]
    assert len(ours) == len(theirs) == len(table)
    assert [k for k, own in enumerate(ours) if own[13] == "I"] == [1]  # involved with a star
    for own, their in zip(ours, theirs, strict=True):
        assert own[13:56] == their[13:56]
        assert (own[70], own[77:]) == (their[70], their[77:])
        if own.strip()[:3] != "J08":  # they have no packed form of 1908 CJ but their own
            assert own[:12] == their[:12]


SKY = st.floats(0.0, 360.0, exclude_max=True)
DEC = st.floats(-90.0, 90.0)
MJD = st.floats(40000.0, 80000.0)
PRECISIONS = st.builds(
    Precision, day=st.sampled_from([5, 6]), ra=st.sampled_from([2, 3]), dec=st.sampled_from([1, 2])
)


@given(ra=SKY, dec=DEC, mjd=MJD, mag=st.floats(0.1, 26.0), precision=PRECISIONS)
@settings(max_examples=400, deadline=None)
def test_ades_and_80_columns_agree_to_the_last_digit(ra, dec, mjd, mag, precision):
    for decimals in (6, 7):
        text = ra_text(ra, decimals, precision)
        assert format_ra(float(text), precision.ra) == format_ra(ra, precision.ra)
        assert abs((float(text) - ra + 180) % 360 - 180) < 1.01 * 10**-decimals
        assert 0.0 <= float(text) < 360.0
        text = dec_text(dec, decimals, precision)
        shown = format_dec(float(text), precision.dec)
        assert shown[1:] == format_dec(dec, precision.dec)[1:]
        assert abs(float(text) - dec) < 1.01 * 10**-decimals
    text = time_text(mjd, 2, precision)
    back = mjd_of(text)
    assert back is not None
    assert abs(back - mjd) * 86400 < 0.011
    assert ":60" not in text
    assert format_date(back, precision.day) == format_date(mjd, precision.day) or (
        abs(back - mjd) * 86400 < 1e-4  # the float of the day itself ends there
    )
    for decimals in (1, 2):
        text = magnitude_text(mag, decimals, precision)
        assert format_magnitude(float(text)) == format_magnitude(mag)
        assert abs(float(text) - mag) < 1.01 * 10**-decimals


@given(
    ra=SKY,
    dec=DEC,
    mjd=st.floats(50000.0, 70000.0),
    mag=st.one_of(st.just(math.nan), st.floats(0.1, 27.0)),
    error=st.floats(1e-6, 5.0),
    rms=st.floats(1e-9, 50.0),
    theta=st.floats(-180, 180),
    snr=st.one_of(st.just(math.nan), st.floats(1e-3, 1e7)),
    seconds=st.floats(1e-4, 99999.0),
    band=st.sampled_from([*BANDS, ""]),
)
@settings(max_examples=150, deadline=None)
def test_no_sky_no_date_and_no_number_makes_a_draft_that_the_schema_refuses(
    ra, dec, mjd, mag, error, rms, theta, snr, seconds, band
):
    table = detections(
        n=1,
        RA=ra,
        DEC=dec,
        MID_EXPOSURE_MJD=mjd,
        MAG_CALIB=mag,
        MAG_CALIB_ERR=error,
        ERRA_WORLD=rms / 3600,
        ERRB_WORLD=rms / 7200,
        ERRTHETA_WORLD=theta,
        SNR_WIN=snr,
        EXPTIME=seconds,
        BAND=band,
    )
    draft = render(table)
    assert draft.n_observations == 1
    of_the_sky = {"sun-up", "twilight", "below-horizon", "low", "single", "range"}
    for text in (draft.psv, draft.xml):
        bad = [p for p in lint_text(text) if p.severity == "error" and p.rule not in of_the_sky]
        assert not bad


def test_the_year_the_minute_and_the_sky_carry():
    table = detections(n=1, MID_EXPOSURE_MJD=61405.99999999999, RA=359.99999999, DEC=-0.000000001)
    row = rows(render(table).psv)[0]
    assert row["obsTime"] == "2027-01-01T00:00:00.000Z"
    assert (row["ra"], row["dec"]) == ("0.000000", "+0.000000")


def test_who_is_who():
    written = rows(render(night_of_all_kinds()).psv)
    names = {(r["permID"], r["provID"], r["trkSub"]) for r in written}
    assert ("5945", "", "") in names
    assert ("712345", "", "") in names
    assert ("29P", "", "") in names
    assert ("73P-C", "", "") in names
    assert ("", "2015 LA1", "") in names
    assert ("", "2026 CZ6190", "") in names
    assert ("", "C/2019 Y4", "") in names
    assert ("", "1908 CJ", "") in names  # no packed form is left in it
    assert sum(bool(t) for _, _, t in names) == 1


@given(number=st.integers(1, 15_396_335))
def test_numbers_come_back(number):
    assert unpack(Designation(number=pack_number(number))).perm_id == str(number)


@given(
    year=st.integers(1950, 2049),
    half=st.sampled_from("ABCDEFGHJKLMNOPQRSTUVWXY"),
    second=st.sampled_from("ABCDEFGHJKLMNOPQRSTUVWXYZ"),
    cycle=st.integers(0, 619),
)
def test_provisional_designations_come_back(year, half, second, cycle):
    text = f"{year} {half}{second}{cycle or ''}"
    assert unpack(Designation(provisional=pack_provisional(text))).prov_id == text
    assert unpack(known_designation(number="-", name=text)).key == text


@pytest.mark.parametrize("bad", [("00000", ""), ("12a45", ""), ("", "K15?01A"), ("    C", "sFy9001")])
def test_what_is_no_designation_is_refused(bad):
    with pytest.raises(BadInput, match="columns"):
        unpack(Designation(number=bad[0], provisional=bad[1]))


@pytest.mark.parametrize(
    ("columns", "name"),
    [("    SJ98U010", "S/1998 U 1"), ("    SK03J020", "S/2003 J 2"), ("    SK19SA10", "S/2019 S 101")],
)
def test_new_satellites_come_back(columns, name):
    assert unpack(Designation(number=columns[:5], provisional=columns[5:])).prov_id == name


def test_errors_are_projected_on_the_sky_once():
    """An error of 0.2" along RA at Dec 80 is 0.2" with cos Dec, whatever the degrees of RA."""
    table = detections(
        n=2, DEC=80.0, ERRA_WORLD=0.2 / 3600, ERRB_WORLD=0.1 / 3600, ERRTHETA_WORLD=[90.0, 45.0]
    )
    first, second = rows(render(table).psv)
    assert (first["rmsRA"], first["rmsDec"], first["rmsCorr"]) == ("0.200", "0.100", "0.00")
    assert float(second["rmsCorr"]) == pytest.approx((0.04 - 0.01) / (0.04 + 0.01), abs=0.005)
    wide = position_errors(table, scatter_arcsec=0.3)
    assert wide.ra[0] == pytest.approx(math.hypot(0.2, 0.3))


def test_the_middle_of_a_trails_pieces_has_not_the_error_of_one_piece():
    """Of a trail of 33" cut in two anywhere it is off by 2", 30 times the error of a piece's centre."""
    table = detections(n=3, FLAGS_SSOS=[0, 16, 64])
    written = rows(render(table).psv)
    assert [[bool(row[name]) for name in ("rmsRA", "rmsDec", "rmsCorr")] for row in written] == [
        [True] * 3, [False] * 3, [True] * 3,
    ]  # fmt: skip


@pytest.mark.parametrize(("factor", "there"), [(1.0, True), (4.0, False), (0.1, False)])
def test_errors_that_known_objects_do_not_bear_out_are_left_out(factor, there):
    rng = np.random.default_rng(5)
    table = pd.concat(
        [
            detections(
                n=5,
                seed=i,
                candidate=f"K{i}",
                MATCHED=True,
                SKYBOT_NUMBER=str(100 + i),
                ERRA_WORLD=0.1 / 3600,
                ERRB_WORLD=0.1 / 3600,
                SKYBOT_DELTARA=3.0 + rng.normal(0, 0.1 * factor, 5),  # an old orbit, 3" off
                SKYBOT_DELTADEC=-1.0 + rng.normal(0, 0.1 * factor, 5),
            )
            for i in range(12)
        ],
        ignore_index=True,
    )
    draft = render(table)
    assert pull_of_known(table, position_errors(table)) == pytest.approx(factor, rel=0.3)
    assert ("rmsRA" in rows(draft.psv)[0]) == there
    assert any("position errors" in p for p in draft.problems) != there
    assert not [p for p in lint_text(draft.psv) if p.severity == "error"]


def test_nothing_is_made_up():
    draft = render(detections(), context=Context(), ast_cat=catalogue_code("FILE"))
    said = " ".join(draft.problems)
    for name in ("submitter/name", "measurers/name", "telescope/aperture", "astCat"):
        assert name in said
    assert "XXX" not in draft.psv
    assert [p for p in lint_text(draft.psv) if p.rule == "schema"]


def test_a_reference_catalogue_is_named_as_the_mpc_lists_it_or_not_at_all():
    names = {name: catalogue_code(name) for name in SCAMP_CATALOGUES}
    assert set(names.values()) <= CATALOGUES | OLD_CATALOGUES
    assert names["PPMX"] == "UNK"  # VizieR I/312; the MPC's PPMXL is I/317
    assert names["GSC-2.3"] == "GSC2.3"


def test_one_that_cannot_be_written_does_not_cost_the_others():
    planet = detections(candidate="P", MATCHED=True, SKYBOT_NUMBER="-", SKYBOT_NAME="Mars", seed=3)
    lost = detections(candidate="Q", RA=math.nan, seed=4)
    draft = render(pd.concat([detections(), planet, lost], ignore_index=True))
    assert draft.n_observations == 4
    assert [p.split()[1] for p in draft.problems] == ["P", "Q"]


def test_an_empty_night_is_an_empty_draft():
    draft = render(pd.DataFrame())
    assert (draft.psv, draft.xml, draft.n_observations) == ("", "", 0)


def test_without_calibration_there_is_no_magnitude():
    table = detections(MAG_CALIB=math.nan, MAG_CALIB_ERR=math.nan, BAND="", PHOT_CAT="")
    row = rows(render(table).psv)[0]
    assert not {"mag", "rmsMag", "band", "photCat"} & set(row)
    bare = table[["CANDIDATE", "MID_EXPOSURE_MJD", "RA", "DEC"]]
    assert render(bare).n_observations == 4


def test_times_are_as_precise_as_the_headers():
    assert time_decimals(["2026-11-14T20:00:00.120"], precision=Precision()) == 2
    assert time_decimals(["2026-11-14T20:00:00", "x.000"], precision=Precision(day=5)) == 1
    table = detections(**{"DATE-OBS": "2026-11-14T20:00:00.100"})
    text = rows(render(table, precision=Precision(day=5)).psv)[0]["obsTime"]
    assert len(text.partition(".")[2]) == 2  # one digit and the Z


def test_columns_are_in_the_order_of_the_schema():
    names = list(rows(render(night_of_all_kinds()).psv)[0])
    assert names == [f for f in FIELDS if f in names]


def test_modes_and_bands():
    assert rows(render(detections(), mode="CMO").psv)[0]["mode"] == "CMO"
    assert rows(render(detections()).psv)[0]["band"] == "Sr"
    with pytest.raises(BadInput, match="mode"):
        render(detections(), mode="PHO")


def test_one_set_of_facts_makes_both_headers():
    draft = render_draft(
        candidates=detections(),
        code="493",
        night="2026-11-14",
        header=CONTEXT.mpc80_header(ast_cat="Gaia3"),
    )
    assert "TEL 0.6-m f/4 Reflector + CCD\n" in draft.text
    assert "NET Gaia DR3\n" in draft.text
    assert "CON A. Nobody, 1 Some Street [nobody@example.org]\n" in draft.text
    assert "@" not in render(detections()).psv  # addresses in ADES headers become public
    assert Context().mpc80_header(ast_cat="UNK") == {}
