"""Stars and galaxies of a painted field, and the random streams all of the painter draws from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.analysis.painter.options import SkyOptions
from ssosd.analysis.painter.wcs import from_offsets

FloatArray = NDArray[np.float64]

#: What a stream of random numbers is for: each has its own, so that one option does not reshuffle the rest.
STREAMS = ("sources", "movers", "exposure", "chip", "detector", "refcat", "known")


def stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """Random generator of one purpose, field, visit, chip...: the same numbers for the same arguments."""
    return np.random.default_rng([seed, STREAMS.index(purpose), *indices])


def power_law_mags(
    rng: np.random.Generator, count: int, *, limits: tuple[float, float], slope: float
) -> FloatArray:
    """Magnitudes whose numbers grow as 10^(slope * mag) between the limits; slope 0 is uniform."""
    u = rng.random(count)
    bright, faint = limits
    if slope == 0.0 or bright == faint:
        return bright + u * (faint - bright)
    return bright + np.log10(1.0 + u * (10.0 ** (slope * (faint - bright)) - 1.0)) / slope


def footprint_arcsec(options: SkyOptions) -> tuple[float, float]:
    """Half width and half height of the sky that any exposure of a field can reach."""
    width, height = options.focal_plane_px
    angle = np.radians(options.rotation_deg)
    c, s = abs(float(np.cos(angle))), abs(float(np.sin(angle)))
    margin = options.dither_arcsec + (abs(options.distortion_px) + 30.0) * options.scale_arcsec
    hours = options.visit_min(options.exposures) / 60.0
    drift = [
        abs(step) * (options.exposures - 1) + abs(rate) * hours
        for step, rate in zip(options.drift_arcsec, options.follow_arcsec_h, strict=True)
    ]
    half = options.scale_arcsec / 2.0
    return (
        half * (width * c + height * s) + margin + drift[0],
        half * (width * s + height * c) + margin + drift[1],
    )


def paint_list(options: SkyOptions, field: int) -> pd.DataFrame:
    """Stars and galaxies of one field.

    Returns
    -------
    DataFrame
        ra, dec (deg), mag, kind ("star" or "gal"), extent (FWHM without seeing, arcsec), axis_ratio, theta
        (deg).
        The numbers asked for are those within the undithered mosaic; the margins come on top.
    """
    rng = stream(options.seed, "sources", field)
    half_width, half_height = footprint_arcsec(options)
    width, height = options.focal_plane_px
    excess = 4.0 * half_width * half_height / (width * height * options.scale_arcsec**2)
    n_stars, n_galaxies = (round(n * excess) for n in (options.stars, options.galaxies))
    count = n_stars + n_galaxies
    galaxy = np.arange(count) >= n_stars
    ra, dec = from_offsets(
        rng.uniform(-half_width, half_width, count),
        rng.uniform(-half_height, half_height, count),
        *options.centers_deg[field - 1],
    )
    mag = np.concatenate(
        [
            power_law_mags(rng, n_stars, limits=options.star_mags, slope=options.star_slope),
            # galaxy counts grow as 10^0.4m (Euclidean 0.6, flattened by evolution and redshift)
            power_law_mags(rng, n_galaxies, limits=options.galaxy_mags, slope=0.4),
        ]
    )
    size = 3.0 * 10.0 ** (-0.15 * (mag - 18.0)) * np.exp(0.3 * rng.standard_normal(count))
    return pd.DataFrame(
        {
            "ra": ra,
            "dec": dec,
            "mag": mag,
            "kind": np.where(galaxy, "gal", "star"),
            "extent": np.where(galaxy, size.clip(0.3, 15.0), 0.0),
            "axis_ratio": np.where(galaxy, rng.uniform(0.35, 1.0, count), 1.0),
            "theta": rng.uniform(0.0, 180.0, count),
        }
    )
