"""The observations beside the checkout, replayed once: targets to be read, and catalogues to be linked anew.

The replays are fixtures of the session, and the modules that take them have one worker (`TOGETHER`).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from ssosd import astromatic
from ssosd.cli import main
from ssosd.linker.scamp.link import Linked, link
from ssosd.model import Exposure
from ssosd.plumbing.resources import shipped
from ssosd.store import STORE_NAME, Store

#: Modules of one worker, by the replays that they share.
TOGETHER = {
    "test_lowell12": "lowell12",
    "test_tracklets_shared": "lowell12",
    "test_known_shared": "lowell12",
    "test_sim2": "sim2",
    "test_scamp_shared": "sim2",
    "test_photometry_shared": "sim2",
}
#: In this order they are begun, before all others: modules, or what they share.
LONGEST = (
    "lowell12",
    "sim2",
    "test_parameters_effect",
    "test_replay",
    "test_inject",
    "test_kill",
    "test_flaws_replayed",
    "test_soak_small",
)
EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


def scope_of(path: Path) -> str:
    """Which tests of a module have one worker: its own, or those of all that share a replay with it."""
    stem = path.stem
    return TOGETHER.get(stem, stem if stem.startswith("test_") else str(path))


def replayed(*arguments: object) -> str:
    """What ``ssosd replay`` says; in this process, where it can be watched."""
    result = CliRunner().invoke(main, ["replay", *map(str, arguments), "--WORKERS", "1"])
    assert result.exit_code == 0, result.output
    return result.output


def lowell12_flags(shared: Path) -> list[object]:
    raw = shared / "lowell12"
    return [raw, "-c", EXAMPLES / "lowell12.ssos", "--ASTREF_CATALOG", raw / "lowell5945_ref_ldac.cat"]


def sim2_flags(shared: Path) -> list[object]:
    raw = shared / "sim2"
    return [raw, "-c", EXAMPLES / "sim2.ssos", "--ASTREF_CATALOG", raw / "refcat.cat"]


@contextmanager
def no_network() -> Iterator[None]:
    """Whoever asks the network meanwhile has an error."""
    connect = socket.socket.connect

    def nobody(own: socket.socket, address: Any) -> None:
        if own.family != socket.AF_UNIX:
            raise AssertionError(f"the network was asked: {address}")
        connect(own, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", nobody)
        yield


def frames(target: Path, names: str = "*") -> list[tuple[Exposure, Path]]:
    """Exposures of a target whose files have such names, in time order, and their catalogues."""
    with Store(target / STORE_NAME) as store:
        found = [e for e in store.exposures().values() if fnmatch(e.name, names)]
        catalogues = {e.digest: store.catalogues([e.digest]) for e in found}
    return [(e, Path(next(iter(catalogues[e.digest].values())).path)) for e in found]


def linked_anew(
    given: list[tuple[Exposure, Path]], folder: Path, *, reference: Path, **changes: object
) -> Linked:
    """What the real SCAMP makes of some frames, with the shipped set-up."""
    folder.mkdir(exist_ok=True)
    arguments: dict[str, object] = {
        "exposures": [exposure for exposure, _ in given],
        "catalogues": [path for _, path in given],
        "binary": astromatic.find("scamp"),
        "config": shipped("semp/ssos.scamp"),
        "reference": reference,
        "remove_ref_sources": False,
        "workdir": folder,
        "time_limit_s": 120.0,
    }
    return link(**{**arguments, **changes})


def movers_of_lowell12(shared: Path) -> pd.DataFrame:
    """Places of the three asteroids that were measured by hand, by the names of our files."""
    table = pd.read_csv(shared / "lowell12" / "truth_movers.csv")
    return table.assign(image=table["image"] + ".fz")
