"""Score candidates against a known truth: which movers were found, which candidates are no mover at all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ssosd.days import DAY_S
from ssosd.errors import BadInput
from ssosd.sphere import ARCSEC_PER_DEG, unit_vectors

#: Detections and truth of one exposure agree in time of mid-exposure to this, seconds.
TIME_TOLERANCE_S = 2.0
#: A mover is eligible with this many good appearances: whole on the detector, unblended, above SNR_LIMIT.
MIN_APPEARANCES = 4
SNR_LIMIT = 5.0
#: A candidate is a mover's with this many of its detections, and more than half of them.
MIN_MATCHES = 3
SNR_EDGES = (5.0, 8.0, 15.0, 50.0, np.inf)
RATE_EDGES = (0.0, 5.0, 20.0, 60.0, 300.0, 1000.0, np.inf)  # arcsec/h

_NEEDED_CANDIDATES = ("RA", "DEC", "MID_EXPOSURE_MJD")
_NEEDED_TRUTH = (
    "id",
    "cls",
    "field",
    "mjd_mid",
    "ra",
    "dec",
    "snr",
    "rate",
    "on_detector",
    "whole",
    "unblended",
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Comparison:
    """What was found of a truth."""

    movers: pd.DataFrame  # id, cls, field, rate ("/h), snr (medians of good appearances), n_good, eligible,
    # n_candidates (that are this mover), n_linked (detections of the best of them), found
    candidates: pd.DataFrame  # candidate, n_detections, n_matched, id ("" when it is no mover), false

    @property
    def n_eligible(self) -> int:
        """Movers that can be asked for."""
        return int(self.movers["eligible"].sum())

    @property
    def n_found(self) -> int:
        """Eligible movers that some candidate is."""
        return int((self.movers["eligible"] & self.movers["found"]).sum())

    @property
    def n_beyond(self) -> int:
        """Movers found although they are not eligible."""
        return int((~self.movers["eligible"] & self.movers["found"]).sum())

    @property
    def n_false(self) -> int:
        """Candidates that are no mover."""
        return int(self.candidates["false"].sum())

    @property
    def completeness(self) -> float:
        """Found over eligible; NaN when none is eligible."""
        return self.n_found / self.n_eligible if self.n_eligible else float("nan")

    @property
    def by_class(self) -> pd.DataFrame:
        """Table of eligible and found by population."""
        return self._counts(self.movers["cls"])

    @property
    def by_snr(self) -> pd.DataFrame:
        """Table of eligible and found by median optimal SNR, in bins of `SNR_EDGES`."""
        return self._counts(_bins(self.movers["snr"], SNR_EDGES))

    @property
    def by_rate(self) -> pd.DataFrame:
        """Table of eligible and found by rate, in bins of `RATE_EDGES`."""
        return self._counts(_bins(self.movers["rate"], RATE_EDGES))

    def _counts(self, key: pd.Series) -> pd.DataFrame:
        chosen = self.movers["eligible"]
        groups = self.movers[chosen].groupby(key[chosen], sort=True, observed=True)["found"]
        return pd.DataFrame({"eligible": groups.size(), "found": groups.sum().astype(int)})


def _bins(values: pd.Series, edges: tuple[float, ...]) -> pd.Series:
    """Ordered labels such as "8-15" and ">50"."""
    labels = [f">{low:g}" if np.isinf(high) else f"{low:g}-{high:g}" for low, high in pairwise(edges)]
    return pd.Series(pd.cut(values, list(edges), labels=labels, right=False), index=values.index)


def compare_with_truth(
    candidates: pd.DataFrame, truth: pd.DataFrame, *, radius_arcsec: float = 2.0
) -> Comparison:
    """Match candidates with the movers of a painted or simulated night.

    A detection is a mover's when it lies within the radius of the mover's place at that exposure (the nearest
    mover where there are several). A candidate is a mover when more than half of its detections, and at least
    `MIN_MATCHES`, are that mover's. A mover is eligible with `MIN_APPEARANCES` good appearances.

    Parameters
    ----------
    candidates : DataFrame
        One row per detection: RA, DEC (deg ICRS), MID_EXPOSURE_MJD (UTC), and CANDIDATE, or SOURCE_NUMBER
        with or without FIELD. May be empty.
    truth : DataFrame
        One row per mover and exposure, as ``truth.csv`` has them.
    radius_arcsec : float
        Largest distance.

    Raises
    ------
    BadInput
        A column is missing.

    Examples
    --------
    >>> sky = pd.DataFrame({"id": "M1", "cls": "mb", "field": "F01", "mjd_mid": [1.0, 2.0, 3.0, 4.0],
    ...     "ra": [10.0, 10.1, 10.2, 10.3], "dec": 0.0, "snr": 9.0, "rate": 15.0, "on_detector": True,
    ...     "whole": True, "unblended": True})
    >>> seen = sky[["ra", "dec", "mjd_mid"]].set_axis(["RA", "DEC", "MID_EXPOSURE_MJD"], axis=1)
    >>> seen = seen.assign(CANDIDATE=7)
    >>> c = compare_with_truth(seen, sky)
    >>> c.n_eligible, c.n_found, c.n_false
    (1, 1, 0)
    """
    for table, needed, name in (
        (candidates, _NEEDED_CANDIDATES, "candidates"),
        (truth, _NEEDED_TRUTH, "truth"),
    ):
        missing = [column for column in needed if column not in table.columns]
        if missing and (len(table) or name == "truth"):
            raise BadInput(f"{name} to be compared: no column {', '.join(missing)}")
    scored = _score(candidates, truth, radius_arcsec) if len(candidates) else _no_candidates()
    return Comparison(movers=_movers(truth, scored), candidates=scored)


def _movers(truth: pd.DataFrame, scored: pd.DataFrame) -> pd.DataFrame:
    """Table of movers with what was found of each."""
    good = truth["on_detector"] & truth["whole"] & truth["unblended"] & (truth["snr"] > SNR_LIMIT)
    table = truth.groupby("id", sort=True).agg(
        cls=("cls", "first"), field=("field", "first"), rate=("rate", "median")
    )
    seen = truth[good].groupby("id")["snr"]
    table["snr"] = seen.median().reindex(table.index)
    table["n_good"] = seen.size().reindex(table.index, fill_value=0)
    table["eligible"] = table["n_good"] >= MIN_APPEARANCES
    right = scored[~scored["false"]].groupby("id")["n_matched"]
    table["n_candidates"] = right.size().reindex(table.index, fill_value=0)
    table["n_linked"] = right.max().reindex(table.index, fill_value=0).astype(int)
    table["found"] = table["n_candidates"] > 0
    return table.reset_index()


def _no_candidates() -> pd.DataFrame:
    return pd.DataFrame(
        {"candidate": [], "n_detections": [], "n_matched": [], "id": pd.Series([], dtype=str), "false": []}
    ).astype({"n_detections": int, "n_matched": int, "false": bool})


def _score(candidates: pd.DataFrame, truth: pd.DataFrame, radius_arcsec: float) -> pd.DataFrame:
    """Table of candidates with the mover each of them is."""
    row = _nearest_truth(candidates, truth[truth["on_detector"]], radius_arcsec)
    if "CANDIDATE" in candidates.columns:
        name = candidates["CANDIDATE"].astype(str)
    elif "FIELD" in candidates.columns:
        name = candidates["FIELD"].astype(str) + "/" + candidates["SOURCE_NUMBER"].astype(str)
    else:
        name = candidates["SOURCE_NUMBER"].astype(str)
    ids = truth.loc[truth["on_detector"], "id"].to_numpy(dtype=object)
    pairs = pd.DataFrame(
        {"candidate": name.to_numpy(), "id": np.where(row >= 0, ids[row], "") if len(ids) else ""}
    )
    sizes = pairs.groupby("candidate", sort=True).size().rename("n_detections").reset_index()
    counts = pairs[pairs["id"] != ""].groupby(["candidate", "id"]).size().rename("n_matched").reset_index()
    best = counts.sort_values(
        ["candidate", "n_matched", "id"], ascending=[True, False, True]
    ).drop_duplicates("candidate")
    table = sizes.merge(best, on="candidate", how="left")
    table["n_matched"] = table["n_matched"].fillna(0).astype(int)
    is_mover = (table["n_matched"] >= MIN_MATCHES) & (2 * table["n_matched"] > table["n_detections"])
    table["id"] = table["id"].where(is_mover, "").astype(str)
    table["false"] = ~is_mover
    return table[["candidate", "n_detections", "n_matched", "id", "false"]]


def _nearest_truth(candidates: pd.DataFrame, truth: pd.DataFrame, radius_arcsec: float) -> NDArray[np.intp]:
    """Row of the truth at each detection's exposure and place, -1 where there is none; a tree per epoch."""
    row = np.full(len(candidates), -1, dtype=np.intp)
    if not len(truth):
        return row
    epochs, epoch_of = np.unique(truth["mjd_mid"].to_numpy(dtype=np.float64), return_inverse=True)
    mjd = candidates["MID_EXPOSURE_MJD"].to_numpy(dtype=np.float64)
    after = np.searchsorted(epochs, mjd).clip(1, max(len(epochs) - 1, 1))
    after = np.minimum(after, len(epochs) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(epochs[after] - mjd) < np.abs(epochs[before] - mjd), after, before)
    in_time = np.abs(epochs[nearest] - mjd) * DAY_S <= TIME_TOLERANCE_S
    places = unit_vectors(candidates["RA"], candidates["DEC"])
    truths = unit_vectors(truth["ra"], truth["dec"])
    chord = 2.0 * np.sin(np.radians(radius_arcsec / ARCSEC_PER_DEG) / 2.0)
    for epoch in np.unique(nearest[in_time]):
        members = np.flatnonzero(epoch_of == epoch)
        asked = np.flatnonzero(in_time & (nearest == epoch))
        distance, hit = map(np.asarray, KDTree(truths[members]).query(places[asked]))
        close = distance <= chord
        row[asked[close]] = members[hit[close]]
    return row
