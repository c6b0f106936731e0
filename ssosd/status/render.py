"""A status as text for a terminal."""

from __future__ import annotations

import shlex
from typing import Any

from ssosd.errors import without_subject
from ssosd.plumbing.text import counted
from ssosd.status.process import RUNNING, clock
from ssosd.status.read import EXIT_FINE, EXIT_TROUBLE, Status

_SHOWN_PARKED = 8
_SHOWN_FIELDS = 30
_STATE_ORDER = ("linking", "open", "parked", "done")
_GREEN, _YELLOW, _RED, _BOLD, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


def render_status(status: Status, *, colour: bool = False) -> str:
    """One screen: the daemon, the night at a glance, its fields, and what wants a person.

    Parameters
    ----------
    status : dict
        From `read_status`.
    colour : bool
        Use the colours of a terminal.
    """
    paint = _paint if colour else _no_paint
    lines = _head(status, paint)
    if status["night"] is not None:
        lines += ["", paint(f"night {status['night']}", _BOLD), *_glance(status)]
        lines += _fields(status["fields"], more_by=_as_json(status))
    elif status["exit_code"] <= EXIT_TROUBLE:
        lines += ["", "no exposures yet", *_glance(status)]
    lines += _parked(status, paint)
    lines += _last_error(status["last_error"], paint)
    lines += _other_nights(status)
    return "\n".join(lines) + "\n"


def _paint(text: str, code: str) -> str:
    return f"{code}{text}{_PLAIN}"


def _no_paint(text: str, _code: str) -> str:
    return text


def _head(status: Status, paint: Any) -> list[str]:
    daemon = status["daemon"]
    code = status["exit_code"]
    colour = _GREEN if code == EXIT_FINE else _YELLOW if code == EXIT_TROUBLE else _RED
    lines = [f"{paint('ssosd: ' + status['verdict'], colour)}   {status['target']}   {clock(status['at'])}"]
    if daemon["state"] in RUNNING:
        what = f"{daemon['state']} {daemon['folder'] or ''}".strip()
        detail = f", {daemon['detail']}" if daemon["detail"] else ""
        lines.append(f"  {what}{detail}")
        beat = daemon["beat_age_s"]
        sign = "no sign of life yet" if beat is None else f"last sign of life {duration(beat)} ago"
        lines.append(f"  process {daemon['pid']} since {clock(daemon['since'])}, {sign}")
    lines += [f"  {paint(reason, colour)}" for reason in status["because"]]
    if daemon["state"] in ("dead", "stopped", "never") and not daemon["held_by"]:
        folder, target = (shlex.quote(path) for path in (daemon["folder"] or "FOLDER", status["target"]))
        last = _last_command(status)
        command = last if last.startswith("run ") else f"run {folder} -t {target}"  # with all its flags
        where = ", from the same folder" if command == last else ""
        lines.append(f"  start it with: systemctl start ssosd   (or{where}: ssosd {command})")
    return lines


def _last_command(status: Status) -> str:
    return str(status["run"]["command"]) if status["run"] else ""


def _is_kept(status: Status) -> bool:
    """Whether a daemon does by itself what is due."""
    return status["daemon"]["state"] in RUNNING


def _glance(status: Status) -> list[str]:
    files, exposures, sequences = status["files"], status["exposures"], status["sequences"]
    partial = f" ({sequences['partial']} partial)" if sequences["partial"] else ""
    found = status["candidates"]
    rows = [
        ("files", f"{files['seen']} seen: " + _files(files)),
        ("exposures", f"{exposures['total']}: " + _counts(exposures, skip="total")),
        (
            "sequences",
            f"{sequences['total']}: {sequences['open']} open, {sequences['linking']} linking, "
            f"{sequences['done']} done{partial}, {sequences['parked']} parked",
        ),
        ("candidates", f"{found['total']}: " + _counts(found, skip="total")),
        ("queue", _queue(status["queue"], is_kept=_is_kept(status))),
        ("known objects", _skybot(status)),
        *_orbits(status["services"]["orbits"]),
        ("disk", _disk(status["disk"])),
    ]
    rows += [
        ("draft", f"{d['kind']}: {counted(d['n_observations'], 'observation')}, {d['path']}")
        for d in status["drafts"]
    ]
    if status["run"]:
        versions = ", ".join(f"{name} {version}" for name, version in status["run"]["versions"].items())
        rows.append(("versions", versions))
    return [f"  {name:<15}{text}" for name, text in rows]


def _counts(numbers: dict[str, int], *, skip: str = "") -> str:
    return ", ".join(f"{count} {name}" for name, count in numbers.items() if name != skip)


def _files(files: dict[str, int]) -> str:
    nouns = ("exposure", "duplicate")
    return ", ".join(
        counted(files[name], name) if name in nouns else f"{files[name]} {name}"
        for name in files
        if name != "seen"
    )


def _queue(queue: dict[str, Any], *, is_kept: bool) -> str:
    parts = [
        f"{counted(queue['settling'], 'file')} settling",
        f"{counted(queue['exposures'], 'exposure')} to extract",
    ]
    if queue["oldest_age_s"] is not None:
        parts[-1] += f" (the oldest came {duration(queue['oldest_age_s'])} ago)"
    parts.append(f"{counted(queue['linking'], 'sequence')} linking")
    if queue["retries"]:
        when = f"the next in {duration(queue['next_retry_in_s'])}" if is_kept else "by the next run"
        parts.append(f"{queue['retries']} to be tried again, {when}")
    return ", ".join(parts)


def _skybot(status: Status) -> str:
    skybot = status["services"]["skybot"]
    if skybot["state"] == "unchecked":
        text = f"SkyBoT: {counted(skybot['unchecked'], 'sequence')} unchecked: {'; '.join(skybot['because'])}"
    else:
        text = f"SkyBoT {skybot['state']}"
    rests = skybot["next_try_in_s"] is not None
    if rests and _is_kept(status):
        text += f"; it rests and is asked again in {duration(skybot['next_try_in_s'])}"
    elif (rests or skybot["state"] == "unchecked") and not _is_kept(status):
        last = _last_command(status)
        text += "; no daemon asks again" + (f", but, from the same folder: ssosd {last}" if last else "")
    return text


def _orbits(orbits: dict[str, Any]) -> list[tuple[str, str]]:
    """A line on the files of orbits, where these are used."""
    if orbits["state"] == "not used" and orbits["download"] == "not wanted":
        return []
    age = "" if orbits["age_d"] is None else f", {orbits['age_d']:.1f} days old"
    text = f"{orbits['state']}{age}: {orbits['detail']}"
    if orbits["download"] == "failing":
        text += f"; not fetched: {orbits['download_detail']}"
    if orbits["no_comets"]:
        text += f"; asteroids alone: {orbits['no_comets']}"
    return [("orbits", text)]


def _disk(disk: dict[str, Any]) -> str:
    if disk["free_bytes"] is None:
        return "unknown"
    return f"{size(disk['free_bytes'])} free of {size(disk['total_bytes'])}"


def _as_json(status: Status) -> str:
    """The command that prints all that is known of the night."""
    night = f" --night {status['night']}" if status["night"] else ""
    return f"ssosd status --json{night} -t {shlex.quote(status['target'])}"


def _fields(fields: list[dict[str, Any]], *, more_by: str) -> list[str]:
    if not fields:
        return []
    width = max(5, *(len(row["field"]) for row in fields))
    lines = ["", f"  {'field':<{width}}  {'state':<8}{'exposures':>9}{'sources':>9}{'candidates':>12}"]
    ordered = fields
    if len(fields) > _SHOWN_FIELDS:  # what is not done yet comes first
        ordered = sorted(fields, key=lambda row: _STATE_ORDER.index(row["state"]))[:_SHOWN_FIELDS]
    for row in ordered:
        numbers = [_dash(row[name]) for name in ("n_exposures", "n_sources", "n_candidates")]
        notes = [row["complete_because"] or ""]
        notes += [f"partial: {row['n_linked']} linked"] if row["partial"] else []
        notes += [f"{row['n_dropped']} left out"] if row["n_dropped"] else []
        notes += ["unchecked"] if row["checked"] is False and row["state"] == "done" else []
        lines.append(
            f"  {row['field']:<{width}}  {row['state']:<8}{numbers[0]:>9}{numbers[1]:>9}{numbers[2]:>12}"
            f"   {'; '.join(filter(None, notes))}".rstrip()
        )
    more = len(fields) - len(ordered)
    return [*lines, f"  and {more} more: {more_by}"] if more else lines


def _parked(status: Status, paint: Any) -> list[str]:
    if not status["parked_total"]:
        return []
    lines = ["", paint(f"parked ({status['parked_total']})", _BOLD)]
    for row in status["parked"][:_SHOWN_PARKED]:
        tries = f"   {row['tries']} tries" if row["tries"] > 1 else ""
        again = row["next_try_in_s"]
        later = "" if again is None or not _is_kept(status) else f", again in {duration(again)}"
        lines.append(f"  {row['kind']} {row['subject']}{tries}{later}")
        reason = _one_line(without_subject(row["reason"] or "", row["subject"]))
        lines += [f"      {reason}"] if reason else []
        lines += [f"      next: {row['next_step']}"] if row["next_step"] else []
    more = status["parked_total"] - min(_SHOWN_PARKED, len(status["parked"]))
    lines += [f"  and {more} more: {_as_json(status)}, or the view `parked` of the store"] if more else []
    retry = f"ssosd retry --all -t {shlex.quote(status['target'])}"
    last = _last_command(status)
    if last.startswith("replay ") and not _is_kept(status):  # which tries everything again
        return [*lines, f"  try all again, from the same folder, with: ssosd {last}"]
    return [*lines, f"  take all up again with: {retry}"]


def _last_error(error: dict[str, Any] | None, paint: Any) -> list[str]:
    if error is None:
        return []
    mended = "" if error["standing"] else ", put right since"
    title = paint(f"last {error['level']}", _BOLD)
    return [
        "",
        f"{title}   {clock(error['at'])}{mended}",
        f"  {error['subject']}: {_one_line(without_subject(error['message'], error['subject']))}",
    ]


def _other_nights(status: Status) -> list[str]:
    lines = []
    others = [row for row in status["nights"] if row["night"] != status["night"]]
    if others:
        listed = ", ".join(f"{n['night']} ({counted(n['n_candidates'], 'candidate')})" for n in others)
        lines += ["", f"other nights: {listed}   (--night)"]
    if status["parked_elsewhere"]:
        lines += [f"parked in other nights: {status['parked_elsewhere']}"]
    return lines


def _dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _one_line(text: str | None) -> str:
    """Text without line ends, cut where it gets too long for a screen."""
    line = " ".join((text or "").split())
    return line if len(line) <= 300 else f"{line[:297]}..."


def duration(seconds: float) -> str:
    """A span of time as a person says it.

    >>> duration(8.2), duration(95), duration(7260), duration(200000)
    ('8 s', '1 min 35 s', '2 h 1 min', '2 d 7 h')
    """
    whole = round(seconds)
    for unit, lesser, name, small in ((86400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // lesser} {small}"
    return f"{whole} s"


def size(n_bytes: int) -> str:
    """Bytes as a person says them, decimal units.

    >>> size(950), size(812_300_000_000)
    ('950 B', '812.3 GB')
    """
    if n_bytes < 1000:
        return f"{n_bytes} B"
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
