"""A night that can be inspected, and a client that says exactly what a browser, or somebody else, would say."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from ssosd.reports.recovered import FILE_NAME as RECOVERED
from ssosd.reports.recovered import write_recovered_csv
from ssosd.reports.tables import read_candidates_csv
from ssosd.status import read_status
from ssosd.store import STORE_NAME, Store
from ssosd.web.app import inspector_app
from ssosd.web.opening import find_meant, library_of
from ssosd.web.serve import new_token, open_socket, serving
from tests.replaying import Outcome


def copied(outcome: Outcome, target: Path) -> Path:
    """A copy of a replayed target of its own."""
    shutil.copytree(outcome.target, target)
    connection = sqlite3.connect(target / STORE_NAME)
    with connection:
        connection.execute(
            "UPDATE sequences SET folder = replace(folder, ?, ?)", [str(outcome.target), str(target)]
        )
    connection.close()
    return target


def without_a_detection(target, replayed, name):
    """The field's table says of two exposures what was found at this candidate's place."""
    field = replayed.candidates.loc[replayed.candidates["CANDIDATE"] == name, "FIELD"].iloc[0]
    about = {"FIELD": field, "CANDIDATE": name, "FILTER": "r", "IMAGE_FILENAME": "late.fits", "BAND": "G"}
    faint = {
        "CATALOG_NUMBER": 6,
        "MID_EXPOSURE_MJD": 61358.9,
        "STATE": "too faint",
        "MAG_LIMIT": 21.3,
        "SNR": 1.2,
    }
    seen = {
        "CATALOG_NUMBER": 5,
        "MID_EXPOSURE_MJD": 61358.8,
        "STATE": "measured",
        "MAG_CALIB": 20.75,
        "SNR": 4.1,
    }
    stranger = {**faint, "CANDIDATE": "F99-0001"}
    rows = pd.DataFrame([{**about, **row} for row in (faint, seen, stranger)]).assign(REASON="")
    write_recovered_csv(target / replayed.night / field / "cats" / RECOVERED, rows)


def linked_anew(target: Path, night: str, names: dict[str, str | None]) -> None:
    """As after a late exposure: these candidates have other names now, those with None are no candidates."""
    for path in (target / night).glob("*/cats/candidates.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table["CANDIDATE"] = table["CANDIDATE"].map(lambda name: names.get(name, name))
        table.dropna(subset="CANDIDATE").to_csv(path, index=False)
    with Store(target / STORE_NAME) as store, store.db.atomic():
        rows = store.rows("SELECT * FROM candidates WHERE night = ?", [night])
        renamed = [{**row, "candidate": names.get(row["candidate"], row["candidate"])} for row in rows]
        store.db.execute("DELETE FROM candidates WHERE night = ?", [night])
        store.db.table("candidates").insert_all(row for row in renamed if row["candidate"])
        store._find_judged_again(night)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Talks to a service that runs."""

    url: str

    @property
    def root(self) -> str:
        return urlsplit(self.url).path

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """A request to an absolute path with headers as given (an underscore is a dash)."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=named)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask(self.root + path)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        """As our page does."""
        given = {
            "Content_Type": "application/json",
            "Origin": "http://" + urlsplit(self.url).netloc,
            **headers,
        }
        return self.ask(self.root + path, method="POST", body=json.dumps(body).encode(), **given)


@contextmanager
def inspecting(target: Path, what: str | None = None, *, person: str = "Ada") -> Iterator[Client]:
    """The inspector as `ssosd inspect` runs it; at its end the night's files follow from the verdicts."""
    meant = find_meant(what, target)
    with library_of(meant) as library:
        app = inspector_app(
            library, first=meant.name, person=person, status=lambda: read_status(target, now_s=0.0)
        )
        with serving(app, listening=open_socket("127.0.0.1", 0), token=new_token()) as served:
            yield Client(served.url)


def said_in_csv(csv: Path) -> dict[str, str]:
    """What the seed's columns say of each candidate that was inspected."""
    table = read_candidates_csv(csv)
    names = table["CANDIDATE"] if "CANDIDATE" in table else table["SOURCE_NUMBER"].astype(str)
    seen = table.assign(CANDIDATE=names)
    if "INSPECTED" not in seen:
        return {}
    first = seen[seen["INSPECTED"]].groupby("CANDIDATE")[["ASTEROID", "UNKNOWN"]].agg(["min", "max"])
    assert (first.xs("min", axis=1, level=1) == first.xs("max", axis=1, level=1)).all(axis=None)
    one = first.xs("max", axis=1, level=1)
    words = pd.Series("artifact", index=one.index)
    return words.mask(one["UNKNOWN"], "unknown").mask(one["ASTEROID"], "asteroid").to_dict()


def said_in_store(target: Path, night: str) -> dict[str, str]:
    with Store(target / STORE_NAME) as store:
        return {name: given.verdict for name, given in store.verdicts(night).items() if given.verdict}
