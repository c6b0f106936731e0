"""`ssosd doctor`: each thing that can be missing is said, with what to do, and nothing else suffers."""

from __future__ import annotations

import io
import os
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from rich.console import Console

from ssosd.astromatic_setup import read_columns
from ssosd.config import Config, load_config
from ssosd.doctor import Finding, examine, exit_code, programs, render_findings
from ssosd.doctor import place as places
from ssosd.doctor.finding import guarded
from ssosd.doctor.setup import check_configuration, needed_columns
from ssosd.errors import Misconfigured
from ssosd.ingest.sextractor import NEEDED_COLUMNS
from ssosd.ldac import LdacChip, write_ldac
from ssosd.linker.scamp.input import NEEDED
from ssosd.plumbing.resources import shipped
from ssosd.store import Store
from tests.orbit_lines import comet_line, line

COLUMNS = ("X_WORLD", "Y_WORLD", "ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD", "MAG", "MAGERR", "OBSDATE")


def reference(path: Path, *, n: int = 50, columns: tuple[str, ...] = COLUMNS) -> Path:
    stars = np.zeros(n, dtype=[(name, "f8") for name in columns])
    for name, low, high in (("X_WORLD", 34.0, 35.0), ("Y_WORLD", 13.0, 14.0), ("MAG", 14.0, 20.0)):
        if name in columns and n:
            stars[name] = np.linspace(low, high, n)
    write_ldac(path, [LdacChip(header=fits.Header(), objects=stars)])
    return path


@pytest.fixture(autouse=True)
def _room_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "free_bytes", lambda _: 2**40)


@pytest.fixture
def programs_here(tmp_path: Path) -> str:
    """A PATH with three programs that answer --version like the real ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, says in (
        ("source-extractor", "Source Extractor version 2.25.0 (2018-02-08)"),
        ("scamp", "SCAMP version 2.10.0 (2020-09-03)"),
        ("SWarp", "SWarp version 2.41.5 (2022-06-14)"),
    ):
        fake(folder / name, says)
    return str(folder)


def fake(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration with which everything is well and no network is needed."""
    given = {
        "OBSERVATORY_CODE": "688",
        "CROSSMATCH_SKYBOT": "False",
        "ASTREF_CATALOG": str(reference(tmp_path / "ref.cat")),
        "AST_CAT": "Gaia3",
        "SUBMITTER": "A. Nobody",
        "MEASURERS": "A. Nobody",
        "TELESCOPE_DESIGN": "Reflector",
        "TELESCOPE_APERTURE": "0.6",
    }
    return load_config(None, overrides=given, cwd=tmp_path)


def look(config: Config, target: Path, search_path: str | None, **more: object) -> dict[str, Finding]:
    findings = examine(config=config, target=target, search_path=search_path, time_limit_s=2.0, **more)  # type: ignore[arg-type]
    by_name = {finding.name: finding for finding in findings}
    assert len(by_name) == len(findings)
    return by_name


def others_are_well(found: dict[str, Finding], *names: str) -> None:
    assert {name for name, f in found.items() if f.state != "ok"} == set(names)
    for name in names:
        assert found[name].next_step


# -- as a whole ----------------------------------------------------------------------------------------------


def test_where_all_is_well_all_is_ok_and_nothing_is_left_behind(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    target = tmp_path / "results of tonight" / "deep"
    before = sorted(tmp_path.rglob("*"))
    found = look(config, target, programs_here)
    others_are_well(found)
    assert exit_code(found.values()) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert {
        "python",
        "libraries",
        "sextractor",
        "scamp",
        "swarp",
        "target",
        "disk",
        "sqlite",
        "clock",
    } <= set(found)
    assert "2.25.0" in found["sextractor"].detail
    assert "50 stars" in found["ASTREF_CATALOG"].detail
    assert "Anderson Mesa" in found["OBSERVATORY_CODE"].detail
    assert str(target) in found["target"].detail


def test_what_the_drafts_will_lack_is_told_in_the_afternoon(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    given = {
        "ASTREF_CATALOG": str(config["ASTREF_CATALOG"]), "CROSSMATCH_SKYBOT": "False",
        "OBSERVATORY_CODE": "688", "MEASURERS": "A. Nobody",
    }  # fmt: skip
    poor = load_config(None, overrides=given, cwd=tmp_path)
    found = look(poor, tmp_path, programs_here)
    others_are_well(found, "AST_CAT", "drafts")
    assert exit_code(found.values()) == 0
    assert found["drafts"].detail.endswith("SUBMITTER, TELESCOPE_DESIGN, TELESCOPE_APERTURE")
    assert "UNK" in found["AST_CAT"].detail


def test_fewer_exposures_than_a_candidate_needs_are_told_of(config: Config) -> None:
    for detections, state in (("1,2,3", "warn"), ("1,2", "ok")):
        given = {"EXPOSURES_PER_FIELD": "3", "DETECTIONS": detections}
        finding = check_configuration(load_config(None, overrides=given, cwd=Path("/")))
        assert finding.state == state
    assert check_configuration(config).state == "ok"


@pytest.mark.binaries
def test_the_real_programs_are_found(config: Config, tmp_path: Path) -> None:
    found = look(config, tmp_path, None)
    for program in ("sextractor", "scamp", "swarp"):
        assert found[program].state == "ok", found[program].detail


def test_one_broken_check_does_not_stop_the_others(config: Config, tmp_path: Path) -> None:
    broken = config.replace(ASTREF_CATALOG=tmp_path / "gone.cat", OBSERVATORY_CODE="ZZ9")
    found = look(broken, tmp_path / "t", str(tmp_path / "empty"))
    failed = {name for name, f in found.items() if f.state == "fail"}
    assert failed == {"sextractor", "scamp", "ASTREF_CATALOG", "OBSERVATORY_CODE"}
    assert exit_code(found.values()) == 1
    assert all(found[name].next_step for name in failed)


def test_errors_that_are_expected_become_findings_and_mistakes_are_not_hidden() -> None:
    def fail_with(error: Exception):
        def check() -> Finding:
            raise error

        return check

    (found,) = guarded("x", fail_with(Misconfigured("no such thing", next_step="get one")))
    assert found == Finding(name="x", state="fail", detail="no such thing", next_step="get one")
    (found,) = guarded("x", fail_with(PermissionError(13, "Permission denied", "/etc/secret")))
    assert found.state == "fail"
    assert found.detail == "/etc/secret: Permission denied"
    with pytest.raises(ZeroDivisionError):
        guarded("x", fail_with(ZeroDivisionError()))


def test_findings_are_shown_with_their_next_step_and_a_summary() -> None:
    out = io.StringIO()
    findings = [
        Finding(name="disk", state="ok", detail="much [room]"),
        Finding(name="SkyBoT", state="warn", detail="no answer", next_step="check the network"),
        Finding(name="scamp", state="fail", detail="not there", next_step="apt-get install scamp"),
    ]
    render_findings(findings, Console(file=out, width=100))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["ok", "disk", "much", "[room]"] in lines
    assert ["->", "check", "the", "network"] in lines
    assert ["->", "apt-get", "install", "scamp"] in lines
    assert out.getvalue().splitlines()[-1] == "1 of 3 checks failed, 1 with a warning"
    assert exit_code(findings) == 1
    assert exit_code(findings[:2]) == 0


# -- programs ------------------------------------------------------------------------------------------------


def test_a_missing_binary_fails_and_says_what_to_install(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    (Path(programs_here) / "scamp").unlink()
    found = look(config, tmp_path, programs_here)
    others_are_well(found, "scamp")
    assert found["scamp"].state == "fail"
    assert "apt-get install scamp" in found["scamp"].next_step


def test_swarp_is_needed_when_it_makes_the_cutouts(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    (Path(programs_here) / "SWarp").unlink()
    assert look(config, tmp_path, programs_here)["swarp"].state == "warn"
    config = config.replace(CUTOUT_RESAMPLER="SWARP")
    assert look(config, tmp_path, programs_here)["swarp"].state == "fail"
    without = config.replace(EXTRACT_CUTOUTS="False", FIXED_APER_MAGS="False")
    assert look(without, tmp_path, programs_here)["swarp"].state == "warn"


def test_an_old_binary_is_a_warning(config: Config, tmp_path: Path, programs_here: str) -> None:
    fake(Path(programs_here) / "scamp", "SCAMP version 2.0.4 (2014-01-01)")
    found = look(config, tmp_path, programs_here)
    others_are_well(found, "scamp")
    assert found["scamp"].state == "warn"
    assert "2.0.4" in found["scamp"].detail


def test_another_program_of_that_name_fails(config: Config, tmp_path: Path, programs_here: str) -> None:
    fake(Path(programs_here) / "scamp", "hello")
    found = look(config, tmp_path, programs_here)
    others_are_well(found, "scamp")
    assert found["scamp"].state == "fail"


def test_python_and_libraries() -> None:
    assert programs.check_python((3, 10, 14)).state == "fail"
    assert programs.check_python().state == "ok"
    assert programs.check_libraries(["numpy>=1.26", "rich"]).state == "ok"
    missing = programs.check_libraries(["numpy>=1.26", "no-such-library>=2"])
    assert (missing.state, missing.detail) == ("fail", "no-such-library is missing")
    old = programs.check_libraries(["numpy>=99.1"])
    assert old.state == "fail"
    assert ">=99.1" in old.detail
    new = programs.check_libraries(["numpy<1"])
    assert new.state == "fail"
    assert programs.check_libraries(["no-such-library; extra == 'dev'"]).state == "ok"


# -- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["SEX_CONFIG", "SEX_PARAMS", "SEX_FILTER", "SEX_NNW", "SCAMP_CONFIG", "SWARP_CONFIG"]
)
@pytest.mark.parametrize("content", [None, b"\0\1\2binary", b"<html>not found</html>\n"])
def test_a_set_up_file_that_is_none_fails_by_name(
    config: Config, tmp_path: Path, programs_here: str, name: str, content: bytes | None
) -> None:
    path = tmp_path / "a file"
    if content is not None:
        path.write_bytes(content)
    found = look(config.replace({name: path}), tmp_path, programs_here)
    assert found[name].state == "fail"
    assert str(path) in found[name].detail
    assert "ssosd init" in found[name].next_step
    # without the SCAMP set-up the reference catalogue cannot be looked up either
    others = {"ASTREF_CATALOG"} if name == "SCAMP_CONFIG" and content is None else set()
    others_are_well(found, name, *others)


@pytest.mark.parametrize("lacking", ["XWIN_IMAGE", "FLAGS"])
def test_sex_params_must_ask_for_what_the_corridor_needs(
    config: Config, tmp_path: Path, programs_here: str, lacking: str
) -> None:
    path = tmp_path / "my.param"
    lines = shipped("semp/ssos.param").read_text().splitlines()
    path.write_text("\n".join(f"#{x}" if x.split()[:1] == [lacking] else x for x in lines))
    found = look(config.replace(SEX_PARAMS=path), tmp_path, programs_here)
    others_are_well(found, "SEX_PARAMS")
    assert found["SEX_PARAMS"].detail == f"{path}: lacks {lacking}"


def test_the_needed_columns_are_those_that_the_stages_refuse_to_do_without() -> None:
    assert set(NEEDED) <= needed_columns()
    assert set(NEEDED_COLUMNS) <= needed_columns()
    assert needed_columns() <= set(read_columns(shipped("semp/ssos.param")))
    assert "CLASS_STAR" not in needed_columns()


def test_weight_maps_and_bright_stars(config: Config, tmp_path: Path, programs_here: str) -> None:
    weights, stars = tmp_path / "weights", tmp_path / "hyg.csv"
    weights.mkdir()
    stars.write_text("")
    both = config.replace(WEIGHT_IMAGES=weights, BRIGHT_SOURCES_CAT=stars, FILTER_BRIGHT_SOURCES="True")
    found = look(both, tmp_path, programs_here)
    others_are_well(found, "WEIGHT_IMAGES", "BRIGHT_SOURCES_CAT")
    assert found["WEIGHT_IMAGES"].state == "warn"
    (weights / "a_1.weight").write_text("x")
    stars.write_text("RA,DEC,MAG\n1,2,3\n")
    others_are_well(look(both, tmp_path, programs_here))
    weights.rename(tmp_path / "moved")
    assert "fail" in {f.state for f in look(both, tmp_path, programs_here).values()}


def test_the_header_map(config: Config, tmp_path: Path, programs_here: str) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[[instrument]]\nmatch = { INSTRUME = "x" }\n')
    found = look(config.replace(HEADER_MAP=mine), tmp_path, programs_here)["HEADER_MAP"]
    assert found.state == "ok"
    assert f"1 rules of {mine}" in found.detail
    mine.write_text('[[instrument]]\nmatsh = { INSTRUME = "x" }\n')
    found = look(config.replace(HEADER_MAP=mine), tmp_path, programs_here)["HEADER_MAP"]
    assert found.state == "fail"
    assert "the nearest is match" in found.detail


def test_where_the_configuration_comes_from(tmp_path: Path, programs_here: str) -> None:
    (tmp_path / "default.ssos").write_text("OBSERVATORY_CODE 688\nCROSSMATCH_SKYBOT False\nRA RA\n")
    config = load_config(None, overrides={"ASTREF_CATALOG": str(reference(tmp_path / "r.cat"))}, cwd=tmp_path)
    found = look(config, tmp_path, programs_here)
    assert found["configuration"].state == "warn"
    assert str(tmp_path / "default.ssos") in found["configuration"].detail
    assert "RA" in found["configuration"].detail


# -- reference catalogue -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "state", "said"),
    [
        (lambda p: None, "fail", "ref2.cat"),
        (lambda p: p.write_text("RA,DEC\n1,2\n"), "fail", "ref2.cat"),
        (lambda p: fits.PrimaryHDU(np.zeros((4, 4))).writeto(p), "fail", "LDAC"),
        (lambda p: reference(p, columns=("RA", "DEC", "MAG")), "fail", "X_WORLD and Y_WORLD"),
        (lambda p: reference(p, n=0), "fail", "0 stars"),
        (lambda p: reference(p, n=7), "warn", "7 stars"),
        (lambda p: reference(p, columns=("X_WORLD", "Y_WORLD", "MAG")), "warn", "ERRA_WORLD"),
    ],
    ids=["missing", "text", "image", "columns", "empty", "few", "errors"],
)
def test_a_wrong_reference_is_told(
    config: Config, tmp_path: Path, programs_here: str, make, state, said
) -> None:
    path = tmp_path / "ref2.cat"
    make(path)
    found = look(config.replace(ASTREF_CATALOG=path), tmp_path, programs_here)
    others_are_well(found, "ASTREF_CATALOG")
    assert found["ASTREF_CATALOG"].state == state
    assert said in found["ASTREF_CATALOG"].detail


def test_a_truncated_reference_fails(config: Config, tmp_path: Path, programs_here: str) -> None:
    path = tmp_path / "ref.cat"
    path.write_bytes(path.read_bytes()[:-2880])
    found = look(config, tmp_path, programs_here)
    assert found["ASTREF_CATALOG"].state == "fail"


def test_the_reference_that_the_scamp_set_up_names(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    setup = tmp_path / "my.scamp"
    text = shipped("semp/ssos.scamp").read_text()
    setup.write_text(
        text.replace("ASTREF_CATALOG        GAIA-EDR3", "ASTREF_CATALOG  FILE")
        .replace("ASTREFCAT_NAME        astrefcat.cat", "ASTREFCAT_NAME  mine.cat")
        .replace("X_WORLD,Y_WORLD", "RA,DEC")
    )
    for given in ("CONFIG", "FILE"):
        asked = config.replace(SCAMP_CONFIG=setup, ASTREF_CATALOG=given)
        found = look(asked, tmp_path, programs_here)
        assert "mine.cat" in found["ASTREF_CATALOG"].detail
        assert found["ASTREF_CATALOG"].state == "fail"
    reference(tmp_path / "mine.cat", columns=("RA", "DEC", *COLUMNS[2:]))
    found = look(asked, tmp_path, programs_here)
    others_are_well(found)
    assert str(tmp_path / "mine.cat") in found["ASTREF_CATALOG"].detail
    setup.write_text(text.replace("ASTREF_CATALOG        GAIA-EDR3", "ASTREF_CATALOG NONE"))
    found = look(config.replace(SCAMP_CONFIG=setup, ASTREF_CATALOG="CONFIG"), tmp_path, programs_here)
    others_are_well(found, "ASTREF_CATALOG")
    assert "NONE" in found["ASTREF_CATALOG"].detail


# -- services ------------------------------------------------------------------------------------------------


def closed_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(status: int, body: bytes = b"# Flag: 0\n") -> Iterator[tuple[str, list[str]]]:
    """A web server on the loopback that answers everything with a status; gives its address and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def with_skybot(config: Config, address: str) -> Config:
    return config.replace(CROSSMATCH_SKYBOT="True", SKYBOT_URL=f"http://{address}/conesearch.php")


def test_the_age_of_the_orbits_is_told(config: Config, tmp_path: Path, programs_here: str) -> None:
    assert "not wanted" in look(config, tmp_path, programs_here)["orbits"].detail
    mine = tmp_path / "MPCORB.DAT"
    mine.write_text(line(0, 2.5, 0.1, 5.0, 40.0, 50.0, 60.0) + "\n")
    now = datetime.now(UTC)
    for days, state in ((3.0, "ok"), (70.0, "warn")):
        os.utime(mine, (0, now.timestamp() - days * 86400))
        found = look(config.replace(ORBITS=str(mine)), tmp_path, programs_here, now=now)
        assert found["orbits"].state == state
        assert f"MPCORB.DAT, 1 orbit, {days} days old" in found["orbits"].detail
    found = look(config.replace(ORBITS="DOWNLOAD"), tmp_path / "out", programs_here)
    others_are_well(found, "orbits")
    assert "is not there" in found["orbits"].detail


@pytest.mark.parametrize("name", ["ORBITS", "COMETS"])
@pytest.mark.parametrize("content", [b"<html>Not found</html>\n" * 40, b""])
def test_a_file_that_holds_no_orbits_is_told(
    config: Config, tmp_path: Path, programs_here: str, name: str, content: bytes
) -> None:
    orbit = line(0, 2.5, 0.1, 5.0, 40.0, 50.0, 60.0)
    comet = comet_line("1P/Halley", 17.8, 0.967, 162.2, 59.6, 112.5, 190.0, mjd=61000.0)
    files = {"ORBITS": tmp_path / "MPCORB.DAT", "COMETS": tmp_path / "CometEls.txt"}
    for path, text in zip(files.values(), (orbit, comet), strict=True):
        path.write_text(f"{text}\n")
    both = config.replace(**{parameter: str(path) for parameter, path in files.items()})
    others_are_well(look(both, tmp_path, programs_here))
    files[name].write_bytes(content)
    found = look(both, tmp_path, programs_here)
    others_are_well(found, "orbits")
    assert str(files[name]) in found["orbits"].detail
    assert found["orbits"].next_step == f"fetch {name} anew"


def test_a_service_behind_a_closed_port_is_a_warning(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    found = look(with_skybot(config, f"127.0.0.1:{closed_port()}"), tmp_path, programs_here)
    others_are_well(found, "SkyBoT")
    assert found["SkyBoT"].state == "warn"
    assert exit_code(found.values()) == 0


def test_a_service_that_never_answers_is_a_warning_not_a_hang(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        asked = with_skybot(config, f"127.0.0.1:{mute.getsockname()[1]}")
        findings = examine(config=asked, target=tmp_path, search_path=programs_here, time_limit_s=0.2)
    found = {f.name: f for f in findings}
    others_are_well(found, "SkyBoT")
    assert "0.2 s" in found["SkyBoT"].detail


def test_a_service_that_answers_is_asked_once_and_for_little(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    with serving(200) as (address, asked):
        found = look(with_skybot(config, address), tmp_path, programs_here)
    others_are_well(found)
    assert len(asked) == 1
    assert "-rs=1" in asked[0]
    with serving(503) as (address, _):
        found = look(with_skybot(config, address), tmp_path, programs_here)
    others_are_well(found, "SkyBoT")
    assert "503" in found["SkyBoT"].detail


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>\n<title>Guest login</title>", b""])
def test_a_page_of_the_network_is_not_taken_for_the_service(
    config: Config, tmp_path: Path, programs_here: str, body: bytes
) -> None:
    with serving(200, body) as (address, _):
        found = look(with_skybot(config, address), tmp_path, programs_here)
    others_are_well(found, "SkyBoT")
    assert found["SkyBoT"].state == "warn"
    assert "not as SkyBoT does" in found["SkyBoT"].detail


def test_the_server_of_an_online_reference(config: Config, tmp_path: Path, programs_here: str) -> None:
    setup = tmp_path / "my.scamp"

    def asked_of(address: str) -> dict[str, Finding]:
        setup.write_text(shipped("semp/ssos.scamp").read_text() + f"\nREF_SERVER {address}\n")
        return look(config.replace(SCAMP_CONFIG=setup, ASTREF_CATALOG="GAIA-EDR3"), tmp_path, programs_here)

    with serving(200) as (address, asked):
        found = asked_of(address)
    others_are_well(found)
    assert asked == ["/"]
    found = asked_of(f"127.0.0.1:{closed_port()}")
    others_are_well(found, "ASTREF_CATALOG")
    assert found["ASTREF_CATALOG"].state == "warn"


@pytest.mark.parametrize(
    ("code", "state"), [("500", "warn"), ("250", "warn"), ("ZZ9", "fail"), ("950", "ok")]
)
def test_the_observatory_code(
    config: Config, tmp_path: Path, programs_here: str, code: str, state: str
) -> None:
    found = look(config.replace(OBSERVATORY_CODE=code), tmp_path, programs_here)
    others_are_well(found, *(["OBSERVATORY_CODE"] if state != "ok" else []))
    assert found["OBSERVATORY_CODE"].state == state
    assert code in found["OBSERVATORY_CODE"].detail


def test_a_site_of_ones_own_replaces_the_geocentre(
    config: Config, tmp_path: Path, programs_here: str
) -> None:
    own = config.replace(OBSERVATORY_CODE="500", SITE_LON="-3.4", SITE_LAT="40.1", SITE_ALT="700")
    found = look(own, tmp_path, programs_here)
    others_are_well(found)
    assert "+40.1000" in found["OBSERVATORY_CODE"].detail


# -- the target ----------------------------------------------------------------------------------------------


def test_a_file_in_the_place_of_the_target_fails(config: Config, tmp_path: Path, programs_here: str) -> None:
    (tmp_path / "results").write_text("a file")
    for target in (tmp_path / "results", tmp_path / "results" / "deeper"):
        found = look(config, target, programs_here)
        assert found["target"].state == "fail"
        assert "results" in found["target"].detail
        assert found["target"].next_step
        assert exit_code(found.values()) == 1


def test_a_place_where_nobody_may_write_fails(config: Config, tmp_path: Path, programs_here: str) -> None:
    if os.geteuid() == 0:
        place = Path("/proc")  # permissions do not bind root, but nothing can be made here
        if not place.is_dir():
            pytest.skip("no place that root may not write to")
    else:
        place = tmp_path / "locked"
        place.mkdir(mode=0o500)
    found = look(config, place / "results", programs_here)
    assert found["target"].state == "fail"
    assert str(place) in found["target"].detail


@pytest.mark.parametrize(("free", "state"), [(100 * 2**20, "fail"), (2 * 2**30, "warn"), (2**40, "ok")])
def test_disk(tmp_path: Path, free: int, state: str) -> None:
    finding = places.check_disk(tmp_path / "not yet", free=free)
    assert finding.state == state
    assert str(tmp_path) in finding.detail


def test_sqlite_too_old(tmp_path: Path) -> None:
    assert places.check_sqlite(tmp_path, version=(3, 31, 1)).state == "fail"
    assert places.check_sqlite(tmp_path).state == "ok"


def test_a_file_system_without_a_write_ahead_log_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    def in_memory(*_: object, **__: object) -> sqlite3.Connection:
        return real("file:probe?mode=memory&cache=shared", uri=True)  # has no such journal

    monkeypatch.setattr(sqlite3, "connect", in_memory)
    finding = places.check_sqlite(tmp_path)
    assert finding.state == "warn"
    assert "memory" in finding.detail


def test_the_store_that_is_there_already(config: Config, tmp_path: Path, programs_here: str) -> None:
    target = tmp_path / "what? #1 100%"
    target.mkdir()
    assert "store" not in look(config, target, programs_here)
    Store(target / "ssosd.db").close()
    found = look(config, target, programs_here)
    others_are_well(found)
    assert "0 exposures" in found["store"].detail
    (target / "ssosd.db").write_text("not a database, but as long as one" * 100)
    found = look(config, target, programs_here)
    others_are_well(found, "store")
    assert found["store"].state == "fail"
    assert (target / "ssosd.db").read_text().startswith("not a database")


@pytest.mark.parametrize("said", ["attempt to write a readonly database", "unable to open database file"])
def test_a_store_of_another_user_is_not_called_spoiled(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ssosd.db"
    path.write_bytes(b"")

    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError(said)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(Misconfigured, match=f"ssosd.db: cannot be opened: permissions .{said}") as mine:
        places.check_store(tmp_path)
    assert mine.value.next_step == "make the file and its folder writable for you"
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(Misconfigured, match="cannot be opened") as others:
        places.check_store(tmp_path)
    assert others.value.next_step == f"run it as the user of the service: sudo -u {path.owner()} ssosd ..."


@pytest.mark.parametrize(("name", "to_be_made"), [(".", False), ("results", True)])
def test_the_folder_one_stands_in_is_there(
    name: str, to_be_made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = f" (to be made in {tmp_path})" if to_be_made else ""
    assert places.check_target(Path(name)).detail == f"{name}{made}: may be written to"


def test_the_clock(config: Config, tmp_path: Path, programs_here: str) -> None:
    epoch = look(config, tmp_path, programs_here, now=datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    others_are_well(epoch, "clock")
    assert epoch["clock"].state == "fail"
    tomorrow = look(config, tmp_path, programs_here, now=datetime.now(UTC) + timedelta(days=1))
    others_are_well(tomorrow, "clock")
    assert tomorrow["clock"].state == "warn"
