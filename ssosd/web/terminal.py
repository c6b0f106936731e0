"""The inspector without a browser: one candidate after the other in a text terminal, verdicts by keys."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from ssosd.analysis.blink import make_blink
from ssosd.analysis.cutouts import cutout_name
from ssosd.analysis.stamps import read_stamp
from ssosd.errors import BadInput
from ssosd.plumbing.text import counted
from ssosd.store import ARTIFACT, ASTEROID, UNKNOWN
from ssosd.web.describe import Json
from ssosd.web.filmstrip import filmstrip
from ssosd.web.subject import Subject, seen

#: The browser's keys (those with arrows as terminals send them), and letters for who has no arrows.
VERDICT_KEYS = {
    **dict.fromkeys(("\x1b[D", "x"), ARTIFACT),
    **dict.fromkeys(("\x1b[C", "a"), ASTEROID),
    **dict.fromkeys(("\x1b[A", "w"), UNKNOWN),
}
BACK, UNDO, NEXT, QUIT = ("\x1b[B", "b", "\x7f", "\b"), ("u",), ("n", " "), ("q", "\x1b", "\x03", "\x04")
_TEXT_LINES = 6  # below the frames, the facts in two
_HELP = "← x artifact   → a asteroid   ↑ w unknown   ↓ b back   n next   u undo   q end"


def inspect_in_terminal(
    subject: Subject, *, person: str, console: Console, next_key: Callable[[], str]
) -> int:
    """Show each candidate, those to be looked at first in front, until the last one or until told to stop.

    Begins at the first one without a verdict.

    Parameters
    ----------
    subject : Subject
    person : str
        Who gives the verdicts.
    console : Console
    next_key : callable
        Waits for a key and gives what the terminal sends for it.

    Returns
    -------
    int
        Candidates that have no verdict yet.
    """
    entries = _entries(subject)
    order = list(entries)
    at = next((k for k, name in enumerate(order) if entries[name]["verdict"] is None), 0)
    message = ""
    while at < len(order):
        entries = _entries(subject)
        _show(subject, entries[order[at]], f"{at + 1} of {len(order)}", console)
        console.print(Text(message or _HELP, style="yellow" if message else "dim"))
        message = ""
        key = next_key()
        if key in QUIT:
            break
        if key in VERDICT_KEYS:
            entry = entries[order[at]]
            judged = subject.judge(
                entry["id"], VERDICT_KEYS[key], person=person, version=entry["version"], seen=seen(entry)
            )
            if judged.taken:
                at += 1
            elif judged.now is not None:
                message = f"{judged.now.person} said {judged.now.verdict} meanwhile: look again"
            else:
                message = f"{entry['id']} is gone, its field was linked anew: your verdict is not kept"
        elif key in UNDO:
            taken_back = subject.undo(person=person)
            if taken_back.now is None:
                message = "nothing to take back"
            elif not taken_back.taken:
                message = f"{taken_back.now.candidate}: {taken_back.now.person} has judged it since"
            else:
                at = order.index(taken_back.now.candidate) if taken_back.now.candidate in order else at
        elif key in BACK:
            at = max(at - 1, 0)
        elif key in NEXT:
            at += 1
    left = [name for name, entry in _entries(subject).items() if entry["verdict"] is None]
    return len(left)


def _entries(subject: Subject) -> dict[str, Json]:
    """All candidates by name, in the order of the morning report."""
    return {entry["id"]: entry for entry in subject.overview()["candidates"]}


def _show(subject: Subject, entry: Json, place: str, console: Console) -> None:
    """Its frames, and what is known of it."""
    rows, folder = subject.rows(entry["id"])
    stamps = {}
    unseen = 0
    for source, number in zip(rows["SOURCE_NUMBER"].tolist(), rows["CATALOG_NUMBER"].tolist(), strict=True):
        try:
            stamps[int(number)] = read_stamp(folder / cutout_name(int(source), int(number)))
        except BadInput:
            unseen += 1
    console.clear()
    if stamps:
        for line in filmstrip(make_blink(stamps), width=console.width, height=console.height - _TEXT_LINES):
            console.print(line, no_wrap=True, soft_wrap=True)
    if unseen:
        console.print(Text(f"{unseen} of {len(rows)} frames have no cutout", style="dim"))
    verdict = f"{entry['verdict']} ({entry['person']})" if entry["verdict"] else "no verdict"
    console.print(Text.assemble((entry["id"], "bold"), f"   {place}   {verdict}"))
    console.print(Text("   ".join(_facts(entry))))


def _facts(entry: Json) -> list[str]:
    known = " ".join(str(entry[key]) for key in ("number", "name") if entry.get(key))
    numbers = (
        ("", "rate", '{:.1f} "/h'),
        ("towards", "pa", "{:.0f}°"),
        (entry["band"] or "instrumental", "mag", "{:.2f}"),
        ("score", "score", "{:.1f}"),
        ("NEO", "neo_score", "{:.0f}"),
        ("extended", "extended", "{:.2f} mag"),
    )
    facts = [f"{entry['state']}{f': {known}' if known else ''}", f"{counted(entry['n'], 'detection')}"]
    facts += [
        f"{name} {form.format(entry[key])}".strip()
        for name, key, form in numbers
        if entry.get(key) is not None
    ]
    return [*facts, *([", ".join(entry["flags"])] if entry["flags"] else [])]
