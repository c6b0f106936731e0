"""DS9 region files of an exposure: candidates, known objects, rejected sources and what rejected them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

_HEAD = "# Region file format: DS9 version 4.1"
_COLOURS = {"matched": "green", "possible": "yellow", "unknown": "red", "unchecked": "magenta"}
_CANDIDATE, _REJECTED = 8.0, 4.0  # radius, arcsec
_LEAST_BOX = 12.0  # side of the box around a predicted place, arcsec
_SIGMAS = 3.0  # of the prediction that the box reaches to either side
#: Rejected sources of an exposure that are shown: those that came furthest.
_MOST = 5000

#: Columns that are read of the tables.
CANDIDATE_COLUMNS = ("CATALOG_NUMBER", "CANDIDATE", "SKYBOT_NAME", "RA", "DEC", "MATCH_STATE")
KNOWN_COLUMNS = ("CATALOG_NUMBER", "NUMBER", "NAME", "RA", "DEC", "MAG", "ERR")


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
    step, source, ra, dec = (rejected[c].to_numpy() for c in ("STEP", "SOURCE_NUMBER", "RA", "DEC"))
    furthest = rejected.iloc[np.lexsort((dec, ra, source, -step))[:_MOST]]
    left_out = len(rejected) - len(furthest)
    lines = [
        _HEAD,
        f"# {_plain(name)}" + (f", without {left_out} rejected sources more" if left_out else ""),
        'global font="helvetica 10 normal" edit=0',
        "icrs",
        *sorted(_candidate(*row) for row in _rows(candidates, CANDIDATE_COLUMNS[1:])),
        *sorted(_known(*row) for row in _rows(known, KNOWN_COLUMNS[1:])),
        *(_rejected(*row) for row in _rows(furthest, ("FILTER", "RA", "DEC"))),
    ]
    return "\n".join(lines) + "\n"


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].tolist() for name in columns), strict=True)


def _candidate(candidate: str, known: Any, ra: float, dec: float, state: str) -> str:
    named = _plain(" ".join(part for part in (candidate, known) if _is_text(part)))
    return _region("circle", ra, dec, f'{_CANDIDATE:.1f}"', named, "candidate", _COLOURS[state], 2)


def _known(number: Any, name: Any, ra: float, dec: float, mag: float, error: float) -> str:
    side = max(_LEAST_BOX, 2.0 * _SIGMAS * error) if error == error else _LEAST_BOX
    named = " ".join(part for part in (number, name) if _is_text(part)) + (
        f" {mag:.1f}" if mag == mag else ""
    )
    return _region("box", ra, dec, f'{side:.1f}",{side:.1f}",0', _plain(named), "known", "cyan", 1)


def _rejected(by: str, ra: float, dec: float) -> str:
    return _region("circle", ra, dec, f'{_REJECTED:.1f}"', by, "rejected", "blue", 1)


def _region(
    shape: str, ra: float, dec: float, size: str, text: str, tag: str, colour: str, width: int
) -> str:
    return f"{shape}({ra:.7f},{dec:.7f},{size}) # color={colour} width={width} text={{{text}}} tag={{{tag}}}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _plain(text: str) -> str:
    """Text that ends neither a line nor a DS9 string."""
    return "".join(c if c.isprintable() and c not in "{}" else "_" for c in text)
