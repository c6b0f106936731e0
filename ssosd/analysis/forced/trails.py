"""Trails measured along their length: the middle is the place at mid-exposure, all light is the object's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ssosd.analysis.forced.chips import Chips, OpenChip
from ssosd.analysis.forced.fit import Placed, Trails, fitted_places, forced_flux
from ssosd.analysis.forced.pixels import Patches
from ssosd.analysis.forced.profile import FloatArray
from ssosd.analysis.forced.rest import FixedSky
from ssosd.analysis.forced.tracks import Tracks, position_errors, track_candidates
from ssosd.analysis.photometry.stars import MAG_PER_RELATIVE, mag_of_one_count
from ssosd.errors import BadInput
from ssosd.grouping import BoolArray, IntArray
from ssosd.model import PIECES_FLAG, PLACED_FLAG, Exposure
from ssosd.sphere import ARCSEC_PER_DEG, separation_arcsec

TRAIL_FLAG = 64  # in the place of other flags of trails in FLAGS_SSOS: place and light of the whole trail
_LEAST_SNR = 4.0
_CLEAR, _FULL = 0.6, 0.02  # least share of the light clear of stars, largest on full pixels
_SURE_SNR, _SURE_CLEAR = 10.0, 0.2  # of that many sigma clear of stars, a smaller share suffices
_FREE_LENGTH, _FREE_FWHM = 0.25, 0.7  # how far off the middle may be, 1 sigma along and across
_PULL = 3.0  # farther off, in these, it is something else
_HALO_ARCSEC = 15.0
_FIXED = 3  # measured trails of a candidate that say where its others are
_OFF_SIGMA, _OFF_ARCSEC = 4.0, 1.0  # farther from there a detection is a piece of the trail, or a star in it
_QUIET = 0.05  # quantile of ERR_POSITION that is the frame's own scatter


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    """The pixels of the trails on one chip, kept after it is closed."""

    rows: IntArray  # of the candidates' table
    chip: OpenChip
    detections: pd.DataFrame  # on the chip
    patches: Patches
    masked: BoolArray  # pixels with the light of stars


def measure_trails(
    candidates: pd.DataFrame,
    *,
    exposures: Sequence[Exposure],
    chips: Chips,
    rest: FixedSky,
    longer_than_fwhm: float,
) -> tuple[pd.DataFrame, list[str]]:
    """Measure the detections of fast candidates again, with a star's shape drawn along the trail.

    Length and direction of the trail follow from the motion; the middle, and the light, from the pixels.
    The motion is fitted again with what that gave, and the trails with it. Detections that stars spoil, and
    those of unreadable files, stay as they are, or are put where three or more measured ones say, with
    `PLACED_FLAG`, when they are elsewhere.

    Parameters
    ----------
    candidates : DataFrame
        One row per detection.
    exposures : sequence of Exposure
        In the order of CATALOG_NUMBER.
    chips : Chips
    rest : FixedSky
    longer_than_fwhm : float
        Trails that are longer than so many FWHM of the exposure's stars are measured.

    Returns
    -------
    table : DataFrame
        Of the same rows. Where FLAGS_SSOS has `TRAIL_FLAG`, RA, DEC, XWIN_IMAGE, YWIN_IMAGE, their errors,
        FLUX and MAG with their errors are the trail's, FLUX and MAG in the system of stars; the rates of the
        candidates that have such rows follow from them.
    notes : list of str
        Files that could not be read.

    References
    ----------
    Veres et al. 2012, PASP 124, 1197.
    """
    notes: list[str] = []
    if candidates.empty:
        return candidates, notes
    tracks = track_candidates(candidates, exposures)
    m = tracks.find(candidates["SOURCE_NUMBER"])
    f = candidates["CATALOG_NUMBER"].to_numpy(np.intp) - 1
    seen = list(_look(candidates, tracks, m, f, exposures, chips, rest, longer_than_fwhm, notes))
    if not seen:
        return candidates, notes
    once = _replaced(candidates, seen, tracks, m, f)
    tracks = _tracks_of(once, exposures)
    table = _replaced(candidates, seen, tracks, m, f)
    table = _placed_where_off(table, np.concatenate([one.rows for one in seen]), f, exposures)
    return _with_rates(table, _tracks_of(table, exposures), m), notes


def _look(
    candidates: pd.DataFrame,
    tracks: Tracks,
    m: IntArray,
    f: IntArray,
    exposures: Sequence[Exposure],
    chips: Chips,
    rest: FixedSky,
    longer_than_fwhm: float,
    notes: list[str],
) -> Iterator[_Seen]:
    """Read the pixels of all long trails, one chip after the other; note what cannot be read."""
    extension = candidates["EXTENSION"].to_numpy(np.intp)
    scale = {(n, c.hdu): c.scale_arcsec for n, e in enumerate(exposures, start=1) for c in e.chips}
    for (number, hdu), facts in chips.facts.items():
        shortest = longer_than_fwhm * facts.fwhm_px * scale[number, hdu]
        rows = np.flatnonzero((f == number - 1) & (extension == hdu) & (m >= 0)).astype(np.intp)
        rows = rows[tracks.trail[m[rows], f[rows]] > shortest]
        if not rows.size:
            continue
        near = rest.near(tracks, m[rows], f[rows], beside_arcsec=_HALO_ARCSEC)
        try:
            with chips.open(number, hdu) as chip:
                trails = chip.lay(tracks, m[rows], f[rows])
                there = np.flatnonzero(chip.holds(trails)).astype(np.intp)
                if not there.size:
                    continue
                patches = chip.read(trails.take(there))
        except BadInput as error:
            notes.append(f"trails not measured: {error.message}")
            continue
        yield _Seen(
            rows=rows[there],
            chip=chip,
            detections=facts.detections,
            patches=patches,
            masked=chip.masked(patches, near.of(there)),
        )


def _replaced(
    candidates: pd.DataFrame, seen: Sequence[_Seen], tracks: Tracks, m: IntArray, f: IntArray
) -> pd.DataFrame:
    """The candidates with what the trails say, laid out by the motion so far."""
    columns = {name: candidates[name].to_numpy(copy=True) for name in _columns(candidates)}
    for one in seen:
        track, exposure = m[one.rows], f[one.rows]
        trails = _free(one.chip.lay(tracks, track, exposure), one.chip.shape.fwhm_px)
        shape, gain = one.chip.shape, one.chip.gain
        light = forced_flux(one.patches, trails, shape=shape, gain=gain)
        full = light
        if one.patches.full.any():
            full = forced_flux(one.patches, trails, shape=shape, gain=gain, also=one.patches.full)
        placed = fitted_places(one.patches, trails, shape=shape, gain=gain, masked=one.masked)
        clear = forced_flux(one.patches, _at(trails, placed), shape=shape, gain=gain, masked=one.masked)
        good = (placed.flux > _LEAST_SNR * placed.err) & (placed.pull < _PULL)
        sure = placed.flux > _SURE_SNR * placed.err
        good &= (clear.seen > np.where(sure, _SURE_CLEAR, _CLEAR)) & (full.seen - light.seen < _FULL)
        good &= np.isfinite(one.patches.noise)
        if good.any():
            new = _measures(candidates, one, placed, trails, tracks.angle[track, exposure])
            for name in columns:
                columns[name][one.rows[good]] = new[name][good]
    return candidates.assign(**columns)


def _free(trails: Trails, fwhm_px: float) -> Trails:
    """Trails whose middle is not held by the motion: it says where to look, the pixels say where it is."""
    return replace(
        trails,
        err_along=np.maximum(trails.err_along, _FREE_LENGTH * trails.length + _FREE_FWHM * fwhm_px),
        err_across=np.maximum(trails.err_across, _FREE_FWHM * fwhm_px),
    )


def _placed_where_off(
    table: pd.DataFrame, long: IntArray, f: IntArray, exposures: Sequence[Exposure]
) -> pd.DataFrame:
    """The candidates; long trails that were not measured, rows `long`, are not left far from their motion."""
    fixed = trail_rows(table)
    n_fixed = pd.Series(fixed).groupby(table["SOURCE_NUMBER"].to_numpy()).transform("sum").to_numpy(np.intp)
    rows = long[~fixed[long] & (n_fixed[long] >= _FIXED)]
    if not rows.size:
        return table
    tracks = _tracks_of(table[fixed], exposures)
    m = tracks.find(table["SOURCE_NUMBER"].to_numpy()[rows])
    rows, m = rows[m >= 0], m[m >= 0]
    f = f[rows]
    along, across = tracks.err_along[m, f], tracks.err_across[m, f]
    major, minor, turned = _axes(along, across)
    there = table.iloc[rows]
    new = {
        "RA": tracks.ra[m, f],
        "DEC": tracks.dec[m, f],
        "ERRA_WORLD": major / ARCSEC_PER_DEG,
        "ERRB_WORLD": minor / ARCSEC_PER_DEG,
        "ERRTHETA_WORLD": _half_turn(np.degrees(tracks.angle[m, f]) + turned),
        "ERR_POSITION": np.sqrt(0.5 * (along**2 + across**2)),
        "FLAGS_SSOS": there["FLAGS_SSOS"].to_numpy(np.int64) | PLACED_FLAG,
    }
    apart = separation_arcsec(there["RA"], there["DEC"], new["RA"], new["DEC"])
    off = apart > np.maximum(_OFF_SIGMA * np.hypot(along, position_errors(there)), _OFF_ARCSEC)
    columns = {name: table[name].to_numpy(copy=True) for name in new if name in table}
    for name, values in columns.items():
        values[rows[off]] = new[name][off]
    return table.assign(**columns)


def _at(trails: Trails, placed: Placed) -> Trails:
    """Trails at the fitted places."""
    return replace(
        trails, x=placed.x, y=placed.y, err_along=0.0 * placed.err_along, err_across=0.0 * placed.err_across
    )


def _columns(candidates: pd.DataFrame) -> list[str]:
    """What is replaced of a row."""
    there = ("RA", "DEC", "XWIN_IMAGE", "YWIN_IMAGE", "ERRA_WORLD", "ERRB_WORLD", "ERRTHETA_WORLD",
             "ERR_POSITION", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE", "FLUX", "FLUXERR", "MAG",
             "MAGERR", "FLAGS_SSOS")  # fmt: skip
    return [name for name in there if name in candidates]


def _measures(
    candidates: pd.DataFrame, one: _Seen, placed: Placed, trails: Trails, pa: FloatArray
) -> dict[str, FloatArray]:
    """New values of `_columns` for all rows of a chip."""
    ra, dec = one.chip.sky.sky_of(placed.x, placed.y)
    long, short, turned = _axes(placed.err_along, placed.err_across)
    sky = one.detections
    with np.errstate(divide="ignore", invalid="ignore"):
        per = one.chip.shape.per_catalogue_at(placed.x, placed.y)
        flux, err = placed.flux / per, placed.err / per
        mag, mag_err = mag_of_one_count(sky) - 2.5 * np.log10(flux), MAG_PER_RELATIVE * err / flux
    flags = candidates["FLAGS_SSOS"].to_numpy(np.int64)[one.rows]
    major, minor = (np.hypot(v / trails.scale, _own_scatter(sky)) for v in (long, short))
    return {
        "RA": ra,
        "DEC": dec,
        "XWIN_IMAGE": placed.x,
        "YWIN_IMAGE": placed.y,
        "ERRA_WORLD": major / ARCSEC_PER_DEG,
        "ERRB_WORLD": minor / ARCSEC_PER_DEG,
        "ERRTHETA_WORLD": _half_turn(np.degrees(pa) + turned),
        "ERR_POSITION": np.sqrt(0.5 * (major**2 + minor**2)),
        "ERRAWIN_IMAGE": long,
        "ERRBWIN_IMAGE": short,
        "ERRTHETAWIN_IMAGE": _half_turn(np.degrees(trails.angle) + turned),
        "FLUX": flux,
        "FLUXERR": err,
        "MAG": mag,
        "MAGERR": mag_err,
        "FLAGS_SSOS": (flags & ~(PIECES_FLAG | PLACED_FLAG)) | TRAIL_FLAG,
    }


def _axes(along: FloatArray, across: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Major and minor axis of errors, and the major one's angle from the trail, deg."""
    return np.maximum(along, across), np.minimum(along, across), np.where(along >= across, 0.0, 90.0)


def _half_turn(angle_deg: FloatArray) -> FloatArray:
    """Angle of an axis, -90 to 90."""
    return (angle_deg + 90.0) % 180.0 - 90.0


def _own_scatter(detections: pd.DataFrame) -> float:
    """What a frame's best positions scatter, arcsec."""
    if "ERR_POSITION" not in detections or detections.empty:
        return 0.0
    return float(np.nanquantile(detections["ERR_POSITION"].to_numpy(np.float64), _QUIET))


def _tracks_of(table: pd.DataFrame, exposures: Sequence[Exposure]) -> Tracks:
    """Motion with the trails that were measured counted as exact along their length."""
    return track_candidates(table, exposures, measured=trail_rows(table))


def trail_rows(table: pd.DataFrame) -> BoolArray:
    """Rows whose place and light are the whole trail's."""
    return np.asarray((table["FLAGS_SSOS"].to_numpy(np.int64) & TRAIL_FLAG) != 0)


def _with_rates(table: pd.DataFrame, tracks: Tracks, m: IntArray) -> pd.DataFrame:
    """Rates of the candidates that have measured trails, by their fitted motion."""
    changed = np.isin(m, m[trail_rows(table)])
    new = tracks.motion.rates()
    return table.assign(
        **{name: np.where(changed, new[name][m], table[name].to_numpy(np.float64)) for name in new}
    )
