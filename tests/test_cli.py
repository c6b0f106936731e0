"""The command line as a person and a script meet it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ssosd
from ssosd.analysis.painter.night import PaintedNight
from ssosd.cli import main
from ssosd.config import PARAMETERS
from ssosd.store import STORE_NAME, Store
from tests.replaying import ONE_FIELD, QUICK
from tests.sky import shared_sky

VERBS = sorted(main.commands)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    return shared_sky(tmp_path_factory, **ONE_FIELD)


def invoke(*arguments: object, cwd: Path) -> Result:
    with chdir(cwd):
        return CliRunner().invoke(main, [str(a) for a in arguments], env={"COLUMNS": "100"})


def flags(**parameters: object) -> list[str]:
    return [part for name, value in parameters.items() for part in (f"--{name}", str(value))]


# ---- help and version -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_each_verb(verb: str, flag: str, tmp_path: Path) -> None:
    result = invoke(verb, flag, cwd=tmp_path)
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: main {verb}")
    assert len(result.output.splitlines()) > 5
    assert not list(tmp_path.iterdir())


def test_help_names_every_verb(tmp_path: Path) -> None:
    result = invoke("--help", cwd=tmp_path)
    assert result.exit_code == 0
    assert all(re.search(rf"^  {verb} ", result.output, re.MULTILINE) for verb in VERBS)
    assert "..." not in result.output.partition("Commands:")[2]  # whole sentences
    assert max(len(line) for line in result.output.splitlines()) <= 80
    assert invoke(cwd=tmp_path).output == result.output


@pytest.mark.parametrize("verb", ["replay", "doctor"])
def test_help_names_every_parameter(verb: str, tmp_path: Path) -> None:
    """The working verbs take each parameter as a flag of its name, under the headings of the documentation."""
    text = invoke(verb, "--help", cwd=tmp_path).output
    missing = [name for name in PARAMETERS if not re.search(rf"--{re.escape(name)}\b", text)]
    assert not missing


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_version(flag: str, tmp_path: Path) -> None:
    result = invoke(flag, cwd=tmp_path)
    assert (result.exit_code, result.output) == (0, f"ssosd, version {ssosd.__version__}\n")


def test_answers_at_once(tmp_path: Path) -> None:
    """Help loads none of the libraries that take long."""
    program = (
        "import sys, ssosd.cli\n"
        "print([m for m in ('numpy', 'pandas', 'astropy', 'scipy', 'matplotlib', 'rich') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_unknown_verb_and_flag(tmp_path: Path) -> None:
    result = invoke("relpay", cwd=tmp_path)
    assert result.exit_code == 2
    assert "No such command 'relpay'" in result.stderr
    result = invoke("replay", ".", "--PM_UPP", "3", cwd=tmp_path)
    assert result.exit_code == 2
    assert "PM_UP" in result.stderr.replace("PM_UPP", "")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["replay", ".", "--pm_up", "3"], "--PM_UP"),
        (["replay", ".", "--Pm_upp=3"], "--PM_UP"),
        (["doctor", "--targte", "."], "--target"),
        (["my raw"], "ssosd replay 'my raw'"),
        (["my raw", "--PM_UP", "3"], "ssosd replay 'my raw'"),
        (["--inspect", "out"], "ssosd inspect"),
    ],
)
def test_what_is_meant_is_named(arguments: list[str], meant: str, tmp_path: Path) -> None:
    (tmp_path / "my raw").mkdir()
    result = invoke(*arguments, cwd=tmp_path)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'" in result.stderr
    assert "--map" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", ".", "-t", "caf\udce9"],
        ["replay", "caf\udce9"],
        ["run", "."],
        ["status", "--target=caf\udce9"],
    ],
)
def test_paths_that_are_not_utf8_are_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a name in Latin-1: in a path that is given, or that of the working directory."""
    (tmp_path / "caf\udce9").mkdir()
    monkeypatch.chdir(tmp_path / "caf\udce9" if arguments == ["run", "."] else tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "caf\\udce9: not UTF-8, as all is that ssosd writes down\n" in result.stderr
    assert not (tmp_path / "caf\udce9" / "ssosd.db").exists()


# ---- init -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["init"], ["--default"], ["-d"], ["init", "."]])
def test_init_copies_and_never_overwrites(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "semp").mkdir()
    mine = {"default.ssos": "PM_UP 1\n", "semp/ssos.sex": "# mine\n"}
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    result = invoke(*arguments, cwd=tmp_path)
    assert result.exit_code == 0
    assert {name: (tmp_path / name).read_text() for name in mine} == mine
    names = {p.name for p in (tmp_path / "semp").iterdir()}
    assert names >= {
        "ssos.sex",
        "ssos.param",
        "ssos.scamp",
        "ssos.swarp",
        "gauss_2.5_5x5.conv",
        "default.nnw",
    }
    kept = [line for line in result.output.splitlines() if line.startswith("kept")]
    assert len(kept) == 2
    assert result.output.endswith("\n  ssosd doctor\n")
    (tmp_path / "semp" / "ssos.scamp").unlink()
    again = invoke(*arguments, cwd=tmp_path)
    assert [line.split()[0] for line in again.output.splitlines()].count("copied") == 1


def test_init_into_another_folder(tmp_path: Path) -> None:
    result = invoke("init", tmp_path / "new" / "set up", cwd=tmp_path)
    assert result.exit_code == 0
    assert (tmp_path / "new" / "set up" / "default.ssos").is_file()
    assert result.output.endswith(f"\n  ssosd doctor -c '{tmp_path}/new/set up/default.ssos'\n")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_init_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoke("init", tmp_path / "file" / "x", cwd=tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith("ssosd: ")
    assert "file" in result.stderr


# ---- doctor ---------------------------------------------------------------------------------------------


@pytest.mark.binaries
def test_doctor_is_content(one: PaintedNight, tmp_path: Path) -> None:
    good = flags(ASTREF_CATALOG=one.refcat, CROSSMATCH_SKYBOT=False)
    result = invoke("doctor", "-t", tmp_path, *good, cwd=tmp_path)
    assert result.exit_code == 0, result.output
    assert "scamp" in result.output.lower()
    assert invoke("doctor", "-q", "-t", tmp_path, *good, cwd=tmp_path).output == ""


@pytest.mark.parametrize(
    ("parameter", "value"), [("ASTREF_CATALOG", "nowhere/ref.cat"), ("SEX_CONFIG", "nowhere.sex")]
)
def test_doctor_names_what_fails(parameter: str, value: str, tmp_path: Path) -> None:
    result = invoke(
        "doctor", "-t", tmp_path, *flags(CROSSMATCH_SKYBOT=False, **{parameter: value}), cwd=tmp_path
    )
    assert result.exit_code == 1
    assert Path(value).name in "".join(result.output.split())  # folded to the width of the terminal


def test_doctor_without_binaries(tmp_path: Path) -> None:
    with chdir(tmp_path):
        result = CliRunner().invoke(main, ["doctor", "-t", str(tmp_path)], env={"PATH": str(tmp_path)})
    assert result.exit_code == 1
    assert "apt" in result.output


def test_doctor_with_a_bad_configuration(tmp_path: Path) -> None:
    (tmp_path / "default.ssos").write_text("PM_UP fast\n")
    result = invoke("doctor", "-t", tmp_path, cwd=tmp_path)
    assert result.exit_code == 2
    assert "PM_UP" in result.stderr


# ---- replay ---------------------------------------------------------------------------------------------


def parameters_of_last_run(target: Path) -> str:
    with Store(target / STORE_NAME) as store:
        return str(store.rows("SELECT * FROM runs ORDER BY id DESC LIMIT 1")[0]["parameters"])


@pytest.fixture(scope="module")
def base(one: PaintedNight) -> dict[str, object]:
    return {**QUICK, "ASTREF_CATALOG": one.refcat}


@pytest.mark.binaries
def test_where_the_configuration_comes_from(tmp_path: Path) -> None:
    """A flag is stronger than -c FILE, which is stronger than default.ssos here, than built-in values.

    The parameters of a run are kept when it begins: no exposure is needed for that.
    """
    (tmp_path / "raw").mkdir()
    text = "OBSERVATORY_CODE 493\n"
    (tmp_path / "default.ssos").write_text(text + "CROSSID_RADIUS 9\nPM_UP 91\n")
    (tmp_path / "other.ssos").write_text(text + "CROSSID_RADIUS 9.5 # comment\n")

    def used(name: str, *arguments: object) -> str:
        result = invoke("replay", "raw", "-t", "out", *arguments, cwd=tmp_path)
        assert result.exit_code == 1, result.output
        assert "no FITS files here" in result.output
        found = re.search(rf"^{name}\s+(\S+)", parameters_of_last_run(tmp_path / "out"), re.MULTILINE)
        return found[1] if found else ""

    assert used("PM_UP") == "91"
    assert used("CROSSID_RADIUS", "-c", "other.ssos") == "9.5"
    assert used("PM_UP", "-c", "other.ssos") == "2000"
    assert used("CROSSID_RADIUS", "-c", "other.ssos", "--CROSSID_RADIUS", "8") == "8"


@pytest.mark.binaries
@pytest.mark.parametrize("flag", ["--PM_UP", "-PM_UP"])
def test_flags_of_parameters_change_the_outcome(
    one: PaintedNight, base: dict[str, object], tmp_path: Path, flag: str
) -> None:
    """Also with one dash, as the seed's users write them."""
    arguments = ["replay", one.directory, "-t", "out", *flags(**base), flag, "35"]
    result = invoke(*arguments, cwd=tmp_path)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "2026-11-14" / "candidates.csv").read_text()
    assert text.count("\n") == 1 + 4  # of two movers, the one of 45 "/h is left out


@pytest.mark.binaries
def test_what_the_console_shows(one: PaintedNight, base: dict[str, object], tmp_path: Path) -> None:
    nameless = base | {"AST_CAT": "AUTO"}
    result = invoke("replay", one.directory, "-t", "out", *flags(**nameless), cwd=tmp_path)
    out = result.output
    assert "2026-11-14 F01  4 exposures" in out
    assert "note no calibrated magnitudes in 4 of 4 exposures: the reference catalogue" in out
    counts = [
        int(found[1])
        for step in ("All Sources", "FILTER_DETEC", "FILTER_PM", "FILTER_MOTION", "FILTER_PIXEL", "LINKER")
        if (found := re.search(rf"^ +{step} +(\d+) *$", out, re.MULTILINE))
    ]
    assert len(counts) == 6
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 2
    assert "unchecked: CROSSMATCH_SKYBOT is False" in out
    assert len(re.findall(r"^F01-000\d +4 ", out, re.MULTILINE)) == 2
    assert "4 files, 4 extracted, 0 catalogues reused, 1 of 1 sequences done, 2 candidates" in out
    for name in ("2026-11-14/candidates.csv", "2026-11-14/drafts/README.txt", "ssosd.db"):
        assert str(tmp_path / "out" / name) in out
    again = invoke("replay", one.directory, "-t", "out", *flags(**nameless), cwd=tmp_path)
    assert "done before with the same settings" in again.output
    quiet = invoke("replay", one.directory, "-t", "out", "-q", *flags(**nameless), cwd=tmp_path)
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.binaries
def test_target_is_the_working_directory_unless_told(
    one: PaintedNight, base: dict[str, object], tmp_path: Path
) -> None:
    result = invoke("replay", one.directory, *flags(**base), cwd=tmp_path)
    assert result.exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == [
        "2026-11-14",
        "logs",
        STORE_NAME,
    ]


@pytest.mark.binaries
def test_log_of_each_run(one: PaintedNight, base: dict[str, object], tmp_path: Path) -> None:
    arguments = ["replay", one.directory, "-t", "out", *flags(**base)]
    assert invoke(*arguments, cwd=tmp_path).exit_code == 0
    logs = list((tmp_path / "out" / "logs").glob("ssosd_*.log"))
    assert len(logs) == 1
    assert re.fullmatch(r"ssosd_\d{14}\.log", logs[0].name)
    text = logs[0].read_text()
    assert re.search(r"INFO 2026-11-14 F01 FILTER_MOTION \d+", text)
    logs[0].unlink()
    assert invoke(*arguments, "--PM_UP", "299", "-l", "ERROR", cwd=tmp_path).exit_code == 0
    (log,) = (tmp_path / "out" / "logs").glob("ssosd_*.log")
    assert log.read_text() == ""


@pytest.mark.binaries
def test_run_is_on_record(one: PaintedNight, base: dict[str, object], tmp_path: Path) -> None:
    assert invoke("replay", one.directory, "-t", "out", *flags(**base), cwd=tmp_path).exit_code == 0
    with Store(tmp_path / "out" / STORE_NAME) as store:
        (row,) = store.rows("SELECT * FROM runs")
    assert row["finished_at"] is not None
    assert ssosd.__version__ in row["versions"]
    assert "scamp" in row["versions"]
    assert re.search(r"^OBSERVATORY_CODE\s+493", row["parameters"], re.MULTILINE)


@pytest.mark.binaries
def test_notes_of_the_configuration_are_shown(
    one: PaintedNight, base: dict[str, object], tmp_path: Path
) -> None:
    """A seed user's file says RA and DEC, which have no effect."""
    (tmp_path / "default.ssos").write_text("RA RA # keyword\n")
    result = invoke("replay", one.directory, "-t", "out", *flags(**base), cwd=tmp_path)
    assert result.exit_code == 0
    assert "RA has no effect" in " ".join(result.output.split())


@pytest.mark.binaries
def test_jobs(one: PaintedNight, base: dict[str, object], tmp_path: Path) -> None:
    for jobs in ("1", "3"):
        result = invoke(
            "replay", one.directory, "-t", f"out{jobs}", "--jobs", jobs, *flags(**base), cwd=tmp_path
        )
        assert result.exit_code == 0
    tables = [(tmp_path / f"out{n}" / "2026-11-14" / "candidates.csv").read_bytes() for n in (1, 3)]
    assert tables[0] == tables[1]
    assert invoke("replay", one.directory, "--jobs", "0", cwd=tmp_path).exit_code == 2


@pytest.mark.parametrize("width", [200, 80, 60, 40])
def test_table_of_candidates_loses_nothing_in_a_narrow_terminal(width: int) -> None:
    import io
    import math

    import pandas as pd
    from rich.console import Console

    from ssosd.cli.console import show_night

    rows = pd.DataFrame(
        {
            "CANDIDATE": ["5945_Roachapproach-0001", "5945_Roachapproach-0002", "5945_Roachapproach-0003"],
            "MID_EXPOSURE_MJD": 61358.5,
            "RA": 124.62661,
            "DEC": -25.34294,
            "PM": 9.27,
            "PMRA": [3.9, 0.0, -1.0],
            "PMDEC": [-8.4, 1.0, 0.0],
            "MAG": -10.76,
            "MAG_CALIB": [17.93, math.nan, math.nan],
            "BAND": ["G", "", ""],
            "SCORE": [46.2, math.nan, 3.0],
            "SKYBOT_NUMBER": ["5945", "", ""],
            "SKYBOT_NAME": ["Roachapproach", "2015 LA1 [x]", ""],
            "MATCH_STATE": ["matched", "possible", "unknown"],
        }
    )
    console = Console(file=io.StringIO(), width=width)
    show_night("2019-03-25", rows, console)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    place = ["124.62661", "-25.34294", "9.27"]
    assert lines == [
        ["candidates", "of", "the", "night", "2019-03-25"],
        ["candidate", "n", "RA", "Dec", '"/h', "PA", "mag", "score", "known", "as"],
        ["5945_Roachapproach-0001", "1", *place, "155", "17.93G", "46.2", "5945", "Roachapproach"],
        ["5945_Roachapproach-0002", "1", *place, "0", "-10.76", "2015", "LA1", "[x]?"],
        ["5945_Roachapproach-0003", "1", *place, "270", "-10.76", "3.0", "unknown"],
    ]


@pytest.mark.binaries
def test_demo_shows_the_funnel_and_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo itself, on a night painted smaller than the one people see."""
    from dataclasses import replace

    from ssosd import demo

    options = demo.demo_options

    def smaller(*, seed: int) -> object:
        bright = replace(demo.MAIN_BELT, count=4, mag=(16.5, 18.0))
        return replace(options(seed=seed), size_px=(640, 640), stars=400, galaxies=100, movers=(bright,))

    monkeypatch.setattr(demo, "demo_options", smaller)
    result = invoke("demo", "night", cwd=tmp_path)
    assert result.exit_code == 0, result.output
    assert "painted 10 exposures" in result.output
    assert len(re.findall(r"^ +FILTER_MOTION +\d+ *$", result.output, re.MULTILINE)) == 2
    assert "found of the painted movers" in result.output
    assert "0 of" in result.output
    for name in (
        "raw/truth.csv",
        "default.ssos",
        "2026-11-14/candidates.csv",
        "2026-11-14/drafts/README.txt",
    ):
        assert str(tmp_path / "night" / name) in result.output
        assert (tmp_path / "night" / name).is_file()
    assert list((tmp_path / "night" / "2026-11-14").rglob("cutouts/*.fits"))
