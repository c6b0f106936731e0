"""DS9 region files of an exposure: candidates, known objects, rejected sources and what rejected them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

Row = Mapping[Any, Any]

_HEAD = "# Region file format: DS9 version 4.1"
_COLOURS = {"matched": "green", "possible": "yellow", "unknown": "red", "unchecked": "magenta"}
_CANDIDATE, _REJECTED = 8.0, 4.0  # radius, arcsec
_LEAST_BOX = 12.0  # side of the box around a predicted place, arcsec
_SIGMAS = 3.0  # of the prediction that the box reaches to either side
#: Rejected sources of an exposure that are shown: those that came furthest.
_MOST = 5000


def regions_text(*, name: str, candidates: pd.DataFrame, known: pd.DataFrame, rejected: pd.DataFrame) -> str:
    """The regions of one exposure in ICRS; the same rows give the same text.

    Parameters
    ----------
    name : str
        Of the exposure, for the first line.
    candidates : DataFrame
        CANDIDATE, RA, DEC (degrees), MATCH_STATE, SKYBOT_NAME: circles, red unknown, magenta unchecked,
        yellow possibly known, green known.
    known : DataFrame
        NAME, NUMBER, RA, DEC (degrees, predicted), MAG, ERR (arcsec): cyan boxes.
    rejected : DataFrame
        FILTER, SOURCE_NUMBER, RA, DEC (degrees), STEP (of the chain, counted from 0): small blue circles, of
        those that came furthest if they are very many.
    """
    thrown = rejected.sort_values(["STEP", "SOURCE_NUMBER", "RA", "DEC"], ascending=[False, True, True, True])
    left_out = max(0, len(thrown) - _MOST)
    lines = [
        _HEAD,
        f"# {_plain(name)}" + (f", without {left_out} rejected sources more" if left_out else ""),
        'global font="helvetica 10 normal" edit=0',
        "icrs",
        *sorted(_candidate(row) for row in candidates.to_dict("records")),
        *sorted(_known(row) for row in known.to_dict("records")),
        *(_rejected(row) for row in thrown.head(_MOST).to_dict("records")),
    ]
    return "\n".join(lines) + "\n"


def _candidate(row: Row) -> str:
    named = _plain(" ".join(str(part) for part in (row["CANDIDATE"], row["SKYBOT_NAME"]) if _is_text(part)))
    return _region("circle", row, f'{_CANDIDATE:.1f}"', named, "candidate", _COLOURS[row["MATCH_STATE"]], 2)


def _known(row: Row) -> str:
    error = row["ERR"]
    side = max(_LEAST_BOX, 2.0 * _SIGMAS * error) if error == error else _LEAST_BOX
    mag = f" {row['MAG']:.1f}" if row["MAG"] == row["MAG"] else ""
    named = " ".join(str(part) for part in (row["NUMBER"], row["NAME"]) if _is_text(part)) + mag
    return _region("box", row, f'{side:.1f}",{side:.1f}",0', _plain(named), "known", "cyan", 1)


def _rejected(row: Row) -> str:
    return _region("circle", row, f'{_REJECTED:.1f}"', row["FILTER"], "rejected", "blue", 1)


def _region(shape: str, row: Row, size: str, text: str, tag: str, colour: str, width: int) -> str:
    return (
        f"{shape}({row['RA']:.7f},{row['DEC']:.7f},{size}) "
        f"# color={colour} width={width} text={{{text}}} tag={{{tag}}}"
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _plain(text: str) -> str:
    """Text that ends neither a line nor a DS9 string."""
    return "".join(c if c.isprintable() and c not in "{}" else "_" for c in text)
