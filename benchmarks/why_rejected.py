"""For every mover of known truth that SCAMP linked in four frames or more: did the chain keep it, or why not.

    python benchmarks/why_rejected.py TARGET TRUTH.csv

TARGET is the target of a replay (its store and its full_1.cat are read), TRUTH.csv has one row per mover and
exposure, as the painter writes it. Prints the movers that were rejected with the rule, the measured value and
the limit, then how many each rule took.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits

from ssosd.analysis.truth import compare_with_truth
from ssosd.reports.tables import read_candidates_csv
from ssosd.sphere import offsets_arcsec
from ssosd.store import STORE_NAME, Store

MIN_LINKED = 4
RADIUS_ARCSEC = 2.0


def fates(target: Path, truth: pd.DataFrame, *, min_linked: int = MIN_LINKED) -> pd.DataFrame:
    """One row per mover that SCAMP linked in `min_linked` exposures or more.

    Columns: mover, cls, field, rate ("/h), pa (deg), snr, eligible, linked (exposures), source (number),
    fate (the filter that rejected it, or "candidate"), reason, measured, limit. A mover whose detections are
    in several such sources has the best fate of these.
    """
    with Store(target / STORE_NAME) as store:
        sequences = store.rows("SELECT id, night, field, folder FROM sequences WHERE state = 'done'")
        parts = [_sequence_fates(store, s, truth, min_linked) for s in sequences]
    table = pd.concat(parts, ignore_index=True)
    nights = {s["night"] for s in sequences}
    candidates = pd.concat([read_candidates_csv(target / n / "candidates.csv") for n in nights])
    movers = compare_with_truth(candidates, truth).movers.set_index("id")
    table["eligible"] = movers["eligible"].reindex(table["mover"]).to_numpy()
    kept = (table["fate"] == "candidate").astype(int)
    order = table.assign(kept=kept).sort_values(["kept", "linked"], ascending=False, kind="stable")
    best = order.drop_duplicates("mover").drop(columns="kept")
    return best.sort_values(["field", "mover"], ignore_index=True)


def _sequence_fates(store: Store, sequence: dict, truth: pd.DataFrame, min_linked: int) -> pd.DataFrame:
    members = store.rows(
        "SELECT e.mjd_mid, s.catalog_number FROM sequence_exposures s"
        " JOIN exposures e ON e.digest = s.exposure WHERE s.sequence = ? AND s.catalog_number IS NOT NULL",
        [sequence["id"]],
    )
    ledger = pd.DataFrame(
        store.rows(
            "SELECT source_number, filter, reason, measured, limit_value FROM rejections WHERE sequence = ?",
            [sequence["id"]],
        ),
        columns=["source_number", "filter", "reason", "measured", "limit_value"],
    ).set_index("source_number")
    found = _hits(Path(sequence["folder"]) / "cats" / "full_1.cat", members, truth)
    linked = found.groupby(["id", "source"]).size().rename("linked").reset_index()
    linked = linked[linked["linked"] >= min_linked]
    of_mover = truth.groupby("id").agg(
        cls=("cls", "first"), rate=("rate", "median"), pa=("pa", "median"), snr=("snr", "median")
    )
    ledger = ledger.reindex(linked["source"])
    return pd.DataFrame(
        {
            "mover": linked["id"].to_numpy(),
            **{c: of_mover[c].reindex(linked["id"]).to_numpy() for c in of_mover.columns},
            "field": sequence["field"],
            "linked": linked["linked"].to_numpy(),
            "source": linked["source"].to_numpy(),
            "fate": ledger["filter"].fillna("candidate").to_numpy(),
            "reason": ledger["reason"].fillna("").to_numpy(),
            "measured": ledger["measured"].to_numpy(dtype=float),
            "limit": ledger["limit_value"].to_numpy(dtype=float),
        }
    )


def _hits(full: Path, members: list[dict], truth: pd.DataFrame) -> pd.DataFrame:
    """Which source has the detection at each mover's place in each exposure: columns id, source."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SCAMP's display formats are not those of the FITS standard
        table = fits.getdata(full, 2)
        number, source = (np.asarray(table[c], dtype=np.int64) for c in ("CATALOG_NUMBER", "SOURCE_NUMBER"))
        ra, dec = (np.asarray(table[c], dtype=np.float64) for c in ("ALPHA_J2000", "DELTA_J2000"))
    parts = []
    for member in members:
        rows = np.flatnonzero(number == member["catalog_number"])
        then = truth[truth["on_detector"] & ((truth["mjd_mid"] - member["mjd_mid"]).abs() * 86400.0 < 2.0)]
        for mover, mover_ra, mover_dec in then[["id", "ra", "dec"]].itertuples(index=False):
            away = np.hypot(*offsets_arcsec(ra[rows], dec[rows], mover_ra, mover_dec))
            if away.size and away.min() <= RADIUS_ARCSEC:
                parts.append((mover, source[rows[away.argmin()]]))
    return pd.DataFrame(parts, columns=["id", "source"])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("truth", type=Path)
    given = parser.parse_args()
    table = fates(given.target, pd.read_csv(given.truth))
    rejected = table[table["fate"] != "candidate"]
    shown = rejected.sort_values(["fate", "reason", "rate"]).assign(
        rate=rejected["rate"].map("{:.1f}".format),
        pa=rejected["pa"].map("{:.0f}".format),
        snr=rejected["snr"].map("{:.0f}".format),
        measured=rejected["measured"].map("{:.3f}".format),
        limit=rejected["limit"].map("{:.4g}".format),
        eligible=rejected["eligible"].map({True: "yes", False: "no"}),
    )
    columns = [
        "mover",
        "cls",
        "rate",
        "pa",
        "snr",
        "eligible",
        "linked",
        "fate",
        "reason",
        "measured",
        "limit",
    ]
    print(shown[columns].to_string(index=False))
    print()
    counts = rejected.groupby(["fate", "reason"]).agg(
        movers=("mover", "size"), eligible=("eligible", lambda e: int(e.sum()))
    )
    print(counts.to_string())
    print(f"\nlinked in {MIN_LINKED} frames or more: {len(table)}, kept: {len(table) - len(rejected)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
