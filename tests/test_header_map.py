"""Header maps: what an instrument's headers mean, from the TOML file to SExtractor's image and the results."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from hypothesis import example, given
from hypothesis import strategies as st

from ssosd.errors import BadInput, Misconfigured
from ssosd.headermap import HeaderMap, HeaderRule, Pointing, load_map, read_rules
from ssosd.ingest.catalogue import catalogue_key
from ssosd.ingest.exposure import read_exposure
from ssosd.ingest.fitsblocks import read_layout
from ssosd.ingest.mapped import rule_for, set_aside
from ssosd.ingest.prepare import prepare_image
from ssosd.model import Exposure, HeaderKeywords
from ssosd.plumbing.resources import shipped
from tests.frames import header, write
from tests.replaying import ONE_FIELD, run
from tests.sky import shared_sky

pytestmark = pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
DOCS = Path(__file__).resolve().parents[1] / "docs" / "maps.md"
ANY = 'match = { NAXIS1 = "*" }\n'


def rules(folder: Path, text: str) -> tuple[HeaderRule, ...]:
    path = folder / "mine.toml"
    path.write_text(text)
    return read_rules(path)


def read(path: Path, folder: Path, text: str) -> Exposure:
    """An exposure under a map of one rule that fits every file."""
    mine = HeaderMap(rules=rules(folder, f'[[instrument]]\nname = "mine"\n{ANY}{text}'))
    return read_exposure(path, keywords=HeaderKeywords(), extensions=None, header_map=mine)


def bare(path: Path, **cards: object) -> Path:
    """A frame without WCS."""
    head = header(**cards)
    for keyword in [k for k in head if re.match(r"CTYPE|CRVAL|CRPIX|CD\d|CDELT|CUNIT", k)]:
        del head[keyword]
    return write(path, head)


# ---- the file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[instrument]]\nmatch = { A = "b" }\nexptme = "E"\n',
            "exptme: unknown key, the nearest is exptime",
        ),
        ('[[instruments]]\nmatch = { A = "b" }\n', "instruments: unknown"),
        ('[[instrument]]\nexptime = "E"\n', "match: missing"),
        (f'[[instrument]]\n{ANY}time = "T"\ntime_of = "mid"\n', "start | middle | end"),
        (f'[[instrument]]\n{ANY}time = "T"\ntime_zone = "Mars/Base"\n', "America/Phoenix"),
        (f'[[instrument]]\n{ANY}time = "T"\ntime_zone = "+2"\n', "America/Phoenix"),
        (f'[[instrument]]\n{ANY}time = "T"\ntime_format = "iso8601"\n', "ISO | MJD | JD | UNIX"),
        *(
            (
                f'[[instrument]]\n{ANY}time = "T"\ntime_format = "{form}"\n',
                f"time_format: found '{form}', allowed",
            )
            for form in (
                *("%Y-%m-%d", "%H:%M:%S", "%d.%m. %Hh", "%Y-%m-%d %I:%M", "%Y-%m-%d %H:%M:%S %Z"),
                *("%Q", "%Y %Y", "%Y-%m-%d %H:%M%"),
            )
        ),
        (f'[[instrument]]\n{ANY}time = "T"\ntime_format = "MJD"\ntime_zone = "+02:00"\n', "no meaning"),
        (f'[[instrument]]\n{ANY}time_zone = "+02:00"\n', "time: missing"),
        (f"[[instrument]]\n{ANY}gain = true\n", "a keyword or text in quotes or a number"),
        (f"[[instrument]]\n{ANY}hdu = -1\n", "the number of an HDU"),
        (f"[[instrument]]\n{ANY}bands = {{ r = 1 }}\n", "names with names"),
        (f'[[instrument]]\n{ANY}cards = {{ "ESO DET DIT" = 1 }}\n', "at most eight letters"),
        (f'[[instrument]]\n{ANY}calibration = "dark"\n', "keywords with patterns"),
        (f'[[instrument]]\n{ANY}[instrument.pointing]\nra = "R"\ndec = "D"\n', "give either scale"),
        (f'[[instrument]]\n{ANY}[instrument.pointing]\nra = "R"\nscale = 1\n', "needs ra and dec"),
        (
            f'[[instrument]]\n{ANY}[instrument.pointing]\nra = "R"\ndec = "D"\nscale = 1\nrotaton = 3\n',
            "pointing.rotaton: unknown key, the nearest is rotation",
        ),
        ("[[instrument]\n", "no TOML"),
        ("", "no [[instrument]] table"),
        ('instrument = ["mine"]\n', "no [[instrument]] table"),
    ],
)
def test_what_is_wrong_in_a_map_is_said(tmp_path, text, said):
    with pytest.raises(Misconfigured) as caught:
        rules(tmp_path, text)
    assert "mine.toml" in str(caught.value)
    assert said in str(caught.value)


def test_all_problems_at_once(tmp_path):
    with pytest.raises(Misconfigured) as caught:
        rules(tmp_path, '[[instrument]]\nmatsh = 1\n[[instrument]]\nmatch = {A = "b"}\nfliter = "x"\n')
    assert len(caught.value.problems) == 3


def test_a_wrong_match_is_one_problem(tmp_path):
    with pytest.raises(Misconfigured) as caught:
        rules(tmp_path, "[[instrument]]\nmatch = { NAXIS1 = 2048 }\n")
    (problem,) = caught.value.problems
    assert "for NAXIS1 a pattern in quotes" in problem


def test_a_missing_map_stops_the_run(tmp_path):
    with pytest.raises(Misconfigured, match=r"gone\.toml"):
        read_rules(tmp_path / "gone.toml")


def test_own_rules_come_first_and_no_map_means_no_rule(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f'[[instrument]]\nname = "mine"\n{ANY}')
    shipped_ones = load_map("SHIPPED").rules
    assert len(shipped_ones) >= 8
    assert load_map(path).rules[0].name == "mine"
    assert load_map(path).rules[1:] == shipped_ones
    assert load_map(None) == HeaderMap()


def test_every_key_and_shipped_map_is_in_the_docs():
    text = DOCS.read_text(encoding="utf-8")
    keys = {f.name for kind in (HeaderRule, Pointing) for f in dataclasses.fields(kind)} - {"source"}
    assert keys == set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    files = {f"semp/maps/{path.name}" for path in shipped("semp/maps").glob("*.toml")}
    assert files == set(re.findall(r"^\| `(semp/maps/\S+)` \|", text, flags=re.MULTILINE))
    assert len(files) >= 5


def test_the_example_of_the_docs_is_a_map(tmp_path):
    (text,) = re.findall(r"^```toml\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (rule,) = rules(tmp_path, text)
    assert rule.pointing is not None
    assert rule.bands == (("Lum*", "clear"), ("SLOAN G", "g"))


# ---- time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "keys", "start"),
    [
        ({"T": "2024-03-05T01:02:03"}, 'time = "T"\ntime_zone = "-07:00"', "2024-03-05T08:02:03.000"),
        ({"T": "2024-03-05T22:02:03"}, 'time = "T"\ntime_zone = "-07:00"', "2024-03-06T05:02:03.000"),
        ({"T": "2024-07-05T00:30:00"}, 'time = "T"\ntime_zone = "Europe/Paris"', "2024-07-04T22:30:00.000"),
        ({"T": "2024-01-05T00:30:00"}, 'time = "T"\ntime_zone = "Europe/Paris"', "2024-01-04T23:30:00.000"),
        ({"D": "2024-03-05", "C": "01:02:03.5"}, 'time = "D+C"', "2024-03-05T01:02:03.500"),
        (
            {"D": "05.03.2024", "C": "01h02m03s"},
            'time = "D+C"\ntime_format = "%d.%m.%Y %Hh%Mm%Ss"',
            "2024-03-05T01:02:03.000",
        ),
        ({"T": 1709600523.5}, 'time = "T"\ntime_format = "UNIX"', "2024-03-05T01:02:03.500"),
        ({"T": "60374.5"}, 'time = "T"\ntime_format = "MJD"', "2024-03-05T12:00:00.000"),
        ({"T": 2460375.0}, 'time = "T"\ntime_format = "JD"', "2024-03-05T12:00:00.000"),
        ({"T": "2024-03-05T01:00:00"}, 'time = "T"\ntime_of = "end"', "2024-03-05T00:59:00.000"),
        ({"T": "2024-03-05T01:00:00"}, 'time = "T"\ntime_of = "middle"', "2024-03-05T00:59:30.000"),
        ({"T": "2024-03-05T01:00:00", "TIMESYS": "TAI"}, 'time = "T"', "2024-03-05T00:59:23.000"),
        (
            {"T": "2024-03-05T16:00:00-0700"},
            'time = "T"\ntime_format = "%Y-%m-%dT%H:%M:%S%z"',
            "2024-03-05T23:00:00.000",
        ),
        (
            {"D": "05.03.24", "C": "4:00 PM"},
            'time = "D+C"\ntime_format = "%d.%m.%y %I:%M %p"',
            "2024-03-05T16:00:00.000",
        ),
    ],
)
def test_times(tmp_path, cards, keys, start):
    path = write(tmp_path / "a.fits", header(EXPTIME=60.0, **cards))
    assert read(path, tmp_path, keys).date_obs == start


@pytest.mark.parametrize(
    ("cards", "keys"),
    [
        ({"T": "2024-03-05T16:00:00-07:00"}, 'time = "T"'),
        ({"T": "2024-03-05T23:00:00Z"}, 'time = "T"'),
        ({"D": "2024-03-05", "C": "16:00:00-07"}, 'time = "D+C"'),
        ({"T": "2024-03-05T18:00:00-0500"}, 'time = "T"\ntime_format = "%Y-%m-%dT%H:%M:%S%z"'),
    ],
)
def test_an_offset_in_the_value_is_not_subtracted_twice(tmp_path, cards, keys):
    path = write(tmp_path / "a.fits", header(**cards))
    exposure = read(path, tmp_path, f'{keys}\ntime_zone = "-07:00"')
    assert exposure.date_obs == "2024-03-05T23:00:00.000"
    assert "says its own offset from UTC; time_zone -07:00 was not used" in " ".join(exposure.warnings)


@given(
    moment=st.datetimes(min_value=datetime(1990, 1, 2), max_value=datetime(2036, 1, 1)),
    name=st.sampled_from(["America/Phoenix", "Europe/Paris", "Australia/Sydney", "Asia/Kolkata", "UTC"]),
)
@example(moment=datetime(2012, 10, 7, 2, 0, fold=1), name="Australia/Sydney")
def test_local_times_are_those_of_the_zone(tmp_path_factory, moment, name):
    moment = moment.replace(microsecond=0, fold=0)  # text does not tell which of two hours it is
    folder = tmp_path_factory.mktemp("zone", numbered=True)
    path = write(folder / "a.fits", header(T=moment.isoformat()))
    exposure = read(path, folder, f'time = "T"\ntime_zone = "{name}"')
    utc = moment.replace(tzinfo=ZoneInfo(name)).timestamp()
    read_as = datetime.fromisoformat(exposure.date_obs).replace(tzinfo=ZoneInfo("UTC"))
    assert read_as.timestamp() == pytest.approx(utc, abs=1e-3)


def test_an_hour_that_the_clocks_repeat_is_told(tmp_path):
    path = write(tmp_path / "a.fits", header(T="2024-10-27T02:30:00"))
    exposure = read(path, tmp_path, 'time = "T"\ntime_zone = "Europe/Paris"')
    assert exposure.date_obs == "2024-10-27T00:30:00.000"
    assert "an hour off" in " ".join(exposure.warnings)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('time = "NONE"', "NONE is absent"),
        ('time = "D"', "without time of day"),
        ('time = "D"\ntime_format = "%d/%m/%Y %H:%M"', "has not the format %d/%m/%Y %H:%M"),
        ('time = "D"\ntime_format = "MJD"', "is no number"),
        ('time = "MS"\ntime_format = "UNIX"', "MS: '1794700804800' is not a date of the years 1865 to 2099"),
        ('time = "NAN"\ntime_format = "UNIX"', "NAN: 'NaN' is not a date of the years 1865 to 2099"),
        (
            'time = "OLD"\ntime_format = "%Y-%m-%d %H:%M"',
            "'0024-03-05 01:02' is not a date of the years 1865 to 2099",
        ),
    ],
)
def test_a_time_that_is_not_as_the_rule_says(tmp_path, keys, said):
    cards = {"D": "2024-03-05", "MS": 1794700804800, "NAN": "NaN", "OLD": "0024-03-05 01:02"}
    path = write(tmp_path / "a.fits", header(**cards))
    with pytest.raises(BadInput, match=re.escape(said)) as caught:
        read(path, tmp_path, keys)
    assert "header rule mine of mine.toml" in caught.value.message


# ---- the other values -----------------------------------------------------------------------------------


def test_exposure_time_filter_and_target(tmp_path):
    path = write(tmp_path / "a.fits", header(TINT=1500.0, FNAM="SLOAN R2", TGT="M 1"))
    exposure = read(
        path,
        tmp_path,
        'exptime = "TINT"\nexptime_unit = "ms"\nfilter = "FNAM"\nobject = "TGT"\nbands = { "sloan r*" = "r" }',
    )
    assert (exposure.exptime_s, exposure.filter, exposure.object) == (1.5, "r", "M 1")


def test_gain_and_saturation_reach_sextractors_image(tmp_path):
    path = write(tmp_path / "a.fits", header(GAIN=0.0, EGAIN="1.37", SATURATE=9.0))
    exposure = read(path, tmp_path, 'gain = "EGAIN"\nsaturation = 62000\ncards = { OBSERVER = "me" }')
    prepared = prepare_image(exposure, directory=tmp_path / "plain", weights=None)
    assert prepared.image != path
    head = fits.getheader(prepared.image)
    assert (head["GAIN"], head["SATURATE"], head["OBSERVER"]) == (1.37, 62000.0, "me")
    assert np.array_equal(fits.getdata(prepared.image), fits.getdata(path))
    assert Exposure.from_json(exposure.to_json()) == exposure


def test_a_gain_that_is_not_there(tmp_path):
    path = write(tmp_path / "a.fits", header())
    with pytest.raises(BadInput, match="EGAIN is absent"):
        read(path, tmp_path, 'gain = "EGAIN"')


def test_the_rule_counts_in_the_key_of_the_catalogue(tmp_path):
    path = write(tmp_path / "a.fits", header())
    setup = {name: shipped(f"semp/{file}") for name, file in SETUP.items()}

    def key(text: str) -> str:
        return catalogue_key(exposure=read(path, tmp_path, text), **setup, weights=(), version="1")

    plain = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
    assert key("") == catalogue_key(exposure=plain, **setup, weights=(), version="1")
    keys = [key(text) for text in ("gain = 1.5", "gain = 1.6", "saturation = 1.5", 'bands = { "*" = "x" }')]
    assert len({key(""), *keys}) == 5
    assert key("gain = 1.5") == keys[0]


SETUP = {"config": "ssos.sex", "params": "ssos.param", "conv": "gauss_2.5_5x5.conv", "nnw": "default.nnw"}


def test_calibration_frames_and_what_is_ignored(tmp_path):
    (rule,) = rules(
        tmp_path,
        f'[[instrument]]\n{ANY}calibration = {{ FRAME = ["FLAT*", "DARK"] }}\nignore = {{ GRATING = "*" }}\n',
    )
    for cards, said in (
        ({"FRAME": "Flat 3"}, "calibration frame: FRAME is 'Flat 3'"),
        ({"GRATING": "B600"}, "no image of a field: GRATING is 'B600'"),
        ({"FRAME": "darkness"}, ""),
    ):
        layout = read_layout(write(tmp_path / f"{len(said)}.fits", header(**cards)))
        assert set_aside(layout, rule).startswith(said)
        assert bool(set_aside(layout, rule)) == bool(said)


def test_the_first_rule_that_fits_counts(tmp_path):
    first, second = rules(
        tmp_path,
        '[[instrument]]\nname = "a"\nmatch = { INSTRUME = "cam-[12]", GRISM = "*" }\n'
        '[[instrument]]\nname = "b"\nmatch = { INSTRUME = ["x", "CAM*"] }\n',
    )
    both = HeaderMap(rules=(first, second))
    for number, (cards, rule) in enumerate(
        (
            ({"INSTRUME": "Cam-1", "GRISM": "R"}, first),
            ({"INSTRUME": "Cam-1"}, second),
            ({"GRISM": "R"}, None),
        )
    ):
        layout = read_layout(write(tmp_path / f"{number}.fits", header(**{"INSTRUME": "none", **cards})))
        assert rule_for(layout, both) == rule


# ---- pointing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "keys"),
    [
        ({"R": "10 30 00", "D": "-20 15 00"}, "scale = 2"),
        ({"R": "10:30:00.0", "D": "-20:15:00.0"}, "scale = 2"),
        ({"R": 157.5, "D": -20.25}, "scale = 2"),
        ({"R": 10.5, "D": -20.25}, 'scale = 2\nra_unit = "hours"'),
        ({"R": "157.5", "D": "-20.25", "S": 1.0, "BIN": 2}, 'scale = "S"\nbinning = "BIN"'),
        (
            {"R": 157.5, "D": -20.25, "UM": 9.0, "FOC": 928.2},
            'pixel_size = "UM"\nfocal_length = "FOC"',
        ),
    ],
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_start_for_the_astrometry(tmp_path, cards, keys, mirrored):
    """Its centre, scale, parity and position angle, as astropy sees them."""
    path = bare(tmp_path / "a.fits", ROT=-30.0, **cards)
    text = f'[instrument.pointing]\nra = "R"\ndec = "D"\n{keys}\nrotation = "ROT"\nrotation_sign = -1\n'
    text += f"rotation_offset = 10\nmirrored = {str(mirrored).lower()}\n"
    exposure = read(path, tmp_path, text)
    assert (exposure.ra_deg, exposure.dec_deg) == pytest.approx((157.5, -20.25), abs=1e-6)
    assert exposure.chips[0].scale_arcsec == pytest.approx(2.0, rel=1e-4)
    assert "no usable WCS: one is made" in " ".join(exposure.warnings)
    prepared = prepare_image(exposure, directory=tmp_path / "plain", weights=None)
    wcs = WCS(fits.getheader(prepared.image))
    x, y = (exposure.chips[0].width_px - 1) / 2, (exposure.chips[0].height_px - 1) / 2
    centre, up, right = (wcs.pixel_to_world(x + dx, y + dy) for dx, dy in ((0, 0), (0, 5), (5, 0)))
    assert centre.position_angle(up).deg == pytest.approx(40.0, abs=1e-3)
    turned = (centre.position_angle(right).deg - 40.0) % 360.0
    assert turned == pytest.approx(90.0 if mirrored else 270.0, abs=1e-3)


def test_the_equator_of_date(tmp_path):
    now = SkyCoord(157.5, -20.25, unit="deg", frame=FK5(equinox=Time(2024.18, format="jyear")))
    path = bare(tmp_path / "a.fits", R=157.5, D=-20.25, **{"DATE-OBS": "2024-03-05T18:00:00"})
    exposure = read(
        path, tmp_path, '[instrument.pointing]\nra = "R"\ndec = "D"\nscale = 2\nequinox = "date"\n'
    )
    assert now.icrs.separation(SkyCoord(exposure.ra_deg, exposure.dec_deg, unit="deg")).arcsec < 1.0
    assert abs(exposure.ra_deg - 157.5) > 0.2


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({"D": 3.0}, "no pointing: R is absent"),
        ({"R": 0.0, "D": 0.0}, "no pointing: R and D say 0, 0"),
        ({"R": "east", "D": 3.0}, "R=east is no angle"),
        ({"R": 1.0, "D": 3.0}, "S is absent"),
        ({"R": 1.0, "D": 3.0, "S": 0.0}, "a pixel of 0 arcsec"),
    ],
)
def test_no_pointing(tmp_path, cards, said):
    path = bare(tmp_path / "a.fits", **cards)
    with pytest.raises(BadInput, match=re.escape(said)):
        read(path, tmp_path, '[instrument.pointing]\nra = "R"\ndec = "D"\nscale = "S"\n')


def test_a_wcs_that_is_there_is_kept(tmp_path):
    path = write(tmp_path / "a.fits", header(R=1.0, D=2.0))
    plain = read_exposure(path, keywords=HeaderKeywords(), extensions=None)
    mapped = read(path, tmp_path, '[instrument.pointing]\nra = "R"\ndec = "D"\nscale = 2\n')
    assert mapped.chips == plain.chips


def test_neossats_roll_is_that_of_the_files_with_a_wcs(shared_data, tmp_path):
    """The rough WCS of a frame without one is within a few pixels of the WCS that later files have."""
    from tests.test_header_zoo import fits_of_text

    source = shared_data / "headers/opencadc_neossat/neossat2caom2/tests/data"
    text = (source / "NEOS_SCI_2020255152013_clean.fits.header").read_text("latin-1")
    solved, stripped = tmp_path / "solved.fits", tmp_path / "stripped.fits"
    solved.write_bytes(fits_of_text(text))
    stripped.write_bytes(fits_of_text(re.sub(r"^CTYPE", "XTYPE", text, flags=re.MULTILINE)))
    cd = [
        WCS(
            fits.getheader(
                prepare_image(
                    read_exposure(
                        path, keywords=HeaderKeywords(), extensions=None, header_map=load_map("SHIPPED")
                    ),
                    directory=tmp_path / path.stem,
                    weights=None,
                ).image
            )
        ).wcs.cd
        for path in (solved, stripped)
    ]
    assert cd[1] == pytest.approx(cd[0], abs=0.002 * np.abs(cd[0]).max())


# ---- all the way ----------------------------------------------------------------------------------------


def test_frames_without_wcs_in_local_time_give_the_same_movers(tmp_path, tmp_path_factory):
    """A painted field: WCS taken away, pointing a little off, local time of the end, exposure time in minutes."""
    night = shared_sky(tmp_path_factory, **ONE_FIELD)
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in night.paths:
        with fits.open(path) as hdus:
            data, head = hdus[0].data.copy(), hdus[0].header.copy()
        wcs = WCS(head)
        centre = wcs.pixel_to_world((head["NAXIS1"] - 1) / 2, (head["NAXIS2"] - 1) / 2)
        scale = float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix)))) * 3600.0
        head["MNT-RA"] = (centre.ra + (6.0 / 3600.0) * centre.ra.unit).to_string("hourangle", sep=":")
        head["MNT-DEC"] = centre.dec.to_string("deg", sep=":")
        head["PIXSCALE"] = scale
        end = Time(head["DATE-OBS"], scale="utc") + (head["EXPTIME"] - 7 * 3600.0) * u.s
        head["LOC-END"] = end.isot
        head["MINUTES"] = head["EXPTIME"] / 60.0
        for keyword in [k for k in head if re.match(r"CTYPE|CRVAL|CRPIX|CD\d|CDELT|CUNIT|PV\d", k)]:
            del head[keyword]
        del head["DATE-OBS"], head["EXPTIME"]
        head["INSTRUME"] = "mine"
        fits.PrimaryHDU(data, head).writeto(raw / path.name)
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[instrument]]\nname = "mine"\nmatch = { INSTRUME = "mine" }\ntime = "LOC-END"\ntime_zone = "-07:00"\n'
        'time_of = "end"\nexptime = "MINUTES"\nexptime_unit = "min"\n[instrument.pointing]\nra = "MNT-RA"\n'
        'dec = "MNT-DEC"\nscale = "PIXSCALE"\n'
    )
    plain = run(tmp_path / "plain", night.directory, reference=night.refcat).candidates
    out = run(tmp_path / "mapped", raw, reference=night.refcat, HEADER_MAP=mine, EXTRACT_CUTOUTS=True)
    mapped = out.candidates
    assert len(list(out.target.rglob("cutouts/*.fits"))) == len(mapped)
    assert len(plain) == len(mapped) > 0
    merged = plain.merge(mapped, on=["IMAGE_FILENAME", "NUMBER"], suffixes=("", "_mapped"))
    assert len(merged) == len(plain)
    assert np.abs(merged["RA"] - merged["RA_mapped"]).max() * 3600.0 < 0.05
    assert np.abs(merged["DEC"] - merged["DEC_mapped"]).max() * 3600.0 < 0.05
    seconds = (merged["MID_EXPOSURE_MJD"] - merged["MID_EXPOSURE_MJD_mapped"]).abs().max() * 86400.0
    assert seconds < 0.01
