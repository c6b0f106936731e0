"""What should have been seen: of each known object in the footprint, whether it was recovered, or why not.

The outcomes, each given when those before it do not hold:

1. ``recovered``, ``possible``: a candidate is, or may be, this object.
2. ``off the detector``: its place is on no chip, or on a chip in fewer exposures than a candidate needs.
3. ``uncertain``: its place is known less well than CROSSMATCH_RADIUS.
4. ``not matched``: its detections are a candidate whose motion does not agree.
5. ``rejected``: its detections were linked, and a filter rejected the source.
6. ``not linked``: it was detected often enough, and its detections are in different sources.
7. ``too faint``: it is predicted fainter than the limit, or as faint as that because it is a trail.
8. ``blended``: with the exposures in which a star is next to its place it would have been enough.
9. ``few detections``: it was detected in too few exposures.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssosd.identify.evidence import Evidence
from ssosd.identify.known import known_table, object_keys
from ssosd.identify.limits import Limit, limit_from_known
from ssosd.identify.places import BLEND_ARCSEC, Places, look, reach_arcsec
from ssosd.plumbing.text import counted

OUTCOMES = (
    *("recovered", "possible", "off the detector", "uncertain", "not matched"),
    *("rejected", "not linked", "too faint", "blended", "few detections"),
)
#: One row per known object of a sequence, the columns of known.csv.
EXPECTED_COLUMNS: dict[str, str] = {
    "NUMBER": "permanent number; blank for unnumbered objects",
    "NAME": "name or provisional designation",
    "CLASS": "dynamical class",
    "MAG": "predicted V, median over the exposures",
    "RATE": "predicted rate of motion, arcsec/h",
    "ERR": "one-sigma uncertainty of the prediction, arcsec; blank when not told",
    "KNOWN_BY": "who knows of it",
    "N_PREDICTED": "exposures with its predicted place on a chip",
    "N_DETECTED": "of these, with a detection there that is no star",
    "OUTCOME": "whether it was recovered, or why not",
    "CANDIDATE": "as which it was recovered, or whose motion does not agree",
    "SOURCE_NUMBER": "linked source that has most of its detections",
    "FILTER": "the filter that rejected this source",
    "REASON": "the outcome in words, with its numbers; blank when it was recovered",
    "MEASURED": "what the reason compares",
    "LIMIT": "with what",
}


def expected_objects(
    *,
    known: pd.DataFrame,
    evidence: Evidence,
    candidates: pd.DataFrame,
    ledger: pd.DataFrame,
    needed: int,
    radius_arcsec: float,
    exptime_s: float = 0.0,
    limit: Limit | None = None,
) -> tuple[pd.DataFrame, Limit]:
    """Say of each known object what became of it.

    Parameters
    ----------
    known : DataFrame
        The known objects in each exposure (`ssosd.identify.known.KNOWN_COLUMNS`).
    evidence : Evidence
    candidates : DataFrame
        As `ssosd.identify.match.match_candidates` labels them, with CANDIDATE.
    ledger : DataFrame
        The chain's: SOURCE_NUMBER, FILTER, REASON, MEASURED, LIMIT, N_DETECTIONS.
    needed : int
        Detections that a candidate needs.
    radius_arcsec : float
        CROSSMATCH_RADIUS.
    exptime_s : float
        Of the exposures, for what moves so fast that it is a trail.
    limit : Limit, optional
        As photometry measured it; else it is estimated with `limit_from_known`.

    Returns
    -------
    table : DataFrame
        Columns `EXPECTED_COLUMNS`, the brightest first.
    limit : Limit
        The one that was used.
    """
    if known.empty:
        nothing = pd.DataFrame(columns=list(EXPECTED_COLUMNS)).astype({"SOURCE_NUMBER": "Int64"})
        return nothing, limit or Limit(mag=np.nan, by="")
    table = known_table(known)
    keys = object_keys(table["NUMBER"], table["NAME"])
    objects, labels = pd.factorize(keys)
    once = ~pd.DataFrame({"o": objects, "e": table["CATALOG_NUMBER"]}).duplicated().to_numpy()
    table, objects = table[once].reset_index(drop=True), objects[once]
    error = table["ERR"].fillna(0.0).to_numpy()
    places = look(
        object_=objects,
        ra=table["RA"].to_numpy(),
        dec=table["DEC"].to_numpy(),
        exposure=table["CATALOG_NUMBER"].to_numpy(),
        reach=reach_arcsec(error, radius_arcsec),
        evidence=evidence,
    )
    if limit is None:
        limit = limit_from_known(v_mag=table["MAG"].to_numpy(), places=places, evidence=evidence)
    found, matched = _found(candidates), _matched(candidates)
    kept: dict[int, str] = {}
    if len(candidates):
        kept = dict(zip(candidates["SOURCE_NUMBER"].tolist(), candidates["CANDIDATE"].tolist(), strict=True))
    of = _Counts.of(objects, len(labels), places, kept)
    asked = ledger[ledger["SOURCE_NUMBER"].isin(of.source)]
    why = {int(row["SOURCE_NUMBER"]): row for row in asked.to_dict("records")}
    grouped = table.groupby(objects, sort=True)
    listed = grouped[["NUMBER", "NAME", "CLASS", "SOURCE"]].first().rename(columns={"SOURCE": "KNOWN_BY"})
    listed["MAG"], listed["ERR"] = grouped["MAG"].median(), grouped["ERR"].median()
    rate = np.hypot(table["PMRA"].to_numpy(), table["PMDEC"].to_numpy())
    listed["RATE"] = pd.Series(rate, index=table.index).groupby(objects).median()
    rates = listed["RATE"].fillna(0.0).to_list()
    rows = []
    for i, (mag, err) in enumerate(zip(listed["MAG"].tolist(), listed["ERR"].tolist(), strict=True)):
        fate = _Fate(n_predicted=int(of.on_chip[i]), n_detected=int(of.detected[i]), needed=needed)
        source, in_source = int(of.source[i]), int(of.in_source[i])
        linked = in_source >= 2 and 2 * in_source >= fate.n_detected
        if labels[i] in found:
            rows.append(fate.recovered(*found[labels[i]]))
        elif fate.n_predicted < needed:
            rows.append(fate.off_detector())
        elif err > radius_arcsec:
            rows.append(fate.uncertain(err, radius_arcsec))
        elif linked and source in kept:
            rows.append(fate.not_matched(source, kept[source], known=matched.get(kept[source], "")))
        elif linked and source in why and why[source]["N_DETECTIONS"] >= needed:
            rows.append(fate.rejected(source, why[source]))
        elif fate.n_detected >= needed:
            rows.append(fate.not_linked(source, in_source))
        elif mag + (loss := limit.loss(rates[i], exptime_s)) > limit.mag:
            rows.append(fate.too_faint(mag, loss, limit))
        elif fate.n_detected + int(of.blended[i]) >= needed:
            rows.append(fate.blended(int(of.blended[i])))
        else:
            rows.append(fate.few(bright=mag < limit.mag - _BRIGHT))
    fates = pd.DataFrame(rows, columns=["N_PREDICTED", "N_DETECTED", *_FATE], index=listed.index)
    whole = listed.join(fates).reindex(columns=list(EXPECTED_COLUMNS))
    whole["SOURCE_NUMBER"] = whole["SOURCE_NUMBER"].astype("Int64")
    return whole.sort_values(["MAG", "NAME", "NUMBER"], ignore_index=True), limit


_BRIGHT = 6.0  # mag above the limit: stars of a usual detector are saturated from 7 on
_TOLD_LOSS = 0.1  # mag; less is not worth a word
_FATE = ("OUTCOME", "CANDIDATE", "SOURCE_NUMBER", "FILTER", "REASON", "MEASURED", "LIMIT")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Counts:
    """Of each object: exposures by what is at its place, and the source with most of its detections."""

    on_chip: NDArray[np.intp]
    detected: NDArray[np.intp]
    blended: NDArray[np.intp]
    source: NDArray[np.int64]  # -1 without one; among equals a candidate's, then the tracklet linker's
    in_source: NDArray[np.intp]

    @classmethod
    def of(cls, objects: NDArray[np.intp], n: int, places: Places, kept: Collection[int]) -> _Counts:
        def count(which: NDArray[np.bool_]) -> NDArray[np.intp]:
            return np.bincount(objects[which], minlength=n)

        source, in_source = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.intp)
        there = places.detected & places.on_chip
        by_both = places.sources[there]
        pairs = pd.DataFrame(
            {"object": np.repeat(objects[there], by_both.shape[1]), "source": by_both.reshape(-1)}
        )
        sizes = pairs[pairs["source"] >= 0].groupby(["object", "source"]).size().reset_index(name="n")
        sizes["kept"] = sizes["source"].isin(kept)
        best = sizes.sort_values(["n", "kept", "source"], ascending=False).drop_duplicates("object")
        source[best["object"]], in_source[best["object"]] = best["source"], best["n"]
        return cls(
            on_chip=count(places.on_chip),
            detected=count(there),
            blended=count(places.blended & places.on_chip),
            source=source,
            in_source=in_source,
        )


def _found(candidates: pd.DataFrame) -> dict[str, tuple[str, bool, int]]:
    """Of each object that candidates are or may be: their names, whether it is certain, and detections."""
    if not len(candidates):
        return {}
    named = candidates[candidates["MATCH_STATE"].isin(["matched", "possible"])]
    keys = object_keys(named["SKYBOT_NUMBER"], named["SKYBOT_NAME"])
    found = {}
    for key, rows in named.groupby(keys.to_numpy(), sort=True):
        names = "; ".join(sorted(set(rows["CANDIDATE"])))
        found[str(key)] = names, bool(rows["MATCHED"].any()), int(rows["SKYBOT_RA"].count())
    return found


def _matched(candidates: pd.DataFrame) -> dict[str, str]:
    """The known object that each matched candidate is: number and name, as they are there."""
    if not len(candidates):
        return {}
    certain = candidates["MATCHED"].astype("boolean").fillna(value=False).astype(bool)
    first = candidates[certain].groupby("CANDIDATE", sort=True).first()
    names = zip(first["SKYBOT_NUMBER"], first["SKYBOT_NAME"], strict=True)
    said = [" ".join(str(part) for part in name if pd.notna(part) and str(part)) for name in names]
    return dict(zip(first.index.astype(str), said, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fate:
    """Rows of the table, one method per outcome."""

    n_predicted: int
    n_detected: int
    needed: int

    def _row(
        self,
        outcome: str,
        reason: str,
        *,
        candidate: str | None = None,
        source: int | None = None,
        filter_: str | None = None,
        compared: tuple[float, float] = (np.nan, np.nan),
    ) -> tuple[object, ...]:
        return (self.n_predicted, self.n_detected, outcome, candidate, source, filter_, reason, *compared)

    @property
    def _of(self) -> str:
        return f"detected in {self.n_detected} of {counted(self.n_predicted, 'exposure')}"

    def recovered(self, candidate: str, certain: bool, n: int) -> tuple[object, ...]:
        outcome = "recovered" if certain else "possible"
        return (max(self.n_predicted, n), n, outcome, candidate, None, None, "", np.nan, np.nan)

    def off_detector(self) -> tuple[object, ...]:
        reason = f"on a chip in {counted(self.n_predicted, 'exposure')}, {self.needed} are needed"
        return self._row("off the detector", reason, compared=(self.n_predicted, self.needed))

    def uncertain(self, error: float, radius: float) -> tuple[object, ...]:
        reason = f'its place is known to {error:.0f}" only'
        return self._row("uncertain", reason, compared=(error, radius))

    def not_matched(self, source: int, candidate: str, *, known: str) -> tuple[object, ...]:
        reason = f"{candidate} is {known}" if known else f"the motion of {candidate} does not agree"
        return self._row("not matched", reason, candidate=candidate, source=source)

    def rejected(self, source: int, row: Mapping[Hashable, Any]) -> tuple[object, ...]:
        compared = float(row["MEASURED"]), float(row["LIMIT"])
        reason = f"{row['REASON']} ({compared[0]:.4g}, limit {compared[1]:.4g})"
        return self._row("rejected", reason, source=source, filter_=row["FILTER"], compared=compared)

    def not_linked(self, source: int, in_source: int) -> tuple[object, ...]:
        reason = f"{self._of}, not more than {in_source} of them linked"
        return self._row("not linked", reason, source=source, compared=(in_source, self.needed))

    def too_faint(self, mag: float, loss: float, limit: Limit) -> tuple[object, ...]:
        trailed = f", as a trail like {mag + loss:.1f}" if loss >= _TOLD_LOSS else ""
        reason = f"V {mag:.1f}{trailed}, limit {limit.mag:.1f} by {limit.by}; {self._of}"
        return self._row("too faint", reason, compared=(mag + loss, limit.mag))

    def blended(self, n: int) -> tuple[object, ...]:
        reason = f'{self._of}; within {BLEND_ARCSEC:g}" of a star in {n}'
        return self._row("blended", reason, compared=(self.n_detected, self.needed))

    def few(self, *, bright: bool) -> tuple[object, ...]:
        reason = f"{self._of}, {self.needed} are needed"
        if bright:
            reason += (
                "; as bright as this it may be saturated (4), which FLAGS_MASK and ASTR_FLAGSMASK in "
                "SCAMP_CONFIG leave out"
            )
        return self._row("few detections", reason, compared=(self.n_detected, self.needed))
