"""Paint a night: exposures of a sky that is known to the last photon, with its truth and reference catalogue.

The demo, the tests and the benchmarks run the real programs on such nights. The same options give the same
bytes. See `SkyOptions` for what can be asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.analysis.painter import files
from ssosd.analysis.painter.artefacts import make_detector
from ssosd.analysis.painter.chip import paint_chip
from ssosd.analysis.painter.movers import ephemeris, mover_list
from ssosd.analysis.painter.options import FAST, MAIN_BELT, NEO, SLOW, MoverClass, PlacedMover, SkyOptions
from ssosd.analysis.painter.shots import colour, middle_mjd, shots
from ssosd.analysis.painter.sources import paint_list
from ssosd.analysis.painter.truth import known_table, truth_rows
from ssosd.analysis.painter.wcs import chip_planes
from ssosd.plumbing.files import atomic_write_text

__all__ = [
    "FAST",
    "MAIN_BELT",
    "NEO",
    "SLOW",
    "MoverClass",
    "PaintedNight",
    "PlacedMover",
    "SkyOptions",
    "paint_night",
]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PaintedNight:
    """What was painted, and the truth about it."""

    directory: Path
    options: SkyOptions
    paths: tuple[Path, ...]  # exposures in time order
    exposures: pd.DataFrame  # one row per exposure: see `ssosd.analysis.painter.shots.Shot`
    truth: pd.DataFrame  # as truth.csv: one row per mover and exposure
    stars: pd.DataFrame  # as stars.csv: field, ra, dec, mag, kind
    known: pd.DataFrame  # as known.csv: ephemerides of the movers that count as known
    refcat: Path  # FITS-LDAC reference stars of all fields
    refcats: dict[str, Path]  # the same per field


def paint_night(directory: Path, options: SkyOptions) -> PaintedNight:
    """Paint all exposures of a night and write their truth.

    Writes the exposures, ``truth.csv``, ``stars.csv``, ``known.csv``, ``refcat.cat``, ``refcat_Fnn.cat`` and
    ``night.json`` into `directory`, which is made when missing.

    Parameters
    ----------
    directory : Path
        Files of the same names are replaced.
    options : SkyOptions

    Raises
    ------
    Retriable
        The disk is full.
    Misconfigured
        The directory cannot be written to.
    """
    directory = directory.absolute()
    taken = list(shots(options))
    fields = range(1, len(options.centers_deg) + 1)
    skies = {field: paint_list(options, field) for field in fields}
    movers: dict[int, pd.DataFrame] = {}
    number = 1
    for field in fields:
        movers[field] = mover_list(options, field, first_number=number)
        number += len(movers[field])
    detectors = [make_detector(options, chip) for chip in range(options.n_chips)]
    middle = middle_mjd(options)
    truth: list[pd.DataFrame] = []
    known: list[pd.DataFrame] = []
    for shot in taken:
        field = shot.field_number
        state = ephemeris(
            movers[field],
            hours=(shot.mjd_mid - middle) * 24.0,
            exptime_s=shot.exptime,
            colour_mag=colour(options, shot.visit),
        ).assign(extent=movers[field]["extent"].to_numpy())
        painted = [
            paint_chip(options, shot=shot, plane=plane, detector=detector, sky=skies[field], state=state)
            for plane, detector in zip(chip_planes(options), detectors, strict=True)
        ]
        files.write_exposure(
            directory / shot.path,
            [(chip.pixels, chip.wcs) for chip in painted],
            header=files.exposure_header(options, date_obs=shot.date_obs, visit=shot.visit, field=field),
            empty_primary=options.empty_primary,
        )
        moment = {"field": shot.field, "visit": shot.visit, "image": shot.image, "mjd_mid": shot.mjd_mid}
        truth.append(
            truth_rows(
                movers[field],
                state,
                [chip.measures for chip in painted],
                moment=moment,
                trail_px_per_rate=shot.exptime / 3600.0 / options.scale_arcsec,
                follow_arcsec_h=options.follow_arcsec_h,
            )
        )
        known.append(known_table(options, movers[field], state, moment=moment, field=field))
    refcat, refcats = _write_refcats(directory, options, skies)
    night = PaintedNight(
        directory=directory,
        options=options,
        paths=tuple(directory / shot.path for shot in taken),
        exposures=pd.DataFrame([asdict(shot) for shot in taken]),
        truth=pd.concat(truth, ignore_index=True),
        stars=pd.concat([skies[f].assign(field=f"F{f:02d}") for f in fields], ignore_index=True)[
            ["field", "ra", "dec", "mag", "kind"]
        ],
        known=pd.concat(known, ignore_index=True),
        refcat=refcat,
        refcats=refcats,
    )
    for name in ("truth", "stars", "known"):
        files.write_table(directory / f"{name}.csv", getattr(night, name))
    record = {"options": asdict(options), "exposures": [asdict(shot) for shot in taken]}
    atomic_write_text(directory / "night.json", json.dumps(record, indent=1) + "\n")
    return night


def _write_refcats(
    directory: Path, options: SkyOptions, skies: dict[int, pd.DataFrame]
) -> tuple[Path, dict[str, Path]]:
    """Write the reference stars of each field and of all fields."""
    tables = {f"F{f:02d}": files.reference_table(options, sky, field=f) for f, sky in skies.items()}
    refcats = {field: directory / f"refcat_{field}.cat" for field in tables}
    for field, table in tables.items():
        files.write_refcat(refcats[field], table)
    files.write_refcat(directory / "refcat.cat", np.concatenate(list(tables.values())))
    return directory / "refcat.cat", refcats
