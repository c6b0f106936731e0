"""Nights in the store: which have work to do, whose files are to be written, all that a summary needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ssosd.plumbing.text import counted
from ssosd.store.base import Base

_WRITING = 2  # of `nights.written`, until it is 1; every change of what the files are made of makes it 0
_UNFINISHED = """
    SELECT night FROM exposures WHERE state IN ('read', 'extracting')
    UNION SELECT night FROM exposures WHERE next_try_s IS NOT NULL
    UNION SELECT night FROM sequences WHERE state IN ('open', 'linking') OR next_try_s IS NOT NULL
    UNION SELECT night FROM nights WHERE written <> 1
"""
_STRAYS = """
    UNION SELECT night FROM exposures WHERE NOT EXISTS (SELECT 1 FROM sequence_exposures m
                                                        WHERE m.exposure = exposures.digest)
"""
_NEXT_TRY = """
    SELECT min(next_try_s) AS at FROM (
      SELECT next_try_s FROM exposures WHERE night = :night AND state = 'parked'
      UNION ALL SELECT next_try_s FROM sequences WHERE night = :night AND state = 'parked')
"""
_SUMMARY = {
    "exposures": """
        SELECT e.*, c.n_detections, c.fwhm_px FROM exposures e LEFT JOIN catalogues c ON c.key = e.catalogue
        WHERE e.night = ?""",
    "sequences": "SELECT * FROM sequences WHERE night = ?",
    "members": """
        SELECT m.* FROM sequences s JOIN sequence_exposures m ON m.sequence = s.id WHERE s.night = ?""",
    "candidates": "SELECT * FROM candidates WHERE night = ?",
    "rejections": """
        SELECT r.sequence, r.reason, count(*) AS n FROM sequences s JOIN rejections r ON r.sequence = s.id
        WHERE s.night = ? GROUP BY r.sequence, r.reason""",
    "known": """
        SELECT x.sequence, x.outcome, count(*) AS n FROM sequences s JOIN expected x ON x.sequence = s.id
        WHERE s.night = ? GROUP BY x.sequence, x.outcome ORDER BY x.sequence, n DESC, x.outcome""",
    "drafts": "SELECT * FROM drafts WHERE night = ?",
    "completeness": """
        SELECT c.*, coalesce((SELECT min(band) FROM exposure_quality q WHERE q.sequence = s.id), '') AS band
        FROM sequences s JOIN completeness c ON c.sequence = s.id WHERE s.night = ?""",
}
_REPORT = {
    "quality": """
        SELECT q.*, s.field, e.path, e.mjd_mid, e.filter FROM sequences s
        JOIN exposure_quality q ON q.sequence = s.id JOIN exposures e ON e.digest = q.exposure
        WHERE s.night = ? ORDER BY e.mjd_mid, e.digest""",
    "expected": """
        SELECT x.*, s.field FROM sequences s JOIN expected x ON x.sequence = s.id
        WHERE s.night = ? ORDER BY s.field, x.number, x.name""",
    "sequences": """
        SELECT field, n_false_expected, known_limit FROM sequences WHERE night = ? ORDER BY field""",
}


class Nights(Base):
    """What is to be done for which night, and what became of it."""

    def unfinished_nights(self, *, strays: bool = False) -> list[str]:
        """Nights with something to extract, link, try again or write.

        Parameters
        ----------
        strays : bool
            Also nights with exposures that are in no sequence, as a process leaves them that was killed
            before it grouped them; walks through all exposures.
        """
        sql = _UNFINISHED + (_STRAYS if strays else "")
        return sorted(row["night"] for row in self.rows(sql))

    def next_try_s(self, night: str) -> float | None:
        """When something of a night is tried again by itself, Unix time."""
        at: float | None = next(iter(self.db.query(_NEXT_TRY, {"night": night})))["at"]
        return at

    def unwritten_nights(self) -> list[str]:
        """Nights whose files do not follow from the store as it is now."""
        return [
            row["night"] for row in self.rows("SELECT night FROM nights WHERE written <> 1 ORDER BY night")
        ]

    def is_written(self, night: str) -> bool:
        """Whether a night's files follow from the store as it is now; True for a night without any rows."""
        return not self.rows("SELECT 1 FROM nights WHERE night = ? AND written <> 1", [night])

    def is_reported(self, night: str) -> bool:
        """Whether a night's summary is due."""
        return bool(self.rows("SELECT 1 FROM nights WHERE night = ? AND reported = 1", [night]))

    def spoil_night(self, night: str) -> None:
        """Record that a night's files are to be written again, because of something that has no row in it."""
        self._set_night(night, written=0)

    def nights_without_summary(self) -> list[str]:
        """Nights whose summary has not become due yet."""
        return [
            row["night"] for row in self.rows("SELECT night FROM nights WHERE reported = 0 ORDER BY night")
        ]

    def report_night(self, night: str) -> None:
        """Record that a night's summary is due, from now on."""
        self._set_night(night, written=0, reported=1)

    def begin_writing(self, night: str) -> None:
        """Record that a night's files are about to be written from the store as it is now."""
        self._set_night(night, written=_WRITING)

    def record_written(self, night: str, *, summary: bool) -> None:
        """Record that a night's files follow from the store as it was at `begin_writing`, its summary too.

        What has changed meanwhile, as a verdict of another process, leaves them to be written again.
        """
        with self.db.atomic():
            if summary:
                self.db.execute("UPDATE nights SET reported = 1 WHERE night = ?", [night])
            self.db.execute(
                "UPDATE nights SET written = 1 WHERE night = ? AND written = ?", [night, _WRITING]
            )

    def is_mailed(self, night: str) -> bool:
        """Whether people were told of a night."""
        return bool(self.rows("SELECT 1 FROM nights WHERE night = ? AND mailed = 1", [night]))

    def record_mailed(self, night: str) -> None:
        """Record that people were told of a night."""
        with self.db.atomic():
            self.db.table("nights").update(night, {"mailed": 1})

    def told_by(self, night: str) -> set[str]:
        """The ways by which people were told of a night, also while others are still tried."""
        found = self.rows("SELECT told FROM nights WHERE night = ?", [night])
        return set(json.loads(found[0]["told"])) if found else set()

    def record_told(self, night: str, way: str) -> None:
        """Record that people were told of a night by this way."""
        with self.db.atomic():
            self.db.table("nights").update(night, {"told": json.dumps(sorted({*self.told_by(night), way}))})

    def _spoil(self, night: str) -> None:
        self.db.execute("UPDATE nights SET written = 0 WHERE night = ?", [night])

    def _set_night(self, night: str, **columns: int) -> None:
        with self.db.atomic():
            self.db.table("nights").upsert({"night": night, "written": 0, **columns}, pk="night")

    def night_rows(self, night: str) -> dict[str, list[dict[str, Any]]]:
        """All rows of a night that its summary is made of, by table."""
        return {name: self.rows(sql, [night]) for name, sql in _SUMMARY.items()}

    def report_rows(self, night: str) -> dict[str, list[dict[str, Any]]]:
        """What its report shows of a night beyond its summary, by table."""
        return {name: self.rows(sql, [night]) for name, sql in _REPORT.items()}

    def file_rows(self, night: str) -> list[dict[str, Any]]:
        """Files of a night's exposures, and those without an exposure that it accounts for."""
        return self.rows(
            "SELECT f.* FROM exposures e JOIN files f ON f.exposure = e.digest WHERE e.night = ?"
            " UNION ALL SELECT * FROM files WHERE exposure IS NULL AND night = ?",
            [night, night],
        )

    def keep_drafts(self, night: str, kinds: Iterable[str]) -> None:
        """Forget the drafts of other kinds: there is nothing to send of them."""
        with self.db.atomic():
            self.db.execute(
                "DELETE FROM drafts WHERE night = ? AND kind NOT IN (SELECT value FROM json_each(?))",
                [night, json.dumps(sorted(kinds))],
            )

    def record_sent(self, night: str, draft: str, positions: Iterable[Mapping[str, Any]]) -> int:
        """Record the positions of a draft as sent; returns how many were not recorded before.

        The night's files are to be written again: its drafts leave out what was sent.

        Parameters
        ----------
        night, draft : str
        positions : iterable of mapping
            key, stn, mjd (UTC), ra_deg, dec_deg (ICRS).
        """
        common = {"night": night, "draft": draft, "at": self._now()}  # taken back together
        with self.db.atomic():
            (before,) = self.db.execute("SELECT count(*) FROM sent_positions").fetchone()
            self.db.table("sent_positions").insert_all(({**common, **row} for row in positions), ignore=True)
            (after,) = self.db.execute("SELECT count(*) FROM sent_positions").fetchone()
            self._spoil(night)
        return int(after - before)

    def take_back_sent(self, night: str, draft: str) -> tuple[int, str]:
        """Forget what was recorded last as sent of a draft; an event keeps that it was.

        Returns
        -------
        count : int
            Positions; 0 where none is recorded.
        at : str
            When they were recorded, UTC.
        """
        with self.db.atomic():
            (at,) = self.db.execute(
                "SELECT max(at) FROM sent_positions WHERE night = ? AND draft = ?", [night, draft]
            ).fetchone()
            given = [night, draft, at]
            count = self.db.execute(
                "DELETE FROM sent_positions WHERE night = ? AND draft = ? AND at = ?", given
            ).rowcount
            self._spoil(night)
        if count:
            self.event(
                "info",
                f"{night} {draft}",
                f"{counted(count, 'position')}, recorded as sent at {at}, taken back",
            )
        return count, at or ""

    def forget_drafts(self, night: str) -> None:
        """Record that a night has no drafts any more."""
        with self.db.atomic():
            self.db.execute("DELETE FROM drafts WHERE night = ?", [night])
