"""Candidates as JSON for the page: one summary each for the list, all detections for the one looked at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ssosd.reports.morning.candidates import triage

Json = dict[str, Any]

_SEXTRACTOR = {
    1: "neighbours",
    2: "blended",
    4: "saturated",
    8: "truncated",
    16: "aperture incomplete",
    32: "isophote incomplete",
    64: "deblending overflow",
    128: "extraction overflow",
}
_SSOS = {
    1: "outlier in time",
    2: "reference for colours",
    16: "pieces of a trail",
    32: "place by the motion",
    64: "trail",
    128: "a star taken out",
    512: "a star in its light",
}
_SCAMP_OFF = 64
#: Columns that only some tables have, and their keys.
_OPTIONAL = {
    "LINKED_BY": "linked_by",
    "SCORE": "score",
    "NEO_SCORE": "neo_score",
    "EXTENDED": "extended",
    "KNOWN_BY": "known_by",
    "KNOWN_NEARBY": "nearby",
    "SKYBOT_CLASS": "class",
    "SKYBOT_MAG": "known_mag",
}


def summaries(table: pd.DataFrame) -> list[Json]:
    """One entry per candidate, in the order of their first rows.

    Parameters
    ----------
    table : DataFrame
        One row per detection, with CANDIDATE; columns that are missing leave their entry None.
    """
    if table.empty:
        return []
    ordered = table.sort_values("MID_EXPOSURE_MJD", kind="stable")
    grouped = ordered.groupby("CANDIDATE", sort=True)
    first, last = grouped.first(), grouped.last()
    magnitude, band = magnitudes(ordered)
    columns: dict[str, Any] = {
        "id": first.index,
        "field": _column(first, "FIELD", ""),
        "n": grouped.size(),
        "mjd": first["MID_EXPOSURE_MJD"],
        "hours": 24.0 * (last["MID_EXPOSURE_MJD"] - first["MID_EXPOSURE_MJD"]),
        "ra": first["RA"],
        "dec": first["DEC"],
        "ra_last": last["RA"],
        "dec_last": last["DEC"],
        "rate": _column(first, "PM", np.nan),
        "rate_err": _column(first, "PMERR", np.nan),
        "pa": np.degrees(np.arctan2(_column(first, "PMRA", np.nan), _column(first, "PMDEC", np.nan))) % 360,
        "mag": magnitude.groupby(ordered["CANDIDATE"]).median(),
        "band": band.groupby(ordered["CANDIDATE"]).first(),
        "state": _column(first, "MATCH_STATE", "unchecked"),
        "number": _column(first, "SKYBOT_NUMBER", ""),
        "name": _column(first, "SKYBOT_NAME", ""),
        "flags": _column(ordered, "FLAGS_EXTRACTION", 0).groupby(ordered["CANDIDATE"]).agg(_or),
        **{key: _column(first, name, None) for name, key in _OPTIONAL.items() if name in first},
    }
    rows = pd.DataFrame(columns).astype(object).to_dict("records")
    for row in rows:
        row["flags"] = flag_words(int(row["flags"]))
    return [{str(key): plain(value) for key, value in row.items()} for row in rows]


def by_urgency(entries: list[Json]) -> list[Json]:
    """Candidates in the order of the morning report: what a person should look at first.

    Parameters
    ----------
    entries : list of dict
        From `summaries`, with their verdicts.
    """
    numbers = {"PM": "rate", "SCORE": "score", "EXTENDED": "extended"}
    columns = {"CANDIDATE": "id", "MATCH_STATE": "state", **numbers}
    table = pd.DataFrame({name: [entry.get(key) for entry in entries] for name, key in columns.items()})
    verdicts = {entry["id"]: entry["verdict"] for entry in entries if entry["verdict"]}
    place = {name: k for k, name in enumerate(triage(table.astype(dict.fromkeys(numbers, float)), verdicts))}
    return sorted(entries, key=lambda entry: place[entry["id"]])


def detections(rows: pd.DataFrame) -> list[Json]:
    """One entry per detection of a candidate, in order of time."""
    magnitude, band = magnitudes(rows)
    residual = _residuals(rows)
    found = []
    for k, (_, row) in enumerate(rows.iterrows()):
        words = flag_words(int(row.get("FLAGS_EXTRACTION", 0)))
        words += ["off its motion (SCAMP)"] if int(row.get("FLAGS_SCAMP", 0)) & _SCAMP_OFF else []
        words += [word for bit, word in _SSOS.items() if int(row.get("FLAGS_SSOS", 0)) & bit]
        found.append(
            {
                "catalog": int(row["CATALOG_NUMBER"]),
                "mjd": plain(row["MID_EXPOSURE_MJD"]),
                "ra": plain(row["RA"]),
                "dec": plain(row["DEC"]),
                "mag": plain(magnitude.iloc[k]),
                "mag_err": plain(row.get("MAG_CALIB_ERR", row.get("MAGERR"))),
                "band": plain(band.iloc[k]),
                "snr": plain(row.get("SNR_WIN")),
                "fwhm": plain(row.get("FWHM_IMAGE")),
                "exptime": plain(row.get("EXPTIME")),
                "image": plain(row.get("IMAGE_FILENAME")),
                "residual": residual[k],
                "flags": words,
            }
        )
    return found


def missed(rows: pd.DataFrame) -> list[Json]:
    """One entry per exposure without a detection of a candidate, as `ssosd.reports.recovered` has them."""
    columns = {"mjd": "MID_EXPOSURE_MJD", "image": "IMAGE_FILENAME", "state": "STATE", "reason": "REASON",
               "mag": "MAG_CALIB", "limit": "MAG_LIMIT", "band": "BAND", "snr": "SNR"}  # fmt: skip
    table = rows[list(columns.values())].set_axis(list(columns), axis=1)
    return [
        {str(key): plain(value) for key, value in row.items()}
        for row in table.sort_values("mjd", kind="stable").to_dict("records")
    ]


def magnitudes(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Calibrated magnitudes, of candidates without any the instrumental ones; bands, "" for those."""
    instrumental = _column(table, "MAG", np.nan)
    calibrated = _column(table, "MAG_CALIB", np.nan).astype(float)
    some = calibrated.notna().groupby(table["CANDIDATE"]).transform("any")
    return calibrated.where(some, instrumental), _column(table, "BAND", "").where(some, "")


def flag_words(flags: int) -> list[str]:
    """SExtractor's extraction flags in words.

    >>> flag_words(6)
    ['blended', 'saturated']
    """
    return [word for bit, word in _SEXTRACTOR.items() if flags & bit]


def plain(value: Any) -> Any:
    """A value as JSON has it; None for what is missing or not finite."""
    if value is None or value is pd.NA:
        return None
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _residuals(rows: pd.DataFrame) -> list[list[float] | None]:
    """Offset (east, north) of each detection from the straight line through all, arcsec."""
    t = rows["MID_EXPOSURE_MJD"].to_numpy(dtype=float)
    if len(rows) < 3 or np.ptp(t) == 0:
        return [None] * len(rows)
    t = t - t.mean()
    dec = rows["DEC"].to_numpy(dtype=float)
    ra = np.unwrap(rows["RA"].to_numpy(dtype=float), period=360.0) * np.cos(np.radians(dec.mean()))
    off = [3600.0 * (y - np.polyval(np.polyfit(t, y, 1), t)) for y in (ra, dec)]
    return [[round(float(a), 3), round(float(b), 3)] for a, b in zip(*off, strict=True)]


def _column(table: pd.DataFrame, name: str, missing: Any) -> pd.Series:
    return table[name] if name in table else pd.Series(missing, index=table.index)


def _or(flags: pd.Series) -> int:
    return int(np.bitwise_or.reduce(flags.to_numpy(dtype=np.int64)))
