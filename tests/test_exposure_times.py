"""Times as telescopes write them; astropy.time is the authority, a bare date is never midnight."""

from __future__ import annotations

import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from ssosd.errors import BadInput
from ssosd.ingest.headers import Cards, HeaderStack
from ssosd.ingest.observed import read_exptime, read_filter, read_object
from ssosd.ingest.starttime import read_start
from ssosd.ingest.times import Stamp, UnreadableTime, at, format_stamp, parse_clock, parse_stamp
from tests import frames

TRUTH = Time("2019-03-26T02:27:31.130", scale="utc")
SECOND = 1.0 / 86400.0


def stack(*, comments: dict[str, str] | None = None, **cards: object) -> HeaderStack:
    head = frames.header({}, **cards)
    for keyword, comment in (comments or {}).items():
        head.comments[keyword] = comment
    return HeaderStack([(0, Cards(head.tostring().encode()))])


def start(keyword: str = "DATE-OBS", exptime: float = 300.0, **kwargs) -> tuple[Stamp, tuple[str, ...]]:
    return read_start(stack(**kwargs), keyword=keyword, exptime_s=exptime, name="f.fits")


@pytest.mark.parametrize(
    "value",
    [
        "2019-03-26T02:27:31.13",
        "2019-03-26T02:27:31.130Z",
        "2019-03-26 02:27:31.13",
        "2019-03-26t02:27:31.13UTC",
        "2019/03/26T02:27:31.13",
        "2019-03-26T04:27:31.13+02:00",
        TRUTH.mjd,
        TRUTH.jd,
        f"{TRUTH.mjd:.9f}",
        f" {TRUTH.jd:.9f} ",
    ],
)
def test_one_keyword_in_every_format(value):
    stamp, warnings = start(DATE__OBS=value)
    assert stamp.mjd == pytest.approx(TRUTH.mjd, abs=1e-4 * SECOND)
    assert warnings == ()


def test_seconds_may_lack_a_fraction_or_be_missing():
    assert start(DATE__OBS="2019-03-26T02:27:31")[0] == Stamp(day=58568, seconds=8851.0)
    assert start(DATE__OBS="2019-03-26T02:27")[0] == Stamp(day=58568, seconds=8820.0)


@pytest.mark.parametrize(
    ("keyword", "cards"),
    [
        ("DATE-OBS+UTC-OBS", {"DATE-OBS": "2019-03-26", "UTC-OBS": "02:27:31.13"}),
        ("date-obs + ut", {"DATE-OBS": "2019-03-26T00:00:00", "UT": "2:27:31.13"}),
        ("DATE+UTC", {"DATE": "2019-03-26", "UTC": 8851.13}),
        ("OBSDAY", {"OBSDAY": TRUTH.jd}),
        ("ESO OBS START", {"HIERARCH ESO OBS START": "2019-03-26T02:27:31.13"}),
        ("HIERARCH ESO OBS START", {"HIERARCH ESO OBS START": "2019-03-26T02:27:31.13"}),
    ],
)
def test_configured_keywords(keyword, cards):
    stamp, warnings = start(keyword, **cards)
    assert stamp.mjd == pytest.approx(TRUTH.mjd, abs=1e-4 * SECOND)
    assert warnings == ()


@pytest.mark.parametrize(
    "cards",
    [
        {"UTC-OBS": "02:27:31.13"},
        {"UT": "2:27:31.13"},
        {"TIME-OBS": "02:27:31.13"},
        {"TIME-OBS": "2019-03-26T02:27:31.13"},
        {"UTSTART": "02:27:31.130"},
        {"UTC": 8851.13},
        {"MJD-OBS": TRUTH.mjd},
        {"JD": f"{TRUTH.jd:.8f}"},
    ],
)
def test_a_bare_date_takes_its_time_from_a_companion_and_says_so(cards):
    stamp, warnings = start(DATE__OBS="2019-03-26", **cards)
    assert stamp.mjd == pytest.approx(TRUTH.mjd, abs=1e-3 * SECOND)
    assert len(warnings) == 1
    assert next(iter(cards)) in warnings[0]
    assert "only the date" in warnings[0]


def test_a_bare_date_is_never_midnight():
    with pytest.raises(
        BadInput, match=r"f\.fits: no time of observation: DATE-OBS: '2019-03-26' is a date"
    ) as caught:
        start(DATE__OBS="2019-03-26")
    assert "DATE-OBS+UTC-OBS" in caught.value.next_step


def test_a_date_written_as_midnight_beside_a_clock_is_a_bare_date():
    stamp, warnings = start(DATE__OBS="2019-03-26T00:00:00", UT="02:27:31.13")
    assert stamp.seconds == pytest.approx(8851.13)
    assert warnings
    assert start(DATE__OBS="2019-03-26T00:00:00")[0] == Stamp(day=58568, seconds=0.0)


def test_a_companion_of_another_day_is_not_believed():
    with pytest.raises(BadInput, match=r"DATE-OBS.*days from that date|DATE-OBS.*date without time"):
        start(DATE__OBS="2019-03-26", MJD__OBS=58000.25)
    stamp, warnings = start(DATE__OBS="2019-03-25", MJD__OBS=TRUTH.mjd)  # the evening's local date
    assert stamp.mjd == pytest.approx(TRUTH.mjd, abs=SECOND)
    assert "MJD-OBS" in warnings[0]


def test_old_dates_are_read_when_they_can_mean_one_day_only():
    assert start(DATE__OBS="15/04/88", UT="18:42:00")[0].mjd == pytest.approx(Time("1988-04-15T18:42").mjd)
    assert parse_stamp("31/12/1999") == Stamp(day=51543, seconds=None)
    for text in ("26/03/19", "05/06/1999", "31/31/88"):
        with pytest.raises(UnreadableTime):
            parse_stamp(text)


@pytest.mark.parametrize(
    "value", ["N/A", "0000-00-00T00:00:00", "2019-13-01T00:00:00", "2019-03-26T25:00:00", 3.5, True]
)
def test_garbage_is_refused_or_replaced_with_a_word(value):
    with pytest.raises(BadInput, match="DATE-OBS"):
        start(DATE__OBS=value)
    stamp, warnings = start(DATE__OBS=value, MJD__OBS=TRUTH.mjd)
    assert stamp.mjd == pytest.approx(TRUTH.mjd, abs=SECOND)
    assert "used MJD-OBS instead" in warnings[0]


def test_an_absent_keyword_has_well_known_stand_ins():
    stamp, warnings = start("MY-DATE", MJD__OBS=f"{TRUTH.mjd:.9f}")
    assert stamp.mjd == pytest.approx(TRUTH.mjd, abs=1e-4 * SECOND)
    assert warnings == ("MY-DATE is absent; used MJD-OBS instead",)
    with pytest.raises(BadInput, match="MY-DATE is absent"):
        start("MY-DATE", DATE="2019-03-26T02:27:31")  # the file's date, not the exposure's


@pytest.mark.parametrize(
    ("system", "scale", "offset"),
    [("TAI", "tai", 0.0), ("tt", "tt", 0.0), ("TDT", "tt", 0.0), ("TDB", "tdb", 0.0), ("GPS", "tai", 19.0)],
)
def test_other_time_scales_become_utc(system, scale, offset):
    text = "2019-03-26T00:00:10.000"
    stamp, warnings = start(DATE__OBS=text, TIMESYS=system)
    truth = Time(Time(text).mjd + offset * SECOND, format="mjd", scale=scale).utc.mjd
    assert stamp.mjd == pytest.approx(truth, abs=1e-3 * SECOND)
    assert stamp.day == 58567  # the day before
    assert "subtracted to get UTC" in warnings[0]


def test_utc_needs_no_word_and_what_says_utc_is_utc():
    for system in ("UTC", "UT1", "UTC(USNO)", "GMT"):
        assert start(DATE__OBS="2019-03-26T02:27:31.13", TIMESYS=system) == (
            Stamp(day=58568, seconds=8851.13),
            (),
        )
    stamp, warnings = start(
        DATE__OBS="2019-03-26T02:27:31.13",
        TIMESYS="TT",
        comments={"DATE-OBS": "Start Time (UTC) of exposure"},
    )
    assert stamp.seconds == pytest.approx(8851.13)
    assert "TIMESYS" in warnings[0]
    assert "unknown" in start(DATE__OBS="2019-03-26T02:27:31.13", TIMESYS="CARDIFF")[1][0]


@pytest.mark.parametrize(
    "comment",
    [
        *("UT midpoint of exposure", "[UTC] mid-exposure", "middle of the integration"),
        *("mean time of observation", "[UTC] average epoch"),
    ],
)
def test_an_explicit_middle_is_no_start(comment):
    stamp, warnings = start(DATE__OBS="2019-03-26T02:30:01.13", comments={"DATE-OBS": comment})
    assert stamp.seconds == pytest.approx(8851.13)
    assert "middle of the exposure" in warnings[0]


@pytest.mark.parametrize(
    "comment",
    [
        *("start of exposure; mid in MJD-MID", "seconds since midnight", "UT of observation"),
        *("Greenwich mean time of observation", "UT start, not the exposure end", "UT, see also DATE-END"),
    ],
)
def test_other_comments_change_nothing(comment):
    assert start(DATE__OBS="2019-03-26T02:27:31.13", comments={"DATE-OBS": comment})[1] == ()


@pytest.mark.parametrize(
    "comment",
    [
        *("UTC at end of exposure", "exposure end", "UT date (end)", "UTC, exposure stopped", "END"),
        *("observation ended, UTC", "local time of start"),
    ],
)
def test_end_and_local_times_are_not_taken_for_the_start(comment):
    comments = {"DATE-OBS": comment}
    with pytest.raises(BadInput, match="DATE-OBS"):
        start(DATE__OBS="2019-03-26T02:32:31.13", comments=comments)
    cards = {"DATE-OBS": "2019-03-26T02:32:31.13", "DATE-BEG": "2019-03-26T02:27:31.13"}
    stamp, warnings = start(comments=comments, **cards)
    assert stamp == Stamp(day=58568, seconds=8851.13)
    assert "used DATE-BEG instead" in warnings[0]


def test_a_contradicting_mjd_is_reported():
    warnings = start(DATE__OBS="2019-03-26T02:27:31.13", MJD__OBS=58568.5)[1]
    assert "MJD-OBS=58568.50000 differs by" in warnings[0]


@given(st.integers(37700, 61000), st.integers(0, 86_400_000_000 - 1))
def test_iso_round_trip(day, microseconds):
    stamp = at(day, microseconds / 1e6)
    text = format_stamp(stamp)
    again = parse_stamp(text)
    assert again.day == stamp.day
    assert again.seconds == pytest.approx(stamp.seconds, abs=6e-7)
    assert Time(text).mjd == pytest.approx(stamp.mjd, abs=1e-10)


@pytest.mark.parametrize("value", ["2019-03-26", "25:00:00", "12:61:00", "3.5", 3.5, "noon"])
def test_what_is_no_time_of_day(value):
    with pytest.raises(UnreadableTime):
        parse_clock(value)


def test_exposure_time_is_found_and_its_unit_heeded():
    assert read_exptime(stack(EXPTIME="300.0 s"), keyword="EXPTIME", name="f") == (300.0, ())
    assert read_exptime(stack(TEXP=30), keyword="EXPTIME", name="f") == (
        30.0,
        ("EXPTIME is absent; used TEXP instead",),
    )
    minutes = read_exptime(
        stack(EXPOSURE=4.0, comments={"EXPOSURE": "time minutes"}), keyword="EXPOSURE", name="f"
    )
    assert minutes[0] == 240.0
    assert "minutes" in minutes[1][0]
    milli = read_exptime(
        stack(EXPTIME=2500, comments={"EXPTIME": "[ms] exposure"}), keyword="EXPTIME", name="f"
    )
    assert milli[0] == 2.5
    plain = read_exptime(
        stack(EXPTIME=2.5, comments={"EXPTIME": "[s] not minutes"}), keyword="EXPTIME", name="f"
    )
    assert plain == (2.5, ())


@pytest.mark.parametrize(
    ("comment", "unit", "value"),
    [
        *((c, "milliseconds", 6e4) for c in ("exposure time in ms", "ms", "exposure in milli-seconds")),
        *(
            (c, "microseconds", 6e7)
            for c in ("exposure (us)", "in us", "usec", "micro seconds", "[??s]", "in ?s")
        ),
        *((c, "minutes", 1.0) for c in ("exposure time, min", "min.", "in min, rounded", "time [min]")),
    ],
)
def test_units_that_the_comment_tells(comment, unit, value):
    found, notes = read_exptime(
        stack(EXPTIME=value, comments={"EXPTIME": comment}), keyword="EXPTIME", name="f"
    )
    assert found == pytest.approx(60.0)
    assert notes == (f"EXPTIME is in {unit} by its comment: {value:g} read as 60 s",)


@pytest.mark.parametrize(
    "comment",
    [
        *("minimum exposure", "min exposure time", "up to 60 min", "max/min", "US Naval Observatory"),
        *(
            "[s], to 1 ms",
            "exposure time, to 1 ms",
            "in seconds, shutter in ms",
            "Exposure time/s",
            "Exp.time (usual)",
        ),
    ],
)
def test_comments_that_tell_no_unit_but_seconds(comment):
    cards = stack(EXPTIME=60.0, comments={"EXPTIME": comment})
    assert read_exptime(cards, keyword="EXPTIME", name="f") == (60.0, ())


@pytest.mark.parametrize("value", [-1, "NaN", "long", True, 86400.0, 1e12, 1e300])
def test_impossible_exposure_times(value):
    with pytest.raises(BadInput, match=r"f\.fits: EXPTIME=.* is no exposure time"):
        read_exptime(stack(EXPTIME=value, EXPOSURE=10.0), keyword="EXPTIME", name="f.fits")


def test_a_long_exposure_time_in_milliseconds_is_one():
    cards = stack(EXPTIME=120000.0, comments={"EXPTIME": "[ms] exposure time"})
    assert read_exptime(cards, keyword="EXPTIME", name="f.fits")[0] == 120.0


@pytest.mark.parametrize("others", [{}, {"EXPOSURE": 0.0}, {"ITIME": 10.0}])
def test_no_exposure_time_of_zero(others):
    with pytest.raises(BadInput, match=r"f\.fits: EXPTIME=0 is no exposure time"):
        read_exptime(stack(EXPTIME=0, **others), keyword="EXPTIME", name="f.fits")


def test_exposure_is_believed_where_exptime_was_never_filled_in():
    """As MIDAS writes it of scanned plates; bias frames have 0 in both."""
    said = ("EXPTIME is 0; used EXPOSURE instead",)
    assert read_exptime(stack(EXPTIME=0.0, EXPOSURE=10.0), keyword="EXPTIME", name="f") == (10.0, said)


def test_filters_and_objects():
    assert read_filter(stack(FILTER="r", FILTER1="x"), keyword="FILTER") == ("r", ())
    assert read_filter(stack(FILTNAM="VR"), keyword="FILTER")[0] == "VR"
    wheels = read_filter(stack(FILTER1="open1-6", FILTER2="r_G0303"), keyword="FILTER")
    assert wheels == ("r_G0303", ("FILTER is absent; used FILTER2 instead",))
    assert read_filter(stack(), keyword="FILTER") == ("", ())
    assert read_object(stack(OBJECT=" ", OBJNAME="Vesta"), keyword="OBJECT") == "Vesta"
