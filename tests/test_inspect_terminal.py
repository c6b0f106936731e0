"""The inspector without a browser: what is drawn, what each key does, where verdicts go."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from ssosd.analysis.stamps import png_bytes
from ssosd.cli import main
from ssosd.model import Blink
from ssosd.reports.morning.candidates import triage
from ssosd.store import STORE_NAME, Store
from ssosd.web.filmstrip import filmstrip
from ssosd.web.opening import find_meant, library_of
from ssosd.web.terminal import VERDICT_KEYS, inspect_in_terminal
from tests.inspecting import linked_anew, said_in_csv, said_in_store
from tests.night_store import place_in

LEFT, RIGHT, UP, DOWN = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"


def session(target, keys: Iterable[str], *, person="Ada"):
    """What a person sees who presses these keys, and how many candidates are left; Ctrl-C where none is left."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=120)
    meant, pressed = find_meant(None, target), iter(keys)
    with library_of(meant) as library:
        subject = library.subject(meant.name)
        left = inspect_in_terminal(
            subject, person=person, console=console, next_key=lambda: next(pressed, "\x03")
        )
    return console.file.getvalue(), left


# ---- frames ---------------------------------------------------------------------------------------------------


def a_blink(n: int, side: int = 64) -> Blink:
    """Frames of one grey each, 10 darker than the next, with a bright pixel where the mark is."""
    frames = [np.full((side, side), 10 * (k + 1), dtype=np.uint8) for k in range(n)]
    return Blink(
        sheet=png_bytes(np.hstack(frames)),
        side_px=side,
        numbers=tuple(range(1, n + 1)),
        marks=((side / 2, side / 2),) * n,
        together=True,
    )


@pytest.mark.parametrize(
    ("n", "width", "rows"), [(5, 130, 1), (5, 80, 2), (12, 80, 4), (1, 20, 1), (3, 200, 1)]
)
def test_frames_stand_side_by_side_as_wide_as_the_terminal_allows(n, width, rows):
    lines = filmstrip(a_blink(n), width=width, height=200)
    assert max(len(line) for line in lines) <= width
    assert sum(len(line) == 0 for line in lines) == rows - 1
    greys = [
        {span.style.color.triplet.red for span in line.spans if span.style.color.triplet.blue}
        for line in lines
    ]
    assert set().union(*greys) >= {10 * (k + 1) for k in range(n)}


def test_the_ticks_stand_beside_the_candidate_and_not_on_it():
    lines = filmstrip(a_blink(1), width=64, height=200)
    amber = [
        (y, x)
        for y, line in enumerate(lines)
        for x, span in enumerate(line.spans)
        if (255, 176, 0) in (tuple(span.style.color.triplet), tuple(span.style.bgcolor.triplet))
    ]
    assert {y for y, x in amber if x > 32} == {16}
    assert {x for y, x in amber if y < 16} == {32}
    assert (16, 32) not in amber
    assert len(amber) == 4 + 3  # four letters, and four pixels in three lines


@pytest.mark.parametrize(("n", "height"), [(5, 18), (3, 18), (12, 40), (1, 30)])
def test_where_the_terminal_is_low_the_candidates_are_on_it_all_the_same(n, height):
    lines = filmstrip(a_blink(n), width=80, height=height)
    assert len(lines) <= height
    amber = [
        span
        for line in lines
        for span in line.spans
        if (255, 176, 0) in (tuple(span.style.color.triplet), tuple(span.style.bgcolor.triplet))
    ]
    assert len(amber) >= 6 * n  # the ticks of every frame


# ---- keys -----------------------------------------------------------------------------------------------------


@pytest.mark.binaries
def test_verdicts_by_keys_go_where_the_browsers_go(inspectable, inspected):
    order = triage(inspectable.candidates, {})
    assert len(order) == 2
    seen, left = session(inspected, [RIGHT, LEFT])
    assert left == 0
    assert seen.index(order[0]) < seen.index(order[1])
    assert "▀" in seen
    wanted = {order[0]: "asteroid", order[1]: "artifact"}
    assert said_in_store(inspected, inspectable.night) == wanted
    assert said_in_csv(inspected / inspectable.night / "candidates.csv") == wanted


@pytest.mark.binaries
def test_back_next_undo_and_the_end(inspectable, inspected):
    one, other = triage(inspectable.candidates, {})
    _, left = session(inspected, ["n", DOWN, "w", "u", "a", "q", "x"])
    assert left == 1
    assert said_in_store(inspected, inspectable.night) == {one: "asteroid"}
    seen, left = session(inspected, ["x"])
    assert one not in seen, "it begins at the first one without a verdict"
    assert left == 0
    assert said_in_store(inspected, inspectable.night) == {one: "asteroid", other: "artifact"}
    assert "nothing to take back" in session(inspected, ["u"], person="Ben")[0]


@pytest.mark.binaries
def test_who_comes_second_is_told(inspectable, inspected):
    one, _ = triage(inspectable.candidates, {})

    def keys():
        with Store(inspected / STORE_NAME) as store:
            place = place_in(store, inspectable.night, one)
            store.give_verdict(inspectable.night, one, "artifact", person="Ben", version=0, seen=place)
        yield "a"

    seen, _ = session(inspected, keys())
    assert "Ben said artifact meanwhile" in seen
    assert said_in_store(inspected, inspectable.night) == {one: "artifact"}


@pytest.mark.binaries
def test_a_verdict_goes_to_what_was_shown_though_its_name_means_another_since(inspectable, inspected):
    one, other = triage(inspectable.candidates, {})

    def keys():
        linked_anew(inspected, inspectable.night, {one: other, other: one})
        yield "a"

    session(inspected, keys())
    assert said_in_store(inspected, inspectable.night) == {other: "asteroid"}


@pytest.mark.binaries
def test_a_candidate_that_goes_away_while_one_looks_is_told_and_the_next_is_shown(inspectable, inspected):
    one, other = triage(inspectable.candidates, {})

    def keys():
        linked_anew(inspected, inspectable.night, {one: None})
        yield from ("b", "a")

    seen, left = session(inspected, keys())
    assert f"linked anew: {one} is no candidate any more" in seen
    assert left == 0
    assert said_in_store(inspected, inspectable.night) == {other: "asteroid"}


@pytest.mark.binaries
def test_a_verdict_on_what_is_gone_is_not_kept_and_the_last_one_ends_it(inspectable, inspected):
    one, other = triage(inspectable.candidates, {})

    def keys():
        linked_anew(inspected, inspectable.night, {one: None})
        yield "a"
        linked_anew(inspected, inspectable.night, {other: None})
        yield from ("u", "a")

    seen, left = session(inspected, keys())
    assert f"{one} is gone, its field was linked anew: your verdict is not kept" in seen
    assert left == 0
    assert said_in_store(inspected, inspectable.night) == {}


@pytest.mark.binaries
def test_it_stays_at_an_object_that_has_another_name_now_and_undo_finds_it_again(inspectable, inspected):
    one, other = triage(inspectable.candidates, {})
    night, swapped = inspectable.night, {one: other, other: one}

    def keys():
        linked_anew(inspected, night, swapped)
        yield from ("?", "x")
        assert said_in_store(inspected, night) == {other: "artifact"}
        linked_anew(inspected, night, swapped)
        yield from ("u", "a")

    seen, left = session(inspected, keys())
    assert f"linked anew: {one} is {other} now" in seen
    assert left == 1
    assert said_in_store(inspected, night) == {one: "asteroid"}


@pytest.mark.binaries
def test_cutouts_that_are_gone_are_said(inspectable, inspected):
    for path in (inspected / inspectable.night).glob("*/cutouts/*"):
        path.unlink()
    seen, _ = session(inspected, [])
    assert "frames have no cutout" in seen
    assert "▀" not in seen


def test_every_key_is_documented(request):
    text = (request.config.rootpath / "docs" / "inspect.md").read_text(encoding="utf-8")
    _, _, about = text.partition("## Without a browser")
    for key, arrow in (("x", "←"), ("a", "→"), ("w", "↑"), ("b", "↓"), ("n", ""), ("u", ""), ("q", "")):
        assert f"`{key}`" in about
        assert arrow in about
    assert {key for key in VERDICT_KEYS if key.isalpha()} == {"x", "a", "w"}


@pytest.mark.binaries
def test_where_there_is_no_terminal_the_next_step_is_told(inspected):
    done = CliRunner().invoke(main, ["inspect", "--terminal", "-t", str(inspected)])
    assert done.exit_code == 1
    assert "no terminal" in done.output
