"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.utils import iers
from hypothesis import settings

from ssosd.analysis.painter.night import PaintedNight
from ssosd.linker.scamp.link import Linked
from tests.inspecting import copied
from tests.replaying import ONE_FIELD, SEED_FLAGS, Outcome, run
from tests.shared_nights import (
    LONGEST,
    frames,
    linked_anew,
    lowell12_flags,
    no_network,
    replayed,
    scope_of,
    sim2_flags,
)
from tests.sky import shared_sky
from tests.stepping import Rig

iers.conf.auto_download = False  # no network, and the table that comes with astropy is good enough
iers.conf.auto_max_age = None

# How quick a machine is, is nobody's fault; and who changes nothing shall see no test fail. `make explore` looks
# for cases that nobody has seen.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("exploring", deadline=None)
settings.load_profile("repeatable")

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real and simulated observations that lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the observations in {SHARED} are not here")
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest is begun first: no worker is left alone with it at the end."""
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(scope_of(item.path), len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As --dist loadfile, and modules that share a replay have the same worker."""
    from xdist.scheduler import LoadFileScheduling

    class ByReplay(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(Path(super()._split_scope(nodeid)))

    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # by the number of tests
    return ByReplay(config, log)


@pytest.fixture(scope="session")
def lowell12_seed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Target of the real night by the set-up and the rules of the seed; read-only."""
    out = tmp_path_factory.mktemp("lowell12") / "out"
    said = replayed(*lowell12_flags(shared_data), "-t", out, *SEED_FLAGS, "--DRAFT_POLICY", "ALL")
    assert "12 files, 12 extracted" in said
    return out


@pytest.fixture(scope="session")
def lowell12(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Target of the real night by the defaults with a file of orbits, and what the console said; read-only.

    Whoever asks the network fails the test.
    """
    out = tmp_path_factory.mktemp("known") / "out"
    with no_network():
        orbits = shared_data / "orbits" / "aas247_mpcorb.dat"
        said = replayed(*lowell12_flags(shared_data), "-t", out, "--ORBITS", orbits)
    return out, said


@pytest.fixture(scope="session")
def sim2_seed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Target of the simulated night by the set-up and the rules of the seed, at a CROSSID_RADIUS of 25"."""
    out = tmp_path_factory.mktemp("sim2") / "out"
    assert "10 files, 10 extracted" in replayed(*sim2_flags(shared_data), "-t", out, *SEED_FLAGS)
    return out


@pytest.fixture(scope="session")
def sim2_linked(
    sim2_seed: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Linked]:
    """Both fields of the simulated night as SCAMP links them at a CROSSID_RADIUS of 10", of the second three frames."""
    return {
        field: linked_anew(
            frames(sim2_seed, f"*_{field}_*")[:count],
            tmp_path_factory.mktemp(field),
            reference=shared_data / "sim2" / f"refcat_{field}.cat",
            crossid_radius_arcsec=10.0,
        )
        for field, count in (("F01", 5), ("F02", 3))
    }


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> PaintedNight:
    """One field, five exposures."""
    return shared_sky(tmp_path_factory, **{**ONE_FIELD, "exposures": 5})


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes daemons that look for the reference stars of a sky; they die with the test."""
    made: list[Rig] = []

    def make(sky: PaintedNight, **options: object) -> Rig:
        made.append(Rig(tmp_path, reference=sky.refcat, **options))
        return made[-1]

    yield make
    for each in made:
        each.die()


@pytest.fixture(scope="session")
def undisturbed(one: PaintedNight, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Results of a night on which nothing went wrong."""
    live = Rig(tmp_path_factory.mktemp("quiet"), reference=one.refcat, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(30)
    found = live.in_the_morning()
    live.die()
    return found


@pytest.fixture(scope="session")
def inspectable(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A field of two movers with cutouts; not to be written to."""
    night = shared_sky(tmp_path_factory, **ONE_FIELD)
    out = tmp_path_factory.mktemp("inspectable") / "out"
    return run(out, night.directory, reference=night.refcat, EXTRACT_CUTOUTS=True, CUTOUT_SIZE=60)


@pytest.fixture
def inspected(inspectable: Outcome, tmp_path: Path) -> Path:
    """A copy of that target, for verdicts."""
    return copied(inspectable, tmp_path / "target")
