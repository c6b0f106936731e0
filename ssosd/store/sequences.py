"""Sequences, their ledger and candidates, and drafts in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssosd.errors import SsosdError
from ssosd.store.base import Base, Patience, error_columns, finite

if TYPE_CHECKING:
    import pandas as pd


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
    exposures: tuple[str, ...]  # digests, sorted


class Sequences(Base):
    """What exposures were put together, and what came of it."""

    def sequences(self, *, night: str | None = None) -> list[SequenceRow]:
        """All sequences (of a night), by night and field."""
        where, arguments = ("WHERE night = ?", [night]) if night is not None else ("", [])
        found = self.rows(
            "SELECT id, night, field, state, fingerprint, folder, n_candidates"  # noqa: S608
            f" FROM sequences {where} ORDER BY night, field",
            arguments,
        )
        members: dict[int, list[str]] = {}
        for row in self.rows("SELECT sequence, exposure FROM sequence_exposures ORDER BY exposure"):
            members.setdefault(row["sequence"], []).append(row["exposure"])
        return [SequenceRow(**row, exposures=tuple(members.get(row["id"], ()))) for row in found]

    def sequence(self, night: str, field: str) -> SequenceRow:
        """One sequence; KeyError when there is none."""
        for row in self.sequences(night=night):
            if row.field == field:
                return row
        raise KeyError((night, field))

    def regroup(
        self, night: str, groups: Mapping[str, tuple[float, float, Sequence[str]]]
    ) -> list[SequenceRow]:
        """Make the night's sequences those of `groups`; return the rows of sequences that are no more.

        Idempotent. A sequence whose exposures are the same keeps its row and results; one that gained or
        lost exposures is `open` again; its results stay until the new ones replace them.

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
                place = {"ra_deg": ra, "dec_deg": dec, "state": "open", "n_exposures": len(digests)}
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
        ledger: pd.DataFrame,
        candidates: Sequence[Mapping[str, Any]],
        known: pd.DataFrame,
    ) -> None:
        """Replace the results of a sequence by new ones, in one transaction, and call it done."""
        with self.db.atomic():
            self._clear_results(number)
            self.db.table("sequences").update(
                number,
                {**columns, "state": "done", "fingerprint": fingerprint, **error_columns(None), "tries": 0},
            )
            self.db.conn.executemany(
                "UPDATE sequence_exposures SET catalog_number = ?, dropped_because = ?"
                " WHERE sequence = ? AND exposure = ?",
                [(catalog_numbers.get(d), dropped.get(d), number, d) for d in {**catalog_numbers, **dropped}],
            )
            self.db.conn.executemany(
                "INSERT INTO rejections (sequence, source_number, filter, reason, measured, limit_value,"
                " n_detections) VALUES (?, ?, ?, ?, ?, ?, ?)",
                _ledger_rows(number, ledger),
            )
            self.db.table("candidates").insert_all({**row, "sequence": number} for row in candidates)
            self.db.conn.executemany(
                "INSERT OR IGNORE INTO known_objects (sequence, catalog_number, number, name, class, mag,"
                " ra_deg, dec_deg, pm_ra, pm_dec, error_arcsec, known_by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                _known_rows(number, known),
            )

    def park_sequence(self, number: int, error: SsosdError, *, patience: Patience | None = None) -> None:
        """Record that a sequence cannot be linked, and why; results it had are withdrawn."""
        with self.db.atomic():
            self._clear_results(number)
            self.db.table("sequences").update(
                number,
                {
                    "state": "parked",
                    "fingerprint": None,
                    "n_sources": None,
                    "n_candidates": None,
                    "funnel": None,
                    "folder": None,
                    **error_columns(error),
                },
            )
            self._count_try("sequences", "id = ?", [number], error=error, patience=patience)

    def claim_sequence(self, number: int, *, because: str) -> None:
        """Record that a sequence is complete, why, and about to be linked."""
        with self.db.atomic():
            self.db.execute(
                "UPDATE sequences SET state = 'linking', complete_because = ? WHERE id = ?",
                [because, number],
            )

    def release_claims(self) -> None:
        """Give back what a process that is no more had begun: it is taken up again."""
        with self.db.atomic():
            self.db.execute("UPDATE exposures SET state = 'read' WHERE state = 'extracting'")
            self.db.execute("UPDATE sequences SET state = 'open' WHERE state = 'linking'")

    def unfinished_nights(self) -> list[str]:
        """Nights with an exposure that has no catalogue yet, or a sequence that is not done or parked."""
        found = self.rows(
            "SELECT night FROM exposures WHERE state IN ('read', 'extracting') OR next_try_s IS NOT NULL"
            " UNION SELECT night FROM sequences WHERE state IN ('open', 'linking') OR next_try_s IS NOT NULL"
        )
        return sorted(row["night"] for row in found)

    def may_try(self, number: int, *, now_s: float) -> bool:
        """Whether a sequence may be worked on: not parked, or parked and due for another try."""
        found = self.rows(
            "SELECT 1 FROM sequences WHERE id = ? AND (state <> 'parked' OR next_try_s <= ?)", [number, now_s]
        )
        return bool(found)

    def _clear_results(self, number: int) -> None:
        for table in ("rejections", "candidates", "known_objects"):
            self.db.execute(f"DELETE FROM {table} WHERE sequence = ?", [number])  # noqa: S608
        self.db.execute(
            "UPDATE sequence_exposures SET catalog_number = NULL, dropped_because = NULL WHERE sequence = ?",
            [number],
        )

    def record_draft(self, *, night: str, kind: str, path: Path, n_observations: int, digest: str) -> None:
        """Record a draft that has been written."""
        with self.db.atomic():
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


def _ledger_rows(number: int, ledger: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    columns = ("SOURCE_NUMBER", "FILTER", "REASON", "MEASURED", "LIMIT", "N_DETECTIONS")
    for source, name, reason, measured, limit, n in zip(*(ledger[c].tolist() for c in columns), strict=True):
        yield number, source, name, reason, finite(measured), finite(limit), n


def _known_rows(number: int, known: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    columns = (
        "CATALOG_NUMBER",
        "NUMBER",
        "NAME",
        "CLASS",
        "MAG",
        "RA",
        "DEC",
        "PMRA",
        "PMDEC",
        "ERR",
        "SOURCE",
    )
    for exposure, *texts, mag, ra, dec, pm_ra, pm_dec, err, by in zip(
        *(known[c].tolist() for c in columns), strict=True
    ):
        named = [text if isinstance(text, str) else "" for text in texts]
        yield number, exposure, *named, finite(mag), ra, dec, finite(pm_ra), finite(pm_dec), finite(err), by
