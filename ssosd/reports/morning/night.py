"""The night as the morning report shows it: its figures over time, its fields, its known objects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from markupsafe import Markup

from ssosd.reports.morning.charts import Series, chart, clock_ticks, y_ticks
from ssosd.reports.words import number, utc

Row = Mapping[str, Any]

#: What is drawn over time: column, title, unit, small values on top, least span.
_FIGURES = (
    ("seeing_arcsec", "seeing", "arcsec", False, 0.5),
    ("sky", "sky", "counts", False, 10.0),
    ("zero_point", "zero point", "mag", False, 0.1),
    ("limit_5sigma", "limit, 5 σ", "mag", False, 0.2),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one filter left."""

    name: str
    left: int
    share: float  # of the first step's, on a logarithmic scale, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownObjects:
    """What should have been seen in the night."""

    n: int
    recovered: int
    outcomes: tuple[tuple[str, int], ...]  # of those that were not recovered
    missed: tuple[Row, ...]  # brightest first


def figures(quality: Iterable[Row]) -> list[Markup]:
    """Seeing, sky, zero point and limit over the night, a symbol for each filter.

    Parameters
    ----------
    quality : iterable of mapping
        Rows of `exposure_quality` with ``mjd_mid``, ``filter`` and ``field``.
    """
    rows = sorted(quality, key=lambda row: (row["mjd_mid"], row["exposure"]))
    bands = sorted({str(row["filter"]) for row in rows})
    drawn = []
    for column, title, unit, reverse, least_span in _FIGURES:
        series = []
        for band in bands:
            those = [row for row in rows if str(row["filter"]) == band]
            series.append(
                Series(
                    name=band or "no filter",
                    x=[row["mjd_mid"] for row in those],
                    y=[_float(row[column]) for row in those],
                    error=[_float(row["zero_point_err"]) for row in those] if column == "zero_point" else (),
                    labels=[
                        f"{row['field']} {utc(row['mjd_mid'])}: {number(row[column], 2)} {unit}"
                        for row in those
                    ],
                )
            )
        drawn.append(
            chart(series, title=title, unit=unit, x_ticks=clock_ticks, reverse=reverse, least_span=least_span)
        )
    return [picture for picture in drawn if picture]


def typical(quality: Iterable[Row], column: str, digits: int) -> str:
    """Median of a column of `exposure_quality`."""
    values = [float(row[column]) for row in quality if row[column] is not None]
    return number(median(values), digits) if values else number(None, digits)


def funnel(steps: Sequence[Sequence[Any]]) -> list[Step]:
    """Steps of a field's funnel with the length of their bars.

    >>> [round(step.share, 2) for step in funnel([["All Sources", 999], ["FILTER_PM", 9], ["LINKER", 0]])]
    [1.0, 0.33, 0.0]
    """
    most = max((int(count) for _, count in steps), default=0)
    scale = math.log1p(most) or 1.0
    return [Step(name=str(name), left=int(count), share=math.log1p(count) / scale) for name, count in steps]


def completeness(curves: Iterable[Row]) -> list[Markup]:
    """Share of synthetic movers that were found, by magnitude, a symbol for each range of rates.

    Parameters
    ----------
    curves : iterable of mapping
        Of a night's summary.
    """
    return [
        chart(
            [
                Series(
                    name=f"{rate['rate_low']:g}-{rate['rate_high']:g}",
                    x=[0.5 * (mag["mag_low"] + mag["mag_high"]) for mag in rate["mags"]],
                    y=[100.0 * mag["found"] / mag["injected"] for mag in rate["mags"]],
                    labels=[f"{mag['found']} of {mag['injected']}" for mag in rate["mags"]],
                )
                for rate in curve["rates"]
            ],
            title=f"found, {curve['band']}",
            unit="% by magnitude and arcsec/h",
            x_ticks=y_ticks,
            zero=True,
            width=520,
            height=190,
        )
        for curve in curves
    ]


def known_objects(expected: Iterable[Row]) -> KnownObjects | None:
    """What of the known objects was recovered, and why the others were not; None when nobody was asked.

    Parameters
    ----------
    expected : iterable of mapping
        Rows of `expected` with ``field``.
    """
    rows = list(expected)
    if not rows:
        return None
    missed = [row for row in rows if row["outcome"] != "recovered"]
    counted = Counter(str(row["outcome"]) for row in missed)
    return KnownObjects(
        n=len(rows),
        recovered=len(rows) - len(missed),
        outcomes=tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
        missed=tuple(
            sorted(
                missed,
                key=lambda row: (
                    row["mag"] if row["mag"] is not None else math.inf,
                    row["number"],
                    row["name"],
                    row["field"],
                ),
            )
        ),
    )


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)
