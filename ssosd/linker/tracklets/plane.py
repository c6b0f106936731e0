"""A sequence's detections on one tangent plane, as the arrays that the steps of the linker work on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.errors import Misconfigured
from ssosd.grouping import BoolArray, FloatArray, IntArray, instants
from ssosd.sphere import ARCSEC_PER_DEG, mean_position, offsets_arcsec, to_radec, unit_vectors

NEEDED = (
    *("CATALOG_NUMBER", "EXTENSION", "RA", "DEC", "MID_EXPOSURE_MJD", "EXPTIME", "XWIN_IMAGE", "YWIN_IMAGE"),
    *("AWIN_IMAGE", "BWIN_IMAGE", "THETAWIN_IMAGE", "ERRA_WORLD", "ERRB_WORLD", "MAG", "SNR_WIN"),
    "FLAGS_EXTRACTION",
)
ERR_POSITION = "ERR_POSITION"  # column of the errors that `ssosd.linker.errors` has calibrated, arcsec
SATURATED = 4  # bit of SExtractor's FLAGS
SMALLEST_ERROR = 0.02  # arcsec: no centroid is better, whatever is claimed
LARGEST_ERROR = 1.0  # arcsec: of an error that is unknown or absurd
FINE_PX = 1.5  # arcsec: of coarser pixels lengths that have to do with centroids are in proportion larger


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plane:
    """Detections, shape (n,) each, in the order of the table's rows with a position and a time.

    An epoch is an instant: exposures taken at the same time are one epoch.
    """

    rows: IntArray  # row number in the table
    epoch: IntArray  # 0 to n_epochs - 1, in time order
    frame: IntArray  # exposure: ascends with the epoch
    x: FloatArray  # arcsec to the east on the tangent plane
    y: FloatArray  # arcsec to the north
    sigma: FloatArray  # 1-sigma error of the position in each coordinate, arcsec
    mag: FloatArray  # NaN where not measured
    snr: FloatArray  # NaN where not measured
    size: FloatArray  # sqrt(A B), pixels
    pixel_x: FloatArray
    pixel_y: FloatArray
    chip: IntArray  # the same number for the same chip of all exposures
    stretch: NDArray[np.complex128]  # (A^2 - B^2) exp(2 i angle), arcsec^2, angle from x to y
    elongation: FloatArray  # A / B
    saturated: BoolArray
    times: FloatArray  # hours after the middle of the sequence, shape (n_epochs,)
    exptimes: FloatArray  # hours, shape (n_epochs,)
    scale: float  # arcsec per pixel
    area: float  # of an epoch, arcsec^2
    centre: tuple[float, float]  # RA, Dec of the tangent point, deg ICRS
    jacobian: FloatArray  # sky displacement per pixel over the scale, of each detection, shape (n, 2, 2)

    @property
    def n_epochs(self) -> int:
        """Number of instants."""
        return int(self.times.size)

    @property
    def coarse(self) -> float:
        """How many times larger than with fine pixels centroids' errors, and what follows from them, are."""
        return coarseness(self.scale)

    @property
    def t(self) -> FloatArray:
        """Hours after the middle of the sequence of each detection."""
        return self.times[self.epoch]

    def take(self, rows: BoolArray) -> Plane:
        """Only some detections of the same epochs."""
        of_epochs = ("times", "exptimes", "scale", "area", "centre")
        names = [f.name for f in fields(self) if f.name not in of_epochs]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def counts(self, members: BoolArray) -> FloatArray:
        """How many of the detections chosen each epoch has."""
        return np.bincount(self.epoch[members], minlength=self.n_epochs).astype(np.float64)


def project(detections: pd.DataFrame) -> Plane:
    """Project a detections table on its tangent plane.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        With the columns `NEEDED`; with ERR_POSITION its errors are taken. Rows without finite position
        and time are left out.

    Raises
    ------
    Misconfigured
        A column is missing.
    """
    missing = [name for name in NEEDED if name not in detections]
    if missing:
        raise Misconfigured(
            f"the tracklet linker needs {', '.join(missing)}, which the detections do not have",
            next_step="add the parameters to the file of SEX_PARAMS",
        )
    column = {name: detections[name].to_numpy(dtype=np.float64) for name in NEEDED}
    usable = np.isfinite(column["RA"]) & np.isfinite(column["DEC"]) & np.isfinite(column["MID_EXPOSURE_MJD"])
    rows = np.flatnonzero(usable)
    column = {name: values[rows] for name, values in column.items()}
    times, exptimes, epoch = _epochs(column["MID_EXPOSURE_MJD"], column["EXPTIME"])
    x, y, centre = np.empty(0), np.empty(0), (0.0, 0.0)
    if rows.size:
        centre = mean_position(column["RA"], column["DEC"])
        x, y = offsets_arcsec(column["RA"], column["DEC"], *centre)
    jacobian, scale = _jacobians(column, x, y)
    theta = np.radians(np.nan_to_num(column["THETAWIN_IMAGE"]))
    along = np.einsum("nij,nj->ni", jacobian, np.stack([np.cos(theta), np.sin(theta)], axis=-1))
    a, b = np.nan_to_num(column["AWIN_IMAGE"]), np.nan_to_num(column["BWIN_IMAGE"])
    angle = np.arctan2(along[:, 1], along[:, 0])
    error = np.sqrt(np.abs(column["ERRA_WORLD"] * column["ERRB_WORLD"])) * ARCSEC_PER_DEG
    largest = LARGEST_ERROR * coarseness(scale)
    error = np.where(np.isfinite(error) & (error > 0.0), error, largest)
    sigma = np.clip(error, SMALLEST_ERROR, largest)
    if ERR_POSITION in detections:
        sigma = detections[ERR_POSITION].to_numpy(dtype=np.float64)[rows]
    return Plane(
        rows=rows,
        epoch=epoch,
        frame=_frames(epoch, column["CATALOG_NUMBER"]),
        x=x,
        y=y,
        sigma=sigma,
        mag=column["MAG"],
        snr=np.where(column["SNR_WIN"] > 0.0, column["SNR_WIN"], np.nan),
        size=np.sqrt(np.maximum(a, 0.05) * np.maximum(b, 0.05)),
        pixel_x=np.nan_to_num(column["XWIN_IMAGE"], nan=-1e6),
        pixel_y=np.nan_to_num(column["YWIN_IMAGE"], nan=-1e6),
        chip=column["EXTENSION"].astype(np.intp),
        stretch=(a**2 - b**2) * scale**2 * np.exp(2j * angle),
        elongation=a / np.maximum(b, 0.1),
        saturated=(column["FLAGS_EXTRACTION"].astype(np.int64) & SATURATED) != 0,
        times=times,
        exptimes=exptimes,
        scale=scale,
        area=_area(x, y, epoch, times.size),
        centre=centre,
        jacobian=jacobian,
    )


def coarseness(scale_arcsec: float) -> float:
    """Pixels of `FINE_PX` and less are 1, larger ones in proportion.

    >>> coarseness(0.3), coarseness(6.0)
    (1.0, 4.0)
    """
    return max(1.0, scale_arcsec / FINE_PX)


def to_sky(plane: Plane, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """RA and Dec (deg ICRS) of places on the plane, arcsec: the inverse of the gnomonic projection."""
    ra0 = np.radians(plane.centre[0])
    axis = unit_vectors(*plane.centre)
    east = np.array([-np.sin(ra0), np.cos(ra0), 0.0])
    offset = np.outer(x, east) + np.outer(y, np.cross(axis, east))
    return to_radec(axis + np.radians(offset / ARCSEC_PER_DEG))


def _frames(epoch: IntArray, catalogue: FloatArray) -> IntArray:
    """Number the exposures by epoch, then catalogue."""
    _, frame = np.unique(_of_two(epoch, catalogue), return_inverse=True)
    return frame.astype(np.intp)


def _of_two(first: IntArray | FloatArray, second: FloatArray) -> FloatArray:
    """One number for two of 0 or more, the second a whole one; ordered by the first, then the second."""
    return first * (1.0 + second.max(initial=0.0)) + second


def _epochs(mjd: FloatArray, exptime_s: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Instants in hours after their middle, their exposure times in hours, and the instant of each row."""
    epoch = instants(mjd)
    if not epoch.size:
        return np.empty(0), np.empty(0), epoch
    first = np.full(int(epoch.max()) + 1, np.inf)
    np.minimum.at(first, epoch, mjd)
    exptimes = np.zeros(first.size)
    np.maximum.at(exptimes, epoch, np.nan_to_num(exptime_s))
    return (first - 0.5 * (first[0] + first[-1])) * 24.0, exptimes / 3600.0, epoch


def _jacobians(column: dict[str, FloatArray], x: FloatArray, y: FloatArray) -> tuple[FloatArray, float]:
    """Sky displacement per pixel of each row, shape (n, 2, 2), in units of the scale, and the scale."""
    n = x.size
    result = np.broadcast_to(np.eye(2), (n, 2, 2)).copy()
    key = _of_two(column["CATALOG_NUMBER"], column["EXTENSION"])
    groups, label = np.unique(key, return_inverse=True)
    order = np.argsort(label, kind="stable")
    edges = np.searchsorted(label[order], np.arange(len(groups) + 1))
    design = np.stack([np.ones(n), column["XWIN_IMAGE"], column["YWIN_IMAGE"]], axis=-1)
    finite: BoolArray = np.asarray(np.isfinite(design).all(axis=1))
    scales = []
    for low, high in pairwise(edges):
        members = order[low:high]
        members = members[finite[members]]
        if members.size < 6:
            continue
        solution, _, rank, _ = np.linalg.lstsq(
            design[members], np.stack([x[members], y[members]], axis=-1), rcond=None
        )
        size = np.sqrt(abs(float(np.linalg.det(solution[1:]))))
        if rank == 3 and size > 0.0:
            result[members] = solution[1:].T / size
            scales.append(size)
    return result, float(np.median(scales)) if scales else 1.0


def _area(x: FloatArray, y: FloatArray, epoch: IntArray, n_epochs: int) -> float:
    """Typical area of an epoch: of the boxes that contain its detections, the median."""
    if not x.size:
        return 1.0
    sides = []
    for values in (x, y):
        high, low = np.full(n_epochs, -np.inf), np.full(n_epochs, np.inf)
        np.maximum.at(high, epoch, values)
        np.minimum.at(low, epoch, values)
        sides.append(high - low)
    return max(float(np.median(sides[0] * sides[1])), 1.0)
