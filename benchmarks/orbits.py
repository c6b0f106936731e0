"""Our own ephemerides at full size: first night, next night and footprint queries, and the peak of memory.

Run as ``python benchmarks/orbits.py [number of orbits]`` (1.4 million unless told, a file of 290 MB in a
temporary folder). The orbits are made up but spread like the real ones: 3 % with perihelia within 1.4 AU, a
few Trojans and transneptunians; 88 % at the standard epoch 180 days before the night, 6 % at that before, and
6 % of one apparition in the last twenty years, left at epochs of that time.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

import numpy as np

from ssosd.identify.orbits.footprint import objects_in_circle
from ssosd.identify.orbits.known import known_objects_from_orbits
from ssosd.identify.orbits.planets import ErfaEphemeris
from ssosd.identify.orbits.prepare import midnight_of, prepare_night
from ssosd.model import Exposure
from ssosd.site import site_from_code
from ssosd.sphere import to_radec

SITE = site_from_code("688")
NIGHT = 61180.3
STANDARD = 61000
QUERIES = 40
PART = 50_000
CODE = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


def packed_dates(mjd: np.ndarray) -> np.ndarray:
    days = np.datetime64("1858-11-17") + mjd.astype(np.int64)
    text = days.astype("datetime64[D]").astype(str)
    centuries = {"19": "J", "20": "K"}
    return np.array([centuries[t[:2]] + t[2:4] + CODE[int(t[5:7])] + CODE[int(t[8:10])] for t in text])


def write_orbits(path: Path, n: int) -> None:
    """Write the file, in parts that need little memory."""
    with path.open("w", encoding="ascii") as file:
        file.write("made up\n" + "-" * 160 + "\n\n")
        for first in range(0, n, PART):
            write_part(file, np.random.default_rng(first), min(PART, n - first))


def write_part(file: TextIO, rng: np.random.Generator, n: int) -> None:
    kind = rng.choice(4, n, p=[0.955, 0.03, 0.01, 0.005])
    a = np.choose(
        kind,
        [
            rng.uniform(2.15, 3.3, n),
            rng.uniform(0.8, 2.8, n),
            rng.normal(5.2, 0.05, n),
            rng.uniform(30, 50, n),
        ],
    )
    q = rng.uniform(0.3, 1.4, n)
    e = np.where(kind == 1, np.clip(1.0 - q / a, 0.05, 0.95), np.minimum(rng.rayleigh(0.12, n), 0.3))
    incl = np.minimum(rng.rayleigh(8.0, n), 60.0)
    mean, peri, node = rng.uniform(0.0, 359.99999, (3, n))
    h = rng.normal(17.5, 1.2, n)
    group = rng.choice(3, n, p=[0.88, 0.06, 0.06])
    epoch = np.choose(group, [STANDARD, STANDARD - 200, rng.integers(53700, 61000, n)])
    grade = np.where(group == 2, rng.integers(6, 10, n), np.minimum(rng.geometric(0.4, n) - 1, 9))
    motion = 0.9856076686 / a**1.5
    dates = dict(zip(np.unique(epoch).tolist(), packed_dates(np.unique(epoch)).tolist(), strict=True))
    last = np.datetime64("1858-11-17") + np.minimum(np.unique(epoch), 60949)
    seen = {t: str(day).replace("-", "") for t, day in zip(dates, last, strict=True)}
    columns = (h, epoch, mean, peri, node, incl, e, motion, a, grade)
    rows = zip(*(c.tolist() for c in columns), strict=True)
    for i, (h_, t, m, w, o, inc, ecc, n_, a_, u) in enumerate(rows):
        letter = CODE[10 + i % 20]
        file.write(
            f"K{i % 30:02d}{letter}{i // 600 % 100:02d}{letter} {h_:5.2f}  0.15 {dates[t]} "
            f"{m:9.5f}  {w:9.5f}  {o:9.5f}  {inc:9.5f}  {ecc:9.7f} {n_:11.8f} {a_:11.7f}  {u} "
            f"MPO286777    50   3 2001-2025 0.50 M-v 30h MPCLINUX   0000 {'':28s}{seen[t]}\n"
        )


def night(path: Path, cache: Path, mjd: float):
    start, cpu = time.perf_counter(), time.process_time()
    ready = prepare_night(
        orbits=path,
        cache=cache,
        site=SITE,
        midnight_utc=midnight_of(mjd, SITE),
        ephemeris=ErfaEphemeris(),
    )
    return ready, f"{time.perf_counter() - start:8.2f} s  ({time.process_time() - cpu:.2f} s of one core)"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(n: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "MPCORB.DAT", Path(folder) / "cache"
        write_orbits(path, n)
        before = peak_mb()
        ready, first = night(path, cache, NIGHT)
        print(f"{n} orbits, {path.stat().st_size / 1e6:.0f} MB; {len(ready.rows)} carried")
        print(f"first preparation of a night   {first}")
        print(f"peak of memory so far          {peak_mb():8.0f} MB (making up the file took {before:.0f})")
        for days in (1, 2, 3, 4, 5):
            del ready
            ready, took = night(path, cache, NIGHT + days)
            print(f"night {days} later                  {took}  (grid {ready.grid_tt:.0f})")
        del ready
        ready, took = night(path, cache, NIGHT + 5)
        print(f"the same night again           {took}")
        rng = np.random.default_rng(1)
        times, counts = [], []
        for i in rng.integers(0, len(ready.rows), QUERIES):
            ra, dec = to_radec(ready.sky[:3, i])
            mjd = ready.midnight_utc + rng.uniform(-0.25, 0.25)
            start = time.perf_counter()
            found = objects_in_circle(
                ready, ra_deg=float(ra), dec_deg=float(dec), radius_arcsec=2500.0, mjd_utc=mjd
            )
            times.append(time.perf_counter() - start)
            counts.append(len(found.rows))
        print(
            f"a footprint of 0.7 deg radius  {np.median(times) * 1e3:8.1f} ms median, "
            f"{max(times) * 1e3:.1f} ms worst of {QUERIES}; {np.median(counts):.0f} objects in it"
        )
        exposures = [
            Exposure(
                path=f"/{k}.fits", digest="", date_obs="", mjd_start=mjd, mjd_mid=mjd + 0.01 * k,
                exptime_s=60.0, filter="", object="", telescope="", instrument="",
                ra_deg=float(ra), dec_deg=float(dec), width_deg=0.7, height_deg=0.7, chips=(),
            )
            for k in range(4)
        ]  # fmt: skip
        del ready
        start = time.perf_counter()
        known_objects_from_orbits(
            exposures=exposures, site=SITE, orbits=path, cache=cache, ephemeris=ErfaEphemeris()
        )
        print(f"a sequence of 4 exposures      {time.perf_counter() - start:8.2f} s with reading the cache")
        print(f"peak of memory                 {peak_mb():8.0f} MB")
        print(
            f"cache                          {sum(p.stat().st_size for p in cache.iterdir()) / 1e6:8.0f} MB"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_400_000)
