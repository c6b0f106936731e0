"""The tracklet linker: from all detections of a sequence to the sources that move."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ssosd.errors import Misconfigured
from ssosd.grouping import BoolArray, IntArray
from ssosd.linker.tracklets import brightness, pixels, stationary, streaks
from ssosd.linker.tracklets.collect import first_tracks, fit_tracks, grow
from ssosd.linker.tracklets.pairs import make_pairs
from ssosd.linker.tracklets.plane import ERR_POSITION, Plane, project
from ssosd.linker.tracklets.pool import Pool, make_pool
from ssosd.linker.tracklets.select import Judged, judge, without_overlap
from ssosd.linker.tracklets.stars import Stars
from ssosd.linker.tracklets.table import SOURCE_COLUMNS, Kind, add_motion, local_motion, source_rows
from ssosd.linker.tracklets.trails import pieces_of
from ssosd.plumbing.text import counted

#: Chance tracks per sequence that are accepted at most; and where the pixels are asked about them as well.
MAX_CHANCE, WEAK_CHANCE = 1.0, 20.0
LINKED_BY = "TRACKLET"
MANY_EPOCHS, FIRST_OF_MANY = 12, 5
_ROUNDS = 4
_LONG_FWHM = 3.0  # of trails among which a tenth and more of what moves is lost, as SExtractor measures them


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracklets:
    """Sources that move."""

    detections: pd.DataFrame  # detections table of the linked rows, by SOURCE_NUMBER and time
    sources: pd.DataFrame  # one row per source: `table.SOURCE_COLUMNS`, best first
    n_false_expected: float  # chance tracks expected among the sources that need no further evidence
    notes: tuple[str, ...]  # for a person: what was left out
    pool: Pool  # what may move
    unsought: tuple[str, ...] = ()  # for a person: what could not be searched


def link_tracklets(
    *,
    detections: pd.DataFrame,
    pm_low: float,
    pm_up: float,
    min_detections: int,
    max_chance: float = MAX_CHANCE,
    linkable: BoolArray | None = None,
) -> Tracklets:
    """Link the detections of a sequence that move on great circles at uniform or slightly changing rates.

    The result does not depend on the order of the rows, nor on SOURCE_NUMBER, PM... of the table.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        All detections at their solved positions: `plane.NEEDED`; FLUX, FLUXERR, FLAGS_SCAMP and FLAGS_SSOS
        are used where present, all other columns are carried along. Never modified.
    pm_low, pm_up : float
        Rates sought, arcsec/h.
    min_detections : int
        Detections, at different instants, that a source needs; 3 or more.
    max_chance : float
        Sources that chance would make more often than this per sequence are left out.
    linkable : ndarray of bool, shape (n,), optional
        Rows that may be of a source: without the others, which stars and how deep an exposure is would
        not be known. All of them by default.

    Returns
    -------
    Tracklets
        Without sources for a field without movers, of one or two instants, or without detections.

    Raises
    ------
    Misconfigured
        A column is missing, `min_detections` is below 3, or the rates are not in order.
    """
    if min_detections < 3 or not 0.0 <= pm_low < pm_up or max_chance <= 0.0:
        raise Misconfigured(
            f"the tracklet linker cannot seek {min_detections} detections at {pm_low:g}-{pm_up:g} arcsec/h",
            next_step="3 detections or more are needed, and PM_LOW must be below PM_UP",
        )
    plane = project(detections)
    if ERR_POSITION not in detections:
        plane = stationary.calibrated(plane)
    pool, notes = _what_may_move(plane, pm_up, None if linkable is None else linkable[plane.rows])
    if pool.n < min_detections or plane.n_epochs < min_detections:
        return _result(detections, pool, _Chosen(pool.times.size), notes)
    pairs, fastest = make_pairs(pool, pm_low=pm_low, pm_up=pm_up)
    unsought = []
    if fastest < pm_up:
        unsought.append(
            f"too crowded to seek all motions above {fastest:.0f} arcsec/h: only what is drawn out the most"
        )
    if long := _long_trails(pool):
        unsought.append(long)
    # of the pair and the epochs looked at first; among very many epochs four in a row are no evidence
    first = min(min_detections, 4) if plane.n_epochs <= MANY_EPOCHS else FIRST_OF_MANY
    track = grow(pool, first_tracks(pool, pairs, needed=first), needed=min_detections)
    chosen = _Chosen(pool.times.size)
    for _ in range(_ROUNDS):
        judged = judge(pool, track, pm_low=pm_low, pm_up=pm_up, needed=min_detections, max_chance=max_chance)
        claims = _claims(pool, judged)
        taken, track = without_overlap(pool, judged, claims)
        chosen.add(judged, taken, claims)
        track = _unclaimed(pool, track, chosen, min_detections)
        if not len(track):
            break
    return replace(_result(detections, pool, chosen, notes), unsought=tuple(unsought))


def _long_trails(pool: Pool) -> str:
    """What is lost where the telescope followed something for long; "" where little is."""
    length = abs(pool.stars.trail)
    if not pool.stars.drawn_out or length < _LONG_FWHM * pool.fwhm:
        return ""
    return (
        f"stars are trails of {length:.0f} arcsec or more: they hide what is behind them, and what moves is "
        "spread as they are, so that it is found in part only; shorter exposures would show more"
    )


class _Chosen:
    """The tracks that are sources, best first in each round, and further pieces of their trails."""

    def __init__(self, n_epochs: int) -> None:
        self.track = np.empty((0, n_epochs), dtype=np.intp)
        self.log_expected = np.empty(0)
        self.standing = np.empty(0, dtype=bool)
        self.followed = np.empty(0, dtype=bool)
        self.pieces = np.empty((2, 0), dtype=np.intp)  # row of `track`, detection

    def add(self, judged: Judged, taken: IntArray, claims: tuple[IntArray, IntArray]) -> None:
        """Add some rows of judged tracks; of the claims those on their trails."""
        place = np.full(len(judged.track), -1, dtype=np.intp)
        place[taken] = len(self.track) + np.arange(taken.size)
        ours = (place[claims[0]] >= 0) & ~np.isin(claims[1], judged.track[taken])
        pieces = np.stack([place[claims[0][ours]], claims[1][ours]])
        self.pieces = np.concatenate([self.pieces, pieces], axis=1)
        self.track = np.concatenate([self.track, judged.track[taken]])
        self.log_expected = np.concatenate([self.log_expected, judged.log_expected[taken]])
        self.standing = np.concatenate([self.standing, judged.standing[taken]])
        self.followed = np.concatenate([self.followed, judged.followed[taken]])


def _what_may_move(plane: Plane, pm_up: float, linkable: BoolArray | None) -> tuple[Pool, list[str]]:
    """Take away what is at rest, fixed in pixels or of a satellite's trail; doubt what lies on bad lines."""
    found = stationary.places_on_sky(plane)
    solid = stationary.solid_places(plane, found)
    place, shared = found.label.copy(), found.shared
    passed = brightness.outshone(plane, place, solid)
    place[passed], shared[passed] = found.n_epochs.size + np.arange(int(passed.sum())), 1
    solid &= ~passed
    keep = ~solid
    notes = [f"{int(solid.sum())} of {solid.size} detections are at rest"]
    hot, standing = pixels.fixed_in_pixels(plane, keep)
    keep &= ~hot
    bad = pixels.bad_lines(plane, keep, standing=standing)
    drawn = Stars.of(plane, keep, solid).as_long(plane.stretch, plane.epoch)  # all of one direction
    beside, trails = streaks.satellite_trails(plane, keep & ~drawn, longest=pm_up * plane.exptimes)
    keep &= ~trails
    if linkable is not None:
        keep &= linkable
    # what is taken away, or stands on the detector, is no sign that something is at rest there
    moving = hot | trails | (standing >= 0)
    shared -= np.bincount(place[moving], minlength=int(place.max(initial=-1)) + 1)[place]
    for what, mask in (("fixed in pixels", hot), ("on bad lines", bad), ("on satellite trails", trails)):
        if mask.any():
            notes.append(f"{counted(int(mask.sum()), 'detection', 'are')} {what}")
    pool = make_pool(
        plane, keep, place=place, shared=shared, solid=solid, doubtful=beside | bad, standing=standing
    )
    return pool, notes


def _claims(pool: Pool, judged: Judged) -> tuple[IntArray, IntArray]:
    """Pieces on the trails of the accepted tracks, as (row of judged, detection)."""
    rows = np.flatnonzero(judged.accepted & ~judged.followed)  # these are points
    if not rows.size:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    track, extra = pieces_of(pool, judged.track[rows], judged.motion.take(rows))
    return rows[track], extra


def _unclaimed(pool: Pool, track: IntArray, chosen: _Chosen, needed: int) -> IntArray:
    """Take what chosen tracks have from the others; what is left of these if enough."""
    taken = np.zeros(pool.n + 1, dtype=bool)
    taken[chosen.track[chosen.track >= 0]] = True
    taken[chosen.pieces[1]] = True
    track = np.where(taken[track] & (track >= 0), -1, track)
    return track[(track >= 0).sum(axis=1) >= needed]


def _result(detections: pd.DataFrame, pool: Pool, chosen: _Chosen, notes: list[str]) -> Tracklets:
    """Make the tables, the best source first."""
    if not len(chosen.track):
        empty = detections.iloc[:0].reset_index(drop=True).copy()
        empty["LINKED_BY"] = pd.Series([], dtype=object)
        sources = pd.DataFrame({name: np.empty(0) for name in SOURCE_COLUMNS})
        counts = ["SOURCE_NUMBER", "N_DETECTIONS", "N_PIECES", "DOF"]
        sources[counts] = sources[counts].astype(np.int64)
        return Tracklets(
            detections=empty, sources=sources, n_false_expected=0.0, notes=tuple(notes), pool=pool
        )
    order = np.lexsort((pool.x[chosen.track.max(axis=1)], chosen.log_expected))
    rank = np.empty(order.size, dtype=np.intp)
    rank[order] = np.arange(order.size)
    track, log_expected = chosen.track[order], chosen.log_expected[order]
    kind = Kind(standing=chosen.standing[order], followed=chosen.followed[order])
    pieces = rank[chosen.pieces[0]], chosen.pieces[1]
    table, n_pieces = source_rows(detections, pool, track, fit_tracks(pool, track), pieces, kind=kind)
    motion = local_motion(table, pool, track, points=kind.followed)
    sources = add_motion(table, motion, n_pieces, log_expected)
    table["LINKED_BY"] = LINKED_BY
    n_false = float(np.exp(np.maximum(log_expected[log_expected <= np.log(MAX_CHANCE)], -700.0)).sum())
    return Tracklets(
        detections=table, sources=sources, n_false_expected=n_false, notes=tuple(notes), pool=pool
    )
