"""Where things fall on a painted chip (the truth), and what the header says about it (slightly wrong)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from ssosd.analysis.painter.options import SkyOptions
from ssosd.sphere import ARCSEC_PER_DEG, offsets_arcsec, to_radec

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChipPlane:
    """One chip's place in the focal plane."""

    index: int  # 0-based, row by row from the lower left
    hdu: int  # index of its HDU in the unpacked file, 0 is the primary
    crpix: tuple[float, float]  # FITS pixel (1-based) on the optical axis, may be outside of the chip


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointing:
    """Where an exposure truly points."""

    ra_deg: float  # optical axis, ICRS
    dec_deg: float  # optical axis, ICRS
    rotation_deg: float  # of the camera


def chip_planes(options: SkyOptions) -> Iterator[ChipPlane]:
    """Lay the chips of the mosaic out; the optical axis is in the middle of the mosaic."""
    width, height = options.focal_plane_px
    mosaic = options.n_chips > 1
    for index in range(options.n_chips):
        row, column = divmod(index, options.chips[0])
        yield ChipPlane(
            index=index,
            hdu=index + int(mosaic and options.empty_primary),
            crpix=(
                (width + 1) / 2.0 - column * (options.size_px[0] + options.gap_px),
                (height + 1) / 2.0 - row * (options.size_px[1] + options.gap_px),
            ),
        )


def from_offsets(
    xi_arcsec: ArrayLike, eta_arcsec: ArrayLike, ra0_deg: float, dec0_deg: float
) -> tuple[FloatArray, FloatArray]:
    """Sky positions (degrees) of gnomonic offsets: the inverse of `ssosd.sphere.offsets_arcsec`.

    >>> ra, dec = from_offsets([0.0], [3600.0], 10.0, 89.5)
    >>> [float(v.round(3)) for v in (*ra, *dec)]
    [190.0, 89.5]
    """
    axis, east, north = tangent_frame(ra0_deg, dec0_deg)
    xi = np.radians(np.asarray(xi_arcsec, dtype=np.float64) / ARCSEC_PER_DEG)[..., None]
    eta = np.radians(np.asarray(eta_arcsec, dtype=np.float64) / ARCSEC_PER_DEG)[..., None]
    return to_radec(axis + xi * east + eta * north)


def tangent_frame(ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vectors to positions, and to the east and to the north there; shape (..., 3)."""
    ra = np.radians(np.asarray(ra_deg, dtype=np.float64))
    dec = np.radians(np.asarray(dec_deg, dtype=np.float64))
    sin_ra, cos_ra, sin_dec, cos_dec = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    return (
        np.stack([cos_dec * cos_ra, cos_dec * sin_ra, sin_dec], axis=-1),
        np.stack([-sin_ra, cos_ra, np.zeros_like(ra)], axis=-1),
        np.stack([-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec], axis=-1),
    )


def sky_to_pixel(
    ra_deg: ArrayLike, dec_deg: ArrayLike, *, options: SkyOptions, pointing: Pointing, chip: ChipPlane
) -> tuple[FloatArray, FloatArray]:
    """FITS pixels (1-based) on a chip: TAN at the true pointing, then the camera's radial distortion.

    Positions 90 degrees or more away give NaN.
    """
    xi, eta = offsets_arcsec(ra_deg, dec_deg, pointing.ra_deg, pointing.dec_deg)
    # the CD matrix without its scale is a reflection, hence its own inverse
    (m11, m12), (m21, m22) = reflection(pointing.rotation_deg)
    u = (m11 * xi + m12 * eta) / options.scale_arcsec
    v = (m21 * xi + m22 * eta) / options.scale_arcsec
    corner = np.hypot(*options.focal_plane_px) / 2.0
    stretch = 1.0 + options.distortion_px / corner * (u**2 + v**2) / corner**2
    return u * stretch + chip.crpix[0], v * stretch + chip.crpix[1]


def reflection(rotation_deg: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Turn pixel axes (x west, y north at rotation 0) into standard coordinates, without scale."""
    c, s = float(np.cos(np.radians(rotation_deg))), float(np.sin(np.radians(rotation_deg)))
    return ((-c, s), (s, c))


def wcs_cards(options: SkyOptions, *, header_pointing: Pointing, chip: ChipPlane) -> fits.Header:
    """TAN cards of one chip as the telescope believes them to be."""
    scale = options.scale_arcsec / ARCSEC_PER_DEG
    (m11, m12), (m21, m22) = reflection(header_pointing.rotation_deg)
    return fits.Header(
        [
            ("CTYPE1", "RA---TAN"),
            ("CTYPE2", "DEC--TAN"),
            ("CUNIT1", "deg"),
            ("CUNIT2", "deg"),
            ("CRVAL1", header_pointing.ra_deg),
            ("CRVAL2", header_pointing.dec_deg),
            ("CRPIX1", chip.crpix[0]),
            ("CRPIX2", chip.crpix[1]),
            ("CD1_1", m11 * scale),
            ("CD1_2", m12 * scale),
            ("CD2_1", m21 * scale),
            ("CD2_2", m22 * scale),
            ("RADESYS", "ICRS"),
            ("EQUINOX", 2000.0),
        ]
    )
