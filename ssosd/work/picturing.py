"""Pictures of a sequence's candidates: cutouts, and fixed apertures on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from ssosd.analysis.apertures import fixed_apertures
from ssosd.analysis.cutouts import Cutter, SolvedImage, extract_cutouts
from ssosd.analysis.skygrid import LanczosCutter
from ssosd.analysis.solved import OpenFiles
from ssosd.analysis.swarp import SwarpCutter
from ssosd.linker.scamp.link import Linked
from ssosd.station import Station

_SWARPS = 2  # processes at a time; sequences are linked side by side already


def pictures(
    found: pd.DataFrame, *, linked: Linked, staged: Path, station: Station, files: OpenFiles
) -> tuple[pd.DataFrame, list[str]]:
    """Cutouts and fixed apertures, as far as they are wanted; images may be open already."""
    config = station.config
    notes: list[str] = []
    if (config["EXTRACT_CUTOUTS"] or config["FIXED_APER_MAGS"]) and len(found):
        kept = staged / "cutouts" if config["EXTRACT_CUTOUTS"] else staged / ".cutouts"
        kept.mkdir(exist_ok=True)
        images = solved_images(linked)
        cut = extract_cutouts(
            detections=found,
            images=images,
            cutter=_cutter(found, images, station),
            directory=kept,
            workers=_SWARPS if config["CUTOUT_RESAMPLER"] == "SWARP" else 1,
            files=files,
        )
        notes += [reason for reason in cut["REASON"] if reason]
        if config["FIXED_APER_MAGS"]:
            found = fixed_apertures(
                detections=found,
                cutouts={key: Path(p) for key, p in zip(cut.index.tolist(), cut["PATH"], strict=True) if p},
                reference_filters=config["REFERENCE_FILTER"],
                binary=station.binaries["sextractor"],
                config=config["SEX_CONFIG"],
                conv=config["SEX_FILTER"],
                nnw=config["SEX_NNW"],
                time_limit_s=config["SEX_TIME_LIMIT"],
                directory=station.scratch,
            )
        if not config["EXTRACT_CUTOUTS"]:
            shutil.rmtree(kept)
    return found, notes


def _cutter(found: pd.DataFrame, images: dict[tuple[int, int], SolvedImage], station: Station) -> Cutter:
    config = station.config
    size_px = config["CUTOUT_SIZE"]
    if config["CUTOUT_RESAMPLER"] == "LANCZOS3":
        return LanczosCutter.of(found, images, size_px=size_px)
    return SwarpCutter(
        binary=station.binaries["swarp"],
        config=config["SWARP_CONFIG"],
        time_limit_s=config["SWARP_TIME_LIMIT"],
        size_px=size_px,
        scratch=station.scratch,
    )


def solved_images(linked: Linked) -> dict[tuple[int, int], SolvedImage]:
    """Each chip of the exposures with its solved astrometry, by CATALOG_NUMBER and EXTENSION."""
    by_number = dict(enumerate(linked.exposures, start=1))
    return {
        (number, hdu): SolvedImage(
            path=Path(by_number[number].path),
            hdu=hdu,
            header=header,
            date_obs=by_number[number].date_obs,
            filter=by_number[number].filter,
        )
        for (number, hdu), header in linked.solved.items()
    }
