"""The linter: real files of others, one mutation per rule, and files that make no sense at all."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from rich.console import Console

from ssosd.cli import main
from ssosd.errors import BadInput
from ssosd.reports.lint import draft as linter
from ssosd.reports.lint import sky
from ssosd.reports.lint.draft import Problem, Sent, has_errors, kind_of
from ssosd.reports.lint.render import MOST, problem_lines, render_problems, verdict
from ssosd.reports.lint.schema import element_order, schema_path
from ssosd.reports.mpc_values import ADES_BANDS, CATALOGUES, LETTER_BANDS, MODES
from ssosd.reports.obs80 import format_date
from ssosd.sphere import separation_arcsec

#: The linter on a day after those of the drafts here, whatever the day is.
NOW = datetime(2026, 11, 20, tzinfo=UTC)
lint_text, lint_file = (partial(of, now=NOW) for of in (linter.lint_text, linter.lint_file))

LINES = """\
COD 493
OBS A. Nobody
MEA A. Nobody
TEL 0.6-m f/4 Reflector + CCD
NUM 4
     sFxe000  C2026 11 14.83402902 18 06.614+13 33 58.57         15.6 G      493
     sFxe000  C2026 11 14.84447202 18 05.983+13 33 54.82         15.6 G      493
     sFxe000  C2026 11 14.85489102 18 05.353+13 33 51.11         15.6 G      493
05945        C2026 11 14.85489102 18 40.000+13 40 00.00         17.1 V      493
""".replace("05945        C", "05945         C")
# a known object needs two or three as well
LINES = LINES.replace("NUM 4", "NUM 6") + "".join(
    f"05945         C2026 11 14.{day}02 18 {sec}+13 40 00.00         17.1 V      493\n"
    for day, sec in (("865300", "39.400"), ("875709", "38.800"))
)

PSV = """\
# version=2022
# observatory
! mpcCode 493
# submitter
! name A. Nobody
# measurers
! name A. Nobody
# telescope
! design Reflector
! aperture 0.6
! detector CCD
permID|provID|trkSub |mode|stn|obsTime                |ra       |dec       |rmsRA|rmsDec|astCat|mag |band|photCat|remarks
      |      |sFxe000|CCD |493|2026-11-14T20:01:00.10Z|34.527559|+13.566270|0.054|0.054 |Gaia3 |15.6|G   |Gaia3  |
      |      |sFxe000|CCD |493|2026-11-14T20:16:02.37Z|34.524929|+13.565229|0.054|0.054 |Gaia3 |15.6|G   |Gaia3  |
      |      |sFxe000|CCD |493|2026-11-14T20:31:02.36Z|34.522303|+13.564197|0.054|0.054 |Gaia3 |15.6|G   |Gaia3  |
"""
FIRST = 13  # line of the first record


#: Of years ago, for the command, which goes by the clock.
OLD_LINES = LINES.replace("2026 11 14", "2016 11 14")


def found(text, **kwargs):
    return [(p.row, p.column, p.rule, p.severity) for p in lint_text(text, **kwargs)]


def changed(text, line, old, new):
    """The text with one thing in one line changed."""
    lines = text.splitlines()
    assert old in lines[line - 1], lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "\n".join(lines) + "\n"


def as_xml(psv):
    """Our PSV in XML by an independent hand: lxml, in the order of the schema."""
    lines = [line for line in psv.splitlines() if line[0] not in "#!"]
    names = [n.strip() for n in lines[0].split("|")]
    root = etree.Element("ades", version="2022")
    block = etree.SubElement(root, "obsBlock")
    context = etree.SubElement(block, "obsContext")
    for line in psv.splitlines()[1:]:
        name, _, text = line[1:].strip().partition(" ")
        if line[0] == "#":
            group = etree.SubElement(context, name)
        elif line[0] == "!":
            etree.SubElement(group, name).text = text
    data = etree.SubElement(block, "obsData")
    for line in lines[1:]:
        values = dict(zip(names, (v.strip() for v in line.split("|")), strict=False))
        optical = etree.SubElement(data, "optical")
        for name in element_order():
            if values.get(name):
                etree.SubElement(optical, name).text = values[name]
    return etree.tostring(root, pretty_print=True).decode()


def test_good_files_have_no_problems():
    assert lint_text(LINES) == ()
    assert lint_text(PSV) == ()
    assert lint_text(as_xml(PSV)) == ()
    assert [kind_of(t) for t in (LINES, PSV, as_xml(PSV))] == ["mpc80", "psv", "xml"]


#: What the seed got wrong, and everything else a column can hold: line, from, to, (column, rule, severity).
MUTATIONS_80 = [
    (6, "33 58.57", "33 60.00", ("45-56", "form", "error")),  # the seed's seconds
    (6, "18 06.614", "18 60.000", ("33-44", "form", "error")),
    (6, "02 18 06.614", "24 18 06.614", ("33-44", "form", "error")),
    (6, "+13 33", " 13 33", ("45-56", "form", "error")),
    (6, "2026 11 14", "2026 02 30", ("16-32", "form", "error")),
    (6, "     sFxe000", "00000K15L40K", ("1-5", "designation", "error")),  # the seed's zeros
    (6, "     sFxe000", "            ", ("1-12", "designation", "error")),
    (6, "     sFxe000", "     K15I01A", ("6-12", "designation", "warning")),  # no half-month I
    (6, "     sFxe000", "     K26V1AB", ("6-12", "designation", "warning")),  # the cycle ends in a digit
    (6, "     sFxe000", "     K26Zz9A", ("6-12", "designation", "warning")),
    (6, "     sFxe000", "     K19Y040", ("6-12", "designation", "warning")),  # a comet without its C
    (6, "     sFxe000", "05945K15I01A", ("6-12", "designation", "warning")),
    (6, "15.6 G", " 15.6G", ("66-70", "magnitude", "error")),  # the seed's column
    (6, "15.6 G", "15.6 C", ("71", "band", "error")),
    (6, "15.6 G", "15.6 L", ("71", "band", "error")),
    (6, "15.6 G", "15.6 u", ("71", "band", "error")),
    (6, "15.6 G", "15.6 Q", ("71", "band", "error")),
    (6, "15.6 G", "15.6  ", ("71", "band", "warning")),
    (6, "15.6 G", "     G", ("66-70", "magnitude", "warning")),
    (6, "15.6 G", "1x.6 G", ("66-70", "form", "error")),
    (6, "G      493", "G  W   493", ("72-77", "blank", "error")),
    (6, "58.57         15", "58.57     x   15", ("57-65", "blank", "error")),
    (6, "G      493", "G      !!3", ("78-80", "station", "error")),
    (6, "000  C2026", "000 !C2026", None),  # note 1 is free
    (6, "000  C2026", "000? C2026", ("13", "asterisk", "error")),
    (6, "000  C2026", "000  F2026", ("15", "mode", "error")),
    (6, "000  C2026", "000  P2026", ("15", "mode", "warning")),
    (6, "14.834029", "14.834   ", ("16-32", "precision", "warning")),  # the seed's truncated dates
    (6, "  493", "493", ("", "length", "error")),
    (1, "COD 493", "COD ?!?", ("5-7", "station", "error")),
    (1, "COD 493", "XYZ 493", ("1-3", "header", "error")),
    (2, "A. Nobody", "your name", ("5-80", "placeholder", "error")),  # the seed's header
    (2, "A. Nobody", "<observer>", ("5-80", "placeholder", "error")),
    (2, "OBS A. Nobody", "CON A. Nobody <a@b.org>\nOBS A. Nobody", None),
    (2, "OBS A. Nobody", "AC2 <a@b.org>\nOBS A. Nobody", None),
    (5, "NUM 6", "NUM 7", ("5-80", "count", "error")),
]


@pytest.mark.parametrize(("line", "old", "new", "problem"), MUTATIONS_80, ids=lambda v: str(v)[:20])
def test_what_is_wrong_in_80_columns_is_named(line, old, new, problem):
    problems = found(changed(LINES, line, old, new))
    if problem is None:
        assert not problems
    else:
        assert (line, *problem) in problems


#: In the first record or the header: line, from, to, (column, rule, severity).
MUTATIONS_PSV = [
    (FIRST, "CCD ", "CAM ", ("mode", "mode", "error")),
    (FIRST, "CCD ", "PHO ", ("mode", "mode", "warning")),
    (FIRST, "|493", "|QQ!", ("stn", "station", "error")),
    (FIRST, "Gaia3 |15.6", "Gaia9 |15.6", ("astCat", "catalogue", "error")),
    (FIRST, "Gaia3 |15.6", "USNOB1|15.6", ("astCat", "catalogue", "warning")),
    (FIRST, "Gaia3  |", "MyStars|", ("photCat", "catalogue", "error")),
    (FIRST, "|G   |", "|C   |", ("band", "band", "error")),
    (FIRST, "|G   |", "|L   |", ("band", "band", "error")),
    (FIRST, "|G   |", "|u   |", ("band", "band", "error")),
    (FIRST, "|G   |", "|Qq  |", ("band", "band", "error")),
    (FIRST, "|G   |", "|    |", ("photCat", "schema", "error")),
    (FIRST, "34.527559", "394.52756", ("ra", "schema", "error")),
    (FIRST, "+13.566270", "+93.566270", ("dec", "schema", "error")),
    (FIRST, "34.527559", "34.52     ", ("ra", "precision", "error")),
    (FIRST, "+13.566270", "+13.5662  ", ("dec", "precision", "warning")),
    (FIRST, "20:01:00.10Z", "20:01:00.10 ", ("obsTime", "schema", "error")),
    (FIRST, "20:01:00.10Z", "20:01:60.10Z", ("obsTime", "schema", "error")),
    (FIRST, "2026-11-14", "2026-02-30", ("obsTime", "schema", "error")),
    (FIRST, "20:01:00.10Z", "20:01:00Z", ("obsTime", "precision", "warning")),
    (FIRST, "sFxe000", "sFxe00000", ("trkSub", "schema", "error")),
    (FIRST, "sFxe000", "K15L01A", ("trkSub", "trksub", "warning")),
    (FIRST, "sFxe000", "       ", ("mode", "schema", "error")),
    (FIRST, "0.054|0.054", "     |0.054", ("rmsDec", "range", "warning")),
    (FIRST, "0.054|0.054", "99.00|99.00", ("rmsRA", "range", "warning")),
    (FIRST, "|15.6|", "|35.6|", ("mag", "schema", "error")),
    (FIRST, "|15.6|", "|-1.2|", ("mag", "range", "warning")),
    (FIRST, "Gaia3  |", "Gaia3  ||", ("", "form", "error")),
    (FIRST - 1, "astCat", "astKat", ("astKat", "form", "error")),
    (1, "2022", "2017", ("version", "version", "error")),
    (1, "version", "weather", ("version", "form", "error")),
    (3, "493", "@@@", ("mpcCode", "station", "error")),
    (5, "A. Nobody", "XXX", ("name", "placeholder", "error")),
    (9, "design", "sign", ("sign", "schema", "error")),
]


@pytest.mark.parametrize(("line", "old", "new", "problem"), MUTATIONS_PSV, ids=lambda v: str(v)[:20])
def test_what_is_wrong_in_psv_is_named(line, old, new, problem):
    problems = found(changed(PSV, line, old, new))
    at = 1 if problem[:2] == ("version", "form") else line
    where = [p for p in problems if p[1:] == problem]
    assert where, problems
    assert where[0][0] == at


def test_lines_of_psv_are_counted_beyond_65535():
    """Further than lxml lets a line be set: a problem of the schema, of a value and of a header far below."""
    far = 70_000
    lines = changed(changed(PSV, FIRST, "CCD ", "CAMX"), FIRST + 1, "|15.6|", "|-1.2|").splitlines()
    short = {(p[0] + far, *p[1:]) for p in found("\n".join(lines))}
    assert {(FIRST + far, "mode", "schema", "error"), (FIRST + far + 1, "mag", "range", "warning")} < short
    above = "\n".join([*lines[:1], *[""] * far, *lines[1:]])
    assert set(found(above)) == short
    assert (far + 3, "mpcCode", "station", "error") in found(changed(above, far + 3, "493", "@@@"))


@pytest.mark.parametrize(
    ("line", "old", "new", "problem"), [m for m in MUTATIONS_PSV if m[0] == FIRST and m[3][1] != "form"]
)
def test_what_is_wrong_in_xml_is_named_alike(line, old, new, problem):
    text = as_xml(changed(PSV, line, old, new))
    rows = [p for p in found(text) if p[1:] == problem]
    assert rows
    tag = problem[0]
    assert f"<{tag}>" in text.splitlines()[rows[0][0] - 1]


@pytest.mark.parametrize("name", ["K26V01B", "sK26V1A", "K26", "P10GvKl"])
def test_what_is_packed_or_the_observers_own_is_no_mistyped_designation(name):
    assert not [p for p in found(LINES.replace("sFxe000", f"{name:<7}")) if p[2] == "designation"]


def test_xml_that_is_none():
    text = as_xml(PSV)
    broken = text.replace("</optical>", "</optica>", 1)
    problems = lint_text(broken)
    assert [(p.rule, p.severity) for p in problems] == [("well-formed", "error")]
    assert problems[0].row == next(i for i, t in enumerate(broken.splitlines(), 1) if "</optica>" in t)


def test_xml_from_strangers_reads_no_files(tmp_path):
    (tmp_path / "secret").write_text("Gaia3")
    text = as_xml(PSV).replace("<ades", f'<!DOCTYPE ades [<!ENTITY x SYSTEM "{tmp_path}/secret">]><ades', 1)
    problems = lint_text(text.replace("<astCat>Gaia3", "<astCat>&x;", 1))
    assert [(p.row, p.rule, p.severity) for p in problems] == [(1, "well-formed", "error")]


def shifted(text, **by):
    """The PSV's records with hours added to the time or degrees to a coordinate."""
    out = []
    for line in text.splitlines():
        values = line.split("|")
        if len(values) > 5 and "T" in values[5] and values[5].strip().endswith("Z"):
            hour = int(values[5][11:13]) + by.get("hours", 0)
            values[5] = f"{values[5][:11]}{hour:02d}{values[5][13:]}"
            values[6] = f"{(float(values[6]) + by.get('ra', 0)) % 360:.6f}"
            values[7] = f"{float(values[7]) + by.get('dec', 0):+.6f}"
        out.append("|".join(values))
    return "\n".join(out)


def test_the_sun_is_down_and_the_object_is_up():
    assert {p[2:] for p in found(shifted(PSV, hours=-8))} >= {("sun-up", "error")}  # noon in Spain
    twilight = found(shifted(PSV, hours=-3))  # 17:01 and 17:31 UTC, sunset is at 16:55
    assert {p[2] for p in twilight} == {"twilight"}
    under = found(shifted(PSV, ra=180))
    assert {p[1:] for p in under} == {("dec", "below-horizon", "error")}
    assert {p[2] for p in found(shifted(PSV, dec=-70))} == {"below-horizon"}
    orbital = changed(PSV, 3, "493", "C57").replace("|493|", "|C57|")  # a spacecraft has no horizon
    assert not [p for p in found(shifted(orbital, ra=180)) if p[2] == "below-horizon"]


def test_two_at_least_and_three_are_better():
    lines = PSV.splitlines()
    one, two = "\n".join(lines[:FIRST]), "\n".join(lines[: FIRST + 1])
    assert found(one) == [(FIRST, "", "single", "error")]
    assert found(two) == [(FIRST, "", "few", "warning")]
    stacked = one.replace("photCat|remarks", "photCat|notes").replace("Gaia3  |", "Gaia3  |K")
    assert found(stacked) == [(FIRST, "", "single", "warning")]
    known = one.replace("|      |sFxe000", "|2015 LA1|       ")
    assert found(known) == [(FIRST, "", "single", "error")]


def test_no_position_twice():
    lines = PSV.splitlines()
    assert (FIRST + 3, "ra", "duplicate", "error") in found("\n".join([*lines, lines[FIRST - 1]]))
    renamed = lines[FIRST - 1].replace("sFxe000", "sFxe001")
    assert (FIRST + 3, "ra", "duplicate", "error") in found("\n".join([*lines, renamed]))
    elsewhere = lines[FIRST - 1].replace("34.527559", "34.627559")
    assert (FIRST + 3, "ra", "two-places", "error") in found("\n".join([*lines, elsewhere]))


def test_motion_is_that_of_one_object():
    jumped = changed(PSV, FIRST + 1, "34.524929", "34.526929")  # 7" aside
    assert [p[1:] for p in found(jumped)] == [("ra", "motion", "warning")]
    other = changed(PSV, FIRST + 1, "34.524929", "34.564929")
    assert ("ra", "motion", "error") in [p[1:] for p in found(other)]
    fast = changed(PSV, FIRST + 1, "34.524929", "44.524929")
    assert ("ra", "motion", "error") in [p[1:] for p in found(fast)]
    other_side = changed(PSV, FIRST + 1, "34.524929", "214.52493")
    assert ("ra", "motion", "error") in [p[1:] for p in found(other_side)]


def test_times_are_within_exposures_and_nothing_is_sent_twice():
    starts = [(61358.83333, 120.0), (61358.8437, 140.0)]
    assert [p[:3] for p in found(PSV, exposures=starts)] == [(FIRST + 2, "obsTime", "not-in-exposure")]
    sent = [Sent(stn="493", mjd=61358.8345, ra_deg=34.5285, dec_deg=13.56627)]  # 41 s, 3.3" away
    assert [p[:3] for p in found(PSV, sent=sent)] == [(FIRST, "ra", "sent-before")]
    other = [Sent(stn="688", mjd=61358.8345, ra_deg=34.5285, dec_deg=13.56627)]
    assert not found(PSV, sent=other)


def test_of_the_ledger_of_years_a_minute_is_compared(monkeypatch):
    """500 positions of a night took 3.7 s against 100,000 that were sent before."""
    night = 61358.8340289 + np.arange(-700.0, 300.0)
    ledger = [Sent(stn="493", mjd=mjd, ra_deg=34.527559, dec_deg=13.56627) for mjd in night]
    compared = []

    def seen(ra, dec, others, dec_of_others):
        compared.append(np.size(others))
        return separation_arcsec(ra, dec, others, dec_of_others)

    monkeypatch.setattr(sky, "separation_arcsec", seen)
    assert [p[:3] for p in found(PSV, sent=ledger[::-1])] == [(FIRST, "ra", "sent-before")]
    assert sum(compared) < 10


def test_of_an_exposures_positions_those_near_each_other_are_compared():
    """All pairs of 2,000 objects in five exposures took 1.2 s, of 10,000 half a minute."""
    header, records = PSV.splitlines()[: FIRST - 1], PSV.splitlines()[FIRST - 1 :]
    many = [
        record.replace("sFxe000", f"sFx{k:04d}").replace("+13.", f"+{13 + k}.")
        for k in range(40)
        for record in records
    ]
    twice = many[0].replace("sFx0000", "sFx9999")  # under another name
    elsewhere = many[3].replace("34.527559", "34.557559")  # the same object at the same time
    text = "\n".join([*header, *many, twice, elsewhere])
    pairs = sky._at_one_time(linter.sightings_of(text))
    assert pairs == [(0, len(many)), (3, len(many) + 1)]
    problems = [p[:3] for p in found(text)]
    last = FIRST + len(many)
    assert (last, "ra", "duplicate") in problems
    assert (last + 1, "ra", "two-places") in problems


@pytest.mark.parametrize("seconds", [0.0, 0.02, 1.0])
def test_the_middle_of_the_shortest_exposure_is_within_it(seconds):
    """Frames of a video camera are shorter than what rounding to the sixth decimal of the day may be off."""
    middles = 61358.834 + np.arange(40) * 1.37e-5
    text = "COD 493\n" + "".join(
        "     sFxe000  C" + format_date(mjd) + f"02 18 06.614+13 33 58.57{'':21}493\n" for mjd in middles
    )
    exposures = [(mjd - seconds / 2.0 / 86400.0, seconds) for mjd in middles]
    assert not [p for p in lint_text(text, exposures=exposures) if p.rule == "not-in-exposure"]
    late = [(start - 1.0 / 86400.0, 0.0) for start, _ in exposures]
    assert len([p for p in lint_text(text, exposures=late) if p.rule == "not-in-exposure"]) == 40


@pytest.mark.parametrize("text", [LINES, PSV, as_xml(PSV)], ids=["mpc80", "psv", "xml"])
def test_nothing_was_observed_in_the_future(text):
    first = datetime(2026, 11, 14, 20, 0, tzinfo=UTC)  # one minute before the first of them
    assert not found(text, now=first)  # the clock may be a day late
    problems = found(text, now=first - timedelta(days=1))
    assert {p[2:] for p in problems} == {("future", "error")}
    assert len({p[0] for p in problems}) == len(problems) == (6 if text is LINES else 3)
    assert {p[1] for p in problems} == {"16-32" if text is LINES else "obsTime"}


def test_an_object_is_discovered_once():
    once = changed(LINES, 6, "sFxe000  C", "sFxe000* C")
    assert not found(changed(once, 9, "05945         C", "05945       * C"))
    thrice = changed(changed(once, 7, "sFxe000  C", "sFxe000* C"), 8, "sFxe000  C", "sFxe000* C")
    assert found(thrice) == [(7, "13", "asterisk", "error")]

    lines = PSV.splitlines()
    starred = [
        *lines[: FIRST - 2],
        lines[FIRST - 2].replace("|mode", "|disc|mode"),
        *(line.replace("|CCD ", "|*   |CCD ") for line in lines[FIRST - 1 :]),
    ]
    assert found("\n".join(starred)) == [(FIRST + 1, "disc", "asterisk", "error")]
    starred[FIRST:] = (line.replace("|*", "|+") for line in starred[FIRST:])
    assert not found("\n".join(starred))


def test_two_errors_in_one_line_are_both_said():
    bad = changed(changed(LINES, 6, "33 58.57", "33 60.00"), 6, "18 06.614", "18 61.000")
    assert {p[1] for p in found(bad) if p[2] == "form"} == {"33-44", "45-56"}


@pytest.mark.parametrize("char", ["\f", "\v", "\x1c", "\x85", "\u2028"])
def test_what_ends_no_line_does_not_move_the_others(char):
    mpc80 = changed(changed(LINES, 6, "15.6 G", "15.6 C"), 1, "COD", f"OBS A.{char}Nobody\nCOD")
    assert found(mpc80) == [(1, "", "ascii", "error"), (7, "71", "band", "error")]
    psv = changed(PSV, FIRST, "|G   |", "|C   |").replace("A. Nobody", f"A.{char}Nobody", 1)
    assert found(psv) == [(5, "", "form", "error"), (FIRST, "band", "band", "error")]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_end_as_any_system_ends_them(end):
    assert not found(LINES.replace("\n", end))
    assert not found(PSV.replace("\n", end))


def test_who_has_no_place_of_his_own_tells_where_he_was():
    """Roving observers (247) and spacecraft, by the MPC's RovingObs.html and the ADES location group."""

    def said(text):
        return [(p.row, p.column) for p in lint_text(text) if p.rule == "location"]

    plain = [line.replace("  493", "  247") for line in LINES.splitlines()]
    alone = "\n".join(plain[:5] + plain[5:8])
    assert said(alone) == [(6, "78-80"), (7, "78-80"), (8, "78-80")]
    with_v = alone.replace("  C2026", "  V2026")
    assert said(with_v) == [(6, "15"), (7, "15"), (8, "15")]
    in_two = plain[:5]
    for line in plain[5:8]:
        in_two.append(line.replace("  C2026", "  V2026"))
        in_two.append(f"{line[:14]}v{line[15:32]}1  10.123400 +45.123400   690{'':16}247")
    assert {len(line) for line in in_two[5:]} == {80}
    assert said("\n".join(in_two)) == []
    in_two[6] = in_two[6].replace("14.834029", "14.834028")  # of another record
    assert said("\n".join(in_two)) == [(6, "15")]

    psv = PSV.replace("|493|", "|247|")
    assert said(psv) == [(row, "stn") for row in (FIRST, FIRST + 1, FIRST + 2)]
    named = psv.replace("|stn|", "|stn|sys  |ctr|pos1  |pos2  |pos3 |")
    assert said(named.replace("|247|", "|247|WGS84|399|10.123|45.123|690.0|")) == []
    assert said(LINES.replace("  493", "  500")) == said(PSV) == []


def test_what_the_linter_knows_is_consistent():
    assert LETTER_BANDS <= ADES_BANDS
    assert not {"C", "L", "u"} & ADES_BANDS
    assert {"CCD", "CMO"} <= MODES
    assert {"Gaia2", "Gaia3", "Gaia3E"} <= CATALOGUES
    assert {"permID", "stn", "photCat", "remarks"} <= set(element_order())
    assert schema_path().is_file()


SCHEMA_RULES = {"schema", "version", "well-formed", "form"}
#: The verdict that the content deserves, beyond the schema's: errors that must be there.
VERDICTS = {
    "MPCReport.psv": set(),
    "MPCReport.txt": set(),
    "MPCReport_multisite.psv": set(),
    "MPCReport_multisite.txt": set(),
    "MPCReport_rms.psv": set(),
    "2023MQ5.psv": {"version"},
    "319.psv": set(),
    "319.xml": set(),
    "band_conversions.xml": {"version", "station"},
    "gb_trksub.xml": {"version"},
    "obs.xml": {"version", "schema"},
    "obsResidual.xml": {"schema"},
    "obs_v2022.xml": set(),
    "provid_no_trksub.xml": {"version"},
    "standaloneResidual.xml": {"schema"},
    "trksub_8char.xml": set(),
    "trksub_9chars.xml": {"schema"},
    "trksub_sub.xml": {"version"},
}


@pytest.mark.shared
@pytest.mark.parametrize("name", VERDICTS)
def test_real_files(shared_data, tmp_path, name):
    """Real reports and the IAU's samples; for ADES the official programs are asked too."""
    path = next((shared_data / "ades").glob(f"*/{name}"))
    problems = lint_file(path)
    assert {p.rule for p in problems if p.severity == "error"} == VERDICTS[name]
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert all(1 <= p.row <= n_lines for p in problems)
    if path.suffix == ".txt":
        return
    tool = Path(str(distribution("iau-ades").locate_file("ades")))
    document = path
    if path.suffix == ".psv":
        document = tmp_path / "converted.xml"
        command = [sys.executable, str(tool / "psvtoxml.py"), str(path), str(document)]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
    schema = etree.XMLSchema(etree.parse(tool / "data" / "xsd" / "submit.xsd"))
    valid = schema.validate(etree.parse(document))
    assert valid == (not SCHEMA_RULES & {p.rule for p in problems if p.severity == "error"})


@pytest.mark.shared
def test_one_report_in_two_forms_has_the_same_positions(shared_data):
    """The 80-column twin of a PSV: nothing of the sky may be said of one alone."""
    folder = shared_data / "ades" / "obs80"
    sky = {"sun-up", "twilight", "below-horizon", "low", "single", "few", "duplicate", "motion"}
    said = [
        sorted(p.rule for p in lint_file(folder / f"MPCReport{end}") if p.rule in sky)
        for end in (".txt", ".psv")
    ]
    assert said[0] == said[1]


def test_files(tmp_path):
    path = tmp_path / "draft.psv"
    path.write_text("\ufeff" + PSV.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert lint_file(path) == ()
    assert lint_file(PSV) == ()
    path.write_bytes(PSV.replace("A. Nobody", "A. Célèbre").encode("latin-1"))
    assert {(p.row, p.rule) for p in lint_file(path)} == {(5, "encoding")}
    with pytest.raises(BadInput, match="cannot be read"):
        lint_file(tmp_path / "none.psv")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"SIMPLE  =                    T / FITS", "a FITS file"),
        (b"XTENSION\x00\x01\x02", "a file of binary data"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "a page in HTML"),
        (b"CANDIDATE,RA,DEC\nF01-0001,1.0,2.0\n", "a table of comma-separated values"),
        ("# Notizen\nF\u00fcr die Nacht\n".encode().removeprefix(b"# "), "text of another kind"),
        (b"Drafts of the night 2026-11-14, by ssosd\n", "text of another kind"),
        (b'{\n "action": "exposed",\n "dec": 1}\n', "text of another kind"),
    ],
)
def test_what_is_no_draft_is_named(tmp_path, data, what):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=f"a.txt: this is {what}, no draft") as raised:
        lint_file(path)
    assert "80 columns" in raised.value.next_step
    assert raised.value.next_step.endswith("NIGHT/drafts/*.psv")  # README.txt is there too
    good = tmp_path / "draft.txt"
    good.write_text(OLD_LINES)
    done = CliRunner().invoke(main, ["lint", str(path), str(good)])
    assert done.exit_code == 1
    assert "draft.txt: no problem found" in done.output  # the next file is looked at all the same


def test_a_draft_however_spoiled_is_looked_at(tmp_path):
    path = tmp_path / "draft.txt"
    for spoiled in (LINES.replace(" ", "", 3), LINES.rstrip(), "\n".join(LINES.splitlines()[-1:])):
        path.write_text(spoiled)
        assert isinstance(lint_file(path), tuple)


def test_the_same_problem_in_many_lines_is_printed_once(tmp_path):
    path = tmp_path / "draft.txt"
    text = OLD_LINES.splitlines()
    observation = next(line for line in text if line.startswith("     s"))
    many = [observation[:-k] for k in range(1, 31)] + [observation.replace("15.6 G", "15.6 C")] * 5
    path.write_text("\n".join([*text, *many]) + "\n")
    short, whole = (
        CliRunner().invoke(main, ["lint", *every, str(path)]).output for every in ([], ["--every"])
    )
    assert whole.count("columns instead of 80") == 30
    assert short.count("columns instead of 80") == MOST
    assert "more of length" in short
    assert "--every" in short
    quiet = CliRunner().invoke(main, ["lint", "-q", str(path)])
    assert quiet.exit_code == 1
    assert "error" in quiet.output
    assert "warning" not in quiet.output.splitlines()[1:-1]
    path.write_text(OLD_LINES)
    assert CliRunner().invoke(main, ["lint", "-q", str(path)]).output == ""


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# version=2022\n", "hello", "<a/>", "COD 493\n", "|||\n", "\x00"]
)
def test_nothing_is_not_a_draft(text):
    assert has_errors(lint_text(text))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
@settings(max_examples=200, deadline=None)
def test_no_text_at_all_makes_the_linter_fall(text):
    assert all(isinstance(p, Problem) for p in lint_text(text))


@given(
    where=st.integers(0, len(LINES) - 1), what=st.characters(codec="ascii"), psv=st.booleans(), data=st.data()
)
@settings(max_examples=200, deadline=None)
def test_one_wrong_character_anywhere_never_makes_it_fall(where, what, psv, data):
    text = PSV if psv else LINES
    where = data.draw(st.integers(0, len(text) - 1)) if psv else where
    for problem in lint_text(text[:where] + what + text[where + 1 :]):
        assert problem.rule
        assert problem.message
        assert math.isfinite(problem.row)


def test_the_console():
    problems = lint_text(changed(LINES, 6, "15.6 G", "15.6 C"))
    out = io.StringIO()
    Console(file=out, width=120).print(render_problems(problems, name="mpc80.txt"))
    assert "refuses band C" in out.getvalue()
    assert "1 error" in out.getvalue()
    assert problem_lines(problems, name="mpc80.txt")[0].startswith("mpc80.txt:6:71: error: ")
    assert verdict(()) == "no problem found"
    Console(file=out).print(render_problems([], name="a.psv"))
    assert "a.psv: no problem found" in out.getvalue()
