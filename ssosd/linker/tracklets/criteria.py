"""Whether a track may be an object, whatever its motion: by size, brightness, saturation, rest and pixels."""

from __future__ import annotations

import numpy as np

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets.pixels import MOVED_PX, SAME_PLACE_PX
from ssosd.linker.tracklets.pool import Pool
from ssosd.linker.tracklets.stars import FWHM_PER_SIGMA

COMPACT = 1.25  # size, in that of a star, of half of the detections of what moves less than `LITTLE_FWHM`
ENOUGH, ALONE_SIGMA = 3, 1.5  # detections that are left, and the motion that these must have for themselves
# (A^2 - B^2) / (A B) along the motion: more than the first plus the second over the SNR is drawn out.
DRAWN_OUT, DRAWN_NOISE = 0.2, 1.5
MAG_SCATTER, MAG_NOISE = 0.15, 1.5  # mag allowed: the first plus the second over the SNR
SAME_PLACE_SHARE = 0.15  # as `SAME_PLACE_PX`, in the distance that the sky moved
SATURATED_FWHM = 5.0  # what is saturated must move by more than this, in FWHM
LARGEST = 4.0  # size of a detection, in that of a star
ALONG_DEG = 20.0  # what the telescope follows moves so closely along the trails of the stars
MISSED = 0.25  # of the epochs of a place, relative to those that are of the track


def compact(pool: Pool, track: IntArray) -> BoolArray:
    """Whether half of the detections are as small as a star: the centroid of a faint galaxy wanders."""
    seen = track >= 0
    small = seen & (pool.size[track] <= COMPACT * pool.stars.size)
    return np.asarray(2 * small.sum(axis=1) >= seen.sum(axis=1), dtype=bool)


def steady(pool: Pool, track: IntArray) -> BoolArray:
    """Whether the brightness is that of one object; asked of what hardly moves, where blends are many."""
    seen = (track >= 0) & np.isfinite(pool.brightness[track])
    n = np.maximum(seen.sum(axis=1), 2)
    value = np.where(seen, pool.brightness[track], 0.0)
    mean = value.sum(axis=1) / n
    scatter = np.sqrt((np.where(seen, value - mean[:, None], 0.0) ** 2).sum(axis=1) / (n - 1.0))
    return np.asarray(scatter <= MAG_SCATTER + MAG_NOISE * 10.0 ** (0.4 * mean), dtype=bool)


def hangs_on_one(pool: Pool, track: IntArray, angle: FloatArray) -> BoolArray:
    """Whether a track of four detections or more hardly moves without one of them: it jumps, as blends do.

    Parameters
    ----------
    pool : Pool
    track : ndarray of int, shape (m, n_epochs)
    angle : ndarray, shape (m,)
        Of the motion, radians from x to y.

    Returns
    -------
    ndarray of bool, shape (m,)
        True where, without some detection, the rate along the motion is below `ALONE_SIGMA` of its error.
    """
    seen = track >= 0
    along = pool.x[track] * np.cos(angle)[:, None] + pool.y[track] * np.sin(angle)[:, None]
    w = np.where(seen, pool.sigma[track] ** -2.0, 0.0)
    u = along - np.sum(w * along, axis=1, keepdims=True) / np.sum(w, axis=1, keepdims=True)
    t = np.broadcast_to(pool.times - pool.times.mean(), u.shape)
    n, mean_t, mean_u, square, product = (
        np.sum(v, axis=1, keepdims=True) - v for v in (w, w * t, w * u, w * t**2, w * t * u)
    )
    spread_t = n * square - mean_t**2
    sigma = (n * product - mean_t * mean_u) / np.sqrt(np.maximum(n * spread_t, 1e-30))
    least = np.where(seen, sigma, np.inf).min(axis=1, initial=np.inf)
    return np.asarray((seen.sum(axis=1) > ENOUGH) & (least < ALONE_SIGMA), dtype=bool)


def drawn_out(pool: Pool, track: IntArray, angle: FloatArray, rate: FloatArray) -> BoolArray:
    """Whether a track's detections are longer along the motion than a star and its trail: pairs, galaxies.

    Their centroid wanders along their length, by more than the errors claim for it.

    Parameters
    ----------
    pool : Pool
    track : ndarray of int, shape (m, n_epochs)
    angle, rate : ndarray, shape (m,)
        Of the motion, radians from x to y, arcsec/h.
    """
    seen = track >= 0
    n = np.maximum(seen.sum(axis=1), 1)
    excess = np.real((pool.stretch[track] - pool.stars.stretch) * np.exp(-2j * angle)[:, None])
    excess = excess - (rate[:, None] * pool.plane.exptimes) ** 2 / 12.0  # of a uniform trail
    along = np.where(seen, excess / pool.size[track] ** 2, 0.0).sum(axis=1) / n
    noise = np.where(seen, 10.0 ** (0.4 * pool.brightness[track]), 0.0).sum(axis=1) / n
    return np.asarray(along > DRAWN_OUT + DRAWN_NOISE * noise, dtype=bool)


def too_large(pool: Pool, track: IntArray, rate: FloatArray) -> BoolArray:
    """Whether half of the detections are far larger than a star and its trail: galaxies, ghosts, bleeds."""
    seen = track >= 0
    index = pool.members[np.maximum(track, 0)]
    size, shape = pool.size[track], np.sqrt(np.maximum(pool.plane.elongation[index], 1.0))
    star = LARGEST * pool.fwhm / FWHM_PER_SIGMA
    trail = rate[:, None] * pool.plane.exptimes
    if pool.stars.drawn_out:
        trail = trail + abs(pool.stars.trail)  # at most, whatever the angle between them
    large = seen & ((size * shape > star + 0.6 * trail) | (size / shape > star))
    return np.asarray(2 * large.sum(axis=1) >= seen.sum(axis=1), dtype=bool)


def whole_trails(pool: Pool, track: IntArray) -> BoolArray:
    """Whether all detections of a track are trails as long as the stars'."""
    whole = pool.stars.as_long(pool.stretch, pool.epoch)
    return np.asarray(((track < 0) | whole[track]).all(axis=1), dtype=bool)


def stays_in_pixels(pool: Pool, track: IntArray, moved: FloatArray) -> BoolArray:
    """Whether a track stays at its place of the detector while the sky moves: hot pixels side by side."""
    seen, index = track >= 0, pool.members[np.maximum(track, 0)]
    moved_px = moved / pool.plane.scale
    near = np.maximum(SAME_PLACE_PX, SAME_PLACE_SHARE * moved_px)
    stays = moved_px > MOVED_PX
    for values, limit in (
        (pool.plane.pixel_x[index], near),
        (pool.plane.pixel_y[index], near),
        (pool.plane.chip[index], 1.0),
    ):
        high = np.where(seen, values, -np.inf).max(axis=1, initial=-np.inf)
        low = np.where(seen, values, np.inf).min(axis=1, initial=np.inf)
        stays &= high - low < limit
    return np.asarray(stays, dtype=bool)


def of_hot_pixels(pool: Pool, track: IntArray) -> BoolArray:
    """Whether tracks have detections of several places of a detector that drifts: now this, now that one."""
    place, highest = _standing_places(pool, track)
    return np.asarray(((place >= 0) & (place != highest)).any(axis=1), dtype=bool)


def of_one_place(pool: Pool, track: IntArray) -> BoolArray:
    """Whether all that tracks have is of one place of the detector that moves evenly on the sky."""
    place, highest = _standing_places(pool, track)
    same = (track < 0) | (place == highest)
    return np.asarray((highest[:, 0] >= 0) & same.all(axis=1), dtype=bool)


def _standing_places(pool: Pool, track: IntArray) -> tuple[IntArray, IntArray]:
    """Labels of the places of the detector that detections stand at, -1 without, and each track's highest."""
    place = np.where(track >= 0, pool.standing[track], -1)
    return place, place.max(axis=1, initial=-1, keepdims=True)


def along_trails(pool: Pool, angle: FloatArray) -> BoolArray:
    """Whether tracks move along the trails of the stars, where these are some, shape (m,)."""
    off = np.abs(np.angle(pool.stars.trail * np.exp(-2j * angle)))
    return np.asarray(pool.stars.drawn_out & (off < 2.0 * np.radians(ALONG_DEG)), dtype=bool)


def saturated(pool: Pool, track: IntArray, moved: FloatArray) -> BoolArray:
    """Whether a track is made of pieces of a saturated star: half of it saturated, and moving little."""
    seen = track >= 0
    flagged = seen & pool.plane.saturated[pool.members[np.maximum(track, 0)]]
    little = moved < SATURATED_FWHM * pool.fwhm
    return np.asarray(little & (2 * flagged.sum(axis=1) >= seen.sum(axis=1)), dtype=bool)


def at_rest(pool: Pool, track: IntArray) -> BoolArray:
    """Which detections are of a place on the sky that other epochs see, too, outside the track."""
    m, n_epochs = track.shape
    seen = track >= 0
    place = np.where(seen, pool.place[track], -1)
    rows, columns = np.nonzero(seen)
    key = rows.astype(np.int64) * (int(pool.place.max()) + 1 if pool.n else 1) + place[rows, columns]
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    result = np.zeros((m, n_epochs), dtype=bool)
    result[rows, columns] = pool.shared[track[rows, columns]] > (1.0 + MISSED) * count[inverse]
    return result
