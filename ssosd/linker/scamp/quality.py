"""Whether an exposure lies where the reference stars are, and which detections are reference stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ssosd.linker.scamp.fullcat import Solution
from ssosd.linker.scamp.input import Frame
from ssosd.model import Exposure
from ssosd.plumbing.text import counted
from ssosd.sphere import mean_position, separation_arcsec, to_radec, unit_vectors

#: Fewer stars do not fix shift, rotation, scale and shear of an exposure.
MIN_STARS = 8
_BRIGHTEST = 5000  # detections per exposure that are compared with the reference
_PER_COEFFICIENT = 12.0  # reference stars on a chip for each coefficient of its distortion
_LEAST_NOISE = 0.05  # electrons a pixel, of the best detectors and many exposures added up
_SHIFT = 15.0  # of the test for chance matches, in units of the radius


def star_radius_arcsec(frames: Sequence[Frame]) -> float:
    """Within what distance of a reference star a detection is that star: 1.5 pixels, at least 1 arcsec."""
    return max(1.0, 1.5 * max(chip.scale_arcsec for f in frames for chip in f.exposure.chips))


def field_radius_deg(exposure: Exposure) -> float:
    """Half the diagonal of an exposure."""
    return float(np.hypot(exposure.width_deg, exposure.height_deg)) / 2.0


def stars_near(stars: pd.DataFrame, exposures: Sequence[Exposure], *, margin_deg: float) -> pd.DataFrame:
    """Those stars (RA, DEC in deg) that lie within `margin_deg` of the circle around all exposures."""
    ra, dec = mean_position([e.ra_deg for e in exposures], [e.dec_deg for e in exposures])
    reach = max(
        float(separation_arcsec(ra, dec, e.ra_deg, e.dec_deg)) / 3600.0 + field_radius_deg(e)
        for e in exposures
    )
    near = separation_arcsec(stars["RA"], stars["DEC"], ra, dec) <= (reach + margin_deg) * 3600.0
    return stars[near].reset_index(drop=True)


def circle_around(
    ra_deg: float, dec_deg: float, *, radius_deg: float, n: int = 72
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (RA, Dec in deg) evenly spread on a circle around a place."""
    ra, dec, radius = np.radians(ra_deg), np.radians(dec_deg), np.radians(radius_deg)
    angle = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)[:, None]
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    outward = np.sin(angle) * east + np.cos(angle) * north
    return to_radec(np.cos(radius) * unit_vectors(ra_deg, dec_deg) + np.sin(radius) * outward)


@dataclass(frozen=True)
class Stars:
    """Reference stars, ready to be looked up by position."""

    tree: cKDTree

    @classmethod
    def of(cls, table: pd.DataFrame) -> Stars:
        """Build the look-up from RA, DEC in degrees."""
        return cls(cKDTree(unit_vectors(table["RA"], table["DEC"])))

    def nearest(self, ra_deg: ArrayLike, dec_deg: ArrayLike, *, radius_arcsec: float) -> NDArray[np.intp]:
        """Index of the star nearest to each position, -1 where none is within the radius."""
        reach = 2.0 * np.sin(np.radians(radius_arcsec / 3600.0) / 2.0)
        vectors = unit_vectors(ra_deg, dec_deg)
        if not len(vectors):
            return np.zeros(0, dtype=np.intp)
        distance, index = self.tree.query(vectors, distance_upper_bound=reach)
        return np.where(np.isfinite(distance), index, -1)

    def distance_arcsec(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
        """Distance from each position to the nearest star."""
        distance, _ = self.tree.query(unit_vectors(ra_deg, dec_deg))
        return np.degrees(2.0 * np.arcsin(np.clip(distance / 2.0, 0.0, 1.0))) * 3600.0


def count_matches(
    solution: Solution, *, detections: pd.DataFrame, frames: Sequence[Frame], stars: pd.DataFrame
) -> pd.DataFrame:
    """Count the reference stars found again in each exposure, and how many would be by chance.

    The brightest 5,000 detections of an exposure, at SCAMP's positions, are compared with the stars; once
    more after shifts of 15 radii to the north, south, east and west, which leave chance matches only.

    Parameters
    ----------
    stars : DataFrame
        RA, DEC in deg.

    Returns
    -------
    DataFrame
        One row per frame: N_DETECTIONS (in SCAMP's full catalogue), N_MATCHED, N_CHANCE, and FRACTION:
        matched beyond chance, of the detections or of the stars expected there, whichever are fewer.
    """
    radius = star_radius_arcsec(frames)
    frame = detections["FRAME"].to_numpy()[solution.rows]
    snr = signal_to_noise(detections)[solution.rows]
    ra, dec = solution.table["RA"].to_numpy(), solution.table["DEC"].to_numpy()
    counts = []
    for i, e in enumerate(f.exposure for f in frames):
        rows = np.flatnonzero(frame == i)
        count = count_stars(ra[rows], dec[rows], snr[rows], exposure=e, stars=stars, radius_arcsec=radius)
        counts.append((len(rows), *count))
    return pd.DataFrame(counts, columns=["N_DETECTIONS", "N_MATCHED", "N_CHANCE", "FRACTION"])


def signal_to_noise(detections: pd.DataFrame) -> NDArray[np.float64]:
    """Of the automatic magnitude of each detection."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (detections["FLUX_AUTO"] / detections["FLUXERR_AUTO"]).to_numpy(np.float64)


def count_stars(
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    snr: NDArray[np.float64],
    *,
    exposure: Exposure,
    stars: pd.DataFrame,
    radius_arcsec: float,
) -> tuple[int, float, float]:
    """Count the reference stars found again in one exposure: N_MATCHED, N_CHANCE, FRACTION."""
    look_up, step = Stars.of(stars), _SHIFT * radius_arcsec / 3600.0
    bright = np.argsort(-snr, kind="stable")[:_BRIGHTEST]
    x, y = ra_deg[bright], dec_deg[bright]
    matched = _found(look_up, x, y, radius_arcsec)
    east, north, none = step / np.cos(np.radians(y)), np.full(y.shape, step), np.zeros(y.shape)
    shifts = [(east, none), (-east, none), (none, north), (none, -north)]
    chance = float(
        np.mean([_found(look_up, x + a, np.clip(y + d, -90, 90), radius_arcsec) for a, d in shifts])
    )
    reach = field_radius_deg(exposure)
    around = separation_arcsec(stars["RA"], stars["DEC"], exposure.ra_deg, exposure.dec_deg) < reach * 3600.0
    expected = around.sum() * exposure.width_deg * exposure.height_deg / (np.pi * reach**2)
    possible = max(min(len(bright), expected), 1.0)
    return matched, chance, (matched - chance) / possible


def excess_is_clear(matched: ArrayLike, chance: ArrayLike) -> NDArray[np.bool_]:
    """Whether 5 sigma more stars are matched than by chance."""
    found, random = np.asarray(matched, dtype=np.float64), np.asarray(chance, dtype=np.float64)
    return np.asarray(found - random >= 5.0 * np.sqrt(random + 1.0))


def matches(quality: pd.DataFrame) -> pd.Series:
    """Whether each exposure matches the reference stars.

    At least `MIN_STARS` and 5 sigma more than by chance are matched; and SCAMP's pattern matching trusts its
    position (XY_CONTRAST, good above 2), or half of what can be matched is. A wrong solution bends itself
    through a few per cent of chance matches; an exposure with few stars has no contrast but matches them all.

    Parameters
    ----------
    quality : DataFrame
        Columns of `read_fields` and `count_matches`. Where there is no contrast (MATCH N), a
        fraction of 0.15 will do.
    """
    many = (quality["N_MATCHED"] >= MIN_STARS) & excess_is_clear(quality["N_MATCHED"], quality["N_CHANCE"])
    contrast, fraction = quality["XY_CONTRAST"], quality["FRACTION"]
    return many & ((contrast >= 2.0) | (fraction >= 0.5) | (contrast.isna() & (fraction >= 0.15)))


def degree_borne(quality: pd.DataFrame, frames: Sequence[Frame]) -> int:
    """Degree of a distortion, 1 to 3, for whose coefficients each chip has enough reference stars."""
    beyond_chance = (quality["N_MATCHED"] - quality["N_CHANCE"]).to_numpy(np.float64)
    chips = np.array([len(frame.exposure.chips) for frame in frames])
    stars = float(np.median(beyond_chance / chips))
    return next((d for d in (3, 2) if stars >= _PER_COEFFICIENT * (d + 1) * (d + 2) / 2), 1)


def rms_arcsec(quality: pd.DataFrame) -> pd.Series:
    """Residuals of one coordinate from the reference stars (SCAMP's, after clipping), per exposure."""
    return np.sqrt((quality["RMS_REF_RA"] ** 2 + quality["RMS_REF_DEC"] ** 2) / 2.0)


def most_rms_arcsec(frames: Sequence[Frame]) -> float:
    """Residuals above which a solution is doubtful: 0.3 pixels, at least 0.2 arcsec."""
    return 0.2 * star_radius_arcsec(frames)


def doubts(quality: pd.DataFrame, *, frames: Sequence[Frame]) -> tuple[str, ...]:
    """Say which exposures of a solution scatter about the reference stars more than is to be believed."""
    limit = most_rms_arcsec(frames)
    return tuple(
        f'{frame.exposure.name}: its stars scatter by {rms:.2f}" about their places, more than {limit:.2f}": '
        "its positions may be wrong; a smaller CROSSID_RADIUS may help"
        for frame, rms in zip(frames, rms_arcsec(quality), strict=True)
        if rms > limit
    )


def why_unmatched(quality: pd.Series, *, reference: object, frame: Frame) -> str:
    """Say why an exposure cannot be used whose row of quality does not satisfy `matches`."""
    q, radius_arcsec = quality, star_radius_arcsec([frame])
    if q["N_DETECTIONS"] < MIN_STARS:
        return (
            f"has {counted(int(q['N_DETECTIONS']), 'usable detection')}, {MIN_STARS} reference stars among "
            f"them are needed: {_gain_of_another_scale(frame) or 'check for clouds, focus and saturation'}"
        )
    return (
        f"does not match the reference catalogue {reference}: {q['N_MATCHED']:.0f} stars are "
        f'within {radius_arcsec:.1f}" of their places, {q["N_CHANCE"]:.0f} would be by chance (it has '
        f"{q['N_DETECTIONS']:.0f} detections; contrast in angle and scale {q['AS_CONTRAST']:.1f}, in "
        f"position {q['XY_CONTRAST']:.1f}): check its pointing, rotation and pixel scale, and for clouds"
    )


def _gain_of_another_scale(frame: Frame) -> str:
    """Say that GAIN is not that of the pixels: nothing is significant that gives a part of an electron."""
    read = [(float(c.header.get("SEXGAIN", 0.0)), float(c.header.get("SEXBKDEV", 0.0))) for c in frame.chips]
    noise = max(gain * dev for gain, dev in read)
    if not 0.0 < noise < _LEAST_NOISE:
        return ""
    return (
        f"its pixels scatter by {noise:.1g} electrons if GAIN is {read[0][0]:g}, which no detector does; "
        "when they were divided (by 65535, by the exposure time), multiply GAIN by the same, in the headers "
        "or in a header map"
    )


def too_few_stars(exposure: Exposure, stars: pd.DataFrame, *, reference: object, margin_deg: float) -> str:
    """Say that the reference has too few stars over an exposure; "" when it has enough."""
    near = len(stars_near(stars, [exposure], margin_deg=margin_deg))
    if near >= MIN_STARS:
        return ""
    return (
        f"the reference catalogue {reference} has {counted(near, 'star')} over its field at "
        f"{place(exposure.ra_deg, exposure.dec_deg)}, {MIN_STARS} are needed"
    )


def place(ra_deg: float, dec_deg: float) -> str:
    """A place on the sky, for a message."""
    return f"RA {ra_deg:.3f} Dec {dec_deg:.3f}"


def _found(stars: Stars, ra: NDArray[np.float64], dec: NDArray[np.float64], radius_arcsec: float) -> int:
    """How many different stars lie at the positions."""
    index = stars.nearest(ra, dec, radius_arcsec=radius_arcsec)
    return len(np.unique(index[index >= 0]))
