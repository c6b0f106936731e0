"""A catalogue in which each trail of a star is one row, and points stay as they were."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssosd.ingest.trails.points import Parted
from ssosd.ingest.trails.search import Found, Squares
from ssosd.ingest.trails.shape import FloatArray, StarTrail
from ssosd.sphere import from_offsets_arcsec, offsets_arcsec

Objects = NDArray[Any]
IntArray = NDArray[np.intp]

_SAME = 2.0  # pixels between the places of one trail as seen in two parts of a chip
_KEPT_FLAGS = 4 | 16 | 32 | 64 | 128  # of a piece: saturated, incomplete or corrupted
_CUT = 8  # flag of what is cut by the chip's edge
_LEAST_ERROR = 0.01  # pixels
_SURE, _SCALED, _SCALES = 50.0, 8, (0.7, 1.6)  # SNR and number of trails that tell the scale of their flux


def whole_rows(
    objects: Objects,
    found: Found,
    parted: Parted,
    trail: StarTrail,
    squares: Squares,
    *,
    shape: tuple[int, int],
    gain: float,
    zero_point: float,
) -> Objects:
    """The catalogue with a row for each trail in the place of its brightest piece, without its others.

    Place, shape, light and their errors are the whole trail's; what else was measured is the piece's, and
    NaN where SExtractor found nothing of it. The flux is in the scale of FLUX_AUTO, by the bright ones'.
    Points on which a trail's light falls have their place, shape and light without it.

    Parameters
    ----------
    objects : structured ndarray
        SExtractor's rows.
    found : Found
    parted : Parted
    trail : StarTrail
    squares : Squares
    shape : tuple of int
        Rows and columns of the chip.
    gain : float
        e- per count, inf for no shot noise.
    zero_point : float
        Magnitude of one count.
    """
    middles = np.column_stack([parted.trail_x, parted.trail_y])
    distance, owner = map(np.asarray, cKDTree(found.places).query(middles))
    pieces, owner = parted.pieces[distance < _SAME], owner[distance < _SAME]
    order = np.lexsort((-objects["FLUX_AUTO"][pieces].astype(np.float64), owner))
    named, first = np.unique(owner[order], return_index=True)
    template = np.full(found.x.size, -1, dtype=np.intp)
    template[named] = pieces[order[first]]
    flags = np.zeros(found.x.size, dtype=np.int64)
    np.bitwise_or.at(flags, owner, objects["FLAGS"][pieces].astype(np.int64) & _KEPT_FLAGS)
    flags[_cut(found, trail, shape)] |= _CUT

    error = _error(found, squares.line, gain)
    scale = _scale(objects, found, template, flags, error)
    light = partial(_light, gain=gain, zero_point=zero_point, scale=scale)
    new = _copies(objects, template)
    _onto_the_sky(new, objects, found)
    long = np.hypot(trail.length / np.sqrt(12.0), trail.sigma)
    _write(
        new,
        light(found, squares.line, (squares.along, squares.across))
        | _shape(long, trail.sigma, trail.fwhm, np.degrees(trail.angle))
        | {"FLAGS": flags},
    )
    points = objects[parted.mixed]
    _onto_the_sky(points, objects, parted.points)
    _write(
        points,
        light(parted.points, squares.point, (squares.slope, squares.slope))
        | _shape(trail.sigma, trail.sigma, trail.fwhm, 0.0),
    )
    rest = objects.copy()
    rest[parted.mixed] = points
    merged = np.concatenate([np.delete(rest, pieces), new])
    return merged[np.argsort(merged["NUMBER"], kind="stable")]


def _error(found: Found, square: float, gain: float) -> FloatArray:
    """Of the flux, counts: the noise of the sky and of the light itself, at its mean over the profile."""
    return np.asarray(np.sqrt((found.noise**2 + np.maximum(found.flux, 0.0) * square / gain) / square))


def _light(
    found: Found, square: float, slopes: tuple[float, float], *, gain: float, zero_point: float, scale: float
) -> dict[str, Any]:
    """Columns of place and light, with their errors along and across."""
    error = _error(found, square, gain)
    along, across = (
        np.maximum(error * np.sqrt(square / slope) / found.flux, _LEAST_ERROR) for slope in slopes
    )
    return {
        "XWIN_IMAGE": found.x, "YWIN_IMAGE": found.y, "ERRAWIN_IMAGE": along, "ERRBWIN_IMAGE": across,
        "FLUX_AUTO": scale * found.flux, "FLUXERR_AUTO": scale * error,
        "MAG_AUTO": zero_point - 2.5 * np.log10(scale * found.flux),
        "MAGERR_AUTO": 2.5 / np.log(10.0) * error / found.flux, "SNR_WIN": found.flux / error,
    }  # fmt: skip


def _shape(major: float, minor: float, fwhm: float, degrees: float) -> dict[str, Any]:
    """Columns of the shape."""
    return {
        "AWIN_IMAGE": major, "BWIN_IMAGE": minor, "THETAWIN_IMAGE": degrees, "ERRTHETAWIN_IMAGE": degrees,
        "FWHM_IMAGE": fwhm, "ELONGATION": major / minor, "ELLIPTICITY": 1.0 - minor / major, "FLAGS_WIN": 0,
    }  # fmt: skip


def _copies(objects: Objects, template: IntArray) -> Objects:
    """Rows of the catalogue; where there is none, with a number of its own and nothing known."""
    new = np.zeros(template.size, dtype=objects.dtype)
    for name in objects.dtype.names or ():
        if objects.dtype[name].base.kind == "f":
            new[name] = np.nan
    has = template >= 0
    new[has] = objects[template[has]]
    new["NUMBER"][~has] = int(objects["NUMBER"].max(initial=0)) + 1 + np.arange(int((~has).sum()))
    return new


def _write(rows: Objects, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name in (rows.dtype.names or ()):
            rows[name] = value


def _cut(found: Found, trail: StarTrail, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which trails end at the chip's edge, or may go on beyond it."""
    reach_x = 0.5 * trail.length * abs(np.cos(trail.angle)) + trail.fwhm + 1.0
    reach_y = 0.5 * trail.length * abs(np.sin(trail.angle)) + trail.fwhm + 1.0
    inside = (found.x > reach_x) & (found.x < shape[1] + 1.0 - reach_x)
    return ~(inside & (found.y > reach_y) & (found.y < shape[0] + 1.0 - reach_y))


def _scale(
    objects: Objects, found: Found, template: IntArray, flags: NDArray[np.int64], error: FloatArray
) -> float:
    """FLUX_AUTO over the flux of the shape, of bright trails."""
    sure = (template >= 0) & (flags == 0) & (found.flux > _SURE * error)
    rows = template[sure]
    near = np.hypot(objects["XWIN_IMAGE"][rows] - found.x[sure], objects["YWIN_IMAGE"][rows] - found.y[sure])
    ratio = (objects["FLUX_AUTO"][rows] / found.flux[sure])[near < 2.0]
    return float(np.clip(np.median(ratio), *_SCALES)) if ratio.size >= _SCALED else 1.0


def _onto_the_sky(new: Objects, objects: Objects, found: Found) -> None:
    """Set the sky positions that the header gives: those of near detections, moved by the pixels between."""
    names = objects.dtype.names or ()
    if not {"ALPHAWIN_J2000", "DELTAWIN_J2000"} <= set(names):
        return
    x, y, ra, dec = (
        objects[name].astype(np.float64)
        for name in ("XWIN_IMAGE", "YWIN_IMAGE", "ALPHAWIN_J2000", "DELTAWIN_J2000")
    )
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & np.isfinite(ra) & np.isfinite(dec))
    if known.size < 3:
        return
    centre = float(ra[known[0]]), float(dec[known[0]])
    sky = np.column_stack(offsets_arcsec(ra[known], dec[known], *centre))
    design = np.column_stack([np.ones(known.size), x[known] - x[known[0]], y[known] - y[known[0]]])
    jacobian = np.linalg.lstsq(design, sky, rcond=None)[0][1:]
    _, nearest = cKDTree(np.column_stack([x[known], y[known]])).query(found.places)
    step = np.column_stack([found.x - x[known[nearest]], found.y - y[known[nearest]]])
    xi, eta = (sky[nearest] + step @ jacobian).T
    new["ALPHAWIN_J2000"], new["DELTAWIN_J2000"] = from_offsets_arcsec(xi, eta, *centre)
