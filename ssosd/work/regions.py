"""Region files of a sequence, one for each exposure: all that can be laid over its image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ssosd.identify.evidence import Evidence
from ssosd.model import Exposure
from ssosd.plumbing.files import atomic_write_text
from ssosd.reports.regions import regions_text
from ssosd.work.placing import unique_names

#: How far a source came that was rejected here.
_STEPS = {"FILTER_DETEC": 0, "FILTER_PM": 1, "FILTER_MOTION": 2, "FILTER_PIXEL": 3, "FILTER_TRAIL": 4}
_STEPS |= {"FILTER_BRIGHT_SOURCES": 5, "LINKER": 6}


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
        Made when it is missing.
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
    rejected = _rejected(evidence, ledger)
    for number, name in enumerate(unique_names(exposures), start=1):
        text = regions_text(
            name=name,
            **{
                what: table[table["CATALOG_NUMBER"] == number] if len(table) else table
                for what, table in (("candidates", candidates), ("known", known), ("rejected", rejected))
            },
        )
        atomic_write_text(folder / f"{name}.reg", text)


def _rejected(evidence: Evidence, ledger: pd.DataFrame) -> pd.DataFrame:
    """Detections of rejected sources: CATALOG_NUMBER, RA, DEC, SOURCE_NUMBER, FILTER, STEP of the chain."""
    columns = evidence.sources.shape[1]
    detections = pd.DataFrame(
        {
            "CATALOG_NUMBER": np.repeat(evidence.exposure, columns),
            "RA": np.repeat(evidence.ra, columns),
            "DEC": np.repeat(evidence.dec, columns),
            "SOURCE_NUMBER": evidence.sources.reshape(-1).astype(np.int64),
        }
    )
    of_source = ledger[["SOURCE_NUMBER", "FILTER"]].assign(STEP=ledger["FILTER"].map(_STEPS).fillna(0))
    return detections[detections["SOURCE_NUMBER"] >= 0].merge(of_source, on="SOURCE_NUMBER", how="inner")
