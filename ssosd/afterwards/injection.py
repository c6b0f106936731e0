"""How complete a night was, measured afterwards: nothing in the target changes, a daemon may be at work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssosd import work
from ssosd.analysis.inject.curve import completeness_curves
from ssosd.config import PARAMETERS, recorded_config
from ssosd.errors import BadInput, Misconfigured, SsosdError
from ssosd.model import Catalogue, Exposure
from ssosd.station import Station
from ssosd.store import STORE_NAME, SequenceRow, Store, existing_store

Say = Callable[[str], None]


def inject_night(
    target: Path,
    *,
    night: str,
    texts: Mapping[str, str],
    say: Say = lambda _: None,
    doing: Say = lambda _: None,
) -> list[dict[str, Any]]:
    """Measure the completeness of a night's linked fields with synthetic movers.

    Everything is done in a scratch folder, with the parameters of the last run.

    Parameters
    ----------
    target : Path
        Folder with the store; read only.
    night : str
    texts : mapping
        Parameters, as a person writes them, in the place of the last run's: INJECT, INJECT_MAG, INJECT_RATE.
    say : callable
        Told of each field: what was found, or why nothing can be.
    doing : callable
        Told what is being done.

    Returns
    -------
    list of dict
        From `ssosd.analysis.inject.curve.completeness_curves`.

    Raises
    ------
    BadInput
        The night has no linked field.
    Misconfigured
        There is no store here, a parameter is not allowed, a binary is missing, or the last run's parameters
        have become invalid.
    """
    parameters = {name: _parsed(name, text) for name, text in texts.items()}
    path = existing_store(target / STORE_NAME)
    with Store(path) as store:
        sequences = [row for row in store.sequences(night=night) if row.state == "done"]
        if not sequences:
            raise BadInput(f"{night}: no linked field of this night in {path}")
        (run,) = store.rows("SELECT parameters FROM runs ORDER BY id DESC LIMIT 1")
        exposures = store.exposures(night=night)
        catalogues = store.catalogues(exposures)
    with tempfile.TemporaryDirectory(prefix="ssosd-inject-") as scratch:
        config = recorded_config(run["parameters"]).replace(**parameters)
        tiles = Station.to_look(config, target).reference_tiles  # there already, whatever the network does
        station = Station.open(config.replace(REFCAT=tiles), Path(scratch))
        rows = [
            row
            for sequence in sequences
            for row in _field(sequence, exposures, catalogues, station=station, say=say, doing=doing)
        ]
    return completeness_curves(rows)


def _parsed(name: str, text: str) -> Any:
    try:
        return PARAMETERS[name].parse(text)
    except ValueError as error:
        raise Misconfigured(f"{name}: {error}") from error


def _field(
    sequence: SequenceRow,
    exposures: Mapping[str, Exposure],
    catalogues: Mapping[str, Catalogue],
    *,
    station: Station,
    say: Say,
    doing: Say,
) -> Iterable[dict[str, Any]]:
    """Counts of one field, none when it cannot be measured."""
    subject = f"{sequence.night}/{sequence.field}"
    members = [exposure for digest, exposure in exposures.items() if digest in sequence.exposures]
    try:
        used = _catalogues(members, catalogues, night=sequence.night, station=station)
        done = work.measure_completeness(
            [exposure for exposure in members if exposure.digest in used],
            used,
            station=station,
            progress=lambda what: doing(f"{subject}: {what}"),
        )
    except Misconfigured:
        raise
    except SsosdError as error:
        say(f"{subject}: {error.message}")
        return []
    rows: list[dict[Any, Any]] = done.counts.assign(band=done.band).to_dict("records")
    counted = f"{done.counts['n_found'].sum()} of {done.counts['n_injected'].sum()} synthetic movers found"
    say(f"{subject}: {done.why_not or counted}")
    return rows


def _catalogues(
    members: Sequence[Exposure], known: Mapping[str, Catalogue], *, night: str, station: Station
) -> dict[str, Catalogue]:
    """Catalogues by the exposures' digests; those that are no longer kept are made again, in the scratch."""
    used = {}
    for exposure in members:
        key = work.key_of(exposure, station=station)
        found = known.get(key) or work.extract_exposure(exposure, night=night, key=key, station=station)
        if isinstance(found, Catalogue):
            used[exposure.digest] = found
    return used
