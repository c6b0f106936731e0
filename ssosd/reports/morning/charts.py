"""Small charts as SVG that takes its colours from the page: points with errors, lines, round ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 22, 22  # around the plot, px
_LETTER = 6  # width of a letter of a legend, px
#: Told apart without colours as well; classes s0, s1 ... give the colours.
_SYMBOLS = (
    "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0Z",
    "M0,-3.8L3.8,0 0,3.8 -3.8,0Z",
    "M0,-3.6L3.4,2.6 -3.4,2.6Z",
    "M-2.7,-2.7h5.4v5.4h-5.4Z",
    "M0,3.6L3.4,-2.6 -3.4,-2.6Z",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Points of one kind."""

    name: str  # "" for no entry in the legend
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] = ()  # 1 sigma of y; none, or one for each point
    labels: Sequence[str] = ()  # what a point says of itself
    line: bool = False  # a line through them instead of symbols


def chart(
    series: Sequence[Series],
    *,
    title: str,
    unit: str,
    x_ticks: Callable[[float, float], Sequence[tuple[float, str]]],
    reverse: bool = False,
    zero: bool = False,
    least_span: float = 0.0,
    width: int = 320,
    height: int = 150,
) -> Markup:
    """Draw a chart; the empty string when no point has a value.

    Parameters
    ----------
    series : sequence of Series
        Points that are not finite are left out.
    title, unit : str
        Above the chart.
    x_ticks : callable
        Ticks and their names between two values of x.
    reverse : bool
        Small values on top, as magnitudes have it.
    zero : bool
        Draw a line at 0, and have it in the chart.
    least_span : float
        Of y: what varies less is not blown up.
    width, height : int
        Pixels.
    """
    kept = [
        (s, [i for i in range(len(s.x)) if math.isfinite(s.x[i]) and math.isfinite(s.y[i])]) for s in series
    ]
    points = [(s.x[i], s.y[i], _error(s, i)) for s, places in kept for i in places]
    if not points:
        return Markup("")
    x_low, x_high = _padded(min(p[0] for p in points), max(p[0] for p in points), 0.0)
    bounds = [p[1] - p[2] for p in points] + [p[1] + p[2] for p in points] + ([0.0] if zero else [])
    y_low, y_high = _padded(min(bounds), max(bounds), least_span)

    def at_x(value: float) -> str:
        return f"{_LEFT + (value - x_low) / (x_high - x_low) * (width - _LEFT - _RIGHT):.1f}"

    def at_y(value: float) -> str:
        share = (value - y_low) / (y_high - y_low)
        return f"{_TOP + (share if reverse else 1.0 - share) * (height - _TOP - _BOTTOM):.1f}"

    right, low = width - _RIGHT, height - _BOTTOM
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']
    parts.append(
        f'<text class="title" x="{_LEFT}" y="13">{escape(title)}'
        f'<tspan class="unit"> {escape(unit)}</tspan></text>'
    )
    for value, name in y_ticks(y_low, y_high):
        y = at_y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 5}" y="{float(y) + 3.5:.1f}">{name}</text>')
    for value, name in x_ticks(x_low, x_high):
        parts.append(f'<line class="grid" x1="{at_x(value)}" x2="{at_x(value)}" y1="{_TOP}" y2="{low}"/>')
        parts.append(f'<text class="tick mid" x="{at_x(value)}" y="{height - 7}">{escape(name)}</text>')
    if zero:
        parts.append(f'<line class="zero" x1="{_LEFT}" x2="{right}" y1="{at_y(0.0)}" y2="{at_y(0.0)}"/>')
    legend = right
    for k, (s, places) in enumerate(kept):
        colour = f"s{k % len(_SYMBOLS)}"
        if s.line:
            path = " ".join(f"{at_x(s.x[i])},{at_y(s.y[i])}" for i in places)
            parts.append(f'<polyline class="fit" points="{path}"/>')
            continue
        for i in places:
            x, y = at_x(s.x[i]), at_y(s.y[i])
            if error := _error(s, i):
                ends = f'y1="{at_y(s.y[i] - error)}" y2="{at_y(s.y[i] + error)}"'
                parts.append(f'<line class="bar {colour}" x1="{x}" x2="{x}" {ends}/>')
            said = f"<title>{escape(s.labels[i])}</title>" if s.labels else ""
            parts.append(_symbol(k, x, y, said))
    for k, (s, places) in reversed(list(enumerate(kept))):
        if s.name and places and not s.line and len(series) > 1:
            legend -= _LETTER * len(s.name) + 16
            parts.append(_symbol(k, f"{legend + 5}", "9"))
            parts.append(f'<text class="tick" x="{legend + 11}" y="13">{escape(s.name)}</text>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - all that comes from outside is escaped above


def y_ticks(low: float, high: float, n: int = 6) -> list[tuple[float, str]]:
    """About n ticks at multiples of 1, 2 or 5 times a power of ten.

    >>> y_ticks(20.93, 21.31)
    [(21.0, '21.0'), (21.1, '21.1'), (21.2, '21.2'), (21.3, '21.3')]
    """
    raw = (high - low) / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1.0, 2.0, 5.0, 10.0) if s * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    ticks = [
        round(k * step, digits) + 0.0
        for k in range(first, first + 2 * n + 2)
        if k * step <= high + 1e-9 * step
    ]
    return [(value, f"{value:.{digits}f}") for value in ticks]


def clock_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Whole minutes or hours of the day for times in MJD.

    >>> [name for _, name in clock_ticks(61358.9, 61359.1)]
    ['22:00', '23:00', '00:00', '01:00', '02:00']
    """
    minutes = next(
        (m for m in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360) if (high - low) * 1440.0 / m <= 5.0), 720
    )
    first, last = math.ceil(low * 1440.0 / minutes - 1e-6), math.floor(high * 1440.0 / minutes + 1e-6)
    return [
        (k * minutes / 1440.0, f"{k * minutes // 60 % 24:02d}:{k * minutes % 60:02d}")
        for k in range(first, last + 1)
    ]


def _symbol(k: int, x: str, y: str, inner: str = "") -> str:
    shape = _SYMBOLS[k % len(_SYMBOLS)]
    return f'<path class="dot s{k % len(_SYMBOLS)}" d="{shape}" transform="translate({x},{y})">{inner}</path>'


def _padded(low: float, high: float, least_span: float) -> tuple[float, float]:
    """A little wider than the points."""
    span = max(high - low, least_span)
    if span <= 0.0:
        span = abs(low) * 1e-3 or 1.0
    middle = 0.5 * (low + high)
    return middle - 0.56 * span, middle + 0.56 * span


def _error(series: Series, place: int) -> float:
    if not series.error or not math.isfinite(series.error[place]):
        return 0.0
    return float(series.error[place])
