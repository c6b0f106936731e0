"""SCAMP on a sequence: astrometry against reference stars, and the seed's linking of the detections."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from astropy.io import fits

from ssosd.astromatic import Binary
from ssosd.linker.scamp.fullcat import detections_table
from ssosd.linker.scamp.passes import link_pass, relink_pass
from ssosd.linker.scamp.quality import doubts
from ssosd.linker.scamp.run import Scamp
from ssosd.linker.scamp.setup import Reference
from ssosd.linker.scamp.sift import Sifting
from ssosd.model import Drop, Exposure

_CATALOGUES = ("full_*.cat", "merged_*.cat")


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A sequence solved and linked."""

    detections: pd.DataFrame  # one row per detection: the detections table
    measured: pd.DataFrame  # the same with the detections of reference stars, where these were not linked
    #: Header text by (CATALOG_NUMBER, EXTENSION): cards in lines, END last.
    solved: Mapping[tuple[int, int], str]
    exposures: tuple[Exposure, ...]  # those used, in the order of CATALOG_NUMBER
    dropped: tuple[Drop, ...]  # those left out, and why
    doubtful: tuple[str, ...]  # what a person should look at in the solution
    quality: pd.DataFrame  # one row per exposure used, see `read_fields` and `count_matches`
    reference: pd.DataFrame  # reference stars over the field: RA, DEC (deg), MAG
    log_tail: str  # last lines SCAMP printed


def link(
    *,
    exposures: Sequence[Exposure],
    catalogues: Sequence[Path],
    binary: Binary,
    config: Path,
    reference: Reference | Path | str | None,
    crossid_radius_arcsec: float | None,
    remove_ref_sources: bool,
    workdir: Path,
    time_limit_s: float,
    starts: Mapping[str, Sequence[fits.Header]] | None = None,
) -> Linked:
    """Solve the astrometry of a sequence and link its detections with SCAMP.

    Exposures whose catalogue cannot be used or that do not match the reference stars are left out with their
    reason, and SCAMP runs again without them. The result depends on the set of exposures, not on their order.

    Parameters
    ----------
    exposures : sequence of Exposure
        Of one field and night, in any order.
    catalogues : sequence of Path
        The SExtractor catalogue (FITS-LDAC) of each, with its ``.ahead`` file beside it; never written to.
    binary : Binary
        SCAMP.
    config : Path
        Its set-up file.
    reference : Path, str or None
        A FITS-LDAC star catalogue; one that SCAMP downloads, or ``FILE`` for the set-up's ASTREFCAT_NAME;
        None for what the set-up says.
    crossid_radius_arcsec : float or None
        CROSSID_RADIUS, None for the set-up's.
    remove_ref_sources : bool
        Link in a second pass what is left without the detections of reference stars: those within
        `star_radius_arcsec` of one at the solved positions. The positions are those of the first pass.
    workdir : Path
        Where full_1.cat, merged_1.cat (of the pass that linked), scamp.xml and a .head per exposure (of the
        pass that solved) are left. In full_1.cat, FLAGS_IMA holds detection numbers, see `write_inputs`.
    time_limit_s : float
        Wall seconds for all of SCAMP's runs together.
    starts : mapping, optional
        WCS of the chips of each exposure as it was solved by itself, by its digest. Where every exposure has
        one, SCAMP starts from these.

    Returns
    -------
    Linked
        MAG and FLUX are SExtractor's AUTO values: instrumental, with its MAG_ZEROPOINT, whatever SCAMP's
        photometric solution.

    Raises
    ------
    BadInput
        Fewer than two exposures can be used, or the reference catalogue cannot be read.
    Retriable
        Time limit, killed, full disk; `ServiceUnavailable`: no answer from the reference catalogue's server.
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
    with tempfile.TemporaryDirectory(dir=workdir, prefix=".scamp-") as scratch:
        sifting = Sifting(scamp=scamp, scratch=Path(scratch), given=exposures, starts=starts or {})
        sifting.load(catalogues)
        first = sifting.solve()
        run, solution = first.run, first.solution
        if remove_ref_sources:
            run, solution = link_pass(scamp, first, folder=Path(scratch) / "link")
        elif sifting.narrow:
            run, solution = relink_pass(scamp, first, folder=Path(scratch) / "link")
        table = measured = detections_table(
            solution, detections=first.detections, frames=first.frames, setup=scamp.setup
        )
        if remove_ref_sources:
            measured = detections_table(
                first.solution, detections=first.detections, frames=first.frames, setup=scamp.setup
            )
        solved = {
            (number, chip.hdu): header.tostring(sep="\n", endcard=True, padding=False)
            for number, (frame, headers) in enumerate(zip(first.frames, first.headers, strict=True), start=1)
            for chip, header in zip(frame.exposure.chips, headers, strict=True)
        }
        _publish(first.run.folder, workdir, catalogues=False)
        _publish(run.folder, workdir, catalogues=True)
    return Linked(
        detections=table,
        measured=measured,
        solved=solved,
        exposures=tuple(frame.exposure for frame in first.frames),
        dropped=tuple(sifting.dropped),
        doubtful=(*sifting.notes(), *doubts(first.quality, frames=first.frames)),
        quality=first.quality,
        reference=first.stars,
        log_tail=run.tail,
    )


def _publish(source: Path, target: Path, *, catalogues: bool) -> None:
    """Move the catalogues that SCAMP wrote, or all else it wrote, to where they are kept, unflushed."""
    for path in sorted(source.iterdir()):
        result = any(path.match(pattern) for pattern in _CATALOGUES)
        other = path.suffix not in (".cat", ".ldac") and path.is_file()
        if result if catalogues else other:
            path.replace(target / path.name)
