"""What is fixed in pixels while the sky passes by: hot pixels and bad columns, also when the field drifts."""

from __future__ import annotations

import numpy as np
from scipy.special import pdtrik

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.plane import Plane
from ssosd.linker.tracklets.stationary import group_places

SAME_PIXEL_PX = 1.0  # a hot pixel's centroids agree to this
CENTROID_PX = 0.3  # 1-sigma scatter of such a centroid
MOVED_PX = 2.5  # the sky must have moved by more than this, or stars are fixed in pixels as well
# Epochs that see a hot pixel, and their share: over many dithers a slow mover comes back by chance.
MIN_EPOCHS, MIN_SHARE = 3, 0.1
# Where the telescope was dithered, what is so bright is hot in nearly all epochs, or it came back by chance.
BRIGHT_SNR, MOST_EPOCHS, DITHERED_PX = 10.0, 0.8, 2.0
COLUMN_CHANCE = 1e-7  # a column (or row) with so improbably many detections is bad


def fixed_in_pixels(plane: Plane, pool: BoolArray) -> BoolArray:
    """Which detections of the pool are at one place of the detector in `MIN_EPOCHS` or more.

    An object that the telescope follows is fixed in pixels, too, and cannot be told from a hot pixel by its
    place; it is lost here.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    result = np.zeros(plane.x.size, dtype=bool)
    members = np.flatnonzero(pool)
    if not members.size:
        return result
    apart = (plane.chip[members] - plane.chip[members].min()) * 1e6
    places = group_places(
        plane.epoch[members],
        plane.frame[members],
        plane.pixel_x[members] + apart,
        plane.pixel_y[members],
        np.full(members.size, CENTROID_PX),
        widest=SAME_PIXEL_PX,
    )
    extent = np.zeros(places.n_epochs.size)
    for values in (plane.x[members], plane.y[members]):
        high = np.full(places.n_epochs.size, -np.inf)
        low = -high
        np.maximum.at(high, places.label, values)
        np.minimum.at(low, places.label, values)
        extent = np.hypot(extent, high - low)
    often = places.n_epochs >= max(MIN_EPOCHS, MIN_SHARE * plane.n_epochs)
    if _dithered(plane):
        brightness = np.bincount(places.label, np.nan_to_num(plane.snr[members])) / np.bincount(places.label)
        often &= (places.n_epochs >= MOST_EPOCHS * plane.n_epochs) | (brightness < BRIGHT_SNR)
    fixed = often & (extent > MOVED_PX * plane.scale)
    result[members] = fixed[places.label]
    return result


def _dithered(plane: Plane) -> bool:
    """Whether the pointing jumped: a hot pixel does then not move on the sky as an object does."""
    pixel = np.stack([plane.pixel_x, plane.pixel_y], axis=-1)
    seen = pixel.min(axis=1) > -1e5  # not where it is unknown
    on_sky = np.einsum("nij,nj->ni", plane.jacobian[seen], pixel[seen])
    epoch = plane.epoch[seen]
    count = np.bincount(epoch, minlength=plane.n_epochs)
    used = count > 0
    if used.sum() < MIN_EPOCHS + 1:
        return False
    design = np.stack([np.ones(used.sum()), plane.times[used]], axis=-1)
    jump = np.zeros(int(used.sum()))
    for values, place in ((plane.x[seen], on_sky[:, 0]), (plane.y[seen], on_sky[:, 1])):
        offset = values / plane.scale - place
        mean = (np.bincount(epoch, offset, minlength=plane.n_epochs) / np.maximum(count, 1))[used]
        solution = np.linalg.lstsq(design, mean, rcond=None)[0]
        jump = np.hypot(jump, mean - design @ solution)
    return float(np.median(jump)) > DITHERED_PX


def bad_lines(plane: Plane, pool: BoolArray) -> BoolArray:
    """Which detections of the pool are on a column or row of the detector that has far too many of them.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    result = np.zeros(plane.x.size, dtype=bool)
    members = np.flatnonzero(pool)
    if not members.size:
        return result
    for values in (plane.pixel_x[members], plane.pixel_y[members]):
        for shift in (0.0, 0.5):
            result[members] |= _crowded(values + shift, plane.chip[members], plane.n_epochs)
    return result


def _crowded(values: FloatArray, chip: IntArray, n_epochs: int) -> BoolArray:
    """Rows whose integer part, on their chip, is found far more often than that of the others."""
    line = np.floor(values).astype(np.int64)
    line -= line.min()
    width = int(line.max()) + 1
    key = (chip - chip.min()).astype(np.int64) * width + line
    _, label, count = np.unique(key, return_inverse=True, return_counts=True)
    mean = max(values.size / (width * max(len(np.unique(chip)), 1)), 0.1)
    limit = max(float(np.ceil(pdtrik(1.0 - COLUMN_CHANCE, mean))), 1.5 * n_epochs)
    return np.asarray(count[label] > limit, dtype=bool)
