"""A night at the telescope, hour by hour: what the daemon links when, and that a replay gives the same."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from ssosd.daemon.backlog import Backlog, Waiting
from ssosd.daemon.nightwatch import wind_up
from tests.night_store import file_row, insert
from tests.painted import exposure
from tests.replaying import NIGHT
from tests.sky import shared_sky

pytestmark = pytest.mark.binaries
AMBIGUOUS = {**NIGHT, "objects": tuple((f, v, "survey") for f in (1, 2) for v in range(1, 6))}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two interleaved fields, five exposures each."""
    return shared_sky(tmp_path_factory, **NIGHT)


def test_a_field_is_linked_when_all_its_exposures_are_here(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5, MAIL_TO="dome@example.org", SMTP_SERVER="127.0.0.1:1")
    for path in one.paths[:4]:
        live.come(path)
        live.go(15)
    assert live.states == {"F01": "open"}
    assert not (live.night / "candidates.csv").exists() or live.sequences["F01"]["n_candidates"] is None
    live.come(one.paths[4])
    live.go(15)
    row = live.sequences["F01"]
    assert (row["state"], row["complete_because"]) == ("done", "all 5 exposures are here")
    assert (row["n_candidates"], row["partial"]) == (2, 0)
    assert len((live.night / "drafts" / "unchecked.txt").read_text().splitlines()) >= 10
    assert not (live.night / "summary.txt").exists()  # the night goes on
    live.until("2026-11-15T07:00:00")
    summary = json.loads((live.night / "summary.json").read_text())
    assert (summary["audit"]["outcomes"]["exposure"], summary["audit"]["unaccounted"]) == (5, [])
    assert "every file is accounted for" in (live.night / "summary.txt").read_text()
    told = [row["message"] for row in live.store.rows("SELECT * FROM events WHERE subject LIKE 'mail of %'")]
    assert told  # nobody takes mail there; it costs nothing else
    assert all("127.0.0.1:1: the mail is not sent" in message for message in told)
    assert live.results() == live.replayed(one.refcat)


def test_a_pause_completes_a_field_and_a_late_frame_opens_it_again(rig, one):
    live = rig(one, SEQUENCE_TIMEOUT=30)
    live.come(*one.paths[:4])
    live.go(25 * 60)
    assert live.states == {"F01": "open"}
    live.go(6 * 60)
    row = live.sequences["F01"]
    assert (row["state"], row["complete_because"]) == ("done", "no exposure for 30 min, with 4 exposures")
    first = live.results()
    live.come(one.paths[4])
    live.go(60)
    assert live.states == {"F01": "open"}
    assert (live.night / "candidates.csv").read_bytes() == first["2026-11-14/candidates.csv"]  # still there
    live.go(31 * 60)
    assert live.sequences["F01"]["complete_because"] == "no exposure for 30 min, with 5 exposures"
    live.until("2026-11-15T07:00:00")
    again = live.results()
    assert again["2026-11-14/candidates.csv"] != first["2026-11-14/candidates.csv"]
    assert again == live.replayed(one.refcat)


def test_a_late_frame_after_the_report_writes_all_of_it_again(rig, one):
    live = rig(one)
    live.come(*one.paths[:4])
    live.go(30)
    live.until("2026-11-15T07:00:00")
    assert json.loads((live.night / "summary.json").read_text())["audit"]["files"] == 4
    live.come(one.paths[4])
    live.go(60)
    assert json.loads((live.night / "summary.json").read_text())["audit"]["files"] == 5
    assert live.results() == live.replayed(one.refcat)


def test_fewer_than_expected_are_linked_and_marked_partial(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5, SEQUENCE_TIMEOUT=10)
    live.come(*one.paths[:4])
    live.go(11 * 60)
    assert (live.states, live.sequences["F01"]["partial"]) == ({"F01": "done"}, 1)
    assert live.store.rows("SELECT partial FROM tonight") == [{"partial": 1}]
    live.come(one.paths[4])
    live.go(30)
    assert (live.states, live.sequences["F01"]["partial"]) == ({"F01": "done"}, 0)


def test_too_few_are_parked_once_and_linked_when_another_comes(rig, one):
    live = rig(one, SEQUENCE_TIMEOUT=10)
    live.come(*one.paths[:2])
    live.go(11 * 60)
    row = live.sequences["F01"]
    assert row["state"] == "parked"
    assert "2 usable exposures, 3 are needed" in row["reason"]
    live.go(20 * 60)
    live.restart()
    live.go(5 * 60)
    assert len(live.events("2026-11-14/F01")) == 1  # nothing has changed: nothing is tried
    live.come(one.paths[2])
    live.go(11 * 60)
    assert live.states == {"F01": "done"}
    assert live.sequences["F01"]["reason"] is None


def test_the_sun_ends_the_night(rig, one):
    live = rig(one, at="2026-11-15T05:30:00", SEQUENCE_TIMEOUT=600)
    live.come(*one.paths)
    live.go(30)
    assert live.states == {"F01": "open"}
    live.until("2026-11-15T06:05:00")  # the Sun at Calar Alto: -9 deg
    assert live.states == {"F01": "open"}
    live.until("2026-11-15T06:25:00")  # -5 deg
    assert live.sequences["F01"]["complete_because"] == "the night is over, with 5 exposures"
    assert (live.night / "summary.txt").exists()


def test_without_a_site_the_night_ends_at_noon(rig, one):
    live = rig(one, OBSERVATORY_CODE=500, SEQUENCE_TIMEOUT=2000)
    live.come(*one.paths)
    live.until("2026-11-15T11:58:00")
    assert live.states == {"F01": "open"}
    live.until("2026-11-15T12:01:00")
    assert live.states == {"F01": "done"}
    assert (live.night / "summary.txt").exists()


def test_a_quiet_night_gets_its_summary_too(rig, one):
    """Nothing changes at dawn but that it is dawn."""
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(30)
    live.restart()
    live.until("2026-11-15T07:00:00")
    assert (live.night / "summary.txt").exists()


def test_the_report_waits_for_its_time(rig, one):
    live = rig(one, REPORT_TIME="09:00")
    live.come(*one.paths)
    live.until("2026-11-15T08:00:00")
    assert live.states == {"F01": "done"}
    assert not (live.night / "summary.txt").exists()
    live.daemon.inbox.put(live.daemon.report)
    live.go(10)
    assert (live.night / "summary.txt").exists()


def test_fields_complete_by_themselves_and_order_does_not_matter(rig, two):
    live = rig(two, EXPOSURES_PER_FIELD=5)
    first = [p for p in two.paths if "_F01_" in p.name]
    second = [p for p in two.paths if "_F02_" in p.name]
    live.come(second[3], *reversed(first), second[0])
    live.go(15)
    assert live.states == {"F01": "done", "F02": "open"}
    live.come(second[4], second[1], second[2])
    live.go(15)
    assert live.states == {"F01": "done", "F02": "done"}
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(two.refcat)


def test_a_field_that_has_to_change_its_name_leaves_nothing_behind(rig, tmp_path_factory):
    sky = shared_sky(tmp_path_factory, **AMBIGUOUS)
    live = rig(sky, EXPOSURES_PER_FIELD=5)
    live.come(*(p for p in sky.paths if "_F01_" in p.name))
    live.go(15)
    assert live.states == {"survey": "done"}
    live.come(*(p for p in sky.paths if "_F02_" in p.name))
    live.go(15)
    assert set(live.states.values()) == {"done"}
    assert len(live.states) == 2
    assert not (live.night / "survey").exists()
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(sky.refcat)


def test_a_frame_that_comes_while_its_field_is_linked_is_in_the_result(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=4)
    live.come(*one.paths[:4])
    live.go(15, linking=False)
    assert live.states == {"F01": "linking"}
    live.come(one.paths[4])
    live.go(15, linking=False)
    assert len(live.linkers.jobs) == 1  # not twice at once
    live.go(15)
    assert live.states == {"F01": "done"}
    assert not any(live.target.glob("*/.staging-*"))
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(one.refcat)


def test_a_field_that_ends_while_it_is_linked_is_thrown_away(rig, tmp_path_factory):
    sky = shared_sky(tmp_path_factory, **AMBIGUOUS)
    live = rig(sky, EXPOSURES_PER_FIELD=5)
    live.come(*(p for p in sky.paths if "_F01_" in p.name))
    live.go(15, linking=False)
    live.come(*(p for p in sky.paths if "_F02_" in p.name))
    live.go(15, linking=False)
    assert "survey" not in live.states
    live.go(15)
    assert set(live.states.values()) == {"done"}
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(sky.refcat)


def test_what_was_under_way_is_taken_up_again(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.clock.advance(10)
    for _ in range(40):  # read all, begin to extract
        live.daemon.turn()
        live.readers.step()
        live.clock.advance(1)
    assert "extracting" in {row["state"] for row in live.exposures.values()}
    (live.target / ".ssosd" / "scratch" / "extract-of-the-dead").mkdir()
    live.restart()
    live.go(20, linking=False)
    assert live.states == {"F01": "linking"}
    (live.night / ".staging-F01-00000000" / "cats").mkdir(parents=True)
    live.restart()
    live.go(20)
    assert live.states == {"F01": "done"}
    assert not [*live.target.glob(".ssosd/scratch/*"), *live.target.glob("*/.staging-*")]
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(one.refcat)


@pytest.mark.parametrize("where", ["record_catalogue", "record_sequence", "record_draft", "record_written"])
def test_death_right_after_a_step_was_recorded(rig, one, where, monkeypatch):
    """The store knows of the step, nobody else does."""
    live = rig(one, EXPOSURES_PER_FIELD=5)
    recorded = getattr(type(live.store), where)

    class KilledError(Exception):
        pass

    def record_and_die(self, *args, **kwargs):
        recorded(self, *args, **kwargs)
        raise KilledError

    live.come(*one.paths)
    with monkeypatch.context() as patch:
        patch.setattr(type(live.store), where, record_and_die)
        with pytest.raises(KilledError):
            live.go(30)
    live.restart()
    live.go(30)
    assert live.states == {"F01": "done"}
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(one.refcat)


def test_a_copy_with_an_earlier_name_renames_the_exposure_even_after_death(rig, one):
    """The name is in the candidates' table: it must be the one that a replay would give."""
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(20)
    shutil.copy2(one.paths[2], live.root / "0_copy.fits")
    live.daemon.hint(live.root / "0_copy.fits")
    live.clock.advance(10)
    while "0_copy.fits" not in live.exposures:
        live.clock.advance(5)
        live.daemon.turn()
        live.readers.step()
    live.restart()
    live.go(30)
    live.until("2026-11-15T07:00:00")
    assert "0_copy.fits" in (live.night / "candidates.csv").read_text()
    assert live.results() == live.replayed(one.refcat)


def test_a_file_that_is_replaced_by_another_exposure(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=4)
    live.come(*one.paths[:4])
    live.go(20)
    assert live.states == {"F01": "done"}
    shutil.copy2(one.paths[4], live.root / one.paths[0].name)
    live.daemon.hint(live.root / one.paths[0].name)
    live.go(30)
    assert live.states == {"F01": "done"}
    live.until("2026-11-15T07:00:00")
    assert live.results() == live.replayed(one.refcat)


def test_a_clock_that_is_put_back_keeps_nobody_waiting(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths[:4])
    live.go(15)
    live.clock.advance(-7200)
    live.come(one.paths[4])
    live.go(60)
    assert live.states == {"F01": "done"}
    assert (live.night / "candidates.csv").exists()


def test_a_clock_that_is_put_back_holds_no_sequence_open(rig, one):
    """What came before it was put back came at a time to come, and SEQUENCE_TIMEOUT would count from then."""
    live = rig(one, SEQUENCE_TIMEOUT=2)
    live.come(*one.paths[:3])
    live.go(15, linking=False)
    live.clock.advance(-7200)
    live.go(210, linking=False)
    assert live.states == {"F01": "linking"}


def test_a_clock_that_is_put_back_during_a_pause_keeps_nobody_waiting(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.go(15)
    live.daemon.inbox.put((live.root / "nothing there").stat)
    live.daemon.turn()
    assert live.beat["state"] == "watching"
    live.daemon.beat()
    assert live.beat["state"] == "waiting"
    live.clock.advance(-7200)
    live.come(*one.paths)
    live.go(60)
    assert live.states == {"F01": "done"}


def test_a_clock_that_is_put_forward_while_a_night_is_looked_at_keeps_it_waiting_a_minute_at_most(
    rig, one, monkeypatch
):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    group, leaps = live.daemon.corridor.group, [3 * 3600]

    def leap(night):
        live.clock.advance(leaps.pop() if leaps else 0)
        return group(night)

    monkeypatch.setattr(live.daemon.corridor, "group", leap)
    live.come(*one.paths)
    live.go(120)
    assert live.states == {"F01": "done"}
    assert (live.night / "candidates.csv").exists()


def test_a_clock_that_is_put_back_lets_what_failed_wait_no_longer(rig, one):
    """A clock that was ahead at the start, as where its battery is empty or it runs on local time."""
    live = rig(one)
    live.rounds()
    inquiry = live.daemon.corridor.inquiry
    for _ in range(2):
        inquiry._skybot.failed()
    row = file_row("bad.fits", "parked", next_try_s=live.store.now_s + 60.0)
    insert(live.target, "files", row)
    live.clock.advance(-86400.0)
    live.daemon.turn()
    waits_s = live.store.file(row["path"]).next_try_s - live.store.now_s
    assert (waits_s, inquiry._skybot.next_try_s - live.store.now_s) == (60.0, 60.0)


def test_the_clockwork_goes_on_when_the_clock_is_put_back(rig, one, monkeypatch):
    """Its jobs are due at times of the clock: they are wound up again."""
    live = rig(one)
    scheduler = BackgroundScheduler(timezone="UTC")
    wind_up(scheduler, live.daemon)
    scheduler.start(paused=True)
    try:
        live.daemon.on_clock_put_back = lambda: wind_up(scheduler, live.daemon)
        later = datetime.now(UTC) + timedelta(hours=2)
        for job in scheduler.get_jobs():
            job.modify(next_run_time=later)  # as the clock was two hours ahead when they were last due
        live.daemon.turn()
        assert min(job.next_run_time for job in scheduler.get_jobs()) == later
        live.clock.advance(-7200)
        live.daemon.turn()
        assert min(job.next_run_time for job in scheduler.get_jobs()) < datetime.now(UTC) + timedelta(
            minutes=1
        )
    finally:
        scheduler.shutdown(wait=False)


def test_nights_of_the_archive_wait_behind_tonight():
    queue = Backlog()
    frames = [
        Waiting(exposure=exposure(f"/d/{n}.fits", digest=f"{n:032x}", mjd_mid=mjd), night=night, key=f"k{n}")
        for n, (night, mjd) in enumerate([("2026-11-12", 1.0), ("2026-11-14", 3.2), ("2026-11-14", 3.1)])
    ]
    queue.add(frames)
    queue.add(frames)
    assert (len(queue), queue.has("2026-11-12"), queue.has("2026-11-13")) == (3, True, False)
    assert [queue.next().key for _ in range(3)] == ["k2", "k1", "k0"]
    assert (queue.next(), queue.has("2026-11-12"), len(queue)) == (None, False, 0)


def test_an_exposure_whose_night_is_corrected_keeps_one_place_in_the_queue():
    queue = Backlog()
    frame = exposure("/d/a.fits", digest="a" * 32, mjd_mid=1.0)
    queue.add([Waiting(exposure=frame, night="2026-11-12", key="old")])
    queue.add([Waiting(exposure=frame, night="2026-11-13", key="new")])
    assert (len(queue), queue.has("2026-11-12")) == (1, False)
    assert queue.next().key == "new"
    assert queue.next() is None


def test_no_more_at_once_than_workers_and_a_sequence_does_not_wait_for_them(rig, two):
    live = rig(two, EXPOSURES_PER_FIELD=5, WORKERS=2)
    first = [p for p in two.paths if "_F01_" in p.name]
    live.come(*first)
    live.go(10, linking=False)
    live.come(*(p for p in two.paths if "_F02_" in p.name))
    for _ in range(60):
        live.clock.advance(1)
        live.daemon.turn()
        live.readers.step()
    assert len(live.extractors.jobs) == 2
    assert live.linkers.step()
    live.daemon.turn()
    assert live.states["F01"] == "done"


def test_unfinished_old_nights_are_taken_up_at_start(rig, one):
    live = rig(one, at="2026-11-20T22:00:00")
    live.come(*one.paths)
    live.go(15, linking=False)
    live.restart()
    live.go(30)
    assert live.states == {"F01": "done"}
    assert live.results() == live.replayed(one.refcat)


def test_the_heartbeat_counts_what_is_to_be_done(rig, one):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.daemon.turn()
    live.daemon.beat()
    assert (live.beat["state"], live.beat["settling"], live.beat["folder"]) == ("watching", 5, str(live.root))
    live.go(15, linking=False)
    live.daemon.beat()
    assert (live.beat["settling"], live.beat["queued"], live.beat["linking"]) == (0, 0, 1)
    live.daemon.farewell()
    assert live.beat["state"] == "stopped"
