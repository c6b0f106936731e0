"""Astrometry of one exposure by itself, as soon as it has its catalogue.

The exposure's detections are matched with the reference stars here (`star_match`), also turned by half and
mirrored; where that does not convince, by SCAMP, whose pattern matching searches larger errors of rotation
and scale, and at last any rotation. Either way the solution is linear: the distortions of an instrument are
found from all exposures of a sequence together.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.astromatic import Binary
from ssosd.errors import BadInput
from ssosd.linker.scamp.input import Frame, all_detections, has_flag, load_frame, only_wcs, usable
from ssosd.linker.scamp.passes import margin_deg, solve_pass, stars_of
from ssosd.linker.scamp.quality import (
    MIN_STARS,
    count_stars,
    excess_is_clear,
    matches,
    signal_to_noise,
    star_radius_arcsec,
    stars_near,
    too_few_stars,
    why_unmatched,
)
from ssosd.linker.scamp.run import Scamp, ScampFailed, gist
from ssosd.linker.scamp.setup import Reference
from ssosd.linker.solution import ExposureSolution, unmatched
from ssosd.linker.star_match import Affine, match_stars
from ssosd.linker.start import corrected, is_plain, sky_of
from ssosd.model import Exposure
from ssosd.sphere import offsets_arcsec

_FARTHER, _OVERLAP = 5.0, 0.4  # POSITION_MAXERR then, where nothing is found; at most this share of the field
# Signs of the axes: as the header has them; turned by half, as after a meridian flip of which it does not
# know; mirrored, as by a program that writes the rows from the top or by one mirror more.
_AS_IT_SAYS = (1.0, 1.0)
_WAYS = (_AS_IT_SAYS, (-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0))
_MOST_RMS = 0.5  # of the radius within which a detection is its star, one coordinate
_LEAST_FRACTION = 0.5  # of what can be matched
_POOR_FRACTION = 0.15  # enough where SCAMP finds nothing: a cluster's stars are in the reference, one by one


def solve_exposure(
    *,
    exposure: Exposure,
    catalogue: Path,
    binary: Binary,
    config: Path,
    reference: Reference | Path | str | None,
    crossid_radius_arcsec: float | None,
    scratch: Path,
    time_limit_s: float,
) -> ExposureSolution:
    """Solve the astrometry of an exposure against a local reference catalogue.

    Parameters
    ----------
    exposure : Exposure
    catalogue : Path
        Its SExtractor catalogue (FITS-LDAC), with the ``.ahead`` file beside it.
    binary : Binary
        SCAMP.
    config : Path
        Its set-up file.
    reference : Path, str or None
        As `ssosd.linker.scamp.link.link` takes it; a file, not one that SCAMP downloads.
    crossid_radius_arcsec : float or None
        CROSSID_RADIUS, None for the set-up's.
    scratch : Path
        Folder for SCAMP's files, which are removed.
    time_limit_s : float
        Wall seconds for SCAMP.

    Returns
    -------
    ExposureSolution
        With the reason, where the exposure does not match the reference.

    Raises
    ------
    BadInput
        The reference catalogue cannot be read.
    Retriable
        Time limit, killed, full disk.
    Misconfigured
        The set-up file, a reference that does not exist, a column that SExtractor did not measure.
    """
    scamp = Scamp.ready(
        binary=binary,
        config=config,
        reference=reference,
        crossid_radius_arcsec=crossid_radius_arcsec,
        time_limit_s=time_limit_s,
    )
    stars = stars_of(scamp.reference, setup=scamp.setup)
    try:
        frame = load_frame(exposure, catalogue)
    except BadInput as error:
        return unmatched(str(error))
    few = too_few_stars(exposure, stars, reference=scamp.reference, margin_deg=margin_deg(scamp))
    if few:
        return unmatched(few)
    near = stars_near(stars, [exposure], margin_deg=margin_deg(scamp))
    ours = _by_stars(frame, near, scamp)
    if ours is not None and ours.fraction >= _LEAST_FRACTION:
        return ours
    theirs = _by_scamp(frame, near, scamp, scratch)
    if theirs.method:
        return theirs
    if ours is not None:
        return ours
    turned = _by_scamp(frame, near, scamp, scratch, any_angle=True)
    return turned if turned.fraction >= _LEAST_FRACTION else theirs


def _by_stars(frame: Frame, stars: pd.DataFrame, scamp: Scamp) -> ExposureSolution | None:
    """Match the stars ourselves; None where that finds nothing to be believed."""
    e = frame.exposure
    if not all(is_plain(header) for header in frame.headers):
        return None
    radius = star_radius_arcsec([frame])
    detections = all_detections([frame])
    plane = np.column_stack(offsets_arcsec(*sky_of(frame), e.ra_deg, e.dec_deg))
    there = usable(detections, setup=scamp.setup) & np.isfinite(plane).all(axis=1)
    clean = ~has_flag(detections["FLAGS"], scamp.setup.integer("ASTR_FLAGSMASK"))
    good = there & clean
    reach = 60.0 * scamp.setup.number("POSITION_MAXERR")
    farther = min(_FARTHER * reach, _OVERLAP * 3600.0 * min(e.width_deg, e.height_deg))
    match = partial(
        match_stars,
        flux=detections["FLUX_AUTO"].to_numpy(np.float64)[there],
        stars=np.column_stack(offsets_arcsec(stars["RA"], stars["DEC"], e.ra_deg, e.dec_deg)),
        mag=stars["MAG"].to_numpy(),
        radius_arcsec=radius,
        good=clean[there],
    )
    for signs, pointing in ((_AS_IT_SAYS, reach), *((way, max(reach, farther)) for way in _WAYS)):
        found = match(plane[there] * signs, pointing_arcsec=pointing)
        if found is None or max(found.rms_arcsec) > _MOST_RMS * radius:
            continue
        solution = _checked(
            frame,
            found.affine.after(signs),
            detections,
            good,
            stars,
            radius_arcsec=radius,
            rms_arcsec=float(np.hypot(*found.rms_arcsec) / np.sqrt(2.0)),
        )
        if solution is not None:
            return solution
    return None


def _checked(
    frame: Frame,
    affine: Affine,
    detections: pd.DataFrame,
    good: NDArray[np.bool_],
    stars: pd.DataFrame,
    *,
    radius_arcsec: float,
    rms_arcsec: float,
) -> ExposureSolution | None:
    """The solution after a correction, if enough of the good detections are stars then."""
    e = frame.exposure
    headers = corrected(frame.headers, affine, ra_deg=e.ra_deg, dec_deg=e.dec_deg)
    ra, dec = sky_of(frame, headers)
    matched, chance, fraction = count_stars(
        ra[good],
        dec[good],
        signal_to_noise(detections)[good],
        exposure=e,
        stars=stars,
        radius_arcsec=radius_arcsec,
    )
    if matched < MIN_STARS or fraction < _POOR_FRACTION or not excess_is_clear(matched, chance):
        return None
    return ExposureSolution(
        method="stars",
        headers=tuple(h.tostring(sep="\n", endcard=True, padding=False) for h in headers),
        n_detections=int(good.sum()),
        n_matched=matched,
        n_chance=chance,
        fraction=fraction,
        contrast=float("nan"),
        rms_arcsec=rms_arcsec,
        shift_arcsec=float(np.hypot(*affine.shift)),
        rotation_deg=affine.rotation_deg,
    )


def _by_scamp(
    frame: Frame, stars: pd.DataFrame, scamp: Scamp, scratch: Path, *, any_angle: bool = False
) -> ExposureSolution:
    """Let SCAMP match the stars, without distortions of its own."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="solve-") as folder:
        try:
            alone = solve_pass(
                scamp,
                [frame],
                folder=Path(folder) / "run",
                local_stars=stars,
                degree=1,
                any_angle=any_angle,
            )
            headers = alone.headers[0]
        except ScampFailed as error:
            return unmatched(f"SCAMP fails on its catalogue: {gist(error)}")
    q = alone.quality.iloc[0]
    good = bool(matches(alone.quality).all())
    return ExposureSolution(
        method="scamp" if good else "",
        headers=tuple(
            only_wcs(h).tostring(sep="\n", endcard=True, padding=False) for h in (headers if good else ())
        ),
        n_detections=int(q["N_DETECTIONS"]),
        n_matched=int(q["N_MATCHED"]),
        n_chance=float(q["N_CHANCE"]),
        fraction=float(q["FRACTION"]),
        contrast=float(q["XY_CONTRAST"]),
        rms_arcsec=float(np.hypot(q["RMS_REF_RA"], q["RMS_REF_DEC"]) / np.sqrt(2.0))
        if good
        else float("nan"),
        shift_arcsec=3600.0 * float(np.hypot(q["SHIFT_RA_DEG"], q["SHIFT_DEC_DEG"])),
        rotation_deg=float(q["ROTATION_DEG"]),
        reason="" if good else why_unmatched(q, reference=scamp.reference, frame=frame),
    )
