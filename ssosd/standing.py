"""What stands of a sequence: whether its results are of what is there now, or are kept as that is away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ssosd import work
from ssosd.errors import BadInput
from ssosd.ingest.sequence import FieldSequence
from ssosd.ingest.watcher import regular_stat
from ssosd.model import Exposure
from ssosd.plumbing.text import counted
from ssosd.station import Station
from ssosd.store import ExposureState, SequenceRow, Store


class Standing:
    """Compares what the store has of the sequences of one station with their exposures and its parameters.

    Parameters
    ----------
    station : Station
    store : Store
    """

    def __init__(self, *, station: Station, store: Store) -> None:
        self.station = station
        self._store = store
        self._kept: set[int] = set()  # sequences whose files are away, told of

    def key_of(self, exposure: Exposure) -> tuple[str | None, BadInput | None]:
        """Key of an exposure's catalogue, or why there can be none: its weight map is missing."""
        try:
            return work.key_of(exposure, station=self.station), None
        except BadInput as error:
            return None, error

    def is_settled(
        self, sequence: FieldSequence, row: SequenceRow, states: Mapping[str, ExposureState]
    ) -> bool:
        """Whether nothing is to be done for a sequence: done or parked, with what its exposures are now.

        One that is done stays as it is, whatever has changed, until all its files are there.
        """
        now_s = self._store.now_s
        if row.state not in ("done", "parked") or (row.next_try_s is not None and row.next_try_s <= now_s):
            return False
        if not self._is_as_wanted(sequence, row, states, now_s=now_s):
            return self.waits_for_files(sequence, row)
        return row.state == "parked" or row.identified_with == self.station.known_settings

    def _is_as_wanted(
        self,
        sequence: FieldSequence,
        row: SequenceRow,
        states: Mapping[str, ExposureState],
        *,
        now_s: float,
    ) -> bool:
        """Whether what a sequence has follows from its exposures and the parameters as they are now."""
        keys: dict[str, str] = {}
        for exposure in sequence.exposures:
            key, _ = self.key_of(exposure)
            state = states[exposure.digest]
            if key is not None and (state.state, state.catalogue) == ("extracted", key):
                keys[exposure.digest] = key
            elif not state.rests(key, now_s=now_s):
                return False
        usable = replace(sequence, exposures=tuple(e for e in sequence.exposures if e.digest in keys))
        return row.is_of(work.fingerprint(usable, keys, station=self.station)) and has_its_files(row)

    def waits_for_files(self, sequence: FieldSequence, row: SequenceRow) -> bool:
        """Whether a sequence that is done cannot be done as well again, as files are away; said once."""
        if row.state != "done" or row.is_blind or not has_its_files(row):
            return False
        away = [e for e in sequence.exposures if regular_stat(e.path) is None]
        if away and row.id not in self._kept:
            self._kept.add(row.id)
            count = counted(len(away), "file", "are")
            self._store.event(
                "info",
                f"{row.night}/{row.field}",
                f"keeps its results, of other parameters: {count} not there, {away[0].name} for one",
            )
        return bool(away)


def has_its_files(row: SequenceRow) -> bool:
    """Whether a sequence's folder is there, if it is to have one."""
    return row.state == "parked" or (row.folder is not None and Path(row.folder).is_dir())
