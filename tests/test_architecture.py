"""The house: no room imports upward, no stage imports another, as docs/architecture.md says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ssosd

PACKAGE = Path(ssosd.__file__).parent
STAGES = ("ingest", "linker", "filters", "identify", "analysis", "reports")
#: Floors from the ground up; a room is a module or a folder of ssosd.
FLOORS = (
    (
        *("errors", "days", "model", "motion", "trackfit", "grouping", "sphere", "site", "sun", "__init__"),
        *("patterns", "plumbing"),
    ),
    ("config", "headermap", "astromatic", "astromatic_setup", "ldac", "migrations"),
    ("station", "store", "setup", "status"),
    STAGES,
    ("work", "intake", "night", "inquiry", "standing", "pipeline", "errands", "crew"),
    ("replay", "daemon", "demo", "afterwards", "web", "doctor"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
#: Within a floor, who may import whom (everything else on one floor keeps apart, the ground excepted).
NEIGHBOURS = {
    *(("pipeline", room) for room in ("work", "intake", "night", "inquiry", "standing")),
    ("standing", "work"),
    *(("inquiry", room) for room in ("work", "night")),
    *(("crew", room) for room in ("work", "intake", "errands", "inquiry")),
    ("headermap", "config"),
    ("errands", "work"),
    ("night", "errands"),
    ("demo", "replay"),
    ("web", "afterwards"),
}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ssosd":
            if node.module == "ssosd":
                for alias in node.names:
                    yield f"ssosd.{alias.name}" if (PACKAGE / f"{alias.name}.py").exists() else "ssosd"
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "ssosd")


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in LEVEL, f"{own} has no floor: give it one here and in docs/architecture.md"
    for module in imports(path):
        other = room_of(module)
        if other == own:
            continue
        if LEVEL[own] == LEVEL[other]:
            assert LEVEL[own] == 0 or (own, other) in NEIGHBOURS, f"{own} and {other} are on one floor"
        else:
            assert LEVEL[other] < LEVEL[own], f"{own} imports upward from {other}"


def test_every_room_is_on_the_map():
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in MODULES} - {"__init__"}
    assert not [room for room in sorted(rooms) if f"`{room}`" not in text and f"`{room}/`" not in text]


def test_no_module_grows_past_what_one_can_hold_in_the_head():
    assert not {str(p): n for p in MODULES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 500}
