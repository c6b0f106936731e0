"""Detections tables of a made-up sky: stars at rest, noise, movers on great circles, flaws; no image needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.sphere import to_radec, unit_vectors

MJD0 = 61000.0
FWHM = 2.4  # arcsec, on pixels of 1 arcsec
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Mover:
    """One that moves on a great circle."""

    east: float  # arcsec from the field's centre at the middle of the sequence
    north: float
    rate: float  # arcsec/h
    pa: float  # deg, north through east
    snr: float = 20.0
    acceleration: float = 0.0  # arcsec/h^2, along the motion


@dataclass(frozen=True, kw_only=True)
class Night:
    """What the table is of."""

    ra: float = 150.0
    dec: float = 20.0
    hours: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    exptimes_s: Sequence[float] = (60.0,)  # repeated as needed
    filters: Sequence[str] = ("r",)
    size: float = 1200.0  # arcsec
    stars: int = 800
    noise: int = 80  # per frame, at random
    dither: float = 10.0  # arcsec
    drift: tuple[float, float] = (0.0, 0.0)  # arcsec per frame
    hot_pixels: int = 0
    movers: Sequence[Mover] = ()
    zero_points: Sequence[float] = (0.0,)  # mag, repeated: extinction
    chips: int = 1  # side by side in x
    seed: int = 1
    extra: dict[int, pd.DataFrame] = field(default_factory=dict)  # further detections of a frame: x, y, ...

    def table(self) -> pd.DataFrame:
        """Detections of all frames; MOVER is the mover's number, -1 for the rest."""
        rng = np.random.default_rng(self.seed)
        middle = 0.5 * (min(self.hours) + max(self.hours))
        sx, sy = rng.uniform(-0.5, 0.5, (2, self.stars)) * (self.size + 4.0 * self.dither)
        brightness = 5.0 * 10.0 ** rng.uniform(0.1, 2.0, self.stars)
        hot = rng.uniform(0.02, 0.98, (2, self.hot_pixels)) * self.size
        parts = []
        for i, hour in enumerate(self.hours):
            exptime = self.exptimes_s[i % len(self.exptimes_s)]
            gain = 10.0 ** (-0.4 * self.zero_points[i % len(self.zero_points)])
            dx, dy = rng.uniform(-self.dither, self.dither, 2) + np.array(self.drift) * i
            snr = brightness * gain
            shown = rng.random(self.stars) < 1.0 / (1.0 + (4.5 / snr) ** 8)
            rows = [pd.DataFrame({"x": sx, "y": sy, "snr": snr})[shown]]
            at = rng.uniform(-0.5, 0.5, (2, self.noise)) * self.size
            rows.append(pd.DataFrame({"x": at[0], "y": at[1], "snr": rng.uniform(4.0, 6.0, self.noise)}))
            for k, mover in enumerate(self.movers):
                t = hour - middle
                along = mover.rate * t + 0.5 * mover.acceleration * t**2
                pa = np.radians(mover.pa)
                place = {"x": mover.east + along * np.sin(pa), "y": mover.north + along * np.cos(pa)}
                length = mover.rate * exptime / 3600.0
                shape = {"a": np.hypot(1.0, length / np.sqrt(12.0)), "theta": 90.0 - mover.pa, "mover": k}
                rows.append(pd.DataFrame({**place, "snr": mover.snr * gain, **shape}, index=[0]))
            rows += [self.extra[i]] if i in self.extra else []
            frame = pd.concat(rows, ignore_index=True)
            n = len(frame)
            frame["mover"] = frame["mover"].fillna(-1) if "mover" in frame else -1
            error = np.hypot(FWHM / 2.355 / frame["snr"], 0.04)
            frame["x"] += rng.normal(0.0, 1.0, n) * error
            frame["y"] += rng.normal(0.0, 1.0, n) * error
            # the camera's frame: x to the west as on the sky, shifted by the pointing
            frame["px"], frame["py"] = -(frame["x"] - dx) + self.size / 2, frame["y"] - dy + self.size / 2
            dead = pd.DataFrame({"px": hot[0], "py": hot[1], "snr": 15.0, "mover": -1, "a": 0.5})
            dead["x"], dead["y"] = -(dead["px"] - self.size / 2) + dx, dead["py"] - self.size / 2 + dy
            frame = pd.concat([frame, dead], ignore_index=True)
            inside = frame["px"].between(0, self.size) & frame["py"].between(0, self.size)
            parts.append(self._columns(frame[inside], i, hour, exptime, rng))
        return pd.concat(parts, ignore_index=True)

    def _columns(
        self, frame: pd.DataFrame, i: int, hour: float, exptime: float, rng: np.random.Generator
    ) -> pd.DataFrame:
        n = len(frame)
        ra, dec = sky(frame["x"].to_numpy(), frame["y"].to_numpy(), self.ra, self.dec)
        snr = frame["snr"].to_numpy()
        error = np.hypot(FWHM / 2.355 / snr, 0.04) / 3600.0
        a = (frame["a"] if "a" in frame else pd.Series(np.nan, index=frame.index)).fillna(1.05).to_numpy()
        theta = frame["theta"].to_numpy() if "theta" in frame else np.full(n, np.nan)
        theta = np.where(np.isfinite(theta), 180.0 - theta, rng.uniform(-90.0, 90.0, n))
        width = self.size / self.chips
        chip = np.minimum(frame["px"].to_numpy() // width, self.chips - 1).astype(np.int64)
        noise = rng.normal(0.0, 1.0, (2, n)) * 0.05
        return pd.DataFrame(
            {
                "SOURCE_NUMBER": np.int64(0),
                "CATALOG_NUMBER": np.int64(i + 1),
                "EXTENSION": chip + (self.chips > 1),
                "RA": ra,
                "DEC": dec,
                "MAG": -2.5 * np.log10(snr),
                "MAGERR": 1.0 / snr,
                "FLUX": snr,
                "FLUXERR": 1.0,
                **{f"PM{c}": 0.0 for c in ("", "ERR", "RA", "RA_ERR", "DEC", "DEC_ERR")},
                "MID_EXPOSURE_MJD": MJD0 + hour / 24.0,
                "EXPTIME": exptime,
                "FILTER": self.filters[i % len(self.filters)],
                "XWIN_IMAGE": frame["px"].to_numpy() - chip * width,
                "YWIN_IMAGE": frame["py"].to_numpy(),
                "AWIN_IMAGE": a * np.exp(noise[0]),
                "BWIN_IMAGE": np.minimum(a, 0.98) * np.exp(noise[1]),
                "THETAWIN_IMAGE": theta,
                "ERRA_WORLD": error,
                "ERRB_WORLD": error,
                "ERRTHETA_WORLD": 0.0,
                "SNR_WIN": snr,
                "FLAGS_EXTRACTION": np.int64(0),
                "FLAGS_SCAMP": np.int64(64),
                "FLAGS_SSOS": np.int64(0),
                "MOVER": frame["mover"].to_numpy().astype(np.int64),
            }
        )


def sky(x: FloatArray, y: FloatArray, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Inverse of the gnomonic projection by vectors: arcsec east and north of a tangent point to degrees."""
    axis = unit_vectors(ra0, dec0)
    east = np.array([-np.sin(np.radians(ra0)), np.cos(np.radians(ra0)), 0.0])
    north = np.cross(axis, east)
    to_rad = np.radians(1.0 / 3600.0)
    return to_radec(axis + to_rad * (np.outer(x, east) + np.outer(y, north)))


def ring(
    n: int, rates: tuple[float, float], *, seed: int = 3, reach: float = 400.0, snr: float = 20.0
) -> list[Mover]:
    """Make n movers of rates log-uniform in a range, in all directions, not next to each other."""
    rng = np.random.default_rng(seed)
    rate = np.geomspace(*rates, n)
    angle = 2.0 * np.pi * np.arange(n) / n
    distance = rng.uniform(0.3, 1.0, n) * reach
    return [
        Mover(east=float(d * np.sin(a)), north=float(d * np.cos(a)), rate=float(r), pa=float(p), snr=snr)
        for d, a, r, p in zip(distance, angle, rate, rng.uniform(0.0, 360.0, n), strict=True)
    ]


def found(detections: pd.DataFrame, n_movers: int) -> tuple[list[int], int]:
    """Number of each mover's detections in the source that is it, and the number of sources that are none."""
    best, false = [0] * n_movers, 0
    for _, rows in detections.groupby("SOURCE_NUMBER"):
        counts = rows["MOVER"][rows["MOVER"] >= 0].value_counts()
        if counts.empty or 2 * counts.iloc[0] <= len(rows):
            false += 1
        else:
            best[int(counts.index[0])] = max(best[int(counts.index[0])], int(counts.iloc[0]))
    return best, false
