"""Astrometry of single exposures: solved when their catalogue is there, kept beside it, asked for again.

A solution is a function of the catalogue and the set-up alone. Whoever needs one takes the kept one or makes
it again, and gets the same: no result depends on whether it was there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from astropy.io import fits

from ssosd.errors import SsosdError
from ssosd.linker.scamp.setup import choose_reference, read_setup
from ssosd.linker.solution import (
    ExposureSolution,
    read_solution_file,
    solution_key,
    solution_path,
    write_solution,
)
from ssosd.linker.solve import solve_exposure
from ssosd.model import Catalogue, Exposure
from ssosd.station import Station
from ssosd.work.reference import REFCAT, reference_for


def solves_alone(station: Station) -> bool:
    """Whether exposures are solved by themselves: not against stars that SCAMP downloads for each run."""
    named = station.config["ASTREF_CATALOG"]
    setup = read_setup(station.config["SCAMP_CONFIG"])
    return named == REFCAT or bool(choose_reference(named, setup=setup).files)


def solve_ahead(exposure: Exposure, catalogue: Catalogue, *, station: Station) -> None:
    """Solve an exposure and keep the solution, if that can be done now; `starts` does what is left to do."""
    with suppress(SsosdError, OSError):
        if solves_alone(station):
            _solution(exposure, catalogue, station=station, insist=False)


def starts(
    exposures: Sequence[Exposure], catalogues: Mapping[str, Catalogue], *, station: Station
) -> dict[str, tuple[fits.Header, ...]]:
    """Solved WCS of the chips of those exposures that match the reference stars, by digest.

    Raises
    ------
    BadInput, Retriable, Misconfigured
        As `ssosd.linker.solve.solve_exposure`.
    """
    if not solves_alone(station):
        return {}
    solutions = {e.digest: _solution(e, catalogues[e.digest], station=station) for e in exposures}
    return {digest: found.start() for digest, found in solutions.items() if found.solved}


def _solution(
    exposure: Exposure, catalogue: Catalogue, *, station: Station, insist: bool = True
) -> ExposureSolution:
    """Take the kept solution, or solve and keep it."""
    config = station.config
    key = solution_key([catalogue.key, station.solve_settings])
    path = solution_path(Path(catalogue.path), key)
    kept = read_solution_file(path, key=key)
    if kept is not None:
        return kept
    solution = solve_exposure(
        exposure=exposure,
        catalogue=Path(catalogue.path),
        binary=station.binaries["scamp"],
        config=config["SCAMP_CONFIG"],
        reference=reference_for([exposure], station=station, insist=insist),
        crossid_radius_arcsec=config["CROSSID_RADIUS"],
        scratch=station.scratch,
        time_limit_s=config["SCAMP_TIME_LIMIT"],
    )
    write_solution(path, solution, key=key)
    return solution
