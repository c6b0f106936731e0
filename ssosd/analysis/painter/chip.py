"""One chip of one exposure: photons of stars, galaxies and movers, flaws, noise, digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.analysis.painter import artefacts
from ssosd.analysis.painter.movers import trails
from ssosd.analysis.painter.options import SkyOptions
from ssosd.analysis.painter.psf import Psf, Sources, add_sources, stamps
from ssosd.analysis.painter.shots import Shot, colour
from ssosd.analysis.painter.sources import stream
from ssosd.analysis.painter.wcs import ChipPlane, sky_to_pixel, wcs_cards

FloatArray = NDArray[np.float64]

#: Wings end where a pixel gets less than this share of the noise.
_WING_FLOOR = 0.002
#: Pixels hold this much more than the level at which they count as saturated.
_CLIP_OVER_SATURATION = 1.02
#: Start, middle and end of an exposure, in its length from the middle.
_SHARES = (-0.5, 0.0, 0.5)
#: A mover is whole on a chip when it ends this many FWHM from the edge.
_EDGE_FWHM = 2.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PaintedChip:
    """One chip of one exposure."""

    pixels: NDArray[np.uint16]  # ADU, shape (ny, nx)
    wcs: fits.Header  # WCS cards
    measures: pd.DataFrame  # of each mover: ext, x, y, snr, contam, on_detector, whole, outside (px)


def paint_chip(
    options: SkyOptions,
    *,
    shot: Shot,
    plane: ChipPlane,
    detector: artefacts.Detector,
    sky: pd.DataFrame,
    state: pd.DataFrame,
) -> PaintedChip:
    """Paint one chip.

    Parameters
    ----------
    options : SkyOptions
    shot : Shot
        The exposure.
    plane : ChipPlane
    detector : Detector
        Its lasting flaws.
    sky : DataFrame
        Stars and galaxies of the field.
    state : DataFrame
        Movers at this exposure, from `ssosd.analysis.painter.movers.ephemeris`, with their extent (FWHM
        without seeing, arcsec).
    """
    nx, ny = options.size_px
    shape = (ny, nx)
    rng = stream(options.seed, "chip", shot.field_number, shot.visit, plane.index)
    psf = Psf(kind=options.psf, beta=options.moffat_beta, fwhm_px=shot.seeing / options.scale_arcsec)
    gradient = _gradient(options.sky_gradient, shape, rng)
    floor_e = _WING_FLOOR * float(np.sqrt(shot.sky_e + options.read_noise_e**2))
    full_well_e = (_CLIP_OVER_SATURATION * options.saturation_adu - options.bias_adu) * options.gain
    zero_point = shot.zp - colour(options, shot.visit)

    light = np.zeros(shape)
    start, middle, end = (
        sky_to_pixel(
            sky["ra"],
            sky["dec"],
            options=options,
            pointing=shot.pointing_at(share, options.follow_arcsec_h),
            chip=plane,
        )
        for share in _SHARES
    )
    x, y = middle
    fixed = Sources(
        x,
        y,
        shot.exptime * 10.0 ** (0.4 * (zero_point - sky["mag"].to_numpy())),
        extent_px=_extents(options, sky["extent"], x, y, plane=plane, psf=psf),
        axis_ratio=sky["axis_ratio"].to_numpy(),
        theta_deg=sky["theta"].to_numpy(),
    )
    drawn, points = fixed.drawn_out(end[0] - start[0], end[1] - start[1])
    add_sources(light, drawn, psf=psf, floor_e=floor_e / points)
    # a trail's peak is so much lower
    lower = 1.0 + shot.exptime / 3600.0 * float(np.hypot(*options.follow_arcsec_h)) / shot.seeing
    saturated, excess_e = _overflow(
        fixed, shape=shape, psf=psf, full_well_e=lower * (full_well_e - shot.sky_e)
    )
    if options.spikes:
        artefacts.add_spikes(light, fixed.x[saturated], fixed.y[saturated], fixed.flux_e[saturated])
    _add_satellites(light, options, shot, plane, psf)

    places = [
        sky_to_pixel(
            state[f"ra{when}"],
            state[f"dec{when}"],
            options=options,
            pointing=shot.pointing_at(share, options.follow_arcsec_h),
            chip=plane,
        )
        for when, share in zip(("_start", "", "_end"), _SHARES, strict=True)
    ]
    track_x, track_y = (np.array([place[axis] for place in places]) for axis in (0, 1))
    flux_e = shot.exptime * 10.0 ** (0.4 * (shot.zp - state["mag"].to_numpy()))
    extent_px = _extents(options, state["extent"], track_x[1], track_y[1], plane=plane, psf=psf)
    moving = trails(track_x, track_y, flux_e, shape=shape, psf=psf, floor_e=floor_e, extent_px=extent_px)
    np.add.at(light.reshape(-1), moving.pixel, moving.charge_e)

    empty = shot.sky_e * gradient * detector.response + detector.dark_e_s * shot.exptime
    expected = empty + light * detector.response
    artefacts.add_cosmics(expected, rng, mean_number=options.cosmics)
    if options.bleeds:
        filled = artefacts.bleed_mask(
            shape, fixed.x[saturated], fixed.y[saturated], excess_e[saturated], full_well_e=full_well_e
        )
        expected[filled] = full_well_e
    contam = moving.contamination(expected - shot.sky_e * gradient)
    snr = moving.snr(empty + options.read_noise_e**2)

    np.clip(expected, 0.0, full_well_e, out=expected)
    charge = rng.poisson(expected) + options.read_noise_e * rng.standard_normal(shape, dtype=np.float32)
    adu = np.rint(charge / options.gain + options.bias_adu).clip(0, 65535)
    return PaintedChip(
        pixels=adu.astype(np.uint16),
        wcs=wcs_cards(options, header_pointing=shot.header_pointing, chip=plane),
        measures=_measures(track_x, track_y, shape, margin=_EDGE_FWHM * psf.fwhm_px).assign(
            ext=plane.hdu, snr=snr, contam=contam
        ),
    )


def _extents(
    options: SkyOptions, extent_arcsec: pd.Series, x: FloatArray, y: FloatArray, *, plane: ChipPlane, psf: Psf
) -> FloatArray:
    """FWHM without seeing of sources, pixels: their own, and what the camera adds off its axis."""
    corner = float(np.hypot(*options.focal_plane_px)) / 2.0
    square = ((x - plane.crpix[0]) ** 2 + (y - plane.crpix[1]) ** 2) / corner**2
    blur = options.blur * psf.fwhm_px * np.minimum(np.nan_to_num(square), 1.0)
    return np.hypot(extent_arcsec.to_numpy(np.float64) / options.scale_arcsec, blur)


def _gradient(peak_to_peak: float, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Plane of mean 1 that rises by `peak_to_peak` over the chip in a random direction."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    rows = np.linspace(-0.5, 0.5, shape[0])[:, None]
    columns = np.linspace(-0.5, 0.5, shape[1])
    slope = peak_to_peak / (abs(np.cos(angle)) + abs(np.sin(angle)))
    return 1.0 + slope * (np.cos(angle) * columns + np.sin(angle) * rows)


def _overflow(
    sources: Sources, *, shape: tuple[int, int], psf: Psf, full_well_e: float
) -> tuple[NDArray[np.intp], FloatArray]:
    """Rows of the sources whose peak is above the full well, and the charge above it of each source."""
    excess = np.zeros(len(sources))
    for owner, _, value in stamps(sources, shape=shape, psf=psf, floor_e=full_well_e):
        excess += np.bincount(owner, weights=np.maximum(value - full_well_e, 0.0), minlength=len(sources))
    return np.flatnonzero(excess > 0.0), excess


def _add_satellites(light: FloatArray, options: SkyOptions, shot: Shot, plane: ChipPlane, psf: Psf) -> None:
    """Add the exposure's satellite trails, which run on from chip to chip."""
    rng = stream(options.seed, "exposure", shot.field_number, shot.visit, 1)
    lines = artefacts.satellite_lines(rng, options)
    width, height = options.focal_plane_px
    lines[:, 0] += plane.crpix[0] - (width + 1) / 2.0
    lines[:, 1] += plane.crpix[1] - (height + 1) / 2.0
    artefacts.add_satellites(
        light, lines, sigma_px=psf.fwhm_px / 2.3548, charge_e=6.0 * float(np.sqrt(shot.sky_e + 100.0))
    )


def _measures(x: FloatArray, y: FloatArray, shape: tuple[int, int], *, margin: float) -> pd.DataFrame:
    """Place of movers on a chip from their tracks, each of shape (3, n)."""
    ny, nx = shape
    outside = np.maximum.reduce([0.5 - x, x - (nx + 0.5), 0.5 - y, y - (ny + 0.5)])
    return pd.DataFrame(
        {
            "x": x[1],
            "y": y[1],
            "on_detector": outside[1] < 0.0,
            "whole": outside.max(axis=0) < -margin,
            "outside": outside[1],
        }
    )
