"""SkyBoT is asked while a sequence is being linked, and what it says is what it would have said afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace

import pandas as pd
import pytest

from ssosd.config import load_config
from ssosd.identify.skybot import NOT_ASKED
from ssosd.ingest.sequence import FieldSequence
from ssosd.intake import take_in
from ssosd.plumbing.background import begin
from ssosd.station import Station
from ssosd.work import Access, ask_all, extract_exposure, key_of, link_sequence
from ssosd.work.asking import asking_ahead
from tests.replaying import ONE_FIELD, QUICK
from tests.sky import shared_sky
from tests.skybot_service import SkybotService, listed

_PATIENCE_S = 30.0  # how long what must come is waited for


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Four exposures with their catalogues, and one mover as the service lists it."""
    sky = shared_sky(tmp_path_factory, **ONE_FIELD)
    folder = tmp_path_factory.mktemp("asking")
    given = {**QUICK, "ASTREF_CATALOG": str(sky.refcat)}
    station = Station.open(load_config(None, overrides=given, cwd=folder), folder / "out")
    exposures = [take_in(path, station=station).exposure for path in sky.paths]
    exposures.sort(key=lambda e: e.mjd_mid)
    truth = sky.truth[sky.truth["id"] == "BRIGHT"]
    known = listed(truth).assign(name="Bright", number=100001.0)
    return SimpleNamespace(folder=folder, refcat=sky.refcat, exposures=tuple(exposures), known=known)


def station_for(night, url: str, **changes: str) -> Station:
    given = {
        **QUICK, "ASTREF_CATALOG": str(night.refcat), "CROSSMATCH_SKYBOT": "True", "SKYBOT_URL": url,
        "SKYBOT_TIME_LIMIT": "5", **changes,
    }  # fmt: skip
    return Station.open(load_config(None, overrides=given, cwd=night.folder), night.folder / "out")


def told(answers) -> tuple:
    return (
        answers.known.table.to_csv(),
        answers.known.checked,
        dict(answers.known.unchecked),
        dict(answers.replies),
        answers.wants,
        answers.asked_with,
        answers.was_asked,
        dict(answers.failures),
        answers.answered,
    )


@pytest.mark.binaries
def test_it_is_asked_before_the_linking_is_done(night):
    asked = threading.Event()

    def objects(mjd: float) -> pd.DataFrame:
        asked.set()
        return night.known[(night.known["mjd_mid"] - mjd).abs() < 1e-4]

    seen = {}
    with SkybotService(objects) as service:
        station = station_for(night, service.url)
        catalogues = {
            e.digest: extract_exposure(e, night="n", key=key_of(e, station=station), station=station)
            for e in night.exposures
        }
        result = link_sequence(
            FieldSequence(
                night="2026-11-14", field="F01", ra_deg=0.0, dec_deg=0.0, exposures=night.exposures
            ),
            catalogues,
            station=station,
            progress=lambda stage: seen.setdefault(stage, asked.wait(_PATIENCE_S)),
        )
    assert seen["linking"]
    assert set(result.identified.candidates["MATCH_STATE"]) == {"matched", "unknown"}
    assert result.identified.answers.known.checked == (1, 2, 3, 4)
    assert len(result.identified.answers.replies) == 4


def test_who_is_linked_decides_what_is_told(night):
    """All exposures, or some: as if nobody had asked before; nothing is asked twice."""
    with SkybotService(night.known) as service:
        station = station_for(night, service.url)
        for linked in (night.exposures, night.exposures[1:], night.exposures[:3]):
            plain = ask_all(linked, station, Access())
            before = len(service.requests)
            ask = asking_ahead(night.exposures, station, Access())
            assert told(ask(linked)) == told(plain)
            assert len(service.requests) == before + len(night.exposures)
            assert plain.known.checked == tuple(range(1, len(linked) + 1))


@pytest.mark.parametrize("way", ["http500", "flag-1"])
def test_a_failure_is_told_as_if_asked_afterwards(night, way):
    with SkybotService(night.known, way=way) as service:
        station = station_for(night, service.url, SKYBOT_TIME_LIMIT="1")
        plain = ask_all(night.exposures, station, Access())
        ask = asking_ahead(night.exposures, station, Access())
        assert told(ask(night.exposures)) == told(plain)
        assert plain.was_asked
        assert not plain.known.checked


def test_a_service_that_is_not_needed_is_not_asked(night):
    """Not with CROSSMATCH_SKYBOT False, not while it rests, not before ORBITS that come first."""
    orbits = night.folder / "orbits.dat"
    orbits.touch()
    with SkybotService(night.known) as service:
        for changes, access in (
            ({"CROSSMATCH_SKYBOT": "False"}, Access()),
            ({"KNOWN_SOURCES": "ORBITS,SKYBOT", "ORBITS": str(orbits)}, Access()),
            ({}, Access(skybot=False)),
        ):
            ask = asking_ahead(night.exposures, station_for(night, service.url, **changes), access)
        assert ask(night.exposures).known.because == NOT_ASKED
        assert service.requests == []


def test_a_call_that_never_ends_does_not_keep_the_process():
    """Ctrl-C while a service hangs: the threads of an executor would be waited for."""
    said = "import threading; from ssosd.plumbing.background import begin; begin(threading.Event().wait, name='a')"
    subprocess.run([sys.executable, "-c", said], check=True, timeout=60)


def test_what_a_call_raises_is_raised_where_it_is_asked_for():
    with pytest.raises(ZeroDivisionError):
        begin(lambda: 1 / 0, name="a").result()
