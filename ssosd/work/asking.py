"""Known objects of a sequence's exposures, from the sources of knowledge in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from ssosd.errors import BadInput, Misconfigured
from ssosd.identify.known import KnownObjects, known_table, unchecked
from ssosd.identify.orbits import known_objects_from_orbits
from ssosd.identify.skybot import known_objects_for_exposures, node_questions, question_for
from ssosd.model import Exposure
from ssosd.plumbing.background import begin
from ssosd.station import ORBIT_FILES, Station

_T = TypeVar("_T")

SKYBOT, ORBITS, COMETS = "SKYBOT", "ORBITS", "COMETS"
#: Orbits of a night take some hundred MB: one sequence at a time has them in memory.
ORBITS_IN_MEMORY = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Access:
    """What a sequence may use of the services."""

    skybot: bool = True  # whether SkyBoT may be asked
    memory: Mapping[str, bytes] = field(default_factory=dict)  # its former replies, by question


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """What the sources of knowledge said."""

    known: KnownObjects
    asked_with: str  # what the answers depend on besides, `Station.known_settings` before anybody was asked
    wants: str  # why a source is to be asked again that comes before those that answered; "" for none
    was_asked: bool = False  # whether SkyBoT was asked anything
    failures: Mapping[str, str]  # source, or COMETS: why it failed
    answered: tuple[str, ...]  # sources that answered when they were asked
    replies: Mapping[str, tuple[str, bytes]]  # new ones of SkyBoT: question to exposure's digest and reply


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Said:
    """What SkyBoT said of some exposures."""

    known: KnownObjects
    memory: Mapping[str, bytes]  # its replies, by question


Asking = Callable[[Sequence[Exposure]], Answers]


def asking_ahead(exposures: Sequence[Exposure], station: Station, access: Access) -> Asking:
    """Begin to ask SkyBoT about a sequence that is being linked: what it says does not depend on the linking.

    Parameters
    ----------
    exposures : sequence of Exposure
        All of a sequence.
    station : Station
    access : Access

    Returns
    -------
    callable
        As `ask_all`, of the exposures that were linked: with what is here already when these are all, else
        SkyBoT is asked again for what is missing.
    """
    if not _is_asked_first(station):
        return partial(ask_all, station=station, access=access)
    ahead = begin(partial(_skybot, exposures, station, access), name="asking")

    def ask(linked: Sequence[Exposure]) -> Answers:
        said = ahead.result()
        if [e.digest for e in linked] == [e.digest for e in exposures]:
            return _ask_all(linked, station, access, skybot=lambda: said)
        known = Access(skybot=access.skybot, memory={**access.memory, **said.memory})
        return _ask_all(linked, station, access, skybot=lambda: _skybot(linked, station, known))

    return ask


def ask_all(exposures: Sequence[Exposure], station: Station, access: Access) -> Answers:
    """Known objects of the exposures, and why any of these are unchecked.

    With KNOWN_COMBINE FIRST each exposure has the answer of the first source that gives one; with ALL the
    later ones add the objects that the earlier ones do not have.

    Parameters
    ----------
    exposures : sequence of Exposure
        In the order of their CATALOG_NUMBER, which counts from 1.
    station : Station
    access : Access
    """
    return _ask_all(exposures, station, access, skybot=lambda: _skybot(exposures, station, access))


def _ask_all(
    exposures: Sequence[Exposure], station: Station, access: Access, *, skybot: Callable[[], _Said]
) -> Answers:
    asked_with = station.known_settings  # of the files as they are before they are read
    sources = _sources(station)
    numbers = range(1, len(exposures) + 1)
    if not sources:
        nobody = "CROSSMATCH_SKYBOT is False, and there are no ORBITS"
        return Answers(
            known=unchecked(dict.fromkeys(numbers, nobody)),
            asked_with=asked_with,
            wants="",
            failures={},
            answered=(),
            replies={},
        )
    memory = access.memory
    parts: list[KnownObjects] = []
    failures: dict[str, str] = {}
    answered: list[str] = []
    wants = ""
    for source in sources:
        checked = {number for part in parts for number in part.checked}
        if station.config["KNOWN_COMBINE"] == "FIRST" and len(checked) == len(exposures):
            break
        if source == SKYBOT:
            of_service = skybot()
            said, memory = of_service.known, of_service.memory
        else:
            said, no_comets = _orbits(exposures, station)
            failures |= {COMETS: no_comets} if no_comets else {}
        if said.unchecked:
            wants = wants or said.because
            failures[source] = next(iter(said.unchecked.values()))
        if said.checked:
            answered.append(source)
        parts.append(said)
    return Answers(
        known=_joined(parts, numbers, only_first=station.config["KNOWN_COMBINE"] == "FIRST"),
        asked_with=asked_with,
        wants=wants,
        was_asked=SKYBOT in sources and access.skybot,
        failures=failures,
        answered=tuple(answered),
        replies=_fresh(exposures, station, access.memory, memory),
    )


def _sources(station: Station) -> list[str]:
    used = {SKYBOT: station.uses_skybot, ORBITS: station.uses_orbits}
    return [source for source in station.config["KNOWN_SOURCES"] if used[source]]


def _is_asked_first(station: Station) -> bool:
    """Whether SkyBoT is asked whatever the others say."""
    sources = _sources(station)
    return SKYBOT in sources and (sources[0] == SKYBOT or station.config["KNOWN_COMBINE"] == "ALL")


def _skybot(exposures: Sequence[Exposure], station: Station, access: Access) -> _Said:
    config = station.config
    memory = dict(access.memory)
    known = known_objects_for_exposures(
        exposures=exposures,
        url=config["SKYBOT_URL"],
        observer=config["OBSERVATORY_CODE"],
        fov_dimensions_deg=config["FOV_DIMENSIONS"],
        time_limit_s=config["SKYBOT_TIME_LIMIT"],
        memory=memory,
        ask=access.skybot,
    )
    return _Said(known=known, memory=memory)


def _orbits(exposures: Sequence[Exposure], station: Station) -> tuple[KnownObjects, str]:
    """Predictions from the files of orbits, and why there are no comets among them.

    Without a file of orbits that can be used there is no answer.
    """
    orbits, comets = (station.orbit_file(name) for name in ORBIT_FILES)
    if orbits is None or not orbits.is_file():
        why = f"ORBITS {orbits}: no such file yet"
    else:
        file = orbits

        def predict(comets: Path | None) -> KnownObjects:
            return known_objects_from_orbits(
                exposures=exposures,
                site=station.site,
                orbits=file,
                comets=comets,
                cache=station.orbit_cache,
            )

        try:
            with ORBITS_IN_MEMORY:
                return or_without_comets(predict, comets)
        except (BadInput, Misconfigured) as error:
            why = error.message
    return unchecked(dict.fromkeys(range(1, len(exposures) + 1), why)), ""


def or_without_comets(compute: Callable[[Path | None], _T], comets: Path | None) -> tuple[_T, str]:
    """What comes of the files of orbits, without that of the comets when it cannot be used.

    Parameters
    ----------
    compute : callable
        Given the file of the comets, or None for none.
    comets : Path, optional
        The file of COMETS; it need not be there.

    Returns
    -------
    outcome
        Of `compute`.
    why : str
        Why the comets are left out; "" when they are not, or are not wanted.

    Raises
    ------
    BadInput, Misconfigured
        It is not the comets' fault.
    """
    file = comets if comets is not None and comets.is_file() else None
    try:
        return compute(file), ""
    except (BadInput, Misconfigured) as error:
        if file is None:
            raise
        return compute(None), error.message


def _joined(parts: Sequence[KnownObjects], numbers: Sequence[int], *, only_first: bool) -> KnownObjects:
    """One answer for each exposure: the first part's that has one, or all parts' together."""
    checked: set[int] = set()
    tables: list[pd.DataFrame] = []
    have: set[tuple[int, str]] = set()
    for part in parts:
        table = part.table
        if only_first:
            table = table[~table["CATALOG_NUMBER"].isin(checked)]
        names = list(zip(table["CATALOG_NUMBER"].tolist(), _names(table), strict=True))
        tables.append(table[[name not in have for name in names]])
        have.update(names)
        checked.update(part.checked)
    reasons = {number: why for part in reversed(parts) for number, why in part.unchecked.items()}
    filled = [table for table in tables if len(table)]
    return KnownObjects(
        table=pd.concat(filled, ignore_index=True) if filled else known_table({}),
        checked=tuple(sorted(checked)),
        unchecked={number: reasons[number] for number in numbers if number not in checked},
    )


def _names(table: pd.DataFrame) -> list[str]:
    """What tells objects apart whoever names them: the number where there is one, else the name."""
    numbers = table["NUMBER"].where(table["NUMBER"].notna(), table["NAME"])
    return [str(name).casefold().replace(" ", "") for name in numbers]


def _fresh(
    exposures: Sequence[Exposure], station: Station, before: Mapping[str, bytes], memory: Mapping[str, bytes]
) -> dict[str, tuple[str, bytes]]:
    """Replies that were not known before, each with the exposure that it was asked for."""
    config = station.config
    each = [
        question_for(
            exposure,
            url=config["SKYBOT_URL"],
            observer=config["OBSERVATORY_CODE"],
            fov_dimensions_deg=config["FOV_DIMENSIONS"],
        )
        for exposure in exposures
    ]
    asked = {
        question.digest: exposures[i].digest for i, question in [*enumerate(each), *node_questions(each)]
    }
    return {q: (asked[q], reply) for q, reply in memory.items() if q not in before and q in asked}
