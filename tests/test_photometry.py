"""Zero points and calibrated magnitudes against truth: painted tables, the Sun, the simulated night."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd.analysis.photometry.calibrate import NEW_COLUMNS, aperture_loss, calibrate
from ssosd.analysis.photometry.gaia_bands import RELATIONS, band_of_filter, gaia_to_band
from ssosd.analysis.photometry.limits import five_sigma, half_detected

GAIN, SKY, SECONDS = 1.5, 2.9e4, 60.0


def painted(
    *,
    zero=25.0,
    colour_term=0.0,
    n=400,
    seed=1,
    filter_name="V",
    band="V",
    chips=(1,),
    chip_shift=0.0,
    number=1,
    faintest=19.5,
):
    """A reference with colours and the detections of its stars in one exposure; truth in column TRUE."""
    rng = np.random.default_rng(seed)
    ra, dec = 120.0 + rng.uniform(0, 0.5, n), 40.0 + rng.uniform(0, 0.5, n)
    g = rng.uniform(faintest - 6.5, faintest, n)
    colour = np.clip(rng.normal(1.0, 0.35, n), 0.4, 2.5)
    reference = pd.DataFrame({"RA": ra, "DEC": dec, "MAG": g, "BP": g + 0.4 * colour, "RP": g - 0.6 * colour})
    true = gaia_to_band(band, g, reference["BP"], reference["RP"])
    extension = np.array(chips)[rng.integers(0, len(chips), n)]
    natural = true - colour_term * (colour - 0.82) - zero + chip_shift * (extension - chips[0])
    flux = 10.0 ** (-0.4 * natural)
    noise = np.sqrt(SKY + flux / GAIN)
    flux = flux + rng.normal(0.0, noise)
    table = pd.DataFrame(
        {
            "CATALOG_NUMBER": number,
            "EXTENSION": extension,
            "RA": ra + rng.normal(0, 0.05, n) / 3600,
            "DEC": dec + rng.normal(0, 0.05, n) / 3600,
            "MAG": -2.5 * np.log10(np.maximum(flux, 1.0)),
            "MAGERR": 1.0857 * noise / np.maximum(flux, 1.0),
            "FLUX": flux,
            "FLUXERR": noise,
            "FILTER": filter_name,
            "EXPTIME": SECONDS,
            "IMAGE_FILENAME": "a.fits",
            "FLAGS_EXTRACTION": 0,
            "AWIN_IMAGE": rng.normal(1.0, 0.02, n),
            "BWIN_IMAGE": 0.97,
            "FWHM_IMAGE": rng.normal(2.5, 0.05, n),
            "XWIN_IMAGE": (ra - 120.0) * 3600 * np.cos(np.radians(40.25)),
            "YWIN_IMAGE": (dec - 40.0) * 3600,
            "TRUE": true,
        }
    )
    return table, reference


def only(photometry):
    assert len(photometry.exposures) == 1
    return photometry.exposures.iloc[0]


def test_zero_point_and_colour_term_are_those_painted():
    table, reference = painted(zero=25.3, colour_term=0.12)
    done = calibrate(detections=table, reference=reference, catalogue="Gaia3")
    row = only(done)
    assert row["REASON"] == ""
    assert (row["BAND"], row["PHOT_CAT"]) == ("V", "Gaia3")
    assert row["OFFSET"] == pytest.approx(25.3, abs=max(0.003, 4 * row["OFFSET_ERR"]))
    assert row["COLOUR_TERM"] == pytest.approx(0.12, abs=4 * row["COLOUR_TERM_ERR"])
    assert 0.0 < row["OFFSET_ERR"] < 0.01
    assert row["N_STARS"] > 50
    assert row["ZP"] == pytest.approx(25.3 - 2.5 * np.log10(SECONDS) + aperture_loss(1.5), abs=0.01)
    assert row["SEEING"] == pytest.approx(2.5, abs=0.05)
    bright = done.apply(table)[table["MAGERR"] < 0.05]
    sunny = np.abs(reference["BP"] - reference["RP"] - 0.82)[bright.index] < 0.1
    assert np.median(np.abs(bright["MAG_CALIB"] - bright["TRUE"])[sunny]) < 0.02


@given(zero=st.floats(18.0, 33.0), seed=st.integers(0, 50), n=st.integers(30, 300))
@settings(max_examples=15, deadline=None)
def test_zero_point_of_any_night(zero, seed, n):
    table, reference = painted(zero=zero, seed=seed, n=n, filter_name="r", band="r", faintest=zero - 5.5)
    row = only(calibrate(detections=table, reference=reference, catalogue="Gaia3"))
    assert row["OFFSET"] == pytest.approx(zero, abs=5 * row["OFFSET_ERR"] + 0.004)


def test_what_is_no_good_star_does_not_move_the_zero_point():
    """Saturated, blended and extended ones are half of all; each alone would move a mean by 0.1 and more."""
    table, reference = painted(zero=27.0, n=600, filter_name="", band="G")
    order = np.argsort(table["TRUE"].to_numpy())
    saturated, blended, extended = order[:60], order[60::5], order[61::5]
    table.loc[saturated, "MAG"] += 0.8  # without a flag: SATUR_LEVEL was wrong
    table.loc[blended, "MAG"] -= 0.7
    table.loc[blended, "FLAGS_EXTRACTION"] = 2
    table.loc[extended, "MAG"] += 0.5
    table.loc[extended, "AWIN_IMAGE"] *= 2.5
    row = only(calibrate(detections=table, reference=reference, catalogue="Gaia3"))
    assert row["BAND"] == "G"
    assert row["OFFSET"] == pytest.approx(27.0, abs=0.01)


def test_chips_of_a_mosaic_have_their_own_levels():
    table, reference = painted(chips=(1, 2, 3), chip_shift=0.3, n=600)
    done = calibrate(detections=table, reference=reference, catalogue="Gaia3")
    assert only(done)["SCATTER"] < 0.03
    off = (done.apply(table)["MAG_CALIB"] - table["TRUE"])[table["MAGERR"] < 0.03]
    by_chip = off.groupby(table["EXTENSION"]).median()
    assert np.ptp(by_chip) < 0.02


def test_errors_hold_what_they_promise():
    table, reference = painted(n=3000, seed=4, filter_name="clear", band="G")
    rng = np.random.default_rng(1)
    table["MAG"] += rng.normal(0.0, 2.0 * table["MAGERR"])  # MAGERR is a third of the scatter
    done = calibrate(detections=table, reference=reference, catalogue="Gaia3").apply(table)
    pull = (done["MAG_CALIB"] - done["TRUE"]) / done["MAG_CALIB_ERR"]
    faint = done["MAGERR"] > 0.02
    assert 0.8 < np.std(np.clip(pull[faint], -6, 6)) < 1.25


def test_tight_apertures_are_corrected_for():
    """Apertures that take from half to twice the usual area, as MAG_AUTO's do of faint stars."""
    table, reference = painted(n=3000, seed=5, filter_name="", band="G", faintest=19.0)
    rng = np.random.default_rng(2)
    area = 10.0 ** np.clip(rng.normal(0.0, 0.2, len(table)), -0.6, 0.6) ** np.array(1.0)
    taken = (1 - np.exp(-1.77 * area)) / (1 - np.exp(-1.77))
    faint = table["MAGERR"] > 0.008
    area, taken = np.where(faint, area, 1.0), np.where(faint, taken, 1.0)
    table["FLUX"] *= taken
    table["FLUXERR"] = np.sqrt(SKY * area + np.maximum(table["FLUX"], 0) / GAIN)
    table["MAG"] = -2.5 * np.log10(np.maximum(table["FLUX"], 1.0))
    table["MAGERR"] = 1.0857 * table["FLUXERR"] / np.maximum(table["FLUX"], 1.0)
    done = calibrate(detections=table, reference=reference, catalogue="Gaia3").apply(table)
    some = faint & (done["MAGERR"] < 0.05)
    raw = (done["MAG"] - done["TRUE"])[some]
    off = (done["MAG_CALIB"] - done["TRUE"])[some]
    assert np.std(off) < 0.5 * np.std(raw)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"filter_name": "Halpha", "band": "V"}, "FILTER 'Halpha'"),
        ({"n": 3}, "good reference stars"),
        ({"filter_name": "B", "band": "V"}, "FILTER 'B'"),
    ],
)
def test_without_a_calibration_there_is_no_magnitude_and_a_reason(change, reason):
    table, reference = painted(**change)
    done = calibrate(detections=table, reference=reference, catalogue="Gaia3")
    row = only(done)
    assert reason in row["REASON"]
    assert row["BAND"] == ""
    assert done.apply(table)[["MAG_CALIB", "MAG_CALIB_ERR"]].isna().all().all()
    assert set(done.apply(table)["BAND"]) | set(done.apply(table)["PHOT_CAT"]) == {""}


def test_a_reference_elsewhere_calibrates_nothing():
    table, reference = painted()
    reference["DEC"] += 2.0
    assert (
        "0 good reference stars"
        in only(calibrate(detections=table, reference=reference, catalogue="Gaia3"))["REASON"]
    )
    nothing = reference.iloc[:0]
    assert only(calibrate(detections=table, reference=nothing, catalogue="Gaia3"))["REASON"]


@pytest.mark.parametrize("name", ["", "UNK"])
def test_magnitudes_of_a_catalogue_without_a_name_are_not_believed(name):
    """A file of a person's own may hold instrumental magnitudes: positions are all SCAMP needs of it."""
    table, reference = painted()
    done = calibrate(detections=table, reference=reference, catalogue=name)
    assert "not named" in only(done)["REASON"]
    assert done.apply(table)["MAG_CALIB"].isna().all()


def test_without_colours_magnitudes_are_on_the_band_of_the_reference():
    table, reference = painted(filter_name="r", band="G")
    done = calibrate(detections=table, reference=reference[["RA", "DEC", "MAG"]], catalogue="Gaia3")
    assert only(done)["BAND"] == "G"
    assert only(done)["OFFSET"] == pytest.approx(25.0, abs=0.01)


def test_each_exposure_stands_alone_and_nothing_given_is_changed():
    first, reference = painted(zero=25.0)
    second, _ = painted(zero=24.2, number=2)
    second["IMAGE_FILENAME"] = "b.fits"
    hopeless = second.head(40).assign(CATALOG_NUMBER=3, IMAGE_FILENAME="c.fits", RA=10.0)
    table = pd.concat([second, hopeless, first], ignore_index=True)
    table.index = pd.Index(np.arange(len(table)) * 7)
    before = table.copy(deep=True)
    done = calibrate(detections=table, reference=reference, catalogue="Gaia3")
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(done.apply(table)[list(before.columns)], before)
    assert list(done.apply(table).columns[-len(NEW_COLUMNS) :]) == list(NEW_COLUMNS)
    assert done.exposures["CATALOG_NUMBER"].tolist() == [1, 2, 3]
    assert done.exposures["OFFSET"].iloc[:2].tolist() == pytest.approx([25.0, 24.2], abs=0.01)
    assert done.exposures["REASON"].map(bool).tolist() == [False, False, True]
    mixed = table.sample(frac=1, random_state=1)
    shuffled = calibrate(detections=mixed, reference=reference, catalogue="Gaia3").apply(mixed)
    pd.testing.assert_series_equal(
        shuffled["MAG_CALIB"].sort_index(), done.apply(table)["MAG_CALIB"].sort_index()
    )


def test_magnitudes_of_99_stay_unknown():
    table, reference = painted(faintest=17.0)
    table.loc[5, ["MAG", "MAGERR"]] = 99.0
    done = calibrate(detections=table, reference=reference, catalogue="Gaia3").apply(table)
    assert np.isnan(done["MAG_CALIB"][5])
    assert done["MAG_CALIB"].notna().sum() == len(table) - 1


def test_the_sun_through_gaias_relations():
    """Willmer 2018, ApJS 236, 47: absolute magnitudes of the Sun, V and R in Vega, g r i in AB; G from
    Casagrande and VandenBerg 2018 (4.67, BP - RP 0.82)."""
    sun = {"V": 4.81, "R": 4.43, "I": 4.10, "g": 5.11, "r": 4.65, "i": 4.53}
    for band, expected in sun.items():
        found = gaia_to_band(band, [4.67], [4.67 + 0.32], [4.67 - 0.50])[0]
        assert found == pytest.approx(expected, abs=0.06), band


def test_relations_end_where_they_were_fitted():
    for band, relation in RELATIONS.items():
        bp = np.array([relation.bluest - 0.01, relation.bluest + 0.01, relation.reddest + 0.01, np.nan])
        assert np.isnan(gaia_to_band(band, np.full(4, 15.0), bp, np.zeros(4))).tolist() == [
            True,
            False,
            True,
            True,
        ]


@pytest.mark.parametrize(
    ("name", "band"),
    [
        *[("r", "r"), ("R", "R"), ("SDSS r'", "r"), ("gSDSS", "g"), ("Bessell_V", "V"), ("i", "i")],
        *[
            ("I", "I"),
            ("VR", "G"),
            ("Clear", "G"),
            ("None", "G"),
            ("", "G"),
            ("B", None),
            ("u", None),
            ("Ha", None),
        ],
    ],
)
def test_filters_as_headers_write_them(name, band):
    assert band_of_filter(name) == band


def test_half_of_what_is_there_however_it_was_chosen():
    """The light is the exposure's own: what was chosen by other exposures, bright or faint, tells the same."""
    rng = np.random.default_rng(3)
    light = 12.0 * rng.random(3000)
    own = light + rng.normal(0.0, 1.0, light.size)
    detected = own + rng.normal(0.0, 0.3, light.size) > 3.7
    for others in (0.0, 2.0, 4.0):
        known = (light + rng.normal(0.0, 1.0, (2, light.size)) > others).all(axis=0)
        told = half_detected(own[known], detected[known])
        assert 2.5 * np.log10(told / 3.7) == pytest.approx(0.0, abs=0.04)
    assert np.isnan(five_sigma([20.0], [5.0]))


def test_no_half_where_nothing_is_missed_and_where_few_are_there():
    rng = np.random.default_rng(5)
    light = rng.uniform(5.0, 12.0, 500)
    assert np.isnan(half_detected(light, light > 3.7))
    light = rng.uniform(0.0, 12.0, 20)
    assert np.isnan(half_detected(light, light > 3.7))
    assert np.isnan(half_detected([], []))
