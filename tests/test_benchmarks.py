"""The benchmarks can be started, say what got worse, and the page shows what they wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PAGE, KEPT = (BENCHMARKS.parent / "docs" / f"benchmarks.{suffix}" for suffix in ("md", "json"))


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import figures

    return figures


def test_each_can_be_imported():
    names = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
    code = f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); [__import__(n) for n in {names!r}]"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_page_shows_the_kept_figures(figures, tmp_path):
    kept = figures.Figures.load_from(KEPT)
    text = PAGE.read_text(encoding="utf-8")
    copy = tmp_path / "page.md"
    copy.write_text(text, encoding="utf-8")
    kept.put_into(copy)
    assert copy.read_text(encoding="utf-8") == text, "run: make bench"
    kept.save(tmp_path / "kept.json")
    assert figures.Figures.load_from(tmp_path / "kept.json") == kept


def test_a_ratio_that_got_worse_is_named(figures):
    then = {
        "halved": 1.0,
        "as it was": 1.0,
        "a seventh more": 1.0,
        "a fifth more": 1.0,
        "a trifle": 0.001,
        "gone": 1.0,
    }
    now = {
        "halved": 0.5,
        "as it was": 1.0,
        "a seventh more": 1.14,
        "a fifth more": 1.2,
        "a trifle": 0.01,
        "new": 9.0,
    }
    assert figures.worse(now, then) == ["a fifth more"]
    lines = figures.comparison(now, then).splitlines()
    assert [line.split()[-1] for line in lines].count("worse") == 1
    assert len(lines) == 1 + len(now.keys() | then.keys())
