"""Taking parked things up again, as a person asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ssosd.store.base import Base
from ssosd.store.sequences import BLIND


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedRow:
    """Something that is parked."""

    kind: str  # file, exposure or sequence
    key: str  # path of a file, digest of an exposure, number of a sequence
    subject: str  # path, or night/field
    reason: str

    def is_called(self, subject: str) -> bool:
        """Whether a person may call it this: by its path, a file's name, night/field or the field alone."""
        return subject == self.subject or self.subject.endswith(f"/{subject.rstrip('/')}")


_PARKED = """
    SELECT 'file' AS kind, path AS key, path AS subject, reason FROM files WHERE outcome = 'parked'
    UNION ALL SELECT 'exposure', digest, path, reason FROM exposures WHERE state = 'parked'
    UNION ALL SELECT 'sequence', CAST(id AS TEXT), night || '/' || field, reason
      FROM sequences WHERE state = 'parked'
    ORDER BY 1, 3
"""
_REFUSED = """
    SELECT 'file' AS kind, path AS key, path AS subject, reason FROM files
      WHERE outcome = 'parked' AND error_class = 'Unreadable'
"""
_RETURNED = """
    WITH there AS (SELECT digest FROM exposures WHERE path IN (SELECT value FROM json_each(?)))
    SELECT 'exposure' AS kind, digest AS key, path AS subject, reason FROM exposures
      WHERE state = 'parked' AND error_class = 'Retriable' AND digest IN there
    UNION ALL SELECT 'sequence', CAST(id AS TEXT), night || '/' || field, reason FROM sequences
      WHERE state = 'parked' AND error_class = 'Retriable'
      AND id IN (SELECT sequence FROM sequence_exposures WHERE exposure IN there)
"""
_LINK_AGAIN = """
    UPDATE sequences SET state = 'open', fingerprint = NULL WHERE state = 'done'
      AND id IN (SELECT m.sequence FROM exposures e JOIN sequence_exposures m ON m.exposure = e.digest
                 WHERE e.path IN (SELECT value FROM json_each(?)))
      AND fingerprint LIKE ?
"""
_TAKE_UP = {
    "file": "UPDATE files SET tries = 0, next_try_s = 0 WHERE path = ? AND outcome = 'parked'",
    "exposure": "UPDATE exposures SET state = 'read', tries = 0, next_try_s = NULL, error_class = NULL,"
    " reason = NULL, next_step = NULL WHERE digest = ? AND state = 'parked'",
    "sequence": "UPDATE sequences SET state = 'open', fingerprint = NULL, tries = 0, next_try_s = NULL,"
    " error_class = NULL, reason = NULL, next_step = NULL WHERE id = ? AND state = 'parked'",
}


class Retry(Base):
    """Parked rows and their way back; safe to use while the daemon runs on the same store."""

    def parked(self) -> list[ParkedRow]:
        """Everything that is parked, those that are tried again by themselves too."""
        return self._parked_rows(_PARKED)

    def _parked_rows(self, sql: str, *values: Any) -> list[ParkedRow]:
        found: list[dict[str, Any]] = self.rows(sql, values)
        return [ParkedRow(**{**row, "reason": row["reason"] or ""}) for row in found]

    def refused_files(self) -> list[ParkedRow]:
        """Files that are parked because they could not be opened: nothing in the file tells when they can."""
        return self._parked_rows(_REFUSED)

    def clock_put_back(self, back_s: float) -> None:
        """The clock says so much less than it did: what is tried again waits no longer than it would have.

        Files that came at a time to come have come now, or SEQUENCE_TIMEOUT would count from then only.
        """
        now_s = self.now_s
        with self.db.atomic():
            self.db.execute("UPDATE files SET seen_at_s = ? WHERE seen_at_s > ?", [now_s, now_s])
            for table in ("files", "exposures", "sequences", "asking", "services"):
                self.db.execute(
                    f"UPDATE {table} SET next_try_s = next_try_s - ? WHERE next_try_s > ?",  # noqa: S608
                    [back_s, now_s],
                )

    def has_files_to_try(self) -> bool:
        """Whether the time of a parked file has come, as a person makes it come."""
        due = "SELECT 1 FROM files WHERE next_try_s <= ? AND outcome = 'parked' LIMIT 1"
        return bool(self.rows(due, [self.now_s]))

    def take_up_returned(self, paths: Iterable[str]) -> int:
        """Take up what failed, or was done without these files, which were away and are there again."""
        names = json.dumps(list(paths))
        returned = self._parked_rows(_RETURNED, names)
        with self.db.atomic():
            count = self.take_up_again(returned)
            return count + self.db.execute(_LINK_AGAIN, [names, f"%{BLIND}"]).rowcount

    def choose_parked(
        self, subjects: Sequence[str], *, reason: str | None = None, everything: bool = False
    ) -> tuple[list[ParkedRow], list[str]]:
        """Find parked rows, and those of the subjects that none is called.

        Parameters
        ----------
        subjects : sequence of str
            As `ParkedRow.is_called`.
        reason : str, optional
            All whose reason contains this text, whatever the case of its letters.
        everything : bool
            All that is parked.
        """
        parked = self.parked()
        chosen = [
            row
            for row in parked
            if everything
            or (reason and reason.casefold() in row.reason.casefold())
            or any(row.is_called(subject) for subject in subjects)
        ]
        return chosen, [s for s in subjects if not any(row.is_called(s) for row in parked)]

    def take_up_again(self, chosen: list[ParkedRow]) -> int:
        """Take parked rows up again, with all their tries, in one transaction; returns how many were parked.

        A file is read again, an exposure is extracted again, a sequence is linked again, by the daemon or by
        the next replay, whoever looks first.
        """
        count = 0
        with self.db.atomic():
            for row in chosen:
                count += self.db.execute(_TAKE_UP[row.kind], [row.key]).rowcount
        return count
