"""A night's completeness: injected movers of all its fields together, by rate, and the limits that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from ssosd.analysis.inject.limit import half_magnitude

_BIN = ("mag_low", "mag_high")
_RATE = ("rate_low", "rate_high")


def completeness_curves(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add up rows of the table completeness, each band by itself.

    Parameters
    ----------
    rows : iterable of mapping
        Columns ``band`` (of the magnitudes), ``mag_low, mag_high, rate_low, rate_high, n_injected, n_found``,
        of any sequences.

    Returns
    -------
    list of dict
        One for each band: ``band, injected, found`` and ``rates``, of which each has ``rate_low, rate_high``
        (arcsec/h), ``injected, found``, ``half_mag`` (see `half_magnitude`; None where it cannot be told) and
        ``mags``, of which each has ``mag_low, mag_high, injected, found``.

    Examples
    --------
    >>> row = {"band": "r", "mag_low": 18.0, "mag_high": 18.5, "rate_low": 5.0, "rate_high": 20.0}
    >>> (curve,) = completeness_curves([{**row, "n_injected": 3, "n_found": n} for n in (1, 3)])
    >>> curve["injected"], curve["found"], curve["rates"][0]["mags"]
    (6, 4, [{'mag_low': 18.0, 'mag_high': 18.5, 'injected': 6, 'found': 4}])
    """
    ordered = sorted(rows, key=lambda row: (row["band"], row["rate_low"], row["mag_low"]))
    return [
        {
            "band": of_band[0]["band"],
            **_total(of_band),
            "rates": [_rate(of_rate) for of_rate in _split(of_band, *_RATE)],
        }
        for of_band in _split(ordered, "band")
    ]


def _rate(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    mags = [{name: of_bin[0][name] for name in _BIN} | _total(of_bin) for of_bin in _split(rows, *_BIN)]
    half = half_magnitude(
        [(m["mag_low"] + m["mag_high"]) / 2.0 for m in mags],
        [m["injected"] for m in mags],
        [m["found"] for m in mags],
    )
    return {
        **{name: rows[0][name] for name in _RATE},
        **_total(rows),
        "half_mag": half if half == half else None,
        "mags": mags,
    }


def _split(rows: list[Mapping[str, Any]], *names: str) -> list[list[Mapping[str, Any]]]:
    """Groups of rows that follow each other and have the same values."""
    return [list(group) for _, group in groupby(rows, key=lambda row: tuple(row[name] for name in names))]


def _total(rows: list[Mapping[str, Any]]) -> dict[str, int]:
    return {"injected": sum(r["n_injected"] for r in rows), "found": sum(r["n_found"] for r in rows)}
