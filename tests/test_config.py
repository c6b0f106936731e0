"""The configuration: seed files load unchanged, every error names its place, all is derived from one table."""

from __future__ import annotations

import math
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import ssosd
from ssosd.config import (
    PARAMETERS,
    BadConfiguration,
    Config,
    ParameterCommand,
    add_parameter_flags,
    load_config,
    render_default_ssos,
    render_docs,
)
from ssosd.config import kinds as k
from ssosd.config.__main__ import generated, main
from ssosd.config.reading import quoted, read_entries
from ssosd.config.table import REPLACED, WITHOUT_EFFECT, sections
from ssosd.config.tables.images import SCAMP_CATALOGUES
from ssosd.errors import Misconfigured
from ssosd.plumbing.resources import shipped

ROOT = Path(ssosd.__file__).resolve().parents[1]

# Names and values of the default configuration of ssos 1.3.5; the comments are ours.
SEED = {
    "SCI_EXTENSION": ("All", None),
    "WEIGHT_IMAGES": ("False", None),
    "DATE-OBS": ("DATE-OBS", "DATE-OBS"),
    "FILTER": ("FILTER", "FILTER"),
    "EXPTIME": ("EXPTIME", "EXPTIME"),
    "SEX_CONFIG": ("semp/ssos.sex", "semp/ssos.sex"),
    "SEX_PARAMS": ("semp/ssos.param", "semp/ssos.param"),
    "SEX_FILTER": ("semp/gauss_2.5_5x5.conv", "semp/gauss_2.5_5x5.conv"),
    "SEX_NNW": ("semp/default.nnw", "semp/default.nnw"),
    "SCAMP_CONFIG": ("semp/ssos.scamp", "semp/ssos.scamp"),
    "REMOVE_REF_SOURCES": ("False", False),
    "SWARP_CONFIG": ("semp/ssos.swarp", "semp/ssos.swarp"),
    "FILTER_DETEC": ("True", True),
    "DETECTIONS": ("1,2,3", (1, 2, 3)),
    "FILTER_PM": ("True", True),
    "PM_LOW": ("0", 0.0),
    "PM_UP": ("2000", 2000.0),  # 300 in the seed, whose linking reaches no further
    "PM_SNR": ("0.5", 0.5),
    "FILTER_PIXEL": ("True", True),
    "DELTA_PIXEL": ("2", 2.0),
    "FILTER_MOTION": ("True", True),
    "IDENTIFY_OUTLIER": ("False", False),
    "OUTLIER_THRESHOLD": ("2", 2.0),
    "R_SQU_M": ("0.95", 0.95),
    "FILTER_TRAIL": ("False", False),
    "RATIO": ("0.25", 0.25),
    "FILTER_BRIGHT_SOURCES": ("True", True),
    "BRIGHT_SOURCES_CAT": ("REFCAT", None),
    "DISTANCE": ("50", 50.0),
    "MAG_LIMITS": ("-99,6", (-99.0, 6.0)),
    "CROSSMATCH_SKYBOT": ("True", True),
    "CROSSMATCH_RADIUS": ("10", 10.0),
    "OBSERVATORY_CODE": ("500", "500"),
    "FOV_DIMENSIONS": ("0x0", (0.0, 0.0)),
    "EXTRACT_CUTOUTS": ("True", True),
    "CUTOUT_SIZE": ("256", 256),
    "FIXED_APER_MAGS": ("False", False),
    "REFERENCE_FILTER": ("gSDSS", ("gSDSS",)),
    "CHECKPLOTS": ("SKYBOT_RESIDUALS,SKYBOT_PM", ("SKYBOT_RESIDUALS", "SKYBOT_PM")),
}


def load(folder: Path, text: str | bytes, **overrides: str) -> Config:
    """Load a configuration with this text from a folder."""
    file = folder / "my.ssos"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(file, overrides=overrides, cwd=folder)


def problems(folder: Path, text: str | bytes, **overrides: str) -> list[str]:
    """The problems of a configuration with this text."""
    with pytest.raises(BadConfiguration) as caught:
        load(folder, text, **overrides)
    assert isinstance(caught.value, Misconfigured)
    assert all(problem in str(caught.value) for problem in caught.value.problems[:20])
    return list(caught.value.problems)


def one_problem(folder: Path, text: str | bytes, **overrides: str) -> str:
    """The only problem of a configuration with this text."""
    found = problems(folder, text, **overrides)
    assert len(found) == 1, found
    return found[0]


# --- what loads


def expected(name: str, value: Any) -> Any:
    return shipped(value) if name.startswith(("SEX_", "SCAMP_", "SWARP_")) else value


def test_the_seeds_default_configuration_loads_unchanged(tmp_path: Path) -> None:
    lines = ["# ------", "# Image Parameters", ""]
    lines += [f'{name:<22} {text:<28}# {name} as a limit / "/h' for name, (text, _) in SEED.items()]
    config = load(tmp_path, "\n".join(lines))
    assert {name: config[name] for name in SEED} == {n: expected(n, v) for n, (_, v) in SEED.items()}
    assert config.notes == ()


def test_the_defaults_are_the_seeds(tmp_path: Path) -> None:
    config = load_config(None, overrides={}, cwd=tmp_path)
    assert config.source is None
    assert {name: config[name] for name in SEED} == {n: expected(n, v) for n, (_, v) in SEED.items()}
    assert {name: type(config[name]) for name in SEED} == {
        n: type(expected(n, v)) for n, (_, v) in SEED.items()
    }


def test_an_older_seed_file_with_ra_dec_object_loads_with_notes(tmp_path: Path) -> None:
    config = load(
        tmp_path, "RA CRVAL1\nDEC\tCRVAL2\nOBJECT targname\nDETECTIONS 123\nFOV_DIMENSIONS 1.5x1.5\n"
    )
    assert config["OBJECT"] == "TARGNAME"
    assert config["DETECTIONS"] == (1, 2, 3)
    assert config["FOV_DIMENSIONS"] == (1.5, 1.5)
    assert len(config.notes) == 2
    assert config.notes[0].startswith(f"{tmp_path / 'my.ssos'}, line 1: RA has no effect")
    assert "line 2: DEC has no effect" in config.notes[1]
    assert "RA" not in config


def test_the_new_parameters_have_their_defaults(tmp_path: Path) -> None:
    config = load_config(None, overrides={}, cwd=tmp_path)
    new = {
        "OBJECT": "OBJECT",
        "ASTREF_CATALOG": "REFCAT",
        "CROSSID_RADIUS": None,
        "FIELD_RADIUS": 0.25,
        "SEQUENCE_GAP": 0.0,
        "MIN_EXPOSURES": 3,
        "SITE_LON": None,
        "SITE_LAT": None,
        "SITE_ALT": None,
        "SKYBOT_URL": "https://ssp.imcce.fr/webservices/skybot/api/conesearch.php",
        "SKYBOT_TIME_LIMIT": 30.0,
        "SEX_TIME_LIMIT": 600.0,
        "SCAMP_TIME_LIMIT": 1800.0,
        "SWARP_TIME_LIMIT": 120.0,
        "WORKERS": 0,
    }
    assert {name: config[name] for name in new} == new


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("SCI_EXTENSION all", None),
        ("SCI_EXTENSION 0", (0,)),
        ("SCI_EXTENSION 3, 1 ,1", (1, 3)),
        ("DETECTIONS 1", (1,)),
        ("DETECTIONS 15", (1, 5)),
        ("DETECTIONS 12,", (12,)),
        ("DETECTIONS 10", (10,)),
        ("DETECTIONS 3,11", (3, 11)),
        ("DATE-OBS DATE-OBS+UTC-OBS", "DATE-OBS+UTC-OBS"),
        ("DATE-OBS mjd_obs", "MJD_OBS"),
        ('EXPTIME "HIERARCH ESO DET WIN1 DIT1"', "HIERARCH ESO DET WIN1 DIT1"),
        ("FILTER ESO.INS.FILT1", "ESO.INS.FILT1"),
        ("PM_UP 3e2", 300.0),
        ("PM_UP\t 300.0\t# fast", 300.0),
        ("  PM_UP 300", 300.0),
        ("PM_UP 300\r", 300.0),
        ("PM_UP 300 # caf\u00e9 \u00b5m", 300.0),
        ("CUTOUT_SIZE 256.0", 256),
        ("FILTER_PM false", False),
        ("MAG_LIMITS -99, 6", (-99.0, 6.0)),
        ("FOV_DIMENSIONS 1X2.5", (1.0, 2.5)),
        ("CHECKPLOTS False", ()),
        ("CHECKPLOTS   # none", ()),
        ("CHECKPLOTS skybot_pm", ("SKYBOT_PM",)),
        ("CHECKPLOTS SKYBOT_RESIUDALS,SKYBOT_PM", ("SKYBOT_RESIDUALS", "SKYBOT_PM")),
        ("REFERENCE_FILTER 'Bessel R','Bessel V'", None),
        ('REFERENCE_FILTER "Bessel R,Bessel V"', ("Bessel R", "Bessel V")),
        ("ASTREF_CATALOG", None),
        ("ASTREF_CATALOG config", None),
        ("ASTREF_CATALOG file", "FILE"),
        ("ASTREF_CATALOG Gaia-EDR3", "GAIA-EDR3"),
        ("CROSSID_RADIUS # as in semp/ssos.scamp", None),
        ("CROSSID_RADIUS 25", 25.0),
        ("WEIGHT_IMAGES false", None),
        ("OBSERVATORY_CODE C51", "C51"),
    ],
)
def test_values(line: str, value: Any, tmp_path: Path) -> None:
    name = line.split()[0]
    if line.startswith("REFERENCE_FILTER '"):
        assert load(tmp_path, line)[name] == (
            "Bessel R",
        )  # the value ends with its quote; the rest is a note
        return
    config = load(tmp_path, line)
    assert config[name] == value
    assert type(config[name]) is type(value)


def test_words_behind_the_value_are_not_read_as_in_the_seed_and_noted(tmp_path: Path) -> None:
    config = load(tmp_path, "\nPM_UP 60 arcsec per hour # rate\n")
    assert config["PM_UP"] == 60.0
    assert config.notes == (
        f'{tmp_path / "my.ssos"}, line 2: PM_UP: not read: "arcsec per hour" (# begins a comment)',
    )


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfPM_UP 60\n")["PM_UP"] == 60.0


# --- precedence


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    (tmp_path / "default.ssos").write_text("PM_UP 60\nPM_LOW 5\n")
    (tmp_path / "other.ssos").write_text("PM_UP 70\n")
    none = load_config(None, overrides={}, cwd=tmp_path / "empty")
    assert (none["PM_UP"], none.origin("PM_UP"), none.source) == (2000.0, "built-in default", None)
    found = load_config(None, overrides={}, cwd=tmp_path)
    assert (found["PM_UP"], found["PM_LOW"], found.source) == (60.0, 5.0, tmp_path / "default.ssos")
    assert found.origin("PM_LOW") == f"{tmp_path / 'default.ssos'}, line 2"
    named = load_config(Path("other.ssos"), overrides={}, cwd=tmp_path)
    assert (named["PM_UP"], named["PM_LOW"]) == (70.0, 0.0)
    flagged = load_config(Path("other.ssos"), overrides={"PM_UP": "80"}, cwd=tmp_path)
    assert (flagged["PM_UP"], flagged.origin("PM_UP")) == (80.0, "--PM_UP")


# --- paths


def test_relative_paths_are_found_beside_the_configuration_then_in_the_package(tmp_path: Path) -> None:
    folder, cwd = tmp_path / "my conf", tmp_path / "work"
    (folder / "semp").mkdir(parents=True)
    (cwd / "semp").mkdir(parents=True)
    for place in (folder, cwd):
        (place / "semp" / "ssos.sex").write_text("")
    (folder / "a.ssos").write_text("SEX_CONFIG semp/ssos.sex\n")
    config = load_config(folder / "a.ssos", overrides={}, cwd=cwd)
    assert config["SEX_CONFIG"] == folder / "semp" / "ssos.sex"
    assert config["SCAMP_CONFIG"] == shipped("semp/ssos.scamp")
    # a seed user's own file in the working directory is not passed over in silence
    assert [n for n in config.notes if str(cwd / "semp" / "ssos.sex") in n]
    # a flag means the folder one stands in
    flagged = load_config(folder / "a.ssos", overrides={"SEX_CONFIG": "semp/ssos.sex"}, cwd=cwd)
    assert flagged["SEX_CONFIG"] == cwd / "semp" / "ssos.sex"
    (cwd / "semp" / "ssos.sex").unlink()
    beside = load_config(folder / "a.ssos", overrides={"SEX_CONFIG": "semp/ssos.sex"}, cwd=cwd)
    assert beside["SEX_CONFIG"] == folder / "semp" / "ssos.sex"
    (folder / "semp" / "ssos.sex").unlink()
    assert load_config(folder / "a.ssos", overrides={}, cwd=cwd)["SEX_CONFIG"] == shipped("semp/ssos.sex")


def test_a_path_found_nowhere_names_the_places(tmp_path: Path) -> None:
    text = "# mine\nSEX_CONFIG semp/none.sex\nWEIGHT_IMAGES /nowhere/weights\nBRIGHT_SOURCES_CAT hyg.csv\n"
    found = problems(tmp_path, text)
    package = Path(ssosd.__file__).parent
    place = f"{tmp_path / 'my.ssos'}, line"
    assert f"{place} 3: WEIGHT_IMAGES: no such folder: /nowhere/weights" in found
    assert (
        f"{place} 2: SEX_CONFIG: no such file: {tmp_path}/semp/none.sex and semp/none.sex in the package at {package}"
        in found
    )
    assert any(problem.startswith(f"{place} 4: BRIGHT_SOURCES_CAT: no such file") for problem in found)
    assert len(found) == 3
    config = load_config(tmp_path / "my.ssos", overrides={}, cwd=tmp_path, files_must_exist=False)
    assert list(config.problems()) == found
    assert config["SEX_CONFIG"] == tmp_path / "semp" / "none.sex"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert "not a file" in one_problem(tmp_path, f"SEX_CONFIG {tmp_path}\n")
    assert "not a folder" in one_problem(tmp_path, f"WEIGHT_IMAGES {tmp_path / 'my.ssos'}\n")
    assert one_problem(tmp_path, "", SEX_CONFIG="/none").startswith("--SEX_CONFIG: no such file: /none")


def test_variables_and_home_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "h\u00f6me at last"
    folder.mkdir()
    for name in ("a.sex", "b.sex"):
        (folder / name).write_text("")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SETUP", str(folder))
    text = "SEX_CONFIG $HOME/a.sex\nSEX_PARAMS ${SETUP}/b.sex\nSEX_FILTER ~/a.sex\n"
    config = load(tmp_path, text)
    assert (config["SEX_CONFIG"], config["SEX_PARAMS"]) == (folder / "a.sex", folder / "b.sex")
    assert config["SEX_FILTER"] == folder / "a.sex"
    assert load(tmp_path, config.as_text()) == config  # spaces, and a folder not named in ASCII
    assert "found $NOSUCH, allowed is a variable" in one_problem(tmp_path, "SEX_CONFIG $NOSUCH/a.sex")
    monkeypatch.delenv("HOME")
    assert load(tmp_path, "WEIGHT_IMAGES $HOME")["WEIGHT_IMAGES"] == Path.home()


def test_astref_catalog_is_a_known_name_or_a_path(tmp_path: Path) -> None:
    (tmp_path / "ref.cat").write_text("")
    assert load(tmp_path, "ASTREF_CATALOG ref.cat")["ASTREF_CATALOG"] == tmp_path / "ref.cat"
    assert "the nearest is GAIA-EDR3" in one_problem(tmp_path, "ASTREF_CATALOG GAIA-EDR4")
    assert "no such file" in one_problem(tmp_path, "ASTREF_CATALOG ./GAIA-EDR3")


@pytest.mark.binaries
def test_the_catalogue_names_are_those_of_the_installed_scamp() -> None:
    try:
        done = subprocess.run(["scamp", "-dd"], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("scamp is not installed")
    block = re.search(r"^ASTREF_CATALOG.*?\n(?=\w)", done.stdout, re.DOTALL | re.MULTILINE)
    assert block is not None
    listed = set(re.findall(r"[A-Z0-9][A-Z0-9.-]+", re.sub(r"(?m)^[^#]*#|\bor\b", " ", block[0])))
    assert set(SCAMP_CATALOGUES) == listed - {"NONE", "FILE"}


# --- errors


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PM_UPP 300", "PM_UPP: unknown parameter, the nearest known is PM_UP"),
        ("pm_up 300", "pm_up: unknown parameter, the nearest known is PM_UP"),
        ("HYGCAT x.csv", "HYGCAT: unknown parameter, write BRIGHT_SOURCES_CAT instead"),
        ("PM_UP fast", 'PM_UP: found "fast", allowed is a number >= 0 (arcsec/h)'),
        (
            "PM_UP 300#comment",
            'PM_UP: found "300#comment", allowed is a number >= 0 (arcsec/h); a blank goes',
        ),
        ("PM_UP 1_0", 'PM_UP: found "1_0", allowed is'),
        ("PM_UP nan", 'PM_UP: found "nan", allowed is'),
        ("PM_UP 1e999", 'PM_UP: found "1e999" (too large), allowed is'),
        ("PM_UP -1", 'PM_UP: found "-1" (out of bounds), allowed is a number >= 0'),
        ("PM_UP", "PM_UP: no value, allowed is a number >= 0 (arcsec/h)"),
        ("PM_UP  # 300", "PM_UP: no value, allowed is"),
        ("R_SQU_M 1.01", "(out of bounds), allowed is a number >= 0 and <= 1"),
        ("OUTLIER_THRESHOLD 0", "(out of bounds), allowed is a number > 0 (MAD)"),
        ("CUTOUT_SIZE 2.5", "(not whole), allowed is a whole number >= 1 and <= 2000 (pixel)"),
        ("CUTOUT_SIZE 3000", "(out of bounds), allowed is a whole number >= 1 and <= 2000 (pixel)"),
        ("FILTER_PM maybe", 'FILTER_PM: found "maybe", allowed is True | False'),
        ("FILTER_PM", "FILTER_PM: no value, allowed is True | False"),
        ("DETECTIONS 0,1", "(out of bounds), allowed is whole numbers >= 1 separated by commas"),
        ("DETECTIONS 1,,2", "(an empty place between commas), allowed is"),
        ("DETECTIONS 1,two", 'DETECTIONS: found "1,two", allowed is'),
        ("SCI_EXTENSION -1", 'SCI_EXTENSION: found "-1", allowed is All | whole numbers >= 0'),
        ("MAG_LIMITS 6,-99", "(low is above high), allowed is two numbers"),
        ("MAG_LIMITS 6", 'MAG_LIMITS: found "6", allowed is two numbers "low,high" with low <= high (mag)'),
        ("FOV_DIMENSIONS 0x1", "(one side is 0), allowed is"),
        ("FOV_DIMENSIONS 1x-1", "(out of bounds), allowed is"),
        ("CHECKPLOTS SKYBOT_PN", "(the nearest is SKYBOT_PM), allowed is False | one or more of"),
        ("REFERENCE_FILTER", "REFERENCE_FILTER: no value, allowed is words separated by commas"),
        ("CROSSID_RADIUS 0", "(out of bounds), allowed is CONFIG | a number > 0 and <= 600 (arcsec)"),
        ("CROSSID_RADIUS 3600", "(out of bounds), allowed is CONFIG | a number > 0 and <= 600 (arcsec)"),
        ("SITE_LAT 91", "(out of bounds), allowed is CODE | a number >= -90 and <= 90 (deg)"),
        ("OBSERVATORY_CODE 50", 'OBSERVATORY_CODE: found "50", allowed is an IAU observatory code'),
        ("SKYBOT_URL ftp://x", "allowed is an address that begins with http"),
        ("SKYBOT_URL http://[::1/", 'SKYBOT_URL: found "http://[::1/" (no such host or port), allowed is an'),
        ("REFCAT_URL http://:80/", 'REFCAT_URL: found "http://:80/" (no such host or port), allowed is an'),
        ("ORBITS_URL http://a:b/", "(no such host or port), allowed is an address that begins with http"),
        ("COMETS_URL http://a:70000", "(no such host or port), allowed is an address that begins with http"),
        ("DATE-OBS A+B+C", 'DATE-OBS: found "A+B+C", allowed is a FITS header keyword, or a date and a time'),
        ("EXPTIME A+B", 'EXPTIME: found "A+B", allowed is a FITS header keyword'),
        ("SEX_CONFIG", "SEX_CONFIG: no value, allowed is a path of an existing file"),
        ('SEX_CONFIG "a b', 'SEX_CONFIG: found ""a b", allowed is a value with the quote closed'),
        ("PM_UP 3\u00b5", 'PM_UP: found "3\\xb5", allowed is plain ASCII'),
        ("PM\u00a0UP 3", '"PM\\xa0UP": not plain ASCII'),
        ("WORKERS -1", "allowed is a whole number >= 0 and <= 1024"),
    ],
)
def test_an_error_names_file_line_found_and_allowed(line: str, said: str, tmp_path: Path) -> None:
    problem = one_problem(tmp_path, f"# first\n\n{line}\n")
    assert problem.startswith(f"{tmp_path / 'my.ssos'}, line 3: ")
    assert said in problem
    name, _, value = line.partition(" ")
    if name in PARAMETERS and value and "#" not in value and '"' not in value and value.isascii():
        assert one_problem(tmp_path, "", **{name: value}) == problem.replace(
            f"{tmp_path / 'my.ssos'}, line 3: {name}", f"--{name}"
        )


def test_a_name_given_twice_is_an_error_with_both_lines(tmp_path: Path) -> None:
    problem = one_problem(tmp_path, "PM_UP 1\n\nPM_UP 2\n")
    assert problem == f"{tmp_path / 'my.ssos'}, line 3: PM_UP: found again, first in line 1; allowed is once"


def test_an_unknown_flag_is_an_error(tmp_path: Path) -> None:
    assert one_problem(tmp_path, "", PM_UPP="1") == (
        "--PM_UPP: unknown parameter, the nearest known is PM_UP"
    )


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "PM_UPP 1\nPM_UP x\nSEX_CONFIG none.sex\n", R_SQU_M="2")
    assert [re.sub(r".*(line \d|--\w+).*", r"\1", p) for p in found] == [
        "line 1",
        "line 2",
        "--R_SQU_M",
        "line 3",
    ]


def test_values_at_odds(tmp_path: Path) -> None:
    problem = one_problem(tmp_path, "PM_LOW 20\nPM_UP 10\n")
    assert problem.endswith("line 1: PM_LOW: found 20, allowed is below PM_UP, which is 10")
    same = "PM_LOW 50\nPM_UP 50\n"
    problem = one_problem(tmp_path, same)
    assert problem.endswith("line 1: PM_LOW: found 50, allowed is below PM_UP, which is 50")
    assert load(tmp_path, f"{same}LINKER SCAMP\n")["PM_LOW"] == 50.0
    assert "allowed is at most PM_UP, which is 10" in one_problem(
        tmp_path, "PM_LOW 20\nPM_UP 10\nLINKER SCAMP\n"
    )
    (problem,) = problems(tmp_path, "PM_UP 0\n")
    assert problem == "PM_LOW (built-in default): found 0, allowed is below PM_UP, which is 0"
    found = problems(tmp_path, "SITE_LON 10\n", SITE_LAT="50")
    assert found == [
        "SITE_ALT (built-in default): found CODE, allowed is a number as SITE_LON is given: all three or none"
    ]
    site = load(tmp_path, "SITE_LON -70.8\nSITE_LAT -30.2\nSITE_ALT 2200\n")
    assert (site["SITE_LON"], site["SITE_LAT"], site["SITE_ALT"]) == (-70.8, -30.2, 2200.0)


def test_what_is_no_configuration_is_one_clear_error(tmp_path: Path) -> None:
    def error(path: str) -> str:
        with pytest.raises(Misconfigured) as caught:
            load_config(Path(path), overrides={}, cwd=tmp_path)
        return str(caught.value)

    assert error("none.ssos").startswith(f"{tmp_path / 'none.ssos'}: No such file")
    assert "ssosd init" in error("none.ssos")
    assert f"{tmp_path}: Is a directory" in error(".")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2_000_000)
    assert "not a configuration" in error("large")
    (tmp_path / "image.fits").write_bytes(b"SIMPLE  =                    T\n" * 500)
    message = error("image.fits")
    assert "SIMPLE: unknown parameter" in message
    assert "more" in message
    assert len(message.splitlines()) < 30
    (tmp_path / "default.ssos").symlink_to("gone")
    with pytest.raises(Misconfigured, match="No such file"):
        load_config(None, overrides={}, cwd=tmp_path)


@given(
    st.binary(max_size=200) | st.lists(st.sampled_from([*PARAMETERS, " ", "\t", "\n", "#", '"', ",", "1"]))
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_entries_or_problems_with_their_line(data: bytes | list[str]) -> None:
    raw = data if isinstance(data, bytes) else "".join(data).encode()
    entries, wrong = read_entries(raw, file="f")
    lines = raw.removeprefix(b"\xef\xbb\xbf").splitlines()
    meant = [
        n for n, line in enumerate(lines, 1) if line.strip(b" \t\f\v") and line.strip(b" \t\f\v")[:1] != b"#"
    ]
    found = [int(re.findall(r"line (\d+)", text)[0]) for text in [*(e.origin for e in entries), *wrong]]
    assert sorted(found) == meant


# --- the values of a run


def test_a_configuration_is_read_only_and_travels(tmp_path: Path) -> None:
    config = load(tmp_path, "PM_UP 60\nRA RA\n")
    with pytest.raises(AttributeError, match="read-only"):
        config.notes = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        config["PM_UP"] = 3  # type: ignore[index]
    with pytest.raises(KeyError, match="PM_UPP: unknown parameter, the nearest known is PM_UP"):
        config["PM_UPP"]
    there = pickle.loads(pickle.dumps(config))
    assert there == config
    assert (there.source, there.notes, there.origin("PM_UP")) == (
        config.source,
        config.notes,
        config.origin("PM_UP"),
    )
    error = pickle.loads(pickle.dumps(BadConfiguration(["a", "b"], next_step="c")))
    assert (error.problems, str(error)) == (("a", "b"), str(BadConfiguration(["a", "b"], next_step="c")))


def test_replace_checks_and_leaves_the_original(tmp_path: Path) -> None:
    config = load_config(None, overrides={}, cwd=tmp_path)
    other = config.replace(
        {"DATE-OBS": "MJD-OBS"}, PM_UP=60, DETECTIONS=(12,), FILTER_PM=False, SITE_LON=None
    )
    assert (other["DATE-OBS"], other["PM_UP"], other["DETECTIONS"]) == ("MJD-OBS", 60.0, (12,))
    assert other["FILTER_PM"] is False
    assert (config["DATE-OBS"], config["PM_UP"]) == ("DATE-OBS", 2000.0)
    assert other.replace(PM_UP="70")["PM_UP"] == 70.0
    assert other.replace(SEX_CONFIG=tmp_path / "x")["SEX_CONFIG"] == tmp_path / "x"
    for wrong in ({"PM_UP": -1}, {"PM_UPP": 1}, {"PM_UP": None}, {"PM_LOW": 4000}, {"SEX_CONFIG": Path("x")},
                  {"MAG_LIMITS": 3}, {"FILTER_PM": 1}, {"CUTOUT_SIZE": 2.5}, {"SITE_LON": 3}):  # fmt: skip
        with pytest.raises(BadConfiguration, match=next(iter(wrong)).partition("_L")[0]):
            config.replace(wrong)


def test_as_text_loads_as_the_same_values(tmp_path: Path) -> None:
    config = load(
        tmp_path, 'DETECTIONS 12,\nREFERENCE_FILTER "SDSS g,r"\nCHECKPLOTS False\nCROSSID_RADIUS 25\n'
    )
    text = config.as_text()
    assert [line.split()[0] for line in text.splitlines()] == list(PARAMETERS)
    assert "DETECTIONS             12,\n" in text
    assert load(tmp_path, text) == config


def test_digest_depends_on_values_and_file_contents_only(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        (folder / "semp").mkdir(parents=True)
        (folder / "semp" / "ssos.sex").write_text("DETECT_THRESH 1.5\n")
    one = load(first, "# one\nPM_UP 60\nSEX_CONFIG semp/ssos.sex")
    two = load(second, "SEX_CONFIG semp/ssos.sex\nPM_UP 60.0 # same\n")
    names = ["PM_UP", "SEX_CONFIG"]
    assert one.digest(names) == two.digest(reversed([*names, "PM_UP"]))
    assert re.fullmatch("[0-9a-f]{32}", one.digest(names))
    assert one.digest(names) != one.replace(PM_UP=61).digest(names)
    assert one.digest(["PM_UP"]) == one.replace(PM_LOW=1).digest(["PM_UP"])
    assert one.digest(["PM_LOW"]) != one.digest(["SEQUENCE_GAP"])
    (second / "semp" / "ssos.sex").write_text("DETECT_THRESH 1.0\n")
    assert one.digest(names) != two.digest(names)
    (second / "semp" / "ssos.sex").unlink()
    with pytest.raises(Misconfigured, match="line 1: SEX_CONFIG"):
        two.digest(names)
    with pytest.raises(KeyError, match="nearest"):
        one.digest(["PM_UPP"])


# --- the table, and what is derived from it


def any_value(kind: k.Kind) -> st.SearchStrategy[Any]:
    """Values that a kind allows."""
    word = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=",\"'"), min_size=1)
    if isinstance(kind, k.Switch):
        return st.booleans()
    if isinstance(kind, k.Number):
        low, high = max(kind.low, -1e300), min(kind.high, 1e300)
        number = (
            st.integers(int(low), min(int(high), 10**9))
            if kind.whole
            else st.floats(low, high, exclude_min=kind.above).map(lambda x: x + 0.0)
        )
        return number | st.none() if kind.unset else number
    if isinstance(kind, k.WholeNumbers):
        numbers = st.sets(st.integers(kind.low, 200), min_size=1).map(lambda s: tuple(sorted(s)))
        return numbers | st.none() if kind.everything else numbers
    if isinstance(kind, k.Pair):
        side = st.floats(max(kind.low, -1e6), min(kind.high, 1e6))
        if kind.interval:
            return st.tuples(side, side).map(lambda pair: (min(pair), max(pair)))
        return st.tuples(side, side).filter(lambda pair: (pair[0] == 0) == (pair[1] == 0))
    if isinstance(kind, k.Words):
        if kind.choices:
            return st.permutations(kind.choices).flatmap(
                lambda order: st.integers(0, len(order)).map(lambda n: tuple(order[:n]))
            )
        free = word.filter(lambda w: w.upper() != kind.nothing.upper())
        return st.lists(free, min_size=0 if kind.nothing else 1, unique=True).map(tuple)
    if isinstance(kind, k.FileName):
        part = st.text(
            st.characters(exclude_characters="/\0$\"'\n\r", exclude_categories=["Cs", "Z", "C"]), min_size=1
        )
        paths = st.lists(part.map(lambda p: f"my {p}"), min_size=1, max_size=3).map(lambda p: Path("/", *p))
        return st.one_of(
            paths, *([st.none()] if kind.unset else []), st.sampled_from([Path("/x"), *kind.words])
        )
    assert isinstance(kind, k.Pattern)
    written = st.from_regex(re.compile(kind.expression, re.ASCII), fullmatch=True).map(
        lambda text: text.upper() if kind.upper else text
    )
    return written.filter(lambda text: is_possible(kind, text)) if isinstance(kind, k.Address) else written


def is_possible(kind: k.Kind, text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_value_survives_being_written_and_read(name: str) -> None:
    parameter = PARAMETERS[name]

    @given(
        any_value(parameter.kind),
        st.sampled_from(["", " ", "\t"]),
        st.sampled_from(["", " # a \u00b5", "\t#\"'"]),
    )
    @settings(max_examples=30, deadline=None)
    def survives(value: Any, before: str, after: str) -> None:
        text = parameter.render(value)
        assert parameter.parse(text) == value
        assert type(parameter.parse(text)) is type(value)
        entries, wrong = read_entries(f"{before}{name} \t{quoted(text)}{after}\r\n".encode(), file="f")
        assert wrong == []
        assert [(e.name, e.text, e.ignored) for e in entries] == [(name, text, "")]

    survives()


@pytest.mark.parametrize("name", [n for n, p in PARAMETERS.items() if isinstance(p.kind, k.Number)])
def test_bounds_are_where_the_table_says(name: str) -> None:
    parameter = PARAMETERS[name]
    kind = parameter.kind
    assert isinstance(kind, k.Number)
    step = 1 if kind.whole else 1e-9
    if math.isfinite(kind.low):
        assert parameter.parse(k.write_number(kind.low + step)) is not None
        with pytest.raises(ValueError, match=re.escape(parameter.allowed)):
            parameter.parse(
                k.write_number(kind.low if kind.above else kind.low - max(step, abs(kind.low) * 1e-9))
            )
    if math.isfinite(kind.high):
        assert parameter.parse(k.write_number(kind.high)) == kind.high
        with pytest.raises(ValueError, match="out of bounds"):
            parameter.parse(k.write_number(kind.high + max(step, kind.high * 1e-9)))


def test_the_table_is_complete_and_plain() -> None:
    for name, parameter in PARAMETERS.items():
        assert parameter.name == name
        assert name == name.upper()
        parameter.parse(parameter.default)
        assert parameter.render(parameter.parse(parameter.default)) == parameter.default
        for text in (parameter.help, parameter.doc, parameter.unit, parameter.allowed, parameter.default):
            assert text.isascii()
        assert 0 < len(parameter.help) <= 80
        assert parameter.doc.endswith(".")
        assert parameter.stage in {
            "ingest",
            "linker",
            "filters",
            "identify",
            "analysis",
            "reports",
            "pipeline",
            "daemon",
            "astromatic",
            "web",
        }
    assert [p for entries in sections().values() for p in entries] == list(PARAMETERS.values())
    assert not set(PARAMETERS) & (set(WITHOUT_EFFECT) | set(REPLACED))
    assert set(REPLACED.values()) <= set(PARAMETERS)


def test_default_ssos_is_the_table(tmp_path: Path) -> None:
    text = render_default_ssos()
    assert shipped("default.ssos").read_text(encoding="ascii") == text, "run python -m ssosd.config"
    built_in = load_config(None, overrides={}, cwd=tmp_path)
    assert load(tmp_path, text) == built_in
    entries, _ = read_entries(text.encode("ascii"), file="f")
    assert [(e.name, e.text, e.ignored) for e in entries] == [
        (n, p.default, "") for n, p in PARAMETERS.items()
    ]
    assert all(parameter.help in text for parameter in PARAMETERS.values())


def test_every_parameter_is_documented() -> None:
    docs = ROOT / "docs" / "parameters.md"
    if not docs.is_file():
        pytest.skip("not a checkout")
    text = docs.read_text(encoding="utf-8")
    assert text == render_docs(), "run python -m ssosd.config"
    for name, parameter in PARAMETERS.items():
        body = text.partition(f"\n### {name}\n")[2].partition("\n#")[0]
        for part in (parameter.doc, f"`{parameter.default}`", parameter.kind.allowed, parameter.unit):
            assert part in body
    assert all(f"`{name}`" in text for name in (*WITHOUT_EFFECT, *REPLACED))


def test_regenerating_writes_both_files_and_only_in_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not a checkout"):
        main(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    main(tmp_path)
    written = generated(tmp_path)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in written) == [
        "docs/parameters.md",
        "ssosd/default.ssos",
    ]
    assert all(path.read_text(encoding="utf-8") == text for path, text in written.items())


# --- flags


@click.command(cls=ParameterCommand)
@click.option("-c", "--config", "config", help="Configuration file.")
@click.option("-t", "--target", "target", help="Output folder.")
@click.argument("paths", nargs=-1)
@add_parameter_flags
def command(
    config: str | None, target: str | None, paths: tuple[str, ...], overrides: dict[str, str]
) -> None:
    """Show what arrives."""
    click.echo(repr((config, target, paths, overrides)))


def arrives(*arguments: str) -> Any:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return eval(result.output)


def test_flags_arrive_as_overrides() -> None:
    assert arrives() == (None, None, (), {})
    assert arrives("--PM_UP", "300", "--MAG_LIMITS", "-99,6", "--DATE-OBS=DATE-OBS+UT", "x.fits") == (
        None, None, ("x.fits",), {"PM_UP": "300", "MAG_LIMITS": "-99,6", "DATE-OBS": "DATE-OBS+UT"},
    )  # fmt: skip
    assert arrives("--ASTREF_CATALOG", "")[3] == {"ASTREF_CATALOG": ""}


def test_the_seeds_single_dash_works_beside_c_and_t() -> None:
    assert arrives("-c", "a.ssos", "-PM_UP", "300", "-tout", "x", "-MAG_LIMITS", "-99,6", "-RA", "CRVAL1") == (
        "a.ssos", "out", ("x",), {"PM_UP": "300", "MAG_LIMITS": "-99,6", "RA": "CRVAL1"},
    )  # fmt: skip


@pytest.mark.parametrize("name", [*PARAMETERS, *WITHOUT_EFFECT])
@pytest.mark.parametrize("dash", ["-", "--"])
def test_every_parameter_has_a_flag(name: str, dash: str) -> None:
    assert arrives(dash + name, "7")[3] == {name: "7"}


def test_flags_override_through_load_config(tmp_path: Path) -> None:
    overrides = {name: parameter.default for name, parameter in PARAMETERS.items()} | {
        "PM_UP": "60",
        "RA": "X",
    }
    config = load_config(None, overrides=overrides, cwd=tmp_path)
    assert config == load_config(None, overrides={"PM_UP": "60"}, cwd=tmp_path)
    assert config.notes == ("--RA has no effect: the centre of the image comes from its WCS",)


def test_a_flag_given_twice_is_an_error() -> None:
    with pytest.raises(Misconfigured, match="--PM_UP: found 2 times, allowed is once"):
        CliRunner().invoke(command, ["--PM_UP", "1", "-PM_UP", "2"], catch_exceptions=False)


def test_an_unknown_flag_names_the_nearest() -> None:
    result = CliRunner().invoke(command, ["--PM_UPP", "1"])
    assert result.exit_code == 2
    assert "--PM_UP" in result.output


def test_help_shows_every_flag_under_its_section() -> None:
    text = CliRunner().invoke(command, ["--help"], terminal_width=200, max_content_width=200).output
    blocks = dict(re.findall(r"^(\S.*):\n((?:  .*\n)+)", text, re.MULTILINE))
    assert "--config" in blocks["Options"]
    for title, parameters in sections().items():
        assert re.findall(r"^  --(\S+)", blocks[title], re.MULTILINE) == [p.name for p in parameters]
        for parameter in parameters:
            assert f"{parameter.comment} (default {parameter.default})" in blocks[title]
    assert "--RA " not in text


def test_importing_the_configuration_stays_light() -> None:
    script = (
        "import sys, ssosd.config, ssosd.setup.semp_files;"
        "print([m for m in ('numpy','pandas','astropy','matplotlib','scipy','rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
