"""Sequences, their ledger and candidates, and drafts in the store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssosd.errors import SsosdError
from ssosd.store.base import Patience, error_columns, finite
from ssosd.store.knowledge import Knowledge, KnownRows
from ssosd.store.verdicts import Verdicts

if TYPE_CHECKING:
    import pandas as pd

#: Behind the fingerprint of a sequence that was linked while files of its exposures were not there.
BLIND = " without its files"
#: Tables that hold what linking a sequence gave.
_RESULTS = (
    "rejections",
    "candidates",
    "known_objects",
    "expected",
    "asking",
    "exposure_quality",
    "completeness",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceRow:
    """What the store knows of one sequence."""

    id: int
    night: str
    field: str
    state: str
    fingerprint: str | None
    folder: str | None
    n_candidates: int | None
    next_try_s: float | None  # when a parked one is tried again by itself, Unix time
    identified_with: str | None  # digest of what its known objects come from
    exposures: tuple[str, ...]  # digests, sorted

    @property
    def is_blind(self) -> bool:
        """Whether it was linked while files of its exposures were not there."""
        return self.fingerprint is not None and self.fingerprint.endswith(BLIND)

    def is_of(self, fingerprint: str) -> bool:
        """Whether what it has follows from this, as far as that could be without all files."""
        return self.fingerprint is not None and self.fingerprint.removesuffix(BLIND) == fingerprint


class Sequences(Verdicts, Knowledge):
    """What exposures were put together, and what came of it."""

    def sequences(self, *, night: str | None = None) -> list[SequenceRow]:
        """All sequences (of a night), by night and field."""
        return self._sequences("WHERE night = ?", [night]) if night is not None else self._sequences("", [])

    def sequence(self, night: str, field: str) -> SequenceRow:
        """One sequence; KeyError when there is none."""
        found = self._sequences("WHERE night = ? AND field = ?", [night, field])
        if not found:
            raise KeyError((night, field))
        return found[0]

    def _sequences(self, where: str, arguments: Sequence[str]) -> list[SequenceRow]:
        found = self.rows(
            "SELECT id, night, field, state, fingerprint, folder, n_candidates, next_try_s, identified_with"  # noqa: S608
            f" FROM sequences {where} ORDER BY night, field",
            arguments,
        )
        members: dict[int, list[str]] = {}
        for row in self.rows(
            "SELECT m.sequence AS sequence, m.exposure AS exposure FROM sequences"  # noqa: S608
            f" JOIN sequence_exposures m ON m.sequence = sequences.id {where} ORDER BY m.exposure",
            arguments,
        ):
            members.setdefault(row["sequence"], []).append(row["exposure"])
        return [SequenceRow(**row, exposures=tuple(members.get(row["id"], ()))) for row in found]

    def holds(self, number: int, digests: Iterable[str]) -> bool:
        """Whether a sequence is still there and has these exposures and no others."""
        found = self.rows("SELECT exposure FROM sequence_exposures WHERE sequence = ?", [number])
        return {row["exposure"] for row in found} == set(digests)

    def linked_exposures(self, number: int) -> tuple[str, ...]:
        """Digests of the exposures that a sequence was linked with, in the order of CATALOG_NUMBER."""
        found = self.rows(
            "SELECT exposure FROM sequence_exposures WHERE sequence = ? AND catalog_number IS NOT NULL"
            " ORDER BY catalog_number",
            [number],
        )
        return tuple(row["exposure"] for row in found)

    def rejections(self, number: int) -> list[dict[str, Any]]:
        """The ledger of a sequence, as the chain's columns."""
        return self.rows(
            "SELECT source_number AS SOURCE_NUMBER, filter AS FILTER, reason AS REASON,"
            ' measured AS MEASURED, limit_value AS "LIMIT", n_detections AS N_DETECTIONS FROM rejections'
            " WHERE sequence = ? ORDER BY source_number",
            [number],
        )

    def quality(self, number: int) -> list[dict[str, Any]]:
        """The rows of exposure_quality of a sequence, in the order of its exposures."""
        return self.rows(
            "SELECT * FROM exposure_quality WHERE sequence = ? ORDER BY catalog_number", [number]
        )

    def regroup(
        self, night: str, groups: Mapping[str, tuple[float, float, Sequence[str]]]
    ) -> list[SequenceRow]:
        """Make the night's sequences those of `groups`; return the rows of sequences that are no more.

        Idempotent. A sequence whose exposures are the same keeps its row and results; one that gained or
        lost exposures is `open` again and its tries start anew; its results stay until the new ones replace
        them.

        Parameters
        ----------
        night : str
        groups : mapping
            Field name to (ra_deg, dec_deg, digests of its exposures).
        """
        present = {row.field: row for row in self.sequences(night=night)}
        ended = [row for field, row in present.items() if field not in groups]
        with self.db.atomic():
            for row in ended:
                self.db.execute("DELETE FROM sequences WHERE id = ?", [row.id])
            for field, (ra, dec, digests) in groups.items():
                row_ = present.get(field)
                if row_ is not None and row_.exposures == tuple(sorted(digests)):
                    continue
                place = {
                    "ra_deg": ra,
                    "dec_deg": dec,
                    "n_exposures": len(digests),
                    "state": "open",
                    "fingerprint": None,
                    **error_columns(None),
                }
                if row_ is None:
                    inserted = self.db.table("sequences").insert(
                        {"night": night, "field": field, **place}, pk="id"
                    )
                    number = int(str(inserted.last_pk))
                else:
                    number = row_.id
                    self.db.table("sequences").update(number, place)
                    self.db.execute("DELETE FROM sequence_exposures WHERE sequence = ?", [number])
                self.db.table("sequence_exposures").insert_all(
                    {"sequence": number, "exposure": digest} for digest in sorted(digests)
                )
        return ended

    def record_sequence(
        self,
        number: int,
        *,
        fingerprint: str,
        columns: Mapping[str, Any],
        catalog_numbers: Mapping[str, int],
        dropped: Mapping[str, str],
        quality: pd.DataFrame,
        completeness: pd.DataFrame,
        ledger: pd.DataFrame,
        candidates: Sequence[Mapping[str, Any]],
        known: KnownRows,
        delay_s: float,
    ) -> None:
        """Replace the results of a sequence by new ones, in one transaction, and call it done."""
        night = self.rows("SELECT night FROM sequences WHERE id = ?", [number])[0]["night"]
        with self.db.atomic():
            self._clear_results(number)
            self.db.table("sequences").update(
                number,
                {**columns, "state": "done", "fingerprint": fingerprint, **error_columns(None)},
            )
            self.db.conn.executemany(
                "UPDATE sequence_exposures SET catalog_number = ?, dropped_because = ?"
                " WHERE sequence = ? AND exposure = ?",
                [(catalog_numbers.get(d), dropped.get(d), number, d) for d in {**catalog_numbers, **dropped}],
            )
            self.db.table("exposure_quality").insert_all(_quality_rows(number, quality))
            self.db.table("completeness").insert_all(
                {"sequence": number} | {str(name): value for name, value in row.items()}
                for row in completeness.to_dict("records")
            )
            self.db.conn.executemany(
                "INSERT INTO rejections (sequence, source_number, filter, reason, measured, limit_value,"
                " n_detections) VALUES (?, ?, ?, ?, ?, ?, ?)",
                _ledger_rows(number, ledger),
            )
            self.db.table("candidates").insert_all({**row, "sequence": number} for row in candidates)
            self._find_judged_again(night)
            self._write_known(number, known, delay_s=delay_s)

    def park_sequence(
        self,
        number: int,
        error: SsosdError,
        *,
        patience: Patience | None = None,
        fingerprint: str | None = None,
        keeps: bool = False,
    ) -> None:
        """Record that a sequence cannot be linked, and why.

        Parameters
        ----------
        number : int
        error : SsosdError
        patience : Patience, optional
            How often it is tried again by itself, for what may succeed later.
        fingerprint : str, optional
            Of what was tried: with another one it is tried again.
        keeps : bool
            Whether results that it has stay until there are others; they are withdrawn otherwise.
        """
        withdrawn = (
            *("n_sources", "n_false_expected", "n_candidates", "funnel", "folder", "partial", "checked"),
            *("identified_with", "known_limit", "known_limit_by", "notes"),
        )
        with self.db.atomic():
            gone = () if keeps else (*withdrawn, "unchecked_because")
            if not keeps:
                self._clear_results(number)
            self.db.table("sequences").update(
                number,
                {
                    "state": "parked",
                    "fingerprint": fingerprint,
                    **dict.fromkeys(gone),
                    **error_columns(error),
                },
            )
            self._count_try("sequences", "id = ?", [number], error=error, patience=patience)

    def claim_sequence(self, number: int, *, because: str) -> None:
        """Record that a sequence is complete, why, and about to be linked: what it had is no longer valid."""
        with self.db.atomic():
            self.db.execute(
                "UPDATE sequences SET state = 'linking', fingerprint = NULL, complete_because = ?"
                " WHERE id = ?",
                [because, number],
            )

    def confirm_sequence(self, number: int) -> None:
        """Record that the results which a sequence has are those of its exposures after all."""
        with self.db.atomic():
            self.db.execute("UPDATE sequences SET state = 'done' WHERE id = ?", [number])

    def reopen_sequence(self, number: int) -> None:
        """Record that a sequence is to be linked (again)."""
        with self.db.atomic():
            self.db.execute("UPDATE sequences SET state = 'open', fingerprint = NULL WHERE id = ?", [number])

    def release_claims(
        self, *, extracting: Iterable[str] = (), linking: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Give back what a process that is no more had begun: it is taken up again.

        Parameters
        ----------
        extracting : iterable of str
            Exposures that are being worked on at this moment.
        linking : iterable of (str, str)
            Night and field of the sequences that are.
        """
        with self.db.atomic():
            self.db.execute(
                "UPDATE exposures SET state = 'read' WHERE state = 'extracting'"
                " AND digest NOT IN (SELECT value FROM json_each(?))",
                [json.dumps(list(extracting))],
            )
            self.db.execute(
                "UPDATE sequences SET state = 'open' WHERE state = 'linking'"
                " AND night || '/' || field NOT IN (SELECT value FROM json_each(?))",
                [json.dumps(["/".join(name) for name in linking])],
            )

    def _clear_results(self, number: int) -> None:
        for table in _RESULTS:
            self.db.execute(f"DELETE FROM {table} WHERE sequence = ?", [number])  # noqa: S608
        self.db.execute(
            "UPDATE sequence_exposures SET catalog_number = NULL, dropped_because = NULL WHERE sequence = ?",
            [number],
        )

    def record_draft(self, *, night: str, kind: str, path: Path, n_observations: int, digest: str) -> bool:
        """Record a draft that has been written; returns whether it is another one than before."""
        with self.db.atomic():
            former = self.rows("SELECT digest FROM drafts WHERE night = ? AND kind = ?", [night, kind])
            self.db.table("drafts").upsert(
                {
                    "night": night,
                    "kind": kind,
                    "path": str(path),
                    "n_observations": n_observations,
                    "digest": digest,
                },
                pk=("night", "kind"),
            )
            return not former or former[0]["digest"] != digest


def _ledger_rows(number: int, ledger: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    columns = ("SOURCE_NUMBER", "FILTER", "REASON", "MEASURED", "LIMIT", "N_DETECTIONS")
    for source, name, reason, measured, limit, n in zip(*(ledger[c].tolist() for c in columns), strict=True):
        yield number, source, name, reason, finite(measured), finite(limit), n


def _quality_rows(number: int, quality: pd.DataFrame) -> Iterable[dict[str, Any]]:
    """Rows of exposure_quality: what is not known is NULL, be it NaN or a blank."""
    for row in quality.to_dict("records"):
        yield {"sequence": number} | {str(name): _known_or_null(value) for name, value in row.items()}


def _known_or_null(value: Any) -> Any:
    return finite(value) if isinstance(value, float) else value if value != "" else None
