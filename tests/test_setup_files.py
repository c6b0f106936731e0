"""`ssosd init` copies what is missing, overwrites nothing and works from both layouts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ssosd
from ssosd.config import load_config
from ssosd.errors import Misconfigured
from ssosd.plumbing.resources import shipped
from ssosd.setup.semp_files import init

NAMES = {
    "ssos.sex",
    "seed.sex",
    "ssos.param",
    "ssos.scamp",
    "ssos.swarp",
    "gauss_2.5_5x5.conv",
    "default.nnw",
}


def test_copies_the_configuration_and_all_set_up_files(tmp_path: Path) -> None:
    folder = tmp_path / "my night" / "set-up"
    done = init(folder)
    assert done.kept == ()
    assert done.copied[0] == folder / "default.ssos"
    assert {p.name for p in done.copied[1:]} >= NAMES
    assert set(done.copied) == {p for p in folder.rglob("*") if p.is_file()}
    for copy in done.copied:
        assert copy.read_bytes() == shipped(str(copy.relative_to(folder))).read_bytes()


def test_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "semp").mkdir()
    (tmp_path / "default.ssos").write_text("PM_UP 60\n")
    (tmp_path / "semp" / "ssos.sex").write_text("mine")
    (tmp_path / "semp" / "ssos.param").symlink_to(tmp_path / "nowhere")
    done = init(tmp_path)
    assert {p.name for p in done.kept} == {"default.ssos", "ssos.sex", "ssos.param"}
    assert (tmp_path / "default.ssos").read_text() == "PM_UP 60\n"
    assert (tmp_path / "semp" / "ssos.sex").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "semp" / "ssos.scamp").is_file()

    again = init(tmp_path)
    assert again.copied == ()
    assert set(again.kept) == {*done.copied, *done.kept}


def test_a_name_taken_between_look_and_write_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "default.ssos").write_text("mine")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    done = init(tmp_path)
    assert done.kept == (tmp_path / "default.ssos",)
    assert (tmp_path / "default.ssos").read_text() == "mine"
    assert not list(tmp_path.rglob(".tmp-*"))


def test_what_was_copied_is_a_valid_configuration_that_uses_the_copies(tmp_path: Path) -> None:
    init(tmp_path)
    config = load_config(None, overrides={}, cwd=tmp_path)
    assert config.source == tmp_path / "default.ssos"
    assert config["SEX_CONFIG"] == tmp_path / "semp" / "ssos.sex"
    assert config.notes == ()


def test_a_file_in_the_place_of_a_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "semp").write_text("not a folder")
    with pytest.raises(Misconfigured, match=r"semp.*cannot be written"):
        init(tmp_path)
    assert (tmp_path / "semp").read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_one_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Misconfigured, match="cannot be written"):
        init(tmp_path)


@pytest.mark.parametrize("layout", ["wheel", "checkout"])
def test_works_from_the_wheel_and_from_a_checkout(layout: str, tmp_path: Path) -> None:
    package = Path(ssosd.__file__).parent
    root = tmp_path / "root"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, root / "ssosd", ignore=ignore)
    shutil.rmtree(root / "ssosd" / "semp", ignore_errors=True)
    shutil.copytree(shipped("semp"), root / ("ssosd/semp" if layout == "wheel" else "semp"))
    script = (
        "import sys; from pathlib import Path; import ssosd; from ssosd.setup.semp_files import init;"
        "assert Path(ssosd.__file__).is_relative_to(sys.argv[2]), ssosd.__file__;"
        "print(len(init(Path(sys.argv[1])).copied))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "here"), str(root)],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    copied = {
        p.relative_to(tmp_path / "here").as_posix() for p in (tmp_path / "here").rglob("*") if p.is_file()
    }
    assert copied >= {"default.ssos", *(f"semp/{name}" for name in NAMES)}
    assert int(done.stdout) == len(copied)
