"""Calibration frames are known by their headers and names; no science exposure is ever taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssosd.config import load_config
from ssosd.errors import BadInput
from ssosd.ingest.calibration import calibration_reason
from ssosd.ingest.cardtext import format_card, header_block
from ssosd.ingest.fitsblocks import FitsLayout, Hdu, read_layout
from ssosd.ingest.headers import Cards
from ssosd.model import is_fits_name

WORDS = load_config(None, overrides={}, cwd=Path("/"), files_must_exist=False)["CALIBRATION"]


def layout_of(cards: Cards) -> FitsLayout:
    hdu = Hdu(index=0, cards=cards, offset=0, size=0, shape=(), compressed=False)
    return FitsLayout(hdus=(hdu,), packed=False, tidy=True, warnings=())


def reason(name: str = "a.fits", words=WORDS, **cards: str) -> str:
    block = header_block([format_card(keyword, value) for keyword, value in cards.items()])
    return calibration_reason(layout_of(Cards(block)), name=name, words=words)


@pytest.mark.parametrize(
    "kind",
    ["Dark Frame", "Bias Frame", "Flat Field", "FLAT", "bias", "zero", "DOMEFLAT", "SKYFLAT", "Master Dark",
     "dflat", "DARKFLAT", "arc", "comparison", "CALIB", "Lamp", "focus", "MASTERBIAS"],
)  # fmt: skip
@pytest.mark.parametrize("keyword", ["IMAGETYP", "OBSTYPE", "FRAME", "IMGTYPE"])
def test_kinds_of_calibration_frames(kind, keyword):
    assert reason(**{keyword: kind}, OBJECT="M 31") == f"calibration frame: {keyword} is {kind!r}"


@pytest.mark.parametrize(
    "kind",
    ["Light Frame", "OBJECT", "object", "EXPOSE", "SCIENCE", "LIGHT", "Tricolor Image", "sky", "SEARCH", ""],
)
def test_kinds_of_science_exposures(kind):
    assert reason(IMAGETYP=kind, OBJECT="5945 Roachapproach") == ""


@pytest.mark.parametrize("target", ["zero_pointing", "Dark Energy field 3", "flat", "focus field"])
def test_a_header_that_says_science_settles_the_matter(target):
    assert reason(OBSTYPE="EXPOSE", OBJECT=target, name="flat_1.fits") == ""


@pytest.mark.parametrize(
    "target", ["dark", "DARKS", "Bias", "processed flat", "dark 1 sec", "domeflat_K_ON", "GCALflat", "Flat V",
               "flats_r", "dome flat", "Master Bias", "focus", "Zero", "HEAT LAMPS", "Arc"]
)  # fmt: skip
def test_object_that_names_a_calibration_frame(target):
    assert reason(OBJECT=target) == f"calibration frame: OBJECT is {target!r}"


@pytest.mark.parametrize(
    "target", ["Flatau", "(1356) Nyanza", "dark nebula B33", "Dark Energy field", "zero_pointing", "NGC 253",
               "Zerowski", "search field 3", "lampland", "", "2014 AR7", "bright arc in A370"]
)  # fmt: skip
def test_object_that_is_a_target(target):
    assert reason(OBJECT=target) == ""


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("flat-0001.fits", "flat"),
        ("20260101_DARK_300s.fit", "dark"),
        ("bias001.fits.fz", "bias"),
        ("c.focus.3.fts", "focus"),
    ],
)
def test_name_with_the_word(name, word):
    assert reason(name) == f"calibration frame: its name has the word {word!r}"


@pytest.mark.parametrize("name", ["flatau-001.fits", "darkest.fits", "20190326.0126.fits.fz", "rolamp.fits"])
def test_name_without_the_word(name):
    assert reason(name) == ""


def test_words_are_configurable():
    assert reason(words=(), IMAGETYP="Dark Frame") == ""
    assert reason(words=("snapshot",), IMAGETYP="SNAPSHOT")
    assert reason(words=("snapshot",), IMAGETYP="Dark Frame") == ""


def test_patterns_are_of_names():
    words = ("*_CAL.fits", "test[0-9]*")
    assert reason("c071112_cal.fits", words) == "calibration frame: its name matches '*_CAL.fits'"
    assert reason("test7.fits", words, IMAGETYP="OBJECT")
    assert reason("tests.fits", words, OBJECT="test1") == ""


@pytest.mark.shared
def test_headers_of_many_observatories(shared_data):
    """Against what their archives say they are: OBSTYPE, DATATYPE and INTENT, read here by another way."""
    said = {True: 0, False: 0}
    for path in sorted((shared_data / "headers").rglob("*.header")):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        values = {
            line[:8].strip(): line[9:].split("'")[1].strip().lower()
            for line in lines
            if line[8:9] == "=" and line.count("'") >= 2
        }
        kind = values.get("OBSTYPE") or values.get("DATATYPE") or values.get("INTENT") or ""
        truth = {
            **dict.fromkeys(
                ("bias", "dark", "flat", "arc", "comparison", "calib", "focus", "calibration", "mask"), True
            ),
            **dict.fromkeys(("object", "science"), False),
        }.get(kind)
        if truth is None:
            continue
        cards = Cards("".join(line[:80].ljust(80) for line in lines).encode("ascii", "replace"))
        found = calibration_reason(layout_of(cards), name=path.name.removesuffix(".header"), words=WORDS)
        assert bool(found) == truth, (path.name, kind, found)
        said[truth] += 1
    assert said[True] > 140
    assert said[False] > 60


@pytest.mark.shared
def test_files_of_many_observatories(shared_data):
    calibration, science = set(), 0
    for path in sorted(p for p in shared_data.rglob("*") if p.is_file() and is_fits_name(p.name)):
        try:
            found = calibration_reason(read_layout(path), name=path.name, words=WORDS)
        except BadInput:
            continue
        if found:
            calibration.add(path.name)
        else:
            science += 1
    assert calibration == {
        *("flat-mef.fits", "aspen_trimmed.fit", "flattest.fit"),
        *(f"{kind}test{k}.fit" for kind in ("bias", "dark") for k in range(1, 6)),
    }
    assert science > 90
