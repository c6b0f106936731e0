"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from astropy.utils import iers
from hypothesis import settings

from ssosd.analysis.painter.night import PaintedNight
from tests.inspecting import copied
from tests.replaying import ONE_FIELD, Outcome, run
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
