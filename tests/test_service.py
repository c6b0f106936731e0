"""The unit of systemd: well-formed, hardened, and written for this machine's paths; systemd itself judges."""

from __future__ import annotations

import configparser
import getpass
import itertools
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import ssosd
from ssosd.cli import main
from ssosd.errors import Misconfigured
from ssosd.setup.service import (
    dry_run,
    find_executable,
    install_service,
    next_commands,
    service_files,
    software_folders,
)

SYSTEMD = Path(__file__).resolve().parents[1] / "systemd"
UNIT = SYSTEMD / "ssosd.service"
#: An executable that is there.
EXECUTABLE = Path("/usr/bin/env")
#: Most that `systemd-analyze security` may say.
EXPOSURE_LIMIT = 1.5

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (package systemd)"
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(c) for c in ("systemd-sysusers", "systemd-tmpfiles")),
    reason="systemd-sysusers and systemd-tmpfiles want root",
)


def settings(text):
    """Sections of a unit; a setting given twice has all its values."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    number = itertools.count()
    several = r"^(BindReadOnlyPaths|SystemCallFilter|Environment)="
    parser.read_string(re.sub(several, lambda m: f"{m[1]}.{next(number)}=", text, flags=re.MULTILINE))
    return {name: dict(parser[name]) for name in parser.sections()}


def rendered(**changes):
    given = {"target": Path("/srv/results"), "data": Path("/srv/data"), "config": Path("/etc/ssosd/a.ssos"),
             "executable": EXECUTABLE}  # fmt: skip
    return service_files(**{**given, **changes})


def service_of(files):
    return settings(files[0].text)["Service"]


def analyze(*arguments):
    done = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def exposure_level(path):
    code, said = analyze("security", "--offline=true", path)
    assert code == 0, said
    return float(re.search(r"Overall exposure level for .*: ([0-9.]+)", said)[1])


@needs_analyze
def test_systemd_has_nothing_to_say_about_the_unit():
    assert analyze("verify", UNIT) == (0, "")


@needs_analyze
def test_the_unit_is_hardened():
    assert exposure_level(UNIT) <= EXPOSURE_LIMIT


@needs_analyze
@pytest.mark.parametrize("home", ["", "/home/obs"])
def test_what_is_written_for_strange_paths_is_as_good(tmp_path, home):
    files = rendered(
        target=Path(f"{home}/srv/my results; 50% #1"), data=Path(f"{home}/srv/tonight's data".replace("'", "")),
        config=Path(f"{home}/cost $5: a.ssos"), root=tmp_path,
    )  # fmt: skip
    unit = install_service(files)[0]
    assert analyze("verify", unit) == (0, "")
    assert exposure_level(unit) <= EXPOSURE_LIMIT


def test_the_unit_says_how_it_lives_and_dies():
    unit = settings(UNIT.read_text(encoding="utf-8"))
    service = unit["Service"]
    expected = {
        "Type": "notify", "NotifyAccess": "main", "WatchdogSec": "60", "Restart": "on-failure",
        "KillMode": "mixed", "ExecReload": "/bin/kill -HUP $MAINPID", "User": "ssosd", "OOMPolicy": "continue",
        "ProtectSystem": "strict", "NoNewPrivileges": "yes", "ReadWritePaths": "/var/lib/ssosd",
    }  # fmt: skip
    assert expected.items() <= service.items()
    assert float(service["TimeoutStopSec"]) >= 30
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"


def test_each_line_of_the_unit_is_explained():
    """A comment stands above each setting or group of settings."""
    explained = False
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            explained = not line.startswith("# ---")
        elif not line.strip():
            explained = False
        elif "=" in line and not line.startswith(("Description=", "Standard", "Syslog", "WantedBy=")):
            assert explained, f"{line} has no comment"


def test_the_rendered_unit_has_the_paths_and_keeps_the_comments():
    service = service_of(rendered(user="nobody"))
    assert shlex.split(service["ExecStart"]) == [
        "/usr/bin/env", "run", "/srv/data", "-t", "/srv/results", "-c", "/etc/ssosd/a.ssos"
    ]  # fmt: skip
    assert (service["User"], service["ReadWritePaths"], service["ProtectHome"]) == (
        "nobody",
        "/srv/results",
        "yes",
    )
    shipped = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert [line for line in rendered()[0].text.splitlines() if line.startswith("#")] == shipped
    assert "-c" not in shlex.split(service_of(rendered(config=None))["ExecStart"])


def test_marks_that_systemd_reads_are_escaped():
    service = service_of(rendered(target=Path("/srv/50% of $HOME; done")))
    assert service["ExecStart"].startswith(
        '/usr/bin/env run /srv/data -t "/srv/50%% of $$HOME; done" -c /etc/ssosd/a.ssos'
    )
    assert service["ReadWritePaths"] == '"/srv/50%% of $HOME; done"'
    assert service["WorkingDirectory"] == "/srv/50%% of $HOME; done"


def test_the_first_word_of_a_command_keeps_its_dollar():
    """There systemd looks for no variable, nor for a doubled mark that would stand for one."""
    start = service_of(rendered(executable=Path("/opt/a$b/ssosd"), target=Path("/srv/$x")))["ExecStart"]
    assert start.startswith("/opt/a$b/ssosd run /srv/data -t /srv/$$x ")


def test_paths_up_from_here_are_written_as_systemd_takes_them(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("ssosd.setup.service._TEMPORARY", ())  # where this test lies
    files = rendered(data=Path("../raw"), target=Path("../results"), config=Path("../a.ssos"))
    assert ".." not in files[0].text.replace("...", "")
    assert shlex.split(service_of(files)["ExecStart"])[2:] == [
        f"{tmp_path}/raw", "-t", f"{tmp_path}/results", "-c", f"{tmp_path}/a.ssos"
    ]  # fmt: skip
    shown = service_of(rendered(data=Path("/srv/../home/obs/raw"), readable=[Path("/srv/../home/obs/semp")]))
    assert [value for name, value in shown.items() if name.startswith("BindReadOnlyPaths")] == [
        "/home/obs/raw", "-/home/obs/semp"
    ]  # fmt: skip


def test_the_folder_of_reference_stars_may_be_written_to(tmp_path, monkeypatch):
    """The rest of the disk is read-only to the service: each new field would stop it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ssosd.setup.service._TEMPORARY", ())  # where this test lies
    monkeypatch.setattr("ssosd.setup.service._HOMES", (tmp_path / "home",))
    tiles = tmp_path / "home" / "gaia dr3"
    tiles.mkdir(parents=True)
    (tmp_path / "default.ssos").write_text(f'REFCAT "{tiles}"\n')
    given = ["install-service", ".", "-t", "/srv/results", "--dry-run", "--executable", str(EXECUTABLE)]
    lines = CliRunner().invoke(main, given, catch_exceptions=False).output.splitlines()
    assert f'ReadWritePaths=/srv/results "-{tiles}"' in lines
    shown = [line for line in lines if line.startswith("Bind") and "gaia dr3" in line]
    assert shown == [f'BindPaths="-{tiles}"']
    inside = rendered(writable=[Path("/srv/results/refcat")])
    assert service_of(inside)["ReadWritePaths"] == "/srv/results"


def test_only_what_is_needed_of_a_home_is_shown():
    service = service_of(
        rendered(
            target=Path("/home/obs/results"), data=Path("/home/obs/raw"), config=Path("/home/obs/set up/a.ssos"),
            readable=[Path("/home/obs/set up/semp/x.sex"), Path("/usr"), Path("/home/obs/.venv")],
        )
    )  # fmt: skip
    assert (service["ProtectHome"], service["BindPaths"]) == ("tmpfs", "/home/obs/results")
    assert [value for name, value in service.items() if name.startswith("BindReadOnlyPaths")] == [
        "-/home/obs/.venv", "/home/obs/raw", '"-/home/obs/set up"'
    ]  # fmt: skip
    assert (
        service_of(rendered(target=Path("/home/o/data/r"), data=Path("/home/o/data")))["ProtectHome"]
        == "tmpfs"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": Path("/tmp/results")}, "target /tmp/results: the service has a /tmp of its own"),
        ({"data": Path("/var/tmp/x")}, "data folder /var/tmp/x"),
        ({"target": Path("/srv/results/../../tmp/x")}, "target /tmp/x: the service has a /tmp of its own"),
        ({"data": Path('/srv/"quoted"')}, "has quotes"),
        ({"config": Path("/srv/two\nlines")}, "has quotes, backslashes or control"),
        ({"user": "root"}, "user 'root'"),
        ({"user": "a b"}, "user 'a b'"),
    ],
)
def test_what_a_service_cannot_use_is_refused(changes, message):
    with pytest.raises(Misconfigured, match=re.escape(message)):
        rendered(**changes)


def test_files_go_where_systemd_looks_and_can_be_written_again(tmp_path):
    files = rendered(root=tmp_path)
    written = install_service(files)
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "etc/systemd/system/ssosd.service", "etc/tmpfiles.d/ssosd.conf", "etc/sysusers.d/ssosd.conf"
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in written} == {0o644}
    assert install_service(files) == written
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(written)


def test_a_dry_run_writes_nothing_and_shows_all(tmp_path):
    text = dry_run(rendered(root=tmp_path))
    assert list(tmp_path.iterdir()) == []
    for words in (
        "ssosd.service",
        "tmpfiles.d/ssosd.conf",
        "sysusers.d/ssosd.conf",
        "ExecStart=/usr/bin/env run",
    ):
        assert words in text


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "etc").write_text("")
    with pytest.raises(Misconfigured, match="cannot be written"):
        install_service(rendered(root=tmp_path))


def test_an_existing_user_is_not_made_again():
    me = getpass.getuser() if os.geteuid() else "daemon"
    files = rendered(user=me)
    assert [f.path.parent.name for f in files] == ["system", "tmpfiles.d"]
    assert next_commands(files)[0] == "systemd-tmpfiles --create ssosd.conf"
    assert next_commands(rendered())[0] == "systemd-sysusers"
    assert pwd.getpwnam(me).pw_name in files[1].text


@needs_root
def test_systemd_makes_the_user_and_the_folder(tmp_path):
    """The snippets as systemd-sysusers and systemd-tmpfiles read them, in a root of their own."""
    (tmp_path / "etc").mkdir()
    install_service(rendered(target=Path("/srv/my results 50%"), root=tmp_path))
    for command in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        done = subprocess.run(
            [*command, f"--root={tmp_path}", "ssosd.conf"], capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    name, _, uid, _, _, home, shell = (tmp_path / "etc" / "passwd").read_text().splitlines()[-1].split(":")
    assert (name, home, shell) == ("ssosd", "/srv/my results 50%", "/usr/sbin/nologin")
    folder = (tmp_path / "srv" / "my results 50%").stat()
    assert (str(folder.st_uid), folder.st_mode & 0o777) == (uid, 0o755)


def test_the_shipped_snippets_name_the_units_user_and_folder():
    service = settings(UNIT.read_text(encoding="utf-8"))["Service"]
    user = (SYSTEMD / "ssosd.sysusers").read_text(encoding="utf-8").splitlines()[-1].split()
    folder = (SYSTEMD / "ssosd.tmpfiles").read_text(encoding="utf-8").splitlines()[-1].split()
    assert user[:2] == ["u", service["User"]]
    assert folder[:5] == ["d", service["ReadWritePaths"], "0755", service["User"], service["User"]]


def test_the_executable_and_its_python_are_found():
    assert os.access(find_executable(), os.X_OK)
    assert find_executable().name == "ssosd"
    package = Path(ssosd.__file__).parent
    assert any(package.is_relative_to(folder) for folder in software_folders())
    assert any(Path(sys.executable).resolve().is_relative_to(f.resolve()) for f in software_folders())
