"""How many of the injected movers were found again, by magnitude and rate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssosd.analysis.truth import compare_with_truth

#: Columns of a completeness table: one row per bin that has movers.
COLUMNS = ("mag_low", "mag_high", "rate_low", "rate_high", "n_injected", "n_found")
#: Bins are the same for all fields and nights, so that their counts add up.
RATE_EDGES = (0.0, 5.0, 20.0, 60.0, 300.0, 1000.0, 5000.0)  # arcsec/h
MAG_STEP = 0.5


def no_counts() -> pd.DataFrame:
    """A completeness table of no movers."""
    return pd.DataFrame(columns=list(COLUMNS))


def completeness_table(
    candidates: pd.DataFrame, truth: pd.DataFrame, *, fewest: int, radius_arcsec: float
) -> pd.DataFrame:
    """Count injected movers and those that some candidate is.

    A mover counts when all of its light was on a chip in at least `fewest` exposures: one that leaves the
    field earlier cannot be found by any means.

    Parameters
    ----------
    candidates : DataFrame
        What the pipeline found in the painted copies, one row per detection: CANDIDATE, RA, DEC (deg),
        MID_EXPOSURE_MJD. May be empty.
    truth : DataFrame
        One row per mover and exposure: id, mjd_mid (UTC), ra, dec (deg), rate ("/h), mag, whole.
    fewest : int
        Detections that a candidate must have.
    radius_arcsec : float
        How far a detection may be from the mover's place.

    Returns
    -------
    DataFrame
        `COLUMNS`: magnitudes in steps of `MAG_STEP`, rates between `RATE_EDGES`.
    """
    rows = truth.assign(
        cls="injected", field="", snr=np.inf, on_detector=truth["whole"], unblended=True
    )  # whatever stands in a mover's way is what completeness is about
    movers = compare_with_truth(candidates, rows, radius_arcsec=radius_arcsec).movers
    movers["mag"] = truth.groupby("id", sort=True)["mag"].first().reindex(movers["id"]).to_numpy()
    movers = movers[movers["n_good"] >= fewest]
    if movers.empty:
        return no_counts()
    mag = np.floor(movers["mag"].to_numpy() / MAG_STEP) * MAG_STEP
    rate = np.digitize(movers["rate"].to_numpy(), RATE_EDGES[1:-1])
    counted = movers.assign(
        mag_low=mag,
        mag_high=mag + MAG_STEP,
        rate_low=np.array(RATE_EDGES)[rate],
        rate_high=np.array(RATE_EDGES)[rate + 1],
    ).groupby(list(COLUMNS[:4]), sort=True)["found"]
    table = pd.DataFrame({"n_injected": counted.size(), "n_found": counted.sum().astype(int)})
    return table.reset_index()[list(COLUMNS)]
