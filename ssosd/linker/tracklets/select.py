"""Which tracks are sources: good fits, significant motion, no rest, and no detection in two of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from ssosd.grouping import BoolArray, FloatArray, IntArray
from ssosd.linker.tracklets import criteria
from ssosd.linker.tracklets.blends import LITTLE_FWHM
from ssosd.linker.tracklets.chance import log_expected
from ssosd.linker.tracklets.collect import fit_tracks, unique_tracks
from ssosd.linker.tracklets.pairs import TRAILED_FWHM
from ssosd.linker.tracklets.pool import GATE_CHI2, Pool
from ssosd.trackfit import Motion, arc_hours

MOTION_SIGMA = 4.8  # of the rate: of 4000 stars at rest one in twenty fields seems to move so
CLEAR_SIGMA = 12.0  # what moves by less than a FWHM and this must not be drawn out along its motion
CLEAR_CHANCE = 0.01  # chance tracks expected of what is larger than a star and moves little: comets, galaxies
STANDING_CHANCE = 0.01  # chance tracks expected of what stands at one place of the detector,
TRAIL_DEX = 2.0  # and so many dex below one of what moves within the trail of a star, for each FWHM of that
WHOLE_CHANCE = 1e-4  # of that where its detections are whole trails: only what stars share wanders along them
WINDOWED = 1.7  # length of trails of 2 to 10 FWHM over that which SExtractor's windows see
FIT_CHANCE = 1e-4  # a fit is bad when so few true ones have as large a chi-square
HARDLY_FIT_CHANCE = 1e-2  # of what moves by less than a FWHM: a centroid that wanders fits badly
MIN_MOVED = 0.4  # arcsec, of fine pixels: less is a centroid that wanders
HARDLY_FWHM = 2.5  # what moves less than this, in FWHM, must be of steady magnitude
ODD_MAG, ODD_TRAIL_MAG = 1.5, 2.5  # from the track's median, for points and for trails or pieces of them
ENOUGH = 3  # detections that have a median
CLEAN_FRACTION = 0.5  # of the detections that must not be of a place seen at rest
SHARED_LIMIT = 2  # detections of a better track that end a track
MAX_ROUNDS = 50


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """Tracks with all that decides about them; shape (m,) unless said otherwise."""

    track: IntArray  # (m, n_epochs)
    motion: Motion
    log_expected: FloatArray  # natural log of the chance tracks expected
    n: IntArray  # epochs with a detection
    dof: IntArray
    accepted: BoolArray
    standing: BoolArray  # at one place of the detector while the sky moves
    followed: BoolArray  # these of them that the telescope followed, among stars drawn out


def judge(
    pool: Pool, track: IntArray, *, pm_low: float, pm_up: float, needed: int, max_chance: float
) -> Judged:
    """Fit and judge tracks, after taking out detections that do not fit."""
    for _ in range(2):
        for prune in (without_odd, without_worst):
            if len(track):
                track = prune(pool, track)
                track = track[(track >= 0).sum(axis=1) >= max(needed, 2)]
        track = unique_tracks(pool, track)
    return assess(pool, track, pm_low=pm_low, pm_up=pm_up, needed=needed, max_chance=max_chance)


def without_odd(pool: Pool, track: IntArray) -> IntArray:
    """Take out the detections that are far brighter or fainter than the track's median: cosmics, stars."""
    level = np.where(track >= 0, pool.brightness[track], np.nan)
    measured = np.isfinite(level)
    count = measured.sum(axis=1)
    ordered = np.sort(level, axis=1)  # NaN last
    rows = np.arange(len(track))
    middle = 0.5 * (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2])
    trail = fit_tracks(pool, track).rate[:, None] * pool.plane.exptimes
    step = np.where(trail > TRAILED_FWHM * pool.fwhm, ODD_TRAIL_MAG, ODD_MAG)
    odd = measured & (np.abs(level - middle[:, None]) > step)
    return np.where(odd & (count >= ENOUGH)[:, None], -1, track)


def without_worst(pool: Pool, track: IntArray) -> IntArray:
    """Take out the detection of each track that fits worst, if it does not fit."""
    worst = fit_tracks(pool, track).point_chi2
    out = (worst > GATE_CHI2) & (worst >= worst.max(axis=1, keepdims=True))
    return np.where(out, -1, track)


def assess(
    pool: Pool, track: IntArray, *, pm_low: float, pm_up: float, needed: int, max_chance: float
) -> Judged:
    """Fit and judge tracks as they are."""
    motion = fit_tracks(pool, track)
    seen = track >= 0
    n = seen.sum(axis=1)
    dof = 2 * n - 4
    clean = seen & ~criteria.at_rest(pool, track) & ~pool.doubtful[track]
    moved = motion.rate * arc_hours(seen, pool.times)
    along = criteria.along_trails(pool, motion.angle)
    standing = criteria.stays_in_pixels(pool, track, moved)
    points = standing & along & criteria.of_one_place(pool, track)
    expected = log_expected(pool, track, motion, clean, points)
    error = np.sqrt(motion.cov_u[:, 1, 1])
    n_clean = clean.sum(axis=1)
    accepted = (n >= needed) & (n_clean >= np.maximum(min(needed, 3), CLEAN_FRACTION * n))
    accepted &= (motion.rate >= pm_low) & (motion.rate <= pm_up)
    accepted &= (motion.rate > MOTION_SIGMA * error) & (moved > MIN_MOVED * pool.plane.coarse)
    accepted &= ~criteria.too_large(pool, track, motion.rate)
    accepted &= ~criteria.saturated(pool, track, moved)
    hardly = moved < HARDLY_FWHM * pool.fwhm
    within = moved < pool.fwhm
    worst = np.where(within, HARDLY_FIT_CHANCE, FIT_CHANCE)
    accepted &= ~within | ~criteria.hangs_on_one(pool, track, motion.angle)
    unclear = hardly & (motion.rate < CLEAR_SIGMA * error)
    accepted &= ~unclear | ~criteria.drawn_out(pool, track, motion.angle, motion.rate)
    accepted &= chdtrc(np.maximum(dof, 1), motion.chi2) > worst
    accepted &= ~hardly | criteria.steady(pool, track)
    clear = (motion.rate > CLEAR_SIGMA * error) & ~within & (expected <= np.log(CLEAR_CHANCE))
    accepted &= clear | (moved >= LITTLE_FWHM * pool.fwhm) | criteria.compact(pool, track)
    less = TRAIL_DEX * np.log(10.0) * abs(pool.stars.trail) / pool.fwhm
    within_trail = along & (moved < WINDOWED * abs(pool.stars.trail))
    less = np.where(criteria.whole_trails(pool, track), -np.log(WHOLE_CHANCE), less)
    accepted &= expected <= np.where(within_trail, -less, np.log(max_chance))
    accepted &= np.where(standing, expected <= np.log(STANDING_CHANCE), ~criteria.of_hot_pixels(pool, track))
    return Judged(
        track=track,
        motion=motion,
        log_expected=expected,
        n=n,
        dof=dof,
        accepted=accepted,
        standing=standing,
        followed=standing & along,
    )


def without_overlap(
    pool: Pool, judged: Judged, claims: tuple[IntArray, IntArray]
) -> tuple[IntArray, IntArray]:
    """Choose tracks so that no detection is in two.

    The better track (not expected by chance, then more epochs, then less expected) has its detections; others
    lose what they share, and end with `SHARED_LIMIT` shared ones or more, those on the better one's trails
    included.

    Parameters
    ----------
    pool : Pool
    judged : Judged
        Only the accepted ones are looked at.
    claims : tuple of two ndarray of int
        Track (row of `judged`) and detection of further pieces of trails.

    Returns
    -------
    chosen : ndarray of int
        Rows of `judged`, best first.
    again : ndarray of int, shape (m_again, n_epochs)
        Tracks that lost one detection, to be judged again.
    """
    rank_order = np.lexsort((judged.log_expected, -judged.n, judged.log_expected > 0.0))
    order = rank_order[judged.accepted[rank_order]]
    m = order.size
    rank = np.full(len(judged.track), -1, dtype=np.intp)
    rank[order] = np.arange(m)
    track = judged.track[order]
    rows, columns = np.nonzero(track >= 0)
    own = track[rows, columns]
    ours = rank[claims[0]] >= 0
    claim_row = np.concatenate([rows, rank[claims[0][ours]]])
    claim_det = np.concatenate([own, claims[1][ours]])
    state = np.zeros(m, dtype=np.int8)  # 0 waiting, 1 chosen, 2 ended
    taken, claimed = np.zeros(pool.n, dtype=bool), np.zeros(pool.n, dtype=bool)
    for _ in range(MAX_ROUNDS):
        waiting = state == 0
        if not waiting.any():
            break
        # a waiting track is chosen when no better waiting one claims any of its detections
        best = np.full(pool.n, m, dtype=np.intp)
        active = waiting[claim_row]
        np.minimum.at(best, claim_det[active], claim_row[active])
        beaten = np.zeros(m, dtype=bool)
        beaten[rows[best[own] < rows]] = True
        now = waiting & ~beaten
        state[now] = 1
        taken[own[now[rows]]] = True
        claimed[claim_det[now[claim_row]]] = True
        hit = taken[own] & (state[rows] == 0)
        lost = np.bincount(rows[claimed[own]], minlength=m)
        state[(state == 0) & (lost >= SHARED_LIMIT)] = 2
        single = (state == 0) & (np.bincount(rows[hit], minlength=m) == 1)
        state[single] = 3
        if single.any():
            drop = hit & single[rows]
            track[rows[drop], columns[drop]] = -1
    return order[state == 1], track[state == 3]
