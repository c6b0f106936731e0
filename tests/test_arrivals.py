"""Every way in which a file arrives ends as exactly one exposure; nothing is taken half, nothing twice."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ssosd.errors import BadInput, Retriable
from ssosd.ingest.watcher import nameless
from ssosd.intake import admit
from ssosd.pipeline import Corridor
from tests.frames import header, pixels, write
from tests.watched import Watched, frame, mef, station_for


@pytest.fixture
def night(tmp_path):
    return Watched(tmp_path / "data", tmp_path / "target")


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def other_file_system(tmp_path: Path) -> Path:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or folder.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to move from")
    return folder / f"ssosd-test-{os.getpid()}"


def live(night, **place):
    """As a daemon whose site is (now) elsewhere."""
    night.station = replace(night.station, site=replace(night.station.site, **place))
    night.corridor = Corridor(station=night.station, store=night.store, is_live=True)
    night.settle()


# ---- the ways of arrival --------------------------------------------------------------------------------


@pytest.mark.parametrize("hinted", [True, False], ids=["hints", "scan alone"])
@pytest.mark.parametrize("step", [1, 7, 2880, 5000])
def test_slow_write_in_place(night, elsewhere, hinted, step):
    """Whatever the pace, and whether we look between any two bytes: one row, whole."""
    whole = frame(elsewhere / "a.fits").read_bytes()
    path = night.root / "a.fits"
    pieces = [
        whole[at : at + max(step, len(whole) // 12)]
        for at in range(0, len(whole), max(step, len(whole) // 12))
    ]
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        night.hint(path) if hinted else night.scan()
        for _ in range(6):
            night.tick()
            assert not night.recorded
    night.settle()
    assert [taken.size_bytes for taken in night.recorded] == [len(whole)]
    assert night.outcomes() == {"a.fits": "exposure"}


@pytest.mark.parametrize("at", [0, 1, 2880, 5760, 9000])
def test_slow_write_with_a_pause_longer_than_the_settle_time(night, elsewhere, at):
    whole = frame(elsewhere / "a.fits").read_bytes()
    path = night.root / "a.fits"
    path.write_bytes(whole[:at])
    night.settle(300)
    assert not night.recorded
    path.write_bytes(whole)
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}
    assert len(night.recorded) == 1


def test_rsync_with_its_hidden_name_and_rename(night, elsewhere):
    whole = frame(elsewhere / "a.fits").read_bytes()
    hidden = night.root / ".a.fits.Xy12Zz"
    for half in (whole[:4000], whole):
        hidden.write_bytes(half)
        night.hint(hidden)
        night.settle()
    assert len(night.arrivals) == 0
    path = hidden.rename(night.root / "a.fits")
    night.hint(hidden)
    night.hint(path)
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


def test_temporary_name_with_fits_suffix_that_is_renamed(night):
    path = frame(night.root / "tmp0001.fits")
    night.scan()
    night.tick()
    path.rename(night.root / "a.fits")
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}
    assert len(night.arrivals) == 0


def test_renamed_after_it_was_taken(night):
    """The exposure follows its file; the old name is gone, visibly."""
    path = frame(night.root / "tmp0001.fits")
    night.settle()
    (night.root / "2026-11-14").mkdir()
    path.rename(night.root / "2026-11-14" / "a.fits")
    night.settle()
    night.settle()
    assert night.outcomes() == {"2026-11-14/a.fits": "exposure", "tmp0001.fits": "gone"}
    [exposure] = night.store.exposures().values()
    assert exposure.path == str(night.root / "2026-11-14" / "a.fits")
    before = len(night.recorded)
    night.settle()
    assert len(night.recorded) == before


def test_unmounted_data_lose_nothing(night):
    frame(night.root / "a.fits")
    night.settle()
    night.root.rename(night.root.with_name("unmounted"))
    night.root.mkdir()
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


def test_move_from_the_same_file_system(night, elsewhere):
    frame(elsewhere / "a.fits").rename(night.root / "a.fits")
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


def test_move_from_another_file_system(night, tmp_path):
    folder = other_file_system(tmp_path)
    folder.mkdir()
    try:
        source = frame(folder / "a.fits")
        os.utime(source, (1_000_000_000, 1_000_000_000))  # mv keeps the time of change: it says nothing
        shutil.move(source, night.root / "a.fits")
    finally:
        shutil.rmtree(folder)
    night.hint(night.root / "a.fits")
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


@pytest.mark.parametrize("hinted", [True, False], ids=["hint of the folder", "scan alone"])
def test_copied_folder(night, elsewhere, hinted):
    for k in range(6):
        frame(elsewhere / f"n{k % 3}" / "deep" / f"{k}.fits", k)
    shutil.copytree(elsewhere, night.root / "archive")
    if hinted:
        night.hint(night.root / "archive")
        for _ in range(20):
            night.tick()
    else:
        night.settle()
    assert len(night.recorded) == 6
    assert len(night.exposures()) == 6


def test_hard_and_symbolic_links(night, elsewhere):
    outside = frame(elsewhere / "outside.fits", 1)
    (night.root / "soft.fits").symlink_to(outside)
    os.link(outside, night.root / "hard.fits")
    (night.root / "dangling.fits").symlink_to(elsewhere / "not yet.fits")
    night.settle()
    assert night.outcomes() == {"hard.fits": "exposure", "soft.fits": "duplicate"}
    frame(elsewhere / "not yet.fits", 2)
    night.settle()
    assert night.outcomes() == {
        "dangling.fits": "exposure",
        "hard.fits": "exposure",
        "soft.fits": "duplicate",
    }
    assert len(night.exposures()) == 2


def test_linked_folders_are_walked_once_and_never_in_circles(night, elsewhere):
    frame(elsewhere / "disk2" / "a.fits", 1)
    frame(night.root / "n1" / "b.fits", 2)
    (night.root / "tonight").symlink_to(elsewhere / "disk2")
    (elsewhere / "disk2" / "back").symlink_to(night.root)
    (night.root / "n1" / "up").symlink_to(night.root)
    (night.root / "again").symlink_to(night.root / "n1")
    night.settle()
    assert night.outcomes() == {"n1/b.fits": "exposure", "tonight/a.fits": "exposure"}


def test_files_already_there_at_start(night):
    for k in range(5):
        frame(night.root / "2026-11-13" / f"{k}.fits", k)
    night.settle()
    assert set(night.outcomes().values()) == {"exposure"}
    assert len(night.exposures()) == 5


def test_pipes_and_folders_named_like_files_are_passed_over(night):
    os.mkfifo(night.root / "pipe.fits")
    (night.root / "folder.fits").mkdir()
    frame(night.root / "folder.fits" / "a.fits")
    for name in ("pipe.fits", "folder.fits"):
        night.hint(night.root / name)
    night.settle()
    assert night.outcomes() == {"folder.fits/a.fits": "exposure"}


def refusing(path: Path):
    """`Path.open` that does not open this path."""
    real = Path.open

    def open_(self, *args, **kwargs):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    return open_


def test_file_that_becomes_readable_late(night, monkeypatch):
    path = frame(night.root / "a.fits")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refusing(path))
        night.settle(60)
    assert not night.recorded
    night.settle(120)
    assert night.outcomes() == {"a.fits": "exposure"}


def test_a_file_that_may_not_be_read_is_parked_with_what_to_do(night, monkeypatch):
    path = frame(night.root / "a.fits")
    monkeypatch.setattr(Path, "open", refusing(path))
    night.wait_long()
    [row] = night.store.rows("SELECT outcome, error_class, reason, next_step FROM files")
    assert list(row.values()) == [
        *("parked", "Unreadable", "a.fits: cannot be read: Permission denied"),
        "let the user of the daemon read it (docs/daemon.md)",
    ]
    assert [row.key for row in night.store.refused_files()] == [str(path)]


def test_a_parked_file_is_looked_at_again_on_a_hint(night):
    """`chmod` changes neither size nor time of change."""
    path = frame(night.root / "a.fits")
    night.settle()
    night.store.park_file(
        path,
        size_bytes=path.stat().st_size,
        mtime_ns=path.stat().st_mtime_ns,
        read_with=night.station.read_with,
        night="2026-11-14",
        error=BadInput("a.fits: not whole: it cannot be read: Permission denied"),
    )
    night.settle()
    assert night.outcomes() == {"a.fits": "parked"}
    night.hint(path)
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


def test_own_results_are_never_taken(tmp_path):
    night = Watched(tmp_path / "data", tmp_path / "data" / "results")
    cutout = frame(night.target / "2026-11-14" / "F01" / "cutouts" / "1.fits")
    scratch = frame(night.target / ".ssosd" / "scratch" / "extract-1" / "chip.fits")
    frame(night.root / "a.fits", 5)
    for path in (cutout, scratch, cutout.parent, night.target):
        night.hint(path)
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


@pytest.mark.parametrize("data", ["", "raw"], ids=["the target itself", "inside the target"])
def test_data_in_the_target(tmp_path, data):
    night = Watched(tmp_path / "all" / data, tmp_path / "all")
    frame(night.root / "2026-11-14" / "a.fits", 5)
    frame(night.target / "2026-11-14" / "F01" / "cutouts" / "1.fits", 6)
    scratch = frame(night.target / ".ssosd" / "scratch" / "extract-1" / "chip.fits", 7)
    night.hint(scratch)
    night.settle()
    assert night.exposures() == ["a.fits"]


def test_target_reached_through_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    night = Watched(tmp_path / "data", tmp_path / "disk" / "results")
    cutout = frame(tmp_path / "data" / "results" / "2026-11-14" / "F01" / "cutouts" / "1.fits")
    night.hint(cutout)
    night.settle()
    assert night.outcomes() == {}


# ---- patterns and calibration ---------------------------------------------------------------------------


def test_include_and_exclude(tmp_path):
    parameters = {"INCLUDE": "sci*,n1", "EXCLUDE": ".*,bad,*_old.fits,n1/x*"}
    night = Watched(tmp_path / "data", tmp_path / "target", **parameters)
    for k, name in enumerate(
        (
            "sci1.fits",
            "other.fits",
            "n1/y.fits",
            "n1/x.fits",
            "bad/sci2.fits",
            "sci_old.fits",
            ".sci3.fits",
            "n2/sci4.fits",
        )
    ):
        night.hint(frame(night.root / name, k))
    night.settle()
    assert sorted(night.outcomes()) == ["n1/y.fits", "n2/sci4.fits", "sci1.fits"]


def test_calibration_frames_are_left_out_visibly(night):
    frame(night.root / "a.fits", 1, IMAGETYP="Light Frame")
    frame(night.root / "b.fits", 2, IMAGETYP="Dark Frame")
    frame(night.root / "flat-0001.fits", 3)
    write(night.root / "c.fits", header(IMAGETYP="BIAS"), np.zeros((64, 64), "i2"))
    night.settle()
    assert night.outcomes() == {
        "a.fits": "exposure",
        "b.fits": "ignored",
        "c.fits": "ignored",
        "flat-0001.fits": "ignored",
    }
    assert night.reason("b.fits") == "calibration frame: IMAGETYP is 'Dark Frame'"
    assert len(night.recorded) == 4
    night.settle()
    assert len(night.recorded) == 4


def test_other_words_for_calibration_frames_read_the_files_again(tmp_path):
    night = Watched(tmp_path / "data", tmp_path / "target")
    frame(night.root / "b.fits", 2, IMAGETYP="Dark Frame")
    night.settle()
    assert night.outcomes() == {"b.fits": "ignored"}
    night.store.close()
    again = Watched(tmp_path / "data", tmp_path / "target", CALIBRATION="False")
    again.settle()
    assert again.outcomes() == {"b.fits": "exposure"}


# ---- late changes, parking ------------------------------------------------------------------------------


@pytest.mark.parametrize("hinted", [True, False], ids=["hints", "scan alone"])
def test_late_growth_reopens_exactly_once(night, elsewhere, hinted):
    """Cut at the end of an HDU with nothing that tells, it is taken; when it grows the row follows, once."""
    path = mef(night.root / "a.fits")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 5 // 2880 * 2880])
    night.settle()
    [first] = night.recorded or [None]
    if first is None:  # not at an HDU's end: waited for, so cut it there
        from ssosd.ingest.fitsblocks import read_layout

        path.write_bytes(whole)
        hdu = read_layout(path).hdus[2]
        path.write_bytes(whole[: hdu.offset + -(-hdu.size // 2880) * 2880])
        night.settle()
    assert [len(taken.exposure.chips) for taken in night.recorded] == [2]
    path.write_bytes(whole)
    for _ in range(4):
        if hinted:
            night.hint(path)
        night.settle()
    assert [len(taken.exposure.chips) for taken in night.recorded] == [2, 4]
    assert len(night.store.exposures()) == 1
    assert night.outcomes() == {"a.fits": "exposure"}


def test_late_hints_of_what_is_recorded_change_nothing(night):
    path = frame(night.root / "a.fits")
    night.settle()
    for _ in range(5):
        night.hint(path)
        night.hint(night.root)
        for _ in range(30):
            night.tick()
    assert len(night.recorded) == 1


def test_never_at_rest_is_parked_and_taken_when_it_is_whole(night, elsewhere):
    whole = frame(elsewhere / "a.fits").read_bytes()
    path = night.root / "a.fits"
    night.scan()
    for at in range(0, 5000, 20):
        path.write_bytes(whole[:at])
        night.scan()
        for _ in range(2):
            night.tick(2.0)
    assert [type(taken.error) for taken in night.recorded] == [BadInput]
    assert night.reason("a.fits") == "a.fits: not whole: it still changes after 900 s"
    path.write_bytes(whole)
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}
    assert len(night.recorded) == 2


@pytest.mark.parametrize("end", [0, 100, 2880, 7000])
def test_cut_for_good_is_parked_with_its_reason_and_looked_at_again_when_it_changes(night, elsewhere, end):
    whole = frame(elsewhere / "a.fits").read_bytes()
    path = night.root / "a.fits"
    path.write_bytes(whole[:end])
    night.settle(600)
    assert not night.recorded
    night.wait_long()
    assert night.outcomes() == {"a.fits": "parked"}
    assert night.reason("a.fits").startswith("a.fits: not whole: ")
    night.wait_long()
    night.wait_long()
    assert len(night.recorded) == 1  # its size and time are as they were: nothing to look at
    path.write_bytes(whole)
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


def test_a_parked_file_that_a_person_takes_away_is_parked_no_more(night, elsewhere):
    """As its next step says; it is taken when it comes back whole."""
    path = night.root / "x.fits"
    path.write_text("hello")
    frame(night.root / "a.fits")
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure", "x.fits": "parked"}
    path.unlink()
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure", "x.fits": "gone"}
    assert night.store.parked() == []
    frame(path, number=1)
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure", "x.fits": "exposure"}


def test_a_parked_file_that_is_excluded_is_parked_no_more(night):
    (night.root / "x.fits").write_text("hello")
    night.settle()
    night.station = station_for(night.target, EXCLUDE="x*")
    night.settle()
    assert night.outcomes() == {"x.fits": "gone"}


def test_a_parked_file_stays_so_when_its_folder_is_away(night):
    (night.root / "sub").mkdir()
    (night.root / "sub" / "x.fits").write_text("hello")
    night.settle()
    (night.root / "sub").rename(night.root.with_name("archived"))
    night.settle()
    assert night.outcomes() == {"sub/x.fits": "parked"}


def test_a_file_that_lacks_something_is_read_ever_more_rarely(night, monkeypatch):
    import tests.watched as watched

    reads = []
    real = watched.admit
    monkeypatch.setattr(watched, "admit", lambda path, **kw: reads.append(path) or real(path, **kw))
    path = frame(night.root / "a.fits")
    path.write_bytes(path.read_bytes()[:5000])
    night.wait_long()
    assert len(reads) <= 12
    assert night.outcomes() == {"a.fits": "parked"}


def zero_ended(path: Path, number: int, rows: int = 13):
    data = pixels((60, 64), seed=number)
    data[-rows:] = 0
    return write(path, header(DATE__OBS=f"2026-11-14T20:{number:02d}:00.000"), data)


def test_zeros_at_the_end_alone_are_taken_late_and_with_a_warning(night):
    zero_ended(night.root / "1.fits", 1)
    night.settle(600)
    assert not night.recorded
    night.wait_long()
    [exposure] = night.store.exposures().values()
    assert "taken although the data of HDU 0 end in 3328 zero bytes of 15360" in exposure.warnings


def test_an_instrument_with_masked_rows_waits_only_once(night):
    zero_ended(night.root / "1.fits", 1)
    night.wait_long()
    for restart in (False, True):
        number = 2 + restart
        if restart:
            night.restart()
        zero_ended(night.root / f"{number}.fits", number)
        night.settle()
        assert len(night.recorded) == number
    zero_ended(night.root / "9.fits", 9, rows=20)  # not the same rows: that may be a file in progress
    night.settle()
    assert len(night.recorded) == 3


def test_a_dead_chip_does_not_cost_the_night(night):
    for k in range(2):
        mef(night.root / f"{k}.fits", k)
    night.settle()
    mef(night.root / "2.fits", 2, chips=3)
    night.wait_long()
    assert night.outcomes()["2.fits"] == "parked"
    assert isinstance(night.recorded[-1].error, Retriable)
    assert night.reason("2.fits") == "2.fits: not whole: 4 HDUs, the instrument's other files have 5"
    first_mjd = min(exposure.mjd_mid for exposure in night.store.exposures().values())
    assert night.recorded[-1].taken_mjd == first_mjd + 2.0 / 1440.0
    mef(night.root / "3.fits", 3, chips=3)
    night.wait_long()
    assert night.outcomes()["3.fits"] == "exposure"
    mef(night.root / "4.fits", 4, chips=3)
    night.settle()
    assert night.outcomes()["4.fits"] == "exposure"
    night.settle(120)
    night.settle()  # the first one is tried again by itself
    assert set(night.outcomes().values()) == {"exposure"}


@pytest.mark.parametrize("restart", [False, True])
def test_plain_files_among_compressed_ones_need_not_wait(night, restart):
    """A tile-compressed file has one HDU more, the empty primary, than the same frame without."""
    for number in range(6):
        head = header(DATE__OBS=f"2026-11-14T20:{number:02d}:00.000")
        data = pixels(dtype="i2", seed=number)
        if number in (1, 2, 4):
            fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, head)]).writeto(
                night.root / f"{number}.fits.fz"
            )
        else:
            write(night.root / f"{number}.fits", head, data)
        night.settle()
        assert len(night.recorded) == number + 1
        if restart:
            night.restart()
    assert set(night.outcomes().values()) == {"exposure"}


def test_files_split_by_a_pipeline_that_left_nextend_are_taken_from_the_second_on(night):
    for k in range(2):
        mef(night.root / f"{k}.fits", k, chips=2, NEXTEND=5)
    night.wait_long()
    assert sorted(night.outcomes().values()) == ["exposure", "parked"]
    mef(night.root / "2.fits", 2, chips=2, NEXTEND=5)
    night.settle()
    assert night.outcomes()["2.fits"] == "exposure"
    night.settle(120)
    assert set(night.outcomes().values()) == {"exposure"}


def test_the_number_of_hdus_is_learned_again_after_a_restart(night):
    for k in range(2):
        mef(night.root / f"{k}.fits", k)
    night.settle()
    night.restart()
    mef(night.root / "2.fits", 2, chips=3)
    night.settle()
    assert len(night.recorded) == 2
    mef(night.root / "2.fits", 2)
    night.settle()
    assert night.outcomes() == dict.fromkeys(("0.fits", "1.fits", "2.fits"), "exposure")


def test_another_file_of_the_same_size_and_time_while_reading(night, elsewhere, monkeypatch):
    import ssosd.intake as intake

    path = frame(night.root / "a.fits", 1)
    other = frame(elsewhere / "b.fits", 2)
    real = intake.take_in

    def swap(name, **kw):
        taken = real(name, **kw)
        if other.exists():
            os.utime(other, ns=(path.stat().st_mtime_ns,) * 2)
            other.rename(path)
        return taken

    monkeypatch.setattr(intake, "take_in", swap)
    night.settle(40)
    [exposure] = night.store.exposures().values()
    assert "20:00:02" in exposure.date_obs


def test_whole_when_read_but_not_what_was_at_rest(night):
    """It grew after it was found at rest and before it was read: it has to come to rest again."""
    path = frame(night.root / "a.fits", 1)
    night.scan()
    night.tick()
    night.now_s += 10
    assert night.arrivals.look(now_s=night.now_s, config=night.station.config).quiet == [path]
    frame(path, 2)
    os.utime(path, ns=(1, 1))
    night.judge(path, admit(path, station=night.station, habits=night.arrivals.habits))
    assert not night.recorded
    night.tick(4.0)
    assert not night.recorded
    night.settle()
    assert [taken.mtime_ns for taken in night.recorded] == [1]


# ---- bookkeeping ----------------------------------------------------------------------------------------


def test_forgetting_drops_what_comes_back_late(night):
    path = frame(night.root / "a.fits")
    night.scan()
    night.tick()
    night.now_s += 10
    looked = night.arrivals.look(now_s=night.now_s, config=night.station.config)
    assert looked.quiet == [path]
    taken = admit(path, station=night.station, habits=night.arrivals.habits)
    night.arrivals.forget()
    night.judge(path, taken)
    assert not night.recorded
    night.settle()
    assert len(night.recorded) == 1


def test_a_recorded_file_that_vanishes_before_a_replay_looks_at_it_is_to_be_read(night):
    path = frame(night.root / "a.fits")
    night.settle()
    assert night.corridor.unread([path]) == []
    path.unlink()
    assert night.corridor.unread([path]) == [path]


def test_names_that_nobody_can_write_down_are_passed_over_and_told_once(night):
    odd = night.root / os.fsdecode(b"caf\xe9.fits")
    folder = night.root / os.fsdecode(b"n\xf8tt")
    folder.mkdir()
    for path in (odd, folder / "b.fits", night.root / "caf\u00e9.fits"):
        frame(path)
    night.hint(odd)
    assert night.scan().nameless == sorted([str(odd), str(folder)])
    night.settle()
    assert night.scan().nameless == []
    assert night.outcomes() == {"caf\u00e9.fits": "exposure"}
    assert str(nameless(str(odd))).startswith(
        f"{night.root}/caf\\udce9.fits: passed over: its name is not UTF-8"
    )


@pytest.mark.parametrize("year", [1601, 2300])
def test_times_of_change_beyond_64_bits_are_kept_as_well_as_may_be(night, year):
    """1601 is the zero of Windows; not every file system can tell of such times."""
    at_s = int((datetime(year, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    for name in ("a.fits", "b.fits"):
        frame(night.root / name)
    (night.root / "b.fits").write_bytes(b"no FITS file")
    for name in ("a.fits", "b.fits"):
        os.utime(night.root / name, (at_s, at_s))
    if (night.root / "a.fits").stat().st_mtime_ns != at_s * 10**9:
        pytest.skip("this file system has no such times")
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure", "b.fits": "parked"}
    night.restart()
    assert night.scan().fresh == 0
    assert not night.corridor.unread([night.root / "a.fits"])


def test_an_exposure_that_belongs_to_another_night_for_another_site_is_not_overwritten(night):
    frame(night.root / "a.fits")
    home = night.station.site.lon_deg
    for lon_deg, evening in [(home, "14"), (-178.0, "13"), (home, "14"), (-178.0, "13")]:
        live(night, lon_deg=lon_deg)
        assert night.store.nights() == [f"2026-11-{evening}"]
        assert night.outcomes() == {"a.fits": "exposure"}
    assert night.store.rows("SELECT * FROM events") == []


def test_a_name_that_frames_of_two_nights_take_in_turns_keeps_all_of_them(night):
    for number, day in enumerate(("14", "15", "14", "15"), start=1):
        written = frame(night.root / "a.fits", number)
        fits.setval(written, "DATE-OBS", value=f"2026-11-{day}T21:0{number}:00.000")
        live(night)
    assert night.exposures() == [
        "a.fits", *(f"a.fits (overwritten, 2026-11-{which})" for which in ("14", "14, 2", "15"))
    ]  # fmt: skip


def test_clock_put_back(night):
    frame(night.root / "a.fits")
    night.scan()
    night.now_s -= 7200
    night.settle()
    assert night.outcomes() == {"a.fits": "exposure"}


def test_a_flood_is_handed_out_in_portions(night):
    for k in range(200):
        (night.root / f"{k:03d}.fits").write_bytes(b"SIMPLE")
    night.scan()
    night.arrivals.look(now_s=night.now_s, config=night.station.config)
    handed = []
    for _ in range(20):
        night.now_s += 3
        quiet = night.arrivals.look(now_s=night.now_s, config=night.station.config).quiet
        handed += quiet
    assert len(handed) == 64
    assert len(set(handed)) == 64
    assert night.arrivals.next_look_s == np.inf


def test_tonights_exposure_does_not_wait_behind_an_archive(night):
    for k in range(500):
        (night.root / f"{k:03d}.fits").write_bytes(b"SIMPLE")
        os.utime(night.root / f"{k:03d}.fits", (k, k))
    night.scan()
    night.arrivals.look(now_s=night.now_s, config=night.station.config)
    night.now_s += 60
    handed = night.arrivals.look(now_s=night.now_s, config=night.station.config).quiet
    assert [path.name for path in handed] == [f"{k:03d}.fits" for k in range(499, 435, -1)]
    path = frame(night.root / "a.fits")
    night.hint(path)
    came_s = night.now_s
    while path not in handed:  # the readers are behind: one file a second
        night.now_s += 1
        night.judge(handed[0], admit(handed.pop(0), station=night.station, habits=night.arrivals.habits))
        assert night.arrivals.next_look_s <= night.now_s
        handed += night.arrivals.look(now_s=night.now_s, config=night.station.config).quiet
        assert len(handed) == 64
    assert night.now_s - came_s <= night.station.config["SETTLE_TIME"] + 1


def test_who_keeps_to_the_next_look_takes_a_file_up_when_its_time_is_over_and_not_later(night):
    assert night.arrivals.next_look_s == np.inf
    path = frame(night.root / "a.fits")
    night.hint(path)
    begun_s, quiet, looks = night.now_s, [], 0
    while not quiet:
        night.now_s, looks = night.arrivals.next_look_s, looks + 1
        quiet = night.arrivals.look(now_s=night.now_s, config=night.station.config).quiet
    assert quiet == [path]
    assert night.now_s == begun_s + night.station.config["SETTLE_TIME"]
    assert looks <= 4
    assert night.arrivals.next_look_s == np.inf


def test_random_histories_end_in_one_exposure_a_file(tmp_path, elsewhere):
    """Files come in random ways and pieces, are hinted or not, the daemon is killed at random: brute force."""
    for seed in range(6):
        rng = random.Random(seed)
        night = Watched(tmp_path / f"data{seed}", tmp_path / f"target{seed}")
        contents = {f"{k}.fits": frame(elsewhere / f"{k}.fits", k).read_bytes() for k in range(12)}
        open_files = dict.fromkeys(contents, 0)
        while open_files:
            name = rng.choice(sorted(open_files))
            at, whole = open_files[name], contents[name]
            path = night.root / name
            way = rng.choice(["append", "append", "append", "rename"]) if at == 0 else "append"
            if way == "rename":
                hidden = night.root / f".{name}.part"
                hidden.write_bytes(whole)
                hidden.rename(path)
                del open_files[name]
            else:
                end = min(len(whole), at + rng.choice([1, 80, 2880, 5000, 99999]))
                with path.open("ab") as file:
                    file.write(whole[at:end])
                open_files[name] = end
                if end == len(whole):
                    del open_files[name]
            if rng.random() < 0.5:
                night.hint(path)
            if rng.random() < 0.1:
                night.scan()
            if rng.random() < 0.05:
                night.restart()
            for _ in range(rng.randrange(8)):
                night.tick(rng.choice([0.5, 3.0]))
        night.settle(120)
        assert night.outcomes() == dict.fromkeys(sorted(contents), "exposure")
        sizes = {
            row["path"].rsplit("/", 1)[1]: row["size_bytes"]
            for row in night.store.rows("SELECT * FROM files")
        }
        assert sizes == {name: len(whole) for name, whole in contents.items()}
        assert len(night.recorded) == 12, "each was recorded once"
        night.store.close()
