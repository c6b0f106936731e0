"""What people say of candidates: every verdict ever given, and which counts now.

Verdicts are the one thing that a process may write without holding the target: each is one short transaction
that names the version it was given on, so that two people never overwrite each other unseen, and the place of
what was seen, since a name may mean another object once its field is linked again. The trigger of
the `judgements` table marks the night's files as old in the same transaction; whoever holds the target (the
daemon, a replay, else the inspector for a moment) writes them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssosd.sphere import offsets_arcsec
from ssosd.store.base import Base

ASTEROID, ARTIFACT, UNKNOWN = VERDICTS = ("asteroid", "artifact", "unknown")
#: A candidate that is linked anew is the one that was judged when it passes this near, arcsec.
SAME_WITHIN_ARCSEC = 5.0

_LATEST = """
    SELECT d.candidate, j.verdict, j.person, j.at, j.id AS version
    FROM judged d JOIN judgements j ON j.id = (SELECT max(id) FROM judgements WHERE judged = d.id)
    WHERE d.night = ? AND d.candidate IS NOT NULL
"""
_HISTORY = """
    SELECT d.candidate, j.verdict, j.person, j.at, j.id AS version, j.undoes
    FROM judged d JOIN judgements j ON j.judged = d.id
    WHERE d.night = ? AND d.candidate IS NOT NULL AND j.id > ? ORDER BY j.id
"""
_PLACES = """
    SELECT candidate, mjd_first, ra_deg, dec_deg, pm_ra, pm_dec FROM candidates
    WHERE night = ? ORDER BY candidate
"""
_STANDING = "{0}.undoes IS NULL AND NOT EXISTS (SELECT 1 FROM judgements u WHERE u.undoes = {0}.id)"
_LAST_DEED = f"""
    SELECT d.id AS judged, d.candidate, j.id,
           (SELECT verdict FROM judgements b WHERE b.judged = d.id AND b.id < j.id
              ORDER BY b.id DESC LIMIT 1) AS before,
           EXISTS (SELECT 1 FROM judgements o WHERE o.judged = d.id AND o.id > j.id
                     AND o.person <> j.person AND {_STANDING.format("o")}) AS overruled
    FROM judgements j JOIN judged d ON d.id = j.judged
    WHERE d.night = ? AND d.candidate IS NOT NULL AND j.person = ? AND {_STANDING.format("j")}
    ORDER BY j.id DESC LIMIT 1
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What counts of a candidate now."""

    candidate: str
    verdict: str | None  # one of `VERDICTS`; None: taken back, or never given
    person: str
    at: str  # UTC, ISO 8601
    version: int  # number of the judgement; 0: never judged


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """Where a candidate was as it was shown to a person: its first detection."""

    mjd: float  # UTC
    ra_deg: float
    dec_deg: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The answer to a person who gave a verdict or took one back."""

    taken: bool  # False: somebody else was first, or what was seen is gone; nothing was changed
    now: Verdict | None  # what counts now; None when there was nothing to take back, or what was seen is gone


class Verdicts(Base):
    """Verdicts, their history and their way to candidates that are linked anew."""

    def verdicts(self, night: str) -> dict[str, Verdict]:
        """What counts now, by candidate; candidates whose verdict was taken back are there with None."""
        return {row["candidate"]: Verdict(**row) for row in self.rows(_LATEST, [night])}

    def verdict_history(self, night: str, *, after: int = 0) -> list[dict[str, Any]]:
        """All judgements of a night behind a version, in order; `undoes` is the one taken back."""
        return self.rows(_HISTORY, [night, after])

    def give_verdict(
        self, night: str, candidate: str, verdict: str | None, *, person: str, version: int, seen: Seen
    ) -> Judged:
        """Give a verdict on what one has seen; refused when another was given since, or when it is gone.

        Parameters
        ----------
        night : str
        candidate : str
            Its name as the person saw it: the verdict goes to what is there now, whatever its name.
        verdict : str or None
            One of `VERDICTS`; None takes back what there is.
        person : str
            Who gives it.
        version : int
            `Verdict.version` that the person saw, 0 for none.
        seen : Seen
        """
        with self.db.atomic():
            name = self.name_now(night, candidate, seen)
            if name is None:
                return Judged(taken=False, now=None)
            now = self.verdicts(night).get(name)
            if (now.version if now else 0) != version:
                return Judged(taken=False, now=now)
            self.db.execute(
                "INSERT OR IGNORE INTO judged (night, candidate, mjd, ra_deg, dec_deg)"
                " SELECT night, candidate, mjd_first, ra_deg, dec_deg FROM candidates"
                " WHERE night = ? AND candidate = ?",
                [night, name],
            )
            judged = self.rows("SELECT id FROM judged WHERE night = ? AND candidate = ?", [night, name])
            return Judged(taken=True, now=self._judge(judged[0]["id"], name, verdict, person))

    def name_now(self, night: str, candidate: str, seen: Seen) -> str | None:
        """Name of the candidate that is now where one of this name was seen; None when none is."""
        candidates = self.rows(_PLACES, [night])
        candidates.sort(key=lambda row: row["candidate"] != candidate)  # two in one place: what it was called
        place = {"id": 0, "mjd": seen.mjd, "ra_deg": seen.ra_deg, "dec_deg": seen.dec_deg}
        return next((str(candidates[k]["candidate"]) for _, k in _pairs([place], candidates)), None)

    def undo_verdict(self, night: str, *, person: str) -> Judged:
        """Take back a person's last verdict of a night that still stands: what was before counts again.

        Refused when somebody else has judged that candidate since.
        """
        with self.db.atomic():
            for row in self.rows(_LAST_DEED, [night, person]):
                if row["overruled"]:
                    return Judged(taken=False, now=self.verdicts(night)[row["candidate"]])
                before = self._judge(row["judged"], row["candidate"], row["before"], person, undoes=row["id"])
                return Judged(taken=True, now=before)
            return Judged(taken=True, now=None)

    def _judge(
        self, judged: int, candidate: str, verdict: str | None, person: str, *, undoes: int | None = None
    ) -> Verdict:
        at = self._now()
        inserted = self.db.table("judgements").insert(
            {"judged": judged, "verdict": verdict, "person": person, "at": at, "undoes": undoes}, pk="id"
        )
        return Verdict(
            candidate=candidate, verdict=verdict, person=person, at=at, version=int(str(inserted.last_pk))
        )

    def _find_judged_again(self, night: str) -> None:
        """Give verdicts to the candidates that are where the judged ones were, whatever their names."""
        judged = self.rows("SELECT id, mjd, ra_deg, dec_deg FROM judged WHERE night = ? ORDER BY id", [night])
        if not judged:
            return
        candidates = self.rows(_PLACES, [night])
        names = {number: candidates[place]["candidate"] for number, place in _pairs(judged, candidates)}
        self.db.execute("UPDATE judged SET candidate = NULL WHERE night = ?", [night])
        self.db.conn.executemany(
            "UPDATE judged SET candidate = ? WHERE id = ?", [(name, number) for number, name in names.items()]
        )


def _pairs(judged: Sequence[dict[str, Any]], candidates: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """Judged row's number and place of its candidate, the nearest pairs first, each at most once."""
    if not candidates:
        return []
    table = {
        name: np.array([row[name] or 0.0 for row in candidates], dtype=np.float64)
        for name in ("mjd_first", "ra_deg", "dec_deg", "pm_ra", "pm_dec")
    }
    near: list[tuple[float, int, int]] = []
    for row in judged:
        hours = 24.0 * (row["mjd"] - table["mjd_first"])
        xi, eta = offsets_arcsec(row["ra_deg"], row["dec_deg"], table["ra_deg"], table["dec_deg"])
        away = np.hypot(xi - table["pm_ra"] * hours, eta - table["pm_dec"] * hours)
        near += [(float(away[k]), row["id"], int(k)) for k in np.flatnonzero(away <= SAME_WITHIN_ARCSEC)]
    pairs: dict[int, int] = {}
    for _, number, place in sorted(near):
        if number not in pairs and place not in pairs.values():
            pairs[number] = place
    return list(pairs.items())
