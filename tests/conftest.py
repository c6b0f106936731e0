"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.utils import iers
from hypothesis import settings

iers.conf.auto_download = False  # no network, and the table that comes with astropy is good enough
iers.conf.auto_max_age = None

settings.register_profile("untimed", deadline=None)  # how quick a machine is, is nobody's fault
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real and simulated observations that lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the observations in {SHARED} are not here")
    return SHARED
