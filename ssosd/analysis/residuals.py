"""How well positions agree with those of the known objects, as figures."""

from __future__ import annotations

import numpy as np
import pandas as pd


def matched_detections(detections: pd.DataFrame) -> pd.DataFrame:
    """Detections of candidates that certainly are a known object predicted in that exposure."""
    if "MATCHED" not in detections or detections.empty:
        return detections.iloc[:0]
    matched = detections[detections["MATCHED"].astype(bool)]
    return matched[np.isfinite(matched["SKYBOT_DELTARA"]) & np.isfinite(matched["SKYBOT_DELTADEC"])]


def residual_statistics(detections: pd.DataFrame) -> pd.DataFrame:
    """Mean and scatter of the observed minus predicted positions of matched detections, by exposure.

    Parameters
    ----------
    detections : DataFrame
        Matched detections: CATALOG_NUMBER, SKYBOT_DELTARA, SKYBOT_DELTADEC (arcsec).

    Returns
    -------
    DataFrame
        Index CATALOG_NUMBER; N, and for RA and DEC the MEAN and the RMS about it (arcsec; 0 if N is 1).
    """
    grouped = detections.groupby("CATALOG_NUMBER", sort=True)
    ra, dec = grouped["SKYBOT_DELTARA"], grouped["SKYBOT_DELTADEC"]
    return pd.DataFrame(
        {
            "N": grouped.size(),
            "MEAN_RA": ra.mean(),
            "RMS_RA": ra.std(ddof=0),
            "MEAN_DEC": dec.mean(),
            "RMS_DEC": dec.std(ddof=0),
        }
    )
