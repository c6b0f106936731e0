"""Nights for the linker's benchmark: painted, extracted, solved by SCAMP, kept with their images."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd import astromatic
from ssosd.analysis.painter.night import FAST, MAIN_BELT, NEO, SLOW, SkyOptions, paint_night
from ssosd.ingest.exposure import read_exposure
from ssosd.ingest.sequence import group_exposures
from ssosd.linker.scamp.link import Linked, link
from ssosd.model import HeaderKeywords
from ssosd.plumbing.resources import shipped
from tests.sky import catalogue_of

SIM2 = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "sim2"
RADIUS = 25.0  # CROSSID_RADIUS of the SCAMP linker, arcsec
MOVERS = (
    replace(MAIN_BELT, count=80, rate_arcsec_h=(5.0, 60.0), mag=(15.5, 23.2), pa_deg=(-40.0, 40.0)),
    replace(NEO, count=40),
    replace(FAST, count=40),
    replace(SLOW, count=30, rate_arcsec_h=(0.3, 5.0)),
)
LIKE_SIM2: dict[str, Any] = {
    "size_px": (2048, 2048), "stars": 8000, "star_mags": (8.0, 23.0), "galaxies": 4000, "cosmics": 60,
    "hot_pixels": 400, "bad_columns": 3, "satellites": 0.2, "distortion_px": 1.5, "rotation_error_deg": 0.1,
    "movers": MOVERS,
}  # fmt: skip
FINE: dict[str, Any] = {
    "scale_arcsec": 0.6, "seeing_arcsec": 1.5, "gain": 3.0, "read_noise_e": 5.0, "exptimes_s": (60.0,),
    "zero_point": 25.0, "stars": 3000, "galaxies": 1500,
}  # fmt: skip
COARSE: dict[str, Any] = {
    "scale_arcsec": 1.7, "seeing_arcsec": 3.2, "psf": "gaussian", "exptimes_s": (180.0,), "gain": 0.8,
    "size_px": (1536, 1536), "stars": 12_000, "galaxies": 6000,
}  # fmt: skip
#: Name, RA and Dec of the field, what is not as on sim2. Each night has one field.
NIGHTS: dict[str, tuple[tuple[float, float], dict[str, Any]]] = {
    "plain": ((34.5, 13.6), {}),
    "south": ((250.0, -35.0), {"seeing_arcsec": 2.0, "dither_arcsec": 30.0}),
    "dense-30min": ((270.0, -20.0), {"stars": 20_000, "cadence_min": 30.0}),
    "polar-5min": ((100.0, 84.0), {"cadence_min": 5.0}),
    "ra0-5min": ((0.0, 5.0), {"cadence_min": 5.0, "exposures": 6, "exptimes_s": (60.0,), "stars": 4000}),
    "fine": ((180.0, -45.0), FINE),
    "fine-30min": ((220.0, 20.0), FINE | {"cadence_min": 30.0, "stars": 6000}),
    "coarse": ((150.0, 60.0), COARSE),
}


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A field of a night: its detections solved and linked by SCAMP, and the truth."""

    name: str
    linked: Linked  # its images lie in the cache
    truth: pd.DataFrame
    sextractor_s: float  # of all exposures
    scamp_s: float


def solved_fields(names: list[str], *, seed: int, cache: Path) -> Iterator[Solved]:
    """Painted nights with this seed, and sim2 where it lies beside the checkout."""
    for name in names:
        kept = cache / f"{name}-{seed}.pkl"
        if not kept.exists():
            folder = SIM2 if name == "sim2" else _painted(name, seed, cache)
            pd.to_pickle(_solve(name, folder, cache), kept)
        yield from pd.read_pickle(kept)


def options(seed: int, **changes: Any) -> SkyOptions:
    """Describe a night like sim2, with changes."""
    return SkyOptions(seed=seed, detector_seed=seed, **(LIKE_SIM2 | changes))


def _painted(name: str, seed: int, cache: Path) -> Path:
    centre, changes = NIGHTS[name]
    paint_night(cache / f"{name}-{seed}", options(seed, centers_deg=(centre,), **changes))
    return cache / f"{name}-{seed}"


def _solve(name: str, night: Path, cache: Path) -> list[Solved]:
    """Extract and solve the fields of a night with the shipped set-up."""
    paths = sorted(p for p in night.iterdir() if p.name.endswith((".fits", ".fits.fz")))
    exposures = [read_exposure(p, keywords=HeaderKeywords(), extensions=None) for p in paths]
    truth = pd.read_csv(night / "truth.csv")
    truth["trail"] = truth["rate"] * exposures[0].exptime_s / 3600.0  # arcsec; one exposure time a night
    fields = []
    for sequence in group_exposures(exposures, night="n", radius_fraction=0.3, gap_hours=0.0):
        work = cache / f"work-{name}-{sequence.field}"
        work.mkdir()
        start = time.perf_counter()
        catalogues = [catalogue_of(exposure, work) for exposure in sequence.exposures]
        middle = time.perf_counter()
        linked = link(
            exposures=sequence.exposures,
            catalogues=catalogues,
            binary=astromatic.find("scamp"),
            config=shipped("semp/ssos.scamp"),
            reference=night / f"refcat_{sequence.field}.cat",
            crossid_radius_arcsec=RADIUS,
            remove_ref_sources=False,
            workdir=work,
            time_limit_s=900.0,
        )
        end = time.perf_counter()
        fields.append(
            Solved(
                name=f"{name} {sequence.field}",
                linked=linked,
                truth=truth[truth["field"] == sequence.field].reset_index(drop=True),
                sextractor_s=middle - start,
                scamp_s=end - middle,
            )
        )
        shutil.rmtree(work)
    return fields
