"""Find, run, time-limit and read the errors of the AstrOmatic binaries. Knows nothing of asteroids."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ssosd.errors import BadInput, Misconfigured, Retriable

#: Names under which each program is found: Debian's first, then the upstream name.
PROGRAMS: dict[str, tuple[str, ...]] = {
    "sextractor": ("source-extractor", "sex", "sextractor"),
    "scamp": ("scamp",),
    "swarp": ("SWarp", "swarp"),
}
_PACKAGES = {"sextractor": "source-extractor", "scamp": "scamp", "swarp": "swarp"}
_VERSION = re.compile(r"version\s+(\d+(?:\.\d+)+)", re.IGNORECASE)
_TAIL_LINES = 12
_DRAIN_S = 1.0  # a killed group has let go of its pipes long before
_NOT_STARTED = frozenset({126, 127})  # exit codes of those before a program when they cannot start it
_BEFORE = ("setpriv:", "prlimit:")  # how their messages begin


@dataclass(frozen=True, kw_only=True, slots=True)
class Binary:
    """One AstrOmatic program found on this machine."""

    program: str  # "sextractor", "scamp" or "swarp"
    path: str  # absolute path of the executable
    version: str  # e.g. "2.25.0"
    memory_limit_bytes: int = 0  # address space of each process, 0 for no limit


class _Children:
    """The processes that run now, so that a stopping program can take them along."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def add(self, child: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.add(child)
            if self._stopped:
                kill_group(child)

    def remove(self, child: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.discard(child)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for child in self._running:
                kill_group(child)


_children = _Children()


def stop_all() -> None:
    """Kill every program that runs now or is started later in this process: it is about to end."""
    _children.stop()


@cache
def _leash() -> tuple[str, ...]:
    """A command in front of a program that has the kernel kill it when we die, whatever kills us.

    The kernel watches the thread that starts the program (prctl(2), PR_SET_PDEATHSIG), and `run` waits for
    the program in that same thread: it cannot end before the program but by the end of the process. Done by
    a program between us and the other, as Python code between fork and exec may hang in a process with
    threads. Empty where there is no setpriv (util-linux): a program then outlives a kill -9 of ours.
    """
    setpriv = shutil.which("setpriv", path=os.defpath)
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")


def _limit(memory_bytes: int) -> tuple[str, ...]:
    """A command in front of a program that limits its address space, from its first moment on.

    Empty without a limit, and where there is no prlimit (util-linux, as setpriv).
    """
    prlimit = shutil.which("prlimit", path=os.defpath) if memory_bytes else None
    return () if prlimit is None else (prlimit, f"--as={memory_bytes}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What a program that ended with exit code 0 printed."""

    stdout: str
    stderr: str

    @property
    def tail(self) -> str:
        """Last lines of what it printed."""
        return log_tail(self.stdout + "\n" + self.stderr)


def log_tail(text: str, lines: int = _TAIL_LINES) -> str:
    """Last non-empty lines of a program's output, terminal escapes and progress redraws removed."""
    clean = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[M]", "", text)
    kept = [part.strip() for line in clean.splitlines() for part in line.split("\r") if part.strip()]
    return "\n".join(kept[-lines:])


def find(program: str, *, search_path: str | None = None) -> Binary:
    """Locate a program and ask its version.

    Parameters
    ----------
    program : str
        One of `PROGRAMS`.
    search_path : str, optional
        A PATH-like string instead of the environment's.

    Raises
    ------
    Misconfigured
        It is not installed or does not answer ``--version``.
    """
    for name in PROGRAMS[program]:
        found = shutil.which(name, path=search_path)
        if found is None:
            continue
        try:
            done = subprocess.run(
                [found, "--version"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Misconfigured(f"{found} --version: {error}", next_step="reinstall it") from error
        match = _VERSION.search(done.stdout + done.stderr)
        if match is None:
            raise Misconfigured(
                f"{found} --version printed no version: {log_tail(done.stdout + done.stderr, 2)!r}",
                next_step=f"check that it is the astronomical program (apt-get install {_PACKAGES[program]})",
            )
        return Binary(program=program, path=found, version=match.group(1))
    names = " or ".join(PROGRAMS[program])
    raise Misconfigured(f"{program}: no {names} in PATH", next_step=f"apt-get install {_PACKAGES[program]}")


def run(
    binary: Binary,
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    time_limit_s: float,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program to its end, in a process group of its own that is killed with all its children.

    It does not outlive this process, however that ends.

    Parameters
    ----------
    binary : Binary
        From `find`.
    arguments : sequence of str or Path
        Passed as they are, never through a shell.
    cwd : Path
        Working directory; some programs write there.
    time_limit_s : float
        Wall seconds after which the whole process group is killed.
    environment : mapping, optional
        Added to the environment.

    Raises
    ------
    Retriable
        It ran into the time limit, was killed by a signal or could not be started for want of resources.
    Misconfigured
        The executable has vanished.
    BadInput
        It ended with a non-zero exit code; the message carries the last lines it printed.
    """
    command = [*_leash(), *_limit(binary.memory_limit_bytes), binary.path, *(str(a) for a in arguments)]
    try:
        _require_program(binary)
        child = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        if not cwd.is_dir():
            raise Retriable(f"{cwd}: the working folder of {binary.program} is gone") from error
        raise _vanished(binary, error.strerror or str(error)) from error
    except OSError as error:
        raise Retriable(f"{binary.program} could not be started: {error}") from error
    with child:
        _children.add(child)
        try:
            stdout, stderr = child.communicate(timeout=time_limit_s)
        except subprocess.TimeoutExpired as error:
            kill_group(child)
            stdout, stderr = _drain(child)
            raise Retriable(
                f"{binary.program} ran over its time limit of {time_limit_s:g} s and was killed; "
                f"its last lines: {log_tail(stdout + stderr, 3)}"
            ) from error
        except BaseException:
            kill_group(child)
            raise
        finally:
            _children.remove(child)
    if child.returncode < 0:
        raise Retriable(
            f"{binary.program} was killed by {signal_name(-child.returncode)}; "
            f"its last lines: {log_tail(stdout + stderr, 3)}"
        )
    if child.returncode in _NOT_STARTED and stderr.startswith(_BEFORE):
        raise _vanished(binary, log_tail(stderr, 1))
    if child.returncode > 0:
        raise BadInput(
            f"{binary.program} ended with exit code {child.returncode}: {log_tail(stdout + stderr)}"
        )
    return Finished(stdout=stdout, stderr=stderr)


def _require_program(binary: Binary) -> None:
    """PermissionError or FileNotFoundError, as when it is started without a leash."""
    if not os.access(binary.path, os.X_OK):
        number = errno.EACCES if Path(binary.path).exists() else errno.ENOENT
        raise OSError(number, os.strerror(number), binary.path)


def _vanished(binary: Binary, why: str) -> Misconfigured:
    package = _PACKAGES[binary.program]
    return Misconfigured(f"{binary.path}: {why}", next_step=f"apt-get install {package}")


def kill_group(child: subprocess.Popen[str]) -> None:
    """Kill a child started in its own session together with all its children."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _drain(child: subprocess.Popen[str]) -> tuple[str, str]:
    """What a killed child had printed; nothing where a process that left its group still holds the pipes."""
    try:
        return child.communicate(timeout=_DRAIN_S)
    except subprocess.TimeoutExpired:
        return "", ""


def signal_name(number: int) -> str:
    """SIGSEGV for 11; the number for those without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
