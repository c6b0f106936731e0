"""Which candidate is which known object: by position and motion over all detections of a source.

1. *Near*: a known object and a detection of the same exposure within CROSSMATCH_RADIUS on the sphere, or
   within three times the object's own uncertainty where that is more.
2. *Compatible*: near in half or more of the exposures in which the source was detected and the object
   predicted, these being half or more of the source's checked ones; and their motions differ by less than
   five sigma.
3. *Certain*, if the object is known to better than 60" and the source within CROSSMATCH_RADIUS of it in half
   or more of those exposures; else only *possible*.
4. *One to one*, in the order certain before possible, then by likelihood. See `ssosd.identify.pairs`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd import sphere
from ssosd.identify.known import KnownObjects, known_table, object_keys
from ssosd.identify.pairs import Encounters, Observed, Pairs, Predicted, assign, compare, encounters

#: Columns that `match_candidates` adds, in this order.
MATCH_COLUMNS = (
    "MATCHED",  # bool: it certainly is this known object
    "SKYBOT_NUMBER",  # text
    "SKYBOT_NAME",
    "SKYBOT_CLASS",
    "SKYBOT_MAG",  # predicted V
    "SKYBOT_RA",  # predicted, deg ICRS
    "SKYBOT_DEC",
    "SKYBOT_PMRA",  # predicted, arcsec/h with cos Dec
    "SKYBOT_PMDEC",
    "SKYBOT_DELTARA",  # observed minus predicted, arcsec on the sky (cos Dec applied)
    "SKYBOT_DELTADEC",
    "KNOWN_BY",  # the source of knowledge, e.g. SKYBOT
    "MATCH_STATE",  # matched, possible, unknown or unchecked
    "KNOWN_NEARBY",  # other known objects within CROSSMATCH_RADIUS, with the least distance
)

_COPIED = {
    "MAG": "SKYBOT_MAG",
    "RA": "SKYBOT_RA",
    "DEC": "SKYBOT_DEC",
    "PMRA": "SKYBOT_PMRA",
    "PMDEC": "SKYBOT_PMDEC",
}
_NAMED = {"NUMBER": "SKYBOT_NUMBER", "NAME": "SKYBOT_NAME", "CLASS": "SKYBOT_CLASS", "SOURCE": "KNOWN_BY"}


def match_candidates(
    *, detections: pd.DataFrame, known: KnownObjects | pd.DataFrame | None, radius_arcsec: float
) -> pd.DataFrame:
    """Give each source the known object that it is, or say that it is none, or that nobody was asked.

    Parameters
    ----------
    detections : DataFrame
        One row per detection: SOURCE_NUMBER, CATALOG_NUMBER, RA, DEC (deg ICRS), MID_EXPOSURE_MJD, and PMRA,
        PMDEC (arcsec/h) where they are known.
    known : KnownObjects, DataFrame or None
        The known objects of the exposures. A bare table (`ssosd.identify.known.KNOWN_COLUMNS`) means that all
        exposures were checked, None that none was.
    radius_arcsec : float
        CROSSMATCH_RADIUS.

    Returns
    -------
    DataFrame
        `detections`, rows and index as they were, with `MATCH_COLUMNS` (replaced if they were there). All
        rows of a source carry the same identity; predicted values are NaN in exposures without a prediction.
        MATCH_STATE ``possible`` names its object but is not MATCHED. A source without an object, of which
        fewer than half of the detections are in checked exposures, is ``unchecked``, else ``unknown``.
    """
    kept = detections.drop(columns=[name for name in MATCH_COLUMNS if name in detections.columns])
    if known is None:
        known = KnownObjects(table=known_table({}), checked=())
    elif isinstance(known, pd.DataFrame):
        seen = set(kept["CATALOG_NUMBER"]) if len(kept) else set()
        known = KnownObjects(table=known, checked=tuple(int(number) for number in seen))
    table = known_table(known.table)
    objects, labels = pd.factorize(object_keys(table["NUMBER"], table["NAME"]))
    once = ~pd.DataFrame({"object": objects, "exposure": table["CATALOG_NUMBER"]}).duplicated().to_numpy()
    table, objects = table[once].reset_index(drop=True), objects[once]
    observed, predicted = _observed(kept, known), _predicted(table, objects)
    near = encounters(observed, predicted, radius_arcsec)
    pairs = compare(observed, predicted, near, radius_arcsec)
    chosen = assign(pairs)
    return _labelled(kept, table, observed, predicted, pairs, chosen).assign(
        KNOWN_NEARBY=_nearby(observed, predicted, near, pairs, chosen, np.asarray(labels), radius_arcsec)
    )


def _observed(detections: pd.DataFrame, known: KnownObjects) -> Observed:
    n = len(detections)

    def column(name: str) -> NDArray[np.float64]:
        found = detections[name] if name in detections else np.full(n, np.nan)
        return np.asarray(found, dtype=np.float64)

    numbers = detections["SOURCE_NUMBER"] if n else np.empty(0)
    exposure = np.asarray(detections["CATALOG_NUMBER"] if n else [], dtype=np.int64)
    mjd = column("MID_EXPOSURE_MJD")
    return Observed(
        source=np.unique(numbers, return_inverse=True)[1].astype(np.intp),
        exposure=exposure,
        ra=column("RA"),
        dec=column("DEC"),
        hours=(mjd - (mjd.min() if n else 0.0)) * 24.0,
        pm_ra=column("PMRA"),
        pm_dec=column("PMDEC"),
        checked=np.isin(exposure, known.checked),
    )


def _predicted(table: pd.DataFrame, objects: NDArray[np.intp]) -> Predicted:
    return Predicted(
        object=objects,
        exposure=table["CATALOG_NUMBER"].to_numpy(),
        ra=table["RA"].to_numpy(),
        dec=table["DEC"].to_numpy(),
        pm_ra=table["PMRA"].to_numpy(),
        pm_dec=table["PMDEC"].to_numpy(),
        error=table["ERR"].fillna(0.0).to_numpy(),
    )


def _labelled(
    detections: pd.DataFrame,
    table: pd.DataFrame,
    observed: Observed,
    predicted: Predicted,
    pairs: Pairs,
    chosen: NDArray[np.intp],
) -> pd.DataFrame:
    """Add all columns but the last."""
    n_sources = int(observed.source.max()) + 1 if observed.source.size else 0
    of_source = np.full(n_sources, -1, dtype=np.intp)  # the object of each source
    of_source[pairs.source[chosen]] = pairs.object[chosen]
    certain = np.zeros(n_sources, dtype=bool)
    certain[pairs.source[chosen]] = pairs.certain[chosen]
    share = np.bincount(observed.source, weights=observed.checked, minlength=n_sources)
    total = np.bincount(observed.source, minlength=n_sources)
    state = np.select(
        [certain, of_source >= 0, 2 * share >= total], ["matched", "possible", "unknown"], default="unchecked"
    ).astype(object)

    is_object = of_source[observed.source]
    keys = pd.DataFrame({"object": is_object, "CATALOG_NUMBER": observed.exposure})
    there = keys.merge(
        table.assign(object=predicted.object), on=["object", "CATALOG_NUMBER"], how="left", validate="m:1"
    )
    first = pd.DataFrame({"row": np.arange(len(table))}).groupby(predicted.object)["row"].first()
    any_row = first.reindex(is_object).to_numpy()  # a row of the object in whatever exposure
    named = table[list(_NAMED)].reindex(any_row)
    delta = sphere.offsets_arcsec(observed.ra, observed.dec, there["RA"], there["DEC"])
    columns = {
        "MATCHED": certain[observed.source],
        **{out: named[name].to_numpy(dtype=object) for name, out in _NAMED.items()},
        **{out: there[name].to_numpy(dtype=np.float64) for name, out in _COPIED.items()},
        "SKYBOT_DELTARA": delta[0],
        "SKYBOT_DELTADEC": delta[1],
        "MATCH_STATE": state[observed.source],
    }
    return detections.assign(**{name: columns[name] for name in MATCH_COLUMNS[:-1]})


def _nearby(
    observed: Observed,
    predicted: Predicted,
    near: Encounters,
    pairs: Pairs,
    chosen: NDArray[np.intp],
    labels: NDArray[np.object_],
    radius_arcsec: float,
) -> NDArray[np.object_]:
    """Per detection: which known objects came within the radius of its source and are not its identity."""
    close = near.separation <= radius_arcsec
    met = pd.DataFrame(
        {
            "source": observed.source[near.detection[close]],
            "object": predicted.object[near.prediction[close]],
            "separation": near.separation[close],
        }
    )
    least = met.groupby(["source", "object"])["separation"].min().reset_index()
    own = pd.MultiIndex.from_arrays([pairs.source[chosen], pairs.object[chosen]])
    least = least[~pd.MultiIndex.from_frame(least[["source", "object"]]).isin(own)]
    least = least.sort_values(["source", "separation", "object"])
    least["text"] = [
        f'{labels[known]} {away:.1f}"'
        for known, away in zip(least["object"], least["separation"], strict=True)
    ]
    texts = least.groupby("source")["text"].agg("; ".join)
    return texts.reindex(observed.source).to_numpy(dtype=object)
