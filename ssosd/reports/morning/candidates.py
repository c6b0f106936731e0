"""A night's candidates as the morning report shows them: in the order of who wants to be looked at first."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from numpy.typing import NDArray

from ssosd.grouping import FloatArray, Grouping
from ssosd.model import Blink
from ssosd.motion import HOURS_PER_DAY, tangent_plane, weighted_line_fit
from ssosd.reports.morning.charts import Series, chart, clock_ticks
from ssosd.reports.words import number, sexagesimal, utc

#: What moves faster is no main-belt object: those reach 40 to 50 arcsec/h when they are retrograde at
#: opposition (Jedicke 1996, AJ 111, 970, figures 1 and 2).
FAST_ARCSEC_H = 60.0
FAST, EXTENDED = "fast", "extended"
_INSTRUMENTAL = "instrumental"  # in the place of a band where nothing is calibrated
_TICK, _GAP = 6.0, 5.0  # of the marks in a blink, pixels of the cutout
_ARTIFACT = "artifact"

#: Columns of the rows of one candidate.
Rows = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One candidate, ready for the page."""

    name: str
    field: str
    state: str  # matched, possible, unknown, unchecked
    known: str  # what it is or may be, "" when nothing is near
    hot: tuple[str, ...]  # why it is to be looked at first: FAST, EXTENDED; empty for what is known
    verdict: str  # of a person, "" without one
    rate: str  # arcsec/h
    angle: str  # position angle of the motion, deg
    mag: str
    score: str
    facts: tuple[tuple[str, str], ...]
    compared: tuple[tuple[str, str, str, str], ...]  # what, predicted, measured, difference
    blink: Markup  # "" without cutouts
    n_frames: int
    together: bool  # the stars of the blink stand still
    charts: tuple[Markup, ...]
    detections: tuple[tuple[str, ...], ...]
    missed: tuple[tuple[str, ...], ...]  # exposures without a detection, and what was measured there


def triage(candidates: pd.DataFrame, verdicts: Mapping[str, str]) -> list[str]:
    """Names of the candidates, those that should be looked at first in front.

    What is fast or extended and not known, what is not known, what is only possibly known, what is known;
    what a person called an artifact comes last. Among equals the score decides, then the name.

    Parameters
    ----------
    candidates : DataFrame
        One row per detection: CANDIDATE, PM (arcsec/h), MATCH_STATE, SCORE, EXTENDED (mag).
    verdicts : mapping
        By candidate, where there is one.
    """
    if candidates.empty:
        return []
    first = candidates.drop_duplicates("CANDIDATE")

    def rank(row: tuple[str, float, str, float, float]) -> tuple[int, float, str]:
        name, rate, state, score, extended = row
        group = {"matched": 4, "possible": 3}.get(state, 2)
        if _hot(state, rate, extended):
            group = 1
        if verdicts.get(name) == _ARTIFACT:
            group = 5
        return group, -score if math.isfinite(score) else 0.0, name

    columns = ("CANDIDATE", "PM", "MATCH_STATE", "SCORE", "EXTENDED")
    return [row[0] for row in sorted(zip(*(first[c].tolist() for c in columns), strict=True), key=rank)]


def _hot(state: str, rate: float, extended: float) -> tuple[str, ...]:
    """Why what is not known is to be looked at first."""
    reasons = ((FAST, rate >= FAST_ARCSEC_H), (EXTENDED, math.isfinite(extended)))
    return tuple(name for name, applies in reasons if applies and state != "matched")


def cards(
    candidates: pd.DataFrame,
    *,
    verdicts: Mapping[str, str],
    missed: pd.DataFrame,
    blinks: Mapping[str, Blink],
) -> list[Card]:
    """All candidates in the order of `triage`.

    Parameters
    ----------
    candidates : DataFrame
        The night's, one row per detection, as `ssosd.reports.columns` has them.
    verdicts : mapping
        By candidate, where there is one.
    missed : DataFrame
        Exposures without a detection, as `ssosd.reports.recovered` has them.
    blinks : mapping
        By candidate, where there are cutouts.
    """
    if candidates.empty:
        return []
    rows = _by_candidate(with_residuals(candidates))
    places = _by_candidate(missed.sort_values("CANDIDATE", kind="stable"))
    return [
        _card(
            rows[name],
            verdict=verdicts.get(name, ""),
            missed=_missed(places[name]) if name in places else (),
            blink=blinks.get(name),
        )
        for name in triage(candidates, verdicts)
    ]


def _by_candidate(table: pd.DataFrame) -> dict[str, Rows]:
    """Rows of each candidate, which stand together: slices of the columns, as tables of few rows are slow."""
    columns = {str(name): table[name].to_numpy() for name in table}
    names = columns["CANDIDATE"]
    bounds = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    return {
        str(names[first]): {name: values[first:end] for name, values in columns.items()}
        for first, end in pairwise(bounds)
        if first < end
    }


def with_residuals(candidates: pd.DataFrame) -> pd.DataFrame:
    """Detections by candidate and time, with what is left of uniform motion on a great circle.

    Returns
    -------
    DataFrame
        Further columns HOURS since the first detection, ALONG the motion from the first place of the fit
        (arcsec), FIT of it, and OFF_ALONG and OFF_ACROSS, detection minus fit (arcsec).
    """
    codes, _ = pd.factorize(candidates["CANDIDATE"])
    groups = Grouping.of(codes, candidates["MID_EXPOSURE_MJD"])
    table = candidates.iloc[groups.order].reset_index(drop=True)
    ra, dec, mjd = (table[name].to_numpy(dtype=np.float64) for name in ("RA", "DEC", "MID_EXPOSURE_MJD"))
    sigma = position_error(table)
    hours = (mjd - mjd[groups.starts][groups.labels]) * HOURS_PER_DAY
    plane = tangent_plane(groups, ra=ra, dec=dec)
    east, north = (weighted_line_fit(groups, t=hours, y=y, sigma=sigma) for y in (plane.xi, plane.eta))
    each = groups.labels
    angle = np.arctan2(east.slope, north.slope)[each]

    def turned(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return x * np.sin(angle) + y * np.cos(angle), x * np.cos(angle) - y * np.sin(angle)

    off_along, off_across = turned(
        plane.xi - (east.value[each] + east.slope[each] * (hours - east.t_mean[each])),
        plane.eta - (north.value[each] + north.slope[each] * (hours - north.t_mean[each])),
    )
    fit = np.hypot(east.slope, north.slope)[each] * hours
    return table.assign(
        HOURS=hours, FIT=fit, ALONG=fit + off_along, OFF_ALONG=off_along, OFF_ACROSS=off_across, SIGMA=sigma
    )


def position_error(table: pd.DataFrame) -> FloatArray:
    """One-sigma error of each position in each coordinate, arcsec: the field's, else SExtractor's."""
    formal = table["ERRA_WORLD"].to_numpy(dtype=np.float64) * 3600.0
    if "ERR_POSITION" not in table:
        return formal
    ours = table["ERR_POSITION"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(ours), ours, formal)


def _card(table: Rows, *, verdict: str, missed: tuple[tuple[str, ...], ...], blink: Blink | None) -> Card:
    first = {name: values[0] for name, values in table.items()}
    state, rate = str(first["MATCH_STATE"]), float(first["PM"])
    east, north = float(first["PMRA"]), float(first["PMDEC"])
    mags, errors, band = _magnitudes(table)
    known = " ".join(str(part) for part in (first["SKYBOT_NUMBER"], first["SKYBOT_NAME"]) if _there(part))
    median = float(np.nanmedian(mags)) if np.isfinite(mags).any() else math.nan
    mag = number(median, 2)
    angle = math.degrees(math.atan2(east, north)) % 360.0
    return Card(
        name=str(first["CANDIDATE"]),
        field=str(first["FIELD"]),
        state=state,
        known=known,
        hot=_hot(state, rate, float(first["EXTENDED"])),
        verdict=verdict,
        rate=number(rate, 2 if rate < FAST_ARCSEC_H else 1),
        angle=number(angle, 0),
        mag=f"{mag} {band}".strip(),
        score=number(first["SCORE"], 1),
        facts=_facts(table, first, mag=f"{mag} {band}".strip()),
        compared=_compared(table, first, math.nan if band == _INSTRUMENTAL else median) if known else (),
        blink=_strip(blink, table) if blink else Markup(""),
        n_frames=len(blink.numbers) if blink else 0,
        together=bool(blink and blink.together),
        charts=_charts(table, mags, errors, band),
        detections=_detections(table, mags, errors),
        missed=missed,
    )


def _facts(table: Rows, first: Mapping[str, Any], *, mag: str) -> tuple[tuple[str, str], ...]:
    ra, dec = sexagesimal(float(first["RA"]), float(first["DEC"]))
    rate = f"{number(first['PM'], 2)} ± {number(first['PMERR'], 2)} ″/h"
    flags = [
        f"{name} {value}"
        for name in ("FLAGS_EXTRACTION", "FLAGS_SCAMP", "FLAGS_IMA", "FLAGS_SSOS")
        if (value := int(np.bitwise_or.reduce(np.nan_to_num(table[name]).astype(np.int64))))
    ]
    arc = float(table["HOURS"].max()) * 60.0
    return tuple(
        (name, text)
        for name, text in (
            ("position", f"{ra} {dec}"),
            ("at", utc(float(first["MID_EXPOSURE_MJD"]))),
            ("motion", rate),
            (
                "in RA, Dec",
                f"{number(first['PMRA'], 2, sign=True)}, {number(first['PMDEC'], 2, sign=True)} ″/h",
            ),
            ("magnitude", mag),
            ("detections", f"{len(table['HOURS'])} in {number(arc, 0)} min"),
            ("linked by", _text(first["LINKED_BY"])),
            ("by chance", number(first["N_CHANCE"], 1, exponent=True)),
            ("χ² / dof", number(first["CHI2_DOF"], 2)),
            ("NEO score", number(first["NEO_SCORE"], 0)),
            (
                "extended",
                f"{number(first['EXTENDED'], 2)} mag more than a star"
                if math.isfinite(first["EXTENDED"])
                else "",
            ),
            ("flags", ", ".join(flags)),
            ("near", _text(first["KNOWN_NEARBY"])),
        )
        if text and text != "–"
    )


def _compared(table: Rows, first: Mapping[str, Any], mag: float) -> tuple[tuple[str, str, str, str], ...]:
    """Predicted, measured and their difference: place, motion, brightness; NaN where none is calibrated."""
    lines = [
        (f"{name} ″", "", "", _spread(table[column]))
        for name, column in (("RA", "SKYBOT_DELTARA"), ("Dec", "SKYBOT_DELTADEC"))
    ]
    for name, ours, theirs in (("RA ″/h", "PMRA", "SKYBOT_PMRA"), ("Dec ″/h", "PMDEC", "SKYBOT_PMDEC")):
        predicted = _mean(table[theirs])
        measured = float(first[ours])
        lines.append(
            (name, number(predicted, 2), number(measured, 2), number(measured - predicted, 2, sign=True))
        )
    predicted = _mean(table["SKYBOT_MAG"])
    difference = number(mag - predicted, 1, sign=True)
    lines.append(("magnitude", f"{number(predicted, 1)} V", number(mag, 2), difference))
    return tuple(lines)


def _mean(values: NDArray[Any]) -> float:
    known = values.astype(np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else math.nan


def _spread(offsets: NDArray[Any]) -> str:
    values = offsets.astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return "–"
    return f"{number(values.mean(), 2, sign=True)} ± {number(values.std(), 2)}"


def _magnitudes(table: Rows) -> tuple[FloatArray, FloatArray, str]:
    """Calibrated magnitudes with errors and band; SExtractor's own where nothing is calibrated."""
    if "MAG_CALIB" in table and np.isfinite(table["MAG_CALIB"].astype(np.float64)).any():
        bands = sorted({_text(band) for band in table["BAND"]} - {""})
        columns, band = ("MAG_CALIB", "MAG_CALIB_ERR"), "/".join(bands)
    else:
        columns, band = ("MAG", "MAGERR"), _INSTRUMENTAL
    mags, errors = (table[name].astype(np.float64) for name in columns)
    return mags, errors, band


def _charts(table: Rows, mags: FloatArray, errors: FloatArray, band: str) -> tuple[Markup, ...]:
    mjd, sigma = table["MID_EXPOSURE_MJD"].tolist(), table["SIGMA"].tolist()
    names = [f"exposure {n}, {utc(t)}" for n, t in zip(table["CATALOG_NUMBER"], mjd, strict=True)]
    filters = np.array([_text(name) for name in table["FILTER"]])
    bands = sorted(set(filters.tolist()))
    where = {name: np.flatnonzero(filters == name) for name in bands}
    light = [
        Series(
            name=name,
            x=[mjd[i] for i in where[name]],
            y=mags[where[name]].tolist(),
            error=errors[where[name]].tolist(),
            labels=[f"{names[i]}: {number(mags[i], 2)} ± {number(errors[i], 2)}" for i in where[name]],
        )
        for name in bands
    ]
    return tuple(
        drawn
        for drawn in (
            chart(
                [
                    Series(name="", x=mjd, y=table["FIT"].tolist(), line=True),
                    Series(name="", x=mjd, y=table["ALONG"].tolist(), labels=names),
                ],
                title="along its motion", unit="arcsec", x_ticks=clock_ticks,
            ),
            chart(
                [
                    Series(name="along", x=mjd, y=table["OFF_ALONG"].tolist(), error=sigma, labels=names),
                    Series(name="across", x=mjd, y=table["OFF_ACROSS"].tolist(), error=sigma, labels=names),
                ],
                title="off uniform motion", unit="arcsec", x_ticks=clock_ticks, zero=True, least_span=0.5,
            ),
            chart(light, title="light curve", unit=f"mag {band}".strip(), x_ticks=clock_ticks, reverse=True,
                  least_span=0.3),
        )
        if drawn
    )  # fmt: skip


def _detections(table: Rows, mags: FloatArray, errors: FloatArray) -> tuple[tuple[str, ...], ...]:
    columns = ("CATALOG_NUMBER", "IMAGE_FILENAME", "MID_EXPOSURE_MJD", "FILTER", "RA", "DEC", "SNR_WIN",
               "OFF_ALONG", "OFF_ACROSS")  # fmt: skip
    rows = []
    for k, (n, name, mjd, band, ra, dec, snr, along, across) in enumerate(
        zip(*(table[c].tolist() for c in columns), strict=True)
    ):
        place = sexagesimal(ra, dec)
        rows.append(
            (str(n), str(name), utc(mjd), _text(band), *place, number(mags[k], 2), number(errors[k], 2),
             number(snr, 1), number(along, 2, sign=True), number(across, 2, sign=True))
        )  # fmt: skip
    return tuple(rows)


def _missed(rows: Rows) -> tuple[tuple[str, ...], ...]:
    """Exposure, file, time, filter, state with its reason, magnitude or limit, its error, significance."""
    names = ("CATALOG_NUMBER", "IMAGE_FILENAME", "MID_EXPOSURE_MJD", "FILTER", "STATE", "REASON", "MAG_CALIB",
             "MAG_CALIB_ERR", "MAG_LIMIT", "SNR")  # fmt: skip
    said = []
    for n, name, mjd, band, state, reason, mag, error, limit, snr in zip(
        *(rows[c].tolist() for c in names), strict=True
    ):
        light = (
            number(mag, 2) if math.isfinite(mag) else f"> {number(limit, 1)}" if math.isfinite(limit) else ""
        )
        words = f"{state}: {reason}" if reason else state
        said.append((str(n), name, utc(mjd), band, words, light, number(error, 2), number(snr, 1)))
    return tuple(said)


def _strip(blink: Blink, table: Rows) -> Markup:
    """The frames side by side with a mark and the time in each; the page moves it past a window."""
    side, n = blink.side_px, len(blink.numbers)
    at = dict(zip(table["CATALOG_NUMBER"], table["MID_EXPOSURE_MJD"], strict=True))
    band = dict(zip(table["CATALOG_NUMBER"], map(_text, table["FILTER"]), strict=True))
    data = base64.b64encode(blink.sheet).decode("ascii")
    parts = [
        f'<svg viewBox="0 0 {n * side} {side}" style="--n:{n}" role="img" aria-label="{n} cutouts">'
        f'<image width="{n * side}" height="{side}" href="data:image/png;base64,{data}"/>'
    ]
    for k, (catalog, (x, y)) in enumerate(zip(blink.numbers, blink.marks, strict=True)):
        left = k * side + x + 0.5
        ticks = f"M{left + _GAP:.1f},{y + 0.5:.1f}h{_TICK}M{left:.1f},{y + 0.5 - _GAP:.1f}v-{_TICK}"
        said = f"{catalog} · {utc(at[catalog])[11:19]} {band[catalog]}" if catalog in at else str(catalog)
        parts.append(f'<path class="mark" d="{ticks}"/>')
        parts.append(
            f'<text class="frame" x="{k * side + 2}" y="{side - 3}" font-size="{side / 16:.1f}">'
            f"{escape(said)}</text>"
        )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - all that comes from outside is escaped above


def _text(value: Any) -> str:
    """A cell of text; "" when it is missing."""
    return str(value) if _there(value) else ""


def _there(value: Any) -> bool:
    return value is not None and value == value and str(value) != ""
