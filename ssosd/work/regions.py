"""Region files of a sequence, one for each exposure: all that can be laid over its image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.identify.evidence import Evidence
from ssosd.model import Exposure
from ssosd.plumbing.files import write_staged
from ssosd.reports.regions import CANDIDATE_COLUMNS, KNOWN_COLUMNS, regions_text
from ssosd.work.placing import unique_names

#: How far a source came that was rejected here.
_STEPS = {"FILTER_DETEC": 0, "FILTER_PM": 1, "FILTER_MOTION": 2, "FILTER_PIXEL": 3, "FILTER_TRAIL": 4}
_STEPS |= {"FILTER_BRIGHT_SOURCES": 5, "LINKER": 6, "RECOVER": 7}


def write_regions(
    folder: Path,
    *,
    exposures: Sequence[Exposure],
    candidates: pd.DataFrame,
    known: pd.DataFrame,
    evidence: Evidence,
    ledger: pd.DataFrame,
) -> None:
    """Write ``<exposure>.reg`` for each exposure.

    Parameters
    ----------
    folder : Path
        Made when it is missing; nobody reads it yet.
    exposures : sequence of Exposure
        In the order of CATALOG_NUMBER.
    candidates : DataFrame
        One row per detection, with CANDIDATE and MATCH_STATE.
    known : DataFrame
        Predictions, one row per object and exposure.
    evidence : Evidence
    ledger : DataFrame
        SOURCE_NUMBER and FILTER of the rejected sources.
    """
    folder.mkdir(exist_ok=True)
    tables = {
        "candidates": candidates.reindex(columns=list(CANDIDATE_COLUMNS)),
        "known": known[list(KNOWN_COLUMNS)],
        "rejected": _rejected(evidence, ledger),
    }
    for number, name in enumerate(unique_names(exposures), start=1):
        own = {what: table[table["CATALOG_NUMBER"] == number] for what, table in tables.items()}
        text = regions_text(name=name, **own)
        write_staged(folder / f"{name}.reg", text.encode("utf-8"))


def _rejected(evidence: Evidence, ledger: pd.DataFrame) -> pd.DataFrame:
    """Detections of rejected sources: CATALOG_NUMBER, RA, DEC, SOURCE_NUMBER, FILTER, STEP of the chain."""
    number = ledger["SOURCE_NUMBER"].to_numpy(np.int64)
    order = np.argsort(number, kind="stable")
    detection, linker = np.nonzero(np.isin(evidence.sources, number))
    source = evidence.sources[detection, linker]
    row = order[np.searchsorted(number, source, sorter=order)]  # of the ledger
    filters = ledger["FILTER"].to_numpy(object)[row]
    return pd.DataFrame(
        {
            "CATALOG_NUMBER": evidence.exposure[detection],
            "RA": evidence.ra[detection],
            "DEC": evidence.dec[detection],
            "SOURCE_NUMBER": source,
            "FILTER": filters,
            "STEP": [_STEPS.get(name, 0) for name in filters],
        }
    )
