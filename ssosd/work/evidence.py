"""The evidence of a linked sequence: its detections, stars and chips by the solved astrometry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssosd.identify.evidence import Evidence
from ssosd.linker.scamp.link import Linked
from ssosd.work.linking import Candidates
from ssosd.work.picturing import solved_images


def evidence_of(left: Candidates) -> Evidence:
    """Take what judging the known objects needs from a linked sequence."""
    linked = left.linked
    return Evidence.of(
        detections=linked.measured, sources=left.sources, stars=linked.reference, chips=_chips(linked)
    )


def _chips(linked: Linked) -> list[tuple[int, NDArray[np.float64]]]:
    """CATALOG_NUMBER and corners of each chip, by its solved header."""
    chips = {(n, c.hdu): c for n, e in enumerate(linked.exposures, start=1) for c in e.chips}
    found = []
    for (number, hdu), image in sorted(solved_images(linked).items()):
        chip = chips[number, hdu]
        right, top = chip.width_px + 0.5, chip.height_px + 0.5
        corners = [(0.5, 0.5), (right, 0.5), (right, top), (0.5, top)]
        found.append((number, image.sky_of(corners)))
    return found
