"""The passes of SCAMP over a set of frames: one that solves and links, one that links without the stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

from ssosd.errors import BadInput
from ssosd.ldac import headers_from_text
from ssosd.linker.refcat import MAGNITUDE_KEY, POSITION_KEYS, read_reference, write_reference
from ssosd.linker.scamp.fullcat import Solution, read_solution
from ssosd.linker.scamp.input import Frame, all_detections, usable, write_inputs
from ssosd.linker.scamp.quality import (
    Stars,
    circle_around,
    count_matches,
    field_radius_deg,
    star_radius_arcsec,
    stars_near,
)
from ssosd.linker.scamp.run import Run, Scamp, ScampFailed
from ssosd.linker.scamp.setup import Reference, Setup
from ssosd.linker.scamp.xml import read_fields

#: For a second pass: nothing is solved.
_SOLVED = {"MATCH": "N", "SOLVE_ASTROM": "N", "SOLVE_PHOTOM": "N"}
#: For one without the stars: the reference is a file of our own making.
_LINK_ONLY = {
    **_SOLVED,
    "ASTREFMAG_LIMITS": "0,99",  # SCAMP takes a value that starts with a minus for an option
}


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A run of SCAMP on some frames, read back."""

    frames: tuple[Frame, ...]
    detections: pd.DataFrame  # all that SExtractor measured in them, see `all_detections`
    run: Run
    solution: Solution
    stars: pd.DataFrame  # reference stars over the frames: RA, DEC (deg), MAG
    quality: pd.DataFrame  # one row per frame, see `read_fields` and `count_matches`

    @cached_property
    def headers(self) -> list[list[fits.Header]]:
        """Solved headers of the chips of each frame."""
        headers = []
        for frame in self.frames:
            path = self.run.folder / f"{frame.name}.head"
            found = headers_from_text(path.read_bytes())
            if len(found) != len(frame.chips):
                raise BadInput(f"{path.name}: SCAMP wrote {len(found)} headers for {len(frame.chips)} chips")
            headers.append([_standard(header) for header in found])
        return headers


def _standard(header: fits.Header) -> fits.Header:
    """SCAMP writes TAN for what the FITS registry calls TPV: TAN with the polynomial PVi_j."""
    if any(keyword.startswith(("PV1_", "PV2_")) for keyword in header):
        for keyword in ("CTYPE1", "CTYPE2"):
            header[keyword] = str(header[keyword]).replace("-TAN", "-TPV")
    return header


def stars_of(reference: Reference, *, setup: Setup) -> pd.DataFrame:
    """All stars of a reference that is a file or several.

    Raises
    ------
    BadInput
        As `read_reference`.
    """
    keys: Sequence[str] = setup.words("ASTREFCENT_KEYS")[:2]
    magnitude = setup.words("ASTREFMAG_KEY")[0]
    if reference.ours:
        keys, magnitude = POSITION_KEYS, MAGNITUDE_KEY
    tables = []
    for path in reference.files:
        try:
            stat = path.stat()
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from error
        tables.append(_stars_in(path, tuple(keys), magnitude, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return pd.concat(tables, ignore_index=True)


@lru_cache(maxsize=4)
def _stars_in(
    path: Path, keys: tuple[str, ...], magnitude: str, _size: int, _mtime_ns: int, _inode: int
) -> pd.DataFrame:
    """Read a file once for as long as it stays as it is: every exposure is solved against it by itself."""
    return read_reference(path, position_keys=keys, magnitude_key=magnitude)


def margin_deg(scamp: Scamp) -> float:
    """How far beyond an exposure's edge, by its header, its stars may be."""
    return scamp.setup.number("POSITION_MAXERR") / 60.0


def distort_degrees(scamp: Scamp) -> list[int]:
    """DISTORT_DEGREES of the set-up."""
    return [int(word) for word in scamp.setup.words("DISTORT_DEGREES")]


def solve_pass(
    scamp: Scamp,
    frames: Sequence[Frame],
    *,
    folder: Path,
    local_stars: pd.DataFrame,
    degree: int | None = None,
    starts: Mapping[int, Sequence[fits.Header]] | None = None,
    any_angle: bool = False,
) -> Pass:
    """Solve the astrometry of frames and link their detections.

    Parameters
    ----------
    scamp : Scamp
    frames : sequence of Frame
        In order.
    folder : Path
        New, for this run.
    local_stars : DataFrame
        All stars of the reference (RA, DEC, MAG) if it is a file; not looked at otherwise.
    degree : int, optional
        Fit distortions up to this degree at most: 1, which are none, for a single frame, which a polynomial
        could bend to anything. As the set-up says without.
    starts : mapping, optional
        WCS of the chips of each frame, by its index, that are good to a fraction of CROSSID_RADIUS: SCAMP
        starts from these and matches no patterns.
    any_angle : bool
        Look for the stars whatever the rotation of the field.

    Raises
    ------
    ScampFailed, Retriable, Misconfigured
        As `Scamp.run` and `read_solution`.
    """
    folder.mkdir()
    detections = all_detections(frames)
    names = write_inputs(
        frames, folder, setup=scamp.setup, keep=usable(detections, setup=scamp.setup), headers=starts
    )
    changes = {"MATCH": "N"} if starts else {}
    if any_angle:
        changes["POSANGLE_MAXERR"] = "180.0"
    if degree is not None:
        changes["DISTORT_DEGREES"] = ",".join(str(min(d, degree)) for d in distort_degrees(scamp))
    run = scamp.run(names, folder=folder, changes=changes)
    solution = read_solution(run, detections=detections, setup=scamp.setup)
    stars = local_stars
    if not scamp.reference.files:
        saved = [read_reference(path) for path in run.saved_references]
        if not saved:
            raise ScampFailed(f"{scamp.reference}: SCAMP saved no reference stars: {run.tail}")
        stars = pd.concat(saved, ignore_index=True).drop_duplicates(ignore_index=True)
    stars = stars_near(stars, [f.exposure for f in frames], margin_deg=margin_deg(scamp))
    counts = count_matches(solution, detections=detections, frames=frames, stars=stars)
    fields = read_fields(folder / "scamp.xml")
    fields["CATALOG_NUMBER"] = np.arange(1, len(frames) + 1)
    fields.insert(1, "IMAGE_FILENAME", [f.exposure.name for f in frames])
    return Pass(
        frames=tuple(frames),
        detections=detections,
        run=run,
        solution=solution,
        stars=stars,
        quality=pd.concat([fields, counts], axis=1),
    )


def relink_pass(scamp: Scamp, first: Pass, *, folder: Path) -> tuple[Run, Solution]:
    """Link all detections, with the radius of `scamp`, at the positions of the first pass."""
    folder.mkdir()
    keep = usable(first.detections, setup=scamp.setup)
    headers = dict(enumerate(first.headers))
    names = write_inputs(first.frames, folder, setup=scamp.setup, keep=keep, headers=headers)
    run = scamp.run(names, folder=folder, changes=_SOLVED)
    return run, read_solution(run, detections=first.detections, setup=scamp.setup)


def link_pass(scamp: Scamp, first: Pass, *, folder: Path) -> tuple[Run, Solution]:
    """Link what is left without the reference stars, at the positions of the first pass.

    Left out are the detections within `star_radius_arcsec` of a reference star, not those that SCAMP joined
    to one: with a large CROSSID_RADIUS it joins movers that pass a star at that distance. What is left must
    not be joined to the reference either, and SCAMP 2.10 crashes without one: it is given stars that are
    away from all detections.
    """
    folder.mkdir()
    table = first.solution.table
    index = Stars.of(first.stars).nearest(
        table["RA"], table["DEC"], radius_arcsec=star_radius_arcsec(first.frames)
    )
    keep: NDArray[np.bool_] = np.zeros(len(first.detections), dtype=bool)
    keep[first.solution.rows[index < 0]] = True
    headers = dict(enumerate(first.headers))
    names = write_inputs(first.frames, folder, setup=scamp.setup, keep=keep, headers=headers)
    lone = folder / "lone-stars.ldac"
    write_reference(lone, _lone_stars(first))
    reference = Reference(name="FILE", files=(lone.resolve(),), ours=True)
    run = scamp.run(names, folder=folder, reference=reference, changes=_LINK_ONLY)
    return run, read_solution(run, detections=first.detections, setup=scamp.setup)


def _lone_stars(first: Pass) -> pd.DataFrame:
    """For each exposure one place on the circle around it, as far from all detections as can be."""
    detected = Stars.of(first.solution.table)
    places = []
    for frame in first.frames:
        e = frame.exposure
        ra, dec = circle_around(e.ra_deg, e.dec_deg, radius_deg=0.97 * field_radius_deg(e))
        best = int(np.argmax(detected.distance_arcsec(ra, dec)))
        places.append((ra[best], dec[best], 15.0))
    return pd.DataFrame(places, columns=["RA", "DEC", "MAG"])
