"""Finding and running the AstrOmatic binaries: nothing they do may hang or stop ssosd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ssosd import astromatic
from ssosd.astromatic import Binary, find, log_tail, run
from ssosd.astromatic_setup import named_files, read_columns, read_setup
from ssosd.errors import BadInput, Misconfigured, Retriable


def _script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return path


def _binary(path: Path, body: str) -> Binary:
    return Binary(program="swarp", path=str(_script(path, body)), version="0")


@pytest.mark.binaries
@pytest.mark.parametrize("program", sorted(astromatic.PROGRAMS))
def test_the_installed_programs_are_found(program: str) -> None:
    binary = find(program)
    assert Path(binary.path).is_absolute()
    assert [int(part) for part in binary.version.split(".")] >= [2, 0]


@pytest.mark.binaries
@pytest.mark.parametrize(("program", "name"), [("sextractor", "sex"), ("swarp", "swarp")])
def test_upstream_names_are_accepted(tmp_path: Path, program: str, name: str) -> None:
    """The seed asked for Debian users to make links; here either name will do."""
    (tmp_path / name).symlink_to(find(program).path)
    found = find(program, search_path=str(tmp_path))
    assert found.path == str(tmp_path / name)
    assert found.version == find(program).version


@pytest.mark.parametrize("program", sorted(astromatic.PROGRAMS))
def test_a_missing_program_says_how_to_install_it(tmp_path: Path, program: str) -> None:
    with pytest.raises(Misconfigured, match=r"no .* in PATH \(apt-get install"):
        find(program, search_path=str(tmp_path))


def test_another_program_of_that_name_is_refused(tmp_path: Path) -> None:
    _script(tmp_path / "scamp", "echo 'scamp: a tale of mischief'\n")
    with pytest.raises(Misconfigured, match=r"printed no version.*mischief.*apt-get install scamp"):
        find("scamp", search_path=str(tmp_path))
    (tmp_path / "scamp").write_bytes(b"\x7fELF not really")
    with pytest.raises(Misconfigured, match="scamp --version"):
        find("scamp", search_path=str(tmp_path))


def test_version_on_stderr_counts(tmp_path: Path) -> None:
    _script(tmp_path / "swarp", "echo 'SWarp version 2.41.5 (2022-12-20)' >&2; exit 0\n")
    assert find("swarp", search_path=str(tmp_path)).version == "2.41.5"


def test_arguments_arrive_as_they_are(tmp_path: Path) -> None:
    """Seed defect 9: a blank in a path broke the run, as commands were pasted for a shell."""
    folder = tmp_path / "a folder; with $HOME 'and' \"quotes\""
    echo = _binary(folder / "pro gram", 'pwd; for a in "$@"; do echo "<$a>"; done; echo "$EXTRA"\n')
    awkward = ["-X", "a b,c;d", "$HOME", "`id`", "*", ""]
    done = run(echo, [*awkward, folder], cwd=folder, time_limit_s=10, environment={"EXTRA": "e x"})
    lines = done.stdout.splitlines()
    assert lines == [str(folder), *(f"<{a}>" for a in awkward), f"<{folder}>", "e x"]


def _gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that nobody has collected yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_hang_ends_with_all_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    stuck = _binary(
        tmp_path / "stuck",
        f'sleep 300 & echo $! > "{pids}"; (sleep 300 & echo $! >> "{pids}"; wait) &\n'
        f'echo $$ >> "{pids}"; echo solving the universe; wait\n',
    )
    with pytest.raises(Retriable, match=r"(?s)swarp ran over its time limit of 0\.3 s.*solving the universe"):
        run(stuck, [], cwd=tmp_path, time_limit_s=0.3)
    started = [int(line) for line in pids.read_text().split()]
    assert len(started) == 3
    # SIGKILL has been sent to the whole group; the kernel needs a moment, we look until it is done
    for pid in started:
        while not _gone(pid):
            os.sched_yield()


def test_a_program_does_not_outlive_us(tmp_path: Path) -> None:
    """kill -9 of the whole of ssosd while a worker thread waits for a program."""
    pid = tmp_path / "pid"
    slow = _binary(tmp_path / "slow", f'echo $$ > "{pid}.part"; mv "{pid}.part" "{pid}"; exec sleep 300\n')
    parent = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from concurrent.futures import ThreadPoolExecutor as Pool; from pathlib import Path\n"
            "from ssosd.astromatic import Binary, run\n"
            "slow = Binary(program='swarp', path=sys.argv[1], version='0')\n"
            "Pool().submit(run, slow, [], cwd=Path(sys.argv[2]), time_limit_s=300).result()",
            slow.path, tmp_path,
        ],
    )  # fmt: skip
    while not pid.exists():
        assert parent.poll() is None
        os.sched_yield()
    assert not _gone(int(pid.read_text()))
    parent.kill()
    parent.wait()
    while not _gone(int(pid.read_text())):
        os.sched_yield()


def test_a_program_that_vanishes_at_the_last_moment(tmp_path: Path) -> None:
    """The leash finds nothing to start: the same error as without one."""
    lost = _binary(tmp_path / "lost", "exit 0\n")
    Path(lost.path).write_text("#!/no/such/shell\n")
    with pytest.raises(Misconfigured, match=r"lost.*apt-get install swarp"):
        run(lost, [], cwd=tmp_path, time_limit_s=10)


def test_a_child_that_left_the_group_does_not_hold_us(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    escaped = _binary(tmp_path / "escaped", f'setsid sleep 300 & echo $! > "{pids}"; wait\n')
    with pytest.raises(Retriable, match="time limit"):
        run(escaped, [], cwd=tmp_path, time_limit_s=0.3)
    os.kill(int(pids.read_text()), signal.SIGKILL)  # it was outside: only we know it


def test_a_hang_that_ignores_signals_ends_too(tmp_path: Path) -> None:
    deaf = _binary(tmp_path / "deaf", "trap '' TERM INT HUP; while :; do sleep 1; done\n")
    with pytest.raises(Retriable, match="time limit"):
        run(deaf, [], cwd=tmp_path, time_limit_s=0.3)


@pytest.mark.parametrize("name", ["SEGV", "KILL", "BUS"])
def test_a_crash_is_worth_another_try(tmp_path: Path, name: str) -> None:
    crash = _binary(tmp_path / "crash", f"echo about to fall; kill -{name} $$\n")
    with pytest.raises(Retriable, match=rf"(?s)killed by SIG{name}.*about to fall"):
        run(crash, [], cwd=tmp_path, time_limit_s=10)


def test_an_unnamed_signal_is_reported_as_well(tmp_path: Path) -> None:
    """Real-time signals between SIGRTMIN and SIGRTMAX have no name of their own."""
    crash = _binary(tmp_path / "crash", f"kill -{signal.SIGRTMIN + 3} $$\n")
    with pytest.raises(Retriable, match="killed by "):
        run(crash, [], cwd=tmp_path, time_limit_s=10)


def test_an_exit_code_carries_the_last_lines(tmp_path: Path) -> None:
    lines = "".join(f"echo line {k}\n" for k in range(40))
    failing = _binary(tmp_path / "failing", f"{lines}echo '> *Error*: no such field' >&2; exit 7\n")
    with pytest.raises(BadInput, match="exit code 7") as caught:
        run(failing, [], cwd=tmp_path, time_limit_s=10)
    said = str(caught.value).splitlines()
    assert said[-1] == "> *Error*: no such field"
    assert "line 39" in said
    assert "line 3" not in said


def test_a_vanished_program_and_a_vanished_folder(tmp_path: Path) -> None:
    absent = Binary(program="scamp", path=str(tmp_path / "absent"), version="0")
    with pytest.raises(Misconfigured, match=r"absent.*apt-get install scamp"):
        run(absent, [], cwd=tmp_path, time_limit_s=10)
    there = _binary(tmp_path / "there", "exit 0\n")
    with pytest.raises(Retriable, match="no-folder"):
        run(there, [], cwd=tmp_path / "no-folder", time_limit_s=10)
    denied = _script(tmp_path / "denied", "exit 0\n")
    denied.chmod(0o644)
    with pytest.raises(Misconfigured, match="denied"):
        run(Binary(program="scamp", path=str(denied), version="0"), [], cwd=tmp_path, time_limit_s=10)


def test_much_output_and_broken_text_do_not_block(tmp_path: Path) -> None:
    loud = _binary(
        tmp_path / "loud",
        "i=0; while [ $i -lt 3000 ]; do echo 'a line of some length to fill the pipe, and then some more'; "
        "i=$((i+1)); done; printf 'Universit\\351\\n'; echo end >&2\n",
    )
    done = run(loud, [], cwd=tmp_path, time_limit_s=30)
    assert len(done.stdout) > 100_000
    assert done.tail.splitlines()[-2:] == ["Universit\ufffd", "end"]


def test_the_memory_limit_holds_from_the_first_moment(tmp_path: Path) -> None:
    """A limit that comes after the start came too late for some of the programs on a busy machine."""
    told = replace(_binary(tmp_path / "told", "ulimit -v\n"), memory_limit_bytes=3 << 30)
    assert {run(told, [], cwd=tmp_path, time_limit_s=30).stdout for _ in range(20)} == {f"{3 << 20}\n"}
    free = _binary(tmp_path / "free", "ulimit -v\n")
    assert run(free, [], cwd=tmp_path, time_limit_s=30).stdout != f"{3 << 20}\n"


def test_log_tail_removes_redraws() -> None:
    text = "\x1b[1M> Line:   25\n\x1b[1A\x1b[1M> Line:   50\n\x1b[1A\n\n  done\r> Error\n"
    assert log_tail(text) == "> Line:   25\n> Line:   50\ndone\n> Error"
    assert log_tail(text, 1) == "> Error"
    assert log_tail("") == ""


def test_set_up_files_are_read_as_the_programs_read_them(tmp_path: Path) -> None:
    config = tmp_path / "my.sex"
    config.write_text(
        "# DETECT_THRESH 9\nDETECT_THRESH\t1.5   # sigma\n  filter Y\n\nPHOT_AUTOPARAMS 2.5, 3.5\nEMPTY\n"
        "FILTER N\nFLAG_IMAGE 'bad pixels.fits'\nASSOC_NAME nowhere.list\n",
        encoding="utf-8",
    )
    setup = read_setup(config)
    assert setup["DETECT_THRESH"] == "1.5"
    assert setup["FILTER"] == "N"
    assert setup["PHOT_AUTOPARAMS"] == "2.5, 3.5"
    assert setup["EMPTY"] == ""
    flags = tmp_path / "bad pixels.fits"
    flags.write_bytes(b"")
    assert named_files(config, ("FLAG_IMAGE", "ASSOC_NAME", "PSF_NAME")) == {"FLAG_IMAGE": flags}
    config.write_text("XWIN_IMAGE\n#YWIN_IMAGE\n mag_aper(3)  # three\nFLUX_APER (2)\n")
    assert read_columns(config) == ("XWIN_IMAGE", "MAG_APER", "FLUX_APER")
    with pytest.raises(Misconfigured, match=r"gone\.sex"):
        read_setup(tmp_path / "gone.sex")
