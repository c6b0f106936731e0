"""Orders from outside: another configuration, `ssosd retry`, and targets that are in use."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from ssosd import work
from ssosd.cli import main
from ssosd.daemon.nightwatch import reload_station
from ssosd.errors import Misconfigured, Retriable
from ssosd.ingest.sequence import FieldSequence
from ssosd.pipeline import LinkJob
from ssosd.plumbing.lock import TargetLock
from ssosd.store import STORE_NAME, Store, utc_now
from tests.stepping import Rig

pytestmark = pytest.mark.binaries


# ---- the set-up is read again -------------------------------------------------------------------------


def test_a_bad_configuration_is_refused_and_the_old_one_kept(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(20)
    before = live.daemon.station
    told = []
    reload_station(live.daemon, lambda: live.station(PM_UP="fast"), lambda: told.append(True))
    assert live.daemon.station is before
    assert not told
    assert any("refused, the old one kept" in m and "PM_UP" in m for m in live.events("configuration"))
    live.go(60)
    assert live.states == {"F01": "done"}


def test_a_configuration_that_cannot_be_tried_now_is_refused_too(rig, one):
    """As on a full disk, where the target cannot be written."""
    live = rig(one)
    before = live.daemon.station
    reload_station(live.daemon, _full, lambda: None)
    assert live.daemon.station is before
    assert live.events("configuration") == ["refused, the old one kept: no space left"]


def _full():
    raise Retriable("no space left")


def test_a_new_configuration_changes_tonights_results(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(20)
    assert live.sequences["F01"]["n_candidates"] == 2
    reload_station(live.daemon, lambda: live.station(PM_UP=40), lambda: None)
    live.go(60)
    assert live.sequences["F01"]["n_candidates"] == 1  # the one of 45 "/h is too fast now
    live.parameters["PM_UP"] = "40"
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(one.refcat)


def test_what_concerns_the_drafts_alone_is_in_tonights_drafts(rig, one, monkeypatch):
    """After a reload and after a restart, and nothing is linked anew for it."""
    live = rig(one, EXPOSURES_PER_FIELD=5, DRAFT_POLICY="ALL")
    live.come(*one.paths)
    live.go(60)
    draft = live.night / "drafts" / "unchecked.txt"
    assert "CON" not in draft.read_text()
    monkeypatch.setattr(work, "try_to_link", None)
    live.parameters["SUBMITTER"] = "R. Loaded"
    reload_station(live.daemon, live.station, lambda: None)
    live.go(60)
    assert "CON R. Loaded" in draft.read_text()
    live.parameters["SUBMITTER"] = "R. Started"
    live.restart()
    live.go(60)
    assert "CON R. Started" in draft.read_text()


def test_what_is_read_while_the_configuration_changes_is_read_again(rig, one):
    live = rig(one, OBJECT="FILTER")
    live.come(one.paths[0])
    while not live.readers.jobs:
        live.clock.advance(1.0)
        live.daemon.turn()
    reload_station(live.daemon, lambda: live.station(OBJECT="OBJECT"), lambda: None)
    live.readers.step()  # with what OBJECT was
    live.daemon.turn()
    assert live.exposures == {}
    while not live.exposures:
        live.daemon.turn()
        live.readers.step()
    assert live.exposures[one.paths[0].name]["object"] != live.exposures[one.paths[0].name]["filter"]


def test_work_is_done_with_the_parameters_that_it_was_planned_with(rig, one, monkeypatch):
    live, used = rig(one), []
    monkeypatch.setattr(work, "try_to_link", lambda *_, station, **__: used.append(station))
    sequence = FieldSequence(night="2026-11-14", field="F01", ra_deg=0.0, dec_deg=0.0, exposures=())
    job = LinkJob(
        number=1, sequence=sequence, members=(), catalogues={}, fingerprint="", access=work.Access()
    )
    planned_with = live.daemon.station
    live.daemon.nights._send(job)
    reload_station(live.daemon, lambda: live.station(PM_UP=40), lambda: None)
    live.linkers.step()
    assert used == [planned_with]


def test_what_a_killed_process_had_half_written_is_removed_at_the_start(rig, one):
    live = rig(one)
    live.die()
    left = [
        live.daemon.station.orbit_cache / ".tmp-0-MPCORB.DAT",
        live.daemon.station.own_tiles / "g" / ".tmp-1.cat",
    ]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_text("half")
    live.start()
    live.rounds()
    assert not any(path.exists() for path in left)


# ---- house-keeping ------------------------------------------------------------------------------------


def test_catalogues_are_kept_for_so_many_days_and_not_made_again(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5, KEEP_DAYS=10)
    live.come(*one.paths)
    live.go(30)
    before = live.results()
    kept = live.station().catalogue_folder("2026-11-14")
    for day, there in (("23", True), ("27", False)):
        live.until(f"2026-11-{day}T12:00:00")
        live.daemon.keep_house()
        assert (kept.is_dir(), len(list(kept.glob("*.cat")))) == (there, 5 if there else 0)
    live.restart()
    live.go(60)
    assert not kept.exists()  # nothing was done again
    after = live.results()
    assert {name: after[name] for name in before} == before


def test_catalogues_of_an_unfinished_night_and_with_keep_days_0_are_kept(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5, KEEP_DAYS=1)
    live.come(*one.paths[:4])
    live.go(15, linking=False)
    live.clock.advance(30 * 86400)
    live.daemon.keep_house()
    assert len(list(live.station().catalogue_folder("2026-11-14").glob("*.cat"))) == 4
    live.parameters["KEEP_DAYS"] = "0"
    live.restart()
    live.go(60)
    assert live.states == {"F01": "done"}
    live.daemon.keep_house()
    assert len(list(live.station().catalogue_folder("2026-11-14").glob("*.cat"))) == 4


# ---- orders from the command line ---------------------------------------------------------------------


def cli(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_retry_takes_up_again_while_the_daemon_runs(rig, one, tmp_path):
    live = rig(one, EXPOSURES_PER_FIELD=5, SEQUENCE_TIMEOUT=5, SETTLE_LIMIT=60)
    bad = tmp_path / "bad.fits"
    bad.write_bytes(b"SIMPLE  =                    T" + b" " * 50 + b"garbage")
    live.come(bad, *one.paths[:2])
    live.go(6 * 60)
    assert live.states == {"F01": "parked"}
    assert [row.kind for row in live.store.parked()] == ["file", "sequence"]

    assert cli("retry", "-t", live.target).exit_code == 2  # what?
    nothing = cli("retry", "-t", live.target, "--reason", "no such reason")
    assert nothing.exit_code == 1
    assert "nothing is parked for such a reason" in nothing.stderr
    unknown = cli("retry", "-t", live.target, "nothing.fits")
    assert unknown.exit_code == 1
    assert "nothing.fits: not parked" in unknown.output

    done = cli("retry", "-t", live.target, "--reason", "USABLE exposures")
    assert (done.exit_code, done.output.split()) == (0, ["sequence", "2026-11-14/F01"])
    live.daemon.turn()  # at its next look, whatever the clockwork does
    assert len(live.events("2026-11-14/F01")) == 2  # it was tried again
    assert live.states == {"F01": "parked"}

    shutil.copy2(one.paths[2], live.root / "bad.fits")
    cli("retry", "-t", live.target, "bad.fits", "F01")
    live.clock.advance(1)
    live.daemon.turn()
    live.go(30)
    assert "bad.fits" in live.exposures
    live.go(6 * 60)
    assert live.states == {"F01": "done"}
    assert live.results()["states"] == live.replayed(one.refcat)["states"]


def test_a_verdict_makes_nobody_look_through_the_data_folder(rig, one, monkeypatch):
    live, scans = rig(one), []
    live.rounds()
    monkeypatch.setattr(live.daemon, "scan", lambda: scans.append(1))
    with Store(live.target / STORE_NAME) as inspector:
        inspector.spoil_night("2026-11-14")
    live.daemon.turn()
    assert scans == []
    assert live.store.is_written("2026-11-14")  # its files follow at once


def test_retry_all_without_a_daemon(rig, one):
    live = rig(one, SEQUENCE_TIMEOUT=5)
    live.come(*one.paths[:2])
    live.go(6 * 60)
    live.die()
    done = cli("retry", "--all", "-t", live.target)
    assert done.output.split() == ["sequence", "2026-11-14/F01"]
    again = cli("retry", "--all", "-t", live.target)
    assert (again.exit_code, again.output) == (0, "nothing is parked\n")
    live.start()
    live.go(30)
    assert len(live.events("2026-11-14/F01")) == 2


def test_retry_where_there_is_no_store(tmp_path):
    refused = cli("retry", "--all", "-t", tmp_path)
    assert refused.exit_code == 2
    assert "no store here" in refused.output
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["run", "replay"])
def test_a_target_in_use_is_refused_saying_by_whom(verb, one, tmp_path):
    target = tmp_path / "out"
    with TargetLock(target, purpose="run", now=utc_now()):
        refused = cli(verb, one.directory, "-t", target, "--ASTREF_CATALOG", one.refcat)
    assert refused.exit_code == 2
    assert "in use by ssosd run, process" in refused.output


def test_run_wants_a_folder(one, tmp_path):
    refused = cli("run", tmp_path / "none", "-t", tmp_path / "out", "--ASTREF_CATALOG", one.refcat)
    assert refused.exit_code == 1
    assert "no such folder" in refused.output


def test_run_refuses_a_set_up_that_cannot_work(one, tmp_path):
    refused = cli("run", one.directory, "-t", tmp_path / "out", "--OBSERVATORY_CODE", "ZZZ")
    assert refused.exit_code == 2
    with pytest.raises(Misconfigured):
        Rig(tmp_path, reference=one.refcat, OBSERVATORY_CODE="ZZZ")
