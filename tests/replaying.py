"""Replays of painted nights for tests: one call from a folder of exposures to what the corridor left behind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from ssosd.config import load_config
from ssosd.crew import Crew
from ssosd.pipeline import Linked
from ssosd.plumbing.resources import shipped
from ssosd.replay import Replayed, replay
from ssosd.reports.tables import read_candidates_csv
from ssosd.station import Station
from ssosd.store import STORE_NAME, Store
from tests.sky import MOVERS

#: What small painted nights are replayed with: quick, and no service is asked.
QUICK = {
    "AST_CAT": "Gaia3",
    "CROSSID_RADIUS": "10",
    "CROSSMATCH_SKYBOT": "False",
    "EXTRACT_CUTOUTS": "False",
    "CHECKPLOTS": "False",
    "FILTER_BRIGHT_SOURCES": "False",
    "OBSERVATORY_CODE": "493",
    "DRAFT_POLICY": "ALL",
    "WORKERS": "1",
}
#: The depth, the linking and the rules of the seed.
SEED_FLAGS = (
    "--SEX_CONFIG",
    shipped("semp/seed.sex"),
    "--LINKER",
    "SCAMP",
    "--MOTION_FIT",
    "SEED",
    "--PM_UP",
    "300",
)
#: Movers of a night of two fields that the seed's rules find: 30 and 45 "/h in each, SNR 40 to 130.
NIGHT_MOVERS = (
    *MOVERS[:2],
    replace(MOVERS[0], name="SECOND", field=2, north_arcsec=-70.0, pa_deg=240.0),
    replace(MOVERS[1], name="OTHER", field=2, east_arcsec=70.0, pa_deg=110.0),
)
#: As observers write them: (field, visit, OBJECT).
NIGHT_OBJECTS = ((1, 2, "f-01"), (1, 4, ""), (2, 3, "F02 "), (2, 5, "Field 2"))
#: Few enough stars for SCAMP to link each mover with itself, and not with a star that it passes.
SPARSE = {"stars": 70, "cadence_min": 8.0}
NIGHT = {
    **SPARSE,
    "centers_deg": ((50.0, 18.0), (52.5, 19.5)),
    "exposures": 5,
    "placed": NIGHT_MOVERS,
    "objects": NIGHT_OBJECTS,
}
ONE_FIELD = {**SPARSE, "placed": NIGHT_MOVERS[:2]}
_RESULTS = (
    "candidates.*",
    "recovered.csv",
    "drafts/*.txt",
    "*/cats/candidates.csv",
    "*/regions/*.reg",
    "*/logs/*.log",
)
LEDGER = [
    "night",
    "field",
    "source_number",
    "filter",
    "reason",
    "measured",
    "limit_value",
    "n_detections",
]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A target folder after a replay."""

    target: Path
    done: Replayed
    sequences: tuple[Linked, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # candidates by night

    @property
    def nights(self) -> list[str]:
        """Nights that have a folder."""
        return sorted(p.name for p in self.target.glob("20*"))

    @property
    def night(self) -> str:
        (night,) = self.nights
        return night

    @property
    def csv(self) -> Path:
        return self.target / self.night / "candidates.csv"

    @property
    def candidates(self) -> pd.DataFrame:
        return read_candidates_csv(self.csv)

    @property
    def draft(self) -> str:
        """All 80-column drafts of the night."""
        folder = self.target / self.night / "drafts"
        return "".join(p.read_text() for p in sorted(folder.glob("*.txt")) if p.name != "README.txt")

    @property
    def states(self) -> dict[str, str]:
        """Of each sequence, by field."""
        with Store(self.target / STORE_NAME) as store:
            return {row.field: row.state for row in store.sequences()}

    def ledger(self, field: str | None = None) -> pd.DataFrame:
        """All rejections, or those of a field, in an order of their own."""
        with Store(self.target / STORE_NAME) as store:
            rows = store.rows(
                "SELECT s.night, s.field, r.source_number, r.filter, r.reason, r.measured, r.limit_value,"
                " r.n_detections FROM rejections r JOIN sequences s ON s.id = r.sequence"
                " ORDER BY s.night, s.field, r.source_number"
            )
        table = pd.DataFrame(rows, columns=LEDGER)
        return table if field is None else table[table["field"] == field].reset_index(drop=True)

    @property
    def results(self) -> dict[str, object]:
        """All that a person takes from a target, to be compared: text of the tables and the ledger."""
        out: dict[str, object] = {
            str(path.relative_to(self.target)): path.read_bytes()
            for night in self.nights
            for pattern in _RESULTS
            for path in sorted((self.target / night).glob(pattern))
        }
        out["ledger"] = self.ledger().to_csv(index=False)
        out["states"] = self.states
        return out


def run(
    target: Path,
    *paths: Path,
    reference: Path,
    night: str | None = None,
    field: str | None = None,
    on_sequence: Callable[[Linked], None] = lambda _: None,
    config: Path | None = None,
    crew: Callable[[Station], Crew] | None = None,
    **parameters: object,
) -> Outcome:
    """Replay exposures into a target; parameters override `QUICK` (a dash is written as two underscores)."""
    given = {name.replace("__", "-"): str(value) for name, value in parameters.items()}
    overrides = {**QUICK, "ASTREF_CATALOG": str(reference), **given}
    station = Station.open(load_config(config, overrides=overrides, cwd=target.parent), target)
    sequences: list[Linked] = []
    tables: dict[str, pd.DataFrame] = {}
    with Store(station.target / STORE_NAME) as store:
        number = store.begin_run(
            command="test", parameters=station.config.as_text(), versions=station.versions
        )
        done = replay(
            paths,
            station=station,
            store=store,
            console=Console(file=io.StringIO()),
            night=night,
            field_name=field,
            crew=None if crew is None else lambda _: crew(station),
            on_sequence=lambda linked: (sequences.append(linked), on_sequence(linked)),
            on_night=tables.__setitem__,
        )
        store.end_run(number)
    return Outcome(target=target, done=done, sequences=tuple(sequences), tables=tables)


def link(folder: Path, paths: Iterable[Path]) -> Path:
    """A folder with links to some files under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        (folder / path.name).symlink_to(path)
    return folder
