"""The filter chain a second time: one source after the other, in plain Python, to compare the real one with.

Nothing here is shared with ssosd: rows are dictionaries, positions are projected by dot products of vectors,
the ecliptic is reached by rotating the sphere, sums go through `math.fsum`.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import pandas as pd

Row = dict[str, Any]
KEPT = (True, None, None, None)
DEFAULTS: Row = {
    "CATALOG_NUMBER": 1, "EXTENSION": 0, "RA": 10.0, "DEC": 20.0, "MID_EXPOSURE_MJD": 60000.0,
    "PM": 30.0, "PMERR": 0.5, "XWIN_IMAGE": 100.0, "YWIN_IMAGE": 100.0,
    "AWIN_IMAGE": 2.0, "ERRAWIN_IMAGE": 0.05, "BWIN_IMAGE": 2.0, "ERRBWIN_IMAGE": 0.05,
    "ERRA_WORLD": 0.05 / 3600.0, "FLAGS_SCAMP": 0, "FLAGS_SSOS": 0,
}  # fmt: skip


def table(rows: list[Row]) -> pd.DataFrame:
    """Detections table of rows, each a dictionary of what differs from DEFAULTS."""
    frame = pd.DataFrame([{**DEFAULTS, **row} for row in rows], columns=["SOURCE_NUMBER", *DEFAULTS])
    whole = ["SOURCE_NUMBER", "CATALOG_NUMBER", "EXTENSION", "FLAGS_SCAMP", "FLAGS_SSOS"]
    return frame.astype({name: "int64" if name in whole else "float64" for name in frame.columns})


def sources(detections: pd.DataFrame) -> dict[int, list[Row]]:
    """Rows of each source in time order."""
    found: dict[int, list[Row]] = {}
    for row in detections.to_dict("records"):
        found.setdefault(row["SOURCE_NUMBER"], []).append(row)
    return {n: sorted(found[n], key=_time) for n in sorted(found)}


def _time(row):
    return math.isnan(row["MID_EXPOSURE_MJD"]), row["MID_EXPOSURE_MJD"]


def detec(rows, *, numbers):
    if len(rows) in numbers:
        need = len(rows)
        while need in numbers:
            need += 1
        return False, len(rows), need, "number of detections is one of DETECTIONS"
    return KEPT


def pm(rows, *, pm_low, pm_up, pm_snr):
    value, error = rows[0]["PM"], rows[0]["PMERR"]
    if math.isnan(value):
        return False, value, pm_low, "PM not measured"
    if value < pm_low:
        return False, value, pm_low, "PM below PM_LOW"
    if value > pm_up:
        return False, value, pm_up, "PM above PM_UP"
    if not error > 0:
        if pm_snr > 0:
            return False, math.nan, pm_snr, "PMERR not measured, PM/PMERR unknown"
        return KEPT
    snr = 0.0 if math.isinf(error) else value / error
    return (False, snr, pm_snr, "PM/PMERR below PM_SNR") if snr < pm_snr else KEPT


def pixel(rows, *, delta_pixel):
    extents = []
    for name in ("XWIN_IMAGE", "YWIN_IMAGE"):
        values = [r[name] for r in rows if math.isfinite(r[name])]
        if not values:
            return KEPT
        extents.append(max(values) - min(values))
    if len({r["EXTENSION"] for r in rows}) == 1 and extents[0] < delta_pixel and extents[1] < delta_pixel:
        return False, max(extents), delta_pixel, "X and Y both stay within DELTA_PIXEL"
    return KEPT


def trail(rows, *, ratio):
    for axis in "AB":
        pairs = [(r[f"{axis}WIN_IMAGE"], r[f"ERR{axis}WIN_IMAGE"]) for r in rows]
        pairs = [(v, e) for v, e in pairs if math.isfinite(v) and math.isfinite(e) and e > 0]
        if len(pairs) < 2:
            continue
        scatter = statistics.stdev(v for v, _ in pairs)
        if scatter == 0:
            continue
        measured = 1.0 / math.sqrt(math.fsum(1.0 / e**2 for _, e in pairs)) / scatter
        if measured < ratio:
            return False, measured, ratio, f"{axis}WIN_IMAGE varies more than RATIO allows"
    return KEPT


def unit(ra, dec):
    ra, dec = math.radians(ra), math.radians(dec)
    return (math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec))


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def angle_arcsec(a, b):
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return math.degrees(math.atan2(math.sqrt(dot(cross, cross)), dot(a, b))) * 3600.0


def bright_sources(rows, *, stars, distance, mag_limits):
    nearest = math.inf
    for row in rows:
        if not (math.isfinite(row["RA"]) and math.isfinite(row["DEC"])):
            continue
        for ra, dec, mag in stars:
            if math.isfinite(ra) and math.isfinite(dec) and mag_limits[0] <= mag <= mag_limits[1]:
                nearest = min(nearest, angle_arcsec(unit(row["RA"], row["DEC"]), unit(ra, dec)))
    if nearest < distance:
        return False, nearest, distance, "closer to a bright star than DISTANCE"
    return KEPT


def project(vectors):
    """Gnomonic coordinates in arcsec about the mean of unit vectors, along that frame's own axes."""
    mean = [math.fsum(v[i] for v in vectors) for i in range(3)]
    norm = math.sqrt(dot(mean, mean))
    c = [x / norm for x in mean]
    flat = math.hypot(c[0], c[1])
    east = (-c[1] / flat, c[0] / flat, 0.0)
    north = (-c[2] * east[1], c[2] * east[0], c[0] * east[1] - c[1] * east[0])
    scale = math.degrees(1.0) * 3600.0
    return (
        [scale * dot(v, east) / dot(v, c) for v in vectors],
        [scale * dot(v, north) / dot(v, c) for v in vectors],
    )


def to_ecliptic(v):
    eps = math.radians(84381.406 / 3600.0)
    return (
        v[0],
        math.cos(eps) * v[1] + math.sin(eps) * v[2],
        -math.sin(eps) * v[1] + math.cos(eps) * v[2],
    )


def r_squared(t, y, sigma):
    w = [1.0 / s**2 for s in sigma]
    total = math.fsum(w)
    t0 = math.fsum(a * b for a, b in zip(w, t, strict=True)) / total
    y0 = math.fsum(a * b for a, b in zip(w, y, strict=True)) / total
    sxx = math.fsum(a * (b - t0) ** 2 for a, b in zip(w, t, strict=True))
    sxy = math.fsum(a * (b - t0) * (c - y0) for a, b, c in zip(w, t, y, strict=True))
    syy = math.fsum(a * (c - y0) ** 2 for a, c in zip(w, y, strict=True))
    return 0.0 if max(y) == min(y) else sxy**2 / (sxx * syy)


def judge(rows, sigma, r_squ_m):
    """(passed, R^2, coordinate) of one group of rows; R^2 None if there are no two epochs."""
    t = [(r["MID_EXPOSURE_MJD"] - rows[0]["MID_EXPOSURE_MJD"]) for r in rows]
    if max(t) == 0:
        return False, None, None
    vectors = [unit(r["RA"], r["DEC"]) for r in rows]
    xi, eta = project(vectors)
    tests = [(r_squared(t, xi, sigma), "RA"), (r_squared(t, eta, sigma), "Dec")]
    if tests[0][0] >= r_squ_m > tests[1][0]:
        lon, lat = project([to_ecliptic(v) for v in vectors])
        tests = [
            (r_squared(t, lon, sigma), "ecliptic longitude"),
            (r_squared(t, lat, sigma), "ecliptic latitude"),
        ]
    worst, coordinate = min(tests)
    return worst >= r_squ_m, worst, coordinate


def linear_motion(rows, *, r_squ_m, identify_outlier, outlier_threshold):
    """Answer as the other twins, and the indices in `rows` of the epoch outliers."""
    n = sum(bool(int(r["FLAGS_SCAMP"]) & 64) for r in rows)
    if n >= 2:
        return (False, n, 2, "SCAMP flag 64 on too many detections"), []
    if n * 5 >= len(rows):
        return (False, n / len(rows), 0.2, "SCAMP flag 64 on too large a fraction of the detections"), []
    use = [
        i for i, r in enumerate(rows) if all(map(math.isfinite, (r["RA"], r["DEC"], r["MID_EXPOSURE_MJD"])))
    ]
    few = "fewer than two different epochs with a position"
    if not use:
        return (False, 0, 2, few), []
    errors = [rows[i]["ERRA_WORLD"] * 3600.0 for i in use]
    good = [e for e in errors if math.isfinite(e) and e > 0]
    errors = [e if math.isfinite(e) and e > 0 else max(good, default=1.0) for e in errors]
    groups = [list(range(len(use)))]
    if identify_outlier:
        epochs = [rows[i]["MID_EXPOSURE_MJD"] - rows[use[0]]["MID_EXPOSURE_MJD"] for i in use]
        mad = statistics.median(abs(e - statistics.median(epochs)) for e in epochs)
        groups = [[0]]
        for k in range(1, len(use)):
            if epochs[k] - epochs[k - 1] > outlier_threshold * mad + 1e-8:
                groups.append([])
            groups[-1].append(k)
    split = len(groups) > 1
    fitted = [g for g in groups if not split or len(g) >= 3]
    outliers = [use[k] for g in groups if g not in fitted for k in g]
    if not fitted:
        reason = "epoch outliers only, no subgroup of enough detections"
        return (False, max(map(len, groups)), 3, reason), outliers
    failures = []
    for group in fitted:
        passed, r2, coordinate = judge([rows[use[k]] for k in group], [errors[k] for k in group], r_squ_m)
        if not passed:
            failures.append((-1.0 if r2 is None else r2, coordinate))
    if not failures:
        return KEPT, outliers
    r2, coordinate = min(failures, key=lambda f: f[0])
    if coordinate is None:
        return (False, 1, 2, few), outliers
    reason = f"R^2 of {coordinate} against epoch below R_SQU_M"
    reason += " in a subgroup of epochs" if split else ""
    reason += ", Dec not linear" if coordinate.startswith("ecl") else ""
    return (False, r2, r_squ_m, reason), outliers


def assert_same(outcome, answers, *, skip=()):
    """Compare a filter's Outcome with the twin's answers, source by source (indices in `skip` excepted)."""
    assert len(outcome.keep) == len(answers)
    for i, (kept, measured, limit, reason) in enumerate(answers):
        if i in skip:
            continue
        assert outcome.keep[i] == kept, (i, reason, outcome.measured[i])
        if kept:
            assert outcome.reason[i] == -1
            continue
        assert outcome.reasons[outcome.reason[i]] == reason
        assert math.isclose(outcome.limit[i], limit)
        assert outcome.measured[i] == measured or math.isclose(
            outcome.measured[i], measured, rel_tol=1e-6, abs_tol=1e-6
        ) or (math.isnan(measured) and math.isnan(outcome.measured[i]))  # fmt: skip
