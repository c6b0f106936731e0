"""The 80-column draft: whole sky, all dates, real reports, and the seed's faults by name."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import Angle
from astropy.time import Time
from hypothesis import example, given
from hypothesis import strategies as st

from ssosd.errors import BadInput
from ssosd.reports.designation import (
    Designation,
    known_designation,
    pack_comet,
    pack_number,
    pack_provisional,
    temporary_designation,
)
from ssosd.reports.mpc80 import assign_designations, render_draft
from ssosd.reports.obs80 import (
    Precision,
    format_date,
    format_dec,
    format_magnitude,
    format_observation,
    format_ra,
    parse_observation,
)

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"

dates = st.floats(-10_000.0, 100_000.0)
ras = st.floats(0.0, 360.0)
decs = st.floats(-90.0, 90.0)
magnitudes = st.none() | st.floats(-9.9, 99.8)
precisions = st.builds(
    Precision,
    day=st.sampled_from([5, 6]),
    ra=st.sampled_from([2, 3]),
    dec=st.sampled_from([1, 2]),
    mag=st.sampled_from([1, 2]),
)


def line(**changes: object) -> str:
    values: dict[str, object] = {
        "designation": known_designation(number="5945", name="Roachapproach"),
        "mjd_mid": 58568.104178,
        "ra_deg": 124.62662273,
        "dec_deg": 25.34293586,
        "code": "688",
    }
    return format_observation(**{**values, **changes})  # type: ignore[arg-type]


# -- columns -------------------------------------------------------------------------------------------------


def test_columns_are_where_the_mpc_wants_them() -> None:
    text = line(mag=17.94, band="V", note1="K", discovery=True)
    assert text == "05945       *KC2019 03 26.10417808 18 30.389+25 20 34.57         17.9 V      688"
    assert len(text) == 80
    for first, last, content in (
        (1, 5, "05945"),
        (6, 12, " " * 7),
        (13, 13, "*"),
        (14, 14, "K"),
        (15, 15, "C"),
        (16, 32, "2019 03 26.104178"),
        (33, 44, "08 18 30.389"),
        (45, 56, "+25 20 34.57"),
        (57, 65, " " * 9),
        (66, 70, "17.9 "),
        (71, 71, "V"),
        (72, 77, " " * 6),
        (78, 80, "688"),
    ):
        assert text[first - 1 : last] == content


def test_seed_fault_magnitude_one_column_off() -> None:
    assert line(mag=17.94, band="V")[65:71] == "17.9 V"
    assert line(mag=9.94, band="V", precision=Precision(mag=2))[65:71] == " 9.94V"
    assert line(mag=None, band="V")[56:77] == " " * 21


@given(dates, ras, decs, magnitudes, precisions)
@example(58848.99999999, 359.99999999999994, -90.0, 99.94, Precision())
@example(51544.0, 13.6, 13.6, -9.9, Precision())
@example(51544.0, 0.0, -1e-12, 0.0, Precision())
@example(51544.0, 0.0, -1e-05, 0.0, Precision(day=5, ra=2, dec=2, mag=1))
def test_any_observation_is_80_columns_and_comes_back(
    mjd: float, ra: float, dec: float, mag: float | None, precision: Precision
) -> None:
    text = line(mjd_mid=mjd, ra_deg=ra, dec_deg=dec, mag=mag, band="G", precision=precision)
    assert len(text) == 80
    assert text.isascii()
    assert not re.search(r"[ +-](\d\d) (60|\d\d 60)", text[32:56])
    back = parse_observation(text)
    assert abs(back.mjd_mid - mjd) <= 0.5 * 10.0**-precision.day * 1.0001 + 1e-10
    turn = (back.ra_deg - ra + 180.0) % 360.0 - 180.0
    assert abs(turn) * 240.0 <= 0.5 * 10.0**-precision.ra * 1.0001
    assert abs(back.dec_deg - dec) * 3600.0 <= 0.5 * 10.0**-precision.dec * 1.0001
    assert back.ra_deg < 360.0
    if mag is None:
        assert back.mag is None
    else:
        assert back.mag is not None
        assert abs(back.mag - mag) <= 0.5 * 10.0**-precision.mag * 1.0001
    # what was printed prints again, to the last column
    again = line(
        mjd_mid=back.mjd_mid,
        ra_deg=back.ra_deg,
        dec_deg=back.dec_deg,
        mag=back.mag,
        band="G",
        precision=precision,
    )
    assert again == text


@given(ras.filter(lambda x: x < 360.0), st.sampled_from([2, 3]))
def test_right_ascension_is_rounded_once_exactly(ra: float, decimals: int) -> None:
    exact = (Decimal(ra) * 240).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN) % 86400
    hours, minutes, seconds = (Decimal(part) for part in format_ra(ra, decimals).split())
    printed = hours * 3600 + minutes * 60 + seconds
    remainder = abs(Decimal(ra) * 240 * 10**decimals % 1 - Decimal("0.5"))
    assert printed == exact or remainder < Decimal("1e-7")


def test_seed_fault_seconds_of_sixty() -> None:
    assert format_ra(359.99999) == "23 59 59.998"
    assert format_ra(359.999999, 2) == "00 00 00.00 "
    assert format_dec(45.9999999) == "+46 00 00.00"
    assert format_dec(-45.9999999, 1) == "-46 00 00.0 "
    # whole minutes in binary: the seed carried the minute and then printed 60
    assert format_dec(13.6) == "+13 36 00.00"
    assert format_dec(89.99999999) == "+90 00 00.00"


def test_no_line_in_a_million_positions_has_a_sixty() -> None:
    rng = np.random.default_rng(3)
    whole = rng.integers(0, 90 * 60, 3000) / 60.0  # whole minutes, where carries go wrong
    jitter = rng.choice([-1e-13, 0.0, 1e-13, -1.3e-6, 1.3e-6], 3000)
    for value in np.clip(whole + jitter, 0.0, 90.0):
        assert " 60" not in format_dec(float(value))
        assert " 60" not in format_ra(float(value) * 4.0 % 360.0)


def test_sign_of_minus_zero_degrees() -> None:
    assert format_dec(-0.5083333333) == "-00 30 30.00"
    assert parse_observation(line(dec_deg=-0.5083333333)).dec_deg == pytest.approx(-0.5083333333, abs=1e-6)
    assert format_dec(-1e-9) == "+00 00 00.00"


def test_seed_fault_truncated_dates() -> None:
    assert format_date(58848.9999996) == "2020 01 01.000000"
    assert format_date(58907.9999994) == "2020 02 28.999999"
    assert format_date(58908.9999999) == "2020 03 01.000000"  # a leap year
    assert format_date(58568.104166666, 5) == "2019 03 26.10417 "


def test_authority_astropy_for_angles_and_dates() -> None:
    rng = np.random.default_rng(7)
    ra, dec, mjd = rng.uniform(0, 359.9, 300), rng.uniform(-90, 90, 300), rng.uniform(15020, 88000, 300)
    ra_text = Angle(ra, "deg").to_string(unit="hour", sep=" ", precision=3, pad=True)
    dec_text = Angle(dec, "deg").to_string(unit="deg", sep=" ", precision=2, pad=True, alwayssign=True)
    calendar = Time(mjd, format="mjd", scale="tai").to_value("ymdhms")
    for i in range(300):
        assert format_ra(float(ra[i])) == ra_text[i]
        assert format_dec(float(dec[i])) == dec_text[i]
        year, month, day, hour, minute, second = calendar[i].tolist()
        fraction = (hour + (minute + second / 60) / 60) / 24
        parts = format_date(float(mjd[i])).split()
        if fraction < 0.9999995:
            assert (int(parts[0]), int(parts[1]), int(parts[2][:2])) == (year, month, day)
            assert float(parts[2][2:]) == pytest.approx(fraction, abs=6e-7)


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ({"mjd_mid": math.nan}, "16-32"),
        ({"mjd_mid": 1e9}, "16-32"),
        ({"ra_deg": math.inf}, "33-44"),
        ({"dec_deg": 90.0001}, "45-56"),
        ({"dec_deg": math.nan}, "45-56"),
        ({"mag": 123.4}, "66-70"),
        ({"mag": math.nan}, "66-70"),
        ({"code": "6888"}, "78-80"),
        ({"code": ""}, "78-80"),
        ({"band": "Gr", "mag": 12.0}, "71"),
        ({"note2": "CC"}, "15"),
        ({"note1": "é"}, "14"),
        ({"designation": Designation(provisional="toolong8")}, "1-12"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_columns(change: dict[str, object], columns: str) -> None:
    with pytest.raises(BadInput, match=f"columns {columns}"):
        line(**change)


@pytest.mark.parametrize(
    ("first", "last", "text", "columns"),
    [
        (16, 32, "2019 02 30.104178", "16-32"),
        (16, 32, "2019 03 26      ", "80"),
        (33, 44, "24 18 30.389", "33-44"),
        (33, 44, "08 60 30.389", "33-44"),
        (45, 56, "+25 20 60.00", "45-56"),
        (45, 56, "+90 00 00.01", "45-56"),
        (45, 56, " 25 20 34.57", "45-56"),
        (66, 70, "1x.9 ", "66-70"),
    ],
)
def test_the_parser_names_the_columns_that_are_wrong(first: int, last: int, text: str, columns: str) -> None:
    good = line()
    with pytest.raises(BadInput, match=columns):
        parse_observation(good[: first - 1] + text + good[last:])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["MPCReport.txt", "MPCReport_multisite.txt"])
def test_real_astrometrica_reports_print_again_identically(name: str) -> None:
    path = SHARED / "ades" / "obs80" / name
    if not path.exists():
        pytest.skip("the shared observations are not beside this checkout")
    lines = [x for x in path.read_text().splitlines() if len(x) == 80 and not re.match(r"[A-Z0-9]{3} ", x)]
    assert len(lines) >= 6
    for text in lines:
        read = parse_observation(text)
        assert (
            format_observation(
                designation=read.designation,
                mjd_mid=read.mjd_mid,
                ra_deg=read.ra_deg,
                dec_deg=read.dec_deg,
                mag=read.mag,
                band=read.band,
                code=read.code,
                note1=read.note1,
                note2=read.note2,
                discovery=read.discovery,
                precision=read.precision,
            )
            == text
        )


@pytest.mark.shared
def test_real_reports_carry_the_designations_of_their_psv_twin() -> None:
    folder = SHARED / "ades" / "obs80"
    if not folder.exists():
        pytest.skip("the shared observations are not beside this checkout")
    rows = [
        [cell.strip() for cell in x.split("|")]
        for x in (folder / "MPCReport.psv").read_text().splitlines()
        if x.startswith(" ") and "permID" not in x
    ]
    lines = [
        x for x in (folder / "MPCReport.txt").read_text().splitlines() if len(x) == 80 and x[77:] == "W85"
    ]
    assert len(rows) == len(lines) == 18
    for row, text in zip(rows, lines, strict=True):
        perm, prov, trk = row[:3]
        expected = temporary_designation(trk) if trk else known_designation(number=perm, name=prov)
        assert expected.columns == text[:12]
        read = parse_observation(text)
        assert read.ra_deg == pytest.approx(float(row[7]), abs=1e-5)
        assert read.dec_deg == pytest.approx(float(row[8]), abs=1e-5)
        assert read.mjd_mid == pytest.approx(Time(row[6].rstrip("Z"), scale="utc").mjd, abs=1e-6)


# -- designations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "packed"),
    [
        (1, "00001"),
        (99_999, "99999"),
        (100_000, "A0000"),
        (208_785, "K8785"),
        (359_999, "Z9999"),
        (360_000, "a0000"),
        (481_820, "m1820"),
        (619_999, "z9999"),
        (620_000, "~0000"),
        (620_061, "~000z"),
        (712_345, "~0O1R"),
        (3_140_113, "~AZaz"),
        (15_396_335, "~zzzz"),
    ],
)
def test_numbers_as_the_mpc_packs_them(number: int, packed: str) -> None:
    assert pack_number(number) == packed
    assert known_designation(number=str(number), name="").columns == packed + " " * 7


@pytest.mark.parametrize(
    ("designation", "packed"),
    [
        ("1995 XA", "J95X00A"),
        ("1995 XL1", "J95X01L"),
        ("1995 FB13", "J95F13B"),
        ("1998 SQ108", "J98SA8Q"),
        ("1998 SV127", "J98SC7V"),
        ("2099 AZ193", "K99AJ3Z"),
        ("2008 AA360", "K08Aa0A"),
        ("2007 TA418", "K07Tf8A"),
        ("2015 LA1", "K15L01A"),
        ("2015_LA1", "K15L01A"),
        ("2015LA1", "K15L01A"),
        ("2015 LA", "K15L00A"),
        ("2017 BT121", "K17BC1T"),
        ("2023 CZ619", "K23Cz9Z"),
        ("2026 CA620", "_QC0000"),
        ("2026 CZ6190", "_QC0aEM"),
        ("2026 CL591673", "_QCzzzz"),
        ("2040 P-L", "PLS2040"),
        ("3138 T-1", "T1S3138"),
        ("4101 T-3", "T3S4101"),
        ("A908 CJ", "J08C00J"),
        ("1892 AX", "I92A00X"),
    ],
)
def test_provisional_designations_as_the_mpc_packs_them(designation: str, packed: str) -> None:
    assert pack_provisional(designation) == packed
    assert known_designation(number="-", name=designation).columns == "     " + packed


def test_seed_fault_unnumbered_objects_have_blanks_in_columns_1_to_5() -> None:
    for number in ("-", "", "0", " - "):
        assert known_designation(number=number, name="2015 LK40").columns == "     K15L40K"


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("29P", "0029P       "),
        ("29P/Schwassmann-Wachmann 1", "0029P       "),
        ("73P-C", "0073P      c"),
        ("73P-AB", "0073P     ab"),
        ("73P-C/Schwassmann-Wachmann 3", "0073P      c"),
        ("73P/Schwassmann-Wachmann 3-C", "0073P      c"),
        ("3D", "0003D       "),
        ("1I", "0001I       "),
        ("1I/'Oumuamua", "0001I       "),
        ("C/2019 Y4", "    CK19Y040"),
        ("C/2019 Y4 (ATLAS)", "    CK19Y040"),
        ("C/2019 Y4-A", "    CK19Y04a"),
        ("C/2019 Y4-A (ATLAS)", "    CK19Y04a"),
        ("P/2010 A2 (LINEAR)", "    PK10A020"),
        ("P/2019 LD2 (ATLAS)", "    PK19L02D"),
        ("A/2017 U1", "    AK17U010"),
        ("C/2088 A103", "    CK88AA30"),
    ],
)
def test_comets_have_their_columns(name: str, columns: str) -> None:
    assert pack_comet(name).columns == columns
    assert known_designation(number="-", name=name).columns == columns
    if name[0].isdigit():
        number, _, bare = name.partition("/")
        assert known_designation(number=number, name=bare).columns == columns
        # a service that numbers the comet alone has the fragment in its name
        assert known_designation(number=number.partition("-")[0], name=name).columns == columns


def test_a_fragment_may_be_told_by_the_provisional_designation() -> None:
    assert known_designation(number="141P", name="P/1994 P1-A (Machholz)").columns == "0141P      a"
    assert known_designation(number="141P", name="P/1994 P1 (Machholz)").columns == "0141P       "


@pytest.mark.parametrize(
    "name",
    [
        "Mars",
        "",
        "S/2003 J 2",
        "2023 IB1",
        "2023 BI1",
        "2023 AA05",
        "2023 AA0",
        "1960 AA620",
        "2062 AA620",
        "2026 CM591673",
        "1799 AA",
        "２０１５ LA1",
        "C/2019 YA4-B",
        "Schwassmann-Wachmann",
        "C/2019 Y700",
    ],
)
def test_what_cannot_be_packed_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        known_designation(number="-", name=name)


@pytest.mark.parametrize("number", [0, -4, 15_396_336])
def test_numbers_out_of_range_are_refused(number: int) -> None:
    with pytest.raises(BadInput, match=str(number)):
        pack_number(number)


def test_names_with_their_number_are_read_and_a_bare_designation_is_no_number() -> None:
    assert known_designation(number="-", name="433 Eros").columns == "00433       "
    assert known_designation(number="-", name="(433) Eros").columns == "00433       "
    assert known_designation(number="(433)", name="Eros").columns == "00433       "
    assert known_designation(number="-", name="2015 LA").columns == "     K15L00A"


@given(st.integers(1, 15_396_335))
def test_numbers_unpack_to_themselves(number: int) -> None:
    packed = pack_number(number)
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    if packed[0] == "~":
        value = 0
        for digit in packed[1:]:
            value = value * 62 + alphabet.index(digit)
        assert value + 620_000 == number
    else:
        assert alphabet.index(packed[0]) * 10_000 + int(packed[1:]) == number


@given(
    st.integers(1925, 2061),
    st.sampled_from("ABCDEFGHJKLMNOPQRSTUVWXY"),
    st.sampled_from("ABCDEFGHJKLMNOPQRSTUVWXYZ"),
    st.integers(0, 30_000),
)
def test_provisional_designations_unpack_to_themselves(year: int, half: str, second: str, cycle: int) -> None:
    name = f"{year} {half}{second}{cycle or ''}"
    if cycle >= 620 and year < 2000:
        with pytest.raises(BadInput):
            pack_provisional(name)
        return
    packed = pack_provisional(name)
    assert len(packed) == 7
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    letters = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
    if packed[0] == "_":
        order = 0
        for digit in packed[3:]:
            order = order * 62 + alphabet.index(digit)
        read = (2000 + alphabet.index(packed[1]), packed[2], letters[order % 25], 620 + order // 25)
    else:
        read = (
            alphabet.index(packed[0]) * 100 + int(packed[1:3]),
            packed[3],
            packed[6],
            alphabet.index(packed[4]) * 10 + int(packed[5]),
        )
    assert read == (year, half, second, cycle)


@pytest.mark.parametrize("text", ["P10GvKl", "s", "sFxe000", "Zz9"])
def test_temporary_designations(text: str) -> None:
    assert temporary_designation(text).columns == f"     {text:<7}"


@pytest.mark.parametrize("text", ["", "1abc", "toolong8", "a-b", "a b", "é12", "K15L01A", "PLS2040", "A0001"])
def test_temporary_designations_that_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="temporary designation"):
        temporary_designation(text)


def test_assigned_designations_are_unique_printable_and_kept() -> None:
    names = [f"F{i % 3:02d}-{i:04d}" for i in range(5000)]
    first = assign_designations(names, night="2026-11-14")
    assert len(set(first.values())) == 5000
    assert all(temporary_designation(d).columns.strip() == d for d in first.values())
    assert first == assign_designations(reversed(names), night="2026-11-14")
    other = assign_designations(names, night="2026-11-15")
    assert not set(other.values()) & set(first.values())
    more = assign_designations([*names, "A-0001"], night="2026-11-14", taken=first)
    assert {k: more[k] for k in first} == first
    assert more["A-0001"] not in first.values()
    assert len({d.upper() for d in list(first.values())[:30]}) == 30


# -- drafts --------------------------------------------------------------------------------------------------


def candidates(**changes: object) -> pd.DataFrame:
    rows = {
        "CANDIDATE": ["F01-0002", "F01-0001", "F01-0001", "F01-0003", "F02-0001"],
        "MID_EXPOSURE_MJD": [61358.80, 61358.83, 61358.81, 61358.80, 61358.85],
        "RA": [10.0, 20.01, 20.0, 30.0, 40.0],
        "DEC": [-0.1, 5.01, 5.0, 6.0, 7.0],
        "MATCHED": [True, False, False, True, True],
        "SKYBOT_NUMBER": ["-", None, None, "712345", "29P"],
        "SKYBOT_NAME": ["2015 LA1", None, None, "Somebody", "Schwassmann-Wachmann 1"],
    }
    return pd.DataFrame({**rows, **changes})


def observations(text: str) -> list[str]:
    return [x for x in text.splitlines() if len(x) == 80 and not re.match(r"[A-Z0-9]{3} ", x)]


def test_a_draft_is_ordered_named_and_headed() -> None:
    table = candidates()
    draft = render_draft(
        candidates=table, code="688", night="2026-11-14", designations={"F01-0001": "sFxe000"}
    )
    assert draft.text == (
        "COD 688\n"
        "NUM 5\n"
        "     sFxe000  C2026 11 14.81000001 20 00.000+05 00 00.00                     688\n"
        "     sFxe000  C2026 11 14.83000001 20 02.400+05 00 36.00                     688\n"
        "     K15L01A  C2026 11 14.80000000 40 00.000-00 06 00.00                     688\n"
        "~0O1R         C2026 11 14.80000002 00 00.000+06 00 00.00                     688\n"
        "0029P         C2026 11 14.85000002 40 00.000+07 00 00.00                     688\n"
    )
    assert draft.n_observations == 5
    assert draft.problems == ("no calibrated magnitudes (MAG_CALIB): columns 66-71 are blank",)
    shuffled = render_draft(
        candidates=table.sample(frac=1.0, random_state=4),
        code="688",
        night="2026-11-14",
        designations={"F01-0001": "sFxe000"},
    )
    assert shuffled == draft


def test_seed_fault_a_table_never_compared_with_known_objects_gives_a_draft() -> None:
    table = candidates().drop(columns=["MATCHED", "SKYBOT_NUMBER", "SKYBOT_NAME"])
    draft = render_draft(candidates=table, code="688", night="2026-11-14")
    assert draft.n_observations == 5
    names = assign_designations(table["CANDIDATE"], night="2026-11-14")
    assert {x[5:12] for x in observations(draft.text)} == set(names.values())
    assert any("compared with the known objects" in p for p in draft.problems)


def test_seed_fault_one_object_that_cannot_be_written_does_not_stop_the_rest() -> None:
    table = candidates(SKYBOT_NAME=["Mars", None, None, "x", "y"])
    draft = render_draft(candidates=table, code="688", night="2026-11-14", designations={"F01-0001": "2much"})
    assert [x[:5] for x in observations(draft.text)] == ["~0O1R", "0029P"]
    assert any("F01-0002" in p and "Mars" in p for p in draft.problems)
    assert any("F01-0001" in p and "2much" in p for p in draft.problems)


@pytest.mark.parametrize(
    "change",
    [
        {"MATCHED": pd.array([True, None, None, True, True], dtype="boolean")},
        {"MATCHED": [True, None, None, True, True]},
        {"MATCH_STATE": ["matched", "unchecked", "unchecked", "matched", "matched"]},
    ],
)
def test_unchecked_candidates_are_said_to_be_unchecked(change: dict[str, object]) -> None:
    table = candidates(**change)
    draft = render_draft(
        candidates=table, code="688", night="2026-11-14", designations={"F01-0001": "sFxe000"}
    )
    assert draft.n_observations == 5
    assert any("compared" in p for p in draft.problems)


def test_possibly_known_candidates_are_unknown_with_a_warning() -> None:
    table = candidates(
        MATCHED=[False] * 5, MATCH_STATE=["possible", "unknown", "unknown", "unknown", "unknown"]
    )
    draft = render_draft(candidates=table, code="688", night="2026-11-14")
    assert all(x[5] == "s" for x in observations(draft.text))
    assert any("may be known objects" in p and p.endswith(": 1") for p in draft.problems)


def test_magnitudes_only_when_calibrated_and_measured() -> None:
    table = candidates(MAG_CALIB=[17.94, 20.04, 20.06, np.nan, 99.0], BAND=["V", "G", "G", "G", "G"])
    draft = render_draft(
        candidates=table, code="688", night="2026-11-14", designations={"F01-0001": "sFxe000"}
    )
    assert [x[65:71] for x in observations(draft.text)] == ["20.1 G", "20.0 G", "17.9 V", "      ", "      "]
    assert draft.problems == ()
    assert "MAG" not in candidates().columns  # an uncalibrated MAG must never be printed
    raw = render_draft(
        candidates=candidates(MAG=[17.0] * 5), code="688", night="2026-11-14", designations={"F01-0001": "s1"}
    )
    assert all(x[65:71] == "      " for x in observations(raw.text))


def test_conflicting_matches_are_said_and_the_most_frequent_is_used() -> None:
    table = candidates(
        CANDIDATE=["A"] * 5,
        MATCHED=[True] * 5,
        SKYBOT_NUMBER=["1", "2", "2", "-", "2"],
        SKYBOT_NAME=["Ceres", "Pallas", "Pallas", "2015 LA1", "Pallas"],
    )
    draft = render_draft(candidates=table, code="688", night="2026-11-14", designations={})
    assert {x[:12] for x in observations(draft.text)} == {"00002       "}
    assert any("matched 3 known objects; Pallas" in p for p in draft.problems)


def test_numbers_that_became_floats_are_numbers_still() -> None:
    table = candidates(
        SKYBOT_NUMBER=[5945.0, np.nan, np.nan, 1.0, 2.0], SKYBOT_NAME=["a", None, None, "b", "c"]
    )
    draft = render_draft(candidates=table, code="688", night="2026-11-14", designations={"F01-0001": "s1"})
    assert [x[:5] for x in observations(draft.text)] == ["     ", "     ", "05945", "00001", "00002"]


def test_header_is_what_is_known_in_the_mpcs_order() -> None:
    header = {
        "TEL": "1.1-m f/8 reflector + CCD",
        "OBS": ["A. Søgaard", "B. Brown"],
        "NET": "Gaia DR3",
        "CON": "",
        "COM": "x" * 100,
        "XYZ": "?",
    }
    draft = render_draft(
        candidates=candidates(),
        code="688",
        night="2026-11-14",
        designations={"F01-0001": "s1"},
        header=header,
    )
    head = draft.text.splitlines()[:7]
    assert head[0] == "COD 688"
    assert head[1:3] == ["OBS A. Sogaard", "OBS B. Brown"]
    assert head[3:5] == ["TEL 1.1-m f/8 reflector + CCD", "NET Gaia DR3"]
    assert len(head[5]) == 80
    assert head[6] == "NUM 5"
    assert any("XYZ" in p for p in draft.problems)
    assert any("COM" in p for p in draft.problems)


@pytest.mark.parametrize(
    ("name", "written", "lost"),
    [
        ("Møller Ǿ", "Moller O", ""),
        ("Łukasz Đorđević", "Lukasz Dordevic", ""),
        ("Weiß", "Weiss", ""),
        ("Þóra Æsir", "Thora AEsir", ""),
        ("O\N{RIGHT SINGLE QUOTATION MARK}Brien", "O'Brien", ""),
        ("A\N{EN DASH}B", "A-B", ""),
        ("王小明, B. Célèbre", "???, B. Celebre", "王小明"),
    ],
)
def test_names_in_headers_are_written_in_ascii_or_said_to_be_lost(name: str, written: str, lost: str) -> None:
    draft = render_draft(
        candidates=candidates(MAG_CALIB=20.0, BAND="G"), code="688", night="2026-11-14", header={"OBS": name}
    )
    assert f"OBS {written}\n" in draft.text
    said = f"header record OBS has letters that 80 columns cannot hold: {lost}; send ADES or change OBSERVERS"
    assert draft.problems == ((said,) if lost else ())


def test_names_that_need_more_than_one_line_are_in_several() -> None:
    people = [f"{letter}. Observer-Elsewhere" for letter in "ABCDEFGH"]
    draft = render_draft(
        candidates=candidates(MAG_CALIB=20.0, BAND="G"),
        code="688",
        night="2026-11-14",
        header={"OBS": ", ".join(people), "MEA": "A. Nobody"},
    )
    head = draft.text.splitlines()[:6]
    lines = [line for line in head if line.startswith("OBS ")]
    assert [len(line) for line in lines] == [71, 71, 48]
    assert ", ".join(line[4:] for line in lines).split(", ") == people
    assert "MEA A. Nobody" in head
    assert draft.problems == ()


def test_a_night_without_candidates_has_an_empty_draft() -> None:
    draft = render_draft(candidates=pd.DataFrame(), code="688", night="2026-11-14", designations={})
    assert (draft.text, draft.n_observations, draft.problems) == ("", 0, ())


def test_the_geocentre_as_station_is_a_problem() -> None:
    draft = render_draft(
        candidates=candidates(), code="500", night="2026-11-14", designations={"F01-0001": "s1"}
    )
    assert any("OBSERVATORY_CODE is 500" in p for p in draft.problems)


def test_format_magnitude_keeps_its_point_in_column_68() -> None:
    assert format_magnitude(-1.5) == "-1.5 "
    assert format_magnitude(7.04, 2) == " 7.04"
    assert format_magnitude(99.94) == "99.9 "
    with pytest.raises(BadInput):
        format_magnitude(99.96)


@pytest.mark.parametrize("band", [{}, {"BAND": ["", "", None, "", ""]}])
def test_a_magnitude_without_a_band_is_not_given_as_one_in_b(band: dict[str, object]) -> None:
    """A blank column 71 is B to the MPC; ADES has no such magnitude either."""
    draft = render_draft(candidates=candidates(MAG_CALIB=20.0, **band), code="688", night="2026-11-14")
    assert {line[65:71] for line in observations(draft.text)} == {" " * 6}
    assert [p for p in draft.problems if "without a band" in p]
    unmeasured = render_draft(candidates=candidates(MAG_CALIB=99.0, **band), code="688", night="2026-11-14")
    assert not [p for p in unmeasured.problems if "without a band" in p]
