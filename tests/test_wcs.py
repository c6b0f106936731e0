"""World coordinates: astropy is the authority for what a header means, SExtractor for what is made of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable
from hypothesis import given, settings
from hypothesis import strategies as st

from ssosd import astromatic
from ssosd.errors import BadInput
from ssosd.ingest.cardtext import format_card
from ssosd.ingest.headers import Cards
from ssosd.ingest.tpv import ScampWcs, pixel_scale_arcsec, pv_terms, to_scamp
from ssosd.ingest.wcs import SkyMap, grid, needs_tables, read_sky
from ssosd.sphere import separation_arcsec
from tests import frames, painted

WIDTH, HEIGHT = 2048, 1536
SCALE = 2.0e-4  # deg/pixel
ROTATION = np.array([[-np.cos(0.3), np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
TRACED = np.meshgrid(np.linspace(0.5, WIDTH + 0.5, 23), np.linspace(0.5, HEIGHT + 0.5, 19))
X, Y = (axis.ravel() for axis in TRACED)


def wcs_header(projection: str = "TAN", ra: float = 120.0, dec: float = 30.0, **cards: object) -> fits.Header:
    base: dict[str, object] = {
        "CTYPE1": f"RA---{projection}",
        "CTYPE2": f"DEC--{projection}",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": 900.0,
        "CRPIX2": 800.0,
    }
    base |= {f"CD{i}_{j}": ROTATION[i - 1, j - 1] * SCALE for i in (1, 2) for j in (1, 2)}
    return frames.header(base, **cards)


def cards_of(head: fits.Header) -> Cards:
    return Cards(head.tostring().encode("latin-1"))


def sky_of(head: fits.Header, *, tables: fits.HDUList | None = None) -> SkyMap:
    return read_sky(cards_of(head), width=WIDTH, height=HEIGHT, label="f.fits[0]", tables=tables)


def convert(head: fits.Header) -> ScampWcs:
    return to_scamp(sky_of(head), label="f.fits[0]")


def evaluated(converted: ScampWcs) -> tuple[np.ndarray, np.ndarray]:
    """Positions by the cards as they would be written to a file, read back by astropy."""
    text = "".join(format_card(keyword, value) for keyword, value in converted.cards)
    return WCS(fits.Header.fromstring(text), fix=False).all_pix2world(X, Y, 1)


def truth(head: fits.Header) -> tuple[np.ndarray, np.ndarray]:
    """Positions by astropy's own reading of the original header, brought to ICRS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        icrs = WCS(head).pixel_to_world(X - 1, Y - 1).icrs
    return icrs.ra.deg, icrs.dec.deg


def off_px(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    return float(separation_arcsec(*first, *second).max() / (SCALE * 3600.0))


def with_matrix(kind: str) -> fits.Header:
    head = wcs_header()
    for keyword in [k for k in head if k.startswith("CD")]:
        del head[keyword]
    head["CDELT1"], head["CDELT2"] = -SCALE, 1.1 * SCALE
    pc = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    for i in (1, 2):
        for j in (1, 2):
            if kind == "PC":
                head[f"PC{i}_{j}"] = pc[i - 1, j - 1]
            elif kind == "PC00":
                head[f"PC00{i}00{j}"] = pc[i - 1, j - 1]
    if kind == "CROTA":
        head["CROTA2"] = 17.0
    return head


@pytest.mark.parametrize("kind", ["PC", "PC00", "CROTA", "CDELT"])
def test_every_matrix_is_read(kind):
    head = with_matrix(kind)
    converted = convert(head)
    assert off_px(evaluated(converted), truth(head)) < 1e-6
    assert converted.plain
    assert converted.conversion == ""


def test_zeros_are_values():
    head = wcs_header(CD1_1=-SCALE, CD1_2=0.0, CD2_1=0.0, CD2_2=SCALE, CRVAL1=0.0, CRVAL2=0.0)
    converted = convert(head)
    assert converted.plain
    assert off_px(evaluated(converted), truth(head)) < 1e-6


def test_missing_elements_of_cd_are_zero_not_one():
    head = wcs_header(CD1_1=None, CD2_2=None, CD1_2=SCALE, CD2_1=SCALE)
    converted = convert(head)
    assert off_px(evaluated(converted), truth(head)) < 1e-6
    assert not converted.plain  # SExtractor's default is 1


def test_strings_become_numbers():
    head = wcs_header(PV1_1=1.0001, PV2_1=0.9999, PV1_7=0.02)
    texts = head.copy()
    for keyword in list(texts):
        if not keyword.startswith("CTYPE"):
            texts[keyword] = f" {float(head[keyword])!r} "
    converted = convert(texts)
    assert off_px(evaluated(converted), evaluated(convert(head))) < 1e-9
    assert not converted.plain
    assert any("stored as strings" in note for note in sky_of(texts).notes)


@pytest.mark.parametrize(
    ("projection", "cards"),
    [
        ("TPV", {"PV1_0": 1e-4, "PV1_1": 1.001, "PV2_1": 0.999, "PV1_3": 1e-3, "PV1_4": 0.02, "PV2_10": 0.3}),
        ("TAN", {"PV1_1": 1.001, "PV2_1": 0.999, "PV1_4": 0.02, "PV2_10": 0.3}),
    ],
)
def test_pv_polynomials_are_kept_as_they_are(projection, cards):
    head = wcs_header(projection, **cards)
    converted = convert(head)
    assert converted.plain
    assert off_px(evaluated(converted), truth(wcs_header("TPV", **cards))) < 1e-6
    assert {k: v for k, v in converted.cards if k.startswith("PV")} == cards


@pytest.mark.parametrize(
    ("projection", "cards"),
    [
        ("ZPN", {"PV2_1": 1.0, "PV2_3": 60.0}),
        ("ARC", {}),
        ("ZEA", {}),
        ("STG", {}),
        ("SIN", {}),
        ("SIN", {"PV2_1": 0.01, "PV2_2": 0.02}),
        ("AIR", {}),
        ("CAR", {}),
        ("TAN", {"LONPOLE": 150.0}),
        ("TAN", {"PV1_3": 150.0, "PV1_1": 0.0, "PV1_2": 90.0}),
    ],
)
def test_other_projections_are_converted(projection, cards):
    head = wcs_header(projection, **cards)
    converted = convert(head)
    assert not converted.plain
    assert f"WCS {projection} converted to " in converted.conversion
    assert converted.residual_px < 0.01
    assert off_px(evaluated(converted), truth(head)) < 0.01


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
        {"RADESYS": "FK5", "EQUINOX": 1975.0},
        {"EQUINOX": 1950.0},
        {"EPOCH": 1950.0},
        {"RADECSYS": "FK4", "EQUINOX": "B1950"},
        {"RADESYS": "ICRS", "EQUINOX": 2019.2},
    ],
)
def test_other_frames_become_icrs(cards):
    head = wcs_header(**cards)
    converted = convert(head)
    reference = wcs_header(**(cards | ({"EQUINOX": 1950.0} if cards.get("EQUINOX") == "B1950" else {})))
    assert not converted.plain
    assert off_px(evaluated(converted), truth(reference)) < 0.01
    assert dict(converted.cards)["RADESYS"] == "ICRS"


def test_ecliptic_axes():
    head = wcs_header(CTYPE1="ELON-TAN", CTYPE2="ELAT-TAN")
    equatorial = WCS(wcs_header()).all_pix2world(X, Y, 1)
    sky = SkyCoord(*equatorial, unit="deg", frame="barycentricmeanecliptic").icrs
    assert off_px(evaluated(convert(head)), (sky.ra.deg, sky.dec.deg)) < 0.01


def test_fk5_2000_is_taken_as_icrs():
    fk5, icrs = convert(wcs_header(RADESYS="FK5", EQUINOX=2000.0)), convert(wcs_header(RADESYS="ICRS"))
    assert off_px(evaluated(fk5), evaluated(icrs)) == 0.0
    assert fk5.plain


@pytest.mark.parametrize(
    "cards", [{"EQUINOX": "J2000.0"}, {"EPOCH": "now"}, {"EQUINOX": 0.0}, {"PROJP1": 1.5}]
)
def test_cards_that_only_sextractor_would_stumble_on_are_rewritten(cards):
    converted = convert(wcs_header(**cards))
    assert not converted.plain
    assert converted.conversion == ""
    assert off_px(evaluated(converted), truth(wcs_header())) < 1e-6


def test_axes_in_the_other_order():
    cards = {"PV1_1": 1.001, "PV2_1": 0.999, "PV1_0": 1e-4, "PV1_4": 0.02, "PV2_10": 0.3}
    straight = wcs_header("TPV", **cards)
    swapped = wcs_header("TPV")
    swapped["CTYPE1"], swapped["CTYPE2"] = "DEC--TPV", "RA---TPV"
    for keyword in ("CRVAL1", "CRVAL2", *(f"CD{i}_{j}" for i in (1, 2) for j in (1, 2)), *cards):
        other = keyword.translate(str.maketrans("12", "21")) if keyword.startswith("CRVAL") else keyword
        if keyword[:2] in {"CD", "PV"}:
            other = f"{keyword[:2]}{3 - int(keyword[2])}{keyword[3:]}"
        swapped[other] = straight[keyword]
    converted = convert(swapped)
    assert off_px(evaluated(converted), evaluated(convert(straight))) < 1e-9
    assert not converted.plain


@pytest.mark.parametrize("unit", ["arcsec", "arcmin", "rad", "degree", "DEG"])
def test_units(unit):
    factor = {"arcsec": 3600.0, "arcmin": 60.0, "rad": np.pi / 180.0}.get(unit, 1.0)
    head = wcs_header(CUNIT1=unit, CUNIT2=unit)
    for keyword in list(head):
        if keyword.startswith(("CD", "CRVAL")):
            head[keyword] *= factor
    assert off_px(evaluated(convert(head)), truth(wcs_header())) < 1e-4


def sip_header(coefficients: dict[str, float], order: int, **kwargs) -> fits.Header:
    return wcs_header("TAN-SIP", **kwargs, A_ORDER=order, B_ORDER=order, **coefficients)


def test_sip_is_used_and_said():
    head = sip_header({"A_2_0": 2e-6, "B_1_1": -1e-6, "A_0_3": 1e-10}, 3)
    converted = convert(head)
    assert off_px(truth(head), truth(wcs_header())) > 1.0  # stripping it would be seen
    assert off_px(evaluated(converted), truth(head)) < 0.01
    assert converted.conversion == "WCS TAN-SIP converted to TAN with PV polynomial of degree 3"


def test_sip_without_its_name_in_ctype_is_used_with_a_word():
    named = sip_header({"A_2_0": 2e-6}, 2)
    unnamed = named.copy()
    unnamed["CTYPE1"], unnamed["CTYPE2"] = "RA---TAN", "DEC--TAN"
    assert off_px(evaluated(convert(unnamed)), truth(named)) < 0.01
    assert any("does not end in -SIP" in note for note in sky_of(unnamed).notes)


def test_sip_wins_over_pv_where_ctype_says_so():
    head = sip_header({"A_2_0": 2e-6}, 2)
    both = sip_header({"A_2_0": 2e-6, "PV1_1": 1.0, "PV2_1": 1.0, "PV1_7": 0.5}, 2)
    assert off_px(evaluated(convert(both)), truth(head)) < 0.01
    assert any("PV cards were ignored" in note for note in sky_of(both).notes)


COEFFICIENT = st.floats(-1.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(
    order=st.integers(2, 5),
    values=st.lists(COEFFICIENT, min_size=42, max_size=42),
    ra=st.one_of(st.floats(0.0, 359.999), st.sampled_from([0.0, 1e-4, 359.9999])),
    dec=st.one_of(st.floats(-85.0, 85.0), st.sampled_from([-89.95, -85.0, 85.0, 89.95])),
)
def test_any_sip_becomes_tpv_within_a_hundredth_of_a_pixel(order, values, ra, dec):
    terms = [(p, q) for p in range(order + 1) for q in range(order + 1 - p) if p + q >= 2]
    it = iter(values)
    coefficients = {  # up to 10 px at the corner per term
        f"{letter}_{p}_{q}": next(it) * 10.0 / 1200.0 ** (p + q) for letter in "AB" for p, q in terms
    }
    head = sip_header(coefficients, order, ra=ra, dec=dec)
    converted = convert(head)
    assert converted.residual_px < 0.01
    assert off_px(evaluated(converted), truth(head)) < 0.01


@settings(max_examples=25, deadline=None)
@given(ra=st.floats(0.0, 359.999), dec=st.floats(-89.9, 89.9), radial=st.floats(-100.0, 100.0))
def test_any_zpn_becomes_tpv(ra, dec, radial):
    head = wcs_header("ZPN", ra=ra, dec=dec, PV2_1=1.0, PV2_3=radial)
    assert off_px(evaluated(convert(head)), truth(head)) < 0.01


def tnx_header(blanks: int) -> fits.Header:
    head = wcs_header("TNX")
    numbers = "1. 3. 3. 1. -0.3 0.3 -0.3 0.3 " + " ".join(["1.0E-4"] * 9)
    for axis, kind in ((1, "lngcor"), (2, "latcor")):
        text = f'wtype=tnx{" " * blanks}axtype={"ra" if axis == 1 else "dec"} {kind} = "{numbers} "'
        for n, begin in enumerate(range(0, len(text), 68), start=1):
            head[f"WAT{axis}_{n:03d}"] = text[begin : begin + 68]
    return head


def test_tnx_where_a_card_ends_in_a_blank():
    readable, cut_at_blank = tnx_header(3), tnx_header(1)
    expected = truth(readable)
    with pytest.raises(ValueError):
        truth(cut_at_blank)  # wcslib loses the blank
    for head in (readable, cut_at_blank):
        assert off_px(evaluated(convert(head)), expected) < 0.01
    assert off_px(expected, truth(wcs_header())) > 0.1


def test_lookup_tables_are_used(tmp_path):
    wcs = WCS(wcs_header())
    x, y = np.meshgrid(np.linspace(-1, 1, 17), np.linspace(-1, 1, 13))
    bump = (2.0 * x * x - y).astype("f4")
    wcs.cpdis1 = DistortionLookupTable(bump, (1.0, 1.0), (1.0, 1.0), (128.0, 128.0))
    wcs.cpdis2 = DistortionLookupTable(bump.copy(), (1.0, 1.0), (1.0, 1.0), (128.0, 128.0))
    hdus = wcs.to_fits()
    hdus[0].data = np.zeros((HEIGHT, WIDTH), "u1")
    path = tmp_path / "table.fits"
    hdus.writeto(path)
    with fits.open(path) as opened:
        cards = cards_of(opened[0].header)
        assert needs_tables(cards)
        sky = sky_of(opened[0].header, tables=opened)
        expected = WCS(opened[0].header, opened).all_pix2world(X, Y, 1)
    assert off_px(sky.icrs(X, Y), expected) < 1e-6
    assert off_px(expected, truth(wcs_header())) > 0.5
    converted = to_scamp(sky, label="f")
    assert off_px(evaluated(converted), expected) < 0.1
    assert converted.residual_px == pytest.approx(off_px(evaluated(converted), expected), rel=0.5)


def test_pv_terms_are_those_of_the_convention():
    terms = {index: (i, j) for index, i, j in pv_terms(7)}
    assert sorted(terms) == [n for n in range(39) if n not in {3, 11, 23}]
    assert terms[5] == (1, 1)
    assert terms[8] == (2, 1)
    assert terms[22] == (0, 5)
    assert terms[38] == (0, 7)


def test_pixel_scale():
    assert pixel_scale_arcsec(sky_of(wcs_header()), label="f") == pytest.approx(SCALE * 3600.0, rel=1e-6)


def test_garbage_cards_cost_only_themselves():
    head = wcs_header(PV1_5="n/a", LONPOLE="?", RADESYS="Earth", EQUINOX="now", A_ORDER="two", CUNIT1="pix")
    converted = convert(head)
    assert off_px(evaluated(converted), truth(wcs_header())) < 1e-6
    notes = " ".join(sky_of(head).notes)
    for keyword in ("PV1_5", "LONPOLE", "RADESYS", "A_ORDER", "CUNIT1"):
        assert keyword in notes


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({"CTYPE1": None, "CTYPE2": None}, "no WCS: CTYPE1 and CTYPE2 are absent"),
        ({"CTYPE1": "PIXEL", "CTYPE2": "PIXEL"}, "no WCS: CTYPE1='PIXEL'"),
        ({"CTYPE1": "RA", "CTYPE2": "DEC"}, "names no projection"),
        ({"CTYPE2": "DEC--SIN"}, "different projections"),
        ({"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ"}, "Unrecognized projection"),
        ({"CRVAL1": None}, "CRVAL1 is absent"),
        ({"CRVAL2": "12:34:56"}, "CRVAL2='12:34:56' is no number"),
        ({"CRPIX1": "NaN"}, "CRPIX1='NaN' is no number"),
        ({"CRVAL2": 95.0}, "WCS cannot be used"),
        ({"CD1_1": 0.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.0}, "no CDELT1"),
        ({"CD1_1": SCALE, "CD1_2": SCALE, "CD2_1": SCALE, "CD2_2": SCALE}, "no CDELT1"),
        ({"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None}, "no CDELT1"),
        ({"CD1_1": -1.0, "CD2_2": 1.0, "CRPIX1": 1024.5, "CRPIX2": 768.5}, "a pixel measures"),
        ({"CD1_1": -3e-55, "CD1_2": 1e-7, "CD2_1": -9e-9, "CD2_2": 3.2e-5}, "a pixel measures"),
        ({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CD1_1": -0.1, "CD2_2": 0.1}, "has no sky"),
        ({"CTYPE1": "RA---TNX", "CTYPE2": "DEC--TNX", "WAT1_001": "wtype=tnx lngcor"}, "WCS cannot be used"),
    ],
)
def test_unusable_wcs_is_said_in_one_line(cards, said):
    with pytest.raises(BadInput) as caught:
        convert(wcs_header(**cards))
    assert said in caught.value.message
    assert caught.value.message.startswith("f.fits[0]: ")
    assert "\n" not in str(caught.value)
    assert caught.value.next_step


@pytest.mark.binaries
def test_sextractor_agrees_with_astropy_on_a_converted_sip_file(tmp_path: Path):
    shape = (256, 320)
    places = painted.scattered(shape, 40)
    image = painted.stars(shape, places, [60000.0] * len(places))
    head = sip_header({"A_2_0": 3e-5, "B_1_1": -4e-5, "A_0_3": 1e-7}, 3, CRPIX1=100.0, CRPIX2=90.0)
    sky = read_sky(cards_of(head), width=320, height=256, label="f")
    converted = to_scamp(sky, label="f")
    for name, cards in (("raw", head), ("converted", fits.Header(converted.cards))):
        fits.PrimaryHDU(image, cards).writeto(tmp_path / f"{name}.fits")
    (tmp_path / "p.param").write_text("XWIN_IMAGE\nYWIN_IMAGE\nALPHAWIN_J2000\nDELTAWIN_J2000\n")
    (tmp_path / "p.sex").write_text("")
    binary = astromatic.find("sextractor")
    off = {}
    for name in ("raw", "converted"):
        arguments = [
            f"{name}.fits",
            "-c",
            "p.sex",
            "-PARAMETERS_NAME",
            "p.param",
            "-CATALOG_NAME",
            f"{name}.cat",
        ]
        arguments += ["-CATALOG_TYPE", "ASCII", "-FILTER", "N", "-DETECT_THRESH", "5"]
        astromatic.run(binary, arguments, cwd=tmp_path, time_limit_s=60)
        x, y, ra, dec = np.loadtxt(tmp_path / f"{name}.cat", unpack=True)
        assert len(x) > 25
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = WCS(head).all_pix2world(x, y, 1)
        off[name] = float(separation_arcsec(ra, dec, *expected).max() / (SCALE * 3600.0))
    assert off["converted"] < 0.01
    assert off["raw"] > 0.5  # SExtractor itself ignores SIP


def test_grid_covers_the_chip_to_its_edges():
    x, y = grid(10, 20, 3)
    assert (x.min(), x.max(), y.min(), y.max()) == (0.5, 10.5, 0.5, 20.5)
