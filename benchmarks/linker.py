"""What the two linkers find of movers whose truth is known, by rate and by SNR, side by side.

Run as ``python benchmarks/linker.py``. It paints nights of several densities, declinations, cadences and
cameras (and takes ``sim2`` if it lies beside the checkout), runs SExtractor and SCAMP with the shipped
set-up, then the linkers, the filter chain, the merging, the fit of trails and what the pixels confirm, as the
corridor does, with the default configuration.

- *eligible*: a mover with 4 or more appearances that are whole on the detector, unblended and of optimal
  SNR > 5. *catalogued*: one with 4 or more appearances, whole and unblended, that SExtractor detected:
  within 2 arcsec of its place at mid-exposure or, at SNR > 5, within 2 arcsec of its trail.
- *linked* (of the catalogued) and *found* (of the eligible): a candidate has 3 or more of its detections,
  and these are more than half of the candidate's. A candidate that is no mover in this sense is false.
- *shown*: the catalogued positions show the motion at all, the rate is more than 5 of its errors.

``--cache FOLDER`` keeps images and catalogues for the next run, ``--seed`` paints other nights, ``--lost``
lists the catalogued movers that TRACKLET did not link.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from linker_growth import growth
from linker_nights import NIGHTS, SIM2, Solved, solved_fields
from numpy.typing import NDArray

from ssosd.config import load_config
from ssosd.sphere import offsets_arcsec
from ssosd.station import Station
from ssosd.work.brightness import with_fitted_light
from ssosd.work.calibrating import photometry_of
from ssosd.work.confirming import false_expected, measured
from ssosd.work.linking import candidates_of
from ssosd.work.recovering import Pixels

LINKERS = ("SCAMP", "TRACKLET", "BOTH")
RATES = (0.1, 2.0, 20.0, 60.0, 300.0, 1000.0, 2000.0)
SNRS = (5.0, 8.0, 15.0, 30.0, np.inf)
NEAR = 2.0  # arcsec
SHOWN = 5.0  # rate over its error
MAGS = ("MAG", "MAG_CALIB")  # SExtractor's, and what a draft says
SEED = 11  # of nights that nobody looked at while the linker was made


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a linker made of a field."""

    candidates: pd.DataFrame  # rows of candidates with their trails fitted, MOVER and APART (arcsec)
    n_false: int
    expected: float  # false ones, as the linker thinks
    seconds: float


def movers_of(detections: pd.DataFrame, truth: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Row of the truth that each detection is of, -1 for none, and its distance from there, arcsec."""
    row, apart = np.full(len(detections), -1, dtype=np.intp), np.full(len(detections), np.inf)
    mjd = detections["MID_EXPOSURE_MJD"].to_numpy()
    for moment, now in truth[truth["on_detector"]].groupby("mjd_mid"):
        here = np.flatnonzero(np.abs(mjd - moment) < 1e-5)
        ra, dec = detections["RA"].to_numpy()[here], detections["DEC"].to_numpy()[here]
        closest = np.full(here.size, NEAR)
        for k, mover in zip(now.index, now.itertuples(), strict=True):
            east, north = offsets_arcsec(ra, dec, mover.ra, mover.dec)
            pa, away = np.radians(mover.pa), np.hypot(east, north)
            along, across = (
                east * np.sin(pa) + north * np.cos(pa),
                np.abs(east * np.cos(pa) - north * np.sin(pa)),
            )
            on = np.where((np.abs(along) < mover.trail / 2.0) & (mover.snr > 5.0), across, away)
            ours = on < closest
            closest[ours], row[here[ours]], apart[here[ours]] = on[ours], k, away[ours]
    return row, apart


def run(field: Solved, linker: str) -> Found:
    """Candidates of a field as the corridor makes them."""
    config = load_config(None, overrides={"LINKER": linker}, cwd=Path.cwd(), files_must_exist=False)
    start = time.perf_counter()
    result = candidates_of(field.linked, config=config, progress=lambda _: None)
    seconds = time.perf_counter() - start
    station = Station.to_look(config, Path.cwd())
    pixels = Pixels.of(result, photometry_of(field.linked, station=station), station=station)
    with pixels.chips:
        found = measured(result, pixels, station=station).candidates
        found = with_fitted_light(found, pixels, station=station)
    row, apart = movers_of(found, field.truth)
    mover = np.where(row >= 0, field.truth["id"].to_numpy(dtype=object)[row], "")
    table = found.assign(MOVER=mover, APART=apart, TRUTH=row)
    number = table["SOURCE_NUMBER"]
    votes = table[mover != ""].groupby(["SOURCE_NUMBER", "MOVER"]).size().reset_index(name="N")
    best = votes.sort_values("N").drop_duplicates("SOURCE_NUMBER", keep="last").set_index("SOURCE_NUMBER")
    right = best[(best["N"] >= 3) & (2 * best["N"] > number.value_counts().reindex(best.index))]
    table["IS"] = number.map(right["MOVER"]).fillna("")
    return Found(
        candidates=table,
        n_false=int(number[table["IS"] == ""].nunique()),
        expected=false_expected(found),
        seconds=seconds,
    )


def judge(field: Solved, found: dict[str, Found]) -> pd.DataFrame:
    """Movers of a field: rate, snr, eligible, catalogued, and whether each linker found them."""
    truth = field.truth
    row, _ = movers_of(field.linked.detections, truth)
    good = truth[truth["on_detector"] & truth["whole"] & truth["unblended"]]
    table = pd.DataFrame({"field": field.name, "rate": truth.groupby("id")["rate"].median()})
    table["snr"] = good.groupby("id")["snr"].median()
    for name, rows in (("eligible", good[good["snr"] > 5.0]), ("catalogued", good[good.index.isin(row)])):
        table[f"n_{name}"] = rows.groupby("id").size().reindex(table.index, fill_value=0)
        table[name] = table[f"n_{name}"] >= 4
    table["shown"] = _significance(field, row, good).reindex(table.index, fill_value=0.0) > SHOWN
    for linker, result in found.items():
        table[linker] = table.index.isin(result.candidates["IS"])
    return table


def _significance(field: Solved, row: NDArray[np.intp], good: pd.DataFrame) -> pd.Series:
    """Rate of each mover over the error with which its catalogued positions can tell it."""
    own = np.isin(row, good.index)
    detections = field.linked.detections[own]
    there = pd.DataFrame(
        {
            "id": field.truth["id"].to_numpy()[row[own]],
            "rate": field.truth["rate"].to_numpy()[row[own]],
            "t": detections["MID_EXPOSURE_MJD"].to_numpy() * 24.0,
            "weight": 1.0 / (detections["ERRA_WORLD"] * detections["ERRB_WORLD"] * 3600.0**2).to_numpy(),
        }
    ).drop_duplicates(["id", "t"])
    groups = there.groupby("id")
    apart = there["t"] - groups["t"].transform("mean")
    return groups["rate"].median() * np.sqrt((there["weight"] * apart**2).groupby(there["id"]).sum())


def errors_of(found: Found, truth: pd.DataFrame) -> pd.DataFrame:
    """Detections of right candidates: mover, snr, rate, apart (arcsec), `MAGS` off (mag, of the median)."""
    candidates = found.candidates
    own = candidates[(candidates["IS"] == candidates["MOVER"]) & (candidates["IS"] != "")]
    there = truth.loc[own["TRUTH"], ["snr", "rate", "mag", "visit"]].set_axis(own.index)
    table = there.assign(mover=own["IS"], apart=own["APART"])
    sharp = table["snr"] > 15.0
    for name in MAGS:
        off = own[name] - there["mag"]
        table[name] = off - table["visit"].map(off[sharp].groupby(table["visit"][sharp]).median())
    return table


def print_shares(title: str, movers: pd.DataFrame, key: str, bins: tuple[tuple[float, float], ...]) -> None:
    """Print the share of the eligible that is found, and of the catalogued that is linked."""
    head = "".join(f"{linker:>9}" for linker in LINKERS)
    print(f"\n{title:<16}{'eligible':>9}{head}{'catalogued':>12}{head}")
    for low, high in bins:
        text = f"{low:g}-{high:g}".replace("-inf", " up")
        print_row(text, movers[(movers[key] >= low) & (movers[key] < high)])


def print_row(text: str, movers: pd.DataFrame) -> None:
    line = f"{text:<16}"
    for chosen, width in (("eligible", 9), ("catalogued", 12)):
        these = movers[movers[chosen]]
        line += f"{len(these):>{width}}"
        line += "".join(f"{these[k].mean():>9.3f}" if len(these) else f"{'-':>9}" for k in LINKERS)
    print(line)


def print_precision(errors: pd.DataFrame) -> None:
    """Print how good positions and magnitudes of the movers found are."""
    for low, high in ((0.0, np.inf), (0.0, 300.0), (300.0, 2000.0)):
        rows = errors[(errors["snr"] > 30.0) & (errors["rate"] >= low) & (errors["rate"] < high)]
        rms = np.sqrt((rows["apart"] ** 2).groupby([rows["field"], rows["mover"]]).mean())
        print(
            f'rms of positions at SNR > 30, {low:g}-{high:g} "/h: median {rms.median():.3f} arcsec,'
            f" {rms.median() / np.sqrt(2.0):.3f} in each coordinate ({len(rms)} movers)"
        )
    for name in MAGS:
        for low, high in ((5.0, 10.0), (10.0, 30.0)):
            off = errors[name][errors["snr"].between(low, high)].dropna()
            mad = (off - off.median()).abs().median()
            print(
                f"{name} at SNR {low:g}-{high:g}: mad {mad:.3f} mag, times 1.4826 {1.4826 * mad:.3f}"
                f" ({len(off)} detections, median {off.median():+.3f})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", nargs="*", default=[*NIGHTS, *(["sim2"] if SIM2.is_dir() else [])])
    parser.add_argument("--seed", type=int, default=SEED, help="of the painted nights")
    parser.add_argument("--cache", type=Path, help="folder that keeps the catalogues")
    parser.add_argument("--lost", action="store_true", help="list the catalogued movers that TRACKLET lost")
    parser.add_argument("--no-growth", action="store_true", help="leave out the growth with density")
    given = parser.parse_args()
    every, errors = [], []
    names = [f"{linker} false" for linker in LINKERS]
    print(f"{'field':<16}{'detections':>11}{'SExtractor':>12}{'SCAMP':>8}{'TRACKLET':>10}", end="")
    print("".join(f"{name:>16}" for name in names) + f"{'expected':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        cache = given.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        for field in solved_fields(given.nights, seed=given.seed, cache=cache):
            found = {linker: run(field, linker) for linker in LINKERS}
            every.append(judge(field, found))
            errors.append(errors_of(found["BOTH"], field.truth).assign(field=field.name))
            print(f"{field.name:<16}{len(field.linked.detections):>11,}{field.sextractor_s:>10.1f} s", end="")
            print(f"{field.scamp_s:>6.1f} s{found['TRACKLET'].seconds:>8.1f} s", end="")
            print("".join(f"{found[linker].n_false:>16}" for linker in LINKERS), end="")
            print(f"{found['BOTH'].expected:>10.2f}", flush=True)
    movers = pd.concat(every)
    print_shares('rate, "/h', movers, "rate", (*pairwise(RATES), (2.0, 300.0)))
    print_row("2-300, shown", movers[movers["shown"] & movers["rate"].between(2.0, 300.0)])
    print_row("all", movers)
    print_shares("SNR", movers, "snr", tuple(pairwise(SNRS)))
    print()
    print_precision(pd.concat(errors))
    if given.lost:
        print(movers[movers["catalogued"] & ~movers["TRACKLET"]].to_string())
    if not given.no_growth:
        growth()


if __name__ == "__main__":
    main()
