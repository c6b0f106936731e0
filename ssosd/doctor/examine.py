"""Run all checks of the doctor, each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ssosd.doctor import outside, place, programs, reference, setup
from ssosd.doctor.finding import Check, Finding, guarded

#: Seconds for each service on the network; two of them are asked.
NETWORK_TIME_LIMIT_S = 5.0


def examine(
    *,
    config: Mapping[str, Any],
    target: Path,
    search_path: str | None = None,
    time_limit_s: float = NETWORK_TIME_LIMIT_S,
    now: datetime | None = None,
) -> tuple[Finding, ...]:
    """Look at everything a night needs.

    Nothing is changed: the target folder is not made, and what is written to try it is removed again.

    Parameters
    ----------
    config : mapping
        The configuration (`ssosd.config.Config`); the files it names need not be there.
    target : Path
        Where the results are to be.
    search_path : str, optional
        A PATH-like string in which the binaries are looked for instead of the environment's.
    time_limit_s : float
        Wall seconds for each service on the network.
    now : datetime, optional
        The present time, aware; the machine's clock unless given.

    Returns
    -------
    tuple of Finding
        One for each thing looked at, in a fixed order.
    """
    checks: tuple[tuple[str, Check], ...] = (
        ("python", programs.check_python),
        ("libraries", programs.check_libraries),
        ("binaries", lambda: programs.check_binaries(config, search_path=search_path)),
        ("configuration", lambda: setup.check_configuration(config)),
        ("set-up files", lambda: setup.check_setup_files(config)),
        ("HEADER_MAP", lambda: setup.check_header_map(config)),
        ("files for images", lambda: setup.check_image_files(config)),
        (reference.NAME, lambda: reference.check_reference(config, time_limit_s=time_limit_s)),
        ("OBSERVATORY_CODE", lambda: outside.check_observatory(config)),
        ("drafts", lambda: setup.check_draft_header(config)),
        ("target", lambda: place.check_target(target)),
        ("disk", lambda: place.check_disk(target)),
        ("sqlite", lambda: place.check_sqlite(target)),
        ("store", lambda: place.check_store(target)),
        ("clock", lambda: place.check_clock(target, now=now)),
        ("orbits", lambda: outside.check_orbits(config, target, now=now)),
        ("SkyBoT", lambda: outside.check_skybot(config, time_limit_s=time_limit_s)),
    )
    return tuple(finding for name, check in checks for finding in guarded(name, check))
