"""Disks that are full, or read-only, or lose files: the daemon stays up, says so, and goes on by itself."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from astropy.io import fits

from ssosd import work
from ssosd.errors import Misconfigured
from ssosd.plumbing.resources import shipped
from tests.stepping import Rig, results

pytestmark = pytest.mark.binaries


@pytest.mark.parametrize(
    "method",
    [
        *("record_exposure", "claim_exposure", "record_catalogue", "regroup", "claim_sequence"),
        *("record_sequence", "record_draft", "record_written", "beat", "release_claims"),
    ],
)
def test_a_full_disk_under_the_store(rig, one, undisturbed, method, monkeypatch):
    """At any step: the daemon stays up, says so, and goes on by itself."""
    live = rig(one, EXPOSURES_PER_FIELD=5)
    monkeypatch.setattr(
        type(live.store), method, lambda *_, **__: fail(sqlite3.OperationalError("database or disk is full"))
    )
    live.come(*one.paths)
    live.go(60)
    assert not (live.night / "summary.txt").exists()
    monkeypatch.undo()
    live.go(150)
    assert live.states == {"F01": "done"}
    assert any("disk is full" in message for message in live.events("daemon"))
    assert live.in_the_morning() == undisturbed
    assert live.beat["state"] == "watching"


def fail(error):
    raise error


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mount: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place, *, leave_mb=0.0):
    """Write a file that leaves this much room."""
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        try:
            free = shutil.disk_usage(place).free - int(leave_mb * 1e6)
            while free > 0:
                file.write(bytes(min(free, 4096)))
                file.flush()
                free = shutil.disk_usage(place).free - int(leave_mb * 1e6)
        except OSError:
            pass
    return ballast


def test_a_disk_that_is_full(rig, one, undisturbed, small_disk):
    live = rig(one, target=small_disk / "out", EXPOSURES_PER_FIELD=5)
    live.come(*one.paths[:2])
    live.go(20)
    ballast = fill(small_disk)
    live.come(*one.paths[2:])
    live.go(60)
    assert not live.daemon.stopping
    ballast.unlink()
    live.go(150)
    assert {row["state"] for row in live.exposures.values()} == {"extracted"}
    assert (live.states, live.store.parked()) == ({"F01": "done"}, [])
    assert live.in_the_morning() == undisturbed


def test_too_little_room_is_said_and_waited_for(rig, one, undisturbed, small_disk):
    live = rig(one, target=small_disk / "out", EXPOSURES_PER_FIELD=5, MIN_FREE_DISK=0.03)
    ballast = fill(small_disk, leave_mb=20)
    live.come(*one.paths)
    live.go(60)
    assert {row["state"] for row in live.exposures.values()} == {"read"}
    assert (live.beat["state"], "less than 0.03 GB free" in live.beat["detail"]) == ("waiting", True)
    assert len([m for m in live.events("disk") if "work waits" in m]) == 1
    ballast.unlink()
    live.go(60)
    assert (live.states, live.beat["state"]) == ({"F01": "done"}, "watching")
    assert live.in_the_morning() == undisturbed


@pytest.mark.parametrize("part", [".ssosd", "2026-11-14"])
def test_a_target_that_becomes_read_only(rig, one, undisturbed, small_disk, part):
    live = rig(one, target=small_disk / "out", EXPOSURES_PER_FIELD=5)
    live.come(*one.paths[:2])
    live.go(20)
    place = live.target / part
    place.mkdir(exist_ok=True)
    for options in (["--bind", place, place], ["-o", "remount,bind,ro", place]):
        done = subprocess.run(["mount", *options], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"mount {options[0]}: {done.stderr.decode().strip()}")
    live.come(*one.paths[2:])
    live.go(60)
    assert (live.beat["state"], "Read-only" in live.beat["detail"]) == ("waiting", True)
    subprocess.run(["umount", place], check=True)
    live.go(150)
    assert (live.states, live.store.parked()) == ({"F01": "done"}, [])
    assert live.in_the_morning() == undisturbed


def test_room_runs_out_while_programs_work(rig, one, undisturbed, small_disk, monkeypatch):
    """The failure is the disk's: nobody is parked for it."""
    live = rig(one, target=small_disk / "out", EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    real = work.extract_exposure
    ballast = []

    def into_a_full_disk(exposure, **options):
        if not ballast:
            ballast.append(fill(small_disk))
        return real(exposure, **options)

    monkeypatch.setattr(work, "extract_exposure", into_a_full_disk)
    live.go(40)
    assert live.store.parked() == []
    ballast[0].unlink()
    live.go(150)
    assert (live.states, live.store.parked()) == ({"F01": "done"}, [])
    assert live.in_the_morning() == undisturbed


def test_data_that_are_unmounted_while_they_are_worked_on(rig, one, undisturbed):
    """Longer than all tries take: what failed meanwhile is taken up when the files are there again."""
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    while len(live.exposures) < len(one.paths):
        live.clock.advance(5)
        live.daemon.turn()
        while live.readers.step():
            live.daemon.turn()
    away = live.root.rename(live.root.with_name("away"))
    live.root.mkdir()
    live.go(1800)
    assert {row["state"] for row in live.exposures.values()} == {"parked"}
    assert {row["next_try_s"] for row in live.exposures.values()} == {None}
    live.root.rmdir()
    away.rename(live.root)
    live.go(120)
    assert {row["state"] for row in live.exposures.values()} == {"extracted"}
    assert live.in_the_morning() == undisturbed


def test_a_data_folder_that_is_away_is_said_and_is_no_fine_state(rig, one):
    live = rig(one)
    live.come(one.paths[0])
    live.go(60)
    away = live.root.rename(live.root.with_name("away"))
    live.go(300)
    assert (live.beat["state"], live.beat["detail"]) == ("waiting", "the data folder is not there")
    assert [message.split(" (")[0] for message in live.events(str(live.root))] == [
        "the data folder is not there"
    ]
    away.rename(live.root)
    live.come(one.paths[1])
    live.go(60)
    assert (live.beat["state"], live.beat["detail"]) == ("watching", "")
    assert live.events(str(live.root))[1:] == ["the data folder is back"]
    assert len(live.exposures) == 2


def test_an_empty_mount_point_is_no_data_folder(rig, one, small_disk):
    live = rig(one)
    subprocess.run(["mount", "--bind", small_disk, live.root], check=True)
    try:
        live.come(one.paths[0])
        live.go(60)
        (live.root / one.paths[0].name).unlink()  # the camera's computer may clear it in the morning
        live.go(60)
        assert live.beat["state"] == "watching"
    finally:
        subprocess.run(["umount", live.root], check=True)
    live.go(60)
    assert (live.beat["state"], live.beat["detail"]) == ("waiting", "the data folder is not mounted any more")


def test_a_folder_that_cannot_be_read_is_told_once_and_again_when_it_is_back(rig, one, monkeypatch):
    live = rig(one)
    closed = live.root / "2026-11-14"
    closed.mkdir()
    shutil.copy2(one.paths[0], closed)
    real = os.scandir

    def scandir(path="."):
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        live.go(300)
    assert live.events(str(closed)) == [
        "its files are not seen: it cannot be read: Permission denied"
        " (let the user of the daemon read it (docs/daemon.md), or name it in EXCLUDE)"
    ]
    assert live.beat["state"] == "watching"
    live.go(60)
    assert live.events(str(closed))[1:] == ["nothing there is unreadable any more"]
    assert len(live.exposures) == 1


def test_data_that_are_unmounted_while_they_are_linked(rig, one):
    """There are results at once, and with their pictures when the files are there again."""
    live = rig(one, EXPOSURES_PER_FIELD=5, EXTRACT_CUTOUTS=True)
    live.come(*one.paths)
    live.go(15, linking=False)
    assert live.states == {"F01": "linking"}
    away = live.root.rename(live.root.with_name("away"))
    live.root.mkdir()
    live.go(120)
    assert live.states == {"F01": "done"}
    blind = live.results()
    live.go(600)
    assert live.results() == blind
    live.root.rmdir()
    away.rename(live.root)
    live.go(120)
    assert live.in_the_morning() == live.replayed(one.refcat) != blind


def test_results_of_files_that_were_taken_away_outlive_other_parameters(rig, one):
    """Archived in the morning; whatever the catalogues or the filters depend on changes the day after."""
    live = rig(one, EXPOSURES_PER_FIELD=5, EXTRACT_CUTOUTS=True)
    live.come(*one.paths)
    live.go(20)
    done = live.results()
    away = live.root.rename(live.root.with_name("away"))
    live.root.mkdir()
    other = live.root.parent / "other.sex"
    other.write_text(
        shipped("semp/ssos.sex").read_text().replace("DETECT_THRESH    1.0", "DETECT_THRESH    1.3")
    )
    for changed in ({"PM_UP": "40"}, {"SEX_CONFIG": str(other)}):
        live.parameters |= changed
        live.restart()
        live.go(1800)
        assert live.results() == done
        assert live.store.parked() == []
    assert len([m for m in live.events("2026-11-14/F01") if "keeps its results" in m]) == 2
    live.root.rmdir()
    away.rename(live.root)
    live.go(120)
    assert live.in_the_morning() == live.replayed(one.refcat) != done


def test_exposures_that_another_night_is_written_over_keep_their_results(rig, one):
    """A camera that counts from 1 every night; later the files that are left are taken away, too."""
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(20)
    done = live.in_the_morning()
    live.until("2026-11-15T22:00:00")
    for path, kind in zip(one.paths, ("object", "bias"), strict=False):
        with fits.open(path) as hdus:
            hdus[0].header["DATE-OBS"] = hdus[0].header["DATE-OBS"].replace("2026-11-14", "2026-11-15")
            hdus[0].header["IMAGETYP"] = kind
            hdus.writeto(live.root / path.name, overwrite=True)
        live.daemon.hint(live.root / path.name)
    live.go(60)
    assert {row["night"] for row in live.exposures.values()} == {"2026-11-14", "2026-11-15"}
    assert len(live.exposures) == 6
    assert live.results()["2026-11-14/candidates.csv"] == done["2026-11-14/candidates.csv"]
    assert any("written over" in m for m in live.events(one.paths[0].name))


def test_files_that_are_packed_in_place_are_the_same_exposures(rig, one, undisturbed):
    live = rig(one, EXPOSURES_PER_FIELD=5, EXTRACT_CUTOUTS=True)
    live.come(*one.paths)
    live.go(20)
    pictures = sorted(p.name for p in (live.night / "F01" / "cutouts").iterdir())
    for path in sorted(live.root.iterdir()):
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 1))
        live.daemon.hint(packed)
    live.go(60)
    for path in live.root.glob("*.fits"):
        path.unlink()
    live.go(900)
    assert live.states == {"F01": "done"}
    assert {Path(row["path"]).suffix for row in live.exposures.values()} == {".gz"}
    assert sorted(p.name for p in (live.night / "F01" / "cutouts").iterdir()) == pictures
    again, replayed = live.in_the_morning(), live.replayed(one.refcat)
    differ = {name for name in {*again, *replayed} if again.get(name) != replayed.get(name)}
    assert differ <= {f"2026-11-14/{name}" for name in ("summary.json", "summary.txt", "report.html")}
    assert "5 of 5 exposures linked" in (live.night / "report.html").read_text()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_target_that_is_no_more_ends_the_daemon(rig, one, replaced):
    """It would work all night for a file without a name."""
    live = rig(one)
    live.come(one.paths[0])
    live.go(60)
    live.target.rename(live.target.with_name("moved"))
    if replaced:
        shutil.copytree(live.target.with_name("moved"), live.target)
    live.daemon.inbox.put(live.daemon.beat)
    with pytest.raises(Misconfigured, match=r"out/ssosd\.db: deleted or replaced while the daemon worked"):
        live.daemon.run()
    live.restart()
    live.come(one.paths[1])
    live.go(60)
    assert len(live.exposures) == 2


def test_results_that_vanish_are_made_again(rig, one, undisturbed):
    live = rig(one, EXPOSURES_PER_FIELD=5)
    live.come(*one.paths)
    live.go(20)
    (live.night / "F01" / "cats" / "candidates.csv").unlink()
    live.store.spoil_night("2026-11-14")
    live.daemon.look_at_the_time()
    live.go(90)
    assert any("linked again" in message for message in live.events("2026-11-14/F01"))
    assert live.in_the_morning() == undisturbed


def test_a_catalogue_that_vanishes_is_made_again_only_when_it_is_needed(rig, one, undisturbed):
    live = rig(one, EXPOSURES_PER_FIELD=4)
    live.come(*one.paths[:4])
    live.go(20)
    shutil.rmtree(live.target / ".ssosd" / "catalogues")
    live.daemon.look_at_the_time()
    live.go(20)
    assert not (live.target / ".ssosd" / "catalogues").exists()
    live.come(one.paths[4])
    live.go(20)
    assert live.states == {"F01": "done"}
    assert live.in_the_morning() == undisturbed


def test_times_of_trial_do_not_get_into_the_results(undisturbed, one, tmp_path):
    """Another day's clock, the same night: the same bytes."""
    live = Rig(tmp_path, reference=one.refcat, EXPOSURES_PER_FIELD=5)
    live.clock.now = datetime(2027, 3, 1, 12, 30, tzinfo=UTC)
    live.come(*reversed(one.paths))
    live.go(60)
    live.die()
    assert results(live.target) == undisturbed
