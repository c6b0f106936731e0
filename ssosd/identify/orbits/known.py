"""Known objects in exposures, by our own ephemerides: what SkyBoT would say, without the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd import sphere
from ssosd.identify.known import KnownObjects, known_table
from ssosd.identify.orbits.footprint import Found, objects_in_circle
from ssosd.identify.orbits.naming import classes, number_and_name
from ssosd.identify.orbits.observe import Seen, observer_at
from ssosd.identify.orbits.planets import Ephemeris
from ssosd.identify.orbits.planets_seen import PLANETS, planets_seen
from ssosd.identify.orbits.prepare import Night, midnight_of, prepare_night
from ssosd.model import Exposure
from ssosd.site import Site

SOURCE = "MPCORB"
MARGIN_ARCSEC = 120.0  # around the footprint, as for SkyBoT: the error of the header's pointing
MAX_ERROR_ARCSEC = 300.0


def known_objects_from_orbits(
    *,
    exposures: Sequence[Exposure],
    site: Site,
    orbits: Path,
    comets: Path | None = None,
    cache: Path,
    limit_mag: float | None = None,
    margin_arcsec: float = MARGIN_ARCSEC,
    max_error_arcsec: float = MAX_ERROR_ARCSEC,
    ephemeris: Ephemeris | None = None,
) -> KnownObjects:
    """Predict the known objects in the exposures of a sequence from a file of orbits.

    Nothing is asked of the network. The first exposure of a night integrates all orbits to its midnight and
    keeps them in `cache`; see `ssosd.identify.orbits.prepare`.

    Parameters
    ----------
    exposures : sequence of Exposure
        In the order of their CATALOG_NUMBER, which counts from 1.
    site : Site
        The observer.
    orbits : Path
        ORBITS: a file in the format of MPCORB.DAT.
    comets : Path, optional
        COMETS: a file in the format of the MPC's CometEls.txt.
    cache : Path
        A folder for kept arrays.
    limit_mag : float, optional
        Objects predicted fainter are left out.
    margin_arcsec : float
        Added to the radius of the circle around each footprint.
    max_error_arcsec : float
        Objects known worse than this are left out. Column ERR tells the others' uncertainty.
    ephemeris : Ephemeris, optional
        Of the planets; else the best that is installed.

    Returns
    -------
    KnownObjects
        Every exposure is checked; SOURCE is ``MPCORB``.

    Raises
    ------
    Misconfigured
        A file is not there, or the cache cannot be written to.
    BadInput
        A file holds no orbits, or not in its format.
    Retriable
        The disk is full.
    """
    tables: dict[int, pd.DataFrame] = {}
    numbers: dict[float, list[int]] = {}
    for number, exposure in enumerate(exposures, start=1):
        numbers.setdefault(midnight_of(exposure.mjd_mid, site), []).append(number)
    for midnight, of_night in sorted(numbers.items()):
        night = prepare_night(
            orbits=orbits, comets=comets, cache=cache, site=site, midnight_utc=midnight, ephemeris=ephemeris
        )
        for number in of_night:
            exposure = exposures[number - 1]
            tables[number] = _in_exposure(
                night,
                exposure,
                number,
                limit_mag,
                footprint_radius(exposure) + margin_arcsec,
                max_error_arcsec,
            )
    filled = [tables[number] for number in sorted(tables) if len(tables[number])]
    return KnownObjects(
        table=known_table(pd.concat(filled, ignore_index=True) if filled else {}),
        checked=tuple(sorted(tables)),
    )


def footprint_radius(exposure: Exposure) -> float:
    """Radius in arcsec of the circle about an exposure's centre that holds all its chips."""
    corners = np.array([corner for chip in exposure.chips for corner in chip.corners_deg]).reshape(-1, 2)
    reach = sphere.separation_arcsec(exposure.ra_deg, exposure.dec_deg, corners[:, 0], corners[:, 1])
    return max(0.5 * math.hypot(exposure.width_deg, exposure.height_deg) * 3600.0, *reach.tolist(), 0.0)


def _in_exposure(
    night: Night,
    exposure: Exposure,
    number: int,
    limit_mag: float | None,
    radius: float,
    max_error: float,
) -> pd.DataFrame:
    found = objects_in_circle(
        night,
        ra_deg=exposure.ra_deg,
        dec_deg=exposure.dec_deg,
        radius_arcsec=radius,
        mjd_utc=exposure.mjd_mid,
        limit_mag=limit_mag,
        max_error_arcsec=max_error,
    )
    book, rows = night.orbits, found.rows
    named = [
        number_and_name(packed.decode("latin-1"), readable.decode("latin-1"))
        for packed, readable in zip(book.packed[rows].tolist(), book.readable[rows].tolist(), strict=True)
    ]
    asteroids = pd.DataFrame(
        {
            "NUMBER": pd.Series([number for number, _ in named], dtype=object),
            "NAME": pd.Series([name for _, name in named], dtype=object),
            "CLASS": classes(book.a[rows], book.e[rows], book.comet[rows]),
            **_columns(found),
        }
    )
    observer = observer_at(exposure.mjd_mid, site=night.site, ephemeris=night.ephemeris)
    seen, mag, error = planets_seen(observer, night.ephemeris)
    planets = pd.DataFrame(
        {
            "NUMBER": pd.Series([""] * len(PLANETS), dtype=object),
            "NAME": pd.Series(PLANETS, dtype=object),
            "CLASS": "Planet",
            **_columns(Found(rows=np.arange(len(PLANETS)), seen=seen, mag=mag, error=error)),
        }
    )
    away = sphere.separation_arcsec(exposure.ra_deg, exposure.dec_deg, seen.ra, seen.dec)
    planets = planets[away <= radius + 3.0 * error]
    table = pd.concat([part for part in (planets, asteroids) if len(part)] or [asteroids], ignore_index=True)
    return table.assign(CATALOG_NUMBER=number, SOURCE=SOURCE).sort_values(["MAG", "NAME"], ignore_index=True)


def _columns(found: Found) -> dict[str, object]:
    seen: Seen = found.seen
    return {
        "MAG": found.mag,
        "RA": seen.ra,
        "DEC": seen.dec,
        "PMRA": seen.pm_ra,
        "PMDEC": seen.pm_dec,
        "ERR": found.error,
    }
