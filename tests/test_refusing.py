"""What light on the pixels says against candidates that chance or stars at rest may have made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssosd.analysis.forced.recover import BEHIND, COLUMNS, FAINT, MEASURED
from ssosd.filters.outcome import LEDGER_COLUMNS
from ssosd.linker.merge import without_shared
from ssosd.work.refusing import hot_pixels, refusals, remaining

SNR = 3.5
LIMIT = 20.0  # magnitude of 3.5 sigma
HOURS = np.array([0.0, 0.25, 0.75, 1.0])


def source(number: int, chance: float, mag: float = 19.6, rate: float = 20.0) -> pd.DataFrame:
    """Four detections in an hour, on the equator; 19.6 mag is 5 sigma."""
    return pd.DataFrame(
        {
            "SOURCE_NUMBER": number,
            "N_CHANCE": chance,
            "PM": rate,
            "SEEING": 2.0,
            "RA": rate * HOURS / 3600.0,
            "DEC": 0.0,
            "MID_EXPOSURE_MJD": HOURS / 24.0,
            "MAG_CALIB": [mag, mag - 0.1, mag + 0.1, mag],
            "BAND": "r",
        }
    )


def light(
    number: int,
    *snr: float,
    state: str = FAINT,
    band: str = "r",
    limit: float = LIMIT,
    hour: float = 0.5,
    rate: float = 20.0,
) -> pd.DataFrame:
    """Light where the source is at an hour without a detection."""
    row = {"SOURCE_NUMBER": number, "STATE": state, "MAG_LIMIT": limit, "BAND": band}
    row |= {"RA_PREDICTED": rate * hour / 3600.0, "DEC_PREDICTED": 0.0}
    return pd.DataFrame([row | {"SNR": s} for s in snr]).reindex(columns=list(COLUMNS))


def refused(asked: pd.DataFrame, missed: pd.DataFrame) -> list[int]:
    ledger = refusals(asked, missed, snr=SNR)
    assert list(ledger.columns) == list(LEDGER_COLUMNS)
    return ledger["SOURCE_NUMBER"].tolist()


@pytest.mark.parametrize(
    ("chance", "snr", "stays"),
    [
        (0.5, (2.5,), True),  # below the limit of detection, as it should be
        (0.5, (1.0,), False),  # 5 sigma are expected
        (0.5, (-0.5, 2.0), False),
        (0.5, (), True),
        (10.0, (4.0,), True),
        (10.0, (3.0,), False),
        (10.0, (2.8, 2.9), True),  # 4 sigma together
        (10.0, (), False),
        (1.5, (), True),  # nothing can be told
        (1.5, (2.5,), False),
    ],
)
def test_light_confirms_and_refuses(chance: float, snr: tuple[float, ...], stays: bool) -> None:
    missed = light(1, *snr) if snr else light(1, 9.0, state=BEHIND)
    assert (refused(source(1, chance), missed) == []) is stays


@pytest.mark.parametrize("snr", [(4.0,), ()])
def test_light_of_what_hardly_moves_is_that_of_a_star(snr: tuple[float, ...]) -> None:
    missed = light(1, *snr, rate=0.9) if snr else light(1, 9.0, state=BEHIND, rate=0.9)
    assert refused(source(1, 1.5, rate=0.9), missed) == [1]
    assert refused(source(1, 0.9, rate=0.9), missed) == []


def test_light_close_to_a_detection_confirms_nothing() -> None:
    """A star at rest there explains both; 5 arcsec on it cannot."""
    weak = source(1, 10.0)
    assert refused(weak, light(1, 6.0, hour=0.79)) == [1]
    assert refused(weak, light(1, 6.0, hour=0.5)) == []
    both = pd.concat([light(1, 9.0, hour=0.79), light(1, 3.0, hour=0.5)], ignore_index=True)
    assert refused(weak, both) == [1]


def test_light_far_below_a_bright_source_refuses_it() -> None:
    """3.6 sigma count as measured, but 30 are expected."""
    assert refused(source(1, 0.5, mag=17.7), light(1, 3.6, state=MEASURED)) == [1]


def test_light_of_another_band_or_without_a_zero_point_does_not_refuse() -> None:
    assert refused(source(1, 0.5), light(1, 0.1, band="g")) == []
    assert refused(source(1, 0.5), light(1, 0.1, limit=float("nan"))) == []


def test_too_little_is_expected_to_tell() -> None:
    """A cloud: one sigma would be expected."""
    assert refused(source(1, 0.5), light(1, -1.0, limit=18.2)) == []


def test_each_source_by_its_own_light_and_why() -> None:
    asked = pd.concat([source(3, 5.0), source(1, 0.1), source(2, 5.0)], ignore_index=True)
    missed = pd.concat([light(2, 4.2), light(3, 2.9), light(1, 0.3)], ignore_index=True)
    ledger = refusals(asked, missed, snr=SNR).set_index("SOURCE_NUMBER")
    assert ledger.index.tolist() == [1, 3]
    assert set(ledger["FILTER"]) == {"RECOVER"}
    assert ledger["N_DETECTIONS"].tolist() == [4, 4]
    assert ledger["MEASURED"].tolist() == pytest.approx([0.3, 2.9])
    assert "missing" in ledger.loc[1, "REASON"]
    assert "chance" in ledger.loc[3, "REASON"]
    assert ledger.loc[3, "LIMIT"] == SNR


def left(number: int, *shares: float, expected: float = 5.0, **other: object) -> pd.DataFrame:
    """Light at four places, one after the other, in the two exposures in which the source has left them."""
    rows = [
        {
            "SOURCE_NUMBER": number, "CATALOG_NUMBER": 1 + exposure, "PLACE": place, "STATE": FAINT,
            "SNR": share * expected, "MAG_LIMIT": LIMIT, "BAND": "r", "BAND_THERE": "r",
            "MAG_THERE": LIMIT - 2.5 * np.log10(expected / SNR), **other,
        }
        for place, share in enumerate(shares)
        for exposure in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=[*COLUMNS, "PLACE", "MAG_THERE", "BAND_THERE"])


def at_rest(light: pd.DataFrame) -> list[int]:
    ledger = remaining(source(1, 0.001), light, snr=SNR)
    assert list(ledger.columns) == list(LEDGER_COLUMNS)
    assert ledger["N_DETECTIONS"].tolist() == [4] * len(ledger)
    return ledger["SOURCE_NUMBER"].tolist()


@pytest.mark.parametrize(
    ("shares", "stays"),
    [
        ((0.0, 0.1, -0.1, 0.0), False),  # a mover has gone
        ((0.7, 0.8, 0.6, 0.9), True),
        ((0.9, 0.0, 0.8, 0.0), True),
        ((1.4, 0.0, 0.0, 0.0), False),  # one of its places was on a star
        ((0.15, 0.15, 0.15, 0.15), False),
    ],
)
def test_light_that_stays_behind_is_of_stars_at_rest(shares: tuple[float, ...], stays: bool) -> None:
    assert (at_rest(left(1, *shares)) == [1]) is stays


def test_light_that_stays_must_be_significant_and_of_the_same_kind() -> None:
    assert at_rest(left(1, 0.6, 0.6, expected=2.0)) == []  # 1.7 sigma together
    assert at_rest(left(1, 0.9, 0.9, BAND="g")) == []
    assert at_rest(left(1, 0.9, 0.9, STATE=BEHIND)) == []
    assert at_rest(left(1, 0.9, 0.9, MAG_LIMIT=np.nan)) == []
    assert at_rest(left(1)) == []


def test_nothing_to_ask_about() -> None:
    assert refused(source(1, 0.5).iloc[:0], light(1, 1.0).iloc[:0]) == []


def test_weak_sources_have_no_detection_of_better_ones() -> None:
    weak = pd.DataFrame(
        {
            "SOURCE_NUMBER": [7, 7, 8, 8],
            "CATALOG_NUMBER": [1, 2, 1, 2],
            "EXTENSION": 0,
            "NUMBER": [1, 2, 3, 4],
        }
    )
    better = pd.DataFrame({"CATALOG_NUMBER": [2], "EXTENSION": [0], "NUMBER": [4]})
    assert without_shared(weak, better)["SOURCE_NUMBER"].tolist() == [7, 7]


def standing(*chi2: tuple[float, float, float], like_star: float = 1.0) -> pd.DataFrame:
    """Sources 1, 2, ... that stand on the detector: what no light, a star and a hot pixel leave."""
    found = pd.concat([source(k + 1, 1e-6) for k in range(len(chi2))], ignore_index=True)
    table = pd.DataFrame(chi2, columns=["NOTHING", "STAR", "PIXEL"], index=range(1, len(chi2) + 1))
    return hot_pixels(found, table.assign(LIKE_STAR=like_star))


@pytest.mark.parametrize(
    ("chi2", "stays"),
    [
        ((400.0, 50.0, 300.0), True),
        ((400.0, 300.0, 50.0), False),
        ((90.0, 60.0, 80.0), False),  # too faint to tell
        ((90.0, 50.0, 80.0), True),
        ((9000.0, 4000.0, 4300.0), False),  # two hot pixels side by side are hardly better a star's
        ((0.0, 0.0, 0.0), False),  # no pixel could be read
    ],
)
def test_what_stands_on_the_detector_needs_the_light_of_a_star(
    chi2: tuple[float, float, float], stays: bool
) -> None:
    ledger = standing(chi2)
    assert list(ledger.columns) == list(LEDGER_COLUMNS)
    assert (ledger["SOURCE_NUMBER"].tolist() == []) is stays
    reason = "light of a hot pixel" if any(chi2) else "no pixel tells"
    assert ledger["REASON"].str.contains(reason).all()


def test_a_star_that_passes_over_a_hot_pixel_makes_no_object_of_it() -> None:
    """In one of five exposures it outweighs the light of the pixel in all others."""
    passed = (9500.0, 3900.0, 7600.0)
    assert standing(passed, like_star=0.2)["SOURCE_NUMBER"].tolist() == [1]
    assert standing(passed, like_star=0.6).empty


def test_a_telescope_follows_few_objects() -> None:
    star, hot = (400.0, 50.0, 300.0), (400.0, 300.0, 50.0)
    assert standing(star, star, hot, star)["SOURCE_NUMBER"].tolist() == [3]
    ledger = standing(star, star, hot, star, star)
    assert ledger["SOURCE_NUMBER"].tolist() == [1, 2, 3, 4, 5]
    assert ledger["REASON"].str.contains("more").tolist() == [True, True, False, True, True]


def test_without_a_look_at_the_pixels_nothing_that_stands_is_left() -> None:
    ledger = hot_pixels(source(1, 1e-6), None)
    assert ledger["SOURCE_NUMBER"].tolist() == [1]
    assert ledger["REASON"].str.contains("no pixel tells").all()
    assert hot_pixels(source(1, 1e-6).iloc[:0], None).empty
