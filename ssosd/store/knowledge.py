"""Known objects in the store: what was predicted and expected, who is to be asked again, who answers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssosd.store.base import Base, finite

if TYPE_CHECKING:
    import pandas as pd

_KNOWN = ("CATALOG_NUMBER", "NUMBER", "NAME", "CLASS", "MAG", "RA", "DEC", "PMRA", "PMDEC", "ERR", "SOURCE")
_EXPECTED = (
    *("NUMBER", "NAME", "CLASS", "MAG", "RATE", "ERR", "KNOWN_BY", "N_PREDICTED", "N_DETECTED", "OUTCOME"),
    *("CANDIDATE", "SOURCE_NUMBER", "FILTER", "REASON", "MEASURED", "LIMIT"),
)
_LONGEST_DELAY_S = 6 * 3600.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KnownRows:
    """What a sequence's comparison with the known objects gave, as rows for the store."""

    identified_with: str  # digest of what it depends on beside the sequence
    unchecked_because: str  # "" when every exposure was compared
    wants: str  # why somebody is to be asked again, "" when nobody is
    known: pd.DataFrame  # predictions, one row per object and exposure
    expected: pd.DataFrame  # one row per object
    limit: tuple[float, str]  # V, and what it rests on
    agreement: Mapping[int, Mapping[str, float]] = field(default_factory=dict)  # by CATALOG_NUMBER: columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """A sequence for which a source of knowledge has yet to answer."""

    sequence: int
    night: str
    field: str
    tries: int
    next_try_s: float


class Knowledge(Base):
    """What is known of the known objects, and who has yet to be asked."""

    def record_identified(
        self, number: int, rows: KnownRows, *, candidates: Sequence[Mapping[str, Any]], delay_s: float
    ) -> None:
        """Record a linked sequence's comparison with the known objects anew, in one transaction.

        Parameters
        ----------
        number : int
            Of the sequence.
        rows : KnownRows
        candidates : sequence of mapping
            Its candidates' rows, of which only what they are known as is taken.
        delay_s : float
            Before somebody is asked again for the first time; doubled with each try.
        """
        with self.db.atomic():
            self.db.conn.executemany(
                "UPDATE candidates SET match_state = :match_state, known_number = :known_number,"
                " known_name = :known_name, known_nearby = :known_nearby"
                " WHERE night = :night AND candidate = :candidate",
                candidates,
            )
            self._write_known(number, rows, delay_s=delay_s)

    def _write_known(self, number: int, rows: KnownRows, *, delay_s: float) -> None:
        for table in ("known_objects", "expected"):
            self.db.execute(f"DELETE FROM {table} WHERE sequence = ?", [number])  # noqa: S608
        limit, limit_by = rows.limit
        self.db.table("sequences").update(
            number,
            {
                "identified_with": rows.identified_with,
                "checked": 0 if rows.unchecked_because else 1,
                "unchecked_because": rows.unchecked_because or None,
                "known_limit": finite(limit),
                "known_limit_by": limit_by or None,
            },
        )
        self.db.conn.executemany(
            f"INSERT OR IGNORE INTO known_objects VALUES ({_marks(len(_KNOWN) + 1)})",  # noqa: S608
            _rows(number, rows.known, _KNOWN, texts=("NUMBER", "NAME", "CLASS")),
        )
        self.db.conn.executemany(
            f"INSERT OR IGNORE INTO expected VALUES ({_marks(len(_EXPECTED) + 1)})",  # noqa: S608
            _rows(number, rows.expected, _EXPECTED, texts=("NUMBER", "NAME", "CLASS", "REASON")),
        )
        self.db.execute(
            "UPDATE sequence_exposures SET n_known = NULL, known_offset_ra = NULL, known_offset_dec = NULL,"
            " known_rms_ra = NULL, known_rms_dec = NULL WHERE sequence = ?",
            [number],
        )
        self.db.conn.executemany(
            "UPDATE sequence_exposures SET n_known = :N, known_offset_ra = :MEAN_RA,"
            " known_offset_dec = :MEAN_DEC, known_rms_ra = :RMS_RA, known_rms_dec = :RMS_DEC"
            " WHERE sequence = :sequence AND catalog_number = :exposure",
            [{**row, "sequence": number, "exposure": k} for k, row in rows.agreement.items()],
        )
        self._ask_again(number, rows.wants, delay_s=delay_s)

    def ask_again(self, number: int, reason: str, *, delay_s: float) -> None:
        """Record why a source has no answer for a sequence yet; "" when nobody is to be asked again."""
        with self.db.atomic():
            self._ask_again(number, reason, delay_s=delay_s)

    def _ask_again(self, number: int, reason: str, *, delay_s: float) -> None:
        if not reason:
            self.db.execute("DELETE FROM asking WHERE sequence = ?", [number])
            return
        former = self.rows("SELECT tries FROM asking WHERE sequence = ?", [number])
        tries = former[0]["tries"] if former else 0
        wait_s = min(max(delay_s, 1.0) * 2.0 ** min(tries, 30), _LONGEST_DELAY_S)
        self.db.table("asking").upsert(
            {"sequence": number, "reason": reason, "tries": tries + 1, "next_try_s": self.now_s + wait_s},
            pk="sequence",
        )

    def asking(self, *, night: str | None = None) -> list[Asking]:
        """Sequences (of a night) for which somebody is to be asked again, the latest night first."""
        where, arguments = (" WHERE s.night = ?", [night]) if night is not None else ("", [])
        found = self.rows(
            "SELECT a.sequence, s.night, s.field, a.tries, a.next_try_s FROM asking a"  # noqa: S608
            f" JOIN sequences s ON s.id = a.sequence{where} ORDER BY s.night DESC, s.field",
            arguments,
        )
        return [Asking(**row) for row in found]

    def ask_all_again(self) -> None:
        """Record that a source answers again: nobody waits any longer for it."""
        with self.db.atomic():
            self.db.execute("UPDATE asking SET next_try_s = ? WHERE next_try_s > ?", [self.now_s, self.now_s])

    # ---- answers and services ------------------------------------------------------------------------

    def answers(self, exposures: Iterable[str]) -> dict[str, bytes]:
        """What SkyBoT said about some exposures (digests), by question."""
        found = self.rows(
            "SELECT question, reply FROM skybot_answers"
            " WHERE exposure IN (SELECT value FROM json_each(?)) ORDER BY question",
            [json.dumps(list(exposures))],
        )
        return {row["question"]: zlib.decompress(row["reply"]) for row in found}

    def keep_answers(self, answers: Mapping[str, tuple[str, bytes]]) -> None:
        """Keep what SkyBoT said: question to digest of the exposure and reply."""
        if not answers:
            return
        with self.db.atomic():
            self.db.table("skybot_answers").upsert_all(
                (
                    {"question": q, "exposure": e, "asked_s": self.now_s, "reply": zlib.compress(reply)}
                    for q, (e, reply) in sorted(answers.items())
                ),
                pk="question",
            )

    def forget_answers(self, *, before_s: float) -> int:
        """Remove answers older than a time (Unix seconds); returns how many."""
        with self.db.atomic():
            return self.db.execute("DELETE FROM skybot_answers WHERE asked_s < ?", [before_s]).rowcount

    def record_service(self, name: str, **columns: Any) -> None:
        """Record how a source of knowledge is; columns that are not given stay."""
        with self.db.atomic():
            former = self.rows("SELECT * FROM services WHERE name = ?", [name])
            fresh = {"state": "answering", "detail": "", "failures": 0}
            self.db.table("services").upsert(
                {"name": name, **(former[0] if former else fresh), **columns}, pk="name"
            )

    def services(self) -> dict[str, dict[str, Any]]:
        """How each source of knowledge is, by name."""
        return {row["name"]: row for row in self.rows("SELECT * FROM services ORDER BY name")}


def _marks(n: int) -> str:
    return ", ".join("?" * n)


def _rows(
    number: int, table: pd.DataFrame, columns: Sequence[str], *, texts: Sequence[str]
) -> Iterable[tuple[Any, ...]]:
    """Rows as SQLite keeps them: "" for missing texts of some columns, NULL for what else is missing."""
    values = table.reindex(columns=list(columns)).astype(object)
    values = values.where(values.notna(), None)
    for name in texts:
        values[name] = [value if isinstance(value, str) else "" for value in values[name]]
    for row in values.itertuples(index=False, name=None):
        yield (number, *(finite(value) if isinstance(value, float) else value for value in row))
