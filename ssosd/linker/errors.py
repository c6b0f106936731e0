"""The error of each position as the field's own stars show it: the column ERR_POSITION."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.linker.tracklets.plane import ERR_POSITION, LARGEST_ERROR, project
from ssosd.linker.tracklets.stationary import calibrated


def with_position_errors(detections: pd.DataFrame) -> pd.DataFrame:
    """Add ERR_POSITION: 1-sigma error of a position in each coordinate, arcsec on the sky.

    It is SExtractor's centroid error, multiplied by what the scatter of faint objects at rest says, and the
    frame to frame scatter of bright ones added in quadrature (`tracklets.stationary.calibrated`). Trails have
    further errors along their length, which the fits add.

    Parameters
    ----------
    detections : DataFrame, shape (n, ...)
        All detections of a sequence, with the columns of `ssosd.linker.tracklets.plane.NEEDED`.

    Returns
    -------
    DataFrame
        A new table; rows without a finite position and time have an error of 1 arcsec.

    Raises
    ------
    Misconfigured
        A column is missing.
    """
    plane = calibrated(project(detections))
    errors = np.full(len(detections), LARGEST_ERROR)
    errors[plane.rows] = plane.sigma
    return detections.assign(**{ERR_POSITION: errors})
