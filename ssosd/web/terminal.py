"""The inspector without a browser: one candidate after the other in a text terminal, verdicts by keys."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from ssosd.analysis.blink import make_blink
from ssosd.analysis.cutouts import cutout_name
from ssosd.analysis.stamps import Stamp, read_stamp
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
_UNDER_WAY = "its field is being linked anew"
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
    walk = _Walk(subject)
    message = ""
    while walk.at < len(walk.order):
        linked_anew = walk.read()
        here = walk.here
        if here is None:
            break
        _show(subject, here, f"{walk.at + 1} of {len(walk.order)}", console)
        message = message or linked_anew
        console.print(Text(message or _HELP, style="yellow" if message else "dim"))
        message = ""
        key = next_key()
        if key in QUIT:
            break
        if key in VERDICT_KEYS:
            message = _judge(subject, here, VERDICT_KEYS[key], person)
            walk.at += 0 if message else 1
        elif key in UNDO:
            message = _undo(subject, walk, person)
        elif key in BACK:
            walk.at = max(walk.at - 1, 0)
        elif key in NEXT:
            walk.at += 1
    return sum(entry["verdict"] is None for entry in subject.overview()["candidates"])


class _Walk:
    """All candidates, and the one that is looked at.

    Their order is the morning report's when it begins, and again when a field was linked anew: verdicts alone
    do not change it under way.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._linked: Json | None = None
        self._entries: dict[str, Json] = {}
        self.order: list[str] = []
        self.at = 0
        self.read()

    @property
    def here(self) -> Json | None:
        """The one that is looked at, as it was read last."""
        return self._entries[self.order[self.at]] if self.at < len(self.order) else None

    def read(self) -> str:
        """Read all again and stay at the same object; returns what became of it when it was linked anew."""
        was, overview = self.here, self._subject.overview()
        self._entries = {entry["id"]: entry for entry in overview["candidates"]}
        if overview["linked"] == self._linked and self._entries.keys() == set(self.order):
            return ""
        self._linked, self.order = overview["linked"], list(self._entries)
        now = self._subject.name_now(was["id"], seen(was)) if was else None
        self.at = next((k for k, entry in enumerate(self._entries.values()) if entry["verdict"] is None), 0)
        self.go_to(now)
        if was is None or now == was["id"]:
            return ""
        return f"linked anew: {was['id']} is {f'{now} now' if now else 'no candidate any more'}"

    def go_to(self, name: str | None) -> None:
        """Look at one of them, where there is one of this name."""
        if name in self.order:
            self.at = self.order.index(name)


def _judge(subject: Subject, entry: Json, verdict: str, person: str) -> str:
    """Give a verdict; returns why it is not kept, "" when it is."""
    judged = subject.judge(entry["id"], verdict, person=person, version=entry["version"], seen=seen(entry))
    if judged.taken:
        return ""
    if judged.now is None:
        return f"{entry['id']} is gone, its field was linked anew: your verdict is not kept"
    return f"{judged.now.person} said {judged.now.verdict} meanwhile: look again"


def _undo(subject: Subject, walk: _Walk, person: str) -> str:
    """Take back the person's last verdict and look at that candidate; returns what is to be said."""
    taken_back = subject.undo(person=person)
    if taken_back.now is None:
        return "nothing to take back"
    if not taken_back.taken:
        return f"{taken_back.now.candidate}: {taken_back.now.person} has judged it since"
    linked_anew = walk.read()  # so that the name in the answer means the same here
    walk.go_to(taken_back.now.candidate)
    return linked_anew


def _show(subject: Subject, entry: Json, place: str, console: Console) -> None:
    """Its frames, and what is known of it."""
    stamps, problem = _stamps(subject, entry)
    console.clear()
    if stamps:
        for line in filmstrip(make_blink(stamps), width=console.width, height=console.height - _TEXT_LINES):
            console.print(line, no_wrap=True, soft_wrap=True)
    if problem:
        console.print(Text(problem, style="dim"))
    verdict = f"{entry['verdict']} ({entry['person']})" if entry["verdict"] else "no verdict"
    console.print(Text.assemble((entry["id"], "bold"), f"   {place}   {verdict}"))
    console.print(Text("   ".join(_facts(entry))))


def _stamps(subject: Subject, entry: Json) -> tuple[dict[int, Stamp], str]:
    """Its cutouts by their exposures' numbers, and what is to be said where some are missing."""
    try:
        rows, folder = subject.rows(entry["id"])
    except BadInput:
        return {}, _UNDER_WAY
    first = rows.iloc[0]
    if (first["MID_EXPOSURE_MJD"], first["RA"], first["DEC"]) != (entry["mjd"], entry["ra"], entry["dec"]):
        return {}, _UNDER_WAY  # the name means another object already
    stamps = {}
    unseen = 0
    for source, number in zip(rows["SOURCE_NUMBER"].tolist(), rows["CATALOG_NUMBER"].tolist(), strict=True):
        try:
            stamps[int(number)] = read_stamp(folder / cutout_name(int(source), int(number)))
        except BadInput:
            unseen += 1
    return stamps, f"{unseen} of {len(rows)} frames have no cutout" if unseen else ""


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
