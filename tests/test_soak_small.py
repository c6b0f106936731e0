"""A few hundred files in every way of arrival, overflowing queues, kill -9: the short form of `make soak`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def soak():
    spec = importlib.util.spec_from_file_location("soak", ROOT / "benchmarks" / "soak.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["soak"]


def test_three_hundred_files_and_a_kill(soak, tmp_path):
    figures = soak.soak(tmp_path, files=300, kills=1, scan_s=2.0, patience_s=120.0)
    assert figures["exposures"] == 300
    assert figures["rows"] == figures["names"] > 300
    assert figures["kills"] == 1
    assert figures["overflows"] >= len(soak.BURSTS) == 3
    assert set(figures["ways"]) == set(soak.WAYS)


def test_the_check_sees_what_is_lost_half_or_doubled(soak, tmp_path):
    """The soak's own check, against stores with faults in them."""
    from tests.watched import Watched

    night = Watched(tmp_path / "data", tmp_path / "target")
    (tmp_path / "staging").mkdir()
    (night.root / "n000").mkdir()
    telescope = soak.Telescope(
        root=night.root, staging=tmp_path / "staging", foreign=tmp_path, rng=soak.random.Random(1)
    )
    telescope.deliver(list(range(6)), "two_names")
    night.settle()
    assert soak.check(telescope, night.target) == {"exposures": 6, "rows": 12, "duplicates": 6}

    def change(sql: str) -> None:
        with night.store.db.atomic():
            night.store.db.execute(sql)

    for fault in (
        "size_bytes = 2880",
        "outcome = 'exposure'",
        "exposure = (SELECT max(exposure) FROM files)",
    ):
        change("CREATE TEMP TABLE whole AS SELECT * FROM files")
        change(f"UPDATE files SET {fault}")
        with pytest.raises(AssertionError):
            soak.check(telescope, night.target)
        change("INSERT OR REPLACE INTO files SELECT * FROM whole")
        change("DROP TABLE whole")
        soak.check(telescope, night.target)
    change("DELETE FROM files WHERE path LIKE '%f000003%'")
    with pytest.raises(AssertionError):
        soak.check(telescope, night.target)
