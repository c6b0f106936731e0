"""A daemon and those it asks about the known objects: each failure ends in `unchecked`, and is caught up with."""

from __future__ import annotations

import errno
import gzip
import os
from datetime import UTC, datetime

import numpy as np
import pytest

from ssosd import work
from ssosd.inquiry import Inquiry
from ssosd.reports.tables import read_candidates_csv
from ssosd.site import site_from_code
from ssosd.status import read_status
from ssosd.store import STORE_NAME, Store
from tests.night_store import insert
from tests.orbit_lines import line, line_seen_at, served
from tests.replaying import ONE_FIELD, run
from tests.sky import shared_sky
from tests.skybot_service import SkybotService, listed
from tests.stepping import Rig

pytestmark = pytest.mark.binaries
FAILURES = ("http500", "hang", "drop", "flag-1", "html", "truncated", "nothing", "drip", "geocentric")
SEED = {"LINKER": "SCAMP", "MOTION_FIT": "SEED"}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return shared_sky(tmp_path_factory, **ONE_FIELD)


@pytest.fixture(scope="module")
def known(one):
    """The painted movers, as the service lists them."""
    bright = one.truth["id"] == "BRIGHT"
    return listed(one.truth).assign(
        name=np.where(bright, "Bright", "2015 LA1"), number=np.where(bright, 100001.0, np.nan)
    )


@pytest.fixture(scope="module")
def service(known):
    with SkybotService(known) as service:
        yield service


@pytest.fixture(scope="module")
def live(one, service, tmp_path_factory):
    """A field that was linked while the service failed."""
    service.way = "http500"
    rig = Rig(
        tmp_path_factory.mktemp("live"), reference=one.refcat, CROSSMATCH_SKYBOT=True, SKYBOT_TIME_LIMIT=0.4,
        SKYBOT_URL=service.url, EXPOSURES_PER_FIELD=4, **SEED,
    )  # fmt: skip
    rig.come(*one.paths)
    rig.go(60)
    yield rig
    rig.die()


#: As the draft of the Minor Planet Center names the two.
PACKED = ("A0001", "K15L01A")


def states(rig: Rig) -> set[str]:
    return set(read_candidates_csv(rig.night / "candidates.csv")["MATCH_STATE"])


def anew(rig: Rig, **changes: object) -> None:
    """Another configuration, with which the night, long over, is looked at again."""
    rig.daemon.use(rig.station(**changes))
    rig.daemon.nights.touch("2026-11-14")


def draft(rig: Rig) -> str:
    return "".join(
        p.read_text() for p in sorted((rig.night / "drafts").glob("*.txt")) if p.name != "README.txt"
    )


@pytest.mark.parametrize("way", FAILURES)
def test_each_failure_is_unchecked_and_caught_up_with(live, service, way):
    """The service has failed in one way after another; nobody restarts the daemon, no exposure comes."""
    service.way = way
    live.store.forget_answers(before_s=1e12)
    anew(live, CROSSMATCH_RADIUS=10.0 + 0.01 * FAILURES.index(way))
    live.go(120)
    row = live.sequences["F01"]
    assert (row["state"], row["checked"]) == ("done", 0), row
    assert row["unchecked_because"]
    assert states(live) == {"unchecked"}
    unchecked = draft(live)
    assert len(unchecked.splitlines()) > 8  # it is there all the same
    assert not any(name in unchecked for name in PACKED)
    health = read_status(live.target, now_s=live.clock().timestamp())["services"]["skybot"]
    assert (health["state"], health["health"]) in {("unchecked", "failing"), ("unchecked", "resting")}
    assert health["detail"]
    service.way = "right"
    live.go(3600)
    assert live.sequences["F01"]["checked"] == 1
    assert live.sequences["F01"]["unchecked_because"] is None
    assert states(live) == {"matched"}
    assert all(draft(live).count(name) == 4 for name in PACKED)
    assert live.store.asking() == []
    health = read_status(live.target, now_s=live.clock().timestamp())["services"]["skybot"]
    assert (health["state"], health["health"]) == ("answering", "answering")


def test_a_field_that_cannot_be_compared_holds_nobody_up(live, service, monkeypatch):
    """Its folder cannot be read for a while: it keeps what it has, and everything else goes on."""
    service.way = "http500"
    live.store.forget_answers(before_s=1e12)
    anew(live, CROSSMATCH_RADIUS=10.9)
    live.go(60)
    kept = live.results()["2026-11-14/candidates.csv"]

    def refused(*_, **__):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(live.night / "F01" / "cats"))

    with monkeypatch.context() as away:
        away.setattr(work, "identify", refused)
        live.store.ask_all_again()
        live.go(30)
    assert live.beat["state"] == "watching"
    row = live.sequences["F01"]
    assert (row["state"], row["error_class"]) == ("parked", "Retriable")
    assert "Stale file handle" in row["reason"]
    assert any("former results stay" in said for said in live.events("2026-11-14/F01"))
    assert live.results()["2026-11-14/candidates.csv"] == kept
    live.go(120)
    assert live.states == {"F01": "done"}


def test_a_parked_field_does_not_keep_others_from_being_asked_for(tmp_path):
    """While the service rests one field alone is asked for, the latest: not one that cannot be asked for."""
    now = [1000.0]
    with Store(tmp_path / STORE_NAME, clock=lambda: datetime.fromtimestamp(now[0], UTC)) as store:
        for number, (night, state) in enumerate([("2026-11-15", "parked"), ("2026-11-14", "done")], start=1):
            insert(tmp_path, "sequences", {
                "id": number, "night": night, "field": "F01", "ra_deg": 0.0, "dec_deg": 0.0, "state": state,
                "n_exposures": 0, "folder": "/f",
            })  # fmt: skip
            insert(tmp_path, "asking", {"sequence": number, "reason": "x", "tries": 1, "next_try_s": 0.0})
        inquiry = Inquiry(store)
        assert [row.night for row in inquiry.due()] == ["2026-11-14"]
        inquiry._skybot.failed()
        inquiry._skybot.failed()
        assert inquiry.due() == []
        now[0] += 1e4
        assert [row.night for row in inquiry.due()] == ["2026-11-14"]


def test_a_service_that_rests_is_hardly_asked(live, service):
    """Eight hours in which it fails: some 40 questions at most, not one each round; then it answers."""
    service.way = "http500"
    live.store.forget_answers(before_s=1e12)
    anew(live, CROSSMATCH_RADIUS=11.0)
    before = len(service.requests)
    live.go(2 * 3600)
    assert 5 < len(service.requests) - before < 100
    service.way = "right"
    live.go(3600)
    assert states(live) == {"matched"}


def test_what_was_answered_is_not_asked_again(live, service):
    """Linked with another limit of the chain, the exposures and their known objects are the same."""
    service.way = "right"
    before, linked = len(service.requests), live.sequences["F01"]["fingerprint"]
    anew(live, PM_UP=200)
    live.go(120)
    assert live.sequences["F01"]["fingerprint"] != linked
    assert live.sequences["F01"]["checked"] == 1
    assert len(service.requests) == before


def test_a_replay_catches_up_too(one, service, tmp_path):
    asked = {"CROSSMATCH_SKYBOT": True, "SKYBOT_URL": service.url, "SKYBOT_TIME_LIMIT": 0.4, **SEED}
    service.way = "flag-1"
    first = run(tmp_path / "out", one.directory, reference=one.refcat, **asked)
    assert set(first.candidates["MATCH_STATE"]) == {"unchecked"}
    service.way = "right"
    unchecked = first.draft
    again = run(tmp_path / "out", one.directory, reference=one.refcat, **asked)
    assert set(again.candidates["MATCH_STATE"]) == {"matched"}
    assert again.done.n_extracted == 0
    assert all(name in again.draft and name not in unchecked for name in PACKED)
    fresh = run(tmp_path / "fresh", one.directory, reference=one.refcat, **asked)
    assert fresh.draft == again.draft
    late = again.results
    assert [name for name, text in fresh.results.items() if late.get(name) != text] == []


def test_a_restart_forgets_nothing_that_is_to_be_asked(live, service):
    service.way = "drop"
    live.store.forget_answers(before_s=1e12)
    anew(live, CROSSMATCH_RADIUS=12.0)
    live.go(120)
    assert states(live) == {"unchecked"}
    live.parameters["CROSSMATCH_RADIUS"] = "12.0"
    live.restart()
    service.way = "right"
    live.go(3600)
    assert states(live) == {"matched"}
    n_known = live.store.rows("SELECT n_known FROM sequence_exposures")
    assert [row["n_known"] for row in n_known] == [2] * 4


# ---- files of orbits --------------------------------------------------------------------------------------


def write_orbits(path, known, *, names=("Bright", "2015 LA1")):
    """A compressed file of orbits of painted movers, and of 20 objects elsewhere."""
    first = known.groupby("name", sort=False).first()
    lines = [line(i, 2.5, 0.1, 5.0, 40.0, 50.0, 10.0 * i) for i in range(20)]
    for i, name in enumerate(names, start=20):
        row = first.loc[name]
        lines.append(
            line_seen_at(
                i, epoch_mjd=round(row["mjd_mid"]), name=name, ra=row["ra"], dec=row["dec"],
                pm_ra=row["dra"], pm_dec=row["ddec"], mjd=row["mjd_mid"], site=site_from_code("493"),
            )
        )  # fmt: skip
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))


def test_orbits_are_fetched_and_stay_when_nobody_answers(one, known, tmp_path):
    web = tmp_path / "web"
    web.mkdir()
    with served(web) as address:
        rig = Rig(
            tmp_path, reference=one.refcat, EXPOSURES_PER_FIELD=4, ORBITS="DOWNLOAD",
            ORBITS_URL=f"{address}/MPCORB.DAT.gz", ORBITS_AGE=5, **SEED,
        )  # fmt: skip

        def orbits():
            return read_status(rig.target, now_s=rig.clock().timestamp())["services"]["orbits"]

        rig.come(*one.paths)
        rig.go(60)
        assert states(rig) == {"unchecked"}
        assert "no such file yet" in rig.sequences["F01"]["unchecked_because"]
        assert orbits()["download"] == "failing"
        write_orbits(web / "MPCORB.DAT.gz", known)
        rig.go(3600)
        path = rig.station().orbit_file("ORBITS")
        assert path.read_bytes() == (web / "MPCORB.DAT.gz").read_bytes()
        assert states(rig) == {"matched"}
        table = read_candidates_csv(rig.night / "candidates.csv")
        assert set(table["KNOWN_BY"]) == {"MPCORB"}
        assert set(table["SKYBOT_NAME"]) == {"Bright", "2015 LA1"}
        assert orbits()["state"] == "answering"
        assert orbits()["age_d"] < 0.1
        kept = path.read_bytes()
        for bad in (b"<html>Sorry</html>", gzip.compress(b"x" * 500), kept[: len(kept) // 2]):
            (web / "MPCORB.DAT.gz").write_bytes(bad)
            rig.clock.advance(6 * 86400)
            rig.until(str(rig.clock().date()) + "T12:00:00")
            assert path.read_bytes() == kept
            assert orbits()["download"] == "failing"
        write_orbits(web / "MPCORB.DAT.gz", known, names=())  # 20 of 22: it has shrunk, but not by much
        rig.until(str(rig.clock().date()) + "T22:00:00")
        rig.go(600)
        assert path.read_bytes() != kept
        assert orbits()["download"] == "answering"
        rig.die()


def test_orbits_are_fetched_by_day(one, known, tmp_path):
    """Old by night, they stay until the Sun is up, unless they are very old."""
    web = tmp_path / "web"
    web.mkdir()
    write_orbits(web / "MPCORB.DAT.gz", known)
    with served(web) as address:
        rig = Rig(
            tmp_path, reference=one.refcat, ORBITS="DOWNLOAD", ORBITS_AGE=5,
            ORBITS_URL=f"{address}/MPCORB.DAT.gz",
        )  # fmt: skip
        rig.go(60)
        path = rig.station().orbit_file("ORBITS")
        first_s = path.stat().st_mtime
        rig.until("2026-11-20T02:00:00")
        assert path.stat().st_mtime == first_s
        rig.until("2026-11-20T12:00:00")
        assert path.stat().st_mtime > first_s + 5 * 86400
        rig.die()
