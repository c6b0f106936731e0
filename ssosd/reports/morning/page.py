"""The morning report: a night on one page of HTML that needs nothing else, not even a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ssosd.errors import without_subject
from ssosd.model import Blink
from ssosd.plumbing.text import counted
from ssosd.reports.morning.candidates import FAST_ARCSEC_H, Card, cards
from ssosd.reports.morning.night import Row, completeness, figures, funnel, known_objects, typical
from ssosd.reports.summary import Summary
from ssosd.reports.words import MISSING, became, number, utc

REPORT_NAME = "report.html"
#: Missed known objects that are listed; the store has them all.
_LISTED = 200


def morning_html(
    *,
    summary: Summary,
    candidates: pd.DataFrame,
    verdicts: Mapping[str, str],
    missed: pd.DataFrame,
    blinks: Mapping[str, Blink],
    quality: Sequence[Row],
    expected: Iterable[Row],
    sequences: Iterable[Row],
    files: Iterable[str],
    station: str,
) -> str:
    """Write the page. The same night gives the same bytes.

    Parameters
    ----------
    summary : dict
        From `ssosd.reports.summary.night_summary`.
    candidates : DataFrame
        The night's candidates, one row per detection.
    verdicts : mapping
        Verdict by candidate, where a person gave one.
    missed : DataFrame
        The candidates in exposures without a detection of them, as `ssosd.reports.recovered` has them.
    blinks : mapping
        Frames by candidate, where there are cutouts.
    quality : sequence of mapping
        Rows of `exposure_quality` with ``mjd_mid``, ``filter`` and ``field``.
    expected : iterable of mapping
        Rows of `expected` with ``field``.
    sequences : iterable of mapping
        ``field, n_false_expected, known_limit``.
    files : iterable of str
        Files to link to, relative to the night's folder.
    station : str
        Who observed.

    Returns
    -------
    str
    """
    found = cards(candidates, verdicts=verdicts, missed=missed, blinks=blinks)
    more = {row["field"]: row for row in sequences}
    return _template().render(
        summary=summary,
        cards=found,
        hot=Counter(why for card in found if card.verdict != "artifact" for why in card.hot),
        fast_arcsec_h=FAST_ARCSEC_H,
        figures=figures(quality),
        seeing=typical(quality, "seeing_arcsec", 1),
        limit=typical(quality, "limit_5sigma", 1),
        fields=[
            field | {"steps": funnel(field["funnel"])} | {"more": more.get(field["field"], {})}
            for field in summary["fields"]
        ],
        anything_expected=sum(row["n_false_expected"] or 0.0 for row in more.values()),
        known=known_objects(expected),
        listed=_LISTED,
        curves=completeness(summary["completeness"]),
        files=sorted(files),
        station=station,
        quality={row["file"]: row for row in quality},
        troubles=troubles(summary, found, quality),
    )


def troubles(summary: Summary, found: Sequence[Card], quality: Sequence[Mapping[str, Any]]) -> list[str]:
    """What wants a person before anything else, one sentence each."""
    said = []
    if lost := summary["audit"]["unaccounted"]:
        said.append(f"{counted(len(lost), 'file', 'are')} not accounted for.")
    for field in summary["fields"]:
        name = f"{summary['night']}/{field['field']}"
        if field["state"] == "parked":
            said.append(f"{field['field']} is parked: {without_subject(field['reason'] or '', name)}")
        elif field["state"] != "done":
            said.append(f"{field['field']} is not done yet ({field['state']}).")
        elif field["partial"]:
            said.append(f"{field['field']} is partial: {counted(field['n_linked'], 'exposure')} linked.")
    unchecked = sum(card.state == "unchecked" for card in found)
    if unchecked:
        because = {field["unchecked_because"] for field in summary["fields"]} - {None}
        said.append(f"{counted(unchecked, 'candidate', 'are')} unchecked: {'; '.join(sorted(because))}")
    uncalibrated = Counter(row["why_not"] for row in quality if row["why_not"])
    for why, count in sorted(uncalibrated.items()):
        said.append(f"No calibrated magnitudes in {count} of {counted(len(quality), 'exposure')}: {why}")
    if parked := summary["audit"]["outcomes"]["parked"]:
        said.append(f"{counted(parked, 'file', 'are')} parked, see the end of this page.")
    return said


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ssosd.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["became"] = became
    environment.filters["counted"] = counted
    environment.filters["number"] = _number
    environment.filters["utc"] = utc
    return environment.get_template("morning.html")


def _number(value: Any, digits: int = 0) -> str:
    return MISSING if value is None else number(value, digits)
