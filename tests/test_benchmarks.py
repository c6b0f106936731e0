"""The benchmarks can be started, say what got worse, and the page shows what they wrote."""

from __future__ import annotations

import importlib
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


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py")))
def test_each_can_be_imported(name, monkeypatch):
    """They are not run here, and what they import moves."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    importlib.import_module(name)
    for module in {path.stem for path in BENCHMARKS.glob("*.py")} - before:
        sys.modules.pop(module, None)


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
