"""The two linkers side by side: SCAMP with the filter chain, and TRACKLET, where the truth is known.

Run as ``python benchmarks/linker.py``. It paints nights like ``sim2`` (and takes ``sim2`` if it lies beside
the checkout), runs SExtractor with the shipped set-up and with a deeper one, solves with SCAMP, links, and
prints completeness by rate and by SNR, false tracks and times; then how the time grows with the number of
detections. ``--cache FOLDER`` keeps nights and catalogues for the next run.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssosd import astromatic
from ssosd.analysis.painter.night import FAST, MAIN_BELT, NEO, SLOW, SkyOptions, paint_night
from ssosd.analysis.truth import RATE_EDGES, SNR_EDGES, compare_with_truth
from ssosd.config import load_config
from ssosd.filters.chain import ChainSettings, run_chain
from ssosd.ingest.exposure import read_exposure
from ssosd.ingest.prepare import prepare_image
from ssosd.ingest.sequence import group_exposures
from ssosd.ingest.sextractor import extract
from ssosd.linker.scamp.link import link
from ssosd.linker.tracklets.link import link_tracklets
from ssosd.model import HeaderKeywords
from ssosd.plumbing.resources import shipped
from ssosd.sphere import separation_arcsec
from tests.tracklets_sky import Night, ring

SIM2 = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "sim2"
RADIUS = 25.0  # CROSSID_RADIUS of the SCAMP linker, arcsec
DEEP = {"DETECT_THRESH": "1.0", "ANALYSIS_THRESH": "1.0", "DETECT_MINAREA": "1",
        "DEBLEND_NTHRESH": "32", "DEBLEND_MINCONT": "0.005"}  # fmt: skip
SETUPS: dict[str, dict[str, str]] = {"shipped": {}, "deep": DEEP}
GROWTH = (3_000, 10_000, 30_000, 100_000)


@dataclass(frozen=True, kw_only=True)
class Field:
    """A sequence, solved and linked by SCAMP."""

    name: str
    detections: pd.DataFrame
    sextractor_s: float
    scamp_s: float


def options(seed: int, **changes: Any) -> SkyOptions:
    """Describe a night like sim2, with changes."""
    movers = (
        replace(MAIN_BELT, count=120, rate_arcsec_h=(5.0, 60.0), mag=(15.5, 23.2)),
        replace(NEO, count=30, rate_arcsec_h=(60.0, 200.0)),
        replace(FAST, count=20),
        replace(SLOW, count=30, rate_arcsec_h=(1.0, 5.0)),
    )
    usual: dict[str, Any] = {
        "centers_deg": ((34.5, 13.6), (95.0, 38.0)), "size_px": (2048, 2048), "stars": 8000,
        "star_mags": (8.0, 23.0), "galaxies": 4000, "cosmics": 60, "hot_pixels": 400, "bad_columns": 3,
        "distortion_px": 1.5, "rotation_error_deg": 0.1, "movers": movers,
    }  # fmt: skip
    return SkyOptions(seed=seed, detector_seed=seed, **(usual | changes))


#: Other seeds, densities, declinations, cadences and detectors.
NIGHTS: dict[str, SkyOptions] = {
    "plain": options(31),
    "another": options(32, centers_deg=((210.0, -11.0), (250.0, -35.0))),
    "dense-30min": options(33, centers_deg=((270.0, -20.0), (300.0, 25.0)), stars=20_000, cadence_min=30.0),
    "polar-5min": options(34, centers_deg=((100.0, 72.0), (10.0, -84.0)), cadence_min=5.0),
    "fine": options(
        35, centers_deg=((0.0, 5.0), (180.0, -45.0)), scale_arcsec=0.6, seeing_arcsec=1.5, gain=3.0,
        read_noise_e=5.0, exptimes_s=(60.0,), zero_point=25.0, stars=3000, galaxies=1500,
    ),
    "coarse": options(
        36, centers_deg=((150.0, 60.0), (330.0, 0.0)), scale_arcsec=1.7, seeing_arcsec=3.2, psf="gaussian",
        exptimes_s=(180.0,), cadence_min=20.0, size_px=(1536, 1536), stars=15_000, galaxies=6000,
    ),
}  # fmt: skip


def solve(night: Path, setup: str, cache: Path) -> list[Field]:
    """Catalogues of all fields of a night, linked by SCAMP; from the cache when they are there."""
    kept = cache / f"{night.name}-{setup}.pkl"
    if kept.exists():
        return list(pd.read_pickle(kept))
    fields = []
    paths = sorted(p for p in night.iterdir() if p.name.endswith((".fits", ".fits.fz")))
    exposures = [read_exposure(p, keywords=HeaderKeywords(), extensions=None) for p in paths]
    for sequence in group_exposures(exposures, night="n", radius_fraction=0.3, gap_hours=0.0):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            text = shipped("semp/ssos.sex").read_text() + "".join(
                f"\n{k} {v}" for k, v in SETUPS[setup].items()
            )
            (folder / "bench.sex").write_text(text + "\n")
            start, catalogues = time.perf_counter(), []
            for exposure in sequence.exposures:
                catalogues.append(folder / f"{exposure.stem}.cat")
                extract(
                    exposure=exposure,
                    prepared=prepare_image(exposure, directory=folder / exposure.stem, weights=None),
                    binary=astromatic.find("sextractor"),
                    config=folder / "bench.sex",
                    params=shipped("semp/ssos.param"),
                    conv=shipped("semp/gauss_2.5_5x5.conv"),
                    nnw=shipped("semp/default.nnw"),
                    output=catalogues[-1],
                    time_limit_s=300.0,
                    key="",
                )
            middle = time.perf_counter()
            linked = link(
                exposures=sequence.exposures,
                catalogues=catalogues,
                binary=astromatic.find("scamp"),
                config=shipped("semp/ssos.scamp"),
                reference=night / f"refcat_{sequence.field}.cat",
                crossid_radius_arcsec=RADIUS,
                remove_ref_sources=False,
                workdir=folder,
                time_limit_s=900.0,
            )
            fields.append(
                Field(
                    name=sequence.field,
                    detections=linked.detections,
                    sextractor_s=middle - start,
                    scamp_s=time.perf_counter() - middle,
                )
            )
    pd.to_pickle(fields, kept)
    return fields


def chain(detections: pd.DataFrame) -> pd.DataFrame:
    """Candidates of the SCAMP linker with the default chain."""
    config = load_config(None, overrides={}, cwd=Path.cwd(), files_must_exist=False)
    settings = replace(ChainSettings.from_mapping(config), filter_bright_sources=False)
    return run_chain(detections, settings=settings).candidates


def catalogued(detections: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """Number of good appearances of each mover that SExtractor detected within 2 arcsec."""
    good = truth[truth["on_detector"] & truth["whole"] & truth["unblended"]]
    count: dict[str, int] = {}
    for mjd, rows in detections.groupby("MID_EXPOSURE_MJD"):
        for row in good[(good["mjd_mid"] - mjd).abs() < 2.0 / 86400.0].itertuples():
            near = rows[(rows["DEC"] - row.dec).abs() < 3.0 / 3600.0]
            apart = separation_arcsec(near["RA"], near["DEC"], row.ra, row.dec)
            count[row.id] = count.get(row.id, 0) + int((apart < 2.0).any())
    return pd.Series(count, dtype=float)


def off_trail(candidates: pd.DataFrame, truth: pd.DataFrame) -> int:
    """Number of sources most of whose detections are on no mover's trail: those that are nothing at all."""
    on = np.zeros(len(candidates), dtype=bool)
    for k, row in enumerate(candidates.itertuples()):
        now = truth[(truth["mjd_mid"] - row.MID_EXPOSURE_MJD).abs() < 2.0 / 86400.0]
        apart = separation_arcsec(row.RA, row.DEC, now["ra"], now["dec"])
        on[k] = bool((apart < np.maximum(2.0, now["trail_px"] / 2.0 + 3.0)).any())
    share = pd.Series(on).groupby(candidates["SOURCE_NUMBER"].to_numpy()).mean()
    return int((share <= 0.5).sum())


def judge(fields: list[Field], truth: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Movers of a night with what each linker found, and a line of figures for each."""
    result, lines = pd.DataFrame(), []
    for linker in ("SCAMP", "TRACKLET"):
        parts, seconds, expected, nothing = [], 0.0, 0.0, 0
        for field in fields:
            start = time.perf_counter()
            if linker == "SCAMP":
                found = chain(field.detections)
                seconds += field.scamp_s
            else:
                linked = link_tracklets(
                    detections=field.detections, pm_low=0.5, pm_up=2000.0, min_detections=4
                )
                found, expected = linked.detections, expected + linked.n_false_expected
            seconds += time.perf_counter() - start
            nothing += off_trail(found, truth[truth["field"] == field.name])
            parts.append(found.assign(FIELD=field.name))
        compared = compare_with_truth(pd.concat(parts, ignore_index=True), truth)
        movers = compared.movers.set_index("id")
        if result.empty:
            seen = pd.concat([catalogued(f.detections, truth[truth["field"] == f.name]) for f in fields])
            result = movers[["rate", "snr", "eligible"]].assign(
                catalogued=seen.reindex(movers.index).fillna(0.0) >= 4
            )
        result[linker] = movers["found"]
        n = len(fields)
        lines.append(
            f"{linker:<9}{compared.n_found:>4} of {compared.n_eligible} eligible ="
            f" {compared.completeness:.2f}, {compared.n_beyond} beyond; false per field:"
            f" {nothing / n:.1f} on no trail, {expected / n:.2f} expected,"
            f" {compared.n_false / n:.1f} not within 2 arcsec; {seconds / n:.2f} s"
        )
    return result, lines


def table(title: str, movers: pd.DataFrame, key: str, edges: tuple[float, ...]) -> None:
    """Print the share found, of the eligible and of the catalogued, by bins of a column."""
    head = f"{'SCAMP':>7}{'TRACKLET':>9}"
    print(f"\n{title:<16}{'eligible':>9}{head}{'>= 4 catalogued':>19}{head}")
    for low, high in pairwise(edges):
        row = f"{low:g}-{high:g}".replace("-inf", " and up")
        text = f"{row:<16}"
        for chosen, width in (("eligible", 9), ("catalogued", 19)):
            these = movers[movers[chosen] & (movers[key] >= low) & (movers[key] < high)]
            text += f"{len(these):>{width}}"
            for linker, space in (("SCAMP", 7), ("TRACKLET", 9)):
                text += f"{these[linker].mean():>{space}.2f}" if len(these) else f"{'-':>{space}}"
        print(text)


def growth() -> None:
    """Print time and memory of TRACKLET against the number of detections."""
    print(f"\n{'detections':>12}{'frames':>8}{'s':>8}{'found':>9}{'MB':>8}")
    runs = [(n, 5, 0.25) for n in GROWTH] + [(3_000, 100, 0.1)]
    for n, frames, cadence in runs:
        night = Night(
            size=2048.0, stars=int(0.85 * n), noise=int(0.15 * n), movers=ring(50, (3.0, 200.0), reach=900.0),
            hours=tuple(np.arange(frames) * cadence),
        )  # fmt: skip
        detections = night.table()
        start = time.perf_counter()
        linked = link_tracklets(detections=detections, pm_low=0.5, pm_up=2000.0, min_detections=4)
        seconds = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        print(f"{n:>12,}{frames:>8}{seconds:>8.2f}{len(linked.sources):>6} /50{memory:>8.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="SCAMP and TRACKLET side by side.")
    parser.add_argument("--nights", nargs="*", default=list(NIGHTS), choices=NIGHTS, help="to paint")
    parser.add_argument("--setups", nargs="*", default=list(SETUPS), choices=SETUPS, help="of SExtractor")
    parser.add_argument("--cache", type=Path, help="folder that keeps nights and catalogues")
    parser.add_argument("--no-growth", action="store_true", help="leave out the growth")
    given = parser.parse_args()
    if not given.no_growth:
        growth()
    with tempfile.TemporaryDirectory() as scratch:
        cache = given.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        nights = [cache / name for name in given.nights]
        for night in nights:
            if not (night / "truth.csv").exists():
                paint_night(night, NIGHTS[night.name])
        nights += [SIM2] if SIM2.is_dir() else []
        for setup in given.setups:
            every = []
            for night in nights:
                fields = solve(night, setup, cache)
                movers, lines = judge(fields, pd.read_csv(night / "truth.csv"))
                every.append(movers)
                rows = sum(len(f.detections) for f in fields) / len(fields)
                spent = sum(f.sextractor_s for f in fields) / len(fields)
                print(f"\n{night.name}, {setup}: {rows:,.0f} detections, {spent:.1f} s of SExtractor a field")
                print("\n".join(lines), flush=True)
            together = pd.concat(every, ignore_index=True)
            table(f'"/h, {setup}', together, "rate", RATE_EDGES)
            table(f"SNR, {setup}", together, "snr", SNR_EDGES)


if __name__ == "__main__":
    main()
