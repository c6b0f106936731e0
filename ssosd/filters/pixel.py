"""FILTER_PIXEL: sources that stay at the same place of the detector, as bad pixels do."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.filters.outcome import Criterion, Outcome, by_tracklets, sorted_column
from ssosd.grouping import Grouping

COLUMNS = ("XWIN_IMAGE", "YWIN_IMAGE", "EXTENSION")


def filter_pixel(detections: pd.DataFrame, grouping: Grouping, *, delta_pixel: float) -> Outcome:
    """Reject the sources whose detections all stay within DELTA_PIXEL in X and in Y.

    The extent (largest minus smallest) of XWIN_IMAGE and that of YWIN_IMAGE must both be smaller than
    `delta_pixel` for a rejection; the ledger's measured value is the larger of the two. This is the
    documented rule, for dithered fields: there a bad pixel imitates a mover. Where the telescope does not
    move between exposures it also takes movers slower than DELTA_PIXEL per axis over the sequence (2.3 px
    along the diagonal is 1.6 px in X and in Y); the ledger shows their extent.

    Sources that the tracklet linker alone found (LINKED_BY, where there is such a column) are kept: it has
    told them from what is fixed on the detector by the whole field's detections, and finds slow movers too.

    Pixel positions of different chips cannot be compared: a source seen on more than one EXTENSION did not
    stay at one place of the detector, and is kept whatever its numbers. Non-finite positions are passed over;
    a source without any finite X or Y is kept, as nothing shows that it stayed.

    Parameters
    ----------
    detections : DataFrame
        Columns XWIN_IMAGE, YWIN_IMAGE (pixels) and EXTENSION (HDU index of the chip).
    grouping : Grouping
    delta_pixel : float
        DELTA_PIXEL, pixels.

    Returns
    -------
    Outcome
    """
    extents = []
    for name in ("XWIN_IMAGE", "YWIN_IMAGE"):
        position = sorted_column(detections, name, grouping)
        position[~np.isfinite(position)] = np.nan
        extents.append(grouping.max(position) - grouping.min(position))
    extent = np.maximum(*extents)  # NaN if either is NaN
    chip = sorted_column(detections, "EXTENSION", grouping)
    one_chip = grouping.max(chip) == grouping.min(chip)
    return Outcome.of(
        grouping.n_groups,
        [
            Criterion(
                reason="X and Y both stay within DELTA_PIXEL",
                rejects=~by_tracklets(detections, grouping) & one_chip & (extent < delta_pixel),
                measured=extent,
                limit=delta_pixel,
            )
        ],
    )
