"""Files, exposures and catalogues in the store."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from ssosd.errors import SsosdError
from ssosd.model import Catalogue, Exposure
from ssosd.store.base import Base, Patience, error_columns, finite

_CATALOGUE = "key, path, n_detections, fwhm_px, background, log_tail"


class FileRow(NamedTuple):
    """What the store knows of one file."""

    path: str
    size_bytes: int
    mtime_ns: int
    outcome: str
    exposure: str | None
    read_with: str  # digest of the parameters its header was read with
    next_try_s: float | None  # when a parked file is tried again by itself, Unix time


@dataclass(frozen=True, kw_only=True, slots=True)
class ExposureState:
    """How far an exposure has come."""

    state: str  # read, extracting, extracted or parked
    catalogue: str | None  # key of its catalogue
    tried_with: str | None  # key of the catalogue that could not be made, when it is parked
    next_try_s: float | None  # when it is tried again by itself, Unix time

    def rests(self, key: str | None, *, now_s: float) -> bool:
        """Whether it is parked, nothing has changed since, and it is not yet due for another try."""
        due = self.next_try_s is not None and self.next_try_s <= now_s
        return self.state == "parked" and not due and self.tried_with == key


_FILE_COLUMNS = ", ".join(FileRow._fields)


class Exposures(Base):
    """What came in and what SExtractor made of it."""

    def files(self) -> dict[str, FileRow]:
        """Every file ever seen, by path."""
        return {row[0]: FileRow(*row) for row in self.db.execute(f"SELECT {_FILE_COLUMNS} FROM files")}  # noqa: S608

    def file(self, path: str) -> FileRow | None:
        """What is known of one file."""
        found = self.db.execute(f"SELECT {_FILE_COLUMNS} FROM files WHERE path = ?", [path]).fetchone()  # noqa: S608
        return FileRow(*found) if found else None

    def outcomes(self, paths: Iterable[str]) -> dict[str, str]:
        """What became of some files, by path."""
        found = self.rows(
            "SELECT path, outcome FROM files WHERE path IN (SELECT value FROM json_each(?))",
            [json.dumps(list(paths))],
        )
        return {row["path"]: row["outcome"] for row in found}

    def record_exposure(
        self, exposure: Exposure, *, size_bytes: int, mtime_ns: int, read_with: str, night: str
    ) -> None:
        """Record that a file holds this exposure.

        Idempotent: the same bytes under a second name (a copy, a link) become a `duplicate` of the one
        exposure, whose path is the first of its names in alphabetical order, whatever their order of
        arrival. A file whose bytes have changed leaves its former exposure, which is forgotten when no
        other file holds it.
        """
        with self.db.atomic():
            former = self._exposure_of(exposure.path)
            if not self.rows("SELECT 1 FROM exposures WHERE digest = ?", [exposure.digest]):
                self.db.table("exposures").insert(_exposure_row(exposure, night))
            self._write_file(
                exposure.path, size_bytes, mtime_ns, read_with, outcome="exposure", exposure=exposure.digest
            )
            if former is not None and former != exposure.digest:
                self._settle_names(former)
            self._settle_names(exposure.digest, fresh=exposure, night=night)

    def park_file(
        self,
        path: Path,
        *,
        size_bytes: int,
        mtime_ns: int,
        read_with: str,
        night: str,
        error: SsosdError,
        patience: Patience | None = None,
    ) -> None:
        """Record that a file cannot be used, why, and which night's summary says so."""
        with self.db.atomic():
            former = self._exposure_of(str(path))
            self.db.execute(  # other bytes have all their tries before them
                "UPDATE files SET tries = 0 WHERE path = ? AND (size_bytes, mtime_ns) <> (?, ?)",
                [str(path), size_bytes, mtime_ns],
            )
            self._write_file(
                str(path), size_bytes, mtime_ns, read_with, outcome="parked", error=error, night=night
            )
            self._count_try("files", "path = ?", [str(path)], error=error, patience=patience)
            if former is not None:
                self._settle_names(former)

    def ignore_file(
        self, path: Path, *, size_bytes: int, mtime_ns: int, read_with: str, night: str, reason: str
    ) -> None:
        """Record that a file is none of ours, visibly in a night's summary: a calibration frame."""
        with self.db.atomic():
            former = self._exposure_of(str(path))
            self._write_file(str(path), size_bytes, mtime_ns, read_with, outcome="ignored", night=night)
            self.db.execute("UPDATE files SET reason = ? WHERE path = ?", [reason, str(path)])
            if former is not None:
                self._settle_names(former)

    def set_aside(self, path: str, *, night: str, stamp: tuple[int, int], digest: str | None) -> bool:
        """Keep an exposure whose file holds something of another night now, as if that had been moved away.

        Parameters
        ----------
        path : str
        night : str
            Of what the file holds now.
        stamp : (int, int)
            Size and time of change of the file now: as they are recorded where nothing was written over it.
        digest : str or None
            The exposure that it holds now: other parameters may give the same one another night.

        Returns
        -------
        bool
            False where there is nothing to keep: no exposure, one of that same night (which is replaced), or
            one that another file holds.
        """
        with self.db.atomic():
            former = self.rows(
                "SELECT e.digest, e.night, e.header FROM files f JOIN exposures e ON e.digest = f.exposure"
                " WHERE f.path = ? AND e.night <> ? AND e.digest IS NOT ?"
                " AND (f.size_bytes, f.mtime_ns) <> (?, ?)"
                " AND (SELECT count(*) FROM files g WHERE g.exposure = e.digest) = 1",
                [path, night, digest, *stamp],
            )
            for row in former:
                aside = self._unused_name(f"{path} (overwritten, {row['night']}")
                named = Exposure.from_json(row["header"]).at(aside)
                self.db.execute("UPDATE files SET path = ? WHERE path = ?", [named.path, path])
                self.db.table("exposures").update(
                    row["digest"], {"path": named.path, "header": named.to_json()}
                )
        return bool(former)

    def _unused_name(self, stem: str) -> str:
        """A name in brackets that no file has had: what is overwritten may have been so before."""
        names = (f"{stem})" if n == 1 else f"{stem}, {n})" for n in count(1))
        return next(name for name in names if self.file(name) is None)

    def twins(self, digests: Iterable[str]) -> dict[str, set[str]]:
        """Of some exposures, the others that are the same frame: packed, or with other bytes around it."""
        asked, by_frame = set(digests), defaultdict[Any, set[str]](set)
        for row in self.rows(
            "SELECT header FROM exposures WHERE (night, mjd_mid) IN"
            " (SELECT night, mjd_mid FROM exposures GROUP BY night, mjd_mid HAVING count(*) > 1)"
        ):
            exposure = Exposure.from_json(row["header"])
            by_frame[exposure.frame].add(exposure.digest)
        return {
            digest: same - {digest} for same in by_frame.values() for digest in same & asked if len(same) > 1
        }

    def forget_files(self, paths: Iterable[str]) -> None:
        """Mark files as gone; exposures that no file holds any more leave their sequences."""
        for path in paths:
            with self.db.atomic():
                former = self._exposure_of(path)
                self.db.execute(
                    "UPDATE files SET outcome = 'gone', exposure = NULL, night = coalesce("
                    "(SELECT night FROM exposures WHERE digest = files.exposure), night) WHERE path = ?",
                    [path],
                )
                if former is not None:
                    self._settle_names(former)
                    self.db.execute(
                        "UPDATE exposures SET state = 'read' WHERE digest = ? AND state = 'parked'", [former]
                    )

    def forget_parked(self, paths: Iterable[str]) -> set[str]:
        """Mark parked files as gone; returns the nights that accounted for them."""
        names = list(paths)
        nights = self.rows(
            "SELECT DISTINCT night FROM files WHERE night IS NOT NULL AND outcome = 'parked'"
            " AND path IN (SELECT value FROM json_each(?))",
            [json.dumps(names)],
        )
        self.forget_files(names)
        return {row["night"] for row in nights}

    def _exposure_of(self, path: str) -> str | None:
        found = self.rows("SELECT exposure FROM files WHERE path = ?", [path])
        return found[0]["exposure"] if found else None

    def _write_file(
        self,
        path: str,
        size_bytes: int,
        mtime_ns: int,
        read_with: str,
        *,
        outcome: str,
        exposure: str | None = None,
        error: SsosdError | None = None,
        night: str | None = None,
    ) -> None:
        self.db.table("files").upsert(
            {
                "path": path,
                "size_bytes": size_bytes,
                "mtime_ns": mtime_ns,
                "read_with": read_with,
                "outcome": outcome,
                "exposure": exposure,
                "night": night,
                "seen_at_s": self.now_s,
                **error_columns(error),
            },
            pk="path",
        )

    def _settle_names(self, digest: str, *, fresh: Exposure | None = None, night: str = "") -> None:
        """Give an exposure the first of its names, call the others duplicates, drop it when it has none."""
        paths = [
            row["path"]
            for row in self.rows("SELECT path FROM files WHERE exposure = ? ORDER BY path", [digest])
        ]
        if not paths:
            self._reopen(digest)
            self.db.execute(
                "UPDATE sequences SET n_exposures = n_exposures - 1"
                " WHERE id IN (SELECT sequence FROM sequence_exposures WHERE exposure = ?)",
                [digest],
            )
            self.db.execute("DELETE FROM sequence_exposures WHERE exposure = ?", [digest])
            self.db.execute("UPDATE exposures SET catalogue = NULL WHERE digest = ?", [digest])
            self.db.execute("DELETE FROM catalogues WHERE exposure = ?", [digest])
            self.db.execute("DELETE FROM exposures WHERE digest = ?", [digest])
            return
        self.db.execute(
            "UPDATE files SET outcome = CASE WHEN path = ? THEN 'exposure' ELSE 'duplicate' END"
            " WHERE exposure = ?",
            [paths[0], digest],
        )
        stored = self.rows("SELECT header, night FROM exposures WHERE digest = ?", [digest])[0]
        known = fresh if fresh is not None else Exposure.from_json(stored["header"])
        named = known.at(paths[0])
        if named.to_json() != stored["header"] or night not in ("", stored["night"]):
            row = _exposure_row(named, night) if night else {"path": named.path, "header": named.to_json()}
            for column in ("state", "digest"):
                row.pop(column, None)
            self.db.table("exposures").update(digest, row)
            self._reopen(digest)

    def _reopen(self, digest: str) -> None:
        """An exposure is not what it was: its sequences are to be linked again."""
        self.db.execute(
            "UPDATE sequences SET state = 'open', fingerprint = NULL"
            " WHERE id IN (SELECT sequence FROM sequence_exposures WHERE exposure = ?)",
            [digest],
        )

    def exposures(self, *, night: str | None = None) -> dict[str, Exposure]:
        """All exposures (of a night) by digest, in time order."""
        where, arguments = ("WHERE night = ?", [night]) if night is not None else ("", [])
        found = self.rows(f"SELECT digest, header FROM exposures {where} ORDER BY mjd_mid, digest", arguments)  # noqa: S608
        return {row["digest"]: Exposure.from_json(row["header"]) for row in found}

    def telling_exposures(self) -> list[Exposure]:
        """Those that tell what is usual for an instrument, oldest first.

        The last two of each window of each instrument, tile-compressed or not, and one of each set of
        warnings with a habit.
        """
        found = self.rows(
            "SELECT header, mjd_mid FROM (SELECT header, mjd_mid, row_number() OVER (PARTITION BY telescope,"
            " instrument, json_extract(header, '$.chips[0].width_px', '$.chips[0].height_px'),"
            " path LIKE '%.fz' ORDER BY mjd_mid DESC, digest) AS newest FROM exposures) WHERE newest <= 2"
            " UNION SELECT header, min(mjd_mid) FROM exposures WHERE warnings LIKE '%taken although%'"
            " GROUP BY telescope, instrument, warnings ORDER BY mjd_mid"
        )
        return [Exposure.from_json(row["header"]) for row in found]

    def nights(self) -> list[str]:
        """All nights that have exposures, earliest first."""
        return [row["night"] for row in self.rows("SELECT DISTINCT night FROM exposures ORDER BY night")]

    def count_exposures(self, nights: Iterable[str]) -> int:
        """How many exposures some nights have."""
        found = self.rows(
            "SELECT count(*) AS n FROM exposures WHERE night IN (SELECT value FROM json_each(?))",
            [json.dumps(list(nights))],
        )
        return int(found[0]["n"])

    def why_parked(self, digests: Iterable[str]) -> dict[str, str]:
        """Why those of some exposures that are parked are parked."""
        found = self.rows(
            "SELECT digest, reason FROM exposures"
            " WHERE state = 'parked' AND digest IN (SELECT value FROM json_each(?))",
            [json.dumps(list(digests))],
        )
        return {row["digest"]: row["reason"] for row in found}

    def file_nights(self) -> dict[str, str]:
        """The night of each file that holds an exposure, by path."""
        found = self.rows("SELECT f.path, e.night FROM files f JOIN exposures e ON e.digest = f.exposure")
        return {row["path"]: row["night"] for row in found}

    def catalogue(self, key: str) -> Catalogue | None:
        """The catalogue of this key whose file still exists, or None."""
        return self._existing(self.rows(f"SELECT {_CATALOGUE} FROM catalogues WHERE key = ?", [key])).get(key)  # noqa: S608

    def catalogues(self, digests: Iterable[str]) -> dict[str, Catalogue]:
        """All catalogues of some exposures whose files still exist, by key."""
        return self._existing(
            self.rows(
                f"SELECT {_CATALOGUE} FROM catalogues"  # noqa: S608
                " WHERE exposure IN (SELECT value FROM json_each(?))",
                [json.dumps(list(digests))],
            )
        )

    @staticmethod
    def _existing(rows: Iterable[dict[str, Any]]) -> dict[str, Catalogue]:
        found = {}
        for row in rows:
            if Path(row["path"]).is_file():
                for name in ("fwhm_px", "background"):
                    row[name] = math.nan if row[name] is None else row[name]
                found[row["key"]] = Catalogue(**row)
        return found

    def record_catalogue(self, digest: str, catalogue: Catalogue) -> bool:
        """Record that an exposure has been extracted into this catalogue.

        Its sequence is open again unless it was linked with this very catalogue; False when the exposure is
        no more.
        """
        with self.db.atomic():
            found = self.rows("SELECT catalogue FROM exposures WHERE digest = ?", [digest])
            if not found:
                return False
            self.db.table("catalogues").upsert(
                {
                    "key": catalogue.key,
                    "exposure": digest,
                    "path": catalogue.path,
                    "n_detections": catalogue.n_detections,
                    "fwhm_px": finite(catalogue.fwhm_px),
                    "background": finite(catalogue.background),
                    "log_tail": catalogue.log_tail,
                },
                pk="key",
            )
            self.db.table("exposures").update(
                digest,
                {"state": "extracted", "catalogue": catalogue.key, "tried_with": None, **error_columns(None)},
            )
            if found[0]["catalogue"] != catalogue.key:
                self._reopen(digest)
            return True

    def park_exposure(
        self,
        digest: str,
        error: SsosdError,
        *,
        patience: Patience | None = None,
        tried_with: str | None = None,
    ) -> None:
        """Record that no catalogue can be made of an exposure, and why.

        Parameters
        ----------
        digest : str
        error : SsosdError
        patience : Patience, optional
            How often it is tried again by itself, for what may succeed later.
        tried_with : str, optional
            Key of the catalogue that was wanted: with another one it is tried again.
        """
        with self.db.atomic():
            self.db.execute(
                "UPDATE exposures SET state = 'parked', catalogue = NULL, tried_with = ?, error_class = ?,"
                " reason = ?, next_step = ? WHERE digest = ?",
                [tried_with, *error_columns(error).values(), digest],
            )
            self._count_try("exposures", "digest = ?", [digest], error=error, patience=patience)

    def claim_exposure(self, digest: str) -> None:
        """Record that SExtractor is about to work on an exposure."""
        with self.db.atomic():
            self.db.execute("UPDATE exposures SET state = 'extracting' WHERE digest = ?", [digest])

    def states(self, digests: Iterable[str]) -> dict[str, ExposureState]:
        """How far each of some exposures has come."""
        found = self.rows(
            "SELECT digest, state, catalogue, tried_with, next_try_s FROM json_each(?) AS wanted"
            " JOIN exposures ON exposures.digest = wanted.value",
            [json.dumps(list(digests))],
        )
        return {row.pop("digest"): ExposureState(**row) for row in found}

    def last_arrivals(self, night: str) -> dict[str, float]:
        """When each of a night's exposures was last recorded, Unix time, by digest."""
        found = self.rows(
            "SELECT e.digest AS digest, max(f.seen_at_s) AS at FROM exposures e JOIN files f"
            " ON f.exposure = e.digest WHERE e.night = ? GROUP BY e.digest",
            [night],
        )
        return {row["digest"]: row["at"] for row in found}


def _exposure_row(exposure: Exposure, night: str) -> dict[str, Any]:
    return {
        "digest": exposure.digest,
        "path": exposure.path,
        "night": night,
        "date_obs": exposure.date_obs,
        "mjd_mid": exposure.mjd_mid,
        "exptime_s": exposure.exptime_s,
        "filter": exposure.filter,
        "object": exposure.object,
        "telescope": exposure.telescope,
        "instrument": exposure.instrument,
        "ra_deg": exposure.ra_deg,
        "dec_deg": exposure.dec_deg,
        "width_deg": exposure.width_deg,
        "height_deg": exposure.height_deg,
        "n_chips": len(exposure.chips),
        "warnings": json.dumps(exposure.warnings),
        "header": exposure.to_json(),
        "state": "read",
    }
