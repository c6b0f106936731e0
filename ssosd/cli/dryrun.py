"""What a replay would do, for a person who has not started it yet."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ssosd.crew import gather
from ssosd.errors import BadInput
from ssosd.filters.settings import ChainSettings
from ssosd.plumbing.text import counted
from ssosd.replay import Planned, Survey, estimate, survey
from ssosd.station import Station
from ssosd.status.render import size
from ssosd.store import measured

_TIMES = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))


def plan_replay(
    paths: Sequence[Path],
    *,
    station: Station,
    console: Console,
    jobs: int | None,
    night: str | None,
    field_name: str | None,
) -> None:
    """Survey the files and print nights, fields, sizes, what would be left out and why, time and disk.

    Raises
    ------
    BadInput
        There are no FITS files, none of them is a usable exposure, or none is of the night or the field.
    """
    found = survey(
        paths,
        station=station,
        console=console,
        crew=lambda n_files: gather(n_files, station=station, size=jobs),
        night=night,
        field_name=field_name,
    )
    for plan in found.planned:
        _say(console, sequence_line(plan))
    fewest = ChainSettings.from_mapping(station.config).fewest_detections
    for line in summary(found, minimum=station.config["MIN_EXPOSURES"], fewest=fewest):
        _say(console, line)
    if not found.planned:
        raise BadInput("nothing to replay: no file is a usable exposure")
    workers = jobs or station.workers
    rough = estimate(found.linked, workers=workers, measured=measured(station.target))
    _say(
        console,
        f"about {time_text(rough.seconds)} with {counted(workers, 'worker')}, by {rough.measured_on}; "
        f"{size(round(rough.size_bytes))} of results; {size(_free(station.target))} are free there",
    )
    _say(console, "nothing was written")


def sequence_line(plan: Planned) -> str:
    """One sequence: night, field, exposures, filters, times of the first start and the last, size."""
    exposures = plan.sequence.exposures
    filters = "+".join(sorted({e.filter for e in exposures if e.filter})) or "no filter"
    first, last = (min(e.date_obs for e in exposures), max(e.date_obs for e in exposures))
    few = "  too few" if plan.too_few else ""
    return (
        f"{plan.sequence.night}  {plan.sequence.field:<20} {counted(len(exposures), 'exposure'):>14}  "
        f"{filters:<10} {first[11:16]} to {last[11:16]} UTC  {size(plan.size_bytes):>8}{few}"
    )


def summary(found: Survey, *, minimum: int, fewest: int = 0) -> list[str]:
    """Totals, and what would be left out and why; a candidate needs `fewest` detections."""
    exposures = sum(len(plan.sequence.exposures) for plan in found.planned)
    fields = {plan.sequence.field for plan in found.planned}
    nights = {plan.sequence.night for plan in found.planned}
    few = sum(plan.too_few for plan in found.planned)
    lines = [
        f"{counted(found.n_files, 'file')}, {size(found.size_bytes)}: {counted(exposures, 'exposure')} in "
        f"{counted(len(found.planned), 'sequence')} of {counted(len(fields), 'field')}, "
        f"{counted(len(nights), 'night')}"
    ]
    if few:
        least = counted(minimum, "exposure")
        lines.append(f"too few    {counted(few, 'sequence', 'have')} fewer than {least} (MIN_EXPOSURES)")
    hopeless = sum(not plan.too_few and len(plan.sequence.exposures) < fewest for plan in found.planned)
    if hopeless:
        lines.append(
            f"no result  {counted(hopeless, 'sequence', 'have')} fewer than the {fewest} detections of a "
            "candidate (DETECTIONS)"
        )
    if found.duplicates:
        copy, first = found.duplicates[0]
        lines.append(
            f"duplicates {counted(len(found.duplicates), 'file')}, such as {copy}: the bytes of {first}"
        )
    kinds: tuple[tuple[str, Counter[str]], ...] = (("ignored", found.ignored), ("parked", found.parked))
    for kind, reasons in kinds:
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            lines.append(f"{kind:<10} {count} such as {found.examples[reason]}: {reason}")
    return lines


def time_text(seconds: float) -> str:
    """A length of time for a person.

    >>> time_text(7300.0), time_text(12.4)
    ('2 h', '12 s')
    """
    for unit, name in _TIMES:
        if seconds >= unit:
            return f"{seconds / unit:.2g} {name}"
    return f"{seconds:.0f} s"


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _free(target: Path) -> int:
    """Bytes free where the target is, or would be."""
    place = next(folder for folder in (target, *target.parents) if folder.exists())
    return shutil.disk_usage(place).free
