"""What is fixed in pixels while the sky passes by: hot pixels and bad columns, also when the field drifts."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc, pdtrik

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.plane import Plane
from ssosd.linker.tracklets.stationary import Places, group_places
from ssosd.trackfit import arc_hours, fit_motion

SAME_PIXEL_PX = 1.0  # a hot pixel's centroids agree to this
CENTROID_PX = 0.3  # 1-sigma scatter of such a centroid
JITTER_PX = 0.6  # and of what the telescope follows
SAME_PLACE_PX = 2.0  # extent of hot pixels side by side, of which now the one, now the other is detected
MOVED_PX = 2.5  # the sky must have moved by more than this, or stars are fixed in pixels as well
# Epochs that see a hot pixel, and their share: over many dithers a slow mover comes back by chance.
MIN_EPOCHS, MIN_SHARE = 3, 0.1
# Where the telescope was dithered, what is so bright is hot in nearly all epochs, or it came back by chance.
BRIGHT_SNR, MOST_EPOCHS, DITHERED_PX = 10.0, 0.8, 2.0
# What the telescope follows is in so large a share of the epochs and moves so evenly; so many pass.
OFTEN_FOLLOWED, EVEN_CHANCE, MOST_FOLLOWED = 0.6, 1e-4, 200
COLUMN_CHANCE = 1e-7  # a column (or row) with so improbably many detections is bad


def fixed_in_pixels(plane: Plane, pool: BoolArray) -> tuple[BoolArray, IntArray]:
    """Which detections of the pool are at one place of the detector in `MIN_EPOCHS` or more.

    An object that the telescope follows is fixed in pixels, too: what moves evenly on the sky is left, up to
    `MOST_FOLLOWED` places. Where the telescope drifts hot pixels do as well, and only their light tells.

    Returns
    -------
    fixed : ndarray of bool, shape (n,)
        Those of hot pixels.
    standing : ndarray of int, shape (n,)
        Label of the place of those at one that moves evenly on the sky, as what the telescope follows; -1 of
        all others.
    """
    result, standing = np.zeros(plane.x.size, dtype=bool), np.full(plane.x.size, -1, dtype=np.intp)
    members = np.flatnonzero(pool)
    if not members.size:
        return result, standing
    places = _on_detector(plane, members, scatter=CENTROID_PX, widest=SAME_PIXEL_PX)
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
    if result.any():
        even, label = _moving_evenly(plane, members)
        result[even] = False
        standing[even] = label
    return result, standing


def _on_detector(plane: Plane, members: IntArray, *, scatter: float, widest: float) -> Places:
    """Group detections by place of the detector."""
    apart = (plane.chip[members] - plane.chip[members].min()) * 1e6
    return group_places(
        plane.epoch[members],
        plane.frame[members],
        plane.pixel_x[members] + apart,
        plane.pixel_y[members],
        np.full(members.size, scatter),
        widest=widest,
    )


def _moving_evenly(plane: Plane, members: IntArray) -> tuple[IntArray, IntArray]:
    """Detections at places of the detector that move evenly on the sky, and labels of these places.

    Of many places the brightest are taken.
    """
    places = _on_detector(plane, members, scatter=JITTER_PX, widest=SAME_PLACE_PX)
    often = np.flatnonzero(places.n_epochs >= max(MIN_EPOCHS, OFTEN_FOLLOWED * plane.n_epochs))
    slot = np.full(places.n_epochs.size, -1, dtype=np.intp)
    slot[often] = np.arange(often.size)
    row = slot[places.label]
    own, row = members[row >= 0], row[row >= 0]
    shape = (often.size, plane.n_epochs)
    x, y, snr, sigma = (np.zeros(shape) for _ in range(4))
    seen = np.zeros(shape, dtype=bool)
    at = row, plane.epoch[own]
    seen[at] = True
    x[at], y[at], sigma[at], snr[at] = plane.x[own], plane.y[own], plane.sigma[own], plane.snr[own]
    n = seen.sum(axis=1)
    still = np.zeros(plane.n_epochs)  # its light is a point
    motion = fit_motion(x=x, y=y, sigma=sigma, seen=seen, t=plane.times, exptime=still)
    even = chdtrc(np.maximum(2 * n - 4, 1), motion.chi2) > EVEN_CHANCE
    even &= motion.rate * arc_hours(seen, plane.times) > MOVED_PX * plane.scale
    bright = np.where(even, np.nan_to_num(snr).sum(axis=1) / n, -np.inf)
    chosen = np.zeros(often.size, dtype=bool)
    chosen[np.argsort(-bright, kind="stable")[: min(MOST_FOLLOWED, int(even.sum()))]] = True
    taken = chosen[row]
    return own[taken], row[taken]


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


def bad_lines(plane: Plane, pool: BoolArray, *, standing: IntArray) -> BoolArray:
    """Which detections of the pool are on a column or row of the detector that has far too many of them.

    Those at a place of `standing`, as of `fixed_in_pixels`, do not count: one hot pixel makes no bad column.

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
            result[members] |= _crowded(
                values + shift, plane.chip[members], plane.n_epochs, counts=standing[members] < 0
            )
    return result


def _crowded(values: FloatArray, chip: IntArray, n_epochs: int, *, counts: BoolArray) -> BoolArray:
    """Rows whose integer part, on their chip, is found far more often than that of the others that count."""
    line = np.floor(values).astype(np.int64)
    line -= line.min()
    width = int(line.max()) + 1
    key = (chip - chip.min()).astype(np.int64) * width + line
    _, label = np.unique(key, return_inverse=True)
    count = np.bincount(label, counts)
    mean = max(counts.sum() / (width * max(len(np.unique(chip)), 1)), 0.1)
    limit = max(float(np.ceil(pdtrik(1.0 - COLUMN_CHANCE, mean))), 1.5 * n_epochs)
    return np.asarray(count[label] > limit, dtype=bool)
