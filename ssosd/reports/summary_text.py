"""The night's summary for a person: a page of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ssosd.errors import without_subject
from ssosd.plumbing.text import counted
from ssosd.reports.summary import Summary
from ssosd.reports.words import became

_LISTED = 40  # of files that are no exposures; the JSON has them all


def summary_text(summary: Summary) -> str:
    """A summary from `ssosd.reports.summary.night_summary` as text of at most about 110 columns.

    Empty parts are left out; the first lines say what wants a person.
    """
    parts = [
        _head(summary),
        _fields(summary["fields"]),
        _funnels(summary["fields"]),
        _candidates(summary["candidates"]),
        _known(summary["fields"]),
        *(completeness_lines(curve) for curve in summary["completeness"]),
        _exposures(summary["exposures"]),
        _audit(summary["audit"]),
        _drafts(summary["drafts"]),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(summary: Summary) -> list[str]:
    fields, found = summary["fields"], summary["candidates"]
    audited = summary["audit"]
    left_out = sum(row["left_out_because"] is not None for row in summary["exposures"])
    done = sum(row["state"] == "done" for row in fields)
    partial = sum(row["partial"] for row in fields)
    unaccounted = len(audited["unaccounted"])
    return [
        f"Night of {summary['night']}",
        "",
        f"  exposures   {len(summary['exposures'])}, {left_out} left out",
        f"  fields      {len(fields)}, {done} done" + (f", {partial} of them partial" if partial else ""),
        f"  candidates  {found['total']}: {found['matched']} known, {found['possible']} possibly known, "
        f"{found['unknown']} unknown, {found['unchecked']} unchecked",
        f"  audit       {counted(audited['files'], 'file')}: "
        + ", ".join(became(outcome, count) for outcome, count in audited["outcomes"].items())
        + (f"; {unaccounted} NOT ACCOUNTED FOR" if unaccounted else "; every file is accounted for"),
    ]


def _fields(fields: list[Summary]) -> list[str]:
    if not fields:
        return []
    rows: list[tuple[Any, ...]] = []
    for row in fields:
        notes = [f"partial: {row['n_linked']} linked"] if row["partial"] else []
        notes += [f"{row['state']}: {row['reason']}"] if row["reason"] else []
        notes += [row["next_step"]] if row["next_step"] else []
        notes += [f"unchecked: {row['unchecked_because']}"] if row["unchecked_because"] else []
        notes += [f"left out {drop['file']}: {drop['reason']}" for drop in row["left_out"]]
        notes += row["notes"]
        found = row["candidates"]
        rows.append(
            (
                row["field"], row["state"], row["n_linked"], row["n_sources"],
                found["total"], found["matched"], found["unknown"], "; ".join(notes),
            )
        )  # fmt: skip
    return ["Fields", *_table(("field", "state", "linked", "sources", "cand.", "known", "unknown", ""), rows)]


def _funnels(fields: list[Summary]) -> list[str]:
    """Sources that each filter left, one column a field at most, and why the others went."""
    with_funnel = [row for row in fields if row["funnel"]]
    if not with_funnel:
        return []
    lines = ["Funnel: sources left after each filter"]
    for row in with_funnel:
        steps = ", ".join(f"{name} {count}" for name, count in row["funnel"])
        lines += [f"  {row['field']}: {steps}"]
        lines += [f"      {count:>7}  {reason}" for reason, count in row["rejected"].items()]
    return lines


def _candidates(found: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            row["candidate"], row["n_detections"], _number(row["ra_deg"], ".5f"),
            _number(row["dec_deg"], "+.5f"), _number(row["pm"], ".2f"),
            _number(row["mag"] if row["band"] is None else row["mag_calib"], ".2f"),
            row["band"] or "instrumental",
            (row["known"] or row["match_state"]) + (", extended" if row["extended"] is not None else ""),
        )
        for row in found["listed"]
    ]  # fmt: skip
    if not rows:
        return []
    return ["Candidates", *_table(("candidate", "n", "RA", "Dec", '"/h', "mag", "band", "known as"), rows)]


def _known(fields: list[Summary]) -> list[str]:
    """What became of the known objects in each field."""
    with_known = [row for row in fields if row["known"]["total"]]
    lines = ["Known objects: what became of them"] if with_known else []
    for row in with_known:
        known = row["known"]
        limit = f", limit V {known['limit']:.1f} by {known['limit_by']}" if known["limit"] is not None else ""
        outcomes = ", ".join(f"{count} {name}" for name, count in known["outcomes"].items())
        lines.append(f"  {row['field']}: {known['total']} there{limit}: {outcomes}")
    return lines


def completeness_lines(curve: Summary) -> list[str]:
    """Synthetic movers found of those painted into copies: one line a rate, one column a magnitude."""
    mags = sorted({mag["mag_low"] for rate in curve["rates"] for mag in rate["mags"]})
    rows: list[tuple[Any, ...]] = []
    for rate in curve["rates"]:
        of_mag = {mag["mag_low"]: f"{mag['found']}/{mag['injected']}" for mag in rate["mags"]}
        rows.append(
            (
                f"{rate['rate_low']:g}-{rate['rate_high']:g}", *(of_mag.get(mag, ".") for mag in mags),
                f"half at {rate['half_mag']:.1f}" if rate["half_mag"] is not None else "",
            )
        )  # fmt: skip
    head = f"{curve['found']} of {curve['injected']} synthetic movers found, by rate and {curve['band']}"
    return [
        f"Completeness: {head} magnitude",
        *_table(('"/h', *(f"{mag:.1f}" for mag in mags), ""), rows),
    ]


def _exposures(exposures: list[Summary]) -> list[str]:
    rows = [
        (
            row["file"], row["start"][:19], row["filter"], row["field"], row["n_detections"],
            _number(row["fwhm_px"], ".2f"), row["left_out_because"] or "",
        )
        for row in exposures
    ]  # fmt: skip
    if not rows:
        return []
    head = ("file", "start (UTC)", "filter", "field", "detections", "FWHM px", "left out because")
    return ["Exposures", *_table(head, rows)]


def _audit(audited: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    if audited["unaccounted"]:
        lines += ["Files that nobody accounts for", *(f"  {name}" for name in audited["unaccounted"])]
    rows = audited["without_exposure"]
    if rows:
        lines += [*([""] if lines else []), "Files that are no exposures"]
        for row in rows[:_LISTED]:
            next_step = f" ({row['next_step']})" if row["next_step"] else ""
            reason = _one_line(without_subject(row["reason"] or "", row["file"]))
            lines.append(f"  {row['outcome']:<8} {row['file']}: {reason}{next_step}")
        if len(rows) > _LISTED:
            lines.append(f"  and {len(rows) - _LISTED} more, in the JSON summary")
    return lines


def _drafts(drafts: list[Summary]) -> list[str]:
    if not drafts:
        return []
    return [
        "Drafts",
        *(f"  {d['kind']}: {counted(d['n_observations'], 'observation')}, {d['file']}" for d in drafts),
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """Columns as wide as their widest cell, numbers to the right; the last column as it is."""
    cells = [head, *(tuple("-" if cell is None else _one_line(str(cell)) for cell in row) for row in rows)]
    numeric = [
        column > 0
        and all(
            row[column].lstrip("+-").replace(".", "").isdigit() or row[column] == "-" for row in cells[1:]
        )
        for column in range(len(head))
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    widths[-1] = 0
    return [
        "  "
        + "  ".join(
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
