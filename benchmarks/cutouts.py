"""Cutouts: ours, SWarp on pieces, and the seed's way (SWarp on the whole frame), side by side in one run.

Usage: python benchmarks/cutouts.py [--candidates 200] [--frames 5] [--side 4096] [--sample 10]

Ours cuts every detection. The two ways of SWarp are measured on a sample of them and multiplied: one start of
SWarp for each cutout takes as long for the last as for the first. The seed gives SWarp the whole frame, the
centre and the size, and lets it resample; so does this.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.wcs import WCS

from ssosd import astromatic
from ssosd.analysis.cutouts import SolvedImage, extract_cutouts
from ssosd.analysis.skygrid import LanczosCutter
from ssosd.analysis.swarp import SwarpCutter
from ssosd.plumbing.resources import shipped

SIZE_PX = 256
SEEDS = "SWarp on the whole frame (the seed's way)"
OURS = ("ours (CUTOUT_RESAMPLER LANCZOS3), 1 thread", "ours (CUTOUT_RESAMPLER LANCZOS3), 2 threads")


def header(side: int) -> fits.Header:
    """One arcsecond a pixel, turned by 2 degrees, with some distortion as SCAMP writes it."""
    c, s = np.cos(np.radians(2.0)) / 3600.0, np.sin(np.radians(2.0)) / 3600.0
    cards = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "CRVAL1": 150.0, "CRVAL2": 20.0}
    cards |= {"CRPIX1": side / 2, "CRPIX2": side / 2, "CD1_1": -c, "CD1_2": s, "CD2_1": s, "CD2_2": c}
    cards |= {"PV1_1": 1.0, "PV1_7": 1e-3, "PV2_1": 1.0, "PV2_7": 1e-3}
    return fits.Header(cards.items())


def night(folder: Path, *, frames: int, side: int, candidates: int) -> tuple[dict, pd.DataFrame]:
    """Frames of noise, their solutions, and a detection of each candidate in each frame."""
    rng = np.random.default_rng(1)
    head = header(side)
    text = head.tostring(sep="\n", endcard=True, padding=False)
    images, tables = {}, []
    start = rng.uniform(100.0, side - 100.0, (candidates, 2))
    for k in range(1, frames + 1):
        path = folder / f"{k}.fits"
        fits.PrimaryHDU(rng.normal(1000.0, 8.0, (side, side)).astype(np.float32), head).writeto(path)
        images[(k, 0)] = SolvedImage(
            path=path, hdu=0, header=text, date_obs="2026-11-14T20:00:00", filter="r"
        )
        ra, dec = WCS(head).all_pix2world(start + 5.0 * k, 1).T
        tables.append(
            pd.DataFrame(
                {"SOURCE_NUMBER": np.arange(1, candidates + 1), "CATALOG_NUMBER": k, "EXTENSION": 0}
                | {"RA": ra, "DEC": dec}
            )
        )
    return images, pd.concat(tables, ignore_index=True)


def seeds_way(images: dict, detections: pd.DataFrame, folder: Path) -> None:
    """SWarp on the whole frame, once for each detection."""
    program = astromatic.find("swarp").path
    folder.mkdir()
    for row in detections.itertuples():
        name = f"{row.SOURCE_NUMBER}_{row.CATALOG_NUMBER}"
        arguments = [program, str(images[(row.CATALOG_NUMBER, row.EXTENSION)].path)]
        arguments += ["-c", str(shipped("semp") / "ssos.swarp"), "-RESAMPLE", "Y", "-NTHREADS", "1"]
        arguments += ["-CENTER_TYPE", "MANUAL", "-CENTER", f"{row.RA},{row.DEC}"]
        arguments += ["-IMAGE_SIZE", f"{SIZE_PX},{SIZE_PX}", "-VERBOSE_TYPE", "QUIET"]
        arguments += ["-IMAGEOUT_NAME", f"{name}.fits", "-WEIGHTOUT_NAME", f"{name}.weight.fits"]
        subprocess.run(arguments, cwd=folder, check=True, timeout=600)


def ways(folder: Path, *, candidates: int, frames: int, side: int, sample: int) -> dict[str, float]:
    """Seconds that each way takes for all cutouts; in `folder`, which is made."""
    folder.mkdir()
    images, detections = night(folder, frames=frames, side=side, candidates=candidates)
    few = detections.sample(min(sample, len(detections)), random_state=1)
    share = len(few) / len(detections)
    taken = {}
    start = time.perf_counter()
    seeds_way(images, few, folder / "seed")
    taken[SEEDS] = (time.perf_counter() - start) / share
    start = time.perf_counter()
    swarp = SwarpCutter(
        binary=astromatic.find("swarp"),
        config=shipped("semp") / "ssos.swarp",
        time_limit_s=600.0,
        size_px=SIZE_PX,
        scratch=folder,
    )
    extract_cutouts(detections=few, images=images, cutter=swarp, directory=folder / "pieces")
    taken["SWarp on a piece (CUTOUT_RESAMPLER SWARP)"] = (time.perf_counter() - start) / share
    for workers, name in enumerate(OURS, start=1):
        start = time.perf_counter()
        made = extract_cutouts(
            detections=detections,
            images=images,
            cutter=LanczosCutter.of(detections, images, size_px=SIZE_PX),
            directory=folder / f"ours{workers}",
            workers=workers,
        )
        assert set(made["STATUS"]) == {"written"}
        taken[name] = time.perf_counter() - start
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("candidates", 200), ("frames", 5), ("side", 4096), ("sample", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssosd-") as room:
        print(
            f"{asked.candidates} candidates x {asked.frames} frames of {asked.side} x {asked.side} px, "
            f"cutouts of {SIZE_PX} px, load {os.getloadavg()[0]:.1f}"
        )
        taken = ways(Path(room) / "night", **vars(asked))
    n = asked.candidates * asked.frames
    for name, seconds in taken.items():
        each, share = 1e3 * seconds / n, seconds / taken[SEEDS]
        print(f"{name:<44}{seconds:>9.1f} s{each:>9.1f} ms each{share:>9.4f} of the seed's way")


if __name__ == "__main__":
    main()
